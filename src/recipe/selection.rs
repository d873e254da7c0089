//! The part of a tensor that a rank holds.

use std::iter;
use std::ops::Range;

use super::Drawer;
use crate::random::Slice;
use crate::{Error, Result, Shape};

/// Elements of a tensor, as a tensor of their own: of each dimension some indices, in order.
///
/// Element `[i, j, ...]` of the part is element `[rows[i], columns[j], ...]` of the whole tensor, in whose
/// stream it keeps its index. An index beyond the whole's dimension is padding, which is 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// Of the whole tensor.
    of: Vec<u64>,
    /// Of each dimension, stretches of indices one after the other.
    axes: Vec<Vec<Range<u64>>>,
}

/// A stretch of a part's elements that lie side by side in the whole tensor too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The whole's index of the first; none where they are padding.
    pub(super) first: Option<u64>,
    pub(super) count: u64,
}

impl Selection {
    /// All of a tensor.
    pub(super) fn whole(shape: &Shape) -> Selection {
        let of = shape.dims().to_vec();
        let axes = of.iter().map(|&dim| iter::once(0..dim).collect()).collect();
        Selection { of, axes }
    }

    /// The dimensions of the whole tensor.
    pub fn of(&self) -> &[u64] {
        &self.of
    }

    /// The indices of each dimension.
    pub fn axes(&self) -> &[Vec<Range<u64>>] {
        &self.axes
    }

    /// Whether it is all of the tensor, in its own order.
    pub fn is_whole(&self) -> bool {
        self.axes
            .iter()
            .zip(&self.of)
            .all(|(ranges, &dim)| matches!(&ranges[..], [one] if *one == (0..dim)))
    }

    /// The part's own shape.
    ///
    /// # Errors
    /// As [`Shape::new`]: padding may make it too large.
    pub fn shape(&self) -> Result<Shape> {
        Shape::with_empty(self.axes.iter().map(|ranges| length(ranges)).collect::<Vec<_>>())
    }

    /// The indices of one dimension replaced.
    pub(super) fn with_axis(mut self, axis: usize, ranges: Vec<Range<u64>>) -> Selection {
        self.axes[axis] = joined(ranges);
        self
    }

    /// The box of the tensor that it is, where it is one.
    pub(super) fn slice(&self) -> Option<Slice> {
        let one = |(ranges, dim): (&Vec<Range<u64>>, &u64)| match &ranges[..] {
            [range] if range.end <= *dim => Some((range.start, range.end - range.start)),
            _ => None,
        };
        let (starts, sizes): (Vec<u64>, Vec<u64>) = self
            .axes
            .iter()
            .zip(&self.of)
            .map(one)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .unzip();
        Slice::new(Shape::new(self.of.clone()).ok()?, starts, sizes).ok()
    }

    /// The part's elements from `first` on, as many as `out` has room for, each of `size` bytes.
    ///
    /// # Errors
    /// As [`Drawer::draw`], of the whole tensor.
    pub(super) fn draw(
        &self,
        drawer: &mut Drawer<'_>,
        size: u64,
        first: u64,
        mut out: &mut [u8],
    ) -> Result<()> {
        let end = first + out.len() as u64 / size;
        for run in self.runs(first..end) {
            let own;
            (own, out) = out.split_at_mut((run.count * size) as usize);
            match run.first {
                Some(first) => drawer.draw(first, own)?,
                None => own.fill(0),
            }
        }
        Ok(())
    }

    /// Where the elements of a stretch of the part are in the whole tensor.
    pub(super) fn runs(&self, elements: Range<u64>) -> impl Iterator<Item = Run> + '_ {
        // Dimensions of which all is there, innermost, are one with the last that is cut.
        let is_all =
            |axis: &usize| matches!(&self.axes[*axis][..], [one] if *one == (0..self.of[*axis]));
        let inner_axes = (0..self.of.len()).rev().take_while(is_all).count();
        let cut = self.of.len() - inner_axes;
        let inner: u64 = self.of[cut..].iter().product();
        // Of each dimension up to the cut: its length here, and how far apart neighbours are there.
        let lengths: Vec<u64> = self.axes[..cut].iter().map(|ranges| length(ranges)).collect();
        let strides: Vec<u64> = (0..cut).map(|axis| self.of[axis + 1..].iter().product()).collect();
        let mut at = elements.start;
        std::iter::from_fn(move || {
            if at >= elements.end {
                return None;
            }
            let left = elements.end - at;
            let Some(last) = cut.checked_sub(1) else {
                let run = Run { first: Some(at), count: left };
                at = elements.end;
                return Some(run);
            };
            let (mut rest, within) = (at / inner, at % inner);
            let (mut first, mut is_padding, mut room) = (within, false, 0);
            for axis in (0..cut).rev() {
                let place = rest % lengths[axis];
                rest /= lengths[axis];
                let (index, more) = find(&self.axes[axis], place);
                let dim = self.of[axis];
                let outside = index >= dim;
                is_padding |= outside;
                if axis == last {
                    // As far as the stretch goes, on its side of the dimension's end.
                    let most = if outside { more } else { more.min(dim - index) };
                    room = most * inner - within;
                }
                first += if outside { 0 } else { index * strides[axis] };
            }
            let count = room.min(left);
            at += count;
            Some(Run { first: (!is_padding).then_some(first), count })
        })
    }

    /// `0..64,128..192` of each dimension: as documents have it.
    pub fn texts(&self) -> Vec<String> {
        let text = |ranges: &Vec<Range<u64>>| {
            let parts: Vec<String> =
                ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
            parts.join(",")
        };
        self.axes.iter().map(text).collect()
    }

    /// What [`Selection::texts`] gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it did not.
    pub(super) fn from_texts(of: &[u64], texts: &[impl AsRef<str>]) -> Result<Selection> {
        // A whole tensor is one that can be; the part is checked where its shape is asked for.
        Shape::with_empty(of.to_vec())?;
        let wrong = |text: &str| {
            let needed = format!("ranges of each of {} dimensions, as 0..64,128..192", of.len());
            Error::invalid("part of a tensor", format!("`{text}`"), needed)
        };
        if texts.len() != of.len() {
            return Err(wrong(&texts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("; ")));
        }
        let axis = |text: &str| -> Result<Vec<Range<u64>>> {
            // Of none there is nothing.
            let parts = text.split(',').filter(|_| !text.is_empty());
            parts.map(|part| range(part).ok_or_else(|| wrong(text))).collect()
        };
        let axes = texts.iter().map(|text| axis(text.as_ref())).collect::<Result<_>>()?;
        let selection = Selection { of: of.to_vec(), axes };
        selection.shape().map(|_| selection)
    }
}

/// `0..64`, with something in it.
pub(super) fn range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.trim().split_once("..")?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start < end).then_some(start..end)
}

/// The number of indices.
pub(super) fn length(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().fold(0, |sum, range| sum.saturating_add(range.end - range.start))
}

/// The index at a place, and how many follow it in its stretch, itself among them.
fn find(ranges: &[Range<u64>], mut place: u64) -> (u64, u64) {
    for range in ranges {
        let count = range.end - range.start;
        if place < count {
            return (range.start + place, count - place);
        }
        place -= count;
    }
    // No place is beyond: it is a remainder of their length.
    (0, 0)
}

/// The indices at some places.
pub(super) fn at_places(ranges: &[Range<u64>], places: Range<u64>) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut start = 0;
    for range in ranges {
        let end = start + (range.end - range.start);
        let (from, to) = (places.start.max(start), places.end.min(end));
        if from < to {
            found.push(range.start + (from - start)..range.start + (to - start));
        }
        start = end;
    }
    joined(found)
}

/// Stretches that go on where another ended as one.
fn joined(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match found.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => found.push(range),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element's index in the whole, one by one.
    fn walk(selection: &Selection) -> Vec<Option<u64>> {
        let mut found = vec![Some(0)];
        for (ranges, &dim) in selection.axes.iter().zip(&selection.of) {
            let indices: Vec<u64> = ranges.iter().cloned().flatten().collect();
            found = found
                .iter()
                .flat_map(|before: &Option<u64>| {
                    indices.iter().map(move |&index| {
                        before.filter(|_| index < dim).map(|before| before * dim + index)
                    })
                })
                .collect();
        }
        found
    }

    #[test]
    fn runs_are_the_elements_of_every_stretch() {
        let cases: [(&[u64], &[&str]); 8] = [
            (&[], &[]),
            (&[7], &["0..7"]),
            (&[7], &["5..9"]),
            (&[6, 5], &["4..6,0..2", "0..5"]),
            (&[6, 5], &["0..6", "1..2,3..7"]),
            (&[3, 4, 5], &["1..3", "0..4", "2..4"]),
            (&[3, 4, 5], &["2..5", "3..4,0..2", "0..5"]),
            (&[2, 3, 4, 2], &["0..2", "1..3", "0..6", "1..2"]),
        ];
        for (of, texts) in cases {
            let selection = Selection::from_texts(of, texts).unwrap();
            assert_eq!(selection.texts(), texts);
            let naive = walk(&selection);
            let all = naive.len() as u64;
            assert_eq!(all, selection.shape().unwrap().elements());
            for start in 0..=all {
                for end in start..=all {
                    let mut found = Vec::new();
                    for run in selection.runs(start..end) {
                        assert!(run.count > 0);
                        found.extend((0..run.count).map(|at| run.first.map(|first| first + at)));
                    }
                    assert_eq!(found, naive[start as usize..end as usize], "{of:?} {texts:?}");
                }
            }
        }
    }
}
