use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::Optimizer;
use super::layers::{Layer, Named, ParameterKind, ParameterSpec, Residual, Theory, weighs};
use super::tape::{Memory, Signal, Tape, two_of};
use crate::init::{self, Init};
use crate::random::{Distribution, Dtype, Source, Whole};
use crate::recipe::{Recipe, TensorSpec};
use crate::{Activation, Error, Result, Shape};

/// An initializer of the caller's: given a tensor's name and shape, its distribution, or none where
/// the network's own initializers are to decide.
pub type CustomInit = Arc<dyn Fn(&str, &Shape) -> Option<Distribution> + Send + Sync>;

/// A network: the shape of a row of inputs, and layers that follow each other.
///
/// A parameter's name is its layer's and its own (`layers.0.weight`), and each is drawn from the stream
/// of its name. [`Mlp`](super::Mlp) makes perceptrons, [`Network::parse`] what is written.
///
/// ```
/// use fanin::model::Network;
/// use fanin::model::layers::{ActivationLayer, Dense};
/// use fanin::{Activation, Shape};
/// let network = Network::new(Shape::new([784])?)
///     .layer("layers.0", Dense::new(128))
///     .layer("layers.0.activation", ActivationLayer(Activation::Relu))
///     .layer("layers.1", Dense::new(10));
/// assert_eq!(network.recipe()?.elements(), 784 * 128 + 128 + 128 * 10 + 10);
/// # Ok::<(), fanin::Error>(())
/// ```
#[derive(Clone)]
pub struct Network {
    input: Shape,
    layers: Vec<Named>,
    /// In place of what layers say of their weights and biases.
    weights: Option<Init>,
    biases: Option<Init>,
    custom: Option<CustomInit>,
    /// The network that the learning rate and the initializers are meant for.
    base: Option<Box<Network>>,
    /// What it is called, and what tells it from others.
    text: Option<(&'static str, String)>,
}

/// A tensor of a network.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// The stage that it belongs to.
    pub stage: usize,
    pub kind: ParameterKind,
    pub spec: TensorSpec,
    /// The tolerance and the iterations, where it is to give unit variance.
    pub lsuv: Option<(f64, u32)>,
    /// muP's role and ratio.
    pub mup: (init::Role, f64),
}

/// What a walk through a network comes to.
pub(crate) enum Event<'a> {
    /// A layer, with the shape that it is given. Those within it come next.
    Enter(&'a Named, &'a Shape),
    /// The end of a layer that has others within it.
    Leave,
}

impl Network {
    /// A network that puts out what it is given.
    pub fn new(input: Shape) -> Network {
        Network {
            input,
            layers: Vec::new(),
            weights: None,
            biases: None,
            custom: None,
            base: None,
            text: None,
        }
    }

    /// The network with one more layer at its end.
    pub fn layer(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Network {
        self.layers.push(Named::new(name, layer));
        self
    }

    /// The network with another named layer at its end.
    pub(super) fn named(mut self, named: Named) -> Network {
        self.layers.push(named);
        self
    }

    /// The initializer of every layer's weights, in place of the layers' own.
    pub fn init(mut self, init: Init) -> Network {
        self.weights = Some(init);
        self
    }

    /// The initializer of every bias, in place of the layers' own.
    pub fn bias(mut self, init: Init) -> Network {
        self.biases = Some(init);
        self
    }

    /// An initializer of the caller's, asked first, for each tensor by its name.
    pub fn custom_init(
        self,
        custom: impl Fn(&str, &Shape) -> Option<Distribution> + Send + Sync + 'static,
    ) -> Network {
        self.customized(Some(Arc::new(custom)))
    }

    pub(super) fn customized(mut self, custom: Option<CustomInit>) -> Network {
        self.custom = custom;
        self
    }

    /// The network in the maximal update parametrization (muP: Yang et al. 2022, *Tensor Programs V*,
    /// table 3), relative to a base network of the same layers with other widths. With
    /// `ratio = width / base width` of what a layer's inputs (a first layer's outputs) are,
    ///
    /// | | std at first | Adam's, AdamW's rate | SGD's rate |
    /// |---|---|---|---|
    /// | first weights, biases, norms | base's | `lr` | `lr ratio` |
    /// | hidden weights | base's `/ sqrt(ratio)` | `lr / ratio` | `lr` |
    /// | output weights | base's `/ ratio` | `lr / ratio` | `lr / ratio` |
    ///
    /// where the base's std is what the initializer gives the base network's tensor (a constant has
    /// none, and stays): the hidden variances are 1 / fan_in still, the output's falls as 1 / fan_in^2,
    /// and at the base widths nothing differs from the standard parametrization. Steps then change the layers' outputs by
    /// as much at every width, so that the best learning rate of the base network is, to first
    /// order, that of a wide one; in the standard parametrization the change grows with the width.
    ///
    /// The weight decay is divided by the factor on the rate, as the authors' `mup` package has it:
    /// AdamW's decay `lr weight_decay` a step, and SGD's, is the same at every width. What
    /// [`Network::custom_init`] gives is taken as it is.
    ///
    /// [`Network::recipe`] says where the base network has other layers.
    pub fn mup(mut self, base: Network) -> Network {
        self.base = Some(Box::new(base));
        self
    }

    /// Calls the network something.
    pub(super) fn called(mut self, what: &'static str, text: String) -> Network {
        self.text = Some((what, text));
        self
    }

    /// The shape of a row of inputs.
    pub fn input(&self) -> &Shape {
        &self.input
    }

    /// The layers, those within others left out.
    pub fn layers(&self) -> &[Named] {
        &self.layers
    }

    /// The shape of a row of outputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a layer does not fit the one before it.
    pub fn output(&self) -> Result<Shape> {
        let mut shape = self.input.clone();
        for named in &self.layers {
            shape = named.layer.output(&shape).map_err(|error| error.at(&named.name))?;
        }
        Ok(shape)
    }

    /// Goes through all layers, those within others too, in the order in which signals do.
    pub(crate) fn walk(&self, see: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        fn all(
            layers: &[Named],
            mut shape: Shape,
            see: &mut dyn FnMut(Event<'_>) -> Result<()>,
        ) -> Result<Shape> {
            for named in layers {
                let output = named.layer.output(&shape).map_err(|error| error.at(&named.name))?;
                see(Event::Enter(named, &shape))?;
                if !named.layer.within().is_empty() {
                    all(named.layer.within(), shape, see)?;
                    see(Event::Leave)?;
                }
                shape = output;
            }
            Ok(shape)
        }
        all(&self.layers, self.input.clone(), see).map(drop)
    }

    /// What the theory has to say of the layers, in order.
    fn theories(&self) -> Vec<Theory> {
        let mut found = Vec::new();
        // A layer that does not fit is told of elsewhere.
        let _ = self.walk(&mut |event| {
            if let Event::Enter(named, _) = event {
                found.push(named.layer.theory());
            }
            Ok(())
        });
        found
    }

    /// The first nonlinearity; the identity where there is none.
    pub fn nonlinearity(&self) -> Activation {
        let found = self.theories().into_iter().find_map(|theory| match theory {
            Theory::Nonlinearity(activation) => Some(activation),
            _ => None,
        });
        found.unwrap_or(Activation::Identity)
    }

    /// The initializer of the first layer's weights, where the caller's own does not decide.
    pub(crate) fn first_init(&self) -> Option<Init> {
        let parts = self.parts().ok()?;
        let first = parts.into_iter().find(|(.., part)| part.is_weight())?;
        Some(self.weights.unwrap_or(first.2.init))
    }

    /// The nonlinearity of each stage; the identity where it has none.
    pub(crate) fn activations(&self) -> Result<Vec<Activation>> {
        let mut found: Vec<Option<Activation>> = Vec::new();
        self.walk(&mut |event| {
            let Event::Enter(named, shape) = event else { return Ok(()) };
            if weighs(named.layer.as_ref(), shape)? {
                found.push(None);
            }
            if let (Theory::Nonlinearity(activation), Some(last)) =
                (named.layer.theory(), found.last_mut())
            {
                last.get_or_insert(activation);
            }
            Ok(())
        })?;
        Ok(found.into_iter().map(|own| own.unwrap_or(Activation::Identity)).collect())
    }

    /// Whether there are residual connections.
    pub(crate) fn has_residual(&self) -> bool {
        self.theories().contains(&Theory::Residual)
    }

    /// Whether there are norms.
    pub(crate) fn has_norm(&self) -> bool {
        self.theories().contains(&Theory::Norm)
    }

    /// The greatest probability of dropout.
    pub(super) fn dropout(&self) -> f64 {
        let probability = |theory| if let Theory::Dropout(own) = theory { own } else { 0.0 };
        self.theories().into_iter().map(probability).fold(0.0, f64::max)
    }

    /// Elements of a row where they are most.
    pub(super) fn widest(&self) -> Result<u64> {
        let mut most = self.input.elements().max(self.output()?.elements());
        self.walk(&mut |event| {
            if let Event::Enter(_, shape) = event {
                most = most.max(shape.elements());
            }
            Ok(())
        })?;
        Ok(most)
    }

    /// Elements of a row of inputs, and of what each layer with weights puts out.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a layer does not fit the one before it.
    pub fn widths(&self) -> Result<Vec<u64>> {
        let mut widths = vec![self.input.elements()];
        self.walk(&mut |event| {
            if let Event::Enter(named, shape) = event
                && weighs(named.layer.as_ref(), shape)?
            {
                widths.push(named.layer.output(shape)?.elements());
            }
            Ok(())
        })?;
        Ok(widths)
    }

    /// Multiply-adds of a step over so many rows: forward, and back to weights and to signals.
    pub(crate) fn multiply_adds(&self, rows: usize) -> f64 {
        let mut sum = 0.0;
        let _ = self.walk(&mut |event| {
            if let Event::Enter(named, shape) = event {
                sum += named.layer.multiply_adds(shape);
            }
            Ok(())
        });
        3.0 * sum * rows as f64
    }

    /// Its tensors with their distributions: what [`crate::recipe::write`] writes is, bit for bit,
    /// what training starts from.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a layer does not fit the one before it, two have one name, an initializer
    /// does not fit a tensor, or muP's base network has other layers.
    pub fn recipe(&self) -> Result<Recipe> {
        let tensors: Vec<TensorSpec> =
            self.tensors()?.into_iter().map(|placed| placed.spec).collect();
        let mut names = HashSet::new();
        if let Some(twice) = tensors.iter().find(|spec| !names.insert(&spec.name)) {
            return Err(two_of(&twice.name));
        }
        let name = self.text.as_ref().map_or("network", |(what, _)| what).to_lowercase();
        Ok(Recipe { name, description: Some(self.architecture()), tensors })
    }

    /// The parts of every layer, with the layer's name and the stage that they belong to.
    fn parts(&self) -> Result<Vec<(usize, String, ParameterSpec)>> {
        let mut found: Vec<(usize, String, ParameterSpec)> = Vec::new();
        let (mut stage, mut weighed) = (0, false);
        self.walk(&mut |event| {
            let Event::Enter(named, shape) = event else { return Ok(()) };
            let parts = named.layer.parameters(shape).map_err(|error| error.at(&named.name))?;
            if parts.iter().any(ParameterSpec::is_weight) {
                stage += usize::from(weighed);
                weighed = true;
            }
            found.extend(parts.into_iter().map(|part| (stage, named.name.clone(), part)));
            Ok(())
        })?;
        Ok(found)
    }

    /// The recipe's tensors, each with its place.
    pub(crate) fn tensors(&self) -> Result<Vec<Placed>> {
        let parts = self.parts()?;
        let Some(last) = parts.iter().rev().find(|(.., part)| part.is_weight()).map(|own| own.0)
        else {
            return Err(Error::invalid("network", self.architecture(), "a layer with weights"));
        };
        let base = match &self.base {
            Some(base) => base.parts()?,
            None => parts.clone(),
        };
        let alike = |((_, a, one), (_, b, other)): (
            &(usize, String, ParameterSpec),
            &(_, String, ParameterSpec),
        )| {
            (a, one.name, one.shape.dims().len()) == (b, other.name, other.shape.dims().len())
        };
        if parts.len() != base.len() || !parts.iter().zip(&base).all(alike) {
            let given = self.base.as_ref().map_or(String::new(), |base| base.architecture());
            let needed = format!("the layers of {}", self.architecture());
            return Err(Error::invalid("muP's base network", given, needed));
        }
        let rescaled = parts.iter().zip(&base).any(|(own, base)| own.2.shape != base.2.shape);
        let mut tensors: Vec<Placed> = Vec::new();
        for ((stage, layer, part), (.., base)) in parts.into_iter().zip(base) {
            let name = format!("{layer}.{}", part.name);
            let place = || format!("tensor `{name}`");
            let mup = mup_role(&part, &base, stage, last)?;
            let chosen = match part.kind {
                ParameterKind::Weight => self.weights,
                ParameterKind::Bias => self.biases,
                ParameterKind::Scale | ParameterKind::Shift => None,
            };
            let init = chosen.unwrap_or(part.init);
            let own = self.custom.as_ref().and_then(|custom| custom(&name, &part.shape));
            let lsuv = match init {
                Init::Lsuv { tolerance, iterations } if own.is_none() => {
                    Some((tolerance, iterations))
                }
                _ => None,
            };
            if lsuv.is_some() && part.kind != ParameterKind::Weight {
                let needed = "another initializer: weights alone are scaled to unit variance";
                return Err(Error::invalid(place(), init, needed));
            }
            if lsuv.is_some() && self.base.is_some() {
                let needed = "another initializer: unit variance is no part of muP, whose outputs \
                              shrink with the width";
                return Err(Error::invalid(place(), format!("{init} with muP"), needed));
            }
            let drawn = match own {
                Some(own) => Init::Fixed(own),
                None if !rescaled => init,
                None => scaled(init, &part, &base, mup).map_err(|error| error.at(place()))?,
            };
            let ParameterSpec { shape, geometry, kind, .. } = part;
            let source = drawn.source(&shape, &geometry).map_err(|error| error.at(place()))?;
            let dtype = Dtype::F32;
            source.check_dtype(dtype).map_err(|error| error.at(place()))?;
            let text = drawn.to_string();
            let spec = TensorSpec::drawn(&name, &shape, dtype, text, source, geometry);
            tensors.push(Placed { stage, kind, spec, lsuv, mup });
        }
        Ok(tensors)
    }

    /// The factor on a tensor's learning rate.
    pub(super) fn lr_multiplier((role, ratio): (init::Role, f64), optimizer: &Optimizer) -> f64 {
        match optimizer.normalizes() {
            false => role.lr_multiplier_sgd(ratio),
            true => role.lr_multiplier_adam(ratio),
        }
    }

    /// Records the network for batches of so many rows; the seed is dropout's.
    pub(crate) fn wire(
        &self,
        batch: usize,
        seed: u64,
        target_columns: usize,
        memory: Memory,
    ) -> Result<(Tape, Signal)> {
        let (mut tape, mut signal) = Tape::new(&self.input, batch, seed, target_columns, memory);
        for named in &self.layers {
            signal = named.wire(&mut tape, signal).map_err(|error| error.at(&named.name))?;
        }
        Ok((tape, signal))
    }

    /// The network with the layers of its last hidden stage twice; none where it has none, where they do
    /// not follow on themselves, or where the caller's own initializer knows layers by their names.
    pub(crate) fn deepened(&self) -> Option<Network> {
        if self.custom.is_some() {
            return None;
        }
        let weighs = |named: &Named| -> bool {
            let within = named.layer.within();
            match within.is_empty() {
                true => named.layer.theory() == Theory::Sum,
                false => within.iter().any(|own| own.layer.theory() == Theory::Sum),
            }
        };
        let mut places = (0..self.layers.len()).filter(|at| weighs(&self.layers[*at]));
        let end = places.next_back()?;
        let start = places.next_back()?;
        // What is measured is never made, so that names do not matter.
        let mut again: Vec<Named> = self.layers[start..end].to_vec();
        if self.has_residual() && !again.iter().any(|own| own.layer.theory() == Theory::Residual) {
            again = vec![Named::new("residual", Residual(again))];
        }
        let mut deeper = self.clone();
        deeper.layers.splice(end..end, again);
        if let Some(base) = &self.base {
            deeper.base = Some(Box::new(base.deepened()?));
        }
        Some(deeper)
    }

    /// The initializers of weights and of biases, each named once where layers have the same.
    pub(super) fn initializers(&self) -> [String; 2] {
        if self.custom.is_some() {
            return ["custom", "custom"].map(str::to_owned);
        }
        let parts = self.parts().unwrap_or_default();
        let names = |kind: ParameterKind, instead: Option<Init>| {
            let own = parts.iter().filter(|(.., part)| part.kind == kind);
            let mut names: Vec<String> =
                own.map(|(.., part)| instead.unwrap_or(part.init).to_string()).collect();
            names.dedup();
            names.join(", ")
        };
        [names(ParameterKind::Weight, self.weights), names(ParameterKind::Bias, self.biases)]
    }

    /// What tells it from other networks, for checkpoints.
    pub(super) fn architecture(&self) -> String {
        match &self.text {
            Some((_, text)) => text.clone(),
            None => {
                let layers = self.layers.iter().map(|named| named.layer.to_string());
                let all: Vec<String> =
                    std::iter::once(self.input.to_string()).chain(layers).collect();
                all.join(" ")
            }
        }
    }
}

/// muP's role of a tensor, and the ratio of widths that goes with it: of a first layer's outputs, else of
/// a layer's inputs.
fn mup_role(
    part: &ParameterSpec,
    base: &ParameterSpec,
    stage: usize,
    last: usize,
) -> Result<(init::Role, f64)> {
    let fan = |own: &ParameterSpec, mode| own.geometry.fan(&own.shape, mode);
    let ratio = |mode| -> Result<f64> { Ok(fan(part, mode)? / fan(base, mode)?) };
    let elements = part.shape.elements() as f64 / base.shape.elements() as f64;
    Ok(match part.kind {
        ParameterKind::Weight if stage == last => {
            (init::Role::Output, ratio(init::FanMode::FanIn)?)
        }
        ParameterKind::Weight if stage == 0 => (init::Role::Input, ratio(init::FanMode::FanOut)?),
        ParameterKind::Weight => (init::Role::Hidden, ratio(init::FanMode::FanIn)?),
        // A vector is as long as its layer is wide.
        _ => (init::Role::Input, elements),
    })
}

/// What a tensor is drawn from in place of `init`, so that it is to the base network's as muP has it.
fn scaled(
    init: Init,
    part: &ParameterSpec,
    base: &ParameterSpec,
    (role, ratio): (init::Role, f64),
) -> Result<Init> {
    let own = init.source(&base.shape, &base.geometry)?;
    let by = 1.0 / role.std_multiplier(ratio);
    Ok(Init::from(&match own {
        Source::Elements(_) => own.scaled_down(by),
        // These are what they are at any width.
        Source::Table(_) | Source::Whole(Whole::Identity { .. } | Whole::Dirac { .. }) => own,
        // These scale themselves to the width; what is left is the role's.
        Source::Whole(_) => {
            let here = init.source(&part.shape, &part.geometry)?;
            here.scaled_down(here.std() / own.std() * by)
        }
    }))
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.text.as_ref().map_or("Network", |(what, _)| what);
        write!(f, "{what}({})", self.architecture())
    }
}
