//! Examples to learn from: generated, or read from files.
//!
//! [`load()`] takes a generated set's name ([`Generated`]) or a path and gives [`Loaded`]: a
//! [`Dataset`], the files' own test set where they have one, and the [`Task`]. What is generated,
//! split or shuffled follows from a seed alone, bit for bit, as the drawn weights do.

mod array;
mod column;
mod csv;
mod dataset;
mod digits;
mod generate;
mod idx;
mod load;
mod npy;
mod numbers;
mod safetensors;
mod shuffle;
mod standardize;

pub use dataset::{Dataset, Targets};
pub use generate::Generated;
pub use load::{LoadOptions, Loaded, Task, load};
pub use numbers::Numbers;
pub use shuffle::permutation;
pub use standardize::{Collapsed, Scale, Standardizer};
