use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "mistral",
    description: "Mistral",
    architectures: decoders!("Mistral"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { key_value_heads: Some(8), ..Defaults::NONE };
    Decoder::read(config, defaults)?.dense(config, head(class, "Mistral"))
}
