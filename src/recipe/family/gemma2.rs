use super::Family;
use super::blocks::{Decoder, decoders, head};
use super::config::Config;
use super::gemma::gemma;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gemma2",
    description: "Gemma 2",
    architectures: decoders!("Gemma2"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let decoder = gemma(config, 4)?;
    decoder.check_heads(config)?;
    Decoder { post_norms: true, ..decoder }.dense(config, head(class, "Gemma2"))
}
