// As load_quads.wgsl, in 64-bit words: llvmpipe puts one word after another into its vectors, through
// memory, and the time of that does not depend on the word's width.

alias Load = vec2<u64>;

fn four_of(load: Load) -> vec4<f32> {
    let words = vec4<u32>(u32(load.x), u32(load.x >> 32u), u32(load.y), u32(load.y >> 32u));
    return bitcast<vec4<f32>>(words);
}

fn left_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(a[at.x / 4u]);
}

fn right_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(b[at.x / 4u]);
}
