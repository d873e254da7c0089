//! The cases of `fanin bench --quick` under criterion, which keeps what it measured and says what has
//! changed since: on the CPU engine and on every adapter.
//!
//! ```text
//! cargo bench -- normal
//! ```
//!
//! Adapters that have a clock are timed by it, so an element a second is the kernel's and not the
//! submission's.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin::Device;
use fanin::bench::cases;
use fanin::gpu::{Choice, ContextOptions, adapters};

fn devices() -> Vec<Device> {
    let options = ContextOptions { timestamps: true, ..ContextOptions::default() };
    let open = |adapter: fanin::gpu::AdapterSummary| {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        Device::open(&choice, options).expect("the adapter opens")
    };
    let usable = adapters().into_iter().filter(|adapter| adapter.unusable.is_none());
    std::iter::once(Device::Cpu).chain(usable.map(open)).collect()
}

fn kernels(criterion: &mut Criterion) {
    for device in devices() {
        let mut group = criterion.benchmark_group(device.to_string());
        group.sample_size(20).measurement_time(Duration::from_secs(2));
        for case in cases(true) {
            // What an engine has not is no failure.
            let Ok(mut timed) = case.prepare(&device) else { continue };
            timed.once().and_then(|_| timed.check()).expect("the result is right");
            group.throughput(Throughput::Elements(case.work.amount as u64));
            let id = BenchmarkId::new(&case.op, format!("{} {}", case.dtype, case.size));
            group.bench_function(id, |bench| {
                bench.iter_custom(|times| {
                    let once = |_| timed.once().expect("the device answers");
                    Duration::from_secs_f64((0..times).map(once).sum())
                });
            });
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
