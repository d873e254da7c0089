//! Examples: generated sets, splits, standardizing, and every file format with its mistakes.

mod archives;
mod csv;
mod datasets;
mod generated;
mod hostile;
mod idx;
mod npy_files;
mod orders;
mod standardizers;
mod tensors;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use fanin::Device;
use fanin::model::data::{
    Collapsed, Dataset, Encoding, Generated, LoadOptions, Loaded, Missing, Numbers, RowsOptions,
    Standardizer, Targets, Task, load, permutation, rows,
};
use fanin::model::{Mlp, TrainOptions, Trainer};
use fanin::random::Stream;
use fanin::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use npyz::WriterBuilder;
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A directory with files in it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

fn load_with(path: &Path, target: Option<&str>, task: Option<Task>) -> Result<Loaded> {
    let targets = target.map(str::to_string).into_iter().collect();
    let options = LoadOptions { targets, task, ..LoadOptions::default() };
    load(path.to_str().unwrap(), &options, 0)
}

/// The message, which must be that of a mistake in the input and say `path` once.
#[track_caller]
fn message(path: &Path, loaded: Result<Loaded>) -> String {
    message_of(path, loaded.unwrap_err())
}

#[track_caller]
fn message_of(path: &Path, error: Error) -> String {
    assert!(error.is_usage(), "{error:?}");
    let (text, path) = (error.to_string(), format!("{}: ", path.display()));
    text.strip_prefix(&path).unwrap_or(&text).to_string()
}

fn labels(dataset: &Dataset) -> (Vec<u32>, Vec<&str>) {
    match &dataset.targets {
        Targets::Classes { labels, names } => {
            (labels.clone(), names.iter().map(String::as_str).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn values(dataset: &Dataset) -> Vec<f32> {
    match &dataset.targets {
        Targets::Values { values, .. } => values.to_f32().into_owned(),
        other => panic!("{other:?}"),
    }
}

fn means(fitted: &Standardizer) -> Vec<f64> {
    fitted.features.iter().map(|scale| scale.mean).collect()
}

fn stds(fitted: &Standardizer) -> Vec<f64> {
    fitted.features.iter().map(|scale| scale.std).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|column| format!("c{column}")).collect()
}

fn two_classes(labels: &[u32]) -> Targets {
    Targets::Classes { labels: labels.to_vec(), names: vec!["a".into(), "b".into()] }
}

/// Rows that say where they were: features `[row, -row]`, label `row % 2`.
fn numbered(rows: u32) -> Dataset {
    let features: Vec<f32> = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
    let labels: Vec<u32> = (0..rows).map(|row| row % 2).collect();
    Dataset::new("numbered", features, names(2), two_classes(&labels)).unwrap()
}

fn first_column(dataset: &Dataset) -> Vec<u32> {
    dataset.features.to_f32().chunks(dataset.columns()).map(|row| row[0] as u32).collect()
}

/// An array in the bytes of an `.npy` file, by npyz's writer.
fn npy<T: npyz::Serialize + npyz::AutoSerialize>(
    shape: &[u64],
    order: npyz::Order,
    elements: impl IntoIterator<Item = T>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(elements).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A file of version 1 with this header, and these bytes after it.
fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let order = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

const C: npyz::Order = npyz::Order::C;
const FORTRAN: npyz::Order = npyz::Order::Fortran;
