// Count, mean and sum of squared deviations of a run of elements, in an order that the number of
// elements alone decides. `moments_leaves` makes a row for each invocation's elements,
// `moments_merge` makes one row of up to MERGED; the host adds what is left in f64.

struct Params {
    // Leaves: the elements of the binding. Merge: the rows.
    begin: u32,
    end: u32,
    // The rows of this dispatch's result, and where the first goes.
    rows: u32,
    first_row: u32,
    // What elements are multiplied by first: a power of 2 that brings their squares into f32's range.
    scale: f32,
    unused: u32,
}

override dtype: u32 = 0u;

const WIDTH = 64u;
// Words that one invocation takes, WIDTH apart so that neighbours read neighbours.
const TAKEN = 16u;
const MERGED = 64u;

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(0) var<storage, read> rows_in: array<vec4<f32>>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> rows_out: array<vec4<f32>>;

// Deviations from a first element, so that a large mean costs no digits.
struct Sums {
    count: f32,
    pivot: f32,
    sum: f32,
    square: f32,
}

fn include(sums: Sums, value: f32) -> Sums {
    let pivot = select(sums.pivot, value, sums.count == 0.0);
    let deviation = value - pivot;
    return Sums(sums.count + 1.0, pivot, sums.sum + deviation, sums.square + deviation * deviation);
}

@compute @workgroup_size(WIDTH)
fn moments_leaves(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.rows {
        return;
    }
    var sums = Sums(0.0, 0.0, 0.0, 0.0);
    let per_word = select(2u, 1u, dtype == DTYPE_F32);
    let first = params.begin / per_word + (index / WIDTH) * (WIDTH * TAKEN) + index % WIDTH;
    for (var taken = 0u; taken < TAKEN; taken++) {
        let word = first + taken * WIDTH;
        let element = word * per_word;
        if element >= params.end {
            break;
        }
        if dtype == DTYPE_F32 {
            sums = include(sums, bitcast<f32>(words[word]) * params.scale);
        } else {
            let pair = unpack_pair(dtype, words[word]) * params.scale;
            if element >= params.begin {
                sums = include(sums, pair.x);
            }
            if element + 1u < params.end {
                sums = include(sums, pair.y);
            }
        }
    }
    let count = max(sums.count, 1.0);
    let mean = sums.pivot + sums.sum / count;
    let square = max(sums.square - sums.sum * sums.sum / count, 0.0);
    rows_out[params.first_row + index] = vec4<f32>(sums.count, mean, square, 0.0);
}

@compute @workgroup_size(WIDTH)
fn moments_merge(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.rows {
        return;
    }
    let first = params.begin + index * MERGED;
    let last = min(first + MERGED, params.end);
    var all = rows_in[first];
    // Chan, Golub, LeVeque 1979.
    for (var row = first + 1u; row < last; row++) {
        let next = rows_in[row];
        let count = max(all.x + next.x, 1.0);
        let apart = next.y - all.y;
        all = vec4<f32>(
            all.x + next.x,
            all.y + apart * (next.x / count),
            all.z + next.z + apart * apart * (all.x * (next.x / count)),
            0.0,
        );
    }
    rows_out[params.first_row + index] = all;
}
