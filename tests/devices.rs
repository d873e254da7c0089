//! The adapters that the tests run on.

use std::sync::OnceLock;

use fanin::gpu::{Choice, Context, ContextOptions, adapters};
use fanin::{Device, wgpu};

/// A context of every adapter, and of the software adapter that compiles them fast a second one with the
/// kernels of GPUs: for tests of many kernels at once. Those of single ones go by [`forms`].
pub fn contexts() -> &'static [Context] {
    static CONTEXTS: OnceLock<Vec<Context>> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        // Of the software adapters llvmpipe's Vulkan alone has 64-bit integers.
        let fast = |context: &Context| context.is_software() || context.uses_int64();
        let gpu = |context: &Context| context.adapter_info().device_type != wgpu::DeviceType::Cpu;
        forms().iter().filter(|context| gpu(context) || fast(context)).cloned().collect()
    })
}

/// A context of every adapter, and of each software adapter before it one with the kernels of GPUs. The
/// adapters that FANIN_TEST_DEVICES names, which must be there, else all that are present.
///
/// A test without an adapter fails: it would prove nothing by passing.
pub fn forms() -> &'static [Context] {
    static FORMS: OnceLock<Vec<Context>> = OnceLock::new();
    FORMS.get_or_init(|| {
        let names: Vec<String> = match std::env::var("FANIN_TEST_DEVICES") {
            Ok(names) => names.split(',').map(str::to_owned).collect(),
            Err(_) => adapters()
                .into_iter()
                .filter(|adapter| adapter.unusable.is_none())
                .map(|adapter| format!("{}:{}", adapter.backend, adapter.name))
                .collect(),
        };
        assert!(
            !names.is_empty(),
            "no adapter to test on: run `bash tests/run.sh`, which installs Mesa's software drivers \
             (apt-get install mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri)"
        );
        let mut contexts = Vec::new();
        for name in names {
            let choice: Choice = name.parse().expect("a device name");
            let open = |as_gpu| {
                let options = ContextOptions { as_gpu, tuned: false, ..ContextOptions::default() };
                Context::open(&choice, options).unwrap_or_else(|error| {
                    panic!("{name}: {error}; `bash tests/run.sh` installs what the tests need")
                })
            };
            let context = open(false);
            if context.adapter_info().device_type == wgpu::DeviceType::Cpu {
                contexts.push(open(true));
            }
            contexts.push(context);
        }
        for context in &contexts {
            let form = if context.is_software() { "software" } else { "a GPU's" };
            println!("testing on {}, kernels: {form}", context.name());
        }
        contexts
    })
}

/// The CPU, and every one of [`contexts`]: for one body of a test on all.
pub fn everywhere() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let gpus = contexts().iter().cloned().map(Device::Gpu);
        std::iter::once(Device::Cpu).chain(gpus).collect()
    })
}

/// As [`everywhere`], of all of [`forms`].
pub fn every_form() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let gpus = forms().iter().cloned().map(Device::Gpu);
        std::iter::once(Device::Cpu).chain(gpus).collect()
    })
}

/// The same adapters once more, of an instance of the caller's: for devices of one's own.
pub fn own_adapters() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let wanted = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        contexts().iter().map(Context::adapter_info).any(|own| {
            (&own.name, own.backend) == (&info.name, info.backend) && own.driver == info.driver
        })
    };
    let all = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapters: Vec<_> = all.into_iter().filter(wanted).collect();
    assert!(!adapters.is_empty());
    adapters
}

/// A device with these limits.
pub fn own_device(adapter: &wgpu::Adapter, limits: wgpu::Limits) -> (wgpu::Device, wgpu::Queue) {
    let request = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    pollster::block_on(adapter.request_device(&request)).unwrap()
}

/// A seed of the tests, the same every time.
pub const SEED: u64 = 7;
