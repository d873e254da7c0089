//! Examples to learn from: generated, or read from files.
//!
//! [`load()`] takes a generated set's name ([`Generated`]) or a path and gives [`Loaded`]: a
//! [`Dataset`], the files' own test set where they have one, the [`Task`], and the [`Preparation`] that takes
//! other rows of the same kind to a trained network ([`rows()`]). What is generated, split or shuffled follows
//! from a seed alone, bit for bit, as the drawn weights do.

mod dataset;
mod digits;
mod generate;
mod numbers;
mod preparation;
mod shuffle;
mod standardize;

#[cfg(feature = "data")]
mod array;
#[cfg(feature = "data")]
mod column;
#[cfg(feature = "data")]
mod csv;
#[cfg(feature = "data")]
mod idx;
#[cfg(feature = "data")]
mod load;
#[cfg(feature = "data")]
mod npy;
#[cfg(feature = "data")]
mod safetensors;

pub use dataset::{Dataset, Targets};
pub use generate::Generated;
#[cfg(feature = "data")]
pub use load::{LoadOptions, Loaded, Rows, RowsOptions, Task, load, rows};
pub use numbers::Numbers;
pub use preparation::{Encoding, Feature, Missing, Predicted, Preparation};
pub use shuffle::permutation;
pub use standardize::{Collapsed, Scale, Standardizer};
