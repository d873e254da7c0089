// The loss of each row and its gradient with respect to the row's outputs, for the mean over the
// batch's real rows. Rows beyond them have neither. And the squared errors of each column, whose sums
// say how well each of several targets is met. A team takes a row (lib/team.wgsl).

struct Params {
    rows: u32,
    columns: u32,
    // Label smoothing of the cross-entropy, delta of Huber's.
    parameter: f32,
    // 1 / columns.
    share: f32,
    // 0, which no compiler knows.
    zero: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

// Each loss by its name, with its code, that of `Loss::code`. The binary cross-entropy takes class
// indices too, for targets that are 1 at the class and 0 elsewhere.
const LOSS_CROSS_ENTROPY = 0u;
const LOSS_MSE = 1u;
const LOSS_BCE = 2u;
const LOSS_HUBER = 3u;

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
override kind: u32 = 0u;
override gradients: u32 = 1u;
override lanes: u32 = 1u;
override width: u32 = 64u;

const WIDTH = 64u;
// Rows whose squared errors one invocation adds up.
const SLICE = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> outputs: array<Item>;
@group(0) @binding(3) var<storage, read> classes: array<u32>;
@group(0) @binding(3) var<storage, read> targets: array<Item>;
@group(0) @binding(4) var<storage, read_write> gradient: array<Item>;
// The loss, and how much of the row was predicted right: of 1.
@group(0) @binding(5) var<storage, read_write> results: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> sums: array<Item>;

var<workgroup> shares: array<vec2<f32>, width>;
var<workgroup> tops: array<Top, width>;

// The largest output, the first column that has it, and the bits of the largest size: an infinity's
// and above where an output is infinite or no number, which comparing floats would hide.
struct Top {
    high: f32,
    column: u32,
    size: u32,
}

// What a lane has seen of its row, for each side of its items.
struct Seen {
    high: Value,
    columns: Places,
    sizes: Places,
}

// Nothing yet, but for the row's first output.
fn unseen(team: Team) -> Seen {
    return Seen(Value(side(value_of(outputs[team.first]), 0u)), Places(0u), Places(0u));
}

fn see(team: Team, item: u32, output: Value, seen: Seen) -> Seen {
    // What stands beyond the row is its last item again.
    let higher = output > seen.high;
    let columns = places(min(item, team.items - 1u));
    return Seen(
        select(seen.high, output, higher),
        select(seen.columns, columns, higher),
        max(seen.sizes, bitcast<Places>(output) & Places(0x7FFFFFFFu)),
    );
}

fn see_all(team: Team, item: u32, held: Held, seen: Seen) -> Seen {
    var all = see(team, item, held.a, seen);
    if taken() == 1u {
        return all;
    }
    all = see(team, item + lanes, held.b, all);
    all = see(team, item + 2u * lanes, held.c, all);
    return see(team, item + 3u * lanes, held.d, all);
}

fn top(seen: Seen, at: u32) -> Top {
    return Top(side(seen.high, at), place_side(seen.columns, at), place_side(seen.sizes, at));
}

fn higher(a: Top, b: Top) -> Top {
    let other = b.high > a.high || (b.high == a.high && b.column < a.column);
    return Top(
        select(a.high, b.high, other),
        select(a.column, b.column, other),
        max(a.size, b.size),
    );
}

// As `team_sum`.
fn team_top(local: u32, seen: Seen) -> Top {
    let own = higher(higher(top(seen, 0u), top(seen, 1u)), higher(top(seen, 2u), top(seen, 3u)));
    if lanes == 1u {
        return own;
    }
    workgroupBarrier();
    tops[local] = own;
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if local % lanes < reach {
            tops[local] = higher(tops[local], tops[local + reach]);
        }
    }
    workgroupBarrier();
    return tops[local / lanes * lanes];
}

// The loss, or no number where an output was none: that ends a training run with a clear word.
fn whole(loss: f32, size: u32) -> f32 {
    // The bits from a value: a constant that is no number is an error.
    return bitcast<f32>(select(bitcast<u32>(loss), size | 0x7FC00000u, size >= 0x7F800000u));
}

// ln(1 + x) of x >= 0: a sum of exponentials, of which none is above 1.
fn log_one_plus(x: f32) -> f32 {
    if x <= 1.0 {
        return log1p_unit(x);
    }
    if exact == 0u {
        return log(1.0 + x);
    }
    // That of the significand, and ln 2 for each power of 2.
    let bits = bitcast<u32>(pin(1.0 + x));
    let significand = bitcast<f32>((bits & 0x7FFFFFu) | 0x3F800000u);
    let rest = log1p_unit(pin(significand - 1.0));
    return mad(f32(i32(bits >> 23u) - 127), 0.69314718, rest);
}

fn held_outputs(team: Team, item: u32) -> Held {
    return Held(
        value_of(outputs[place_of(team, item)]),
        value_of(outputs[place_of(team, item + lanes)]),
        value_of(outputs[place_of(team, item + 2u * lanes)]),
        value_of(outputs[place_of(team, item + 3u * lanes)]),
    );
}

fn put(team: Team, item: u32, slope: Value) {
    if item < team.items {
        gradient[team.first + item] = item_of(slope);
    }
}

fn put_all(team: Team, item: u32, slopes: Held) {
    put(team, item, slopes.a);
    if taken() > 1u {
        put(team, item + lanes, slopes.b);
        put(team, item + 2u * lanes, slopes.c);
        put(team, item + 3u * lanes, slopes.d);
    }
}

fn terms(held: Held, high: f32) -> Held {
    return Held(
        exp_negatives(held.a - high),
        exp_negatives(held.b - high),
        exp_negatives(held.c - high),
        exp_negatives(held.d - high),
    );
}

// `value`, and 0 at a column.
fn but(column: u32, item: u32, value: Value) -> Value {
    return select(value, Value(0.0), places(item) == Places(column));
}

fn but_all(column: u32, item: u32, held: Held) -> Held {
    return Held(
        but(column, item, held.a),
        but(column, item + lanes, held.b),
        but(column, item + 2u * lanes, held.c),
        but(column, item + 3u * lanes, held.d),
    );
}

// 1 at the row's class, 0 elsewhere.
fn one_at(label: u32, item: u32) -> Value {
    return select(Value(0.0), Value(1.0), places(item) == Places(label));
}

fn softmax_slope(term: Value, scale: f32, label: u32, item: u32) -> Value {
    let even = pin(params.parameter * params.share);
    let own = pin(even + pin(1.0 - params.parameter));
    let wanted = select(Value(even), Value(own), places(item) == Places(label));
    return pins(pins(pins(term * scale) - wanted) * step.inverse);
}

// All of these need every invocation of the workgroup.
fn cross_entropy(team: Team, label: u32) -> vec2<f32> {
    if exact == 1u {
        return exact_entropy(team, label);
    }
    var held = nothing();
    var seen = unseen(team);
    var sum = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        held = held_outputs(team, item);
        seen = see_all(team, item, held, seen);
        sum += held_sum(inside_all(team, item, held));
    }
    let best = team_top(team.local, seen);
    // The largest term is 1: what the others add to it goes through a logarithm of its own.
    var others = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        if !team.single {
            held = held_outputs(team, item);
        }
        held = terms(held, best.high);
        others += held_sum(inside_all(team, item, but_all(best.column, item, held)));
    }
    let both = team_sum(team.local, vec2<f32>(total(others), total(sum)));
    let scale = 1.0 / (1.0 + both.x);
    if gradients == 1u {
        for (var item = team.lane; item < team.items; item += stride()) {
            if !team.single {
                held = terms(held_outputs(team, item), best.high);
            }
            let slopes = Held(
                softmax_slope(held.a, scale, label, item),
                softmax_slope(held.b, scale, label, item + lanes),
                softmax_slope(held.c, scale, label, item + 2u * lanes),
                softmax_slope(held.d, scale, label, item + 3u * lanes),
            );
            put_all(team, item, slopes);
        }
    }
    return entropy(team, label, best, both);
}

// From the sums of the other exponentials and of the outputs.
fn entropy(team: Team, label: u32, best: Top, both: vec2<f32>) -> vec2<f32> {
    let own = min(label, params.columns - 1u);
    let output = side(value_of(outputs[team.first + own / SIDES]), own % SIDES);
    let normalizer = log_one_plus(both.x);
    let wanted = pin(output - best.high);
    var loss = pin(normalizer - wanted);
    if params.parameter > 0.0 {
        let mean = pin(pin(both.y * params.share) - best.high);
        loss = pin(normalizer - pin(pin(1.0 - params.parameter) * wanted));
        loss = pin(loss - pin(params.parameter * mean));
    }
    return vec2<f32>(whole(loss, best.size), select(0.0, 1.0, best.column == label));
}

// The same in the order of the exact arithmetic.
fn exact_entropy(team: Team, label: u32) -> vec2<f32> {
    var seen = unseen(team);
    var all: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items() && first + i < team.items; i++) {
            let output = value_of(outputs[team.first + first + i]);
            seen = see(team, first + i, output, seen);
            all[i] = pins(all[i] + output);
        }
    }
    let best = team_top(team.local, seen);
    var others: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items() && first + i < team.items; i++) {
            let term = exact_term(team, first + i, best.high);
            others[i] = pins(others[i] + but(best.column, first + i, term));
        }
    }
    let both = lanes_sums(team.local, others, all);
    if gradients == 1u {
        let scale = quotient(1.0, pin(1.0 + both.x));
        for (var item = team.lane; item < team.items; item += lanes) {
            put(team, item, softmax_slope(exact_term(team, item, best.high), scale, label, item));
        }
    }
    return entropy(team, label, best, both);
}

fn exact_term(team: Team, item: u32, high: f32) -> Value {
    return exp_negatives(pins(value_of(outputs[team.first + item]) - high));
}

// What an error adds to a loss of errors.
fn error_term(error: Value) -> Value {
    switch kind {
        case LOSS_HUBER: {
            let inner = min(abs(error), Value(params.parameter));
            return pins(inner * pins(abs(error) - pins(0.5 * inner)));
        }
        default: { return pins(error * error); }
    }
}

// The derivative of `error_term`.
fn error_slope(error: Value) -> Value {
    switch kind {
        case LOSS_HUBER: {
            return clamp(error, Value(-params.parameter), Value(params.parameter));
        }
        default: { return pins(2.0 * error); }
    }
}

fn exact_errors(team: Team) -> vec2<f32> {
    var sums: Lanes;
    let factor = pin(params.share * step.inverse);
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items() && first + i < team.items; i++) {
            let at = team.first + first + i;
            let error = pins(value_of(outputs[at]) - value_of(targets[at]));
            sums[i] = pins(sums[i] + error_term(error));
            if gradients == 1u {
                put(team, first + i, pins(error_slope(error) * factor));
            }
        }
    }
    return vec2<f32>(pin(lanes_sum(team.local, sums) * params.share), 0.0);
}

fn of_errors(team: Team) -> vec2<f32> {
    if exact == 1u {
        return exact_errors(team);
    }
    var sum = Value(0.0);
    for (var item = team.lane; item < team.items; item += stride()) {
        let outputs = held_outputs(team, item);
        let wanted = held_targets(team, item);
        let errors = Held(
            outputs.a - wanted.a,
            outputs.b - wanted.b,
            outputs.c - wanted.c,
            outputs.d - wanted.d,
        );
        let terms = Held(
            error_term(errors.a),
            error_term(errors.b),
            error_term(errors.c),
            error_term(errors.d),
        );
        sum += held_sum(inside_all(team, item, terms));
        if gradients == 1u {
            let factor = params.share * step.inverse;
            let slopes = Held(
                error_slope(errors.a) * factor,
                error_slope(errors.b) * factor,
                error_slope(errors.c) * factor,
                error_slope(errors.d) * factor,
            );
            put_all(team, item, slopes);
        }
    }
    let all = team_sum(team.local, vec2<f32>(total(sum), 0.0)).x;
    return vec2<f32>(all * params.share, 0.0);
}

// The terms of a binary cross-entropy, and whether each is right.
struct Binary {
    terms: Value,
    right: Value,
}

fn binary(team: Team, item: u32, output: Value, wanted: Value, sums: Binary) -> Binary {
    let small = exp_negatives(-abs(output));
    let above = output > Value(0.0);
    if gradients == 1u {
        let probability = quotients(select(small, Value(1.0), above), pins(1.0 + small));
        let factor = pin(params.share * step.inverse);
        put(team, item, pins(pins(probability - wanted) * factor));
    }
    // Of a positive output 1 - t is what is lost of it, of a negative one t.
    let lost = pins(select(-output * wanted, output * pins(1.0 - wanted), above));
    let right = select(Value(0.0), Value(1.0), above == (wanted > Value(0.5)));
    return Binary(
        pins(sums.terms + inside(team, item, pins(lost + log1p_units(small)))),
        sums.right + inside(team, item, right),
    );
}

fn binary_all(team: Team, item: u32, outputs: Held, wanted: Held, sums: Binary) -> Binary {
    var all = binary(team, item, outputs.a, wanted.a, sums);
    if taken() == 1u {
        return all;
    }
    all = binary(team, item + lanes, outputs.b, wanted.b, all);
    all = binary(team, item + 2u * lanes, outputs.c, wanted.c, all);
    return binary(team, item + 3u * lanes, outputs.d, wanted.d, all);
}

fn exact_several(team: Team, label: u32) -> vec2<f32> {
    var seen = unseen(team);
    var terms: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items() && first + i < team.items; i++) {
            let item = first + i;
            let output = value_of(outputs[team.first + item]);
            seen = see(team, item, output, seen);
            let none = Binary(terms[i], Value(0.0));
            terms[i] = binary(team, item, output, one_at(label, item), none).terms;
        }
    }
    let best = team_top(team.local, seen);
    let loss = pin(lanes_sum(team.local, terms) * params.share);
    return vec2<f32>(whole(loss, best.size), select(0.0, 1.0, best.column == label));
}

fn exact_binary(team: Team) -> vec2<f32> {
    var seen = unseen(team);
    var terms: Lanes;
    var rights: Lanes;
    for (var first = team.lane; first < team.items; first += EXACT_ITEMS) {
        for (var i = 0u; i < own_items() && first + i < team.items; i++) {
            let at = team.first + first + i;
            let output = value_of(outputs[at]);
            seen = see(team, first + i, output, seen);
            let before = Binary(terms[i], rights[i]);
            let after = binary(team, first + i, output, value_of(targets[at]), before);
            terms[i] = after.terms;
            rights[i] = after.right;
        }
    }
    let size = team_top(team.local, seen).size;
    let both = lanes_sums(team.local, terms, rights) * params.share;
    return vec2<f32>(whole(pin(both.x), size), pin(both.y));
}

fn one_of_several(team: Team, label: u32) -> vec2<f32> {
    if exact == 1u {
        return exact_several(team, label);
    }
    var seen = unseen(team);
    var sums = Binary(Value(0.0), Value(0.0));
    for (var item = team.lane; item < team.items; item += stride()) {
        let outputs = held_outputs(team, item);
        let wanted = Held(
            one_at(label, item),
            one_at(label, item + lanes),
            one_at(label, item + 2u * lanes),
            one_at(label, item + 3u * lanes),
        );
        seen = see_all(team, item, outputs, seen);
        sums = binary_all(team, item, outputs, wanted, sums);
    }
    let best = team_top(team.local, seen);
    let sum = team_sum(team.local, vec2<f32>(total(sums.terms), 0.0)).x;
    let right = select(0.0, 1.0, best.column == label);
    return vec2<f32>(whole(sum * params.share, best.size), right);
}

fn binary_cross_entropy(team: Team) -> vec2<f32> {
    if exact == 1u {
        return exact_binary(team);
    }
    var seen = unseen(team);
    var sums = Binary(Value(0.0), Value(0.0));
    for (var item = team.lane; item < team.items; item += stride()) {
        let outputs = held_outputs(team, item);
        seen = see_all(team, item, outputs, seen);
        sums = binary_all(team, item, outputs, held_targets(team, item), sums);
    }
    let size = team_top(team.local, seen).size;
    let own = vec2<f32>(total(sums.terms), total(sums.right));
    let both = team_sum(team.local, own) * params.share;
    return vec2<f32>(whole(both.x, size), both.y);
}

fn held_targets(team: Team, item: u32) -> Held {
    return Held(
        value_of(targets[place_of(team, item)]),
        value_of(targets[place_of(team, item + lanes)]),
        value_of(targets[place_of(team, item + 2u * lanes)]),
        value_of(targets[place_of(team, item + 3u * lanes)]),
    );
}

// The team of a row that has a loss: a row of no example is as one beyond the last, and has a gradient
// of 0.
fn team_of_example(index: u32, local: u32) -> Team {
    let row = index / lanes;
    if gradients == 1u && row >= step.rows && row < params.rows {
        let items = params.columns / SIDES;
        for (var item = index % lanes; item < items; item += lanes) {
            gradient[row * items + item] = item_of(Value(0.0));
        }
    }
    return team_of(index, local, min(step.rows, params.rows), params.columns);
}

fn put_result(team: Team, result: vec2<f32>) {
    if team.lane == 0u && team.row < params.rows {
        results[step.slot + team.row] = select(vec2<f32>(0.0), result, team.row < step.rows);
    }
}

@compute @workgroup_size(width)
fn loss_classes(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let team = team_of_example(grid_index(id, workgroups, width), local);
    let label = classes[min(team.row, params.rows - 1u)];
    if kind == LOSS_BCE {
        put_result(team, one_of_several(team, label));
    } else {
        put_result(team, cross_entropy(team, label));
    }
}

@compute @workgroup_size(width)
fn loss_values(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let team = team_of_example(grid_index(id, workgroups, width), local);
    if kind == LOSS_BCE {
        put_result(team, binary_cross_entropy(team));
    } else {
        put_result(team, of_errors(team));
    }
}

// Each column's squared errors over a slice of rows: `sums` is [steps, slices, columns].
@compute @workgroup_size(WIDTH)
fn loss_columns(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, WIDTH);
    let slices = (params.rows + SLICE - 1u) / SLICE;
    let items = params.columns / SIDES;
    if index >= items * slices {
        return;
    }
    let first = (index / items) * SLICE;
    let last = min(first + SLICE, step.rows);
    var sum = Value(0.0);
    for (var row = first; row < last; row++) {
        let at = row * items + index % items;
        let error = pins(value_of(outputs[at]) - value_of(targets[at]));
        sum = pins(sum + pins(error * error));
    }
    sums[step.slot / params.rows * (slices * items) + index] = item_of(sum);
}
