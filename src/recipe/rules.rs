//! Rules: which tensors get which initializer.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::str::FromStr;
use std::sync::LazyLock;

use super::keep::Kept;
use super::pattern::Glob;
use super::place::Place;
use super::stack::{Drawn, Fused, Ranged, Rows};
use super::text;
use super::{MAX_TEXT, Recipe, TensorSpec, check_drawn, read_text};
use crate::init::{Geometry, Init};
use crate::random::{Distribution, Dtype, Formula, Source};
use crate::{Error, Layout, Result, Shape};

/// Initializers for tensors by patterns of their names, and by how many dimensions they have.
///
/// The first rule that matches a tensor wins. One whose pattern stands for several names passes over a
/// tensor that its initializer cannot serve, for whatever rule comes next: one of fewer than two
/// dimensions, where the initializer takes fans or a matrix and no fans are given; and one of integers or
/// booleans, where it is no constant. So `*.bias=zeros`, `*=he_normal` is a whole model's, whose norms and
/// counters then have their usual start (see [`Recipe::from_safetensors`]) or their recipe's own. A rule of
/// one name says what is wrong instead, and so does one that passes over all that it matches.
///
/// A rule with `rows` is of a range of an axis alone, and lies over whatever the rest of a tensor is drawn
/// from: `*bias_hh*=ones rows=64..128` is an LSTM's forget gate, `wte.weight=zeros rows=50257..` what a
/// vocabulary is padded with. Of those that have elements in common the earlier has them. It speaks of the
/// tensors that no rule before it takes, and of those that have an initializer of their own; a pattern passes
/// over tensors without such rows.
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
    /// The axis and the indices along it that it is for, where that is not all of a tensor.
    pub(super) range: Option<(usize, Rows)>,
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

/// How a tensor's shape is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) geometry: Geometry,
    pub(super) fused: Option<Fused>,
}

impl From<Geometry> for Reading {
    fn from(geometry: Geometry) -> Self {
        Reading { geometry, fused: None }
    }
}

/// What a recipe says of how a shape is read; what it leaves out comes from elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    pub(super) layout: Option<Layout>,
    pub(super) groups: Option<NonZeroU64>,
    pub(super) transposed: Option<bool>,
    pub(super) batch_dims: Option<usize>,
    pub(super) fan_in: Option<NonZeroU64>,
    pub(super) fan_out: Option<NonZeroU64>,
    pub(super) fused: Option<Fused>,
}

impl Hints {
    /// `base`, save where these hints speak.
    pub(super) fn over(&self, base: &Reading) -> Reading {
        let fused = self.fused.as_ref().or(base.fused.as_ref()).cloned();
        let base = base.geometry;
        let geometry = Geometry {
            layout: self.layout.unwrap_or(base.layout),
            groups: self.groups.map_or(base.groups, NonZeroU64::get),
            transposed: self.transposed.unwrap_or(base.transposed),
            batch_dims: self.batch_dims.unwrap_or(base.batch_dims),
            fan_in: self.fan_in.map(NonZeroU64::get).or(base.fan_in),
            fan_out: self.fan_out.map(NonZeroU64::get).or(base.fan_out),
        };
        Reading { geometry, fused }
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
    /// The tensor of this name, shape and dtype, so read and initialized; `stored` is where the model's
    /// file has it, if it is of one.
    ///
    /// # Errors
    /// [`Error::Recipe`] at this scheme's place where it does not fit the tensor.
    pub(super) fn tensor(
        &self,
        name: String,
        shape: Shape,
        dtype: Dtype,
        reading: Reading,
        stored: Option<Kept>,
    ) -> Result<TensorSpec> {
        let place = |error| self.place.error(format!("tensor `{name}` of shape {shape}: {error}"));
        let is_empty = shape.elements() == 0;
        let stored = stored.filter(|_| is_empty || matches!(self.becomes, Becomes::Kept));
        let Reading { geometry, mut fused } = reading;
        match (self.becomes, stored) {
            (_, Some(stored)) => {
                let spec = TensorSpec::copied(&name, &shape, dtype, stored, geometry);
                Ok(TensorSpec { fused, ..spec })
            }
            (Becomes::Kept, None) => Err(place(nothing_to_keep())),
            (Becomes::Drawn(init), None) => {
                // One that is alike everywhere may be of a vector beside the weights that are fused.
                if let (Init::Fixed(_), Some(own)) = (init, &fused)
                    && own.rows(&shape, &geometry).is_err()
                {
                    fused = None;
                }
                let of = |shape: &Shape| self.source(&init, shape, dtype, &geometry);
                let drawn = Drawn::new(&self.written(), &shape, &geometry, fused.as_ref(), of);
                Ok(TensorSpec::of(&name, &shape, dtype, drawn.map_err(place)?, geometry, fused))
            }
        }
    }

    /// The initializer as written, with what its scale is divided by.
    fn written(&self) -> String {
        match self.depth {
            Some(depth) => format!("{} / sqrt({depth})", self.text),
            None => self.text.clone(),
        }
    }

    /// A range of a tensor's axis, initialized so; `hints` over the tensor's own reading say how its shape is
    /// read, and `stored` where the model's file has the tensor, and in which shape.
    ///
    /// # Errors
    /// [`Error::Recipe`] at this scheme's place where it does not fit the tensor.
    pub(super) fn range(
        &self,
        tensor: &TensorSpec,
        (axis, rows): (usize, Rows),
        hints: &Hints,
        stored: Option<(&Kept, &Shape)>,
    ) -> Result<Ranged> {
        let TensorSpec { name, shape, dtype, .. } = tensor;
        let place = |error| self.place.error(format!("tensor `{name}` of shape {shape}: {error}"));
        let rows = rows.of(shape, axis).map_err(place)?;
        let geometry = hints.over(&tensor.reading()).geometry;
        let (own, geometry) = Ranged::read(shape, &geometry, axis, &rows).map_err(place)?;
        let (source, kept) = match self.becomes {
            Becomes::Drawn(init) => {
                (self.source(&init, &own, *dtype, &geometry).map_err(place)?, None)
            }
            Becomes::Kept => {
                let (kept, from) = stored.ok_or_else(|| place(nothing_to_keep()))?;
                let kept = Ranged::kept(kept, from, shape, axis, &rows).map_err(place)?;
                (Source::Elements(Distribution::Constant { value: 0.0 }), Some(kept))
            }
        };
        let init = self.written();
        Ok(Ranged { axis, rows, init, source, geometry, kept })
    }

    fn source(
        &self,
        init: &Init,
        shape: &Shape,
        dtype: Dtype,
        geometry: &Geometry,
    ) -> Result<Source> {
        check_drawn(init, &self.text)?;
        let source = init.source(shape, geometry)?;
        source.check_dtype(dtype)?;
        let Some(depth) = self.depth else { return Ok(source) };
        if !source.has_scale() {
            let given = format!("{depth} with the constant `{}`", self.text);
            return Err(Error::invalid("depth", given, "an initializer whose scale it divides"));
        }
        let source = source.scaled_down((depth.get() as f64).sqrt());
        source.check()?;
        Ok(source)
    }

    /// Whether a tensor of so many dimensions and that dtype is one that it can be for at all.
    fn serves(&self, shape: &Shape, dtype: Dtype, geometry: &Geometry) -> bool {
        let Becomes::Drawn(init) = self.becomes else { return true };
        let fixed = match init {
            Init::Fixed(distribution) => Some(distribution),
            _ => None,
        };
        // Integers and booleans have these alone.
        let is_exact = matches!(fixed, Some(Distribution::Constant { .. }))
            || matches!(init, Init::Table(Formula::Arange { .. }));
        let is_matrix = shape.dims().len() >= geometry.batch_dims.saturating_add(2);
        (is_exact || Dtype::SAMPLED.contains(&dtype))
            && (fixed.is_some() || is_matrix || init.source(shape, geometry).is_ok())
    }
}

fn nothing_to_keep() -> Error {
    let needed = "a .safetensors model and the tensor's own shape: keep copies what is there";
    Error::invalid("keep", "no file that holds this tensor so", needed)
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
pub(super) const MAX_STEPS: u64 = 2_000_000_000;

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

    /// Whether it does not pass over the tensor, which is read as `base` says where the rule does not.
    fn serves(&self, tensor: &Bare<'_>, base: &Reading) -> bool {
        self.serves_as(tensor, &self.hints.over(base))
    }

    /// Whether it does not pass over the tensor, read so.
    pub(super) fn serves_as(&self, tensor: &Bare<'_>, reading: &Reading) -> bool {
        let shape = self.shape.as_ref().unwrap_or(tensor.shape);
        self.glob.name().is_some() || self.scheme.serves(shape, tensor.dtype, &reading.geometry)
    }

    /// A tensor as this rule has it; `stored` is where the model's file has its own.
    pub(super) fn of(
        &self,
        tensor: Bare<'_>,
        base: &Reading,
        stored: Option<&Kept>,
    ) -> Result<TensorSpec> {
        let stored = stored.filter(|_| self.shape.is_none()).cloned();
        let shape = self.shape.as_ref().unwrap_or(tensor.shape).clone();
        let reading = self.hints.over(base);
        self.scheme.tensor(tensor.name.to_owned(), shape, tensor.dtype, reading, stored)
    }

    /// Whether a tensor has the rows that this rule is for, and they are such as its initializer serves.
    fn has_rows(&self, shape: &Shape, dtype: Dtype, base: &Reading) -> bool {
        let Some((axis, rows)) = self.range else { return false };
        let geometry = self.hints.over(base).geometry;
        let own = rows.of(shape, axis);
        let own = own.and_then(|rows| Ranged::read(shape, &geometry, axis, &rows));
        own.is_ok_and(|(own, geometry)| self.scheme.serves(&own, dtype, &geometry))
    }
}

/// Puts what ranged rules have for a tensor under the ranges that it has.
pub(super) fn add_ranges(
    spec: &mut TensorSpec,
    rules: &[&Rule],
    stored: Option<(&Kept, &Shape)>,
) -> Result<()> {
    for rule in rules {
        let Some(range) = rule.range else { continue };
        let reading = spec.reading();
        if rule.glob.name().is_some() || rule.has_rows(&spec.shape, spec.dtype, &reading) {
            let range = rule.scheme.range(spec, range, &rule.hints, stored)?;
            spec.ranges.push(range);
        }
    }
    match rules.first() {
        Some(rule) => spec.check_ranges(spec.dtype).map_err(|error| rule.scheme.place.error(error)),
        None => Ok(()),
    }
}

/// What rules have for a tensor.
pub(super) struct Found<'a> {
    pub(super) whole: Whole<'a>,
    /// Those for some rows alone, in order, up to the one for all.
    pub(super) ranged: Vec<&'a Rule>,
}

/// What rules have for all of a tensor.
#[derive(Clone, Copy)]
pub(super) enum Whole<'a> {
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
    /// Of these, those that are for some rows alone; none of them is in `globs`.
    ranged: Vec<usize>,
    /// Rules that some tensor was found to have.
    found: Vec<bool>,
    /// Taken so far.
    steps: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(Rules(rules): &'a Rules) -> Self {
        let (globs, ranged) = (Vec::new(), Vec::new());
        let (names, found) = (HashMap::new(), vec![false; rules.len()]);
        let mut finder = Finder { rules, names, globs, ranged, found, steps: 0 };
        for (index, rule) in rules.iter().enumerate() {
            match (rule.glob.name(), &rule.range) {
                (Some(name), _) => finder.names.entry(name).or_default().push(index),
                (None, None) => finder.globs.push(index),
                (None, Some(_)) => finder.ranged.push(index),
            }
        }
        finder
    }

    /// The first rule that matches a tensor, of those that `take` it, and the ranged ones before it; where
    /// the tensor is `own`, which has an initializer, all of these.
    pub(super) fn find(
        &mut self,
        tensor: &Bare<'_>,
        own: bool,
        take: impl Fn(&Rule) -> bool,
    ) -> Result<Found<'a>> {
        let rules = self.rules;
        let named = self.names.get(tensor.name).into_iter().flatten().copied();
        let named = named.filter(|&index| rules[index].fits(tensor));
        // A name's rules pass over nothing but dimensions: the first is the last that can be.
        let first = named.clone().find(|&index| rules[index].range.is_none());
        let (mut found, mut passed) = (first, None);
        for &index in &self.globs {
            if first.is_some_and(|first| first < index) {
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
        let end = found.filter(|_| !own).unwrap_or(rules.len());
        let mut ranged: Vec<usize> =
            named.filter(|&index| index < end && rules[index].range.is_some()).collect();
        for &index in self.ranged.iter().take_while(|index| **index < end) {
            let rule = &rules[index];
            if rule.fits(tensor) && rule.glob.matches(tensor.name, &mut self.steps) {
                ranged.push(index);
            }
        }
        ranged.sort_unstable();
        ranged.iter().for_each(|&index| self.found[index] = true);
        self.check_steps()?;
        let whole = match (found, passed) {
            (Some(found), _) => Whole::Rule(&rules[found]),
            (None, Some(passed)) => Whole::Passed(&rules[passed]),
            (None, None) => Whole::Nothing,
        };
        Ok(Found { whole, ranged: ranged.into_iter().map(|index| &rules[index]).collect() })
    }

    /// The first rule that serves a tensor that is read as `base` says.
    pub(super) fn serving(&mut self, tensor: &Bare<'_>, base: &Reading) -> Result<Found<'a>> {
        self.find(tensor, false, |rule| rule.serves(tensor, base))
    }

    /// Checks that every rule matches some tensor, be it one that an earlier rule takes, and serves one
    /// of those that it matches, where it is known how they are read.
    pub(super) fn check_used<'t>(
        &mut self,
        tensors: impl Iterator<Item = (Bare<'t>, Option<Reading>)> + Clone,
    ) -> Result<()> {
        // Only where it saves more than it costs.
        let mut named: HashMap<&str, Bare<'t>> = HashMap::new();
        if !self.names.is_empty() {
            named.extend(tensors.clone().map(|(tensor, _)| (tensor.name, tensor)));
        }
        // A range may be one of a shape that a rule gives.
        let given: Vec<&Shape> = self.rules.iter().filter_map(|rule| rule.shape.as_ref()).collect();
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
                        is_used = match (&base, &rule.range) {
                            (base, Some(_)) => {
                                let base = base.clone().unwrap_or_default();
                                let dims = tensor.shape.dims().len();
                                let given = given.iter().copied();
                                let given = given.filter(|shape| shape.dims().len() == dims);
                                let mut shapes = given.chain([tensor.shape]);
                                shapes.any(|shape| rule.has_rows(shape, tensor.dtype, &base))
                            }
                            (Some(base), None) => rule.serves(&tensor, base),
                            (None, None) => true,
                        };
                        passed = passed.or(Some((tensor, base)));
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
                    let base = base.unwrap_or_default();
                    let made = match rule.range {
                        None => rule.of(tensor, &base, None).map(drop),
                        Some(range) => {
                            let spec = TensorSpec::blank(&tensor, &base);
                            rule.scheme.range(&spec, range, &rule.hints, None).map(drop)
                        }
                    };
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

    /// Checks, once all tensors were looked for, that none of the rules for some rows came too late: after
    /// those that have the whole of all that it matches.
    pub(super) fn check_found(&self) -> Result<()> {
        let late = self.rules.iter().zip(&self.found);
        match late.into_iter().find(|(rule, found)| rule.range.is_some() && !**found) {
            None => Ok(()),
            Some((rule, _)) => Err(rule.place.error(format!(
                "`{}` is for some rows alone, and a rule before it has the whole of all that it matches; \
                 needed this one first",
                rule.pattern
            ))),
        }
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
    Ok(match Finder::new(&USUAL).serving(tensor, &Reading::default())?.whole {
        Whole::Rule(rule) => Some(rule),
        _ => None,
    })
}

impl Recipe {
    /// Gives each tensor that a rule matches that rule's initializer, whatever it had before.
    ///
    /// A tensor keeps its geometry where the rule has none, and its ranges under those of the rules; a depth
    /// it had goes with its old initializer.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a rule matches no tensor, or does not fit one that it matches; the
    /// recipe is then as it was.
    pub fn override_with(&mut self, rules: &Rules) -> Result<()> {
        let mut finder = Finder::new(rules);
        finder.check_used(self.tensors.iter().map(|own| (own.bare(), Some(own.reading()))))?;
        let overridden = self.tensors.iter().map(|tensor| {
            let base = tensor.reading();
            let Found { whole, ranged } = finder.serving(&tensor.bare(), &base)?;
            let mut made = match whole {
                Whole::Passed(_) | Whole::Nothing if ranged.is_empty() => return Ok(tensor.clone()),
                Whole::Passed(_) | Whole::Nothing => {
                    TensorSpec { ranges: Vec::new(), ..tensor.clone() }
                }
                Whole::Rule(rule) => rule.of(tensor.bare(), &base, tensor.kept.as_ref())?,
            };
            let stored = tensor.kept.as_ref().map(|kept| (kept, &tensor.shape));
            add_ranges(&mut made, &ranged, stored)?;
            made.ranges.extend(tensor.ranges.iter().cloned());
            made.check_ranges(made.dtype)?;
            Ok(made)
        });
        let overridden = overridden.collect::<Result<_>>()?;
        finder.check_found()?;
        self.tensors = overridden;
        Ok(())
    }
}
