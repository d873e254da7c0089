//! The nonlinearities, each once: its formula, its derivative, and the gain that it asks of the
//! weights before it.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};
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
    /// `f(x) = x` right of 0, `slope * x` left (Maas et al. 2013).
    LeakyRelu {
        /// The slope left of 0; PyTorch's default is 0.01.
        slope: f64,
    },
    /// `f(x) = x` right of 0, `alpha (exp(x) - 1)` left (Clevert et al. 2016).
    Elu {
        /// The distance of the left asymptote from 0; 1 by default.
        alpha: f64,
    },
    /// `f(x) = 1.0507 x` right of 0, `1.0507 * 1.6733 (exp(x) - 1)` left (Klambauer et al. 2017).
    Selu,
    /// `f(x) = x Phi(x)`, `Phi` the normal distribution function (Hendrycks and Gimpel 2016).
    Gelu,
    /// `f(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`: GPT-2's approximation of GELU.
    GeluTanh,
    /// `f(x) = x / (1 + exp(-x))`, also called swish.
    Silu,
    /// `f(x) = ln(1 + exp(x))`.
    Softplus,
    /// `f(x) = x / (1 + |x|)`.
    Softsign,
    /// `f(x) = x tanh(ln(1 + exp(x)))` (Misra 2019).
    Mish,
    /// `f(x) = x` cut to -1..1.
    HardTanh,
    /// `f(x) = x/6 + 1/2` cut to 0..1.
    HardSigmoid,
    /// `f(x) = x` times the hard sigmoid of `x` (Howard et al. 2019).
    HardSwish,
    /// `f(x) = x` cut to 0..6.
    Relu6,
    /// `f(x) = sin(omega x)`; SIREN's is `sin:30` (Sitzmann et al. 2020).
    Sin {
        /// The frequency, above 0; 1 by default.
        omega: f64,
    },
    /// One of the caller's own.
    Custom(Custom),
}

/// A nonlinearity that this crate does not know, defined by whoever uses it: in f64 for what runs on
/// the CPU, in WGSL for the kernels.
///
/// ```
/// use fanin::{Activation, Custom};
///
/// /// `f(x) = x^2` (So et al. 2021 square the ReLU; this is the plainer kin).
/// const SQUARE: Activation = Activation::Custom(Custom {
///     name: "square",
///     value: |x| x * x,
///     derivative: |x| 2.0 * x,
///     // E[z^4] = 3.
///     gain: 0.577_350_269_189_625_8,
///     wgsl: "fn custom_value(x: f32) -> f32 { return x * x; }
///            fn custom_derivative(x: f32) -> f32 { return 2.0 * x; }",
/// });
/// assert_eq!(SQUARE.value(3.0), 9.0);
/// assert_eq!(SQUARE.name(), "square");
/// ```
///
/// Two are equal where their names and their WGSL are.
#[derive(Clone, Copy, Debug)]
pub struct Custom {
    /// What reports and errors call it.
    pub name: &'static str,
    /// `f(x)`.
    pub value: fn(f64) -> f64,
    /// `f'(x)`.
    pub derivative: fn(f64) -> f64,
    /// The factor on the standard deviation of the weights that feed it: `1 / sqrt(E[f(z)^2])`, `z`
    /// standard normal, keeps the signal's second moment.
    pub gain: f64,
    /// `fn custom_value(x: f32) -> f32` and `fn custom_derivative(x: f32) -> f32`; what else it
    /// declares has a name that starts with `custom_`. NaN is taken care of: of NaN, both are NaN.
    pub wgsl: &'static str,
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.wgsl) == (other.name, other.wgsl)
    }
}

/// The code of every [`Activation::Custom`] in the shaders.
const CUSTOM_CODE: u32 = 255;

/// The two numbers of SELU, to the digits of its paper's appendix.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `E[(exp(z) - 1)^2; z < 0]` of a standard normal: `e^2 Phi(-2) - 2 e^(1/2) Phi(-1) + 1/2`.
const ELU_LEFT: f64 = 0.144_945_417_492_923_86;

impl Activation {
    /// Every nonlinearity, with its default parameter.
    pub const ALL: [Activation; 18] = [
        Activation::Identity,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Elu { alpha: 1.0 },
        Activation::Selu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
        Activation::HardTanh,
        Activation::HardSigmoid,
        Activation::HardSwish,
        Activation::Relu6,
        Activation::Sin { omega: 1.0 },
    ];

    /// The name that recipes and the command line use.
    pub const fn name(&self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Elu { .. } => "elu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Silu => "silu",
            Activation::Softplus => "softplus",
            Activation::Softsign => "softsign",
            Activation::Mish => "mish",
            Activation::HardTanh => "hard_tanh",
            Activation::HardSigmoid => "hard_sigmoid",
            Activation::HardSwish => "hard_swish",
            Activation::Relu6 => "relu6",
            Activation::Sin { .. } => "sin",
            Activation::Custom(custom) => custom.name,
        }
    }

    /// The number that stands for it in the shaders: its place in [`Activation::ALL`], 255 for a
    /// custom one.
    pub fn code(&self) -> u32 {
        let kind = std::mem::discriminant(self);
        let same = |other: &Activation| std::mem::discriminant(other) == kind;
        Activation::ALL.iter().position(same).map_or(CUSTOM_CODE, |place| place as u32)
    }

    /// The parameter that the shaders are given: a slope, an alpha, an omega, 0 for those without.
    pub fn parameter(&self) -> f32 {
        match *self {
            Activation::LeakyRelu { slope } => slope as f32,
            Activation::Elu { alpha } => alpha as f32,
            Activation::Sin { omega } => omega as f32,
            _ => 0.0,
        }
    }

    /// The custom part, where it has one.
    pub(crate) fn custom(&self) -> Option<Custom> {
        match self {
            Activation::Custom(custom) => Some(*custom),
            _ => None,
        }
    }

    /// `f(x)` in f64; NaN of NaN.
    pub fn value(&self, x: f64) -> f64 {
        match *self {
            _ if x.is_nan() => x,
            Activation::Identity => x,
            Activation::Sigmoid => sigmoid(x),
            Activation::Tanh => libm::tanh(x),
            // Not `max`, which would make a number of NaN.
            Activation::Relu if x < 0.0 => 0.0,
            Activation::LeakyRelu { slope } if x < 0.0 => slope * x,
            Activation::Elu { alpha } if x < 0.0 => alpha * libm::expm1(x),
            Activation::Selu if x < 0.0 => SELU_SCALE * SELU_ALPHA * libm::expm1(x),
            Activation::Selu => SELU_SCALE * x,
            Activation::Relu | Activation::LeakyRelu { .. } | Activation::Elu { .. } => x,
            Activation::Gelu => times(x, 0.5 * libm::erfc(-x * FRAC_1_SQRT_2)),
            // (1 + tanh u) / 2 is the sigmoid of 2u.
            Activation::GeluTanh => times(x, sigmoid(2.0 * gelu_argument(x))),
            Activation::Silu => times(x, sigmoid(x)),
            Activation::Softplus => softplus(x),
            Activation::Softsign if x.is_infinite() => x.signum(),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Mish => times(x, libm::tanh(softplus(x))),
            Activation::HardTanh => x.clamp(-1.0, 1.0),
            Activation::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Activation::HardSwish => times(x, (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::Sin { omega } => libm::sin(omega * x),
            Activation::Custom(custom) => (custom.value)(x),
        }
    }

    /// `f'(x)` in f64; NaN of NaN. At a kink, the slope left of it for the rectifiers and that of the
    /// outer side for the cut ones, as PyTorch has it save for hard swish, where it takes the inner.
    pub fn derivative(&self, x: f64) -> f64 {
        let between =
            |low: f64, high: f64, slope: f64| if low < x && x < high { slope } else { 0.0 };
        match *self {
            _ if x.is_nan() => x,
            Activation::Identity => 1.0,
            Activation::Sigmoid => sigmoid(x) * sigmoid(-x),
            Activation::Tanh => {
                let inverse = 1.0 / libm::cosh(x);
                inverse * inverse
            }
            Activation::Selu if x > 0.0 => SELU_SCALE,
            Activation::Relu | Activation::LeakyRelu { .. } | Activation::Elu { .. } if x > 0.0 => {
                1.0
            }
            Activation::Relu => 0.0,
            Activation::LeakyRelu { slope } => slope,
            Activation::Elu { alpha } => alpha * libm::exp(x),
            Activation::Selu => SELU_SCALE * SELU_ALPHA * libm::exp(x),
            Activation::Gelu => {
                let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * libm::exp(-0.5 * x * x);
                0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + times(x, density)
            }
            Activation::GeluTanh => {
                let (half, other) =
                    (sigmoid(2.0 * gelu_argument(x)), sigmoid(-2.0 * gelu_argument(x)));
                let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
                half + times(x, times(2.0 * slope, half * other))
            }
            Activation::Silu => sigmoid(x) + times(x, sigmoid(x) * sigmoid(-x)),
            Activation::Softplus => sigmoid(x),
            Activation::Softsign => {
                let inverse = 1.0 / (1.0 + x.abs());
                inverse * inverse
            }
            Activation::Mish => {
                let tanh = libm::tanh(softplus(x));
                tanh + times(x, (1.0 - tanh * tanh) * sigmoid(x))
            }
            Activation::HardTanh => between(-1.0, 1.0, 1.0),
            Activation::HardSigmoid => between(-3.0, 3.0, 1.0 / 6.0),
            Activation::HardSwish if x >= 3.0 => 1.0,
            Activation::HardSwish => between(-3.0, 3.0, x / 3.0 + 0.5),
            Activation::Relu6 => between(0.0, 6.0, 1.0),
            Activation::Sin { omega } => omega * libm::cos(omega * x),
            Activation::Custom(custom) => (custom.derivative)(x),
        }
    }

    /// The factor on the standard deviation of the weights that feed this nonlinearity.
    ///
    /// What PyTorch's `torch.nn.init.calculate_gain` fixes is as it has it, a convention save for
    /// ReLU and its leaky kin:
    ///
    /// | nonlinearity | gain |
    /// |---|---|
    /// | identity, sigmoid | 1 |
    /// | tanh | 5/3 |
    /// | ReLU | sqrt 2 |
    /// | leaky ReLU of slope a | sqrt(2 / (1 + a^2)) |
    /// | SELU | 3/4 |
    ///
    /// The others, which it leaves out, have `1 / sqrt(E[f(z)^2])`, `z` standard normal: the value
    /// that keeps the second moment of the signal, as He et al. (2015) derive it for ReLU. They are
    /// constants here, found by quadrature at 30 digits, since a weight's bits depend on them.
    pub fn gain(&self) -> f64 {
        match self {
            Activation::Identity | Activation::Sigmoid => 1.0,
            Activation::Tanh => 5.0 / 3.0,
            Activation::Relu => SQRT_2,
            Activation::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
            Activation::Elu { alpha } => 1.0 / (0.5 + alpha * alpha * ELU_LEFT).sqrt(),
            Activation::Selu => 0.75,
            Activation::Gelu => 1.533_530_441_195_535_2,
            Activation::GeluTanh => 1.533_580_521_666_147,
            Activation::Silu => 1.676_532_470_331_091,
            Activation::Softplus => 1.041_866_835_535_301_7,
            Activation::Softsign => 2.337_533_363_108_539_7,
            Activation::Mish => 1.486_847_581_273_208,
            Activation::HardTanh => 1.392_036_140_448_309_8,
            Activation::HardSigmoid => 1.897_840_424_729_559,
            Activation::HardSwish => 1.736_657_212_766_541_6,
            Activation::Relu6 => 1.414_213_565_095_073_7,
            // E[sin(omega z)^2] = (1 - exp(-2 omega^2)) / 2, whose last bit at 1 is not quadrature's.
            Activation::Sin { omega: 1.0 } => 1.520_866_623_178_814_9,
            Activation::Sin { omega } => (-2.0 / libm::expm1(-2.0 * omega * omega)).sqrt(),
            Activation::Custom(custom) => custom.gain,
        }
    }
}

/// `a * b`, and 0 where one is 0 and the other infinite: every product here has the 0 from what
/// falls exponentially.
fn times(a: f64, b: f64) -> f64 {
    if (a == 0.0 || b == 0.0) && !a.is_nan() && !b.is_nan() { 0.0 } else { a * b }
}

fn sigmoid(x: f64) -> f64 {
    // Of the smaller exponential, so that none overflows and no digits cancel.
    if x < 0.0 { libm::exp(x) / (1.0 + libm::exp(x)) } else { 1.0 / (1.0 + libm::exp(-x)) }
}

fn softplus(x: f64) -> f64 {
    if x < 0.0 { libm::log1p(libm::exp(x)) } else { x + libm::log1p(libm::exp(-x)) }
}

fn gelu_argument(x: f64) -> f64 {
    (2.0 / PI).sqrt() * x * (1.0 + 0.044_715 * x * x)
}

/// The name, and `:` with the parameter where it is not the default: `leaky_relu:0.2`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Activation::LeakyRelu { slope } if *slope != 0.01 => write!(f, ":{slope}"),
            Activation::Elu { alpha } if *alpha != 1.0 => write!(f, ":{alpha}"),
            Activation::Sin { omega } if *omega != 1.0 => write!(f, ":{omega}"),
            _ => Ok(()),
        }
    }
}

/// Reads a name, with the parameter after a colon (`leaky_relu:0.2`, `elu:0.5`, `sin:30`); `linear` is
/// `identity`, `swish` is `silu`.
impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, parameter) = match text.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (text, None),
        };
        let known = match name {
            "linear" => "identity",
            "swish" => "silu",
            other => other,
        };
        let found =
            Activation::ALL.into_iter().find(|activation| activation.name() == known).ok_or_else(
                || Error::unknown("nonlinearity", name, Activation::ALL.map(|a| a.name())),
            )?;
        let Some(parameter) = parameter else { return Ok(found) };
        let what = || format!("nonlinearity `{text}`");
        let number = || match parameter.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(Error::invalid(what(), parameter, "a finite number")),
        };
        match found {
            Activation::LeakyRelu { .. } => Ok(Activation::LeakyRelu { slope: number()? }),
            Activation::Elu { .. } => Ok(Activation::Elu { alpha: number()? }),
            Activation::Sin { .. } => match number()? {
                omega if omega > 0.0 => Ok(Activation::Sin { omega }),
                _ => Err(Error::invalid(what(), parameter, "a number above 0")),
            },
            _ => Err(Error::invalid(what(), parameter, format!("no parameter for {name}"))),
        }
    }
}
