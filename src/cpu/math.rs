//! Elementary functions of f32 that the compiler makes vectors of: no calls, no branches. They are
//! the twins of `shaders/lib/math.wgsl`, in which the formulas are explained. Elementary results are kept as
//! `R` says: with [`Pinned`](super::rounding::Pinned) they are those of the contract of the exact
//! arithmetic, operation by operation. Where it makes no difference whether what is below 2^-125 is 0, as
//! beside a summand that is not small, there is nothing to keep.
//!
//! With `u = 2^-24`, the error of a rounding: [`exp_negative`] is within `4 u` of its value (the fit
//! takes one, the product, the sum and the rest one each), so [`sigmoid`] within `4 u` of 1, [`tanh`]
//! within `8 u`; [`normal_below`] within `4 u` (its fit takes two); [`sin`] within `4 u` (the series
//! takes one). Nonlinearities add a product or two: within `12 u`, and the kernels' bound of
//! `1e-6 max(1, |f|)`, `16 u`, leaves the quotients of a GPU their 2.5 ulp. Measured: at most 2e-7.

use super::rounding::Rounding;

/// `(s, m)` with `exp(x) = s (1 + m)`, for `x` in -87..0.
#[inline(always)]
fn exp_split(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let power = shifted - 12_582_912.0;
    let r = (x - power * 0.693_359_4) + power * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    (f32::from_bits(shifted.to_bits().wrapping_add(127) << 23), p * r * r + r)
}

/// `exp(x)` of `x <= 0`; 0 where it would be below 1.6e-38.
#[inline(always)]
pub(super) fn exp_negative<R: Rounding>(x: f32) -> f32 {
    let (scale, rest) = exp_split(x.max(-87.0));
    if x < -87.0 { 0.0 } else { R::pin(scale + R::pin(scale * rest)) }
}

/// `exp(x) - 1` of `x <= 0`.
#[inline(always)]
pub(super) fn expm1_negative<R: Rounding>(x: f32) -> f32 {
    let (scale, rest) = exp_split(x.max(-87.0));
    R::mad(scale, rest, R::pin(scale - 1.0))
}

/// `ln(1 + w)` of `w` in 0..1.
#[inline(always)]
pub(super) fn log1p_unit<R: Rounding>(w: f32) -> f32 {
    let t = R::pin(w / (2.0 + w));
    let u = t * t;
    let mut p = 1.0 / 13.0;
    p = p * u + 1.0 / 11.0;
    p = p * u + 1.0 / 9.0;
    p = p * u + 1.0 / 7.0;
    p = p * u + 1.0 / 5.0;
    p = p * u + 1.0 / 3.0;
    R::pin(2.0 * (t + t * u * p))
}

/// `ln(1 + x)` of `x >= 0`, from operations that are the same everywhere: beyond 1 that of the
/// significand, and `ln 2` for each power of 2.
#[inline(always)]
pub(super) fn log1p_exact<R: Rounding>(x: f32) -> f32 {
    if x <= 1.0 {
        return log1p_unit::<R>(x);
    }
    let sum = R::pin(1.0 + x);
    let power = (sum.to_bits() >> 23) as i32 - 127;
    let significand = f32::from_bits(sum.to_bits() & 0x7F_FFFF | 0x3F80_0000);
    let rest = log1p_unit::<R>(R::pin(significand - 1.0));
    R::mad(power as f32, std::f32::consts::LN_2, rest)
}

/// `tanh x`.
#[inline(always)]
pub(super) fn tanh<R: Rounding>(x: f32) -> f32 {
    let size = x.abs().min(15.0);
    let e = exp_negative::<R>(-2.0 * size);
    let far = 1.0 - R::pin(R::pin(2.0 * e) / (1.0 + e));
    let u = size * size;
    let mut p = -5.704_988_7e-3;
    p = p * u + 2.063_908_8e-2;
    p = p * u - 5.373_971_6e-2;
    p = p * u + 1.333_144_2e-1;
    p = p * u - 0.333_332_8;
    let near = size + size * u * p;
    let value = if size < 0.625 { near } else { far };
    if x < 0.0 { -value } else { value }
}

/// [`sigmoid`] of `-|x|`.
#[inline(always)]
fn sigmoid_below<R: Rounding>(x: f32) -> f32 {
    let e = exp_negative::<R>(-x.abs());
    R::pin(e / (1.0 + e))
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn sigmoid<R: Rounding>(x: f32) -> f32 {
    let below = sigmoid_below::<R>(x);
    if x < 0.0 { below } else { 1.0 - below }
}

/// The derivative of [`sigmoid`].
#[inline(always)]
pub(super) fn sigmoid_slope<R: Rounding>(x: f32) -> f32 {
    let below = sigmoid_below::<R>(x);
    R::pin(below * (1.0 - below))
}

/// The normal distribution function.
#[inline(always)]
pub(super) fn normal_below<R: Rounding>(x: f32) -> f32 {
    let size = x.abs().min(20.0);
    let z = size * std::f32::consts::FRAC_1_SQRT_2;
    let t = R::pin(1.0 / (1.0 + 0.5 * z));
    let mut p = 0.170_872_77;
    p = p * t - 0.822_152_23;
    p = p * t + 1.488_515_9;
    p = p * t - 1.135_204;
    p = p * t + 0.278_868_07;
    p = p * t - 0.186_288_06;
    p = p * t + 0.096_784_18;
    p = p * t + 0.374_091_96;
    p = p * t + 1.000_023_7;
    p = p * t - 1.265_512_2;
    let tail = R::pin(0.5 * t * exp_negative::<R>(p - 0.5 * size * size));
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The normal density.
#[inline(always)]
pub(super) fn normal_density<R: Rounding>(x: f32) -> f32 {
    let size = x.abs().min(20.0);
    R::pin(0.398_942_3 * exp_negative::<R>(-0.5 * size * size))
}

/// `sin(r + half_turns * pi)`, `r = x - half_turns * pi`.
#[inline(always)]
fn sin_reduced<R: Rounding>(x: f32, half_turns: f32, whole: f32) -> f32 {
    let r = R::pin(x - R::pin(half_turns * 3.140_625));
    let r = R::pin(r - R::pin(half_turns * 9.651_184e-4));
    let r = R::pin(r - R::pin(half_turns * 2.533_197_4e-6));
    let r = R::pin(r - R::pin(half_turns * 1.984_187_2e-9)).clamp(-1.570_796_4, 1.570_796_4);
    let u = R::pin(r * r);
    let mut p = -1.0 / 39_916_800.0;
    p = p * u + 1.0 / 362_880.0;
    p = p * u - 1.0 / 5040.0;
    p = p * u + 1.0 / 120.0;
    p = p * u - 1.0 / 6.0;
    let value = R::pin(r + R::pin(R::pin(r * u) * p));
    let even = R::pin(2.0 * nearest::<R>(R::mad(whole, 0.5, -0.25)));
    if whole - even != 0.0 { -value } else { value }
}

/// The nearest whole number, of numbers below 2^22 in size; others stay.
#[inline(always)]
fn nearest<R: Rounding>(x: f32) -> f32 {
    if x.abs() < 4_194_304.0 { (x + 12_582_912.0) - 12_582_912.0 } else { x }
}

/// `sin x`; NaN of an infinity; some number in -1..1 beyond `|x| = 32768`.
#[inline(always)]
pub(super) fn sin<R: Rounding>(x: f32) -> f32 {
    let whole = nearest::<R>(R::pin(x * std::f32::consts::FRAC_1_PI));
    sin_reduced::<R>(x, whole, whole)
}

/// `cos x`, as [`sin`].
#[inline(always)]
pub(super) fn cos<R: Rounding>(x: f32) -> f32 {
    let whole = nearest::<R>(R::mad(x, std::f32::consts::FRAC_1_PI, -0.5));
    -sin_reduced::<R>(x, R::pin(whole + 0.5), whole)
}
