//! What is healthy instead.

use fanin::Device;
use fanin::model::Mlp;
use fanin::probe::{Advisor, Change, ProbeOptions, Run};
use serde::Serialize;

use crate::wire::Failure;

#[derive(Serialize)]
pub struct Advised {
    text: String,
    /// The initializer that it comes to.
    init: Option<String>,
    /// What else it changes, as settings have it.
    change: Option<Changed>,
}

#[derive(Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    residual: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    norm: Option<bool>,
}

pub fn advised(
    device: &Device,
    mlp: &Mlp,
    run: &Run,
    options: &ProbeOptions,
) -> Result<Advised, Failure> {
    let mut advisor = Advisor::new(device, options);
    advisor.note(mlp, run);
    let advice = advisor.advise(mlp, run)?;
    let Some(change) = advice.instead else {
        let tried: Vec<String> = advice.tried.iter().map(Change::to_string).collect();
        let text = match tried.is_empty() {
            true => "nothing is known that would be healthy here".into(),
            false => format!("nothing that was tried is healthy here: {}", tried.join("; ")),
        };
        return Ok(Advised { text, init: None, change: None });
    };
    let changed = Changed {
        width: change.widths.as_ref().and_then(|widths| widths.first().copied()),
        activation: change.activation.map(|activation| activation.to_string()),
        bias: change.bias.clone(),
        residual: change.residual.then_some(true),
        norm: change.layer_norm.then_some(true),
    };
    let other = change.to_string() != change.init;
    Ok(Advised {
        text: change.to_string(),
        init: Some(change.init),
        change: other.then_some(changed),
    })
}
