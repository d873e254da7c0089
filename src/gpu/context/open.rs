//! Opening a device, or taking the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::buffers::create_filled;
use super::kernels::Kernels;
use super::submit::caught;
use super::{Clock, Context, Inner, UNIFORM_STRIDE};
use crate::gpu::owner::Owner;
use crate::gpu::turn::{Held, Turns};
use crate::gpu::{Choice, Tuning, adapter, cooperative, planner};
use crate::op::Arithmetic;
use crate::random::quantile;
use crate::shaders::{self, Features};
use crate::{Error, Result, host};

/// What of a device to leave unused.
#[derive(Clone, Copy, Debug)]
pub struct ContextOptions {
    /// Whether to use 64-bit integers where the adapter has them. The bits are the same without.
    pub int64: bool,
    /// Whether to move floats, and draw words, by 64-bit integers where the adapter is a CPU that has
    /// them. The bits are the same without.
    pub longs: bool,
    /// Whether to use subgroups where they help. The bits are the same without.
    pub subgroups: bool,
    /// Whether products of f16 go through matrix units where the adapter has some with sums in f32, for
    /// 16 x 16 x 16 or 8 x 8 x 8. Off unless asked for: wgpu calls its cooperative matrices
    /// experimental, with errors in them that may be undefined behaviour. Units round sums in ways of
    /// their own.
    pub cooperative: bool,
    /// Whether passes are timed by the device where it has a clock ([`Context::pass_seconds`]).
    pub timestamps: bool,
    /// Whether to take the shapes of kernels that `fanin bench --tune` has found and kept for this
    /// adapter and driver ([`Tuning`]), with the feature `tuning`. Drawn bits are the same without.
    pub tuned: bool,
    /// Whether a software adapter is given the kernels of a GPU, which are slower there: to try those
    /// where there is no GPU. Drawn bits are the same without. Off unless the environment has
    /// `FANIN_AS_GPU`.
    pub as_gpu: bool,
}

impl Default for ContextOptions {
    fn default() -> Self {
        ContextOptions {
            int64: true,
            longs: true,
            subgroups: true,
            cooperative: false,
            timestamps: false,
            tuned: true,
            as_gpu: std::env::var_os("FANIN_AS_GPU").is_some_and(|value| !value.is_empty()),
        }
    }
}

/// The quantile table as shaders have it.
pub(super) fn table() -> Vec<u8> {
    let table: &[u8] = bytemuck::cast_slice(&quantile::TABLE);
    // Two segments a row of 16 bytes: the last row is half empty.
    let mut rows = table.to_vec();
    rows.resize(table.len().next_multiple_of(16), 0);
    rows
}

impl Inner {
    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        turns: Turns,
        options: &ContextOptions,
        units: u32,
    ) -> Inner {
        let (limits, info) = (device.limits(), device.adapter_info());
        let software = info.device_type == wgpu::DeviceType::Cpu && !options.as_gpu;
        let int64 = device.features().contains(wgpu::Features::SHADER_INT64);
        Inner {
            limits: planner::Limits {
                // Beyond 2^31 - 4 bytes drivers disagree on what they can address.
                binding: limits.max_storage_buffer_binding_size.min((1 << 31) - 4),
                alignment: u64::from(limits.min_storage_buffer_offset_alignment).max(16),
                workgroups: limits.max_compute_workgroups_per_dimension,
                dispatch: planner::dispatch(software),
            },
            features: Features {
                int64,
                longs: options.longs && int64 && software,
                // Lanes share loads where those cost a loop over the lanes: llvmpipe, 8 wide. A browser
                // wants a directive for them, which naga rejects.
                subgroups: info.backend != wgpu::Backend::BrowserWebGpu
                    && device.features().contains(wgpu::Features::SUBGROUP)
                    && software
                    && (info.subgroup_min_size, info.subgroup_max_size) == (8, 8),
                units,
            },
            unused: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("unused"),
                size: 2 * UNIFORM_STRIDE as u64,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            }),
            turns,
            table: create_filled(
                device,
                "quantile table",
                &table(),
                wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
            ),
            kernels: Kernels::default(),
            lost: Arc::default(),
            clock: device
                .features()
                .contains(wgpu::Features::TIMESTAMP_QUERY)
                .then(|| Clock::new(device, queue)),
            tuning: Mutex::new(Tuning::usual(String::new(), software)),
            owner: Arc::new(Owner::new(Held::new(device.clone(), turns))),
            device: device.clone(),
            queue: queue.clone(),
            info,
            software,
        }
    }
}

impl Context {
    /// The best adapter of this machine, a GPU before a software driver.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where there is none, [`Error::Device`] where it does not open.
    pub fn new() -> Result<Self> {
        Context::open(&Choice::Gpu, ContextOptions::default())
    }

    /// The adapter of a choice, opened with every limit that it offers.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where no adapter fits (with [`Choice::Cpu`] too, and with
    /// [`Choice::Auto`] where there is no GPU), [`Error::Device`] where it does not open.
    pub fn open(choice: &Choice, options: ContextOptions) -> Result<Self> {
        Context::find(choice, options)?.ok_or_else(|| Error::NoAdapter {
            given: choice.to_string(),
            present: "none is a GPU".into(),
        })
    }

    /// As [`Context::open`], with none where the choice comes to the CPU engine.
    pub(crate) fn find(choice: &Choice, options: ContextOptions) -> Result<Option<Self>> {
        let Some(adapter) = adapter::select(choice)? else { return Ok(None) };
        let info = adapter.get_info();
        let units = match options.cooperative && options.subgroups {
            true => cooperative::offered(&adapter),
            false => 0,
        };
        let mut wanted = wgpu::Features::empty();
        wanted.set(wgpu::Features::SHADER_INT64, options.int64);
        wanted.set(wgpu::Features::SUBGROUP, options.subgroups);
        wanted.set(wgpu::Features::TIMESTAMP_QUERY, options.timestamps);
        wanted.set(
            wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16,
            units > 0,
        );
        // SAFETY: what may be wrong in wgpu is the caller's choice; see `ContextOptions::cooperative`.
        #[allow(unsafe_code)]
        let experimental_features = match units {
            0 => wgpu::ExperimentalFeatures::disabled(),
            _ => unsafe { wgpu::ExperimentalFeatures::enabled() },
        };
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("fanin"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            experimental_features,
            ..Default::default()
        });
        let failed = |error: String| Error::Device {
            device: info.name.clone(),
            message: format!("the device does not open: {error}"),
        };
        let opened = host::wait(request).map_err(failed)?;
        let (device, queue) = opened.map_err(|error| failed(error.to_string()))?;
        let context = Context::made(device, queue, &options, units)?;
        // A device of ours reports to us; one of the caller's keeps the caller's handlers.
        let lost = context.inner.lost.clone();
        context.inner.device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                let _ = lost.set(format!("the device was lost ({message})"));
            }
        });
        let failed = context.inner.lost.clone();
        context.inner.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let _ = failed.set(format!("the device failed: {error}"));
        }));
        #[cfg(feature = "tuning")]
        if options.tuned {
            let device = context.driver();
            let kept = Tuning::path(&device).and_then(|path| Tuning::load(&path, &device));
            kept.map_or(Ok(()), |tuning| context.set_tuning(tuning))?;
        }
        Ok(Some(context))
    }

    /// A device and queue of the caller's. 64-bit integers and subgroups are used if the device was
    /// made with `SHADER_INT64` and `SUBGROUP`; no feature is required. Of limits, fills need what
    /// `wgpu::Limits::downlevel_defaults` has, products and training WebGPU's own defaults. On OpenGL,
    /// what other threads do with the device goes through [`Context::guarded`], or wgpu panics where they
    /// wait for 6 seconds.
    ///
    /// Contexts of one device may share tensors.
    ///
    /// # Errors
    /// [`Error::Invalid`] where no kernel runs within the device's limits, [`Error::Device`] where the
    /// tables cannot be allocated, the device is lost, or the queue is not its own.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let context = Context::made(device, queue, &ContextOptions::default(), 0)?;
        context.check_module(&shaders::FILL)?;
        // wgpu panics where it does not know what it is given.
        let empty = || context.submit(|_| Ok(())).map(drop);
        match catch_unwind(AssertUnwindSafe(empty)) {
            Ok(submitted) => submitted.map(|()| context.clone()),
            Err(_) => Err(Error::invalid("queue", "one of another device", "the device's own")),
        }
    }

    fn made(
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: &ContextOptions,
        units: u32,
    ) -> Result<Self> {
        let limits = device.limits();
        // No plan comes to anything with less; a limit of 0 says that there are no compute shaders.
        for (what, given, least) in [
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size, 1 << 16),
            ("max_buffer_size", limits.max_buffer_size, 1 << 16),
            (
                "max_compute_workgroups_per_dimension",
                limits.max_compute_workgroups_per_dimension.into(),
                256,
            ),
        ] {
            if given < least {
                return Err(Error::invalid(
                    format!("the device's {what}"),
                    given,
                    least.to_string(),
                ));
            }
        }
        let info = device.adapter_info();
        let turns = Turns::of(info.backend);
        let (inner, error) =
            caught(&device, |_| Inner::new(&device, &queue, turns, options, units));
        match error {
            None => Ok(Context {
                inner: Arc::new(Held::new(inner, turns)),
                arithmetic: Arithmetic::Native,
                // OpenGL's compilers regroup sums, Metal's and DirectX's may, and who knows a browser's.
                guarded: info.backend != wgpu::Backend::Vulkan,
                trace: None,
            }),
            Some(error) => {
                drop(Held::new(inner, turns));
                Err(Error::Device { device: info.name, message: error })
            }
        }
    }
}
