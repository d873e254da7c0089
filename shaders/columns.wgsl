// Sums over the rows of a matrix: a bias's gradient; weighted by a second matrix, that of a scale.
// Rows come in slices, so that no invocation loops for too long; a second dispatch adds the slices.

struct Params {
    rows: u32,
    columns: u32,
    slices: u32,
    rows_of_slice: u32,
}

override weighted: u32 = 0u;

const WIDTH = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WIDTH)
fn columns_sum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.columns * params.slices {
        return;
    }
    let column = index % params.columns;
    let first = (index / params.columns) * params.rows_of_slice;
    let last = min(first + params.rows_of_slice, params.rows);
    var sum = 0.0;
    for (var row = first; row < last; row++) {
        let at = row * params.columns + column;
        if weighted == 1u {
            sum += values[at] * weights[at];
        } else {
            sum += values[at];
        }
    }
    sums[index] = sum;
}
