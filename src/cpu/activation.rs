use rayon::prelude::*;

use super::math::{
    cos, exp_negative, expm1_negative, log1p_unit, normal_below, normal_density, sigmoid,
    sigmoid_slope, sin, tanh,
};
use super::widest::widest;
use crate::{Activation, Error, Result};

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
/// [`Error::Invalid`] where the lengths differ.
pub fn activate(activation: Activation, x: &[f32], out: &mut [f32]) -> Result<()> {
    same_length("out", x, out)?;
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| {
        stretch(activation, x, out);
    });
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
    same_length("dy", x, dy)?;
    same_length("dx", x, dx)?;
    let operands = x.par_chunks(TASK).zip(dy.par_chunks(TASK));
    dx.par_chunks_mut(TASK).zip(operands).for_each(|(dx, (x, dy))| {
        stretch_backward(activation, x, dy, dx);
    });
    Ok(())
}

/// `x = f(x)`, on one thread.
pub(super) fn in_place(activation: Activation, x: &mut [f32]) {
    if activation == Activation::Identity {
        return;
    }
    let mut before = [0.0; 512];
    for x in x.chunks_mut(before.len()) {
        let before = &mut before[..x.len()];
        before.copy_from_slice(x);
        stretch(activation, before, x);
    }
}

/// `dx = dx * f'(x)`, on one thread.
pub(super) fn in_place_backward(activation: Activation, x: &[f32], dx: &mut [f32]) {
    let mut before = [0.0; 512];
    for (x, dx) in x.chunks(before.len()).zip(dx.chunks_mut(before.len())) {
        let before = &mut before[..x.len()];
        before.copy_from_slice(dx);
        stretch_backward(activation, x, before, dx);
    }
}

fn same_length(name: &str, x: &[f32], other: &[f32]) -> Result<()> {
    if x.len() == other.len() {
        return Ok(());
    }
    let needed = format!("{}, as many as `x` has", x.len());
    Err(Error::invalid(name, format!("{} elements", other.len()), needed))
}

widest! {
    /// A stretch on one thread: `out = f(x)`.
    fn stretch(activation: Activation, x: &[f32], out: &mut [f32]) {
        formula(activation, Values { x, out });
    }
}

widest! {
    /// A stretch on one thread: `dx = dy f'(x)`.
    pub(super) fn stretch_backward(
        activation: Activation,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) {
        formula(activation, Slopes { x, dy, dx });
    }
}

/// What is done with a nonlinearity's two functions.
trait With {
    fn with(self, value: impl Fn(f32) -> f32, slope: impl Fn(f32) -> f32);
}

/// `out = f(x)`.
struct Values<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl With for Values<'_> {
    #[inline(always)]
    fn with(self, value: impl Fn(f32) -> f32, _: impl Fn(f32) -> f32) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            let value = value(*x);
            // Comparisons and cuts would make numbers of NaN.
            *out = if x.is_nan() { *x } else { value };
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
    fn with(self, _: impl Fn(f32) -> f32, slope: impl Fn(f32) -> f32) {
        for ((dx, x), dy) in self.dx.iter_mut().zip(self.x).zip(self.dy) {
            let slope = slope(*x);
            *dx = dy * if x.is_nan() { *x } else { slope };
        }
    }
}

/// `x * part`, and 0 where the part is: an infinite `x` times a part that fell to 0.
#[inline(always)]
fn gate(x: f32, part: f32) -> f32 {
    if part == 0.0 { 0.0 } else { x * part }
}

/// Where every exponential has fallen to 0, so that no infinity meets that 0.
#[inline(always)]
fn cut_far(x: f32) -> f32 {
    x.clamp(-100.0, 100.0)
}

#[inline(always)]
fn elu(right: f32, left: f32, x: f32) -> f32 {
    if x < 0.0 { left * expm1_negative(x.min(0.0)) } else { right * x }
}

#[inline(always)]
fn elu_slope(right: f32, left: f32, x: f32) -> f32 {
    if x > 0.0 { right } else { left * exp_negative(x.min(0.0)) }
}

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    (x.clamp(-3.0, 3.0) + 3.0) / 6.0
}

/// `(1 + tanh u) / 2` is the sigmoid of this, `2u`.
#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    let cut = x.clamp(-20.0, 20.0);
    1.595_769 * cut * (1.0 + 0.044_715 * cut * cut)
}

/// `omega * x`, which stays finite where `x` is.
#[inline(always)]
fn turn(omega: f32, x: f32) -> f32 {
    (omega * x).clamp(-3e38, 3e38)
}

#[inline(always)]
fn unless_infinite(x: f32, value: f32) -> f32 {
    if x.is_infinite() { f32::NAN } else { value }
}

/// Mish's gate `tanh(ln(1 + exp(x)))`, and its slope in `x`.
#[inline(always)]
fn mish_gate(x: f32) -> (f32, f32) {
    let (e, left) = (exp_negative(-x.abs()), x < 0.0);
    let rest = if left { e * (e + 2.0) } else { 2.0 * e * e };
    let all = rest + if left { 2.0 } else { 1.0 + 2.0 * e };
    let gate = if left { rest / all } else { 1.0 - rest / all };
    (gate, 4.0 * e * (1.0 + e) * (if left { 1.0 } else { e }) / (all * all))
}

#[inline(always)]
fn step(inside: bool, slope: f32) -> f32 {
    if inside { slope } else { 0.0 }
}

/// Each nonlinearity and its derivative, of numbers.
#[inline(always)]
fn formula(activation: Activation, of: impl With) {
    let parameter = activation.parameter();
    match activation {
        Activation::Identity => of.with(|x| x, |_| 1.0),
        Activation::Sigmoid => of.with(sigmoid, sigmoid_slope),
        // 1 - tanh(x)^2 is 4 times the slope of the sigmoid at 2x.
        Activation::Tanh => of.with(tanh, |x| 4.0 * sigmoid_slope(2.0 * cut_far(x))),
        Activation::Relu => of.with(|x| if x < 0.0 { 0.0 } else { x }, |x| step(x > 0.0, 1.0)),
        Activation::LeakyRelu { .. } => of.with(
            |x| if x < 0.0 { parameter * x } else { x },
            |x| if x > 0.0 { 1.0 } else { parameter },
        ),
        Activation::Elu { .. } => {
            of.with(|x| elu(1.0, parameter, x), |x| elu_slope(1.0, parameter, x));
        }
        Activation::Selu => {
            of.with(|x| elu(SELU_RIGHT, SELU_LEFT, x), |x| elu_slope(SELU_RIGHT, SELU_LEFT, x))
        }
        Activation::Gelu => of.with(
            |x| gate(x, normal_below(x)),
            |x| normal_below(x) + cut_far(x) * normal_density(x),
        ),
        Activation::GeluTanh => of.with(
            |x| gate(x, sigmoid(gelu_argument(x))),
            |x| {
                let (argument, cut) = (gelu_argument(x), x.clamp(-20.0, 20.0));
                let slope = 1.595_769 * (1.0 + 0.134_145 * cut * cut);
                sigmoid(argument) + cut * slope * sigmoid_slope(argument)
            },
        ),
        Activation::Silu => {
            of.with(|x| gate(x, sigmoid(x)), |x| sigmoid(x) + cut_far(x) * sigmoid_slope(x));
        }
        Activation::Softplus => {
            of.with(|x| x.max(0.0) + log1p_unit(exp_negative(-x.abs())), sigmoid);
        }
        Activation::Softsign => of.with(
            |x| {
                let size = x.abs().min(1e30);
                let part = (if size < 1.0 { size } else { 1.0 }) / (1.0 + size);
                let value = if size < 1.0 { part } else { 1.0 - part };
                if x < 0.0 { -value } else { value }
            },
            |x| {
                let inverse = 1.0 / (1.0 + x.abs().min(1e30));
                inverse * inverse
            },
        ),
        Activation::Mish => of.with(
            |x| gate(x, mish_gate(x).0),
            |x| {
                let (gate, slope) = mish_gate(x);
                gate + cut_far(x) * slope
            },
        ),
        Activation::HardTanh => of.with(|x| x.clamp(-1.0, 1.0), |x| step(x.abs() < 1.0, 1.0)),
        Activation::HardSigmoid => of.with(hard_sigmoid, |x| step(x.abs() < 3.0, 1.0 / 6.0)),
        Activation::HardSwish => of.with(
            |x| gate(x, hard_sigmoid(x)),
            |x| {
                let inner = x.clamp(-3.0, 3.0) / 3.0 + 0.5;
                if x >= 3.0 { 1.0 } else { step(x > -3.0, inner) }
            },
        ),
        Activation::Relu6 => of.with(|x| x.clamp(0.0, 6.0), |x| step(x > 0.0 && x < 6.0, 1.0)),
        Activation::Sin { .. } => of.with(
            |x| unless_infinite(x, sin(turn(parameter, x))),
            |x| unless_infinite(x, parameter * cos(turn(parameter, x))),
        ),
        Activation::Custom(custom) => of.with(
            |x| (custom.value)(f64::from(x)) as f32,
            |x| (custom.derivative)(f64::from(x)) as f32,
        ),
    }
}
