//! The library's catalogues in help texts.

use fanin::model::Optimizer;

use super::text::paragraph;

/// How each is written and its formula, as `Activation::help` and its like have them.
pub type Lines = Vec<(String, String)>;

/// A sentence and how each is written: `The loss: mse, bce or huber:DELTA`.
pub fn one_of(what: &str, lines: Lines) -> String {
    format!(
        "{what}: {}",
        listed(&lines.into_iter().map(|(usage, _)| usage).collect::<Vec<_>>(), "or")
    )
}

/// Each under a title, with its formula beside it, in 80 columns.
pub fn formulas(title: &str, lines: Lines) -> String {
    let width = lines.iter().map(|(usage, _)| usage.len()).max().unwrap_or(0);
    let mut text = format!("{title}:\n");
    for (usage, formula) in lines {
        let (first, rest) = (format!("  {usage:width$}  "), " ".repeat(width + 4));
        text += &paragraph(&formula, &first, &rest, 80);
    }
    text
}

/// Every optimizer's learning rate where none is given.
pub fn learning_rates() -> String {
    let groups = Optimizer::ALL;
    let groups = groups.chunk_by(|a, b| a.default_lr() == b.default_lr()).map(|alike| {
        let names: Vec<String> = alike.iter().map(|own| own.name().to_owned()).collect();
        format!("{} for {}", alike[0].default_lr(), listed(&names, "and"))
    });
    format!("The learning rate; where none is given, {}", groups.collect::<Vec<_>>().join(", "))
}

fn listed(names: &[String], joint: &str) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [names @ .., last] => format!("{} {joint} {last}", names.join(", ")),
    }
}
