//! The CPU engine: the same bits on all cores, in vector code chosen at run time.

mod engine;
mod fill;
mod moments;

pub use engine::CpuEngine;
pub use fill::{fill, instruction_set};
pub use moments::moments;
