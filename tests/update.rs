//! Optimizers, clipping and schedules against their formulas in f64.

use fanin::gpu::{Context, UpdateTensors};
use fanin::model::{Adam, Decay, Optimizer, RmsProp, Schedule};

use crate::devices::forms;
use crate::guarded::{Guarded, normals};

/// Each, each with a decay, and some with other numbers.
fn optimizers() -> impl Iterator<Item = Optimizer> {
    let more =
        ["sgd:0.9", "nesterov:0.8", "adam:0.8,0.95,1e-6", "adamw:0.9,0.99", "rmsprop:0.9,1e-6"];
    let more = more.map(|text| text.parse::<Optimizer>().unwrap());
    let decayed = Optimizer::ALL.into_iter().chain(more).map(|own| own.with_weight_decay(0.1));
    Optimizer::ALL.into_iter().chain(decayed)
}

const LR: f64 = 0.05;

/// Parameters, first and second moments of one element after steps with these gradients.
fn oracle(optimizer: &Optimizer, start: f64, gradients: &[f64]) -> [f64; 3] {
    let (mut w, mut m, mut v) = (start, 0.0, 0.0);
    for (t, g) in (1..).zip(gradients) {
        match *optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay } => {
                let g = g + weight_decay * w;
                m = momentum * m + g;
                w -= LR * if nesterov { g + momentum * m } else { m };
                if momentum == 0.0 {
                    m = 0.0;
                }
            }
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
                let Adam { beta1, beta2, epsilon, weight_decay } = adam;
                let apart = matches!(optimizer, Optimizer::AdamW(_));
                let g = if apart { *g } else { g + weight_decay * w };
                if apart {
                    w -= LR * weight_decay * w;
                }
                m = beta1 * m + (1.0 - beta1) * g;
                v = beta2 * v + (1.0 - beta2) * g * g;
                let (mean, square) = (m / (1.0 - beta1.powi(t)), v / (1.0 - beta2.powi(t)));
                w -= LR * mean / (square.sqrt() + epsilon);
            }
            Optimizer::RmsProp(RmsProp { alpha, epsilon, weight_decay }) => {
                let g = g + weight_decay * w;
                m = alpha * m + (1.0 - alpha) * g * g;
                w -= LR * g / (m.sqrt() + epsilon);
            }
            other => panic!("write {other} down here"),
        }
    }
    [w, m, v]
}

const STEPS: usize = 5;

fn on_gpu(context: &Context, optimizer: &Optimizer, count: usize) -> [Vec<f32>; 3] {
    let dims = [count as u64];
    let parameters = Guarded::new(context, &normals("parameters", count));
    let (first, second) =
        (Guarded::new(context, &vec![0.0; count]), Guarded::new(context, &vec![0.0; count]));
    for step in 0..STEPS {
        let gradients =
            Guarded::shaped(context, &dims, &normals(&format!("gradients {step}"), count));
        let tensors = UpdateTensors {
            gradients: &gradients.tensor,
            parameters: &parameters.tensor,
            first: Some(&first.tensor),
            second: Some(&second.tensor),
            scale: None,
        };
        context.run(|pass| pass.update(optimizer, LR, step as u64 + 1, &tensors)).unwrap();
    }
    [parameters.read(context), first.read(context), second.read(context)]
}

#[test]
fn five_steps_of_each_optimizer_are_f64s() {
    for context in forms() {
        for optimizer in &optimizers().collect::<Vec<_>>() {
            for count in [1, 3, 64, 257, 1025] {
                let found = on_gpu(context, optimizer, count);
                let start = normals("parameters", count);
                let gradients: Vec<Vec<f32>> =
                    (0..STEPS).map(|step| normals(&format!("gradients {step}"), count)).collect();
                for element in 0..count {
                    let own: Vec<f64> =
                        gradients.iter().map(|step| f64::from(step[element])).collect();
                    let wanted = oracle(optimizer, f64::from(start[element]), &own);
                    for (what, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                        // Some ten roundings a step of numbers of at most about 10, and Adam's
                        // quotient, which is at most 1 / sqrt(1 - beta2) of lr and good to 2.5 ulp.
                        let bound = 1e-5 * (1.0 + wanted.abs());
                        let found = f64::from(found[element]);
                        assert!(
                            (found - wanted).abs() <= bound,
                            "{}: {optimizer}, element {element} of {count}, buffer {what}: {found}, \
                             by the formula {wanted}",
                            context.name()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn clipping_brings_the_norm_down_and_never_up() {
    for context in forms() {
        // The last takes two turns of every workgroup.
        for count in [1, 3, 65, 100_003, 4_200_001] {
            let values = normals("gradients", count);
            let gradients = Guarded::new(context, &values);
            let scale = Guarded::poisoned(context, &[2]);
            let norm = values.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            for bound in [0.5 * norm, 2.0 * norm] {
                context.run(|pass| pass.clip(&gradients.tensor, bound, &scale.tensor)).unwrap();
                let [factor, found] = scale.read(context)[..] else { panic!("two numbers") };
                let wanted = (bound / (norm + 1e-6)).min(1.0);
                let off = 2f64.powi(-15);
                assert!(
                    (f64::from(found) / norm - 1.0).abs() <= off,
                    "{count}: {found}, not {norm}"
                );
                assert!((f64::from(factor) / wanted - 1.0).abs() <= off, "{count}: {factor}");
            }
        }
        let gradients = Guarded::new(context, &[3.0, 4.0]);
        let scale = Guarded::poisoned(context, &[2]);
        let (parameters, bound) = (Guarded::new(context, &[1.0, 1.0]), 2.5);
        context
            .run(|pass| {
                pass.clip(&gradients.tensor, bound, &scale.tensor)?;
                let tensors = UpdateTensors {
                    gradients: &gradients.tensor,
                    parameters: &parameters.tensor,
                    first: None,
                    second: None,
                    scale: Some(&scale.tensor),
                };
                pass.update(&Optimizer::sgd(), 1.0, 1, &tensors)
            })
            .unwrap();
        let found = parameters.read(context);
        assert!((found[0] + 0.5).abs() < 1e-5 && (found[1] + 1.0).abs() < 1e-5, "{found:?}");
    }
}

/// Squares that f32 does not hold, and what is no number.
#[test]
fn clipping_survives_hard_gradients() {
    for context in forms() {
        let clipped = |values: &[f32], bound: f64| {
            let gradients = Guarded::new(context, values);
            let scale = Guarded::poisoned(context, &[2]);
            context.run(|pass| pass.clip(&gradients.tensor, bound, &scale.tensor)).unwrap();
            let [factor, norm] = scale.read(context)[..] else { panic!("two numbers") };
            (f64::from(factor), f64::from(norm))
        };
        let values = normals("gradients", 70_001);
        let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() <= 2f64.powi(-15);
        for unit in [1e25f32, 1e-30] {
            let own: Vec<f32> = values.iter().map(|g| g * unit).collect();
            let norm = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let (factor, found) = clipped(&own, 1.0);
            assert!(close(found, norm), "{}: {found}, not {norm}", context.name());
            let wanted = (1.0 / (norm + 1e-6)).min(1.0);
            assert!(close(factor, wanted), "{}: {factor}, not {wanted}", context.name());
        }
        let with = |at: usize, bad: f32| {
            let mut own = values.clone();
            own[at] = bad;
            own
        };
        for at in [0, 4097, 70_000] {
            let (factor, norm) = clipped(&with(at, f32::NAN), 1.0);
            assert!(factor.is_nan() && norm.is_nan(), "{}: {factor}, {norm}", context.name());
            let found = clipped(&with(at, f32::NEG_INFINITY), 1.0);
            assert_eq!(found, (0.0, f64::INFINITY), "{}", context.name());
        }
        assert_eq!(clipped(&[0.0; 300], 1.0), (1.0, 0.0), "{}", context.name());
    }
}

#[test]
fn what_an_update_lacks_is_named() {
    let context = &forms()[0];
    let own = Guarded::new(context, &[1.0, 2.0]);
    let other = Guarded::new(context, &[1.0, 2.0]);
    let tensors = UpdateTensors {
        gradients: &own.tensor,
        parameters: &other.tensor,
        first: None,
        second: None,
        scale: None,
    };
    let refused = |optimizer: Optimizer, lr: f64, tensors: &UpdateTensors<'_>| {
        context.run(|pass| pass.update(&optimizer, lr, 1, tensors)).unwrap_err().to_string()
    };
    let adam = Optimizer::Adam(Adam::default());
    assert!(refused(adam, 0.1, &tensors).starts_with("first moments: got none"));
    assert!(refused(Optimizer::sgd(), f64::NAN, &tensors).starts_with("learning rate: got NaN"));
    let same = UpdateTensors { parameters: &own.tensor, ..tensors };
    assert!(refused(Optimizer::sgd(), 0.1, &same).contains("a buffer of its own"));
    let clip = context.run(|pass| pass.clip(&own.tensor, -1.0, &other.tensor)).unwrap_err();
    assert!(clip.to_string().starts_with("clip: got -1"));
}

#[test]
fn optimizers_are_read_as_they_are_written() {
    for text in [
        "sgd",
        "sgd:0.9",
        "nesterov:0.8",
        "nesterov:0.9",
        "adam",
        "adamw",
        "adam:0.8,0.95,0.000001",
        "rmsprop",
        "rmsprop:0.9,0.00000001",
    ] {
        assert_eq!(text.parse::<Optimizer>().unwrap().to_string(), text);
    }
    for (name, optimizer) in Optimizer::NAMES.into_iter().zip(Optimizer::ALL) {
        assert_eq!((name.parse::<Optimizer>().unwrap(), optimizer.name()), (optimizer, name));
        // A decay alone is not said.
        let decayed = optimizer.with_weight_decay(0.3);
        assert_eq!((decayed.weight_decay(), decayed.to_string()), (0.3, optimizer.to_string()));
    }
    let lrs = ["sgd", "nesterov:0.8", "adam", "adamw", "rmsprop"];
    let lrs = lrs.map(|text| text.parse::<Optimizer>().unwrap().default_lr());
    assert_eq!(lrs, [0.05, 0.05, 0.001, 0.001, 0.01]);
    assert_eq!("adamw".parse::<Optimizer>().unwrap().weight_decay(), 0.01);
    for (text, message) in [
        ("adamm", "nearest: adam"),
        ("sgd:1", "momentum: got 1, needed a number of 0 or more, below 1"),
        ("sgd:x", "got x, needed a number"),
        ("sgd:0.1,0.2", "got 2 numbers, needed at most 1: momentum"),
        ("sgd:", "momentum: got nothing"),
        ("nesterov:0", "Nesterov's momentum: got 0, needed a number of more than 0, below 1"),
        ("adam:0.9,nan", "Adam's beta2: got nan"),
        ("adam:0.9,0.9,0", "Adam's epsilon: got 0"),
        ("rmsprop:1", "RMSProp's alpha: got 1, needed a number of 0 or more, below 1"),
        ("rmsprop:0.9,0", "RMSProp's epsilon: got 0"),
    ] {
        let error = text.parse::<Optimizer>().unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn schedules_go_as_they_say() {
    let factor = |schedule: Schedule, step| schedule.factor(step, 10, 100);
    let read = |text: &str| text.parse::<Schedule>().unwrap();
    assert_eq!(factor(read("constant"), 77), 1.0);
    let step = read("step:3,0.5");
    assert_eq!([0, 29, 30, 60, 99].map(|at| factor(step, at)), [1.0, 1.0, 0.5, 0.25, 0.125]);
    let cosine = read("cosine:0.1");
    assert_eq!(factor(cosine, 0), 1.0);
    assert!((factor(cosine, 50) - 0.55).abs() < 1e-12);
    assert!((factor(cosine, 100) - 0.1).abs() < 1e-12);
    let warm = Schedule { warmup: 20, decay: Decay::Cosine { floor: 0.0 } };
    assert_eq!([0, 9, 19, 20].map(|at| factor(warm, at)), [0.05, 0.5, 1.0, 1.0]);
    assert!((factor(warm, 60) - 0.5).abs() < 1e-12);
    for text in ["step:0,0.5", "step:3,0", "step:3", "cosine:2", "cosine:x", "constant:1", "steps"]
    {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
    for text in ["constant", "step:3,0.5", "cosine", "cosine:0.1"] {
        assert_eq!(read(text).to_string(), text);
    }
}
