// The sum of each row of a matrix, or of its products with another's. A team takes a row
// (lib/team.wgsl).

struct Params {
    rows: u32,
    columns: u32,
    unused0: u32,
    unused1: u32,
}

override weighted: u32 = 0u;
override lanes: u32 = 1u;
override width: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<Item>;
@group(0) @binding(2) var<storage, read> weights: array<Item>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

var<workgroup> shares: array<vec2<f32>, width>;

fn term(place: u32) -> Value {
    let value = value_of(values[place]);
    if weighted == 1u {
        return value * value_of(weights[place]);
    }
    return value;
}

@compute @workgroup_size(width)
fn rows_sum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let team = team_of(grid_index(id, workgroups, width), local, params.rows, params.columns);
    var own = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        let held = Held(
            term(place_of(team, item)),
            term(place_of(team, item + lanes)),
            term(place_of(team, item + 2u * lanes)),
            term(place_of(team, item + 3u * lanes)),
        );
        own += held_sum(inside_all(team, item, held));
    }
    let sum = team_sum(local, vec2<f32>(total(own), 0.0)).x;
    if team.lane == 0u && team.items > 0u {
        sums[team.row] = sum;
    }
}
