//! The reduction of a tensor to mean and standard deviation, against f64 sums.

use fanin::Shape;
use fanin::cpu;
use fanin::gpu::Tensor;
use fanin::random::{Dtype, f32_from_f8_e4m3, f32_from_f8_e5m2, f32_from_f16};

use crate::devices::forms;

/// Mean and std by two passes in f64 over values decoded here.
fn oracle(dtype: Dtype, bytes: &[u8]) -> (f64, f64) {
    let values: Vec<f64> = match dtype {
        Dtype::F32 => {
            bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::Bf16 => {
            bytes.chunks(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f64()).collect()
        }
        Dtype::F8E4M3 => bytes.iter().map(|b| f32_from_f8_e4m3(*b).into()).collect(),
        Dtype::F8E5M2 => bytes.iter().map(|b| f32_from_f8_e5m2(*b).into()).collect(),
        Dtype::F64 => bytes.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        _ => bytes.chunks(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
    };
    let count = values.len() as f64;
    let mean = sum(&values) / count;
    let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
    (mean, (sum(&squares) / count).sqrt())
}

/// By halves, which rounds each term a few times alone.
fn sum(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [value] => *value,
        _ => {
            let (one, other) = values.split_at(values.len() / 2);
            sum(one) + sum(other)
        }
    }
}

#[test]
fn moments_agree_with_f64() {
    // Sizes around the sixteen of an invocation, a row's least and the next; a large mean with a small
    // spread.
    for elements in [1u64, 2, 3, 15, 16, 17, 255, 257, 4095, 4096, 4097, 65_537, 1_000_003] {
        for dtype in Dtype::SAMPLED {
            let values = (0..elements).map(|i| 8.0 + ((i * 2_654_435_761) % 1000) as f64 * 1e-3);
            let bytes: Vec<u8> = values.flat_map(|value| dtype.constant(value).unwrap()).collect();
            let (mean, std) = oracle(dtype, &bytes);
            let close = |name: &str, got: fanin::op::Moments, tolerance: f64| {
                assert_eq!(got.count, elements, "{name}");
                // Deviations are of the order of 1 here.
                let (a, b) = ((got.mean - mean).abs(), (got.std() - std).abs());
                assert!(a <= tolerance, "{name}, {dtype} x {elements}: mean off by {a}");
                assert!(b <= tolerance, "{name}, {dtype} x {elements}: std off by {b}");
            };
            // f64: 16 roundings a run of eight sums at most matter at 1e-16 each.
            close("cpu", cpu::moments(dtype, &bytes), 1e-12);
            for context in forms() {
                let shape = Shape::new([elements]).unwrap();
                let tensor = Tensor::new(context, shape, dtype).unwrap();
                let mut padded = bytes.clone();
                padded.resize(bytes.len().next_multiple_of(4), 0);
                context.write(&tensor, 0, &padded).unwrap();
                // As `Context::summary` says, of values 1 apart at most; the std, of at most 1/2, goes
                // as the root of the variance.
                let u = 2f64.powi(-24);
                close(&context.name(), context.moments(&tensor).unwrap(), 40.0 * u);
            }
        }
    }
}

/// What is not finite is counted, and leaves no number that would pass for a mean.
#[test]
fn moments_of_what_is_not_finite_are_none() {
    for context in forms() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = vec![1.0f32; 5000];
            x[4321] = bad;
            let tensor = crate::guarded::tensor(context, x.len());
            crate::guarded::write(context, &tensor, &x);
            let found = context.moments(&tensor).unwrap();
            assert_eq!(found.count, 5000);
            assert!(found.mean.is_nan() && found.std().is_nan(), "{}: {found:?}", context.name());
        }
    }
}

#[test]
fn f16_reads_as_the_half_crate_reads_it() {
    for bits in 0..=u16::MAX {
        let (ours, theirs) = (f32_from_f16(bits), half::f16::from_bits(bits).to_f32());
        assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{bits:#06x}");
    }
}
