//! A chart in the terminal, in braille.

use std::io::IsTerminal;

use fanin::plain;

use super::super::text::{letters, paragraph, shortened, wrap};
use super::svg::{PALETTE, SERIES};
use super::{Axis, Chart, Line};

/// Rows of cells.
const ROWS: usize = 15;

/// Dots of a cell, across and down.
const DOTS: (usize, usize) = (2, 4);

/// More columns than any screen has.
const MOST: usize = 400;

/// Whether an SGR code is one that charts use, the end of a colour included.
pub fn is_color(code: &str) -> bool {
    code == "0" || PALETTE.iter().any(|(.., own)| *own == code)
}

/// What is drawn in a cell: its dots, the last series among them, and a mark on top.
#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u32,
    series: usize,
    mark: Option<char>,
}

impl Chart {
    /// The chart in about `columns` by 15 cells, with labels around it.
    ///
    /// Colours tell the lines apart where stdout is a terminal and `NO_COLOR` is not set; numbers on them
    /// otherwise.
    pub fn terminal(&self, columns: usize) -> String {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.paint(columns, !no_color && std::io::stdout().is_terminal())
    }

    fn paint(&self, columns: usize, color: bool) -> String {
        let (x, y) = self.plane((0.0, 0.0));
        let labels = self.labels(&y);
        let margin = labels.iter().map(|label| letters(label)).max().unwrap_or(0) + 1;
        let width = columns.saturating_sub(margin).clamp(16, MOST);
        let cells = self.cells((&x, &y), width, !color && self.lines.len() > 1);

        let paint = |index: usize, text: &str| match color {
            true => format!("\x1b[{}m{text}\x1b[0m", PALETTE[index % SERIES].2),
            false => text.into(),
        };
        let mut out = String::new();
        if !self.title.is_empty() {
            out += &paragraph(&plain(&self.title).to_string(), "", "", margin + width);
        }
        let logarithmic = if self.log { "logarithmic" } else { "" };
        let above = [self.y_label.as_str(), logarithmic];
        let above =
            above.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
        if !above.is_empty() {
            let blank = " ".repeat(margin);
            out += &paragraph(&plain(above).to_string(), &blank, &blank, margin + width);
        }
        for (cells, label) in cells.iter().zip(&labels) {
            let axis = if label.is_empty() { '│' } else { '┤' };
            out += &format!("{label:>0$}{axis}", margin - 1);
            for Cell { dots, series, mark } in cells {
                match (mark, char::from_u32(0x2800 + dots)) {
                    (Some(mark), _) => out.push(*mark),
                    (None, Some(dots)) if dots != '\u{2800}' => {
                        out += &paint(*series, &dots.to_string());
                    }
                    _ => out.push(' '),
                }
            }
            out.push('\n');
        }
        out += &format!("{:1$}└{2}\n", "", margin - 1, "─".repeat(width));
        let [first, last] = x.ends().map(|end| x.label(end));
        let between = width.saturating_sub(first.chars().count() + last.chars().count());
        let label = shortened(&plain(&self.x_label).to_string(), between);
        out += &format!("{:margin$}{first}{label:^between$}{last}\n", "");
        let legend = self.lines.iter().enumerate().map(|(index, line)| {
            let name = shortened(&plain(&line.name).to_string(), width.saturating_sub(3));
            let words = match color {
                true => format!("── {name}"),
                false if self.lines.len() > 1 => format!("{} {name}", mark(index)),
                false => name,
            };
            if color { paint(index, &words) } else { words }
        });
        let mut lines: Vec<String> = out.lines().map(|line| line.trim_end().to_owned()).collect();
        let legend = wrap(legend, "   ", width);
        lines.extend(legend.iter().map(|line| format!("{:margin$}{line}", "")));
        lines.join("\n") + "\n"
    }

    /// What stands beside each row: the ends, and round numbers between them.
    fn labels(&self, y: &Axis) -> Vec<String> {
        let mut labels = vec![String::new(); ROWS];
        let [bottom, top] = y.ends();
        for tick in y.ticks(5) {
            let Some(place) = y.place(tick) else { continue };
            let row = ((1.0 - place) * (ROWS - 1) as f64).round() as usize;
            // Not so close to another that they are taken for one.
            let near = row.saturating_sub(1)..(row + 2).min(ROWS);
            if (2..ROWS - 2).contains(&row) && labels[near].iter().all(String::is_empty) {
                labels[row] = y.label(tick);
            }
        }
        labels[0] = y.label(top);
        labels[ROWS - 1] = y.label(bottom);
        labels
    }

    /// The rows of cells, from above; `marked` with a number on each line.
    fn cells(&self, axes: (&Axis, &Axis), width: usize, marked: bool) -> Vec<Vec<Cell>> {
        let mut cells = vec![vec![Cell::default(); width]; ROWS];
        // Of so many, the one at a place from 0 to 1.
        let at = |place: f64, count: usize| (place * (count - 1) as f64).round() as usize;
        for (index, line) in self.lines.iter().enumerate() {
            let stretches = self.places(line, axes);
            for stretch in &stretches {
                let dot = |&(x, y): &(f64, f64)| {
                    (at(x, DOTS.0 * width) as isize, at(1.0 - y, DOTS.1 * ROWS) as isize)
                };
                let dots: Vec<(isize, isize)> = stretch.iter().map(dot).collect();
                let alone = [dots[0], dots[0]];
                let pairs = if dots.len() == 1 { &alone[..] } else { &dots[..] };
                for (x, y) in pairs.windows(2).flat_map(|pair| straight(pair[0], pair[1])) {
                    let cell = &mut cells[y / DOTS.1][x / DOTS.0];
                    cell.dots |= braille(x % DOTS.0, y % DOTS.1);
                    cell.series = index;
                }
            }
            // Each mark at another part of the way: lines often end in one place.
            let way = (index + 1) as f64 / (self.lines.len() + 1) as f64;
            let points = stretches.iter().flatten();
            let nearest = points.min_by(|a, b| (a.0 - way).abs().total_cmp(&(b.0 - way).abs()));
            if let (true, Some(&(x, y))) = (marked, nearest) {
                cells[at(1.0 - y, ROWS)][at(x, width)].mark = Some(mark(index));
            }
        }
        cells
    }

    /// The stretches of a line, in places from 0 to 1.
    fn places(&self, line: &Line, (x, y): (&Axis, &Axis)) -> Vec<Vec<(f64, f64)>> {
        let place = |point: &(f64, f64, f64)| Some((x.place(point.0)?, y.place(point.1)?));
        let stretches = self.stretches(line);
        let stretches = stretches.iter().map(|stretch| stretch.iter().filter_map(place).collect());
        stretches.filter(|stretch: &Vec<_>| !stretch.is_empty()).collect()
    }
}

/// 1 to 9, then a, b, ...
fn mark(index: usize) -> char {
    char::from_digit((index as u32 + 1) % 36, 36).unwrap_or('*')
}

/// The dots of a straight line (Bresenham's).
fn straight(from: (isize, isize), to: (isize, isize)) -> impl Iterator<Item = (usize, usize)> {
    let (across, down) = (to.0 - from.0, to.1 - from.1);
    let steps = across.abs().max(down.abs()).max(1);
    // Halves go up, so that no line depends on which of its ends comes first.
    let part = move |length: isize, step: isize| (2 * length * step + steps).div_euclid(2 * steps);
    (0..=steps).map(move |step| {
        ((from.0 + part(across, step)) as usize, (from.1 + part(down, step)) as usize)
    })
}

/// The bit of a dot within its cell.
fn braille(across: usize, down: usize) -> u32 {
    const BITS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    BITS[across][down]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ODD, chart, falling};
    use super::*;

    #[test]
    fn a_line_is_where_it_is() {
        let line = chart(false, &[&[(0.0, 0.0), (10.0, 1.0)]]);
        let text = line.paint(46, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1].trim()), ("Title", "loss"));
        assert!(lines[2].starts_with("  1┤") && lines[16].starts_with("  0┤"), "{text}");
        // Round numbers between the ends, where they belong.
        let labels: Vec<&str> = lines[3..16]
            .iter()
            .filter_map(|line| line.split_once('┤'))
            .map(|(label, _)| label.trim())
            .collect();
        assert_eq!(labels, ["0.8", "0.6", "0.4", "0.2"], "{text}");
        // Rising: on the right at the top, on the left at the bottom.
        let dots = |line: &str| line.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(dots(lines[2]).unwrap() > 35 && dots(lines[16]).unwrap() < 10, "{text}");
        assert!(lines[18].trim().starts_with('0') && lines[18].ends_with("10"), "{text}");
        assert!(lines[18].contains("step") && lines[19].trim() == "s0", "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 46), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn lines_are_told_apart() {
        let text = falling(3, true).paint(60, true);
        for (.., code) in &PALETTE[..3] {
            assert!(text.matches(&format!("\x1b[{code}m")).count() > 5, "{text}");
        }
        let text = falling(3, true).paint(60, false);
        assert!(text.ends_with("1 train   2 test   3 he_normal\n"), "{text}");
        // A mark each, and in another place than the others.
        let plot: String =
            text.lines().skip(2).take(15).flat_map(|line| line.split(['┤', '│']).skip(1)).collect();
        assert!(['1', '2', '3'].iter().all(|mark| plot.contains(*mark)), "{text}");
    }

    #[test]
    fn whatever_the_points_a_chart_is_drawn() {
        for (index, case) in ODD.iter().enumerate() {
            for log in [false, true] {
                for columns in [0, 20, 60, 1_000_000] {
                    let text = chart(log, case).paint(columns, true);
                    assert!(text.lines().count() >= 15 && !text.contains("NaN"), "{index} {log}");
                }
            }
        }
    }

    #[test]
    fn straight_lines_touch_every_column_or_row_between_their_ends() {
        let ends = (0..7).flat_map(|x| (0..7).map(move |y| (x, y)));
        for (from, to) in ends.clone().flat_map(|from| ends.clone().map(move |to| (from, to))) {
            let dots: Vec<(usize, usize)> = straight(from, to).collect();
            let usize = |(x, y): (isize, isize)| (x as usize, y as usize);
            assert_eq!((dots[0], dots[dots.len() - 1]), (usize(from), usize(to)));
            for pair in dots.windows(2) {
                assert!(pair[0].0.abs_diff(pair[1].0) <= 1 && pair[0].1.abs_diff(pair[1].1) <= 1);
            }
        }
    }
}
