//! One seed, the same weights on every GPU.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod activation;
pub mod cpu;
mod engine;
mod error;
pub mod gpu;
pub mod init;
mod moments;
pub mod random;
pub mod shaders;
pub mod recipe;
mod shape;

pub use activation::Activation;
pub use engine::{Engine, Piece, Sink};
pub use error::{Error, Result};
pub use moments::Moments;
pub use shape::{Layout, Shape};
pub use wgpu;
