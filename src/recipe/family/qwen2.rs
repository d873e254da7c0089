use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen2",
    description: "Qwen 2 and 2.5",
    architectures: decoders!("Qwen2"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { key_value_heads: Some(32), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    Decoder { bias: (true, false), ..decoder }.dense(config, head(class, "Qwen2"))
}
