//! The integer normal quantile against the exact one. `examples/enumerate_normal.rs` draws all 2^32
//! words; here are a sample of them and every segment's ends.

use fanin::random::quantile::{FRACTIONAL_BITS, REACH, SEGMENTS, TABLE, exact_size, fixed};
use statrs::distribution::{ContinuousCDF, Normal};

const LATTICE: f64 = (1u64 << FRACTIONAL_BITS) as f64;

/// `m` where segments begin.
fn joins() -> impl Iterator<Item = u32> {
    (0..SEGMENTS as u32).map(|segment| {
        let octave = segment / 32;
        (((32 + segment % 32) as u64) << octave) as u32 - 32
    })
}

#[test]
fn the_oracle_agrees_with_another() {
    let normal = Normal::standard();
    for m in joins() {
        let tail = (f64::from(m) + 0.5) / 2f64.powi(32);
        let (ours, theirs) = (exact_size(f64::from(m)), -normal.inverse_cdf(tail));
        // statrs promises about 1e-10 here.
        assert!((ours - theirs).abs() < 1e-8, "{m}: {ours} {theirs}");
    }
}

#[test]
fn errors_stay_below_a_millionth_of_a_standard_deviation() {
    let mut worst = 0.0f64;
    let around = joins().flat_map(|join| join.saturating_sub(300)..(join + 300).min(1 << 31));
    for m in (0..1u32 << 31).step_by(4099).chain(around) {
        let (low, high) = (fixed(m), fixed(!m));
        assert_eq!(low, -high, "{m}");
        assert!((0..=REACH).contains(&high) && high < 1 << 24);
        worst = worst.max((f64::from(high) / LATTICE - exact_size(f64::from(m))).abs());
    }
    assert!(worst <= 6.1e-7, "{worst}");
    // Nothing can be nearer than half the lattice; an oracle made of the table would seem to be.
    assert!(worst >= 0.5 / LATTICE, "{worst}");
}

#[test]
fn the_quantile_rises_with_the_word() {
    for join in joins() {
        let mut before = fixed(join.saturating_sub(2000));
        for word in join.saturating_sub(2000)..join + 2000 {
            let z = fixed(word);
            assert!(z >= before, "{word:#x}");
            before = z;
        }
    }
    assert_eq!((fixed(0), fixed(u32::MAX)), (-REACH, REACH));
    assert!(f64::from(REACH) / LATTICE > 6.3);
}

/// What makes every segment monotone: a step of `t` adds `slope`, and the parabola's part takes back
/// at most `curve / 128` and two roundings.
#[test]
fn segments_are_monotone_by_construction() {
    for (segment, [_, slope_curve]) in TABLE.iter().enumerate().skip(64).take(SEGMENTS - 65) {
        let (slope, curve) = (slope_curve & 0xffff, slope_curve >> 16);
        assert!(slope > curve / 128 + 2, "segment {segment}");
    }
}

#[test]
fn a_product_over_the_whole_range_fits_32_bits() {
    for (segment, [base_round, slope_curve]) in TABLE.iter().enumerate() {
        let (slope, curve) = (u64::from(slope_curve & 0xffff), u64::from(slope_curve >> 16));
        assert!(slope * 65_535 + ((curve * 65_536) >> 9) + (255 << 8) <= u64::from(u32::MAX));
        assert!(curve * 65_536 <= u64::from(u32::MAX));
        // The size never falls below 0.
        let drop = (slope * 65_535 + ((base_round & 255) << 8) as u64) >> 16;
        assert!(u64::from(base_round >> 8) >= drop || segment == SEGMENTS - 1, "{segment}");
    }
}
