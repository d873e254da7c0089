//! Optimizers, clipping and schedules against their formulas in f64.

use fanin::Device;
use fanin::cpu::{self, UpdateSlices};
use fanin::gpu::UpdateTensors;
use fanin::model::{Adam, Decay, Optimizer, RmsProp, Schedule};

use crate::devices::{every_form, forms};
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

/// Parameters and both moments after the steps.
fn stepped(device: &Device, optimizer: &Optimizer, count: usize) -> [Vec<f32>; 3] {
    let start = normals("parameters", count);
    let gradients = |step| normals(&format!("gradients {step}"), count);
    match device {
        Device::Cpu => {
            let [mut parameters, mut first, mut second] =
                [start, vec![0.0; count], vec![0.0; count]];
            for step in 0..STEPS {
                let slices = UpdateSlices {
                    gradients: &gradients(step),
                    parameters: &mut parameters,
                    first: Some(&mut first),
                    second: Some(&mut second),
                    scale: None,
                };
                cpu::update(optimizer, LR, step as u64 + 1, slices).unwrap();
            }
            [parameters, first, second]
        }
        Device::Gpu(context) => {
            let parameters = Guarded::new(context, &start);
            let [first, second] = [(); 2].map(|()| Guarded::new(context, &vec![0.0; count]));
            for step in 0..STEPS {
                let gradients = Guarded::new(context, &gradients(step));
                let tensors = UpdateTensors {
                    gradients: &gradients.tensor,
                    parameters: &parameters.tensor,
                    first: Some(&first.tensor),
                    second: Some(&second.tensor),
                    scale: None,
                };
                context.run(|pass| pass.update(optimizer, LR, step as u64 + 1, &tensors)).unwrap();
            }
            [&parameters, &first, &second].map(|own| own.read(context))
        }
    }
}

/// The factor of clipping, and the norm.
fn clip(device: &Device, gradients: &[f32], bound: f64) -> [f64; 2] {
    let found = match device {
        Device::Cpu => cpu::clip(gradients, bound).unwrap(),
        Device::Gpu(context) => {
            let gradients = Guarded::new(context, gradients);
            let scale = Guarded::poisoned(context, &[2]);
            context.run(|pass| pass.clip(&gradients.tensor, bound, &scale.tensor)).unwrap();
            scale.read(context).try_into().unwrap()
        }
    };
    found.map(f64::from)
}

/// Parameters after a clipped step of plain descent with a rate of 1.
fn clipped(device: &Device, parameters: &[f32], gradients: &[f32], bound: f64) -> Vec<f32> {
    let plain = Optimizer::sgd();
    match device {
        Device::Cpu => {
            let mut parameters = parameters.to_vec();
            let [scale, _] = cpu::clip(gradients, bound).unwrap();
            let slices = UpdateSlices {
                gradients,
                parameters: &mut parameters,
                first: None,
                second: None,
                scale: Some(scale),
            };
            cpu::update(&plain, 1.0, 1, slices).unwrap();
            parameters
        }
        Device::Gpu(context) => {
            let (parameters, gradients) =
                (Guarded::new(context, parameters), Guarded::new(context, gradients));
            let scale = Guarded::poisoned(context, &[2]);
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
                    pass.update(&plain, 1.0, 1, &tensors)
                })
                .unwrap();
            parameters.read(context)
        }
    }
}

#[test]
fn five_steps_of_each_optimizer_are_f64s() {
    for device in every_form() {
        for optimizer in &optimizers().collect::<Vec<_>>() {
            for count in [1, 3, 64, 257, 1025] {
                let found = stepped(device, optimizer, count);
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
                            device
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn clipping_brings_the_norm_down_and_never_up() {
    for device in every_form() {
        // The last takes two turns of every workgroup.
        for count in [1, 3, 65, 100_003, 4_200_001] {
            let values = normals("gradients", count);
            let norm = values.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            for bound in [0.5 * norm, 2.0 * norm] {
                let [factor, found] = clip(device, &values, bound);
                let wanted = (bound / (norm + 1e-6)).min(1.0);
                let off = 2f64.powi(-15);
                assert!(
                    (found / norm - 1.0).abs() <= off,
                    "{device}, {count}: {found}, not {norm}"
                );
                assert!((factor / wanted - 1.0).abs() <= off, "{device}, {count}: {factor}");
            }
        }
        let found = clipped(device, &[1.0, 1.0], &[3.0, 4.0], 2.5);
        assert!((found[0] + 0.5).abs() < 1e-5 && (found[1] + 1.0).abs() < 1e-5, "{found:?}");
    }
}

/// Squares that f32 does not hold, and what is no number.
#[test]
fn clipping_survives_hard_gradients() {
    for device in every_form() {
        let values = normals("gradients", 70_001);
        let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() <= 2f64.powi(-15);
        for unit in [1e25f32, 1e-30] {
            let own: Vec<f32> = values.iter().map(|g| g * unit).collect();
            let norm = own.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            let [factor, found] = clip(device, &own, 1.0);
            assert!(close(found, norm), "{}: {found}, not {norm}", device);
            let wanted = (1.0 / (norm + 1e-6)).min(1.0);
            assert!(close(factor, wanted), "{}: {factor}, not {wanted}", device);
        }
        let with = |at: usize, bad: f32| {
            let mut own = values.clone();
            own[at] = bad;
            own
        };
        for at in [0, 4097, 70_000] {
            let [factor, norm] = clip(device, &with(at, f32::NAN), 1.0);
            assert!(factor.is_nan() && norm.is_nan(), "{}: {factor}, {norm}", device);
            let found = clip(device, &with(at, f32::NEG_INFINITY), 1.0);
            assert_eq!(found, [0.0, f64::INFINITY], "{}", device);
        }
        assert_eq!(clip(device, &[0.0; 300], 1.0), [1.0, 0.0], "{}", device);
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

    let twin = |optimizer: Optimizer, lr, gradients: usize, first: Option<usize>| {
        let mut first = first.map(|first| vec![0.0; first]);
        let slices = UpdateSlices {
            gradients: &vec![0.0; gradients],
            parameters: &mut [0.0; 2],
            first: first.as_deref_mut(),
            second: None,
            scale: None,
        };
        cpu::update(&optimizer, lr, 1, slices).unwrap_err().to_string()
    };
    assert!(twin(adam, 0.1, 2, None).starts_with("first moments: got none, needed 2 elements"));
    assert!(twin(adam, 0.1, 2, Some(3)).starts_with("first moments: got 3 elements, needed 2"));
    assert!(twin(adam, 0.1, 2, Some(2)).starts_with("second moments: got none"));
    assert!(twin(Optimizer::sgd(), f64::NAN, 2, None).starts_with("learning rate: got NaN"));
    assert!(
        twin(Optimizer::sgd(), 0.1, 3, None).starts_with("gradients: got 3 elements, needed 2")
    );
    assert!(cpu::clip(&[1.0], -1.0).unwrap_err().to_string().starts_with("clip: got -1"));
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
