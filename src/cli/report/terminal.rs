use std::fmt::Write as _;

use fanin::probe::{Layer, RULE, Report};

use super::super::plot::{self, Curves, Series};
use super::super::table::wrap;
use super::figures::BOUNDS;
use super::{Network, networks, summary};

/// Networks whose charts are drawn: more are for the page.
const CHARTS: usize = 2;

/// Verdicts, and how variances go with depth.
pub fn terminal(report: &Report, columns: usize) -> String {
    let mut text = String::new();
    for (index, network) in networks(report).iter().enumerate() {
        let _ = writeln!(text, "{}{}\n", if index > 0 { "\n" } else { "" }, network.title);
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
        paragraph(&summary::headline(network), columns, &mut text);
    }
    text.push('\n');
    paragraph(&format!("{RULE}."), columns, &mut text);
    let _ = write!(text, "\nmeasured on {}\n", report.device);
    text
}

fn paragraph(words: &str, columns: usize, text: &mut String) {
    let words = words.split(' ').map(|word| (word.chars().count(), word.to_owned()));
    for line in wrap(words, " ", columns) {
        let _ = writeln!(text, "{line}");
    }
}

fn verdicts(network: &Network<'_>, columns: usize, text: &mut String) {
    let longest = network.runs.iter().map(|run| run.init.chars().count()).max().unwrap_or(0);
    let name = longest.clamp(4, 32);
    for run in &network.runs {
        let verdict = &run.verdict;
        let init = super::svg::cut(&run.init, name);
        let head =
            format!("{} {init:name$}  {:9}  ", summary::sign(verdict.kind), verdict.kind.name());
        let margin = head.chars().count();
        let mut words = verdict.reason.clone();
        let limits = summary::limits(run);
        if !limits.is_empty() {
            words += &format!("; {limits}");
        }
        let instead = summary::instead(run);
        if !instead.is_empty() {
            words += &format!(". Instead: {instead}");
        }
        let words = words.split(' ').map(|word| (word.chars().count(), word.to_owned()));
        let mut start = head;
        for line in wrap(words, " ", columns.saturating_sub(margin)) {
            let _ = writeln!(text, "{start}{line}");
            start = " ".repeat(margin);
        }
    }
}

fn chart(network: &Network<'_>, columns: usize, title: &str, value: fn(&Layer) -> f64) -> String {
    let series = network.runs.iter().map(|run| {
        let points = run.layers.iter().map(|layer| (layer.layer as f64, value(layer)));
        // What float32 cannot hold has no place on the axis.
        let shown = |&(_, y): &(f64, f64)| (BOUNDS.0..BOUNDS.1).contains(&y);
        Series { name: run.init.clone(), points: points.filter(shown).collect() }
    });
    let curves = Curves {
        title: title.into(),
        x_label: "layer".into(),
        y_label: String::new(),
        log_y: true,
        series: series.collect(),
    };
    plot::terminal(&curves, columns.min(90))
}
