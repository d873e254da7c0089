// result = values where kept, times 1 / (1 - p); backward it is the same on gradients. An invocation
// takes the four columns of one Philox block.

struct Params {
    key: vec2<u32>,
    id: vec2<u32>,
    rows: u32,
    columns: u32,
    step: u32,
    // Words below it fall.
    threshold: u32,
    scale: f32,
    // 0, which no compiler knows.
    zero: u32,
    unused0: u32,
    unused1: u32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;

const WIDTH = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read_write> result: array<f32>;

@compute @workgroup_size(WIDTH)
fn dropout_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let groups = (params.columns + 3u) / 4u;
    let block = grid_index(id, workgroups, WIDTH);
    if block >= params.rows * groups {
        return;
    }
    let row = block / groups;
    let group = block % groups;
    let words = dropout_words(row, group, params.columns, params.step, params.id, params.key);
    let first = group * 4u;
    for (var column = first; column < min(first + 4u, params.columns); column++) {
        let at = row * params.columns + column;
        let kept = words[column - first] >= params.threshold;
        result[at] = select(0.0, pin(values[at] * params.scale), kept);
    }
}
