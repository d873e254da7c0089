use std::collections::BTreeMap;

use super::data::{Dataset, Preparation, Targets, permutation};
use super::network::{Network, Placed};
use super::options::TrainOptions;
use super::predictor::forward;
use super::score::{Epoch, Score, Tally};
use super::tape::Stage;
use super::targets::{baseline, majority, variances, words};
use super::{Aim, Loss, LsuvStep, Parameter, Training, place};
use crate::device::{Device, Execution, Room};
use crate::file::hex;
use crate::host::Instant;
use crate::op::{
    self, Arithmetic, FIRST, GRADIENTS, PARAMETERS, Phase, Resident, RowResult, SECOND, Slot, Step,
    View,
};
use crate::random::Stream;
use crate::{Error, Result, counted, memory};

/// A network, its data and its optimizer on one device.
pub struct Trainer {
    pub(super) device: Device,
    pub(super) execution: Box<dyn Execution>,
    pub(super) network: Network,
    pub(super) options: TrainOptions,
    pub(super) loss: Loss,
    pub(super) parameters: Vec<Parameter>,
    pub(super) stages: Vec<Stage>,
    pub(super) outputs: View,
    pub(super) squares: Option<View>,
    pub(super) lengths: Vec<usize>,
    pub(super) batch: usize,
    /// The most steps a submission, and those of the next one.
    pub(super) group: usize,
    pub(super) taken: usize,
    pub(super) rows: usize,
    pub(super) test_rows: usize,
    /// The loss of the best constant answer; its accuracy, where there are classes; and the variances of
    /// values, on either set.
    pub(super) baseline: f64,
    pub(super) majority: Option<f64>,
    pub(super) variances: [Vec<f64>; 2],
    pub(super) digest: String,
    /// Where the next submission begins, and what it will say of it.
    pub(super) cursor: Cursor,
    pub(super) order: (u64, Vec<u32>),
    pub(super) tallies: [Tally; 2],
    pub(super) history: Vec<Epoch>,
    pub(super) reported: usize,
    pub(super) diverged: Option<String>,
    pub(super) submissions: u64,
    pub(super) lsuv_log: Vec<LsuvStep>,
    /// What goes with the network into a file.
    pub(super) preparation: Preparation,
    pub(super) arguments: BTreeMap<String, String>,
}

/// The next thing to do: a step, or a stretch of the test rows after an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cursor {
    pub step: u64,
    /// The first test row, between epochs.
    pub test: Option<usize>,
}

/// A step of a submission and what its results are for.
pub(super) struct Item {
    pub phase: Phase,
    pub step: Step,
    pub number: u64,
    pub ends_epoch: bool,
}

impl Trainer {
    /// Makes the network on a device, draws its parameters, and puts the data beside it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the data does not fit the network or the loss, a number is outside
    /// its range, the batch is larger than the training set, or a layer that is to start with unit
    /// variance ([`Trainer::lsuv_log`]) has none, or signals that are not finite; [`Error::Device`] where the device
    /// refuses.
    pub fn new(
        device: &Device,
        network: impl TryInto<Network, Error = Error>,
        options: &TrainOptions,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Trainer> {
        Trainer::of(device, network.try_into()?, options, train, test)
    }

    fn of(
        device: &Device,
        network: Network,
        options: &TrainOptions,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Trainer> {
        let inputs = network.input().elements();
        let (rows, test_rows) = (train.rows(), test.map_or(0, Dataset::rows));
        let outputs = network.output()?.elements() as usize;
        let loss = match (options.loss, &train.targets) {
            (Some(loss), _) => loss,
            (None, Targets::Classes { .. }) => Loss::CROSS_ENTROPY,
            (None, Targets::Values { .. }) => Loss::MeanSquaredError,
        };
        options.check(&network, &loss, rows)?;
        let mut features = memory::reserved("the features", (rows + test_rows) * train.columns())?;
        let mut targets = Vec::new();
        let mut target_columns = 0;
        for (what, set) in [("training set", Some(train)), ("test set", test)] {
            let Some(set) = set else { continue };
            if set.columns() as u64 != inputs {
                let given = counted(set.columns(), "feature");
                return Err(Error::invalid(what, given, inputs.to_string()));
            }
            set.check_f32().map_err(|error| error.at(what))?;
            features.extend_from_slice(&set.features.to_f32());
            let (words, columns) =
                words(&set.targets, &loss, outputs).map_err(|error| error.at(what))?;
            targets.extend(words);
            target_columns = columns;
        }

        let arithmetic = options.arithmetic;
        arithmetic.keep(&mut features);
        if target_columns > 0 && !loss.takes_classes(outputs, target_columns) {
            arithmetic.keep(bytemuck::cast_slice_mut(&mut targets));
        }

        let batch = options.batch.unwrap_or(rows);
        // Long enough that the device is never short of work, short enough to see it move.
        let group = (16_384 / batch).clamp(8, 64);
        let aim = Aim {
            loss,
            optimizer: options.optimizer,
            clip: options.clip,
            batch,
            target_columns,
            steps: group,
            seed: options.seed,
            arithmetic: options.arithmetic,
        };
        let training = Training::new(&network, &aim)?;
        let Training { program, parameters, tensors, stages, outputs, squares } = training;
        let room = Room { steps: group, rows: group * batch };
        let resident = Resident {
            features: &features,
            columns: train.columns(),
            targets: &targets,
            target_columns,
        };
        let digest = digest(&resident, rows);
        let execution = device.execution(&program, &resident, room)?;
        let mut trainer = Trainer {
            device: device.clone(),
            execution,
            options: options.clone(),
            loss,
            parameters,
            stages,
            outputs,
            squares,
            lengths: program.slots,
            batch,
            group,
            taken: (QUICK / network.multiply_adds(batch)).clamp(1.0, group as f64) as usize,
            rows,
            test_rows,
            baseline: baseline(&train.targets, &loss),
            majority: majority(&train.targets),
            variances: [
                variances(&train.targets),
                test.map_or_else(Vec::new, |test| variances(&test.targets)),
            ],
            digest,
            cursor: Cursor::default(),
            order: (u64::MAX, Vec::new()),
            tallies: Default::default(),
            history: Vec::new(),
            reported: 0,
            diverged: None,
            submissions: 0,
            lsuv_log: Vec::new(),
            preparation: Preparation::of(train),
            arguments: BTreeMap::new(),
            network,
        };
        for (parameter, Placed { spec, .. }) in trainer.parameters.iter().zip(&tensors) {
            let stream = Stream::named(options.seed, &parameter.name);
            let view = parameter.view(PARAMETERS);
            place(&mut *trainer.execution, view, &stream, spec, 1.0)?;
        }
        trainer.keep_parameters()?;
        trainer.run_lsuv(&tensors)?;
        Ok(trainer)
    }

    /// What was done to the rows before they were given to [`Trainer::new`], so that a file that
    /// [`Trainer::save`] writes can do the same to others ([`Model`](super::Model)). Unless it is said, features
    /// and targets are taken to be as they stand in the training set.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it makes other numbers of a row than the network takes.
    pub fn set_preparation(&mut self, preparation: Preparation) -> Result<()> {
        preparation.check(&self.network)?;
        self.preparation = preparation;
        Ok(())
    }

    /// Settings, by name, that a file is to keep for whoever goes on with it
    /// ([`arguments`](super::arguments())).
    pub fn set_arguments(&mut self, arguments: BTreeMap<String, String>) {
        self.arguments = arguments;
    }

    /// Where it trains.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Dispatches that a training step makes on a GPU, and calls on the CPU.
    pub fn dispatches_per_step(&self) -> usize {
        self.execution.dispatches(Phase::Train)
    }

    /// Submissions so far.
    pub fn submissions(&self) -> u64 {
        self.submissions
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// The loss of the best constant answer: what a network that has learned nothing reaches.
    pub fn baseline(&self) -> f64 {
        self.baseline
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.cursor.step
    }

    /// Steps an epoch.
    pub fn epoch_steps(&self) -> u64 {
        self.rows.div_ceil(self.batch) as u64
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        self.epoch_steps() * self.options.epochs
    }

    /// Whether there is nothing left to do.
    pub fn finished(&self) -> bool {
        self.diverged.is_some() || (self.cursor.step >= self.steps() && self.cursor.test.is_none())
    }

    /// Whether something became infinite or not a number, which ended the training.
    pub fn diverged(&self) -> bool {
        self.diverged.is_some()
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// What the steps since the last epoch came to, each row's loss as it was when its step came; none right
    /// after an epoch.
    pub fn so_far(&self) -> Option<Score> {
        let tally = &self.tallies[0];
        (tally.rows > 0).then(|| self.score(tally, 0))
    }

    /// The parameters, in the order of the layers.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(super) fn find(&self, name: &str) -> Result<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name).ok_or_else(|| {
            let known = self.parameters.iter().map(|parameter| parameter.name.clone());
            Error::unknown("parameter", name, known)
        })
    }

    /// A parameter's values.
    ///
    /// # Errors
    /// [`Error::Unknown`] where there is none of that name, [`Error::Device`].
    pub fn parameter(&mut self, name: &str) -> Result<Vec<f32>> {
        let view = self.find(name)?.view(PARAMETERS);
        self.execution.read(view)
    }

    /// The gradient of a parameter, as of the last step or [`Trainer::backward`].
    ///
    /// # Errors
    /// As [`Trainer::parameter`].
    pub fn gradient(&mut self, name: &str) -> Result<Vec<f32>> {
        let view = self.find(name)?.view(GRADIENTS);
        self.execution.read(view)
    }

    /// Gives a parameter values of the caller's.
    ///
    /// # Errors
    /// As [`Trainer::parameter`], and [`Error::Invalid`] where there are too many or too few.
    pub fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let view = self.find(name)?.view(PARAMETERS);
        if values.len() != view.elements() {
            let given = counted(values.len(), "value");
            return Err(Error::invalid(name, given, format!("{}", view.elements())));
        }
        self.write(view, values)
    }

    /// What the network puts out for rows of features, without dropout: `rows x outputs` values.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the values are no whole number of rows, [`Error::Device`].
    pub fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>> {
        let columns = self.network.input().elements() as usize;
        if !features.len().is_multiple_of(columns) {
            let given = counted(features.len(), "value");
            return Err(Error::invalid("features", given, format!("rows of {columns}")));
        }
        let (arithmetic, outputs) = (self.options.arithmetic, self.outputs);
        forward(&mut *self.execution, features, columns, self.batch, outputs, arithmetic)
    }

    /// The score on all training rows as the network is now, without dropout.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn evaluate(&mut self) -> Result<Score> {
        Ok(self.measure(0)?.0)
    }

    /// The score on all rows of a set (0 the training set, 1 the test set) as the network is now,
    /// without dropout, and each row's results.
    pub(super) fn measure(&mut self, set: usize) -> Result<(Score, Vec<RowResult>)> {
        let rows = [0..self.rows, self.rows..self.rows + self.test_rows][set].clone();
        let order: Vec<u32> = rows.map(|row| row as u32).collect();
        let (mut tally, mut all) = (Tally::default(), Vec::with_capacity(order.len()));
        for order in order.chunks(self.group * self.batch) {
            let step = |(place, rows): (usize, &[u32])| {
                let at = (place * self.batch) as u32;
                (Phase::Evaluate, Step { first: at, slot: at, ..self.block(0, rows.len(), 0.0) })
            };
            let steps: Vec<_> = order.chunks(self.batch).enumerate().map(step).collect();
            let results = self.execution.run(order, &steps, false)?;
            tally.add(&results[..order.len()]);
            all.extend_from_slice(&results[..order.len()]);
            for sums in self.sums()?.iter().take(steps.len()) {
                tally.add_squares(sums, self.outputs.columns);
            }
        }
        Ok((self.score(&tally, set), all))
    }

    /// The sums of [`Op::Squares`](super::Op::Squares) of the last submission, step by step.
    fn sums(&mut self) -> Result<Vec<Vec<f32>>> {
        let Some(view) = self.squares else { return Ok(Vec::new()) };
        let sums = self.execution.read(view)?;
        Ok(sums.chunks_exact(view.columns).map(<[f32]>::to_vec).collect())
    }

    /// Forward and backward over the rows of the next step, without an update: the mean loss. The
    /// gradients are then [`Trainer::gradient`]'s.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn backward(&mut self) -> Result<f64> {
        let step = self.cursor.step;
        let rows = self.rows_of(step);
        let block = self.block(step, rows.len(), 0.0);
        let results = self.execution.run(&rows, &[(Phase::Backward, block)], false)?;
        let mut tally = Tally::default();
        tally.add(&results[..rows.len()]);
        Ok(tally.loss / tally.rows as f64)
    }

    /// Trains to the end of the next epoch, and returns what it came to; none where training is over.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn epoch(&mut self) -> Result<Option<Epoch>> {
        while self.reported >= self.history.len() && !self.finished() {
            self.advance()?;
        }
        let epoch = self.history.get(self.reported).copied();
        self.reported += usize::from(epoch.is_some());
        Ok(epoch)
    }

    /// Takes the next steps, up to 64 of them in one submission, over the ends of epochs if need be: as
    /// many as take a few tenths of a second, so that whoever calls is not kept waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails. Divergence is no error: it ends the training, and
    /// [`Trainer::verdict`] has a word for it.
    pub fn advance(&mut self) -> Result<()> {
        self.submit(self.taken)
    }

    /// Takes the next step alone, and tests where an epoch ended before it: for whoever looks at each.
    ///
    /// # Errors
    /// As [`Trainer::advance`].
    pub fn advance_one(&mut self) -> Result<()> {
        let (taken, step) = (self.taken, self.step());
        while !self.finished() && self.step() == step {
            self.submit(1)?;
        }
        // How many are taken at once follows from submissions of as many.
        self.taken = taken;
        Ok(())
    }

    /// Takes so many steps and tests at most.
    fn submit(&mut self, most: usize) -> Result<()> {
        let mut order = Vec::with_capacity(self.group * self.batch);
        let mut items = Vec::new();
        let mut cursor = self.cursor;
        while items.len() < most {
            let Some((item, rows)) = self.item(&mut cursor, items.len()) else { break };
            items.push(item);
            order.extend_from_slice(&rows);
            order.resize(items.len() * self.batch, 0);
        }
        if items.is_empty() {
            return Ok(());
        }
        let steps: Vec<_> = items.iter().map(|item| (item.phase, item.step)).collect();
        let start = Instant::now();
        let results = self.execution.run(&order, &steps, true)?;
        let sums = self.sums()?;
        // The first has kernels to compile.
        self.taken = match start.elapsed().as_secs_f64() {
            long if long > 0.4 && self.submissions > 0 => (self.taken / 2).max(1),
            short if short < 0.1 => (2 * self.taken).min(self.group),
            _ => self.taken,
        };
        self.submissions += 1;
        for (place, item) in items.iter().enumerate() {
            let rows = &results[item.step.slot as usize..][..item.step.rows as usize];
            let trains = item.phase == Phase::Train;
            if trains && rows.iter().any(|[loss, _]| !loss.is_finite()) {
                let found = self.diagnose(&order, &items)?;
                self.diverged = Some(found);
                return Ok(());
            }
            let tally = &mut self.tallies[usize::from(!trains)];
            tally.add(rows);
            if let Some(sums) = sums.get(place) {
                tally.add_squares(sums, self.outputs.columns);
            }
            self.cursor.step += u64::from(trains);
            if item.ends_epoch {
                self.close_epoch();
            }
        }
        self.cursor = cursor;
        Ok(())
    }

    /// The item at the cursor, which goes on to the next; its rows and results come `place`th.
    fn item(&mut self, cursor: &mut Cursor, place: usize) -> Option<(Item, Vec<u32>)> {
        let at = (place * self.batch) as u32;
        if let Some(first) = cursor.test {
            let last = (first + self.batch).min(self.test_rows);
            cursor.test = (last < self.test_rows).then_some(last);
            let rows: Vec<u32> = (first..last).map(|row| (self.rows + row) as u32).collect();
            let step = Step { first: at, slot: at, ..self.block(0, rows.len(), 0.0) };
            let ends_epoch = cursor.test.is_none();
            return Some((
                Item { phase: Phase::Evaluate, step, number: cursor.step, ends_epoch },
                rows,
            ));
        }
        if cursor.step >= self.steps() {
            return None;
        }
        let number = cursor.step;
        let rows = self.rows_of(number);
        let factor = self.options.schedule.factor(number, self.epoch_steps(), self.steps());
        let block = self.block(number, rows.len(), self.options.lr * factor);
        cursor.step += 1;
        let last = cursor.step.is_multiple_of(self.epoch_steps());
        if last && self.test_rows > 0 {
            cursor.test = Some(0);
        }
        let step = Step { first: at, slot: at, ..block };
        let ends_epoch = last && self.test_rows == 0;
        Some((Item { phase: Phase::Train, step, number, ends_epoch }, rows))
    }

    /// The training rows of a step.
    pub(super) fn rows_of(&mut self, step: u64) -> Vec<u32> {
        let (epoch, place) = (step / self.epoch_steps(), step % self.epoch_steps());
        if self.order.0 != epoch {
            let rows = self.rows as u32;
            let stream = Stream::named(self.options.seed, "train.shuffle");
            let order = match self.options.shuffle {
                true => permutation(&stream, epoch * u64::from(rows), rows),
                false => (0..rows).collect(),
            };
            self.order = (epoch, order);
        }
        let first = place as usize * self.batch;
        self.order.1[first..(first + self.batch).min(self.rows)].to_vec()
    }

    pub(super) fn block(&self, step: u64, rows: usize, lr: f64) -> Step {
        Step {
            step: step as u32,
            rows: rows as u32,
            inverse: 1.0 / rows as f32,
            ..self.options.optimizer.step(lr, step + 1)
        }
    }

    fn close_epoch(&mut self) {
        let [train, test] = std::mem::take(&mut self.tallies);
        let epoch = self.history.len() as u64 + 1;
        let test = (test.rows > 0).then(|| self.score(&test, 1));
        self.history.push(Epoch { epoch, train: self.score(&train, 0), test });
    }

    fn score(&self, tally: &Tally, set: usize) -> Score {
        tally.score(&self.loss, &self.variances[set])
    }

    /// Buffers that a checkpoint holds, with what stands before the parameters' names.
    pub(super) fn state(&self) -> Vec<(Slot, &'static str)> {
        let slots = [(PARAMETERS, ""), (FIRST, "optimizer.first."), (SECOND, "optimizer.second.")];
        slots.into_iter().filter(|(slot, _)| self.lengths[*slot] > 0).collect()
    }

    pub(super) fn read(&mut self, view: View) -> Result<Vec<f32>> {
        self.execution.read(view)
    }

    pub(super) fn write(&mut self, view: View, values: &[f32]) -> Result<()> {
        if !self.options.arithmetic.is_exact() {
            return self.execution.write(view.slot, view.first, values);
        }
        let mut kept = memory::copied("a parameter", values)?;
        self.options.arithmetic.keep(&mut kept);
        self.execution.write(view.slot, view.first, &kept)
    }

    /// Makes 0 of drawn numbers that the exact arithmetic does not know.
    fn keep_parameters(&mut self) -> Result<()> {
        if self.options.arithmetic.is_exact() {
            for parameter in self.parameters.clone() {
                let view = parameter.view(PARAMETERS);
                let values = self.execution.read(view)?;
                if values.iter().any(|value| op::kept(*value).to_bits() != value.to_bits()) {
                    self.write(view, &values)?;
                }
            }
        }
        Ok(())
    }

    /// The SHA-256 of all parameters and of the optimizer's state of each, in the order in which
    /// [`Trainer::save`] writes them, as little-endian f32s: with
    /// [`exact arithmetic`](crate::op::Arithmetic::Exact) the same on every device after the same steps.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn digest(&mut self) -> Result<String> {
        let of = |(slot, _)| self.parameters.iter().map(move |parameter| parameter.view(slot));
        let views: Vec<View> = self.state().into_iter().flat_map(of).collect();
        digest_of(views.into_iter().map(|view| self.read(view)))
    }

    /// The arithmetic that it trains in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.options.arithmetic
    }
}

/// Multiply-adds that no device takes long for.
const QUICK: f64 = 3e8;

/// What tells one set of examples from another.
fn digest(resident: &Resident<'_>, rows: usize) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    digest.update((rows as u64).to_le_bytes());
    digest.update(bytemuck::cast_slice::<f32, u8>(resident.features));
    digest.update(bytemuck::cast_slice::<u32, u8>(resident.targets));
    hex(&digest.finalize()[..8])
}

/// [`Trainer::digest`] of what there is of each parameter, in order.
pub(super) fn digest_of<T: AsRef<[f32]>>(all: impl Iterator<Item = Result<T>>) -> Result<String> {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for own in all {
        digest.update(bytemuck::cast_slice::<f32, u8>(own?.as_ref()));
    }
    Ok(hex(&digest.finalize()))
}
