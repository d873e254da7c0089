//! The data: split, filled, standardized, and what of them decides the network's shape.

use std::fmt;

use fanin::init::Init;
use fanin::model::data::{
    self, Collapsed, Dataset, Loaded, Preparation, Standardizer, Targets, Task,
};
use fanin::model::{Loss, Network, Target};
use fanin::{Error, Result, counted};

use super::{TrainArgs, args};
use crate::cli::note;

/// What one seed's runs are made of.
pub(super) struct Prepared {
    pub(super) seed: u64,
    pub(super) train: Dataset,
    pub(super) test: Option<Dataset>,
    /// All that was done to them.
    pub(super) preparation: Preparation,
    /// With the initializer of each, as it is written.
    pub(super) networks: Vec<(String, Network)>,
    task: Task,
    /// Why it is that task.
    reason: String,
}

impl Prepared {
    pub(super) fn new(
        args: &TrainArgs,
        inits: &[(String, Init)],
        seed: u64,
        loaded: Loaded,
    ) -> Result<Prepared> {
        // Once is enough.
        let says = seed == args.seed;
        let Loaded { train, test, task, reason, notes, mut preparation } = loaded;
        for line in notes.iter().filter(|_| says) {
            note(&format!("{}: {line}", train.name));
        }
        let (mut train, mut test) = split(args, seed, train, test)?;
        preparation.fill_by(&train)?;
        for set in [&mut train].into_iter().chain(&mut test) {
            preparation.fill(set)?;
        }
        let by = match (args.no_standardize, args.loss) {
            (true, _) => Standardizer::default(),
            (false, Some(loss)) if loss.target() == Target::Share => {
                Standardizer::fit(&train).without_targets()
            }
            (false, _) => Standardizer::fit(&train),
        };
        let collapsed = if says { by.collapsed(&train)? } else { Vec::new() };
        for Collapsed { column, distinct, left } in collapsed {
            note(&format!(
                "`{column}`: of {distinct} distinct numbers {left} are left in float32, which the \
                 network computes in{}",
                if args.no_standardize {
                    "; without --no-standardize they may stay apart"
                } else {
                    ""
                }
            ));
        }
        for set in [&mut train].into_iter().chain(&mut test) {
            by.apply(set)?;
        }
        preparation.standardizer = by;
        let outputs = outputs(&train, args.loss);
        let network = |(text, init): &(String, Init)| {
            Ok((text.clone(), args::network(args, train.columns(), outputs, *init)?))
        };
        let networks = inits.iter().map(network).collect::<Result<_>>()?;
        Ok(Prepared { seed, train, test, preparation, networks, task, reason })
    }
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prepared { train, test, task, reason, .. } = self;
        write!(
            f,
            "{}: {}, {}, {}, {}; {task}: {reason}",
            train.name,
            counted(train.rows(), "training row"),
            counted(test.as_ref().map_or(0, Dataset::rows), "test row"),
            counted(train.columns(), "feature"),
            targets(train),
        )
    }
}

/// The rows of a set as they are in the source.
pub(super) fn load(args: &TrainArgs, seed: u64) -> Result<Loaded> {
    data::load(&args.data, &args.columns.options(args.task), seed)
}

/// The rows to train and to test on, as they are in the source.
pub(super) fn split(
    args: &TrainArgs,
    seed: u64,
    train: Dataset,
    test: Option<Dataset>,
) -> Result<(Dataset, Option<Dataset>)> {
    match test {
        Some(test) => Ok((train, Some(test))),
        None if args.test_split == 0.0 => Ok((train, None)),
        None => {
            let (train, test) = train.split(seed, args.test_split)?;
            check_classes(&train)?;
            Ok((train, Some(test)))
        }
    }
}

/// A small set may lose all but one class to the test rows.
fn check_classes(train: &Dataset) -> Result<()> {
    match &train.targets {
        Targets::Classes { labels, names } if labels.iter().all(|label| *label == labels[0]) => {
            let class = names.get(labels[0] as usize).map_or("", String::as_str);
            Err(Error::Invalid {
                what: format!("training rows of {}, after the split", train.name),
                given: format!("{} of one class, `{class}`", labels.len()),
                needed: "two classes at least: more rows, another --seed or --test-split".into(),
            })
        }
        _ => Ok(()),
    }
}

/// How many outputs the network needs.
fn outputs(train: &Dataset, loss: Option<Loss>) -> u64 {
    match &train.targets {
        Targets::Classes { names, .. } => match loss {
            Some(loss) if loss.target() == Target::Share && names.len() == 2 => 1,
            _ => names.len() as u64,
        },
        Targets::Values { names, .. } => names.len() as u64,
    }
}

fn targets(set: &Dataset) -> String {
    match &set.targets {
        Targets::Classes { names, .. } => counted(names.len(), "class"),
        Targets::Values { names, .. } => counted(names.len(), "value"),
    }
}
