// Convolution, an element at a time: for channels in groups, and where there is no memory for unfolded
// windows. Each element is a sum in one order.

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
// Significant bits that a product's factor is rounded to, by integers, where it is read: 12 or 24; 0 where it
// is as it is to be.
override significant: u32 = 0u;
override biased: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;

fn tap_of(y: u32, x: u32) -> u32 {
    return y * params.kernel[1] + x;
}

@compute @workgroup_size(WIDTH)
fn conv_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.batch * params.places[0] * params.places[1] * params.outputs {
        return;
    }
    let element = element_at(index, params.places, params.outputs);
    let first = element.channel / params.group_outputs * params.group_channels;
    let area = params.kernel[0] * params.kernel[1];
    let weights = element.channel * params.group_channels * area;
    var sum = 0.0;
    for (var y = 0u; y < params.kernel[0]; y++) {
        for (var x = 0u; x < params.kernel[1]; x++) {
            let at = source_of(element.at, vec2<u32>(y, x));
            if inside(at) {
                let pixel = pixel_of(element.image, at) + first;
                let tap = weights + tap_of(y, x);
                for (var channel = 0u; channel < params.group_channels; channel++) {
                    let own = factor(weight[tap + channel * area]);
                    sum = mad(own, factor(values[pixel + channel]), sum);
                }
            }
        }
    }
    if biased == 1u {
        sum = pin(sum + bias[element.channel]);
    }
    result[index] = sum;
}

// The gradient of the signal.
@compute @workgroup_size(WIDTH)
fn conv_input(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.batch * params.size[0] * params.size[1] * params.channels {
        return;
    }
    let element = element_at(index, params.size, params.channels);
    let readers = readers_of(element.at);
    let group = element.channel / params.group_channels;
    let outputs = group * params.group_outputs;
    let area = params.kernel[0] * params.kernel[1];
    // From an output's weights to the next's.
    let stride = params.group_channels * area;
    let weights = outputs * stride + (element.channel - group * params.group_channels) * area;
    var sum = 0.0;
    var down = readers.place[0];
    for (var y = readers.tap[0]; reads(readers, 0u, y); y += params.period[0]) {
        var across = readers.place[1];
        for (var x = readers.tap[1]; reads(readers, 1u, x); x += params.period[1]) {
            if all(vec2<u32>(down, across) < params.places) {
                let window = window_of(element.image, vec2<u32>(down, across)) + outputs;
                let tap = weights + tap_of(y, x);
                for (var output = 0u; output < params.group_outputs; output++) {
                    let own = factor(weight[tap + output * stride]);
                    sum = mad(own, factor(gradient[window + output]), sum);
                }
            }
            across -= params.drop[1];
        }
        down -= params.drop[0];
    }
    result[index] = sum;
}

// The gradient of the weight: of each slice of the windows a row, which are then added up. Neighbours
// have neighbouring outputs, whose gradients lie side by side.
@compute @workgroup_size(WIDTH)
fn conv_weight(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    let area = params.kernel[0] * params.kernel[1];
    let weights = params.outputs * params.group_channels * area;
    if index >= params.slices * weights {
        return;
    }
    let slice = index / weights;
    let rest = index - slice * weights;
    let line = rest / params.outputs;
    let output = rest - line * params.outputs;
    let tap = line / params.group_channels;
    let channel = line - tap * params.group_channels;
    let y = tap / params.kernel[1];
    let taps = vec2<u32>(y, tap - y * params.kernel[1]);
    let source = output / params.group_outputs * params.group_channels + channel;

    let all = params.batch * params.places[0] * params.places[1];
    let begin = slice * params.places_of_slice;
    let end = min(begin + params.places_of_slice, all);
    let start = element_at(begin, params.places, 1u);
    var image = start.image;
    var place = start.at;
    var sum = 0.0;
    for (var window = begin; window < end; window++) {
        let at = source_of(place, taps);
        if inside(at) {
            let slope = factor(gradient[window * params.outputs + output]);
            sum = mad(slope, factor(values[pixel_of(image, at) + source]), sum);
        }
        place[1] += 1u;
        if place[1] == params.places[1] {
            place = vec2<u32>(place[0] + 1u, 0u);
            if place[0] == params.places[0] {
                place[0] = 0u;
                image += 1u;
            }
        }
    }
    result[slice * weights + (output * params.group_channels + channel) * area + tap] = sum;
}
