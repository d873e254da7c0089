//! Kernels of GPUs: that draw into GPU buffers.
//!
//! There are three doors:
//!
//! 1. Nothing of your own: [`Context::new`], [`Tensor::new`], [`Context::run`].
//! 2. Your own device, buffers and encoder: [`Context::from_device`], [`Tensor::from_buffer`],
//!    [`Pass::new`] over your compute pass. We record, you submit.
//! 3. The WGSL itself: [`crate::shaders`].
//!
//! ```no_run
//! use fanin::gpu::{Context, Tensor};
//! use fanin::random::{Dtype, Stream};
//! use fanin::{Layout, Shape, init::Init};
//!
//! let context = Context::new()?;
//! let shape = Shape::new([512, 784])?;
//! let he: Init = "he_normal".parse()?;
//! let distribution = he.distribution(&shape, &Layout::OutIn.into())?;
//! let weight = Tensor::new(&context, shape, Dtype::F32)?;
//! context.run(|pass| pass.fill(&weight, &Stream::named(7, "layers.0.weight"), &distribution))?;
//! let bytes = context.read(&weight)?;
//! # Ok::<(), fanin::Error>(())
//! ```

mod activation;
mod adapter;
pub(crate) mod columns;
mod context;
pub(crate) mod conv;
mod cooperative;
mod dropout;
mod fill;
pub(crate) mod gather;
mod histogram;
pub(crate) mod loss;
pub(crate) mod matmul;
mod norm;
mod operand;
mod owner;
mod pass;
mod peak;
pub mod planner;
pub(crate) mod pool;
pub(crate) mod reduce;
mod route;
mod rows;
mod shared;
mod slice;
mod tensor;
mod tune;
mod tuning;
mod turn;
pub(crate) mod unfold;
pub(crate) mod update;
mod window;

pub use adapter::{AdapterSummary, Choice, adapters, withheld};
pub use context::{Context, ContextOptions};
#[doc(hidden)]
pub use context::{Event, Stretch, Trace, TracedDispatch};
pub(crate) use context::{Mapping, UNIFORM_STRIDE};
pub use loss::LossTensors;
pub use matmul::Epilogue;
pub use norm::NormTensors;
pub(crate) use pass::Dispatch;
pub use pass::Pass;
pub(crate) use peak::{FLOPS_OF_INVOCATION, STREAM_STEP, Streams, WRITTEN};
pub use route::{Hardware, Route, Way};
pub use tensor::Tensor;
pub use tune::Trial;
pub use tuning::{FillShape, Tuning};
pub(crate) use turn::Buffer;
pub use update::UpdateTensors;
