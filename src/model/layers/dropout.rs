use std::fmt;
use std::sync::Arc;

use super::super::tape::{Signal, Tape};
use super::{Entry, Layer, ParameterSpec, Theory};
use crate::op::{Dropout, Epilogue};
use crate::{Error, Result, Shape};

/// Inverted dropout (Srivastava et al. 2014): in training an element is 0 with probability `p`, and
/// `1 / (1 - p)` times as large otherwise; the masks are those of [`Dropout`] under the layer's name. Back
/// it is the same on gradients.
#[derive(Clone, Debug)]
pub struct DropoutLayer(pub f64);

pub(super) const ENTRY: Entry = Entry {
    name: "dropout",
    form: "dropout:PROBABILITY",
    help: "in training, a share of the elements falls",
    read: |arguments| Ok(Arc::new(DropoutLayer(arguments.needed()?))),
};

impl fmt::Display for DropoutLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropout:{}", self.0)
    }
}

impl Layer for DropoutLayer {
    fn output(&self, input: &Shape) -> Result<Shape> {
        match (0.0..1.0).contains(&self.0) {
            true => Ok(input.clone()),
            false => Err(Error::invalid("dropout", self.0, "0 or more, below 1")),
        }
    }

    fn parameters(&self, _: &Shape) -> Result<Vec<ParameterSpec>> {
        Ok(Vec::new())
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let dropout = Some(Dropout { probability: self.0, stream: tape.stream() });
        let output = tape.signal(&self.output(tape.shape(input))?);
        let mask = Epilogue { dropout, ..Epilogue::default() };
        tape.map(tape.view(input), tape.view(output), mask);
        tape.back(move |tape| {
            let (dy, dx) = (tape.gradient(output), tape.gradient_buffer(input));
            tape.map(dy, dx, mask);
            tape.give(input, dx);
        });
        Ok(output)
    }

    fn theory(&self) -> Theory {
        Theory::Dropout(self.0)
    }
}
