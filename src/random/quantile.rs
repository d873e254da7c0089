//! The normal quantile: a word to a standard normal, by integer arithmetic alone.
//!
//! With `m = min(word, !word)` the tail probability is `p = (m + 1/2) / 2^32`, and the standard
//! normal is the quantile of `p`, negative where `word < 2^31`. Its size is found in
//! [`SEGMENTS`] pieces: the octave of `x = m + 32` is its leading bit, each octave has 32
//! segments, and within a segment a quadratic in the next 16 bits `t` gives the size in units of
//! 2^-21:
//!
//! ```text
//! size = base - ((slope * t + (curve * (t * (2^16 - t) >> 14) >> 9) + (round << 8)) >> 16)
//! ```
//!
//! The curve is carried by `t * (2^16 - t)`, which vanishes at both ends, so that within a segment
//! the sum rises with every step of `t` whenever `slope > curve / 128`: the quantile is monotone by
//! construction, and its generator (`examples/quantile_table.rs`) has only the joins to see to.
//!
//! Over all 2^32 words, enumerated by `cargo run --release --example enumerate_normal`:
//! largest error 6.03e-7 against the exact quantile, no step the wrong way, mean exactly 0,
//! variance - 1 = 6.0e-9, kurtosis - 3 = -4.1e-8, reach 6.338.

pub use super::table::{SEGMENTS, TABLE};

/// Fractional bits of the fixed-point standard normal.
pub const FRACTIONAL_BITS: u32 = 21;

/// The largest size there is: 6.338 standard deviations, that of the words 0 and 2^32 - 1.
pub const REACH: i32 = (TABLE[0][0] >> 8) as i32;

/// Fractional bits of `curve`: the product with the 16-bit parabola is shifted by these and 2 more.
pub const CURVE_SHIFT: u32 = 9;

/// The standard normal of `word`, in units of 2^-21.
///
/// It rises with the word, and `fixed(!word) == -fixed(word)` exactly.
#[inline(always)]
pub fn fixed(word: u32) -> i32 {
    let size = size(word.min(!word));
    if word >> 31 == 0 { -size } else { size }
}

/// The distance from 0 of the quantile of `p = (m + 1/2) / 2^32`, in units of 2^-21; `m < 2^31`.
#[inline(always)]
pub(crate) fn size(m: u32) -> i32 {
    let x = m + 32;
    let leading_zeros = x.leading_zeros();
    let y = x << leading_zeros;
    // The leading bit of y stands for the 32 that `(y >> 26)` is too large by.
    let segment = (25u32.wrapping_sub(leading_zeros)).wrapping_mul(32).wrapping_add(y >> 26);
    // The bound is never reached; it tells the compiler that no index needs a check, without which
    // it makes no vectors of this.
    evaluate(TABLE[(segment as usize).min(SEGMENTS - 1)], (y >> 10) & 0xFFFF)
}

/// One segment's quadratic at `t` in `0..2^16`.
#[inline(always)]
pub fn evaluate([base_round, slope_curve]: [u32; 2], t: u32) -> i32 {
    let parabola = (t * (0x1_0000 - t)) >> 14;
    let drop = (slope_curve & 0xFFFF) * t
        + (((slope_curve >> 16) * parabola) >> CURVE_SHIFT)
        + ((base_round & 0xFF) << 8);
    ((base_round >> 8) - (drop >> 16)) as i32
}

/// The exact size in f64, in standard deviations: the oracle of [`fixed`]'s magnitude, good to a
/// few units in the last place. `m` in `0.0..2^31`; for a word it is `min(word, !word)`.
///
/// Halley steps on `erfc` (or on `erf` near the middle, where `erfc` would lose digits), from the
/// rational start of Abramowitz and Stegun 26.2.23.
pub fn exact_size(m: f64) -> f64 {
    const WORDS: f64 = 4_294_967_296.0;
    let tail = (m + 0.5) / WORDS;
    let middle = (0.5 * WORDS - m - 0.5) / WORDS;
    let start = {
        let t = (-2.0 * libm::log(tail)).sqrt();
        t - (2.515517 + t * (0.802853 + t * 0.010328))
            / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    };
    // The start is off by at most 4.5e-4, and each Halley step cubes that.
    (0..3).fold(start, |z, _| {
        let root = z * std::f64::consts::FRAC_1_SQRT_2;
        let excess =
            if tail > 0.2 { middle - 0.5 * libm::erf(root) } else { 0.5 * libm::erfc(root) - tail };
        let density = libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt();
        let step = excess / density;
        z + step / (1.0 - 0.5 * z * step)
    })
}
