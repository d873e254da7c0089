//! Why Xavier's weights can end lower than He's, where they do: what is measured of both at the start.

use fanin::model::{Network, Outcome};
use fanin::probe::{self, LayerReport, ProbeOptions};
use fanin::{Device, Result, counted};

use super::spread::{Runs, grouped};
use super::{Ended, Prepared};
use crate::cli::table::short;

/// Rows of the training set that a network is probed with.
const ROWS: usize = 256;

/// A depth at which what a layer loses is seen.
const DEEP: i32 = 30;

/// In words, where a network that Xavier's scheme began ended lower than one that He's did, and both
/// learned; none elsewhere, and where a probe does not know the network.
pub(super) fn xavier_below_he(
    ended: &[Ended],
    set: &Prepared,
    device: &Device,
) -> Result<Option<String>> {
    let groups = grouped(ended);
    let learned = |runs: &&Runs| runs.ended.iter().all(|own| own.outcome == Outcome::Learned);
    let begun = |names: [&str; 2]| {
        let named = |runs: &&Runs| names.iter().any(|name| runs.init.starts_with(name));
        groups.iter().filter(learned).find(named)
    };
    let (Some(xavier), Some(he)) = (begun(["xavier_", "glorot_"]), begun(["he_", "kaiming_"]))
    else {
        return Ok(None);
    };
    let (Some(low), Some(high)) = (xavier.last_loss(), he.last_loss()) else { return Ok(None) };
    let firsts = [xavier, he].map(|runs| runs.first_loss().map(|first| first.median));
    let [Some(first), Some(other)] = firsts else { return Ok(None) };
    if low.median >= high.median {
        return Ok(None);
    }
    let at_start = |init: &str| -> Option<Start> {
        let (_, network) = set.networks.iter().find(|(own, _)| own == init)?;
        Start::of(network, set, device)
    };
    let (Some(own), Some(its)) = (at_start(xavier.init), at_start(he.init)) else {
        return Ok(None);
    };
    // Another reason than the one that is told here.
    if own.kept >= its.kept.min(1.0) {
        return Ok(None);
    }
    let a_layer = own.kept.powf(1.0 / f64::from(own.layers));
    Ok(Some(format!(
        "{0} ended lower than {1}: a last loss of {2} against {3}. So shallow a network bears what it \
         takes from the signal: as it was drawn, the standard deviation falls to {4} of itself over {5} \
         ({1}: to {6}); at that rate {DEEP} would leave {7}. And it starts nearer to nothing: its outputs \
         have a standard deviation of {8} ({1}: {9}), its first epoch a loss of {10} ({1}: {11}; the best \
         constant answer: {12}).",
        xavier.init,
        he.init,
        short(low.median),
        short(high.median),
        digits(own.kept),
        counted(own.layers, "layer"),
        digits(its.kept),
        digits(a_layer.powi(DEEP)),
        digits(own.output),
        digits(its.output),
        short(first),
        short(other),
        short(xavier.ended[0].baseline),
    )))
}

/// A network as it was drawn.
struct Start {
    /// What is left of the signal's standard deviation between the first hidden layer and the last.
    kept: f64,
    /// Layers between them.
    layers: u32,
    /// The outputs' standard deviation.
    output: f64,
}

impl Start {
    fn of(network: &Network, set: &Prepared, device: &Device) -> Option<Start> {
        let batch = set.train.rows().min(ROWS);
        let rows = set.train.features.to_f32();
        let inputs = rows.get(..batch * set.train.columns())?.to_vec();
        let options = ProbeOptions {
            seeds: vec![set.seed],
            batch,
            inputs: Some(inputs),
            ..ProbeOptions::default()
        };
        let run = probe::measure(device, network, &options).ok()?;
        let [first, .., last, output] = &run.layers[..] else { return None };
        let std = |layer: &LayerReport| layer.preactivation_var.mean.sqrt();
        let kept = std(last) / std(first);
        let layers = u32::try_from(last.layer - first.layer).ok()?;
        (kept.is_finite() && kept > 0.0).then(|| Start { kept, layers, output: std(output) })
    }
}

/// Two digits or so.
fn digits(value: f64) -> String {
    match value {
        0.01..100.0 => format!("{value:.2}"),
        _ => format!("{value:.0e}"),
    }
}
