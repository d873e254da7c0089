//! Networks that train: layers, losses, optimizers, data.
//!
//! ```no_run
//! use fanin::Device;
//! use fanin::model::data::Generated;
//! use fanin::model::{Mlp, TrainOptions, Trainer};
//!
//! let (train, test) = Generated::Spirals.generate(7, None)?.split(7, 0.2)?;
//! let mlp = Mlp::new([2, 64, 64, 3])?;
//! let mut trainer = Trainer::new(&Device::Cpu, &mlp, &TrainOptions::default(), &train, Some(&test))?;
//! while let Some(epoch) = trainer.epoch()? {
//!     println!("{:4} {:.4}", epoch.epoch, epoch.train.loss);
//! }
//! # Ok::<(), fanin::Error>(())
//! ```
//!
//! A [`Network`] is an input shape and named [`layers`]; [`Mlp`] makes perceptrons, and
//! [`Network::parse`] reads networks as they are written. [`Trainer::save`] writes a checkpoint, from which
//! [`Trainer::resume`] goes on and a [`Model`] on a device, a [`Predictor`], predicts.
//!
//! A step is a fixed list of operations (gather the batch's rows, forward, loss, backward, update)
//! that is made ready once; steps go to the device several at a time, each with a block of numbers of
//! its own (learning rate, where its rows are), and the losses come back when they are done.
//!
//! On a GPU a step of a plain perceptron of L layers makes 3 L + 2 dispatches, and one more for each product
//! whose depth is shared out over workgroups; a submission holds 8 steps at least. Clipping adds 2
//! dispatches, layer norm 4 a hidden layer (6 for batches of more than 512 rows), a set larger than a
//! binding one for each further run, and muP 2 L - 2 at most.

mod checkpoint;
pub mod data;
mod diagnosis;
mod document;
pub mod layers;
mod lsuv;
mod mlp;
mod network;
mod options;
mod place;
mod predictor;
mod program;
mod schedule;
mod score;
mod tape;
mod targets;
mod trainer;

pub use crate::op::{Adam, Loss, Optimizer, RmsProp, Target};
pub use diagnosis::Outcome;
pub use lsuv::LsuvStep;
pub use mlp::Mlp;
pub use network::{CustomInit, Network};
pub(crate) use network::{Event, Placed};
pub use options::TrainOptions;
pub(crate) use place::place;
pub use predictor::{Model, Predictions, Predictor, arguments};
pub use program::Parameter;
pub(crate) use program::{Aim, Training};
pub use schedule::{Decay, Schedule};
pub use score::{Epoch, Score};
pub(crate) use tape::{Memory, Wired};
pub use tape::{Signal, Tape};
pub use trainer::Trainer;
