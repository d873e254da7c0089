use bytemuck::Zeroable;

use super::context::{Constant, Kernel};
use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, columns, planner};
use crate::random::Dtype;
use crate::shaders::{Loads, Module};
use crate::{Custom, Error, Result, counted, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in ROWS as "Params" {
        rows: u32,
        columns: u32,
        zero: u32,
        bound: f32,
    }
}

/// Items that an invocation of a team holds of its row from one pass over it to the next.
const HELD: u64 = 4;

/// How often it may come back for more of them: it goes over its row three times at most, once of these
/// an item at a time, and llvmpipe ends loops after 65,535 iterations in sum.
const TURNS: u64 = 1 << 13;

/// Items up to which a software adapter gives a row to one invocation, which takes them one by one: at a
/// barrier the invocations of a team wait for each other in turn there.
const ALONE: u64 = 1 << 14;

/// Elements that stand side by side in an exact sum.
const LANES_OF_ELEMENTS: u64 = crate::op::LANES as u64;

/// Invocations a row at most.
const LANES: u32 = 256;

/// How rows are read, and in how many items.
pub(super) fn items(columns: u64) -> (Loads, u64) {
    match columns.is_multiple_of(4) {
        true => (Loads::Quads, columns / 4),
        false => (Loads::Words, columns),
    }
}

/// How the rows of a matrix are shared out: a team of invocations takes one, several teams a
/// workgroup.
pub(super) struct Teams {
    loads: Loads,
    lanes: u32,
    width: u32,
}

impl Teams {
    /// # Errors
    /// [`Error::Invalid`] where the rows are longer than a team can take.
    pub(super) fn of(context: &Context, what: &str, columns: u64) -> Result<Teams> {
        let (loads, items) = items(columns);
        let limits = context.device().limits();
        let most = limits
            .max_compute_invocations_per_workgroup
            .min(limits.max_compute_workgroup_size_x)
            .clamp(1, LANES);
        // The largest power of two.
        let most = 1 << most.ilog2();
        let software = context.is_software();
        let per = columns / items.max(1);
        let (lanes, longest) = match context.arithmetic().is_exact() {
            false => (lanes(software, items, most), u64::from(most) * HELD * TURNS),
            true => exact_lanes(software, items, (LANES_OF_ELEMENTS / per) as u32),
        };
        let lanes = lanes.ok_or_else(|| {
            let needed = format!("at most {} on {}", longest * per, context.name());
            Error::invalid(what, counted(columns, "column"), needed)
        })?;
        Ok(Teams { loads, lanes, width: lanes.max(shaders::ROWS.width) })
    }

    /// The kernel of an entry of a module that has the constants `lanes` and `width`.
    pub(super) fn kernel(
        &self,
        context: &Context,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        custom: Option<Custom>,
    ) -> Result<Kernel> {
        let constants = [constants, &[("lanes", self.lanes), ("width", self.width)]].concat();
        context.kernel_of(module, entry, &constants, self.loads, custom)
    }

    pub(super) fn grid(&self, context: &Context, rows: u32) -> [u32; 3] {
        planner::grid(context.limits(), rows * self.lanes, self.width)
    }
}

/// Invocations a row of so many items: a power of two, of which each holds all that it takes where
/// `most` are enough. None where they would loop for too long.
fn lanes(software: bool, items: u64, most: u32) -> Option<u32> {
    let turns = items.div_ceil(HELD);
    if turns > u64::from(most) * TURNS {
        return None;
    }
    if software && items <= ALONE {
        return Some(1);
    }
    Some(turns.next_power_of_two().min(most.into()) as u32)
}

/// The same of the exact arithmetic, and the most items of a row: one for each item of 32 elements, or one for
/// all of them.
fn exact_lanes(software: bool, items: u64, all: u32) -> (Option<u32>, u64) {
    let longest = u64::from(all) * ALONE;
    match items {
        _ if items > longest => (None, longest),
        _ if software && items <= ALONE => (Some(1), longest),
        _ => (Some(all), longest),
    }
}

impl Pass<'_, '_> {
    /// `sums[m] = sum_n values[m, n]`, or of `values[m, n] weights[m, n]`. `values` and `weights` are
    /// `[m, n]`, `sums` has `m` elements; all are f32. Added in one order on a device: a row's sum is
    /// off by at most `(n + 16) 2^-24` of the sum of its terms' sizes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tensor does not fit, or there are more than 2^23 columns
    /// (2^25 where they are a multiple of 4; fewer where workgroups have less than 256 invocations).
    pub fn row_sums(
        &mut self,
        values: &Tensor,
        weights: Option<&Tensor>,
        sums: &Tensor,
    ) -> Result<()> {
        self.once(row_sums(self.context, values, weights, sums))
    }
}

fn row_sums(
    context: &Context,
    values: &Tensor,
    weights: Option<&Tensor>,
    sums: &Tensor,
) -> Result<Vec<Dispatch>> {
    let [rows, columns] = matrix("values", values)?;
    let teams = Teams::of(context, "values", columns)?;
    let source = operand(context, "values", values, Dtype::F32, rows * columns)?;
    let factor = match weights {
        Some(weights) => operand(context, "weights", weights, Dtype::F32, rows * columns)?,
        None => source.clone(),
    };
    let out = operand(context, "sums", sums, Dtype::F32, rows)?;
    let reads = [vec![("values", values)], named("weights", weights)].concat();
    apart(&reads, &[("sums", sums)])?;
    let constants = [("weighted", u32::from(weights.is_some()))];
    let kernel = teams.kernel(context, &shaders::ROWS, "rows_sum", &constants, None)?;
    let params = Params { rows: rows as u32, columns: columns as u32, ..Params::zeroed() };
    let grid = teams.grid(context, params.rows);
    Ok(vec![context.dispatch(&kernel, &params, &[source, factor, out], grid)])
}

/// From the sum of all squares the factor of clipping, and the norm: the dispatches of an exact [`Pass::clip`].
pub(super) fn clip(
    context: &Context,
    gradients: wgpu::BufferBinding<'_>,
    count: u64,
    bound: f64,
    scale: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let sum = context.buffer("sum of squares", 16, wgpu::BufferUsages::STORAGE)?;
    let sum = sum.as_entire_buffer_binding();
    let mut dispatches = columns::exact_square(context, gradients, count, sum.clone())?;
    let kernel = context.kernel(&shaders::ROWS, "rows_norm", &[])?;
    let params = Params { bound: bound as f32, ..Params::zeroed() };
    dispatches.push(context.dispatch(&kernel, &params, &[sum.clone(), sum, scale], [1, 1, 1]));
    Ok(dispatches)
}

#[cfg(test)]
mod tests {
    use super::{ALONE, HELD, TURNS, lanes};
    use crate::gpu::shared::assert_constants;
    use crate::shaders::{LOSS, NORM, ROWS};

    #[test]
    fn an_invocation_holds_as_many() {
        for module in [&ROWS, &NORM, &LOSS] {
            assert_constants(module, &[("HELD", HELD)]);
        }
    }

    /// llvmpipe ends loops after 65,535 iterations in sum; a row is gone over three times, once an item
    /// at a time, and added up in trees.
    #[test]
    fn no_loop_is_too_long_and_no_lane_is_idle() {
        assert!(((3 + HELD) * TURNS).max(3 * ALONE) + 64 < 65_535);
        for software in [false, true] {
            for most in [64, 128, 256] {
                let longest = u64::from(most) * HELD * TURNS;
                for items in (1..3000).chain([50_257, 151_936, longest - 1, longest]) {
                    let lanes = lanes(software, items, most).unwrap();
                    let place = format!("{software} {most} {items}: {lanes}");
                    assert!(lanes.is_power_of_two() && lanes <= most, "{place}");
                    let turns = items.div_ceil(HELD * u64::from(lanes));
                    assert!(turns <= TURNS || lanes == 1 && items <= ALONE, "{place}");
                    // Half the lanes would not do, or this many are more than what is one's alone.
                    assert!(lanes == 1 || items > HELD * u64::from(lanes / 2), "{place}");
                    let held = items <= HELD * u64::from(lanes);
                    assert!(software || held || lanes == most, "{place}");
                }
                assert!(lanes(software, longest + 1, most).is_none());
            }
        }
        assert_eq!(lanes(false, 256, 256), Some(64), "1024 columns");
        assert_eq!(lanes(false, 10, 256), Some(4), "10 columns");
    }
}
