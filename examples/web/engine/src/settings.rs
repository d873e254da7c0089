//! One network, as the page sets it.

use fanin::Activation;
use fanin::init::Init;
use fanin::model::Mlp;
use serde::Deserialize;

use crate::wire::Failure;

/// Layers of weights at most.
pub const DEEPEST: u64 = 256;
/// Units of a layer at most.
pub const WIDEST: u64 = 1024;
/// Weights at most, but for those at the ends: a probe of so many takes seconds.
pub const WEIGHTS: u64 = 1 << 24;

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Settings {
    /// Layers of weights.
    pub depth: u64,
    /// Units of a layer.
    pub width: u64,
    pub activation: String,
    pub init: String,
    pub bias: String,
    pub residual: bool,
    pub norm: bool,
}

impl Settings {
    /// The network between so many inputs and outputs.
    pub fn mlp(&self, inputs: u64, outputs: u64) -> Result<Mlp, Failure> {
        let within = |what: &str, given: u64, most: u64| match given {
            given if (1..=most).contains(&given) => Ok(()),
            _ => Err(Failure::new(format!("{what}: got {given}, needed 1 to {most}"))),
        };
        within("depth", self.depth, DEEPEST)?;
        within("width", self.width, WIDEST)?;
        let weights = self.depth * self.width * self.width;
        if weights > WEIGHTS {
            let failure = Failure::new(format!(
                "depth and width: got {} x {}^2 = {weights} weights, needed at most {WEIGHTS}",
                self.depth, self.width
            ));
            return Err(Failure { field: Some("shape"), ..failure });
        }
        let activation: Activation = self.activation.parse().map_err(Failure::of("activation"))?;
        let init: Init = self.init.parse().map_err(Failure::of("init"))?;
        let bias: Init = self.bias.parse().map_err(Failure::of("bias"))?;
        let mut widths = vec![self.width; self.depth as usize + 1];
        (widths[0], widths[self.depth as usize]) = (inputs, outputs);
        let mlp = Mlp::new(widths)?.activation(activation).init(init).bias(bias);
        Ok(mlp.residual(self.residual).layer_norm(self.norm))
    }

    /// The flags that say all but its shape, with initializers of the weights.
    pub fn flags(&self, inits: &str) -> String {
        let Settings { activation, bias, residual, norm, .. } = self;
        let mut flags = format!(" --activation {} --init {}", quoted(activation), quoted(inits));
        if bias != "zeros" {
            flags += &format!(" --bias {}", quoted(bias));
        }
        flags += if *residual { " --residual" } else { "" };
        flags + if *norm { " --layer-norm" } else { "" }
    }
}

/// A word of a command line, as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=.,:/+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
