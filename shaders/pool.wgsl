// Pooling of each channel: the greatest element of a window, or the mean.

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
override average: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> pooled: array<f32>;
@group(0) @binding(3) var<storage, read> gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(WIDTH)
fn pool_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.batch * params.places[0] * params.places[1] * params.channels {
        return;
    }
    let element = element_at(index, params.places, params.channels);
    var sum = 0.0;
    var greatest = 0.0;
    var found = false;
    for (var y = 0u; y < params.kernel[0]; y++) {
        for (var x = 0u; x < params.kernel[1]; x++) {
            let at = source_of(element.at, vec2<u32>(y, x));
            if inside(at) {
                let value = values[pixel_of(element.image, at) + element.channel];
                if average == 1u {
                    sum = pin(sum + value);
                } else if !found || is_nan(value) || (!is_nan(greatest) && value > greatest) {
                    greatest = value;
                    found = true;
                }
            }
        }
    }
    if average == 1u {
        greatest = pin(sum * params.share);
    }
    result[index] = greatest;
}

// Whether an element of a window's greatest is the one that counts: the first, of NaNs the last.
fn wins(element: Element, place: vec2<u32>, tap: vec2<u32>, own: f32, greatest: f32) -> bool {
    let nan = is_nan(greatest);
    if select(own != greatest, !is_nan(own), nan) {
        return false;
    }
    for (var y = 0u; y < params.kernel[0]; y++) {
        for (var x = 0u; x < params.kernel[1]; x++) {
            let before = y < tap[0] || (y == tap[0] && x < tap[1]);
            let after = y > tap[0] || (y == tap[0] && x > tap[1]);
            let at = source_of(place, vec2<u32>(y, x));
            if select(before, after, nan) && inside(at) {
                let rival = values[pixel_of(element.image, at) + element.channel];
                if select(rival == greatest, is_nan(rival), nan) {
                    return false;
                }
            }
        }
    }
    return true;
}

@compute @workgroup_size(WIDTH)
fn pool_backward(
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
    var own = 0.0;
    if average == 0u {
        own = values[index];
    }
    var sum = 0.0;
    var down = readers.place[0];
    for (var y = readers.tap[0]; reads(readers, 0u, y); y += params.period[0]) {
        var across = readers.place[1];
        for (var x = readers.tap[1]; reads(readers, 1u, x); x += params.period[1]) {
            let place = vec2<u32>(down, across);
            if all(place < params.places) {
                let window = window_of(element.image, place) + element.channel;
                var counts = true;
                if average == 0u {
                    counts = wins(element, place, vec2<u32>(y, x), own, pooled[window]);
                }
                if counts {
                    sum = pin(sum + gradient[window]);
                }
            }
            across -= params.drop[1];
        }
        down -= params.drop[0];
    }
    if average == 1u {
        sum = pin(sum * params.share);
    }
    result[index] = sum;
}
