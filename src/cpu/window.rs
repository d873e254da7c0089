//! What unfolding, convolution and pooling share.

use super::rounding::Rounding;
use crate::op::Axis;
use crate::{Error, Result, counted};

/// Elements that are worth a task.
pub(super) const TASK: usize = 1 << 14;

/// How many signals of `sides` a slice holds.
///
/// # Errors
/// [`Error::Invalid`] where they are not whole ones.
pub(super) fn batch(what: &str, values: &[f32], sides: [usize; 3]) -> Result<usize> {
    let each = sides.iter().product::<usize>();
    match values.len().is_multiple_of(each) {
        true => Ok(values.len() / each),
        false => {
            let [height, width, channels] = sides;
            let needed = format!("a multiple of {height} x {width} x {channels}");
            Err(Error::invalid(what, counted(values.len(), "element"), needed))
        }
    }
}

/// # Errors
/// [`Error::Invalid`] where a slice has not so many elements for each of a batch.
pub(super) fn each(what: &str, values: &[f32], batch: usize, elements: usize) -> Result<()> {
    match batch.checked_mul(elements) == Some(values.len()) {
        true => Ok(()),
        false => {
            let given = counted(values.len(), "element");
            Err(Error::invalid(what, given, format!("{batch} x {elements}")))
        }
    }
}

/// What stands at each window of a signal, with the window's number. By the contract of the exact arithmetic
/// from the last to the first: so that what reads one place of the signal comes in the order of the taps.
#[inline(always)]
pub(super) fn windows<R: Rounding>(
    rows: &[f32],
    each: usize,
) -> impl Iterator<Item = (usize, &[f32])> {
    let count = rows.len() / each;
    (0..count).map(move |place| {
        let index = if R::EXACT { count - 1 - place } else { place };
        (index, &rows[index * each..][..each])
    })
}

/// The taps of the window at `[down, across]` that lie on the signal, and the places of the signal that
/// they read, counted along its lines.
#[inline(always)]
pub(super) fn taps(
    [down, across]: [Axis; 2],
    place: [usize; 2],
) -> impl Iterator<Item = (usize, usize)> {
    let columns = across.taps(place[1]);
    down.taps(place[0]).flat_map(move |y| {
        let line = down.source(place[0], y) * across.size;
        columns.clone().map(move |x| (y * across.kernel + x, line + across.source(place[1], x)))
    })
}
