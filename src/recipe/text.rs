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
use super::rules::{
    Bare, Becomes, Dims, Finder, Found, Hints, Reading, Rule, Rules, Scheme, Whole, add_ranges,
};
use super::stack::{Fused, Parts, Rows};
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

// The keys from `depth` to `parts_axis` are those of `RuleTable` and `RangeTable`; serde cannot both share
// them (`flatten`) and refuse unknown ones.
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
    batch_dims: Option<usize>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
    parts: Option<PartsValue>,
    parts_axis: Option<usize>,
    #[serde(default)]
    range: Vec<RangeTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    r#match: Spanned<String>,
    init: Spanned<String>,
    dims: Option<DimsValue>,
    rows: Option<RowsValue>,
    axis: Option<usize>,
    shape: Option<Spanned<Vec<u64>>>,
    depth: Option<NonZeroU64>,
    layout: Option<Named<Layout>>,
    groups: Option<NonZeroU64>,
    transposed: Option<bool>,
    batch_dims: Option<usize>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
    parts: Option<PartsValue>,
    parts_axis: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeTable {
    rows: RowsValue,
    #[serde(default)]
    axis: usize,
    init: Spanned<String>,
    depth: Option<NonZeroU64>,
    layout: Option<Named<Layout>>,
    groups: Option<NonZeroU64>,
    transposed: Option<bool>,
    batch_dims: Option<usize>,
    fan_in: Option<NonZeroU64>,
    fan_out: Option<NonZeroU64>,
}

/// A number of equal parts, or the length of each.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "parts: needed a number of parts, or the length of each as [64, 32, 32]"
)]
enum PartsValue {
    Equal(NonZeroU64),
    Lengths(Vec<u64>),
}

impl PartsValue {
    fn fused(self, axis: Option<usize>) -> Fused {
        let parts = match self {
            PartsValue::Equal(parts) => Parts::Equal(parts.get()),
            PartsValue::Lengths(lengths) => Parts::Lengths(lengths),
        };
        Fused { parts, axis }
    }
}

/// An index, or a range in text.
struct RowsValue(Rows);

impl<'de> Deserialize<'de> for RowsValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "rows: needed an index, or a range such as \"64..128\"")]
        enum Either {
            Number(u64),
            Text(String),
        }
        let text = match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        };
        text.parse().map(RowsValue).map_err(serde::de::Error::custom)
    }
}

/// The keys of [`Hints`] that a table has.
macro_rules! hints {
    ($table:expr) => {
        Hints {
            layout: $table.layout.map(|layout| layout.0),
            groups: $table.groups,
            transposed: $table.transposed,
            batch_dims: $table.batch_dims,
            fan_in: $table.fan_in,
            fan_out: $table.fan_out,
            fused: None,
        }
    };
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
    pub(super) fn place_of<T>(self: &Arc<Self>, value: &Spanned<T>) -> Place {
        self.place(value.span().start)
    }

    pub(super) fn read<T: for<'de> Deserialize<'de>>(self: &Arc<Self>) -> Result<T> {
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
        let place = self.place_of(&table.r#match);
        let range = range(table.rows.map(|rows| rows.0), table.axis);
        let range = range.map_err(|error| place.error(error))?;
        let fused = fused(table.parts, table.parts_axis).map_err(|error| place.error(error))?;
        let hints = Hints { fused, ..hints!(table) };
        let shape = table.shape.map(|shape| self.shape(&shape)).transpose()?;
        let dims = table.dims.map_or(Dims::ANY, |dims| dims.0);
        let rule = Rule::new(table.r#match.get_ref(), place, scheme)?;
        Rule { dims, shape, range, hints, ..rule }.checked()
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
        Ok(Rule { pattern, glob, dims, shape: None, range: None, place, scheme, hints })
    }

    /// That what it says goes together.
    fn checked(self) -> Result<Rule> {
        let wrong =
            |what, needed| Err(self.place.error(Error::invalid(what, "it with rows", needed)));
        match &self.range {
            Some(_) if self.shape.is_some() => wrong("shape", "it in a rule for all of the tensor"),
            Some(_) if self.hints.fused.is_some() => {
                wrong("parts", "them in a rule for all of the tensor")
            }
            _ => Ok(self),
        }
    }
}

/// What a rule is for, where that is not all of a tensor.
fn range(rows: Option<Rows>, axis: Option<usize>) -> Result<Option<(usize, Rows)>> {
    match (rows, axis) {
        (None, Some(axis)) => Err(Error::invalid("axis", axis, "the rows of it, as rows=\"0..4\"")),
        (rows, axis) => Ok(rows.map(|rows| (axis.unwrap_or(0), rows))),
    }
}

/// The weights that a tensor is.
fn fused(parts: Option<PartsValue>, axis: Option<usize>) -> Result<Option<Fused>> {
    match (parts, axis) {
        (None, Some(axis)) => {
            Err(Error::invalid("parts_axis", axis, "the parts of it, as parts=3"))
        }
        (parts, axis) => Ok(parts.map(|parts| parts.fused(axis))),
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
const KEYS: [&str; 13] = [
    "dims",
    "shape",
    "depth",
    "layout",
    "groups",
    "transposed",
    "fan_in",
    "fan_out",
    "batch_dims",
    "parts",
    "parts_axis",
    "rows",
    "axis",
];

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
    let (mut rows, mut axis, mut parts, mut parts_axis) = (None, None, None, None);
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
            "shape" => {
                list(key, value, "dimensions").and_then(Shape::new).map(|read| shape = Some(read))
            }
            "rows" => value.parse().map(|read| rows = Some(read)),
            "axis" => index(key, value).map(|read| axis = Some(read)),
            "batch_dims" => index(key, value).map(|read| hints.batch_dims = Some(read)),
            "parts_axis" => index(key, value).map(|read| parts_axis = Some(read)),
            "parts" if value.contains([',', '[']) => {
                list(key, value, "lengths").map(|read| parts = Some(PartsValue::Lengths(read)))
            }
            "parts" => whole(key, value).map(|read| parts = Some(PartsValue::Equal(read))),
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
    let range = range(rows, axis).map_err(|error| source.place(0).error(error))?;
    hints.fused = fused(parts, parts_axis).map_err(|error| source.place(0).error(error))?;
    Rule { dims, shape, range, hints, ..rule }.checked()
}

fn index(key: &str, value: &str) -> Result<usize> {
    value.parse().map_err(|_| Error::invalid(key, format!("`{value}`"), "a whole number from 0"))
}

fn whole(key: &str, value: &str) -> Result<NonZeroU64> {
    value.parse().map_err(|_| Error::invalid(key, format!("`{value}`"), "a whole number above 0"))
}

/// `[10,512]` or `10,512`.
fn list(key: &str, text: &str, what: &str) -> Result<Vec<u64>> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let numbers = inside.split(',').filter(|_| !inside.is_empty()).map(str::parse);
    numbers.collect::<Result<_, _>>().map_err(|_| {
        let needed = format!("{what} without blanks, as [10,512]");
        Error::invalid(key, format!("`{text}`"), needed)
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
    reader.finder.check_found()?;
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
        let own = table.init.as_ref().map(|init| self.source.scheme(init, table.depth));
        let own = own.transpose()?;
        let fused = fused(table.parts, table.parts_axis).map_err(|error| place().error(error))?;
        let hints = Hints { fused, ..hints!(table) };
        let ranges: Vec<(Scheme, (usize, Rows), Hints)> = table
            .range
            .into_iter()
            .map(|range| {
                let scheme = self.source.scheme(&range.init, range.depth)?;
                Ok((scheme, (range.axis, range.rows.0), hints!(range)))
            })
            .collect::<Result<_>>()?;
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
            let base = Reading::from(Geometry::from(self.layout));
            let bare = Bare { name: &name, shape: &shape, dtype };
            let read = |rule: &Rule| hints.over(&rule.hints.over(&base));
            // What has an initializer of its own takes what else a rule has.
            let Found { whole, ranged } = self.finder.find(&bare, own.is_some(), |rule| {
                own.is_some() || rule.serves_as(&bare, &read(rule))
            })?;
            let (reading, scheme) = match (&own, whole) {
                (Some(own), Whole::Rule(rule)) => (read(rule), Cow::Borrowed(own)),
                (Some(own), _) => (hints.over(&base), Cow::Borrowed(own)),
                (None, Whole::Rule(rule)) => {
                    let scheme = match table.depth {
                        None => Cow::Borrowed(&rule.scheme),
                        depth => Cow::Owned(Scheme { depth, ..rule.scheme.clone() }),
                    };
                    (read(rule), scheme)
                }
                // It says what it lacks.
                (None, Whole::Passed(rule)) => (read(rule), Cow::Borrowed(&rule.scheme)),
                (None, Whole::Nothing) => {
                    let message = format!("tensor `{name}` has no init, and no rule matches it");
                    return Err(place().error(message));
                }
            };
            if let Some(fused) = &hints.fused {
                let rows = fused.rows(&shape, &reading.geometry);
                rows.map_err(|error| place().error(format!("tensor `{name}`: {error}")))?;
            }
            self.total
                .add(&name, &shape, dtype, &scheme.text)
                .map_err(|error| self.source.place_of(&table.shape).error(error))?;
            let mut spec = scheme.tensor(name.clone(), shape.clone(), dtype, reading, None)?;
            for (scheme, range, hints) in &ranges {
                let range = scheme.range(&spec, *range, hints, None)?;
                spec.ranges.push(range);
            }
            add_ranges(&mut spec, &ranged, None)?;
            spec.check_ranges(dtype).map_err(|error| place().error(error))?;
            self.total.ranges(&spec).map_err(|error| place().error(error))?;
            tensors.push(spec);
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
