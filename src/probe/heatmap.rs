use super::measure::{ProbeOptions, measure};
use super::run::Heatmap;
use crate::device::Device;
use crate::init::{Family, FanMode, Init};
use crate::model::Network;
use crate::theory::Scales;
use crate::{Activation, Result};

/// Rows of a map, and the ends of `sigma_w`.
const ROWS: usize = 25;
const ENDS: (f64, f64) = (0.25, 4.0);

/// Inputs of what is measured for a map: it shows decades, not digits.
const BATCH: usize = 32;

/// Measures networks at scales from `sigma_w = 1/4` to 4: those that `network` makes of the initializer
/// of all weights, which need not be as wide as the one that the map is to stand for. `marks` are
/// initializers and their `sigma_w`. `progress` hears of each row.
///
/// # Errors
/// As [`measure`], and those of `network`.
pub fn heatmap(
    device: &Device,
    network: &dyn Fn(Init) -> Result<Network>,
    seed: u64,
    marks: Vec<(String, f64)>,
    progress: &mut dyn FnMut(),
) -> Result<Heatmap> {
    let options =
        ProbeOptions { seeds: vec![seed], batch: BATCH, details: false, ..ProbeOptions::default() };
    let step = (ENDS.1 / ENDS.0).ln() / (ROWS - 1) as f64;
    let scales: Vec<f64> = (0..ROWS).map(|row| ENDS.0 * (step * row as f64).exp()).collect();
    let (mut activation_std, mut gradient_std) = (Vec::new(), Vec::new());
    for scale in &scales {
        let init = Init::variance_scaling(scale * scale, FanMode::FanIn, Family::Normal);
        let run = measure(device, &network(init)?, &options)?;
        activation_std.push(run.layers.iter().map(|l| l.activation_var.mean.sqrt()).collect());
        gradient_std.push(run.layers.iter().map(|l| l.gradient_var.mean.sqrt()).collect());
        progress();
    }
    let network = network(Init::zeros())?;
    let plain = !network.has_residual() && !network.has_norm();
    let activation = network.nonlinearity();
    let critical = if plain { critical(&activation) } else { None };
    let width = network.widths()?[1];
    Ok(Heatmap { activation, width, scales, activation_std, gradient_std, critical, marks })
}

/// The `sigma_w` without biases at which the slope is 1 where the variance settles, or, where it
/// settles nowhere, at any variance it passes.
fn critical(activation: &Activation) -> Option<f64> {
    // Where the signal ends after many layers: at a fixed point, or near 0.
    let chi = |scale: f64| {
        let scales = Scales { weight: scale * scale, bias: 0.0 };
        let mut q = 1.0;
        for _ in 0..300 {
            let next = scales.variance(activation, q).ok()?;
            if !(1e-12..1e12).contains(&next) {
                break;
            }
            q = next;
        }
        scales.chi(activation, q).ok()
    };
    let (mut low, mut high) = ENDS;
    if chi(low)? > 1.0 || chi(high)? < 1.0 {
        return None;
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if chi(middle)? < 1.0 { low = middle } else { high = middle }
    }
    Some(0.5 * (low + high))
}
