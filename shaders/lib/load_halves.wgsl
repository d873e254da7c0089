// A product's factors of 16 bits, four side by side at a time: rows, or columns, are whole quads.

alias Load = vec2<u32>;

fn four_of(load: Load) -> vec4<f32> {
    return vec4<f32>(unpack_pair(dtype, load.x), unpack_pair(dtype, load.y));
}

fn left_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(a[at.x / 4u]);
}

fn right_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(b[at.x / 4u]);
}
