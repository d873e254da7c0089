use super::run::Prediction;
use super::{LARGEST, SMALLEST};
use crate::model::layers::{ParameterKind, Theory};
use crate::model::{Event, Network};
use crate::op::NORM_EPSILON;
use crate::theory::{self, Gaussian};
use crate::{Activation, Error, Result};

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

/// A layer, as far as the theory asks.
#[derive(Clone, Copy, PartialEq)]
struct Plan {
    activation: Activation,
    inputs: f64,
    width: f64,
    weight_var: f64,
    bias_mean: f64,
    bias_var: f64,
    normalized: bool,
    skips: bool,
}

/// Predicts each layer of a wide network, from the first to the last; none where weights have a
/// mean other than 0, of which the theory has nothing to say, and where float32 does not reach.
///
/// With `s = E[h^2]` of a layer's input, its pre-activations are `N(E[b], fan_in Var(w) s + Var(b))`,
/// its activations have the moments of the nonlinearity under it (layer norm brings it to `N(0, 1)`
/// first; a residual connection adds its input's), and `g = E[(dL/dh)^2]` goes back by
/// `fan_out Var(w) E[f'(z)^2]` (Glorot and Bengio 2010; He et al. 2015; Poole et al. 2016; Schoenholz
/// et al. 2017). The weights' gradient sums independent rows: `batch E[(dL/dz)^2] E[h^2]`, less the
/// square of their mean.
///
/// Finite widths: given its input, a layer's `z` is exactly normal, so `ln E[f(z)^2]` has a variance
/// of `(E[f^4] / E[f^2]^2 - 1) / width` of its own besides what it inherits, 5 / width for ReLU (Hanin
/// and Nica 2020), and backwards `(3 E[f'^4] / E[f'^2]^2 - 1) / width`; what goes around a layer and
/// what goes through it have a product of mean 0 besides. The bands are the roots of the sums: for one
/// input, above what the mean over a batch has.
///
/// The gradient's part along `h` is followed on its own, since there the weights of the way back are
/// not independent of those of the way forward: given `z = W h`, `W = z h^T / |h|^2` and what is
/// independent of `z`. With `q = z f'(z)` the gradient `d` of `h` has `h . d = (h + q) . d'` where a
/// connection goes around the layer and `q . d'` where none does, `d'` being that of its output. For
/// ReLU, `q = f(z)` and `h . d` stays the same through the whole network (Euler's rule): around a
/// nonlinearity of positive mean activations grow along one direction, and gradients with them.
///
/// # Errors
/// As [`Network::recipe`].
pub fn predict(
    network: impl TryInto<Network, Error = Error>,
    boundary: &Boundary,
) -> Result<Vec<Option<Prediction>>> {
    predicted(&network.try_into()?, boundary)
}

pub(super) fn predicted(network: &Network, boundary: &Boundary) -> Result<Vec<Option<Prediction>>> {
    Ok(match plan(network)? {
        Some(plan) => propagate(&plan, boundary),
        None => vec![None; network.widths()?.len() - 1],
    })
}

/// The factors on variances a layer that the theory comes to where layers like the last hidden one
/// follow each other: of the signal, and of the gradient, each where float32 reaches that far. How
/// many such layers the network has is all the same.
pub(super) fn settled(network: &Network, boundary: &Boundary) -> Result<[Option<f64>; 2]> {
    let Some(deeper) = network.deepened() else { return Ok([None; 2]) };
    let Some(mut plan) = plan(&deeper)? else { return Ok([None; 2]) };
    // The last hidden layer is the one that was added.
    let end = plan.len() - 1;
    let own = plan[end - 1];
    let alike = plan[..end].iter().rev().take_while(|layer| **layer == own).count();
    plan.splice(end - alike..end, std::iter::repeat_n(own, MORE));
    let boundary = Boundary { correlation: f64::NAN, ..*boundary };
    let held = |found: &Vec<Option<Prediction>>| {
        let lost = |layer: &Option<Prediction>| !layer.is_some_and(|own| own.activation_var > 0.0);
        found.iter().position(lost).unwrap_or(found.len())
    };
    let mut found = propagate(&plan, &boundary);
    let within = held(&found);
    if within < found.len() {
        // As deep as the signal lasts.
        plan.drain(within.saturating_sub(1)..plan.len() - 1);
        found = propagate(&plan, &boundary);
    }
    // Far from the input, where signals settle, and from the output, where gradients do, as far as
    // both last.
    let hidden = found.len() - 1;
    let gradient = |layer: usize| found[layer].as_ref().map(|own| own.gradient_var);
    let first = (0..hidden).find(|&layer| gradient(layer).is_some_and(|value| value > 0.0));
    let ratio = |value: fn(&Prediction) -> f64, from: usize, to: usize| {
        let at = |layer: usize| found[layer].as_ref().map(value).filter(|value| *value > 0.0);
        Some(at(to)? / at(from)?)
    };
    let signal =
        hidden.checked_sub(2).and_then(|below| ratio(|own| own.activation_var, below, below + 1));
    let gradient = first.filter(|first| first + 2 <= hidden).and_then(|first| {
        let middle = (first + hidden - 2) / 2;
        ratio(|own| own.gradient_var, middle + 1, middle)
    });
    Ok([signal, gradient])
}

/// Layers after which signals have settled, or do so by less than a hundredth a layer.
const MORE: usize = 200;

/// What of a layer's forward pass its backward pass needs; `h` is its input, `o` its output and
/// `q = z f'(z)`, but for what biases and norms take from it.
struct Passed {
    /// `E[f'^2]`, divided by the variance that a norm divides by, and `E[f'^2 o^2]`, likewise.
    slope: f64,
    steep: f64,
    /// `(E[f' o] E[h])^2`, 0 behind a norm.
    level: f64,
    /// The relative variance of `f'(z)^2 g^2`, and how far `ln slope` follows `ln Var(z)`.
    slope_spread: f64,
    slope_band: f64,
    /// `E[h^2]`, `E[o^2]`, `E[h o]`, and of what comes back along `h`, `E[(h + q)^2]` and
    /// `E[(h + q) o]`, without `h` where nothing goes around.
    input: f64,
    output: f64,
    shared: f64,
    back: f64,
    back_shared: f64,
}

fn propagate(plan: &[Plan], boundary: &Boundary) -> Vec<Option<Prediction>> {
    let last = plan.len() - 1;
    let mut found: Vec<Option<Prediction>> = Vec::new();
    let mut passed = Vec::new();
    let (mut mean, mut square) = (boundary.mean, boundary.square);
    let mut product = boundary.correlation * square;
    // The variance of ln square.
    let mut spread: f64 = 0.0;
    let mut moved: Option<Moved> = None;
    for own in plan {
        let gain = own.inputs * own.weight_var;
        let variance = gain * square + own.bias_var;
        if !(variance <= LARGEST && square <= LARGEST) {
            break;
        }
        let cosine = if variance > 0.0 {
            ((gain * product + own.bias_var) / variance).clamp(-1.0, 1.0)
        } else {
            1.0
        };
        let share = if variance > 0.0 { gain * square / variance } else { 0.0 };
        let inherited = share * spread.sqrt();

        let epsilon = f64::from(NORM_EPSILON);
        let (centre, q, divisor) = match own.normalized {
            true => (0.0, variance / (variance + epsilon), variance + epsilon),
            false => (own.bias_mean, variance, 1.0),
        };
        let new = match moved.take() {
            // Where signals have settled there is nothing new to integrate.
            Some(moved) if moved.is_of(&own.activation, centre, q, cosine) => moved,
            _ => Moved::of(&own.activation, centre, q, cosine),
        };
        let (input, before_mean) = (square, mean);
        // The part of z that is W h, of which a norm gives nothing back along h.
        let follow = if own.normalized { 0.0 } else { share };
        let pull = follow * new.pull;
        let pull_value = follow * new.pull_value;
        let pull_square =
            follow * follow * new.pull_square + follow * (1.0 - follow) * q * new.slope;
        let inherited_by_value = if own.normalized { 0.0 } else { new.follows * inherited };
        let around = if own.skips { 1.0 } else { 0.0 };
        let shared = around * input + before_mean * new.mean;
        if own.skips {
            square += new.square + 2.0 * mean * new.mean;
            product += new.product + 2.0 * mean * new.mean;
            mean += new.mean;
            let (old, fresh) = (input / square, new.square / square);
            // The mean of 2 h f(z) has a variance of its own.
            let both = (input * new.square - (before_mean * new.mean).powi(2)) / (square * square);
            spread = (old * spread.sqrt() + fresh * inherited_by_value).powi(2)
                + (fresh * fresh * new.spread + 4.0 * both) / own.width;
        } else {
            (mean, square, product) = (new.mean, new.square, new.product);
            spread = inherited_by_value.powi(2) + new.spread / own.width;
        }
        let (level_mean, before_mean) = (before_mean, around * before_mean);
        let lean = before_mean * new.slope_mean + new.slope_value;
        let mut steep =
            around * new.slope * input + 2.0 * before_mean * new.steep_value + new.steep_square;
        if own.normalized {
            // A norm lets neither the mean nor what is along z go back.
            steep -= lean.powi(2);
            steep -= (before_mean * new.pull + new.pull_value).powi(2) / q.max(SMALLEST);
        }
        passed.push(Passed {
            slope: new.slope / divisor,
            steep: steep.max(0.0) / divisor,
            level: if own.normalized { 0.0 } else { (lean * level_mean).powi(2) },
            slope_spread: new.slope_spread,
            slope_band: if own.normalized { inherited } else { new.slope_follows * inherited },
            input,
            output: square,
            shared,
            back: around * input + 2.0 * before_mean * pull + pull_square,
            back_shared: around * shared + before_mean * pull + pull_value,
        });
        let held = |value: f64| value == 0.0 || (SMALLEST..=LARGEST).contains(&value);
        // Of the mean, rounding leaves a difference in the last digits.
        let activation_var = (square - mean * mean).max(0.0);
        found.push((held(variance) && held(square)).then_some(Prediction {
            preactivation_var: variance,
            activation_mean: mean,
            activation_var,
            gradient_var: f64::NAN,
            weight_gradient_var: f64::NAN,
            correlation: if square > 0.0 { product / square } else { f64::NAN },
            activation_band: spread.sqrt(),
            gradient_band: f64::NAN,
        }));
        // What float32 does not hold is 0 there.
        if square < SMALLEST {
            (mean, square, product) = (0.0, 0.0, 0.0);
        }
        moved = Some(new);
    }
    found.resize(plan.len(), None);
    if passed.len() < plan.len() {
        return found;
    }

    // Of the gradient's square, what is in every direction, and what more is along the output.
    let (mut even, mut along) = (boundary.gradient, 0.0);
    let (mut spread, mut inherited) = (0.0, 0.0);
    for (layer, (own, passed)) in plan.iter().zip(&passed).enumerate().rev() {
        let Passed { slope, steep, input, output, shared, back, back_shared, .. } = *passed;
        let gradient = even + along;
        if gradient > LARGEST {
            break;
        }
        let relative = if output > 0.0 { along / output } else { 0.0 };
        let values_gradient = even * slope + relative * steep;
        if let Some(found) = &mut found[layer] {
            let units = if layer == last { 0.0 } else { 2.0 / own.width };
            let float = |value: f64| if value < SMALLEST { 0.0 } else { value };
            found.gradient_var = float(gradient);
            found.gradient_band = f64::sqrt(spread + inherited * inherited + units);
            // Where gradients and inputs are each along one direction, their products have a mean.
            let weight_gradient = values_gradient * input - relative * passed.level;
            found.weight_gradient_var = float(boundary.batch as f64 * weight_gradient);
        }
        let through = own.width * own.weight_var * values_gradient;
        let both = if input > 0.0 && output > 0.0 { 1.0 / (input * output) } else { 0.0 };
        let onto = |value: f64| if input > 0.0 { value / input } else { 0.0 };
        let before = if own.skips {
            even + through + along * (1.0 - shared * shared * both)
        } else {
            through
        };
        let here = own.width / own.inputs
            * (even * onto(back) + own.width * along * back_shared * back_shared * both);
        along = if input > 0.0 { (here - before) / own.inputs } else { 0.0 };
        even = before;
        let share = if even + along > 0.0 { (through / (even + along)).min(1.0) } else { 1.0 };
        // The last layer is linear, and its gradient is given.
        let own_spread = if layer == last { 2.0 } else { passed.slope_spread };
        spread += (share * share * own_spread + 4.0 * share * (1.0 - share)) / own.width;
        inherited += share * passed.slope_band;
        if even + along < SMALLEST {
            (even, along) = (0.0, 0.0);
        }
    }
    found
}

/// A nonlinearity's moments under `x ~ N(mean, q)`, and how they move.
struct Moved {
    of: (Activation, f64, f64, f64),
    mean: f64,
    square: f64,
    /// `E[f']`, `E[f'^2]`.
    slope_mean: f64,
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
    /// With `p = (x - mean) f'`: `E[p]`, `E[p f]`, `E[p^2]`.
    pull: f64,
    pull_value: f64,
    pull_square: f64,
    /// `E[f f']`, `E[f'^2 f]`, `E[f'^2 f^2]`.
    slope_value: f64,
    steep_value: f64,
    steep_square: f64,
}

impl Moved {
    fn of(activation: &Activation, mean: f64, q: f64, cosine: f64) -> Moved {
        let of = (*activation, mean, q, cosine);
        if q < SMALLEST {
            let (value, slope) = (activation.value(mean), activation.derivative(mean));
            let (square, steep) = (value * value, slope * slope);
            return Moved {
                of,
                mean: value,
                square,
                slope_mean: slope,
                slope: steep,
                product: square,
                spread: 0.0,
                slope_spread: 2.0,
                follows: 0.0,
                slope_follows: 0.0,
                pull: 0.0,
                pull_value: 0.0,
                pull_square: 0.0,
                slope_value: value * slope,
                steep_value: steep * value,
                steep_square: steep * square,
            };
        }
        let gaussian = Gaussian::new(activation, mean, q).expect("a sound variance");
        // d E[g] / d ln q = E[g (z^2 - 1)] / 2 of a standard normal z.
        let [value, square, fourth, slope, steep, steep_fourth, grown, steep_grown] = gaussian
            .expect_all(|x, z| {
                let (f, d) = (activation.value(x), activation.derivative(x));
                let grows = 0.5 * (z * z - 1.0);
                [f, f * f, f.powi(4), d, d * d, d.powi(4), f * f * grows, d * d * grows]
            });
        let [pull, pull_value, pull_square, slope_value, steep_value, steep_square] = gaussian
            .expect_all(|x, _| {
                let (f, d) = (activation.value(x), activation.derivative(x));
                let p = (x - mean) * d;
                [p, p * f, p * p, f * d, d * d * f, d * d * f * f]
            });
        let over = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        // None where nobody asks for it: the series is what takes time.
        let product = theory::correlated(activation, mean, q, cosine).unwrap_or(f64::NAN);
        Moved {
            of,
            mean: value,
            square,
            slope_mean: slope,
            slope: steep,
            product,
            spread: (over(fourth, square * square) - 1.0).max(0.0),
            slope_spread: (3.0 * over(steep_fourth, steep * steep) - 1.0).max(0.0),
            follows: over(grown, square),
            slope_follows: over(steep_grown, steep),
            pull,
            pull_value,
            pull_square,
            slope_value,
            steep_value,
            steep_square,
        }
    }

    /// Whether these are the moments of those arguments, to 12 digits.
    fn is_of(&self, activation: &Activation, mean: f64, q: f64, cosine: f64) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs() || a.is_nan() && b.is_nan();
        let (own, own_mean, own_q, own_cosine) = &self.of;
        own == activation && *own_mean == mean && near(*own_q, q) && near(*own_cosine, cosine)
    }
}

/// Each layer's plan; none where a weight's mean is not 0, or where there is a layer, or an order of
/// them, of which the theory has nothing to say.
fn plan(network: &Network) -> Result<Option<Vec<Plan>>> {
    let mut plan: Vec<Plan> = Vec::new();
    let mut known = true;
    // Within a connection: how many sums so far. Behind one, until the next sum.
    let mut within: Option<usize> = None;
    let mut behind = false;
    network.walk(&mut |event| {
        let (named, shape) = match event {
            Event::Enter(named, shape) => (named, shape),
            Event::Leave => {
                known &= within.take() == Some(1);
                behind = true;
                return Ok(());
            }
        };
        // What bends a sum follows it, in the connection that it stands in.
        let follows = !behind && within != Some(0);
        match (named.layer.theory(), plan.last_mut()) {
            (Theory::Sum, _) => {
                within = within.map(|sums| sums + 1);
                behind = false;
                plan.push(Plan {
                    activation: Activation::Identity,
                    inputs: shape.elements() as f64,
                    width: named.layer.output(shape)?.elements() as f64,
                    weight_var: 0.0,
                    bias_mean: 0.0,
                    bias_var: 0.0,
                    normalized: false,
                    skips: within.is_some(),
                });
            }
            (Theory::Norm, Some(own)) => {
                known &= follows && own.activation == Activation::Identity && !own.normalized;
                own.normalized = true;
            }
            (Theory::Nonlinearity(activation), Some(own)) => {
                known &= follows && own.activation == Activation::Identity;
                own.activation = activation;
            }
            (Theory::Dropout(_) | Theory::Same, _) => {}
            (Theory::Residual, _) => {
                known &= within.is_none();
                within = Some(0);
            }
            _ => known = false,
        }
        Ok(())
    })?;
    // The output is a sum.
    let linear = plan.last().is_some_and(|last| {
        last.activation == Activation::Identity && !last.normalized && !last.skips
    });
    if !known || !linear {
        return Ok(None);
    }
    for placed in network.tensors()? {
        let (mean, var) = (placed.spec.source.mean(), placed.spec.source.std().powi(2));
        let own = &mut plan[placed.stage];
        match placed.kind {
            ParameterKind::Weight if mean != 0.0 => return Ok(None),
            ParameterKind::Weight => own.weight_var = var,
            ParameterKind::Bias => (own.bias_mean, own.bias_var) = (mean, var),
            // 1 but for zero gamma.
            ParameterKind::Scale if (mean, var) != (1.0, 0.0) => return Ok(None),
            ParameterKind::Scale | ParameterKind::Shift => {}
        }
    }
    Ok(Some(plan))
}
