//! What becomes of an elementary result: it stays as it is, or keeps to the contract of the exact
//! arithmetic. On a CPU sums, products, quotients and roots are rounded as IEEE 754 says, and Rust fuses
//! none; what is left to say is where they are 0.

use std::borrow::Cow;

use super::widest::widest;
use crate::host::parallel::*;
use crate::op::{self, Arithmetic, Operands};
use crate::{Result, memory};

/// How elementary results are rounded.
pub(super) trait Rounding: Copy {
    /// Whether the contract's orders of sums are to be kept to.
    const EXACT: bool;

    /// A sum, a difference, a product, a quotient or a root, as it is kept.
    fn pin(x: f32) -> f32;

    /// `a * b + c`, each kept.
    #[inline(always)]
    fn mad(a: f32, b: f32, c: f32) -> f32 {
        Self::pin(Self::pin(a * b) + c)
    }
}

/// As it is.
#[derive(Clone, Copy)]
pub(super) struct Native;

impl Rounding for Native {
    const EXACT: bool = false;

    #[inline(always)]
    fn pin(x: f32) -> f32 {
        x
    }
}

/// As the exact arithmetic keeps it.
#[derive(Clone, Copy)]
pub(super) struct Pinned;

impl Rounding for Pinned {
    const EXACT: bool = true;

    #[inline(always)]
    fn pin(x: f32) -> f32 {
        op::kept(x)
    }
}

/// Operands of exact products below it are 0: so no product, and no sum of such, is subnormal.
const SMALLEST: u32 = (127 - 51) << 23;

/// A factor as an exact product takes it: 0 below `2^-51`, and with 12 significant bits, rounded to
/// nearest even, or all 24. Infinities and NaN stay.
#[inline(always)]
pub(super) fn operand(operands: Operands, x: f32) -> f32 {
    let bits = x.to_bits();
    let size = bits & 0x7FFF_FFFF;
    if size < SMALLEST {
        return 0.0;
    }
    match operands {
        Operands::Full => x,
        Operands::Short if size >= 0x7F80_0000 => x,
        Operands::Short => f32::from_bits((bits + 0x7FF + (bits >> 12 & 1)) & !0xFFF),
    }
}

/// A function over [`Rounding`], for an [`Arithmetic`].
macro_rules! by {
    ($arithmetic:expr, $function:ident) => {
        match $arithmetic.is_exact() {
            false => $function::<$crate::cpu::rounding::Native>,
            true => $function::<$crate::cpu::rounding::Pinned>,
        }
    };
}

pub(super) use by;

/// Factors as products take them: themselves where the arithmetic is the device's own.
///
/// # Errors
/// [`Error::Exhausted`](crate::Error::Exhausted) where there is no memory for them.
pub(super) fn operands_of(arithmetic: Arithmetic, values: &[f32]) -> Result<Cow<'_, [f32]>> {
    let Arithmetic::Exact(operands) = arithmetic else { return Ok(Cow::Borrowed(values)) };
    let mut rounded = memory::filled("a product's operands", values.len(), 0.0)?;
    rounded
        .par_chunks_mut(TASK)
        .zip(values.par_chunks(TASK))
        .for_each(|(rounded, values)| round_all(operands, values, rounded));
    Ok(Cow::Owned(rounded))
}

/// Elements a task.
const TASK: usize = 1 << 14;

widest! {
    fn round_all(operands: Operands, values: &[f32], rounded: &mut [f32]) {
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = operand(operands, *value);
        }
    }
}
