// A product's factors, four side by side at a time: rows, or columns, are whole quads.

alias Load = Four;

fn left_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(a[at.x / 4u]);
}

fn right_four(at: vec4<u32>) -> vec4<f32> {
    return four_of(b[at.x / 4u]);
}
