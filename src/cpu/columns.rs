use rayon::prelude::*;

use super::operand::{as_many, rows};
use super::widest::widest;
use crate::Result;
use crate::op::Extreme;

/// Elements a task, in whole rows: fixed, so that the order of the sums does not depend on the threads,
/// and many, since they are read in less time than a thread needs to wake.
const TASK: usize = 1 << 18;

/// `sums[n] = sum_m values[m, n]`, or of `values[m, n] weights[m, n]`, as
/// [`Pass::column_sums`](crate::gpu::Pass::column_sums): the gradient of a bias, of a scale.
/// `sums.len()` is the number of columns. The order of the sums depends on the shape alone.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where `values` are no whole rows, or `weights` are not as
/// many.
pub fn column_sums(values: &[f32], weights: Option<&[f32]>, sums: &mut [f32]) -> Result<()> {
    let columns = sums.len();
    rows("values", values.len(), columns)?;
    if let Some(weights) = weights {
        as_many("weights", weights.len(), values.len(), "values")?;
    }
    if columns == 0 {
        return Ok(());
    }
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
    Ok(())
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

/// `result[n] = min_m values[m, n]`, or the greatest of each column, as
/// [`Pass::column_extremes`](crate::gpu::Pass::column_extremes); NaN is passed over.
/// `result.len()` is the number of columns, of which those without a number are infinite.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where `values` are no whole rows.
pub fn column_extremes(values: &[f32], extreme: Extreme, result: &mut [f32]) -> Result<()> {
    let columns = result.len();
    rows("values", values.len(), columns)?;
    let (start, fold): (f32, fn(f32, f32) -> f32) = match extreme {
        Extreme::Least => (f32::INFINITY, f32::min),
        Extreme::Greatest => (f32::NEG_INFINITY, f32::max),
    };
    result.fill(start);
    for row in values.chunks_exact(columns.max(1)) {
        result.iter_mut().zip(row).for_each(|(result, &value)| *result = fold(*result, value));
    }
    Ok(())
}
