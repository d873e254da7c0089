use std::fmt;

use super::{FanMode, Geometry};
use crate::random::{ConvKernel, Distribution, Formula, Source, Table, Whole};
use crate::theory::Scales;
use crate::{Activation, Error, Layout, Result, Shape};

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
    /// Variance `scale / fan^power`.
    VarianceScaling {
        /// The variance times the fan's power: for a power of 1 the square of the gain.
        scale: f64,
        /// 1 but for SIREN's first layer and muP's last, whose variances fall as `1 / fan^2`.
        power: f64,
        /// Which fan.
        mode: FanMode,
        /// Which distribution has that variance.
        family: Family,
    },
    /// `gain` where row and column are equal, else 0; matrices alone.
    Identity {
        /// The value on the diagonal.
        gain: f64,
    },
    /// `gain` from each channel to itself at the centre of a convolution, group by group, else 0.
    Dirac {
        /// The value at the centre.
        gain: f64,
    },
    /// `gain` times an orthogonal matrix (Saxe et al. 2014).
    Orthogonal {
        /// The factor.
        gain: f64,
    },
    /// `gain` times an orthogonal matrix at the centre of a convolution, else 0 (Xiao et al. 2018).
    DeltaOrthogonal {
        /// The factor.
        gain: f64,
    },
    /// So many zeros in each column, else normal (Martens 2010); matrices alone.
    Sparse {
        /// The share of zeros, from 0 to 1.
        sparsity: f64,
        /// The standard deviation of the others.
        std: f64,
    },
    /// A formula of each element's place.
    Table(Formula),
    /// Layer-sequential unit variance (Mishkin and Matas 2016): weights that are scaled, layer after
    /// layer, until the layer's outputs have variance 1 on a batch of data. It starts from orthogonal
    /// matrices, which [`Init::source`] gives; the scaling takes data, so that the trainer
    /// ([`Trainer::lsuv_log`](crate::model::Trainer::lsuv_log)) and the probe do it.
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

    /// `U(low, high)`; which ends are among its values, [`Distribution::Uniform`] says.
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
        Init::VarianceScaling { scale, power: 1.0, mode, family }
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

    /// `U(-sqrt(6 / fan_in) / omega, ...)`: SIREN's hidden and last layers, whose nonlinearity is
    /// `sin(omega x)` ([`Activation::Sin`]); `omega = 30` (Sitzmann et al. 2020, section 3.2). Its
    /// variance is `2 / (omega^2 fan_in)`.
    pub const fn siren(omega: f64) -> Self {
        Init::variance_scaling(2.0 / (omega * omega), FanMode::FanIn, Family::Uniform)
    }

    /// `U(-1 / fan_in, 1 / fan_in)`: SIREN's first layer (Sitzmann et al. 2020).
    pub const fn siren_first() -> Self {
        let (scale, mode, family) = (1.0 / 3.0, FanMode::FanIn, Family::Uniform);
        Init::VarianceScaling { scale, power: 2.0, mode, family }
    }

    /// `N(0, 2 / fan_in * blocks^(-1 / (layers - 1)))`: He's normal, its std times
    /// `L^(-1 / (2 m - 2))`, for all but the last layer of each of `L` residual blocks of `m` layers
    /// (Fixup: Zhang, Dauphin and Ma 2019). The last layer of a block and the classifier are
    /// [`Init::zeros`]; scalar biases and a scalar multiplier beside them are the network's part.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no block, or fewer than two layers: a block's only layer is its last.
    pub fn fixup(blocks: f64, layers: f64) -> Result<Self> {
        let whole = |value: f64, least: f64| value >= least && value.is_finite();
        if !whole(blocks, 1.0) {
            return Err(Error::invalid("fixup's blocks", blocks, "1 or more"));
        }
        if !whole(layers, 2.0) {
            let needed = "2 or more (the last layer of a block, so the only one, is zeros)";
            return Err(Error::invalid("fixup's layers", layers, needed));
        }
        let scale = 2.0 * blocks.powf(-1.0 / (layers - 1.0));
        Ok(Init::variance_scaling(scale, FanMode::FanIn, Family::Normal))
    }

    /// Xavier's uniform times `0.67 N^(-1/4)` for the value, output and MLP weights of an encoder of
    /// `N` layers, times `(9 N)^(-1/4)` for those of a decoder, and `N(0, 1 / d)` times
    /// `(9 N)^(-1/4)` for embeddings of `d` columns (T-Fixup: Huang et al. 2020, section 3.2); queries
    /// and keys are plain Xavier.
    ///
    /// # Errors
    /// [`Error::Invalid`] for less than one layer.
    pub fn t_fixup(part: TransformerPart, layers: f64) -> Result<Self> {
        let layers = at_least_one("T-Fixup's layers", layers)?;
        let gain = (9.0 * layers).powf(-0.25);
        Ok(match part {
            TransformerPart::Encoder => Init::xavier(0.67 * layers.powf(-0.25), Family::Uniform),
            TransformerPart::Decoder => Init::xavier(gain, Family::Uniform),
            TransformerPart::Embedding => {
                Init::variance_scaling(gain * gain, FanMode::FanIn, Family::Normal)
            }
        })
    }

    /// Xavier's normal with a gain of `beta`, for the value, output and MLP weights of a post-norm
    /// Transformer whose residual connections are `alpha x + f(x)` (Wang et al. 2022, figure 2);
    /// queries and keys have a gain of 1. [`deepnorm`] gives both numbers.
    pub const fn deepnorm(beta: f64) -> Self {
        Init::xavier(beta, Family::Normal)
    }

    /// `N(0, (std / sqrt(2 layers))^2)`: what GPT-2 gives to the two weights of each layer that write
    /// into the residual stream (Radford et al. 2019, section 2.3; `std` is 0.02). In recipes,
    /// `depth` does the same to any initializer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for less than one layer.
    pub fn gpt2_residual(layers: f64, std: f64) -> Result<Self> {
        let layers = at_least_one("gpt2_residual's layers", layers)?;
        Ok(Init::normal(0.0, std / (2.0 * layers).sqrt()))
    }

    /// Variance `gain^2 / fan_in` for input and hidden weights, `gain^2 base / fan_in^2` for those of
    /// the output, `base` being its fan_in at the width where the learning rate was found: the maximal
    /// update parametrization's (Yang et al. 2022, table 3). [`Role`](super::Role) has the learning
    /// rates that go with it, and [`Network::mup`](crate::model::Network::mup) does all of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `base` is not above 0.
    pub fn mup(role: super::Role, base: f64, gain: f64) -> Result<Self> {
        if !(base > 0.0 && base.is_finite()) {
            return Err(Error::invalid("muP's base width", base, "a number above 0"));
        }
        let (mode, family) = (FanMode::FanIn, Family::Normal);
        let square = gain * gain;
        Ok(match role {
            super::Role::Input | super::Role::Hidden => {
                Init::variance_scaling(square, mode, family)
            }
            super::Role::Output => {
                Init::VarianceScaling { scale: square * base, power: 2.0, mode, family }
            }
        })
    }

    /// `N(0, sigma_w^2 / fan_in)` at the edge of chaos of a nonlinearity that holds a pre-activation
    /// variance of `q`: `sigma_w^2 = 1 / E[f'(sqrt(q) z)^2]` (Schoenholz et al. 2017;
    /// [`Scales::critical`]). The biases that go with it are [`Init::critical_bias`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where no bias holds such a variance there (sigmoid's has to be above 45).
    pub fn critical(activation: &Activation, q: f64) -> Result<Self> {
        let scales = critical(activation, q)?;
        Ok(Init::variance_scaling(scales.weight, FanMode::FanIn, Family::Normal))
    }

    /// `N(0, sigma_b^2)`, `sigma_b^2 = q - sigma_w^2 E[f(sqrt(q) z)^2]`: the biases that go with
    /// [`Init::critical`]; zeros for ReLU and its like.
    ///
    /// # Errors
    /// As [`Init::critical`].
    pub fn critical_bias(activation: &Activation, q: f64) -> Result<Self> {
        let bias = critical(activation, q)?.bias;
        Ok(if bias == 0.0 { Init::zeros() } else { Init::normal(0.0, bias.sqrt()) })
    }

    /// `-ln((1 - p) / p)`: the bias from which a sigmoid gives `p`, the share of what a detector is to find
    /// (RetinaNet: Lin et al. 2017, section 4.1; `p` is 0.01).
    ///
    /// # Errors
    /// [`Error::Invalid`] where `p` is not between 0 and 1.
    pub fn prior_probability(p: f64) -> Result<Self> {
        if !(p > 0.0 && p < 1.0) {
            let needed = "a probability above 0, below 1";
            return Err(Error::invalid("prior_probability", p, needed));
        }
        Ok(Init::constant(-libm::log((1.0 - p) / p)))
    }

    /// `N(0, 2 / (5 d))`, `d` the width of a Transformer: SmallInit (Nguyen and Salazar 2019, section 2.2;
    /// GPT-NeoX's `small_init`). Where it is not given it is the tensor's `fan_in`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a width below 1.
    pub fn small(width: Option<f64>) -> Result<Self> {
        Init::of_width("small's width", 0.4, width)
    }

    /// `N(0, (2 / (L sqrt(d)))^2)`, `d` the width of a Transformer of `L` layers: the weights that write into
    /// its residual stream (GPT-NeoX's `wang_init`, after Wang and Komatsuzaki's GPT-J). Where the width is
    /// not given it is the tensor's `fan_in`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a width or layers below 1.
    pub fn wang(layers: f64, width: Option<f64>) -> Result<Self> {
        let layers = at_least_one("wang's layers", layers)?;
        Init::of_width("wang's width", 4.0 / (layers * layers), width)
    }

    /// A normal of variance `scale / width`.
    fn of_width(what: &str, scale: f64, width: Option<f64>) -> Result<Self> {
        Ok(match width {
            Some(width) => Init::normal(0.0, (scale / at_least_one(what, width)?).sqrt()),
            None => Init::variance_scaling(scale, FanMode::FanIn, Family::Normal),
        })
    }

    /// What a tensor of this shape, read as `geometry` says, is drawn from; of stacked matrices, what each
    /// of them is.
    ///
    /// # Errors
    /// As [`Init::distribution`] and [`Table::new`]; and [`Error::Invalid`] where the shape is not one that an
    /// initializer of whole tensors takes: matrices for identity and sparse, two dimensions or more
    /// for orthogonal (all but the output's are taken together), kernels of 3 to 5 dimensions for
    /// Dirac and delta-orthogonal, the latter without groups and with no more inputs than outputs.
    pub fn source(&self, shape: &Shape, geometry: &Geometry) -> Result<Source> {
        // What is drawn element by element may be of any shape.
        let one = geometry.matrix(shape).or_else(|error| match self {
            Init::Fixed(_) | Init::VarianceScaling { .. } => Ok(shape.clone()),
            _ => Err(error),
        })?;
        let dims = one.dims();
        let matrix = |what: &str| match *dims {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(Error::invalid(what, geometry.said(shape), "a matrix: two dimensions")),
        };
        let whole = match *self {
            Init::Table(formula) => return Table::new(formula, &one).map(Source::Table),
            Init::Identity { gain } => {
                let (rows, columns) = matrix("identity")?;
                Whole::Identity { rows, columns, gain }
            }
            Init::Sparse { sparsity, std } => {
                let (rows, columns) = matrix("sparse")?;
                Whole::Sparse { rows, columns, sparsity, std }
            }
            Init::Orthogonal { .. } | Init::Lsuv { .. } => {
                let gain = if let Init::Orthogonal { gain } = *self { gain } else { 1.0 };
                self.check_lsuv()?;
                let outputs = match (dims, geometry.layout) {
                    ([first, _, ..], Layout::OutIn) => *first,
                    ([_, .., last], Layout::InOut) => *last,
                    _ => {
                        let needed =
                            "two dimensions or more: a vector has nothing to be orthogonal to";
                        return Err(Error::invalid("orthogonal", geometry.said(shape), needed));
                    }
                };
                let others = one.elements() / outputs.max(1);
                let (rows, columns) = match geometry.layout {
                    Layout::OutIn => (outputs, others),
                    Layout::InOut => (others, outputs),
                };
                Whole::Orthogonal { rows, columns, gain }
            }
            Init::Dirac { gain } => Whole::Dirac {
                kernel: kernel("dirac", shape, geometry)?,
                groups: geometry.groups,
                gain,
            },
            Init::DeltaOrthogonal { gain } => {
                if geometry.groups != 1 {
                    return Err(Error::invalid("delta_orthogonal's groups", geometry.groups, "1"));
                }
                Whole::DeltaOrthogonal {
                    kernel: kernel("delta_orthogonal", shape, geometry)?,
                    gain,
                }
            }
            Init::Fixed(_) | Init::VarianceScaling { .. } => {
                return Ok(Source::Elements(self.distribution(shape, geometry)?));
            }
        };
        whole.check()?;
        Ok(Source::Whole(whole))
    }

    fn check_lsuv(&self) -> Result<()> {
        let Init::Lsuv { tolerance, iterations } = *self else { return Ok(()) };
        if !(tolerance > 0.0 && tolerance < 1.0) {
            let needed = "more than 0, below 1";
            return Err(Error::invalid("LSUV's tolerance", tolerance, needed));
        }
        if !(1..=1000).contains(&iterations) {
            return Err(Error::invalid("LSUV's iterations", iterations, "1 to 1000"));
        }
        Ok(())
    }

    /// The distribution of each element of a tensor of this shape, read as `geometry` says.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a fan is needed and cannot be told, or where a parameter is outside
    /// what [`Distribution::check`] accepts; and for the initializers whose tensors are drawn as a
    /// whole, which [`Init::source`] gives.
    pub fn distribution(&self, shape: &Shape, geometry: &Geometry) -> Result<Distribution> {
        let distribution = match *self {
            Init::Fixed(distribution) => distribution,
            Init::VarianceScaling { scale, power, mode, family } => {
                if !(power > 0.0 && power <= 4.0) {
                    return Err(Error::invalid("power", power, "a number above 0, at most 4"));
                }
                if !(scale > 0.0 && scale.is_finite()) {
                    return Err(Error::invalid("scale", scale, "a finite number above 0"));
                }
                let variance = scale / geometry.fan(shape, mode)?.powf(power);
                match family {
                    Family::Normal => Distribution::normal(variance.sqrt()),
                    Family::TruncatedNormal => {
                        Distribution::truncated_normal(variance.sqrt() / TRUNCATED_STD, 2.0)
                    }
                    Family::Uniform => Distribution::symmetric((3.0 * variance).sqrt()),
                }
            }
            Init::Identity { .. }
            | Init::Dirac { .. }
            | Init::Orthogonal { .. }
            | Init::DeltaOrthogonal { .. }
            | Init::Sparse { .. }
            | Init::Table(_)
            | Init::Lsuv { .. } => {
                let needed = "an initializer of each element alone (Init::source gives the others)";
                return Err(Error::invalid("initializer", self, needed));
            }
        };
        distribution.check()?;
        Ok(distribution)
    }
}

/// The initializer whose tensor of that shape is this one.
impl From<&Source> for Init {
    fn from(source: &Source) -> Init {
        match *source {
            Source::Elements(distribution) => Init::Fixed(distribution),
            Source::Table(ref table) => Init::Table(table.formula()),
            Source::Whole(Whole::Identity { gain, .. }) => Init::Identity { gain },
            Source::Whole(Whole::Dirac { gain, .. }) => Init::Dirac { gain },
            Source::Whole(Whole::Orthogonal { gain, .. }) => Init::Orthogonal { gain },
            Source::Whole(Whole::DeltaOrthogonal { gain, .. }) => Init::DeltaOrthogonal { gain },
            Source::Whole(Whole::Sparse { sparsity, std, .. }) => Init::Sparse { sparsity, std },
        }
    }
}

/// A part of a Transformer that [`Init::t_fixup`] tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformerPart {
    /// Weights of the encoder.
    Encoder,
    /// Weights of the decoder.
    Decoder,
    /// Token embeddings.
    Embedding,
}

/// `(alpha, beta)` of DeepNorm (Wang et al. 2022, figure 2): residual connections are
/// `alpha x + f(x)`, and [`Init::deepnorm`] takes `beta`.
///
/// | network | part | alpha | beta |
/// |---|---|---|---|
/// | encoder or decoder of `N` layers alone | it | `(2 N)^(1/4)` | `(8 N)^(-1/4)` |
/// | encoder of `N`, decoder of `M` | encoder | `0.81 (N^4 M)^(1/16)` | `0.87 (N^4 M)^(-1/16)` |
/// | | decoder | `(3 M)^(1/4)` | `(12 M)^(-1/4)` |
///
/// `layers` are those of the part's own stack, `other` those of the other stack where there is one.
///
/// # Errors
/// [`Error::Invalid`] for less than one layer, and for embeddings, which DeepNorm leaves alone.
pub fn deepnorm(part: TransformerPart, layers: f64, other: Option<f64>) -> Result<(f64, f64)> {
    let layers = at_least_one("deepnorm's layers", layers)?;
    let other = other.map(|other| at_least_one("deepnorm's other layers", other)).transpose()?;
    Ok(match (part, other) {
        (TransformerPart::Embedding, _) => {
            return Err(Error::invalid("deepnorm's part", "embedding", "encoder or decoder"));
        }
        (_, None) => ((2.0 * layers).powf(0.25), (8.0 * layers).powf(-0.25)),
        (TransformerPart::Encoder, Some(decoder)) => {
            let product = layers.powi(4) * decoder;
            (0.81 * product.powf(1.0 / 16.0), 0.87 * product.powf(-1.0 / 16.0))
        }
        (TransformerPart::Decoder, Some(_)) => {
            ((3.0 * layers).powf(0.25), (12.0 * layers).powf(-0.25))
        }
    })
}

fn at_least_one(what: &str, value: f64) -> Result<f64> {
    let fits = value >= 1.0 && value.is_finite();
    if fits { Ok(value) } else { Err(Error::invalid(what, value, "1 or more")) }
}

fn critical(activation: &Activation, q: f64) -> Result<Scales> {
    if let Some(scales) = Scales::critical(activation, q)? {
        return Ok(scales);
    }
    // Larger variances may have one.
    let larger = (1..=40).map(|step| q * 2f64.powf(0.5 * f64::from(step)));
    let found =
        larger.into_iter().find(|&q| matches!(Scales::critical(activation, q), Ok(Some(_))));
    let needed = match found {
        Some(found) => {
            format!("a variance q that some bias holds at the edge of chaos, as {found:.0}")
        }
        None => "another nonlinearity: no bias holds any such variance at the edge of chaos".into(),
    };
    Err(Error::invalid(format!("critical {activation}"), format!("q = {q}"), needed))
}

/// A convolution's shape as its geometry reads it.
fn kernel(what: &str, shape: &Shape, geometry: &Geometry) -> Result<ConvKernel> {
    let wrong = |needed: &str| Error::invalid(what, geometry.said(shape), needed);
    let matrix = geometry.matrix(shape)?;
    let dims = matrix.dims();
    let needed = if geometry.transposed { "a plain convolution" } else { "3 to 5 dimensions" };
    if geometry.transposed || !(3..=5).contains(&dims.len()) {
        return Err(wrong(needed));
    }
    let (outputs, inputs, taps) = match (geometry.layout, dims) {
        (Layout::OutIn, [outputs, inputs, taps @ ..]) => (*outputs, *inputs, taps),
        (Layout::InOut, [taps @ .., inputs, outputs]) => (*outputs, *inputs, taps),
        _ => return Err(wrong(needed)),
    };
    let centre = taps.iter().fold(0, |index, tap| index * tap + tap / 2);
    let layout = geometry.layout;
    Ok(ConvKernel { outputs, inputs, taps: taps.iter().product(), centre, layout })
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
            Init::Identity { gain } => write!(f, "identity:{gain}"),
            Init::Dirac { gain } => write!(f, "dirac:{gain}"),
            Init::Orthogonal { gain } => write!(f, "orthogonal:{gain}"),
            Init::DeltaOrthogonal { gain } => write!(f, "delta_orthogonal:{gain}"),
            Init::Table(formula) => write!(f, "{formula}"),
            Init::Sparse { sparsity, std } => write!(f, "sparse:sparsity={sparsity},std={std}"),
            Init::VarianceScaling { scale, power, mode, family } => {
                let (mode, family) = (mode.name(), family.name());
                write!(f, "variance_scaling:scale={scale},mode={mode},distribution={family}")?;
                if *power == 1.0 { Ok(()) } else { write!(f, ",power={power}") }
            }
        }
    }
}
