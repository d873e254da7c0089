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
pub mod recipe;
pub mod shaders;
mod shape;
pub mod statistics;
pub mod verify;

pub use activation::Activation;
pub use engine::{Engine, Piece, Sink, open_engine};
pub use error::{Error, Result};
pub use moments::Moments;
pub use shape::{Layout, Shape};
pub use wgpu;
