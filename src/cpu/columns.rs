use rayon::prelude::*;

use crate::product::Extreme;

/// Rows a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 256;

/// `sums[n] = sum_m values[m, n]`, or of `values[m, n] weights[m, n]`: the gradient of a bias, of a
/// scale. `sums.len()` is the number of columns.
pub(crate) fn column_sums(values: &[f32], weights: Option<&[f32]>, sums: &mut [f32]) {
    let columns = sums.len();
    let partials: Vec<Vec<f32>> = values
        .par_chunks(TASK * columns)
        .enumerate()
        .map(|(task, chunk)| {
            let mut sums = vec![0.0f32; columns];
            for (index, row) in chunk.chunks_exact(columns).enumerate() {
                match weights {
                    None => sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value),
                    Some(weights) => {
                        let weights = &weights[(task * TASK + index) * columns..][..columns];
                        let terms = row.iter().zip(weights);
                        sums.iter_mut().zip(terms).for_each(|(sum, (a, b))| *sum += a * b);
                    }
                }
            }
            sums
        })
        .collect();
    sums.fill(0.0);
    for partial in partials {
        sums.iter_mut().zip(partial).for_each(|(sum, value)| *sum += value);
    }
}

/// `result[n] = min_m values[m, n]`, or the greatest of each column; NaN is passed over.
pub(crate) fn column_extremes(values: &[f32], extreme: Extreme, result: &mut [f32]) {
    let columns = result.len();
    let (start, fold): (f32, fn(f32, f32) -> f32) = match extreme {
        Extreme::Least => (f32::INFINITY, f32::min),
        Extreme::Greatest => (f32::NEG_INFINITY, f32::max),
    };
    result.fill(start);
    for row in values.chunks_exact(columns) {
        result.iter_mut().zip(row).for_each(|(result, &value)| *result = fold(*result, value));
    }
}
