// A round of Philox where a device is a CPU with 64-bit integers: words stay in 64 bits from round to
// round, so that its vectors need no shuffles around the products.

alias Word = u64;

const LOW = 0xFFFFFFFFlu;

// Of a word only the lower half counts.
fn philox_round(c: array<Word, 4>, key: vec2<u32>) -> array<Word, 4> {
    let p0 = (c[0] & LOW) * 0xD2511F53lu;
    let p1 = (c[2] & LOW) * 0xCD9E8D57lu;
    return array<Word, 4>((p1 >> 32u) ^ c[1] ^ u64(key.x), p1, (p0 >> 32u) ^ c[3] ^ u64(key.y), p0);
}
