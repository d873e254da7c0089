use crate::Result;
use crate::op::{Histogram, Op, Phase, RowResult, Slot, Step, Summary, View};
use crate::random::{Distribution, Stream};

/// A program with its buffers on a device, which carries it out.
pub(crate) trait Execution {
    /// Dispatches (or calls) that a phase makes.
    fn dispatches(&self, phase: Phase) -> usize;

    /// Draws a stretch of a buffer.
    fn fill(&mut self, view: View, stream: &Stream, distribution: &Distribution) -> Result<()>;

    /// Writes a stretch of a buffer.
    fn write(&mut self, slot: Slot, first: usize, values: &[f32]) -> Result<()>;

    /// Reads a stretch of a buffer, after everything submitted.
    fn read(&mut self, view: View) -> Result<Vec<f32>>;

    /// Carries operations out in order: those of a network's layers, which need no step of training.
    fn carry(&mut self, ops: &[Op]) -> Result<()>;

    /// What a stretch of a buffer comes to, after everything submitted; reduced where it lies, so
    /// that its elements need not travel.
    fn summary(&mut self, view: View) -> Result<Summary>;

    /// How many elements of a stretch lie in each of `bins` bins between `low` and `high`, after
    /// everything submitted.
    fn histogram(&mut self, view: View, low: f32, high: f32, bins: usize) -> Result<Histogram>;

    /// Carries phases out one after the other, in one submission, and waits for their results: each
    /// step's from its `slot` on, with more behind them perhaps. `order` holds the examples' indices,
    /// each step's from its `first` on. There may be as many of both as there is room for.
    ///
    /// With `keep`, the parameters and the optimizer's state are first kept as they are.
    fn run(&mut self, order: &[u32], steps: &[(Phase, Step)], keep: bool)
    -> Result<Vec<RowResult>>;

    /// Brings back what was kept.
    fn restore(&mut self) -> Result<()>;
}

/// What an execution has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Steps a submission.
    pub steps: usize,
    /// Rows a submission: a batch for each step.
    pub rows: usize,
}
