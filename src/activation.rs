//! The nonlinearities, and the gain that each asks of the weights before it.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `f(x) = x`.
    Identity,
    /// `f(x) = 1 / (1 + exp(-x))`.
    Sigmoid,
    /// `f(x) = tanh x`.
    Tanh,
    /// `f(x) = max(x, 0)`.
    Relu,
    /// `f(x) = max(x, slope * x)`, for `slope < 1`.
    LeakyRelu {
        /// The slope left of 0; PyTorch's default is 0.01.
        slope: f64,
    },
    /// `f(x) = 1.0507 x` right of 0, `1.0507 * 1.6733 (exp(x) - 1)` left (Klambauer et al. 2017).
    Selu,
}

impl Activation {
    /// Every nonlinearity, with its default parameter.
    pub const ALL: [Activation; 6] = [
        Activation::Identity,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Selu,
    ];

    /// The name that recipes and the command line use.
    pub const fn name(&self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Selu => "selu",
        }
    }

    /// The factor on the standard deviation of the weights that feed this nonlinearity, as PyTorch's
    /// `torch.nn.init.calculate_gain` fixes it:
    ///
    /// | nonlinearity | gain |
    /// |---|---|
    /// | identity, sigmoid | 1 |
    /// | tanh | 5/3 |
    /// | ReLU | sqrt 2 |
    /// | leaky ReLU of slope a | sqrt(2 / (1 + a^2)) |
    /// | SELU | 3/4 |
    ///
    /// For ReLU and its leaky kin it is exactly `1 / sqrt(E[f(z)^2])`, `z` standard normal: the
    /// value that keeps the second moment of the signal (He et al. 2015). The others are
    /// conventions.
    pub fn gain(&self) -> f64 {
        match self {
            Activation::Identity | Activation::Sigmoid => 1.0,
            Activation::Tanh => 5.0 / 3.0,
            Activation::Relu => std::f64::consts::SQRT_2,
            Activation::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
            Activation::Selu => 0.75,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a name; `linear` is `identity`.
impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = if text == "linear" { "identity" } else { text };
        Activation::ALL
            .into_iter()
            .find(|activation| activation.name() == name)
            .ok_or_else(|| Error::unknown("nonlinearity", text, Activation::ALL.map(|a| a.name())))
    }
}
