use super::operand::apart;
use super::pass::Dispatch;
use super::window::{Params, batch, each};
use super::{Context, Pass, Tensor, planner};
use crate::op::{Pool2d, Pooling};
use crate::{Result, shaders};

impl Pass<'_, '_> {
    /// The greatest, or the mean, of each window of each channel; see [`Pool2d`]. `values` is
    /// `[batch, height x width x channels]`, `out` `[batch, output height x output width x channels]`;
    /// both are f32. The mean is `sum * f32(1 / elements)`.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the pooling is none, a tensor does not fit, both
    /// share a buffer, or they are of a larger batch than the device binds.
    pub fn pool(&mut self, pool: &Pool2d, values: &Tensor, out: &Tensor) -> Result<()> {
        self.once(forward(self.context, pool, values, out))
    }

    /// From the gradient of what [`Pass::pool`] put out to that of its input (`out`). `values` and
    /// `pooled` are what it read and what it wrote: from them it is found which element was the
    /// greatest. The mean looks at neither.
    ///
    /// # Errors
    /// As [`Pass::pool`].
    pub fn pool_backward(
        &mut self,
        pool: &Pool2d,
        values: &Tensor,
        pooled: &Tensor,
        gradient: &Tensor,
        out: &Tensor,
    ) -> Result<()> {
        self.once(backward(self.context, pool, values, pooled, gradient, out))
    }
}

pub(crate) fn forward(
    context: &Context,
    pool: &Pool2d,
    values: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    let outputs = pool.output()?.iter().product::<usize>();
    let batch = batch("values", values, pool.input)?;
    apart(&[("values", values)], &[("out", out)])?;
    let source = each(context, "values", values, batch, pool.input.iter().product())?;
    let buffers = [
        source.clone(),
        // Which are not looked at.
        source.clone(),
        source,
        each(context, "out", out, batch, outputs)?,
    ];
    dispatch(context, "pool_forward", pool, batch, &buffers, outputs)
}

pub(crate) fn backward(
    context: &Context,
    pool: &Pool2d,
    values: &Tensor,
    pooled: &Tensor,
    gradient: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    let outputs = pool.output()?.iter().product::<usize>();
    let inputs = pool.input.iter().product::<usize>();
    let batch = batch("values", values, pool.input)?;
    let reads = [("values", values), ("pooled", pooled), ("gradient", gradient)];
    apart(&reads, &[("out", out)])?;
    let buffers = [
        each(context, "values", values, batch, inputs)?,
        each(context, "pooled", pooled, batch, outputs)?,
        each(context, "gradient", gradient, batch, outputs)?,
        each(context, "out", out, batch, inputs)?,
    ];
    dispatch(context, "pool_backward", pool, batch, &buffers, inputs)
}

/// An invocation for each of so many elements of a signal.
fn dispatch(
    context: &Context,
    entry: &'static str,
    pool: &Pool2d,
    batch: u64,
    buffers: &[wgpu::BufferBinding<'_>],
    each: usize,
) -> Result<Vec<Dispatch>> {
    let channels = pool.input[2];
    let params = Params::new(pool.axes(), batch, channels, channels);
    let params = Params { share: pool.share(), ..params };
    let average = u32::from(pool.pooling == Pooling::Average);
    let kernel = context.kernel(&shaders::POOL, entry, &[("average", average)])?;
    let invocations = batch as u32 * each as u32;
    let grid = planner::grid(context.limits(), invocations, shaders::POOL.width);
    Ok(vec![context.dispatch(&kernel, &params, buffers, grid)])
}
