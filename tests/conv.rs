//! Convolution on the CPU and every adapter, against its definition in f64.

use fanin::gpu::{self, Context};
use fanin::op::{Conv2d, Form};
use fanin::{Error, Shape, cpu};

use crate::devices::{contexts, forms};
use crate::guarded::{Guarded, normals};

const PLAIN: Conv2d = Conv2d {
    input: [1, 1, 1],
    outputs: 1,
    kernel: [1, 1],
    stride: [1, 1],
    padding: [0, 0],
    dilation: [1, 1],
    groups: 1,
};

/// Batches and convolutions: sides of a kernel and of a signal that differ, strides that leave elements
/// out, windows that lie on nothing but padding, dilation by more and by less than the stride and with a
/// common divisor, groups, and more outputs than channels of each.
pub const CASES: [(usize, Conv2d); 15] = [
    (1, PLAIN),
    (3, Conv2d { input: [5, 7, 4], outputs: 6, ..PLAIN }),
    (2, Conv2d { input: [7, 5, 3], outputs: 5, kernel: [3, 3], padding: [1, 1], ..PLAIN }),
    (3, Conv2d { input: [6, 9, 2], outputs: 3, kernel: [2, 4], padding: [1, 3], ..PLAIN }),
    (2, Conv2d { input: [9, 8, 2], outputs: 4, kernel: [3, 2], stride: [2, 3], ..PLAIN }),
    // Strides longer than the kernel: elements that no window reads.
    (2, Conv2d { input: [11, 13, 3], outputs: 2, kernel: [2, 1], stride: [5, 4], ..PLAIN }),
    (
        2,
        Conv2d {
            input: [10, 11, 2],
            outputs: 3,
            kernel: [3, 4],
            stride: [1, 1],
            padding: [2, 3],
            dilation: [2, 3],
            ..PLAIN
        },
    ),
    (
        2,
        Conv2d {
            input: [12, 13, 2],
            outputs: 3,
            kernel: [3, 3],
            stride: [4, 3],
            padding: [4, 2],
            dilation: [2, 2],
            ..PLAIN
        },
    ),
    (
        1,
        Conv2d {
            input: [9, 9, 1],
            outputs: 2,
            kernel: [4, 4],
            stride: [2, 6],
            padding: [3, 5],
            dilation: [3, 4],
            ..PLAIN
        },
    ),
    // Padding beyond the kernel: windows of zeros.
    (2, Conv2d { input: [3, 2, 2], outputs: 2, kernel: [2, 2], padding: [3, 4], ..PLAIN }),
    (
        3,
        Conv2d {
            input: [6, 7, 4],
            outputs: 6,
            kernel: [3, 3],
            padding: [1, 1],
            stride: [2, 1],
            groups: 2,
            ..PLAIN
        },
    ),
    // Depthwise, and with two and three outputs a channel.
    (
        2,
        Conv2d {
            input: [8, 7, 19],
            outputs: 19,
            kernel: [3, 3],
            padding: [1, 1],
            groups: 19,
            ..PLAIN
        },
    ),
    (
        2,
        Conv2d {
            input: [7, 8, 5],
            outputs: 15,
            kernel: [3, 5],
            stride: [2, 2],
            padding: [1, 2],
            groups: 5,
            ..PLAIN
        },
    ),
    // More channels than outputs in a group.
    (
        2,
        Conv2d {
            input: [5, 6, 33],
            outputs: 3,
            kernel: [2, 2],
            dilation: [2, 1],
            groups: 3,
            ..PLAIN
        },
    ),
    // A kernel as large as the signal.
    (70, Conv2d { input: [4, 4, 3], outputs: 7, kernel: [4, 4], ..PLAIN }),
];

pub fn places(height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// A sum in f64, that of its terms' sizes, and how many terms there were.
pub type Sum = (f64, f64, usize);

/// Each is a sum in any order, of products that were rounded: off by `n + 1` roundings of the sum of the
/// sizes at most.
pub fn close(found: &[f32], wanted: &[Sum], place: &str) {
    assert_eq!(found.len(), wanted.len());
    for (at, (found, (sum, size, terms))) in found.iter().zip(wanted).enumerate() {
        let roundings = (*terms + 1) as f64 * 2f64.powi(-24);
        let bound = roundings / (1.0 - roundings) * size;
        let error = (f64::from(*found) - sum).abs();
        assert!(error <= bound, "{place}, element {at}: {found}, not {sum}: off by {error:e}");
    }
}

struct Operands {
    values: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

struct Wanted {
    out: Vec<Sum>,
    plain: Vec<Sum>,
    input: Vec<Sum>,
    weight: Vec<Sum>,
    bias: Vec<Sum>,
}

impl Operands {
    fn of(conv: &Conv2d, batch: usize, mut drawn: impl FnMut(&str, usize) -> Vec<f32>) -> Operands {
        let outputs: usize = conv.output().unwrap().iter().product();
        Operands {
            values: drawn("values", batch * conv.input.iter().product::<usize>()),
            weight: drawn("weight", conv.weight().iter().product()),
            bias: drawn("bias", conv.outputs),
            gradient: drawn("gradient", batch * outputs),
        }
    }

    /// The definition, and its derivatives: each product that is added up goes to three sums.
    fn wanted(&self, conv: &Conv2d, batch: usize) -> Wanted {
        let [height, width, channels] = conv.input;
        let [down, across, outputs] = conv.output().unwrap();
        let (own, per_group) = (channels / conv.groups, outputs / conv.groups);
        let none = |count: usize| vec![(0.0, 0.0, 0); count];
        let add = |sum: &mut Sum, term: f64| {
            *sum = (sum.0 + term, sum.1 + term.abs(), sum.2 + 1);
        };
        let mut wanted = Wanted {
            out: none(self.gradient.len()),
            plain: none(self.gradient.len()),
            input: none(self.values.len()),
            weight: none(self.weight.len()),
            bias: none(outputs),
        };
        for image in 0..batch {
            for (y, x) in places(down, across) {
                for o in 0..outputs {
                    let at = ((image * down + y) * across + x) * outputs + o;
                    let slope = f64::from(self.gradient[at]);
                    add(&mut wanted.out[at], f64::from(self.bias[o]));
                    add(&mut wanted.bias[o], slope);
                    for c in 0..own {
                        for (i, j) in places(conv.kernel[0], conv.kernel[1]) {
                            let row = (y * conv.stride[0] + i * conv.dilation[0]) as isize;
                            let column = (x * conv.stride[1] + j * conv.dilation[1]) as isize;
                            let row = row - conv.padding[0] as isize;
                            let column = column - conv.padding[1] as isize;
                            if row < 0 || row >= height as isize {
                                continue;
                            }
                            if column < 0 || column >= width as isize {
                                continue;
                            }
                            let line = image * height + row as usize;
                            let channel = o / per_group * own + c;
                            let from = (line * width + column as usize) * channels + channel;
                            let tap = ((o * own + c) * conv.kernel[0] + i) * conv.kernel[1] + j;
                            let value = f64::from(self.values[from]);
                            let weight = f64::from(self.weight[tap]);
                            add(&mut wanted.out[at], weight * value);
                            add(&mut wanted.plain[at], weight * value);
                            add(&mut wanted.input[from], weight * slope);
                            add(&mut wanted.weight[tap], slope * value);
                        }
                    }
                }
            }
        }
        wanted
    }

    /// The result, the same without bias, and the gradients of input and weight.
    fn run(&self, context: Option<&Context>, conv: &Conv2d, batch: usize) -> [Vec<f32>; 4] {
        let Operands { values, weight, bias, gradient } = self;
        let Some(context) = context else {
            let [mut out, mut plain] = [0; 2].map(|_| vec![f32::NAN; gradient.len()]);
            let mut input = vec![f32::NAN; values.len()];
            let mut weights = vec![f32::NAN; weight.len()];
            cpu::conv(conv, values, weight, Some(bias), &mut out).unwrap();
            cpu::conv(conv, values, weight, None, &mut plain).unwrap();
            cpu::conv_input(conv, gradient, weight, &mut input).unwrap();
            cpu::conv_weight(conv, values, gradient, &mut weights).unwrap();
            return [out, plain, input, weights];
        };
        let shaped = |values: &[f32]| {
            let dims = [batch as u64, (values.len() / batch) as u64];
            (Guarded::shaped(context, &dims, values), Guarded::poisoned(context, &dims))
        };
        let (values, input) = shaped(values);
        let (gradient, out) = shaped(gradient);
        let plain = Guarded::poisoned(context, out.tensor.shape().dims());
        let dims = conv.weight().map(|side| side as u64);
        let weight = Guarded::shaped(context, &dims, weight);
        let weights = Guarded::poisoned(context, &dims);
        let bias = Guarded::new(context, bias);
        context
            .run(|pass| {
                let (values, weight) = (&values.tensor, &weight.tensor);
                pass.conv(conv, values, weight, Some(&bias.tensor), &out.tensor)?;
                pass.conv(conv, values, weight, None, &plain.tensor)?;
                pass.conv_input(conv, &gradient.tensor, weight, &input.tensor)?;
                pass.conv_weight(conv, values, &gradient.tensor, &weights.tensor)
            })
            .unwrap();
        [out, plain, input, weights].map(|result| result.read(context))
    }
}

/// The CPU, and every adapter with each of its forms of kernels.
pub fn everywhere() -> impl Iterator<Item = (Option<&'static Context>, String)> {
    let adapters = forms().iter().map(|context| (Some(context), context.name()));
    std::iter::once((None, "the CPU".to_owned())).chain(adapters)
}

#[test]
fn convolutions_are_f64s() {
    for (batch, conv) in CASES {
        let operands = Operands::of(&conv, batch, normals);
        let wanted = operands.wanted(&conv, batch);
        for (context, name) in everywhere() {
            let [out, plain, input, weight] = operands.run(context, &conv, batch);
            let place = |what| format!("{what}: {batch} of {conv:?} on {name}");
            close(&out, &wanted.out, &place("out"));
            close(&plain, &wanted.plain, &place("without bias"));
            close(&input, &wanted.input, &place("input"));
            close(&weight, &wanted.weight, &place("weight"));
        }
    }
}

/// Whole numbers add up exactly: a term left out or taken twice shows, in sums over more windows than a
/// loop may take too.
#[test]
fn every_term_is_added_once() {
    let long = [
        (1, Conv2d { input: [1, 70_001, 1], ..PLAIN }),
        (37, Conv2d { input: [31, 33, 2], outputs: 2, kernel: [3, 3], groups: 2, ..PLAIN }),
        (300, Conv2d { input: [3, 5, 4], outputs: 4, kernel: [2, 2], groups: 4, ..PLAIN }),
    ];
    for (batch, conv) in long.into_iter().chain(CASES) {
        let whole = |_: &str, count: usize| (0..count).map(|at| (at % 7) as f32 - 2.0).collect();
        let operands = Operands::of(&conv, batch, whole);
        let wanted = operands.wanted(&conv, batch);
        let exact = |sums: &[Sum]| sums.iter().map(|sum| sum.0 as f32).collect::<Vec<f32>>();
        for (context, name) in everywhere() {
            let [out, _, input, weight] = operands.run(context, &conv, batch);
            assert_eq!(out, exact(&wanted.out), "{conv:?} on {name}");
            assert_eq!(input, exact(&wanted.input), "{conv:?} on {name}");
            assert_eq!(weight, exact(&wanted.weight), "{conv:?} on {name}");
        }
    }
}

/// One group by way of the product, forward and backward.
#[test]
fn a_convolution_of_one_group_is_a_product() {
    for (batch, conv) in CASES.into_iter().filter(|(_, conv)| conv.groups == 1) {
        let operands = Operands::of(&conv, batch, normals);
        let wanted = operands.wanted(&conv, batch);
        let [down, across, outputs] = conv.output().unwrap();
        let (rows, depth) = (batch * down * across, conv.depth());
        let Operands { values, weight, bias, gradient } = &operands;
        let check = |name: &str, found: [&[f32]; 4]| {
            let place = |what| format!("{what}: {batch} of {conv:?} on {name}");
            close(found[0], &wanted.out, &place("out"));
            close(found[1], &wanted.input, &place("input"));
            // With the terms that padding adds.
            let padded =
                |sums: &[Sum]| sums.iter().map(|sum| (sum.0, sum.1, rows)).collect::<Vec<Sum>>();
            close(found[2], &padded(&wanted.weight), &place("weight"));
            close(found[3], &padded(&wanted.bias), &place("bias"));
        };

        let mut unfolded = vec![f32::NAN; rows * depth];
        cpu::unfold(&conv, values, &mut unfolded).unwrap();
        assert!(!conv.is_product() || unfolded == *values);
        let mut out = vec![f32::NAN; rows * outputs];
        cpu::matmul(Form::Nt, &unfolded, weight, &mut out, [rows, outputs, depth]).unwrap();
        let epilogue = cpu::Epilogue { bias: Some(bias), ..Default::default() };
        cpu::epilogue(&mut out, outputs, epilogue, 0).unwrap();
        let mut weights = vec![f32::NAN; outputs * depth];
        cpu::matmul(Form::Tn, gradient, &unfolded, &mut weights, [outputs, depth, rows]).unwrap();
        let mut biases = vec![f32::NAN; outputs];
        cpu::left_sums(Form::Tn, gradient, &mut biases, [outputs, rows]).unwrap();
        cpu::matmul(Form::Nn, gradient, weight, &mut unfolded, [rows, depth, outputs]).unwrap();
        let mut input = vec![f32::NAN; values.len()];
        cpu::fold(&conv, &unfolded, &mut input).unwrap();
        check("the CPU", [&out, &input, &weights, &biases]);

        for context in contexts() {
            let dims = |rows: usize, columns: usize| [rows as u64, columns as u64];
            let signal = dims(batch, values.len() / batch);
            let values = Guarded::shaped(context, &signal, values);
            let input = Guarded::poisoned(context, &signal);
            let slopes = Guarded::shaped(context, &dims(rows, outputs), gradient);
            let out = Guarded::poisoned(context, &dims(rows, outputs));
            let shape = conv.weight().map(|side| side as u64);
            let weight = Guarded::shaped(context, &shape, weight);
            // The weight as the product sees it.
            let flat = Shape::new(dims(outputs, depth)).unwrap();
            let weight = &weight.tensor;
            let weight = weight.within(weight.offset(), flat, weight.dtype()).unwrap();
            let weights = Guarded::poisoned(context, &dims(outputs, depth));
            let bias = Guarded::new(context, bias);
            let biases = Guarded::poisoned(context, &[outputs as u64]);
            let [unfolded, back] = [0; 2].map(|_| Guarded::poisoned(context, &dims(rows, depth)));
            let biased = gpu::Epilogue { bias: Some(&bias.tensor), ..Default::default() };
            let summed = gpu::Epilogue { row_sums: Some(&biases.tensor), ..Default::default() };
            let none = gpu::Epilogue::default();
            context
                .run(|pass| {
                    let (rows, slopes) = (&unfolded.tensor, &slopes.tensor);
                    pass.unfold(&conv, &values.tensor, rows)?;
                    pass.matmul(Form::Nt, rows, &weight, &out.tensor, &biased, 0)?;
                    pass.matmul(Form::Tn, slopes, rows, &weights.tensor, &summed, 0)?;
                    pass.matmul(Form::Nn, slopes, &weight, &back.tensor, &none, 0)?;
                    pass.fold(&conv, &back.tensor, &input.tensor)
                })
                .unwrap();
            let found = [out, input, weights, biases].map(|result| result.read(context));
            check(&context.name(), found.each_ref().map(Vec::as_slice));
        }
    }
}

#[test]
fn what_is_run_again_is_the_same() {
    let (batch, conv) = CASES[10];
    let operands = Operands::of(&conv, batch, normals);
    for (context, name) in everywhere() {
        let once = || operands.run(context, &conv, batch);
        assert_eq!(once(), once(), "{name}");
    }
}

#[test]
fn convolutions_that_are_none_are_refused() {
    let refused = |conv: Conv2d| {
        let error = conv.output().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    let small = Conv2d::new([5, 6, 4], 6, [3, 3]);
    for (conv, message) in [
        (Conv2d { outputs: 0, ..small }, "convolution: outputs: got 0, needed numbers from 1"),
        (Conv2d { stride: [1, 0], ..small }, "convolution: stride: got 0"),
        (Conv2d { dilation: [0, 1], ..small }, "convolution: dilation: got 0"),
        (Conv2d { input: [5, 0, 4], ..small }, "convolution: input: got 0"),
        (Conv2d { groups: 0, ..small }, "convolution: groups: got 0"),
        (
            Conv2d { groups: 3, ..small },
            "convolution: groups: got 3, needed a number that divides the 4 channels",
        ),
        (
            Conv2d { groups: 4, ..small },
            "convolution: groups: got 4, needed a number that divides the 6 outputs",
        ),
        (
            Conv2d { kernel: [6, 3], ..small },
            "convolution: kernel: got 6, needed what fits into 5: 5 and twice the padding",
        ),
        (
            Conv2d { padding: [1, 1], dilation: [4, 1], ..small },
            "convolution: kernel: got 3 at a dilation of 4, needed what fits into 7: 5 and twice",
        ),
        (Conv2d { padding: [usize::MAX, 0], ..small }, "convolution: padding: got 18446744"),
        (
            Conv2d { dilation: [1 << 29, 1], ..small },
            "convolution: kernel: got 3 at a dilation of 5",
        ),
        (Conv2d { input: [1 << 20, 1 << 20, 4], ..small }, "convolution: input: got [1048576"),
        (Conv2d { outputs: 1 << 28, ..small }, "convolution: output: got [3, 4, 268435456]"),
        (
            Conv2d { input: [300, 300, 1], groups: 1, kernel: [300, 300], ..small },
            "convolution: kernel: got 300 x 301, needed a product of at most 60000",
        ),
    ] {
        let found = refused(conv);
        assert!(found.starts_with(message), "{found}");
    }

    let context = &forms()[0];
    let tensor = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let run = |values: &[u64], weight: &[u64], bias: &[u64], out: &[u64]| {
        let [values, weight, bias, out] = [values, weight, bias, out].map(tensor);
        let conv =
            |pass: &mut gpu::Pass<'_, '_>| pass.conv(&small, &values, &weight, Some(&bias), &out);
        context.run(conv).unwrap_err().to_string()
    };
    assert!(run(&[2, 121], &[6, 36], &[6], &[2, 72]).starts_with("values: got shape [2, 121]"));
    assert!(run(&[2, 120], &[6, 35], &[6], &[2, 72]).starts_with("weight: got shape [6, 35]"));
    assert!(run(&[2, 120], &[6, 36], &[7], &[2, 72]).starts_with("bias: got shape [7]"));
    assert!(run(&[2, 120], &[6, 36], &[6], &[3, 72]).starts_with("out: got shape [3, 72]"));
    // What no loop adds up goes by way of the product.
    let long = Conv2d::new([60, 60, 20], 1, [60, 60]);
    assert!(long.check().is_ok());
    let operands = [&[1, 72_000], &[1, 72_000], &[1, 1]].map(|dims: &[u64; 2]| tensor(dims));
    let [values, weight, out] = &operands;
    let error = context.run(|pass| pass.conv(&long, values, weight, None, out)).unwrap_err();
    let wanted =
        "convolution: kernel and channels: got 60 x 61 x 21, needed a product of at most 60000";
    assert!(error.to_string().starts_with(wanted), "{error}");
    let error = cpu::conv(&small, &[0.0; 240], &[0.0; 215], None, &mut [0.0; 144]).unwrap_err();
    assert!(error.to_string().starts_with("weight: got 215 elements, needed 1 x 216"));
}
