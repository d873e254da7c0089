//! Training whose bits are the same on every device.

use fanin::op::{Arithmetic, Operands};
use fanin::verify::training::{self, Run};
use js_sys::Date;
use serde::{Deserialize, Serialize};

use crate::device::{Devices, On};
use crate::settings::Settings;
use crate::train::Lesson;
use crate::wire::{Failure, Progress};

#[derive(Serialize)]
pub struct Listed {
    name: String,
    network: String,
    golden: &'static str,
}

/// The runs whose digests are promised.
pub fn runs() -> Vec<Listed> {
    let listed = |Run { name, network, golden, .. }: Run| Listed { name, network, golden };
    training::runs().into_iter().map(listed).collect()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Which {
    At(usize),
    Named(String),
}

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    device: On,
    run: Which,
}

#[derive(Serialize)]
pub struct Trained {
    name: String,
    digest: String,
    golden: &'static str,
    ok: bool,
    milliseconds: f64,
}

/// Trains one of [`runs`].
pub fn exact(devices: &mut Devices, asked: &Asked) -> Result<Trained, Failure> {
    let mut runs = training::runs();
    let at = match &asked.run {
        Which::At(at) => (*at < runs.len()).then_some(*at),
        Which::Named(name) => runs.iter().position(|run| run.name == *name),
    };
    let Some(at) = at else {
        let names: Vec<String> = runs.into_iter().map(|run| run.name).collect();
        return Err(Failure::new(format!("run: needed one of {}, or its place", names.join("; "))));
    };
    let run = runs.swap_remove(at);
    let device = devices.get(asked.device)?;
    let start = Date::now();
    let digest = run.digest(&device)?;
    Ok(Trained {
        ok: run.golden.len() == 16 && digest.starts_with(run.golden),
        name: run.name,
        digest,
        golden: run.golden,
        milliseconds: Date::now() - start,
    })
}

#[derive(Deserialize)]
pub struct Lessons {
    #[serde(flatten)]
    lesson: Lesson,
    settings: Settings,
    #[serde(default)]
    device: On,
}

#[derive(Serialize)]
pub struct Learned {
    digest: String,
    milliseconds: f64,
    command: String,
    epochs: usize,
    train_loss: Option<f64>,
    test_accuracy: Option<f64>,
}

#[derive(Serialize)]
struct Epochs {
    done: usize,
    total: u64,
    train_loss: f64,
}

/// Trains a network of the page's, and says after each epoch how far it is.
pub fn train(
    devices: &mut Devices,
    asked: &Lessons,
    progress: &Progress,
) -> Result<Learned, Failure> {
    let Lessons { lesson, settings, device } = asked;
    let start = Date::now();
    let (rows, exact) = (lesson.rows()?, Arithmetic::Exact(Operands::Short));
    let mut trainer = lesson.trainer(devices, *device, settings, &rows, exact)?;
    let total = trainer.steps() / trainer.epoch_steps().max(1);
    while let Some(epoch) = trainer.epoch()? {
        let done = trainer.history().len();
        progress.tell(&Epochs { done, total, train_loss: epoch.train.loss });
    }
    if trainer.diverged() {
        let verdict = trainer.verdict()?;
        let reason = verdict.reason().unwrap_or_default();
        return Err(Failure::new(format!("it diverged, so there is no digest: {reason}")));
    }
    let last = trainer.history().last();
    Ok(Learned {
        milliseconds: Date::now() - start,
        command: lesson.command(settings, &settings.init, true),
        epochs: trainer.history().len(),
        train_loss: last.map(|epoch| epoch.train.loss),
        test_accuracy: last.and_then(|epoch| epoch.test).and_then(|test| test.accuracy),
        digest: trainer.digest()?,
    })
}
