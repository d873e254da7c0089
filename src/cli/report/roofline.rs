use std::fmt::Write as _;

use fanin::bench::Ceilings;

use super::super::bench::{Row, Subject, letter, percent, rate};
use super::super::chart::Axis;
use super::super::chart::svg::{Figure, Plane, SERIES, at, cut, escape, marker, text};

const WIDTH: f64 = 780.0;
const LEFT: f64 = 112.0;
const HEIGHT: f64 = 260.0;
const BAR: f64 = 16.0;
/// The mean width of a letter of a label.
const LETTER: f64 = 6.5;

/// Each device's roofline with its products, and under it what part of the ceilings each case
/// reaches.
pub fn figure(devices: &[Subject], rows: &[Row]) -> Figure {
    let mut body = text("h", 12.0, 24.0, "How close to the machine's limits");
    let mut top = 44.0;
    for (index, device) in devices.iter().enumerate() {
        let own: Vec<&Row> = rows.iter().filter(|row| row.device == index).collect();
        let name = format!("{}  {}", letter(index), device.device);
        body += &text("t", 12.0, top + 14.0, &cut(&name, 100));
        top += 28.0;
        let products: Vec<Point> = own.iter().filter_map(|row| Point::of(row)).collect();
        if !products.is_empty() {
            top = roof(&mut body, &device.ceilings(), &products, top);
        }
        top = bars(&mut body, &own, index, top) + 18.0;
    }
    Figure {
        title: "How close to the machine's limits".into(),
        caption: "Rooflines: operations a second over operations a byte, under the ceilings of memory \
                  (the slope) and of multiply-adds (the level). Bars: the part of a case's time that \
                  the ceilings account for."
            .into(),
        width: WIDTH,
        height: top,
        body,
    }
}

/// A product.
struct Point {
    name: String,
    intensity: f64,
    throughput: f64,
}

impl Point {
    fn of(row: &Row) -> Option<Point> {
        let name = format!("{} {}", row.op(), row.size());
        Some(Point { name, intensity: row.intensity()?, throughput: row.throughput() })
    }
}

/// The roofline and the products under it; where the next thing goes.
fn roof(body: &mut String, ceilings: &Ceilings, products: &[Point], top: f64) -> f64 {
    let top = top + 6.0;
    let peak = ceilings.multiply_add;
    // The highest slope: factors are read, and more of them than results are written.
    let memory = ceilings.read.max(ceilings.copy);
    let ridge = peak / memory;
    let x = Axis::decades(products.iter().map(|own| own.intensity).chain([ridge]));
    // What a cache or matrix units bring may be above the roof.
    let y = Axis::decades(products.iter().map(|own| own.throughput).chain([peak]));
    let plane = Plane { left: LEFT, top, width: WIDTH - LEFT - 24.0, height: HEIGHT, x, y };
    let labels = ["operations a byte (FLOP/B): each point is a product", "operations a second"];
    let flops = |_: &Axis, value| rate(value).replace(".00", "").replace(".0", "") + "FLOP/s";
    *body += &plane.axes([&x.powers(), &y.powers()], flops, labels, true);
    // From where the slope enters: at the left, or at the bottom.
    let [low, high] = x.ends();
    let start = low.max(y.ends()[0] / memory);
    let roof = [(start, start * memory), (ridge, peak), (high, peak)];
    let roof: Vec<String> = roof
        .into_iter()
        .filter_map(|point| plane.point(point))
        .map(|(x, y)| format!("{} {}", at(x), at(y)))
        .collect();
    let _ = write!(body, "<path class=\"l c6\" d=\"M{}\"/>", roof.join("L"));
    let level = format!("{}FLOP/s of multiply-adds", rate(peak));
    let right = plane.left + plane.width;
    *body += &text("s e", right - 4.0, plane.y(peak).unwrap_or(top) - 6.0, &level);
    // Beside the slope, in the middle of what is to be seen of it.
    let middle = (start * ridge).sqrt();
    if let Some((x, y)) = plane.point((middle, middle * memory)) {
        let label = format!("{}B/s of memory", rate(memory));
        // A short slope begins beside the axis: then the label goes under it.
        let above = x - 8.0 - LETTER * label.len() as f64 > plane.left;
        let (class, x, y) =
            if above { ("s e", x - 8.0, y - 4.0) } else { ("s", x + 8.0, y + 12.0) };
        *body += &text(class, x, y, &label);
    }
    for (number, point) in products.iter().enumerate() {
        let Some((x, y)) = plane.point((point.intensity, point.throughput)) else { continue };
        let title = format!("{}: {}FLOP/s", point.name, rate(point.throughput));
        let _ = write!(body, "<g><title>{}</title>{}</g>", escape(&title), marker(number, x, y));
    }
    legend(body, products, top + HEIGHT + 60.0)
}

/// The products' names beside their markers, in columns.
fn legend(body: &mut String, products: &[Point], top: f64) -> f64 {
    const COLUMNS: usize = 3;
    let rows = products.len().div_ceil(COLUMNS);
    for (number, point) in products.iter().enumerate() {
        let across = (WIDTH - 24.0) / COLUMNS as f64;
        let x = 18.0 + across * (number / rows) as f64;
        let y = top + BAR * (number % rows) as f64;
        *body += &marker(number, x, y - 4.0);
        *body += &text("s", x + 9.0, y, &cut(&point.name, 34));
    }
    top + BAR * rows as f64 + 8.0
}

fn bars(body: &mut String, rows: &[&Row], index: usize, mut top: f64) -> f64 {
    let (left, width) = (260.0, 420.0);
    for row in rows {
        let Some(share) = row.share else { continue };
        let name = format!("{} {}", row.op(), row.size());
        let length = width * share.fraction.unwrap_or(0.0);
        *body += &text("s e", left - 8.0, top + 12.0, &cut(&name, 38));
        let _ = write!(
            body,
            "<rect class=\"f{}\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            index % SERIES,
            at(top + 2.0),
            at(length),
            BAR - 4.0
        );
        *body += &text("s", left + length + 6.0, top + 12.0, &percent(share));
        top += BAR;
    }
    top
}
