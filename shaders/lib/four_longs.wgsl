// Four floats side by side, as 64-bit words: llvmpipe puts one word after another into its vectors,
// through memory, and the time of that does not depend on the word's width.

alias Four = vec2<u64>;

fn four_of(four: Four) -> vec4<f32> {
    let words = vec4<u32>(u32(four.x), u32(four.x >> 32u), u32(four.y), u32(four.y >> 32u));
    return bitcast<vec4<f32>>(words);
}

fn of_four(four: vec4<f32>) -> Four {
    let words = bitcast<vec4<u32>>(four);
    return vec2<u64>(
        u64(words.x) | (u64(words.y) << 32u),
        u64(words.z) | (u64(words.w) << 32u),
    );
}
