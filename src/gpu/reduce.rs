use bytemuck::{Pod, Zeroable};

use super::planner::{self, Window};
use super::{Context, Tensor};
use crate::random::Dtype;
use crate::summary::{Part, Summary};
use crate::{Error, Moments, Result, Shape, shaders};

/// `Params` of `shaders/reduce.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    begin: u32,
    end: u32,
    rows: u32,
    unused: u32,
}

/// Elements that an invocation takes.
const TAKEN: u32 = 256;

/// A row of `shaders/reduce.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Row {
    finite: u32,
    nan: u32,
    infinite: u32,
    exponent: u32,
    mean: f32,
    sum: f32,
    square: f32,
    unused: f32,
    low: f32,
    high: f32,
    unused_too: [f32; 2],
}

impl Row {
    fn part(&self) -> Part {
        let (nan, infinite) = (u64::from(self.nan), u64::from(self.infinite));
        if self.finite == 0 {
            return Part { nan, infinite, ..Part::EMPTY };
        }
        let (count, sum) = (f64::from(self.finite), f64::from(self.sum));
        let unit = 2f64.powi(self.exponent as i32 - 127);
        let moments = Moments {
            count: u64::from(self.finite),
            mean: (f64::from(self.mean) + sum / count) * unit,
            square: (f64::from(self.square) - sum * sum / count).max(0.0) * unit * unit,
        };
        Part { moments, min: self.low.into(), max: self.high.into(), nan, infinite }
    }
}

impl Context {
    /// Count, sum, mean, variance, extremes and norm of a tensor of f32, bf16 or f16, and how many
    /// elements are NaN or infinite; waited for.
    ///
    /// Runs of 256 elements are reduced on the device in f32, and their results on the host in f64,
    /// in an order that the tensor's size and offset decide. With `u = 2^-24`, the mean is off by at
    /// most `40 u (max - min)`, the variance and the norm by `64 u` of their value; counts and extremes
    /// are exact. Subnormals may be taken for 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other dtypes, [`Error::Device`] where the device fails.
    pub fn summary(&self, tensor: &Tensor) -> Result<Summary> {
        let module = &shaders::REDUCE;
        let kernel = self.kernel(module, "reduce_leaves", &[code(tensor)?])?;
        let (elements, size) = (tensor.shape().elements(), tensor.dtype().size() as u64);
        let windows = planner::windows(self.limits(), tensor.offset(), elements, size);
        // The rows of one window fit into one binding: they are a twentieth of its bytes, or a tenth.
        let mut total = Part::EMPTY;
        for window in windows {
            let Window { begin, end, .. } = window;
            let rows = (end - begin).div_ceil(module.width * TAKEN) * module.width;
            let shape = Shape::new([u64::from(rows) * (size_of::<Row>() / 4) as u64])?;
            let result = Tensor::new(self, shape, Dtype::U32)?;
            self.run(|pass| {
                let uniforms = self.uniforms(&[Params { begin, end, rows, unused: 0 }]);
                let buffers = [
                    tensor.window(self, &window)?,
                    uniforms.block(0),
                    result.buffer().as_entire_buffer_binding(),
                ];
                let grid = planner::grid(self.limits(), rows, module.width);
                pass.record(&[self.prepare(&kernel, &buffers, grid)], 0);
                Ok(())
            })?;
            let rows = self.read(&result)?;
            let parts = rows
                .chunks_exact(size_of::<Row>())
                .map(|row| bytemuck::pod_read_unaligned::<Row>(row).part());
            total = parts.fold(total, Part::merge);
        }
        Ok(total.finish())
    }
}

/// The `dtype` constant of a tensor of floats.
pub(super) fn code(tensor: &Tensor) -> Result<u32> {
    let dtype = tensor.dtype();
    shaders::dtype_code(dtype)
        .filter(|_| dtype != Dtype::U32)
        .ok_or_else(|| Error::invalid("dtype", dtype, "f32, bf16 or f16"))
}
