use super::Family;
use super::blocks::{Decoder, head};
use super::config::Config;
use super::gemma::gemma;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gemma3_text",
    description: "Gemma 3, of text alone",
    architectures: &["Gemma3ForCausalLM", "Gemma3TextModel", "Gemma3TextForSequenceClassification"],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "Gemma3");
    let head = head.strip_prefix("Text").unwrap_or(head);
    decoder(config)?.dense(config, head)
}

/// The decoder of Gemma 3.
pub(super) fn decoder(config: &Config<'_>) -> Result<Decoder> {
    let decoder = gemma(config, 4)?;
    decoder.check_heads(config)?;
    Ok(Decoder { post_norms: true, query_norm: true, ..decoder })
}
