use std::fmt::Write as _;

use fanin::probe::Heatmap;

use super::super::chart::svg::{
    Figure, HEAD, LEADING, MARGIN, SMALL, TEXT, WIDTH, at, breadth, fold, marker, paragraph, text,
};
use super::super::chart::written;
use super::Network;

/// From vanished through kept to exploded, told apart with any kind of sight and on any ground.
const COLORS: [&str; 13] = [
    "#08306b", "#08519c", "#2171b5", "#4292c6", "#7fb6d9", "#b9d7ea", "#f2f0e6", "#fdd0a2",
    "#fdae6b", "#fd8d3c", "#e6550d", "#a63603", "#6b2100",
];

const ROW: f64 = 11.0;
const LEFT: f64 = 64.0;
/// Between the panels, and what the marks have on their right.
const BETWEEN: f64 = 14.0;
const GUTTER: f64 = 40.0;
const PANEL: f64 = (WIDTH - LEFT - BETWEEN - GUTTER) / 2.0;

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
pub fn figure(map: &Heatmap, network: &Network<'_>) -> Figure {
    const TITLE: &str = "Where signals live";
    let rows = map.scales.len();
    let height = ROW * rows as f64;
    let (low, high) = (map.scales[0].ln(), map.scales[rows - 1].ln());
    let half = 0.5 * (high - low) / (rows - 1).max(1) as f64;
    let inner = WIDTH - 2.0 * MARGIN;
    let mut body = text("h", MARGIN, 24.0, TITLE);
    let (subtitle, next) =
        paragraph("s", MARGIN, 24.0 + LEADING * HEAD, &fold(&network.title, inner, SMALL, 6));
    body += &subtitle;
    body += &text("t", LEFT, next + 8.0, "standard deviation of");
    let top = next + 36.0;
    let y = |scale: f64| top + height * (high + half - scale.ln()) / (high - low + 2.0 * half);
    let defs = "<defs><pattern id=\"under\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"6\" height=\"6\" fill=\"#08306b\"/><path d=\"M0 6L6 0\" stroke=\"#9ecae1\"/></pattern>\
             <pattern id=\"over\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <rect width=\"6\" height=\"6\" fill=\"#6b2100\"/><path d=\"M0 0L6 6\" stroke=\"#fdae6b\"/></pattern></defs>";
    // Several maps stand in one page, where an id is one element's.
    let own = &network.stem;
    body += &defs
        .replace("\"under\"", &format!("\"under-{own}\""))
        .replace("\"over\"", &format!("\"over-{own}\""));
    let panels = [("activations", &map.activation_std), ("gradients", &map.gradient_std)];
    for (panel, (name, values)) in panels.into_iter().enumerate() {
        let left = LEFT + panel as f64 * (PANEL + BETWEEN);
        body += &text("t", left, top - 9.0, name);
        // Sharp, or the ground shows between neighbours.
        body += "<g shape-rendering=\"crispEdges\">";
        for (row, values) in values.iter().enumerate() {
            let top = top + height - ROW * (row + 1) as f64;
            let width = PANEL / values.len().max(1) as f64;
            let mut column = 0;
            for run in values.chunk_by(|a, b| color(*a) == color(*b)) {
                let fill = match color(run[0]) {
                    Ok(index) => COLORS[index].to_owned(),
                    Err(pattern) => format!("url(#{pattern}-{own})"),
                };
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
        body += "</g>";
        let depth = values.first().map_or(1, Vec::len);
        let mut layers = vec![1, depth.div_ceil(2), depth];
        layers.dedup();
        for layer in layers {
            let label = layer.to_string();
            let half = 0.5 * breadth(&label, SMALL);
            let x = left + PANEL * (layer as f64 - 0.5) / depth as f64;
            // Beside the other panel's.
            let x = x.clamp(left + half, left + PANEL - half);
            body += &text("s m", x, top + height + 18.0, &label);
        }
        body += &text("t m", left + 0.5 * PANEL, top + height + 37.0, "layer");
        if let Some(critical) = map.critical {
            let _ = write!(
                body,
                "<path d=\"M{} {}h{}\" stroke=\"#000\" stroke-width=\"1.6\" stroke-dasharray=\"6 4\" fill=\"none\"/>",
                at(left),
                at(y(critical)),
                at(PANEL)
            );
        }
    }
    for scale in [0.25, 0.5, 1.0, 2.0, 4.0] {
        if (map.scales[0] * 0.99..=map.scales[rows - 1] * 1.01).contains(&scale) {
            body += &text("s e", LEFT - 8.0, y(scale) + 4.5, &written(scale));
        }
    }
    let _ = write!(
        body,
        "<text class=\"t m\" transform=\"translate({} {}) rotate(-90)\">σ_w = std · √fan_in \
         (logarithmic)</text>",
        MARGIN + 4.0,
        at(top + 0.5 * height)
    );

    // The runs' own scales beside the map, each with its marker, apart from each other.
    let right = LEFT + 2.0 * PANEL + BETWEEN;
    let number = |name: &str| network.runs.iter().position(|run| run.init == name);
    let mut marks: Vec<(f64, usize, &str)> = map
        .marks
        .iter()
        .enumerate()
        .map(|(place, (name, scale))| (*scale, number(name).unwrap_or(place), name.as_str()))
        .collect();
    marks.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut last = top - 16.0;
    for &(scale, index, _) in &marks {
        let target = y(scale.clamp(map.scales[0], map.scales[rows - 1]));
        let place = target.max(last + 12.0);
        last = place;
        let _ = write!(
            body,
            "<path class=\"x\" d=\"M{} {}L{} {}\"/>",
            at(right + 2.0),
            at(target),
            at(right + 14.0),
            at(place)
        );
        body += &marker(index, right + 22.0, place);
    }

    let bar = (top + height + 54.0).max(last + 20.0);
    for (index, color) in COLORS.iter().enumerate() {
        let x = LEFT + 22.0 * index as f64;
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{}\" width=\"22.2\" height=\"12\" fill=\"{color}\"/>",
            at(bar)
        );
        if index % 3 == 0 {
            const POWERS: [&str; 5] = ["10⁻⁶", "10⁻³", "1", "10³", "10⁶"];
            body += &text("s m", x + 11.0, bar + 28.0, POWERS[index / 3]);
        }
    }
    let mut end = bar + 44.0;
    for (pattern, x, what) in [("under", LEFT, "gone: 0 in float32"), ("over", 300.0, "overflown")]
    {
        let _ = write!(
            body,
            "<rect x=\"{x}\" y=\"{}\" width=\"22\" height=\"12\" fill=\"url(#{pattern}-{own})\"/>",
            at(end)
        );
        body += &text("s", x + 28.0, end + 11.0, what);
    }
    end += 34.0;
    if let Some(critical) = map.critical {
        let _ = write!(
            body,
            "<rect x=\"{MARGIN}\" y=\"{}\" width=\"22\" height=\"12\" fill=\"{}\"/>\
             <path d=\"M{MARGIN} {}h22\" stroke=\"#000\" stroke-width=\"1.6\" stroke-dasharray=\"6 4\"/>",
            at(end - 11.0),
            COLORS[6],
            at(end - 5.0)
        );
        let words = format!("edge of chaos, by the theory: {}", written(critical));
        body += &text("t", MARGIN + 30.0, end, &words);
        end += LEADING * TEXT;
    }
    for (scale, index, name) in marks {
        let inside = (map.scales[0] * 0.999..=map.scales[rows - 1] * 1.001).contains(&scale);
        let where_ = if inside { "" } else { ", beyond the map" };
        let words = format!("{name}: {}{where_}", written(scale));
        body += &marker(index, MARGIN + 11.0, end - 4.5);
        let (lines, next) =
            paragraph("t", MARGIN + 30.0, end, &fold(&words, inner - 30.0, TEXT, 3));
        body += &lines;
        end = next;
    }
    let mut caption = "Each row is a network whose weights are N(0, σ_w² / fan_in), each column a layer. Below \
                   the right scale signals die out with depth, above it they explode; the narrow band \
                   between is where deep networks train."
        .to_owned();
    if !map.marks.is_empty() {
        caption += " Markers on the right are where this report's initializers lie.";
    }
    if network.runs.first().is_some_and(|run| run.widths[1] != map.width) {
        let _ = write!(
            caption,
            " The map is that of {} units a layer: {} networks as wide as this one would take long.",
            map.width, rows
        );
    }
    Figure { title: TITLE.into(), caption, height: end - 4.0, body }
}
