use super::Family;
use super::blocks::{gpt_head, head, initializer_range};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gpt_neox",
    description: "GPT-NeoX, Pythia",
    architectures: &[
        "GPTNeoXForCausalLM",
        "GPTNeoXModel",
        "GPTNeoXForSequenceClassification",
        "GPTNeoXForTokenClassification",
        "GPTNeoXForQuestionAnswering",
    ],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "GPTNeoX");
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    config.check_divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
    let layers = config.size("num_hidden_layers")?;
    let inner = config.size("intermediate_size")?;
    let vocabulary = config.size("vocab_size")?;
    let bias = config.flag("attention_bias", true)?;
    let std = initializer_range(config, "initializer_range")?;
    let mut tensors = Tensors::new(config.dtype()?, std);
    let prefix = if head == "Model" { "" } else { "gpt_neox." };
    tensors.within(prefix, |model| {
        model.embedding("embed_in", vocabulary, hidden)?;
        model.layers("layers", 0..layers, |layer| {
            layer.layer_norm("input_layernorm", hidden)?;
            layer.layer_norm("post_attention_layernorm", hidden)?;
            // Head by head its query, key and value: no three parts that follow one another.
            layer.linear("attention.query_key_value", 3 * hidden, hidden, bias)?;
            layer.linear("attention.dense", hidden, hidden, bias)?;
            layer.linear("mlp.dense_h_to_4h", inner, hidden, true)?;
            layer.linear("mlp.dense_4h_to_h", hidden, inner, true)
        })?;
        model.layer_norm("final_layer_norm", hidden)
    })?;
    if head == "ForCausalLM" && !config.flag("tie_word_embeddings", false)? {
        tensors.linear("embed_out", vocabulary, hidden, false)?;
    }
    gpt_head(&mut tensors, config, head, hidden)?;
    Ok(tensors)
}
