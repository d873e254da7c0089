use super::advice::Advice;
use super::predict::Boundary;
use super::verdict::Verdict;
use crate::Activation;
use crate::op::Histogram;

/// What a number came to over the seeds of a run; not finite where a seed's is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The arithmetic mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these values, in any order; NaN of none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let (mut sum, mut count) = (0.0, 0u32);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            // min and max of f64 pass NaN over; one seed's NaN is to be seen.
            if value.is_nan() {
                return Spread { mean: value, min: value, max: value };
            }
            (sum, count) = (sum + value, count + 1);
            (min, max) = (min.min(value), max.max(value));
        }
        match count {
            0 => Spread { mean: f64::NAN, min: f64::NAN, max: f64::NAN },
            _ => Spread { mean: sum / f64::from(count), min, max },
        }
    }
}

/// What the theory of wide networks says of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// `Var(z)`.
    pub preactivation_var: f64,
    /// `E[h]`.
    pub activation_mean: f64,
    /// `Var(h)`.
    pub activation_var: f64,
    /// `E[(dL/dh)^2]`, whose mean is 0.
    pub gradient_var: f64,
    /// `Var(dL/dW)`.
    pub weight_gradient_var: f64,
    /// The cosine between the activations of two inputs of a pair.
    pub correlation: f64,
    /// The standard deviation of `ln E[h^2]` over networks of this width: widths are finite.
    pub activation_band: f64,
    /// That of the logarithm of the gradient's variance.
    pub gradient_band: f64,
}

/// A layer of a run: `z = W h + b`, then its activation `h`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// Counted from 1.
    pub layer: usize,
    /// Units.
    pub width: u64,
    /// `E[z]`, over units and inputs.
    pub preactivation_mean: Spread,
    /// `Var(z)`.
    pub preactivation_var: Spread,
    /// `E[h]`; the last layer has `h = z`.
    pub activation_mean: Spread,
    /// `Var(h)`.
    pub activation_var: Spread,
    /// `Var(dL/dh)`.
    pub gradient_var: Spread,
    /// The Euclidean norm of `dL/dh` over the whole batch.
    pub gradient_norm: Spread,
    /// `Var(dL/dW)`.
    pub weight_gradient_var: Spread,
    /// The Euclidean norm of `dL/dW`.
    pub weight_gradient_norm: Spread,
    /// The share of units whose slope is 0 for every input of the batch.
    pub dead: Spread,
    /// The share of pre-activations at which the slope is below a twentieth of the greatest, for
    /// nonlinearities that are bounded on both sides; 0 for others.
    pub saturated: Spread,
    /// The mean cosine between the activations of the two inputs of a pair.
    pub correlation: Spread,
    /// Whether all units of the layer are equal, in each seed.
    pub equal_units: bool,
    /// Elements of `h` that are infinite or not a number, over all seeds.
    pub not_finite: u64,
    /// The activations of the first seed; none where they are all one number, or not finite.
    pub histogram: Option<Histogram>,
    /// What the theory says; none where it has nothing to say of the initializer.
    pub predicted: Option<Prediction>,
}

/// A network at initialization, measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The initializer of the weights, as written.
    pub init: String,
    /// That of the biases.
    pub bias: String,
    /// The nonlinearity.
    pub activation: Activation,
    /// The widths, input and output included.
    pub widths: Vec<u64>,
    /// Whether hidden layers of equal width add their input to their output.
    pub residual: bool,
    /// Whether hidden layers normalize.
    pub layer_norm: bool,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Inputs a batch.
    pub batch: usize,
    /// What is to be said of it.
    pub verdict: Verdict,
    /// What is healthy instead, as [`Advisor::advise`](super::Advisor::advise) found; none where
    /// nobody asked, or where it is healthy.
    pub advice: Option<Advice>,
    /// What went in, of which predictions start.
    pub(super) boundary: Boundary,
    /// From the first to the last.
    pub layers: Vec<LayerReport>,
    /// Of `lsuv`: the variances it met, one list a layer, in the first seed.
    pub lsuv: Vec<Vec<f64>>,
}

impl Run {
    /// Layers of weights.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }
}

/// Where signals live: networks of one kind whose weights `N(0, sigma_w^2 / fan_in)` grow from row
/// to row.
#[derive(Clone, Debug, PartialEq)]
pub struct Heatmap {
    /// The nonlinearity.
    pub activation: Activation,
    /// Units of each layer.
    pub width: u64,
    /// `sigma_w` of each row, rising.
    pub scales: Vec<f64>,
    /// The standard deviation of `h`: a row a scale, a column a layer; 0 where it vanished, infinite
    /// or NaN where it overflowed.
    pub activation_std: Vec<Vec<f64>>,
    /// The standard deviation of `dL/dh`, likewise.
    pub gradient_std: Vec<Vec<f64>>,
    /// The `sigma_w` that keeps the gradient's variance where the signal settles (the edge of chaos),
    /// if there is one.
    pub critical: Option<f64>,
    /// The runs' initializers and their `sigma_w = std * sqrt(fan_in)`, where they have one.
    pub marks: Vec<(String, f64)>,
}

/// Everything a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `gpu` or `cpu`.
    pub engine: String,
    /// The device, in words.
    pub device: String,
    /// The cosine between the two inputs of a pair, before the first layer.
    pub input_correlation: f64,
    /// A run for each network and initializer.
    pub runs: Vec<Run>,
    /// One for each nonlinearity, if they were asked for.
    pub heatmaps: Vec<Heatmap>,
}
