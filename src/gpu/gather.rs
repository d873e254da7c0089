use bytemuck::{Pod, Zeroable};

use super::pass::Dispatch;
use super::turn::Buffer;
use super::{Context, Tensor, planner};
use crate::op::Resident;
use crate::{Error, Result, shaders};

/// `Params` of `shaders/gather.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    columns: u32,
    target_columns: u32,
    rows: u32,
    first_example: u32,
    examples: u32,
    unused: [u32; 3],
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
            return Err(Error::invalid("examples", format!("{columns} features"), needed));
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
        let kernel = context.kernel(&shaders::GATHER, "gather_rows", &[])?;
        let rows = features.shape().dims()[0] as u32;
        let (columns, target_columns) = (self.columns, self.target_columns);
        let invocations = u64::from(rows) * u64::from(columns + target_columns);
        if invocations > u64::from(u32::MAX) {
            return Err(Error::invalid("batch", rows, "fewer than 2^32 features in all"));
        }
        let grid = planner::grid(context.limits(), invocations as u32, shaders::GATHER.width);
        let dispatches = self.runs.iter().map(|run| {
            let params = Params {
                columns,
                target_columns,
                rows,
                first_example: run.first,
                examples: run.count,
                unused: [0; 3],
            };
            let buffers = [
                step.clone(),
                run.features.as_entire_buffer_binding(),
                run.targets.as_entire_buffer_binding(),
                order.as_entire_buffer_binding(),
                features.binding(context)?,
                targets.binding(context)?,
            ];
            Ok(context.dispatch(&kernel, &params, &buffers, grid))
        });
        dispatches.collect()
    }
}
