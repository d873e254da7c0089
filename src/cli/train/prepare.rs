//! The data: split, standardized, and what of them decides the network's shape.

use fanin::model::data::{Collapsed, Dataset, Standardizer, Targets};
use fanin::model::{Loss, Target};
use fanin::{Error, Result, counted};

use super::TrainArgs;
use crate::cli::note;

/// Splits what is not split yet, and standardizes by the training rows.
pub(super) fn prepare(
    args: &TrainArgs,
    train: Dataset,
    test: Option<Dataset>,
) -> Result<(Dataset, Option<Dataset>)> {
    let (mut train, mut test) = match test {
        Some(test) => (train, Some(test)),
        None if args.test_split == 0.0 => (train, None),
        None => {
            let (train, test) = train.split(args.seed, args.test_split)?;
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
    for Collapsed { column, distinct, left } in by.collapsed(&train)? {
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
pub(super) fn outputs(train: &Dataset, loss: Option<Loss>) -> u64 {
    match &train.targets {
        Targets::Classes { names, .. } => match loss {
            Some(loss) if loss.target() == Target::Share && names.len() == 2 => 1,
            _ => names.len() as u64,
        },
        Targets::Values { names, .. } => names.len() as u64,
    }
}

pub(super) fn targets(set: &Dataset) -> String {
    match &set.targets {
        Targets::Classes { names, .. } => counted(names.len(), "class"),
        Targets::Values { names, .. } => counted(names.len(), "value"),
    }
}
