use super::math::{
    cos, exp_negative, expm1_negative, log1p_unit, normal_below, normal_density, sigmoid,
    sigmoid_slope, sin, tanh,
};
use super::operand::as_many;
use super::rounding::{Rounding, by};
use super::widest::widest;
use crate::host::parallel::*;
use crate::op::Arithmetic;
use crate::{Activation, Result};

/// Elements a task: large enough to be worth a thread, small enough for its cache.
const TASK: usize = 1 << 14;

const SELU_RIGHT: f32 = 1.050_701;
const SELU_LEFT: f32 = 1.758_099_3;

/// `out = f(x)`, element by element in f32, `f` being the nonlinearity, on all threads of the current
/// rayon pool.
///
/// Off [`Activation::value`] by at most `1e-6 max(1, |f|)`; NaN of NaN; the limits at the infinities.
/// The sine rounds `omega x`, which is off by `2^-23 |omega x|` more where omega is not 1 (its
/// derivative by omega times all that); it keeps to this up to `|omega x| = 32768` and is some number
/// in -1..1 beyond. A custom nonlinearity is computed in f64 and rounded.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where the lengths differ.
pub fn activate(activation: Activation, x: &[f32], out: &mut [f32]) -> Result<()> {
    activate_by(Arithmetic::Native, activation, x, out)
}

pub(super) fn activate_by(
    arithmetic: Arithmetic,
    activation: Activation,
    x: &[f32],
    out: &mut [f32],
) -> Result<()> {
    as_many("out", out.len(), x.len(), "x")?;
    let work = by!(arithmetic, stretch);
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| work(activation, x, out));
    Ok(())
}

/// `dx = dy * f'(x)`, element by element: the gradient by what [`activate`] was given, from the
/// gradient by what it made. `f'` is as far off as `f`, the product rounded once more.
///
/// # Errors
/// As [`activate`].
pub fn activate_backward(
    activation: Activation,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<()> {
    activate_backward_by(Arithmetic::Native, activation, x, dy, dx)
}

pub(super) fn activate_backward_by(
    arithmetic: Arithmetic,
    activation: Activation,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Result<()> {
    as_many("dy", dy.len(), x.len(), "x")?;
    as_many("dx", dx.len(), x.len(), "x")?;
    let work = by!(arithmetic, stretch_backward);
    let operands = x.par_chunks(TASK).zip(dy.par_chunks(TASK));
    dx.par_chunks_mut(TASK).zip(operands).for_each(|(dx, (x, dy))| work(activation, x, dy, dx));
    Ok(())
}

/// `x = f(x)`, on one thread.
pub(super) fn in_place<R: Rounding>(activation: Activation, x: &mut [f32]) {
    if activation == Activation::Identity {
        return;
    }
    let mut before = [0.0; 512];
    for x in x.chunks_mut(before.len()) {
        let before = &mut before[..x.len()];
        before.copy_from_slice(x);
        stretch::<R>(activation, before, x);
    }
}

/// `dx = dx * f'(x)`, on one thread.
pub(super) fn in_place_backward<R: Rounding>(activation: Activation, x: &[f32], dx: &mut [f32]) {
    let mut before = [0.0; 512];
    for (x, dx) in x.chunks(before.len()).zip(dx.chunks_mut(before.len())) {
        let before = &mut before[..x.len()];
        before.copy_from_slice(dx);
        stretch_backward::<R>(activation, x, before, dx);
    }
}

widest! {
    /// A stretch on one thread: `out = f(x)`.
    fn stretch<R: Rounding>(activation: Activation, x: &[f32], out: &mut [f32]) {
        formula::<R>(activation, Values { x, out });
    }
}

widest! {
    /// A stretch on one thread: `dx = dy f'(x)`.
    pub(super) fn stretch_backward<R: Rounding>(
        activation: Activation,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) {
        formula::<R>(activation, Slopes { x, dy, dx });
    }
}

/// What is done with a nonlinearity's two functions.
trait With {
    fn with<R: Rounding>(self, value: impl Fn(f32) -> f32, slope: impl Fn(f32) -> f32);
}

/// `out = f(x)`.
struct Values<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl With for Values<'_> {
    #[inline(always)]
    fn with<R: Rounding>(self, value: impl Fn(f32) -> f32, _: impl Fn(f32) -> f32) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            let value = value(*x);
            // Comparisons and cuts would make numbers of NaN.
            *out = if x.is_nan() { *x } else { R::pin(value) };
        }
    }
}

/// `dx = dy f'(x)`.
struct Slopes<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl With for Slopes<'_> {
    #[inline(always)]
    fn with<R: Rounding>(self, _: impl Fn(f32) -> f32, slope: impl Fn(f32) -> f32) {
        for ((dx, x), dy) in self.dx.iter_mut().zip(self.x).zip(self.dy) {
            let slope = slope(*x);
            *dx = R::pin(dy * if x.is_nan() { *x } else { slope });
        }
    }
}

/// `x * part`, and 0 where the part is: an infinite `x` times a part that fell to 0.
#[inline(always)]
fn gate<R: Rounding>(x: f32, part: f32) -> f32 {
    if part == 0.0 { 0.0 } else { R::pin(x * part) }
}

/// Where every exponential has fallen to 0, so that no infinity meets that 0.
#[inline(always)]
fn cut_far(x: f32) -> f32 {
    x.clamp(-100.0, 100.0)
}

#[inline(always)]
fn elu<R: Rounding>(right: f32, left: f32, x: f32) -> f32 {
    if x < 0.0 { R::pin(left * expm1_negative::<R>(x.min(0.0))) } else { R::pin(right * x) }
}

#[inline(always)]
fn elu_slope<R: Rounding>(right: f32, left: f32, x: f32) -> f32 {
    if x > 0.0 { right } else { R::pin(left * exp_negative::<R>(x.min(0.0))) }
}

#[inline(always)]
fn hard_sigmoid<R: Rounding>(x: f32) -> f32 {
    R::pin(R::pin(x.clamp(-3.0, 3.0) + 3.0) / 6.0)
}

/// `(1 + tanh u) / 2` is the sigmoid of this, `2u`.
#[inline(always)]
fn gelu_argument<R: Rounding>(x: f32) -> f32 {
    let cut = x.clamp(-20.0, 20.0);
    let bent = R::mad(R::pin(0.044_715 * cut), cut, 1.0);
    R::pin(R::pin(1.595_769 * cut) * bent)
}

/// `omega * x`, which stays finite where `x` is.
#[inline(always)]
fn turn<R: Rounding>(omega: f32, x: f32) -> f32 {
    R::pin(omega * x).clamp(-3e38, 3e38)
}

#[inline(always)]
fn unless_infinite(x: f32, value: f32) -> f32 {
    if x.is_infinite() { f32::NAN } else { value }
}

/// Mish's gate `tanh(ln(1 + exp(x)))`, and its slope in `x`.
#[inline(always)]
fn mish_gate<R: Rounding>(x: f32) -> (f32, f32) {
    let (e, left) = (exp_negative::<R>(-x.abs()), x < 0.0);
    let twice = R::pin(2.0 * e);
    let rest = if left { R::pin(e * R::pin(e + 2.0)) } else { R::pin(twice * e) };
    let all = R::pin(rest + if left { 2.0 } else { R::pin(1.0 + twice) });
    let part = R::pin(rest / all);
    let gate = if left { part } else { R::pin(1.0 - part) };
    let steep = R::pin(R::pin(4.0 * e) * R::pin(1.0 + e));
    let steep = R::pin(steep * if left { 1.0 } else { e });
    (gate, R::pin(steep / R::pin(all * all)))
}

#[inline(always)]
fn step(inside: bool, slope: f32) -> f32 {
    if inside { slope } else { 0.0 }
}

/// Each nonlinearity and its derivative, of numbers.
#[inline(always)]
fn formula<R: Rounding>(activation: Activation, of: impl With) {
    let parameter = activation.parameter();
    match activation {
        Activation::Identity => of.with::<R>(|x| x, |_| 1.0),
        Activation::Sigmoid => of.with::<R>(sigmoid::<R>, sigmoid_slope::<R>),
        // 1 - tanh(x)^2 is 4 times the slope of the sigmoid at 2x.
        Activation::Tanh => {
            of.with::<R>(tanh::<R>, |x| R::pin(4.0 * sigmoid_slope::<R>(R::pin(2.0 * cut_far(x)))))
        }
        Activation::Relu => {
            of.with::<R>(|x| if x < 0.0 { 0.0 } else { x }, |x| step(x > 0.0, 1.0));
        }
        Activation::LeakyRelu { .. } => of.with::<R>(
            |x| if x < 0.0 { R::pin(parameter * x) } else { x },
            |x| if x > 0.0 { 1.0 } else { parameter },
        ),
        Activation::Elu { .. } => {
            of.with::<R>(|x| elu::<R>(1.0, parameter, x), |x| elu_slope::<R>(1.0, parameter, x))
        }
        Activation::Selu => of.with::<R>(
            |x| elu::<R>(SELU_RIGHT, SELU_LEFT, x),
            |x| elu_slope::<R>(SELU_RIGHT, SELU_LEFT, x),
        ),
        Activation::Gelu => of.with::<R>(
            |x| gate::<R>(x, normal_below::<R>(x)),
            |x| R::pin(normal_below::<R>(x) + R::pin(cut_far(x) * normal_density::<R>(x))),
        ),
        Activation::GeluTanh => of.with::<R>(
            |x| gate::<R>(x, sigmoid::<R>(gelu_argument::<R>(x))),
            |x| {
                let (argument, cut) = (gelu_argument::<R>(x), x.clamp(-20.0, 20.0));
                let slope = R::pin(1.595_769 * R::mad(R::pin(0.134_145 * cut), cut, 1.0));
                let bent = R::pin(R::pin(cut * slope) * sigmoid_slope::<R>(argument));
                R::pin(sigmoid::<R>(argument) + bent)
            },
        ),
        Activation::Silu => of.with::<R>(
            |x| gate::<R>(x, sigmoid::<R>(x)),
            |x| R::pin(sigmoid::<R>(x) + R::pin(cut_far(x) * sigmoid_slope::<R>(x))),
        ),
        Activation::Softplus => of.with::<R>(
            |x| R::pin(x.max(0.0) + log1p_unit::<R>(exp_negative::<R>(-x.abs()))),
            sigmoid::<R>,
        ),
        Activation::Softsign => of.with::<R>(
            |x| {
                let size = x.abs().min(1e30);
                let near = size < 1.0;
                let part = R::pin((if near { size } else { 1.0 }) / R::pin(1.0 + size));
                let value = if near { part } else { R::pin(1.0 - part) };
                if x < 0.0 { -value } else { value }
            },
            |x| {
                let inverse = R::pin(1.0 / R::pin(1.0 + x.abs().min(1e30)));
                R::pin(inverse * inverse)
            },
        ),
        Activation::Mish => of.with::<R>(
            |x| gate::<R>(x, mish_gate::<R>(x).0),
            |x| {
                let (gate, slope) = mish_gate::<R>(x);
                R::pin(gate + R::pin(cut_far(x) * slope))
            },
        ),
        Activation::HardTanh => {
            of.with::<R>(|x| x.clamp(-1.0, 1.0), |x| step(x.abs() < 1.0, 1.0));
        }
        Activation::HardSigmoid => {
            of.with::<R>(hard_sigmoid::<R>, |x| step(x.abs() < 3.0, 1.0 / 6.0));
        }
        Activation::HardSwish => of.with::<R>(
            |x| gate::<R>(x, hard_sigmoid::<R>(x)),
            |x| {
                let inner = R::pin(R::pin(x.clamp(-3.0, 3.0) / 3.0) + 0.5);
                if x >= 3.0 { 1.0 } else { step(x > -3.0, inner) }
            },
        ),
        Activation::Relu6 => {
            of.with::<R>(|x| x.clamp(0.0, 6.0), |x| step(x > 0.0 && x < 6.0, 1.0));
        }
        Activation::Sin { .. } => of.with::<R>(
            |x| unless_infinite(x, sin::<R>(turn::<R>(parameter, x))),
            |x| unless_infinite(x, R::pin(parameter * cos::<R>(turn::<R>(parameter, x)))),
        ),
        Activation::LogSigmoid => of.with::<R>(
            |x| R::pin(x.min(0.0) - log1p_unit::<R>(exp_negative::<R>(-x.abs()))),
            |x| sigmoid::<R>(-x),
        ),
        Activation::Custom(custom) => of.with::<R>(
            |x| (custom.value)(f64::from(x)) as f32,
            |x| (custom.derivative)(f64::from(x)) as f32,
        ),
    }
}
