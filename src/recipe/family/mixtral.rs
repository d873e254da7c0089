use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "mixtral",
    description: "Mixtral, experts in each layer",
    architectures: decoders!("Mixtral"),
    aliases: &[("num_experts", "num_local_experts")],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { key_value_heads: Some(8), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    let (hidden, width) = (decoder.hidden, decoder.intermediate);
    let experts = config.size("num_local_experts")?;
    decoder.class(config, head(class, "Mixtral"), |model| {
        model.layers("layers", 0..decoder.layers, |layer| {
            decoder.attention(layer)?;
            layer.within("block_sparse_moe.", |moe| {
                moe.linear("gate", experts, hidden, false)?;
                moe.layers("experts", 0..experts, |expert| {
                    expert.linear("w1", width, hidden, false)?;
                    expert.linear("w2", hidden, width, false)?;
                    expert.linear("w3", width, hidden, false)
                })
            })?;
            decoder.norms(layer)
        })
    })
}
