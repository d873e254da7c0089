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
use super::rules::{Bare, Becomes, Dims, Finder, Found, Hints, Rule, Rules, Scheme};
use super::{KEEP, Recipe, TensorSpec, Total};
use crate::init::Geometry;
use crate::random::Dtype;
use crate::{Error, Layout, Result, Shape};

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
    dims: Option<DimsValue>,
    shape: Option<Spanned<Vec<u64>>>,
    depth: Option<NonZeroU64>,
    layout: Option<Named<Layout>>,
    groups: Option<NonZeroU64>,
    transposed: Option<bool>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
}

/// `2`, or a range in text.
struct DimsValue(Dims);

impl<'de> Deserialize<'de> for DimsValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "dims: needed a number of dimensions, or a range such as \"2..\""
        )]
        enum Either {
            Number(u32),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        };
        text.parse().map(DimsValue).map_err(serde::de::Error::custom)
    }
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
        let shape = table.shape.map(|shape| self.shape(&shape)).transpose()?;
        let rule = Rule::new(table.r#match.get_ref(), self.place_of(&table.r#match), scheme)?;
        Ok(Rule { dims: table.dims.map_or(Dims::ANY, |dims| dims.0), shape, hints, ..rule })
    }

    fn shape(self: &Arc<Self>, dims: &Spanned<Vec<u64>>) -> Result<Shape> {
        Shape::new(dims.get_ref().clone()).map_err(|error| self.place_of(dims).error(error))
    }

    fn rules(self: &Arc<Self>, tables: Vec<RuleTable>) -> Result<Rules> {
        tables.into_iter().map(|table| self.rule(table)).collect::<Result<_>>().map(Rules)
    }
}

impl Scheme {
    fn read(text: &str, depth: Option<NonZeroU64>, place: Place) -> Result<Scheme> {
        let becomes = match text.trim() {
            KEEP => {
                if let Some(depth) = depth {
                    let needed = "an initializer whose scale it divides";
                    let error = Error::invalid("depth", format!("{depth} with `{KEEP}`"), needed);
                    return Err(place.error(error));
                }
                Becomes::Kept
            }
            text => Becomes::Drawn(text.parse().map_err(|error| place.error(error))?),
        };
        Ok(Scheme { becomes, text: text.trim().into(), depth, place })
    }
}

impl Rule {
    fn new(pattern: &str, place: Place, scheme: Scheme) -> Result<Rule> {
        let glob = Glob::parse(pattern).map_err(|message| place.error(message))?;
        let (pattern, dims, hints) = (pattern.into(), Dims::ANY, Hints::default());
        Ok(Rule { pattern, glob, dims, shape: None, place, scheme, hints })
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

/// What may follow the initializer of a rule in a line: the keys of a [`RuleTable`].
const KEYS: [&str; 8] =
    ["dims", "shape", "depth", "layout", "groups", "transposed", "fan_in", "fan_out"];

/// `PATTERN=INIT`, and `KEY=VALUE`s after blanks; itself the path that messages give.
pub(super) fn pair(text: &str) -> Result<Rule> {
    let source = Source::new(&format!("rule `{text}`"), text);
    let at = |part: &str| source.place(part.as_ptr() as usize - source.text.as_ptr() as usize);
    let (pattern, rest) = source.text.split_once('=').ok_or_else(|| {
        source.place(0).error("no `=`; needed PATTERN=INITIALIZER, as `*.bias=zeros`")
    })?;
    // An initializer may have blanks after its commas; a key comes after one without.
    let mut init = rest;
    let mut keys = Vec::new();
    let blanks = rest.match_indices(char::is_whitespace);
    if let Some((end, _)) = blanks.into_iter().find(|(end, _)| {
        let before = rest[..*end].trim_end();
        !before.is_empty() && !before.ends_with([',', ':', '=']) && {
            let after = rest[*end..].trim_start();
            after.starts_with(|c: char| c.is_ascii_alphabetic())
        }
    }) {
        init = &rest[..end];
        keys.extend(rest[end..].split_whitespace());
    }
    let mut depth = None;
    let mut hints = Hints::default();
    let (mut dims, mut shape) = (Dims::ANY, None);
    let mut seen = Vec::new();
    for part in keys {
        let place = at(part);
        let Some((key, value)) = part.split_once('=') else {
            return Err(place.error(format!("`{part}`; needed KEY=VALUE, as `layout=in_out`")));
        };
        if seen.contains(&key) {
            return Err(place.error(format!("`{key}` twice; needed it once")));
        }
        seen.push(key);
        let read = match key {
            "dims" => value.parse().map(|read| dims = read),
            "shape" => list(value).and_then(Shape::new).map(|read| shape = Some(read)),
            "depth" => whole(key, value).map(|read| depth = Some(read)),
            "layout" => value.parse().map(|read| hints.layout = Some(read)),
            "groups" => whole(key, value).map(|read| hints.groups = Some(read)),
            "transposed" => value
                .parse()
                .map(|read| hints.transposed = Some(read))
                .map_err(|_| Error::invalid(key, format!("`{value}`"), "true or false")),
            "fan_in" => whole(key, value).map(|read| hints.fan_in = Some(read)),
            "fan_out" => whole(key, value).map(|read| hints.fan_out = Some(read)),
            _ => Err(Error::unknown("key of a rule", key, KEYS)),
        };
        read.map_err(|error| place.error(error))?;
    }
    let scheme = Scheme::read(init, depth, at(init))?;
    let rule = Rule::new(pattern, source.place(0), scheme)?;
    Ok(Rule { dims, shape, hints, ..rule })
}

fn whole(key: &str, value: &str) -> Result<NonZeroU64> {
    value.parse().map_err(|_| Error::invalid(key, format!("`{value}`"), "a whole number above 0"))
}

/// `[10,512]` or `10,512`.
fn list(text: &str) -> Result<Vec<u64>> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let numbers = inside.split(',').filter(|_| !inside.is_empty()).map(str::parse);
    numbers.collect::<Result<_, _>>().map_err(|_| {
        Error::invalid("shape", format!("`{text}`"), "dimensions without blanks, as [10,512]")
    })
}

pub(super) fn recipe(text: &str, path: &str) -> Result<Recipe> {
    let source = Source::new(path, text);
    let table: RecipeTable = source.read()?;
    let rules = source.rules(table.rule)?;
    if let Some(rule) = rules.0.iter().find(|rule| rule.shape.is_some()) {
        let message =
            "`shape` in a recipe's own rule; its tensors have theirs (rules over a model have it)";
        return Err(rule.place.error(message));
    }
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
    // What a rule cannot initialize had to have an initializer of its own, and takes the rest.
    reader.finder.check_used(tensors.iter().map(|tensor| (tensor.bare(), None)))?;
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
        let shape = self.source.shape(&table.shape)?;
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
            let base = Geometry::from(self.layout);
            let bare = Bare { name: &name, shape: &shape, dtype };
            // What has an initializer of its own takes what else a rule has.
            let found = self.finder.find(&bare, |rule| {
                own.is_some() || rule.serves(&bare, hints.over(rule.hints.over(base)))
            })?;
            let (geometry, scheme) = match (&own, found) {
                (Some(own), Found::Rule(rule)) => {
                    (hints.over(rule.hints.over(base)), Cow::Borrowed(own))
                }
                (Some(own), _) => (hints.over(base), Cow::Borrowed(own)),
                (None, Found::Rule(rule)) => {
                    let scheme = match table.depth {
                        None => Cow::Borrowed(&rule.scheme),
                        depth => Cow::Owned(Scheme { depth, ..rule.scheme.clone() }),
                    };
                    (hints.over(rule.hints.over(base)), scheme)
                }
                // It says what it lacks.
                (None, Found::Passed(rule)) => {
                    (hints.over(rule.hints.over(base)), Cow::Borrowed(&rule.scheme))
                }
                (None, Found::Nothing) => {
                    let message = format!("tensor `{name}` has no init, and no rule matches it");
                    return Err(place().error(message));
                }
            };
            self.total
                .add(&name, &shape, dtype, &scheme.text)
                .map_err(|error| self.source.place_of(&table.shape).error(error))?;
            tensors.push(scheme.tensor(name, shape.clone(), dtype, geometry, None)?);
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
