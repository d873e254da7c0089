//! What a MODEL of `init` is.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use fanin::recipe::Recipe;
use fanin::{Error, Result};

/// What a MODEL is, by its name and, where that leaves it open, by what it holds.
pub enum Form {
    /// One of the built-in recipes.
    Builtin,
    /// A recipe's TOML.
    Recipe,
    /// A config.json of Hugging Face's, at this path.
    Config(PathBuf),
    /// A safetensors file, or an index of some.
    Tensors,
}

const CONVERT: &str = "a .safetensors file: in Python, safetensors.torch.save_file(state_dict, ...) \
                       writes one";

/// What others' files are called, what they are, and what to do.
const FOREIGN: [(&[&str], &str, &str); 9] = [
    (&["gguf", "ggml"], "a GGUF model", "the .safetensors files that it was converted from"),
    (&["pt", "pth", "bin", "ckpt", "pkl", "pickle"], "a pickle of PyTorch's", CONVERT),
    (&["h5", "hdf5", "keras"], "a Keras model", CONVERT),
    (&["npz", "npy"], "NumPy's arrays", "safetensors.numpy.save_file of the arrays"),
    (
        &["msgpack", "orbax"],
        "a checkpoint of JAX's",
        "safetensors.flax.save_file of the parameters",
    ),
    (&["onnx"], "an ONNX graph", CONVERT),
    (&["tflite", "pb", "mlmodel"], "a compiled graph", CONVERT),
    (&["yaml", "yml"], "YAML", "a recipe in TOML: `fanin init mlp --print-recipe` shows one"),
    (&["zip", "tar", "gz", "zst", "xz"], "an archive", "the .safetensors file that is in it"),
];

/// What files begin with, whatever they are called.
const MAGIC: [(&[u8], usize); 4] =
    [(b"GGUF", 0), (b"PK\x03\x04", 1), (b"\x80\x02", 1), (b"\x89HDF", 2)];

impl Form {
    /// The form of what MODEL names.
    ///
    /// # Errors
    /// [`Error::Unknown`] where it is nothing that there is; [`Error::Invalid`] where it is a file of another
    /// format, saying what to do; [`Error::File`] where that cannot be read.
    pub fn of(model: &str) -> Result<Form> {
        if Recipe::builtins().any(|(name, _)| name == model) {
            return Ok(Form::Builtin);
        }
        let path = Path::new(model);
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if path.is_dir() {
            let config = path.join("config.json");
            if config.is_file() {
                return Ok(Form::Config(config));
            }
            let needed = "a file in it: its .safetensors, its .safetensors.index.json, or a .toml recipe; \
                          or a folder with a config.json";
            return Err(other(model, "a folder without a config.json", needed));
        }
        let foreign = |(_, what, needed): &(_, &str, &str)| Err(other(model, what, needed));
        let named = FOREIGN.iter().find(|(names, ..)| names.contains(&extension.as_str()));
        if let Some(named) = named {
            return foreign(named);
        }
        match extension.as_str() {
            "safetensors" => return Ok(Form::Tensors),
            "toml" => return Ok(Form::Recipe),
            "json" if path.is_file() && !holds(path, &["weight_map"])? => {
                if holds(path, &["model_type", "architectures"])? {
                    return Ok(Form::Config(path.into()));
                }
                let needed = "the .safetensors file, its .index.json, a config.json of Hugging Face's (with \
                              a model_type), or a recipe in TOML: `fanin init gpt2 --print-recipe` is one \
                              to start from";
                let what = "JSON without a weight_map and without a model_type";
                return Err(other(model, what, needed));
            }
            // That it is not there, reading it says.
            "json" => return Ok(Form::Tensors),
            _ if path.is_file() => {
                let start = beginning(path, 4096)?;
                if let Some((_, at)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
                    return foreign(&FOREIGN[*at]);
                }
                if start.contains(&0) || !is_text(&start) {
                    let needed =
                        "a .toml recipe, a config.json, a .safetensors file or its .index.json";
                    return Err(other(model, "a binary file", needed));
                }
                return Ok(Form::Recipe);
            }
            _ => {}
        }
        let known = Recipe::builtins().map(|(name, _)| name.to_owned());
        let files = ["a .toml recipe", "a config.json", "a .safetensors file", "its .index.json"];
        let known = known.chain(files.map(str::to_owned)).collect();
        Err(Error::Unknown { kind: "recipe", given: model.into(), known })
    }
}

fn other(model: &str, what: &str, needed: &str) -> Error {
    Error::Invalid {
        what: model.into(),
        given: format!("{what}, which is not a format that init reads"),
        needed: needed.into(),
    }
}

/// At most so many bytes of a file.
fn beginning(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|source| Error::File { action: "read", path: path.into(), source })?;
    Ok(bytes)
}

/// UTF-8, but for a letter that is cut off.
fn is_text(start: &[u8]) -> bool {
    std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// As much of an index as is read.
const LONGEST: u64 = 100_000_000;

/// Whether a file of JSON has one of these keys, at whatever place.
fn holds(path: &Path, keys: &[&str]) -> Result<bool> {
    let text = beginning(path, LONGEST)?;
    Ok(keys
        .iter()
        .map(|key| format!("\"{key}\"").into_bytes())
        .any(|key| text.windows(key.len()).any(|window| window == key)))
}
