// The normal quantile; src/random/quantile.rs explains it. The module that joins this one says where the
// table is: fn quantile_row(segment: u32) -> vec4<u32>, unpacked.

// A segment of the table, as the quantile reads it: the base, as the bits of a float, the round, the
// slope, the curve.
fn quantile_unpack(segment: vec2<u32>) -> vec4<u32> {
    let base = bitcast<u32>(f32(i32(segment.x >> 8u)));
    return vec4<u32>(base, (segment.x & 0xFFu) << 8u, segment.y & 0xFFFFu, segment.y >> 16u);
}

// The standard normal of a word, in units of 2^-21; rises with the word, and ~word gives its negative.
// The size is a difference of integers below 2^24, and so exact in a float too, which spares the
// conversion of its sign. A size of 0 is -0.0 on the negative side, where the integer has no sign: whoever
// takes this adds a 0.0 to it (sample_bits).
fn quantile(word: u32) -> f32 {
    let x = min(word, ~word) + 32u;
    let leading_zeros = countLeadingZeros(x);
    let y = x << leading_zeros;
    let row = quantile_row((25u - leading_zeros) * 32u + (y >> 26u));
    let t = (y >> 10u) & 0xFFFFu;
    let parabola = (t * (0x10000u - t)) >> 14u;
    let drop = row.z * t + row.y + ((row.w * parabola) >> 9u);
    let size = bitcast<f32>(row.x) - f32(i32(drop >> 16u));
    return bitcast<f32>(bitcast<u32>(size) ^ (~word & 0x80000000u));
}
