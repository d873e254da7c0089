//! Memory and threads that the machine may not have.

use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::{Error, Result};

/// Room for `length` values.
///
/// # Errors
/// [`Error::Exhausted`] where there is no memory for them.
pub(crate) fn reserved<T>(what: &str, length: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match values.try_reserve_exact(length) {
        Ok(()) => Ok(values),
        Err(_) => Err(exhausted::<T>(what, length)),
    }
}

fn exhausted<T>(what: &str, length: usize) -> Error {
    let bytes = length as u128 * size_of::<T>() as u128;
    Error::Exhausted { resource: "memory", wanted: format!("{bytes} bytes for {what}") }
}

/// Room for `more` values behind those that are there.
///
/// # Errors
/// As [`reserved`].
pub(crate) fn more<T>(what: &str, values: &mut Vec<T>, more: usize) -> Result<()> {
    values.try_reserve(more).map_err(|_| exhausted::<T>(what, values.len() + more))
}

/// `length` times a value.
///
/// # Errors
/// As [`reserved`].
pub(crate) fn filled<T: Clone>(what: &str, length: usize, value: T) -> Result<Vec<T>> {
    let mut values = reserved(what, length)?;
    values.resize(length, value);
    Ok(values)
}

/// A copy.
///
/// # Errors
/// As [`reserved`].
pub(crate) fn copied<T: Copy>(what: &str, values: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(what, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// A thread of a scope.
///
/// # Errors
/// [`Error::Exhausted`] where the system starts no more.
pub(crate) fn start<'scope, T: Send + 'scope>(
    what: &str,
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).map_err(|error| Error::Exhausted {
        resource: "threads",
        wanted: format!("one for {what} ({error})"),
    })
}
