// Folds the rows of a matrix into one: sums, a bias's gradient; weighted by a second matrix, that of a
// scale; or the least or the greatest of each column. Rows come in slices, so that no invocation
// loops for too long; a second dispatch folds the slices.

struct Params {
    rows: u32,
    columns: u32,
    slices: u32,
    rows_of_slice: u32,
}

// 0 sum, 1 weighted sum, 2 least, 3 greatest.
override fold: u32 = 0u;

const WIDTH = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(WIDTH)
fn columns_fold(
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
    var folded = select(0.0, values[first * params.columns + column], fold >= 2u);
    for (var row = first; row < last; row++) {
        let at = row * params.columns + column;
        switch fold {
            case 1u: { folded += values[at] * weights[at]; }
            case 2u: { folded = min(folded, values[at]); }
            case 3u: { folded = max(folded, values[at]); }
            default: { folded += values[at]; }
        }
    }
    result[index] = folded;
}
