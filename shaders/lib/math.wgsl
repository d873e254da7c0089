// Elementary functions of f32 from additions, products and quotients: the built-in ones are loose,
// differ from driver to driver, and break far out (`tanh(200)` is NaN on two). src/cpu/math.rs is
// the twin, with the bounds. Nothing here relies on infinities or NaN on the way: arguments are cut
// first. Subnormal arguments and results may be flushed to 0. A quotient may be 2.5 ulp off, and one
// by a constant is a product on GPUs: what has to be exact, or inside its bounds, is so without its
// rounding. 0 by anything is 0.

// By the bits: drivers may take `x != x` for false.
fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7FFFFFFFu) > 0x7F800000u;
}

// `(s, m)` with `exp(x) = s * (1 + m)`, s a power of 2 and m in sqrt(1/2) - 1 .. sqrt(2) - 1, for x
// in -87..0. ln 2 in two parts, the first so short that its product is exact, fused or not.
fn exp_split(x: f32) -> vec2<f32> {
    let power = floor(x * 1.44269504 + 0.5);
    let r = (x - power * 0.693359375) + power * 2.12194440e-4;
    var p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    return vec2<f32>(bitcast<f32>(u32(i32(power) + 127) << 23u), p * r * r + r);
}

// exp(x) of x <= 0; 0 where it would be below 1.6e-38.
fn exp_negative(x: f32) -> f32 {
    let split = exp_split(max(x, -87.0));
    return select(split.x + split.x * split.y, 0.0, x < -87.0);
}

// exp(x) - 1 of x <= 0.
fn expm1_negative(x: f32) -> f32 {
    let split = exp_split(max(x, -87.0));
    return split.x * split.y + (split.x - 1.0);
}

// ln(1 + w) of w in 0..1: twice the series of atanh at w / (2 + w), at most 1/3.
fn log1p_unit(w: f32) -> f32 {
    let t = w / (2.0 + w);
    let u = t * t;
    var p = 1.0 / 13.0;
    p = p * u + 1.0 / 11.0;
    p = p * u + 1.0 / 9.0;
    p = p * u + 1.0 / 7.0;
    p = p * u + 1.0 / 5.0;
    p = p * u + 1.0 / 3.0;
    return 2.0 * (t + t * u * p);
}

fn tanh_of(x: f32) -> f32 {
    let size = min(abs(x), 15.0);
    let e = exp_negative(-2.0 * size);
    let far = 1.0 - 2.0 * e / (1.0 + e);
    let u = size * size;
    var p = -5.70498872745e-3;
    p = p * u + 2.06390887954e-2;
    p = p * u - 5.37397155531e-2;
    p = p * u + 1.33314422036e-1;
    p = p * u - 3.33332819422e-1;
    let near = size + size * u * p;
    let value = select(far, near, size < 0.625);
    return select(value, -value, x < 0.0);
}

// exp(-|x|) / (1 + exp(-|x|)), the sigmoid left of 0: of the smaller exponential, so that none
// overflows and no digits cancel.
fn sigmoid_below(x: f32) -> f32 {
    let e = exp_negative(-abs(x));
    return e / (1.0 + e);
}

// 1 / (1 + exp(-x)): at most 1 however the quotient is rounded, and 1 far out.
fn sigmoid_of(x: f32) -> f32 {
    let below = sigmoid_below(x);
    return select(1.0 - below, below, x < 0.0);
}

// sigmoid(x) * sigmoid(-x), the slope of the sigmoid: at most 1/4.
fn sigmoid_slope(x: f32) -> f32 {
    let below = sigmoid_below(x);
    return below * (1.0 - below);
}

// The normal distribution function: half of Numerical Recipes' Chebyshev fit of erfc, good to 1.2e-7
// of its value, so that the far left keeps its digits too.
fn normal_below(x: f32) -> f32 {
    let size = min(abs(x), 20.0);
    let z = size * 0.70710678;
    let t = 1.0 / (1.0 + 0.5 * z);
    var p = 0.17087277;
    p = p * t - 0.82215223;
    p = p * t + 1.48851587;
    p = p * t - 1.13520398;
    p = p * t + 0.27886807;
    p = p * t - 0.18628806;
    p = p * t + 0.09678418;
    p = p * t + 0.37409196;
    p = p * t + 1.00002368;
    p = p * t - 1.26551223;
    let tail = 0.5 * t * exp_negative(p - 0.5 * size * size);
    return select(1.0 - tail, tail, x < 0.0);
}

// The normal density.
fn normal_density(x: f32) -> f32 {
    let size = min(abs(x), 20.0);
    return 0.39894228 * exp_negative(-0.5 * size * size);
}

// sin(r + half_turns * pi) of x = r + half_turns * pi. pi in four parts, the first three so short
// that their products with any half_turns here are exact, fused or not.
fn sin_reduced(x: f32, half_turns: f32) -> f32 {
    var r = x - half_turns * 3.140625;
    r = r - half_turns * 9.65118408203125e-4;
    r = r - half_turns * 2.5331974029541015625e-6;
    r = clamp(r - half_turns * 1.98418716e-9, -1.5707964, 1.5707964);
    let u = r * r;
    var p = -1.0 / 39916800.0;
    p = p * u + 1.0 / 362880.0;
    p = p * u - 1.0 / 5040.0;
    p = p * u + 1.0 / 120.0;
    p = p * u - 1.0 / 6.0;
    let value = r + r * u * p;
    let whole = floor(half_turns);
    return select(value, -value, whole - 2.0 * floor(whole * 0.5) != 0.0);
}

// `value`, and NaN where x is infinite.
fn unless_infinite(x: f32, value: f32) -> f32 {
    let infinite = (bitcast<u32>(x) & 0x7FFFFFFFu) == 0x7F800000u;
    return bitcast<f32>(select(bitcast<u32>(value), 0x7FC00000u, infinite));
}

// sin(x), NaN of an infinity; some number in -1..1 beyond |x| = 32768, where the
// reduction's products are no longer exact and neighbouring f32s are 1/256 apart.
fn sin_of(x: f32) -> f32 {
    return unless_infinite(x, sin_reduced(x, floor(x * 0.31830989 + 0.5)));
}

// cos(x), as sin_of.
fn cos_of(x: f32) -> f32 {
    return unless_infinite(x, -sin_reduced(x, floor(x * 0.31830989) + 0.5));
}
