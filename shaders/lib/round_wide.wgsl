// A round of Philox, and wide products, where there are 64-bit products of 32-bit words: what a GPU
// with SHADER_INT64 does in one or two instructions.

alias Word = u32;

// (low, high) words of a * b.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let product = u64(a) * u64(b);
    return vec2<u32>(u32(product), u32(product >> 32u));
}

fn philox_round(c: array<Word, 4>, key: vec2<u32>) -> array<Word, 4> {
    let p0 = multiply_wide(c[0], 0xD2511F53u);
    let p1 = multiply_wide(c[2], 0xCD9E8D57u);
    return array<Word, 4>(p1.y ^ c[1] ^ key.x, p1.x, p0.y ^ c[3] ^ key.y, p0.x);
}
