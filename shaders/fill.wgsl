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

fn quantile_row(segment: u32) -> vec4<u32> {
    if staged == 1u {
        return stage[segment];
    }
    // Two words by index: a whole row and a selection would fetch four, a lane at a time where the
    // device is a CPU.
    let column = (segment & 1u) * 2u;
    let row = segment >> 1u;
    return quantile_unpack(vec2<u32>(table[row][column], table[row][column + 1u]));
}

fn block(p: Params, offset: u32) -> vec4<u32> {
    let low = p.base.x + offset;
    let high = p.base.y + select(0u, 1u, low < offset);
    return philox4x32_10(vec4<u32>(low, high, p.id), p.key);
}

fn sample_block(sampler: Sampler, word: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        sample_bits(kind, shifted, sampler, word.x),
        sample_bits(kind, shifted, sampler, word.y),
        sample_bits(kind, shifted, sampler, word.z),
        sample_bits(kind, shifted, sampler, word.w),
    );
}

fn pack(first: vec4<u32>, second: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(
        pack_pair(dtype, first.x, first.y),
        pack_pair(dtype, first.z, first.w),
        pack_pair(dtype, second.x, second.y),
        pack_pair(dtype, second.z, second.w),
    );
}

fn packed(sampler: Sampler, word: vec4<u32>) -> u32 {
    return pack_four(dtype, sample_block(sampler, word));
}

// The group of f64s that is a half of a block.
fn widened(sampler: Sampler, word: vec4<u32>, group: u32) -> vec4<u32> {
    let half = select(word.xy, word.zw, (group & 1u) == 1u);
    return vec4<u32>(
        f64_from_f32(sample_bits(kind, shifted, sampler, half.x)),
        f64_from_f32(sample_bits(kind, shifted, sampler, half.y)),
    );
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
        return widened(p.sampler, block(p, group / 2u), group);
    }
    return vec4<u32>(
        packed(p.sampler, block(p, 4u * group)),
        packed(p.sampler, block(p, 4u * group + 1u)),
        packed(p.sampler, block(p, 4u * group + 2u)),
        packed(p.sampler, block(p, 4u * group + 3u)),
    );
}

fn stage_rows(local: u32) {
    if staged == 1u {
        for (var row = local; row < ROWS; row += WIDTH) {
            let pair = rows[row];
            stage[2u * row] = quantile_unpack(pair.xy);
            stage[2u * row + 1u] = quantile_unpack(pair.zw);
        }
        workgroupBarrier();
    }
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

// Four words from the rotation on, of two blocks.
fn straddle(a: vec4<u32>, b: vec4<u32>) -> vec4<u32> {
    switch params.rotation {
        case 1u: { return vec4<u32>(a.yzw, b.x); }
        case 2u: { return vec4<u32>(a.zw, b.xy); }
        case 3u: { return vec4<u32>(a.w, b.xyz); }
        default: { return a; }
    }
}

fn store(at: u32, value: u32, mask: u32) {
    if mask == 0xFFFFFFFFu {
        words[at] = value;
    } else if mask != 0u {
        words[at] = (words[at] & ~mask) | (value & mask);
    }
}

// `bits` where an element is one of begin..end.
fn bits_of(element: u32, bits: u32) -> u32 {
    return select(0u, bits, element >= params.begin && element < params.end);
}

// The bits of a word that elements begin..end cover.
fn covered(group: u32, word: u32) -> u32 {
    if dtype == DTYPE_F32 {
        return bits_of(4u * group + word, 0xFFFFFFFFu);
    }
    let element = 8u * group + 2u * word;
    return bits_of(element, 0xFFFFu) | bits_of(element + 1u, 0xFFFF0000u);
}

fn covered_rarer(group: u32, word: u32) -> u32 {
    if dtype == DTYPE_F64 {
        return bits_of(2u * group + word / 2u, 0xFFFFFFFFu);
    }
    let element = 16u * group + 4u * word;
    let low = bits_of(element, 0xFFu) | bits_of(element + 1u, 0xFF00u);
    return low | bits_of(element + 2u, 0xFF0000u) | bits_of(element + 3u, 0xFF000000u);
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
        value = sample_block(p.sampler, straddle(block(p, group), block(p, group + 1u)));
    } else {
        let middle = block(p, 2u * group + 1u);
        let first = straddle(block(p, 2u * group), middle);
        let second = straddle(middle, block(p, 2u * group + 2u));
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
        let word = straddle(block(p, group / 2u), block(p, group / 2u + 1u));
        value = widened(p.sampler, word, group);
    } else {
        let one = block(p, 4u * group + 1u);
        let two = block(p, 4u * group + 2u);
        let three = block(p, 4u * group + 3u);
        value = vec4<u32>(
            packed(p.sampler, straddle(block(p, 4u * group), one)),
            packed(p.sampler, straddle(one, two)),
            packed(p.sampler, straddle(two, three)),
            packed(p.sampler, straddle(three, block(p, 4u * group + 4u))),
        );
    }
    store(4u * group, value.x, covered_rarer(group, 0u));
    store(4u * group + 1u, value.y, covered_rarer(group, 1u));
    store(4u * group + 2u, value.z, covered_rarer(group, 2u));
    store(4u * group + 3u, value.w, covered_rarer(group, 3u));
}
