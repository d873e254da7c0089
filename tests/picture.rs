//! What is to be held of every picture, whatever it shows: it is read as XML, and where its words and
//! lines lie is computed.

use roxmltree::{Document, Node};

/// Left, top, right, bottom.
pub type Area = [f64; 4];

/// A picture, read.
pub struct Picture {
    pub width: f64,
    pub height: f64,
    /// Every `text`, and where it lies.
    pub words: Vec<(String, Area)>,
    /// What else is drawn: the classes of the element, and all points of its outline.
    pub shapes: Vec<(String, Vec<(f64, f64)>)>,
}

/// The advances of DejaVu Sans from the blank to the tilde, in thousandths of the size: of usual fonts
/// it has the widest letters.
const ADVANCES: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

/// How wide a text is. Letters of other scripts are taken for square, bold ones for a seventh wider.
fn breadth(text: &str, size: f64, bold: bool) -> f64 {
    let advance = |c: char| match c {
        ' '..='~' => f64::from(ADVANCES[c as usize - 32]),
        '⁰'..='₎' | '¹' | '²' | '³' | '·' => 530.0,
        _ => 1000.0,
    };
    text.chars().map(advance).sum::<f64>() / 1000.0 * size * if bold { 1.14 } else { 1.0 }
}

fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    let text = node.attribute(name).unwrap_or("0");
    let value: f64 = text.parse().unwrap_or_else(|_| panic!("{name}=\"{text}\""));
    assert!(value.is_finite(), "{name}=\"{text}\"");
    value
}

/// The points that a path goes through, of the commands that there are here.
fn outline(path: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let (mut at, mut start) = ((0.0, 0.0), (0.0, 0.0));
    let mut rest = path;
    while let Some(command) = rest.chars().next() {
        let end =
            rest[1..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1);
        let numbers: Vec<f64> = rest[1..end]
            .replace('-', " -")
            .split([' ', ','])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap_or_else(|_| panic!("{part} in {path}")))
            .collect();
        let (x, y) = (numbers.first().copied(), numbers.get(1).copied());
        at = match (command, x, y) {
            ('M' | 'L', Some(x), Some(y)) => (x, y),
            ('m' | 'l', Some(x), Some(y)) => (at.0 + x, at.1 + y),
            ('H', Some(x), None) => (x, at.1),
            ('V', Some(y), None) => (at.0, y),
            ('h', Some(x), None) => (at.0 + x, at.1),
            ('v', Some(y), None) => (at.0, at.1 + y),
            ('Z' | 'z', None, None) => start,
            _ => panic!("{command} in {path}"),
        };
        if matches!(command, 'M' | 'm') {
            start = at;
        }
        assert!(at.0.is_finite() && at.1.is_finite(), "{path}");
        points.push(at);
        rest = &rest[end..];
    }
    points
}

impl Picture {
    /// # Panics
    /// Where it is no picture that a reader of SVG would take.
    pub fn read(svg: &str) -> Picture {
        let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
        let root = document.root_element();
        assert_eq!((root.tag_name().name(), root.attribute("role")), ("svg", Some("img")));
        let told = |name: &str| {
            let found = root.children().find(|node| node.has_tag_name(name));
            found.and_then(|node| node.text()).unwrap_or_default().to_owned()
        };
        let svg = "http://www.w3.org/2000/svg";
        let told = [told("title"), told("desc")];
        assert!(
            told.iter().all(|told| !told.is_empty()) && root.tag_name().namespace() == Some(svg)
        );
        let mut picture = Picture {
            width: number(&root, "width"),
            height: number(&root, "height"),
            words: Vec::new(),
            shapes: Vec::new(),
        };
        let style = root.descendants().find(|node| node.has_tag_name("style"));
        let style = style.and_then(|node| node.text()).unwrap_or_default();
        picture.walk(&root, style, (0.0, 0.0));
        picture
    }

    fn walk(&mut self, node: &Node<'_, '_>, style: &str, (dx, dy): (f64, f64)) {
        for child in node.children().filter(Node::is_element) {
            let transform = child.attribute("transform").unwrap_or_default();
            let (moved, turned) = match transform.strip_prefix("translate(") {
                Some(rest) => {
                    let (by, rest) = rest.split_once(')').unwrap();
                    let (x, y) = by.split_once(' ').unwrap();
                    ((x.parse().unwrap(), y.parse().unwrap()), rest.contains("rotate(-90)"))
                }
                None => ((0.0, 0.0), false),
            };
            let (dx, dy) = (dx + moved.0, dy + moved.1);
            let class = child.attribute("class").unwrap_or_default().to_owned();
            let (x, y) = (dx + number(&child, "x"), dy + number(&child, "y"));
            match child.tag_name().name() {
                "text" => self.text(&child, &class, style, (x, y), turned),
                "path" => {
                    let points = outline(child.attribute("d").unwrap());
                    let points = points.into_iter().map(|(x, y)| (x + dx, y + dy)).collect();
                    self.shapes.push((class, points));
                }
                // The ground, and what is all of it.
                "rect" if child.attribute("width") == Some("100%") => {}
                "rect" => {
                    let (width, height) = (number(&child, "width"), number(&child, "height"));
                    self.shapes.push((class, vec![(x, y), (x + width, y + height)]));
                }
                "circle" => {
                    let (x, y) = (dx + number(&child, "cx"), dy + number(&child, "cy"));
                    let r = number(&child, "r");
                    self.shapes.push((class, vec![(x - r, y - r), (x + r, y + r)]));
                }
                "g" => self.walk(&child, style, (dx, dy)),
                "title" | "desc" | "style" | "defs" => {}
                other => panic!("<{other}>"),
            }
        }
    }

    fn text(
        &mut self,
        node: &Node<'_, '_>,
        class: &str,
        style: &str,
        (x, y): (f64, f64),
        turned: bool,
    ) {
        let words = node.text().unwrap_or_default().to_owned();
        let mut classes = class.split(' ');
        let kind = classes.next().unwrap();
        let rule = style.split_once(&format!(".{kind}{{")).unwrap().1.split('}').next().unwrap();
        let font = rule.split_once("font:").unwrap().1;
        let size = font.split_once("px").unwrap().0.rsplit(' ').next().unwrap();
        let size: f64 = size.parse().unwrap();
        let width = breadth(&words, size, font.contains("600"));
        let before = match classes.next() {
            Some("e") => 1.0,
            Some("m") => 0.5,
            _ => 0.0,
        };
        // Of capitals and digits, and of what hangs below.
        let (above, below) = (0.76 * size, 0.24 * size);
        let area = match turned {
            false => [x - before * width, y - above, x + (1.0 - before) * width, y + below],
            true => [x - above, y - (1.0 - before) * width, x + below, y + before * width],
        };
        self.words.push((words, area));
    }

    /// Everything is on the canvas, and no words lie on others.
    ///
    /// # Panics
    /// Where something is not.
    pub fn hold(&self) {
        for (words, [left, top, right, bottom]) in &self.words {
            assert!(
                !words.is_empty() && !words.contains("NaN") && !words.contains("inf"),
                "{words}"
            );
            let inside =
                *left >= 0.0 && *top >= 0.0 && *right <= self.width && *bottom <= self.height;
            assert!(
                inside,
                "off the canvas, {} x {}: {words} at {left} {top} {right} {bottom}",
                self.width, self.height
            );
        }
        for (number, (words, area)) in self.words.iter().enumerate() {
            for (others, other) in &self.words[..number] {
                assert!(!overlap(area, other), "`{words}` on `{others}`: {area:?} {other:?}");
            }
        }
        for (class, points) in &self.shapes {
            for (x, y) in points {
                let inside = (0.0..=self.width).contains(x) && (0.0..=self.height).contains(y);
                assert!(inside, "off the canvas: {class} at {x} {y}");
            }
        }
    }

    /// As [`Picture::hold`], of a chart: its series are in the plane, but for the half of a marker, and no
    /// words are.
    ///
    /// # Panics
    /// Where something is not.
    pub fn hold_chart(&self) {
        const MARKER: f64 = 6.0;
        self.hold();
        let [left, top, right, bottom] = self.plane();
        for (words, area) in &self.words {
            let inner = [left + 1.0, top + 7.0, right, bottom - 1.0];
            assert!(words == "no data" || !overlap(area, &inner), "{words} in the plane: {area:?}");
        }
        for (class, points) in &self.shapes {
            let series = class.split(' ').any(|class| {
                matches!(class.split_at(1), ("c" | "f", number) if number.parse::<usize>().is_ok())
            });
            // What is below the plane is the legend's.
            let legend = points.iter().all(|(_, y)| *y > bottom + 20.0);
            for (x, y) in points.iter().filter(|_| series && !legend) {
                let inside = (left - MARKER..=right + MARKER).contains(x)
                    && (top - MARKER..=bottom + MARKER).contains(y);
                assert!(inside, "outside of the plane: {class} at {x} {y}");
            }
        }
    }

    /// Where the first axes of the picture have their plane.
    pub fn plane(&self) -> Area {
        let axes = self.shapes.iter().find(|(class, points)| class == "x" && points.len() == 3);
        let points = &axes.unwrap().1;
        [points[0].0, points[0].1, points[2].0, points[2].1]
    }

    /// All words, in lines.
    pub fn said(&self) -> String {
        self.words.iter().map(|(words, _)| format!("{words}\n")).collect()
    }
}

fn overlap(one: &Area, other: &Area) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}
