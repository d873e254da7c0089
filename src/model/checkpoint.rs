//! A run in a safetensors file: the parameters under their names, the optimizer's state under
//! `optimizer.first.` and `optimizer.second.` before them, and all that it takes to go on with the
//! same bits (`document.rs`).

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::document::{Document, Found, KEY, State, StoredEpoch, StoredScore, floats};
use super::score::Tally;
use super::trainer::{Cursor, digest_of};
use super::{Epoch, Score, Trainer};
use crate::{Error, Result, counted, file};

/// The setting of a run that is not in the device's own arithmetic.
const ARITHMETIC: &str = "arithmetic";

/// The setting that is a digest of the rows as the network was given them.
const DATA: &str = "data";

fn stored(score: &Score) -> StoredScore {
    (score.loss.to_bits(), score.accuracy.map(f64::to_bits), score.r2.map(f64::to_bits))
}

fn restored(score: &StoredScore) -> Score {
    Score {
        loss: f64::from_bits(score.0),
        accuracy: score.1.map(f64::from_bits),
        r2: score.2.map(f64::from_bits),
    }
}

impl Trainer {
    /// Writes the parameters, the optimizer's state, and how far the run has come, to a safetensors
    /// file, from which [`Trainer::resume`] goes on to the same bits on the same device, and with which
    /// [`Model`](super::Model) predicts. With `force` it
    /// replaces a model of its name, be it in shards, with the index and the manifest that described it.
    ///
    /// # Errors
    /// [`Error::Exists`] where such a model is there and `force` is not given, [`Error::Invalid`] where
    /// the name is none that ends in `.safetensors`, [`Error::File`] where it cannot be written,
    /// [`Error::Device`] where the device does not answer.
    pub fn save(&mut self, path: &Path, force: bool) -> Result<()> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for (slot, prefix) in self.state() {
            for parameter in self.parameters.clone() {
                let values = self.read(parameter.view(slot))?;
                let shape = parameter.shape.dims().iter().map(|&dim| dim as usize).collect();
                tensors.push((format!("{prefix}{}", parameter.name), shape, values));
            }
        }
        let state = State {
            settings: self.settings(),
            step: self.cursor.step,
            epochs: self
                .history
                .iter()
                .map(|epoch| StoredEpoch {
                    train: stored(&epoch.train),
                    test: epoch.test.as_ref().map(stored),
                })
                .collect(),
            tally: {
                let Tally { loss, right, rows, .. } = self.tallies[0];
                (loss, right, rows)
            },
            squares: self.tallies[0].squares.iter().copied().map(f64::to_bits).collect(),
            digest: match self.options.arithmetic.is_exact() {
                true => Some(digest_of(tensors.iter().map(|(.., values)| Ok(values)))?),
                false => None,
            },
        };
        let (arithmetic, preparation) = (self.options.arithmetic, &self.preparation);
        let of = Document::new(
            &self.network,
            &self.loss,
            arithmetic,
            preparation,
            &self.arguments,
            state,
        )?;
        let text = serde_json::to_string(&of).map_err(|error| Error::safetensors(path, error))?;
        let mut views = Vec::new();
        for (name, shape, values) in &tensors {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map_err(|error| Error::safetensors(path, error))?;
            views.push((name.as_str(), view));
        }
        // One entry alone: the crate keeps them in a hash map, whose order is not always the same.
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::safetensors(path, error))?;
        file::save_model(path, &bytes, force)
    }

    /// Goes on where the run that wrote a file stopped: same network, data and settings, more epochs
    /// if wanted.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a setting differs, naming it; [`Error::Safetensors`] where the file
    /// is not one or lacks a tensor; [`Error::File`]. Nothing has changed then.
    pub fn resume(&mut self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, error))?;
        let broken = |error: &dyn std::fmt::Display| Error::safetensors(path, error);
        let state = Found::of(path, &bytes)?.training();
        let own = self.settings();
        // What a run in the device's own arithmetic has nothing of.
        let saved = |name: &str| state.settings.iter().any(|(saved, _)| saved == name);
        if let Some((name, given)) = own.iter().find(|(name, _)| name == ARITHMETIC && !saved(name))
        {
            let what = format!("{name}, to resume {}", path.display());
            return Err(Error::invalid(what, given, "native, as the run had it"));
        }
        for (name, needed) in &state.settings {
            let given = own.iter().find(|(own, _)| own == name).map_or("none", |(_, own)| own);
            if given != needed {
                let what = format!("{name}, to resume {}", path.display());
                let (given, needed) = match name == DATA {
                    true => (
                        format!("rows of digest {given}"),
                        format!("those that the run had, of digest {needed}"),
                    ),
                    false => (given.to_owned(), format!("{needed}, as the run had it")),
                };
                return Err(Error::invalid(what, given, needed));
            }
        }
        // Saved between an epoch's last step and its test: that comes first.
        let ended = state.step / self.epoch_steps();
        let untested = ended.checked_sub(state.epochs.len() as u64);
        let at_end = state.step.is_multiple_of(self.epoch_steps());
        if state.step > self.steps() || !(untested == Some(0) || untested == Some(1) && at_end) {
            let given = format!("{} done", counted(state.step, "step"));
            return Err(Error::invalid("resume", given, format!("at most {}", self.steps())));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| broken(&error))?;
        let mut values = Vec::new();
        for (slot, prefix) in self.state() {
            for parameter in &self.parameters {
                let name = format!("{prefix}{}", parameter.name);
                let floats = floats(&tensors, &name, &parameter.shape);
                values.push((parameter.view(slot), floats.map_err(|error| broken(&error))?));
            }
        }
        for (view, floats) in values {
            self.write(view, &floats)?;
        }
        self.cursor = Cursor { step: state.step, test: (untested == Some(1)).then_some(0) };
        let (loss, right, rows) = state.tally;
        let squares = state.squares.into_iter().map(f64::from_bits).collect();
        self.tallies = [Tally { loss, right, rows, squares }, Tally::default()];
        let epochs = (1..).zip(&state.epochs);
        self.history = epochs
            .map(|(epoch, own)| Epoch {
                epoch,
                train: restored(&own.train),
                test: own.test.as_ref().map(restored),
            })
            .collect();
        Ok(())
    }

    /// What decides the bits, and what a run is called by, each by name.
    fn settings(&self) -> Vec<(String, String)> {
        let options = &self.options;
        let number = |value: f64| value.to_string();
        let [weights, biases] = self.network.initializers();
        let mut settings = vec![
            ("architecture", self.network.architecture()),
            ("initializer", weights),
            ("biases", biases),
            ("dropout", number(self.network.dropout())),
            (DATA, self.digest.clone()),
            ("loss", self.loss.to_string()),
            ("optimizer", options.optimizer.to_string()),
            ("weight decay", number(options.optimizer.weight_decay())),
            ("learning rate", number(options.lr)),
            ("schedule", options.schedule.to_string()),
            ("warm-up", options.schedule.warmup.to_string()),
            ("batch", options.batch.map_or("full".into(), |batch| batch.to_string())),
            ("seed", options.seed.to_string()),
            ("shuffle", options.shuffle.to_string()),
            ("clip", options.clip.map_or("none".into(), number)),
        ];
        if matches!(options.schedule.decay, super::Decay::Cosine { .. }) {
            // The rate falls towards the last epoch.
            settings.push(("epochs", options.epochs.to_string()));
        }
        if options.arithmetic.is_exact() {
            settings.push((ARITHMETIC, options.arithmetic.to_string()));
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
