//! The test suite: one binary, one file a subject.

mod cli;
mod devices;
mod doors;
mod fill;
mod moments;
mod planner;
mod recipe;
mod shaders;
mod write;
