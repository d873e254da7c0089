// Sums of products of f16 by a device's matrix units: f16 factors, f32 sums. A subgroup takes a block of
// four by four units, a workgroup four blocks; `matmul_join` does what follows.
enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    // This dispatch's rows end here, and begin at `first_row`.
    rows: u32,
    columns: u32,
    depth: u32,
    // The depth of each split but the last, and how many there are.
    split_depth: u32,
    splits: u32,
    // From a line of a factor to the next, in elements.
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

@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read> b: array<f16>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// A unit of A. The functions with a T read rows, those without columns.
fn left(row: u32, depth: u32) -> OfA {
    if a_rows == 1u {
        return coopLoad<OfA>(&a[depth * params.a_stride + row], params.a_stride);
    }
    return coopLoadT<OfA>(&a[row * params.a_stride + depth], params.a_stride);
}

// A unit of B.
fn right(column: u32, depth: u32) -> OfB {
    if b_columns == 1u {
        return coopLoadT<OfB>(&b[depth * params.b_stride + column], params.b_stride);
    }
    return coopLoad<OfB>(&b[column * params.b_stride + depth], params.b_stride);
}

@compute @workgroup_size(WIDTH)
fn cooperative_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_id) own: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let index = grid_index(group, groups, 1u);
    let side = 2u * BLOCK;
    let tile = tile_at(index, params.first_row, params.rows, params.columns, side, side);
    let split = tile.z;
    if split >= params.splits {
        return;
    }
    // However many subgroups there are.
    for (var part = own; part < 4u; part += subgroups) {
        let row = tile.x + part / 2u * BLOCK;
        let column = tile.y + part % 2u * BLOCK;
        if row < params.rows && column < params.columns {
            // A block that would reach beyond the end moves back: what two have, both make alike.
            block(min(row, params.all_rows - BLOCK), min(column, params.columns - BLOCK), split);
        }
    }
}

fn block(row: u32, column: u32, split: u32) {
    let first = split * params.split_depth;
    let last = min(first + params.split_depth, params.depth);
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
    for (var depth = first; depth < last; depth += UNIT) {
        let b0 = right(column, depth);
        let b1 = right(column + UNIT, depth);
        let b2 = right(column + 2u * UNIT, depth);
        let b3 = right(column + 3u * UNIT, depth);
        let a0 = left(row, depth);
        s00 = coopMultiplyAdd(a0, b0, s00);
        s01 = coopMultiplyAdd(a0, b1, s01);
        s02 = coopMultiplyAdd(a0, b2, s02);
        s03 = coopMultiplyAdd(a0, b3, s03);
        let a1 = left(row + UNIT, depth);
        s10 = coopMultiplyAdd(a1, b0, s10);
        s11 = coopMultiplyAdd(a1, b1, s11);
        s12 = coopMultiplyAdd(a1, b2, s12);
        s13 = coopMultiplyAdd(a1, b3, s13);
        let a2 = left(row + 2u * UNIT, depth);
        s20 = coopMultiplyAdd(a2, b0, s20);
        s21 = coopMultiplyAdd(a2, b1, s21);
        s22 = coopMultiplyAdd(a2, b2, s22);
        s23 = coopMultiplyAdd(a2, b3, s23);
        let a3 = left(row + 3u * UNIT, depth);
        s30 = coopMultiplyAdd(a3, b0, s30);
        s31 = coopMultiplyAdd(a3, b1, s31);
        s32 = coopMultiplyAdd(a3, b2, s32);
        s33 = coopMultiplyAdd(a3, b3, s33);
    }
    let line = params.columns;
    let at = (split * params.all_rows + row) * line + column;
    leave(at, s00, s01, s02, s03);
    leave(at + UNIT * line, s10, s11, s12, s13);
    leave(at + 2u * UNIT * line, s20, s21, s22, s23);
    leave(at + 3u * UNIT * line, s30, s31, s32, s33);
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
