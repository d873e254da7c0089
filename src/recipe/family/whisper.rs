use super::Family;
use super::blocks::{head, initializer_range};
use super::config::Config;
use super::tensors::{Tensors, normal};
use crate::Result;
use crate::init::Init;
use crate::random::Formula;

pub(super) static FAMILY: Family = Family {
    model_type: "whisper",
    description: "Whisper",
    architectures: &["WhisperForConditionalGeneration", "WhisperModel"],
    aliases: &[("num_attention_heads", "encoder_attention_heads"), ("hidden_size", "d_model")],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "Whisper");
    let width = config.size("d_model")?;
    let heads = config.size("encoder_attention_heads")?;
    config.check_divides(("d_model", width), ("encoder_attention_heads", heads))?;
    let heads = config.size("decoder_attention_heads")?;
    config.check_divides(("d_model", width), ("decoder_attention_heads", heads))?;
    let bands = config.size("num_mel_bins")?;
    let vocabulary = config.size("vocab_size")?;
    let padding = config.row("pad_token_id", Some(50_256), vocabulary)?;
    let inner = [config.size("encoder_ffn_dim")?, config.size("decoder_ffn_dim")?];
    let layers = [config.size("encoder_layers")?, config.size("decoder_layers")?];
    let positions = [config.size("max_source_positions")?, config.size("max_target_positions")?];
    let std = initializer_range(config, "init_std")?;
    let mut tensors = Tensors::new(config.dtype()?, std);
    let prefix = if head == "Model" { "" } else { "model." };
    tensors.within(prefix, |model| {
        model.within("encoder.", |encoder| {
            for (name, inputs) in [("conv1", bands), ("conv2", width)] {
                encoder.add(&format!("{name}.weight"), &[width, inputs, 3], normal(std))?;
                encoder.zeros(&format!("{name}.bias"), width)?;
            }
            let table = Formula::Sinusoidal { base: 10_000.0, halves: true, closed: true };
            let dims = [positions[0], width];
            encoder.add("embed_positions.weight", &dims, Init::Table(table))?;
            encoder.layers("layers", 0..layers[0], |layer| block(layer, width, inner[0], false))?;
            encoder.layer_norm("layer_norm", width)
        })?;
        model.within("decoder.", |decoder| {
            decoder.padded_embedding("embed_tokens", vocabulary, width, padding)?;
            decoder.embedding("embed_positions", positions[1], width)?;
            decoder.layers("layers", 0..layers[1], |layer| block(layer, width, inner[1], true))?;
            decoder.layer_norm("layer_norm", width)
        })
    })?;
    if head == "ForConditionalGeneration" && !config.flag("tie_word_embeddings", true)? {
        tensors.linear("proj_out", vocabulary, width, false)?;
    }
    Ok(tensors)
}

/// A layer, which in the decoder looks at the encoder too.
fn block(layer: &mut Tensors, width: u64, inner: u64, looks: bool) -> Result<()> {
    for name in ["self_attn", "encoder_attn"].iter().take(1 + usize::from(looks)) {
        for (part, bias) in [("k", false), ("v", true), ("q", true), ("out", true)] {
            layer.linear(&format!("{name}.{part}_proj"), width, width, bias)?;
        }
        layer.layer_norm(&format!("{name}_layer_norm"), width)?;
    }
    layer.linear("fc1", inner, width, true)?;
    layer.linear("fc2", width, inner, true)?;
    layer.layer_norm("final_layer_norm", width)
}
