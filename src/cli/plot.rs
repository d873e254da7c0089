//! Curves for people: as an SVG file, and in the terminal.

use std::io::IsTerminal;
use std::ops::Range;

use fanin::plain;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use textplots::{Chart, Plot, Shape};

use super::table::{short, wrap};

/// One line of a plot.
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// From left to right; the line is broken where one is not finite.
    pub points: Vec<(f64, f64)>,
}

/// A plot.
pub struct Curves {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_label: String,
    /// Beside it.
    pub y_label: String,
    /// Whether y is logarithmic; what is not above 0 then breaks its line.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
}

/// Okabe and Ito's colours, told apart with any kind of sight; without yellow, too pale on white.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

const WIDTH: u32 = 900;
const HEIGHT: u32 = 540;

/// Pixels of a letter of the legend, about.
const LETTER: usize = 8;

/// The most letters of a name in the legend.
const MOST_LETTERS: usize = 30;

/// The plot as an SVG document.
pub fn svg(curves: &Curves) -> String {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        // Nothing can fail in a string.
        let _ = draw(curves, &root).and_then(|()| root.present().map_err(Into::into));
    }
    text
}

fn draw(
    curves: &Curves,
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let grey = RGBColor(90, 90, 90);
    let font = |size: u32| ("sans-serif", size).into_font();
    let frame = Frame::of(curves, 0.03);

    // The legend has its own place on the right, where it hides nothing.
    let longest = curves.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    let legend_width = (longest.min(MOST_LETTERS) * LETTER + 56) as u32;
    let (left, legend) = root.split_horizontally(WIDTH - legend_width);

    let mut builder = ChartBuilder::on(&left);
    builder.margin(14).x_label_area_size(46).y_label_area_size(72);
    if !curves.title.is_empty() {
        builder.caption(plain(&curves.title).to_string(), font(20).color(&BLACK));
    }
    let (x, y) = (frame.x, frame.y);
    let mut chart = builder.build_cartesian_2d(
        Axis { ends: x, ticks: ticks(x, false, 9) },
        Axis { ends: y, ticks: ticks(y, curves.log_y, 8) },
    )?;
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(grey)
        .label_style(font(13).color(&BLACK))
        .axis_desc_style(font(15).color(&BLACK))
        .x_desc(plain(&curves.x_label).to_string())
        .y_desc(plain(&curves.y_label).to_string())
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(frame.value(*y)))
        .draw()?;
    let pale = RGBColor(225, 225, 225);
    for tick in ticks(y, curves.log_y, 8) {
        chart.draw_series([PathElement::new([(x.0, tick), (x.1, tick)], pale)])?;
    }

    let apart = (460 / curves.series.len().max(1) as i32).min(24);
    for (index, series) in curves.series.iter().enumerate() {
        let color = PALETTE[index % PALETTE.len()];
        let style = color.stroke_width(2);
        for line in frame.lines(series) {
            if let [point] = line[..] {
                chart.draw_series([Circle::new(point, 4, color.filled())])?;
            } else if index < PALETTE.len() {
                chart.draw_series([PathElement::new(line, style)])?;
            } else {
                chart.draw_series(DashedLineSeries::new(line, 7, 5, style))?;
            }
        }
        let height = 58 + apart * index as i32;
        let end = if index < PALETTE.len() { 30 } else { 14 };
        legend.draw(&PathElement::new([(4, height), (end, height)], color.stroke_width(3)))?;
        if end < 30 {
            legend.draw(&PathElement::new([(20, height), (30, height)], color.stroke_width(3)))?;
        }
        let text = font(14).color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        legend.draw(&Text::new(
            cut(&plain(&series.name).to_string(), MOST_LETTERS),
            (38, height),
            text,
        ))?;
    }
    if frame.empty {
        let middle = (0.5 * (x.0 + x.1), 0.5 * (y.0 + y.1));
        let text = font(16).color(&grey).pos(Pos::new(HPos::Center, VPos::Center));
        chart.draw_series([Text::new("no data", middle, text)])?;
    }
    Ok(())
}

/// A linear axis with these ticks and no others.
struct Axis {
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let part = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        (f64::from(first) + part * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

/// The plot in braille of about `columns` by 15 cells, with labels around it.
///
/// Colours tell the lines apart where stdout is a terminal and `NO_COLOR` is not set; numbers on
/// them otherwise.
pub fn terminal(curves: &Curves, columns: usize) -> String {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    paint(curves, columns, !no_color && std::io::stdout().is_terminal())
}

/// Rows of cells of a plot in the terminal.
const ROWS: usize = 15;

/// SGR codes of colours that are readable on dark and on light grounds.
const CODES: [&str; 6] = ["36", "33", "35", "32", "34", "31"];

/// Whether an SGR code is one that [`terminal`] uses, the end of a colour included.
pub fn is_color(code: &str) -> bool {
    code == "0" || CODES.contains(&code)
}

fn paint(curves: &Curves, columns: usize, color: bool) -> String {
    let frame = Frame::of(curves, 0.0);
    let tops = [short(frame.value(frame.y.1)), short(frame.value(frame.y.0))];
    let margin = tops.iter().map(|label| label.chars().count()).max().unwrap_or(0) + 1;
    // What textplots draws at least, and more than any screen has.
    let width = columns.saturating_sub(margin).clamp(17, 400);

    // A cell: its dots, whose it is, and a mark on top.
    let mut cells = vec![vec![(0u32, 0usize, None); width]; ROWS];
    for (index, series) in curves.series.iter().enumerate() {
        for line in frame.lines(series) {
            for (row, dots) in raster(&frame, &line, width).into_iter().enumerate().take(ROWS) {
                for (column, dots) in dots.into_iter().enumerate().take(width) {
                    if dots != 0 {
                        let cell = &mut cells[row][column];
                        *cell = (cell.0 | dots, index, cell.2);
                    }
                }
            }
        }
        // Each mark at another part of the way: lines often end in one place.
        let way = (index + 1) as f64 / (curves.series.len() + 1) as f64;
        let points = frame.lines(series).into_iter().flatten().map(|point| frame.part(point));
        let nearest = points.min_by(|a, b| (a.0 - way).abs().total_cmp(&(b.0 - way).abs()));
        if let (false, 2.., Some((x, y))) = (color, curves.series.len(), nearest) {
            let column = (x * (width - 1) as f64).round() as usize;
            let row = ((1.0 - y) * (ROWS - 1) as f64).round() as usize;
            cells[row.min(ROWS - 1)][column.min(width - 1)].2 = Some(mark(index));
        }
    }

    let paint = |index: usize, text: &str| match color {
        true => format!("\x1b[{}m{text}\x1b[0m", CODES[index % CODES.len()]),
        false => text.into(),
    };
    let mut out = String::new();
    if !curves.title.is_empty() {
        out += &format!("{}\n", plain(&curves.title));
    }
    if !curves.y_label.is_empty() {
        out += &format!("{:margin$}{}\n", "", plain(&curves.y_label));
    }
    for (row, cells) in cells.iter().enumerate() {
        let label = match row {
            0 => tops[0].as_str(),
            _ if row + 1 == ROWS => tops[1].as_str(),
            _ => "",
        };
        let axis = if label.is_empty() { '│' } else { '┤' };
        out += &format!("{label:>0$}{axis}", margin - 1);
        let end = cells.iter().rposition(|cell| cell.0 != 0 || cell.2.is_some());
        for (dots, index, mark) in &cells[..end.map_or(0, |end| end + 1)] {
            match (mark, char::from_u32(0x2800 + dots)) {
                (Some(mark), _) => out.push(*mark),
                (None, Some(dots)) if dots != '\u{2800}' => {
                    out += &paint(*index, &dots.to_string())
                }
                _ => out.push(' '),
            }
        }
        out.push('\n');
    }
    out += &format!("{:1$}└{2}\n", "", margin - 1, "─".repeat(width));
    let (first, last) = (short(frame.x.0), short(frame.x.1));
    let between = width.saturating_sub(first.chars().count() + last.chars().count());
    out += &format!(
        "{:margin$}{first}{:^between$}{last}\n",
        "",
        cut(&plain(&curves.x_label).to_string(), between)
    );
    let legend = curves.series.iter().enumerate().map(|(index, series)| {
        let words = match color {
            true => format!("── {}", plain(&series.name)),
            false if curves.series.len() > 1 => format!("{} {}", mark(index), plain(&series.name)),
            false => plain(&series.name).to_string(),
        };
        // Colours are no letters.
        (words.chars().count(), if color { paint(index, &words) } else { words })
    });
    let mut lines: Vec<String> = out.lines().map(|line| line.trim_end().to_owned()).collect();
    let legend = wrap(legend, "   ", width);
    lines.extend(legend.iter().map(|line| format!("{:margin$}{line}", "")));
    lines.join("\n") + "\n"
}

/// 1 to 9, then a, b, ...
fn mark(index: usize) -> char {
    char::from_digit((index as u32 + 1) % 36, 36).unwrap_or('*')
}

/// The braille dots of one line, by rows of cells.
fn raster(frame: &Frame, line: &[(f64, f64)], width: usize) -> Vec<Vec<u32>> {
    let points: Vec<(f32, f32)> =
        line.iter().map(|point| frame.part(*point)).map(|(x, y)| (x as f32, y as f32)).collect();
    let shape = if points.len() == 1 { Shape::Points(&points) } else { Shape::Lines(&points) };
    // Two dots by four a cell; textplots draws on the last dot's far side too.
    let (dots, rows) = (2 * width as u32 - 1, 4 * ROWS as u32 - 1);
    let mut chart = Chart::new_with_y_range(dots, rows, 0.0, 1.0, 0.0, 1.0);
    let chart = chart.lineplot(&shape);
    chart.figures();
    let dots = |cell: char| u32::from(cell).checked_sub(0x2800).filter(|&dots| dots < 256);
    let frame = chart.frame();
    frame.lines().map(|row| row.chars().map(|cell| dots(cell).unwrap_or(0)).collect()).collect()
}

/// What of the plane is shown; y as it is drawn, the logarithm to base 10 on a logarithmic axis.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
    empty: bool,
}

/// Larger numbers count as infinite: the width of what holds them would be.
const LARGEST: f64 = 1e300;

impl Frame {
    fn of(curves: &Curves, room: f64) -> Self {
        let mut frame = Frame { x: (0.0, 1.0), y: (0.0, 1.0), log: curves.log_y, empty: true };
        let mut x = (f64::INFINITY, f64::NEG_INFINITY);
        let mut y = x;
        for point in curves.series.iter().flat_map(|series| frame.lines(series)).flatten() {
            x = (x.0.min(point.0), x.1.max(point.0));
            y = (y.0.min(point.1), y.1.max(point.1));
        }
        if x.0 <= x.1 {
            frame = Frame { x: widened(x, 0.0), y: widened(y, room), empty: false, ..frame };
        } else if frame.log {
            frame.y = (-1.0, 0.0);
        }
        frame
    }

    /// The unbroken lines of a series, as they are drawn.
    fn lines(&self, series: &Series) -> Vec<Vec<(f64, f64)>> {
        let shown = |&(x, y): &(f64, f64)| {
            let y = if self.log { y.log10() } else { y };
            let shown = x.abs() <= LARGEST && y.abs() <= LARGEST;
            shown.then_some((x, y))
        };
        let points: Vec<Option<(f64, f64)>> = series.points.iter().map(shown).collect();
        let lines = points.split(Option::is_none);
        lines
            .map(|line| line.iter().flatten().copied().collect())
            .filter(|line: &Vec<_>| !line.is_empty())
            .collect()
    }

    /// What a height stands for.
    fn value(&self, y: f64) -> f64 {
        if self.log { 10f64.powf(y) } else { y }
    }

    /// Where a point lies between the ends of the frame, from 0 to 1.
    fn part(&self, point: (f64, f64)) -> (f64, f64) {
        let part = |at: f64, (low, high): (f64, f64)| ((at - low) / (high - low)).clamp(0.0, 1.0);
        (part(point.0, self.x), part(point.1, self.y))
    }
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
pub(super) fn ticks((low, high): (f64, f64), log: bool, most: usize) -> Vec<f64> {
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
    let ticks: Vec<f64> = decades
        .flat_map(|decade| [1.0f64, 2.0, 5.0].map(|factor| decade + factor.log10()))
        .filter(|tick| (low..=high).contains(tick))
        .collect();
    if ticks.len() >= 3 {
        return ticks;
    }
    let values = self::ticks((10f64.powf(low), 10f64.powf(high)), false, most);
    values.into_iter().filter(|&value| value > 0.0).map(f64::log10).collect()
}

/// A text of at most so many letters.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() {
        letters if letters <= most => text.into(),
        _ => text.chars().take(most.saturating_sub(1)).chain(['…']).take(most).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(log_y: bool, series: &[&[(f64, f64)]]) -> Curves {
        let series = series.iter().enumerate();
        let series = series
            .map(|(index, points)| Series { name: format!("s{index}"), points: points.to_vec() })
            .collect();
        let (title, x_label, y_label) = ("Title".into(), "step".into(), "loss".into());
        Curves { title, x_label, y_label, log_y, series }
    }

    /// A loss that falls, at three speeds.
    fn falling(count: usize, log_y: bool) -> Curves {
        let points = |index: usize| -> Vec<(f64, f64)> {
            let rate = 0.004 * (index + 1) as f64;
            (0..1000)
                .map(f64::from)
                .map(|x| (x, 2.3 * (-rate * x).exp() + 0.01 * (2.0 + (0.3 * x).sin())))
                .collect()
        };
        let names =
            ["train", "test", "he_normal", "xavier_uniform", "zeros", "a rather long name <&>"];
        let series =
            (0..count).map(|index| Series { name: names[index % 6].into(), points: points(index) });
        Curves { series: series.collect(), ..curves(log_y, &[]) }
    }

    fn count(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    #[test]
    fn every_series_has_its_color_in_the_plot_and_in_the_legend() {
        for series in [1, 3, 6] {
            let text = svg(&falling(series, true));
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
            for color in ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
                .iter()
                .take(series)
            {
                assert_eq!(count(&text, color), 2, "{color}");
            }
            assert!(text.contains("train") && text.contains("loss") && text.contains("step"));
        }
        assert!(svg(&falling(6, false)).contains("&lt;&amp;&gt;"));
        // From the eighth on, lines are dashed.
        assert!(count(&svg(&falling(8, false)), "#0072B2") > 20);
    }

    #[test]
    fn whatever_the_points_a_plot_is_drawn() {
        let nan = f64::NAN;
        let cases: [&[&[(f64, f64)]]; 10] = [
            &[],
            &[&[]],
            &[&[(0.0, 1.0)]],
            &[&[(0.0, 0.0)], &[]],
            &[&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)]],
            &[&[(0.0, 0.0), (1.0, 1e-9), (2.0, -1.0), (3.0, 5.0)]],
            &[&[(nan, nan), (0.0, nan), (0.0, f64::INFINITY), (f64::NEG_INFINITY, 1.0)]],
            &[&[(0.0, f64::MAX), (1.0, -f64::MAX), (2.0, 1e300), (3.0, -1e300)]],
            &[&[(0.0, 1e-320), (1.0, 5e-324), (2.0, 1e300)]],
            &[&[(5.0, 1.0), (5.0, 1.0 + 1e-15)]],
        ];
        for (index, case) in cases.iter().enumerate() {
            for log in [false, true] {
                let curves = curves(log, case);
                let text = svg(&curves);
                assert!(text.ends_with("</svg>\n") && !text.contains("NaN"), "{index} {log}");
                for columns in [0, 20, 60, 1_000_000] {
                    let text = paint(&curves, columns, true);
                    assert!(text.lines().count() >= 15 && !text.contains("NaN"), "{index} {log}");
                }
            }
        }
        assert!(svg(&curves(false, &[])).contains("no data"));
        assert!(svg(&curves(true, &[&[(0.0, 0.0), (1.0, -1.0)]])).contains("no data"));
    }

    #[test]
    fn a_point_that_is_not_finite_breaks_its_line() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0), (5.0, 0.0)];
        let lines = |log| {
            let curves = curves(log, &[&points]);
            let lengths =
                Frame::of(&curves, 0.0).lines(&curves.series[0]).into_iter().map(|l| l.len());
            lengths.collect::<Vec<_>>()
        };
        assert_eq!(lines(false), [2, 3]);
        assert_eq!(lines(true), [2, 2]);
        // Two lines and the legend's.
        assert_eq!(count(&svg(&curves(false, &[&points])), "#0072B2"), 3);
    }

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
    fn the_terminal_shows_a_line_where_it_is() {
        let line = curves(false, &[&[(0.0, 0.0), (10.0, 1.0)]]);
        let text = paint(&line, 46, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1].trim()), ("Title", "loss"));
        assert!(lines[2].starts_with("1┤") && lines[16].starts_with("0┤"), "{text}");
        // Rising: on the right at the top, on the left at the bottom.
        let dots = |line: &str| line.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(dots(lines[2]).unwrap() > 35 && dots(lines[16]).unwrap() < 10, "{text}");
        assert!(lines[18].trim().starts_with('0') && lines[18].ends_with("10"), "{text}");
        assert!(lines[18].contains("step") && lines[19].trim() == "s0", "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 46), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn the_terminal_tells_lines_apart() {
        let text = paint(&falling(3, true), 60, true);
        for code in ["\x1b[36m", "\x1b[33m", "\x1b[35m"] {
            assert!(count(&text, code) > 5, "{text}");
        }
        let text = paint(&falling(3, true), 60, false);
        assert!(text.ends_with("1 train   2 test   3 he_normal\n"), "{text}");
        // A mark each, and in another place than the others.
        let plot: String =
            text.lines().skip(2).take(15).flat_map(|line| line.split(['┤', '│']).skip(1)).collect();
        assert!(['1', '2', '3'].iter().all(|mark| plot.contains(*mark)), "{text}");
    }

    /// Writes plots to look at: `cargo test --release plots_to_look_at -- --ignored --nocapture`.
    #[test]
    #[ignore = "for people"]
    fn plots_to_look_at() {
        for series in [1, 3, 6, 8] {
            for log in [false, true] {
                let name = format!("fanin-{series}-{log}.svg");
                std::fs::write(std::env::temp_dir().join(name), svg(&falling(series, log)))
                    .unwrap();
            }
        }
        println!("{}", paint(&falling(3, true), 70, true));
        println!("{}", paint(&falling(3, false), 70, false));
    }
}
