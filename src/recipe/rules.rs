//! Rules: which tensors get which initializer.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use super::keep::Kept;
use super::pattern::Glob;
use super::place::Place;
use super::text;
use super::{MAX_TEXT, Recipe, TensorSpec, check_drawn, read_text};
use crate::init::{Geometry, Init};
use crate::random::{Distribution, Dtype, Source};
use crate::{Error, Layout, Result, Shape};

/// Initializers for tensors by patterns of their names, and by how many dimensions they have.
///
/// The first rule that matches a tensor wins. One whose pattern stands for several names passes over a
/// tensor that its initializer cannot serve, for whatever rule comes next: one of fewer than two
/// dimensions, where the initializer takes fans or a matrix and no fans are given; and one of integers or
/// booleans, where it is no constant. So `*.bias=zeros`, `*=he_normal` is a whole model's, whose norms and
/// counters then have their usual start (see [`Recipe::from_safetensors`]) or their recipe's own. A rule of
/// one name says what is wrong instead, and so does one that passes over all that it matches.
#[derive(Clone, Debug, Default)]
pub struct Rules(pub(super) Vec<Rule>);

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) pattern: String,
    pub(super) glob: Glob,
    /// How many dimensions a tensor has that it matches.
    pub(super) dims: Dims,
    /// The shape that it gives, in place of the tensor's own.
    pub(super) shape: Option<Shape>,
    pub(super) place: Place,
    pub(super) scheme: Scheme,
    pub(super) hints: Hints,
}

/// Numbers of dimensions: `2`, `2..4` (two and three), `2..=4`, `3..`, `..2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dims {
    least: usize,
    most: usize,
}

impl Dims {
    pub(super) const ANY: Dims = Dims { least: 0, most: usize::MAX };

    fn contains(self, dims: usize) -> bool {
        (self.least..=self.most).contains(&dims)
    }
}

impl FromStr for Dims {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            let needed = "a number of dimensions, or a range: 2, 2..4 (which is 2 and 3), 3.., ..2";
            Error::invalid("dims", format!("`{text}`"), needed)
        };
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let (least, most) = match text.split_once("..") {
            None => number(text).map(|dims| (dims, dims))?,
            Some((start, end)) => {
                let least = if start.trim().is_empty() { 0 } else { number(start)? };
                let most = match end.strip_prefix('=') {
                    Some(end) => number(end)?,
                    None if end.trim().is_empty() => usize::MAX,
                    None => number(end)?.checked_sub(1).ok_or_else(wrong)?,
                };
                (least, most)
            }
        };
        if least > most { Err(wrong()) } else { Ok(Dims { least, most }) }
    }
}

/// What a recipe says of a tensor's geometry; what it leaves out comes from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    pub(super) layout: Option<Layout>,
    pub(super) groups: Option<NonZeroU64>,
    pub(super) transposed: Option<bool>,
    pub(super) fan_in: Option<NonZeroU64>,
    pub(super) fan_out: Option<NonZeroU64>,
}

impl Hints {
    /// `base`, save where these hints speak.
    pub(super) fn over(&self, base: Geometry) -> Geometry {
        Geometry {
            layout: self.layout.unwrap_or(base.layout),
            groups: self.groups.map_or(base.groups, NonZeroU64::get),
            transposed: self.transposed.unwrap_or(base.transposed),
            fan_in: self.fan_in.map(NonZeroU64::get).or(base.fan_in),
            fan_out: self.fan_out.map(NonZeroU64::get).or(base.fan_out),
        }
    }
}

/// What becomes of a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Becomes {
    Drawn(Init),
    /// `keep`: it stays as the model's file has it.
    Kept,
}

/// What becomes of a tensor, as a recipe has it.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    pub(super) becomes: Becomes,
    /// As written.
    pub(super) text: String,
    /// The scale is divided by the root of this.
    pub(super) depth: Option<NonZeroU64>,
    pub(super) place: Place,
}

impl Scheme {
    /// The tensor of this name, shape, dtype and geometry, initialized so; `stored` is where the model's
    /// file has it, if it is of one.
    ///
    /// # Errors
    /// [`Error::Recipe`] at this scheme's place where it does not fit the tensor.
    pub(super) fn tensor(
        &self,
        name: String,
        shape: Shape,
        dtype: Dtype,
        geometry: Geometry,
        stored: Option<Kept>,
    ) -> Result<TensorSpec> {
        let place = |error| self.place.error(format!("tensor `{name}` of shape {shape}: {error}"));
        let is_empty = shape.elements() == 0;
        let stored = stored.filter(|_| is_empty || matches!(self.becomes, Becomes::Kept));
        match (self.becomes, stored) {
            (_, Some(stored)) => Ok(TensorSpec::copied(&name, &shape, dtype, stored, geometry)),
            (Becomes::Kept, None) => {
                let needed =
                    "a .safetensors model and the tensor's own shape: keep copies what is there";
                Err(place(Error::invalid("keep", "no file that holds this tensor so", needed)))
            }
            (Becomes::Drawn(init), None) => {
                let made = self.source(&init, &shape, dtype, &geometry).map_err(place)?;
                Ok(TensorSpec::drawn(&name, &shape, dtype, made.0, made.1, geometry))
            }
        }
    }

    fn source(
        &self,
        init: &Init,
        shape: &Shape,
        dtype: Dtype,
        geometry: &Geometry,
    ) -> Result<(String, Source)> {
        check_drawn(init, &self.text)?;
        let source = init.source(shape, geometry)?;
        source.check_dtype(dtype)?;
        let Some(depth) = self.depth else { return Ok((self.text.clone(), source)) };
        if let Source::Elements(Distribution::Constant { .. }) = source {
            let given = format!("{depth} with the constant `{}`", self.text);
            return Err(Error::invalid("depth", given, "an initializer whose scale it divides"));
        }
        let source = source.scaled_down((depth.get() as f64).sqrt());
        source.check()?;
        Ok((format!("{} / sqrt({depth})", self.text), source))
    }

    /// Whether a tensor of so many dimensions and that dtype is one that it can be for at all.
    fn serves(&self, shape: &Shape, dtype: Dtype, geometry: &Geometry) -> bool {
        let Becomes::Drawn(init) = self.becomes else { return true };
        let fixed = match init {
            Init::Fixed(distribution) => Some(distribution),
            _ => None,
        };
        let constant = matches!(fixed, Some(Distribution::Constant { .. }));
        (constant || Dtype::SAMPLED.contains(&dtype))
            && (fixed.is_some() || shape.dims().len() >= 2 || init.source(shape, geometry).is_ok())
    }
}

impl Rules {
    /// Reads TOML text that holds `[[rule]]` tables and nothing else; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Recipe`], with line and column.
    pub fn parse(text: &str, path: &str) -> Result<Rules> {
        text::rules(text, path)
    }

    /// Reads a file of rules.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, and as [`Rules::parse`].
    pub fn read(path: &Path) -> Result<Rules> {
        Rules::parse(&read_text(path, MAX_TEXT)?, &path.display().to_string())
    }

    /// Reads rules such as `*.bias=zeros`: a pattern, `=`, an initializer; and after that, with blanks
    /// between, what a `[[rule]]` of a recipe may hold: `*=he_normal dims=2 layout=in_out`.
    ///
    /// ```
    /// use fanin::recipe::{Recipe, Rules};
    /// let mut recipe = Recipe::builtin("gpt2")?;
    /// recipe.override_with(&Rules::pairs(["w?e.weight=normal:0.01"])?)?;
    /// assert_eq!(recipe.tensors[0].init, "normal:0.01");
    /// # Ok::<(), fanin::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Recipe`], the pair in place of a path.
    pub fn pairs<S: AsRef<str>>(pairs: impl IntoIterator<Item = S>) -> Result<Rules> {
        pairs.into_iter().map(|pair| text::pair(pair.as_ref())).collect::<Result<_>>().map(Rules)
    }

    /// These rules, then `others` for what these do not match.
    pub fn then(mut self, others: Rules) -> Rules {
        self.0.extend(others.0);
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What all matching of one model's names may take: some seconds.
const MAX_STEPS: u64 = 2_000_000_000;

/// How norms and counters start, which no matrix's initializer serves: as every framework has them.
static USUAL: LazyLock<Rules> = LazyLock::new(|| {
    let zeros = ["num_batches_tracked", "running_mean", "bias", "beta"].map(|name| (name, "zeros"));
    let ones = ["running_var", "weight", "gamma", "scale"].map(|name| (name, "ones"));
    let pairs = zeros.into_iter().chain(ones);
    Rules::pairs(pairs.map(|(name, init)| format!("*{name}={init} dims=..2"))).unwrap_or_default()
});

/// What is looked for in rules: a tensor as it is before they have it.
#[derive(Clone, Copy)]
pub(super) struct Bare<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a Shape,
    pub(super) dtype: Dtype,
}

impl Rule {
    fn fits(&self, tensor: &Bare<'_>) -> bool {
        let dims = tensor.shape.dims().len();
        // What gives a matrix its shape is for matrices.
        self.dims.contains(dims)
            && self.shape.as_ref().is_none_or(|shape| shape.dims().len() == dims)
    }

    /// Whether it does not pass over the tensor, whose fans are counted by `geometry`.
    pub(super) fn serves(&self, tensor: &Bare<'_>, geometry: Geometry) -> bool {
        let shape = self.shape.as_ref().unwrap_or(tensor.shape);
        self.glob.name().is_some() || self.scheme.serves(shape, tensor.dtype, &geometry)
    }

    /// A tensor as this rule has it; `stored` is where the model's file has its own.
    pub(super) fn of(
        &self,
        tensor: Bare<'_>,
        base: Geometry,
        stored: Option<&Kept>,
    ) -> Result<TensorSpec> {
        let stored = stored.filter(|_| self.shape.is_none()).cloned();
        let shape = self.shape.as_ref().unwrap_or(tensor.shape).clone();
        let geometry = self.hints.over(base);
        self.scheme.tensor(tensor.name.to_owned(), shape, tensor.dtype, geometry, stored)
    }
}

/// What rules have for a tensor.
pub(super) enum Found<'a> {
    Rule(&'a Rule),
    /// None but this one, which passes over it.
    Passed(&'a Rule),
    Nothing,
}

/// Rules, made ready to be looked through for many names.
pub(super) struct Finder<'a> {
    rules: &'a [Rule],
    /// The rules of each pattern that is a name.
    names: HashMap<&'a str, Vec<usize>>,
    /// All others, in order.
    globs: Vec<usize>,
    /// Taken so far.
    steps: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(Rules(rules): &'a Rules) -> Self {
        let mut finder = Finder { rules, names: HashMap::new(), globs: Vec::new(), steps: 0 };
        for (index, rule) in rules.iter().enumerate() {
            match rule.glob.name() {
                Some(name) => finder.names.entry(name).or_default().push(index),
                None => finder.globs.push(index),
            }
        }
        finder
    }

    /// The first rule that matches a tensor, of those that `take` it.
    pub(super) fn find(
        &mut self,
        tensor: &Bare<'_>,
        take: impl Fn(&Rule) -> bool,
    ) -> Result<Found<'a>> {
        let rules = self.rules;
        let named = self.names.get(tensor.name).into_iter().flatten().copied();
        let named = named.filter(|&index| rules[index].fits(tensor));
        // A name's rules pass over nothing but dimensions: the first is the last that can be.
        let named = named.take(1).next();
        let (mut found, mut passed) = (named, None);
        for &index in &self.globs {
            if named.is_some_and(|named| named < index) {
                break;
            }
            let rule = &rules[index];
            if !rule.fits(tensor) || !rule.glob.matches(tensor.name, &mut self.steps) {
                continue;
            }
            if take(rule) {
                found = Some(index);
                break;
            }
            passed = passed.or(Some(index));
        }
        self.check_steps()?;
        Ok(match (found, passed) {
            (Some(found), _) => Found::Rule(&rules[found]),
            (None, Some(passed)) => Found::Passed(&rules[passed]),
            (None, None) => Found::Nothing,
        })
    }

    /// The first rule that serves a tensor whose fans are counted by `base`.
    pub(super) fn serving(&mut self, tensor: &Bare<'_>, base: Geometry) -> Result<Found<'a>> {
        self.find(tensor, |rule| rule.serves(tensor, rule.hints.over(base)))
    }

    /// Checks that every rule matches some tensor, be it one that an earlier rule takes, and serves one
    /// of those that it matches, where their geometry is given.
    pub(super) fn check_used<'t>(
        &mut self,
        tensors: impl Iterator<Item = (Bare<'t>, Option<Geometry>)> + Clone,
    ) -> Result<()> {
        // Only where it saves more than it costs.
        let mut named: HashMap<&str, Bare<'t>> = HashMap::new();
        if !self.names.is_empty() {
            named.extend(tensors.clone().map(|(tensor, _)| (tensor.name, tensor)));
        }
        for rule in self.rules {
            let (mut is_named, mut is_used) = (false, false);
            let mut passed = None;
            if let Some(name) = rule.glob.name() {
                let found = named.get(name);
                is_named = found.is_some();
                is_used = found.is_some_and(|tensor| rule.fits(tensor));
            } else {
                for (tensor, base) in tensors.clone() {
                    if !rule.glob.matches(tensor.name, &mut self.steps) {
                        continue;
                    }
                    is_named = true;
                    if rule.fits(&tensor) {
                        is_used =
                            base.is_none_or(|base| rule.serves(&tensor, rule.hints.over(base)));
                        passed = passed.or(base.map(|base| (tensor, base)));
                    }
                    if is_used {
                        break;
                    }
                }
            }
            self.check_steps()?;
            if is_used {
                continue;
            }
            let pattern = &rule.pattern;
            return Err(match passed {
                // It says what it lacks.
                Some((tensor, base)) => {
                    let made = rule.of(tensor, base, None);
                    let other = || rule.place.error(format!("`{pattern}` serves no tensor"));
                    made.err().unwrap_or_else(other)
                }
                _ if is_named => rule.place.error(format!(
                    "`{pattern}` matches no tensor of the dimensions that it is for"
                )),
                _ => rule.place.error(format!("`{pattern}` matches no tensor")),
            });
        }
        Ok(())
    }

    fn check_steps(&self) -> Result<()> {
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        let given =
            format!("{} patterns, which take more than {MAX_STEPS} steps", self.globs.len());
        let needed =
            "fewer or plainer ones, or fewer tensors; names without *, ? or braces take none";
        Err(Error::invalid("rules", given, needed))
    }
}

/// The rule of how norms and counters start that a tensor has, if it is one.
pub(super) fn usual(tensor: &Bare<'_>) -> Result<Option<&'static Rule>> {
    Ok(match Finder::new(&USUAL).serving(tensor, Geometry::default())? {
        Found::Rule(rule) => Some(rule),
        _ => None,
    })
}

impl Recipe {
    /// Gives each tensor that a rule matches that rule's initializer, whatever it had before.
    ///
    /// A tensor keeps its geometry where the rule has none; a depth it had goes with its old
    /// initializer.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a rule matches no tensor, or does not fit one that it matches; the
    /// recipe is then as it was.
    pub fn override_with(&mut self, rules: &Rules) -> Result<()> {
        let mut finder = Finder::new(rules);
        finder.check_used(self.tensors.iter().map(|own| (own.bare(), Some(own.geometry))))?;
        let overridden = self.tensors.iter().map(|tensor| {
            match finder.serving(&tensor.bare(), tensor.geometry)? {
                Found::Passed(_) | Found::Nothing => Ok(tensor.clone()),
                Found::Rule(rule) => rule.of(tensor.bare(), tensor.geometry, tensor.kept.as_ref()),
            }
        });
        self.tensors = overridden.collect::<Result<_>>()?;
        Ok(())
    }
}
