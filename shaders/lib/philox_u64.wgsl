// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), where the adapter has 64-bit integers: words
// stay in 64 bits from round to round, so that a CPU's vectors need no shuffles around the products.

// (low, high) words of a * b.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let product = u64(a) * u64(b);
    return vec2<u32>(u32(product), u32(product >> 32u));
}

const LOW = 0xFFFFFFFFlu;

// Of the counter only the lower halves count.
fn philox_round(c: array<u64, 4>, key: vec2<u32>) -> array<u64, 4> {
    let p0 = (c[0] & LOW) * 0xD2511F53lu;
    let p1 = (c[2] & LOW) * 0xCD9E8D57lu;
    return array<u64, 4>((p1 >> 32u) ^ c[1] ^ u64(key.x), p1, (p0 >> 32u) ^ c[3] ^ u64(key.y), p0);
}

// Written out: a loop would be guarded by naga and counted by llvmpipe.
fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let weyl = vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    let start = array<u64, 4>(u64(counter.x), u64(counter.y), u64(counter.z), u64(counter.w));
    var c = philox_round(start, key);
    c = philox_round(c, key + weyl);
    c = philox_round(c, key + 2u * weyl);
    c = philox_round(c, key + 3u * weyl);
    c = philox_round(c, key + 4u * weyl);
    c = philox_round(c, key + 5u * weyl);
    c = philox_round(c, key + 6u * weyl);
    c = philox_round(c, key + 7u * weyl);
    c = philox_round(c, key + 8u * weyl);
    c = philox_round(c, key + 9u * weyl);
    return vec4<u32>(u32(c[0]), u32(c[1]), u32(c[2]), u32(c[3]));
}
