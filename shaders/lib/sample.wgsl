// From a word to the bits of a sample. Needs multiply_wide and quantile_fixed. Products and sums
// round once each, as the contract of the drawn numbers asks.

// The kind codes are those of `Kind` in src/random/sample.rs.
const KIND_WORDS = 0u;
const KIND_CONSTANT = 1u;
const KIND_UNIT = 2u;
const KIND_SYMMETRIC = 3u;
const KIND_NORMAL = 4u;
const KIND_TRUNCATED = 5u;

struct Sampler {
    scale: f32,
    // A mean or a low bound; the value itself for a constant.
    shift: f32,
    // The first word inside a truncated normal's cut.
    low_word: u32,
    // 0, in a way that no compiler can know.
    zero: u32,
}

fn sample_integer(kind: u32, sampler: Sampler, word: u32) -> i32 {
    switch kind {
        case KIND_UNIT: { return i32(word >> 8u); }
        case KIND_SYMMETRIC: { return i32((word >> 9u) * 2u) + 1 - 8388608; }
        case KIND_TRUNCATED: {
            let inside = 0u - 2u * sampler.low_word;
            return quantile_fixed(sampler.low_word + multiply_wide(word, inside).y);
        }
        default: { return quantile_fixed(word); }
    }
}

fn sample_bits(kind: u32, sampler: Sampler, word: u32) -> u32 {
    switch kind {
        case KIND_WORDS: { return word; }
        case KIND_CONSTANT: { return bitcast<u32>(sampler.shift); }
        default: {
            let product = f32(sample_integer(kind, sampler, word)) * sampler.scale;
            // Through an integer, so that a driver cannot fuse the product into the sum.
            return bitcast<u32>(bitcast<f32>(bitcast<u32>(product) ^ sampler.zero) + sampler.shift);
        }
    }
}
