//! Where in a text something stands.

use std::fmt::Display;
use std::sync::Arc;

use crate::Error;

/// A line and a column of a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: Arc<str>,
    line: usize,
    column: usize,
}

impl Place {
    /// The place of byte `offset` of `text`.
    pub(super) fn of(path: &Arc<str>, text: &str, offset: usize) -> Self {
        let before = text.char_indices().take_while(|(at, _)| *at < offset);
        let (line, column) = before.fold((1, 1), |(line, column), (_, char)| match char {
            '\n' => (line + 1, 1),
            _ => (line, column + 1),
        });
        Place { path: path.clone(), line, column }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// That what stands here is wrong.
    pub(super) fn error(&self, message: impl Display) -> Error {
        Error::Recipe {
            path: self.path.to_string(),
            line: self.line,
            column: self.column,
            message: message.to_string(),
        }
    }
}
