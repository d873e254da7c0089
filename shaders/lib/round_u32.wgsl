// A round of Philox in words of 32 bits. Needs multiply_wide, which a GPU with 64-bit integers does in
// one or two instructions: its compiler sees that the upper halves of the factors are 0.

alias Word = u32;

fn philox_round(c: array<Word, 4>, key: vec2<u32>) -> array<Word, 4> {
    let p0 = multiply_wide(c[0], 0xD2511F53u);
    let p1 = multiply_wide(c[2], 0xCD9E8D57u);
    return array<Word, 4>(p1.y ^ c[1] ^ key.x, p1.x, p0.y ^ c[3] ^ key.y, p0.x);
}
