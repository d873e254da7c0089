//! Fills, on the CPU engine and on every adapter: raw words, uniforms, normals, truncated normals.
//!
//! ```text
//! cargo bench --bench fill
//! ```
//!
//! Each row writes 2^24 elements into memory that was written before: 64 MiB of f32, 4 bytes an
//! element and no reads, so bytes a second are four times elements a second. Results are compared
//! with the definition before anything is timed.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin::gpu::{Choice, Context, Options, Tensor, adapters};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Shape, cpu};

const ELEMENTS: u64 = 1 << 24;
const STREAM: Stream = Stream::new(7, 1);

const CASES: [(&str, Distribution, Dtype); 6] = [
    ("words", Distribution::Words, Dtype::U32),
    ("uniform", Distribution::symmetric(0.05), Dtype::F32),
    ("normal", Distribution::normal(0.02), Dtype::F32),
    ("truncated_normal", Distribution::truncated_normal(0.02, 2.0), Dtype::F32),
    ("normal_bf16", Distribution::normal(0.02), Dtype::Bf16),
    ("normal_f16", Distribution::normal(0.02), Dtype::F16),
];

fn check(bytes: &[u8], distribution: &Distribution, dtype: Dtype) {
    let mut want = vec![0; 1 << 16];
    distribution.draw(&STREAM, dtype, 0, &mut want).expect("a sound case");
    assert!(bytes[..want.len()] == want, "not what the definition draws");
}

fn on_cpu(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let name = format!("fill, CPU engine, {threads} threads, {}", cpu::instruction_set());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ELEMENTS)).measurement_time(Duration::from_secs(2));
    group.sample_size(20);
    for (name, distribution, dtype) in CASES {
        let mut out = vec![0; ELEMENTS as usize * dtype.size()];
        let mut fill = || cpu::fill(&STREAM, &distribution, dtype, 0, &mut out);
        fill().expect("a sound case");
        group.bench_function(BenchmarkId::from_parameter(name), |bench| bench.iter(&mut fill));
        check(&out, &distribution, dtype);
    }
}

fn on_adapters(criterion: &mut Criterion) {
    for adapter in adapters() {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        let context = Context::open(&choice, Options::default()).expect("the adapter opens");
        let mut group = criterion.benchmark_group(format!("fill, {}", context.name()));
        group.throughput(Throughput::Elements(ELEMENTS)).measurement_time(Duration::from_secs(2));
        group.sample_size(20);
        for (name, distribution, dtype) in CASES {
            let shape = Shape::new([ELEMENTS]).expect("a sound shape");
            let tensor = Tensor::new(&context, shape, dtype).expect("memory for the tensor");
            let fill = || {
                context.run(|pass| pass.fill(&tensor, &STREAM, &distribution)).expect("a fill");
                context.wait().expect("the device answers");
            };
            // The first fill clears the buffer and makes the pipeline.
            fill();
            check(&context.read(&tensor).expect("the device answers"), &distribution, dtype);
            group.bench_function(BenchmarkId::from_parameter(name), |bench| bench.iter(fill));
        }
    }
}

criterion_group!(benches, on_cpu, on_adapters);
criterion_main!(benches);
