//! A chart as a picture.

use std::fmt::Write as _;

use super::axis::written;
use super::path::{clipped, crossing, path, thinned};
use super::svg::{
    Figure, HEAD, MARGIN, Plane, SERIES, SMALL, TEXT, WIDTH, at, breadth, escape, fold, marker,
    paragraph, text,
};
use super::{Axis, Chart, Line};

/// The height of the plane.
const HEIGHT: f64 = 300.0;

/// What markers at the plane's ends have of room beside it.
const RIGHT: f64 = 20.0;

/// No more markers of a line than can be told apart.
const MARKERS: usize = 40;

/// Nearer than this, markers lie on each other, and curves.
const ALIKE: f64 = 2.0;

/// The factors of bands, and what they are factors of, stay finite together.
const FARTHEST: f64 = 1e300;

/// Where a number of a line is to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Across, and from above: outside of the plane where the axis is cut before it.
    At(f64, f64),
    /// Too large for the quantity (an overflow), or too small: 0 on a logarithmic axis.
    Beyond { over: bool },
    /// There is none.
    Nowhere,
}

/// What a caption has to explain.
#[derive(Default)]
struct Seen {
    /// A line leaves the axis.
    cut: bool,
    /// A line leaves the numbers that there are.
    beyond: bool,
    /// Lines lie on each other.
    alike: bool,
}

impl Line {
    /// The curve, without its band.
    fn line(&self) -> Vec<(f64, f64)> {
        self.curve.iter().map(|point| (point.0, point.1)).collect()
    }

    /// What was measured, or else the curve.
    fn main(&self) -> Vec<(f64, f64)> {
        match self.points.is_empty() {
            true => self.line(),
            false => self.points.iter().map(|point| (point.0, point.1)).collect(),
        }
    }

    /// All that it has.
    fn all(&self) -> Vec<(f64, f64)> {
        [self.main(), self.line(), self.second.clone()].concat()
    }
}

impl Chart {
    /// The picture.
    pub fn figure(self) -> Figure {
        let points = self.lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
        // Markers have half a step at either end.
        let aside = if points > 1 { 0.5 / (points - 1) as f64 } else { 0.0 };
        let (x, y) = self.plane((aside, 0.04));
        let y = self.spared().map_or(y, |ends| Axis::over(ends.into_iter(), true, 0.04));
        let inner = WIDTH - 2.0 * MARGIN;
        let (mut body, top) =
            paragraph("h", MARGIN, 24.0, &fold(&self.title, inner / 1.1, HEAD, 3));
        let (below, top) = paragraph("s", MARGIN, top, &fold(&self.subtitle, inner, SMALL, 6));
        body += &below;
        let all = || self.lines.iter().flat_map(Line::all);
        let none = !all().any(|own| self.draws(own.1));
        // Of an axis without a number there is nothing to say.
        let heights = if none { Vec::new() } else { y.labelled(y.ticks(7)) };
        let left = Plane::margin(&heights);
        let plane = Plane { left, top, width: WIDTH - left - RIGHT, height: HEIGHT, x, y };
        // Between whole numbers (layers, epochs) there is nothing.
        let whole = all().all(|own| own.0.fract() == 0.0);
        let label = match self.log {
            true => format!("{} (log)", self.y_label),
            false => self.y_label.clone(),
        };
        let across = plane.across(whole);
        body += &plane.axes([&across, &heights], [&self.x_label, &label], false);

        let traces = |of: fn(&Line) -> Vec<(f64, f64)>| -> Vec<Vec<Place>> {
            self.lines.iter().map(|line| self.trace(&of(line), &plane)).collect()
        };
        let places = traces(Line::main);
        let same = turns(&places);
        let curves = turns(&traces(Line::line));
        let seconds = turns(&traces(|line| line.second.clone()));
        let mut taken = Vec::new();
        let mut seen = Seen::default();
        for (index, line) in self.lines.iter().enumerate() {
            let _ = write!(body, "<g><title>{}</title>", escape(&line.name));
            self.curves(&mut body, index, &plane, [&curves[index], &seconds[index]]);
            self.markers(&mut body, index, &plane, &places, &mut seen);
            let ends = (&mut taken, &mut seen);
            leavings(&mut body, index, &plane, &places[index], ends);
            body += &self.end(index, &plane, &places[index], &mut taken);
            body += "</g>";
        }
        if none && self.lines.iter().all(|line| line.end.is_none()) {
            body += &text("s m", left + 0.5 * plane.width, top + 0.5 * HEIGHT, "no data");
        }
        seen.alike |= same.iter().chain(&curves).chain(&seconds).any(|turn| turn.of > 1);
        let height = self.legend(&mut body, &plane, &places, &same);
        let caption = self.explained(&seen);
        Figure { title: self.title, caption, height, body }
    }

    /// The caption with what the picture turned out to have.
    fn explained(&self, seen: &Seen) -> String {
        let mut parts = vec![self.caption.clone()];
        if self.log {
            parts.push("The vertical axis is logarithmic.".into());
        }
        if seen.cut {
            parts.push(
                "It is cut where one line would flatten all others: a filled triangle at its edge \
                 marks where a line leaves it, and the legend says how far it goes."
                    .into(),
            );
        }
        if seen.beyond {
            parts.push(
                "An open arrow marks the last point before a line overflows (up) or comes to 0 \
                 (down)."
                    .into(),
            );
        }
        if seen.alike {
            parts
                .push("Where lines lie on each other, their dashes and markers take turns.".into());
        }
        parts.retain(|part| !part.is_empty());
        parts.join(" ")
    }

    /// The ends of a logarithmic axis without the few lines that would flatten all others; none where there
    /// are no such lines.
    fn spared(&self) -> Option<[f64; 2]> {
        /// As many decades as the axis has at least: what differs by less is one to the eye.
        const LEAST: f64 = 3.0;
        /// What takes less of the axis than this is flat.
        const FLAT: f64 = 0.27;
        let extent = |line: &Line| {
            let all = line.all().into_iter().map(|own| own.1);
            let logs = all.filter(|value| self.draws(*value)).map(f64::log10);
            logs.fold(None, |ends: Option<(f64, f64)>, log| {
                Some(ends.map_or((log, log), |(low, high)| (low.min(log), high.max(log))))
            })
        };
        let around = |lines: &[(f64, f64)]| {
            lines.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |ends, line| {
                (ends.0.min(line.0), ends.1.max(line.1))
            })
        };
        let width = |lines: &[(f64, f64)]| {
            let (low, high) = around(lines);
            (high - low).max(LEAST)
        };
        let mut kept: Vec<(f64, f64)> = self.lines.iter().filter_map(extent).collect();
        let all = kept.len();
        // Most lines stay, and two of those that are to be seen for more than a few layers.
        let seen = |line: &&Line| {
            let values = line.main();
            2 * values.iter().filter(|value| self.draws(value.1)).count() > values.len()
        };
        let long = self.lines.iter().filter(seen).count();
        let spare = long.saturating_sub(2).min(all.saturating_sub(1) / 2);
        let mut spare = if self.log { spare } else { 0 };
        while spare > 0 {
            // As few as the others are flat beside.
            let mut rest = kept.clone();
            let mut removed = 0;
            while removed < spare && width(&rest) >= FLAT * width(&kept) {
                let without = |at: usize| {
                    let mut rest = rest.clone();
                    rest.remove(at);
                    width(&rest)
                };
                let best = (0..rest.len()).min_by(|a, b| without(*a).total_cmp(&without(*b)))?;
                rest.remove(best);
                removed += 1;
            }
            if width(&rest) >= FLAT * width(&kept) {
                break;
            }
            (kept, spare) = (rest, spare - removed);
        }
        let (low, high) = around(&kept);
        let room = 0.5 * (LEAST - (high - low)).max(0.0);
        (kept.len() < all).then(|| [low - room, high + room].map(|log| 10f64.powf(log)))
    }

    /// Where the numbers of a line are.
    fn trace(&self, values: &[(f64, f64)], plane: &Plane) -> Vec<Place> {
        let place = |&(x, value): &(f64, f64)| match value {
            _ if value.is_nan() && !self.log => Place::Nowhere,
            _ if value.is_nan() || value > self.bounds.1 || value == f64::INFINITY => {
                Place::Beyond { over: true }
            }
            _ if value < self.bounds.0
                || value == f64::NEG_INFINITY
                || self.log && value <= 0.0 =>
            {
                Place::Beyond { over: false }
            }
            _ => match (plane.x(x), plane.y.position(value)) {
                (Some(x), Some(y)) => Place::At(x, plane.base() - plane.height * y),
                _ => Place::Nowhere,
            },
        };
        values.iter().map(place).collect()
    }

    /// The lines and bands of a series.
    fn curves(&self, body: &mut String, index: usize, plane: &Plane, turns: [&Turn; 2]) {
        let line = &self.lines[index];
        let at = |(x, y): (f64, f64)| {
            Some((plane.x(x)?, plane.base() - plane.height * plane.y.position(y)?))
        };
        let stretches = if line.curve.is_empty() { Vec::new() } else { self.stretches(line) };
        for stretch in &stretches {
            if self.log && stretch.len() > 1 && stretch.iter().any(|point| point.2 > 1.0) {
                let upper = stretch.iter().map(|p| (p.0, (p.1 * p.2).min(FARTHEST)));
                let lower = stretch.iter().rev().map(|p| (p.0, (p.1 / p.2).max(1.0 / FARTHEST)));
                let band: Vec<(f64, f64)> =
                    upper.chain(lower).filter_map(|point| plane.point(point)).collect();
                let _ =
                    write!(body, "<path class=\"b f{}\" d=\"{}Z\"/>", index % SERIES, path(&band));
            }
            let curve: Vec<(f64, f64)> = stretch.iter().filter_map(|p| at((p.0, p.1))).collect();
            // What is measured has a marker.
            let alone = !line.points.iter().any(|point| self.draws(point.1));
            draw(body, index, plane, &curve, turns[0].dashes(10.0, 10.0), alone);
        }
        // So that series are told apart without colours: some markers, each line's in places of its own.
        if line.points.is_empty() {
            let all: Vec<(f64, f64)> =
                stretches.iter().flatten().filter_map(|p| plane.point((p.0, p.1))).collect();
            let parts = 5 * self.lines.len();
            let mut last = None;
            for part in 0..5 {
                let place = (part * self.lines.len() + index) * all.len() / parts.max(1);
                let Some((x, y)) = all.get(place).copied().filter(|_| last != Some(place)) else {
                    continue;
                };
                last = Some(place);
                if plane.top < y && y < plane.base() {
                    *body += &marker(index, x, y);
                }
            }
        }
        let second: Vec<Option<(f64, f64)>> =
            line.second.iter().map(|point| at(*point).filter(|_| self.draws(point.1))).collect();
        for stretch in second.split(Option::is_none) {
            let stretch: Vec<(f64, f64)> = stretch.iter().copied().flatten().collect();
            draw(body, index, plane, &stretch, turns[1].dashes(SECOND.0, SECOND.1), true);
        }
    }

    /// What was measured, with whiskers. Of markers that lie on each other one is drawn, in turn.
    fn markers(
        &self,
        body: &mut String,
        index: usize,
        plane: &Plane,
        places: &[Vec<Place>],
        seen: &mut Seen,
    ) {
        let points = &self.lines[index].points;
        let every = points.len().div_ceil(MARKERS).max(1);
        let chosen = (0..points.len()).step_by(every);
        // The last layer is often another than the one before it.
        let last = points.len().checked_sub(1).filter(|last| last % every != 0);
        let mut hidden = 0;
        for (number, at_point) in chosen.chain(last).enumerate() {
            let Place::At(x, y) = places[index][at_point] else { continue };
            if !(plane.top..=plane.base()).contains(&y) {
                continue;
            }
            let (.., least, greatest) = points[at_point];
            let low = if self.log && least <= 0.0 { Some(plane.base()) } else { plane.y(least) };
            if let (Some(a), Some(b), true) = (low, plane.y(greatest), greatest > least) {
                let class = index % SERIES;
                let _ = write!(
                    body,
                    "<path class=\"w c{class}\" d=\"M{} {}V{}\"/>",
                    at(x),
                    at(a),
                    at(b)
                );
            }
            let on = |other: usize| match (
                self.lines[other].points.is_empty(),
                places[other].get(at_point),
            ) {
                (false, Some(Place::At(u, v))) => (u - x).abs().max((v - y).abs()) < ALIKE,
                _ => false,
            };
            let of = (0..places.len()).filter(|other| on(*other)).count();
            let before = (0..index).filter(|other| on(*other)).count();
            match number % of.max(1) == before {
                true => *body += &marker(index, x, y),
                false => hidden += 1,
            }
        }
        // Gradients all begin in one point, which is nothing to be told.
        seen.alike |= hidden > 1;
    }

    /// The way to where a line ended before its time, and a cross there.
    fn end(
        &self,
        index: usize,
        plane: &Plane,
        places: &[Place],
        taken: &mut Vec<(f64, f64)>,
    ) -> String {
        let line = &self.lines[index];
        let Some(x) = line.end.as_ref().and_then(|end| plane.x(end.0)) else {
            return String::new();
        };
        let last = places.iter().rev().find_map(|place| match place {
            Place::At(x, y) => Some((*x, y.clamp(plane.top, plane.base()))),
            _ => None,
        });
        let class = index % SERIES;
        let (x, y) = match last {
            Some(last) if last.0 >= x => last,
            // What ends it is larger than any number.
            _ => (x, plane.top + 8.0),
        };
        let (x, y) = free(taken, (x, y), 1.0);
        let mut body = String::new();
        if let Some((u, v)) = last.filter(|last| last.0 < x) {
            let _ = write!(
                body,
                "<path class=\"l c{class}\" stroke-dasharray=\"1.5 4\" d=\"M{} {}L{} {}\"/>",
                at(u),
                at(v),
                at(x),
                at(y)
            );
        }
        body + &cross(index, x, y)
    }

    /// The names of the lines, and what is to be said of each; returns where the picture ends.
    fn legend(
        &self,
        body: &mut String,
        plane: &Plane,
        places: &[Vec<Place>],
        turns: &[Turn],
    ) -> f64 {
        const SAMPLE: f64 = 24.0;
        let mut entries: Vec<(String, String, String)> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let mut notes: Vec<String> = line.end.iter().map(|end| end.1.clone()).collect();
            notes.extend(self.note(line, &places[index], plane));
            if turns[index].place > 0 {
                notes.push(format!("as {}", self.lines[turns[index].first].name));
            }
            let name = match notes.is_empty() {
                true => line.name.clone(),
                false => format!("{} ({})", line.name, notes.join("; ")),
            };
            let mut sample = String::new();
            if line.points.is_empty() || !line.curve.is_empty() {
                sample += &stroke(index, "M0 0h22", &None);
            }
            sample += &marker(index, 11.0, 0.0);
            if line.end.is_some() {
                sample += &cross(index, 19.0, 0.0);
            }
            entries.push((line.name.clone(), sample, name));
        }
        if let Some(styles) = &self.styles {
            let dashes = [
                String::new(),
                format!(" stroke-dasharray=\"{} {}\"", SECOND.0, SECOND.1 - SECOND.0),
            ];
            for (name, dashes) in styles.iter().zip(dashes) {
                let sample = format!("<path class=\"l k\" d=\"M0 0h22\"{dashes}/>");
                entries.push((name.clone(), sample, name.clone()));
            }
        }
        let (mut x, mut y) = (MARGIN, plane.foot() + TEXT);
        let mut end = plane.foot();
        for (title, sample, words) in entries {
            let room = WIDTH - 2.0 * MARGIN - SAMPLE - 6.0;
            let lines = fold(&words, room, TEXT, 3);
            let width = lines.iter().map(|line| breadth(line, TEXT)).fold(0.0, f64::max);
            let width = SAMPLE + 6.0 + width;
            if x > MARGIN && (x + width > WIDTH - MARGIN || lines.len() > 1) {
                (x, y) = (MARGIN, end + TEXT);
            }
            let (label, next) = paragraph("t", x + SAMPLE + 6.0, y, &lines);
            let _ = write!(
                body,
                "<g><title>{}</title><g transform=\"translate({} {})\">{sample}</g>{label}</g>",
                escape(&title),
                at(x),
                at(y - 4.5)
            );
            end = end.max(next - TEXT + 2.0);
            // Beside what has several lines there is nothing.
            x = if lines.len() > 1 { WIDTH } else { x + width + 14.0 };
        }
        end + 8.0
    }

    /// Why nothing of a line is to be seen, or not all of it.
    fn note(&self, line: &Line, places: &[Place], plane: &Plane) -> Option<String> {
        let values = line.main();
        if values.is_empty() {
            return line.end.is_none().then(|| "no data".into());
        }
        let there = |place: &Place| matches!(place, Place::At(..));
        let what = |over: bool, values: &[(f64, f64)]| match over {
            true => "overflows",
            false if values.iter().all(|value| value.1 == 0.0) => "0",
            false => "too small for float32",
        };
        let Some(first) = places.iter().position(there) else {
            let over = places.contains(&Place::Beyond { over: true });
            let none = places.iter().all(|place| *place == Place::Nowhere);
            return Some(match none {
                true => "undefined".into(),
                false if over => "overflows throughout".into(),
                false => format!("{} throughout", what(false, &values)),
            });
        };
        let mut notes = Vec::new();
        let unit = &self.x_label;
        if let Some(Place::Beyond { over }) = first.checked_sub(1).map(|at| places[at]) {
            let (what, x) = (what(over, &values[..first]), written(values[first - 1].0));
            notes.push(format!("{what} up to {unit} {x}"));
        }
        let after = places.iter().rposition(there).map_or(0, |last| last + 1);
        if let Some(Place::Beyond { over }) = places.get(after) {
            let (what, x) = (what(*over, &values[after..]), written(values[after].0));
            notes.push(format!("{what} from {unit} {x}"));
        }
        let shown = || {
            places.iter().zip(&values).filter(|(place, _)| there(place)).map(|(_, value)| value.1)
        };
        let [low, high] = plane.y.ends();
        let (least, most) = (shown().fold(f64::MAX, f64::min), shown().fold(f64::MIN, f64::max));
        if self.log && most > high * 1.001 {
            notes.push(format!("rises to {}", rough(most)));
        }
        if self.log && least < low * 0.999 {
            notes.push(format!("falls to {}", rough(least)));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// About how large a number is.
fn rough(value: f64) -> String {
    let rounded: f64 = format!("{value:.0e}").parse().unwrap_or(value);
    written(rounded)
}

/// The dashes of a second curve: their length, and from one to the next.
const SECOND: (f64, f64) = (6.0, 10.0);

/// The place of a line among those that lie on each other.
struct Turn {
    /// The first of them.
    first: usize,
    /// How many are before it.
    place: usize,
    of: usize,
}

impl Turn {
    /// Dashes of a length in periods of a length, in which each of the lines has one of its own.
    fn dashes(&self, length: f64, period: f64) -> Option<(f64, f64, f64)> {
        let all = period * self.of as f64;
        (all > length).then_some((length, all - length, 0.0 - period * self.place as f64))
    }
}

/// Which lines are the same to the eye.
fn turns(places: &[Vec<Place>]) -> Vec<Turn> {
    let first = |index: usize| {
        (0..index).find(|other| alike(&places[*other], &places[index])).unwrap_or(index)
    };
    // Of a group the first that it has.
    let mut firsts: Vec<usize> = Vec::new();
    for index in 0..places.len() {
        let own = first(index);
        firsts.push(if own < index { firsts[own] } else { own });
    }
    let count = |index: usize, upto: usize| {
        firsts[..upto].iter().filter(|first| **first == firsts[index]).count()
    };
    (0..places.len())
        .map(|index| Turn {
            first: firsts[index],
            place: count(index, index),
            of: count(index, places.len()),
        })
        .collect()
}

/// Whether two lines are the same to the eye, wherever either is.
fn alike(one: &[Place], other: &[Place]) -> bool {
    let same = |(one, other): (&Place, &Place)| match (one, other) {
        (Place::At(a, b), Place::At(c, d)) => (a - c).abs().max((b - d).abs()) < ALIKE,
        // One place more or less is before the end of a line.
        (one, other) => one == other,
    };
    let there = one.iter().filter(|place| matches!(place, Place::At(..))).count();
    one.len() == other.len() && there > 1 && one.iter().zip(other).all(same)
}

/// A curve, as far as it is in the plane; a point alone is a dash where `alone`.
fn draw(
    body: &mut String,
    index: usize,
    plane: &Plane,
    points: &[(f64, f64)],
    dashes: Option<(f64, f64, f64)>,
    alone: bool,
) {
    for stretch in clipped(points, plane.top, plane.base()) {
        match stretch[..] {
            [(x, y)] if alone => {
                let [left, right] = [-1.0, 1.0].map(|side| {
                    let reach: f64 = if points.len() == 1 { 16.0 } else { 3.0 };
                    (x + side * reach).clamp(plane.left, plane.left + plane.width)
                });
                *body += &stroke(index, &path(&[(left, y), (right, y)]), &dashes);
            }
            [_] => {}
            _ => *body += &stroke(index, &path(&thinned(&stretch)), &dashes),
        }
    }
}

/// Where a line leaves the plane: the point that an arrow comes from, or none at the edge of a cut axis; its
/// tip, and whether that is above.
type Mark = (Option<(f64, f64)>, f64, f64, bool);

/// The marks where a line leaves the axis, or the numbers that there are.
fn leavings(
    body: &mut String,
    index: usize,
    plane: &Plane,
    places: &[Place],
    (taken, seen): (&mut Vec<(f64, f64)>, &mut Seen),
) {
    /// A line that comes and goes has its first marks alone.
    const MOST: usize = 6;
    let (top, base) = (plane.top, plane.base());
    let mut marks: Vec<Mark> = Vec::new();
    for pair in places.windows(2) {
        // In either direction: gradients start at the right.
        for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            let Place::At(x, y) = one else { continue };
            if !(top..=base).contains(&y) {
                continue;
            }
            match other {
                Place::At(u, v) if v < top => {
                    marks.push((None, crossing((x, y), (u, v), top).0, top, true));
                }
                Place::At(u, v) if v > base => {
                    marks.push((None, crossing((x, y), (u, v), base).0, base, false));
                }
                Place::Beyond { over } => {
                    let tip = if over { (y - 14.0).max(top) } else { (y + 14.0).min(base) };
                    marks.push((Some((x, y)), x, tip, over));
                }
                _ => {}
            }
        }
    }
    let inside = |place: &Place| matches!(place, Place::At(_, y) if (top..=base).contains(y));
    if !places.iter().any(inside) {
        // All of it is on the other side of the edge.
        let beyond = places.iter().filter_map(|place| match place {
            Place::At(x, y) => Some((None, *x, y.clamp(top, base), *y < top)),
            _ => None,
        });
        let beyond: Vec<_> = beyond.collect();
        marks.extend(beyond.first());
        marks.extend(beyond.last().filter(|_| beyond.len() > 1));
    }
    for (stem, x, y, up) in marks.into_iter().take(MOST) {
        let class = index % SERIES;
        let side = if up { 1.0 } else { -1.0 };
        match stem {
            Some((u, v)) => {
                seen.beyond = true;
                let (_, y) = free(taken, (x, y), side);
                let _ = write!(
                    body,
                    "<path class=\"l c{class}\" d=\"M{} {}V{}m-4 {4}l4 {5}l4 {4}\"><title>{3}</title></path>",
                    at(u),
                    at(v),
                    at(y),
                    if up { "overflows here" } else { "0 from here" },
                    5.0 * side,
                    -5.0 * side,
                );
            }
            None => {
                seen.cut = true;
                let (x, y) = free(taken, (x, y), side);
                let _ = write!(
                    body,
                    "<path class=\"f{class}\" d=\"M{} {}l5.5 {3}h-11z\"><title>{2}</title></path>",
                    at(x.clamp(plane.left + 5.5, plane.left + plane.width - 5.5)),
                    at(y),
                    if up { "goes on above" } else { "goes on below" },
                    10.0 * side,
                );
            }
        }
    }
}

/// The place itself, or the nearest on its way down (side 1) or up where no mark is yet.
fn free(taken: &mut Vec<(f64, f64)>, (x, mut y): (f64, f64), side: f64) -> (f64, f64) {
    for _ in 0..12 {
        if taken.iter().all(|(u, v)| (u - x).abs() > 10.0 || (v - y).abs() > 10.0) {
            break;
        }
        y += 11.0 * side;
    }
    taken.push((x, y));
    (x, y)
}

/// A cross, in the colour of a series.
fn cross(index: usize, x: f64, y: f64) -> String {
    let class = index % SERIES;
    format!("<path class=\"l c{class}\" d=\"M{} {}l9 9m0 -9l-9 9\"/>", at(x - 4.5), at(y - 4.5))
}

/// A line of a series, in dashes of a length, with gaps of a length, from a place on.
fn stroke(index: usize, path: &str, dashes: &Option<(f64, f64, f64)>) -> String {
    let dashes = dashes.map_or(String::new(), |(on, off, start)| {
        format!(" stroke-dasharray=\"{on} {off}\" stroke-dashoffset=\"{start}\"")
    });
    format!("<path class=\"l c{}\" d=\"{path}\"{dashes}/>", index % SERIES)
}

#[cfg(test)]
mod tests {
    use super::super::picture::Picture;
    use super::super::tests::{ODD, chart, falling};
    use super::*;

    fn count(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    /// What is to be held of every chart is held of this one.
    fn held(chart: Chart) -> (String, Picture) {
        let text = chart.figure().document();
        let picture = Picture::read(&text);
        picture.hold_chart();
        (text, picture)
    }

    /// Straight lines of a logarithm, from layer 1 to 50, measured at each.
    fn measured(slopes: &[f64]) -> Chart {
        let line = |(index, slope): (usize, &f64)| {
            let at = |layer: u32| {
                let value = 10f64.powf(slope * f64::from(layer));
                (f64::from(layer), value, 0.8 * value, 1.2 * value)
            };
            Line {
                name: format!("s{index}"),
                points: (1..=50).map(at).collect(),
                curve: (1..=50).map(at).map(|own| (own.0, own.1, 2.0)).collect(),
                ..Line::default()
            }
        };
        Chart {
            x_label: "layer".into(),
            bounds: (1e-78, 1e78),
            lines: slopes.iter().enumerate().map(line).collect(),
            ..chart(true, &[])
        }
    }

    #[test]
    fn every_series_is_in_the_plot_and_in_the_legend() {
        for series in [1, 5, 12, 15, 30] {
            for log in [false, true] {
                let (text, picture) = held(falling(series, log));
                for index in 0..series.min(SERIES) {
                    assert!(count(&text, &format!("class=\"l c{index}\"")) >= 2, "{index}");
                }
                let said = picture.said();
                assert!(said.contains("train\n") && said.contains("step\n"), "{said}");
                assert_eq!(said.contains("loss (log)\n"), log, "{said}");
                assert_eq!(said.contains("The vertical axis is logarithmic."), log, "{said}");
            }
        }
        // Each has another colour, shape or filling.
        let samples: std::collections::HashSet<String> =
            (0..70).map(|index| marker(index, 0.0, 0.0)).collect();
        assert_eq!(samples.len(), 70);
        assert!(falling(6, false).figure().document().contains("&lt;&amp;&gt;"));
    }

    #[test]
    fn long_names_stay_on_the_picture() {
        let names = [
            "variance_scaling:scale=1.2345678901,mode=fan_avg,distribution=truncated_normal",
            "a name of many words that goes on and on until nobody remembers how it once began",
            &"x".repeat(300),
            &"W".repeat(80),
            &"平均".repeat(40),
            "\u{202e}\u{1b}[31m<&>\"'",
        ];
        let mut long = falling(12, true);
        for (line, name) in long.lines.iter_mut().zip(names.iter().cycle()) {
            line.name = (*name).into();
        }
        long.title = names.join(", ");
        long.subtitle = names.join("; ");
        let (text, picture) = held(long);
        // Whole, in lines; what is longer than three is whole in its title.
        let legend = picture.said().replace('\n', "");
        assert!(legend.contains(names[0]) && !legend.contains(names[2]));
        assert!(text.contains(&format!("<title>{}</title>", names[2])));
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
        assert_eq!(count(&held(chart(false, &[&points])).0, "class=\"l c0\""), 3);
        let (_, picture) = held(chart(true, &[&points]));
        assert!(picture.said().contains("s0 (0 from step 5)"), "{}", picture.said());
        // One point alone is a dash with a marker.
        assert!(held(chart(false, &[&points[..1]])).0.contains("<circle"));
    }

    #[test]
    fn an_outlier_leaves_the_axis_and_is_marked() {
        let chart = measured(&[-1.6, 0.14, -0.3, 0.0]);
        let (text, picture) = held(chart);
        // Down it goes, at an edge: the axis ends where the others do.
        assert_eq!(count(&text, "goes on below"), 1);
        let [_, top, _, bottom] = picture.plane();
        let said = picture.said().replace('\n', " ");
        assert!(
            said.contains("s0 (too small for float32 from layer 49; falls to 2×10⁻⁷⁷)"),
            "{said}"
        );
        assert!(said.contains("It is cut where one line would flatten all others"), "{said}");
        // The others have all of the plane.
        let triangle = picture.shapes.iter().find(|own| own.0 == "f0" && own.1.len() == 4);
        assert_eq!(triangle.unwrap().1[0].1, bottom);
        for (series, reach) in [(1, 0.25), (2, 0.6)] {
            let own = picture.shapes.iter().filter(|own| own.0 == format!("l c{series}"));
            let longest = own.max_by_key(|own| own.1.len()).unwrap();
            let heights = longest.1.iter().map(|point| point.1);
            let ends = heights.fold((f64::MAX, 0.0f64), |(a, b), y| (a.min(y), b.max(y)));
            assert!(ends.1 - ends.0 > reach * (bottom - top), "{series}: {ends:?}");
        }
        // Of two neither is one; nor is what all have in common, or what flattens nothing.
        for slopes in [&[-1.6, 0.0][..], &[-1.6, -1.5, -1.4, -1.3], &[-0.3, 0.14, 0.0], &[0.0; 5]] {
            let text = held(measured(slopes)).0;
            assert!(!text.contains("goes on"), "{slopes:?}");
        }
        // Two that are seen throughout are not parted for the sake of a few points.
        let mut few = measured(&[-0.3, 0.0, 0.1, -0.1]);
        few.lines[2..].iter_mut().for_each(|line| line.points.truncate(2));
        few.lines[2..].iter_mut().for_each(|line| line.curve.truncate(2));
        few.lines[2..].iter_mut().for_each(|line| line.points.extend([(3.0, 0.0, 0.0, 0.0); 9]));
        assert!(!held(few).0.contains("goes on"));
        // In the last step, where the mark has the edge beside it.
        let mut late = measured(&[0.0, 0.02, -0.02, 0.01]);
        (late.lines[0].points[49].1, late.lines[0].curve[49].1) = (1e60, 1e60);
        assert_eq!(count(&held(late).0, "goes on above"), 1);
        // Several may leave, either way.
        let text = held(measured(&[-1.5, 1.5, 0.1, 0.0, -0.1])).0;
        assert_eq!((count(&text, "goes on below"), count(&text, "goes on above")), (1, 1));
    }

    #[test]
    fn what_leaves_the_numbers_has_an_arrow() {
        let mut chart = measured(&[0.1, -0.1, 0.0]);
        let values = [f64::INFINITY, 0.0, f64::NAN];
        for (line, value) in chart.lines.iter_mut().zip(values) {
            line.curve.clear();
            line.points[40..]
                .iter_mut()
                .for_each(|own| (own.1, own.2, own.3) = (value, value, value));
        }
        let (text, picture) = held(chart);
        let said = picture.said();
        for part in
            ["s0 (overflows from layer 41)", "s1 (0 from layer 41)", "s2 (overflows from layer 41)"]
        {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!((count(&text, "overflows here"), count(&text, "0 from here")), (2, 1));
        // The other way round, and nothing at all.
        let mut chart = measured(&[0.1, -0.1, 0.0]);
        for (line, value) in chart.lines.iter_mut().zip(values) {
            line.curve.clear();
            line.points.iter_mut().for_each(|own| (own.1, own.2, own.3) = (value, value, value));
        }
        chart.lines[1].points[49].1 = 1.0;
        let said = held(chart).1.said();
        for part in ["s0 (overflows throughout)", "s1 (0 up to layer 49)"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn lines_that_coincide_take_turns() {
        let (text, picture) = held(measured(&[0.1, 0.1, 0.1, -0.1]));
        let said = picture.said();
        assert!(said.contains("s1 (as s0)") && said.contains("s2 (as s0)"), "{said}");
        assert!(!said.contains("s3 (") && said.contains("take turns"), "{said}");
        for offset in ["0", "-10", "-20"] {
            let dashes = format!("stroke-dasharray=\"10 20\" stroke-dashoffset=\"{offset}\"");
            assert_eq!(count(&text, &dashes), 1, "{offset}");
        }
        // All of their markers are seen, and no place has two.
        let [.., bottom] = picture.plane();
        let mut all = Vec::new();
        for class in ["f0", "f1", "f2"] {
            let own = picture.shapes.iter().filter(|own| own.0 == class && own.1[0].1 < bottom);
            let places: Vec<i64> = own.map(|own| own.1[0].0.round() as i64 / 4).collect();
            assert!(places.len() >= 6, "{class}: {places:?}");
            all.extend(places);
        }
        let apart: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(apart.len(), all.len());
    }

    #[test]
    fn curves_take_turns_by_themselves() {
        // One theory of lines that were measured apart.
        let mut theory = measured(&[0.1, -0.1, 0.05]);
        for index in 1..3 {
            theory.lines[index].curve = theory.lines[0].curve.clone();
        }
        let (text, picture) = held(theory);
        assert_eq!(count(&text, "stroke-dasharray=\"10 20\""), 3);
        assert!(!picture.said().contains("(as s"), "{}", picture.said());
        // Trained alike, tested apart: there the dashes are what they are of one line alone.
        let mut runs = chart(true, &[&[(1.0, 1.0), (9.0, 0.1)][..]; 2]);
        for (line, factor) in runs.lines.iter_mut().zip([1.5, 2.5]) {
            line.second = line.curve.iter().map(|own| (own.0, factor * own.1)).collect();
        }
        let text = held(runs).0;
        assert_eq!(count(&text, "stroke-dasharray=\"6 4\" stroke-dashoffset=\"0\""), 2);
        assert_eq!(count(&text, "stroke-dasharray=\"10 10\""), 2);
    }

    #[test]
    fn where_a_run_ended_is_marked() {
        let mut chart = falling(3, true);
        chart.styles = Some(["training".into(), "test".into()]);
        for line in &mut chart.lines {
            line.second = line.curve.iter().map(|own| (own.0, 1.2 * own.1)).collect();
        }
        chart.lines[1].curve.truncate(300);
        chart.lines[1].second.truncate(300);
        chart.lines[1].end = Some((300.4, "diverged at step 5, in epoch 301".into()));
        chart.lines[2].curve.clear();
        chart.lines[2].second.clear();
        chart.lines[2].end = Some((0.2, "diverged at step 2, in epoch 1".into()));
        let (text, picture) = held(chart);
        let said = picture.said();
        for part in [
            "test (diverged at step 5, in epoch 301)",
            "he_normal (diverged at step 2, in epoch 1)",
            "training\n",
        ] {
            assert!(said.contains(part), "{said}");
        }
        // A cross in the plot and one in the legend; a way to it where there is a place to come from.
        assert_eq!(count(&text, "l9 9m0 -9l-9 9"), 4);
        assert_eq!(count(&text, "stroke-dasharray=\"1.5 4\""), 1);
        // The second curves are dashed, and so is the sample of them.
        assert_eq!(count(&text, "stroke-dasharray=\"6 4\""), 3);
        // None of the runs came as far as a number.
        let mut chart = falling(2, true);
        for line in &mut chart.lines {
            line.curve.clear();
            line.end = Some((0.2, "diverged".into()));
        }
        let said = held(chart).1.said();
        assert!(said.contains("diverged") && !said.contains("no data"), "{said}");
    }

    #[test]
    fn ticks_with_long_labels_are_few() {
        for (start, step) in [
            (1_234_567.0, 0.07),
            (-1_234_567.0, 0.04),
            (-3e-7, 1e-8),
            (9990.0, 1.0),
            (1e300, 1e299),
        ] {
            let points: Vec<(f64, f64)> =
                (0..40).map(|x| (start + step * f64::from(x), f64::from(x % 7))).collect();
            let (_, picture) = held(chart(false, &[&points]));
            let [.., bottom] = picture.plane();
            let below = picture.words.iter().filter(|own| (own.1[1] - bottom - 10.0).abs() < 3.0);
            assert!(below.count() >= 2, "{start}: {}", picture.said());
        }
    }

    #[test]
    fn a_long_run_is_no_long_file() {
        let spike = |x: u32| if x == 54_321 { 100.0 } else { 1.0 + f64::from(x % 7) };
        let points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), spike(x))).collect();
        let (text, picture) = held(chart(false, &[&points]));
        assert!(text.len() < 50_000, "{}", text.len());
        let [_, top, _, bottom] = picture.plane();
        let line = picture.shapes.iter().max_by_key(|own| own.1.len()).unwrap();
        let highest = line.1.iter().map(|point| point.1).fold(f64::MAX, f64::min);
        assert!(highest < top + 0.1 * (bottom - top), "{highest}");
    }

    #[test]
    fn a_band_beyond_every_number_is_cut() {
        let mut wide = chart(true, &[&[(1.0, 1e77), (2.0, 1e-77)]]);
        wide.lines[0].curve.iter_mut().for_each(|point| point.2 = 1e308);
        let text = held(wide).0;
        assert!(text.contains("class=\"b f0\"") && !text.contains("inf") && !text.contains("NaN"));
    }

    #[test]
    fn whatever_the_points_a_picture_is_drawn() {
        for case in ODD {
            for log in [false, true] {
                let text = held(chart(log, case)).0;
                assert!(text.ends_with("</svg>\n") && !text.contains("NaN"));
                // As points, too.
                let mut measured = chart(log, case);
                for line in &mut measured.lines {
                    let curve = std::mem::take(&mut line.curve);
                    line.points = curve.iter().map(|p| (p.0, p.1, 0.5 * p.1, 2.0 * p.1)).collect();
                }
                held(measured);
            }
        }
        assert!(held(chart(false, &[])).0.contains("no data"));
        assert!(held(chart(true, &[&[(0.0, 0.0), (1.0, -1.0)]])).0.contains("no data"));
    }
}
