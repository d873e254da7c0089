// Layer norm with what follows it: out = dropout(f(y)) + after, y = scale * x^ + shift, x^ the row
// with mean 0 and variance 1 (Ba, Kiros, Hinton 2016). A team takes a row (lib/team.wgsl).

struct Params {
    rows: u32,
    columns: u32,
    // 1 / columns.
    share: f32,
    epsilon: f32,
    key: vec2<u32>,
    id: vec2<u32>,
    // Dropout: words below it fall; 0 keeps all.
    threshold: u32,
    keep_scale: f32,
    parameter: f32,
    // 0, which no compiler knows.
    zero: u32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
override activation: u32 = 0u;
override dropout: u32 = 0u;
// Whether the rows of a residual connection are added.
override residual: u32 = 0u;
override lanes: u32 = 1u;
override width: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> scale: array<Item>;
@group(0) @binding(3) var<storage, read> shift: array<Item>;
// Forward: the rows. Backward: the gradient of what came out.
@group(0) @binding(4) var<storage, read> values: array<Item>;
// Forward: what a residual connection adds.
@group(0) @binding(5) var<storage, read> beside: array<Item>;
// Backward: 1 / the rows' standard deviations.
@group(0) @binding(5) var<storage, read> inverses: array<f32>;
// Forward: x^, written. Backward: x^, read.
@group(0) @binding(6) var<storage, read_write> normalized: array<Item>;
// Forward: 1 / the rows' standard deviations.
@group(0) @binding(7) var<storage, read_write> inverses_out: array<f32>;
// Backward: the gradient of y.
@group(0) @binding(7) var<storage, read_write> inner: array<Item>;
// Forward: what comes out. Backward: the gradient of the rows.
@group(0) @binding(8) var<storage, read_write> result: array<Item>;

var<workgroup> shares: array<vec2<f32>, width>;

// 1 / (1 - p) where an element is kept, else 0.
fn kept(row: u32, item: u32) -> Value {
    if dropout == 0u {
        return Value(1.0);
    }
    let group = item * SIDES / 4u;
    let words = dropout_words(row, group, params.columns, step.step, params.id, params.key);
    let falls = words_of(words, item) < Places(params.threshold);
    return select(Value(params.keep_scale), Value(0.0), falls);
}

fn activated(y: Value) -> Value {
    let parameter = params.parameter;
    let first = activation_value(activation, parameter, side(y, 0u));
    if SIDES == 1u {
        return Value(first);
    }
    return of_sides(
        first,
        activation_value(activation, parameter, side(y, 1u)),
        activation_value(activation, parameter, side(y, 2u)),
        activation_value(activation, parameter, side(y, 3u)),
    );
}

fn slope(y: Value) -> Value {
    let parameter = params.parameter;
    let first = activation_derivative(activation, parameter, side(y, 0u));
    if SIDES == 1u {
        return Value(first);
    }
    return of_sides(
        first,
        activation_derivative(activation, parameter, side(y, 1u)),
        activation_derivative(activation, parameter, side(y, 2u)),
        activation_derivative(activation, parameter, side(y, 3u)),
    );
}

fn held_values(team: Team, item: u32) -> Held {
    return Held(
        value_of(values[place_of(team, item)]),
        value_of(values[place_of(team, item + lanes)]),
        value_of(values[place_of(team, item + 2u * lanes)]),
        value_of(values[place_of(team, item + 3u * lanes)]),
    );
}

fn less(held: Held, mean: f32) -> Held {
    return Held(held.a - mean, held.b - mean, held.c - mean, held.d - mean);
}

fn finish_forward(team: Team, item: u32, deviation: Value, inverse: f32) {
    let at = team.first + item;
    let unit = pins(deviation * inverse);
    normalized[at] = item_of(unit);
    let y = pins(pins(value_of(scale[item]) * unit) + value_of(shift[item]));
    var out = pins(activated(y) * kept(team.row, item));
    if residual == 1u {
        out = pins(out + value_of(beside[at]));
    }
    result[at] = item_of(out);
}

fn with_value(sum: Value, team: Team, item: u32) -> Value {
    return pins(sum + inside(team, item, value_of(values[place_of(team, item)])));
}

fn with_square(sum: Value, team: Team, item: u32, mean: f32) -> Value {
    let deviation = pins(value_of(values[place_of(team, item)]) - mean);
    return pins(sum + inside(team, item, pins(deviation * deviation)));
}

// Lanes by their constant numbers where they are few: a driver of a CPU puts what a loop numbers in memory,
// and looks for it there one by one.
fn exact_sums(team: Team) -> Lanes {
    var sums: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        if lanes == 1u && SIDES == 4u {
            sums[0u] = with_value(sums[0u], team, first + 0u);
            sums[1u] = with_value(sums[1u], team, first + 1u);
            sums[2u] = with_value(sums[2u], team, first + 2u);
            sums[3u] = with_value(sums[3u], team, first + 3u);
            sums[4u] = with_value(sums[4u], team, first + 4u);
            sums[5u] = with_value(sums[5u], team, first + 5u);
            sums[6u] = with_value(sums[6u], team, first + 6u);
            sums[7u] = with_value(sums[7u], team, first + 7u);
            continue;
        }
        for (var i = 0u; i < own_items(); i++) {
            sums[i] = with_value(sums[i], team, first + i);
        }
    }
    return sums;
}

fn exact_squares(team: Team, mean: f32) -> Lanes {
    var sums: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        if lanes == 1u && SIDES == 4u {
            sums[0u] = with_square(sums[0u], team, first + 0u, mean);
            sums[1u] = with_square(sums[1u], team, first + 1u, mean);
            sums[2u] = with_square(sums[2u], team, first + 2u, mean);
            sums[3u] = with_square(sums[3u], team, first + 3u, mean);
            sums[4u] = with_square(sums[4u], team, first + 4u, mean);
            sums[5u] = with_square(sums[5u], team, first + 5u, mean);
            sums[6u] = with_square(sums[6u], team, first + 6u, mean);
            sums[7u] = with_square(sums[7u], team, first + 7u, mean);
            continue;
        }
        for (var i = 0u; i < own_items(); i++) {
            sums[i] = with_square(sums[i], team, first + i, mean);
        }
    }
    return sums;
}

fn exact_forward(team: Team) {
    let mean = pin(lanes_sum(team.local, exact_sums(team)) * params.share);
    let square = lanes_sum(team.local, exact_squares(team, mean));
    let inverse = quotient(1.0, root(pin(pin(square * params.share) + params.epsilon)));
    if team.lane == 0u && team.items > 0u {
        inverses_out[team.row] = inverse;
    }
    for (var item = team.lane; item < team.items; item += lanes) {
        finish_forward(team, item, pins(value_of(values[team.first + item]) - mean), inverse);
    }
}

@compute @workgroup_size(width)
fn norm_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let team = team_of(grid_index(id, workgroups, width), local, params.rows, params.columns);
    if exact == 1u {
        exact_forward(team);
        return;
    }
    var held = nothing();
    var sum = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        held = held_values(team, item);
        sum += held_sum(inside_all(team, item, held));
    }
    let mean = team_sum(local, vec2<f32>(total(sum), 0.0)).x * params.share;
    var squares = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        if !team.single {
            held = held_values(team, item);
        }
        held = less(held, mean);
        squares += held_sum(inside_all(team, item, held_product(held, held)));
    }
    let square = team_sum(local, vec2<f32>(total(squares), 0.0)).x;
    let inverse = 1.0 / sqrt(square * params.share + params.epsilon);
    if team.lane == 0u && team.items > 0u {
        inverses_out[team.row] = inverse;
    }
    // One item a turn: nonlinearities are long.
    for (var item = team.lane; item < team.items; item += lanes) {
        if !team.single {
            held.a = value_of(values[team.first + item]) - mean;
        }
        finish_forward(team, item, held.a, inverse);
        held = followed(held, held.a);
    }
}

fn held_units(team: Team, item: u32) -> Held {
    return Held(
        value_of(normalized[place_of(team, item)]),
        value_of(normalized[place_of(team, item + lanes)]),
        value_of(normalized[place_of(team, item + 2u * lanes)]),
        value_of(normalized[place_of(team, item + 3u * lanes)]),
    );
}

// The gradient of y goes out; what comes back is that of x^, 0 beyond the row.
fn through(team: Team, item: u32, gradient: Value, unit: Value) -> Value {
    if item >= team.items {
        return Value(0.0);
    }
    let own_scale = value_of(scale[item]);
    let y = pins(pins(own_scale * unit) + value_of(shift[item]));
    let inward = pins(pins(gradient * slope(y)) * kept(team.row, item));
    inner[team.first + item] = item_of(inward);
    return pins(inward * own_scale);
}

// What `through` left.
fn scaled(team: Team, item: u32) -> Value {
    let at = min(item, team.items - 1u);
    return pins(value_of(inner[team.first + at]) * value_of(scale[at]));
}

fn finish_backward(
    team: Team,
    item: u32,
    gradient: Value,
    unit: Value,
    means: vec2<f32>,
    inverse: f32,
) {
    if item < team.items {
        let out = pins(inverse * pins(pins(gradient - means.x) - pins(unit * means.y)));
        result[team.first + item] = item_of(out);
    }
}

fn exact_backward(team: Team) {
    var sums: Lanes;
    var along: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items(); i++) {
            let place = place_of(team, first + i);
            let unit = value_of(normalized[place]);
            let gradient = through(team, first + i, value_of(values[place]), unit);
            sums[i] = pins(sums[i] + gradient);
            along[i] = pins(along[i] + pins(gradient * unit));
        }
    }
    let both = lanes_sums(team.local, sums, along) * params.share;
    let means = vec2<f32>(pin(both.x), pin(both.y));
    let inverse = inverses[min(team.row, params.rows - 1u)];
    for (var item = team.lane; item < team.items; item += lanes) {
        let unit = value_of(normalized[team.first + item]);
        finish_backward(team, item, scaled(team, item), unit, means, inverse);
    }
}

@compute @workgroup_size(width)
fn norm_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let team = team_of(grid_index(id, workgroups, width), local, params.rows, params.columns);
    if exact == 1u {
        exact_backward(team);
        return;
    }
    var held = nothing();
    var units = nothing();
    var sum = Value(0.0);
    var along = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        held = held_values(team, item);
        units = held_units(team, item);
        if taken() == 1u {
            held.a = through(team, item, held.a, units.a);
        } else {
            for (var own = 0u; own < 4u; own++) {
                held = followed(held, through(team, item + own * lanes, held.a, units.a));
                units = followed(units, units.a);
            }
        }
        held = inside_all(team, item, held);
        sum += held_sum(held);
        along += held_sum(held_product(held, units));
    }
    let means = team_sum(local, vec2<f32>(total(sum), total(along))) * params.share;
    let inverse = inverses[min(team.row, params.rows - 1u)];
    for (var item = team.lane; item < team.items; item += stride()) {
        if !team.single {
            units = held_units(team, item);
            held = Held(
                scaled(team, item),
                scaled(team, item + lanes),
                scaled(team, item + 2u * lanes),
                scaled(team, item + 3u * lanes),
            );
        }
        finish_backward(team, item, held.a, units.a, means, inverse);
        if taken() > 1u {
            finish_backward(team, item + lanes, held.b, units.b, means, inverse);
            finish_backward(team, item + 2u * lanes, held.c, units.c, means, inverse);
            finish_backward(team, item + 3u * lanes, held.d, units.d, means, inverse);
        }
    }
}
