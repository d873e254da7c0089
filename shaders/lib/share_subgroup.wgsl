// Four of A's elements that another lane has loaded: for subgroups of 8 lanes, consecutive
// invocations. Where a load costs a loop over the lanes, this makes it one for all of them.
fn share(own: vec4<f32>, lane: u32, row: u32, depth: u32) -> vec4<f32> {
    return subgroupShuffle(own, lane);
}
