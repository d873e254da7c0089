//! Elementary functions of f32 that the compiler makes vectors of: no calls, no branches. They are
//! the twins of `shaders/lib/math.wgsl`, in which the formulas are explained.
//!
//! With `u = 2^-24`, the error of a rounding: [`exp_negative`] is within `4 u` of its value (the fit
//! takes one, the product, the sum and the rest one each), so [`sigmoid`] within `4 u` of 1, [`tanh`]
//! within `8 u`; [`normal_below`] within `4 u` (its fit takes two); [`sin`] within `4 u` (the series
//! takes one). Nonlinearities add a product or two: within `12 u`, and the kernels' bound of
//! `1e-6 max(1, |f|)`, `16 u`, leaves the quotients of a GPU their 2.5 ulp. Measured: at most 2e-7.

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
pub(super) fn exp_negative(x: f32) -> f32 {
    let (scale, rest) = exp_split(x.max(-87.0));
    if x < -87.0 { 0.0 } else { scale + scale * rest }
}

/// `exp(x) - 1` of `x <= 0`.
#[inline(always)]
pub(super) fn expm1_negative(x: f32) -> f32 {
    let (scale, rest) = exp_split(x.max(-87.0));
    scale * rest + (scale - 1.0)
}

/// `ln(1 + w)` of `w` in 0..1.
#[inline(always)]
pub(super) fn log1p_unit(w: f32) -> f32 {
    let t = w / (2.0 + w);
    let u = t * t;
    let mut p = 1.0 / 13.0;
    p = p * u + 1.0 / 11.0;
    p = p * u + 1.0 / 9.0;
    p = p * u + 1.0 / 7.0;
    p = p * u + 1.0 / 5.0;
    p = p * u + 1.0 / 3.0;
    2.0 * (t + t * u * p)
}

/// `tanh x`.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let size = x.abs().min(15.0);
    let e = exp_negative(-2.0 * size);
    let far = 1.0 - 2.0 * e / (1.0 + e);
    let u = size * size;
    let mut p = -5.704_988_7e-3;
    p = p * u + 2.063_908_8e-2;
    p = p * u - 5.373_971_6e-2;
    p = p * u + 1.333_144_2e-1;
    p = p * u - 0.333_332_8;
    let value = if size < 0.625 { size + size * u * p } else { far };
    if x < 0.0 { -value } else { value }
}

/// [`sigmoid`] of `-|x|`.
#[inline(always)]
fn sigmoid_below(x: f32) -> f32 {
    let e = exp_negative(-x.abs());
    e / (1.0 + e)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let below = sigmoid_below(x);
    if x < 0.0 { below } else { 1.0 - below }
}

/// The derivative of [`sigmoid`].
#[inline(always)]
pub(super) fn sigmoid_slope(x: f32) -> f32 {
    let below = sigmoid_below(x);
    below * (1.0 - below)
}

/// The normal distribution function.
#[inline(always)]
pub(super) fn normal_below(x: f32) -> f32 {
    let size = x.abs().min(20.0);
    let z = size * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
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
    let tail = 0.5 * t * exp_negative(p - 0.5 * size * size);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The normal density.
#[inline(always)]
pub(super) fn normal_density(x: f32) -> f32 {
    let size = x.abs().min(20.0);
    0.398_942_3 * exp_negative(-0.5 * size * size)
}

/// `sin(r + half_turns * pi)`, `r = x - half_turns * pi`.
#[inline(always)]
fn sin_reduced(x: f32, half_turns: f32, whole: f32) -> f32 {
    let r = x - half_turns * 3.140_625;
    let r = r - half_turns * 9.651_184e-4;
    let r = r - half_turns * 2.533_197_4e-6;
    let r = (r - half_turns * 1.984_187_2e-9).clamp(-1.570_796_4, 1.570_796_4);
    let u = r * r;
    let mut p = -1.0 / 39_916_800.0;
    p = p * u + 1.0 / 362_880.0;
    p = p * u - 1.0 / 5040.0;
    p = p * u + 1.0 / 120.0;
    p = p * u - 1.0 / 6.0;
    let value = r + r * u * p;
    if whole - 2.0 * nearest(whole * 0.5 - 0.25) != 0.0 { -value } else { value }
}

/// The nearest whole number, of numbers below 2^22 in size; others stay.
#[inline(always)]
fn nearest(x: f32) -> f32 {
    if x.abs() < 4_194_304.0 { (x + 12_582_912.0) - 12_582_912.0 } else { x }
}

/// `sin x`; NaN of an infinity; some number in -1..1 beyond `|x| = 32768`.
#[inline(always)]
pub(super) fn sin(x: f32) -> f32 {
    let whole = nearest(x * std::f32::consts::FRAC_1_PI);
    sin_reduced(x, whole, whole)
}

/// `cos x`, as [`sin`].
#[inline(always)]
pub(super) fn cos(x: f32) -> f32 {
    let whole = nearest(x * std::f32::consts::FRAC_1_PI - 0.5);
    -sin_reduced(x, whole + 0.5, whole)
}
