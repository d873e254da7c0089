// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), where there are only 32-bit integers.

// (low, high) words of a * b, from four products of 16-bit halves: WGSL has no mulhi.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xFFFFu;
    let a_high = a >> 16u;
    let b_low = b & 0xFFFFu;
    let b_high = b >> 16u;
    // Neither sum overflows: (2^16 - 1)^2 + 2 (2^16 - 1) = 2^32 - 1.
    let middle = a_high * b_low + ((a_low * b_low) >> 16u);
    let carry = a_low * b_high + (middle & 0xFFFFu);
    return vec2<u32>(a * b, a_high * b_high + (middle >> 16u) + (carry >> 16u));
}

fn philox_round(c: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let p0 = multiply_wide(c.x, 0xD2511F53u);
    let p1 = multiply_wide(c.z, 0xCD9E8D57u);
    return vec4<u32>(p1.y ^ c.y ^ key.x, p1.x, p0.y ^ c.w ^ key.y, p0.x);
}

// Written out: a loop would be guarded by naga and counted by llvmpipe.
fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let weyl = vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    var c = philox_round(counter, key);
    c = philox_round(c, key + weyl);
    c = philox_round(c, key + 2u * weyl);
    c = philox_round(c, key + 3u * weyl);
    c = philox_round(c, key + 4u * weyl);
    c = philox_round(c, key + 5u * weyl);
    c = philox_round(c, key + 6u * weyl);
    c = philox_round(c, key + 7u * weyl);
    c = philox_round(c, key + 8u * weyl);
    return philox_round(c, key + 9u * weyl);
}
