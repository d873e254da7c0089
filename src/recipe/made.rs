//! What a file of weights says of how it was made, in its header's metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::keep::Kept;
use super::stack::{Ranged, Rows, resized};
use super::{Recipe, Selection, TensorSpec};
use crate::file::hex;
use crate::init::{Geometry, Init};
use crate::random::{CONTRACT, Dtype, Source};
use crate::{Error, Layout, Result, Shape};

/// The key of the metadata that holds a [`Made`].
pub(super) const KEY: &str = "fanin.init";

/// Seed and initializers: all that it takes to draw a file's tensors anew.
#[derive(Serialize, Deserialize)]
pub(super) struct Made {
    /// This crate's.
    pub(super) version: String,
    pub(super) contract: u32,
    pub(super) recipe: String,
    pub(super) seed: u64,
    pub(super) tensors: BTreeMap<String, MadeTensor>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MadeTensor {
    /// The initializer as written, with its depth and ranges, or `keep`.
    pub(super) init: String,
    /// What that came to for this tensor, where it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draws: Option<String>,
    /// Of a tensor that is drawn as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
    /// The shape of the whole tensor, where the file holds a part of it, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Vec<String>>,
    /// Of one whose matrices are drawn each by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_dims: Option<usize>,
    /// What lies over that, the first that has an element before the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<MadeRange>,
}

#[derive(Serialize, Deserialize)]
struct MadeRange {
    axis: usize,
    /// The first of its indices along the axis, and the one after the last.
    rows: [u64; 2],
    #[serde(flatten)]
    made: MadeTensor,
}

/// What tells a recipe from others: the digest of its tensors' names, shapes, dtypes and initializers.
pub(super) fn digest(recipe: &Recipe) -> Result<String> {
    let mut digest = Sha256::new();
    for spec in &recipe.tensors {
        let entry = (&spec.name, spec.shape.dims(), spec.dtype.name(), MadeTensor::new(spec, None));
        let text = serde_json::to_string(&entry);
        let text = text.map_err(|error| Error::invalid(&spec.name, error, "what JSON can say"))?;
        digest.update(text.as_bytes());
    }
    Ok(hex(&digest.finalize()))
}

impl Made {
    pub(super) fn new<'a>(
        recipe: &Recipe,
        seed: u64,
        tensors: impl Iterator<Item = (&'a TensorSpec, Option<&'a Selection>)>,
    ) -> Made {
        Made {
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            recipe: recipe.name.clone(),
            seed,
            tensors: tensors
                .map(|(tensor, part)| (tensor.name.clone(), MadeTensor::new(tensor, part)))
                .collect(),
        }
    }
}

impl MadeTensor {
    fn new(tensor: &TensorSpec, part: Option<&Selection>) -> MadeTensor {
        let mut made = MadeTensor::of(
            tensor.written(),
            &tensor.source,
            tensor.kept.as_ref(),
            &tensor.shape,
            &tensor.geometry,
        );
        for Ranged { axis, rows, init, source, geometry, kept } in tensor.layers() {
            let init = init.clone();
            // As long as it is: the tensor has it.
            let own = resized(&tensor.shape, *axis, rows.end - rows.start);
            let shape = own.unwrap_or_else(|_| tensor.shape.clone());
            let own = MadeTensor::of(init, source, kept.as_ref(), &shape, geometry);
            made.ranges.push(MadeRange { axis: *axis, rows: [rows.start, rows.end], made: own });
        }
        made.of = part.map(|part| part.of().to_vec());
        made.part = part.map(Selection::texts);
        made
    }

    fn of(
        init: String,
        source: &Source,
        kept: Option<&Kept>,
        shape: &Shape,
        geometry: &Geometry,
    ) -> MadeTensor {
        let is_whole = kept.is_none() && matches!(source, Source::Whole(_));
        let is_placed = kept.is_none() && !matches!(source, Source::Elements(_));
        let mut made = MadeTensor {
            init,
            draws: None,
            layout: (is_whole && geometry.layout != Layout::default())
                .then(|| geometry.layout.name().into()),
            groups: (is_whole && geometry.groups != 1).then_some(geometry.groups),
            batch_dims: (is_placed && geometry.batch_dims != 0).then_some(geometry.batch_dims),
            ranges: Vec::new(),
            of: None,
            part: None,
        };
        let own = made.source(shape).ok().map(|own| own.map(|(source, _)| source));
        if own != Some(kept.is_none().then_some(*source)) {
            made.draws = Some(super::draws(source, kept));
        }
        made
    }

    /// Which part of a tensor one of this shape is, if it is one, and the shape of the whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] where that cannot be.
    pub(super) fn part(&self, shape: &Shape) -> Result<Option<(Selection, Shape)>> {
        let Some((of, part)) = self.of.as_ref().zip(self.part.as_ref()) else { return Ok(None) };
        let (part, of) = (Selection::from_texts(of, part)?, Shape::new(of.clone())?);
        let own = part.shape()?;
        if own != *shape {
            let given = format!("{} of {of}", part.texts().join("; "));
            return Err(Error::invalid("part of a tensor", given, format!("one of shape {shape}")));
        }
        Ok(Some((part, of)))
    }

    /// What a shape is drawn from, and how it is read; none where it is a copy.
    fn source(&self, shape: &Shape) -> Result<Option<(Source, Geometry)>> {
        let init = self.draws.as_ref().unwrap_or(&self.init);
        if init == super::KEEP {
            return Ok(None);
        }
        let layout = self.layout.as_deref().map(str::parse::<Layout>).transpose()?;
        let base = Geometry::from(layout.unwrap_or_default());
        let (groups, batch_dims) = (self.groups.unwrap_or(1), self.batch_dims.unwrap_or(0));
        let geometry = Geometry { groups, batch_dims, ..base };
        let source = init.parse::<Init>()?.source(shape, &geometry)?;
        Ok(Some((source, geometry)))
    }

    /// What is to be said of one that [`MadeTensor::tensor`] does not give.
    pub(super) fn copied(&self) -> &'static str {
        if self.ranges.is_empty() { "a copy" } else { "a copy in part" }
    }

    /// The tensor of this shape and dtype; none where some of it is a copy.
    ///
    /// # Errors
    /// As those of reading an initializer, of [`Init::source`], and of what is drawn in the dtype.
    pub(super) fn tensor(
        &self,
        name: &str,
        shape: &Shape,
        dtype: Dtype,
    ) -> Result<Option<TensorSpec>> {
        let Some((source, geometry)) = self.source(shape)? else { return Ok(None) };
        let init = self.init.clone();
        let mut spec = TensorSpec::drawn(name, shape, dtype, init, source, geometry);
        for MadeRange { axis, rows: [start, end], made } in &self.ranges {
            let rows = Rows::new(*start, *end)?.of(shape, *axis)?;
            let own = resized(shape, *axis, rows.end - rows.start)?;
            let Some((source, geometry)) = made.source(&own)? else { return Ok(None) };
            let (axis, init) = (*axis, made.init.clone());
            spec.ranges.push(Ranged { axis, rows, init, source, geometry, kept: None });
        }
        spec.check_dtype(dtype)?;
        Ok(Some(spec))
    }
}
