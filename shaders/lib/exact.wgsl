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
    if exact == 0u {
        return x;
    }
    return bitcast<f32>(bitcast<u32>(x) ^ zero);
}

// a * b + c, where what is below 2^-125 makes no difference: of a c that is not small.
fn fit(a: f32, b: f32, c: f32) -> f32 {
    return hidden(a * b) + c;
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
    return i32(bits & 0x7FFFFFFFu) - 1 < 0x7F7FFFFF && (bits & 0x7FFFFFFFu) != 0u;
}

// a / b, kept. Without branches, both ways of which a driver of a CPU would go.
fn quotient(a: f32, b: f32) -> f32 {
    if exact == 0u {
        return a / b;
    }
    let of_a = bitcast<u32>(a);
    let of_b = bitcast<u32>(b);
    // Significands of 24 bits, the dividend's twice as large where it is the smaller one.
    let divisor = i32((of_b & 0x7FFFFFu) | 0x800000u);
    let significand = i32((of_a & 0x7FFFFFu) | 0x800000u);
    let twice = select(0, 1, significand < divisor);
    let dividend = significand << u32(twice);
    // In 2^23 .. 2^24, off by a few; what it is off by fits a word, whatever the words above it are.
    let inverse = 1.0 / f32(divisor);
    var whole = i32(f32(dividend) * inverse * 8388608.0);
    var rest = (dividend << 23u) - whole * divisor;
    let off = i32(floor(f32(rest) * inverse + 0.5));
    whole += off;
    rest = 2 * (rest - off * divisor);
    // No quotient of such numbers lies halfway.
    whole += select(0, 1, rest > divisor) - select(0, 1, rest < -divisor);
    let exponent = i32((of_a >> 23u) & 0xFFu) - i32((of_b >> 23u) & 0xFFu) + 127 - twice;
    let size = (exponent << 23u) + (whole - 0x800000);
    let large = select(size, 0x7F800000, exponent >= 255);
    let kept = select(large, 0, exponent < 0 || (size < 0x01000000 && exponent < 255));
    let bits = bitcast<u32>(kept) | select(0u, (of_a ^ of_b) & 0x80000000u, kept != 0);
    return select(pin(a / b), bitcast<f32>(bits), is_usual(of_a) && is_usual(of_b));
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
    // x = significand * 2^(2 half), in 1 .. 4, and as an integer in 2^46 .. 2^48.
    let exponent = bits >> 23u;
    let odd = (exponent & 1u) ^ 1u;
    let significand = i32((bits & 0x7FFFFFu) | 0x800000u) << odd;
    let close = sqrt(f32(significand) * 0x1p-23);
    var whole = i32(close * 8388608.0);
    // What the square is off by fits a word, whatever the words above it are.
    let rest = (significand << 23u) - whole * whole;
    whole += i32(floor(f32(rest) * (0x1p-24 / close) + 0.5));
    let off = (significand << 23u) - whole * whole;
    whole += select(0, 1, off > whole) - select(0, 1, off <= -whole);
    let size = (((exponent + 127u - odd) >> 1u) << 23u) + bitcast<u32>(whole - 0x800000);
    return select(x, bitcast<f32>(size), is_usual(bits));
}

fn root_four(x: vec4<f32>) -> vec4<f32> {
    if exact == 0u {
        return sqrt(x);
    }
    return vec4<f32>(root(x.x), root(x.y), root(x.z), root(x.w));
}
