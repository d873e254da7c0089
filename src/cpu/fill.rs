use rayon::prelude::*;

use crate::Result;
use crate::random::{
    Distribution, Dtype, Kind, Sampler, Stream, bf16_from_f32, check_run, f16_from_f32, philox,
};

/// Blocks that are drawn side by side.
const LANES: usize = 16;

/// Elements that are drawn side by side.
const ELEMENTS: usize = 4 * LANES;

/// Elements a task: large enough to be worth a thread, small enough for its cache.
const TASK: usize = 1 << 15;

/// Fills `out` with elements `first..` of `stream`, drawn from `distribution` in `dtype`,
/// little-endian, on all threads of the current rayon pool.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where the distribution's parameters are off, it does not come in the dtype,
/// or `out` is no whole number of elements or goes beyond the stream's 2^64.
pub fn fill(
    stream: &Stream,
    distribution: &Distribution,
    dtype: Dtype,
    first: u64,
    out: &mut [u8],
) -> Result<()> {
    distribution.check_dtype(dtype)?;
    let (sampler, size) = (Sampler::new(distribution)?, dtype.size());
    check_run(dtype, first, out)?;
    if let Distribution::Constant { value } = distribution {
        let element = dtype.constant(*value)?;
        out.par_chunks_mut(TASK * size).for_each(|task| {
            task.chunks_exact_mut(size).for_each(|slot| slot.copy_from_slice(&element));
        });
        return Ok(());
    }
    let work = Work { stream: *stream, sampler, dtype };
    // Tasks begin at multiples of 4 in the stream, save the first: no block is drawn twice.
    let head = ((4 - first % 4) % 4) as usize * size;
    let (head, rest) = out.split_at_mut(head.min(out.len()));
    let mut element = [0; ELEMENTS * 4];
    if !head.is_empty() {
        let skip = (first % 4) as usize * size;
        work.draw(first / 4, &mut element);
        head.copy_from_slice(&element[skip..skip + head.len()]);
    }
    let block = first.div_ceil(4);
    rest.par_chunks_mut(TASK * size).enumerate().for_each(|(task, out)| {
        run(&work, block + (task * TASK / 4) as u64, out);
    });
    Ok(())
}

/// The widest vector instructions that [`fill`] uses on this machine.
pub fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if avx512() {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    if cfg!(target_arch = "aarch64") { "NEON" } else { "portable" }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

struct Work {
    stream: Stream,
    sampler: Sampler,
    dtype: Dtype,
}

impl Work {
    /// Elements `4 * block ..` of the stream, [`ELEMENTS`] of them, into the front of `out`.
    #[inline(always)]
    fn draw(&self, block: u64, out: &mut [u8; ELEMENTS * 4]) {
        match self.sampler.kind {
            Kind::Words => self.draw_as(Kind::Words, block, out),
            Kind::Constant => self.draw_as(Kind::Constant, block, out),
            Kind::Unit => self.draw_as(Kind::Unit, block, out),
            Kind::Symmetric => self.draw_as(Kind::Symmetric, block, out),
            Kind::Normal => self.draw_as(Kind::Normal, block, out),
            Kind::Truncated => self.draw_as(Kind::Truncated, block, out),
        }
    }

    /// With the kind a constant of the loops, once inlined.
    #[inline(always)]
    fn draw_as(&self, kind: Kind, block: u64, out: &mut [u8; ELEMENTS * 4]) {
        let mut counter = [[0; LANES]; 4];
        for lane in 0..LANES {
            let words = self.stream.counter(block.wrapping_add(lane as u64));
            for (row, word) in counter.iter_mut().zip(words) {
                row[lane] = word;
            }
        }
        let words = philox::blocks(counter, self.stream.key());
        let mut bits = [[0u32; LANES]; 4];
        for (bits, words) in bits.iter_mut().zip(&words) {
            for (bits, word) in bits.iter_mut().zip(words) {
                *bits = self.sampler.bits_as(kind, *word);
            }
        }
        match self.dtype {
            Dtype::Bf16 => pack(&bits, bf16_from_f32, out),
            Dtype::F16 => pack(&bits, f16_from_f32, out),
            _ => {
                for lane in 0..LANES {
                    for (word, bits) in bits.iter().enumerate() {
                        let at = 4 * (4 * lane + word);
                        out[at..at + 4].copy_from_slice(&bits[lane].to_le_bytes());
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn run(&self, mut block: u64, out: &mut [u8]) {
        let bytes = ELEMENTS * self.dtype.size();
        let mut drawn = [0; ELEMENTS * 4];
        for out in out.chunks_mut(bytes) {
            self.draw(block, &mut drawn);
            out.copy_from_slice(&drawn[..out.len()]);
            block = block.wrapping_add(LANES as u64);
        }
    }
}

#[inline(always)]
fn pack(bits: &[[u32; LANES]; 4], round: impl Fn(u32) -> u16, out: &mut [u8; ELEMENTS * 4]) {
    for lane in 0..LANES {
        for (word, bits) in bits.iter().enumerate() {
            let at = 2 * (4 * lane + word);
            out[at..at + 2].copy_from_slice(&round(bits[lane]).to_le_bytes());
        }
    }
}

/// One body, compiled once an instruction set; the compiler makes the lanes vectors.
#[allow(unsafe_code)]
fn run(work: &Work, block: u64, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
        fn run_avx512(work: &Work, block: u64, out: &mut [u8]) {
            work.run(block, out);
        }
        #[target_feature(enable = "avx2")]
        fn run_avx2(work: &Work, block: u64, out: &mut [u8]) {
            work.run(block, out);
        }
        if avx512() {
            // SAFETY: the features were detected.
            return unsafe { run_avx512(work, block, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected.
            return unsafe { run_avx2(work, block, out) };
        }
    }
    work.run(block, out);
}
