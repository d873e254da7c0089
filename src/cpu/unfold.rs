use super::rounding::{Rounding, by};
use super::widest::widest;
use super::window::{TASK, batch, each, taps, windows};
use crate::Result;
use crate::host::parallel::*;
use crate::op::{Arithmetic, Conv2d};

/// The windows of a convolution as the rows of a matrix, as
/// [`Pass::unfold`](crate::gpu::Pass::unfold).
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where the convolution is none, or a slice has not the length
/// that it asks for.
pub fn unfold(conv: &Conv2d, values: &[f32], out: &mut [f32]) -> Result<()> {
    let [height, width, _] = conv.output()?;
    let batch = batch("values", values, conv.input)?;
    let line = width * conv.depth();
    each("out", out, batch, height * line)?;
    let signal = conv.input.iter().product::<usize>();
    let lines = out.par_chunks_mut(line).with_min_len((TASK / line).max(1)).enumerate();
    lines.for_each(|(index, out)| {
        unfold_line(conv, &values[index / height * signal..][..signal], index % height, out);
    });
    Ok(())
}

/// The way back, as [`Pass::fold`](crate::gpu::Pass::fold).
///
/// # Errors
/// As [`unfold`].
pub fn fold(conv: &Conv2d, values: &[f32], out: &mut [f32]) -> Result<()> {
    fold_by(Arithmetic::Native, conv, values, out)
}

pub(super) fn fold_by(
    arithmetic: Arithmetic,
    conv: &Conv2d,
    values: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let fold_signal = by!(arithmetic, fold_signal);
    let [height, width, _] = conv.output()?;
    let batch = batch("out", out, conv.input)?;
    let unfolded = height * width * conv.depth();
    each("values", values, batch, unfolded)?;
    let signals = out.par_chunks_mut(conv.input.iter().product());
    let signals = signals.zip(values.par_chunks(unfolded));
    signals.for_each(|(signal, rows)| fold_signal(conv, rows, signal));
    Ok(())
}

widest! {
    fn unfold_line(conv: &Conv2d, signal: &[f32], down: usize, out: &mut [f32]) {
        let (axes, channels) = (conv.axes(), conv.input[2]);
        let area = conv.kernel[0] * conv.kernel[1];
        for (across, row) in out.chunks_exact_mut(conv.depth()).enumerate() {
            let on = axes[0].taps(down).len() * axes[1].taps(across).len();
            if on < area {
                row.fill(0.0);
            }
            for (tap, place) in taps(axes, [down, across]) {
                let pixel = &signal[place * channels..][..channels];
                for (out, value) in row[tap..].iter_mut().step_by(area).zip(pixel) {
                    *out = *value;
                }
            }
        }
    }
}

widest! {
    fn fold_signal<R: Rounding>(conv: &Conv2d, rows: &[f32], signal: &mut [f32]) {
        let (axes, channels) = (conv.axes(), conv.input[2]);
        let (area, width) = (conv.kernel[0] * conv.kernel[1], axes[1].places());
        signal.fill(0.0);
        for (index, row) in windows::<R>(rows, conv.depth()) {
            for (tap, place) in taps(axes, [index / width, index % width]) {
                let pixel = &mut signal[place * channels..][..channels];
                for (sum, value) in pixel.iter_mut().zip(row[tap..].iter().step_by(area)) {
                    *sum = R::pin(*sum + value);
                }
            }
        }
    }
}
