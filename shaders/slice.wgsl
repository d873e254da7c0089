// Writes elements of a slice of a tensor into a buffer: runs of a stream that are as far apart as the
// tensor's rows.
//
// Elements are numbered in a box, row-major; the dimensions of the slice around it are the host's. The unit
// of work is a group of 16 bytes, as in fill.wgsl, wherever in the stream it begins and however many runs it
// is of. An invocation takes groups that follow each other: it divides once to find where it begins, goes
// on by additions, and keeps the words of a block that lies across two groups.

struct Axis {
    // Elements of the stream from one place along it to the next.
    stride: vec2<u32>,
    // From behind a run to the next one, where that is a place further along this axis and at the start of
    // those within.
    jump: vec2<u32>,
    // Places in the box; the outermost axis may have any number.
    size: u32,
    // 2^32 / size, rounded down; of a size of 1, 2^32 - 1.
    inverse: u32,
    // Uniforms lie in steps of 16 bytes.
    unused: vec2<u32>,
}

const AXES = 5u;

struct Params {
    key: vec2<u32>,
    id: vec2<u32>,
    // The element of the stream at position 0 of the box, modulo 2^64.
    base: vec2<u32>,
    // The position in the box of what would stand at element 0 of the binding.
    lead: u32,
    // The elements of the binding to write.
    begin: u32,
    end: u32,
    // The groups of this dispatch.
    first_group: u32,
    groups: u32,
    // Groups an invocation.
    taken: u32,
    sampler: Sampler,
    // From the innermost out; the first is a run of elements that follow each other.
    axes: array<Axis, AXES>,
    axis_count: u32,
}

override kind: u32 = 0u;
override dtype: u32 = 0u;
// 1 where the sampler's shift may be other than 0.
override shifted: u32 = 1u;
// 1 where an invocation of many takes the table into workgroup memory first; see fill.wgsl.
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

// A segment a row, unpacked.
var<workgroup> stage: array<vec4<u32>, 1u + staged * (2u * ROWS - 1u)>;

// What is read of the parameters again and again: once, since to a device that is a CPU each read of a
// uniform is one a lane.
struct Stream {
    key: vec2<u32>,
    id: vec2<u32>,
    sampler: Sampler,
    // Of the axes that runs lie along.
    sizes: vec4<u32>,
    jumps: array<vec2<u32>, 4>,
    run: u32,
}

fn stream_of_params() -> Stream {
    return Stream(
        params.key,
        params.id,
        params.sampler,
        vec4<u32>(params.axes[1].size, params.axes[2].size, params.axes[3].size, params.axes[4].size),
        array<vec2<u32>, 4>(
            params.axes[1].jump,
            params.axes[2].jump,
            params.axes[3].jump,
            params.axes[4].jump,
        ),
        params.axes[0].size,
    );
}

// Where an invocation is.
struct Place {
    // In the stream.
    element: vec2<u32>,
    // Elements of the run from here on.
    left: u32,
    // Of the run, along the axes.
    along: vec4<u32>,
    // The words of the block that the element is in, unless that is yet to be drawn.
    block: vec4<u32>,
    drawn: bool,
}

fn advanced(element: vec2<u32>, by: vec2<u32>) -> vec2<u32> {
    let low = element.x + by.x;
    return vec2<u32>(low, element.y + by.y + select(0u, 1u, low < by.x));
}

// The block that an element is in.
fn block_of(stream: Stream, element: vec2<u32>) -> vec4<u32> {
    let block = vec2<u32>((element.x >> 2u) | (element.y << 30u), element.y >> 2u);
    return philox4x32_10(vec4<u32>(block, stream.id), stream.key);
}

// The product is the quotient, or one less; few devices divide as fast.
fn quotient(number: u32, axis: Axis) -> u32 {
    let low = multiply_wide(number, axis.inverse).y;
    return low + select(0u, 1u, number - low * axis.size >= axis.size);
}

// Where an element of the binding stands.
fn place_of(element: u32) -> Place {
    var place = Place(params.base, 0u, vec4<u32>(), vec4<u32>(), false);
    var rest = params.lead + element;
    for (var at = 0u; at < params.axis_count; at++) {
        let axis = params.axes[at];
        let outer = quotient(rest, axis);
        let along = rest - outer * axis.size;
        rest = outer;
        if at == 0u {
            place.left = axis.size - along;
        } else {
            place.along[at - 1u] = along;
        }
        let low = multiply_wide(along, axis.stride.x);
        place.element = advanced(place.element, vec2<u32>(low.x, low.y + along * axis.stride.y));
    }
    return place;
}

// The start of the next run.
fn next_run(stream: Stream, behind: Place) -> Place {
    var along = behind.along;
    var jump = stream.jumps[0];
    along.x++;
    if along.x == stream.sizes.x {
        along = vec4<u32>(0u, along.y + 1u, along.zw);
        jump = stream.jumps[1];
        if along.y == stream.sizes.y {
            along = vec4<u32>(0u, 0u, along.z + 1u, along.w);
            jump = stream.jumps[2];
            if along.z == stream.sizes.z {
                along = vec4<u32>(0u, 0u, 0u, along.w + 1u);
                jump = stream.jumps[3];
            }
        }
    }
    return Place(advanced(behind.element, jump), stream.run, along, behind.block, false);
}

// The words of so many elements, 4 at most, from a place on, which moves behind them. One block a step, in
// one place: a device that is a CPU does what any of its lanes does.
fn next_words(stream: Stream, place: ptr<function, Place>, count: u32) -> vec4<u32> {
    var found = vec4<u32>();
    var filled = 0u;
    while filled < count {
        var here = *place;
        if here.left == 0u {
            here = next_run(stream, here);
        }
        let first = here.element.x & 3u;
        let most = min(count - filled, here.left);
        let taken = select(min(most, 4u - first), most, here.drawn);
        let end = advanced(here.element, vec2<u32>(taken, 0u));
        var block = here.block;
        if !here.drawn || first + taken > 4u {
            block = block_of(stream, select(here.element, end, here.drawn));
        }
        let words = straddle(select(block, here.block, here.drawn), block, first);
        found = behind(found, words, filled);
        filled += taken;
        *place = Place(end, here.left - taken, here.along, block, (end.x & 3u) != 0u);
    }
    return found;
}

// The first so many words, and others behind them.
fn behind(found: vec4<u32>, words: vec4<u32>, filled: u32) -> vec4<u32> {
    switch filled {
        case 1u: { return vec4<u32>(found.x, words.xyz); }
        case 2u: { return vec4<u32>(found.xy, words.xy); }
        case 3u: { return vec4<u32>(found.xyz, words.x); }
        default: { return words; }
    }
}

// The next group.
fn draw(stream: Stream, place: ptr<function, Place>) -> vec4<u32> {
    if dtype == DTYPE_F32 {
        return sample_block(stream.sampler, next_words(stream, place, 4u));
    }
    // Every kernel is compiled with what it repeats, and a loop is there once.
    var parts: array<vec4<u32>, 2>;
    for (var part = 0u; part < 2u; part++) {
        parts[part] = sample_block(stream.sampler, next_words(stream, place, 4u));
    }
    return pack(parts[0], parts[1]);
}

fn draw_rarer(stream: Stream, place: ptr<function, Place>) -> vec4<u32> {
    if dtype == DTYPE_F64 {
        return widened(stream.sampler, next_words(stream, place, 2u).xy);
    }
    var value: vec4<u32>;
    for (var word = 0u; word < 4u; word++) {
        value[word] = packed(stream.sampler, next_words(stream, place, 4u));
    }
    return value;
}

// Elements of a group.
fn of_group() -> u32 {
    if dtype == DTYPE_F64 {
        return 2u;
    }
    return select(select(8u, 16u, is_8_bits(dtype)), 4u, dtype == DTYPE_F32);
}

// The first of an invocation's groups, and one past its last.
fn run_of(id: vec3<u32>, workgroups: vec3<u32>) -> vec2<u32> {
    let first = grid_index(id, workgroups, WIDTH) * params.taken;
    return vec2<u32>(first, min(first + params.taken, params.groups)) + params.first_group;
}

@compute @workgroup_size(WIDTH)
fn slice_groups(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    let run = run_of(id, workgroups);
    if run.x >= run.y {
        return;
    }
    let stream = stream_of_params();
    var place = place_of(run.x * of_group());
    for (var group = run.x; group < run.y; group++) {
        groups[group] = draw(stream, &place);
    }
}

// 8-bit floats and f64, as in fill.wgsl.
@compute @workgroup_size(WIDTH)
fn slice_rarer(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    stage_rows(local);
    let run = run_of(id, workgroups);
    if run.x >= run.y {
        return;
    }
    let stream = stream_of_params();
    var place = place_of(run.x * of_group());
    for (var group = run.x; group < run.y; group++) {
        groups[group] = draw_rarer(stream, &place);
    }
}

// A group an invocation, in part.
@compute @workgroup_size(WIDTH)
fn slice_edges(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.groups {
        return;
    }
    let group = params.first_group + index;
    let stream = stream_of_params();
    var place = place_of(group * of_group());
    let value = draw(stream, &place);
    store(4u * group, value.x, covered(group, 0u));
    store(4u * group + 1u, value.y, covered(group, 1u));
    store(4u * group + 2u, value.z, covered(group, 2u));
    store(4u * group + 3u, value.w, covered(group, 3u));
}

@compute @workgroup_size(WIDTH)
fn slice_rarer_edges(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.groups {
        return;
    }
    let group = params.first_group + index;
    let stream = stream_of_params();
    var place = place_of(group * of_group());
    let value = draw_rarer(stream, &place);
    store(4u * group, value.x, covered_rarer(group, 0u));
    store(4u * group + 1u, value.y, covered_rarer(group, 1u));
    store(4u * group + 2u, value.z, covered_rarer(group, 2u));
    store(4u * group + 3u, value.w, covered_rarer(group, 3u));
}
