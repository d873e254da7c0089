//! A probe's report for people: a page, single pictures, and text in the terminal.

mod figures;
mod heatmap;
mod page;
pub mod roofline;
mod summary;
mod terminal;

use fanin::counted;
use fanin::probe::{Heatmap, Report, Run};

use super::chart::svg;

pub use page::html;
pub use terminal::terminal;

/// Runs that differ in their initializer alone, and what they share.
struct Network<'a> {
    /// `relu, 50 layers of 256 units`.
    title: String,
    /// `relu-50x256`.
    stem: String,
    runs: Vec<&'a Run>,
}

fn networks(report: &Report) -> Vec<Network<'_>> {
    let mut networks: Vec<Network<'_>> = Vec::new();
    for run in &report.runs {
        let title = title(run);
        match networks.iter_mut().find(|network| network.title == title) {
            Some(network) => network.runs.push(run),
            None => networks.push(Network { stem: stem(run), title, runs: vec![run] }),
        }
    }
    networks
}

/// The maps with their networks, in whose order they are; one layer alone has none.
fn maps<'a>(
    report: &'a Report,
    networks: &'a [Network<'a>],
) -> impl Iterator<Item = (&'a Heatmap, &'a Network<'a>)> {
    let deep = networks.iter().filter(|network| network.runs[0].depth() > 1);
    report.heatmaps.iter().zip(deep)
}

fn title(run: &Run) -> String {
    let mut text = format!("{}, {} ", run.activation, counted(run.depth(), "layer"));
    let hidden = &run.widths[1..];
    match hidden.iter().all(|width| *width == hidden[0]) {
        true => text += &format!("of {}", counted(hidden[0], "unit")),
        false => {
            let widths: Vec<String> = run.widths.iter().map(u64::to_string).collect();
            text += &format!("({})", widths.join("-"));
        }
    }
    for (has, what) in [(run.residual, ", residual"), (run.layer_norm, ", layer norm")] {
        text += if has { what } else { "" };
    }
    if run.bias != "zeros" {
        text += &format!(", biases {}", run.bias);
    }
    text
}

/// What the runs of a network share beside what its title says.
fn about(network: &Network<'_>) -> String {
    let run = network.runs[0];
    let seeds = match run.seeds[..] {
        [seed] => format!("seed {seed}"),
        [first, .., last] => format!("{} seeds, {first} to {last}", run.seeds.len()),
        [] => String::new(),
    };
    let biases = if run.bias == "zeros" { "biases zeros, " } else { "" };
    format!("{}, {biases}{seeds}", counted(run.batch, "input"))
}

/// What a file of the network's is called.
fn stem(run: &Run) -> String {
    let width = run.widths.iter().max().unwrap_or(&0);
    let activation = run.activation.to_string();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let activation: String = activation.chars().map(plain).collect();
    format!("{activation}-{}x{width}", run.depth())
}

/// Every figure as a file's name, without its extension, and a document of its own.
pub fn figures(report: &Report) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, figure: &svg::Figure| {
        let taken = files
            .iter()
            .filter(|(own, _)| *own == name || own.starts_with(&format!("{name}-")))
            .count();
        let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
        files.push((name, figure.document()));
    };
    let networks = networks(report);
    for network in &networks {
        for (name, figure) in figures::all(network) {
            add(format!("{name}-{}", network.stem), &figure);
        }
    }
    for (map, network) in maps(report, &networks) {
        let depth = network.runs[0].depth();
        add(
            format!("scales-{}-{depth}x{}", map.activation.name(), map.width),
            &heatmap::figure(map, network),
        );
    }
    files
}
