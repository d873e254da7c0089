//! Epilogues, alone over a matrix and after a product: the CPU and every adapter, against f64.

use fanin::gpu::{self, Context};
use fanin::op::{Dropout, Epilogue, Nonlinearity};
use fanin::random::{Dtype, Stream};
use fanin::{Activation, Device, Error, cpu, wgpu};

use crate::devices::{SEED, every_form, forms, own_adapters, own_device};
use crate::guarded::{Guarded, normals};

/// Unit roundoff of f32.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// The activation of these tests: its slope is 1 at most, as is its derivative's.
const ACTIVATION: Activation = Activation::Tanh;

/// Dropout's counter.
pub const STEP: u32 = 11;

/// The parts of an epilogue, as bits.
pub const PARTS: [(&str, u32); 7] = [
    ("bias", 1),
    ("before", 2),
    ("raw", 4),
    ("value", 8),
    ("derivative", 16),
    ("dropout", 32),
    ("after", 64),
];

/// What an epilogue of a matrix of some columns may be made of.
pub struct Operands {
    pub columns: usize,
    pub bias: Vec<f32>,
    pub before: Vec<f32>,
    pub z: Vec<f32>,
    pub after: Vec<f32>,
    dropout: Dropout,
}

/// What `out` and `raw` are, by definition.
pub struct Wanted {
    pub out: Vec<f64>,
    pub raw: Vec<f64>,
}

impl Operands {
    pub fn new(rows: usize, columns: usize) -> Self {
        let stream = Stream::named(SEED, "dropout");
        let [before, z, after] = ["before", "z", "after"].map(|name| normals(name, rows * columns));
        let bias = normals("bias", columns);
        Operands { columns, bias, before, z, after, dropout: Dropout { probability: 0.3, stream } }
    }

    /// The epilogue of some of [`PARTS`], its operands given as a device has them: bias, before, raw, z,
    /// after.
    pub fn epilogue<T, R>(
        &self,
        parts: u32,
        [bias, before, z, after]: [T; 4],
        raw: R,
    ) -> Epilogue<T, R> {
        let has = |name: &str| has(parts, name);
        Epilogue {
            bias: has("bias").then_some(bias),
            before: has("before").then_some(before),
            raw: has("raw").then_some(raw),
            nonlinearity: match (has("value"), has("derivative")) {
                (true, _) => Nonlinearity::Value(ACTIVATION),
                (_, true) => Nonlinearity::Derivative(ACTIVATION, z),
                _ => Nonlinearity::None,
            },
            dropout: has("dropout").then_some(self.dropout),
            after: has("after").then_some(after),
            row_sums: None,
        }
    }

    /// The definition, in f64.
    pub fn wanted(&self, parts: u32, values: &[f64]) -> Wanted {
        let has = |name: &str| has(parts, name);
        let mut wanted = Wanted { out: Vec::new(), raw: Vec::new() };
        for (at, value) in values.iter().enumerate() {
            let (row, column) = (at / self.columns, at % self.columns);
            let mut t = *value;
            t += if has("bias") { f64::from(self.bias[column]) } else { 0.0 };
            t += if has("before") { f64::from(self.before[at]) } else { 0.0 };
            wanted.raw.push(t);
            if has("value") {
                t = ACTIVATION.value(t);
            }
            if has("derivative") {
                t *= ACTIVATION.derivative(f64::from(self.z[at]));
            }
            if has("dropout") {
                // From the stream itself: its element, with the step in the counter's second word.
                let block = row * self.columns.div_ceil(4) + column / 4;
                let word =
                    self.dropout.stream.block(block as u64 | u64::from(STEP) << 32)[column % 4];
                let keep = f64::from(word) >= (0.3 * 2f64.powi(32)).round();
                t = if keep { t / 0.7 } else { 0.0 };
            }
            t += if has("after") { f64::from(self.after[at]) } else { 0.0 };
            wanted.out.push(t);
        }
        wanted
    }

    /// That results are what was wanted, the values before the epilogue being off by `off` each; and what
    /// was dropped exactly what is after it.
    pub fn check(
        &self,
        parts: u32,
        wanted: &Wanted,
        off: &[f64],
        [out, raw]: [&[f32]; 2],
        place: &str,
    ) {
        for at in 0..out.len() {
            // Each part rounds once, what it makes being of this size at most; the nonlinearity is within
            // 32 units of 1 on every driver, and dropout multiplies by 1 / 0.7.
            let size =
                wanted.raw[at].abs() + self.before[at].abs() as f64 + self.after[at].abs() as f64;
            let bound = (off[at] + 40.0 * UNIT * (size + 4.0)) / 0.7;
            let close = |name: &str, found: f32, wanted: f64| {
                let error = (f64::from(found) - wanted).abs();
                assert!(
                    error <= bound,
                    "{parts:#b} {place}: {name}[{at}] is {found}, not {wanted}"
                );
            };
            close("out", out[at], wanted.out[at]);
            if has(parts, "raw") {
                close("raw", raw[at], wanted.raw[at]);
            } else {
                assert!(raw[at].is_nan(), "{parts:#b} {place}: raw was written");
            }
            let dropped = has(parts, "dropout") && !has(parts, "after") && wanted.out[at] == 0.0;
            assert!(!dropped || out[at] == 0.0, "{parts:#b} {place}: {at} is kept");
        }
    }
}

fn has(parts: u32, name: &str) -> bool {
    PARTS.iter().any(|(part, bit)| *part == name && parts & bit != 0)
}

/// An epilogue over a matrix on a device: what it leaves in `out` and in `raw`.
fn map(device: &Device, operands: &Operands, parts: u32, values: &[f32]) -> [Vec<f32>; 2] {
    let Operands { columns, bias, before, z, after, .. } = operands;
    match device {
        Device::Cpu => {
            let [mut out, mut raw] = [(); 2].map(|()| vec![f32::NAN; values.len()]);
            let epilogue =
                operands.epilogue(parts, [&bias[..], before, z, after], raw.as_mut_slice());
            cpu::map(values, &mut out, *columns, epilogue, STEP).unwrap();
            [out, raw]
        }
        Device::Gpu(context) => {
            let dims = [(values.len() / columns) as u64, *columns as u64];
            let matrix = |values: &[f32]| Guarded::shaped(context, &dims, values);
            let [values, before, z, after] = [values, before, z, after].map(matrix);
            let bias = Guarded::shaped(context, &dims[1..], bias);
            let [out, raw] = [(); 2].map(|()| Guarded::poisoned(context, &dims));
            let tensors = [&bias, &before, &z, &after].map(|own| &own.tensor);
            let epilogue = operands.epilogue(parts, tensors, &raw.tensor);
            context.run(|pass| pass.map(&values.tensor, &out.tensor, &epilogue, STEP)).unwrap();
            [out.read(context), raw.read(context)]
        }
    }
}

/// Rows and columns: by words and by fours, of one workgroup and of several, of several tasks.
const SIZES: [[usize; 2]; 6] = [[1, 1], [3, 5], [37, 43], [35, 44], [1, 8], [4099, 3]];

#[test]
fn every_set_of_parts_is_the_definition() {
    for [rows, columns] in SIZES {
        let operands = Operands::new(rows, columns);
        let values = normals("values", rows * columns);
        let wide: Vec<f64> = values.iter().map(|value| f64::from(*value)).collect();
        for parts in 0..1 << PARTS.len() {
            if has(parts, "value") && has(parts, "derivative") {
                continue;
            }
            let wanted = operands.wanted(parts, &wide);
            for device in every_form() {
                let [out, raw] = map(device, &operands, parts, &values);
                let place = format!("{rows} x {columns} on {device}");
                operands.check(parts, &wanted, &vec![0.0; out.len()], [&out, &raw], &place);
            }
        }
    }
}

/// With no part at all each value is copied, bit for bit.
#[test]
fn nothing_to_do_is_a_copy() {
    let values = [f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE, -3.5, 1e-45];
    for columns in [1, 2, 3, 6] {
        let operands = Operands::new(values.len() / columns, columns);
        for device in every_form() {
            let [out, _] = map(device, &operands, 0, &values);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&out), bits(&values), "{device}, {columns} columns");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let context = &forms()[0];
    let new = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let (values, out) = (new(&[4, 6]), new(&[4, 6]));
    let none = gpu::Epilogue::default();
    let say = |values: &gpu::Tensor, out: &gpu::Tensor, epilogue: &gpu::Epilogue<'_>| {
        let error = context.run(|pass| pass.map(values, out, epilogue, 0)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    assert!(
        say(&new(&[24]), &out, &none).starts_with("map: values: got shape [24], needed a matrix")
    );
    let words = Guarded::of(context, &[4, 6], &[0; 24], Dtype::U32).tensor;
    assert!(say(&words, &out, &none).starts_with("map: values' dtype: got u32, needed f32"));
    assert!(say(&values, &new(&[6, 4]), &none).starts_with("map: out's shape: got [6, 4]"));
    assert!(say(&values, &values, &none).contains("map: out's buffer: got that of values"));
    let (six, four) = (new(&[6]), new(&[4]));
    let bias = gpu::Epilogue { bias: Some(&four), ..none };
    assert!(say(&values, &out, &bias).starts_with("map: bias's shape: got [4], needed [6]"));
    let sums = gpu::Epilogue { row_sums: Some(&six), ..none };
    assert!(say(&values, &out, &sums).starts_with("map: row_sums: got a tensor, needed none"));
    let stream = Stream::new(0, 0);
    let dropout = gpu::Epilogue { dropout: Some(Dropout { probability: 1.0, stream }), ..none };
    assert!(say(&values, &out, &dropout).starts_with("map: dropout: got 1"));

    let twin = |values: &[f32], out: &mut [f32], columns, epilogue| {
        cpu::map(values, out, columns, epilogue, 0).unwrap_err().to_string()
    };
    let plain = cpu::Epilogue::default;
    assert!(twin(&[0.0; 6], &mut [0.0; 5], 1, plain()).starts_with("map: out: got 5 elements"));
    for columns in [0, 4] {
        let error = twin(&[0.0; 6], &mut [0.0; 6], columns, plain());
        assert!(error.starts_with("map: out: got 6 elements"), "{error}");
    }
    let bias = cpu::Epilogue { bias: Some(&[0.0; 4]), ..plain() };
    assert!(twin(&[0.0; 6], &mut [0.0; 6], 3, bias).starts_with("map: bias: got 4 elements"));
    cpu::map(&[], &mut [], 0, plain(), 0).unwrap();
}

/// A device that binds little says so.
#[test]
fn a_matrix_longer_than_a_binding_is_refused() {
    let limits =
        wgpu::Limits { max_storage_buffer_binding_size: 1 << 16, ..wgpu::Limits::default() };
    let (device, queue) = own_device(&own_adapters()[0], limits);
    let context = &Context::from_device(device, queue).unwrap();
    let long = |rows| Guarded::poisoned(context, &[rows, 64]);
    let map = |rows| {
        let (values, out) = (long(rows), long(rows));
        let none = gpu::Epilogue::default();
        context.run(|pass| pass.map(&values.tensor, &out.tensor, &none, 0))
    };
    map(256).unwrap();
    let error = map(257).unwrap_err().to_string();
    assert!(
        error.starts_with("map: values's bytes: got 65792, needed at most the 65536"),
        "{error}"
    );
}
