// Four of A's elements that another lane has loaded, loaded once more: for adapters without
// subgroups of 8 lanes. A compiler sees that nobody uses `own`.
fn share(own: vec4<f32>, lane: u32, row: u32, depth: u32) -> vec4<f32> {
    return left_quad(left_base(row + lane), depth);
}
