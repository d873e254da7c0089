use std::fmt::Write as _;

use super::super::bench::{Device, Row, letter, rate};
use super::svg::{Figure, SERIES, at, cut, text};

const WIDTH: f64 = 780.0;
const LEFT: f64 = 74.0;
const HEIGHT: f64 = 240.0;
const BAR: f64 = 16.0;

/// Each device's roofline with its products, and under it what part of the ceilings each case
/// reaches.
pub fn figure(devices: &[Device], rows: &[Row]) -> Figure {
    let mut body = text("h", 12.0, 24.0, "How close to the machine's limits");
    let mut top = 44.0;
    for (index, device) in devices.iter().enumerate() {
        let own: Vec<&Row> = rows.iter().filter(|row| row.device == index).collect();
        let name = format!("{}  {}", letter(index), device.name);
        body += &text("t", 12.0, top + 14.0, &cut(&name, 100));
        top += 28.0;
        let products: Vec<&Row> = own
            .iter()
            .copied()
            .filter(|row| row.intensity.is_finite() && row.intensity > 0.0)
            .collect();
        if !products.is_empty() {
            top = roof(&mut body, device, &products, top);
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

/// The roofline and the products under it; where the next thing goes.
fn roof(body: &mut String, device: &Device, products: &[&Row], top: f64) -> f64 {
    // Room for what stands on the roof.
    let top = top + 16.0;
    let (copy, peak) = (device.ceilings.copy, device.ceilings.multiply_add);
    let ridge = peak / copy;
    let intensities = products.iter().map(|row| row.intensity);
    let low = intensities.clone().fold(ridge, f64::min).log10().floor();
    let high = intensities.fold(ridge, f64::max).log10().ceil();
    let slowest = products.iter().map(|row| row.throughput).fold(peak, f64::min);
    let (bottom, most) = (slowest.log10().floor(), peak.log10().ceil());
    let width = WIDTH - LEFT - 24.0;
    let x = |value: f64| LEFT + width * (value.log10() - low) / (high - low);
    let y = |value: f64| top + HEIGHT * (most - value.log10().max(bottom)) / (most - bottom);
    for decade in bottom as i32..=most as i32 {
        let height = y(10f64.powi(decade));
        let _ = write!(body, "<path class=\"r\" d=\"M{LEFT} {}h{}\"/>", at(height), at(width));
        *body += &text("s e", LEFT - 8.0, height + 4.0, &rate(10f64.powi(decade)));
    }
    for decade in low as i32..=high as i32 {
        let place = x(10f64.powi(decade));
        let _ = write!(body, "<path class=\"x\" d=\"M{} {}v5\"/>", at(place), at(top + HEIGHT));
        *body += &text("s m", place, top + HEIGHT + 18.0, &format!("{}", 10f64.powi(decade)));
    }
    let start = (10f64.powf(low) * copy).max(10f64.powf(bottom));
    let _ = write!(
        body,
        "<path class=\"x\" d=\"M{LEFT} {}h{}\"/><path class=\"l c6\" d=\"M{} {}L{} {}H{}\"/>",
        at(top + HEIGHT),
        at(width),
        at(x(start / copy)),
        at(y(start)),
        at(x(ridge)),
        at(y(peak)),
        at(LEFT + width),
    );
    *body += &text("s", x(ridge) + 6.0, y(peak) - 6.0, &format!("{}FLOP/s", rate(peak)));
    for (number, row) in products.iter().enumerate() {
        let (a, b) = (x(row.intensity), y(row.throughput));
        let _ = write!(
            body,
            "<g><title>{}</title><circle class=\"f{}\" cx=\"{}\" cy=\"{}\" r=\"4\"/></g>",
            super::svg::escape(&format!("{}: {}FLOP/s", row.name(), rate(row.throughput))),
            number % SERIES,
            at(a),
            at(b)
        );
    }
    let label = "operations a byte; each point is a product, with its name when pointed at";
    *body += &text("t m", LEFT + 0.5 * width, top + HEIGHT + 38.0, label);
    top + HEIGHT + 60.0
}

fn bars(body: &mut String, rows: &[&Row], index: usize, mut top: f64) -> f64 {
    let (left, width) = (300.0, 380.0);
    for row in rows {
        let Some(fraction) = row.fraction else { continue };
        *body += &text("s e", left - 8.0, top + 12.0, &cut(&row.name(), 44));
        let _ = write!(
            body,
            "<rect class=\"f{}\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            index % SERIES,
            at(top + 2.0),
            at(width * fraction.min(1.0)),
            BAR - 4.0
        );
        let words = format!("{:.0} %", 100.0 * fraction);
        *body += &text("s", left + width * fraction.min(1.0) + 6.0, top + 12.0, &words);
        top += BAR;
    }
    top
}
