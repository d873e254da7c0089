//! Products and their epilogues: the CPU and every adapter by every route, against f64.

use fanin::gpu::{self, Choice, Context, ContextOptions, Pass, Route, Tensor, Way};
use fanin::op::{Dropout, Form};
use fanin::random::{Distribution, Dtype, Stream, bf16_from_f32, f16_from_f32};
use fanin::{Shape, cpu};

use crate::devices::{SEED, contexts, own_adapters, own_device};
use crate::map::{Operands, PARTS, STEP};

/// Unit roundoff of f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Bytes after a result that nothing may write.
const GUARD: usize = 256;

type Sizes = [usize; 3];

fn drawn(name: &str, elements: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; elements];
    let distribution = Distribution::symmetric(1.0);
    let bytes = bytemuck::cast_slice_mut(&mut out);
    cpu::fill(&Stream::named(SEED, name), &distribution, Dtype::F32, 0, bytes).unwrap();
    out
}

fn shapes(form: Form, [m, n, k]: Sizes) -> [[usize; 2]; 2] {
    [if form == Form::Tn { [k, m] } else { [m, k] }, if form == Form::Nt { [n, k] } else { [k, n] }]
}

/// The product in f64, and the same of sizes, which the bound is a multiple of.
fn oracle(form: Form, a: &[f32], b: &[f32], [m, n, k]: Sizes) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; m * n], vec![0.0; m * n]);
    for row in 0..m {
        for column in 0..n {
            let at = row * n + column;
            for depth in 0..k {
                let a = if form == Form::Tn { a[depth * m + row] } else { a[row * k + depth] };
                let b =
                    if form == Form::Nt { b[column * k + depth] } else { b[depth * n + column] };
                let product = f64::from(a) * f64::from(b);
                sums.0[at] += product;
                sums.1[at] += product.abs();
            }
        }
    }
    sums
}

/// `gamma_n` of Higham: `n u / (1 - n u)`.
fn gamma(n: usize) -> f64 {
    n as f64 * UNIT / (1.0 - n as f64 * UNIT)
}

fn assert_close(got: &[f32], want: &(Vec<f64>, Vec<f64>), k: usize, place: &str) {
    for (index, got) in got.iter().enumerate() {
        let bound = gamma(k) * want.1[index] + 1e-30;
        let error = (f64::from(*got) - want.0[index]).abs();
        assert!(error <= bound, "{place}, element {index}: {got}, {error:e} > {bound:e}");
    }
}

/// A tensor of these bytes, with a guard of NaNs after its end.
fn tensor(context: &Context, dims: &[usize], dtype: Dtype, bytes: &[u8]) -> Tensor {
    let mut all = bytes.to_vec();
    all.resize(bytes.len().next_multiple_of(4) + GUARD, 0xFF);
    let whole = Shape::new([all.len() as u64]).unwrap();
    let whole = Tensor::new(context, whole, Dtype::U8).unwrap();
    context.write(&whole, 0, &all).unwrap();
    let dims: Vec<u64> = dims.iter().map(|dim| *dim as u64).collect();
    whole.within(0, Shape::new(dims).unwrap(), dtype).unwrap()
}

fn floats(context: &Context, dims: &[usize], values: &[f32]) -> Tensor {
    tensor(context, dims, Dtype::F32, bytemuck::cast_slice(values))
}

fn poisoned(context: &Context, dims: &[usize]) -> Tensor {
    floats(context, dims, &vec![f32::NAN; dims.iter().product()])
}

/// The values, once the guard has been looked at.
fn read(context: &Context, tensor: &Tensor) -> Vec<f32> {
    let whole = Shape::new([tensor.buffer().size()]).unwrap();
    let whole = tensor.within(0, whole, Dtype::U8).unwrap();
    let bytes = context.read(&whole).unwrap();
    let (values, guard) = bytes.split_at(tensor.bytes() as usize);
    assert!(guard.iter().all(|byte| *byte == 0xFF), "{}: the guard is hurt", context.name());
    bytemuck::pod_collect_to_vec(values)
}

fn place(context: &Context, way: Way, form: Form, sizes: Sizes) -> String {
    format!("{form:?} {sizes:?}, {way:?} on {}", context.name())
}

/// Every way of a GPU: each route, with slices, and with the depth in parts.
const WAYS: [Way; 11] = {
    const fn way(route: Route, slices: u64, splits: u64) -> Way {
        Way { route, splits, slices }
    }
    [
        way(Route::Tiled64, 1, 1),
        way(Route::Tiled128, 1, 1),
        way(Route::Tiled64x32, 2, 1),
        way(Route::Tiled32, 4, 1),
        way(Route::Thin, 1, 1),
        way(Route::Tiled64, 4, 3),
        way(Route::Tiled32, 1, 3),
        way(Route::Tiled64x32, 4, 3),
        way(Route::Tiled128, 1, 6),
        way(Route::Tiled64, 2, 1),
        way(Route::Thin, 1, 5),
    ]
};

/// Two of those by turns on an adapter that takes GPUs' sources; on others, whose drivers take minutes to
/// compile tiles, at every fourth turn the kernel for few rows. And what software adapters take of their own.
fn ways(context: &Context, turn: usize) -> Vec<Way> {
    let plain = !context.uses_subgroups() && (context.uses_int64() || contexts().len() == 1);
    let mut ways = vec![Way::whole(Route::Direct)];
    if plain {
        ways.extend([0, 5].map(|step| WAYS[(turn + step) % WAYS.len()]));
    } else if turn.is_multiple_of(4) {
        ways.push(Way::whole(Route::Thin));
    }
    ways
}

/// Whether a form is one for an adapter: SwiftShader takes ten seconds for some of these pipelines, and has
/// but the one that matters most.
fn is_for(context: &Context, form: Form, most: Form) -> bool {
    context.uses_int64() || form == most
}

/// Sizes around the edges of tiles, tall and wide.
const SIZES: [Sizes; 13] = [
    [1, 1, 1],
    [3, 5, 1],
    [5, 3, 63],
    [64, 64, 64],
    [65, 63, 5],
    [63, 127, 64],
    [127, 65, 257],
    [257, 3, 64],
    [1, 257, 127],
    [33, 31, 65],
    // Whole quads, at sizes that are no multiple of a tile.
    [132, 68, 36],
    [36, 12, 1044],
    // As many depths as give each of three parts some.
    [8, 20, 803],
];

#[test]
fn every_form_is_within_the_bound_of_a_sum() {
    for (turn, sizes @ [m, n, k]) in SIZES.into_iter().enumerate() {
        let (a, b) = (drawn("a", m * k), drawn("b", n * k));
        for form in Form::ALL {
            let want = oracle(form, &a, &b, sizes);
            let mut out = vec![f32::NAN; m * n];
            cpu::matmul(form, &a, &b, &mut out, sizes).unwrap();
            assert_close(&out, &want, k, &format!("{form:?} {sizes:?} on the CPU"));
            for context in contexts() {
                let [a_dims, b_dims] = shapes(form, sizes);
                let (a, b) = (floats(context, &a_dims, &a), floats(context, &b_dims, &b));
                for way in ways(context, turn) {
                    let out = poisoned(context, &[m, n]);
                    let none = gpu::Epilogue::default();
                    context
                        .run(|pass| pass.matmul_by(Some(way), form, &a, &b, &out, &none, 0))
                        .unwrap();
                    let got = read(context, &out);
                    assert_close(&got, &want, k, &place(context, way, form, sizes));
                }
            }
        }
    }
}

/// Few rows, few columns, one row: what the CPU engine makes column by column, and what it does not.
#[test]
fn skinny_products_are_within_the_bound_on_the_cpu() {
    for sizes @ [m, n, k] in
        [[20, 301, 64], [301, 20, 64], [1, 4099, 70], [33, 67, 130], [2, 4, 40_000]]
    {
        let (a, b) = (drawn("a", m * k), drawn("b", n * k));
        for form in Form::ALL {
            let want = oracle(form, &a, &b, sizes);
            let mut out = vec![f32::NAN; m * n];
            cpu::matmul(form, &a, &b, &mut out, sizes).unwrap();
            assert_close(&out, &want, k, &format!("{form:?} {sizes:?} on the CPU"));
        }
    }
}

#[test]
fn a_long_sum_is_split_and_its_epilogue_comes_once() {
    let sizes @ [m, n, k] = [3, 5, 65_539];
    let (a, b, bias) = (drawn("a", m * k), drawn("b", n * k), vec![2.0; n]);
    for form in Form::ALL {
        let mut want = oracle(form, &a, &b, sizes);
        for sum in want.0.iter_mut().chain(&mut want.1) {
            *sum += 2.0;
        }
        for context in contexts() {
            let [a_dims, b_dims] = shapes(form, sizes);
            let (a, b) = (floats(context, &a_dims, &a), floats(context, &b_dims, &b));
            let bias = floats(context, &[n], &bias);
            for way in ways(context, 0) {
                let out = poisoned(context, &[m, n]);
                let epilogue = gpu::Epilogue { bias: Some(&bias), ..Default::default() };
                context
                    .run(|pass| pass.matmul_by(Some(way), form, &a, &b, &out, &epilogue, 0))
                    .unwrap();
                let got = read(context, &out);
                assert_close(&got, &want, k + 1, &place(context, way, form, sizes));
            }
        }
    }
}

#[test]
fn factors_of_16_bits_are_decoded() {
    // A word at a time, and four elements at once.
    for (turn, sizes @ [m, n, k]) in [[33, 35, 37], [36, 68, 40]].into_iter().enumerate() {
        for dtype in [Dtype::Bf16, Dtype::F16] {
            let halves = |name, elements| halves(dtype, &drawn(name, elements));
            let ((a_bits, a), (b_bits, b)) = (halves("a", m * k), halves("b", n * k));
            for form in Form::ALL {
                let want = oracle(form, &a, &b, sizes);
                for context in contexts().iter().filter(|own| is_for(own, form, Form::Nt)) {
                    let [a_dims, b_dims] = shapes(form, sizes);
                    let a = tensor(context, &a_dims, dtype, bytemuck::cast_slice(&a_bits));
                    let b = tensor(context, &b_dims, dtype, bytemuck::cast_slice(&b_bits));
                    for way in ways(context, 21 + turn) {
                        let out = poisoned(context, &[m, n]);
                        let none = gpu::Epilogue::default();
                        context
                            .run(|pass| pass.matmul_by(Some(way), form, &a, &b, &out, &none, 0))
                            .unwrap();
                        let got = read(context, &out);
                        let place = place(context, way, form, sizes);
                        assert_close(&got, &want, k, &format!("{dtype} {place}"));
                    }
                }
            }
        }
    }
}

/// Values in 16 bits, and what they then are.
fn halves(dtype: Dtype, values: &[f32]) -> (Vec<u16>, Vec<f32>) {
    let round = if dtype == Dtype::Bf16 { bf16_from_f32 } else { f16_from_f32 };
    let bits: Vec<u16> = values.iter().map(|value| round(value.to_bits())).collect();
    let decode = |bits: &u16| match dtype {
        Dtype::Bf16 => half::bf16::from_bits(*bits).to_f32(),
        _ => half::f16::from_bits(*bits).to_f32(),
    };
    let values = bits.iter().map(decode).collect();
    (bits, values)
}

/// Whoever asks for matrix units gets the same products, by units where the adapter has some, else as
/// before: whole blocks, blocks that move back at the ends, a depth that is shared out, and what units
/// cannot do.
#[test]
fn matrix_units_may_be_asked_for() {
    let mut seen = Vec::new();
    for context in contexts() {
        let info = context.adapter_info();
        let choice = Choice::Named { backend: Some(info.backend), name: info.name.clone() };
        if seen.contains(&choice) {
            continue;
        }
        seen.push(choice.clone());
        let options =
            ContextOptions { cooperative: true, tuned: false, ..ContextOptions::default() };
        let context = &Context::open(&choice, options).unwrap();
        println!("{}: units: {}", context.name(), context.uses_cooperative());
        let shapes_of_units = [[64, 64, 16], [128, 192, 48], [136, 88, 1040], [66, 64, 24]];
        // Without units all sizes are as one.
        let count = if context.uses_cooperative() { 4 } else { 1 };
        for sizes @ [m, n, k] in shapes_of_units.into_iter().take(count) {
            let halves = |name, elements| halves(Dtype::F16, &drawn(name, elements));
            let ((a_bits, a), (b_bits, b)) = (halves("a", m * k), halves("b", n * k));
            let bias = drawn("bias", n);
            for form in Form::ALL {
                let want = oracle(form, &a, &b, sizes);
                let shifted = (0..m * n).map(|at| want.0[at] + f64::from(bias[at % n])).collect();
                // The bias is one more term.
                let sizes_of_sums =
                    (0..m * n).map(|at| want.1[at] + f64::from(bias[at % n]).abs()).collect();
                let shifted = (shifted, sizes_of_sums);
                let [a_dims, b_dims] = shapes(form, sizes);
                let a = tensor(context, &a_dims, Dtype::F16, bytemuck::cast_slice(&a_bits));
                let b = tensor(context, &b_dims, Dtype::F16, bytemuck::cast_slice(&b_bits));
                let bias = floats(context, &[n], &bias);
                for (bias, want) in [(None, &want), (Some(&bias), &shifted)] {
                    let out = poisoned(context, &[m, n]);
                    let epilogue = gpu::Epilogue { bias, ..Default::default() };
                    context.run(|pass| pass.matmul(form, &a, &b, &out, &epilogue, 0)).unwrap();
                    let place = format!("{}: {form:?} {sizes:?}", context.name());
                    // Units may cut what others round: twice the unit roundoff.
                    assert_close(&read(context, &out), want, 2 * (k + 1), &place);
                }
            }
        }
    }
}

#[test]
fn every_part_of_an_epilogue_alone_and_together() {
    let sizes @ [m, n, k] = [37, 43, 8];
    let form = Form::Nt;
    let (a, b) = (drawn("a", m * k), drawn("b", n * k));
    let operands = Operands::new(m, n);
    let Operands { bias, before, z, after, .. } = &operands;
    let (sums, sizes_of_sums) = oracle(form, &a, &b, sizes);
    let off: Vec<f64> = sizes_of_sums.iter().map(|size| gamma(k) * size).collect();
    let together = [1 | 2 | 4 | 8 | 32 | 64, 1 | 2 | 4 | 16 | 32 | 64];
    for parts in PARTS.map(|(_, part)| part).into_iter().chain(together).chain([0]) {
        let wanted = operands.wanted(parts, &sums);
        let [mut out, mut raw] = [(); 2].map(|()| vec![f32::NAN; m * n]);
        cpu::matmul(form, &a, &b, &mut out, sizes).unwrap();
        let epilogue = operands.epilogue(parts, [&bias[..], before, z, after], raw.as_mut_slice());
        cpu::epilogue(&mut out, n, epilogue, STEP).unwrap();
        operands.check(parts, &wanted, &off, [&out, &raw], "on the CPU");

        for context in contexts() {
            let a = floats(context, &[m, k], &a);
            let b = floats(context, &[n, k], &b);
            let bias = floats(context, &[n], bias);
            let [before, z, after] =
                [before, z, after].map(|values| floats(context, &[m, n], values));
            for way in ways(context, 16) {
                let (out, raw) = (poisoned(context, &[m, n]), poisoned(context, &[m, n]));
                let epilogue = operands.epilogue(parts, [&bias, &before, &z, &after], &raw);
                let run = |pass: &mut Pass<'_, '_>| {
                    pass.matmul_by(Some(way), form, &a, &b, &out, &epilogue, STEP)
                };
                context.run(run).unwrap();
                let place = place(context, way, form, sizes);
                let first = read(context, &out);
                operands.check(parts, &wanted, &off, [&first, &read(context, &raw)], &place);
                context.run(run).unwrap();
                let bits = |values: &[f32]| -> Vec<u32> {
                    values.iter().map(|value| value.to_bits()).collect()
                };
                assert_eq!(bits(&read(context, &out)), bits(&first), "{place}: a second run");
            }
        }
    }
}

#[test]
fn the_sums_of_rows_come_with_the_product() {
    // Several tiles down and across, depths that end within a load, and one of two dispatches.
    let all = [[70, 67, 5], [132, 36, 72], [9, 3, 803], [3, 5, 16_390]];
    for (turn, sizes @ [m, n, k]) in all.into_iter().enumerate() {
        let (a, b) = (drawn("a", m * k), drawn("b", n * k));
        for form in Form::ALL {
            let want = oracle(form, &a, &b, sizes);
            let at = |row: usize, depth: usize| match form {
                Form::Tn => f64::from(a[depth * m + row]),
                _ => f64::from(a[row * k + depth]),
            };
            let sum =
                |term: &dyn Fn(f64) -> f64, row| (0..k).map(|depth| term(at(row, depth))).sum();
            let sums: Vec<f64> = (0..m).map(|row| sum(&|t| t, row)).collect();
            let sizes_of_sums = (0..m).map(|row| sum(&f64::abs, row)).collect();
            let want_sums = (sums, sizes_of_sums);
            let mut sums = vec![f32::NAN; m];
            cpu::left_sums(form, &a, &mut sums, [m, k]).unwrap();
            assert_close(&sums, &want_sums, k, &format!("{form:?} {sizes:?} on the CPU"));
            for context in contexts().iter().filter(|own| is_for(own, form, Form::Tn)) {
                let [a_dims, b_dims] = shapes(form, sizes);
                let (a, b) = (floats(context, &a_dims, &a), floats(context, &b_dims, &b));
                for way in ways(context, 24 + turn) {
                    let (out, sums) = (poisoned(context, &[m, n]), poisoned(context, &[m]));
                    let epilogue = gpu::Epilogue { row_sums: Some(&sums), ..Default::default() };
                    context
                        .run(|pass| pass.matmul_by(Some(way), form, &a, &b, &out, &epilogue, 0))
                        .unwrap();
                    let place = place(context, way, form, sizes);
                    assert_close(&read(context, &out), &want, k, &place);
                    assert_close(&read(context, &sums), &want_sums, k, &format!("rows of {place}"));
                }
            }
        }
    }
}

/// On a device that has no more than WebGPU promises: 16,384 bytes of memory a workgroup.
#[test]
fn a_minimal_device_has_room_for_every_way() {
    let sizes @ [m, n, k] = [130, 70, 72];
    let form = Form::Nn;
    let (a, b) = (drawn("a", m * k), drawn("b", n * k));
    let want = oracle(form, &a, &b, sizes);
    let (device, queue) = own_device(&own_adapters()[0], wgpu::Limits::default());
    let context = &Context::from_device(device, queue).unwrap();
    assert_eq!((context.hardware().memory, context.hardware().invocations), (16_384, 256));
    let (a, b) = (floats(context, &[m, k], &a), floats(context, &[k, n], &b));
    for way in WAYS {
        let out = poisoned(context, &[m, n]);
        let none = gpu::Epilogue::default();
        context.run(|pass| pass.matmul_by(Some(way), form, &a, &b, &out, &none, 0)).unwrap();
        assert_close(&read(context, &out), &want, k, &place(context, way, form, sizes));
    }
}

#[test]
fn nothing_to_add_up_gives_the_epilogue_of_zero() {
    let mut out = vec![f32::NAN; 6];
    cpu::matmul(Form::Nn, &[], &[], &mut out, [2, 3, 0]).unwrap();
    let epilogue = cpu::Epilogue { bias: Some(&[1.0, 2.0, 3.0]), ..Default::default() };
    cpu::epilogue(&mut out, 3, epilogue, 0).unwrap();
    assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    cpu::matmul(Form::Nt, &[], &[1.0; 6], &mut [], [0, 2, 3]).unwrap();
    cpu::epilogue(&mut [], 0, cpu::Epilogue::default(), 0).unwrap();
    let mut sums = [f32::NAN; 2];
    cpu::left_sums(Form::Tn, &[], &mut sums, [2, 0]).unwrap();
    assert_eq!(sums, [0.0; 2]);
    cpu::left_sums(Form::Nt, &[], &mut [], [0, 3]).unwrap();
}

#[test]
fn bad_products_say_what_is_wrong() {
    let context = &contexts()[0];
    let new = |dims: &[u64], dtype| {
        Tensor::new(context, Shape::new(dims.to_vec()).unwrap(), dtype).unwrap()
    };
    let (a, b, out) =
        (new(&[4, 8], Dtype::F32), new(&[6, 8], Dtype::F32), new(&[4, 6], Dtype::F32));
    let say = |a: &Tensor, b: &Tensor, out: &Tensor, epilogue: &gpu::Epilogue<'_>| {
        let error = context.run(|pass| pass.matmul(Form::Nt, a, b, out, epilogue, 0)).unwrap_err();
        assert!(error.is_usage());
        error.to_string()
    };
    let none = gpu::Epilogue::default();
    assert!(say(&a, &out, &out, &none).contains("needed A [m, k] and B [n, k]"));
    assert!(say(&new(&[32], Dtype::F32), &b, &out, &none).contains("A's shape: got [32]"));
    assert!(say(&a, &new(&[6, 8], Dtype::F16), &out, &none).contains("needed f32, as A has"));
    assert!(say(&new(&[4, 8], Dtype::I64), &b, &out, &none).contains("A's dtype: got i64"));
    assert!(say(&a, &b, &new(&[6, 4], Dtype::F32), &none).contains("out's shape: got [6, 4]"));
    assert!(say(&a, &b, &new(&[4, 6], Dtype::F16), &none).contains("out's dtype: got f16"));
    let square = new(&[8, 8], Dtype::F32);
    assert!(say(&square, &square, &square, &none).contains("out's buffer: got that of A"));
    let after = gpu::Epilogue { after: Some(&out), ..none };
    assert!(say(&a, &b, &out, &after).contains("out's buffer: got that of after"));
    let raw = gpu::Epilogue { raw: Some(&out), ..none };
    assert!(say(&a, &b, &out, &raw).contains("out's buffer: got that of raw"));
    let sums = new(&[4], Dtype::F32);
    let both =
        gpu::Epilogue { raw: Some(&new(&[4, 6], Dtype::F32)), row_sums: Some(&sums), ..none };
    assert!(say(&a, &b, &out, &both).contains("row_sums: got raw as well, needed one of the two"));
    let wide = gpu::Epilogue { row_sums: Some(&new(&[6], Dtype::F32)), ..none };
    assert!(say(&a, &b, &out, &wide).contains("row_sums's shape: got [6], needed [4]"));
    let whole = new(&[64], Dtype::F32);
    let part = |dims: &[u64]| whole.within(0, Shape::new(dims.to_vec()).unwrap(), Dtype::F32);
    let own = gpu::Epilogue { row_sums: Some(&part(&[4]).unwrap()), ..none };
    let shared = say(&a, &b, &part(&[4, 6]).unwrap(), &own);
    assert!(shared.contains("out's buffer: got that of row_sums"), "{shared}");
    let bias = gpu::Epilogue { bias: Some(&a), ..none };
    assert!(say(&a, &b, &out, &bias).contains("bias's shape: got [4, 8], needed [6]"));
    let stream = Stream::new(0, 0);
    let dropout = gpu::Epilogue { dropout: Some(Dropout { probability: 1.0, stream }), ..none };
    assert!(say(&a, &b, &out, &dropout).contains("dropout: got 1"));
    let long = new(&[1024], Dtype::F32);
    let shape = Shape::new([4, 8]).unwrap();
    let off = long.within(4, shape, Dtype::F32).unwrap();
    assert!(say(&off, &b, &out, &none).contains("A's offset: got 4, needed a multiple of"));

    let error = cpu::matmul(Form::Nt, &[0.0; 3], &[0.0; 4], &mut [0.0; 4], [2, 2, 2]).unwrap_err();
    assert!(error.to_string().contains("A: got 3 elements, needed 2 x 2"), "{error}");
    let error = cpu::left_sums(Form::Nt, &[0.0; 4], &mut [0.0; 3], [2, 2]).unwrap_err();
    assert!(error.to_string().contains("row_sums: got 3 elements"), "{error}");
    let sums = cpu::Epilogue { row_sums: Some(&mut [0.0; 2][..]), ..Default::default() };
    let error = cpu::epilogue(&mut [0.0; 4], 2, sums, 0).unwrap_err();
    assert!(error.to_string().contains("`cpu::left_sums` takes it"), "{error}");
    let short = cpu::Epilogue { bias: Some(&[0.0]), ..Default::default() };
    let error = cpu::epilogue(&mut [0.0; 4], 2, short, 0).unwrap_err();
    assert!(error.to_string().contains("bias: got 1 element,"), "{error}");
}
