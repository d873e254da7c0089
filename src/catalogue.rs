//! Catalogues: nonlinearities, losses and optimizers, each stated in one [`Entry`], by which texts are
//! read, printed and explained.

use std::fmt;

use crate::{Error, Result};

/// More numbers than any entry takes.
const MOST: usize = 3;

/// An entry's numbers in its own order, 0 beyond them.
pub(crate) type Numbers = [f64; MOST];

/// What has a catalogue.
pub(crate) trait Listed: Copy + 'static {
    /// What errors call one.
    const KIND: &'static str;
    /// What there is to know of an entry beside how it is written.
    type Own;

    fn catalogue() -> &'static [Entry<Self>];

    /// Its place in the catalogue and its numbers; none where it is not in there.
    fn place(&self) -> Option<(usize, Numbers)>;
}

/// One of a catalogue.
pub(crate) struct Entry<T: Listed> {
    pub name: &'static str,
    /// Other frameworks' names for the same.
    pub aliases: &'static [&'static str],
    /// For help texts.
    pub formula: &'static str,
    /// The one that its name alone stands for: its numbers are the defaults.
    pub default: T,
    /// Which numbers may follow the name.
    pub takes: Option<Takes<T>>,
    pub own: T::Own,
}

/// Numbers that follow a name, after a colon, with commas between: `adam:0.9,0.95`.
pub(crate) struct Takes<T> {
    /// What errors call each; the last word, in capitals, is what help calls it.
    pub numbers: &'static [(&'static str, Range)],
    pub make: fn(Numbers) -> T,
}

/// What a number may be.
#[derive(Clone, Copy)]
pub(crate) enum Range {
    Finite,
    Positive,
    /// From 0 up, below 1.
    Share,
    /// Between 0 and 1, and neither.
    Inner,
}

impl Range {
    fn holds(self, number: f64) -> bool {
        match self {
            Range::Finite => number.is_finite(),
            Range::Positive => number > 0.0 && number.is_finite(),
            Range::Share => (0.0..1.0).contains(&number),
            Range::Inner => number > 0.0 && number < 1.0,
        }
    }

    fn needed(self) -> &'static str {
        match self {
            Range::Finite => "a finite number",
            Range::Positive => "a finite number above 0",
            Range::Share => "a number of 0 or more, below 1",
            Range::Inner => "a number of more than 0, below 1",
        }
    }
}

impl<T: Listed> Entry<T> {
    fn numbers(&self) -> &'static [(&'static str, Range)] {
        self.takes.as_ref().map_or(&[], |takes| takes.numbers)
    }

    /// `name`, or `name:FIRST,SECOND`.
    fn usage(&self) -> String {
        let names: Vec<String> =
            self.numbers().iter().map(|(name, _)| last(name).to_uppercase()).collect();
        if names.is_empty() {
            self.name.into()
        } else {
            format!("{}:{}", self.name, names.join(","))
        }
    }
}

fn last(name: &str) -> &str {
    name.rsplit(' ').next().unwrap_or(name)
}

/// The entries' own names, in their order; `N` is how many there are.
pub(crate) const fn names<T: Listed, const N: usize>(entries: &[Entry<T>]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < N {
        names[at] = entries[at].name;
        at += 1;
    }
    names
}

/// Each entry as its name alone has it; `N` is how many there are.
pub(crate) const fn defaults<T: Listed, const N: usize>(entries: &[Entry<T>]) -> [T; N] {
    let mut all = [entries[0].default; N];
    let mut at = 0;
    while at < N {
        all[at] = entries[at].default;
        at += 1;
    }
    all
}

/// How each entry is written, with the defaults of its numbers and its other names, and its formula.
pub(crate) fn help<T: Listed>() -> Vec<(String, String)> {
    let line = |entry: &Entry<T>| {
        let mut formula = entry.formula.to_owned();
        let numbers = entry.numbers();
        let (_, defaults) = entry.default.place().unwrap_or_default();
        if !numbers.is_empty() {
            let each = numbers.iter().zip(defaults);
            let each = each
                .map(|((name, _), default)| format!("{} = {default:?}", last(name).to_uppercase()));
            formula += &format!("; {}", each.collect::<Vec<_>>().join(", "));
        }
        if !entry.aliases.is_empty() {
            formula += &format!(" (also {})", entry.aliases.join(", "));
        }
        (entry.usage(), formula)
    };
    T::catalogue().iter().map(line).collect()
}

/// Reads `name` or `name:1,0.5`.
///
/// # Errors
/// [`Error::Invalid`] for a name that is not in the catalogue, and for a number too many or out of its
/// range.
pub(crate) fn read<T: Listed>(text: &str) -> Result<T> {
    let (name, given) = match text.split_once(':') {
        Some((name, given)) => (name, Some(given)),
        None => (text, None),
    };
    let entries = T::catalogue();
    let entry = entries
        .iter()
        .find(|entry| entry.name == name || entry.aliases.contains(&name))
        .ok_or_else(|| {
            let names = entries.iter().map(|entry| entry.name);
            let aliases = entries.iter().flat_map(|entry| entry.aliases.iter().copied());
            Error::unknown(T::KIND, name, names.chain(aliases))
        })?;
    let Some(given) = given else { return Ok(entry.default) };
    let what = format!("{} `{text}`", T::KIND);
    let Some(takes) = &entry.takes else {
        return Err(Error::invalid(what, given, format!("no parameter for {name}")));
    };
    let given: Vec<&str> = given.split(',').map(str::trim).collect();
    if given.len() > takes.numbers.len() {
        let names: Vec<&str> = takes.numbers.iter().map(|(name, _)| last(name)).collect();
        let needed = format!("at most {}: {}", names.len(), names.join(", "));
        return Err(Error::invalid(what, format!("{} numbers", given.len()), needed));
    }
    let (_, mut numbers) = entry.default.place().unwrap_or_default();
    for ((part, number), (name, range)) in given.into_iter().zip(&mut numbers).zip(takes.numbers) {
        // What is no number is in no range.
        *number = part.parse().unwrap_or(f64::NAN);
        if !range.holds(*number) {
            let part = if part.is_empty() { "nothing" } else { part };
            return Err(Error::invalid(format!("{what}: {name}"), part, range.needed()));
        }
    }
    Ok((takes.make)(numbers))
}

/// The form that [`read`] reads: the name, and its numbers where one is not the default.
pub(crate) fn write<T: Listed>(own: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((at, numbers)) = own.place() else { return Ok(()) };
    let entry = &T::catalogue()[at];
    if entry.default.place() == Some((at, numbers)) {
        return f.write_str(entry.name);
    }
    write_numbers(entry, &numbers, f)
}

/// The name and all numbers.
pub(crate) fn write_numbers<T: Listed>(
    entry: &Entry<T>,
    numbers: &Numbers,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str(entry.name)?;
    for (index, number) in numbers[..entry.numbers().len()].iter().enumerate() {
        write!(f, "{}{number}", if index == 0 { ":" } else { "," })?;
    }
    Ok(())
}

/// That each number is in its range.
///
/// # Errors
/// [`Error::Invalid`] naming the number.
pub(crate) fn check<T: Listed>(own: &T) -> Result<()> {
    let Some((at, numbers)) = own.place() else { return Ok(()) };
    for ((name, range), number) in T::catalogue()[at].numbers().iter().zip(numbers) {
        if !range.holds(number) {
            return Err(Error::invalid(*name, number, range.needed()));
        }
    }
    Ok(())
}
