use crate::random::Stream;
use crate::{Error, Result, counted};

use super::{Missing, Numbers, permutation};

/// Examples: features and targets, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What the set is called: a generated set's name, or a file's.
    pub name: String,
    /// The features, row-major: `rows x columns`. NaN is a missing value, which
    /// [`Preparation::fill`](super::Preparation::fill) fills; nothing trains on it.
    pub features: Numbers,
    /// One name a column.
    pub feature_names: Vec<String>,
    /// What is to be learnt, one a row.
    pub targets: Targets,
}

/// What a [`Dataset`]'s rows are to be mapped to.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One of several classes.
    Classes {
        /// A class a row, as an index into `names`.
        labels: Vec<u32>,
        /// The classes.
        names: Vec<String>,
    },
    /// Numbers.
    Values {
        /// Row-major: `rows x names.len()`.
        values: Numbers,
        /// One name a column of `values`.
        names: Vec<String>,
    },
}

impl Dataset {
    /// A set that there is something to learn from.
    ///
    /// # Errors
    /// [`Error::Invalid`] where lengths do not match, there are no rows or columns, a number is not
    /// finite (its row, counted from 0, and column are named), a label is no index of a class, all rows
    /// are of one class, or a target's value is the same in all rows.
    pub fn new(
        name: impl Into<String>,
        features: impl Into<Numbers>,
        feature_names: Vec<String>,
        targets: Targets,
    ) -> Result<Self> {
        let name = name.into();
        let dataset = Dataset { name, features: features.into(), feature_names, targets };
        dataset.checked(Missing::Refuse)?.varied()
    }

    /// The set, where its form is sound; features may be missing where something is to fill them.
    pub(super) fn checked(self, missing: Missing) -> Result<Self> {
        self.check_form(missing).map_err(|error| error.at(self.place()))?;
        Ok(self)
    }

    /// The set, where there is something to learn: for a test, one class will do.
    pub(super) fn varied(self) -> Result<Self> {
        self.check_variety().map_err(|error| error.at(self.place()))?;
        Ok(self)
    }

    /// The number of examples.
    pub fn rows(&self) -> usize {
        self.features.len().checked_div(self.columns()).unwrap_or(0)
    }

    /// The number of features of an example.
    pub fn columns(&self) -> usize {
        self.feature_names.len()
    }

    /// How many numbers a model gives for a row: one a class, or one a target value.
    pub fn target_columns(&self) -> usize {
        match &self.targets {
            Targets::Classes { names, .. } | Targets::Values { names, .. } => names.len(),
        }
    }

    /// The rows of these indices, in their order; an index beyond the rows is left out.
    pub fn select(&self, rows: &[u32]) -> Dataset {
        let within = || rows.iter().map(|&row| row as usize).filter(|&row| row < self.rows());
        Dataset {
            name: self.name.clone(),
            features: self.features.rows(self.columns(), within()),
            feature_names: self.feature_names.clone(),
            targets: match &self.targets {
                Targets::Classes { labels, names } => Targets::Classes {
                    labels: within().map(|row| labels[row]).collect(),
                    names: names.clone(),
                },
                Targets::Values { values, names } => Targets::Values {
                    values: values.rows(names.len(), within()),
                    names: names.clone(),
                },
            },
        }
    }

    /// `(train, test)`: a part of the rows, drawn by `seed`, is set aside for the test.
    ///
    /// The test has the rows that come first in the [`permutation`] of the stream
    /// `(seed, "train.split")`, `test_fraction * rows` of them, rounded. Both parts keep the order
    /// that the rows had. A fraction of 0 leaves the test without rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `test_fraction` is not in `[0, 1)`, or, being above 0, leaves either
    /// part without rows.
    pub fn split(&self, seed: u64, test_fraction: f64) -> Result<(Dataset, Dataset)> {
        if !(0.0..1.0).contains(&test_fraction) {
            return Err(Error::invalid("test fraction", test_fraction, "at least 0 and below 1"));
        }
        let rows = self.rows();
        let test_rows = (test_fraction * rows as f64).round() as usize;
        if test_fraction > 0.0 && (test_rows == 0 || test_rows >= rows) {
            let given = format!("{test_fraction}, {test_rows} of {}", counted(rows, "row"));
            return Err(Error::invalid("test fraction", given, "rows on either side"));
        }
        let mut order = permutation(&Stream::named(seed, "train.split"), 0, count(rows)?);
        let (test, train) = order.split_at_mut(test_rows);
        test.sort_unstable();
        train.sort_unstable();
        Ok((self.select(train), self.select(test)))
    }

    /// That f32 holds all of its numbers as they stand: what a network takes.
    pub(crate) fn check_f32(&self) -> Result<()> {
        let at = |error: Error| error.at(self.place());
        self.features.check_f32(&self.feature_names, "column").map_err(at)?;
        match &self.targets {
            Targets::Values { values, names } => values.check_f32(names, "target").map_err(at),
            Targets::Classes { .. } => Ok(()),
        }
    }

    pub(super) fn place(&self) -> String {
        format!("data set `{}`", self.name)
    }

    fn check_form(&self, missing: Missing) -> Result<()> {
        let (rows, columns) = (self.rows(), self.columns());
        if columns == 0 {
            return Err(Error::invalid("columns", 0, "at least one feature"));
        }
        if !self.features.len().is_multiple_of(columns) {
            let given = format!("{} numbers", self.features.len());
            return Err(Error::invalid("features", given, format!("whole rows of {columns}")));
        }
        if rows == 0 {
            return Err(Error::invalid("rows", 0, "at least one"));
        }
        let targets = self.target_columns();
        if targets == 0 {
            return Err(Error::invalid("targets", 0, "at least one class or value"));
        }
        let (given, needed) = match &self.targets {
            Targets::Classes { labels, .. } => (labels.len(), Some(rows)),
            Targets::Values { values, .. } => (values.len(), rows.checked_mul(targets)),
        };
        if Some(given) != needed {
            let needed = format!("{targets} for each of the {rows} rows of features");
            let needed = match &self.targets {
                Targets::Classes { .. } => format!("one label for each of the {rows} rows"),
                Targets::Values { .. } => needed,
            };
            return Err(Error::invalid("targets", given, needed));
        }
        count(rows)?;
        match missing.fills() {
            true => self.features.check_or_missing(&self.feature_names, "column")?,
            false => self.features.check(&self.feature_names, "column")?,
        }
        match &self.targets {
            Targets::Classes { labels, names } => {
                let beyond = labels.iter().position(|&label| label as usize >= names.len());
                if let Some(row) = beyond {
                    let needed = format!("an index below {}, the number of classes", names.len());
                    return Err(Error::invalid(format!("label of row {row}"), labels[row], needed));
                }
                Ok(())
            }
            Targets::Values { values, names } => values.check(names, "target"),
        }
    }

    fn check_variety(&self) -> Result<()> {
        match &self.targets {
            Targets::Classes { labels, names } => {
                let first = labels.first().copied().unwrap_or(0);
                if labels.iter().all(|&label| label == first) {
                    let name = names.get(first as usize).map_or("", String::as_str);
                    let given = format!("`{name}` in all rows");
                    return Err(Error::invalid("classes", given, "at least two classes"));
                }
            }
            Targets::Values { values, names } => {
                for (column, name) in names.iter().enumerate() {
                    let first = values.get(column).unwrap_or(0.0.into());
                    if values.iter().skip(column).step_by(names.len()).all(|v| v == first) {
                        let given = format!("{first} in all rows");
                        let what = format!("target `{name}`");
                        return Err(Error::invalid(what, given, "a value that varies"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Rows are counted in u32 everywhere, on GPUs not least.
fn count(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| Error::invalid("rows", rows, "fewer than 2^32"))
}
