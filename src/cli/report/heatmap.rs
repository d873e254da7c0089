use std::fmt::Write as _;

use fanin::counted;
use fanin::probe::Heatmap;

use super::super::chart::svg::{Figure, at, cut, text};
use super::super::table::short;

/// From vanished through kept to exploded, told apart with any kind of sight and on any ground.
const COLORS: [&str; 13] = [
    "#08306b", "#08519c", "#2171b5", "#4292c6", "#7fb6d9", "#b9d7ea", "#f2f0e6", "#fdd0a2",
    "#fdae6b", "#fd8d3c", "#e6550d", "#a63603", "#6b2100",
];

const ROW: f64 = 11.0;
const PANEL: f64 = 276.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 66.0;

/// The colour of a standard deviation, half a decade each; none for what is gone.
fn color(std: f64) -> Result<usize, &'static str> {
    match std {
        std if !std.is_finite() => Err("over"),
        // Below float32's normal numbers devices take anything for 0.
        std if std < 1.2e-38 => Err("under"),
        std => Ok((std.log10().round() + 6.0).clamp(0.0, 12.0) as usize),
    }
}

/// Depth across, scale upwards, for activations and for gradients.
pub fn figure(map: &Heatmap) -> Figure {
    let rows = map.scales.len();
    let height = ROW * rows as f64;
    let (low, high) = (map.scales[0].ln(), map.scales[rows - 1].ln());
    let half = 0.5 * (high - low) / (rows - 1).max(1) as f64;
    let y = |scale: f64| TOP + height * (high + half - scale.ln()) / (high - low + 2.0 * half);
    let title = format!("Where signals live: {}, {}", map.activation, counted(map.width, "unit"));
    let mut body = text("h", 12.0, 24.0, &title);
    let defs = "<defs><pattern id=\"under\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"6\" height=\"6\" fill=\"#08306b\"/><path d=\"M0 6L6 0\" stroke=\"#9ecae1\"/></pattern>\
             <pattern id=\"over\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"6\" height=\"6\" fill=\"#6b2100\"/><path d=\"M0 0L6 6\" stroke=\"#fdae6b\"/></pattern></defs>";
    // Several maps stand in one page, where an id is one element's.
    let own: String = format!("{}-{}", map.activation.name(), map.width);
    let own: String =
        own.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).collect();
    body += &defs
        .replace("\"under\"", &format!("\"under-{own}\""))
        .replace("\"over\"", &format!("\"over-{own}\""));
    let panels = [("activations", &map.activation_std), ("gradients", &map.gradient_std)];
    for (panel, (name, values)) in panels.into_iter().enumerate() {
        let left = LEFT + panel as f64 * (PANEL + 20.0);
        body += &text("t", left, TOP - 10.0, &format!("standard deviation of {name}"));
        for (row, values) in values.iter().enumerate() {
            let top = TOP + height - ROW * (row + 1) as f64;
            let width = PANEL / values.len().max(1) as f64;
            let mut column = 0;
            for run in values.chunk_by(|a, b| color(*a) == color(*b)) {
                let fill = match color(run[0]) {
                    Ok(index) => COLORS[index].to_owned(),
                    Err(pattern) => format!("url(#{pattern}-{own})"),
                };
                // A hair wider, or the ground shows between neighbours.
                let _ = write!(
                    body,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>",
                    at(left + column as f64 * width),
                    at(top),
                    at(run.len() as f64 * width + 0.2),
                    ROW + 0.2
                );
                column += run.len();
            }
        }
        let depth = values.first().map_or(1, Vec::len);
        for layer in [1, depth.div_ceil(2), depth] {
            let x = left + PANEL * (layer as f64 - 0.5) / depth as f64;
            body += &text("s m", x, TOP + height + 16.0, &layer.to_string());
        }
        body += &text("t m", left + 0.5 * PANEL, TOP + height + 34.0, "layer");
        if let Some(critical) = map.critical {
            let _ = write!(
                body,
                "<path d=\"M{} {}h{PANEL}\" stroke=\"#000\" stroke-width=\"1.6\" stroke-dasharray=\"6 4\" fill=\"none\"/>",
                at(left),
                at(y(critical))
            );
        }
    }
    for scale in [0.25, 0.5, 1.0, 2.0, 4.0] {
        if (map.scales[0] * 0.99..=map.scales[rows - 1] * 1.01).contains(&scale) {
            body += &text("s e", LEFT - 6.0, y(scale) + 4.0, &short(scale));
        }
    }
    let middle = TOP + 0.5 * height;
    let _ = write!(
        body,
        "<text class=\"t m\" transform=\"translate(16 {middle}) rotate(-90)\">σ_w = std · √fan_in</text>"
    );

    // The runs' own scales beside the map, apart from each other.
    let right = LEFT + 2.0 * PANEL + 20.0;
    let mut marks: Vec<(f64, String, bool)> =
        map.marks.iter().map(|(name, scale)| (*scale, name.clone(), false)).collect();
    marks.extend(map.critical.map(|scale| (scale, "edge of chaos".to_owned(), true)));
    marks.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut last = TOP - 14.0;
    for (scale, name, dashed) in marks {
        let inside = (map.scales[0]..=map.scales[rows - 1]).contains(&scale);
        let target = y(scale.clamp(map.scales[0], map.scales[rows - 1]));
        let place = target.max(last + 15.0);
        last = place;
        let class = if dashed { "d" } else { "x" };
        let _ = write!(
            body,
            "<path class=\"{class}\" d=\"M{} {}L{} {}\"/>",
            at(right),
            at(target),
            at(right + 14.0),
            at(place)
        );
        let beyond = if inside { String::new() } else { format!(" ({})", short(scale)) };
        body += &text("s", right + 18.0, place + 4.0, &format!("{}{beyond}", cut(&name, 20)));
    }

    let bar = TOP + height + 52.0;
    for (index, color) in COLORS.iter().enumerate() {
        let x = LEFT + 22.0 * index as f64;
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{bar}\" width=\"22.2\" height=\"12\" fill=\"{color}\"/>"
        );
        if index % 3 == 0 {
            let exponent = index as i32 - 6;
            let label = if exponent == 0 { "1".to_owned() } else { format!("1e{exponent}") };
            body += &text("s m", x + 11.0, bar + 27.0, &label);
        }
    }
    for (index, (pattern, what)) in
        [("under", "gone: 0 in float32"), ("over", "overflown")].iter().enumerate()
    {
        let x = LEFT + 320.0 + 160.0 * index as f64;
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{bar}\" width=\"22\" height=\"12\" fill=\"url(#{pattern}-{own})\"/>"
        );
        body += &text("s", x + 28.0, bar + 11.0, what);
    }
    let caption = "Each row is a network whose weights are N(0, σ_w² / fan_in), each column a layer. Below \
                   the right scale signals die out with depth, above it they explode; the narrow band \
                   between is where deep networks train. The dashed line is where the theory has the \
                   edge of chaos; the names on the right are where this report's initializers lie."
        .into();
    let height = (bar + 40.0).max(last + 20.0);
    Figure { title, caption, width: 820.0, height, body }
}
