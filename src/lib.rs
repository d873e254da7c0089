//! One seed, the same weights on every GPU.
//!
//! fanin draws the initial weights of neural networks directly in GPU buffers (wgpu + WGSL). Every
//! sample is made from a counter by integer arithmetic alone, so a weight depends on nothing but
//! its seed, its tensor's name, its index and its distribution: not on the card, the driver, the
//! order of the tensors, or how many machines share the work.
//!
//! ```no_run
#![doc = include_str!("../examples/first.rs")]
//! ```
//!
//! # From a shape to a weight
//!
//! 1. A [`Shape`], read in a [`Layout`], has **fans**: how many inputs each output sums
//!    ([`init::Geometry`]).
//! 2. An initializer ([`init::Init`]: Xavier, He, ...) looks at the fans and the gain of the
//!    [`Activation`] and becomes a [`random::Distribution`] with one scale.
//! 3. A [`random::Stream`], the seed and the tensor's name, turns each element's index into a word,
//!    and the distribution turns the word into the element.
//! 4. [`gpu`] does this in buffers, [`cpu`] on all cores; [`Device`] is either.
//!    [`recipe`] does it for all tensors of a model, into safetensors files.
//! 5. [`model`] trains networks from these weights, on a GPU or on the CPU, and says which did not
//!    learn and why; its kernels are [`gpu::Pass`]'s and [`cpu`]'s.
//!
//! # Why the scale matters
//!
//! A layer `y = W x` with independent weights of variance `v` has `Var(y) = fan_in * v * E[x^2]`, so
//! a deep net multiplies its signal's variance by about `fan_in * v / gain^2` a layer, and its
//! gradient's by the same with `fan_out`. Above 1 they explode, below 1 they vanish, at 1 the net
//! trains: He's `v = 2 / fan_in` for ReLU, Glorot's `v = 2 / (fan_in + fan_out)` between the two.
//! All zeros keep every unit of a layer equal for good; biases may be zero, or small and positive.
//!
//! The [`guide`] goes through the theory step by step, each with a command and a picture.
//!
//! # What is exact and what is not
//!
//! Drawn numbers are exact: [`random`] has the contract, and [`verify`] holds a device to it.
//! Measured moments, products and whole training runs are sums of floats: the same from run to run
//! on one device, and close to f64 everywhere.
//!
//! # Features
//!
//! Without any, `default-features = false`: numbers drawn into GPU and CPU buffers, and every kernel of
//! GPUs ([`gpu`]) and what computes beside them on the CPU ([`cpu`]).
//!
//! | feature | what it adds |
//! |---|---|
//! | `tuning` | what `fanin bench --tune` found is read from the user's cache folder ([`gpu::Tuning`]) |
//! | `recipe` | [`recipe`] and [`file`](mod@file): a model's tensors, in and out of safetensors files |
//! | `train`, with `recipe` | [`model`], [`probe`], [`mod@bench`]: networks that train; products on the CPU ([`cpu::matmul`]) |
//! | `data`, with `train` | [`model::data::load()`]: examples from CSV, IDX, NumPy and safetensors files |
//! | `cli` (default), with all of these | the `fanin` command |
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What a browser gives stays in the thread that it was given to, and is counted as everywhere.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]
// What only a feature's code calls stands unused without it.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

mod activation;
mod catalogue;
pub mod cpu;
pub mod device;
mod error;
pub mod gpu;
pub mod guide;
mod host;
pub mod init;
mod memory;
pub mod op;
pub mod random;
pub mod shaders;
mod shape;
pub mod statistics;
pub mod theory;
pub mod verify;

#[cfg(any(feature = "recipe", feature = "tuning"))]
pub mod file;

#[cfg(feature = "recipe")]
pub mod recipe;

#[cfg(feature = "train")]
pub mod bench;
#[cfg(feature = "train")]
pub mod model;
#[cfg(feature = "train")]
pub mod probe;

pub use activation::{Activation, Custom};
pub use device::Device;
pub use error::{Error, Result, counted, plain};
pub use shape::{Layout, Shape};
pub use wgpu;
