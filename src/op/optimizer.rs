use std::fmt;
use std::str::FromStr;

use super::Step;
use crate::catalogue::{self, Entry, Listed, Numbers, Range, Takes};
use crate::{Error, Result};

/// How a gradient `g` becomes a step of the parameters `w`. The arithmetic is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// `g += weight_decay w`; `v = momentum v + g`; `w -= lr v`, or with Nesterov's look ahead
    /// `w -= lr (g + momentum v)` (Sutskever et al. 2013).
    Sgd {
        /// The share of the last step's velocity that stays: 0 to 1.
        momentum: f64,
        /// Whether the gradient is taken, to first order, where the velocity leads.
        nesterov: bool,
        /// The factor on the parameters that joins the gradient.
        weight_decay: f64,
    },
    /// `g += weight_decay w`; `m = beta1 m + (1 - beta1) g`; `v = beta2 v + (1 - beta2) g^2`;
    /// `w -= lr m^ / (sqrt(v^) + epsilon)` with `m^ = m / (1 - beta1^t)`, `v^ = v / (1 - beta2^t)`
    /// (Kingma and Ba 2015).
    Adam(Adam),
    /// Adam, with the decay apart from the gradient: `w -= lr weight_decay w` first (Loshchilov and
    /// Hutter 2019).
    AdamW(Adam),
    /// `g += weight_decay w`; `v = alpha v + (1 - alpha) g^2`; `w -= lr g / (sqrt(v) + epsilon)`
    /// (Tieleman and Hinton 2012): PyTorch's `RMSprop` without momentum, not centered.
    RmsProp(RmsProp),
}

/// The numbers of [`Optimizer::Adam`] and [`Optimizer::AdamW`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// How much of the mean of gradients stays: 0 to 1.
    pub beta1: f64,
    /// How much of the mean of their squares stays: 0 to 1.
    pub beta2: f64,
    /// What keeps the quotient finite.
    pub epsilon: f64,
    /// The factor on the parameters.
    pub weight_decay: f64,
}

const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 };

/// PyTorch's, whose decay is not 0.
const ADAMW: Adam = Adam { weight_decay: 0.01, ..ADAM };

/// The paper's: 0.9, 0.999, 1e-8, and no decay.
impl Default for Adam {
    fn default() -> Self {
        ADAM
    }
}

/// The numbers of [`Optimizer::RmsProp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// How much of the mean of squared gradients stays: 0 to 1.
    pub alpha: f64,
    /// What keeps the quotient finite.
    pub epsilon: f64,
    /// The factor on the parameters that joins the gradient.
    pub weight_decay: f64,
}

const RMSPROP: RmsProp = RmsProp { alpha: 0.99, epsilon: 1e-8, weight_decay: 0.0 };

/// PyTorch's: 0.99, 1e-8, and no decay.
impl Default for RmsProp {
    fn default() -> Self {
        RMSPROP
    }
}

/// What there is to know of an optimizer.
pub(crate) struct Rule {
    /// Buffers of state, each as large as the parameters, by its numbers.
    moments: fn(Numbers) -> usize,
    /// Whether a step's size is the learning rate's, whatever the gradient's.
    normalizes: bool,
    lr: f64,
}

/// Two betas and an epsilon.
const ADAMS: &[(&str, Range)] = &[
    ("Adam's beta1", Range::Share),
    ("Adam's beta2", Range::Share),
    ("Adam's epsilon", Range::Positive),
];

/// Every optimizer; the place is the code in `shaders/update.wgsl`.
const CATALOGUE: &[Entry<Optimizer>] = &[
    Entry {
        name: "sgd",
        aliases: &[],
        formula: "v = MOMENTUM v + g; w -= lr v",
        default: Optimizer::sgd(),
        takes: Some(Takes {
            numbers: &[("momentum", Range::Share)],
            make: |[momentum, ..]| Optimizer::Sgd { momentum, nesterov: false, weight_decay: 0.0 },
        }),
        own: Rule {
            // Without momentum the velocity is the gradient.
            moments: |[momentum, ..]| usize::from(momentum != 0.0),
            normalizes: false,
            lr: 0.05,
        },
    },
    Entry {
        name: "nesterov",
        aliases: &[],
        formula: "v = MOMENTUM v + g; w -= lr (g + MOMENTUM v)",
        default: Optimizer::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 },
        takes: Some(Takes {
            numbers: &[("Nesterov's momentum", Range::Inner)],
            make: |[momentum, ..]| Optimizer::Sgd { momentum, nesterov: true, weight_decay: 0.0 },
        }),
        own: Rule { moments: |_| 1, normalizes: false, lr: 0.05 },
    },
    Entry {
        name: "adam",
        aliases: &[],
        formula: "m and v, the means of g and g^2, unbiased; w -= lr m / (sqrt(v) + EPSILON)",
        default: Optimizer::Adam(ADAM),
        takes: Some(Takes {
            numbers: ADAMS,
            make: |[beta1, beta2, epsilon]| Optimizer::Adam(Adam { beta1, beta2, epsilon, ..ADAM }),
        }),
        own: Rule { moments: |_| 2, normalizes: true, lr: 1e-3 },
    },
    Entry {
        name: "adamw",
        aliases: &[],
        formula: "adam, the weight decay (0.01 where none is given) apart from the gradient",
        default: Optimizer::AdamW(ADAMW),
        takes: Some(Takes {
            numbers: ADAMS,
            make: |[beta1, beta2, epsilon]| {
                Optimizer::AdamW(Adam { beta1, beta2, epsilon, ..ADAMW })
            },
        }),
        own: Rule { moments: |_| 2, normalizes: true, lr: 1e-3 },
    },
    Entry {
        name: "rmsprop",
        aliases: &[],
        formula: "v = ALPHA v + (1 - ALPHA) g^2; w -= lr g / (sqrt(v) + EPSILON)",
        default: Optimizer::RmsProp(RMSPROP),
        takes: Some(Takes {
            numbers: &[("RMSProp's alpha", Range::Share), ("RMSProp's epsilon", Range::Positive)],
            make: |[alpha, epsilon, _]| Optimizer::RmsProp(RmsProp { alpha, epsilon, ..RMSPROP }),
        }),
        own: Rule { moments: |_| 1, normalizes: true, lr: 0.01 },
    },
];

/// An optimizer's place in the catalogue and its numbers, as the entry has them and as kernels do.
struct Known {
    place: usize,
    numbers: Numbers,
    /// How much stays of the first and of the second state; of one without, 0.
    betas: (f64, f64),
    epsilon: f64,
}

impl Listed for Optimizer {
    const KIND: &'static str = "optimizer";
    type Own = Rule;

    fn catalogue() -> &'static [Entry<Self>] {
        CATALOGUE
    }

    fn place(&self) -> Option<(usize, Numbers)> {
        let Known { place, numbers, .. } = self.known();
        Some((place, numbers))
    }
}

impl Optimizer {
    /// Every optimizer, with its default numbers.
    pub const ALL: [Optimizer; CATALOGUE.len()] = catalogue::defaults(CATALOGUE);

    /// The names that [`FromStr`] reads.
    pub const NAMES: [&'static str; CATALOGUE.len()] = catalogue::names(CATALOGUE);

    /// Plain gradient descent: `w -= lr g`.
    pub const fn sgd() -> Self {
        Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    fn known(&self) -> Known {
        let adam = |place, Adam { beta1, beta2, epsilon, .. }| Known {
            place,
            numbers: [beta1, beta2, epsilon],
            betas: (beta1, beta2),
            epsilon,
        };
        match *self {
            Optimizer::Sgd { momentum, nesterov, .. } => Known {
                place: usize::from(nesterov),
                numbers: [momentum, 0.0, 0.0],
                betas: (momentum, 0.0),
                epsilon: 0.0,
            },
            Optimizer::Adam(own) => adam(2, own),
            Optimizer::AdamW(own) => adam(3, own),
            Optimizer::RmsProp(RmsProp { alpha, epsilon, .. }) => {
                Known { place: 4, numbers: [alpha, epsilon, 0.0], betas: (alpha, 0.0), epsilon }
            }
        }
    }

    fn decay(&mut self) -> &mut f64 {
        match self {
            Optimizer::Sgd { weight_decay, .. } => weight_decay,
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => &mut adam.weight_decay,
            Optimizer::RmsProp(own) => &mut own.weight_decay,
        }
    }

    fn entry(&self) -> &'static Entry<Self> {
        &CATALOGUE[self.known().place]
    }

    /// How each is written, `rmsprop:ALPHA,EPSILON`, and its formula: for help texts.
    pub fn help() -> Vec<(String, String)> {
        catalogue::help::<Optimizer>()
    }

    /// The name without its numbers.
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The same with another weight decay.
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        *self.decay() = decay;
        self
    }

    /// The weight decay.
    pub fn weight_decay(&self) -> f64 {
        let mut own = *self;
        *own.decay()
    }

    /// A learning rate to start from.
    pub fn default_lr(&self) -> f64 {
        self.entry().own.lr
    }

    /// The number that stands for it in `shaders/update.wgsl`: its place in [`Optimizer::ALL`].
    pub fn code(&self) -> u32 {
        self.known().place as u32
    }

    /// Buffers of state, each as large as the parameters: velocity, Adam's two means, RMSProp's of
    /// squares.
    pub(crate) fn moments(&self) -> usize {
        (self.entry().own.moments)(self.known().numbers)
    }

    /// Whether a step's size is the learning rate's, whatever the gradient's: what muP tells apart.
    pub(crate) fn normalizes(&self) -> bool {
        self.entry().own.normalizes
    }

    /// How much stays of the first and of the second state: the momentum, both betas, alpha.
    pub(crate) fn betas(&self) -> (f64, f64) {
        self.known().betas
    }

    pub(crate) fn epsilon(&self) -> f64 {
        self.known().epsilon
    }

    /// Adam's `1 / (1 - beta1^t)` and `1 / sqrt(1 - beta2^t)` at step `t`, counted from 1.
    fn corrections(&self, t: u64) -> (f64, f64) {
        let (beta1, beta2) = self.betas();
        let exponent = t as f64;
        (1.0 / (1.0 - libm::pow(beta1, exponent)), 1.0 / (1.0 - libm::pow(beta2, exponent)).sqrt())
    }

    /// The numbers of step `t`, counted from 1.
    pub(crate) fn step(&self, lr: f64, t: u64) -> Step {
        let (correction1, correction2) = self.corrections(t.max(1));
        let (correction1, correction2) = (correction1 as f32, correction2 as f32);
        Step { lr: lr as f32, correction1, correction2, ..Step::default() }
    }

    /// As [`Optimizer::step`], of a learning rate that nobody has looked at.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the learning rate is no rate.
    pub(crate) fn checked_step(&self, lr: f64, t: u64) -> Result<Step> {
        match lr >= 0.0 && lr.is_finite() {
            true => Ok(self.step(lr, t)),
            false => Err(Error::invalid("learning rate", lr, "a finite number, 0 or more")),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] where gradients cannot be clipped to such a norm.
    pub(crate) fn check_clip(bound: f64) -> Result<()> {
        if bound > 0.0 && bound.is_finite() {
            return Ok(());
        }
        Err(Error::invalid("clip", bound, "a finite norm above 0"))
    }

    /// # Errors
    /// [`Error::Invalid`] where a number is outside its range.
    pub fn check(&self) -> Result<()> {
        let decay = self.weight_decay();
        if !(decay >= 0.0 && decay.is_finite()) {
            return Err(Error::invalid("weight decay", decay, "a finite number, 0 or more"));
        }
        catalogue::check(self)
    }
}

/// The form that [`FromStr`] reads, with every number but the weight decay; without those of `sgd`,
/// `adam`, `adamw` and `rmsprop` where they are the defaults.
impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What runs were saved with.
            Optimizer::Sgd { nesterov: true, .. } => {
                catalogue::write_numbers(self.entry(), &self.known().numbers, f)
            }
            _ => catalogue::write(self, f),
        }
    }
}

/// Reads `sgd`, `sgd:0.9` (momentum), `nesterov:0.9`, `adam`, `adamw:0.9,0.95`,
/// `adam:0.9,0.999,1e-8` or `rmsprop:0.99,1e-8`. AdamW decays by 0.01, the others by nothing.
impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        catalogue::read(text)
    }
}
