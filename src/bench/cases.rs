use super::{Unit, Work};
use crate::op::{Adam, Conv2d, Form, Optimizer, Pool2d, Pooling};
use crate::random::{Distribution, Dtype, Slice};
use crate::{Activation, Shape};

/// Something to time.
#[derive(Clone, Debug)]
pub struct Case {
    /// `normal`, `matmul_nt`.
    pub op: String,
    /// Of its elements.
    pub dtype: Dtype,
    /// In words: `16777216`, `512 x 512 x 512`.
    pub size: String,
    /// What it does.
    pub work: Work,
    pub(super) task: Task,
}

/// What a case does, in the words of the engines.
#[derive(Clone, Debug)]
pub(super) enum Task {
    Fill(Distribution, u64),
    Slice(Distribution, Slice),
    Product(Form, [u64; 3]),
    Activate(Activation, u64),
    Differentiate(Activation, u64),
    Columns([u64; 2]),
    Summary(u64),
    Norm([u64; 2]),
    CrossEntropy([u64; 2]),
    Unfold(Conv2d, usize),
    Conv(Conv2d, usize),
    Pool(Pool2d, usize),
    Clip(u64),
    Update(Optimizer, u64),
    Step,
    Init(&'static str),
}

/// The network of the training step, and its batch.
pub(super) const WIDTHS: [u64; 4] = [784, 512, 512, 10];
pub(super) const BATCH: usize = 256;

/// Everything that is timed; `quick` leaves out what takes long and large sizes.
pub fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    fills(quick, &mut cases);
    slices(quick, &mut cases);
    products(quick, &mut cases);
    kernels(quick, &mut cases);
    // Three products a layer save for the first layer's input, 2 m n k each.
    let layers = WIDTHS.windows(2).map(|pair| pair[0] * pair[1]);
    let flops = 2 * BATCH as u64 * (3 * layers.sum::<u64>() - WIDTHS[0] * WIDTHS[1]);
    cases.push(Case {
        op: "training_step".into(),
        dtype: Dtype::F32,
        size: "784-512-512-10, batch 256, adam".into(),
        work: Work { amount: 1.0, unit: Unit::Steps, read: 0, written: 0, flops },
        task: Task::Step,
    });
    let recipes: &[&str] =
        if quick { &["mlp"] } else { &["mlp", "resnet50", "gpt2", "llama-3.2-1b"] };
    for &name in recipes {
        let Ok(recipe) = crate::recipe::Recipe::builtin(name) else { continue };
        let elements = recipe.elements() as f64;
        cases.push(Case {
            op: "init".into(),
            dtype: recipe.tensors.first().map_or(Dtype::F32, |tensor| tensor.dtype),
            size: name.into(),
            // Into a file: its drive is the limit, and no ceiling of these.
            work: Work { amount: elements, unit: Unit::Elements, read: 0, written: 0, flops: 0 },
            task: Task::Init(name),
        });
    }
    cases
}

fn fills(quick: bool, cases: &mut Vec<Case>) {
    let sizes: &[u32] = if quick { &[24] } else { &[20, 24, 28, 30] };
    let distributions = [
        ("uniform", Distribution::symmetric(0.05)),
        ("normal", Distribution::normal(0.02)),
        ("truncated_normal", Distribution::truncated_normal(0.02, 2.0)),
    ];
    for &power in sizes {
        for (op, distribution) in distributions {
            for dtype in Dtype::SAMPLED {
                // One of each in a rounded dtype is enough where time is short, and of the rarer ones.
                let usual = match quick {
                    true => dtype == Dtype::F32,
                    false => matches!(dtype, Dtype::F32 | Dtype::Bf16 | Dtype::F16),
                };
                let elements = 1u64 << power;
                if !usual && op != "normal" || elements * dtype.size() as u64 > 1 << 32 {
                    continue;
                }
                cases.push(Case {
                    op: op.into(),
                    dtype,
                    size: elements.to_string(),
                    work: elementwise(elements, 0, dtype.size() as u64),
                    task: Task::Fill(distribution, elements),
                });
            }
        }
    }
}

/// The columns that one of a hundred ranks holds of a wide matrix: as many elements as a fill has.
fn slices(quick: bool, cases: &mut Vec<Case>) {
    let [columns, whole] = [164, 16_384];
    for (rows, dtype) in [(102_300, Dtype::F32), (102_300, Dtype::Bf16), (1_636_800, Dtype::F32)] {
        if quick && (rows > 102_300 || dtype != Dtype::F32) {
            continue;
        }
        // They begin and end within blocks.
        let slice = Shape::new([rows, whole])
            .and_then(|shape| Slice::new(shape, [0, 8191], [rows, columns]));
        let Ok(slice) = slice else { continue };
        cases.push(Case {
            op: "slice".into(),
            dtype,
            size: format!("{rows} x {columns} of {whole}"),
            work: elementwise(slice.elements(), 0, dtype.size() as u64),
            task: Task::Slice(Distribution::normal(0.02), slice),
        });
    }
}

/// So many bytes read and written an element.
fn elementwise(elements: u64, read: u64, written: u64) -> Work {
    Work {
        amount: elements as f64,
        unit: Unit::Elements,
        read: read * elements,
        written: written * elements,
        flops: 0,
    }
}

fn products(quick: bool, cases: &mut Vec<Case>) {
    let squares: &[u64] = if quick { &[512] } else { &[256, 512, 1024, 2048] };
    let mut sizes: Vec<[u64; 3]> = squares.iter().map(|&n| [n, n, n]).collect();
    // A batch through a wide layer, its last layer, one row.
    sizes.extend([[256, 512, 784], [256, 10, 512]]);
    if !quick {
        sizes.extend([[64, 4096, 4096], [1, 4096, 4096], [4096; 3]]);
    }
    for dtype in [Dtype::F32, Dtype::F16] {
        for &[m, n, k] in &sizes {
            for form in [Form::Nt, Form::Nn, Form::Tn] {
                let square = m == n && n == k;
                // Training takes skinny ones in the first form, and all in f32; the largest takes a while.
                if form != Form::Nt && (!square || dtype != Dtype::F32 || m > 2048) {
                    continue;
                }
                let (flops, size) = (2 * m * n * k, dtype.size() as u64);
                cases.push(Case {
                    op: format!("matmul_{form:?}").to_lowercase(),
                    dtype,
                    size: format!("{m} x {n} x {k}"),
                    work: Work {
                        amount: flops as f64,
                        unit: Unit::Flops,
                        read: size * (m * k + k * n),
                        written: 4 * m * n,
                        flops,
                    },
                    task: Task::Product(form, [m, n, k]),
                });
            }
        }
    }
}

fn kernels(quick: bool, cases: &mut Vec<Case>) {
    let elements = if quick { 1u64 << 20 } else { 1 << 24 };
    let mut push = |op: String, size: String, work, task| {
        cases.push(Case { op, dtype: Dtype::F32, size, work, task });
    };
    for activation in [Activation::Relu, Activation::Tanh, Activation::Gelu] {
        let size = elements.to_string();
        let name = activation.name();
        push(
            format!("{name}_forward"),
            size.clone(),
            elementwise(elements, 4, 4),
            Task::Activate(activation, elements),
        );
        push(
            format!("{name}_backward"),
            size,
            elementwise(elements, 8, 4),
            Task::Differentiate(activation, elements),
        );
    }
    let rows = if quick { 256 } else { 4096 };
    let matrix = [rows, 1024];
    let (area, size) = (rows * 1024, format!("{rows} x 1024"));
    push(
        "summary".into(),
        elements.to_string(),
        elementwise(elements, 4, 0),
        Task::Summary(elements),
    );
    push("column_sums".into(), size.clone(), elementwise(area, 4, 0), Task::Columns(matrix));
    push("layer_norm".into(), size.clone(), elementwise(area, 4, 8), Task::Norm(matrix));
    push("cross_entropy".into(), size, elementwise(area, 4, 4), Task::CrossEntropy(matrix));
    // A 3 x 3 convolution's windows, one of each channel by itself, and halves of its sides.
    let batch = if quick { 8 } else { 128 };
    let input = [28, 28, 32];
    let conv = Conv2d { padding: [1, 1], ..Conv2d::new(input, 32, [3, 3]) };
    let depthwise = Conv2d { groups: 32, ..conv };
    let pool = Pool2d::new(Pooling::Max, input, [2, 2]);
    let pixels = (batch * input.iter().product::<usize>()) as u64;
    let size = format!("{batch} x 28 x 28 x 32");
    push("unfold_3x3".into(), size.clone(), elementwise(pixels, 4, 36), Task::Unfold(conv, batch));
    let work = Work { flops: 18 * pixels, ..elementwise(pixels, 4, 4) };
    push("depthwise_3x3".into(), size.clone(), work, Task::Conv(depthwise, batch));
    let work = Work { written: pixels, ..elementwise(pixels, 4, 0) };
    push("max_pool_2x2".into(), size, work, Task::Pool(pool, batch));
    let size = elements.to_string();
    push("clip".into(), size.clone(), elementwise(elements, 4, 0), Task::Clip(elements));
    let momentum = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    push(
        "momentum".into(),
        size.clone(),
        elementwise(elements, 12, 8),
        Task::Update(momentum, elements),
    );
    let adam = Optimizer::Adam(Adam::default());
    push("adam".into(), size, elementwise(elements, 16, 12), Task::Update(adam, elements));
}
