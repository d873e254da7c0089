//! What a run came to, and why.

use super::score::Score;
use super::tape::Stage;
use super::trainer::{Item, Trainer};
use crate::op::{GRADIENTS, PARAMETERS, Phase, RowResult, Step};
use crate::{Result, counted};

/// What a run came to, by the training loss (the last epoch's, or that of all training rows as the
/// network is now, whichever is less) beside [`Trainer::baseline`], the best constant answer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
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

impl Outcome {
    /// `learned`, `overfitted`, `learning`, `stuck` or `diverged`.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Learned => "learned",
            Outcome::Overfitted(_) => "overfitted",
            Outcome::Learning(_) => "learning",
            Outcome::Stuck(_) => "stuck",
            Outcome::Diverged(_) => "diverged",
        }
    }

    /// Why, where it did not simply learn.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Learned => None,
            Outcome::Overfitted(reason)
            | Outcome::Learning(reason)
            | Outcome::Stuck(reason)
            | Outcome::Diverged(reason) => Some(reason),
        }
    }
}

/// What makes a run less wild.
const CALMER: &str = "try a smaller learning rate, gradients clipped to a norm of 1, or an initializer with \
                      smaller weights";

impl Trainer {
    /// What the run came to: how far the loss fell, and where it did not, why.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device).
    pub fn verdict(&mut self) -> Result<Outcome> {
        if let Some(found) = &self.diverged {
            return Ok(Outcome::Diverged(found.clone()));
        }
        let (score, rows) = self.measure(0)?;
        if !score.loss.is_finite() {
            let steps = self.cursor.step;
            return Ok(Outcome::Diverged(format!(
                "the training loss is infinite or not a number after step {steps}; {CALMER}"
            )));
        }
        let epoch = self.history.last().map_or(score.loss, |epoch| epoch.train.loss);
        let loss = epoch.min(score.loss);
        if loss < 0.9 * self.baseline {
            let found = self.overfitting(&score, &rows)?;
            return Ok(found.map_or(Outcome::Learned, Outcome::Overfitted));
        }
        if let Some(why) = self.why_still()? {
            return Ok(Outcome::Stuck(why));
        }
        let beside = format!(
            "the training loss, {}, is {} {}, that of the best constant answer, after {}",
            figure(loss),
            match loss < self.baseline {
                true => format!("{:.1} % below", 100.0 * (1.0 - loss / self.baseline)),
                false => "no better than".into(),
            },
            figure(self.baseline),
            counted(self.cursor.step, "step")
        );
        // A few rows that are far off may hold up a loss.
        if let (Some(own), Some(constant)) = (score.accuracy, self.majority)
            && own >= constant + 0.1
        {
            return Ok(Outcome::Learning(format!(
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
            return Ok(Outcome::Learning(beside + what));
        }
        let vanishing = self.why_vanishing()?;
        Ok(Outcome::Stuck(vanishing.unwrap_or_else(|| {
            format!("{beside}: more epochs, another learning rate or another initializer")
        })))
    }

    /// How much worse test rows are met than training rows, by the rule of [`Outcome::Overfitted`].
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
                 training rows rather than the rule. More rows, weight decay, dropout, fewer \
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
        let names: Vec<String> = self.stages.iter().map(|stage| stage.name.clone()).collect();
        let (mut equal, mut zeros) = (Vec::new(), true);
        for (stage, name) in names.iter().enumerate() {
            let weight = format!("{name}.weight");
            let columns = self.find(&weight)?.inputs();
            let values = self.parameter(&weight)?;
            zeros &= values.iter().all(|value| *value == 0.0);
            let mut rows = values.chunks_exact(columns);
            let first = rows.next();
            if stage + 1 < names.len() && rows.len() > 0 && rows.all(|row| Some(row) == first) {
                equal.push(name.as_str());
            }
        }
        let list = |names: &[&str]| match names {
            [only] => only.to_string(),
            [first, .., last] => format!("{first} to {last}"),
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
        let mut norms = Vec::new();
        for stage in self.stages.clone() {
            let gradient = self.gradient(&format!("{}.weight", stage.name))?;
            let square: f64 = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum();
            norms.push(square.sqrt());
        }
        Ok(norms)
    }

    fn why_vanishing(&mut self) -> Result<Option<String>> {
        let norms = self.gradient_norms()?;
        let (first, last) = (norms[0], norms[norms.len() - 1]);
        Ok((first < 1e-3 * last).then(|| {
            format!(
                "the gradient vanishes on its way down: its norm is {last:.1e} in {} and {first:.1e} \
                 in {}.weight. Larger initial weights, layer norm or residual \
                 connections keep it alive",
                format_args!("{}.weight", self.stages[norms.len() - 1].name),
                self.stages[0].name,
            )
        }))
    }

    /// Goes through a submission again, step by step, to where something first stopped being a
    /// finite number.
    pub(super) fn diagnose(&mut self, order: &[u32], items: &[Item]) -> Result<String> {
        self.execution.restore()?;
        for item in items.iter().filter(|item| item.phase == Phase::Train) {
            let epoch = item.number / self.epoch_steps() + 1;
            let place = format!("at step {} (epoch {epoch})", item.number + 1);
            let rows = &order[item.step.first as usize..][..item.step.rows as usize];
            let step = Step { first: 0, slot: 0, ..item.step };
            let results = self.execution.run(rows, &[(Phase::Train, step)], false)?;
            for Stage { name, values, .. } in self.stages.clone() {
                let values = self.execution.read(values)?;
                if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                    let what = if value.is_nan() { "not a number" } else { "infinite" };
                    return Ok(format!(
                        "the outputs of {name} before its nonlinearity are {what} {place}; \
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
