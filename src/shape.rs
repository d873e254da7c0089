//! Shapes, and how a shape is read: which axis is the output, which the input.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The dimensions of a tensor, outermost first; none for a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<u64>);

impl Shape {
    /// A shape of these dimensions.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a dimension is 0, or the product overflows 2^63 - 1 elements.
    pub fn new(dims: impl Into<Vec<u64>>) -> Result<Self> {
        let shape = Shape(dims.into());
        if shape.0.contains(&0) {
            return Err(Error::invalid("shape", &shape, "dimensions of at least 1"));
        }
        Shape::with_empty(shape.0)
    }

    /// [`Shape::new`], of a tensor that may have no elements, as files of models hold some.
    pub(crate) fn with_empty(dims: Vec<u64>) -> Result<Self> {
        let shape = Shape(dims);
        // Also of those beside a 0: whoever multiplies some of them counts on it.
        let mut dims = shape.0.iter().filter(|dim| **dim != 0);
        let elements = dims.try_fold(1u64, |product, &dim| product.checked_mul(dim));
        if elements.is_none_or(|elements| elements > i64::MAX as u64) {
            return Err(Error::invalid("shape", &shape, "at most 2^63 - 1 elements"));
        }
        Ok(shape)
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[u64] {
        &self.0
    }

    /// The number of elements: the product of the dimensions, 1 for a scalar.
    pub fn elements(&self) -> u64 {
        self.0.iter().product()
    }
}

/// `[768, 2304]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Which end of a weight's shape is the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[out, in / groups, kernel...]`, as PyTorch stores `nn.Linear` and `nn.Conv*d`; transposed
    /// convolutions are `[in, out / groups, kernel...]`.
    #[default]
    OutIn,
    /// `[kernel..., in / groups, out]`, as Keras, JAX and GPT-2's `Conv1D` store them; transposed
    /// convolutions are `[kernel..., out / groups, in]` (Keras).
    InOut,
}

impl Layout {
    const NAMES: [(&'static str, Layout); 2] =
        [("out_in", Layout::OutIn), ("in_out", Layout::InOut)];

    /// `out_in` or `in_out`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, layout)| *layout == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::NAMES
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, layout)| layout)
            .ok_or_else(|| Error::unknown("layout", text, Self::NAMES.map(|(name, _)| name)))
    }
}
