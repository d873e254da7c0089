use super::Family;
use super::blocks::head;
use super::config::Config;
use super::tensors::{Tensors, normal};
use crate::Result;

pub(super) static FAMILY: Family = Family {
    model_type: "t5",
    description: "T5, T5 1.1 and Flan-T5",
    architectures: &["T5ForConditionalGeneration", "T5Model", "T5EncoderModel"],
    aliases: &[
        ("hidden_size", "d_model"),
        ("num_attention_heads", "num_heads"),
        ("num_hidden_layers", "num_layers"),
        ("head_dim", "d_kv"),
    ],
    tensors,
};

fn tensors(config: &Config<'_>, class: &str) -> Result<Tensors> {
    let head = head(class, "T5");
    let layers = config.size("num_layers")?;
    let decoder_layers = config.size_or("num_decoder_layers", layers)?;
    let vocabulary = config.size("vocab_size")?;
    let stack = Stack {
        width: config.size("d_model")?,
        inner: config.size("d_ff")?,
        heads: config.size("num_heads")?,
        head_dim: config.size("d_kv")?,
        buckets: config.size_or("relative_attention_num_buckets", 32)?,
        is_gated: is_gated(config)?,
        factor: config.number("initializer_factor", 1.0)?,
    };
    // The head is the embedding whatever `tie_word_embeddings` says, which is about a scale.
    let _ = config.flag("tie_word_embeddings", true)?;
    let mut tensors = Tensors::new(config.dtype()?, stack.factor);
    tensors.embedding("shared", vocabulary, stack.width)?;
    stack.list(&mut tensors, "encoder", layers, false)?;
    if head != "EncoderModel" {
        stack.list(&mut tensors, "decoder", decoder_layers, true)?;
    }
    Ok(tensors)
}

/// Whether the layers are gated, as `gated-gelu` says: a word before the nonlinearity's name.
fn is_gated(config: &Config<'_>) -> Result<bool> {
    let text = config.text("feed_forward_proj")?.unwrap_or("relu");
    match text.split('-').collect::<Vec<_>>()[..] {
        [_] => Ok(false),
        ["gated", _] => Ok(true),
        _ => {
            let needed = "a nonlinearity, or `gated-` and one";
            Err(config.wrong("feed_forward_proj", &text.into(), needed))
        }
    }
}

struct Stack {
    width: u64,
    inner: u64,
    heads: u64,
    head_dim: u64,
    buckets: u64,
    is_gated: bool,
    factor: f64,
}

impl Stack {
    /// The encoder or the decoder.
    fn list(&self, model: &mut Tensors, name: &str, layers: u64, looks: bool) -> Result<()> {
        model.within(&format!("{name}."), |stack| {
            // The first layer has the positions for all.
            for (range, has_positions) in [(0..1, true), (1..layers, false)] {
                stack.layers("block", range, |block| self.block(block, looks, has_positions))?;
            }
            stack.rms_norm("final_layer_norm", self.width, self.factor)
        })
    }

    fn block(&self, block: &mut Tensors, looks: bool, has_positions: bool) -> Result<()> {
        block.within("layer.0.", |part| {
            self.attention(part, "SelfAttention", has_positions)?;
            part.rms_norm("layer_norm", self.width, self.factor)
        })?;
        if looks {
            block.within("layer.1.", |part| {
                self.attention(part, "EncDecAttention", false)?;
                part.rms_norm("layer_norm", self.width, self.factor)
            })?;
        }
        block.within(if looks { "layer.2." } else { "layer.1." }, |part| {
            let (inward, outward) = (self.scale(self.width), self.scale(self.inner));
            let names: &[&str] = if self.is_gated { &["wi_0", "wi_1"] } else { &["wi"] };
            for name in names {
                let name = format!("DenseReluDense.{name}");
                part.linear_of(&name, self.inner, self.width, false, normal(inward))?;
            }
            part.linear_of("DenseReluDense.wo", self.width, self.inner, false, normal(outward))?;
            part.rms_norm("layer_norm", self.width, self.factor)
        })
    }

    fn attention(&self, part: &mut Tensors, name: &str, has_positions: bool) -> Result<()> {
        let inner = self.heads * self.head_dim;
        part.within(&format!("{name}."), |attention| {
            // Queries have the scale that others give to the product of queries and keys.
            for (name, fan) in
                [("q", self.width * self.head_dim), ("k", self.width), ("v", self.width)]
            {
                attention.linear_of(name, inner, self.width, false, normal(self.scale(fan)))?;
            }
            attention.linear_of("o", self.width, inner, false, normal(self.scale(inner)))?;
            if has_positions {
                let dims = [self.buckets, self.heads];
                let init = normal(self.scale(self.width));
                attention.add("relative_attention_bias.weight", &dims, init)?;
            }
            Ok(())
        })
    }

    fn scale(&self, fan: u64) -> f64 {
        self.factor * (fan as f64).powf(-0.5)
    }
}
