use rayon::prelude::*;

use crate::model::Loss;

/// The loss of each row and how much of it was predicted right; with `gradient`, also the gradient
/// with respect to `outputs` of the mean over `real` rows. Rows from `real` on have neither.
///
/// `targets` are class indices, or the bits of values.
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
    let row = |index: usize, result: &mut [f32; 2], gradient: &mut [f32]| {
        if index >= real {
            *result = [0.0; 2];
            gradient.fill(0.0);
            return;
        }
        let outputs = &outputs[index * columns..][..columns];
        let targets = &targets[index * target_columns..][..target_columns];
        let inverse = 1.0 / real as f32;
        *result = match loss {
            Loss::CrossEntropy { smoothing } => {
                let label = targets[0].to_bits() as usize;
                cross_entropy(outputs, label, *smoothing as f32, inverse, gradient)
            }
            Loss::MeanSquaredError => squared_error(outputs, targets, inverse, gradient),
            Loss::BinaryCrossEntropy => binary_cross_entropy(outputs, targets, inverse, gradient),
        };
        if !outputs.iter().all(|output| output.is_finite()) {
            result[0] = f32::NAN;
        }
    };
    match gradient {
        Some(gradient) => results
            .par_iter_mut()
            .zip(gradient.par_chunks_exact_mut(columns))
            .with_min_len(32)
            .enumerate()
            .for_each(|(index, (result, gradient))| row(index, result, gradient)),
        None => results
            .par_iter_mut()
            .with_min_len(32)
            .enumerate()
            .for_each(|(index, result)| row(index, result, &mut [])),
    }
}

fn cross_entropy(
    outputs: &[f32],
    label: usize,
    smoothing: f32,
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let mut best = 0;
    for (index, output) in outputs.iter().enumerate() {
        if *output > outputs[best] {
            best = index;
        }
    }
    let high = outputs[best];
    // The largest term is 1: what the others add to it goes through a logarithm of its own.
    let term = |index: usize| if index == best { 1.0 } else { (outputs[index] - high).exp() };
    let others: f32 = (0..outputs.len()).filter(|&index| index != best).map(term).sum();
    let share = 1.0 / outputs.len() as f32;
    for (index, slot) in gradient.iter_mut().enumerate() {
        let wanted = smoothing * share + if index == label { 1.0 - smoothing } else { 0.0 };
        *slot = (term(index) / (1.0 + others) - wanted) * inverse;
    }
    let normalizer = others.ln_1p();
    let wanted = outputs.get(label).map_or(f32::NAN, |output| output - high);
    let mut loss = normalizer - wanted;
    if smoothing > 0.0 {
        let mean = outputs.iter().sum::<f32>() * share - high;
        loss = normalizer - (1.0 - smoothing) * wanted - smoothing * mean;
    }
    [loss, f32::from(u8::from(best == label))]
}

fn squared_error(outputs: &[f32], targets: &[f32], inverse: f32, gradient: &mut [f32]) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    let errors = outputs.iter().zip(targets).map(|(output, target)| output - target);
    for (slot, error) in gradient.iter_mut().zip(errors.clone()) {
        *slot = 2.0 * error * (share * inverse);
    }
    [errors.map(|error| error * error).sum::<f32>() * share, 0.0]
}

fn binary_cross_entropy(
    outputs: &[f32],
    targets: &[f32],
    inverse: f32,
    gradient: &mut [f32],
) -> [f32; 2] {
    let share = 1.0 / outputs.len() as f32;
    let (mut sum, mut right) = (0.0, 0.0);
    for (index, (&output, &target)) in outputs.iter().zip(targets).enumerate() {
        let small = (-output.abs()).exp();
        // Of a positive output 1 - t is what is lost of it, of a negative one t.
        sum += if output > 0.0 { output * (1.0 - target) } else { -output * target };
        sum += small.ln_1p();
        right += f32::from(u8::from((output > 0.0) == (target > 0.5)));
        if let Some(slot) = gradient.get_mut(index) {
            let probability = if output > 0.0 { 1.0 } else { small } / (1.0 + small);
            *slot = (probability - target) * (share * inverse);
        }
    }
    [sum * share, right * share]
}
