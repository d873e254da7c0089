//! A recipe's tensors into safetensors files: drawn, hashed and written at once, in little memory.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use safetensors::tensor::TensorInfo;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::header::safetensors_dtype;
use super::made::{self, Made};
use super::manifest::Manifest;
use super::{MAX_TEXT, Recipe};
use crate::device::{Draw, Piece, Sink};
use crate::file::{self, Drafts, Model, file_name, hex};
use crate::op::Moments;
use crate::random::Stream;
use crate::{Error, Result, cpu, memory};

/// Where a model goes, and how. What is left as [`WriteOptions::new`] has it needs no mention:
///
/// ```
/// # use fanin::recipe::WriteOptions;
/// # use std::path::Path;
/// let out = Path::new("model.safetensors");
/// let options = WriteOptions { seed: 7, force: true, ..WriteOptions::new(out) };
/// ```
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
    /// Whether to take the SHA-256 of each file of weights as a whole, as `sha256sum` gives it. The
    /// tensors' digests say as much; one over all of them is a chain that no second thread shortens, and
    /// a disk may be faster than it.
    pub file_digests: bool,
    /// Ends the writing where it becomes true.
    pub stop: Option<&'a AtomicBool>,
    /// Hears of each stretch of bytes drawn.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
}

impl<'a> WriteOptions<'a> {
    /// Seed 0, one file, which replaces none, without a digest of the whole; nobody stops or watches it.
    pub fn new(out: &'a Path) -> WriteOptions<'a> {
        WriteOptions {
            seed: 0,
            out,
            max_shard_bytes: None,
            force: false,
            file_digests: false,
            stop: None,
            progress: None,
        }
    }

    fn stop(&self) -> &'a AtomicBool {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.stop.unwrap_or(&NEVER)
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub struct WriteReport {
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
    /// SHA-256 of the whole, in hexadecimal; of weights where [`WriteOptions::file_digests`] asks for it.
    pub sha256: Option<String>,
}

/// Bytes that go on at a time: they still lie in the cache when they are digested and written.
const CHUNK: usize = 2 << 20;

/// Bytes below which tensors go on together.
const TOGETHER: usize = 256 << 10;

/// Chunks that are under way at most: room for digests of several tensors to go on beside one another,
/// which come one after the other.
const CHUNKS: usize = 16;

/// Threads that digest tensors at most: together they are faster than a file is written.
const DIGESTING: usize = 4;

/// Bytes after which the disk is set to work.
const SYNCED: usize = 64 << 20;

/// Draws a recipe's tensors with `device` and writes them, the `.manifest.json` of digests beside
/// them, and for several shards the index.
///
/// The same seed and recipe give the same bytes whatever the device.
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
/// ```no_run
/// use std::path::Path;
///
/// use fanin::recipe::{Recipe, TensorSpec, WriteOptions, write};
/// use fanin::{Device, Shape};
///
/// let weight = TensorSpec::new("layers.0.weight", Shape::new([64, 32])?, "he_normal".parse()?)?;
/// let bias = TensorSpec::new("layers.0.bias", Shape::new([64])?, "zeros".parse()?)?;
/// let recipe = Recipe::new("tiny", vec![weight, bias])?;
/// let out = Path::new("tiny.safetensors");
/// let report = write(&recipe, &Device::Cpu, WriteOptions { seed: 7, ..WriteOptions::new(out) })?;
/// println!("{}: {}", report.tensors[0].file, report.tensors[0].sha256);
/// # Ok::<(), fanin::Error>(())
/// ```
///
/// # Errors
/// Before anything is drawn: as [`Recipe::new`]; [`Error::Exists`] where a file of this name is there and
/// `force` is not given, [`Error::Invalid`] where a header or the index would be longer than readers accept
/// (100 MB), [`Error::File`] where a file cannot be made or the disk has less room. Later:
/// [`Error::File`] where one cannot be written, [`Error::Interrupted`] where `stop` became true; else as
/// [`Draw::draw`].
pub fn write(
    recipe: &Recipe,
    device: &dyn Draw,
    mut options: WriteOptions<'_>,
) -> Result<WriteReport> {
    let mut unheard = |_| ();
    let progress: &mut dyn FnMut(u64) = match options.progress.take() {
        Some(progress) => progress,
        None => &mut unheard,
    };
    let options = &options;
    recipe.check()?;
    let plan = Plan::new(recipe, options)?;
    let mut drafts = Drafts::default();
    let mut ready = Vec::new();
    let mut files = Vec::new();
    let mut tensors: Vec<Option<TensorReport>> = vec![None; recipe.tensors.len()];
    for shard in &plan.shards {
        let draft = drafts.create(&shard.path)?;
        reserve(&draft.file, shard)?;
        let digests = write_shard(recipe, device, options, shard, &draft.file, progress)?;
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

    let manifest = document(&Manifest::new(recipe, options.seed, &tensors, &files))?;
    let mut documents = Vec::new();
    for (path, text) in plan.index.iter().chain([&(plan.manifest.clone(), manifest)]) {
        documents.push(drafts.write(path, text.as_bytes())?);
        files.push(FileReport {
            path: path.clone(),
            bytes: text.len() as u64,
            sha256: Some(hex(&Sha256::digest(text.as_bytes()))),
        });
    }
    if options.stop().load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    plan.model.place(ready, documents, options.force)?;
    Ok(WriteReport { tensors, files })
}

/// A document as it is written.
fn document(document: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(document);
    // Maps with names and lists of plain values: nothing that JSON has no form for.
    let text = text.map_err(|error| Error::invalid("document", error, "one of JSON"))?;
    Ok(text + "\n")
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
        let header = header(recipe, &tensors, options.seed, &path)?;
        let bytes = header.len() as u64 + data;
        shards.push(Shard { path, tensors, header, bytes });
    }
    Ok(shards)
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

/// The length and the JSON, padded so that the tensors start at a multiple of 8.
fn header(recipe: &Recipe, tensors: &[usize], seed: u64, path: &Path) -> Result<Vec<u8>> {
    let wrong = |error: serde_json::Error| Error::safetensors(path, error);
    let mut offset = 0;
    let mut infos = Vec::new();
    for &index in tensors {
        let spec = &recipe.tensors[index];
        let shape = spec.shape.dims().iter().map(|&dim| dim as usize).collect();
        let end = offset + spec.bytes() as usize;
        let info =
            TensorInfo { dtype: safetensors_dtype(spec.dtype), shape, data_offsets: (offset, end) };
        infos.push((spec.name.as_str(), info));
        offset = end;
    }
    let specs = tensors.iter().map(|&index| &recipe.tensors[index]);
    let made = Made::new(recipe, seed, specs);
    let made = serde_json::to_string(&made).map_err(wrong)?;
    let json = serde_json::to_vec(&Header { made, tensors: infos }).map_err(wrong)?;
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
    file: Option<String>,
}

/// A stretch of a file, shared by those who write and digest it; the last of them gives its room back.
struct Chunk {
    bytes: Vec<u8>,
    /// Tensors of the shard, each with where its bytes are in these.
    parts: Vec<(usize, Range<usize>)>,
    give_back: Sender<Vec<u8>>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let _ = self.give_back.send(std::mem::take(&mut self.bytes));
    }
}

/// Chunks, one after the other.
type Chunks = Receiver<Arc<Chunk>>;

fn write_shard(
    recipe: &Recipe,
    device: &dyn Draw,
    options: &WriteOptions<'_>,
    shard: &Shard,
    mut file: &File,
    progress: &mut dyn FnMut(u64),
) -> Result<Digests> {
    thread::scope(|scope| {
        // The disk is at work meanwhile, so that little is left for it at the end. A failure of its is
        // told once, so none may be passed over.
        let (to_disk, written) = mpsc::sync_channel(1);
        let sync = move || written.iter().try_for_each(|()| file.sync_data());
        let syncing = memory::start("syncing a file", scope, sync)?;
        let (to_file, chunks): (_, Chunks) = mpsc::channel();
        let writing = memory::start("writing a file", scope, move || {
            let mut unsynced = 0;
            chunks.iter().try_for_each(|chunk| {
                file.write_all(&chunk.bytes)?;
                unsynced += chunk.bytes.len();
                if unsynced >= SYNCED {
                    unsynced = 0;
                    let _ = to_disk.try_send(());
                }
                Ok(())
            })
        })?;
        let mut readers = vec![to_file];
        let mut digesting_file = None;
        if options.file_digests {
            let (to_digest, chunks): (_, Chunks) = mpsc::channel();
            readers.push(to_digest);
            digesting_file = Some(memory::start("digesting a file", scope, move || {
                let mut digest = Sha256::new();
                chunks.iter().for_each(|chunk| digest.update(&chunk.bytes));
                hex(&digest.finalize())
            })?);
        }
        // Tensors' digests go on beside one another: each thread takes a run of chunks at a time.
        let (to_digest, runs) = mpsc::channel();
        let runs = Arc::new(Mutex::new(runs));
        let digest = |runs: Arc<Mutex<Receiver<Chunks>>>| {
            memory::start("digesting tensors", scope, move || {
                let next = || runs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                std::iter::from_fn(next).flat_map(digests).collect::<Vec<_>>()
            })
        };
        let mut digesting = vec![digest(runs.clone())?];
        let most = rayon::current_num_threads().min(DIGESTING);
        digesting.extend((1..most).map_while(|_| digest(runs.clone()).ok()));
        // Theirs alone: where they have ended nobody waits for them to take a run.
        drop(runs);

        let mut desk = Desk::new(options.stop(), readers, to_digest);
        let mut moments = vec![Moments::default(); shard.tensors.len()];
        let drawn = desk.take(None, &shard.header).and_then(|()| {
            draw(recipe, device, options, shard, &mut |tensor, bytes, drawn| {
                progress(bytes.len() as u64);
                moments[tensor] = moments[tensor].merge(drawn);
                desk.take(Some(tensor), bytes)
            })
        });
        let drawn = drawn.and_then(|()| desk.pass_on());
        drop(desk);

        let written: io::Result<()> = joined(writing).and(joined(syncing));
        written.map_err(|error| Error::file("write", &shard.path, error))?;
        drawn?;
        // Of a tensor without elements nobody hears.
        let none = hex(&Sha256::digest([]));
        let mut tensors: Vec<_> =
            moments.into_iter().map(|moments| (moments, none.clone())).collect();
        for (tensor, digest) in digesting.into_iter().flat_map(joined) {
            tensors[tensor].1 = digest;
        }
        Ok(Digests { tensors, file: digesting_file.map(joined) })
    })
}

/// Where bytes, as they are drawn, become chunks.
struct Desk<'a> {
    stop: &'a AtomicBool,
    /// Who takes every chunk.
    readers: Vec<Sender<Arc<Chunk>>>,
    /// Who takes runs of chunks, and none of whose tensors is in two of these.
    to_digest: Sender<Chunks>,
    /// The latest run, and the tensor that it ends with.
    run: Option<(Sender<Arc<Chunk>>, usize)>,
    chunk: Chunk,
    spare: Receiver<Vec<u8>>,
    /// How many there are, in use and spare.
    chunks: usize,
}

impl<'a> Desk<'a> {
    fn new(
        stop: &'a AtomicBool,
        readers: Vec<Sender<Arc<Chunk>>>,
        to_digest: Sender<Chunks>,
    ) -> Desk<'a> {
        let (give_back, spare) = mpsc::channel();
        let chunk = Chunk { bytes: Vec::new(), parts: Vec::new(), give_back };
        Desk { stop, readers, to_digest, run: None, chunk, spare, chunks: 1 }
    }

    /// The next bytes of the file; those of a tensor, or of none.
    fn take(&mut self, tensor: Option<usize>, bytes: &[u8]) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        for bytes in bytes.chunks(CHUNK) {
            if self.chunk.bytes.len() + bytes.len() > CHUNK {
                self.pass_on()?;
            }
            let Chunk { bytes: all, parts, .. } = &mut self.chunk;
            let start = all.len();
            // All of it at once: what grows grows beyond.
            memory::more("a chunk of a file", all, CHUNK - start)?;
            all.extend_from_slice(bytes);
            parts.extend(tensor.map(|tensor| (tensor, start..all.len())));
            if all.len() >= TOGETHER {
                self.pass_on()?;
            }
        }
        Ok(())
    }

    /// Hands the chunk on, and takes up another, for which it may wait.
    fn pass_on(&mut self) -> Result<()> {
        let spare = match self.spare.try_recv() {
            Err(_) if self.chunks < CHUNKS => {
                self.chunks += 1;
                Vec::new()
            }
            // Whoever has one gives it back: the channel's other end is here too.
            spare => spare.or_else(|_| self.spare.recv()).unwrap_or_default(),
        };
        let next =
            Chunk { bytes: spare, parts: Vec::new(), give_back: self.chunk.give_back.clone() };
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, next));
        self.chunk.bytes.clear();
        for reader in &self.readers {
            // Only where it ends early, and then its own error is the one that counts.
            reader.send(chunk.clone()).map_err(|_| Error::Interrupted)?;
        }
        let (Some((first, _)), Some((last, _))) = (chunk.parts.first(), chunk.parts.last()) else {
            return Ok(());
        };
        let last = *last;
        let run = match self.run.take() {
            Some((run, tensor)) if tensor == *first => run,
            _ => {
                let (run, chunks) = mpsc::channel();
                let _ = self.to_digest.send(chunks);
                run
            }
        };
        let _ = run.send(chunk);
        self.run = Some((run, last));
        Ok(())
    }
}

/// The digests of a run's tensors.
fn digests(run: Chunks) -> Vec<(usize, String)> {
    let mut done = Vec::new();
    let mut current: Option<(usize, Sha256)> = None;
    let mut end = |(tensor, digest): (usize, Sha256)| done.push((tensor, hex(&digest.finalize())));
    for chunk in run {
        for (tensor, range) in &chunk.parts {
            let bytes = &chunk.bytes[range.clone()];
            match &mut current {
                Some((own, digest)) if own == tensor => digest.update(bytes),
                _ => {
                    let next = (*tensor, Sha256::new_with_prefix(bytes));
                    current.replace(next).into_iter().for_each(&mut end);
                }
            }
        }
    }
    current.into_iter().for_each(end);
    done
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

/// Bytes of a stretch from which on a device draws it, where others stand beside it in a tensor.
const LONG: u64 = 1 << 18;

/// The pieces of a shard's tensors, in order, to `sink`, with the shard's tensor that they are of.
fn draw(
    recipe: &Recipe,
    device: &dyn Draw,
    options: &WriteOptions<'_>,
    shard: &Shard,
    sink: &mut Sink<'_>,
) -> Result<()> {
    // Kernels draw samples of each element; all else is the CPU's.
    let mut pieces = Vec::new();
    let mut owners = Vec::new();
    let mut bytes = Vec::new();
    for (at, &index) in shard.tensors.iter().enumerate() {
        let spec = &recipe.tensors[index];
        let size = spec.dtype.size() as u64;
        let longest = device.piece_bytes() / size;
        let stream = Stream::named(options.seed, &spec.name);
        let mut drawer = None;
        for (elements, on_device) in spec.spans(0..spec.shape.elements(), LONG / size, longest) {
            let count = elements.end - elements.start;
            let starts = elements.clone().step_by(longest as usize);
            if let Some(distribution) = on_device {
                pieces.extend(starts.map(|first| Piece {
                    stream,
                    distribution,
                    dtype: spec.dtype,
                    slice: None,
                    first,
                    count: longest.min(elements.end - first),
                }));
                owners.resize(pieces.len(), at);
                continue;
            }
            // In order.
            device
                .draw(&pieces, &mut |piece, bytes, moments| sink(owners[piece], bytes, moments))?;
            pieces.clear();
            owners.clear();
            let drawer = match &mut drawer {
                Some(drawer) => drawer,
                None => drawer.insert(spec.drawer(options.seed)?.until(options.stop())),
            };
            let room = (count.min(longest) * size) as usize;
            if bytes.len() < room {
                bytes = memory::filled("a stretch of a tensor", room, 0)?;
            }
            for first in starts {
                let bytes = &mut bytes[..(longest.min(elements.end - first) * size) as usize];
                drawer.draw(first, bytes)?;
                sink(at, bytes, cpu::moments(spec.dtype, bytes))?;
            }
        }
    }
    device.draw(&pieces, &mut |piece, bytes, moments| sink(owners[piece], bytes, moments))
}
