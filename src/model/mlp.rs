use std::fmt;
use std::sync::Arc;

use super::layers::{ActivationLayer, Dense, DropoutLayer, LayerNorm, Named, Residual};
use super::network::{CustomInit, Network};
use crate::init::Init;
use crate::random::Distribution;
use crate::recipe::Recipe;
use crate::{Activation, Error, Result, Shape};

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
    mup_base: Option<Vec<u64>>,
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

    /// What tells it from other networks, for checkpoints.
    fn architecture(&self) -> String {
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
        self.network()?.recipe()
    }

    /// The network in the maximal update parametrization (muP: Yang et al. 2022, *Tensor Programs V*,
    /// table 3), relative to a base network with these hidden widths: one for each hidden layer, or
    /// one for all. With `ratio = width / base width` of what a layer's inputs (a first layer's
    /// outputs) are,
    ///
    /// | | std at first | Adam's, AdamW's rate | SGD's rate |
    /// |---|---|---|---|
    /// | first weights, biases, norms | base's | `lr` | `lr ratio` |
    /// | hidden weights | base's `/ sqrt(ratio)` | `lr / ratio` | `lr` |
    /// | output weights | base's `/ ratio` | `lr / ratio` | `lr / ratio` |
    ///
    /// where the base's std is what the initializer gives the base network's tensor (a constant has
    /// none, and stays): the hidden
    /// variances are 1 / fan_in still, the output's falls as 1 / fan_in^2, and at the base widths
    /// nothing differs from the standard parametrization. Steps then change the layers' outputs by
    /// as much at every width, so that the best learning rate of the base network is, to first
    /// order, that of a wide one; in the standard parametrization the change grows with the width.
    ///
    /// The weight decay is divided by the factor on the rate, as the authors' `mup` package has it:
    /// AdamW's decay `lr weight_decay` a step, and SGD's, is the same at every width. What
    /// [`Mlp::custom_init`] gives is taken as it is.
    ///
    /// [`Mlp::recipe`] says where base widths do not fit the network.
    ///
    /// ```
    /// use fanin::{init::Role, model::Mlp};
    /// let narrow = Mlp::new([784, 64, 64, 10])?.mup([64]);
    /// let wide = Mlp::new([784, 1024, 1024, 10])?.mup([64]);
    /// let std = |mlp: &Mlp, at: usize| Ok::<_, fanin::Error>(mlp.recipe()?.tensors[at].source.std());
    /// // The output's weights, the fifth tensor: a sixteenth, where 1 / sqrt(fan_in) has a fourth.
    /// assert!((std(&wide, 4)? * 16.0 / std(&narrow, 4)? - 1.0).abs() < 1e-12);
    /// assert_eq!(Role::Hidden.lr_multiplier_adam(16.0), 1.0 / 16.0);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    pub fn mup(mut self, base_widths: impl Into<Vec<u64>>) -> Self {
        self.mup_base = Some(base_widths.into());
        self
    }

    /// The base network's widths, input and output included; its own without muP.
    fn base_widths(&self) -> Result<Vec<u64>> {
        let mut widths = self.widths().to_vec();
        let Some(base) = &self.mup_base else { return Ok(widths) };
        let layers = self.layers();
        let hidden = &mut widths[1..layers];
        if base.contains(&0) || !(base.len() == 1 || base.len() == hidden.len()) {
            let needed = match hidden.len() {
                0 | 1 => "one hidden width of 1 or more".to_owned(),
                hidden => format!("one hidden width of 1 or more, or {hidden}"),
            };
            return Err(Error::invalid("muP's base widths", format!("{base:?}"), needed));
        }
        for (width, base) in hidden.iter_mut().zip(base.iter().cycle()) {
            *width = *base;
        }
        Ok(widths)
    }

    /// Its layers: for each hidden one a [`Dense`] layer, a norm, a nonlinearity and dropout, within a
    /// residual connection where there is one, and a last [`Dense`] layer.
    ///
    /// # Errors
    /// As [`Mlp::recipe`].
    pub fn network(&self) -> Result<Network> {
        self.check_norms()?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::invalid("dropout", self.dropout, "0 or more, below 1"));
        }
        let network = self.of_widths(&self.widths)?.called("Mlp", self.architecture());
        Ok(match &self.mup_base {
            Some(_) => network.mup(self.of_widths(&self.base_widths()?)?),
            None => network,
        })
    }

    fn of_widths(&self, widths: &[u64]) -> Result<Network> {
        let mut network = Network::new(Shape::new([widths[0]])?).customized(self.custom.clone());
        for layer in 0..self.layers() {
            let name = |what: &str| format!("layers.{layer}{what}");
            let (weight, bias) = (self.weights[layer], Some(self.biases[layer]));
            let dense = Dense { outputs: widths[layer + 1], weight, bias };
            let mut own = vec![Named::new(name(""), dense)];
            if self.normalized(layer) {
                let scale = self.norm_init.filter(|_| self.skips(layer)).unwrap_or(Init::ones());
                own.push(Named::new(name(".norm"), LayerNorm { scale }));
            }
            if layer + 1 < self.layers() {
                own.push(Named::new(name(".activation"), ActivationLayer(self.activation)));
                if self.dropout > 0.0 {
                    own.push(Named::new(name(".dropout"), DropoutLayer(self.dropout)));
                }
            }
            if self.skips(layer) {
                own = vec![Named::new(name(".residual"), Residual(own))];
            }
            network = own.into_iter().fold(network, Network::named);
        }
        Ok(network)
    }
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

impl TryFrom<&Mlp> for Network {
    type Error = Error;

    fn try_from(mlp: &Mlp) -> Result<Network> {
        mlp.network()
    }
}

/// A copy, which cannot fail.
impl TryFrom<&Network> for Network {
    type Error = Error;

    fn try_from(network: &Network) -> Result<Network> {
        Ok(network.clone())
    }
}
