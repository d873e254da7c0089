//! What families have in common: the decoders that came after LLaMA, the encoders that came after BERT.

use super::config::Config;
use super::tensors::Tensors;
use crate::Result;

/// `initializer_range`, and what transformers' layers take of it: 0.02 where it is 0.
pub(super) fn initializer_range(config: &Config<'_>, name: &'static str) -> Result<f64> {
    initializer_range_or(config, name, 0.02)
}

/// The same of a class that has another where nothing is said.
pub(super) fn initializer_range_or(
    config: &Config<'_>,
    name: &'static str,
    absent: f64,
) -> Result<f64> {
    let std = config.number(name, absent)?;
    // `config.initializer_range or 0.02`, in `PreTrainedModel._init_weights`.
    Ok(if std == 0.0 { 0.02 } else { std })
}

/// The class without its family's prefix is what stands upon the model.
pub(super) fn head<'a>(class: &'a str, prefix: &str) -> &'a str {
    class.strip_prefix(prefix).unwrap_or(class)
}

/// What GPT's classes have upon the model, the head of a language model aside.
pub(super) fn gpt_head(
    tensors: &mut Tensors,
    config: &Config<'_>,
    head: &str,
    hidden: u64,
) -> Result<()> {
    match head {
        "ForSequenceClassification" => tensors.linear("score", config.labels()?, hidden, false),
        "ForTokenClassification" => tensors.linear("classifier", config.labels()?, hidden, true),
        "ForQuestionAnswering" => tensors.linear("qa_outputs", 2, hidden, true),
        _ => Ok(()),
    }
}

/// A decoder after LLaMA: attention with rotary positions, gated layers, norms without a bias.
pub(super) struct Decoder {
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
    pub(super) layers: u64,
    pub(super) heads: u64,
    pub(super) key_value_heads: u64,
    pub(super) head_dim: u64,
    /// Of queries, keys and values, and of what they come to.
    pub(super) bias: (bool, bool),
    pub(super) mlp_bias: bool,
    /// What norms hold: 1, or 0 where 1 is added to it.
    pub(super) norm: f64,
    /// Whether queries and keys have norms of their own.
    pub(super) query_norm: bool,
    /// Whether what is added to the residual stream has norms of its own.
    pub(super) post_norms: bool,
    pub(super) vocabulary: u64,
    pub(super) padding: Option<u64>,
    pub(super) tied: bool,
    pub(super) std: f64,
}

/// What a class of a config leaves out.
pub(super) struct Defaults {
    /// Absent: as many as there are queries.
    pub(super) key_value_heads: Option<u64>,
    /// Absent: the hidden size by the number of heads.
    pub(super) head_dim: Option<u64>,
    pub(super) padding: Option<u64>,
    pub(super) tied: bool,
}

impl Defaults {
    /// Most classes'.
    pub(super) const NONE: Defaults =
        Defaults { key_value_heads: None, head_dim: None, padding: None, tied: false };
}

impl Decoder {
    pub(super) fn read(config: &Config<'_>, defaults: Defaults) -> Result<Decoder> {
        let hidden = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        let head_dim = match config.optional_size("head_dim")?.or(defaults.head_dim) {
            Some(head_dim) => head_dim,
            None => {
                let whole = ("hidden_size", hidden);
                config.check_divides(
                    whole,
                    ("num_attention_heads, where no head_dim is given", heads),
                )?;
                hidden / heads
            }
        };
        // Where it is null, `__post_init__` takes the number of heads; where it is not there, the class's.
        let key_value_heads = match config.optional_size("num_key_value_heads")? {
            Some(given) => given,
            None if config.has("num_key_value_heads") => heads,
            None => defaults.key_value_heads.unwrap_or(heads),
        };
        config.check_divides(
            ("num_attention_heads", heads),
            ("num_key_value_heads", key_value_heads),
        )?;
        let vocabulary = config.size("vocab_size")?;
        Ok(Decoder {
            hidden,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            heads,
            key_value_heads,
            head_dim,
            bias: (false, false),
            mlp_bias: false,
            norm: 1.0,
            query_norm: false,
            post_norms: false,
            vocabulary,
            padding: config.row("pad_token_id", defaults.padding, vocabulary)?,
            tied: config.flag("tie_word_embeddings", defaults.tied)?,
            std: initializer_range(config, "initializer_range")?,
        })
    }

    /// What some classes' `validate_architecture` wants, be the size of a head given or not.
    pub(super) fn check_heads(&self, config: &Config<'_>) -> Result<()> {
        let heads = ("num_attention_heads", self.heads);
        config.check_divides(("hidden_size", self.hidden), heads)
    }

    /// The whole of a class: the model, its layers as `layers` lists them, and the head upon it.
    pub(super) fn class(
        &self,
        config: &Config<'_>,
        head: &str,
        layers: impl FnOnce(&mut Tensors) -> Result<()>,
    ) -> Result<Tensors> {
        let mut tensors = Tensors::new(config.dtype()?, self.std);
        let prefix = match head {
            "Model" => "",
            // It kept the name that GPT-2's has.
            "ForQuestionAnswering" => "transformer.",
            _ => "model.",
        };
        self.model(&mut tensors, prefix, layers)?;
        match head {
            "ForCausalLM" if !self.tied => {
                tensors.linear("lm_head", self.vocabulary, self.hidden, false)?;
            }
            "ForSequenceClassification" => {
                tensors.linear("score", config.labels()?, self.hidden, false)?;
            }
            "ForTokenClassification" => {
                tensors.linear("score", config.labels()?, self.hidden, true)?;
            }
            "ForQuestionAnswering" => tensors.linear("qa_outputs", 2, self.hidden, true)?,
            _ => {}
        }
        Ok(tensors)
    }

    /// The model itself, its names after a prefix.
    pub(super) fn model(
        &self,
        tensors: &mut Tensors,
        prefix: &str,
        layers: impl FnOnce(&mut Tensors) -> Result<()>,
    ) -> Result<()> {
        tensors.within(prefix, |model| {
            // Of a model in a model, it is its own.
            model.std = self.std;
            model.padded_embedding("embed_tokens", self.vocabulary, self.hidden, self.padding)?;
            layers(model)?;
            model.rms_norm("norm", self.hidden, self.norm)
        })
    }

    /// [`Decoder::class`] of layers that are all alike.
    pub(super) fn dense(&self, config: &Config<'_>, head: &str) -> Result<Tensors> {
        self.class(config, head, |model| self.layers_of(model))
    }

    /// Layers that are all alike.
    pub(super) fn layers_of(&self, model: &mut Tensors) -> Result<()> {
        model.layers("layers", 0..self.layers, |layer| {
            self.attention(layer)?;
            self.gated("mlp.", self.intermediate, layer)?;
            self.norms(layer)
        })
    }

    pub(super) fn attention(&self, layer: &mut Tensors) -> Result<()> {
        let (queries, keys) = (self.heads * self.head_dim, self.key_value_heads * self.head_dim);
        let (bias, output_bias) = self.bias;
        layer.within("self_attn.", |attention| {
            attention.linear("q_proj", queries, self.hidden, bias)?;
            attention.linear("k_proj", keys, self.hidden, bias)?;
            attention.linear("v_proj", keys, self.hidden, bias)?;
            attention.linear("o_proj", self.hidden, queries, output_bias)?;
            if self.query_norm {
                attention.rms_norm("q_norm", self.head_dim, self.norm)?;
                attention.rms_norm("k_norm", self.head_dim, self.norm)?;
            }
            Ok(())
        })
    }

    /// A gated layer of some width, its names after a prefix.
    pub(super) fn gated(&self, prefix: &str, width: u64, layer: &mut Tensors) -> Result<()> {
        let (hidden, bias) = (self.hidden, self.mlp_bias);
        layer.linear(&format!("{prefix}gate_proj"), width, hidden, bias)?;
        layer.linear(&format!("{prefix}up_proj"), width, hidden, bias)?;
        layer.linear(&format!("{prefix}down_proj"), hidden, width, bias)
    }

    pub(super) fn norms(&self, layer: &mut Tensors) -> Result<()> {
        layer.rms_norm("input_layernorm", self.hidden, self.norm)?;
        layer.rms_norm("post_attention_layernorm", self.hidden, self.norm)?;
        if self.post_norms {
            layer.rms_norm("pre_feedforward_layernorm", self.hidden, self.norm)?;
            layer.rms_norm("post_feedforward_layernorm", self.hidden, self.norm)?;
        }
        Ok(())
    }
}

/// The classes of a family after LLaMA.
macro_rules! decoders {
    ($prefix:literal) => {
        &[
            concat!($prefix, "ForCausalLM"),
            concat!($prefix, "Model"),
            concat!($prefix, "ForSequenceClassification"),
            concat!($prefix, "ForTokenClassification"),
        ]
    };
}
pub(super) use decoders;

/// An encoder after BERT.
pub(super) struct Encoder {
    pub(super) hidden: u64,
    pub(super) vocabulary: u64,
    intermediate: u64,
    layers: u64,
    positions: u64,
    types: u64,
    pub(super) padding: Option<u64>,
    pub(super) tied: bool,
    std: f64,
}

impl Encoder {
    pub(super) fn read(config: &Config<'_>, padding: u64) -> Result<Encoder> {
        let hidden = config.size("hidden_size")?;
        let heads = config.size("num_attention_heads")?;
        config.check_divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
        config.refuse("add_cross_attention")?;
        let vocabulary = config.size("vocab_size")?;
        Ok(Encoder {
            hidden,
            vocabulary,
            intermediate: config.size("intermediate_size")?,
            layers: config.size("num_hidden_layers")?,
            positions: config.size("max_position_embeddings")?,
            types: config.size("type_vocab_size")?,
            padding: config.row("pad_token_id", Some(padding), vocabulary)?,
            tied: config.flag("tie_word_embeddings", true)?,
            std: initializer_range(config, "initializer_range")?,
        })
    }

    /// What both families' classes have upon the model.
    pub(super) fn head(
        &self,
        tensors: &mut Tensors,
        config: &Config<'_>,
        head: &str,
    ) -> Result<()> {
        match head {
            "ForTokenClassification" => {
                tensors.linear("classifier", config.labels()?, self.hidden, true)
            }
            "ForMultipleChoice" => tensors.linear("classifier", 1, self.hidden, true),
            // As many as there are labels, of which there are two where nobody says how many.
            "ForQuestionAnswering" => {
                tensors.linear("qa_outputs", config.labels()?, self.hidden, true)
            }
            _ => Ok(()),
        }
    }

    /// The model under a prefix; `positions` is the row of its positions that is zeros.
    pub(super) fn model(
        &self,
        config: &Config<'_>,
        prefix: &str,
        has_pooler: bool,
        padded_positions: bool,
    ) -> Result<Tensors> {
        let mut tensors = Tensors::new(config.dtype()?, self.std);
        let hidden = self.hidden;
        tensors.within(prefix, |model| {
            model.within("embeddings.", |embeddings| {
                let words = "word_embeddings";
                embeddings.padded_embedding(words, self.vocabulary, hidden, self.padding)?;
                let padding = match (self.padding, padded_positions) {
                    (Some(row), true) if row >= self.positions => {
                        let needed = format!(
                            "a row of the {} of max_position_embeddings too",
                            self.positions
                        );
                        return Err(config.wrong("pad_token_id", &row.into(), needed));
                    }
                    (padding, padded) => padding.filter(|_| padded),
                };
                embeddings.padded_embedding(
                    "position_embeddings",
                    self.positions,
                    hidden,
                    padding,
                )?;
                embeddings.embedding("token_type_embeddings", self.types, hidden)?;
                embeddings.layer_norm("LayerNorm", hidden)
            })?;
            model.layers("encoder.layer", 0..self.layers, |layer| {
                for name in ["query", "key", "value"] {
                    layer.linear(&format!("attention.self.{name}"), hidden, hidden, true)?;
                }
                layer.linear("attention.output.dense", hidden, hidden, true)?;
                layer.layer_norm("attention.output.LayerNorm", hidden)?;
                layer.linear("intermediate.dense", self.intermediate, hidden, true)?;
                layer.linear("output.dense", hidden, self.intermediate, true)?;
                layer.layer_norm("output.LayerNorm", hidden)
            })?;
            if has_pooler { model.linear("pooler.dense", hidden, hidden, true) } else { Ok(()) }
        })?;
        Ok(tensors)
    }
}
