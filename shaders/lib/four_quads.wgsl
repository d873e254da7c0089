// Four floats side by side, as they are.

alias Four = vec4<f32>;

fn four_of(four: Four) -> vec4<f32> {
    return four;
}

fn of_four(four: vec4<f32>) -> Four {
    return four;
}
