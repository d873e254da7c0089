//! Summaries, on the CPU and every adapter, against sums in f64.

use fanin::gpu::{Context, Tensor};
use fanin::op::Summary;
use fanin::random::{
    Dtype, f8_e4m3_from_f32, f8_e5m2_from_f32, f32_from_f8_e4m3, f32_from_f8_e5m2,
};
use fanin::wgpu;
use fanin::{Shape, cpu};

use crate::devices::{forms, own_adapters, own_device};

/// 2^-24.
const U: f64 = 5.960_464_477_539_063e-8;

/// By two passes in f64.
fn oracle(x: &[f32]) -> Summary {
    let of = |keep: fn(&f32) -> bool| x.iter().filter(|x| keep(x)).count() as u64;
    let finite: Vec<f64> = x.iter().filter(|x| x.is_finite()).map(|&x| x.into()).collect();
    let count = finite.len() as f64;
    let sum: f64 = finite.iter().sum();
    let mean = sum / count;
    Summary {
        count: x.len() as u64,
        sum,
        mean,
        variance: finite.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count,
        min: finite.iter().copied().fold(f64::NAN, f64::min),
        max: finite.iter().copied().fold(f64::NAN, f64::max),
        norm: finite.iter().map(|x| x * x).sum::<f64>().sqrt(),
        nan: of(|x| x.is_nan()),
        infinite: of(|x| x.is_infinite()),
    }
}

/// As `Context::summary` says, `u` being the rounding of its sums.
fn check(what: &str, found: Summary, want: Summary, u: f64) {
    assert_eq!(
        (found.count, found.nan, found.infinite),
        (want.count, want.nan, want.infinite),
        "{what}"
    );
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
    assert!(same(found.min, want.min) && same(found.max, want.max), "{what}: {found:?}, {want:?}");
    if want.nan + want.infinite == want.count {
        assert!(found.mean.is_nan() && found.variance.is_nan(), "{what}: {found:?}");
        assert_eq!((found.sum, found.norm), (0.0, 0.0), "{what}");
        return;
    }
    // The oracle's own sums lose up to 2^-53 of the sum of sizes at each of n steps, in chance order
    // about the root of that.
    let own = 1e-13 * want.max.abs().max(want.min.abs());
    let off = (found.mean - want.mean).abs();
    assert!(off <= 40.0 * u * (want.max - want.min) + own, "{what}: mean off by {off:e}");
    let off = (found.sum - want.sum).abs() / want.count as f64;
    assert!(off <= 40.0 * u * (want.max - want.min) + own, "{what}: sum off by {off:e} each");
    let off = (found.variance - want.variance).abs();
    let least = own * own;
    assert!(off <= (64.0 * u + 1e-12) * want.variance + least, "{what}: variance off by {off:e}");
    let off = (found.norm - want.norm).abs();
    assert!(off <= (64.0 * u + 1e-12) * want.norm, "{what}: norm off by {off:e}");
}

pub fn upload(context: &Context, x: &[f32], dtype: Dtype, offset: usize) -> Tensor {
    let mut bytes = vec![0xFF; offset * dtype.size()];
    bytes.extend(x.iter().flat_map(|x| encode(*x, dtype)));
    // What lies beyond is NaN too.
    bytes.resize(bytes.len().next_multiple_of(4) + 8, 0xFF);
    let shape = Shape::new([bytes.len() as u64 / 4]).unwrap();
    let whole = Tensor::new(context, shape, Dtype::U32).unwrap();
    context.write(&whole, 0, &bytes).unwrap();
    let shape = Shape::new([x.len() as u64]).unwrap();
    whole.within((offset * dtype.size()) as u64, shape, dtype).unwrap()
}

fn encode(x: f32, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::Bf16 => half::bf16::from_f32(x).to_le_bytes().to_vec(),
        Dtype::F16 => half::f16::from_f32(x).to_le_bytes().to_vec(),
        Dtype::F8E4M3 => vec![f8_e4m3_from_f32(x.to_bits())],
        Dtype::F8E5M2 => vec![f8_e5m2_from_f32(x.to_bits())],
        Dtype::F64 => f64::from(x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    }
}

/// What the dtype makes of them.
pub fn rounded(x: &[f32], dtype: Dtype) -> Vec<f32> {
    let round = |x: &f32| match dtype {
        Dtype::Bf16 => half::bf16::from_f32(*x).to_f32(),
        Dtype::F16 => half::f16::from_f32(*x).to_f32(),
        Dtype::F8E4M3 => f32_from_f8_e4m3(f8_e4m3_from_f32(x.to_bits())),
        Dtype::F8E5M2 => f32_from_f8_e5m2(f8_e5m2_from_f32(x.to_bits())),
        _ => *x,
    };
    x.iter().map(round).collect()
}

/// In -1..1, of no pattern that a sum could profit from.
pub fn noise(elements: usize) -> Vec<f32> {
    (0..elements as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn everywhere(what: &str, x: &[f32], dtype: Dtype, offset: usize) {
    let x = rounded(x, dtype);
    let want = oracle(&x);
    check(&format!("cpu: {what}"), cpu::summary(&x), want, 1e-15);
    for context in forms() {
        let tensor = upload(context, &x, dtype, offset);
        let found = context.summary(&tensor).unwrap();
        check(&format!("{}: {what}", context.name()), found, want, U);
        let again = context.summary(&tensor).unwrap();
        assert_eq!(format!("{found:?}"), format!("{again:?}"), "{what}: another order");
    }
}

#[test]
fn summaries_are_f64s_at_any_size() {
    for elements in [1, 2, 3, 5, 63, 64, 65, 257, 16_383, 16_385, 1_000_003] {
        for dtype in Dtype::SAMPLED {
            everywhere(&format!("{dtype} x {elements}"), &noise(elements), dtype, 3);
        }
    }
    // More than a turn of every workgroup that there may be.
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F8E5M2, Dtype::F64] {
        everywhere("more than 2^22", &noise((1 << 22) + 77), dtype, 0);
    }
}

/// As the f32s that are nearest: ties to even, and what is beyond them infinite.
#[test]
fn f64s_are_summed_up_as_f32s() {
    let odd = f64::from(1.0f32 + f32::EPSILON);
    let tie = f64::from(f32::EPSILON) / 2.0;
    let mut x = vec![
        1.0 + tie,
        odd + tie,
        1.0 + tie * (1.0 + 1e-9),
        -(odd - tie * (1.0 + 1e-9)),
        0.1,
        -0.3,
        1e300,
        -1e39,
        f64::from(f32::MAX) * (1.0 + 2f64.powi(-25)),
        f64::from(f32::MAX) * (1.0 + 2f64.powi(-24)),
        f64::NAN,
        -f64::INFINITY,
        f64::from_bits(0x7FF0_0000_0000_0001),
        0.0,
        -0.0,
        1.5e-38,
    ];
    x.extend((0..4000).map(|i| f64::from(i) * 1.000_000_019e-3 - 1.7));
    let want = oracle(&x.iter().map(|x| *x as f32).collect::<Vec<_>>());
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    for context in forms() {
        let shape = Shape::new([x.len() as u64]).unwrap();
        let tensor = Tensor::new(context, shape, Dtype::F64).unwrap();
        context.write(&tensor, 0, &bytes).unwrap();
        check(&format!("f64 on {}", context.name()), context.summary(&tensor).unwrap(), want, U);
        // Each by itself.
        for (index, x) in x.iter().take(16).enumerate() {
            let one = Shape::new([1]).unwrap();
            let one = tensor.within(8 * index as u64, one, Dtype::F64).unwrap();
            let found = context.summary(&one).unwrap();
            let x = *x as f32;
            let counts = (u64::from(x.is_nan()), u64::from(x.is_infinite()));
            assert_eq!((found.nan, found.infinite), counts, "{x:e} on {}", context.name());
            assert!(!x.is_finite() || found.max == f64::from(x), "{x:e}: {found:?}");
        }
    }
}

/// In windows, whose rows together are more than the device binds.
#[test]
fn a_device_that_binds_little_adds_up_as_much() {
    let limits = wgpu::Limits { max_storage_buffer_binding_size: 1 << 18, ..Default::default() };
    let (device, queue) = own_device(&own_adapters()[0], limits);
    let context = Context::from_device(device, queue).unwrap();
    assert_eq!(context.limits().binding, 1 << 18);
    // 36 bytes for each 1,024 of it on a software adapter, in rows that are no whole bindings.
    let x = noise((1 << 21) + 5);
    let tensor = upload(&context, &x, Dtype::F32, 3);
    check("windows", context.summary(&tensor).unwrap(), oracle(&x), U);
}

#[test]
fn hard_values_keep_their_digits() {
    let noise = noise(40_001);
    let with = |f: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
        noise.iter().enumerate().map(|(i, x)| f(i, *x)).collect()
    };
    for (what, x) in [
        ("a large mean, a small spread", with(&|_, x| 1e4 + x * 0.1)),
        ("all alike", with(&|_, _| 0.1)),
        ("zeros", with(&|_, _| 0.0)),
        ("huge", with(&|_, x| x * 3e38)),
        ("tiny", with(&|_, x| x.signum() * x.abs().max(0.01) * 1e-35)),
        // The mean of f32s that are whole numbers, to a millionth: two f32s hold it on the way.
        ("a huge mean", with(&|i, _| 1e7 + (i % 3) as f32)),
        ("a size for each stretch", with(&|i, x| x * 2f32.powi((i / 999) as i32 % 200 - 100))),
        ("one far out, the last", with(&|i, x| if i == 40_000 { -1e6 } else { x * 1e-3 })),
        ("one number among NaN", with(&|i, _| if i == 30_000 { 0.5 } else { f32::NAN })),
        ("one far out, the first of its row", with(&|i, x| if i == 0 { 1e6 } else { x * 1e-3 })),
        ("NaN here and there", with(&|i, x| if i % 7 == 0 { f32::NAN } else { x })),
        ("nothing but NaN", with(&|_, _| -f32::NAN)),
        (
            "infinities, a row of NaN",
            with(&|i, x| match i {
                0 | 77 => f32::INFINITY,
                40_000 => f32::NEG_INFINITY,
                16_384.. => f32::NAN,
                _ => x,
            }),
        ),
    ] {
        everywhere(what, &x, Dtype::F32, 0);
    }
    // Every number of 8 bits: subnormals, NaN, and of one kind infinities.
    for (dtype, value) in
        [(Dtype::F8E4M3, f32_from_f8_e4m3 as fn(u8) -> f32), (Dtype::F8E5M2, f32_from_f8_e5m2)]
    {
        let all: Vec<f32> = (0..=u8::MAX).map(value).collect();
        everywhere(&format!("every {dtype}"), &all, dtype, 5);
    }
    assert_eq!(cpu::summary(&[]).count, 0);
    let context = &forms()[0];
    let words = Tensor::new(context, Shape::new([4]).unwrap(), Dtype::U32).unwrap();
    assert!(context.summary(&words).unwrap_err().is_usage());
    assert!(context.histogram(&words, 0.0, 1.0, 4).unwrap_err().is_usage());
}
