use super::operand::{apart, matrix, operand};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::op::Dropout;
use crate::random::Dtype;
use crate::{Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in DROPOUT as "Params" {
        key: [u32; 2],
        id: [u32; 2],
        rows: u32,
        columns: u32,
        step: u32,
        threshold: u32,
        scale: f32,
        zero: u32,
        unused: [u32; 2],
    }
}

impl Pass<'_, '_> {
    /// Dropout at a step: `result = values / (1 - p)` where kept, else 0. Backward it is the same,
    /// of gradients: the mask is drawn again. Both are `[rows, columns]` in f32; see [`Dropout`].
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit, or the probability is not within 0..1.
    pub fn dropout(
        &mut self,
        dropout: &Dropout,
        step: u32,
        values: &Tensor,
        result: &Tensor,
    ) -> Result<()> {
        self.once(dispatches(self.context, dropout, step, values, result))
    }
}

fn dispatches(
    context: &Context,
    dropout: &Dropout,
    step: u32,
    values: &Tensor,
    result: &Tensor,
) -> Result<Vec<Dispatch>> {
    dropout.check()?;
    let [rows, columns] = matrix("values", values)?;
    let elements = values.shape().elements();
    let source = operand(context, "values", values, Dtype::F32, elements)?;
    let out = operand(context, "result", result, Dtype::F32, elements)?;
    apart(&[("values", values)], &[("result", result)])?;
    let params = Params {
        key: dropout.stream.key(),
        id: dropout.stream.id_words(),
        rows: rows as u32,
        columns: columns as u32,
        step,
        threshold: dropout.threshold(),
        scale: dropout.scale(),
        zero: 0,
        unused: [0; 2],
    };
    let kernel = context.kernel(&shaders::DROPOUT, "dropout_groups", &[])?;
    let groups = params.rows * params.columns.div_ceil(4);
    let grid = planner::grid(context.limits(), groups, shaders::DROPOUT.width);
    Ok(vec![context.dispatch(&kernel, &params, &[source, out], grid)])
}
