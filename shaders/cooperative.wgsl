// Sums of products of f16 by a device's matrix units: f16 factors, f32 sums. A subgroup takes a block of
// four by four units, a workgroup two by two blocks, whose factors go through workgroup memory a stage of
// the depth at a time; `matmul_join` does what follows.
enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    // This dispatch's rows end here, and begin at `first_row`.
    rows: u32,
    columns: u32,
    depth: u32,
    // The depth of each split but the last, a multiple of 4, and how many there are.
    split_depth: u32,
    splits: u32,
    // From a line of a factor to the next, in elements: multiples of 4.
    a_stride: u32,
    b_stride: u32,
    first_row: u32,
    // Rows of the whole product.
    all_rows: u32,
    unused: u32,
}

// Whether A's rows, B's columns lie side by side.
override a_rows: u32 = 0u;
override b_columns: u32 = 0u;

const WIDTH = 128u;
const BLOCK = 4u * UNIT;
const SIDE = 2u * BLOCK;
// Depths of a stage: 8 fours of each factor an invocation.
const DEPTH = 32u * WIDTH / SIDE;
// Fours after each line of a stage, so that 8 lines are on banks of their own.
const PADDING = 2u;

alias Four = vec4<f16>;
alias Eight = array<Four, 8>;

@group(0) @binding(0) var<storage, read> a: array<Four>;
@group(0) @binding(1) var<storage, read> b: array<Four>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// Lines as in memory: of depths, or of rows or columns where those lie side by side.
var<workgroup> a_stage: array<Four, SIDE * (DEPTH / 4u + PADDING)>;
var<workgroup> b_stage: array<Four, SIDE * (DEPTH / 4u + PADDING)>;

// Fours of a line of a stage; `together` as `a_rows`.
fn line_fours(together: u32) -> u32 {
    return select(DEPTH / 4u, SIDE / 4u, together == 1u);
}

// Where a stage has a four of an invocation's eight.
fn staged_at(together: u32, local: u32, part: u32) -> u32 {
    let fours = line_fours(together);
    return (local / fours + part * (WIDTH / fours)) * (fours + PADDING) + local % fours;
}

// Where a factor has it, and how deep into the stage. The tile's two bands of rows, or columns, begin at
// `bands`.
fn fetched_at(together: u32, bands: vec2<u32>, line: u32, depth: u32, local: u32, part: u32) -> vec2<u32> {
    let fours = line_fours(together);
    let down = local / fours;
    if together == 1u {
        let across = 4u * (local % fours);
        let start = select(bands.x, bands.y, across >= BLOCK) + across % BLOCK;
        let deep = depth + down + part * (WIDTH / fours);
        return vec2<u32>((deep * line + start) / 4u, deep);
    }
    // Half of the eight are of each band.
    let start = select(bands.x, bands.y, part >= 4u) + down + part % 4u * (WIDTH / fours);
    let deep = depth + 4u * (local % fours);
    return vec2<u32>((start * line + deep) / 4u, deep);
}

// One of a stage's fours; 0 from the end of the depth on.
fn fetch_a(bands: vec2<u32>, depth: u32, end: u32, local: u32, part: u32) -> Four {
    let place = fetched_at(a_rows, bands, params.a_stride, depth, local, part);
    if place.y >= end {
        return Four();
    }
    return a[place.x];
}

fn fetch_b(bands: vec2<u32>, depth: u32, end: u32, local: u32, part: u32) -> Four {
    let place = fetched_at(b_columns, bands, params.b_stride, depth, local, part);
    if place.y >= end {
        return Four();
    }
    return b[place.x];
}

fn eight_of_a(bands: vec2<u32>, depth: u32, end: u32, local: u32) -> Eight {
    return Eight(
        fetch_a(bands, depth, end, local, 0u),
        fetch_a(bands, depth, end, local, 1u),
        fetch_a(bands, depth, end, local, 2u),
        fetch_a(bands, depth, end, local, 3u),
        fetch_a(bands, depth, end, local, 4u),
        fetch_a(bands, depth, end, local, 5u),
        fetch_a(bands, depth, end, local, 6u),
        fetch_a(bands, depth, end, local, 7u),
    );
}

fn eight_of_b(bands: vec2<u32>, depth: u32, end: u32, local: u32) -> Eight {
    return Eight(
        fetch_b(bands, depth, end, local, 0u),
        fetch_b(bands, depth, end, local, 1u),
        fetch_b(bands, depth, end, local, 2u),
        fetch_b(bands, depth, end, local, 3u),
        fetch_b(bands, depth, end, local, 4u),
        fetch_b(bands, depth, end, local, 5u),
        fetch_b(bands, depth, end, local, 6u),
        fetch_b(bands, depth, end, local, 7u),
    );
}

fn stage(of_a: Eight, of_b: Eight, local: u32) {
    a_stage[staged_at(a_rows, local, 0u)] = of_a[0];
    a_stage[staged_at(a_rows, local, 1u)] = of_a[1];
    a_stage[staged_at(a_rows, local, 2u)] = of_a[2];
    a_stage[staged_at(a_rows, local, 3u)] = of_a[3];
    a_stage[staged_at(a_rows, local, 4u)] = of_a[4];
    a_stage[staged_at(a_rows, local, 5u)] = of_a[5];
    a_stage[staged_at(a_rows, local, 6u)] = of_a[6];
    a_stage[staged_at(a_rows, local, 7u)] = of_a[7];
    b_stage[staged_at(b_columns, local, 0u)] = of_b[0];
    b_stage[staged_at(b_columns, local, 1u)] = of_b[1];
    b_stage[staged_at(b_columns, local, 2u)] = of_b[2];
    b_stage[staged_at(b_columns, local, 3u)] = of_b[3];
    b_stage[staged_at(b_columns, local, 4u)] = of_b[4];
    b_stage[staged_at(b_columns, local, 5u)] = of_b[5];
    b_stage[staged_at(b_columns, local, 6u)] = of_b[6];
    b_stage[staged_at(b_columns, local, 7u)] = of_b[7];
}

// A unit of the stage of A. The functions with a T read rows, those without columns.
fn left(row: u32, depth: u32) -> OfA {
    let line = line_fours(a_rows) + PADDING;
    if a_rows == 1u {
        return coopLoad<OfA>(&a_stage[depth * line + row / 4u], line);
    }
    return coopLoadT<OfA>(&a_stage[row * line + depth / 4u], line);
}

// A unit of the stage of B.
fn right(column: u32, depth: u32) -> OfB {
    let line = line_fours(b_columns) + PADDING;
    if b_columns == 1u {
        return coopLoadT<OfB>(&b_stage[depth * line + column / 4u], line);
    }
    return coopLoad<OfB>(&b_stage[column * line + depth / 4u], line);
}

@compute @workgroup_size(WIDTH)
fn cooperative_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) own: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let index = grid_index(group, groups, 1u);
    let tile = tile_at(index, params.first_row, params.rows, params.columns, SIDE, SIDE);
    if tile.z >= params.splits {
        return;
    }
    // However many subgroups there are.
    for (var part = 0u; part < 4u; part += subgroups) {
        block(tile, local, part + own);
    }
}

// One of the tile's blocks, none from the fourth on; every invocation takes part in its stages.
fn block(tile: vec3<u32>, local: u32, part: u32) {
    // A band that would reach beyond the end moves back: what two have, both make alike.
    let ends = vec2<u32>(params.all_rows, params.columns) - BLOCK;
    let row_bands = min(vec2<u32>(tile.x, tile.x + BLOCK), ends.xx);
    let column_bands = min(vec2<u32>(tile.y, tile.y + BLOCK), ends.yy);
    let row = part / 2u * BLOCK;
    let column = part % 2u * BLOCK;
    let present = part < 4u && tile.x + row < params.rows && tile.y + column < params.columns;

    let first = tile.z * params.split_depth;
    let end = min(first + params.split_depth, params.depth);
    // Written out: a register's number is a constant.
    var s00 = Sums();
    var s01 = Sums();
    var s02 = Sums();
    var s03 = Sums();
    var s10 = Sums();
    var s11 = Sums();
    var s12 = Sums();
    var s13 = Sums();
    var s20 = Sums();
    var s21 = Sums();
    var s22 = Sums();
    var s23 = Sums();
    var s30 = Sums();
    var s31 = Sums();
    var s32 = Sums();
    var s33 = Sums();
    // The next stage's factors, on their way while the units multiply the present one's.
    var of_a = eight_of_a(row_bands, first, end, local);
    var of_b = eight_of_b(column_bands, first, end, local);
    for (var depth = first; depth < end; depth += DEPTH) {
        stage(of_a, of_b, local);
        workgroupBarrier();
        if depth + DEPTH < end {
            of_a = eight_of_a(row_bands, depth + DEPTH, end, local);
            of_b = eight_of_b(column_bands, depth + DEPTH, end, local);
        }
        // Two steps at a time: loops are not unrolled everywhere. None where there is no block, which is
        // the same for a whole subgroup, but naga does not know that and refuses an `if`.
        for (var k = select(DEPTH, 0u, present); k < DEPTH; k += 2u * UNIT) {
            let b0 = right(column, k);
            let b1 = right(column + UNIT, k);
            let b2 = right(column + 2u * UNIT, k);
            let b3 = right(column + 3u * UNIT, k);
            let a0 = left(row, k);
            s00 = coopMultiplyAdd(a0, b0, s00);
            s01 = coopMultiplyAdd(a0, b1, s01);
            s02 = coopMultiplyAdd(a0, b2, s02);
            s03 = coopMultiplyAdd(a0, b3, s03);
            let a1 = left(row + UNIT, k);
            s10 = coopMultiplyAdd(a1, b0, s10);
            s11 = coopMultiplyAdd(a1, b1, s11);
            s12 = coopMultiplyAdd(a1, b2, s12);
            s13 = coopMultiplyAdd(a1, b3, s13);
            let a2 = left(row + 2u * UNIT, k);
            s20 = coopMultiplyAdd(a2, b0, s20);
            s21 = coopMultiplyAdd(a2, b1, s21);
            s22 = coopMultiplyAdd(a2, b2, s22);
            s23 = coopMultiplyAdd(a2, b3, s23);
            let a3 = left(row + 3u * UNIT, k);
            s30 = coopMultiplyAdd(a3, b0, s30);
            s31 = coopMultiplyAdd(a3, b1, s31);
            s32 = coopMultiplyAdd(a3, b2, s32);
            s33 = coopMultiplyAdd(a3, b3, s33);
            let b0_1 = right(column, k + UNIT);
            let b1_1 = right(column + UNIT, k + UNIT);
            let b2_1 = right(column + 2u * UNIT, k + UNIT);
            let b3_1 = right(column + 3u * UNIT, k + UNIT);
            let a0_1 = left(row, k + UNIT);
            s00 = coopMultiplyAdd(a0_1, b0_1, s00);
            s01 = coopMultiplyAdd(a0_1, b1_1, s01);
            s02 = coopMultiplyAdd(a0_1, b2_1, s02);
            s03 = coopMultiplyAdd(a0_1, b3_1, s03);
            let a1_1 = left(row + UNIT, k + UNIT);
            s10 = coopMultiplyAdd(a1_1, b0_1, s10);
            s11 = coopMultiplyAdd(a1_1, b1_1, s11);
            s12 = coopMultiplyAdd(a1_1, b2_1, s12);
            s13 = coopMultiplyAdd(a1_1, b3_1, s13);
            let a2_1 = left(row + 2u * UNIT, k + UNIT);
            s20 = coopMultiplyAdd(a2_1, b0_1, s20);
            s21 = coopMultiplyAdd(a2_1, b1_1, s21);
            s22 = coopMultiplyAdd(a2_1, b2_1, s22);
            s23 = coopMultiplyAdd(a2_1, b3_1, s23);
            let a3_1 = left(row + 3u * UNIT, k + UNIT);
            s30 = coopMultiplyAdd(a3_1, b0_1, s30);
            s31 = coopMultiplyAdd(a3_1, b1_1, s31);
            s32 = coopMultiplyAdd(a3_1, b2_1, s32);
            s33 = coopMultiplyAdd(a3_1, b3_1, s33);
        }
        workgroupBarrier();
    }
    if present {
        let line = params.columns;
        let start = vec2<u32>(row_bands[part / 2u], column_bands[part % 2u]);
        let at = (tile.z * params.all_rows + start.x) * line + start.y;
        leave(at, s00, s01, s02, s03);
        leave(at + UNIT * line, s10, s11, s12, s13);
        leave(at + 2u * UNIT * line, s20, s21, s22, s23);
        leave(at + 3u * UNIT * line, s30, s31, s32, s33);
    }
}

// Places have names: naga 30 forgets an expression that stands in a store alone.
fn leave(at: u32, s0: Sums, s1: Sums, s2: Sums, s3: Sums) {
    let line = params.columns;
    let at_1 = at + UNIT;
    let at_2 = at + 2u * UNIT;
    let at_3 = at + 3u * UNIT;
    coopStoreT(s0, &sums[at], line);
    coopStoreT(s1, &sums[at_1], line);
    coopStoreT(s2, &sums[at_2], line);
    coopStoreT(s3, &sums[at_3], line);
}
