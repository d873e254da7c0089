use super::Moments;
use crate::{Error, Result};

/// What a run of elements comes to.
///
/// NaN and the infinities are counted, and left out of everything else: one of them would hide what
/// the rest are. Without a finite element, `sum` and `norm` are 0; `mean`, `variance`, `min` and
/// `max` are NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many elements, of any kind.
    pub count: u64,
    /// The sum.
    pub sum: f64,
    /// The sum over the number of finite elements.
    pub mean: f64,
    /// The mean of the squared deviations from the mean, the elements being the whole population.
    pub variance: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The square root of the sum of squares; neither overflows nor underflows on the way.
    pub norm: f64,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite, of either sign.
    pub infinite: u64,
}

/// A part of a run, on the way to its [`Summary`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Of the finite elements.
    pub(crate) moments: Moments,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) nan: u64,
    pub(crate) infinite: u64,
}

impl Part {
    pub(crate) const EMPTY: Part = Part {
        moments: Moments { count: 0, mean: 0.0, square: 0.0 },
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        nan: 0,
        infinite: 0,
    };

    pub(crate) fn merge(self, other: Part) -> Part {
        Part {
            moments: self.moments.merge(other.moments),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            nan: self.nan + other.nan,
            infinite: self.infinite + other.infinite,
        }
    }

    /// The moments, which a NaN or an infinity leaves without a number.
    pub(crate) fn moments_of_all(self) -> Moments {
        let others = self.nan + self.infinite;
        match others {
            0 => self.moments,
            _ => Moments { count: self.moments.count + others, mean: f64::NAN, square: f64::NAN },
        }
    }

    pub(crate) fn finish(self) -> Summary {
        let Moments { count, mean, square } = self.moments;
        let finite = count as f64;
        let or_nan = |value: f64| if count == 0 { f64::NAN } else { value };
        Summary {
            count: count + self.nan + self.infinite,
            sum: mean * finite,
            mean: or_nan(mean),
            variance: or_nan(square / finite),
            min: or_nan(self.min),
            max: or_nan(self.max),
            // In f64: the square of an f32 is far from its ends.
            norm: (square + finite * mean * mean).sqrt(),
            nan: self.nan,
            infinite: self.infinite,
        }
    }
}

/// How many elements lie in each of a row of bins of equal width; exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The edges, one more than bins: bin `i` holds `edges[i] <= x < edges[i + 1]`, the last bin its
    /// right edge too. Edge `i` is `low + (high - low) i / bins` rounded to f32, so that every
    /// device compares with the same numbers.
    pub edges: Vec<f32>,
    /// How many elements each bin holds.
    pub counts: Vec<u64>,
    /// How many lie left of the first edge, minus infinity included.
    pub below: u64,
    /// How many lie right of the last edge, infinity included.
    pub above: u64,
    /// How many are NaN.
    pub nan: u64,
}

/// Most bins: what a device walks through, in the worst case, to place one element.
const MOST_BINS: usize = 4096;

/// The edges of a histogram.
pub(crate) fn edges(low: f32, high: f32, bins: usize) -> Result<Vec<f32>> {
    if !(low < high && (high - low).is_finite()) {
        let needed = "finite ends, the lower one first, less than 3.4e38 apart";
        return Err(Error::invalid("histogram's range", format!("{low}..{high}"), needed));
    }
    if bins == 0 || bins > MOST_BINS {
        let needed = format!("1 to {MOST_BINS} of them");
        return Err(Error::invalid("histogram's bins", bins, needed));
    }
    let (low, width) = (f64::from(low), f64::from(high) - f64::from(low));
    Ok((0..=bins).map(|i| (low + width * i as f64 / bins as f64) as f32).collect())
}
