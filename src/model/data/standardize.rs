use crate::{Error, Result};

use super::numbers::Exact;
use super::{Dataset, Numbers, Targets};

/// Brings every column to mean 0 and standard deviation 1, by what the training rows have: features,
/// and numbers to predict. It computes in f64, from the numbers as they were given; f32 is what comes
/// out. So times in milliseconds, large and close together, stay apart.
///
/// A test set goes through the standardizer of its training set: its own statistics are not known
/// where a model is used. [`Standardizer::default`] leaves all numbers as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standardizer {
    /// One a column of features; none leaves them as they are.
    pub features: Vec<Scale>,
    /// One a number to predict; none leaves them as they are, and classes have none.
    pub targets: Vec<Scale>,
}

/// What a column becomes: `(x - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The mean of the rows.
    pub mean: f64,
    /// Their standard deviation as a whole (of squares divided by their number); 1 where all are
    /// equal, so that they become 0.
    pub std: f64,
    /// The mean less `mean`: integers of 64 bits need both.
    rest: f64,
}

/// A column whose numbers fall together in f32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collapsed {
    /// The feature's name, or that of the number to predict.
    pub column: String,
    /// Distinct numbers as they were given.
    pub distinct: usize,
    /// Distinct numbers that are left.
    pub left: usize,
}

impl Standardizer {
    /// The mean and standard deviation of each column of features, and of each number to predict.
    pub fn fit(training: &Dataset) -> Self {
        let targets = match &training.targets {
            Targets::Classes { .. } => Vec::new(),
            Targets::Values { values, names } => scales(values, names.len()),
        };
        Standardizer { features: scales(&training.features, training.columns()), targets }
    }

    /// The same for features alone: numbers to predict are left as they are. Shares from 0 to 1 are
    /// to stay shares for the binary cross-entropy.
    pub fn without_targets(self) -> Self {
        Standardizer { targets: Vec::new(), ..self }
    }

    /// `(x - mean) / std` for every feature, and for every number to predict: f32s.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number of columns is another than that of the training rows;
    /// nothing has changed then.
    pub fn apply(&self, dataset: &mut Dataset) -> Result<()> {
        fits("columns to standardize", dataset.columns(), &self.features)?;
        if let Targets::Values { names, .. } = &dataset.targets {
            fits("targets to standardize", names.len(), &self.targets)?;
        }
        dataset.features = standardized(&self.features, &dataset.features);
        if let Targets::Values { values, .. } = &mut dataset.targets {
            *values = standardized(&self.targets, values);
        }
        Ok(())
    }

    /// What a network puts out, in the units of what it was to predict: `out * std + mean`, row by
    /// row, as many columns as there are targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] where these are no whole rows.
    pub fn restore(&self, outputs: &[f32]) -> Result<Vec<f64>> {
        let columns = self.targets.len();
        if columns == 0 {
            return Ok(outputs.iter().copied().map(f64::from).collect());
        }
        if !outputs.len().is_multiple_of(columns) {
            let given = format!("{} values", outputs.len());
            return Err(Error::invalid("outputs", given, format!("rows of {columns}")));
        }
        let scales = self.targets.iter().cycle();
        let restored = outputs.iter().zip(scales);
        Ok(restored.map(|(&out, scale)| f64::from(out) * scale.std + scale.mean).collect())
    }

    /// The columns of `dataset`, as it was loaded, that keep less than half of their distinct numbers
    /// in f32 after [`Standardizer::apply`].
    ///
    /// # Errors
    /// As [`Standardizer::apply`].
    pub fn collapsed(&self, dataset: &Dataset) -> Result<Vec<Collapsed>> {
        fits("columns to standardize", dataset.columns(), &self.features)?;
        let mut all = collapsed(&self.features, &dataset.features, &dataset.feature_names);
        if let Targets::Values { values, names } = &dataset.targets {
            fits("targets to standardize", names.len(), &self.targets)?;
            all.extend(collapsed(&self.targets, values, names));
        }
        Ok(all)
    }
}

impl Scale {
    fn of(&self, number: Exact) -> f32 {
        (number.minus(Exact::from(self.mean).plus(self.rest)) / self.std) as f32
    }
}

fn fits(what: &str, given: usize, scales: &[Scale]) -> Result<()> {
    if scales.is_empty() || given == scales.len() {
        return Ok(());
    }
    Err(Error::invalid(what, given, format!("{}, as in the training rows", scales.len())))
}

fn scales(numbers: &Numbers, columns: usize) -> Vec<Scale> {
    let rows = (numbers.len() / columns.max(1)) as f64;
    // Differences from each column's first number: those of numbers that are large and close are
    // exact, which sums of the numbers would not be.
    let origins: Vec<Exact> = numbers.iter().take(columns).collect();
    let mut columns = vec![(0.0, 0.0f64); origins.len()];
    for (index, number) in numbers.iter().enumerate() {
        let column = index % origins.len();
        let difference = number.minus(origins[column]);
        let (sum, widest) = &mut columns[column];
        *sum += difference;
        *widest = widest.max(difference.abs());
    }
    // Squares in units of a power of two near the widest difference: none leaves f64's range.
    let unit = |widest: f64| f64::from_bits(widest.max(f64::MIN_POSITIVE).to_bits() >> 52 << 52);
    let middles = origins.iter().zip(&columns).map(|(origin, (sum, _))| origin.plus(sum / rows));
    let middles: Vec<Exact> = middles.collect();
    let mut squares = vec![0.0; middles.len()];
    for (index, number) in numbers.iter().enumerate() {
        let column = index % middles.len();
        squares[column] += (number.minus(middles[column]) / unit(columns[column].1)).powi(2);
    }
    let scale = |((middle, square), (_, widest)): ((&Exact, f64), &(f64, f64))| {
        let std = (square / rows).sqrt() * unit(*widest);
        let mean = middle.nearest();
        let rest = middle.minus(mean.into());
        Scale { mean, std: if *widest == 0.0 || std == 0.0 { 1.0 } else { std }, rest }
    };
    middles.iter().zip(squares).zip(&columns).map(scale).collect()
}

fn standardized(scales: &[Scale], numbers: &Numbers) -> Numbers {
    if scales.is_empty() {
        return numbers.to_f32().into_owned().into();
    }
    let numbers = numbers.iter().zip(scales.iter().cycle());
    numbers.map(|(number, scale)| scale.of(number)).collect::<Vec<f32>>().into()
}

fn collapsed(scales: &[Scale], numbers: &Numbers, names: &[String]) -> Vec<Collapsed> {
    if numbers.is_f32() {
        return Vec::new();
    }
    let look = |(index, name): (usize, &String)| {
        let mut column: Vec<Exact> = numbers.iter().skip(index).step_by(names.len()).collect();
        column.sort_unstable_by(Exact::total_cmp);
        column.dedup();
        let single = |number: &Exact| match scales.get(index) {
            Some(scale) => scale.of(*number),
            None => number.nearest() as f32,
        };
        // What rises with the numbers stays in order.
        let steps = column.windows(2).filter(|pair| single(&pair[0]) != single(&pair[1]));
        Collapsed { column: name.clone(), distinct: column.len(), left: steps.count() + 1 }
    };
    let all = names.iter().enumerate().map(look);
    all.filter(|column| column.left < column.distinct.div_ceil(2)).collect()
}
