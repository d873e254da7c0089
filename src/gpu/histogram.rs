use super::planner::{self, Window};
use super::reduce::{self, Plan, code};
use super::shared::shared;
use super::{Context, Tensor};
use crate::op::{Histogram, edges};
use crate::random::Dtype;
use crate::{Result, Shape, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in HISTOGRAM as "Params" {
        begin: u32,
        end: u32,
        bins: u32,
        scale: f32,
        turns: u32,
        copies: u32,
        unused: [u32; 2],
    }
}

/// Counters that a workgroup of a GPU has room for: more slots are counted as on a software adapter.
const COUNTERS: u64 = 4096;

/// Elements that an invocation takes there, and copies of each counter: one would overflow beyond 2^38
/// elements.
const TAKEN: u32 = 64;
const COPIES: u64 = 64;

impl Context {
    /// How many elements of a tensor of floats ([`Dtype::SAMPLED`]) lie in each of `bins` bins between
    /// `low` and `high`; exact, and waited for. Subnormals may be taken for 0, and an element of f64 counts
    /// as the f32 nearest to it.
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
        let slots = bins as u64 + 3;
        let shared = !self.is_software() && slots <= COUNTERS;
        let (entry, width) = match shared {
            true => ("histogram_workgroups", 256),
            false => ("histogram_invocations", 64),
        };
        let constants = [("dtype", code(tensor)?), ("width", width)];
        let kernel = self.kernel(&shaders::HISTOGRAM, entry, &constants)?;
        let bound = Tensor::new(self, Shape::new([edges.len() as u64])?, Dtype::F32)?;
        let counts = Tensor::new(self, Shape::new([COPIES * slots])?, Dtype::U32)?;
        let (elements, size) = (tensor.shape().elements(), tensor.dtype().size());
        // As many counters of a kind as lanes that would wait for each other, if there is room.
        let copies = (COUNTERS / slots).clamp(1, 32) as u32;
        let copies = 1 << copies.ilog2();
        self.run(|pass| {
            self.put(bound.buffer(), 0, bytemuck::cast_slice(&edges));
            for window in planner::windows(self.limits(), tensor.offset(), elements, size as u64) {
                let Window { begin, end, .. } = window;
                let plan = Plan::new(false, begin, end, size as u32);
                let params = Params {
                    begin,
                    end,
                    bins: bins as u32,
                    scale: bins as f32 / (high - low),
                    turns: plan.turns,
                    copies,
                    unused: [0; 2],
                };
                let workgroups = match shared {
                    true => plan.workgroups,
                    false => (end - begin).div_ceil(TAKEN * width),
                };
                let [groups, words] = reduce::both(self, tensor.window(self, &window)?);
                let counts = counts.buffer().as_entire_buffer_binding();
                let edges = bound.buffer().as_entire_buffer_binding();
                let grid = planner::grid(self.limits(), workgroups, 1);
                let buffers = [groups, words, counts, edges];
                pass.record(&[self.dispatch(&kernel, &params, &buffers, grid)], 0);
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

#[cfg(test)]
mod tests {
    use super::{COPIES, COUNTERS, TAKEN};
    use crate::gpu::shared::assert_constants;
    use crate::shaders::HISTOGRAM;

    #[test]
    fn counters_and_copies_are_the_shaders() {
        let constants = [("TAKEN", TAKEN.into()), ("COPIES", COPIES), ("COUNTERS", COUNTERS)];
        assert_constants(&HISTOGRAM, &constants);
    }
}
