// The factor that brings a gradient's norm down to a bound: min(1, bound / (norm + 1e-6)), as
// PyTorch's clip_grad_norm_ has it. `clip_squares` makes sums of squares, `clip_merge` adds them in
// one order.

struct Params {
    count: u32,
    // Sums of squares, and how many gradients each takes: `rows` apart, so that neighbours read
    // neighbours.
    rows: u32,
    taken: u32,
    bound: f32,
}

const WIDTH = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(WIDTH)
fn clip_squares(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let row = grid_index(id, workgroups, WIDTH);
    if row >= params.rows {
        return;
    }
    var sum = 0.0;
    for (var taken = 0u; taken < params.taken; taken++) {
        let index = row + taken * params.rows;
        if index >= params.count {
            break;
        }
        let gradient = gradients[index];
        sum += gradient * gradient;
    }
    sums[row] = sum;
}

var<workgroup> shares: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn clip_merge(@builtin(local_invocation_index) local: u32) {
    var own = 0.0;
    for (var row = local; row < params.rows; row += WIDTH) {
        own += squares[row];
    }
    shares[local] = own;
    for (var reach = WIDTH / 2u; reach > 0u; reach /= 2u) {
        workgroupBarrier();
        if local < reach {
            shares[local] += shares[local + reach];
        }
    }
    if local > 0u {
        return;
    }
    let sum = shares[0];
    // Not min(1, ...), which would make a number of what is none.
    let factor = params.bound / (sqrt(sum) + 1e-6);
    sums[0] = select(factor, 1.0, factor > 1.0);
    sums[1] = sqrt(sum);
}
