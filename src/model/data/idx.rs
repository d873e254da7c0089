//! IDX, the format of MNIST: a magic number, the dimensions, then bytes; gzipped or not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result, counted};

use super::array::{self, Array, Values, examples};
use super::load::{no_target, open, read_data, wrong};
use super::{LoadOptions, Loaded, Preparation, Rows, RowsOptions, Task};

/// Between the number of dimensions and the name's first part people write either.
const JOINTS: [&str; 2] = ["-", "."];

/// Files of images and labels, whose names tell them apart, and how many dimensions they have.
const KINDS: [(&str, u8); 2] = [("images", 3), ("labels", 1)];
const IMAGES: usize = 0;
const LABELS: usize = 1;

/// Directories below the one that was given in which files are looked for: `MNIST/raw` and a folder of each
/// file's name.
const DEEPEST: usize = 3;

/// Entries of directories that are looked at.
const MOST_ENTRIES: usize = 100_000;

/// What a file's name says of it.
struct Name {
    /// `emnist-letters`; empty for MNIST's own files.
    set: String,
    /// Which of [`PARTS`].
    part: usize,
    /// Which of [`KINDS`].
    kind: usize,
}

/// The training and the test set, and what people call them.
const PARTS: [&[&str]; 2] = [&["train"], &["t10k", "test"]];

impl Name {
    fn of(path: &Path) -> Option<Name> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let (kind, prefix) = KINDS.iter().enumerate().find_map(|(at, (kind, dims))| {
            let ends = JOINTS.map(|joint| format!("-{kind}{joint}idx{dims}-ubyte"));
            Some((at, ends.iter().find_map(|end| name.strip_suffix(end.as_str()))?))
        })?;
        let parts = PARTS.iter().enumerate();
        let mut parts = parts.flat_map(|(part, names)| names.iter().map(move |name| (part, *name)));
        let found = parts.find_map(|(part, name)| {
            let set = prefix.strip_suffix(name)?;
            let set = if set.is_empty() { Some(set) } else { set.strip_suffix('-') };
            Some((part, set?))
        });
        let (part, set) = found.unwrap_or((0, prefix));
        Some(Name { set: set.into(), part, kind })
    }
}

/// Whether a file's name is that of a file of images.
pub(super) fn is_images(path: &Path) -> bool {
    Name::of(path).is_some_and(|name| name.kind == IMAGES)
}

/// The files of a set: of each of [`PARTS`], of each of [`KINDS`].
#[derive(Default)]
struct Set {
    folder: PathBuf,
    name: String,
    files: [[Option<PathBuf>; 2]; 2],
}

impl Set {
    fn missing(&self, part: usize, kind: usize) -> Error {
        let joint = if self.name.is_empty() { "" } else { "-" };
        let test = if self.name.is_empty() { "t10k" } else { "test" };
        let part = ["train", test][part];
        let (kind, dims) = KINDS[kind];
        let needed =
            format!("{}{joint}{part}-{kind}-idx{dims}-ubyte, or the same with .gz", self.name);
        wrong(&self.folder, format!("file of {kind}"), "none", needed)
    }

    fn file(&self, part: usize, kind: usize) -> Result<&Path> {
        self.files[part][kind].as_deref().ok_or_else(|| self.missing(part, kind))
    }

    /// Both files of a part.
    fn pair(&self, part: usize) -> Result<(Array, Array)> {
        let (images, labels) = (self.file(part, IMAGES)?, self.file(part, LABELS)?);
        Ok((read_array(images, IMAGES)?, read_array(labels, LABELS)?))
    }
}

/// The folder that a file of this path stands for: Kaggle has each in a folder of its own name.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(path);
    match Name::of(folder) {
        Some(_) => folder.parent().unwrap_or(folder),
        None => folder,
    }
}

/// The sets in a directory; where it has none, those below it.
fn sets(directory: &Path) -> Result<Vec<Set>> {
    let mut sets: BTreeMap<(PathBuf, String), Set> = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    let mut entries = 0;
    for depth in 0..=DEEPEST {
        let mut next = Vec::new();
        for folder in folders {
            let failed = |source| Error::file("read", &folder, source);
            let listed = match fs::read_dir(&folder) {
                Ok(listed) => listed,
                // What was not asked for by name may be closed.
                Err(_) if depth > 0 => continue,
                Err(error) => return Err(failed(error)),
            };
            let mut paths = Vec::new();
            for entry in listed {
                entries += 1;
                if entries > MOST_ENTRIES {
                    break;
                }
                paths.push(entry.map_err(failed)?.path());
            }
            // An unpacked file comes before its `.gz`, here and on every system.
            paths.sort_unstable();
            for path in paths {
                if path.is_dir() {
                    next.push(path);
                    continue;
                }
                let Some(Name { set, part, kind }) = Name::of(&path).filter(|_| path.is_file())
                else {
                    continue;
                };
                let folder = folder_of(&path).to_owned();
                let own = sets.entry((folder.clone(), set.clone())).or_default();
                (own.folder, own.name) = (folder, set);
                own.files[part][kind].get_or_insert(path);
            }
        }
        folders = next;
    }
    let within = sets.values().any(|set| set.folder == directory);
    Ok(sets.into_values().filter(|set| !within || set.folder == directory).collect())
}

/// The set of a directory.
fn set_of_directory(path: &Path) -> Result<Set> {
    // One file's own folder.
    let directory = match Name::of(path) {
        Some(_) => {
            path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
        }
        None => path,
    };
    let mut sets = sets(directory)?;
    match sets.len() {
        0 => Err(Set { folder: path.into(), ..Set::default() }.missing(0, IMAGES)),
        1 => Ok(sets.swap_remove(0)),
        _ => {
            let images =
                sets.iter().filter_map(|set| set.files.iter().find_map(|own| own[IMAGES].as_ref()));
            let all: Vec<String> = images.map(|path| path.display().to_string()).collect();
            let needed = format!("one, by its file of images: {}", all.join(", "));
            Err(wrong(path, "sets of IDX files", sets.len(), needed))
        }
    }
}

/// The set of a file of images, and which part of it that is.
fn set_of_images(path: &Path) -> Result<(Set, usize)> {
    // An error, not a guess, where the file that was named is not there.
    open(path)?;
    let folder = match folder_of(path) {
        folder if folder == Path::new("") => Path::new("."),
        folder => folder,
    };
    let Some(Name { set, part, .. }) = Name::of(path) else {
        return Err(wrong(path, "name", "none of a file of images", "train-images-idx3-ubyte"));
    };
    let found = sets(folder)?.into_iter().find(|own| own.name == set && own.folder == folder);
    let mut found = found.unwrap_or(Set { folder: folder.into(), name: set, ..Set::default() });
    found.files[part][IMAGES] = Some(path.into());
    Ok((found, part))
}

/// The sets of a directory: `train-...`, and `t10k-...` where it is there.
pub(super) fn load_directory(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    load_set(path, &set_of_directory(path)?, 0, options)
}

/// The set of a file of images: with the labels, and the test set, beside it.
pub(super) fn load_images(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let (set, part) = set_of_images(path)?;
    load_set(path, &set, part, options)
}

fn load_set(source: &Path, set: &Set, part: usize, options: &LoadOptions) -> Result<Loaded> {
    no_target("a directory of IDX files", options)?;
    let train = set.pair(part)?;
    let test = match (part, &set.files[1]) {
        (0, [None, None]) | (1.., _) => None,
        _ => Some(set.pair(1)?),
    };
    // What the files are for is no guess.
    let task = options.task.or(Some(Task::Classify));
    let settled = LoadOptions { task, missing: options.missing, ..LoadOptions::default() };
    let mut loaded = examples(source, train, test, &settled)?;
    if options.task.is_none() {
        loaded.reason = "a file of labels comes with the images".into();
    }
    Ok(loaded)
}

/// The images of a directory, of its training set where it has one.
pub(super) fn rows_of_directory(
    path: &Path,
    by: &Preparation,
    options: &RowsOptions,
) -> Result<Rows> {
    let set = set_of_directory(path)?;
    let part = usize::from(set.files[0][IMAGES].is_none());
    rows_of_set(path, &set, part, by, options)
}

/// The images of a file, and their labels where these are beside it.
pub(super) fn rows_of_images(path: &Path, by: &Preparation, options: &RowsOptions) -> Result<Rows> {
    let (set, part) = set_of_images(path)?;
    rows_of_set(path, &set, part, by, options)
}

fn rows_of_set(
    source: &Path,
    set: &Set,
    part: usize,
    by: &Preparation,
    options: &RowsOptions,
) -> Result<Rows> {
    let images = read_array(set.file(part, IMAGES)?, IMAGES)?;
    let labels = set.files[part][LABELS].as_deref().filter(|_| !options.without_targets);
    let labels = labels.map(|path| read_array(path, LABELS)).transpose()?;
    array::rows(source, &images, labels, by)
}

/// The array of a file.
fn read_array(path: &Path, kind: usize) -> Result<Array> {
    let dims = KINDS[kind].1;
    let (mut reader, packed) = unzipped(path)?;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            wrong(path, "content", format!("an early end or damage ({source})"), "a whole IDX file")
        }
        _ => Error::file("read", path, source),
    };
    let number = |reader: &mut Unzipped| {
        let mut bytes = [0; 4];
        reader.read_exact(&mut bytes).map_err(failed)?;
        Ok::<u32, Error>(u32::from_be_bytes(bytes))
    };
    // Type 8 is u8.
    let magic = 0x0800 | u32::from(dims);
    let found = number(&mut reader)?;
    if found != magic {
        let needed = format!("{magic:#010x}, bytes in {}", counted(dims, "dimension"));
        return Err(wrong(path, "magic number", format!("{found:#010x}"), needed));
    }
    let mut shape = Vec::new();
    for _ in 0..dims {
        shape.push(number(&mut reader)? as usize);
    }
    let length = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let length = length.filter(|&length| length < u64::MAX).ok_or_else(|| {
        wrong(path, "dimensions", format!("{shape:?}"), "less than 2^64 bytes in all")
    })?;
    let data = read_data(reader, length, packed, &format!("the dimensions {shape:?}"));
    let bytes = data.map_err(failed)?;
    let bytes = bytes.map_err(|(given, needed)| wrong(path, "data", given, needed))?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    Ok(Array { name, shape, values: Values::Bytes(bytes) })
}

type Whole = Chain<Cursor<Vec<u8>>, BufReader<File>>;

/// A file's content, whether it is gzipped or not: its first two bytes say so, not its name.
enum Unzipped {
    Plain(Whole),
    Gzip(Box<MultiGzDecoder<Whole>>),
}

impl Read for Unzipped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Unzipped::Plain(reader) => reader.read(buffer),
            Unzipped::Gzip(reader) => reader.read(buffer),
        }
    }
}

/// That, and the length of the file as it is.
fn unzipped(path: &Path) -> Result<(Unzipped, u64)> {
    let (file, length) = open(path)?;
    let mut reader = BufReader::new(file);
    let mut start = Vec::new();
    let read = reader.by_ref().take(2).read_to_end(&mut start);
    read.map_err(|source| Error::file("read", path, source))?;
    let gzipped = start == [0x1F, 0x8B];
    let whole = Cursor::new(start).chain(reader);
    let unzipped = match gzipped {
        true => Unzipped::Gzip(Box::new(MultiGzDecoder::new(whole))),
        false => Unzipped::Plain(whole),
    };
    Ok((unzipped, length))
}
