use std::fmt;
use std::ops::Range;

use crate::{Error, Result, Shape, counted};

/// A box of a tensor: in each dimension the elements `start .. start + size`.
///
/// Its elements are those of the whole tensor, so a slice drawn alone is what a copy out of the whole
/// would hold. They are numbered twice: locally from 0, row-major in the slice, as they lie in a tensor of
/// [`Slice::local_shape`]; and in the whole tensor, which is their index in its stream
/// ([`Slice::index`]).
///
/// ```
/// use fanin::Shape;
/// use fanin::random::{Run, Slice};
///
/// // Columns 2 and 3 of a matrix, all but the first element.
/// let slice = Slice::new(Shape::new([3, 5])?, [0, 2], [3, 2])?;
/// let runs: Vec<Run> = slice.runs(1..slice.elements()).collect();
/// let run = |first, count| Run { first, count };
/// assert_eq!(runs, [run(3, 1), run(7, 2), run(12, 2)]);
/// assert_eq!(slice.index(3), 8);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    shape: Shape,
    starts: Vec<u64>,
    local: Shape,
    /// The index of the first element.
    first: u64,
    axes: Vec<Axis>,
}

/// A dimension of a slice, or several that lie as one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Axis {
    /// Its size in the slice.
    pub(crate) size: u64,
    /// Elements of the whole tensor from one place along it to the next.
    pub(crate) stride: u64,
}

/// Elements of a tensor that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The index of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Slice {
    /// The elements from `starts` on, `sizes` of them, in each dimension of a tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more or fewer starts or sizes than dimensions, a size is 0, or a
    /// dimension ends before the slice does.
    pub fn new(
        shape: Shape,
        starts: impl Into<Vec<u64>>,
        sizes: impl Into<Vec<u64>>,
    ) -> Result<Self> {
        let (starts, sizes) = (starts.into(), sizes.into());
        let dims = shape.dims();
        for (what, given) in [("a slice's starts", &starts), ("a slice's sizes", &sizes)] {
            if given.len() != dims.len() {
                let needed = match dims.len() {
                    0 => format!("none for the shape {shape}"),
                    count => format!("{count}, one a dimension of {shape}"),
                };
                return Err(Error::invalid(what, format!("{given:?}"), needed));
            }
        }
        for (at, dim) in dims.iter().enumerate() {
            let (start, size) = (starts[at], sizes[at]);
            let place = || format!("a slice of {shape}: dimension {at}");
            if size == 0 {
                return Err(Error::invalid(place(), "a size of 0", "at least 1"));
            }
            if start.checked_add(size).is_none_or(|end| end > *dim) {
                let given = format!("{} from {start}", counted(size, "element"));
                return Err(Error::invalid(place(), given, format!("an end within its {dim}")));
            }
        }
        Ok(Slice::checked(shape, starts, Shape::new(sizes)?))
    }

    /// All of a tensor.
    pub fn whole(shape: Shape) -> Self {
        let (starts, local) = (vec![0; shape.dims().len()], shape.clone());
        Slice::checked(shape, starts, local)
    }

    fn checked(shape: Shape, starts: Vec<u64>, local: Shape) -> Self {
        let (mut first, mut stride) = (0, 1);
        let mut axes = vec![Axis { size: 1, stride: 1 }];
        for (at, dim) in shape.dims().iter().enumerate().rev() {
            let size = local.dims()[at];
            // A shape's elements fit, those that are not 0 by themselves too; but a tensor may have none.
            first += starts[at] * stride;
            let within = axes.len() - 1;
            if axes[within].size * axes[within].stride == stride {
                // What lies within is whole, so places along this follow each other.
                axes[within].size *= size;
            } else if size != 1 {
                axes.push(Axis { size, stride });
            }
            stride *= dim;
        }
        Slice { shape, starts, local, first, axes }
    }

    /// The shape of the whole tensor.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Where it starts, in each dimension.
    pub fn starts(&self) -> &[u64] {
        &self.starts
    }

    /// How much of each dimension it has.
    pub fn sizes(&self) -> &[u64] {
        self.local.dims()
    }

    /// The shape of the slice as a tensor of its own.
    pub fn local_shape(&self) -> &Shape {
        &self.local
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.local.elements()
    }

    /// The index in the whole tensor, and so in its stream, of element `local` of the slice, which is
    /// below [`Slice::elements`].
    pub fn index(&self, local: u64) -> u64 {
        let mut rest = local;
        self.axes.iter().fold(self.first, |index, axis| {
            // Of a slice without elements there is nothing to ask; 0 would be divided by.
            let size = axis.size.max(1);
            let place = rest % size;
            rest /= size;
            index.wrapping_add(place.wrapping_mul(axis.stride))
        })
    }

    /// The stretches of the whole tensor that elements `range` of the slice are, each as long as it can be,
    /// in order. What lies before the range takes no time, and of a range that goes beyond the slice only
    /// what is in it is there.
    pub fn runs(&self, range: Range<u64>) -> impl Iterator<Item = Run> {
        let end = range.end.min(self.elements());
        Runs { slice: self, at: range.start, end, begin: 0, place: 0, left: 0 }
    }

    /// What its dimensions come to, from the innermost out: the first is a run of elements that follow each
    /// other, and none lies as if it were more of the one before it.
    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The index of the first of some elements of the slice, where they are one run.
    pub(crate) fn one_run(&self, range: Range<u64>) -> Option<u64> {
        let count = range.end.saturating_sub(range.start);
        self.runs(range).next().filter(|run| run.count == count).map(|run| run.first)
    }

    /// Checks that it has so many elements from `first` on.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it ends before them.
    pub(crate) fn check_range(&self, first: u64, elements: u64) -> Result<()> {
        let own = self.elements();
        if first.checked_add(elements).is_some_and(|end| end <= own) {
            return Ok(());
        }
        let given = format!("{} from {first}", counted(elements, "element"));
        let needed = format!("an end within the {own} of slice {self}");
        Err(Error::invalid("run", given, needed))
    }
}

struct Runs<'a> {
    slice: &'a Slice,
    at: u64,
    end: u64,
    /// The index of the first element of the run that `at` is in.
    begin: u64,
    /// Where in it `at` is.
    place: u64,
    /// Runs from it on that are evenly apart.
    left: u64,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let rest = self.end.checked_sub(self.at).filter(|rest| *rest > 0)?;
        let (length, next) = (self.slice.axes[0].size, self.slice.axes.get(1));
        if self.left == 0 {
            self.place = self.at % length;
            self.begin = self.slice.index(self.at - self.place);
            self.left = next.map_or(1, |axis| axis.size - self.at / length % axis.size);
        }
        let run = Run { first: self.begin + self.place, count: rest.min(length - self.place) };
        self.at += run.count;
        self.place = 0;
        self.left -= 1;
        if self.left > 0 {
            self.begin += next.map_or(0, |axis| axis.stride);
        }
        Some(run)
    }
}

/// `[0..16384, 164..328] of [16384, 16384]`.
impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.starts.iter().zip(self.sizes());
        let ranges: Vec<Range<u64>> = pairs.map(|(start, size)| *start..start + size).collect();
        write!(f, "{ranges:?} of {}", self.shape)
    }
}
