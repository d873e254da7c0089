use super::columns::column_sums_by;
use super::operand::as_many;
use super::rounding::{Pinned, Rounding, by};
use super::widest::{sum, widest};
use crate::host::parallel::*;
use crate::op::{Arithmetic, Optimizer, Step};
use crate::{Error, Result, counted};

/// Parameters a task.
const TASK: usize = 1 << 13;

/// The numbers of a step.
#[derive(Clone, Copy)]
struct Numbers {
    /// On the gradients.
    scale: f32,
    rate: f32,
    /// What of the parameters joins the gradient, and what of them stays.
    join: f32,
    keep: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    correction2: f32,
    epsilon: f32,
    nesterov: bool,
}

impl Numbers {
    /// The gradient as it is scaled, with the parameter's decay where that joins it.
    #[inline(always)]
    fn joined<R: Rounding>(&self, gradient: f32, parameter: f32) -> f32 {
        R::pin(R::pin(gradient * self.scale) + R::pin(self.join * parameter))
    }
}

/// What an optimizer reads and writes: slices of one length.
#[derive(Debug)]
pub struct UpdateSlices<'a> {
    /// The gradients.
    pub gradients: &'a [f32],
    /// The parameters.
    pub parameters: &'a mut [f32],
    /// The velocity of SGD with momentum, Adam's mean of gradients; 0 at first.
    pub first: Option<&'a mut [f32]>,
    /// Adam's mean of squared gradients; 0 at first.
    pub second: Option<&'a mut [f32]>,
    /// The factor of [`clip`], to clip by it.
    pub scale: Option<f32>,
}

/// Step `t`, counted from 1, of an optimizer with learning rate `lr`, as
/// [`Pass::update`](crate::gpu::Pass::update). See [`Optimizer`] for the formulas.
///
/// # Errors
/// [`Error::Invalid`] where a slice does not fit, the optimizer's state is missing, or a number is
/// outside its range.
pub fn update(optimizer: &Optimizer, lr: f64, t: u64, slices: UpdateSlices<'_>) -> Result<()> {
    update_by(Arithmetic::Native, optimizer, &optimizer.checked_step(lr, t)?, 1.0, slices)
}

/// As [`update`], at a step of training, whose learning rate is multiplied by `rate`.
pub(super) fn update_by(
    arithmetic: Arithmetic,
    optimizer: &Optimizer,
    step: &Step,
    rate: f32,
    slices: UpdateSlices<'_>,
) -> Result<()> {
    by!(arithmetic, updated)(optimizer, step, rate, slices)
}

fn updated<R: Rounding>(
    optimizer: &Optimizer,
    step: &Step,
    rate: f32,
    slices: UpdateSlices<'_>,
) -> Result<()> {
    optimizer.check()?;
    let UpdateSlices { gradients, parameters, first, second, scale } = slices;
    let count = parameters.len();
    as_many("gradients", gradients.len(), count, "parameters")?;
    let first = state(optimizer, "first moments", first, 0, count)?;
    let second = state(optimizer, "second moments", second, 1, count)?;
    let scale = scale.unwrap_or(1.0);
    let (beta1, beta2) = optimizer.betas();
    let (lr, decay) = (R::pin(step.lr * rate), optimizer.weight_decay() as f32);
    let numbers = Numbers {
        scale,
        rate: lr,
        join: decay,
        keep: 1.0,
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        rest1: (1.0 - beta1) as f32,
        rest2: (1.0 - beta2) as f32,
        correction2: step.correction2,
        epsilon: optimizer.epsilon() as f32,
        nesterov: matches!(optimizer, Optimizer::Sgd { nesterov: true, .. }),
    };
    let tasks = parameters.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK));
    match optimizer {
        Optimizer::Sgd { .. } if optimizer.moments() == 0 => {
            tasks.for_each(|(parameters, gradients)| descend::<R>(numbers, parameters, gradients));
        }
        Optimizer::Sgd { .. } => {
            tasks.zip(first.par_chunks_mut(TASK)).for_each(|((parameters, gradients), first)| {
                descend_with_momentum::<R>(numbers, parameters, gradients, first);
            });
        }
        Optimizer::Adam(_) | Optimizer::AdamW(_) => {
            let apart = matches!(optimizer, Optimizer::AdamW(_));
            let (keep, join) =
                if apart { (R::pin(1.0 - R::pin(lr * decay)), 0.0) } else { (1.0, decay) };
            let numbers = Numbers { rate: R::pin(lr * step.correction1), keep, join, ..numbers };
            let state = first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK));
            tasks.zip(state).for_each(|((parameters, gradients), (first, second))| {
                adam::<R>(numbers, parameters, gradients, first, second);
            });
        }
        Optimizer::RmsProp(_) => {
            tasks.zip(first.par_chunks_mut(TASK)).for_each(|((parameters, gradients), first)| {
                rmsprop::<R>(numbers, parameters, gradients, first);
            });
        }
    }
    Ok(())
}

/// The optimizer's state at a place; empty where it has none there.
fn state<'a>(
    optimizer: &Optimizer,
    what: &str,
    state: Option<&'a mut [f32]>,
    place: usize,
    count: usize,
) -> Result<&'a mut [f32]> {
    match state {
        _ if optimizer.moments() <= place => Ok(&mut []),
        Some(state) => as_many(what, state.len(), count, "parameters").map(|()| state),
        None => {
            let needed = format!("{} for {}", counted(count, "element"), optimizer.name());
            Err(Error::invalid(what, "none", needed))
        }
    }
}

widest! {
    fn descend<R: Rounding>(by: Numbers, parameters: &mut [f32], gradients: &[f32]) {
        for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
            let gradient = by.joined::<R>(*gradient, *parameter);
            *parameter = R::pin(*parameter - R::pin(by.rate * gradient));
        }
    }
}

widest! {
    fn descend_with_momentum<R: Rounding>(
        by: Numbers,
        parameters: &mut [f32],
        gradients: &[f32],
        velocities: &mut [f32],
    ) {
        for ((parameter, gradient), velocity) in parameters.iter_mut().zip(gradients).zip(velocities) {
            let gradient = by.joined::<R>(*gradient, *parameter);
            *velocity = R::mad(by.beta1, *velocity, gradient);
            let ahead = R::mad(by.beta1, *velocity, gradient);
            let along = if by.nesterov { ahead } else { *velocity };
            *parameter = R::pin(*parameter - R::pin(by.rate * along));
        }
    }
}

widest! {
    fn adam<R: Rounding>(
        by: Numbers,
        parameters: &mut [f32],
        gradients: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) {
        let state = means.iter_mut().zip(squares);
        for ((parameter, gradient), (mean, square)) in parameters.iter_mut().zip(gradients).zip(state) {
            let gradient = by.joined::<R>(*gradient, *parameter);
            *mean = R::mad(by.beta1, *mean, R::pin(by.rest1 * gradient));
            let grown = R::pin(R::pin(by.rest2 * gradient) * gradient);
            *square = R::mad(by.beta2, *square, grown);
            let deviation = R::mad(R::pin(square.sqrt()), by.correction2, by.epsilon);
            let along = R::pin(by.rate * R::pin(*mean / deviation));
            *parameter = R::pin(R::pin(*parameter * by.keep) - along);
        }
    }
}

widest! {
    fn rmsprop<R: Rounding>(by: Numbers, parameters: &mut [f32], gradients: &[f32], squares: &mut [f32]) {
        for ((parameter, gradient), square) in parameters.iter_mut().zip(gradients).zip(squares) {
            let gradient = by.joined::<R>(*gradient, *parameter);
            let grown = R::pin(R::pin(by.rest1 * gradient) * gradient);
            *square = R::mad(by.beta1, *square, grown);
            let deviation = R::pin(R::pin(square.sqrt()) + by.epsilon);
            *parameter = R::pin(*parameter - R::pin(by.rate * R::pin(gradient / deviation)));
        }
    }
}

/// `min(1, bound / (norm + 1e-6))`, and the Euclidean norm of all `gradients`, as
/// [`Pass::clip`](crate::gpu::Pass::clip): what [`update`] clips by. It is PyTorch's `clip_grad_norm_`.
///
/// Squares are added in f64, in an order that the number of gradients decides. With a NaN among the
/// gradients both are NaN, with an infinity and no NaN the norm is infinite and the factor 0.
///
/// # Errors
/// [`Error::Invalid`] where the bound is not above 0.
pub fn clip(gradients: &[f32], bound: f64) -> Result<[f32; 2]> {
    Optimizer::check_clip(bound)?;
    let squares: Vec<f64> = gradients.par_chunks(TASK).map(squares).collect();
    let norm = squares.iter().sum::<f64>().sqrt();
    let factor = bound / (norm + 1e-6);
    // Not min, which would make a number of what is none.
    Ok([if factor > 1.0 { 1.0 } else { factor as f32 }, norm as f32])
}

pub(super) fn clip_by(arithmetic: Arithmetic, gradients: &[f32], bound: f64) -> Result<[f32; 2]> {
    if !arithmetic.is_exact() {
        return clip(gradients, bound);
    }
    Optimizer::check_clip(bound)?;
    let pin = Pinned::pin;
    let mut sum = [0.0];
    column_sums_by(arithmetic, gradients, Some(gradients), &mut sum)?;
    let norm = pin(sum[0].sqrt());
    let factor = pin(bound as f32 / pin(norm + 1e-6));
    Ok([if factor > 1.0 { 1.0 } else { factor }, norm])
}

widest! {
    fn squares(values: &[f32]) -> f64 {
        sum([values], |[value]| f64::from(value) * f64::from(value))
    }
}
