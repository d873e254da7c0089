//! Two-dimensional convolution, as data.

use super::window::{Axis, fits, numbers, product, turns};
use crate::{Error, Result};

/// A two-dimensional convolution, with the parameters of PyTorch's `Conv2d`.
///
/// ```text
/// out[y, x, o] = bias[o] + sum over c, i, j of
///     weight[o, c, i, j] in[stride y + dilation i - padding, stride x + dilation j - padding, g C + c]
/// ```
///
/// with `C = channels / groups` inputs of each output, `g` the group of output `o` (each has
/// `outputs / groups`), and 0 for what lies beyond the signal. It is a correlation, as in every library
/// that trains: the kernel is not turned round.
///
/// Signals are channels-last, `[height, width, channels]`, one after the other in a batch. The weight is
/// `[outputs, channels / groups, kernel height, kernel width]`, the bias `[outputs]`.
///
/// With one group it is a product of the signal's windows, unfolded into the rows of a matrix
/// (`unfold`), and the weight, read as `[outputs, depth]`; backward, the gradient of the weight is a
/// product with that matrix, and that of the signal one that is added up again where windows overlap
/// (`fold`). With more groups, or without memory for that matrix, the kernels of `conv` add up each
/// element alone.
///
/// ```
/// use fanin::op::Conv2d;
/// let conv = Conv2d { padding: [1, 1], ..Conv2d::new([28, 28, 3], 16, [3, 3]) };
/// assert_eq!(conv.output()?, [28, 28, 16]);
/// assert_eq!(conv.weight(), [16, 3, 3, 3]);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// The signal's height, width and channels.
    pub input: [usize; 3],
    /// Channels of the result.
    pub outputs: usize,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// How far the window moves, down and across.
    pub stride: [usize; 2],
    /// Rows of 0 above and below the signal, columns left and right of it.
    pub padding: [usize; 2],
    /// How far the elements of the window lie apart.
    pub dilation: [usize; 2],
    /// Groups of channels, each with outputs of its own: as many as channels for a depthwise
    /// convolution.
    pub groups: usize,
}

impl Conv2d {
    /// With a stride and dilation of 1, no padding, one group.
    pub fn new(input: [usize; 3], outputs: usize, kernel: [usize; 2]) -> Conv2d {
        Conv2d {
            input,
            outputs,
            kernel,
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// # Errors
    /// [`Error::Invalid`] where a number is 0 that may not be (all but the padding), groups do not part
    /// the channels and the outputs evenly, the window does not fit into the padded signal, or it has more
    /// than some 60,000 elements.
    pub fn check(&self) -> Result<()> {
        numbers("convolution: input", &self.input, 1)?;
        numbers("convolution: outputs", &[self.outputs], 1)?;
        numbers("convolution: kernel", &self.kernel, 1)?;
        numbers("convolution: stride", &self.stride, 1)?;
        numbers("convolution: padding", &self.padding, 0)?;
        numbers("convolution: dilation", &self.dilation, 1)?;
        numbers("convolution: groups", &[self.groups], 1)?;
        for (what, channels) in [("channels", self.input[2]), ("outputs", self.outputs)] {
            if !channels.is_multiple_of(self.groups) {
                let needed = format!("a number that divides the {channels} {what}");
                return Err(Error::invalid("convolution: groups", self.groups, needed));
            }
        }
        fits("convolution", self.axes())?;
        product("convolution: input", &self.input)?;
        product("convolution: output", &self.places_by_outputs())?;
        product("convolution: weight", &self.weight())?;
        turns("convolution: kernel", &[self.kernel[0], self.kernel[1] + 1])
    }

    /// # Errors
    /// [`Error::Invalid`] where it is none, or an element alone is a sum of too many terms for a loop.
    pub(crate) fn check_sums(&self) -> Result<()> {
        self.check()?;
        let [height, width] = self.kernel;
        let channels = self.input[2].max(self.outputs) / self.groups;
        turns("convolution: kernel and channels", &[height, width + 1, channels + 1])
    }

    /// Height, width and channels of the result.
    ///
    /// # Errors
    /// As [`Conv2d::check`].
    pub fn output(&self) -> Result<[usize; 3]> {
        self.check()?;
        Ok(self.places_by_outputs())
    }

    /// The shape of the weight: `[outputs, channels / groups, kernel height, kernel width]`.
    pub fn weight(&self) -> [usize; 4] {
        let [height, width] = self.kernel;
        [self.outputs, self.input[2] / self.groups.max(1), height, width]
    }

    /// Columns of the unfolded matrix: `channels x kernel height x kernel width`.
    pub fn depth(&self) -> usize {
        self.input[2] * self.kernel[0] * self.kernel[1]
    }

    /// Whether the signal is the unfolded matrix as it is, and the convolution a mere product: one group,
    /// a window of one element, a stride of 1, and no padding.
    pub fn is_product(&self) -> bool {
        self.groups == 1 && self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    pub(crate) fn axes(&self) -> [Axis; 2] {
        [0, 1].map(|axis| Axis {
            size: self.input[axis],
            kernel: self.kernel[axis],
            stride: self.stride[axis],
            padding: self.padding[axis],
            dilation: self.dilation[axis],
        })
    }

    /// [`Conv2d::output`] of one that was checked.
    pub(crate) fn places_by_outputs(&self) -> [usize; 3] {
        let [down, across] = self.axes();
        [down.places(), across.places(), self.outputs]
    }
}
