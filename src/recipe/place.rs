//! Where in a text something stands.

use std::fmt::{self, Display};
use std::sync::Arc;

use crate::Error;

/// A text, and the path that messages about it give.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// A byte of a text. Its line and column are looked for where a message gives them, as most never
/// do: counting is a walk through the text.
#[derive(Clone)]
pub(super) struct Place {
    source: Arc<Source>,
    offset: usize,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Arc<Self> {
        Arc::new(Source { path: path.into(), text: text.into() })
    }

    /// The place of byte `offset`.
    pub(super) fn place(self: &Arc<Self>, offset: usize) -> Place {
        Place { source: self.clone(), offset }
    }
}

impl Place {
    /// Line and column, from 1, the column in characters.
    fn line_and_column(&self) -> (usize, usize) {
        let before = self.source.text.char_indices().take_while(|(at, _)| *at < self.offset);
        before.fold((1, 1), |(line, column), (_, char)| match char {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        })
    }

    pub(super) fn line(&self) -> usize {
        self.line_and_column().0
    }

    /// That what stands here is wrong.
    pub(super) fn error(&self, message: impl Display) -> Error {
        let (line, column) = self.line_and_column();
        let path = self.source.path.clone();
        Error::Recipe { path, line, column, message: message.to_string() }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_and_column();
        write!(f, "{}:{line}:{column}", self.source.path)
    }
}
