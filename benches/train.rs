//! The small kernels of a training step, and whole steps of 784-512-512-10 on batches of 256, on the
//! CPU engine and on every adapter.
//!
//! ```text
//! cargo bench --bench train
//! ```
//!
//! A step is three products a layer, 2 m n k operations each, save for the first layer's input: 1.02
//! GFLOP. Steps are taken 64 at a time, as training takes them; each row's name has the dispatches of
//! one. An element of the kernels' throughput is an element of their largest operand.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin::gpu::{
    Choice, Context, LossTensors, Options as GpuOptions, Tensor, UpdateTensors, adapters,
};
use fanin::model::data::{Dataset, Targets};
use fanin::model::{Adam, Loss, Mlp, Optimizer, Options, Trainer};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Dropout, Shape};

const WIDTHS: [u64; 4] = [784, 512, 512, 10];
const BATCH: usize = 256;

/// Rows of noise: what is learned does not matter here.
fn examples() -> Dataset {
    let (rows, columns) = (4 * BATCH, WIDTHS[0] as usize);
    let stream = Stream::named(7, "features");
    let draw = |index| Distribution::normal(1.0).value(&stream, index).expect("a sound case");
    let labels = (0..rows as u32).map(|row| row % 10).collect();
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    Dataset {
        name: "noise".into(),
        features: (0..(rows * columns) as u64).map(draw).collect(),
        feature_names: names(columns),
        targets: Targets::Classes { labels, names: names(10) },
    }
}

fn contexts() -> Vec<Context> {
    let open = |adapter: fanin::gpu::AdapterSummary| {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        Context::open(&choice, GpuOptions::default()).expect("the adapter opens")
    };
    adapters().into_iter().map(open).collect()
}

fn steps(criterion: &mut Criterion) {
    let set = examples();
    let mlp = Mlp::new(WIDTHS).expect("a sound case");
    let contexts: Vec<Option<Context>> =
        std::iter::once(None).chain(contexts().into_iter().map(Some)).collect();
    for context in &contexts {
        let options = Options { batch: Some(BATCH), epochs: 1 << 40, ..Options::default() };
        let mut trainer =
            Trainer::new(context.as_ref(), &mlp, &options, &set, None).expect("memory for it");
        trainer.advance().expect("the device answers");
        let first = trainer.evaluate().expect("the device answers").loss;
        assert!(first.is_finite(), "training went wrong");
        let taken = trainer.step();
        let layers = WIDTHS.len() - 1;
        let dispatches = trainer.dispatches_per_step();
        assert!(dispatches <= 4 * layers + 2, "{dispatches} dispatches for {layers} layers");
        let mut group = criterion.benchmark_group(format!("step, {}", trainer.device()));
        group.throughput(Throughput::Elements(taken)).sample_size(10);
        group.measurement_time(Duration::from_secs(5));
        let name = format!("784-512-512-10, adam, {dispatches} dispatches");
        group.bench_function(BenchmarkId::from_parameter(name), |bench| {
            bench.iter(|| trainer.advance().expect("the device answers"));
        });
    }
}

fn kernels(criterion: &mut Criterion) {
    for context in contexts() {
        let tensor = |dims: &[u64], dtype| {
            let shape = Shape::new(dims).expect("a sound shape");
            Tensor::new(&context, shape, dtype).expect("memory for the tensor")
        };
        let floats = |dims: &[u64]| {
            let tensor = tensor(dims, Dtype::F32);
            let stream = Stream::named(7, "values");
            context
                .run(|pass| pass.fill(&tensor, &stream, &Distribution::normal(1.0)))
                .expect("a fill");
            tensor
        };
        let mut group = criterion.benchmark_group(format!("train, {}", context.name()));
        group.sample_size(20).measurement_time(Duration::from_secs(2));
        let count = 1u64 << 22;
        group.throughput(Throughput::Elements(count));

        let buffers = [(); 4].map(|()| floats(&[count]));
        let scale = tensor(&[2], Dtype::F32);
        let update = UpdateTensors {
            gradients: &buffers[0],
            parameters: &buffers[1],
            first: Some(&buffers[2]),
            second: Some(&buffers[3]),
            scale: None,
        };
        let wait = || context.wait().expect("the device answers");
        for (name, optimizer) in [
            (
                "sgd with momentum",
                Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            ),
            ("adam", Optimizer::Adam(Adam::default())),
        ] {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    context.run(|pass| pass.update(&optimizer, 1e-3, 1, &update)).expect("a step");
                    wait();
                });
            });
        }
        group.bench_function(BenchmarkId::from_parameter("clip"), |bench| {
            bench.iter(|| {
                context.run(|pass| pass.clip(&buffers[0], 1.0, &scale)).expect("a norm");
                wait();
            });
        });

        let (rows, columns) = (4096, 1024);
        let (values, out) = (floats(&[rows, columns]), floats(&[rows, columns]));
        let sums = tensor(&[columns], Dtype::F32);
        group.bench_function(BenchmarkId::from_parameter("column sums"), |bench| {
            bench.iter(|| {
                context.run(|pass| pass.column_sums(&values, None, &sums)).expect("sums");
                wait();
            });
        });
        let dropout = Dropout { probability: 0.1, stream: Stream::new(7, 1) };
        group.bench_function(BenchmarkId::from_parameter("dropout"), |bench| {
            bench.iter(|| {
                context.run(|pass| pass.dropout(&dropout, 0, &values, &out)).expect("dropout");
                wait();
            });
        });
        let (labels, results) = (tensor(&[rows], Dtype::U32), tensor(&[rows, 2], Dtype::F32));
        let losses = [
            ("cross-entropy with gradient", Loss::CROSS_ENTROPY, &labels),
            ("squared error with gradient", Loss::MeanSquaredError, &values),
        ];
        for (name, loss, targets) in losses {
            let inputs = floats(&[rows, columns]);
            let tensors =
                LossTensors { outputs: &inputs, targets, gradient: Some(&out), results: &results };
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| {
                    context.run(|pass| pass.loss(loss, &tensors)).expect("losses");
                    wait();
                });
            });
        }
    }
}

criterion_group!(benches, steps, kernels);
criterion_main!(benches);
