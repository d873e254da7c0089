// Rows, and the teams of `lanes` invocations that take one each. A module that has teams has the
// constants `lanes`, a power of two, and `width`, a workgroup's invocations: whole teams; and in the
// workgroup's memory a place for each in `shares`. Where a team is one invocation, nothing waits.
//
// A row's items go to the lanes in turn, so that neighbours read neighbours, and a lane takes four
// at once: they are on their way together, and where the row is no longer than that they stay with
// it from one pass over the row to the next. A lane that is a team takes one, `a`, at a time: its rows
// are short, or its adapter is a CPU, which waits for no memory.

struct Team {
    row: u32,
    lane: u32,
    // The invocation in its workgroup.
    local: u32,
    // The row's first item in the matrix, and how many the row has: none beyond the last row.
    first: u32,
    items: u32,
    // Whether a lane has no more items than it holds.
    single: bool,
}

// Items that an invocation of a team holds of its row.
const HELD = 4u;

// What a lane takes at once of a row: `item`, and each `lanes`th after it.
struct Held {
    a: Value,
    b: Value,
    c: Value,
    d: Value,
}

fn team_of(index: u32, local: u32, rows: u32, columns: u32) -> Team {
    let row = index / lanes;
    let items = columns / SIDES;
    let real = row < rows;
    return Team(
        row,
        index % lanes,
        local,
        select(0u, row * items, real),
        select(0u, items, real),
        // A constant where a lane is a team.
        lanes > 1u && items <= HELD * lanes,
    );
}

fn nothing() -> Held {
    return Held(Value(0.0), Value(0.0), Value(0.0), Value(0.0));
}

// How many items a lane takes at once.
fn taken() -> u32 {
    return select(HELD, 1u, lanes == 1u);
}

// From a lane's item to the next that it does not hold.
fn stride() -> u32 {
    return taken() * lanes;
}

// An item's place in the matrix; beyond the row, that of the row's last.
fn place_of(team: Team, item: u32) -> u32 {
    return team.first + min(item, team.items - 1u);
}

// `value`, and 0 beyond the row.
fn inside(team: Team, item: u32, value: Value) -> Value {
    return select(Value(0.0), value, item < team.items);
}

fn inside_all(team: Team, item: u32, held: Held) -> Held {
    if taken() == 1u {
        return Held(held.a, Value(0.0), Value(0.0), Value(0.0));
    }
    return Held(
        inside(team, item, held.a),
        inside(team, item + lanes, held.b),
        inside(team, item + 2u * lanes, held.c),
        inside(team, item + 3u * lanes, held.d),
    );
}

// The next item in the place of the first, and another value in that of the last: after four, each
// stands where it stood.
fn followed(held: Held, last: Value) -> Held {
    return Held(held.b, held.c, held.d, last);
}

fn held_sum(held: Held) -> Value {
    return (held.a + held.b) + (held.c + held.d);
}

fn held_product(left: Held, right: Held) -> Held {
    return Held(left.a * right.a, left.b * right.b, left.c * right.c, left.d * right.d);
}

// The sums over a team of what each of its lanes has, for all of them: in one order. Every invocation
// of the workgroup is to come here.
fn team_sum(local: u32, own: vec2<f32>) -> vec2<f32> {
    if lanes == 1u {
        return own;
    }
    // The last sum is read.
    workgroupBarrier();
    shares[local] = own;
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if local % lanes < reach {
            shares[local] += shares[local + reach];
        }
    }
    workgroupBarrier();
    return shares[local / lanes * lanes];
}

// Sums in the order of the exact arithmetic: element i of a row is added to lane i % 32, and the lanes are
// folded: those that lie 2, 1, 16, 8, 4 apart. A team has an invocation for each item of 32 elements, or
// is one that goes through them in turn.
const EXACT_ITEMS = 32u / SIDES;

alias Lanes = array<Value, EXACT_ITEMS>;

// The items of 32 elements that an invocation goes through: the `i`th is `team.lane + i` items on.
fn own_items() -> u32 {
    return select(1u, EXACT_ITEMS, lanes == 1u);
}

fn folded(own: Lanes) -> f32 {
    if SIDES == 4u {
        // By constant numbers, so that they need not lie in memory.
        let first = pin(total(own[0u]) + total(own[4u]));
        let second = pin(total(own[1u]) + total(own[5u]));
        let third = pin(total(own[2u]) + total(own[6u]));
        let fourth = pin(total(own[3u]) + total(own[7u]));
        return pin(pin(first + third) + pin(second + fourth));
    }
    var sums: array<f32, EXACT_ITEMS>;
    for (var i = 0u; i < EXACT_ITEMS; i++) {
        sums[i] = total(own[i]);
    }
    if SIDES == 1u {
        for (var i = 0u; i < EXACT_ITEMS; i += 4u) {
            let even = pin(sums[i] + sums[i + 2u]);
            sums[i] = pin(even + pin(sums[i + 1u] + sums[i + 3u]));
        }
    }
    for (var reach = EXACT_ITEMS / 2u; reach >= 4u / SIDES; reach /= 2u) {
        for (var i = 0u; i < reach; i += 4u / SIDES) {
            sums[i] = pin(sums[i] + sums[i + reach]);
        }
    }
    return sums[0];
}

// Adds to each invocation's share that of the one so far behind it.
fn shares_folded(local: u32, reach: u32) {
    workgroupBarrier();
    if (local & reach) == 0u {
        let sums = shares[local] + shares[local + reach];
        shares[local] = vec2<f32>(pin(sums.x), pin(sums.y));
    }
}

// As `team_sum`, of two sums.
fn lanes_sums(local: u32, one: Lanes, other: Lanes) -> vec2<f32> {
    if lanes == 1u {
        return vec2<f32>(folded(one), folded(other));
    }
    workgroupBarrier();
    shares[local] = vec2<f32>(total(one[0]), total(other[0]));
    if SIDES == 1u {
        shares_folded(local, 2u);
        shares_folded(local, 1u);
    }
    for (var reach = EXACT_ITEMS / 2u; reach >= 4u / SIDES; reach /= 2u) {
        shares_folded(local, reach);
    }
    workgroupBarrier();
    return shares[local / lanes * lanes];
}

fn lanes_sum(local: u32, own: Lanes) -> f32 {
    var none: Lanes;
    return lanes_sums(local, own, none).x;
}
