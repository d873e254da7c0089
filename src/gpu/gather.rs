use super::operand::{apart, long_operand, matrix, operand};
use super::pass::Dispatch;
use super::shared::shared;
use super::turn::Buffer;
use super::{Context, Pass, Tensor, planner};
use crate::op::{Resident, Step};
use crate::random::Dtype;
use crate::{Error, Result, counted, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in GATHER as "Params" {
        columns: u32,
        target_columns: u32,
        rows: u32,
        first_example: u32,
        examples: u32,
        unused: [u32; 3],
    }
}

/// Examples on the device, in runs that a binding holds.
pub(crate) struct Examples {
    runs: Vec<Run>,
    columns: u32,
    target_columns: u32,
}

struct Run {
    features: Buffer,
    targets: Buffer,
    first: u32,
    count: u32,
}

impl Examples {
    pub(crate) fn new(context: &Context, resident: &Resident<'_>) -> Result<Examples> {
        let (columns, target_columns) = (resident.columns, resident.target_columns);
        let row = 4 * columns.max(target_columns).max(1) as u64;
        let most = (context.limits().binding / row) as usize;
        if most == 0 {
            let needed = format!("a row that {} binds", context.name());
            return Err(Error::invalid("examples", counted(columns, "feature"), needed));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let store = |label, bytes: &[u8]| -> Result<Buffer> {
            let buffer = context.buffer(label, bytes.len() as u64, usage)?;
            context.upload(&buffer, 0, bytes)?;
            Ok(buffer)
        };
        let mut runs = Vec::new();
        let mut first = 0;
        let features = resident.features.chunks(most * columns);
        for (features, targets) in features.zip(resident.targets.chunks(most * target_columns)) {
            let count = (features.len() / columns) as u32;
            runs.push(Run {
                features: store("features", bytemuck::cast_slice(features))?,
                targets: store("targets", bytemuck::cast_slice(targets))?,
                first,
                count,
            });
            first += count;
        }
        Ok(Examples { runs, columns: columns as u32, target_columns: target_columns as u32 })
    }

    /// The rows of a step into the batch.
    pub(crate) fn gather(
        &self,
        context: &Context,
        order: &wgpu::Buffer,
        features: &Tensor,
        targets: &Tensor,
        step: &wgpu::BufferBinding<'_>,
    ) -> Result<Vec<Dispatch>> {
        let runs = self.runs.iter().map(|run| {
            let [features, targets] = [&run.features, &run.targets];
            let bound = [features, targets].map(|buffer| buffer.as_entire_buffer_binding());
            (bound, run.first, run.count)
        });
        let rows = features.shape().dims()[0] as u32;
        let out = [features.binding(context)?, targets.binding(context)?];
        let columns = [self.columns, self.target_columns];
        let order = order.as_entire_buffer_binding();
        dispatches(context, runs, order, out, rows, columns, step)
    }
}

/// Features and targets of a run of examples, the first of them, and how many they are.
type Bound<'a> = ([wgpu::BufferBinding<'a>; 2], u32, u32);

fn dispatches<'a>(
    context: &Context,
    runs: impl Iterator<Item = Bound<'a>>,
    order: wgpu::BufferBinding<'_>,
    out: [wgpu::BufferBinding<'_>; 2],
    rows: u32,
    [columns, target_columns]: [u32; 2],
    step: &wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let kernel = context.kernel(&shaders::GATHER, "gather_rows", &[])?;
    let invocations = u64::from(rows) * u64::from(columns + target_columns);
    if invocations > u64::from(u32::MAX) {
        return Err(Error::invalid("batch", rows, "fewer than 2^32 features in all"));
    }
    let grid = planner::grid(context.limits(), invocations as u32, shaders::GATHER.width);
    let [out_features, out_targets] = out;
    let ready = runs.map(|([features, targets], first_example, examples)| {
        let params =
            Params { columns, target_columns, rows, first_example, examples, unused: [0; 3] };
        let buffers = [
            step.clone(),
            features,
            targets,
            order.clone(),
            out_features.clone(),
            out_targets.clone(),
        ];
        context.dispatch(&kernel, &params, &buffers, grid)
    });
    Ok(ready.collect())
}

impl Pass<'_, '_> {
    /// `out[m] = values[order[m]]`, row by row: `values` is `[examples, n]`, of any dtype of 4 bytes, `out`
    /// `[m, n]` of the same, and `order` has `m` indices of rows, u32. A row of `out` whose index is of no
    /// row of `values` stays as it was: a shader cannot tell.
    ///
    /// `values` may be longer than what the device binds.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tensor does not fit, `out` shares a buffer with what is read, or a row is
    /// longer than what the device binds.
    pub fn gather(&mut self, values: &Tensor, order: &Tensor, out: &Tensor) -> Result<()> {
        let context = self.context;
        let [examples, columns] = matrix("values", values)?;
        let rows = order.shape().elements();
        let dtype = values.dtype();
        if dtype.size() != 4 {
            return Err(Error::invalid("values", dtype, "a dtype of 4 bytes"));
        }
        long_operand(context, "values", values, dtype, examples * columns)?;
        let indices = operand(context, "order", order, Dtype::U32, rows)?;
        let result = operand(context, "out", out, dtype, rows * columns)?;
        apart(&[("values", values), ("order", order)], &[("out", out)])?;
        // Runs of whole rows, which start where the device binds.
        let (row, limits) = (4 * columns, context.limits());
        let step = limits.alignment / gcd(limits.alignment, row);
        let most = (limits.binding / row).min(u64::from(u32::MAX));
        let count = if examples <= most { examples } else { most / step * step };
        if count == 0 {
            let needed = format!("rows of which {} binds {step}", context.name());
            return Err(Error::invalid("values", counted(columns, "column"), needed));
        }
        let [nothing, _] = context.unused();
        let runs = (0..examples).step_by(count as usize).map(|first| {
            let own = count.min(examples - first);
            let features = wgpu::BufferBinding {
                buffer: values.buffer(),
                offset: values.offset() + first * row,
                size: wgpu::BufferSize::new(own * row),
            };
            ([features.clone(), features], first as u32, own as u32)
        });
        let steps = context.uniforms(&[Step { rows: rows as u32, ..Step::default() }]);
        let (out, columns) = ([result, nothing], [columns as u32, 0]);
        let rows = rows as u32;
        self.once(dispatches(context, runs, indices, out, rows, columns, &steps.block(0)))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
