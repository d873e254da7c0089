use super::math::{exp_negative, log1p_exact, log1p_unit};
use super::operand::{as_many, columns, matrix};
use super::rounding::{Native, Rounding, by};
use super::widest::{LANES, lane_sum_of, sum, sum_by, widest};
use crate::host::parallel::*;
use crate::op::{Arithmetic, Loss, RowResult, SLICE};
use crate::{Error, Result};

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

/// What the outputs of a network were to be, row by row.
#[derive(Clone, Copy, Debug)]
pub enum LossTargets<'a> {
    /// A class index for each row: of the cross-entropy, and of the binary one.
    Classes(&'a [u32]),
    /// A value for each output: of the others.
    Values(&'a [f32]),
}

/// Where a loss reads and writes; matrices row by row, as many rows as `results`.
#[derive(Debug)]
pub struct LossSlices<'a> {
    /// What the network put out: `[rows, columns]`.
    pub outputs: &'a [f32],
    /// Class indices `[rows]` for the cross-entropy, values `[rows, columns]` for the mean squared
    /// error, and either for the binary cross-entropy.
    pub targets: LossTargets<'a>,
    /// The gradient of the mean loss with respect to the outputs, where it is wanted: `[rows, columns]`.
    pub gradient: Option<&'a mut [f32]>,
    /// Each row's loss, and how much of it was predicted right (of 1): `[rows]`.
    pub results: &'a mut [RowResult],
}

/// The loss of each row, and the gradient of their mean, as
/// [`Pass::loss`](crate::gpu::Pass::loss). See [`Loss`] for the formulas; a row with an output that is
/// infinite or not a number, or with a class that is none, has a loss that is not a number.
///
/// # Errors
/// [`Error::Invalid`] where a slice does not fit, or the label smoothing is outside its range.
pub fn loss(kind: Loss, slices: LossSlices<'_>) -> Result<()> {
    let real = slices.results.len();
    loss_by(Arithmetic::Native, kind, real, slices)
}

/// As [`loss`], of the first `real` rows: those from there on have a loss and a gradient of 0.
pub(super) fn loss_by(
    arithmetic: Arithmetic,
    kind: Loss,
    real: usize,
    slices: LossSlices<'_>,
) -> Result<()> {
    kind.check()?;
    let LossSlices { outputs, targets, gradient, results } = slices;
    let rows = results.len();
    let columns = columns("outputs", outputs.len(), rows)?;
    match (kind, targets) {
        (Loss::CrossEntropy { .. }, LossTargets::Values(_)) => {
            return Err(Error::invalid("targets", "values", "class indices"));
        }
        (kind, LossTargets::Classes(_)) if !kind.takes_classes(columns, 0) => {
            return Err(Error::invalid("targets", "class indices", "values"));
        }
        (_, LossTargets::Classes(classes)) => as_many("targets", classes.len(), rows, "rows")?,
        (_, LossTargets::Values(values)) => matrix("targets", values.len(), [rows, columns])?,
    }
    if let Some(gradient) = &gradient {
        matrix("gradient", gradient.len(), [rows, columns])?;
    }
    if columns == 0 {
        results.fill([0.0; 2]);
        return Ok(());
    }
    let some_rows = by!(arithmetic, some_rows);
    let inverse = 1.0 / real as f32;
    let task = (TASK / columns).max(1);
    let work = |index: usize, results: &mut [RowResult], gradient: &mut [f32]| {
        let outputs = &outputs[index * task * columns..];
        let targets = match targets {
            LossTargets::Classes(all) => LossTargets::Classes(&all[index * task..]),
            LossTargets::Values(all) => LossTargets::Values(&all[index * task * columns..]),
        };
        let real = real.saturating_sub(index * task).min(results.len());
        let (results, beyond) = results.split_at_mut(real);
        let (gradient, none) = gradient.split_at_mut(gradient.len().min(real * columns));
        some_rows(kind, &outputs[..real * columns], targets, inverse, results, gradient);
        beyond.fill([0.0; 2]);
        none.fill(0.0);
    };
    let results = results.par_chunks_mut(task);
    match gradient {
        Some(gradient) => results
            .zip(gradient.par_chunks_mut(task * columns))
            .enumerate()
            .for_each(|(index, (results, gradient))| work(index, results, gradient)),
        None => results.enumerate().for_each(|(index, results)| work(index, results, &mut [])),
    }
    Ok(())
}

widest! {
    /// [`loss`] of rows that are all real, on one thread; no gradient goes into an empty one.
    fn some_rows<R: Rounding>(
        kind: Loss,
        outputs: &[f32],
        targets: LossTargets<'_>,
        inverse: f32,
        results: &mut [[f32; 2]],
        gradient: &mut [f32],
    ) {
        let columns = outputs.len() / results.len().max(1);
        let wanted = !gradient.is_empty();
        for (index, result) in results.iter_mut().enumerate() {
            let own = index * columns..(index + 1) * columns;
            let gradient = if wanted { &mut gradient[own.clone()] } else { &mut [][..] };
            let outputs = &outputs[own.clone()];
            let (class, wanted) = match targets {
                LossTargets::Classes(classes) => (classes[index] as usize, &[][..]),
                LossTargets::Values(values) => (0, &values[own]),
            };
            *result = match kind {
                Loss::CrossEntropy { smoothing } => {
                    let smoothing = smoothing as f32;
                    match R::EXACT {
                        false => cross_entropy(outputs, class, smoothing, inverse, gradient),
                        true => exact_entropy::<R>(outputs, class, smoothing, inverse, gradient),
                    }
                }
                Loss::MeanSquaredError => {
                    let (term, slope) = (|e| R::pin(e * e), |e| R::pin(2.0 * e));
                    of_errors::<R>(outputs, wanted, inverse, gradient, term, slope)
                }
                Loss::Huber { delta } => {
                    let delta = delta as f32;
                    let term = |error: f32| {
                        let inner = error.abs().min(delta);
                        R::pin(inner * R::pin(error.abs() - R::pin(0.5 * inner)))
                    };
                    let slope = |error: f32| error.clamp(-delta, delta);
                    of_errors::<R>(outputs, wanted, inverse, gradient, term, slope)
                }
                Loss::BinaryCrossEntropy if R::EXACT => {
                    exact_binary::<R>(outputs, class, wanted, inverse, gradient)
                }
                Loss::BinaryCrossEntropy if wanted.is_empty() => {
                    one_of_several(outputs, class, inverse, gradient)
                }
                Loss::BinaryCrossEntropy => {
                    binary_cross_entropy(outputs, wanted, inverse, gradient)
                }
            };
            if !outputs.iter().fold(true, |finite, output| finite & output.is_finite()) {
                result[0] = f32::NAN;
            }
        }
    }
}

#[inline(always)]
fn cross_entropy(
    outputs: &[f32],
    label: usize,
    smoothing: f32,
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let best = greatest(outputs);
    let high = outputs[best];
    // The largest term is 1: what the others add to it goes through a logarithm of its own.
    let term = |output: f32| exp_negative::<Native>(output - high);
    let others = if gradient.is_empty() {
        let term = |[output]: [f32; 1]| term(output);
        sum([&outputs[..best]], term) + sum([&outputs[best + 1..]], term)
    } else {
        gradient.iter_mut().zip(outputs).for_each(|(slot, output)| *slot = term(*output));
        sum([&gradient[..best]], |[term]| term) + sum([&gradient[best + 1..]], |[term]| term)
    };
    let share = 1.0 / outputs.len() as f32;
    let (scale, even) = (1.0 / (1.0 + others), smoothing * share);
    gradient.iter_mut().for_each(|slot| *slot = (*slot * scale - even) * inverse);
    if let Some(slot) = gradient.get_mut(label) {
        *slot = (term(outputs[label]) * scale - (even + (1.0 - smoothing))) * inverse;
    }
    let normalizer = others.ln_1p();
    let wanted = outputs.get(label).map_or(f32::NAN, |output| output - high);
    let mut loss = normalizer - wanted;
    if smoothing > 0.0 {
        let mean = sum([outputs], |[output]| output) * share - high;
        loss = normalizer - (1.0 - smoothing) * wanted - smoothing * mean;
    }
    [loss, f32::from(u8::from(best == label))]
}

/// The first place of the greatest.
#[inline(always)]
fn greatest(values: &[f32]) -> usize {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (mut high, mut at) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
    for (index, chunk) in (0..).zip(chunks) {
        for lane in 0..LANES {
            let higher = chunk[lane] > high[lane];
            high[lane] = if higher { chunk[lane] } else { high[lane] };
            at[lane] = if higher { index } else { at[lane] };
        }
    }
    let mut best = 0;
    let lanes = if chunks.is_empty() { 0..0 } else { 0..LANES };
    let tops = lanes.map(|lane| at[lane] as usize * LANES + lane);
    for place in tops.chain(values.len() - rest.len()..values.len()) {
        let (own, other) = (values[place], values[best]);
        if own > other || own == other && place < best {
            best = place;
        }
    }
    best
}

/// A loss that is the mean of what each error adds to it, whose slope is another function of the error.
#[inline(always)]
fn of_errors<R: Rounding>(
    outputs: &[f32],
    targets: &[f32],
    inverse: f32,
    gradient: &mut [f32],
    term: impl Fn(f32) -> f32,
    slope: impl Fn(f32) -> f32,
) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    for ((slot, output), target) in gradient.iter_mut().zip(outputs).zip(targets) {
        *slot = R::pin(slope(R::pin(output - target)) * R::pin(share * inverse));
    }
    let term = |[output, target]: [f32; 2]| term(R::pin(output - target));
    [R::pin(sum_by::<R, 2>([outputs, targets], term) * share), 0.0]
}

/// [`cross_entropy`] in the order of the exact arithmetic.
#[inline(always)]
fn exact_entropy<R: Rounding>(
    outputs: &[f32],
    label: usize,
    smoothing: f32,
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let best = greatest(outputs);
    let high = outputs[best];
    let term = |at: usize| exp_negative::<R>(R::pin(outputs[at] - high));
    let others = lane_sum_of::<R>(outputs.len(), |at| if at == best { 0.0 } else { term(at) });
    let share = 1.0 / outputs.len() as f32;
    let scale = R::pin(1.0 / R::pin(1.0 + others));
    let (even, rest) = (R::pin(smoothing * share), R::pin(1.0 - smoothing));
    let own = R::pin(even + rest);
    for (at, slot) in gradient.iter_mut().enumerate() {
        let wanted = if at == label { own } else { even };
        *slot = R::pin(R::pin(R::pin(term(at) * scale) - wanted) * inverse);
    }
    let normalizer = log1p_exact::<R>(others);
    let wanted = outputs.get(label).map_or(f32::NAN, |output| R::pin(output - high));
    let mut loss = R::pin(normalizer - wanted);
    if smoothing > 0.0 {
        let mean = R::pin(R::pin(sum_by::<R, 1>([outputs], |[output]| output) * share) - high);
        loss = R::pin(normalizer - R::pin(rest * wanted));
        loss = R::pin(loss - R::pin(smoothing * mean));
    }
    [loss, f32::from(u8::from(best == label))]
}

/// [`binary_cross_entropy`] and [`one_of_several`], where there are no targets, in the order of the exact
/// arithmetic.
#[inline(always)]
fn exact_binary<R: Rounding>(
    outputs: &[f32],
    label: usize,
    targets: &[f32],
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    let wanted = |at: usize| match targets.get(at) {
        Some(target) => *target,
        None => f32::from(u8::from(at == label)),
    };
    for (at, slot) in gradient.iter_mut().enumerate() {
        let output = outputs[at];
        let small = exp_negative::<R>(-output.abs());
        let top = if output > 0.0 { 1.0 } else { small };
        let probability = R::pin(top / R::pin(1.0 + small));
        *slot = R::pin(R::pin(probability - wanted(at)) * R::pin(share * inverse));
    }
    let term = |at: usize| {
        let (output, wanted) = (outputs[at], wanted(at));
        let rest = R::pin(1.0 - wanted);
        let lost = R::pin(if output > 0.0 { output * rest } else { -output * wanted });
        R::pin(lost + log1p_unit::<R>(exp_negative::<R>(-output.abs())))
    };
    let right = |at: usize| f32::from(u8::from((outputs[at] > 0.0) == (wanted(at) > 0.5)));
    let right = match targets.is_empty() {
        true => f32::from(u8::from(greatest(outputs) == label)),
        false => R::pin(lane_sum_of::<R>(outputs.len(), right) * share),
    };
    [R::pin(lane_sum_of::<R>(outputs.len(), term) * share), right]
}

#[inline(always)]
fn binary_cross_entropy(
    outputs: &[f32],
    targets: &[f32],
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    for ((slot, &output), target) in gradient.iter_mut().zip(outputs).zip(targets) {
        *slot = (sigmoid(output) - target) * (share * inverse);
    }
    let term = |[output, target]: [f32; 2]| {
        // Of a positive output 1 - t is what is lost of it, of a negative one t.
        let lost = if output > 0.0 { output * (1.0 - target) } else { -output * target };
        lost + log1p_unit::<Native>(exp_negative::<Native>(-output.abs()))
    };
    let right = |[output, target]: [f32; 2]| {
        if (output > 0.0) == (target > 0.5) { 1.0 } else { 0.0 }
    };
    [sum([outputs, targets], term) * share, sum([outputs, targets], right) * share]
}

/// [`binary_cross_entropy`] where the target is 1 at `label` and 0 elsewhere.
#[inline(always)]
fn one_of_several(outputs: &[f32], label: usize, inverse: f32, gradient: &mut [f32]) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    let label = label.min(outputs.len() - 1);
    let own = outputs[label];
    gradient.iter_mut().zip(outputs).for_each(|(slot, &output)| {
        *slot = sigmoid(output) * (share * inverse);
    });
    if let Some(slot) = gradient.get_mut(label) {
        *slot = (sigmoid(own) - 1.0) * (share * inverse);
    }
    let term = |[output]: [f32; 1]| {
        output.max(0.0) + log1p_unit::<Native>(exp_negative::<Native>(-output.abs()))
    };
    let others = sum([&outputs[..label]], term) + sum([&outputs[label + 1..]], term);
    let right = f32::from(u8::from(greatest(outputs) == label));
    [(others + term([-own])) * share, right]
}

#[inline(always)]
fn sigmoid(output: f32) -> f32 {
    let small = exp_negative::<Native>(-output.abs());
    (if output > 0.0 { 1.0 } else { small }) / (1.0 + small)
}

/// `sums[s, n] = sum over m of (outputs[m, n] - targets[m, n])^2`, m from `256 s` to `256 s + 255`: each
/// column's squared errors over every 256 rows, as [`Pass::squares`](crate::gpu::Pass::squares).
/// `outputs` and `targets` are `[m, columns]`, `sums` is `[ceil(m / 256), columns]`.
///
/// # Errors
/// [`Error::Invalid`] where a slice does not fit.
pub fn squares(outputs: &[f32], targets: &[f32], columns: usize, sums: &mut [f32]) -> Result<()> {
    let rows = super::operand::rows("outputs", outputs.len(), columns)?;
    squares_by(Arithmetic::Native, outputs, targets, rows, columns, sums)
}

/// As [`squares`], of the first `real` rows: to the others' sums nothing is added.
pub(super) fn squares_by(
    arithmetic: Arithmetic,
    outputs: &[f32],
    targets: &[f32],
    real: usize,
    columns: usize,
    sums: &mut [f32],
) -> Result<()> {
    let rows = super::operand::rows("outputs", outputs.len(), columns)?;
    as_many("targets", targets.len(), outputs.len(), "outputs")?;
    matrix("sums", sums.len(), [rows.div_ceil(SLICE), columns])?;
    if columns == 0 {
        return Ok(());
    }
    let add = by!(arithmetic, add_squares);
    sums.par_chunks_exact_mut(columns).enumerate().for_each(|(slice, sums)| {
        let rows = (slice * SLICE).min(real)..((slice + 1) * SLICE).min(real);
        let own = rows.start * columns..rows.end * columns;
        add(&outputs[own.clone()], &targets[own], sums);
    });
    Ok(())
}

fn add_squares<R: Rounding>(outputs: &[f32], targets: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    let rows = outputs.chunks_exact(sums.len()).zip(targets.chunks_exact(sums.len()));
    for (outputs, targets) in rows {
        for (sum, (output, target)) in sums.iter_mut().zip(outputs.iter().zip(targets)) {
            let error = R::pin(output - target);
            *sum = R::mad(error, error, *sum);
        }
    }
}
