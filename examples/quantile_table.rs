//! Makes `src/random/table.rs`, the segments of the normal quantile:
//!
//! ```text
//! cargo run --release --example quantile_table > table.rs && mv table.rs src/random/table.rs
//! ```
//!
//! Each segment gets the integer coefficients whose worst error over all its words is least, then
//! the joins are nudged until the whole is monotone. A table that differs from the one in the
//! repository would change every weight ever drawn: `tests/quantile.rs` compares a sample of them.

use fanin::random::quantile::{CURVE_SHIFT, FRACTIONAL_BITS, SEGMENTS, evaluate, exact_size};
use rayon::prelude::*;

const LATTICE: f64 = (1u64 << FRACTIONAL_BITS) as f64;
const ONE: f64 = 65_536.0;

/// One segment: `x = m + 32` in `start..start + width`, seen through a 16-bit fraction.
struct Segment {
    start: u64,
    width: u64,
}

impl Segment {
    fn new(index: usize) -> Self {
        let octave = index / 32 + 5;
        let width = 1u64 << (octave - 5);
        Segment { start: (32 + index as u64 % 32) << (octave - 5), width }
    }

    /// The values that the fraction takes.
    fn fractions(&self) -> impl Iterator<Item = u32> + Clone {
        (0..0x1_0000).step_by((ONE as u64 / self.width.min(1 << 16)) as usize)
    }

    /// The largest and smallest exact size, in lattice units, among the words that share `t`.
    fn exact(&self, t: u32) -> (f64, f64) {
        let at = |x: u64| exact_size(x as f64 - 32.0) * LATTICE;
        let first = self.start + ((u64::from(t) * self.width) >> 16);
        let last = (first + (self.width >> 16).max(1) - 1).min((1 << 31) + 31);
        (at(first), at(last))
    }
}

/// Coefficients before they are packed; `base` is in 1/256 of a lattice unit.
#[derive(Clone, Copy)]
struct Fit {
    base: i64,
    slope: u32,
    curve: u32,
}

impl Fit {
    fn pack(&self) -> [u32; 2] {
        // size = ceil(base - drop - 1/2): the base rounded up, and what that added as `round`.
        let halved = self.base - 128;
        let up = (halved + 255).div_euclid(256);
        let word = (up << 8) | (up * 256 - halved);
        [u32::try_from(word).expect("sizes have 24 bits"), self.slope | self.curve << 16]
    }

    /// What is taken off the base at `t`, in lattice units, before rounding.
    fn drop(&self, t: u32) -> f64 {
        let parabola = (t * (0x1_0000 - t)) >> 14;
        let sum = self.slope * t + ((self.curve * parabola) >> CURVE_SHIFT);
        f64::from(sum) / ONE
    }
}

fn fit(segment: &Segment) -> Fit {
    let exact: Vec<(u32, f64, f64)> = segment
        .fractions()
        .map(|t| {
            let (high, low) = segment.exact(t);
            (t, high, low)
        })
        .collect();
    let middle = |i: usize| 0.5 * (exact[i].1 + exact[i].2);
    let last = exact.len() - 1;
    let (slope, curve) = match last {
        // One word, or one cell: only the base counts.
        0 => (0.0, 0.0),
        1 => ((middle(0) - middle(1)) * ONE / f64::from(exact[1].0), 0.0),
        _ => {
            // The quadratic through three points near the Chebyshev nodes of the segment.
            let node = |c: f64| ((0.5 + 0.5 * c) * last as f64).round() as usize;
            let [i, j, k] = [node(-0.866_025), node(0.0), node(0.866_025)];
            let tau = |i: usize| f64::from(exact[i].0) / ONE;
            let first = (middle(j) - middle(i)) / (tau(j) - tau(i));
            let second = (middle(k) - middle(j)) / (tau(k) - tau(j));
            let curve = (second - first) / (tau(k) - tau(i));
            let linear = first - curve * (tau(i) + tau(j));
            (-(linear + curve), curve.max(0.0))
        }
    };
    let scaled = curve * f64::from(1u32 << (CURVE_SHIFT - 2));
    // Of the integers around, those whose errors span least; the base then centres the span.
    let (mut best, mut best_span) = (None, f64::INFINITY);
    for slope in around(slope, 1) {
        for curve in around(scaled, 24) {
            let mut candidate = Fit { base: 0, slope, curve };
            let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
            for &(t, high, low) in &exact {
                let drop = candidate.drop(t);
                most = most.max(high + drop);
                least = least.min(low + drop);
                if most - least >= best_span {
                    break;
                }
            }
            if most - least < best_span {
                best_span = most - least;
                candidate.base = (128.0 * (most + least)).round() as i64;
                best = Some(candidate);
            }
        }
    }
    best.expect("some candidate spans less than infinity")
}

fn around(value: f64, reach: i64) -> impl Iterator<Item = u32> {
    let nearest = value.round() as i64;
    (-reach..=reach).filter_map(move |d| u32::try_from(nearest + d).ok()).filter(|&v| v < 0x1_0000)
}

fn main() {
    let segments: Vec<Segment> = (0..SEGMENTS).map(Segment::new).collect();
    let mut fits: Vec<Fit> = segments.par_iter().map(fit).collect();

    // Monotone over the joins: where a segment would end below the next one's start, the two share
    // the correction by 1/256 units.
    let mut nudges = 0;
    loop {
        let before = nudges;
        for i in 1..SEGMENTS {
            let last = segments[i - 1].fractions().last().expect("a segment has a word");
            let mut lower_next = nudges % 2 == 0;
            while evaluate(fits[i - 1].pack(), last) < evaluate(fits[i].pack(), 0) {
                let (fit, by) = if lower_next { (i, -1) } else { (i - 1, 1) };
                fits[fit].base += by;
                lower_next = !lower_next;
                nudges += 1;
            }
        }
        if nudges == before {
            break;
        }
    }
    eprintln!("{nudges} nudges of 1/256 unit");

    println!("// Made by `cargo run --release --example quantile_table`; do not edit.");
    println!();
    println!("/// The number of segments: 26 octaves of 32, and the middle.");
    println!("pub const SEGMENTS: usize = {SEGMENTS};");
    println!();
    println!("/// `[base << 8 | round, curve << 16 | slope]` of each segment.");
    println!("#[rustfmt::skip]");
    println!("pub static TABLE: [[u32; 2]; SEGMENTS] = [");
    for row in fits.chunks(4) {
        let row: Vec<String> = row
            .iter()
            .map(|fit| {
                let [base, slope] = fit.pack();
                format!("[0x{base:08X}, 0x{slope:08X}],")
            })
            .collect();
        println!("    {}", row.join(" "));
    }
    println!("];");
}
