use super::Context;
use super::context::Kernel;
use super::turn::Held;
use crate::Result;

/// Operations of this crate, recorded into a compute pass.
///
/// It never submits: [`Context::run`] does for passes of its own, the caller for the caller's.
pub struct Pass<'a, 'encoder> {
    pub(super) context: &'a Context,
    compute: &'a mut wgpu::ComputePass<'encoder>,
}

/// A dispatch made ready: pipeline, bind group and grid. Recorded once or a thousand times, it
/// allocates nothing more.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    group: Held<wgpu::BindGroup>,
    grid: [u32; 3],
    /// Whether the kernel reads the parameters of a step, at an offset given when it is recorded.
    stepped: bool,
    /// Its place in the context's trace, where there is one.
    traced: Option<usize>,
}

impl Context {
    /// Makes a dispatch ready; `buffers` are in the order of the table's binding indices.
    pub(super) fn prepare(
        &self,
        kernel: &Kernel,
        buffers: &[wgpu::BufferBinding<'_>],
        grid: [u32; 3],
    ) -> Dispatch {
        let group = self.bind(kernel, buffers);
        Dispatch {
            pipeline: kernel.pipeline.clone(),
            group,
            grid,
            stepped: kernel.stepped,
            traced: self.trace_ready(kernel, buffers, grid),
        }
    }
}

impl<'a, 'encoder> Pass<'a, 'encoder> {
    /// Records into a compute pass of the context's device.
    pub fn new(context: &'a Context, compute: &'a mut wgpu::ComputePass<'encoder>) -> Self {
        Pass { context, compute }
    }

    /// Records dispatches in order; `step` is the index of the step's block of parameters, for
    /// kernels that read one.
    pub(crate) fn record(&mut self, dispatches: &[Dispatch], step: u32) {
        for Dispatch { pipeline, group, grid: [x, y, z], stepped, traced } in dispatches {
            self.compute.set_pipeline(pipeline);
            let offset = stepped.then_some(step * super::context::UNIFORM_STRIDE as u32);
            self.compute.set_bind_group(0, &**group, offset.as_slice());
            self.compute.dispatch_workgroups(*x, *y, *z);
            self.context.trace_dispatch(*traced, offset);
        }
    }

    /// Makes ready and records.
    pub(super) fn once(&mut self, dispatches: Result<Vec<Dispatch>>) -> Result<()> {
        self.record(&dispatches?, 0);
        Ok(())
    }
}
