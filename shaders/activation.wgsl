// A nonlinearity over a buffer, forward and backward. `*_groups` takes whole vec4s, `*_rest` the one
// to three elements after the last, which no vec4 binding reaches.

struct Params {
    // The vec4s of the bindings, or their elements for `*_rest`.
    begin: u32,
    end: u32,
    // Of leaky ReLU, ELU and the sine.
    parameter: f32,
    // 0, which no compiler knows.
    zero: u32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
// Of a product's factors, as in lib/operand.wgsl.
override significant: u32 = 0u;
// `Activation::code`.
override activation: u32 = 0u;

const WIDTH = 256u;
// vec4s that one invocation takes, WIDTH apart so that neighbours read neighbours.
const TAKEN = 4u;

@group(0) @binding(0) var<storage, read> x_groups: array<Four>;
@group(0) @binding(0) var<storage, read> x_words: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> out_groups: array<Four>;
@group(0) @binding(2) var<storage, read_write> out_words: array<f32>;
@group(0) @binding(3) var<storage, read> dy_groups: array<Four>;
@group(0) @binding(3) var<storage, read> dy_words: array<f32>;

fn value(x: f32) -> f32 {
    return activation_value(activation, params.parameter, x);
}

fn derivative(x: f32) -> f32 {
    return activation_derivative(activation, params.parameter, x);
}

fn first_group(index: u32) -> u32 {
    return params.begin + (index / WIDTH) * (WIDTH * TAKEN) + index % WIDTH;
}

@compute @workgroup_size(WIDTH)
fn activate_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let first = first_group(grid_index(id, workgroups, WIDTH));
    for (var taken = 0u; taken < TAKEN; taken++) {
        let group = first + taken * WIDTH;
        if group >= params.end {
            return;
        }
        let x = four_of(x_groups[group]);
        out_groups[group] = of_four(vec4<f32>(value(x.x), value(x.y), value(x.z), value(x.w)));
    }
}

@compute @workgroup_size(WIDTH)
fn activate_rest(@builtin(global_invocation_id) id: vec3<u32>) {
    zero = params.zero;
    let element = params.begin + id.x;
    if element < params.end {
        out_words[element] = value(x_words[element]);
    }
}

// The factors of an exact product, each once: a driver of a CPU would round them again and again where lanes
// share rows.
@compute @workgroup_size(WIDTH)
fn factors_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let first = first_group(grid_index(id, workgroups, WIDTH));
    for (var taken = 0u; taken < TAKEN; taken++) {
        let group = first + taken * WIDTH;
        if group >= params.end {
            return;
        }
        out_groups[group] = of_four(factors(four_of(x_groups[group])));
    }
}

@compute @workgroup_size(WIDTH)
fn factors_rest(@builtin(global_invocation_id) id: vec3<u32>) {
    zero = params.zero;
    let element = params.begin + id.x;
    if element < params.end {
        out_words[element] = factor(x_words[element]);
    }
}

@compute @workgroup_size(WIDTH)
fn activate_backward_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let first = first_group(grid_index(id, workgroups, WIDTH));
    for (var taken = 0u; taken < TAKEN; taken++) {
        let group = first + taken * WIDTH;
        if group >= params.end {
            return;
        }
        let x = four_of(x_groups[group]);
        let slope = vec4<f32>(derivative(x.x), derivative(x.y), derivative(x.z), derivative(x.w));
        out_groups[group] = of_four(pin_four(four_of(dy_groups[group]) * slope));
    }
}

@compute @workgroup_size(WIDTH)
fn activate_backward_rest(@builtin(global_invocation_id) id: vec3<u32>) {
    zero = params.zero;
    let element = params.begin + id.x;
    if element < params.end {
        out_words[element] = pin(dy_words[element] * derivative(x_words[element]));
    }
}
