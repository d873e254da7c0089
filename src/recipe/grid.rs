//! The boxes that the ends of ranges cut a tensor into.

use std::collections::BTreeSet;
use std::ops::Range;

/// A tensor, cut along each dimension.
pub(super) struct Grid {
    /// Where cells begin and end, of each dimension.
    ends: Vec<Vec<u64>>,
}

impl Grid {
    /// The tensor of these dimensions, cut at `ends`, each of a dimension.
    pub(super) fn new(dims: &[u64], ends: impl IntoIterator<Item = (usize, u64)>) -> Grid {
        let mut cut: Vec<BTreeSet<u64>> =
            dims.iter().map(|&dim| BTreeSet::from([0, dim])).collect();
        for (axis, end) in ends {
            cut[axis].insert(end.min(dims[axis]));
        }
        Grid { ends: cut.into_iter().map(|ends| ends.into_iter().collect()).collect() }
    }

    /// How many cells there are; none where they are more than `most`.
    pub(super) fn cells(&self, most: usize) -> Option<usize> {
        let mut counts = self.ends.iter().map(|ends| ends.len() - 1);
        let cells = counts.try_fold(1usize, |product, count| product.checked_mul(count));
        cells.filter(|cells| *cells <= most)
    }

    /// A cell's first index along each dimension, and how many elements it has.
    pub(super) fn cell(&self, number: usize) -> (Vec<u64>, u64) {
        let (mut rest, mut size) = (number, 1);
        let mut corner = vec![0; self.ends.len()];
        for (first, ends) in corner.iter_mut().zip(&self.ends).rev() {
            let at = rest % (ends.len() - 1);
            rest /= ends.len() - 1;
            *first = ends[at];
            size *= ends[at + 1] - ends[at];
        }
        (corner, size)
    }

    /// The cells that are these ranges of each dimension, none of which cuts one.
    pub(super) fn cells_of(&self, axes: &[Vec<Range<u64>>]) -> Vec<usize> {
        let mut found = vec![0];
        for (ranges, ends) in axes.iter().zip(&self.ends) {
            let count = ends.len() - 1;
            let cells = |range: &Range<u64>| {
                ends.partition_point(|end| *end < range.start)
                    ..ends.partition_point(|end| *end < range.end).min(count)
            };
            let own: Vec<usize> = ranges.iter().flat_map(cells).collect();
            let along = |before: &usize| {
                let before = before * count;
                own.iter().map(move |cell| before + cell)
            };
            found = found.iter().flat_map(along).collect();
        }
        found
    }
}
