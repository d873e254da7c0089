use super::run::Prediction;
use super::theory::{self, Gaussian};
use crate::model::{Mlp, NORM_EPSILON};
use crate::{Activation, Result};

/// What goes into a network, and what comes back into it from above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    /// `E[x]`.
    pub mean: f64,
    /// `E[x^2]`.
    pub square: f64,
    /// The cosine between the two inputs of a pair; NaN where none is to be predicted.
    pub correlation: f64,
    /// `E[(dL/dy)^2]` of the output's gradient.
    pub gradient: f64,
    /// Inputs a batch.
    pub batch: usize,
}

/// Weights and biases of a layer, as far as the theory asks.
struct Scale {
    weight_var: f64,
    bias_mean: f64,
    bias_var: f64,
}

/// What of a layer's forward pass its backward pass needs.
struct Passed {
    /// `E[f'^2]`, divided by the variance that a norm divides by.
    slope: f64,
    /// The relative variance of `f'(z)^2 g^2`, and how far `ln slope` follows `ln Var(z)`.
    slope_spread: f64,
    slope_band: f64,
    /// `E[h^2]` of the layer's input.
    input: f64,
}

/// Predicts each layer of a wide network, from the first to the last; none where weights have a
/// mean other than 0, of which the theory has nothing to say.
///
/// With `s = E[h^2]` of a layer's input, its pre-activations are `N(E[b], fan_in Var(w) s + Var(b))`,
/// its activations have the moments of the nonlinearity under it (layer norm brings it to `N(0, 1)`
/// first; a residual connection adds its input's), and `g = E[(dL/dh)^2]` goes back by
/// `fan_out Var(w) E[f'(z)^2]` (Glorot and Bengio 2010; He et al. 2015; Poole et al. 2016; Schoenholz
/// et al. 2017). The weights' gradient sums independent rows: `batch E[(dL/dz)^2] E[h^2]`.
///
/// Finite widths: given its input, a layer's `z` is exactly normal, so `ln E[f(z)^2]` has a variance
/// of `(E[f^4] / E[f^2]^2 - 1) / width` of its own besides what it inherits, 5 / width for ReLU (Hanin
/// and Nica 2020), and backwards `(3 E[f'^4] / E[f'^2]^2 - 1) / width`. The bands are the roots of the
/// sums: for one input, above what the mean over a batch has.
///
/// The theory takes weights on the way back for independent of those on the way forward. Residual
/// connections around a nonlinearity of positive mean, such as ReLU, without layer norm, break that:
/// activations grow along one direction and gradients with them (by Euler's rule their product stays
/// the same), so there the predicted gradient is too small, by about a tenth a layer.
///
/// # Errors
/// As [`Mlp::recipe`].
pub fn predict(mlp: &Mlp, boundary: &Boundary) -> Result<Vec<Option<Prediction>>> {
    let Some(scales) = scales(mlp)? else { return Ok(vec![None; mlp.layers()]) };
    let widths: Vec<f64> = mlp.widths().iter().map(|&width| width as f64).collect();
    let last = mlp.layers() - 1;

    let mut found = Vec::new();
    let mut passed = Vec::new();
    let (mut mean, mut square) = (boundary.mean, boundary.square);
    let mut product = boundary.correlation * square;
    // The variance of ln square.
    let mut spread: f64 = 0.0;
    for (layer, scale) in scales.iter().enumerate() {
        let activation = if layer == last { Activation::Identity } else { mlp.nonlinearity() };
        let (inputs, width) = (widths[layer], widths[layer + 1]);
        let gain = inputs * scale.weight_var;
        let variance = gain * square + scale.bias_var;
        let cosine = if variance > 0.0 {
            ((gain * product + scale.bias_var) / variance).clamp(-1.0, 1.0)
        } else {
            1.0
        };
        let inherited = if variance > 0.0 { gain * square / variance * spread.sqrt() } else { 0.0 };

        let epsilon = f64::from(NORM_EPSILON);
        let (centre, q, divisor) = match mlp.normalized(layer) {
            true => (0.0, variance / (variance + epsilon), variance + epsilon),
            false => (scale.bias_mean, variance, 1.0),
        };
        let layer_moments = Moved::of(&activation, centre, q, cosine);
        let input = square;
        let inherited_by_value =
            if mlp.normalized(layer) { 0.0 } else { layer_moments.follows * inherited };
        if mlp.skips(layer) {
            let before = square;
            square += layer_moments.square + 2.0 * mean * layer_moments.mean;
            product += layer_moments.product + 2.0 * mean * layer_moments.mean;
            mean += layer_moments.mean;
            let (old, new) = (before / square, layer_moments.square / square);
            spread = (old * spread.sqrt() + new * inherited_by_value).powi(2)
                + new * new * layer_moments.spread / width;
        } else {
            (mean, square, product) =
                (layer_moments.mean, layer_moments.square, layer_moments.product);
            spread = inherited_by_value.powi(2) + layer_moments.spread / width;
        }
        passed.push(Passed {
            slope: layer_moments.slope / divisor,
            slope_spread: layer_moments.slope_spread,
            slope_band: if mlp.normalized(layer) {
                inherited
            } else {
                layer_moments.slope_follows * inherited
            },
            input,
        });
        found.push(Prediction {
            preactivation_var: variance,
            activation_mean: mean,
            // Of the mean, rounding leaves a difference in the last digits.
            activation_var: (square - mean * mean).max(0.0),
            gradient_var: f64::NAN,
            weight_gradient_var: f64::NAN,
            correlation: if square > 0.0 { product / square } else { f64::NAN },
            activation_band: spread.sqrt(),
            gradient_band: f64::NAN,
        });
    }

    let (mut gradient, mut spread, mut inherited) = (boundary.gradient, 0.0, 0.0);
    for layer in (0..=last).rev() {
        let Passed { slope, slope_spread, slope_band, input } = passed[layer];
        let width = widths[layer + 1];
        let own = &mut found[layer];
        own.gradient_var = gradient;
        let units = if layer == last { 0.0 } else { 2.0 / width };
        own.gradient_band = f64::sqrt(spread + inherited * inherited + units);
        let values_gradient = gradient * slope;
        own.weight_gradient_var = boundary.batch as f64 * values_gradient * input;
        let around = if mlp.skips(layer) { gradient } else { 0.0 };
        let through = width * scales[layer].weight_var * values_gradient;
        gradient = around + through;
        let share = if gradient > 0.0 { through / gradient } else { 1.0 };
        // The last layer is linear, and its gradient is given.
        let own_spread = if layer == last { 2.0 } else { slope_spread };
        spread += share * share * own_spread / width;
        inherited += share * slope_band;
    }
    Ok(found.into_iter().map(Some).collect())
}

/// A nonlinearity's moments, and how they move.
struct Moved {
    mean: f64,
    square: f64,
    slope: f64,
    /// `E[f(x) f(x')]`.
    product: f64,
    /// `E[f^4] / E[f^2]^2 - 1`.
    spread: f64,
    /// `3 E[f'^4] / E[f'^2]^2 - 1`.
    slope_spread: f64,
    /// `d ln E[f^2] / d ln q`, and of `E[f'^2]`.
    follows: f64,
    slope_follows: f64,
}

impl Moved {
    fn of(activation: &Activation, mean: f64, q: f64, cosine: f64) -> Moved {
        let value = |x: f64| activation.value(x);
        let slope = |x: f64| activation.derivative(x).powi(2);
        // Beyond what f64 squares safely, and at no variance at all: the limit.
        if !(1e-140..1e140).contains(&q) {
            let (at, steep) = match q < 1.0 {
                true => (value(mean), slope(mean)),
                // A bounded function has its value at infinity; others grow as the variance does.
                false => {
                    return Moved::of(activation, 0.0, 1e139, cosine).grown(q / 1e139);
                }
            };
            // Of a function through 0 only the slopes at 0 are left: those of a tiny variance.
            if q > 0.0 && at == 0.0 && mean == 0.0 {
                return Moved::of(activation, 0.0, 1e-130, cosine).grown(q / 1e-130);
            }
            return Moved {
                mean: at,
                square: at * at,
                slope: steep,
                product: at * at,
                spread: 0.0,
                slope_spread: 2.0,
                follows: 0.0,
                slope_follows: 0.0,
            };
        }
        let gaussian = Gaussian::new(activation, mean, q).expect("a sound variance");
        let square = gaussian.expect(|x| value(x).powi(2));
        let steep = gaussian.expect(slope);
        let fourth = gaussian.expect(|x| value(x).powi(4));
        let steep_fourth = gaussian.expect(|x| slope(x).powi(2));
        let step = 1e-3;
        let more = Gaussian::new(activation, mean, q * (1.0 + step)).expect("a sound variance");
        let follows = |now: f64, then: f64| if now > 0.0 { (then / now).ln() / step } else { 0.0 };
        // None where nobody asks for it: the series is what takes time.
        let product = theory::correlated(activation, mean, q, cosine).unwrap_or(f64::NAN);
        Moved {
            mean: gaussian.expect(value),
            square,
            slope: steep,
            product,
            spread: if square > 0.0 { (fourth / square / square - 1.0).max(0.0) } else { 0.0 },
            slope_spread: if steep > 0.0 { 3.0 * steep_fourth / steep / steep - 1.0 } else { 0.0 },
            follows: follows(square, more.expect(|x| value(x).powi(2))),
            slope_follows: follows(steep, more.expect(slope)),
        }
    }

    /// With `q` times a factor, where the function goes as a power of its argument.
    fn grown(self, factor: f64) -> Moved {
        let grown = factor.powf(self.follows.clamp(0.0, 1.0));
        Moved {
            mean: self.mean * grown.sqrt(),
            square: self.square * grown,
            product: self.product * grown,
            ..self
        }
    }
}

/// Each layer's scales; none where a weight's mean is not 0.
fn scales(mlp: &Mlp) -> Result<Option<Vec<Scale>>> {
    let mut scales: Vec<Scale> = (0..mlp.layers())
        .map(|_| Scale { weight_var: 0.0, bias_mean: 0.0, bias_var: 0.0 })
        .collect();
    for (layer, tensor) in mlp.by_layer()? {
        let (mean, var) = (tensor.source.mean(), tensor.source.std().powi(2));
        let part = tensor.name.split('.').skip(2).collect::<Vec<_>>().join(".");
        match part.as_str() {
            "weight" if mean != 0.0 => return Ok(None),
            "weight" => scales[layer].weight_var = var,
            "bias" => (scales[layer].bias_mean, scales[layer].bias_var) = (mean, var),
            // The norm's, which are 1 and 0 but for zero gamma.
            "norm.weight" if (mean, var) != (1.0, 0.0) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(scales))
}
