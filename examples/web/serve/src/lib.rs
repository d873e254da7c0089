//! The page: built into a folder, and served to this machine.

mod build;
mod http;

pub use build::{Built, build};
pub use http::Server;
