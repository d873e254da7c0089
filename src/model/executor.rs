use super::program::{Op, Phase, Slot, View};
use crate::random::{Distribution, Source, Stream};
use crate::recipe::TensorSpec;
use crate::{Histogram, Result, Summary};

/// What changes from step to step; `shaders/lib/step.wgsl` is its twin.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Step {
    /// Steps since the start: the counter of dropout.
    pub step: u32,
    /// Rows of the batch that hold examples.
    pub rows: u32,
    /// Where the batch starts in the order of examples.
    pub first: u32,
    /// Where its rows' losses go.
    pub slot: u32,
    pub lr: f32,
    pub correction1: f32,
    pub correction2: f32,
    /// 1 / rows.
    pub inverse: f32,
}

/// A row's loss, and how much of it was predicted right: of 1.
pub(crate) type RowResult = [f32; 2];

/// What carries a program out: a GPU, or the CPU.
pub(crate) trait Executor {
    /// `gpu` or `cpu`.
    fn name(&self) -> &'static str;

    /// The device, in words.
    fn device(&self) -> String;

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
    /// each step's from its `first` on. There may be as many of both as the executor has room for.
    ///
    /// With `keep`, the parameters and the optimizer's state are first kept as they are.
    fn run(&mut self, order: &[u32], steps: &[(Phase, Step)], keep: bool)
    -> Result<Vec<RowResult>>;

    /// Brings back what was kept.
    fn restore(&mut self) -> Result<()>;
}

/// Draws a tensor into its place, times a factor.
pub(crate) fn place(
    executor: &mut dyn Executor,
    view: View,
    stream: &Stream,
    spec: &TensorSpec,
    factor: f64,
) -> Result<()> {
    let mut values = match spec.source {
        Source::Elements(distribution) => {
            executor.fill(view, stream, &distribution)?;
            if factor == 1.0 {
                return Ok(());
            }
            executor.read(view)?
        }
        Source::Whole(whole) => whole.draw(stream)?,
    };
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
    executor.write(view.slot, view.first, &values)
}

/// What an executor has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Steps a submission.
    pub steps: usize,
    /// Rows a submission: a batch for each step.
    pub rows: usize,
}

/// The examples, which stay on the device.
pub(crate) struct Resident<'a> {
    pub features: &'a [f32],
    pub columns: usize,
    /// Class indices, or the bits of values.
    pub targets: &'a [u32],
    pub target_columns: usize,
}
