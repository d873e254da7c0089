use super::super::Fused;
use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "phi3",
    description: "Phi-3 and Phi-4 of text",
    architectures: decoders!("Phi3"),
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { padding: Some(32_000), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    let Decoder { hidden, intermediate, heads, key_value_heads, head_dim, .. } = decoder;
    decoder.class(config, head(class, "Phi3"), |model| {
        model.layers("layers", 0..decoder.layers, |layer| {
            let lengths = [heads, key_value_heads, key_value_heads].map(|heads| heads * head_dim);
            let fused = lengths.iter().sum();
            layer.linear("self_attn.o_proj", hidden, heads * head_dim, false)?;
            layer.linear("self_attn.qkv_proj", fused, hidden, false)?;
            layer.fused(Fused::lengths(lengths));
            layer.linear("mlp.gate_up_proj", 2 * intermediate, hidden, false)?;
            layer.fused(Fused::equal(2));
            layer.linear("mlp.down_proj", hidden, intermediate, false)?;
            decoder.norms(layer)
        })
    })
}
