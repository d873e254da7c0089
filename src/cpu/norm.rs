use rayon::prelude::*;

use super::activation;
use crate::Activation;
use crate::product::Dropout;

/// The numbers of a layer norm.
pub(crate) struct Norm<'a> {
    pub scale: &'a [f32],
    pub shift: &'a [f32],
    pub epsilon: f32,
    pub activation: Activation,
    pub dropout: Option<Dropout>,
    /// The counter of dropout.
    pub step: u32,
}

impl Norm<'_> {
    fn kept(&self, row: usize, column: usize) -> f32 {
        let Some(dropout) = &self.dropout else { return 1.0 };
        let columns = self.scale.len() as u32;
        let words = dropout.words(columns, row as u32, column as u32 / 4, self.step);
        if words[column % 4] >= dropout.threshold() { dropout.scale() } else { 0.0 }
    }

    /// `out = dropout(f(scale x^ + shift)) + after`, `x^` the row with mean 0 and variance 1, which
    /// goes into `normalized`, with 1 / the row's standard deviation into `inverse`.
    pub(crate) fn forward(
        &self,
        values: &[f32],
        after: Option<&[f32]>,
        normalized: &mut [f32],
        inverse: &mut [f32],
        out: &mut [f32],
    ) {
        let columns = self.scale.len();
        let rows = values.par_chunks_exact(columns).zip(normalized.par_chunks_exact_mut(columns));
        let outs = inverse.par_iter_mut().zip(out.par_chunks_exact_mut(columns));
        rows.zip(outs).enumerate().for_each(|(row, ((values, normalized), (inverse, out)))| {
            let mean = values.iter().sum::<f32>() / columns as f32;
            let mut values = values.to_vec();
            let squares: f32 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            *inverse = 1.0 / (squares / columns as f32 + self.epsilon).sqrt();
            for column in 0..columns {
                let unit = (values[column] - mean) * *inverse;
                normalized[column] = unit;
                values[column] = self.scale[column] * unit + self.shift[column];
            }
            activation::stretch(self.activation, &values, out);
            if self.dropout.is_some() {
                (0..columns).for_each(|column| out[column] *= self.kept(row, column));
            }
            if let Some(after) = after {
                let after = &after[row * columns..][..columns];
                out.iter_mut().zip(after).for_each(|(out, after)| *out += after);
            }
        });
    }

    /// From the gradient of what came out to that of `scale x^ + shift` (`inner`) and that of the
    /// rows (`out`).
    pub(crate) fn backward(
        &self,
        gradient: &[f32],
        normalized: &[f32],
        inverse: &[f32],
        inner: &mut [f32],
        out: &mut [f32],
    ) {
        let columns = self.scale.len();
        let rows = gradient.par_chunks_exact(columns).zip(normalized.par_chunks_exact(columns));
        let outs = inner.par_chunks_exact_mut(columns).zip(out.par_chunks_exact_mut(columns));
        rows.zip(outs).enumerate().for_each(|(row, ((gradient, normalized), (inner, out)))| {
            let (mut mean, mut along) = (0.0f32, 0.0f32);
            let y: Vec<f32> = (0..columns)
                .map(|column| self.scale[column] * normalized[column] + self.shift[column])
                .collect();
            activation::stretch_backward(self.activation, &y, gradient, inner);
            for column in 0..columns {
                let unit = normalized[column];
                inner[column] *= self.kept(row, column);
                mean += inner[column] * self.scale[column];
                along += inner[column] * self.scale[column] * unit;
            }
            (mean, along) = (mean / columns as f32, along / columns as f32);
            for column in 0..columns {
                let own = inner[column] * self.scale[column];
                out[column] = inverse[row] * (own - mean - normalized[column] * along);
            }
        });
    }
}
