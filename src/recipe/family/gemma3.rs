use super::Family;
use super::blocks::{head, initializer_range};
use super::config::Config;
use super::gemma3_text::decoder;
use super::tensors::{Tensors, cut_at_two, normal};
use crate::Result;
use crate::init::{Family as Shape, Init, TRUNCATED_STD};

pub(super) static FAMILY: Family = Family {
    model_type: "gemma3",
    description: "Gemma 3, of text and pictures",
    architectures: &["Gemma3ForConditionalGeneration", "Gemma3Model"],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    // What the files on the hub leave to the class.
    let text =
        config.part("text_config", &[("vocab_size", 262_208), ("num_attention_heads", 8)])?;
    let pictures = config.part("vision_config", &[("num_channels", 3)])?;
    let decoder = decoder(&text)?;
    let std = initializer_range(config, "initializer_range")?;
    let mut tensors = Tensors::new(config.dtype()?, std);
    let width = tower(&mut tensors, &pictures)?;
    tensors.within("multi_modal_projector.", |projector| {
        let dims = [width, decoder.hidden];
        projector.add("mm_input_projection_weight", &dims, Init::zeros())?;
        projector.rms_norm("mm_soft_emb_norm", width, 0.0)
    })?;
    decoder.model(&mut tensors, "language_model.model.", |model| decoder.layers_of(model))?;
    let is_whole = head(class, "Gemma3") == "ForConditionalGeneration";
    if is_whole && !config.flag("tie_word_embeddings", true)? {
        tensors.linear("language_model.lm_head", decoder.vocabulary, decoder.hidden, false)?;
    }
    text.check_spelling()?;
    pictures.check_spelling()?;
    Ok(tensors)
}

/// SigLIP's tower of pictures, and how wide it is.
fn tower(tensors: &mut Tensors, config: &Config<'_>) -> Result<u64> {
    if let Some(other) = config.any("model_type")?.filter(|kind| *kind != "siglip_vision_model") {
        return Err(config.wrong("model_type", other, "siglip_vision_model"));
    }
    if config.flag("vision_use_head", true)? {
        let needed = "false: what it adds is not known here";
        return Err(config.wrong("vision_use_head", &true.into(), needed));
    }
    let width = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    config.check_divides(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let channels = config.size("num_channels")?;
    let [size] = config.sizes("image_size")?;
    let [patch] = config.sizes("patch_size")?;
    let places = (size / patch) * (size / patch);
    let xavier = Init::xavier(1.0, Shape::Uniform);
    tensors.within("vision_tower.", |tower| {
        tower.within("embeddings.", |embeddings| {
            let dims = [width, channels, patch, patch];
            // `lecun_normal_` allows for a cut at twice the std that `trunc_normal_` makes at 2.
            let std = ((channels * patch * patch) as f64).powf(-0.5) / TRUNCATED_STD;
            embeddings.add("patch_embedding.weight", &dims, cut_at_two(std))?;
            embeddings.zeros("patch_embedding.bias", width)?;
            let (name, std) = ("position_embedding.weight", (width as f64).powf(-0.5));
            embeddings.add(name, &[places, width], normal(std))
        })?;
        tower.layers("encoder.layers", 0..layers, |layer| {
            layer.layer_norm("layer_norm1", width)?;
            for name in ["q", "k", "v", "out"] {
                layer.linear_of(&format!("self_attn.{name}_proj"), width, width, true, xavier)?;
            }
            layer.layer_norm("layer_norm2", width)?;
            for (name, outputs, inputs) in [("mlp.fc1", inner, width), ("mlp.fc2", width, inner)] {
                layer.linear_of(name, outputs, inputs, false, xavier)?;
                layer.add(&format!("{name}.bias"), &[outputs], normal(1e-6))?;
            }
            Ok(())
        })?;
        tower.layer_norm("post_layernorm", width)
    })?;
    Ok(width)
}
