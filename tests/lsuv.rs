//! Layer-sequential unit variance: what it promises, measured in f64 from the parameters it leaves.

use fanin::Device;
use fanin::init::Init;
use fanin::model::data::Dataset;
use fanin::model::{Loss, LsuvStep, Mlp, TrainOptions, Trainer};
use fanin::{Activation, Error};

use crate::devices::{SEED, everywhere};
use crate::gradients::{Oracle, examples};
use crate::mup::signals;

const TOLERANCE: f64 = 0.02;

fn lsuv(tolerance: f64, iterations: u32) -> Init {
    Init::Lsuv { tolerance, iterations }
}

/// 20 layers of weights.
fn deep(activation: Activation) -> Mlp {
    let widths = [vec![8], vec![32; 19], vec![3]].concat();
    Mlp::new(widths).unwrap().activation(activation).init(lsuv(TOLERANCE, 20))
}

fn trainer(device: &Device, net: &Mlp, set: &Dataset) -> Result<Trainer, Error> {
    let options = TrainOptions { batch: None, seed: SEED, ..TrainOptions::default() };
    Trainer::new(device, net, &options, set, None)
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

/// Each layer's measurements: counted from 0, all but the last outside the tolerance.
fn check_log(log: &[LsuvStep], layers: usize, tolerance: f64, iterations: u32) -> Vec<LsuvStep> {
    let own = |layer| log.iter().filter(move |step| step.layer == layer);
    assert!(log.is_sorted_by_key(|step| (step.layer, step.iteration)));
    (0..layers)
        .map(|layer| {
            for (index, step) in own(layer).enumerate() {
                assert_eq!(step.iteration as usize, index);
                assert_eq!(step.reached, (step.variance - 1.0).abs() < tolerance);
                let ends = index + 1 == own(layer).count();
                assert_eq!(ends, step.reached || step.iteration == iterations, "{step:?}");
            }
            *own(layer).next_back().unwrap()
        })
        .collect()
}

#[test]
fn every_layer_has_unit_variance() {
    let set = examples(64, 8, 3, Loss::CROSS_ENTROPY);
    for activation in [Activation::Relu, Activation::Tanh, Activation::Gelu] {
        for bias in ["zeros", "normal:0.3"] {
            let net = deep(activation).bias(bias.parse().unwrap()).dropout(0.3);
            let mut logs: Vec<Vec<LsuvStep>> = Vec::new();
            for device in everywhere() {
                let mut trainer = trainer(device, &net, &set).unwrap();
                let last = check_log(trainer.lsuv_log(), 20, TOLERANCE, 20);
                let corrected: u32 = last.iter().map(|step| step.iteration).sum();
                // A bias is not scaled with the weights, so that one correction is not enough.
                assert!(if bias == "zeros" { corrected <= 20 } else { corrected > 20 });
                for (step, z) in last.iter().zip(signals(&mut trainer, &set)) {
                    let wanted = variance(&z);
                    let place = format!("{activation}, {bias}, {step:?}: {wanted}");
                    assert!(step.reached && (wanted - 1.0).abs() < TOLERANCE + 1e-3, "{place}");
                    // 20 layers that round sums of 32 terms: 2 * 20 * 32 u = 8e-5, and the
                    // nonlinearities' own errors.
                    assert!((step.variance - wanted).abs() < 1e-3, "{place}");
                }
                logs.push(trainer.lsuv_log().to_vec());
            }
            for log in &logs {
                assert_eq!(log.len(), logs[0].len());
                for (own, cpu) in log.iter().zip(&logs[0]) {
                    assert_eq!((own.layer, own.iteration), (cpu.layer, cpu.iteration));
                    assert!((own.variance / cpu.variance - 1.0).abs() < 1e-3, "{own:?}, {cpu:?}");
                }
            }
        }
    }
    // The mutated twin: the same start without the corrections is nowhere near after 20 layers.
    let mut plain = trainer(
        &Device::Cpu,
        &deep(Activation::Tanh).init(Init::lecun(fanin::init::Family::Normal)),
        &set,
    )
    .unwrap();
    assert!(plain.lsuv_log().is_empty());
    let last = signals(&mut plain, &set).pop().unwrap();
    assert!((variance(&last) - 1.0).abs() > 0.3, "{}", variance(&last));
}

#[test]
fn norms_connections_and_layers_of_ones_own() {
    let set = examples(64, 8, 3, Loss::CROSS_ENTROPY);
    let net = deep(Activation::Silu).layer_norm(true).residual(true);
    // The third layer's weights are others, and one tensor is the caller's.
    let given = fanin::random::Distribution::normal(0.5);
    let net = net
        .init_layer(2, Init::normal(0.0, 0.5))
        .custom_init(move |name, _| (name == "layers.4.weight").then_some(given));
    for device in everywhere() {
        let mut trainer = trainer(device, &net, &set).unwrap();
        let oracle = Oracle { residual: true, layer_norm: true, ..Oracle::of(&mut trainer) };
        let mut layers = vec![Vec::new(); 20];
        for row in set.features.to_f32().chunks_exact(8) {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            layers.iter_mut().zip(oracle.signals(&row)).for_each(|(all, z)| all.extend(z));
        }
        for (layer, z) in layers.iter().enumerate() {
            let measured = trainer.lsuv_log().iter().any(|step| step.layer == layer);
            assert_eq!(measured, layer != 2 && layer != 4);
            let near = (variance(z) - 1.0).abs() < TOLERANCE + 1e-3;
            assert_eq!(near, measured, "layer {layer}: {}", variance(z));
        }
    }
}

#[test]
fn what_cannot_be_scaled_is_named() {
    let set = examples(16, 8, 3, Loss::CROSS_ENTROPY);
    let refused = |net: &Mlp, set: &Dataset| -> String {
        let error = trainer(&Device::Cpu, net, set).err().expect("refused");
        assert!(error.is_usage());
        error.to_string()
    };
    let net = |init| Mlp::new([8, 16, 16, 3]).unwrap().init(init);
    for tolerance in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(refused(&net(lsuv(tolerance, 5)), &set).contains("LSUV's tolerance: got"));
    }
    for iterations in [0, 1001] {
        assert!(refused(&net(lsuv(0.1, iterations)), &set).contains("needed 1 to 1000"));
    }
    for device in everywhere() {
        let message = |net: &Mlp, set| trainer(device, net, set).err().unwrap().to_string();
        // A layer of zeros lets nothing through to the next.
        let dead = message(&net(lsuv(0.1, 5)).init_layer(1, Init::zeros()), &set);
        assert!(dead.starts_with("LSUV's variance of layers.2: got 0, needed signals"), "{dead}");
        let mut huge = set.clone();
        huge.features = vec![3e38f32; huge.features.len()].into();
        let message = message(&net(lsuv(0.1, 5)), &huge);
        assert!(message.starts_with("LSUV's variance of layers.0: got "), "{message}");
        assert!(message.contains("infinite or not a number"), "{message}");
        // Iterations that run out are no error, and are seen.
        let net = net(lsuv(1e-6, 1)).bias(Init::normal(0.0, 0.5));
        let trainer = trainer(device, &net, &set).unwrap();
        let last = check_log(trainer.lsuv_log(), 3, 1e-6, 1);
        assert!(last.iter().any(|step| !step.reached && step.iteration == 1), "{last:?}");
    }
    let bias = net(lsuv(0.1, 5)).bias(lsuv(0.1, 5)).recipe().unwrap_err().to_string();
    assert!(bias.contains("`layers.0.bias`") && bias.contains("weights alone"), "{bias}");
    let mup = net(lsuv(0.1, 5)).mup([16]).recipe().unwrap_err().to_string();
    assert!(mup.contains("with muP, needed another initializer"), "{mup}");
}
