use rayon::prelude::*;

use super::widest::{LANES, sum, widest};
use crate::Result;
use crate::op::{Histogram, Moments, Part, Summary, edges};

/// Elements a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 1 << 14;

/// Count, sum, mean, variance, extremes and norm, in f64, in an order that the number of elements
/// alone decides.
pub fn summary(x: &[f32]) -> Summary {
    let parts: Vec<Part> = x.par_chunks(TASK).map(part).collect();
    parts.into_iter().fold(Part::EMPTY, Part::merge).finish()
}

widest! {
    fn part(x: &[f32]) -> Part {
        let count: u32 = x.iter().map(|x| u32::from(x.is_finite())).sum();
        let nan: u32 = x.iter().map(|x| u32::from(x.is_nan())).sum();
        let mut part = Part {
            min: f64::from(extreme(x, f32::INFINITY, |x, low| x < low)),
            max: f64::from(extreme(x, f32::NEG_INFINITY, |x, high| x > high)),
            nan: u64::from(nan),
            infinite: x.len() as u64 - u64::from(count + nan),
            ..Part::EMPTY
        };
        if count > 0 {
            let finite = |x: f32, term: f64| if x.is_finite() { term } else { 0.0 };
            let mean = sum([x], |[x]| finite(x, f64::from(x))) / f64::from(count);
            let square = sum([x], |[x]| {
                let deviation = f64::from(x) - mean;
                finite(x, deviation * deviation)
            });
            part.moments = Moments { count: count.into(), mean, square };
        }
        part
    }
}

/// The finite element that goes beyond all others, `start` where there is none.
#[inline(always)]
fn extreme(x: &[f32], start: f32, beyond: impl Fn(f32, f32) -> bool) -> f32 {
    let further = |far: f32, x: f32| if x.is_finite() && beyond(x, far) { x } else { far };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(far, x)| *far = further(*far, *x));
    }
    lanes.iter().chain(rest).fold(start, |far, x| further(far, *x))
}

/// How many elements lie in each of `bins` bins between `low` and `high`.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where `low < high` does not hold, they are not finite or
/// too far apart, or there is no bin or more than 4096.
pub fn histogram(x: &[f32], low: f32, high: f32, bins: usize) -> Result<Histogram> {
    let edges = edges(low, high, bins)?;
    let scale = bins as f32 / (high - low);
    // Below, above, NaN, then the bins.
    let count = |x: &[f32]| {
        let mut counts = vec![0u64; bins + 3];
        for &x in x {
            let slot = if x.is_nan() {
                2
            } else if x < low {
                0
            } else if x > high {
                1
            } else {
                // A guess, then the edges themselves: the product is rounded.
                let mut bin = (((x - low) * scale) as usize).min(bins - 1);
                while bin > 0 && x < edges[bin] {
                    bin -= 1;
                }
                while bin < bins - 1 && x >= edges[bin + 1] {
                    bin += 1;
                }
                bin + 3
            };
            counts[slot] += 1;
        }
        counts
    };
    let add = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let counts = x.par_chunks(TASK).map(count).reduce(|| vec![0; bins + 3], add);
    let [below, above, nan] = [counts[0], counts[1], counts[2]];
    Ok(Histogram { edges, counts: counts[3..].to_vec(), below, above, nan })
}
