//! The test suite: one binary, one file a subject.

mod recipe;
