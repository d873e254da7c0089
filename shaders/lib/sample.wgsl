// From a word to the bits of a sample; a constant needs none. Needs multiply_wide and quantile. Products and sums
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
    // A mean or a low bound.
    shift: f32,
    // The first word inside a truncated normal's cut.
    low_word: u32,
    // 0, in a way that no compiler can know.
    zero: u32,
}

// The number that a word stands for, before it is scaled: exact.
fn sample_number(kind: u32, sampler: Sampler, word: u32) -> f32 {
    switch kind {
        case KIND_UNIT: { return f32(i32(word >> 8u)); }
        case KIND_SYMMETRIC: { return f32(i32((word >> 9u) * 2u) + 1 - 8388608); }
        case KIND_TRUNCATED: {
            let inside = 0u - 2u * sampler.low_word;
            return quantile(sampler.low_word + multiply_wide(word, inside).y);
        }
        default: { return quantile(word); }
    }
}

fn sample_bits(kind: u32, shifted: u32, sampler: Sampler, word: u32) -> u32 {
    switch kind {
        // As 32 bits: llvmpipe would store the 64 that a word was made in, one by one, in 2.7 times as long.
        case KIND_WORDS: { return word ^ sampler.zero; }
        default: {
            let product = sample_number(kind, sampler, word) * sampler.scale;
            if shifted == 0u {
                // A shift of 0.0 that no compiler can know: it makes 0.0 of the quantile's -0.0, which a
                // 0.0 written here would not everywhere. Fused into the product it costs nothing, and
                // changes nothing: x * y + 0.0 is x * y, rounded once.
                return bitcast<u32>(product + sampler.shift);
            }
            // Through an integer, so that a driver cannot fuse the product into the sum.
            return bitcast<u32>(bitcast<f32>(bitcast<u32>(product) ^ sampler.zero) + sampler.shift);
        }
    }
}
