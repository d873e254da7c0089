use rayon::prelude::*;

use crate::random::{Dtype, f32_from_f16};
use crate::{Error, Moments, Result};

/// Elements a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 1 << 14;

/// Count, mean and squared deviations of little-endian elements of f32, bf16 or f16, in f64.
///
/// # Errors
/// [`Error::Invalid`] for other dtypes.
pub fn moments(dtype: Dtype, data: &[u8]) -> Result<Moments> {
    let tasks: Vec<Moments> = match dtype {
        Dtype::F32 => tasks(data, |bytes: [u8; 4]| f64::from(f32::from_le_bytes(bytes))),
        Dtype::Bf16 => tasks(data, |[low, high]| f64::from(f32::from_le_bytes([0, 0, low, high]))),
        Dtype::F16 => tasks(data, |bytes| f64::from(f32_from_f16(u16::from_le_bytes(bytes)))),
        _ => return Err(Error::invalid("dtype", dtype, "f32, bf16 or f16")),
    };
    Ok(tasks.into_iter().fold(Moments::default(), Moments::merge))
}

fn tasks<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64 + Sync) -> Vec<Moments> {
    data.par_chunks(TASK * N)
        .map(|task| {
            let (elements, _) = task.as_chunks::<N>();
            let pivot = value(elements[0]);
            // Eight sums side by side, so that the additions need not wait for one another.
            let (mut sums, mut squares) = ([0.0; 8], [0.0; 8]);
            for row in elements.chunks(8) {
                for (lane, element) in row.iter().enumerate() {
                    let deviation = value(*element) - pivot;
                    sums[lane] += deviation;
                    squares[lane] += deviation * deviation;
                }
            }
            let (sum, square): (f64, f64) = (sums.iter().sum(), squares.iter().sum());
            let count = elements.len() as f64;
            Moments {
                count: elements.len() as u64,
                mean: pivot + sum / count,
                square: (square - sum * sum / count).max(0.0),
            }
        })
        .collect()
}
