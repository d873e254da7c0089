use super::widest::widest;
use crate::host::parallel::*;
use crate::op::Moments;
use crate::random::{Dtype, f32_from_f8_e4m3, f32_from_f8_e5m2, f32_from_f16};

/// Elements a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 1 << 14;

/// Count, mean and squared deviations of little-endian elements of any dtype, in f64, whose 53 bits
/// round integers beyond them.
pub fn moments(dtype: Dtype, data: &[u8]) -> Moments {
    let tasks: Vec<Moments> =
        data.par_chunks(TASK * dtype.size()).map(|task| task_moments(dtype, task)).collect();
    tasks.into_iter().fold(Moments::default(), Moments::merge)
}

widest! {
    /// [`moments`] of a task, on one thread.
    pub(crate) fn task_moments(dtype: Dtype, data: &[u8]) -> Moments {
        match dtype {
            Dtype::F32 => sums(data, |bytes| f32::from_le_bytes(bytes).into()),
            Dtype::Bf16 => sums(data, |[low, high]| f32::from_le_bytes([0, 0, low, high]).into()),
            Dtype::F16 => sums(data, |bytes| f32_from_f16(u16::from_le_bytes(bytes)).into()),
            Dtype::F8E4M3 => sums(data, |[byte]| f32_from_f8_e4m3(byte).into()),
            Dtype::F8E5M2 => sums(data, |[byte]| f32_from_f8_e5m2(byte).into()),
            Dtype::F64 => sums(data, f64::from_le_bytes),
            Dtype::I64 => sums(data, |bytes| i64::from_le_bytes(bytes) as f64),
            Dtype::U64 => sums(data, |bytes| u64::from_le_bytes(bytes) as f64),
            Dtype::I32 => sums(data, |bytes| i32::from_le_bytes(bytes).into()),
            Dtype::U32 => sums(data, |bytes| u32::from_le_bytes(bytes).into()),
            Dtype::I16 => sums(data, |bytes| i16::from_le_bytes(bytes).into()),
            Dtype::U16 => sums(data, |bytes| u16::from_le_bytes(bytes).into()),
            Dtype::I8 => sums(data, |bytes| i8::from_le_bytes(bytes).into()),
            Dtype::U8 | Dtype::Bool => sums(data, |bytes| u8::from_le_bytes(bytes).into()),
        }
    }
}

#[inline(always)]
fn sums<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Moments {
    let (elements, _) = data.as_chunks::<N>();
    let Some(first) = elements.first() else { return Moments::default() };
    let pivot = value(*first);
    // Eight sums side by side, so that the additions need not wait for one another.
    let (mut sums, mut squares) = ([0.0; 8], [0.0; 8]);
    let mut add = |lane: usize, element: [u8; N]| {
        let deviation = value(element) - pivot;
        sums[lane] += deviation;
        squares[lane] += deviation * deviation;
    };
    let (rows, rest) = elements.as_chunks::<8>();
    for row in rows {
        (0..8).for_each(|lane| add(lane, row[lane]));
    }
    rest.iter().enumerate().for_each(|(lane, element)| add(lane, *element));
    let (sum, square): (f64, f64) = (sums.iter().sum(), squares.iter().sum());
    let count = elements.len() as f64;
    Moments {
        count: elements.len() as u64,
        mean: pivot + sum / count,
        square: (square - sum * sum / count).max(0.0),
    }
}
