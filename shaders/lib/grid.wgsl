// The index of an invocation in a grid that wraps into y where x alone would pass 65,535 workgroups.
fn grid_index(id: vec3<u32>, workgroups: vec3<u32>, width: u32) -> u32 {
    return id.y * (workgroups.x * width) + id.x;
}
