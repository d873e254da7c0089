//! The CPU engine: the same bits on all cores, in vector code chosen at run time.

mod activation;
mod columns;
mod conv;
mod fill;
mod lanes;
pub(crate) mod loss;
mod math;
#[cfg(feature = "train")]
mod matmul;
mod moments;
#[cfg(feature = "train")]
mod norm;
mod peak;
mod pool;
mod reduce;
mod rows;
mod threads;
mod unfold;
pub(crate) mod update;
mod widest;
mod window;

pub use activation::{activate, activate_backward};
pub(crate) use columns::{column_extremes, column_sums};
pub use conv::{conv, conv_input, conv_weight};
pub(crate) use fill::fill_here;
pub use fill::{fill, instruction_set};
#[cfg(feature = "train")]
pub use matmul::{Epilogue, epilogue, left_sums, map, matmul};
pub use moments::moments;
pub(crate) use moments::task_moments;
#[cfg(feature = "train")]
pub(crate) use norm::Norm;
pub(crate) use peak::{MULTIPLY_ADDS, multiply_add};
pub use pool::{pool, pool_backward};
pub use reduce::{histogram, summary};
pub use rows::row_sums;
pub use threads::start_threads;
pub use unfold::{fold, unfold};

/// The CPU in words: `2 threads, AVX-512`.
pub fn device() -> String {
    format!("{} threads, {}", rayon::current_num_threads(), instruction_set())
}
