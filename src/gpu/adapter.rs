use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
#[cfg(target_os = "linux")]
use std::{sync::Mutex, thread::Builder};

use wgpu::{Backend, DeviceType};

use crate::{Error, Result, host};

/// Which device to use, as `--device` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the CPU engine.
    Auto,
    /// The CPU engine.
    Cpu,
    /// The best adapter: a GPU before a software driver.
    Gpu,
    /// An adapter whose name or driver holds this text, whatever its kind.
    Named {
        /// The backend that it must have, where one is named: `vulkan:llvmpipe`.
        backend: Option<Backend>,
        /// Part of the adapter's name or driver, in any case; may be empty.
        name: String,
    },
}

const BACKENDS: [(&str, Backend); 5] = [
    ("vulkan", Backend::Vulkan),
    ("metal", Backend::Metal),
    ("dx12", Backend::Dx12),
    ("gl", Backend::Gl),
    ("webgpu", Backend::BrowserWebGpu),
];

/// The name of a backend, as `--device` takes it.
pub(super) fn backend_name(backend: Backend) -> &'static str {
    BACKENDS.iter().find(|(_, known)| *known == backend).map_or("noop", |(name, _)| name)
}

/// Reads `auto`, `cpu`, `gpu`, a backend, part of an adapter's name, or `backend:name`.
impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let backend = |name: &str| {
            BACKENDS
                .into_iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, backend)| backend)
        };
        Ok(match text.split_once(':') {
            _ if text.eq_ignore_ascii_case("auto") => Choice::Auto,
            _ if text.eq_ignore_ascii_case("cpu") => Choice::Cpu,
            _ if text.eq_ignore_ascii_case("gpu") => Choice::Gpu,
            _ if text.is_empty() => {
                return Err(Error::invalid("device", "nothing", "auto, cpu, gpu, or an adapter"));
            }
            Some((first, name)) => {
                let backend = backend(first).ok_or_else(|| {
                    Error::unknown("backend", first, BACKENDS.map(|(name, _)| name))
                })?;
                Choice::Named { backend: Some(backend), name: name.into() }
            }
            None => match backend(text) {
                Some(backend) => Choice::Named { backend: Some(backend), name: String::new() },
                None => Choice::Named { backend: None, name: text.into() },
            },
        })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Auto => f.write_str("auto"),
            Choice::Cpu => f.write_str("cpu"),
            Choice::Gpu => f.write_str("gpu"),
            Choice::Named { backend: Some(backend), name } if name.is_empty() => {
                f.write_str(backend_name(*backend))
            }
            Choice::Named { backend: Some(backend), name } => {
                write!(f, "{}:{name}", backend_name(*backend))
            }
            Choice::Named { backend: None, name } => f.write_str(name),
        }
    }
}

/// An adapter, in words and numbers.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// The adapter's own name.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `gl` or `webgpu`.
    pub backend: &'static str,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software (CPU)` or `other`.
    pub kind: &'static str,
    /// The driver's name and version.
    pub driver: String,
    /// Whether `auto` takes this one.
    pub chosen_by_auto: bool,
    /// The limits that it offers.
    pub limits: wgpu::Limits,
    /// Whether it has 64-bit integers, which the kernels use where they can.
    pub int64: bool,
    /// Why it can run nothing of this crate, where it cannot; then no choice takes it.
    pub unusable: Option<String>,
}

/// Every adapter, best first, those that can run no compute shaders last.
///
/// The environment's `WGPU_BACKEND` restricts the backends, as for every wgpu program. None where
/// [`withheld`] has a reason.
pub fn adapters() -> Vec<AdapterSummary> {
    let adapters = enumerate(|_| false).unwrap_or_default();
    adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = adapter.get_info();
            AdapterSummary {
                backend: backend_name(info.backend),
                kind: kind(info.device_type),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                chosen_by_auto: index == 0
                    && info.device_type != DeviceType::Cpu
                    && unusable(adapter).is_none(),
                limits: adapter.limits(),
                int64: adapter.features().contains(wgpu::Features::SHADER_INT64),
                unusable: unusable(adapter),
                name: info.name,
            }
        })
        .collect()
}

pub(super) fn kind(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Cpu => "software (CPU)",
        DeviceType::Other => "other",
    }
}

/// Why an adapter can run no compute shaders, if so.
fn unusable(adapter: &wgpu::Adapter) -> Option<String> {
    let info = adapter.get_info();
    let flags = adapter.get_downlevel_capabilities().flags;
    if !flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        return Some("it has no compute shaders".into());
    }
    match info.backend {
        Backend::Gl => old_gl(&info.driver_info),
        _ => None,
    }
}

/// Whether a version of OpenGL is too old. wgpu asks for 3.3 at least, and some drivers give just that:
/// they have an extension for compute shaders, which wgpu goes by, and no language to write them in.
fn old_gl(version: &str) -> Option<String> {
    let (version, needed, name) = match version.strip_prefix("OpenGL ES ") {
        Some(version) => (version, (3, 1), "OpenGL ES"),
        None => (version, (4, 3), "OpenGL"),
    };
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let found = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (found < needed).then(|| {
        let ((a, b), (c, d)) = (found, needed);
        format!("it has {name} {a}.{b}, and compute shaders need {c}.{d}")
    })
}

/// Drivers end the process where they cannot have memory. So none is asked where less than this may
/// be addressed, in bytes: llvmpipe's has been seen to crash below half of it.
#[cfg(target_os = "linux")]
const SPACE: u64 = 2 << 30;

/// Why no driver is asked for adapters, if so: where too little memory may be addressed, or too few
/// threads started. Drivers would end the process then, or wait for ever.
pub fn withheld() -> Option<String> {
    if let Err(reason) = host::can_wait() {
        return Some(reason.into());
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, getrlimit};
        if let Some(bytes) = getrlimit(Resource::As).current.filter(|bytes| *bytes < SPACE) {
            return Some(format!(
                "no driver is asked where memory is limited to {bytes} bytes (ulimit -v)"
            ));
        }
        let threads = threads_of_drivers();
        if !can_start(threads) {
            return Some(format!(
                "no driver is asked where no {threads} more threads can be started (ulimit -u)"
            ));
        }
    }
    None
}

/// Threads that drivers may start, and wait for even where they could not: a software driver some
/// three for each core that it may run on, up to 32 of those.
#[cfg(target_os = "linux")]
fn threads_of_drivers() -> usize {
    let cores = rustix::thread::sched_getaffinity(None).map_or(1, |cores| cores.count() as usize);
    4 * cores.clamp(1, 32) + 8
}

/// Whether so many threads can be had at once, which no limit says: others of the user's count too,
/// and a container's.
#[cfg(target_os = "linux")]
fn can_start(threads: usize) -> bool {
    let gate = Mutex::new(());
    let closed = gate.lock();
    std::thread::scope(|scope| {
        let wait = || drop(gate.lock());
        let start = |_| Builder::new().stack_size(1 << 16).spawn_scoped(scope, wait).is_ok();
        let all = (0..threads).all(start);
        drop(closed);
        all
    })
}

/// The adapters, best first, or why no driver was asked. OpenGL, which comes last among adapters of a
/// kind and takes as long to start, is not asked where another backend has one that is `enough`.
fn enumerate(
    enough: impl Fn(&wgpu::Adapter) -> bool,
) -> std::result::Result<Vec<wgpu::Adapter>, String> {
    match withheld() {
        Some(reason) => Err(reason),
        None => Ok(enumerate_until(enough)),
    }
}

fn enumerate_until(enough: impl Fn(&wgpu::Adapter) -> bool) -> Vec<wgpu::Adapter> {
    let mut adapters = Vec::new();
    for part in [!wgpu::Backends::GL, wgpu::Backends::GL] {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.flags = wgpu::InstanceFlags::empty();
        let mut descriptor = descriptor.with_env();
        descriptor.backends &= part & wgpu::Instance::enabled_backend_features();
        let backends = descriptor.backends;
        if !backends.is_empty() {
            // wgpu panics where a driver has no memory left.
            let found = catch_unwind(AssertUnwindSafe(|| {
                let instance = wgpu::Instance::new(descriptor);
                host::wait(instance.enumerate_adapters(backends)).unwrap_or_default()
            }));
            adapters.extend(found.unwrap_or_default());
        }
        if adapters.iter().any(&enough) {
            break;
        }
    }
    adapters.retain(|adapter| adapter.get_info().backend != Backend::Noop);
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        };
        (unusable(adapter).is_some(), kind, info.backend == Backend::Gl)
    });
    adapters
}

/// The adapter of a choice; none where `auto` finds no GPU, or for the CPU engine.
///
/// `WGPU_ADAPTER_NAME` narrows `auto` and `gpu` to a name, as for every wgpu program.
pub(super) fn select(choice: &Choice) -> Result<Option<wgpu::Adapter>> {
    let wanted = match choice {
        Choice::Cpu => return Ok(None),
        Choice::Auto | Choice::Gpu => match std::env::var("WGPU_ADAPTER_NAME") {
            Ok(name) if !name.is_empty() => Choice::Named { backend: None, name },
            _ => choice.clone(),
        },
        Choice::Named { .. } => choice.clone(),
    };
    let fits = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let named = match &wanted {
            Choice::Auto => info.device_type != DeviceType::Cpu,
            Choice::Cpu | Choice::Gpu => true,
            Choice::Named { backend, name } => {
                let text = format!("{} {} {}", info.name, info.driver, info.driver_info);
                backend.is_none_or(|backend| backend == info.backend)
                    && text.to_lowercase().contains(&name.to_lowercase())
            }
        };
        named && unusable(adapter).is_none()
    };
    // That no other can come before it.
    let first = |adapter: &wgpu::Adapter| {
        let discrete = adapter.get_info().device_type == DeviceType::DiscreteGpu;
        fits(adapter) && (discrete || matches!(&wanted, Choice::Named { backend: Some(_), .. }))
    };
    let adapters = enumerate(first);
    let present = match &adapters {
        Err(reason) => reason.clone(),
        Ok(adapters) if adapters.is_empty() => "none is present".to_owned(),
        Ok(adapters) => {
            let names: Vec<String> = adapters
                .iter()
                .map(|adapter| {
                    let info = adapter.get_info();
                    let name = format!("{}:{}", backend_name(info.backend), info.name);
                    match unusable(adapter) {
                        Some(reason) => format!("{name} (which cannot be used: {reason})"),
                        None => name,
                    }
                })
                .collect();
            format!("present: {}", names.join(", "))
        }
    };
    let found = adapters.unwrap_or_default().into_iter().find(fits);
    match (found, &wanted) {
        (None, Choice::Auto) => Ok(None),
        (None, _) => Err(Error::NoAdapter { given: wanted.to_string(), present }),
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::old_gl;

    #[test]
    fn versions_of_gl_without_compute_shaders_are_known() {
        for new in
            ["4.5 (Core Profile) Mesa 22.3.6", "OpenGL ES 3.1 Mesa", "4.6.0 NVIDIA 580.1", ""]
        {
            assert_eq!(old_gl(new), None, "{new}");
        }
        let old = "it has OpenGL 3.3, and compute shaders need 4.3";
        assert_eq!(old_gl("3.3.0 NVIDIA 580.95.05").unwrap(), old);
        let old = "it has OpenGL ES 3.0, and compute shaders need 3.1";
        assert_eq!(old_gl("OpenGL ES 3.0 (ANGLE)").unwrap(), old);
    }
}
