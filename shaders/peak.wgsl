// Multiply-adds in registers, as many as there are: the ceiling that products are held against.

struct Params {
    // No compiler can know what is added up.
    factor: f32,
    addend: f32,
    unused: vec2<u32>,
}

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

const WIDTH = 64u;
const STEPS = 512u;

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
