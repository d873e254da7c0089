//! Networks as they are written: `dense:64 relu residual(dense:64 relu) dense`.

use std::collections::HashMap;
use std::sync::Arc;

use super::{ActivationLayer, ENTRIES, Layer, Named, Residual, weighs};
use crate::model::Network;
use crate::{Activation, Error, Result, Shape};

/// How a layer is written.
pub struct Entry {
    /// What it begins with.
    pub name: &'static str,
    /// All of it: `dense[:OUTPUTS]`.
    pub form: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// Makes it of what stands behind the name.
    pub(super) read: fn(&mut Arguments<'_>) -> Result<Arc<dyn Layer>>,
}

/// What stands behind a layer's name: `:16,3,stride=2`.
pub struct Arguments<'a> {
    entry: &'static Entry,
    text: &'a str,
    numbers: std::vec::IntoIter<&'a str>,
    named: Vec<(&'a str, &'a str)>,
    /// How many outputs the task has.
    pub(super) outputs: u64,
}

impl<'a> Arguments<'a> {
    fn new(entry: &'static Entry, text: &'a str, rest: Option<&'a str>, outputs: u64) -> Self {
        let parts = rest.into_iter().flat_map(|rest| rest.split(','));
        let (named, plain): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.contains('='));
        let named = named.into_iter().filter_map(|part| part.split_once('=')).collect();
        Arguments { entry, text, numbers: plain.into_iter(), named, outputs }
    }

    fn read<T: std::str::FromStr>(&self, part: &str) -> Result<T> {
        part.trim()
            .parse()
            .map_err(|_| Error::invalid(format!("layer `{}`", self.text), part, self.entry.form))
    }

    /// The next number that has no name; none where there is none left.
    pub(super) fn next<T: std::str::FromStr>(&mut self) -> Result<Option<T>> {
        self.numbers.next().map(|part| self.read(part)).transpose()
    }

    /// The next number that has no name.
    pub(super) fn needed<T: std::str::FromStr>(&mut self) -> Result<T> {
        self.next()?.ok_or_else(|| self.wrong("too few numbers"))
    }

    /// The number of a name.
    pub(super) fn named<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(at) = self.named.iter().position(|(own, _)| *own == name) else { return Ok(None) };
        let (_, part) = self.named.remove(at);
        self.read(part).map(Some)
    }

    fn wrong(&self, given: &str) -> Error {
        let Entry { name, form, .. } = self.entry;
        let needed = match name == form {
            true => format!("`{form}`, which takes no numbers"),
            false => form.to_string(),
        };
        Error::invalid(format!("layer `{}`", self.text), given, needed)
    }

    fn done(mut self) -> Result<()> {
        match (self.numbers.next(), self.named.first()) {
            (None, None) => Ok(()),
            (Some(more), _) => Err(self.wrong(more)),
            (None, Some((name, number))) => Err(self.wrong(&format!("{name}={number}"))),
        }
    }
}

/// Layers as written, not yet named.
enum Written {
    Layer(&'static str, Arc<dyn Layer>),
    Residual(Vec<Written>),
}

impl Network {
    /// A network as it is written: layers that follow each other, with spaces between them. Each is the
    /// form of one of [`ENTRIES`], a nonlinearity's name (`leaky_relu:0.2`), or `residual(...)` with
    /// layers within. `dense` without a number has `outputs` outputs.
    ///
    /// Layers with weights are called `layers.0`, `layers.1`, ... in order, and the others by the one
    /// before them: `layers.0.norm`. Where the first layer takes pictures and `input` is a vector, it is a
    /// square picture of one channel.
    ///
    /// ```
    /// use fanin::{Shape, model::Network};
    /// let text = "dense:64 relu residual(norm dense:64 gelu) dense";
    /// let network = Network::parse(Shape::new([8])?, 3, text)?;
    /// assert_eq!(network.recipe()?.elements(), 8 * 64 + 64 + 2 * 64 + 64 * 64 + 64 + 64 * 3 + 3);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unknown`] for a name that no layer has; [`Error::Invalid`] for numbers that do not fit a
    /// layer, a parenthesis without its other, or no layers.
    pub fn parse(input: Shape, outputs: u64, text: &str) -> Result<Network> {
        let written = read_all(text, outputs, DEEPEST)?;
        if written.is_empty() {
            return Err(Error::invalid("network", "no layers", "`dense`, or more"));
        }
        let input = match &written[0] {
            Written::Layer(_, layer) => pictured(input, layer.as_ref())?,
            Written::Residual(_) => input,
        };
        let mut names = Names::default();
        let mut shape = input.clone();
        let mut network = Network::new(input);
        for one in written {
            let named = names.give(one, &mut shape)?;
            network = network.named(named);
        }
        Ok(network)
    }
}

/// A vector as a square picture of one channel, where a layer takes that and no vector.
fn pictured(input: Shape, layer: &dyn Layer) -> Result<Shape> {
    let side = input.elements().isqrt();
    let square = input.dims().len() == 1 && side * side == input.elements();
    if !square || layer.output(&input).is_ok() {
        return Ok(input);
    }
    let picture = Shape::new([side, side, 1])?;
    Ok(if layer.output(&picture).is_ok() { picture } else { input })
}

/// Connections within connections, at most.
const DEEPEST: usize = 32;

fn read_all(text: &str, outputs: u64, deeper: usize) -> Result<Vec<Written>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(within) = rest.strip_prefix("residual(") {
            let end = closing(within)
                .ok_or_else(|| Error::invalid("network", rest, "a `)` for each `(`"))?;
            let deeper = deeper.checked_sub(1).ok_or_else(|| {
                let needed = format!("at most {DEEPEST} within each other");
                Error::invalid("network: residual(...)", "too many", needed)
            })?;
            found.push(Written::Residual(read_all(&within[..end], outputs, deeper)?));
            rest = &within[end + 1..];
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            found.push(read_one(&rest[..end], outputs)?);
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

/// Where the parenthesis ends that is open at the start.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

fn read_one(text: &str, outputs: u64) -> Result<Written> {
    let (name, rest) = match text.split_once(':') {
        Some((name, rest)) => (name, Some(rest)),
        None => (text, None),
    };
    if let Some(entry) = ENTRIES.iter().copied().find(|entry| entry.name == name) {
        let mut arguments = Arguments::new(entry, text, rest, outputs);
        let layer = (entry.read)(&mut arguments)?;
        arguments.done()?;
        return Ok(Written::Layer(entry.name, layer));
    }
    let known = Activation::ALL.iter().any(|activation| activation.name() == name);
    match text.parse::<Activation>() {
        Ok(activation) => Ok(Written::Layer("activation", Arc::new(ActivationLayer(activation)))),
        Err(error) if known => Err(error),
        Err(_) => {
            let names = ENTRIES.iter().map(|entry| entry.name).chain(["residual"]);
            Err(Error::unknown("layer", name, names.chain(Activation::ALL.map(|own| own.name()))))
        }
    }
}

/// What layers are called.
#[derive(Default)]
struct Names {
    weighed: usize,
    seen: HashMap<String, usize>,
}

impl Names {
    /// A name of its own for a layer, by the layer with weights before it.
    fn beside(&mut self, kind: &str) -> String {
        let name = match self.weighed {
            0 => format!("input.{kind}"),
            weighed => format!("layers.{}.{kind}", weighed - 1),
        };
        let seen = self.seen.entry(name.clone()).or_default();
        *seen += 1;
        match *seen {
            1 => name,
            more => format!("{name}{more}"),
        }
    }

    /// Names a layer that is given rows of `shape`, which becomes that of what it puts out.
    fn give(&mut self, one: Written, shape: &mut Shape) -> Result<Named> {
        match one {
            Written::Residual(within) => {
                let name = self.beside("residual");
                let named = within.into_iter().map(|own| self.give(own, shape));
                Ok(Named::new(name, Residual(named.collect::<Result<_>>()?)))
            }
            Written::Layer(kind, layer) => {
                let output = layer.output(shape);
                let output = output.map_err(|error| error.at(format!("layer `{layer}`")))?;
                let weighs = weighs(layer.as_ref(), shape)?;
                let name = match weighs {
                    true => format!("layers.{}", self.weighed),
                    false => self.beside(kind),
                };
                self.weighed += usize::from(weighs);
                *shape = output;
                Ok(Named { name, layer })
            }
        }
    }
}
