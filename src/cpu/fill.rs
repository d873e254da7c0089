use super::lanes::{self, Lanes};
use crate::Result;
use crate::host::parallel::*;
use crate::random::quantile::{CURVE_SHIFT, TABLE};
use crate::random::{
    Distribution, Dtype, Kind, Sampler, Stream, bf16_from_f32, check_run, f8_e4m3_from_f32,
    f8_e5m2_from_f32, f16_from_f32, f64_from_f32, philox,
};

/// Elements a task: large enough to be worth a thread, small enough for its cache.
pub(super) const TASK: usize = 1 << 14;

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
    let (tasks, _, rest) = Tasks::begin(stream, distribution, dtype, first, out)?;
    rest.par_chunks_mut(TASK * dtype.size())
        .enumerate()
        .for_each(|(task, out)| tasks.draw(task, out));
    Ok(())
}

/// [`fill`] on this thread, which shows `then` the bytes while the cache holds them.
pub(crate) fn fill_here(
    stream: &Stream,
    distribution: &Distribution,
    dtype: Dtype,
    first: u64,
    out: &mut [u8],
    mut then: impl FnMut(&[u8]),
) -> Result<()> {
    let (tasks, head, rest) = Tasks::begin(stream, distribution, dtype, first, out)?;
    then(head);
    for (task, out) in rest.chunks_mut(TASK * dtype.size()).enumerate() {
        tasks.draw(task, out);
        then(out);
    }
    Ok(())
}

/// A run of elements, of which each [`TASK`] of them can be drawn alone.
struct Tasks {
    work: Work,
    /// The stream's block that the first begins with.
    block: u64,
    /// The element that they all are.
    constant: Option<Vec<u8>>,
}

impl Tasks {
    /// Checks everything and parts `out` into elements up to a block's end, which it draws, and those
    /// that the tasks are of: no block is drawn twice.
    fn begin<'a>(
        stream: &Stream,
        distribution: &Distribution,
        dtype: Dtype,
        first: u64,
        out: &'a mut [u8],
    ) -> Result<(Tasks, &'a [u8], &'a mut [u8])> {
        let (work, size) = (Work::new(stream, distribution, dtype)?, dtype.size());
        check_run(dtype, first, out)?;
        if let Distribution::Constant { value } = distribution {
            let constant = Some(dtype.constant(*value)?);
            return Ok((Tasks { work, block: 0, constant }, &[], out));
        }
        let head = ((4 - first % 4) % 4) as usize * size;
        let (head, rest) = out.split_at_mut(head.min(out.len()));
        if !head.is_empty() {
            let mut block = [0; 4 * 8];
            run(&work, first / 4, &mut block[..4 * size]);
            let skip = (first % 4) as usize * size;
            head.copy_from_slice(&block[skip..skip + head.len()]);
        }
        Ok((Tasks { work, block: first.div_ceil(4), constant: None }, head, rest))
    }

    fn draw(&self, task: usize, out: &mut [u8]) {
        match &self.constant {
            Some(element) => {
                out.chunks_exact_mut(element.len()).for_each(|slot| slot.copy_from_slice(element));
            }
            None => run(&self.work, self.block + (task * TASK / 4) as u64, out),
        }
    }
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

/// What a stream's blocks are drawn by, one like the other.
pub(super) struct Work {
    stream: Stream,
    sampler: Sampler,
    dtype: Dtype,
}

/// Words that are drawn side by side at most: two vectors.
const ELEMENTS: usize = 32;

/// Blocks that are drawn side by side at most.
pub(super) const ABREAST: usize = ELEMENTS / 4;

/// Blocks of a stream, one after the other.
pub(super) trait Blocks: Copy {
    /// Block `at`.
    fn one(self, at: usize) -> u64;
    /// Block `at` and those after it, as many as there are 64-bit lanes.
    fn lanes<L: Lanes>(self, at: usize) -> L::Words;
}

/// From this one on.
impl Blocks for u64 {
    #[inline(always)]
    fn one(self, at: usize) -> u64 {
        self.wrapping_add(at as u64)
    }

    #[inline(always)]
    fn lanes<L: Lanes>(self, at: usize) -> L::Words {
        L::count(self.one(at))
    }
}

/// These: of the last some are read that are not drawn, [`ABREAST`] of them at most.
impl<const COUNT: usize> Blocks for &[u64; COUNT] {
    #[inline(always)]
    fn one(self, at: usize) -> u64 {
        self[at]
    }

    #[inline(always)]
    fn lanes<L: Lanes>(self, at: usize) -> L::Words {
        L::list(self[at..].first_chunk().unwrap_or(&[0; ABREAST]))
    }
}

impl Work {
    /// # Errors
    /// As [`Distribution::check`] and [`Distribution::check_dtype`].
    pub(super) fn new(stream: &Stream, distribution: &Distribution, dtype: Dtype) -> Result<Self> {
        distribution.check_dtype(dtype)?;
        Ok(Work { stream: *stream, sampler: Sampler::new(distribution)?, dtype })
    }

    #[inline(always)]
    fn run<L: Lanes>(&self, blocks: impl Blocks, out: &mut [u8]) {
        match self.sampler.kind {
            Kind::Words => self.run_as::<L>(Kind::Words, blocks, out),
            Kind::Constant => self.run_as::<L>(Kind::Constant, blocks, out),
            Kind::Unit => self.run_as::<L>(Kind::Unit, blocks, out),
            Kind::Symmetric => self.run_as::<L>(Kind::Symmetric, blocks, out),
            Kind::Normal => self.run_as::<L>(Kind::Normal, blocks, out),
            Kind::Truncated => self.run_as::<L>(Kind::Truncated, blocks, out),
        }
    }

    /// Element after element, where there are no vector instructions of ours. The compiler's own, made of
    /// lanes that were arrays, were wrong in three of sixteen elements where it built incrementally
    /// (rustc 1.95).
    #[cfg_attr(target_arch = "aarch64", allow(dead_code))]
    fn run_by_definition(&self, blocks: impl Blocks, out: &mut [u8]) {
        let size = self.dtype.size();
        for (at, out) in out.chunks_mut(4 * size).enumerate() {
            let words = self.stream.block(blocks.one(at));
            for (slot, word) in out.chunks_exact_mut(size).zip(words) {
                self.dtype.store(self.sampler.bits(word), slot);
            }
        }
    }

    /// With the kind a constant of the loops, once inlined.
    #[inline(always)]
    fn run_as<L: Lanes>(&self, kind: Kind, blocks: impl Blocks, out: &mut [u8]) {
        let (count, size) = (2 * L::COUNT, self.dtype.size());
        for (at, out) in out.chunks_mut(count * size).enumerate() {
            let mut drawn = [0; ELEMENTS];
            self.draw::<L>(kind, blocks.lanes::<L>(at * count / 4), &mut drawn);
            match self.dtype {
                Dtype::Bf16 => put(out, &drawn[..count], |bits| bf16_from_f32(bits).to_le_bytes()),
                Dtype::F16 => put(out, &drawn[..count], |bits| f16_from_f32(bits).to_le_bytes()),
                Dtype::F8E4M3 => put(out, &drawn[..count], |bits| [f8_e4m3_from_f32(bits)]),
                Dtype::F8E5M2 => put(out, &drawn[..count], |bits| [f8_e5m2_from_f32(bits)]),
                Dtype::F64 => put(out, &drawn[..count], |bits| f64_from_f32(bits).to_le_bytes()),
                _ => put(out, &drawn[..count], u32::to_le_bytes),
            }
        }
    }

    /// The elements of blocks, two vectors of them, as bits.
    #[inline(always)]
    fn draw<L: Lanes>(&self, kind: Kind, blocks: L::Words, drawn: &mut [u32; ELEMENTS]) {
        let [c0, c1, c2, c3] = words::<L>(&self.stream, blocks);
        // Pairs of a block in a 64-bit lane each: all that the zip has to do.
        let first = self.sample::<L>(kind, L::blend(c0, L::even(c1)));
        let second = self.sample::<L>(kind, L::blend(c2, L::even(c3)));
        for (vector, at) in L::zip(first, second).into_iter().zip([0, L::COUNT]) {
            let mut stored = [0; 16];
            L::store(vector, &mut stored);
            drawn[at..at + L::COUNT].copy_from_slice(&stored[..L::COUNT]);
        }
    }

    /// [`Sampler::bits_as`] of each lane.
    #[inline(always)]
    fn sample<L: Lanes>(&self, kind: Kind, words: L::Words) -> L::Words {
        let Sampler { scale, shift, low_word, .. } = self.sampler;
        let integers = match kind {
            Kind::Words => return words,
            Kind::Constant => return L::splat(shift.to_bits()),
            Kind::Unit => L::shr::<8>(words),
            Kind::Symmetric => {
                let odd = L::add(L::shl::<1>(L::shr::<9>(words)), L::splat(1));
                L::sub(odd, L::splat(1 << 23))
            }
            Kind::Normal => quantile::<L>(words),
            Kind::Truncated => {
                let inside = L::splat((2 * low_word).wrapping_neg());
                let even = L::odd(L::wide(words, inside));
                let odd = L::wide(L::odd(words), inside);
                quantile::<L>(L::add(L::splat(low_word), L::blend(even, odd)))
            }
        };
        L::scale(integers, scale, shift)
    }
}

/// The four words of `L::COUNT / 2` blocks, each in the even lanes; the odd ones hold anything.
#[inline(always)]
fn words<L: Lanes>(stream: &Stream, blocks: L::Words) -> [L::Words; 4] {
    let (id, key) = (stream.id_words(), stream.key());
    let m = philox::MULTIPLIERS.map(L::splat);
    let mut c0 = blocks;
    let mut c1 = L::odd(c0);
    let [mut c2, mut c3] = id.map(L::splat);
    for round in 0..philox::ROUNDS {
        let [k0, k1] = philox::round_key(key, round).map(L::splat);
        let (p0, p1) = (L::wide(c0, m[0]), L::wide(c2, m[1]));
        c0 = L::xor(L::xor(L::odd(p1), c1), k0);
        c2 = L::xor(L::xor(L::odd(p0), c3), k1);
        (c1, c3) = (p1, p0);
    }
    [c0, c1, c2, c3]
}

/// [`quantile::fixed`](crate::random::quantile::fixed) of each lane.
#[inline(always)]
fn quantile<L: Lanes>(words: L::Words) -> L::Words {
    let x = L::add(L::min(words, L::xor(words, L::splat(u32::MAX))), L::splat(32));
    let leading_zeros = L::leading_zeros(x);
    let y = L::shl_each(x, leading_zeros);
    let octave = L::shl::<5>(L::sub(L::splat(25), leading_zeros));
    let [base_round, slope_curve] = L::rows(&TABLE, L::add(octave, L::shr::<26>(y)));
    let low = L::splat(0xFFFF);
    let t = L::and(L::shr::<10>(y), low);
    let parabola = L::shr::<14>(L::mul(t, L::sub(L::splat(1 << 16), t)));
    let slope = L::mul(L::and(slope_curve, low), t);
    let curve = L::shr::<CURVE_SHIFT>(L::mul(L::shr::<16>(slope_curve), parabola));
    let round = L::shl::<8>(L::and(base_round, L::splat(0xFF)));
    let drop = L::shr::<16>(L::add(L::add(slope, curve), round));
    L::negate_unless(words, L::sub(L::shr::<8>(base_round), drop))
}

#[inline(always)]
fn put<const SIZE: usize>(out: &mut [u8], bits: &[u32], element: impl Fn(u32) -> [u8; SIZE]) {
    if out.len() == SIZE * bits.len() {
        // Of a length that the compiler knows: vectors.
        for (slot, bits) in out.chunks_exact_mut(SIZE).zip(bits) {
            slot.copy_from_slice(&element(*bits));
        }
    } else {
        for (slot, bits) in out.chunks_exact_mut(SIZE).zip(bits) {
            slot.copy_from_slice(&element(*bits));
        }
    }
}

/// One body, compiled once an instruction set.
#[allow(unsafe_code)]
pub(super) fn run(work: &Work, blocks: impl Blocks, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        if avx512() {
            // SAFETY: the features were detected.
            return unsafe { run_avx512(work, blocks, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected.
            return unsafe { run_avx2(work, blocks, out) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    work.run::<lanes::Neon>(blocks, out);
    #[cfg(not(target_arch = "aarch64"))]
    work.run_by_definition(blocks, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn run_avx512(work: &Work, blocks: impl Blocks, out: &mut [u8]) {
    work.run::<lanes::Avx512>(blocks, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(work: &Work, blocks: impl Blocks, out: &mut [u8]) {
    work.run::<lanes::Avx2>(blocks, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of [`run`], by the name of its instructions.
    type Body = (&'static str, fn(&Work, u64, &mut [u8]));

    /// Every body that this machine can run, whichever [`run`] would take.
    #[allow(unsafe_code)]
    fn bodies() -> Vec<Body> {
        let mut bodies: Vec<Body> =
            vec![("portable", |work, block, out| work.run_by_definition(block, out))];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was detected.
                bodies.push(("AVX2", |work, block, out| unsafe { run_avx2(work, block, out) }));
            }
            if avx512() {
                // SAFETY: the features were detected.
                bodies
                    .push(("AVX-512", |work, block, out| unsafe { run_avx512(work, block, out) }));
            }
        }
        #[cfg(target_arch = "aarch64")]
        bodies.push(("NEON", |work, block, out| work.run::<lanes::Neon>(block, out)));
        bodies
    }

    #[test]
    fn every_instruction_set_draws_what_is_defined() {
        let cut = Distribution::TruncatedNormal { mean: 0.5, std: 0.1, cut: 1.5 };
        let cases = [
            (Distribution::Words, Dtype::U32),
            (Distribution::symmetric(0.3), Dtype::F32),
            (Distribution::Uniform { low: 0.1, high: 0.4 }, Dtype::F32),
            (Distribution::normal(0.02), Dtype::F32),
            (Distribution::normal(0.02), Dtype::F16),
            (Distribution::normal(0.02), Dtype::F8E4M3),
            (Distribution::symmetric(0.3), Dtype::F8E5M2),
            (Distribution::normal(0.02), Dtype::F64),
            (cut, Dtype::Bf16),
            (cut, Dtype::F32),
            (cut, Dtype::F8E4M3),
        ];
        // Blocks where a carry goes up, and lengths that end within a vector.
        let stream = Stream::new(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210);
        for (name, body) in bodies() {
            for (distribution, dtype) in cases {
                for (block, elements) in [(0, 70_001), (u64::from(u32::MAX) - 5, 101), (7, 3)] {
                    let sampler = Sampler::new(&distribution).unwrap();
                    let work = Work { stream, sampler, dtype };
                    let mut drawn = vec![0; elements * dtype.size()];
                    let mut defined = drawn.clone();
                    body(&work, block, &mut drawn);
                    distribution.draw(&stream, dtype, 4 * block, &mut defined).unwrap();
                    assert!(drawn == defined, "{name}: {distribution:?} in {dtype}");
                }
            }
        }
    }

    /// The words at which the quantile's lanes could go wrong: both ends of every octave.
    #[test]
    fn every_octave_has_its_leading_zeros() {
        fn check<L: Lanes>(name: &str) {
            for bit in 5..32 {
                for x in [(1u32 << bit) - 1, 1 << bit, (1 << bit) + 31] {
                    let mut found = [0; 16];
                    L::store(L::leading_zeros(L::splat(x)), &mut found);
                    assert_eq!(found[..L::COUNT], vec![x.leading_zeros(); L::COUNT], "{name}: {x}");
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        check::<lanes::Neon>("NEON");
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                check::<lanes::Avx2>("AVX2");
            }
            if avx512() {
                check::<lanes::Avx512>("AVX-512");
            }
        }
    }

    /// Elements a second of each body on one thread:
    /// `cargo test --release --lib bodies_in_cache -- --ignored --nocapture`.
    #[test]
    #[ignore = "prints times"]
    fn bodies_in_cache() {
        for (name, body) in bodies() {
            for (what, distribution, dtype) in [
                ("words", Distribution::Words, Dtype::U32),
                ("uniform", Distribution::symmetric(0.1), Dtype::F32),
                ("normal", Distribution::normal(0.02), Dtype::F32),
                ("truncated", Distribution::truncated_normal(0.02, 2.0), Dtype::F32),
                ("bf16", Distribution::normal(0.02), Dtype::Bf16),
                ("f16", Distribution::normal(0.02), Dtype::F16),
                ("f8_e4m3", Distribution::normal(0.02), Dtype::F8E4M3),
                ("f8_e5m2", Distribution::normal(0.02), Dtype::F8E5M2),
                ("f64", Distribution::normal(0.02), Dtype::F64),
            ] {
                let sampler = Sampler::new(&distribution).unwrap();
                let work = Work { stream: Stream::new(7, 1), sampler, dtype };
                let mut out = vec![0; TASK * dtype.size()];
                let start = std::time::Instant::now();
                for _ in 0..200 {
                    body(&work, 0, std::hint::black_box(&mut out));
                }
                let rate = 200.0 * TASK as f64 / start.elapsed().as_secs_f64();
                println!("{name} {what}: {:.0} M/s", rate / 1e6);
            }
        }
    }
}
