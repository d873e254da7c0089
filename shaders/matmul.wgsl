// out = epilogue(sum over depth of A[row, depth] B[depth, column]), whichever way A and B lie in memory,
// so that X W^T, dY W and dY^T X are one kernel. `matmul_tiled` goes through workgroup memory,
// `matmul_thin` is for few rows, and `matmul_direct`, for software adapters, has no barrier and few
// loads. A long depth may be split over workgroups, whose sums `matmul_join` adds in their order.

struct Params {
    // Of the result.
    rows: u32,
    columns: u32,
    // The stretch of the depth that this dispatch adds up, and how much of it a workgroup does.
    first_depth: u32,
    end_depth: u32,
    split_depth: u32,
    // Splits, where each leaves its own sums and no more.
    splits: u32,
    // Elements from one line of A and of B to the next.
    a_stride: u32,
    b_stride: u32,
    // The row that this dispatch begins with; a multiple of every tile's.
    first_row: u32,
    // The parts of the epilogue, as below.
    flags: u32,
    // The nonlinearity's.
    parameter: f32,
    // Dropout keeps words from here on, times this.
    threshold: u32,
    key: vec2<u32>,
    id: vec2<u32>,
    scale: f32,
    // 0, which no compiler knows.
    zero: u32,
}

// 1 where results are those of the exact arithmetic (lib/exact.wgsl).
override exact: u32 = 0u;
// Significant bits that a product's factor is rounded to, by integers, where it is read: 12 or 24; 0 where it
// is as it is to be.
override significant: u32 = 0u;
// 1 where products are rounded before they are added: not those of 12 bits, which are exact.
override unfused: u32 = 0u;
// 1 where sums are hidden from compilers that may regroup them.
override guarded: u32 = 0u;
// matmul_direct: 1 where an exact sum has several stretches.
override long: u32 = 0u;
override dtype: u32 = 0u;
// The code of the nonlinearity.
override activation: u32 = 0u;
// 1 where the sums of A's rows are wanted, else 0.
override row_sums: u32 = 0u;
// 1 where the depth is no multiple of 4, else 0.
override ragged: u32 = 0u;
// 1 where a line of A is a depth, its rows side by side; 0 where it is a row.
override a_rows: u32 = 0u;
// 1 where a line of B is a depth, its columns side by side; 0 where it is a column.
override b_columns: u32 = 0u;
// matmul_tiled: the rows and columns of a tile, how many quads of each an invocation takes (1 or 2),
// the slices of a workgroup (1, 2 or 4), the depths of a slice in a stage (8 or 16), what lies between
// four depths and the next, and the invocations of a workgroup.
override tile_rows: u32 = 64u;
override tile_columns: u32 = 64u;
override row_quads: u32 = 2u;
override column_quads: u32 = 2u;
override slices: u32 = 1u;
override slice_depth: u32 = 16u;
override padding: u32 = 2u;
override width: u32 = 64u;

const ADD = 1u;
const BIAS = 2u;
const BEFORE = 4u;
const RAW = 8u;
const VALUE = 16u;
const DERIVATIVE = 32u;
const DROPOUT = 64u;
const AFTER = 128u;

@group(0) @binding(0) var<storage, read> a: array<Load>;
@group(0) @binding(1) var<storage, read> b: array<Load>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
// What an epilogue keeps of each element, or the sums of A's rows: no product has both.
@group(0) @binding(3) var<storage, read_write> beside: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> before: array<f32>;
@group(0) @binding(6) var<storage, read> z: array<f32>;
@group(0) @binding(7) var<storage, read> after: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;
@group(0) @binding(9) var<uniform> steps: Step;

// Read once: to a device that is a CPU each read of a uniform is one a lane. What barriers depend on is
// read from the uniform itself: a compiler takes what is private for each invocation's own.
var<private> p: Params;

const QUAD = vec4<u32>(0u, 1u, 2u, 3u);

// Where the first elements of four rows or columns lie. Those beyond the last are read as the last, and
// never stored.
fn bases(first: u32, count: u32, stride: u32, across: u32) -> vec4<u32> {
    let all = min(first + QUAD, vec4<u32>(count - 1u));
    return select(all * stride, all, across == 1u);
}

fn left_bases(row: u32) -> vec4<u32> {
    return bases(row, p.rows, p.a_stride, a_rows);
}

fn right_bases(column: u32) -> vec4<u32> {
    return bases(column, p.columns, p.b_stride, b_columns);
}

// Four depths from one on; those beyond the end are read as the last.
fn depths(depth: u32) -> vec4<u32> {
    if ragged == 0u {
        return depth + QUAD;
    }
    return min(depth + QUAD, vec4<u32>(p.end_depth - 1u));
}

// Both factors are 0 beyond the end: 0 times an infinity would be NaN.
fn inside(block: mat4x4<f32>, depth: u32) -> mat4x4<f32> {
    if ragged == 0u {
        return block;
    }
    let kept = depth + QUAD < vec4<u32>(p.end_depth);
    let none = vec4<f32>();
    return mat4x4<f32>(
        select(none, block[0], kept),
        select(none, block[1], kept),
        select(none, block[2], kept),
        select(none, block[3], kept),
    );
}

// Where four depths of four rows, or columns, lie: four lines in memory, a depth each where the rows
// stand across them, else a row each.
fn places(first: vec4<u32>, depth: u32, stride: u32, across: u32) -> array<vec4<u32>, 4> {
    let at = depths(depth);
    if across == 1u {
        let lines = at * stride;
        return array(first + lines.x, first + lines.y, first + lines.z, first + lines.w);
    }
    return array(first.x + at, first.y + at, first.z + at, first.w + at);
}

// Factors as an exact product takes them.
fn rounded(block: mat4x4<f32>) -> mat4x4<f32> {
    if significant == 0u {
        return block;
    }
    return mat4x4<f32>(
        factors(block[0]),
        factors(block[1]),
        factors(block[2]),
        factors(block[3]),
    );
}

// What those lines hold, a row each.
fn rows_of(lines: mat4x4<f32>, depth: u32, across: u32) -> mat4x4<f32> {
    if across == 1u {
        return inside(rounded(transpose(lines)), depth);
    }
    return inside(rounded(lines), depth);
}

// Four depths of four rows: a row each.
fn left_rows(first: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let at = places(first, depth, p.a_stride, a_rows);
    let lines = mat4x4<f32>(left_four(at[0]), left_four(at[1]), left_four(at[2]), left_four(at[3]));
    return rows_of(lines, depth, a_rows);
}

// Four depths of four columns: a column each.
fn right_columns(first: vec4<u32>, depth: u32) -> mat4x4<f32> {
    let at = places(first, depth, p.b_stride, b_columns);
    let lines =
        mat4x4<f32>(right_four(at[0]), right_four(at[1]), right_four(at[2]), right_four(at[3]));
    return rows_of(lines, depth, b_columns);
}

fn has(part: u32) -> bool {
    return (p.flags & part) != 0u;
}

// The epilogue of four elements of a row, from a column that is a multiple of 4. Its loop, and those
// around it, have bounds that a compiler does not know: 128 copies of it would take seconds.
fn finish(row: u32, column: u32, sums: vec4<f32>) {
    var words = vec4<u32>();
    if has(DROPOUT) {
        let group = column / 4u;
        words = dropout_words(row, group, p.columns, steps.step, p.id, p.key);
    }
    var values = sums;
    let count = min(4u, max(p.columns, column) - column);
    for (var i = 0u; i < count; i++) {
        let at = row * p.columns + column + i;
        var t = values[i];
        if has(ADD) {
            t = pin(t + out[at]);
        }
        if has(BIAS) {
            t = pin(t + bias[column + i]);
        }
        if has(BEFORE) {
            t = pin(t + before[at]);
        }
        if has(RAW) {
            beside[at] = t;
        }
        if has(VALUE) {
            t = activation_value(activation, p.parameter, t);
        }
        if has(DERIVATIVE) {
            t = pin(t * activation_derivative(activation, p.parameter, z[at]));
        }
        if has(DROPOUT) {
            t = select(0.0, pin(t * p.scale), words[i] >= p.threshold);
        }
        if has(AFTER) {
            t = pin(t + after[at]);
        }
        out[at] = t;
    }
}

// A workgroup's part of the depth: from, to, and which split it is.
fn stretch(split: u32) -> vec2<u32> {
    let first = params.first_depth + split * params.split_depth;
    return vec2<u32>(first, min(first + params.split_depth, params.end_depth));
}

// The tile of a workgroup, as tile_at has it.
fn own_tile(group: vec3<u32>, groups: vec3<u32>, rows: u32, columns: u32) -> vec3<u32> {
    let index = grid_index(group, groups, 1u);
    return tile_at(index, params.first_row, params.rows, params.columns, rows, columns);
}

// Four sums of a row, with the epilogue or into the split's own place.
fn leave(row: u32, column: u32, sums: vec4<f32>, split: u32) {
    if p.splits == 1u {
        finish(row, column, sums);
        return;
    }
    let first = (split * p.rows + row) * p.columns;
    let count = min(4u, max(p.columns, column) - column);
    for (var i = 0u; i < count; i++) {
        out[first + column + i] = sums[i];
    }
}

// The sums of four rows of A, in their place or in the split's own: after all splits of the result.
fn leave_rows(row: u32, sums: vec4<f32>, split: u32) {
    let count = min(4u, max(p.rows, row) - row);
    for (var i = 0u; i < count; i++) {
        if p.splits > 1u {
            out[(p.splits * p.columns + split) * p.rows + row + i] = sums[i];
        } else if has(ADD) {
            beside[row + i] = pin(beside[row + i] + sums[i]);
        } else {
            beside[row + i] = sums[i];
        }
    }
}

// The sum of each row of a block.
fn sums_across(rows: mat4x4<f32>) -> vec4<f32> {
    return vec4<f32>(1.0) * rows;
}

// A tile a workgroup. Its depth is taken in stages, of which each slice of the invocations multiplies its
// own part, so that small products have enough invocations; what the slices have is added up at the end,
// in their order. There is room for two stages: one is filled while the other is multiplied, and one
// barrier a stage is enough. An invocation has the quads of rows and columns that stand at its place in
// the tile's halves, or in the whole where it takes one of each.

// Of each stage, by four depths: a quad of A's rows after another for each depth, what keeps stores of
// neighbours on different banks, then the same of B's columns.
var<workgroup> staged: array<vec4<f32>,
    slices * slice_depth / 2u * (tile_rows + tile_columns + 2u * padding)>;

fn stage_depth() -> u32 {
    return slices * slice_depth;
}

// From four depths to the next, and from a stage to the other.
fn pitch(lines: u32) -> u32 {
    return lines + padding;
}

fn half() -> u32 {
    return stage_depth() / 4u * (pitch(tile_rows) + pitch(tile_columns));
}

// What an invocation loads of a stage: blocks of 4 x 4, at slots of A first, then of B.
struct Slot {
    of_a: bool,
    // The first of four rows, or columns; of the matrix.
    line: u32,
    // The first of four depths; of the stage.
    depth: u32,
    // Where the block goes.
    at: u32,
}

// Neighbours load neighbours, whichever way the matrix lies.
fn slot_of(index: u32, row: u32, column: u32) -> Slot {
    let fours = stage_depth() / 4u;
    let slots_of_a = fours * (tile_rows / 4u);
    let of_a = index < slots_of_a;
    let own = select(index - slots_of_a, index, of_a);
    let quads = select(tile_columns, tile_rows, of_a) / 4u;
    let side_by_side = select(b_columns, a_rows, of_a) == 1u;
    let quad = select(own / fours, own % quads, side_by_side);
    let four = select(own % fours, own / quads, side_by_side);
    let first = select(fours * pitch(tile_rows) + four * pitch(tile_columns), four * pitch(tile_rows), of_a);
    return Slot(of_a, select(column, row, of_a) + 4u * quad, 4u * four, first + quad);
}

// A slot's block of the stage that starts at a depth, as [depth] of four lines.
fn load_block(slot: Slot, stage: u32, end: u32) -> mat4x4<f32> {
    let depth = stage + slot.depth;
    // Beyond the end nothing is read: after the last line there may be no memory.
    if depth < end {
        if slot.of_a {
            return transpose(left_rows(left_bases(slot.line), depth));
        }
        return transpose(right_columns(right_bases(slot.line), depth));
    }
    return mat4x4<f32>();
}

fn store_block(slot: Slot, side: u32, block: mat4x4<f32>) {
    let at = side * half() + slot.at;
    let step = select(tile_columns, tile_rows, slot.of_a) / 4u;
    staged[at] = block[0];
    staged[at + step] = block[1];
    staged[at + 2u * step] = block[2];
    staged[at + 3u * step] = block[3];
}

// sum + a * b.
fn added(sum: vec4<f32>, a: f32, b: vec4<f32>) -> vec4<f32> {
    if unfused == 1u {
        return guarded_sum(sum, hidden_four(a * b));
    }
    return guarded_sum(sum, a * b);
}

// sum + more, of factors.
fn guarded_sum(sum: vec4<f32>, more: vec4<f32>) -> vec4<f32> {
    if guarded == 1u {
        return hidden_four(sum + more);
    }
    return sum + more;
}

// Sums of a quad of rows and a quad of columns.
alias Quarter = array<vec4<f32>, 4>;

fn add_outer(sums: ptr<function, Quarter>, of_a: vec4<f32>, of_b: vec4<f32>) {
    (*sums)[0] = added((*sums)[0], of_a.x, of_b);
    (*sums)[1] = added((*sums)[1], of_a.y, of_b);
    (*sums)[2] = added((*sums)[2], of_a.z, of_b);
    (*sums)[3] = added((*sums)[3], of_a.w, of_b);
}

// Of one invocation's quads of rows, the sums of the factors themselves.
var<private> ones_low: vec4<f32>;
var<private> ones_high: vec4<f32>;

// One depth, of which an invocation's quads of A and of B lie at these places.
fn add_depth(
    of_a: u32,
    of_b: u32,
    low_low: ptr<function, Quarter>,
    low_high: ptr<function, Quarter>,
    high_low: ptr<function, Quarter>,
    high_high: ptr<function, Quarter>,
) {
    // All on their way before the first is waited for.
    let a_low = staged[of_a];
    let b_low = staged[of_b];
    var a_high: vec4<f32>;
    var b_high: vec4<f32>;
    if row_quads == 2u {
        a_high = staged[of_a + tile_rows / 8u];
    }
    if column_quads == 2u {
        b_high = staged[of_b + tile_columns / 8u];
    }
    if exact == 1u && row_sums == 1u {
        ones_low = guarded_sum(ones_low, a_low);
        ones_high = guarded_sum(ones_high, a_high);
    }
    add_outer(low_low, a_low, b_low);
    if column_quads == 2u {
        add_outer(low_high, a_low, b_high);
    }
    if row_quads == 2u {
        add_outer(high_low, a_high, b_low);
        if column_quads == 2u {
            add_outer(high_high, a_high, b_high);
        }
    }
}

// Written out: no compiler unrolls a loop over them, which costs a third of the speed.
fn add_four(
    of_a: u32,
    of_b: u32,
    low_low: ptr<function, Quarter>,
    low_high: ptr<function, Quarter>,
    high_low: ptr<function, Quarter>,
    high_high: ptr<function, Quarter>,
) {
    let a_step = tile_rows / 4u;
    let b_step = tile_columns / 4u;
    add_depth(of_a, of_b, low_low, low_high, high_low, high_high);
    add_depth(of_a + a_step, of_b + b_step, low_low, low_high, high_low, high_high);
    add_depth(of_a + 2u * a_step, of_b + 2u * b_step, low_low, low_high, high_low, high_high);
    add_depth(of_a + 3u * a_step, of_b + 3u * b_step, low_low, low_high, high_low, high_high);
}

@compute @workgroup_size(width)
fn matmul_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    p = params;
    let tile = own_tile(group, groups, tile_rows, tile_columns);
    let row = tile.x;
    let column = tile.y;
    let split = tile.z;
    if split >= params.splits {
        return;
    }
    let span = stretch(split);
    // 32 invocations stand 4 x 8, so that they read few quads at a time.
    let lanes = width / slices;
    let slice = local / lanes;
    let lane = local % lanes;
    let across = max(tile_columns / (32u * column_quads), 1u);
    let x = lane / 32u % across * 8u + lane % 8u;
    let y = lane / 32u / across * 4u + lane % 32u / 8u;
    let a_step = pitch(tile_rows);
    let b_step = pitch(tile_columns);
    let first_a = slice * (slice_depth / 4u) * a_step + y;
    let first_b = stage_depth() / 4u * a_step + slice * (slice_depth / 4u) * b_step + x;
    var low_low: Quarter;
    var low_high: Quarter;
    var high_low: Quarter;
    var high_high: Quarter;
    // Of what this invocation loads of A: of the first slot alone, since no second one is A's.
    var of_rows: vec4<f32>;
    let slots = stage_depth() * (tile_rows + tile_columns) / 16u;
    let one = local < slots;
    let two = local + width < slots;
    let first_slot = slot_of(local, row, column);
    let second_slot = slot_of(local + width, row, column);
    var first_block: mat4x4<f32>;
    var second_block: mat4x4<f32>;
    if one {
        first_block = load_block(first_slot, span.x, span.y);
        store_block(first_slot, 0u, first_block);
        if row_sums == 1u && exact == 0u {
            of_rows = first_block * vec4<f32>(1.0);
        }
    }
    if two {
        second_block = load_block(second_slot, span.x, span.y);
        store_block(second_slot, 0u, second_block);
    }
    workgroupBarrier();
    var side = 0u;
    for (var depth = span.x; depth < span.y; depth += stage_depth()) {
        // What comes next is on its way while what is here is multiplied.
        let next = depth + stage_depth();
        if next < span.y {
            if one {
                first_block = load_block(first_slot, next, span.y);
            }
            if two {
                second_block = load_block(second_slot, next, span.y);
            }
        }
        let of_a = side * half() + first_a;
        let of_b = side * half() + first_b;
        add_four(of_a, of_b, &low_low, &low_high, &high_low, &high_high);
        add_four(of_a + a_step, of_b + b_step, &low_low, &low_high, &high_low, &high_high);
        if slice_depth == 16u {
            add_four(of_a + 2u * a_step, of_b + 2u * b_step, &low_low, &low_high, &high_low, &high_high);
            add_four(of_a + 3u * a_step, of_b + 3u * b_step, &low_low, &low_high, &high_low, &high_high);
        }
        side = 1u - side;
        if next < span.y {
            if one {
                store_block(first_slot, side, first_block);
                if row_sums == 1u && exact == 0u {
                    of_rows += first_block * vec4<f32>(1.0);
                }
            }
            if two {
                store_block(second_slot, side, second_block);
            }
        }
        workgroupBarrier();
    }
    if row_sums == 1u && exact == 1u && column == 0u && x == 0u {
        leave_rows(row + 4u * y, ones_low, split);
        if row_quads == 2u {
            leave_rows(row + 4u * (y + tile_rows / 8u), ones_high, split);
        }
    }
    if row_sums == 1u && exact == 0u && column == 0u {
        let fours = stage_depth() / 4u;
        let quads = tile_rows / 4u;
        if local < fours * quads {
            staged[local] = of_rows;
        }
        workgroupBarrier();
        if local < quads {
            let first = select(local * fours, local, a_rows == 1u);
            let step = select(1u, quads, a_rows == 1u);
            var total: vec4<f32>;
            for (var i = 0u; i < fours; i++) {
                total += staged[first + i * step];
            }
            leave_rows(row + 4u * local, total, split);
        }
        workgroupBarrier();
    }
    var quarters = array<Quarter, 4>(low_low, low_high, high_low, high_high);
    // A slice leaves some of the rows.
    let own_rows = 4u / slices;
    for (var high = 0u; high < row_quads; high++) {
        for (var right = 0u; right < column_quads; right++) {
            var sums = quarters[2u * high + right];
            if slices > 1u {
                for (var i = 0u; i < 4u; i++) {
                    staged[i * width + local] = sums[i];
                }
                workgroupBarrier();
                for (var i = 0u; i < own_rows; i++) {
                    let at = (slice * own_rows + i) * width + lane;
                    var total = staged[at];
                    for (var other = 1u; other < slices; other++) {
                        total += staged[at + other * lanes];
                    }
                    sums[i] = total;
                }
                workgroupBarrier();
            }
            let first = row + 4u * (y + high * (tile_rows / 8u)) + slice * own_rows;
            let count = min(own_rows, max(p.rows, first) - first);
            for (var i = 0u; i < count; i++) {
                leave(first + i, column + 4u * (x + right * (tile_columns / 8u)), sums[i], split);
            }
        }
    }
}

// Four rows a workgroup, quads of columns side by side and quads of depths in turn: as many of each
// as read neighbours, and where depths are shared out, their sums come together at the end.
var<workgroup> thin_sums: array<mat4x4<f32>, 64>;
var<workgroup> thin_rows: array<vec4<f32>, 16>;

@compute @workgroup_size(64)
fn matmul_thin(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    p = params;
    // Quads of columns, and the lanes of each.
    let columns = select(4u, 16u, b_columns == 1u);
    let lanes = 64u / columns;
    let tile = own_tile(group, groups, 4u, 4u * columns);
    let row = tile.x;
    let split = tile.z;
    if split >= params.splits {
        return;
    }
    let x = select(local / lanes, local % columns, b_columns == 1u);
    let lane = select(local % lanes, local / columns, b_columns == 1u);
    let column = tile.y + 4u * x;
    let span = stretch(split);
    let of_rows = left_bases(row);
    let of_columns = right_bases(column);
    var sums: mat4x4<f32>;
    var row_parts: vec4<f32>;
    for (var depth = span.x + 4u * lane; depth < span.y; depth += 4u * lanes) {
        let of_a = left_rows(of_rows, depth);
        let of_b = transpose(right_columns(of_columns, depth));
        sums += of_b * of_a;
        if row_sums == 1u {
            row_parts += sums_across(of_a);
        }
    }
    thin_sums[x * lanes + lane] = sums;
    if row_sums == 1u && x == 0u {
        thin_rows[lane] = row_parts;
    }
    for (var reach = lanes / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if lane < reach {
            thin_sums[x * lanes + lane] += thin_sums[x * lanes + lane + reach];
        }
    }
    if lane > 0u {
        return;
    }
    if row_sums == 1u && column == 0u {
        var total: vec4<f32>;
        for (var i = 0u; i < lanes; i++) {
            total += thin_rows[i];
        }
        leave_rows(row, total, split);
    }
    let count = min(4u, p.rows - row);
    for (var i = 0u; i < count; i++) {
        leave(row + i, column, thin_sums[x * lanes][i], split);
    }
}

fn joined(sums: vec4<f32>, more: vec4<f32>) -> vec4<f32> {
    return pin_four(sums + more);
}

// The sums of the splits, which stand where A does, and the epilogue. Those of one split may be any
// values: an elementwise operation.
@compute @workgroup_size(64)
fn matmul_join(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    p = params;
    let index = grid_index(group, groups, 1u) * 64u + local;
    let across = (p.columns + 3u) / 4u;
    let row = index / across;
    if row >= p.rows {
        return;
    }
    let column = 4u * (index % across);
    let at = min(column + QUAD, vec4<u32>(p.columns - 1u)) + row * p.columns;
    let step = p.rows * p.columns;
    var sums = vec4<f32>();
    var next = 0u;
    if p.splits == 1u {
        // Not added to 0, so that -0 stays.
        sums = left_four(at);
        next = 1u;
    }
    for (; next + 4u <= p.splits; next += 4u) {
        // All on their way before the first is waited for.
        let first = left_four(at + next * step);
        let second = left_four(at + (next + 1u) * step);
        let third = left_four(at + (next + 2u) * step);
        let fourth = left_four(at + (next + 3u) * step);
        sums = joined(joined(joined(joined(sums, first), second), third), fourth);
    }
    for (; next < p.splits; next++) {
        sums = joined(sums, left_four(at + next * step));
    }
    finish(row, column, sums);
    if row_sums == 1u && column == 0u {
        let first = p.splits * step + row;
        var total = 0.0;
        for (var split = 0u; split < p.splits; split++) {
            total = pin(total + left_four(vec4<u32>(first + split * p.rows)).x);
        }
        beside[row] = total;
    }
}

// Eight lanes share a block of 32 x 32: each has 4 columns, and loads 4 rows of A for all.
const LANES = 8u;
const BLOCK = 32u;
// Depths of an exact product that are one sum.
const STRETCH = 256u;

// The sums of a block of 32 rows over some depths, of a lane's four columns.
fn block_sums(row: u32, column: u32, lane: u32, first: u32, end: u32) -> array<vec4<f32>, 32> {
    var registers: array<vec4<f32>, 32>;
    // Made here, since no compiler of a software driver takes them out of the loop.
    let of_rows = left_bases(row + 4u * lane);
    let of_columns = right_bases(column);
    for (var depth = first; depth < end; depth += 4u) {
        let own = left_rows(of_rows, depth);
        let of_b = transpose(right_columns(of_columns, depth));
        // Written out: the number of a register is a constant.
        add_rows(&registers, 0u, share(own, 0u, row, depth), of_b);
        add_rows(&registers, 4u, share(own, 1u, row, depth), of_b);
        add_rows(&registers, 8u, share(own, 2u, row, depth), of_b);
        add_rows(&registers, 12u, share(own, 3u, row, depth), of_b);
        add_rows(&registers, 16u, share(own, 4u, row, depth), of_b);
        add_rows(&registers, 20u, share(own, 5u, row, depth), of_b);
        add_rows(&registers, 24u, share(own, 6u, row, depth), of_b);
        add_rows(&registers, 28u, share(own, 7u, row, depth), of_b);
    }
    return registers;
}

@compute @workgroup_size(64)
fn matmul_direct(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    zero = params.zero;
    p = params;
    let block = grid_index(group, groups, 1u) * LANES + local / LANES;
    let lane = local % LANES;
    let across = (p.columns + BLOCK - 1u) / BLOCK;
    let down = (p.rows - p.first_row + BLOCK - 1u) / BLOCK;
    // Down strips of 8 blocks' width: what a strip needs of B stays in the cache on its way.
    let strip_width = min(across, LANES);
    let strip = block / (down * strip_width);
    let place = block % (down * strip_width);
    let row = p.first_row + place / strip_width * BLOCK;
    let column_block = strip * strip_width + place % strip_width;
    let column = column_block * BLOCK + 4u * lane;
    // All lanes of a block or none: those beyond the last column load for the others.
    if column_block >= across {
        return;
    }
    var sums: array<vec4<f32>, 32>;
    if long == 1u {
        for (var first = p.first_depth; first < p.end_depth; first += STRETCH) {
            var own = block_sums(row, column, lane, first, min(first + STRETCH, p.end_depth));
            for (var i = 0u; i < BLOCK; i++) {
                sums[i] = guarded_sum(sums[i], own[i]);
            }
        }
    } else {
        // Copied, so that the sums stay in registers while they are made.
        sums = block_sums(row, column, lane, p.first_depth, p.end_depth);
    }
    let count = min(BLOCK, p.rows - row);
    for (var i = 0u; i < count; i++) {
        finish(row + i, column, sums[i]);
    }
    // Anew, and of the first blocks alone: the loop above has no register to spare.
    if row_sums == 1u && column_block == 0u {
        let of_rows = left_bases(row + 4u * lane);
        var total: vec4<f32>;
        var sums_before: vec4<f32>;
        for (var depth = p.first_depth; depth < p.end_depth; depth += 4u) {
            let rows = left_rows(of_rows, depth);
            if exact == 0u {
                total += sums_across(rows);
                continue;
            }
            let fours = transpose(rows);
            total = guarded_sum(guarded_sum(total, fours[0]), fours[1]);
            total = guarded_sum(guarded_sum(total, fours[2]), fours[3]);
            if long == 1u && (depth + 4u - p.first_depth) % STRETCH == 0u {
                sums_before = guarded_sum(sums_before, total);
                total = vec4<f32>();
            }
        }
        if long == 1u {
            total = guarded_sum(sums_before, total);
        }
        leave_rows(row + 4u * lane, total, 0u);
    }
}

fn add_rows(
    sums: ptr<function, array<vec4<f32>, 32>>,
    first: u32,
    of_a: mat4x4<f32>,
    of_b: mat4x4<f32>,
) {
    if exact == 1u {
        (*sums)[first] = in_order((*sums)[first], of_a[0], of_b);
        (*sums)[first + 1u] = in_order((*sums)[first + 1u], of_a[1], of_b);
        (*sums)[first + 2u] = in_order((*sums)[first + 2u], of_a[2], of_b);
        (*sums)[first + 3u] = in_order((*sums)[first + 3u], of_a[3], of_b);
        return;
    }
    (*sums)[first] += of_b * of_a[0];
    (*sums)[first + 1u] += of_b * of_a[1];
    (*sums)[first + 2u] += of_b * of_a[2];
    (*sums)[first + 3u] += of_b * of_a[3];
}

// A row's four depths, one after the other.
fn in_order(sums: vec4<f32>, of_a: vec4<f32>, of_b: mat4x4<f32>) -> vec4<f32> {
    let two = added(added(sums, of_a.x, of_b[0]), of_a.y, of_b[1]);
    return added(added(two, of_a.z, of_b[2]), of_a.w, of_b[3]);
}
