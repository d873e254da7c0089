//! Tables, and the numbers in them.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Table, Width as Cells, presets,
};
use fanin::{counted, plain};

use super::text::{letters, paragraph, shortened, table_room};

/// A column: how its cells are written, and when it makes room.
#[derive(Clone)]
pub struct Column {
    name: String,
    right: bool,
    kind: Kind,
    /// Its place among those that leave a table that is too wide.
    leaves: Option<u8>,
}

/// What may be done to a cell for want of room.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Nothing: a number is whole, or it is another.
    Whole,
    /// It loses its middle, beyond these letters only where no column is left to leave.
    Name(usize),
    /// It goes on in the next line.
    Prose,
}

/// Letters of a name that tell it from most others.
const NAME: usize = 24;

/// Letters of prose that can be read.
const PROSE: usize = 24;

/// Letters that a name has whatever happens.
const SHORTEST: usize = 8;

/// Letters between columns.
const GAP: usize = 2;

impl Column {
    fn new(name: &str, right: bool, kind: Kind) -> Column {
        Column { name: name.to_owned(), right, kind, leaves: None }
    }

    /// Words that are not to be broken, to the left.
    pub fn text(name: &str) -> Column {
        Column::new(name, false, Kind::Whole)
    }

    /// Numbers, to the right. They are never shortened.
    pub fn number(name: &str) -> Column {
        Column::new(name, true, Kind::Whole)
    }

    /// Names, which are shortened in the middle where there is no other way.
    pub fn name(name: &str) -> Column {
        Column::new(name, false, Kind::Name(NAME))
    }

    /// Sentences, which go on in the next line.
    pub fn prose(name: &str) -> Column {
        Column::new(name, false, Kind::Prose)
    }

    /// The column leaves a table that is too wide: 1 first, then 2, and so on; those of one number together.
    /// A column without a number stays.
    pub fn leaves(mut self, place: u8) -> Column {
        self.leaves = Some(place);
        self
    }

    /// So many letters of a name are kept before any column that may leave has left.
    pub fn at_least(mut self, letters: usize) -> Column {
        if let Kind::Name(least) = &mut self.kind {
            *least = letters;
        }
        self
    }

    /// The least that the column can do with, of what it would like.
    fn least(&self, natural: usize) -> usize {
        match self.kind {
            Kind::Whole => natural,
            Kind::Name(least) => natural.min(least.max(letters(&self.name))),
            Kind::Prose => natural.min(PROSE),
        }
    }
}

/// A table as wide as stdout has room for (as it is, where stdout is no terminal and nothing says how wide it
/// may be). Its cells are made plain.
///
/// Where it is too wide, columns leave in their order, and a line below says which.
pub fn table(columns: impl Into<Vec<Column>>, rows: Vec<Vec<String>>) -> String {
    fitted(columns.into(), rows, table_room())
}

/// A table in so much room, where something says how much.
pub fn fitted(columns: Vec<Column>, rows: Vec<Vec<String>>, room: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.into_iter().map(|cell| plain(cell).to_string()).collect())
        .collect();
    let natural: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| letters(cell));
            cells.max().unwrap_or(0).max(letters(&column.name))
        })
        .collect();
    // A word of prose is not broken, as long as it can be.
    let floors: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| match column.kind {
            Kind::Prose => {
                let cells = rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
                let words = cells.chain([column.name.as_str()]).flat_map(str::split_whitespace);
                words.map(letters).max().unwrap_or(0)
            }
            _ => SHORTEST.max(letters(&column.name)),
        })
        .collect();
    let (kept, widths) = match room {
        None => ((0..columns.len()).collect(), natural),
        Some(room) => fit(&columns, &natural, &floors, room),
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(kept.iter().map(|at| &columns[*at].name));
    table.add_rows(rows.iter().map(|row| {
        kept.iter().zip(&widths).map(|(at, width)| {
            let cell = row.get(*at).map_or("", String::as_str);
            match columns[*at].kind {
                Kind::Name(_) => shortened(cell, *width),
                _ => cell.to_owned(),
            }
        })
    }));
    let total: usize = widths.iter().sum::<usize>() + GAP * widths.len();
    if room.is_some() && kept.iter().any(|at| columns[*at].kind == Kind::Prose) {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(total).unwrap_or(u16::MAX));
    }
    for (place, (at, width)) in kept.iter().zip(&widths).enumerate() {
        if let Some(column) = table.column_mut(place) {
            let first = if place == 0 { 0 } else { GAP as u16 };
            column.set_padding((first, 0));
            let width = u16::try_from(*width).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Cells::Fixed(width + first)));
            if columns[*at].right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    // Trailing blanks are of no use to anyone.
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let gone = (0..columns.len()).filter(|at| !kept.contains(at)).map(|at| &*columns[at].name);
    // Of two of one name, where one stays.
    let stays = |name: &&str| kept.iter().any(|at| columns[*at].name == *name);
    let mut gone: Vec<&str> = gone.filter(|name| !stays(name)).collect();
    gone.dedup();
    if let (false, Some(room)) = (gone.is_empty(), room) {
        let line = format!("(without {}: see --json, or a wider terminal)", gone.join(", "));
        text += &paragraph(&line, "", "", room);
    }
    text
}

/// The columns that stay where there is so much room, each with its width.
fn fit(
    columns: &[Column],
    natural: &[usize],
    floors: &[usize],
    room: usize,
) -> (Vec<usize>, Vec<usize>) {
    let least = |kept: &[usize]| -> Vec<usize> {
        let least =
            |at: &usize| columns[*at].least(natural[*at]).max(floors[*at]).min(natural[*at]);
        kept.iter().map(least).collect()
    };
    let total =
        |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    while total(&least(&kept)) > room {
        let Some(next) = kept.iter().filter_map(|at| columns[*at].leaves).min() else { break };
        kept.retain(|at| columns[*at].leaves != Some(next));
    }
    let mut widths = least(&kept);
    let is = |place: usize, name: bool| match columns[kept[place]].kind {
        Kind::Name(_) => name,
        Kind::Prose => !name,
        Kind::Whole => false,
    };
    // What there is more goes to names first, a letter each in turn.
    for name in [true, false] {
        loop {
            let before = total(&widths);
            for place in 0..kept.len() {
                let wants = is(place, name) && widths[place] < natural[kept[place]];
                if wants && total(&widths) < room {
                    widths[place] += 1;
                }
            }
            if total(&widths) == before {
                break;
            }
        }
    }
    // What is too much comes off the widest.
    while total(&widths) > room {
        let places = (0..kept.len()).filter(|place| is(*place, true) || is(*place, false));
        let places = places.filter(|place| widths[*place] > floors[kept[*place]]);
        let Some(widest) = places.max_by_key(|place| widths[*place]) else { break };
        widths[widest] -= 1;
    }
    (kept, widths)
}

/// The most rows that a table lists: nobody reads more.
pub const MOST_ROWS: usize = 10_000;

/// What is said below a table that lists no more of so many tensors; `source` has all.
pub fn beyond(tensors: usize, source: &str) -> String {
    match tensors.checked_sub(MOST_ROWS) {
        None | Some(0) => String::new(),
        Some(more) => format!("and {} more: see {source}\n", counted(more, "tensor")),
    }
}

/// A number in six characters or so, for people: 0, 0.01998, 1.2e-7.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.001..100_000.0).contains(&size) => {
            let digits = (4 - size.log10().floor() as i32).clamp(0, 6) as usize;
            trimmed(&format!("{value:.digits$}"))
        }
        _ => format!("{value:.3e}"),
    }
}

/// A number without zeros at its end that say nothing.
pub fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text.into(),
    }
}

/// Memory for people, in powers of 1024: 128 MiB.
pub fn memory(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => (10, "KiB"),
        0x10_0000..0x4000_0000 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    let size = format!("{:.1}", bytes as f64 / (1u64 << unit) as f64);
    format!("{} {name}", size.strip_suffix(".0").unwrap_or(&size))
}

/// Bytes of files for people, in powers of 1000 as disks have them: 497.8 MB.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.2} GB", bytes as f64 / 1e9),
        _ => format!("{:.2} TB", bytes as f64 / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(letters).max().unwrap_or(0)
    }

    /// A table with a column of each kind.
    fn model(room: Option<usize>) -> String {
        let columns = vec![
            Column::name("tensor").at_least(20),
            Column::number("mean").leaves(2),
            Column::number("measured").leaves(2),
            Column::number("std"),
            Column::text("sha256").leaves(1),
        ];
        let rows = cells(&[
            &["model.layers.0.self_attn.q_proj.weight", "0", "-1.25e-5", "0.02", "0123456789ab"],
            &["model.layers.15.post_attention_layernorm.weight", "1", "1", "0", "ba9876543210"],
        ]);
        fitted(columns, rows, room)
    }

    #[test]
    fn columns_leave_in_their_order_and_numbers_stay_whole() {
        let whole = model(None);
        assert_eq!(whole.lines().count(), 3, "{whole}");
        assert!(whole.contains("post_attention_layernorm.weight  "), "{whole}");
        for room in 20..=100 {
            let text = model(Some(room));
            assert!(widest(&text) <= room, "{room}:\n{text}");
            // Where one has left, all before it have.
            let [means, digests] = ["-1.25e-5", "0123456789ab"].map(|cell| text.contains(cell));
            assert!(digests <= means, "{room}:\n{text}");
            assert!(text.contains("  0.02"), "{room}:\n{text}");
            assert_eq!(text.contains("(without"), !digests, "{room}:\n{text}");
        }
        let text = model(Some(40));
        assert!(text.contains("model.layers.0.s…ttn.q_proj.weight"), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.ends_with("(without mean, measured, sha256: see --json, or a wider terminal)")
        );
        // Names get what room there is before a column leaves, and are whole where there is enough.
        assert!(model(Some(90)).contains("model.layers.15.post_attention_layernorm.weight"));
    }

    #[test]
    fn prose_goes_on_in_the_next_line() {
        let columns = || vec![Column::text("name"), Column::prose("formula")];
        let formula = "the same cut at 2, with std / 0.8796 as the parent's (JAX, Keras)";
        let rows = cells(&[&["truncated", formula], &["zeros", "0"]]);
        let text = fitted(columns(), rows.clone(), Some(40));
        assert!(widest(&text) <= 40 && text.lines().count() > 4, "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(formula), "{text}");
        let whole = fitted(columns(), rows, None);
        assert_eq!(whole.lines().count(), 3, "{whole}");
    }

    #[test]
    fn memory_is_counted_in_powers_of_two_and_files_are_not() {
        let sizes = [1023, 2048, 134_217_728, 2_147_483_648, (1 << 31) - 4, 1_610_612_736];
        assert_eq!(sizes.map(memory), ["1023 B", "2 KiB", "128 MiB", "2 GiB", "2 GiB", "1.5 GiB"]);
        assert_eq!([999, 2000, 497_760_000].map(bytes), ["999 B", "2.0 kB", "497.8 MB"]);
    }

    #[test]
    fn cells_are_plain_and_as_wide_as_they_show() {
        let columns = vec![Column::name("name"), Column::number("n")];
        let rows = cells(&[&["漢字", "1"], &["a\u{1b}[31m", "2"]]);
        let text = fitted(columns, rows, Some(80));
        assert!(text.contains(r"a\u{1b}[31m"), "{text}");
        let ends: Vec<usize> = text.lines().map(letters).collect();
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}
