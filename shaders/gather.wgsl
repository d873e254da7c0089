// The rows of a batch, in the order of examples that the host drew; rows beyond the batch's real
// ones are cleared. A set too large for one binding comes in runs, one dispatch each.

struct Params {
    columns: u32,
    target_columns: u32,
    rows: u32,
    // The run of examples that is bound.
    first_example: u32,
    examples: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> features: array<u32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read_write> batch_features: array<u32>;
@group(0) @binding(6) var<storage, read_write> batch_targets: array<u32>;

@compute @workgroup_size(WIDTH)
fn gather_rows(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let width = params.columns + params.target_columns;
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.rows * width {
        return;
    }
    let row = index / width;
    let column = index % width;
    var example = 0u;
    let real = row < step.rows;
    if real {
        example = order[step.first + row] - params.first_example;
        if example >= params.examples {
            return;
        }
    }
    if column < params.columns {
        var value = 0u;
        if real {
            value = features[example * params.columns + column];
        }
        batch_features[row * params.columns + column] = value;
    } else {
        let at = column - params.columns;
        var value = 0u;
        if real {
            value = targets[example * params.target_columns + at];
        }
        batch_targets[row * params.target_columns + at] = value;
    }
}
