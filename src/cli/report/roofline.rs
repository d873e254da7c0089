use std::fmt::Write as _;

use fanin::bench::Ceilings;

use super::super::bench::{Row, Subject, letter, percent, rate};
use super::svg::{Figure, SERIES, at, cut, escape, marker, text};

const WIDTH: f64 = 780.0;
const LEFT: f64 = 112.0;
const HEIGHT: f64 = 260.0;
const BAR: f64 = 16.0;

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

/// The whole decades about some numbers.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (low, high) =
        values.fold((f64::MAX, 0f64), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (low, high.max(low + 1))
}

/// The roofline and the products under it; where the next thing goes.
fn roof(body: &mut String, ceilings: &Ceilings, products: &[Point], top: f64) -> f64 {
    let top = top + 6.0;
    let peak = ceilings.multiply_add;
    // The highest slope: factors are read, and more of them than results are written.
    let memory = ceilings.read.max(ceilings.copy);
    let ridge = peak / memory;
    let (low, high) = decades(products.iter().map(|own| own.intensity).chain([ridge]));
    // What a cache or matrix units bring may be above the roof.
    let (bottom, most) = decades(products.iter().map(|own| own.throughput).chain([peak]));
    let width = WIDTH - LEFT - 24.0;
    let part =
        |value: f64, low: i32, high: i32| (value.log10() - f64::from(low)) / f64::from(high - low);
    let x = |value: f64| LEFT + width * part(value, low, high);
    let y = |value: f64| top + HEIGHT * (1.0 - part(value, bottom, most));
    let power = |exponent: i32| 10f64.powi(exponent);
    for decade in bottom..=most {
        let height = y(power(decade));
        let _ = write!(body, "<path class=\"r\" d=\"M{LEFT} {}h{}\"/>", at(height), at(width));
        let scaled = rate(power(decade)).replace(".00", "").replace(".0", "");
        *body += &text("s e", LEFT - 8.0, height + 4.0, &format!("{scaled}FLOP/s"));
    }
    for decade in low..=high {
        let place = x(power(decade));
        let _ = write!(body, "<path class=\"r\" d=\"M{} {}v{HEIGHT}\"/>", at(place), at(top));
        *body += &text("s m", place, top + HEIGHT + 18.0, &format!("{}", power(decade)));
    }
    // From where the slope enters: at the left, or at the bottom.
    let start = power(low).max(power(bottom) / memory);
    let _ = write!(
        body,
        "<path class=\"x\" d=\"M{LEFT} {}h{}\"/><path class=\"l c6\" d=\"M{} {}L{} {}H{}\"/>",
        at(top + HEIGHT),
        at(width),
        at(x(start)),
        at(y(start * memory)),
        at(x(ridge)),
        at(y(peak)),
        at(LEFT + width),
    );
    let level = format!("{}FLOP/s of multiply-adds", rate(peak));
    *body += &text("s e", LEFT + width - 4.0, y(peak) - 6.0, &level);
    // Beside the slope, in the middle of what is to be seen of it.
    let middle = (start * ridge).sqrt();
    let words = format!("{}B/s of memory", rate(memory));
    *body += &text("s e", x(middle) - 8.0, y(middle * memory) - 4.0, &words);
    for (number, point) in products.iter().enumerate() {
        let (a, b) = (x(point.intensity), y(point.throughput));
        let title = format!("{}: {}FLOP/s", point.name, rate(point.throughput));
        let _ = write!(body, "<g><title>{}</title>{}</g>", escape(&title), marker(number, a, b));
    }
    let middle = top + 0.5 * HEIGHT;
    let _ = write!(
        body,
        "<text class=\"t m\" transform=\"translate(14 {middle}) rotate(-90)\">operations a second</text>"
    );
    let label = "operations a byte (FLOP/B): each point is a product";
    *body += &text("t m", LEFT + 0.5 * width, top + HEIGHT + 38.0, label);
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
