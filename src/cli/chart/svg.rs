//! SVG with classes in place of colours: a page gives them its theme's, a document of its own light ones.

use std::fmt::{Display, Write as _};

use fanin::plain;

use super::Axis;

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

/// The colours of series, told apart with any kind of sight (Okabe and Ito's, without the pale yellow): on
/// light ground, on dark, and the nearest that a terminal has on either, as an SGR code.
pub const PALETTE: [(&str, &str, &str); SERIES] = [
    ("#0072b2", "#56b4e9", "36"),
    ("#c44e00", "#ff8c42", "33"),
    ("#00805e", "#2fc79a", "32"),
    ("#a94a84", "#e08fc0", "35"),
    ("#9a6a00", "#e8b33a", "31"),
    ("#2a7fae", "#9ad0f0", "34"),
    ("#444444", "#c8c8c8", "90"),
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
        let light = colors(false);
        let color = |name: &str| {
            let found = light.iter().find(|(own, _)| *own == name);
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

/// A text of at most so many letters.
pub fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most.saturating_sub(1)).chain(['…']).take(most).collect(),
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

/// Where a picture has its axes, in its units.
pub struct Plane {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
}

impl Plane {
    /// Where a number lies across; none where the axis has no place for it.
    pub fn x(&self, value: f64) -> Option<f64> {
        self.x.place(value).map(|place| self.left + self.width * place)
    }

    /// Where it lies from above.
    pub fn y(&self, value: f64) -> Option<f64> {
        self.y.place(value).map(|place| self.top + self.height * (1.0 - place))
    }

    /// Where both of a point lie.
    pub fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        Some((self.x(x)?, self.y(y)?))
    }

    /// The axes with these ticks and labels, x first, and rules across the plane from y's ticks; where
    /// `grid`, from x's too.
    pub fn axes(
        &self,
        ticks: [&[f64]; 2],
        write: fn(&Axis, f64) -> String,
        labels: [&str; 2],
        grid: bool,
    ) -> String {
        let Plane { left, top, width, height, .. } = *self;
        let base = top + height;
        let mut body = String::new();
        for (tick, y) in ticks[1].iter().filter_map(|tick| Some((*tick, self.y(*tick)?))) {
            let _ = write!(body, "<path class=\"r\" d=\"M{left} {}h{}\"/>", at(y), at(width));
            body += &text("s e", left - 8.0, y + 4.0, &write(&self.y, tick));
        }
        for (tick, x) in ticks[0].iter().filter_map(|tick| Some((*tick, self.x(*tick)?))) {
            let _ = match grid {
                true => write!(body, "<path class=\"r\" d=\"M{} {}v{height}\"/>", at(x), at(top)),
                false => write!(body, "<path class=\"x\" d=\"M{} {}v5\"/>", at(x), at(base)),
            };
            body += &text("s m", x, base + 19.0, &self.x.label(tick));
        }
        let _ =
            write!(body, "<path class=\"x\" d=\"M{left} {}v{height}h{}\"/>", at(top), at(width));
        body += &text("t m", left + 0.5 * width, base + 39.0, labels[0]);
        let _ = write!(
            body,
            "<text class=\"t m\" transform=\"translate(16 {}) rotate(-90)\">{}</text>",
            at(top + 0.5 * height),
            escape(labels[1])
        );
        body
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
