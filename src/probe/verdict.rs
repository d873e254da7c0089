//! What is to be said of a network at initialization.

use super::advice::missing_omega;
use super::predict::{Boundary, settled};
use super::run::{LayerReport, Prediction};
use super::{LARGEST, SMALLEST};
use crate::model::Network;
use crate::{Result, counted};

/// What became of the signal or of the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Both keep their scale.
    Healthy,
    /// One of them shrinks from layer to layer.
    Vanishing,
    /// One of them grows from layer to layer.
    Exploding,
    /// All units of a layer are equal, and stay so however long one trains.
    Symmetric,
    /// Units whose slope is 0 whatever the input: nothing reaches the weights before them.
    Dead,
    /// Pre-activations so large that the nonlinearity is flat there.
    Saturated,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Healthy,
        Kind::Vanishing,
        Kind::Exploding,
        Kind::Symmetric,
        Kind::Dead,
        Kind::Saturated,
    ];

    /// `healthy`, `vanishing`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Healthy => "healthy",
            Kind::Vanishing => "vanishing",
            Kind::Exploding => "exploding",
            Kind::Symmetric => "symmetric",
            Kind::Dead => "dead",
            Kind::Saturated => "saturated",
        }
    }
}

/// Where numbers leave the range of float32 (normal numbers, 1.2e-38 to 3.4e38).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeLimit {
    /// Whether they became too large.
    pub overflow: bool,
    /// Layers from where they start: from the input for the signal, from the output for the gradient.
    pub depth: usize,
    /// Whether it was seen; else it is where the theory's variances lead, once they have settled to a
    /// factor a layer. A signal that is bounded leads nowhere.
    pub seen: bool,
}

/// A verdict, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// In a word.
    pub kind: Kind,
    /// Why, in a sentence, with the numbers that decided.
    pub reason: String,
    /// Where the signal leaves float32, if it does within a thousand layers.
    pub signal_limit: Option<RangeLimit>,
    /// Where the gradient does.
    pub gradient_limit: Option<RangeLimit>,
}

/// When a network is called healthy, in words.
///
/// The rule is one of rates, so that a network does not change its name with its depth. Let `r` be the
/// factor on a variance from one hidden layer to the next, of the signal on its way forward (the first
/// layer's step from the input included) or of the gradient on its way back; a network is healthy
/// where `1.1^-2 <= r <= 1.1^2` for both. In the terms of Schoenholz et al. (2017), `r = chi` where
/// signals have settled, and the rule asks for a depth scale `1 / |ln chi|` of 5 layers at least.
///
/// One network of finite width shows `r` only up to chance, and its first layers are on their way to
/// where signals settle, which takes many layers near a variance that repels (GELU's). So `r` is what
/// the theory's map comes to as layers like the last hidden one follow each other, wherever measured
/// layers lie within the theory's band for their width: variances that shrink or grow without end
/// count by the rate at which they end up doing so, those that grow or shrink ever less a layer (tanh
/// at its edge of chaos) by 1. Where the theory has nothing to say, or something else, `r` is what was
/// measured: the mean over the hidden layers, or over their second half, whichever is nearer to 1. A
/// single hidden layer has no other that gives it a gradient or takes one from it.
///
/// Chance has a rule of its own, since its size is known: `ln E[h^2]` strays by about
/// `sqrt(5 depth / width)` under ReLU (Hanin and Nica 2020). A network that strays from the theory of
/// wide layers by a factor of 100 in standard deviation is too narrow for its depth.
///
/// Before all that come numbers that are not finite, units that are equal, dead or saturated. These
/// are states and no rates: a deeper network may come to one (a residual tanh, whose sum grows layer
/// by layer, is saturated from some depth on) where a shallower one of the same rates has not.
pub const RULE: &str = "healthy: neither the signal's nor the gradient's standard deviation changes by \
                        more than a tenth (a factor of 1.1) from layer to layer, whatever the depth, \
                        once signals have settled; chance, at this width, leaves both within a factor \
                        of 100 of what wide layers have; in no hidden layer are all units equal, 90 % \
                        of them dead, or half of the pre-activations saturated, states that a deeper \
                        network may come to";

/// The factor on standard deviations a layer up to which a network is healthy.
const RATE: f64 = 1.1;

/// The factor on standard deviations that chance may make.
const CHANCE: f64 = 100.0;

/// The share of dead units of a layer from which nothing is left to pass. Half of them is what ReLU
/// has where all inputs have become alike.
const DEAD: f64 = 0.9;

/// The share of saturated pre-activations of a layer from which most gradients stop there.
const SATURATED: f64 = 0.5;

/// The most layers that a limit is looked for.
const DEEPEST: usize = 1000;

/// One of the two ways through a network, from where it starts: the signal's or the gradient's.
struct Way {
    what: &'static str,
    /// Measured variances: at the start, and after each layer.
    whole: Vec<f64>,
    /// Those from the start, or for gradients from the last hidden layer, to the end of the hidden ones.
    measured: std::ops::Range<usize>,
    /// The logarithm of the factor on variances a layer, as [`RULE`] has it.
    rate: f64,
    /// By how much the logarithm of a second moment strays most from the theory's.
    strays: f64,
    /// The theory's factor a layer further on, where measured layers follow the theory.
    settled: Option<f64>,
}

impl Way {
    /// Whether the rate is more than a healthy network has.
    fn changes(&self) -> bool {
        self.rate.abs() > 2.0 * RATE.ln()
    }
}

/// Judges a network by what was measured.
pub(super) fn judge(
    network: &Network,
    layers: &[LayerReport],
    boundary: &Boundary,
) -> Result<Verdict> {
    let [signal, gradient] = ways(network, layers, boundary)?;
    let (kind, mut reason) = reasons(layers, [&signal, &gradient]);
    if let (Kind::Vanishing, Some(omega)) = (kind, missing_omega(network)) {
        let own = network.nonlinearity();
        reason +=
            &format!("; SIREN's weights are divided by an omega of {omega}, which {own} lacks");
    }
    // Of equal units there is nothing more to say.
    let limit = |way: &Way| if kind == Kind::Symmetric { None } else { limit(way) };
    let (signal_limit, gradient_limit) = (limit(&signal), limit(&gradient));
    Ok(Verdict { kind, reason, signal_limit, gradient_limit })
}

/// How far predictions are from [`RULE`]: the greater of the two rates, as a share of what a healthy
/// network may have; none where there is no prediction.
pub(super) fn strain(
    network: &Network,
    predicted: &[Option<Prediction>],
    boundary: &Boundary,
) -> Result<Option<f64>> {
    let hidden = &predicted[..predicted.len() - 1];
    if hidden.iter().any(Option::is_none) {
        return Ok(None);
    }
    let further = settled(network, boundary)?;
    let ways = told(hidden.iter().copied(), boundary).into_iter().zip(further);
    let rates = ways.map(|(variances, further)| told_rate(&variances, further).abs());
    Ok(Some(rates.fold(0.0, f64::max) / (2.0 * RATE.ln())))
}

/// Predicted variances of the signal, from the input to the last hidden layer, and of the gradient,
/// from there to the first; NaN where there is none.
fn told(hidden: impl Iterator<Item = Option<Prediction>>, boundary: &Boundary) -> [Vec<f64>; 2] {
    let value =
        |own: Option<Prediction>, get: fn(&Prediction) -> f64| own.as_ref().map_or(f64::NAN, get);
    let (mut signal, mut gradient) = (vec![start(boundary)], Vec::new());
    for own in hidden {
        signal.push(value(own, |own| own.activation_var));
        gradient.push(value(own, |own| own.gradient_var));
    }
    gradient.reverse();
    [signal, gradient]
}

/// The variance of the input.
fn start(boundary: &Boundary) -> f64 {
    boundary.square - boundary.mean * boundary.mean
}

fn ways(network: &Network, layers: &[LayerReport], boundary: &Boundary) -> Result<[Way; 2]> {
    let hidden = &layers[..layers.len() - 1];
    let predicted = layers.iter().any(|own| own.predicted.is_some());
    let further = if predicted { settled(network, boundary)? } else { [None; 2] };
    let [told_signal, told_gradient] = told(hidden.iter().map(|own| own.predicted), boundary);
    let second = |mean: f64, var: f64| var + mean * mean;
    let way = |what, whole: Vec<f64>, from: usize, told: Vec<f64>, further: Option<f64>| {
        let (mut follows, mut strays) = (predicted, 0f64);
        for (own, layer) in hidden.iter().filter_map(|own| Some((own.predicted?, own))) {
            // Second moments are what the theory's bands are of.
            let (found, wanted, band) = match what {
                SIGNAL => (
                    second(layer.activation_mean.mean, layer.activation_var.mean),
                    second(own.activation_mean, own.activation_var),
                    own.activation_band,
                ),
                _ => (layer.gradient_var.mean, own.gradient_var, own.gradient_band),
            };
            if found == wanted || !(wanted > 0.0 && wanted.is_finite()) {
                continue;
            }
            let off = (found / wanted).ln();
            // As for any that is normal but for one in a million.
            follows &= off.abs() <= (4.9 * band + 0.5 * band * band).max(0.1);
            if off.abs() > strays.abs() {
                strays = off;
            }
        }
        let settled = further.filter(|_| follows);
        let own = &whole[1..=hidden.len()];
        let rate = match follows {
            true => told_rate(&told, settled),
            false => nearest([mean_rate(own), mean_rate(&own[own.len() / 2..])]),
        };
        Way { what, measured: from..hidden.len() + 1, whole, rate, strays, settled }
    };
    let signal = std::iter::once(start(boundary))
        .chain(layers.iter().map(|own| own.activation_var.mean))
        .collect();
    let gradient = layers.iter().rev().map(|own| own.gradient_var.mean).collect();
    Ok([
        way(SIGNAL, signal, 0, told_signal, further[0]),
        way(GRADIENT, gradient, 1, told_gradient, further[1]),
    ])
}

const SIGNAL: &str = "signal";
const GRADIENT: &str = "gradient";

/// The mean change of the logarithm a step, over those before nothing is left; none of fewer than two.
fn mean_rate(variances: &[f64]) -> Option<f64> {
    let sound = |variance: &&f64| **variance > 0.0 && variance.is_finite();
    let lasting = variances.iter().take_while(sound).count();
    let steps = lasting.checked_sub(1).filter(|&steps| steps > 0)?;
    Some((variances[steps] / variances[0]).ln() / steps as f64)
}

/// Of predicted variances: what they settle to, where that is known; 0 where no layer follows on
/// another.
fn told_rate(variances: &[f64], settled: Option<f64>) -> f64 {
    mean_rate(variances).map_or(0.0, |mean| settled.map_or(mean, f64::ln))
}

/// The rate that is nearest to 0; 0 where there is none.
fn nearest(rates: [Option<f64>; 2]) -> f64 {
    let rates = rates.into_iter().flatten().filter(|rate| !rate.is_nan());
    rates.min_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0)
}

fn reasons(layers: &[LayerReport], ways: [&Way; 2]) -> (Kind, String) {
    let hidden = &layers[..layers.len() - 1];
    let width = hidden.iter().map(|layer| layer.width).min().unwrap_or(0);
    if !hidden.is_empty() && hidden.iter().all(|layer| layer.equal_units) {
        return (
            Kind::Symmetric,
            format!(
                "all {width} units of a hidden layer are equal and get equal gradients: however \
                 long it trains, each layer is one unit wide"
            ),
        );
    }
    if let Some(layer) = layers.iter().find(|layer| layer.not_finite > 0) {
        return (Kind::Exploding, format!("activations overflow float32 in layer {}", layer.layer));
    }
    let infinite = |layer: &&LayerReport| !layer.gradient_var.mean.is_finite();
    if let Some(layer) = layers.iter().rev().find(infinite) {
        return (Kind::Exploding, format!("gradients overflow float32 in layer {}", layer.layer));
    }
    // Units that are flat because the signal is gone are not dead: they are the end of vanishing.
    let lively = |layer: &&LayerReport| {
        layer.preactivation_var.mean + layer.preactivation_mean.mean.powi(2) > 1e-60
    };
    if let Some(layer) = hidden.iter().filter(lively).find(|layer| layer.dead.mean >= DEAD) {
        return (
            Kind::Dead,
            format!(
                "{} of layer {}'s units have slope 0 for every input: no gradient passes them",
                percent(layer.dead.mean),
                layer.layer
            ),
        );
    }
    let worst = hidden.iter().max_by(|a, b| a.saturated.mean.total_cmp(&b.saturated.mean));
    if let Some(layer) = worst.filter(|layer| layer.saturated.mean >= SATURATED) {
        return (
            Kind::Saturated,
            format!(
                "{} of layer {}'s pre-activations lie where the nonlinearity is flat",
                percent(layer.saturated.mean),
                layer.layer
            ),
        );
    }
    for way in ways {
        if let Some(found) = lost(way, width) {
            return found;
        }
    }
    let [signal, gradient] = ways.map(|way| number(change(&way.whole[way.measured.clone()])));
    let reason = match hidden.len() {
        0 => "a single layer: no depth to be lost in, and its weights get their gradient".into(),
        1 => format!(
            "over its hidden layer the signal's standard deviation changes by a factor of {signal}"
        ),
        count => format!(
            "over {count} hidden layers the signal's standard deviation changes by a factor of \
             {signal}, the gradient's by {gradient}"
        ),
    };
    (Kind::Healthy, reason)
}

/// Whether a way is lost, by rate or by chance.
fn lost(way: &Way, width: u64) -> Option<(Kind, String)> {
    let (what, variances) = (way.what, &way.whole[way.measured.clone()]);
    let lasting = variances.iter().take_while(|&&variance| variance > 0.0).count();
    let gone = lasting < variances.len();
    let kind = |rises: bool| if rises { Kind::Exploding } else { Kind::Vanishing };
    let how = |rises: bool| if rises { "multiplied" } else { "divided" };
    let times = |logarithm: f64| number((0.5 * logarithm.abs()).exp());
    if gone {
        let falls = way.changes() && way.rate < 0.0;
        let rate = falls.then(|| format!("divided by {} a layer, and ", times(way.rate)));
        let text = format!(
            "the {what}'s standard deviation is {}exactly 0 after {}",
            rate.unwrap_or_default(),
            counted(way.measured.start + lasting.saturating_sub(1), "layer")
        );
        return Some((Kind::Vanishing, text));
    }
    if way.changes() {
        let rises = way.rate > 0.0;
        let seen = 2.0 * change(variances).ln();
        let text = format!(
            "the {what}'s standard deviation {} {} by {} a layer; measured over {}, it is {} by {}",
            if way.settled.is_some() { "settles to being" } else { "is" },
            how(rises),
            times(way.rate),
            counted(variances.len().saturating_sub(1), "layer"),
            how(seen > 0.0),
            times(seen)
        );
        return Some((kind(rises), text));
    }
    if way.strays.abs() > 2.0 * CHANCE.ln() {
        let rises = way.strays > 0.0;
        let text = format!(
            "at a width of {width} chance has {} the {what}'s standard deviation by {} over {}: \
             it is too narrow for its depth",
            how(rises),
            times(way.strays),
            counted(variances.len(), "layer")
        );
        return Some((kind(rises), text));
    }
    None
}

/// From the first to the last, as a factor on the standard deviation.
fn change(variances: &[f64]) -> f64 {
    match (variances.first(), variances.last()) {
        (Some(first), Some(last)) if *first > 0.0 => (last / first).sqrt(),
        _ => 1.0,
    }
}

/// Where variances leave float32's range, or where the theory leads them.
fn limit(way: &Way) -> Option<RangeLimit> {
    let variances = &way.whole;
    let out = |variance: f64| !(SMALLEST..=LARGEST).contains(&variance);
    if let Some(depth) = variances.iter().position(|&variance| out(variance)) {
        // NaN comes of infinities.
        let overflow = variances[depth].is_nan() || variances[depth] > 1.0;
        // What is exactly 0 underflows where it was near; else something multiplied it by 0.
        let near = || depth > 0 && variances[depth - 1] < 1e-60;
        let left = depth > 0 && (variances[depth] != 0.0 || near());
        return left.then_some(RangeLimit { overflow, depth, seen: true });
    }
    let last = variances.len().checked_sub(1)?;
    // What is no rate leads nowhere.
    let rate = way.settled.filter(|_| way.changes())?.ln();
    let end = if rate > 0.0 { LARGEST } else { SMALLEST };
    let depth = last as f64 + ((end / variances[last]).ln() / rate).ceil();
    (last as f64..=DEEPEST as f64).contains(&depth).then_some(RangeLimit {
        overflow: rate > 0.0,
        depth: depth as usize,
        seen: false,
    })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Three digits.
fn number(value: f64) -> String {
    match value {
        _ if (0.01..1000.0).contains(&value) => {
            let digits = (2 - value.log10().floor() as i32).clamp(0, 4) as usize;
            let text = format!("{value:.digits$}");
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').into()
            } else {
                text
            }
        }
        _ => format!("{value:.1e}"),
    }
}
