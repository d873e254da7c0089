// f32 to and from 16-bit floats, by integer operations: no adapter needs the f16 feature, and all
// round alike. The codes are those of `dtype_code` in src/shaders.rs.
const DTYPE_F32 = 0u;
const DTYPE_BF16 = 1u;
const DTYPE_F16 = 2u;

// Nearest, ties to even, in the upper half. No NaN: no sample is one.
fn round_to_bf16(bits: u32) -> u32 {
    return bits + select(0x7FFFu, 0x8000u, (bits & 0x10000u) != 0u);
}

// The size, nearest, ties to even, subnormals included; src/random/dtype.rs is its twin. No NaN, and
// nothing beyond what rounds to infinity: no sample is either.
fn size_to_f16(bits: u32) -> u32 {
    // With a power of two whose last place is that of the result (2^-24 at least) the sum of floats
    // rounds there, and has the significand at its end.
    let power = max(bits & 0x7F800000u, 113u << 23u) + (13u << 23u);
    let sum = bitcast<f32>(bits & 0x7FFFFFFFu) + bitcast<f32>(power);
    return bitcast<u32>(sum) - power + (power >> 13u) - (126u << 10u);
}

// Two elements of a 16-bit dtype in one word, the first in the low half.
fn pack_pair(dtype: u32, first: u32, second: u32) -> u32 {
    if dtype == DTYPE_BF16 {
        return (round_to_bf16(first) >> 16u) | (round_to_bf16(second) & 0xFFFF0000u);
    }
    let signs = ((first >> 16u) & 0x8000u) | (second & 0x80000000u);
    return signs | size_to_f16(first) | (size_to_f16(second) << 16u);
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

// The word that holds an element, and the element in it.
fn word_of(dtype: u32, element: u32) -> u32 {
    return select(element / 2u, element, dtype == DTYPE_F32);
}

fn element_of(dtype: u32, word: u32, element: u32) -> f32 {
    if dtype == DTYPE_F32 {
        return bitcast<f32>(word);
    }
    return unpack_pair(dtype, word >> (16u * (element & 1u))).x;
}
