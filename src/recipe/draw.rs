//! Any elements of any tensor of a recipe, on the CPU.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::TensorSpec;
use super::stack::{Content, Stretch};
use crate::random::{Distribution, Dtype, NEVER, Runs, Source, Stream, go_on, store};
use crate::{Error, Result, cpu};

/// Draws the elements of a tensor, any stretch of them after any other. It keeps the matrix that it drew
/// last, so that who asks for one piece by piece has it drawn once; in memory are that matrix, of each part
/// that has one, and what is asked for.
pub struct Drawer<'a> {
    spec: &'a TensorSpec,
    stream: Stream,
    stop: &'a AtomicBool,
    /// Of each layer, the tensor's own being the last.
    matrices: Vec<Option<(Runs, Vec<f32>)>>,
    files: Vec<Option<File>>,
}

/// Elements between two looks at whether to stop.
const STRETCH: usize = 1 << 20;

/// Elements below which threads are not worth their start.
const ALONE: usize = 1 << 15;

impl TensorSpec {
    /// What draws the tensor's elements, of a model's seed.
    ///
    /// ```
    /// use fanin::Shape;
    /// use fanin::init::Geometry;
    /// use fanin::recipe::TensorSpec;
    /// // Eight experts, each orthogonal by itself.
    /// let geometry = Geometry { batch_dims: 1, ..Geometry::default() };
    /// let (shape, init) = (Shape::new([8, 64, 128])?, "orthogonal".parse()?);
    /// let experts = TensorSpec::with_geometry("experts", shape, init, geometry)?;
    /// // Row 5 of the last of them.
    /// let mut row = [0; 128 * 4];
    /// experts.drawer(7)?.draw((7 * 64 + 5) * 128, &mut row)?;
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where a source does not come in the tensor's dtype, or a range is none of its.
    pub fn drawer(&self, seed: u64) -> Result<Drawer<'_>> {
        self.check_dtype(self.dtype)?;
        let layers = self.layers().count() + 1;
        Ok(Drawer {
            spec: self,
            stream: Stream::named(seed, &self.name),
            stop: &NEVER,
            matrices: (0..layers).map(|_| None).collect(),
            files: (0..layers).map(|_| None).collect(),
        })
    }
}

impl TensorSpec {
    /// Some of its elements, in order, as runs that a device draws, with what from, and those that a
    /// [`Drawer`] does, joined up to `longest`: samples of each element are a device's where they are all
    /// that is asked for, or at least `least` of them stand together.
    pub(crate) fn spans(
        &self,
        elements: Range<u64>,
        least: u64,
        longest: u64,
    ) -> impl Iterator<Item = (Range<u64>, Option<Distribution>)> {
        let all = elements.clone();
        let is_sampled = Dtype::SAMPLED.contains(&self.dtype);
        let samples = move |stretch: Stretch<'_>| {
            let elements = stretch.elements;
            let own = match stretch.content {
                Content::Drawn(Source::Elements(own)) if is_sampled => Some(*own),
                _ => None,
            };
            (elements, own)
        };
        let mut stretches = self.stretches(elements).map(samples).peekable();
        // Stretches of one distribution that touch are one.
        let joined = std::iter::from_fn(move || {
            let (mut elements, own) = stretches.next()?;
            while let Some((next, _)) = stretches.next_if(|(_, next)| own.is_some() && *next == own)
            {
                elements.end = next.end;
            }
            let is_long = elements == all || elements.end - elements.start >= least;
            Some((elements, own.filter(|_| is_long)))
        });
        let mut joined = joined.peekable();
        std::iter::from_fn(move || {
            let (mut elements, own) = joined.next()?;
            let fits = |elements: &Range<u64>, next: &Range<u64>| {
                own.is_none() && next.end - elements.start <= longest
            };
            while let Some((next, _)) =
                joined.next_if(|(next, other)| other.is_none() && fits(&elements, next))
            {
                elements.end = next.end;
            }
            Some((elements, own))
        })
    }
}

impl<'a> Drawer<'a> {
    /// The same, which gives up where `stop` becomes true.
    pub fn until(self, stop: &'a AtomicBool) -> Drawer<'a> {
        Drawer { stop, ..self }
    }

    /// The tensor's elements from `first` on, in row-major order, as many as `out` has room for, in its
    /// dtype, little-endian.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `out` is no whole number of elements or goes beyond the last, or a finite
    /// value that is copied has no room in the dtype; [`Error::File`] where one cannot be read;
    /// [`Error::Interrupted`]; [`Error::Exhausted`] where there is no memory for a matrix.
    pub fn draw(&mut self, first: u64, out: &mut [u8]) -> Result<()> {
        let (spec, size) = (self.spec, self.spec.dtype.size());
        let (count, all) = ((out.len() / size) as u64, spec.shape.elements());
        let end =
            first.checked_add(count).filter(|end| *end <= all && out.len().is_multiple_of(size));
        let Some(end) = end else {
            let given = format!("{} bytes from element {first} on", out.len());
            let needed = format!("whole elements of {}, up to {all}", spec.dtype);
            return Err(Error::invalid(format!("tensor `{}`", spec.name), given, needed));
        };
        let mut rest = out;
        for stretch in spec.stretches(first..end) {
            let length = (stretch.elements.end - stretch.elements.start) as usize * size;
            let out;
            (out, rest) = rest.split_at_mut(length);
            go_on(self.stop)?;
            let first = stretch.elements.start;
            match stretch.content {
                Content::Drawn(Source::Whole(whole)) => {
                    let matrix = &mut self.matrices[stretch.layer];
                    if matrix.as_ref().is_none_or(|(runs, _)| *runs != stretch.runs) {
                        // The room of the one before comes first.
                        *matrix = None;
                        let values = whole.draw_box(&self.stream, &stretch.runs, self.stop)?;
                        *matrix = Some((stretch.runs, values));
                    }
                    if let Some((runs, values)) = matrix {
                        let values = &values[runs.local(first) as usize..][..length / size];
                        store(values, spec.dtype, out);
                    }
                }
                Content::Drawn(source) => {
                    let parts = (first..).step_by(STRETCH).zip(out.chunks_mut(STRETCH * size));
                    for (first, out) in parts {
                        go_on(self.stop)?;
                        self.draw_alone(source, &stretch.runs, first, out)?;
                    }
                }
                Content::Kept(kept) => {
                    let file = &mut self.files[stretch.layer];
                    kept.read(file, &spec.name, spec.dtype, first, out)?;
                }
            }
        }
        Ok(())
    }

    /// Elements each of which can be drawn alone.
    fn draw_alone(&self, source: &Source, runs: &Runs, first: u64, out: &mut [u8]) -> Result<()> {
        let (stream, dtype) = (&self.stream, self.spec.dtype);
        match source {
            Source::Elements(distribution) if out.len() < ALONE * dtype.size() => {
                cpu::fill_here(stream, distribution, dtype, first, out, |_| ())
            }
            Source::Elements(distribution) => cpu::fill(stream, distribution, dtype, first, out),
            Source::Table(table) => table.draw(stream, runs, dtype, first, out),
            Source::Whole(_) => Ok(()),
        }
    }
}
