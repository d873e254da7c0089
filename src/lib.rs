//! One seed, the same weights on every GPU.
#![deny(missing_docs)]

mod activation;
mod error;
pub mod init;
pub mod random;
pub mod recipe;
mod shape;

pub use activation::Activation;
pub use error::{Error, Result};
pub use shape::{Layout, Shape};
