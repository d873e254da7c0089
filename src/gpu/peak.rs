use super::operand::operand;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::random::Dtype;
use crate::{Result, shaders};

/// Steps of 8 chains of 4 lanes, two operations each.
pub(crate) const FLOPS_OF_INVOCATION: u64 = STEPS * 8 * 4 * 2;

/// Bytes that a workgroup of a stream takes: of each invocation some vec4s.
pub(crate) const STREAM_STEP: u64 = WIDTH * TAKEN * 16;

/// Steps of an invocation's multiply-adds.
const STEPS: u64 = 512;

/// Invocations a workgroup.
const WIDTH: u64 = 64;

/// What a stream of writes leaves.
pub(crate) const WRITTEN: f32 = 0.999;

/// vec4s that an invocation takes.
const TAKEN: u64 = 16;

shared! {
    /// What a dispatch is told.
    struct Params in PEAK as "Params" {
        factor: f32,
        addend: f32,
        groups: u32,
        never: u32,
    }
}

/// What the ceilings are measured with.
pub(crate) struct Streams {
    /// An invocation of multiply-adds for each of its f32s.
    pub out: Tensor,
    /// f32s of whole [`STREAM_STEP`]s.
    pub source: Tensor,
    /// As many.
    pub target: Tensor,
}

impl Pass<'_, '_> {
    /// Runs an entry of `shaders/peak.wgsl`. Streams are moved by kernels: buffer copies may go through
    /// an engine of their own, at a fifth of what kernels move.
    pub(crate) fn peak(&mut self, entry: &'static str, streams: &Streams) -> Result<()> {
        let context: &Context = self.context;
        let Streams { out, source, target } = streams;
        let elements = |tensor: &Tensor| tensor.shape().elements();
        let bound = |name, own| operand(context, name, own, Dtype::F32, elements(own));
        let groups = (elements(source) / 4) as u32;
        let invocations = match entry {
            "multiply_add" => elements(out) as u32,
            _ => groups / TAKEN as u32,
        };
        let kernel = context.kernel(&shaders::PEAK, entry, &[])?;
        let params = Params { factor: WRITTEN, addend: 0.001, groups, never: 0x5A5A_1234 };
        let uniforms = context.uniforms(&[params]);
        let grid = planner::grid(context.limits(), invocations, shaders::PEAK.width);
        let buffers = [
            bound("out", out)?,
            uniforms.block(0),
            bound("source", source)?,
            bound("target", target)?,
        ];
        let dispatch = context.prepare(&kernel, &buffers, grid);
        self.once(Ok(vec![dispatch]))
    }
}

#[cfg(test)]
mod tests {
    use super::{STEPS, TAKEN, WIDTH};
    use crate::gpu::shared::assert_constants;
    use crate::shaders::PEAK;

    #[test]
    fn steps_are_the_shaders() {
        let constants = [("STEPS", STEPS), ("TAKEN", TAKEN), ("WIDTH", WIDTH)];
        assert_constants(&PEAK, &constants);
    }
}
