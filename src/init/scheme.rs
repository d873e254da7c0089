use std::fmt;

use super::{FanMode, Geometry};
use crate::random::Distribution;
use crate::{Activation, Error, Result, Shape};

/// The standard deviation of a standard normal cut at 2: `sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))`.
///
/// JAX and Keras divide by it, so that what is left of the normal has the std that was asked for.
pub const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// The shape of the distribution that a variance is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `N(0, variance)`.
    Normal,
    /// A normal cut at twice its std, with `variance` after the cut (JAX, Keras).
    TruncatedNormal,
    /// `U(-sqrt(3 variance), sqrt(3 variance))`.
    Uniform,
}

impl Family {
    /// Every family, by the name that recipes use.
    pub const NAMES: [(&'static str, Family); 3] = [
        ("normal", Family::Normal),
        ("truncated_normal", Family::TruncatedNormal),
        ("uniform", Family::Uniform),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, family)| *family == self).map_or("", |(name, _)| name)
    }
}

/// An initializer: given a shape and its geometry, a distribution.
///
/// The named schemes of the literature are constructors; two numbers, a fan and a family are all
/// that tells them apart.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// The same distribution whatever the shape.
    Fixed(Distribution),
    /// Variance `scale / fan`.
    VarianceScaling {
        /// The variance times the fan: the square of the gain.
        scale: f64,
        /// Which fan.
        mode: FanMode,
        /// Which distribution has that variance.
        family: Family,
    },
    /// Layer-sequential unit variance (Mishkin and Matas 2016): weights that are scaled, layer after
    /// layer, until the layer's outputs have variance 1 on a batch of data. The distribution is
    /// where that starts from; the scaling takes data, so that training alone does it
    /// ([`Trainer::lsuv_log`](crate::model::Trainer::lsuv_log)).
    Lsuv {
        /// How far the variance may be from 1: above 0, below 1.
        tolerance: f64,
        /// The most corrections a layer gets: 1 to 1000.
        iterations: u32,
    },
}

impl Init {
    /// All zeros: right for biases; a weight matrix of zeros never learns, since all units of a
    /// layer stay equal.
    pub const fn zeros() -> Self {
        Init::constant(0.0)
    }

    /// All ones: the scale of a normalization.
    pub const fn ones() -> Self {
        Init::constant(1.0)
    }

    /// One value everywhere: a small positive bias (0.01, 0.1) lets every ReLU start alive.
    pub const fn constant(value: f64) -> Self {
        Init::Fixed(Distribution::Constant { value })
    }

    /// `U(low, high)`.
    pub const fn uniform(low: f64, high: f64) -> Self {
        Init::Fixed(Distribution::Uniform { low, high })
    }

    /// `N(mean, std^2)`.
    pub const fn normal(mean: f64, std: f64) -> Self {
        Init::Fixed(Distribution::Normal { mean, std })
    }

    /// `N(mean, std^2)` cut at `cut * std` on either side; `std` is the parent's, so what is left has
    /// less (0.8796 of it at a cut of 2). PyTorch's `trunc_normal_`, whose ends `a`, `b` are
    /// absolute: `cut = (b - mean) / std`.
    pub const fn truncated_normal(mean: f64, std: f64, cut: f64) -> Self {
        Init::Fixed(Distribution::TruncatedNormal { mean, std, cut })
    }

    /// `N(mean, (std / 0.8796)^2)` cut at 2 parents' std, so that `std` is what is left: the
    /// truncated normal inside JAX's and Keras's `VarianceScaling`.
    pub const fn truncated_normal_corrected(mean: f64, std: f64) -> Self {
        Init::truncated_normal(mean, std / TRUNCATED_STD, 2.0)
    }

    /// Variance `scale / fan`, `fan` as `mode` says (JAX, Keras: `VarianceScaling`).
    pub const fn variance_scaling(scale: f64, mode: FanMode, family: Family) -> Self {
        Init::VarianceScaling { scale, mode, family }
    }

    /// Variance `gain^2 * 2 / (fan_in + fan_out)`: Glorot and Bengio 2010, as PyTorch's
    /// `xavier_uniform_` and `xavier_normal_` have it.
    pub const fn xavier(gain: f64, family: Family) -> Self {
        Init::variance_scaling(gain * gain, FanMode::FanAvg, family)
    }

    /// Variance `1 / fan_in`: what many texts, and Caffe's default, call Xavier. The same as
    /// [`Init::lecun`].
    pub const fn xavier_fan_in(family: Family) -> Self {
        Init::lecun(family)
    }

    /// Variance `gain^2 / fan`: He et al. 2015, PyTorch's `kaiming_uniform_` and `kaiming_normal_`.
    /// `mode` is `FanIn` or `FanOut`; the gain is [`Activation::gain`], sqrt 2 for ReLU.
    pub fn he(mode: FanMode, nonlinearity: Activation, family: Family) -> Self {
        let gain = nonlinearity.gain();
        // sqrt(2)^2 is not 2 in f64; He's scale is.
        let scale = if nonlinearity == Activation::Relu { 2.0 } else { gain * gain };
        Init::variance_scaling(scale, mode, family)
    }

    /// Variance `1 / fan_in`: LeCun et al. 1998.
    pub const fn lecun(family: Family) -> Self {
        Init::variance_scaling(1.0, FanMode::FanIn, family)
    }

    /// `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`: what PyTorch's `nn.Linear` and `nn.Conv*d` give to
    /// weight and bias when nothing is asked (`kaiming_uniform_` with `a = sqrt 5`). A bias takes its
    /// weight's `fan_in`, given explicitly.
    pub const fn torch_default() -> Self {
        Init::variance_scaling(1.0 / 3.0, FanMode::FanIn, Family::Uniform)
    }

    /// The distribution of a tensor of this shape, read as `geometry` says.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a fan is needed and cannot be told, or where a parameter is outside
    /// what [`Distribution::check`] accepts.
    pub fn distribution(&self, shape: &Shape, geometry: &Geometry) -> Result<Distribution> {
        let distribution = match *self {
            Init::Fixed(distribution) => distribution,
            Init::Lsuv { tolerance, iterations } => {
                if !(tolerance > 0.0 && tolerance < 1.0) {
                    let needed = "more than 0, below 1";
                    return Err(Error::invalid("LSUV's tolerance", tolerance, needed));
                }
                if !(1..=1000).contains(&iterations) {
                    return Err(Error::invalid("LSUV's iterations", iterations, "1 to 1000"));
                }
                // Until a matrix of orthonormal rows can be drawn: as large, its elements independent.
                let start = Init::lecun(Family::Normal);
                return start.distribution(shape, geometry);
            }
            Init::VarianceScaling { scale, mode, family } => {
                if !(scale > 0.0 && scale.is_finite()) {
                    return Err(Error::invalid("scale", scale, "a finite number above 0"));
                }
                let variance = scale / geometry.fan(shape, mode)?;
                match family {
                    Family::Normal => Distribution::normal(variance.sqrt()),
                    Family::TruncatedNormal => {
                        Distribution::truncated_normal(variance.sqrt() / TRUNCATED_STD, 2.0)
                    }
                    Family::Uniform => Distribution::symmetric((3.0 * variance).sqrt()),
                }
            }
        };
        distribution.check()?;
        Ok(distribution)
    }
}

/// The form that the catalogue reads back to the same initializer: `normal:std=0.02,mean=0`.
impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Fixed(Distribution::Constant { value }) => write!(f, "constant:{value}"),
            Init::Fixed(Distribution::Uniform { low, high }) => write!(f, "uniform:{low},{high}"),
            Init::Fixed(Distribution::Normal { mean, std }) => {
                write!(f, "normal:std={std},mean={mean}")
            }
            Init::Fixed(Distribution::TruncatedNormal { mean, std, cut }) => {
                write!(f, "truncated_normal:std={std},mean={mean},cut={cut}")
            }
            Init::Fixed(Distribution::Words) => f.write_str("words"),
            Init::Lsuv { tolerance, iterations } => {
                write!(f, "lsuv:tolerance={tolerance},iterations={iterations}")
            }
            Init::VarianceScaling { scale, mode, family } => {
                let (mode, family) = (mode.name(), family.name());
                write!(f, "variance_scaling:scale={scale},mode={mode},distribution={family}")
            }
        }
    }
}
