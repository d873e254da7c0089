// The loss of each row and its gradient with respect to the row's outputs, for the mean over the
// batch's real rows. Rows beyond them have neither. And the squared errors of each column, whose sums
// say how well each of several targets is met.

struct Params {
    rows: u32,
    columns: u32,
    smoothing: f32,
    // 1 / columns.
    share: f32,
}

// 0: softmax cross-entropy with class indices; 1: mean squared error; 2: binary cross-entropy of
// logits. The codes are those of `Loss::code`. 3: binary cross-entropy with class indices, of targets
// that are 1 at the class and 0 elsewhere.
override kind: u32 = 0u;
override gradients: u32 = 1u;

const WIDTH = 64u;
// Rows whose squared errors one invocation adds up.
const SLICE = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> outputs: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<u32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;
// The loss, and how much of the row was predicted right: of 1.
@group(0) @binding(5) var<storage, read_write> results: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

// The bits of a float that is infinite or no number, else 0. min and max would hide it.
fn broken(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(0u, bits, (bits & 0x7F800000u) == 0x7F800000u);
}

// The loss, or no number where an output was none: that ends a training run with a clear word.
fn whole(loss: f32, broken: u32) -> f32 {
    if broken != 0u {
        return bitcast<f32>(broken | 0x7FC00000u);
    }
    return loss;
}

// ln(1 + x) of x >= 0: a sum of exponentials, of which none is above 1.
fn log_one_plus(x: f32) -> f32 {
    if x > 1.0 {
        return log(1.0 + x);
    }
    return log1p_unit(x);
}

fn cross_entropy(row: u32) -> vec2<f32> {
    let first = row * params.columns;
    let last = first + params.columns;
    let label = targets[row];
    var best = first;
    var high = outputs[first];
    var total = 0.0;
    var bad = 0u;
    for (var at = first; at < last; at++) {
        let output = outputs[at];
        bad |= broken(output);
        total += output;
        if output > high {
            high = output;
            best = at;
        }
    }
    // The largest term is 1: what the others add to it goes through a logarithm of its own.
    var others = 0.0;
    for (var at = first; at < last; at++) {
        if at != best {
            others += exp_negative(outputs[at] - high);
        }
    }
    let normalizer = log_one_plus(others);
    if gradients == 1u {
        let scale = 1.0 / (1.0 + others);
        let even = params.smoothing * params.share;
        for (var at = first; at < last; at++) {
            var term = 1.0;
            if at != best {
                term = exp_negative(outputs[at] - high);
            }
            var wanted = even;
            if at - first == label {
                wanted += 1.0 - params.smoothing;
            }
            gradient[at] = (term * scale - wanted) * step.inverse;
        }
    }
    let wanted = outputs[first + min(label, params.columns - 1u)] - high;
    var loss = normalizer - wanted;
    if params.smoothing > 0.0 {
        let mean = total * params.share - high;
        loss = normalizer - (1.0 - params.smoothing) * wanted - params.smoothing * mean;
    }
    return vec2<f32>(whole(loss, bad), select(0.0, 1.0, best - first == label));
}

fn squared_error(row: u32) -> vec2<f32> {
    let first = row * params.columns;
    var sum = 0.0;
    for (var at = first; at < first + params.columns; at++) {
        let error = outputs[at] - bitcast<f32>(targets[at]);
        sum += error * error;
        if gradients == 1u {
            gradient[at] = 2.0 * error * (params.share * step.inverse);
        }
    }
    return vec2<f32>(sum * params.share, 0.0);
}

fn binary_cross_entropy(row: u32) -> vec2<f32> {
    let first = row * params.columns;
    // The first value, where it is no class: not used then, and there.
    let label = targets[select(first, row, kind == 3u)];
    var best = first;
    var high = outputs[first];
    var sum = 0.0;
    var right = 0.0;
    var bad = 0u;
    for (var at = first; at < first + params.columns; at++) {
        let output = outputs[at];
        var wanted = 0.0;
        if kind == 3u {
            wanted = select(0.0, 1.0, at - first == label);
        } else {
            wanted = bitcast<f32>(targets[at]);
        }
        bad |= broken(output);
        if output > high {
            high = output;
            best = at;
        }
        let small = exp_negative(-abs(output));
        // Of a positive output 1 - t is what is lost of it, of a negative one t.
        sum += select(-output * wanted, output * (1.0 - wanted), output > 0.0);
        sum += log1p_unit(small);
        if (output > 0.0) == (wanted > 0.5) {
            right += 1.0;
        }
        if gradients == 1u {
            let probability = select(small, 1.0, output > 0.0) / (1.0 + small);
            gradient[at] = (probability - wanted) * (params.share * step.inverse);
        }
    }
    right *= params.share;
    if kind == 3u {
        right = select(0.0, 1.0, best - first == label);
    }
    return vec2<f32>(whole(sum * params.share, bad), right);
}

@compute @workgroup_size(WIDTH)
fn loss_rows(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = grid_index(id, workgroups, WIDTH);
    if row >= params.rows {
        return;
    }
    if row >= step.rows {
        if gradients == 1u {
            for (var column = 0u; column < params.columns; column++) {
                gradient[row * params.columns + column] = 0.0;
            }
        }
        results[step.slot + row] = vec2<f32>(0.0, 0.0);
        return;
    }
    var result = vec2<f32>(0.0, 0.0);
    switch kind {
        case 1u: { result = squared_error(row); }
        case 2u, 3u: { result = binary_cross_entropy(row); }
        default: { result = cross_entropy(row); }
    }
    results[step.slot + row] = result;
}

// Each column's squared errors over a slice of rows: `sums` is [steps, slices, columns].
@compute @workgroup_size(WIDTH)
fn loss_columns(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = grid_index(id, workgroups, WIDTH);
    let slices = (params.rows + SLICE - 1u) / SLICE;
    if index >= params.columns * slices {
        return;
    }
    let first = (index / params.columns) * SLICE;
    let last = min(first + SLICE, step.rows);
    var sum = 0.0;
    for (var row = first; row < last; row++) {
        let at = row * params.columns + index % params.columns;
        let error = outputs[at] - bitcast<f32>(targets[at]);
        sum += error * error;
    }
    sums[step.slot / params.rows * (slices * params.columns) + index] = sum;
}
