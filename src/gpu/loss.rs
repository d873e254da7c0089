use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::rows::Teams;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner, rows};
use crate::op::{Loss, SLICE, Step, Target};
use crate::random::Dtype;
use crate::{Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in LOSS as "Params" {
        rows: u32,
        columns: u32,
        parameter: f32,
        share: f32,
        zero: u32,
        unused: [u32; 3],
    }
}

/// Where a loss reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct LossTensors<'a> {
    /// What the network put out: `[rows, columns]`, f32.
    pub outputs: &'a Tensor,
    /// Class indices `[rows]` in u32 where the loss's [`Target`](crate::model::Target) is a class,
    /// values `[rows, columns]` in f32 where it is a value, and either where it is a share.
    pub targets: &'a Tensor,
    /// The gradient of the mean loss with respect to the outputs, where it is wanted.
    pub gradient: Option<&'a Tensor>,
    /// Each row's loss, and how much of it was predicted right (of 1): `[rows, 2]`, f32.
    pub results: &'a Tensor,
}

impl Pass<'_, '_> {
    /// The loss of each row, and the gradient of their mean. See [`Loss`] for the formulas; a row
    /// with an output that is infinite or not a number has a loss that is not a number.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit, or there are more than 2^23
    /// columns (2^25 where they are a multiple of 4; fewer where workgroups have less than 256 invocations).
    pub fn loss(&mut self, kind: Loss, tensors: &LossTensors<'_>) -> Result<()> {
        let rows = tensors.outputs.shape().dims().first().map_or(1, |&rows| rows as u32);
        let step = Step { rows, inverse: 1.0 / rows as f32, ..Step::default() };
        let steps = self.context.uniforms(&[step]);
        self.once(loss(self.context, kind, tensors, 0, steps.block(0)))
    }

    /// `sums[s, n] = sum over m of (outputs[m, n] - targets[m, n])^2`, m from `256 s` to `256 s + 255`:
    /// each column's squared errors over every 256 rows, which the caller adds up as exactly as wanted.
    /// `outputs` and `targets` are `[m, n]`, `sums` is `[ceil(m / 256), n]`; all are f32.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit.
    pub fn squares(&mut self, outputs: &Tensor, targets: &Tensor, sums: &Tensor) -> Result<()> {
        let [rows, columns] = matrix("outputs", outputs)?;
        operand(self.context, "sums", sums, Dtype::F32, rows.div_ceil(SLICE as u64) * columns)?;
        let steps = self.context.uniforms(&[Step { rows: rows as u32, ..Step::default() }]);
        self.once(squares(self.context, outputs, targets, sums, steps.block(0)))
    }
}

/// `room` is how many results there is room for, where a step says which are its own; else 0.
pub(crate) fn loss(
    context: &Context,
    kind: Loss,
    tensors: &LossTensors<'_>,
    room: u64,
    step: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    kind.check()?;
    let LossTensors { outputs, targets, gradient, results } = *tensors;
    let [rows, columns] = matrix("outputs", outputs)?;
    let teams = Teams::of(context, "outputs", columns)?;
    let elements = rows * columns;
    let classes = match kind.target() {
        Target::Class => true,
        Target::Value => false,
        Target::Share => targets.dtype() == Dtype::U32,
    };
    let (dtype, wanted) = if classes { (Dtype::U32, rows) } else { (Dtype::F32, elements) };
    let [nothing, _] = context.unused();
    let buffers = [
        step,
        operand(context, "outputs", outputs, Dtype::F32, elements)?,
        operand(context, "targets", targets, dtype, wanted)?,
        match gradient {
            Some(gradient) => operand(context, "gradient", gradient, Dtype::F32, elements)?,
            None => nothing,
        },
        operand(context, "results", results, Dtype::F32, 2 * room.max(rows))?,
    ];
    let writes = [vec![("results", results)], named("gradient", gradient)].concat();
    apart(&[("outputs", outputs), ("targets", targets)], &writes)?;
    let constants = [("kind", kind.code()), ("gradients", u32::from(gradient.is_some()))];
    let entry = if classes { "loss_classes" } else { "loss_values" };
    let kernel = teams.kernel(context, &shaders::LOSS, entry, &constants, None)?;
    let params = Params {
        rows: rows as u32,
        columns: columns as u32,
        parameter: kind.parameter(),
        share: 1.0 / columns as f32,
        zero: 0,
        unused: [0; 3],
    };
    let grid = teams.grid(context, params.rows);
    Ok(vec![context.dispatch(&kernel, &params, &buffers, grid)])
}

/// Each column's squared errors over every [`SLICE`] rows of a step: `sums` is
/// `[steps, slices, columns]`, and a step's place in it follows from its slot.
pub(crate) fn squares(
    context: &Context,
    outputs: &Tensor,
    targets: &Tensor,
    sums: &Tensor,
    step: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let [rows, columns] = matrix("outputs", outputs)?;
    let (loads, items) = rows::items(columns);
    let slices = rows.div_ceil(SLICE as u64);
    let [nothing, _] = context.unused();
    let buffers = [
        step,
        operand(context, "outputs", outputs, Dtype::F32, rows * columns)?,
        operand(context, "targets", targets, Dtype::F32, rows * columns)?,
        nothing,
        operand(context, "sums", sums, Dtype::F32, sums.shape().elements())?,
    ];
    apart(&[("outputs", outputs), ("targets", targets)], &[("sums", sums)])?;
    let constants = [("gradients", 0)];
    let kernel = context.kernel_of(&shaders::LOSS, "loss_columns", &constants, loads, None)?;
    let params = Params {
        rows: rows as u32,
        columns: columns as u32,
        parameter: 0.0,
        share: 1.0,
        zero: 0,
        unused: [0; 3],
    };
    let grid = planner::grid(context.limits(), (items * slices) as u32, shaders::LOSS.width);
    Ok(vec![context.dispatch(&kernel, &params, &buffers, grid)])
}

#[cfg(test)]
mod tests {
    use super::SLICE;
    use crate::gpu::shared::assert_constants;
    use crate::shaders::LOSS;

    #[test]
    fn a_slice_is_the_shaders() {
        assert_constants(&LOSS, &[("SLICE", SLICE as u64)]);
    }
}
