//! Words for people: how wide they may be, in lines, shortened.
//!
//! `COLUMNS` says how wide, or else the terminal. Where there is neither, tables have all of their columns and
//! each message is one line, as scripts and logs want them, and paragraphs and charts are [`PAGE`] wide.

use console::{Term, measure_text_width};

/// Letters of a line where nothing says how many there may be.
const PAGE: usize = 80;

/// Letters of a line that are read with ease.
const READABLE: usize = 100;

/// Fewer letters hold nothing.
const LEAST: usize = 20;

/// How wide what goes to a terminal may be; none where nothing says.
fn room(term: &Term) -> Option<usize> {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let asked = asked.filter(|columns| *columns > 0);
    let seen = || term.size_checked().map(|(_, columns)| usize::from(columns));
    asked.or_else(seen).map(|columns| columns.max(LEAST))
}

/// How wide a table on stdout may be; none where it may be as wide as it is.
pub fn table_room() -> Option<usize> {
    room(&Term::stdout())
}

/// How wide a message on stderr may be; none where it is one line.
pub fn note_room() -> Option<usize> {
    room(&Term::stderr()).map(|columns| columns.min(READABLE))
}

/// How wide paragraphs and charts on stdout are.
pub fn page() -> usize {
    table_room().unwrap_or(PAGE).min(READABLE)
}

/// The cells of a terminal that a text takes.
pub fn letters(text: &str) -> usize {
    measure_text_width(text)
}

/// Pieces in lines of at most `width` letters; a piece that is longer has a line of its own.
pub fn wrap(
    pieces: impl IntoIterator<Item = String>,
    separator: &str,
    width: usize,
) -> Vec<String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for piece in pieces {
        let more = letters(&piece);
        match lines.last_mut() {
            Some((used, line)) if *used + separator.len() + more <= width => {
                *line += separator;
                *line += &piece;
                *used += separator.len() + more;
            }
            _ => lines.push((more, piece)),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Words in lines of at most `width` letters, after `first` on the first line and `rest` on the others.
pub fn paragraph(words: &str, first: &str, rest: &str, width: usize) -> String {
    let room = width.saturating_sub(letters(first).max(letters(rest)));
    let lines = wrap(words.split(' ').map(str::to_owned), " ", room);
    let line = |(at, line): (usize, &String)| {
        let line = format!("{}{line}", if at == 0 { first } else { rest });
        format!("{}\n", line.trim_end())
    };
    lines.iter().enumerate().map(line).collect()
}

/// A text in at most so many letters, without its middle: what tells names apart is at either end.
pub fn shortened(text: &str, most: usize) -> String {
    if letters(text) <= most {
        return text.to_owned();
    }
    let take = |chars: &mut dyn Iterator<Item = char>, most: usize| -> Vec<char> {
        let mut used = 0;
        let fits = |c: &char| {
            used += letters(c.encode_utf8(&mut [0; 4]));
            used <= most
        };
        chars.take_while(fits).collect()
    };
    let room = most.saturating_sub(1);
    let head = take(&mut text.chars(), room / 2);
    let tail = take(&mut text.chars().rev(), room - room / 2);
    head.into_iter().chain(['…']).chain(tail.into_iter().rev()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_ends() {
        let name = "model.layers.15.mlp.down_proj.weight";
        assert_eq!(shortened(name, 36), name);
        assert_eq!(shortened(name, 20), "model.lay…roj.weight");
        assert_eq!([0, 1, 2, 3].map(|most| shortened("abcdef", most)), ["", "…", "…f", "a…f"]);
        // A letter may be two cells wide, or have none of its own.
        for (text, most) in [("漢字漢字漢字", 6), ("e\u{301}e\u{301}e\u{301}e\u{301}", 3)] {
            assert!(letters(&shortened(text, most)) <= most, "{text}");
        }
    }

    #[test]
    fn lines_are_no_wider_than_they_may_be() {
        let words = "a bb ccc dddd eeeee ffffff";
        assert_eq!(paragraph(words, "", "", 8), "a bb ccc\ndddd\neeeee\nffffff\n");
        assert_eq!(
            paragraph(words, "1. ", "   ", 11),
            "1. a bb ccc\n   dddd\n   eeeee\n   ffffff\n"
        );
        // A longer word is not broken; colours take no room.
        assert_eq!(wrap(["abcdef".into(), "g".into()], " ", 3), ["abcdef", "g"]);
        let colored = ["\x1b[36mab\x1b[0m".to_owned(), "\x1b[36mcd\x1b[0m".to_owned()];
        assert_eq!(wrap(colored, " ", 5).len(), 1);
    }
}
