//! Windows that slide over signals with their channels last: what convolution and pooling share.

use std::ops::Range;

use crate::{Error, Result};

/// The most elements of a signal, of what becomes of it, of a weight: what one binding holds anywhere.
const MOST: usize = 1 << 29;

/// Turns that an invocation's loops take in sum at most: llvmpipe ends them after 65,535.
pub(crate) const TURNS: usize = 60_000;

/// One axis of a signal, and the windows along it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub size: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub dilation: usize,
}

impl Axis {
    /// Windows that fit: `(size + 2 padding - dilation (kernel - 1) - 1) / stride + 1`, rounded down.
    pub fn places(&self) -> usize {
        (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) / self.stride + 1
    }

    /// The taps of a window that lie on the signal.
    pub fn taps(&self, place: usize) -> Range<usize> {
        let start = place * self.stride;
        let first = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.padding + self.size).saturating_sub(start).div_ceil(self.dilation);
        let end = end.min(self.kernel);
        first.min(end)..end
    }

    /// Where a window's tap, one of [`Axis::taps`], lies.
    pub fn source(&self, place: usize, tap: usize) -> usize {
        place * self.stride + tap * self.dilation - self.padding
    }
}

/// `values` where they are numbers that no arithmetic on them overflows.
pub(super) fn numbers(what: &str, values: &[usize], least: usize) -> Result<()> {
    match values.iter().find(|value| !(least..=MOST).contains(value)) {
        Some(value) => Err(Error::invalid(what, value, format!("numbers from {least} to {MOST}"))),
        None => Ok(()),
    }
}

/// That so many elements are not too many.
pub(super) fn product(what: &str, sides: &[usize]) -> Result<()> {
    let elements = sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    match elements.is_some_and(|elements| elements <= MOST) {
        true => Ok(()),
        false => {
            Err(Error::invalid(what, format!("{sides:?}"), format!("at most {MOST} elements")))
        }
    }
}

/// That a window fits into the padded signal.
pub(super) fn fits(what: &str, axes: [Axis; 2]) -> Result<()> {
    for axis in axes {
        let reach =
            axis.dilation.checked_mul(axis.kernel - 1).and_then(|reach| reach.checked_add(1));
        let room = axis.size + 2 * axis.padding;
        if reach.is_none_or(|reach| reach > room) {
            let given = match axis.dilation {
                1 => axis.kernel.to_string(),
                dilation => format!("{} at a dilation of {dilation}", axis.kernel),
            };
            let needed = format!("what fits into {room}: {} and twice the padding", axis.size);
            return Err(Error::invalid(format!("{what}: kernel"), given, needed));
        }
    }
    Ok(())
}

/// That an invocation's loops are not too long.
pub(super) fn turns(what: &str, sides: &[usize]) -> Result<()> {
    let turns = sides.iter().try_fold(1usize, |product, side| product.checked_mul(*side));
    match turns.is_some_and(|turns| turns <= TURNS) {
        true => Ok(()),
        false => {
            let given = sides.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            Err(Error::invalid(what, given, format!("a product of at most {TURNS}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Axis;

    /// A window's taps on the signal are those whose source is.
    #[test]
    fn taps_are_those_on_the_signal() {
        for size in 1..8usize {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for padding in 0..5 {
                        for dilation in 1..4 {
                            let axis = Axis { size, kernel, stride, padding, dilation };
                            if dilation * (kernel - 1) + 1 > size + 2 * padding {
                                continue;
                            }
                            let last = (axis.places() - 1) * stride + dilation * (kernel - 1);
                            assert!(last < size + 2 * padding, "{axis:?}");
                            assert!(last + stride >= size + 2 * padding, "{axis:?}");
                            for place in 0..axis.places() {
                                let on = |tap: &usize| {
                                    let at = place * stride + tap * dilation;
                                    (padding..padding + size).contains(&at)
                                };
                                let wanted: Vec<usize> = (0..kernel).filter(on).collect();
                                let found: Vec<usize> = axis.taps(place).collect();
                                assert_eq!(found, wanted, "{axis:?} at {place}");
                                let inside = |tap| axis.source(place, tap) < size;
                                assert!(axis.taps(place).all(inside), "{axis:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
