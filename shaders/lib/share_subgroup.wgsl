// Four rows of A that another lane has loaded: for subgroups of 8 lanes, consecutive invocations.
// Where a load costs a loop over the lanes, this makes it one for all of them.
fn share(own: mat4x4<f32>, lane: u32, row: u32, depth: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        subgroupShuffle(own[0], lane),
        subgroupShuffle(own[1], lane),
        subgroupShuffle(own[2], lane),
        subgroupShuffle(own[3], lane),
    );
}
