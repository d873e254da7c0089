use std::borrow::Cow;

use crate::{Error, Result, counted};

use super::numbers::{Exact, cell};
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
    pub(crate) rest: f64,
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
    /// [`Error::Invalid`] where the number of columns is another than that of the training rows, or what
    /// a number becomes is beyond f32's range (its row and column are named); nothing has changed then.
    pub fn apply(&self, dataset: &mut Dataset) -> Result<()> {
        fits("columns to standardize", dataset.columns(), &self.features)?;
        let place = dataset.place();
        let at = |error: Error| error.at(&place);
        let names = &dataset.feature_names;
        let features = self.features(&dataset.features, names).map_err(at)?;
        if let Cow::Owned(targets) = self.targets(&dataset.targets).map_err(at)? {
            dataset.targets = targets;
        }
        dataset.features = features.into();
        Ok(())
    }

    /// [`Standardizer::apply`] for rows of features of these names.
    pub(crate) fn features(&self, features: &Numbers, names: &[String]) -> Result<Vec<f32>> {
        standardized(&self.features, features, names, "column")
    }

    /// The same for targets.
    pub(crate) fn targets<'a>(&self, targets: &'a Targets) -> Result<Cow<'a, Targets>> {
        let Targets::Values { values, names } = targets else { return Ok(Cow::Borrowed(targets)) };
        fits("targets to standardize", names.len(), &self.targets)?;
        let values = standardized(&self.targets, values, names, "target")?.into();
        Ok(Cow::Owned(Targets::Values { values, names: names.clone() }))
    }

    /// What a network puts out, in the units of what it was to predict: `out * std + mean`, row by
    /// row, as many columns as there are targets. What is beyond f64's range is an infinity.
    ///
    /// # Errors
    /// [`Error::Invalid`] where these are no whole rows.
    pub fn restore(&self, outputs: &[f32]) -> Result<Vec<f64>> {
        let columns = self.targets.len();
        if columns == 0 {
            return Ok(outputs.iter().copied().map(f64::from).collect());
        }
        if !outputs.len().is_multiple_of(columns) {
            let given = counted(outputs.len(), "value");
            return Err(Error::invalid("outputs", given, format!("rows of {columns}")));
        }
        let scales = self.targets.iter().cycle();
        let restored = outputs.iter().zip(scales);
        Ok(restored.map(|(&out, scale)| f64::from(out).mul_add(scale.std, scale.mean)).collect())
    }

    /// The columns of `dataset`, as it was loaded, that keep less than half of their distinct numbers
    /// in f32 after [`Standardizer::apply`].
    ///
    /// # Errors
    /// As [`Standardizer::apply`].
    pub fn collapsed(&self, dataset: &Dataset) -> Result<Vec<Collapsed>> {
        fits("columns to standardize", dataset.columns(), &self.features)?;
        let at = |error: Error| error.at(dataset.place());
        let names = &dataset.feature_names;
        let all = collapsed(&self.features, &dataset.features, names, "column");
        let mut all = all.map_err(at)?;
        if let Targets::Values { values, names } = &dataset.targets {
            fits("targets to standardize", names.len(), &self.targets)?;
            all.extend(collapsed(&self.targets, values, names, "target").map_err(at)?);
        }
        Ok(all)
    }
}

impl Scale {
    /// What a number becomes; an infinity beyond f32's range.
    fn of(&self, number: Exact) -> f32 {
        let mean = Exact::from(self.mean).plus(self.rest);
        let difference = number.minus(mean);
        let standardized = match difference.is_finite() {
            true => difference / self.std,
            // The difference of two numbers that f64 holds may be twice what it reaches.
            false => number.scaled(0.25).minus(mean.scaled(0.25)) / (0.25 * self.std),
        };
        standardized as f32
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
    let mut origins: Vec<Exact> = numbers.iter().take(columns).collect();
    // Near the end of f64's range, in a unit whose sums over 2^32 rows stay within it.
    let mut shrinks = vec![1.0; origins.len()];
    for (index, number) in numbers.iter().enumerate() {
        if number.nearest().abs() >= 2f64.powi(960) {
            shrinks[index % origins.len()] = 2f64.powi(-64);
        }
    }
    let shrunk = |index: usize, number: Exact| number.scaled(shrinks[index % shrinks.len()]);
    let numbers =
        || numbers.iter().enumerate().map(|(index, number)| (index, shrunk(index, number)));
    origins.iter_mut().enumerate().for_each(|(index, origin)| *origin = shrunk(index, *origin));
    let mut columns = vec![(0.0, 0.0f64); origins.len()];
    for (index, number) in numbers() {
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
    for (index, number) in numbers() {
        let column = index % middles.len();
        squares[column] += (number.minus(middles[column]) / unit(columns[column].1)).powi(2);
    }
    let scale = |column: usize| {
        let (middle, shrink, widest) = (middles[column], shrinks[column], columns[column].1);
        let std = (squares[column] / rows).sqrt() * unit(widest);
        // Rounding may leave the range, where numbers are at its end.
        let within = |x: f64| (x / shrink).clamp(f64::MIN, f64::MAX);
        let mean = within(middle.nearest());
        let rest = middle.minus((mean * shrink).into()) / shrink;
        Scale { mean, std: if widest == 0.0 || std == 0.0 { 1.0 } else { within(std) }, rest }
    };
    (0..middles.len()).map(scale).collect()
}

/// What numbers become: the nearest f32s, where there is no scale.
fn standardized(
    scales: &[Scale],
    numbers: &Numbers,
    names: &[String],
    kind: &str,
) -> Result<Vec<f32>> {
    if scales.is_empty() {
        return numbers.check_f32(names, kind).map(|()| numbers.to_f32().into_owned());
    }
    let standardized = |(index, (number, scale)): (usize, (Exact, &Scale))| {
        let found = scale.of(number);
        match found.is_finite() {
            true => Ok(found),
            false => {
                let what =
                    format!("{}, standardized by the training rows", cell(index, names, kind));
                let needed = "a number that is then a finite f32 (3.4e38 at most)";
                Err(Error::invalid(what, number, needed))
            }
        }
    };
    numbers.iter().zip(scales.iter().cycle()).enumerate().map(standardized).collect()
}

fn collapsed(
    scales: &[Scale],
    numbers: &Numbers,
    names: &[String],
    kind: &str,
) -> Result<Vec<Collapsed>> {
    if numbers.is_f32() {
        return Ok(Vec::new());
    }
    standardized(scales, numbers, names, kind)?;
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
    Ok(all.filter(|column| column.left < column.distinct.div_ceil(2)).collect())
}
