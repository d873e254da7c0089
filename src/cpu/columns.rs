use rayon::prelude::*;

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
