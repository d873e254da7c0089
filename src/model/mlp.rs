use std::fmt;
use std::sync::Arc;

use crate::init::{Geometry, Init};
use crate::random::{Distribution, Dtype, Source, Whole};
use crate::recipe::{Recipe, TensorSpec};
use crate::{Activation, Error, Result, Shape};

/// An initializer of the caller's: given a tensor's name and shape, its distribution, or none where
/// the network's own initializers are to decide.
pub type CustomInit = Arc<dyn Fn(&str, &Shape) -> Option<Distribution> + Send + Sync>;

/// A multilayer perceptron: `h_0 = x`, `z_i = W_i h_i + b_i`, `h_{i+1} = f(z_i)`, the last `z` being
/// the output.
///
/// With layer norm the hidden layers have `h_{i+1} = f(norm(z_i))`; with dropout of probability `p`
/// their outputs are 0 with probability `p` and `1 / (1 - p)` times as large otherwise, in training;
/// with residual connections `h_i` is added to `h_{i+1}` between hidden layers of equal width.
///
/// Its parameters are `layers.N.weight` [out, in] and `layers.N.bias`, with layer norm also
/// `layers.N.norm.weight` and `layers.N.norm.bias`; each is drawn from the stream of its name.
///
/// ```
/// use fanin::{Activation, init::Init, model::Mlp};
/// let mlp = Mlp::new([784, 512, 512, 10])?.activation(Activation::Gelu).dropout(0.1);
/// assert_eq!(mlp.recipe()?.elements(), 784 * 512 + 512 * 512 + 512 * 10 + 512 + 512 + 10);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone)]
pub struct Mlp {
    widths: Vec<u64>,
    activation: Activation,
    weights: Vec<Init>,
    biases: Vec<Init>,
    custom: Option<CustomInit>,
    residual: bool,
    layer_norm: bool,
    /// Of the scales in layers with a residual connection.
    norm_init: Option<Init>,
    /// The hidden widths that the learning rate and the initializers are meant for.
    pub(super) mup_base: Option<Vec<u64>>,
    dropout: f64,
}

impl Mlp {
    /// A network of these widths, input and output included: ReLU, He's normal weights, biases of 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are fewer than two widths, or one is 0.
    pub fn new(widths: impl Into<Vec<u64>>) -> Result<Self> {
        let widths = widths.into();
        let layers = widths.len().saturating_sub(1);
        // Indices within a layer are 32-bit on a device.
        let sound = |width: &u64| (1..=1 << 24).contains(width);
        if layers == 0 || !widths.iter().all(sound) {
            let needed = "an input and an output width at least, each from 1 to 2^24";
            return Err(Error::invalid("widths", format!("{widths:?}"), needed));
        }
        let he =
            Init::he(crate::init::FanMode::FanIn, Activation::Relu, crate::init::Family::Normal);
        Ok(Mlp {
            widths,
            activation: Activation::Relu,
            weights: vec![he; layers],
            biases: vec![Init::zeros(); layers],
            custom: None,
            residual: false,
            layer_norm: false,
            norm_init: None,
            mup_base: None,
            dropout: 0.0,
        })
    }

    /// The nonlinearity of the hidden layers.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The initializer of every layer's weights.
    pub fn init(mut self, init: Init) -> Self {
        self.weights.fill(init);
        self
    }

    /// The initializer of one layer's weights; layers that do not exist are left alone.
    pub fn init_layer(mut self, layer: usize, init: Init) -> Self {
        if let Some(slot) = self.weights.get_mut(layer) {
            *slot = init;
        }
        self
    }

    /// The initializer of every bias.
    pub fn bias(mut self, init: Init) -> Self {
        self.biases.fill(init);
        self
    }

    /// An initializer of the caller's, asked first, for each tensor by its name.
    pub fn custom_init(
        mut self,
        custom: impl Fn(&str, &Shape) -> Option<Distribution> + Send + Sync + 'static,
    ) -> Self {
        self.custom = Some(Arc::new(custom));
        self
    }

    /// Whether a hidden layer's input is added to its output where their widths are equal.
    pub fn residual(mut self, residual: bool) -> Self {
        self.residual = residual;
        self
    }

    /// Whether hidden layers normalize what goes into the nonlinearity (Ba et al. 2016).
    pub fn layer_norm(mut self, layer_norm: bool) -> Self {
        self.layer_norm = layer_norm;
        self
    }

    /// The initializer of the scale `g` in `h_{i+1} = f(g norm(z_i) + s) + h_i`: of the layer norm of
    /// the layers with a residual connection. It is 1 where nothing is given, as it always is in the
    /// layers without a connection, and the shift `s` is 0.
    ///
    /// With [`Init::zeros`] each such layer starts as `h_{i+1} = h_i + f(0)`: the identity where
    /// `f(0) = 0`, so that a network starts as deep as its other layers are, however many it has
    /// ("zero gamma": Goyal et al. 2017, *Accurate, Large Minibatch SGD*, section 5.1). The layer
    /// joins in as `g` learns, at the rate `f'(0)`, so `f` needs a slope at 0: ReLU's here is 0, and
    /// such a layer would stay out for good.
    ///
    /// [`Mlp::recipe`] says where it cannot be: without layer norm or a residual connection between
    /// layers of equal width, or where all scales are 0 and so is `f'(0)`.
    pub fn norms(mut self, init: Init) -> Self {
        self.norm_init = Some(init);
        self
    }

    /// The probability with which a hidden unit falls in training (Srivastava et al. 2014).
    pub fn dropout(mut self, probability: f64) -> Self {
        self.dropout = probability;
        self
    }

    /// The widths, input and output included.
    pub fn widths(&self) -> &[u64] {
        &self.widths
    }

    /// How many layers of weights there are.
    pub fn layers(&self) -> usize {
        self.widths.len() - 1
    }

    /// The nonlinearity.
    pub fn nonlinearity(&self) -> Activation {
        self.activation
    }

    pub(crate) fn normalized(&self, layer: usize) -> bool {
        self.layer_norm && layer + 1 < self.layers()
    }

    /// Whether the input of `layer` is added to its output.
    pub(crate) fn skips(&self, layer: usize) -> bool {
        self.residual
            && (1..self.layers() - 1).contains(&layer)
            && self.widths[layer] == self.widths[layer + 1]
    }

    /// Whether hidden layers of equal width add their input to their output.
    pub(crate) fn has_residual(&self) -> bool {
        self.residual
    }

    /// Whether hidden layers normalize.
    pub(crate) fn has_layer_norm(&self) -> bool {
        self.layer_norm
    }

    /// The tolerance and the iterations of a layer whose weights are to give unit variance.
    pub(crate) fn lsuv(&self, layer: usize) -> Result<Option<(f64, u32)>> {
        let Init::Lsuv { tolerance, iterations } = self.weights[layer] else { return Ok(None) };
        let shape = form(&self.widths, layer, false)?.0;
        let name = format!("layers.{layer}.weight");
        // What the caller gives stays as it is.
        let own = self.custom.as_ref().and_then(|custom| custom(&name, &shape));
        Ok(own.is_none().then_some((tolerance, iterations)))
    }

    /// The network with its last hidden layer twice; none where it has none, or where the caller's own
    /// initializer knows layers by their names.
    pub(crate) fn deepened(&self) -> Option<Mlp> {
        let last = self.layers().checked_sub(2)?;
        if self.custom.is_some() {
            return None;
        }
        fn twice<T: Copy>(list: &mut Vec<T>, at: usize) {
            list.insert(at, list[at]);
        }
        let mut deeper = self.clone();
        twice(&mut deeper.widths, last + 1);
        twice(&mut deeper.weights, last);
        twice(&mut deeper.biases, last);
        if let Some(base) = &mut deeper.mup_base {
            // One for each hidden layer, or one for all.
            if base.len() > 1 {
                twice(base, last);
            }
        }
        Some(deeper)
    }

    /// The initializer of a layer's weights, where the caller's own does not decide.
    pub(crate) fn weights(&self, layer: usize) -> Init {
        self.weights[layer]
    }

    /// The network with these instead of the initializers that it has, the caller's own included.
    pub(crate) fn with(&self, init: Init, bias: Option<Init>) -> Mlp {
        let mut other = self.clone().init(init);
        other.custom = None;
        if let Some(bias) = bias {
            other.biases.fill(bias);
        }
        other
    }

    /// The network of the same kind with these widths, as many as it has.
    pub(crate) fn with_widths(&self, widths: Vec<u64>) -> Mlp {
        Mlp { widths, ..self.clone() }
    }

    /// Multiply-adds of a step over so many rows: forward, and back to weights and to signals.
    pub(crate) fn multiply_adds(&self, rows: usize) -> f64 {
        let pairs = self.widths.windows(2);
        let weights: f64 = pairs.map(|pair| pair[0] as f64 * pair[1] as f64).sum();
        3.0 * weights * rows as f64
    }

    /// The initializers of weights and of biases, each named once where layers have the same.
    pub(super) fn initializers(&self) -> [String; 2] {
        let names = |inits: &[Init]| {
            let mut names: Vec<String> = inits.iter().map(Init::to_string).collect();
            names.dedup();
            names.join(", ")
        };
        match self.custom {
            Some(_) => ["custom", "custom"].map(str::to_owned),
            None => [names(&self.weights), names(&self.biases)],
        }
    }

    pub(super) fn dropout_probability(&self) -> f64 {
        self.dropout
    }

    /// What tells it from other networks, for checkpoints.
    pub(super) fn architecture(&self) -> String {
        let widths: Vec<String> = self.widths.iter().map(u64::to_string).collect();
        let mut text = format!("{} {}", widths.join("-"), self.activation);
        if self.residual {
            text += ", residual";
        }
        if self.layer_norm {
            text += ", layer norm";
        }
        if let Some(base) = &self.mup_base {
            let base: Vec<String> = base.iter().map(u64::to_string).collect();
            text += &format!(", muP from {}", base.join("-"));
        }
        text
    }

    /// Its tensors with their distributions: what [`crate::recipe::write`] writes is, bit for bit,
    /// what training starts from.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an initializer does not fit a tensor, the dropout's probability is
    /// not within 0..1, muP's base widths do not fit, or [`Mlp::norms`] has nothing to initialize or leaves layers that can never
    /// learn.
    pub fn recipe(&self) -> Result<Recipe> {
        let tensors = self.by_layer()?.into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Recipe { name: "mlp".into(), description: Some(self.architecture()), tensors })
    }

    /// The recipe's tensors, each with its layer.
    pub(crate) fn by_layer(&self) -> Result<Vec<(usize, TensorSpec)>> {
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::invalid("dropout", self.dropout, "0 or more, below 1"));
        }
        self.check_norms()?;
        let base = self.base_widths()?;
        let mut tensors = Vec::new();
        for layer in 0..self.layers() {
            let mut add = |part: &str, init: Init| {
                let name = format!("layers.{layer}.{part}");
                let place = || format!("tensor `{name}`");
                let vector = part != "weight";
                let (shape, geometry) = form(&self.widths, layer, vector)?;
                let own = self.custom.as_ref().and_then(|custom| custom(&name, &shape));
                if vector && matches!(init, Init::Lsuv { .. }) && own.is_none() {
                    let needed = "another initializer: weights alone are scaled to unit variance";
                    return Err(Error::invalid(place(), init, needed));
                }
                let init = match own {
                    Some(own) => Init::Fixed(own),
                    None if self.mup_base.is_none() => init,
                    None if matches!(init, Init::Lsuv { .. }) => {
                        let needed = "another initializer: unit variance is no part of muP, whose \
                                      outputs shrink with the width";
                        return Err(Error::invalid(place(), format!("{init} with muP"), needed));
                    }
                    None if base == self.widths => init,
                    None => {
                        let (shape, geometry) = form(&base, layer, vector)?;
                        let (role, ratio) = self.role(layer, vector)?;
                        let base = init.source(&shape, &geometry);
                        let base = base.map_err(|error| error.at(place()))?;
                        let by = 1.0 / role.std_multiplier(ratio);
                        Init::from(&match base {
                            Source::Elements(_) => base.scaled_down(by),
                            // These are what they are at any width.
                            Source::Whole(Whole::Identity { .. } | Whole::Dirac { .. }) => base,
                            // These scale themselves to the width; what is left is the role's.
                            Source::Whole(_) => {
                                let (shape, geometry) = form(&self.widths, layer, vector)?;
                                let here = init.source(&shape, &geometry)?;
                                here.scaled_down(here.std() / base.std() * by)
                            }
                        })
                    }
                };
                let source = init.source(&shape, &geometry).map_err(|error| error.at(place()))?;
                let dtype = Dtype::F32;
                source.check_dtype(dtype).map_err(|error| error.at(place()))?;
                let init = init.to_string();
                let tensor = TensorSpec { name, shape, dtype, init, source, geometry };
                tensors.push((layer, tensor));
                Ok::<(), Error>(())
            };
            add("weight", self.weights[layer])?;
            add("bias", self.biases[layer])?;
            if self.normalized(layer) {
                let scale = self.norm_init.filter(|_| self.skips(layer)).unwrap_or(Init::ones());
                add("norm.weight", scale)?;
                add("norm.bias", Init::zeros())?;
            }
        }
        Ok(tensors)
    }
}

/// The shape of a layer's weights or of its vectors, in a network of these widths, and how it is read.
fn form(widths: &[u64], layer: usize, vector: bool) -> Result<(Shape, Geometry)> {
    let (inputs, outputs) = (widths[layer], widths[layer + 1]);
    let geometry = Geometry::default();
    Ok(match vector {
        false => (Shape::new([outputs, inputs])?, geometry),
        // A vector has its layer's fans.
        true => (
            Shape::new([outputs])?,
            Geometry { fan_in: Some(inputs), fan_out: Some(outputs), ..geometry },
        ),
    })
}

impl Mlp {
    fn check_norms(&self) -> Result<()> {
        let Some(init) = self.norm_init else { return Ok(()) };
        if !(0..self.layers()).any(|layer| self.skips(layer) && self.normalized(layer)) {
            let needed =
                "layer norm and a residual connection between hidden layers of equal width";
            return Err(Error::invalid("initializer of norms", init, needed));
        }
        let f = self.activation;
        if init == Init::zeros() && f.derivative(0.0) == 0.0 {
            let given = format!("{init} with {f}, whose slope at 0 is 0");
            let needed = "other scales, or a nonlinearity with a slope at 0 (gelu, silu, tanh)";
            return Err(Error::invalid("initializer of norms", given, needed));
        }
        Ok(())
    }
}

impl fmt::Debug for Mlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mlp({})", self.architecture())
    }
}
