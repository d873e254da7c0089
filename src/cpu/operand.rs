//! What the kernels ask of the slices that they are given.

use crate::{Error, Result, counted};

/// # Errors
/// [`Error::Invalid`] where a matrix of these rows and columns has not so many elements.
pub(super) fn matrix(what: &str, length: usize, [rows, columns]: [usize; 2]) -> Result<()> {
    if rows.checked_mul(columns) == Some(length) {
        return Ok(());
    }
    Err(Error::invalid(what, elements(length), format!("{rows} x {columns}")))
}

/// How many columns a matrix of so many rows has; 0 where it has no rows.
///
/// # Errors
/// [`Error::Invalid`] where rows are not whole.
pub(super) fn columns(what: &str, length: usize, rows: usize) -> Result<usize> {
    if !length.is_multiple_of(rows) {
        let needed = format!("as many for each of {}", counted(rows, "row"));
        return Err(Error::invalid(what, elements(length), needed));
    }
    Ok(length.checked_div(rows).unwrap_or(0))
}

/// How many rows a matrix of so many columns has; 0 where it has no columns.
///
/// # Errors
/// [`Error::Invalid`] where rows are not whole.
pub(super) fn rows(what: &str, length: usize, columns: usize) -> Result<usize> {
    if !length.is_multiple_of(columns) {
        let needed = format!("whole rows of {columns}");
        return Err(Error::invalid(what, elements(length), needed));
    }
    Ok(length.checked_div(columns).unwrap_or(0))
}

/// # Errors
/// [`Error::Invalid`] where a slice has not as many elements as another, `of`.
pub(super) fn as_many(what: &str, length: usize, wanted: usize, of: &str) -> Result<()> {
    if length == wanted {
        return Ok(());
    }
    Err(Error::invalid(what, elements(length), format!("{wanted}, as {of}")))
}

fn elements(length: usize) -> String {
    counted(length, "element")
}
