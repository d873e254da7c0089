//! The one error type: what was given, what was needed, and where.

use std::path::PathBuf;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, one variant a kind of mistake.
///
/// Each message names what was given, what was needed, and where. [`Error::is_usage`] parts the
/// mistakes of the caller (exit code 2 on the command line) from failures of the world (1).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value outside what the operation accepts.
    #[error("{what}: got {given}, needed {needed}")]
    Invalid {
        /// The argument, field or tensor in question.
        what: String,
        /// What was given.
        given: String,
        /// What would have been accepted.
        needed: String,
    },
    /// A name that is not in a list.
    #[error("unknown {kind} `{given}`{}; known: {}", nearest(given, known), known.join(", "))]
    Unknown {
        /// What sort of name it is: "recipe", "initializer", "device", ...
        kind: &'static str,
        /// The name that was given.
        given: String,
        /// Every name that exists.
        known: Vec<String>,
    },
    /// A recipe that does not parse or does not make sense.
    #[error("{path}:{line}:{column}: {message}")]
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
    #[error("{}: not a usable safetensors file: {message}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An output that is there already.
    #[error("{} exists; give another name, or --force to replace it", path.display())]
    Exists {
        /// The file that would have been replaced.
        path: PathBuf,
    },
    /// An operation on a file failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No adapter fits what was asked for.
    #[error("no adapter for device `{given}`; {present}{}", how_to_get_an_adapter(present))]
    NoAdapter {
        /// The device that was asked for.
        given: String,
        /// What there is instead, in words.
        present: String,
    },
    /// The device refused, failed, ran out of memory, hung or was lost.
    #[error("{device}: {message}")]
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

/// `" (nearest: he_normal)"` where one known name is close enough to be meant.
fn nearest(given: &str, known: &[String]) -> String {
    known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(given, name), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!(" (nearest: {name})"))
        .unwrap_or_default()
}

fn how_to_get_an_adapter(present: &str) -> &'static str {
    if present.starts_with("none") {
        ". Install a GPU's Vulkan driver, or Mesa's software one \
         (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1), or use --device cpu"
    } else {
        ""
    }
}
