use bytemuck::{Pod, Zeroable};

use super::operand::operand;
use super::{Context, Pass, Tensor, planner};
use crate::random::Dtype;
use crate::{Result, shaders};

/// Invocations of [`Pass::multiply_add`]: enough to fill a large GPU.
pub(crate) const PEAK_INVOCATIONS: u64 = 1 << 17;

/// 512 steps of 8 chains of 4 lanes, two operations each.
pub(crate) const PEAK_FLOPS: u64 = PEAK_INVOCATIONS * 512 * 8 * 4 * 2;

/// `Params` of `shaders/peak.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    factor: f32,
    addend: f32,
    unused: [u32; 2],
}

impl Pass<'_, '_> {
    /// Multiplies and adds in registers, into `out` of [`PEAK_INVOCATIONS`] f32s.
    pub(crate) fn multiply_add(&mut self, out: &Tensor) -> Result<()> {
        let context: &Context = self.context;
        let out = operand(context, "out", out, Dtype::F32, PEAK_INVOCATIONS)?;
        let kernel = context.kernel(&shaders::PEAK, "multiply_add", &[])?;
        let uniforms = context.uniforms(&[Params { factor: 0.999, addend: 0.001, unused: [0; 2] }]);
        let grid = planner::grid(context.limits(), PEAK_INVOCATIONS as u32, shaders::PEAK.width);
        let dispatch = context.prepare(&kernel, &[out, uniforms.block(0)], grid);
        self.once(Ok(vec![dispatch]))
    }
}
