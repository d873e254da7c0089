use fanin::counted;
use fanin::probe::{Change, Kind, RangeLimit, Run};

use super::Network;
use crate::cli::flags;

/// A sign for a verdict: a shape, so that it does not take colours.
pub fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Healthy => "✓",
        Kind::Vanishing => "↓",
        Kind::Exploding => "↑",
        Kind::Symmetric => "=",
        Kind::Dead => "×",
        Kind::Saturated => "⊥",
    }
}

/// Where float32 ends, in words.
pub fn limits(run: &Run) -> String {
    let of = |what: &str, back: &str, limit: Option<RangeLimit>| {
        let RangeLimit { overflow, depth, seen } = limit?;
        let how = if overflow { "overflow" } else { "underflow" };
        let how = if seen { format!("{how}s") } else { format!("would {how}") };
        Some(format!("the {what} {how} float32 after {}{back}", counted(depth, "layer")))
    };
    let found = [
        of("signal", "", run.verdict.signal_limit),
        of("gradient", " back from the output", run.verdict.gradient_limit),
    ];
    found.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What was tried and is healthy, with its flags where more than the initializer changes; empty where
/// nobody looked.
pub fn instead(run: &Run, network: &Network) -> String {
    let Some(advice) = &run.advice else { return String::new() };
    match &advice.instead {
        Some(change) => match best(network).filter(|best| best.init != change.to_string()) {
            Some(best) => format!("{}, or {}", told(change, run), best.init),
            None => told(change, run),
        },
        None => {
            let tried: Vec<String> = advice.tried.iter().map(Change::to_string).collect();
            match tried.is_empty() {
                true => "nothing is known that would be healthy here".into(),
                false => format!("nothing that was tried is healthy here: {}", tried.join("; ")),
            }
        }
    }
}

fn told(change: &Change, run: &Run) -> String {
    let text = change.to_string();
    if text == change.init { text } else { format!("{text} ({})", flags::changed(change, run)) }
}

/// The run that all others are advised to be: one that is advised, or else the one that keeps most.
fn best<'a>(network: &Network<'a>) -> Option<&'a Run> {
    let healthy = || network.runs.iter().copied().filter(|run| run.verdict.kind == Kind::Healthy);
    let advised = |run: &&Run| {
        let changes =
            network.runs.iter().filter_map(|other| other.advice.as_ref()?.instead.as_ref());
        changes.map(Change::to_string).any(|init| init == run.init)
    };
    healthy().find(advised).or_else(|| healthy().min_by(|a, b| drift(a).total_cmp(&drift(b))))
}

/// What to use, in a sentence, and why.
pub fn headline(network: &Network<'_>) -> String {
    let healthy: Vec<&Run> =
        network.runs.iter().copied().filter(|run| run.verdict.kind == Kind::Healthy).collect();
    let others: Vec<&Run> =
        network.runs.iter().copied().filter(|run| run.verdict.kind != Kind::Healthy).collect();
    let advised =
        others.iter().find_map(|run| Some((run.advice.as_ref()?.instead.as_ref()?, *run)));
    let alone = network.runs.len() == 1;
    let none = if alone { "It does not train as it is" } else { "None of these trains as it is" };
    match (best(network), advised) {
        (Some(best), _) if alone => format!("{} keeps both signal and gradient.", best.init),
        (Some(best), _) if healthy.len() == 1 => {
            format!("Use {}: of these, it alone keeps both signal and gradient.", best.init)
        }
        (Some(best), _) => format!(
            "Use {}; {} of {} initializers keep both signal and gradient here.",
            best.init,
            healthy.len(),
            network.runs.len()
        ),
        (None, Some((change, run))) => {
            format!("{none}. Use {}.", told(change, run))
        }
        (None, None) => format!("{none}, and nothing that was tried cures it."),
    }
}

/// How far signal and gradient are from where they started, in the logarithm of their variances.
fn drift(run: &Run) -> f64 {
    let (Some(first), Some(last)) = (run.layers.first(), run.layers.last()) else { return 0.0 };
    let of = |a: f64, b: f64| (a / b).ln().abs();
    of(last.activation_var.mean, first.activation_var.mean)
        + of(first.gradient_var.mean, last.gradient_var.mean)
}
