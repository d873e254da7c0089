use super::Context;
use super::context::Kernel;

/// Operations of this crate, recorded into a compute pass.
///
/// It never submits: [`Context::run`] does for passes of its own, the caller for the caller's.
pub struct Pass<'a, 'encoder> {
    pub(super) context: &'a Context,
    compute: &'a mut wgpu::ComputePass<'encoder>,
}

impl<'a, 'encoder> Pass<'a, 'encoder> {
    /// Records into a compute pass of the context's device.
    pub fn new(context: &'a Context, compute: &'a mut wgpu::ComputePass<'encoder>) -> Self {
        Pass { context, compute }
    }

    pub(super) fn dispatch(
        &mut self,
        kernel: &Kernel,
        buffers: &[wgpu::BufferBinding<'_>],
        [x, y, z]: [u32; 3],
    ) {
        self.compute.set_pipeline(&kernel.pipeline);
        self.compute.set_bind_group(0, &self.context.bind(kernel, buffers), &[]);
        self.compute.dispatch_workgroups(x, y, z);
    }
}
