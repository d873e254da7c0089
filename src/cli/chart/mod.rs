//! Charts for people: lines over numbers, as a picture and in the terminal, and what other pictures share
//! with them (axes, colours, markers).

mod axis;
mod lines;
mod path;
pub mod svg;
mod terminal;

pub use axis::{Axis, written};
pub use terminal::is_color;

/// One series: measured points, a curve, or both.
#[derive(Default)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// What was measured: x, mean, least, greatest. Markers with whiskers.
    pub points: Vec<(f64, f64, f64, f64)>,
    /// From left to right: x, value, and the factor up and down within which most are. A line in a pale
    /// band, broken where it cannot be drawn.
    pub curve: Vec<(f64, f64, f64)>,
    /// A second curve of the same series, x and value: dashed, in pictures alone.
    pub second: Vec<(f64, f64)>,
    /// Where it ended before its time, and how the legend says so; in pictures alone.
    pub end: Option<(f64, String)>,
}

/// Lines over a quantity.
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the title of a picture: what it was made from.
    pub subtitle: String,
    /// How to read it.
    pub caption: String,
    /// Below it.
    pub x_label: String,
    /// Beside it.
    pub y_label: String,
    /// Whether y is logarithmic; what is not above 0 then breaks its line.
    pub log: bool,
    /// What y is cut to on a logarithmic axis.
    pub bounds: (f64, f64),
    /// What the curves and the second curves are, where lines have both.
    pub styles: Option<[String; 2]>,
    /// The series; their places give them their colours and markers.
    pub lines: Vec<Line>,
}

/// Without a word or a line, and without bounds.
impl Default for Chart {
    fn default() -> Chart {
        Chart {
            title: String::new(),
            subtitle: String::new(),
            caption: String::new(),
            x_label: String::new(),
            y_label: String::new(),
            log: false,
            bounds: (f64::NEG_INFINITY, f64::INFINITY),
            styles: None,
            lines: Vec::new(),
        }
    }
}

impl Chart {
    /// Whether y has a place for a number.
    fn shows(&self, value: f64) -> bool {
        value >= self.bounds.0 && value <= self.bounds.1
    }

    /// Whether a number can be drawn at all.
    fn draws(&self, value: f64) -> bool {
        self.shows(value) && value.is_finite() && !(self.log && value <= 0.0)
    }

    /// The unbroken stretches of what is drawn as a line: the curve, or else what was measured.
    fn stretches(&self, line: &Line) -> Vec<Vec<(f64, f64, f64)>> {
        let measured = line.points.iter().map(|point| (point.0, point.1, 1.0));
        let all: Vec<(f64, f64, f64)> = match line.curve.is_empty() {
            true => measured.collect(),
            false => line.curve.clone(),
        };
        all.split(|point| !self.draws(point.1) || !point.0.is_finite())
            .filter(|stretch| !stretch.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }

    /// The axes over all that is shown, with a part of it more above and below, and on either side.
    fn plane(&self, room: (f64, f64)) -> (Axis, Axis) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let curves = || self.lines.iter().flat_map(|line| self.stretches(line)).flatten();
        let second = || self.lines.iter().flat_map(|line| &line.second);
        let ends = self.lines.iter().filter_map(|line| line.end.as_ref());
        // Between whole numbers, so that there are two to tell where it is.
        let ends = ends.flat_map(|end| [end.0.floor(), end.0, end.0.ceil()]);
        let x = points().map(|point| point.0).chain(curves().map(|point| point.0));
        let x = x.chain(second().map(|point| point.0)).chain(ends);
        let y = points().flat_map(|point| [point.1, point.2, point.3]);
        let y = y.chain(curves().map(|point| point.1)).chain(second().map(|point| point.1));
        let y = y.filter(|value| self.shows(*value));
        (Axis::over(x, false, room.0), Axis::over(y, self.log, room.1))
    }
}

// What is held of pictures is held of those that the binary writes, too.
#[cfg(test)]
#[path = "../../../tests/picture.rs"]
pub mod picture;

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    /// Curves that are hard to draw.
    pub const ODD: [&[&[(f64, f64)]]; 10] = [
        &[],
        &[&[]],
        &[&[(0.0, 1.0)]],
        &[&[(0.0, 0.0)], &[]],
        &[&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)]],
        &[&[(0.0, 0.0), (1.0, 1e-9), (2.0, -1.0), (3.0, 5.0)]],
        &[&[(NAN, NAN), (0.0, NAN), (0.0, f64::INFINITY), (f64::NEG_INFINITY, 1.0)]],
        &[&[(0.0, f64::MAX), (1.0, -f64::MAX), (2.0, 1e300), (3.0, -1e300)]],
        &[&[(0.0, 1e-320), (1.0, 5e-324), (2.0, 1e300)]],
        &[&[(5.0, 1.0), (5.0, 1.0 + 1e-15)]],
    ];

    /// Curves named s0, s1, ...
    pub fn chart(log: bool, curves: &[&[(f64, f64)]]) -> Chart {
        let line = |(index, points): (usize, &&[(f64, f64)])| Line {
            name: format!("s{index}"),
            curve: points.iter().map(|(x, y)| (*x, *y, 1.0)).collect(),
            ..Line::default()
        };
        Chart {
            title: "Title".into(),
            caption: "How to read it.".into(),
            x_label: "step".into(),
            y_label: "loss".into(),
            log,
            lines: curves.iter().enumerate().map(line).collect(),
            ..Chart::default()
        }
    }

    /// Losses that fall, each at its speed.
    pub fn falling(count: usize, log: bool) -> Chart {
        let curve = |index: usize| {
            let rate = 0.004 * (index + 1) as f64;
            let loss = move |x: f64| 2.3 * (-rate * x).exp() + 0.01 * (2.0 + (0.3 * x).sin());
            (0..1000).map(f64::from).map(|x| (x, loss(x), 1.0)).collect()
        };
        let names =
            ["train", "test", "he_normal", "xavier_uniform", "zeros", "a rather long name <&>"];
        let line = |index: usize| Line {
            name: names[index % 6].into(),
            curve: curve(index),
            ..Line::default()
        };
        Chart { lines: (0..count).map(line).collect(), ..chart(log, &[]) }
    }

    /// Writes charts to look at: `cargo test --release charts_to_look_at -- --ignored --nocapture`.
    #[test]
    #[ignore = "for people"]
    fn charts_to_look_at() {
        for series in [1, 3, 6, 8] {
            for log in [false, true] {
                let path = std::env::temp_dir().join(format!("fanin-{series}-{log}.svg"));
                std::fs::write(path, falling(series, log).figure().document()).unwrap();
            }
        }
        println!("{}", falling(3, true).terminal(70));
    }
}
