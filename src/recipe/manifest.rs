//! The document beside a model's files that has the digest of every tensor.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FileReport, Recipe, TensorReport, TensorSpec, read_text};
use crate::file::file_name;
use crate::random::CONTRACT;
use crate::{Error, Result};

/// More bytes than the manifest of the largest recipe has.
const MOST: u64 = 1 << 30;

/// What a manifest says, none of it dependent on the device.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest<'a> {
    recipe: Cow<'a, str>,
    seed: u64,
    contract: u32,
    pub(super) tensors: Vec<TensorEntry<'a>>,
    pub(super) files: Vec<FileEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TensorEntry<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) shape: Cow<'a, [u64]>,
    pub(super) dtype: Cow<'a, str>,
    init: Cow<'a, str>,
    pub(super) file: Cow<'a, str>,
    pub(super) sha256: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FileEntry<'a> {
    pub(super) file: Cow<'a, str>,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Cow<'a, str>>,
}

impl<'a> Manifest<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        seed: u64,
        tensors: &'a [TensorReport],
        files: &'a [FileReport],
    ) -> Self {
        let entry = |(spec, report): (&'a TensorSpec, &'a TensorReport)| TensorEntry {
            name: Cow::from(&spec.name),
            shape: Cow::from(spec.shape.dims()),
            dtype: Cow::from(spec.dtype.name()),
            init: Cow::from(spec.written()),
            file: Cow::from(&report.file),
            sha256: Cow::from(&report.sha256),
        };
        let files = files.iter().map(|file| FileEntry {
            file: Cow::from(file_name(&file.path)),
            bytes: file.bytes,
            sha256: file.sha256.as_deref().map(Cow::from),
        });
        Manifest {
            recipe: Cow::from(&recipe.name),
            seed,
            contract: CONTRACT,
            tensors: recipe.tensors.iter().zip(tensors).map(entry).collect(),
            files: files.collect(),
        }
    }

    /// Reads a manifest's file.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Invalid`] where it is no manifest.
    pub(super) fn read(path: &Path) -> Result<Manifest<'static>> {
        serde_json::from_str(&read_text(path, MOST)?).map_err(|error| {
            let needed = "a manifest, as `fanin init` writes it";
            Error::invalid(path.display().to_string(), error, needed)
        })
    }
}
