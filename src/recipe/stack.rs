//! Tensors of several parts: stacked matrices, fused ones, ranges with an initializer of their own.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::TensorSpec;
use super::grid::Grid;
use super::keep::Kept;
use crate::init::{Fans, Geometry, Init};
use crate::random::{Distribution, Dtype, Runs, Source};
use crate::{Error, Layout, Result, Shape};

/// Weights that are one tensor and several layers: the query's, the key's and the value's, say. Each is
/// initialized as a tensor of its own shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fused {
    /// How long each is.
    pub parts: Parts,
    /// The axis along which they follow one another; else that of the outputs.
    pub axis: Option<usize>,
}

/// How long fused weights are along their axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    /// So many, all of them equal.
    Equal(u64),
    /// Each by itself.
    Lengths(Vec<u64>),
}

/// A range of one axis that has an initializer of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranged {
    /// The axis, of all that the tensor has.
    pub axis: usize,
    /// The indices along it.
    pub rows: Range<u64>,
    /// The initializer as written, with its depth.
    pub init: String,
    /// What the range's elements are drawn from: a matrix has the shape of the range.
    pub source: Source,
    /// How its shape is read, and the fans of the whole tensor.
    pub geometry: Geometry,
    /// Where its elements are copied from, if they are.
    pub kept: Option<Kept>,
}

/// Indices along an axis: `3`, `2..5` (2, 3, 4), `5..` (to the end), `..5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    start: u64,
    end: Option<u64>,
}

/// Elements of a tensor, one after the other, that come from one source.
#[derive(Clone, Debug)]
pub struct Stretch<'a> {
    /// Which, in row-major order.
    pub elements: Range<u64>,
    /// Where they come from.
    pub content: Content<'a>,
    /// The range or part that they are of, or as many as there are of these.
    pub(super) layer: usize,
    /// The matrix that they are of, where they are of one.
    pub(super) runs: Runs,
}

/// Where a stretch of elements comes from.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// They are drawn.
    Drawn(&'a Source),
    /// They are copied.
    Kept(&'a Kept),
}

/// The most ranges and parts of a tensor.
pub(super) const MOST_RANGES: usize = 256;

/// The most boxes between the ends of ranges that moments are taken over.
const MOST_BOXES: usize = 1 << 18;

/// Ranges that are named one by one, where a tensor's initializers are.
const NAMED: usize = 3;

impl FromStr for Rows {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let needed =
                "an index, or a range that is not empty: 3, 2..5 (which is 2, 3 and 4), 5.., ..5";
            Error::invalid("rows", format!("`{text}`"), needed)
        };
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        let (start, end) = match text.split_once("..") {
            None => {
                let row = number(text)?;
                (row, Some(row.checked_add(1).ok_or_else(wrong)?))
            }
            Some((start, end)) => {
                let start = if start.trim().is_empty() { 0 } else { number(start)? };
                let end = match end.trim() {
                    "" => None,
                    end => Some(number(end)?),
                };
                (start, end)
            }
        };
        match end {
            Some(end) if end <= start => Err(wrong()),
            _ => Ok(Rows { start, end }),
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "{}..{end}", self.start),
            None => write!(f, "{}..", self.start),
        }
    }
}

impl Rows {
    /// # Errors
    /// [`Error::Invalid`] where there are none.
    pub(super) fn new(start: u64, end: u64) -> Result<Rows> {
        if start < end {
            return Ok(Rows { start, end: Some(end) });
        }
        Err(Error::invalid("rows", format!("{start}..{end}"), "a range that is not empty"))
    }

    /// The indices along an axis of a shape.
    pub(super) fn of(self, shape: &Shape, axis: usize) -> Result<Range<u64>> {
        let Some(&length) = shape.dims().get(axis) else {
            let needed = match shape.dims().len() {
                0 => format!("a tensor with axes: shape {shape} has none"),
                axes => format!("at most {}: shape {shape}", axes - 1),
            };
            return Err(Error::invalid("axis", axis, needed));
        };
        let rows = self.start..self.end.unwrap_or(length);
        if rows.is_empty() || rows.end > length {
            let given = format!("{self} of axis {axis} of shape {shape}");
            let needed = format!("a range within its {length}");
            return Err(Error::invalid("rows", given, needed));
        }
        Ok(rows)
    }
}

/// `shape` with another length of an axis.
pub(super) fn resized(shape: &Shape, axis: usize, length: u64) -> Result<Shape> {
    let mut dims = shape.dims().to_vec();
    dims[axis] = length;
    Shape::new(dims)
}

impl Fused {
    /// So many weights of one length along the outputs' axis.
    pub fn equal(parts: u64) -> Fused {
        Fused { parts: Parts::Equal(parts), axis: None }
    }

    /// Weights of these lengths along the outputs' axis.
    pub fn lengths(lengths: impl Into<Vec<u64>>) -> Fused {
        Fused { parts: Parts::Lengths(lengths.into()), axis: None }
    }

    /// The axis, and the indices along it of each of the weights that are a shape.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the shape has no such axis, or its length is not theirs.
    pub fn rows(&self, shape: &Shape, geometry: &Geometry) -> Result<(usize, Vec<Range<u64>>)> {
        let axes = geometry.matrix(shape)?.dims().len();
        // The transposed convolution's are not at an end.
        let inner = usize::from(geometry.transposed && axes >= 2);
        let outputs = match geometry.layout {
            Layout::OutIn => geometry.batch_dims + inner,
            Layout::InOut => shape.dims().len().saturating_sub(1 + inner),
        };
        let axis = self.axis.unwrap_or(outputs);
        let length = shape.dims().get(axis).filter(|_| axes > 0 || self.axis.is_some());
        let Some(&length) = length else {
            let given = format!("parts of axis {axis} of shape {shape}");
            let needed = "an axis of a matrix's, or parts_axis, which is one of the tensor's";
            return Err(Error::invalid("parts", given, needed));
        };
        let wrong = |given: String, needed: String| {
            let given = format!("{given} of axis {axis} of shape {shape}");
            Error::invalid("parts", given, needed)
        };
        let lengths = match &self.parts {
            Parts::Equal(parts) => {
                if *parts == 0 || length % parts != 0 {
                    return Err(wrong(parts.to_string(), format!("a divisor of {length}")));
                }
                let count = usize::try_from(*parts).unwrap_or(usize::MAX);
                vec![length / parts; count.min(MOST_RANGES + 1)]
            }
            Parts::Lengths(lengths) => {
                let sum = lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length));
                if lengths.contains(&0) || sum != Some(length) {
                    let needed = format!("lengths above 0 whose sum is {length}");
                    return Err(wrong(format!("{lengths:?}"), needed));
                }
                lengths.clone()
            }
        };
        if lengths.len() > MOST_RANGES {
            let given = match &self.parts {
                Parts::Equal(parts) => *parts,
                Parts::Lengths(lengths) => lengths.len() as u64,
            };
            return Err(wrong(given.to_string(), format!("at most {MOST_RANGES}")));
        }
        let mut end = 0;
        let row = |length| {
            end += length;
            end - length..end
        };
        Ok((axis, lengths.into_iter().map(row).collect()))
    }

    /// The shape of the first of them.
    pub(super) fn first(&self, shape: &Shape, geometry: &Geometry) -> Result<Shape> {
        let (axis, rows) = self.rows(shape, geometry)?;
        resized(shape, axis, rows.first().map_or(0, |rows| rows.end))
    }
}

/// What a shape is drawn from: its source, and the parts that have another.
pub(super) struct Drawn {
    pub(super) init: String,
    pub(super) source: Source,
    pub(super) parts: Vec<Ranged>,
}

impl Drawn {
    /// Of fused weights, each as it is by itself; `of` says what a shape is drawn from, and `text` how that
    /// is written.
    pub(super) fn new(
        text: &str,
        shape: &Shape,
        geometry: &Geometry,
        fused: Option<&Fused>,
        of: impl Fn(&Shape) -> Result<Source>,
    ) -> Result<Drawn> {
        let mut parts: Vec<Ranged> = Vec::new();
        for (axis, rows) in fused.iter().map(|fused| fused.rows(shape, geometry)).flat_map(split) {
            let rows = rows?;
            let source = of(&resized(shape, axis, rows.end - rows.start)?)?;
            let (init, geometry) = (text.to_owned(), *geometry);
            parts.push(Ranged { axis, rows, init, source, geometry, kept: None });
        }
        let matrices = match geometry.batch_dims {
            0 => None,
            _ => Some(geometry.matrices(shape)),
        };
        let count = |count: u64, one: &str, more: &str| {
            format!("{count} {}", if count == 1 { one } else { more })
        };
        let mut said = Vec::new();
        said.extend(matrices.map(|matrices| count(matrices, "matrix", "matrices")));
        said.extend(fused.map(|_| count(parts.len() as u64, "part", "parts")));
        let init = match said.is_empty() {
            true => text.to_owned(),
            false => format!("{text} ({})", said.join(" of ")),
        };
        let source = match parts.first() {
            Some(first) => first.source,
            None => of(shape)?,
        };
        // Where each element is drawn alone, and alike, nobody can tell.
        let is_alike =
            |part: &Ranged| part.source == source && matches!(source, Source::Elements(_));
        if parts.iter().all(is_alike) {
            parts.clear();
            return Ok(Drawn { init, source, parts });
        }
        // Nothing is left for it.
        Ok(Drawn { init, source: Distribution::Constant { value: 0.0 }.into(), parts })
    }
}

/// Each range of an axis, or why there are none.
fn split(rows: Result<(usize, Vec<Range<u64>>)>) -> Vec<(usize, Result<Range<u64>>)> {
    match rows {
        Ok((axis, rows)) => rows.into_iter().map(|rows| (axis, Ok(rows))).collect(),
        Err(error) => vec![(0, Err(error))],
    }
}

impl Ranged {
    /// The shape of a range of an axis of `shape`, and `geometry` with the fans of the whole where it has
    /// none given.
    pub(super) fn read(
        shape: &Shape,
        geometry: &Geometry,
        axis: usize,
        rows: &Range<u64>,
    ) -> Result<(Shape, Geometry)> {
        let own = resized(shape, axis, rows.end - rows.start)?;
        let Ok(Fans { fan_in, fan_out }) = geometry.fans(shape) else {
            return Ok((own, *geometry));
        };
        let fans = Geometry { fan_in: Some(fan_in), fan_out: Some(fan_out), ..*geometry };
        Ok((own, fans))
    }

    /// Rows of a tensor of `shape`, copied out of a file that has it in the shape `from`: the same but for
    /// the length of that axis, which has to have them.
    pub(super) fn kept(
        kept: &Kept,
        from: &Shape,
        shape: &Shape,
        axis: usize,
        rows: &Range<u64>,
    ) -> Result<Kept> {
        let there = from.dims().get(axis).copied().unwrap_or(0);
        if rows.end > there || resized(shape, axis, there)? != *from {
            let given = format!("rows {}..{} of a file's {from}", rows.start, rows.end);
            let needed =
                "rows that are there, of a tensor that differs in the length of their axis alone";
            return Err(Error::invalid("keep", given, needed));
        }
        let inner: u64 = shape.dims()[axis + 1..].iter().product();
        Ok(kept.resized(inner * shape.dims()[axis], inner * there))
    }

    /// Its indices, as messages have them.
    pub(super) fn place(&self) -> String {
        let Ranged { axis, rows, .. } = self;
        let rows = match rows.end - rows.start {
            1 => rows.start.to_string(),
            _ => format!("{}..{}", rows.start, rows.end),
        };
        if *axis == 0 { rows } else { format!("{rows} of axis {axis}") }
    }

    /// From a row of its axis to the next, and from an index before the axis to the next, in elements.
    fn strides(&self, shape: &Shape) -> (u64, u64) {
        let inner: u64 = shape.dims()[self.axis + 1..].iter().product();
        (inner, inner * shape.dims()[self.axis])
    }
}

impl TensorSpec {
    /// The same with an initializer of its own for a range of an axis, whose fans are those of the whole
    /// tensor: a row of zeros for `padding_idx`, ones for the biases of an LSTM's forget gate. Of ranges that
    /// have elements in common the earlier has them.
    ///
    /// ```
    /// use fanin::Shape;
    /// use fanin::recipe::TensorSpec;
    /// let table = TensorSpec::new("wte", Shape::new([50304, 768])?, "normal:0.02".parse()?)?;
    /// let table = table.with_range(0, 50257..50304, "zeros".parse()?)?;
    /// assert_eq!(table.written(), "normal:std=0.02,mean=0; constant:0 at 50257..50304");
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensor has no such range, or the initializer does not fit it.
    pub fn with_range(mut self, axis: usize, rows: Range<u64>, init: Init) -> Result<TensorSpec> {
        let place = |error: Error| error.at(format!("tensor `{}`", self.name));
        let asked = Rows { start: rows.start, end: Some(rows.end) };
        let rows = asked.of(&self.shape, axis).map_err(place)?;
        super::check_drawn(&init, init).map_err(place)?;
        let (shape, geometry) =
            Ranged::read(&self.shape, &self.geometry, axis, &rows).map_err(place)?;
        let source = init.source(&shape, &geometry).map_err(place)?;
        let init = init.to_string();
        let range = Ranged { axis, rows, init, source, geometry, kept: None };
        self.ranges.push(range);
        self.check_ranges(self.dtype)?;
        Ok(self)
    }

    /// The files that some of it is copied from.
    pub(super) fn copies(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter().chain(self.layers().filter_map(|range| range.kept.as_ref()))
    }

    /// What lies over the tensor's own source, the first that has an element before the others.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Ranged> {
        self.ranges.iter().chain(&self.parts)
    }

    /// That every range is one of the tensor's, its elements can be of `dtype`, and matrices are as large as
    /// there is room for.
    pub(super) fn check_ranges(&self, dtype: Dtype) -> Result<()> {
        let at = |error: Error| error.at(format!("tensor `{}`", self.name));
        let count = self.layers().count();
        if count > MOST_RANGES {
            let given = format!("{count} ranges and parts");
            return Err(at(Error::invalid("ranges", given, format!("at most {MOST_RANGES}"))));
        }
        let matrix = self.geometry.matrix(&self.shape).map(|matrix| matrix.elements());
        if let (Some(elements), None) = (self.source.elements(), &self.kept)
            && matrix.as_ref().ok() != Some(&elements)
        {
            let given = format!("a matrix of {elements} elements");
            let needed = format!("one of shape {}, batch_dims left out", self.shape);
            return Err(at(Error::invalid("source", given, needed)));
        }
        for range in self.layers() {
            let at = |error: Error| at(error.at(format!("rows {}", range.place())));
            let rows = Rows { start: range.rows.start, end: Some(range.rows.end) };
            let rows = rows.of(&self.shape, range.axis).map_err(at)?;
            // What is a matrix is as large as the range of each.
            if let (Some(elements), None) = (range.source.elements(), &range.kept) {
                let own = resized(&self.shape, range.axis, rows.end - rows.start).map_err(at)?;
                let matrix = range.geometry.matrix(&own).map_err(at)?.elements();
                if matrix != elements {
                    let given = format!("a matrix of {elements} elements");
                    return Err(at(Error::invalid("source", given, format!("{matrix}"))));
                }
            }
            super::check_dtype(&range.source, range.kept.as_ref(), dtype).map_err(at)?;
        }
        Ok(())
    }

    /// The initializer as written, and those of its ranges: `normal:0.02; zeros at 50257..50304`.
    pub fn written(&self) -> String {
        let mut text = self.init.clone();
        match self.ranges.len() {
            0 => {}
            1..=NAMED => {
                for range in &self.ranges {
                    text += &format!("; {} at {}", range.init, range.place());
                }
            }
            count => text += &format!("; {count} ranges"),
        }
        text
    }

    /// Mean and standard deviation as expected over all elements; none where some are copied, or ranges of
    /// several axes cross in more than 2^18 boxes.
    pub fn expected(&self) -> Option<[f64; 2]> {
        let layers: Vec<&Ranged> = self.layers().collect();
        let is_kept = self.kept.is_some() || layers.iter().any(|range| range.kept.is_some());
        if is_kept {
            return None;
        }
        let moments = |source: &Source| [source.mean(), source.std()];
        if layers.is_empty() {
            return Some(moments(&self.source));
        }
        // Boxes between the ends of all ranges: each has one owner.
        let ends = layers
            .iter()
            .flat_map(|range| [range.rows.start, range.rows.end].map(|end| (range.axis, end)));
        let grid = Grid::new(self.shape.dims(), ends);
        let mut elements = vec![0u64; layers.len() + 1];
        for number in 0..grid.cells(MOST_BOXES)? {
            let (corner, size) = grid.cell(number);
            let owner = layers.iter().position(|range| range.rows.contains(&corner[range.axis]));
            elements[owner.unwrap_or(layers.len())] += size;
        }
        let sources = layers.iter().map(|range| &range.source).chain([&self.source]);
        let all = self.shape.elements() as f64;
        let mut sums = [0.0; 2];
        for (source, &elements) in sources.zip(&elements).filter(|(_, elements)| **elements > 0) {
            let share = elements as f64 / all;
            let [mean, std] = moments(source);
            sums[0] += share * mean;
            sums[1] += share * (std * std + mean * mean);
        }
        Some([sums[0], (sums[1] - sums[0] * sums[0]).max(0.0).sqrt()])
    }

    /// The tensor's elements as stretches that come from one source each, in order. What is drawn as a
    /// matrix comes a matrix at a time at most.
    pub fn stretches(&self, elements: Range<u64>) -> impl Iterator<Item = Stretch<'_>> {
        // Each range of an axis comes again and again: where in a period it begins and ends.
        let layers: Vec<(&Ranged, u64, u64, u64)> = self
            .layers()
            .map(|range| {
                let (inner, stride) = range.strides(&self.shape);
                (range, range.rows.start * inner, range.rows.end * inner, stride)
            })
            .collect();
        let (mut at, end) = (elements.start, elements.end.min(self.shape.elements()));
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let mut until = end;
            let mut owner = None;
            for (layer, (range, first, last, stride)) in layers.iter().enumerate() {
                let place = at % stride;
                if (*first..*last).contains(&place) {
                    until = until.min(at + (last - place));
                    owner = Some((layer, *range));
                    break;
                }
                let ahead = if place < *first { first - place } else { stride - place + first };
                until = until.min(at.saturating_add(ahead));
            }
            let layer = owner.map_or(layers.len(), |(layer, _)| layer);
            let (source, kept) = match owner {
                Some((_, range)) => (&range.source, range.kept.as_ref()),
                None => (&self.source, self.kept.as_ref()),
            };
            let mut runs = Runs::WHOLE;
            if let (Some(size), None) = (source.elements(), kept) {
                runs = self.runs(owner.map(|(_, range)| range), size, at);
                if runs.run == size {
                    until = until.min(runs.first + size);
                }
            }
            let content = kept.map_or(Content::Drawn(source), Content::Kept);
            let stretch = Stretch { elements: at..until, content, layer, runs };
            at = until;
            Some(stretch)
        })
    }

    /// Where the matrix of `size` elements that has element `at` has its others: one of the tensor's own,
    /// or of a range's.
    fn runs(&self, range: Option<&Ranged>, size: u64, at: u64) -> Runs {
        match range {
            // Some rows or columns of each.
            Some(range) if range.axis >= range.geometry.batch_dims => {
                let (inner, stride) = range.strides(&self.shape);
                let whole: u64 = self.shape.dims()[range.geometry.batch_dims..].iter().product();
                let first = at / whole * whole + range.rows.start * inner;
                let run = (range.rows.end - range.rows.start) * inner;
                Runs { first, run, stride }
            }
            _ => Runs { first: at / size * size, run: size, stride: size },
        }
    }
}
