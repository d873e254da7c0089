//! What is asked of a device, as plain data, so that a test can ask the same of another one: of a browser's.

use std::sync::{Arc, Mutex};

use super::kernels::KernelKey;
use super::{Context, Kernel, lock};
use crate::gpu::turn::Buffer;
use crate::shaders::{Module, Variant};

/// What a context was asked, in order; copies from buffer to buffer are left out.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Size and usage of every buffer that is named below, by its place here.
    pub buffers: Vec<(u64, wgpu::BufferUsages)>,
    /// The dispatches that were made ready.
    pub dispatches: Vec<TracedDispatch>,
    /// What was done.
    pub events: Vec<Event>,
    /// The buffers themselves: held, so that none is taken for another.
    known: Vec<Buffer>,
}

/// What a dispatch is made of.
#[derive(Clone, Debug)]
pub struct TracedDispatch {
    /// Where its source is from.
    pub module: &'static Module,
    /// What was chosen of the source.
    pub variant: Variant,
    /// The entry point.
    pub entry: &'static str,
    /// The `override` constants.
    pub constants: Vec<(&'static str, u32)>,
    /// Its bindings, by their indices.
    pub bound: Vec<Stretch>,
    /// Workgroups.
    pub grid: [u32; 3],
}

/// A stretch of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// The buffer's place.
    pub buffer: usize,
    /// In bytes.
    pub offset: u64,
    /// In bytes.
    pub size: u64,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes that go into a stretch, as many as it has.
    Write(Stretch, Vec<u8>),
    /// A dispatch by its place, and the dynamic offset of the step's parameters where it reads such.
    Dispatch(usize, Option<u32>),
    /// A stretch that is read.
    Read(Stretch),
}

impl Context {
    /// The same device, and from now on [`Context::trace`] says what this context and its clones ask of it: for
    /// tests.
    #[doc(hidden)]
    pub fn with_trace(&self) -> Context {
        let context = Context { trace: Some(Arc::default()), ..self.clone() };
        context.trace_write(&self.inner.table, 0, &super::open::table());
        context
    }

    /// What was asked so far.
    #[doc(hidden)]
    pub fn trace(&self) -> Option<Trace> {
        self.trace.as_ref().map(|trace| lock(trace).clone())
    }

    /// The place of a dispatch in the trace, where there is one.
    pub(in crate::gpu) fn trace_ready(
        &self,
        kernel: &Kernel,
        buffers: &[wgpu::BufferBinding<'_>],
        grid: [u32; 3],
    ) -> Option<usize> {
        let mut trace = lock(self.trace.as_ref()?);
        let bound = buffers.iter().map(|binding| {
            let rest = binding.buffer.size() - binding.offset;
            let size = binding.size.map_or(rest, |size| size.get());
            trace.stretch(self, binding.buffer, binding.offset, size)
        });
        let bound = bound.collect();
        let KernelKey { entry, constants, variant } = &*kernel.key;
        trace.dispatches.push(TracedDispatch {
            module: kernel.module,
            variant: *variant,
            entry,
            constants: constants.clone(),
            bound,
            grid,
        });
        Some(trace.dispatches.len() - 1)
    }

    pub(in crate::gpu) fn trace_dispatch(&self, dispatch: Option<usize>, offset: Option<u32>) {
        if let (Some(trace), Some(dispatch)) = (&self.trace, dispatch) {
            lock(trace).events.push(Event::Dispatch(dispatch, offset));
        }
    }

    pub(super) fn trace_write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        if let Some(trace) = &self.trace {
            let mut trace = lock(trace);
            let stretch = trace.stretch(self, buffer, offset, bytes.len() as u64);
            trace.events.push(Event::Write(stretch, bytes.to_vec()));
        }
    }

    pub(super) fn trace_read(&self, buffer: &wgpu::Buffer, offset: u64, size: u64) {
        if let Some(trace) = &self.trace {
            let mut trace = lock(trace);
            let stretch = trace.stretch(self, buffer, offset, size);
            trace.events.push(Event::Read(stretch));
        }
    }
}

impl Trace {
    fn stretch(
        &mut self,
        context: &Context,
        buffer: &wgpu::Buffer,
        offset: u64,
        size: u64,
    ) -> Stretch {
        let known = self.known.iter().position(|known| **known == *buffer);
        let place = known.unwrap_or_else(|| {
            self.known.push(context.held(buffer.clone()));
            self.buffers.push((buffer.size(), buffer.usage()));
            self.known.len() - 1
        });
        Stretch { buffer: place, offset, size }
    }
}

/// Shared by the clones of a context.
pub(super) type Tracing = Option<Arc<Mutex<Trace>>>;
