// Folds the rows of a matrix into one: sums, a bias's gradient; weighted by a second matrix, that of a
// scale; or the least or the greatest of each column. Rows come in slices, which a second dispatch
// folds. On a GPU a workgroup takes some columns of a slice, its invocations a row each in turn; CPUs'
// drivers suspend every invocation at a barrier, so there an invocation takes a column of a slice.

struct Params {
    rows: u32,
    columns: u32,
    slices: u32,
    rows_of_slice: u32,
    // Of a workgroup's invocations, those side by side and those one below the other: powers of 2.
    across: u32,
    down: u32,
    // What lies across: columns, or fours of them.
    units: u32,
    // 0, which no compiler knows.
    zero: u32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
// What becomes of a column, as below.
override fold: u32 = 0u;
// Whether rows are whole fours of columns, and read so.
override fours: u32 = 0u;

override width: u32 = 64u;

const FOLD_SUM = 0u;
const FOLD_WEIGHTED = 1u;
const FOLD_LEAST = 2u;
const FOLD_GREATEST = 3u;

// Rows that an invocation loads at once.
const TAKEN = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> value_fours: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> weight_fours: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> result: array<f32>;

// Whether rows are added up.
fn adds() -> bool {
    return fold == FOLD_SUM || fold == FOLD_WEIGHTED;
}

fn joined(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    switch fold {
        case FOLD_LEAST: { return min(a, b); }
        case FOLD_GREATEST: { return max(a, b); }
        default: { return pin_four(a + b); }
    }
}

// What there is to fold at a place: of a column, or of four.
fn value(at: u32) -> vec4<f32> {
    if fours == 1u {
        if fold == FOLD_WEIGHTED {
            return pin_four(value_fours[at] * weight_fours[at]);
        }
        return value_fours[at];
    }
    if fold == FOLD_WEIGHTED {
        return vec4<f32>(pin(values[at] * weights[at]), 0.0, 0.0, 0.0);
    }
    return vec4<f32>(values[at], 0.0, 0.0, 0.0);
}

// A row of a slice; beyond its last row what changes no result.
fn row_or_none(row: u32, last: u32, unit: u32) -> vec4<f32> {
    let found = value(min(row, last - 1u) * params.units + unit);
    return select(found, vec4<f32>(0.0), adds() && row >= last);
}

var<workgroup> shares: array<vec4<f32>, width>;

// Adds to each invocation's share that of the one so many rows below it.
fn lanes_folded(local: u32, reach: u32) {
    workgroupBarrier();
    if ((local / params.across) & reach) == 0u {
        shares[local] = joined(shares[local], shares[local + reach * params.across]);
    }
}

// The sum of a column in the order of the exact arithmetic: row i is added to lane i % 32, and the lanes are
// folded.
const LANES = 32u;

fn exact_sum(column: u32, first: u32, last: u32) -> f32 {
    var sums: array<f32, LANES>;
    for (var row = first; row < last; row++) {
        let at = row * params.columns + column;
        let lane = (row - first) % LANES;
        if fold == FOLD_WEIGHTED {
            sums[lane] = pin(sums[lane] + pin(values[at] * weights[at]));
        } else {
            sums[lane] = pin(sums[lane] + values[at]);
        }
    }
    for (var i = 0u; i < LANES; i += 4u) {
        let even = pin(sums[i] + sums[i + 2u]);
        sums[i] = pin(even + pin(sums[i + 1u] + sums[i + 3u]));
    }
    for (var reach = LANES / 2u; reach >= 4u; reach /= 2u) {
        for (var i = 0u; i < reach; i += 4u) {
            sums[i] = pin(sums[i] + sums[i + reach]);
        }
    }
    return sums[0];
}

@compute @workgroup_size(width)
fn columns_workgroups(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    let blocks = (params.units + params.across - 1u) / params.across;
    let index = id.y * workgroups.x + id.x;
    if index >= blocks * params.slices {
        return;
    }
    let slice = index / blocks;
    let unit = (index % blocks) * params.across + local % params.across;
    // One that has no column looks at the last.
    let near = min(unit, params.units - 1u);
    let last = min((slice + 1u) * params.rows_of_slice, params.rows);
    var row = slice * params.rows_of_slice + local / params.across;
    var folded = vec4<f32>(0.0);
    if !adds() {
        folded = row_or_none(row, last, near);
    }
    while row < last {
        let a = row_or_none(row, last, near);
        let b = row_or_none(row + params.down, last, near);
        let c = row_or_none(row + 2u * params.down, last, near);
        let d = row_or_none(row + 3u * params.down, last, near);
        if exact == 1u && adds() {
            folded = joined(joined(joined(joined(folded, a), b), c), d);
        } else {
            folded = joined(folded, joined(joined(a, b), joined(c, d)));
        }
        row += TAKEN * params.down;
    }
    shares[local] = folded;
    if exact == 1u && adds() {
        // The order of the exact arithmetic: there are 32 rows one below the other.
        lanes_folded(local, 2u);
        lanes_folded(local, 1u);
        lanes_folded(local, 16u);
        lanes_folded(local, 8u);
        lanes_folded(local, 4u);
        folded = shares[local];
    } else {
        for (var reach = params.down / 2u; reach > 0u; reach /= 2u) {
            workgroupBarrier();
            if local < reach * params.across {
                folded = joined(folded, shares[local + reach * params.across]);
                shares[local] = folded;
            }
        }
    }
    if local >= params.across || unit >= params.units {
        return;
    }
    let place = slice * params.units + unit;
    if fours == 0u {
        result[place] = folded.x;
        return;
    }
    for (var column = 0u; column < 4u; column++) {
        result[4u * place + column] = folded[column];
    }
}

@compute @workgroup_size(width)
fn columns_invocations(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    zero = params.zero;
    let index = grid_index(id, workgroups, width);
    if index >= params.columns * params.slices {
        return;
    }
    let column = index % params.columns;
    let first = (index / params.columns) * params.rows_of_slice;
    let last = min(first + params.rows_of_slice, params.rows);
    if exact == 1u && adds() {
        result[index] = exact_sum(column, first, last);
        return;
    }
    var folded = select(0.0, values[first * params.columns + column], !adds());
    for (var row = first; row < last; row++) {
        let at = row * params.columns + column;
        switch fold {
            case FOLD_WEIGHTED: { folded += values[at] * weights[at]; }
            case FOLD_LEAST: { folded = min(folded, values[at]); }
            case FOLD_GREATEST: { folded = max(folded, values[at]); }
            default: { folded += values[at]; }
        }
    }
    result[index] = folded;
}
