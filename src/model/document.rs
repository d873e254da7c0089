//! What a checkpoint says beside its tensors, as JSON in the file's metadata: see `checkpoint.md`.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::{Deserialize, Serialize};

use super::data::{Encoding, Feature, Missing, Predicted, Preparation, Scale, Standardizer};
use super::{Loss, Network};
use crate::op::{Arithmetic, Operands};
use crate::{Error, Result, Shape};

/// The key of the metadata that holds a [`Document`].
pub(super) const KEY: &str = "fanin.model";

/// The key that held a [`State`] alone, before networks went with it.
const OLD_KEY: &str = "fanin.training";

/// What is said of documents that this version does not know.
const VERSION: u32 = 1;

/// A whole checkpoint's.
#[derive(Deserialize, Serialize)]
pub(super) struct Document {
    version: u32,
    /// None where it cannot be written as text.
    network: Option<Written>,
    loss: String,
    /// Significant bits of an exact product's factors.
    exact: Option<u32>,
    features: Vec<WrittenFeature>,
    missing: String,
    predicted: WrittenPredicted,
    standardized: Standardized,
    /// What the settings were called by whoever trained.
    pub arguments: BTreeMap<String, String>,
    pub training: State,
}

#[derive(Deserialize, Serialize)]
struct Written {
    layers: String,
    input: Vec<u64>,
    outputs: u64,
    /// The names of the tensors, in the order of the layers.
    parameters: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct WrittenFeature {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fill: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    categories: Option<Vec<String>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum WrittenPredicted {
    Class { name: String, classes: Vec<String> },
    Values { names: Vec<String> },
}

/// None where numbers stay as they are.
#[derive(Deserialize, Serialize)]
struct Standardized {
    features: Option<Scales>,
    targets: Option<Scales>,
}

#[derive(Deserialize, Serialize)]
struct Scales {
    mean: Vec<f64>,
    std: Vec<f64>,
    rest: Vec<f64>,
}

/// What a run must have in common with the one that it resumes, by name, and how far that one got.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub settings: Vec<(String, String)>,
    pub step: u64,
    pub epochs: Vec<StoredEpoch>,
    /// Loss, right, rows of the epoch under way.
    pub tally: (f64, f64, u64),
    /// The squared errors of each of several targets, in bits.
    #[serde(default)]
    pub squares: Vec<u64>,
    /// [`Trainer::digest`](super::Trainer::digest) of an exact run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Loss, accuracy, r2; bits in place of floats, since JSON's are not exact in every reader.
pub(super) type StoredScore = (u64, Option<u64>, Option<u64>);

#[derive(Serialize, Deserialize)]
pub(super) struct StoredEpoch {
    pub train: StoredScore,
    pub test: Option<StoredScore>,
}

/// A file's tensor of that name, in f32 and of that shape; or what is wrong with it.
pub(super) fn floats(
    tensors: &SafeTensors<'_>,
    name: &str,
    shape: &Shape,
) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
    let dims = shape.dims().iter().map(|&dim| dim as usize);
    if tensor.dtype() != Dtype::F32 || !dims.eq(tensor.shape().iter().copied()) {
        let given = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
        return Err(format!("tensor `{name}`: got {given}, needed F32 {shape}"));
    }
    Ok(bytemuck::pod_collect_to_vec(tensor.data()))
}

/// What a file says.
pub(super) enum Found {
    Whole(Box<Document>),
    /// A run of before networks went with it.
    Old(State),
}

impl Found {
    /// What the metadata of a file's bytes say.
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Found> {
        let broken = |error: &dyn std::fmt::Display| Error::safetensors(path, error);
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
        let entry = |key: &str| metadata.metadata().as_ref().and_then(|own| own.get(key));
        if let Some(text) = entry(KEY) {
            // Another version may have other fields.
            #[derive(Deserialize)]
            struct Versioned {
                version: u32,
            }
            let Versioned { version } =
                serde_json::from_str(text).map_err(|error| broken(&error))?;
            if version != VERSION {
                return Err(broken(&format!(
                    "its description has version {version}, not {VERSION}"
                )));
            }
            return serde_json::from_str(text).map(Found::Whole).map_err(|error| broken(&error));
        }
        match entry(OLD_KEY) {
            Some(text) => {
                serde_json::from_str(text).map(Found::Old).map_err(|error| broken(&error))
            }
            None => Err(broken(&"it holds weights, and not what training writes beside them")),
        }
    }

    pub fn training(self) -> State {
        match self {
            Found::Whole(document) => document.training,
            Found::Old(training) => training,
        }
    }
}

impl Document {
    pub fn new(
        network: &Network,
        loss: &Loss,
        arithmetic: Arithmetic,
        preparation: &Preparation,
        arguments: &BTreeMap<String, String>,
        training: State,
    ) -> Result<Document> {
        let feature = |own: &Feature| {
            let (fill, categories) = match &own.encoding {
                Encoding::Number { fill } => (*fill, None),
                Encoding::OneHot { categories } => (None, Some(categories.clone())),
            };
            WrittenFeature { name: own.name.clone(), fill, categories }
        };
        let predicted = match &preparation.predicted {
            Predicted::Class { name, classes } => {
                WrittenPredicted::Class { name: name.clone(), classes: classes.clone() }
            }
            Predicted::Values(names) => WrittenPredicted::Values { names: names.clone() },
        };
        let Standardizer { features, targets } = &preparation.standardizer;
        Ok(Document {
            version: VERSION,
            network: written(network)?,
            loss: loss.to_string(),
            exact: match arithmetic {
                Arithmetic::Native => None,
                Arithmetic::Exact(operands) => Some(operands.bits()),
            },
            features: preparation.features.iter().map(feature).collect(),
            missing: preparation.missing.to_string(),
            predicted,
            standardized: Standardized { features: scales(features), targets: scales(targets) },
            arguments: arguments.clone(),
            training,
        })
    }

    /// The network, without its numbers, and the names of its tensors in the order of the layers.
    pub fn network(&self) -> Result<(Network, &[String])> {
        let Some(written) = &self.network else {
            let needed = "one of layers that `Network::parse` reads";
            return Err(Error::invalid("network", "one that no text describes", needed));
        };
        let input = Shape::new(written.input.as_slice())?;
        let network = Network::parse(input, written.outputs, &written.layers)?;
        let tensors = network.recipe()?.tensors.len();
        match tensors == written.parameters.len() {
            true => Ok((network, &written.parameters)),
            false => {
                let given = format!("{} names", written.parameters.len());
                Err(Error::invalid("parameters", given, format!("{tensors}, as the layers have")))
            }
        }
    }

    pub fn loss(&self) -> Result<Loss> {
        self.loss.parse()
    }

    pub fn arithmetic(&self) -> Result<Arithmetic> {
        let exact = |bits: u32| bits.to_string().parse::<Operands>().map(Arithmetic::Exact);
        self.exact.map_or(Ok(Arithmetic::Native), exact)
    }

    pub fn preparation(&self) -> Result<Preparation> {
        let feature = |own: &WrittenFeature| Feature {
            name: own.name.clone(),
            encoding: match &own.categories {
                Some(categories) => Encoding::OneHot { categories: categories.clone() },
                None => Encoding::Number { fill: own.fill },
            },
        };
        let preparation = Preparation {
            features: self.features.iter().map(feature).collect(),
            missing: self.missing.parse::<Missing>()?,
            predicted: match &self.predicted {
                WrittenPredicted::Class { name, classes } => {
                    Predicted::Class { name: name.clone(), classes: classes.clone() }
                }
                WrittenPredicted::Values { names } => Predicted::Values(names.clone()),
            },
            standardizer: Standardizer {
                features: restored(&self.standardized.features)?,
                targets: restored(&self.standardized.targets)?,
            },
        };
        let width = preparation.width();
        let Standardizer { features, targets } = &preparation.standardizer;
        let values = match &preparation.predicted {
            Predicted::Class { .. } => 0,
            Predicted::Values(names) => names.len(),
        };
        for (what, scales, columns) in [("features", features, width), ("targets", targets, values)]
        {
            if !scales.is_empty() && scales.len() != columns {
                let given = format!("{} scales", scales.len());
                return Err(Error::invalid(
                    format!("standardized {what}"),
                    given,
                    columns.to_string(),
                ));
            }
        }
        Ok(preparation)
    }
}

/// The network as text, where that makes the same tensors again.
fn written(network: &Network) -> Result<Option<Written>> {
    let layers: Vec<String> =
        network.layers().iter().map(|named| named.layer.to_string()).collect();
    let own = network.recipe()?.tensors;
    let written = Written {
        layers: layers.join(" "),
        input: network.input().dims().to_vec(),
        outputs: network.output()?.elements(),
        parameters: own.iter().map(|tensor| tensor.name.clone()).collect(),
    };
    let again = Network::parse(network.input().clone(), written.outputs, &written.layers);
    let shapes = |tensors: &[crate::recipe::TensorSpec]| -> Vec<Shape> {
        tensors.iter().map(|tensor| tensor.shape.clone()).collect()
    };
    let same = again.and_then(|again| Ok(shapes(&again.recipe()?.tensors) == shapes(&own)));
    Ok(same.unwrap_or(false).then_some(written))
}

fn scales(scales: &[Scale]) -> Option<Scales> {
    (!scales.is_empty()).then(|| Scales {
        mean: scales.iter().map(|own| own.mean).collect(),
        std: scales.iter().map(|own| own.std).collect(),
        rest: scales.iter().map(|own| own.rest).collect(),
    })
}

fn restored(scales: &Option<Scales>) -> Result<Vec<Scale>> {
    let Some(Scales { mean, std, rest }) = scales else { return Ok(Vec::new()) };
    if std.len() != mean.len() || rest.len() != mean.len() {
        let given = format!("{} means, {} stds, {} rests", mean.len(), std.len(), rest.len());
        return Err(Error::invalid("standardized", given, "as many of each"));
    }
    let all = mean.iter().zip(std).zip(rest);
    Ok(all.map(|((&mean, &std), &rest)| Scale { mean, std, rest }).collect())
}
