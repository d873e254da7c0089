use crate::op::{Optimizer, Step};
use rayon::prelude::*;

use super::widest::{sum, widest};

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

/// A step of the optimizer over a run of parameters; `first` and `second` are its state, as long as
/// the parameters or empty where it has none. Gradients are multiplied by `scale`, the step's learning
/// rate by `rate`.
#[allow(clippy::too_many_arguments)] // The kernel's own.
pub(crate) fn update(
    optimizer: &Optimizer,
    step: &Step,
    rate: f32,
    scale: f32,
    gradients: &[f32],
    parameters: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let (beta1, beta2) = optimizer.betas();
    let (lr, decay) = (step.lr * rate, optimizer.weight_decay() as f32);
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
            tasks.for_each(|(parameters, gradients)| descend(numbers, parameters, gradients));
        }
        Optimizer::Sgd { .. } => {
            tasks.zip(first.par_chunks_mut(TASK)).for_each(|((parameters, gradients), first)| {
                descend_with_momentum(numbers, parameters, gradients, first);
            });
        }
        Optimizer::Adam(_) | Optimizer::AdamW(_) => {
            let apart = matches!(optimizer, Optimizer::AdamW(_));
            let (keep, join) = if apart { (1.0 - lr * decay, 0.0) } else { (1.0, decay) };
            let numbers = Numbers { rate: lr * step.correction1, keep, join, ..numbers };
            let state = first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK));
            tasks.zip(state).for_each(|((parameters, gradients), (first, second))| {
                adam(numbers, parameters, gradients, first, second);
            });
        }
        Optimizer::RmsProp(_) => {
            tasks.zip(first.par_chunks_mut(TASK)).for_each(|((parameters, gradients), first)| {
                rmsprop(numbers, parameters, gradients, first);
            });
        }
    }
}

widest! {
    fn descend(by: Numbers, parameters: &mut [f32], gradients: &[f32]) {
        for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
            *parameter -= by.rate * (gradient * by.scale + by.join * *parameter);
        }
    }
}

widest! {
    fn descend_with_momentum(
        by: Numbers,
        parameters: &mut [f32],
        gradients: &[f32],
        velocities: &mut [f32],
    ) {
        for ((parameter, gradient), velocity) in parameters.iter_mut().zip(gradients).zip(velocities) {
            let gradient = gradient * by.scale + by.join * *parameter;
            *velocity = by.beta1 * *velocity + gradient;
            let ahead = gradient + by.beta1 * *velocity;
            *parameter -= by.rate * if by.nesterov { ahead } else { *velocity };
        }
    }
}

widest! {
    fn adam(
        by: Numbers,
        parameters: &mut [f32],
        gradients: &[f32],
        means: &mut [f32],
        squares: &mut [f32],
    ) {
        let state = means.iter_mut().zip(squares);
        for ((parameter, gradient), (mean, square)) in parameters.iter_mut().zip(gradients).zip(state) {
            let gradient = gradient * by.scale + by.join * *parameter;
            *mean = by.beta1 * *mean + by.rest1 * gradient;
            *square = by.beta2 * *square + by.rest2 * gradient * gradient;
            let deviation = square.sqrt() * by.correction2 + by.epsilon;
            *parameter = *parameter * by.keep - by.rate * (*mean / deviation);
        }
    }
}

widest! {
    fn rmsprop(by: Numbers, parameters: &mut [f32], gradients: &[f32], squares: &mut [f32]) {
        for ((parameter, gradient), square) in parameters.iter_mut().zip(gradients).zip(squares) {
            let gradient = gradient * by.scale + by.join * *parameter;
            *square = by.beta1 * *square + by.rest1 * gradient * gradient;
            *parameter -= by.rate * (gradient / (square.sqrt() + by.epsilon));
        }
    }
}

/// `min(1, bound / (norm + 1e-6))` and the norm of all gradients, as PyTorch's `clip_grad_norm_`.
pub(crate) fn clip(bound: f64, gradients: &[f32]) -> (f32, f32) {
    let squares: Vec<f64> = gradients.par_chunks(TASK).map(squares).collect();
    let norm = squares.iter().sum::<f64>().sqrt();
    let factor = bound / (norm + 1e-6);
    // Not min, which would make a number of what is none.
    (if factor > 1.0 { 1.0 } else { factor as f32 }, norm as f32)
}

widest! {
    fn squares(values: &[f32]) -> f64 {
        sum([values], |[value]| f64::from(value) * f64::from(value))
    }
}
