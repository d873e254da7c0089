//! The CPU engine: the same bits on all cores, in vector code chosen at run time.

mod activation;
mod columns;
mod dropout;
mod fill;
mod gather;
mod histogram;
mod lanes;
pub(crate) mod loss;
mod math;
mod matmul;
mod moments;
mod norm;
mod operand;
mod peak;
mod reduce;
mod rows;
mod threads;
pub(crate) mod update;
mod widest;

pub use activation::{activate, activate_backward};
pub use columns::{column_extremes, column_sums};
pub use dropout::dropout;
pub(crate) use fill::fill_here;
pub use fill::{fill, instruction_set};
pub use gather::gather;
pub use histogram::histogram;
pub use loss::{LossSlices, LossTargets, loss, squares};
pub use matmul::{Epilogue, epilogue, left_sums, map, matmul};
pub use moments::moments;
pub(crate) use moments::task_moments;
pub use norm::{Norm, norm, norm_backward};
pub(crate) use peak::{MULTIPLY_ADDS, multiply_add};
pub use reduce::summary;
pub use rows::row_sums;
pub use threads::start_threads;
pub use update::{UpdateSlices, clip, update};

/// The CPU in words: `2 threads, AVX-512`.
pub fn device() -> String {
    format!("{} threads, {}", rayon::current_num_threads(), instruction_set())
}
