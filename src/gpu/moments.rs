use bytemuck::{Pod, Zeroable};

use super::planner::{self, Window, window_bytes};
use super::turn::Buffer;
use super::{Context, Pass, Tensor};
use crate::{Error, Moments, Result, shaders};

/// `Params` of `shaders/moments.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    begin: u32,
    end: u32,
    rows: u32,
    first_row: u32,
    scale: f32,
    unused: u32,
}

/// Words that an invocation of `moments_leaves` takes, and rows that one of `moments_merge` does.
const TAKEN: u32 = 16;
const MERGED: u32 = 64;

/// A row of a result: count, mean, sum of squared deviations, and nothing.
pub(super) const ROW: u64 = 16;

/// Where [`Pass::moments`] leaves its rows: room for tensors up to a size.
pub(super) struct Rows {
    leaves: Buffer,
    pub(super) merged: Buffer,
}

impl Rows {
    /// Room for `tensors` tensors of together at most `bytes` bytes.
    pub(super) fn new(context: &Context, bytes: u64, tensors: u64) -> Result<Self> {
        let limits = context.limits();
        let per_row = u64::from(4 * shaders::MOMENTS.width * TAKEN);
        // A run's first and last rows may be half used; a window starts early by an alignment.
        let runs = bytes / (window_bytes(limits) / 2) + 1 + tensors;
        let rows = bytes / per_row + 2 * runs;
        let rows_of_window = bytes.min(window_bytes(limits)) / per_row + 2;
        let storage = wgpu::BufferUsages::STORAGE;
        Ok(Rows {
            leaves: context.buffer(
                "moments: leaves",
                rows_of_window * u64::from(MERGED) * ROW,
                storage,
            )?,
            merged: context.buffer(
                "moments: rows",
                rows * ROW,
                storage | wgpu::BufferUsages::COPY_SRC,
            )?,
        })
    }
}

impl Pass<'_, '_> {
    /// Reduces a tensor to rows of `rows.merged`, from row `first_row` on, and returns the row after
    /// the last. Elements are counted in `unit`s, a power of 2 near their size.
    pub(super) fn moments(
        &mut self,
        tensor: &Tensor,
        unit: f32,
        rows: &Rows,
        mut first_row: u32,
    ) -> Result<u32> {
        let (context, module) = (self.context, &shaders::MOMENTS);
        let code = shaders::dtype_code(tensor.dtype())
            .ok_or_else(|| Error::invalid("dtype", tensor.dtype(), "f32, bf16 or f16"))?;
        let leaves = context.kernel(module, "moments_leaves", &[code])?;
        let merge = context.kernel(module, "moments_merge", &[code])?;
        let size = tensor.dtype().size() as u64;
        let per_word = (4 / size) as u32;
        let windows =
            planner::windows(context.limits(), tensor.offset(), tensor.shape().elements(), size);
        let mut params = Vec::new();
        for window in &windows {
            let words = window.end.div_ceil(per_word) - window.begin / per_word;
            let merged = words.div_ceil(module.width * TAKEN);
            let leaf_rows = merged * MERGED;
            let Window { begin, end, .. } = *window;
            let leaves =
                Params { begin, end, rows: leaf_rows, first_row: 0, scale: 1.0 / unit, unused: 0 };
            params.push(leaves);
            params.push(Params { begin: 0, end: leaf_rows, rows: merged, first_row, ..leaves });
            first_row += merged;
        }
        let uniforms = context.uniforms(&params);
        for (index, window) in windows.iter().enumerate() {
            let source = tensor.window(context, window)?;
            let leaf_rows = rows.leaves.as_entire_buffer_binding();
            let merged = rows.merged.as_entire_buffer_binding();
            let grid = |rows| planner::grid(context.limits(), rows, module.width);
            let (first, second) = (2 * index, 2 * index + 1);
            let ready = [
                context.prepare(
                    &leaves,
                    &[source, uniforms.block(first), leaf_rows.clone()],
                    grid(params[first].rows),
                ),
                context.prepare(
                    &merge,
                    &[leaf_rows, uniforms.block(second), merged],
                    grid(params[second].rows),
                ),
            ];
            self.record(&ready, 0);
        }
        Ok(first_row)
    }
}

/// What rows come to, added in order; their elements were counted in `unit`s.
pub(super) fn sum(rows: &[u8], unit: f32) -> Moments {
    let unit = f64::from(unit);
    let rows = rows.chunks_exact(ROW as usize).map(|row| {
        let [count, mean, square, _] = bytemuck::pod_read_unaligned::<[f32; 4]>(row).map(f64::from);
        Moments { count: count as u64, mean: mean * unit, square: square * unit * unit }
    });
    rows.fold(Moments::default(), Moments::merge)
}

impl Context {
    /// Count, mean and squared deviations of a tensor of f32, bf16 or f16, reduced on the device in
    /// f32 with an order that depends on the size alone, and waited for. Of elements so large or so
    /// small that f32 does not hold their squares, [`Context::summary`] says more.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other dtypes, [`Error::Device`] where the device fails.
    pub fn moments(&self, tensor: &Tensor) -> Result<Moments> {
        let rows = Rows::new(self, tensor.bytes(), 1)?;
        let count = self.run(|pass| pass.moments(tensor, 1.0, &rows, 0))?;
        let shape = crate::Shape::new([u64::from(count) * 4])?;
        let result = Tensor::of(self, &rows.merged, 0, shape, crate::random::Dtype::F32)?;
        Ok(sum(&self.read(&result)?, 1.0))
    }
}
