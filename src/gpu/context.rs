use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::owner::Owner;
use super::turn::{Buffer, Held, Turns};
use super::{
    Choice, FillShape, Hardware, Pass, Tensor, Tuning, Way, adapter, cooperative, planner,
};
use crate::random::quantile;
use crate::shaders::{self, Access, Features, Loads, Module, Variant};
use crate::{Custom, Error, Result, memory};

/// How long a submission may take before the device counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// Uniform blocks are this far apart at most on any device.
pub(crate) const UNIFORM_STRIDE: usize = 256;

/// A GPU with this crate's kernels: a device and queue, the pipelines made so far, the limits.
///
/// Clones share everything, on as many threads as there are; those that use OpenGL take turns.
/// Pipelines are made when first used.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Held<Inner>>,
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
    kernels: Mutex<HashMap<KernelKey, Kernel>>,
    modules: Mutex<HashMap<ModuleKey, wgpu::ShaderModule>>,
    lost: Arc<OnceLock<String>>,
    clock: Option<Clock>,
    tuning: Mutex<Tuning>,
}

/// What a pass leaves of its start and its end.
struct Clock {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Nanoseconds a tick.
    period: f32,
}

/// What of a device to leave unused.
#[derive(Clone, Copy, Debug)]
pub struct Options {
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
    /// adapter and driver ([`Tuning`]). Drawn bits are the same without.
    pub tuned: bool,
    /// Whether a software adapter is given the kernels of a GPU, which are slower there: to try those
    /// where there is no GPU. Drawn bits are the same without. Off unless the environment has
    /// `FANIN_AS_GPU`.
    pub as_gpu: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
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

/// An `override` constant of a module, by its name.
pub(super) type Constant = (&'static str, u32);

#[derive(Clone, PartialEq, Eq, Hash)]
struct KernelKey {
    entry: &'static str,
    constants: Vec<Constant>,
    variant: Variant,
}

/// A module's name and what was chosen of its source.
type ModuleKey = (&'static str, Variant);

/// A pipeline and the layout of its one bind group.
#[derive(Clone)]
pub(super) struct Kernel {
    pub(super) pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// Whether a binding's offset is given with each dispatch.
    pub(super) stepped: bool,
}

impl Clock {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Clock {
        Clock {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("times"),
                size: 16,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            period: queue.get_timestamp_period(),
        }
    }
}

impl Inner {
    fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        turns: Turns,
        options: &Options,
        units: u32,
    ) -> Inner {
        let (limits, info) = (device.limits(), device.adapter_info());
        let table: &[u8] = bytemuck::cast_slice(&quantile::TABLE);
        // Two segments a row of 16 bytes: the last row is half empty.
        let mut rows = table.to_vec();
        rows.resize(table.len().next_multiple_of(16), 0);
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
                &rows,
                wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
            ),
            kernels: Mutex::default(),
            modules: Mutex::default(),
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

/// The adapter's name.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.name()).finish()
    }
}

impl Context {
    /// The best adapter of this machine, a GPU before a software driver.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where there is none, [`Error::Device`] where it does not open.
    pub fn new() -> Result<Self> {
        Context::open(&Choice::Gpu, Options::default())
    }

    /// The adapter of a choice, opened with every limit that it offers.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where no adapter fits (with [`Choice::Cpu`] too, and with
    /// [`Choice::Auto`] where there is no GPU), [`Error::Device`] where it does not open.
    pub fn open(choice: &Choice, options: Options) -> Result<Self> {
        Context::find(choice, options)?.ok_or_else(|| Error::NoAdapter {
            given: choice.to_string(),
            present: "none is a GPU".into(),
        })
    }

    /// As [`Context::open`], with none where the choice comes to the CPU engine.
    pub(crate) fn find(choice: &Choice, options: Options) -> Result<Option<Self>> {
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
        // SAFETY: what may be wrong in wgpu is the caller's choice; see `Options::cooperative`.
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
        let (device, queue) = pollster::block_on(request).map_err(|error| Error::Device {
            device: info.name.clone(),
            message: format!("the device does not open: {error}"),
        })?;
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
        let context = Context::made(device, queue, &Options::default(), 0)?;
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
        options: &Options,
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
            None => Ok(Context { inner: Arc::new(Held::new(inner, turns)) }),
            Some(error) => {
                drop(Held::new(inner, turns));
                Err(Error::Device { device: info.name, message: error.to_string() })
            }
        }
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The adapter's name and backend: `llvmpipe (LLVM 15.0.6, 256 bits), vulkan, software (CPU)`.
    pub fn name(&self) -> String {
        let info = &self.inner.info;
        let kind = adapter::kind(info.device_type);
        format!("{}, {}, {kind}", info.name, adapter::backend_name(info.backend))
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

    /// Whether products of f16 go through matrix units ([`Options::cooperative`]).
    pub fn uses_cooperative(&self) -> bool {
        self.units() > 0
    }

    /// Rows of the matrix units' matrices; 0 where none are used.
    pub(crate) fn units(&self) -> u64 {
        self.inner.features.units.into()
    }

    /// Whether the kernels are those of software adapters: the adapter is a CPU, and
    /// [`Options::as_gpu`] is off.
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

    /// Records what `record` asks for into one compute pass, and submits it. Does not wait.
    ///
    /// # Errors
    /// What `record` returns, or [`Error::Device`] where the device refuses; then nothing ran.
    pub fn run<T>(&self, record: impl FnOnce(&mut Pass<'_, '_>) -> Result<T>) -> Result<T> {
        let (result, _) =
            self.submit(|encoder| record(&mut Pass::new(self, &mut self.begin(encoder))))?;
        Ok(result)
    }

    /// A compute pass, by the device's clock where it has one.
    pub(crate) fn begin<'encoder>(
        &self,
        encoder: &'encoder mut wgpu::CommandEncoder,
    ) -> wgpu::ComputePass<'encoder> {
        let clock = self.inner.clock.as_ref();
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: clock.map(|clock| wgpu::ComputePassTimestampWrites {
                query_set: &clock.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        })
    }

    /// The seconds that the last pass took on the device, waited for; none where the context was not
    /// opened with [`Options::timestamps`], or the device has no clock.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails or does not answer.
    pub fn pass_seconds(&self) -> Result<Option<f64>> {
        let Some(clock) = &self.inner.clock else { return Ok(None) };
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let download = self.buffer("times", 16, usage)?;
        let ((), submission) = self.submit(|encoder| {
            encoder.resolve_query_set(&clock.queries, 0..2, &clock.resolved, 0);
            encoder.copy_buffer_to_buffer(&clock.resolved, 0, &download, 0, 16);
            Ok(())
        })?;
        self.map(&download, submission).wait()?;
        let view = download.slice(..).get_mapped_range().map_err(|error| self.failed(error))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        // A clock that stood still, or ran backwards, tells nothing.
        let passed = ticks[1].checked_sub(ticks[0]).filter(|ticks| *ticks > 0);
        Ok(passed.map(|ticks| ticks as f64 * f64::from(clock.period) * 1e-9))
    }

    /// The seconds of some work whose last pass it is: by the device's clock where it has one, else by
    /// the wall's.
    pub(crate) fn seconds(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let start = Instant::now();
        work()?;
        let passed = start.elapsed().as_secs_f64();
        Ok(self.pass_seconds()?.unwrap_or(passed))
    }

    /// Submits what `record` asks of an encoder.
    pub(crate) fn submit<T>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>,
    ) -> Result<(T, wgpu::SubmissionIndex)> {
        self.guarded(|device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            let result = record(&mut encoder)?;
            Ok((result, self.inner.queue.submit([encoder.finish()])))
        })
    }

    /// The bytes of a tensor, waited for.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensor is another device's, [`Error::Device`] where the device fails
    /// or does not answer.
    pub fn read(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        tensor.check_owner(self)?;
        // Copies start and end at multiples of 4.
        let first = tensor.offset() / 4 * 4;
        let last = (tensor.offset() + tensor.bytes()).next_multiple_of(4);
        let download = self.buffer(
            "download",
            last - first,
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        )?;
        let ((), submission) = self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(tensor.buffer(), first, &download, 0, last - first);
            Ok(())
        })?;
        self.map(&download, submission).wait()?;
        let skip = (tensor.offset() - first) as usize;
        let view = download.slice(..).get_mapped_range().map_err(|error| self.failed(error))?;
        memory::copied("a tensor's bytes", &view[skip..skip + tensor.bytes() as usize])
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost or hangs.
    pub fn wait(&self) -> Result<()> {
        self.poll(None)?;
        self.answers()
    }

    pub(crate) fn buffer(
        &self,
        label: &'static str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer> {
        let most = self.inner.device.limits().max_buffer_size;
        if size > most {
            let given = format!("{size} bytes");
            let needed = format!("at most the {most} that {} allows in a buffer", self.name());
            return Err(Error::invalid(label, given, needed));
        }
        self.guarded(|device| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            });
            Ok(self.held(buffer))
        })
    }

    /// What of the device's is to be dropped in turn.
    pub(crate) fn held<T>(&self, value: T) -> Held<T> {
        Held::new(value, self.inner.turns)
    }

    /// Writes bytes into a tensor, `offset` bytes from its start, before whatever is submitted next. In
    /// the buffer they start and end at multiples of 4: after a tensor whose size is none there are
    /// bytes to fill it up.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensor is another device's, or the bytes do not fit into it or start
    /// or end elsewhere; [`Error::Device`] where the device refuses.
    pub fn write(&self, tensor: &Tensor, offset: u64, bytes: &[u8]) -> Result<()> {
        tensor.check_owner(self)?;
        let length = bytes.len() as u64;
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > tensor.bytes().next_multiple_of(4)) {
            let given = format!("{length} bytes from {offset}");
            let needed = format!("at most the tensor's {}", tensor.bytes());
            return Err(Error::invalid("write", given, needed));
        }
        let first = tensor.offset() + offset;
        if !first.is_multiple_of(4) || !length.is_multiple_of(4) {
            let given = format!("{length} bytes from {first} of the buffer");
            return Err(Error::invalid("write", given, "multiples of 4"));
        }
        self.upload(tensor.buffer(), first, bytes)
    }

    /// Writes bytes into a buffer of the device's own.
    pub(crate) fn upload(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.guarded(|_| {
            self.inner.queue.write_buffer(buffer, offset, bytes);
            Ok(())
        })
    }

    /// Gives a buffer back to the device once what it brought is read.
    pub(crate) fn unmap(&self, buffer: &wgpu::Buffer) {
        let _turn = self.inner.turns.take();
        buffer.unmap();
    }

    /// Starts to map a buffer for reading, once a submission is done.
    pub(crate) fn map(&self, buffer: &wgpu::Buffer, submission: wgpu::SubmissionIndex) -> Mapping {
        let (sender, receiver) = mpsc::channel();
        buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens any more where the reader gave up.
            let _ = sender.send(result);
        });
        Mapping { context: self.clone(), submission, receiver }
    }

    /// Runs `work`, whatever it asks of the device or the queue, with every error of the device caught
    /// and returned; on OpenGL in the thread's turn, so `work` is not to wait for other threads.
    ///
    /// # Errors
    /// What `work` returns, or [`Error::Device`] where the device fails or failed before.
    pub fn guarded<T>(&self, work: impl FnOnce(&wgpu::Device) -> Result<T>) -> Result<T> {
        let _turn = self.inner.turns.take();
        self.alive()?;
        let (result, error) = caught(&self.inner.device, work);
        match error {
            Some(error) => Err(self.failed(error)),
            None => self.answers().and(result),
        }
    }

    /// What tells this context's tensors from others'.
    pub(super) fn owner(&self) -> &Arc<Owner> {
        &self.inner.owner
    }

    /// Binds a buffer of the caller's once, to hear what wgpu has against it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where wgpu knows that it is another device's.
    pub(crate) fn check_buffer(&self, buffer: &wgpu::Buffer) -> Result<()> {
        let refused = |message: &str| {
            let given = format!("one that cannot be bound ({message})");
            Error::invalid("tensor's buffer", given, format!("one of {}", self.name()))
        };
        let bind = || {
            self.guarded(|device| {
                let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: None,
                    entries: &[layout_entry(0, Access::Read)],
                });
                let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(4),
                });
                drop(self.held(device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &layout,
                    entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
                })));
                Ok(())
            })
        };
        match catch_unwind(AssertUnwindSafe(bind)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Error::Device { message, .. })) if self.alive().is_ok() => {
                Err(refused(&message))
            }
            Ok(Err(error)) => Err(error),
            // wgpu panics where it knows no buffer of that number.
            Err(_) => Err(refused("the device has none such")),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] where the device's limits are too low for a module.
    fn check_module(&self, module: &Module) -> Result<()> {
        let limits = self.inner.device.limits();
        let storage = |binding: &&shaders::Binding| {
            matches!(binding.access, Access::Read | Access::ReadWrite)
        };
        let indices: BTreeSet<u32> =
            module.bindings.iter().filter(storage).map(|binding| binding.index).collect();
        for (what, given, needed) in [
            (
                "max_storage_buffers_per_shader_stage",
                limits.max_storage_buffers_per_shader_stage,
                indices.len() as u32,
            ),
            ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, module.width),
            (
                "max_compute_invocations_per_workgroup",
                limits.max_compute_invocations_per_workgroup,
                module.width,
            ),
        ] {
            if given < needed {
                let needed = format!("{needed} for `{}`", module.name);
                return Err(Error::invalid(format!("the device's {what}"), given, needed));
            }
        }
        Ok(())
    }

    fn alive(&self) -> Result<()> {
        match self.inner.lost.get() {
            Some(message) => Err(self.failed(message)),
            None => Ok(()),
        }
    }

    /// As [`Context::alive`], with the device asked: of one of the caller's nothing else tells.
    fn answers(&self) -> Result<()> {
        if !self.inner.owner.answers() {
            let _ = self.inner.lost.set("the device was lost or destroyed".into());
        }
        self.alive()
    }

    pub(crate) fn failed(&self, message: impl std::fmt::Display) -> Error {
        Error::Device { device: self.name(), message: message.to_string() }
    }

    fn poll(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index, timeout: Some(PATIENCE) };
        let _turn = self.inner.turns.take();
        // wgpu panics where a device is lost in the middle of a wait.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(poll)));
        self.alive()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => {
                Err(self.failed(format!("no answer within {} s", PATIENCE.as_secs())))
            }
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.failed("the device was lost during a wait")),
        }
    }

    /// The kernel of an entry point, with its `override` constants; those that are left out have the
    /// values that the shader says.
    pub(super) fn kernel(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
    ) -> Result<Kernel> {
        self.kernel_with(module, entry, constants, None)
    }

    /// As [`Context::kernel`], with a nonlinearity of the caller's. What is wrong with its WGSL comes
    /// out as [`Error::Device`].
    pub(super) fn kernel_with(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        custom: Option<Custom>,
    ) -> Result<Kernel> {
        self.kernel_of(module, entry, constants, Loads::default(), custom)
    }

    /// As [`Context::kernel_with`], for a module that multiplies: how it reads its factors.
    pub(super) fn kernel_of(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        loads: Loads,
        custom: Option<Custom>,
    ) -> Result<Kernel> {
        let (features, wgsl) = (self.inner.features, custom.map(|custom| custom.wgsl));
        let variant = Variant { features, loads, custom: wgsl };
        let key = KernelKey { entry, constants: constants.to_vec(), variant };
        if let Some(kernel) = lock(&self.inner.kernels).get(&key) {
            return Ok(kernel.clone());
        }
        self.check_module(module)?;
        let built = self.guarded(|_| Ok(self.build(module, entry, constants, variant)));
        match built {
            Ok(kernel) => {
                lock(&self.inner.kernels).insert(key, kernel.clone());
                Ok(kernel)
            }
            Err(error) => {
                // The next attempt is to meet the same message, not a broken module.
                lock(&self.inner.modules).remove(&(module.name, variant));
                Err(match custom {
                    Some(custom) => self.failed(format!("`{}`: {error}", custom.name)),
                    None => error,
                })
            }
        }
    }

    // The shaders' indices stay inside their bindings by the planner's arithmetic, which the tests
    // hold to the edges; naga's guards would cost a third of the speed.
    #[allow(unsafe_code)]
    fn build(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        variant: Variant,
    ) -> Kernel {
        let device = &self.inner.device;
        let shader = lock(&self.inner.modules)
            .entry((module.name, variant))
            .or_insert_with(|| {
                let source = module.source_of(&variant);
                let descriptor = wgpu::ShaderModuleDescriptor {
                    label: Some(module.name),
                    source: wgpu::ShaderSource::Wgsl(source.into()),
                };
                if variant.custom.is_some() {
                    // Not ours to vouch for.
                    return device.create_shader_module(descriptor);
                }
                // SAFETY: see above.
                unsafe {
                    device.create_shader_module_trusted(
                        descriptor,
                        wgpu::ShaderRuntimeChecks::unchecked(),
                    )
                }
            })
            .clone();
        let mut entries: Vec<wgpu::BindGroupLayoutEntry> = Vec::new();
        for binding in module.bindings {
            if entries.iter().any(|entry| entry.binding == binding.index) {
                continue;
            }
            entries.push(layout_entry(binding.index, binding.access));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(module.name),
            entries: &entries,
        });
        let constants: Vec<(&str, f64)> = constants
            .iter()
            .map(|(name, value)| {
                // wgpu passes over names that it does not find.
                assert!(module.overrides.contains(name), "`{}` has no `{name}`", module.name);
                (*name, f64::from(*value))
            })
            .collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: Some(&device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(module.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            })),
            module: &shader,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        let stepped = module.bindings.iter().any(|binding| binding.access == Access::Step);
        Kernel { pipeline, layout, stepped }
    }

    pub(super) fn bind(
        &self,
        kernel: &Kernel,
        buffers: &[wgpu::BufferBinding<'_>],
    ) -> Held<wgpu::BindGroup> {
        let _turn = self.inner.turns.take();
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        self.held(self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &kernel.layout,
            entries: &entries,
        }))
    }

    pub(crate) fn table(&self) -> &wgpu::Buffer {
        &self.inner.table
    }

    /// What stands where a kernel may write but this time does not: two stretches, since no two
    /// bindings that are written may overlap.
    pub(crate) fn unused(&self) -> [wgpu::BufferBinding<'_>; 2] {
        [0, UNIFORM_STRIDE as u64].map(|offset| wgpu::BufferBinding {
            buffer: &self.inner.unused,
            offset,
            size: wgpu::BufferSize::new(16),
        })
    }

    /// One uniform block a dispatch, together in a buffer: what was written to one block twice
    /// before a submit would be seen by both dispatches as the last.
    pub(super) fn uniforms<T: bytemuck::Pod>(&self, blocks: &[T]) -> Uniforms {
        let mut bytes = vec![0; blocks.len() * UNIFORM_STRIDE];
        for (slot, block) in bytes.chunks_exact_mut(UNIFORM_STRIDE).zip(blocks) {
            slot[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(block));
        }
        let size = size_of::<T>() as u64;
        let _turn = self.inner.turns.take();
        let usage = wgpu::BufferUsages::UNIFORM;
        let buffer = create_filled(&self.inner.device, "parameters", &bytes, usage);
        Uniforms { buffer: self.held(buffer), size }
    }
}

/// Parameter blocks of consecutive dispatches.
pub(super) struct Uniforms {
    buffer: Buffer,
    size: u64,
}

impl Uniforms {
    pub(crate) fn block(&self, index: usize) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: (index * UNIFORM_STRIDE) as u64,
            size: wgpu::BufferSize::new(self.size),
        }
    }
}

/// A mapping under way.
pub(crate) struct Mapping {
    context: Context,
    submission: wgpu::SubmissionIndex,
    receiver: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Mapping {
    /// Waits until the buffer is mapped.
    pub(crate) fn wait(self) -> Result<()> {
        // The thread whose poll sees the submission done makes the callbacks: where several threads
        // share a device, that may be another one, a moment later.
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.context.poll(Some(self.submission.clone()))?;
            match self.receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => return Err(self.context.failed(error)),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(self.context.failed(error)),
            }
        }
        Err(self.context.failed(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}

fn create_filled(
    device: &wgpu::Device,
    label: &str,
    bytes: &[u8],
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.len() as u64,
        usage,
        mapped_at_creation: true,
    });
    if let Ok(mut view) = buffer.slice(..).get_mapped_range_mut() {
        view.copy_from_slice(bytes);
    }
    buffer.unmap();
    buffer
}

/// Does some work, and says what the device had against it.
fn caught<T>(
    device: &wgpu::Device,
    work: impl FnOnce(&wgpu::Device) -> T,
) -> (T, Option<wgpu::Error>) {
    let scopes = [
        wgpu::ErrorFilter::Internal,
        wgpu::ErrorFilter::OutOfMemory,
        wgpu::ErrorFilter::Validation,
    ]
    .map(|filter| device.push_error_scope(filter));
    let result = work(device);
    // Scopes pop in the reverse of their order.
    let mut error = None;
    for scope in scopes.into_iter().rev() {
        error = pollster::block_on(scope.pop()).or(error);
    }
    (result, error)
}

fn layout_entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match access {
                Access::Uniform | Access::Step => wgpu::BufferBindingType::Uniform,
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: access == Access::Step,
            min_binding_size: None,
        },
        count: None,
    }
}

/// A panic elsewhere leaves these maps whole: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
