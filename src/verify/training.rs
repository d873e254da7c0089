//! Does a device keep the contract of the exact arithmetic ([`arithmetic`](crate::op::arithmetic))? Short runs
//! of training, each held to the digest of the weights and the optimizer's state that it ends with everywhere.
//!
//! ```
//! use fanin::Device;
//! use fanin::verify::training;
//!
//! let run = &training::runs()[0];
//! assert!(run.digest(&Device::Cpu)?.starts_with(run.golden));
//! # Ok::<(), fanin::Error>(())
//! ```

use super::Check;
use crate::model::data::{Dataset, Targets};
use crate::model::{Decay, Loss, Network, Optimizer, Schedule, Target, TrainOptions, Trainer};
use crate::op::{Arithmetic, Operands};
use crate::{Activation, Device, Result, Shape};

/// A short run, and what it ends with.
#[derive(Clone, Debug)]
pub struct Run {
    /// What is particular to it.
    pub name: String,
    /// The network, as [`Network::parse`] reads it: of pictures of 6 x 6 where it has windows, else of two
    /// features.
    pub network: String,
    /// What it trains with.
    pub options: TrainOptions,
    /// The first 16 digits of its digest: a promise.
    pub golden: &'static str,
}

/// Rows, in batches of 20, so that each epoch's last is short.
const ROWS: usize = 48;

/// Steps of a run: three in each of four epochs.
const STEPS: u64 = 12;

/// Every optimizer, loss and nonlinearity, every kind of layer, and operands of both lengths.
pub fn runs() -> Vec<Run> {
    let plain = TrainOptions {
        batch: Some(20),
        epochs: 4,
        seed: 7,
        lr: 0.01,
        arithmetic: Arithmetic::EXACT,
        ..TrainOptions::default()
    };
    let momentum = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut runs = Vec::new();
    let mut add = |name: String, network: &str, options: TrainOptions| {
        let golden = GOLDEN.iter().find(|(own, _)| *own == name).map_or("", |(_, digest)| digest);
        runs.push(Run { name, network: network.to_owned(), options, golden });
    };
    let short = "dense:40 tanh dense";
    for optimizer in Optimizer::ALL {
        let decay = if optimizer.weight_decay() > 0.0 { 0.1 } else { 0.01 };
        let optimizer = optimizer.with_weight_decay(decay);
        add(optimizer.to_string(), short, TrainOptions { optimizer, ..plain.clone() });
    }
    let schedule = Schedule { warmup: 3, decay: Decay::Cosine { floor: 0.1 } };
    let clipped =
        TrainOptions { optimizer: momentum, lr: 0.1, clip: Some(0.5), schedule, ..plain.clone() };
    add("clipped".into(), short, clipped);
    let smoothed = Loss::CrossEntropy { smoothing: 0.1 };
    for loss in Loss::ALL.into_iter().chain([smoothed]) {
        let options = TrainOptions { optimizer: momentum, loss: Some(loss), ..plain.clone() };
        add(loss.to_string(), "dense:24 relu dense", options);
    }
    let options = TrainOptions { optimizer: momentum, lr: 0.001, ..plain.clone() };
    for (at, activations) in Activation::ALL.chunks(5).enumerate() {
        let layers = activations.iter().map(|own| format!("dense:12 {own}"));
        let network = format!("{} dense", layers.collect::<Vec<_>>().join(" "));
        add(format!("nonlinearities {}", at + 1), &network, options.clone());
    }
    let layers = "dense:36 norm silu dropout:0.2 residual(norm dense:36 gelu dropout:0.1) dense";
    add("norm, dropout, residual".into(), layers, plain.clone());
    let windows =
        "conv:6,3,padding=1 relu max_pool:2 conv:6,2,groups=3 tanh avg_pool:2 flatten dense";
    add("windows".into(), windows, TrainOptions { optimizer: momentum, ..plain.clone() });
    let full = Arithmetic::Exact(Operands::Full);
    let options = TrainOptions { arithmetic: full, ..plain };
    add("operands of 24 bits".into(), layers, options.clone());
    add("windows, operands of 24 bits".into(), windows, options);
    runs
}

/// By name; those of a name that is not here are not promised yet.
const GOLDEN: &[(&str, &str)] = &[
    ("sgd", "5972f83c0f42a0df"),
    ("nesterov:0.9", "2789c9df9ac8fd1c"),
    ("adam", "915642824f5f4278"),
    ("adamw", "9f600958b38038ae"),
    ("rmsprop", "45153f81bb0b5637"),
    ("clipped", "3c4fe8c418e41e0e"),
    ("cross_entropy", "80865d34dcda79c5"),
    ("mse", "027ba4e93a71a5e3"),
    ("bce", "cb2821e478099914"),
    ("huber", "ace8f48e55ea4c56"),
    ("cross_entropy:0.1", "816b4dc7bfaaa1a1"),
    ("nonlinearities 1", "379c8d469aa3c0ef"),
    ("nonlinearities 2", "119d8a64ce1ee3d4"),
    ("nonlinearities 3", "af7625a7d60c99f6"),
    ("nonlinearities 4", "63a53e6fcafb8cbd"),
    ("norm, dropout, residual", "dfe2256b2d125cf6"),
    ("windows", "8aadb3c1c5c67c4d"),
    ("operands of 24 bits", "ce21dc79e6ea43a7"),
    ("windows, operands of 24 bits", "d07be8d5ba958d4c"),
];

impl Run {
    /// What it learns: a formula of whole numbers.
    fn rows(&self) -> Result<(Dataset, Shape)> {
        let pictures = self.network.contains("conv");
        let (shape, columns) = match pictures {
            true => (Shape::new([6u64, 6, 1])?, 36),
            false => (Shape::new([2u64])?, 2),
        };
        let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 31.0;
        let features: Vec<f32> = (0..ROWS * columns).map(value).collect();
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
        let targets = match self.options.loss.map(|loss| loss.target()) {
            Some(Target::Value) => Targets::Values {
                values: (0..2 * ROWS).map(|at| value(at * at + 5)).collect::<Vec<f32>>().into(),
                names: names(2),
            },
            _ => Targets::Classes {
                labels: (0..ROWS as u32).map(|row| row * row % 3).collect(),
                names: names(3),
            },
        };
        Ok((Dataset::new("rows", features, names(columns), targets)?, shape))
    }

    /// Trains it.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn trained(&self, device: &Device) -> Result<Trainer> {
        let (set, shape) = self.rows()?;
        let outputs = match &set.targets {
            Targets::Classes { names, .. } | Targets::Values { names, .. } => names.len() as u64,
        };
        let network = Network::parse(shape, outputs, &self.network)?;
        let mut trainer = Trainer::new(device, &network, &self.options, &set, None)?;
        while !trainer.finished() {
            trainer.advance()?;
        }
        Ok(trainer)
    }

    /// The digest of what it ends with ([`Trainer::digest`]).
    ///
    /// # Errors
    /// As [`Run::trained`].
    pub fn digest(&self, device: &Device) -> Result<String> {
        self.trained(device)?.digest()
    }
}

/// Trains every run on a device, and hands what came of each to `report` as it is done.
///
/// # Errors
/// Where the device fails; a digest that is another is no error.
pub fn device(device: &Device, report: &mut dyn FnMut(Check) -> Result<()>) -> Result<()> {
    for run in runs() {
        let digest = run.digest(device)?;
        let holds = run.golden.len() == 16 && digest.starts_with(run.golden);
        let found = match holds {
            true => format!("{} after {STEPS} steps", run.golden),
            false => format!("{} for {}", &digest[..16], run.golden),
        };
        report(Check { name: format!("trained: {}", run.name), values: STEPS, holds, found })?;
    }
    Ok(())
}
