use super::operand::apart;
use super::pass::Dispatch;
use super::window::{Params, batch, each};
use super::{Context, Pass, Tensor, planner};
use crate::op::Conv2d;
use crate::{Result, shaders};

impl Pass<'_, '_> {
    /// The windows of a convolution as the rows of a matrix (im2col):
    /// `out[(b, y, x), (c, i, j)] = values[b, stride y + dilation i - padding, .., c]`, 0 beyond the
    /// signal. `values` is `[batch, height x width x channels]`, `out` has
    /// `batch x output height x output width` rows of [`Conv2d::depth`]; both are f32.
    ///
    /// Then a convolution of one group is [`Pass::matmul`]: `Form::Nt` of `out` and the weight as
    /// `[outputs, depth]` (see [`Tensor::within`]); the weight's gradient is `Form::Tn` of the output's
    /// gradient and `out`, with the sums of rows that of the bias; the input's is [`Pass::fold`] of
    /// `Form::Nn` of the output's gradient and the weight. [`Conv2d::is_product`] says where the signal
    /// is that matrix already. The groups and outputs are not looked at otherwise.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the convolution is none, a tensor does not fit,
    /// both share a buffer, or the device binds the rows of a smaller batch only.
    pub fn unfold(&mut self, conv: &Conv2d, values: &Tensor, out: &Tensor) -> Result<()> {
        self.once(unfold(self.context, conv, values, out))
    }

    /// The way back (col2im): `out[b, h, w, c]` is the sum of what stands in `values` wherever
    /// [`Pass::unfold`] puts that element; 0 where no window reads it. `values` has
    /// `batch x output height x output width` rows of [`Conv2d::depth`], `out` is
    /// `[batch, height x width x channels]`; both are f32. Added up in one order.
    ///
    /// # Errors
    /// As [`Pass::unfold`].
    pub fn fold(&mut self, conv: &Conv2d, values: &Tensor, out: &Tensor) -> Result<()> {
        self.once(fold(self.context, conv, values, out))
    }
}

pub(crate) fn unfold(
    context: &Context,
    conv: &Conv2d,
    values: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    dispatch(context, "unfold_lines", conv, ("values", values), ("out", out))
}

pub(crate) fn fold(
    context: &Context,
    conv: &Conv2d,
    values: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    dispatch(context, "unfold_sums", conv, ("out", out), ("values", values))
}

/// `signal` and its `rows`, one of which is read and one written.
fn dispatch(
    context: &Context,
    entry: &'static str,
    conv: &Conv2d,
    signal: (&'static str, &Tensor),
    rows: (&'static str, &Tensor),
) -> Result<Vec<Dispatch>> {
    let [height, width, _] = conv.output()?;
    let batch = batch(signal.0, signal.1, conv.input)?;
    let elements = conv.input.iter().product();
    let unfolded = height * width * conv.depth();
    let bound = each(context, signal.0, signal.1, batch, elements)?;
    let bound_rows = each(context, rows.0, rows.1, batch, unfolded)?;
    let lines = unfolded / conv.kernel[1];
    let unfolds = entry == "unfold_lines";
    let (read, written, buffers, invocations) = match unfolds {
        true => (signal, rows, [bound, bound_rows], lines),
        false => (rows, signal, [bound_rows, bound], elements),
    };
    apart(&[read], &[written])?;
    let params = Params::new(conv.axes(), batch, conv.input[2], conv.outputs);
    let kernel = context.kernel(&shaders::UNFOLD, entry, &[])?;
    let invocations = batch as u32 * invocations as u32;
    let grid = planner::grid(context.limits(), invocations, shaders::UNFOLD.width);
    Ok(vec![context.dispatch(&kernel, &params, &buffers, grid)])
}
