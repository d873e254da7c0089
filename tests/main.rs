//! The test suite: one binary, one file a subject.

mod cli;
mod devices;
mod doors;
mod fill;
mod init;
mod moments;
mod planner;
mod quantile;
mod random;
mod readme;
mod recipe;
mod shaders;
mod statistics;
mod write;
