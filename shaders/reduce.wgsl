// A run of elements to counts, extremes, mean and squared deviations, in an order that the number of
// elements alone decides. The first pass makes rows: one a workgroup, or one an invocation for
// CPUs' drivers, which suspend every invocation at a barrier. The host adds them in f64;
// `reduce_norm`, in one workgroup, for what stays on the device.

struct Params {
    // The elements of the binding.
    begin: u32,
    end: u32,
    // Sixteens of elements that an invocation takes.
    turns: u32,
    // The rows of the first pass, and where the first goes.
    rows: u32,
    first_row: u32,
    // 0, which no compiler knows.
    zero: u32,
    // What a norm is to stay below.
    bound: f32,
    unused: u32,
}

override dtype: u32 = 0u;
override width: u32 = 256u;
// Whether all there is to it is the norm: no mean, no extremes.
override norm_alone: u32 = 0u;
// Whether to look if sixteen are of the usual kind. CPUs' drivers go both ways of every branch.
override branches: u32 = 0u;

// Parts that are added one after another; so many of these again make the next.
const BLOCK = 16u;
const INFINITE = 0x7F800000u;
const GREATEST = 0x1.fffffep+127;

// What some elements come to. NaN and the infinities are counted, and left out of the rest.
struct Part {
    finite: u32,
    nan: u32,
    infinite: u32,
    // The biased exponent of the unit, a power of 2, that mean and deviations are counted in: near the
    // largest element, so that squares neither overflow nor vanish.
    exponent: u32,
    // In two, so that a large mean costs the deviations no digits.
    mean: f32,
    rest: f32,
    // Of the deviations from the mean.
    square: f32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> groups: array<Four>;
@group(0) @binding(1) var<storage, read> parts: array<Part>;
@group(0) @binding(2) var<storage, read> words: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<Part>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;

fn nothing() -> Part {
    return Part(0u, 0u, 0u, 1u, 0.0, 0.0, 0.0, GREATEST, -GREATEST);
}

fn sum_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> f32 {
    let sums = (a + b) + (c + d);
    return (sums.x + sums.y) + (sums.z + sums.w);
}

fn how_many(which: vec4<bool>) -> u32 {
    let ones = select(vec4<u32>(0u), vec4<u32>(1u), which);
    return (ones.x + ones.y) + (ones.z + ones.w);
}

fn how_many_of(which: Which) -> u32 {
    return (how_many(which.a) + how_many(which.b)) + (how_many(which.c) + how_many(which.d));
}

fn sizes(x: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(x) & vec4<u32>(0x7FFFFFFFu);
}

fn largest(x: Sixteen) -> u32 {
    let most = max(max(sizes(x.a), sizes(x.b)), max(sizes(x.c), sizes(x.d)));
    return max(max(most.x, most.y), max(most.z, most.w));
}

// What went into a number, hidden from compilers, through a zero that they do not know: Mesa's takes
// a common factor out of a sum, which then overflows or loses the digits that it is there for.
fn hidden(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ params.zero);
}

fn scaled(x: vec4<f32>, unit: f32) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x * unit) ^ vec4<u32>(params.zero));
}

// Those of sixteen that are kept, the others being 0; `size` has the bits of the largest.
fn part_of(x: Sixteen, kept: Which, size: u32) -> Part {
    let finite = how_many_of(kept);
    let exponent = clamp(size >> 23u, 1u, 253u);
    let unit = bitcast<f32>((254u - exponent) << 23u);
    let a = scaled(x.a, unit);
    let b = scaled(x.b, unit);
    let c = scaled(x.c, unit);
    let d = scaled(x.d, unit);
    var part = nothing();
    part.finite = finite;
    part.exponent = exponent;
    if norm_alone == 1u {
        part.square = sum_of(a * a, b * b, c * c, d * d);
        return part;
    }
    let count = max(f32(finite), 1.0);
    // Rounded; the deviations' own sum makes up for it.
    let mean = sum_of(a, b, c, d) / count;
    let zero = vec4<f32>(0.0);
    let da = select(zero, a - mean, kept.a);
    let db = select(zero, b - mean, kept.b);
    let dc = select(zero, c - mean, kept.c);
    let dd = select(zero, d - mean, kept.d);
    let off = sum_of(da, db, dc, dd);
    part.mean = mean;
    part.rest = off / count;
    part.square = max(sum_of(da * da, db * db, dc * dc, dd * dd) - off * part.rest, 0.0);
    let above = vec4<f32>(GREATEST);
    let low = min(
        min(select(above, x.a, kept.a), select(above, x.b, kept.b)),
        min(select(above, x.c, kept.c), select(above, x.d, kept.d)),
    );
    let high = max(
        max(select(-above, x.a, kept.a), select(-above, x.b, kept.b)),
        max(select(-above, x.c, kept.c), select(-above, x.d, kept.d)),
    );
    part.low = min(min(low.x, low.y), min(low.z, low.w));
    part.high = max(max(high.x, high.y), max(high.z, high.w));
    return part;
}

// Those of sixteen that are inside, whatever they are. By the bits: drivers may take what compares
// with NaN for what they like.
fn any_part_of(x: Sixteen, inside: Which) -> Part {
    let all = vec4<u32>(INFINITE);
    let size = array<vec4<u32>, 4>(sizes(x.a), sizes(x.b), sizes(x.c), sizes(x.d));
    let kept = Which(
        inside.a & (size[0] < all),
        inside.b & (size[1] < all),
        inside.c & (size[2] < all),
        inside.d & (size[3] < all),
    );
    let nan = Which(
        inside.a & (size[0] > all),
        inside.b & (size[1] > all),
        inside.c & (size[2] > all),
        inside.d & (size[3] > all),
    );
    let zero = vec4<f32>(0.0);
    let own = Sixteen(
        select(zero, x.a, kept.a),
        select(zero, x.b, kept.b),
        select(zero, x.c, kept.c),
        select(zero, x.d, kept.d),
    );
    var part = part_of(own, kept, largest(own));
    part.nan = how_many_of(nan);
    part.infinite = how_many_of(inside) - part.finite - part.nan;
    return part;
}

// The sixteen from a group on.
fn part_at(first: u32) -> Part {
    let whole = params.end / of_group();
    let x = sixteen_at(first, width, whole);
    if branches == 1u && all_inside(first, width, params.begin, whole) {
        let size = largest(x);
        if size < INFINITE {
            let all = vec4<bool>(true);
            return part_of(x, Which(all, all, all, all), size);
        }
    }
    return any_part_of(x, inside(first, width, params.begin, whole));
}

// 2^-places, which is 0 beside 1 from 126 on.
fn shrunk(places: u32) -> f32 {
    return bitcast<f32>((127u - min(places, 126u)) << 23u);
}

// Both parts' elements: Chan, Golub, LeVeque 1979.
fn merge(a: Part, b: Part) -> Part {
    var all = a;
    if a.finite == 0u {
        all = b;
    } else if b.finite > 0u {
        all.finite = a.finite + b.finite;
        all.exponent = max(a.exponent, b.exponent);
        all.low = min(a.low, b.low);
        all.high = max(a.high, b.high);
        let of_a = shrunk(all.exponent - a.exponent);
        let of_b = shrunk(all.exponent - b.exponent);
        let mean = hidden(a.mean * of_a);
        let rest = a.rest * of_a;
        let apart = (hidden(b.mean * of_b) - mean) + (b.rest * of_b - rest);
        let share = f32(b.finite) / f32(all.finite);
        let step = rest + apart * share;
        all.mean = hidden(mean + step);
        // What the sum's rounding took.
        all.rest = step - (all.mean - mean);
        let between = apart * apart * (f32(a.finite) * share);
        all.square = a.square * of_a * of_a + (b.square * of_b * of_b + between);
    }
    all.nan = a.nan + b.nan;
    all.infinite = a.infinite + b.infinite;
    return all;
}

// What one invocation takes. The loop ends by the workgroup's own last group: one that a uniform ended
// lavapipe would unroll, at every dispatch anew.
fn folded(workgroup: u32, local: u32) -> Part {
    let turn = width * of_sixteen();
    let start = params.begin / of_group() + workgroup * params.turns * turn;
    let last = min(start + params.turns * turn, params.end / of_group());
    var all = nothing();
    var block = nothing();
    var taken = 0u;
    for (var first = start + local; first < last; first += turn) {
        block = merge(block, part_at(first));
        taken++;
        if taken % BLOCK == 0u {
            all = merge(all, block);
            block = nothing();
        }
    }
    all = merge(all, block);
    if workgroup == 0u && local == 0u {
        let whole = params.end / of_group();
        let inside = rest_inside(whole, params.begin, params.end);
        all = merge(all, any_part_of(rest_at(whole, params.end), inside));
    }
    return all;
}

var<workgroup> shares: array<Part, width>;

// All of a workgroup's, in its first invocation.
fn together(own: Part, local: u32) -> Part {
    var part = own;
    shares[local] = part;
    for (var reach = width / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if local < reach {
            part = merge(part, shares[local + reach]);
            shares[local] = part;
        }
    }
    return part;
}

@compute @workgroup_size(width)
fn reduce_workgroups(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = id.y * workgroups.x + id.x;
    if row >= params.rows {
        return;
    }
    let part = together(folded(row, local), local);
    if local == 0u {
        rows[params.first_row + row] = part;
    }
}

@compute @workgroup_size(width)
fn reduce_invocations(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = id.y * workgroups.x + id.x;
    let row = workgroup * width + local;
    if row < params.rows {
        rows[params.first_row + row] = folded(workgroup, local);
    }
}

// The factor that brings a norm down to a bound: min(1, bound / (norm + 1e-6)), as PyTorch's
// clip_grad_norm_ has it; then the norm.
@compute @workgroup_size(width)
fn reduce_norm(@builtin(local_invocation_index) local: u32) {
    var own = nothing();
    for (var row = local; row < params.rows; row += width) {
        own = merge(own, parts[row]);
    }
    let all = together(own, local);
    if local > 0u {
        return;
    }
    let mean = all.mean + all.rest;
    let root = sqrt(all.square + f32(all.finite) * mean * mean);
    var norm = root * bitcast<f32>(all.exponent << 23u);
    var factor = params.bound / (norm + 1e-6);
    // Not min(1, ...), which would make a number of what is none.
    factor = select(factor, 1.0, factor > 1.0);
    // As the sum of all squares would have it.
    if all.nan > 0u {
        norm = bitcast<f32>(0x7FC00000u | params.zero);
        factor = norm;
    } else if all.infinite > 0u {
        norm = bitcast<f32>(INFINITE | params.zero);
        factor = 0.0;
    }
    scale[0] = factor;
    scale[1] = norm;
}
