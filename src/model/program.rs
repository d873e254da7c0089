use super::network::{Network, Placed};
use super::tape::{Memory, Stage};
use crate::op::{
    Arithmetic, BATCH, FIRST, Loss, Op, Optimizer, PARAMETERS, Program, SECOND, SLICE, Slot,
    TARGETS, View,
};
use crate::{Result, Shape};

/// A named parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `layers.0.weight`.
    pub name: String,
    /// `[out, in]`, `[out]`.
    pub shape: Shape,
    /// The factor on the learning rate: 1 but for [muP](Network::mup).
    pub lr_multiplier: f64,
    /// Where it starts in the buffer of all parameters.
    pub(crate) first: usize,
}

impl Parameter {
    /// How many inputs each output of a weight sums.
    pub(super) fn inputs(&self) -> usize {
        (self.shape.elements() / self.shape.dims()[0]) as usize
    }

    pub(crate) fn view(&self, slot: Slot) -> View {
        let dims = self.shape.dims();
        let columns = *dims.last().unwrap_or(&1) as usize;
        let rows = self.shape.elements() as usize / columns;
        View { slot, first: self.first, rows, columns }
    }
}

/// A network's program, and where in its buffers things are.
pub(crate) struct Training {
    pub program: Program,
    pub parameters: Vec<Parameter>,
    /// What the parameters are drawn from, in their order.
    pub tensors: Vec<Placed>,
    pub stages: Vec<Stage>,
    pub outputs: View,
    /// The sums of [`Op::Squares`], a row a step; none where the loss itself says as much.
    pub squares: Option<View>,
}

/// What a program is made for.
pub(crate) struct Aim {
    pub loss: Loss,
    pub optimizer: Optimizer,
    pub clip: Option<f64>,
    pub batch: usize,
    /// Target values a row.
    pub target_columns: usize,
    /// Steps a submission, at most.
    pub steps: usize,
    pub seed: u64,
    pub arithmetic: Arithmetic,
}

impl Training {
    pub fn new(network: &Network, aim: &Aim) -> Result<Training> {
        let outputs = network.output()?.elements() as usize;
        let (tape, last) = network.wire(aim.batch, aim.seed, aim.target_columns, Memory::Whole)?;
        let columns = aim.target_columns;
        let targets = View { slot: TARGETS, first: 0, rows: aim.batch, columns };
        let loss = |outputs: View, gradient: View, wanted: bool| Op::Loss {
            loss: aim.loss,
            outputs,
            targets,
            gradient,
            wanted,
        };
        let mut wired = tape.finish(last, |outputs, gradient| vec![loss(outputs, gradient, true)]);
        let tensors = network.tensors()?;
        for (parameter, placed) in wired.parameters.iter_mut().zip(&tensors) {
            parameter.lr_multiplier = Network::lr_multiplier(placed.mup, &aim.optimizer);
        }
        let length = wired.slots[PARAMETERS];
        for (slot, moment) in [(FIRST, 0), (SECOND, 1)] {
            if aim.optimizer.moments() > moment {
                wired.slots[slot] = length;
            }
        }

        let squares = aim.loss.needs_squares(outputs).then(|| {
            let columns = outputs * aim.batch.div_ceil(SLICE);
            wired.slots.push(aim.steps * columns);
            View { slot: wired.slots.len() - 1, first: 0, rows: aim.steps, columns }
        });
        let columns = network.input().elements() as usize;
        let features = View { slot: BATCH, first: 0, rows: aim.batch, columns };
        let (outputs, gradient) = (wired.outputs, wired.outputs_gradient);
        let gather = Op::Gather { features, targets };
        let squared = squares.map(|out| Op::Squares { outputs, targets, out });
        let forward: Vec<Op> = wired.forward.into_iter().flatten().collect();

        let mut evaluate = vec![gather];
        evaluate.extend(forward.iter().map(|op| op.without_dropout()));
        let predict = 1..evaluate.len();
        evaluate.push(loss(outputs, gradient, false));
        evaluate.extend(squared);

        let mut train = vec![gather];
        train.extend(forward);
        train.extend(wired.between);
        train.extend(squared);
        train.extend(wired.backward.into_iter().rev().flatten());
        let backward = train.len();
        if let Some(bound) = aim.clip {
            train.push(Op::Clip { bound });
        }
        train.extend(updates(&wired.parameters, length, aim));
        train.iter().try_for_each(|op| aim.arithmetic.check(op.activation()))?;
        let slots = wired.slots;
        Ok(Training {
            program: Program {
                slots,
                batch: aim.batch,
                arithmetic: aim.arithmetic,
                train,
                backward,
                evaluate,
                predict,
            },
            parameters: wired.parameters,
            tensors,
            stages: wired.stages,
            outputs,
            squares,
        })
    }
}

/// An update for each run of parameters with one factor on the learning rate. The weight decay is
/// divided by it, so that what decays in a step does not depend on it.
fn updates(parameters: &[Parameter], length: usize, aim: &Aim) -> Vec<Op> {
    let mut runs = parameters.to_vec();
    runs.dedup_by(|next, run| next.lr_multiplier == run.lr_multiplier);
    let ends = runs.iter().skip(1).map(|run| run.first).chain([length]).collect::<Vec<_>>();
    let update = |(run, end): (&Parameter, usize)| {
        let rate = run.lr_multiplier;
        let decay = aim.optimizer.weight_decay() / rate;
        let view = View { slot: PARAMETERS, first: run.first, rows: 1, columns: end - run.first };
        let optimizer = aim.optimizer.with_weight_decay(decay);
        Op::Update { optimizer, clipped: aim.clip.is_some(), view, rate }
    };
    runs.iter().zip(ends).map(update).collect()
}
