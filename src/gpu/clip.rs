use bytemuck::{Pod, Zeroable};

use super::operand::{apart, operand};
use super::pass::Dispatch;
use super::{Context, Pass, Tensor, planner};
use crate::random::Dtype;
use crate::{Error, Result, shaders};

/// `Params` of `shaders/clip.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    count: u32,
    rows: u32,
    taken: u32,
    bound: f32,
}

/// Sums of squares at most: one workgroup adds them.
const ROWS: u64 = 1 << 14;

impl Pass<'_, '_> {
    /// `min(1, bound / (norm + 1e-6))`, and the Euclidean norm of all `gradients`, into the first two
    /// elements of `scale`: what [`Pass::update`] clips by. It is PyTorch's `clip_grad_norm_`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tensor does not fit, or the bound is not above 0.
    pub fn clip(&mut self, gradients: &Tensor, bound: f64, scale: &Tensor) -> Result<()> {
        self.once(clip(self.context, gradients, bound, scale))
    }
}

pub(super) fn clip(
    context: &Context,
    gradients: &Tensor,
    bound: f64,
    scale: &Tensor,
) -> Result<Vec<Dispatch>> {
    if !(bound > 0.0 && bound.is_finite()) {
        return Err(Error::invalid("clip", bound, "a finite norm above 0"));
    }
    let count = gradients.shape().elements();
    let source = operand(context, "gradients", gradients, Dtype::F32, count)?;
    let out = operand(context, "scale", scale, Dtype::F32, scale.shape().elements().max(2))?;
    apart(&[("gradients", gradients)], &[("scale", scale)])?;
    let taken = count.div_ceil(ROWS).max(64);
    let rows = count.div_ceil(taken);
    let params =
        Params { count: count as u32, rows: rows as u32, taken: taken as u32, bound: bound as f32 };
    let sums = context.buffer("sums of squares", rows * 4, wgpu::BufferUsages::STORAGE)?;
    let sums = sums.as_entire_buffer_binding();
    let squares = context.kernel(&shaders::CLIP, "clip_squares", &[])?;
    let merge = context.kernel(&shaders::CLIP, "clip_merge", &[])?;
    let grid = planner::grid(context.limits(), params.rows, shaders::CLIP.width);
    Ok(vec![
        context.dispatch(&squares, &params, &[source, sums.clone()], grid),
        context.dispatch(&merge, &params, &[sums, out], [1, 1, 1]),
    ])
}
