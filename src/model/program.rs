use super::Mlp;
use super::wiring::{Memory, Wiring};
use crate::op::{FIRST, Loss, Op, Optimizer, PARAMETERS, Program, SECOND, SLICE, Slot, View};
use crate::{Result, Shape};

/// A named parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `layers.0.weight`.
    pub name: String,
    /// `[out, in]`, `[out]`.
    pub shape: Shape,
    /// The factor on the learning rate: 1 but for [muP](Mlp::mup).
    pub lr_multiplier: f64,
    /// Where it starts in the buffer of all parameters.
    pub(crate) first: usize,
}

impl Parameter {
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
    /// Each layer's `z`, the last being the network's output.
    pub layers: Vec<View>,
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
}

impl Training {
    pub fn new(mlp: &Mlp, aim: &Aim) -> Result<Training> {
        let outputs = mlp.widths()[mlp.layers()] as usize;
        let columns = aim.target_columns;
        let mut wiring = Wiring::new(mlp, aim.batch, aim.seed, columns, Memory::Whole)?;
        for (parameter, (layer, _)) in wiring.parameters.iter_mut().zip(mlp.by_layer()?) {
            let vector = parameter.shape.dims().len() == 1;
            parameter.lr_multiplier = mlp.lr_multiplier(layer, vector, &aim.optimizer)?;
        }
        let length = wiring.slots[PARAMETERS];
        for (slot, moment) in [(FIRST, 0), (SECOND, 1)] {
            if aim.optimizer.moments() > moment {
                wiring.slots[slot] = length;
            }
        }

        let squares = aim.loss.needs_squares(outputs).then(|| {
            let columns = outputs * aim.batch.div_ceil(SLICE);
            wiring.slots.push(aim.steps * columns);
            View { slot: wiring.slots.len() - 1, first: 0, rows: aim.steps, columns }
        });
        let (features, targets) = (wiring.input, wiring.targets);
        let forward = |training: bool| {
            let mut ops = vec![Op::Gather { features, targets }];
            (0..mlp.layers()).for_each(|layer| ops.extend(wiring.forward(layer, training)));
            let (outputs, gradient) = (wiring.outputs(), wiring.outputs_gradient);
            ops.push(Op::Loss { loss: aim.loss, outputs, targets, gradient, wanted: training });
            ops.extend(squares.map(|out| Op::Squares { outputs, targets, out }));
            ops
        };
        let mut train = forward(true);
        (0..mlp.layers()).rev().for_each(|layer| train.extend(wiring.backward(layer)));
        let backward = train.len();
        if let Some(bound) = aim.clip {
            train.push(Op::Clip { bound });
        }
        train.extend(updates(&wiring.parameters, length, aim));
        let evaluate = forward(false);
        // Without gathering and the loss.
        let predict = 1..evaluate.len() - 1 - usize::from(squares.is_some());
        Ok(Training {
            layers: (0..mlp.layers()).map(|layer| wiring.values(layer)).collect(),
            parameters: wiring.parameters,
            squares,
            program: Program {
                slots: wiring.slots,
                batch: aim.batch,
                train,
                backward,
                evaluate,
                predict,
            },
        })
    }

    /// The network's output.
    pub fn outputs(&self) -> View {
        self.layers[self.layers.len() - 1]
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
