use super::operand::{matrix, rows};
use crate::host::parallel::*;
use crate::{Error, Result};

/// Elements a task: those of labels alone are not worth a thread.
const TASK: usize = 1 << 13;

/// `out[m] = values[order[m]]`, row by row, of matrices of `columns` columns, as
/// [`Pass::gather`](crate::gpu::Pass::gather).
///
/// # Errors
/// [`Error::Invalid`] where a slice does not fit, or an index of `order` is of no row: then `out` is as
/// it was.
pub fn gather(values: &[f32], columns: usize, order: &[u32], out: &mut [f32]) -> Result<()> {
    let rows = rows("values", values.len(), columns)?;
    matrix("out", out.len(), [order.len(), columns])?;
    if let Some((at, row)) = order.iter().enumerate().find(|(_, row)| **row as usize >= rows) {
        let given = format!("row {row} at index {at}");
        return Err(Error::invalid("order", given, format!("rows of the {rows} there are")));
    }
    if columns == 0 {
        return Ok(());
    }
    let outs = out.par_chunks_exact_mut(columns).with_min_len((TASK / columns).max(1));
    outs.zip(order).for_each(|(out, &row)| {
        out.copy_from_slice(&values[row as usize * columns..][..columns]);
    });
    Ok(())
}
