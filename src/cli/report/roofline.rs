use std::fmt::Write as _;

use fanin::bench::Ceilings;

use super::super::bench::{Row, Subject, letter, percent, rate};
use super::super::chart::Axis;
use super::super::chart::svg::{
    Figure, MARGIN, Plane, SERIES, SMALL, TEXT, Ticks, WIDTH, at, breadth, escape, fold, marker,
    paragraph, text,
};

const HEIGHT: f64 = 280.0;
const BAR: f64 = 19.0;
/// Where bars begin, and how long one of 100 % is.
const BARS: (f64, f64) = (250.0, 150.0);

/// Each device's roofline with its products, and under it what part of the ceilings each case
/// reaches.
pub fn figure(devices: &[Subject], rows: &[Row]) -> Figure {
    const TITLE: &str = "How close to the machine's limits";
    let mut body = text("h", MARGIN, 24.0, TITLE);
    let mut top = 54.0;
    for (index, device) in devices.iter().enumerate() {
        let own: Vec<&Row> = rows.iter().filter(|row| row.device == index).collect();
        let name = format!("{}  {}", letter(index), device.device);
        let lines = fold(&name, WIDTH - 2.0 * MARGIN, TEXT, 3);
        let (name, next) = paragraph("t", MARGIN, top, &lines);
        body += &name;
        top = next;
        let products: Vec<Point> = own.iter().filter_map(|row| Point::of(row)).collect();
        if !products.is_empty() {
            top = roof(&mut body, &device.ceilings(), &products, top);
        }
        let shares: Vec<Bar> = own.iter().filter_map(|row| Bar::of(row)).collect();
        if !shares.is_empty() {
            top = bars(&mut body, &shares, index, top);
        }
        top += 34.0;
    }
    Figure {
        title: TITLE.into(),
        caption: "Rooflines: operations a second over operations a byte, both logarithmic, under the ceilings \
                  of memory (the slope) and of multiply-adds (the level). Bars: the part of a case's median \
                  time that the ceilings account for, with whiskers at the quartiles of the time; half of \
                  the samples lie between them. A word stands where there is no such part: of what a cache \
                  holds, of matrix units, and where the machine was busy while its ceilings were measured."
            .into(),
        height: top - 26.0,
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
    let peak = ceilings.multiply_add;
    // The highest slope: factors are read, and more of them than results are written.
    let memory = ceilings.read.max(ceilings.copy);
    let ridge = peak / memory;
    // What is not known is no number above 0, and the axes leave it out.
    let x = Axis::decades(products.iter().map(|own| own.intensity).chain([ridge]));
    // What a cache or matrix units bring may be above the roof.
    let y = Axis::decades(products.iter().map(|own| own.throughput).chain([peak]));
    let power = |value: f64| rate(value).replace(".00", "").replace(".0", "").trim_end().to_owned();
    let heights: Ticks = y.powers().into_iter().map(|value| (value, power(value))).collect();
    let left = Plane::margin(&heights);
    let plane = Plane { left, top, width: WIDTH - left - 20.0, height: HEIGHT, x, y };
    let across = x.labelled(x.powers());
    let labels = ["operations a byte, FLOP/B (log)", "operations a second, FLOP/s (log)"];
    *body += &plane.axes([&across, &heights], labels, true);
    let [low, high] = x.ends();
    if peak > 0.0 && memory > 0.0 {
        // From where the slope enters: at the left, or at the bottom.
        let start = low.max(y.ends()[0] / memory);
        let roof = [(start, start * memory), (ridge, peak), (high, peak)];
        let roof: Vec<String> = roof
            .into_iter()
            .filter_map(|point| plane.point(point))
            .map(|(x, y)| format!("{} {}", at(x), at(y)))
            .collect();
        let _ = write!(body, "<path class=\"l c6\" d=\"M{}\"/>", roof.join("L"));
    }
    for (number, point) in products.iter().enumerate() {
        let Some((x, y)) = plane.point((point.intensity, point.throughput)) else { continue };
        let title = format!("{}: {}FLOP/s", point.name, rate(point.throughput));
        let _ = write!(body, "<g><title>{}</title>{}</g>", escape(&title), marker(number, x, y));
    }
    let mut top = plane.foot() + TEXT;
    let known = |value: f64| value > 0.0;
    let roof = match (known(peak), known(memory)) {
        (true, true) => format!(
            "the roof: {}FLOP/s of multiply-adds, {}B/s of memory",
            rate(peak),
            rate(memory)
        ),
        _ => "no ceilings: they could not be measured".into(),
    };
    let _ = write!(body, "<path class=\"l c6\" d=\"M{MARGIN} {}h20\"/>", at(top - 4.5));
    *body += &text("s", MARGIN + 26.0, top, &roof);
    top += BAR;
    legend(body, products, top)
}

/// The products' names beside their markers, in two columns where they are short.
fn legend(body: &mut String, products: &[Point], top: f64) -> f64 {
    let inner = WIDTH - 2.0 * MARGIN;
    let names = || products.iter().map(|own| fold(&own.name, inner - 18.0, SMALL, 1).concat());
    let widest = names().map(|name| breadth(&name, SMALL)).fold(0.0, f64::max);
    let columns = if widest + 24.0 < 0.5 * inner { 2 } else { 1 };
    let rows = products.len().div_ceil(columns);
    for (number, name) in names().enumerate() {
        let x = MARGIN + 6.0 + inner / columns as f64 * (number / rows) as f64;
        let y = top + BAR * (number % rows) as f64;
        *body += &marker(number, x, y - 4.5);
        *body += &text("s", x + 12.0, y, &name);
    }
    top + BAR * rows as f64 + 12.0
}

/// A case's share of the ceilings.
struct Bar {
    name: String,
    /// What is written beside it.
    label: String,
    /// At the median, and at the quartiles.
    share: Option<(f64, (f64, f64))>,
}

impl Bar {
    fn of(row: &Row) -> Option<Bar> {
        let share = row.share?;
        let name = format!("{} {}", row.op(), row.size());
        let parts = share.fraction.zip(row.shares());
        let whole = |part: f64| format!("{:.0}", 100.0 * part);
        let label = match parts {
            Some((_, (low, high))) => {
                format!("{} ({}–{})", percent(share), whole(low), whole(high))
            }
            None => percent(share),
        };
        Some(Bar { name, label, share: parts })
    }
}

fn bars(body: &mut String, bars: &[Bar], index: usize, top: f64) -> f64 {
    let (left, width) = BARS;
    // Quartiles may be beyond the ceilings, which are no bound.
    let x = |part: f64| left + width * part.clamp(0.0, 1.1);
    *body += &text(
        "s",
        MARGIN,
        top + 12.0,
        "Time that the ceilings account for: medians, and quartiles",
    );
    let top = top + 22.0;
    let base = top + 24.0 + BAR * bars.len() as f64;
    for part in [0.0, 0.5, 1.0] {
        let _ = write!(
            body,
            "<path class=\"r\" d=\"M{} {}V{}\"/>",
            at(x(part)),
            at(top + 22.0),
            at(base)
        );
        *body += &text("s m", x(part), top + 16.0, &format!("{:.0} %", 100.0 * part));
    }
    let mut top = top + 24.0;
    for bar in bars {
        let name = fold(&bar.name, left - MARGIN - 8.0, SMALL, 1).concat();
        *body += &text("s e", left - 8.0, top + 14.0, &name);
        let mut end = left;
        if let Some((share, (low, high))) = bar.share {
            let middle = at(top + 0.5 * BAR);
            let _ = write!(
                body,
                "<rect class=\"f{}\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\
                 <path class=\"w k\" d=\"M{} {middle}H{}m0 -4v8M{} {middle}m0 -4v8\"/>",
                index % SERIES,
                at(top + 3.0),
                at(x(share) - left),
                BAR - 6.0,
                at(x(low)),
                at(x(high)),
                at(x(low)),
            );
            end = x(share).max(x(high));
        }
        *body += &text("s", end + 8.0, top + 14.0, &bar.label);
        top += BAR;
    }
    base
}

#[cfg(test)]
mod tests {
    use super::super::super::chart::picture::Picture;
    use super::*;

    fn read(height: f64, body: String) -> Picture {
        let (title, caption) = ("Title".into(), "Caption.".into());
        Picture::read(&Figure { title, caption, height, body }.document())
    }

    #[test]
    fn every_product_is_on_the_plane() {
        let known = Ceilings { write: 1e10, read: 2e10, copy: 1e10, multiply_add: 4e11 };
        let slow = Ceilings { multiply_add: 1e5, ..known };
        let memory = Ceilings { read: 1e15, ..known };
        for ceilings in [known, slow, memory, Ceilings::default()] {
            for count in [1, 2, 9, 30] {
                let point = |index: i32| Point {
                    name: format!(
                        "matmul_nt bf16 {index}x{index}x{}",
                        "512".repeat(index as usize)
                    ),
                    intensity: 10f64.powi(index % 9 - 5),
                    throughput: 3.0 * 10f64.powi(index % 14),
                };
                let products: Vec<Point> = (0..count).map(point).collect();
                let mut body = String::new();
                let end = roof(&mut body, &ceilings, &products, 20.0);
                let picture = read(end, body);
                picture.hold_chart();
                let [left, top, right, bottom] = picture.plane();
                let inside = |own: &&(String, Vec<(f64, f64)>)| {
                    let (x, y) = own.1[0];
                    (left - 6.0..=right + 6.0).contains(&x)
                        && (top - 6.0..=bottom + 6.0).contains(&y)
                };
                let markers = picture.shapes.iter().filter(|own| own.0.contains(['f', 'g']));
                assert_eq!(markers.filter(inside).count(), count as usize);
                let said = picture.said();
                assert_eq!(said.contains("no ceilings"), ceilings == Ceilings::default(), "{said}");
            }
        }
    }

    #[test]
    fn shares_stay_beside_their_whiskers() {
        let bar = |share: Option<(f64, (f64, f64))>, label: &str| Bar {
            name: "training_step bf16 784-512-512-10".into(),
            label: label.into(),
            share,
        };
        let all = [
            bar(Some((1.0, (0.9, 4.0))), "100 % (90–400)"),
            bar(Some((0.0, (0.0, 0.01))), "0 % (0–1)"),
            bar(Some((0.5, (0.5, 0.5))), "50 % (50–50)"),
            bar(None, "cache"),
        ];
        let mut body = String::new();
        let end = bars(&mut body, &all, 0, 10.0);
        let picture = read(end, body);
        picture.hold();
        // A line from quartile to quartile: 1 % is as long as the bar of 100 % by a hundredth.
        let whiskers = picture.shapes.iter().filter(|own| own.0 == "w k");
        let long: Vec<f64> = whiskers.map(|own| own.1[1].0 - own.1[0].0).collect();
        assert!(
            (long[1] - 0.01 * BARS.1).abs() < 0.11 && long[0] < 0.2 * BARS.1 + 0.11,
            "{long:?}"
        );
    }
}
