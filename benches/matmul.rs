//! Matrix products of f32, on the CPU engine and on every adapter: the three forms of training.
//!
//! ```text
//! cargo bench --bench matmul
//! ```
//!
//! An element of the throughput is a floating-point operation: `2 m n k` a product. Some elements of
//! each result are compared with f64 before anything is timed.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanin::gpu::{Choice, Context, Epilogue, Options, Tensor, adapters};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Form, Shape, cpu};

/// Form and sizes `[m, n, k]`: squares, and a batch's last layer.
const CASES: [(Form, [usize; 3]); 7] = [
    (Form::Nt, [512, 512, 512]),
    (Form::Nn, [512, 512, 512]),
    (Form::Tn, [512, 512, 512]),
    (Form::Nt, [1024, 1024, 1024]),
    (Form::Nn, [1024, 1024, 1024]),
    (Form::Tn, [1024, 1024, 1024]),
    (Form::Nt, [64, 10, 4096]),
];

fn name(form: Form, [m, n, k]: [usize; 3]) -> String {
    format!("{form:?} {m} x {n} x {k}").to_lowercase()
}

fn shapes(form: Form, [m, n, k]: [usize; 3]) -> [[u64; 2]; 2] {
    let a = if form == Form::Tn { [k, m] } else { [m, k] };
    let b = if form == Form::Nt { [n, k] } else { [k, n] };
    [a, b].map(|dims| dims.map(|dim| dim as u64))
}

fn stream(id: usize) -> Stream {
    Stream::new(7, id as u64)
}

fn drawn(id: usize, elements: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; elements];
    let bytes = bytemuck::cast_slice_mut(&mut out);
    cpu::fill(&stream(id), &Distribution::symmetric(1.0), Dtype::F32, 0, bytes).expect("a fill");
    out
}

fn check(form: Form, [m, n, k]: [usize; 3], out: &[f32]) {
    let (a, b) = (drawn(0, m * k), drawn(1, n * k));
    for place in 0..100 {
        let (row, column) = (place * 37 % m, place * 101 % n);
        let products = (0..k).map(|depth| {
            let a = if form == Form::Tn { a[depth * m + row] } else { a[row * k + depth] };
            let b = if form == Form::Nt { b[column * k + depth] } else { b[depth * n + column] };
            f64::from(a) * f64::from(b)
        });
        let error = (products.sum::<f64>() - f64::from(out[row * n + column])).abs();
        assert!(error < 1e-6 * k as f64, "{} is off by {error}", name(form, [m, n, k]));
    }
}

fn bench(criterion: &mut Criterion, title: String, mut run: impl FnMut(Form, [usize; 3]) -> Work) {
    let mut group = criterion.benchmark_group(title);
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    for (form, sizes) in CASES {
        let Work { mut product, read } = run(form, sizes);
        product();
        check(form, sizes, &read());
        group.throughput(Throughput::Elements(2 * sizes.iter().product::<usize>() as u64));
        let id = BenchmarkId::from_parameter(name(form, sizes));
        group.bench_function(id, |bench| bench.iter(&mut product));
    }
}

/// A product to time, and its result.
struct Work {
    product: Box<dyn FnMut()>,
    read: Box<dyn Fn() -> Vec<f32>>,
}

fn on_cpu(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let title = format!("matmul, CPU engine, {threads} threads, {}", cpu::instruction_set());
    bench(criterion, title, |form, [m, n, k]| {
        let (a, b) = (drawn(0, m * k), drawn(1, n * k));
        let out = std::rc::Rc::new(std::cell::RefCell::new(vec![0.0; m * n]));
        let result = out.clone();
        Work {
            product: Box::new(move || {
                cpu::matmul(form, &a, &b, &mut out.borrow_mut(), [m, n, k]).expect("sound sizes");
            }),
            read: Box::new(move || result.borrow().clone()),
        }
    });
}

fn on_adapters(criterion: &mut Criterion) {
    for adapter in adapters() {
        let choice: Choice =
            format!("{}:{}", adapter.backend, adapter.name).parse().expect("a device name");
        let context = Context::open(&choice, Options::default()).expect("the adapter opens");
        bench(criterion, format!("matmul, {}", context.name()), |form, [m, n, k]| {
            let tensor = |dims: [u64; 2]| {
                let shape = Shape::new(dims).expect("a sound shape");
                Tensor::new(&context, shape, Dtype::F32).expect("memory for the tensor")
            };
            let [a, b] = shapes(form, [m, n, k]).map(tensor);
            let out = tensor([m as u64, n as u64]);
            let uniform = Distribution::symmetric(1.0);
            context
                .run(|pass| {
                    pass.fill(&a, &stream(0), &uniform)?;
                    pass.fill(&b, &stream(1), &uniform)
                })
                .expect("a fill");
            let (owner, result) = ((context.clone(), out.clone()), (context.clone(), out));
            Work {
                product: Box::new(move || {
                    let (context, out) = &owner;
                    let product = |pass: &mut fanin::gpu::Pass<'_, '_>| {
                        pass.matmul(form, &a, &b, out, &Epilogue::default(), 0)
                    };
                    context.run(product).expect("a product");
                    context.wait().expect("the device answers");
                }),
                read: Box::new(move || {
                    let (context, out) = &result;
                    let bytes = context.read(out).expect("the device answers");
                    bytemuck::pod_collect_to_vec(&bytes)
                }),
            }
        });
    }
}

criterion_group!(benches, on_cpu, on_adapters);
criterion_main!(benches);
