use super::Family;
use super::blocks::{Decoder, Defaults, decoders, head};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;
use crate::random::Dtype;

pub(super) static FAMILY: Family = Family {
    model_type: "deepseek_v3",
    description: "DeepSeek-V3 and R1: latent attention, shared and routed experts",
    architectures: decoders!("DeepseekV3"),
    aliases: &[("num_local_experts", "n_routed_experts")],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    // Its heads are sized by fields of their own, and `head_dim` is the part that turns.
    let heads = config.size("num_attention_heads")?;
    let turned = config.size("qk_rope_head_dim")?;
    let defaults = Defaults { head_dim: Some(turned), ..Defaults::NONE };
    let decoder = Decoder::read(config, defaults)?;
    let hidden = decoder.hidden;
    let bias = config.flag("attention_bias", false)?;
    let plain = config.size("qk_nope_head_dim")?;
    let value = config.size("v_head_dim")?;
    let latent = config.size("kv_lora_rank")?;
    let queries = heads * (plain + turned);
    let query_latent = match config.has("q_lora_rank") {
        true => config.optional_size("q_lora_rank")?,
        false => Some(config.size("q_lora_rank")?),
    };
    let experts = config.size("n_routed_experts")?;
    let groups = config.size_or("n_group", 8)?;
    config.check_divides(("n_routed_experts", experts), ("n_group", groups))?;
    let shared = config.size("n_shared_experts")?;
    let width = config.size("moe_intermediate_size")?;
    let dense = config.count_or("first_k_dense_replace", 3)?;
    // The layers of `num_nextn_predict_layers` are none that transformers has.
    decoder.class(config, head(class, "DeepseekV3"), |model| {
        model.layers_of_two(
            "layers",
            decoder.layers,
            |layer| layer >= dense,
            |layer, is_sparse| {
                layer.within("self_attn.", |attention| {
                    match query_latent {
                        None => attention.linear("q_proj", queries, hidden, false)?,
                        Some(rank) => {
                            attention.linear("q_a_proj", rank, hidden, bias)?;
                            attention.rms_norm("q_a_layernorm", rank, 1.0)?;
                            attention.linear("q_b_proj", queries, rank, false)?;
                        }
                    }
                    attention.linear("kv_a_proj_with_mqa", latent + turned, hidden, bias)?;
                    attention.rms_norm("kv_a_layernorm", latent, 1.0)?;
                    attention.linear("kv_b_proj", heads * (plain + value), latent, false)?;
                    attention.linear("o_proj", hidden, heads * value, bias)
                })?;
                if is_sparse {
                    layer.within("mlp.", |moe| {
                        moe.layers("experts", 0..experts, |expert| {
                            decoder.gated("", width, expert)
                        })?;
                        // Made in f32 whatever the model's dtype.
                        let dtype = std::mem::replace(&mut moe.dtype, Dtype::F32);
                        moe.linear("gate", experts, hidden, false)?;
                        moe.zeros("gate.e_score_correction_bias", experts)?;
                        moe.dtype = dtype;
                        decoder.gated("shared_experts.", width * shared, moe)
                    })?;
                } else {
                    decoder.gated("mlp.", decoder.intermediate, layer)?;
                }
                decoder.norms(layer)
            },
        )
    })
}
