//! Tensors that are drawn as a whole: orthogonal and its kin, against what they are defined by.

use fanin::Shape;
use fanin::init::{Geometry, Init, Role, TransformerPart, catalogue, deepnorm};
use fanin::random::{Distribution, Dtype, Source, Stream, Whole};
use sha2::{Digest, Sha256};

use crate::init::drawn_by_name;
use crate::plain::rounded;

fn drawn(init: &str, dims: &[u64], geometry: &Geometry, seed: u64) -> Vec<f32> {
    let init: Init = init.parse().unwrap();
    let source = init.source(&Shape::new(dims).unwrap(), geometry).unwrap();
    let Source::Whole(whole) = source else { panic!("{init} is drawn element by element") };
    whole.draw(&Stream::named(seed, "w")).unwrap()
}

fn plain() -> Geometry {
    Geometry::default()
}

fn in_out() -> Geometry {
    fanin::Layout::InOut.into()
}

/// Inner products of the vectors of the shorter side are those of the identity. Each is a sum of `m`
/// products of entries that were rounded to f32, so it is off by about 2^-24 times a norm of 1, twice.
#[test]
fn orthogonal_vectors_are_orthonormal() {
    for (rows, columns) in [(1, 1), (1, 9), (9, 1), (64, 64), (130, 70), (70, 130), (257, 255)] {
        let q = drawn("orthogonal", &[rows, columns], &plain(), 3);
        let (rows, columns) = (rows as usize, columns as usize);
        let at = |short: usize, long: usize| {
            f64::from(if rows >= columns {
                q[long * columns + short]
            } else {
                q[short * columns + long]
            })
        };
        let (m, n) = (rows.max(columns), rows.min(columns));
        for a in 0..n {
            for b in 0..=a {
                let product: f64 = (0..m).map(|k| at(a, k) * at(b, k)).sum();
                let wanted = if a == b { 1.0 } else { 0.0 };
                let error = (product - wanted).abs();
                assert!(error <= 2.0 * 2f64.powi(-24), "{rows} x {columns}: {a}, {b}: {error:e}");
            }
        }
    }
}

/// The Haar measure's moments: `E[q^2] = 1/n`, `E[q^4] = 3 / (n (n + 2))`, `E[tr Q] = 0`,
/// `E[(tr Q)^2] = 1`, and as many determinants of either sign. Without the signs of R, the diagonal
/// would be negative on average.
#[test]
fn orthogonal_matrices_are_uniform() {
    const N: usize = 5;
    const COUNT: usize = 20_000;
    let (mut first, mut second, mut fourth, mut trace, mut square, mut positive) =
        (0.0, 0.0, 0.0, 0.0, 0.0, 0);
    for seed in 0..COUNT {
        let q: Vec<f64> = drawn("orthogonal", &[N as u64; 2], &plain(), seed as u64)
            .into_iter()
            .map(f64::from)
            .collect();
        let sum: f64 = (0..N).map(|i| q[i * N + i]).sum();
        trace += sum;
        square += sum * sum;
        first += q[0];
        second += q[0] * q[0];
        fourth += q[0].powi(4);
        positive += usize::from(determinant(q, N) > 0.0);
    }
    let count = COUNT as f64;
    let n = N as f64;
    // Five standard errors each; the variances are those of the moments above, or below 3 times
    // their square.
    let near = |what: &str, sum: f64, wanted: f64, variance: f64| {
        let error = (sum / count - wanted).abs();
        assert!(error <= 5.0 * (variance / count).sqrt(), "{what}: {} for {wanted}", sum / count);
    };
    let of_fourth = 3.0 / (n * (n + 2.0));
    near("E[q]", first, 0.0, 1.0 / n);
    near("E[q^2]", second, 1.0 / n, of_fourth);
    near("E[q^4]", fourth, of_fourth, 105.0 / (n * (n + 2.0) * (n + 4.0) * (n + 6.0)));
    near("E[tr]", trace, 0.0, 1.0);
    near("E[tr^2]", square, 1.0, 3.0);
    near("P(det > 0)", positive as f64, 0.5, 0.25);
}

fn determinant(mut a: Vec<f64>, n: usize) -> f64 {
    let mut product = 1.0;
    for k in 0..n {
        let pivot =
            (k..n).max_by(|x, y| a[x * n + k].abs().total_cmp(&a[y * n + k].abs())).unwrap();
        if pivot != k {
            (0..n).for_each(|c| a.swap(k * n + c, pivot * n + c));
            product = -product;
        }
        product *= a[k * n + k];
        for row in k + 1..n {
            let factor = a[row * n + k] / a[k * n + k];
            (0..n).for_each(|c| a[row * n + c] -= factor * a[k * n + c]);
        }
    }
    product
}

/// Keras flattens all but the last axis, PyTorch all but the first.
#[test]
fn orthogonal_kernels_are_flattened_by_their_layout() {
    let torch = drawn("orthogonal:gain=2", &[6, 3, 2, 2], &plain(), 1);
    assert_eq!(torch, drawn("orthogonal:2", &[6, 12], &plain(), 1));
    let keras = drawn("orthogonal", &[2, 2, 3, 6], &in_out(), 1);
    assert_eq!(keras, drawn("orthogonal", &[12, 6], &plain(), 1));
}

/// What `torch.nn.init.dirac_` and `eye_` give.
#[test]
fn identities_are_torchs() {
    assert_eq!(drawn("identity:3", &[2, 3], &plain(), 0), [3.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
    // dirac_(empty(4, 2, 3), groups=2): w[0, 0, 1] = w[1, 1, 1] = w[2, 0, 1] = w[3, 1, 1] = 1.
    let geometry = Geometry { groups: 2, ..plain() };
    let mut wanted = vec![0f32; 24];
    for (output, input) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        wanted[(output * 2 + input) * 3 + 1] = 1.0;
    }
    assert_eq!(drawn("dirac", &[4, 2, 3], &geometry, 0), wanted);
    // Even kernels have their centre right of the middle: index 2 of 4, 1 of 3.
    let two = drawn("dirac", &[1, 1, 4, 3], &plain(), 0);
    assert_eq!(two.iter().position(|&value| value == 1.0), Some(2 * 3 + 1));
    let keras = drawn("dirac", &[3, 2, 2], &in_out(), 0);
    assert_eq!(keras, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_delta_orthogonal_kernel_is_orthogonal_at_its_centre() {
    let kernel = drawn("delta_orthogonal", &[8, 5, 3, 3], &plain(), 2);
    let centre: Vec<f32> = kernel.iter().skip(4).step_by(9).copied().collect();
    assert_eq!(centre, drawn("orthogonal", &[8, 5], &plain(), 2));
    assert_eq!(kernel.iter().filter(|&&value| value != 0.0).count(), 40);
}

/// Zeros as many as asked for in each column, in places that differ; the others are the normal's.
#[test]
fn sparse_columns_have_their_zeros() {
    let (rows, columns) = (37u64, 50u64);
    let values = drawn("sparse:0.3,0.02", &[rows, columns], &plain(), 5);
    let stream = Stream::named(5, "w");
    let normal = Distribution::normal(0.02);
    let mut places = vec![0; rows as usize];
    for column in 0..columns {
        let mut zeros = 0;
        for row in 0..rows {
            let index = row * columns + column;
            match values[index as usize] {
                0.0 => (zeros, places[row as usize]) = (zeros + 1, places[row as usize] + 1),
                value => assert_eq!(value, normal.value(&stream, index).unwrap()),
            }
        }
        assert_eq!(zeros, 12, "ceil(0.3 * 37)");
    }
    // 16.2 a row of 50 on average, with a standard deviation of 3.3.
    assert!(places.iter().all(|&count| (1..=33).contains(&count)), "{places:?}");
    assert!(drawn("sparse:1", &[4, 4], &plain(), 0).iter().all(|&value| value == 0.0));
    assert!(drawn("sparse:0", &[4, 4], &plain(), 0).iter().all(|&value| value != 0.0));
}

#[test]
fn bits_are_the_recorded_ones() {
    let digest = |init: &str, dims: &[u64]| -> String {
        let values = drawn(init, dims, &plain(), 42);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    };
    let found = [
        digest("orthogonal", &[96, 64]),
        digest("orthogonal", &[64, 96]),
        digest("orthogonal:0.7", &[300, 300]),
        digest("delta_orthogonal", &[16, 8, 3]),
        digest("sparse:0.1", &[64, 32]),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 5] = [
    "de281cb7683c2346",
    "d49effc2b913f693",
    "7dcf3f53cef77676",
    "8ed143d58e71473c",
    "56a5936aee750e81",
];

/// In every dtype it is the rounding of the same f32s, and nothing comes in one that does not hold it.
#[test]
fn every_dtype_is_a_rounding_of_the_f32s() {
    let stream = Stream::named(42, "w");
    for (init, dims) in [
        ("identity:448", [30, 20].as_slice()),
        ("dirac:0.3", &[8, 8, 3]),
        ("orthogonal:1.5", &[40, 35]),
        ("delta_orthogonal", &[16, 8, 3]),
        ("sparse:0.25,0.1", &[20, 20]),
    ] {
        let init: Init = init.parse().unwrap();
        let source = init.source(&Shape::new(dims).unwrap(), &plain()).unwrap();
        let elements = dims.iter().product();
        let values = source.draw(&stream, Dtype::F32, elements).unwrap();
        for dtype in Dtype::SAMPLED {
            let wanted: Vec<u8> = values
                .chunks(4)
                .flat_map(|bytes| {
                    let bits = u32::from_le_bytes(bytes.try_into().unwrap());
                    rounded(dtype.name(), bits).to_le_bytes()[..dtype.size()].to_vec()
                })
                .collect();
            assert_eq!(source.draw(&stream, dtype, elements).unwrap(), wanted, "{init} {dtype}");
        }
    }
    for (init, dtype, most) in [
        ("identity:500", Dtype::F8E4M3, "4.48e2"),
        ("orthogonal:1e5", Dtype::F16, "6.5504e4"),
        ("sparse:0.5,100", Dtype::F8E4M3, "4.48e2"),
        ("identity:1", Dtype::I8, "f8_e4m3, f8_e5m2, f64"),
    ] {
        let source = init.parse::<Init>().unwrap();
        let source = source.source(&Shape::new([4, 4]).unwrap(), &plain()).unwrap();
        let error = source.draw(&stream, dtype, 16).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(most), "{init}: {error}");
    }
}

/// The moments that a manifest states are those of what is drawn.
#[test]
fn expected_moments_are_the_drawn_ones() {
    let cases: [(&str, &[u64]); 14] = [
        ("identity:2", &[30, 20]),
        ("dirac", &[8, 8, 3]),
        ("orthogonal:1.5", &[200, 120]),
        ("orthogonal", &[60, 400]),
        ("delta_orthogonal", &[64, 32, 3]),
        ("sparse:0.25,0.1", &[200, 200]),
        ("arange:-3,0.5", &[5, 40]),
        ("sinusoidal", &[300, 64]),
        ("sinusoidal:100", &[77, 9]),
        ("sinusoidal:layout=halves,ends=closed", &[1500, 384]),
        ("alibi", &[20, 1, 1]),
        ("log_arange", &[30, 16]),
        ("log_arange", &[200_000]),
        ("dt_bias", &[20_000]),
    ];
    for entry in catalogue() {
        let covered = cases.iter().any(|(text, _)| text.split(':').next() == Some(entry.name));
        // LSUV's weights are orthogonal ones.
        let (init, source) = drawn_by_name(entry.name);
        let others = matches!(source, Source::Elements(_)) || matches!(init, Init::Lsuv { .. });
        assert!(covered || others, "{} is drawn whole: how, and with which moments?", entry.name);
    }
    for (text, dims) in cases {
        let init: Init = text.parse().unwrap();
        let source = init.source(&Shape::new(dims).unwrap(), &plain()).unwrap();
        let bytes = source.draw(&Stream::named(9, "w"), Dtype::F32, dims.iter().product()).unwrap();
        let found = fanin::cpu::moments(Dtype::F32, &bytes);
        let count = dims.iter().product::<u64>() as f64;
        // Five standard errors of a normal's mean; its std is off by less than 2 %.
        let error = 5.0 * source.std() / count.sqrt() + 1e-7;
        assert!((found.mean - source.mean()).abs() <= error, "{text}: mean {}", found.mean);
        assert!((found.std() / source.std() - 1.0).abs() <= 0.02, "{text}: std {}", found.std());
    }
}

/// Papers' formulas, worked out apart for a `[256, 512]` weight.
#[test]
fn schemes_are_their_papers() {
    let std = |text: &str| {
        let init: Init = text.parse().unwrap();
        init.source(&Shape::new([256, 512]).unwrap(), &plain()).unwrap().std()
    };
    let xavier = (2.0f64 / 768.0).sqrt();
    let cases = [
        ("siren", (6.0f64 / 512.0).sqrt() / 30.0 / 3f64.sqrt()),
        ("siren:1", (2.0f64 / 512.0).sqrt()),
        ("siren_first", 1.0 / 512.0 / 3f64.sqrt()),
        ("fixup:16", (2.0f64 / 512.0).sqrt() / 4.0),
        ("fixup:16,3", (2.0f64 / 512.0).sqrt() * 16f64.powf(-0.25)),
        ("t_fixup:6", 0.67 * 6f64.powf(-0.25) * xavier),
        ("t_fixup:6,decoder", 54f64.powf(-0.25) * xavier),
        ("t_fixup:6,embedding", 54f64.powf(-0.25) / 512f64.sqrt()),
        ("deepnorm:12", 96f64.powf(-0.25) * xavier),
        ("deepnorm:12,encoder,6", 0.87 * (12f64.powi(4) * 6.0).powf(-1.0 / 16.0) * xavier),
        ("deepnorm:6,decoder,12", 72f64.powf(-0.25) * xavier),
        ("gpt2_residual:12", 0.02 / 24f64.sqrt()),
        ("mup:hidden", 1.0 / 512f64.sqrt()),
        ("mup:input,gain=2", 2.0 / 512f64.sqrt()),
        ("mup:output,128", 128f64.sqrt() / 512.0),
        ("critical:relu", (2.0f64 / 512.0).sqrt()),
        ("rezero", 0.0),
        ("zero_gamma", 0.0),
        ("orthogonal", 1.0 / 512f64.sqrt()),
    ];
    for (text, wanted) in cases {
        let found = std(text);
        assert!((found - wanted).abs() <= 1e-12 * wanted, "{text}: {found} for {wanted}");
    }
    // SIREN's first bound is 1 / fan_in itself.
    let first: Init = "siren_first".parse().unwrap();
    let Ok(Source::Elements(Distribution::Uniform { low, high })) =
        first.source(&Shape::new([256, 512]).unwrap(), &plain())
    else {
        panic!()
    };
    assert!((high * 512.0 - 1.0).abs() < 1e-12 && low == -high);
    let (alpha, beta) = deepnorm(TransformerPart::Encoder, 18.0, None).unwrap();
    assert!((alpha - 36f64.powf(0.25)).abs() < 1e-12 && (beta - 144f64.powf(-0.25)).abs() < 1e-12);
    // muP at its base is the standard parametrization.
    let base = Init::mup(Role::Output, 512.0, 1.0).unwrap();
    let shape = Shape::new([10, 512]).unwrap();
    assert_eq!(base.source(&shape, &plain()).unwrap().std(), (512.0f64 / 512f64.powi(2)).sqrt());
}

/// Tanh at q = 1: `E[sech^4]` and `E[tanh^2]` of a standard normal by an independent sum.
#[test]
fn critical_weights_and_biases_hold_their_variance() {
    let step = 1e-4;
    let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
        let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (-100_000..=100_000).map(|i| f64::from(i) * step).map(|z| f(z) * density(z) * step).sum()
    };
    let weight = 1.0 / sum(&|z: f64| z.cosh().powi(-4));
    let bias = 1.0 - weight * sum(&|z: f64| z.tanh().powi(2));
    let shape = Shape::new([8, 100]).unwrap();
    let std = |text: &str| text.parse::<Init>().unwrap().source(&shape, &plain()).unwrap().std();
    assert!((std("critical:tanh").powi(2) * 100.0 / weight - 1.0).abs() < 1e-9);
    assert!((std("critical_bias:tanh").powi(2) / bias - 1.0).abs() < 1e-8);
    assert_eq!(std("critical_bias:relu"), 0.0);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |init: &str, dims: &[u64], geometry: Geometry, words: &[&str]| {
        let shape = Shape::new(dims).unwrap();
        let error = init.parse::<Init>().and_then(|init| init.source(&shape, &geometry));
        let error = error.unwrap_err();
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{init}: `{text}` without `{word}`");
        }
    };
    let grouped = Geometry { groups: 2, ..plain() };
    refused("orthogonal", &[64], plain(), &["orthogonal", "[64]", "two dimensions"]);
    refused("orthogonal:gain=NaN", &[4, 4], plain(), &["gain", "NaN", "finite"]);
    refused("orthogonal:0", &[4, 4], plain(), &["gain", "above 0"]);
    refused("ortogonal", &[4, 4], plain(), &["ortogonal", "orthogonal", "he_normal"]);
    refused("identity", &[4, 4, 4], plain(), &["identity", "matrix"]);
    refused("dirac", &[4, 4], plain(), &["dirac", "3 to 5"]);
    refused("dirac", &[3, 2, 3], grouped, &["groups", "3 output"]);
    refused("delta_orthogonal", &[4, 8, 3], plain(), &["8 inputs", "4 outputs"]);
    refused("delta_orthogonal", &[4, 4, 3], grouped, &["groups"]);
    refused("sparse:1.5", &[4, 4], plain(), &["sparsity", "1.5", "0 to 1"]);
    refused("sparse:-0.1", &[4, 4], plain(), &["sparsity", "-0.1"]);
    refused("sparse", &[4, 4], plain(), &["sparsity"]);
    refused("normal:abc", &[4, 4], plain(), &["abc", "finite number"]);
    refused("xavier_normal:gain=nan", &[4, 4], plain(), &["nan"]);
    refused("0.01", &[4], plain(), &["constant:0.01"]);
    refused("fixup:0", &[4, 4], plain(), &["blocks"]);
    refused("fixup:8,1", &[4, 4], plain(), &["layers", "zeros"]);
    refused("deepnorm:4,embedding", &[4, 4], plain(), &["embedding"]);
    refused("t_fixup:4,enc", &[4, 4], plain(), &["enc", "encoder"]);
    refused("mup:output", &[4, 4], plain(), &["base"]);
    refused("critical", &[4, 4], plain(), &["critical:tanh"]);
    refused("critical:sigmoid", &[4, 4], plain(), &["sigmoid", "q = 1", "as 64"]);
    refused("siren:0", &[4, 4], plain(), &["scale"]);
    let error = Whole::Orthogonal { rows: 1 << 20, columns: 1 << 20, gain: 1.0 }.check();
    assert!(error.unwrap_err().to_string().contains("2^31"));
}
