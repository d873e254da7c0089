//! The layers of networks, a file each.
//!
//! A layer says what shape it makes of which, which parameters it has, what it does forward and what on
//! the way back, and what the theory of signals has to say of it. It knows no other layer: that a
//! product, a nonlinearity, a mask and a sum become one operation is found in what was recorded.

mod activation;
mod conv;
mod dense;
mod dropout;
mod flatten;
mod norm;
mod parse;
mod pool;
mod residual;

use std::fmt;
use std::sync::Arc;

pub use activation::ActivationLayer;
pub use conv::Conv;
pub use dense::Dense;
pub use dropout::DropoutLayer;
pub use flatten::Flatten;
pub use norm::LayerNorm;
pub use parse::{Arguments, Entry};
pub use pool::Pool;
pub use residual::Residual;

use super::tape::{Signal, Tape};
use crate::init::{FanMode, Geometry, Init};
use crate::{Activation, Error, Result, Shape};

/// A parameter of a layer.
#[derive(Clone, Debug)]
pub struct ParameterSpec {
    /// `weight`, `bias`: behind the layer's own name it is the tensor's.
    pub name: &'static str,
    /// The dimensions.
    pub shape: Shape,
    /// How fans are counted.
    pub geometry: Geometry,
    /// What it is drawn from, where the network says nothing else.
    pub init: Init,
    /// What it is for.
    pub kind: ParameterKind,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// The weights of sums, of two dimensions at least, drawn as the network's weights are. They begin a
    /// stage: `layers.0`, `layers.1`, ...
    Weight,
    /// What is added to sums, drawn as the network's biases are.
    Bias,
    /// Factors, as a norm's, drawn as the layer says.
    Scale,
    /// What is added beside them, drawn as the layer says.
    Shift,
}

impl ParameterSpec {
    pub(super) fn is_weight(&self) -> bool {
        self.kind == ParameterKind::Weight
    }
}

/// Whether a layer begins a stage where it is given rows of this shape: whether it has weights.
///
/// # Errors
/// As [`Layer::parameters`].
pub(super) fn weighs(layer: &dyn Layer, input: &Shape) -> Result<bool> {
    Ok(layer.parameters(input)?.iter().any(ParameterSpec::is_weight))
}

/// What the theory of signal propagation has to say of a layer at initialization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Theory {
    /// `z = W h + b`: every output sums all inputs.
    Sum,
    /// Rows are brought to mean 0 and variance 1.
    Norm,
    /// `h = f(z)`, element by element.
    Nonlinearity(Activation),
    /// Elements stay as they are, but for a share that falls in training.
    Dropout(f64),
    /// Elements stay as they are, whatever the initializers.
    Same,
    /// What goes in is added to what comes out of the layers within.
    Residual,
    /// Nothing.
    Unknown,
}

/// A layer of a network.
pub trait Layer: fmt::Debug + fmt::Display + Send + Sync {
    /// What it makes of rows of this shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot.
    fn output(&self, input: &Shape) -> Result<Shape>;

    /// Its parameters, for rows of this shape.
    ///
    /// # Errors
    /// As [`Layer::output`].
    fn parameters(&self, input: &Shape) -> Result<Vec<ParameterSpec>>;

    /// Records what it does with a signal, and leaves what is to be done on the way back.
    ///
    /// # Errors
    /// As [`Layer::output`].
    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal>;

    /// What the theory has to say of it.
    fn theory(&self) -> Theory {
        Theory::Unknown
    }

    /// Multiply-adds a row, forward.
    fn multiply_adds(&self, _input: &Shape) -> f64 {
        0.0
    }

    /// The layers within it.
    fn within(&self) -> &[Named] {
        &[]
    }
}

/// The layers that [`Network::parse`](super::Network::parse) reads, beside nonlinearities and
/// `residual(...)`.
pub const ENTRIES: &[&Entry] = &[
    &dense::ENTRY,
    &conv::ENTRY,
    &pool::MAX,
    &pool::AVERAGE,
    &norm::ENTRY,
    &dropout::ENTRY,
    &flatten::ENTRY,
];

/// A layer with its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// What its parameters' names begin with: `layers.0`.
    pub name: String,
    /// What it is.
    pub layer: Arc<dyn Layer>,
}

impl Named {
    /// A layer by this name.
    pub fn new(name: impl Into<String>, layer: impl Layer + 'static) -> Named {
        Named { name: name.into(), layer: Arc::new(layer) }
    }

    /// Records the layer with its parameters.
    pub(super) fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let parts = self.layer.parameters(tape.shape(input))?;
        let weighs = parts.iter().any(ParameterSpec::is_weight);
        let parameters = parts.into_iter().map(|part| (part.name, part.shape)).collect();
        tape.turn(&self.name, weighs, parameters, input, |tape| self.layer.wire(tape, input))
    }
}

/// The weight of sums, of this shape, and their bias: one for each output, with its layer's fans, since a
/// vector has none of its own.
fn weight_and_bias(shape: Shape, weight: Init, bias: Option<Init>) -> Result<Vec<ParameterSpec>> {
    let geometry = Geometry::default();
    let fan = |mode| -> Result<Option<u64>> { Ok(Some(geometry.fan(&shape, mode)? as u64)) };
    let of_bias =
        Geometry { fan_in: fan(FanMode::FanIn)?, fan_out: fan(FanMode::FanOut)?, ..geometry };
    let outputs = Shape::new([shape.dims()[0]])?;
    let kind = ParameterKind::Weight;
    let mut specs = vec![ParameterSpec { name: "weight", shape, geometry, init: weight, kind }];
    specs.extend(bias.map(|init| ParameterSpec {
        name: "bias",
        shape: outputs,
        geometry: of_bias,
        init,
        kind: ParameterKind::Bias,
    }));
    Ok(specs)
}

/// The only dimension of rows that are vectors.
///
/// # Errors
/// [`Error::Invalid`] where they are none.
fn vector(what: &str, input: &Shape) -> Result<u64> {
    match input.dims() {
        [columns] => Ok(*columns),
        _ => Err(Error::invalid(what, format!("rows of shape {input}"), "vectors (`flatten`)")),
    }
}

/// Height, width and channels of rows that are pictures.
///
/// # Errors
/// [`Error::Invalid`] where they are none.
fn picture(what: &str, input: &Shape) -> Result<[usize; 3]> {
    let sides = input.dims().iter().map(|&side| usize::try_from(side));
    match sides.collect::<std::result::Result<Vec<_>, _>>().as_deref() {
        Ok(&[height, width, channels]) => Ok([height, width, channels]),
        _ => {
            let needed = "pictures, [height, width, channels]";
            Err(Error::invalid(what, format!("rows of shape {input}"), needed))
        }
    }
}
