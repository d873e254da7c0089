use super::{Dtype, Stream, quantile};
use crate::{Error, Result};

/// What a tensor's elements are drawn from.
///
/// The parameters are exact (f64); the value of element `i` follows from them and from the word of
/// element `i` as the table of [`random`](crate::random) says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// The 32-bit words themselves, as u32: for statistical batteries and other programs.
    Words,
    /// One value everywhere, rounded to f32 and then to the dtype; in f64 the value itself.
    Constant {
        /// The value.
        value: f64,
    },
    /// Uniform between `low` and `high`.
    ///
    /// With `low = -high` the open interval `(-high, high)`, odd multiples of `high * 2^-23`:
    /// symmetric, and never 0. Otherwise `low + k * (high - low) * 2^-24`, `k` in `0..2^24`: the
    /// half-open interval `[low, high)`, save that the f32 sum may round up to `high`; where the width
    /// is beyond f32, a symmetric one about the middle. In dtypes shorter than f32 the values nearest to
    /// an end round to it, and those nearest to 0 may round to 0: of `[0, 1)`, one in 4096 is 1 in f16,
    /// one in 512 in bf16, one in 32 in f8_e4m3 and one in 16 in f8_e5m2.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normal: `mean + std * z`, `z` the [quantile](crate::random::quantile) of the word.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Normal, cut to `[mean - cut * std, mean + cut * std]`, the ends included; `std` is that of the
    /// normal before the cut (the parent's, as in PyTorch's `trunc_normal_`).
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before the cut.
        std: f64,
        /// Half the interval, in units of `std`.
        cut: f64,
    },
}

impl Distribution {
    /// `(-bound, bound)`, uniform; see [`Distribution::Uniform`].
    pub const fn symmetric(bound: f64) -> Self {
        Distribution::Uniform { low: -bound, high: bound }
    }

    /// `N(0, std^2)`.
    pub const fn normal(std: f64) -> Self {
        Distribution::Normal { mean: 0.0, std }
    }

    /// `N(0, std^2)` cut at `cut` times `std` on either side.
    pub const fn truncated_normal(std: f64, cut: f64) -> Self {
        Distribution::TruncatedNormal { mean: 0.0, std, cut }
    }

    /// The expected value.
    pub fn mean(&self) -> f64 {
        match *self {
            Distribution::Words => (2f64.powi(32) - 1.0) / 2.0,
            Distribution::Constant { value } => value,
            Distribution::Uniform { low, high } => 0.5 * (low + high),
            Distribution::Normal { mean, .. } | Distribution::TruncatedNormal { mean, .. } => mean,
        }
    }

    /// The standard deviation: `(high - low) / sqrt 12` for a uniform; for a truncated normal
    /// `std * sqrt(1 - 2 c phi(c) / (2 Phi(c) - 1))`.
    pub fn std(&self) -> f64 {
        match *self {
            Distribution::Words => ((2f64.powi(64) - 1.0) / 12.0).sqrt(),
            Distribution::Constant { .. } => 0.0,
            Distribution::Uniform { low, high } => (high - low) / 12f64.sqrt(),
            Distribution::Normal { std, .. } => std,
            Distribution::TruncatedNormal { std, cut, .. } => std * truncated_std(cut),
        }
    }

    /// The value of element `index` of `stream`, as f32.
    ///
    /// # Errors
    /// As [`Distribution::check`].
    pub fn value(&self, stream: &Stream, index: u64) -> Result<f32> {
        Ok(f32::from_bits(Sampler::new(self)?.bits(stream.word(index))))
    }

    /// Elements `first..` of `stream` into `out`, in `dtype`, little-endian: the definition, one
    /// element after another. [`cpu::fill`](crate::cpu::fill) is its fast twin.
    ///
    /// # Errors
    /// As [`Distribution::check`] and [`Distribution::check_dtype`]; and [`Error::Invalid`] where
    /// `out` is no whole number of elements, or ends beyond the stream's 2^64.
    pub fn draw(&self, stream: &Stream, dtype: Dtype, first: u64, out: &mut [u8]) -> Result<()> {
        self.check_dtype(dtype)?;
        check_run(dtype, first, out)?;
        let sampler = Sampler::new(self)?;
        let constant = match self {
            Distribution::Constant { value } => Some(dtype.constant(*value)?),
            _ => None,
        };
        let (mut at, mut block) = (first, stream.block(first / 4));
        for slot in out.chunks_exact_mut(dtype.size()) {
            let bits = sampler.bits(block[(at % 4) as usize]);
            match &constant {
                Some(element) => slot.copy_from_slice(element),
                None => dtype.store(bits, slot),
            }
            // Past the last element it is not used again.
            at = at.wrapping_add(1);
            if at % 4 == 0 {
                block = stream.block(at / 4);
            }
        }
        Ok(())
    }

    /// The size of the value furthest from 0.
    fn extent(&self) -> Result<f32> {
        let sampler = Sampler::new(self)?;
        // A value rises with its word.
        let end = |word| f32::from_bits(sampler.bits(word)).abs();
        Ok(end(0).max(end(u32::MAX)))
    }

    /// Checks the parameters: finite, `std > 0`, `low < high`, `cut >= 0.01`, and within what every
    /// device computes alike.
    ///
    /// Devices may flush subnormal numbers to zero, so a distribution whose products or sums could
    /// be subnormal is refused: `std` from about 2.5e-32, `bound` from about 1e-31, a mean of 0 or of
    /// at least 2e-31 in size. All values are finite in f32, but the width of a uniform may be as
    /// large as twice f32's largest number.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the parameter.
    pub fn check(&self) -> Result<()> {
        Sampler::new(self).map(drop)
    }

    /// The same with its spread divided by `by`: the standard deviation of a normal, the half-width
    /// of a uniform about its middle. A constant has none.
    pub(crate) fn scaled_down(self, by: f64) -> Distribution {
        match self {
            Distribution::Words | Distribution::Constant { .. } => self,
            // Exactly symmetric still: the two kinds of uniform are drawn differently.
            Distribution::Uniform { low, high } if low == -high => {
                Distribution::symmetric(high / by)
            }
            Distribution::Uniform { low, high } => {
                let (middle, half) = (0.5 * (low + high), 0.5 * (high - low) / by);
                Distribution::Uniform { low: middle - half, high: middle + half }
            }
            Distribution::Normal { mean, std } => Distribution::Normal { mean, std: std / by },
            Distribution::TruncatedNormal { mean, std, cut } => {
                Distribution::TruncatedNormal { mean, std: std / by, cut }
            }
        }
    }

    /// Checks that this distribution comes in `dtype`: words as u32, samples as one of
    /// [`Dtype::SAMPLED`] in which all of them are finite, constants in whatever holds them.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what would do; and as [`Distribution::check`].
    pub fn check_dtype(&self, dtype: Dtype) -> Result<()> {
        let fits = match self {
            Distribution::Words => dtype == Dtype::U32,
            Distribution::Constant { value } => return dtype.constant(*value).map(drop),
            _ => Dtype::SAMPLED.contains(&dtype),
        };
        if fits {
            return match dtype {
                // What there is in f32 is there in these.
                Dtype::F32 | Dtype::F64 | Dtype::U32 => Ok(()),
                _ => check_extent(dtype, self.extent()?),
            };
        }
        let needed = match self {
            Distribution::Words => "u32".into(),
            _ => format!("one of {} (others hold constants only)", Dtype::sampled()),
        };
        Err(Error::invalid("dtype", dtype, needed))
    }
}

/// Checks that values of at most this size are finite in `dtype`.
pub(super) fn check_extent(dtype: Dtype, extent: f32) -> Result<()> {
    if dtype.holds(extent.to_bits()) {
        return Ok(());
    }
    let given = format!("{dtype}, for values up to {extent:.3e}");
    let needed = format!("values that round to at most {:e}", dtype.largest());
    Err(Error::invalid("dtype", given, needed))
}

/// Checks that a run is whole elements within the stream's 2^64.
pub(crate) fn check_run(dtype: Dtype, first: u64, out: &[u8]) -> Result<()> {
    if out.len().is_multiple_of(dtype.size()) {
        return check_end(first, (out.len() / dtype.size()) as u64);
    }
    let given = format!("{} bytes of {dtype}", out.len());
    Err(Error::invalid("run", given, "whole elements"))
}

/// Checks that a run of elements ends within the stream's 2^64: its last may be element 2^64 - 1.
pub(crate) fn check_end(first: u64, elements: u64) -> Result<()> {
    if first.checked_add(elements.saturating_sub(1)).is_some() {
        return Ok(());
    }
    let given = format!("{elements} elements from {first}");
    Err(Error::invalid("run", given, "an end within 2^64"))
}

/// `sqrt(1 - 2 c phi(c) / (2 Phi(c) - 1))`: what a cut at `c` leaves of the standard deviation.
fn truncated_std(cut: f64) -> f64 {
    let density = libm::exp(-0.5 * cut * cut) / (2.0 * std::f64::consts::PI).sqrt();
    let inside = libm::erf(cut * std::f64::consts::FRAC_1_SQRT_2);
    (1.0 - 2.0 * cut * density / inside).max(0.0).sqrt()
}

/// How a word becomes an integer. The discriminants are the shaders' kind codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// None: the word itself is the element.
    Words = 0,
    /// None: the shift alone is.
    Constant = 1,
    /// `word >> 8`.
    Unit = 2,
    /// `2 (word >> 9) + 1 - 2^23`.
    Symmetric = 3,
    /// The [quantile](quantile::fixed) of the word.
    Normal = 4,
    /// The quantile of a word inside the cut: `low_word + (word (2^32 - 2 low_word) >> 32)`.
    Truncated = 5,
}

/// A [`Distribution`] in the numbers that kernels work with, those of other programs too:
/// `f32(integer) * scale + shift`, each operation rounded by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// How a word becomes the integer.
    pub kind: Kind,
    /// What it is multiplied by.
    pub scale: f32,
    /// What is added.
    pub shift: f32,
    /// The first word whose quantile lies inside the cut; the last is its complement.
    pub low_word: u32,
}

impl Sampler {
    /// The numbers of a distribution.
    ///
    /// # Errors
    /// As [`Distribution::check`].
    pub fn new(distribution: &Distribution) -> Result<Self> {
        let plain = Sampler { kind: Kind::Words, scale: 0.0, shift: 0.0, low_word: 0 };
        match *distribution {
            Distribution::Words => Ok(plain),
            Distribution::Constant { value } => {
                let shift = value as f32;
                if !value.is_finite() || !shift.is_finite() {
                    return Err(Error::invalid("constant", value, "a finite f32"));
                }
                Ok(Sampler { kind: Kind::Constant, shift, ..plain })
            }
            Distribution::Uniform { low, high } => {
                if !(low.is_finite() && high.is_finite() && low < high) {
                    let given = format!("low {low}, high {high}");
                    return Err(Error::invalid("uniform", given, "finite low < high"));
                }
                if low == -high {
                    let sampler =
                        plain.scaled(Kind::Symmetric, "bound", high, 23, (1 << 23) - 1)?;
                    return sampler.shifted("low", 0.0, (1 << 23) - 1);
                }
                let (width, most) = (high - low, (1 << 24) - 1);
                if most as f32 * (width * 2f64.powi(-24)) as f32 == f32::INFINITY {
                    // As a symmetric one about the middle: no product is larger than half the width.
                    let (half, middle) = (0.5 * high - 0.5 * low, 0.5 * high + 0.5 * low);
                    let most = (1 << 23) - 1;
                    let sampler =
                        plain.scaled(Kind::Symmetric, "(high - low) / 2", half, 23, most)?;
                    return sampler.shifted("(high + low) / 2", middle, most);
                }
                plain.scaled(Kind::Unit, "high - low", width, 24, most)?.shifted("low", low, most)
            }
            Distribution::Normal { mean, std } => plain
                .scaled(Kind::Normal, "std", std, 21, quantile::REACH)?
                .shifted("mean", mean, quantile::REACH),
            Distribution::TruncatedNormal { mean, std, cut } => {
                if !(0.01..f64::INFINITY).contains(&cut) {
                    return Err(Error::invalid("cut", cut, "a finite number from 0.01"));
                }
                let low_word = first_word_inside(cut);
                // A cut beyond the reach takes nothing away.
                let kind = if low_word == 0 { Kind::Normal } else { Kind::Truncated };
                let sampler = plain.scaled(kind, "std", std, 21, quantile::REACH)?.shifted(
                    "mean",
                    mean,
                    quantile::REACH,
                )?;
                Ok(Sampler { low_word, ..sampler })
            }
        }
    }

    fn scaled(self, kind: Kind, what: &str, size: f64, fraction: i32, most: i32) -> Result<Self> {
        let scale = (size * 2f64.powi(-fraction)) as f32;
        if !(size > 0.0 && scale.is_normal() && (most as f32 * scale).is_finite()) {
            let (least, most) =
                (f64::from(f32::MIN_POSITIVE) * 2f64.powi(fraction), f32::MAX / most as f32);
            let most = f64::from(most) * 2f64.powi(fraction);
            return Err(Error::invalid(
                what,
                size,
                format!("a number from {least:.3e} to {most:.3e}"),
            ));
        }
        Ok(Sampler { kind, scale, ..self })
    }

    fn shifted(self, what: &str, shift: f64, most: i32) -> Result<Self> {
        let rounded = shift as f32;
        // A sum of a normal product and a shift this large is 0 or normal.
        let least = f32::MIN_POSITIVE * 2f32.powi(24);
        let fits = rounded == 0.0 && shift == 0.0 || rounded.abs() >= least;
        // The integers of a unit uniform are on one side of 0, the others' on both.
        let furthest = if self.kind == Kind::Unit { rounded } else { rounded.abs() };
        if !(fits && (most as f32 * self.scale + furthest).is_finite()) {
            let needed = format!("0, or a size from {least:.3e}, with a finite f32 sum");
            return Err(Error::invalid(what, shift, needed));
        }
        Ok(Sampler { shift: rounded, ..self })
    }

    /// The integer that a word stands for.
    #[inline(always)]
    pub(crate) fn integer(&self, kind: Kind, word: u32) -> i32 {
        match kind {
            Kind::Words | Kind::Constant => 0,
            Kind::Unit => (word >> 8) as i32,
            Kind::Symmetric => (2 * (word >> 9)) as i32 + 1 - (1 << 23),
            Kind::Normal => quantile::fixed(word),
            Kind::Truncated => {
                // 2^32 - 2 * low_word words lie inside; low_word > 0, so their number fits.
                let inside = (2 * self.low_word).wrapping_neg();
                let offset = (u64::from(word) * u64::from(inside)) >> 32;
                quantile::fixed(self.low_word + offset as u32)
            }
        }
    }

    /// The bits of the f32 (or of the word) that a word stands for; `kind` is `self.kind`, apart so
    /// that a caller can make it a constant of its loop.
    #[inline(always)]
    pub(crate) fn bits_as(&self, kind: Kind, word: u32) -> u32 {
        match kind {
            Kind::Words => word,
            Kind::Constant => self.shift.to_bits(),
            // Two roundings: Rust does not fuse.
            _ => (self.integer(kind, word) as f32 * self.scale + self.shift).to_bits(),
        }
    }

    pub(crate) fn bits(&self, word: u32) -> u32 {
        self.bits_as(self.kind, word)
    }
}

/// The smallest word whose quantile is at least `-cut`, by bisection: the quantile is monotone.
fn first_word_inside(cut: f64) -> u32 {
    let inside = |word: u32| {
        f64::from(quantile::fixed(word)) >= -cut * f64::from(1u32 << quantile::FRACTIONAL_BITS)
    };
    let (mut low, mut high) = (0, 1u32 << 31);
    while low < high {
        let middle = low + (high - low) / 2;
        if inside(middle) { high = middle } else { low = middle + 1 }
    }
    low
}
