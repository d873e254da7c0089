use std::time::Instant;

use super::data::{Dataset, Targets, permutation};
use super::{Aim, Loss, LsuvStep, Mlp, Optimizer, Parameter, Schedule, Target, Training, place};
use crate::device::{Device, Execution, Room};
use crate::op::{
    BATCH, FIRST, GRADIENTS, PARAMETERS, Phase, Resident, RowResult, SECOND, Slot, Step, View,
    variance,
};
use crate::random::Stream;
use crate::{Error, Result, memory};

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The loss; for none, softmax cross-entropy for classes and mean squared error for values.
    pub loss: Option<Loss>,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub lr: f64,
    /// How the learning rate goes over the steps.
    pub schedule: Schedule,
    /// Rows a step; for none, all. The last step of an epoch takes what is left.
    pub batch: Option<usize>,
    /// Passes over the training rows.
    pub epochs: u64,
    /// The seed of the parameters, of the order of rows, and of dropout.
    pub seed: u64,
    /// Whether each epoch has the rows in an order of its own.
    pub shuffle: bool,
    /// The Euclidean norm that all gradients together are brought down to where they exceed it.
    pub clip: Option<f64>,
}

/// Adam at 0.001, batches of 64, 30 epochs, seed 0.
impl Default for Options {
    fn default() -> Self {
        let optimizer = Optimizer::Adam(super::Adam::default());
        Options {
            loss: None,
            optimizer,
            lr: optimizer.default_lr(),
            schedule: Schedule::default(),
            batch: Some(64),
            epochs: 30,
            seed: 0,
            shuffle: true,
            clip: None,
        }
    }
}

/// How well a network does on rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The mean loss.
    pub loss: f64,
    /// The share of predictions that are right; none for the mean squared error. Of several labels a row
    /// (values, with the binary cross-entropy) each counts alike.
    pub accuracy: Option<f64>,
    /// `1 - (mean squared error) / variance`, both over the rows; of several targets the mean of that
    /// over them, each counting alike. A target that is the same in all rows has 1 where it is met
    /// exactly and 0 elsewhere. So scikit-learn's `r2_score` has it. None for classes, and for fewer
    /// than two rows.
    pub r2: Option<f64>,
}

/// What an epoch came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: u64,
    /// Over the epoch's steps, each row's loss as it was when its step came, with dropout.
    pub train: Score,
    /// On the test rows after the epoch.
    pub test: Option<Score>,
}

/// What a run came to, by the training loss (the last epoch's, or that of all training rows as the
/// network is now, whichever is less) beside [`Trainer::baseline`], the best constant answer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The training loss is more than 10 % below the baseline.
    Learned,
    /// It is, but test rows are met far worse than training rows, and by how much: accuracy or R2 is
    /// lower by 0.1 or more; what it is a mean of (whether a row is right; a row's loss) differs by
    /// more than three standard errors; and there are 20 test rows or more.
    Overfitted(String),
    /// The training loss is 1 % to 10 % below the baseline; or it still falls, the last epoch's being more
    /// than 1 % below every earlier one's; or the run is not yet two epochs long; or the training accuracy
    /// is 0.1 or more above that of the best constant answer.
    Learning(String),
    /// None of these, and why; or the weights cannot learn, which can be seen in them at once.
    Stuck(String),
    /// Something became infinite or not a number: what, where and when.
    Diverged(String),
}

impl Verdict {
    /// `learned`, `overfitted`, `learning`, `stuck` or `diverged`.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Learned => "learned",
            Verdict::Overfitted(_) => "overfitted",
            Verdict::Learning(_) => "learning",
            Verdict::Stuck(_) => "stuck",
            Verdict::Diverged(_) => "diverged",
        }
    }

    /// Why, where it did not simply learn.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Learned => None,
            Verdict::Overfitted(reason)
            | Verdict::Learning(reason)
            | Verdict::Stuck(reason)
            | Verdict::Diverged(reason) => Some(reason),
        }
    }
}

/// What makes a run less wild.
const CALMER: &str = "try a smaller --lr, --clip 1, or an initializer with smaller weights";

/// Sums over rows on the way to a [`Score`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub loss: f64,
    pub right: f64,
    pub rows: u64,
    /// The squared errors of each of several targets; else empty.
    pub squares: Vec<f64>,
}

impl Tally {
    fn add(&mut self, results: &[RowResult]) {
        for [loss, right] in results {
            self.loss += f64::from(*loss);
            self.right += f64::from(*right);
        }
        self.rows += results.len() as u64;
    }

    /// The squared errors of a step: slice after slice, each with one sum a column.
    fn add_squares(&mut self, sums: &[f32], columns: usize) {
        self.squares.resize(columns, 0.0);
        for slice in sums.chunks_exact(columns) {
            self.squares.iter_mut().zip(slice).for_each(|(own, sum)| *own += f64::from(*sum));
        }
    }
}

/// A network, its data and its optimizer on one device.
pub struct Trainer {
    device: Device,
    pub(super) execution: Box<dyn Execution>,
    pub(super) mlp: Mlp,
    pub(super) options: Options,
    pub(super) loss: Loss,
    pub(super) parameters: Vec<Parameter>,
    pub(super) layers: Vec<View>,
    outputs: View,
    squares: Option<View>,
    lengths: Vec<usize>,
    batch: usize,
    /// The most steps a submission, and those of the next one.
    group: usize,
    taken: usize,
    rows: usize,
    test_rows: usize,
    /// The loss of the best constant answer; its accuracy, where there are classes; and the variances of
    /// values, on either set.
    baseline: f64,
    majority: Option<f64>,
    variances: [Vec<f64>; 2],
    pub(super) digest: String,
    /// Where the next submission begins, and what it will say of it.
    pub(super) cursor: Cursor,
    order: (u64, Vec<u32>),
    pub(super) tallies: [Tally; 2],
    pub(super) history: Vec<Epoch>,
    reported: usize,
    diverged: Option<String>,
    submissions: u64,
    pub(super) lsuv_log: Vec<LsuvStep>,
}

/// The next thing to do: a step, or a stretch of the test rows after an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cursor {
    pub step: u64,
    /// The first test row, between epochs.
    pub test: Option<usize>,
}

/// A step of a submission and what its results are for.
struct Item {
    phase: Phase,
    step: Step,
    number: u64,
    ends_epoch: bool,
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
        mlp: &Mlp,
        options: &Options,
        train: &Dataset,
        test: Option<&Dataset>,
    ) -> Result<Trainer> {
        let (rows, test_rows) = (train.rows(), test.map_or(0, Dataset::rows));
        let outputs = mlp.widths()[mlp.layers()] as usize;
        let loss = match (options.loss, &train.targets) {
            (Some(loss), _) => loss,
            (None, Targets::Classes { .. }) => Loss::CROSS_ENTROPY,
            (None, Targets::Values { .. }) => Loss::MeanSquaredError,
        };
        check(mlp, options, &loss, rows)?;
        let mut features = memory::reserved("the features", (rows + test_rows) * train.columns())?;
        let mut targets = Vec::new();
        let mut target_columns = 0;
        for (what, set) in [("training set", Some(train)), ("test set", test)] {
            let Some(set) = set else { continue };
            if set.columns() as u64 != mlp.widths()[0] {
                let given = format!("{} features", set.columns());
                return Err(Error::invalid(what, given, format!("{}", mlp.widths()[0])));
            }
            set.check_f32().map_err(|error| error.at(what))?;
            features.extend_from_slice(&set.features.to_f32());
            let (words, columns) = words(set, &loss, outputs).map_err(|error| error.at(what))?;
            targets.extend(words);
            target_columns = columns;
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
        };
        let training = Training::new(mlp, &aim)?;
        let view = training.outputs();
        let Training { program, parameters, layers, squares } = training;
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
            mlp: mlp.clone(),
            options: options.clone(),
            loss,
            parameters,
            layers,
            outputs: view,
            squares,
            lengths: program.slots,
            batch,
            group,
            taken: (QUICK / mlp.multiply_adds(batch)).clamp(1.0, group as f64) as usize,
            rows,
            test_rows,
            baseline: baseline(train, &loss),
            majority: majority(train),
            variances: [variances(train), test.map_or_else(Vec::new, variances)],
            digest,
            cursor: Cursor::default(),
            order: (u64::MAX, Vec::new()),
            tallies: Default::default(),
            history: Vec::new(),
            reported: 0,
            diverged: None,
            submissions: 0,
            lsuv_log: Vec::new(),
        };
        for (parameter, spec) in trainer.parameters.iter().zip(mlp.recipe()?.tensors) {
            let stream = Stream::named(options.seed, &parameter.name);
            let view = parameter.view(PARAMETERS);
            place(&mut *trainer.execution, view, &stream, &spec, 1.0)?;
        }
        trainer.run_lsuv()?;
        Ok(trainer)
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
    pub fn mlp(&self) -> &Mlp {
        &self.mlp
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
            let given = format!("{} values", values.len());
            return Err(Error::invalid(name, given, format!("{}", view.elements())));
        }
        self.execution.write(PARAMETERS, view.first, values)
    }

    /// What the network puts out for rows of features, without dropout: `rows x outputs` values.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the values are no whole number of rows, [`Error::Device`].
    pub fn predict(&mut self, features: &[f32]) -> Result<Vec<f32>> {
        let columns = self.mlp.widths()[0] as usize;
        if !features.len().is_multiple_of(columns) {
            let given = format!("{} values", features.len());
            return Err(Error::invalid("features", given, format!("rows of {columns}")));
        }
        let mut outputs = Vec::new();
        for rows in features.chunks(self.batch * columns) {
            self.execution.write(BATCH, 0, rows)?;
            let count = rows.len() / columns;
            let step = Step { rows: count as u32, ..Step::default() };
            self.execution.run(&[], &[(Phase::Predict, step)], false)?;
            let values = self.execution.read(self.outputs)?;
            outputs.extend_from_slice(&values[..count * self.outputs.columns]);
        }
        Ok(outputs)
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
    fn measure(&mut self, set: usize) -> Result<(Score, Vec<RowResult>)> {
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
        let mut order = Vec::with_capacity(self.group * self.batch);
        let mut items = Vec::new();
        let mut cursor = self.cursor;
        while items.len() < self.taken {
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
        let (correction1, correction2) = self.options.optimizer.corrections(step + 1);
        Step {
            step: step as u32,
            rows: rows as u32,
            first: 0,
            slot: 0,
            lr: lr as f32,
            correction1: correction1 as f32,
            correction2: correction2 as f32,
            inverse: 1.0 / rows as f32,
        }
    }

    fn close_epoch(&mut self) {
        let [train, test] = std::mem::take(&mut self.tallies);
        let epoch = self.history.len() as u64 + 1;
        let test = (test.rows > 0).then(|| self.score(&test, 1));
        self.history.push(Epoch { epoch, train: self.score(&train, 0), test });
    }

    fn score(&self, tally: &Tally, set: usize) -> Score {
        let rows = tally.rows.max(1) as f64;
        let (loss, values) = (tally.loss / rows, self.loss.target() == Target::Value);
        let squares = match self.squares {
            Some(_) => &tally.squares,
            None => &vec![tally.loss],
        };
        let of = |(square, variance): (&f64, &f64)| match (*square, *variance) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (square, variance) => 1.0 - square / rows / variance,
        };
        let each = squares.iter().zip(&self.variances[set]).map(of);
        let r2 = each.sum::<f64>() / squares.len() as f64;
        Score {
            loss,
            accuracy: (!values).then_some(tally.right / rows),
            r2: (values && tally.rows > 1).then_some(r2),
        }
    }

    /// What the run came to: how far the loss fell, and where it did not, why.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn verdict(&mut self) -> Result<Verdict> {
        if let Some(found) = &self.diverged {
            return Ok(Verdict::Diverged(found.clone()));
        }
        let (score, rows) = self.measure(0)?;
        if !score.loss.is_finite() {
            let steps = self.cursor.step;
            return Ok(Verdict::Diverged(format!(
                "the training loss is infinite or not a number after step {steps}; {CALMER}"
            )));
        }
        let epoch = self.history.last().map_or(score.loss, |epoch| epoch.train.loss);
        let loss = epoch.min(score.loss);
        if loss < 0.9 * self.baseline {
            let found = self.overfitting(&score, &rows)?;
            return Ok(found.map_or(Verdict::Learned, Verdict::Overfitted));
        }
        if let Some(why) = self.why_still()? {
            return Ok(Verdict::Stuck(why));
        }
        let beside = format!(
            "the training loss, {}, is {} {}, that of the best constant answer, after {} steps",
            figure(loss),
            match loss < self.baseline {
                true => format!("{:.1} % below", 100.0 * (1.0 - loss / self.baseline)),
                false => "no better than".into(),
            },
            figure(self.baseline),
            self.cursor.step
        );
        // A few rows that are far off may hold up a loss.
        if let (Some(own), Some(constant)) = (score.accuracy, self.majority)
            && own >= constant + 0.1
        {
            return Ok(Verdict::Learning(format!(
                "{:.1} % of the training rows are right, where the best constant answer has {:.1} %, but \
                 the training loss is {} beside its {}: some rows are far off; {CALMER}",
                100.0 * own,
                100.0 * constant,
                figure(loss),
                figure(self.baseline),
            )));
        }
        let before = self.history.iter().rev().skip(1).map(|epoch| epoch.train.loss);
        let falls = epoch < 0.99 * before.fold(f64::INFINITY, f64::min);
        let learning = match self.history.len() {
            0 | 1 => Some(": too few to tell, two epochs at least"),
            _ if falls => Some(", and still falls: more epochs will tell"),
            _ if loss < 0.99 * self.baseline => {
                Some(": more epochs, another learning rate or another initializer may do more")
            }
            _ => None,
        };
        if let Some(what) = learning {
            return Ok(Verdict::Learning(beside + what));
        }
        let vanishing = self.why_vanishing()?;
        Ok(Verdict::Stuck(vanishing.unwrap_or_else(|| {
            format!("{beside}: more epochs, another learning rate or another initializer")
        })))
    }

    /// How much worse test rows are met than training rows, by the rule of [`Verdict::Overfitted`].
    fn overfitting(&mut self, training: &Score, rows: &[RowResult]) -> Result<Option<String>> {
        if self.test_rows < 20 {
            return Ok(None);
        }
        let (test, test_rows) = self.measure(1)?;
        let (what, own, other) = match (training, &test) {
            (Score { accuracy: Some(own), .. }, Score { accuracy: Some(other), .. }) => {
                ("accuracy", *own, *other)
            }
            (Score { r2: Some(own), .. }, Score { r2: Some(other), .. }) => ("R2", *own, *other),
            _ => return Ok(None),
        };
        // A row's loss, or how much of it is right.
        let column = usize::from(what == "accuracy");
        let (mean, error) = mean_and_error(rows, column);
        let (test_mean, test_error) = mean_and_error(&test_rows, column);
        let significant = (mean - test_mean).abs() > 3.0 * error.hypot(test_error);
        let figure = |score: f64| match what {
            "R2" => format!("{score:.3}"),
            _ => format!("{:.1} %", 100.0 * score),
        };
        Ok((own - other >= 0.1 && significant).then(|| {
            format!(
                "{what} is {} on the {} training rows and {} on the {} test rows: it knows the \
                 training rows rather than the rule. More rows, --weight-decay, --dropout, fewer \
                 epochs or a smaller network narrow the gap",
                figure(own),
                self.rows,
                figure(other),
                self.test_rows
            )
        }))
    }

    /// What can be seen in the parameters and gradients of a network that cannot learn, however long it
    /// takes.
    fn why_still(&mut self) -> Result<Option<String>> {
        let weights = |layer: usize| format!("layers.{layer}.weight");
        let layers = self.mlp.layers();
        let (mut equal, mut zeros) = (Vec::new(), true);
        for layer in 0..layers {
            let (columns, values) = (self.mlp.widths()[layer], self.parameter(&weights(layer))?);
            zeros &= values.iter().all(|value| *value == 0.0);
            let mut rows = values.chunks_exact(columns as usize);
            let first = rows.next();
            if layer + 1 < layers && rows.len() > 0 && rows.all(|row| Some(row) == first) {
                equal.push(layer);
            }
        }
        let list = |layers: &[usize]| match layers {
            [only] => format!("layers.{only}"),
            [first, .., last] => format!("layers.{first} to layers.{last}"),
            [] => String::new(),
        };
        let differ =
            "Weights must differ from one another: he_normal for ReLU, xavier_normal for tanh";
        if zeros {
            return Ok(Some(format!(
                "every weight is still 0 and so is its gradient: nothing passes forward, nothing comes \
                 back, and the output's bias learns alone. {differ}"
            )));
        }
        if !equal.is_empty() {
            return Ok(Some(format!(
                "all units of {} are still equal: equal weights get equal gradients and stay equal \
                 for good, so that a layer is as wide as one unit. {differ}",
                list(&equal)
            )));
        }
        if self.gradient_norms()?.iter().all(|&norm| norm == 0.0) {
            return Ok(Some(
                "the gradient of every weight is exactly 0: its units are dead, or what comes \
                       through the layers is less than f32 holds. Other initial weights, a smaller \
                       learning rate or small positive biases keep units alive"
                    .into(),
            ));
        }
        Ok(None)
    }

    /// The norm of the gradient of each layer's weights, on the rows of the next step.
    fn gradient_norms(&mut self) -> Result<Vec<f64>> {
        self.backward()?;
        let layers = self.mlp.layers();
        let norm = |layer: usize| {
            let gradient = self.gradient(&format!("layers.{layer}.weight"))?;
            let square: f64 = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
            Ok(square.sqrt())
        };
        (0..layers).map(norm).collect()
    }

    fn why_vanishing(&mut self) -> Result<Option<String>> {
        let norms = self.gradient_norms()?;
        let (first, last) = (norms[0], norms[norms.len() - 1]);
        Ok((first < 1e-3 * last).then(|| {
            format!(
                "the gradient vanishes on its way down: its norm is {last:.1e} in {} and {first:.1e} \
                 in layers.0.weight. Larger initial weights, --layer-norm or --residual \
                 keep it alive; `fanin probe` shows which",
                format_args!("layers.{}.weight", norms.len() - 1),
            )
        }))
    }

    /// Goes through a submission again, step by step, to where something first stopped being a
    /// finite number.
    fn diagnose(&mut self, order: &[u32], items: &[Item]) -> Result<String> {
        self.execution.restore()?;
        for item in items.iter().filter(|item| item.phase == Phase::Train) {
            let epoch = item.number / self.epoch_steps() + 1;
            let place = format!("at step {} (epoch {epoch})", item.number + 1);
            let rows = &order[item.step.first as usize..][..item.step.rows as usize];
            let step = Step { first: 0, slot: 0, ..item.step };
            let results = self.execution.run(rows, &[(Phase::Train, step)], false)?;
            for (layer, view) in self.layers.clone().into_iter().enumerate() {
                let values = self.execution.read(view)?;
                if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                    let what = if value.is_nan() { "not a number" } else { "infinite" };
                    return Ok(format!(
                        "the outputs of layers.{layer} before its nonlinearity are {what} {place}; \
                         {CALMER}"
                    ));
                }
            }
            if results[..rows.len()].iter().any(|[loss, _]| !loss.is_finite()) {
                return Ok(format!("the loss overflows {place}; {CALMER}"));
            }
            // Backward from the loss: the last parameter's gradient comes first.
            for (slot, what) in [(GRADIENTS, "the gradient of"), (PARAMETERS, "the update makes")] {
                for parameter in self.parameters.clone().iter().rev() {
                    let values = self.execution.read(parameter.view(slot))?;
                    if values.iter().any(|value| !value.is_finite()) {
                        let name = &parameter.name;
                        return Ok(format!(
                            "{what} {name} infinite or no number {place}; {CALMER}"
                        ));
                    }
                }
            }
        }
        Ok(format!("a loss became infinite or not a number; {CALMER}"))
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
        self.execution.write(view.slot, view.first, values)
    }
}

fn check(mlp: &Mlp, options: &Options, loss: &Loss, rows: usize) -> Result<()> {
    loss.check()?;
    options.optimizer.check()?;
    options.schedule.check()?;
    if !(options.lr > 0.0 && options.lr.is_finite()) {
        return Err(Error::invalid("learning rate", options.lr, "a finite number above 0"));
    }
    if options.epochs == 0 {
        return Err(Error::invalid("epochs", 0, "at least 1"));
    }
    if let Some(bound) = options.clip.filter(|bound| !(*bound > 0.0 && bound.is_finite())) {
        return Err(Error::invalid("clip", bound, "a finite norm above 0"));
    }
    match options.batch {
        Some(0) => return Err(Error::invalid("batch", 0, "at least 1 row")),
        Some(batch) if batch > rows => {
            let needed = format!("at most the training set's {rows} rows");
            return Err(Error::invalid("batch", format!("{batch} rows"), needed));
        }
        _ => {}
    }
    let widest = mlp.widths().iter().max().copied().unwrap_or(1);
    let batch = options.batch.unwrap_or(rows) as u64;
    if rows > 1 << 30 || widest.saturating_mul(batch) > 1 << 30 {
        let given = format!("{batch} rows of a layer {widest} wide");
        return Err(Error::invalid("batch", given, "at most 2^30 activations a layer"));
    }
    Ok(())
}

/// A set's targets as the loss takes them, class indices or the bits of values, and how many there are
/// a row.
fn words(set: &Dataset, loss: &Loss, outputs: usize) -> Result<(Vec<u32>, usize)> {
    let invalid = |given: String, needed: String| Err(Error::invalid("targets", given, needed));
    match (&set.targets, loss.target()) {
        (Targets::Classes { labels, names }, Target::Class) => {
            if names.len() > outputs {
                let given = format!("{} classes", names.len());
                return invalid(given, format!("at most the network's {outputs} outputs"));
            }
            if let Some(label) = labels.iter().find(|label| **label as usize >= outputs) {
                return invalid(format!("class {label}"), format!("classes 0 to {}", outputs - 1));
            }
            Ok((labels.clone(), 1))
        }
        (Targets::Classes { labels, names }, Target::Share) => {
            let one = |is: bool| if is { 1.0f32.to_bits() } else { 0 };
            match (outputs, names.len()) {
                (1, 2) => Ok((labels.iter().map(|label| one(*label == 1)).collect(), 1)),
                (outputs, classes) if outputs == classes && classes > 1 => Ok((labels.clone(), 1)),
                (outputs, classes) => {
                    invalid(format!("{classes} classes"), format!("{outputs} for the outputs"))
                }
            }
        }
        (Targets::Classes { .. }, Target::Value) => {
            invalid("classes".into(), format!("values for {}", loss.called()))
        }
        (Targets::Values { .. }, Target::Class) => {
            invalid("values".into(), format!("classes for {}", loss.called()))
        }
        (Targets::Values { values, names }, target) => {
            if names.len() != outputs {
                let given = format!("{} values a row", names.len());
                return invalid(given, format!("{outputs} for the network's outputs"));
            }
            let shares = target == Target::Share;
            let values = values.to_f32();
            if let Some(value) = values.iter().find(|v| shares && !(0.0..=1.0).contains(*v)) {
                return invalid(value.to_string(), format!("0 to 1 for {}", loss.called()));
            }
            Ok((values.iter().map(|value| value.to_bits()).collect(), outputs))
        }
    }
}

/// The loss of the best answer that does not look at the features.
fn baseline(set: &Dataset, loss: &Loss) -> f64 {
    match &set.targets {
        Targets::Classes { labels, names } => {
            loss.constant_of_classes(&shares(labels, names.len()))
        }
        Targets::Values { names, .. } => {
            let each = columns(set).map(|column| loss.constant_of_values(&column));
            each.sum::<f64>() / names.len() as f64
        }
    }
}

/// Multiply-adds that no device takes long for.
const QUICK: f64 = 3e8;

/// The share of each class.
fn shares(labels: &[u32], classes: usize) -> Vec<f64> {
    let mut shares = vec![0.0; classes.max(1)];
    labels.iter().for_each(|label| shares[*label as usize] += 1.0 / labels.len() as f64);
    shares
}

/// The share of the largest class; none for values.
fn majority(set: &Dataset) -> Option<f64> {
    let Targets::Classes { labels, names } = &set.targets else { return None };
    shares(labels, names.len()).into_iter().max_by(f64::total_cmp)
}

/// The variance of each column of values, as f32 has them; none for classes.
fn variances(set: &Dataset) -> Vec<f64> {
    columns(set).map(|column| variance(&column)).collect()
}

/// The columns of values, as f32 has them; none for classes.
fn columns(set: &Dataset) -> impl Iterator<Item = Vec<f64>> {
    let (values, columns) = match &set.targets {
        Targets::Values { values, names } => (values.to_f32(), names.len()),
        Targets::Classes { .. } => (Default::default(), 0),
    };
    (0..columns).map(move |column| {
        values.iter().skip(column).step_by(columns).map(|value| f64::from(*value)).collect()
    })
}

/// A loss for people.
fn figure(loss: f64) -> String {
    match (1e-2..1e5).contains(&loss) {
        true => format!("{loss:.4}"),
        false => format!("{loss:.3e}"),
    }
}

/// The mean of one of rows' results, and its standard error.
fn mean_and_error(rows: &[RowResult], column: usize) -> (f64, f64) {
    let count = rows.len() as f64;
    let mean = rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / count;
    let square = |row: &RowResult| (f64::from(row[column]) - mean).powi(2);
    (mean, (rows.iter().map(square).sum::<f64>() / (count - 1.0) / count).sqrt())
}

/// What tells one set of examples from another.
fn digest(resident: &Resident<'_>, rows: usize) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    digest.update((rows as u64).to_le_bytes());
    digest.update(bytemuck::cast_slice::<f32, u8>(resident.features));
    digest.update(bytemuck::cast_slice::<u32, u8>(resident.targets));
    digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
