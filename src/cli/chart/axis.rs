//! An axis: which numbers it shows, where, and how it writes them.

use super::super::table::short;

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
            true => widened((low, high), room),
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
        let (low, high) = self.ends;
        drawn(value, self.log).map(|at| ((at - low) / (high - low)).clamp(0.0, 1.0))
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
        if !self.log || !whole || logarithm.abs() < 3.5 {
            return short(value);
        }
        let raised = |c: char| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
        };
        format!("10{}", logarithm.to_string().chars().map(raised).collect::<String>())
    }

    fn value(&self, drawn: f64) -> f64 {
        if self.log { 10f64.powf(drawn) } else { drawn }
    }
}

fn drawn(value: f64, log: bool) -> Option<f64> {
    let drawn = if log { value.log10() } else { value };
    (drawn.abs() <= LARGEST).then_some(drawn)
}

/// A range with a part of it more at either end, and with some width whatever it was.
fn widened((low, high): (f64, f64), room: f64) -> (f64, f64) {
    let width = high - low;
    if width > 1e-12 * low.abs().max(high.abs()) {
        (low - room * width, high + room * width)
    } else {
        let room = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
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
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
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
            ["1", "0.001", "10⁻¹²", "2.000e5"]
        );
        // No number, and one alone.
        assert_eq!(Axis::over(std::iter::empty(), false, 0.1).ends(), [0.0, 1.0]);
        assert_eq!(Axis::over([5.0].into_iter(), false, 0.1).ends(), [4.5, 5.5]);
    }
}
