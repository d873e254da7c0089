//! What a training step does, as a list of operations on numbered buffers: made from a network once,
//! and carried out by either engine.

use super::{Loss, Mlp, Optimizer};
use crate::product::{Dropout, Epilogue, Form, Nonlinearity};
use crate::random::Stream;
use crate::{Activation, Error, Result, Shape};

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

/// Parameters start at multiples of this many floats: any device binds at 256 bytes.
const ALIGNMENT: usize = 64;

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
    pub seed: u64,
}

/// The buffers of a hidden layer.
struct Hidden {
    /// `z`, its input, `h`, its output, and the gradients of both.
    values: View,
    input: View,
    output: View,
    values_gradient: View,
    output_gradient: View,
    norm: Option<(Norm, View)>,
    dropout: Option<Dropout>,
}

impl Program {
    pub fn new(mlp: &Mlp, aim: &Aim) -> Result<Program> {
        let (batch, layers) = (aim.batch, mlp.layers());
        let mut builder = Builder { slots: vec![0; 5], batch };
        let mut parameters = Vec::new();
        let mut length = 0usize;
        for (layer, tensor) in mlp.by_layer()? {
            let elements = tensor.shape.elements() as usize;
            let vector = tensor.shape.dims().len() == 1;
            parameters.push(Parameter {
                lr_multiplier: mlp.lr_multiplier(layer, vector, &aim.optimizer)?,
                name: tensor.name,
                shape: tensor.shape,
                first: length,
            });
            length += elements.next_multiple_of(ALIGNMENT);
        }
        if length > u32::MAX as usize {
            return Err(Error::invalid("network", format!("{length} parameters"), "below 2^32"));
        }
        builder.slots[..4].fill(length);
        for (slot, moment) in [(FIRST, 0), (SECOND, 1)] {
            if aim.optimizer.moments() <= moment {
                builder.slots[slot] = 0;
            }
        }
        builder.slots[SCALE] = ALIGNMENT;

        let widths: Vec<usize> = mlp.widths().iter().map(|&width| width as usize).collect();
        let target_columns = aim.loss.target_columns(widths[layers]);
        let input = builder.matrix(widths[0]);
        let targets = builder.matrix(target_columns);
        debug_assert_eq!((input.slot, targets.slot), (BATCH, TARGETS));

        let find = |layer: usize, part: &str, slot: Slot| {
            let name = format!("layers.{layer}.{part}");
            let found = parameters.iter().find(|parameter| parameter.name == name);
            found.map(|parameter| parameter.view(slot)).expect("a parameter of the recipe")
        };
        let mut values = Vec::new();
        let mut hidden: Vec<Hidden> = Vec::new();
        for layer in 0..layers {
            let width = widths[layer + 1];
            let z = builder.matrix(width);
            values.push(z);
            if layer + 1 == layers {
                break;
            }
            let dropout = (mlp.dropout_probability() > 0.0).then(|| Dropout {
                probability: mlp.dropout_probability(),
                stream: Stream::named(aim.seed, &format!("layers.{layer}.dropout")),
            });
            let norm = mlp.normalized(layer).then(|| {
                let norm = Norm {
                    scale: find(layer, "norm.weight", PARAMETERS),
                    shift: find(layer, "norm.bias", PARAMETERS),
                    normalized: builder.matrix(width),
                    inverse: builder.matrix(1),
                    activation: mlp.nonlinearity(),
                    dropout,
                };
                (norm, builder.matrix(width))
            });
            let input = hidden.last().map_or(input, |layer| layer.output);
            hidden.push(Hidden {
                values: z,
                input,
                output: builder.matrix(width),
                values_gradient: builder.matrix(width),
                output_gradient: builder.matrix(width),
                norm,
                dropout,
            });
        }
        let outputs = values[layers - 1];
        let outputs_gradient = builder.matrix(widths[layers]);
        let last_input = hidden.last().map_or(input, |layer| layer.output);

        let forward = |training: bool| {
            let mut ops = vec![Op::Gather { features: input, targets }];
            for layer in 0..layers {
                let bias = Some(find(layer, "bias", PARAMETERS));
                let b = find(layer, "weight", PARAMETERS);
                let Some(own) = hidden.get(layer) else {
                    let epilogue = Epilogue { bias, ..Epilogue::default() };
                    ops.push(Op::Product {
                        form: Form::Nt,
                        a: last_input,
                        b,
                        out: outputs,
                        epilogue,
                    });
                    break;
                };
                let after = mlp.skips(layer).then_some(own.input);
                let (a, out) = (own.input, own.output);
                match &own.norm {
                    None => {
                        let epilogue = Epilogue {
                            bias,
                            raw: Some(own.values),
                            nonlinearity: Nonlinearity::Value(mlp.nonlinearity()),
                            dropout: own.dropout.filter(|_| training),
                            after,
                            ..Epilogue::default()
                        };
                        ops.push(Op::Product { form: Form::Nt, a, b, out, epilogue });
                    }
                    Some((norm, _)) => {
                        let epilogue = Epilogue { bias, ..Epilogue::default() };
                        ops.push(Op::Product { form: Form::Nt, a, b, out: own.values, epilogue });
                        let norm = Norm { dropout: own.dropout.filter(|_| training), ..*norm };
                        ops.push(Op::NormForward { norm, values: own.values, after, out });
                    }
                }
            }
            let gradient = outputs_gradient;
            ops.push(Op::Loss { loss: aim.loss, outputs, targets, gradient, wanted: training });
            ops
        };

        let mut train = forward(true);
        for layer in (0..layers).rev() {
            // The gradient of z, from which all of the layer's others come.
            let own = hidden.get(layer);
            let gradient = own.map_or(outputs_gradient, |own| own.values_gradient);
            if let Some(Hidden { norm: Some((norm, inner)), output_gradient, .. }) = own {
                train.push(Op::NormBackward {
                    norm: *norm,
                    gradient: *output_gradient,
                    inner: *inner,
                    out: gradient,
                });
                let (values, weights) = (*inner, Some(norm.normalized));
                train.push(Op::Columns {
                    values,
                    weights,
                    out: find(layer, "norm.weight", GRADIENTS),
                });
                let out = find(layer, "norm.bias", GRADIENTS);
                train.push(Op::Columns { values, weights: None, out });
            }
            let a = own.map_or(last_input, |own| own.input);
            train.push(Op::Product {
                form: Form::Tn,
                a: gradient,
                b: a,
                out: find(layer, "weight", GRADIENTS),
                epilogue: Epilogue::default(),
            });
            let out = find(layer, "bias", GRADIENTS);
            train.push(Op::Columns { values: gradient, weights: None, out });
            let Some(below) = layer.checked_sub(1).and_then(|below| hidden.get(below)) else {
                continue;
            };
            // Around this layer too, where its input was added to its output.
            let before = own.filter(|_| mlp.skips(layer)).map(|own| own.output_gradient);
            let (out, epilogue) = match &below.norm {
                Some(_) => (below.output_gradient, Epilogue { before, ..Epilogue::default() }),
                None => {
                    let epilogue = Epilogue {
                        before,
                        raw: mlp.skips(layer - 1).then_some(below.output_gradient),
                        nonlinearity: Nonlinearity::Derivative(mlp.nonlinearity(), below.values),
                        dropout: below.dropout,
                        ..Epilogue::default()
                    };
                    (below.values_gradient, epilogue)
                }
            };
            let b = find(layer, "weight", PARAMETERS);
            train.push(Op::Product { form: Form::Nn, a: gradient, b, out, epilogue });
        }
        let backward = train.len();
        if let Some(bound) = aim.clip {
            train.push(Op::Clip { bound });
        }
        train.extend(updates(&parameters, length, aim));
        let evaluate = forward(false);
        Ok(Program {
            slots: builder.slots,
            parameters,
            layers: values,
            batch,
            train,
            backward,
            evaluate,
        })
    }

    pub fn ops(&self, phase: Phase) -> &[Op] {
        match phase {
            Phase::Train => &self.train,
            Phase::Backward => &self.train[..self.backward],
            Phase::Evaluate => &self.evaluate,
            Phase::Predict => &self.evaluate[1..self.evaluate.len() - 1],
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

struct Builder {
    slots: Vec<usize>,
    batch: usize,
}

impl Builder {
    /// A buffer of its own for a matrix with a row for each of the batch.
    fn matrix(&mut self, columns: usize) -> View {
        self.slots.push(self.batch * columns);
        View { slot: self.slots.len() - 1, first: 0, rows: self.batch, columns }
    }
}
