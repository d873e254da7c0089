use bytemuck::{Pod, Zeroable};

use super::reduce::code;
use super::{Context, Tensor, planner};
use crate::random::Dtype;
use crate::summary::{Histogram, edges};
use crate::{Result, Shape, shaders};

/// `Params` of `shaders/histogram.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    begin: u32,
    end: u32,
    bins: u32,
    scale: f32,
}

/// Elements that an invocation takes, and copies of each counter: one would overflow beyond 2^38
/// elements.
const TAKEN: u32 = 64;
const COPIES: u64 = 64;

impl Context {
    /// How many elements of a tensor of f32, bf16 or f16 lie in each of `bins` bins between `low` and
    /// `high`; exact, and waited for. Subnormals may be taken for 0.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for other dtypes, where `low < high` does not hold,
    /// they are not finite or too far apart, or there is no bin or more than 4096;
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub fn histogram(
        &self,
        tensor: &Tensor,
        low: f32,
        high: f32,
        bins: usize,
    ) -> Result<Histogram> {
        let edges = edges(low, high, bins)?;
        let module = &shaders::HISTOGRAM;
        let kernel = self.kernel(module, "histogram_count", &[code(tensor)?])?;
        let bound = Tensor::new(self, Shape::new([edges.len() as u64])?, Dtype::F32)?;
        let slots = bins as u64 + 3;
        let counts = Tensor::new(self, Shape::new([COPIES * slots])?, Dtype::U32)?;
        let (elements, size) = (tensor.shape().elements(), tensor.dtype().size() as u64);
        let windows = planner::windows(self.limits(), tensor.offset(), elements, size);
        let scale = bins as f32 / (high - low);
        let params: Vec<Params> = windows
            .iter()
            .map(|window| Params { begin: window.begin, end: window.end, bins: bins as u32, scale })
            .collect();
        self.run(|pass| {
            self.queue().write_buffer(bound.buffer(), 0, bytemuck::cast_slice(&edges));
            let uniforms = self.uniforms(&params);
            for (index, window) in windows.iter().enumerate() {
                let invocations = (window.end - window.begin).div_ceil(TAKEN);
                let buffers = [
                    tensor.window(self, window)?,
                    uniforms.block(index),
                    counts.buffer().as_entire_buffer_binding(),
                    bound.buffer().as_entire_buffer_binding(),
                ];
                let grid = planner::grid(self.limits(), invocations, module.width);
                pass.record(&[self.prepare(&kernel, &buffers, grid)], 0);
            }
            Ok(())
        })?;
        let mut all = vec![0u64; slots as usize];
        for (index, count) in self.read(&counts)?.chunks_exact(4).enumerate() {
            all[index % slots as usize] += u64::from(bytemuck::pod_read_unaligned::<u32>(count));
        }
        let [below, above, nan] = [all[0], all[1], all[2]];
        Ok(Histogram { edges, counts: all.split_off(3), below, above, nan })
    }
}
