// The elements of a run, sixteen an invocation at a time: four groups of 16 bytes, two of a 16-bit
// dtype, one of an 8-bit dtype, eight of f64s, `apart` from each other so that neighbours read neighbours. A
// run's last elements may not fill a group, which no binding of groups reaches then.

struct Sixteen {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// Of each of sixteen, whether something holds.
struct Which {
    a: vec4<bool>,
    b: vec4<bool>,
    c: vec4<bool>,
    d: vec4<bool>,
}

// The elements of a group, and the groups of sixteen.
fn of_group() -> u32 {
    return 16u / of_sixteen();
}

fn of_sixteen() -> u32 {
    switch dtype {
        case DTYPE_F32: { return 4u; }
        case DTYPE_F64: { return 8u; }
        case DTYPE_F8_E4M3, DTYPE_F8_E5M2: { return 1u; }
        default: { return 2u; }
    }
}

fn four_halves(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack_pair(dtype, words.x), unpack_pair(dtype, words.y));
}

// Whether elements are of 8 or 64 bits. Those are read one by one, in loops: every kernel is compiled with
// what it leaves out, and a loop is there once.
fn is_rarer() -> bool {
    return is_8_bits(dtype) || dtype == DTYPE_F64;
}

fn rarer_at(first: u32, apart: u32, last: u32) -> Sixteen {
    var x: array<f32, 16>;
    for (var at = 0u; at < 16u; at++) {
        let group = min(first + at / of_group() * apart, last);
        x[at] = any_element_at(group * of_group() + at % of_group());
    }
    return sixteen_of(x);
}

fn sixteen_of(x: array<f32, 16>) -> Sixteen {
    return Sixteen(
        vec4<f32>(x[0], x[1], x[2], x[3]),
        vec4<f32>(x[4], x[5], x[6], x[7]),
        vec4<f32>(x[8], x[9], x[10], x[11]),
        vec4<f32>(x[12], x[13], x[14], x[15]),
    );
}

// The sixteen from a group on, the last whole group in place of those after it: loads that wait for
// nothing, and so all at once. `whole` is the number of whole groups.
fn sixteen_at(first: u32, apart: u32, whole: u32) -> Sixteen {
    let last = max(whole, 1u) - 1u;
    if is_rarer() {
        return rarer_at(first, apart, last);
    }
    let at = min(first + vec4<u32>(0u, 1u, 2u, 3u) * apart, vec4<u32>(last));
    if dtype == DTYPE_F32 {
        return Sixteen(
            four_of(groups[at.x]),
            four_of(groups[at.y]),
            four_of(groups[at.z]),
            four_of(groups[at.w]),
        );
    }
    let one = bitcast<vec4<u32>>(four_of(groups[at.x]));
    let other = bitcast<vec4<u32>>(four_of(groups[at.y]));
    return Sixteen(
        four_halves(one.xy),
        four_halves(one.zw),
        four_halves(other.xy),
        four_halves(other.zw),
    );
}

// Whether all sixteen are elements from `begin` on in whole groups.
fn all_inside(first: u32, apart: u32, begin: u32, whole: u32) -> bool {
    return first * of_group() >= begin && first + (of_sixteen() - 1u) * apart < whole;
}

// Which are.
fn inside(first: u32, apart: u32, begin: u32, whole: u32) -> Which {
    return Which(
        four_inside(first, apart, 0u, begin, whole),
        four_inside(first, apart, 1u, begin, whole),
        four_inside(first, apart, 2u, begin, whole),
        four_inside(first, apart, 3u, begin, whole),
    );
}

fn four_inside(first: u32, apart: u32, place: u32, begin: u32, whole: u32) -> vec4<bool> {
    if dtype == DTYPE_F64 {
        // Two groups.
        let group = first + (2u * place + vec4<u32>(0u, 0u, 1u, 1u)) * apart;
        let at = group * 2u + vec4<u32>(0u, 1u, 0u, 1u);
        return (at >= vec4<u32>(begin)) & (group < vec4<u32>(whole));
    }
    let fours = of_group() / 4u;
    let group = first + place / fours * apart;
    let at = group * of_group() + place % fours * 4u + vec4<u32>(0u, 1u, 2u, 3u);
    return at >= vec4<u32>(select(0xFFFFFFFFu, begin, group < whole));
}

// Of any dtype.
fn any_element_at(element: u32) -> f32 {
    if dtype == DTYPE_F64 {
        return f32_from_f64(vec2<u32>(words[2u * element], words[2u * element + 1u]));
    }
    if is_8_bits(dtype) {
        return f32_from_8_bits(dtype, words[element / 4u] >> (8u * (element & 3u)));
    }
    return element_at(element);
}

fn element_at(element: u32) -> f32 {
    return element_of(dtype, words[word_of(dtype, element)], element);
}

fn four_at(at: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(element_at(at.x), element_at(at.y), element_at(at.z), element_at(at.w));
}

// What lies after the whole groups, at most fifteen of an 8-bit dtype, else seven: the last element in
// place of what does not.
fn rest_at(whole: u32, end: u32) -> Sixteen {
    if is_rarer() {
        var x: array<f32, 16>;
        for (var at = 0u; at < 16u; at++) {
            x[at] = any_element_at(min(whole * of_group() + at, end - 1u));
        }
        return sixteen_of(x);
    }
    let at = whole * of_group() + vec4<u32>(0u, 1u, 2u, 3u);
    let last = vec4<u32>(end - 1u);
    let one = four_at(min(at, last));
    let other = four_at(min(at + 4u, last));
    return Sixteen(one, other, other, other);
}

// Which of those are elements.
fn rest_inside(whole: u32, begin: u32, end: u32) -> Which {
    let none = vec4<bool>(false);
    let start = whole * of_group();
    let one = between(start, begin, end);
    let other = between(start + 4u, begin, end);
    if is_8_bits(dtype) {
        return Which(
            one,
            other,
            between(start + 8u, begin, end),
            between(start + 12u, begin, end),
        );
    }
    return Which(one, other, none, none);
}

fn between(start: u32, begin: u32, end: u32) -> vec4<bool> {
    let at = start + vec4<u32>(0u, 1u, 2u, 3u);
    return (at >= vec4<u32>(begin)) & (at < vec4<u32>(end));
}
