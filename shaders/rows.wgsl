// The sum of each row of a matrix, or of its products with another's. A team takes a row
// (lib/team.wgsl).

struct Params {
    rows: u32,
    columns: u32,
    // 0, which no compiler knows.
    zero: u32,
    // What a norm is to stay below.
    bound: f32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
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
        return pins(value * value_of(weights[place]));
    }
    return value;
}

fn with_term(sum: Value, team: Team, item: u32) -> Value {
    return pins(sum + inside(team, item, term(place_of(team, item))));
}

fn exact_sum(team: Team) {
    var own: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        // By constant numbers: a driver of a CPU puts what a loop numbers in memory.
        if lanes == 1u && SIDES == 4u {
            own[0u] = with_term(own[0u], team, first + 0u);
            own[1u] = with_term(own[1u], team, first + 1u);
            own[2u] = with_term(own[2u], team, first + 2u);
            own[3u] = with_term(own[3u], team, first + 3u);
            own[4u] = with_term(own[4u], team, first + 4u);
            own[5u] = with_term(own[5u], team, first + 5u);
            own[6u] = with_term(own[6u], team, first + 6u);
            own[7u] = with_term(own[7u], team, first + 7u);
            continue;
        }
        for (var i = 0u; i < own_items(); i++) {
            own[i] = with_term(own[i], team, first + i);
        }
    }
    let sum = lanes_sum(team.local, own);
    if team.lane == 0u && team.items > 0u {
        sums[team.row] = sum;
    }
}

@compute @workgroup_size(width)
fn rows_sum(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let team = team_of(grid_index(id, workgroups, width), local, params.rows, params.columns);
    if exact == 1u {
        exact_sum(team);
        return;
    }
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

// From the sum of all squares the factor that brings a norm down to a bound: min(1, bound / (norm + 1e-6)), as
// PyTorch's clip_grad_norm_ has it; then the norm.
@compute @workgroup_size(width)
fn rows_norm(@builtin(local_invocation_index) local: u32) {
    zero = params.zero;
    if local > 0u {
        return;
    }
    let norm = root(side(value_of(values[0]), 0u));
    let factor = quotient(params.bound, pin(norm + 1e-6));
    // Not min(1, ...), which would make a number of what is none.
    sums[0] = select(factor, 1.0, factor > 1.0);
    sums[1] = norm;
}
