//! SVG with classes in place of colours: a page gives them its theme's, a document of its own light ones.

use std::fmt::{Display, Write as _};

use fanin::plain;

use super::Axis;

/// The width of pictures: so narrow that letters stay legible where a page has 500 pixels.
pub const WIDTH: f64 = 560.0;

/// What is left free on either side.
pub const MARGIN: f64 = 12.0;

/// The sizes of letters: of text (`t`), of small text (`s`), of titles (`h`).
pub const TEXT: f64 = 14.0;
pub const SMALL: f64 = 13.0;
pub const HEAD: f64 = 16.0;

/// From line to line, in letters' sizes.
pub const LEADING: f64 = 1.35;

/// A picture, [`WIDTH`] wide.
pub struct Figure {
    /// What it shows, for those who do not see it too.
    pub title: String,
    /// How to read it.
    pub caption: String,
    pub height: f64,
    /// What stands inside the `svg` element.
    pub body: String,
}

/// Colours of text, lines and grounds: on light ground, and on dark.
const COLORS: [(&str, &str, &str); 5] = [
    ("ink", "#1a1a1a", "#ededed"),
    ("soft", "#5a5a5a", "#b0b0b0"),
    ("rule", "#dcdcdc", "#3c3c3c"),
    ("ground", "#ffffff", "#151515"),
    ("panel", "#f5f5f2", "#202020"),
];

/// How many series have colours and markers of their own.
pub const SERIES: usize = 7;

/// The colours of series, told apart with any kind of sight: on light ground, on dark, and the nearest that
/// a terminal has on either, as an SGR code.
pub const PALETTE: [(&str, &str, &str); SERIES] = [
    ("#006ba8", "#86bcdb", "36"),
    ("#a34800", "#efc29f", "33"),
    ("#08a178", "#009e73", "32"),
    ("#89356b", "#c870a8", "35"),
    ("#b68a02", "#bb9315", "31"),
    ("#392996", "#8075be", "34"),
    ("#313131", "#c4c4c4", "90"),
];

/// Every colour by the name that the classes know it by, on light ground or on dark.
pub fn colors(dark: bool) -> Vec<(String, &'static str)> {
    let pick = |light, other| if dark { other } else { light };
    let series = PALETTE.iter().enumerate();
    let series = series.map(|(index, own)| (format!("c{index}"), pick(own.0, own.1)));
    COLORS.iter().map(|own| (own.0.to_owned(), pick(own.1, own.2))).chain(series).collect()
}

/// The rules of the classes, in colours that `color` gives by name.
pub fn style(color: impl Fn(&str) -> String) -> String {
    let mut text = format!(
        ".t{{fill:{ink};font:{TEXT}px system-ui,sans-serif}}.s{{fill:{soft};font:{SMALL}px system-ui,sans-serif}}\
         .h{{fill:{ink};font:600 {HEAD}px system-ui,sans-serif}}.r{{stroke:{rule};fill:none}}\
         .x{{stroke:{soft};fill:none}}.d{{stroke:{soft};fill:none;stroke-dasharray:5 4}}\
         .e{{text-anchor:end}}.m{{text-anchor:middle}}.g{{fill:{ground}}}.k{{stroke:{ink}}}\
         .l{{fill:none;stroke-width:1.8}}.w{{stroke-width:1.2}}.b{{opacity:.14}}",
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
    /// The `svg` element with these attributes, with what stands in it before the body and after, and that
    /// much higher.
    fn with(&self, attributes: &str, before: &str, after: &str, more: f64) -> String {
        let height = at(self.height + more);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\"{attributes}><title>{}</title><desc>{}</desc>{before}{}{after}</svg>",
            escape(&self.title),
            escape(&self.caption),
            self.body
        )
    }

    /// The `svg` element.
    pub fn element(&self) -> String {
        self.with("", "", "", 0.0)
    }

    /// A file of its own, with light colours and its caption.
    pub fn document(&self) -> String {
        let light = colors(false);
        let color = |name: &str| {
            let found = light.iter().find(|(own, _)| *own == name);
            found.map_or(String::new(), |(_, color)| (*color).to_owned())
        };
        let ground = format!(
            "<style>{}</style><rect class=\"g\" width=\"100%\" height=\"100%\"/>",
            style(color)
        );
        // No wider than the window; not as a rule, which would be the whole page's where the file stands in one.
        let narrow = " style=\"max-width:100%;height:auto\"";
        let lines = fold(&self.caption, WIDTH - 2.0 * MARGIN, SMALL, usize::MAX);
        let (caption, end) = paragraph("s", MARGIN, self.height + SMALL, &lines);
        let more = if lines.is_empty() { 0.0 } else { end - self.height };
        self.with(narrow, &ground, &caption, more) + "\n"
    }
}

/// About how wide a text is, and rather too wide: the widest of usual fonts (DejaVu Sans, Verdana) has
/// narrower letters.
pub fn breadth(text: &str, size: f64) -> f64 {
    let letter = |c: char| match c {
        ' ' | '!' | '"' | '\'' | '(' | ')' | ',' | '-' | '.' | '/' | ':' | ';' | '[' | ']'
        | '\\' | '`' | '|' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' | 'I' | 'J' => 0.47,
        'm' | 'M' | 'W' | '@' | '%' => 1.0,
        'w' | '+' | '#' | '<' | '=' | '>' | '~' | '^' | '&' => 0.84,
        'A'..='Z' => 0.79,
        _ if c.is_ascii() => 0.64,
        '⁰'..='₎' | '¹' | '²' | '³' | '·' => 0.54,
        // Of three letters or more in pictures.
        '\u{2e80}'.. => 1.5,
        _ => 1.0,
    };
    size * text.chars().map(letter).sum::<f64>()
}

/// A text in lines of at most that width, which break between words, and within those that are too wide
/// alone; at most so many lines.
pub fn fold(text: &str, width: f64, size: f64, most: usize) -> Vec<String> {
    let fits = |text: &str| breadth(text, size) <= width;
    let mut lines: Vec<String> = Vec::new();
    for word in plain(text).to_string().split(' ').filter(|word| !word.is_empty()) {
        let joined = lines.last().map(|line| format!("{line} {word}")).filter(|line| fits(line));
        match (joined, lines.last_mut()) {
            (Some(joined), Some(line)) => *line = joined,
            _ if fits(word) => lines.push(word.into()),
            _ => {
                lines.push(String::new());
                for part in word.split_inclusive([',', ':', '=', '/', '_', '-']) {
                    let letters = part.chars().map(String::from);
                    let whole = if fits(part) { vec![part.to_owned()] } else { letters.collect() };
                    for piece in whole {
                        match lines.last_mut().filter(|line| fits(&format!("{line}{piece}"))) {
                            Some(line) => *line += &piece,
                            None => lines.push(piece),
                        }
                        // What is beyond the last line is not seen.
                        if lines.len() > most {
                            break;
                        }
                    }
                }
            }
        }
        if lines.len() > most {
            break;
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(line) = lines.last_mut() {
            while !line.is_empty() && !fits(&format!("{line}…")) {
                line.pop();
            }
            line.push('…');
        }
    }
    lines
}

/// Text for XML, in one line.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML has no way to write most control characters.
            c => out += &plain(c).to_string(),
        }
    }
    out
}

/// A coordinate: a tenth of a pixel is enough.
pub fn at(value: f64) -> impl Display {
    (value * 10.0).round() / 10.0
}

/// `<text>` of a class.
pub fn text(class: &str, x: f64, y: f64, words: &str) -> String {
    format!("<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", at(x), at(y), escape(words))
}

/// Lines of a class, the first at this height, and where the next would be.
pub fn paragraph(class: &str, x: f64, y: f64, lines: &[String]) -> (String, f64) {
    let size = match class {
        "h" => HEAD,
        "t" => TEXT,
        _ => SMALL,
    };
    lines.iter().fold((String::new(), y), |(body, y), line| {
        (body + &text(class, x, y, line), y + LEADING * size)
    })
}

/// Where a picture has its axes, in its units.
pub struct Plane {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
}

/// Ticks and what is written beside them.
pub type Ticks = Vec<(f64, String)>;

impl Plane {
    /// What is needed on the left of the axis for these labels and the axis's own.
    pub fn margin(ticks: &Ticks) -> f64 {
        let widest = ticks.iter().map(|(_, label)| breadth(label, SMALL)).fold(0.0, f64::max);
        MARGIN + LEADING * TEXT + widest + 8.0
    }

    /// Where a number lies across; none where the axis has no place for it.
    pub fn x(&self, value: f64) -> Option<f64> {
        self.x.place(value).map(|place| self.left + self.width * place)
    }

    /// Where it lies from above.
    pub fn y(&self, value: f64) -> Option<f64> {
        self.y.place(value).map(|place| self.base() - self.height * place)
    }

    /// Where the plane ends below.
    pub fn base(&self) -> f64 {
        self.top + self.height
    }

    /// Where both of a point lie.
    pub fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x(x)?, self.y(y)?))
    }

    /// As many ticks across as have room for their labels; of whole numbers alone where `whole`.
    pub fn across(&self, whole: bool) -> Ticks {
        let apart = |ticks: &Ticks| {
            let ends = ticks.iter().filter_map(|(tick, label)| {
                let (x, half) = (self.x(*tick)?, 0.5 * breadth(label, SMALL));
                Some((x - half, x + half))
            });
            let ends: Vec<(f64, f64)> = ends.collect();
            ends.windows(2).all(|pair| pair[0].1 + 10.0 <= pair[1].0)
        };
        // At the end of the axis a long label would go off the picture.
        let inside = |(tick, label): &(f64, String)| {
            let half = 0.5 * breadth(label, SMALL);
            self.x(*tick).is_some_and(|x| x >= half && x + half <= WIDTH)
        };
        let mut ticks = (1..=8).rev().map(|most| {
            let mut ticks = self.x.ticks(most);
            ticks.retain(|tick| !whole || tick.fract() == 0.0);
            let mut ticks = self.x.labelled(ticks);
            ticks.retain(inside);
            ticks
        });
        ticks.find(apart).unwrap_or_default()
    }

    /// The axes with these ticks and labels, x first, and rules across the plane from y's ticks; where
    /// `grid`, from x's too. They end at [`Plane::foot`].
    pub fn axes(&self, ticks: [&Ticks; 2], labels: [&str; 2], grid: bool) -> String {
        let Plane { left, top, width, height, .. } = *self;
        let base = self.base();
        let mut body = String::new();
        for (label, y) in ticks[1].iter().filter_map(|(tick, label)| Some((label, self.y(*tick)?)))
        {
            let _ = write!(body, "<path class=\"r\" d=\"M{} {}h{}\"/>", at(left), at(y), at(width));
            body += &text("s e", left - 8.0, y + 4.5, label);
        }
        for (label, x) in ticks[0].iter().filter_map(|(tick, label)| Some((label, self.x(*tick)?)))
        {
            let (class, y, long) = if grid { ("r", top, height) } else { ("x", base, 5.0) };
            let _ =
                write!(body, "<path class=\"{class}\" d=\"M{} {}v{}\"/>", at(x), at(y), at(long));
            body += &text("s m", x, base + 20.0, label);
        }
        let _ = write!(
            body,
            "<path class=\"x\" d=\"M{} {}v{}h{}\"/>",
            at(left),
            at(top),
            at(height),
            at(width)
        );
        // Either may be longer than its axis.
        let middle = |size: f64, low: f64, high: f64, label: &str| {
            let half = 0.5 * breadth(label, TEXT).min(high - low);
            size.clamp(low + half, high - half)
        };
        let x = middle(left + 0.5 * width, MARGIN, WIDTH - MARGIN, labels[0]);
        body += &text("t m", x, base + 41.0, labels[0]);
        let _ = write!(
            body,
            "<text class=\"t m\" transform=\"translate({} {}) rotate(-90)\">{}</text>",
            MARGIN + 4.0,
            at(middle(top + 0.5 * height, 0.0, base + 20.0, labels[1])),
            escape(labels[1])
        );
        body
    }

    /// Where the axes end below, with their labels.
    pub fn foot(&self) -> f64 {
        self.base() + 48.0
    }
}

/// A marker of its own for each series: hollow in every other round of the colours, and after two rounds
/// another shape.
pub fn marker(index: usize, x: f64, y: f64) -> String {
    let class = match index / SERIES % 2 {
        0 => format!("f{}", index % SERIES),
        _ => format!("g c{}", index % SERIES),
    };
    let (x, y) = (at(x), at(y));
    match (index + index / (2 * SERIES)) % SERIES {
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

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    /// What sight without one of the three kinds of cones makes of linear red, green and blue (Machado,
    /// Oliveira and Fernandes 2009), and what usual sight does.
    const SIGHTS: [Matrix; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ];

    const XYZ: Matrix =
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];

    fn times(matrix: &Matrix, by: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(by).map(|(a, b)| a * b).sum())
    }

    fn linear(color: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let part = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// CIELAB.
    fn lab(linear: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = times(&XYZ, linear.map(|part| part.clamp(0.0, 1.0)));
        let root = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let [x, y, z] = [root(x / 0.9505), root(y), root(z / 1.089)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn colors_are_told_apart_with_any_kind_of_sight() {
        for dark in [false, true] {
            let colors = colors(dark);
            let find = |name: &str| colors.iter().find(|own| own.0 == name).unwrap().1;
            let luminance = |name: &str| times(&XYZ, linear(find(name)))[1] + 0.05;
            let contrast = |name: &str| {
                let (own, ground) = (luminance(name), luminance("ground"));
                own.max(ground) / own.min(ground)
            };
            assert!(contrast("ink") > 12.0 && contrast("soft") > 4.5);
            for index in 0..SERIES {
                let name = format!("c{index}");
                assert!(contrast(&name) > 3.0, "{name} {dark}: {}", contrast(&name));
                for (other, sight) in
                    (0..index).flat_map(|other| SIGHTS.map(|sight| (other, sight)))
                {
                    let seen =
                        |index: usize| lab(times(&sight, linear(find(&format!("c{index}")))));
                    let apart =
                        seen(index).into_iter().zip(seen(other)).map(|(a, b)| (a - b).powi(2));
                    let apart = apart.sum::<f64>().sqrt();
                    assert!(apart > 16.0, "{index} {other} {dark} {sight:?}: {apart}");
                }
            }
        }
    }
}
