//! Networks as lists of layers: what is written is what is trained, in any order of layers.

use std::collections::HashMap;

use fanin::init::Init;
use fanin::model::data::{Dataset, Targets};
use fanin::model::{Loss, Mlp, Network, Optimizer, TrainOptions, Trainer};
use fanin::{Activation, Shape};

use crate::devices::{contexts, everywhere};

/// Rows that a little is to be learnt of.
fn set(columns: usize, classes: u32) -> Dataset {
    let rows = 24;
    let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 31.0;
    let features: Vec<f32> = (0..rows * columns).map(value).collect();
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let labels = (0..rows as u32).map(|row| row * row % classes).collect();
    let targets = Targets::Classes { labels, names: names(classes as usize) };
    Dataset::new("rows", features, names(columns), targets).unwrap()
}

fn parsed(columns: u64, classes: u64, text: &str) -> Network {
    Network::parse(Shape::new([columns]).unwrap(), classes, text).unwrap()
}

fn options(batch: usize) -> TrainOptions {
    let optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    TrainOptions {
        optimizer,
        lr: 0.05,
        batch: Some(batch),
        epochs: 3,
        seed: 5,
        ..TrainOptions::default()
    }
}

fn parameters(trainer: &mut Trainer) -> Vec<(String, Vec<f32>)> {
    let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
    names.into_iter().map(|name| (name.clone(), trainer.parameter(&name).unwrap())).collect()
}

/// A perceptron and the same as it is written.
fn twins() -> Vec<(Mlp, &'static str)> {
    let mlp = || Mlp::new([6, 16, 16, 16, 3]).unwrap();
    vec![
        (mlp(), "dense:16 relu dense:16 relu dense:16 relu dense"),
        (
            mlp().activation(Activation::Gelu).dropout(0.2).residual(true),
            "dense:16 gelu dropout:0.2 residual(dense:16 gelu dropout:0.2) \
             residual(dense:16 gelu dropout:0.2) dense",
        ),
        (
            mlp().activation(Activation::Tanh).layer_norm(true).residual(true).dropout(0.1),
            "dense:16 norm tanh dropout:0.1 residual(dense:16 norm tanh dropout:0.1)
             residual(dense:16 norm tanh dropout:0.1) dense",
        ),
    ]
}

#[test]
fn a_perceptron_is_the_network_that_is_written() {
    let set = set(6, 3);
    for (mlp, text) in twins() {
        let written = parsed(6, 3, text);
        for device in everywhere() {
            let mut one = Trainer::new(device, &mlp, &options(10), &set, None).unwrap();
            let mut other = Trainer::new(device, &written, &options(10), &set, None).unwrap();
            assert_eq!(one.dispatches_per_step(), other.dispatches_per_step(), "{text}");
            while one.epoch().unwrap().is_some() {}
            while other.epoch().unwrap().is_some() {}
            assert_eq!(parameters(&mut one), parameters(&mut other), "{text} on {device}");
        }
    }
}

/// Whatever stands between products costs no dispatch of its own: a product forward, two back but for
/// the first layer, a loss and an update.
#[test]
fn elementwise_layers_join_the_products() {
    let set = set(6, 3);
    let dispatches = |text: &str| {
        let device = contexts()[0].clone().into();
        let network = parsed(6, 3, text);
        Trainer::new(&device, &network, &options(10), &set, None).unwrap().dispatches_per_step()
    };
    let plain = dispatches("dense:16 dense:16 dense");
    assert_eq!(plain, 1 + 3 + 1 + 5 + 1);
    for text in [
        "dense:16 relu dense:16 gelu dense",
        "dense:16 relu dropout:0.5 dense:16 gelu dropout:0.5 dense",
        "dense:16 relu residual(dense:16 gelu dropout:0.5) dense",
        "dense:16 residual(dense:16) dense",
    ] {
        assert_eq!(dispatches(text), plain, "{text}");
    }
    // A norm is one forward, and one back with two sums over rows.
    let normed = dispatches("dense:16 norm relu dropout:0.5 residual(dense:16 gelu) dense");
    assert_eq!(normed, plain + 4);
    // What a layer puts out is kept for whoever looks for where numbers end, so that of what comes after
    // a sum the nonlinearity stands alone; on the way back it joins the product above.
    assert_eq!(dispatches("dense:16 residual(dense:16) relu dense"), plain + 1);
}

/// How many layers without weights had a name.
type Seen = HashMap<String, usize>;

/// The name of a layer without weights, of which `stage` with weights came before.
fn beside(kind: &str, stage: usize, seen: &mut Seen) -> String {
    let before = match stage {
        0 => "input".to_owned(),
        stage => format!("layers.{}", stage - 1),
    };
    let name = format!("{before}.{kind}");
    let number = seen.entry(name.clone()).or_default();
    *number += 1;
    if *number == 1 { name } else { format!("{name}{number}") }
}

/// A network as written, in f64 and by itself.
struct Oracle<'a> {
    parameters: &'a HashMap<String, Vec<f64>>,
}

impl Oracle<'_> {
    /// What layers make of a row; `stage` counts those with weights, `seen` the others by their names.
    fn all(&self, text: &str, mut x: Vec<f64>, stage: &mut usize, seen: &mut Seen) -> Vec<f64> {
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(within) = rest.strip_prefix("residual(") {
                let mut open = 1;
                let end = within.find(|c| {
                    open += i32::from(c == '(') - i32::from(c == ')');
                    open == 0
                });
                let end = end.unwrap();
                let y = self.all(&within[..end], x.clone(), stage, seen);
                x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
                rest = within[end + 1..].trim_start();
                continue;
            }
            let (one, other) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = other.trim_start();
            x = match one.split(':').next().unwrap() {
                "dense" => {
                    let name = format!("layers.{stage}");
                    let weight = &self.parameters[&format!("{name}.weight")];
                    let bias = &self.parameters[&format!("{name}.bias")];
                    *stage += 1;
                    let sum = |(row, bias): (&[f64], &f64)| {
                        row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>() + bias
                    };
                    weight.chunks(x.len()).zip(bias).map(sum).collect()
                }
                "norm" => {
                    let name = beside("norm", *stage, seen);
                    let mean = x.iter().sum::<f64>() / x.len() as f64;
                    let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                    let scale = &self.parameters[&format!("{name}.weight")];
                    let shift = &self.parameters[&format!("{name}.bias")];
                    let normal = x.iter().map(|x| (x - mean) / (var + 1e-5).sqrt());
                    normal.zip(scale).zip(shift).map(|((x, g), s)| g * x + s).collect()
                }
                "flatten" => x,
                _ => {
                    let f: Activation = one.parse().expect("an arm for each layer");
                    x.into_iter().map(|x| f.value(x)).collect()
                }
            };
        }
        x
    }

    /// The mean cross-entropy.
    fn loss(&self, text: &str, set: &Dataset) -> f64 {
        let Targets::Classes { labels, .. } = &set.targets else { panic!("classes") };
        let features = set.features.to_f32();
        let rows = features.chunks_exact(set.columns()).zip(labels);
        let of_row = |(row, label): (&[f32], &u32)| {
            let z = self.all(
                text,
                row.iter().map(|x| f64::from(*x)).collect(),
                &mut 0,
                &mut Seen::new(),
            );
            let most = z.iter().fold(f64::MIN, |most, z| most.max(*z));
            most + z.iter().map(|z| (z - most).exp()).sum::<f64>().ln() - z[*label as usize]
        };
        rows.map(of_row).sum::<f64>() / set.rows() as f64
    }
}

/// Layers in orders that no perceptron has them in.
const TEXTS: &[&str] = &[
    "residual(norm dense:6 gelu dense:6) residual(norm dense:6) norm dense",
    "dense:5 residual(dense:5 tanh) tanh dense",
    "dense:5 residual(residual(dense:5 silu) dense:5) softplus residual(tanh) dense",
    "tanh dense:5 norm norm sigmoid norm dense tanh",
    "norm dense:4 tanh sigmoid dense gelu",
    "dense:5 norm residual(tanh dense:5 residual(norm)) dense:4 flatten dense",
    "dense:7 gelu residual(dense:7) residual(dense:7) residual(dense:7 norm tanh) dense",
    "residual(tanh residual(sigmoid)) dense:3 mish dense",
    "dense",
];

#[test]
fn gradients_of_layers_in_any_order_are_f64s() {
    let set = set(6, 3);
    for text in TEXTS {
        let network = parsed(6, 3, text).init("xavier_normal".parse().unwrap());
        let network = network.bias("normal:0.3".parse::<Init>().unwrap());
        let options = TrainOptions { batch: None, shuffle: false, ..options(24) };
        let mut wanted: Option<(f64, Vec<Vec<f64>>)> = None;
        for device in everywhere() {
            let mut trainer = Trainer::new(device, &network, &options, &set, None).unwrap();
            let (loss, derivatives) =
                &*wanted.get_or_insert_with(|| differences(text, &mut trainer, &set));
            let found = trainer.backward().unwrap();
            assert!((found - loss).abs() < 1e-5 * loss, "{text} on {device}: {found}, {loss}");
            for (parameter, wanted) in trainer.parameters().to_vec().iter().zip(derivatives) {
                let found = trainer.gradient(&parameter.name).unwrap();
                // Sums of some hundred products of f32s, each off by a rounding.
                let size = wanted.iter().fold(0f64, |size, own| size.max(own.abs()));
                for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                    let error = (f64::from(*found) - wanted).abs();
                    let name = &parameter.name;
                    assert!(
                        error <= 2e-5 * (size + 0.1),
                        "{text} on {device}: {name}[{at}] {found}, {wanted}"
                    );
                }
            }
        }
    }
}

/// The loss, and its derivative by every parameter: the difference quotient, off by h^2 of a third
/// derivative and by an ulp over h.
fn differences(text: &str, trainer: &mut Trainer, set: &Dataset) -> (f64, Vec<Vec<f64>>) {
    let wide = |(name, values): (String, Vec<f32>)| {
        (name, values.into_iter().map(f64::from).collect::<Vec<f64>>())
    };
    let list = parameters(trainer);
    let mut values: HashMap<_, _> = list.iter().cloned().map(wide).collect();
    let loss = Oracle { parameters: &values }.loss(text, set);
    let h = 1e-5;
    let mut shifted = |name: &str, at: usize, by: f64| {
        values.get_mut(name).unwrap()[at] += by;
        let loss = Oracle { parameters: &values }.loss(text, set);
        values.get_mut(name).unwrap()[at] -= by;
        loss
    };
    let mut derivatives = Vec::new();
    for (name, own) in &list {
        let one = |at| (shifted(name, at, h) - shifted(name, at, -h)) / (2.0 * h);
        derivatives.push((0..own.len()).map(one).collect());
    }
    (loss, derivatives)
}

#[test]
fn networks_learn_and_go_on_where_they_were() {
    let set = set(6, 3);
    let text = "dense:16 residual(norm dense:16 gelu dropout:0.1 dense:16) dense";
    let folder = tempfile::tempdir().unwrap();
    for device in everywhere() {
        let network = parsed(6, 3, text);
        let long = TrainOptions { epochs: 60, ..options(12) };
        let mut whole = Trainer::new(device, &network, &long, &set, None).unwrap();
        while whole.epoch().unwrap().is_some() {}
        assert_eq!(whole.verdict().unwrap().name(), "learned", "{device}");

        let short = TrainOptions { epochs: 20, ..options(12) };
        let mut first = Trainer::new(device, &network, &short, &set, None).unwrap();
        while first.epoch().unwrap().is_some() {}
        let path = folder.path().join("run.safetensors");
        first.save(&path, true).unwrap();
        let mut second = Trainer::new(device, &network, &long, &set, None).unwrap();
        second.resume(&path).unwrap();
        while second.epoch().unwrap().is_some() {}
        assert_eq!(parameters(&mut whole), parameters(&mut second));

        let other = parsed(6, 3, &text.replace("gelu", "relu"));
        let error = Trainer::new(device, &other, &long, &set, None).unwrap().resume(&path);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("architecture") && error.contains("gelu"), "{error}");
    }
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("", "no layers"),
        ("dens:3", "unknown layer `dens`"),
        ("dense:x", "layer `dense:x`: got x, needed dense[:OUTPUTS]"),
        ("dense:3,4", "got 4"),
        ("dense:0", "1 to 2^24"),
        ("residual(dense:6", "a `)` for each `(`"),
        ("residual() dense", "residual: got no layers"),
        (&"residual(".repeat(2000), "a `)` for each"),
        (&["residual(".repeat(2000), ")".repeat(2000)].concat(), "at most 32 within"),
        ("dropout", "too few numbers"),
        ("dropout:1.5", "below 1"),
        ("leaky_relu:x dense", "leaky_relu:x"),
        ("dense:a=3", "got a=3, needed dense[:OUTPUTS]"),
        ("norm:3", "got 3, needed `norm`, which takes no numbers"),
    ];
    for (text, part) in cases {
        let error = Network::parse(Shape::new([6]).unwrap(), 3, text);
        let error = error.and_then(|network| network.recipe()).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let network = parsed(6, 3, "dense:4 residual(dense:5) dense");
    let error = network.recipe().unwrap_err().to_string();
    assert!(error.contains("layers that make [5] of [4]"), "{error}");
    let error = parsed(6, 3, "relu").recipe().unwrap_err().to_string();
    assert!(error.contains("a layer with weights"), "{error}");
    let set = set(6, 3);
    let narrow = parsed(6, 3, "dense:2");
    let options = TrainOptions { loss: Some(Loss::CROSS_ENTROPY), ..options(10) };
    let error = Trainer::new(&everywhere()[0], &narrow, &options, &set, None).err().unwrap();
    assert!(error.to_string().contains("2 outputs"), "{error}");
}

#[test]
fn mup_takes_any_layers() {
    let text = |width: u64| format!("dense:{width} residual(norm dense:{width} gelu) dense");
    let network = parsed(6, 3, &text(64)).mup(parsed(6, 3, &text(16)));
    let stds: Vec<f64> =
        network.recipe().unwrap().tensors.iter().map(|own| own.source.std()).collect();
    let base: Vec<f64> = parsed(6, 3, &text(16))
        .recipe()
        .unwrap()
        .tensors
        .iter()
        .map(|own| own.source.std())
        .collect();
    // The norm's parameters and the second layer's come between.
    let ratios: Vec<f64> = [0, 4, 6].iter().map(|at| stds[*at] / base[*at]).collect();
    for (found, wanted) in ratios.into_iter().zip([1.0, 0.5, 0.25]) {
        assert!((found - wanted).abs() < 1e-12, "{found}, {wanted}");
    }
    let error = network.clone().mup(parsed(6, 3, "dense:4 dense")).recipe().unwrap_err();
    assert!(error.to_string().contains("muP's base network"), "{error}");
}
