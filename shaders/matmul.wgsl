// out = epilogue(sum over depth of A[row, depth] B[depth, column]). The strides say how A and B lie
// in memory, so that X W^T, dY W and dY^T X are one kernel. `matmul_tiled` goes through workgroup
// memory; `matmul_direct`, for software adapters, has no barrier and few loads.

struct Params {
    // Of the result.
    rows: u32,
    columns: u32,
    // The stretch of the depth that this dispatch adds up.
    first_depth: u32,
    end_depth: u32,
    // Elements from one row, column or depth to the next.
    a_row: u32,
    a_depth: u32,
    b_column: u32,
    b_depth: u32,
    // The row that this dispatch begins with; a multiple of 64.
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
    unused: u32,
}

override dtype: u32 = 0u;
// The code of the nonlinearity.
override activation: u32 = 0u;
// 1 where the depth is no multiple of 4, else 0.
override ragged: u32 = 0u;

const ADD = 1u;
const BIAS = 2u;
const BEFORE = 4u;
const RAW = 8u;
const VALUE = 16u;
const DERIVATIVE = 32u;
const DROPOUT = 64u;
const AFTER = 128u;

const WIDTH = 64u;

@group(0) @binding(0) var<storage, read> a: array<u32>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> raw: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read> before: array<f32>;
@group(0) @binding(6) var<storage, read> z: array<f32>;
@group(0) @binding(7) var<storage, read> after: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;
@group(0) @binding(9) var<uniform> steps: Step;

// Read once: to a device that is a CPU each read of a uniform is one a lane.
var<private> p: Params;

// Rows and columns beyond the last are read as the last, and never stored.
fn left_base(row: u32) -> u32 {
    return min(row, p.rows - 1u) * p.a_row;
}

fn right_base(column: u32) -> u32 {
    return min(column, p.columns - 1u) * p.b_column;
}

fn left(index: u32) -> f32 {
    return element_of(dtype, a[word_of(dtype, index)], index);
}

fn right(index: u32) -> f32 {
    return element_of(dtype, b[word_of(dtype, index)], index);
}

const QUAD = vec4<u32>(0u, 1u, 2u, 3u);

// Where four depths from one on lie; those beyond the end are read as the last.
fn places(base: u32, depth: u32, step: u32) -> vec4<u32> {
    if ragged == 0u {
        return base + depth * step + QUAD * step;
    }
    return base + min(depth + QUAD, vec4<u32>(p.end_depth - 1u)) * step;
}

// Both factors are 0 beyond the end: 0 times an infinity would be NaN.
fn inside(quad: vec4<f32>, depth: u32) -> vec4<f32> {
    if ragged == 0u {
        return quad;
    }
    return select(vec4<f32>(), quad, depth + QUAD < vec4<u32>(p.end_depth));
}

fn left_quad(base: u32, depth: u32) -> vec4<f32> {
    let at = places(base, depth, p.a_depth);
    return inside(vec4<f32>(left(at.x), left(at.y), left(at.z), left(at.w)), depth);
}

fn right_quad(base: u32, depth: u32) -> vec4<f32> {
    let at = places(base, depth, p.b_depth);
    return inside(vec4<f32>(right(at.x), right(at.y), right(at.z), right(at.w)), depth);
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
            t += out[at];
        }
        if has(BIAS) {
            t += bias[column + i];
        }
        if has(BEFORE) {
            t += before[at];
        }
        if has(RAW) {
            raw[at] = t;
        }
        if has(VALUE) {
            t = activation_value(activation, p.parameter, t);
        }
        if has(DERIVATIVE) {
            t *= activation_derivative(activation, p.parameter, z[at]);
        }
        if has(DROPOUT) {
            t = select(0.0, t * p.scale, words[i] >= p.threshold);
        }
        if has(AFTER) {
            t += after[at];
        }
        out[at] = t;
    }
}

// A tile of 64 x 64 a workgroup, 8 x 8 an invocation: rows and columns 4y, 4x and those 32 on.
const TILE = 64u;
const DEPTH = 16u;
// Quads from one depth to the next; odd, so that stores down the depth meet different banks.
const PITCH = 17u;

var<workgroup> a_tile: array<vec4<f32>, 272>;
var<workgroup> b_tile: array<vec4<f32>, 272>;

@compute @workgroup_size(WIDTH)
fn matmul_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    p = params;
    let tile = grid_index(group, groups, 1u);
    let across = (p.columns + TILE - 1u) / TILE;
    let row = p.first_row + tile / across * TILE;
    let column = tile % across * TILE;
    let y = local / 8u;
    let x = local % 8u;
    var low_low: array<vec4<f32>, 4>;
    var low_high: array<vec4<f32>, 4>;
    var high_low: array<vec4<f32>, 4>;
    var high_high: array<vec4<f32>, 4>;
    for (var depth = p.first_depth; depth < p.end_depth; depth += DEPTH) {
        for (var slot = local; slot < DEPTH * TILE / 4u; slot += WIDTH) {
            // Neighbours load neighbours, whichever way the matrix lies.
            let a_place = select(vec2<u32>(slot / 16u, slot % 16u), vec2<u32>(slot % DEPTH, slot / DEPTH), p.a_depth == 1u);
            let b_place = select(vec2<u32>(slot / 16u, slot % 16u), vec2<u32>(slot % DEPTH, slot / DEPTH), p.b_depth == 1u);
            let a_inside = depth + a_place.x < p.end_depth;
            let b_inside = depth + b_place.x < p.end_depth;
            let a_depth = select(0u, depth + a_place.x, a_inside);
            let b_depth = select(0u, depth + b_place.x, b_inside);
            let r = row + 4u * a_place.y;
            let c = column + 4u * b_place.y;
            let down = a_depth * p.a_depth;
            let across = b_depth * p.b_depth;
            let a_quad = vec4<f32>(
                left(left_base(r) + down),
                left(left_base(r + 1u) + down),
                left(left_base(r + 2u) + down),
                left(left_base(r + 3u) + down),
            );
            let b_quad = vec4<f32>(
                right(right_base(c) + across),
                right(right_base(c + 1u) + across),
                right(right_base(c + 2u) + across),
                right(right_base(c + 3u) + across),
            );
            a_tile[a_place.x * PITCH + a_place.y] = select(vec4<f32>(), a_quad, a_inside);
            b_tile[b_place.x * PITCH + b_place.y] = select(vec4<f32>(), b_quad, b_inside);
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let a_low = a_tile[d * PITCH + y];
            let a_high = a_tile[d * PITCH + 8u + y];
            let b_low = b_tile[d * PITCH + x];
            let b_high = b_tile[d * PITCH + 8u + x];
            add_outer(&low_low, a_low, b_low);
            add_outer(&low_high, a_low, b_high);
            add_outer(&high_low, a_high, b_low);
            add_outer(&high_high, a_high, b_high);
        }
        workgroupBarrier();
    }
    var sums = array<array<vec4<f32>, 4>, 4>(low_low, low_high, high_low, high_high);
    for (var quarter = 0u; quarter < 4u; quarter++) {
        let first = row + 4u * y + 32u * (quarter / 2u);
        let count = min(4u, max(p.rows, first) - first);
        for (var i = 0u; i < count; i++) {
            finish(first + i, column + 4u * x + 32u * (quarter % 2u), sums[quarter][i]);
        }
    }
}

fn add_outer(sums: ptr<function, array<vec4<f32>, 4>>, of_a: vec4<f32>, of_b: vec4<f32>) {
    (*sums)[0] += of_a.x * of_b;
    (*sums)[1] += of_a.y * of_b;
    (*sums)[2] += of_a.z * of_b;
    (*sums)[3] += of_a.w * of_b;
}

// Eight lanes share a block of 32 x 32: each has 4 columns, and loads every eighth row of A for all.
const LANES = 8u;
const BLOCK = 32u;

@compute @workgroup_size(WIDTH)
fn matmul_direct(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    p = params;
    let block = grid_index(group, groups, 1u) * (WIDTH / LANES) + local / LANES;
    let lane = local % LANES;
    let across = (p.columns + BLOCK - 1u) / BLOCK;
    let down = (p.rows - p.first_row + BLOCK - 1u) / BLOCK;
    // Down strips of 8 blocks' width: what a strip needs of B stays in the cache on its way.
    let width = min(across, WIDTH / LANES);
    let strip = block / (down * width);
    let place = block % (down * width);
    let row = p.first_row + place / width * BLOCK;
    let column_block = strip * width + place % width;
    let column = column_block * BLOCK + 4u * lane;
    // All lanes of a block or none: those beyond the last column load for the others.
    if column_block >= across {
        return;
    }
    var rows_0: array<vec4<f32>, 8>;
    var rows_8: array<vec4<f32>, 8>;
    var rows_16: array<vec4<f32>, 8>;
    var rows_24: array<vec4<f32>, 8>;
    // Made here, since no compiler of a software driver takes them out of the loop.
    let b0 = right_base(column);
    let b1 = right_base(column + 1u);
    let b2 = right_base(column + 2u);
    let b3 = right_base(column + 3u);
    let a0 = left_base(row + lane);
    let a8 = left_base(row + 8u + lane);
    let a16 = left_base(row + 16u + lane);
    let a24 = left_base(row + 24u + lane);
    for (var depth = p.first_depth; depth < p.end_depth; depth += 4u) {
        let of_b = transpose(mat4x4<f32>(
            right_quad(b0, depth),
            right_quad(b1, depth),
            right_quad(b2, depth),
            right_quad(b3, depth),
        ));
        add_rows(&rows_0, left_quad(a0, depth), of_b, row, depth);
        add_rows(&rows_8, left_quad(a8, depth), of_b, row + 8u, depth);
        add_rows(&rows_16, left_quad(a16, depth), of_b, row + 16u, depth);
        add_rows(&rows_24, left_quad(a24, depth), of_b, row + 24u, depth);
    }
    // Copied, so that the sums above stay in registers, whose numbers are constants.
    var sums = array<array<vec4<f32>, 8>, 4>(rows_0, rows_8, rows_16, rows_24);
    let count = min(BLOCK, p.rows - row);
    for (var i = 0u; i < count; i++) {
        finish(row + i, column, sums[i / 8u][i % 8u]);
    }
}

// Written out: the index of a register is a constant.
fn add_rows(
    sums: ptr<function, array<vec4<f32>, 8>>,
    own: vec4<f32>,
    of_b: mat4x4<f32>,
    row: u32,
    depth: u32,
) {
    (*sums)[0] += of_b * share(own, 0u, row, depth);
    (*sums)[1] += of_b * share(own, 1u, row, depth);
    (*sums)[2] += of_b * share(own, 2u, row, depth);
    (*sums)[3] += of_b * share(own, 3u, row, depth);
    (*sums)[4] += of_b * share(own, 4u, row, depth);
    (*sums)[5] += of_b * share(own, 5u, row, depth);
    (*sums)[6] += of_b * share(own, 6u, row, depth);
    (*sums)[7] += of_b * share(own, 7u, row, depth);
}
