//! The TOML form of recipes and rules.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::pattern::{self, Glob, MAX_NAMES};
use super::place::{Place, Source};
use super::rules::{Finder, Hints, Rule, Rules, Scheme};
use super::{Recipe, TensorSpec, Total};
use crate::init::Geometry;
use crate::random::Dtype;
use crate::{Layout, Result, Shape};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeTable {
    name: Option<String>,
    description: Option<String>,
    dtype: Option<Named<Dtype>>,
    layout: Option<Named<Layout>>,
    #[serde(default)]
    tensor: Vec<TensorTable>,
    #[serde(default)]
    rule: Vec<RuleTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesTable {
    #[serde(default)]
    rule: Vec<RuleTable>,
}

// The keys from `depth` on are those of `RuleTable`; serde cannot both share them (`flatten`) and
// refuse unknown ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorTable {
    name: Spanned<String>,
    shape: Spanned<Vec<u64>>,
    dtype: Option<Named<Dtype>>,
    init: Option<Spanned<String>>,
    depth: Option<NonZeroU64>,
    layout: Option<Named<Layout>>,
    groups: Option<NonZeroU64>,
    transposed: Option<bool>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    r#match: Spanned<String>,
    init: Spanned<String>,
    depth: Option<NonZeroU64>,
    layout: Option<Named<Layout>>,
    groups: Option<NonZeroU64>,
    transposed: Option<bool>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
}

/// A value that is read from its name; an unknown name is an error at its place.
#[derive(Clone, Copy)]
struct Named<T>(T);

impl<'de, T: FromStr<Err = crate::Error>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map(Named).map_err(serde::de::Error::custom)
    }
}

impl Source {
    fn place_of<T>(self: &Arc<Self>, value: &Spanned<T>) -> Place {
        self.place(value.span().start)
    }

    fn read<T: for<'de> Deserialize<'de>>(self: &Arc<Self>) -> Result<T> {
        toml::from_str(&self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.place(offset).error(error.message().replace('\n', "; "))
        })
    }

    fn scheme(
        self: &Arc<Self>,
        init: &Spanned<String>,
        depth: Option<NonZeroU64>,
    ) -> Result<Scheme> {
        Scheme::read(init.get_ref(), depth, self.place_of(init))
    }

    fn rule(self: &Arc<Self>, table: RuleTable) -> Result<Rule> {
        let scheme = self.scheme(&table.init, table.depth)?;
        let hints = Hints {
            layout: table.layout.map(|layout| layout.0),
            groups: table.groups,
            transposed: table.transposed,
            fan_in: table.fan_in,
            fan_out: table.fan_out,
        };
        Rule::new(table.r#match.get_ref(), self.place_of(&table.r#match), scheme, hints)
    }

    fn rules(self: &Arc<Self>, tables: Vec<RuleTable>) -> Result<Rules> {
        tables.into_iter().map(|table| self.rule(table)).collect::<Result<_>>().map(Rules)
    }
}

impl Scheme {
    fn read(text: &str, depth: Option<NonZeroU64>, place: Place) -> Result<Scheme> {
        let init = text.parse().map_err(|error| place.error(error))?;
        Ok(Scheme { init, text: text.into(), depth, place })
    }
}

impl Rule {
    fn new(pattern: &str, place: Place, scheme: Scheme, hints: Hints) -> Result<Rule> {
        let glob = Glob::parse(pattern).map_err(|message| place.error(message))?;
        Ok(Rule { pattern: pattern.into(), glob, place, scheme, hints })
    }
}

pub(super) fn rules(text: &str, path: &str) -> Result<Rules> {
    let source = Source::new(path, text);
    let rules = source.rules(source.read::<RulesTable>()?.rule)?;
    if rules.is_empty() {
        return Err(source.place(0).error("no rules; needed at least one [[rule]]"));
    }
    Ok(rules)
}

/// `PATTERN=INIT`, itself the path that messages give.
pub(super) fn pair(text: &str) -> Result<Rule> {
    let source = Source::new(&format!("rule `{text}`"), text);
    let (pattern, init) = text.split_once('=').ok_or_else(|| {
        source.place(0).error("no `=`; needed PATTERN=INITIALIZER, as `*.bias=zeros`")
    })?;
    let scheme = Scheme::read(init, None, source.place(pattern.len() + 1))?;
    Rule::new(pattern, source.place(0), scheme, Hints::default())
}

pub(super) fn recipe(text: &str, path: &str) -> Result<Recipe> {
    let source = Source::new(path, text);
    let table: RecipeTable = source.read()?;
    let rules = source.rules(table.rule)?;
    let dtype = table.dtype.map_or(Dtype::F32, |dtype| dtype.0);
    let layout = table.layout.map(|layout| layout.0).unwrap_or_default();

    let mut reader = Reader {
        source,
        finder: Finder::new(&rules),
        dtype,
        layout,
        seen: HashMap::new(),
        total: Total::default(),
    };
    let mut tensors = Vec::new();
    for tensor in table.tensor {
        reader.tensor(tensor, &mut tensors)?;
    }
    if tensors.is_empty() {
        return Err(reader.source.place(0).error("no tensors; needed at least one [[tensor]]"));
    }
    reader.finder.check_used(&tensors)?;
    let name = table.name.unwrap_or_else(|| super::stem(path.as_ref()));
    Ok(Recipe { name, description: table.description, tensors })
}

/// What is known while one tensor after another is read.
struct Reader<'a> {
    source: Arc<Source>,
    finder: Finder<'a>,
    dtype: Dtype,
    layout: Layout,
    /// Where each name was written, as an offset.
    seen: HashMap<String, usize>,
    total: Total,
}

impl Reader<'_> {
    fn tensor(&mut self, table: TensorTable, tensors: &mut Vec<TensorSpec>) -> Result<()> {
        let start = table.name.span().start;
        let place = || self.source.place(start);
        let shape = Shape::new(table.shape.get_ref().clone())
            .map_err(|error| self.source.place_of(&table.shape).error(error))?;
        let dtype = table.dtype.map_or(self.dtype, |dtype| dtype.0);
        let own = table.init.map(|init| self.source.scheme(&init, table.depth)).transpose()?;
        let hints = Hints {
            layout: table.layout.map(|layout| layout.0),
            groups: table.groups,
            transposed: table.transposed,
            fan_in: table.fan_in,
            fan_out: table.fan_out,
        };
        let limit = MAX_NAMES - tensors.len() as u64;
        let names = pattern::expand(table.name.get_ref(), limit)
            .map_err(|message| place().error(message))?;
        for name in names {
            check_name(&name).map_err(|message| place().error(message))?;
            if let Some(first) = self.seen.insert(name.clone(), start) {
                let line = self.source.place(first).line();
                let message = format!("a second tensor `{name}`; the first is on line {line}");
                return Err(place().error(message));
            }
            let rule = self.finder.find(&name)?;
            let base = Geometry::from(self.layout);
            let geometry = hints.over(rule.map_or(base, |rule| rule.hints.over(base)));
            let scheme = match (&own, rule) {
                (Some(own), _) => Cow::Borrowed(own),
                (None, Some(rule)) => match table.depth {
                    None => Cow::Borrowed(&rule.scheme),
                    depth => Cow::Owned(Scheme { depth, ..rule.scheme.clone() }),
                },
                (None, None) => {
                    let message = format!("tensor `{name}` has no init, and no rule matches it");
                    return Err(place().error(message));
                }
            };
            self.total
                .add(&name, &shape, dtype, &scheme.text)
                .map_err(|error| self.source.place_of(&table.shape).error(error))?;
            tensors.push(scheme.tensor(name, shape.clone(), dtype, geometry)?);
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("an empty name; needed at least one character"),
        // In a safetensors header this key is no tensor.
        "__metadata__" => {
            Err("the name `__metadata__` is taken by the file format; needed another")
        }
        _ => Ok(()),
    }
}
