//! Elements counted into bins: the CPU and every adapter, exactly.

use fanin::cpu;
use fanin::op::Histogram;
use fanin::random::Dtype;

use crate::devices::forms;
use crate::reduce::{noise, rounded, upload};

/// By the definition: the last edge at or left of each element.
fn counted(x: &[f32], edges: &[f32]) -> Histogram {
    let bins = edges.len() - 1;
    let mut want =
        Histogram { edges: edges.to_vec(), counts: vec![0; bins], below: 0, above: 0, nan: 0 };
    for x in x {
        match edges.partition_point(|edge| edge <= x) {
            _ if x.is_nan() => want.nan += 1,
            0 => want.below += 1,
            _ if *x > edges[bins] => want.above += 1,
            after => want.counts[after.min(bins + 1).min(bins) - 1] += 1,
        }
    }
    want
}

#[test]
fn histograms_are_exact() {
    for (elements, low, high, bins) in [
        (1usize, -1.0f32, 1.0f32, 1usize),
        (65, -1.0, 1.0, 10),
        (257, -0.5, 0.7, 7),
        (1_000_003, -0.9, 0.9, 256),
        (70_001, -0.001, 0.001, 4096),
        // Edges that f32 cannot tell apart.
        (70_001, 0.5, 0.500_001, 100),
    ] {
        let mut x = noise(elements);
        if elements > 64 {
            (x[0], x[1], x[2]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
            (x[3], x[4]) = (low, high);
        }
        for dtype in [Dtype::F32, Dtype::F16, Dtype::F8E4M3, Dtype::F64] {
            let x = rounded(&x, dtype);
            let what = format!("{dtype} x {elements}, {bins} bins");
            let found = cpu::histogram(&x, low, high, bins).unwrap();
            assert_eq!((found.edges[0], found.edges[bins]), (low, high));
            let want = counted(&x, &found.edges);
            assert_eq!(found, want, "cpu: {what}");
            let all: u64 = want.counts.iter().sum::<u64>() + want.below + want.above + want.nan;
            assert_eq!(all, elements as u64);
            for context in forms() {
                let tensor = upload(context, &x, dtype, 1);
                let found = context.histogram(&tensor, low, high, bins).unwrap();
                assert_eq!(found, want, "{}: {what}", context.name());
            }
        }
    }
    // Thousands of edges that are one float, and every element at them: no walk along them.
    let (x, high) = (vec![1.0f32; 16_384], 1.0 + f32::EPSILON);
    let found = cpu::histogram(&x, 1.0, high, 4096).unwrap();
    let want = counted(&x, &found.edges);
    assert_eq!(found, want);
    for context in forms() {
        let tensor = upload(context, &x, Dtype::F32, 0);
        let found = context.histogram(&tensor, 1.0, high, 4096).unwrap();
        assert_eq!(found, want, "{}", context.name());
    }
    for (low, high, bins) in
        [(1.0, 1.0, 4), (f32::NAN, 1.0, 4), (-3e38, 3e38, 4), (0.0, 1.0, 0), (0.0, 1.0, 5000)]
    {
        assert!(cpu::histogram(&[1.0], low, high, bins).unwrap_err().is_usage());
    }
}
