//! What a file of weights says of how it was made, in its header's metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Recipe, TensorSpec};
use crate::init::{Geometry, Init};
use crate::random::{CONTRACT, Source};
use crate::{Layout, Result, Shape};

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
    /// The initializer as written, with its depth, or `keep`.
    pub(super) init: String,
    /// What that came to for this tensor, where it is said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draws: Option<String>,
    /// Of a tensor that is drawn as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
}

impl Made {
    pub(super) fn new<'a>(
        recipe: &Recipe,
        seed: u64,
        tensors: impl Iterator<Item = &'a TensorSpec>,
    ) -> Made {
        Made {
            version: env!("CARGO_PKG_VERSION").into(),
            contract: CONTRACT,
            recipe: recipe.name.clone(),
            seed,
            tensors: tensors.map(|tensor| (tensor.name.clone(), MadeTensor::new(tensor))).collect(),
        }
    }
}

impl MadeTensor {
    fn new(tensor: &TensorSpec) -> MadeTensor {
        let (init, geometry) = (tensor.init.clone(), tensor.geometry);
        let is_whole = tensor.kept.is_none() && matches!(tensor.source, Source::Whole(_));
        let mut made = MadeTensor {
            init,
            draws: None,
            layout: (is_whole && geometry.layout != Layout::default())
                .then(|| geometry.layout.name().into()),
            groups: (is_whole && geometry.groups != 1).then_some(geometry.groups),
        };
        if tensor.kept.is_none()
            && !made.source(&tensor.shape).is_ok_and(|source| source == Some(tensor.source))
        {
            made.draws = Some(tensor.draws());
        }
        made
    }

    /// What a tensor of this shape is drawn from; none where it is a copy.
    ///
    /// # Errors
    /// As those of reading an initializer, and of [`Init::source`].
    pub(super) fn source(&self, shape: &Shape) -> Result<Option<Source>> {
        let init = self.draws.as_ref().unwrap_or(&self.init);
        if init == super::KEEP {
            return Ok(None);
        }
        let layout = self.layout.as_deref().map(str::parse::<Layout>).transpose()?;
        let base = Geometry::from(layout.unwrap_or_default());
        let geometry = Geometry { groups: self.groups.unwrap_or(1), ..base };
        init.parse::<Init>()?.source(shape, &geometry).map(Some)
    }
}
