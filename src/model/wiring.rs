use super::Mlp;
use super::Parameter;
use crate::op::{
    BATCH, Dropout, Epilogue, Form, GRADIENTS, Nonlinearity, Norm, Op, PARAMETERS, SCALE, TARGETS,
    View,
};
use crate::random::Stream;
use crate::{Error, Result};

/// Parameters start at multiples of this many floats: any device binds at 256 bytes.
const ALIGNMENT: usize = 64;

/// How much of a network is in memory at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// All of it: a step is one run of operations.
    Whole,
    /// All signals, but the parameters, their gradients and the gradients of signals of one layer
    /// at a time, each layer's in the place of the last one's: whoever runs it draws a layer's
    /// parameters again when its turn comes, and takes what it wants of the gradients before they
    /// are gone. Every layer's `output_gradient` is written.
    Layerwise,
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

/// A network's buffers, and the operations of each of its layers on them.
pub(crate) struct Wiring {
    /// Floats in each buffer.
    pub slots: Vec<usize>,
    pub parameters: Vec<Parameter>,
    pub input: View,
    pub targets: View,
    pub outputs_gradient: View,
    mlp: Mlp,
    memory: Memory,
    outputs: View,
    hidden: Vec<Hidden>,
}

impl Wiring {
    /// For batches of so many rows; the seed is dropout's.
    pub fn new(
        mlp: &Mlp,
        batch: usize,
        seed: u64,
        target_columns: usize,
        memory: Memory,
    ) -> Result<Wiring> {
        let mut parameters = Vec::new();
        let (mut first, mut length, mut current) = (0usize, 0usize, 0);
        for (layer, tensor) in mlp.by_layer()? {
            if memory == Memory::Layerwise && layer != current {
                (first, current) = (0, layer);
            }
            let elements = tensor.shape.elements() as usize;
            let (name, shape) = (tensor.name, tensor.shape);
            parameters.push(Parameter { name, shape, lr_multiplier: 1.0, first });
            first += elements.next_multiple_of(ALIGNMENT);
            length = length.max(first);
        }
        if length > u32::MAX as usize {
            return Err(Error::invalid("network", format!("{length} parameters"), "below 2^32"));
        }
        let mut slots = vec![0; 5];
        slots[PARAMETERS] = length;
        slots[GRADIENTS] = length;
        slots[SCALE] = ALIGNMENT;

        let layers = mlp.layers();
        let widths: Vec<usize> = mlp.widths().iter().map(|&width| width as usize).collect();
        let mut builder = Builder { slots, batch };
        let input = builder.matrix(widths[0]);
        let targets = builder.matrix(target_columns);
        debug_assert_eq!((input.slot, targets.slot), (BATCH, TARGETS));

        // Gradients of one layer at a time: the layer above is still read while they are written.
        let widest = widths.iter().copied().max().unwrap_or(0);
        let shared: Vec<View> = match memory {
            Memory::Whole => Vec::new(),
            Memory::Layerwise => (0..5).map(|_| builder.matrix(widest)).collect(),
        };
        let mut hidden: Vec<Hidden> = Vec::new();
        for layer in 0..layers - 1 {
            let width = widths[layer + 1];
            let mut gradient = |place: usize| match shared.get(place) {
                Some(view) => View { columns: width, ..*view },
                None => builder.matrix(width),
            };
            let parity = layer % 2;
            let (values_gradient, output_gradient) = (gradient(parity), gradient(2 + parity));
            let inner = mlp.normalized(layer).then(|| gradient(4));
            let dropout = (mlp.dropout_probability() > 0.0).then(|| Dropout {
                probability: mlp.dropout_probability(),
                stream: Stream::named(seed, &format!("layers.{layer}.dropout")),
            });
            let norm = inner.map(|inner| {
                let norm = Norm {
                    scale: find(&parameters, layer, "norm.weight").view(PARAMETERS),
                    shift: find(&parameters, layer, "norm.bias").view(PARAMETERS),
                    normalized: builder.matrix(width),
                    inverse: builder.matrix(1),
                    activation: mlp.nonlinearity(),
                    dropout,
                };
                (norm, inner)
            });
            let values = builder.matrix(width);
            let input = hidden.last().map_or(input, |layer| layer.output);
            let output = builder.matrix(width);
            hidden.push(Hidden {
                values,
                input,
                output,
                values_gradient,
                output_gradient,
                norm,
                dropout,
            });
        }
        let outputs = builder.matrix(widths[layers]);
        let outputs_gradient = builder.matrix(widths[layers]);
        Ok(Wiring {
            slots: builder.slots,
            parameters,
            input,
            targets,
            outputs_gradient,
            mlp: mlp.clone(),
            memory,
            outputs,
            hidden,
        })
    }

    /// The network's output.
    pub fn outputs(&self) -> View {
        self.outputs
    }

    /// A layer's `z`.
    pub fn values(&self, layer: usize) -> View {
        self.hidden.get(layer).map_or(self.outputs, |own| own.values)
    }

    /// A layer's `h`.
    pub fn output(&self, layer: usize) -> View {
        self.hidden.get(layer).map_or(self.outputs, |own| own.output)
    }

    /// What enters a layer's nonlinearity: its `z`, normalized where there is a norm (whose scale and
    /// shift are 1 and 0 at first).
    pub fn entering(&self, layer: usize) -> View {
        let norm = self.hidden.get(layer).and_then(|own| own.norm.as_ref());
        norm.map_or(self.values(layer), |(norm, _)| norm.normalized)
    }

    /// The gradient of a layer's `h`: written for all layers in [`Memory::Layerwise`], else where
    /// another operation needs it.
    pub fn output_gradient(&self, layer: usize) -> View {
        self.hidden.get(layer).map_or(self.outputs_gradient, |own| own.output_gradient)
    }

    /// One of a layer's parameters, or (in `GRADIENTS`) its gradient.
    pub fn parameter(&self, layer: usize, part: &str, slot: usize) -> View {
        find(&self.parameters, layer, part).view(slot)
    }

    fn layer_input(&self, layer: usize) -> View {
        let below = layer.checked_sub(1).and_then(|below| self.hidden.get(below));
        below.map_or(self.input, |below| below.output)
    }

    /// From the layer's input to its output, with dropout where it is for training.
    pub fn forward(&self, layer: usize, training: bool) -> Vec<Op> {
        let form = Form::Nt;
        let bias = Some(self.parameter(layer, "bias", PARAMETERS));
        let b = self.parameter(layer, "weight", PARAMETERS);
        let a = self.layer_input(layer);
        let plain = Epilogue { bias, ..Epilogue::default() };
        let Some(own) = self.hidden.get(layer) else {
            return vec![Op::Product { form, a, b, out: self.outputs, epilogue: plain }];
        };
        let after = self.mlp.skips(layer).then_some(own.input);
        let dropout = own.dropout.filter(|_| training);
        let out = own.output;
        match &own.norm {
            None => {
                let epilogue = Epilogue {
                    raw: Some(own.values),
                    nonlinearity: Nonlinearity::Value(self.mlp.nonlinearity()),
                    dropout,
                    after,
                    ..plain
                };
                vec![Op::Product { form, a, b, out, epilogue }]
            }
            Some((norm, _)) => {
                let norm = Norm { dropout, ..*norm };
                vec![
                    Op::Product { form, a, b, out: own.values, epilogue: plain },
                    Op::NormForward { norm, values: own.values, after, out },
                ]
            }
        }
    }

    /// From the gradient of the layer's output to those of its parameters, and to the gradient of
    /// the output of the layer below.
    pub fn backward(&self, layer: usize) -> Vec<Op> {
        let mut ops = Vec::new();
        // The gradient of z, from which all of the layer's others come.
        let own = self.hidden.get(layer);
        let gradient = own.map_or(self.outputs_gradient, |own| own.values_gradient);
        if let Some(Hidden { norm: Some((norm, inner)), output_gradient, .. }) = own {
            ops.push(Op::NormBackward {
                norm: *norm,
                gradient: *output_gradient,
                inner: *inner,
                out: gradient,
            });
            let (values, weights) = (*inner, Some(norm.normalized));
            let out = self.parameter(layer, "norm.weight", GRADIENTS);
            ops.push(Op::Columns { values, weights, out });
            let out = self.parameter(layer, "norm.bias", GRADIENTS);
            ops.push(Op::Columns { values, weights: None, out });
        }
        let bias = self.parameter(layer, "bias", GRADIENTS);
        ops.push(Op::Product {
            form: Form::Tn,
            a: gradient,
            b: self.layer_input(layer),
            out: self.parameter(layer, "weight", GRADIENTS),
            epilogue: Epilogue { row_sums: Some(bias), ..Epilogue::default() },
        });
        let Some(below) = layer.checked_sub(1).and_then(|below| self.hidden.get(below)) else {
            return ops;
        };
        // Around this layer too, where its input was added to its output.
        let before = own.filter(|_| self.mlp.skips(layer)).map(|own| own.output_gradient);
        let wanted = self.memory == Memory::Layerwise || self.mlp.skips(layer - 1);
        let (out, epilogue) = match &below.norm {
            Some(_) => (below.output_gradient, Epilogue { before, ..Epilogue::default() }),
            None => {
                let epilogue = Epilogue {
                    before,
                    raw: wanted.then_some(below.output_gradient),
                    nonlinearity: Nonlinearity::Derivative(self.mlp.nonlinearity(), below.values),
                    dropout: below.dropout,
                    ..Epilogue::default()
                };
                (below.values_gradient, epilogue)
            }
        };
        let b = self.parameter(layer, "weight", PARAMETERS);
        ops.push(Op::Product { form: Form::Nn, a: gradient, b, out, epilogue });
        ops
    }
}

fn find<'a>(parameters: &'a [Parameter], layer: usize, part: &str) -> &'a Parameter {
    let name = format!("layers.{layer}.{part}");
    let found = parameters.iter().find(|parameter| parameter.name == name);
    found.expect("a parameter of the recipe")
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
