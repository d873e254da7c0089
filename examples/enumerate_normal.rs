//! Draws the standard normal of all 2^32 words and holds it to the contract's limits:
//!
//! ```text
//! cargo run --release --example enumerate_normal
//! ```
//!
//! Minutes on a CPU; exits with 1 where a limit does not hold.

use std::process::ExitCode;

use fanin::random::quantile::{FRACTIONAL_BITS, exact_size, fixed};
use rayon::prelude::*;

const LATTICE: f64 = (1u64 << FRACTIONAL_BITS) as f64;
const CHUNK: u64 = 1 << 20;

/// What one run of words `2^31 + m` downwards from the middle adds up to.
#[derive(Clone, Copy, Default)]
struct Sums {
    worst: f64,
    worst_word: u32,
    wrong_way: u64,
    largest_wrong_step: i64,
    asymmetric: u64,
    over_24_bits: u64,
    square: f64,
    fourth: f64,
    reach: i32,
}

fn chunk(first: u64) -> Sums {
    let mut sums = Sums::default();
    for m in first..first + CHUNK {
        let m = m as u32;
        let (low, high) = (fixed(m), fixed(!m));
        sums.asymmetric += u64::from(low != -high);
        sums.over_24_bits += u64::from(high >= 1 << 24);
        // The word above m is m + 1, up to the middle, where it is 2^31.
        let step = i64::from(fixed(m + 1)) - i64::from(low);
        if step < 0 {
            sums.wrong_way += 1;
            sums.largest_wrong_step = sums.largest_wrong_step.max(-step);
        }
        let z = f64::from(high) / LATTICE;
        let error = (z - exact_size(f64::from(m))).abs();
        if error > sums.worst {
            (sums.worst, sums.worst_word) = (error, m);
        }
        sums.square += z * z;
        sums.fourth += z * z * z * z;
        sums.reach = sums.reach.max(high);
    }
    sums
}

fn main() -> ExitCode {
    // In order, so that the f64 sums do not depend on the number of threads.
    let sums: Vec<Sums> =
        (0..(1u64 << 31) / CHUNK).into_par_iter().map(|i| chunk(i * CHUNK)).collect();
    let all = sums.iter().fold(Sums::default(), |a, b| Sums {
        worst: a.worst.max(b.worst),
        worst_word: if b.worst > a.worst { b.worst_word } else { a.worst_word },
        wrong_way: a.wrong_way + b.wrong_way,
        largest_wrong_step: a.largest_wrong_step.max(b.largest_wrong_step),
        asymmetric: a.asymmetric + b.asymmetric,
        over_24_bits: a.over_24_bits + b.over_24_bits,
        square: a.square + b.square,
        fourth: a.fourth + b.fourth,
        reach: a.reach.max(b.reach),
    });
    let variance = all.square / (1u64 << 31) as f64;
    let kurtosis = all.fourth / (1u64 << 31) as f64 / (variance * variance);
    let reach = f64::from(all.reach) / LATTICE;
    let limits = [
        (
            "largest error <= 1e-6",
            all.worst <= 1e-6,
            format!("{:.4e} at word {:#010x}", all.worst, all.worst_word),
        ),
        (
            "steps the wrong way: 0",
            all.wrong_way == 0,
            format!("{} (largest {} units)", all.wrong_way, all.largest_wrong_step),
        ),
        (
            "fixed(!word) = -fixed(word), so mean = 0",
            all.asymmetric == 0,
            format!("{} words differ", all.asymmetric),
        ),
        (
            "at most 24 significant bits",
            all.over_24_bits == 0,
            format!("{} words over", all.over_24_bits),
        ),
        (
            "|variance - 1| <= 1e-6",
            (variance - 1.0).abs() <= 1e-6,
            format!("{:+.3e}", variance - 1.0),
        ),
        (
            "|kurtosis - 3| <= 1e-5",
            (kurtosis - 3.0).abs() <= 1e-5,
            format!("{:+.3e}", kurtosis - 3.0),
        ),
        ("reach >= 6.3", reach >= 6.3, format!("{reach:.6}")),
    ];
    println!("all 2^32 words:");
    for (limit, holds, found) in &limits {
        println!("  {} {limit:<42} {found}", if *holds { "ok  " } else { "FAIL" });
    }
    if limits.iter().all(|limit| limit.1) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
