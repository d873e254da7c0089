use std::fmt;
use std::sync::Arc;

use super::super::tape::{Signal, Tape};
use super::{Entry, Layer, ParameterSpec, Theory, vector, weight_and_bias};
use crate::init::{Family, FanMode, Init};
use crate::op::{Epilogue, Form, Op};
use crate::{Activation, Error, Result, Shape};

/// A fully connected layer, `z = W h + b`: `weight` `[out, in]` and `bias` `[out]`, as PyTorch's
/// `Linear`.
///
/// Back from `dz`, `dW = dz^T h`, `db` the sums of `dz` over the batch, and `dh = dz W`.
#[derive(Clone, Debug)]
pub struct Dense {
    /// How many outputs: 1 to 2^24.
    pub outputs: u64,
    /// The initializer of the weights.
    pub weight: Init,
    /// The initializer of the biases; none for no biases.
    pub bias: Option<Init>,
}

impl Dense {
    /// He's normal weights, biases of 0.
    pub fn new(outputs: u64) -> Dense {
        let weight = Init::he(FanMode::FanIn, Activation::Relu, Family::Normal);
        Dense { outputs, weight, bias: Some(Init::zeros()) }
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: "dense",
    form: "dense[:OUTPUTS]",
    help: "fully connected; without a number, as many outputs as the task has",
    read: |arguments| Ok(Arc::new(Dense::new(arguments.next()?.unwrap_or(arguments.outputs)))),
};

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dense:{}", self.outputs)
    }
}

impl Layer for Dense {
    fn output(&self, input: &Shape) -> Result<Shape> {
        vector("dense", input)?;
        if !(1..=1 << 24).contains(&self.outputs) {
            return Err(Error::invalid("dense", self.outputs, "1 to 2^24 outputs"));
        }
        Shape::new([self.outputs])
    }

    fn parameters(&self, input: &Shape) -> Result<Vec<ParameterSpec>> {
        let inputs = vector("dense", input)?;
        let shape = Shape::new([self.outputs, inputs])?;
        weight_and_bias(shape, self.weight, self.bias)
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let output = tape.signal(&self.output(tape.shape(input))?);
        let (x, z) = (tape.view(input), tape.view(output));
        let weight = tape.parameter("weight");
        let bias = self.bias.map(|_| tape.parameter("bias"));
        tape.op(Op::Product {
            form: Form::Nt,
            a: x,
            b: weight.value,
            out: z,
            epilogue: Epilogue { bias: bias.map(|bias| bias.value), ..Epilogue::default() },
        });
        tape.back(move |tape| {
            let dz = tape.gradient(output);
            let row_sums = bias.map(|bias| bias.gradient);
            tape.op(Op::Product {
                form: Form::Tn,
                a: dz,
                b: x,
                out: weight.gradient,
                epilogue: Epilogue { row_sums, ..Epilogue::default() },
            });
            if tape.wants(input) {
                let dx = tape.gradient_buffer(input);
                let epilogue = Epilogue::default();
                tape.op(Op::Product { form: Form::Nn, a: dz, b: weight.value, out: dx, epilogue });
                tape.give(input, dx);
            }
        });
        Ok(output)
    }

    fn theory(&self) -> Theory {
        Theory::Sum
    }

    fn multiply_adds(&self, input: &Shape) -> f64 {
        input.elements() as f64 * self.outputs as f64
    }
}
