use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// Rows whose squared errors are one sum: `SLICE` in `shaders/loss.wgsl`.
pub(crate) const SLICE: usize = 256;

/// What training makes small: the mean over a batch's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl Loss {
    /// Softmax cross-entropy without label smoothing.
    pub const CROSS_ENTROPY: Loss = Loss::CrossEntropy { smoothing: 0.0 };

    /// The names that [`FromStr`] reads.
    pub const NAMES: [&'static str; 3] = ["cross_entropy", "mse", "bce"];

    /// The code in `shaders/loss.wgsl`.
    pub(crate) fn code(&self) -> u32 {
        match self {
            Loss::CrossEntropy { .. } => 0,
            Loss::MeanSquaredError => 1,
            Loss::BinaryCrossEntropy => 2,
        }
    }

    /// Label smoothing; 0 for losses that have none.
    pub(crate) fn smoothing(&self) -> f32 {
        match self {
            Loss::CrossEntropy { smoothing } => *smoothing as f32,
            _ => 0.0,
        }
    }

    /// Whether targets are class indices, one a row, where there are so many of them a row.
    pub(crate) fn takes_classes(&self, outputs: usize, target_columns: usize) -> bool {
        match self {
            Loss::CrossEntropy { .. } => true,
            Loss::MeanSquaredError => false,
            Loss::BinaryCrossEntropy => target_columns < outputs,
        }
    }

    /// # Errors
    /// [`Error::Invalid`] where the smoothing is not within 0..1.
    pub fn check(&self) -> Result<()> {
        match self {
            Loss::CrossEntropy { smoothing } if !(0.0..1.0).contains(smoothing) => {
                Err(Error::invalid("label smoothing", smoothing, "0 or more, below 1"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::CrossEntropy { smoothing: 0.0 } => f.write_str("cross_entropy"),
            Loss::CrossEntropy { smoothing } => write!(f, "cross_entropy:{smoothing}"),
            Loss::MeanSquaredError => f.write_str("mse"),
            Loss::BinaryCrossEntropy => f.write_str("bce"),
        }
    }
}

/// Reads `cross_entropy`, `cross_entropy:0.1` (label smoothing), `mse`, `bce`.
impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let loss = match text.split_once(':') {
            Some(("cross_entropy", smoothing)) => {
                let number = smoothing.parse().map_err(|_| {
                    Error::invalid("label smoothing", smoothing, "a number, 0 or more, below 1")
                })?;
                Loss::CrossEntropy { smoothing: number }
            }
            None if text == "cross_entropy" => Loss::CROSS_ENTROPY,
            None if text == "mse" => Loss::MeanSquaredError,
            None if text == "bce" => Loss::BinaryCrossEntropy,
            _ => return Err(Error::unknown("loss", text, Loss::NAMES)),
        };
        loss.check()?;
        Ok(loss)
    }
}
