//! Signal propagation: what becomes of variances on their way through a deep network.
//!
//! [`theory`](crate::theory) predicts them for a wide network at initialization, in f64 and without a device: a layer
//! `z' = W f(z) + b` with independent weights of variance `sigma_w^2 / fan_in` and biases of variance
//! `sigma_b^2` takes a pre-activation of variance `q` to one of variance
//! `q' = sigma_w^2 E[f(sqrt(q) z)^2] + sigma_b^2`, `z` standard normal, and the gradient's variance
//! back by `chi = sigma_w^2 E[f'(sqrt(q) z)^2]` a layer. [`predict`] takes a network through them.
//!
//! [`measure`] builds the network on a device, takes a batch forward and a gradient back, and reports
//! what each layer does beside the prediction, with a [`Verdict`] ([`RULE`] says what is healthy);
//! [`Advisor`] tries what would be better; [`heatmap`] measures a range of scales. `fanin probe` shows the reports, and [`guide`](crate::guide) says what they mean.

mod advice;
mod heatmap;
mod measure;
mod predict;
mod run;
mod verdict;

pub use advice::{Advice, Advisor, Change};
pub use heatmap::heatmap;
pub use measure::{ProbeOptions, measure};
pub use predict::{Boundary, predict};
pub use run::{Heatmap, LayerReport, Prediction, Report, Run, Spread};
pub use verdict::{Kind, RULE, RangeLimit, Verdict};

/// The ends of float32's normal numbers, squared: variances there.
const SMALLEST: f64 = 1.4e-76;
const LARGEST: f64 = 1.16e77;
