//! Rules: which tensors get which initializer.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::path::Path;

use super::pattern::Glob;
use super::place::Place;
use super::text;
use super::{Recipe, TensorSpec, check_drawn, read_text};
use crate::init::{Geometry, Init};
use crate::random::{Distribution, Dtype, Source};
use crate::{Error, Layout, Result, Shape};

/// Initializers for tensors by patterns of their names; the first rule that matches wins.
#[derive(Clone, Debug, Default)]
pub struct Rules(pub(super) Vec<Rule>);

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) pattern: String,
    pub(super) glob: Glob,
    pub(super) place: Place,
    pub(super) scheme: Scheme,
    pub(super) hints: Hints,
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

/// An initializer as a recipe has it.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    pub(super) init: Init,
    /// As written.
    pub(super) text: String,
    /// The scale is divided by the root of this.
    pub(super) depth: Option<NonZeroU64>,
    pub(super) place: Place,
}

impl Scheme {
    /// The tensor of this name, shape, dtype and geometry, initialized so.
    ///
    /// # Errors
    /// [`Error::Recipe`] at this scheme's place where it does not fit the tensor.
    pub(super) fn tensor(
        &self,
        name: String,
        shape: Shape,
        dtype: Dtype,
        geometry: Geometry,
    ) -> Result<TensorSpec> {
        let (init, source) = self.source(&shape, dtype, &geometry).map_err(|error| {
            self.place.error(format!("tensor `{name}` of shape {shape}: {error}"))
        })?;
        Ok(TensorSpec { name, shape, dtype, init, source, geometry })
    }

    fn source(&self, shape: &Shape, dtype: Dtype, geometry: &Geometry) -> Result<(String, Source)> {
        check_drawn(&self.init, &self.text)?;
        let source = self.init.source(shape, geometry)?;
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
        Rules::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Reads rules such as `*.bias=zeros`: a pattern, `=`, an initializer.
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

/// Rules, made ready to be looked through for many names.
pub(super) struct Finder<'a> {
    rules: &'a [Rule],
    /// The first rule of each pattern that is a name.
    names: HashMap<&'a str, usize>,
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
                Some(name) => _ = finder.names.entry(name).or_insert(index),
                None => finder.globs.push(index),
            }
        }
        finder
    }

    /// The first rule that matches `name`.
    pub(super) fn find(&mut self, name: &str) -> Result<Option<&'a Rule>> {
        let named = self.names.get(name).copied();
        let earlier =
            self.globs.iter().copied().take_while(|&glob| named.is_none_or(|named| glob < named));
        let globbed =
            earlier.into_iter().find(|&glob| self.rules[glob].glob.matches(name, &mut self.steps));
        self.check_steps()?;
        Ok(globbed.or(named).map(|index| &self.rules[index]))
    }

    /// Checks that every rule matches some tensor, be it one that an earlier rule takes.
    pub(super) fn check_used(&mut self, tensors: &[TensorSpec]) -> Result<()> {
        let names = tensors.iter().map(|tensor| tensor.name.as_str());
        // Only where it saves more than it costs.
        let set: HashSet<&str> = match self.names.is_empty() {
            true => HashSet::new(),
            false => names.clone().collect(),
        };
        for rule in self.rules {
            let used = match rule.glob.name() {
                Some(name) => set.contains(name),
                None => names.clone().any(|name| rule.glob.matches(name, &mut self.steps)),
            };
            self.check_steps()?;
            if !used {
                return Err(rule.place.error(format!("`{}` matches no tensor", rule.pattern)));
            }
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
        finder.check_used(&self.tensors)?;
        let overridden = self.tensors.iter().map(|tensor| match finder.find(&tensor.name)? {
            None => Ok(tensor.clone()),
            Some(rule) => rule.scheme.tensor(
                tensor.name.clone(),
                tensor.shape.clone(),
                tensor.dtype,
                rule.hints.over(tensor.geometry),
            ),
        });
        self.tensors = overridden.collect::<Result<_>>()?;
        Ok(())
    }
}
