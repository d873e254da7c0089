use bytemuck::{Pod, Zeroable};

use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::{Context, Pass, Tensor, planner};
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

/// Rows that one invocation sums.
const ROWS: u32 = 1 << 14;

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
}

pub(super) fn column_sums(
    context: &Context,
    values: &Tensor,
    weights: Option<&Tensor>,
    sums: &Tensor,
) -> Result<Vec<Dispatch>> {
    let [rows, columns] = matrix("values", values)?;
    let (reads, writes) = (values.shape().elements(), columns);
    let source = operand(context, "values", values, Dtype::F32, reads)?;
    let factor = match weights {
        Some(weights) => operand(context, "weights", weights, Dtype::F32, reads)?,
        None => source.clone(),
    };
    let out = operand(context, "sums", sums, Dtype::F32, writes)?;
    let reads = [vec![("values", values)], named("weights", weights)].concat();
    apart(&reads, &[("sums", sums)])?;
    let (rows, columns) = (rows as u32, columns as u32);
    let slices = rows.div_ceil(ROWS);
    let sum = |weighted: bool, rows, slices, a, b, out| -> Result<Dispatch> {
        let kernel = context.kernel(&shaders::COLUMNS, "columns_sum", &[u32::from(weighted)])?;
        let params = Params { rows, columns, slices, rows_of_slice: ROWS };
        let grid = planner::grid(context.limits(), columns * slices, shaders::COLUMNS.width);
        Ok(context.dispatch(&kernel, &params, &[a, b, out], grid))
    };
    if slices <= 1 {
        return Ok(vec![sum(weights.is_some(), rows, 1, source, factor, out)?]);
    }
    let bytes = u64::from(slices) * u64::from(columns) * 4;
    let partials = context.buffer("column sums", bytes, wgpu::BufferUsages::STORAGE)?;
    let partial = partials.as_entire_buffer_binding();
    Ok(vec![
        sum(weights.is_some(), rows, slices, source, factor, partial.clone())?,
        sum(false, slices, 1, partial.clone(), partial, out)?,
    ])
}
