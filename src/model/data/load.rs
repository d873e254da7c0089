use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use crate::{Error, Result, counted};

use super::{Dataset, Generated, Targets, csv, idx, npy, safetensors};

/// What is learnt: a class, or numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Which of several classes a row belongs to.
    Classify,
    /// One or more numbers.
    Regress,
}

impl Task {
    /// Every task, by name.
    pub const NAMES: [(&'static str, Task); 2] =
        [("classify", Task::Classify), ("regress", Task::Regress)];

    /// `classify` or `regress`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, task)| *task == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::NAMES
            .into_iter()
            .find(|(name, _)| *name == text)
            .map(|(_, task)| task)
            .ok_or_else(|| Error::unknown("task", text, Self::NAMES.map(|(name, _)| name)))
    }
}

/// What [`load()`] cannot know from the source alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Where the targets are: a column of a CSV file, an array of an `.npz` or `.safetensors` file,
    /// the second file beside an `.npy` file.
    pub target: Option<String>,
    /// The task, where it is not to be guessed from the targets.
    pub task: Option<Task>,
}

/// What [`load()`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The examples; all there are, where there is no `test`.
    pub train: Dataset,
    /// The files' own test set, where they have one.
    pub test: Option<Dataset>,
    /// What is learnt.
    pub task: Task,
    /// Why it is that task, in a sentence for people.
    pub reason: String,
}

/// What a source may be, besides a generated set's name.
const FILES: [&str; 5] =
    ["FILE.csv", "FILE.npy", "FILE.npz", "FILE.safetensors", "a directory of IDX files"];

/// The examples of `source`: a generated set's name, or else a path.
///
/// | source | features | targets |
/// |---|---|---|
/// | `spirals`, `moons`, ... ([`Generated`]) | drawn from `seed` | drawn from `seed` |
/// | `.csv`, with a header | every other column | the column `target` |
/// | a directory of IDX files as MNIST's, or its file of images | `train-images-idx3-ubyte`, pixels | `train-labels-idx1-ubyte` |
/// | `.npy` | rows along the first axis | the `.npy` file `target` |
/// | `.npz`, `.safetensors` | `x`, `features`, `data` or `images` | `y`, `labels` or `target`, or what `target` names |
///
/// IDX files may be gzipped, and `t10k-...` beside them is the test set; so are `x_test` and
/// `y_test` beside the arrays `x_train` and `y_train`. Bytes are taken as pixels and divided by 255;
/// other numbers stay as exact as the source has them ([`Numbers`](super::Numbers)), within f64's range.
/// What a compressed file holds may come to 64 MiB, or to 20 bytes for each of the file's,
/// where that is more.
///
/// Where `options` leave the task open, text is classified, and so are whole numbers with at most
/// 20 distinct values that come twice or more on average; other numbers are regressed. Classes are
/// the distinct values in ascending order.
///
/// # Errors
/// [`Error::Unknown`] where `source` is neither; [`Error::File`] where a file cannot be read;
/// [`Error::Invalid`], naming the file and the place, where its content will not do.
pub fn load(source: &str, options: &LoadOptions, seed: u64) -> Result<Loaded> {
    if let Ok(generated) = source.parse::<Generated>() {
        return from_generator(generated, options, seed);
    }
    let path = Path::new(source);
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        _ if path.is_dir() => idx::load_directory(path, options),
        Some("csv") => csv::load(path, options),
        Some("npy") => npy::load(path, options),
        Some("npz") => npy::load_archive(path, options),
        Some("safetensors") => safetensors::load(path, options),
        _ if idx::is_images(path) => idx::load_images(path, options),
        _ => {
            let known = Generated::NAMES.into_iter().map(|(name, _)| name).chain(FILES);
            Err(Error::unknown("data set", source, known))
        }
    }
}

fn from_generator(generated: Generated, options: &LoadOptions, seed: u64) -> Result<Loaded> {
    no_target(&format!("the generated set `{generated}`"), options)?;
    let train = generated.generate(seed, None)?;
    let (task, holds) = match &train.targets {
        Targets::Classes { names, .. } => (Task::Classify, counted(names.len(), "class")),
        Targets::Values { .. } => (Task::Regress, "values".into()),
    };
    let reason = format!("the generated set `{generated}` has {holds}");
    match options.task {
        Some(other) if other != task => {
            Err(Error::invalid("task", other, format!("{task}: {reason}")))
        }
        _ => Ok(Loaded { train, test: None, task, reason }),
    }
}

/// Refuses a target where there is no choice of one.
pub(super) fn no_target(kind: &str, options: &LoadOptions) -> Result<()> {
    match &options.target {
        None => Ok(()),
        Some(target) => {
            Err(Error::invalid("target", target, format!("none: {kind} has its own targets")))
        }
    }
}

/// An open file, and its length.
pub(super) fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |source| Error::file("open", path, source);
    // Before it is opened: opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::invalid(path.display().to_string(), "no regular file", "a file"));
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

/// All of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let (mut file, _) = open(path)?;
    let mut bytes = Vec::new();
    let read = file.read_to_end(&mut bytes);
    read.map_err(|source| Error::file("read", path, source))?;
    Ok(bytes)
}

/// What data that were packed may come to, whatever the file holds.
const MOST_UNPACKED: u64 = 64 << 20;

/// Bytes that a byte of a larger file may unpack to. Pixels come to 5 or 10, deflated zeros to a
/// thousand, and each byte takes some ten times its room while it becomes an example.
const MOST_RATIO: u64 = 20;

/// The elements of an array, of a file of `packed` bytes: the `length` bytes that `shape` takes; or what
/// there was, and what was needed.
///
/// The buffer grows by what is there, whatever the header claims, and up to what a small file may
/// reasonably hold: else one of a few megabytes could take all memory.
pub(super) fn read_data(
    reader: impl Read,
    length: u64,
    packed: u64,
    shape: &str,
) -> io::Result<Result<Vec<u8>, (String, String)>> {
    let most = packed.saturating_mul(MOST_RATIO).max(MOST_UNPACKED);
    let mut bytes = Vec::new();
    // One more than there should be, to see what is too much.
    reader.take(length.min(most).saturating_add(1)).read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    if read == length {
        return Ok(Ok(bytes));
    }
    let (given, needed) = match read > length {
        true => (format!("more than {length} bytes"), None),
        false if read > most => {
            let needed = format!(
                "at most {most} ({MOST_UNPACKED}, or {MOST_RATIO} for each byte of the file); more, \
                 where it is stored without compression"
            );
            (format!("more than {most} bytes in a file of {packed}"), Some(needed))
        }
        false => (format!("{read} bytes"), None),
    };
    Ok(Err((given, needed.unwrap_or_else(|| format!("{length} bytes for {shape}")))))
}

/// What people call the set of a file.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_stem().or_else(|| path.components().next_back().map(|c| c.as_os_str()));
    name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// An error about a place in a file.
pub(super) fn wrong(
    path: &Path,
    what: impl fmt::Display,
    given: impl fmt::Display,
    needed: impl Into<String>,
) -> Error {
    Error::invalid(format!("{}: {what}", path.display()), given, needed)
}
