//! Which files a model is written to, what each holds, and which rank writes it.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorInfo;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::header::safetensors_dtype;
use super::keep::Kept;
use super::made::{self, Made};
use super::manifest::{Manifest, Share};
use super::plan::Fitted;
use super::{MAX_TEXT, Rank, Recipe, Selection, TensorReport, TensorSpec, WriteOptions};
use crate::file::{Model, file_name};
use crate::random::{Distribution, Slice};
use crate::{Error, Result, Shape};

/// The files that [`write`](super::write()) would make, as the options have it, before anything is drawn.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// All ranks' files, in order.
    pub files: Vec<PlannedFile>,
    /// How many ranks there are: 1 where none are spoken of.
    pub world: u32,
}

/// A file that is to be written.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// The file.
    pub path: PathBuf,
    /// The rank that writes it.
    pub rank: u32,
    /// How many tensors, or parts of some, it holds.
    pub tensors: u64,
    /// Bytes of these, without the header.
    pub bytes: u64,
}

impl DryRun {
    /// Plans a recipe's files. Nothing is looked for on the disk.
    ///
    /// # Errors
    /// As [`write`](super::write()) before it draws, but for what is or is not on the disk.
    pub fn new(recipe: &Recipe, options: &WriteOptions<'_>) -> Result<DryRun> {
        recipe.check()?;
        let model = Model::new(options.out)?;
        let Some(plan) = options.plan else {
            let world = options.rank.map_or(1, Rank::world);
            let files = files(recipe, options, &model, world)?;
            let planned = |file: Group| PlannedFile {
                path: file.path,
                rank: file.rank,
                tensors: file.tensors.len() as u64,
                bytes: file.bytes,
            };
            return Ok(DryRun { files: files.into_iter().map(planned).collect(), world });
        };
        let (fitted, world) = (plan.fit(recipe)?, plan.world());
        check_plan(options, world)?;
        let mut files: Vec<PlannedFile> = (0..world)
            .map(|rank| PlannedFile {
                path: model.of_rank(rank, world),
                rank,
                tensors: 0,
                bytes: 0,
            })
            .collect();
        for (at, spec) in recipe.tensors.iter().enumerate() {
            for file in &mut files {
                if let Some(elements) = fitted.elements(at, file.rank) {
                    let bytes = elements.checked_mul(spec.dtype.size() as u64);
                    let sum = bytes.and_then(|bytes| file.bytes.checked_add(bytes));
                    let Some(sum) = sum.filter(|sum| *sum <= i64::MAX as u64) else {
                        let what = format!("rank {}'s part of `{}`", file.rank, spec.name);
                        let needed = "at most 2^63 - 1 bytes in all, padding included";
                        return Err(Error::invalid(what, "more", needed));
                    };
                    file.bytes = sum;
                    file.tensors += 1;
                }
            }
        }
        Ok(DryRun { files, world })
    }
}

/// One file that this process writes.
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// In the file's order.
    pub(super) parts: Vec<Part>,
    pub(super) header: Vec<u8>,
    /// Of the file.
    pub(super) bytes: u64,
}

/// A tensor, or what a rank holds of one.
pub(super) struct Part {
    /// Which of the recipe's.
    pub(super) tensor: usize,
    pub(super) shape: Shape,
    /// None where it is the whole.
    pub(super) selection: Option<Selection>,
}

impl Part {
    /// The box of the tensor that it is, where it is one.
    pub(super) fn slice(&self) -> Option<Slice> {
        self.selection.as_ref().and_then(Selection::slice)
    }

    /// As [`TensorSpec::spans`], of its own elements: of a box a device draws all, where one distribution
    /// is the tensor's.
    pub(super) fn spans(
        &self,
        spec: &TensorSpec,
        slice: Option<&Slice>,
        least: u64,
        longest: u64,
    ) -> Vec<(Range<u64>, Option<Distribution>)> {
        if self.selection.is_none() {
            return spec.spans(0..self.shape.elements(), least, longest).collect();
        }
        let elements = 0..self.shape.elements();
        if elements.is_empty() {
            return Vec::new();
        }
        let mut whole = spec.spans(0..spec.shape.elements(), least, longest);
        let one = whole.next().filter(|_| whole.next().is_none());
        vec![(elements, one.and_then(|(_, distribution)| distribution).filter(|_| slice.is_some()))]
    }
}

/// The files of a model, as far as they are this process's.
pub(super) struct Own<'a> {
    recipe: &'a Recipe,
    seed: u64,
    force: bool,
    pub(super) model: Model,
    pub(super) shards: Vec<Shard>,
    /// The index's path and text, where there are several files that are the whole model together.
    pub(super) index: Option<(PathBuf, String)>,
    pub(super) manifest: PathBuf,
    /// What a rank's manifest says of the model that it is of.
    pub(super) share: Option<Share>,
    /// What all ranks write.
    all: HashSet<PathBuf>,
    /// How their headers would be, of ranks that write whole files.
    groups: Vec<Group>,
}

impl<'a> Own<'a> {
    pub(super) fn new(recipe: &'a Recipe, options: &WriteOptions<'_>) -> Result<Own<'a>> {
        let model = Model::new(options.out)?;
        if options.rank.is_some() {
            check_kept(recipe, &model)?;
        }
        let rank = options.rank.map_or(0, Rank::rank);
        let world = match options.plan {
            Some(plan) => plan.world(),
            None => options.rank.map_or(1, Rank::world),
        };
        let (seed, force) = (options.seed, options.force);
        let (mut index, mut groups) = (None, Vec::new());
        let (shards, files): (Vec<Shard>, Vec<PathBuf>) = match options.plan {
            None => {
                groups = files(recipe, options, &model, world)?;
                if groups.len() > 1 {
                    index = Some((model.index(), index_of_groups(recipe, &groups)?));
                }
                let own = groups.iter().filter(|group| group.rank == rank);
                let shards = own.map(|group| group.shard(recipe, seed)).collect::<Result<_>>()?;
                (shards, groups.iter().map(|group| group.path.clone()).collect())
            }
            Some(plan) => {
                check_plan(options, world)?;
                let parts = parts(recipe, &plan.fit(recipe)?, rank)?;
                let shard = shard(recipe, model.of_rank(rank, world), parts, seed)?;
                (vec![shard], (0..world).map(|rank| model.of_rank(rank, world)).collect())
            }
        };
        if let Some((path, text)) = &index
            && text.len() as u64 > MAX_TEXT
        {
            return Err(too_long("an index", path, text.len()));
        }
        let manifest = match (options.rank, options.plan) {
            (None, None) => model.manifest(),
            _ => model.manifest_of_rank(rank, world),
        };
        let manifests = (0..world).map(|rank| model.manifest_of_rank(rank, world));
        let all = files.into_iter().chain(manifests).collect();
        let share = match options.rank {
            None => None,
            Some(_) => Some(Share {
                rank,
                world,
                recipe_sha256: made::digest(recipe)?,
                plan_sha256: options.plan.map(|plan| plan.digest().to_owned()),
                tensors: recipe.tensors.len() as u64,
                bytes: recipe.bytes(),
                files: groups.len() as u64,
            }),
        };
        Ok(Own { recipe, seed, force, model, shards, index, manifest, share, all, groups })
    }

    /// Whether the rank's manifest is there, and is another model's, whatever of that is left.
    pub(super) fn has_other_manifest(&self) -> bool {
        self.manifest.exists()
            && !Manifest::read(&self.manifest)
                .is_ok_and(|found| found.seed == self.seed && found.share == self.share)
    }

    /// Whether a file is one of those that the ranks write together; the index where it says what they do,
    /// and stays; and the manifest that joins theirs where it is of this seed and recipe, and `written` is as
    /// it says.
    pub(super) fn is_ours(&self, path: &Path, written: &[TensorReport]) -> bool {
        // An old index goes where files are replaced: it would describe what is half done.
        let is_index = |index: &(PathBuf, String)| !self.force && index.0 == path && holds(index);
        self.all.contains(path)
            || self.index.as_ref().is_some_and(is_index)
            || path == self.model.manifest() && self.is_joined(path, written)
    }

    /// Whether a manifest joins the ranks' of this seed and recipe, and `written` is as it says.
    fn is_joined(&self, path: &Path, written: &[TensorReport]) -> bool {
        let tensors = &self.recipe.tensors;
        Manifest::read(path).is_ok_and(|joined| {
            let digests = joined.tensors.iter().map(|entry| (&*entry.name, &*entry.sha256));
            let digests: HashMap<&str, &str> = digests.collect();
            let same = |own: &TensorReport| {
                digests.get(tensors[own.tensor].name.as_str()) == Some(&own.sha256.as_str())
            };
            joined.seed == self.seed
                && joined.recipe == self.recipe.name
                && joined.tensors.len() == tensors.len()
                && written.iter().all(same)
        })
    }

    /// Whether all ranks' files of weights are there, with the headers that they are to have. They have
    /// their names once they are whole.
    pub(super) fn is_complete(&self) -> Result<bool> {
        if !self.groups.iter().all(|group| group.path.is_file()) {
            return Ok(false);
        }
        for group in &self.groups {
            if !group.shard(self.recipe, self.seed)?.has_its_header() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Shard {
    /// Whether there is a file of this name, length and header.
    pub(super) fn has_its_header(&self) -> bool {
        let mut found = vec![0; self.header.len()];
        let length = std::fs::metadata(&self.path).map(|found| (found.is_file(), found.len()));
        length.is_ok_and(|found| found == (true, self.bytes))
            && std::fs::File::open(&self.path)
                .and_then(|mut file| file.read_exact(&mut found))
                .is_ok()
            && found == self.header
    }
}

/// That no rank copies from what another may have replaced by then.
fn check_kept(recipe: &Recipe, model: &Model) -> Result<()> {
    let known = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    let own = |kept: &Kept| {
        Model::of_any(&known(&kept.path)).is_some_and(|other| {
            let folder = |path: &Path| path.parent().map(|folder| known(&folder.join(".")));
            file_name(other.out()) == file_name(model.out())
                && folder(other.out()) == folder(model.out())
        })
    };
    let mut copied = recipe.tensors.iter().flat_map(TensorSpec::copies);
    match copied.find(|kept| own(kept)) {
        None => Ok(()),
        Some(kept) => {
            let given = format!("the model that {} is of", kept.path.display());
            let needed = "another: ranks would copy from it while others replace it";
            Err(Error::invalid("output", given, needed))
        }
    }
}

/// Whether a document is there, and says that.
pub(super) fn holds((path, text): &(PathBuf, String)) -> bool {
    std::fs::read(path).is_ok_and(|found| found == text.as_bytes())
}

fn check_plan(options: &WriteOptions<'_>, world: u32) -> Result<()> {
    if let Some(rank) = options.rank
        && rank.world() != world
    {
        let needed = format!("{world}, as the plan's mesh has it");
        return Err(Error::invalid("world", rank.world(), needed));
    }
    match options.max_shard_bytes {
        None => Ok(()),
        Some(most) => {
            let needed = "none with a plan, by which each rank has one file";
            Err(Error::invalid("max shard size", most, needed))
        }
    }
}

/// What a rank holds of each tensor.
fn parts(recipe: &Recipe, fitted: &Fitted, rank: u32) -> Result<Vec<Part>> {
    let held = recipe.tensors.iter().enumerate();
    let held = held.filter_map(|(tensor, spec)| Some((tensor, fitted.held(spec, tensor, rank)?)));
    held.map(|(tensor, selection)| {
        let shape = selection.shape().map_err(|error| {
            error.at(format!("rank {rank}'s part of `{}`", recipe.tensors[tensor].name))
        })?;
        let selection = (!selection.is_whole()).then_some(selection);
        Ok(Part { tensor, shape, selection })
    })
    .collect()
}

/// A file of whole tensors.
struct Group {
    path: PathBuf,
    rank: u32,
    /// In the recipe's order.
    tensors: Vec<usize>,
    bytes: u64,
}

impl Group {
    fn shard(&self, recipe: &Recipe, seed: u64) -> Result<Shard> {
        let whole = |&tensor: &usize| {
            let shape = recipe.tensors[tensor].shape.clone();
            Part { tensor, shape, selection: None }
        };
        shard(recipe, self.path.clone(), self.tensors.iter().map(whole).collect(), seed)
    }
}

/// How many files a rank has, of those that share a model and were given no size: so many that they can
/// be balanced.
const FILES_OF_RANK: u64 = 4;

/// The size of such a file at most, as Hugging Face's are.
const USUAL_SHARD: u64 = 5_000_000_000;

fn files(
    recipe: &Recipe,
    options: &WriteOptions<'_>,
    model: &Model,
    world: u32,
) -> Result<Vec<Group>> {
    let usual = match options.rank {
        None => u64::MAX,
        Some(_) => {
            let balanced = recipe.bytes().div_ceil(FILES_OF_RANK * u64::from(world));
            balanced.clamp(1, USUAL_SHARD)
        }
    };
    let most = options.max_shard_bytes.unwrap_or(usual);
    if most == 0 {
        return Err(Error::invalid("max shard size", 0, "at least 1 byte"));
    }
    let mut groups: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new())];
    for (index, spec) in recipe.tensors.iter().enumerate() {
        let last = groups.last_mut().expect("there is always a group");
        match last.0.checked_add(spec.bytes()) {
            Some(sum) if sum <= most || last.1.is_empty() => {
                last.0 = sum;
                last.1.push(index);
            }
            _ => groups.push((spec.bytes(), vec![index])),
        }
    }
    let count = groups.len();
    let ranks = shared_out(groups.iter().map(|group| group.0), world);
    let named = groups.into_iter().zip(ranks).enumerate();
    Ok(named
        .map(|(number, ((bytes, tensors), rank))| {
            let path = match count {
                1 => options.out.to_owned(),
                _ => model.file(&format!("-{:05}-of-{count:05}.safetensors", number + 1)),
            };
            Group { path, rank, tensors, bytes }
        })
        .collect())
}

/// The rank of each of some sizes: the largest first, each to whoever has least so far, so that none has
/// more than a third above the best (Graham 1969).
fn shared_out(sizes: impl Iterator<Item = u64>, world: u32) -> Vec<u32> {
    let mut order: Vec<(u64, usize)> = sizes.zip(0..).collect();
    order.sort_by_key(|&(size, at)| (std::cmp::Reverse(size), at));
    let mut ranks = vec![0; order.len()];
    let loads = (0..world).map(|rank| std::cmp::Reverse((0u64, rank)));
    let mut loads: std::collections::BinaryHeap<_> = loads.collect();
    for (size, at) in order {
        let Some(std::cmp::Reverse((load, rank))) = loads.pop() else { break };
        ranks[at] = rank;
        loads.push(std::cmp::Reverse((load + size, rank)));
    }
    ranks
}

/// Which file of a model holds which tensor, as Hugging Face's loaders read it.
#[derive(Serialize)]
struct Index<'a> {
    metadata: IndexMetadata,
    weight_map: WeightMap<'a>,
}

#[derive(Serialize)]
struct IndexMetadata {
    total_size: u64,
}

/// Tensors, in the recipe's order, with their files.
struct WeightMap<'a>(Vec<(&'a str, &'a str)>);

impl Serialize for WeightMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

fn index_of_groups(recipe: &Recipe, groups: &[Group]) -> Result<String> {
    let names: Vec<String> = groups.iter().map(|group| file_name(&group.path)).collect();
    let mut map: Vec<(&str, &str)> =
        recipe.tensors.iter().map(|spec| (spec.name.as_str(), "")).collect();
    for (group, name) in groups.iter().zip(&names) {
        group.tensors.iter().for_each(|&tensor| map[tensor].1 = name);
    }
    index_of(recipe.bytes(), map)
}

/// An index of so many bytes of tensors, each with its file.
pub(super) fn index_of(total_size: u64, map: Vec<(&str, &str)>) -> Result<String> {
    document(&Index { metadata: IndexMetadata { total_size }, weight_map: WeightMap(map) })
}

/// A document as it is written.
pub(super) fn document(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document);
    // Maps with names and lists of plain values: nothing that JSON has no form for.
    let text = text.map_err(|error| Error::invalid("document", error, "one of JSON"))?;
    Ok(text + "\n")
}

fn too_long(what: &str, path: &Path, bytes: usize) -> Error {
    let given = format!("{what} of {bytes} bytes");
    let needed = format!(
        "at most {MAX_TEXT}, as the format's readers accept: fewer tensors a file, or shorter names"
    );
    Error::invalid(path.display().to_string(), given, needed)
}

fn shard(recipe: &Recipe, path: PathBuf, mut parts: Vec<Part>, seed: u64) -> Result<Shard> {
    // The order that the safetensors crate gives: by dtype, the widest first, then by name.
    parts.sort_by(|a, b| {
        let key = |part: &Part| {
            let spec = &recipe.tensors[part.tensor];
            (std::cmp::Reverse(safetensors_dtype(spec.dtype)), &spec.name)
        };
        key(a).cmp(&key(b))
    });
    let (header, data) = header(recipe, &parts, seed, &path)?;
    let bytes = header.len() as u64 + data;
    Ok(Shard { path, parts, header, bytes })
}

/// A file's header: what it says of itself, and its tensors in the order of their data.
struct Header<'a> {
    made: String,
    tensors: Vec<(&'a str, TensorInfo)>,
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Entries in an order that is always the same.
        struct Metadata<'a>(&'a str);
        impl Serialize for Metadata<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map([("format", "pt"), (made::KEY, self.0)])
            }
        }
        let mut map = serializer.serialize_map(Some(1 + self.tensors.len()))?;
        map.serialize_entry("__metadata__", &Metadata(&self.made))?;
        for (name, info) in &self.tensors {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

/// The length and the JSON, padded so that the tensors start at a multiple of 8; and the bytes of the
/// tensors.
fn header(recipe: &Recipe, parts: &[Part], seed: u64, path: &Path) -> Result<(Vec<u8>, u64)> {
    let wrong = |error: serde_json::Error| Error::safetensors(path, error);
    let mut offset = 0u64;
    let mut infos = Vec::new();
    for part in parts {
        let spec = &recipe.tensors[part.tensor];
        let shape = part.shape.dims().iter().map(|&dim| dim as usize).collect();
        let bytes = part.shape.elements().checked_mul(spec.dtype.size() as u64);
        let end = bytes.and_then(|bytes| offset.checked_add(bytes));
        let Some(end) = end.filter(|end| *end <= i64::MAX as u64) else {
            let given = format!("{offset} bytes, then {} of {}", part.shape, spec.dtype);
            let needed = "at most 2^63 - 1 bytes in all, padding included";
            return Err(Error::invalid(path.display().to_string(), given, needed));
        };
        let data_offsets = (offset as usize, end as usize);
        let dtype = safetensors_dtype(spec.dtype);
        infos.push((spec.name.as_str(), TensorInfo { dtype, shape, data_offsets }));
        offset = end;
    }
    let parts = parts.iter().map(|part| (&recipe.tensors[part.tensor], part.selection.as_ref()));
    let made = Made::new(recipe, seed, parts);
    let made = serde_json::to_string(&made).map_err(wrong)?;
    let json = serde_json::to_vec(&Header { made, tensors: infos }).map_err(wrong)?;
    let padded = json.len().next_multiple_of(8);
    if padded as u64 > MAX_TEXT {
        return Err(too_long("a header", path, padded));
    }
    let mut header = (padded as u64).to_le_bytes().to_vec();
    header.extend(json);
    header.resize(8 + padded, b' ');
    Ok((header, offset))
}

#[cfg(test)]
mod tests {
    use super::shared_out;

    #[test]
    fn files_are_shared_out_evenly() {
        let sizes = [7, 1, 9, 4, 4, 2, 8, 3, 3, 1];
        for world in 1..=12 {
            let ranks = shared_out(sizes.into_iter(), world);
            assert!(ranks.iter().all(|rank| *rank < world));
            let loads = (0..world).map(|own| {
                sizes
                    .iter()
                    .zip(&ranks)
                    .filter(|(_, rank)| **rank == own)
                    .map(|(size, _)| size)
                    .sum()
            });
            let loads: Vec<u64> = loads.collect();
            let best = (sizes.iter().sum::<u64>() as f64 / f64::from(world)).max(9.0);
            assert!(*loads.iter().max().unwrap() as f64 <= 4.0 / 3.0 * best, "{loads:?}");
        }
    }
}
