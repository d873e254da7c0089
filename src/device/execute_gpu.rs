use super::{Execution, Room};
use crate::gpu::gather::Examples;
use crate::gpu::{
    Buffer, Context, Dispatch, LossTensors, NormTensors, Pass, Tensor, UNIFORM_STRIDE,
    UpdateTensors, columns, conv, loss, matmul, pool, reduce, unfold, update,
};
use crate::op::{
    Epilogue, FIRST, GRADIENTS, Histogram, Norm, Op, PARAMETERS, Parts, Phase, Program, Resident,
    RowResult, SCALE, SECOND, Slot, Step, Summary, View,
};
use crate::random::{Distribution, Dtype, Stream};
use crate::{Error, Result, Shape, counted};

/// Programs on a GPU: every pipeline, bind group and buffer is made once, and a step is recorded by
/// replaying them.
pub(super) struct OnGpu {
    context: Context,
    slots: Vec<Buffer>,
    /// The parameters and the optimizer's state as they were kept.
    kept: Vec<(Slot, Buffer)>,
    order: Buffer,
    steps: Buffer,
    results: Buffer,
    phases: Vec<(Phase, Vec<Dispatch>)>,
    room: Room,
    batch: usize,
    download: Buffer,
}

impl OnGpu {
    pub(super) fn new(
        context: &Context,
        program: &Program,
        resident: &Resident<'_>,
        room: Room,
    ) -> Result<OnGpu> {
        let both = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let storage = wgpu::BufferUsages::STORAGE | both;
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer =
            |label, floats: usize| context.buffer(label, 4 * floats.max(64) as u64, storage);
        let slots: Vec<Buffer> =
            program.slots.iter().map(|&floats| buffer("slot", floats)).collect::<Result<_>>()?;
        let kept = [PARAMETERS, FIRST, SECOND]
            .into_iter()
            .filter(|&slot| program.slots[slot] > 0)
            .map(|slot| Ok((slot, buffer("kept", program.slots[slot])?)))
            .collect::<Result<_>>()?;
        let download = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut execution = OnGpu {
            context: context.with_arithmetic(program.arithmetic),
            slots,
            kept,
            order: buffer("order", room.rows)?,
            steps: context.buffer("steps", (room.steps * UNIFORM_STRIDE) as u64, uniform)?,
            results: buffer("results", 2 * room.rows)?,
            phases: Vec::new(),
            room,
            batch: program.batch,
            download: context.buffer("download", 8 * room.rows as u64, download)?,
        };
        let examples = match resident.features {
            [] => None,
            _ => Some(Examples::new(context, resident)?),
        };
        for phase in [Phase::Train, Phase::Backward, Phase::Evaluate, Phase::Predict] {
            let mut dispatches = Vec::new();
            for op in program.ops(phase) {
                dispatches.extend(execution.prepare(op, examples.as_ref())?);
            }
            execution.phases.push((phase, dispatches));
        }
        Ok(execution)
    }

    fn tensor(&self, view: View, dtype: Dtype) -> Result<Tensor> {
        let shape = Shape::new([view.rows as u64, view.columns as u64])?;
        Tensor::of(&self.context, &self.slots[view.slot], 4 * view.first as u64, shape, dtype)
    }

    fn prepare(&self, op: &Op, examples: Option<&Examples>) -> Result<Vec<Dispatch>> {
        let context = &self.context;
        let step = wgpu::BufferBinding {
            buffer: &self.steps,
            offset: 0,
            size: wgpu::BufferSize::new(size_of::<Step>() as u64),
        };
        let floats = |view: View| self.tensor(view, Dtype::F32);
        let whole = |slot: Slot| {
            let columns = (self.slots[slot].size() / 4) as usize;
            floats(View { slot, first: 0, rows: 1, columns })
        };
        match *op {
            Op::Gather { features, targets } => {
                let Some(examples) = examples else { return Ok(Vec::new()) };
                let (features, targets) = (floats(features)?, floats(targets)?);
                examples.gather(context, &self.order, &features, &targets, &step)
            }
            Op::Product { form, a, b, out, epilogue } => {
                let epilogue = self.epilogue(&epilogue)?;
                let (a, b, out) = (floats(a)?, floats(b)?, floats(out)?);
                matmul::matmul(context, form, &a, &b, &out, &epilogue.as_ref(), step)
            }
            Op::Map { values, out, epilogue } => {
                let epilogue = self.epilogue(&epilogue)?;
                let (values, out) = (floats(values)?, floats(out)?);
                matmul::map(context, &values, &out, &epilogue.as_ref(), step)
            }
            Op::Columns { values, weights, out } => {
                let weights = weights.map(floats).transpose()?;
                columns::column_sums(context, &floats(values)?, weights.as_ref(), &floats(out)?)
            }
            Op::Extremes { values, extreme, out } => {
                columns::column_extremes(context, &floats(values)?, extreme, &floats(out)?)
            }
            Op::NormForward { norm, values, after, out } => {
                let after = after.map(floats).transpose()?;
                let norm = self.norm(&norm)?;
                norm.forward(context, &floats(values)?, after.as_ref(), &floats(out)?, step)
            }
            Op::NormBackward { norm, gradient, inner, out } => {
                let norm = self.norm(&norm)?;
                norm.backward(context, &floats(gradient)?, &floats(inner)?, &floats(out)?, step)
            }
            Op::Unfold { conv, values, out } => {
                unfold::unfold(context, &conv, &floats(values)?, &floats(out)?)
            }
            Op::Fold { conv, values, out } => {
                unfold::fold(context, &conv, &floats(values)?, &floats(out)?)
            }
            Op::Conv { conv: numbers, values, weight, bias, out } => {
                let (values, weight) = (floats(values)?, floats(weight)?);
                let bias = bias.map(floats).transpose()?;
                conv::forward(context, &numbers, &values, &weight, bias.as_ref(), &floats(out)?)
            }
            Op::ConvInput { conv: numbers, gradient, weight, out } => {
                let (gradient, weight) = (floats(gradient)?, floats(weight)?);
                conv::input(context, &numbers, &gradient, &weight, &floats(out)?)
            }
            Op::ConvWeight { conv: numbers, values, gradient, out } => {
                let (values, gradient) = (floats(values)?, floats(gradient)?);
                conv::weight(context, &numbers, &values, &gradient, &floats(out)?)
            }
            Op::Pool { pool: numbers, values, out } => {
                pool::forward(context, &numbers, &floats(values)?, &floats(out)?)
            }
            Op::PoolBackward { pool: numbers, values, pooled, gradient, out } => {
                let (values, pooled) = (floats(values)?, floats(pooled)?);
                let (gradient, out) = (floats(gradient)?, floats(out)?);
                pool::backward(context, &numbers, &values, &pooled, &gradient, &out)
            }
            Op::Loss { loss: kind, outputs, targets, gradient, wanted } => {
                let dtype = match kind.takes_classes(outputs.columns, targets.columns) {
                    true => Dtype::U32,
                    false => Dtype::F32,
                };
                let targets = self.tensor(targets, dtype)?;
                let shape = Shape::new([self.results.size() / 8, 2])?;
                let results = Tensor::of(context, &self.results, 0, shape, Dtype::F32)?;
                let gradient = floats(gradient)?;
                let tensors = LossTensors {
                    outputs: &floats(outputs)?,
                    targets: &targets,
                    gradient: wanted.then_some(&gradient),
                    results: &results,
                };
                loss::loss(context, kind, &tensors, self.results.size() / 8, step)
            }
            Op::Squares { outputs, targets, out } => {
                loss::squares(context, &floats(outputs)?, &floats(targets)?, &floats(out)?, step)
            }
            Op::Clip { bound } => reduce::clip(context, &whole(GRADIENTS)?, bound, &whole(SCALE)?),
            Op::Update { optimizer, clipped, view, rate } => {
                let moments = optimizer.moments();
                let own = |slot: Slot| floats(View { slot, ..view });
                let state =
                    |slot: Slot, place: usize| (moments > place).then(|| own(slot)).transpose();
                let (first, second) = (state(FIRST, 0)?, state(SECOND, 1)?);
                let scale = clipped.then(|| whole(SCALE)).transpose()?;
                let tensors = UpdateTensors {
                    gradients: &own(GRADIENTS)?,
                    parameters: &own(PARAMETERS)?,
                    first: first.as_ref(),
                    second: second.as_ref(),
                    scale: scale.as_ref(),
                };
                update::update(context, &optimizer, &tensors, step, rate)
            }
        }
    }

    fn epilogue(&self, parts: &Parts) -> Result<Epilogue<Tensor>> {
        let mut epilogue = parts.try_map(|view| self.tensor(*view, Dtype::F32))?;
        for row in [&mut epilogue.bias, &mut epilogue.row_sums].into_iter().flatten() {
            let shape = Shape::new([row.shape().elements()])?;
            *row = row.within(row.offset(), shape, Dtype::F32)?;
        }
        Ok(epilogue)
    }

    fn norm(&self, norm: &Norm) -> Result<NormTensors> {
        let floats = |view: View| self.tensor(view, Dtype::F32);
        Ok(NormTensors {
            scale: floats(norm.scale)?,
            shift: floats(norm.shift)?,
            normalized: floats(norm.normalized)?,
            inverse: floats(norm.inverse)?,
            activation: norm.activation,
            dropout: norm.dropout,
        })
    }

    fn phase(&self, phase: Phase) -> &[Dispatch] {
        let found = self.phases.iter().find(|(own, _)| *own == phase);
        found.map_or(&[], |(_, dispatches)| dispatches)
    }
}

impl Execution for OnGpu {
    fn dispatches(&self, phase: Phase) -> usize {
        self.phase(phase).len()
    }

    fn fill(&mut self, view: View, stream: &Stream, distribution: &Distribution) -> Result<()> {
        let tensor = self.tensor(view, Dtype::F32)?;
        self.context.run(|pass| pass.fill(&tensor, stream, distribution))
    }

    fn write(&mut self, slot: Slot, first: usize, values: &[f32]) -> Result<()> {
        self.context.upload(&self.slots[slot], 4 * first as u64, bytemuck::cast_slice(values))
    }

    fn read(&mut self, view: View) -> Result<Vec<f32>> {
        let bytes = self.context.read(&self.tensor(view, Dtype::F32)?)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    fn carry(&mut self, ops: &[Op]) -> Result<()> {
        let dispatches = ops.iter().map(|op| self.prepare(op, None)).collect::<Result<Vec<_>>>()?;
        self.context.run(|pass| {
            dispatches.iter().for_each(|dispatches| pass.record(dispatches, 0));
            Ok(())
        })
    }

    fn summary(&mut self, view: View) -> Result<Summary> {
        self.context.summary(&self.tensor(view, Dtype::F32)?)
    }

    fn histogram(&mut self, view: View, low: f32, high: f32, bins: usize) -> Result<Histogram> {
        self.context.histogram(&self.tensor(view, Dtype::F32)?, low, high, bins)
    }

    fn run(
        &mut self,
        order: &[u32],
        steps: &[(Phase, Step)],
        keep: bool,
    ) -> Result<Vec<RowResult>> {
        let rows = steps.len() * self.batch;
        if order.len() > self.room.rows || steps.len() > self.room.steps || rows > self.room.rows {
            let given = format!("{} of {rows} rows", counted(steps.len(), "step"));
            let needed = format!("at most {} of {}", self.room.steps, self.room.rows);
            return Err(Error::invalid("submission", given, needed));
        }
        let mut blocks = vec![0u8; steps.len() * UNIFORM_STRIDE];
        for (block, (_, step)) in blocks.chunks_exact_mut(UNIFORM_STRIDE).zip(steps) {
            block[..size_of::<Step>()].copy_from_slice(bytemuck::bytes_of(step));
        }
        let used = 8 * rows as u64;
        let ((), submission) = self.context.submit(|encoder| {
            // Writes take their place in the queue before the commands that are submitted next.
            self.context.put(&self.order, 0, bytemuck::cast_slice(order));
            self.context.put(&self.steps, 0, &blocks);
            for (slot, kept) in self.kept.iter().filter(|_| keep) {
                encoder.copy_buffer_to_buffer(&self.slots[*slot], 0, kept, 0, kept.size());
            }
            {
                let mut compute = self.context.begin(encoder);
                let mut pass = Pass::new(&self.context, &mut compute);
                for (index, (phase, _)) in (0..).zip(steps) {
                    pass.record(self.phase(*phase), index);
                }
            }
            encoder.copy_buffer_to_buffer(&self.results, 0, &self.download, 0, used);
            Ok(())
        })?;
        self.context.map(&self.download, submission).wait()?;
        let results = {
            let view = self.download.slice(..used).get_mapped_range();
            let view = view.map_err(|error| self.context.failed(error))?;
            bytemuck::pod_collect_to_vec(&view[..])
        };
        self.context.unmap(&self.download);
        Ok(results)
    }

    fn restore(&mut self) -> Result<()> {
        let copied = self.context.submit(|encoder| {
            for (slot, kept) in &self.kept {
                encoder.copy_buffer_to_buffer(kept, 0, &self.slots[*slot], 0, kept.size());
            }
            Ok(())
        });
        copied.map(|_| ())
    }
}
