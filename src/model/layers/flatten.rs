use std::fmt;
use std::sync::Arc;

use super::super::tape::{Signal, Tape};
use super::{Entry, Layer, ParameterSpec, Theory};
use crate::{Result, Shape};

/// Rows as vectors: the elements in their order in memory, channels last. Nothing is moved.
#[derive(Clone, Debug)]
pub struct Flatten;

pub(super) const ENTRY: Entry = Entry {
    name: "flatten",
    form: "flatten",
    help: "pictures as vectors, channels last",
    read: |_| Ok(Arc::new(Flatten)),
};

impl fmt::Display for Flatten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flatten")
    }
}

impl Layer for Flatten {
    fn output(&self, input: &Shape) -> Result<Shape> {
        Shape::new([input.elements()])
    }

    fn parameters(&self, _: &Shape) -> Result<Vec<ParameterSpec>> {
        Ok(Vec::new())
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let shape = self.output(tape.shape(input))?;
        Ok(tape.reshaped(input, &shape))
    }

    fn theory(&self) -> Theory {
        Theory::Same
    }
}
