// A product's factors, a word at a time: any dtype, any shape.

alias Load = u32;

fn left(index: u32) -> f32 {
    return element_of(dtype, a[word_of(dtype, index)], index);
}

fn right(index: u32) -> f32 {
    return element_of(dtype, b[word_of(dtype, index)], index);
}

fn left_four(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(left(at.x), left(at.y), left(at.z), left(at.w));
}

fn right_four(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(right(at.x), right(at.y), right(at.z), right(at.w));
}
