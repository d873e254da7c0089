//! Layer norm of rows of any length: the CPU and every adapter, against its definition in f64.

use fanin::gpu::{Context, NormTensors};
use fanin::op::Dropout;
use fanin::random::{Dtype, Stream};
use fanin::{Activation, Device, Error, cpu};

use crate::devices::{SEED, every_form, forms};
use crate::guarded::{Guarded, normals};
use crate::rows::{SIZES, U, chain};

/// What a layer norm is made of.
struct Case {
    activation: Activation,
    dropout: Option<Dropout>,
    values: Vec<f32>,
    after: Vec<f32>,
    gradient: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Outcome {
    normalized: Vec<f32>,
    inverse: Vec<f32>,
    out: Vec<f32>,
    inner: Vec<f32>,
    back: Vec<f32>,
}

/// The counter of dropout.
const STEP: u32 = 3;

/// Forward and backward.
fn run(
    device: &Device,
    (rows, columns): (usize, usize),
    activation: Activation,
    dropout: Option<Dropout>,
    spoil: impl Fn(&mut [f32]),
) -> (Case, Outcome) {
    let area = rows * columns;
    // Rows of several sizes, and far from 0.
    let mut values: Vec<f32> = normals("rows", area);
    for (at, value) in values.iter_mut().enumerate() {
        let row = at / columns;
        *value = *value * [1.0, 30.0, 1e-3][row % 3] + [0.0, 50.0, 0.5][row % 3];
    }
    spoil(&mut values);
    let scale: Vec<f32> = normals("scale", columns).iter().map(|x| 1.0 + 0.1 * x).collect();
    let shift: Vec<f32> = normals("shift", columns).iter().map(|x| 0.1 * x).collect();
    let (after, gradient) = (normals("after", area), normals("gradient", area));
    let case = Case { activation, dropout, values, after, gradient, scale, shift };
    let outcome = match device {
        Device::Cpu => on_cpu(&case, rows),
        Device::Gpu(context) => {
            let tensors = Tensors::new(context, &case, [rows, columns]);
            let Tensors { norm, values, after, gradient, out, inner, back, .. } = &tensors;
            context
                .run(|pass| {
                    pass.norm(norm, STEP, &values.tensor, Some(&after.tensor), &out.tensor)?;
                    pass.norm_backward(norm, STEP, &gradient.tensor, &inner.tensor, &back.tensor)
                })
                .unwrap();
            tensors.read(context)
        }
    };
    (case, outcome)
}

fn on_cpu(case: &Case, rows: usize) -> Outcome {
    let Case { activation, dropout, values, after, gradient, scale, shift } = case;
    let own = cpu::Norm { scale, shift, activation: *activation, dropout: *dropout };
    let poisoned = |_| vec![f32::NAN; values.len()];
    let [mut normalized, mut out, mut inner, mut back] = [0; 4].map(poisoned);
    let mut inverse = vec![f32::NAN; rows];
    let after = Some(&after[..]);
    cpu::norm(&own, STEP, values, after, &mut normalized, &mut inverse, &mut out).unwrap();
    cpu::norm_backward(&own, STEP, gradient, &normalized, &inverse, &mut inner, &mut back).unwrap();
    Outcome { normalized, inverse, out, inner, back }
}

/// A layer norm's tensors on a GPU.
struct Tensors {
    norm: NormTensors,
    values: Guarded,
    after: Guarded,
    gradient: Guarded,
    normalized: Guarded,
    inverse: Guarded,
    out: Guarded,
    inner: Guarded,
    back: Guarded,
}

impl Tensors {
    fn new(context: &Context, case: &Case, dims: [usize; 2]) -> Self {
        let dims = dims.map(|dim| dim as u64);
        let [values, after, gradient] = [&case.values, &case.after, &case.gradient]
            .map(|values| Guarded::shaped(context, &dims, values));
        let [scale, shift] = [&case.scale, &case.shift]
            .map(|values| Guarded::shaped(context, &dims[1..], values).tensor);
        let [normalized, out, inner, back] = [(); 4].map(|()| Guarded::poisoned(context, &dims));
        let inverse = Guarded::poisoned(context, &dims[..1]);
        let norm = NormTensors {
            scale,
            shift,
            normalized: normalized.tensor.clone(),
            inverse: inverse.tensor.clone(),
            activation: case.activation,
            dropout: case.dropout,
        };
        Tensors { norm, values, after, gradient, normalized, inverse, out, inner, back }
    }

    fn read(&self, context: &Context) -> Outcome {
        Outcome {
            normalized: self.normalized.read(context),
            inverse: self.inverse.read(context),
            out: self.out.read(context),
            inner: self.inner.read(context),
            back: self.back.read(context),
        }
    }
}

/// With the mean's error, `chain u |x|` at most, the deviations are off by that and a rounding; in units
/// of the standard deviation, by that over it. Their squares' mean is off by twice as much, its root by
/// half of that, beside the roundings of the sum. What follows amplifies by no more than the factors.
#[test]
fn layer_norms_are_f64s() {
    let tanh = Activation::Tanh;
    let dropout = Dropout { probability: 0.25, stream: Stream::named(SEED, "norm.dropout") };
    for device in every_form() {
        let sizes = SIZES.into_iter().filter(|(_, columns)| *columns > 1);
        for (index, (rows, columns)) in sizes.enumerate() {
            // Software drivers take a while to compile the second.
            let plans = [(Activation::Identity, None), (tanh, Some(dropout))];
            for (activation, dropout) in plans.into_iter().take(1 + usize::from(index % 3 == 0)) {
                let (case, outcome) = run(device, (rows, columns), activation, dropout, |_| ());
                let name = format!("{}: {rows} x {columns}, {activation}", device);
                for row in 0..rows {
                    check_row(&case, &outcome, columns, row, &name);
                }
            }
        }
    }
}

fn check_row(case: &Case, outcome: &Outcome, columns: usize, row: usize, name: &str) {
    let own = |values: &[f32]| -> Vec<f64> {
        values[row * columns..][..columns].iter().map(|x| f64::from(*x)).collect()
    };
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|x| f64::from(*x)).collect() };
    let (x, n) = (own(&case.values), columns as f64);
    let mean = x.iter().sum::<f64>() / n;
    let size = x.iter().map(|x| x.abs()).sum::<f64>() / n;
    let most = x.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let inverse = 1.0 / (variance + 1e-5).sqrt();
    let terms = chain(columns);
    // Of a unit, absolutely; and of the inverse, in parts of it.
    let shifted = (terms * size + most) * U * inverse;
    let part = shifted + (terms + 16.0) * U;
    let close = |what: &str, found: f64, wanted: f64, bound: f64| {
        let error = (found - wanted).abs();
        assert!(
            error <= bound,
            "{name}, row {row}, {what}: {found}, by definition {wanted}: {bound:e}"
        );
    };
    close("inverse", outcome.inverse[row].into(), inverse, part * inverse);
    let dropout = case.dropout;
    let kept = |column: usize| -> f64 {
        let Some(dropout) = dropout else { return 1.0 };
        let words = dropout.words(columns as u32, row as u32, column as u32 / 4, 3);
        if words[column % 4] >= dropout.threshold() { f64::from(dropout.scale()) } else { 0.0 }
    };
    let (scale, shift) = (wide(&case.scale), wide(&case.shift));
    let (after, gradient) = (own(&case.after), own(&case.gradient));
    let f = |x| case.activation.value(x);
    let slope = |x| case.activation.derivative(x);
    let (units, out) = (own(&outcome.normalized), own(&outcome.out));
    let (inner, back) = (own(&outcome.inner), own(&outcome.back));
    let (mut sum, mut along, mut sizes, mut along_sizes) = (0.0, 0.0, 0.0, 0.0);
    let mut exact = Vec::new();
    for column in 0..columns {
        let unit = (x[column] - mean) * inverse;
        let bound = shifted + (part + 4.0 * U) * unit.abs();
        close("normalized", units[column], unit, bound);
        // On from the unit that was found: what precedes it is held above.
        let y = scale[column] * units[column] + shift[column];
        let off = 4.0 * U * (1.0 + y.abs());
        let wanted = f(y) * kept(column) + after[column];
        close("out", out[column], wanted, 2.0 * off + 1.2e-6 * (1.0 + f(y).abs() + wanted.abs()));
        let own = gradient[column] * slope(y) * kept(column);
        close("inner", inner[column], own, gradient[column].abs() * 2.0 * (off + 1.2e-6));
        let through = inner[column] * scale[column];
        exact.push(through);
        sum += through;
        along += through * units[column];
        sizes += through.abs();
        along_sizes += (through * units[column]).abs();
    }
    let inverse = f64::from(outcome.inverse[row]);
    for column in 0..columns {
        let unit = units[column];
        let wanted = inverse * (exact[column] - sum / n - unit * along / n);
        let off = exact[column].abs() + (sizes + unit.abs() * along_sizes) / n;
        let sums = (sizes + unit.abs() * along_sizes) / n;
        close("back", back[column], wanted, inverse * U * (8.0 * off + terms * sums));
    }
}

/// The longest rows that are taken, and those at which software adapters go over to teams: no loop ends
/// before its time.
#[test]
fn the_longest_rows_are_taken_whole() {
    for device in every_form() {
        for columns in [16_385, 65_540, (1 << 23) - 1] {
            let spoil = |values: &mut [f32]| {
                (0..).zip(values).for_each(|(at, value)| *value = (at * 7919 % 10_007) as f32);
            };
            let (case, outcome) = run(device, (1, columns), Activation::Identity, None, spoil);
            let name = format!("{}: {columns}", device);
            check_row(&case, &outcome, columns, 0, &name);
        }
    }
}

/// A row that is constant has variance 0; one with an output that is no number is none, and the rows
/// beside it stay.
#[test]
fn odd_rows_stay_by_themselves() {
    for device in every_form() {
        for columns in [5usize, 64, 1025, 4100] {
            let spoil = |values: &mut [f32]| {
                values[columns..2 * columns].fill(7.0);
                values[3 * columns + columns / 2] = f32::NAN;
                values[4 * columns + columns - 1] = f32::INFINITY;
            };
            let (_, outcome) = run(device, (6, columns), Activation::Identity, None, spoil);
            let name = format!("{}: {columns}", device);
            for (row, units) in outcome.normalized.chunks_exact(columns).enumerate() {
                match row {
                    1 => assert!(units.iter().all(|unit| unit.abs() < 0.02), "{name}"),
                    3 | 4 => {
                        assert!(units.iter().any(|unit| !unit.is_finite()), "{name}");
                        assert!(!outcome.inverse[row].is_normal(), "{name}");
                    }
                    _ => assert!(units.iter().all(|unit| unit.is_finite()), "{name}"),
                }
            }
        }
    }
}

#[test]
fn what_is_run_again_is_the_same() {
    for device in every_form() {
        let once = || run(device, (5, 1025), Activation::Tanh, None, |_| ()).1;
        let (first, second) = (once(), once());
        assert_eq!(first.out, second.out, "{}", device);
        assert_eq!(first.back, second.back, "{}", device);
    }
}

#[test]
fn norms_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let (case, _) = run(&Device::Cpu, (2, 6), Activation::Identity, None, |_| ());
    let norm = Tensors::new(context, &case, [2, 6]).norm;
    let square = || Guarded::poisoned(context, &[2, 6]).tensor;
    let refused = |norm: &NormTensors, values, out| -> String {
        let error = context.run(|pass| pass.norm(norm, 0, &values, None, &out)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    let vector = Guarded::poisoned(context, &[6]).tensor;
    assert!(refused(&norm, vector, square()).contains("a matrix"));
    let short = Guarded::of(context, &[2], &[0; 2], Dtype::F32).tensor;
    let wrong = NormTensors { scale: short.clone(), ..norm.clone() };
    assert!(refused(&wrong, square(), square()).starts_with("scale: got shape"));
    let wrong = NormTensors { normalized: short, ..norm.clone() };
    assert!(refused(&wrong, square(), square()).starts_with("normalized: got shape"));
    let values = square();
    assert!(refused(&norm, values.clone(), values).contains("a buffer of its own"));

    let scale = &[1.0; 3][..];
    let norm = cpu::Norm { scale, shift: scale, activation: Activation::Relu, dropout: None };
    let twin = |norm: &cpu::Norm<'_>, values: usize, after: usize, [a, b, c]: [usize; 3]| {
        let [values, after, mut a, mut b, mut c] =
            [values, after, a, b, c].map(|count| vec![0.0; count]);
        let run = cpu::norm(norm, 0, &values, Some(&after), &mut a, &mut b, &mut c);
        run.map_err(|error| error.to_string())
    };
    let say = |norm, values, after, kept| twin(norm, values, after, kept).unwrap_err();
    assert!(
        say(&norm, 7, 7, [7, 2, 7]).starts_with("values: got 7 elements, needed whole rows of 3")
    );
    assert!(say(&norm, 6, 5, [6, 2, 6]).starts_with("after: got 5 elements, needed 6"));
    assert!(say(&norm, 6, 6, [5, 2, 6]).starts_with("normalized: got 5 elements, needed 2 x 3"));
    assert!(say(&norm, 6, 6, [6, 3, 6]).starts_with("inverse: got 3 elements"));
    assert!(say(&norm, 6, 6, [6, 2, 9]).starts_with("out: got 9 elements, needed 6"));
    let short = cpu::Norm { shift: &scale[1..], ..norm };
    assert!(say(&short, 6, 6, [6, 2, 6]).starts_with("shift: got 2 elements, needed 3, as scale"));
    let stream = Stream::new(0, 0);
    let dropped = cpu::Norm { dropout: Some(Dropout { probability: 1.0, stream }), ..norm };
    assert!(say(&dropped, 6, 6, [6, 2, 6]).starts_with("dropout: got 1"));
    let none = cpu::Norm { scale: &[], shift: &[], ..norm };
    twin(&none, 0, 0, [0, 0, 0]).unwrap();
    twin(&norm, 0, 0, [0, 0, 0]).unwrap();
    let way_back = |gradient: usize, inner: usize, out: usize| {
        let [gradient, mut inner, mut out] = [gradient, inner, out].map(|count| vec![0.0; count]);
        cpu::norm_backward(&norm, 0, &gradient, &[0.0; 6], &[0.0; 2], &mut inner, &mut out)
            .unwrap_err()
            .to_string()
    };
    assert!(way_back(5, 6, 6).starts_with("gradient: got 5 elements"));
    assert!(way_back(6, 5, 6).starts_with("inner: got 5 elements, needed 6, as gradient"));
    assert!(way_back(6, 6, 5).starts_with("out: got 5 elements, needed 6, as gradient"));
}
