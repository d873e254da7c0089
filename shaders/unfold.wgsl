// The windows of signals as the rows of a matrix, and back: each element of the signal the sum of what
// stands where it was read. A row's columns are ordered as a convolution's weight is: by channel, then
// down, then across the window.

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

// An invocation writes a line of a channel's window.
@compute @workgroup_size(WIDTH)
fn unfold_lines(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    let lines = params.channels * params.kernel[0];
    if index >= params.batch * params.places[0] * params.places[1] * lines {
        return;
    }
    let element = element_at(index, params.places, lines);
    let channel = element.channel / params.kernel[0];
    let y = element.channel - channel * params.kernel[0];
    let first = index * params.kernel[1];
    for (var x = 0u; x < params.kernel[1]; x++) {
        let at = source_of(element.at, vec2<u32>(y, x));
        var value = 0.0;
        if inside(at) {
            value = values[pixel_of(element.image, at) + channel];
        }
        result[first + x] = value;
    }
}

@compute @workgroup_size(WIDTH)
fn unfold_sums(
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
    let area = params.kernel[0] * params.kernel[1];
    var sum = 0.0;
    var down = readers.place[0];
    for (var y = readers.tap[0]; reads(readers, 0u, y); y += params.period[0]) {
        var across = readers.place[1];
        for (var x = readers.tap[1]; reads(readers, 1u, x); x += params.period[1]) {
            if all(vec2<u32>(down, across) < params.places) {
                let row = (element.image * params.places[0] + down) * params.places[1] + across;
                let tap = y * params.kernel[1] + x;
                sum = pin(sum + values[(row * params.channels + element.channel) * area + tap]);
            }
            across -= params.drop[1];
        }
        down -= params.drop[0];
    }
    result[index] = sum;
}
