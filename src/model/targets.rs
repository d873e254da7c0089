use super::Loss;
use super::data::{Dataset, Targets};
use crate::{Error, Result};

/// A set's targets as the loss takes them, class indices or the bits of values, and how many there are
/// a row.
pub(super) fn words(set: &Dataset, loss: &Loss, outputs: usize) -> Result<(Vec<u32>, usize)> {
    let invalid = |given: String, needed: String| Err(Error::invalid("targets", given, needed));
    match (&set.targets, loss) {
        (Targets::Classes { labels, names }, Loss::CrossEntropy { .. }) => {
            if names.len() > outputs {
                let given = format!("{} classes", names.len());
                return invalid(given, format!("at most the network's {outputs} outputs"));
            }
            if let Some(label) = labels.iter().find(|label| **label as usize >= outputs) {
                return invalid(format!("class {label}"), format!("classes 0 to {}", outputs - 1));
            }
            Ok((labels.clone(), 1))
        }
        (Targets::Classes { labels, names }, Loss::BinaryCrossEntropy) => {
            let one = |is: bool| if is { 1.0f32.to_bits() } else { 0 };
            match (outputs, names.len()) {
                (1, 2) => Ok((labels.iter().map(|label| one(*label == 1)).collect(), 1)),
                (outputs, classes) if outputs == classes && classes > 1 => Ok((labels.clone(), 1)),
                (outputs, classes) => {
                    invalid(format!("{classes} classes"), format!("{outputs} for the outputs"))
                }
            }
        }
        (Targets::Classes { .. }, Loss::MeanSquaredError) => {
            invalid("classes".into(), "values for the mean squared error".into())
        }
        (Targets::Values { .. }, Loss::CrossEntropy { .. }) => {
            invalid("values".into(), "classes for the cross-entropy".into())
        }
        (Targets::Values { values, names }, _) => {
            if names.len() != outputs {
                let given = format!("{} values a row", names.len());
                return invalid(given, format!("{outputs} for the network's outputs"));
            }
            let shares = *loss == Loss::BinaryCrossEntropy;
            let values = values.to_f32();
            if let Some(value) = values.iter().find(|v| shares && !(0.0..=1.0).contains(*v)) {
                return invalid(value.to_string(), "0 to 1 for the binary cross-entropy".into());
            }
            Ok((values.iter().map(|value| value.to_bits()).collect(), outputs))
        }
    }
}

/// The loss of the best answer that does not look at the features.
pub(super) fn baseline(set: &Dataset, loss: &Loss) -> f64 {
    let entropy = |shares: &[f64]| -> f64 {
        shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum()
    };
    match (&set.targets, loss) {
        (Targets::Classes { labels, names }, loss) => {
            let mut shares = shares(labels, names.len());
            if *loss == Loss::BinaryCrossEntropy {
                let each = shares.iter().map(|share| entropy(&[*share, 1.0 - share]));
                return each.sum::<f64>() / shares.len() as f64;
            }
            let smoothing = f64::from(loss.smoothing());
            let even = smoothing / shares.len() as f64;
            shares.iter_mut().for_each(|share| *share = (1.0 - smoothing) * *share + even);
            entropy(&shares)
        }
        (Targets::Values { values, names }, Loss::BinaryCrossEntropy) => {
            let (values, columns) = (values.to_f32(), names.len());
            let mean = |column: usize| -> f64 {
                let own = values.iter().skip(column).step_by(columns);
                own.map(|value| f64::from(*value)).sum::<f64>() / set.rows() as f64
            };
            let each = (0..columns).map(|column| entropy(&[mean(column), 1.0 - mean(column)]));
            each.sum::<f64>() / columns as f64
        }
        _ => {
            let all = variances(set);
            all.iter().sum::<f64>() / all.len() as f64
        }
    }
}

/// The share of each class.
pub(super) fn shares(labels: &[u32], classes: usize) -> Vec<f64> {
    let mut shares = vec![0.0; classes.max(1)];
    labels.iter().for_each(|label| shares[*label as usize] += 1.0 / labels.len() as f64);
    shares
}

/// The share of the largest class; none for values.
pub(super) fn majority(set: &Dataset) -> Option<f64> {
    let Targets::Classes { labels, names } = &set.targets else { return None };
    shares(labels, names.len()).into_iter().max_by(f64::total_cmp)
}

/// The variance of each column of values, as f32 has them; none for classes.
pub(super) fn variances(set: &Dataset) -> Vec<f64> {
    let Targets::Values { values, names } = &set.targets else { return Vec::new() };
    let (values, rows, columns) = (values.to_f32(), set.rows() as f64, names.len());
    let of = |column: usize| -> f64 {
        // From the first: where all are equal the variance is 0, to the last bit.
        let first = f64::from(values.get(column).copied().unwrap_or_default());
        let own = values.iter().skip(column).step_by(columns);
        let own = own.map(|value| f64::from(*value) - first);
        let mean = own.clone().sum::<f64>() / rows;
        own.map(|value| (value - mean) * (value - mean)).sum::<f64>() / rows
    };
    (0..columns).map(of).collect()
}
