// Four rows of A that another lane has loaded, loaded once more: for adapters without subgroups of
// 8 lanes. A compiler sees that nobody uses `own`.
fn share(own: mat4x4<f32>, lane: u32, row: u32, depth: u32) -> mat4x4<f32> {
    return left_rows(left_bases(row + 4u * lane), depth);
}
