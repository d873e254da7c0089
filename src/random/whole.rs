use std::sync::atomic::{AtomicBool, Ordering};

use super::orthogonal::orthogonal;
use super::sample::check_extent;
use super::{Distribution, Dtype, Runs, Stream, Table};
use crate::host::parallel::*;
use crate::{Error, Layout, Result, counted, memory};

/// What a tensor's values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// Each element alone, on any device.
    Elements(Distribution),
    /// A matrix as a whole, on the CPU.
    Whole(Whole),
    /// Each element alone by its place, on the CPU.
    Table(Table),
}

/// A tensor, or one of the matrices that are stacked in it, whose elements depend on one another: drawn as a
/// whole, on the CPU, in an order of operations that no device, thread or instruction set changes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Whole {
    /// `gain` where row and column are equal, else 0: `[rows, columns]`.
    Identity {
        /// Rows.
        rows: u64,
        /// Columns.
        columns: u64,
        /// The value on the diagonal.
        gain: f64,
    },
    /// Convolutions that pass channels on: with `c = min(outputs / groups, inputs)`, output channel
    /// `g outputs / groups + d` has `gain` at the centre tap of input channel `d < c`, else 0
    /// (Zagoruyko and Komodakis 2017; PyTorch's `dirac_`).
    Dirac {
        /// The shape.
        kernel: ConvKernel,
        /// Groups of the convolution.
        groups: u64,
        /// The value at the centre.
        gain: f64,
    },
    /// `gain` times a matrix `[rows, columns]` whose shorter side's vectors are orthonormal, uniform
    /// under the Haar measure (Saxe et al. 2014), by Stewart's (1980) product of reflections:
    /// reflection `k` is that of the standard normals of elements `k m .. k m + (m - k)` of the stream,
    /// `m` the longer side. In f64 in a fixed order, rounded once: each inner product of two vectors
    /// is off by 1e-7 at most.
    Orthogonal {
        /// Rows.
        rows: u64,
        /// Columns.
        columns: u64,
        /// The factor.
        gain: f64,
    },
    /// At the centre tap an [orthogonal](Whole::Orthogonal) `[outputs, inputs]`, else 0: signals keep
    /// their norm through any number of convolutions (Xiao et al. 2018). No more inputs than outputs.
    DeltaOrthogonal {
        /// The shape.
        kernel: ConvKernel,
        /// The factor.
        gain: f64,
    },
    /// `[rows, columns]`: in each column `ceil(sparsity rows)` zeros, and at the other places what
    /// `N(0, std^2)` has there (Martens 2010; PyTorch's `sparse_`). The zeros are where the words of
    /// the stream `(seed, !id)`, at the elements' own indices, are smallest of the column.
    Sparse {
        /// Rows.
        rows: u64,
        /// Columns.
        columns: u64,
        /// The share of zeros, from 0 to 1.
        sparsity: f64,
        /// The standard deviation of the others.
        std: f64,
    },
}

/// A convolution's weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvKernel {
    /// Output channels, of all groups.
    pub outputs: u64,
    /// Input channels of one group.
    pub inputs: u64,
    /// The product of the kernel's dimensions.
    pub taps: u64,
    /// The index of the centre among them: each dimension's half, rounded down.
    pub centre: u64,
    /// Which end of the shape is the output.
    pub layout: Layout,
}

impl ConvKernel {
    fn elements(&self) -> Option<u64> {
        self.outputs.checked_mul(self.inputs)?.checked_mul(self.taps)
    }

    /// The index of the centre tap between two channels.
    fn at(&self, output: u64, input: u64) -> usize {
        (match self.layout {
            Layout::OutIn => (output * self.inputs + input) * self.taps + self.centre,
            Layout::InOut => (self.centre * self.inputs + input) * self.outputs + output,
        }) as usize
    }
}

/// What [`Whole`]s differ in beside their elements.
struct Facts {
    /// None where there are too many for a number.
    elements: Option<u64>,
    /// The factor: the gain, or the standard deviation.
    scale: f64,
    /// Of all elements.
    mean: f64,
    std: f64,
}

/// The most elements that are drawn as a whole: 16 GiB in f64.
const MOST: u64 = 1 << 31;

impl Whole {
    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.facts().elements.unwrap_or(u64::MAX)
    }

    /// All that can be said of one beside what it is drawn from.
    fn facts(&self) -> Facts {
        // So many elements are `gain`, the others 0.
        let ones = |elements: Option<u64>, ones: u64, gain: f64| {
            let count = elements.unwrap_or(u64::MAX) as f64;
            let share = ones as f64 / count;
            let std = gain * (share * (1.0 - share)).sqrt();
            Facts { elements, scale: gain, mean: gain * ones as f64 / count, std }
        };
        match *self {
            Whole::Identity { rows, columns, gain } => {
                ones(rows.checked_mul(columns), rows.min(columns), gain)
            }
            Whole::Dirac { kernel, groups, gain } => {
                let of_group = kernel.outputs.checked_div(groups).unwrap_or(0).min(kernel.inputs);
                ones(kernel.elements(), groups * of_group, gain)
            }
            Whole::Orthogonal { rows, columns, gain } => Facts {
                elements: rows.checked_mul(columns),
                scale: gain,
                mean: 0.0,
                std: gain / (rows.max(columns) as f64).sqrt(),
            },
            Whole::DeltaOrthogonal { kernel, gain } => Facts {
                elements: kernel.elements(),
                scale: gain,
                mean: 0.0,
                std: gain / (kernel.outputs as f64 * kernel.taps as f64).sqrt(),
            },
            Whole::Sparse { rows, columns, sparsity, std } => Facts {
                elements: rows.checked_mul(columns),
                scale: std,
                mean: 0.0,
                std: std * (1.0 - zeros(rows, sparsity) as f64 / rows as f64).sqrt(),
            },
        }
    }

    fn scale_mut(&mut self) -> &mut f64 {
        match self {
            Whole::Identity { gain, .. }
            | Whole::Dirac { gain, .. }
            | Whole::Orthogonal { gain, .. }
            | Whole::DeltaOrthogonal { gain, .. } => gain,
            Whole::Sparse { std, .. } => std,
        }
    }

    /// The same with its gain, or standard deviation, divided by `by`.
    pub fn scaled_down(mut self, by: f64) -> Whole {
        *self.scale_mut() /= by;
        self
    }

    /// The expected mean of the elements: `gain` times the share that has it for an identity, else 0.
    pub fn mean(&self) -> f64 {
        self.facts().mean
    }

    /// The expected standard deviation over all elements: `gain / sqrt(max(rows, columns))` for an
    /// orthogonal matrix, `std sqrt(1 - zeros / rows)` for a sparse one.
    pub fn std(&self) -> f64 {
        self.facts().std
    }

    /// Checks shape and parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a gain is not finite, a standard deviation is none that
    /// [`Distribution::check`] takes, a sparsity is not within 0..1, groups do not divide the
    /// outputs, a delta-orthogonal kernel has more inputs than outputs, or there are more than 2^31
    /// elements.
    pub fn check(&self) -> Result<()> {
        if self.facts().elements.is_none_or(|elements| elements > MOST) {
            let given = counted(self.elements(), "element");
            return Err(Error::invalid("a tensor drawn as a whole", given, "at most 2^31"));
        }
        match *self {
            Whole::Sparse { sparsity, std, .. } => {
                if !(0.0..=1.0).contains(&sparsity) {
                    return Err(Error::invalid("sparsity", sparsity, "a share from 0 to 1"));
                }
                return Distribution::normal(std).check();
            }
            Whole::Dirac { kernel, groups, .. } if groups == 0 || kernel.outputs % groups != 0 => {
                let needed = format!("a divisor of the {} output channels", kernel.outputs);
                return Err(Error::invalid("groups", groups, needed));
            }
            Whole::DeltaOrthogonal { kernel, .. } if kernel.inputs > kernel.outputs => {
                let given = format!("{} inputs, {} outputs", kernel.inputs, kernel.outputs);
                let needed = "no more input than output channels: norms cannot be kept otherwise";
                return Err(Error::invalid("delta-orthogonal kernel", given, needed));
            }
            Whole::Identity { .. }
            | Whole::Dirac { .. }
            | Whole::Orthogonal { .. }
            | Whole::DeltaOrthogonal { .. } => {}
        }
        let gain = self.facts().scale;
        // As large as f32 holds, and no product of it with an element is subnormal for sure.
        if !(gain.is_finite() && (1e-30..1e30).contains(&gain.abs())) {
            return Err(Error::invalid("gain", gain, "a number of size 1e-30 to 1e30"));
        }
        Ok(())
    }

    /// The elements, row-major.
    ///
    /// # Errors
    /// As [`Whole::check`].
    pub fn draw(&self, stream: &Stream) -> Result<Vec<f32>> {
        self.draw_box(stream, &Runs::WHOLE, &NEVER)
    }

    /// As [`Whole::draw`], of the words of a box of the tensor, given up where `stop` becomes true.
    pub(crate) fn draw_box(
        &self,
        stream: &Stream,
        runs: &Runs,
        stop: &AtomicBool,
    ) -> Result<Vec<f32>> {
        self.check()?;
        let zeros = || memory::filled("a tensor drawn whole", self.elements() as usize, 0f32);
        Ok(match *self {
            Whole::Identity { rows, columns, gain } => {
                let mut out = zeros()?;
                let diagonal = (0..rows.min(columns)).map(|at| (at * columns + at) as usize);
                diagonal.for_each(|at| out[at] = gain as f32);
                out
            }
            Whole::Dirac { kernel, groups, gain } => {
                let mut out = zeros()?;
                let of_group = kernel.outputs / groups;
                for group in 0..groups {
                    for channel in 0..of_group.min(kernel.inputs) {
                        out[kernel.at(group * of_group + channel, channel)] = gain as f32;
                    }
                }
                out
            }
            Whole::Orthogonal { rows, columns, gain } => {
                orthogonal(stream, runs, [rows as usize, columns as usize], gain, stop)?
            }
            Whole::DeltaOrthogonal { kernel, gain } => {
                let sides = [kernel.outputs as usize, kernel.inputs as usize];
                let centre = orthogonal(stream, runs, sides, gain, stop)?;
                let mut out = zeros()?;
                for (index, value) in (0..).zip(centre) {
                    out[kernel.at(index / kernel.inputs, index % kernel.inputs)] = value;
                }
                out
            }
            Whole::Sparse { rows, columns, sparsity, std } => {
                sparse(stream, runs, [rows, columns], sparsity, std, stop)?
            }
        })
    }
}

/// How many zeros a column has.
fn zeros(rows: u64, sparsity: f64) -> u64 {
    (sparsity * rows as f64).ceil() as u64
}

/// Says nothing to stop for.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// That `stop` is not true yet.
pub(crate) fn go_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Elements between two looks at whether to stop: a hundredth of a second's work.
const STRETCH: usize = 1 << 20;

/// Elements of a thread's turn.
const TASK: usize = 1 << 14;

/// Little-endian elements of a box, from its start on.
fn fill(
    stream: &Stream,
    runs: &Runs,
    distribution: &Distribution,
    dtype: Dtype,
    out: &mut [u8],
    stop: &AtomicBool,
) -> Result<()> {
    let size = dtype.size();
    for (first, out) in (0..).step_by(STRETCH).zip(out.chunks_mut(STRETCH * size)) {
        go_on(stop)?;
        out.par_chunks_mut(size * TASK).enumerate().try_for_each(|(task, mut out)| {
            let count = (out.len() / size) as u64;
            for (at, length) in runs.stretches(first + (task * TASK) as u64, count) {
                let own;
                (own, out) = out.split_at_mut(length as usize * size);
                distribution.draw(stream, dtype, at, own)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn sparse(
    stream: &Stream,
    runs: &Runs,
    [rows, columns]: [u64; 2],
    sparsity: f64,
    std: f64,
    stop: &AtomicBool,
) -> Result<Vec<f32>> {
    let mut out = memory::filled("a tensor drawn whole", (rows * columns) as usize, 0f32)?;
    let bytes = bytemuck::cast_slice_mut(&mut out);
    fill(stream, runs, &Distribution::normal(std), Dtype::F32, bytes, stop)?;
    let mut words = memory::filled("the ranks of a tensor's elements", out.len(), 0u32)?;
    let ranks = Stream::new(stream.seed, !stream.id);
    let bytes = bytemuck::cast_slice_mut(&mut words);
    fill(&ranks, runs, &Distribution::Words, Dtype::U32, bytes, stop)?;
    let zeros = zeros(rows, sparsity) as usize;
    for column in 0..columns {
        go_on(stop)?;
        let mut places: Vec<(u32, u64)> =
            (0..rows).map(|row| (words[(row * columns + column) as usize], row)).collect();
        // Of equal words the upper row's comes first.
        places.sort_unstable();
        for (_, row) in &places[..zeros] {
            out[(row * columns + column) as usize] = 0.0;
        }
    }
    Ok(out)
}

impl From<Distribution> for Source {
    fn from(distribution: Distribution) -> Self {
        Source::Elements(distribution)
    }
}

impl PartialEq<Distribution> for Source {
    fn eq(&self, other: &Distribution) -> bool {
        matches!(self, Source::Elements(own) if own == other)
    }
}

impl Source {
    /// The expected mean of the elements.
    pub fn mean(&self) -> f64 {
        match self {
            Source::Elements(distribution) => distribution.mean(),
            Source::Whole(whole) => whole.mean(),
            Source::Table(table) => table.moments().0,
        }
    }

    /// The expected standard deviation of the elements.
    pub fn std(&self) -> f64 {
        match self {
            Source::Elements(distribution) => distribution.std(),
            Source::Whole(whole) => whole.std(),
            Source::Table(table) => table.moments().1,
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// As [`Distribution::check`], [`Whole::check`] and [`Formula::check`](super::Formula::check).
    pub fn check(&self) -> Result<()> {
        match self {
            Source::Elements(distribution) => distribution.check(),
            Source::Whole(whole) => whole.check(),
            Source::Table(table) => table.formula().check(),
        }
    }

    /// Checks that it comes in `dtype`: as [`Distribution::check_dtype`]; what is drawn as a whole, and a
    /// table, in one of [`Dtype::SAMPLED`]; a table of whole numbers in integers too.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what would do.
    pub fn check_dtype(&self, dtype: Dtype) -> Result<()> {
        match self {
            Source::Elements(distribution) => distribution.check_dtype(dtype),
            Source::Table(table) => table.check_dtype(dtype),
            Source::Whole(Whole::Sparse { std, .. }) => {
                Distribution::normal(*std).check_dtype(dtype)
            }
            Source::Whole(whole) => {
                // Names the dtypes where this is none; no element is larger than the gain, but for the
                // roundings of an orthogonal matrix.
                let gain = whole.facts().scale.abs();
                Distribution::normal(1.0).check_dtype(dtype)?;
                check_extent(dtype, (gain * (1.0 + 1e-6)) as f32)
            }
        }
    }

    /// The same with its spread divided by `by`: a gain, a standard deviation, the half-width of a uniform
    /// about its middle. What has no scale stays as it is.
    pub fn scaled_down(self, by: f64) -> Source {
        match self {
            Source::Elements(distribution) => Source::Elements(distribution.scaled_down(by)),
            Source::Whole(whole) => Source::Whole(whole.scaled_down(by)),
            // It has no scale.
            Source::Table(_) => self,
        }
    }

    /// Whether it has a scale that can be divided: not so a constant and a table.
    pub fn has_scale(&self) -> bool {
        !matches!(self, Source::Elements(Distribution::Constant { .. }) | Source::Table(_))
    }

    /// How many elements it gives at a time: those of a matrix; none where each is drawn alone and
    /// wherever it stands.
    pub(crate) fn elements(&self) -> Option<u64> {
        match self {
            Source::Elements(_) => None,
            Source::Whole(whole) => Some(whole.elements()),
            Source::Table(table) => Some(table.elements()),
        }
    }

    /// All `elements` of a tensor that is one matrix in `dtype`, little-endian.
    ///
    /// # Errors
    /// As [`Source::check`] and [`Source::check_dtype`].
    pub fn draw(&self, stream: &Stream, dtype: Dtype, elements: u64) -> Result<Vec<u8>> {
        self.check_dtype(dtype)?;
        let length = (elements as usize).saturating_mul(dtype.size());
        let mut bytes = memory::filled("a tensor's bytes", length, 0)?;
        match self {
            Source::Elements(distribution) => {
                fill(stream, &Runs::WHOLE, distribution, dtype, &mut bytes, &NEVER)?;
            }
            Source::Whole(whole) => store(&whole.draw(stream)?, dtype, &mut bytes),
            Source::Table(table) => table.draw(stream, &Runs::WHOLE, dtype, 0, &mut bytes)?,
        }
        Ok(bytes)
    }
}

/// Rounds values to a dtype's bytes.
pub(crate) fn store(values: &[f32], dtype: Dtype, out: &mut [u8]) {
    for (value, out) in values.iter().zip(out.chunks_exact_mut(dtype.size())) {
        dtype.store(value.to_bits(), out);
    }
}
