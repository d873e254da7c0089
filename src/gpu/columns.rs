use bytemuck::{Pod, Zeroable};

use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::{Context, Pass, Tensor, planner};
use crate::product::Extreme;
use crate::random::Dtype;
use crate::{Result, shaders};

/// `Params` of `shaders/columns.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    columns: u32,
    slices: u32,
    rows_of_slice: u32,
}

/// Rows that one invocation folds. A software adapter waits for no memory, so there it is as many as a
/// loop should take; a GPU has as many rows a slice as slices, so that neither loop is long.
fn rows_of_slice(software: bool, rows: u32) -> u32 {
    if software { 1 << 14 } else { (rows.isqrt() + 1).max(16) }
}

impl Pass<'_, '_> {
    /// `sums[n] = sum_m values[m, n]`, or of `values[m, n] weights[m, n]`: the gradient of a bias,
    /// of a scale. `values` and `weights` are `[m, n]`, `sums` has `n` elements; all are f32.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit.
    pub fn column_sums(
        &mut self,
        values: &Tensor,
        weights: Option<&Tensor>,
        sums: &Tensor,
    ) -> Result<()> {
        self.once(column_sums(self.context, values, weights, sums))
    }

    /// `result[n] = min_m values[m, n]`, or the greatest of each column. `values` is `[m, n]` with a
    /// row at least, `result` has `n` elements; both are f32. NaN may be passed over, or win.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit.
    pub fn column_extremes(
        &mut self,
        values: &Tensor,
        extreme: Extreme,
        result: &Tensor,
    ) -> Result<()> {
        self.once(column_extremes(self.context, values, extreme, result))
    }
}

/// The `fold` constant of the shader.
fn extreme_code(extreme: Extreme) -> u32 {
    match extreme {
        Extreme::Least => 2,
        Extreme::Greatest => 3,
    }
}

pub(super) fn column_sums(
    context: &Context,
    values: &Tensor,
    weights: Option<&Tensor>,
    sums: &Tensor,
) -> Result<Vec<Dispatch>> {
    let codes = [u32::from(weights.is_some()), 0];
    fold(context, values, weights, ("sums", sums), codes)
}

pub(super) fn column_extremes(
    context: &Context,
    values: &Tensor,
    extreme: Extreme,
    result: &Tensor,
) -> Result<Vec<Dispatch>> {
    fold(context, values, None, ("result", result), [extreme_code(extreme); 2])
}

/// Folds rows, and slices of them, by the shader's `fold` constants.
fn fold(
    context: &Context,
    values: &Tensor,
    weights: Option<&Tensor>,
    (what, result): (&'static str, &Tensor),
    [of_rows, of_slices]: [u32; 2],
) -> Result<Vec<Dispatch>> {
    let [rows, columns] = matrix("values", values)?;
    let (reads, writes) = (values.shape().elements(), columns);
    let source = operand(context, "values", values, Dtype::F32, reads)?;
    let factor = match weights {
        Some(weights) => operand(context, "weights", weights, Dtype::F32, reads)?,
        None => source.clone(),
    };
    let out = operand(context, what, result, Dtype::F32, writes)?;
    let reads = [vec![("values", values)], named("weights", weights)].concat();
    apart(&reads, &[(what, result)])?;
    let (rows, columns) = (rows as u32, columns as u32);
    let rows_of_slice = rows_of_slice(context.is_software(), rows);
    let slices = rows.div_ceil(rows_of_slice);
    let dispatch = |code: u32, rows, slices, rows_of_slice, a, b, out| -> Result<Dispatch> {
        let kernel = context.kernel(&shaders::COLUMNS, "columns_fold", &[code])?;
        let params = Params { rows, columns, slices, rows_of_slice };
        let grid = planner::grid(context.limits(), columns * slices, shaders::COLUMNS.width);
        Ok(context.dispatch(&kernel, &params, &[a, b, out], grid))
    };
    if slices <= 1 {
        return Ok(vec![dispatch(of_rows, rows, 1, rows, source, factor, out)?]);
    }
    let bytes = u64::from(slices) * u64::from(columns) * 4;
    let partials = context.buffer("folded columns", bytes, wgpu::BufferUsages::STORAGE)?;
    let partial = partials.as_entire_buffer_binding();
    Ok(vec![
        dispatch(of_rows, rows, slices, rows_of_slice, source, factor, partial.clone())?,
        dispatch(of_slices, slices, 1, slices, partial.clone(), partial, out)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::rows_of_slice;

    /// llvmpipe ends a loop after 65,535 iterations; a binding has 2^29 floats at most.
    #[test]
    fn no_loop_is_too_long() {
        for software in [false, true] {
            for rows in [1, 16, 17, 300, 16_384, 16_385, 1 << 20, 1 << 29] {
                let taken = rows_of_slice(software, rows);
                assert!(taken.max(rows.div_ceil(taken)) < 65_535, "{software} {rows}");
            }
        }
        assert_eq!(rows_of_slice(false, 1 << 14), 129);
    }
}
