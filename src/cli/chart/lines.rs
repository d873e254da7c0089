//! A chart as a picture.

use std::fmt::Write as _;

use super::svg::{Figure, Plane, SERIES, at, cut, escape, marker, text};
use super::{Axis, Chart, Line};

const WIDTH: f64 = 780.0;
const LEFT: f64 = 74.0;
const TOP: f64 = 44.0;
const PLOT: (f64, f64) = (WIDTH - LEFT - 24.0, 330.0);

/// The factors of bands, and what they are factors of, stay finite together.
const FARTHEST: f64 = 1e300;

impl Chart {
    /// The picture.
    pub fn figure(self) -> Figure {
        let points = self.lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
        // Markers have half a step at either end.
        let aside = if points > 1 { 0.5 / (points - 1) as f64 } else { 0.0 };
        let (x, y) = self.plane((aside, 0.04));
        let plane = Plane { left: LEFT, top: TOP, width: PLOT.0, height: PLOT.1, x, y };
        let mut body = text("h", 12.0, 24.0, &self.title);
        let across = self.lines.iter().flat_map(|line| {
            line.points.iter().map(|point| point.0).chain(line.curve.iter().map(|point| point.0))
        });
        // Between whole numbers (layers, epochs) there is nothing.
        let whole = across.clone().all(|x| x.fract() == 0.0);
        let mut ticks = x.ticks(10);
        ticks.retain(|tick| !whole || tick.fract() == 0.0);
        let labels = [self.x_label.as_str(), self.y_label.as_str()];
        body += &plane.axes([&ticks, &y.ticks(7)], Axis::label, labels, false);
        for (index, line) in self.lines.iter().enumerate() {
            body += &self.line(index, line, &plane);
        }
        if self.lines.iter().all(|line| line.points.is_empty() && self.stretches(line).is_empty()) {
            body += &text("s m", LEFT + 0.5 * PLOT.0, TOP + 0.5 * PLOT.1, "no data");
        }

        let mut place = (LEFT, TOP + PLOT.1 + 64.0);
        for (index, line) in self.lines.iter().enumerate() {
            let name = cut(&line.name, 40) + self.absence(line);
            let width = 42.0 + 7.3 * name.chars().count() as f64;
            if place.0 + width > WIDTH && place.0 > LEFT {
                place = (LEFT, place.1 + 20.0);
            }
            let middle = place.1 - 4.0;
            let sample = format!("M{} {}h20", at(place.0), at(middle));
            let _ = write!(
                body,
                "<g><title>{}</title>{}{}{}</g>",
                escape(&line.name),
                stroke(index, &sample),
                match line.points.is_empty() {
                    true => String::new(),
                    false => marker(index, place.0 + 10.0, middle),
                },
                text("t", place.0 + 26.0, place.1, &name)
            );
            place.0 += width;
        }
        let (title, caption) = (self.title, self.caption);
        Figure { title, caption, width: WIDTH, height: place.1 + 14.0, body }
    }

    /// Why nothing of a line is to be seen, for its place in the legend.
    fn absence(&self, line: &Line) -> &'static str {
        let seen = line.points.iter().any(|point| !self.log || self.shows(point.1));
        if seen || line.points.is_empty() && !self.stretches(line).is_empty() {
            ""
        } else if line.points.is_empty() {
            " (no data)"
        } else if line.points.iter().all(|point| point.1 == 0.0) {
            " (0 in every layer)"
        } else {
            " (outside float32)"
        }
    }

    fn line(&self, index: usize, line: &Line, plane: &Plane) -> String {
        let class = index % SERIES;
        let mut body = format!("<g><title>{}</title>", escape(&line.name));
        let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
            let points = points.filter_map(|point| plane.point(point));
            points.map(|(x, y)| format!("{} {}", at(x), at(y))).collect::<Vec<_>>().join("L")
        };
        let stretches = if line.curve.is_empty() { Vec::new() } else { self.stretches(line) };
        for stretch in stretches {
            if let [(x, y, _)] = stretch[..] {
                // A line has two ends; what is measured has a marker.
                let point = plane.point((x, y)).filter(|_| line.points.is_empty());
                body += &point.map_or(String::new(), |(x, y)| marker(index, x, y));
                continue;
            }
            if self.log && stretch.iter().any(|point| point.2 > 1.0) {
                let upper = path(&mut stretch.iter().map(|p| (p.0, (p.1 * p.2).min(FARTHEST))));
                let lower =
                    path(&mut stretch.iter().rev().map(|p| (p.0, (p.1 / p.2).max(1.0 / FARTHEST))));
                let _ = write!(body, "<path class=\"b f{class}\" d=\"M{upper}L{lower}Z\"/>");
            }
            body += &stroke(index, &format!("M{}", path(&mut stretch.iter().map(|p| (p.0, p.1)))));
        }
        // No more markers than can be told apart.
        let every = line.points.len().div_ceil(60).max(1);
        for &(x, mean, least, greatest) in line.points.iter().step_by(every) {
            let Some((x, y)) = plane.point((x, mean)).filter(|_| !self.log || self.shows(mean))
            else {
                continue;
            };
            if let (Some(a), Some(b), true) = (plane.y(least), plane.y(greatest), greatest > least)
            {
                let _ = write!(
                    body,
                    "<path class=\"w c{class}\" d=\"M{} {}V{}\"/>",
                    at(x),
                    at(a),
                    at(b)
                );
            }
            body += &marker(index, x, y);
        }
        // Where it leaves what float32 holds, if it does.
        let left = line.points.iter().position(|point| !(point.1 > 0.0 && self.shows(point.1)));
        if let (Some(left), true) = (left.filter(|left| *left > 0), self.log) {
            let (gone, before) = (line.points[left].1, &line.points[left - 1]);
            let over = gone.is_nan() || gone > 1.0;
            if let Some((x, y)) = plane.point((before.0, before.1)) {
                let end = if over { y - 12.0 } else { y + 12.0 };
                let tip = if over { 5.0 } else { -5.0 };
                let _ = write!(
                    body,
                    "<path class=\"l c{class}\" d=\"M{0} {1}V{2}m-4 {tip}l4 {3}l4 {tip}\"><title>{4}</title></path>",
                    at(x),
                    at(y),
                    at(end),
                    -tip,
                    if over { "overflows float32 here" } else { "underflows float32 here" },
                );
            }
        }
        body + "</g>"
    }
}

/// A line of a series: dashed in every other round of the colours.
fn stroke(index: usize, path: &str) -> String {
    let dashes = if index / SERIES % 2 == 1 { " stroke-dasharray=\"7 5\"" } else { "" };
    format!("<path class=\"l c{}\" d=\"{path}\"{dashes}/>", index % SERIES)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chart, falling};

    fn count(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    #[test]
    fn every_series_has_its_colour_in_the_plot_and_in_the_legend() {
        for series in [1, 3, 6] {
            let text = falling(series, true).figure().document();
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
            for index in 0..series {
                assert_eq!(count(&text, &format!("class=\"l c{index}\"")), 2, "{index}");
            }
            assert!(text.contains("train") && text.contains("loss") && text.contains("step"));
            assert!(!text.contains("dasharray=\""));
        }
        assert!(falling(6, false).figure().document().contains("&lt;&amp;&gt;"));
        // From the eighth on, lines are dashed.
        assert_eq!(count(&falling(8, false).figure().document(), "dasharray=\""), 2);
    }

    #[test]
    fn a_point_that_is_not_finite_breaks_its_line() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0), (5.0, 0.0)];
        let stretches = |log| -> Vec<usize> {
            let chart = chart(log, &[&points]);
            chart.stretches(&chart.lines[0]).iter().map(Vec::len).collect()
        };
        assert_eq!(stretches(false), [2, 3]);
        assert_eq!(stretches(true), [2, 2]);
        // Two lines and the legend's.
        assert_eq!(count(&chart(false, &[&points]).figure().document(), "class=\"l c0\""), 3);
        // One point alone is a marker.
        assert!(chart(false, &[&points[..1]]).figure().document().contains("<circle"));
    }

    #[test]
    fn a_band_beyond_every_number_is_cut() {
        let mut wide = chart(true, &[&[(1.0, 1e77), (2.0, 1e-77)]]);
        wide.lines[0].curve.iter_mut().for_each(|point| point.2 = 1e308);
        let text = wide.figure().document();
        assert!(text.contains("class=\"b f0\"") && !text.contains("inf") && !text.contains("NaN"));
    }

    #[test]
    fn whatever_the_points_a_picture_is_drawn() {
        for (index, case) in super::super::tests::ODD.iter().enumerate() {
            for log in [false, true] {
                let text = chart(log, case).figure().document();
                assert!(text.ends_with("</svg>\n") && !text.contains("NaN"), "{index} {log}");
            }
        }
        assert!(chart(false, &[]).figure().document().contains("no data"));
        assert!(chart(true, &[&[(0.0, 0.0), (1.0, -1.0)]]).figure().document().contains("no data"));
    }
}
