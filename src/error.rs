//! The one error type: what was given, what was needed, and where.

use std::fmt::{self, Display, Write};
use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant a kind of mistake.
///
/// Each message names what was given, what was needed, and where, in one line that is [`plain`]; of what
/// is longer than two thousand characters the middle is left out. [`Error::is_usage`] parts the mistakes
/// of the caller (exit code 2 on the command line) from failures of the world (1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value outside what the operation accepts.
    #[error("{}: got {}, needed {}", said(what), said(given), said(needed))]
    Invalid {
        /// The argument, field or tensor in question.
        what: String,
        /// What was given.
        given: String,
        /// What would have been accepted.
        needed: String,
    },
    /// A name that is not in a list.
    #[error(
        "unknown {kind} `{}`{}; known: {}",
        said(given), said(nearest(given, known)), said(known.join(", "))
    )]
    Unknown {
        /// What sort of name it is: "recipe", "initializer", "device", ...
        kind: &'static str,
        /// The name that was given.
        given: String,
        /// Every name that exists.
        known: Vec<String>,
    },
    /// A recipe that does not parse or does not make sense.
    #[error("{}:{line}:{column}: {}", said(path), said(message))]
    Recipe {
        /// The recipe file, or `<built-in>` and the like.
        path: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A file of weights (or its index) that is truncated, corrupt or hostile.
    #[error("{}: not a usable safetensors file: {}", said(path.display()), said(message))]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An output that is there already.
    #[error("{} exists; give another name, or have it replaced", said(path.display()))]
    Exists {
        /// The file that would have been replaced.
        path: PathBuf,
    },
    /// An operation on a file failed.
    #[error("cannot {action} {}: {}", said(path.display()), said(source))]
    File {
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No adapter fits what was asked for.
    #[error(
        "no adapter for device `{}`; {}{}",
        said(given),
        said(present),
        how_to_get_an_adapter(present)
    )]
    NoAdapter {
        /// The device that was asked for.
        given: String,
        /// What there is instead, in words.
        present: String,
    },
    /// The device refused, failed, ran out of memory, hung or was lost.
    #[error("{}: {}", said(device), said(one_line(message)))]
    Device {
        /// The adapter's name and backend.
        device: String,
        /// What the driver or wgpu said.
        message: String,
    },
    /// The machine has no more of something: memory, threads.
    #[error("out of {resource}: {wanted} cannot be had")]
    Exhausted {
        /// `memory` or `threads`.
        resource: &'static str,
        /// How much was wanted, and for what.
        wanted: String,
    },
    /// The user asked to stop.
    #[error("interrupted; nothing was left under the final name")]
    Interrupted,
}

impl Error {
    /// Whether the caller gave something wrong (as against a file, disk or device that failed).
    ///
    /// The command line exits with 2 where this is true, with 1 otherwise.
    pub fn is_usage(&self) -> bool {
        !matches!(
            self,
            Error::File { .. }
                | Error::Device { .. }
                | Error::Exhausted { .. }
                | Error::Interrupted
        )
    }

    pub(crate) fn invalid(
        what: impl Into<String>,
        given: impl std::fmt::Display,
        needed: impl Into<String>,
    ) -> Self {
        Error::Invalid { what: what.into(), given: given.to_string(), needed: needed.into() }
    }

    pub(crate) fn unknown<S: Into<String>>(
        kind: &'static str,
        given: &str,
        known: impl IntoIterator<Item = S>,
    ) -> Self {
        Error::Unknown {
            kind,
            given: given.into(),
            known: known.into_iter().map(Into::into).collect(),
        }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Error::File { action, path: path.into(), source }
    }

    pub(crate) fn safetensors(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Error::Safetensors { path: path.into(), message: message.to_string() }
    }

    /// Puts a place in front of the message's subject: which tensor, which rule.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Error::Invalid { what, given, needed } => {
                Error::Invalid { what: format!("{place}: {what}"), given, needed }
            }
            other => other,
        }
    }
}

/// Text from outside, so that it shows and nothing more: what would drive a terminal, or make text look
/// other than it is, is escaped as in Rust (`\n`, `\u{1b}`).
///
/// These are the control characters (C0, DEL, C1), the separators of lines and paragraphs, the marks,
/// overrides and isolates of bidirectional text, and characters without width. Plain text stays as it
/// is.
///
/// ```
/// assert_eq!(fanin::plain("a\nb \u{1b}[31mred").to_string(), r"a\nb \u{1b}[31mred");
/// ```
pub fn plain(text: impl Display) -> impl Display {
    Plain(text)
}

/// So many of something, `1 layer`, `2 layers`, `3 classes`: the noun as it is for one.
///
/// ```
/// use fanin::counted;
/// assert_eq!([counted(1, "test row"), counted(0, "class")], ["1 test row", "0 classes"]);
/// ```
pub fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let ending = match count.as_str() {
        "1" => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}

/// What one message holds of one text, in characters.
const MOST: usize = 2000;

/// [`plain`], and not without end: what matters stands at either end of a long one.
fn said(text: impl Display) -> String {
    let text = plain(text).to_string();
    let letters = text.chars().count();
    if letters <= MOST {
        return text;
    }
    let head = text.chars().take(MOST / 2);
    head.chain(['…']).chain(text.chars().skip(letters - MOST / 2)).collect()
}

struct Plain<T>(T);

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match misleads(c) {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// Drivers say what they say in several.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Names that are longer were not mistyped; likeness takes time and memory by both lengths.
const MOST_ALIKE: usize = 64;

/// How many names a message offers at most.
const MOST_OFFERED: usize = 4;

/// `" (nearest: he_normal)"` where one known name is close enough to be meant, be it in other letters;
/// `" (which one: he_uniform, he_normal)"` where several begin with what was given.
fn nearest(given: &str, known: &[String]) -> String {
    if given.len() > MOST_ALIKE {
        return String::new();
    }
    let given = given.to_ascii_lowercase();
    let kinds = known.iter().filter(|name| {
        name.strip_prefix(given.as_str()).is_some_and(|rest| rest.starts_with(['_', '-']))
    });
    let kinds: Vec<&str> = kinds.map(String::as_str).take(MOST_OFFERED).collect();
    if kinds.len() > 1 && !given.is_empty() {
        return format!(" (which one: {})", kinds.join(", "));
    }
    known
        .iter()
        .filter(|name| name.len() <= MOST_ALIKE)
        .map(|name| {
            (strsim::normalized_damerau_levenshtein(&given, &name.to_ascii_lowercase()), name)
        })
        .filter(|(likeness, _)| *likeness >= 0.5)
        // Of equals the first: entries stand before their other names.
        .rev()
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!(" (nearest: {name})"))
        .unwrap_or_default()
}

fn how_to_get_an_adapter(present: &str) -> &'static str {
    if !present.starts_with("none") {
        ""
    } else if cfg!(target_arch = "wasm32") {
        ". Take a browser that has WebGPU, on a machine where it is not switched off, or use the CPU"
    } else {
        ". Install a GPU's Vulkan driver, or Mesa's software one \
         (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1), or use the CPU"
    }
}
