use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use fanin::plain;

/// A table whose cells are made plain; columns named in `right` are aligned to the right.
pub fn table(header: &[&str], right: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|cell| plain(cell).to_string())));
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            let first = if index == 0 { 0 } else { 1 };
            column.set_padding((first, 1));
            if right.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    // Trailing blanks are of no use to anyone.
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Pieces, each with the letters that it shows, in lines of at most `width` letters; a piece that is
/// longer has a line of its own.
pub fn wrap(
    pieces: impl IntoIterator<Item = (usize, String)>,
    separator: &str,
    width: usize,
) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (letters, piece) in pieces {
        match lines.last_mut() {
            Some((used, line)) if *used + separator.len() + letters <= width => {
                *line += separator;
                *line += &piece;
                *used += separator.len() + letters;
            }
            _ => lines.push((letters, piece)),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// A number in six characters or so, for people: 0, 0.01998, 1.2e-7.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.001..100_000.0).contains(&size) => {
            let digits = (4 - size.log10().floor() as i32).clamp(0, 6) as usize;
            let text = format!("{value:.digits$}");
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').into()
            } else {
                text
            }
        }
        _ => format!("{value:.3e}"),
    }
}

/// Bytes for people, in the units of disks: 497.8 MB.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
