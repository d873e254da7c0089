//! Named arrays of numbers, as files of tensors hold them, become examples.

use std::path::Path;

use crate::{Error, Result, counted};

use super::column::Column;
use super::load::{name_of, wrong};
use super::numbers::Exact;
use super::{
    Dataset, Encoding, LoadOptions, Loaded, Missing, Numbers, Preparation, Rows, Targets, Task,
};

/// As many as NumPy has. Work is done by element and dimension, and one byte of a header is enough for
/// a dimension.
pub(super) const MAX_DIMS: usize = 64;

/// The most columns of features or targets: each has a name, and one byte of a packed file is enough for
/// a thousand of them.
const MAX_COLUMNS: usize = 1 << 20;

/// An array in row-major order.
pub(super) struct Array {
    /// What messages call it.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// The elements, as near to their dtype as matters here.
pub(super) enum Values {
    /// Bytes, which are pixels where they are features.
    Bytes(Vec<u8>),
    Integers(Vec<i64>),
    /// Where one is beyond `i64`.
    Unsigned(Vec<u64>),
    Floats(Vec<f64>),
}

impl Values {
    fn numbers(&self) -> Numbers {
        let whole = |integer: i128| Exact::from(integer);
        match self {
            Values::Bytes(bytes) => bytes.iter().map(|&byte| whole(byte.into())).collect(),
            Values::Integers(integers) => integers.iter().map(|&n| whole(n.into())).collect(),
            Values::Unsigned(integers) => integers.iter().map(|&n| whole(n.into())).collect(),
            Values::Floats(floats) => floats.iter().map(|&x| Exact::from(x)).collect(),
        }
    }

    /// Integers, of the sign that they need.
    pub(super) fn unsigned(values: Vec<u64>) -> Self {
        let integers = values.iter().map(|&value| i64::try_from(value)).collect();
        match integers {
            Ok(integers) => Values::Integers(integers),
            Err(_) => Values::Unsigned(values),
        }
    }
}

/// What people call the features and the targets, most telling first.
const FEATURES: [&str; 4] = ["x", "features", "data", "images"];
const TARGETS: [&str; 5] = ["y", "labels", "label", "targets", "target"];

/// The arrays of a file that make a training set and perhaps a test set.
pub(super) struct Choice {
    pub(super) train: (String, String),
    pub(super) test: Option<(String, String)>,
}

/// Finds the features and targets among the names of a file's arrays.
///
/// # Errors
/// Where there are none, or only half of a test set.
pub(super) fn choose(path: &Path, names: &[String], target: Option<&str>) -> Result<Choice> {
    let find = |wanted: &str| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
    let listed = || match names {
        [] => "no arrays".into(),
        names => format!("arrays {}", names.join(", ")),
    };
    let pair = |suffix: &str| {
        let first = |kinds: &[&str]| kinds.iter().find_map(|kind| find(&format!("{kind}{suffix}")));
        (first(&FEATURES), first(&TARGETS))
    };
    if let Some(target) = target {
        let Some(targets) = names.iter().find(|name| *name == target) else {
            return Err(Error::unknown("target array", target, names));
        };
        let features = pair("").0.or_else(|| pair("_train").0);
        return match features {
            Some(features) => Ok(Choice { train: (features, targets.clone()), test: None }),
            None => {
                Err(wrong(path, "features", listed(), "an array x (or features, data, images)"))
            }
        };
    }
    if let (Some(x), Some(y)) = pair("_train") {
        let test = match pair("_test") {
            (Some(x), Some(y)) => Some((x, y)),
            (None, None) => None,
            _ => {
                return Err(wrong(
                    path,
                    "test set",
                    listed(),
                    "both x_test and y_test, or neither",
                ));
            }
        };
        return Ok(Choice { train: (x, y), test });
    }
    match pair("") {
        (Some(x), Some(y)) => Ok(Choice { train: (x, y), test: None }),
        _ => {
            let needed = "features x (or features, data, images) and targets y (or labels, target), \
                          or x_train, y_train, x_test and y_test";
            Err(wrong(path, "contents", listed(), needed))
        }
    }
}

/// The features of a file for a network that is trained, and the targets beside them where there are some.
pub(super) fn choose_rows(
    path: &Path,
    names: &[String],
    target: Option<&str>,
) -> Result<(String, Option<String>)> {
    let find = |wanted: &str| names.iter().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
    for suffix in ["", "_train", "_test"] {
        let first = |kinds: &[&str]| kinds.iter().find_map(|kind| find(&format!("{kind}{suffix}")));
        if let Some(features) = first(&FEATURES) {
            let targets = match target {
                Some(target) if names.iter().any(|name| name == target) => Some(target.to_owned()),
                Some(target) => return Err(Error::unknown("target array", target, names)),
                None => first(&TARGETS),
            };
            return Ok((features, targets));
        }
    }
    let given = match names {
        [] => "no arrays".into(),
        names => format!("arrays {}", names.join(", ")),
    };
    Err(wrong(path, "contents", given, "features x (or features, data, images)"))
}

/// The examples of a pair of arrays, and of a second one for the test.
pub(super) fn examples(
    path: &Path,
    train: (Array, Array),
    test: Option<(Array, Array)>,
    options: &LoadOptions,
) -> Result<Loaded> {
    let place = |error: Error| error.at(path.display());
    let (x, y) = train;
    let target = y.name.clone();
    let (features, columns) = x.features(&y).map_err(place)?;
    let targets = Target::new(y).map_err(place)?;
    let meaning = match &targets {
        Target::One(column) => column.meaning(&target, options.task),
        Target::Many { columns, .. } => super::column::Meaning {
            task: Task::Regress,
            reason: format!("the target `{target}` has {}", counted(columns, "column")),
        },
    };
    if let (Target::Many { columns, .. }, Some(Task::Classify)) = (&targets, options.task) {
        let given = counted(columns, "column");
        return Err(wrong(path, format!("`{target}`"), given, "one column of classes"));
    }
    let targets = targets.settle(&target, meaning.task, None).map_err(place)?;
    let mut notes = Vec::new();
    let mut whole =
        |set: Dataset| whole_rows(set, options.missing, &mut notes)?.checked(options.missing);
    let (name, feature_names) = (name_of(path), feature_names(&columns));
    let train = whole(Dataset { name, features, feature_names, targets });
    let train = train.and_then(Dataset::varied).map_err(place)?;

    let test = match test {
        None => None,
        Some((x, y)) => {
            let name = y.name.clone();
            let (features, its) = x.features(&y).map_err(place)?;
            if its != columns {
                let needed = format!("{columns:?} a row, as in the training set");
                return Err(wrong(path, format!("`{}`", x.name), format!("{its:?} a row"), needed));
            }
            let targets = Target::new(y).map_err(place)?;
            let targets =
                targets.settle(&name, meaning.task, Some(&train.targets)).map_err(place)?;
            let name = format!("{} (test)", train.name);
            let feature_names = train.feature_names.clone();
            Some(whole(Dataset { name, features, feature_names, targets }).map_err(place)?)
        }
    };
    let preparation = Preparation { missing: options.missing, ..Preparation::of(&train) };
    Ok(Loaded { train, test, task: meaning.task, reason: meaning.reason, preparation, notes })
}

/// The set without the rows that have missing features, where these are to be dropped.
fn whole_rows(set: Dataset, missing: Missing, notes: &mut Vec<String>) -> Result<Dataset> {
    if missing != Missing::Drop || set.columns() == 0 {
        return Ok(set);
    }
    let mut gaps = vec![false; set.rows()];
    for (at, number) in set.features.iter().enumerate() {
        gaps[at / set.columns()] |= number.nearest().is_nan();
    }
    let whole: Vec<u32> = (0..).zip(&gaps).filter(|(_, gap)| !**gap).map(|(row, _)| row).collect();
    if whole.len() == gaps.len() {
        return Ok(set);
    }
    if whole.is_empty() {
        let given = format!("a missing value in all {}", gaps.len());
        return Err(Error::invalid("rows", given, "a row without, or missing values filled"));
    }
    let (left, all) = (gaps.len() - whole.len(), gaps.len());
    notes
        .push(format!("{left} of {all} rows of {} have missing values and are left out", set.name));
    Ok(set.select(&whole))
}

/// Rows of features for a network that is trained, and the targets where there are some.
pub(super) fn rows(path: &Path, x: &Array, y: Option<Array>, by: &Preparation) -> Result<Rows> {
    let place = |error: Error| error.at(path.display());
    let (features, columns) = x.rows().map_err(place)?;
    let targets = match y {
        None => None,
        Some(y) => {
            x.beside(&y).map_err(place)?;
            let (name, task) = (y.name.clone(), by.predicted.task());
            let targets =
                Target::new(y).and_then(|own| own.settle(&name, task, Some(&by.predicted.empty())));
            Some(targets.map_err(place)?)
        }
    };
    rows_of(name_of(path), features, columns.iter().product(), targets, by).map_err(place)
}

/// The same of numbers, so many a row.
pub(super) fn rows_of(
    name: String,
    features: Numbers,
    columns: usize,
    targets: Option<Targets>,
    by: &Preparation,
) -> Result<Rows> {
    let one_hot = |encoding: &Encoding| matches!(encoding, Encoding::OneHot { .. });
    if let Some(own) = by.features.iter().find(|own| one_hot(&own.encoding)) {
        let given = "numbers by their place";
        let needed = format!("a CSV file, with the categories of `{}`", own.name);
        return Err(Error::invalid("features", given, needed));
    }
    if columns != by.width() {
        let needed = format!("{}, as the model was trained with", by.width());
        return Err(Error::invalid("features", format!("{columns} a row"), needed));
    }
    if !by.missing.fills() {
        features.check(&by.names(), "column")?;
    }
    features.check_or_missing(&by.names(), "column")?;
    Ok(Rows { name, features, targets, kept: Vec::new(), notes: Vec::new() })
}

impl Array {
    /// The features row by row, and the shape of a row; there is a target for each.
    fn features(&self, targets: &Array) -> Result<(Numbers, Vec<usize>)> {
        let rows = self.rows()?;
        self.beside(targets).map(|()| rows)
    }

    /// That targets are as many as rows.
    fn beside(&self, targets: &Array) -> Result<()> {
        let Some(&target_rows) = targets.shape.first() else {
            let (what, given) = (format!("`{}`", targets.name), "shape [], a single number");
            return Err(Error::invalid(what, given, "an array with a target for each row"));
        };
        let rows = self.shape.first().copied().unwrap_or(0);
        if rows != target_rows {
            let given = counted(target_rows, "row");
            let needed = format!("{rows}, as many as `{}` has", self.name);
            return Err(Error::invalid(format!("`{}`", targets.name), given, needed));
        }
        Ok(())
    }

    /// The rows, and the shape of one.
    fn rows(&self) -> Result<(Numbers, Vec<usize>)> {
        let what = || format!("`{}`", self.name);
        if self.shape.len() > MAX_DIMS {
            let given = counted(self.shape.len(), "dimension");
            return Err(Error::invalid(what(), given, format!("at most {MAX_DIMS}")));
        }
        let (rows, columns) = match self.shape.split_first() {
            Some((&rows, columns)) if !columns.is_empty() => (rows, columns.to_vec()),
            _ => {
                let given = format!("shape {:?}", self.shape);
                return Err(Error::invalid(what(), given, "two dimensions or more, rows first"));
            }
        };
        if rows == 0 || columns.contains(&0) {
            let given = format!("shape {:?}, which is empty", self.shape);
            return Err(Error::invalid(what(), given, "at least one row and one column"));
        }
        few(&self.name, &columns)?;
        let features = match &self.values {
            Values::Bytes(bytes) => {
                bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect::<Vec<f32>>().into()
            }
            values => values.numbers(),
        };
        Ok((features, columns))
    }
}

/// The targets of a set: one a row, or several.
enum Target {
    One(Column),
    Many { values: Numbers, columns: usize },
}

impl Target {
    fn new(array: Array) -> Result<Self> {
        let numbers = array.values.numbers();
        let finite = |number: Exact| number.nearest().is_finite();
        if let Some((row, number)) = numbers.iter().enumerate().find(|(_, x)| !finite(*x)) {
            let what = format!("`{}`, element {row} (the first is 0)", array.name);
            return Err(Error::invalid(what, number, "a finite f64"));
        }
        match array.shape[..] {
            [_] | [_, 1] => Ok(Target::One(Column::Numbers(numbers))),
            [_, columns] => {
                few(&array.name, &[columns])?;
                Ok(Target::Many { values: numbers, columns })
            }
            _ => {
                let given = format!("shape {:?}", array.shape);
                let needed = "[rows] or [rows, targets]";
                Err(Error::invalid(format!("`{}`", array.name), given, needed))
            }
        }
    }

    /// The targets for a task, in the classes and columns of a training set where there is one.
    fn settle(self, name: &str, task: Task, training: Option<&Targets>) -> Result<Targets> {
        let wanted = training.map(|targets| match targets {
            Targets::Classes { names, .. } | Targets::Values { names, .. } => names.clone(),
        });
        match (self, wanted) {
            (Target::One(column), None) => column.targets(name, task),
            (Target::One(column), Some(names)) if task == Task::Classify || names.len() == 1 => {
                column.targets_as(names, name, task)
            }
            (Target::Many { values, columns }, None) => {
                let names = (0..columns).map(|column| format!("{name}{column}")).collect();
                Ok(Targets::Values { values, names })
            }
            (Target::Many { values, columns }, Some(names))
                if task == Task::Regress && names.len() == columns =>
            {
                Ok(Targets::Values { values, names })
            }
            (other, Some(names)) => {
                let given = match other {
                    Target::One(_) => 1,
                    Target::Many { columns, .. } => columns,
                };
                let needed = match task {
                    Task::Classify => "one column of classes".into(),
                    Task::Regress => {
                        format!("{}, as in the training set", counted(names.len(), "column"))
                    }
                };
                Err(Error::invalid(format!("`{name}`"), counted(given, "column"), needed))
            }
        }
    }
}

/// Checks that there are not too many columns.
fn few(array: &str, dims: &[usize]) -> Result<()> {
    let columns = dims.iter().fold(1usize, |product, &dim| product.saturating_mul(dim));
    match columns <= MAX_COLUMNS {
        true => Ok(()),
        false => {
            let needed = format!("at most {MAX_COLUMNS}");
            Err(Error::invalid(format!("`{array}`"), format!("{columns} numbers a row"), needed))
        }
    }
}

/// `x0`, `x1`, ...; of pixels and the like `x0_0`, with one index an axis.
fn feature_names(dims: &[usize]) -> Vec<String> {
    let count = dims.iter().product();
    let name = |column: usize| {
        let mut rest = column;
        let mut indices = Vec::with_capacity(dims.len());
        for &dim in dims.iter().rev() {
            indices.push((rest % dim).to_string());
            rest /= dim;
        }
        indices.reverse();
        format!("x{}", indices.join("_"))
    };
    (0..count).map(name).collect()
}
