// Four floats of 16 bits side by side.

alias Four = vec2<u32>;

fn four_of(four: Four) -> vec4<f32> {
    return vec4<f32>(unpack_pair(dtype, four.x), unpack_pair(dtype, four.y));
}
