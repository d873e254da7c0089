use super::operand::{as_many, matrix, rows};
use super::rounding::{Native, Rounding, by};
use super::widest::{sum_by, widest};
use super::{activation, dropout};
use crate::host::parallel::*;
use crate::op::{Arithmetic, Dropout, NORM_EPSILON};
use crate::{Activation, Result};

/// Elements a task, in whole rows.
const TASK: usize = 1 << 13;

/// A layer norm and what follows it; see [`norm`].
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// `[n]`: the factor of each column.
    pub scale: &'a [f32],
    /// `[n]`: what is added to each column.
    pub shift: &'a [f32],
    /// The nonlinearity `f`.
    pub activation: Activation,
    /// Dropout after it.
    pub dropout: Option<Dropout>,
}

/// `out = dropout(f(scale x^ + shift)) + after`, `x^ = (x - mean) / sqrt(variance + 1e-5)` of each row `x`
/// of `values`, as [`Pass::norm`](crate::gpu::Pass::norm) (Ba, Kiros, Hinton 2016); `step` is the counter
/// of dropout. `values`, `after` and `out` are `[m, n]`; so is `normalized`, which is left the rows `x^`,
/// and `inverse` is `[m]`, which is left 1 / their standard deviations: the way back reads them.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where a slice does not fit, or the dropout's probability is
/// off.
pub fn norm(
    norm: &Norm<'_>,
    step: u32,
    values: &[f32],
    after: Option<&[f32]>,
    normalized: &mut [f32],
    inverse: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    forward::<Native>(norm, step, values, after, normalized, inverse, out)
}

#[allow(clippy::too_many_arguments)] // Those of the operation, and the arithmetic.
pub(super) fn norm_by(
    arithmetic: Arithmetic,
    norm: &Norm<'_>,
    step: u32,
    values: &[f32],
    after: Option<&[f32]>,
    normalized: &mut [f32],
    inverse: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    let forward = by!(arithmetic, forward);
    forward(norm, step, values, after, normalized, inverse, out)
}

fn forward<R: Rounding>(
    norm: &Norm<'_>,
    step: u32,
    values: &[f32],
    after: Option<&[f32]>,
    normalized: &mut [f32],
    inverse: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    norm.check("values", values.len(), normalized.len(), inverse.len())?;
    if let Some(after) = after {
        as_many("after", after.len(), values.len(), "values")?;
    }
    as_many("out", out.len(), values.len(), "values")?;
    let (task, area) = norm.task();
    let rows = values.par_chunks(area).zip(normalized.par_chunks_mut(area));
    let outs = inverse.par_chunks_mut(task).zip(out.par_chunks_mut(area));
    rows.zip(outs).enumerate().for_each(|(index, ((values, normalized), (inverse, out)))| {
        normalize::<R>(norm, values, normalized, inverse, out);
        activation::in_place::<R>(norm.activation, out);
        norm.drop_out::<R>(index * task, step, out);
        if let Some(after) = after {
            let after = &after[index * area..];
            out.iter_mut().zip(after).for_each(|(out, after)| *out = R::pin(*out + after));
        }
    });
    Ok(())
}

/// From the gradient of what [`norm`] put out to those of `y = scale x^ + shift` (`inner`) and of the rows
/// (`out`): `inner = gradient dropout f'(y)` and, with `g = inner scale`,
/// `out = (g - mean(g) - x^ mean(g x^)) / sqrt(variance + 1e-5)`, as
/// [`Pass::norm_backward`](crate::gpu::Pass::norm_backward). The gradients of scale and shift are
/// [`column_sums`](super::column_sums) of `inner`, with `x^` for weights and without.
///
/// # Errors
/// As [`norm`].
pub fn norm_backward(
    norm: &Norm<'_>,
    step: u32,
    gradient: &[f32],
    normalized: &[f32],
    inverse: &[f32],
    inner: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    backward::<Native>(norm, step, gradient, normalized, inverse, inner, out)
}

#[allow(clippy::too_many_arguments)] // Those of the operation, and the arithmetic.
pub(super) fn norm_backward_by(
    arithmetic: Arithmetic,
    norm: &Norm<'_>,
    step: u32,
    gradient: &[f32],
    normalized: &[f32],
    inverse: &[f32],
    inner: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    let backward = by!(arithmetic, backward);
    backward(norm, step, gradient, normalized, inverse, inner, out)
}

fn backward<R: Rounding>(
    norm: &Norm<'_>,
    step: u32,
    gradient: &[f32],
    normalized: &[f32],
    inverse: &[f32],
    inner: &mut [f32],
    out: &mut [f32],
) -> Result<()> {
    norm.check("gradient", gradient.len(), normalized.len(), inverse.len())?;
    as_many("inner", inner.len(), gradient.len(), "gradient")?;
    as_many("out", out.len(), gradient.len(), "gradient")?;
    let (task, area) = norm.task();
    let rows = gradient.par_chunks(area).zip(normalized.par_chunks(area));
    let outs = inner.par_chunks_mut(area).zip(out.par_chunks_mut(area));
    let all = rows.zip(inverse.par_chunks(task)).zip(outs).enumerate();
    all.for_each(|(index, (((gradient, normalized), inverse), (inner, out)))| {
        scale_and_shift::<R>(norm, normalized, out);
        activation::stretch_backward::<R>(norm.activation, out, gradient, inner);
        norm.drop_out::<R>(index * task, step, inner);
        differentiate::<R>(norm, normalized, inverse, inner, out);
    });
    Ok(())
}

impl Norm<'_> {
    /// Rows a task, and their elements.
    fn task(&self) -> (usize, usize) {
        let columns = self.scale.len().max(1);
        let task = (TASK / columns).max(1);
        (task, task * columns)
    }

    fn drop_out<R: Rounding>(&self, first: usize, step: u32, rows: &mut [f32]) {
        if let Some(dropout) = &self.dropout {
            dropout::drop_out::<R>(rows, self.scale.len(), dropout, first, step);
        }
    }

    /// That a matrix of so many elements fits, and what is kept of it.
    fn check(&self, what: &str, elements: usize, normalized: usize, inverse: usize) -> Result<()> {
        let columns = self.scale.len();
        as_many("shift", self.shift.len(), columns, "scale")?;
        let rows = rows(what, elements, columns)?;
        matrix("normalized", normalized, [rows, columns])?;
        matrix("inverse", inverse, [1, rows])?;
        self.dropout.map_or(Ok(()), |dropout| dropout.check())
    }
}

widest! {
    fn normalize<R: Rounding>(
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
            let mean = mean_of::<R>(sum_by::<R, 1>([values], |[value]| value), columns);
            let squares = sum_by::<R, 1>([values], |[value]| {
                let deviation = R::pin(value - mean);
                R::pin(deviation * deviation)
            });
            let variance = R::pin(mean_of::<R>(squares, columns) + NORM_EPSILON);
            *inverse = R::pin(1.0 / R::pin(variance.sqrt()));
            for (unit, value) in normalized.iter_mut().zip(values) {
                *unit = R::pin(R::pin(value - mean) * *inverse);
            }
            transform::<R>(norm, normalized, out);
        }
    }
}

/// A sum's share of each column: the contract's a product with `f32(1 / columns)`.
#[inline(always)]
fn mean_of<R: Rounding>(sum: f32, columns: usize) -> f32 {
    if R::EXACT { R::pin(sum * (1.0 / columns as f32)) } else { sum / columns as f32 }
}

/// `out = scale x^ + shift` of a row.
#[inline(always)]
fn transform<R: Rounding>(norm: &Norm<'_>, normalized: &[f32], out: &mut [f32]) {
    let factors = norm.scale.iter().zip(norm.shift);
    for ((out, unit), (scale, shift)) in out.iter_mut().zip(normalized).zip(factors) {
        *out = R::mad(*scale, *unit, *shift);
    }
}

widest! {
    fn scale_and_shift<R: Rounding>(norm: &Norm<'_>, normalized: &[f32], out: &mut [f32]) {
        let columns = norm.scale.len();
        let rows = normalized.chunks_exact(columns).zip(out.chunks_exact_mut(columns));
        rows.for_each(|(normalized, out)| transform::<R>(norm, normalized, out));
    }
}

widest! {
    fn differentiate<R: Rounding>(
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
            let mean = sum_by::<R, 2>([inner, norm.scale], |[inner, scale]| R::pin(inner * scale));
            let along = sum_by::<R, 3>([inner, norm.scale, normalized], |[inner, scale, unit]| {
                R::pin(R::pin(inner * scale) * unit)
            });
            let [mean, along] = [mean, along].map(|sum| mean_of::<R>(sum, columns));
            let parts = inner.iter().zip(norm.scale).zip(normalized);
            for (out, ((inner, scale), unit)) in out.iter_mut().zip(parts) {
                let across = R::pin(R::pin(inner * scale) - mean);
                *out = R::pin(inverse * R::pin(across - R::pin(unit * along)));
            }
        }
    }
}
