use super::columns::column_sums;
use super::operand::{apart, named, operand};
use super::pass::Dispatch;
use super::window::{Params, batch, each};
use super::{Context, Pass, Tensor, planner};
use crate::op::{Conv2d, STRETCH};
use crate::random::Dtype;
use crate::{Result, Shape, shaders};

/// Windows that an invocation adds up at most, in a loop that llvmpipe does not end.
const LONGEST: u64 = 1 << 15;

/// Windows that are worth a slice of their own.
const LEAST: u64 = 64;

/// Invocations that keep a device busy.
const fn busy(software: bool) -> u64 {
    if software { 1 << 12 } else { 1 << 17 }
}

/// The windows of a slice, of which each weight of each slice takes an invocation.
fn places_of_slice(software: bool, places: u64, weights: u64) -> u64 {
    let wanted = busy(software).div_ceil(weights).min(places.div_ceil(LEAST));
    places.div_ceil(wanted.max(places.div_ceil(LONGEST)))
}

impl Pass<'_, '_> {
    /// A convolution, each element of the result a sum alone: for channels in groups, and where there
    /// is no memory for [`Pass::unfold`], with which a convolution of one group is faster. See
    /// [`Conv2d`] for the formula.
    ///
    /// `values` is `[batch, height x width x channels]`, `weight` has [`Conv2d::weight`]'s elements,
    /// `bias` as many as there are outputs, `out` is `[batch, output height x output width x outputs]`;
    /// all are f32.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the convolution is none, an element is a sum of more
    /// than some 60,000 terms, a tensor does not fit, shares a buffer with what is written, or is of a
    /// larger batch than the device binds.
    pub fn conv(
        &mut self,
        conv: &Conv2d,
        values: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        out: &Tensor,
    ) -> Result<()> {
        self.once(forward(self.context, conv, values, weight, bias, out))
    }

    /// From the gradient of what [`Pass::conv`] puts out to that of its input, of the shape of `values`
    /// there: each element the sum of the gradients of what it went into, times the weights.
    ///
    /// # Errors
    /// As [`Pass::conv`].
    pub fn conv_input(
        &mut self,
        conv: &Conv2d,
        gradient: &Tensor,
        weight: &Tensor,
        out: &Tensor,
    ) -> Result<()> {
        self.once(input(self.context, conv, gradient, weight, out))
    }

    /// From the gradient of what [`Pass::conv`] puts out to that of its weight (`out`). The bias's is
    /// [`Pass::column_sums`] of the gradient, taken as rows of [`Conv2d::outputs`].
    ///
    /// # Errors
    /// As [`Pass::conv`].
    pub fn conv_weight(
        &mut self,
        conv: &Conv2d,
        values: &Tensor,
        gradient: &Tensor,
        out: &Tensor,
    ) -> Result<()> {
        self.once(weight(self.context, conv, values, gradient, out))
    }
}

/// The convolution's operands in a batch: how many elements each has.
struct Sizes {
    batch: u64,
    input: usize,
    places: usize,
    output: usize,
    weights: u64,
    params: Params,
}

impl Sizes {
    fn new(conv: &Conv2d, batch: u64) -> Sizes {
        let [height, width, outputs] = conv.places_by_outputs();
        let params = Params::new(conv.axes(), batch, conv.input[2], outputs);
        Sizes {
            batch,
            input: conv.input.iter().product(),
            places: height * width,
            output: height * width * outputs,
            weights: conv.weight().iter().product::<usize>() as u64,
            params: Params {
                group_channels: (conv.input[2] / conv.groups) as u32,
                group_outputs: (outputs / conv.groups) as u32,
                ..params
            },
        }
    }
}

pub(crate) fn forward(
    context: &Context,
    conv: &Conv2d,
    values: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    conv.check_sums()?;
    let sizes = Sizes::new(conv, batch("values", values, conv.input)?);
    let reads = [vec![("values", values), ("weight", weight)], named("bias", bias)].concat();
    apart(&reads, &[("out", out)])?;
    let source = each(context, "values", values, sizes.batch, sizes.input)?;
    let bias_or = match bias {
        Some(bias) => operand(context, "bias", bias, Dtype::F32, conv.outputs as u64)?,
        None => source.clone(),
    };
    let buffers = [
        source,
        operand(context, "weight", weight, Dtype::F32, sizes.weights)?,
        bias_or,
        each(context, "out", out, sizes.batch, sizes.output)?,
    ];
    let invocations = sizes.batch * sizes.output as u64;
    let biased = u32::from(bias.is_some());
    Ok(vec![dispatch(context, "conv_forward", biased, &sizes.params, &buffers, invocations)?])
}

pub(crate) fn input(
    context: &Context,
    conv: &Conv2d,
    gradient: &Tensor,
    weight: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    conv.check_sums()?;
    let sizes = Sizes::new(conv, batch("gradient", gradient, conv.places_by_outputs())?);
    apart(&[("gradient", gradient), ("weight", weight)], &[("out", out)])?;
    let source = each(context, "gradient", gradient, sizes.batch, sizes.output)?;
    let buffers = [
        // Which is not looked at.
        source.clone(),
        operand(context, "weight", weight, Dtype::F32, sizes.weights)?,
        source,
        each(context, "out", out, sizes.batch, sizes.input)?,
    ];
    let invocations = sizes.batch * sizes.input as u64;
    Ok(vec![dispatch(context, "conv_input", 0, &sizes.params, &buffers, invocations)?])
}

pub(crate) fn weight(
    context: &Context,
    conv: &Conv2d,
    values: &Tensor,
    gradient: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    conv.check()?;
    let sizes = Sizes::new(conv, batch("values", values, conv.input)?);
    apart(&[("values", values), ("gradient", gradient)], &[("out", out)])?;
    let Sizes { weights, params, .. } = sizes;
    let source = each(context, "values", values, sizes.batch, sizes.input)?;
    let slope = each(context, "gradient", gradient, sizes.batch, sizes.output)?;
    let bound = operand(context, "out", out, Dtype::F32, weights)?;
    let places = sizes.batch * sizes.places as u64;
    let places_of_slice = match context.arithmetic().is_exact() {
        true => STRETCH as u64,
        false => places_of_slice(context.is_software(), places, weights),
    };
    let slices = places.div_ceil(places_of_slice);
    let params =
        Params { slices: slices as u32, places_of_slice: places_of_slice as u32, ..params };
    let sums = |sums| {
        let buffers = [source.clone(), source.clone(), slope.clone(), sums];
        dispatch(context, "conv_weight", 0, &params, &buffers, slices * weights)
    };
    if slices == 1 {
        return Ok(vec![sums(bound)?]);
    }
    let bytes = 4 * slices * weights;
    let partials = context.buffer("sums of slices", bytes, wgpu::BufferUsages::STORAGE)?;
    let partials = Tensor::of(context, &partials, 0, Shape::new([slices, weights])?, Dtype::F32)?;
    let added = column_sums(context, &partials, None, out)?;
    Ok([vec![sums(partials.binding(context)?)?], added].concat())
}

fn dispatch(
    context: &Context,
    entry: &'static str,
    biased: u32,
    params: &Params,
    buffers: &[wgpu::BufferBinding<'_>],
    invocations: u64,
) -> Result<Dispatch> {
    let kernel = context.kernel(&shaders::CONV, entry, &[("biased", biased)])?;
    let grid = planner::grid(context.limits(), invocations as u32, shaders::CONV.width);
    Ok(context.dispatch(&kernel, params, buffers, grid))
}

#[cfg(test)]
mod tests {
    use super::{LEAST, LONGEST, busy, places_of_slice};

    /// llvmpipe ends a loop after 65,535 iterations.
    #[test]
    fn no_slice_is_too_long_and_none_is_empty() {
        for software in [false, true] {
            for places in [1u64, 2, 63, 64, 65, 1000, 32_768, 32_769, 1 << 20, 1 << 29] {
                for weights in [1u64, 9, 576, 4096, 1 << 17, 1 << 24] {
                    let each = places_of_slice(software, places, weights);
                    let slices = places.div_ceil(each);
                    assert!(each <= LONGEST && slices >= 1, "{places} {weights}");
                    assert!((slices - 1) * each < places, "{places} {weights}");
                    let forced = places.div_ceil(LONGEST);
                    let room = forced.max(busy(software).div_ceil(weights));
                    assert!(slices <= room, "{places} {weights}");
                    assert!(slices == 1 || each >= LEAST / 2, "{places} {weights}");
                }
            }
        }
    }
}
