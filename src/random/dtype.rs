use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The type of a tensor's elements, as safetensors names them.
///
/// Samples come as floats, [`Dtype::SAMPLED`], each a rounding of the same f32, or that f32 itself with
/// more places; raw words as [`U32`](Dtype::U32); the others hold constants only (a counter of batches, a
/// mask).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary16.
    F16,
    /// An 8-bit float of 4 bits of exponent and 3 of fraction (Micikevicius et al. 2022; PyTorch's
    /// `float8_e4m3fn`): whole multiples of 2^-9 up to 448, NaN, and no infinity.
    F8E4M3,
    /// An 8-bit float of 5 bits of exponent and 2 of fraction (PyTorch's `float8_e5m2`): the upper half of
    /// a binary16, whole multiples of 2^-16 up to 57344.
    F8E5M2,
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
    pub const ALL: [Dtype; 15] = [
        Dtype::F32,
        Dtype::Bf16,
        Dtype::F16,
        Dtype::F8E4M3,
        Dtype::F8E5M2,
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

    /// The dtypes that samples come in: the floats.
    pub const SAMPLED: [Dtype; 6] =
        [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F64];

    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
            Dtype::Bf16 | Dtype::F16 | Dtype::I16 | Dtype::U16 => 2,
            Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// The name in lower case, as recipes and the command line write it.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
            Dtype::F8E4M3 => "f8_e4m3",
            Dtype::F8E5M2 => "f8_e5m2",
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
    /// finite. f64 takes `value` as it is; other floating dtypes take the f32 nearest to it, then round
    /// that, as samples do, and it is an error where that gives no finite number.
    pub fn constant(self, value: f64) -> Result<Vec<u8>> {
        let exact = |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&value);
        let bits = (value as f32).to_bits();
        Ok(match self {
            Dtype::F64 if value.is_finite() => value.to_le_bytes().to_vec(),
            Dtype::F32 | Dtype::Bf16 | Dtype::F16 | Dtype::F8E4M3 | Dtype::F8E5M2
                if self.holds(bits) =>
            {
                let mut element = vec![0; self.size()];
                self.store(bits, &mut element);
                element
            }
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
            Dtype::F8E4M3 => element.copy_from_slice(&[f8_e4m3_from_f32(bits)]),
            Dtype::F8E5M2 => element.copy_from_slice(&[f8_e5m2_from_f32(bits)]),
            Dtype::F64 => element.copy_from_slice(&f64_from_f32(bits).to_le_bytes()),
            _ => element.copy_from_slice(&bits.to_le_bytes()),
        }
    }

    /// The value of the float that `bytes` begin with: the other way round.
    pub(crate) fn load(self, bytes: &[u8]) -> f64 {
        fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Dtype::F64 => f64::from_le_bytes(first(bytes)),
            Dtype::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes(first(bytes))) << 16).into(),
            Dtype::F16 => f32_from_f16(u16::from_le_bytes(first(bytes))).into(),
            Dtype::F8E4M3 => f32_from_f8_e4m3(first::<1>(bytes)[0]).into(),
            Dtype::F8E5M2 => f32_from_f8_e5m2(first::<1>(bytes)[0]).into(),
            _ => f32::from_le_bytes(first(bytes)).into(),
        }
    }

    /// Whether an f32 is a finite number still once it has been rounded.
    pub(crate) fn holds(self, bits: u32) -> bool {
        f32::from_bits(bits).is_finite()
            && match self {
                Dtype::Bf16 => bf16_from_f32(bits) & 0x7F80 != 0x7F80,
                Dtype::F16 => f16_from_f32(bits) & 0x7C00 != 0x7C00,
                Dtype::F8E4M3 => f8_e4m3_from_f32(bits) & 0x7F != 0x7F,
                Dtype::F8E5M2 => f8_e5m2_from_f32(bits) & 0x7C != 0x7C,
                _ => true,
            }
    }

    /// The names of those that samples come in, as messages list them.
    pub(crate) fn sampled() -> String {
        Dtype::SAMPLED.map(Dtype::name).join(", ")
    }

    /// The largest finite number of a float of at most 32 bits.
    pub(crate) fn largest(self) -> f32 {
        match self {
            Dtype::Bf16 => f32::from_bits(0x7F7F_0000),
            Dtype::F16 => 65_504.0,
            Dtype::F8E4M3 => 448.0,
            Dtype::F8E5M2 => 57_344.0,
            _ => f32::MAX,
        }
    }
}

/// Reads a name in either case, those of PyTorch and others included.
impl FromStr for Dtype {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.to_ascii_lowercase();
        let short = match lower.as_str() {
            "float32" | "float" => "f32",
            "bfloat16" => "bf16",
            "float16" | "half" => "f16",
            "float64" | "double" => "f64",
            "f8e4m3" | "f8_e4m3fn" | "fp8_e4m3" | "fp8_e4m3fn" | "float8_e4m3fn" | "e4m3fn" => {
                "f8_e4m3"
            }
            "f8e5m2" | "fp8_e5m2" | "float8_e5m2" | "e5m2" => "f8_e5m2",
            "f8" | "fp8" | "float8" => {
                let needed = "one of the two: f8_e4m3, the finer, or f8_e5m2, of a wider range";
                return Err(Error::invalid("dtype", text, needed));
            }
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
    let size = rounded_size(bits, Small { bias: 15, fraction: 10, end: 0x7C00, nan: 0x7E00 });
    ((bits >> 16) & 0x8000 | size) as u16
}

/// The [`F8E4M3`](Dtype::F8E4M3) nearest to an f32, ties to even, subnormals included; bits in, bits out.
/// Beyond 464, which rounds to 448, there is only NaN, as in PyTorch up to 2.11 and in `ml_dtypes`;
/// others give 448 there.
#[inline(always)]
pub const fn f8_e4m3_from_f32(bits: u32) -> u8 {
    let size = rounded_size(bits, Small { bias: 7, fraction: 3, end: 0x7F, nan: 0x7F });
    ((bits >> 24) & 0x80 | size) as u8
}

/// The [`F8E5M2`](Dtype::F8E5M2) nearest to an f32, ties to even, subnormals included; bits in, bits out.
/// From 61440 on it is an infinity.
#[inline(always)]
pub const fn f8_e5m2_from_f32(bits: u32) -> u8 {
    let size = rounded_size(bits, Small { bias: 15, fraction: 2, end: 0x7C, nan: 0x7F });
    ((bits >> 24) & 0x80 | size) as u8
}

/// A float shorter than 32 bits, without its sign.
struct Small {
    bias: u32,
    /// Bits of fraction.
    fraction: u32,
    /// What follows the largest finite number.
    end: u32,
    nan: u32,
}

#[inline(always)]
const fn rounded_size(bits: u32, small: Small) -> u32 {
    let size = bits & 0x7FFF_FFFF;
    let exponent = size >> 23;
    let (rebias, drop) = (127 - small.bias, 23 - small.fraction);
    if size > 0x7F80_0000 {
        small.nan
    } else if exponent > rebias {
        // The exponent's bias falls from 127, and the fraction loses its last bits.
        let rebased = size - (rebias << 23);
        let rounded = (rebased + (1 << (drop - 1)) - 1 + ((rebased >> drop) & 1)) >> drop;
        if rounded < small.end { rounded } else { small.end }
    } else {
        // Units of the smallest subnormal. From 26 places on, nothing but zero is left.
        let significand = (size & 0x7F_FFFF) | 0x80_0000;
        let places = rebias + 1 + drop - exponent;
        let places = if places < 26 { places } else { 26 };
        let odd = (significand >> places) & 1;
        (significand + (1 << (places - 1)) - 1 + odd) >> places
    }
}

/// The f64 that an f32 is, exactly; bits in, bits out.
#[inline(always)]
pub const fn f64_from_f32(bits: u32) -> u64 {
    (f32::from_bits(bits) as f64).to_bits()
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

/// The value of an [`F8E4M3`](Dtype::F8E4M3).
#[inline(always)]
pub const fn f32_from_f8_e4m3(bits: u8) -> f32 {
    let sign = ((bits & 0x80) as u32) << 24;
    let size = (bits & 0x7F) as u32;
    let magnitude = match size {
        // Subnormals are whole units of 2^-9.
        0..8 => size as f32 / 512.0,
        0x7F => f32::NAN,
        _ => f32::from_bits((size << 20) + (120 << 23)),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

/// The value of an [`F8E5M2`](Dtype::F8E5M2).
#[inline(always)]
pub const fn f32_from_f8_e5m2(bits: u8) -> f32 {
    f32_from_f16((bits as u16) << 8)
}
