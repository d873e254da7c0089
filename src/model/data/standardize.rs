use crate::{Error, Result};

use super::{Dataset, Targets};

/// Brings every column to mean 0 and standard deviation 1, by what the training rows have: features,
/// and numbers to predict.
///
/// A test set goes through the standardizer of its training set: its own statistics are not known
/// where a model is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    /// One mean a column.
    pub mean: Vec<f32>,
    /// One standard deviation a column, that of the rows as a whole (divided by their number).
    pub std: Vec<f32>,
    /// The same of the numbers to predict; empty for classes.
    pub target_mean: Vec<f32>,
    /// The same of the numbers to predict; empty for classes.
    pub target_std: Vec<f32>,
}

impl Standardizer {
    /// The mean and standard deviation of each column, summed in f64. A constant column gets a
    /// standard deviation of 1, so that it becomes 0 throughout.
    pub fn fit(training: &Dataset) -> Self {
        let (mean, std) = scales(&training.features, training.columns());
        let (target_mean, target_std) = match &training.targets {
            Targets::Classes { .. } => Default::default(),
            Targets::Values { values, names } => scales(values, names.len()),
        };
        Standardizer { mean, std, target_mean, target_std }
    }

    /// `(x - mean) / std` for every feature, and for every number to predict.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number of columns is another than that of the training rows;
    /// nothing has changed then.
    pub fn apply(&self, dataset: &mut Dataset) -> Result<()> {
        let targets = match &dataset.targets {
            Targets::Classes { .. } => 0,
            Targets::Values { names, .. } => names.len(),
        };
        let fits = |what: &str, given: usize, mean: &[f32], std: &[f32]| {
            if given == mean.len() && given == std.len() {
                return Ok(());
            }
            let needed = format!("{}, as in the training rows", mean.len());
            Err(Error::invalid(what, given, needed))
        };
        fits("columns to standardize", dataset.columns(), &self.mean, &self.std)?;
        fits("targets to standardize", targets, &self.target_mean, &self.target_std)?;
        apply(&self.mean, &self.std, &mut dataset.features);
        if let Targets::Values { values, .. } = &mut dataset.targets {
            apply(&self.target_mean, &self.target_std, values);
        }
        Ok(())
    }
}

fn scales(values: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = (values.len() / columns.max(1)) as f64;
    let scale = |first: usize| {
        let column = || values.iter().skip(first).step_by(columns).copied().map(f64::from);
        let middle = match rows {
            0.0 => 0.0,
            _ => column().sum::<f64>() / rows,
        };
        // From the mean as it will be taken away, rounded as it is.
        let middle = middle as f32;
        let squares: f64 = column().map(|x| (x - f64::from(middle)).powi(2)).sum();
        let spread = (squares / rows).sqrt() as f32;
        let constant = column().zip(column().skip(1)).all(|(a, b)| a == b);
        (middle, if constant || spread == 0.0 { 1.0 } else { spread })
    };
    (0..columns).map(scale).unzip()
}

fn apply(mean: &[f32], std: &[f32], values: &mut [f32]) {
    if mean.is_empty() {
        return;
    }
    for row in values.chunks_exact_mut(mean.len()) {
        for (x, (mean, std)) in row.iter_mut().zip(mean.iter().zip(std)) {
            // In f64: the difference of two large f32 may be no f32.
            *x = ((f64::from(*x) - f64::from(*mean)) / f64::from(*std)) as f32;
        }
    }
}
