//! Networks on their way, side by side: what `fanin train` trains.

use fanin::model::data::{Dataset, Generated, Standardizer, Targets};
use fanin::model::{Epoch, Optimizer, Schedule, TrainOptions, Trainer};
use fanin::op::Arithmetic;
use js_sys::{Date, Float32Array, Uint8Array, Uint32Array};
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::preserve;

use crate::device::{Devices, On};
use crate::settings::{Settings, quoted};
use crate::wire::{Failure, Number};

/// What is to be learned, and how.
#[derive(Clone, Deserialize)]
pub struct Lesson {
    data: String,
    seed: u64,
    #[serde(default = "adam")]
    optimizer: String,
    /// None for the optimizer's own.
    lr: Option<f64>,
    #[serde(default = "constant")]
    schedule: String,
    #[serde(default = "usual")]
    batch: usize,
    #[serde(default = "forty")]
    epochs: u64,
}

fn adam() -> String {
    "adam".into()
}

fn constant() -> String {
    "constant".into()
}

fn usual() -> usize {
    64
}

fn forty() -> u64 {
    40
}

/// The share of rows that networks are tested on: the command line's.
const TESTED: f64 = 0.2;

/// Rows, as networks see them.
pub struct Rows {
    train: Dataset,
    test: Dataset,
    classes: Vec<String>,
    standardizer: Standardizer,
}

impl Lesson {
    /// # Errors
    /// Where there is no such set.
    pub fn rows(&self) -> Result<Rows, Failure> {
        let set: Generated = self.data.parse()?;
        let (mut train, mut test) = set.generate(self.seed, None)?.split(self.seed, TESTED)?;
        let Targets::Classes { names, .. } = &train.targets else {
            return Err(Failure::new(format!("data: got {set}, needed one that has classes")));
        };
        let classes = names.clone();
        let standardizer = Standardizer::fit(&train);
        standardizer.apply(&mut train)?;
        standardizer.apply(&mut test)?;
        Ok(Rows { train, test, classes, standardizer })
    }

    fn options(&self, arithmetic: Arithmetic) -> Result<TrainOptions, Failure> {
        let optimizer: Optimizer = self.optimizer.parse().map_err(Failure::of("optimizer"))?;
        let schedule: Schedule = self.schedule.parse().map_err(Failure::of("schedule"))?;
        Ok(TrainOptions {
            optimizer,
            schedule,
            lr: self.lr.unwrap_or(optimizer.default_lr()),
            batch: Some(self.batch),
            epochs: self.epochs,
            seed: self.seed,
            arithmetic,
            ..TrainOptions::default()
        })
    }

    /// A network that is to learn it.
    pub fn trainer(
        &self,
        devices: &mut Devices,
        on: On,
        settings: &Settings,
        rows: &Rows,
        arithmetic: Arithmetic,
    ) -> Result<Trainer, Failure> {
        if settings.depth < 2 {
            let depth = settings.depth;
            return Err(Failure::new(format!("depth: got {depth}, needed 2 or more to train")));
        }
        let mlp = settings.mlp(rows.train.columns() as u64, rows.classes.len() as u64)?;
        let device = devices.get(on)?;
        let options = self.options(arithmetic)?;
        Ok(Trainer::new(&device, &mlp, &options, &rows.train, Some(&rows.test))?)
    }

    /// The command that trains networks that differ in their initializers alone, by these.
    pub fn command(&self, settings: &Settings, inits: &str, exact: bool) -> String {
        let Lesson { data, seed, optimizer, lr, schedule, batch, epochs } = self;
        let hidden = vec![settings.width.to_string(); settings.depth as usize - 1].join(",");
        let lr = lr.map_or(String::new(), |lr| format!(" --lr {lr}"));
        let schedule = match schedule.as_str() {
            "constant" => String::new(),
            schedule => format!(" --schedule {}", quoted(schedule)),
        };
        format!(
            "fanin train --data {data} --hidden {hidden}{} --optimizer {}{lr}{schedule} --batch {batch} --epochs \
             {epochs} --seed {seed}{}",
            settings.flags(inits),
            quoted(optimizer),
            if exact { " --exact" } else { "" }
        )
    }
}

#[derive(Deserialize)]
pub struct Start {
    #[serde(flatten)]
    lesson: Lesson,
    runs: Vec<Settings>,
    #[serde(default)]
    device: On,
}

/// What is trained.
pub struct Training {
    rows: Rows,
    runs: Vec<Run>,
}

struct Run {
    trainer: Trainer,
    /// The weights, by layer.
    weights: Vec<String>,
    /// Epochs that were told.
    told: usize,
}

#[derive(Serialize)]
pub struct Started {
    classes: Vec<String>,
    columns: usize,
    /// Standardized, as the networks see them, row by row.
    #[serde(with = "preserve")]
    features: Float32Array,
    #[serde(with = "preserve")]
    labels: Uint32Array,
    /// 1 for the rows that are kept for testing.
    #[serde(with = "preserve")]
    test: Uint8Array,
    /// Of each column, what was taken from it and what it was divided by.
    means: Vec<f64>,
    stds: Vec<f64>,
    /// Where points of a plane lie, with a margin.
    extent: Option<[f32; 4]>,
    steps_per_epoch: u64,
    steps: u64,
    command: String,
    runs: Vec<StartedRun>,
}

#[derive(Serialize)]
struct StartedRun {
    layers: Vec<String>,
    parameters: u64,
}

/// Networks side by side at most.
const MOST: usize = 2;

impl Training {
    pub fn start(devices: &mut Devices, start: Start) -> Result<(Training, Started), Failure> {
        let Start { lesson, runs: all, device } = start;
        if !(1..=MOST).contains(&all.len()) {
            let given = all.len();
            return Err(Failure::new(format!("runs: got {given}, needed 1 to {MOST} networks")));
        }
        let rows = lesson.rows()?;
        let mut runs = Vec::new();
        let mut told = Vec::new();
        for settings in &all {
            let trainer = lesson.trainer(devices, device, settings, &rows, Arithmetic::Native)?;
            let parameters = trainer.parameters();
            told.push(StartedRun {
                layers: (0..settings.depth).map(|layer| format!("layers.{layer}")).collect(),
                parameters: parameters.iter().map(|own| own.shape.elements()).sum(),
            });
            let weights = (0..settings.depth).map(|layer| format!("layers.{layer}.weight"));
            runs.push(Run { weights: weights.collect(), trainer, told: 0 });
        }
        let features = [rows.train.features.to_f32(), rows.test.features.to_f32()].concat();
        let labels = [&rows.train, &rows.test].map(|set| match &set.targets {
            Targets::Classes { labels, .. } => &labels[..],
            Targets::Values { .. } => &[],
        });
        let test = [vec![0; labels[0].len()], vec![1; labels[1].len()]].concat();
        let first = &runs[0].trainer;
        let started = Started {
            classes: rows.classes.clone(),
            columns: rows.train.columns(),
            features: Float32Array::from(&features[..]),
            labels: Uint32Array::from(&labels.concat()[..]),
            test: Uint8Array::from(&test[..]),
            means: rows.standardizer.features.iter().map(|scale| scale.mean).collect(),
            stds: rows.standardizer.features.iter().map(|scale| scale.std).collect(),
            extent: extent(&features, rows.train.columns()),
            steps_per_epoch: first.epoch_steps(),
            steps: first.steps(),
            command: commands(&lesson, &all),
            runs: told,
        };
        Ok((Training { rows, runs }, started))
    }
}

/// One command, or two where more than the initializer differs.
fn commands(lesson: &Lesson, all: &[Settings]) -> String {
    let alike = |own: &Settings| Settings { init: all[0].init.clone(), ..own.clone() } == all[0];
    let mut inits: Vec<&str> = all.iter().map(|own| own.init.as_str()).collect();
    inits.dedup();
    if all.iter().all(alike) {
        return lesson.command(&all[0], &inits.join(","), false);
    }
    let each = all.iter().map(|own| lesson.command(own, &own.init, false));
    each.collect::<Vec<_>>().join("\n")
}

fn extent(features: &[f32], columns: usize) -> Option<[f32; 4]> {
    if columns != 2 {
        return None;
    }
    let mut ends = [f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY];
    for point in features.chunks_exact(2) {
        for (axis, value) in point.iter().enumerate() {
            ends[2 * axis] = ends[2 * axis].min(*value);
            ends[2 * axis + 1] = ends[2 * axis + 1].max(*value);
        }
    }
    let margin = 0.06 * (ends[1] - ends[0]).max(ends[3] - ends[2]);
    Some([ends[0] - margin, ends[1] + margin, ends[2] - margin, ends[3] + margin])
}

#[derive(Deserialize)]
pub struct Advance {
    milliseconds: f64,
}

#[derive(Serialize)]
pub struct Advanced {
    step: u64,
    epoch: u64,
    finished: bool,
    runs: Vec<AdvancedRun>,
}

#[derive(Serialize)]
struct AdvancedRun {
    step: u64,
    /// Over the steps of the epoch that is under way, or of the last.
    loss: Option<Number>,
    accuracy: Option<f64>,
    epochs: Vec<Ended>,
    /// The Euclidean norm of the gradient of each layer's weights in the last step.
    gradient: Vec<Number>,
    diverged: bool,
}

#[derive(Serialize)]
struct Ended {
    epoch: u64,
    train_loss: Number,
    train_accuracy: Option<f64>,
    test_loss: Option<Number>,
    test_accuracy: Option<f64>,
}

impl Training {
    /// Trains by turns until the time is used, and until all have made as many steps; in no time, a step each.
    pub fn advance(&mut self, advance: &Advance) -> Result<Advanced, Failure> {
        let milliseconds = advance.milliseconds;
        if !(0.0..=60_000.0).contains(&milliseconds) {
            return Err(Failure::new(format!(
                "milliseconds: got {milliseconds}, needed 0 to 60000"
            )));
        }
        let (start, mut all) = (Date::now(), true);
        loop {
            let going = || self.runs.iter().filter(|run| !run.trainer.finished());
            let Some(least) = going().map(|run| run.trainer.step()).min() else { break };
            let most = going().map(|run| run.trainer.step()).max();
            let over = Date::now() - start >= milliseconds;
            if over && !all && most == Some(least) {
                break;
            }
            all = false;
            let behind = |run: &&mut Run| !run.trainer.finished() && run.trainer.step() == least;
            for run in self.runs.iter_mut().filter(behind) {
                // How many steps a trainer takes at once follows from how long they last, for each by itself: by
                // as many they might never come level.
                match over {
                    false => run.trainer.advance()?,
                    true => run.trainer.advance_one()?,
                }
            }
        }
        let runs = self.runs.iter_mut().map(Run::advanced).collect::<Result<Vec<_>, _>>()?;
        let step = self.runs.iter().map(|run| run.trainer.step()).max().unwrap_or_default();
        Ok(Advanced {
            step,
            epoch: step / self.runs[0].trainer.epoch_steps().max(1),
            finished: self.runs.iter().all(|run| run.trainer.finished()),
            runs,
        })
    }

    fn run(&mut self, at: usize) -> Result<&mut Run, Failure> {
        let count = self.runs.len();
        let failed = || Failure::new(format!("run: got {at}, needed below {count}"));
        self.runs.get_mut(at).ok_or_else(failed)
    }
}

impl Run {
    fn advanced(&mut self) -> Result<AdvancedRun, Failure> {
        let trainer = &mut self.trainer;
        let epochs: Vec<Ended> = trainer.history()[self.told..].iter().map(ended).collect();
        self.told = trainer.history().len();
        let last = trainer.history().last().map(|epoch| epoch.train);
        let score = trainer.so_far().or(last);
        let mut gradient = Vec::new();
        for name in &self.weights {
            let values = trainer.gradient(name)?;
            let squares = values.iter().map(|value| f64::from(*value) * f64::from(*value));
            gradient.push(Number(squares.sum::<f64>().sqrt()));
        }
        Ok(AdvancedRun {
            step: trainer.step(),
            loss: score.map(|score| Number(score.loss)),
            accuracy: score.and_then(|score| score.accuracy),
            epochs,
            gradient,
            diverged: trainer.diverged(),
        })
    }
}

fn ended(epoch: &Epoch) -> Ended {
    Ended {
        epoch: epoch.epoch,
        train_loss: Number(epoch.train.loss),
        train_accuracy: epoch.train.accuracy,
        test_loss: epoch.test.map(|test| Number(test.loss)),
        test_accuracy: epoch.test.and_then(|test| test.accuracy),
    }
}

#[derive(Deserialize)]
pub struct Boundary {
    run: usize,
    columns: usize,
    rows: usize,
    extent: Option<[f32; 4]>,
}

#[derive(Serialize)]
pub struct Bounded {
    #[serde(with = "preserve")]
    classes: Uint8Array,
    #[serde(with = "preserve")]
    certainty: Float32Array,
}

/// Points of a picture at most.
const POINTS: usize = 1 << 18;

impl Training {
    /// Of each point of a grid, the upper row first, the class and how sure the network is of it.
    pub fn boundary(&mut self, asked: &Boundary) -> Result<Bounded, Failure> {
        let Boundary { run, columns, rows, extent: window } = *asked;
        let train = &self.rows.train;
        let usual = extent(&train.features.to_f32(), train.columns());
        let Some([x0, x1, y0, y1]) = usual.map(|usual| window.unwrap_or(usual)) else {
            return Err(Failure::new(format!(
                "boundary: got data of {} columns, needed 2",
                train.columns()
            )));
        };
        let count = columns.saturating_mul(rows);
        if count == 0 || count > POINTS {
            return Err(Failure::new(format!(
                "boundary: got {columns} x {rows} points, needed 1 to {POINTS}"
            )));
        }
        let place = |at: usize, of: usize, from: f32, to: f32| {
            from + (to - from) * (at as f32 + 0.5) / of as f32
        };
        let points: Vec<f32> = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .flat_map(|(row, column)| [place(column, columns, x0, x1), place(row, rows, y1, y0)])
            .collect();
        let classes = self.rows.classes.len();
        let outputs = self.run(run)?.trainer.predict(&points)?;
        let (mut best, mut sure) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for row in outputs.chunks_exact(classes) {
            let shares = softmax(row);
            let found = (0..classes).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0);
            best.push(found as u8);
            sure.push(shares[found] as f32);
        }
        Ok(Bounded {
            classes: Uint8Array::from(&best[..]),
            certainty: Float32Array::from(&sure[..]),
        })
    }
}

/// `exp(z) / sum exp(z)`.
fn softmax(row: &[f32]) -> Vec<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let parts: Vec<f64> = row.iter().map(|z| f64::from(z - most).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|part| part / sum).collect()
}

#[derive(Deserialize)]
pub struct Predict {
    run: usize,
    /// In the units of the data, such as ink from 0 to 1.
    features: Vec<f32>,
}

#[derive(Serialize)]
pub struct Predicted {
    probabilities: Vec<Number>,
}

impl Training {
    /// What a network makes of one row.
    pub fn predict(&mut self, asked: &Predict) -> Result<Predicted, Failure> {
        let scales = &self.rows.standardizer.features;
        if asked.features.len() != scales.len() {
            let (given, needed) = (asked.features.len(), scales.len());
            return Err(Failure::new(format!("features: got {given}, needed {needed}")));
        }
        let seen = asked.features.iter().zip(scales);
        let seen: Vec<f32> =
            seen.map(|(own, scale)| ((f64::from(*own) - scale.mean) / scale.std) as f32).collect();
        if let Some(at) = seen.iter().position(|value| !value.is_finite()) {
            let given = asked.features[at];
            return Err(Failure::new(format!("feature {at}: got {given}, needed a finite number")));
        }
        let outputs = self.run(asked.run)?.trainer.predict(&seen)?;
        Ok(Predicted { probabilities: softmax(&outputs).into_iter().map(Number).collect() })
    }
}

#[derive(Deserialize)]
pub struct Which {
    run: usize,
}

#[derive(Serialize)]
pub struct Judged {
    kind: &'static str,
    text: String,
    test_accuracy: Option<f64>,
}

impl Training {
    /// What a run came to, as the command line has it.
    pub fn verdict(&mut self, which: &Which) -> Result<Judged, Failure> {
        let trainer = &mut self.run(which.run)?.trainer;
        let outcome = trainer.verdict()?;
        let test = trainer.history().last().and_then(|epoch| epoch.test);
        Ok(Judged {
            kind: outcome.name(),
            text: outcome.reason().unwrap_or_default().to_owned(),
            test_accuracy: test.and_then(|test| test.accuracy),
        })
    }
}
