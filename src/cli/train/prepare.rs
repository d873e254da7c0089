//! The data: split, standardized, and what of them decides the network's shape.

use std::fmt;

use fanin::init::Init;
use fanin::model::data::{
    self, Collapsed, Dataset, LoadOptions, Loaded, Standardizer, Targets, Task,
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
    /// With the initializer of each, as it is written.
    pub(super) networks: Vec<(String, Network)>,
    task: Task,
    /// Why it is that task.
    reason: String,
}

impl Prepared {
    pub(super) fn new(args: &TrainArgs, inits: &[(String, Init)], seed: u64) -> Result<Prepared> {
        let options = LoadOptions { target: args.target.clone(), task: args.task };
        let Loaded { train, test, task, reason } = data::load(&args.data, &options, seed)?;
        let (train, test) = prepare(args, seed, train, test)?;
        let outputs = outputs(&train, args.loss);
        let network = |(text, init): &(String, Init)| {
            Ok((text.clone(), args::network(args, train.columns(), outputs, *init)?))
        };
        let networks = inits.iter().map(network).collect::<Result<_>>()?;
        Ok(Prepared { seed, train, test, networks, task, reason })
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

/// Splits what is not split yet, and standardizes by the training rows.
fn prepare(
    args: &TrainArgs,
    seed: u64,
    train: Dataset,
    test: Option<Dataset>,
) -> Result<(Dataset, Option<Dataset>)> {
    let (mut train, mut test) = match test {
        Some(test) => (train, Some(test)),
        None if args.test_split == 0.0 => (train, None),
        None => {
            let (train, test) = train.split(seed, args.test_split)?;
            check_classes(&train)?;
            (train, Some(test))
        }
    };
    let by = match (args.no_standardize, args.loss) {
        (true, _) => Standardizer::default(),
        (false, Some(loss)) if loss.target() == Target::Share => {
            Standardizer::fit(&train).without_targets()
        }
        (false, _) => Standardizer::fit(&train),
    };
    // Once is enough.
    let collapsed = if seed == args.seed { by.collapsed(&train)? } else { Vec::new() };
    for Collapsed { column, distinct, left } in collapsed {
        note(&format!(
            "`{column}`: of {distinct} distinct numbers {left} are left in float32, which the network \
             computes in{}",
            if args.no_standardize { "; without --no-standardize they may stay apart" } else { "" }
        ));
    }
    by.apply(&mut train)?;
    if let Some(test) = &mut test {
        by.apply(test)?;
    }
    Ok((train, test))
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
