// The normal quantile in integers; src/random/quantile.rs explains it. The module that joins this
// one says where the table is: fn quantile_row(segment: u32) -> vec2<u32>.

// The standard normal of a word, in units of 2^-21; rises with the word, and ~word gives its negative.
fn quantile_fixed(word: u32) -> i32 {
    let x = min(word, ~word) + 32u;
    let leading_zeros = countLeadingZeros(x);
    let y = x << leading_zeros;
    let row = quantile_row((25u - leading_zeros) * 32u + (y >> 26u));
    let t = (y >> 10u) & 0xFFFFu;
    let parabola = (t * (0x10000u - t)) >> 14u;
    let drop = (row.y & 0xFFFFu) * t + (((row.y >> 16u) * parabola) >> 9u) + ((row.x & 0xFFu) << 8u);
    let size = i32((row.x >> 8u) - (drop >> 16u));
    return select(size, -size, word < 0x80000000u);
}
