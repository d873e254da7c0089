use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;

use super::data::{Numbers, Predicted, Preparation, Targets};
use super::document::{Document, Found, floats};
use super::network::Network;
use super::score::{Score, Tally};
use super::targets::{variances, words};
use super::{Aim, Loss, Optimizer, Target, Training};
use crate::cpu::{Kernels, LossSlices, LossTargets};
use crate::device::{Device, Execution, Room};
use crate::op::{Arithmetic, BATCH, PARAMETERS, Phase, Resident, SLICE, Step, View};
use crate::{Error, Result, counted, memory};

/// A trained network, and all that it takes to predict: what [`Trainer::save`](super::Trainer::save) wrote.
///
#[doc = include_str!("checkpoint.md")]
#[derive(Debug)]
pub struct Model {
    network: Network,
    /// In the order of the layers.
    parameters: Vec<Vec<f32>>,
    loss: Loss,
    arithmetic: Arithmetic,
    preparation: Preparation,
    arguments: BTreeMap<String, String>,
}

impl Model {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Safetensors`] where the file is none that training wrote, is of before
    /// networks went with it, or its tensors are not those of its network.
    pub fn load(path: &Path) -> Result<Model> {
        let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, error))?;
        let broken = |error: &dyn std::fmt::Display| Error::safetensors(path, error);
        let document = match Found::of(path, &bytes)? {
            Found::Whole(document) => document,
            Found::Old(_) => {
                return Err(broken(
                    &"it was written before networks went with their weights: resume it with all of its \
                      settings, and save it again",
                ));
            }
        };
        let of = |document: &Document| -> Result<Model> {
            let (network, names) = document.network()?;
            let tensors = SafeTensors::deserialize(&bytes).map_err(|error| broken(&error))?;
            let mut parameters = Vec::new();
            for (spec, name) in network.recipe()?.tensors.iter().zip(names) {
                let floats = floats(&tensors, name, &spec.shape);
                parameters.push(floats.map_err(|error| broken(&error))?);
            }
            let preparation = document.preparation()?;
            preparation.check(&network)?;
            Ok(Model {
                network,
                parameters,
                loss: document.loss()?,
                arithmetic: document.arithmetic()?,
                preparation,
                arguments: document.arguments.clone(),
            })
        };
        of(&document).map_err(|error| match error {
            Error::Safetensors { .. } => error,
            error => broken(&error),
        })
    }

    /// The settings that whoever trained it kept with it: [`arguments`].
    pub fn arguments(&self) -> &BTreeMap<String, String> {
        &self.arguments
    }

    /// The network. Its initializers are not those that it was drawn from.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How rows become what the network takes, and what its outputs mean.
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// The loss that it was trained with.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// The arithmetic that it was trained in, and predicts in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }
}

/// The settings that whoever trained kept in a checkpoint
/// ([`Trainer::set_arguments`](super::Trainer::set_arguments)), by name; none in one of before there were any.
///
/// # Errors
/// As [`Model::load`], but for what is wrong with tensors.
pub fn arguments(path: &Path) -> Result<BTreeMap<String, String>> {
    let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, error))?;
    Ok(match Found::of(path, &bytes)? {
        Found::Whole(document) => document.arguments,
        Found::Old(_) => BTreeMap::new(),
    })
}

/// A [`Model`] on a device. Rows go through it some at a time, so that memory holds the signals of no more.
pub struct Predictor {
    execution: Box<dyn Execution>,
    batch: usize,
    outputs: View,
    columns: usize,
    loss: Loss,
    arithmetic: Arithmetic,
    preparation: Preparation,
}

/// What a network says of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// What the columns of `values` are called: the classes, or the values.
    pub names: Vec<String>,
    /// Row-major, `rows x names`: each class's probability, or values in the units of the data.
    ///
    /// With the cross-entropy these are softmax of the outputs. With the binary cross-entropy each is the
    /// sigmoid of its output, a share from 0 to 1; of two classes and one output that of the second, and 1
    /// less it.
    pub values: Vec<f64>,
    /// The class of each row, as an index into `names`: the one whose output is the largest. None of values.
    pub classes: Option<Vec<usize>>,
}

/// The most rows at a time.
const MOST_ROWS: usize = 1024;

/// The most elements of a signal of these rows.
const MOST_ELEMENTS: u64 = 1 << 22;

impl Predictor {
    /// Puts a model on a device.
    ///
    /// # Errors
    /// [`Error::Invalid`] where its outputs are not as many as the loss takes for what it predicts;
    /// [`Error::Device`] where the device refuses, [`Error::Exhausted`].
    pub fn new(device: &Device, model: &Model) -> Result<Predictor> {
        let Model { network, loss, arithmetic, preparation, .. } = model;
        let (outputs, targets) = (network.output()?.elements() as usize, &preparation.predicted);
        let fits = match (targets, loss.target()) {
            (Predicted::Class { classes, .. }, Target::Class) => {
                (1..=outputs).contains(&classes.len())
            }
            (Predicted::Class { classes, .. }, Target::Share) => {
                classes.len() == outputs || (classes.len(), outputs) == (2, 1)
            }
            (Predicted::Values(names), Target::Value | Target::Share) => names.len() == outputs,
            _ => false,
        };
        if !fits {
            let given = format!("{outputs} with {}", loss.called());
            let needed = format!("as many as {:?} take", targets.columns());
            return Err(Error::invalid("outputs", given, needed));
        }
        let batch = (MOST_ELEMENTS / network.widest()?.max(1)).clamp(1, MOST_ROWS as u64) as usize;
        let aim = Aim {
            loss: *loss,
            optimizer: Optimizer::sgd(),
            clip: None,
            batch,
            target_columns: if loss.target() == Target::Class { 1 } else { outputs },
            steps: 1,
            seed: 0,
            arithmetic: *arithmetic,
        };
        let Training { mut program, parameters, outputs, .. } = Training::new(network, &aim)?;
        program.train.clear();
        program.backward = 0;
        program.evaluate = program.evaluate[program.predict].to_vec();
        program.predict = 0..program.evaluate.len();
        let columns = network.input().elements() as usize;
        let none = Resident { features: &[], columns, targets: &[], target_columns: 0 };
        let mut execution = device.execution(&program, &none, Room { steps: 1, rows: batch })?;
        for (parameter, values) in parameters.iter().zip(&model.parameters) {
            let mut kept = memory::copied("a parameter", values)?;
            arithmetic.keep(&mut kept);
            let view = parameter.view(PARAMETERS);
            execution.write(view.slot, view.first, &kept)?;
        }
        let preparation = preparation.clone();
        Ok(Predictor {
            execution,
            batch,
            outputs,
            columns,
            loss: *loss,
            arithmetic: *arithmetic,
            preparation,
        })
    }

    /// What the network puts out for rows of features, in the units of the data: numbers as the source has
    /// them, categories as ones and zeros ([`rows`](super::data::rows())). Missing ones are filled where the
    /// model has something to fill them with.
    ///
    /// # Errors
    /// [`Error::Invalid`] where these are no whole rows, a number is missing, or is beyond f32's range when
    /// it is standardized; [`Error::Device`].
    pub fn outputs(&mut self, features: &Numbers) -> Result<Vec<f32>> {
        if !features.len().is_multiple_of(self.columns) {
            let given = counted(features.len(), "number");
            return Err(Error::invalid("features", given, format!("rows of {}", self.columns)));
        }
        let filled = self.preparation.filled(features);
        let standardizer = &self.preparation.standardizer;
        let features = standardizer.features(&filled, &self.preparation.names())?;
        forward(
            &mut *self.execution,
            &features,
            self.columns,
            self.batch,
            self.outputs,
            self.arithmetic,
        )
    }

    /// What these outputs mean.
    ///
    /// # Errors
    /// [`Error::Invalid`] where these are no whole rows of outputs.
    pub fn predictions(&self, outputs: &[f32]) -> Result<Predictions> {
        let columns = self.outputs.columns;
        if !outputs.len().is_multiple_of(columns) {
            let given = counted(outputs.len(), "value");
            return Err(Error::invalid("outputs", given, format!("rows of {columns}")));
        }
        let wide = || outputs.iter().copied().map(f64::from);
        match &self.preparation.predicted {
            Predicted::Values(names) => {
                let values = match self.loss.target() {
                    Target::Share => wide().map(sigmoid).collect(),
                    _ => self.preparation.standardizer.restore(outputs)?,
                };
                Ok(Predictions { names: names.clone(), values, classes: None })
            }
            Predicted::Class { classes: names, .. } => {
                let rows = outputs.chunks_exact(columns);
                let (mut values, mut classes) = (Vec::new(), Vec::new());
                for row in rows {
                    let one = columns == 1 && names.len() == 2;
                    classes.push(if one {
                        usize::from(row[0] > 0.0)
                    } else {
                        greatest(&row[..names.len()])
                    });
                    match self.loss.target() {
                        Target::Share if one => {
                            let output = f64::from(row[0]);
                            values.extend([sigmoid(-output), sigmoid(output)]);
                        }
                        Target::Share => values.extend(row.iter().map(|z| sigmoid(f64::from(*z)))),
                        _ => values.extend(softmax(row).take(names.len())),
                    }
                }
                Ok(Predictions { names: names.clone(), values, classes: Some(classes) })
            }
        }
    }

    /// [`Predictor::predictions`] of [`Predictor::outputs`].
    ///
    /// # Errors
    /// As these.
    pub fn predict(&mut self, features: &Numbers) -> Result<Predictions> {
        let outputs = self.outputs(features)?;
        self.predictions(&outputs)
    }

    /// How well outputs meet targets in the units of the data, as training has it: the loss is of
    /// standardized targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the targets are of another kind or number.
    pub fn score(&self, outputs: &[f32], targets: &Targets) -> Result<Score> {
        let columns = self.outputs.columns;
        let targets = self.preparation.standardizer.targets(targets)?;
        let (mut words, target_columns) = words(&targets, &self.loss, columns)?;
        let rows = outputs.len() / columns;
        if rows * columns != outputs.len() || rows * target_columns != words.len() {
            let needed = format!("{} for {rows} rows of outputs", rows * target_columns);
            return Err(Error::invalid("targets", words.len(), needed));
        }
        let classes = self.loss.takes_classes(columns, target_columns);
        if !classes {
            self.arithmetic.keep(bytemuck::cast_slice_mut(&mut words));
        }
        let kernels = Kernels::new(self.arithmetic);
        let mut results = vec![[0.0; 2]; rows];
        let values: &[f32] = bytemuck::cast_slice(&words);
        let slices = LossSlices {
            outputs,
            targets: match classes {
                true => LossTargets::Classes(&words),
                false => LossTargets::Values(values),
            },
            gradient: None,
            results: &mut results,
        };
        kernels.loss(self.loss, slices)?;
        let mut tally = Tally::default();
        tally.add(&results);
        if self.loss.needs_squares(columns) {
            let mut sums = vec![0.0; rows.div_ceil(SLICE) * columns];
            kernels.squares(outputs, values, columns, &mut sums)?;
            tally.add_squares(&sums, columns);
        }
        Ok(tally.score(&self.loss, &variances(&targets)))
    }
}

/// What a network puts out for rows of standardized features, without dropout.
pub(super) fn forward(
    execution: &mut dyn Execution,
    features: &[f32],
    columns: usize,
    batch: usize,
    view: View,
    arithmetic: Arithmetic,
) -> Result<Vec<f32>> {
    let mut outputs = Vec::new();
    for rows in features.chunks(batch * columns) {
        let mut kept = memory::copied("a batch", rows)?;
        arithmetic.keep(&mut kept);
        execution.write(BATCH, 0, &kept)?;
        let count = rows.len() / columns;
        let step = Step { rows: count as u32, ..Step::default() };
        execution.run(&[], &[(Phase::Predict, step)], false)?;
        let values = execution.read(view)?;
        outputs.extend_from_slice(&values[..count * view.columns]);
    }
    Ok(outputs)
}

fn sigmoid(output: f64) -> f64 {
    let small = libm::exp(-output.abs());
    (if output > 0.0 { 1.0 } else { small }) / (1.0 + small)
}

fn softmax(row: &[f32]) -> impl Iterator<Item = f64> {
    let most = row.iter().copied().map(f64::from).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|z| libm::exp(f64::from(*z) - most)).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(move |power| power / sum)
}

/// The first of the largest.
fn greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = at;
        }
    }
    best
}
