use rayon::prelude::*;

use crate::model::{Optimizer, Step};

/// Parameters a task.
const TASK: usize = 1 << 13;

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
    let (rest1, rest2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
    let (beta1, beta2) = (beta1 as f32, beta2 as f32);
    let (epsilon, decay) = (optimizer.epsilon() as f32, optimizer.weight_decay() as f32);
    let lr = step.lr * rate;
    match optimizer {
        Optimizer::Sgd { .. } if optimizer.momentum_code() == 0 => {
            let tasks = parameters.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK));
            tasks.for_each(|(parameters, gradients)| {
                for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
                    *parameter -= lr * (gradient * scale + decay * *parameter);
                }
            });
        }
        Optimizer::Sgd { nesterov, .. } => {
            let tasks = parameters.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK));
            tasks.zip(first.par_chunks_mut(TASK)).for_each(|((parameters, gradients), first)| {
                for ((parameter, gradient), velocity) in
                    parameters.iter_mut().zip(gradients).zip(first)
                {
                    let gradient = gradient * scale + decay * *parameter;
                    *velocity = beta1 * *velocity + gradient;
                    let ahead = gradient + beta1 * *velocity;
                    *parameter -= lr * if *nesterov { ahead } else { *velocity };
                }
            });
        }
        Optimizer::Adam(_) | Optimizer::AdamW(_) => {
            let apart = matches!(optimizer, Optimizer::AdamW(_));
            let rate = lr * step.correction1;
            let (keep, join) = if apart { (1.0 - lr * decay, 0.0) } else { (1.0, decay) };
            let tasks = parameters.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK));
            let state = first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK));
            tasks.zip(state).for_each(|((parameters, gradients), (first, second))| {
                let state = first.iter_mut().zip(second);
                for ((parameter, gradient), (mean, square)) in
                    parameters.iter_mut().zip(gradients).zip(state)
                {
                    let gradient = gradient * scale + join * *parameter;
                    *mean = beta1 * *mean + rest1 * gradient;
                    *square = beta2 * *square + rest2 * gradient * gradient;
                    let deviation = square.sqrt() * step.correction2 + epsilon;
                    *parameter = *parameter * keep - rate * (*mean / deviation);
                }
            });
        }
    }
}

/// `min(1, bound / (norm + 1e-6))` and the norm of all gradients, as PyTorch's `clip_grad_norm_`.
pub(crate) fn clip(bound: f64, gradients: &[f32]) -> (f32, f32) {
    let squares: Vec<f64> = gradients
        .par_chunks(TASK)
        .map(|task| task.iter().map(|&gradient| f64::from(gradient) * f64::from(gradient)).sum())
        .collect();
    let norm = squares.iter().sum::<f64>().sqrt();
    let factor = bound / (norm + 1e-6);
    // Not min, which would make a number of what is none.
    (if factor > 1.0 { 1.0 } else { factor as f32 }, norm as f32)
}
