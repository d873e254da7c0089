//! A device, and all that the kernels share of it: what it is, opened, asked and waited for.

mod buffers;
mod clock;
mod kernels;
mod open;
mod submit;
mod trace;
mod wait;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clock::Clock;
use kernels::Kernels;
pub(super) use kernels::{Constant, Kernel};
pub use open::ContextOptions;
use trace::Tracing;
pub use trace::{Event, Stretch, Trace, TracedDispatch};
pub(crate) use wait::Mapping;

use super::owner::Owner;
use super::turn::{Held, Turns};
use super::{FillShape, Hardware, Tuning, Way, adapter, planner};
use crate::Result;
use crate::op::Arithmetic;
use crate::shaders::Features;

/// Uniform blocks are this far apart at most on any device.
pub(crate) const UNIFORM_STRIDE: usize = 256;

/// A GPU with this crate's kernels: a device and queue, the pipelines made so far, the limits.
///
/// Clones share everything, on as many threads as there are; those that use OpenGL take turns.
/// Pipelines are made when first used.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Held<Inner>>,
    arithmetic: Arithmetic,
    /// Whether sums of exact products are hidden from compilers.
    guarded: bool,
    trace: Tracing,
}

struct Inner {
    owner: Arc<Owner>,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    /// Whether the kernels are those of software adapters.
    software: bool,
    limits: planner::Limits,
    features: Features,
    turns: Turns,
    table: wgpu::Buffer,
    unused: wgpu::Buffer,
    kernels: Kernels,
    lost: Arc<OnceLock<String>>,
    clock: Option<Clock>,
    tuning: Mutex<Tuning>,
}

/// The adapter's name.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.name()).finish()
    }
}

impl Context {
    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The same device, with kernels of this arithmetic: what is recorded with it is then the device's own, or,
    /// by [`Arithmetic::Exact`], the same bits as everywhere
    /// ([`arithmetic`](crate::op::arithmetic)). The twin of [`cpu::Kernels`](crate::cpu::Kernels).
    ///
    /// Of the operations of [`Pass`](crate::gpu::Pass) all that compute are exact then, but for custom
    /// nonlinearities; [`Context::summary`], [`Context::moments`] and [`Context::histogram`] stay the
    /// device's own.
    pub fn with_arithmetic(&self, arithmetic: Arithmetic) -> Context {
        Context { arithmetic, ..self.clone() }
    }

    /// The arithmetic of its kernels.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// The same with the guard on sums that compilers may regroup, whether they may here or not: for tests.
    #[doc(hidden)]
    pub fn with_guard(&self) -> Context {
        Context { guarded: true, ..self.clone() }
    }

    /// The adapter's name and backend: `llvmpipe (LLVM 15.0.6, 256 bits), vulkan, software (CPU)`.
    pub fn name(&self) -> String {
        let info = &self.inner.info;
        let kind = adapter::kind(info.device_type);
        // Browsers tell no name.
        let name = if info.name.is_empty() { "a GPU" } else { &info.name };
        format!("{name}, {}, {kind}", adapter::backend_name(info.backend))
    }

    /// What wgpu knows of the adapter.
    pub fn adapter_info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// Whether the kernels use 64-bit integers.
    pub fn uses_int64(&self) -> bool {
        self.inner.features.int64
    }

    /// Whether the kernels use subgroups.
    pub fn uses_subgroups(&self) -> bool {
        self.inner.features.subgroups
    }

    /// Whether products of f16 go through matrix units ([`ContextOptions::cooperative`]).
    pub fn uses_cooperative(&self) -> bool {
        self.units() > 0
    }

    /// Rows of the matrix units' matrices; 0 where none are used.
    pub(crate) fn units(&self) -> u64 {
        self.inner.features.units.into()
    }

    /// Whether the kernels are those of software adapters: the adapter is a CPU, and
    /// [`ContextOptions::as_gpu`] is off.
    pub fn is_software(&self) -> bool {
        self.inner.software
    }

    /// The adapter and its driver: what a tuning holds for.
    pub(crate) fn driver(&self) -> String {
        let info = &self.inner.info;
        // Kernels of a GPU on a software adapter have shapes of their own.
        let as_gpu = info.device_type == wgpu::DeviceType::Cpu && !self.is_software();
        let form = if as_gpu { ", as a GPU" } else { "" };
        let driver = format!("{}, {} {}", self.name(), info.driver, info.driver_info);
        driver.trim().to_owned() + form
    }

    /// The shapes that the kernels take.
    pub fn tuning(&self) -> Tuning {
        lock(&self.inner.tuning).clone()
    }

    /// How buffers are filled: of the tuning what each fill asks for.
    pub(crate) fn fill_shape(&self) -> FillShape {
        lock(&self.inner.tuning).fill
    }

    /// Takes these shapes for what is recorded from now on, for all clones.
    ///
    /// # Errors
    /// As [`Tuning::check`]; then the shapes stay as they were.
    pub fn set_tuning(&self, tuning: Tuning) -> Result<()> {
        tuning.check()?;
        *lock(&self.inner.tuning) = tuning;
        Ok(())
    }

    /// How a product of sizes `[m, n, k]` goes through the device.
    pub(crate) fn way(&self, sizes: [u64; 3]) -> Way {
        let measured = lock(&self.inner.tuning).way(sizes);
        measured.unwrap_or_else(|| Way::usual(&self.hardware(), sizes))
    }

    /// What decides how products go through the device.
    pub fn hardware(&self) -> Hardware {
        let limits = self.inner.device.limits();
        let units = match self.inner.info.device_type {
            wgpu::DeviceType::IntegratedGpu => Hardware::INTEGRATED,
            _ => Hardware::LARGE,
        };
        Hardware {
            software: self.is_software(),
            units,
            memory: limits.max_compute_workgroup_storage_size.into(),
            invocations: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x)
                .into(),
        }
    }

    /// The limits that plans keep to.
    pub fn limits(&self) -> &planner::Limits {
        &self.inner.limits
    }

    /// What tells this context's tensors from others'.
    pub(super) fn owner(&self) -> &Arc<Owner> {
        &self.inner.owner
    }
}

/// A panic elsewhere leaves these maps whole: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
