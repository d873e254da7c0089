// A step of the optimizer over a run of parameters at once. The arithmetic is PyTorch's.

struct Params {
    count: u32,
    weight_decay: f32,
    // Adam's betas; beta1 is SGD's momentum.
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    // What multiplies the step's learning rate.
    rate: f32,
}

// 0: SGD; 1: Adam; 2: AdamW. The codes are those of `Optimizer::code`.
override kind: u32 = 0u;
// SGD: 0 without momentum, 1 with it, 2 as Nesterov has it.
override momentum: u32 = 0u;
// Whether gradients are scaled to a norm that another kernel has found.
override clipped: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> gradients: array<f32>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> first: array<f32>;
@group(0) @binding(6) var<storage, read_write> second: array<f32>;

@compute @workgroup_size(WIDTH)
fn update_parameters(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.count {
        return;
    }
    var gradient = gradients[index];
    if clipped == 1u {
        gradient *= scale[0];
    }
    let lr = step.lr * params.rate;
    var parameter = parameters[index];
    if kind == 2u {
        parameter *= 1.0 - lr * params.weight_decay;
    } else {
        gradient += params.weight_decay * parameter;
    }
    if kind == 0u {
        if momentum != 0u {
            let velocity = params.beta1 * first[index] + gradient;
            first[index] = velocity;
            gradient = select(velocity, gradient + params.beta1 * velocity, momentum == 2u);
        }
        parameters[index] = parameter - lr * gradient;
        return;
    }
    let mean = params.beta1 * first[index] + params.rest1 * gradient;
    let square = params.beta2 * second[index] + params.rest2 * gradient * gradient;
    first[index] = mean;
    second[index] = square;
    let deviation = sqrt(square) * step.correction2 + params.epsilon;
    parameters[index] = parameter - (lr * step.correction1) * (mean / deviation);
}
