use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "llama",
    description: "LLaMA, Llama 2 and 3, and what is built as they are",
    architectures: decoders!("Llama"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let decoder = Decoder::read(config, Defaults::NONE)?;
    decoder.check_heads(config)?;
    let bias = config.flag("attention_bias", false)?;
    let mlp_bias = config.flag("mlp_bias", false)?;
    Decoder { bias: (bias, bias), mlp_bias, ..decoder }.dense(config, head(class, "Llama"))
}
