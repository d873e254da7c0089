use fanin::probe::{LayerReport, RULE, Report};

use super::super::chart::{Chart, Line};
use super::super::text::{letters, paragraph, shortened};
use super::figures::BOUNDS;
use super::{Network, networks, summary};

/// Networks whose charts are drawn: more are for the page.
const CHARTS: usize = 2;

/// Verdicts, and how variances go with depth.
pub fn terminal(report: &Report, columns: usize) -> String {
    let mut text = String::new();
    for (index, network) in networks(report).iter().enumerate() {
        text += if index > 0 { "\n" } else { "" };
        text += &paragraph(&network.title, "", "", columns);
        text.push('\n');
        verdicts(network, columns, &mut text);
        if index < CHARTS {
            text.push('\n');
            let title = "variance of activations, from the input to the output";
            text += &chart(network, columns, title, |layer| layer.activation_var.mean);
            text.push('\n');
            let title = "variance of gradients, from the input to the output";
            text += &chart(network, columns, title, |layer| layer.gradient_var.mean);
        }
        text.push('\n');
        text += &paragraph(&summary::headline(network), "", "", columns);
    }
    text.push('\n');
    text += &paragraph(&format!("{RULE}."), "", "", columns);
    text.push('\n');
    text += &paragraph(&format!("measured on {}", report.device), "", "", columns);
    text
}

fn verdicts(network: &Network<'_>, columns: usize, text: &mut String) {
    let longest = network.runs.iter().map(|run| letters(&run.init)).max().unwrap_or(0);
    let name = longest.clamp(4, 32);
    for run in &network.runs {
        let verdict = &run.verdict;
        let init = shortened(&run.init, name);
        let (sign, blank) = (summary::sign(verdict.kind), " ".repeat(name - letters(&init)));
        let head = format!("{sign} {init}{blank}  {:9}  ", verdict.kind.name());
        let mut words = verdict.reason.clone();
        let limits = summary::limits(run);
        if !limits.is_empty() {
            words += &format!("; {limits}");
        }
        let instead = summary::instead(run, network);
        if !instead.is_empty() {
            words += &format!(". Instead: {instead}");
        }
        *text += &paragraph(&words, &head, &" ".repeat(letters(&head)), columns);
    }
}

fn chart(
    network: &Network<'_>,
    columns: usize,
    title: &str,
    value: fn(&LayerReport) -> f64,
) -> String {
    let lines = network.runs.iter().map(|run| {
        let curve = run.layers.iter().map(|layer| (layer.layer as f64, value(layer), 1.0));
        Line { name: run.init.clone(), curve: curve.collect(), ..Line::default() }
    });
    let chart = Chart {
        title: title.into(),
        x_label: "layer".into(),
        log: true,
        bounds: BOUNDS,
        lines: lines.collect(),
        ..Chart::default()
    };
    chart.terminal(columns)
}
