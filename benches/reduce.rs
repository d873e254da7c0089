//! Summaries and histograms, on the CPU engine and on every adapter; the moments beside them.
//!
//! ```text
//! cargo bench --bench reduce
//! ```
//!
//! Each row reads 2^24 elements of f32, 64 MiB, once from memory (a summary reads three times, the
//! last two from a cache), and ends with the result on the host. Results are compared with sums in
//! f64 before anything is timed.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanin::gpu::{Choice, Context, Options, Tensor, adapters};
use fanin::random::Dtype;
use fanin::{Histogram, Shape, Summary, cpu};

const ELEMENTS: usize = 1 << 24;
const BINS: usize = 64;

/// A ramp in 8191 steps from -4 to 4.19, over and over.
fn inputs() -> Vec<f32> {
    (0..ELEMENTS).map(|i| (i % 8191) as f32 * 1e-3 - 4.0).collect()
}

fn check(x: &[f32], summary: Summary, histogram: &Histogram) {
    let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / x.len() as f64;
    assert!((summary.mean - mean).abs() < 2e-5 && (summary.variance / variance - 1.0).abs() < 4e-6);
    let inside = x.iter().filter(|x| (-3.0..=3.0).contains(*x)).count() as u64;
    assert_eq!(histogram.counts.iter().sum::<u64>(), inside);
    assert_eq!(histogram.below + histogram.above, x.len() as u64 - inside);
}

fn on_cpu(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let mut group = criterion.benchmark_group(format!("reduce, CPU engine, {threads} threads"));
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    group.measurement_time(Duration::from_secs(2)).sample_size(10);
    let x = inputs();
    let histogram = || cpu::histogram(&x, -3.0, 3.0, BINS).expect("a sound range");
    check(&x, cpu::summary(&x), &histogram());
    let bytes: &[u8] = bytemuck::cast_slice(&x);
    group.bench_function("moments", |bench| bench.iter(|| cpu::moments(Dtype::F32, bytes)));
    group.bench_function("summary", |bench| bench.iter(|| cpu::summary(&x)));
    group.bench_function("histogram", |bench| bench.iter(histogram));
}

fn on_adapters(criterion: &mut Criterion) {
    let x = inputs();
    for adapter in adapters() {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        let context = Context::open(&choice, Options::default()).expect("the adapter opens");
        let mut group = criterion.benchmark_group(format!("reduce, {}", context.name()));
        group.throughput(Throughput::Elements(ELEMENTS as u64));
        group.measurement_time(Duration::from_secs(2)).sample_size(10);
        let shape = Shape::new([ELEMENTS as u64]).expect("a sound shape");
        let tensor = Tensor::new(&context, shape, Dtype::F32).expect("memory for the tensor");
        context.queue().write_buffer(tensor.buffer(), 0, bytemuck::cast_slice(&x));
        let summary = || context.summary(&tensor).expect("the device answers");
        let histogram = || context.histogram(&tensor, -3.0, 3.0, BINS).expect("the device answers");
        check(&x, summary(), &histogram());
        group.bench_function("moments", |bench| bench.iter(|| context.moments(&tensor)));
        group.bench_function("summary", |bench| bench.iter(summary));
        group.bench_function("histogram", |bench| bench.iter(histogram));
    }
}

criterion_group!(benches, on_cpu, on_adapters);
criterion_main!(benches);
