// A group of 16 bytes from the words of a stream, and into what a run covers of it. The module that joins
// this one has the constants that choose a kind and a dtype, the quantile's table, and a run from
// `params.begin` to `params.end`, in elements of the binding `words`.

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

// Two f64s.
fn widened(sampler: Sampler, word: vec2<u32>) -> vec4<u32> {
    return vec4<u32>(
        f64_from_f32(sample_bits(kind, shifted, sampler, word.x)),
        f64_from_f32(sample_bits(kind, shifted, sampler, word.y)),
    );
}

// Four words of two blocks, from place `first` of the one on.
fn straddle(a: vec4<u32>, b: vec4<u32>, first: u32) -> vec4<u32> {
    switch first {
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
