// The ceilings: multiply-adds in registers, as many as there are, and streams that do nothing but
// write, read or copy.

struct Params {
    // No compiler can know what is added up.
    factor: f32,
    addend: f32,
    // The vec4s of a stream.
    groups: u32,
    // What is read never comes to this, which no compiler can know either.
    never: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> source: array<Four>;
@group(0) @binding(3) var<storage, read_write> target_groups: array<Four>;

const WIDTH = 64u;
const STEPS = 512u;
// vec4s of a stream that one invocation takes, WIDTH apart so that neighbours take neighbours; four at a
// time, since not every compiler unrolls a loop.
const TAKEN = 16u;

@compute @workgroup_size(WIDTH)
fn multiply_add(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    let x = vec4<f32>(params.factor);
    let y = vec4<f32>(params.addend);
    let start = vec4<f32>(f32(index), 1.0, 2.0, 3.0);
    // As many chains as hide the latency of one.
    var a = start;
    var b = start + 1.0;
    var c = start + 2.0;
    var d = start + 3.0;
    var e = start + 4.0;
    var f = start + 5.0;
    var g = start + 6.0;
    var h = start + 7.0;
    for (var step = 0u; step < STEPS; step += 1u) {
        a = fma(a, x, y);
        b = fma(b, x, y);
        c = fma(c, x, y);
        d = fma(d, x, y);
        e = fma(e, x, y);
        f = fma(f, x, y);
        g = fma(g, x, y);
        h = fma(h, x, y);
    }
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    out[index] = (sum.x + sum.y) + (sum.z + sum.w);
}

fn first_group(id: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    let index = grid_index(id, workgroups, WIDTH);
    return (index / WIDTH) * (WIDTH * TAKEN) + index % WIDTH;
}

// Streams are whole workgroups long.
@compute @workgroup_size(WIDTH)
fn write_stream(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let first = first_group(id, workgroups);
    if first >= params.groups {
        return;
    }
    let value = of_four(vec4<f32>(params.factor));
    for (var taken = 0u; taken < TAKEN; taken += 4u) {
        let group = first + taken * WIDTH;
        target_groups[group] = value;
        target_groups[group + WIDTH] = value;
        target_groups[group + 2u * WIDTH] = value;
        target_groups[group + 3u * WIDTH] = value;
    }
}

@compute @workgroup_size(WIDTH)
fn read_stream(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let first = first_group(id, workgroups);
    if first >= params.groups {
        return;
    }
    var all = vec4<u32>();
    for (var taken = 0u; taken < TAKEN; taken += 4u) {
        let group = first + taken * WIDTH;
        let a = source[group];
        let b = source[group + WIDTH];
        let c = source[group + 2u * WIDTH];
        let d = source[group + 3u * WIDTH];
        all ^= (bits_of(a) ^ bits_of(b)) ^ (bits_of(c) ^ bits_of(d));
    }
    // Else nothing of it would have to be read.
    if ((all.x ^ all.y) ^ (all.z ^ all.w)) == params.never {
        out[0] = params.factor;
    }
}

@compute @workgroup_size(WIDTH)
fn copy_stream(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let first = first_group(id, workgroups);
    if first >= params.groups {
        return;
    }
    for (var taken = 0u; taken < TAKEN; taken += 4u) {
        let group = first + taken * WIDTH;
        let a = source[group];
        let b = source[group + WIDTH];
        let c = source[group + 2u * WIDTH];
        let d = source[group + 3u * WIDTH];
        target_groups[group] = a;
        target_groups[group + WIDTH] = b;
        target_groups[group + 2u * WIDTH] = c;
        target_groups[group + 3u * WIDTH] = d;
    }
}

fn bits_of(four: Four) -> vec4<u32> {
    return bitcast<vec4<u32>>(four_of(four));
}
