//! The drawn numbers: (seed, id, element index, distribution) to bits, and nothing else.
//!
#![doc = include_str!("contract.md")]
//!
//! # In this crate
//!
//! [`CONTRACT`] is the version above. [`Distribution::draw`] is the definition, one element after another,
//! which the CPU's and the GPU's kernels are held to; nothing here names a device.

pub mod philox;
pub mod quantile;

mod dtype;
mod formula;
mod orthogonal;
mod rng;
mod runs;
mod sample;
mod slice;
mod stream;
mod table;
mod whole;

pub use dtype::{
    Dtype, bf16_from_f32, f8_e4m3_from_f32, f8_e5m2_from_f32, f16_from_f32, f32_from_f8_e4m3,
    f32_from_f8_e5m2, f32_from_f16, f64_from_f32,
};
pub use formula::{Formula, Table};
pub use rng::PhiloxRng;
pub(crate) use runs::Runs;
pub use sample::{Distribution, Kind, Sampler};
pub(crate) use sample::{check_end, check_run};
pub use slice::{Run, Slice};
pub use stream::Stream;
pub use whole::{ConvKernel, Source, Whole};
pub(crate) use whole::{NEVER, go_on, store};

/// The version of the drawn-number contract that this crate implements.
pub const CONTRACT: u32 = 1;
