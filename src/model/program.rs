//! What a training step does, as a list of operations on numbered buffers: made from a network once,
//! and carried out by either engine.

use super::wiring::{Memory, Wiring};
use super::{Loss, Mlp, Optimizer, SLICE};
use crate::product::{Dropout, Epilogue, Extreme, Form};
use crate::{Activation, Result, Shape};

/// The index of a buffer of f32s.
pub(crate) type Slot = usize;

/// All parameters, one after the other.
pub(crate) const PARAMETERS: Slot = 0;
/// Their gradients, laid out alike.
pub(crate) const GRADIENTS: Slot = 1;
/// The optimizer's state, laid out alike: the velocity or the mean of gradients.
pub(crate) const FIRST: Slot = 2;
/// The mean of their squares.
pub(crate) const SECOND: Slot = 3;
/// The factor of clipping, and the norm.
pub(crate) const SCALE: Slot = 4;
/// The batch: features, and targets (class indices as bits).
pub(crate) const BATCH: Slot = 5;
pub(crate) const TARGETS: Slot = 6;

/// A matrix in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub slot: Slot,
    /// The first element.
    pub first: usize,
    pub rows: usize,
    pub columns: usize,
}

impl View {
    pub fn elements(&self) -> usize {
        self.rows * self.columns
    }
}

/// Layer norm with what follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    pub scale: View,
    pub shift: View,
    /// The rows with mean 0 and variance 1.
    pub normalized: View,
    /// 1 / their standard deviations.
    pub inverse: View,
    pub activation: Activation,
    pub dropout: Option<Dropout>,
}

/// The epsilon of layer norm: PyTorch's.
pub(crate) const NORM_EPSILON: f32 = 1e-5;

/// What follows a product.
pub(crate) type Parts = Epilogue<View>;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// The step's rows of the resident examples into `BATCH` and `TARGETS`.
    Gather {
        features: View,
        targets: View,
    },
    Product {
        form: Form,
        a: View,
        b: View,
        out: View,
        epilogue: Parts,
    },
    /// Sums over rows, weighted where there is a second matrix.
    Columns {
        values: View,
        weights: Option<View>,
        out: View,
    },
    /// The least or the greatest of each column.
    Extremes {
        values: View,
        extreme: Extreme,
        out: View,
    },
    NormForward {
        norm: Norm,
        values: View,
        after: Option<View>,
        out: View,
    },
    /// `gradient` of what came out to that of `y` (`inner`) and of the rows (`out`).
    NormBackward {
        norm: Norm,
        gradient: View,
        inner: View,
        out: View,
    },
    /// Each row's loss into the results, and its gradient where one is wanted.
    Loss {
        loss: Loss,
        outputs: View,
        targets: View,
        gradient: View,
        wanted: bool,
    },
    /// Each column's squared errors, over every `SLICE` rows of the step: after those of the steps
    /// before it in the submission.
    Squares {
        outputs: View,
        targets: View,
        out: View,
    },
    Clip {
        bound: f64,
    },
    /// `view` of the parameters, and what belongs to them, at `rate` times the learning rate.
    Update {
        optimizer: Optimizer,
        clipped: bool,
        view: View,
        rate: f64,
    },
}

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

/// The runs of operations that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Forward, loss, backward, update.
    Train,
    /// The same without the update.
    Backward,
    /// Forward without dropout, and the loss.
    Evaluate,
    /// Forward without dropout, of what stands in `BATCH`.
    Predict,
}

pub(crate) struct Program {
    /// Floats in each buffer.
    pub slots: Vec<usize>,
    pub parameters: Vec<Parameter>,
    /// Each layer's `z`, the last being the network's output.
    pub layers: Vec<View>,
    pub batch: usize,
    /// The sums of [`Op::Squares`], a row a step; none where the loss itself says as much.
    pub squares: Option<View>,
    train: Vec<Op>,
    /// How many of them come before the update.
    backward: usize,
    evaluate: Vec<Op>,
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

impl Program {
    pub fn new(mlp: &Mlp, aim: &Aim) -> Result<Program> {
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

        let several = aim.loss == Loss::MeanSquaredError && outputs > 1;
        let squares = several.then(|| {
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
        Ok(Program {
            layers: (0..mlp.layers()).map(|layer| wiring.values(layer)).collect(),
            slots: wiring.slots,
            parameters: wiring.parameters,
            batch: aim.batch,
            squares,
            train,
            backward,
            evaluate,
        })
    }

    /// Buffers of these sizes, for whoever carries operations out one by one, and those of
    /// [`Phase::Train`].
    pub fn bare(slots: Vec<usize>, batch: usize, train: Vec<Op>) -> Program {
        Program {
            slots,
            parameters: Vec::new(),
            layers: Vec::new(),
            batch,
            squares: None,
            train,
            backward: 0,
            evaluate: Vec::new(),
        }
    }

    pub fn ops(&self, phase: Phase) -> &[Op] {
        match phase {
            Phase::Train => &self.train,
            Phase::Backward => &self.train[..self.backward],
            Phase::Evaluate => &self.evaluate,
            // Without gathering and the loss; a bare program has neither.
            Phase::Predict => match self.squares {
                None => inner(&self.evaluate, 1),
                Some(_) => inner(&self.evaluate, 2),
            },
        }
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

/// Operations without the first one and the `last` ones.
fn inner(ops: &[Op], last: usize) -> &[Op] {
    ops.get(1..ops.len().saturating_sub(last)).unwrap_or_default()
}
