use super::rounding::{Rounding, by};
use super::widest::widest;
use super::window::{TASK, batch, each, taps, windows};
use crate::Result;
use crate::host::parallel::*;
use crate::op::{Arithmetic, Pool2d, Pooling};

/// The greatest, or the mean, of each window of each channel, as
/// [`Pass::pool`](crate::gpu::Pass::pool).
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where the pooling is none, or a slice has not the length
/// that it asks for.
pub fn pool(pool: &Pool2d, values: &[f32], out: &mut [f32]) -> Result<()> {
    pool_by(Arithmetic::Native, pool, values, out)
}

pub(super) fn pool_by(
    arithmetic: Arithmetic,
    pool: &Pool2d,
    values: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let mean = by!(arithmetic, mean);
    let [height, width, channels] = pool.output()?;
    let batch = batch("values", values, pool.input)?;
    let (signal, line) = (pool.input.iter().product::<usize>(), width * channels);
    each("out", out, batch, height * line)?;
    let lines = out.par_chunks_mut(line).with_min_len((TASK / line).max(1)).enumerate();
    lines.for_each(|(index, out)| {
        let signal = &values[index / height * signal..][..signal];
        match pool.pooling {
            Pooling::Max => greatest(pool, signal, index % height, out),
            Pooling::Average => mean(pool, signal, index % height, out),
        }
    });
    Ok(())
}

/// The gradient of its input, as [`Pass::pool_backward`](crate::gpu::Pass::pool_backward).
///
/// # Errors
/// As [`pool`].
pub fn pool_backward(
    pool: &Pool2d,
    values: &[f32],
    pooled: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) -> Result<()> {
    pool_backward_by(Arithmetic::Native, pool, values, pooled, gradient, out)
}

pub(super) fn pool_backward_by(
    arithmetic: Arithmetic,
    pool: &Pool2d,
    values: &[f32],
    pooled: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) -> Result<()> {
    let to_greatest = by!(arithmetic, to_greatest);
    let to_all = by!(arithmetic, to_all);
    let results = pool.output()?.iter().product::<usize>();
    let batch = batch("values", values, pool.input)?;
    let signal = pool.input.iter().product::<usize>();
    each("pooled", pooled, batch, results)?;
    each("gradient", gradient, batch, results)?;
    each("out", out, batch, signal)?;
    let read = values.par_chunks(signal).zip(pooled.par_chunks(results));
    let signals = out.par_chunks_mut(signal).zip(gradient.par_chunks(results)).zip(read);
    signals.for_each(|((out, gradient), (values, pooled))| match pool.pooling {
        Pooling::Max => to_greatest(pool, values, pooled, gradient, out),
        Pooling::Average => to_all(pool, gradient, out),
    });
    Ok(())
}

widest! {
    fn greatest(pool: &Pool2d, signal: &[f32], down: usize, out: &mut [f32]) {
        let (axes, channels) = (pool.axes(), pool.input[2]);
        out.fill(f32::NEG_INFINITY);
        for (across, greatest) in out.chunks_exact_mut(channels).enumerate() {
            for (_, place) in taps(axes, [down, across]) {
                let pixel = &signal[place * channels..][..channels];
                for (greatest, value) in greatest.iter_mut().zip(pixel) {
                    *greatest = if value > greatest || value.is_nan() { *value } else { *greatest };
                }
            }
        }
    }
}

widest! {
    fn mean<R: Rounding>(pool: &Pool2d, signal: &[f32], down: usize, out: &mut [f32]) {
        let (axes, channels) = (pool.axes(), pool.input[2]);
        out.fill(0.0);
        for (across, sums) in out.chunks_exact_mut(channels).enumerate() {
            for (_, place) in taps(axes, [down, across]) {
                let pixel = &signal[place * channels..][..channels];
                sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum = R::pin(*sum + value));
            }
        }
        let share = pool.share();
        out.iter_mut().for_each(|mean| *mean = R::pin(*mean * share));
    }
}

fn to_greatest<R: Rounding>(
    pool: &Pool2d,
    signal: &[f32],
    pooled: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let (axes, channels) = (pool.axes(), pool.input[2]);
    let width = axes[1].places();
    out.fill(0.0);
    let windows = windows::<R>(pooled, channels).zip(windows::<R>(gradient, channels));
    let mut places = Vec::with_capacity(pool.kernel[0] * pool.kernel[1]);
    for ((index, pooled), (_, gradient)) in windows {
        places.clear();
        let taps = taps(axes, [index / width, index % width]);
        places.extend(taps.map(|(_, place)| place * channels));
        for (channel, (greatest, gradient)) in pooled.iter().zip(gradient).enumerate() {
            let mut places = places.iter().map(|place| place + channel);
            let winner = match greatest.is_nan() {
                true => places.rfind(|place| signal[*place].is_nan()),
                false => places.find(|place| signal[*place] == *greatest),
            };
            if let Some(winner) = winner {
                out[winner] = R::pin(out[winner] + gradient);
            }
        }
    }
}

widest! {
    fn to_all<R: Rounding>(pool: &Pool2d, gradient: &[f32], out: &mut [f32]) {
        let (axes, channels) = (pool.axes(), pool.input[2]);
        let (width, share) = (axes[1].places(), pool.share());
        out.fill(0.0);
        for (index, gradient) in windows::<R>(gradient, channels) {
            for (_, place) in taps(axes, [index / width, index % width]) {
                let pixel = &mut out[place * channels..][..channels];
                let pairs = pixel.iter_mut().zip(gradient);
                pairs.for_each(|(sum, slope)| *sum = R::pin(*sum + slope));
            }
        }
        out.iter_mut().for_each(|sum| *sum = R::pin(*sum * share));
    }
}
