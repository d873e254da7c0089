use super::columns::column_sums_by;
use super::rounding::{Native, Pinned, Rounding, by, operands_of};
use super::widest::widest;
use super::window::{TASK, batch, each, taps, windows};
use crate::host::parallel::*;
use crate::op::{Arithmetic, Conv2d, STRETCH};
use crate::{Result, memory};

/// Stretches that a sum over windows is parted into at most.
const STRETCHES: usize = 64;

/// A convolution, as [`Pass::conv`](crate::gpu::Pass::conv).
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where the convolution is none, or a slice has not the length
/// that it asks for; [`Error::Exhausted`](crate::Error::Exhausted) without memory for a second weight.
pub fn conv(
    conv: &Conv2d,
    values: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    conv_by(Arithmetic::Native, conv, values, weight, bias, out)
}

pub(super) fn conv_by(
    arithmetic: Arithmetic,
    conv: &Conv2d,
    values: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<()> {
    let forward_line = by!(arithmetic, forward_line);
    let [height, width, outputs] = conv.output()?;
    let batch = batch("values", values, conv.input)?;
    let weight = turned(conv, &operands_of(arithmetic, weight)?, by_outputs(conv))?;
    let values = operands_of(arithmetic, values)?;
    if let Some(bias) = bias {
        each("bias", bias, 1, outputs)?;
    }
    let (signal, line) = (conv.input.iter().product::<usize>(), width * outputs);
    each("out", out, batch, height * line)?;
    let lines = out.par_chunks_mut(line).with_min_len((TASK / line).max(1)).enumerate();
    lines.for_each(|(index, out)| {
        let (before, after) = arithmetic.pick((bias, None), (None, bias));
        match before {
            Some(bias) => out.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias)),
            None => out.fill(0.0),
        }
        let signal = &values[index / height * signal..][..signal];
        forward_line(conv, signal, &weight, index % height, out);
        if let Some(bias) = after {
            for row in out.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(sum, bias)| *sum = Pinned::pin(*sum + bias));
            }
        }
    });
    Ok(())
}

/// The gradient of its input, as [`Pass::conv_input`](crate::gpu::Pass::conv_input).
///
/// # Errors
/// As [`conv`].
pub fn conv_input(conv: &Conv2d, gradient: &[f32], weight: &[f32], out: &mut [f32]) -> Result<()> {
    conv_input_by(Arithmetic::Native, conv, gradient, weight, out)
}

pub(super) fn conv_input_by(
    arithmetic: Arithmetic,
    conv: &Conv2d,
    gradient: &[f32],
    weight: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let input_signal = by!(arithmetic, input_signal);
    let output = conv.output()?;
    let batch = batch("gradient", gradient, output)?;
    let weight = turned(conv, &operands_of(arithmetic, weight)?, by_channels(conv))?;
    let gradient = operands_of(arithmetic, gradient)?;
    let signal = conv.input.iter().product::<usize>();
    each("out", out, batch, signal)?;
    let signals = out.par_chunks_mut(signal).zip(gradient.par_chunks(output.iter().product()));
    signals.for_each(|(signal, gradient)| input_signal(conv, gradient, &weight, signal));
    Ok(())
}

/// The gradient of its weight, as [`Pass::conv_weight`](crate::gpu::Pass::conv_weight). The order of the
/// sums depends on the sizes alone.
///
/// # Errors
/// As [`conv`].
pub fn conv_weight(conv: &Conv2d, values: &[f32], gradient: &[f32], out: &mut [f32]) -> Result<()> {
    conv_weight_by(Arithmetic::Native, conv, values, gradient, out)
}

pub(super) fn conv_weight_by(
    arithmetic: Arithmetic,
    conv: &Conv2d,
    values: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let [height, width, outputs] = conv.output()?;
    let batch = batch("values", values, conv.input)?;
    each("gradient", gradient, batch, height * width * outputs)?;
    each("out", out, 1, conv.weight().iter().product())?;
    if arithmetic.is_exact() {
        let (values, gradient) =
            (operands_of(arithmetic, values)?, operands_of(arithmetic, gradient)?);
        return exact_weight(arithmetic, conv, &values, &gradient, out);
    }
    let (signal, line) = (conv.input.iter().product::<usize>(), width * outputs);
    let stretch = (TASK / line).max((batch * height).div_ceil(STRETCHES)).max(1);
    let partial = |(index, gradient): (usize, &[f32])| -> Result<Vec<f32>> {
        let mut partial = memory::filled("a gradient", out.len(), 0.0)?;
        for (at, gradient) in gradient.chunks_exact(line).enumerate() {
            let line = index * stretch + at;
            let signal = &values[line / height * signal..][..signal];
            weight_line(conv, signal, gradient, line % height, &mut partial);
        }
        Ok(partial)
    };
    let partials = gradient.par_chunks(stretch * line).enumerate().map(partial);
    let partials = partials.collect::<Result<Vec<_>>>()?;
    let mut sums = memory::filled("a gradient", out.len(), 0.0f32)?;
    for partial in partials {
        sums.iter_mut().zip(&partial).for_each(|(sum, part)| *sum += part);
    }
    for (at, place) in by_outputs(conv).enumerate() {
        out[place] = sums[at];
    }
    Ok(())
}

/// [`conv_weight`] of rounded factors in the order of the contract: stretches of windows, whose sums are then
/// those of columns.
fn exact_weight(
    arithmetic: Arithmetic,
    conv: &Conv2d,
    values: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let [height, width, outputs] = conv.output()?;
    let (signal, weights) = (conv.input.iter().product::<usize>(), out.len());
    let slices = (gradient.len() / outputs).div_ceil(STRETCH);
    let mut partials = memory::filled("a gradient", slices * weights, 0.0f32)?;
    let parts = partials.par_chunks_mut(weights.max(1)).zip(gradient.par_chunks(STRETCH * outputs));
    parts.enumerate().for_each(|(slice, (partial, gradient))| {
        for (at, gradient) in gradient.chunks_exact(outputs).enumerate() {
            let window = slice * STRETCH + at;
            let (line, across) = (window / width, window % width);
            let signal = &values[line / height * signal..][..signal];
            weight_window(conv, signal, gradient, [line % height, across], partial);
        }
    });
    let mut sums = memory::filled("a gradient", weights, 0.0f32)?;
    column_sums_by(arithmetic, &partials, None, &mut sums)?;
    for (at, place) in by_outputs(conv).enumerate() {
        out[place] = sums[at];
    }
    Ok(())
}

/// Where in the weight the elements lie of one that is turned, `[taps, channels of a group, outputs]`: what
/// goes into an output lies beside what goes into the next.
fn by_outputs(conv: &Conv2d) -> impl Iterator<Item = usize> {
    let [outputs, own, height, width] = conv.weight();
    let area = height * width;
    (0..area).flat_map(move |tap| {
        (0..own).flat_map(move |channel| {
            (0..outputs).map(move |output| (output * own + channel) * area + tap)
        })
    })
}

/// The same, `[taps, outputs of a group, channels]`.
fn by_channels(conv: &Conv2d) -> impl Iterator<Item = usize> {
    let [outputs, own, height, width] = conv.weight();
    let (area, per_group, channels) = (height * width, outputs / conv.groups, conv.input[2]);
    (0..area).flat_map(move |tap| {
        (0..per_group).flat_map(move |output| {
            (0..channels).map(move |channel| {
                let output = channel / own * per_group + output;
                (output * own + channel % own) * area + tap
            })
        })
    })
}

fn turned(conv: &Conv2d, weight: &[f32], places: impl Iterator<Item = usize>) -> Result<Vec<f32>> {
    each("weight", weight, 1, conv.weight().iter().product())?;
    let mut turned = memory::reserved("a weight", weight.len())?;
    turned.extend(places.map(|place| weight[place]));
    Ok(turned)
}

/// `sums[i] += sum over k of rows[k][i] values[k]`, for each group's sums and values. Where each group has
/// one of both, vectors run across the groups.
#[inline(always)]
fn add_up<R: Rounding>(groups: usize, rows: &[f32], values: &[f32], sums: &mut [f32]) {
    let (wide, deep) = (sums.len() / groups, values.len() / groups);
    for (k, row) in rows.chunks_exact(sums.len()).enumerate() {
        if wide == 1 && deep == 1 {
            let terms = row.iter().zip(values);
            sums.iter_mut().zip(terms).for_each(|(sum, (w, x))| *sum = R::mad(*w, *x, *sum));
            continue;
        }
        let all = sums.chunks_exact_mut(wide).zip(row.chunks_exact(wide));
        for ((sums, row), values) in all.zip(values.chunks_exact(deep)) {
            let x = values[k];
            sums.iter_mut().zip(row).for_each(|(sum, w)| *sum = R::mad(*w, x, *sum));
        }
    }
}

/// `rows[k][i] += values[k] slopes[i]`, likewise.
#[inline(always)]
fn add_products<R: Rounding>(groups: usize, values: &[f32], slopes: &[f32], rows: &mut [f32]) {
    let (wide, deep) = (slopes.len() / groups, values.len() / groups);
    for (k, row) in rows.chunks_exact_mut(slopes.len()).enumerate() {
        if wide == 1 && deep == 1 {
            let terms = slopes.iter().zip(values);
            row.iter_mut().zip(terms).for_each(|(sum, (dy, x))| *sum = R::mad(*dy, *x, *sum));
            continue;
        }
        let all = row.chunks_exact_mut(wide).zip(slopes.chunks_exact(wide));
        for ((row, slopes), values) in all.zip(values.chunks_exact(deep)) {
            let x = values[k];
            row.iter_mut().zip(slopes).for_each(|(sum, dy)| *sum = R::mad(*dy, x, *sum));
        }
    }
}

widest! {
    fn forward_line<R: Rounding>(conv: &Conv2d, signal: &[f32], weight: &[f32], down: usize, out: &mut [f32]) {
        let (axes, channels) = (conv.axes(), conv.input[2]);
        let length = channels / conv.groups * conv.outputs;
        for (across, sums) in out.chunks_exact_mut(conv.outputs).enumerate() {
            for (tap, place) in taps(axes, [down, across]) {
                let pixel = &signal[place * channels..][..channels];
                add_up::<R>(conv.groups, &weight[tap * length..][..length], pixel, sums);
            }
        }
    }
}

widest! {
    fn input_signal<R: Rounding>(conv: &Conv2d, gradient: &[f32], weight: &[f32], signal: &mut [f32]) {
        let (axes, channels) = (conv.axes(), conv.input[2]);
        let (length, width) = (conv.outputs / conv.groups * channels, axes[1].places());
        signal.fill(0.0);
        for (index, gradient) in windows::<R>(gradient, conv.outputs) {
            for (tap, place) in taps(axes, [index / width, index % width]) {
                let pixel = &mut signal[place * channels..][..channels];
                add_up::<R>(conv.groups, &weight[tap * length..][..length], gradient, pixel);
            }
        }
    }
}

widest! {
    fn weight_line(
        conv: &Conv2d,
        signal: &[f32],
        gradient: &[f32],
        down: usize,
        weight: &mut [f32],
    ) {
        for (across, gradient) in gradient.chunks_exact(conv.outputs).enumerate() {
            of_window::<Native>(conv, signal, gradient, [down, across], weight);
        }
    }
}

widest! {
    fn weight_window(
        conv: &Conv2d,
        signal: &[f32],
        gradient: &[f32],
        place: [usize; 2],
        weight: &mut [f32],
    ) {
        of_window::<Pinned>(conv, signal, gradient, place, weight);
    }
}

/// What a window adds to the gradient of the weight.
#[inline(always)]
fn of_window<R: Rounding>(
    conv: &Conv2d,
    signal: &[f32],
    gradient: &[f32],
    place: [usize; 2],
    weight: &mut [f32],
) {
    let (axes, channels) = (conv.axes(), conv.input[2]);
    let length = channels / conv.groups * conv.outputs;
    for (tap, place) in taps(axes, place) {
        let pixel = &signal[place * channels..][..channels];
        let rows = &mut weight[tap * length..][..length];
        add_products::<R>(conv.groups, pixel, gradient, rows);
    }
}
