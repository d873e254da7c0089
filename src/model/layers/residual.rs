use std::fmt;

use super::super::tape::{Signal, Tape};
use super::{Layer, Named, ParameterSpec, Theory};
use crate::op::Epilogue;
use crate::{Error, Result, Shape};

/// A residual connection (He et al. 2016): what goes in is added to what comes out of the layers within,
/// `y = x + f(x)`; back, `dx = dy + dy f'(x)`.
#[derive(Clone, Debug)]
pub struct Residual(pub Vec<Named>);

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("residual(")?;
        for (at, named) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { " " }, named.layer)?;
        }
        f.write_str(")")
    }
}

impl Layer for Residual {
    fn output(&self, input: &Shape) -> Result<Shape> {
        if self.0.is_empty() {
            return Err(Error::invalid("residual", "no layers", "layers to add something"));
        }
        let mut shape = input.clone();
        for named in &self.0 {
            shape = named.layer.output(&shape)?;
        }
        match shape == *input {
            true => Ok(shape),
            false => {
                let given = format!("layers that make {shape} of {input}");
                Err(Error::invalid("residual", given, "layers that keep the shape"))
            }
        }
    }

    fn parameters(&self, _: &Shape) -> Result<Vec<ParameterSpec>> {
        Ok(Vec::new())
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        self.output(tape.shape(input))?;
        let mut branch = input;
        for named in &self.0 {
            branch = named.wire(tape, branch)?;
        }
        let output = tape.signal_after(branch);
        let (x, f, y) = (tape.view(input), tape.view(branch), tape.view(output));
        tape.map(f, y, Epilogue { after: Some(x), ..Epilogue::default() });
        tape.back(move |tape| {
            let dy = tape.gradient(output);
            for signal in [input, branch] {
                if tape.wants(signal) {
                    tape.give(signal, dy);
                }
            }
        });
        Ok(output)
    }

    fn theory(&self) -> Theory {
        Theory::Residual
    }

    fn within(&self) -> &[Named] {
        &self.0
    }
}
