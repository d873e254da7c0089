use super::data::Targets;
use super::{Loss, Target};
use crate::op::variance;
use crate::{Error, Result, counted};

/// A set's targets as the loss takes them, class indices or the bits of values, and how many there are
/// a row.
pub(super) fn words(targets: &Targets, loss: &Loss, outputs: usize) -> Result<(Vec<u32>, usize)> {
    let invalid = |given: String, needed: String| Err(Error::invalid("targets", given, needed));
    match (targets, loss.target()) {
        (Targets::Classes { labels, names }, Target::Class) => {
            if names.len() > outputs {
                let given = counted(names.len(), "class");
                return invalid(
                    given,
                    format!("at most the network's {}", counted(outputs, "output")),
                );
            }
            if let Some(label) = labels.iter().find(|label| **label as usize >= outputs) {
                return invalid(format!("class {label}"), format!("classes 0 to {}", outputs - 1));
            }
            Ok((labels.clone(), 1))
        }
        (Targets::Classes { labels, names }, Target::Share) => {
            let one = |is: bool| if is { 1.0f32.to_bits() } else { 0 };
            match (outputs, names.len()) {
                (1, 2) => Ok((labels.iter().map(|label| one(*label == 1)).collect(), 1)),
                (outputs, classes) if outputs == classes && classes > 1 => Ok((labels.clone(), 1)),
                (outputs, classes) => {
                    invalid(counted(classes, "class"), format!("{outputs} for the outputs"))
                }
            }
        }
        (Targets::Classes { .. }, Target::Value) => {
            invalid("classes".into(), format!("values for {}", loss.called()))
        }
        (Targets::Values { .. }, Target::Class) => {
            invalid("values".into(), format!("classes for {}", loss.called()))
        }
        (Targets::Values { values, names }, target) => {
            if names.len() != outputs {
                let given = format!("{} a row", counted(names.len(), "value"));
                return invalid(given, format!("{outputs} for the network's outputs"));
            }
            let shares = target == Target::Share;
            let values = values.to_f32();
            if let Some(value) = values.iter().find(|v| shares && !(0.0..=1.0).contains(*v)) {
                return invalid(value.to_string(), format!("0 to 1 for {}", loss.called()));
            }
            Ok((values.iter().map(|value| value.to_bits()).collect(), outputs))
        }
    }
}

/// The loss of the best answer that does not look at the features.
pub(super) fn baseline(targets: &Targets, loss: &Loss) -> f64 {
    match targets {
        Targets::Classes { labels, names } => {
            loss.constant_of_classes(&shares(labels, names.len()))
        }
        Targets::Values { names, .. } => {
            let each = columns(targets).map(|column| loss.constant_of_values(&column));
            each.sum::<f64>() / names.len() as f64
        }
    }
}

/// The share of each class.
fn shares(labels: &[u32], classes: usize) -> Vec<f64> {
    let mut shares = vec![0.0; classes.max(1)];
    labels.iter().for_each(|label| shares[*label as usize] += 1.0 / labels.len() as f64);
    shares
}

/// The share of the largest class; none for values.
pub(super) fn majority(targets: &Targets) -> Option<f64> {
    let Targets::Classes { labels, names } = targets else { return None };
    shares(labels, names.len()).into_iter().max_by(f64::total_cmp)
}

/// The variance of each column of values, as f32 has them; none for classes.
pub(super) fn variances(targets: &Targets) -> Vec<f64> {
    columns(targets).map(|column| variance(&column)).collect()
}

/// The columns of values, as f32 has them; none for classes.
fn columns(targets: &Targets) -> impl Iterator<Item = Vec<f64>> {
    let (values, columns) = match targets {
        Targets::Values { values, names } => (values.to_f32(), names.len()),
        Targets::Classes { .. } => (Default::default(), 0),
    };
    (0..columns).map(move |column| {
        values.iter().skip(column).step_by(columns).map(|value| f64::from(*value)).collect()
    })
}
