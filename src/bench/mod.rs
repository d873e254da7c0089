//! What is timed, and against what: the cases that `fanin bench` and the criterion benches share, and
//! the limits of the machine that they are held against.
//!
//! A [`Case`] knows how much it does ([`Work`]: units, bytes moved, floating-point operations) and
//! makes itself ready on a device ([`Case::prepare`]). The same goes for the [`ceilings`]: the most
//! that the device writes, copies, multiplies and adds, measured as the cases are. What a case would
//! take at the ceilings is its [`Work::ideal`] time, after the roofline model (Williams, Waterman,
//! Patterson, CACM 2009).
//!
//! ```
//! use fanin::bench;
//! let case = bench::cases(true).into_iter().find(|case| case.op == "uniform").unwrap();
//! let mut timed = case.prepare(None)?; // The CPU engine.
//! timed.once()?; // The first fill touches new memory: it is not one to go by.
//! assert!(timed.once()? > 0.0);
//! # Ok::<(), fanin::Error>(())
//! ```
#![doc = ""]
#![doc = include_str!("performance.md")]

mod cases;
mod prepare;

pub use cases::{Case, cases, ceilings};
pub use prepare::Timed;

/// How much a case does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// What its throughput counts.
    pub amount: f64,
    /// Of what.
    pub unit: Unit,
    /// Bytes that have to be read, each once.
    pub read: u64,
    /// Bytes that have to be written, each once.
    pub written: u64,
    /// Floating-point operations of products; of other kernels bytes are the limit.
    pub flops: u64,
}

/// What a throughput counts, a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Elements of the largest operand.
    Elements,
    /// Floating-point operations.
    Flops,
    /// Bytes, read and written.
    Bytes,
    /// Steps of training.
    Steps,
}

impl Unit {
    /// `elements/s`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Elements => "elements/s",
            Unit::Flops => "FLOP/s",
            Unit::Bytes => "B/s",
            Unit::Steps => "steps/s",
        }
    }
}

/// The most that a device was seen to do, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Bytes written, nothing read.
    pub write: f64,
    /// Bytes read and written, as many of each.
    pub copy: f64,
    /// Floating-point operations in multiply-adds of registers.
    pub multiply_add: f64,
}

impl Ceilings {
    /// Takes what one of the [`ceilings`] came to.
    pub fn set(&mut self, op: &str, rate: f64) {
        match op {
            "write" => self.write = rate,
            "copy" => self.copy = rate,
            _ => self.multiply_add = rate,
        }
    }
}

impl Work {
    /// The seconds that it takes at the ceilings: the longer of what its bytes and what its operations
    /// take; none where neither is its limit (a file's drive is).
    pub fn ideal(&self, ceilings: &Ceilings) -> Option<f64> {
        let rate = if self.read == 0 { ceilings.write } else { ceilings.copy };
        let bytes = (self.read + self.written) as f64 / rate;
        let flops = self.flops as f64 / ceilings.multiply_add;
        let ideal = bytes.max(flops);
        (ideal > 0.0 && ideal.is_finite()).then_some(ideal)
    }

    /// Operations a byte.
    pub fn intensity(&self) -> f64 {
        self.flops as f64 / (self.read + self.written) as f64
    }
}
