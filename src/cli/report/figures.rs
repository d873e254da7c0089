use std::fmt::Write as _;

use fanin::probe::{LayerReport, Prediction, Spread};

use super::super::chart::svg::{
    Figure, HEAD, LEADING, MARGIN, SERIES, SMALL, TEXT, WIDTH, at, escape, fold, marker, paragraph,
    text,
};
use super::super::chart::{Chart, Line};
use super::super::table::short;
use super::{Network, about};

type Predicted = fn(&Prediction) -> (f64, f64);

/// What of a layer a chart shows.
struct Quantity {
    file: &'static str,
    title: &'static str,
    caption: &'static str,
    label: &'static str,
    log: bool,
    measured: fn(&LayerReport) -> Spread,
    /// The value, and the standard deviation of its logarithm.
    predicted: Option<Predicted>,
}

static QUANTITIES: [Quantity; 6] = [
    Quantity {
        file: "activations",
        title: "How large the signal is",
        caption: "The variance of each layer's activations, from the input on the left to the output \
                  on the right. A level curve is what training needs.",
        label: "variance of activations",
        log: true,
        measured: |layer| layer.activation_var,
        predicted: Some(|p| (p.activation_var, p.activation_band)),
    },
    Quantity {
        file: "gradients",
        title: "How large the gradient is",
        caption: "The variance of the loss's gradient with respect to each layer's activations. \
                  Gradients start at the output, on the right, and go left.",
        label: "variance of gradients",
        log: true,
        measured: |layer| layer.gradient_var,
        predicted: Some(|p| (p.gradient_var, p.gradient_band)),
    },
    Quantity {
        file: "weight-gradients",
        title: "How fast each layer would learn",
        caption: "The variance of the gradient with respect to each layer's weights: what the \
                  optimizer is given.",
        label: "variance of weights' gradients",
        log: true,
        measured: |layer| layer.weight_gradient_var,
        predicted: Some(|p| {
            (p.weight_gradient_var, (p.gradient_band.powi(2) + p.activation_band.powi(2)).sqrt())
        }),
    },
    Quantity {
        file: "correlations",
        title: "Whether two inputs stay apart",
        caption: "The mean cosine between the activations of the two inputs of a pair. At 1 the layer \
                  no longer tells them apart.",
        label: "cosine of a pair",
        log: false,
        measured: |layer| layer.correlation,
        predicted: Some(|p| (p.correlation, 0.0)),
    },
    Quantity {
        file: "dead",
        title: "Units that are dead",
        caption: "The share of units whose slope is 0 for every input of the batch: no gradient passes \
                  them. With ReLU it comes to a half where all inputs have become alike.",
        label: "share of dead units",
        log: false,
        measured: |layer| layer.dead,
        predicted: None,
    },
    Quantity {
        file: "saturated",
        title: "Pre-activations that are saturated",
        caption: "The share of pre-activations where the slope is below a twentieth of its greatest.",
        label: "share saturated",
        log: false,
        measured: |layer| layer.saturated,
        predicted: None,
    },
];

/// The variances at the ends of float32, beyond which no curve goes.
pub const BOUNDS: (f64, f64) = (1e-78, 1e78);

/// Every figure of a network, with the start of its file's name.
pub fn all(network: &Network<'_>) -> Vec<(&'static str, Figure)> {
    let mut figures: Vec<(&'static str, Figure)> = Vec::new();
    for quantity in &QUANTITIES {
        // Nothing is to be seen where all is 0: units that cannot die, say.
        let seen = |layer: &LayerReport| (quantity.measured)(layer).max > 0.0;
        if quantity.predicted.is_none()
            && !network.runs.iter().any(|run| run.layers.iter().any(seen))
        {
            continue;
        }
        figures.push((quantity.file, chart(network, quantity)));
    }
    figures.extend(histograms(network).map(|figure| ("histograms", figure)));
    figures
}

fn chart(network: &Network<'_>, quantity: &Quantity) -> Figure {
    let lines = network.runs.iter().map(|run| {
        let points = run.layers.iter().map(|layer| {
            let Spread { mean, min, max } = (quantity.measured)(layer);
            (layer.layer as f64, mean, min, max)
        });
        let predicted = run.layers.iter().filter_map(|layer| {
            let (value, band) = (quantity.predicted?)(layer.predicted.as_ref()?);
            Some((layer.layer as f64, value, (1.96 * band).exp()))
        });
        Line {
            name: run.init.clone(),
            points: points.collect(),
            curve: predicted.collect(),
            ..Line::default()
        }
    });
    let lines: Vec<Line> = lines.collect();
    let chart = Chart {
        title: quantity.title.into(),
        subtitle: format!("{}; {}", network.title, about(network)),
        caption: format!("{} {}", quantity.caption, reading(network, &lines)),
        x_label: "layer".into(),
        y_label: quantity.label.into(),
        log: quantity.log,
        bounds: if quantity.log { BOUNDS } else { (-1.0, 1.0) },
        lines,
        ..Chart::default()
    };
    chart.figure()
}

/// What points, whiskers, lines and bands are, of those that there are.
fn reading(network: &Network<'_>, lines: &[Line]) -> String {
    let seeds = network.runs.iter().map(|run| run.seeds.len()).max().unwrap_or(0);
    let mut text = match seeds {
        0 | 1 => "Points are measured".to_owned(),
        _ => format!(
            "Points are means over {seeds} seeds, with whiskers from the least of them to the greatest"
        ),
    };
    if lines.iter().any(|line| !line.curve.is_empty()) {
        text += "; lines are what the theory predicts";
    }
    if lines.iter().flat_map(|line| &line.curve).any(|point| point.2 > 1.0) {
        text += ", and in the pale area lie 95\u{a0}% of networks of this width";
    }
    text + "."
}

/// A row of cells: their size, and what is between them.
const CELL: (f64, f64) = (125.0, 62.0);
const BETWEEN: f64 = 12.0;
const MOST: usize = 4;

/// Small multiples: a row a run, some of its layers from the first to the last.
fn histograms(network: &Network<'_>) -> Option<Figure> {
    const TITLE: &str = "What activations look like";
    let inner = WIDTH - 2.0 * MARGIN;
    let mut body = text("h", MARGIN, 24.0, TITLE);
    let subtitle = fold(&format!("{}; {}", network.title, about(network)), inner, SMALL, 6);
    let (below, mut top) = paragraph("s", MARGIN, 24.0 + LEADING * HEAD, &subtitle);
    body += &below;
    let mut any = false;
    for (index, run) in network.runs.iter().enumerate() {
        let (name, next) =
            paragraph("t", MARGIN + 14.0, top + TEXT, &fold(&run.init, inner - 14.0, TEXT, 3));
        body += &marker(index, MARGIN + 4.0, top + TEXT - 4.5);
        body += &name;
        top = next;
        let count = run.layers.len().min(MOST);
        for place in 0..count {
            let of = if count > 1 { place * (run.layers.len() - 1) / (count - 1) } else { 0 };
            let layer = &run.layers[of];
            let left = MARGIN + place as f64 * (CELL.0 + BETWEEN);
            let base = top + 8.0 + CELL.1;
            body += &text("s", left, top, &format!("layer {}", layer.layer));
            let _ = write!(body, "<path class=\"x\" d=\"M{} {}h{}\"/>", at(left), at(base), CELL.0);
            let Some(histogram) = &layer.histogram else {
                let what = if layer.not_finite > 0 { "not finite" } else { "all equal" };
                body += &text("s m", left + 0.5 * CELL.0, base - 24.0, what);
                continue;
            };
            any = true;
            // The root, so that the tails are seen beside a ReLU's zeros.
            let most = histogram.counts.iter().max().copied().unwrap_or(1).max(1) as f64;
            let width = CELL.0 / histogram.counts.len() as f64;
            let mut path = String::new();
            for (bin, &count) in
                histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0)
            {
                let height = (CELL.1 * (count as f64 / most).sqrt()).max(0.5);
                let _ = write!(
                    path,
                    "M{} {}v-{}h{}V{}",
                    at(left + bin as f64 * width),
                    at(base),
                    at(height),
                    at(width),
                    at(base)
                );
            }
            let ends = [histogram.edges.first(), histogram.edges.last()]
                .map(|end| end.map_or(0.0, |end| f64::from(*end)));
            let label = format!("{} … {}", brief(ends[0]), brief(ends[1]));
            let _ = write!(
                body,
                "<g><title>{}</title><path class=\"f{}\" d=\"{path}\"/></g>",
                escape(&label),
                index % SERIES
            );
            body += &text("s", left, base + 16.0, &label);
        }
        top += CELL.1 + 42.0;
    }
    let caption =
        "Histograms of a layer's activations, over all units and inputs, each on its own \
                   range (below it) and with the square roots of counts as heights. Healthy layers \
                   look alike from first to last."
            .into();
    any.then_some(Figure { title: TITLE.into(), caption, height: top - 8.0, body })
}

/// Two digits: there is little room.
fn brief(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.01..1000.0).contains(&size) => {
            let digits = (1 - size.log10().floor() as i32).clamp(0, 3) as usize;
            short(format!("{value:.digits$}").parse().unwrap_or(value))
        }
        _ => format!("{value:.0e}"),
    }
}
