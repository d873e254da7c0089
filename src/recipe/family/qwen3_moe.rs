use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "qwen3_moe",
    description: "Qwen 3, experts in its layers",
    architectures: decoders!("Qwen3Moe"),
    aliases: &[("num_local_experts", "num_experts")],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let defaults = Defaults { key_value_heads: Some(4), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    let bias = config.flag("attention_bias", false)?;
    let decoder = Decoder { bias: (bias, bias), query_norm: true, ..decoder };
    let width = config.size("moe_intermediate_size")?;
    let experts = config.count_or("num_experts", 128)?;
    let step = config.size_or("decoder_sparse_step", 1)?;
    let dense = config.numbers("mlp_only_layers")?;
    let is_sparse =
        |layer: u64| experts > 0 && (layer + 1).is_multiple_of(step) && !dense.contains(&layer);
    decoder.class(config, head(class, "Qwen3Moe"), |model| {
        model.layers_of_two("layers", decoder.layers, is_sparse, |layer, is_sparse| {
            decoder.attention(layer)?;
            if is_sparse {
                layer.linear("mlp.gate", experts, decoder.hidden, false)?;
                layer
                    .layers("mlp.experts", 0..experts, |expert| decoder.gated("", width, expert))?;
            } else {
                decoder.gated("mlp.", decoder.intermediate, layer)?;
            }
            decoder.norms(layer)
        })
    })
}
