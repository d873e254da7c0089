//! SVG with classes in place of colours: a page gives them its theme's, a document of its own light ones.

use std::fmt::{Display, Write as _};

use fanin::plain;

use super::super::plot::ticks;
use super::super::table::short;

/// A picture.
pub struct Figure {
    /// What it shows, for those who do not see it too.
    pub title: String,
    /// How to read it.
    pub caption: String,
    pub width: f64,
    pub height: f64,
    /// What stands inside the `svg` element.
    pub body: String,
}

/// Colours: of text, lines, grounds, and of seven series (Okabe and Ito's, without the pale yellow).
pub const LIGHT: [(&str, &str); 12] = [
    ("ink", "#1a1a1a"),
    ("soft", "#5a5a5a"),
    ("rule", "#dcdcdc"),
    ("ground", "#ffffff"),
    ("panel", "#f5f5f2"),
    ("c0", "#0072b2"),
    ("c1", "#c44e00"),
    ("c2", "#00805e"),
    ("c3", "#a94a84"),
    ("c4", "#9a6a00"),
    ("c5", "#2a7fae"),
    ("c6", "#444444"),
];

/// The same on dark ground.
pub const DARK: [(&str, &str); 12] = [
    ("ink", "#ededed"),
    ("soft", "#b0b0b0"),
    ("rule", "#3c3c3c"),
    ("ground", "#151515"),
    ("panel", "#202020"),
    ("c0", "#56b4e9"),
    ("c1", "#ff8c42"),
    ("c2", "#2fc79a"),
    ("c3", "#e08fc0"),
    ("c4", "#e8b33a"),
    ("c5", "#9ad0f0"),
    ("c6", "#c8c8c8"),
];

/// How many series have colours and markers of their own.
pub const SERIES: usize = 7;

/// The rules of the classes, in colours that `color` gives by name.
pub fn style(color: impl Fn(&str) -> String) -> String {
    let mut text = format!(
        ".t{{fill:{ink};font:13px system-ui,sans-serif}}.s{{fill:{soft};font:12px system-ui,sans-serif}}\
         .h{{fill:{ink};font:600 15px system-ui,sans-serif}}.r{{stroke:{rule};fill:none}}\
         .x{{stroke:{soft};fill:none}}.d{{stroke:{soft};fill:none;stroke-dasharray:5 4}}\
         .e{{text-anchor:end}}.m{{text-anchor:middle}}.g{{fill:{ground}}}.k{{fill:{ink}}}\
         .l{{fill:none;stroke-width:1.6}}.w{{stroke-width:1.2}}.b{{opacity:.14}}",
        ink = color("ink"),
        soft = color("soft"),
        rule = color("rule"),
        ground = color("ground"),
    );
    for index in 0..SERIES {
        let color = color(&format!("c{index}"));
        let _ = write!(text, ".c{index}{{stroke:{color}}}.f{index}{{fill:{color}}}");
    }
    text
}

impl Figure {
    /// The `svg` element.
    pub fn element(&self) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\"><title>{}</title><desc>{}</desc>{}</svg>",
            escape(&self.title),
            escape(&self.caption),
            self.body
        )
    }

    /// A file of its own, with light colours.
    pub fn document(&self) -> String {
        let color = |name: &str| {
            let found = LIGHT.iter().find(|(own, _)| *own == name);
            found.map_or(String::new(), |(_, color)| (*color).to_owned())
        };
        let ground = format!(
            "<style>{}</style><rect class=\"g\" width=\"100%\" height=\"100%\"/>",
            style(color)
        );
        let element = self.element();
        let at = element.find("</desc>").map_or(0, |at| at + "</desc>".len());
        format!("{}{ground}{}\n", &element[..at], &element[at..])
    }
}

/// Text for XML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            // XML has no way to write other control characters.
            c => out += &plain(c).to_string(),
        }
    }
    out
}

/// A name of at most so many letters.
pub fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

/// A coordinate: a tenth of a pixel is enough.
pub fn at(value: f64) -> impl Display {
    (value * 10.0).round() / 10.0
}

/// `<text>` of a class.
pub fn text(class: &str, x: f64, y: f64, words: &str) -> String {
    format!("<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", at(x), at(y), escape(words))
}

/// A measured series beside its prediction.
pub struct Line {
    pub name: String,
    /// Its place among all series, which gives it its colour and marker.
    pub index: usize,
    /// x, mean, least, greatest.
    pub points: Vec<(f64, f64, f64, f64)>,
    /// x, value, and the factor up and down that finite widths leave.
    pub predicted: Vec<(f64, f64, f64)>,
}

/// Lines over layers.
pub struct Chart {
    pub title: String,
    pub caption: String,
    pub x_label: String,
    pub y_label: String,
    pub log: bool,
    /// What y is cut to, where there are such bounds.
    pub bounds: (f64, f64),
    pub lines: Vec<Line>,
}

const WIDTH: f64 = 780.0;
const LEFT: f64 = 74.0;
const TOP: f64 = 44.0;
const PLOT: (f64, f64) = (WIDTH - LEFT - 24.0, 330.0);

impl Chart {
    /// y as it is drawn; none where it cannot be.
    fn y(&self, value: f64) -> Option<f64> {
        let value = if self.log { value.log10() } else { value };
        value.is_finite().then_some(value)
    }

    /// Why nothing of a line is to be seen, for its place in the legend.
    fn absence(&self, line: &Line) -> &'static str {
        let inside = |value: f64| value >= self.bounds.0 && value <= self.bounds.1;
        if !self.log || line.points.iter().any(|point| inside(point.1)) {
            ""
        } else if line.points.iter().all(|point| point.1 == 0.0) {
            " (0 in every layer)"
        } else {
            " (outside float32)"
        }
    }

    /// The ends of y over everything shown.
    fn range(&self) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for line in &self.lines {
            let measured = line.points.iter().flat_map(|point| [point.1, point.2, point.3]);
            let predicted = line.predicted.iter().map(|point| point.1);
            let inside = |value: &f64| (self.bounds.0..=self.bounds.1).contains(value);
            for value in measured.chain(predicted).filter(inside).filter_map(|value| self.y(value))
            {
                (low, high) = (low.min(value), high.max(value));
            }
        }
        match (low < high, low.is_finite()) {
            (true, _) => (low - 0.04 * (high - low), high + 0.04 * (high - low)),
            (false, true) => (low - 0.5, low + 0.5),
            _ => (-1.0, 1.0),
        }
    }

    pub fn figure(self) -> Figure {
        let (low, high) = self.range();
        let last = self.lines.iter().flat_map(|line| line.points.last()).map(|point| point.0);
        let last = last.fold(1.0, f64::max);
        let x = |value: f64| LEFT + PLOT.0 * (value - 0.5) / last;
        let y = |value: f64| TOP + PLOT.1 * (high - value.clamp(low, high)) / (high - low);
        let mut body = text("h", 12.0, 24.0, &self.title);

        for tick in ticks((low, high), self.log, 7) {
            let height = y(tick);
            let _ = write!(body, "<path class=\"r\" d=\"M{LEFT} {}h{}\"/>", at(height), PLOT.0);
            let value = if self.log { power(tick) } else { short(tick) };
            body += &text("s e", LEFT - 8.0, height + 4.0, &value);
        }
        for tick in ticks((0.5, last + 0.5), false, 10)
            .into_iter()
            .filter(|tick| tick.fract() == 0.0 && *tick >= 1.0)
        {
            let _ = write!(body, "<path class=\"x\" d=\"M{} {}v5\"/>", at(x(tick)), TOP + PLOT.1);
            body += &text("s m", x(tick), TOP + PLOT.1 + 19.0, &short(tick));
        }
        let _ = write!(body, "<path class=\"x\" d=\"M{LEFT} {TOP}v{}h{}\"/>", PLOT.1, PLOT.0);
        body += &text("t m", LEFT + 0.5 * PLOT.0, TOP + PLOT.1 + 39.0, &self.x_label);
        let middle = TOP + 0.5 * PLOT.1;
        let _ = write!(
            body,
            "<text class=\"t m\" transform=\"translate(16 {middle}) rotate(-90)\">{}</text>",
            escape(&self.y_label)
        );

        for line in &self.lines {
            body += &self.line(line, &x, &y, last);
        }
        let mut place = (LEFT, TOP + PLOT.1 + 64.0);
        for line in &self.lines {
            let name = cut(&line.name, 40) + self.absence(line);
            let width = 34.0 + 7.3 * name.chars().count() as f64;
            if place.0 + width > WIDTH && place.0 > LEFT {
                place = (LEFT, place.1 + 20.0);
            }
            let (class, middle) = (line.index % SERIES, place.1 - 4.0);
            let _ = write!(
                body,
                "<g><title>{}</title><path class=\"l c{class}\" d=\"M{} {}h20\"/>{}{}</g>",
                escape(&line.name),
                at(place.0),
                at(middle),
                marker(line.index, place.0 + 10.0, middle),
                text("t", place.0 + 26.0, place.1, &name)
            );
            place.0 += width;
        }
        let (title, caption) = (self.title, self.caption);
        Figure { title, caption, width: WIDTH, height: place.1 + 14.0, body }
    }

    fn line(
        &self,
        line: &Line,
        x: &impl Fn(f64) -> f64,
        y: &impl Fn(f64) -> f64,
        last: f64,
    ) -> String {
        let class = line.index % SERIES;
        let mut body = format!("<g><title>{}</title>", escape(&line.name));
        let inside = |value: f64| value >= self.bounds.0 && value <= self.bounds.1;
        let shown = |&(at, value, factor): &(f64, f64, f64)| {
            let value = Some(value).filter(|&value| inside(value)).and_then(|value| self.y(value));
            value.map(|value| (at, value, factor))
        };
        let all: Vec<_> = line.predicted.iter().map(shown).collect();
        for stretch in all.split(Option::is_none) {
            let stretch: Vec<(f64, f64, f64)> = stretch.iter().flatten().copied().collect();
            if stretch.len() < 2 {
                continue;
            }
            let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
                let points = points.map(|(a, b)| format!("{} {}", at(x(a)), at(y(b))));
                points.collect::<Vec<_>>().join("L")
            };
            if self.log && stretch.iter().any(|point| point.2 > 1.0) {
                let upper = path(&mut stretch.iter().map(|p| (p.0, p.1 + p.2.log10())));
                let lower = path(&mut stretch.iter().rev().map(|p| (p.0, p.1 - p.2.log10())));
                let _ = write!(body, "<path class=\"b f{class}\" d=\"M{upper}L{lower}Z\"/>");
            }
            let middle = path(&mut stretch.iter().map(|p| (p.0, p.1)));
            let _ = write!(body, "<path class=\"l c{class}\" d=\"M{middle}\"/>");
        }
        // No more markers than can be told apart.
        let every = (last / 60.0).ceil().max(1.0) as usize;
        let measured: Vec<_> = line.points.iter().step_by(every).collect();
        for &&(at_x, mean, least, greatest) in &measured {
            let Some(height) = self.y(mean).filter(|_| !self.log || inside(mean)) else { continue };
            if let (Some(a), Some(b), true) = (self.y(least), self.y(greatest), greatest > least) {
                let _ = write!(
                    body,
                    "<path class=\"w c{class}\" d=\"M{} {}V{}\"/>",
                    at(x(at_x)),
                    at(y(a)),
                    at(y(b))
                );
            }
            body += &marker(line.index, x(at_x), y(height));
        }
        // Where it leaves what float32 holds, if it does.
        let left = line.points.iter().position(|point| !(point.1 > 0.0 && inside(point.1)));
        if let (Some(left), true) = (left, self.log) {
            let gone = line.points[left].1;
            let before = left.checked_sub(1).map_or(&line.points[left], |at| &line.points[at]);
            let over = gone.is_nan() || gone > 1.0;
            if let Some(height) = self.y(before.1).filter(|_| left > 0) {
                let height = y(height);
                let end = if over { height - 12.0 } else { height + 12.0 };
                let tip = if over { 5.0 } else { -5.0 };
                let _ = write!(
                    body,
                    "<path class=\"l c{class}\" d=\"M{0} {1}V{2}m-4 {tip}l4 {3}l4 {tip}\"><title>{4}</title></path>",
                    at(x(before.0)),
                    at(height),
                    at(end),
                    -tip,
                    if over { "overflows float32 here" } else { "underflows float32 here" },
                );
            }
        }
        body + "</g>"
    }
}

/// A marker of its own for each series; hollow in every other round of the colours.
pub fn marker(index: usize, x: f64, y: f64) -> String {
    let class = match index / SERIES % 2 {
        0 => format!("f{}", index % SERIES),
        _ => format!("g c{}", index % SERIES),
    };
    let (x, y) = (at(x), at(y));
    match index % SERIES {
        0 => format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"3.2\"/>"),
        shape => {
            let path = match shape {
                1 => "m-3 -3h6v6h-6z",
                2 => "m0 -4l4 7h-8z",
                3 => "m0 -4.4l4.4 4.4l-4.4 4.4l-4.4 -4.4z",
                4 => "m0 4l4 -7h-8z",
                5 => {
                    "m-4 -2.6l1.4 -1.4l2.6 2.6l2.6 -2.6l1.4 1.4l-2.6 2.6l2.6 2.6l-1.4 1.4l-2.6 -2.6l-2.6 2.6l-1.4 -1.4l2.6 -2.6z"
                }
                _ => "m-1.2 -4h2.4v8h-2.4z",
            };
            format!("<path class=\"{class}\" d=\"M{x} {y}{path}\"/>")
        }
    }
}

/// `10` to a whole power with a raised exponent, or the number itself.
fn power(logarithm: f64) -> String {
    if logarithm.fract().abs() > 1e-9 || logarithm.abs() < 3.5 {
        return short(10f64.powf(logarithm));
    }
    let digits = format!("{}", logarithm.round());
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32(0x2070 + c.to_digit(10).unwrap_or(0)).unwrap_or(c),
    };
    format!("10{}", digits.chars().map(raised).collect::<String>())
}
