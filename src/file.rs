//! Files that stand under their names whole, or not at all, also after a power cut.
//!
//! A file is written without a name (`O_TMPFILE`), so that nothing is left of it however the process
//! ends; where a system cannot, in a hidden folder beside its place, which the next writer removes. Its
//! bytes are on the disk before it is linked or renamed to its name, and the folder is after.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf, is_separator};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tempfile::{TempDir, TempPath};

use crate::host::Instant;
use crate::{Error, Result, host};

/// Writes a file: whoever opens it finds what was there before, or all of `bytes`.
///
/// Symbolic links are followed, and a file that is replaced hands on its permissions. What is no
/// regular file (a pipe, a device) is written to as it is.
///
/// # Errors
/// [`Error::Exists`] where it is there already and `force` is not given, be it since a moment ago;
/// [`Error::Invalid`] for a folder; [`Error::File`] where it cannot be written. Then nothing has
/// changed.
pub fn save(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let stream = File::options().write(true).open(path);
        let written = stream.and_then(|mut stream| stream.write_all(bytes));
        return written.map_err(|error| Error::file("write to", path, error));
    }
    check(path, force)?;
    let mut drafts = Drafts::default();
    let ready = drafts.write(path, bytes)?;
    let _placing = placing();
    sync_folder(folder(&ready.place(force)?))
}

/// [`save`] for a model's weights in one file, which takes the place of all that stands for a model of
/// its name.
///
/// # Errors
/// As [`save`]'s; [`Error::Invalid`] where the name is none of a model.
pub(crate) fn save_model(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let model = Model::new(path)?;
    model.check([path], force)?;
    let mut drafts = Drafts::default();
    let ready = drafts.write(path, bytes)?;
    model.place(vec![ready], Vec::new(), force)
}

/// What can be known beforehand of whether a model's weights can be written to one file.
///
/// # Errors
/// As [`check`]'s; [`Error::Exists`] where a model of this name is there, in whatever files, and
/// `force` is not given; [`Error::Invalid`] where the name is none of a model.
pub fn check_model(path: &Path, force: bool) -> Result<()> {
    Model::new(path)?.check([path], force)
}

/// What can be known beforehand of whether [`save`] can write a file.
///
/// # Errors
/// As [`save`]'s, of a name that is taken, a folder, a name that is too long or ends in a slash, a
/// folder that is not there or that may not be written to, another's file in a folder of all.
pub fn check(path: &Path, force: bool) -> Result<()> {
    let needed = |needed: &str| Err(Error::invalid("output", path.display(), needed));
    if path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| is_separator(byte.into())) {
        return needed("a file's name, without a slash at its end");
    }
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => needed("a file's name; this is a folder"),
        Ok(found) if found.is_file() && !force => Err(Error::Exists { path: path.into() }),
        Ok(found) if !found.is_file() => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("write", path, error))
        }
        _ => replaceable(path).map_err(|error| Error::file("create", path, error)),
    }
}

/// Whether a file may be made, or replaced, where a path leads.
fn replaceable(path: &Path) -> io::Result<()> {
    let place = target(path)?;
    let folder = folder(&place);
    if !std::fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if unnamed(folder)?.is_none() {
        tempfile::tempfile_in(folder).map_err(nameless)?;
    }
    // Where all may write, each may replace what is theirs.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        const STICKY: u32 = 0o1000;
        let of = std::fs::metadata(folder)?;
        let user = rustix::process::geteuid().as_raw();
        if let Ok(found) = std::fs::symlink_metadata(&place)
            && of.mode() & STICKY != 0
            && ![0, of.uid(), found.uid()].contains(&user)
        {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    Ok(())
}

/// Removes what files under way have left in hidden folders, and lets none get its name any more: for
/// a process that is about to end from outside of the work. What is being given its name gets it
/// first.
pub fn abandon() {
    // For good: it is never unlocked.
    std::mem::forget(placing());
    for folder in hidden().drain(..) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Held while files get their names.
static PLACING: Mutex<()> = Mutex::new(());

/// The hidden folders of this process.
static HIDDEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn placing() -> MutexGuard<'static, ()> {
    PLACING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn hidden() -> MutexGuard<'static, Vec<PathBuf>> {
    HIDDEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How hidden folders, and files on their way to a name, begin and end.
const PREFIX: &str = ".fanin-";
const SUFFIX: &str = ".partial";

/// Files without names that are kept open; more are closed and wait in a hidden folder.
const OPEN: usize = 64;

/// Files that are made one after the other, before any of them gets its name.
#[derive(Default)]
pub(crate) struct Drafts {
    swept: Option<PathBuf>,
    folders: Vec<Hidden>,
    open: usize,
}

/// A file that is being written.
pub(crate) struct Draft {
    path: PathBuf,
    /// Where it goes: `path`, symbolic links followed.
    place: PathBuf,
    pub(crate) file: File,
    /// Its name meanwhile, if it has one.
    name: Option<TempPath>,
}

/// A file that is written, and lies on the disk.
pub(crate) struct Ready {
    path: PathBuf,
    place: PathBuf,
    body: Body,
}

enum Body {
    Unnamed(File),
    Named(TempPath),
}

/// A folder for files on their way, locked as long as they are: one that nobody has locked is left
/// over.
pub(crate) struct Hidden {
    beside: PathBuf,
    folder: TempDir,
    _lock: Option<File>,
}

/// A hidden folder among the system's temporary files, which goes with its owner, [`abandon`] or the
/// next scratch.
pub(crate) fn scratch() -> Result<Hidden> {
    if cfg!(target_arch = "wasm32") {
        let error = io::Error::from(io::ErrorKind::Unsupported);
        return Err(Error::file("create", "a folder for a while", error));
    }
    let beside = std::env::temp_dir();
    sweep(&beside);
    Hidden::new(&beside).map_err(|error| Error::file("create a folder in", beside, error))
}

impl Drop for Hidden {
    fn drop(&mut self) {
        hidden().retain(|folder| folder != self.folder.path());
    }
}

impl Drafts {
    /// A new file that is to go to `path`.
    pub(crate) fn create(&mut self, path: &Path) -> Result<Draft> {
        let failed = |error| Error::file("create", path, error);
        let place = target(path).map_err(failed)?;
        let folder = folder(&place);
        if self.swept.as_deref() != Some(folder) {
            sweep(folder);
            self.swept = Some(folder.into());
        }
        if let Some(file) = unnamed(folder).map_err(failed)? {
            return Ok(Draft { path: path.into(), place, file, name: None });
        }
        let named = new_file().tempfile_in(self.hidden(folder).map_err(failed)?);
        let (file, name) = named.map_err(nameless).map_err(failed)?.into_parts();
        Ok(Draft { path: path.into(), place, file, name: Some(name) })
    }

    /// A new file that is to go to `path`, with these bytes.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<Ready> {
        let mut draft = self.create(path)?;
        draft.file.write_all(bytes).map_err(|error| Error::file("write", path, error))?;
        self.finish(draft)
    }

    /// Takes a file as it is: brings it to the disk, with the permissions of the one that it replaces.
    pub(crate) fn finish(&mut self, draft: Draft) -> Result<Ready> {
        let Draft { path, place, file, name } = draft;
        let failed = |error| Error::file("write", &path, error);
        if let Ok(before) = std::fs::metadata(&place) {
            take_after(&file, &before);
        }
        file.sync_all().map_err(failed)?;
        let body = match name {
            Some(name) => Body::Named(name),
            None if self.open < OPEN => {
                self.open += 1;
                Body::Unnamed(file)
            }
            None => {
                let hidden = self.hidden(folder(&place)).map_err(failed)?;
                Body::Named(named(&file, hidden).map_err(failed)?)
            }
        };
        Ok(Ready { path, place, body })
    }

    /// The hidden folder beside files of `folder`.
    fn hidden(&mut self, folder: &Path) -> io::Result<&Path> {
        let at = match self.folders.iter().position(|hidden| hidden.beside == folder) {
            Some(at) => at,
            None => {
                self.folders.push(Hidden::new(folder)?);
                self.folders.len() - 1
            }
        };
        Ok(self.folders[at].path())
    }
}

impl Hidden {
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn new(beside: &Path) -> io::Result<Hidden> {
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempdir_in(beside);
            let folder = folder.map_err(nameless)?;
            let lock = lock(folder.path());
            // Another's sweep may have come first.
            if folder.path().is_dir() && !matches!(lock, Some(Err(TryLockError::WouldBlock))) {
                hidden().push(folder.path().into());
                let _lock = lock.and_then(Result::ok);
                return Ok(Hidden { beside: beside.into(), folder, _lock });
            }
        }
    }
}

impl Ready {
    /// Gives the file its name, in place of what has it where `force` is given; its place, symbolic
    /// links followed. [`sync_folder`] makes it last.
    ///
    /// # Errors
    /// [`Error::Exists`] where the name is taken and `force` is not given.
    fn place(self, force: bool) -> Result<PathBuf> {
        let Ready { path, place, body } = self;
        let placed = match body {
            Body::Unnamed(file) if !force => link(&file, &place),
            // A link replaces nothing: the file takes a name for the moment, and keeps its lock, by
            // which nobody takes it for left over.
            Body::Unnamed(file) => {
                let _ = file.try_lock();
                named(&file, folder(&place))
                    .and_then(|name| name.persist(&place).map_err(|error| error.error))
            }
            Body::Named(name) if force => name.persist(&place).map_err(|error| error.error),
            Body::Named(name) => name.persist_noclobber(&place).map_err(|error| error.error),
        };
        match placed {
            Ok(()) => Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Exists { path })
            }
            Err(error) => Err(Error::file("rename to", path, error)),
        }
    }
}

/// The sole right of this crate's processes and threads to change folders' files that belong together.
struct Turn {
    _folders: Vec<File>,
    _own: MutexGuard<'static, ()>,
}

impl Turn {
    /// Waits for it.
    fn take<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<Turn> {
        const LONGEST: Duration = Duration::from_secs(60);
        // Each once, and in an order that all keep to.
        let known = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.into());
        let folders: BTreeSet<PathBuf> = folders.into_iter().map(known).collect();
        let (mut locks, start) = (Vec::new(), Instant::now());
        for folder in folders {
            // Where folders cannot be locked, names that are taken are still seen one by one.
            let Ok(lock) = File::open(&folder) else { continue };
            while let Err(TryLockError::WouldBlock) = lock.try_lock() {
                if start.elapsed() > LONGEST {
                    let error = io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process has held its lock for a minute",
                    );
                    return Err(Error::file("write into", folder, error));
                }
                host::sleep(Duration::from_millis(5));
            }
            locks.push(lock);
        }
        // Last, since `abandon` waits for it.
        Ok(Turn { _folders: locks, _own: placing() })
    }
}

/// The files that stand for a model under one name: `model.safetensors`, or its shards
/// (`model-00001-of-00002.safetensors`) with their `model.safetensors.index.json`; and
/// `model.manifest.json`. What becomes of one concerns the others.
pub(crate) struct Model {
    out: PathBuf,
    stem: String,
}

const WEIGHTS: &str = ".safetensors";

impl Model {
    /// The model whose file would be `out`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the name is none that index and manifest could hold, or a shard's.
    pub(crate) fn new(out: &Path) -> Result<Model> {
        let name = out.file_name().and_then(OsStr::to_str).unwrap_or("");
        let Some(stem) = name.strip_suffix(WEIGHTS).filter(|stem| !stem.is_empty()) else {
            let needed = "a file name in UTF-8 that ends in .safetensors";
            return Err(Error::invalid("output", out.display(), needed));
        };
        let of = |(at, _): (usize, &str)| is_shard(&name[at..]) || is_of_rank(&name[at..]);
        if stem.match_indices('-').any(of) {
            let needed = "a model's name; this is that of one of a model's shards or parts";
            return Err(Error::invalid("output", out.display(), needed));
        }
        Ok(Model { out: out.into(), stem: stem.into() })
    }

    /// The model of which `path` has the name of a file, be it any.
    pub(crate) fn of_any(path: &Path) -> Option<Model> {
        let name = path.file_name()?.to_str()?;
        let endings = name.match_indices(['-', '.']).map(|(at, _)| at);
        let ours = |at: &usize| *at > 0 && is_of_model(&name[*at..]);
        // The longest ending: a name may hold what looks like one.
        let stem = &name[..endings.filter(|at| ours(at)).min()?];
        Some(Model { out: path.with_file_name(format!("{stem}{WEIGHTS}")), stem: stem.into() })
    }

    /// The file that it would be in one.
    pub(crate) fn out(&self) -> &Path {
        &self.out
    }

    /// The manifests of ranks that are there.
    pub(crate) fn manifests_of_ranks(&self) -> Result<Vec<PathBuf>> {
        let standing = self.standing()?.into_iter();
        let of_rank =
            |path: &PathBuf| is_document(path) && is_of_rank(&file_name(path)[self.stem.len()..]);
        Ok(standing.filter(of_rank).collect())
    }

    /// The file of the model's name with this ending in place of `.safetensors`.
    pub(crate) fn file(&self, ending: &str) -> PathBuf {
        self.out.with_file_name(format!("{}{ending}", self.stem))
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.file(".manifest.json")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.file(".safetensors.index.json")
    }

    /// What a rank holds of the model.
    pub(crate) fn of_rank(&self, rank: u32, world: u32) -> PathBuf {
        self.file(&format!("-rank-{rank:05}-of-{world:05}{WEIGHTS}"))
    }

    /// The manifest of what a rank has written.
    pub(crate) fn manifest_of_rank(&self, rank: u32, world: u32) -> PathBuf {
        self.file(&format!("-rank-{rank:05}-of-{world:05}.manifest.json"))
    }

    /// Those of the model's files that are there.
    fn standing(&self) -> Result<Vec<PathBuf>> {
        let folder = folder(&self.out);
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::file("read", folder, error));
            }
            entries => entries.into_iter().flatten().flatten(),
        };
        let ours = |name: &String| {
            let rest = name.strip_prefix(&self.stem);
            rest.is_some_and(is_of_model)
        };
        let names = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut found: Vec<String> = names.filter(ours).collect();
        found.sort();
        Ok(found.into_iter().map(|name| self.out.with_file_name(name)).collect())
    }

    /// The model's files that are there, and, where one of `new` is a link, index and manifest that
    /// describe what it leads to.
    fn concerned<'a>(&self, new: impl IntoIterator<Item = &'a Path>) -> Result<Vec<PathBuf>> {
        let mut found = self.standing()?;
        for path in new {
            let place = target(path).map_err(|error| Error::file("write", path, error))?;
            if place != *path
                && let Ok(other) = Model::new(&place)
            {
                found.extend(other.standing()?.into_iter().filter(|path| is_document(path)));
            }
        }
        Ok(found)
    }

    /// What can be known beforehand of whether these files can be the model.
    ///
    /// # Errors
    /// As [`check`]'s; [`Error::Exists`] where a model of this name is there, in whatever files.
    pub(crate) fn check<'a>(
        &self,
        new: impl IntoIterator<Item = &'a Path> + Clone,
        force: bool,
    ) -> Result<()> {
        for path in new.clone() {
            check(path, force)?;
            // A pipe's bytes cannot be called back.
            if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                let needed = "a file's name; this is neither a file nor new";
                return Err(Error::invalid("output", path.display(), needed));
            }
        }
        let standing = self.concerned(new)?;
        check_free(&standing, force)?;
        standing.iter().try_for_each(|path| check(path, true))
    }

    /// Gives files that are on the disk their names, so that they replace a whole model, or nothing:
    /// index and manifest go first, then weights come, what they supersede goes, and `documents` come.
    ///
    /// # Errors
    /// [`Error::Exists`] where a name is taken and `force` is not given; nothing is placed then.
    pub(crate) fn place(
        &self,
        weights: Vec<Ready>,
        documents: Vec<Ready>,
        force: bool,
    ) -> Result<()> {
        let new: Vec<&Ready> = weights.iter().chain(&documents).collect();
        let paths: Vec<PathBuf> = new.iter().map(|ready| ready.path.clone()).collect();
        let places: Vec<PathBuf> = new.iter().map(|ready| ready.place.clone()).collect();
        let _turn =
            Turn::take(places.iter().map(|place| folder(place)).chain([folder(&self.out)]))?;
        let standing = self.concerned(paths.iter().map(PathBuf::as_path))?;
        check_free(&standing, force)?;
        for path in standing.iter().filter(|path| is_document(path)) {
            remove(path)?;
            // Where it comes again it comes through the same link.
            if !paths.contains(path) {
                let _ = std::fs::remove_file(path);
            }
        }
        sync_folders(&standing)?;

        let mut placed = Vec::new();
        let mut place = |ready: Vec<Ready>| {
            for ready in ready {
                match ready.place(force) {
                    Ok(path) => placed.push(path),
                    Err(error) => {
                        // Another program's file came in between; those that came with ours go.
                        if !force {
                            placed.iter().for_each(|path| drop(std::fs::remove_file(path)));
                        }
                        return Err(error);
                    }
                }
            }
            sync_folders(&placed)
        };
        place(weights)?;
        for path in standing.iter().filter(|path| !is_document(path) && !paths.contains(path)) {
            let removed = std::fs::remove_file(path);
            removed.map_err(|error| Error::file("remove", path, error))?;
        }
        place(documents)
    }

    /// [`Model::check`] for one of several processes that write a model together: the files that are
    /// `ours`, all of theirs, may be there, whatever they hold.
    pub(crate) fn check_own<'a>(
        &self,
        new: impl IntoIterator<Item = &'a Path>,
        force: bool,
        ours: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        // Those that are there are looked into one by one.
        new.into_iter().try_for_each(|path| check(path, true))?;
        let others: Vec<PathBuf> =
            self.standing()?.into_iter().filter(|path| !ours(path)).collect();
        check_free(&others, force)?;
        others.iter().try_for_each(|path| check(path, true))
    }

    /// [`Model::place`] for one of several processes that write a model together. Each gives names to its
    /// own files alone, so none waits for another; of what is not `ours`, where `force` is given, the
    /// first who comes removes.
    ///
    /// # Errors
    /// [`Error::Exists`] where a name of weights is taken and `force` is not given.
    pub(crate) fn place_own(
        &self,
        weights: Vec<Ready>,
        manifest: Option<Ready>,
        manifest_path: &Path,
        force: bool,
        ours: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let _own = placing();
        let others: Vec<PathBuf> =
            self.standing()?.into_iter().filter(|path| !ours(path)).collect();
        check_free(&others, force)?;
        if force {
            if manifest.is_some() {
                remove(manifest_path)?;
            }
            let (documents, superseded): (Vec<_>, Vec<_>) =
                others.iter().partition(|path| is_document(path));
            documents.into_iter().chain(superseded).try_for_each(|path| remove(path))?;
        }
        sync_folder(folder(&self.out))?;
        let mut placed = Vec::new();
        for ready in weights {
            placed.push(ready.place(force)?);
        }
        sync_folders(&placed)?;
        let placed = manifest.map(|manifest| manifest.place(true)).transpose()?;
        sync_folders(placed.as_slice())
    }

    /// Gives the index its name, whatever has it.
    pub(crate) fn place_index(&self, index: Ready) -> Result<()> {
        let _own = placing();
        sync_folders(&[index.place(true)?])
    }
}

/// # Errors
/// [`Error::Exists`] where there is one of these, and `force` is not given.
fn check_free(standing: &[PathBuf], force: bool) -> Result<()> {
    match standing.first().filter(|_| !force) {
        Some(path) => Err(Error::Exists { path: path.clone() }),
        None => Ok(()),
    }
}

/// Whether a name ends as one of a model's files, after the model's.
fn is_of_model(ending: &str) -> bool {
    matches!(ending, WEIGHTS | ".safetensors.index.json" | ".manifest.json")
        || is_shard(ending)
        || is_of_rank(ending)
}

/// Whether a name ends as what a rank has written, after the model's: `-rank-00003-of-00008.safetensors`.
fn is_of_rank(ending: &str) -> bool {
    let rest = ending.strip_prefix("-rank");
    let manifest = rest.and_then(|rest| rest.strip_suffix(".manifest.json"));
    rest.is_some_and(is_shard)
        || manifest.is_some_and(|numbers| is_shard(&format!("{numbers}{WEIGHTS}")))
}

/// Whether a name ends as a shard's does, after the model's: `-00001-of-00002.safetensors`.
fn is_shard(ending: &str) -> bool {
    let digits = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = ending.strip_prefix('-').and_then(|rest| rest.strip_suffix(WEIGHTS));
    let numbers = numbers.and_then(|numbers| numbers.split_once("-of-"));
    numbers.is_some_and(|(number, count)| digits(number) && digits(count))
}

/// Where the manifest of a model is of which `path` is a file: the whole, a shard, the index; or of the rank
/// that wrote it.
pub(crate) fn manifest_of(path: &Path) -> Option<PathBuf> {
    let model = Model::of_any(path)?;
    let name = file_name(path);
    Some(match is_of_rank(&name[model.stem.len()..]) {
        true => path.with_file_name(name.replace(WEIGHTS, ".manifest.json")),
        false => model.manifest(),
    })
}

/// Index or manifest, of a model's files.
fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "json")
}

/// [`sync_folder`] of each file's folder, once.
fn sync_folders(places: &[PathBuf]) -> Result<()> {
    let folders: BTreeSet<&Path> = places.iter().map(|place| folder(place)).collect();
    folders.into_iter().try_for_each(sync_folder)
}

/// Makes names that were given and removed in a folder last through a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    let io = rustix::io::Errno::IO.raw_os_error();
    match File::open(folder).and_then(|file| file.sync_all()) {
        Err(error) if error.raw_os_error() == Some(io) => Err(Error::file("write", folder, error)),
        // Not every file system can, and not every folder may be read.
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

/// Removes a file, symbolic links followed; that it is not there is as good.
fn remove(path: &Path) -> Result<()> {
    match target(path).and_then(std::fs::remove_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Checks that the file systems have room for `files`, each a path and its bytes.
///
/// # Errors
/// [`Error::File`] saying what is needed, and what there is.
pub(crate) fn check_room<'a>(files: impl IntoIterator<Item = (&'a Path, u64)>) -> Result<()> {
    let mut folders: Vec<(PathBuf, u64)> = Vec::new();
    for (path, bytes) in files {
        let place = target(path).map_err(|error| Error::file("write", path, error))?;
        match folders.iter_mut().find(|(known, _)| known == folder(&place)) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => folders.push((folder(&place).into(), bytes)),
        }
    }
    for (folder, needed) in folders {
        if let Some(free) = free(&folder).filter(|free| *free < needed) {
            let message = format!("{needed} bytes are needed, and {free} are free");
            let error = io::Error::new(io::ErrorKind::StorageFull, message);
            return Err(Error::file("write into", folder, error));
        }
    }
    Ok(())
}

/// The bytes that a folder's file system has for us; none where it does not say.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok().filter(|found| found.f_blocks > 0)?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

/// Where a path leads, symbolic links followed, the last of which may lead to nothing.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..40 {
        match std::fs::read_link(&place) {
            Ok(next) => place = folder(&place).join(next),
            Err(_) => return Ok(place),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The folder that a path is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent,
        _ => Path::new("."),
    }
}

/// A file in a folder, without a name; none where the system cannot.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    // By which it is linked to a name.
    if !Path::new("/proc/self/fd").is_dir() {
        return Ok(None);
    }
    let flags = rustix::fs::OFlags::TMPFILE.bits() as i32;
    // As for any new file: the umask decides.
    match File::options().read(true).write(true).mode(0o666).custom_flags(flags).open(folder) {
        Ok(file) => Ok(Some(file)),
        // What file systems and kernels without it answer.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::Unsupported) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// Gives an unnamed file a name that nothing has.
#[cfg(target_os = "linux")]
fn link(file: &File, place: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, own, CWD, place, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives an unnamed file a hidden name in a folder.
fn named(file: &File, folder: &Path) -> io::Result<TempPath> {
    let made = new_file().make_in(folder, |path| link(file, path));
    made.map(|file| file.into_temp_path()).map_err(nameless)
}

/// What went wrong with a hidden file or folder, without its name: the message around it has the one that
/// the user gave.
fn nameless(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.rsplit_once(" at path ") {
        Some((what, _)) => io::Error::new(error.kind(), what),
        None => error,
    }
}

/// Hidden names, and the permissions of any new file.
fn new_file() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Permissions, and the owner where that may be set, of the file that another replaces.
fn take_after(file: &File, before: &Metadata) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let _ = std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()));
    }
    let _ = file.set_permissions(before.permissions());
}

/// Removes from a folder what processes left there that were killed.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours =
            name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        let is_plain = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file());
        if !ours || !is_plain {
            continue;
        }
        let path = entry.path();
        // Whoever is at work on it has it locked.
        let Some(Ok(_lock)) = lock(&path) else { continue };
        let _ = match path.is_dir() {
            true => std::fs::remove_dir_all(&path),
            false => std::fs::remove_file(&path),
        };
    }
}

/// A file or folder, locked; none where it cannot be opened.
fn lock(path: &Path) -> Option<Result<File, TryLockError>> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // Whatever another has put there in the meantime: no waiting for a pipe's other end.
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.open(path).ok()?;
    Some(file.try_lock().map(|()| file))
}

/// A digest as files and messages have it.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Hidden names are ours to know.
    #[test]
    fn errors_have_no_hidden_name() {
        let nowhere = Path::new("/no/such/folder");
        let file = tempfile::tempfile().unwrap();
        let errors = [
            named(&file, nowhere).err(),
            Hidden::new(nowhere).err(),
            new_file().tempfile_in(nowhere).map_err(nameless).err(),
        ];
        for error in errors {
            let error = Error::file("create", "model.safetensors", error.unwrap()).to_string();
            assert!(error.starts_with("cannot create model.safetensors: No such file"), "{error}");
            assert!(!error.contains(PREFIX) && !error.contains(SUFFIX), "{error}");
        }
    }
}
