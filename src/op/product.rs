//! What the matrix products of both engines share: the three forms, and what follows a product.

use crate::Activation;
use crate::random::Stream;
use crate::{Error, Result};

/// How a product reads its two factors, both row-major; its result is `[m, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `out = A B^T`, A `[m, k]`, B `[n, k]`: a layer's `X W^T`.
    Nt,
    /// `out = A B`, A `[m, k]`, B `[k, n]`: the gradient of a layer's input, `dY W`.
    Nn,
    /// `out = A^T B`, A `[k, m]`, B `[k, n]`: the gradient of its weight, `dY^T X`.
    Tn,
}

/// Where the elements of a product's factors lie: elements from one row, column or depth to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strides {
    pub(crate) a_row: usize,
    pub(crate) a_depth: usize,
    pub(crate) b_column: usize,
    pub(crate) b_depth: usize,
}

/// Which of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// The least.
    Least,
    /// The greatest.
    Greatest,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 3] = [Form::Nt, Form::Nn, Form::Tn];

    /// `[m, n, k]` of a product of A and B; none where their shapes do not fit.
    pub fn sizes(self, a: [u64; 2], b: [u64; 2]) -> Option<[u64; 3]> {
        let [m, k] = if self == Form::Tn { [a[1], a[0]] } else { a };
        let [n, depth] = if self == Form::Nt { b } else { [b[1], b[0]] };
        (k == depth).then_some([m, n, k])
    }

    /// The shapes of A and B in a product of sizes `[m, n, k]`.
    pub fn shapes(self, [m, n, k]: [u64; 3]) -> [[u64; 2]; 2] {
        let a = if self == Form::Tn { [k, m] } else { [m, k] };
        let b = if self == Form::Nt { [n, k] } else { [k, n] };
        [a, b]
    }

    pub(crate) fn strides(self, [m, n, k]: [usize; 3]) -> Strides {
        let [a_row, a_depth] = if self == Form::Tn { [1, m] } else { [k, 1] };
        let [b_column, b_depth] = if self == Form::Nt { [k, 1] } else { [1, n] };
        Strides { a_row, a_depth, b_column, b_depth }
    }
}

/// What happens to each element `t` of a product before it is stored, in the order of the fields,
/// each of them optional; and the sums of A's rows, which are of no element.
///
/// `T` is how an operand is named (a tensor, a slice) and `R` how one that is written. All have the
/// result's shape `[m, n]` save for the bias and the sums of rows.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<T, R = T> {
    /// `t += bias[n]`, of shape `[n]`.
    pub bias: Option<T>,
    /// `t += before[m, n]`: a gradient that comes around a residual connection.
    pub before: Option<T>,
    /// `raw[m, n] = t`: a pre-activation, kept for the backward pass.
    pub raw: Option<R>,
    /// `t = f(t)`, or `t f'(z)`.
    pub nonlinearity: Nonlinearity<T>,
    /// `t = 0`, or `t / (1 - p)`.
    pub dropout: Option<Dropout>,
    /// `t += after[m, n]`: a residual connection.
    pub after: Option<T>,
    /// `row_sums[m] = sum over depth of A[m, depth]`, of shape `[m]`, f32, added up in an order that
    /// depends on the shapes and the device alone: beside the gradient of a weight, `dY^T X`, that of
    /// the bias. In exact arithmetic it is A's product with a column of ones, factors rounded likewise. Not
    /// together with `raw`.
    pub row_sums: Option<R>,
}

impl<T, R> Default for Epilogue<T, R> {
    fn default() -> Self {
        Epilogue {
            bias: None,
            before: None,
            raw: None,
            nonlinearity: Nonlinearity::None,
            dropout: None,
            after: None,
            row_sums: None,
        }
    }
}

impl<T> Epilogue<T> {
    /// The same, its operands named otherwise.
    pub(crate) fn try_map<U>(&self, mut name: impl FnMut(&T) -> Result<U>) -> Result<Epilogue<U>> {
        let mut one = |operand: &Option<T>| operand.as_ref().map(&mut name).transpose();
        Ok(Epilogue {
            bias: one(&self.bias)?,
            before: one(&self.before)?,
            raw: one(&self.raw)?,
            after: one(&self.after)?,
            row_sums: one(&self.row_sums)?,
            dropout: self.dropout,
            nonlinearity: match &self.nonlinearity {
                Nonlinearity::None => Nonlinearity::None,
                Nonlinearity::Value(activation) => Nonlinearity::Value(*activation),
                Nonlinearity::Derivative(activation, z) => {
                    Nonlinearity::Derivative(*activation, name(z)?)
                }
            },
        })
    }

    /// The same, of references.
    pub(crate) fn as_ref(&self) -> Epilogue<&T> {
        Epilogue {
            bias: self.bias.as_ref(),
            before: self.before.as_ref(),
            raw: self.raw.as_ref(),
            after: self.after.as_ref(),
            row_sums: self.row_sums.as_ref(),
            dropout: self.dropout,
            nonlinearity: match &self.nonlinearity {
                Nonlinearity::None => Nonlinearity::None,
                Nonlinearity::Value(activation) => Nonlinearity::Value(*activation),
                Nonlinearity::Derivative(activation, z) => Nonlinearity::Derivative(*activation, z),
            },
        }
    }
}

/// What becomes of an element `t` of a product, elementwise. `T` names where a pre-activation is kept.
#[derive(Clone, Copy, Debug, Default)]
pub enum Nonlinearity<T> {
    /// `t`.
    #[default]
    None,
    /// `f(t)`.
    Value(Activation),
    /// `t f'(z)`, `z` a stored pre-activation of the result's shape.
    Derivative(Activation, T),
}

impl<T> Nonlinearity<T> {
    pub(crate) fn activation(&self) -> Activation {
        match self {
            Nonlinearity::None => Activation::Identity,
            Nonlinearity::Value(activation) | Nonlinearity::Derivative(activation, _) => {
                *activation
            }
        }
    }
}

/// Inverted dropout: `t / (1 - p)` with probability `1 - p`, else 0. The mask is never stored: it is
/// drawn again wherever it is needed.
///
/// Element `[m, n]` of a result of N columns is kept at a step where
/// `philox4x32_10([m ceil(N/4) + n/4, step, id_lo, id_hi], [seed_lo, seed_hi])[n % 4]` is at least
/// `round(p 2^32)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability `p` of 0.
    pub probability: f64,
    /// The stream: a seed, and an id that no other dropout nor tensor of the model has.
    pub stream: Stream,
}

impl Dropout {
    /// # Errors
    /// [`Error::Invalid`] where `p` is not within 0..1, or so close to 1 that nothing is kept.
    pub fn check(&self) -> Result<()> {
        // Beyond, the threshold would be 2^32, which no word has.
        if (0.0..=1.0 - 2f64.powi(-32)).contains(&self.probability) {
            return Ok(());
        }
        Err(Error::invalid("dropout", self.probability, "0 or more, below 1"))
    }

    /// The first word that is kept: `round(p 2^32)`.
    pub fn threshold(&self) -> u32 {
        (self.probability * 2f64.powi(32)).round() as u32
    }

    /// What is kept is multiplied by this: `1 / (1 - p)`.
    pub fn scale(&self) -> f32 {
        (1.0 / (1.0 - self.probability)) as f32
    }

    /// The words of elements `[m, 4 block..4 block + 4]` of a result of `columns` columns, at a step.
    pub fn words(&self, columns: u32, m: u32, block: u32, step: u32) -> [u32; 4] {
        let low = m.wrapping_mul(columns.div_ceil(4)).wrapping_add(block);
        self.stream.block(u64::from(step) << 32 | u64::from(low))
    }
}
