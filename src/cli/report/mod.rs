use fanin::probe::Report;

use super::table::{short, table};

pub fn html(_: &Report, _: &str) -> String {
    String::new()
}

pub fn figures(_: &Report) -> Vec<(String, String)> {
    Vec::new()
}

pub fn terminal(report: &Report, _: usize) -> String {
    let rows = report
        .runs
        .iter()
        .map(|run| {
            let v = &run.verdict;
            vec![
                run.init.clone(),
                run.activation.to_string(),
                v.kind.name().into(),
                v.reason.clone(),
                v.instead.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let mut text = table(&["init", "activation", "verdict", "reason", "instead"], &[], rows);
    for run in &report.runs {
        text += &format!("{}\n", run.init);
        for l in run.layers.iter().step_by((run.layers.len() / 10).max(1)) {
            let p = l.predicted;
            text += &format!(
                "{:4} var {} / {} (band {:.2}) grad {} / {} ({:.2}) wgrad {} / {} cor {} / {} dead {} sat {} eq {}\n",
                l.layer,
                short(l.activation_var.mean),
                p.map_or("-".into(), |p| short(p.activation_var)),
                p.map_or(0.0, |p| p.activation_band),
                short(l.gradient_var.mean),
                p.map_or("-".into(), |p| short(p.gradient_var)),
                p.map_or(0.0, |p| p.gradient_band),
                short(l.weight_gradient_var.mean),
                p.map_or("-".into(), |p| short(p.weight_gradient_var)),
                short(l.correlation.mean),
                p.map_or("-".into(), |p| short(p.correlation)),
                short(l.dead.mean),
                short(l.saturated.mean),
                l.equal_units
            );
        }
    }
    text
}
