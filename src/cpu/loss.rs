use crate::op::{Loss, SLICE};
use rayon::prelude::*;

use super::math::{exp_negative, log1p_unit};
use super::widest::{LANES, sum, widest};

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

/// The loss of each row and how much of it was predicted right; with `gradient`, also the gradient
/// with respect to `outputs` of the mean over `real` rows. Rows from `real` on have neither.
///
/// `targets` are class indices, or the bits of values ([`Loss::takes_classes`]).
pub(crate) fn loss(
    loss: &Loss,
    outputs: &[f32],
    targets: &[f32],
    real: usize,
    results: &mut [[f32; 2]],
    gradient: Option<&mut [f32]>,
) {
    let rows = results.len();
    let (columns, target_columns) = (outputs.len() / rows, targets.len() / rows);
    let inverse = 1.0 / real as f32;
    let task = (TASK / columns).max(1);
    let work = |index: usize, results: &mut [[f32; 2]], gradient: &mut [f32]| {
        let outputs = &outputs[index * task * columns..];
        let targets = &targets[index * task * target_columns..];
        let classes = loss.takes_classes(columns, target_columns);
        let real = real.saturating_sub(index * task).min(results.len());
        let (results, beyond) = results.split_at_mut(real);
        let (gradient, none) = gradient.split_at_mut(gradient.len().min(real * columns));
        some_rows(loss, &outputs[..real * columns], targets, classes, inverse, results, gradient);
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
}

widest! {
    /// [`loss`] of rows that are all real, on one thread; no gradient goes into an empty one.
    fn some_rows(
        loss: &Loss,
        outputs: &[f32],
        targets: &[f32],
        classes: bool,
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
            *result = match loss {
                Loss::CrossEntropy { smoothing } => {
                    let label = targets[index].to_bits() as usize;
                    cross_entropy(outputs, label, *smoothing as f32, inverse, gradient)
                }
                Loss::MeanSquaredError => {
                    of_errors(outputs, &targets[own], inverse, gradient, |e| e * e, |e| 2.0 * e)
                }
                Loss::Huber { delta } => {
                    let delta = *delta as f32;
                    let term = |error: f32| {
                        let inner = error.abs().min(delta);
                        inner * (error.abs() - 0.5 * inner)
                    };
                    let slope = |error: f32| error.clamp(-delta, delta);
                    of_errors(outputs, &targets[own], inverse, gradient, term, slope)
                }
                Loss::BinaryCrossEntropy if classes => {
                    one_of_several(outputs, targets[index].to_bits() as usize, inverse, gradient)
                }
                Loss::BinaryCrossEntropy => {
                    binary_cross_entropy(outputs, &targets[own], inverse, gradient)
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
    let term = |output: f32| exp_negative(output - high);
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
fn of_errors(
    outputs: &[f32],
    targets: &[f32],
    inverse: f32,
    gradient: &mut [f32],
    term: impl Fn(f32) -> f32,
    slope: impl Fn(f32) -> f32,
) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    for ((slot, output), target) in gradient.iter_mut().zip(outputs).zip(targets) {
        *slot = slope(output - target) * (share * inverse);
    }
    let term = |[output, target]: [f32; 2]| term(output - target);
    [sum([outputs, targets], term) * share, 0.0]
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
        lost + log1p_unit(exp_negative(-output.abs()))
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
    let term = |[output]: [f32; 1]| output.max(0.0) + log1p_unit(exp_negative(-output.abs()));
    let others = sum([&outputs[..label]], term) + sum([&outputs[label + 1..]], term);
    let right = f32::from(u8::from(greatest(outputs) == label));
    [(others + term([-own])) * share, right]
}

#[inline(always)]
fn sigmoid(output: f32) -> f32 {
    let small = exp_negative(-output.abs());
    (if output > 0.0 { 1.0 } else { small }) / (1.0 + small)
}

/// The sums of each column's squared errors over every [`SLICE`] rows of the `real` ones: a row of
/// `sums` for each.
pub(crate) fn squares(
    outputs: &[f32],
    targets: &[f32],
    real: usize,
    columns: usize,
    sums: &mut [f32],
) {
    sums.par_chunks_exact_mut(columns).enumerate().for_each(|(slice, sums)| {
        sums.fill(0.0);
        let rows = (slice * SLICE).min(real)..((slice + 1) * SLICE).min(real);
        for row in rows {
            let own = row * columns..(row + 1) * columns;
            for (sum, (output, target)) in
                sums.iter_mut().zip(outputs[own.clone()].iter().zip(&targets[own]))
            {
                *sum += (output - target) * (output - target);
            }
        }
    });
}
