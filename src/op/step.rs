/// What changes from step to step, as `shaders/lib/step.wgsl` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Step {
    /// Steps since the start: the counter of dropout.
    pub step: u32,
    /// Rows of the batch that hold examples.
    pub rows: u32,
    /// Where the batch starts in the order of examples.
    pub first: u32,
    /// Where its rows' losses go.
    pub slot: u32,
    pub lr: f32,
    pub correction1: f32,
    pub correction2: f32,
    /// 1 / rows.
    pub inverse: f32,
}

/// A row's loss, and how much of it was predicted right: of 1.
pub(crate) type RowResult = [f32; 2];

/// The examples, which stay on the device.
pub(crate) struct Resident<'a> {
    pub features: &'a [f32],
    pub columns: usize,
    /// Class indices, or the bits of values.
    pub targets: &'a [u32],
    pub target_columns: usize,
}
