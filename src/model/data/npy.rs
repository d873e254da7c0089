//! NumPy's `.npy`, one array a file, and `.npz`, a zip archive of them.

use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{Deserialize, NpyFile, NpyHeader, Order, TypeChar};
use zip::ZipArchive;
use zip::result::ZipError;

use crate::random::f32_from_f16;
use crate::{Error, Result};

use super::array::{Array, MAX_DIMS, Values, choose, examples};
use super::load::{open, read_data, wrong};
use super::{LoadOptions, Loaded};

/// NumPy itself reads no longer header unless told to.
const MAX_HEADER: usize = 10_000;

/// A header has two brackets, a structured type's some more. Deep nesting is an attack on parsers.
const MAX_BRACKETS: usize = 8;

const DTYPES: &str = "plain numbers: bool, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8";

/// The features in one file, and the targets in the one that the options name.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let Some(target) = &options.target else {
        let needed = "--target with the .npy file of the targets";
        return Err(wrong(path, "target", "none", needed));
    };
    let file = |path: &Path| {
        let (file, length) = open(path)?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        array(path, name, BufReader::new(file), length)
    };
    let (x, y) = (file(path)?, file(Path::new(target))?);
    examples(path, (x, y), None, options)
}

/// Features and targets, by their names in the archive.
pub(super) fn load_archive(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let (file, length) = open(path)?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|error| zipped(path, "archive", error))?;
    let files = archive.file_names().collect::<Result<Vec<_>, _>>();
    let files = files.map_err(|error| zipped(path, "archive", error))?;
    let names: Vec<String> =
        files.iter().filter_map(|file| file.strip_suffix(".npy")).map(str::to_string).collect();
    drop(files);
    let choice = choose(path, &names, options.target.as_deref())?;
    let mut member = |name: String| {
        let file = archive.by_name(&format!("{name}.npy"));
        let file = file.map_err(|error| zipped(path, &format!("`{name}`"), error))?;
        array(path, name, file, length)
    };
    let mut pair = |(x, y): (String, String)| Ok::<_, Error>((member(x)?, member(y)?));
    let train = pair(choice.train)?;
    let test = choice.test.map(pair).transpose()?;
    examples(path, train, test, options)
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
fn array(path: &Path, name: String, mut reader: impl Read, packed: u64) -> Result<Array> {
    let what = |part: &str| format!("`{name}`, {part}");
    let bad = |part: &str, given: String, needed: &str| wrong(path, what(part), given, needed);
    let failed = |source: std::io::Error| match source.raw_os_error() {
        Some(_) => Error::file("read", path, source),
        None => bad("content", format!("an early end or damage ({source})"), "a whole NPY array"),
    };

    let (preamble, text) = header(&mut reader, &bad, &failed)?;
    let shape = shape(&text).map_err(|given| bad("header", given, "an array of plain numbers"))?;
    let header = NpyHeader::from_reader(preamble.as_slice())
        .map_err(|error| bad("header", error.to_string(), "a header as NumPy writes it"))?;
    let descr = header.dtype().descr();
    let npyz::DType::Plain(kind) = header.dtype() else {
        return Err(bad("dtype", descr, DTYPES));
    };
    let (kind, big) = ((kind.type_char(), kind.size_field()), descr.starts_with("'>"));
    let size = match kind {
        (TypeChar::Bool, 1) | (TypeChar::Float, 2 | 4 | 8) => kind.1,
        (TypeChar::Int | TypeChar::Uint, 1 | 2 | 4 | 8) => kind.1,
        _ => return Err(bad("dtype", descr, DTYPES)),
    };

    let elements = shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let length = elements.and_then(|elements| elements.checked_mul(size));
    let length = length.filter(|&length| length < u64::MAX);
    let length =
        length.ok_or_else(|| bad("shape", format!("{shape:?}"), "less than 2^64 bytes in all"))?;
    let data = read_data(reader, length, packed, &format!("the shape {shape:?}"));
    let bytes = data.map_err(failed)?.map_err(|(given, needed)| bad("data", given, &needed))?;

    let fortran = header.order() == Order::Fortran;
    let file = NpyFile::with_header(header, bytes.as_slice());
    let values = match kind {
        (TypeChar::Uint, 1) => Values::Bytes(bytes),
        (TypeChar::Float, 2) => Values::Floats(halves(&bytes, big)),
        (TypeChar::Float, 4) => {
            Values::Floats(numbers(file, |x: f32| f64::from(x)).map_err(failed)?)
        }
        (TypeChar::Float, _) => Values::Floats(numbers(file, |x: f64| x).map_err(failed)?),
        (TypeChar::Bool, _) => {
            Values::Integers(bytes.iter().map(|&byte| i64::from(byte != 0)).collect())
        }
        (TypeChar::Int, 1) => Values::Integers(numbers(file, |n: i8| n.into()).map_err(failed)?),
        (TypeChar::Int, 2) => Values::Integers(numbers(file, |n: i16| n.into()).map_err(failed)?),
        (TypeChar::Int, 4) => Values::Integers(numbers(file, |n: i32| n.into()).map_err(failed)?),
        (TypeChar::Int, _) => Values::Integers(numbers(file, |n: i64| n).map_err(failed)?),
        (_, 2) => Values::Integers(numbers(file, |n: u16| n.into()).map_err(failed)?),
        (_, 4) => Values::Integers(numbers(file, |n: u32| n.into()).map_err(failed)?),
        _ => Values::unsigned(numbers(file, |n: u64| n).map_err(failed)?),
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

/// The bytes up to the data, and the text among them.
///
/// They are checked before the parser sees them: it would allocate whatever length the file claims,
/// recurse as deep as the brackets go, and multiply dimensions without a look at overflow.
fn header(
    reader: &mut impl Read,
    bad: &impl Fn(&str, String, &str) -> Error,
    failed: &impl Fn(std::io::Error) -> Error,
) -> Result<(Vec<u8>, String)> {
    let mut preamble = vec![0; 8];
    reader.read_exact(&mut preamble).map_err(failed)?;
    if !preamble.starts_with(b"\x93NUMPY") {
        let given = format!("{:02x?}", &preamble[..6]);
        return Err(bad("magic string", given, "93 'NUMPY'"));
    }
    // Version 1 has two bytes for the length, the later ones four.
    let width = if preamble[6] == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..width]).map_err(failed)?;
    preamble.extend_from_slice(&length[..width]);
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        let given = format!("{length} bytes");
        return Err(bad("header", given, &format!("at most {MAX_HEADER}")));
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text).map_err(failed)?;
    preamble.extend_from_slice(&text);
    let text = String::from_utf8(text);
    let text = text.map_err(|_| bad("header", "bytes that are not UTF-8".into(), "text"))?;
    Ok((preamble, text))
}

/// The shape in a header, and why it will not do otherwise.
fn shape(header: &str) -> Result<Vec<usize>, String> {
    if header.matches(['(', '[', '{']).count() > MAX_BRACKETS {
        return Err("a structured type".into());
    }
    // Then the one `'shape'` is the one that the parser finds.
    let mut parts = header.split("'shape'");
    let (Some(_), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("not one 'shape'".into());
    };
    if header.contains(['\\', '"']) {
        return Err("escapes or double quotes".into());
    }
    let tuple = after.trim_start().strip_prefix(':').map(str::trim_start);
    let inner = tuple.and_then(|tuple| tuple.strip_prefix('(')?.split_once(')'));
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

fn numbers<T: Deserialize, U>(
    file: NpyFile<&[u8]>,
    convert: impl Fn(T) -> U,
) -> std::io::Result<Vec<U>> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    file.data::<T>().map_err(invalid)?.map(|number| number.map(&convert)).collect()
}

fn halves(bytes: &[u8], big: bool) -> Vec<f64> {
    let half =
        |pair: &[u8; 2]| if big { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) };
    bytes.as_chunks().0.iter().map(|pair| f64::from(f32_from_f16(half(pair)))).collect()
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
