//! What to use instead of what is not healthy: tried before it is said.

use std::fmt;

use super::measure::{ProbeOptions, measure};
use super::predict::{Boundary, predicted};
use super::run::Run;
use super::verdict::{Kind, strain};
use crate::device::Device;
use crate::init::{Family, FanMode, Init};
use crate::model::layers::ParameterKind;
use crate::model::{Mlp, Network, Placed};
use crate::{Activation, Result};

/// A network in place of another: its initializer, and what else is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The initializer of the weights, as it is written.
    pub init: String,
    /// The initializer of the biases, where it is another.
    pub bias: Option<String>,
    /// All widths, where they are others.
    pub widths: Option<Vec<u64>>,
    /// The nonlinearity, where it is another.
    pub activation: Option<Activation>,
    /// Whether layer norm joins.
    pub layer_norm: bool,
    /// Whether residual connections join.
    pub residual: bool,
}

impl Change {
    fn of(init: String) -> Change {
        Change {
            init,
            bias: None,
            widths: None,
            activation: None,
            layer_norm: false,
            residual: false,
        }
    }

    /// The network with the change.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where an initializer is none that the catalogue
    /// knows.
    pub fn apply(&self, mlp: &Mlp) -> Result<Mlp> {
        let bias = self.bias.as_ref().map(|bias| bias.parse()).transpose()?;
        let mut other = mlp.with(self.init.parse()?, bias);
        if let Some(widths) = &self.widths {
            other = other.with_widths(widths.clone());
        }
        if let Some(activation) = self.activation {
            other = other.activation(activation);
        }
        let (layer_norm, residual) =
            (other.has_layer_norm() || self.layer_norm, other.has_residual() || self.residual);
        Ok(other.layer_norm(layer_norm).residual(residual))
    }
}

/// `he_normal, with zero biases`, `he_normal at width 256, with layer norm`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.init)?;
        match self.widths.as_deref() {
            Some([first, rest @ ..]) if rest.iter().all(|width| width == first) => {
                write!(f, " at width {first}")?;
            }
            Some(widths) => {
                let widths: Vec<String> = widths.iter().map(u64::to_string).collect();
                write!(f, " at widths {}", widths.join("-"))?;
            }
            None => {}
        }
        let mut with = Vec::new();
        with.extend(self.activation.map(|activation| format!("activation {activation}")));
        with.extend(self.bias.as_ref().map(|bias| match bias.as_str() {
            ZEROS => "zero biases".to_owned(),
            bias => format!("biases {bias}"),
        }));
        with.extend(self.layer_norm.then(|| "layer norm".to_owned()));
        with.extend(self.residual.then(|| "residual connections".to_owned()));
        match with.split_last() {
            None => Ok(()),
            Some((last, [])) => write!(f, ", with {last}"),
            Some((last, others)) => write!(f, ", with {} and {last}", others.join(", ")),
        }
    }
}

const ZEROS: &str = "zeros";

/// What trying came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The first that was measured and healthy, on the same seeds, batch and inputs; none where
    /// nothing that was tried was.
    pub instead: Option<Change>,
    /// Those that were measured before it and were not.
    pub tried: Vec<Change>,
}

/// Networks that an advice measures at most.
const TRIES: usize = 10;

/// Initializers of one structure that it measures at most.
const TRIES_ALIKE: usize = 2;

/// Multiply-adds forward and back that a network may take to be tried, where the probed one took less:
/// seconds on a CPU.
const WORK: f64 = 1e11;

/// Looks for what is healthy, and remembers what was measured.
pub struct Advisor<'a> {
    device: &'a Device,
    options: &'a ProbeOptions,
    known: Vec<Known>,
}

/// A network that was measured.
struct Known {
    mlp: Mlp,
    /// Its initializer, as it is written.
    init: String,
    kind: Kind,
}

impl<'a> Advisor<'a> {
    /// One that measures on a device, by these options.
    pub fn new(device: &'a Device, options: &'a ProbeOptions) -> Advisor<'a> {
        Advisor { device, options, known: Vec::new() }
    }

    /// Remembers a measured network, so that it is not measured again.
    pub fn note(&mut self, mlp: &Mlp, run: &Run) {
        self.known.push(Known { mlp: mlp.clone(), init: run.init.clone(), kind: run.verdict.kind });
    }

    /// What is healthy in place of a network that is not, as little as possible being changed: the gain
    /// of an orthogonal initializer, another initializer, then zero biases, wider layers, layer norm,
    /// residual connections, another nonlinearity. Within each, initializers go in the order of what the
    /// theory expects of them, without those of which it expects nothing good; but what was measured
    /// before and is healthy comes first. At most ten networks are measured, none of which takes long
    /// where the probed one did not; none is the one that was probed.
    ///
    /// # Errors
    /// As [`measure`], but that a network which does not fit is passed over.
    pub fn advise(&mut self, mlp: &Mlp, run: &Run) -> Result<Advice> {
        let mut tried: Vec<(Change, Mlp)> = Vec::new();
        let (mut instead, mut measured) = (None, 0);
        'all: for structure in structures(mlp, run, self.options.inputs.is_some()) {
            let mut alike = 0;
            for (change, network) in
                self.known_first(mlp, &structure, ordered(mlp, run, &structure)?)
            {
                if measured == TRIES || alike == TRIES_ALIKE {
                    break;
                }
                let costs = work(&network, self.options);
                if costs > WORK && costs > 2.0 * work(mlp, self.options) {
                    continue;
                }
                if same(mlp, &network) || tried.iter().any(|(_, other)| same(other, &network)) {
                    continue;
                }
                alike += 1;
                let known = self.known.iter().find(|known| same(&known.mlp, &network));
                let kind = match known {
                    Some(known) => known.kind,
                    None => {
                        measured += 1;
                        match measure(self.device, &network, self.options) {
                            Err(error) if error.is_usage() => continue,
                            found => {
                                let found = found?;
                                self.note(&network, &found);
                                found.verdict.kind
                            }
                        }
                    }
                };
                if kind == Kind::Healthy {
                    instead = Some(change);
                    break 'all;
                }
                tried.push((change, network));
            }
        }
        Ok(Advice { instead, tried: tried.into_iter().map(|(change, _)| change).collect() })
    }

    /// A structure's networks, those first that were measured and are healthy, so that all who ask hear of
    /// the same.
    fn known_first(
        &self,
        mlp: &Mlp,
        structure: &Change,
        ordered: Vec<(Change, Mlp)>,
    ) -> Vec<(Change, Mlp)> {
        let healthy = |network: &Mlp| {
            let known = self.known.iter().find(|known| same(&known.mlp, network));
            known.filter(|known| known.kind == Kind::Healthy)
        };
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for (mut change, network) in ordered {
            match healthy(&network) {
                // As whoever measured it wrote it.
                Some(known) => {
                    change.init.clone_from(&known.init);
                    first.push((change, network));
                }
                None => rest.push((change, network)),
            }
        }
        // Those of which the theory does not speak, too.
        if *structure == Change::of(String::new()) {
            for known in self.known.iter().filter(|known| known.kind == Kind::Healthy) {
                let change = Change::of(known.init.clone());
                if let Ok(network) = change.apply(mlp)
                    && same(&network, &known.mlp)
                {
                    first.push((change, network));
                }
            }
        }
        first.extend(rest);
        first
    }
}

/// What may be changed beside the initializer, the least first: changes whose own initializer is
/// empty for any, else the only one.
fn structures(mlp: &Mlp, run: &Run, given_inputs: bool) -> Vec<Change> {
    let plain = Change::of(String::new());
    let zeros = biased(mlp).then(|| ZEROS.to_owned());
    let mut found = Vec::new();
    if let Some(omega) = mlp.network().ok().as_ref().and_then(missing_omega) {
        let activation = Some(Activation::Sin { omega });
        found.push(Change { activation, ..Change::of(run.init.clone()) });
    }
    found.extend(fitting_gain(mlp).map(Change::of));
    found.push(plain.clone());
    let unbiased = Change { bias: zeros.clone(), ..plain.clone() };
    if zeros.is_some() {
        found.push(unbiased.clone());
    }
    let wider =
        wider(mlp, given_inputs).map(|widths| Change { widths: Some(widths), ..unbiased.clone() });
    found.extend(wider.clone());
    let bases = || std::iter::once(&unbiased).chain(&wider);
    for base in bases() {
        for (layer_norm, residual) in [(true, false), (false, true), (true, true)] {
            let adds = layer_norm && !mlp.has_layer_norm() || residual && !mlp.has_residual();
            if adds {
                let layer_norm = layer_norm && !mlp.has_layer_norm();
                let residual = residual && !mlp.has_residual();
                found.push(Change { layer_norm, residual, ..base.clone() });
            }
        }
    }
    for base in bases() {
        for activation in [Activation::Tanh, Activation::Relu] {
            if activation != mlp.nonlinearity() {
                found.push(Change { activation: Some(activation), ..base.clone() });
            }
        }
    }
    found
}

/// An orthogonal initializer with the nonlinearity's gain, where it has another: its matrices keep what the
/// nonlinearity takes away only with that.
fn fitting_gain(mlp: &Mlp) -> Option<String> {
    let activation = mlp.nonlinearity();
    let (name, own) = match mlp.network().ok()?.first_init()? {
        Init::Orthogonal { gain } => ("orthogonal", gain),
        Init::DeltaOrthogonal { gain } => ("delta_orthogonal", gain),
        _ => return None,
    };
    let init = format!("{name}:gain={activation}");
    (own != activation.gain() && init.parse::<Init>().is_ok()).then_some(init)
}

/// Multiply-adds of measuring a network, over all seeds.
fn work(mlp: &Mlp, options: &ProbeOptions) -> f64 {
    let steps = mlp.network().map_or(0.0, |network| network.multiply_adds(options.batch));
    steps * options.seeds.len() as f64
}

/// Whether some bias is drawn from another distribution than 0.
fn biased(mlp: &Mlp) -> bool {
    let own = |Placed { kind, spec, .. }: &Placed| {
        *kind == ParameterKind::Bias && (spec.source.mean(), spec.source.std()) != (0.0, 0.0)
    };
    mlp.network().and_then(|own| own.tensors()).is_ok_and(|tensors| tensors.iter().any(own))
}

/// Widths at which chance has little to say over this depth: as many units as layers, and 64 at
/// least. None where the hidden layers have them, or would have too many.
fn wider(mlp: &Mlp, given_inputs: bool) -> Option<Vec<u64>> {
    let widths = mlp.widths();
    let hidden = 1..mlp.layers();
    let enough = (mlp.layers() as u64).next_power_of_two().max(64);
    if hidden.clone().all(|at| widths[at] >= enough) {
        return None;
    }
    let level = widths.iter().all(|width| *width == widths[0]);
    if level && !given_inputs {
        return Some(vec![enough; widths.len()]);
    }
    let mut widths = widths.to_vec();
    for at in hidden {
        widths[at] = widths[at].max(enough);
    }
    Some(widths)
}

/// The omega that SIREN's weights were divided by, where the sine has another: uniform ones of
/// variance `2 / (omega^2 fan_in)`, omega being a whole number.
pub(super) fn missing_omega(network: &Network) -> Option<f64> {
    let Activation::Sin { omega: own } = network.nonlinearity() else { return None };
    let Some(Init::VarianceScaling {
        scale,
        power: 1.0,
        mode: FanMode::FanIn,
        family: Family::Uniform,
    }) = network.first_init()
    else {
        return None;
    };
    let omega = (2.0 / scale).sqrt();
    let whole = omega.round();
    let near = (omega - whole).abs() < 1e-9 * omega;
    (near && whole > 0.0 && whole != own).then_some(whole)
}

/// A structure's networks that the theory expects to be healthy, the best first, and those of which
/// it has nothing to say.
fn ordered(mlp: &Mlp, run: &Run, structure: &Change) -> Result<Vec<(Change, Mlp)>> {
    let activation = structure.activation.unwrap_or(mlp.nonlinearity());
    let candidates = match structure.init.as_str() {
        "" => {
            let mut found = candidates(&activation, mlp.layers());
            let plain =
                *structure == Change { bias: structure.bias.clone(), ..Change::of("".into()) };
            found.extend(plain.then(|| ("lsuv".to_owned(), None)));
            found
        }
        init => vec![(init.to_owned(), None)],
    };
    // The theory of correlations is not asked for.
    let boundary = Boundary { correlation: f64::NAN, ..run.boundary };
    let mut found = Vec::new();
    for (init, bias) in candidates {
        let bias = bias.or(structure.bias.clone());
        let change = Change { init, bias, ..structure.clone() };
        let Ok(network) = change.apply(mlp) else { continue };
        // One that does not fit this network, as where no variance is critical.
        let Ok(made) = network.network() else { continue };
        let Ok(predictions) = predicted(&made, &boundary) else { continue };
        // What scales itself by the data is beyond prediction.
        let told = match made.first_init() {
            Some(Init::Lsuv { .. }) => None,
            _ => strain(&made, &predictions, &boundary)?,
        };
        match told {
            // Biases are a change more. In steps: among those that are as good the usual comes first.
            Some(strain) if strain <= 1.0 => {
                let biased = change.bias != structure.bias;
                found.push(((biased, (4.0 * strain).floor()), change, network));
            }
            Some(_) => {}
            None => found.push(((true, f64::INFINITY), change, network)),
        }
    }
    found.sort_by(|((a, a_strain), ..), ((b, b_strain), ..)| {
        a.cmp(b).then(a_strain.total_cmp(b_strain))
    });
    Ok(found.into_iter().map(|(_, change, network)| (change, network)).collect())
}

/// Initializers for a nonlinearity, the usual ones first, with biases where they belong to them.
fn candidates(activation: &Activation, layers: usize) -> Vec<(String, Option<String>)> {
    let rectifies = activation.value(-30.0).abs() < 0.1 * activation.value(30.0).abs();
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    if let Activation::Sin { omega } = activation
        && *omega != 1.0
    {
        let own = if *omega == 30.0 { "siren".into() } else { format!("siren:{omega}") };
        found.push((own, None));
    }
    let usual = match rectifies {
        true => ["he_normal", "xavier_normal", "lecun_normal"],
        false => ["xavier_normal", "he_normal", "lecun_normal"],
    };
    found.extend(usual.map(|init| (init.to_owned(), None)));
    // What the catalogue cannot name is left out.
    if activation.to_string().parse::<Activation>().is_ok() {
        found.push((format!("he_normal:nonlinearity={activation}"), None));
        let bias = format!("critical_bias:{activation}");
        let biased = bias.parse::<Init>().is_ok_and(|init| init != Init::zeros());
        found.push((format!("critical:{activation}"), biased.then_some(bias)));
    }
    // Branches that are added up keep their sum where each is small.
    found.push((format!("xavier_normal:gain={:.2}", 1.0 / (layers as f64).sqrt()), None));
    found
}

/// Whether two networks are one: in form, and in what each tensor is drawn from.
fn same(a: &Mlp, b: &Mlp) -> bool {
    let form = |mlp: &Mlp| {
        (mlp.widths().to_vec(), mlp.nonlinearity(), mlp.has_residual(), mlp.has_layer_norm())
    };
    let drawn = |mlp: &Mlp| mlp.network().and_then(|network| network.tensors()).ok();
    // What scales itself is drawn as orthogonal matrices are.
    let alike = |a: &Placed, b: &Placed| {
        (&a.spec.name, a.spec.source, a.lsuv) == (&b.spec.name, b.spec.source, b.lsuv)
    };
    form(a) == form(b)
        && match (drawn(a), drawn(b)) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| alike(a, b)),
            _ => false,
        }
}
