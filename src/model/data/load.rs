use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use crate::{Error, Result, counted};

use super::{
    Dataset, Generated, Missing, Numbers, Preparation, Targets, array, csv, idx, npy, safetensors,
};

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
///
/// Of the columns of a CSV file all but the targets are features, unless `columns` or `drop` say otherwise,
/// and each is to be of numbers, unless `one_hot` names it. A name that no column of the file has may be
/// several with commas between them, quoted as in CSV.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Where the targets are: a column of a CSV file, or several of numbers; an array of an `.npz` or
    /// `.safetensors` file; the second file beside an `.npy` file.
    pub targets: Vec<String>,
    /// The task, where it is not to be guessed from the targets.
    pub task: Option<Task>,
    /// What parts the cells of a CSV file; for none, what parts its first rows most evenly of `,`, `;`,
    /// tabs and `|`.
    pub separator: Option<char>,
    /// `.` or `,` before the decimals in a CSV file; for none, a comma where cells are not parted by
    /// commas, some numbers have one that parts no thousands, and none has a point.
    pub decimal: Option<char>,
    /// The columns that are features; all but the targets where none is named. They stay in the file's order.
    pub columns: Vec<String>,
    /// Columns that are left out.
    pub drop: Vec<String>,
    /// Columns whose cells are categories, at most 1000, by their text: each becomes a number that is 1
    /// where a cell is of it and 0 elsewhere. Categories are in ascending order.
    pub one_hot: Vec<String>,
    /// What becomes of missing values: NaN in arrays; in a CSV file an empty cell, `NA`, `N/A`, `n/a`,
    /// `#N/A`, `NaN`, `nan`, `null`, `NULL` and `?`. What fills them is settled by the training rows, once
    /// these are known: [`Preparation::fill_by`].
    pub missing: Missing,
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
    /// What the columns became. Fills and scales are yet to be settled.
    pub preparation: Preparation,
    /// What else was seen and done, in sentences for people: a separator, rows that were left out.
    pub notes: Vec<String>,
}

/// Rows of a source, for a network that is trained: [`rows()`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What the source is called.
    pub name: String,
    /// Row by row, as many a row as [`Preparation::width`]: in the units of the source, categories as
    /// ones and zeros. NaN where a value is missing and is yet to be filled.
    pub features: Numbers,
    /// What was to be predicted, where the source has it.
    pub targets: Option<Targets>,
    /// The columns of [`RowsOptions::keep`], cell by cell, as they stand in the file.
    pub kept: Vec<(String, Vec<String>)>,
    /// What else was seen, in sentences for people.
    pub notes: Vec<String>,
}

/// How [`rows()`] reads a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsOptions {
    /// Where the targets are, where that needs saying: the second file beside an `.npy` file, an array.
    pub target: Option<String>,
    /// Leaves the targets out, if there are any.
    pub without_targets: bool,
    /// [`LoadOptions::separator`].
    pub separator: Option<char>,
    /// [`LoadOptions::decimal`].
    pub decimal: Option<char>,
    /// Columns of a CSV file to hand on beside the features, such as one that names the rows.
    pub keep: Vec<String>,
}

/// What a source may be, besides a generated set's name.
const FILES: [&str; 5] =
    ["FILE.csv", "FILE.npy", "FILE.npz", "FILE.safetensors", "a directory of IDX files"];

/// Formats that people have data in, and what makes a file of one that is read.
const OTHERS: [(&[&str], &str); 6] = [
    (&["parquet", "pq"], "pandas' read_parquet(...).to_csv(..., index=False) makes a .csv"),
    (&["feather", "arrow"], "pandas' read_feather(...).to_csv(..., index=False) makes a .csv"),
    (&["xlsx", "xls", "ods"], "the spreadsheet program saves its table as .csv"),
    (&["json", "jsonl", "ndjson"], "pandas' read_json(...).to_csv(..., index=False) makes a .csv"),
    (
        &["pt", "pth", "pkl", "pickle", "h5", "hdf5", "mat", "tfrecord", "joblib"],
        "numpy.savez(FILE, x=features, y=targets) makes an .npz of its arrays",
    ),
    (
        &["gz", "zip", "bz2", "xz", "zst", "tar", "tgz", "7z", "rar"],
        "what is packed in it may be one",
    ),
];

/// The endings of tables of text.
const TABLES: [&str; 4] = ["csv", "tsv", "tab", "txt"];

/// What a source is.
enum Source<'a> {
    Generated(Generated),
    Table(&'a Path),
    Array(&'a Path),
    Archive(&'a Path),
    Tensors(&'a Path),
    Images(&'a Path),
    Directory(&'a Path),
}

impl Source<'_> {
    fn of(source: &str) -> Result<Source<'_>> {
        if let Ok(generated) = source.parse::<Generated>() {
            return Ok(Source::Generated(generated));
        }
        let path = Path::new(source);
        let extension = path.extension().map(|own| own.to_string_lossy().to_lowercase());
        Ok(match extension.as_deref() {
            _ if path.is_dir() => Source::Directory(path),
            Some(own) if TABLES.contains(&own) => Source::Table(path),
            Some("npy") => Source::Array(path),
            Some("npz") => Source::Archive(path),
            Some("safetensors") => Source::Tensors(path),
            _ if idx::is_images(path) => Source::Images(path),
            own => {
                let other =
                    OTHERS.iter().find(|(all, _)| own.is_some_and(|own| all.contains(&own)));
                let known = "one of .csv, .npy, .npz, .safetensors, or a directory of IDX files";
                let (given, needed) = match (own, other) {
                    (Some(own), Some((_, how))) => (format!("`.{own}`"), format!("{known}; {how}")),
                    (own, None) if path.is_file() => {
                        let ending = own.map_or("no ending".into(), |own| format!("`.{own}`"));
                        (ending, known.to_owned())
                    }
                    // What is written as a path is one.
                    _ if source.contains(['/', '\\']) => {
                        let error = std::io::ErrorKind::NotFound.into();
                        return Err(Error::file("open", path, error));
                    }
                    _ => {
                        let known = Generated::NAMES.into_iter().map(|(name, _)| name).chain(FILES);
                        return Err(Error::unknown("data set", source, known));
                    }
                };
                let given = format!("{given}, not a format of data that is read");
                return Err(wrong(path, "format", given, needed));
            }
        })
    }
}

/// The examples of `source`: a generated set's name, or else a path.
///
/// | source | features | targets |
/// |---|---|---|
/// | `spirals`, `moons`, ... ([`Generated`]) | drawn from `seed` | drawn from `seed` |
/// | `.csv`, `.tsv`, `.txt`, with a header | every other column, or as [`LoadOptions`] say | the columns `targets` |
/// | a directory of IDX files as MNIST's, or its file of images | `train-images-idx3-ubyte`, pixels | `train-labels-idx1-ubyte` |
/// | `.npy` | rows along the first axis | the `.npy` file `targets` |
/// | `.npz`, `.safetensors` | `x`, `features`, `data` or `images` | `y`, `labels` or `target`, or what `targets` names |
///
/// IDX files may be gzipped, and `t10k-...` beside them is the test set; so are `x_test` and
/// `y_test` beside the arrays `x_train` and `y_train`. They are found under the names that MNIST's own page,
/// Kaggle (`train-images.idx3-ubyte`, each file in a folder of its name) and EMNIST
/// (`emnist-letters-train-images-idx3-ubyte`) have for them, in the directory or, where it has none itself,
/// up to three below it, as torchvision's `MNIST/raw` is. Of several sets one is to be named by its file of
/// images. Bytes are taken as pixels and divided by 255;
/// other numbers stay as exact as the source has them ([`Numbers`](super::Numbers)), within f64's range.
/// What a compressed file holds may come to 64 MiB, or to 20 bytes for each of the file's,
/// where that is more.
///
/// Where `options` leave the task open, text is classified, and so are whole numbers with at most
/// 20 distinct values that come twice or more on average; other numbers are regressed, and so are several
/// targets. Classes are the distinct values in ascending order.
///
/// # Errors
/// [`Error::Unknown`] where `source` is neither, or has no such column; [`Error::File`] where a file cannot
/// be read; [`Error::Invalid`], naming the file and the place, where its content will not do.
pub fn load(source: &str, options: &LoadOptions, seed: u64) -> Result<Loaded> {
    let read = Source::of(source)?;
    if !matches!(read, Source::Table(_)) {
        no_columns(source, options)?;
    }
    match read {
        Source::Generated(generated) => from_generator(generated, options, seed),
        Source::Table(path) => csv::load(path, options),
        Source::Array(path) => npy::load(path, options),
        Source::Archive(path) => npy::load_archive(path, options),
        Source::Tensors(path) => safetensors::load(path, options),
        Source::Images(path) => idx::load_images(path, options),
        Source::Directory(path) => idx::load_directory(path, options),
    }
}

/// The rows of `source`, all of them and in their order, as the network takes them that `by` goes with:
/// columns of a CSV file by their names, whatever else there is beside them; numbers of other sources by
/// their place. Of files with a training and a test set it is the training set; `seed` is that of generated
/// sets.
///
/// Missing values are let through where `by` has something to fill them with, and refused elsewhere.
///
/// # Errors
/// As [`load()`]; where a column is not there, a row has another number of features, or a category or a class
/// is none that was trained with.
pub fn rows(source: &str, by: &Preparation, options: &RowsOptions, seed: u64) -> Result<Rows> {
    let read = Source::of(source)?;
    if !matches!(read, Source::Table(_)) {
        let of_tables = LoadOptions {
            separator: options.separator,
            decimal: options.decimal,
            columns: options.keep.clone(),
            ..LoadOptions::default()
        };
        no_columns(source, &of_tables)?;
    }
    match read {
        Source::Generated(generated) => {
            let set = generated.generate(seed, None)?;
            let targets = (!options.without_targets).then_some(set.targets);
            array::rows_of(set.name, set.features, set.feature_names.len(), targets, by)
        }
        Source::Table(path) => csv::rows(path, by, options),
        Source::Array(path) => npy::rows(path, by, options),
        Source::Archive(path) => npy::rows_of_archive(path, by, options),
        Source::Tensors(path) => safetensors::rows(path, by, options),
        Source::Images(path) => idx::rows_of_images(path, by, options),
        Source::Directory(path) => idx::rows_of_directory(path, by, options),
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
        _ => {
            let preparation = Preparation { missing: options.missing, ..Preparation::of(&train) };
            Ok(Loaded { train, test: None, task, reason, preparation, notes: Vec::new() })
        }
    }
}

/// Refuses a target where there is no choice of one.
pub(super) fn no_target(kind: &str, options: &LoadOptions) -> Result<()> {
    match options.targets.first() {
        None => Ok(()),
        Some(target) => {
            Err(Error::invalid("target", target, format!("none: {kind} has its own targets")))
        }
    }
}

/// The one target that arrays have.
pub(super) fn one_target<'a>(path: &Path, options: &'a LoadOptions) -> Result<Option<&'a str>> {
    match &options.targets[..] {
        [] => Ok(None),
        [target] => Ok(Some(target)),
        targets => {
            let given = targets.join(", ");
            Err(wrong(path, "target", given, "one array, which may have several columns"))
        }
    }
}

/// Refuses what only a table has a use for.
fn no_columns(source: &str, options: &LoadOptions) -> Result<()> {
    let first = |names: &[String]| names.first().cloned();
    let given = [
        ("separator", options.separator.map(String::from)),
        ("decimal mark", options.decimal.map(String::from)),
        ("columns", first(&options.columns)),
        ("columns to drop", first(&options.drop)),
        ("one-hot columns", first(&options.one_hot)),
    ];
    match given.into_iter().find_map(|(what, given)| Some((what, given?))) {
        None => Ok(()),
        Some((what, given)) => {
            let needed = format!("none: {source} is no CSV file");
            Err(Error::invalid(what, format!("`{given}`"), needed))
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
