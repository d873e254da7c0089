//! The crate's errors as Python's.

use std::error::Error as _;

use pyo3::PyErr;
use pyo3::exceptions::{
    PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};

use fanin::Error;

/// The exception that an error is: `ValueError` for what was given, `OSError` (`FileNotFoundError` and the
/// like) for files, `MemoryError` for want of room.
pub fn of(error: Error) -> PyErr {
    let message = error.to_string();
    match &error {
        Error::File { source, .. } => match source.raw_os_error() {
            // With its number it is the kind that the number has.
            Some(number) => PyOSError::new_err((number, message)),
            None => PyOSError::new_err(message),
        },
        Error::Exhausted { .. } => PyMemoryError::new_err(message),
        Error::Interrupted => PyKeyboardInterrupt::new_err(message),
        _ if error.is_usage() => PyValueError::new_err(message),
        _ => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            PyRuntimeError::new_err(message + &cause)
        }
    }
}

pub fn value(message: impl Into<String>) -> PyErr {
    PyValueError::new_err(message.into())
}
