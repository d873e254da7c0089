//! What is to be said of a network at initialization.

use super::predict::{Boundary, predict};
use super::run::Layer;
use crate::init::Init;
use crate::model::Mlp;

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
pub struct Limit {
    /// Whether they became too large.
    pub overflow: bool,
    /// Layers from where they start: from the input for the signal, from the output for the gradient.
    pub depth: usize,
    /// Whether it was seen; else it is where the rate of the last layers leads.
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
    pub signal_limit: Option<Limit>,
    /// Where the gradient does.
    pub gradient_limit: Option<Limit>,
    /// What to use instead, as it is written on the command line; none where it is healthy.
    pub instead: Option<String>,
}

/// A factor on standard deviations over the whole depth beyond which a network is called vanishing or
/// exploding: within it an optimizer's steps, or a learning rate, still make up for it.
const FACTOR: f64 = 100.0;

/// The share of dead units of a layer from which nothing is left to pass. Half of them is what ReLU
/// has where all inputs have become alike.
const DEAD: f64 = 0.9;

/// The share of saturated pre-activations of a layer from which most gradients stop there.
const SATURATED: f64 = 0.5;

/// The most layers that a limit is looked for.
const DEEPEST: usize = 1000;

/// The ends of float32's normal numbers, squared: variances there.
const SMALLEST: f64 = 1.4e-76;
const LARGEST: f64 = 1.16e77;

/// Judges a network by what was measured.
pub(super) fn judge(mlp: &Mlp, layers: &[Layer], boundary: &Boundary) -> Verdict {
    let signal: Vec<f64> = std::iter::once(boundary.square - boundary.mean * boundary.mean)
        .chain(layers.iter().map(|layer| layer.activation_var.mean))
        .collect();
    let gradient: Vec<f64> = layers.iter().rev().map(|layer| layer.gradient_var.mean).collect();
    let (kind, reason) = reasons(layers, &signal, &gradient);
    // Of equal units there is nothing more to say; a healthy network's drift is no rate.
    let limit = |variances: &[f64]| match kind {
        Kind::Symmetric => None,
        Kind::Healthy => limit(variances).filter(|limit| limit.seen),
        _ => limit(variances),
    };
    Verdict {
        kind,
        reason,
        signal_limit: limit(&signal),
        gradient_limit: limit(&gradient),
        instead: if kind == Kind::Healthy { None } else { advice(mlp, boundary) },
    }
}

fn reasons(layers: &[Layer], signal: &[f64], gradient: &[f64]) -> (Kind, String) {
    let hidden = &layers[..layers.len() - 1];
    let width = hidden.first().map_or(0, |layer| layer.width);
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
    if let Some(at) = gradient.iter().position(|variance| !variance.is_finite()) {
        let layer = layers.len() - at;
        return (Kind::Exploding, format!("gradients overflow float32 in layer {layer}"));
    }
    // Units that are flat because the signal is gone are not dead: they are the end of vanishing.
    let lively = |layer: &&Layer| {
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
    let (forward, back) = (change(signal), change(gradient));
    let layers = layers.len();
    for (what, variances, factor) in [("signal", signal, forward), ("gradient", gradient, back)] {
        let how = if factor < 1.0 { "divided" } else { "multiplied" };
        let kind = match factor {
            _ if factor < 1.0 / FACTOR => Kind::Vanishing,
            _ if factor > FACTOR => Kind::Exploding,
            _ => continue,
        };
        // The rate is that of the layers before nothing is left.
        let lasting = variances.iter().take_while(|&&variance| variance > 0.0).count();
        let rate =
            change(&variances[..lasting]).powf(1.0 / lasting.saturating_sub(1).max(1) as f64);
        let times = |factor: f64| number(if factor < 1.0 { 1.0 / factor } else { factor });
        let whole = match lasting == variances.len() {
            true => format!("{} over {layers}", times(factor)),
            false => format!("and is exactly 0 after {lasting}"),
        };
        return (
            kind,
            format!("the {what}'s standard deviation is {how} by {} a layer, {whole}", times(rate)),
        );
    }
    let reason = format!(
        "over {layers} layers the signal's standard deviation changes by a factor of {}, the \
         gradient's by {}",
        number(forward),
        number(back)
    );
    (Kind::Healthy, reason)
}

/// From the first to the last, as a factor on the standard deviation.
fn change(variances: &[f64]) -> f64 {
    match (variances.first(), variances.last()) {
        (Some(first), Some(last)) if *first > 0.0 => (last / first).sqrt(),
        _ => 1.0,
    }
}

/// Where variances leave float32's range, or where their last layers lead.
fn limit(variances: &[f64]) -> Option<Limit> {
    let out = |variance: f64| !(SMALLEST..=LARGEST).contains(&variance);
    if let Some(depth) = variances.iter().position(|&variance| out(variance)) {
        // NaN comes of infinities.
        let overflow = variances[depth].is_nan() || variances[depth] > 1.0;
        return (depth > 0).then_some(Limit { overflow, depth, seen: true });
    }
    let last = variances.len().checked_sub(1)?;
    let first = last / 2;
    if first == last {
        return None;
    }
    let rate = (variances[last] / variances[first]).ln() / (last - first) as f64;
    let end = if rate > 0.0 { LARGEST } else { SMALLEST };
    let layers = ((end / variances[last]).ln() / rate).ceil();
    let depth = last as f64 + layers;
    (depth <= DEEPEST as f64).then_some(Limit {
        overflow: rate > 0.0,
        depth: depth as usize,
        seen: false,
    })
}

/// What the theory would use for this network: the first of the usual initializers that keeps both
/// scales, without changing the network if that can be.
fn advice(mlp: &Mlp, boundary: &Boundary) -> Option<String> {
    let activation = mlp.nonlinearity();
    let scaled = format!("xavier_normal:gain={:.2}", 1.0 / (mlp.layers() as f64).sqrt());
    let own = format!("he_normal:nonlinearity={activation}");
    let critical = format!("critical:{activation}");
    let rectifies = activation.value(-30.0).abs() < 0.1 * activation.value(30.0).abs();
    let named =
        if rectifies { ["he_normal", "xavier_normal"] } else { ["xavier_normal", "he_normal"] };
    let candidates = [named[0], named[1], "lecun_normal", &own, &critical, &scaled];
    // The theory of correlations is not asked for.
    let boundary = Boundary { correlation: f64::NAN, ..*boundary };
    let keeps = |mlp: &Mlp, init: &str| {
        let init: Init = init.parse().ok()?;
        let mlp = mlp.clone().init(init).bias(Init::zeros());
        let layers = predict(&mlp, &boundary).ok()?.into_iter().collect::<Option<Vec<_>>>()?;
        let signal = change(&[boundary.square, layers.last()?.activation_var]);
        let gradient = change(&[boundary.gradient, layers.first()?.gradient_var]);
        let small = |factor: f64| factor > FACTOR.sqrt().recip() && factor < FACTOR.sqrt();
        (small(signal) && small(gradient)).then_some(())
    };
    let networks = [
        (mlp.clone(), ""),
        (mlp.clone().layer_norm(true), ", with layer norm"),
        (mlp.clone().residual(true), ", with residual connections"),
        (mlp.clone().layer_norm(true).residual(true), ", with layer norm and residual connections"),
    ];
    networks.iter().find_map(|(network, how)| {
        let found = candidates.iter().find(|init| keeps(network, init).is_some())?;
        Some(format!("{found}{how}"))
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
