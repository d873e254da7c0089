//! Nonlinearities forward and backward, on the CPU engine and on every adapter.
//!
//! ```text
//! cargo bench --bench activation
//! ```
//!
//! Each row takes 2^22 elements of f32: forward reads 4 bytes an element and writes 4, backward reads
//! 8 and writes 4. Results are compared with the definition before anything is timed.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin::gpu::{Choice, Context, Options, Tensor, adapters};
use fanin::random::Dtype;
use fanin::{Activation, Shape, cpu};

const ELEMENTS: usize = 1 << 22;

const CASES: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Gelu];

fn inputs() -> Vec<f32> {
    (0..ELEMENTS).map(|i| (i % 8191) as f32 * 1e-3 - 4.0).collect()
}

/// Both results for gradients of 1.
fn check(activation: Activation, x: &[f32], value: &[f32], slope: &[f32]) {
    for i in 0..1 << 14 {
        let (at, f, d) = (f64::from(x[i]), f64::from(value[i]), f64::from(slope[i]));
        let off = (f - activation.value(at)).abs().max((d - activation.derivative(at)).abs());
        assert!(off < 5e-6, "{activation}({at}): not what the definition gives");
    }
}

fn on_cpu(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let name = format!("activation, CPU engine, {threads} threads, {}", cpu::instruction_set());
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ELEMENTS as u64));
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    let (x, dy) = (inputs(), vec![1.0; ELEMENTS]);
    let (mut out, mut dx) = (vec![0.0; ELEMENTS], vec![0.0; ELEMENTS]);
    for activation in CASES {
        cpu::activate(activation, &x, &mut out).expect("equal lengths");
        cpu::activate_backward(activation, &x, &dy, &mut dx).expect("equal lengths");
        check(activation, &x, &out, &dx);
        group.bench_function(BenchmarkId::new("forward", activation), |bench| {
            bench.iter(|| cpu::activate(activation, &x, &mut out));
        });
        group.bench_function(BenchmarkId::new("backward", activation), |bench| {
            bench.iter(|| cpu::activate_backward(activation, &x, &dy, &mut dx));
        });
    }
}

fn on_adapters(criterion: &mut Criterion) {
    for adapter in adapters() {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        let context = Context::open(&choice, Options::default()).expect("the adapter opens");
        let mut group = criterion.benchmark_group(format!("activation, {}", context.name()));
        group.throughput(Throughput::Elements(ELEMENTS as u64));
        group.measurement_time(Duration::from_secs(2)).sample_size(20);
        let shape = Shape::new([ELEMENTS as u64]).expect("a sound shape");
        let tensor = || Tensor::new(&context, shape.clone(), Dtype::F32).expect("memory");
        let (x, dy, out, dx) = (tensor(), tensor(), tensor(), tensor());
        let (values, ones) = (inputs(), vec![1f32; ELEMENTS]);
        context.queue().write_buffer(x.buffer(), 0, bytemuck::cast_slice(&values));
        context.queue().write_buffer(dy.buffer(), 0, bytemuck::cast_slice(&ones));
        let read = |tensor| -> Vec<f32> {
            bytemuck::pod_collect_to_vec(&context.read(tensor).expect("the device answers"))
        };
        for activation in CASES {
            let forward = || {
                context.run(|pass| pass.activate(activation, &x, &out)).expect("a pass");
                context.wait().expect("the device answers");
            };
            let backward = || {
                context
                    .run(|pass| pass.activate_backward(activation, &x, &dy, &dx))
                    .expect("a pass");
                context.wait().expect("the device answers");
            };
            // The first runs clear the buffers and make the pipelines.
            forward();
            backward();
            check(activation, &values, &read(&out), &read(&dx));
            group.bench_function(BenchmarkId::new("forward", activation), |b| b.iter(forward));
            group.bench_function(BenchmarkId::new("backward", activation), |b| b.iter(backward));
        }
    }
}

criterion_group!(benches, on_cpu, on_adapters);
criterion_main!(benches);
