//! What is timed, and against what: the cases that `fanin bench` and the criterion benches share, and
//! the limits of the machine that they are held against.
//!
//! A [`Case`] knows how much it does ([`Work`]: units, bytes moved, floating-point operations) and
//! makes itself ready on a device ([`Case::prepare`]). A [`Gauge`] measures the device's [`Ceilings`]: the
//! most that it writes, reads, copies, multiplies and adds. What a case would take at the ceilings is its
//! [`Work::ideal`] time, after the roofline model (Williams, Waterman, Patterson, CACM 2009), and what
//! part of the measured time that is, its [`Work::share`].
//!
//! ```
//! use fanin::bench;
//! let case = bench::cases(true).into_iter().find(|case| case.op == "uniform").unwrap();
//! let mut timed = case.prepare(&fanin::Device::Cpu)?;
//! timed.once()?; // The first fill touches new memory: it is not one to go by.
//! assert!(timed.once()? > 0.0);
//! # Ok::<(), fanin::Error>(())
//! ```
#![doc = ""]
#![doc = include_str!("performance.md")]

mod cases;
mod gauge;
mod prepare;

pub use cases::{Case, cases};
pub use gauge::Gauge;
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
    /// Steps of training.
    Steps,
}

impl Unit {
    /// `elements/s`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Elements => "elements/s",
            Unit::Flops => "FLOP/s",
            Unit::Steps => "steps/s",
        }
    }
}

/// The most that a device was seen to do, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ceilings {
    /// Bytes written, nothing read.
    pub write: f64,
    /// Bytes read, nothing written.
    pub read: f64,
    /// Bytes read and written, as many of each.
    pub copy: f64,
    /// Floating-point operations in multiply-adds of registers.
    pub multiply_add: f64,
}

impl Ceilings {
    /// The higher of each.
    pub fn best(&self, other: &Ceilings) -> Ceilings {
        Ceilings {
            write: self.write.max(other.write),
            read: self.read.max(other.read),
            copy: self.copy.max(other.copy),
            multiply_add: self.multiply_add.max(other.multiply_add),
        }
    }
}

/// What the time of a case is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its bytes, at what memory moves.
    Memory,
    /// Its operations, at what registers do.
    MultiplyAdd,
    /// Nothing that was measured: its bytes fit into a cache, and came faster than memory's would.
    Cache,
    /// Nothing that was measured: its operations went through matrix units.
    MatrixUnits,
    /// Nothing: the machine did less while its ceilings were measured than it did for the case.
    Unsteady,
}

impl Limit {
    /// `memory`, `multiply_add`, `cache`, `matrix_units`, `unsteady`.
    pub fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory",
            Limit::MultiplyAdd => "multiply_add",
            Limit::Cache => "cache",
            Limit::MatrixUnits => "matrix_units",
            Limit::Unsteady => "unsteady",
        }
    }
}

/// What part of a time the ceilings account for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What the time is held against.
    pub limit: Limit,
    /// The part, at most 1; none where nothing that was measured is the limit.
    pub fraction: Option<f64>,
}

/// What a cache may hold, in bytes: half of the smallest stretch by which ceilings are measured.
const CACHED: u64 = 1 << 26;

/// What the same kernel may take less, from one time to the next.
const NOISE: f64 = 1.1;

impl Work {
    /// The seconds that it takes at the ceilings, and which of them is its limit: the longer of what its
    /// bytes and what its operations take; none where neither is (a file's drive is). Of its bytes as many
    /// as are both read and written go at the rate of copies, the rest at that of reads or writes.
    pub fn ideal(&self, ceilings: &Ceilings) -> Option<(f64, Limit)> {
        let time = |bytes: u64, rate: f64| if bytes == 0 { 0.0 } else { bytes as f64 / rate };
        let both = self.read.min(self.written);
        let bytes = time(2 * both, ceilings.copy)
            + time(self.read - both, ceilings.read)
            + time(self.written - both, ceilings.write);
        let flops = time(self.flops, ceilings.multiply_add);
        let (ideal, limit) = match bytes >= flops {
            true => (bytes, Limit::Memory),
            false => (flops, Limit::MultiplyAdd),
        };
        (ideal > 0.0 && ideal.is_finite()).then_some((ideal, limit))
    }

    /// What part of `seconds` the ceilings account for. There is no part above 1: what is faster than
    /// memory, and small enough, came from a cache, and else a case is itself the most that the device
    /// was seen to do, within noise.
    pub fn share(&self, ceilings: &Ceilings, seconds: f64) -> Option<Share> {
        let (ideal, limit) = self.ideal(ceilings)?;
        let fraction = ideal / seconds;
        let cached = limit == Limit::Memory && self.read + self.written <= CACHED;
        Some(match fraction {
            ..=1.0 => Share { limit, fraction: Some(fraction) },
            _ if cached => Share { limit: Limit::Cache, fraction: None },
            ..NOISE => Share { limit, fraction: Some(1.0) },
            _ => Share { limit: Limit::Unsteady, fraction: None },
        })
    }

    /// Operations a byte.
    pub fn intensity(&self) -> f64 {
        self.flops as f64 / (self.read + self.written) as f64
    }
}
