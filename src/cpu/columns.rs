use super::operand::{as_many, rows};
use super::rounding::{Pinned, Rounding};
use super::rows::row_sums_by;
use super::widest::widest;
use crate::host::parallel::*;
use crate::op::{Arithmetic, Extreme, FOLDS, LANES, RUN};
use crate::{Result, memory};

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
    column_sums_by(Arithmetic::Native, values, weights, sums)
}

pub(super) fn column_sums_by(
    arithmetic: Arithmetic,
    values: &[f32],
    weights: Option<&[f32]>,
    sums: &mut [f32],
) -> Result<()> {
    let columns = sums.len();
    rows("values", values.len(), columns)?;
    if let Some(weights) = weights {
        as_many("weights", weights.len(), values.len(), "values")?;
    }
    if columns == 0 {
        return Ok(());
    }
    if arithmetic.is_exact() {
        return exact_sums(values, weights, sums);
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

/// Columns that a task of an exact sum takes: whose lanes stay in the cache.
const BLOCK: usize = 128;

/// The sums of columns that are not empty, in the order of the contract: runs of 2,048 rows, each by its
/// lanes, and then the sums of the runs as if they were rows.
fn exact_sums(values: &[f32], weights: Option<&[f32]>, sums: &mut [f32]) -> Result<()> {
    let columns = sums.len();
    let runs = (values.len() / columns).div_ceil(RUN);
    let area = RUN * columns;
    if columns == 1 && runs > 1 {
        // Whole runs of one column are rows.
        let mut partials = memory::filled("sums of runs", runs, 0.0)?;
        let whole = values.len() / RUN;
        let (full, rest) = partials.split_at_mut(whole);
        for (sums, own) in [(full, 0..whole * RUN), (rest, whole * RUN..values.len())] {
            let weights = weights.map(|weights| &weights[own.clone()]);
            row_sums_by(Arithmetic::EXACT, &values[own], weights, sums)?;
        }
        return exact_sums(&partials, None, sums);
    }
    if runs <= 1 {
        sums.par_chunks_mut(BLOCK).enumerate().for_each(|(block, sums)| {
            run_sums(values, weights, columns, block * BLOCK, sums);
        });
        return Ok(());
    }
    let mut partials = memory::filled("sums of columns", runs * columns, 0.0)?;
    partials.par_chunks_mut(columns).enumerate().for_each(|(run, partial)| {
        let own = run * area..((run + 1) * area).min(values.len());
        let weights = weights.map(|weights| &weights[own.clone()]);
        for (block, partial) in partial.chunks_mut(BLOCK).enumerate() {
            run_sums(&values[own.clone()], weights, columns, block * BLOCK, partial);
        }
    });
    exact_sums(&partials, None, sums)
}

widest! {
    /// The sums of some columns of a run, from one on.
    fn run_sums(
        values: &[f32],
        weights: Option<&[f32]>,
        columns: usize,
        first: usize,
        sums: &mut [f32],
    ) {
        let mut lanes = [[0.0f32; BLOCK]; LANES];
        let own = first..first + sums.len();
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let (lane, values) = (&mut lanes[row % LANES][..sums.len()], &values[own.clone()]);
            match weights {
                None => add_pinned(lane, values),
                Some(weights) => {
                    let weights = &weights[row * columns..][own.clone()];
                    for ((sum, value), weight) in lane.iter_mut().zip(values).zip(weights) {
                        *sum = Pinned::pin(*sum + Pinned::pin(value * weight));
                    }
                }
            }
        }
        for reach in FOLDS {
            for lane in (0..LANES - reach).filter(|lane| lane & reach == 0) {
                let (low, high) = lanes.split_at_mut(lane + reach);
                add_pinned(&mut low[lane], &high[0]);
            }
        }
        sums.copy_from_slice(&lanes[0][..sums.len()]);
    }
}

#[inline(always)]
fn add_pinned(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = Pinned::pin(*sum + value));
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
