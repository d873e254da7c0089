//! Networks that train: so far, their data.

pub mod data;
