//! The manifests of ranks, joined.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::check::{FileCheck, Finding};
use super::files::{document, index_of};
use super::grid::Grid;
use super::manifest::{FileEntry, Manifest, Share, TensorEntry};
use super::rank::Rank;
use super::selection::Selection;
use crate::file::{self, Model, file_name};
use crate::{Error, Result, Shape, counted};

/// What the manifests of ranks say together.
#[derive(Clone, Debug)]
pub struct MergeReport {
    /// The recipe's name.
    pub recipe: String,
    /// The seed.
    pub seed: u64,
    /// How many ranks share the model.
    pub world: u32,
    /// Those of which there is no manifest.
    pub missing_ranks: Vec<u32>,
    /// Every tensor that a manifest names, in the recipe's order.
    pub tensors: Vec<MergedTensor>,
    /// How many tensors of the model no manifest names.
    pub missing_tensors: u64,
    /// The files that they name: whether each is there, and as long as it is to be.
    pub files: Vec<FileCheck>,
    /// What [`MergeReport::write`] takes.
    whole: Option<Whole>,
}

/// A tensor, all ranks' parts together.
#[derive(Clone, Debug)]
pub struct MergedTensor {
    /// The name.
    pub name: String,
    /// The shape of the whole.
    pub shape: Shape,
    /// The dtype.
    pub dtype: String,
    /// The ranks that hold it, or some of it.
    pub ranks: Vec<u32>,
    /// How many different parts it is in.
    pub parts: usize,
    /// Whether they are all of it, and equal ones the same.
    pub finding: Finding,
}

/// The manifest and the index of a model in whole files, as one process writes them.
#[derive(Clone, Debug)]
struct Whole {
    model: PathBuf,
    manifest: String,
    index: Option<String>,
}

impl MergeReport {
    /// Whether something is missing or differs.
    pub fn is_wrong(&self) -> bool {
        !self.missing_ranks.is_empty()
            || self.missing_tensors > 0
            || self.tensors.iter().any(|tensor| tensor.finding.is_wrong())
            || self.files.iter().any(|file| file.finding.is_wrong())
    }

    /// Writes the model's one manifest, and its index where there are several files, as one process that
    /// wrote all would have: what is there and says that already is kept. Gives the paths.
    ///
    /// # Errors
    /// [`Error::Invalid`] where something is missing or differs, or ranks hold parts of tensors, which no
    /// index describes; [`Error::Exists`] where another document has the name and `force` is not given;
    /// [`Error::File`].
    pub fn write(&self, force: bool) -> Result<Vec<PathBuf>> {
        if self.is_wrong() {
            let needed = "all ranks' manifests and files, and none that differs";
            return Err(Error::invalid("merge", "a model that is not whole", needed));
        }
        let Some(Whole { model, manifest, index }) = &self.whole else {
            let needed = "whole files: an index says which file has a tensor, not which part of it";
            return Err(Error::invalid("merge", "ranks that hold parts of tensors", needed));
        };
        let model = Model::new(model)?;
        let index = index.as_ref().map(|index| (model.index(), index));
        let documents = index.into_iter().chain([(model.manifest(), manifest)]);
        let mut written = Vec::new();
        for (path, text) in documents {
            if std::fs::read(&path).is_ok_and(|found| found == text.as_bytes()) {
                continue;
            }
            file::save(&path, text.as_bytes(), force)?;
            written.push(path);
        }
        Ok(written)
    }
}

/// A rank's manifest.
struct OfRank<'a> {
    path: &'a Path,
    share: Share,
    manifest: Manifest<'static>,
}

/// Joins the manifests of ranks that wrote a model together, from any number of machines: whether all are
/// there, every element of every tensor is in one of them, what several hold is the same, and their files
/// stand beside them. The files are not read: [`check`](super::check()) does.
///
/// `paths` are the ranks' `.manifest.json`; or one file of the model, or its name, `model.safetensors`:
/// then those that lie beside it.
///
/// # Errors
/// [`Error::File`] where one cannot be read; [`Error::Invalid`] where one is no rank's manifest, or they are
/// not of one model: of different seeds, recipes, plans, contracts or worlds, or two of one rank.
pub fn merge(paths: &[PathBuf]) -> Result<MergeReport> {
    let paths = match paths {
        [path] if !is_manifest(path) => beside(path)?,
        paths => paths.to_vec(),
    };
    let mut ranks: Vec<OfRank<'_>> = Vec::new();
    for path in &paths {
        let mut manifest = Manifest::read(path)?;
        let Some(share) = manifest.share.take() else {
            let needed = "a rank's, as `fanin init --rank` writes it";
            return Err(Error::invalid(
                path.display().to_string(),
                "a manifest of the whole",
                needed,
            ));
        };
        ranks.push(OfRank { path, share, manifest });
    }
    for OfRank { path, share, .. } in &ranks {
        Rank::new(share.rank, share.world).map_err(|error| error.at(path.display()))?;
    }
    ranks.sort_by_key(|rank| rank.share.rank);
    let Some(first) = ranks.first() else {
        return Err(Error::invalid("merge", "no manifests", "at least one rank's"));
    };
    for other in &ranks[1..] {
        same_model(first, other)?;
    }
    if let Some(pair) = ranks.windows(2).find(|pair| pair[0].share.rank == pair[1].share.rank) {
        let given = format!("rank {}, as {}", pair[1].share.rank, pair[0].path.display());
        let needed = "one manifest of each rank";
        return Err(Error::invalid(pair[1].path.display().to_string(), given, needed));
    }
    let there: BTreeSet<u32> = ranks.iter().map(|rank| rank.share.rank).collect();
    let world = first.share.world;
    let mut parts: BTreeMap<(u64, &str), Vec<(u32, &TensorEntry<'_>)>> = BTreeMap::new();
    for rank in &ranks {
        for entry in &rank.manifest.tensors {
            let at = entry.at.unwrap_or(u64::MAX);
            parts.entry((at, &entry.name)).or_default().push((rank.share.rank, entry));
        }
    }
    let tensors: Vec<MergedTensor> =
        parts.iter().map(|((_, name), parts)| merged(name, parts)).collect::<Result<_>>()?;
    let names: BTreeSet<&str> = parts.keys().map(|(_, name)| *name).collect();
    let files = ranks.iter().flat_map(|rank| {
        let stands = |file: &FileEntry<'_>| stands(rank.path, file);
        rank.manifest.files.iter().map(stands)
    });
    let report = MergeReport {
        recipe: first.manifest.recipe.to_string(),
        seed: first.manifest.seed,
        world,
        missing_ranks: (0..world).filter(|rank| !there.contains(rank)).collect(),
        missing_tensors: first.share.tensors.saturating_sub(names.len() as u64),
        tensors,
        files: files.collect(),
        whole: whole(&ranks, &parts)?,
    };
    Ok(report)
}

fn is_manifest(path: &Path) -> bool {
    file_name(path).to_ascii_lowercase().ends_with(".manifest.json")
}

/// The manifests of ranks beside a file of their model.
fn beside(path: &Path) -> Result<Vec<PathBuf>> {
    let found = Model::of_any(path).map(|model| model.manifests_of_ranks()).transpose()?;
    match found {
        Some(found) if !found.is_empty() => Ok(found),
        _ => {
            let given = "no manifests of ranks beside it";
            let needed = "them, as `fanin init --rank` writes them, or a model that has them";
            Err(Error::invalid(path.display().to_string(), given, needed))
        }
    }
}

fn same_model(first: &OfRank<'_>, other: &OfRank<'_>) -> Result<()> {
    let pairs = [
        ("seed", first.manifest.seed.to_string(), other.manifest.seed.to_string()),
        ("world", first.share.world.to_string(), other.share.world.to_string()),
        ("contract", first.manifest.contract.to_string(), other.manifest.contract.to_string()),
        ("recipe", first.manifest.recipe.to_string(), other.manifest.recipe.to_string()),
    ];
    let place = other.path.display().to_string();
    for (what, wanted, given) in pairs {
        if wanted != given {
            let needed = format!("{wanted}, as {} has it", first.path.display());
            return Err(Error::invalid(format!("{place}: {what}"), given, needed));
        }
    }
    let of = |share: &Share| {
        (share.recipe_sha256.clone(), share.plan_sha256.clone(), share.tensors, share.files)
    };
    let (own, wanted) = (of(&other.share), of(&first.share));
    let what = match () {
        () if own.0 != wanted.0 => "a recipe of other tensors or initializers",
        () if own.1.is_some() != wanted.1.is_some() => "a plan in one, whole files in the other",
        () if own.1 != wanted.1 => "another plan",
        () if own != wanted => "files of other sizes",
        () => return Ok(()),
    };
    let needed = format!("the same as {} has", first.path.display());
    Err(Error::invalid(place, what, needed))
}

/// Whether a file that a manifest names stands beside it.
fn stands(manifest: &Path, file: &FileEntry<'_>) -> FileCheck {
    let path = manifest.with_file_name(&*file.file);
    let finding = match std::fs::metadata(&path) {
        Ok(found) if found.len() == file.bytes => Finding::Same,
        Ok(found) => Finding::Wrong(format!("{} bytes, {} there", found.len(), file.bytes)),
        Err(_) => Finding::Wrong("not there".into()),
    };
    FileCheck { path, finding }
}

fn merged(name: &str, parts: &[(u32, &TensorEntry<'_>)]) -> Result<MergedTensor> {
    let whole = |entry: &TensorEntry<'_>| entry.of.as_deref().unwrap_or(&entry.shape).to_vec();
    let (first_rank, first) = parts[0];
    let of = whole(first);
    let shape =
        Shape::with_empty(of.clone()).map_err(|error| error.at(format!("tensor `{name}`")))?;
    let mut finding = Finding::Same;
    let mut wrong = |how: String| {
        if finding == Finding::Same {
            finding = Finding::Wrong(how);
        }
    };
    // Equal parts once, with who has them first.
    let mut distinct: HashMap<Selection, (u32, &str)> = HashMap::new();
    for (rank, entry) in parts {
        if whole(entry) != of || entry.dtype != first.dtype {
            wrong(format!(
                "{:?} of {} at rank {first_rank}, {:?} of {} at rank {rank}",
                of,
                first.dtype,
                whole(entry),
                entry.dtype
            ));
            continue;
        }
        let part = match &entry.part {
            None => Selection::whole(&shape),
            Some(texts) => match Selection::from_texts(&of, texts) {
                Ok(part) => part,
                Err(error) => {
                    wrong(format!("rank {rank}: {error}"));
                    continue;
                }
            },
        };
        let (other, sha256) = *distinct.entry(part).or_insert((*rank, &entry.sha256));
        if sha256 != entry.sha256 {
            wrong(format!("ranks {other} and {rank} have it, and not the same"));
        }
    }
    let missing = uncovered(&of, distinct.keys());
    match missing {
        None => wrong("parts too many to tell whether they are all of it".into()),
        Some(0) => {}
        Some(missing) => {
            wrong(format!("{missing} of {} in no part", counted(shape.elements(), "element")));
        }
    }
    let ranks: BTreeSet<u32> = parts.iter().map(|(rank, _)| *rank).collect();
    Ok(MergedTensor {
        name: name.to_owned(),
        shape,
        dtype: first.dtype.to_string(),
        ranks: ranks.into_iter().collect(),
        parts: distinct.len(),
        finding,
    })
}

/// The most cells that a tensor's parts cut it into.
const MOST_CELLS: usize = 1 << 24;

/// How many elements of a tensor no part has; none where parts are too many.
fn uncovered<'a>(of: &[u64], parts: impl Iterator<Item = &'a Selection> + Clone) -> Option<u64> {
    // Between where parts begin and end all is in the same of them.
    let ends = parts.clone().flat_map(|part| {
        let axes = part.axes().iter().enumerate();
        axes.flat_map(|(axis, ranges)| {
            ranges.iter().flat_map(move |range| [(axis, range.start), (axis, range.end)])
        })
    });
    let grid = Grid::new(of, ends);
    let mut covered = vec![false; grid.cells(MOST_CELLS)?];
    for part in parts {
        grid.cells_of(part.axes()).into_iter().for_each(|cell| covered[cell] = true);
    }
    let missing = (0..covered.len()).filter(|cell| !covered[*cell]);
    Some(missing.map(|cell| grid.cell(cell).1).sum())
}

/// The documents of the whole, where ranks hold whole tensors.
fn whole(
    ranks: &[OfRank<'_>],
    parts: &BTreeMap<(u64, &str), Vec<(u32, &TensorEntry<'_>)>>,
) -> Result<Option<Whole>> {
    let Some(first) = ranks.first() else { return Ok(None) };
    let entries: Vec<&TensorEntry<'_>> =
        parts.values().flatten().map(|(_, entry)| *entry).collect();
    if entries.iter().any(|entry| entry.part.is_some()) || first.share.plan_sha256.is_some() {
        return Ok(None);
    }
    let Some(model) = Model::of_any(first.path) else { return Ok(None) };
    let tensors = entries.iter().map(|entry| TensorEntry {
        name: Cow::from(&*entry.name),
        shape: Cow::from(&*entry.shape),
        dtype: Cow::from(&*entry.dtype),
        init: Cow::from(&*entry.init),
        file: Cow::from(&*entry.file),
        sha256: Cow::from(&*entry.sha256),
        at: None,
        of: None,
        part: None,
    });
    let mut files: Vec<&FileEntry<'_>> =
        ranks.iter().flat_map(|rank| &rank.manifest.files).collect();
    files.sort_by(|a, b| a.file.cmp(&b.file));
    let files = files.into_iter().map(|entry| FileEntry {
        file: Cow::from(&*entry.file),
        bytes: entry.bytes,
        sha256: entry.sha256.as_deref().map(Cow::from),
    });
    let manifest = Manifest {
        recipe: Cow::from(&*first.manifest.recipe),
        seed: first.manifest.seed,
        contract: first.manifest.contract,
        share: None,
        tensors: tensors.collect(),
        files: files.collect(),
    };
    let index = match first.share.files {
        1 => None,
        _ => {
            let map = entries.iter().map(|entry| (&*entry.name, &*entry.file)).collect();
            Some(index_of(first.share.bytes, map)?)
        }
    };
    let manifest = document(&manifest)?;
    Ok(Some(Whole { model: model.out().into(), manifest, index }))
}
