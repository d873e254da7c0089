//! The test suite: one binary, one file a subject.
