// Elementary functions of f32 from additions, products and quotients: the built-in ones are loose,
// differ from driver to driver, and break far out (`tanh(200)` is NaN on two). src/cpu/math.rs is
// the twin, with the bounds. Nothing here relies on infinities or NaN on the way: arguments are cut
// first. Subnormal arguments and results may be flushed to 0. A quotient may be 2.5 ulp off, and one
// by a constant is a product on GPUs: what has to be exact, or inside its bounds, is so without its
// rounding. 0 by anything is 0. In the exact arithmetic (lib/exact.wgsl) every operation is the twin's.

// The nearest whole number of a number below 2^22 in size; others stay. Halves go to the even one, in a
// device's own arithmetic up.
fn nearest(x: f32) -> f32 {
    if exact == 0u {
        return floor(x + 0.5);
    }
    let whole = hidden(x + 12582912.0) - 12582912.0;
    return select(x, whole, abs(x) < 4194304.0);
}

// `(s, m)` with `exp(x) = s * (1 + m)`, s a power of 2 and m in sqrt(1/2) - 1 .. sqrt(2) - 1, for x
// in -87..0. ln 2 in two parts, the first so short that its product is exact, fused or not.
fn exp_split(x: f32) -> vec2<f32> {
    let power = nearest(hidden(x * 1.44269504));
    let r = hidden(x - hidden(power * 0.693359375)) + hidden(power * 2.12194440e-4);
    var p = 1.9875691500e-4;
    p = fit(p, r, 1.3981999507e-3);
    p = fit(p, r, 8.3334519073e-3);
    p = fit(p, r, 4.1665795894e-2);
    p = fit(p, r, 1.6666665459e-1);
    p = fit(p, r, 5.0000001201e-1);
    return vec2<f32>(bitcast<f32>(u32(i32(power) + 127) << 23u), fit(hidden(p * r), r, r));
}

// exp(x) of x <= 0; 0 where it would be below 1.6e-38.
fn exp_negative(x: f32) -> f32 {
    let split = exp_split(max(x, -87.0));
    return select(pin(split.x + pin(split.x * split.y)), 0.0, x < -87.0);
}

// exp(x) - 1 of x <= 0.
fn expm1_negative(x: f32) -> f32 {
    let split = exp_split(max(x, -87.0));
    return mad(split.x, split.y, pin(split.x - 1.0));
}

// ln(1 + w) of w in 0..1: twice the series of atanh at w / (2 + w), at most 1/3.
fn log1p_unit(w: f32) -> f32 {
    let t = quotient(w, 2.0 + w);
    let u = hidden(t * t);
    var p = 1.0 / 13.0;
    p = fit(p, u, 1.0 / 11.0);
    p = fit(p, u, 1.0 / 9.0);
    p = fit(p, u, 1.0 / 7.0);
    p = fit(p, u, 1.0 / 5.0);
    p = fit(p, u, 1.0 / 3.0);
    return pin(2.0 * (t + hidden(hidden(t * u) * p)));
}

fn tanh_of(x: f32) -> f32 {
    let size = min(abs(x), 15.0);
    let e = exp_negative(-2.0 * size);
    let far = 1.0 - quotient(pin(2.0 * e), 1.0 + e);
    let u = hidden(size * size);
    var p = -5.70498872745e-3;
    p = fit(p, u, 2.06390887954e-2);
    p = fit(p, u, -5.37397155531e-2);
    p = fit(p, u, 1.33314422036e-1);
    p = fit(p, u, -3.33332819422e-1);
    let near = size + hidden(hidden(size * u) * p);
    let value = select(far, near, size < 0.625);
    return select(value, -value, x < 0.0);
}

// exp(-|x|) / (1 + exp(-|x|)), the sigmoid left of 0: of the smaller exponential, so that none
// overflows and no digits cancel.
fn sigmoid_below(x: f32) -> f32 {
    let e = exp_negative(-abs(x));
    return quotient(e, 1.0 + e);
}

// 1 / (1 + exp(-x)): at most 1 however the quotient is rounded, and 1 far out.
fn sigmoid_of(x: f32) -> f32 {
    let below = sigmoid_below(x);
    return select(hidden(1.0 - below), below, x < 0.0);
}

// sigmoid(x) * sigmoid(-x), the slope of the sigmoid: at most 1/4.
fn sigmoid_slope(x: f32) -> f32 {
    let below = sigmoid_below(x);
    return pin(below * hidden(1.0 - below));
}

// The normal distribution function: half of Numerical Recipes' Chebyshev fit of erfc, good to 1.2e-7
// of its value, so that the far left keeps its digits too.
fn normal_below(x: f32) -> f32 {
    let size = min(abs(x), 20.0);
    let z = hidden(size * 0.70710678);
    let t = quotient(1.0, fit(0.5, z, 1.0));
    var p = 0.17087277;
    p = fit(p, t, -0.82215223);
    p = fit(p, t, 1.48851587);
    p = fit(p, t, -1.13520398);
    p = fit(p, t, 0.27886807);
    p = fit(p, t, -0.18628806);
    p = fit(p, t, 0.09678418);
    p = fit(p, t, 0.37409196);
    p = fit(p, t, 1.00002368);
    p = fit(p, t, -1.26551223);
    let half = hidden(0.5 * size * size);
    let tail = pin(0.5 * t * exp_negative(hidden(p - half)));
    return select(hidden(1.0 - tail), tail, x < 0.0);
}

// The normal density.
fn normal_density(x: f32) -> f32 {
    let size = min(abs(x), 20.0);
    return pin(0.39894228 * exp_negative(pin(pin(-0.5 * size) * size)));
}

// sin(r + half_turns * pi) of x = r + half_turns * pi, `whole` being half_turns rounded down. pi in four
// parts, the first three so short that their products with any half_turns here are exact, fused or not.
fn sin_reduced(x: f32, half_turns: f32, whole: f32) -> f32 {
    var r = pin(x - pin(half_turns * 3.140625));
    r = pin(r - pin(half_turns * 9.65118408203125e-4));
    r = pin(r - pin(half_turns * 2.5331974029541015625e-6));
    r = clamp(pin(r - pin(half_turns * 1.98418716e-9)), -1.5707964, 1.5707964);
    let u = pin(r * r);
    var p = -1.0 / 39916800.0;
    p = fit(p, u, 1.0 / 362880.0);
    p = fit(p, u, -1.0 / 5040.0);
    p = fit(p, u, 1.0 / 120.0);
    p = fit(p, u, -1.0 / 6.0);
    let value = pin(r + pin(pin(r * u) * p));
    var pairs = floor(whole * 0.5);
    if exact == 1u {
        pairs = nearest(mad(whole, 0.5, -0.25));
    }
    return select(value, -value, whole - pin(2.0 * pairs) != 0.0);
}

// `value`, and NaN where x is infinite.
fn unless_infinite(x: f32, value: f32) -> f32 {
    let infinite = (bitcast<u32>(x) & 0x7FFFFFFFu) == 0x7F800000u;
    return bitcast<f32>(select(bitcast<u32>(value), 0x7FC00000u, infinite));
}

// 1 / pi, rounded up, and in the exact arithmetic to the nearest.
fn inverse_pi() -> f32 {
    return select(0.31830989, 0.31830987, exact == 1u);
}

// sin(x), NaN of an infinity; some number in -1..1 beyond |x| = 32768, where the
// reduction's products are no longer exact and neighbouring f32s are 1/256 apart.
fn sin_of(x: f32) -> f32 {
    let whole = nearest(pin(x * inverse_pi()));
    return unless_infinite(x, sin_reduced(x, whole, whole));
}

// cos(x), as sin_of.
fn cos_of(x: f32) -> f32 {
    var whole = floor(x * inverse_pi());
    if exact == 1u {
        whole = nearest(mad(x, inverse_pi(), -0.5));
    }
    return unless_infinite(x, -sin_reduced(x, pin(whole + 0.5), whole));
}
