// What changes from one training step to the next.
struct Step {
    // Steps since the start: the counter of dropout.
    step: u32,
    // Rows of the batch that hold examples; what is left of the batch is nothing.
    rows: u32,
    // Where the batch starts in the order of examples, and where its rows' losses go.
    first: u32,
    slot: u32,
    lr: f32,
    // Adam's 1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t).
    correction1: f32,
    correction2: f32,
    // 1 / rows.
    inverse: f32,
}
