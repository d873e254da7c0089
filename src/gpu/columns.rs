use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::op::{Extreme, LANES, RUN};
use crate::random::Dtype;
use crate::{Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in COLUMNS as "Params" {
        rows: u32,
        columns: u32,
        slices: u32,
        rows_of_slice: u32,
        across: u32,
        down: u32,
        units: u32,
        zero: u32,
    }
}

/// How rows are folded, on the way to one in each slice.
#[derive(Clone, Copy, Debug)]
struct Plan {
    software: bool,
    /// Whether columns are read by fours.
    fours: bool,
    params: Params,
}

/// Invocations of a workgroup of a GPU.
const WIDTH: u32 = 256;

/// Rows that its invocation loads at once.
const TAKEN: u32 = 4;

/// Rows that a software adapter's invocation folds: as many as a loop should take. It waits for no
/// memory.
const SOFTWARE_ROWS: u32 = 1 << 14;

impl Plan {
    /// Of the rows of a matrix.
    fn of_rows(software: bool, rows: u32, columns: u32) -> Plan {
        let fours = columns.is_multiple_of(4) && !software;
        // 128 bytes of a row side by side, and workgroups that fill a large GPU: more of those that load
        // less at once.
        let (across, full) = if fours { (8, 512) } else { (32, 1024) };
        let plan = Plan::new(software, rows, columns, across);
        let Params { down, units, across, .. } = plan.params;
        let turn = TAKEN * down;
        let slices = match software {
            true => rows.div_ceil(SOFTWARE_ROWS),
            // Four turns one after the other take no longer than a second dispatch.
            false if rows <= 4 * turn => 1,
            false => u32::div_ceil(full, units.div_ceil(across)).min(rows.div_ceil(turn)),
        };
        let rows_of_slice = rows.div_ceil(slices);
        let slices = rows.div_ceil(rows_of_slice);
        Plan { params: Params { slices, rows_of_slice, ..plan.params }, ..plan }
    }

    /// Of what those come to, as many rows as slices.
    fn of_slices(software: bool, slices: u32, columns: u32) -> Plan {
        Plan::new(software, slices, columns, 1)
    }

    /// In one slice, so many columns or fours side by side at least, if there are, and as many rows one
    /// below the other as that leaves room for.
    fn new(software: bool, rows: u32, columns: u32, across: u32) -> Plan {
        let fours = columns.is_multiple_of(4) && !software;
        let units = if fours { columns / 4 } else { columns };
        let across = units.next_power_of_two().min(across);
        let down = rows.div_ceil(TAKEN).next_power_of_two().min(WIDTH / across);
        let params = Params {
            rows,
            columns,
            slices: 1,
            rows_of_slice: rows,
            across: WIDTH / down,
            down,
            units,
            zero: 0,
        };
        Plan { software, fours, params }
    }

    /// In runs of 2,048 rows, of which 32 stand one below the other.
    fn exact(software: bool, rows: u32, columns: u32) -> Plan {
        let plan = Plan::new(software, rows, columns, 1);
        let (down, run) = (LANES as u32, RUN as u32);
        let slices = rows.div_ceil(run).max(1);
        let (across, rows_of_slice) = (WIDTH / down, run);
        Plan { params: Params { slices, rows_of_slice, across, down, ..plan.params }, ..plan }
    }

    fn workgroups(&self) -> u32 {
        let Params { units, across, slices, .. } = self.params;
        units.div_ceil(across) * slices
    }
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

/// The `fold` constants of the shader.
const FOLD_SUM: u32 = 0;
const FOLD_WEIGHTED: u32 = 1;
const FOLD_LEAST: u32 = 2;
const FOLD_GREATEST: u32 = 3;

pub(crate) fn column_sums(
    context: &Context,
    values: &Tensor,
    weights: Option<&Tensor>,
    sums: &Tensor,
) -> Result<Vec<Dispatch>> {
    let codes = [if weights.is_some() { FOLD_WEIGHTED } else { FOLD_SUM }, FOLD_SUM];
    fold(context, values, weights, ("sums", sums), codes)
}

pub(crate) fn column_extremes(
    context: &Context,
    values: &Tensor,
    extreme: Extreme,
    result: &Tensor,
) -> Result<Vec<Dispatch>> {
    let code = match extreme {
        Extreme::Least => FOLD_LEAST,
        Extreme::Greatest => FOLD_GREATEST,
    };
    fold(context, values, None, ("result", result), [code; 2])
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
    if context.arithmetic().is_exact() && of_slices == FOLD_SUM {
        return exact_sums(context, of_rows, [rows, columns], source, factor, out);
    }
    let first = Plan::of_rows(context.is_software(), rows, columns);
    let slices = first.params.slices;
    if slices <= 1 {
        return Ok(vec![dispatch(context, of_rows, first, source, factor, out)?]);
    }
    let second = Plan::of_slices(first.software, slices, columns);
    let bytes = u64::from(slices) * u64::from(columns) * 4;
    let partials = context.buffer("folded columns", bytes, wgpu::BufferUsages::STORAGE)?;
    let partial = partials.as_entire_buffer_binding();
    Ok(vec![
        dispatch(context, of_rows, first, source, factor, partial.clone())?,
        dispatch(context, of_slices, second, partial.clone(), partial, out)?,
    ])
}

/// The sum of the squares of so many values, in the order of the exact arithmetic: that of a column.
pub(super) fn exact_square(
    context: &Context,
    values: wgpu::BufferBinding<'_>,
    count: u64,
    sum: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    exact_sums(context, FOLD_WEIGHTED, [count as u32, 1], values.clone(), values, sum)
}

/// Sums in the order of the exact arithmetic: runs of 2,048 rows, and then of their sums, until there is one.
fn exact_sums(
    context: &Context,
    code: u32,
    [rows, columns]: [u32; 2],
    values: wgpu::BufferBinding<'_>,
    weights: wgpu::BufferBinding<'_>,
    out: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let plan = Plan::exact(context.is_software(), rows, columns);
    let runs = plan.params.slices;
    if runs <= 1 {
        return Ok(vec![dispatch(context, code, plan, values, weights, out)?]);
    }
    let bytes = u64::from(runs) * u64::from(columns) * 4;
    let partials = context.buffer("sums of runs", bytes, wgpu::BufferUsages::STORAGE)?;
    let partial = partials.as_entire_buffer_binding();
    let first = dispatch(context, code, plan, values, weights, partial.clone())?;
    let rest =
        exact_sums(context, FOLD_SUM, [runs, columns], partial.clone(), partial.clone(), out)?;
    Ok([vec![first], rest].concat())
}

fn dispatch(
    context: &Context,
    code: u32,
    plan: Plan,
    values: wgpu::BufferBinding<'_>,
    weights: wgpu::BufferBinding<'_>,
    out: wgpu::BufferBinding<'_>,
) -> Result<Dispatch> {
    let Plan { software, fours, params } = plan;
    let (entry, width, grid) = match software {
        true => (
            "columns_invocations",
            64,
            planner::grid(context.limits(), params.columns * params.slices, 64),
        ),
        false => {
            ("columns_workgroups", WIDTH, planner::grid(context.limits(), plan.workgroups(), 1))
        }
    };
    let constants = [("fold", code), ("fours", fours.into()), ("width", width)];
    let kernel = context.kernel(&shaders::COLUMNS, entry, &constants)?;
    // A few columns are not bound as fours, of which they have none.
    let [nothing, _] = context.unused();
    let by_fours = match fours {
        true => [values.clone(), weights.clone()],
        false => [nothing.clone(), nothing],
    };
    let [value_fours, weight_fours] = by_fours;
    let buffers = [values, weights, value_fours, weight_fours, out];
    Ok(context.dispatch(&kernel, &params, &buffers, grid))
}

#[cfg(test)]
mod tests {
    use super::{FOLD_GREATEST, FOLD_LEAST, FOLD_SUM, FOLD_WEIGHTED, Plan, TAKEN, WIDTH};
    use crate::gpu::shared::assert_constants;
    use crate::shaders::COLUMNS;

    #[test]
    fn codes_are_the_shaders() {
        let constants = [
            ("FOLD_SUM", FOLD_SUM),
            ("FOLD_WEIGHTED", FOLD_WEIGHTED),
            ("FOLD_LEAST", FOLD_LEAST),
            ("FOLD_GREATEST", FOLD_GREATEST),
            ("TAKEN", TAKEN),
        ];
        assert_constants(&COLUMNS, &constants.map(|(name, value)| (name, value.into())));
    }

    /// llvmpipe ends a loop after 65,535 iterations; a binding has 2^29 floats at most.
    #[test]
    fn no_loop_is_too_long() {
        for software in [false, true] {
            for rows in [1u32, 2, 3, 16, 17, 256, 300, 4096, 16_385, 1 << 20, 1 << 24, 1 << 29] {
                for columns in [1u32, 2, 3, 4, 5, 10, 31, 512, 1023, 1024, 1 << 20, 1 << 29] {
                    if u64::from(rows) * u64::from(columns) > 1 << 29 {
                        continue;
                    }
                    let first = Plan::of_rows(software, rows, columns);
                    let second = Plan::of_slices(software, first.params.slices, columns);
                    for plan in [first, second] {
                        let params = plan.params;
                        assert!(params.slices * params.rows_of_slice >= params.rows, "{plan:?}");
                        assert!((params.slices - 1) * params.rows_of_slice < params.rows);
                        assert_eq!(params.across * params.down, WIDTH, "{plan:?}");
                        let at_once = if software { 1 } else { 4 * params.down };
                        assert!(params.rows_of_slice.div_ceil(at_once) <= 1 << 15, "{plan:?}");
                    }
                }
            }
        }
        // A batch's rows are one dispatch; larger matrices of any shape fill a card of 132 units.
        assert_eq!(Plan::of_rows(false, 256, 512).params.slices, 1);
        for (rows, columns) in [(4096, 1024), (1 << 24, 1), (1 << 20, 3), (3, 1 << 20)] {
            assert!(Plan::of_rows(false, rows, columns).workgroups() >= 2 * 132);
        }
    }
}
