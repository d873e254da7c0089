use std::fmt;
use std::str::FromStr;

use super::Step;
use crate::{Error, Result};

/// How a gradient `g` becomes a step of the parameters `w`. The arithmetic is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// The paper's: 0.9, 0.999, 1e-8, and no decay.
impl Default for Adam {
    fn default() -> Self {
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }
}

impl Optimizer {
    /// The names that [`FromStr`] reads.
    pub const NAMES: [&'static str; 4] = ["sgd", "nesterov", "adam", "adamw"];

    /// Plain gradient descent: `w -= lr g`.
    pub const fn sgd() -> Self {
        Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// The name without its numbers.
    pub fn name(&self) -> &'static str {
        match self {
            Optimizer::Sgd { nesterov: false, .. } => "sgd",
            Optimizer::Sgd { .. } => "nesterov",
            Optimizer::Adam(_) => "adam",
            Optimizer::AdamW(_) => "adamw",
        }
    }

    /// The same with another weight decay.
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        match &mut self {
            Optimizer::Sgd { weight_decay, .. } => *weight_decay = decay,
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => adam.weight_decay = decay,
        }
        self
    }

    /// The weight decay.
    pub fn weight_decay(&self) -> f64 {
        match self {
            Optimizer::Sgd { weight_decay, .. } => *weight_decay,
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => adam.weight_decay,
        }
    }

    /// A learning rate to start from.
    pub fn default_lr(&self) -> f64 {
        match self {
            Optimizer::Sgd { .. } => 0.05,
            Optimizer::Adam(_) | Optimizer::AdamW(_) => 1e-3,
        }
    }

    /// The code in `shaders/update.wgsl`.
    pub(crate) fn code(&self) -> u32 {
        match self {
            Optimizer::Sgd { .. } => 0,
            Optimizer::Adam(_) => 1,
            Optimizer::AdamW(_) => 2,
        }
    }

    /// 0 without momentum, 1 with it, 2 as Nesterov has it.
    pub(crate) fn momentum_code(&self) -> u32 {
        match self {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => 0,
            Optimizer::Sgd { nesterov, .. } => 1 + u32::from(*nesterov),
            _ => 1,
        }
    }

    /// Buffers of state, each as large as the parameters: velocity, or Adam's two means.
    pub(crate) fn moments(&self) -> usize {
        match self {
            Optimizer::Sgd { .. } => self.momentum_code().min(1) as usize,
            _ => 2,
        }
    }

    /// Both betas; momentum is the first.
    pub(crate) fn betas(&self) -> (f64, f64) {
        match self {
            Optimizer::Sgd { momentum, .. } => (*momentum, 0.0),
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => (adam.beta1, adam.beta2),
        }
    }

    pub(crate) fn epsilon(&self) -> f64 {
        match self {
            Optimizer::Sgd { .. } => 0.0,
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => adam.epsilon,
        }
    }

    /// Adam's `1 / (1 - beta1^t)` and `1 / sqrt(1 - beta2^t)` at step `t`, counted from 1.
    pub(crate) fn corrections(&self, t: u64) -> (f64, f64) {
        let (beta1, beta2) = self.betas();
        let exponent = t as f64;
        (1.0 / (1.0 - libm::pow(beta1, exponent)), 1.0 / (1.0 - libm::pow(beta2, exponent)).sqrt())
    }

    /// The numbers of step `t`, counted from 1.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the learning rate is no rate.
    pub(crate) fn step(&self, lr: f64, t: u64) -> Result<Step> {
        if !(lr >= 0.0 && lr.is_finite()) {
            return Err(Error::invalid("learning rate", lr, "a finite number, 0 or more"));
        }
        let (correction1, correction2) = self.corrections(t.max(1));
        let (correction1, correction2) = (correction1 as f32, correction2 as f32);
        Ok(Step { lr: lr as f32, correction1, correction2, ..Step::default() })
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
        let share = |name: &str, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(Error::invalid(name, value, "0 or more, below 1")),
        };
        let decay = self.weight_decay();
        if !(decay >= 0.0 && decay.is_finite()) {
            return Err(Error::invalid("weight decay", decay, "a finite number, 0 or more"));
        }
        match self {
            Optimizer::Sgd { momentum, nesterov, .. } => {
                if *nesterov && *momentum == 0.0 {
                    return Err(Error::invalid("Nesterov's momentum", momentum, "more than 0"));
                }
                share("momentum", *momentum)
            }
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
                if !(adam.epsilon > 0.0 && adam.epsilon.is_finite()) {
                    let needed = "a finite number above 0";
                    return Err(Error::invalid("Adam's epsilon", adam.epsilon, needed));
                }
                share("Adam's beta1", adam.beta1)?;
                share("Adam's beta2", adam.beta2)
            }
        }
    }
}

/// The form that [`FromStr`] reads, with every number but the weight decay.
impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Optimizer::Sgd { momentum, .. } if *momentum == 0.0 => Ok(()),
            Optimizer::Sgd { momentum, .. } => write!(f, ":{momentum}"),
            Optimizer::Adam(adam) | Optimizer::AdamW(adam) => {
                let default = Adam { weight_decay: adam.weight_decay, ..Adam::default() };
                if *adam == default {
                    return Ok(());
                }
                write!(f, ":{},{},{}", adam.beta1, adam.beta2, adam.epsilon)
            }
        }
    }
}

/// Reads `sgd`, `sgd:0.9` (momentum), `nesterov:0.9`, `adam`, `adamw:0.9,0.95` or
/// `adam:0.9,0.999,1e-8`. AdamW decays by 0.01, the others by nothing.
impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, numbers) = text.split_once(':').unwrap_or((text, ""));
        let numbers: Vec<f64> = numbers
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.trim().parse().map_err(|_| {
                    Error::invalid(format!("optimizer `{text}`"), part, "a number, as in sgd:0.9")
                })
            })
            .collect::<Result<_>>()?;
        let most = |count: usize, what: &str| match numbers.len() <= count {
            true => Ok(()),
            false => {
                let given = format!("{} numbers", numbers.len());
                Err(Error::invalid(format!("optimizer `{text}`"), given, what))
            }
        };
        let number = |at: usize, default: f64| numbers.get(at).copied().unwrap_or(default);
        let adam = |weight_decay| -> Result<Adam> {
            most(3, "at most beta1, beta2 and epsilon")?;
            let defaults = Adam::default();
            Ok(Adam {
                beta1: number(0, defaults.beta1),
                beta2: number(1, defaults.beta2),
                epsilon: number(2, defaults.epsilon),
                weight_decay,
            })
        };
        let optimizer = match name {
            "sgd" | "nesterov" => {
                most(1, "at most the momentum")?;
                let nesterov = name == "nesterov";
                let momentum = number(0, if nesterov { 0.9 } else { 0.0 });
                Optimizer::Sgd { momentum, nesterov, weight_decay: 0.0 }
            }
            "adam" => Optimizer::Adam(adam(0.0)?),
            "adamw" => Optimizer::AdamW(adam(0.01)?),
            _ => return Err(Error::unknown("optimizer", name, Optimizer::NAMES)),
        };
        optimizer.check()?;
        Ok(optimizer)
    }
}
