use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use crate::random::{Stream, quantile};
use crate::{Error, Result};

use super::{Dataset, Targets, digits};

/// The most rows that a set is generated with.
const MAX_ROWS: usize = 1_000_000;

/// Sets of examples that need no file.
///
/// Row `i` follows from the seed and `i` alone, by the words of the stream `(seed, "data.<name>")`,
/// f64 arithmetic and `libm`: the bits are the same on every platform, and the first rows of a long
/// set are those of a short one. Classes take turns, so that all are of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generated {
    /// Three classes in the plane, each an arm of a spiral of one turn: no straight line parts them.
    Spirals,
    /// Two classes in the plane, two half circles, each around the other's end.
    Moons,
    /// Three classes in the plane, on circles around one centre.
    Rings,
    /// Regression: a random network of 8 inputs and 32 tanh units, with a little noise.
    Teacher,
    /// Ten classes: the digits in 8x8 pixels from 0 to 1, shifted, turned, scaled, thick or thin,
    /// bright or pale, with noise.
    Digits,
}

impl Generated {
    /// Every generated set, by name.
    pub const NAMES: [(&'static str, Generated); 5] = [
        ("spirals", Generated::Spirals),
        ("moons", Generated::Moons),
        ("rings", Generated::Rings),
        ("teacher", Generated::Teacher),
        ("digits", Generated::Digits),
    ];

    /// The name that [`load`](super::load()) takes.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, set)| *set == self).map_or("", |(name, _)| name)
    }

    /// The rows that there are where nobody says how many.
    pub fn default_rows(self) -> usize {
        match self {
            Generated::Spirals | Generated::Rings => 1500,
            Generated::Moons => 1000,
            Generated::Teacher | Generated::Digits => 2000,
        }
    }

    /// The set of a seed, of `rows` rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `rows` is not from 2 to 1,000,000.
    pub fn generate(self, seed: u64, rows: Option<usize>) -> Result<Dataset> {
        let rows = rows.unwrap_or(self.default_rows());
        if !(2..=MAX_ROWS).contains(&rows) {
            let needed = format!("2 to {MAX_ROWS}");
            return Err(Error::invalid(format!("rows of `{self}`"), rows, needed));
        }
        match self {
            Generated::Spirals => self.plane(seed, rows, 3, |draw, class| {
                let along = draw.uniform(0);
                let angle = TAU * (f64::from(class) / 3.0 + along) + 0.15 * draw.normal(1);
                polar(0.15 + along, angle)
            }),
            Generated::Moons => self.plane(seed, rows, 2, |draw, class| {
                let [x, y] = polar(1.0, TAU / 2.0 * draw.uniform(0));
                let [x, y] = if class == 0 { [x, y] } else { [1.0 - x, 0.5 - y] };
                [x + 0.12 * draw.normal(1), y + 0.12 * draw.normal(2)]
            }),
            Generated::Rings => self.plane(seed, rows, 3, |draw, class| {
                let radius = f64::from(class + 1) / 3.0 + 0.06 * draw.normal(0);
                polar(radius, TAU * draw.uniform(1))
            }),
            Generated::Teacher => self.teacher(seed, rows),
            Generated::Digits => {
                let draw =
                    |row| Draw { stream: self.stream(seed), first: row as u64 * digits::WORDS };
                let features = (0..rows).flat_map(|row| digits::draw(row % 10, &draw(row)));
                let features: Vec<f32> = features.collect();
                let names = (0..64).map(|pixel| format!("r{}c{}", pixel / 8, pixel % 8)).collect();
                Dataset::new(self.name(), features, names, classes(rows, 10, ""))
            }
        }
    }

    fn stream(self, seed: u64) -> Stream {
        Stream::named(seed, &format!("data.{self}"))
    }

    /// Points of classes in the plane.
    fn plane(
        self,
        seed: u64,
        rows: usize,
        kinds: u32,
        point: impl Fn(&Draw, u32) -> [f64; 2],
    ) -> Result<Dataset> {
        let stream = self.stream(seed);
        let class = |row| (row % u64::from(kinds)) as u32;
        let points = (0..rows as u64)
            .flat_map(|row| point(&Draw { stream, first: row * 4 }, class(row)))
            .map(|x| x as f32)
            .collect::<Vec<f32>>();
        let names = vec!["x".into(), "y".into()];
        let kind = match self {
            Generated::Spirals => "arm ",
            Generated::Moons => "moon ",
            _ => "ring ",
        };
        Dataset::new(self.name(), points, names, classes(rows, kinds, kind))
    }

    fn teacher(self, seed: u64, rows: usize) -> Result<Dataset> {
        const INPUTS: usize = 8;
        const UNITS: usize = 32;
        let weights = Draw { stream: Stream::named(seed, "data.teacher.weights"), first: 0 };
        // He's scale puts the units well into their curved part, Xavier's brings the sum to about 1.
        let (inner, outer) = ((2.0 / INPUTS as f64).sqrt(), (2.0 / (UNITS + 1) as f64).sqrt());
        let hidden: [[f64; INPUTS]; UNITS] = std::array::from_fn(|unit| {
            std::array::from_fn(|input| inner * weights.normal((unit * INPUTS + input) as u64))
        });
        let last: [f64; UNITS] =
            std::array::from_fn(|unit| outer * weights.normal((INPUTS * UNITS + unit) as u64));
        let stream = self.stream(seed);
        let mut features = Vec::with_capacity(rows * INPUTS);
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let draw = Draw { stream, first: (row * (INPUTS + 1)) as u64 };
            let x: [f64; INPUTS] = std::array::from_fn(|input| draw.normal(input as u64));
            let mut value = 0.05 * draw.normal(INPUTS as u64);
            for (to, from) in hidden.iter().zip(&last) {
                let sum: f64 = to.iter().zip(&x).map(|(weight, x)| weight * x).sum();
                value += from * libm::tanh(sum);
            }
            features.extend(x.map(|x| x as f32));
            values.push(value as f32);
        }
        let names = (0..INPUTS).map(|input| format!("x{input}")).collect();
        let targets = Targets::Values { values: values.into(), names: vec!["y".into()] };
        Dataset::new(self.name(), features, names, targets)
    }
}

impl fmt::Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Generated {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::NAMES
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, set)| set)
            .ok_or_else(|| Error::unknown("data set", text, Self::NAMES.map(|(name, _)| name)))
    }
}

/// The words of a row, from the word `first` on, as numbers that are exact in f64.
pub(super) struct Draw {
    stream: Stream,
    first: u64,
}

impl Draw {
    /// In `[0, 1)`, from word `at` of the row.
    pub(super) fn uniform(&self, at: u64) -> f64 {
        f64::from(self.word(at) >> 8) / f64::from(1u32 << 24)
    }

    /// Standard normal, from word `at` of the row.
    pub(super) fn normal(&self, at: u64) -> f64 {
        f64::from(quantile::fixed(self.word(at))) / f64::from(1u32 << quantile::FRACTIONAL_BITS)
    }

    fn word(&self, at: u64) -> u32 {
        self.stream.word(self.first.wrapping_add(at))
    }
}

fn polar(radius: f64, angle: f64) -> [f64; 2] {
    [radius * libm::cos(angle), radius * libm::sin(angle)]
}

/// Classes that take turns.
fn classes(rows: usize, kinds: u32, kind: &str) -> Targets {
    Targets::Classes {
        labels: (0..kinds).cycle().take(rows).collect(),
        names: (0..kinds).map(|class| format!("{kind}{class}")).collect(),
    }
}
