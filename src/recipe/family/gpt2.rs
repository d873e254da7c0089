use super::super::Fused;
use super::Family;
use super::blocks::{gpt_head, head, initializer_range};
use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "gpt2",
    description: "GPT-2",
    architectures: &[
        "GPT2LMHeadModel",
        "GPT2Model",
        "GPT2ForSequenceClassification",
        "GPT2ForTokenClassification",
        "GPT2ForQuestionAnswering",
    ],
    aliases: &[
        ("hidden_size", "n_embd"),
        ("max_position_embeddings", "n_positions"),
        ("num_attention_heads", "n_head"),
        ("num_hidden_layers", "n_layer"),
    ],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "GPT2");
    let hidden = config.size("n_embd")?;
    let heads = config.size("n_head")?;
    config.check_divides(("n_embd", hidden), ("n_head", heads))?;
    let layers = config.size("n_layer")?;
    let vocabulary = config.size("vocab_size")?;
    let positions = config.size("n_positions")?;
    let inner = config.size_or("n_inner", 4 * hidden)?;
    config.refuse("add_cross_attention")?;
    // `Conv1D` takes 0 as it is; embeddings and the head take 0.02 then.
    let plain = config.number("initializer_range", 0.02)?;
    let std = initializer_range(config, "initializer_range")?;
    let mut tensors = Tensors::new(config.dtype()?, std);
    let prefix = if head == "Model" { "" } else { "transformer." };
    tensors.within(prefix, |model| {
        model.embedding("wte", vocabulary, hidden)?;
        model.embedding("wpe", positions, hidden)?;
        model.std = plain;
        // Two of each layer write into the residual stream.
        let depth = Some(2 * layers);
        model.layers("h", 0..layers, |layer| {
            layer.layer_norm("ln_1", hidden)?;
            layer.transposed("attn.c_attn", hidden, 3 * hidden, None)?;
            layer.fused(Fused::equal(3));
            layer.transposed("attn.c_proj", hidden, hidden, depth)?;
            layer.layer_norm("ln_2", hidden)?;
            layer.transposed("mlp.c_fc", hidden, inner, None)?;
            layer.transposed("mlp.c_proj", inner, hidden, depth)
        })?;
        model.layer_norm("ln_f", hidden)
    })?;
    if head == "LMHeadModel" && !config.flag("tie_word_embeddings", true)? {
        tensors.linear("lm_head", vocabulary, hidden, false)?;
    }
    gpt_head(&mut tensors, config, head, hidden)?;
    Ok(tensors)
}
