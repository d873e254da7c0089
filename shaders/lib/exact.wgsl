// Arithmetic whose results no driver decides: that of the contract (src/op/arithmetic.md). Where `exact`
// is 0, each function is what its name says in the device's own arithmetic.
//
// Sums and products are rounded alike everywhere, but a compiler may fuse them, regroup sums, or take a
// factor out of them: so each passes an integer that it cannot see through. What is smaller than 2^-125
// is 0, since devices may lack subnormals. Quotients and roots are close, and made right by integers.
// A module that has this has the constant `exact`, and its entries set `zero`.

// 0, which no compiler knows: an entry sets it from its parameters.
var<private> zero: u32;

// What went into a number, as it is.
fn hidden(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ zero);
}

fn hidden_four(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(zero));
}

// A sum, a difference or a product, as it is kept.
fn pin(x: f32) -> f32 {
    if exact == 0u {
        return x;
    }
    let bits = bitcast<u32>(x) ^ zero;
    return bitcast<f32>(select(bits, 0u, (bits & 0x7F000000u) == 0u));
}

fn pin_four(x: vec4<f32>) -> vec4<f32> {
    if exact == 0u {
        return x;
    }
    let bits = bitcast<vec4<u32>>(x) ^ vec4<u32>(zero);
    let none = (bits & vec4<u32>(0x7F000000u)) == vec4<u32>(0u);
    return bitcast<vec4<f32>>(select(bits, vec4<u32>(0u), none));
}

// a * b + c, each kept.
fn mad(a: f32, b: f32, c: f32) -> f32 {
    return pin(pin(a * b) + c);
}

fn mad_four(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> vec4<f32> {
    return pin_four(pin_four(a * b) + c);
}

// Whether a number is neither 0 nor beyond what is finite.
fn is_usual(bits: u32) -> bool {
    let size = bits & 0x7FFFFFFFu;
    return size - 1u < 0x7F7FFFFFu;
}

// a / b, kept.
fn quotient(a: f32, b: f32) -> f32 {
    if exact == 0u {
        return a / b;
    }
    let of_a = bitcast<u32>(a);
    let of_b = bitcast<u32>(b);
    if !(is_usual(of_a) && is_usual(of_b)) {
        return pin(a / b);
    }
    // Significands of 24 bits, the dividend's twice as large where it is the smaller one.
    let divisor = (of_b & 0x7FFFFFu) | 0x800000u;
    let significand = (of_a & 0x7FFFFFu) | 0x800000u;
    let twice = u32(significand < divisor);
    let dividend = significand << twice;
    // In 2^23 .. 2^24, off by a few; what it is off by fits a word, whatever the words above it are.
    let close = f32(dividend) / f32(divisor);
    var whole = u32(close * 8388608.0);
    var rest = bitcast<i32>((dividend << 23u) - whole * divisor);
    let off = i32(round(f32(rest) / f32(divisor)));
    whole += bitcast<u32>(off);
    rest -= off * i32(divisor);
    // No quotient of such numbers lies halfway.
    if 2 * rest > i32(divisor) {
        whole += 1u;
    }
    if 2 * rest < -i32(divisor) {
        whole -= 1u;
    }
    let exponent = i32((of_a >> 23u) & 0xFFu) - i32((of_b >> 23u) & 0xFFu) + 127 - i32(twice);
    let size = (exponent << 23u) + bitcast<i32>(whole - 0x800000u);
    let sign = (of_a ^ of_b) & 0x80000000u;
    if exponent >= 255 {
        return bitcast<f32>(sign | 0x7F800000u);
    }
    return bitcast<f32>(select(sign | bitcast<u32>(size), 0u, exponent < 0 || size < 0x01000000));
}

fn quotient_four(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if exact == 0u {
        return a / b;
    }
    return vec4<f32>(
        quotient(a.x, b.x),
        quotient(a.y, b.y),
        quotient(a.z, b.z),
        quotient(a.w, b.w),
    );
}

// sqrt(x) of x >= 0, kept.
fn root(x: f32) -> f32 {
    if exact == 0u {
        return sqrt(x);
    }
    let bits = bitcast<u32>(x);
    if !is_usual(bits) {
        return x;
    }
    // x = significand * 2^(2 half), in 1 .. 4, and as an integer in 2^46 .. 2^48.
    let exponent = bits >> 23u;
    let odd = (exponent & 1u) ^ 1u;
    let significand = ((bits & 0x7FFFFFu) | 0x800000u) << odd;
    let close = sqrt(f32(significand) * 0x1p-23);
    var whole = u32(close * 8388608.0);
    // What the square is off by fits a word, whatever the words above it are.
    var rest = bitcast<i32>((significand << 23u) - whole * whole);
    whole += bitcast<u32>(i32(round(f32(rest) / f32(2u * whole))));
    rest = bitcast<i32>((significand << 23u) - whole * whole);
    if rest > i32(whole) {
        whole += 1u;
    } else if rest <= -i32(whole) {
        whole -= 1u;
    }
    return bitcast<f32>((((exponent + 127u - odd) >> 1u) << 23u) + (whole - 0x800000u));
}

fn root_four(x: vec4<f32>) -> vec4<f32> {
    if exact == 0u {
        return sqrt(x);
    }
    return vec4<f32>(root(x.x), root(x.y), root(x.z), root(x.w));
}
