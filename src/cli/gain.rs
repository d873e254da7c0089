use std::process::ExitCode;

use clap::Args;
use fanin::theory::{Course, Scales, backward_gain, forward_gain, moments};
use fanin::{Activation, Result};
use serde_json::json;

use super::table::{Column, short, table};
use super::text::{page, paragraph};
use super::{print, print_json};

#[derive(Args)]
pub struct GainArgs {
    /// A nonlinearity, such as gelu or leaky_relu:0.2; every one where none is given
    activation: Option<Activation>,

    /// One JSON document on stdout in place of the table
    #[arg(long)]
    json: bool,
}

/// Variances at which one nonlinearity is looked at.
const VARIANCES: [f64; 5] = [0.01, 0.1, 1.0, 10.0, 100.0];

pub fn run(args: GainArgs) -> Result<ExitCode> {
    let one = args.activation.as_ref();
    let shown = one.map_or(Activation::ALL.to_vec(), |activation| vec![*activation]);
    let mut documents = Vec::new();
    let mut rows = Vec::new();
    for activation in &shown {
        let at_one = moments(activation, 1.0)?;
        let (gain, forward, backward) =
            (activation.gain(), forward_gain(activation), backward_gain(activation));
        documents.push(json!({
            "activation": activation.to_string(),
            "gain": gain,
            "forward_gain": forward,
            "backward_gain": backward,
            "mean": at_one.mean,
            "square": at_one.square,
            "slope": at_one.slope,
        }));
        let numbers = [gain, forward, backward, at_one.mean, at_one.square, at_one.slope];
        let cells = numbers.map(digits);
        rows.push([vec![activation.to_string()], cells.to_vec()].concat());
    }
    if args.json {
        print_json(&json!({ "activations": documents }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        Column::name("activation"),
        Column::number("gain"),
        Column::number("forward"),
        Column::number("backward"),
        Column::number("E[f]").leaves(1),
        Column::number("E[f^2]").leaves(1),
        Column::number("E[f'^2]").leaves(1),
    ];
    let mut text = table(columns, rows);
    if let Some(activation) = one {
        text += &variances(activation)?;
    }
    text += "\n";
    text += &paragraph(MEANING, "", "", page());
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the columns are.
const MEANING: &str = "gain: what initializers use (PyTorch's where it has one). forward, backward: those that keep the \
     second moment of the signal, and the variance of the gradient, at variance 1.";

/// Six digits, without the sign of what rounds to 0.
fn digits(number: f64) -> String {
    format!("{:.6}", (1e6 * number).round() / 1e6 + 0.0)
}

/// How one nonlinearity does at other variances, with weights of `gain^2 / fan_in`, and what holds it
/// there at the edge of chaos.
fn variances(activation: &Activation) -> Result<String> {
    let gain = activation.gain();
    let scales = Scales { weight: gain * gain, bias: 0.0 };
    let mut rows = Vec::new();
    for q in VARIANCES {
        let critical = Scales::critical(activation, q)?;
        let critical = critical.map_or(["-".to_owned(), "-".to_owned()], |critical| {
            [short(critical.weight), short(critical.bias)]
        });
        let (next, chi) = (scales.variance(activation, q)?, scales.chi(activation, q)?);
        rows.push([vec![short(q), short(next), short(chi)], critical.to_vec()].concat());
    }
    let columns = ["variance q", "next q", "chi", "critical sigma_w^2", "critical sigma_b^2"];
    let course = match scales.course(activation) {
        Course::Attracts(q) => format!("variances settle at {}", short(q)),
        Course::Stays => "every variance stays as it is".into(),
        Course::Repels(q) => format!(
            "a variance of {0} stays as it is, and those beside it leave it: nothing settles there",
            short(q)
        ),
        Course::Vanishes { slowly: true } => "variances fall to 0, ever less a layer".into(),
        Course::Vanishes { slowly: false } => "variances fall to 0".into(),
        Course::Explodes => "variances grow without end".into(),
    };
    let weight = short(scales.weight);
    let words = format!("With weights of variance {weight} / fan_in and no biases, {course}:");
    let words = paragraph(&words, "", "", page());
    Ok(format!("\n{words}\n{}", table(columns.map(Column::number), rows)))
}
