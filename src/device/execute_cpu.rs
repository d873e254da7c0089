use super::Execution;
use crate::cpu::{
    self, Epilogue, Kernels, LossSlices, LossTargets, Norm, UpdateSlices, column_extremes, fill,
    gather, histogram, summary,
};
use crate::op::{
    self, BATCH, FIRST, Form, GRADIENTS, Histogram, Nonlinearity, Op, PARAMETERS, Phase, Program,
    Resident, RowResult, SCALE, SECOND, Slot, Step, Summary, TARGETS, View,
};
use crate::random::{Distribution, Dtype, Stream};
use crate::{Result, memory};

/// Programs on all cores.
pub(super) struct OnCpu {
    program: Program,
    kernels: Kernels,
    slots: Vec<Vec<f32>>,
    kept: Vec<(Slot, Vec<f32>)>,
    features: Vec<f32>,
    targets: Vec<f32>,
}

impl OnCpu {
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) where there is no memory for the buffers.
    pub(super) fn new(program: &Program, resident: &Resident<'_>) -> Result<OnCpu> {
        let slot = |&floats: &usize| memory::filled("a network's buffers", floats, 0.0);
        Ok(OnCpu {
            slots: program.slots.iter().map(slot).collect::<Result<_>>()?,
            kept: Vec::new(),
            features: memory::copied("the features", resident.features)?,
            targets: memory::copied("the targets", bytemuck::cast_slice(resident.targets))?,
            kernels: Kernels::new(program.arithmetic),
            program: program.clone(),
        })
    }

    fn slice(&self, view: View) -> &[f32] {
        &self.slots[view.slot][view.first..][..view.elements()]
    }

    /// Works on a stretch of a buffer while the others can be read.
    fn with<T>(&mut self, view: View, work: impl FnOnce(&mut Self, &mut [f32]) -> T) -> T {
        let mut own = std::mem::take(&mut self.slots[view.slot]);
        let result = work(self, &mut own[view.first..][..view.elements()]);
        self.slots[view.slot] = own;
        result
    }

    fn gather(&mut self, order: &[u32], step: &Step, view: View) -> Result<()> {
        let source = if view.slot == BATCH { &self.features } else { &self.targets };
        let (columns, rows) = (view.columns, step.rows as usize);
        let (real, rest) = self.slots[view.slot].split_at_mut(rows * columns);
        rest.fill(0.0);
        gather(source, columns, &order[step.first as usize..][..rows], real)
    }

    fn norm<'a>(&'a self, norm: &op::Norm) -> Norm<'a> {
        Norm {
            scale: self.slice(norm.scale),
            shift: self.slice(norm.shift),
            activation: norm.activation,
            dropout: norm.dropout,
        }
    }

    #[allow(clippy::too_many_arguments)] // The operation's own fields.
    fn product(
        &self,
        form: Form,
        a: View,
        b: View,
        target: &mut [f32],
        out: View,
        parts: &op::Parts,
        raw: Option<&mut [f32]>,
        step: &Step,
    ) -> Result<()> {
        let depth = if form == Form::Tn { a.rows } else { a.columns };
        let sizes = [out.rows, out.columns, depth];
        self.kernels.matmul(form, self.slice(a), self.slice(b), target, sizes)?;
        self.kernels.epilogue(target, out.columns, self.parts(parts, raw), step.step)
    }

    fn map(
        &self,
        values: View,
        target: &mut [f32],
        out: View,
        parts: &op::Parts,
        raw: Option<&mut [f32]>,
        step: &Step,
    ) -> Result<()> {
        let values = self.slice(values);
        self.kernels.map(values, target, out.columns, self.parts(parts, raw), step.step)
    }

    /// An epilogue's operands, but for what is written.
    fn parts<'a>(&'a self, parts: &op::Parts, raw: Option<&'a mut [f32]>) -> Epilogue<'a> {
        let slice = |view: Option<View>| view.map(|view| self.slice(view));
        Epilogue {
            bias: slice(parts.bias),
            before: slice(parts.before),
            raw,
            nonlinearity: match parts.nonlinearity {
                Nonlinearity::None => Nonlinearity::None,
                Nonlinearity::Value(function) => Nonlinearity::Value(function),
                Nonlinearity::Derivative(function, z) => {
                    Nonlinearity::Derivative(function, self.slice(z))
                }
            },
            dropout: parts.dropout,
            after: slice(parts.after),
            row_sums: None,
        }
    }

    fn carry_out(
        &mut self,
        op: &Op,
        order: &[u32],
        step: &Step,
        results: &mut [RowResult],
    ) -> Result<()> {
        let kernels = self.kernels;
        match *op {
            Op::Gather { features, targets } => {
                debug_assert_eq!((features.slot, targets.slot), (BATCH, TARGETS));
                self.gather(order, step, features)?;
                self.gather(order, step, targets)?;
            }
            Op::Product { form, a, b, out, epilogue: parts } => {
                self.with(out, |own, target| match parts.raw {
                    None => own.product(form, a, b, target, out, &parts, None, step),
                    Some(view) => own.with(view, |own, raw| {
                        own.product(form, a, b, target, out, &parts, Some(raw), step)
                    }),
                })?;
                // By themselves: they may stand in the buffer that the result stands in.
                if let Some(sums) = parts.row_sums {
                    let sizes = [out.rows, if form == Form::Tn { a.rows } else { a.columns }];
                    self.with(sums, |own, sums| {
                        kernels.left_sums(form, own.slice(a), sums, sizes)
                    })?;
                }
            }
            Op::Map { values, out, epilogue: parts } => self.with(out, |own, target| {
                let Some(raw) = parts.raw else {
                    return own.map(values, target, out, &parts, None, step);
                };
                own.with(raw, |own, raw| own.map(values, target, out, &parts, Some(raw), step))
            })?,
            Op::Columns { values, weights, out } => self.with(out, |own, target| {
                let weights = weights.map(|weights| own.slice(weights));
                kernels.column_sums(own.slice(values), weights, target)
            })?,
            Op::Extremes { values, extreme, out } => {
                self.with(out, |own, out| column_extremes(own.slice(values), extreme, out))?;
            }
            Op::NormForward { norm: own, values, after, out } => self.with(out, |all, out| {
                all.with(own.normalized, |all, normalized| {
                    all.with(own.inverse, |all, inverse| {
                        let after = after.map(|after| all.slice(after));
                        let (slices, values) = (all.norm(&own), all.slice(values));
                        kernels.norm(&slices, step.step, values, after, normalized, inverse, out)
                    })
                })
            })?,
            Op::NormBackward { norm: own, gradient, inner, out } => {
                self.with(out, |all, out| {
                    all.with(inner, |all, inner| {
                        let (normalized, inverse) =
                            (all.slice(own.normalized), all.slice(own.inverse));
                        let (slices, gradient) = (all.norm(&own), all.slice(gradient));
                        kernels.norm_backward(
                            &slices, step.step, gradient, normalized, inverse, inner, out,
                        )
                    })
                })?
            }
            Op::Unfold { conv, values, out } => {
                self.with(out, |own, out| cpu::unfold(&conv, own.slice(values), out))?;
            }
            Op::Fold { conv, values, out } => {
                self.with(out, |own, out| kernels.fold(&conv, own.slice(values), out))?;
            }
            Op::Conv { conv, values, weight, bias, out } => self.with(out, |own, out| {
                let bias = bias.map(|bias| own.slice(bias));
                kernels.conv(&conv, own.slice(values), own.slice(weight), bias, out)
            })?,
            Op::ConvInput { conv, gradient, weight, out } => self.with(out, |own, out| {
                kernels.conv_input(&conv, own.slice(gradient), own.slice(weight), out)
            })?,
            Op::ConvWeight { conv, values, gradient, out } => self.with(out, |own, out| {
                kernels.conv_weight(&conv, own.slice(values), own.slice(gradient), out)
            })?,
            Op::Pool { pool, values, out } => {
                self.with(out, |own, out| kernels.pool(&pool, own.slice(values), out))?;
            }
            Op::PoolBackward { pool, values, pooled, gradient, out } => {
                self.with(out, |own, out| {
                    let [values, pooled, gradient] =
                        [values, pooled, gradient].map(|view| own.slice(view));
                    kernels.pool_backward(&pool, values, pooled, gradient, out)
                })?;
            }
            Op::Loss { loss: kind, outputs, targets, gradient, wanted } => {
                let results = &mut results[step.slot as usize..][..outputs.rows];
                self.with(gradient, |own, gradient| {
                    let classes = kind.takes_classes(outputs.columns, targets.columns);
                    let (outputs, targets) = (own.slice(outputs), own.slice(targets));
                    let targets = match classes {
                        true => LossTargets::Classes(bytemuck::cast_slice(targets)),
                        false => LossTargets::Values(targets),
                    };
                    let gradient = wanted.then_some(gradient);
                    let slices = LossSlices { outputs, targets, gradient, results };
                    kernels.loss_of(kind, step.rows as usize, slices)
                })?;
            }
            Op::Squares { outputs, targets, out } => {
                let place = step.slot as usize / outputs.rows * out.columns;
                self.with(out, |own, sums| {
                    let (outputs, targets, columns) =
                        (own.slice(outputs), own.slice(targets), outputs.columns);
                    let sums = &mut sums[place..][..out.columns];
                    kernels.squares_of(outputs, targets, step.rows as usize, columns, sums)
                })?;
            }
            Op::Clip { bound } => {
                let scale = kernels.clip(&self.slots[GRADIENTS], bound)?;
                self.slots[SCALE][..2].copy_from_slice(&scale);
            }
            Op::Update { optimizer, clipped, view, rate } => {
                let scale = clipped.then(|| self.slots[SCALE][0]);
                let own = |place: usize, slot: Slot| {
                    // Where the optimizer has no such state, there is nothing of it.
                    let columns = if optimizer.moments() >= place { view.columns } else { 0 };
                    let first = if columns == 0 { 0 } else { view.first };
                    View { slot, first, columns, ..view }
                };
                self.with(view, |all, parameters| {
                    all.with(own(1, FIRST), |all, first| {
                        all.with(own(2, SECOND), |all, second| {
                            let gradients = all.slice(own(0, GRADIENTS));
                            let (first, second) = (Some(first), Some(second));
                            let slices =
                                UpdateSlices { gradients, parameters, first, second, scale };
                            kernels.update_of(&optimizer, step, rate as f32, slices)
                        })
                    })
                })?;
            }
        }
        Ok(())
    }
}

impl Execution for OnCpu {
    fn dispatches(&self, phase: Phase) -> usize {
        self.program.ops(phase).len()
    }

    fn fill(&mut self, view: View, stream: &Stream, distribution: &Distribution) -> Result<()> {
        self.with(view, |_, out| {
            fill(stream, distribution, Dtype::F32, 0, bytemuck::cast_slice_mut(out))
        })
    }

    fn write(&mut self, slot: Slot, first: usize, values: &[f32]) -> Result<()> {
        self.slots[slot][first..][..values.len()].copy_from_slice(values);
        Ok(())
    }

    fn read(&mut self, view: View) -> Result<Vec<f32>> {
        memory::copied("a buffer of the network's", self.slice(view))
    }

    fn carry(&mut self, ops: &[Op]) -> Result<()> {
        let step = Step::default();
        ops.iter().try_for_each(|op| self.carry_out(op, &[], &step, &mut []))
    }

    fn summary(&mut self, view: View) -> Result<Summary> {
        Ok(summary(self.slice(view)))
    }

    fn histogram(&mut self, view: View, low: f32, high: f32, bins: usize) -> Result<Histogram> {
        histogram(self.slice(view), low, high, bins)
    }

    fn run(
        &mut self,
        order: &[u32],
        steps: &[(Phase, Step)],
        keep: bool,
    ) -> Result<Vec<RowResult>> {
        if keep {
            // What was kept before makes room.
            self.kept.clear();
            for slot in [PARAMETERS, FIRST, SECOND] {
                let values = memory::copied("the parameters as they are", &self.slots[slot])?;
                self.kept.push((slot, values));
            }
        }
        let rows = steps.len() * self.program.batch;
        let mut results = memory::filled("the rows' losses", rows, [0.0; 2])?;
        for (phase, step) in steps {
            for index in 0..self.program.ops(*phase).len() {
                let op = self.program.ops(*phase)[index];
                self.carry_out(&op, order, step, &mut results)?;
            }
        }
        Ok(results)
    }

    fn restore(&mut self) -> Result<()> {
        for (slot, kept) in &self.kept {
            self.slots[*slot].copy_from_slice(kept);
        }
        Ok(())
    }
}
