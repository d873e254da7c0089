//! A recipe's tensors into safetensors files: drawn, hashed and written at once, in little memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};

use super::files::{Own, Part, Shard, document, holds};
use super::manifest::Manifest;
use super::{Plan, Rank, Recipe, Selection};
use crate::device::{Draw, Piece, Sink};
use crate::file::{self, Drafts, file_name, hex};
use crate::op::Moments;
use crate::random::{Slice, Stream};
use crate::{Error, Result, Shape, cpu, memory};

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
    /// Which of several processes this is that write the model together: its files alone are written,
    /// and a manifest of its own. Without a [plan](WriteOptions::plan) these are whole tensors, and
    /// without a size there are so many files that the ranks have about as much to do.
    pub rank: Option<Rank>,
    /// Which part of each tensor a rank holds: each has one file, of its parts. None writes whole tensors.
    pub plan: Option<&'a Plan>,
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
    /// Seed 0, one file, which replaces none, without a digest of the whole, by one process; nobody stops or
    /// watches it.
    pub fn new(out: &'a Path) -> WriteOptions<'a> {
        WriteOptions {
            seed: 0,
            out,
            max_shard_bytes: None,
            rank: None,
            plan: None,
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
#[derive(Clone, Debug, Default)]
pub struct WriteReport {
    /// Each tensor that was written, in the recipe's order.
    pub tensors: Vec<TensorReport>,
    /// Each safetensors file, the index, and the manifest.
    pub files: Vec<FileReport>,
}

impl WriteReport {
    /// What another came to, after this.
    pub fn append(&mut self, mut other: WriteReport) {
        self.tensors.append(&mut other.tensors);
        self.files.append(&mut other.files);
    }
}

/// What became of a tensor.
#[derive(Clone, Debug)]
pub struct TensorReport {
    /// Which of the recipe's tensors it is.
    pub tensor: usize,
    /// The shape of what was written.
    pub shape: Shape,
    /// What of the tensor was written, where that is a part.
    pub part: Option<Selection>,
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
    /// Whether it was there before, and is what would have been written: so a rank goes on that was
    /// stopped.
    pub was_there: bool,
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
/// With [`WriteOptions::rank`] this is one of several processes that write a model together, none of which
/// waits for another. Each has files of its own and a manifest of its own, which [`merge`](super::merge())
/// joins; of whole tensors the last writes the index. Files of its own that are there already are drawn
/// anew, compared and kept, so that one that was stopped goes on; other files of this name are refused, or
/// removed where `force` is given. Its report has what it wrote alone.
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
    let own = Own::new(recipe, options)?;
    let there = check_room(&own, options)?;
    let mut drafts = Drafts::default();
    let mut ready = Vec::new();
    let mut files = Vec::new();
    let mut tensors = Vec::new();
    for (shard, &was_there) in own.shards.iter().zip(&there) {
        let digests = if was_there {
            let file = File::open(&shard.path).map_err(|e| Error::file("open", &shard.path, e))?;
            let body = Body::There(&file);
            write_shard(recipe, device, options, shard, body, progress)?
        } else {
            let draft = drafts.create(&shard.path)?;
            reserve(&draft.file, shard)?;
            let body = Body::New(&draft.file);
            let digests = write_shard(recipe, device, options, shard, body, progress)?;
            ready.push(drafts.finish(draft)?);
            digests
        };
        let file = file_name(&shard.path);
        let of_parts = shard.parts.iter().zip(digests.tensors);
        tensors.extend(of_parts.map(|(part, (moments, sha256))| TensorReport {
            tensor: part.tensor,
            shape: part.shape.clone(),
            part: part.selection.clone(),
            moments,
            sha256,
            file: file.clone(),
        }));
        files.push(FileReport {
            path: shard.path.clone(),
            bytes: shard.bytes,
            sha256: digests.file,
            was_there,
        });
    }
    tensors.sort_by_key(|report| report.tensor);

    let manifest = Manifest::new(recipe, options, own.share.clone(), &tensors, &files);
    let manifest = (own.manifest.clone(), document(&manifest)?);
    let mut placed = Vec::new();
    let mut write = |(path, text): &(PathBuf, String), was_there: bool| {
        let ready = (!was_there).then(|| drafts.write(path, text.as_bytes())).transpose()?;
        let report = FileReport {
            path: path.clone(),
            bytes: text.len() as u64,
            sha256: Some(hex(&Sha256::digest(text.as_bytes()))),
            was_there,
        };
        placed.push(report);
        Ok(ready)
    };
    if options.stop().load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    if options.rank.is_none() {
        let documents = own.index.iter().chain([&manifest]).map(|document| write(document, false));
        let documents: Vec<Option<_>> = documents.collect::<Result<_>>()?;
        let documents = documents.into_iter().flatten().collect();
        own.model.place(ready, documents, options.force)?;
    } else {
        let is_there = holds(&manifest) && ready.is_empty();
        let document = write(&manifest, is_there)?;
        let ours = |path: &Path| own.is_ours(path, &tensors);
        own.model.place_own(ready, document, &manifest.0, options.force, ours)?;
        // Whoever comes last writes it; of two at once, both the same.
        if let Some(index) = &own.index
            && own.is_complete()?
        {
            let document = write(index, holds(index))?;
            document.into_iter().try_for_each(|document| own.model.place_index(document))?;
        }
    }
    files.append(&mut placed);
    Ok(WriteReport { tensors, files })
}

/// Which of the files that this process is to write are there already, of several ranks' that go on; where
/// none may be, or a file is another's, that it is an error.
fn check_room(own: &Own<'_>, options: &WriteOptions<'_>) -> Result<Vec<bool>> {
    let files = own.shards.iter().map(|shard| shard.path.as_path());
    let there: Vec<bool> = match options.rank {
        None => {
            let index = own.index.iter().map(|(path, _)| path.as_path());
            let documents = index.chain([own.manifest.as_path()]);
            own.model.check(files.clone().chain(documents), options.force)?;
            vec![false; own.shards.len()]
        }
        Some(_) => {
            let is_there = |shard: &Shard| -> Result<bool> {
                if options.force || !shard.path.exists() {
                    return Ok(false);
                }
                match shard.has_its_header() {
                    true => Ok(true),
                    false => Err(Error::Exists { path: shard.path.clone() }),
                }
            };
            let there = own.shards.iter().map(is_there).collect::<Result<Vec<_>>>()?;
            if !options.force && own.has_other_manifest() {
                return Err(Error::Exists { path: own.manifest.clone() });
            }
            let new = files.clone().chain([own.manifest.as_path()]);
            own.model.check_own(new, options.force, |path| own.is_ours(path, &[]))?;
            there
        }
    };
    let sizes =
        own.shards.iter().zip(&there).map(|(shard, there)| if *there { 0 } else { shard.bytes });
    file::check_room(files.zip(sizes))?;
    Ok(there)
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

/// Where a shard's bytes go.
#[derive(Clone, Copy)]
enum Body<'a> {
    New(&'a File),
    /// They are compared with what is there.
    There(&'a File),
}

fn write_shard(
    recipe: &Recipe,
    device: &dyn Draw,
    options: &WriteOptions<'_>,
    shard: &Shard,
    body: Body<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Digests> {
    let (Body::New(file) | Body::There(file)) = body;
    thread::scope(|scope| {
        // The disk is at work meanwhile, so that little is left for it at the end. A failure of its is
        // told once, so none may be passed over.
        let (to_disk, written) = mpsc::sync_channel(1);
        let sync = move || written.iter().try_for_each(|()| file.sync_data());
        let syncing = memory::start("syncing a file", scope, sync)?;
        let (to_file, chunks): (_, Chunks) = mpsc::channel();
        let writing = memory::start("writing a file", scope, move || {
            let mut unsynced = 0;
            let mut there = Vec::new();
            chunks.iter().try_for_each(|chunk| {
                if let Body::There(mut file) = body {
                    there.resize(chunk.bytes.len(), 0);
                    file.read_exact(&mut there)?;
                    let same = there == chunk.bytes;
                    return if same { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) };
                }
                let mut file = file;
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
        let most = crate::host::threads().min(DIGESTING);
        digesting.extend((1..most).map_while(|_| digest(runs.clone()).ok()));
        // Theirs alone: where they have ended nobody waits for them to take a run.
        drop(runs);

        let mut desk = Desk::new(options.stop(), readers, to_digest);
        let mut moments = vec![Moments::default(); shard.parts.len()];
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
        written.map_err(|error| match body {
            // Others' bytes.
            Body::There(_) if error.kind() == io::ErrorKind::AlreadyExists => {
                Error::Exists { path: shard.path.clone() }
            }
            Body::There(_) => Error::file("read", &shard.path, error),
            Body::New(_) => Error::file("write", &shard.path, error),
        })?;
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
    let slices: Vec<Option<Slice>> = shard.parts.iter().map(Part::slice).collect();
    let mut pieces = Vec::new();
    let mut owners = Vec::new();
    let mut bytes = Vec::new();
    for (at, part) in shard.parts.iter().enumerate() {
        let spec = &recipe.tensors[part.tensor];
        let size = spec.dtype.size() as u64;
        let longest = device.piece_bytes() / size;
        let stream = Stream::named(options.seed, &spec.name);
        let slice = slices[at].as_ref();
        let mut drawer = None;
        for (elements, on_device) in part.spans(spec, slice, LONG / size, longest) {
            let count = elements.end - elements.start;
            let starts = elements.clone().step_by(longest as usize);
            if let Some(distribution) = on_device {
                pieces.extend(starts.map(|first| Piece {
                    stream,
                    distribution,
                    dtype: spec.dtype,
                    slice,
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
                match &part.selection {
                    None => drawer.draw(first, bytes)?,
                    Some(selection) => selection.draw(drawer, size, first, bytes)?,
                }
                sink(at, bytes, cpu::moments(spec.dtype, bytes))?;
            }
        }
    }
    device.draw(&pieces, &mut |piece, bytes, moments| sink(owners[piece], bytes, moments))
}
