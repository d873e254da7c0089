use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use crate::{Error, Result};

/// Numbers as exact as they were given, in the narrowest form that holds all of them: f32, f64, or,
/// where integers of 64 bits need it, sums of two f64. So what is standardized is standardized from
/// what the user has, and what f32 holds takes no more than f32.
///
/// Made of a `Vec` of `f32`, `f64` or `i64` by [`From`]; equal where the numbers are.
#[derive(Clone, Debug)]
pub struct Numbers(Form);

#[derive(Clone, Debug)]
enum Form {
    Single(Vec<f32>),
    Double(Vec<f64>),
    Sum(Vec<Exact>),
}

/// `high + low`, where `high` is the f64 nearest to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exact {
    high: f64,
    low: f64,
}

impl Exact {
    /// A decimal number; an integer with all its digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let high: f64 = text.parse().ok()?;
        match text.parse::<i128>() {
            Ok(integer) => Some(integer.into()),
            Err(_) => Some(high.into()),
        }
    }

    /// The nearest f64.
    pub(super) fn nearest(self) -> f64 {
        self.high
    }

    pub(super) fn is_whole(self) -> bool {
        self.high.fract() == 0.0 && self.low.fract() == 0.0
    }

    /// `self * factor`, without rounding: the factor is a power of two.
    pub(super) fn scaled(self, factor: f64) -> Exact {
        Exact { high: self.high * factor, low: self.low * factor }
    }

    /// The order of the numbers; -0 is 0.
    pub(super) fn total_cmp(&self, other: &Exact) -> Ordering {
        let key = |number: &Exact| (number.high + 0.0, number.low);
        let ((high, low), others) = (key(self), key(other));
        high.total_cmp(&others.0).then(low.total_cmp(&others.1))
    }

    /// `self - other`: the difference of close numbers loses nothing.
    pub(super) fn minus(self, other: Exact) -> f64 {
        (self.high - other.high) + (self.low - other.low)
    }

    /// `self + more`, and what f64 rounds off it (Knuth's two-sum).
    pub(super) fn plus(self, more: f64) -> Exact {
        let high = self.high + more;
        let part = high - self.high;
        let rounded = (self.high - (high - part)) + (more - part);
        Exact { high, low: self.low + rounded }
    }
}

impl From<f64> for Exact {
    fn from(number: f64) -> Self {
        Exact { high: number, low: 0.0 }
    }
}

impl From<i128> for Exact {
    fn from(number: i128) -> Self {
        let high = number as f64;
        Exact { high, low: (number - high as i128) as f64 }
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding 0 makes -0 and 0 one.
        let (high, low) = (self.high + 0.0, self.low);
        match low == 0.0 {
            // Integers have all their digits; what is beyond them would have some 300.
            true if high.abs() >= 2f64.powi(128) => write!(f, "{high:e}"),
            true => high.fmt(f),
            false => (high as i128 + low as i128).fmt(f),
        }
    }
}

/// Where a number is, in rows of columns of these names.
pub(super) fn cell(index: usize, names: &[String], kind: &str) -> String {
    let columns = names.len().max(1);
    let (row, name) = (index / columns, names.get(index % columns).map_or("", String::as_str));
    format!("row {row} (the first is 0), {kind} `{name}`")
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Single(numbers) => numbers.len(),
            Form::Double(numbers) => numbers.len(),
            Form::Sum(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each of them is an f32 as it stands.
    pub fn is_f32(&self) -> bool {
        matches!(self.0, Form::Single(_))
    }

    /// The nearest f32s; infinities for numbers beyond f32's range, which no set has that went through
    /// [`Standardizer::apply`](super::Standardizer::apply).
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.0 {
            Form::Single(numbers) => Cow::Borrowed(numbers),
            _ => self.iter().map(|number| number.high as f32).collect(),
        }
    }

    /// That all are finite: rows of columns of these names.
    pub(super) fn check(&self, names: &[String], kind: &str) -> Result<()> {
        self.find(names, kind, f64::is_finite, "a finite f64")
    }

    /// The same where some may be missing (NaN).
    pub(super) fn check_or_missing(&self, names: &[String], kind: &str) -> Result<()> {
        self.find(names, kind, |number| !number.is_infinite(), "a finite f64")
    }

    /// The same in f32, which holds less.
    pub(super) fn check_f32(&self, names: &[String], kind: &str) -> Result<()> {
        let fits = |number: f64| (number as f32).is_finite();
        self.find(names, kind, fits, "a finite f32 (3.4e38 at most), or to standardize")
    }

    fn find(
        &self,
        names: &[String],
        kind: &str,
        will_do: impl Fn(f64) -> bool,
        needed: &str,
    ) -> Result<()> {
        match self.iter().enumerate().find(|(_, number)| !will_do(number.high)) {
            None => Ok(()),
            Some((index, number)) => Err(Error::invalid(cell(index, names, kind), number, needed)),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Exact> {
        match &self.0 {
            Form::Single(numbers) => numbers.get(index).map(|&number| f64::from(number).into()),
            Form::Double(numbers) => numbers.get(index).map(|&number| number.into()),
            Form::Sum(numbers) => numbers.get(index).copied(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Exact> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The rows of these indices, of so many numbers each.
    pub(super) fn rows(&self, columns: usize, rows: impl Iterator<Item = usize>) -> Numbers {
        let of = |row: usize| row * columns..(row + 1) * columns;
        Numbers(match &self.0 {
            Form::Single(all) => {
                Form::Single(rows.flat_map(|row| &all[of(row)]).copied().collect())
            }
            Form::Double(all) => {
                Form::Double(rows.flat_map(|row| &all[of(row)]).copied().collect())
            }
            Form::Sum(all) => Form::Sum(rows.flat_map(|row| &all[of(row)]).copied().collect()),
        })
    }

    /// One more, in a wider form where it needs that.
    pub(super) fn push(&mut self, number: Exact) {
        let single = number.high as f32;
        let is_double = number.low == 0.0;
        match &mut self.0 {
            // A missing number needs no wider form.
            Form::Single(all)
                if is_double && (f64::from(single) == number.high || number.high.is_nan()) =>
            {
                all.push(single)
            }
            Form::Double(all) if is_double => all.push(number.high),
            Form::Sum(all) => all.push(number),
            _ => {
                self.0 = match is_double {
                    true => Form::Double(self.iter().map(Exact::nearest).collect()),
                    false => Form::Sum(self.iter().collect()),
                };
                self.push(number);
            }
        }
    }
}

impl FromIterator<Exact> for Numbers {
    fn from_iter<I: IntoIterator<Item = Exact>>(numbers: I) -> Self {
        let numbers = numbers.into_iter();
        let mut all = Numbers(Form::Single(Vec::with_capacity(numbers.size_hint().0)));
        numbers.for_each(|number| all.push(number));
        all
    }
}

impl From<Vec<f32>> for Numbers {
    fn from(numbers: Vec<f32>) -> Self {
        Numbers(Form::Single(numbers))
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(numbers: Vec<f64>) -> Self {
        numbers.into_iter().map(Exact::from).collect()
    }
}

impl From<Vec<i64>> for Numbers {
    fn from(numbers: Vec<i64>) -> Self {
        numbers.into_iter().map(|number| Exact::from(i128::from(number))).collect()
    }
}

impl PartialEq for Numbers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}
