//! Layer norm and row sums of rows of any length, against their definitions in f64.

use fanin::gpu::{Context, NormTensors};
use fanin::op::Dropout;
use fanin::random::{Dtype, Stream};
use fanin::{Activation, Error};

use crate::devices::{SEED, forms};
use crate::guarded::{Guarded, normals};

const U: f64 = 1.0 / 16_777_216.0;

/// Rows by columns: short and long of a lane's items, of a team, of a workgroup, and of what a team
/// holds; whole fours and not; words of a vocabulary.
pub const SIZES: [(usize, usize); 22] = [
    (3, 1),
    (129, 2),
    (65, 3),
    (257, 4),
    (5, 5),
    (256, 10),
    (3, 16),
    (7, 17),
    (3, 63),
    (66, 64),
    (3, 65),
    (5, 255),
    (5, 256),
    (3, 257),
    (2, 1000),
    (2, 1024),
    (2, 1025),
    (2, 4096),
    (2, 4100),
    (2, 20_001),
    (1, 50_257),
    (1, 151_936),
];

/// Terms that are added one after the other at most: an invocation that has a row of elements to itself
/// adds all of them, but no row so long; another has a quarter at most, in sums of four, in a side of its
/// items, or in a lane. Then come the sides, and the team's tree.
pub fn chain(columns: usize) -> f64 {
    let alone = columns <= 1 << 14 && !columns.is_multiple_of(4);
    (if alone { columns } else { columns / 4 }) as f64 + 16.0
}

#[test]
fn row_sums_are_f64s() {
    for context in forms() {
        for (rows, columns) in SIZES {
            let dims = [rows as u64, columns as u64];
            let values = normals("values", rows * columns);
            let weights = normals("weights", rows * columns);
            let a = Guarded::shaped(context, &dims, &values);
            let b = Guarded::shaped(context, &dims, &weights);
            let [plain, weighted] = [(); 2].map(|()| Guarded::poisoned(context, &dims[..1]));
            context
                .run(|pass| {
                    pass.row_sums(&a.tensor, None, &plain.tensor)?;
                    pass.row_sums(&a.tensor, Some(&b.tensor), &weighted.tensor)
                })
                .unwrap();
            let mut twin = vec![f32::NAN; rows];
            for (found, weights) in
                [(plain.read(context), None), (weighted.read(context), Some(&weights))]
            {
                fanin::cpu::row_sums(&values, weights.map(|weights| &weights[..]), &mut twin)
                    .unwrap();
                for row in 0..rows {
                    let own = row * columns..(row + 1) * columns;
                    let weight = |at: usize| weights.map_or(1.0, |weights| f64::from(weights[at]));
                    let terms = own.map(|at| f64::from(values[at]) * weight(at));
                    let (sum, size) =
                        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    for (found, what) in [(found[row], context.name()), (twin[row], "cpu".into())] {
                        let error = (f64::from(found) - sum).abs();
                        let bound = chain(columns) * U * size;
                        assert!(error <= bound, "{what}: {rows} x {columns}: off by {error}");
                    }
                }
            }
        }
    }
}

/// Whole numbers add up exactly: an element left out or taken twice shows.
#[test]
fn every_element_of_a_row_is_summed_once() {
    for context in forms() {
        for (rows, columns) in SIZES {
            let values: Vec<f32> = (0..rows * columns).map(|at| (at % 7) as f32 - 2.0).collect();
            let a = Guarded::shaped(context, &[rows as u64, columns as u64], &values);
            let sums = Guarded::poisoned(context, &[rows as u64]);
            context.run(|pass| pass.row_sums(&a.tensor, None, &sums.tensor)).unwrap();
            let wanted: Vec<f32> = values.chunks(columns).map(|row| row.iter().sum()).collect();
            assert_eq!(sums.read(context), wanted, "{}: {rows} x {columns}", context.name());
        }
    }
}

#[test]
fn row_sums_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let values = Guarded::poisoned(context, &[4, 3]);
    let sums = Guarded::poisoned(context, &[3]);
    let refused = |values: &Guarded, sums: &Guarded| {
        let error = context.run(|pass| pass.row_sums(&values.tensor, None, &sums.tensor));
        error.unwrap_err().to_string()
    };
    assert!(refused(&values, &sums).starts_with("sums: got shape"));
    assert!(refused(&sums, &sums).contains("a matrix"));
    let twin = |values: &[f32], weights: Option<&[f32]>| {
        fanin::cpu::row_sums(values, weights, &mut [0.0; 2]).unwrap_err().to_string()
    };
    assert!(
        twin(&[0.0; 3], None).starts_with("values: got 3 elements, needed as many for each of 2")
    );
    assert!(twin(&[0.0; 4], Some(&[0.0; 3])).starts_with("weights: got 3 elements"));
    let wide = Guarded::poisoned(context, &[1, (1 << 23) + 1]);
    let sum = Guarded::poisoned(context, &[1]);
    assert!(
        refused(&wide, &sum).starts_with("values: got 8388609 columns, needed at most 8388608")
    );
}

/// A layer norm's tensors, forward and backward, and what they are made of.
struct Case {
    norm: NormTensors,
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

fn run(
    context: &Context,
    (rows, columns): (usize, usize),
    activation: Activation,
    dropout: Option<Dropout>,
    spoil: impl Fn(&mut [f32]),
) -> (Case, Outcome) {
    let dims = [rows as u64, columns as u64];
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
    let [x, residual, dy] =
        [&values, &after, &gradient].map(|values| Guarded::shaped(context, &dims, values));
    let [g, b] = [&scale, &shift].map(|values| Guarded::shaped(context, &dims[1..], values));
    let [normalized, out, inner, back] = [(); 4].map(|()| Guarded::poisoned(context, &dims));
    let inverse = Guarded::poisoned(context, &dims[..1]);
    let norm = NormTensors {
        scale: g.tensor.clone(),
        shift: b.tensor.clone(),
        normalized: normalized.tensor.clone(),
        inverse: inverse.tensor.clone(),
        activation,
        dropout,
    };
    context
        .run(|pass| {
            pass.norm(&norm, 3, &x.tensor, Some(&residual.tensor), &out.tensor)?;
            pass.norm_backward(&norm, 3, &dy.tensor, &inner.tensor, &back.tensor)
        })
        .unwrap();
    let outcome = Outcome {
        normalized: normalized.read(context),
        inverse: inverse.read(context),
        out: out.read(context),
        inner: inner.read(context),
        back: back.read(context),
    };
    (Case { norm, values, after, gradient, scale, shift }, outcome)
}

/// With the mean's error, `chain u |x|` at most, the deviations are off by that and a rounding; in units
/// of the standard deviation, by that over it. Their squares' mean is off by twice as much, its root by
/// half of that, beside the roundings of the sum. What follows amplifies by no more than the factors.
#[test]
fn layer_norms_are_f64s() {
    let tanh = Activation::Tanh;
    let dropout = Dropout { probability: 0.25, stream: Stream::named(SEED, "norm.dropout") };
    for context in forms() {
        let sizes = SIZES.into_iter().filter(|(_, columns)| *columns > 1);
        for (index, (rows, columns)) in sizes.enumerate() {
            // Software drivers take a while to compile the second.
            let plans = [(Activation::Identity, None), (tanh, Some(dropout))];
            for (activation, dropout) in plans.into_iter().take(1 + usize::from(index % 3 == 0)) {
                let (case, outcome) = run(context, (rows, columns), activation, dropout, |_| ());
                let name = format!("{}: {rows} x {columns}, {activation}", context.name());
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
    let dropout = case.norm.dropout;
    let kept = |column: usize| -> f64 {
        let Some(dropout) = dropout else { return 1.0 };
        let words = dropout.words(columns as u32, row as u32, column as u32 / 4, 3);
        if words[column % 4] >= dropout.threshold() { f64::from(dropout.scale()) } else { 0.0 }
    };
    let (scale, shift) = (wide(&case.scale), wide(&case.shift));
    let (after, gradient) = (own(&case.after), own(&case.gradient));
    let f = |x| case.norm.activation.value(x);
    let slope = |x| case.norm.activation.derivative(x);
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
    for context in forms() {
        for columns in [16_385, 65_540, (1 << 23) - 1] {
            let spoil = |values: &mut [f32]| {
                (0..).zip(values).for_each(|(at, value)| *value = (at * 7919 % 10_007) as f32);
            };
            let (case, outcome) = run(context, (1, columns), Activation::Identity, None, spoil);
            let name = format!("{}: {columns}", context.name());
            check_row(&case, &outcome, columns, 0, &name);
        }
    }
}

/// A row that is constant has variance 0; one with an output that is no number is none, and the rows
/// beside it stay.
#[test]
fn odd_rows_stay_by_themselves() {
    for context in forms() {
        for columns in [5usize, 64, 1025, 4100] {
            let spoil = |values: &mut [f32]| {
                values[columns..2 * columns].fill(7.0);
                values[3 * columns + columns / 2] = f32::NAN;
                values[4 * columns + columns - 1] = f32::INFINITY;
            };
            let (_, outcome) = run(context, (6, columns), Activation::Identity, None, spoil);
            let name = format!("{}: {columns}", context.name());
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
    for context in forms() {
        let once = || run(context, (5, 1025), Activation::Tanh, None, |_| ()).1;
        let (first, second) = (once(), once());
        assert_eq!(first.out, second.out, "{}", context.name());
        assert_eq!(first.back, second.back, "{}", context.name());
    }
}

#[test]
fn norms_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let (case, _) = run(context, (2, 6), Activation::Identity, None, |_| ());
    let square = || Guarded::poisoned(context, &[2, 6]).tensor;
    let refused = |norm: &NormTensors, values, out| -> String {
        let error = context.run(|pass| pass.norm(norm, 0, &values, None, &out)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    let vector = Guarded::poisoned(context, &[6]).tensor;
    assert!(refused(&case.norm, vector, square()).contains("a matrix"));
    let short = Guarded::of(context, &[2], &[0; 2], Dtype::F32).tensor;
    let wrong = NormTensors { scale: short.clone(), ..case.norm.clone() };
    assert!(refused(&wrong, square(), square()).starts_with("scale: got shape"));
    let wrong = NormTensors { normalized: short, ..case.norm.clone() };
    assert!(refused(&wrong, square(), square()).starts_with("normalized: got shape"));
    let values = square();
    assert!(refused(&case.norm, values.clone(), values).contains("a buffer of its own"));
}
