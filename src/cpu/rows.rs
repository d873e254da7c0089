use super::operand::{as_many, columns};
use super::rounding::{Rounding, by};
use super::widest::{sum_by, widest};
use crate::Result;
use crate::host::parallel::*;
use crate::op::Arithmetic;

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

/// `sums[m] = sum_n values[m, n]`, or of `values[m, n] weights[m, n]`, as
/// [`Pass::row_sums`](crate::gpu::Pass::row_sums); `sums.len()` is the number of rows. The order of a
/// row's sum depends on its length alone.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where `values` are no whole rows, or `weights` are not as many.
pub fn row_sums(values: &[f32], weights: Option<&[f32]>, sums: &mut [f32]) -> Result<()> {
    row_sums_by(Arithmetic::Native, values, weights, sums)
}

pub(super) fn row_sums_by(
    arithmetic: Arithmetic,
    values: &[f32],
    weights: Option<&[f32]>,
    sums: &mut [f32],
) -> Result<()> {
    let plain = by!(arithmetic, plain);
    let weighted = by!(arithmetic, weighted);
    let columns = columns("values", values.len(), sums.len())?;
    if let Some(weights) = weights {
        as_many("weights", weights.len(), values.len(), "values")?;
    }
    if columns == 0 {
        sums.fill(0.0);
        return Ok(());
    }
    let task = (TASK / columns).max(1);
    sums.par_chunks_mut(task).enumerate().for_each(|(index, sums)| {
        let own = index * task * columns..(index * task + sums.len()) * columns;
        match weights {
            None => plain(&values[own], sums),
            Some(weights) => weighted(&values[own.clone()], &weights[own], sums),
        }
    });
    Ok(())
}

widest! {
    fn plain<R: Rounding>(values: &[f32], sums: &mut [f32]) {
        let columns = values.len() / sums.len();
        for (row, out) in values.chunks_exact(columns).zip(sums) {
            *out = sum_by::<R, 1>([row], |[value]| value);
        }
    }
}

widest! {
    fn weighted<R: Rounding>(values: &[f32], weights: &[f32], sums: &mut [f32]) {
        let columns = values.len() / sums.len();
        let rows = values.chunks_exact(columns).zip(weights.chunks_exact(columns));
        for ((row, weights), out) in rows.zip(sums) {
            *out = sum_by::<R, 2>([row, weights], |[value, weight]| R::pin(value * weight));
        }
    }
}
