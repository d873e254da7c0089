//! Exact arithmetic: every kernel has the same bits on the CPU and on every adapter, whatever the route, and a
//! run the same digest.

use fanin::cpu::{Epilogue, Kernels, LossSlices, LossTargets, Norm, UpdateSlices};
use fanin::gpu::{self, Context, LossTensors, NormTensors, Route, Tensor, UpdateTensors, Way};
use fanin::model::{Loss, Optimizer, Target};
use fanin::op::{Arithmetic, Conv2d, Dropout, Form, Nonlinearity, Operands, Pool2d, Pooling};
use fanin::random::{Dtype, Stream, bf16_from_f32, f16_from_f32, f32_from_f16};
use fanin::{Activation, Shape};

use crate::devices::forms;
use crate::guarded::{Guarded, normals};

pub const BOTH: [Operands; 2] = [Operands::Short, Operands::Full];

/// Contexts of exact kernels: of every adapter and form.
fn exact(operands: Operands) -> Vec<Context> {
    forms().iter().map(|own| own.with_arithmetic(Arithmetic::Exact(operands))).collect()
}

/// Whether an adapter compiles a kernel in no time.
fn is_fast(context: &Context) -> bool {
    context.uses_int64()
}

fn cpu(operands: Operands) -> Kernels {
    Kernels::new(Arithmetic::Exact(operands))
}

/// That the bits are equal, but for those of NaNs.
fn same(what: &str, found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let wrong: Vec<usize> = (0..found.len())
        .filter(|&at| {
            let nan = found[at].is_nan() && wanted[at].is_nan();
            !nan && found[at].to_bits() != wanted[at].to_bits()
        })
        .collect();
    if let Some(&at) = wrong.first() {
        panic!(
            "{what}: {} of {} differ, the first at {at}: {:e} ({:08x}) for {:e} ({:08x})",
            wrong.len(),
            found.len(),
            found[at],
            found[at].to_bits(),
            wanted[at],
            wanted[at].to_bits(),
        );
    }
}

/// Numbers of all sizes, as the exact arithmetic keeps them: those that functions turn at, and their
/// neighbours; many between; none below 2^-125.
fn numbers() -> Vec<f32> {
    let mut values =
        vec![0.0, 1.0, 3.0, 6.0, 0.625, 15.0, 20.0, 87.0, 100.0, 4_194_304.0, 1e30, 3e38];
    for exponent in -125..128 {
        for significand in [1.0, 1.25, 1.999_999_9, 1.333_333_3] {
            values.push(significand * 2f32.powi(exponent));
        }
    }
    let near = |value: &f32| [value.to_bits().saturating_sub(1), value.to_bits() + 1];
    let neighbours: Vec<f32> = values.iter().flat_map(near).map(f32::from_bits).collect();
    values.extend(neighbours);
    for (name, scale) in [("near", 1.0), ("wide", 8.0), ("far", 40.0), ("small", 1e-3)] {
        values.extend(normals(name, 4000).iter().map(|value| value * scale));
    }
    values.retain(|value| value.is_finite() && (*value == 0.0 || value.abs() >= 2f32.powi(-125)));
    let negative: Vec<f32> = values.iter().filter(|v| **v != 0.0).map(|v| -v).collect();
    values.extend(negative);
    values
}

#[test]
fn nonlinearities_have_the_cpus_bits() {
    let x = numbers();
    let dy = normals("dy", x.len());
    for activation in Activation::ALL {
        let (mut values, mut slopes) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let kernels = cpu(Operands::Short);
        kernels.activate(activation, &x, &mut values).unwrap();
        kernels.activate_backward(activation, &x, &dy, &mut slopes).unwrap();
        // Of a GPU and of a software adapter the kernels are the same.
        for context in exact(Operands::Short).iter().filter(|own| own.is_software()) {
            let (x, dy) = (Guarded::new(context, &x), Guarded::new(context, &dy));
            let out = Guarded::poisoned(context, &[values.len() as u64]);
            let dx = Guarded::poisoned(context, &[values.len() as u64]);
            context
                .run(|pass| {
                    pass.activate(activation, &x.tensor, &out.tensor)?;
                    pass.activate_backward(activation, &x.tensor, &dy.tensor, &dx.tensor)
                })
                .unwrap();
            let place = format!("{activation} on {}", context.name());
            let found = out.read(context);
            same(&place, &found, &values);
            same(&format!("slope of {place}"), &dx.read(context), &slopes);
        }
    }
}

fn of(context: &Context, dims: &[u64], values: &[f32]) -> Guarded {
    Guarded::shaped(context, dims, values)
}

/// Terms in each other's way: of all sizes, so that another order has other bits.
fn mixed(name: &str, count: usize) -> Vec<f32> {
    let scales = [1.0, 1e-4, 300.0, 1e-7, 2e-16, 3e-20];
    let values = normals(name, count);
    values.iter().enumerate().map(|(at, value)| value * scales[at % 7 % 6]).collect()
}

/// Sizes of products: short and long of a tile, of a stretch, and of what one dispatch adds up.
const PRODUCTS: [[usize; 3]; 10] = [
    [1, 1, 1],
    [3, 5, 7],
    [33, 17, 255],
    [64, 64, 256],
    [5, 130, 257],
    [70, 10, 784],
    [1, 40, 1500],
    [129, 36, 512],
    [4, 4, 5000],
    // Whose factors are rounded by themselves.
    [256, 200, 257],
];

#[test]
fn products_have_the_cpus_bits_by_every_route() {
    for operands in BOTH {
        for form in Form::ALL {
            for [m, n, k] in PRODUCTS {
                let (a, b) = (mixed("a", m * k), mixed("b", n * k));
                let [bias, before, z] = [("bias", n), ("before", m * n), ("z", m * n)]
                    .map(|(name, count)| normals(name, count));
                let dropout = Dropout { probability: 0.3, stream: Stream::named(7, "dropout") };
                let mut wanted = vec![f32::NAN; m * n];
                let (mut raw, mut sums) = (vec![f32::NAN; m * n], vec![f32::NAN; m]);
                cpu(operands).matmul(form, &a, &b, &mut wanted, [m, n, k]).unwrap();
                let epilogue = Epilogue {
                    bias: Some(&bias),
                    before: Some(&before),
                    raw: Some(&mut raw),
                    nonlinearity: Nonlinearity::Value(Activation::Tanh),
                    dropout: Some(dropout),
                    after: Some(&z),
                    row_sums: None,
                };
                let plain = wanted.clone();
                cpu(operands).epilogue(&mut wanted, n, epilogue, 5).unwrap();
                cpu(operands).left_sums(form, &a, &mut sums, [m, k]).unwrap();
                let [of_a, of_b] = form.shapes([m as u64, n as u64, k as u64]);
                let dims = [m as u64, n as u64];
                // A kernel takes up to seconds to compile: every tile for one ragged size and one of quads,
                // on the adapter that is fast, where the others take these two alone.
                let both = m == 33 || k == 512;
                let mut contexts = exact(operands);
                let one = if operands == Operands::Short { m == 33 } else { k == 512 };
                contexts.retain(|context| is_fast(context) || one && form == Form::Nt);
                let (first, guarded) = (contexts[0].clone(), contexts[0].with_guard());
                contexts.extend(both.then_some(guarded));
                for (at, context) in contexts.iter().enumerate() {
                    let all = both && at == 0 && is_fast(&first);
                    let routes = Route::ALL.into_iter().filter(|_| all);
                    let ways = routes.flat_map(|route| {
                        [1, 4].map(|splits| Some(Way { route, splits, slices: 2 }))
                    });
                    for way in ways.chain([None]) {
                        let place = format!("{operands} {form:?} {m} {n} {k} {way:?} {context:?}");
                        let (a, b) = (of(context, &of_a, &a), of(context, &of_b, &b));
                        let [bias, before, z] =
                            [(&bias, &dims[1..]), (&before, &dims), (&z, &dims)]
                                .map(|(values, dims)| of(context, dims, values));
                        let [out, kept, bare] = [(); 3].map(|()| Guarded::poisoned(context, &dims));
                        let added = Guarded::poisoned(context, &dims[..1]);
                        let epilogue = gpu::Epilogue {
                            bias: Some(&bias.tensor),
                            before: Some(&before.tensor),
                            raw: Some(&kept.tensor),
                            nonlinearity: Nonlinearity::Value(Activation::Tanh),
                            dropout: Some(dropout),
                            after: Some(&z.tensor),
                            row_sums: None,
                        };
                        let with_sums =
                            gpu::Epilogue { row_sums: Some(&added.tensor), ..Default::default() };
                        context
                            .run(|pass| {
                                let (a, b) = (&a.tensor, &b.tensor);
                                pass.matmul_by(way, form, a, b, &out.tensor, &epilogue, 5)?;
                                pass.matmul_by(way, form, a, b, &bare.tensor, &with_sums, 5)
                            })
                            .unwrap();
                        same(&place, &bare.read(context), &plain);
                        same(&place, &kept.read(context), &raw);
                        same(&place, &out.read(context), &wanted);
                        same(&place, &added.read(context), &sums);
                    }
                }
            }
        }
    }
}

/// Factors of 16 bits have no more significant bits than a short operand: over several stretches, by the route
/// that each adapter takes.
#[test]
fn products_of_halves_have_the_bits_of_their_values() {
    let [m, n, k] = [33, 18, 604];
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let rounded = |name: &str, count: usize| -> (Vec<u16>, Vec<f32>) {
            let halves = normals(name, count).into_iter().map(|value| match dtype {
                Dtype::F16 => {
                    let bits = f16_from_f32(value.to_bits());
                    (bits, f32_from_f16(bits))
                }
                _ => {
                    let bits = bf16_from_f32(value.to_bits());
                    (bits, f32::from_bits(u32::from(bits) << 16))
                }
            });
            halves.unzip()
        };
        let ((a, a_values), (b, b_values)) = (rounded("a", m * k), rounded("b", n * k));
        for form in Form::ALL {
            let mut wanted = vec![f32::NAN; m * n];
            let short = cpu(Operands::Short);
            short.matmul(form, &a_values, &b_values, &mut wanted, [m, n, k]).unwrap();
            let [of_a, of_b] = form.shapes([m as u64, n as u64, k as u64]);
            let contexts = exact(Operands::Short);
            for context in contexts.iter().filter(|own| is_fast(own) || form == Form::Nt) {
                let tensor = |dims: &[u64], halves: &[u16]| {
                    let tensor = Tensor::new(context, Shape::new(dims).unwrap(), dtype).unwrap();
                    context.write(&tensor, 0, bytemuck::cast_slice(halves)).unwrap();
                    tensor
                };
                let (a, b) = (tensor(&of_a, &a), tensor(&of_b, &b));
                let out = Guarded::poisoned(context, &[m as u64, n as u64]);
                context
                    .run(|pass| pass.matmul(form, &a, &b, &out.tensor, &Default::default(), 0))
                    .unwrap();
                same(&format!("{dtype} {form:?} {context:?}"), &out.read(context), &wanted);
            }
        }
    }
}

#[test]
fn sums_have_the_cpus_bits() {
    let sizes =
        [(1, 1), (3, 10), (256, 10), (2, 31), (33, 33), (5, 64), (300, 7), (2049, 3), (9, 4100)];
    for (rows, columns) in sizes {
        let (values, weights) =
            (mixed("values", rows * columns), normals("weights", rows * columns));
        for weights in [None, Some(&weights[..])] {
            let (mut across, mut down) = (vec![0.0; rows], vec![0.0; columns]);
            cpu(Operands::Short).row_sums(&values, weights, &mut across).unwrap();
            cpu(Operands::Short).column_sums(&values, weights, &mut down).unwrap();
            for context in exact(Operands::Short) {
                let place = format!("{rows} x {columns}, {} {context:?}", weights.is_some());
                let dims = [rows as u64, columns as u64];
                let values = of(&context, &dims, &values);
                let weights = weights.map(|weights| of(&context, &dims, weights));
                let weights = weights.as_ref().map(|weights| &weights.tensor);
                let [of_rows, of_columns] =
                    [0, 1].map(|axis| Guarded::poisoned(&context, &dims[axis..=axis]));
                context
                    .run(|pass| {
                        pass.row_sums(&values.tensor, weights, &of_rows.tensor)?;
                        pass.column_sums(&values.tensor, weights, &of_columns.tensor)
                    })
                    .unwrap();
                same(&format!("rows of {place}"), &of_rows.read(&context), &across);
                same(&format!("columns of {place}"), &of_columns.read(&context), &down);
            }
        }
    }
}

#[test]
fn clipping_has_the_cpus_bits() {
    for count in [1, 2, 33, 2047, 2048, 2049, 70_000, 4_300_001] {
        let gradients = mixed("gradients", count);
        for bound in [0.5, 1e6] {
            let wanted = cpu(Operands::Short).clip(&gradients, bound).unwrap();
            for context in exact(Operands::Short) {
                let gradients = Guarded::new(&context, &gradients);
                let scale = Guarded::poisoned(&context, &[2]);
                context.run(|pass| pass.clip(&gradients.tensor, bound, &scale.tensor)).unwrap();
                same(&format!("{count} {bound} {context:?}"), &scale.read(&context), &wanted);
            }
        }
    }
}

#[test]
fn norms_have_the_cpus_bits() {
    for (rows, columns) in [(1, 1), (3, 2), (65, 10), (7, 33), (20, 64), (5, 100), (3, 1030)] {
        let count = rows * columns;
        let [values, after, gradient] =
            ["values", "after", "gradient"].map(|name| normals(name, count));
        let [scale, shift] = ["scale", "shift"].map(|name| normals(name, columns));
        let dropout = Some(Dropout { probability: 0.2, stream: Stream::named(3, "norm") });
        for (activation, dropout) in [(Activation::Identity, None), (Activation::Silu, dropout)] {
            let norm = Norm { scale: &scale, shift: &shift, activation, dropout };
            let [mut unit, mut out, mut inner, mut dx] = [(); 4].map(|()| vec![0.0; count]);
            let mut inverse = vec![0.0; rows];
            let kernels = cpu(Operands::Short);
            kernels
                .norm(&norm, 4, &values, Some(&after), &mut unit, &mut inverse, &mut out)
                .unwrap();
            kernels
                .norm_backward(&norm, 4, &gradient, &unit, &inverse, &mut inner, &mut dx)
                .unwrap();
            for context in exact(Operands::Short) {
                let dims = [rows as u64, columns as u64];
                let [x, after, dy] =
                    [&values, &after, &gradient].map(|all| of(&context, &dims, all));
                let [own_scale, own_shift] =
                    [&scale, &shift].map(|all| of(&context, &dims[1..], all));
                let [own_unit, own_out, own_inner, own_dx] =
                    [(); 4].map(|()| Guarded::poisoned(&context, &dims));
                let own_inverse = Guarded::poisoned(&context, &dims[..1]);
                let tensors = NormTensors {
                    scale: own_scale.tensor.clone(),
                    shift: own_shift.tensor.clone(),
                    normalized: own_unit.tensor.clone(),
                    inverse: own_inverse.tensor.clone(),
                    activation,
                    dropout,
                };
                context
                    .run(|pass| {
                        pass.norm(&tensors, 4, &x.tensor, Some(&after.tensor), &own_out.tensor)?;
                        pass.norm_backward(
                            &tensors,
                            4,
                            &dy.tensor,
                            &own_inner.tensor,
                            &own_dx.tensor,
                        )
                    })
                    .unwrap();
                let place = format!("{rows} x {columns} {activation} {context:?}");
                for (what, found, wanted) in [
                    ("inverse", &own_inverse, &inverse),
                    ("unit", &own_unit, &unit),
                    ("out", &own_out, &out),
                    ("inner", &own_inner, &inner),
                    ("dx", &own_dx, &dx),
                ] {
                    same(&format!("{what} of {place}"), &found.read(&context), wanted);
                }
            }
        }
    }
}

#[test]
fn losses_have_the_cpus_bits() {
    let more = ["cross_entropy:0.1", "huber:0.7"].map(|text| text.parse::<Loss>().unwrap());
    for kind in Loss::ALL.into_iter().chain(more) {
        for (rows, columns) in [(1, 1), (65, 3), (40, 10), (9, 16), (5, 33), (3, 100), (2, 1029)] {
            let outputs: Vec<f32> =
                normals("out", rows * columns).iter().map(|x| 5.0 * x).collect();
            let labels: Vec<u32> = (0..rows).map(|row| (row * row % columns) as u32).collect();
            let shares: Vec<f32> =
                normals("targets", rows * columns).iter().map(|x| x.abs().min(1.0)).collect();
            let targets = [LossTargets::Classes(&labels), LossTargets::Values(&shares)];
            for (classes, targets) in [true, false].into_iter().zip(targets) {
                let fits = match kind.target() {
                    Target::Class => classes,
                    Target::Value => !classes,
                    Target::Share => !classes || columns > 1,
                };
                if !fits {
                    continue;
                }
                let mut gradient = vec![f32::NAN; rows * columns];
                let mut results = vec![[f32::NAN; 2]; rows];
                let slices = LossSlices {
                    outputs: &outputs,
                    targets,
                    gradient: Some(&mut gradient),
                    results: &mut results,
                };
                cpu(Operands::Short).loss(kind, slices).unwrap();
                for context in exact(Operands::Short) {
                    let dims = [rows as u64, columns as u64];
                    let own = of(&context, &dims, &outputs);
                    let values: Vec<u32> = shares.iter().map(|share| share.to_bits()).collect();
                    let wanted = match classes {
                        true => Guarded::of(&context, &dims[..1], &labels, Dtype::U32),
                        false => Guarded::of(&context, &dims, &values, Dtype::F32),
                    };
                    let slopes = Guarded::poisoned(&context, &dims);
                    let found = Guarded::poisoned(&context, &[dims[0], 2]);
                    let tensors = LossTensors {
                        outputs: &own.tensor,
                        targets: &wanted.tensor,
                        gradient: Some(&slopes.tensor),
                        results: &found.tensor,
                    };
                    context.run(|pass| pass.loss(kind, &tensors)).unwrap();
                    let place = format!("{kind} {rows} x {columns} {classes} {context:?}");
                    same(&place, &found.read(&context), results.as_flattened());
                    same(&format!("slopes of {place}"), &slopes.read(&context), &gradient);
                }
            }
        }
    }
}

#[test]
fn optimizers_have_the_cpus_bits() {
    let count = 4099;
    let start = mixed("parameters", count);
    let gradients: Vec<Vec<f32>> = (0..3).map(|step| mixed(&format!("g{step}"), count)).collect();
    let more = ["sgd:0.9", "adam:0.8,0.95,1e-30"].map(|text| text.parse::<Optimizer>().unwrap());
    for own in Optimizer::ALL.into_iter().chain(more) {
        for optimizer in [own, own.with_weight_decay(0.01)] {
            let [mut w, mut m, mut v] = [start.clone(), vec![0.0; count], vec![0.0; count]];
            for (t, gradients) in (1..).zip(&gradients) {
                let slices = UpdateSlices {
                    gradients,
                    parameters: &mut w,
                    first: Some(&mut m),
                    second: Some(&mut v),
                    scale: Some(0.3),
                };
                cpu(Operands::Short).update(&optimizer, 0.003, t, slices).unwrap();
            }
            for context in exact(Operands::Short) {
                let parameters = Guarded::new(&context, &start);
                let [first, second] = [(); 2].map(|()| Guarded::new(&context, &vec![0.0; count]));
                let scale = Guarded::new(&context, &[0.3, 0.0]);
                for (t, gradients) in (1..).zip(&gradients) {
                    let gradients = Guarded::new(&context, gradients);
                    let tensors = UpdateTensors {
                        gradients: &gradients.tensor,
                        parameters: &parameters.tensor,
                        first: Some(&first.tensor),
                        second: Some(&second.tensor),
                        scale: Some(&scale.tensor),
                    };
                    context.run(|pass| pass.update(&optimizer, 0.003, t, &tensors)).unwrap();
                }
                let place = format!("{optimizer} {context:?}");
                same(&place, &parameters.read(&context), &w);
                same(&format!("first of {place}"), &first.read(&context), &m);
                same(&format!("second of {place}"), &second.read(&context), &v);
            }
        }
    }
}

#[test]
fn windows_have_the_cpus_bits() {
    let base = Conv2d {
        input: [9, 8, 4],
        outputs: 6,
        kernel: [3, 2],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 2,
    };
    let convs = [
        base,
        Conv2d { stride: [2, 3], dilation: [2, 1], groups: 1, ..base },
        Conv2d { input: [30, 31, 4], outputs: 4, groups: 4, ..base },
    ];
    let batch = 3;
    for operands in BOTH {
        for conv in convs {
            let [height, width, channels] = conv.output().unwrap();
            let (signal, results) =
                (conv.input.iter().product::<usize>(), height * width * channels);
            let weights = conv.weight().iter().product::<usize>();
            let x = mixed("x", batch * signal);
            let (weight, bias) = (mixed("weight", weights), normals("bias", conv.outputs));
            let dy = mixed("dy", batch * results);
            let unfolded = mixed("rows", batch * height * width * conv.depth());
            let kernels = cpu(operands);
            let mut out = vec![0.0; batch * results];
            kernels.conv(&conv, &x, &weight, Some(&bias), &mut out).unwrap();
            let [mut dx, mut folded] = [(); 2].map(|()| vec![0.0; batch * signal]);
            kernels.conv_input(&conv, &dy, &weight, &mut dx).unwrap();
            kernels.fold(&conv, &unfolded, &mut folded).unwrap();
            let mut dw = vec![0.0; weights];
            kernels.conv_weight(&conv, &x, &dy, &mut dw).unwrap();
            for context in exact(operands) {
                let rows = |each: usize| [batch as u64, each as u64];
                let dims = [(batch * height * width) as u64, conv.depth() as u64];
                let [own_x, own_dy] = [(&x, signal), (&dy, results)]
                    .map(|(values, each)| of(&context, &rows(each), values));
                let unfolded = of(&context, &dims, &unfolded);
                let (own_weight, own_bias) =
                    (Guarded::new(&context, &weight), Guarded::new(&context, &bias));
                let found = Guarded::poisoned(&context, &rows(results));
                let [found_dx, found_folded] =
                    [(); 2].map(|()| Guarded::poisoned(&context, &rows(signal)));
                let found_dw = Guarded::poisoned(&context, &[weights as u64]);
                context
                    .run(|pass| {
                        let (x, dy, w) = (&own_x.tensor, &own_dy.tensor, &own_weight.tensor);
                        pass.conv(&conv, x, w, Some(&own_bias.tensor), &found.tensor)?;
                        pass.conv_input(&conv, dy, w, &found_dx.tensor)?;
                        pass.conv_weight(&conv, x, dy, &found_dw.tensor)?;
                        pass.fold(&conv, &unfolded.tensor, &found_folded.tensor)
                    })
                    .unwrap();
                let place = format!("{operands} {conv:?} {context:?}");
                same(&place, &found.read(&context), &out);
                same(&format!("dx of {place}"), &found_dx.read(&context), &dx);
                same(&format!("dw of {place}"), &found_dw.read(&context), &dw);
                same(&format!("fold of {place}"), &found_folded.read(&context), &folded);
            }
        }
    }
}

#[test]
fn pools_have_the_cpus_bits() {
    for pooling in [Pooling::Max, Pooling::Average] {
        let pool =
            Pool2d { input: [9, 8, 5], kernel: [3, 2], stride: [2, 1], padding: [1, 0], pooling };
        let batch = 3;
        let (signal, results) = (9 * 8 * 5, pool.output().unwrap().iter().product::<usize>());
        let (x, dy) = (mixed("x", batch * signal), mixed("dy", batch * results));
        let (mut out, mut dx) = (vec![0.0; batch * results], vec![0.0; batch * signal]);
        cpu(Operands::Short).pool(&pool, &x, &mut out).unwrap();
        cpu(Operands::Short).pool_backward(&pool, &x, &out, &dy, &mut dx).unwrap();
        for context in exact(Operands::Short) {
            let rows = |each: usize| [batch as u64, each as u64];
            let (own_x, own_dy) =
                (of(&context, &rows(signal), &x), of(&context, &rows(results), &dy));
            let found = Guarded::poisoned(&context, &rows(results));
            let found_dx = Guarded::poisoned(&context, &rows(signal));
            context
                .run(|pass| {
                    let (x, dy) = (&own_x.tensor, &own_dy.tensor);
                    pass.pool(&pool, x, &found.tensor)?;
                    pass.pool_backward(&pool, x, &found.tensor, dy, &found_dx.tensor)
                })
                .unwrap();
            let place = format!("{pooling:?} {context:?}");
            same(&place, &found.read(&context), &out);
            same(&format!("dx of {place}"), &found_dx.read(&context), &dx);
        }
    }
}
