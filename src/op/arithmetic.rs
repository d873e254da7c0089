//! The exact arithmetic: (drawn weights, data, steps) to trained weights, and nothing else.
//!
#![doc = include_str!("arithmetic.md")]
//!
//! # In this crate
//!
//! [`TrainOptions::arithmetic`](crate::model::TrainOptions) and `fanin train --exact` choose it;
//! [`Context::with_arithmetic`](crate::gpu::Context::with_arithmetic) and
//! [`cpu::Kernels`](crate::cpu::Kernels) have the kernels one by one.

use std::fmt;
use std::str::FromStr;

use crate::{Activation, Custom, Error, Result};

/// The version of the contract of the exact arithmetic: [`arithmetic`](crate::op::arithmetic) holds it.
pub const ARITHMETIC: u32 = 1;

/// Depths (and rows, and windows) of a product whose terms are added one after the other; the sums of
/// these stretches are then added likewise, so that a device may share them out.
pub(crate) const STRETCH: usize = 256;

/// Terms of a sum that stand side by side: term `i` goes to lane `i % 32`.
pub(crate) const LANES: usize = 32;

/// How far apart lanes lie that are added, the higher to the lower, one fold after the other.
pub(crate) const FOLDS: [usize; 5] = [2, 1, 16, 8, 4];

/// Terms of the sum of a long run, and of a column, before the sums are summed in turn.
pub(crate) const RUN: usize = 2048;

/// Whether results are the device's own, or the same bits on every device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// As fast as the device is: the same bits from run to run on one device.
    #[default]
    Native,
    /// By the contract of the exact arithmetic ([`arithmetic`](crate::op::arithmetic)): the same bits on every device,
    /// whatever its tiles, threads and instructions, as long as numbers are finite.
    Exact(Operands),
}

/// What of its factors an exact product takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operands {
    /// 12 significant bits, rounded to nearest even: each product is exact in f32, so that devices that
    /// fuse it with the sum and devices that do not have the same bits, at full speed.
    #[default]
    Short,
    /// All 24 bits: each product is rounded before it is added, which takes a GPU that would fuse the two
    /// about twice as long.
    Full,
}

impl Arithmetic {
    /// The usual exact arithmetic: operands of 12 bits.
    pub const EXACT: Arithmetic = Arithmetic::Exact(Operands::Short);

    /// Whether the bits are the contract's.
    pub fn is_exact(self) -> bool {
        self != Arithmetic::Native
    }

    /// # Errors
    /// [`Error::Invalid`] where a nonlinearity's bits are not the same everywhere.
    pub(crate) fn check(self, activation: Activation) -> Result<()> {
        match activation.custom() {
            Some(Custom { name, .. }) if self.is_exact() => {
                let needed = "one of this crate's: only their bits are the same everywhere";
                Err(Error::invalid("nonlinearity of the exact arithmetic", name, needed))
            }
            _ => Ok(()),
        }
    }

    /// A number as the arithmetic keeps it: [`kept`] where it is exact.
    pub(crate) fn keep(self, values: &mut [f32]) {
        if self.is_exact() {
            values.iter_mut().for_each(|value| *value = kept(*value));
        }
    }

    /// One of two, by what there is.
    pub(crate) fn pick<T>(self, native: T, exact: T) -> T {
        if self.is_exact() { exact } else { native }
    }
}

/// The bits of an exponent of more than 1: of `2^-125` or more.
const USUAL: u32 = 0x7F00_0000;

/// `+0` where it is smaller than `2^-125`: devices may or may not have subnormals, and differ in what they
/// round to one.
#[inline(always)]
pub(crate) fn kept(x: f32) -> f32 {
    // Without a branch: many of them in a loop would keep it from becoming vectors.
    let bits = x.to_bits();
    f32::from_bits(bits & u32::from(bits & USUAL != 0).wrapping_neg())
}

impl Operands {
    /// Significant bits: 12 or 24.
    pub fn bits(self) -> u32 {
        match self {
            Operands::Short => 12,
            Operands::Full => 24,
        }
    }
}

/// The number of significant bits, 12 or 24.
impl fmt::Display for Operands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bits().fmt(f)
    }
}

/// Reads `12` or `24`.
impl FromStr for Operands {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "12" => Ok(Operands::Short),
            "24" => Ok(Operands::Full),
            _ => Err(Error::invalid("significant bits of a product's operands", text, "12 or 24")),
        }
    }
}

/// `native`, or `exact (version 1), operands of 12 bits`.
impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arithmetic::Native => f.write_str("native"),
            Arithmetic::Exact(operands) => {
                write!(f, "exact (version {ARITHMETIC}), operands of {operands} bits")
            }
        }
    }
}
