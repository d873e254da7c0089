//! Kernels of the CPU: the same bits on all cores, in vector code chosen at run time.
//!
//! They have the names that [`Pass`](crate::gpu::Pass) and [`Context`](crate::gpu::Context) have for a GPU's,
//! and work on slices: matrices row by row, of as many rows or columns as a slice of vectors says.
//!
//! ```
//! use fanin::cpu;
//!
//! let mut sums = [0.0; 3];
//! cpu::column_sums(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], None, &mut sums)?;
//! assert_eq!(sums, [5.0, 7.0, 9.0]);
//! # Ok::<(), fanin::Error>(())
//! ```

mod activation;
mod columns;
mod conv;
mod dropout;
mod fill;
mod gather;
mod histogram;
mod kernels;
mod lanes;
mod loss;
mod math;
#[cfg(feature = "train")]
mod matmul;
mod moments;
mod norm;
mod operand;
mod peak;
mod pool;
mod reduce;
mod rounding;
mod rows;
mod slice;
mod threads;
mod unfold;
mod update;
mod widest;
mod window;

pub use activation::{activate, activate_backward};
pub use columns::{column_extremes, column_sums};
pub use conv::{conv, conv_input, conv_weight};
pub use dropout::dropout;
pub(crate) use fill::fill_here;
pub use fill::{fill, instruction_set};
pub use gather::gather;
pub use histogram::histogram;
pub use kernels::Kernels;
pub use loss::{LossSlices, LossTargets, loss, squares};
#[cfg(feature = "train")]
pub use matmul::{Epilogue, epilogue, left_sums, map, matmul};
pub use moments::moments;
pub(crate) use moments::task_moments;
pub use norm::{Norm, norm, norm_backward};
pub(crate) use peak::{MULTIPLY_ADDS, multiply_add};
pub use pool::{pool, pool_backward};
pub use reduce::summary;
pub use rows::row_sums;
pub use slice::fill_slice;
pub(crate) use slice::fill_slice_here;
pub use threads::start_threads;
pub use unfold::{fold, unfold};
pub use update::{UpdateSlices, clip, update};

/// The CPU in words: `2 threads, AVX-512`.
pub fn device() -> String {
    format!("{}, {}", crate::counted(crate::host::threads(), "thread"), instruction_set())
}
