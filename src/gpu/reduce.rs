use bytemuck::Zeroable;

use super::operand::{apart, operand};
use super::pass::Dispatch;
use super::planner::{self, Window, window_bytes};
use super::shared::shared;
use super::turn::Buffer;
use super::{Context, Pass, Tensor};
use crate::op::{Moments, Optimizer, Part, Summary};
use crate::random::Dtype;
use crate::{Error, Result, Shape, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in REDUCE as "Params" {
        begin: u32,
        end: u32,
        turns: u32,
        rows: u32,
        first_row: u32,
        zero: u32,
        bound: f32,
        unused: u32,
    }
}

shared! {
    /// What a run of elements comes to.
    struct Row in REDUCE as "Part" {
        finite: u32,
        nan: u32,
        infinite: u32,
        exponent: u32,
        mean: f32,
        rest: f32,
        square: f32,
        low: f32,
        high: f32,
    }
}

/// Bytes of a row.
pub(crate) const ROW: u64 = size_of::<Row>() as u64;

impl Row {
    fn part(&self) -> Part {
        let (nan, infinite) = (u64::from(self.nan), u64::from(self.infinite));
        if self.finite == 0 {
            return Part { nan, infinite, ..Part::EMPTY };
        }
        let unit = 2f64.powi(self.exponent as i32 - 127);
        let moments = Moments {
            count: u64::from(self.finite),
            mean: (f64::from(self.mean) + f64::from(self.rest)) * unit,
            square: f64::from(self.square) * unit * unit,
        };
        Part { moments, min: self.low.into(), max: self.high.into(), nan, infinite }
    }
}

/// How a run goes through the first pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    software: bool,
    /// Invocations a workgroup.
    width: u32,
    pub(super) workgroups: u32,
    /// Sixteens of elements an invocation.
    pub(super) turns: u32,
    rows: u32,
}

/// Invocations a workgroup.
const WIDTH: u32 = 256;
const SOFTWARE_WIDTH: u32 = 64;

/// Workgroups at most, so many as fill a large GPU twice over; there each makes a row.
const WORKGROUPS: u32 = 1024;

/// The same of software adapters, where each invocation makes a row.
const SOFTWARE_WORKGROUPS: u32 = 256;

/// Sixteens that an invocation takes at least on a software adapter, where they are in turn anyway.
const SOFTWARE_TURNS: u32 = 16;

impl Plan {
    /// Of elements `begin..end`, `size` bytes each.
    pub(crate) fn new(software: bool, begin: u32, end: u32, size: u32) -> Plan {
        let of_group = 16 / size;
        let groups = end.div_ceil(of_group) - begin / of_group;
        let (width, most, least) = match software {
            true => (SOFTWARE_WIDTH, SOFTWARE_WORKGROUPS, SOFTWARE_TURNS),
            false => (WIDTH, WORKGROUPS, 1),
        };
        let turn = width * 16 / of_group;
        let turns = groups.div_ceil(turn).div_ceil(most).max(least);
        let workgroups = groups.div_ceil(turn * turns);
        let rows = if software { workgroups * width } else { workgroups };
        Plan { software, width, workgroups, turns, rows }
    }
}

/// Rows from one that starts at a multiple of every device's alignment, 256 bytes at most, to the next.
const BOUND: u32 = 64;

/// Room for the rows of `tensors` tensors of together at most `bytes` bytes.
pub(crate) fn room(context: &Context, bytes: u64, tensors: u64) -> Result<Buffer> {
    // Each run's last workgroup may have little to do, and its first group begin early.
    let runs = bytes / (window_bytes(context.limits()) / 2) + 1 + tensors;
    let (every, each, most) = match context.is_software() {
        true => (16 * SOFTWARE_TURNS, 2 * SOFTWARE_WIDTH, SOFTWARE_WIDTH * SOFTWARE_WORKGROUPS),
        false => (16 * WIDTH, 2, WORKGROUPS),
    };
    // An element is a byte at least.
    let rows = (bytes / u64::from(every) + u64::from(each) * runs).min(u64::from(most) * runs);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    context.buffer("rows of a reduction", rows * ROW, usage)
}

/// What rows come to, added in order.
pub(crate) fn total(rows: &[u8]) -> Part {
    let rows = rows.chunks_exact(size_of::<Row>()).map(bytemuck::pod_read_unaligned::<Row>);
    rows.map(|row| row.part()).fold(Part::EMPTY, Part::merge)
}

/// The first pass over a run of elements: a dispatch.
fn first_pass(
    context: &Context,
    dtype: u32,
    norm_alone: bool,
    source: wgpu::BufferBinding<'_>,
    plan: Plan,
    params: Params,
    rows: wgpu::BufferBinding<'_>,
) -> Result<Dispatch> {
    let entry = if plan.software { "reduce_invocations" } else { "reduce_workgroups" };
    let constants = [
        ("dtype", dtype),
        ("width", plan.width),
        ("norm_alone", norm_alone.into()),
        ("branches", u32::from(!plan.software)),
    ];
    let kernel = context.kernel(&shaders::REDUCE, entry, &constants)?;
    let params = Params { turns: plan.turns, rows: plan.rows, ..params };
    let [groups, words] = both(context, source);
    let grid = planner::grid(context.limits(), plan.workgroups, 1);
    Ok(context.dispatch(&kernel, &params, &[groups, words, rows], grid))
}

/// A run as groups of 16 bytes and as words: what `shaders/lib/run.wgsl` reads.
pub(crate) fn both<'a>(
    context: &'a Context,
    words: wgpu::BufferBinding<'a>,
) -> [wgpu::BufferBinding<'a>; 2] {
    // Less than a group is not bound as groups, of which it has none.
    let [nothing, _] = context.unused();
    let short = words.size.is_some_and(|size| size.get() < 16);
    [if short { nothing } else { words.clone() }, words]
}

impl Pass<'_, '_> {
    /// Reduces a tensor to rows from `first_row` on, and returns the row after the last.
    pub(crate) fn reduce(
        &mut self,
        tensor: &Tensor,
        rows: &Buffer,
        mut first_row: u32,
    ) -> Result<u32> {
        let (context, dtype) = (self.context, code(tensor)?);
        let (elements, size) = (tensor.shape().elements(), tensor.dtype().size());
        for window in planner::windows(context.limits(), tensor.offset(), elements, size as u64) {
            let Window { begin, end, .. } = window;
            let plan = Plan::new(context.is_software(), begin, end, size as u32);
            // Bound from a row on that a device binds at: all rows may be more than it binds.
            let (before, first) = (first_row / BOUND * BOUND, first_row % BOUND);
            let params = Params { begin, end, first_row: first, ..Params::zeroed() };
            let source = tensor.window(context, &window)?;
            let out = wgpu::BufferBinding {
                buffer: rows,
                offset: u64::from(before) * ROW,
                size: wgpu::BufferSize::new(u64::from(first + plan.rows) * ROW),
            };
            self.record(&[first_pass(context, dtype, false, source, plan, params, out)?], 0);
            first_row += plan.rows;
        }
        Ok(first_row)
    }

    /// `min(1, bound / (norm + 1e-6))`, and the Euclidean norm of all `gradients`, into the first two
    /// elements of `scale`: what [`Pass::update`] clips by. It is PyTorch's `clip_grad_norm_`.
    ///
    /// Squares are added in an order that the number of gradients decides, and neither overflow nor
    /// vanish on the way: the norm is off by at most `2^-15` of itself. With a NaN among the gradients
    /// both are NaN, with an infinity and no NaN the norm is infinite and the factor 0, and so they are
    /// where the norm itself is beyond f32.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tensor does not fit, or the bound is not above 0.
    pub fn clip(&mut self, gradients: &Tensor, bound: f64, scale: &Tensor) -> Result<()> {
        self.once(clip(self.context, gradients, bound, scale))
    }
}

/// The dispatches of [`Pass::clip`].
pub(crate) fn clip(
    context: &Context,
    gradients: &Tensor,
    bound: f64,
    scale: &Tensor,
) -> Result<Vec<Dispatch>> {
    Optimizer::check_clip(bound)?;
    let count = gradients.shape().elements();
    let source = operand(context, "gradients", gradients, Dtype::F32, count)?;
    let out = operand(context, "scale", scale, Dtype::F32, scale.shape().elements().max(2))?;
    apart(&[("gradients", gradients)], &[("scale", scale)])?;
    if context.arithmetic().is_exact() && count > 0 {
        return super::rows::clip(context, source, count, bound, out);
    }
    let end = count as u32;
    let plan = Plan::new(context.is_software(), 0, end, 4);
    let params = Params { end, rows: plan.rows, bound: bound as f32, ..Params::zeroed() };
    let usage = wgpu::BufferUsages::STORAGE;
    let rows = context.buffer("rows of a norm", u64::from(plan.rows) * ROW, usage)?;
    let rows = rows.as_entire_buffer_binding();
    // Few invocations wait for each other on a software adapter.
    let width = if plan.software { 32 } else { WIDTH };
    let norm =
        context.kernel(&shaders::REDUCE, "reduce_norm", &[("width", width), ("norm_alone", 1)])?;
    Ok(vec![
        first_pass(context, 0, true, source, plan, params, rows.clone())?,
        context.dispatch(&norm, &params, &[rows.clone(), rows, out], [1, 1, 1]),
    ])
}

impl Context {
    /// Count, sum, mean, variance, extremes and norm of a tensor of floats ([`Dtype::SAMPLED`]), and how
    /// many elements are NaN or infinite; waited for.
    ///
    /// An element of f64 counts as the f32 nearest to it, which one that was drawn is.
    /// Runs of elements are reduced on the device in f32, to a row for 4,096 elements or more (256 on a
    /// software adapter), and the rows on the host in f64, in an order that the tensor's size and offset
    /// decide. With `u = 2^-24`, the mean is off by at most `40 u (max - min)`, the variance and the norm
    /// by `64 u` of their value; counts and extremes are exact. Subnormals may be taken for 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other dtypes, [`Error::Device`] where the device fails.
    pub fn summary(&self, tensor: &Tensor) -> Result<Summary> {
        Ok(self.reduced(tensor)?.finish())
    }

    /// Count, mean and squared deviations of a tensor of floats, as exact as those of
    /// [`Context::summary`], and waited for. Mean and deviations are NaN where an element is NaN or
    /// infinite.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other dtypes, [`Error::Device`] where the device fails.
    pub fn moments(&self, tensor: &Tensor) -> Result<Moments> {
        Ok(self.reduced(tensor)?.moments_of_all())
    }

    fn reduced(&self, tensor: &Tensor) -> Result<Part> {
        let rows = room(self, tensor.bytes(), 1)?;
        let count = self.run(|pass| pass.reduce(tensor, &rows, 0))?;
        let shape = Shape::new([u64::from(count) * ROW / 4])?;
        Ok(total(&self.read(&Tensor::of(self, &rows, 0, shape, Dtype::U32)?)?))
    }
}

/// The `dtype` constant of a tensor of floats.
pub(crate) fn code(tensor: &Tensor) -> Result<u32> {
    let dtype = tensor.dtype();
    shaders::dtype_code(dtype)
        .filter(|_| dtype != Dtype::U32)
        .ok_or_else(|| Error::invalid("dtype", dtype, format!("one of {}", Dtype::sampled())))
}

#[cfg(test)]
mod tests {
    use super::{Plan, SOFTWARE_WORKGROUPS, WORKGROUPS};

    #[test]
    fn every_group_has_one_invocation_and_no_loop_is_long() {
        for software in [false, true] {
            for (size, most) in [(8, 1u32 << 28), (4, 1 << 29), (2, 1 << 30), (1, 1 << 30)] {
                let mut ends = vec![1, 2, 3, 4, 5, 8, 9, 4095, 4096, 4097, 1 << 20, most - 1, most];
                ends.extend([1, 4].map(|chunks| chunks * 4096 * WORKGROUPS + 1));
                for end in ends {
                    for begin in [0, 1, 3, 63].into_iter().filter(|begin| *begin < end) {
                        let plan = Plan::new(software, begin, end, size);
                        let of_group = 16 / size;
                        let groups = u64::from(end.div_ceil(of_group) - begin / of_group);
                        let each = u64::from(plan.width * plan.turns * 16 / of_group);
                        assert!(u64::from(plan.workgroups) * each >= groups, "{plan:?}");
                        assert!(u64::from(plan.workgroups - 1) * each < groups, "{plan:?}");
                        let most = if software { SOFTWARE_WORKGROUPS } else { WORKGROUPS };
                        assert!(plan.workgroups <= most && plan.turns <= 1 << 12, "{plan:?}");
                        // The first element of each sixteen that is looked for has a number.
                        let elements = u64::from(plan.workgroups) * each * u64::from(of_group);
                        assert!(elements < 1 << 32, "{plan:?}");
                    }
                }
            }
        }
    }
}
