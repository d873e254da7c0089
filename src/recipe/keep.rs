//! Tensors that stay as a file has them: copied, not drawn.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::random::Dtype;
use crate::{Error, Result, memory};

/// Where a tensor's elements stand in a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: Arc<Path>,
    /// The first byte of the tensor, counted from the beginning of the file.
    pub offset: u64,
    /// The dtype there.
    pub dtype: Dtype,
    /// Element `i` of the tensor is the file's `i / here * there + i % here`, by these two: the axis whose
    /// rows are copied may have another length there.
    pub(super) rows: [u64; 2],
}

/// Elements that are converted at a time.
const STRETCH: usize = 1 << 20;

impl Kept {
    /// A tensor as a file has it.
    pub(super) fn new(path: Arc<Path>, offset: u64, dtype: Dtype) -> Kept {
        Kept { path, offset, dtype, rows: [u64::MAX; 2] }
    }

    /// The tensor's elements from `first` on in `dtype`, as many as `out` has room for; `file` is the file
    /// once it is open.
    ///
    /// The same dtype is the same bytes. Another is the value rounded to f32 and then to it, as drawn
    /// values are.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Invalid`] for a finite value that `dtype` has no
    /// room for.
    pub(super) fn read(
        &self,
        file: &mut Option<File>,
        name: &str,
        dtype: Dtype,
        first: u64,
        out: &mut [u8],
    ) -> Result<()> {
        let failed = |error| Error::file("read", PathBuf::from(&*self.path), error);
        let file = match file {
            Some(file) => file,
            None => file.insert(File::open(&self.path).map_err(failed)?),
        };
        let size = self.dtype.size();
        let [here, there] = self.rows;
        let element = first / here * there + first % here;
        file.seek(SeekFrom::Start(self.offset + element * size as u64)).map_err(failed)?;
        if dtype == self.dtype {
            return file.read_exact(out).map_err(failed);
        }
        let room = STRETCH.min(out.len() / dtype.size()) * size;
        let mut stored = memory::filled("a stretch of a file", room, 0)?;
        let stretches = (first..).step_by(STRETCH).zip(out.chunks_mut(STRETCH * dtype.size()));
        for (first, out) in stretches {
            let stored = &mut stored[..out.len() / dtype.size() * size];
            file.read_exact(stored).map_err(failed)?;
            convert(self.dtype, stored, dtype, out).map_err(|at| {
                let what = format!("tensor `{name}`, element {}", first + at as u64);
                let value = self.dtype.load(&stored[at * size..]);
                Error::invalid(what, value, format!("a value that {dtype} has room for"))
            })?;
        }
        Ok(())
    }

    /// The same for a tensor in which so many elements stand from one row of an axis's to the next where
    /// `there` stand in the file.
    pub(super) fn resized(&self, here: u64, there: u64) -> Kept {
        Kept { rows: [here, there], ..self.clone() }
    }

    /// The bytes of its `elements`, a stretch of at most `most` of them after another, each with the element
    /// that it begins with.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; what `sink` says.
    pub(super) fn stretches(
        &self,
        elements: u64,
        most: u64,
        mut sink: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let failed = |error| Error::file("read", PathBuf::from(&*self.path), error);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.offset)).map_err(failed)?;
        let size = self.dtype.size();
        let room = most.min(elements) as usize * size;
        let mut stored = memory::filled("a stretch of a file", room, 0)?;
        for first in (0..elements).step_by(most as usize) {
            let stored = &mut stored[..most.min(elements - first) as usize * size];
            file.read_exact(stored).map_err(failed)?;
            sink(first, stored)?;
        }
        Ok(())
    }
}

/// Elements of one floating-point dtype in another; or the first finite one that has no room there.
fn convert(from: Dtype, stored: &[u8], to: Dtype, out: &mut [u8]) -> Result<(), usize> {
    let pairs = stored.chunks_exact(from.size()).zip(out.chunks_exact_mut(to.size()));
    for (at, (stored, out)) in pairs.enumerate() {
        let value = from.load(stored);
        let bits = (value as f32).to_bits();
        to.store(bits, out);
        if value.is_finite() && !to.holds(bits) {
            return Err(at);
        }
    }
    Ok(())
}
