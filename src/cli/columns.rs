//! What of a table is read, and how: the flags of every command that takes data.

use clap::{Args, Command};
use fanin::model::data::{LoadOptions, Missing, Task};

#[derive(Args)]
pub struct ColumnArgs {
    /// The column, array or file that holds the targets; several columns of numbers with commas between
    /// them (names that have a comma in double quotes, here and below)
    #[arg(long, value_name = "COLUMN,...")]
    pub target: Option<String>,

    /// What parts the cells of a CSV file: one character, or `tab` [default: seen from the file]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_separator)]
    pub separator: Option<char>,

    /// What stands before the decimals in a CSV file, `.` or `,` [default: seen from the file]
    #[arg(long, value_name = "CHARACTER")]
    pub decimal: Option<char>,

    /// The columns of a CSV file that are features [default: all but the targets]
    #[arg(long, value_name = "NAME,...")]
    pub columns: Option<String>,

    /// Columns of a CSV file that are left out
    #[arg(long, value_name = "NAME,...")]
    pub drop: Option<String>,

    /// Columns of a CSV file that hold categories: each category becomes a feature of 0 and 1
    #[arg(long, value_name = "NAME,...")]
    pub one_hot: Option<String>,

    /// What becomes of missing values (an empty cell, NA, NaN, null, ?; NaN in arrays): refuse; drop their
    /// rows; mean or median of the column over the training rows; zero
    #[arg(long, default_value = "refuse", value_name = "WAY")]
    pub missing: Missing,
}

impl ColumnArgs {
    /// Whether an argument, by the name of its field, is one of these.
    pub fn has(id: &str) -> bool {
        let own = ColumnArgs::augment_args(Command::new("columns"));
        own.get_arguments().any(|arg| arg.get_id() == id)
    }

    pub fn options(&self, task: Option<Task>) -> LoadOptions {
        let all = |names: &Option<String>| names.iter().cloned().collect();
        LoadOptions {
            targets: all(&self.target),
            task,
            separator: self.separator,
            decimal: self.decimal,
            columns: all(&self.columns),
            drop: all(&self.drop),
            one_hot: all(&self.one_hot),
            missing: self.missing,
        }
    }
}

pub fn parse_separator(text: &str) -> std::result::Result<char, String> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(character), None) if character.is_ascii() => Ok(character),
        _ => Err("needed one ASCII character, or `tab`".into()),
    }
}
