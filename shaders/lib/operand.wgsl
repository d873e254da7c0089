// The factors of exact products. A module that has this has the constant `significant`.

// 0 below 2^-51: so no product of two, and no sum of such, is subnormal. With 1.5 * 2^12 times its power of two
// a number has 12 significant bits left, the last rounded to nearest even.
fn factors(x: vec4<f32>) -> vec4<f32> {
    if significant == 0u {
        return x;
    }
    var kept = x;
    if significant == 12u {
        let power = bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4<u32>(0x7F800000u));
        let away = power * 6144.0;
        kept = hidden_four(x + away) - away;
    }
    return select(kept, vec4<f32>(0.0), abs(x) < vec4<f32>(0x1p-51));
}

fn factor(x: f32) -> f32 {
    return factors(vec4<f32>(x)).x;
}
