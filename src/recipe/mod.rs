//! Recipes: which tensors a model has, and what each is drawn from.
//!
//! A recipe is TOML text:
//!
//! ```toml
//! name = "tiny"                            # else the file's name
//! description = "Two layers of attention"
//! dtype = "f32"                            # of tensors that give none; f32 is the default
//! layout = "out_in"                        # of tensors and rules that give none; the default
//!
//! [[tensor]]
//! name = "h.{0..2}.attn.{q,k,v}.weight"    # six names; ranges are half-open
//! shape = [64, 64]                         # [] is a scalar
//! init = "xavier_uniform"                  # of the catalogue in `init`; or left to a rule
//!
//! [[tensor]]
//! name = "h.{0..2}.attn.{q,k,v}.bias"
//! shape = [64]
//!
//! [[rule]]
//! match = "*.bias"                         # `*` any run of characters, `?` one, braces as above
//! init = "zeros"
//! ```
//!
//! Tensors and rules also take `layout`, `groups`, `transposed`, `fan_in` and `fan_out` (see
//! [`Geometry`]), and `depth`: the standard deviation or bound is divided by `sqrt(depth)`, as GPT-2
//! does with the layers that write into its residual stream. Tensors take a `dtype`.
//!
//! The first rule that matches a tensor gives it whatever of these it does not give itself; a depth
//! comes along only with the rule's initializer.

mod builtin;
mod header;
mod pattern;
mod place;
mod rules;
mod text;
mod write;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use rules::Rules;
pub use write::{FileReport, TensorReport, WriteOptions, WriteReport, write};

use pattern::MAX_NAMES;
use rules::Finder;

use crate::init::{Geometry, Init};
use crate::random::{Dtype, Source};
use crate::{Error, Result, Shape};

/// A model's tensors, each with what it is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The model's name.
    pub name: String,
    /// What it is, in a line.
    pub description: Option<String>,
    /// The tensors in the order written, no two of one name.
    pub tensors: Vec<TensorSpec>,
}

/// A tensor and what it is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// The name, which alone chooses the tensor's stream of random words.
    pub name: String,
    /// The dimensions.
    pub shape: Shape,
    /// The type of the elements.
    pub dtype: Dtype,
    /// The initializer as written, and the depth it is divided by: `normal:0.02 / sqrt(24)`.
    pub init: String,
    /// What the elements are drawn from.
    pub source: Source,
    /// How fans are counted, should another initializer be given.
    pub geometry: Geometry,
}

impl TensorSpec {
    /// A tensor of f32 whose output is its first axis, drawn from an initializer: a [`Recipe`] by hand
    /// is a list of these. (Of another dtype: [`Recipe::set_dtype`].)
    ///
    /// # Errors
    /// As [`TensorSpec::with_geometry`].
    pub fn new(name: impl Into<String>, shape: Shape, init: Init) -> Result<TensorSpec> {
        TensorSpec::with_geometry(name, shape, init, Geometry::default())
    }

    /// As [`TensorSpec::new`], its fans counted by a geometry: another axis is the output, or its
    /// channels are in groups.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the initializer does not fit the shape, or is [`Init::Lsuv`], whose scale
    /// takes data.
    pub fn with_geometry(
        name: impl Into<String>,
        shape: Shape,
        init: Init,
        geometry: Geometry,
    ) -> Result<TensorSpec> {
        let (name, dtype) = (name.into(), Dtype::F32);
        let place = |error: Error| error.at(format!("tensor `{name}`"));
        check_drawn(&init, init).map_err(place)?;
        let source = init.source(&shape, &geometry).map_err(place)?;
        source.check_dtype(dtype).map_err(place)?;
        Ok(TensorSpec { name, shape, dtype, init: init.to_string(), source, geometry })
    }

    /// The size: elements times bytes an element.
    pub fn bytes(&self) -> u64 {
        self.shape.elements().saturating_mul(self.dtype.size() as u64)
    }
}

impl Recipe {
    /// A recipe of these tensors.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are none, or two of one name, more than [`Recipe::parse`] takes, or
    /// one whose dtype cannot hold what it is drawn from.
    pub fn new(name: impl Into<String>, tensors: Vec<TensorSpec>) -> Result<Recipe> {
        let recipe = Recipe { name: name.into(), description: None, tensors };
        recipe.check().map(|()| recipe)
    }

    /// What a recipe holds to that was read, of one whose fields were set.
    fn check(&self) -> Result<()> {
        if self.tensors.is_empty() {
            return Err(Error::invalid("recipe", "no tensors", "at least one"));
        }
        let mut total = Total::default();
        let mut seen = HashSet::new();
        for TensorSpec { name, shape, dtype, init, source, .. } in &self.tensors {
            let place = format!("tensor `{name}`");
            if !seen.insert(name) {
                return Err(Error::invalid(place, "two of this name", "a name for each tensor"));
            }
            source.check_dtype(*dtype).map_err(|error| error.at(place))?;
            total.add(name, shape, *dtype, init)?;
        }
        Ok(())
    }

    /// Reads a recipe's TOML text; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Recipe`], with line and column: text that is not TOML or has keys that are not
    /// known; unknown initializers, dtypes and layouts; patterns that do not parse; two tensors of
    /// one name, more than a million, or more than 100,000,000 bytes of names, initializers and
    /// dimensions; a shape that is empty or too large; a tensor without an initializer, or with one
    /// that does not fit it; a rule that matches no tensor; no tensors. [`Error::Invalid`] where the
    /// rules' patterns would take minutes to match.
    pub fn parse(text: &str, path: &str) -> Result<Recipe> {
        text::recipe(text, path)
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Invalid`] where it is longer than 100,000,000
    /// bytes, and as [`Recipe::parse`].
    pub fn read(path: &Path) -> Result<Recipe> {
        Recipe::parse(&read_text(path)?, &path.display().to_string())
    }

    /// The tensors of a `.safetensors` file, or of all files that a `.json` index names, each
    /// initialized by the first of `rules` that matches it. Only the files' headers are read.
    ///
    /// The order is that of the data; the files of an index come in the order of their names.
    ///
    /// # Errors
    /// [`Error::Safetensors`] where a file is not one, is truncated or corrupt, or has a dtype that
    /// cannot be drawn; [`Error::Invalid`] where no rule matches a tensor, there are none, or more than
    /// [`Recipe::parse`] takes; [`Error::Recipe`] where a rule matches no tensor or does not fit one;
    /// [`Error::File`].
    pub fn from_safetensors(path: &Path, rules: &Rules) -> Result<Recipe> {
        let stored = header::stored(path)?;
        if stored.is_empty() {
            let what = path.display().to_string();
            return Err(Error::invalid(what, "no tensors", "at least one"));
        }
        let mut total = Total::default();
        let mut finder = Finder::new(rules);
        let mut tensors = Vec::with_capacity(stored.len());
        for header::Stored { name, shape, dtype } in stored {
            let rule = finder.find(&name)?.ok_or_else(|| {
                let what = format!("tensor `{name}` of {}", path.display());
                Error::invalid(what, "no rule that matches it", "one, as `*.bias=zeros`")
            })?;
            total.add(&name, &shape, dtype, &rule.scheme.text)?;
            let geometry = rule.hints.over(Geometry::default());
            tensors.push(rule.scheme.tensor(name, shape, dtype, geometry)?);
        }
        finder.check_used(&tensors)?;
        Ok(Recipe { name: stem(path), description: None, tensors })
    }

    /// TOML text that [`Recipe::parse`] reads back to the same tensors.
    pub fn to_toml(&self) -> String {
        use std::fmt::Write;
        // JSON's strings are TOML's basic strings, but for one character.
        let quoted =
            |text: &str| serde_json::Value::from(text).to_string().replace('\x7f', "\\u007f");
        let mut text = format!("name = {}\n", quoted(&self.name));
        if let Some(description) = &self.description {
            let _ = writeln!(text, "description = {}", quoted(description));
        }
        for tensor in &self.tensors {
            let _ = write!(
                text,
                "\n[[tensor]]\nname = {}\nshape = {}\ndtype = {}\ninit = {}\n",
                quoted(&tensor.name),
                tensor.shape,
                quoted(tensor.dtype.name()),
                // A distribution asks for no fans.
                quoted(&Init::from(&tensor.source).to_string()),
            );
            if let Source::Whole(_) = tensor.source {
                let Geometry { layout, groups, .. } = tensor.geometry;
                let _ = writeln!(text, "layout = \"{}\"\ngroups = {groups}", layout.name());
            }
        }
        text
    }

    /// The number of elements of all tensors.
    pub fn elements(&self) -> u64 {
        self.tensors.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.shape.elements()))
    }

    /// The size of all tensors in bytes.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.bytes()))
    }

    /// Gives `dtype` to every tensor that has one of [`Dtype::SAMPLED`]; counters and masks keep
    /// theirs.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `dtype` is not one of [`Dtype::SAMPLED`], or cannot hold a tensor's
    /// constant; the recipe is then as it was.
    pub fn set_dtype(&mut self, dtype: Dtype) -> Result<()> {
        if !Dtype::SAMPLED.contains(&dtype) {
            let needed = format!("one of {}", Dtype::SAMPLED.map(Dtype::name).join(", "));
            return Err(Error::invalid("dtype", dtype, needed));
        }
        let changed = |tensor: &TensorSpec| match Dtype::SAMPLED.contains(&tensor.dtype) {
            true => dtype,
            false => tensor.dtype,
        };
        let mut total = Total::default();
        for tensor in &self.tensors {
            let place = format!("tensor `{}`", tensor.name);
            tensor.source.check_dtype(changed(tensor)).map_err(|error| error.at(place))?;
            total.add(&tensor.name, &tensor.shape, changed(tensor), &tensor.init)?;
        }
        for tensor in &mut self.tensors {
            tensor.dtype = changed(tensor);
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::Invalid`] where an initializer takes data, which a recipe has none of.
fn check_drawn(init: &Init, written: impl std::fmt::Display) -> Result<()> {
    let Init::Lsuv { .. } = init else { return Ok(()) };
    let needed = "another initializer: its scale takes forward passes over data, as training and probes \
                  make them";
    Err(Error::invalid("initializer", written, needed))
}

/// The most bytes of a recipe's text, of a header or an index, and of what a recipe keeps in memory of
/// its tensors: as many as the safetensors libraries accept for a header.
const MAX_TEXT: u64 = 100_000_000;

/// The tensors so far.
#[derive(Default)]
struct Total {
    tensors: u64,
    /// Bytes of names, initializers and dimensions.
    text: u64,
    /// Bytes of elements; offsets in files are signed 64-bit numbers.
    bytes: u64,
}

impl Total {
    fn add(&mut self, name: &str, shape: &Shape, dtype: Dtype, init: &str) -> Result<()> {
        let what = || format!("tensor `{name}`");
        self.tensors += 1;
        if self.tensors > MAX_NAMES {
            let given = format!("{MAX_NAMES} tensors before it");
            return Err(Error::invalid(what(), given, format!("at most {MAX_NAMES} in all")));
        }
        let text = self.text + (name.len() + init.len() + size_of_val(shape.dims())) as u64;
        if text > MAX_TEXT {
            let given =
                format!("{} bytes of names, initializers and dimensions before it", self.text);
            return Err(Error::invalid(what(), given, format!("at most {MAX_TEXT} in all")));
        }
        let bytes = shape.elements().checked_mul(dtype.size() as u64);
        let bytes = bytes.and_then(|bytes| self.bytes.checked_add(bytes));
        let bytes = bytes.filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(|| {
            let given = format!("{} bytes before it, then {shape} of {dtype}", self.bytes);
            Error::invalid(what(), given, "at most 2^63 - 1 bytes in all")
        })?;
        (self.text, self.bytes) = (text, bytes);
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String> {
    let failed = |source| Error::file("read", path, source);
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_TEXT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_TEXT {
        let given = format!("more than {MAX_TEXT} bytes");
        return Err(Error::invalid(path.display().to_string(), given, "a recipe of fewer"));
    }
    Ok(text)
}

/// The file's name without what tells its kind: `model` of `model.safetensors.index.json`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = stem.strip_suffix(".safetensors.index").unwrap_or(&stem);
    stem.to_string()
}
