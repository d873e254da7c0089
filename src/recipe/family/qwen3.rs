use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen3",
    description: "Qwen 3",
    architectures: decoders!("Qwen3"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { key_value_heads: Some(32), head_dim: Some(128), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    let bias = config.flag("attention_bias", false)?;
    Decoder { bias: (bias, bias), query_norm: true, ..decoder }.dense(config, head(class, "Qwen3"))
}
