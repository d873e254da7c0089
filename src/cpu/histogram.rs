use crate::Result;
use crate::host::parallel::*;
use crate::op::{Histogram, edges};

/// Elements a task.
const TASK: usize = 1 << 14;

/// How many elements lie in each of `bins` bins between `low` and `high`, as
/// [`Context::histogram`](crate::gpu::Context::histogram); exact.
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
    let counts = x.par_chunks(TASK).map(count).reduce_with(add);
    let counts = counts.unwrap_or_else(|| vec![0; bins + 3]);
    let [below, above, nan] = [counts[0], counts[1], counts[2]];
    Ok(Histogram { edges, counts: counts[3..].to_vec(), below, above, nan })
}
