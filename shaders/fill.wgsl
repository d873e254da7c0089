// Writes a run of a stream's samples into a buffer.
//
// The unit of work is a group of 16 bytes: 4 elements of f32 (one Philox block), 8 of a 16-bit
// dtype (two), 16 of an 8-bit dtype (four), 2 of f64 (half a one). `fill_groups`, `fill_twos` and
// `fill_fours` write whole groups that begin with a block; `fill_edges` does any group, in part and at any
// offset into the stream, at the price of one more block each.

struct Params {
    // Of a constant 8 bytes of it, which every element's size divides.
    key: vec2<u32>,
    id: vec2<u32>,
    // The block of the element that would stand at element 0 of the binding, modulo 2^64.
    base: vec2<u32>,
    // Where in its block that element stands.
    rotation: u32,
    // The elements of the binding to write.
    begin: u32,
    end: u32,
    // The groups of this dispatch.
    first_group: u32,
    groups: u32,
    // Groups an invocation that writes whole ones.
    taken: u32,
    sampler: Sampler,
}

override kind: u32 = 0u;
override dtype: u32 = 0u;
// 1 where the sampler's shift may be other than 0.
override shifted: u32 = 1u;
// 1 where whole groups take the table into workgroup memory first: a GPU's uniforms come one address
// at a time, and lanes want as many rows as they are. Where the device is a CPU, uniforms are fastest.
override staged: u32 = 0u;

const WIDTH = 256u;
// Two segments a row.
const ROWS = 417u;

@group(0) @binding(0) var<storage, read_write> groups: array<vec4<u32>>;
@group(0) @binding(0) var<storage, read_write> words: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<uniform> table: array<vec4<u32>, ROWS>;
// The same, for taking it whole.
@group(0) @binding(3) var<storage, read> rows: array<vec4<u32>, ROWS>;

// A segment a row, unpacked: shifts and masks cost a GPU more than bytes do.
var<workgroup> stage: array<vec4<u32>, 1u + staged * (2u * ROWS - 1u)>;

fn block(p: Params, offset: u32) -> vec4<u32> {
    let low = p.base.x + offset;
    let high = p.base.y + select(0u, 1u, low < offset);
    return philox4x32_10(vec4<u32>(low, high, p.id), p.key);
}

// The group of f64s that is a half of a block.
fn half_of(sampler: Sampler, word: vec4<u32>, group: u32) -> vec4<u32> {
    return widened(sampler, select(word.xy, word.zw, (group & 1u) == 1u));
}

// A group that begins with a block.
fn draw(p: Params, group: u32) -> vec4<u32> {
    if kind == KIND_CONSTANT {
        return p.key.xyxy;
    }
    if dtype == DTYPE_F32 {
        return sample_block(p.sampler, block(p, group));
    }
    let first = sample_block(p.sampler, block(p, 2u * group));
    return pack(first, sample_block(p.sampler, block(p, 2u * group + 1u)));
}

// The same of 8 or 64 bits, or with half of one.
fn draw_rarer(p: Params, group: u32) -> vec4<u32> {
    if kind == KIND_CONSTANT {
        return p.key.xyxy;
    }
    if dtype == DTYPE_F64 {
        return half_of(p.sampler, block(p, group / 2u), group);
    }
    return vec4<u32>(
        packed(p.sampler, block(p, 4u * group)),
        packed(p.sampler, block(p, 4u * group + 1u)),
        packed(p.sampler, block(p, 4u * group + 2u)),
        packed(p.sampler, block(p, 4u * group + 3u)),
    );
}

// The first of an invocation's groups, which are WIDTH apart, so that groups that stand side by side are
// written side by side; and one past the last that it may have.
fn run_of(p: Params, id: vec3<u32>, workgroups: vec3<u32>, local: u32) -> vec2<u32> {
    let first = grid_index(id, workgroups, WIDTH) * p.taken - (p.taken - 1u) * local;
    return vec2<u32>(first, min(first + p.taken * WIDTH, p.groups));
}

fn fill_rest(p: Params, first: u32, end: u32) {
    for (var index = first; index < end; index += WIDTH) {
        let group = p.first_group + index;
        groups[group] = draw(p, group);
    }
}

@compute @workgroup_size(WIDTH)
fn fill_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    // Read once: to a device that is a CPU each read of a uniform is one a lane.
    let p = params;
    let run = run_of(p, id, workgroups, local);
    fill_rest(p, run.x, run.y);
}

// Two groups side by side, so that a GPU has work while it waits for a product or a row. Written out, since
// loops are not unrolled everywhere; entry points of their own, since compilers take their time over what
// a constant leaves out.
@compute @workgroup_size(WIDTH)
fn fill_twos(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    let p = params;
    let run = run_of(p, id, workgroups, local);
    var index = run.x;
    for (; index + WIDTH < run.y; index += 2u * WIDTH) {
        let group = p.first_group + index;
        let value = draw(p, group);
        let value_1 = draw(p, group + WIDTH);
        groups[group] = value;
        groups[group + WIDTH] = value_1;
    }
    fill_rest(p, index, run.y);
}

// Four groups side by side.
@compute @workgroup_size(WIDTH)
fn fill_fours(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    let p = params;
    let run = run_of(p, id, workgroups, local);
    var index = run.x;
    for (; index + 3u * WIDTH < run.y; index += 4u * WIDTH) {
        let group = p.first_group + index;
        let value = draw(p, group);
        let value_1 = draw(p, group + WIDTH);
        let value_2 = draw(p, group + 2u * WIDTH);
        let value_3 = draw(p, group + 3u * WIDTH);
        groups[group] = value;
        groups[group + WIDTH] = value_1;
        groups[group + 2u * WIDTH] = value_2;
        groups[group + 3u * WIDTH] = value_3;
    }
    fill_rest(p, index, run.y);
}

@compute @workgroup_size(WIDTH)
fn fill_edges(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.groups {
        return;
    }
    let p = params;
    let group = p.first_group + index;
    var value: vec4<u32>;
    if kind == KIND_CONSTANT {
        value = p.key.xyxy;
    } else if dtype == DTYPE_F32 {
        value = sample_block(p.sampler, straddle(block(p, group), block(p, group + 1u), p.rotation));
    } else {
        let middle = block(p, 2u * group + 1u);
        let first = straddle(block(p, 2u * group), middle, p.rotation);
        let second = straddle(middle, block(p, 2u * group + 2u), p.rotation);
        value = pack(sample_block(p.sampler, first), sample_block(p.sampler, second));
    }
    store(4u * group, value.x, covered(group, 0u));
    store(4u * group + 1u, value.y, covered(group, 1u));
    store(4u * group + 2u, value.z, covered(group, 2u));
    store(4u * group + 3u, value.w, covered(group, 3u));
}

// 8-bit floats and f64 have entry points of their own, so that the others are not compiled with them.
@compute @workgroup_size(WIDTH)
fn fill_rarer(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    let p = params;
    let run = run_of(p, id, workgroups, local);
    for (var index = run.x; index < run.y; index += WIDTH) {
        let group = p.first_group + index;
        groups[group] = draw_rarer(p, group);
    }
}

@compute @workgroup_size(WIDTH)
fn fill_rarer_edges(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.groups {
        return;
    }
    let p = params;
    let group = p.first_group + index;
    var value: vec4<u32>;
    if kind == KIND_CONSTANT {
        value = p.key.xyxy;
    } else if dtype == DTYPE_F64 {
        let word = straddle(block(p, group / 2u), block(p, group / 2u + 1u), p.rotation);
        value = half_of(p.sampler, word, group);
    } else {
        let one = block(p, 4u * group + 1u);
        let two = block(p, 4u * group + 2u);
        let three = block(p, 4u * group + 3u);
        value = vec4<u32>(
            packed(p.sampler, straddle(block(p, 4u * group), one, p.rotation)),
            packed(p.sampler, straddle(one, two, p.rotation)),
            packed(p.sampler, straddle(two, three, p.rotation)),
            packed(p.sampler, straddle(three, block(p, 4u * group + 4u), p.rotation)),
        );
    }
    store(4u * group, value.x, covered_rarer(group, 0u));
    store(4u * group + 1u, value.y, covered_rarer(group, 1u));
    store(4u * group + 2u, value.z, covered_rarer(group, 2u));
    store(4u * group + 3u, value.w, covered_rarer(group, 3u));
}
