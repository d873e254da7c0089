use bytemuck::{Pod, Zeroable};

use super::operand::operand;
use super::pass::Dispatch;
use super::{Context, Tensor, planner};
use crate::model::NORM_EPSILON;
use crate::product::Dropout;
use crate::random::Dtype;
use crate::{Activation, Error, Result, shaders};

/// `Params` of `shaders/norm.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    rows: u32,
    columns: u32,
    share: f32,
    epsilon: f32,
    key: [u32; 2],
    id: [u32; 2],
    threshold: u32,
    keep_scale: f32,
    parameter: f32,
    unused: u32,
}

/// A layer norm of tensors; see [`crate::model::Norm`].
pub(super) struct NormTensors {
    pub scale: Tensor,
    pub shift: Tensor,
    pub normalized: Tensor,
    pub inverse: Tensor,
    pub activation: Activation,
    pub dropout: Option<Dropout>,
}

/// Columns at most: no invocation may loop for longer.
const MOST: u64 = 16_384;

impl NormTensors {
    pub(super) fn forward(
        &self,
        context: &Context,
        values: &Tensor,
        after: Option<&Tensor>,
        out: &Tensor,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let beside = after.unwrap_or(values).binding(context)?;
        let written = [&self.normalized, &self.inverse, out];
        self.dispatch(context, "norm_forward", values, beside, written, after.is_some(), step)
    }

    pub(super) fn backward(
        &self,
        context: &Context,
        gradient: &Tensor,
        inner: &Tensor,
        out: &Tensor,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let beside = self.inverse.binding(context)?;
        let written = [&self.normalized, inner, out];
        self.dispatch(context, "norm_backward", gradient, beside, written, false, step)
    }

    #[allow(clippy::too_many_arguments)] // One for each binding.
    fn dispatch(
        &self,
        context: &Context,
        entry: &'static str,
        values: &Tensor,
        beside: wgpu::BufferBinding<'_>,
        [normalized, extra, result]: [&Tensor; 3],
        residual: bool,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let columns = self.scale.shape().elements();
        let rows = values.shape().elements() / columns;
        if columns > MOST {
            let needed = format!("at most {MOST} on a GPU");
            return Err(Error::invalid("layer norm", format!("{columns} units"), needed));
        }
        let own = |what, tensor: &'_ Tensor| -> Result<()> {
            operand(context, what, tensor, Dtype::F32, tensor.shape().elements()).map(|_| ())
        };
        own("values", values)?;
        own("result", result)?;
        let dropout = self.dropout;
        let stream = dropout.map_or(crate::random::Stream::new(0, 0), |dropout| dropout.stream);
        let params = Params {
            rows: rows as u32,
            columns: columns as u32,
            share: 1.0 / columns as f32,
            epsilon: NORM_EPSILON,
            key: stream.key(),
            id: stream.id_words(),
            threshold: dropout.map_or(0, |dropout| dropout.threshold()),
            keep_scale: dropout.map_or(1.0, |dropout| dropout.scale()),
            parameter: self.activation.parameter(),
            unused: 0,
        };
        let constants = [self.activation.code(), u32::from(dropout.is_some()), u32::from(residual)];
        let custom = self.activation.custom();
        let kernel = context.kernel_with(&shaders::NORM, entry, &constants, custom)?;
        let buffers = [
            step,
            self.scale.binding(context)?,
            self.shift.binding(context)?,
            values.binding(context)?,
            beside,
            normalized.binding(context)?,
            extra.binding(context)?,
            result.binding(context)?,
        ];
        let grid = planner::grid(context.limits(), params.rows, shaders::NORM.width);
        Ok(vec![context.dispatch(&kernel, &params, &buffers, grid)])
    }
}
