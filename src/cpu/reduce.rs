use rayon::prelude::*;

use crate::summary::{Histogram, Part, Summary, edges};
use crate::{Moments, Result};

/// Elements a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 1 << 14;

/// Count, sum, mean, variance, extremes and norm, in f64, in an order that the number of elements
/// alone decides.
pub fn summary(x: &[f32]) -> Summary {
    let parts: Vec<Part> = x.par_chunks(TASK).map(part).collect();
    parts.into_iter().fold(Part::EMPTY, Part::merge).finish()
}

fn part(x: &[f32]) -> Part {
    let mut part = Part::EMPTY;
    let (mut count, mut low, mut high) = (0u64, f32::INFINITY, f32::NEG_INFINITY);
    for &x in x {
        count += u64::from(x.is_finite());
        part.nan += u64::from(x.is_nan());
        low = if x.is_finite() && x < low { x } else { low };
        high = if x.is_finite() && x > high { x } else { high };
    }
    part.infinite = x.len() as u64 - count - part.nan;
    (part.min, part.max) = (f64::from(low), f64::from(high));
    if count > 0 {
        let mean = sum(x, |x| x) / count as f64;
        let square = sum(x, |x| (x - mean) * (x - mean));
        part.moments = Moments { count, mean, square };
    }
    part
}

/// The sum over the finite elements: eight side by side, so that the additions need not wait for one
/// another.
fn sum(x: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    for row in x.chunks(8) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += if x.is_finite() { term(f64::from(x)) } else { 0.0 };
        }
    }
    sums.iter().sum()
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
