use super::operand::{apart, matrix, named, operand};
use super::pass::Dispatch;
use super::rows::Teams;
use super::shared::shared;
use super::{Context, Pass, Tensor};
use crate::op::{Dropout, NORM_EPSILON, Step};
use crate::random::{Dtype, Stream};
use crate::{Activation, Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in NORM as "Params" {
        rows: u32,
        columns: u32,
        share: f32,
        epsilon: f32,
        key: [u32; 2],
        id: [u32; 2],
        threshold: u32,
        keep_scale: f32,
        parameter: f32,
        zero: u32,
    }
}

/// A layer norm and what follows it; see [`Pass::norm`].
#[derive(Clone, Debug)]
pub struct NormTensors {
    /// `[n]`, f32: the factor of each column.
    pub scale: Tensor,
    /// `[n]`, f32: what is added to each column.
    pub shift: Tensor,
    /// `[m, n]`, f32: the rows with mean 0 and variance 1, `x^`; the way back reads what the way forward
    /// wrote.
    pub normalized: Tensor,
    /// `[m]`, f32: 1 / the rows' standard deviations, likewise.
    pub inverse: Tensor,
    /// The nonlinearity `f`.
    pub activation: Activation,
    /// Dropout after it.
    pub dropout: Option<Dropout>,
}

impl Pass<'_, '_> {
    /// `out = dropout(f(scale x^ + shift)) + after`, `x^ = (x - mean) / sqrt(variance + 1e-5)` of each row
    /// `x` of `values` (Ba, Kiros, Hinton 2016); `step` is the counter of dropout. `values`, `after` and
    /// `out` are `[m, n]`, f32.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor does not fit, two share a buffer of which
    /// one is written, or there are more than 2^23 columns (2^25 where they are a multiple of 4; fewer
    /// where workgroups have less than 256 invocations); [`Error::Device`](crate::Error::Device) for a
    /// custom nonlinearity whose WGSL does not compile.
    pub fn norm(
        &mut self,
        norm: &NormTensors,
        step: u32,
        values: &Tensor,
        after: Option<&Tensor>,
        out: &Tensor,
    ) -> Result<()> {
        let steps = self.context.uniforms(&[Step { step, ..Step::default() }]);
        self.once(norm.forward(self.context, values, after, out, steps.block(0)))
    }

    /// From the gradient of what [`Pass::norm`] put out to those of `y = scale x^ + shift` (`inner`) and
    /// of the rows (`out`): `inner = gradient dropout f'(y)` and, with `g = inner scale`,
    /// `out = (g - mean(g) - x^ mean(g x^)) / sqrt(variance + 1e-5)`. The gradients of scale and shift
    /// are [`Pass::column_sums`] of `inner`, with `x^` for weights and without. All are `[m, n]`, f32.
    ///
    /// # Errors
    /// As [`Pass::norm`].
    pub fn norm_backward(
        &mut self,
        norm: &NormTensors,
        step: u32,
        gradient: &Tensor,
        inner: &Tensor,
        out: &Tensor,
    ) -> Result<()> {
        let steps = self.context.uniforms(&[Step { step, ..Step::default() }]);
        self.once(norm.backward(self.context, gradient, inner, out, steps.block(0)))
    }
}

impl NormTensors {
    pub(crate) fn forward(
        &self,
        context: &Context,
        values: &Tensor,
        after: Option<&Tensor>,
        out: &Tensor,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let [rows, columns] = matrix("values", values)?;
        let elements = rows * columns;
        let reads = [vec![("values", values)], self.factors(), named("after", after)].concat();
        let writes = [("normalized", &self.normalized), ("inverse", &self.inverse), ("out", out)];
        apart(&reads, &writes)?;
        let source = operand(context, "values", values, Dtype::F32, elements)?;
        let buffers = [
            source.clone(),
            match after {
                Some(after) => operand(context, "after", after, Dtype::F32, elements)?,
                None => source,
            },
            operand(context, "normalized", &self.normalized, Dtype::F32, elements)?,
            operand(context, "inverse", &self.inverse, Dtype::F32, rows)?,
            operand(context, "out", out, Dtype::F32, elements)?,
        ];
        self.dispatch(context, "norm_forward", [rows, columns], buffers, after.is_some(), step)
    }

    pub(crate) fn backward(
        &self,
        context: &Context,
        gradient: &Tensor,
        inner: &Tensor,
        out: &Tensor,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let [rows, columns] = matrix("gradient", gradient)?;
        let elements = rows * columns;
        let reads = [vec![("gradient", gradient), ("inverse", &self.inverse)], self.factors()];
        // The binding of x^ is one that may be written.
        let writes = [("normalized", &self.normalized), ("inner", inner), ("out", out)];
        apart(&reads.concat(), &writes)?;
        let buffers = [
            operand(context, "gradient", gradient, Dtype::F32, elements)?,
            operand(context, "inverse", &self.inverse, Dtype::F32, rows)?,
            operand(context, "normalized", &self.normalized, Dtype::F32, elements)?,
            operand(context, "inner", inner, Dtype::F32, elements)?,
            operand(context, "out", out, Dtype::F32, elements)?,
        ];
        self.dispatch(context, "norm_backward", [rows, columns], buffers, false, step)
    }

    fn factors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("scale", &self.scale), ("shift", &self.shift)]
    }

    /// `buffers` are those of the bindings from `values` on.
    fn dispatch(
        &self,
        context: &Context,
        entry: &'static str,
        [rows, columns]: [u64; 2],
        buffers: [wgpu::BufferBinding<'_>; 5],
        residual: bool,
        step: wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let teams = Teams::of(context, "layer norm", columns)?;
        let scale = operand(context, "scale", &self.scale, Dtype::F32, columns)?;
        let shift = operand(context, "shift", &self.shift, Dtype::F32, columns)?;
        let dropout = self.dropout;
        dropout.map_or(Ok(()), |dropout| dropout.check())?;
        let stream = dropout.map_or(Stream::new(0, 0), |dropout| dropout.stream);
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
            zero: 0,
        };
        let constants = [
            ("activation", self.activation.code()),
            ("dropout", u32::from(dropout.is_some())),
            ("residual", u32::from(residual)),
        ];
        let custom = self.activation.custom();
        let kernel = teams.kernel(context, &shaders::NORM, entry, &constants, custom)?;
        let buffers = [vec![step, scale, shift], buffers.to_vec()].concat();
        Ok(vec![context.dispatch(&kernel, &params, &buffers, teams.grid(context, params.rows))])
    }
}
