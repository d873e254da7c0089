//! The CPU engine: the same bits on all cores, in vector code chosen at run time.

mod activation;
mod columns;
mod engine;
mod executor;
mod fill;
mod lanes;
mod loss;
mod math;
mod matmul;
mod moments;
mod norm;
mod peak;
mod reduce;
mod rows;
mod threads;
mod update;
mod widest;

pub use activation::{activate, activate_backward};
pub(crate) use columns::{column_extremes, column_sums};
pub use engine::CpuEngine;
pub(crate) use executor::CpuExecutor;
pub use fill::{fill, instruction_set};
pub use matmul::{Epilogue, epilogue, left_sums, matmul};
pub use moments::moments;
pub(crate) use peak::{MULTIPLY_ADDS, multiply_add};
pub use reduce::{histogram, summary};
pub use rows::row_sums;
pub use threads::start_threads;

/// The CPU in words: `2 threads, AVX-512`.
pub fn device() -> String {
    format!("{} threads, {}", rayon::current_num_threads(), instruction_set())
}
