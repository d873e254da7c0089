// A product's factors of f32, four side by side at a time: rows, or columns, are whole quads.

alias Load = vec4<u32>;

fn left_four(at: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(a[at.x / 4u]);
}

fn right_four(at: vec4<u32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(b[at.x / 4u]);
}
