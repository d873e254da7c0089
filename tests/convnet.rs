//! Networks of convolutions, through the trainer: as PyTorch trains them, and as differences of f64 have
//! it.

use fanin::model::data::{Dataset, Generated, Targets};
use fanin::model::layers::{ActivationLayer, Conv, Dense, Flatten, Pool};
use fanin::model::{Loss, Network, Optimizer, TrainOptions, Trainer};
use fanin::op::Pooling;
use fanin::{Activation, Shape};

use crate::devices::{SEED, everywhere};
use crate::gradients::examples;

/// As `conv/pytorch.py` has it.
fn numbers(count: usize, factor: usize, shift: usize, modulus: usize, scale: f32) -> Vec<f32> {
    let number = |index: usize| ((index * factor + shift) % modulus) as f32;
    (0..count).map(|index| (number(index) - (modulus / 2) as f32) / scale).collect()
}

fn shape(dims: &[u64]) -> Shape {
    Shape::new(dims).unwrap()
}

#[test]
fn twenty_steps_are_pytorchs() {
    let table: serde_json::Value = serde_json::from_str(include_str!("conv/pytorch.json")).unwrap();
    let numbers_of = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|own| own.as_f64().unwrap()).collect()
    };
    let conv1 = Conv { padding: [1, 1], ..Conv::new(6, [3, 3]) };
    let conv2 = Conv { stride: [2, 2], padding: [1, 1], groups: 2, ..Conv::new(8, [3, 3]) };
    let average = Pool { stride: Some([1, 1]), ..Pool::new(Pooling::Average, [2, 2]) };
    let network = Network::new(shape(&[12, 12, 3]))
        .layer("conv1", conv1)
        .layer("relu1", ActivationLayer(Activation::Relu))
        .layer("pool1", Pool::new(Pooling::Max, [2, 2]))
        .layer("conv2", conv2)
        .layer("relu2", ActivationLayer(Activation::Relu))
        .layer("pool2", average)
        .layer("flatten", Flatten)
        .layer("linear", Dense::new(5));
    let (rows, columns) = (16, 12 * 12 * 3);
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let features = numbers(rows * columns, 53, 0, 97, 32.0);
    let labels = (0..rows as u32).map(|row| row % 5).collect();
    let targets = Targets::Classes { labels, names: names(5) };
    let set = Dataset::new("formula", features, names(columns), targets).unwrap();
    let optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let options = TrainOptions {
        loss: Some(Loss::CROSS_ENTROPY),
        optimizer,
        lr: 0.05,
        batch: None,
        epochs: 20,
        shuffle: false,
        ..TrainOptions::default()
    };
    for device in everywhere() {
        let mut trainer = Trainer::new(device, &network, &options, &set, None).unwrap();
        let parts: Vec<(String, usize)> = trainer
            .parameters()
            .iter()
            .map(|own| (own.name.clone(), own.shape.elements() as usize))
            .collect();
        for (place, (name, elements)) in parts.iter().enumerate() {
            let values = numbers(*elements, 37, 11 * place, 101, 256.0);
            trainer.set_parameter(name, &values).unwrap();
        }
        while trainer.epoch().unwrap().is_some() {}
        let losses = numbers_of(&table["losses"]);
        assert_eq!(trainer.history().len(), losses.len());
        for (epoch, wanted) in trainer.history().iter().zip(losses) {
            assert!((epoch.train.loss - wanted).abs() < 1e-5, "{device}: {epoch:?}, not {wanted}");
        }
        for (name, elements) in parts {
            let found = trainer.parameter(&name).unwrap();
            let wanted = numbers_of(&table["parameters"][&name]);
            assert_eq!([found.len(), wanted.len()], [elements; 2], "{name}");
            for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let error = (f64::from(*found) - wanted).abs();
                assert!(error < 1e-5, "{device}: {name}[{at}] is {found}, not {wanted}");
            }
        }
    }
}

/// Pictures of a batch, in f64.
#[derive(Clone)]
struct Picture {
    sides: [usize; 3],
    values: Vec<f64>,
}

impl Picture {
    fn at(&self, y: isize, x: isize, channel: usize) -> Option<f64> {
        let [height, width, channels] = self.sides;
        let on = y >= 0 && x >= 0 && y < height as isize && x < width as isize;
        on.then(|| self.values[(y as usize * width + x as usize) * channels + channel])
    }

    /// What `element` makes of each place's window, whose corner it is given, and of an output.
    fn mapped(
        &self,
        [kernel, stride, padding]: [usize; 3],
        outputs: usize,
        element: impl Fn(isize, isize, usize) -> f64,
    ) -> Picture {
        let places = |size: usize| (size + 2 * padding - kernel) / stride + 1;
        let sides = [places(self.sides[0]), places(self.sides[1]), outputs];
        let corner = |place: usize| (place * stride) as isize - padding as isize;
        let mut values = Vec::new();
        for y in 0..sides[0] {
            for x in 0..sides[1] {
                values.extend((0..outputs).map(|own| element(corner(y), corner(x), own)));
            }
        }
        Picture { sides, values }
    }

    fn convolved(&self, weight: &[f64], bias: &[f64], form: [usize; 3], groups: usize) -> Picture {
        let (kernel, own) = (form[0], self.sides[2] / groups);
        let per_group = bias.len() / groups;
        self.mapped(form, bias.len(), |y, x, output| {
            let mut sum = bias[output];
            for channel in 0..own {
                for (i, j) in crate::conv::places(kernel, kernel) {
                    let tap = ((output * own + channel) * kernel + i) * kernel + j;
                    let from = output / per_group * own + channel;
                    let value = self.at(y + i as isize, x + j as isize, from);
                    sum += weight[tap] * value.unwrap_or(0.0);
                }
            }
            sum
        })
    }

    fn window(&self, kernel: usize, y: isize, x: isize, channel: usize) -> Vec<f64> {
        let taps = crate::conv::places(kernel, kernel);
        taps.filter_map(|(i, j)| self.at(y + i as isize, x + j as isize, channel)).collect()
    }

    fn activated(mut self, activation: Activation) -> Picture {
        self.values.iter_mut().for_each(|value| *value = activation.value(*value));
        self
    }
}

/// The logits of one row: a convolution, the greatest of windows that overlap, a depthwise convolution, means,
/// a convolution of one element, a sum of all.
fn logits(row: &[f64], parameters: &[Vec<f64>]) -> Vec<f64> {
    let part = |at: usize| parameters[at].as_slice();
    let picture = Picture { sides: [7, 6, 2], values: row.to_vec() };
    let one = picture.convolved(part(0), part(1), [3, 1, 1], 1).activated(Activation::Tanh);
    let greatest = one.mapped([3, 2, 1], 4, |y, x, channel| {
        one.window(3, y, x, channel).into_iter().fold(f64::NEG_INFINITY, f64::max)
    });
    let two = greatest.convolved(part(2), part(3), [2, 1, 1], 4).activated(Activation::Sigmoid);
    let means = two.mapped([2, 2, 1], 8, |y, x, channel| {
        two.window(2, y, x, channel).into_iter().sum::<f64>() / 4.0
    });
    let three = means.convolved(part(4), part(5), [1, 1, 0], 1).activated(Activation::Tanh);
    let bias = part(7);
    (0..bias.len())
        .map(|output| {
            let weights = &part(6)[output * three.values.len()..][..three.values.len()];
            bias[output] + weights.iter().zip(&three.values).map(|(w, x)| w * x).sum::<f64>()
        })
        .collect()
}

#[test]
fn gradients_are_those_of_differences() {
    let text = "conv:4,3,padding=1 tanh max_pool:3,stride=2,padding=1 \
                conv:8,2,padding=1,groups=4 sigmoid avg_pool:2,padding=1 conv:3,1 tanh flatten dense";
    let network = Network::parse(shape(&[7, 6, 2]), 3, text)
        .unwrap()
        .init("he_normal".parse().unwrap())
        .bias("uniform:0.1,0.3".parse().unwrap());
    let set = examples(5, 7 * 6 * 2, 3, Loss::CROSS_ENTROPY);
    let options = TrainOptions {
        batch: None,
        optimizer: Optimizer::sgd(),
        seed: SEED,
        ..TrainOptions::default()
    };
    let features: Vec<f64> = set.features.to_f32().iter().map(|x| f64::from(*x)).collect();
    let Targets::Classes { labels, .. } = &set.targets else { panic!("classes") };
    let loss = |parameters: &[Vec<f64>]| -> f64 {
        let rows = features.chunks_exact(7 * 6 * 2).zip(labels);
        let losses = rows.map(|(row, label)| {
            let z = logits(row, parameters);
            z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[*label as usize]
        });
        losses.sum::<f64>() / labels.len() as f64
    };
    for device in everywhere() {
        let mut trainer = Trainer::new(device, &network, &options, &set, None).unwrap();
        let found_loss = trainer.backward().unwrap();
        let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
        let mut parameters: Vec<Vec<f64>> = names
            .iter()
            .map(|name| trainer.parameter(name).unwrap().into_iter().map(f64::from).collect())
            .collect();
        let wanted_loss = loss(&parameters);
        // As for perceptrons: a few layers of short sums, and functions good to 4e-6.
        let tolerance = 5e-5;
        assert!((found_loss - wanted_loss).abs() <= tolerance, "{device}: {found_loss}");
        for (tensor, name) in names.iter().enumerate() {
            let found = trainer.gradient(name).unwrap();
            let slopes: Vec<f64> = (0..found.len())
                .map(|element| {
                    let (at, step) = (parameters[tensor][element], 1e-5);
                    let mut moved = |to: f64| {
                        parameters[tensor][element] = to;
                        loss(&parameters)
                    };
                    let slope = (moved(at + step) - moved(at - step)) / (2.0 * step);
                    moved(at);
                    slope
                })
                .collect();
            let size = slopes.iter().fold(0.0f64, |most, own| most.max(own.abs()));
            for (element, (found, wanted)) in found.iter().zip(slopes).enumerate() {
                let error = (f64::from(*found) - wanted).abs();
                let bound = tolerance * (size + 0.1);
                assert!(error <= bound, "{device}: {name}[{element}] is {found}, not {wanted}");
            }
        }
    }
}

/// Vectors of 64 features are pictures of 8 x 8.
#[test]
fn digits_are_learnt() {
    let text = "conv:8,3,padding=1 relu max_pool:2 conv:16,3,padding=1,groups=2 relu avg_pool:2 \
                flatten dense";
    let (train, test) =
        Generated::Digits.generate(SEED, Some(1000)).unwrap().split(SEED, 0.2).unwrap();
    let network = Network::parse(shape(&[64]), 10, text).unwrap();
    let options = TrainOptions { epochs: 8, lr: 0.01, seed: SEED, ..TrainOptions::default() };
    for device in everywhere() {
        let mut trainer = Trainer::new(device, &network, &options, &train, Some(&test)).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        let accuracy = trainer.history()[7].test.unwrap().accuracy.unwrap();
        assert!(accuracy > 0.9, "{device}: {accuracy}");
    }
}

/// A layer reads what it writes of itself.
#[test]
fn layers_read_what_they_are_written_as() {
    for text in [
        "conv:4,3",
        "conv:4,3x2,stride=2,padding=1x0",
        "conv:6,2,dilation=2,groups=2",
        "max_pool:2",
        "max_pool",
        "avg_pool:3x2,stride=1,padding=1",
        "avg_pool",
    ] {
        let network = Network::parse(shape(&[9, 8, 2]), 3, text).unwrap();
        assert_eq!(network.layers()[0].layer.to_string(), text);
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let refused = |input: &[u64], text: &str| {
        Network::parse(shape(input), 3, text).map(drop).unwrap_err().to_string()
    };
    for (input, text, message) in [
        (
            &[9, 8, 2][..],
            "conv:4",
            "layer `conv:4`: got too few numbers, needed conv:OUTPUTS,KERNEL",
        ),
        (&[9, 8, 2], "conv:4,3y", "layer `conv:4,3y`: got 3y"),
        (&[9, 8, 2], "conv:4,3,stile=2", "layer `conv:4,3,stile=2`: got stile"),
        (&[9, 8, 2], "conv:4,10", "layer `conv:4,10`: convolution: kernel: got 10"),
        (&[7], "conv:4,3", "layer `conv:4,3`: conv: got rows of shape [7], needed pictures"),
        (&[9, 8, 2], "max_pool:2 conv:4,5", "layer `conv:4,5`: convolution: kernel: got 5"),
    ] {
        let found = refused(input, text);
        assert!(found.starts_with(message), "{text}: {found}");
    }
}
