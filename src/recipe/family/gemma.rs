use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gemma",
    description: "Gemma",
    architectures: decoders!("Gemma"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    gemma(config, 16)?.dense(config, head(class, "Gemma"))
}

/// What all Gemmas have: norms that hold what is added to 1, a row of padding, a tied head.
pub(super) fn gemma(config: &Config<'_>, key_value_heads: u64) -> Result<Decoder> {
    let (key_value_heads, head_dim) = (Some(key_value_heads), Some(256));
    let defaults = Defaults { key_value_heads, head_dim, padding: Some(0), tied: true };
    let decoder = Decoder::read(config, defaults)?;
    let bias = config.flag("attention_bias", false)?;
    Ok(Decoder { bias: (bias, bias), norm: 0.0, ..decoder })
}
