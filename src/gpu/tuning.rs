//! What was found to be fastest on an adapter, and where it is kept.

#[cfg(feature = "tuning")]
use std::path::{Path, PathBuf};

use super::route::Way;
#[cfg(feature = "tuning")]
use crate::file;
use crate::{Error, Result};

/// The shapes of kernels that an adapter runs fastest. They never change a drawn bit; which sums of a
/// product are added in parts is among them, and so the last bits of products.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "tuning", derive(serde::Serialize, serde::Deserialize))]
pub struct Tuning {
    /// The adapter and its driver.
    pub device: String,
    /// How buffers are filled.
    pub fill: FillShape,
    /// How products go, by their sizes `[m, n, k]`; one of other sizes goes as the nearest, if the factors
    /// between their sizes come to 4 at most: beyond, the model of [`Way::microseconds`] knows better.
    pub products: Vec<([u64; 3], Way)>,
}

/// How an invocation fills its part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "tuning", derive(serde::Serialize, serde::Deserialize))]
pub struct FillShape {
    /// Whether a workgroup takes the quantile's table into its own memory first.
    pub staged: bool,
    /// Blocks of four words that an invocation draws side by side, 1, 2 or 4. If more than 1, what reads no
    /// table takes 4: it holds fewer numbers at a time.
    pub ahead: u32,
    /// Groups of 16 bytes an invocation, at most: on a GPU fewer where a buffer would not
    /// fill a large one.
    pub taken: u32,
}

/// The logarithm of the factors up to which sizes are alike.
const NEAR: f64 = 2.0 * std::f64::consts::LN_2;

impl Tuning {
    /// What is taken where nothing was measured. `software` adapters read the table where it lies, and
    /// have no workgroup memory that would be faster.
    pub fn usual(device: String, software: bool) -> Tuning {
        let fill = match software {
            true => FillShape { staged: false, ahead: 1, taken: 8 },
            false => FillShape { staged: true, ahead: 2, taken: 16 },
        };
        Tuning { device, fill, products: Vec::new() }
    }

    /// How a product of these sizes goes, if any was measured.
    pub(super) fn way(&self, sizes: [u64; 3]) -> Option<Way> {
        // In factors: 64 is as far from 128 as 1024 is from 2048.
        let distance = |other: &[u64; 3]| -> f64 {
            let pairs = sizes.iter().zip(other);
            pairs.map(|(a, b)| (*a as f64 / *b as f64).ln().abs()).sum()
        };
        let nearest =
            |a: &&([u64; 3], Way), b: &&([u64; 3], Way)| distance(&a.0).total_cmp(&distance(&b.0));
        let (measured, way) = self.products.iter().min_by(nearest)?;
        (distance(measured) <= NEAR).then_some(*way)
    }

    /// # Errors
    /// [`Error::Invalid`] where a fill draws no 1, 2 or 4 blocks side by side, or takes no group of 16 bytes
    /// an invocation or more than 64, a product has a size of 0, its depth comes in no part or in more
    /// than 1024, or a workgroup in no slice or in more than 4.
    pub fn check(&self) -> Result<()> {
        let FillShape { ahead, taken, .. } = self.fill;
        if ![1, 2, 4].contains(&ahead) {
            return Err(Error::invalid("tuning: a fill's blocks side by side", ahead, "1, 2 or 4"));
        }
        if !(1..=64).contains(&taken) {
            return Err(Error::invalid("tuning: a fill's groups", taken, "1 to 64"));
        }
        for (sizes, way) in &self.products {
            if sizes.contains(&0) {
                return Err(Error::invalid("tuning: a product", format!("{sizes:?}"), "no 0"));
            }
            if !(1..=1024).contains(&way.splits) {
                return Err(Error::invalid("tuning: a product's splits", way.splits, "1 to 1024"));
            }
            if !(1..=4).contains(&way.slices) {
                return Err(Error::invalid("tuning: a product's slices", way.slices, "1 to 4"));
            }
        }
        Ok(())
    }
}

/// Where it is kept.
#[cfg(feature = "tuning")]
impl Tuning {
    /// Where what was measured on a device is kept: `fanin/tuning/` in the user's cache folder
    /// (`XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`); none where there is no
    /// such folder.
    pub fn path(device: &str) -> Option<PathBuf> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = device.chars().map(plain).collect();
        Some(dirs::cache_dir()?.join("fanin").join("tuning").join(name + ".json"))
    }

    /// What is kept at a path for a device; none where nothing is, or it does not fit: what cannot be
    /// read is as good as not measured.
    pub fn load(path: &Path, device: &str) -> Option<Tuning> {
        let tuning: Tuning = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        (tuning.device == device && tuning.check().is_ok()).then_some(tuning)
    }

    /// Keeps it at a path, in place of what was there.
    ///
    /// # Errors
    /// [`Error::File`] where that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| Error::file("create", folder, error))?;
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::file("write", path, std::io::Error::other(error)))?;
        file::save(path, text.as_bytes(), true)
    }
}
