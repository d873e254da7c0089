//! The mean-field theory of signal propagation (Poole et al. 2016; Schoenholz et al. 2017), whose
//! first order is Glorot's and He's principle of variance consistency.

use super::quadrature::nodes;
use crate::{Activation, Error, Result};

/// Moments of a nonlinearity under `x ~ N(0, q)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// `E[f(x)]`.
    pub mean: f64,
    /// `E[f(x)^2]`: what the next layer's variance is a multiple of.
    pub square: f64,
    /// `E[f'(x)^2]`: what the gradient's variance is a multiple of.
    pub slope: f64,
}

/// The moments of `f` under `x ~ N(0, q)`, by quadrature to about 12 digits; for a function of the
/// user's own with kinks away from 0, to about 6.
///
/// # Errors
/// [`Error::Invalid`] where `q` is not a finite number above 0.
pub fn moments(activation: &Activation, q: f64) -> Result<Moments> {
    let gaussian = Gaussian::new(activation, 0.0, q)?;
    Ok(Moments {
        mean: gaussian.expect(|x| activation.value(x)),
        square: gaussian.expect(|x| activation.value(x).powi(2)),
        slope: gaussian.expect(|x| activation.derivative(x).powi(2)),
    })
}

/// `x ~ N(mean, q)` on its way into a nonlinearity.
pub(super) struct Gaussian {
    mean: f64,
    scale: f64,
    nodes: Vec<(f64, f64)>,
}

/// Beyond it every nonlinearity but the sine is as good as straight: within, panels are as narrow as
/// what it does in a unit of its argument.
const BENT: f64 = 40.0;

impl Gaussian {
    /// # Errors
    /// [`Error::Invalid`] where `q` is not a finite number above 0.
    pub fn new(activation: &Activation, mean: f64, q: f64) -> Result<Gaussian> {
        if !(q > 0.0 && q.is_finite()) {
            return Err(Error::invalid("variance", q, "a finite number above 0"));
        }
        let scale = q.sqrt();
        let place = |x: f64| (x - mean) / scale;
        let kinks = kinks(activation).iter().copied().chain([-BENT, BENT]).map(place);
        // The sine turns wherever one looks, and what a user's own does is not known.
        let everywhere = matches!(activation, Activation::Sin | Activation::Custom(_));
        let width = |z: f64| {
            let bends = everywhere || (mean + scale * z).abs() < BENT;
            if bends {
                (1.0 / scale).clamp(if everywhere { 0.002 } else { 0.0 }, 0.25)
            } else {
                0.25
            }
        };
        let nodes = nodes(&kinks.collect::<Vec<_>>(), width);
        Ok(Gaussian { mean, scale, nodes })
    }

    /// `E[g(x)]`.
    pub fn expect(&self, g: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().map(|(z, weight)| weight * g(self.mean + self.scale * z)).sum()
    }

    /// The coefficients `a_k = E[f(x) h_k(z)]` on normalized Hermite polynomials, of which
    /// `E[f(x) f(x')] = sum_k a_k^2 c^k` where `x` and `x'` have correlation `c` (Mehler).
    pub fn hermite(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; HERMITE];
        for (z, weight) in &self.nodes {
            let value = weight * f(self.mean + self.scale * z);
            let (mut last, mut this) = (0.0, 1.0);
            for (k, sum) in (0..).map(f64::from).zip(&mut sums) {
                *sum += value * this;
                (last, this) = (this, (z * this - f64::sqrt(k) * last) / f64::sqrt(k + 1.0));
            }
        }
        sums
    }
}

/// Terms of the series: what is left out of ReLU's at a correlation of 1 is below 1e-3 of it.
const HERMITE: usize = 128;

/// `E[f(x) f(x')]` of `x, x'` with mean `mean`, variance `q` and correlation `c`: the correlation map
/// of Poole et al. 2016. ReLU's has the closed form of Cho and Saul (2009), which it meets to 1e-3.
///
/// # Errors
/// [`Error::Invalid`] where `q` is not a finite number above 0, or `c` not within -1..1.
pub fn correlated(activation: &Activation, mean: f64, q: f64, c: f64) -> Result<f64> {
    if !(-1.0..=1.0).contains(&c) {
        return Err(Error::invalid("correlation", c, "a number from -1 to 1"));
    }
    let gaussian = Gaussian::new(activation, mean, q)?;
    let coefficients = gaussian.hermite(|x| activation.value(x));
    let square = gaussian.expect(|x| activation.value(x).powi(2));
    // What the series leaves out is all of higher order.
    let (mut sum, mut rest, mut power) = (0.0, square, 1.0);
    for a in coefficients {
        sum += a * a * power;
        rest -= a * a;
        power *= c;
    }
    Ok(sum + rest.max(0.0) * power)
}

/// Where a nonlinearity or its slope breaks off.
fn kinks(activation: &Activation) -> &'static [f64] {
    match activation {
        Activation::HardTanh => &[-1.0, 1.0],
        Activation::HardSigmoid | Activation::HardSwish => &[-3.0, 3.0],
        Activation::Relu6 => &[0.0, 6.0],
        _ => &[0.0],
    }
}

/// `1 / sqrt(E[f(z)^2])`, `z` standard normal: the gain with which weights of variance
/// `gain^2 / fan_in` keep the second moment of the signal (He et al. 2015 for ReLU: sqrt 2).
pub fn forward_gain(activation: &Activation) -> f64 {
    moments(activation, 1.0).map_or(f64::NAN, |moments| 1.0 / moments.square.sqrt())
}

/// `1 / sqrt(E[f'(z)^2])`, `z` standard normal: the gain with which weights of variance
/// `gain^2 / fan_out` keep the variance of the gradient.
pub fn backward_gain(activation: &Activation) -> f64 {
    moments(activation, 1.0).map_or(f64::NAN, |moments| 1.0 / moments.slope.sqrt())
}

/// Weights of variance `weight / fan_in` and biases of variance `bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// `sigma_w^2`.
    pub weight: f64,
    /// `sigma_b^2`.
    pub bias: f64,
}

impl Scales {
    /// `q' = sigma_w^2 E[f(sqrt(q) z)^2] + sigma_b^2`: the variance of the next pre-activation.
    ///
    /// # Errors
    /// As [`moments`].
    pub fn variance(&self, activation: &Activation, q: f64) -> Result<f64> {
        Ok(self.weight * moments(activation, q)?.square + self.bias)
    }

    /// `chi = sigma_w^2 E[f'(sqrt(q) z)^2]`: the factor on the gradient's variance a layer. Above 1
    /// gradients explode with depth, below 1 they vanish; nearby inputs part, or become one.
    ///
    /// # Errors
    /// As [`moments`].
    pub fn chi(&self, activation: &Activation, q: f64) -> Result<f64> {
        Ok(self.weight * moments(activation, q)?.slope)
    }

    /// The variance that stays as it is from layer to layer, `q' = q`, reached from `q = 1`; none where
    /// variances vanish (below 1e-30), explode (above 1e30), or have not settled to 1e-12 of themselves
    /// within 100,000 layers.
    pub fn fixed_point(&self, activation: &Activation) -> Option<f64> {
        let mut q = 1.0;
        for _ in 0..100_000 {
            let next = self.variance(activation, q).ok()?;
            if !(1e-30..1e30).contains(&next) {
                return None;
            }
            if (next - q).abs() <= 1e-12 * q {
                return Some(next);
            }
            q = next;
        }
        None
    }

    /// The scales at the edge of chaos that hold a variance `q`: `sigma_w^2 = 1 / E[f'^2]`, so that
    /// `chi = 1`, and `sigma_b^2 = q - sigma_w^2 E[f^2]`, so that `q' = q` (Schoenholz et al. 2017).
    /// None where that would be below 0: no bias holds such a variance there.
    ///
    /// # Errors
    /// As [`moments`].
    pub fn critical(activation: &Activation, q: f64) -> Result<Option<Scales>> {
        let Moments { square, slope, .. } = moments(activation, q)?;
        let weight = 1.0 / slope;
        let bias = q - weight * square;
        // What rounding leaves of 0, as for ReLU, is 0.
        let bias = if bias.abs() < 1e-9 * q { 0.0 } else { bias };
        Ok((bias >= 0.0 && weight.is_finite()).then_some(Scales { weight, bias }))
    }
}
