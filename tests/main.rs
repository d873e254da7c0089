//! The test suite: one binary, one file a subject.

mod activation;
mod cli;
mod context;
mod devices;
mod doors;
mod fill;
mod init;
mod moments;
mod msrv;
mod planner;
mod quantile;
mod random;
mod readme;
mod recipe;
mod shaders;
mod statistics;
mod write;
