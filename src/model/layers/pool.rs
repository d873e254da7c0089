use std::fmt;
use std::sync::Arc;

use super::super::tape::{Signal, Tape};
use super::conv::Sides;
use super::{Arguments, Entry, Layer, ParameterSpec, picture};
use crate::op::{Op, Pool2d, Pooling};
use crate::{Result, Shape};

/// Two-dimensional pooling of pictures `[height, width, channels]`, each channel by itself, as PyTorch's
/// `MaxPool2d` and `AvgPool2d`; [`Pool2d`] has what it makes of a window.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What becomes of a window.
    pub pooling: Pooling,
    /// Height and width of the window; none for all of the picture.
    pub kernel: Option<[usize; 2]>,
    /// How far the window moves, down and across; none for as far as it is large.
    pub stride: Option<[usize; 2]>,
    /// Rows above and below the picture, columns left and right of it.
    pub padding: [usize; 2],
}

impl Pool {
    /// Windows side by side, without padding.
    pub fn new(pooling: Pooling, kernel: [usize; 2]) -> Pool {
        Pool { kernel: Some(kernel), ..Pool::global(pooling) }
    }

    /// All of the picture in one window.
    pub fn global(pooling: Pooling) -> Pool {
        Pool { pooling, kernel: None, stride: None, padding: [0, 0] }
    }

    fn of(&self, input: &Shape) -> Result<Pool2d> {
        let input = picture(self.name(), input)?;
        let kernel = self.kernel.unwrap_or([input[0], input[1]]);
        let stride = self.stride.unwrap_or(kernel);
        let pool = Pool2d { pooling: self.pooling, input, kernel, stride, padding: self.padding };
        pool.check()?;
        Ok(pool)
    }

    fn name(&self) -> &'static str {
        match self.pooling {
            Pooling::Max => MAX.name,
            Pooling::Average => AVERAGE.name,
        }
    }

    fn read(pooling: Pooling, arguments: &mut Arguments<'_>) -> Result<Arc<dyn Layer>> {
        let kernel = arguments.next()?.map(|Sides(kernel)| kernel);
        let stride = arguments.named("stride")?.map(|Sides(stride)| stride);
        let padding = arguments.named("padding")?.map_or([0, 0], |Sides(padding)| padding);
        Ok(Arc::new(Pool { pooling, kernel, stride, padding }))
    }
}

pub(super) const MAX: Entry = Entry {
    name: "max_pool",
    form: "max_pool[:KERNEL,stride=N,padding=N]",
    help: "the greatest of each window; without numbers, of the whole picture",
    read: |arguments| Pool::read(Pooling::Max, arguments),
};

pub(super) const AVERAGE: Entry = Entry {
    name: "avg_pool",
    form: "avg_pool[:KERNEL,stride=N,padding=N]",
    help: "the mean of each window; without numbers, of the whole picture",
    read: |arguments| Pool::read(Pooling::Average, arguments),
};

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut parts = Vec::new();
        parts.extend(self.kernel.map(|kernel| Sides(kernel).to_string()));
        parts.extend(self.stride.map(|stride| format!("stride={}", Sides(stride))));
        if self.padding != [0, 0] {
            parts.push(format!("padding={}", Sides(self.padding)));
        }
        if parts.is_empty() { Ok(()) } else { write!(f, ":{}", parts.join(",")) }
    }
}

impl Layer for Pool {
    fn output(&self, input: &Shape) -> Result<Shape> {
        Shape::new(self.of(input)?.output()?.map(|side| side as u64))
    }

    fn parameters(&self, _: &Shape) -> Result<Vec<ParameterSpec>> {
        Ok(Vec::new())
    }

    fn wire(&self, tape: &mut Tape, input: Signal) -> Result<Signal> {
        let pool = self.of(tape.shape(input))?;
        let output = tape.signal(&self.output(tape.shape(input))?);
        let (values, pooled) = (tape.view(input), tape.view(output));
        tape.op(Op::Pool { pool, values, out: pooled });
        tape.back(move |tape| {
            let (gradient, out) = (tape.gradient(output), tape.gradient_buffer(input));
            tape.op(Op::PoolBackward { pool, values, pooled, gradient, out });
            tape.give(input, out);
        });
        Ok(output)
    }
}
