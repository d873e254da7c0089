//! The gradients of whole networks against central differences of a forward pass in f64, which knows
//! nothing of how this crate computes either.

use fanin::Activation;
use fanin::Device;
use fanin::model::data::{Dataset, Targets};
use fanin::model::{Loss, Mlp, Optimizer, Target, TrainOptions, Trainer};
use fanin::random::{Distribution, Stream};

use crate::devices::{SEED, contexts, everywhere};

/// A network as its formulas have it.
pub struct Oracle {
    pub widths: Vec<usize>,
    pub activation: Activation,
    pub residual: bool,
    pub layer_norm: bool,
    pub loss: Loss,
    /// By name.
    pub parameters: Vec<(String, Vec<f64>)>,
}

impl Oracle {
    /// A plain network of these widths with a trainer's parameters, as they are.
    pub fn of(trainer: &mut Trainer) -> Oracle {
        let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
        let read = |name: String| {
            let values = trainer.parameter(&name).unwrap().into_iter().map(f64::from).collect();
            (name, values)
        };
        let parameters = names.into_iter().map(read).collect();
        Oracle {
            widths: trainer
                .network()
                .widths()
                .unwrap()
                .iter()
                .map(|&width| width as usize)
                .collect(),
            activation: trainer.network().nonlinearity(),
            residual: false,
            layer_norm: false,
            loss: trainer.loss(),
            parameters,
        }
    }

    fn find(&self, name: &str) -> &[f64] {
        &self.parameters.iter().find(|(own, _)| own == name).unwrap().1
    }

    /// The outputs for one row.
    pub fn forward(&self, row: &[f64]) -> Vec<f64> {
        self.signals(row).pop().unwrap()
    }

    /// Every layer's `z` for one row, the outputs last.
    pub fn signals(&self, row: &[f64]) -> Vec<Vec<f64>> {
        let layers = self.widths.len() - 1;
        let mut signals = Vec::new();
        let mut h = row.to_vec();
        for layer in 0..layers {
            let weight = self.find(&format!("layers.{layer}.weight"));
            let bias = self.find(&format!("layers.{layer}.bias"));
            let inputs = self.widths[layer];
            let mut z: Vec<f64> = (0..self.widths[layer + 1])
                .map(|unit| {
                    let row = &weight[unit * inputs..][..inputs];
                    bias[unit] + row.iter().zip(&h).map(|(w, x)| w * x).sum::<f64>()
                })
                .collect();
            signals.push(z.clone());
            if layer + 1 == layers {
                break;
            }
            if self.layer_norm {
                let count = z.len() as f64;
                let mean = z.iter().sum::<f64>() / count;
                let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / count;
                let scale = self.find(&format!("layers.{layer}.norm.weight"));
                let shift = self.find(&format!("layers.{layer}.norm.bias"));
                for (unit, z) in z.iter_mut().enumerate() {
                    *z = (*z - mean) / (variance + 1e-5).sqrt() * scale[unit] + shift[unit];
                }
            }
            let mut next: Vec<f64> = z.iter().map(|z| self.activation.value(*z)).collect();
            if self.residual && layer > 0 && next.len() == h.len() {
                next.iter_mut().zip(&h).for_each(|(next, h)| *next += h);
            }
            h = next;
        }
        signals
    }

    /// The mean loss over rows.
    pub fn loss(&self, set: &Dataset) -> f64 {
        let columns = set.columns();
        let features = set.features.to_f32();
        let rows = features.chunks_exact(columns).enumerate();
        let total: f64 = rows
            .map(|(index, row)| {
                let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
                let z = self.forward(&row);
                let classes = z.len() as f64;
                match (&set.targets, self.loss) {
                    (Targets::Classes { labels, .. }, Loss::CrossEntropy { smoothing }) => {
                        let high = z.iter().copied().fold(f64::MIN, f64::max);
                        let sum: f64 = z.iter().map(|z| (z - high).exp()).sum();
                        let normalizer = high + sum.ln();
                        (0..z.len())
                            .map(|class| {
                                let own = f64::from(u8::from(class as u32 == labels[index]));
                                let q = (1.0 - smoothing) * own + smoothing / classes;
                                q * (normalizer - z[class])
                            })
                            .sum()
                    }
                    (Targets::Values { values, .. }, loss) => {
                        let values = values.to_f32();
                        let wanted = values[index * z.len()..][..z.len()].iter();
                        let terms = z.iter().zip(wanted.map(|value| f64::from(*value)));
                        let one = |(z, t): (&f64, f64)| match loss {
                            Loss::MeanSquaredError => (z - t).powi(2),
                            Loss::Huber { delta } => {
                                let inner = (z - t).abs().min(delta);
                                inner * ((z - t).abs() - inner / 2.0)
                            }
                            _ => {
                                let s = 1.0 / (1.0 + (-z).exp());
                                -t * s.ln() - (1.0 - t) * (1.0 - s).ln()
                            }
                        };
                        terms.map(one).sum::<f64>() / classes
                    }
                    other => panic!("no such loss: {other:?}"),
                }
            })
            .sum();
        total / set.rows() as f64
    }

    /// The gradient of one element by a central difference.
    pub fn slope(&mut self, set: &Dataset, tensor: usize, element: usize) -> f64 {
        let step = 1e-5;
        let at = self.parameters[tensor].1[element];
        self.parameters[tensor].1[element] = at + step;
        let above = self.loss(set);
        self.parameters[tensor].1[element] = at - step;
        let below = self.loss(set);
        self.parameters[tensor].1[element] = at;
        (above - below) / (2.0 * step)
    }
}

/// Rows of normal features with targets for a loss.
pub fn examples(rows: usize, columns: usize, outputs: usize, loss: Loss) -> Dataset {
    let draw = |name: &str, count: usize| -> Vec<f32> {
        let stream = Stream::named(SEED, name);
        let normal = Distribution::normal(1.0);
        (0..count).map(|index| normal.value(&stream, index as u64).unwrap()).collect()
    };
    let words = Stream::named(SEED, "labels");
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let targets = match loss.target() {
        Target::Class => Targets::Classes {
            labels: (0..rows as u64).map(|row| words.word(row) % outputs as u32).collect(),
            names: names(outputs),
        },
        Target::Value => Targets::Values {
            values: draw("targets", rows * outputs).into(),
            names: names(outputs),
        },
        Target::Share => {
            let values = draw("targets", rows * outputs);
            let values = values.into_iter().map(|value| f32::from(u8::from(value > 0.0)));
            let values: Vec<f32> = values.collect();
            Targets::Values { values: values.into(), names: names(outputs) }
        }
    };
    Dataset {
        name: "examples".into(),
        features: draw("features", rows * columns).into(),
        feature_names: names(columns),
        targets,
    }
}

/// Each, and one with another number.
fn losses() -> Vec<Loss> {
    Loss::ALL.into_iter().chain([Loss::CrossEntropy { smoothing: 0.1 }]).collect()
}

/// A network, and how much of it is looked at.
#[derive(Clone, Copy)]
struct Case<'a> {
    widths: &'a [u64],
    rows: usize,
    /// Every how many-th element of a gradient.
    every: usize,
}

const SMALL: Case<'_> = Case { widths: &[3, 5, 5, 4, 4, 2], rows: 6, every: 1 };

/// Beyond the groups of four, the lanes and the tiles of any kernel.
const ODD: Case<'_> = Case { widths: &[7, 65, 65, 33, 3], rows: 67, every: 97 };

fn check(
    device: &Device,
    case: Case<'_>,
    activation: Activation,
    loss: Loss,
    residual: bool,
    norm: bool,
) {
    let Case { widths, rows, every } = case;
    let mlp = Mlp::new(widths)
        .unwrap()
        .activation(activation)
        .init("he_normal".parse().unwrap())
        .bias("uniform:0.1,0.3".parse().unwrap())
        .residual(residual)
        .layer_norm(norm);
    let set = examples(rows, widths[0] as usize, widths[widths.len() - 1] as usize, loss);
    let options = TrainOptions {
        loss: Some(loss),
        batch: None,
        optimizer: Optimizer::sgd(),
        seed: SEED,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(device, &mlp, &options, &set, None).unwrap();
    let found_loss = trainer.backward().unwrap();
    let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
    let mut oracle = Oracle {
        widths: widths.iter().map(|width| *width as usize).collect(),
        activation,
        residual,
        layer_norm: norm,
        loss,
        parameters: names
            .iter()
            .map(|name| {
                let values = trainer.parameter(name).unwrap();
                (name.clone(), values.into_iter().map(f64::from).collect())
            })
            .collect(),
    };
    let place = format!(
        "{}, {activation}, {loss}, residual {residual}, layer norm {norm}",
        trainer.device()
    );
    let wanted_loss = oracle.loss(&set);
    // Five layers of at most five products and an activation good to 4e-6: some 30 roundings deep,
    // amplified by no more than the layers' gains, which are about 1; layer norm over four units
    // divides by their deviation, a tenth at worst here.
    let tolerance = if norm { 5e-4 } else { 5e-5 };
    assert!(
        (found_loss - wanted_loss).abs() <= tolerance * (1.0 + wanted_loss),
        "{place}: loss {found_loss}, by definition {wanted_loss}"
    );
    for (tensor, name) in names.iter().enumerate() {
        let found = trainer.gradient(name).unwrap();
        let wanted: Vec<(usize, f64)> = (0..found.len())
            .step_by(every)
            .map(|element| (element, oracle.slope(&set, tensor, element)))
            .collect();
        let size = wanted.iter().fold(0.0f64, |most, (_, own)| most.max(own.abs()));
        for (element, wanted) in wanted {
            let found = found[element];
            assert!(
                (f64::from(found) - wanted).abs() <= tolerance * (size + 0.1),
                "{place}: gradient of {name}[{element}] is {found}, by differences {wanted}"
            );
        }
    }
}

#[test]
fn on_the_cpu_every_activation_with_every_loss() {
    for activation in Activation::ALL {
        for loss in losses() {
            for (residual, norm) in [(false, false), (true, false), (false, true), (true, true)] {
                check(&Device::Cpu, SMALL, activation, loss, residual, norm);
            }
        }
    }
}

#[test]
fn on_every_adapter_every_activation_and_every_loss() {
    let losses = losses();
    for context in contexts() {
        for (index, activation) in Activation::ALL.into_iter().enumerate() {
            let loss = losses[index % losses.len()];
            check(&context.clone().into(), SMALL, activation, loss, index % 2 == 1, index % 3 == 0);
        }
    }
}

#[test]
fn everywhere_a_network_of_odd_widths() {
    for device in everywhere() {
        check(device, ODD, Activation::Gelu, Loss::CrossEntropy { smoothing: 0.1 }, true, true);
        check(device, ODD, Activation::Tanh, Loss::MeanSquaredError, true, false);
    }
}
