//! Plans: which part of each tensor which rank holds.

use std::collections::HashMap;
use std::iter;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::pattern::Glob;
use super::place::{Place, Source};
use super::rank::MOST_RANKS;
use super::rules::MAX_STEPS;
use super::selection::{Selection, at_places, length, range};
use super::{MAX_TEXT, Recipe, TensorSpec, read_text};
use crate::file::hex;
use crate::{Error, Result};

/// How a model's tensors are cut for the ranks that hold them, as tensor, pipeline and expert parallelism
/// have it. It is TOML text:
///
/// ```toml
/// mesh = [2, 4]                            # 8 ranks: 2 stages of 4; the last varies fastest
/// axes = ["pipeline", "tensor"]            # their names; "tensor" alone is the default of one
///
/// [[split]]
/// match = "*.{q,k,v,gate,up}_proj.weight"  # as rules match
/// dim = 0                                  # rank r of the axis holds the r-th part of these; -1 is the last
///
/// [[split]]
/// match = "*.{o,down}_proj.weight"
/// dim = 1
///
/// [[split]]
/// match = "*.qkv_proj.weight"
/// dim = 0
/// fused = [4096, 1024, 1024]               # each is cut by itself, and a rank holds its part of each
///
/// [[split]]
/// match = "model.embed_tokens.weight"
/// dim = 0
/// pad = 512                                # rows of zeros up to a multiple of this
///
/// [[stage]]
/// match = "model.layers.{0..8}.*"
/// stage = 0                                # the ranks that hold it, by their place on the first axis
/// ```
///
/// For each axis of the mesh the first `[[split]]` that matches a tensor cuts it; what none matches all
/// its ranks hold whole. Of several axes that cut one dimension, the one whose `[[split]]` stands first in
/// the plan cuts first: in the order of the mesh as DTensor's plain placements have it, tensor parallelism
/// before the sharding of it as FSDP2 has it. Where there is a `[[stage]]` over an axis, every tensor has to
/// be on one of it, on several (`[0, 1]`) or on `"all"`; a tensor is not on a stage of an axis that cuts it.
/// Stages are of the first axis, unless `over` says another: so experts, each a tensor, are the ranks' of an
/// axis of experts.
///
/// A `[[split]]` also takes `over`, the axis (the last, unless said otherwise); `parts`, where neighbours
/// share one: 2 key heads on 8 ranks; `uneven = true`, for parts as `torch.chunk` and DTensor have them,
/// the last ones smaller or empty; and `order`, the ranges that the dimension is cut in the order of
/// (`["0..64", "128..192", "64..128", "192..256"]`). `fused` may come with `groups`: then the order is
/// group by group, the first of each fused part, the second of each, and so on, as Megatron holds the
/// queries of a group with their key and value; it is the number of parts unless given.
#[derive(Clone, Debug)]
pub struct Plan {
    mesh: Vec<u32>,
    axes: Vec<String>,
    splits: Vec<Split>,
    stages: Vec<Stage>,
    digest: String,
}

#[derive(Clone, Debug)]
struct Split {
    pattern: Pattern,
    /// From the end where it is below 0.
    dim: i64,
    axis: usize,
    parts: u32,
    cut: Cut,
}

#[derive(Clone, Debug)]
enum Cut {
    Even { pad: u64 },
    Uneven,
    Fused { sizes: Vec<u64>, groups: u64 },
    Order(Vec<Range<u64>>),
}

#[derive(Clone, Debug)]
struct Stage {
    pattern: Pattern,
    axis: usize,
    /// All where there are none.
    on: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    glob: Glob,
    place: Place,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanTable {
    mesh: Spanned<Vec<NonZeroU32>>,
    axes: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    split: Vec<SplitTable>,
    #[serde(default)]
    stage: Vec<StageTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitTable {
    r#match: Spanned<String>,
    dim: i64,
    over: Option<Spanned<String>>,
    parts: Option<Spanned<NonZeroU32>>,
    pad: Option<Spanned<NonZeroU64>>,
    uneven: Option<Spanned<bool>>,
    fused: Option<Spanned<Vec<NonZeroU64>>>,
    groups: Option<Spanned<NonZeroU64>>,
    order: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageTable {
    r#match: Spanned<String>,
    stage: Spanned<On>,
    over: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "stage: needed a number, a list of numbers, or \"all\"")]
enum On {
    One(u32),
    Several(Vec<u32>),
    All(String),
}

impl Plan {
    /// Reads a plan's TOML text; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Recipe`], with line and column: text that is not TOML or has keys that are not known, a
    /// mesh of no or more than 100,000 ranks, an axis that it has not, parts that do not divide an axis,
    /// what contradicts itself.
    pub fn parse(text: &str, path: &str) -> Result<Plan> {
        let source = Source::new(path, text);
        let table: PlanTable = source.read()?;
        let mesh: Vec<u32> = table.mesh.get_ref().iter().map(|size| size.get()).collect();
        let at_mesh = |message: String| source.place_of(&table.mesh).error(message);
        let world = mesh.iter().try_fold(1u32, |product, &size| product.checked_mul(size));
        if mesh.is_empty() || world.is_none_or(|world| world > MOST_RANKS) {
            let message = format!("mesh of {mesh:?}; needed 1 to {MOST_RANKS} ranks in all");
            return Err(at_mesh(message));
        }
        let axes = match &table.axes {
            Some(axes) => axes.get_ref().clone(),
            None if mesh.len() == 1 => vec!["tensor".into()],
            None => {
                return Err(at_mesh("mesh of several axes; needed their names in `axes`".into()));
            }
        };
        if axes.len() != mesh.len() || (1..axes.len()).any(|at| axes[..at].contains(&axes[at])) {
            let message = format!("axes {axes:?}; needed a name of its own for each of {mesh:?}");
            return Err(table.axes.as_ref().map_or_else(
                || at_mesh(message.clone()),
                |axes| source.place_of(axes).error(&message),
            ));
        }
        let axis_of = |over: &Option<Spanned<String>>, usual: usize| match over {
            None => Ok(usual),
            Some(over) => axes.iter().position(|axis| axis == over.get_ref()).ok_or_else(|| {
                let error = Error::unknown("axis of the mesh", over.get_ref(), axes.clone());
                source.place_of(over).error(error)
            }),
        };
        let mut splits = Vec::new();
        for table in table.split {
            let axis = axis_of(&table.over, mesh.len() - 1)?;
            splits.push(Split::read(&source, table, axis, mesh[axis])?);
        }
        let mut stages = Vec::new();
        for table in table.stage {
            let axis = axis_of(&table.over, 0)?;
            stages.push(Stage::read(&source, table, axis, (&axes[axis], mesh[axis]))?);
        }
        if splits.is_empty() && stages.is_empty() {
            let message = "no [[split]] and no [[stage]]; needed at least one of either";
            return Err(source.place(0).error(message));
        }
        // What it says, whatever the words around it.
        let said: Vec<String> = splits
            .iter()
            .map(|Split { pattern, dim, axis, parts, cut }| {
                format!("{} {dim} {axis} {parts} {cut:?}", pattern.text)
            })
            .chain(
                stages
                    .iter()
                    .map(|Stage { pattern, axis, on }| format!("{} {axis} {on:?}", pattern.text)),
            )
            .collect();
        let digest = hex(&Sha256::digest(format!("{mesh:?} {said:?}").as_bytes()));
        Ok(Plan { mesh, axes, splits, stages, digest })
    }

    /// Reads a plan's file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, and as [`Plan::parse`].
    pub fn read(path: &Path) -> Result<Plan> {
        Plan::parse(&read_text(path, MAX_TEXT)?, &path.display().to_string())
    }

    /// How many ranks it is for: the product of the mesh.
    pub fn world(&self) -> u32 {
        self.mesh.iter().product()
    }

    /// What tells it from other plans.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Which ranks hold what of a recipe's tensors.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a pattern matches no tensor, a split cuts none, a dimension is not there or cut
    /// unevenly, what is fused or ordered is not the dimension, a tensor is on no stage, or on one of an axis
    /// that cuts it; [`Error::Invalid`] where the patterns would take minutes to match.
    pub(super) fn fit(&self, recipe: &Recipe) -> Result<Fitted> {
        let mut steps = 0;
        let mut matched = vec![false; self.splits.len()];
        let mut used = matched.clone();
        let mut used_stages = vec![false; self.stages.len()];
        let mut tensors = Vec::with_capacity(recipe.tensors.len());
        let mut cut = HashMap::new();
        for spec in &recipe.tensors {
            // Of each axis.
            let mut on: Vec<Option<&Stage>> = vec![None; self.mesh.len()];
            for (stage, used) in self.stages.iter().zip(&mut used_stages) {
                if stage.pattern.glob.matches(&spec.name, &mut steps) {
                    *used = true;
                    on[stage.axis] = on[stage.axis].or(Some(stage));
                }
            }
            if let Some(first) = self.stages.iter().find(|stage| on[stage.axis].is_none()) {
                let message = format!(
                    "tensor `{}` is on no stage of `{}`; needed a [[stage]] that matches it (stage = \"all\" \
                     for every one)",
                    spec.name, self.axes[first.axis]
                );
                return Err(first.pattern.place.error(message));
            }
            let mut cuts: Vec<Option<usize>> = vec![None; self.mesh.len()];
            for (at, split) in self.splits.iter().enumerate() {
                if split.pattern.glob.matches(&spec.name, &mut steps) {
                    matched[at] = true;
                    if cuts[split.axis].is_none() {
                        used[at] = true;
                        cuts[split.axis] = Some(at);
                    }
                }
            }
            if steps > MAX_STEPS {
                let given = format!("patterns that take more than {MAX_STEPS} steps");
                return Err(Error::invalid(
                    "plan",
                    given,
                    "fewer or plainer ones, or fewer tensors",
                ));
            }
            tensors.push(self.held(spec, &on, &cuts, &mut cut)?);
        }
        let patterns = self.splits.iter().map(|split| &split.pattern).zip(&matched);
        let stages = self.stages.iter().map(|stage| &stage.pattern).zip(&used_stages);
        for (pattern, matched) in patterns.chain(stages) {
            if !matched {
                let message = format!("`{}` matches no tensor", pattern.text);
                return Err(pattern.place.error(message));
            }
        }
        if let Some((split, _)) = self.splits.iter().zip(&used).find(|(_, used)| !**used) {
            let message = format!(
                "`{}` cuts no tensor: splits of the same axis before it have all that it matches",
                split.pattern.text
            );
            return Err(split.pattern.place.error(message));
        }
        Ok(Fitted { mesh: self.mesh.clone(), tensors })
    }

    /// What the ranks hold of a tensor; `cut` has the dimensions that were cut before.
    fn held(
        &self,
        spec: &TensorSpec,
        stages: &[Option<&Stage>],
        cuts: &[Option<usize>],
        cut: &mut HashMap<(u64, Vec<usize>), Arc<Parts>>,
    ) -> Result<Held> {
        let stages = stages.iter().flatten().filter(|stage| !stage.on.is_empty());
        let stages: Vec<(usize, Vec<u32>)> =
            stages.map(|stage| (stage.axis, stage.on.clone())).collect();
        let mut axes = Vec::new();
        let mut of_dims: Vec<Vec<usize>> = vec![Vec::new(); spec.shape.dims().len()];
        // In the plan's order.
        let mut cuts: Vec<usize> = cuts.iter().flatten().copied().collect();
        cuts.sort_unstable();
        for at in cuts {
            let split = &self.splits[at];
            let dim = split.dim(spec)?;
            let axis = split.axis;
            if stages.iter().any(|(staged, _)| *staged == axis) {
                let message = format!(
                    "tensor `{}` is on some stages of `{}` alone, which cuts it too; needed one of the two, \
                     or stage = \"all\"",
                    spec.name, self.axes[axis]
                );
                return Err(split.pattern.place.error(message));
            }
            if !of_dims[dim].is_empty() && !matches!(split.cut, Cut::Even { pad: 1 } | Cut::Uneven)
            {
                let message = format!(
                    "tensor `{}`: dimension {dim}, which another split has cut; needed a plain cut of what \
                     that left, without pad, fused or order",
                    spec.name
                );
                return Err(split.pattern.place.error(message));
            }
            of_dims[dim].push(at);
            axes.push(HeldAxis { axis, dim, parts: split.parts });
        }
        let mut parts = Vec::new();
        for (dim, (&length, splits)) in spec.shape.dims().iter().zip(of_dims).enumerate() {
            let key = (length, splits);
            if let Some(known) = cut.get(&key) {
                parts.push(known.clone());
                continue;
            }
            let mut all: Parts = vec![iter::once(0..length).collect()];
            for &at in &key.1 {
                let cut = |ranges: &Vec<Range<u64>>| self.splits[at].parts(spec, dim, ranges);
                all = all.iter().map(cut).collect::<Result<Vec<_>>>()?.concat();
            }
            parts.push(cut.entry(key).or_insert(Arc::new(all)).clone());
        }
        Ok(Held { stages, axes, parts })
    }
}

impl Pattern {
    fn read(source: &Arc<Source>, text: &Spanned<String>) -> Result<Pattern> {
        let place = source.place_of(text);
        let glob = Glob::parse(text.get_ref()).map_err(|message| place.error(message))?;
        Ok(Pattern { text: text.get_ref().clone(), glob, place })
    }
}

impl Stage {
    /// `axis` is the mesh's so-called one, of so many ranks.
    fn read(
        source: &Arc<Source>,
        table: StageTable,
        axis: usize,
        (name, size): (&str, u32),
    ) -> Result<Stage> {
        let wrong = |message: String| Err(source.place_of(&table.stage).error(message));
        let on = match table.stage.get_ref() {
            On::One(stage) => vec![*stage],
            On::Several(stages) if stages.is_empty() => {
                return wrong("no stage; needed a number, several, or \"all\"".into());
            }
            On::Several(stages) => stages.clone(),
            On::All(text) if text == "all" => Vec::new(),
            On::All(text) => return wrong(format!("stage `{text}`; needed a number, or \"all\"")),
        };
        if let Some(beyond) = on.iter().find(|stage| **stage >= size) {
            return wrong(format!("stage {beyond}; needed one below {size}, as `{name}` has"));
        }
        Ok(Stage { pattern: Pattern::read(source, &table.r#match)?, axis, on })
    }
}

impl Split {
    fn read(source: &Arc<Source>, table: SplitTable, axis: usize, size: u32) -> Result<Split> {
        let pattern = Pattern::read(source, &table.r#match)?;
        let parts = table.parts.as_ref().map_or(size, |parts| parts.get_ref().get());
        if !size.is_multiple_of(parts) {
            let place = table.parts.as_ref().map(|parts| source.place_of(parts));
            let message = format!("parts = {parts}; needed a divisor of the axis' {size} ranks");
            return Err(place.as_ref().unwrap_or(&pattern.place).error(message));
        }
        let uneven = table.uneven.as_ref().is_some_and(|uneven| *uneven.get_ref());
        let given = [
            ("pad", table.pad.is_some()),
            ("uneven", uneven),
            ("fused", table.fused.is_some()),
            ("order", table.order.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|own| own.1).map(|own| own.0).collect();
        if given.len() > 1 {
            let message = format!("{} at once; needed one of them", given.join(" and "));
            return Err(pattern.place.error(message));
        }
        if let (Some(groups), None) = (&table.groups, &table.fused) {
            let message = "groups without fused; needed the sizes of what is fused";
            return Err(source.place_of(groups).error(message));
        }
        let cut = if let Some(fused) = &table.fused {
            let sizes: Vec<u64> = fused.get_ref().iter().map(|size| size.get()).collect();
            let groups = table.groups.as_ref();
            let groups = groups.map_or(u64::from(parts), |groups| groups.get_ref().get());
            if let Some(given) = &table.groups
                && !groups.is_multiple_of(u64::from(parts))
            {
                let message = format!("{groups} groups in {parts} parts; needed a multiple");
                return Err(source.place_of(given).error(message));
            }
            if let Some(size) = sizes.iter().find(|size| !size.is_multiple_of(groups)) {
                let what = if table.groups.is_some() { "groups" } else { "parts" };
                let message = format!("{size} of fused in {groups} {what}; needed a multiple");
                return Err(source.place_of(fused).error(message));
            }
            Cut::Fused { sizes, groups }
        } else if let Some(order) = &table.order {
            let ranges = order.get_ref().iter().map(|text| {
                range(text).ok_or_else(|| {
                    let message =
                        format!("`{text}`; needed a range with something in it, as 0..64");
                    source.place_of(order).error(message)
                })
            });
            Cut::Order(ranges.collect::<Result<_>>()?)
        } else if uneven {
            Cut::Uneven
        } else {
            Cut::Even { pad: table.pad.map_or(1, |pad| pad.get_ref().get()) }
        };
        Ok(Split { pattern, dim: table.dim, axis, parts, cut })
    }

    /// The dimension of a tensor that it cuts.
    fn dim(&self, spec: &TensorSpec) -> Result<usize> {
        let dims = spec.shape.dims().len() as i64;
        let dim = if self.dim < 0 { self.dim + dims } else { self.dim };
        if (0..dims).contains(&dim) {
            return Ok(dim as usize);
        }
        let message = format!(
            "tensor `{}` of shape {}: dim = {}, which it has not; needed {}",
            spec.name,
            spec.shape,
            self.dim,
            match dims {
                0 => "a tensor with dimensions: a scalar is held whole".to_owned(),
                dims => format!("-{dims} to {}, or a pattern that leaves it out", dims - 1),
            }
        );
        Err(self.pattern.place.error(message))
    }

    /// The parts of some indices of a dimension.
    fn parts(
        &self,
        spec: &TensorSpec,
        dim: usize,
        indices: &[Range<u64>],
    ) -> Result<Vec<Vec<Range<u64>>>> {
        let wrong = |given: String, needed: &str| {
            let subject = format!("tensor `{}` of shape {}", spec.name, spec.shape);
            let message = format!("{subject}: dimension {dim}, {given}; needed {needed}");
            self.pattern.place.error(message)
        };
        let parts = u64::from(self.parts);
        let all = length(indices);
        let ordered: Vec<Range<u64>> = match &self.cut {
            Cut::Even { pad } => {
                let end = indices.last().map_or(0, |range| range.end);
                let padded = all.checked_next_multiple_of(*pad).filter(|padded| *padded <= 1 << 62);
                let Some(padded) = padded else {
                    return Err(wrong(format!("padded to {pad}"), "a smaller one"));
                };
                let padding = (padded > all).then(|| end..end + (padded - all));
                indices.iter().cloned().chain(padding).collect()
            }
            Cut::Uneven => indices.to_vec(),
            Cut::Fused { sizes, groups } => {
                let sum = sizes.iter().try_fold(0u64, |sum, &size| sum.checked_add(size));
                if sum != Some(all) {
                    let given = format!("{all} long, fused of {sizes:?}");
                    return Err(wrong(given, "sizes that sum up to it"));
                }
                let starts = sizes.iter().scan(0, |end, &size| {
                    let start = *end;
                    *end += size;
                    Some((start, size / groups))
                });
                let starts: Vec<(u64, u64)> = starts.collect();
                let groups = 0..*groups;
                let pieces = groups.flat_map(|group| {
                    starts
                        .iter()
                        .map(move |(start, size)| start + group * size..start + (group + 1) * size)
                });
                pieces.collect()
            }
            Cut::Order(ranges) => {
                let mut sorted = ranges.clone();
                sorted.sort_by_key(|range| range.start);
                let is_all = sorted.first().is_some_and(|range| range.start == 0)
                    && sorted.last().is_some_and(|range| range.end == all)
                    && sorted.windows(2).all(|pair| pair[0].end == pair[1].start);
                if !is_all {
                    let given = format!("{all} long, in an order of other indices");
                    return Err(wrong(given, "ranges that hold each index once"));
                }
                ranges.clone()
            }
        };
        let all = length(&ordered);
        if let Cut::Uneven = self.cut {
            let size = all.div_ceil(parts);
            let part = |at: u64| (at * size).min(all)..((at + 1) * size).min(all);
            return Ok((0..parts).map(|at| at_places(&ordered, part(at))).collect());
        }
        if !all.is_multiple_of(parts) {
            let noun = if all == 1 { "index" } else { "indices" };
            let given = format!("{all} {noun}, in {parts} parts");
            return Err(wrong(given, "a multiple: pad = N, or uneven = true, if that is meant"));
        }
        let size = all / parts;
        Ok((0..parts).map(|at| at_places(&ordered, at * size..(at + 1) * size)).collect())
    }
}

/// A plan for the tensors of a recipe.
pub(super) struct Fitted {
    mesh: Vec<u32>,
    tensors: Vec<Held>,
}

/// What a tensor's ranks hold of it.
struct Held {
    /// Axes of stages, each with those that hold it.
    stages: Vec<(usize, Vec<u32>)>,
    /// The axes of the mesh that cut it, in the order in which they do.
    axes: Vec<HeldAxis>,
    /// Of each dimension.
    parts: Vec<Arc<Parts>>,
}

/// The parts of a dimension: of several axes that cut it, those of the first that does vary slowest.
type Parts = Vec<Vec<Range<u64>>>;

struct HeldAxis {
    axis: usize,
    dim: usize,
    parts: u32,
}

impl Fitted {
    /// What a rank holds of the recipe's `at`-th tensor, if anything.
    pub(super) fn held(&self, spec: &TensorSpec, at: usize, rank: u32) -> Option<Selection> {
        let whole = Selection::whole(&spec.shape);
        let parts = self.parts(at, rank)?.enumerate();
        Some(
            parts.fold(whole, |selection, (dim, ranges)| selection.with_axis(dim, ranges.to_vec())),
        )
    }

    /// How many elements that has; 2^64 - 1 where there are more.
    pub(super) fn elements(&self, at: usize, rank: u32) -> Option<u64> {
        let parts = self.parts(at, rank)?;
        Some(parts.fold(1, |product: u64, ranges| product.saturating_mul(length(ranges))))
    }

    /// The indices of each dimension that a rank holds.
    fn parts(&self, at: usize, rank: u32) -> Option<impl Iterator<Item = &[Range<u64>]>> {
        let held = &self.tensors[at];
        let mut places = vec![0; self.mesh.len()];
        let mut rest = rank;
        for (place, size) in places.iter_mut().zip(&self.mesh).rev() {
            (*place, rest) = (rest % size, rest / size);
        }
        if held.stages.iter().any(|(axis, on)| !on.contains(&places[*axis])) {
            return None;
        }
        let mut parts = vec![0; held.parts.len()];
        for HeldAxis { axis, dim, parts: of } in &held.axes {
            // Neighbours share a part.
            let part = places[*axis] / (self.mesh[*axis] / of);
            parts[*dim] = parts[*dim] * *of as usize + part as usize;
        }
        Some(held.parts.iter().zip(parts).map(|(all, part)| &all[part][..]))
    }
}
