//! What devices compute, as data: operations on numbered buffers, and the programs that they make.
//!
//! Nothing here computes: [`cpu`](crate::cpu) and [`gpu`](crate::gpu) have the kernels, and
//! [`device`](crate::device) carries programs out with either.

pub mod arithmetic;
mod conv;
mod fuse;
mod loss;
mod moments;
mod optimizer;
mod pool;
mod product;
mod step;
mod summary;
mod window;

pub use arithmetic::{ARITHMETIC, Arithmetic, Operands};
pub(crate) use arithmetic::{FOLDS, LANES, RUN, STRETCH, kept};
pub use conv::Conv2d;
pub(crate) use fuse::{fused, placed};
pub use loss::{Loss, Target};
pub(crate) use loss::{SLICE, variance};
pub use moments::Moments;
pub use optimizer::{Adam, Optimizer, RmsProp};
pub use pool::{Pool2d, Pooling};
pub(crate) use product::Strides;
pub use product::{Dropout, Epilogue, Extreme, Form, Nonlinearity};
pub(crate) use step::{Resident, RowResult, Step};
pub use summary::{Histogram, Summary};
pub(crate) use summary::{Part, edges};
pub(crate) use window::Axis;

use Access::{Read, Write};

use crate::Activation;

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

    /// The same elements, as a matrix of so many columns.
    pub fn of_columns(self, columns: usize) -> View {
        View { rows: self.elements() / columns, columns, ..self }
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
    /// Elements as they are, and what follows them.
    Map {
        values: View,
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
    /// A convolution's windows as rows.
    Unfold {
        conv: Conv2d,
        values: View,
        out: View,
    },
    /// The sums of what stands wherever [`Op::Unfold`] puts an element.
    Fold {
        conv: Conv2d,
        values: View,
        out: View,
    },
    /// A convolution without unfolding.
    Conv {
        conv: Conv2d,
        values: View,
        weight: View,
        bias: Option<View>,
        out: View,
    },
    /// `gradient` of what came out to that of the input.
    ConvInput {
        conv: Conv2d,
        gradient: View,
        weight: View,
        out: View,
    },
    /// `gradient` of what came out to that of the weight.
    ConvWeight {
        conv: Conv2d,
        values: View,
        gradient: View,
        out: View,
    },
    Pool {
        pool: Pool2d,
        values: View,
        out: View,
    },
    /// `gradient` of what came out (`pooled`) to that of the input.
    PoolBackward {
        pool: Pool2d,
        values: View,
        pooled: View,
        gradient: View,
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

/// What an operation does with a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Shows a matrix that is not always there.
fn each<'a>(
    views: impl IntoIterator<Item = &'a mut Option<View>>,
    access: Access,
    see: &mut dyn FnMut(&mut View, Access),
) {
    views.into_iter().flatten().for_each(|view| see(view, access));
}

fn each_of(parts: &mut Parts, see: &mut dyn FnMut(&mut View, Access)) {
    each([&mut parts.bias, &mut parts.before, &mut parts.after], Read, see);
    if let Nonlinearity::Derivative(_, z) = &mut parts.nonlinearity {
        see(z, Read);
    }
    each([&mut parts.raw, &mut parts.row_sums], Write, see);
}

impl Op {
    /// Every matrix that it reads or writes but those of the optimizer, which are known by their
    /// slots.
    pub fn each(&mut self, see: &mut dyn FnMut(&mut View, Access)) {
        match self {
            Op::Gather { features, targets } => {
                see(features, Write);
                see(targets, Write);
            }
            Op::Product { a, b, out, epilogue, .. } => {
                see(a, Read);
                see(b, Read);
                see(out, Write);
                each_of(epilogue, see);
            }
            Op::Map { values, out, epilogue } => {
                see(values, Read);
                see(out, Write);
                each_of(epilogue, see);
            }
            Op::Columns { values, weights, out } => {
                see(values, Read);
                each([weights], Read, see);
                see(out, Write);
            }
            Op::Extremes { values, out, .. } => {
                see(values, Read);
                see(out, Write);
            }
            Op::NormForward { norm, values, after, out } => {
                see(&mut norm.scale, Read);
                see(&mut norm.shift, Read);
                see(values, Read);
                each([after], Read, see);
                see(&mut norm.normalized, Write);
                see(&mut norm.inverse, Write);
                see(out, Write);
            }
            Op::NormBackward { norm, gradient, inner, out } => {
                see(&mut norm.scale, Read);
                see(&mut norm.shift, Read);
                see(&mut norm.normalized, Read);
                see(&mut norm.inverse, Read);
                see(gradient, Read);
                see(inner, Write);
                see(out, Write);
            }
            Op::Unfold { values, out, .. }
            | Op::Fold { values, out, .. }
            | Op::Pool { values, out, .. } => {
                see(values, Read);
                see(out, Write);
            }
            Op::Conv { values, weight, bias, out, .. } => {
                see(values, Read);
                see(weight, Read);
                each([bias], Read, see);
                see(out, Write);
            }
            Op::ConvInput { gradient, weight: other, out, .. }
            | Op::ConvWeight { gradient, values: other, out, .. } => {
                see(gradient, Read);
                see(other, Read);
                see(out, Write);
            }
            Op::PoolBackward { values, pooled, gradient, out, .. } => {
                see(values, Read);
                see(pooled, Read);
                see(gradient, Read);
                see(out, Write);
            }
            Op::Loss { outputs, targets, gradient, .. } => {
                see(outputs, Read);
                see(targets, Read);
                see(gradient, Write);
            }
            Op::Squares { outputs, targets, out } => {
                see(outputs, Read);
                see(targets, Read);
                see(out, Write);
            }
            Op::Clip { .. } | Op::Update { .. } => {}
        }
    }

    /// The nonlinearity that it applies, or whose slope it takes.
    pub fn activation(&self) -> Activation {
        match self {
            Op::Product { epilogue, .. } | Op::Map { epilogue, .. } => {
                epilogue.nonlinearity.activation()
            }
            Op::NormForward { norm, .. } | Op::NormBackward { norm, .. } => norm.activation,
            _ => Activation::Identity,
        }
    }

    /// The same as it is where nothing is dropped: outside of training.
    pub fn without_dropout(mut self) -> Op {
        match &mut self {
            Op::Product { epilogue, .. } | Op::Map { epilogue, .. } => epilogue.dropout = None,
            Op::NormForward { norm, .. } | Op::NormBackward { norm, .. } => norm.dropout = None,
            _ => {}
        }
        self
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

/// A list of operations for each phase, and the buffers that they work on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// Floats in each buffer.
    pub slots: Vec<usize>,
    /// Rows a step.
    pub batch: usize,
    /// What the results are rounded by.
    pub arithmetic: Arithmetic,
    /// What [`Phase::Train`] does.
    pub train: Vec<Op>,
    /// How many of its operations come before the update.
    pub backward: usize,
    pub evaluate: Vec<Op>,
    /// Those of `evaluate` that read the batch's features alone.
    pub predict: std::ops::Range<usize>,
}

impl Program {
    /// Buffers of these sizes, for whoever carries operations out one by one, and those of
    /// [`Phase::Train`].
    pub fn bare(slots: Vec<usize>, batch: usize, train: Vec<Op>) -> Program {
        Program { slots, batch, train, ..Program::default() }
    }

    pub fn ops(&self, phase: Phase) -> &[Op] {
        match phase {
            Phase::Train => &self.train,
            Phase::Backward => &self.train[..self.backward],
            Phase::Evaluate => &self.evaluate,
            Phase::Predict => &self.evaluate[self.predict.clone()],
        }
    }
}
