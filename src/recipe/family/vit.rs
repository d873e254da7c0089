use super::Family;
use super::blocks::{head, initializer_range};
use super::config::Config;
use super::tensors::{Tensors, cut_at_two, normal};
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "vit",
    description: "Vision Transformer",
    architectures: &["ViTForImageClassification", "ViTModel"],
    aliases: &[],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "ViT");
    let hidden = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    config.check_divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
    let intermediate = config.size("intermediate_size")?;
    let layers = config.size("num_hidden_layers")?;
    let channels = config.size_or("num_channels", 3)?;
    let [height, width] = config.sizes("image_size")?;
    let [patch_height, patch_width] = config.sizes("patch_size")?;
    // What is left of a picture beside its last patch is not looked at.
    let patches = (height / patch_height) * (width / patch_width);
    let bias = config.flag("qkv_bias", true)?;
    let std = initializer_range(config, "initializer_range")?;
    let cut = cut_at_two(config.number("initializer_range", 0.02)?);
    let mut tensors = Tensors::new(config.dtype()?, std);
    let prefix = if head == "Model" { "" } else { "vit." };
    tensors.within(prefix, |model| {
        model.within("embeddings.", |embeddings| {
            embeddings.add("cls_token", &[1, 1, hidden], cut)?;
            embeddings.add("position_embeddings", &[1, patches + 1, hidden], cut)?;
            let patch = [hidden, channels, patch_height, patch_width];
            embeddings.add("patch_embeddings.projection.weight", &patch, normal(std))?;
            embeddings.zeros("patch_embeddings.projection.bias", hidden)
        })?;
        model.layers("encoder.layer", 0..layers, |layer| {
            for name in ["query", "key", "value"] {
                layer.linear(&format!("attention.attention.{name}"), hidden, hidden, bias)?;
            }
            layer.linear("attention.output.dense", hidden, hidden, true)?;
            layer.linear("intermediate.dense", intermediate, hidden, true)?;
            layer.linear("output.dense", hidden, intermediate, true)?;
            layer.layer_norm("layernorm_before", hidden)?;
            layer.layer_norm("layernorm_after", hidden)
        })?;
        model.layer_norm("layernorm", hidden)?;
        match head {
            "Model" => {
                let pooled = config.size_or("pooler_output_size", hidden)?;
                model.linear("pooler.dense", pooled, hidden, true)
            }
            _ => Ok(()),
        }
    })?;
    if head == "ForImageClassification" {
        tensors.linear("classifier", config.labels()?, hidden, true)?;
    }
    Ok(tensors)
}
