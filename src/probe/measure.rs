use std::ops::Range;

use super::predict::{Boundary, predicted};
use super::run::{LayerReport, Prediction, Run, Spread};
use super::verdict::judge;
use crate::device::{Device, Execution, Room};
use crate::model::layers::ParameterKind;
use crate::model::{Memory, Network, Placed, Wired};
use crate::op::{
    BATCH, Epilogue, Extreme, Form, GRADIENTS, Histogram, Op, PARAMETERS, Program, Resident,
    Summary, View,
};
use crate::random::{Distribution, Dtype, Stream};
use crate::{Activation, Error, Result, counted};

/// How a network is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeOptions {
    /// Networks, one of each seed.
    pub seeds: Vec<u64>,
    /// Inputs a batch, two at least: rows `2 i` and `2 i + 1` are a pair.
    pub batch: usize,
    /// The cosine between the two inputs of a pair, from -1 to 1; inputs are standard normal.
    pub correlation: f64,
    /// The batch's own inputs, row after row, instead of normal ones; rows that follow each other
    /// are then pairs.
    pub inputs: Option<Vec<f32>>,
    /// Whether distributions, correlations and units are looked at and predictions made, or the scale
    /// of signals is measured alone.
    pub details: bool,
}

/// One seed, 256 inputs, pairs with a cosine of 0.5.
impl Default for ProbeOptions {
    fn default() -> Self {
        ProbeOptions { seeds: vec![0], batch: 256, correlation: 0.5, inputs: None, details: true }
    }
}

/// Rows whose cosines are looked at.
const PAIRED: usize = 64;

/// Bins of a layer's histogram.
const BINS: usize = 48;

/// What one seed's layer came to.
struct Measured {
    values: Summary,
    output: Summary,
    gradient: Summary,
    weight_gradient: Summary,
    dead: f64,
    saturated: f64,
    correlation: f64,
    equal_units: bool,
    histogram: Option<Histogram>,
}

/// Measures a network at initialization, on a device: one batch
/// forward, a gradient of independent standard normals at the output, and back.
///
/// Memory holds two matrices `[batch, width]` a layer (four with layer norm) and the parameters of
/// one layer: those of the others are drawn again when their turn comes.
///
/// # Errors
/// [`Error::Invalid`] where options are out of range, an initializer does not fit, or the memory that
/// is free does not hold the batch (the message says which batch it would hold); [`Error::Device`]
/// where the device refuses.
pub fn measure(
    device: &Device,
    network: impl TryInto<Network, Error = Error>,
    options: &ProbeOptions,
) -> Result<Run> {
    let network = network.try_into()?;
    let columns = network.input().elements() as usize;
    check(options, columns)?;
    let tensors = network.tensors()?;
    let mut running = Running::new(device, &network, options)?;
    let widths = network.widths()?;

    let mut seeds = Vec::new();
    let mut lsuv = Vec::new();
    let mut boundary = None;
    for &seed in &options.seeds {
        let inputs = match &options.inputs {
            Some(inputs) => inputs.clone(),
            None => inputs(seed, options.batch, columns, options.correlation),
        };
        running.execution.write(BATCH, 0, &inputs)?;
        let here = of_inputs(&inputs, columns, options.batch);
        // The first seed's inputs stand for all: they differ by a thousandth.
        boundary.get_or_insert(here);
        let (layers, met) = running.pass(seed, &tensors, seeds.is_empty())?;
        seeds.push(layers);
        if lsuv.is_empty() {
            lsuv = met;
        }
    }
    let boundary = boundary.unwrap_or(Boundary {
        mean: 0.0,
        square: 1.0,
        correlation: options.correlation,
        gradient: 1.0,
        batch: options.batch,
    });
    // What LSUV scales follows the data, not the initializer.
    let predictions = match lsuv.is_empty() && options.details {
        true => predicted(&network, &boundary)?,
        false => vec![None; widths.len() - 1],
    };
    let layers = (0..widths.len() - 1)
        .map(|layer| merge(layer, widths[layer + 1], &seeds, predictions[layer]));
    let layers: Vec<LayerReport> = layers.collect();
    let text = |kind: ParameterKind| {
        let found = tensors.iter().find(|placed| placed.kind == kind);
        found.map_or(String::new(), |placed| placed.spec.init.clone())
    };
    Ok(Run {
        init: text(ParameterKind::Weight),
        bias: text(ParameterKind::Bias),
        activation: network.nonlinearity(),
        widths,
        residual: network.has_residual(),
        layer_norm: network.has_norm(),
        seeds: options.seeds.clone(),
        batch: options.batch,
        verdict: judge(&network, &layers, &boundary)?,
        advice: None,
        boundary,
        layers,
        lsuv,
    })
}

fn check(options: &ProbeOptions, columns: usize) -> Result<()> {
    if options.seeds.is_empty() {
        return Err(Error::invalid("seeds", "none", "at least one"));
    }
    if options.batch < 2 {
        return Err(Error::invalid(
            "batch",
            options.batch,
            "at least 2 inputs: they come in pairs",
        ));
    }
    if !(-1.0..=1.0).contains(&options.correlation) {
        return Err(Error::invalid("correlation", options.correlation, "a number from -1 to 1"));
    }
    if let Some(inputs) = &options.inputs {
        if inputs.len() != options.batch * columns {
            let needed = format!("{} of {columns}", counted(options.batch, "row"));
            return Err(Error::invalid("inputs", counted(inputs.len(), "value"), needed));
        }
        if let Some(at) = inputs.iter().position(|value| !value.is_finite()) {
            let what = format!("inputs, row {}, column {}", at / columns, at % columns);
            return Err(Error::invalid(what, inputs[at], "finite numbers"));
        }
    }
    Ok(())
}

/// Standard normal inputs; of each pair the second is a mixture of the first and its own.
fn inputs(seed: u64, batch: usize, columns: usize, correlation: f64) -> Vec<f32> {
    let mut values = vec![0f32; batch * columns];
    let stream = Stream::named(seed, "probe.inputs");
    let normal = Distribution::normal(1.0);
    crate::cpu::fill(&stream, &normal, Dtype::F32, 0, bytemuck::cast_slice_mut(&mut values))
        .expect("a standard normal");
    let own = (1.0 - correlation * correlation).sqrt() as f32;
    for pair in values.chunks_exact_mut(2 * columns) {
        let (first, second) = pair.split_at_mut(columns);
        for (second, first) in second.iter_mut().zip(first) {
            *second = correlation as f32 * *first + own * *second;
        }
    }
    values
}

/// What the theory starts from.
fn of_inputs(inputs: &[f32], columns: usize, batch: usize) -> Boundary {
    let sum = |terms: &mut dyn Iterator<Item = f64>| terms.sum::<f64>() / inputs.len() as f64;
    let values = || inputs.iter().copied().map(f64::from);
    let rows: Vec<&[f32]> = inputs.chunks_exact(columns).collect();
    let (cosines, count) = rows
        .chunks_exact(2)
        .filter_map(|pair| {
            let dot = |a: usize, b: usize| -> f64 {
                pair[a].iter().zip(pair[b]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
            };
            Some(dot(0, 1) / (dot(0, 0) * dot(1, 1)).sqrt()).filter(|cosine| cosine.is_finite())
        })
        .fold((0.0, 0.0), |(sum, count), cosine| (sum + cosine, count + 1.0));
    Boundary {
        mean: sum(&mut values()),
        square: sum(&mut values().map(|value| value * value)),
        correlation: if count > 0.0 { cosines / count } else { 0.0 },
        gradient: 1.0,
        batch,
    }
}

/// A network on its device.
struct Running<'a> {
    execution: Box<dyn Execution>,
    wired: Wired,
    activations: Vec<Activation>,
    options: &'a ProbeOptions,
    least: View,
    greatest: View,
    gram: View,
}

impl<'a> Running<'a> {
    fn new(device: &Device, network: &Network, options: &'a ProbeOptions) -> Result<Running<'a>> {
        let batch = options.batch;
        let (tape, outputs) = network.wire(batch, 0, 1, Memory::Stagewise)?;
        let mut wired = tape.finish(outputs, |_, _| Vec::new());
        // Nobody trains here.
        for op in wired.forward.iter_mut().chain(&mut wired.backward).flatten() {
            *op = op.without_dropout();
        }
        fits(&wired.slots, batch)?;
        let widest = wired.stages.iter().map(|stage| stage.entering.columns).max().unwrap_or(1);
        let mut add = |rows: usize, columns: usize| {
            wired.slots.push(rows * columns);
            View { slot: wired.slots.len() - 1, first: 0, rows, columns }
        };
        let (least, greatest) = (add(1, widest), add(1, widest));
        let paired = batch.min(PAIRED);
        let gram = add(paired, paired);
        let program = Program::bare(wired.slots.clone(), batch, Vec::new());
        let resident = Resident { features: &[], columns: 1, targets: &[], target_columns: 1 };
        let execution = device.execution(&program, &resident, Room { steps: 1, rows: 1 })?;
        let activations = network.activations()?;
        Ok(Running { execution, wired, activations, options, least, greatest, gram })
    }

    /// Forward and back with the parameters of a seed; beside the layers, the variances that LSUV met.
    fn pass(
        &mut self,
        seed: u64,
        tensors: &[Placed],
        histograms: bool,
    ) -> Result<(Vec<Measured>, Vec<Vec<f64>>)> {
        let stages = self.wired.stages.len();
        let mut factors = Vec::new();
        let mut met = Vec::new();
        let mut found = Vec::new();
        // Parameters stand in the order of the tensors, those of a stage together.
        let starts = |stage| tensors.partition_point(|placed| placed.stage < stage);
        for stage in 0..stages {
            let own = starts(stage)..starts(stage + 1);
            let mut factor = 1.0;
            self.place(seed, tensors, own.clone(), factor)?;
            self.execution.carry(&self.wired.forward[stage])?;
            let lsuv = tensors[own.clone()].iter().find_map(|placed| placed.lsuv);
            if let Some((tolerance, iterations)) = lsuv {
                let mut variances = Vec::new();
                for iteration in 0..=iterations {
                    let values = self.wired.stages[stage].values;
                    let variance = self.execution.summary(values)?.variance;
                    variances.push(variance);
                    let done = (variance - 1.0).abs() < tolerance || iteration == iterations;
                    if done || !(variance > 0.0 && variance.is_finite()) {
                        break;
                    }
                    factor /= variance.sqrt();
                    self.place(seed, tensors, own.clone(), factor)?;
                    self.execution.carry(&self.wired.forward[stage])?;
                }
                met.push(variances);
            }
            factors.push(factor);
            found.push(self.look(stage, histograms)?);
        }

        let gradient = self.wired.outputs_gradient;
        let stream = Stream::named(seed, "probe.gradient");
        self.execution.fill(gradient, &stream, &Distribution::normal(1.0))?;
        for stage in (0..stages).rev() {
            let gradient = self.wired.stages[stage].output_gradient;
            found[stage].gradient = self.execution.summary(gradient)?;
            let own = starts(stage)..starts(stage + 1);
            self.place(seed, tensors, own.clone(), factors[stage])?;
            self.execution.carry(&self.wired.backward[stage])?;
            let weighs = |at: &usize| tensors[*at].kind == ParameterKind::Weight;
            if let Some(weight) = own.clone().find(weighs) {
                let gradient = self.wired.parameters[weight].view(GRADIENTS);
                found[stage].weight_gradient = self.execution.summary(gradient)?;
            }
        }
        Ok((found, met))
    }

    /// Draws a stage's parameters into their place, its weights times a factor.
    fn place(
        &mut self,
        seed: u64,
        tensors: &[Placed],
        own: Range<usize>,
        factor: f64,
    ) -> Result<()> {
        for at in own {
            let Placed { spec, kind, .. } = &tensors[at];
            let view = self.wired.parameters[at].view(PARAMETERS);
            let stream = Stream::named(seed, &spec.name);
            let factor = if *kind == ParameterKind::Weight { factor } else { 1.0 };
            crate::model::place(&mut *self.execution, view, &stream, spec, factor)?;
        }
        Ok(())
    }

    /// What the layer's forward pass left.
    fn look(&mut self, layer: usize, histograms: bool) -> Result<Measured> {
        let stage = &self.wired.stages[layer];
        let (values, output, entering) = (stage.values, stage.output, stage.entering);
        let empty = crate::op::Part::EMPTY.finish();
        let mut measured = Measured {
            values: self.execution.summary(values)?,
            output: self.execution.summary(output)?,
            gradient: empty,
            weight_gradient: empty,
            dead: 0.0,
            saturated: 0.0,
            correlation: f64::NAN,
            equal_units: false,
            histogram: None,
        };
        if !self.options.details {
            return Ok(measured);
        }
        let function = self.activations[layer];
        let (least, greatest) = (
            View { columns: values.columns, ..self.least },
            View { columns: values.columns, ..self.greatest },
        );
        let paired = View { rows: self.gram.rows, ..output };
        self.execution.carry(&[
            Op::Extremes { values: entering, extreme: Extreme::Least, out: least },
            Op::Extremes { values: entering, extreme: Extreme::Greatest, out: greatest },
            Op::Product {
                form: Form::Nt,
                a: paired,
                b: paired,
                out: self.gram,
                epilogue: Epilogue::default(),
            },
        ])?;
        let (least, greatest) = (self.execution.read(least)?, self.execution.read(greatest)?);
        let ends: Vec<(f64, f64)> =
            least.into_iter().zip(greatest).map(|(a, b)| (a.into(), b.into())).collect();
        measured.equal_units = equal(&ends);
        let dead = ends.iter().filter(|ends| flat(&function, **ends)).count();
        measured.dead = dead as f64 / ends.len() as f64;
        if let Some((low, high)) = bend(&function) {
            let histogram = self.execution.histogram(entering, low, high, 1)?;
            let outside = (histogram.below + histogram.above) as f64;
            measured.saturated = outside / entering.elements() as f64;
        }
        let gram = self.execution.read(self.gram)?;
        measured.correlation = cosine(&gram, self.gram.rows);
        let Summary { min, max, .. } = measured.output;
        let (low, high) = (min as f32, max as f32);
        if histograms && low < high && (high - low).is_finite() {
            measured.histogram = Some(self.execution.histogram(output, low, high, BINS)?);
        }
        Ok(measured)
    }
}

/// One layer over all seeds.
fn merge(
    layer: usize,
    width: u64,
    seeds: &[Vec<Measured>],
    predicted: Option<Prediction>,
) -> LayerReport {
    let all = || seeds.iter().map(|seed| &seed[layer]);
    let spread = |get: fn(&Measured) -> f64| Spread::of(all().map(get));
    LayerReport {
        layer: layer + 1,
        width,
        preactivation_mean: spread(|m| mean(&m.values)),
        preactivation_var: spread(|m| variance(&m.values)),
        activation_mean: spread(|m| mean(&m.output)),
        activation_var: spread(|m| variance(&m.output)),
        gradient_var: spread(|m| variance(&m.gradient)),
        gradient_norm: spread(|m| norm(&m.gradient)),
        weight_gradient_var: spread(|m| variance(&m.weight_gradient)),
        weight_gradient_norm: spread(|m| norm(&m.weight_gradient)),
        dead: spread(|m| m.dead),
        saturated: spread(|m| m.saturated),
        correlation: spread(|m| m.correlation),
        equal_units: all().all(|m| m.equal_units),
        not_finite: all().map(|m| m.output.nan + m.output.infinite).sum(),
        histogram: seeds[0][layer].histogram.clone(),
        predicted,
    }
}

/// A summary leaves out what is not finite; here one such element makes all of it infinite.
fn whole(summary: &Summary, value: f64) -> f64 {
    if summary.nan + summary.infinite > 0 { f64::INFINITY } else { value }
}

fn mean(summary: &Summary) -> f64 {
    if summary.nan + summary.infinite > 0 { f64::NAN } else { summary.mean }
}

fn variance(summary: &Summary) -> f64 {
    whole(summary, summary.variance)
}

fn norm(summary: &Summary) -> f64 {
    whole(summary, summary.norm)
}

/// Whether all units have one range, up to what an order of summation leaves.
fn equal(ends: &[(f64, f64)]) -> bool {
    let size = ends.iter().fold(0f64, |size, (a, b)| size.max(a.abs()).max(b.abs()));
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * size;
    ends.len() > 1 && ends.iter().all(|&(a, b)| near(a, ends[0].0) && near(b, ends[0].1))
}

/// Whether the function is flat all the way between two arguments, and not only at both.
fn flat(function: &Activation, (low, high): (f64, f64)) -> bool {
    function.derivative(low) == 0.0
        && function.derivative(high) == 0.0
        && function.value(low) == function.value(high)
}

/// Between which arguments a function that is bounded on both sides has a slope of at least a
/// twentieth of its greatest; none for functions that are not, or whose slope is 0 next to 0.
fn bend(function: &Activation) -> Option<(f32, f32)> {
    let slope = |x: f64| function.derivative(x).abs();
    let places = || (-1000..=1000).map(|place| f64::from(place) / 50.0);
    let bound = 0.05 * places().map(slope).fold(0.0, f64::max);
    let bounded = |x: f64| slope(x) < bound && function.value(x).abs() < 10.0;
    if !bounded(-1e3) || !bounded(1e3) || slope(-0.5) < bound || slope(0.5) < bound {
        return None;
    }
    let low = places().find(|&x| slope(x) >= bound)?;
    let high = places().rev().find(|&x| slope(x) >= bound)?;
    // A function that turns for good, such as the sine, comes back to any slope.
    (low > -19.0 && high < 19.0).then_some((low as f32, high as f32))
}

/// The mean cosine of the pairs of rows whose inner products these are.
fn cosine(gram: &[f32], rows: usize) -> f64 {
    let at = |a: usize, b: usize| f64::from(gram[a * rows + b]);
    let cosines = (0..rows / 2).filter_map(|pair| {
        let (a, b) = (2 * pair, 2 * pair + 1);
        let sizes = (at(a, a) * at(b, b)).sqrt();
        // Below this the products have lost their digits in f32.
        (sizes > 1e-30 && sizes.is_finite()).then(|| (at(a, b) / sizes).clamp(-1.0, 1.0))
    });
    let (sum, count) = cosines.fold((0.0, 0), |(sum, count), cosine| (sum + cosine, count + 1));
    if count == 0 { f64::NAN } else { sum / f64::from(count) }
}

/// What else a machine needs while we measure.
const SPARE: u64 = 256 << 20;

/// Checks that memory holds the batch, where the system says how much is free.
fn fits(slots: &[usize], batch: usize) -> Result<()> {
    let floats: u64 = slots.iter().map(|&floats| floats as u64).sum();
    let fixed: u64 = slots[..5].iter().map(|&floats| floats as u64).sum();
    let Some(free) = free_memory() else { return Ok(()) };
    let needed = 4 * floats + SPARE;
    if needed <= free {
        return Ok(());
    }
    let of_row = (4 * (floats - fixed) / batch as u64).max(1);
    let rows = free.saturating_sub(4 * fixed + SPARE) / of_row;
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
    let given = format!("{batch}, which takes {} of memory", gib(needed));
    let fitting = match rows {
        0 | 1 => "and no batch fits: a narrower or shallower network".to_owned(),
        rows => format!("which hold a batch of {rows}"),
    };
    Err(Error::invalid(
        "batch",
        given,
        format!("at most the {} that are free, {fitting}", gib(free)),
    ))
}

/// Bytes that can be had without swapping; known on Linux.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
