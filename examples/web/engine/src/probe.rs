//! A network at initialization: what `fanin probe` measures.

use fanin::model::Mlp;
use fanin::probe::{self, Kind, LayerReport, Prediction, ProbeOptions};
use serde::{Deserialize, Serialize};

use crate::advice::{Advised, advised};
use crate::device::{Devices, On};
use crate::settings::Settings;
use crate::wire::{Failure, Number};

#[derive(Deserialize)]
pub struct Asked {
    settings: Settings,
    seed: u64,
    #[serde(default = "usual")]
    batch: usize,
    #[serde(default)]
    device: On,
    /// Whether to look for what is healthy instead.
    #[serde(default = "yes")]
    advise: bool,
}

fn usual() -> usize {
    64
}

fn yes() -> bool {
    true
}

/// Inputs at most: the command line takes more.
const LARGEST: usize = 1024;

#[derive(Serialize)]
pub struct Probed {
    verdict: Judged,
    advice: Option<Advised>,
    milliseconds: f64,
    command: String,
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Judged {
    kind: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Layer {
    layer: usize,
    width: u64,
    activation_mean: Number,
    activation_var: Number,
    preactivation_var: Number,
    gradient_var: Number,
    weight_gradient_var: Number,
    dead: Number,
    saturated: Number,
    equal_units: bool,
    predicted: Option<Predicted>,
    histogram: Option<Bars>,
}

#[derive(Serialize)]
struct Predicted {
    activation_var: Number,
    gradient_var: Number,
    preactivation_var: Number,
    /// The standard deviations of their logarithms over networks of this width.
    activation_band: Number,
    gradient_band: Number,
}

#[derive(Serialize)]
struct Bars {
    low: f32,
    high: f32,
    counts: Vec<u32>,
}

pub fn probe(devices: &mut Devices, asked: Asked) -> Result<Probed, Failure> {
    let Asked { settings, seed, batch, device, advise } = asked;
    if batch > LARGEST {
        return Err(Failure::new(format!("batch: got {batch}, needed 2 to {LARGEST}")));
    }
    let mlp = settings.mlp(settings.width, settings.width)?;
    let device = devices.get(device)?;
    let options = ProbeOptions { seeds: vec![seed], batch, ..ProbeOptions::default() };
    let start = js_sys::Date::now();
    let mut run = probe::measure(&device, &mlp, &options)?;
    run.init.clone_from(&settings.init);
    run.bias.clone_from(&settings.bias);
    let milliseconds = js_sys::Date::now() - start;
    let advice = match advise && run.verdict.kind != Kind::Healthy {
        true => Some(advised(&device, &mlp, &run, &options)?),
        false => None,
    };
    Ok(Probed {
        verdict: Judged { kind: run.verdict.kind.name(), text: run.verdict.reason },
        advice,
        milliseconds,
        command: command(&settings, &mlp, seed, batch),
        layers: run.layers.iter().map(layer).collect(),
    })
}

fn command(settings: &Settings, mlp: &Mlp, seed: u64, batch: usize) -> String {
    format!(
        "fanin probe --depth {} --width {}{} --batch {batch} --seed {seed}",
        mlp.layers(),
        settings.width,
        settings.flags(&settings.init)
    )
}

fn layer(own: &LayerReport) -> Layer {
    let histogram = own.histogram.as_ref().and_then(|histogram| {
        Some(Bars {
            low: *histogram.edges.first()?,
            high: *histogram.edges.last()?,
            counts: histogram.counts.iter().map(|count| *count as u32).collect(),
        })
    });
    Layer {
        layer: own.layer,
        width: own.width,
        activation_mean: Number(own.activation_mean.mean),
        activation_var: Number(own.activation_var.mean),
        preactivation_var: Number(own.preactivation_var.mean),
        gradient_var: Number(own.gradient_var.mean),
        weight_gradient_var: Number(own.weight_gradient_var.mean),
        dead: Number(own.dead.mean),
        saturated: Number(own.saturated.mean),
        equal_units: own.equal_units,
        predicted: own.predicted.as_ref().map(predicted),
        histogram,
    }
}

fn predicted(own: &Prediction) -> Predicted {
    Predicted {
        activation_var: Number(own.activation_var),
        gradient_var: Number(own.gradient_var),
        preactivation_var: Number(own.preactivation_var),
        activation_band: Number(own.activation_band),
        gradient_band: Number(own.gradient_band),
    }
}
