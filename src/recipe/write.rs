//! A recipe's tensors into safetensors files: drawn, hashed and written at once, in little memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::header::safetensors_dtype;
use super::{MAX_TEXT, Recipe};
use crate::file::{self, Drafts, Model, file_name};
use crate::random::{CONTRACT, Dtype, Source, Stream};
use crate::{Engine, Error, Moments, Piece, Result, Sink, cpu, memory};

/// Where a model goes, and how.
#[derive(Clone, Debug)]
pub struct WriteOptions<'a> {
    /// The seed of the model.
    pub seed: u64,
    /// The file: `model.safetensors`. Shards and index take their names from it.
    pub out: &'a Path,
    /// The most bytes of tensors a file, where the model is to be split as Hugging Face splits it;
    /// a tensor that is larger has a file of its own.
    pub max_shard_bytes: Option<u64>,
    /// Whether to replace files that exist.
    pub force: bool,
    /// Ends the writing where it becomes true.
    pub stop: &'a AtomicBool,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Report {
    /// Each tensor, in the recipe's order.
    pub tensors: Vec<TensorReport>,
    /// Each safetensors file, the index, and the manifest.
    pub files: Vec<FileReport>,
}

/// What became of a tensor.
#[derive(Clone, Debug)]
pub struct TensorReport {
    /// Measured over the elements, as stored: on the device, where a device drew them.
    pub moments: Moments,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// The name of the file that holds it.
    pub file: String,
}

/// A file that was written.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the whole, in hexadecimal.
    pub sha256: String,
}

/// Chunks that wait to be digested, and as many that wait to be written.
const QUEUE: usize = 2;

/// Bytes below which tensors are handed on together.
const TOGETHER: usize = 256 << 10;

/// Bytes after which the disk is set to work.
const SYNCED: usize = 64 << 20;

/// Draws a recipe's tensors with `engine` and writes them, the `.manifest.json` of digests beside
/// them, and for several shards the index. `progress` hears of each stretch of bytes drawn.
///
/// The same seed and recipe give the same bytes whatever the engine.
///
/// Files of this name are one thing: the model whole (`model.safetensors`) or in shards, index and
/// manifest. Nothing of the new ones stands under its name before all of them are on the disk. Where
/// `force` is given, the old index and manifest go first, then the new weights come, what they
/// supersede goes, and index and manifest come last: however that ends, by a kill or a power cut, no
/// index or manifest ever stands beside files that it does not describe, and a model in one file is
/// there whole, the old one or the new. Of several processes at once that were not to replace
/// anything the first wins, of those that were the last does. A reader that finds the same manifest
/// before and after it has read has read what that describes.
///
/// # Errors
/// Before anything is drawn: [`Error::Exists`] where a file of this name is there and `force` is not
/// given, [`Error::Invalid`] where a header or the index would be longer than readers accept (100 MB),
/// [`Error::File`] where a file cannot be made or the disk has less room. Later: [`Error::File`] where
/// one cannot be written, [`Error::Interrupted`] where `stop` became true; else as [`Engine::draw`].
pub fn write(
    recipe: &Recipe,
    engine: &dyn Engine,
    options: &WriteOptions<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Report> {
    let plan = Plan::new(recipe, options)?;
    let mut drafts = Drafts::default();
    let mut ready = Vec::new();
    let mut files = Vec::new();
    let mut tensors: Vec<Option<TensorReport>> = vec![None; recipe.tensors.len()];
    for shard in &plan.shards {
        let draft = drafts.create(&shard.path)?;
        reserve(&draft.file, shard)?;
        let digests = write_shard(recipe, engine, options, shard, &draft.file, progress)?;
        ready.push(drafts.finish(draft)?);
        let name = file_name(&shard.path);
        for (&tensor, (moments, sha256)) in shard.tensors.iter().zip(digests.tensors) {
            tensors[tensor] = Some(TensorReport { moments, sha256, file: name.clone() });
        }
        files.push(FileReport {
            path: shard.path.clone(),
            bytes: shard.bytes,
            sha256: digests.file,
        });
    }
    let tensors: Vec<TensorReport> = tensors.into_iter().flatten().collect();

    let manifest = manifest(recipe, options.seed, &tensors, &files)?;
    let mut documents = Vec::new();
    for (path, text) in plan.index.iter().chain([&(plan.manifest.clone(), manifest)]) {
        documents.push(drafts.write(path, text.as_bytes())?);
        files.push(FileReport {
            path: path.clone(),
            bytes: text.len() as u64,
            sha256: hex(&Sha256::digest(text.as_bytes())),
        });
    }
    if options.stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    plan.model.place(ready, documents, options.force)?;
    Ok(Report { tensors, files })
}

/// A document as it is written.
fn document(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document);
    // Maps with names and lists of plain values: nothing that JSON has no form for.
    let text = text.map_err(|error| Error::invalid("document", error, "one of JSON"))?;
    Ok(text + "\n")
}

/// What a manifest says, none of it dependent on the device.
#[derive(Serialize)]
struct Manifest<'a> {
    recipe: &'a str,
    seed: u64,
    contract: u32,
    tensors: Vec<TensorEntry<'a>>,
    files: Vec<FileEntry<'a>>,
}

#[derive(Serialize)]
struct TensorEntry<'a> {
    name: &'a str,
    shape: &'a [u64],
    dtype: &'static str,
    init: &'a str,
    file: &'a str,
    sha256: &'a str,
}

#[derive(Serialize)]
struct FileEntry<'a> {
    file: String,
    bytes: u64,
    sha256: &'a str,
}

fn manifest(
    recipe: &Recipe,
    seed: u64,
    tensors: &[TensorReport],
    files: &[FileReport],
) -> Result<String> {
    let pairs = recipe.tensors.iter().zip(tensors);
    let tensors = pairs.map(|(spec, report)| TensorEntry {
        name: &spec.name,
        shape: spec.shape.dims(),
        dtype: spec.dtype.name(),
        init: &spec.init,
        file: &report.file,
        sha256: &report.sha256,
    });
    let files = files.iter().map(|file| FileEntry {
        file: file_name(&file.path),
        bytes: file.bytes,
        sha256: &file.sha256,
    });
    document(&Manifest {
        recipe: &recipe.name,
        seed,
        contract: CONTRACT,
        tensors: tensors.collect(),
        files: files.collect(),
    })
}

/// One file of a model.
struct Shard {
    path: PathBuf,
    /// Indices into the recipe's tensors, in the file's order.
    tensors: Vec<usize>,
    header: Vec<u8>,
    bytes: u64,
}

/// The files of a model.
struct Plan {
    model: Model,
    shards: Vec<Shard>,
    /// The index's path and text, where there are several shards.
    index: Option<(PathBuf, String)>,
    manifest: PathBuf,
}

impl Plan {
    /// Plans files that can be written, as far as that can be known.
    fn new(recipe: &Recipe, options: &WriteOptions<'_>) -> Result<Plan> {
        let model = Model::new(options.out)?;
        let shards = shards(recipe, options, &model)?;
        let index = match shards.len() {
            1 => None,
            _ => Some((model.index(), index(recipe, &shards)?)),
        };
        if let Some((path, text)) = &index
            && text.len() as u64 > MAX_TEXT
        {
            return Err(too_long("an index", path, text.len()));
        }
        let manifest = model.manifest();
        let files = shards.iter().map(|shard| shard.path.as_path());
        let documents = index.iter().map(|(path, _)| path).chain([&manifest]);
        model.check(files.clone().chain(documents.map(PathBuf::as_path)), options.force)?;
        file::check_room(files.zip(shards.iter().map(|shard| shard.bytes)))?;
        Ok(Plan { model, shards, index, manifest })
    }
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

fn index(recipe: &Recipe, shards: &[Shard]) -> Result<String> {
    let names: Vec<String> = shards.iter().map(|shard| file_name(&shard.path)).collect();
    let mut map: Vec<(&str, &str)> =
        recipe.tensors.iter().map(|spec| (spec.name.as_str(), "")).collect();
    for (shard, name) in shards.iter().zip(&names) {
        shard.tensors.iter().for_each(|&tensor| map[tensor].1 = name);
    }
    let metadata = IndexMetadata { total_size: recipe.bytes() };
    document(&Index { metadata, weight_map: WeightMap(map) })
}

fn too_long(what: &str, path: &Path, bytes: usize) -> Error {
    let given = format!("{what} of {bytes} bytes");
    let needed = format!(
        "at most {MAX_TEXT}, as the format's readers accept: fewer tensors a file, or shorter names"
    );
    Error::invalid(path.display().to_string(), given, needed)
}

fn shards(recipe: &Recipe, options: &WriteOptions<'_>, model: &Model) -> Result<Vec<Shard>> {
    let most = options.max_shard_bytes.unwrap_or(u64::MAX);
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
    let mut shards = Vec::new();
    for (number, (data, mut tensors)) in groups.into_iter().enumerate() {
        let path = match count {
            1 => options.out.to_owned(),
            _ => model.file(&format!("-{:05}-of-{count:05}.safetensors", number + 1)),
        };
        // The order that the safetensors crate gives: by dtype, the widest first, then by name.
        let key = |&index: &usize| {
            let spec = &recipe.tensors[index];
            (std::cmp::Reverse(safetensors_dtype(spec.dtype)), &spec.name)
        };
        tensors.sort_by(|a, b| key(a).cmp(&key(b)));
        let header = header(recipe, &tensors, &path)?;
        let bytes = header.len() as u64 + data;
        shards.push(Shard { path, tensors, header, bytes });
    }
    Ok(shards)
}

/// The length and the JSON, padded so that the tensors start at a multiple of 8.
fn header(recipe: &Recipe, tensors: &[usize], path: &Path) -> Result<Vec<u8>> {
    let mut offset = 0;
    let mut infos = Vec::new();
    for &index in tensors {
        let spec = &recipe.tensors[index];
        let shape = spec.shape.dims().iter().map(|&dim| dim as usize).collect();
        let end = offset + spec.bytes() as usize;
        let info =
            TensorInfo { dtype: safetensors_dtype(spec.dtype), shape, data_offsets: (offset, end) };
        infos.push((spec.name.clone(), info));
        offset = end;
    }
    // One entry alone: the crate keeps them in a hash map, whose order is not always the same.
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos);
    let metadata = metadata.map_err(|error| Error::safetensors(path, error))?;
    let json = serde_json::to_vec(&metadata).map_err(|error| Error::safetensors(path, error))?;
    let padded = json.len().next_multiple_of(8);
    if padded as u64 > MAX_TEXT {
        return Err(too_long("a header", path, padded));
    }
    let mut header = (padded as u64).to_le_bytes().to_vec();
    header.extend(json);
    header.resize(8 + padded, b' ');
    Ok(header)
}

/// Digests of a shard.
struct Digests {
    /// In the shard's order.
    tensors: Vec<(Moments, String)>,
    file: String,
}

fn write_shard(
    recipe: &Recipe,
    engine: &dyn Engine,
    options: &WriteOptions<'_>,
    shard: &Shard,
    mut file: &File,
    progress: &mut dyn FnMut(u64),
) -> Result<Digests> {
    let mut tensors: Vec<(Moments, String)> = Vec::with_capacity(shard.tensors.len());
    let file_digest = thread::scope(|scope| -> Result<String> {
        // A chunk goes from here to the file's digest, to the file, and back.
        let (to_digest, chunks) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
        let (to_file, digested) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
        let (give_back, spare) = mpsc::channel();
        let digesting = memory::start("digesting a file", scope, move || {
            let mut digest = Sha256::new();
            for chunk in chunks {
                digest.update(&chunk);
                if to_file.send(chunk).is_err() {
                    break;
                }
            }
            hex(&digest.finalize())
        })?;
        // The disk is at work meanwhile, so that little is left for it at the end. A failure of its is
        // told once, so none may be passed over.
        let (to_disk, written) = mpsc::sync_channel(1);
        let sync = move || written.iter().try_for_each(|()| file.sync_data());
        let syncing = memory::start("syncing a file", scope, sync)?;
        let writing = memory::start("writing a file", scope, move || {
            let mut unsynced = 0;
            digested.iter().try_for_each(|chunk| {
                file.write_all(&chunk)?;
                unsynced += chunk.len();
                if unsynced >= SYNCED {
                    unsynced = 0;
                    let _ = to_disk.try_send(());
                }
                let _ = give_back.send(chunk);
                Ok(())
            })
        })?;
        let mut chunk = Vec::new();
        // Only where the writer ends early, and then its own error is the one that counts.
        let pass_on = |chunk: Vec<u8>| to_digest.send(chunk).map_err(|_| Error::Interrupted);
        let mut send = |bytes: &[u8]| -> Result<()> {
            if options.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            memory::more("a chunk of a file", &mut chunk, bytes.len())?;
            chunk.extend_from_slice(bytes);
            if chunk.len() < TOGETHER {
                return Ok(());
            }
            let mut next: Vec<u8> = spare.try_recv().unwrap_or_default();
            next.clear();
            pass_on(std::mem::replace(&mut chunk, next))
        };
        // One tensor's pieces come after another's.
        let (mut at, mut digest, mut moments) = (0, Sha256::new(), Moments::default());
        let drawn = send(&shard.header).and_then(|()| {
            draw(recipe, engine, options, shard, &mut |tensor, bytes, drawn| {
                if tensor != at {
                    let digest = hex(&std::mem::take(&mut digest).finalize());
                    tensors.push((std::mem::take(&mut moments), digest));
                    at = tensor;
                }
                progress(bytes.len() as u64);
                send(bytes)?;
                moments = moments.merge(drawn);
                digest.update(bytes);
                Ok(())
            })
        });
        tensors.push((moments, hex(&digest.finalize())));
        let drawn = drawn.and_then(|()| pass_on(chunk));
        drop(to_digest);

        let written: io::Result<()> = joined(writing).and(joined(syncing));
        written.map_err(|error| Error::file("write", &shard.path, error))?;
        drawn?;
        Ok(joined(digesting))
    })?;
    Ok(Digests { tensors, file: file_digest })
}

/// Asks for a file's room at once: where there is none that shows before anything is drawn.
#[cfg(target_os = "linux")]
fn reserve(file: &File, shard: &Shard) -> Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, shard.bytes) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
            Err(Error::file("write", &shard.path, error.into()))
        }
        // Not every file system can.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: &Shard) -> Result<()> {
    Ok(())
}

/// What a thread came to; its panic, which no input causes, goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The pieces of a shard's tensors, in order, to `sink`, with the shard's tensor that they are of.
fn draw(
    recipe: &Recipe,
    engine: &dyn Engine,
    options: &WriteOptions<'_>,
    shard: &Shard,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let spec = |at: usize| &recipe.tensors[shard.tensors[at]];
    // Kernels draw samples of each element; counters and masks, and tensors that are drawn as a
    // whole, are the CPU's.
    let on_engine = |at: &usize| match spec(*at).source {
        Source::Elements(distribution) if Dtype::SAMPLED.contains(&spec(*at).dtype) => {
            Some(distribution)
        }
        _ => None,
    };
    let order: Vec<usize> = (0..shard.tensors.len()).collect();
    for run in order.chunk_by(|a, b| on_engine(a).is_some() == on_engine(b).is_some()) {
        let mut pieces = Vec::new();
        let mut owners = Vec::new();
        for &at in run {
            let (spec, size) = (spec(at), spec(at).dtype.size() as u64);
            let (elements, longest) = (spec.shape.elements(), engine.piece_bytes() / size);
            let stream = Stream::named(options.seed, &spec.name);
            let starts = (0..elements).step_by(longest as usize);
            if let Some(distribution) = on_engine(&at) {
                pieces.extend(starts.map(|first| Piece {
                    stream,
                    distribution,
                    dtype: spec.dtype,
                    first,
                    count: longest.min(elements - first),
                }));
                owners.resize(pieces.len(), at);
                continue;
            }
            let bytes = spec.source.draw_until(&stream, spec.dtype, elements, options.stop)?;
            for bytes in bytes.chunks((longest * size) as usize) {
                sink(at, bytes, cpu::moments(spec.dtype, bytes))?;
            }
        }
        engine.draw(&pieces, &mut |piece, bytes, moments| sink(owners[piece], bytes, moments))?;
    }
    Ok(())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
