//! A target column becomes classes or values.

use crate::{Error, Result, counted};

use super::numbers::Exact;
use super::{Numbers, Targets, Task};

/// Whole numbers with at most this many distinct values look like classes.
const MOST_CLASSES: usize = 20;

/// The cells of a target, row by row, before it is settled what they mean.
pub(super) enum Column {
    Text(Vec<String>),
    Numbers(Numbers),
}

/// What a target column means, and why.
pub(super) struct Meaning {
    pub(super) task: Task,
    pub(super) reason: String,
}

impl Column {
    /// The task that was asked for, or else the one that the cells look like.
    pub(super) fn meaning(&self, name: &str, asked: Option<Task>) -> Meaning {
        if let Some(task) = asked {
            return Meaning { task, reason: format!("{task} was asked for") };
        }
        let numbers = match self {
            Column::Text(_) => {
                let reason = format!("the target `{name}` is text");
                return Meaning { task: Task::Classify, reason };
            }
            Column::Numbers(numbers) => numbers,
        };
        let whole = numbers.iter().all(Exact::is_whole);
        let distinct = distinct(numbers).len();
        let (task, reason) = if !whole {
            (Task::Regress, "has numbers that are not whole".into())
        } else if distinct > MOST_CLASSES {
            let reason = format!("has {distinct} distinct whole numbers, more than {MOST_CLASSES}");
            (Task::Regress, reason)
        } else if distinct > numbers.len() / 2 {
            let reason = format!(
                "has {} in {}, too few of each to be classes",
                counted(distinct, "distinct whole number"),
                counted(numbers.len(), "row")
            );
            (Task::Regress, reason)
        } else {
            let reason = match distinct {
                1 => "has one whole number alone".into(),
                _ => format!("has whole numbers, {distinct} distinct ones"),
            };
            (Task::Classify, reason)
        };
        Meaning { task, reason: format!("the target `{name}` {reason}") }
    }

    /// The targets of a training set: classes in ascending order of what they are called.
    ///
    /// # Errors
    /// Where text is to be regressed; the first such row is named.
    pub(super) fn targets(self, name: &str, task: Task) -> Result<Targets> {
        let names = match (&self, task) {
            (_, Task::Regress) => vec![name.into()],
            (Column::Text(cells), Task::Classify) => {
                let mut names = cells.clone();
                names.sort_unstable();
                names.dedup();
                names
            }
            (Column::Numbers(numbers), Task::Classify) => {
                distinct(numbers).iter().map(Exact::to_string).collect()
            }
        };
        self.targets_as(names, name, task)
    }

    /// The targets in the classes of a training set.
    ///
    /// # Errors
    /// Where a row is of none of these classes, or text is to be regressed.
    pub(super) fn targets_as(self, names: Vec<String>, name: &str, task: Task) -> Result<Targets> {
        let column = match (self, task) {
            (Column::Numbers(values), Task::Regress) => {
                return Ok(Targets::Values { values, names });
            }
            (Column::Text(cells), Task::Regress) => {
                let (row, cell) = cells
                    .iter()
                    .enumerate()
                    .find(|(_, cell)| cell.parse::<f64>().is_err())
                    .map_or((0, ""), |(row, cell)| (row, cell));
                let what = format!("target `{name}`, row {row} (the first is 0)");
                return Err(Error::invalid(what, format!("`{cell}`"), "a number to regress"));
            }
            (column, Task::Classify) => column,
        };
        // Made as they are looked up: numbers take less room than what they are called.
        let cells: Box<dyn Iterator<Item = String>> = match &column {
            Column::Text(cells) => Box::new(cells.iter().cloned()),
            Column::Numbers(numbers) => Box::new(numbers.iter().map(|number| number.to_string())),
        };
        // Numbers are in the order of their values, not of their names, so no bisection.
        let index: std::collections::HashMap<&str, u32> =
            names.iter().map(String::as_str).zip(0..).collect();
        let labels = cells.enumerate().map(|(row, cell)| {
            index.get(cell.as_str()).copied().ok_or_else(|| {
                let what = format!("target `{name}`, row {row} (the first is 0)");
                let needed = format!("a class of the training set: {}", names.join(", "));
                Error::invalid(what, format!("`{cell}`"), needed)
            })
        });
        let labels = labels.collect::<Result<Vec<u32>>>()?;
        Ok(Targets::Classes { labels, names })
    }
}

/// The distinct numbers, ascending.
fn distinct(numbers: &Numbers) -> Vec<Exact> {
    let mut sorted: Vec<Exact> = numbers.iter().collect();
    sorted.sort_unstable_by(Exact::total_cmp);
    sorted.dedup();
    sorted
}
