//! From the columns of a source to what a network takes, and what it gives.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

use super::numbers::Exact;
use super::{Dataset, Numbers, Standardizer, Targets};

/// What becomes of values that are missing: NaN, and in a table the cells that [`load`](super::load())
/// names. A target is never filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// They are an error, which says where they are.
    #[default]
    Refuse,
    /// Rows that have one are left out.
    Drop,
    /// They become the mean of the column over the training rows.
    Mean,
    /// They become the median of the column over the training rows: of an even number of values the mean
    /// of the two in the middle.
    Median,
    /// They become 0.
    Zero,
}

impl Missing {
    /// Every way, by name.
    pub const NAMES: [(&'static str, Missing); 5] = [
        ("refuse", Missing::Refuse),
        ("drop", Missing::Drop),
        ("mean", Missing::Mean),
        ("median", Missing::Median),
        ("zero", Missing::Zero),
    ];

    /// Whether they become numbers.
    pub fn fills(self) -> bool {
        !matches!(self, Missing::Refuse | Missing::Drop)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES.iter().find(|(_, own)| own == self).map_or("", |(name, _)| name))
    }
}

impl FromStr for Missing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        let names = Self::NAMES.map(|(name, _)| name);
        found
            .map(|(_, own)| own)
            .ok_or_else(|| Error::unknown("way with missing values", text, names))
    }
}

/// A column of a source, and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// What the source calls it.
    pub name: String,
    /// What it becomes.
    pub encoding: Encoding,
}

/// What the cells of a column become.
#[derive(Clone, Debug, PartialEq)]
pub enum Encoding {
    /// The number that a cell holds.
    Number {
        /// What stands for a missing one, where [`Missing::fills`] and it is known
        /// ([`Preparation::fill_by`]).
        fill: Option<f64>,
    },
    /// A number for each category: 1 in that of the cell, and 0 in the others. A missing cell, where
    /// [`Missing::fills`], has 0 in all.
    OneHot {
        /// The categories, in the order of their numbers.
        categories: Vec<String>,
    },
}

impl Feature {
    /// A column of numbers.
    pub fn number(name: impl Into<String>) -> Feature {
        Feature { name: name.into(), encoding: Encoding::Number { fill: None } }
    }

    /// How many numbers it becomes.
    pub fn width(&self) -> usize {
        match &self.encoding {
            Encoding::Number { .. } => 1,
            Encoding::OneHot { categories } => categories.len(),
        }
    }

    /// What they are called: `town=Oslo` for a category.
    pub fn names(&self) -> Vec<String> {
        match &self.encoding {
            Encoding::Number { .. } => vec![self.name.clone()],
            Encoding::OneHot { categories } => {
                categories.iter().map(|own| format!("{}={own}", self.name)).collect()
            }
        }
    }
}

/// What is predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// One of several classes.
    Class {
        /// What the source calls the column of classes; `class` where it has no name for it.
        name: String,
        /// The classes, in the order of the network's outputs.
        classes: Vec<String>,
    },
    /// Numbers, by their names.
    Values(Vec<String>),
}

impl Predicted {
    /// What a set's targets are; classes are of a column of this name.
    pub(super) fn of(targets: &Targets, name: &str) -> Predicted {
        match targets {
            Targets::Classes { names, .. } => {
                Predicted::Class { name: name.into(), classes: names.clone() }
            }
            Targets::Values { names, .. } => Predicted::Values(names.clone()),
        }
    }

    /// The names of the source's columns that hold it.
    pub fn columns(&self) -> &[String] {
        match self {
            Predicted::Class { name, .. } => std::slice::from_ref(name),
            Predicted::Values(names) => names,
        }
    }

    /// What is learnt.
    #[cfg(feature = "data")]
    pub(super) fn task(&self) -> super::Task {
        match self {
            Predicted::Class { .. } => super::Task::Classify,
            Predicted::Values(_) => super::Task::Regress,
        }
    }

    /// Targets of this kind, without rows.
    #[cfg(feature = "data")]
    pub(super) fn empty(&self) -> Targets {
        match self {
            Predicted::Class { classes, .. } => {
                Targets::Classes { labels: Vec::new(), names: classes.clone() }
            }
            Predicted::Values(names) => {
                Targets::Values { values: Numbers::from_iter([]), names: names.clone() }
            }
        }
    }
}

/// All that stands between the rows of a source and a network: what its columns become, what fills gaps,
/// what standardizes them, and what the network's outputs mean. It is settled by the training rows, and
/// goes with the trained network ([`Trainer::set_preparation`](crate::model::Trainer::set_preparation)).
#[cfg_attr(
    feature = "data",
    doc = r#"
```no_run
use std::path::Path;
use fanin::Device;
use fanin::model::data::{Loaded, LoadOptions, Missing, Standardizer, load};
use fanin::model::{Mlp, TrainOptions, Trainer};

let options = LoadOptions {
    targets: vec!["income".into()],
    drop: vec!["id".into()],
    one_hot: vec!["town".into()],
    missing: Missing::Median,
    ..LoadOptions::default()
};
let Loaded { train, mut preparation, .. } = load("survey.csv", &options, 0)?;
let (mut train, mut test) = train.split(0, 0.2)?;
preparation.fill_by(&train)?;
preparation.fill(&mut train)?;
preparation.fill(&mut test)?;
preparation.standardizer = Standardizer::fit(&train);
preparation.standardizer.apply(&mut train)?;
preparation.standardizer.apply(&mut test)?;

let mlp = Mlp::new([train.columns() as u64, 64, 1])?;
let mut trainer = Trainer::new(&Device::Cpu, &mlp, &TrainOptions::default(), &train, Some(&test))?;
trainer.set_preparation(preparation)?;
while trainer.epoch()?.is_some() {}
trainer.save(Path::new("survey.safetensors"), false)?;
# Ok::<(), fanin::Error>(())
```
"#
)]
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    /// The columns of the source that are used, in the order of what they become.
    pub features: Vec<Feature>,
    /// What becomes of missing values.
    pub missing: Missing,
    /// What is predicted.
    pub predicted: Predicted,
    /// What brings features, and values to predict, to mean 0 and variance 1; none at first.
    pub standardizer: Standardizer,
}

impl Preparation {
    /// Of a set whose features are numbers and stay as they are.
    pub fn of(set: &Dataset) -> Preparation {
        Preparation {
            features: set.feature_names.iter().map(Feature::number).collect(),
            missing: Missing::Refuse,
            predicted: Predicted::of(&set.targets, "class"),
            standardizer: Standardizer::default(),
        }
    }

    /// How many numbers a row becomes.
    pub fn width(&self) -> usize {
        self.features.iter().map(Feature::width).sum()
    }

    /// What they are called.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::names).collect()
    }

    /// Settles what fills missing values, by the training rows alone, so that nothing of a test set gets
    /// into what is trained. Where missing values are refused or dropped there is nothing to settle.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the training rows have other columns, or a column has no value in any of
    /// them and its mean or median is wanted.
    pub fn fill_by(&mut self, training: &Dataset) -> Result<()> {
        self.check_width(training)?;
        if !self.missing.fills() {
            return Ok(());
        }
        let width = self.width();
        let mut first = 0;
        for feature in &mut self.features {
            let (at, own) = (first, feature.width());
            first += own;
            let Encoding::Number { fill } = &mut feature.encoding else { continue };
            let column = training.features.iter().skip(at).step_by(width);
            let mut values: Vec<f64> =
                column.map(Exact::nearest).filter(|value| !value.is_nan()).collect();
            if values.is_empty() && self.missing != Missing::Zero {
                let what = format!("{}: column `{}`", training.place(), feature.name);
                let needed = "a value in one of the training rows at least, or missing values as 0";
                return Err(Error::invalid(what, "none", needed));
            }
            let count = values.len() as f64;
            *fill = Some(match self.missing {
                // Large numbers that are close keep their digits.
                Missing::Mean => {
                    let origin = values[0];
                    let differences = values.iter().map(|value| value - origin);
                    match origin + differences.sum::<f64>() / count {
                        mean if mean.is_finite() => mean,
                        _ => values.iter().map(|value| value / count).sum(),
                    }
                }
                Missing::Median => {
                    values.sort_unstable_by(f64::total_cmp);
                    let middle = values.len() / 2;
                    match values.len() % 2 {
                        1 => values[middle],
                        _ => 0.5 * values[middle - 1] + 0.5 * values[middle],
                    }
                }
                _ => 0.0,
            });
        }
        Ok(())
    }

    /// Puts what [`Preparation::fill_by`] settled in place of missing values.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the set has other columns.
    pub fn fill(&self, set: &mut Dataset) -> Result<()> {
        self.check_width(set)?;
        if let Cow::Owned(filled) = self.filled(&set.features) {
            set.features = filled;
        }
        Ok(())
    }

    /// The same for rows of features; what nothing fills stays.
    pub(crate) fn filled<'a>(&self, features: &'a Numbers) -> Cow<'a, Numbers> {
        let missing = |number: &Exact| number.nearest().is_nan();
        if !self.missing.fills() || !features.iter().any(|number| missing(&number)) {
            return Cow::Borrowed(features);
        }
        let fill = |feature: &Feature| match feature.encoding {
            Encoding::Number { fill } => vec![fill.unwrap_or(f64::NAN)],
            Encoding::OneHot { .. } => vec![0.0; feature.width()],
        };
        let fills: Vec<f64> = self.features.iter().flat_map(fill).collect();
        let numbers = features.iter().zip(fills.iter().cycle());
        let filled = numbers.map(|(own, &fill)| if missing(&own) { fill.into() } else { own });
        Cow::Owned(filled.collect())
    }

    /// That it makes as many numbers of a row as a network takes.
    pub(crate) fn check(&self, network: &crate::model::Network) -> Result<()> {
        let (width, inputs) = (self.width() as u64, network.input().elements());
        match width == inputs {
            true => Ok(()),
            false => {
                let needed = format!("{inputs}, as the network takes");
                Err(Error::invalid("features", format!("{width} a row"), needed))
            }
        }
    }

    fn check_width(&self, set: &Dataset) -> Result<()> {
        match self.width() == set.columns() {
            true => Ok(()),
            false => {
                let needed = format!("{}, as the features come to", self.width());
                Err(Error::invalid(format!("{}: columns", set.place()), set.columns(), needed))
            }
        }
    }
}
