//! CSV with a header: one column is the target, all others are numeric features.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::{Error, Result};

use super::column::Column;
use super::load::{name_of, read, wrong};
use super::numbers::Exact;
use super::{Dataset, LoadOptions, Loaded, Numbers};

pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    // All of it at once: what is wrong is told with its line, and lines are counted in the bytes.
    let bytes = read(path)?;
    let file = Table { path, bytes: &bytes };
    // Rows are compared with the header here, so that the error can say more.
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|error| file.unreadable(&error))?.clone();
    let target = file.target(&header, options)?;
    let name = header[target].to_string();

    let mut features = Numbers::from_iter([]);
    let mut cells = Vec::new();
    let mut lines = Vec::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| file.unreadable(&error))? {
        let at = record.position().map_or(0, csv::Position::byte);
        if record.len() != header.len() {
            let needed = format!("{}, as in the header", header.len());
            return Err(file.wrong(at, "cells", record.len(), needed));
        }
        for (column, cell) in record.iter().enumerate() {
            if column == target {
                if cell.is_empty() {
                    let what = format!("column `{name}`");
                    return Err(file.wrong(at, &what, "an empty cell", "a class or a number"));
                }
                cells.push(cell.to_string());
                continue;
            }
            match Exact::parse(cell) {
                Some(number) if number.nearest().is_finite() => features.push(number),
                parsed => {
                    let what = format!("column `{}`", header_name(&header, column));
                    let given =
                        if cell.is_empty() { "an empty cell".into() } else { format!("`{cell}`") };
                    let needed = if parsed.is_none() && !cell.is_empty() {
                        "a number: every column but the target is a numeric feature"
                    } else {
                        "a finite f64"
                    };
                    return Err(file.wrong(at, &what, given, needed));
                }
            }
        }
        lines.push(at);
    }

    let column = file.column(cells, &lines, &name)?;
    let place = |error: Error| error.at(path.display());
    let meaning = column.meaning(&name, options.task);
    let targets = column.targets(&name, meaning.task).map_err(place)?;
    let names = (0..header.len()).filter(|&column| column != target);
    let names = names.map(|column| header_name(&header, column)).collect();
    let train = Dataset::new(name_of(path), features, names, targets).map_err(place)?;
    Ok(Loaded { train, test: None, task: meaning.task, reason: meaning.reason })
}

/// A file's name for people, and its bytes to count lines in.
struct Table<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Table<'_> {
    /// The index of the target among the columns.
    fn target(&self, header: &StringRecord, options: &LoadOptions) -> Result<usize> {
        if header.iter().all(|name| name.is_empty()) {
            return Err(wrong(self.path, "header", "nothing", "a first line of column names"));
        }
        if header.iter().all(|name| name.parse::<f64>().is_ok()) {
            let given = format!("only numbers, {}", join(header));
            return Err(wrong(self.path, "header", given, "a first line of column names"));
        }
        let Some(target) = &options.target else {
            let needed = format!("one of the columns: {}", join(header));
            return Err(wrong(self.path, "target", "none", needed));
        };
        let mut found = header.iter().enumerate().filter(|(_, name)| name == target);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => {
                if header.len() == 1 {
                    let needed = "a column of features besides the target (cells are parted by ,)";
                    return Err(wrong(self.path, "columns", 1, needed));
                }
                Ok(index)
            }
            (Some(_), Some(_)) => {
                let needed = "the name of one column, which two have";
                Err(wrong(self.path, "target", format!("`{target}`"), needed))
            }
            (None, _) => Err(Error::unknown("target column", target, header.iter())),
        }
    }

    /// Numbers where every cell is one, text otherwise.
    fn column(&self, cells: Vec<String>, lines: &[u64], name: &str) -> Result<Column> {
        let numbers: Option<Numbers> = cells.iter().map(|cell| Exact::parse(cell)).collect();
        let Some(numbers) = numbers else { return Ok(Column::Text(cells)) };
        let line = numbers.iter().zip(lines).find(|(number, _)| !number.nearest().is_finite());
        match line {
            None => Ok(Column::Numbers(numbers)),
            Some((number, &at)) => {
                Err(self.wrong(at, &format!("column `{name}`"), number, "a finite f64"))
            }
        }
    }

    /// An error about the record that starts at byte `at`.
    fn wrong(
        &self,
        at: u64,
        what: &str,
        given: impl std::fmt::Display,
        needed: impl Into<String>,
    ) -> Error {
        let what = format!("line {}, {what}", self.line(at));
        wrong(self.path, what, given, needed)
    }

    fn unreadable(&self, error: &csv::Error) -> Error {
        let line = error.position().map_or(1, |position| self.line(position.byte()));
        let given = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "bytes that are not UTF-8".into(),
            _ => error.to_string(),
        };
        wrong(self.path, format!("line {line}"), given, "CSV in UTF-8")
    }

    /// The line of the record at byte `at`. The reader's own count is of where it stopped before,
    /// which blank lines and the second half of a CRLF still follow.
    fn line(&self, at: u64) -> usize {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let (before, rest) = self.bytes.split_at(at);
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let newlines = before.iter().chain(blank).filter(|&&byte| byte == b'\n').count();
        newlines + 1
    }
}

fn header_name(header: &StringRecord, column: usize) -> String {
    match header.get(column) {
        Some(name) if !name.is_empty() => name.into(),
        _ => format!("column {}", column + 1),
    }
}

fn join(header: &StringRecord) -> String {
    header.iter().collect::<Vec<_>>().join(", ")
}
