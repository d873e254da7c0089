//! Signals and gradients through depth: measured against f64, against the theory, and against what
//! the theory's papers claim.

use fanin::Device;
use fanin::init::Init;
use fanin::model::{self, Loss, Mlp, Trainer};
use fanin::probe::{Advice, Advisor, Change, Kind, ProbeOptions, Run, Spread, heatmap, measure};
use fanin::random::{Distribution, Source, Stream};
use fanin::theory;
use fanin::{Activation, Result};

use crate::devices::{contexts, everywhere};
use crate::gradients::examples;

fn net(width: u64, depth: usize, activation: Activation, init: &str) -> Mlp {
    Mlp::new(vec![width; depth + 1]).unwrap().activation(activation).init(init.parse().unwrap())
}

fn on_cpu(mlp: &Mlp) -> Run {
    measure(&Device::Cpu, mlp, &ProbeOptions::default()).unwrap()
}

fn advised(mlp: &Mlp, options: &ProbeOptions) -> (Run, Advice) {
    let run = measure(&Device::Cpu, mlp, options).unwrap();
    let advice = Advisor::new(&Device::Cpu, options).advise(mlp, &run).unwrap();
    (run, advice)
}

/// The network in f64, with the drawn weights and the probe's own inputs and gradient.
struct Exact {
    z: Vec<Vec<f64>>,
    h: Vec<Vec<f64>>,
    gradient: Vec<Vec<f64>>,
    weight_gradient: Vec<Vec<f64>>,
}

fn exact(mlp: &Mlp, inputs: &[f32], batch: usize, residual: bool) -> Exact {
    let tensors = mlp.recipe().unwrap().tensors;
    let draw = |name: &str| -> Vec<f64> {
        let spec = tensors.iter().find(|tensor| tensor.name == name).unwrap();
        let Source::Elements(distribution) = spec.source else { panic!() };
        let stream = Stream::named(0, name);
        (0..spec.shape.elements()).map(|i| distribution.value(&stream, i).unwrap().into()).collect()
    };
    let widths: Vec<usize> = mlp.widths().iter().map(|&width| width as usize).collect();
    let (layers, f) = (mlp.layers(), mlp.nonlinearity());
    let skips = |layer: usize| residual && (1..layers - 1).contains(&layer);
    let weights: Vec<_> = (0..layers).map(|l| draw(&format!("layers.{l}.weight"))).collect();
    let mut h = vec![inputs.iter().copied().map(f64::from).collect::<Vec<f64>>()];
    let mut z = Vec::new();
    for layer in 0..layers {
        let (n, m) = (widths[layer], widths[layer + 1]);
        let bias = draw(&format!("layers.{layer}.bias"));
        let input = &h[layer];
        let values: Vec<f64> = (0..batch * m)
            .map(|at| {
                let (row, unit) = (at / m, at % m);
                bias[unit]
                    + (0..n).map(|j| weights[layer][unit * n + j] * input[row * n + j]).sum::<f64>()
            })
            .collect();
        let around = |at: usize| if skips(layer) { input[at] } else { 0.0 };
        let output = values.iter().enumerate().map(|(at, z)| match layer + 1 == layers {
            true => *z,
            false => f.value(*z) + around(at),
        });
        h.push(output.collect());
        z.push(values);
    }
    let stream = Stream::named(0, "probe.gradient");
    let normal = Distribution::normal(1.0);
    let top =
        (0..(batch * widths[layers]) as u64).map(|i| normal.value(&stream, i).unwrap().into());
    let mut gradient = vec![top.collect::<Vec<f64>>()];
    let mut weight_gradient = Vec::new();
    for layer in (0..layers).rev() {
        let (n, m) = (widths[layer], widths[layer + 1]);
        let own = gradient.last().unwrap().clone();
        let delta: Vec<f64> = own
            .iter()
            .zip(&z[layer])
            .map(|(g, z)| if layer + 1 == layers { *g } else { g * f.derivative(*z) })
            .collect();
        weight_gradient.push(
            (0..m * n)
                .map(|at| {
                    (0..batch).map(|r| delta[r * m + at / n] * h[layer][r * n + at % n]).sum()
                })
                .collect(),
        );
        let below = (0..batch * n).map(|at| {
            let through: f64 =
                (0..m).map(|i| weights[layer][i * n + at % n] * delta[at / n * m + i]).sum();
            through + if skips(layer) { own[at] } else { 0.0 }
        });
        gradient.push(below.collect());
    }
    gradient.pop();
    gradient.reverse();
    weight_gradient.reverse();
    h.remove(0);
    Exact { z, h, gradient, weight_gradient }
}

fn moments(values: &[f64]) -> (f64, f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| value * value).sum::<f64>();
    (mean, square / count - mean * mean, square.sqrt())
}

/// f32 sums of a dozen terms through three layers: 1e-5 of the size is many roundings.
#[test]
fn what_is_measured_is_the_f64_network() {
    const BATCH: usize = 6;
    let inputs: Vec<f32> = (0..BATCH * 7).map(|i| (0.7 * i as f32).sin() * 1.5).collect();
    for device in everywhere() {
        for (activation, residual) in [
            (Activation::Tanh, false),
            (Activation::Relu, false),
            (Activation::Gelu, true),
            (Activation::Sigmoid, true),
        ] {
            let mlp = Mlp::new([7, 9, 9, 9, 5])
                .unwrap()
                .activation(activation)
                .init("xavier_normal:gain=1.3".parse().unwrap())
                .bias("normal:0.2".parse().unwrap())
                .residual(residual);
            let options = ProbeOptions {
                batch: BATCH,
                inputs: Some(inputs.clone()),
                ..ProbeOptions::default()
            };
            let run = measure(device, &mlp, &options).unwrap();
            let exact = exact(&mlp, &inputs, BATCH, residual);
            for (index, layer) in run.layers.iter().enumerate() {
                let near = |what: &str, found: Spread, wanted: f64, size: f64| {
                    let error = (found.mean - wanted).abs();
                    assert!(
                        error <= 1e-5 * size,
                        "{activation} layer {}: {what} {} for {wanted}",
                        layer.layer,
                        found.mean
                    );
                };
                let (mean, variance, _) = moments(&exact.z[index]);
                near("E[z]", layer.preactivation_mean, mean, variance.sqrt() + mean.abs());
                near("Var(z)", layer.preactivation_var, variance, variance);
                let (mean, variance, _) = moments(&exact.h[index]);
                near("E[h]", layer.activation_mean, mean, variance.sqrt() + mean.abs());
                near("Var(h)", layer.activation_var, variance, variance + mean * mean);
                let (_, variance, norm) = moments(&exact.gradient[index]);
                near("Var(g)", layer.gradient_var, variance, variance);
                near("|g|", layer.gradient_norm, norm, norm);
                let (_, variance, norm) = moments(&exact.weight_gradient[index]);
                near("Var(dW)", layer.weight_gradient_var, variance, variance);
                near("|dW|", layer.weight_gradient_norm, norm, norm);
                let m = layer.width as usize;
                let h = &exact.h[index];
                let pairs = (0..BATCH / 2).map(|pair| {
                    let dot = |a: usize, b: usize| -> f64 {
                        (0..m).map(|i| h[a * m + i] * h[b * m + i]).sum()
                    };
                    let (a, b) = (2 * pair, 2 * pair + 1);
                    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
                });
                let cosine = pairs.sum::<f64>() / (BATCH / 2) as f64;
                near("cosine", layer.correlation, cosine, 1.0);
                let dead = (0..m).filter(|i| {
                    (0..BATCH).all(|r| activation.derivative(exact.z[index][r * m + i]) == 0.0)
                });
                let dead = if index == 3 { 0.0 } else { dead.count() as f64 / m as f64 };
                near("dead", layer.dead, dead, 1.0);
                let histogram = layer.histogram.as_ref().unwrap();
                assert_eq!(histogram.counts.iter().sum::<u64>(), (BATCH * m) as u64);
            }
        }
    }
}

/// `ln` of measured over predicted within `z` standard deviations of the theory's own finite-width
/// band, which is one input's and so above a batch's; its mean is below 0 by half of the variance.
/// Two-sided, 4.9 standard deviations are one in a million.
fn follows(run: &Run) -> std::result::Result<(), String> {
    const Z: f64 = 4.9;
    for layer in &run.layers {
        let predicted = layer.predicted.as_ref().unwrap();
        for (what, found, wanted, band) in [
            (
                "activations",
                layer.activation_var.mean + layer.activation_mean.mean.powi(2),
                predicted.activation_var + predicted.activation_mean.powi(2),
                predicted.activation_band,
            ),
            ("gradients", layer.gradient_var.mean, predicted.gradient_var, predicted.gradient_band),
        ] {
            let (off, allowed) = ((found / wanted).ln(), Z * band + 0.5 * band * band);
            // Of the gradient that is put in, the sample's own variance is all there is.
            if off.abs() > allowed.max(0.05) {
                let (width, depth) = (layer.width, layer.layer);
                return Err(format!("{what} {width} wide, layer {depth}: {off} beyond {allowed}"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_measured_curve_is_the_predicted_one() {
    for (width, depth) in [(128, 40), (256, 50), (512, 30), (2048, 8)] {
        for (activation, init) in [
            (Activation::Relu, "he_normal"),
            (Activation::Relu, "xavier_uniform"),
            (Activation::Tanh, "xavier_normal"),
            // Not GELU: its variance drifts off an unstable point, faster than a band that is linear
            // in logarithms follows.
            (Activation::Sigmoid, "xavier_normal"),
            (Activation::Selu, "lecun_normal"),
            (Activation::Relu, "orthogonal:relu"),
        ] {
            let mlp = net(width, depth, activation, init);
            let run =
                measure(&Device::Cpu, &mlp, &ProbeOptions { batch: 64, ..ProbeOptions::default() })
                    .unwrap();
            follows(&run).unwrap_or_else(|error| panic!("{activation} {init}: {error}"));
        }
    }
    // What normalizes, and what goes around.
    for (layer_norm, residual, activation, init) in [
        (true, false, Activation::Relu, "xavier_normal"),
        (false, true, Activation::Tanh, "xavier_normal"),
        (true, true, Activation::Tanh, "xavier_normal"),
        (true, true, Activation::Relu, "xavier_normal"),
        (false, true, Activation::Relu, "he_normal"),
        (false, true, Activation::Relu, "xavier_normal:gain=0.3"),
        (false, true, Activation::LeakyRelu { slope: 0.2 }, "he_normal"),
        (false, true, Activation::Gelu, "he_normal"),
        (false, true, Activation::Sigmoid, "xavier_normal"),
    ] {
        let mlp = net(256, 32, activation, init);
        let run = on_cpu(&mlp.layer_norm(layer_norm).residual(residual));
        follows(&run).unwrap_or_else(|error| panic!("{layer_norm} {residual}: {error}"));
    }
    // The twin that must fail: the prediction for another scale.
    let mut run = on_cpu(&net(256, 50, Activation::Relu, "xavier_normal"));
    let other = on_cpu(&net(256, 50, Activation::Relu, "he_normal"));
    for (layer, other) in run.layers.iter_mut().zip(other.layers) {
        layer.predicted = other.predicted;
    }
    assert!(follows(&run).is_err());
}

/// Around ReLU and its like, where activations and gradients grow along one direction: over many
/// seeds, 19 layers. Each seed's gradient strays by its band, its weights' gradient as the square of
/// one normal number does.
#[test]
fn gradients_follow_where_they_grow_along_one_direction() {
    let options =
        ProbeOptions { seeds: (100..160).collect(), batch: 32, ..ProbeOptions::default() };
    for activation in [Activation::Relu, Activation::Gelu] {
        let mlp = net(128, 20, activation, "he_normal").residual(true);
        let run = measure(&Device::Cpu, &mlp, &options).unwrap();
        for layer in &run.layers {
            let predicted = layer.predicted.unwrap();
            let off = (layer.gradient_var.mean / predicted.gradient_var).ln();
            let allowed = 4.9 * predicted.gradient_band / 60f64.sqrt() + 0.02;
            assert!(off.abs() <= allowed, "{activation} layer {}: {off}, {allowed}", layer.layer);
            let ratio = layer.weight_gradient_var.mean / predicted.weight_gradient_var;
            let allowed = 4.0 * (2.0f64 / 60.0).sqrt();
            assert!((ratio - 1.0).abs() <= allowed, "{activation} layer {}: {ratio}", layer.layer);
        }
        // Twice as much a layer, 2.6e5, is what it would be without that direction.
        let whole = run.layers[0].gradient_var.mean / run.layers[18].gradient_var.mean;
        assert!(whole > 8.0 * 2f64.powi(18) || activation != Activation::Relu, "{whole}");
    }
}

/// The theory's weights' gradient and cosine, with the seeds' spread for what it leaves out.
#[test]
fn weights_gradients_and_cosines_follow_too() {
    let options = ProbeOptions { seeds: (0..5).collect(), ..ProbeOptions::default() };
    for (activation, init) in [(Activation::Relu, "he_normal"), (Activation::Tanh, "he_normal")] {
        let run = measure(&Device::Cpu, &net(512, 20, activation, init), &options).unwrap();
        for layer in &run.layers {
            let predicted = layer.predicted.unwrap();
            let off = (layer.weight_gradient_var.mean / predicted.weight_gradient_var).ln();
            let band = predicted.gradient_band + predicted.activation_band;
            assert!(off.abs() <= 3.0 * band + 0.05, "{activation} layer {}: {off}", layer.layer);
            // 32 pairs of 512 units: a cosine's own deviation is 1 / sqrt(512) at most, and depth adds.
            let off = layer.correlation.mean - predicted.correlation;
            let allowed = 4.0 * (layer.layer as f64 / 512.0).sqrt();
            assert!(
                off.abs() <= allowed,
                "{activation} layer {}: cosine off by {off}",
                layer.layer
            );
        }
    }
}

/// Cho and Saul's (2009) arc-cosine kernel, and what holds for every function.
#[test]
fn the_correlation_map_is_the_arc_cosine() {
    for c in [-1.0f64, -0.5, 0.0, 0.3, 0.9, 1.0] {
        let wanted = ((1.0 - c * c).sqrt() + c * (std::f64::consts::PI - c.acos()))
            / (2.0 * std::f64::consts::PI);
        let found = theory::correlated(&Activation::Relu, 0.0, 1.0, c).unwrap();
        assert!((found - wanted).abs() <= 1e-3, "{c}: {found} for {wanted}");
    }
    for activation in [Activation::Tanh, Activation::Gelu, Activation::Sigmoid] {
        let moments = theory::moments(&activation, 2.0).unwrap();
        let at = |c: f64| theory::correlated(&activation, 0.0, 2.0, c).unwrap();
        assert!((at(0.0) - moments.mean.powi(2)).abs() < 1e-9);
        assert!((at(1.0) - moments.square).abs() < 1e-9);
        // Its slope at 1, times sigma_w^2, is chi.
        let step = 1e-4;
        let slope = (at(1.0) - at(1.0 - step)) / step / 2.0;
        assert!((slope / moments.slope - 1.0).abs() < 1e-2, "{activation}");
    }
    assert!(theory::correlated(&Activation::Relu, 0.0, 1.0, 1.5).is_err());
}

#[test]
fn zeros_keep_units_equal_for_good() {
    for init in ["zeros", "constant:0.05"] {
        let run = on_cpu(&net(32, 4, Activation::Tanh, init));
        assert_eq!(run.verdict.kind, Kind::Symmetric, "{init}: {}", run.verdict.reason);
    }
    // After training, too: every unit of a hidden layer still has the same weights.
    let set = examples(40, 3, 2, Loss::CROSS_ENTROPY);
    for (init, equal) in [("constant:0.05", true), ("xavier_normal", false)] {
        let mlp = Mlp::new([3, 8, 8, 2]).unwrap().activation(Activation::Tanh);
        let mlp = mlp.init(init.parse().unwrap());
        let options = model::TrainOptions { epochs: 20, batch: None, ..Default::default() };
        let mut trainer = Trainer::new(&Device::Cpu, &mlp, &options, &set, None).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        for (name, width) in [("layers.0.weight", 3), ("layers.1.weight", 8)] {
            let weights = trainer.parameter(name).unwrap();
            let rows: Vec<&[f32]> = weights.chunks(width).collect();
            let near = |a: &f32, b: &f32| (a - b).abs() <= 1e-5 * a.abs().max(1e-3);
            let same = rows.iter().all(|row| row.iter().zip(rows[0]).all(|(a, b)| near(a, b)));
            assert_eq!(same, equal, "{init} {name}");
        }
        assert_ne!(trainer.parameter("layers.0.weight").unwrap()[0], 0.05);
    }
}

/// `N(0, 0.01^2)` under ReLU: a factor of `width 0.01^2 / 2` a layer, down to where float32 ends.
#[test]
fn small_weights_vanish_at_the_predicted_rate() {
    let run = on_cpu(&net(256, 50, Activation::Relu, "normal:0.01"));
    assert_eq!(run.verdict.kind, Kind::Vanishing, "{}", run.verdict.reason);
    let advice = Advisor::new(&Device::Cpu, &ProbeOptions::default())
        .advise(&net(256, 50, Activation::Relu, "normal:0.01"), &run)
        .unwrap();
    assert_eq!(advice.instead.unwrap().to_string(), "he_normal");
    // Where float32 has lost the signal there is nothing to predict, and the gradient is 0.
    let lost = run.layers.iter().find(|layer| layer.activation_var.mean == 0.0).unwrap().layer;
    assert!((40..60).contains(&lost));
    assert!(run.layers[lost].predicted.is_none_or(|own| own.activation_var == 0.0));
    assert!(run.layers[..30].iter().all(|own| own.predicted.unwrap().gradient_var == 0.0));
    assert_eq!(run.verdict.gradient_limit, None, "what is multiplied by 0 does not underflow");
    let rate: f64 = 256.0 * 1e-4 / 2.0;
    let measured = run.layers[29].activation_var.mean / run.layers[0].activation_var.mean;
    let band = run.layers[29].predicted.unwrap().activation_band;
    assert!((measured / rate.powi(29)).ln().abs() <= 4.9 * band);
    // ln(1.4e-76) / ln(rate): where the predicted variance leaves float32's normal numbers.
    let depth = (1.4e-76f64.ln() / rate.ln()).ceil() as i64;
    let limit = run.verdict.signal_limit.unwrap();
    assert!(limit.seen && !limit.overflow && (limit.depth as i64 - depth).abs() <= 1, "{limit:?}");
}

#[test]
fn large_weights_explode_or_saturate() {
    let run = on_cpu(&net(256, 50, Activation::Relu, "normal:1"));
    assert_eq!(run.verdict.kind, Kind::Exploding, "{}", run.verdict.reason);
    // 128 a layer, up to a variance of (3.4e38)^2, which a few of 65,536 elements pass earlier.
    let limit = run.verdict.signal_limit.unwrap();
    let depth = (1.16e77f64.ln() / 128f64.ln()).ceil() as i64;
    assert!(limit.seen && limit.overflow && (limit.depth as i64 - depth).abs() <= 2, "{limit:?}");
    let run = on_cpu(&net(256, 20, Activation::Tanh, "normal:1"));
    assert_eq!(run.verdict.kind, Kind::Saturated, "{}", run.verdict.reason);
}

#[test]
fn dead_units_are_found() {
    let mlp = net(64, 6, Activation::Relu, "he_normal").bias("constant:-20".parse().unwrap());
    let run = on_cpu(&mlp);
    assert_eq!(run.verdict.kind, Kind::Dead, "{}", run.verdict.reason);
    assert_eq!(run.layers[0].dead.mean, 1.0);
    // A small positive bias lets every unit live at first.
    let mlp = net(64, 6, Activation::Relu, "he_normal").bias("constant:0.1".parse().unwrap());
    let run = on_cpu(&mlp);
    assert_eq!(run.verdict.kind, Kind::Healthy, "{}", run.verdict.reason);
    assert_eq!(run.layers[0].dead.mean, 0.0);
}

#[test]
fn xavier_keeps_tanh_he_keeps_relu_and_neither_the_other() {
    let verdict = |activation, init| on_cpu(&net(512, 100, activation, init)).verdict;
    let kind = |activation, init| verdict(activation, init).kind;
    assert_eq!(kind(Activation::Tanh, "xavier_normal"), Kind::Healthy);
    assert_eq!(kind(Activation::Relu, "he_normal"), Kind::Healthy);
    assert_eq!(kind(Activation::Relu, "xavier_normal"), Kind::Vanishing);
    // Under tanh larger scales are on the chaotic side: the gradient grows, by 1.2 a layer here (He's
    // by 1.05).
    let wide = verdict(Activation::Tanh, "he_normal:nonlinearity=hard_sigmoid");
    assert_eq!(wide.kind, Kind::Exploding, "{}", wide.reason);
    assert!(wide.reason.contains("gradient"), "{}", wide.reason);
    // Between the two the theory's critical weights hold any that has such a point.
    let mlp = net(512, 60, Activation::Tanh, "critical:tanh");
    let run = on_cpu(&mlp.bias("critical_bias:tanh".parse().unwrap()));
    assert_eq!(run.verdict.kind, Kind::Healthy, "{}", run.verdict.reason);
}

/// `f' <= 1/4`, so with weights of variance 1 / n a gradient's standard deviation falls by a factor of
/// 4 at least each layer; by not much more while pre-activations are small.
#[test]
fn sigmoid_divides_the_gradient_by_four_a_layer() {
    let run = on_cpu(&net(512, 12, Activation::Sigmoid, "xavier_normal"));
    for pair in run.layers[..11].windows(2) {
        let factor = (pair[0].gradient_var.mean / pair[1].gradient_var.mean).sqrt();
        assert!((0.21..=0.26).contains(&factor), "layer {}: {factor}", pair[0].layer);
    }
    assert_eq!(run.verdict.kind, Kind::Vanishing);
}

/// Devices differ in their last digits: 1e-3 after twelve layers is far above, and far below what
/// another network has.
#[test]
fn every_engine_measures_the_same() {
    let mlps = [
        net(40, 12, Activation::Relu, "he_normal").residual(true).layer_norm(true),
        net(33, 8, Activation::Tanh, "orthogonal"),
        net(20, 6, Activation::Gelu, "lsuv"),
        net(32, 5, Activation::Sin { omega: 30.0 }, "siren"),
        // Of a faster one behind a norm, digits part: it is chaotic.
        net(24, 5, Activation::Sin { omega: 2.0 }, "xavier_normal").layer_norm(true),
    ];
    for mlp in mlps {
        let options = ProbeOptions { seeds: vec![3, 4], batch: 20, ..ProbeOptions::default() };
        let wanted = measure(&Device::Cpu, &mlp, &options).unwrap();
        for context in contexts() {
            let found = measure(&context.clone().into(), &mlp, &options).unwrap();
            assert_eq!(found.verdict.kind, wanted.verdict.kind);
            for (found, wanted) in found.layers.iter().zip(&wanted.layers) {
                for (found, wanted) in [
                    (found.activation_var, wanted.activation_var),
                    (found.gradient_var, wanted.gradient_var),
                    (found.weight_gradient_norm, wanted.weight_gradient_norm),
                    (found.correlation, wanted.correlation),
                    (found.dead, wanted.dead),
                ] {
                    let error = (found.mean - wanted.mean).abs();
                    assert!(error <= 1e-3 * (wanted.mean.abs() + 1e-3), "{}", context.name());
                }
            }
        }
    }
}

#[test]
fn lsuv_brings_every_layer_to_unit_variance() {
    let run = on_cpu(&net(96, 15, Activation::Gelu, "lsuv:tolerance=0.02"));
    for layer in &run.layers {
        assert!((layer.preactivation_var.mean - 1.0).abs() < 0.02, "layer {}", layer.layer);
    }
    assert_eq!(run.lsuv.len(), 15);
    assert!(run.lsuv.iter().all(|log| (log.last().unwrap() - 1.0).abs() < 0.02));
    assert!(run.lsuv.iter().any(|log| log.len() > 1));
}

#[test]
fn the_map_shows_where_signals_live() {
    let mlp = net(64, 30, Activation::Relu, "he_normal");
    let map = heatmap(
        &Device::Cpu,
        &|init| mlp.clone().init(init).network(),
        0,
        vec![("he_normal".into(), 2f64.sqrt())],
        &mut || {},
    )
    .unwrap();
    // Without biases the edge of ReLU is He's scale.
    assert!((map.critical.unwrap() - 2f64.sqrt()).abs() < 1e-3, "{:?}", map.critical);
    let last = |row: usize| *map.activation_std[row].last().unwrap();
    assert!(last(0) < 1e-10 && last(map.scales.len() - 1) > 1e10);
    let near = |scale: &f64| (scale / 2f64.sqrt()).ln().abs();
    let row = (0..map.scales.len())
        .min_by(|a, b| near(&map.scales[*a]).total_cmp(&near(&map.scales[*b])));
    assert!((0.03..30.0).contains(&last(row.unwrap())));
    let tanh = heatmap(
        &Device::Cpu,
        &|init| net(32, 4, Activation::Tanh, "zeros").init(init).network(),
        0,
        vec![],
        &mut || {},
    )
    .unwrap();
    assert!((tanh.critical.unwrap() - 1.0).abs() < 0.02, "{:?}", tanh.critical);
}

#[test]
fn bad_options_are_refused() {
    let mlp = net(8, 3, Activation::Relu, "he_normal");
    let refused = |options: ProbeOptions, words: &[&str]| {
        let error = measure(&Device::Cpu, &mlp, &options).unwrap_err();
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(ProbeOptions { seeds: vec![], ..ProbeOptions::default() }, &["seeds", "at least one"]);
    refused(ProbeOptions { batch: 1, ..ProbeOptions::default() }, &["batch", "pairs"]);
    refused(ProbeOptions { correlation: 1.5, ..ProbeOptions::default() }, &["correlation", "1.5"]);
    refused(
        ProbeOptions { inputs: Some(vec![0.0; 7]), ..ProbeOptions::default() },
        &["inputs", "7 values"],
    );
    let mut inputs = vec![0.0; 256 * 8];
    inputs[11] = f32::NAN;
    refused(
        ProbeOptions { inputs: Some(inputs), ..ProbeOptions::default() },
        &["row 1, column 3", "NaN"],
    );
    let init: Result<Init> = "critical:sigmoid".parse();
    assert!(init.is_err());
    if cfg!(target_os = "linux") {
        let large = ProbeOptions { batch: 1 << 40, ..ProbeOptions::default() };
        refused(large, &["GiB", "a batch of"]);
    }
}

/// One rate, one verdict, whatever the depth; and not by the luck of a seed.
#[test]
fn a_verdict_does_not_change_with_depth() {
    for (activation, init, kind) in [
        // 256 / 100 / 2 = 1.28 a layer: x79 over 32, more than a hundred over 40.
        (Activation::Relu, "normal:0.1", Kind::Exploding),
        (Activation::Relu, "he_normal", Kind::Healthy),
        (Activation::Relu, "xavier_normal", Kind::Vanishing),
        (Activation::Tanh, "xavier_normal", Kind::Healthy),
        (Activation::Tanh, "he_normal", Kind::Healthy),
        (Activation::Sigmoid, "xavier_normal", Kind::Vanishing),
        (Activation::Sin { omega: 30.0 }, "siren", Kind::Healthy),
    ] {
        for (depth, seed) in [(3, 5), (8, 1), (32, 0), (40, 0), (90, 2)] {
            let options = ProbeOptions { batch: 32, seeds: vec![seed], ..ProbeOptions::default() };
            let run = measure(&Device::Cpu, &net(256, depth, activation, init), &options).unwrap();
            let reason = &run.verdict.reason;
            assert_eq!(run.verdict.kind, kind, "{activation} {init}, {depth} deep: {reason}");
        }
    }
}

/// What goes by rates is one kind at every depth; states may come with depth, as they do where a sum
/// of bounded branches grows.
#[test]
fn rates_know_no_depth() {
    const PLAIN: [bool; 2] = [false, false];
    const NORM: [bool; 2] = [true, false];
    const AROUND: [bool; 2] = [false, true];
    const BOTH: [bool; 2] = [true, true];
    for (activation, init, [layer_norm, residual], kind) in [
        // Of these one variance repels: below it ever more is lost, by sqrt(2) (0.6 sqrt(2)) a layer at
        // the end, and what is above it is ReLU's.
        ("gelu", "he_normal", PLAIN, Kind::Vanishing),
        ("silu", "he_normal", PLAIN, Kind::Vanishing),
        ("mish", "he_normal", PLAIN, Kind::Vanishing),
        ("gelu", "normal:0.1", PLAIN, Kind::Exploding),
        ("mish", "he_normal:nonlinearity=mish", PLAIN, Kind::Healthy),
        // Ever less a layer, and to a variance that attracts.
        ("tanh", "xavier_normal", PLAIN, Kind::Healthy),
        ("tanh", "normal:0.1", PLAIN, Kind::Healthy),
        ("softsign", "he_normal:nonlinearity=softsign", PLAIN, Kind::Exploding),
        ("selu", "lecun_normal", PLAIN, Kind::Healthy),
        ("softplus", "xavier_normal", PLAIN, Kind::Vanishing),
        ("relu", "xavier_normal", NORM, Kind::Healthy),
        ("relu", "he_normal", AROUND, Kind::Exploding),
        // The first layer has nothing around it and takes from the signal; the others add to it.
        ("silu", "xavier_normal", AROUND, Kind::Exploding),
        ("tanh", "he_normal", AROUND, Kind::Healthy),
        ("gelu", "xavier_normal", BOTH, Kind::Healthy),
    ] {
        for depth in [4, 8, 16, 32, 64] {
            let mlp = net(256, depth, activation.parse().unwrap(), init);
            let mlp = mlp.layer_norm(layer_norm).residual(residual);
            let options = ProbeOptions { batch: 16, ..ProbeOptions::default() };
            let verdict = measure(&Device::Cpu, &mlp, &options).unwrap().verdict;
            let (found, reason) = (verdict.kind, &verdict.reason);
            if found == Kind::Saturated && residual && kind == Kind::Healthy {
                assert!(depth >= 16, "{activation} {init} {depth}: {reason}");
                continue;
            }
            assert_eq!(found, kind, "{activation} {init}, {depth} deep: {reason}");
            let limits = [verdict.signal_limit, verdict.gradient_limit];
            for limit in limits.into_iter().flatten() {
                assert_eq!(limit.overflow, found == Kind::Exploding, "{activation} {init} {depth}");
            }
            // The rate that decided is said, and not that of layers that have not settled.
            if (activation, init) == ("gelu", "he_normal") {
                assert!(reason.contains("settles to being divided by 1.41 a layer"), "{reason}");
            }
        }
    }
}

/// A layer of its own has a gradient, whatever the layers after it would have.
#[test]
fn a_single_layer_has_nothing_to_be_lost_in() {
    for init in ["zeros", "normal:0.01", "normal:100"] {
        let run = on_cpu(&net(32, 1, Activation::Relu, init));
        assert_eq!(run.verdict.kind, Kind::Healthy, "{init}: {}", run.verdict.reason);
        assert!(run.layers[0].weight_gradient_norm.mean > 0.0);
        assert_eq!(run.verdict.signal_limit, None, "{init}");
    }
}

/// What is bounded overflows nothing at any depth; its gradient leaves float32 where that is so.
#[test]
fn a_bounded_signal_has_no_limit() {
    for (activation, init) in [
        (Activation::Sigmoid, "xavier_normal"),
        (Activation::Sigmoid, "normal:0.3"),
        (Activation::HardSigmoid, "xavier_normal"),
        (Activation::Tanh, "normal:0.4"),
        (Activation::Softsign, "normal:0.5"),
        (Activation::Relu6, "normal:1"),
        (Activation::Sin { omega: 30.0 }, "he_normal"),
    ] {
        for seed in 0..4 {
            let options = ProbeOptions { seeds: vec![seed], batch: 64, ..ProbeOptions::default() };
            let run = measure(&Device::Cpu, &net(64, 10, activation, init), &options).unwrap();
            assert_eq!(run.verdict.signal_limit, None, "{activation} {init}");
        }
    }
    // A factor of 16 at least a layer, until (1.2e-38)^2.
    let run = on_cpu(&net(64, 10, Activation::Sigmoid, "xavier_normal"));
    let limit = run.verdict.gradient_limit.unwrap();
    assert!(!limit.overflow && !limit.seen && (55..64).contains(&limit.depth), "{limit:?}");
}

#[test]
fn what_is_exactly_zero_does_not_underflow() {
    for (mlp, kind) in [
        (net(32, 6, Activation::Relu, "zeros"), Kind::Symmetric),
        (net(64, 6, Activation::Relu, "he_normal").bias(Init::constant(-20.0)), Kind::Dead),
    ] {
        let run = on_cpu(&mlp);
        assert_eq!(run.verdict.kind, kind);
        assert_eq!((run.verdict.signal_limit, run.verdict.gradient_limit), (None, None));
    }
}

#[test]
fn siren_is_healthy_with_its_omega_and_says_what_it_lacks() {
    let options = ProbeOptions::default();
    let healthy = on_cpu(&net(256, 10, Activation::Sin { omega: 30.0 }, "siren"));
    assert_eq!(healthy.verdict.kind, Kind::Healthy, "{}", healthy.verdict.reason);
    let (run, advice) = advised(&net(256, 10, Activation::Sin { omega: 1.0 }, "siren"), &options);
    assert_eq!(run.verdict.kind, Kind::Vanishing);
    assert!(run.verdict.reason.contains("an omega of 30, which sin lacks"));
    assert_eq!(advice.instead.unwrap().activation, Some(Activation::Sin { omega: 30.0 }));
    // Others on a fast sine are sent to SIREN's weights.
    let (run, advice) =
        advised(&net(64, 8, Activation::Sin { omega: 10.0 }, "he_normal"), &options);
    assert_eq!(run.verdict.kind, Kind::Exploding);
    assert_eq!(advice.instead.unwrap().to_string(), "siren:10");
}

/// What keeps an orthogonal matrix from its purpose is a gain that the nonlinearity takes away again.
#[test]
fn an_orthogonal_start_is_sent_to_the_gain_that_fits() {
    let options = ProbeOptions { batch: 64, ..ProbeOptions::default() };
    let (run, advice) = advised(&net(64, 20, Activation::Relu, "orthogonal"), &options);
    assert_eq!(run.verdict.kind, Kind::Vanishing);
    assert_eq!(advice.instead.unwrap().to_string(), "orthogonal:gain=relu");
    // What was measured before comes before what was not, as whoever measured it wrote it.
    let mut advisor = Advisor::new(&Device::Cpu, &options);
    let healthy = net(64, 20, Activation::Relu, "he_uniform");
    let mut found = measure(&Device::Cpu, &healthy, &options).unwrap();
    assert_eq!(found.verdict.kind, Kind::Healthy);
    found.init = "kaiming_uniform".into();
    advisor.note(&healthy, &found);
    let lost = net(64, 20, Activation::Relu, "zeros");
    let run = measure(&Device::Cpu, &lost, &options).unwrap();
    assert_eq!(advisor.advise(&lost, &run).unwrap().instead.unwrap().init, "kaiming_uniform");
}

/// Advice for a network that is not healthy, measured by itself, or that there is none.
fn holds(mlp: &Mlp, what: &str, options: &ProbeOptions) -> Option<std::result::Result<Change, ()>> {
    let (run, advice) = advised(mlp, options);
    if run.verdict.kind == Kind::Healthy {
        return None;
    }
    let Some(change) = advice.instead else {
        assert!(!advice.tried.is_empty(), "{what}: nothing was tried");
        return Some(Err(()));
    };
    let network = change.apply(mlp).unwrap();
    let found = measure(&Device::Cpu, &network, options).unwrap();
    let reason = found.verdict.reason;
    assert_eq!(found.verdict.kind, Kind::Healthy, "{what}: {change}: {reason}");
    // What is advised is not what was probed.
    let drawn = |mlp: &Mlp| {
        let tensors = mlp.recipe().unwrap().tensors;
        tensors.into_iter().map(|tensor| (tensor.name, tensor.source)).collect::<Vec<_>>()
    };
    let form = |mlp: &Mlp| format!("{mlp:?}");
    let lsuv = change.init.starts_with("lsuv");
    assert!(
        form(mlp) != form(&network) || drawn(mlp) != drawn(&network) || lsuv,
        "{what}: {change}"
    );
    Some(Ok(change))
}

#[test]
fn advice_was_tried() {
    let options = ProbeOptions { batch: 64, ..ProbeOptions::default() };
    let bias = |mlp: Mlp, bias: &str| mlp.bias(bias.parse().unwrap());
    let (run, advice) =
        advised(&bias(net(64, 10, Activation::Relu, "he_normal"), "constant:-3"), &options);
    assert_eq!(run.verdict.kind, Kind::Dead, "{}", run.verdict.reason);
    let change = advice.instead.unwrap();
    assert!(change.to_string().ends_with(", with zero biases"), "{change}");
    assert_eq!(change.bias.as_deref(), Some("zeros"));
    // No initializer alone helps a hard sigmoid, whose slope is 1/6.
    let mlp = net(64, 10, Activation::HardSigmoid, "xavier_normal");
    assert!(matches!(holds(&mlp, "hard sigmoid", &options), Some(Ok(_))));
    // Chance has the last word over 100 layers of 16 units, but for seeds by which it has not.
    let mlp = net(16, 100, Activation::Relu, "he_normal");
    let narrow = ProbeOptions { seeds: vec![4], ..options.clone() };
    let (run, advice) = advised(&mlp, &narrow);
    assert!(run.verdict.reason.contains("too narrow for its depth"), "{}", run.verdict.reason);
    let change = advice.instead.unwrap();
    assert_eq!(
        measure(&Device::Cpu, &change.apply(&mlp).unwrap(), &narrow).unwrap().verdict.kind,
        Kind::Healthy
    );
}

/// Activations by initializers by biases by widths by depths: where one is not healthy, what is
/// advised is. A few here; `FANIN_SWEEP=1` takes all, `FANIN_SWEEP=7` each seventh.
#[test]
fn advice_holds_everywhere() {
    let stride = std::env::var("FANIN_SWEEP").ok().and_then(|text| text.parse().ok());
    // A stride that is prime to the length of each list meets each of its items.
    let stride: u64 = stride.unwrap_or(79);
    let inits = [
        "zeros",
        "normal:0.01",
        "normal:0.5",
        "xavier_normal",
        "he_normal",
        "lecun_normal",
        "orthogonal",
        "torch_default",
        "siren",
    ];
    let biases = ["zeros", "constant:-3", "normal:1"];
    let sizes = [(8, 10), (16, 40), (64, 10), (64, 24)];
    let (mut count, mut healthy, mut without) = (0, 0, Vec::new());
    let mut changes = std::collections::BTreeMap::new();
    let mut place = 0;
    for activation in Activation::ALL.into_iter().chain([Activation::Sin { omega: 30.0 }]) {
        for init in inits {
            for bias in biases {
                for (width, depth) in sizes {
                    place += 1;
                    if place % stride != 0 {
                        continue;
                    }
                    let mlp = net(width, depth, activation, init).bias(bias.parse().unwrap());
                    let what = format!("{activation}, {init}, biases {bias}, {depth} x {width}");
                    let options =
                        ProbeOptions { batch: 32, seeds: vec![place], ..ProbeOptions::default() };
                    count += 1;
                    match holds(&mlp, &what, &options) {
                        None => healthy += 1,
                        Some(Ok(change)) => {
                            // All but the initializer's name.
                            let others = change.to_string().split_off(change.init.len());
                            *changes.entry(others).or_insert(0) += 1;
                        }
                        Some(Err(())) => without.push(what),
                    }
                }
            }
        }
    }
    println!("{count} networks, {healthy} healthy, {} without advice", without.len());
    println!("{changes:#?}");
    without.iter().for_each(|what| println!("  {what}"));
    assert!(without.len() * 10 <= count, "{without:?}");
}
