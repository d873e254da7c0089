//! Names, shapes and dtypes from the headers of safetensors files; their data is never read.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::marker::PhantomData;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype as Theirs;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::MAX_TEXT;
use super::keep::Kept;
use super::rules::Bare;
use crate::random::Dtype;
use crate::{Error, Result, Shape};

/// A tensor as a header has it.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) dtype: Dtype,
    pub(super) kept: Kept,
}

impl Stored {
    pub(super) fn bare(&self) -> Bare<'_> {
        Bare { name: &self.name, shape: &self.shape, dtype: self.dtype }
    }
}

/// What a header says of a tensor. Its dtype is a name: there are more than can be drawn.
#[derive(serde::Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The tensors of a `.safetensors` file, or of those that a `.json` index names.
pub(super) fn stored(path: &Path) -> Result<Vec<Stored>> {
    let is_index = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if is_index { index(path) } else { header(path).map(|header| header.tensors) }
}

/// What a file's header says.
pub(super) struct Header {
    /// In the order of their data.
    pub(super) tensors: Vec<Stored>,
    pub(super) metadata: HashMap<String, String>,
}

pub(super) fn header(path: &Path) -> Result<Header> {
    let wrong = |message: String| Error::safetensors(path, message);
    let (mut file, length) = open(path)?;
    if length < 8 {
        return Err(wrong(format!("{length} bytes long, where the header's length alone takes 8")));
    }
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|source| Error::file("read", path, source))?;
    let header_length = u64::from_le_bytes(prefix);
    // Both before anything of that size is allocated.
    if header_length > MAX_TEXT {
        let message = format!("a header of {header_length} bytes; at most {MAX_TEXT} are allowed");
        return Err(wrong(message));
    }
    if header_length > length - 8 {
        let message =
            format!("a header of {header_length} bytes, where {} are left in the file", length - 8);
        return Err(wrong(message));
    }
    let json = read(&mut file, header_length, path)?;
    let Unique::<Info> { entries: mut infos, metadata } =
        serde_json::from_slice(&json).map_err(|error| wrong(format!("header: {error}")))?;
    infos.sort_by_key(|(_, info)| info.data_offsets);

    let file: Arc<Path> = path.into();
    let mut end = 0u64;
    let mut tensors = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let (start, stop) = info.data_offsets;
        let (shape, dtype, bytes) = tensor(&name, info).map_err(&wrong)?;
        // In order and without a gap: then nothing overlaps, and nothing is hidden in between.
        let needed = end.checked_add(bytes);
        if start != end || Some(stop) != needed {
            return Err(wrong(format!(
                "tensor `{name}`: data_offsets [{start}, {stop}], needed {bytes} bytes from {end} on"
            )));
        }
        end = stop;
        let kept = Kept::new(file.clone(), 8 + header_length + start, dtype);
        tensors.push(Stored { name, shape, dtype, kept });
    }
    if Some(length) != end.checked_add(8 + header_length) {
        return Err(wrong(format!(
            "{} bytes of data, where the header tells of {end}",
            length - 8 - header_length
        )));
    }
    Ok(Header { tensors, metadata })
}

/// A tensor's shape and dtype, and its size in bytes.
fn tensor(name: &str, info: Info) -> Result<(Shape, Dtype, u64), String> {
    let shape =
        Shape::with_empty(info.shape).map_err(|error| format!("tensor `{name}`: {error}"))?;
    // In capitals alone, as readers elsewhere take them.
    let capitals = !info.dtype.bytes().any(|byte| byte.is_ascii_lowercase());
    let named = |dtype: &Dtype| capitals && dtype.name().eq_ignore_ascii_case(&info.dtype);
    let dtype = Dtype::ALL.into_iter().find(named).ok_or_else(|| {
        let known = Dtype::ALL.map(|dtype| dtype.name().to_uppercase()).join(", ");
        format!("tensor `{name}`: dtype {}, which cannot be drawn; known: {known}", info.dtype)
    })?;
    let bytes = shape.elements().checked_mul(dtype.size() as u64).ok_or_else(|| {
        format!("tensor `{name}`: shape {shape} of {dtype} is more than 2^64 bytes")
    })?;
    Ok((shape, dtype, bytes))
}

/// The crate's name for a dtype.
pub(super) fn safetensors_dtype(ours: Dtype) -> Theirs {
    match ours {
        Dtype::F32 => Theirs::F32,
        Dtype::Bf16 => Theirs::BF16,
        Dtype::F16 => Theirs::F16,
        Dtype::F8E4M3 => Theirs::F8_E4M3,
        Dtype::F8E5M2 => Theirs::F8_E5M2,
        Dtype::F64 => Theirs::F64,
        Dtype::I64 => Theirs::I64,
        Dtype::U64 => Theirs::U64,
        Dtype::I32 => Theirs::I32,
        Dtype::U32 => Theirs::U32,
        Dtype::I16 => Theirs::I16,
        Dtype::U16 => Theirs::U16,
        Dtype::I8 => Theirs::I8,
        Dtype::U8 => Theirs::U8,
        Dtype::Bool => Theirs::BOOL,
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: Unique<String>,
}

/// The files that an index names, in the order of their names, each with the tensors that it is to hold.
pub(super) fn shards(path: &Path) -> Result<Vec<(PathBuf, Vec<String>)>> {
    let wrong = |message: String| Error::safetensors(path, message);
    let (mut file, length) = open(path)?;
    if length > MAX_TEXT {
        return Err(wrong(format!("an index of {length} bytes; at most {MAX_TEXT} are allowed")));
    }
    let json = read(&mut file, length, path)?;
    let Index { weight_map } =
        serde_json::from_slice(&json).map_err(|error| wrong(format!("index: {error}")))?;

    let mut shards = BTreeMap::<String, Vec<String>>::new();
    for (tensor, shard) in weight_map.entries {
        if !is_plain(&shard) {
            return Err(wrong(format!(
                "tensor `{tensor}`: file `{shard}`, needed the name of a file beside the index"
            )));
        }
        shards.entry(shard).or_default().push(tensor);
    }
    Ok(shards.into_iter().map(|(shard, names)| (path.with_file_name(shard), names)).collect())
}

/// The tensors that an index names: file by file, and within each in the order of the data. What a file
/// holds beyond them is not the model's.
fn index(path: &Path) -> Result<Vec<Stored>> {
    let mut tensors = Vec::new();
    for (shard, names) in shards(path)? {
        let stored = header(&shard)?.tensors;
        let present: HashSet<&str> = stored.iter().map(|tensor| tensor.name.as_str()).collect();
        if let Some(missing) = names.iter().find(|name| !present.contains(name.as_str())) {
            let message = format!("tensor `{missing}`, which the index says is here, is not");
            return Err(Error::safetensors(shard, message));
        }
        let names: HashSet<String> = names.into_iter().collect();
        tensors.extend(stored.into_iter().filter(|tensor| names.contains(&tensor.name)));
    }
    Ok(tensors)
}

/// Whether `name` names a file of the directory itself, on every system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let only = (components.next(), components.next());
    matches!(only, (Some(Component::Normal(file)), None) if file == name)
        && !name.contains(['/', '\\', ':', '\0'])
}

/// An open file and its length.
fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |source| Error::file("open", path, source);
    // Before it is opened: opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::safetensors(path, "not a regular file"));
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

fn read(file: &mut File, length: u64, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // `take` grows the buffer by what is there, whatever the length claims.
    let read = file.take(length).read_to_end(&mut bytes);
    let short = std::io::ErrorKind::UnexpectedEof;
    match read {
        Ok(read) if read as u64 == length => Ok(bytes),
        Ok(_) => Err(Error::file("read", path, short.into())),
        Err(source) => Err(Error::file("read", path, source)),
    }
}

/// The entries of a JSON object in their order, none of them twice, and apart from them `__metadata__`.
///
/// A map would let the last of two entries win, and a reader elsewhere may take the first.
struct Unique<T> {
    entries: Vec<(String, T)>,
    metadata: HashMap<String, String>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut entries = Vec::new();
                let mut metadata = HashMap::new();
                let mut seen = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("`{key}` is there twice")));
                    }
                    if key == "__metadata__" {
                        metadata = map.next_value()?;
                    } else {
                        entries.push((key, map.next_value()?));
                    }
                }
                Ok(Unique { entries, metadata })
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}
