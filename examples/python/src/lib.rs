//! What the Python package asks of the crate: numbers drawn into memory that Python owns, and recipes.

mod arguments;
mod draw;
mod failure;
mod recipe;
mod threads;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use fanin::init::{Init, catalogue};
use fanin::random::quantile::TABLE;
use fanin::random::{CONTRACT, Stream};

use arguments::{MOST, word};

#[pymodule]
mod _fanin {
    use super::*;

    #[pymodule_export]
    use super::{
        check_init,
        draw::{draw, sampler},
        initializers, quantile_table,
        recipe::Recipe,
        stream_id, words,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("CONTRACT", CONTRACT)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The quantile's table, 833 pairs of little-endian u32.
#[pyfunction]
fn quantile_table(py: Python<'_>) -> Bound<'_, PyBytes> {
    let bytes: Vec<u8> = TABLE.iter().flatten().flat_map(|entry| entry.to_le_bytes()).collect();
    PyBytes::new(py, &bytes)
}

/// The stream's id of a tensor's name: the first 8 bytes of SHA-256, little-endian.
#[pyfunction]
fn stream_id(name: &str) -> u64 {
    Stream::named(0, name).id
}

/// `count` words of stream `(seed, id)` from element `first` on, little-endian u32.
#[pyfunction]
fn words<'py>(
    py: Python<'py>,
    #[pyo3(from_py_with = word)] seed: u64,
    #[pyo3(from_py_with = word)] id: u64,
    #[pyo3(from_py_with = word)] first: u64,
    #[pyo3(from_py_with = word)] count: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let length = count.checked_mul(4).filter(|length| *length <= MOST);
    let length = length.ok_or_else(|| {
        failure::value(format!("count: got {count}, needed at most {}", MOST / 4))
    })?;
    let stream = Stream::new(seed, id);
    PyBytes::new_with(py, length as usize, |out| {
        py.detach(|| draw::words(&stream, first, out)).map_err(failure::of)
    })
}

/// That a text is an initializer's.
#[pyfunction]
fn check_init(text: &str) -> PyResult<()> {
    text.parse::<Init>().map(drop).map_err(failure::of)
}

/// `(name, other names, parameters, formula)` of every initializer.
#[pyfunction]
fn initializers() -> Vec<(&'static str, Vec<&'static str>, &'static str, &'static str)> {
    let entry = |entry: &fanin::init::Entry| {
        (entry.name, entry.aliases.to_vec(), entry.parameters, entry.formula)
    };
    catalogue().iter().map(entry).collect()
}
