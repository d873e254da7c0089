//! NumPy's `.npy`, one array a file, and `.npz`, a zip archive of them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::random::f32_from_f16;
use crate::{Error, Result};

use super::array::{self, Array, MAX_DIMS, Values, choose, choose_rows, examples};
use super::load::{one_target, open, read_data, wrong};
use super::{LoadOptions, Loaded, Preparation, Rows, RowsOptions};

/// NumPy itself reads no longer header unless told to.
const MAX_HEADER: usize = 10_000;

const DTYPES: &str = "plain numbers: bool, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8";

/// The features in one file, and the targets in the one that the options name.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let Some(target) = one_target(path, options)? else {
        let needed = "the .npy file of the targets";
        return Err(wrong(path, "target", "none", needed));
    };
    let (x, y) = (one(path)?, one(Path::new(target))?);
    examples(path, (x, y), None, options)
}

/// The features in one file, and the targets in another, if there is one.
pub(super) fn rows(path: &Path, by: &Preparation, options: &RowsOptions) -> Result<Rows> {
    let y = options.target.as_deref().map(|target| one(Path::new(target))).transpose()?;
    array::rows(path, &one(path)?, y, by)
}

/// The array of a file.
fn one(path: &Path) -> Result<Array> {
    let (file, length) = open(path)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    read_array(path, name, BufReader::new(file), length)
}

/// Features and targets, by their names in the archive.
pub(super) fn load_archive(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let mut archive = Archive::open(path)?;
    let choice = choose(path, &archive.names()?, one_target(path, options)?)?;
    let mut pair =
        |(x, y): (String, String)| Ok::<_, Error>((archive.member(x)?, archive.member(y)?));
    let train = pair(choice.train)?;
    let test = choice.test.map(pair).transpose()?;
    examples(path, train, test, options)
}

/// Features, and targets where there are some, by their names in the archive.
pub(super) fn rows_of_archive(
    path: &Path,
    by: &Preparation,
    options: &RowsOptions,
) -> Result<Rows> {
    let mut archive = Archive::open(path)?;
    let (x, y) = choose_rows(path, &archive.names()?, options.target.as_deref())?;
    let y = y.filter(|_| !options.without_targets).map(|y| archive.member(y)).transpose()?;
    array::rows(path, &archive.member(x)?, y, by)
}

struct Archive<'a> {
    path: &'a Path,
    zip: ZipArchive<BufReader<File>>,
    /// The length of the file.
    length: u64,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let (file, length) = open(path)?;
        let zip = ZipArchive::new(BufReader::new(file));
        Ok(Archive { path, zip: zip.map_err(|error| zipped(path, "archive", error))?, length })
    }

    fn names(&self) -> Result<Vec<String>> {
        let files = self.zip.file_names().collect::<Result<Vec<_>, _>>();
        let files = files.map_err(|error| zipped(self.path, "archive", error))?;
        let names = files.iter().filter_map(|file| file.strip_suffix(".npy"));
        Ok(names.map(str::to_string).collect())
    }

    fn member(&mut self, name: String) -> Result<Array> {
        let file = self.zip.by_name(&format!("{name}.npy"));
        let file = file.map_err(|error| zipped(self.path, &format!("`{name}`"), error))?;
        read_array(self.path, name, file, self.length)
    }
}

fn zipped(path: &Path, what: &str, error: ZipError) -> Error {
    match error {
        ZipError::Io(source) if source.raw_os_error().is_some() => {
            Error::file("read", path, source)
        }
        error => wrong(path, what, error, "a whole zip archive, stored or deflated"),
    }
}

/// Reads one array: its header, then exactly the data that this tells of.
/// `packed` is the length of the file.
fn read_array(path: &Path, name: String, mut reader: impl Read, packed: u64) -> Result<Array> {
    let what = |part: &str| format!("`{name}`, {part}");
    let bad = |part: &str, given: String, needed: &str| wrong(path, what(part), given, needed);
    let failed = |source: std::io::Error| match source.raw_os_error() {
        Some(_) => Error::file("read", path, source),
        None => bad("content", format!("an early end or damage ({source})"), "a whole NPY array"),
    };

    let text = header(&mut reader, &bad, &failed)?;
    let wrong = |given: String| {
        bad("header", given, "one as NumPy writes it, of an array of plain numbers")
    };
    let shape = shape(&text).map_err(wrong)?;
    let fortran = fortran_order(&text).map_err(wrong)?;
    let descr = value(&text, "'descr'").map_err(wrong)?;
    let Some(Element { kind, size, big }) = Element::parse(descr) else {
        let quoted = descr.strip_prefix('\'').and_then(|descr| descr.split_once('\''));
        let given = quoted.map_or("a structured type".into(), |(descr, _)| format!("'{descr}'"));
        return Err(bad("dtype", given, DTYPES));
    };

    let count = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let length = count.and_then(|count| count.checked_mul(size.into()));
    let length = length.filter(|&length| length < u64::MAX);
    let length =
        length.ok_or_else(|| bad("shape", format!("{shape:?}"), "less than 2^64 bytes in all"))?;
    let data = read_data(reader, length, packed, &format!("the shape {shape:?}"));
    let bytes = data.map_err(failed)?.map_err(|(given, needed)| bad("data", given, &needed))?;

    let values = match (kind, size) {
        ('u', 1) => Values::Bytes(bytes),
        ('b', _) => Values::Integers(bytes.iter().map(|&byte| i64::from(byte != 0)).collect()),
        ('i', 1) => Values::Integers(elements(&bytes, big, |n| i8::from_le_bytes(n).into())),
        ('i', 2) => Values::Integers(elements(&bytes, big, |n| i16::from_le_bytes(n).into())),
        ('i', 4) => Values::Integers(elements(&bytes, big, |n| i32::from_le_bytes(n).into())),
        ('i', _) => Values::Integers(elements(&bytes, big, i64::from_le_bytes)),
        ('u', 2) => Values::Integers(elements(&bytes, big, |n| u16::from_le_bytes(n).into())),
        ('u', 4) => Values::Integers(elements(&bytes, big, |n| u32::from_le_bytes(n).into())),
        ('u', _) => Values::unsigned(elements(&bytes, big, u64::from_le_bytes)),
        (_, 2) => {
            Values::Floats(elements(&bytes, big, |x| f32_from_f16(u16::from_le_bytes(x)).into()))
        }
        (_, 4) => Values::Floats(elements(&bytes, big, |x| f32::from_le_bytes(x).into())),
        _ => Values::Floats(elements(&bytes, big, f64::from_le_bytes)),
    };
    let values = match values {
        values if !fortran => values,
        Values::Bytes(values) => Values::Bytes(row_major(&values, &shape)),
        Values::Integers(values) => Values::Integers(row_major(&values, &shape)),
        Values::Unsigned(values) => Values::Unsigned(row_major(&values, &shape)),
        Values::Floats(values) => Values::Floats(row_major(&values, &shape)),
    };
    Ok(Array { name, shape, values })
}

/// The text of a header, up to the data.
fn header(
    reader: &mut impl Read,
    bad: &impl Fn(&str, String, &str) -> Error,
    failed: &impl Fn(std::io::Error) -> Error,
) -> Result<String> {
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(failed)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(bad("magic string", format!("{:02x?}", &start[..6]), "93 'NUMPY'"));
    }
    // Version 1 has two bytes for the length, the later ones four.
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(bad("version", version.to_string(), "1, 2 or 3")),
    };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..width]).map_err(failed)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        let given = format!("{length} bytes");
        return Err(bad("header", given, &format!("at most {MAX_HEADER}")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(failed)?;
    String::from_utf8(text).map_err(|_| bad("header", "bytes that are not UTF-8".into(), "text"))
}

/// What stands behind a key of a header, which has it once, as `{'descr': '<f4', 'fortran_order':
/// False, 'shape': (2, 3), }`; and why it will not do otherwise.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    if !header.trim_start().starts_with('{') || !header.trim_end().ends_with('}') {
        return Err("no dictionary".into());
    }
    if header.contains(['\\', '"']) {
        return Err("escapes or double quotes".into());
    }
    let mut parts = header.split(key);
    let (Some(_), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("not one {key}"));
    };
    let value = after.trim_start().strip_prefix(':').map(str::trim_start);
    value.ok_or_else(|| format!("{key} without a value"))
}

/// Whether the first index runs fastest.
fn fortran_order(header: &str) -> Result<bool, String> {
    let value = value(header, "'fortran_order'")?;
    let known = [("True", true), ("False", false)];
    let found = known.iter().find(|(word, _)| value.starts_with(word));
    found.map(|(_, fortran)| *fortran).ok_or_else(|| "a 'fortran_order' not True or False".into())
}

/// A plain dtype: a kind, its bytes, and whether the highest of them comes first.
struct Element {
    kind: char,
    size: u8,
    big: bool,
}

impl Element {
    /// Reads `'<f4'`; none of what is no number that Rust has, or no plain one.
    fn parse(descr: &str) -> Option<Element> {
        let (descr, _) = descr.strip_prefix('\'')?.split_once('\'')?;
        let mut letters = descr.chars();
        let (order, kind) = (letters.next()?, letters.next()?);
        let size = letters.as_str().parse().ok()?;
        let known = match kind {
            'b' => size == 1,
            'i' | 'u' => matches!(size, 1 | 2 | 4 | 8),
            'f' => matches!(size, 2 | 4 | 8),
            _ => false,
        };
        // A single byte has no order.
        let ordered = matches!(order, '<' | '>') || order == '|' && size == 1;
        (known && ordered).then_some(Element { kind, size, big: order == '>' })
    }
}

/// The elements, each of which `convert` is given with its lowest byte first.
fn elements<const N: usize, T>(bytes: &[u8], big: bool, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    let element = |&(mut element): &[u8; N]| {
        if big {
            element.reverse();
        }
        convert(element)
    };
    bytes.as_chunks().0.iter().map(element).collect()
}

/// The shape in a header, and why it will not do otherwise.
fn shape(header: &str) -> Result<Vec<usize>, String> {
    let tuple = value(header, "'shape'")?;
    let inner = tuple.strip_prefix('(').and_then(|tuple| tuple.split_once(')'));
    let Some((inner, _)) = inner else { return Err("a 'shape' that is no tuple".into()) };
    let dims = inner.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let dims = dims.map(|dim| match dim.bytes().all(|byte| byte.is_ascii_digit()) {
        true => dim.parse().ok(),
        false => None,
    });
    let dims: Option<Vec<usize>> = dims.collect();
    let dims = dims.ok_or_else(|| format!("shape ({inner}), whose dimensions are no counts"))?;
    if dims.len() > MAX_DIMS {
        return Err(format!("{} dimensions, more than {MAX_DIMS}", dims.len()));
    }
    // Without the zeros: strides are products that leave some dimensions out.
    let product = dims.iter().filter(|&&dim| dim > 0);
    match product.into_iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64)) {
        Some(_) => Ok(dims),
        None => Err(format!("shape ({inner}), 2^64 elements or more")),
    }
}

/// Elements whose first index runs fastest, in the order where the last one does.
fn row_major<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    while ordered.len() < values.len() {
        // Horner, from the slowest axis of the file to its fastest.
        let at = index.iter().zip(shape).rev().fold(0, |at, (&i, &dim)| at * dim + i);
        ordered.push(values[at]);
        for (i, &dim) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < dim {
                break;
            }
            *i = 0;
        }
    }
    ordered
}
