//! Layer-sequential unit variance (LSUV): initial weights that fit the data.

use super::{Placed, Trainer};
use crate::op::{PARAMETERS, Phase};
use crate::{Error, Result, cpu};

/// One measurement on the way to unit variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LsuvStep {
    /// Whose outputs before the nonlinearity were measured: `layers.N`.
    pub layer: usize,
    /// How often the layer's weights had been corrected by then.
    pub iteration: u32,
    /// The variance that was found, over the batch's rows and the layer's units together.
    pub variance: f64,
    /// Whether it was within the tolerance: `|variance - 1| < tolerance`. Where a layer's last
    /// measurement was not, its iterations were used up.
    pub reached: bool,
}

impl Trainer {
    /// The measurements of layer-sequential unit variance, in the order in which they were made;
    /// none where no layer's weights ask for it.
    ///
    /// Layer after layer, from the first: the rows of the first step go forward, without dropout, and
    /// while `|Var(z_l) - 1| >= tolerance` and corrections are left, `W_l` becomes
    /// `W_l / sqrt(Var(z_l))` (Mishkin and Matas 2016, *All you need is a good init*). Without a bias
    /// one correction does; a bias, which is no part of `W_l`, takes more.
    pub fn lsuv_log(&self) -> &[LsuvStep] {
        &self.lsuv_log
    }

    /// Brings the layers that ask for it to unit variance.
    pub(super) fn run_lsuv(&mut self, tensors: &[Placed]) -> Result<()> {
        for Placed { stage, spec, lsuv, .. } in tensors {
            let Some((tolerance, iterations)) = *lsuv else { continue };
            for iteration in 0..=iterations {
                let variance = self.signal_variance(*stage)?;
                let reached = (variance - 1.0).abs() < tolerance;
                self.lsuv_log.push(LsuvStep { layer: *stage, iteration, variance, reached });
                if reached || iteration == iterations {
                    break;
                }
                self.scale(&spec.name, 1.0 / variance.sqrt())?;
            }
        }
        Ok(())
    }

    /// The variance of a layer's outputs before its nonlinearity, over the rows of the first step.
    fn signal_variance(&mut self, stage: usize) -> Result<f64> {
        let rows = self.rows_of(0);
        let step = self.block(0, rows.len(), 0.0);
        self.execution.run(&rows, &[(Phase::Evaluate, step)], false)?;
        let view = self.stages[stage].values;
        // A device adds up in an order of its own; the CPU in f64, in one that the length decides.
        let summary = match self.options.arithmetic.is_exact() {
            true => cpu::summary(&self.execution.read(view)?),
            false => self.execution.summary(view)?,
        };
        let name = self.stages[stage].name.clone();
        let what = || format!("LSUV's variance of {name}");
        if summary.nan + summary.infinite > 0 {
            let given = format!(
                "{} of {} signals infinite or not a number",
                summary.nan + summary.infinite,
                summary.count
            );
            let needed = "finite features (standardized ones are), and layers before it whose \
                          weights keep them so";
            return Err(Error::invalid(what(), given, needed));
        }
        // Below it, 1 / sqrt(variance) takes weights out of what f32 holds.
        if summary.variance < f64::from(f32::MIN_POSITIVE) {
            let needed = "signals that differ: features that are not all alike, more rows a batch, \
                          and layers before it that let some through (no zeros, no dead units)";
            return Err(Error::invalid(what(), summary.variance, needed));
        }
        Ok(summary.variance)
    }

    fn scale(&mut self, name: &str, factor: f64) -> Result<()> {
        let view = self.find(name)?.view(PARAMETERS);
        let mut values = self.execution.read(view)?;
        for value in &mut values {
            *value = (f64::from(*value) * factor) as f32;
        }
        self.write(view, &values)
    }
}
