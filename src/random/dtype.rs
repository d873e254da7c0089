use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The type of a tensor's elements, as safetensors names them.
///
/// Samples come as [`F32`](Dtype::F32), [`Bf16`](Dtype::Bf16) and [`F16`](Dtype::F16), raw words as
/// [`U32`](Dtype::U32); the others hold constants only (a counter of batches, a mask).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary16.
    F16,
    /// IEEE 754 binary64.
    F64,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
    /// Signed 16-bit integer.
    I16,
    /// Unsigned 16-bit integer.
    U16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// A byte that is 0 or 1.
    Bool,
}

impl Dtype {
    /// Every dtype.
    pub const ALL: [Dtype; 13] = [
        Dtype::F32,
        Dtype::Bf16,
        Dtype::F16,
        Dtype::F64,
        Dtype::I64,
        Dtype::U64,
        Dtype::I32,
        Dtype::U32,
        Dtype::I16,
        Dtype::U16,
        Dtype::I8,
        Dtype::U8,
        Dtype::Bool,
    ];

    /// The dtypes that samples come in.
    pub const SAMPLED: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::F16];

    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::Bf16 | Dtype::F16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// The name in lower case, as recipes and the command line write it.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
            Dtype::F64 => "f64",
            Dtype::I64 => "i64",
            Dtype::U64 => "u64",
            Dtype::I32 => "i32",
            Dtype::U32 => "u32",
            Dtype::I16 => "i16",
            Dtype::U16 => "u16",
            Dtype::I8 => "i8",
            Dtype::U8 => "u8",
            Dtype::Bool => "bool",
        }
    }

    /// The little-endian bytes of `value` in this dtype.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an integer dtype cannot hold `value` exactly, or `value` is not
    /// finite. Floating dtypes take the f32 nearest to `value`, then round that, as samples do.
    pub fn constant(self, value: f64) -> Result<Vec<u8>> {
        let finite = value.is_finite() && (value as f32).is_finite();
        let exact = |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&value);
        let bits = (value as f32).to_bits();
        Ok(match self {
            Dtype::F32 if finite => bits.to_le_bytes().to_vec(),
            Dtype::Bf16 if finite => bf16_from_f32(bits).to_le_bytes().to_vec(),
            Dtype::F16 if finite && value.abs() < 65_520.0 => {
                f16_from_f32(bits).to_le_bytes().to_vec()
            }
            Dtype::F64 if value.is_finite() => value.to_le_bytes().to_vec(),
            // The largest f64 below 2^63 and 2^64.
            Dtype::I64 if exact(-(2f64.powi(63)), 2f64.powi(63) - 1024.0) => {
                (value as i64).to_le_bytes().to_vec()
            }
            Dtype::U64 if exact(0.0, 2f64.powi(64) - 2048.0) => {
                (value as u64).to_le_bytes().to_vec()
            }
            Dtype::I32 if exact(f64::from(i32::MIN), f64::from(i32::MAX)) => {
                (value as i32).to_le_bytes().to_vec()
            }
            Dtype::U32 if exact(0.0, f64::from(u32::MAX)) => (value as u32).to_le_bytes().to_vec(),
            Dtype::I16 if exact(-32_768.0, 32_767.0) => (value as i16).to_le_bytes().to_vec(),
            Dtype::U16 if exact(0.0, 65_535.0) => (value as u16).to_le_bytes().to_vec(),
            Dtype::I8 if exact(-128.0, 127.0) => (value as i8).to_le_bytes().to_vec(),
            Dtype::U8 if exact(0.0, 255.0) => vec![value as u8],
            Dtype::Bool if exact(0.0, 1.0) => vec![value as u8],
            _ => {
                return Err(Error::invalid(
                    "constant",
                    value,
                    format!("a finite value that {self} can hold"),
                ));
            }
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Dtype {
    /// Rounds the bits of an f32 into one element's bytes; a word's bits stay as they are.
    pub(crate) fn store(self, bits: u32, element: &mut [u8]) {
        match self {
            Dtype::Bf16 => element.copy_from_slice(&bf16_from_f32(bits).to_le_bytes()),
            Dtype::F16 => element.copy_from_slice(&f16_from_f32(bits).to_le_bytes()),
            _ => element.copy_from_slice(&bits.to_le_bytes()),
        }
    }
}

/// Reads a name in either case, PyTorch's longer names included.
impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let short = match lower.as_str() {
            "float32" | "float" => "f32",
            "bfloat16" => "bf16",
            "float16" | "half" => "f16",
            "float64" | "double" => "f64",
            other => other,
        };
        Dtype::ALL
            .into_iter()
            .find(|dtype| dtype.name() == short)
            .ok_or_else(|| Error::unknown("dtype", text, Dtype::ALL.map(Dtype::name)))
    }
}

/// The bf16 nearest to an f32, ties to even; bits in, bits out.
#[inline(always)]
pub const fn bf16_from_f32(bits: u32) -> u16 {
    if bits & 0x7FFF_FFFF > 0x7F80_0000 {
        // Rounding could carry a NaN into an infinity, so it is made quiet instead.
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}

/// The f16 nearest to an f32, ties to even, subnormals included; bits in, bits out.
#[inline(always)]
pub const fn f16_from_f32(bits: u32) -> u16 {
    let sign = (bits >> 16) & 0x8000;
    let size = bits & 0x7FFF_FFFF;
    let exponent = size >> 23;
    let rounded = if size > 0x7F80_0000 {
        0x7E00
    } else if exponent >= 113 {
        // 2^-14 and up: the exponent's bias falls from 127 to 15, 13 bits of fraction go.
        let rebased = size - (112 << 23);
        let rounded = (rebased + 0xFFF + ((rebased >> 13) & 1)) >> 13;
        if rounded < 0x7C00 { rounded } else { 0x7C00 }
    } else {
        // Units of 2^-24. From 26 places on, nothing but zero is left.
        let significand = (size & 0x7F_FFFF) | 0x80_0000;
        let places = if exponent > 100 { 126 - exponent } else { 26 };
        let odd = (significand >> places) & 1;
        (significand + (1 << (places - 1)) - 1 + odd) >> places
    };
    (sign | rounded) as u16
}

/// The value of an f16.
#[inline(always)]
pub const fn f32_from_f16(bits: u16) -> f32 {
    let sign = ((bits & 0x8000) as u32) << 16;
    let size = (bits & 0x7FFF) as u32;
    let magnitude = match size >> 10 {
        // Subnormals are whole units of 2^-24.
        0 => size as f32 / 16_777_216.0,
        31 => f32::from_bits(0x7F80_0000 | (size & 0x3FF) << 13),
        _ => f32::from_bits((size << 13) + (112 << 23)),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}
