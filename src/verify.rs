//! Does a device keep the contract of the drawn numbers? Known answers, bit for bit against the
//! definition, the corners of counters and buffers, and statistics.

#[cfg(feature = "train")]
pub mod training;

use crate::device::{Draw, Piece};
use crate::gpu::{Context, Tensor};
use crate::host::parallel::*;
use crate::random::{Distribution, Dtype, Slice, Stream, philox};
use crate::{Result, Shape, cpu, statistics};

/// One thing that was checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What.
    pub name: String,
    /// Over how many values.
    pub values: u64,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// Every distribution, with parameters that are no powers of two, and every dtype that it comes in.
pub fn cases() -> Vec<(&'static str, Distribution, Dtype)> {
    let sampled = [
        ("uniform (-b, b)", Distribution::symmetric(0.036)),
        ("uniform [low, high)", Distribution::Uniform { low: -0.3, high: 1.1 }),
        ("normal", Distribution::normal(0.02)),
        ("normal with mean", Distribution::Normal { mean: 0.1, std: 0.7 }),
        ("truncated normal", Distribution::truncated_normal(0.02, 2.0)),
        ("truncated with mean", Distribution::TruncatedNormal { mean: -0.5, std: 0.3, cut: 1.25 }),
        ("constant", Distribution::Constant { value: 0.01 }),
    ];
    let sampled = sampled
        .into_iter()
        .flat_map(|(name, distribution)| Dtype::SAMPLED.map(|dtype| (name, distribution, dtype)));
    [("words", Distribution::Words, Dtype::U32)].into_iter().chain(sampled).collect()
}

/// Philox4x32-10's known answers, as Random123's `kat_vectors` has them: counter, key, block.
pub const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    ([0; 4], [0; 2], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
    ([!0; 4], [!0; 2], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
    (
        [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344],
        [0xA409_3822, 0x299F_31D0],
        [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1],
    ),
];

/// The seeds of the statistics: fixed, never chosen anew.
const SEEDS: [u64; 3] = [1, 7, 42];

/// A statistic fails below this.
const ALPHA: f64 = 1e-6;

/// Runs every check that an device can be put to, over `values` values of each case, and hands each
/// to `report` as it is done.
///
/// # Errors
/// Where the device fails; a check that does not hold is no error.
pub fn device(
    device: &dyn Draw,
    values: u64,
    report: &mut dyn FnMut(Check) -> Result<()>,
) -> Result<()> {
    report(known_answers(device)?)?;
    for (name, distribution, dtype) in cases() {
        report(exact(device, name, distribution, dtype, values)?)?;
    }
    report(corners(device)?)?;
    report(slices(device)?)?;
    for seed in SEEDS {
        for check in statistics_of(device, seed)? {
            report(check)?;
        }
    }
    Ok(())
}

/// The zero vector through the device, all three through the definition that the rest is held to.
fn known_answers(device: &dyn Draw) -> Result<Check> {
    let mut wrong = KNOWN
        .iter()
        .filter(|(counter, key, block)| philox::philox4x32_10(*counter, *key) != *block)
        .count();
    let piece = Piece {
        stream: Stream::new(0, 0),
        distribution: Distribution::Words,
        dtype: Dtype::U32,
        slice: None,
        first: 0,
        count: 4,
    };
    let want: Vec<u8> = KNOWN[0].2.iter().flat_map(|word| word.to_le_bytes()).collect();
    device.draw(&[piece], &mut |_, bytes, _| {
        wrong += usize::from(bytes != want);
        Ok(())
    })?;
    Ok(check("Philox known answers".into(), 16, wrong as u64, "blocks"))
}

fn check(name: String, values: u64, wrong: u64, of: &str) -> Check {
    let found = if wrong == 0 { "equal".into() } else { format!("{wrong} {of} differ") };
    Check { name, values, holds: wrong == 0, found }
}

/// How many elements of `bytes` are not what the definition gives.
fn differing(piece: &Piece, bytes: &[u8]) -> Result<u64> {
    const TASK: usize = 1 << 16;
    let size = piece.dtype.size();
    bytes
        .par_chunks(TASK * size)
        .enumerate()
        .map(|(task, got)| {
            let mut want = vec![0; got.len()];
            define(piece, piece.first + (task * TASK) as u64, &mut want)?;
            let pairs = got.chunks_exact(size).zip(want.chunks_exact(size));
            Ok(pairs.filter(|(got, want)| got != want).count() as u64)
        })
        .sum()
}

/// Elements `first..` of what a piece is of, by the definition.
fn define(piece: &Piece, first: u64, mut out: &mut [u8]) -> Result<()> {
    let Piece { stream, distribution, dtype, .. } = piece;
    let Some(slice) = piece.slice else { return distribution.draw(stream, *dtype, first, out) };
    let size = dtype.size();
    for run in slice.runs(first..first + (out.len() / size) as u64) {
        let own;
        (own, out) = out.split_at_mut(run.count as usize * size);
        distribution.draw(stream, *dtype, run.first, own)?;
    }
    Ok(())
}

/// The device's bytes and moments against the definition's.
fn exact(
    device: &dyn Draw,
    name: &str,
    distribution: Distribution,
    dtype: Dtype,
    values: u64,
) -> Result<Check> {
    let stream = Stream::named(SEEDS[1], "verify");
    let pieces =
        split(device, Piece { stream, distribution, dtype, slice: None, first: 0, count: values });
    let (mut wrong, mut off) = (0, 0.0f64);
    device.draw(&pieces, &mut |index, bytes, moments| {
        wrong += differing(&pieces[index], bytes)?;
        if dtype != Dtype::U32 {
            let truth = cpu::moments(dtype, bytes);
            let scale = truth.std() + truth.mean.abs();
            off = off.max((moments.mean - truth.mean).abs() / scale);
            off = off.max((moments.std() - truth.std()).abs() / scale);
        }
        Ok(())
    })?;
    let mut check = check(format!("{name}, {dtype}"), values, wrong, "values");
    // A reduction in f32: some tens of roundings. A constant's moments are of what was asked for, not
    // of what a few bits hold.
    let tolerance = if distribution.std() == 0.0 { 0.01 } else { 1e-5 };
    if off > tolerance {
        check.holds = false;
        check.found += &format!("; measured moments off by {off:.1e}");
    }
    Ok(check)
}

/// Words, and a distribution in every dtype.
fn kinds() -> impl Iterator<Item = (Distribution, Dtype)> {
    let sampled = Dtype::SAMPLED.map(|dtype| (Distribution::normal(0.5), dtype));
    [(Distribution::Words, Dtype::U32)].into_iter().chain(sampled)
}

/// Runs that begin and end anywhere, next to where counters carry.
fn corners(device: &dyn Draw) -> Result<Check> {
    let stream = Stream::new(u64::MAX, 1 << 63);
    let mut pieces = Vec::new();
    for (distribution, dtype) in kinds() {
        for count in [1, 2, 3, 4, 5, 7, 8, 9, 63, 255, 256, 257, 1023] {
            for early in 0..4 {
                // Element 2^34 is the first whose block needs the counter's second word.
                let around = [600, 1 << 34, 1 << 63].map(|middle: u64| middle - count / 2 - early);
                // The last element is 2^64 - 1.
                let at_the_end = 0u64.wrapping_sub(count + early);
                for first in around.into_iter().chain([at_the_end]) {
                    pieces.push(Piece { stream, distribution, dtype, slice: None, first, count });
                }
            }
        }
    }
    compared(device, "carries, odd starts and lengths", &pieces)
}

/// Columns of matrices and a box, one across where counters carry, in parts that begin within their rows.
fn slices(device: &dyn Draw) -> Result<Check> {
    let stream = Stream::named(SEEDS[1], "slices");
    let slice =
        |dims: &[u64], starts: &[u64], sizes: &[u64]| Slice::new(Shape::new(dims)?, starts, sizes);
    let slices = [
        slice(&[300, 9], &[0, 8], &[300, 1])?,
        slice(&[300, 500], &[1, 123], &[299, 41])?,
        slice(&[5, 6, 7, 8, 9], &[1, 2, 1, 3, 2], &[3, 4, 5, 4, 5])?,
        slice(&[1 << 20, 1 << 20], &[(1 << 14) - 9, 12_345], &[20, 163])?,
    ];
    let mut pieces = Vec::new();
    for (distribution, dtype) in kinds() {
        for slice in &slices {
            let (cut, end) = (slice.elements() / 3, slice.elements());
            for (first, count) in [(0, cut), (cut, end - cut)] {
                let slice = Some(slice);
                pieces.push(Piece { stream, distribution, dtype, slice, first, count });
            }
        }
    }
    compared(device, "slices of tensors", &pieces)
}

/// Pieces against the definition.
fn compared(device: &dyn Draw, name: &str, pieces: &[Piece]) -> Result<Check> {
    let (mut wrong, mut values) = (0, 0);
    device.draw(pieces, &mut |index, bytes, _| {
        values += pieces[index].count;
        wrong += differing(&pieces[index], bytes)?;
        Ok(())
    })?;
    Ok(check(name.into(), values, wrong, "values"))
}

fn statistics_of(device: &dyn Draw, seed: u64) -> Result<Vec<Check>> {
    let count = 1 << 20;
    let mut checks = Vec::new();
    for (name, distribution) in [
        ("uniform", Distribution::symmetric(1.0)),
        ("normal", Distribution::normal(1.0)),
        ("truncated normal", Distribution::truncated_normal(1.0, 2.0)),
    ] {
        let stream = Stream::named(seed, "statistics");
        let piece = Piece { stream, distribution, dtype: Dtype::F32, slice: None, first: 0, count };
        let mut sample = Vec::new();
        device.draw(&split(device, piece), &mut |_, bytes, _| {
            let (floats, _) = bytes.as_chunks();
            sample.extend(floats.iter().map(|float| f32::from_le_bytes(*float)));
            Ok(())
        })?;
        let tests = statistics::battery(&distribution, &sample);
        let worst = tests.iter().min_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let Some(worst) = worst else { continue };
        checks.push(Check {
            name: format!("{name}, seed {seed}: {} tests", tests.len()),
            values: count,
            holds: worst.p_value > ALPHA,
            found: format!("least p {:.1e} ({})", worst.p_value, worst.name),
        });
    }
    Ok(checks)
}

fn split<'a>(device: &dyn Draw, piece: Piece<'a>) -> Vec<Piece<'a>> {
    let longest = device.piece_bytes() / piece.dtype.size() as u64;
    let starts = (0..piece.count).step_by(longest as usize);
    starts
        .map(|start| Piece {
            first: piece.first + start,
            count: longest.min(piece.count - start),
            ..piece
        })
        .collect()
}

/// Tensors at any offset of a buffer: their bytes are the definition's, and those around them stay
/// as they were.
///
/// # Errors
/// Where the device fails.
pub fn offsets(context: &Context) -> Result<Check> {
    const BYTES: u64 = 8192;
    let (mut wrong, mut values) = (0, 0);
    let stream = Stream::named(SEEDS[2], "offsets");
    for (_, distribution, dtype) in cases() {
        let size = dtype.size() as u64;
        for (offset, count) in
            [(0, 1), (1, 3), (2, 5), (3, 8), (5, 64), (7, 257), (13, 500), (64, 900), (129, 4)]
        {
            let buffer = Tensor::new(context, Shape::new([BYTES])?, Dtype::U8)?;
            context.write(&buffer, 0, &[0xA5; BYTES as usize])?;
            let shape = Shape::new([count])?;
            let tensor = buffer.within(offset * size, shape, dtype)?;
            let first = offset * 3 + count;
            context.run(|pass| pass.fill_from(&tensor, &stream, &distribution, first))?;
            let got = context.read(&buffer)?;
            let mut want = vec![0xA5; BYTES as usize];
            let inside = (offset * size) as usize..((offset + count) * size) as usize;
            distribution.draw(&stream, dtype, first, &mut want[inside])?;
            wrong += got.iter().zip(&want).filter(|(got, want)| got != want).count() as u64;
            values += count;
        }
    }
    Ok(check("offsets into a buffer, and guards around".into(), values, wrong, "bytes"))
}
