//! The maximal update parametrization: its factors, and that steps change signals by as much at every
//! width.

use fanin::Activation;
use fanin::Device;
use fanin::init::Role;
use fanin::model::data::Dataset;
use fanin::model::{Adam, Loss, Mlp, Optimizer, RmsProp, TrainOptions, Trainer};

use crate::devices::{SEED, contexts, everywhere};
use crate::gradients::{Oracle, examples};

fn mlp(widths: impl Into<Vec<u64>>) -> Mlp {
    Mlp::new(widths).unwrap()
}

#[test]
fn the_table_is_the_papers() {
    // Table 3, with n the width: exponents of n in std, Adam's and SGD's rate.
    for (role, [std, adam, sgd]) in [
        (Role::Input, [0.0, 0.0, 1.0]),
        (Role::Hidden, [-0.5, -1.0, 0.0]),
        (Role::Output, [-1.0, -1.0, -1.0]),
    ] {
        for ratio in [0.25f64, 1.0, 16.0] {
            assert_eq!(role.std_multiplier(ratio), ratio.powf(std), "{role:?}");
            assert_eq!(role.lr_multiplier_adam(ratio), ratio.powf(adam), "{role:?}");
            assert_eq!(role.lr_multiplier_sgd(ratio), ratio.powf(sgd), "{role:?}");
        }
    }
}

#[test]
fn initial_weights_are_the_bases_scaled() {
    let stds = |mlp: &Mlp| -> Vec<f64> {
        let tensors = mlp.recipe().unwrap().tensors;
        tensors.iter().map(|tensor| tensor.source.std()).collect()
    };
    // Whatever the initializer takes from the shape, or does not.
    for init in ["he_normal", "xavier_uniform", "normal:0.02", "he_normal:mode=fan_out"] {
        let net = |width| mlp([20, width, width, width, 5]).init(init.parse().unwrap());
        let (base, wide) = (stds(&net(32)), stds(&net(512).mup([32])));
        for (at, factor) in [(0, 1.0), (2, 0.25), (4, 0.25), (6, 1.0 / 16.0)] {
            let found = wide[at] / base[at];
            assert!((found / factor - 1.0).abs() < 1e-12, "{init}, tensor {at}: {found}");
        }
        // At the base width the standard parametrization, bit for bit.
        let (own, standard) = (net(32).mup([32]).recipe().unwrap(), net(32).recipe().unwrap());
        assert_eq!(own.tensors, standard.tensors);
    }
    // What the caller gives stays; a ratio for each layer.
    let own = fanin::random::Distribution::normal(0.3);
    let net = mlp([20, 64, 128, 5])
        .mup([32, 32])
        .custom_init(move |name, _| (name == "layers.2.weight").then_some(own));
    assert_eq!(net.recipe().unwrap().tensors[4].source, own);
    for base in [vec![], vec![0], vec![32, 32, 32]] {
        let error = mlp([20, 64, 128, 5]).mup(base).recipe().unwrap_err();
        assert!(error.to_string().starts_with("muP's base widths: got ["), "{error}");
    }
    // A recipe in text draws the same.
    let recipe = mlp([20, 64, 64, 5]).mup([16]).recipe().unwrap();
    let read = fanin::recipe::Recipe::parse(&recipe.to_toml(), "mlp").unwrap();
    for (own, read) in recipe.tensors.iter().zip(&read.tensors) {
        assert_eq!(own.source, read.source, "{}", own.name);
    }
}

/// The first step of each optimizer from the gradients it had: SGD's is `rate g`, Adam's `rate` times
/// the sign of `g`.
#[test]
fn every_parameter_steps_at_its_own_rate() {
    let decay = 0.1;
    let adam = Adam { weight_decay: decay, ..Adam::default() };
    let (ratio, lr) = (4.0, 0.01);
    // Factors of the first weights, of hidden and of output weights, of hidden vectors.
    let cases = [
        (Optimizer::sgd(), [ratio, 1.0, 1.0 / ratio, ratio]),
        (Optimizer::sgd().with_weight_decay(decay), [ratio, 1.0, 1.0 / ratio, ratio]),
        (Optimizer::Adam(Adam::default()), [1.0, 1.0 / ratio, 1.0 / ratio, 1.0]),
        (Optimizer::AdamW(adam), [1.0, 1.0 / ratio, 1.0 / ratio, 1.0]),
        (Optimizer::RmsProp(RmsProp::default()), [1.0, 1.0 / ratio, 1.0 / ratio, 1.0]),
    ];
    let set = examples(24, 6, 3, Loss::CROSS_ENTROPY);
    let net = mlp([6, 64, 64, 64, 3]).layer_norm(true).activation(Activation::Tanh).mup([16]);
    for device in everywhere() {
        for (optimizer, [first, hidden, output, vector]) in cases {
            for clip in [None, Some(0.5)] {
                let options = TrainOptions {
                    optimizer,
                    lr,
                    clip,
                    batch: None,
                    epochs: 1,
                    seed: SEED,
                    ..TrainOptions::default()
                };
                let mut trainer = Trainer::new(device, &net, &options, &set, None).unwrap();
                let parameters = trainer.parameters().to_vec();
                let read = |trainer: &mut Trainer| -> Vec<Vec<f32>> {
                    parameters.iter().map(|own| trainer.parameter(&own.name).unwrap()).collect()
                };
                let before = read(&mut trainer);
                while trainer.epoch().unwrap().is_some() {}
                let after = read(&mut trainer);
                let gradients: Vec<Vec<f32>> =
                    parameters.iter().map(|own| trainer.gradient(&own.name).unwrap()).collect();
                let norm = gradients.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>();
                let scale = clip.map_or(1.0, |clip| (clip / (norm.sqrt() + 1e-6)).min(1.0));
                for (index, parameter) in parameters.iter().enumerate() {
                    let factor = match parameter.name.as_str() {
                        "layers.0.weight" => first,
                        "layers.1.weight" | "layers.2.weight" => hidden,
                        "layers.3.weight" => output,
                        // As wide as the task.
                        "layers.3.bias" => 1.0,
                        _ => vector,
                    };
                    assert_eq!(parameter.lr_multiplier, factor, "{optimizer} {}", parameter.name);
                    for (element, w) in before[index].iter().enumerate() {
                        let w = f64::from(*w);
                        let g = scale * f64::from(gradients[index][element]);
                        let wanted = match optimizer {
                            // The decay is that of the base width, whatever the rate.
                            Optimizer::Sgd { weight_decay, .. } => {
                                w - lr * factor * g - lr * weight_decay * w
                            }
                            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
                                w - lr * adam.weight_decay * w
                                    - lr * factor * g / (g.abs() + adam.epsilon)
                            }
                            Optimizer::RmsProp(RmsProp { alpha, epsilon, .. }) => {
                                let size = (1.0 - alpha).sqrt() * g.abs();
                                w - lr * factor * g / (size + epsilon)
                            }
                            other => panic!("write {other} down here"),
                        };
                        let found = f64::from(after[index][element]);
                        // Rounding of w, and a few of the step, whose size is at most 0.04 or so;
                        // a gradient beside Adam's epsilon is known less well.
                        let bound = 1e-6 * (1.0 + w.abs());
                        assert!(
                            (found - wanted).abs() <= bound || g.abs() < 1e-6,
                            "{optimizer}, clip {clip:?}, {} [{element}]: {w} to {found}, not \
                             {wanted}",
                            parameter.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_checkpoint_with_other_base_widths_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let set = examples(24, 6, 3, Loss::CROSS_ENTROPY);
    let net = || mlp([6, 32, 3]);
    let make = |net: &Mlp| {
        Trainer::new(
            &Device::Cpu,
            net,
            &TrainOptions { batch: None, ..TrainOptions::default() },
            &set,
            None,
        )
    };
    make(&net().mup([16])).unwrap().save(&path, false).unwrap();
    for other in [net(), net().mup([8])] {
        let message = make(&other).unwrap().resume(&path).unwrap_err().to_string();
        assert!(message.starts_with("architecture, to resume"), "{message}");
        assert!(message.contains("needed 6-32-3 relu, muP from 16"), "{message}");
    }
    make(&net().mup([16])).unwrap().resume(&path).unwrap();
}

#[test]
fn without_mup_an_update_is_one_dispatch() {
    let set = examples(24, 6, 3, Loss::CROSS_ENTROPY);
    let dispatches = |net: &Mlp| {
        let options = TrainOptions { batch: None, ..TrainOptions::default() };
        let trainer =
            Trainer::new(&contexts()[0].clone().into(), net, &options, &set, None).unwrap();
        trainer.dispatches_per_step()
    };
    let net = || mlp([6, 32, 32, 32, 3]);
    assert_eq!(dispatches(&net().mup([32])), dispatches(&net()));
    assert_eq!(dispatches(&net().mup([16])), dispatches(&net()) + 2 * 4 - 2);
}

/// Each layer's pre-activations, row after row.
pub fn signals(trainer: &mut Trainer, set: &Dataset) -> Vec<Vec<f64>> {
    let oracle = Oracle::of(trainer);
    let mut layers = vec![Vec::new(); oracle.widths.len() - 1];
    for row in set.features.to_f32().chunks_exact(set.columns()) {
        let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
        for (layer, z) in layers.iter_mut().zip(oracle.signals(&row)) {
            layer.extend(z);
        }
    }
    layers
}

/// The mean |change| of each layer's pre-activations over some steps.
fn changes(net: &Mlp, lr: f64) -> Vec<f64> {
    let set = examples(16, 32, 8, Loss::MeanSquaredError);
    let options = TrainOptions {
        lr,
        batch: None,
        epochs: 4,
        seed: SEED,
        shuffle: false,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&Device::Cpu, net, &options, &set, None).unwrap();
    let before = signals(&mut trainer, &set);
    while trainer.epoch().unwrap().is_some() {}
    let after = signals(&mut trainer, &set);
    let mean = |(before, after): (&Vec<f64>, &Vec<f64>)| {
        let sum: f64 = before.iter().zip(after).map(|(a, b)| (a - b).abs()).sum();
        sum / before.len() as f64
    };
    before.iter().zip(&after).map(mean).collect()
}

/// The slope of log change against log width, by least squares.
fn slope(widths: &[u64], changes: &[f64]) -> f64 {
    let points = || widths.iter().map(|w| (*w as f64).ln()).zip(changes.iter().map(|c| c.ln()));
    let count = widths.len() as f64;
    let (x, y) = points().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / count, y + b / count));
    let (up, down) = points()
        .fold((0.0, 0.0), |(up, down), (a, b)| (up + (a - x) * (b - y), down + (a - x) * (a - x)));
    up / down
}

/// Adam moves each weight by about the rate, so `W h` of `n` inputs that are all of one sign changes
/// by about `lr n`: the exponent of the width is 1 in the standard parametrization for the layers
/// with as many inputs as the network is wide, and 0 under muP, whose rate is `lr / n` there. At
/// finite width an exponent is off by what is left of the limit: `O(1 / sqrt n)` of the change, an
/// eighth at 64, over the four doublings' `ln 16 = 2.8`, so by 0.1 or so in two such terms. Halfway
/// between 0 and 1 would tell them apart; 0.25 and 0.5 do with room. The rate is small enough that the
/// twin's steps are small at 1024 too: what overshoots does not grow on.
#[test]
fn a_coordinate_check() {
    let widths = [64u64, 128, 256, 512, 1024];
    let net = |width: u64| mlp([32, width, width, width, 8]);
    let table = |make: &dyn Fn(u64) -> Mlp| -> Vec<Vec<f64>> {
        let by_width: Vec<_> = widths.iter().map(|&width| changes(&make(width), 1e-4)).collect();
        (0..4).map(|layer| by_width.iter().map(|own| own[layer]).collect()).collect()
    };
    let own = table(&|width| net(width).mup([64]));
    let standard = table(&net);
    for layer in 0..4 {
        let (found, twin) = (slope(&widths, &own[layer]), slope(&widths, &standard[layer]));
        let (low, high) = own[layer]
            .iter()
            .fold((f64::MAX, 0.0f64), |(low, high), &change| (low.min(change), high.max(change)));
        println!("layer {layer}: muP {:?} slope {found:.3}", own[layer]);
        println!("layer {layer}: standard {:?} slope {twin:.3}", standard[layer]);
        assert!(found.abs() < 0.25, "layer {layer}: {:?}, slope {found}", own[layer]);
        assert!(high < 2.0 * low, "layer {layer}: {:?}", own[layer]);
        // The first layer's inputs are the data's in both.
        assert!(layer == 0 || twin > 0.5, "layer {layer}: {:?}, {twin}", standard[layer]);
    }
}
