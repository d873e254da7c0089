// Layer norm with what follows it: out = dropout(f(y)) + after, y = scale * x^ + shift, x^ the row
// with mean 0 and variance 1 (Ba, Kiros, Hinton 2016). An invocation takes a row.

struct Params {
    rows: u32,
    columns: u32,
    // 1 / columns.
    share: f32,
    epsilon: f32,
    key: vec2<u32>,
    id: vec2<u32>,
    // Dropout: words below it fall; 0 keeps all.
    threshold: u32,
    keep_scale: f32,
    parameter: f32,
    unused: u32,
}

override activation: u32 = 0u;
override dropout: u32 = 0u;
// Whether the rows of a residual connection are added.
override residual: u32 = 0u;

const WIDTH = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<uniform> step: Step;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;
// Forward: the rows. Backward: the gradient of what came out.
@group(0) @binding(4) var<storage, read> values: array<f32>;
// Forward: what a residual connection adds. Backward: 1 / the rows' standard deviations.
@group(0) @binding(5) var<storage, read> beside: array<f32>;
// Forward: x^, written. Backward: x^, read.
@group(0) @binding(6) var<storage, read_write> normalized: array<f32>;
// Forward: 1 / the rows' standard deviations. Backward: the gradient of y.
@group(0) @binding(7) var<storage, read_write> extra: array<f32>;
// Forward: what comes out. Backward: the gradient of the rows.
@group(0) @binding(8) var<storage, read_write> result: array<f32>;

// 1 / (1 - p) where the element is kept, else 0.
fn kept(row: u32, column: u32) -> f32 {
    if dropout == 0u {
        return 1.0;
    }
    let group = column / 4u;
    let words = dropout_words(row, group, params.columns, step.step, params.id, params.key);
    return select(0.0, params.keep_scale, words[column % 4u] >= params.threshold);
}

@compute @workgroup_size(WIDTH)
fn norm_forward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = grid_index(id, workgroups, WIDTH);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    var sum = 0.0;
    for (var column = 0u; column < params.columns; column++) {
        sum += values[first + column];
    }
    let mean = sum * params.share;
    var squares = 0.0;
    for (var column = 0u; column < params.columns; column++) {
        let deviation = values[first + column] - mean;
        squares += deviation * deviation;
    }
    let inverse = 1.0 / sqrt(squares * params.share + params.epsilon);
    extra[row] = inverse;
    for (var column = 0u; column < params.columns; column++) {
        let at = first + column;
        let unit = (values[at] - mean) * inverse;
        normalized[at] = unit;
        let y = scale[column] * unit + shift[column];
        var out = activation_value(activation, params.parameter, y) * kept(row, column);
        if residual == 1u {
            out += beside[at];
        }
        result[at] = out;
    }
}

@compute @workgroup_size(WIDTH)
fn norm_backward(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = grid_index(id, workgroups, WIDTH);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    var mean = 0.0;
    var along = 0.0;
    for (var column = 0u; column < params.columns; column++) {
        let at = first + column;
        let unit = normalized[at];
        let y = scale[column] * unit + shift[column];
        let slope = activation_derivative(activation, params.parameter, y);
        let gradient = values[at] * slope * kept(row, column);
        extra[at] = gradient;
        mean += gradient * scale[column];
        along += gradient * scale[column] * unit;
    }
    mean *= params.share;
    along *= params.share;
    let inverse = beside[row];
    for (var column = 0u; column < params.columns; column++) {
        let at = first + column;
        result[at] = inverse * (extra[at] * scale[column] - mean - normalized[at] * along);
    }
}
