// The words of four columns of a row, `group` of them on, at a step; `Dropout::words` is the twin.
fn dropout_words(
    row: u32,
    group: u32,
    columns: u32,
    step: u32,
    id: vec2<u32>,
    key: vec2<u32>,
) -> vec4<u32> {
    let block = row * ((columns + 3u) / 4u) + group;
    return philox4x32_10(vec4<u32>(block, step, id), key);
}
