use std::str::FromStr;

use crate::{Error, Layout, Result, Shape};

/// How many inputs each output sums, and how many outputs each input feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fans {
    /// Terms in each output's sum.
    pub fan_in: u64,
    /// Outputs that each input goes to.
    pub fan_out: u64,
}

/// Which of the fans a scheme divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanMode {
    /// `fan_in`: keeps the variance of the signal.
    FanIn,
    /// `fan_out`: keeps the variance of the gradient.
    FanOut,
    /// `(fan_in + fan_out) / 2`: Glorot's compromise.
    FanAvg,
    /// `sqrt(fan_in * fan_out)`.
    FanGeoAvg,
}

impl FanMode {
    /// Every mode, by the name that recipes use.
    pub const NAMES: [(&'static str, FanMode); 4] = [
        ("fan_in", FanMode::FanIn),
        ("fan_out", FanMode::FanOut),
        ("fan_avg", FanMode::FanAvg),
        ("fan_geo_avg", FanMode::FanGeoAvg),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for FanMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::NAMES
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, mode)| mode)
            .ok_or_else(|| Error::unknown("fan mode", text, Self::NAMES.map(|(name, _)| name)))
    }
}

impl Fans {
    /// The fan that `mode` names.
    pub fn by(&self, mode: FanMode) -> f64 {
        let (fan_in, fan_out) = (self.fan_in as f64, self.fan_out as f64);
        match mode {
            FanMode::FanIn => fan_in,
            FanMode::FanOut => fan_out,
            FanMode::FanAvg => 0.5 * (fan_in + fan_out),
            FanMode::FanGeoAvg => (fan_in * fan_out).sqrt(),
        }
    }
}

/// How a tensor's shape is to be read when its fans are counted.
///
/// With `k` the product of the kernel's dimensions (1 for a linear layer) and `g` groups:
///
/// | layer | `out_in` shape | `in_out` shape | fan_in | fan_out |
/// |---|---|---|---|---|
/// | linear, convolution | `[out, in/g, kernel...]` | `[kernel..., in/g, out]` | `in/g * k` | `out/g * k` |
/// | transposed convolution | `[in, out/g, kernel...]` | `[kernel..., out/g, in]` | `in/g * k` | `out/g * k` |
/// | embedding of `n` rows of `d` | `[n, d]`: fans `(d, n)`, as PyTorch counts | `[n, d]`: fans `(n, d)`, as Keras counts | | |
///
/// PyTorch's own count ignores groups in `fan_out`, and takes a transposed convolution for a plain
/// one: leave `groups` at 1 and `transposed` at false for its numbers. A stride, which thins the
/// sums of both, is ignored here as it is by every framework.
///
/// The first [`batch_dims`](Geometry::batch_dims) axes are none of these: `[8, 64, 128]` with one of them
/// is 8 weights `[64, 128]`, experts for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Which end of the shape is the output.
    pub layout: Layout,
    /// Groups of a grouped convolution.
    pub groups: u64,
    /// Whether it is a transposed convolution.
    pub transposed: bool,
    /// How many leading axes are of stacked matrices, each initialized as a tensor of its own.
    pub batch_dims: usize,
    /// The fan_in to use instead of counting: a bias has that of its layer's weight.
    pub fan_in: Option<u64>,
    /// The fan_out to use instead of counting.
    pub fan_out: Option<u64>,
}

impl Default for Geometry {
    fn default() -> Self {
        Geometry {
            layout: Layout::OutIn,
            groups: 1,
            transposed: false,
            batch_dims: 0,
            fan_in: None,
            fan_out: None,
        }
    }
}

impl From<Layout> for Geometry {
    fn from(layout: Layout) -> Self {
        Geometry { layout, ..Geometry::default() }
    }
}

impl Geometry {
    /// The fan of `shape` that `mode` names: one that was given explicitly, else one counted.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `shape` has fewer than two dimensions and a fan that `mode` needs
    /// was not given; where a fan given is 0; or where `groups` does not divide the channels.
    pub fn fan(&self, shape: &Shape, mode: FanMode) -> Result<f64> {
        let counted = match (self.fan_in, self.fan_out, mode) {
            (Some(fan_in), None, FanMode::FanIn) => Fans { fan_in, fan_out: 1 },
            (None, Some(fan_out), FanMode::FanOut) => Fans { fan_in: 1, fan_out },
            _ => self.fans(shape)?,
        };
        if counted.fan_in == 0 || counted.fan_out == 0 {
            return Err(Error::invalid("fan_in, fan_out", 0, "at least 1"));
        }
        Ok(counted.by(mode))
    }

    /// Both fans of `shape`, as far as they were given, else counted.
    ///
    /// # Errors
    /// As [`Geometry::fan`].
    pub fn fans(&self, shape: &Shape) -> Result<Fans> {
        Ok(match (self.fan_in, self.fan_out) {
            (Some(fan_in), Some(fan_out)) => Fans { fan_in, fan_out },
            (fan_in, fan_out) => {
                let counted = self.count(shape)?;
                Fans {
                    fan_in: fan_in.unwrap_or(counted.fan_in),
                    fan_out: fan_out.unwrap_or(counted.fan_out),
                }
            }
        })
    }

    /// The dimensions of one matrix of those that are stacked in `shape`, or of the whole of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `shape` has fewer than `batch_dims`.
    pub fn matrix(&self, shape: &Shape) -> Result<Shape> {
        match shape.dims().get(self.batch_dims..) {
            Some(dims) => Shape::with_empty(dims.to_vec()),
            None => {
                let needed = format!("at most {} of shape {shape}", shape.dims().len());
                Err(Error::invalid("batch_dims", self.batch_dims, needed))
            }
        }
    }

    /// How many matrices are stacked in `shape`.
    pub fn matrices(&self, shape: &Shape) -> u64 {
        shape.dims().iter().take(self.batch_dims).product()
    }

    /// `shape` as messages have it, with what is left of it where it is a stack.
    pub(super) fn said(&self, shape: &Shape) -> String {
        match self.matrix(shape) {
            Ok(matrix) if self.batch_dims > 0 => {
                format!("shape {shape}, of which batch_dims {} leaves {matrix}", self.batch_dims)
            }
            _ => format!("shape {shape}"),
        }
    }

    /// Counts both fans of `shape`, whatever was given.
    fn count(&self, shape: &Shape) -> Result<Fans> {
        let matrix = self.matrix(shape)?;
        let dims = matrix.dims();
        let (first, second, kernel) = match (self.layout, dims) {
            (Layout::OutIn, [first, second, kernel @ ..]) => (*first, *second, kernel),
            (Layout::InOut, [kernel @ .., second, first]) => (*first, *second, kernel),
            _ => {
                return Err(Error::invalid(
                    "fans",
                    format!("{}, from which none can be told", self.said(shape)),
                    "two dimensions or more, or fan_in and fan_out given (a bias has those of its \
                     layer's weight)",
                ));
            }
        };
        let groups = self.groups;
        // `first` counts all groups' channels, `second` those of one group.
        if groups == 0 || first % groups != 0 {
            let needed = format!("a divisor of the {first} channels of shape {shape}");
            return Err(Error::invalid("groups", groups, needed));
        }
        // The shape's elements fit an i64, so no product of some of its dimensions overflows.
        let kernel: u64 = kernel.iter().product();
        let (over_all, of_one) = (first / groups * kernel, second * kernel);
        Ok(if self.transposed {
            Fans { fan_in: over_all, fan_out: of_one }
        } else {
            Fans { fan_in: of_one, fan_out: over_all }
        })
    }
}
