use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The learning rate over the steps: a linear warm-up, then one of several ways down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Steps `0..warmup` have `lr (step + 1) / warmup`.
    pub warmup: u64,
    /// What comes after it.
    pub decay: Decay,
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Decay {
    /// `lr`.
    #[default]
    Constant,
    /// `lr factor^floor(epoch / epochs)`.
    Step {
        /// Epochs between two falls.
        epochs: u64,
        /// The factor of each fall.
        factor: f64,
    },
    /// `lr (floor + (1 - floor) (1 + cos(pi t)) / 2)`, `t` from 0 to 1 over the steps after the
    /// warm-up (Loshchilov and Hutter 2017, without restarts).
    Cosine {
        /// What is left of the rate at the end.
        floor: f64,
    },
}

impl Schedule {
    /// The names that [`FromStr`] reads.
    pub const NAMES: [&'static str; 3] = ["constant", "step:EPOCHS,FACTOR", "cosine"];

    /// The factor on the learning rate at `step` of `steps`, `epoch_steps` of them an epoch.
    pub fn factor(&self, step: u64, epoch_steps: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { epochs, factor } => {
                let falls = step / epoch_steps.max(1) / epochs.max(1);
                libm::pow(factor, falls as f64)
            }
            Decay::Cosine { floor } => {
                let (done, all) = (step - self.warmup, steps.saturating_sub(self.warmup).max(1));
                let part = (done as f64 / all as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + libm::cos(PI * part))
            }
        }
    }

    /// # Errors
    /// [`Error::Invalid`] where a number is outside its range.
    pub fn check(&self) -> Result<()> {
        match self.decay {
            Decay::Step { epochs: 0, .. } => {
                Err(Error::invalid("schedule's epochs", 0, "at least 1"))
            }
            Decay::Step { factor, .. } if !(factor > 0.0 && factor <= 1.0) => {
                Err(Error::invalid("schedule's factor", factor, "above 0, at most 1"))
            }
            Decay::Cosine { floor } if !(0.0..=1.0).contains(&floor) => {
                Err(Error::invalid("schedule's floor", floor, "0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

/// The decay alone: `constant`, `step:30,0.1`, `cosine`, `cosine:0.1`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decay {
            Decay::Constant => f.write_str("constant"),
            Decay::Step { epochs, factor } => write!(f, "step:{epochs},{factor}"),
            Decay::Cosine { floor: 0.0 } => f.write_str("cosine"),
            Decay::Cosine { floor } => write!(f, "cosine:{floor}"),
        }
    }
}

/// Reads `constant`, `step:30,0.1` (every 30 epochs a tenth), `cosine`, `cosine:0.1` (down to a
/// tenth). There is no warm-up.
impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, numbers) = text.split_once(':').unwrap_or((text, ""));
        let invalid = |needed: &str| Error::invalid("schedule", text, needed);
        let decay = match (name, numbers) {
            ("constant", "") => Decay::Constant,
            ("constant", _) => return Err(invalid("constant, which takes no numbers")),
            ("cosine", "") => Decay::Cosine { floor: 0.0 },
            ("cosine", floor) => Decay::Cosine {
                floor: floor.parse().map_err(|_| invalid("cosine:FLOOR, as in cosine:0.1"))?,
            },
            ("step", numbers) => {
                let parts = numbers.split_once(',').and_then(|(epochs, factor)| {
                    Some((epochs.trim().parse().ok()?, factor.trim().parse().ok()?))
                });
                let Some((epochs, factor)) = parts else {
                    return Err(invalid("step:EPOCHS,FACTOR, as in step:30,0.1"));
                };
                Decay::Step { epochs, factor }
            }
            _ => return Err(Error::unknown("schedule", name, Schedule::NAMES)),
        };
        let schedule = Schedule { warmup: 0, decay };
        schedule.check()?;
        Ok(schedule)
    }
}
