use std::fmt;

use super::super::tape::{Signal, Tape};
use super::{Layer, ParameterSpec, Theory};
use crate::op::{Epilogue, Nonlinearity};
use crate::{Activation, Result, Shape};

/// A nonlinearity, `h = f(z)`, element by element; back, `dz = dh f'(z)`.
#[derive(Clone, Debug)]
pub struct ActivationLayer(pub Activation);

impl fmt::Display for ActivationLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Layer for ActivationLayer {
    fn output(&self, input: &Shape) -> Result<Shape> {
        Ok(input.clone())
    }

    fn parameters(&self, _: &Shape) -> Result<Vec<ParameterSpec>> {
        Ok(Vec::new())
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let f = self.0;
        let output = tape.signal(&tape.shape(input).clone());
        let (z, h) = (tape.view(input), tape.view(output));
        let value = Nonlinearity::Value(f);
        tape.map(z, h, Epilogue { nonlinearity: value, ..Epilogue::default() });
        tape.back(move |tape| {
            let (dh, dz) = (tape.gradient(output), tape.gradient_buffer(input));
            let slope = Nonlinearity::Derivative(f, z);
            tape.map(dh, dz, Epilogue { nonlinearity: slope, ..Epilogue::default() });
            tape.give(input, dz);
        });
        Ok(output)
    }

    fn theory(&self) -> Theory {
        Theory::Nonlinearity(self.0)
    }
}
