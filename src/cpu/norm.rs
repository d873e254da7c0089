use rayon::prelude::*;

use super::widest::{sum, widest};
use super::{activation, matmul};
use crate::Activation;
use crate::op::Dropout;

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

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
    /// Rows a task.
    fn task(&self) -> usize {
        (TASK / self.scale.len()).max(1)
    }

    fn drop_out(&self, first: usize, rows: &mut [f32]) {
        if let Some(dropout) = &self.dropout {
            matmul::drop_out(rows, self.scale.len(), dropout, first, self.step);
        }
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
        let (task, area) = (self.task(), self.task() * self.scale.len());
        let rows = values.par_chunks(area).zip(normalized.par_chunks_mut(area));
        let outs = inverse.par_chunks_mut(task).zip(out.par_chunks_mut(area));
        rows.zip(outs).enumerate().for_each(|(index, ((values, normalized), (inverse, out)))| {
            normalize(self, values, normalized, inverse, out);
            activation::in_place(self.activation, out);
            self.drop_out(index * task, out);
            if let Some(after) = after {
                let after = &after[index * area..];
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
        let (task, area) = (self.task(), self.task() * self.scale.len());
        let rows = gradient.par_chunks(area).zip(normalized.par_chunks(area));
        let outs = inner.par_chunks_mut(area).zip(out.par_chunks_mut(area));
        let all = rows.zip(inverse.par_chunks(task)).zip(outs).enumerate();
        all.for_each(|(index, (((gradient, normalized), inverse), (inner, out)))| {
            scale_and_shift(self, normalized, out);
            activation::stretch_backward(self.activation, out, gradient, inner);
            self.drop_out(index * task, inner);
            differentiate(self, normalized, inverse, inner, out);
        });
    }
}

widest! {
    fn normalize(
        norm: &Norm<'_>,
        values: &[f32],
        normalized: &mut [f32],
        inverse: &mut [f32],
        out: &mut [f32],
    ) {
        let columns = norm.scale.len();
        let rows = values.chunks_exact(columns).zip(normalized.chunks_exact_mut(columns));
        let outs = inverse.iter_mut().zip(out.chunks_exact_mut(columns));
        for ((values, normalized), (inverse, out)) in rows.zip(outs) {
            let mean = sum([values], |[value]| value) / columns as f32;
            let squares = sum([values], |[value]| (value - mean) * (value - mean));
            *inverse = 1.0 / (squares / columns as f32 + norm.epsilon).sqrt();
            for (unit, value) in normalized.iter_mut().zip(values) {
                *unit = (value - mean) * *inverse;
            }
            transform(norm, normalized, out);
        }
    }
}

/// `out = scale x^ + shift` of a row.
#[inline(always)]
fn transform(norm: &Norm<'_>, normalized: &[f32], out: &mut [f32]) {
    let factors = norm.scale.iter().zip(norm.shift);
    for ((out, unit), (scale, shift)) in out.iter_mut().zip(normalized).zip(factors) {
        *out = scale * unit + shift;
    }
}

widest! {
    fn scale_and_shift(norm: &Norm<'_>, normalized: &[f32], out: &mut [f32]) {
        let columns = norm.scale.len();
        let rows = normalized.chunks_exact(columns).zip(out.chunks_exact_mut(columns));
        rows.for_each(|(normalized, out)| transform(norm, normalized, out));
    }
}

widest! {
    fn differentiate(
        norm: &Norm<'_>,
        normalized: &[f32],
        inverse: &[f32],
        inner: &[f32],
        out: &mut [f32],
    ) {
        let columns = norm.scale.len();
        let rows = normalized.chunks_exact(columns).zip(inner.chunks_exact(columns));
        for (((normalized, inner), inverse), out) in
            rows.zip(inverse).zip(out.chunks_exact_mut(columns))
        {
            let mean = sum([inner, norm.scale], |[inner, scale]| inner * scale) / columns as f32;
            let along =
                sum([inner, norm.scale, normalized], |[inner, scale, unit]| inner * scale * unit);
            let along = along / columns as f32;
            let parts = inner.iter().zip(norm.scale).zip(normalized);
            for (out, ((inner, scale), unit)) in out.iter_mut().zip(parts) {
                *out = inverse * (inner * scale - mean - unit * along);
            }
        }
    }
}
