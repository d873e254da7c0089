// Wide products where there are 64-bit integers (SHADER_INT64).

// (low, high) words of a * b.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let product = u64(a) * u64(b);
    return vec2<u32>(u32(product), u32(product >> 32u));
}
