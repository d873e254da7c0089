// f32 to and from 16-bit floats, by integer operations: no adapter needs the f16 feature, and all
// round alike. The codes are those of `dtype_code` in src/shaders.rs.
const DTYPE_F32 = 0u;
const DTYPE_BF16 = 1u;
const DTYPE_F16 = 2u;

// Nearest, ties to even; NaN stays NaN.
fn bf16_from_f32(bits: u32) -> u32 {
    if (bits & 0x7FFFFFFFu) > 0x7F800000u {
        return (bits >> 16u) | 0x40u;
    }
    return (bits + 0x7FFFu + ((bits >> 16u) & 1u)) >> 16u;
}

// Nearest, ties to even, subnormals included; src/random/dtype.rs is its twin.
fn f16_from_f32(bits: u32) -> u32 {
    let sign = (bits >> 16u) & 0x8000u;
    let size = bits & 0x7FFFFFFFu;
    let exponent = size >> 23u;
    if size > 0x7F800000u {
        return sign | 0x7E00u;
    }
    if exponent >= 113u {
        let rebased = size - (112u << 23u);
        return sign | min((rebased + 0xFFFu + ((rebased >> 13u) & 1u)) >> 13u, 0x7C00u);
    }
    let significand = (size & 0x7FFFFFu) | 0x800000u;
    let places = select(26u, 126u - exponent, exponent > 100u);
    let odd = (significand >> places) & 1u;
    return sign | ((significand + (1u << (places - 1u)) - 1u + odd) >> places);
}

// Two elements of a 16-bit dtype in one word, the first in the low half.
fn pack_pair(dtype: u32, first: u32, second: u32) -> u32 {
    if dtype == DTYPE_BF16 {
        return bf16_from_f32(first) | (bf16_from_f32(second) << 16u);
    }
    return f16_from_f32(first) | (f16_from_f32(second) << 16u);
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
