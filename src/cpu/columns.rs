use crate::op::Extreme;
use rayon::prelude::*;

use super::widest::widest;

/// Elements a task, in whole rows: fixed, so that the order of the sums does not depend on the threads,
/// and many, since they are read in less time than a thread needs to wake.
const TASK: usize = 1 << 18;

/// `sums[n] = sum_m values[m, n]`, or of `values[m, n] weights[m, n]`: the gradient of a bias, of a
/// scale. `sums.len()` is the number of columns.
pub(crate) fn column_sums(values: &[f32], weights: Option<&[f32]>, sums: &mut [f32]) {
    let columns = sums.len();
    let task = (TASK / columns).max(1) * columns;
    let partial = |(index, values): (usize, &[f32])| {
        let mut partial = vec![0.0; columns];
        match weights {
            None => add_rows(values, &mut partial),
            Some(weights) => {
                add_products(values, &weights[index * task..][..values.len()], &mut partial);
            }
        }
        partial
    };
    let partials: Vec<Vec<f32>> = values.par_chunks(task).enumerate().map(partial).collect();
    sums.fill(0.0);
    partials.iter().for_each(|partial| add_rows(partial, sums));
}

widest! {
    fn add_rows(values: &[f32], sums: &mut [f32]) {
        let columns = sums.len();
        // Four rows at a time: the sums come and go once.
        let mut fours = values.chunks_exact(4 * columns);
        for four in &mut fours {
            let (ab, cd) = four.split_at(2 * columns);
            let ((a, b), (c, d)) = (ab.split_at(columns), cd.split_at(columns));
            for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *sum += (a + b) + (c + d);
            }
        }
        for row in fours.remainder().chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    }
}

widest! {
    fn add_products(values: &[f32], weights: &[f32], sums: &mut [f32]) {
        let columns = sums.len();
        for (row, weights) in values.chunks_exact(columns).zip(weights.chunks_exact(columns)) {
            let terms = row.iter().zip(weights);
            sums.iter_mut().zip(terms).for_each(|(sum, (value, weight))| *sum += value * weight);
        }
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
