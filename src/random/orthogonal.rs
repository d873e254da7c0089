//! Orthogonal matrices, uniform under the Haar measure.

use std::sync::atomic::AtomicBool;

use super::whole::go_on;
use super::{Runs, Stream, quantile};
use crate::host::parallel::*;
use crate::{Result, memory};

/// What memory is asked for, in messages.
const WHAT: &str = "an orthogonal matrix";

/// Reflections that are applied together.
const BLOCK: usize = 32;

/// Columns that a task carries through all reflections; what stays in a core's cache.
const PANEL: usize = 64;

/// A tile of the inner kernel: rows of the result by columns.
const TILE: [usize; 2] = [4, 16];

/// A block of reflections as `I - V T V^T` (Schreiber and Van Loan 1989).
struct Reflections {
    /// The first row that they touch: that of their first column.
    first: usize,
    /// `V`, `[rows, BLOCK]` from row `first` on, with rows of 0 to a multiple of the tile's.
    v: Vec<f64>,
    /// `T`, `[BLOCK, BLOCK]`, upper triangular.
    t: Vec<f64>,
    /// The sign that makes the measure Haar's, of each column.
    signs: [f64; BLOCK],
}

/// `[rows, columns]`, row-major: its shorter side's vectors are orthonormal, then times `gain` and
/// rounded to f32.
///
/// With `m` the longer and `n` the shorter side, reflection `k` of `n` is that of the Gaussian vector
/// of elements `k m .. k m + (m - k)` of the box that it is (Stewart 1980): their product's first `n` columns,
/// with the signs of the `R` that it would have, are what Gram and Schmidt make of an `[m, n]` matrix
/// of Gaussians. All of it in f64, each sum in the order of its terms and by the operations `+ - * /
/// sqrt` alone, whatever the threads and the instruction set, so the bits are the same everywhere.
/// About `2 m n^2 - 2 n^3 / 3` multiplications and additions.
///
/// # Errors
/// [`Error::Interrupted`] where `stop` became true, [`Error::Exhausted`] where there is no memory.
pub(super) fn orthogonal(
    stream: &Stream,
    runs: &Runs,
    [rows, columns]: [usize; 2],
    gain: f64,
    stop: &AtomicBool,
) -> Result<Vec<f32>> {
    let (m, n) = (rows.max(columns), rows.min(columns));
    let blocks: Vec<Reflections> = (0..n.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| go_on(stop).and_then(|()| Reflections::new(stream, runs, m, n, block * BLOCK)))
        .collect::<Result<_>>()?;
    let panels: Vec<Vec<f64>> = (0..n.div_ceil(PANEL))
        .into_par_iter()
        .map(|panel| {
            let first = panel * PANEL;
            let length = m.next_multiple_of(TILE[0]) * PANEL;
            let mut q = memory::filled(WHAT, length, 0.0)?;
            for column in first..n.min(first + PANEL) {
                let block = &blocks[column / BLOCK];
                q[column * PANEL + column - first] = block.signs[column % BLOCK];
            }
            // Later reflections leave these columns of the identity as they are.
            let last = n.min(first + PANEL).div_ceil(BLOCK);
            for block in blocks[..last].iter().rev() {
                go_on(stop)?;
                apply(block, &mut q[block.first * PANEL..]);
            }
            Ok(q)
        })
        .collect::<Result<_>>()?;

    let mut out = memory::filled(WHAT, rows * columns, 0f32)?;
    out.par_chunks_mut(columns).enumerate().for_each(|(row, out)| {
        for (column, out) in out.iter_mut().enumerate() {
            let (long, short) = if rows >= columns { (row, column) } else { (column, row) };
            *out = (panels[short / PANEL][long * PANEL + short % PANEL] * gain) as f32;
        }
    });
    Ok(out)
}

impl Reflections {
    fn new(stream: &Stream, runs: &Runs, m: usize, n: usize, first: usize) -> Result<Reflections> {
        // A start between tiles would shift the rows of the panels.
        debug_assert_eq!(first % TILE[0], 0);
        let rows = (m - first).next_multiple_of(TILE[0]);
        let mut v = memory::filled(WHAT, rows * BLOCK, 0.0)?;
        let mut t = vec![0.0; BLOCK * BLOCK];
        let mut signs = [1.0; BLOCK];
        for index in 0..BLOCK.min(n - first) {
            let k = first + index;
            let normals = normals(stream, runs, (k * m) as u64, m - k);
            let norm = normals.iter().fold(0.0, |sum, x| sum + x * x).sqrt();
            let sign = if normals[0] < 0.0 { -1.0 } else { 1.0 };
            signs[index] = -sign;
            for (row, normal) in normals.into_iter().enumerate() {
                v[(index + row) * BLOCK + index] = normal;
            }
            v[index * BLOCK + index] += sign * norm;
            // v^T v, and the inner products with the reflections before.
            let mut products = [0.0; BLOCK];
            for row in v.chunks_exact(BLOCK) {
                for (product, other) in products[..=index].iter_mut().zip(row) {
                    *product += other * row[index];
                }
            }
            let square = products[index];
            let tau = if square > 0.0 { 2.0 / square } else { 0.0 };
            for i in 0..index {
                let sum = (i..index).fold(0.0, |sum, j| sum + t[i * BLOCK + j] * products[j]);
                t[i * BLOCK + index] = -tau * sum;
            }
            t[index * BLOCK + index] = tau;
        }
        Ok(Reflections { first, v, t, signs })
    }
}

/// Standard normals of the contract, exact in f64.
fn normals(stream: &Stream, runs: &Runs, first: u64, count: usize) -> Vec<f64> {
    let scale = 1.0 / f64::from(1u32 << quantile::FRACTIONAL_BITS);
    let words = runs.stretches(first, count as u64).flat_map(|(first, length)| {
        let (start, end) = (first / 4, (first + length).div_ceil(4));
        let words = (start..end).flat_map(|block| stream.block(block));
        words.skip((first % 4) as usize).take(length as usize)
    });
    words.map(|word| f64::from(quantile::fixed(word)) * scale).collect()
}

/// `C -= V (T (V^T C))`, `C` being `[rows, PANEL]`: one body, compiled once an instruction set. Fused
/// multiplication and addition is not among the features, and Rust does not fuse on its own.
#[allow(unsafe_code)]
fn apply(block: &Reflections, c: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn apply_avx512(block: &Reflections, c: &mut [f64]) {
            apply_plain(block, c);
        }
        #[target_feature(enable = "avx2")]
        fn apply_avx2(block: &Reflections, c: &mut [f64]) {
            apply_plain(block, c);
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected.
            return unsafe { apply_avx512(block, c) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected.
            return unsafe { apply_avx2(block, c) };
        }
    }
    apply_plain(block, c);
}

#[inline(always)]
fn apply_plain(block: &Reflections, c: &mut [f64]) {
    let rows = block.v.len() / BLOCK;
    let mut w = [0.0; BLOCK * PANEL];
    for i in (0..BLOCK).step_by(TILE[0]) {
        for p in (0..PANEL).step_by(TILE[1]) {
            let a = |k: usize, t: usize| block.v[k * BLOCK + i + t];
            let sums = tile(rows, a, &c[p..]);
            for (t, sums) in sums.iter().enumerate() {
                w[(i + t) * PANEL + p..][..TILE[1]].copy_from_slice(sums);
            }
        }
    }
    let mut x = [0.0; BLOCK * PANEL];
    for i in 0..BLOCK {
        for j in i..BLOCK {
            let t = block.t[i * BLOCK + j];
            for p in 0..PANEL {
                x[i * PANEL + p] += t * w[j * PANEL + p];
            }
        }
    }
    for row in (0..rows).step_by(TILE[0]) {
        for p in (0..PANEL).step_by(TILE[1]) {
            let a = |k: usize, t: usize| block.v[(row + t) * BLOCK + k];
            let sums = tile(BLOCK, a, &x[p..]);
            for (t, sums) in sums.iter().enumerate() {
                let c = &mut c[(row + t) * PANEL + p..][..TILE[1]];
                c.iter_mut().zip(sums).for_each(|(c, sum)| *c -= sum);
            }
        }
    }
}

/// `sum_k a(k, t) b[k, p]`, each in the order of `k`.
#[inline(always)]
fn tile(depth: usize, a: impl Fn(usize, usize) -> f64, b: &[f64]) -> [[f64; TILE[1]]; TILE[0]] {
    let mut sums = [[0.0; TILE[1]]; TILE[0]];
    for k in 0..depth {
        let b = &b[k * PANEL..][..TILE[1]];
        for (t, sums) in sums.iter_mut().enumerate() {
            let a = a(k, t);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::whole::NEVER;

    #[test]
    fn bits_depend_on_neither_threads_nor_instruction_set() {
        let stream = Stream::named(7, "orthogonal");
        let draw = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| orthogonal(&stream, &Runs::WHOLE, [200, 130], 1.0, &NEVER).unwrap())
        };
        let one = draw(1);
        assert_eq!(one, draw(3));
        // What apply chose against the plain body.
        let block = Reflections::new(&stream, &Runs::WHOLE, 200, 130, 32).unwrap();
        let start: Vec<f64> =
            (0..block.v.len() / BLOCK * PANEL).map(|i| (i as f64).sin()).collect();
        let (mut chosen, mut plain) = (start.clone(), start);
        apply(&block, &mut chosen);
        apply_plain(&block, &mut plain);
        assert!(chosen.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    /// `cargo test --release --lib orthogonal_of_4096 -- --ignored --nocapture`
    #[test]
    #[ignore = "for people: a timing"]
    fn orthogonal_of_4096() {
        let start = std::time::Instant::now();
        let q = orthogonal(&Stream::named(0, "w"), &Runs::WHOLE, [4096; 2], 1.0, &NEVER).unwrap();
        println!("{:.2} s, {}", start.elapsed().as_secs_f64(), q[0]);
    }
}
