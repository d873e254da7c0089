//! Memory and threads that the machine may not have.

use std::io::{Error as IoError, ErrorKind};
use std::sync::mpsc::{self, Receiver};
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

/// What is to be left where a thread starts: its stack, and what the C library and Rust's own allocate
/// beside it, which abort where they cannot.
#[cfg(target_os = "linux")]
const ROOM: u64 = 4 << 20;

/// Room for a thread that starts.
///
/// # Errors
/// Where its stack would fit into the memory that the process may have, and what it allocates before
/// anyone could say so would not.
pub(crate) fn thread() -> Result<Builder, IoError> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, getrlimit};
        if let Some(most) = getrlimit(Resource::As).current {
            // In pages, the first of several.
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let pages = pages.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
            let taken = rustix::param::page_size() as u64 * pages;
            if most.saturating_sub(taken) < ROOM {
                return Err(IoError::from(ErrorKind::OutOfMemory));
            }
        }
    }
    Ok(Builder::new())
}

/// A thread's work, and what hears that it has begun: until then nobody else is to take the room that
/// was there for it.
pub(crate) fn announced<T>(work: impl FnOnce() -> T) -> (impl FnOnce() -> T, Receiver<()>) {
    let (here, begun) = mpsc::channel();
    let announce = move || {
        let _ = here.send(());
        work()
    };
    (announce, begun)
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
    let (work, begun) = announced(work);
    let started = thread().and_then(|thread| thread.spawn_scoped(scope, work));
    let _ = begun.recv();
    started.map_err(|error| Error::Exhausted {
        resource: "threads",
        wanted: format!("one for {what} ({error})"),
    })
}
