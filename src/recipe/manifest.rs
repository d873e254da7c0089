//! The document beside a model's files that has the digest of every tensor.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FileReport, Recipe, Selection, TensorReport, WriteOptions, read_text};
use crate::file::file_name;
use crate::random::CONTRACT;
use crate::{Error, Result};

/// More bytes than the manifest of the largest recipe has.
const MOST: u64 = 1 << 30;

/// What a manifest says, none of it dependent on the device.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest<'a> {
    pub(super) recipe: Cow<'a, str>,
    pub(super) seed: u64,
    pub(super) contract: u32,
    /// Of one of several ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<Share>,
    pub(super) tensors: Vec<TensorEntry<'a>>,
    pub(super) files: Vec<FileEntry<'a>>,
}

/// Whose part of what a rank's manifest is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) rank: u32,
    pub(super) world: u32,
    /// Of the recipe's names, shapes, dtypes and initializers: of the ranks of one model it is the same.
    pub(super) recipe_sha256: String,
    /// Of the plan, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan_sha256: Option<String>,
    /// Tensors of the whole model.
    pub(super) tensors: u64,
    /// Bytes of these.
    pub(super) bytes: u64,
    /// Files that hold whole tensors, all ranks' together.
    pub(super) files: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TensorEntry<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) shape: Cow<'a, [u64]>,
    pub(super) dtype: Cow<'a, str>,
    pub(super) init: Cow<'a, str>,
    pub(super) file: Cow<'a, str>,
    pub(super) sha256: Cow<'a, str>,
    /// Which of the recipe's tensors it is, in a rank's manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<u64>,
    /// The shape of the whole tensor, where this is a part, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<Cow<'a, [u64]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct FileEntry<'a> {
    pub(super) file: Cow<'a, str>,
    pub(super) bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Cow<'a, str>>,
}

impl<'a> Manifest<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        options: &WriteOptions<'_>,
        share: Option<Share>,
        tensors: &'a [TensorReport],
        files: &'a [FileReport],
    ) -> Self {
        let is_ranks = share.is_some();
        let entry = |report: &'a TensorReport| {
            let spec = &recipe.tensors[report.tensor];
            TensorEntry {
                name: Cow::from(&spec.name),
                shape: Cow::from(report.shape.dims()),
                dtype: Cow::from(spec.dtype.name()),
                init: Cow::from(spec.written()),
                file: Cow::from(&report.file),
                sha256: Cow::from(&report.sha256),
                at: is_ranks.then_some(report.tensor as u64),
                of: report.part.as_ref().map(|part| Cow::from(part.of())),
                part: report.part.as_ref().map(Selection::texts),
            }
        };
        let files = files.iter().map(|file| FileEntry {
            file: Cow::from(file_name(&file.path)),
            bytes: file.bytes,
            sha256: file.sha256.as_deref().map(Cow::from),
        });
        Manifest {
            recipe: Cow::from(&recipe.name),
            seed: options.seed,
            contract: CONTRACT,
            share,
            tensors: tensors.iter().map(entry).collect(),
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
