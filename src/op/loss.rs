use std::fmt;
use std::str::FromStr;

use crate::catalogue::{self, Entry, Listed, Numbers, Range, Takes};
use crate::{Error, Result};

/// Rows whose squared errors are one sum: `SLICE` in `shaders/loss.wgsl`.
pub(crate) const SLICE: usize = 256;

/// What training makes small: the mean over a batch's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// `-sum_c q_c log softmax(z)_c`, where `q` is `1 - smoothing` on the row's class and
    /// `smoothing / classes` more on each (Szegedy et al. 2016). One target a row: the class's index.
    CrossEntropy {
        /// Label smoothing, 0 to 1.
        smoothing: f64,
    },
    /// `mean_c (z_c - t_c)^2`.
    MeanSquaredError,
    /// `mean_c [-t_c log s(z_c) - (1 - t_c) log(1 - s(z_c))]`, `s` the sigmoid; targets are 0 to 1.
    ///
    /// Of a row that is of one of several classes, `t_c` is 1 at its class and 0 elsewhere, and the
    /// row is right where the largest output is its class's. Of values, as several labels a row, each
    /// is right by itself, on the side of 1/2 that its target is on.
    BinaryCrossEntropy,
    /// `mean_c h(z_c - t_c)`, `h(e)` being `e^2 / 2` up to a size of `delta` and
    /// `delta (|e| - delta / 2)` beyond, where its slope stays (Huber 1964): PyTorch's `HuberLoss`.
    Huber {
        /// The size of an error from which on it counts linearly, above 0; 1 by default.
        delta: f64,
    },
}

/// What a loss holds a row's outputs against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The index of the row's class; its output is to be the largest.
    Class,
    /// A value for each output, which it is to meet.
    Value,
    /// A number from 0 to 1 for each output, or the index of the row's class, which stands for 1
    /// there and 0 elsewhere.
    Share,
}

/// What there is to know of a loss.
pub(crate) struct Measure {
    target: Target,
    /// What messages call it.
    called: &'static str,
    /// The loss of the best answer that is the same for every row, by the loss's number: of the shares
    /// of the classes, or of one column's values.
    constant: fn(&[f64], f64) -> f64,
}

/// Every loss; the place is the code in `shaders/loss.wgsl`.
const CATALOGUE: &[Entry<Loss>] = &[
    Entry {
        name: "cross_entropy",
        aliases: &[],
        formula: "-ln softmax(z) at the class, SMOOTHING of it shared out among all",
        default: Loss::CROSS_ENTROPY,
        takes: Some(Takes {
            numbers: &[("label smoothing", Range::Share)],
            make: |[smoothing, ..]| Loss::CrossEntropy { smoothing },
        }),
        own: Measure {
            target: Target::Class,
            called: "the cross-entropy",
            constant: |shares, smoothing| {
                // As the kernels have it.
                let smoothing = f64::from(smoothing as f32);
                let even = smoothing / shares.len() as f64;
                let smoothed = shares.iter().map(|share| (1.0 - smoothing) * share + even);
                entropy(smoothed)
            },
        },
    },
    Entry {
        name: "mse",
        aliases: &[],
        formula: "mean of (z - t)^2",
        default: Loss::MeanSquaredError,
        takes: None,
        own: Measure {
            target: Target::Value,
            called: "the mean squared error",
            constant: |values, _| variance(values),
        },
    },
    Entry {
        name: "bce",
        aliases: &[],
        formula: "mean of -t ln s(z) - (1 - t) ln(1 - s(z)), s the sigmoid; t from 0 to 1",
        default: Loss::BinaryCrossEntropy,
        takes: None,
        own: Measure {
            target: Target::Share,
            called: "the binary cross-entropy",
            constant: |values, _| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                entropy([mean, 1.0 - mean])
            },
        },
    },
    Entry {
        name: "huber",
        aliases: &[],
        formula: "mean of (z - t)^2 / 2 up to |z - t| = DELTA, beyond DELTA (|z - t| - DELTA / 2)",
        default: Loss::Huber { delta: 1.0 },
        takes: Some(Takes {
            numbers: &[("Huber's delta", Range::Positive)],
            make: |[delta, ..]| Loss::Huber { delta },
        }),
        own: Measure {
            target: Target::Value,
            called: "the Huber loss",
            constant: |values, delta| {
                // The slope falls as the constant rises: to 0 at the best.
                let slope =
                    |at: f64| values.iter().map(|v| (v - at).clamp(-delta, delta)).sum::<f64>();
                let ends = (f64::INFINITY, f64::NEG_INFINITY);
                let (mut low, mut high) =
                    values.iter().fold(ends, |(low, high), v| (low.min(*v), high.max(*v)));
                for _ in 0..50 {
                    let middle = 0.5 * (low + high);
                    if slope(middle) > 0.0 { low = middle } else { high = middle }
                }
                let term = |error: f64| {
                    let inner = error.abs().min(delta);
                    inner * (error.abs() - 0.5 * inner)
                };
                values.iter().map(|v| term(v - low)).sum::<f64>() / values.len() as f64
            },
        },
    },
];

impl Listed for Loss {
    const KIND: &'static str = "loss";
    type Own = Measure;

    fn catalogue() -> &'static [Entry<Self>] {
        CATALOGUE
    }

    fn place(&self) -> Option<(usize, Numbers)> {
        let (place, number) = self.known();
        Some((place, [number, 0.0, 0.0]))
    }
}

fn entropy(shares: impl IntoIterator<Item = f64>) -> f64 {
    shares.into_iter().filter(|share| *share > 0.0).map(|share| -share * share.ln()).sum()
}

/// The variance of numbers; where all are equal 0, to the last bit.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let (first, count) = (values.first().copied().unwrap_or_default(), values.len() as f64);
    let own = values.iter().map(|value| value - first);
    let mean = own.clone().sum::<f64>() / count;
    own.map(|value| (value - mean) * (value - mean)).sum::<f64>() / count
}

impl Loss {
    /// Softmax cross-entropy without label smoothing.
    pub const CROSS_ENTROPY: Loss = Loss::CrossEntropy { smoothing: 0.0 };

    /// Every loss, with its default number.
    pub const ALL: [Loss; CATALOGUE.len()] = catalogue::defaults(CATALOGUE);

    /// The names that [`FromStr`] reads.
    pub const NAMES: [&'static str; CATALOGUE.len()] = catalogue::names(CATALOGUE);

    /// The place in the catalogue, and the number: 0 for those without.
    const fn known(&self) -> (usize, f64) {
        match *self {
            Loss::CrossEntropy { smoothing } => (0, smoothing),
            Loss::MeanSquaredError => (1, 0.0),
            Loss::BinaryCrossEntropy => (2, 0.0),
            Loss::Huber { delta } => (3, delta),
        }
    }

    fn measure(&self) -> &'static Measure {
        &CATALOGUE[self.known().0].own
    }

    /// How each is written, `huber:DELTA`, and its formula: for help texts.
    pub fn help() -> Vec<(String, String)> {
        catalogue::help::<Loss>()
    }

    /// What it holds a row's outputs against. Of [`Target::Value`]s R2 says how well they are met, of
    /// the others the share that is right.
    pub fn target(&self) -> Target {
        self.measure().target
    }

    /// What messages call it, as in "classes for the cross-entropy".
    pub(crate) fn called(&self) -> &'static str {
        self.measure().called
    }

    /// The number that stands for it in `shaders/loss.wgsl`: its place in [`Loss::ALL`].
    pub fn code(&self) -> u32 {
        self.known().0 as u32
    }

    /// The number that the kernels are given: the smoothing, delta; 0 for those without.
    pub(crate) fn parameter(&self) -> f32 {
        self.known().1 as f32
    }

    /// Whether targets are class indices, one a row, where there are so many of them a row.
    pub(crate) fn takes_classes(&self, outputs: usize, target_columns: usize) -> bool {
        match self.target() {
            Target::Class => true,
            Target::Value => false,
            Target::Share => target_columns < outputs,
        }
    }

    /// Whether R2 takes sums of squared errors beside the losses, which are none, or not each column's.
    pub(crate) fn needs_squares(&self, outputs: usize) -> bool {
        self.target() == Target::Value && !(*self == Loss::MeanSquaredError && outputs == 1)
    }

    /// The loss of the best answer that does not look at the features, by the share of each class.
    pub(crate) fn constant_of_classes(&self, shares: &[f64]) -> f64 {
        let Measure { target, constant, .. } = self.measure();
        let own = |values: &[f64]| constant(values, self.known().1);
        match target {
            Target::Class | Target::Value => own(shares),
            // A class's share is the mean of a column of ones and zeros.
            Target::Share => {
                shares.iter().map(|share| own(&[*share])).sum::<f64>() / shares.len() as f64
            }
        }
    }

    /// The same by one column of values.
    pub(crate) fn constant_of_values(&self, values: &[f64]) -> f64 {
        (self.measure().constant)(values, self.known().1)
    }

    /// # Errors
    /// [`Error::Invalid`] where its number is not in its range: label smoothing within 0..1, delta
    /// above 0.
    pub fn check(&self) -> Result<()> {
        catalogue::check(self)
    }
}

/// The name, and `:` with the number where it is not the default: `huber:1.5`.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        catalogue::write(self, f)
    }
}

/// Reads `cross_entropy`, `cross_entropy:0.1` (label smoothing), `mse`, `bce`, `huber`, `huber:1.5`
/// (delta).
impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        catalogue::read(text)
    }
}
