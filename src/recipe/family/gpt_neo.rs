use serde_json::Value;

use super::Family;
use super::blocks::{gpt_head, head, initializer_range};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gpt_neo",
    description: "GPT-Neo",
    architectures: &[
        "GPTNeoForCausalLM",
        "GPTNeoModel",
        "GPTNeoForSequenceClassification",
        "GPTNeoForTokenClassification",
        "GPTNeoForQuestionAnswering",
    ],
    aliases: &[("num_attention_heads", "num_heads"), ("num_hidden_layers", "num_layers")],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "GPTNeo");
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_heads")?;
    config.check_divides(("hidden_size", hidden), ("num_heads", heads))?;
    let layers = config.size("num_layers")?;
    check_attention(config, layers)?;
    let vocabulary = config.size("vocab_size")?;
    let positions = config.size("max_position_embeddings")?;
    let inner = config.size_or("intermediate_size", 4 * hidden)?;
    let std = initializer_range(config, "initializer_range")?;
    let mut tensors = Tensors::new(config.dtype()?, std);
    let prefix = if head == "Model" { "" } else { "transformer." };
    tensors.within(prefix, |model| {
        model.embedding("wte", vocabulary, hidden)?;
        model.embedding("wpe", positions, hidden)?;
        model.layers("h", 0..layers, |layer| {
            layer.layer_norm("ln_1", hidden)?;
            for name in ["k_proj", "v_proj", "q_proj"] {
                layer.linear(&format!("attn.attention.{name}"), hidden, hidden, false)?;
            }
            layer.linear("attn.attention.out_proj", hidden, hidden, true)?;
            layer.layer_norm("ln_2", hidden)?;
            layer.linear("mlp.c_fc", inner, hidden, true)?;
            layer.linear("mlp.c_proj", hidden, inner, true)
        })?;
        model.layer_norm("ln_f", hidden)
    })?;
    if head == "ForCausalLM" && !config.flag("tie_word_embeddings", true)? {
        tensors.linear("lm_head", vocabulary, hidden, false)?;
    }
    gpt_head(&mut tensors, config, head, hidden)?;
    Ok(tensors)
}

/// That `attention_types`, such as `[[["global", "local"], 12]]`, are as many as there are layers.
fn check_attention(config: &Config<'_>, layers: u64) -> Result<()> {
    let given = config.any("attention_types")?;
    let kinds = |item: &Value| {
        Some((item.get(0)?.as_array()?.len() as u64).saturating_mul(item.get(1)?.as_u64()?))
    };
    let count = match given {
        None => Some(24),
        Some(given) => given.as_array().and_then(|items| {
            items.iter().try_fold(0u64, |sum, item| Some(sum.saturating_add(kinds(item)?)))
        }),
    };
    if count == Some(layers) {
        return Ok(());
    }
    let needed = format!("lists of kinds and how often, {layers} in all, as num_layers says");
    Err(config.wrong("attention_types", given.unwrap_or(&Value::Null), needed))
}
