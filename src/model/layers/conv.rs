use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::super::tape::{Signal, Tape, Weights};
use super::{Entry, Layer, ParameterSpec, picture, weight_and_bias};
use crate::init::{Family, FanMode, Init};
use crate::op::{Conv2d, Epilogue, Form, Op, View};
use crate::{Activation, Result, Shape};

/// A two-dimensional convolution of pictures `[height, width, channels]`, as PyTorch's `Conv2d`:
/// `weight` `[outputs, channels / groups, kernel height, kernel width]` and `bias` `[outputs]`.
/// [`Conv2d`] has the formula. Fans are counted as PyTorch counts them: groups are not looked at for
/// `fan_out`.
///
/// With one group it is a product with the signal's windows, which are unfolded again on the way back, so
/// that they need not be kept: they take as much memory as the window has elements.
#[derive(Clone, Debug)]
pub struct Conv {
    /// Channels of what it puts out.
    pub outputs: u64,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// How far the window moves, down and across.
    pub stride: [usize; 2],
    /// Rows of 0 above and below the picture, columns left and right of it.
    pub padding: [usize; 2],
    /// How far the elements of the window lie apart.
    pub dilation: [usize; 2],
    /// Groups of channels, each with outputs of its own.
    pub groups: usize,
    /// The initializer of the weights.
    pub weight: Init,
    /// The initializer of the biases; none for no biases.
    pub bias: Option<Init>,
}

impl Conv {
    /// With a stride and dilation of 1, no padding, one group; He's normal weights, biases of 0.
    pub fn new(outputs: u64, kernel: [usize; 2]) -> Conv {
        Conv {
            outputs,
            kernel,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            weight: Init::he(FanMode::FanIn, Activation::Relu, Family::Normal),
            bias: Some(Init::zeros()),
        }
    }

    fn of(&self, input: &Shape) -> Result<Conv2d> {
        let conv = Conv2d {
            input: picture("conv", input)?,
            // What is more is too many anyway.
            outputs: self.outputs.try_into().unwrap_or(usize::MAX),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        };
        conv.check()?;
        Ok(conv)
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: "conv",
    form: "conv:OUTPUTS,KERNEL[,stride=N,padding=N,dilation=N,groups=N]",
    help: "a convolution of pictures; KERNEL and each N is one number, or HEIGHTxWIDTH",
    read: |arguments| {
        let outputs = arguments.needed()?;
        let Sides(kernel) = arguments.needed()?;
        let mut conv = Conv::new(outputs, kernel);
        let sides = [
            ("stride", &mut conv.stride),
            ("padding", &mut conv.padding),
            ("dilation", &mut conv.dilation),
        ];
        for (name, sides) in sides {
            if let Some(Sides(given)) = arguments.named(name)? {
                *sides = given;
            }
        }
        conv.groups = arguments.named("groups")?.unwrap_or(conv.groups);
        Ok(Arc::new(conv))
    },
};

/// `3`, or `3x5` for a height and a width.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Sides(pub [usize; 2]);

impl FromStr for Sides {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (height, width) = text.split_once('x').unwrap_or((text, text));
        Ok(Sides([height.parse()?, width.parse()?]))
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sides([height, width]) = self;
        if height == width { write!(f, "{height}") } else { write!(f, "{height}x{width}") }
    }
}

impl fmt::Display for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv:{},{}", self.outputs, Sides(self.kernel))?;
        let sides = [
            ("stride", self.stride, [1, 1]),
            ("padding", self.padding, [0, 0]),
            ("dilation", self.dilation, [1, 1]),
        ];
        for (name, sides, plain) in sides {
            if sides != plain {
                write!(f, ",{name}={}", Sides(sides))?;
            }
        }
        if self.groups == 1 { Ok(()) } else { write!(f, ",groups={}", self.groups) }
    }
}

impl Layer for Conv {
    fn output(&self, input: &Shape) -> Result<Shape> {
        Shape::new(self.of(input)?.output()?.map(|side| side as u64))
    }

    fn parameters(&self, input: &Shape) -> Result<Vec<ParameterSpec>> {
        let shape = self.of(input)?.weight().map(|side| side as u64);
        weight_and_bias(Shape::new(shape)?, self.weight, self.bias)
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let conv = self.of(tape.shape(input))?;
        let output = tape.signal(&self.output(tape.shape(input))?);
        let weight = tape.parameter("weight");
        let bias = self.bias.map(|_| tape.parameter("bias"));
        match conv.groups {
            1 => wire_product(tape, conv, [input, output], weight, bias),
            _ => wire_groups(tape, conv, [input, output], weight, bias),
        }
        Ok(output)
    }

    fn multiply_adds(&self, input: &Shape) -> f64 {
        let Ok(conv) = self.of(input) else { return 0.0 };
        let [height, width, _] = conv.places_by_outputs();
        (height * width) as f64 * conv.weight().map(|side| side as f64).iter().product::<f64>()
    }
}

/// The signal's windows, a row each.
fn unfolded(tape: &mut Tape, conv: Conv2d, values: View, rows: usize) -> View {
    if conv.is_product() {
        return values.of_columns(conv.depth());
    }
    let out = tape.buffer(rows, conv.depth());
    tape.op(Op::Unfold { conv, values, out });
    out
}

fn wire_product(
    tape: &mut Tape,
    conv: Conv2d,
    [input, output]: [Signal; 2],
    weight: Weights,
    bias: Option<Weights>,
) {
    let (x, z) = (tape.view(input), tape.view(output).of_columns(conv.outputs));
    let flat = move |view: View| view.of_columns(conv.depth());
    let windows = unfolded(tape, conv, x, z.rows);
    tape.op(Op::Product {
        form: Form::Nt,
        a: windows,
        b: flat(weight.value),
        out: z,
        epilogue: Epilogue { bias: bias.map(|bias| bias.value), ..Epilogue::default() },
    });
    tape.back(move |tape| {
        let dz = tape.gradient(output).of_columns(conv.outputs);
        let windows = unfolded(tape, conv, x, z.rows);
        let row_sums = bias.map(|bias| bias.gradient);
        tape.op(Op::Product {
            form: Form::Tn,
            a: dz,
            b: windows,
            out: flat(weight.gradient),
            epilogue: Epilogue { row_sums, ..Epilogue::default() },
        });
        if !tape.wants(input) {
            return;
        }
        let dx = tape.gradient_buffer(input);
        let out = match conv.is_product() {
            true => flat(dx),
            false => tape.buffer(z.rows, conv.depth()),
        };
        let epilogue = Epilogue::default();
        tape.op(Op::Product { form: Form::Nn, a: dz, b: flat(weight.value), out, epilogue });
        if !conv.is_product() {
            tape.op(Op::Fold { conv, values: out, out: dx });
        }
        tape.give(input, dx);
    });
}

fn wire_groups(
    tape: &mut Tape,
    conv: Conv2d,
    [input, output]: [Signal; 2],
    weight: Weights,
    bias: Option<Weights>,
) {
    let (values, out) = (tape.view(input), tape.view(output));
    let added = bias.map(|bias| bias.value);
    tape.op(Op::Conv { conv, values, weight: weight.value, bias: added, out });
    tape.back(move |tape| {
        let gradient = tape.gradient(output);
        tape.op(Op::ConvWeight { conv, values, gradient, out: weight.gradient });
        if let Some(bias) = bias {
            let values = gradient.of_columns(conv.outputs);
            tape.op(Op::Columns { values, weights: None, out: bias.gradient });
        }
        if tape.wants(input) {
            let out = tape.gradient_buffer(input);
            tape.op(Op::ConvInput { conv, gradient, weight: weight.value, out });
            tape.give(input, out);
        }
    });
}
