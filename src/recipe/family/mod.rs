//! Model families: what a config.json of Hugging Face's transformers stands for.
//!
//! A family is a file here and a line in [`FAMILIES`]: a function that reads a config's fields and lists
//! the tensors that `save_pretrained` would write, each with what transformers itself draws it from.
//! `benches/peers/families.py` has transformers say what those are.

mod bert;
mod blocks;
mod config;
mod deepseek_v3;
mod gemma;
mod gemma2;
mod gemma3;
mod gemma3_text;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod llama;
mod mamba;
mod mistral;
mod mixtral;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod roberta;
mod t5;
mod tensors;
mod vit;
mod whisper;

use std::path::Path;

use serde_json::{Map, Value};

use config::Config;
use tensors::Tensors;

use super::{MAX_TEXT, Recipe, TensorSpec, read_text};
use crate::{Error, Result};

static FAMILIES: [&Family; 21] = [
    &gpt2::FAMILY,
    &gpt_neo::FAMILY,
    &gpt_neox::FAMILY,
    &llama::FAMILY,
    &mistral::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &gemma::FAMILY,
    &gemma2::FAMILY,
    &gemma3_text::FAMILY,
    &gemma3::FAMILY,
    &phi3::FAMILY,
    &mixtral::FAMILY,
    &qwen3_moe::FAMILY,
    &deepseek_v3::FAMILY,
    &bert::FAMILY,
    &roberta::FAMILY,
    &vit::FAMILY,
    &whisper::FAMILY,
    &t5::FAMILY,
    &mamba::FAMILY,
];

/// A family of models that Hugging Face's transformers knows, by the `model_type` of its config.json.
pub struct Family {
    /// As config.json has it.
    pub model_type: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// The classes whose tensors are known, as `architectures` has them. The first is the one that is
    /// meant where a config.json names none.
    pub architectures: &'static [&'static str],
    /// Other names of fields, and the fields: transformers' `attribute_map`.
    aliases: &'static [(&'static str, &'static str)],
    /// The tensors of a class of its.
    tensors: fn(&Config<'_>, &str) -> Result<Tensors>,
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Family").field(&self.model_type).finish()
    }
}

/// The families whose config.json [`ModelConfig`] reads.
pub fn families() -> impl Iterator<Item = &'static Family> {
    FAMILIES.into_iter()
}

/// A model that a config.json of Hugging Face's transformers describes.
///
/// Its tensors are those that transformers' `save_pretrained` writes of the class that `architectures`
/// names (of several the first; of none the family's usual one), by the same names and shapes: experts
/// apart, a weight that is tied to another once. Each is drawn from what transformers draws it from where
/// it makes the model anew: `initializer_range`, scales by depth, norms, biases, rows of padding. The
/// dtype is `dtype`'s or `torch_dtype`'s, or f32.
///
/// ```
/// use fanin::recipe::ModelConfig;
/// let text = r#"{
///     "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32000,
///     "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 2, "num_attention_heads": 4
/// }"#;
/// let config = ModelConfig::parse(text, "config.json")?;
/// let recipe = config.recipe()?;
/// assert_eq!(recipe.tensors[1].name, "model.layers.0.self_attn.q_proj.weight");
/// assert_eq!(recipe.tensors[1].source.std(), 0.02);
/// # Ok::<(), fanin::Error>(())
/// ```
pub struct ModelConfig {
    /// The family that `model_type` names.
    pub family: &'static Family,
    /// The class.
    pub architecture: &'static str,
    /// What was passed over, or taken for want of a word on it, in a line each.
    pub notes: Vec<String>,
    tensors: Tensors,
}

impl ModelConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Invalid`] where it is longer than 100,000,000
    /// bytes, and as [`ModelConfig::parse`].
    pub fn read(path: &Path) -> Result<ModelConfig> {
        ModelConfig::parse(&read_text(path, MAX_TEXT)?, &path.display().to_string())
    }

    /// Reads the text of a config.json; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a `model_type` or a class that is not among [`families`];
    /// [`Error::Invalid`], which names the field, for text that is no JSON object, a size that is missing,
    /// a value of another type, of a wrong sign or out of range, sizes of which one is not a multiple of
    /// another as it has to be, a tensor of more elements than can be counted, and a name that is so near
    /// that of a field that is not there that it is taken for a slip. Other fields that do not matter here
    /// are passed over, as transformers does.
    pub fn parse(text: &str, path: &str) -> Result<ModelConfig> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::invalid(path, format!("text that is not JSON ({error})"), "a config.json")
        })?;
        let Value::Object(fields) = value else {
            return Err(Error::invalid(path, "JSON that is no object", "a config.json"));
        };
        let (family, architecture, note) = named(path, &fields)?;
        let config = Config::new(path, &fields, family.aliases);
        note.into_iter().for_each(|note| config.note(note));
        let place = |error: Error| match error {
            // Of a field, which names the file itself.
            Error::Invalid { ref what, .. } if what.starts_with(path) => error,
            error => error.at(path),
        };
        let tensors = (family.tensors)(&config, architecture).map_err(place)?;
        config.check_spelling()?;
        if let Some(Value::Object(_)) = fields.get("quantization_config") {
            let dtype = config.dtype()?;
            config.note(format!(
                "{path}: quantization_config is passed over: the weights are {dtype}, and whoever \
                 loads them takes it out of the config.json beside them"
            ));
        }
        Ok(ModelConfig { family, architecture, notes: config.into_notes(), tensors })
    }

    /// The model's tensors, layer after layer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more of them, or of bytes of them, than [`Recipe::parse`] takes.
    pub fn recipe(&self) -> Result<Recipe> {
        let recipe = self.of(self.tensors.expanded()?);
        recipe.check().map(|()| recipe)
    }

    /// A recipe's TOML: tensors that differ in the number of their layer alone are written once, with a
    /// pattern for a name. [`Recipe::parse`] reads it back to the same tensors, in the order of the
    /// patterns.
    pub fn to_toml(&self) -> String {
        self.of(self.tensors.patterns()).to_toml()
    }

    fn of(&self, tensors: Vec<TensorSpec>) -> Recipe {
        let description = format!("{}, initialized as transformers does", self.architecture);
        let (name, description) = (self.family.model_type.into(), Some(description));
        Recipe { name, description, tensors }
    }
}

/// That a name is none of those that are known.
fn unknown(what: String, given: &str, known: &[&str]) -> Error {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(given, name);
    let mut nearest = known.to_vec();
    // Where a name is too long, likeness takes time and memory by both lengths.
    if given.len() <= 64 {
        nearest.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    }
    let needed = format!(
        "one that is known, the nearest first: {}; for any other model, a recipe of its tensors in TOML, \
         as `fanin init gpt2 --print-recipe` shows one",
        nearest.join(", ")
    );
    Error::invalid(what, format!("`{given}`"), needed)
}

/// The family and the class that a config's `model_type` and `architectures` name, and what is to be said
/// of that.
fn named(
    path: &str,
    fields: &Map<String, Value>,
) -> Result<(&'static Family, &'static str, Option<String>)> {
    let text = |field: &str, value: &'_ Value| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(Error::invalid(format!("{path}: {field}"), other, "a text")),
    };
    let given = |field: &str| fields.get(field).filter(|value| !value.is_null());
    let model_type = given("model_type").map(|value| text("model_type", value)).transpose()?;
    let class = match given("architectures") {
        None => None,
        Some(Value::Array(classes)) => {
            classes.first().map(|class| text("architectures", class)).transpose()?
        }
        Some(other) => {
            let needed = "a list of classes, as [\"LlamaForCausalLM\"]";
            return Err(Error::invalid(format!("{path}: architectures"), other, needed));
        }
    };
    let known = |family: &Family, class: &str| {
        family.architectures.iter().find(|known| **known == class).copied()
    };
    let family = match (&model_type, &class) {
        (Some(model_type), _) => FAMILIES.iter().find(|family| family.model_type == model_type),
        (None, Some(class)) => FAMILIES.iter().find(|family| known(family, class).is_some()),
        (None, None) => {
            let needed = "one that says what model it is of";
            return Err(Error::invalid(path, "no model_type and no architectures", needed));
        }
    };
    let what = |field: &str| format!("{path}: {field}");
    let Some(family) = family else {
        return Err(match (model_type, class) {
            (None, Some(class)) => {
                let known = FAMILIES.iter().flat_map(|family| family.architectures).copied();
                unknown(what("architectures"), &class, &known.collect::<Vec<_>>())
            }
            (given, _) => {
                let known = FAMILIES.iter().map(|family| family.model_type);
                unknown(what("model_type"), &given.unwrap_or_default(), &known.collect::<Vec<_>>())
            }
        });
    };
    let usual = family.architectures[0];
    let Some(class) = class else {
        let note = format!("{path} names no architectures: {usual} is taken");
        return Ok((family, usual, Some(note)));
    };
    match known(family, &class) {
        Some(class) => Ok((family, class, None)),
        None => Err(unknown(what("architectures"), &class, family.architectures)),
    }
}
