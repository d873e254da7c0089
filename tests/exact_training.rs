//! Exact training: one digest on every device, whatever its threads and kernels, resumed elsewhere or not; and
//! what it is, against a plain program that follows the contract's page.

use std::path::PathBuf;

use fanin::model::data::{Dataset, Generated, Targets};
use fanin::model::{Loss, Network, Optimizer, TrainOptions, Trainer};
use fanin::op::{Arithmetic, Operands};
use fanin::verify::training;
use fanin::{Activation, Custom, Device, Error, Shape};
use rayon::ThreadPoolBuilder;

use crate::devices::{SEED, contexts, everywhere};

fn gpus() -> impl Iterator<Item = Device> {
    contexts().iter().cloned().map(Device::Gpu)
}

#[test]
fn the_golden_digests_hold() {
    let runs = training::runs();
    for run in &runs {
        assert_eq!(run.golden.len(), 16, "{}", run.name);
    }
    for device in everywhere() {
        for run in &runs {
            let digest = run.digest(device).unwrap();
            assert!(digest.starts_with(run.golden), "{} on {device}: {digest}", run.name);
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for run in training::runs() {
        for threads in 1..=3 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let digest = pool.install(|| run.digest(&Device::Cpu).unwrap());
            assert!(digest.starts_with(run.golden), "{} on {threads} threads", run.name);
        }
    }
}

/// Digits and spirals.
fn sets() -> [(Dataset, Shape, u64); 2] {
    let of = |set: Generated| set.generate(SEED, Some(640)).unwrap();
    [
        (of(Generated::Digits), Shape::new([64u64]).unwrap(), 10),
        (of(Generated::Spirals), Shape::new([2u64]).unwrap(), 3),
    ]
}

fn options(optimizer: &str, epochs: u64) -> TrainOptions {
    TrainOptions {
        optimizer: optimizer.parse().unwrap(),
        lr: 0.003,
        batch: Some(64),
        epochs,
        seed: SEED,
        arithmetic: Arithmetic::EXACT,
        ..TrainOptions::default()
    }
}

fn finished(mut trainer: Trainer) -> Trainer {
    while !trainer.finished() {
        trainer.advance().unwrap();
    }
    assert!(!trainer.diverged());
    trainer
}

/// 200 steps each; the drivers that compile slowly take each network and each optimizer once.
#[test]
fn digits_and_spirals_end_alike_everywhere() {
    let networks = [
        "dense:64 relu dense",
        "dense:48 tanh dense:48 gelu dense",
        "dense:32 norm silu residual(norm dense:32 relu dropout:0.1) dense",
    ];
    for (set, shape, classes) in sets() {
        for (row, text) in networks.into_iter().enumerate() {
            for (column, optimizer) in ["sgd:0.9", "adam", "adamw"].into_iter().enumerate() {
                let network = Network::parse(shape.clone(), classes, text).unwrap();
                let options = options(optimizer, 20);
                let digest = |device: &Device| {
                    let trainer = Trainer::new(device, &network, &options, &set, None).unwrap();
                    let mut trainer = finished(trainer);
                    assert_eq!(trainer.step(), 200);
                    (trainer.digest().unwrap(), trainer.history().to_vec())
                };
                let wanted = digest(&Device::Cpu);
                for device in gpus() {
                    let fast = device.context().unwrap().uses_int64();
                    if fast && column == 0 || row == column {
                        // The losses that are reported are the same too.
                        assert_eq!(digest(&device), wanted, "{text} {optimizer} on {device}");
                    }
                }
            }
        }
    }
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fanin-exact-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// From device to device, in the middle of an epoch's end and not: what is saved elsewhere goes on.
#[test]
fn a_run_goes_on_on_another_device() {
    let [_, (set, shape, classes)] = sets();
    let network = Network::parse(shape, classes, "dense:32 tanh dense").unwrap();
    let options = options("adamw", 12);
    let begin = |device: &Device| Trainer::new(device, &network, &options, &set, None).unwrap();
    let whole = finished(begin(&Device::Cpu)).digest().unwrap();
    let path = scratch("run.safetensors");
    let mut devices: Vec<Device> = gpus().collect();
    devices.push(Device::Cpu);
    let mut trainer = begin(&Device::Cpu);
    for device in devices {
        trainer.epoch().unwrap();
        trainer.epoch().unwrap();
        trainer.save(&path, true).unwrap();
        let text = std::fs::read(&path).unwrap();
        let digest = trainer.digest().unwrap();
        let held = text.windows(digest.len()).any(|bytes| bytes == digest.as_bytes());
        assert!(held, "the file says its digest");
        trainer = begin(&device);
        trainer.resume(&path).unwrap();
        assert_eq!(trainer.digest().unwrap(), digest, "{device}");
    }
    assert_eq!(finished(trainer).digest().unwrap(), whole);
    // Neither arithmetic goes on with the other's.
    for arithmetic in [Arithmetic::Native, Arithmetic::Exact(Operands::Full)] {
        let other = TrainOptions { arithmetic, ..options.clone() };
        let mut other = Trainer::new(&Device::Cpu, &network, &other, &set, None).unwrap();
        let error = other.resume(&path).unwrap_err().to_string();
        assert!(error.contains("arithmetic") && error.contains("12 bits"), "{error}");
        other.save(&path.with_file_name("other.safetensors"), true).unwrap();
        let error = begin(&Device::Cpu)
            .resume(&path.with_file_name("other.safetensors"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("arithmetic"), "{error}");
    }
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn nonlinearities_of_ones_own_are_refused() {
    let custom = Custom {
        name: "square",
        value: |x| x * x,
        derivative: |x| 2.0 * x,
        gain: 1.0,
        wgsl: "fn custom_value(x: f32) -> f32 { return x * x; }\n\
               fn custom_derivative(x: f32) -> f32 { return 2.0 * x; }",
    };
    let [_, (set, _, _)] = sets();
    let mlp = fanin::model::Mlp::new([2, 4, 3]).unwrap().activation(Activation::Custom(custom));
    for device in everywhere() {
        let error = Trainer::new(device, &mlp, &options("adam", 1), &set, None).err().unwrap();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(error.to_string().contains("square"), "{error}");
    }
}

/// What a plain program does otherwise than the contract says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mutation {
    None,
    /// A product of the optimizer's is fused with the sum that it goes into.
    Fused,
    /// The depths of products are taken from the last to the first.
    Order,
    /// Factors are not rounded.
    Factors,
    /// The sums of stretches are not kept apart.
    Stretches,
}

/// The contract's page in the plainest terms: one hidden layer of ReLU, mean squared error, momentum.
struct Plain {
    mutation: Mutation,
}

impl Plain {
    fn pin(x: f32) -> f32 {
        if x.abs() < 2f32.powi(-125) { 0.0 } else { x }
    }

    fn factor(&self, x: f32) -> f64 {
        if x.abs() < 2f32.powi(-51) {
            return 0.0;
        }
        if self.mutation == Mutation::Factors {
            return x.into();
        }
        // 12 significant bits, by f64.
        let unit = 2f64.powi(f64::from(x.abs()).log2().floor() as i32 - 11);
        (f64::from(x) / unit).round_ties_even() * unit
    }

    /// The sum of products of two rows of factors.
    fn product(&self, depth: usize, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
        let stretch = if self.mutation == Mutation::Stretches { depth } else { 256 };
        let mut total = 0.0f32;
        for first in (0..depth).step_by(stretch) {
            let mut depths: Vec<usize> = (first..depth.min(first + stretch)).collect();
            if self.mutation == Mutation::Order {
                depths.reverse();
            }
            let mut sum = 0.0f32;
            for at in depths {
                sum += (self.factor(a(at)) * self.factor(b(at))) as f32;
            }
            total += sum;
        }
        total
    }

    /// w and v after a step.
    fn descended(&self, lr: f32, w: f32, v: f32, g: f32) -> (f32, f32) {
        let beta = 0.9f32;
        let v = match self.mutation {
            Mutation::Fused => beta.mul_add(v, g),
            _ => Plain::pin(Plain::pin(beta * v) + g),
        };
        (Plain::pin(w - Plain::pin(lr * v)), v)
    }
}

/// Rows of a regression, and a network's parameters after some steps, by the engine and by a plain program.
#[test]
fn the_contract_is_what_a_plain_program_computes() {
    // More rows than a stretch has, so that the weights' gradients have two.
    let (rows, inputs, hidden, outputs, steps) = (300usize, 5usize, 7usize, 2usize, 9u64);
    let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 31.0;
    let x: Vec<f32> = (0..rows * inputs).map(value).collect();
    let t: Vec<f32> = (0..rows * outputs).map(|at| value(at * at + 3)).collect();
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let targets = Targets::Values { values: t.clone().into(), names: names(outputs) };
    let set = Dataset::new("rows", x.clone(), names(inputs), targets).unwrap();
    let network =
        Network::parse(Shape::new([inputs as u64]).unwrap(), outputs as u64, "dense:7 relu dense");
    let network = network.unwrap();
    let options = TrainOptions {
        batch: None,
        shuffle: false,
        loss: Some(Loss::MeanSquaredError),
        optimizer: Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        lr: 0.05,
        ..self::options("sgd:0.9", steps)
    };
    let mut trainer = Trainer::new(&Device::Cpu, &network, &options, &set, None).unwrap();
    let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
    let start: Vec<Vec<f32>> = names.iter().map(|name| trainer.parameter(name).unwrap()).collect();
    let mut trainer = finished(trainer);
    let found: Vec<Vec<f32>> = names.iter().map(|name| trainer.parameter(name).unwrap()).collect();

    let by = |mutation| {
        let plain = Plain { mutation };
        let mut w = start.clone();
        let mut v: Vec<Vec<f32>> = w.iter().map(|own| vec![0.0; own.len()]).collect();
        let lr = 0.05f64 as f32;
        let factor = Plain::pin((1.0 / outputs as f32) * (1.0 / rows as f32));
        for _ in 0..steps {
            let mut z = vec![0.0; rows * hidden];
            for (at, z) in z.iter_mut().enumerate() {
                let (row, unit) = (at / hidden, at % hidden);
                let sum =
                    plain.product(inputs, |k| x[row * inputs + k], |k| w[0][unit * inputs + k]);
                *z = Plain::pin(sum + w[1][unit]);
            }
            let h: Vec<f32> = z.iter().map(|z| z.max(0.0)).collect();
            let mut dy = vec![0.0; rows * outputs];
            for (at, dy) in dy.iter_mut().enumerate() {
                let (row, unit) = (at / outputs, at % outputs);
                let sum =
                    plain.product(hidden, |k| h[row * hidden + k], |k| w[2][unit * hidden + k]);
                let error = Plain::pin(Plain::pin(sum + w[3][unit]) - t[at]);
                *dy = Plain::pin(Plain::pin(2.0 * error) * factor);
            }
            let mut dz = vec![0.0; rows * hidden];
            for (at, dz) in dz.iter_mut().enumerate() {
                let (row, unit) = (at / hidden, at % hidden);
                let sum =
                    plain.product(outputs, |k| dy[row * outputs + k], |k| w[2][k * hidden + unit]);
                *dz = if z[at] > 0.0 { Plain::pin(sum) } else { 0.0 };
            }
            let weight = |d: &[f32], units: usize, from: &[f32], width: usize| -> Vec<f32> {
                let of = |at: usize| {
                    let (unit, column) = (at / width, at % width);
                    plain.product(rows, |k| d[k * units + unit], |k| from[k * width + column])
                };
                (0..units * width).map(of).collect()
            };
            let ones = vec![1.0; rows];
            let gradients = [
                weight(&dz, hidden, &x, inputs),
                weight(&dz, hidden, &ones, 1),
                weight(&dy, outputs, &h, hidden),
                weight(&dy, outputs, &ones, 1),
            ];
            for ((w, v), g) in w.iter_mut().zip(&mut v).zip(gradients) {
                for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
                    (*w, *v) = plain.descended(lr, *w, *v, g);
                }
            }
        }
        w
    };
    let bits = |all: &[Vec<f32>]| -> Vec<Vec<u32>> {
        all.iter().map(|own| own.iter().map(|value| value.to_bits()).collect()).collect()
    };
    assert_eq!(bits(&by(Mutation::None)), bits(&found));
    use Mutation::{Factors, Fused, Order, Stretches};
    for mutation in [Fused, Order, Factors, Stretches] {
        assert_ne!(bits(&by(mutation)), bits(&found), "{mutation:?} is seen");
    }
}
