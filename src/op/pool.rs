//! Two-dimensional pooling, as data.

use super::window::{Axis, fits, numbers, product, turns};
use crate::{Error, Result};

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// Its greatest element. What lies beyond the signal counts as `-inf`, NaN as greater than all.
    /// Backward, the whole gradient goes to the first of the greatest (the last of several NaNs).
    Max,
    /// The mean of its elements. What lies beyond the signal counts as 0, and is counted
    /// (`count_include_pad`).
    Average,
}

impl Pooling {
    /// Every kind.
    pub const ALL: [Pooling; 2] = [Pooling::Max, Pooling::Average];
}

/// Two-dimensional pooling of each channel alone, as PyTorch's `MaxPool2d` and `AvgPool2d` with their
/// defaults (sizes are rounded down).
///
/// Signals are channels-last, `[height, width, channels]`, one after the other in a batch. A window as
/// large as the signal pools all of it: [`Pool2d::global`].
///
/// ```
/// use fanin::op::{Pool2d, Pooling};
/// let pool = Pool2d::new(Pooling::Max, [28, 28, 16], [2, 2]);
/// assert_eq!(pool.output()?, [14, 14, 16]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// What becomes of a window.
    pub pooling: Pooling,
    /// The signal's height, width and channels.
    pub input: [usize; 3],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// How far the window moves, down and across.
    pub stride: [usize; 2],
    /// Rows above and below the signal, columns left and right of it: half the window at most.
    pub padding: [usize; 2],
}

impl Pool2d {
    /// With windows side by side (a stride as large as they are), and no padding.
    pub fn new(pooling: Pooling, input: [usize; 3], kernel: [usize; 2]) -> Pool2d {
        Pool2d { pooling, input, kernel, stride: kernel, padding: [0, 0] }
    }

    /// All of the signal in one window.
    pub fn global(pooling: Pooling, input @ [height, width, _]: [usize; 3]) -> Pool2d {
        Pool2d::new(pooling, input, [height, width])
    }

    /// # Errors
    /// [`Error::Invalid`] where a number is 0 that may not be (all but the padding), the padding is more
    /// than half the window, the window does not fit into the padded signal, has more than some 60,000
    /// elements, or, for the greatest, as many times as windows overlap.
    pub fn check(&self) -> Result<()> {
        numbers("pooling: input", &self.input, 1)?;
        numbers("pooling: kernel", &self.kernel, 1)?;
        numbers("pooling: stride", &self.stride, 1)?;
        numbers("pooling: padding", &self.padding, 0)?;
        for (padding, kernel) in self.padding.into_iter().zip(self.kernel) {
            if padding > kernel / 2 {
                let needed = format!("at most {}, half the window", kernel / 2);
                return Err(Error::invalid("pooling: padding", padding, needed));
            }
        }
        fits("pooling", self.axes())?;
        product("pooling: input", &self.input)?;
        product("pooling: output", &self.places_by_channels())?;
        let [height, width] = self.kernel;
        turns("pooling: kernel", &[height, width + 1])?;
        if self.pooling == Pooling::Max {
            let [down, across] =
                self.axes().map(|axis| axis.kernel.div_ceil(axis.stride).min(axis.places()));
            let what = "pooling: windows that overlap, by their elements";
            turns(what, &[down, across, height, width + 1])?;
        }
        Ok(())
    }

    /// Height, width and channels of the result.
    ///
    /// # Errors
    /// As [`Pool2d::check`].
    pub fn output(&self) -> Result<[usize; 3]> {
        self.check()?;
        Ok(self.places_by_channels())
    }

    /// What the mean multiplies a sum by.
    pub(crate) fn share(&self) -> f32 {
        1.0 / (self.kernel[0] * self.kernel[1]) as f32
    }

    pub(crate) fn axes(&self) -> [Axis; 2] {
        [0, 1].map(|axis| Axis {
            size: self.input[axis],
            kernel: self.kernel[axis],
            stride: self.stride[axis],
            padding: self.padding[axis],
            dilation: 1,
        })
    }

    /// [`Pool2d::output`] of one that was checked.
    pub(crate) fn places_by_channels(&self) -> [usize; 3] {
        let [down, across] = self.axes();
        [down.places(), across.places(), self.input[2]]
    }
}
