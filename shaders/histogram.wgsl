// Elements counted into bins. Counters are atomic, so the counts are exact in any order; there are
// several of each, one a workgroup in turn, so that a full bin is no queue. Counters in workgroup
// memory would need a barrier, for which a CPU's driver suspends every invocation.

struct Params {
    // The elements of the binding.
    begin: u32,
    end: u32,
    bins: u32,
    // Bins a unit: only for a guess, which the edges correct.
    scale: f32,
}

override dtype: u32 = 0u;

const WIDTH = 64u;
// Elements that one invocation takes, WIDTH apart so that neighbours read neighbours.
const TAKEN = 64u;
const COPIES = 64u;

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
// Each copy: below, above, NaN, then the bins.
@group(0) @binding(2) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> edges: array<f32>;

fn slot(x: f32) -> u32 {
    if is_nan(x) {
        return 2u;
    }
    if x < edges[0] {
        return 0u;
    }
    if x > edges[params.bins] {
        return 1u;
    }
    let last = params.bins - 1u;
    // Some drivers may round the guess out of the bins.
    var bin = min(u32(clamp((x - edges[0]) * params.scale, 0.0, f32(last))), last);
    while bin > 0u && x < edges[bin] {
        bin -= 1u;
    }
    while bin < last && x >= edges[bin + 1u] {
        bin += 1u;
    }
    return 3u + bin;
}

@compute @workgroup_size(WIDTH)
fn histogram_count(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    let first = params.begin + (index / WIDTH) * (WIDTH * TAKEN) + index % WIDTH;
    let copy = ((index / WIDTH) % COPIES) * (params.bins + 3u);
    for (var taken = 0u; taken < TAKEN; taken++) {
        let element = first + taken * WIDTH;
        if element >= params.end {
            return;
        }
        atomicAdd(&counts[copy + slot(element_at(element))], 1u);
    }
}

fn element_at(element: u32) -> f32 {
    return element_of(dtype, words[word_of(dtype, element)], element);
}
