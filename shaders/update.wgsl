// A step of the optimizer over a run of parameters at once. The arithmetic is PyTorch's.
// `update_groups` takes whole vec4s, `update_rest` the one to three elements after the last.

struct Params {
    // The vec4s to update, or the elements of `update_rest`.
    begin: u32,
    end: u32,
    weight_decay: f32,
    // How much stays of the first and of the second state: Adam's betas; beta1 is SGD's momentum and
    // RMSProp's alpha.
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    // What multiplies the step's learning rate.
    rate: f32,
    // 0, which no compiler knows.
    zero: u32,
}

// Each optimizer by its name, with its code, that of `Optimizer::code`.
const OPTIMIZER_SGD = 0u;
const OPTIMIZER_NESTEROV = 1u;
const OPTIMIZER_ADAM = 2u;
const OPTIMIZER_ADAMW = 3u;
const OPTIMIZER_RMSPROP = 4u;

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
override kind: u32 = 0u;
// How much of a state there is: SGD has none without momentum.
override moments: u32 = 0u;
// Whether gradients are scaled to a norm that another kernel has found.
override clipped: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> gradient_groups: array<Four>;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameter_groups: array<Four>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> first_groups: array<Four>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second_groups: array<Four>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;

// A parameter, and the optimizer's state of it.
struct Parameter {
    value: vec4<f32>,
    first: vec4<f32>,
    second: vec4<f32>,
}

// share * x + y.
fn mixed(share: f32, x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    return mad_four(vec4<f32>(share), x, y);
}

fn updated(before: Parameter, raw_gradient: vec4<f32>) -> Parameter {
    var after = before;
    var gradient = raw_gradient;
    if clipped == 1u {
        gradient = pin_four(gradient * scale[0]);
    }
    let lr = pin(step.lr * params.rate);
    if kind == OPTIMIZER_ADAMW {
        after.value = pin_four(after.value * pin(1.0 - pin(lr * params.weight_decay)));
    } else {
        gradient = pin_four(gradient + pin_four(params.weight_decay * before.value));
    }
    switch kind {
        case OPTIMIZER_NESTEROV: {
            after.first = mixed(params.beta1, before.first, gradient);
            let ahead = mixed(params.beta1, after.first, gradient);
            after.value = pin_four(after.value - pin_four(lr * ahead));
        }
        case OPTIMIZER_ADAM, OPTIMIZER_ADAMW: {
            let grown = pin_four(pin_four(params.rest2 * gradient) * gradient);
            after.first = mixed(params.beta1, before.first, pin_four(params.rest1 * gradient));
            after.second = mixed(params.beta2, before.second, grown);
            let deviation =
                mixed(step.correction2, root_four(after.second), vec4<f32>(params.epsilon));
            let along = quotient_four(after.first, deviation);
            after.value = pin_four(after.value - pin_four(pin(lr * step.correction1) * along));
        }
        case OPTIMIZER_RMSPROP: {
            let grown = pin_four(pin_four(params.rest1 * gradient) * gradient);
            after.first = mixed(params.beta1, before.first, grown);
            let along = quotient_four(gradient, pin_four(root_four(after.first) + params.epsilon));
            after.value = pin_four(after.value - pin_four(lr * along));
        }
        default: {
            after.first = mixed(params.beta1, before.first, gradient);
            let along = select(gradient, after.first, moments > 0u);
            after.value = pin_four(after.value - pin_four(lr * along));
        }
    }
    return after;
}

@compute @workgroup_size(WIDTH)
fn update_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = params.begin + grid_index(id, workgroups, WIDTH);
    if index >= params.end {
        return;
    }
    var before: Parameter;
    before.value = four_of(parameter_groups[index]);
    if moments > 0u {
        before.first = four_of(first_groups[index]);
    }
    if moments > 1u {
        before.second = four_of(second_groups[index]);
    }
    let after = updated(before, four_of(gradient_groups[index]));
    parameter_groups[index] = of_four(after.value);
    if moments > 0u {
        first_groups[index] = of_four(after.first);
    }
    if moments > 1u {
        second_groups[index] = of_four(after.second);
    }
}

@compute @workgroup_size(WIDTH)
fn update_rest(@builtin(global_invocation_id) id: vec3<u32>) {
    zero = params.zero;
    let index = params.begin + id.x;
    if index >= params.end {
        return;
    }
    var before: Parameter;
    before.value.x = parameters[index];
    if moments > 0u {
        before.first.x = first[index];
    }
    if moments > 1u {
        before.second.x = second[index];
    }
    let after = updated(before, vec4<f32>(gradients[index], 0.0, 0.0, 0.0));
    parameters[index] = after.value.x;
    if moments > 0u {
        first[index] = after.first.x;
    }
    if moments > 1u {
        second[index] = after.second.x;
    }
}
