use std::fmt;
use std::sync::Arc;

use super::super::tape::{Signal, Tape};
use super::{Entry, Layer, ParameterKind, ParameterSpec, Theory};
use crate::init::{Geometry, Init};
use crate::op::{Norm, Op};
use crate::{Activation, Result, Shape};

/// Layer norm (Ba, Kiros, Hinton 2016): `y = scale x^ + shift`, `x^` a row with mean 0 and variance 1,
/// over all its elements; `weight` (the scale) and `bias` (the shift), one for each.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// The initializer of the scales.
    pub scale: Init,
}

impl Default for LayerNorm {
    /// Scales of 1.
    fn default() -> LayerNorm {
        LayerNorm { scale: Init::ones() }
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: "norm",
    form: "norm",
    help: "layer norm over all elements of a row",
    read: |_| Ok(Arc::new(LayerNorm::default())),
};

impl fmt::Display for LayerNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("norm")
    }
}

impl Layer for LayerNorm {
    fn output(&self, input: &Shape) -> Result<Shape> {
        Ok(input.clone())
    }

    fn parameters(&self, input: &Shape) -> Result<Vec<ParameterSpec>> {
        let columns = input.elements();
        let geometry =
            Geometry { fan_in: Some(columns), fan_out: Some(columns), ..Geometry::default() };
        let part = |name, init, kind| -> Result<ParameterSpec> {
            Ok(ParameterSpec { name, shape: Shape::new([columns])?, geometry, init, kind })
        };
        Ok(vec![
            part("weight", self.scale, ParameterKind::Scale)?,
            part("bias", Init::zeros(), ParameterKind::Shift)?,
        ])
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let output = tape.signal(&tape.shape(input).clone());
        let (values, out) = (tape.view(input), tape.view(output));
        let (scale, shift) = (tape.parameter("weight"), tape.parameter("bias"));
        let norm = Norm {
            scale: scale.value,
            shift: shift.value,
            normalized: tape.buffer(values.rows, values.columns),
            inverse: tape.buffer(values.rows, 1),
            activation: Activation::Identity,
            dropout: None,
        };
        tape.enters(norm.normalized);
        tape.op(Op::NormForward { norm, values, after: None, out });
        tape.back(move |tape| {
            let (gradient, dx) = (tape.gradient(output), tape.gradient_buffer(input));
            let inner = tape.gradient_buffer(input);
            tape.op(Op::NormBackward { norm, gradient, inner, out: dx });
            let weights = Some(norm.normalized);
            tape.op(Op::Columns { values: inner, weights, out: scale.gradient });
            tape.op(Op::Columns { values: inner, weights: None, out: shift.gradient });
            tape.give(input, dx);
        });
        Ok(output)
    }

    fn theory(&self) -> Theory {
        Theory::Norm
    }
}
