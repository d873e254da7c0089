use super::fill::{ABREAST, TASK, Work, run};
use super::{fill, fill_here};
use crate::Result;
use crate::host::parallel::*;
use crate::random::{Distribution, Dtype, Slice, Stream, check_run};

/// Fills `out` with elements `first..` of a slice, counted in the slice, of the tensor whose stream this is:
/// as [`fill`] draws the tensor, and at its cost an element. On all threads of the current rayon pool.
///
/// A run of the slice that begins or ends within a block of four costs the whole block: runs of hundreds are
/// as good as a fill, and columns that are a single element wide cost several times as much an element.
///
/// # Errors
/// As [`fill`]; and [`Error::Invalid`](crate::Error::Invalid) where the slice ends before `out` does.
pub fn fill_slice(
    stream: &Stream,
    distribution: &Distribution,
    dtype: Dtype,
    slice: &Slice,
    first: u64,
    out: &mut [u8],
) -> Result<()> {
    let work = match begin(stream, distribution, dtype, slice, first, out)? {
        Way::Run(first) => return fill(stream, distribution, dtype, first, out),
        Way::Runs(work) => work,
    };
    let tasks = out.par_chunks_mut(TASK * dtype.size()).enumerate();
    tasks.for_each(|(task, out)| draw(&work, dtype, slice, first + (task * TASK) as u64, out));
    Ok(())
}

/// [`fill_slice`] on this thread, which shows `then` the bytes while the cache holds them.
pub(crate) fn fill_slice_here(
    stream: &Stream,
    distribution: &Distribution,
    dtype: Dtype,
    slice: &Slice,
    first: u64,
    out: &mut [u8],
    mut then: impl FnMut(&[u8]),
) -> Result<()> {
    let work = match begin(stream, distribution, dtype, slice, first, out)? {
        Way::Run(first) => return fill_here(stream, distribution, dtype, first, out, then),
        Way::Runs(work) => work,
    };
    for (task, out) in out.chunks_mut(TASK * dtype.size()).enumerate() {
        draw(&work, dtype, slice, first + (task * TASK) as u64, out);
        then(out);
    }
    Ok(())
}

enum Way {
    /// The elements follow each other from this one on, or are all one.
    Run(u64),
    Runs(Work),
}

fn begin(
    stream: &Stream,
    distribution: &Distribution,
    dtype: Dtype,
    slice: &Slice,
    first: u64,
    out: &[u8],
) -> Result<Way> {
    let work = Work::new(stream, distribution, dtype)?;
    check_run(dtype, 0, out)?;
    let elements = (out.len() / dtype.size()) as u64;
    slice.check_range(first, elements)?;
    let constant = matches!(distribution, Distribution::Constant { .. });
    Ok(match slice.one_run(first..first + elements) {
        Some(first) => Way::Run(first),
        None if constant || elements == 0 => Way::Run(0),
        None => Way::Runs(work),
    })
}

/// Blocks that are drawn at a time, those of several runs where runs are short: a few KiB, in the fastest
/// cache.
const BLOCKS: usize = 128;

/// Bytes that are copied for a short run, whatever its length.
const ROOM: usize = 32;

/// Blocks of the stream, drawn together, of which elements are wanted.
struct Batch {
    blocks: [u64; BLOCKS + ABREAST],
    count: usize,
    /// Where among their elements runs begin, and how many each has there, in the order of the slice.
    runs: [(usize, usize); BLOCKS],
    kept: usize,
    drawn: [u8; BLOCKS * 4 * 8 + ROOM],
}

/// Draws elements `first..` of a slice.
fn draw(work: &Work, dtype: Dtype, slice: &Slice, first: u64, mut out: &mut [u8]) {
    let size = dtype.size();
    let mut batch = Batch {
        blocks: [0; BLOCKS + ABREAST],
        count: 0,
        runs: [(0, 0); BLOCKS],
        kept: 0,
        drawn: [0; BLOCKS * 4 * 8 + ROOM],
    };
    for run in slice.runs(first..first + (out.len() / size) as u64) {
        let (mut first, mut left) = (run.first, run.count);
        while left > 0 {
            if batch.count == BLOCKS {
                out = batch.draw_to(work, size, out);
            }
            let skipped = (first % 4) as usize;
            let most = 4 * (BLOCKS - batch.count) - skipped;
            let taken = left.min(most as u64) as usize;
            batch.runs[batch.kept] = (4 * batch.count + skipped, taken);
            batch.kept += 1;
            let blocks = (skipped + taken).div_ceil(4);
            for (slot, block) in
                batch.blocks[batch.count..].iter_mut().zip(first / 4..).take(blocks)
            {
                *slot = block;
            }
            batch.count += blocks;
            first += taken as u64;
            left -= taken as u64;
        }
    }
    batch.draw_to(work, size, out);
}

impl Batch {
    /// Draws the blocks and writes what is wanted of them to the front of `out`; what is left of it comes
    /// back, and the batch is empty.
    fn draw_to<'a>(&mut self, work: &Work, size: usize, mut out: &'a mut [u8]) -> &'a mut [u8] {
        run(work, &self.blocks, &mut self.drawn[..self.count * 4 * size]);
        for (from, count) in &self.runs[..self.kept] {
            let (from, length) = (&self.drawn[from * size..], count * size);
            match (out.first_chunk_mut::<ROOM>(), from.first_chunk::<ROOM>()) {
                // A length that the compiler knows is sooner copied; what is too much the next run
                // overwrites.
                (Some(out), Some(from)) if length <= ROOM => *out = *from,
                _ => out[..length].copy_from_slice(&from[..length]),
            }
            out = &mut out[length..];
        }
        (self.count, self.kept) = (0, 0);
        out
    }
}
