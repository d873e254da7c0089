//! IDX, the format of MNIST: a magic number, the dimensions, then bytes; gzipped or not.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result, counted};

use super::array::{Array, Values, examples};
use super::load::{no_target, open, read_data, wrong};
use super::{LoadOptions, Loaded, Task};

/// Between the number of dimensions and the name's first part people write either.
const JOINTS: [&str; 2] = ["-", "."];

/// Files of images and labels, whose names tell them apart.
const IMAGES: (&str, u8) = ("images", 3);
const LABELS: (&str, u8) = ("labels", 1);

/// Whether a file's name is that of a file of images.
pub(super) fn is_images(path: &Path) -> bool {
    prefix(path).is_some()
}

/// `train` for `train-images-idx3-ubyte.gz`.
fn prefix(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    JOINTS.iter().find_map(|joint| {
        name.strip_suffix(&format!("-images{joint}idx3-ubyte")).map(str::to_string)
    })
}

/// The sets of a directory: `train-...`, and `t10k-...` where it is there.
pub(super) fn load_directory(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    load_set(path, path, "train", options)
}

/// The set of a file of images: with the labels, and the test set, beside it.
pub(super) fn load_images(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    // An error, not a guess, where the file that was named is not there.
    open(path)?;
    let prefix = prefix(path).unwrap_or_default();
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    load_set(path, directory, &prefix, options)
}

fn load_set(
    source: &Path,
    directory: &Path,
    prefix: &str,
    options: &LoadOptions,
) -> Result<Loaded> {
    no_target("a directory of IDX files", options)?;
    let needed =
        |kind| find(directory, prefix, kind).ok_or_else(|| missing(directory, prefix, kind));
    let (images, labels) = (needed(IMAGES)?, needed(LABELS)?);
    let test = match (prefix, find(directory, "t10k", IMAGES), find(directory, "t10k", LABELS)) {
        ("train", Some(images), Some(labels)) => Some((images, labels)),
        ("train", Some(_), None) => return Err(missing(directory, "t10k", LABELS)),
        ("train", None, Some(_)) => return Err(missing(directory, "t10k", IMAGES)),
        _ => None,
    };
    let pair = |(images, labels): (PathBuf, PathBuf)| {
        Ok::<_, Error>((array(&images, IMAGES)?, array(&labels, LABELS)?))
    };
    let train = pair((images, labels))?;
    // What the files are for is no guess.
    let settled =
        LoadOptions { task: options.task.or(Some(Task::Classify)), ..LoadOptions::default() };
    let mut loaded = examples(source, train, test.map(pair).transpose()?, &settled)?;
    if options.task.is_none() {
        loaded.reason = "a file of labels comes with the images".into();
    }
    Ok(loaded)
}

/// The file of a kind, under any of its names.
fn find(directory: &Path, prefix: &str, (kind, dims): (&str, u8)) -> Option<PathBuf> {
    let names = JOINTS.iter().flat_map(|joint| {
        ["", ".gz"].map(|end| format!("{prefix}-{kind}{joint}idx{dims}-ubyte{end}"))
    });
    names.map(|name| directory.join(name)).find(|path| path.is_file())
}

fn missing(directory: &Path, prefix: &str, (kind, dims): (&str, u8)) -> Error {
    let needed = format!("{prefix}-{kind}-idx{dims}-ubyte, or the same with .gz");
    wrong(directory, format!("file of {kind}"), "none", needed)
}

/// The array of a file.
fn array(path: &Path, (_, dims): (&str, u8)) -> Result<Array> {
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
