use super::measure::{Options, measure};
use super::run::Heatmap;
use crate::device::Device;
use crate::init::{Family, FanMode, Init};
use crate::model::Mlp;
use crate::theory::Scales;
use crate::{Activation, Result};

/// Rows of a map, and the ends of `sigma_w`.
const ROWS: usize = 25;
const ENDS: (f64, f64) = (0.25, 4.0);

/// Units and inputs of what is measured for a map: it shows decades, not digits.
const WIDTH: u64 = 128;
const BATCH: usize = 32;

/// Measures networks as deep as `mlp`, of its kind, at scales from `sigma_w = 1/4` to 4; `marks` are
/// initializers and their `sigma_w`. `progress` hears of each row.
///
/// # Errors
/// As [`measure`].
pub fn heatmap(
    device: &Device,
    mlp: &Mlp,
    seed: u64,
    marks: Vec<(String, f64)>,
    progress: &mut dyn FnMut(),
) -> Result<Heatmap> {
    let width = mlp.widths()[1].min(WIDTH);
    let options = Options { seeds: vec![seed], batch: BATCH, details: false, ..Options::default() };
    let step = (ENDS.1 / ENDS.0).ln() / (ROWS - 1) as f64;
    let scales: Vec<f64> = (0..ROWS).map(|row| ENDS.0 * (step * row as f64).exp()).collect();
    let (mut activation_std, mut gradient_std) = (Vec::new(), Vec::new());
    for scale in &scales {
        let init = Init::variance_scaling(scale * scale, FanMode::FanIn, Family::Normal);
        let network = Mlp::new(vec![width; mlp.layers() + 1])?
            .activation(mlp.nonlinearity())
            .residual(mlp.has_residual())
            .layer_norm(mlp.has_layer_norm())
            .init(init);
        let run = measure(device, &network, &options)?;
        activation_std.push(run.layers.iter().map(|l| l.activation_var.mean.sqrt()).collect());
        gradient_std.push(run.layers.iter().map(|l| l.gradient_var.mean.sqrt()).collect());
        progress();
    }
    let plain = !mlp.has_residual() && !mlp.has_layer_norm();
    let critical = if plain { critical(&mlp.nonlinearity()) } else { None };
    let activation = mlp.nonlinearity();
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
