// Elements counted into bins. Counters are atomic, so the counts are exact in any order; there are
// several of each, one a workgroup in turn, so that a full bin is no queue. A GPU's workgroup counts
// in its own memory first; that needs a barrier, for which a CPU's driver suspends every invocation.

struct Params {
    // The elements of the binding.
    begin: u32,
    end: u32,
    bins: u32,
    // Bins a unit: only for a guess, which the edges correct.
    scale: f32,
    // Of a workgroup: sixteens of elements an invocation, and counters of each kind, a power of 2.
    turns: u32,
    copies: u32,
    unused0: u32,
    unused1: u32,
}

override dtype: u32 = 0u;
override width: u32 = 64u;

// Elements that one invocation of `histogram_invocations` takes, `width` apart so that neighbours read
// neighbours.
const TAKEN = 64u;
const COPIES = 64u;
// What a workgroup has room for: 16 KiB.
const COUNTERS = 4096u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> groups: array<Four>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
// Each copy: below, above, NaN, then the bins.
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read> edges: array<f32>;

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
    let bin = min(u32(clamp((x - edges[0]) * params.scale, 0.0, f32(last))), last);
    // The last bin whose edge is not above: of edges that are one float there may be thousands, and
    // llvmpipe counts the steps of loops.
    var low = select(bin, 0u, x < edges[bin]);
    var high = bin - select(0u, 1u, bin > 0u && x < edges[bin]);
    if low == bin && bin < last && x >= edges[bin + 1u] {
        low = bin + 1u;
        high = last;
    }
    while low < high {
        let middle = (low + high + 1u) / 2u;
        if x < edges[middle] {
            high = middle - 1u;
        } else {
            low = middle;
        }
    }
    return 3u + low;
}

@compute @workgroup_size(width)
fn histogram_invocations(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, width);
    let first = params.begin + (index / width) * (width * TAKEN) + index % width;
    let copy = ((index / width) % COPIES) * (params.bins + 3u);
    for (var taken = 0u; taken < TAKEN; taken++) {
        let element = first + taken * width;
        if element >= params.end {
            return;
        }
        atomicAdd(&counts[copy + slot(any_element_at(element))], 1u);
    }
}

var<workgroup> counters: array<atomic<u32>, COUNTERS>;

// Neighbours count in copies of their own, which lie in banks of their own.
fn count_one(x: f32, local: u32) {
    atomicAdd(&counters[slot(x) * params.copies + local % params.copies], 1u);
}

fn count_four(x: vec4<f32>, inside: vec4<bool>, local: u32) {
    for (var at = 0u; at < 4u; at++) {
        if inside[at] {
            count_one(x[at], local);
        }
    }
}

fn count_sixteen(x: Sixteen, inside: Which, local: u32) {
    count_four(x.a, inside.a, local);
    count_four(x.b, inside.b, local);
    count_four(x.c, inside.c, local);
    count_four(x.d, inside.d, local);
}

@compute @workgroup_size(width)
fn histogram_workgroups(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let slots = params.bins + 3u;
    for (var at = local; at < slots * params.copies; at += width) {
        atomicStore(&counters[at], 0u);
    }
    workgroupBarrier();
    let index = id.y * workgroups.x + id.x;
    let whole = params.end / of_group();
    let turn = width * of_sixteen();
    let start = params.begin / of_group() + index * params.turns * turn;
    let last = min(start + params.turns * turn, whole);
    for (var first = start + local; first < last; first += turn) {
        let x = sixteen_at(first, width, whole);
        count_sixteen(x, inside(first, width, params.begin, whole), local);
    }
    if index == 0u && local == 0u {
        let inside = rest_inside(whole, params.begin, params.end);
        count_sixteen(rest_at(whole, params.end), inside, local);
    }
    workgroupBarrier();
    let copy = (index % COPIES) * slots;
    for (var at = local; at < slots; at += width) {
        var count = 0u;
        for (var other = 0u; other < params.copies; other++) {
            count += atomicLoad(&counters[at * params.copies + other]);
        }
        if count > 0u {
            atomicAdd(&counts[copy + at], count);
        }
    }
}
