// Counts, extremes, mean and squared deviations of a run of elements: a row for each invocation's,
// in an order that the number of elements alone decides. The host adds the rows in f64.

struct Params {
    // The elements of the binding.
    begin: u32,
    end: u32,
    // The rows of the result.
    rows: u32,
    unused: u32,
}

override dtype: u32 = 0u;

const WIDTH = 64u;
// Elements that one invocation takes, WIDTH apart so that neighbours read neighbours: 16 sums of 16,
// so that no sum passes through more than 32 roundings.
const BLOCKS = 16u;
const BLOCK = 16u;

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
// Three a row: (finite, NaN, infinite, biased exponent), (mean, sum and sum of squares of the
// deviations from it), (least, greatest); the mean and sums in units of the exponent's power of 2.
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<u32>>;

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7F800000u) != 0x7F800000u;
}

@compute @workgroup_size(WIDTH)
fn reduce_leaves(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    if index >= params.rows {
        return;
    }
    let first = params.begin + (index / WIDTH) * (WIDTH * BLOCKS * BLOCK) + index % WIDTH;

    var finite = 0u;
    var nan = 0u;
    var infinite = 0u;
    var low = 0x1.fffffep+127;
    var high = -0x1.fffffep+127;
    for (var taken = 0u; taken < BLOCKS * BLOCK; taken++) {
        let element = first + taken * WIDTH;
        if element >= params.end {
            break;
        }
        let x = element_at(element);
        if is_finite(x) {
            finite += 1u;
            low = min(low, x);
            high = max(high, x);
        } else if is_nan(x) {
            nan += 1u;
        } else {
            infinite += 1u;
        }
    }

    // Sizes brought to about 1, by a power of 2 and so exactly: squares neither overflow nor vanish.
    let size = max(bitcast<u32>(abs(low)), bitcast<u32>(abs(high)));
    let exponent = clamp(size >> 23u, 1u, 253u);
    let scale = bitcast<f32>((254u - exponent) << 23u);
    var all = 0.0;
    for (var block = 0u; block < BLOCKS; block++) {
        var sum = 0.0;
        for (var taken = 0u; taken < BLOCK; taken++) {
            let element = first + (block * BLOCK + taken) * WIDTH;
            if element >= params.end {
                break;
            }
            let x = element_at(element);
            if is_finite(x) {
                sum += x * scale;
            }
        }
        all += sum;
    }
    // Rounded; the deviations' own sum makes up for it.
    let mean = all / f32(max(finite, 1u));
    var deviations = vec2<f32>(0.0);
    for (var block = 0u; block < BLOCKS; block++) {
        var sums = vec2<f32>(0.0);
        for (var taken = 0u; taken < BLOCK; taken++) {
            let element = first + (block * BLOCK + taken) * WIDTH;
            if element >= params.end {
                break;
            }
            let x = element_at(element);
            if is_finite(x) {
                let deviation = x * scale - mean;
                sums += vec2<f32>(deviation, deviation * deviation);
            }
        }
        deviations += sums;
    }

    let row = 3u * index;
    rows[row] = vec4<u32>(finite, nan, infinite, exponent);
    rows[row + 1u] = bitcast<vec4<u32>>(vec4<f32>(mean, deviations, 0.0));
    rows[row + 2u] = bitcast<vec4<u32>>(vec4<f32>(low, high, 0.0, 0.0));
}

fn element_at(element: u32) -> f32 {
    return element_of(dtype, words[word_of(dtype, element)], element);
}
