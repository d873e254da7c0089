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
//! Rules match by `dims` too, the number of a tensor's dimensions: `dims = 2`, or a range, `dims = "2.."`.
//! [`Rules`] says which tensors a rule passes over.
//!
//! Tensors and rules also take `layout`, `groups`, `transposed`, `fan_in` and `fan_out` (see
//! [`Geometry`]), and `depth`: the standard deviation or bound is divided by `sqrt(depth)`, as GPT-2
//! does with the layers that write into its residual stream. Tensors take a `dtype`: a float (`f32`,
//! `bf16`, `f16`, `f8_e4m3`, `f8_e5m2`, `f64`), or for constants an integer (`i64`, `u8`, ...) or `bool`.
//!
//! The first rule that matches a tensor gives it whatever of these it does not give itself; a depth
//! comes along only with the rule's initializer.
//!
//! A tensor may be several weights. `batch_dims = 1` says that the first axis is of stacked matrices, experts
//! for instance: fans are those of one, and what is drawn as a matrix is each of them by itself. `parts = 3`,
//! or `parts = [4096, 1024, 1024]`, says that weights follow one another along the outputs, or along
//! `parts_axis`: each is as it would be by itself. A range of an axis may have an initializer of its own,
//! which lies over the tensor's, and over those of ranges after it:
//!
//! ```toml
//! [[tensor]]
//! name = "wte.weight"
//! shape = [50304, 768]
//! init = "normal:0.02"
//! [[tensor.range]]
//! rows = "50257.."                         # 3, 2..5, 5.., ..5
//! init = "zeros"                           # and depth, layout, fan_in, .. as above
//!
//! [[rule]]
//! match = "*bias_hh*"                      # an LSTM's forget gate
//! rows = "64..128"                         # of the first axis, unless another `axis` is given
//! init = "ones"
//! ```
//!
//! Fans of a range are those of the whole tensor, unless they are given.
//!
#![doc = include_str!("large.md")]

mod builtin;
mod check;
mod draw;
mod family;
mod files;
mod grid;
mod header;
mod keep;
mod made;
mod manifest;
mod merge;
mod pattern;
mod place;
mod plan;
mod rank;
mod rules;
mod selection;
mod stack;
mod text;
mod write;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use check::{CheckOptions, CheckReport, FileCheck, Finding, TensorCheck, check};
pub use draw::Drawer;
pub use family::{Family, ModelConfig, families};
pub use files::{DryRun, PlannedFile};
pub use keep::Kept;
pub use merge::{MergeReport, MergedTensor, merge};
pub use plan::Plan;
pub use rank::{Launcher, Rank};
pub use rules::Rules;
pub use selection::Selection;
pub use stack::{Content, Fused, Parts, Ranged, Stretch};
pub use write::{FileReport, TensorReport, WriteOptions, WriteReport, write};

use pattern::MAX_NAMES;
use rules::{Bare, Finder, Found, Reading, Whole};
use stack::Drawn;

use crate::init::{Fans, Geometry, Init};
use crate::random::{Distribution, Dtype, Source};
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
    /// The initializer as written, the depth it is divided by, and how many matrices and parts it is of:
    /// `normal:0.02 / sqrt(24)`, `orthogonal (8 matrices)`. [`TensorSpec::written`] has ranges too.
    pub init: String,
    /// What the elements are drawn from, but for those that a range or a part has (zeros where parts have
    /// all); of stacked matrices, what each is.
    pub source: Source,
    /// How fans are counted, should another initializer be given.
    pub geometry: Geometry,
    /// Where its elements are copied from, if they are: then nothing is drawn, whatever `source` says.
    pub kept: Option<Kept>,
    /// Ranges with an initializer of their own, whatever the tensor's is: they lie over it, the earlier over
    /// the later.
    pub ranges: Vec<Ranged>,
    /// The weights that the tensor is, where it is several.
    pub fused: Option<Fused>,
    /// What each of these is drawn from, where that is not the same for all.
    pub parts: Vec<Ranged>,
}

impl TensorSpec {
    pub(crate) fn drawn(
        name: &str,
        shape: &Shape,
        dtype: Dtype,
        init: String,
        source: Source,
        geometry: Geometry,
    ) -> TensorSpec {
        let (name, shape) = (name.to_owned(), shape.clone());
        let (ranges, parts) = (Vec::new(), Vec::new());
        let (kept, fused) = (None, None);
        TensorSpec { name, shape, dtype, init, source, geometry, kept, ranges, fused, parts }
    }

    fn copied(
        name: &str,
        shape: &Shape,
        dtype: Dtype,
        stored: Kept,
        geometry: Geometry,
    ) -> TensorSpec {
        let source = Source::Elements(Distribution::Constant { value: 0.0 });
        let tensor = TensorSpec::drawn(name, shape, dtype, KEEP.into(), source, geometry);
        TensorSpec { kept: Some(stored), ..tensor }
    }

    /// A tensor of whose elements nothing is said yet.
    fn blank(tensor: &Bare<'_>, reading: &Reading) -> TensorSpec {
        let Bare { name, shape, dtype } = *tensor;
        let source = Source::Elements(Distribution::Constant { value: 0.0 });
        let spec = TensorSpec::drawn(name, shape, dtype, String::new(), source, reading.geometry);
        TensorSpec { fused: reading.fused.clone(), ..spec }
    }

    /// That its elements can be of `dtype`, as far as that can be known before they are read.
    fn check_dtype(&self, dtype: Dtype) -> Result<()> {
        let place = |error: Error| error.at(format!("tensor `{}`", self.name));
        check_dtype(&self.source, self.kept.as_ref(), dtype).map_err(place)?;
        self.check_ranges(dtype)
    }

    fn bare(&self) -> Bare<'_> {
        Bare { name: &self.name, shape: &self.shape, dtype: self.dtype }
    }

    fn reading(&self) -> Reading {
        Reading { geometry: self.geometry, fused: self.fused.clone() }
    }

    /// The initializer that is what it is drawn from: a distribution, which asks for no fans.
    fn draws(&self) -> String {
        draws(&self.source, self.kept.as_ref())
    }

    /// Fan in and fan out, as its geometry counts them or has been given them, of a matrix and of the first
    /// of the weights that it is; none of a tensor of fewer than two dimensions that was given none.
    pub fn fans(&self) -> Option<Fans> {
        match &self.fused {
            None => self.geometry.fans(&self.shape).ok(),
            Some(fused) => {
                let first = fused.first(&self.shape, &self.geometry).ok()?;
                self.geometry.fans(&first).ok()
            }
        }
    }

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
        TensorSpec::made(name.into(), shape, init, geometry, None)
    }

    /// As [`TensorSpec::with_geometry`], of several weights that are one tensor, each initialized as one of
    /// its own shape.
    ///
    /// ```
    /// use fanin::Shape;
    /// use fanin::init::Geometry;
    /// use fanin::recipe::{Fused, TensorSpec};
    /// // Queries of 32 heads, keys and values of 8.
    /// let (shape, init) = (Shape::new([6144, 4096])?, "xavier_uniform".parse()?);
    /// let fused = Fused::lengths([4096, 1024, 1024]);
    /// let qkv = TensorSpec::of_parts("qkv", shape, init, Geometry::default(), fused)?;
    /// let bound = |fan: f64| (6.0 / (4096.0 + fan)).sqrt();
    /// assert!((qkv.parts[0].source.std() - bound(4096.0) / 3f64.sqrt()).abs() < 1e-15);
    /// assert!((qkv.parts[1].source.std() - bound(1024.0) / 3f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`TensorSpec::with_geometry`]; and [`Error::Invalid`] where the lengths are not those of the axis.
    pub fn of_parts(
        name: impl Into<String>,
        shape: Shape,
        init: Init,
        geometry: Geometry,
        fused: Fused,
    ) -> Result<TensorSpec> {
        TensorSpec::made(name.into(), shape, init, geometry, Some(fused))
    }

    fn made(
        name: String,
        shape: Shape,
        init: Init,
        geometry: Geometry,
        fused: Option<Fused>,
    ) -> Result<TensorSpec> {
        let place = |error: Error| error.at(format!("tensor `{name}`"));
        check_drawn(&init, init).map_err(place)?;
        let text = init.to_string();
        let of = |shape: &Shape| init.source(shape, &geometry);
        let drawn = Drawn::new(&text, &shape, &geometry, fused.as_ref(), of).map_err(place)?;
        let spec = TensorSpec::of(&name, &shape, Dtype::F32, drawn, geometry, fused);
        spec.check_dtype(Dtype::F32)?;
        Ok(spec)
    }

    fn of(
        name: &str,
        shape: &Shape,
        dtype: Dtype,
        drawn: Drawn,
        geometry: Geometry,
        fused: Option<Fused>,
    ) -> TensorSpec {
        let Drawn { init, source, parts } = drawn;
        let spec = TensorSpec::drawn(name, shape, dtype, init, source, geometry);
        TensorSpec { fused, parts, ..spec }
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
        for tensor in &self.tensors {
            let TensorSpec { name, shape, dtype, init, .. } = tensor;
            if !seen.insert(name) {
                let place = format!("tensor `{name}`");
                return Err(Error::invalid(place, "two of this name", "a name for each tensor"));
            }
            tensor.check_dtype(*dtype)?;
            total.add(name, shape, *dtype, init)?;
            total.ranges(tensor)?;
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
        Recipe::parse(&read_text(path, MAX_TEXT)?, &path.display().to_string())
    }

    /// The tensors of a `.safetensors` file, or of all files that a `.json` index names, each
    /// initialized by the first of `rules` that matches and serves it. Only the files' headers are read.
    ///
    /// What stands for the whole of a model in a rule, `*=he_normal`, has nothing for its vectors and
    /// counters: these have their usual start where rules match them and none serves them. With at most
    /// one dimension, and a name that ends so, `bias`, `beta`, `running_mean` and `num_batches_tracked` are
    /// zeros, `weight`, `gamma`, `scale` and `running_var` ones.
    ///
    /// A rule's initializer may be `keep`: then the tensor is copied from the file when the model is
    /// written, its values rounded where it gets another dtype. Tensors without elements stay what they
    /// are, whatever rules say.
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
        let base = Reading::default();
        let bare = |stored| (header::Stored::bare(stored), Some(base.clone()));
        // Their own places are clearer than a tensor's that they leave to others.
        finder.check_used(stored.iter().map(bare))?;
        let mut tensors = Vec::with_capacity(stored.len());
        for header::Stored { name, shape, dtype, kept } in &stored {
            let tensor = Bare { name, shape, dtype: *dtype };
            let Found { whole, ranged } = finder.serving(&tensor, &base)?;
            let mut made = match whole {
                _ if shape.elements() == 0 => {
                    let kept = kept.clone();
                    tensors.push(TensorSpec::copied(name, shape, *dtype, kept, base.geometry));
                    continue;
                }
                Whole::Rule(rule) => rule.of(tensor, &base, Some(kept))?,
                Whole::Passed(rule) => match rules::usual(&tensor)? {
                    Some(usual) => usual.of(tensor, &base, None)?,
                    None => {
                        let what = format!("tensor `{name}` of {}", path.display());
                        let given = format!(
                            "{shape} of {dtype}, which `{}` cannot initialize, and no other rule",
                            rule.pattern
                        );
                        let needed =
                            format!("a rule of its own, as `{name}=keep` or `{name}=zeros`");
                        return Err(Error::invalid(what, given, needed));
                    }
                },
                Whole::Nothing => {
                    let what = format!("tensor `{name}` of {}", path.display());
                    let needed =
                        "one, as `*.bias=zeros`, or `*=keep` for all that no rule before matches";
                    return Err(Error::invalid(what, "no rule that matches it", needed));
                }
            };
            rules::add_ranges(&mut made, &ranged, Some((kept, shape)))?;
            total.add(name, &made.shape, *dtype, &made.init)?;
            total.ranges(&made)?;
            tensors.push(made);
        }
        finder.check_found()?;
        Ok(Recipe { name: stem(path), description: None, tensors })
    }

    /// The tensors of a model that Hugging Face's transformers knows, by its config.json: names, shapes,
    /// dtypes and initialization as transformers itself has them. [`ModelConfig`] says how it is read.
    ///
    /// # Errors
    /// As [`ModelConfig::read`] and [`ModelConfig::recipe`].
    pub fn from_config(path: &Path) -> Result<Recipe> {
        ModelConfig::read(path)?.recipe()
    }

    /// TOML text that [`Recipe::parse`] reads back to the same tensors, but for those that are
    /// [kept](TensorSpec::kept), which no recipe has.
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
                quoted(&tensor.draws()),
            );
            text += &read_as(&tensor.source, &tensor.geometry);
            text += &read_otherwise(tensor);
            for Ranged { axis, rows, source, kept, geometry, .. } in tensor.layers() {
                let init = quoted(&draws(source, kept.as_ref()));
                let rows = format!("\"{}..{}\"", rows.start, rows.end);
                let _ =
                    write!(text, "[[tensor.range]]\naxis = {axis}\nrows = {rows}\ninit = {init}\n");
                text += &read_as(source, geometry);
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
            let needed = format!("one of {}", Dtype::sampled());
            return Err(Error::invalid("dtype", dtype, needed));
        }
        let changed = |tensor: &TensorSpec| match Dtype::SAMPLED.contains(&tensor.dtype) {
            true => dtype,
            false => tensor.dtype,
        };
        let mut total = Total::default();
        for tensor in &self.tensors {
            tensor.check_dtype(changed(tensor))?;
            total.add(&tensor.name, &tensor.shape, changed(tensor), &tensor.init)?;
        }
        for tensor in &mut self.tensors {
            tensor.dtype = changed(tensor);
        }
        Ok(())
    }
}

/// The keys that say how a shape is read, as far as it makes a difference to what is drawn.
fn read_as(source: &Source, geometry: &Geometry) -> String {
    let Geometry { layout, groups, batch_dims, .. } = geometry;
    let mut text = match source {
        Source::Whole(_) => format!("layout = \"{}\"\ngroups = {groups}\n", layout.name()),
        _ => String::new(),
    };
    if *batch_dims > 0 && !matches!(source, Source::Elements(_)) {
        text += &format!("batch_dims = {batch_dims}\n");
    }
    text
}

/// The other keys that say so, of a matrix that is drawn element by element: whoever gives it another
/// initializer needs them.
fn read_otherwise(tensor: &TensorSpec) -> String {
    let matters = matches!(tensor.source, Source::Elements(_)) && tensor.kept.is_none();
    if !matters || tensor.shape.dims().len() < 2 {
        return String::new();
    }
    let (own, usual) = (tensor.geometry, Geometry::default());
    let keys = [
        (own.layout != usual.layout).then(|| format!("layout = \"{}\"\n", own.layout.name())),
        (own.groups != usual.groups).then(|| format!("groups = {}\n", own.groups)),
        own.transposed.then(|| "transposed = true\n".into()),
        own.fan_in.map(|fan| format!("fan_in = {fan}\n")),
        own.fan_out.map(|fan| format!("fan_out = {fan}\n")),
        (own.batch_dims > 0).then(|| format!("batch_dims = {}\n", own.batch_dims)),
        // Where they are drawn from several sources, these are ranges.
        tensor.fused.as_ref().filter(|_| tensor.parts.is_empty()).map(|fused| {
            let axis = fused.axis.map(|axis| format!("parts_axis = {axis}\n"));
            let parts = match &fused.parts {
                Parts::Equal(parts) => parts.to_string(),
                Parts::Lengths(lengths) => format!("{lengths:?}"),
            };
            format!("parts = {parts}\n{}", axis.unwrap_or_default())
        }),
    ];
    keys.into_iter().flatten().collect()
}

/// What a rule says in place of an initializer, where a tensor stays as its file has it.
const KEEP: &str = "keep";

/// The initializer that is what something is drawn from.
fn draws(source: &Source, kept: Option<&Kept>) -> String {
    match kept {
        Some(_) => KEEP.into(),
        None => Init::from(source).to_string(),
    }
}

/// That elements can be of `dtype`, as far as that can be known before they are read.
fn check_dtype(source: &Source, kept: Option<&Kept>, dtype: Dtype) -> Result<()> {
    match kept {
        None => source.check_dtype(dtype),
        Some(kept) if kept.dtype == dtype => Ok(()),
        Some(kept) if [kept.dtype, dtype].iter().all(|own| Dtype::SAMPLED.contains(own)) => Ok(()),
        Some(kept) => Err(Error::invalid("dtype", dtype, kept.dtype.name())),
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

    /// What a tensor's ranges and parts take beside.
    fn ranges(&mut self, tensor: &TensorSpec) -> Result<()> {
        let size = |range: &Ranged| (size_of::<Ranged>() + range.init.len()) as u64;
        self.text += tensor.layers().map(size).sum::<u64>();
        if self.text > MAX_TEXT {
            let what = format!("tensor `{}`", tensor.name);
            let given = format!("{} bytes of ranges and names up to it", self.text);
            return Err(Error::invalid(what, given, format!("at most {MAX_TEXT} in all")));
        }
        Ok(())
    }
}

/// A text of at most so many bytes.
fn read_text(path: &Path, most: u64) -> Result<String> {
    let failed = |source| Error::file("read", path, source);
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(most + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        let given = format!("more than {most} bytes");
        return Err(Error::invalid(path.display().to_string(), given, "a text of fewer"));
    }
    Ok(text)
}

/// The file's name without what tells its kind: `model` of `model.safetensors.index.json`.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    let stem = stem.strip_suffix(".safetensors.index").unwrap_or(&stem);
    stem.to_string()
}
