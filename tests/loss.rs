//! Losses and their gradients against their definitions in f64.

use fanin::gpu::{Context, LossTensors};
use fanin::model::data::{Dataset, Targets};
use fanin::model::{Loss, Mlp, Target, TrainOptions, Trainer};
use fanin::random::Dtype;
use fanin::{Device, Error};

use crate::devices::forms;
use crate::guarded::{Guarded, normals};
use crate::rows::{SIZES, chain};

/// Each, and some with other numbers.
fn losses() -> impl Iterator<Item = Loss> {
    let more = [Loss::CrossEntropy { smoothing: 0.1 }, Loss::Huber { delta: 0.3 }];
    Loss::ALL.into_iter().chain(more)
}

/// A row's loss and the gradient of it, by definition.
fn oracle(loss: Loss, z: &[f64], t: &[f64], label: usize) -> (f64, Vec<f64>) {
    let columns = z.len() as f64;
    match loss {
        Loss::CrossEntropy { smoothing } => {
            let high = z.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = z.iter().map(|z| (z - high).exp()).sum();
            let q = |class: usize| {
                smoothing / columns + if class == label { 1.0 - smoothing } else { 0.0 }
            };
            // ln of the sum through what others add to the largest, so that small losses are exact.
            let others: f64 = {
                let best = z.iter().position(|z| *z == high).unwrap();
                let rest = z.iter().enumerate().filter(|(class, _)| *class != best);
                rest.map(|(_, z)| (z - high).exp()).sum()
            };
            let value =
                (0..z.len()).map(|class| q(class) * (high + others.ln_1p() - z[class])).sum();
            (value, (0..z.len()).map(|class| (z[class] - high).exp() / sum - q(class)).collect())
        }
        Loss::MeanSquaredError => {
            let value = z.iter().zip(t).map(|(z, t)| (z - t).powi(2)).sum::<f64>() / columns;
            (value, z.iter().zip(t).map(|(z, t)| 2.0 * (z - t) / columns).collect())
        }
        Loss::BinaryCrossEntropy => {
            let one = |z: f64, t: f64| z.max(0.0) - z * t + (-z.abs()).exp().ln_1p();
            let value = z.iter().zip(t).map(|(z, t)| one(*z, *t)).sum::<f64>() / columns;
            let slope = |z: f64, t: f64| (1.0 / (1.0 + (-z).exp()) - t) / columns;
            (value, z.iter().zip(t).map(|(z, t)| slope(*z, *t)).collect())
        }
        Loss::Huber { delta } => {
            let one = |error: f64| match error.abs() <= delta {
                true => error * error / 2.0,
                false => delta * (error.abs() - delta / 2.0),
            };
            let slope =
                |error: f64| if error.abs() <= delta { error } else { delta * error.signum() };
            let errors = || z.iter().zip(t).map(|(z, t)| z - t);
            (
                errors().map(one).sum::<f64>() / columns,
                errors().map(|e| slope(e) / columns).collect(),
            )
        }
        other => panic!("define {other} here"),
    }
}

struct Case {
    rows: usize,
    columns: usize,
    outputs: Vec<f32>,
    labels: Vec<u32>,
    values: Vec<f32>,
}

/// Outputs of several sizes: the usual, and far out either way.
fn case(rows: usize, columns: usize) -> Case {
    let scale = |row: usize| [1.0, 10.0, 100.0, 1e-3][row % 4];
    let outputs = normals("outputs", rows * columns);
    let outputs = outputs.iter().enumerate().map(|(at, x)| x * scale(at / columns)).collect();
    let values = normals("values", rows * columns);
    Case {
        rows,
        columns,
        outputs,
        labels: (0..rows).map(|row| (row * 7 % columns) as u32).collect(),
        values: values.iter().map(|x| if *x > 0.3 { 1.0 } else { 0.25 }).collect(),
    }
}

/// With class indices for the cross-entropy, and for the binary one where `classes` says so.
fn run(
    context: &Context,
    loss: Loss,
    case: &Case,
    gradients: bool,
    classes: bool,
) -> (Vec<f32>, Vec<f32>) {
    let dims = [case.rows as u64, case.columns as u64];
    let outputs = Guarded::shaped(context, &dims, &case.outputs);
    let targets = match loss {
        _ if classes => Guarded::of(context, &dims[..1], &case.labels, Dtype::U32),
        _ if loss.target() == Target::Class => {
            Guarded::of(context, &dims[..1], &case.labels, Dtype::U32)
        }
        _ => Guarded::shaped(context, &dims, &case.values),
    };
    let gradient = Guarded::poisoned(context, &dims);
    let results = Guarded::poisoned(context, &[dims[0], 2]);
    let tensors = LossTensors {
        outputs: &outputs.tensor,
        targets: &targets.tensor,
        gradient: gradients.then_some(&gradient.tensor),
        results: &results.tensor,
    };
    context.run(|pass| pass.loss(loss, &tensors)).unwrap();
    (results.read(context), gradient.read(context))
}

#[test]
fn losses_and_gradients_are_f64s() {
    for context in forms() {
        for (rows, columns) in SIZES {
            for loss in losses() {
                for classes in [false, true] {
                    if classes && loss.target() != Target::Share {
                        continue;
                    }
                    let mut case = case(rows, columns);
                    if classes {
                        // What class indices stand for.
                        let one = |at: usize| at % columns == case.labels[at / columns] as usize;
                        case.values =
                            (0..rows * columns).map(|at| f32::from(u8::from(one(at)))).collect();
                    }
                    let (results, gradient) = run(context, loss, &case, true, classes);
                    for row in 0..rows {
                        let place =
                            format!("{}: {loss}, {rows} x {columns}, row {row}", context.name());
                        let own = row * columns..(row + 1) * columns;
                        let z: Vec<f64> =
                            case.outputs[own.clone()].iter().map(|z| f64::from(*z)).collect();
                        let t: Vec<f64> =
                            case.values[own.clone()].iter().map(|t| f64::from(*t)).collect();
                        let (value, slopes) = oracle(loss, &z, &t, case.labels[row] as usize);
                        // A sum of terms of the outputs' size, each good to some 16 u.
                        let u = 2f64.powi(-24);
                        let size =
                            z.iter().zip(&t).fold(1.0f64, |most, (z, t)| most.max((z - t).abs()));
                        let size = if loss == Loss::MeanSquaredError { size * size } else { size };
                        let bound = (chain(columns) + 16.0) * u * size;
                        let found = f64::from(results[2 * row]);
                        assert!(
                            (found - value).abs() <= bound,
                            "{place}: {found}, by definition {value}"
                        );
                        for (column, slope) in slopes.iter().enumerate() {
                            let found = f64::from(gradient[own.start + column]) * rows as f64;
                            // exp amplifies the rounding of the difference that it is of.
                            let bound = (chain(columns) + 16.0 + 2.0 * size) * u;
                            assert!(
                                (found - slope).abs() <= bound,
                                "{place}, column {column}: {found}, by definition {slope}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// The first of equals is the one that is predicted, wherever it stands: in another lane, in another
/// turn, on another side of an item.
#[test]
fn of_equals_the_first_is_predicted() {
    for context in forms() {
        for columns in [3, 4, 10, 64, 1000, 1025, 4100, 20_001] {
            let places = [0, 1, columns / 2, columns - 2, columns - 1];
            let rows = 2 * places.len();
            let mut outputs = vec![-1.5; rows * columns];
            for (row, place) in places.iter().enumerate() {
                // Equal from there on, and all equal but for that one.
                outputs[row * columns + place..(row + 1) * columns].fill(2.5);
                outputs[(row + places.len()) * columns + place] = -1e30;
            }
            let firsts = places.iter().map(|place| *place as u32);
            let seconds = places.iter().map(|place| u32::from(*place == 0));
            let labels = firsts.chain(seconds).collect();
            let case = Case { rows, columns, outputs, labels, values: Vec::new() };
            for loss in [Loss::CROSS_ENTROPY, Loss::BinaryCrossEntropy] {
                let (results, _) = run(context, loss, &case, false, true);
                let right: Vec<f32> = results.chunks_exact(2).map(|row| row[1]).collect();
                assert_eq!(right, vec![1.0; rows], "{}: {loss}, {columns}", context.name());
            }
        }
    }
}

/// A large output, equal ones, ones far below, in long rows too: what stands far from the others
/// keeps its digits.
#[test]
fn extremes_keep_their_digits() {
    for context in forms() {
        for columns in [4usize, 10, 1025, 50_257] {
            let rows = 4;
            let mut outputs = vec![0.0f32; rows * columns];
            // One above all others by 20: a loss of (columns - 1) e^-20.
            outputs[columns - 1] = 20.0;
            // All equal: ln columns. As far down as f32s go: the same.
            outputs[2 * columns..3 * columns].fill(-3e38);
            // All but one as far down: a loss of 0, and gradients of 0.
            outputs[3 * columns..].fill(-3e38);
            outputs[3 * columns + 1] = 3e38;
            let labels = vec![columns as u32 - 1, 2, 3, 1];
            let case = Case { rows, columns, outputs, labels, values: Vec::new() };
            let (results, gradient) = run(context, Loss::CROSS_ENTROPY, &case, true, true);
            let others = (columns - 1) as f64;
            let (even, u) = ((columns as f64).ln(), 2f64.powi(-24));
            let wanted = [(others * (-20f64).exp()).ln_1p(), even, even, 0.0];
            for (row, wanted) in wanted.into_iter().enumerate() {
                let found = f64::from(results[2 * row]);
                let bound = (chain(columns) + 16.0) * u * wanted;
                let place = format!("{}: {columns}, row {row}", context.name());
                assert!((found - wanted).abs() <= bound, "{place}: {found}, {wanted}");
                let sum: f64 =
                    gradient[row * columns..][..columns].iter().map(|g| f64::from(*g)).sum();
                assert!(sum.abs() <= (chain(columns) + 16.0) * u, "{place}: {sum:e}");
            }
            assert!(gradient[3 * columns..].iter().all(|slope| *slope == 0.0));
        }
    }
}

/// Where a row has an output that is no number, its loss is none; those beside it, of its workgroup, stay.
#[test]
fn what_is_no_number_stays_in_its_row() {
    for context in forms() {
        for columns in [3usize, 10, 64, 1025, 4100] {
            for loss in losses() {
                for (place, bad) in
                    [(0, f32::NAN), (columns / 2, f32::INFINITY), (columns - 1, f32::NEG_INFINITY)]
                {
                    let mut case = case(9, columns);
                    case.outputs[4 * columns + place] = bad;
                    let (results, gradient) = run(context, loss, &case, true, false);
                    let what = format!("{}: {loss} of {bad}, {columns}", context.name());
                    for row in 0..9 {
                        assert_eq!(results[2 * row].is_finite(), row != 4, "{what}, row {row}");
                        let own = &gradient[row * columns..][..columns];
                        assert!(row == 4 || own.iter().all(|slope| slope.is_finite()), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_loss_is_the_same_every_time() {
    for context in forms() {
        for loss in losses() {
            let case = case(7, 1025);
            let once = || run(context, loss, &case, true, false);
            assert_eq!(once(), once(), "{}: {loss}", context.name());
        }
    }
}

#[test]
fn what_is_right_is_counted() {
    let case = Case {
        rows: 3,
        columns: 2,
        outputs: vec![1.0, 2.0, 3.0, -1.0, 0.5, 0.25],
        labels: vec![1, 1, 0],
        values: vec![1.0, 1.0, 0.0, 0.0, 1.0, 0.0],
    };
    for context in forms() {
        let right = |loss, classes| -> Vec<f32> {
            run(context, loss, &case, false, classes).0.chunks_exact(2).map(|row| row[1]).collect()
        };
        assert_eq!(right(Loss::CROSS_ENTROPY, true), [1.0, 0.0, 1.0]);
        // Labels one by one, or the class of the largest output.
        assert_eq!(right(Loss::BinaryCrossEntropy, false), [1.0, 0.5, 0.5]);
        assert_eq!(right(Loss::BinaryCrossEntropy, true), [1.0, 0.0, 1.0]);
    }
}

#[test]
fn without_a_gradient_none_is_written_and_what_is_no_number_shows() {
    for context in forms() {
        for loss in losses() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut case = case(3, 4);
                case.outputs[5] = bad;
                let (results, gradient) = run(context, loss, &case, false, false);
                assert!(gradient.iter().all(|value| value.is_nan()), "written unasked");
                let finite: Vec<bool> =
                    results.chunks_exact(2).map(|row| row[0].is_finite()).collect();
                assert_eq!(finite, [true, false, true], "{}: {loss} of {bad}", context.name());
            }
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let outputs = Guarded::poisoned(context, &[4, 3]);
    let targets = Guarded::of(context, &[4], &[0; 4], Dtype::U32);
    let results = Guarded::poisoned(context, &[4, 2]);
    let good = LossTensors {
        outputs: &outputs.tensor,
        targets: &targets.tensor,
        gradient: None,
        results: &results.tensor,
    };
    let refused = |loss, tensors: &LossTensors<'_>| -> String {
        let error = context.run(|pass| pass.loss(loss, tensors)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    assert!(refused(Loss::MeanSquaredError, &good).starts_with("targets: got u32"));
    assert!(refused(Loss::CrossEntropy { smoothing: 1.0 }, &good).contains("label smoothing"));
    let short = LossTensors { results: &targets.tensor, ..good };
    assert!(refused(Loss::CROSS_ENTROPY, &short).starts_with("results: got u32"));
    let same = LossTensors { gradient: Some(&outputs.tensor), ..good };
    assert!(refused(Loss::CROSS_ENTROPY, &same).contains("a buffer of its own"));
}

#[test]
fn losses_are_read_as_they_are_written() {
    for (text, loss) in [
        ("cross_entropy", Loss::CROSS_ENTROPY),
        ("cross_entropy:0.1", Loss::CrossEntropy { smoothing: 0.1 }),
        ("mse", Loss::MeanSquaredError),
        ("bce", Loss::BinaryCrossEntropy),
        ("huber", Loss::Huber { delta: 1.0 }),
        ("huber:1.5", Loss::Huber { delta: 1.5 }),
    ] {
        assert_eq!((text.parse::<Loss>().unwrap(), loss.to_string().as_str()), (loss, text));
    }
    for (name, loss) in Loss::NAMES.into_iter().zip(Loss::ALL) {
        assert_eq!((name.parse::<Loss>().unwrap(), loss.to_string().as_str()), (loss, name));
    }
    for (text, message) in [
        ("hubber", "nearest: huber"),
        ("mse:1", "loss `mse:1`: got 1, needed no parameter for mse"),
        ("cross_entropy:1", "label smoothing: got 1, needed a number of 0 or more, below 1"),
        ("cross_entropy:x", "label smoothing: got x, needed a number"),
        ("huber:0", "delta: got 0, needed a finite number above 0"),
        ("huber:", "delta: got nothing"),
        ("huber:1,2", "got 2 numbers, needed at most 1: delta"),
    ] {
        let error = text.parse::<Loss>().unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

/// PyTorch's `HuberLoss()(z, t)` and `HuberLoss(delta=0.5)(z, t)`, by its formula, by hand: errors of
/// 0.5, -1 and 3.
#[test]
fn hubers_are_pytorchs() {
    let (z, t) = ([1.5, 0.0, 2.0], [1.0, 1.0, -1.0]);
    for (delta, sum) in [(1.0, 0.125 + 0.5 + 2.5), (0.5, 0.125 + 0.375 + 1.375)] {
        let (value, slopes) = oracle(Loss::Huber { delta }, &z, &t, 0);
        assert_eq!((value, slopes), (sum / 3.0, vec![0.5 / 3.0, -delta / 3.0, delta / 3.0]));
    }
}

/// What a training run is held against: the loss of the best constant answer, found here by search.
#[test]
fn a_baseline_is_the_best_constants_loss() {
    let rows = 41;
    let mut values = normals("values", rows);
    values[7] = 40.0;
    let labels: Vec<u32> = (0..rows as u32).map(|row| u32::from(row % 3 == 0)).collect();
    for loss in losses() {
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
        let shares = values.iter().map(|value| value.clamp(-1.0, 1.0) * 0.25 + 0.5);
        let (targets, outputs) = match loss.target() {
            Target::Class => (Targets::Classes { labels: labels.clone(), names: names(2) }, 2),
            Target::Value => {
                (Targets::Values { values: values.clone().into(), names: names(1) }, 1)
            }
            Target::Share => {
                (Targets::Values { values: shares.collect::<Vec<_>>().into(), names: names(1) }, 1)
            }
        };
        let set = Dataset {
            name: "values".into(),
            features: vec![1.0; rows].into(),
            feature_names: names(1),
            targets,
        };
        let mean = |answer: f64| -> f64 {
            let one = |row: usize| match &set.targets {
                Targets::Classes { labels, .. } => {
                    oracle(loss, &[0.0, answer], &[], labels[row] as usize).0
                }
                Targets::Values { values, .. } => {
                    oracle(loss, &[answer], &[f64::from(values.to_f32()[row])], 0).0
                }
            };
            (0..rows).map(one).sum::<f64>() / rows as f64
        };
        // All of them are convex.
        let (mut low, mut high) = (-100.0, 100.0);
        for _ in 0..100 {
            let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if mean(left) < mean(right) { high = right } else { low = left }
        }
        let options = TrainOptions { loss: Some(loss), batch: None, ..TrainOptions::default() };
        let mlp = Mlp::new([1, outputs]).unwrap().init("zeros".parse().unwrap());
        let mut trainer = Trainer::new(&Device::Cpu, &mlp, &options, &set, None).unwrap();
        let (found, wanted) = (trainer.baseline(), mean(low));
        // A smoothing is f32's.
        assert!((found - wanted).abs() < 1e-7 * wanted, "{loss}: {found}, not {wanted}");
        // An answer of 0 for every row.
        let score = trainer.evaluate().unwrap();
        let wanted = mean(0.0);
        assert!(
            (score.loss - wanted).abs() < 1e-5 * wanted,
            "{loss}: {}, not {wanted}",
            score.loss
        );
        assert_eq!(score.r2.is_some(), loss.target() == Target::Value, "{loss}");
        if let Some(r2) = score.r2 {
            let all = || values.iter().map(|value| f64::from(*value));
            let mean = all().sum::<f64>() / rows as f64;
            let ratio = all().map(|v| v * v).sum::<f64>()
                / all().map(|v| (v - mean) * (v - mean)).sum::<f64>();
            assert!((r2 - (1.0 - ratio)).abs() < 1e-5, "{loss}: {r2}");
        }
        assert_eq!(score.accuracy.is_some(), score.r2.is_none(), "{loss}");
    }
}
