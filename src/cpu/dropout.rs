use super::operand::{as_many, rows};
use super::rounding::{Rounding, by};
use crate::Result;
use crate::host::parallel::*;
use crate::op::{Arithmetic, Dropout};

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

/// Dropout at a step: `result = values / (1 - p)` where kept, else 0, of matrices of `columns` columns,
/// as [`Pass::dropout`](crate::gpu::Pass::dropout). Backward it is the same, of gradients: the mask is
/// drawn again. See [`Dropout`].
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where a slice does not fit, or the probability is not
/// within 0..1.
pub fn dropout(
    dropout: &Dropout,
    step: u32,
    values: &[f32],
    columns: usize,
    result: &mut [f32],
) -> Result<()> {
    dropout_by(Arithmetic::Native, dropout, step, values, columns, result)
}

pub(super) fn dropout_by(
    arithmetic: Arithmetic,
    dropout: &Dropout,
    step: u32,
    values: &[f32],
    columns: usize,
    result: &mut [f32],
) -> Result<()> {
    dropout.check()?;
    let drop_out = by!(arithmetic, drop_out);
    rows("values", values.len(), columns)?;
    as_many("result", result.len(), values.len(), "values")?;
    let task = (TASK / columns.max(1)).max(1);
    let area = task * columns.max(1);
    let tasks = result.par_chunks_mut(area).zip(values.par_chunks(area)).enumerate();
    tasks.for_each(|(index, (result, values))| {
        result.copy_from_slice(values);
        drop_out(result, columns, dropout, index * task, step);
    });
    Ok(())
}

/// Dropout of rows, the first of which is row `first`.
pub(super) fn drop_out<R: Rounding>(
    rows: &mut [f32],
    columns: usize,
    dropout: &Dropout,
    first: usize,
    step: u32,
) {
    let (threshold, scale) = (dropout.threshold(), dropout.scale());
    for (row, out) in (first as u32..).zip(rows.chunks_exact_mut(columns)) {
        for (block, four) in (0..).zip(out.chunks_mut(4)) {
            for (t, word) in four.iter_mut().zip(dropout.words(columns as u32, row, block, step)) {
                *t = if word >= threshold { R::pin(*t * scale) } else { 0.0 };
            }
        }
    }
}
