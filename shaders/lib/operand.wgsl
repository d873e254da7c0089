// The factors of exact products, and their sums. A module that has this has the constants `significant`,
// `unfused` and `guarded`.

// 0 below 2^-51: so no product of two, and no sum of such, is subnormal. Infinities and NaN stay.
fn factors(x: vec4<f32>) -> vec4<f32> {
    if significant == 0u {
        return x;
    }
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7FFFFFFFu);
    var kept = bits;
    if significant == 12u {
        let even = bits + vec4<u32>(0x7FFu) + ((bits >> vec4<u32>(12u)) & vec4<u32>(1u));
        kept = select(even & vec4<u32>(0xFFFFF000u), bits, size >= vec4<u32>(0x7F800000u));
    }
    return bitcast<vec4<f32>>(select(kept, vec4<u32>(0u), size < vec4<u32>(76u << 23u)));
}

fn factor(x: f32) -> f32 {
    return factors(vec4<f32>(x)).x;
}

// sum + a * b.
fn added(sum: vec4<f32>, a: f32, b: vec4<f32>) -> vec4<f32> {
    if unfused == 0u && guarded == 0u {
        return sum + a * b;
    }
    var product = a * b;
    if unfused == 1u {
        product = hidden_four(product);
    }
    if guarded == 1u {
        return hidden_four(sum + product);
    }
    return sum + product;
}
