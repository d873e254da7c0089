//! Tables: tensors whose elements are a formula of their place, and of their word where they are random.

use std::fmt;

use super::sample::check_extent;
use super::{Dtype, Runs, Stream};
use crate::host::parallel::*;
use crate::{Error, Result, Shape};

/// What an element is by its row, its column and its word; in f64, by the functions of [`libm`], which are
/// the same everywhere, then rounded to f32, and that to the dtype.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Formula {
    /// `start + step k` in column `k` of the last axis. Exact in integer dtypes too.
    Arange {
        /// The first.
        start: f64,
        /// From one to the next.
        step: f64,
    },
    /// The position encodings of a table `[positions, d]`: row `p` has the sines and cosines of
    /// `p base^(-2 i / d)`, `i = 0 .. d / 2` (Vaswani et al. 2017, section 3.5).
    Sinusoidal {
        /// The frequencies fall from 1 to its inverse.
        base: f64,
        /// All sines before all cosines (tensor2tensor, fairseq, Whisper; `d` is even then), else in turns.
        halves: bool,
        /// The last frequency is `1 / base` itself, `base^(-i / (d / 2 - 1))`, as in tensor2tensor, fairseq
        /// and Whisper; `d` is even then.
        closed: bool,
    },
    /// The slope of each head: `2^(-8 (k + 1) / n)` of `n` heads, a power of two; of others those of the
    /// power of two below, then every other one of those of the power above (Press, Smith and Lewis 2022,
    /// and their code).
    Alibi,
    /// `ln(k + 1)` in column `k` of the last axis: Mamba's `A_log`, of the state's `k` (S4D-Real; Gu and Dao
    /// 2023), or of a head's in Mamba-2 as transformers has it.
    LogArange,
    /// `dt + ln(1 - exp(-dt))`, the inverse of the softplus, of a `dt` log-uniform from `min` to `max`, and at
    /// least `floor`: the bias of Mamba's time steps (Gu and Dao 2023, and their code).
    /// `dt = exp(u (ln max - ln min) + ln min)`, `u` being the element's unit uniform.
    DtBias {
        /// The shortest.
        min: f64,
        /// The longest.
        max: f64,
        /// What is shorter becomes this.
        floor: f64,
    },
}

/// A [`Formula`] over a matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Table {
    formula: Formula,
    rows: u64,
    columns: u64,
}

/// Integers below are exact in f64, and what is above does not round to one of them.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Places that moments are taken over at most.
const PLACES: u64 = 1 << 16;

/// Elements of a thread's turn.
const TASK: usize = 1 << 12;

impl Formula {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one is not finite; a base or a time is not above 0; `max` is below `min`.
    pub fn check(&self) -> Result<()> {
        let above = |what: &str, value: f64| {
            let fits = value > 0.0 && value.is_finite();
            if fits { Ok(()) } else { Err(Error::invalid(what, value, "a number above 0")) }
        };
        match *self {
            Formula::Arange { start, step } => {
                if !(start.is_finite() && step.is_finite()) {
                    let given = format!("start {start}, step {step}");
                    return Err(Error::invalid("arange", given, "finite numbers"));
                }
            }
            Formula::Sinusoidal { base, .. } => above("sinusoidal's base", base)?,
            Formula::DtBias { min, max, floor } => {
                above("dt_bias's min", min)?;
                above("dt_bias's max", max)?;
                above("dt_bias's floor", floor)?;
                if max < min {
                    let given = format!("min {min}, max {max}");
                    return Err(Error::invalid("dt_bias", given, "min no more than max"));
                }
            }
            Formula::Alibi | Formula::LogArange => {}
        }
        Ok(())
    }

    /// The name in the catalogue of initializers.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Formula::Arange { .. } => "arange",
            Formula::Sinusoidal { .. } => "sinusoidal",
            Formula::Alibi => "alibi",
            Formula::LogArange => "log_arange",
            Formula::DtBias { .. } => "dt_bias",
        }
    }
}

/// The form that the catalogue of initializers reads back.
impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match *self {
            Formula::Arange { start, step } => write!(f, ":start={start},step={step}"),
            Formula::Sinusoidal { base, halves, closed } => {
                let layout = if halves { "halves" } else { "interleaved" };
                let ends = if closed { "closed" } else { "open" };
                write!(f, ":base={base},layout={layout},ends={ends}")
            }
            Formula::Alibi | Formula::LogArange => Ok(()),
            Formula::DtBias { min, max, floor } => write!(f, ":min={min},max={max},floor={floor}"),
        }
    }
}

/// What the softplus makes `dt` of.
fn before_softplus(dt: f64) -> f64 {
    dt + libm::log(-libm::expm1(-dt))
}

/// The mean of `f` and of its square over `count` places, or over so many spread among them.
fn moments(count: u64, f: impl Fn(u64) -> [f64; 2]) -> [f64; 2] {
    let places = count.min(PLACES);
    let place = |at: u64| match count <= PLACES {
        true => at,
        false => ((u128::from(2 * at + 1) * u128::from(count)) / u128::from(2 * places)) as u64,
    };
    let sums = (0..places).map(|at| f(place(at))).fold([0.0; 2], |[a, b], [x, y]| [a + x, b + y]);
    sums.map(|sum| sum / places as f64)
}

impl Table {
    /// A formula over a matrix of this shape: of any number of axes for what goes along the last one or
    /// along none, of two for [`Formula::Sinusoidal`], of one that is longer than 1 for [`Formula::Alibi`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the shape is none of these, and as [`Formula::check`].
    pub fn new(formula: Formula, shape: &Shape) -> Result<Table> {
        formula.check()?;
        let wrong = |needed| Err(Error::invalid(formula.name(), format!("shape {shape}"), needed));
        let dims = shape.dims();
        let (rows, columns) = match formula {
            Formula::Arange { .. } | Formula::LogArange | Formula::DtBias { .. } => {
                let columns = dims.last().copied().unwrap_or(1);
                (shape.elements() / columns.max(1), columns)
            }
            Formula::Sinusoidal { halves, closed, .. } => match *dims {
                [_, columns] if (halves || closed) && !columns.is_multiple_of(2) => {
                    return wrong("an even number of columns: as many sines as cosines");
                }
                [rows, columns] => (rows, columns),
                _ => return wrong("a table: [positions, columns]"),
            },
            Formula::Alibi => {
                if dims.iter().filter(|&&dim| dim != 1).count() > 1 {
                    return wrong("one axis of heads, and any others of 1");
                }
                (1, shape.elements())
            }
        };
        // None of a file's tensor without elements.
        Ok(Table { formula, rows, columns: columns.max(1) })
    }

    /// The formula.
    pub fn formula(&self) -> Formula {
        self.formula
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.rows * self.columns
    }

    /// The element at `index` in row-major order, with its word.
    fn value(&self, index: u64, word: u32) -> f64 {
        let (row, column) = (index / self.columns, index % self.columns);
        match self.formula {
            Formula::Arange { start, step } => start + step * column as f64,
            Formula::Sinusoidal { .. } => {
                let (is_sine, divisor) = self.wave(column);
                let angle = row as f64 / divisor;
                if is_sine { libm::sin(angle) } else { libm::cos(angle) }
            }
            Formula::Alibi => {
                let below = 1u64 << self.columns.ilog2();
                let exponent = match column.checked_sub(below) {
                    None => 8.0 * (column + 1) as f64 / below as f64,
                    Some(beyond) => 4.0 * (2 * beyond + 1) as f64 / below as f64,
                };
                libm::exp2(-exponent)
            }
            Formula::LogArange => libm::log((column + 1) as f64),
            Formula::DtBias { .. } => self.time_step(f64::from(word >> 8) * 2f64.powi(-24)),
        }
    }

    /// Whether a column has sines, and what positions are divided by in it.
    fn wave(&self, column: u64) -> (bool, f64) {
        let Formula::Sinusoidal { base, halves, closed } = self.formula else { return (true, 1.0) };
        let half = self.columns / 2;
        let (frequency, is_sine) = match halves {
            true => (column % half.max(1), column < half),
            false => (column / 2, column.is_multiple_of(2)),
        };
        let exponent = match closed {
            true => frequency as f64 / half.saturating_sub(1).max(1) as f64,
            false => 2.0 * frequency as f64 / self.columns as f64,
        };
        (is_sine, libm::pow(base, exponent))
    }

    /// The bias of the time step at `uniform` of a unit interval.
    fn time_step(&self, uniform: f64) -> f64 {
        let Formula::DtBias { min, max, floor } = self.formula else { return 0.0 };
        let (low, high) = (libm::log(min), libm::log(max));
        before_softplus(libm::exp(uniform * (high - low) + low).max(floor))
    }

    /// The mean and the standard deviation over all elements, expected where they are random.
    pub(super) fn moments(&self) -> (f64, f64) {
        let (rows, count) = (self.rows as f64, self.columns as f64);
        let [mean, square] = match self.formula {
            Formula::Arange { start, step } => {
                let std = step.abs() * ((count * count - 1.0) / 12.0).sqrt();
                return (start + 0.5 * step * (count - 1.0), std);
            }
            Formula::Sinusoidal { .. } => moments(self.columns, |column| {
                let (is_sine, divisor) = self.wave(column);
                // Of the sines and of the cosines of p w, by Dirichlet's kernel.
                let sums = |w: f64| match libm::sin(0.5 * w) {
                    0.0 => [0.0, rows],
                    by => {
                        let (size, angle) =
                            (libm::sin(0.5 * rows * w) / by, 0.5 * (rows - 1.0) * w);
                        [size * libm::sin(angle), size * libm::cos(angle)]
                    }
                };
                let ([sine, cosine], [_, double]) = (sums(1.0 / divisor), sums(2.0 / divisor));
                match is_sine {
                    true => [sine / rows, 0.5 - 0.5 * double / rows],
                    false => [cosine / rows, 0.5 + 0.5 * double / rows],
                }
            }),
            Formula::Alibi | Formula::LogArange => moments(self.columns, |column| {
                let value = self.value(column, 0);
                [value, value * value]
            }),
            Formula::DtBias { .. } => moments(PLACES, |place| {
                let value = self.time_step((place as f64 + 0.5) / PLACES as f64);
                [value, value * value]
            }),
        };
        (mean, (square - mean * mean).max(0.0).sqrt())
    }

    /// Checks that it comes in `dtype`: one of [`Dtype::SAMPLED`] with room for the largest element; whole
    /// numbers also in an integer dtype with room for them.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming what would do.
    pub(super) fn check_dtype(&self, dtype: Dtype) -> Result<()> {
        let ends = match self.formula {
            Formula::DtBias { .. } => [self.time_step(0.0), self.time_step(1.0)],
            Formula::Sinusoidal { .. } => [1.0; 2],
            // The first of the slopes is the largest.
            _ => [self.value(0, 0), self.value(self.columns.saturating_sub(1), 0)],
        };
        let is_sampled = Dtype::SAMPLED.contains(&dtype);
        match self.formula {
            Formula::Arange { step, .. } if !is_sampled => {
                let wrong = |given| {
                    let needed = format!("whole numbers below 2^53 in size that {dtype} can hold");
                    Error::invalid("arange", format!("{given} of {dtype}"), needed)
                };
                if step.fract() != 0.0 {
                    return Err(wrong(format!("a step of {step}")));
                }
                // So each sum is exact, and the product in it.
                let way = step * self.columns.saturating_sub(1) as f64;
                if way.abs() >= EXACT {
                    return Err(wrong(format!("steps of {way} in all")));
                }
                let fits = |value: f64| value.abs() < EXACT && dtype.constant(value).is_ok();
                match ends.into_iter().find(|&value| !fits(value)) {
                    Some(end) => Err(wrong(format!("element {end}"))),
                    None => Ok(()),
                }
            }
            _ if !is_sampled => {
                let needed = format!("one of {}", Dtype::sampled());
                Err(Error::invalid("dtype", dtype, needed))
            }
            _ => check_extent(dtype, ends[0].abs().max(ends[1].abs()) as f32),
        }
    }

    /// The tensor's elements `first ..` into `out`, the table being its box `runs`, of which they have to be
    /// a part.
    ///
    /// # Errors
    /// As [`Table::check_dtype`].
    pub(crate) fn draw(
        &self,
        stream: &Stream,
        runs: &Runs,
        dtype: Dtype,
        first: u64,
        out: &mut [u8],
    ) -> Result<()> {
        self.check_dtype(dtype)?;
        let size = dtype.size();
        let is_sampled = Dtype::SAMPLED.contains(&dtype);
        let is_random = matches!(self.formula, Formula::DtBias { .. });
        out.par_chunks_mut(TASK * size).enumerate().try_for_each(|(task, out)| {
            for (index, out) in (first + (task * TASK) as u64..).zip(out.chunks_exact_mut(size)) {
                let word = if is_random { stream.word(index) } else { 0 };
                let value = self.value(runs.local(index), word);
                match is_sampled {
                    true => dtype.store((value as f32).to_bits(), out),
                    false => out.copy_from_slice(&dtype.constant(value)?),
                }
            }
            Ok(())
        })
    }
}
