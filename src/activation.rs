//! The nonlinearities, each once: its formula, its derivative, and the gain that it asks of the
//! weights before it.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, SQRT_2};
use std::fmt;
use std::str::FromStr;

use crate::catalogue::{self, Entry, Listed, Numbers, Range, Takes};
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

/// What there is to know of a nonlinearity `f` of a parameter, which is 0 for those without.
pub(crate) struct Function {
    /// `f(x)` of a number.
    value: fn(f64, f64) -> f64,
    /// `f'(x)` of a number.
    derivative: fn(f64, f64) -> f64,
    /// See [`Activation::gain`].
    gain: fn(f64) -> f64,
    /// Where it, or a derivative of it, breaks off; none for those that are smooth.
    kinks: &'static [f64],
    /// Of one that turns wherever one looks, such as a sine, how often in a length of `2 pi`.
    frequency: fn(f64) -> f64,
}

/// The frequency of those that are straight far out.
const STRAIGHT: fn(f64) -> f64 = |_| 0.0;

/// Every nonlinearity; the place is the code in the shaders.
const CATALOGUE: &[Entry<Activation>] = &[
    Entry {
        name: "identity",
        aliases: &["linear"],
        formula: "x",
        default: Activation::Identity,
        takes: None,
        own: Function {
            value: |x, _| x,
            derivative: |_, _| 1.0,
            gain: |_| 1.0,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "sigmoid",
        aliases: &[],
        formula: "1 / (1 + exp(-x))",
        default: Activation::Sigmoid,
        takes: None,
        own: Function {
            value: |x, _| sigmoid(x),
            derivative: |x, _| sigmoid(x) * sigmoid(-x),
            gain: |_| 1.0,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "tanh",
        aliases: &[],
        formula: "tanh x",
        default: Activation::Tanh,
        takes: None,
        own: Function {
            value: |x, _| libm::tanh(x),
            derivative: |x, _| {
                let inverse = 1.0 / libm::cosh(x);
                inverse * inverse
            },
            gain: |_| 5.0 / 3.0,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "relu",
        aliases: &[],
        formula: "max(x, 0)",
        default: Activation::Relu,
        takes: None,
        own: Function {
            value: |x, _| if x < 0.0 { 0.0 } else { x },
            derivative: |x, _| if x > 0.0 { 1.0 } else { 0.0 },
            gain: |_| SQRT_2,
            kinks: &[0.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "leaky_relu",
        aliases: &[],
        formula: "x right of 0, SLOPE x left",
        default: Activation::LeakyRelu { slope: 0.01 },
        takes: Some(Takes {
            numbers: &[("slope", Range::Finite)],
            make: |[slope, ..]| Activation::LeakyRelu { slope },
        }),
        own: Function {
            value: |x, slope| if x < 0.0 { slope * x } else { x },
            derivative: |x, slope| if x > 0.0 { 1.0 } else { slope },
            gain: |slope| (2.0 / (1.0 + slope * slope)).sqrt(),
            kinks: &[0.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "elu",
        aliases: &[],
        formula: "x right of 0, ALPHA (exp(x) - 1) left",
        default: Activation::Elu { alpha: 1.0 },
        takes: Some(Takes {
            numbers: &[("alpha", Range::Finite)],
            make: |[alpha, ..]| Activation::Elu { alpha },
        }),
        own: Function {
            value: |x, alpha| if x < 0.0 { alpha * libm::expm1(x) } else { x },
            derivative: |x, alpha| if x > 0.0 { 1.0 } else { alpha * libm::exp(x) },
            gain: |alpha| 1.0 / (0.5 + alpha * alpha * ELU_LEFT).sqrt(),
            kinks: &[0.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "selu",
        aliases: &[],
        formula: "1.0507 x right of 0, 1.0507 * 1.6733 (exp(x) - 1) left",
        default: Activation::Selu,
        takes: None,
        own: Function {
            value: |x, _| {
                if x < 0.0 { SELU_SCALE * SELU_ALPHA * libm::expm1(x) } else { SELU_SCALE * x }
            },
            derivative: |x, _| {
                if x > 0.0 { SELU_SCALE } else { SELU_SCALE * SELU_ALPHA * libm::exp(x) }
            },
            gain: |_| 0.75,
            kinks: &[0.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "gelu",
        aliases: &[],
        formula: "x Phi(x), Phi the normal distribution function",
        default: Activation::Gelu,
        takes: None,
        own: Function {
            value: |x, _| times(x, 0.5 * libm::erfc(-x * FRAC_1_SQRT_2)),
            derivative: |x, _| {
                let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * libm::exp(-0.5 * x * x);
                0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + times(x, density)
            },
            gain: |_| 1.533_530_441_195_535_2,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "gelu_tanh",
        aliases: &[],
        formula: "x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
        default: Activation::GeluTanh,
        takes: None,
        own: Function {
            // (1 + tanh u) / 2 is the sigmoid of 2u.
            value: |x, _| times(x, sigmoid(2.0 * gelu_argument(x))),
            derivative: |x, _| {
                let (half, other) =
                    (sigmoid(2.0 * gelu_argument(x)), sigmoid(-2.0 * gelu_argument(x)));
                let slope = (2.0 / PI).sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
                half + times(x, times(2.0 * slope, half * other))
            },
            gain: |_| 1.533_580_521_666_147,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "silu",
        aliases: &["swish"],
        formula: "x / (1 + exp(-x))",
        default: Activation::Silu,
        takes: None,
        own: Function {
            value: |x, _| times(x, sigmoid(x)),
            derivative: |x, _| sigmoid(x) + times(x, sigmoid(x) * sigmoid(-x)),
            gain: |_| 1.676_532_470_331_091,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "softplus",
        aliases: &[],
        formula: "ln(1 + exp(x))",
        default: Activation::Softplus,
        takes: None,
        own: Function {
            value: |x, _| softplus(x),
            derivative: |x, _| sigmoid(x),
            gain: |_| 1.041_866_835_535_301_7,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "softsign",
        aliases: &[],
        formula: "x / (1 + |x|)",
        default: Activation::Softsign,
        takes: None,
        own: Function {
            value: |x, _| if x.is_infinite() { x.signum() } else { x / (1.0 + x.abs()) },
            derivative: |x, _| {
                let inverse = 1.0 / (1.0 + x.abs());
                inverse * inverse
            },
            gain: |_| 2.337_533_363_108_539_7,
            kinks: &[0.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "mish",
        aliases: &[],
        formula: "x tanh(ln(1 + exp(x)))",
        default: Activation::Mish,
        takes: None,
        own: Function {
            value: |x, _| times(x, libm::tanh(softplus(x))),
            derivative: |x, _| {
                let tanh = libm::tanh(softplus(x));
                tanh + times(x, (1.0 - tanh * tanh) * sigmoid(x))
            },
            gain: |_| 1.486_847_581_273_208,
            kinks: &[],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "hard_tanh",
        aliases: &[],
        formula: "x cut to -1..1",
        default: Activation::HardTanh,
        takes: None,
        own: Function {
            value: |x, _| x.clamp(-1.0, 1.0),
            derivative: |x, _| between(x, -1.0, 1.0, 1.0),
            gain: |_| 1.392_036_140_448_309_8,
            kinks: &[-1.0, 1.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "hard_sigmoid",
        aliases: &[],
        formula: "x/6 + 1/2 cut to 0..1",
        default: Activation::HardSigmoid,
        takes: None,
        own: Function {
            value: |x, _| hard_sigmoid(x),
            derivative: |x, _| between(x, -3.0, 3.0, 1.0 / 6.0),
            gain: |_| 1.897_840_424_729_559,
            kinks: &[-3.0, 3.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "hard_swish",
        aliases: &[],
        formula: "x hard_sigmoid(x)",
        default: Activation::HardSwish,
        takes: None,
        own: Function {
            value: |x, _| times(x, hard_sigmoid(x)),
            derivative: |x, _| if x >= 3.0 { 1.0 } else { between(x, -3.0, 3.0, x / 3.0 + 0.5) },
            gain: |_| 1.736_657_212_766_541_6,
            kinks: &[-3.0, 3.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "relu6",
        aliases: &[],
        formula: "x cut to 0..6",
        default: Activation::Relu6,
        takes: None,
        own: Function {
            value: |x, _| x.clamp(0.0, 6.0),
            derivative: |x, _| between(x, 0.0, 6.0, 1.0),
            gain: |_| 1.414_213_565_095_073_7,
            kinks: &[0.0, 6.0],
            frequency: STRAIGHT,
        },
    },
    Entry {
        name: "sin",
        aliases: &[],
        formula: "sin(OMEGA x); SIREN's OMEGA is 30",
        default: Activation::Sin { omega: 1.0 },
        takes: Some(Takes {
            numbers: &[("omega", Range::Positive)],
            make: |[omega, ..]| Activation::Sin { omega },
        }),
        own: Function {
            value: |x, omega| libm::sin(omega * x),
            derivative: |x, omega| omega * libm::cos(omega * x),
            gain: |omega| {
                // E[sin(omega z)^2] = (1 - exp(-2 omega^2)) / 2, whose last bit at 1 is not
                // quadrature's.
                match omega {
                    1.0 => 1.520_866_623_178_814_9,
                    _ => (-2.0 / libm::expm1(-2.0 * omega * omega)).sqrt(),
                }
            },
            kinks: &[],
            frequency: |omega| omega,
        },
    },
];

impl Listed for Activation {
    const KIND: &'static str = "nonlinearity";
    type Own = Function;

    fn catalogue() -> &'static [Entry<Self>] {
        CATALOGUE
    }

    fn place(&self) -> Option<(usize, Numbers)> {
        let (place, parameter) = self.known().ok()?;
        Some((place, [parameter, 0.0, 0.0]))
    }
}

/// The two numbers of SELU, to the digits of its paper's appendix.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `E[(exp(z) - 1)^2; z < 0]` of a standard normal: `e^2 Phi(-2) - 2 e^(1/2) Phi(-1) + 1/2`.
const ELU_LEFT: f64 = 0.144_945_417_492_923_86;

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

fn hard_sigmoid(x: f64) -> f64 {
    (x / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// `slope` between two numbers, else 0.
fn between(x: f64, low: f64, high: f64, slope: f64) -> f64 {
    if low < x && x < high { slope } else { 0.0 }
}

impl Activation {
    /// Every nonlinearity, with its default parameter.
    pub const ALL: [Activation; CATALOGUE.len()] = catalogue::defaults(CATALOGUE);

    /// The place in the catalogue, and the parameter.
    const fn known(&self) -> std::result::Result<(usize, f64), &Custom> {
        Ok(match self {
            Activation::Identity => (0, 0.0),
            Activation::Sigmoid => (1, 0.0),
            Activation::Tanh => (2, 0.0),
            Activation::Relu => (3, 0.0),
            Activation::LeakyRelu { slope } => (4, *slope),
            Activation::Elu { alpha } => (5, *alpha),
            Activation::Selu => (6, 0.0),
            Activation::Gelu => (7, 0.0),
            Activation::GeluTanh => (8, 0.0),
            Activation::Silu => (9, 0.0),
            Activation::Softplus => (10, 0.0),
            Activation::Softsign => (11, 0.0),
            Activation::Mish => (12, 0.0),
            Activation::HardTanh => (13, 0.0),
            Activation::HardSigmoid => (14, 0.0),
            Activation::HardSwish => (15, 0.0),
            Activation::Relu6 => (16, 0.0),
            Activation::Sin { omega } => (17, *omega),
            Activation::Custom(custom) => return Err(custom),
        })
    }

    /// How each is written, `leaky_relu:SLOPE`, and its formula: for help texts.
    pub fn help() -> Vec<(String, String)> {
        catalogue::help::<Activation>()
    }

    /// The name that recipes and the command line use.
    pub const fn name(&self) -> &'static str {
        match self.known() {
            Ok((place, _)) => CATALOGUE[place].name,
            Err(custom) => custom.name,
        }
    }

    /// The number that stands for it in the shaders: its place in [`Activation::ALL`], 255 for a
    /// custom one.
    pub fn code(&self) -> u32 {
        self.known().map_or(CUSTOM_CODE, |(place, _)| place as u32)
    }

    /// The parameter that the shaders are given: a slope, an alpha, an omega, 0 for those without.
    pub fn parameter(&self) -> f32 {
        self.known().map_or(0.0, |(_, parameter)| parameter as f32)
    }

    /// The custom part, where it has one.
    pub(crate) fn custom(&self) -> Option<Custom> {
        self.known().err().copied()
    }

    /// `f(x)` in f64; NaN of NaN.
    pub fn value(&self, x: f64) -> f64 {
        match self.known() {
            _ if x.is_nan() => x,
            Ok((place, parameter)) => (CATALOGUE[place].own.value)(x, parameter),
            Err(custom) => (custom.value)(x),
        }
    }

    /// `f'(x)` in f64; NaN of NaN. At a kink, the slope left of it for the rectifiers and that of the
    /// outer side for the cut ones, as PyTorch has it save for hard swish, where it takes the inner.
    pub fn derivative(&self, x: f64) -> f64 {
        match self.known() {
            _ if x.is_nan() => x,
            Ok((place, parameter)) => (CATALOGUE[place].own.derivative)(x, parameter),
            Err(custom) => (custom.derivative)(x),
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
        match self.known() {
            Ok((place, parameter)) => (CATALOGUE[place].own.gain)(parameter),
            Err(custom) => custom.gain,
        }
    }

    /// Where it, or a derivative of it, breaks off; 0 of a custom one, of which that is not known.
    pub(crate) fn kinks(&self) -> &'static [f64] {
        self.known().map_or(&[0.0], |(place, _)| CATALOGUE[place].own.kinks)
    }

    /// How often it turns in a length of `2 pi` wherever one looks; 0 of one that is straight far out.
    pub(crate) fn frequency(&self) -> f64 {
        match self.known() {
            Ok((place, parameter)) => (CATALOGUE[place].own.frequency)(parameter),
            // What a user's own does is not known.
            Err(_) => 1.0,
        }
    }
}

/// The name, and `:` with the parameter where it is not the default: `leaky_relu:0.2`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Custom(custom) => f.write_str(custom.name),
            known => catalogue::write(known, f),
        }
    }
}

/// Reads a name, with the parameter after a colon (`leaky_relu:0.2`, `elu:0.5`, `sin:30`);
/// [`Activation::help`] has them all.
impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        catalogue::read(text)
    }
}
