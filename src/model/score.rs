use crate::op::{Loss, RowResult, Target};

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
    pub fn add(&mut self, results: &[RowResult]) {
        for [loss, right] in results {
            self.loss += f64::from(*loss);
            self.right += f64::from(*right);
        }
        self.rows += results.len() as u64;
    }

    /// The squared errors of a step: slice after slice, each with one sum a column.
    pub fn add_squares(&mut self, sums: &[f32], columns: usize) {
        self.squares.resize(columns, 0.0);
        for slice in sums.chunks_exact(columns) {
            self.squares.iter_mut().zip(slice).for_each(|(own, sum)| *own += f64::from(*sum));
        }
    }
    /// What they come to; `variances` are those of each target value.
    pub fn score(&self, loss: &Loss, variances: &[f64]) -> Score {
        let rows = self.rows.max(1) as f64;
        let (mean, values) = (self.loss / rows, loss.target() == Target::Value);
        // Of one target with the mean squared error the loss is the squared error.
        let squares = match loss.needs_squares(variances.len()) {
            true => &self.squares,
            false => &vec![self.loss],
        };
        let of = |(square, variance): (&f64, &f64)| match (*square, *variance) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (square, variance) => 1.0 - square / rows / variance,
        };
        let each = squares.iter().zip(variances).map(of);
        let r2 = each.sum::<f64>() / squares.len() as f64;
        Score {
            loss: mean,
            accuracy: (!values).then_some(self.right / rows),
            r2: (values && self.rows > 1).then_some(r2),
        }
    }
}
