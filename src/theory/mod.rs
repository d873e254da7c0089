//! The mean-field theory of signal propagation (Poole et al. 2016; Schoenholz et al. 2017), whose
//! first order is Glorot's and He's principle of variance consistency.

mod quadrature;

use crate::{Activation, Error, Result};
use quadrature::nodes;

/// Moments of a nonlinearity under `x ~ N(0, q)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianMoments {
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
pub fn moments(activation: &Activation, q: f64) -> Result<GaussianMoments> {
    let gaussian = Gaussian::new(activation, 0.0, q)?;
    Ok(GaussianMoments {
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

/// Beyond it every nonlinearity that does not turn for good is as good as straight: within, panels are as narrow as
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
        // Those that are smooth bend most about 0.
        let kinks = if activation.kinks().is_empty() { &[0.0] } else { activation.kinks() };
        let kinks = kinks.iter().copied().chain([-BENT, BENT]).map(place);
        let frequency = activation.frequency();
        let width = |z: f64| match (mean + scale * z).abs() < BENT {
            _ if frequency > 0.0 => (1.0 / (frequency * scale)).clamp(0.002, 0.25),
            true => (1.0 / scale).min(0.25),
            false => 0.25,
        };
        let nodes = nodes(&kinks.collect::<Vec<_>>(), width);
        Ok(Gaussian { mean, scale, nodes })
    }

    /// `E[g(x)]`.
    pub fn expect(&self, g: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().map(|(z, weight)| weight * g(self.mean + self.scale * z)).sum()
    }

    /// `E[g(x, z)]` of several functions at once, `x = mean + scale z`.
    pub fn expect_all<const N: usize>(&self, g: impl Fn(f64, f64) -> [f64; N]) -> [f64; N] {
        let mut sums = [0.0; N];
        for (z, weight) in &self.nodes {
            for (sum, value) in sums.iter_mut().zip(g(self.mean + self.scale * z, *z)) {
                *sum += weight * value;
            }
        }
        sums
    }

    /// The coefficients `a_k = E[f(x) h_k(z)]` on normalized Hermite polynomials, of which
    /// `E[f(x) f(x')] = sum_k a_k^2 c^k` where `x` and `x'` have correlation `c` (Mehler).
    pub fn hermite(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let value = |(z, weight): &(f64, f64)| weight * f(self.mean + self.scale * z);
        let values: Vec<f64> = self.nodes.iter().map(value).collect();
        let (mut last, mut this) = (vec![0.0; values.len()], vec![1.0; values.len()]);
        let mut sums = vec![0.0; HERMITE];
        // Polynomial after polynomial over all nodes: their quotients do not wait for one another.
        for (k, sum) in (0..).map(f64::from).zip(&mut sums) {
            *sum = values.iter().zip(&this).fold(0.0, |sum, (value, this)| sum + value * this);
            let (before, after) = (f64::sqrt(k), f64::sqrt(k + 1.0));
            for ((last, this), (z, _)) in last.iter_mut().zip(&mut this).zip(&self.nodes) {
                (*last, *this) = (*this, (z * *this - before * *last) / after);
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

/// Where variances go from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// They settle at this one.
    Attracts(f64),
    /// This one stays as it is, but those on one side of it, or on both, leave it: above it they
    /// grow, below it they shrink.
    Repels(f64),
    /// Every variance stays as it is: He's weights with ReLU.
    Stays,
    /// They shrink without end.
    Vanishes {
        /// Ever less a layer, as a power of the depth (tanh at its edge of chaos), where others
        /// shrink by a factor a layer.
        slowly: bool,
    },
    /// They grow without end.
    Explodes,
}

/// How far either side of a variance of 1 is looked at, in its logarithm; also the least change a
/// layer that counts as one by a factor.
const NEAR: f64 = 1e-3;

/// The strides in which a fixed point is looked for, and how far, in the logarithm of a variance.
const STRIDE: f64 = 0.25;
const FAR: f64 = 69.0;

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

    /// The variance at which signals settle: the one that [`Scales::course`] says attracts.
    pub fn fixed_point(&self, activation: &Activation) -> Option<f64> {
        match self.course(activation) {
            Course::Attracts(q) => Some(q),
            _ => None,
        }
    }

    /// Where variances go from `q = 1`, layer after layer. The map rises with `q`, so they go one way
    /// until they meet a variance that stays as it is.
    pub fn course(&self, activation: &Activation) -> Course {
        // ln(q' / q): how far a layer moves the logarithm of a variance.
        let step = |ln_q: f64| {
            let q = ln_q.exp();
            self.variance(activation, q).map_or(f64::NAN, |next| (next / q).ln())
        };
        // Quadrature's digits.
        const SAME: f64 = 1e-9;
        let first = step(0.0);
        if first.abs() < SAME {
            let (below, above) = (step(-NEAR), step(NEAR));
            return match () {
                () if below.abs() < SAME && above.abs() < SAME => Course::Stays,
                () if below >= -SAME && above <= SAME => Course::Attracts(1.0),
                () => Course::Repels(1.0),
            };
        }
        let up = first > 0.0;
        let stride = if up { STRIDE } else { -STRIDE };
        let mut from = 0.0;
        let end = loop {
            let to = from + stride;
            if to.abs() > FAR {
                return match (up, step(from).abs() < NEAR) {
                    (true, _) => Course::Explodes,
                    (false, slowly) => Course::Vanishes { slowly },
                };
            }
            // Not where nothing but rounding is left of a step.
            let step = step(to);
            if step.abs() > SAME && (step > 0.0) != up {
                break to;
            }
            from = to;
        };
        let (mut from, mut end) = (from, end);
        for _ in 0..60 {
            let middle = 0.5 * (from + end);
            if (step(middle) > 0.0) == up { from = middle } else { end = middle }
        }
        Course::Attracts(from.exp())
    }

    /// The scales at the edge of chaos that hold a variance `q`: `sigma_w^2 = 1 / E[f'^2]`, so that
    /// `chi = 1`, and `sigma_b^2 = q - sigma_w^2 E[f^2]`, so that `q' = q` (Schoenholz et al. 2017).
    /// None where that would be below 0: no bias holds such a variance there.
    ///
    /// # Errors
    /// As [`moments`].
    pub fn critical(activation: &Activation, q: f64) -> Result<Option<Scales>> {
        let GaussianMoments { square, slope, .. } = moments(activation, q)?;
        let weight = 1.0 / slope;
        let bias = q - weight * square;
        // What rounding leaves of 0, as for ReLU, is 0.
        let bias = if bias.abs() < 1e-9 * q { 0.0 } else { bias };
        Ok((bias >= 0.0 && weight.is_finite()).then_some(Scales { weight, bias }))
    }
}
