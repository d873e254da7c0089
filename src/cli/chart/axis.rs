//! An axis: which numbers it shows, where, and how it writes them.

use super::super::table::{short, trimmed};

/// From one number to another, linear or logarithmic.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// As they are drawn: logarithms to base 10 on a logarithmic axis.
    ends: (f64, f64),
    log: bool,
}

/// Larger numbers count as infinite: the width of what holds them would be.
const LARGEST: f64 = 1e300;

impl Axis {
    /// An axis for these numbers, those left out that it cannot show, with a part of their range more at
    /// either end.
    pub fn over(values: impl Iterator<Item = f64>, log: bool, room: f64) -> Axis {
        let drawn = values.filter_map(|value| drawn(value, log));
        let (low, high) = drawn.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
            (low.min(at), high.max(at))
        });
        let ends = match low <= high {
            true => widened((low, high), room, log),
            false if log => (-1.0, 0.0),
            false => (0.0, 1.0),
        };
        Axis { ends, log }
    }

    /// A logarithmic axis of the whole decades about some numbers.
    pub fn decades(values: impl Iterator<Item = f64>) -> Axis {
        let Axis { ends: (low, high), .. } = Axis::over(values, true, 0.0);
        let low = low.floor();
        Axis { ends: (low, high.ceil().max(low + 1.0)), log: true }
    }

    /// Where a number lies between the ends, from 0 to 1; at an end if it is beyond. None where it cannot be
    /// shown: what is not finite, and on a logarithmic axis what is not above 0.
    pub fn place(&self, value: f64) -> Option<f64> {
        self.position(value).map(|place| place.clamp(0.0, 1.0))
    }

    /// The same, below 0 or above 1 where it is beyond an end.
    pub fn position(&self, value: f64) -> Option<f64> {
        let (low, high) = self.ends;
        drawn(value, self.log).map(|at| (at - low) / (high - low))
    }

    /// The numbers at the ends.
    pub fn ends(&self) -> [f64; 2] {
        [self.ends.0, self.ends.1].map(|end| self.value(end))
    }

    /// Round numbers, about `most` of them at most.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        ticks(self.ends, self.log, most).into_iter().map(|tick| self.value(tick)).collect()
    }

    /// Every power of ten.
    pub fn powers(&self) -> Vec<f64> {
        let (low, high) = (self.ends.0.ceil() as i32, self.ends.1.floor() as i32);
        (low..=high).map(|exponent| 10f64.powi(exponent)).collect()
    }

    /// A number as the axis writes it: whole powers of ten far from 1 with a raised exponent.
    pub fn label(&self, value: f64) -> String {
        let logarithm = value.log10().round();
        let whole = (value.log10() - logarithm).abs() < 1e-9;
        match self.log && whole && logarithm.abs() > 3.5 {
            true => scientific(value, 0),
            false => written(value),
        }
    }

    /// Ticks with their labels, which are all of one form and tell them apart.
    pub fn labelled(&self, ticks: Vec<f64>) -> Vec<(f64, String)> {
        let greatest = ticks.iter().fold(0.0f64, |greatest, tick| greatest.max(tick.abs()));
        let least = ticks.iter().fold(f64::INFINITY, |least, tick| least.min(tick.abs()));
        let steps = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        let step = steps.fold(f64::INFINITY, f64::min).min(greatest);
        // What is before the point of the greatest, and behind it of the step.
        let place = |value: f64| value.log10().floor() as i32;
        let powers = self.log && greatest > 9.9 * least;
        let write = |value: f64| match () {
            () if value == 0.0 => "0".to_owned(),
            () if powers && (greatest >= 9999.5 || least <= 0.000_500_1) => {
                if value == 1.0 {
                    "1".to_owned()
                } else {
                    scientific(value, 1)
                }
            }
            () if powers => written(value),
            () if greatest < 1e5 && (greatest > 0.1 || step >= 0.999e-4) => {
                let digits = (-place(1.001 * step)).clamp(0, 9) as usize;
                trimmed(&format!("{value:.digits$}"))
            }
            () => {
                let digits = place(value.abs()) - place(1.001 * step);
                scientific(value, digits.clamp(0, 16) as usize)
            }
        };
        ticks.into_iter().map(|tick| (tick, write(tick))).collect()
    }

    fn value(&self, drawn: f64) -> f64 {
        if self.log { 10f64.powf(drawn) } else { drawn }
    }
}

/// A number for people: `0.02`, `2×10⁵`.
pub fn written(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (0.001..100_000.0).contains(&size) => short(value),
        _ => scientific(value, 3),
    }
}

/// `1.5×10⁻¹²`, `10⁵`: with at most so many digits after the point.
fn scientific(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    };
    let exponent: String = exponent.chars().map(raised).collect();
    match trimmed(mantissa).as_str() {
        "1" => format!("10{exponent}"),
        "-1" => format!("-10{exponent}"),
        mantissa => format!("{mantissa}×10{exponent}"),
    }
}

fn drawn(value: f64, log: bool) -> Option<f64> {
    let drawn = if log { value.log10() } else { value };
    (drawn.abs() <= LARGEST).then_some(drawn)
}

/// A range with a part of it more at either end, and with some width whatever it was.
fn widened((low, high): (f64, f64), room: f64, log: bool) -> (f64, f64) {
    let width = high - low;
    // Less is the rounding of what is one number.
    if width > 1e-6 * if log { 1.0 } else { low.abs().max(high.abs()) } {
        (low - room * width, high + room * width)
    } else {
        let room = match low {
            // Of logarithms.
            _ if log => 0.5,
            0.0 => 1.0,
            _ => 0.1 * low.abs(),
        };
        (low - room, high + room)
    }
}

/// Round numbers within a range, about `most` of them at most; of a logarithmic range, logarithms.
fn ticks((low, high): (f64, f64), log: bool, most: usize) -> Vec<f64> {
    if !log {
        let raw = (high - low) / most as f64;
        let unit = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit);
        let step = step.into_iter().find(|&step| step >= raw).unwrap_or(raw);
        let first = (low / step).ceil();
        let ticks = (0..=2 * most).map(|index| (first + index as f64) * step);
        return ticks.take_while(|&tick| tick <= high).collect();
    }
    // Within few decades 1, 2 and 5 of each; within part of one whatever is round.
    if high - low > 2.6 {
        let steps = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
        let step = steps.into_iter().find(|step| (high - low) / step <= most as f64);
        let step = step.unwrap_or(1000.0);
        let first = (low / step).ceil();
        let ticks = (0..=most).map(|index| (first + index as f64) * step);
        return ticks.take_while(|&tick| tick <= high).collect();
    }
    let decades = (0..4).map(|index| low.floor() + f64::from(index));
    let found: Vec<f64> = decades
        .flat_map(|decade| [1.0f64, 2.0, 5.0].map(|factor| decade + factor.log10()))
        .filter(|tick| (low..=high).contains(tick))
        .collect();
    if found.len() >= 3 {
        return found;
    }
    let values = ticks((10f64.powf(low), 10f64.powf(high)), false, most);
    values.into_iter().filter(|&value| value > 0.0).map(f64::log10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let log = |low: f64, high: f64| -> Vec<String> {
            let ticks = ticks((low.log10(), high.log10()), true, 8);
            ticks.into_iter().map(|tick| short(10f64.powf(tick))).collect()
        };
        assert_eq!(ticks((-0.03, 1.03), false, 5), [0.0, 0.5, 1.0]);
        assert_eq!(ticks((0.0, 999.0), false, 9), [0.0, 200.0, 400.0, 600.0, 800.0]);
        assert_eq!(log(0.0009, 1.1), ["0.001", "0.01", "0.1", "1"]);
        assert_eq!(log(0.09, 2.4), ["0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(log(0.31, 0.48), ["0.35", "0.4", "0.45"]);
        assert_eq!(log(1e-60, 1.0).len(), 7);
        assert_eq!(log(1e-60, 1.0)[5..], ["1.000e-10", "1"]);
    }

    #[test]
    fn numbers_have_their_places() {
        let axis = Axis::over([1.0, 100.0, -3.0, f64::NAN, f64::INFINITY].into_iter(), true, 0.0);
        assert_eq!(axis.ends(), [1.0, 100.0]);
        assert_eq!([0.01, 1.0, 10.0, 1e3].map(|x| axis.place(x)), [0.0, 0.0, 0.5, 1.0].map(Some));
        assert_eq!([0.0, -1.0, f64::NAN, f64::INFINITY].map(|x| axis.place(x)), [None; 4]);
        let decades = Axis::decades([3.0, 2000.0].into_iter());
        assert_eq!(
            (decades.ends(), decades.powers()),
            ([1.0, 1e4], vec![1.0, 10.0, 100.0, 1e3, 1e4])
        );
        assert_eq!(
            [1.0, 1e-3, 1e-12, 2e5].map(|x| axis.label(x)),
            ["1", "0.001", "10⁻¹²", "2×10⁵"]
        );
        assert_eq!([0.1, 1000.0].map(|x| axis.position(x)), [-0.5, 1.5].map(Some));
        // No number, and one alone.
        assert_eq!(Axis::over(std::iter::empty(), false, 0.1).ends(), [0.0, 1.0]);
        assert_eq!(Axis::over([5.0].into_iter(), false, 0.1).ends(), [4.5, 5.5]);
    }

    #[test]
    fn ticks_are_told_apart_by_what_is_written() {
        let write = |values: &[f64], log: bool| -> Vec<String> {
            let axis = Axis::over(values.iter().copied(), log, 0.0);
            axis.labelled(axis.ticks(6)).into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(write(&[0.0, 1.0], false), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(write(&[0.0, 4e5], false), ["0", "10⁵", "2×10⁵", "3×10⁵", "4×10⁵"]);
        assert_eq!(write(&[-1e-7, 1e-7], false)[..3], ["-10⁻⁷", "-5×10⁻⁸", "0"]);
        assert_eq!(write(&[1.09861, 1.09871], false)[..2], ["1.09862", "1.09864"]);
        assert_eq!(write(&[123_456.0, 123_458.0], false)[..2], ["1.23456×10⁵", "1.234565×10⁵"]);
        assert_eq!(write(&[1e-9, 1.0], true), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"]);
        assert_eq!(write(&[0.01, 10.0], true), ["0.01", "0.1", "1", "10"]);
        assert_eq!(write(&[1e-12, 6e-12], true), ["10⁻¹²", "2×10⁻¹²", "5×10⁻¹²"]);
        for exponent in -300..300 {
            for width in [1e-5, 1e-3, 0.3, 7.0, 1e3] {
                let start = 10f64.powi(exponent);
                for log in [false, true] {
                    let labels = write(&[start, start * (1.0 + width)], log);
                    let apart = labels.iter().collect::<std::collections::HashSet<_>>();
                    assert_eq!(apart.len(), labels.len(), "{labels:?}");
                    assert!(log || labels.len() >= 2, "{start} {width} {labels:?}");
                }
            }
        }
    }
}
