// f32 to and from other floats, by integer operations: no adapter needs the f16 feature, and all
// round alike. The codes are those of `dtype_code` in src/shaders.rs.
const DTYPE_F32 = 0u;
const DTYPE_BF16 = 1u;
const DTYPE_F16 = 2u;
const DTYPE_F8_E4M3 = 3u;
const DTYPE_F8_E5M2 = 4u;
const DTYPE_F64 = 5u;

fn is_8_bits(dtype: u32) -> bool {
    return dtype == DTYPE_F8_E4M3 || dtype == DTYPE_F8_E5M2;
}

// Nearest, ties to even, in the upper half. No NaN: no sample is one.
fn round_to_bf16(bits: u32) -> u32 {
    return bits + select(0x7FFFu, 0x8000u, (bits & 0x10000u) != 0u);
}

// The size of a float whose fraction is `drop` bits shorter and whose least exponent is `least` as f32 has
// it: nearest, ties to even, subnormals included; src/random/dtype.rs is its twin. No NaN, and nothing that
// rounds beyond the largest: no sample is either.
fn rounded_size(bits: u32, least: u32, drop: u32) -> u32 {
    // With a power of two whose last place is that of the result (that of `least` at least) the sum of
    // floats rounds there, and has the significand at its end.
    let power = max(bits & 0x7F800000u, least << 23u) + (drop << 23u);
    let sum = bitcast<f32>(bits & 0x7FFFFFFFu) + bitcast<f32>(power);
    return bitcast<u32>(sum) - power + (power >> drop) - ((least + drop) << (23u - drop));
}

fn size_to_f16(bits: u32) -> u32 {
    return rounded_size(bits, 113u, 13u);
}

// Two elements of a 16-bit dtype in one word, the first in the low half.
fn pack_pair(dtype: u32, first: u32, second: u32) -> u32 {
    if dtype == DTYPE_BF16 {
        return (round_to_bf16(first) >> 16u) | (round_to_bf16(second) & 0xFFFF0000u);
    }
    let signs = ((first >> 16u) & 0x8000u) | (second & 0x80000000u);
    return signs | size_to_f16(first) | (size_to_f16(second) << 16u);
}

fn round_to_8_bits(dtype: u32, bits: u32) -> u32 {
    let sign = (bits >> 24u) & 0x80u;
    if dtype == DTYPE_F8_E4M3 {
        return sign | rounded_size(bits, 121u, 20u);
    }
    return sign | rounded_size(bits, 113u, 21u);
}

// Four elements of an 8-bit dtype in one word, the first in the lowest byte.
fn pack_four(dtype: u32, bits: vec4<u32>) -> u32 {
    let low = round_to_8_bits(dtype, bits.x) | (round_to_8_bits(dtype, bits.y) << 8u);
    let high = round_to_8_bits(dtype, bits.z) | (round_to_8_bits(dtype, bits.w) << 8u);
    return low | (high << 16u);
}

// The two words of the f64 that an f32 is, the lower first. No subnormal but 0, no NaN: no sample is one.
fn f64_from_f32(bits: u32) -> vec2<u32> {
    let size = bits & 0x7FFFFFFFu;
    // The bias of the exponent rises from 127 to 1023.
    let high = select((size >> 3u) + (896u << 20u), 0u, size == 0u);
    return vec2<u32>(size << 29u, (bits & 0x80000000u) | high);
}

// unpack2x16float asks for a capability that not every GL has.
fn f32_from_f16(bits: u32) -> f32 {
    let sign = (bits & 0x8000u) << 16u;
    let size = bits & 0x7FFFu;
    if size < 0x400u {
        return select(1.0, -1.0, sign != 0u) * (f32(size) * 0x1p-24);
    }
    // The bias of the exponent rises from 15 to 127; infinities and NaN have the top one in both.
    let rebias = select(112u << 23u, 224u << 23u, size >= 0x7C00u);
    return bitcast<f32>(sign | ((size << 13u) + rebias));
}

// The two elements of a packed word.
fn unpack_pair(dtype: u32, word: u32) -> vec2<f32> {
    if dtype == DTYPE_BF16 {
        return vec2<f32>(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xFFFF0000u));
    }
    return vec2<f32>(f32_from_f16(word & 0xFFFFu), f32_from_f16(word >> 16u));
}

// The value of the lowest byte.
fn f32_from_8_bits(dtype: u32, word: u32) -> f32 {
    if dtype == DTYPE_F8_E5M2 {
        // The upper half of an f16.
        return f32_from_f16((word & 0xFFu) << 8u);
    }
    let sign = (word & 0x80u) << 24u;
    let size = word & 0x7Fu;
    if size < 8u {
        return select(1.0, -1.0, sign != 0u) * (f32(size) * 0x1p-9);
    }
    // The bias of the exponent rises from 7 to 127; the one NaN has the top exponent.
    let rebias = select(120u << 23u, 240u << 23u, size == 0x7Fu);
    return bitcast<f32>(sign | ((size << 20u) + rebias));
}

// The f32 nearest to an f64 of two words, the lower first; ties to even, subnormals taken for 0.
fn f32_from_f64(words: vec2<u32>) -> f32 {
    let sign = words.y & 0x80000000u;
    let high = words.y & 0x7FFFFFFFu;
    if high > 0x7FF00000u || (high == 0x7FF00000u && words.x > 0u) {
        return bitcast<f32>(0x7FC00000u | sign);
    }
    if high < (897u << 20u) {
        return bitcast<f32>(sign);
    }
    if high >= (1151u << 20u) {
        return bitcast<f32>(0x7F800000u | sign);
    }
    // The bias of the exponent falls from 1023 to 127, 29 bits of fraction go.
    let size = ((high - (896u << 20u)) << 3u) | (words.x >> 29u);
    let rest = words.x & 0x1FFFFFFFu;
    let up = rest > 0x10000000u || (rest == 0x10000000u && (size & 1u) == 1u);
    return bitcast<f32>(sign | (size + select(0u, 1u, up)));
}

// The word that holds an element of 32 or 16 bits, and the element in it.
fn word_of(dtype: u32, element: u32) -> u32 {
    return select(element / 2u, element, dtype == DTYPE_F32);
}

fn element_of(dtype: u32, word: u32, element: u32) -> f32 {
    if dtype == DTYPE_F32 {
        return bitcast<f32>(word);
    }
    return unpack_pair(dtype, word >> (16u * (element & 1u))).x;
}
