//! Tables that are a formula of place and word, against numbers made elsewhere: by NumPy in f64 from the
//! papers' formulas, by PyTorch from transformers' code (which computes in f32).

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use fanin::Shape;
use fanin::init::{Geometry, Init};
use fanin::random::{Distribution, Dtype, Source, Stream};
use sha2::{Digest, Sha256};

fn source(init: &str, dims: &[u64]) -> fanin::Result<Source> {
    init.parse::<Init>()?.source(&Shape::new(dims)?, &Geometry::default())
}

fn drawn(init: &str, dims: &[u64], dtype: Dtype) -> Vec<u8> {
    let stream = Stream::named(42, "w");
    source(init, dims).unwrap().draw(&stream, dtype, dims.iter().product()).unwrap()
}

fn values(init: &str, dims: &[u64]) -> Vec<f32> {
    let bytes = drawn(init, dims, Dtype::F32);
    bytes.chunks(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

/// The f32s nearest to f64s: two f64s that round apart are too far apart for such a coincidence.
fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

#[test]
fn sinusoids_are_vaswanis() {
    let table = values("sinusoidal", &[64, 6]);
    for ((row, column), value) in [
        ((0, 0), 0.0),
        ((0, 1), 1.0),
        ((1, 0), 0.8414709848078965),
        ((1, 3), 0.9989229760406304),
        ((3, 2), 0.13879810108005056),
        ((17, 1), -0.27516333805159693),
        ((63, 0), 0.16735570030280691),
        ((63, 4), 0.13531302417720462),
        ((63, 5), 0.990802899414419),
    ] {
        assert_eq!(table[row * 6 + column], value as f32, "{row}, {column}");
    }
    // An odd number of columns ends with a sine.
    let table = values("sinusoidal:100", &[50, 5]);
    let found = [table[49 * 5 + 4], table[49 * 5 + 3], table[7 * 5 + 2]];
    assert_eq!(found[..], rounded(&[0.942764011015436, 0.08789143690446373, 0.8954429617448589]));
    // Marian's order: the sines of the same frequencies, then the cosines.
    let found = values("sinusoidal:layout=halves", &[6, 8])[40..].to_vec();
    let wanted = [
        -0.9589242746631385,
        0.479425538604203,
        0.04997916927067833,
        0.004999979166692708,
        0.28366218546322625,
        0.8775825618903728,
        0.9987502603949663,
        0.9999875000260416,
    ];
    assert_eq!(found, rounded(&wanted));
}

#[test]
fn closed_halves_are_whispers() {
    let table = values("sinusoidal:layout=halves,ends=closed", &[1500, 384]);
    for ((row, column), exact, whisper) in [
        ((0, 200), 1.0, 1.0),
        ((1, 0), 0.8414709848078965, 0.8414709568023682),
        ((1, 191), 9.999999983333325e-05, 9.99999901978299e-05),
        ((1, 192), 0.5403023058681398, 0.5403023362159729),
        ((700, 100), -0.6041204702348939, -0.6041210293769836),
        ((1499, 0), -0.4442206993380849, -0.4442206919193268),
        ((1499, 10), 0.9543372384361409, 0.9543247222900391),
        ((1499, 383), 0.9887860168054093, 0.9887860417366028),
    ] {
        let value = table[row * 384 + column];
        assert_eq!(value, exact as f32, "{row}, {column}");
        // An angle up to 1500 has an error of 2^-14 in f32.
        assert!((f64::from(value) - whisper).abs() <= 6.2e-5, "{row}, {column}: {value}");
    }
}

#[test]
fn alibi_slopes_are_the_authors() {
    let eight: Vec<f64> = (1..=8).map(|k| 2f64.powi(-k)).collect();
    assert_eq!(values("alibi", &[8]), rounded(&eight));
    let more = [FRAC_1_SQRT_2, 0.35355339059327384, 0.17677669529663692, 0.08838834764831849];
    assert_eq!(values("alibi", &[12, 1, 1]), rounded(&[&eight[..], &more].concat()));
    assert_eq!(values("alibi", &[3]), [0.0625, 0.00390625, 0.25]);
    assert_eq!(values("alibi", &[]), [0.00390625]);
}

#[test]
fn mambas_are_the_authors() {
    let wanted: [f64; 6] =
        [0.0, LN_2, 1.0986122886681098, 1.3862943611198906, 1.6094379124341003, 1.791759469228055];
    let table = values("log_arange", &[5, 6]);
    assert!(table.chunks(6).all(|row| row == rounded(&wanted)));
    assert_eq!(values("log_arange", &[6]), rounded(&wanted));
    // `dt + log(-expm1(-dt))` of the uniform that the element's word is, worked out by std.
    let stream = Stream::named(42, "w");
    let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
    let oracle = |uniform: f64, [min, max, floor]: [f64; 3]| {
        let (low, high) = (f64::ln(min), f64::ln(max));
        let dt = (uniform * (high - low) + low).exp().max(floor);
        dt + (-(-dt).exp_m1()).ln()
    };
    let usual = [1e-3, 0.1, 1e-4];
    // By Python's math.
    for (uniform, wanted) in [
        (0.0, -6.90725523731547),
        (0.25, -5.754881176988397),
        (0.5, -4.600166019324897),
        (0.999, -2.2570071797518607),
    ] {
        assert!((oracle(uniform, usual) - wanted).abs() < 1e-12, "{uniform}");
    }
    for (init, numbers) in
        [("dt_bias", usual), ("dt_bias:min=0.00001,floor=0.001", [1e-5, 0.1, 1e-3])]
    {
        for (index, value) in values(init, &[1000]).into_iter().enumerate() {
            let uniform = f64::from(unit.value(&stream, index as u64).unwrap());
            let wanted = oracle(uniform, numbers);
            let error = (f64::from(value) - wanted).abs();
            assert!(error <= 2f64.powi(-24) * wanted.abs() * 1.001, "{index}: {value}");
        }
    }
    let floored = values("dt_bias:min=0.00001,floor=0.001", &[1000]);
    let least = oracle(0.0, usual) as f32;
    let count = floored.iter().filter(|value| **value == least).count();
    // Half of them are below the floor.
    assert!((420..=580).contains(&count) && floored.iter().all(|value| *value >= least), "{count}");
}

#[test]
fn arange_comes_in_integers() {
    let positions: Vec<i64> = (0..512).collect();
    let found = drawn("arange", &[1, 512], Dtype::I64);
    assert!(found.chunks(8).map(|id| i64::from_le_bytes(id.try_into().unwrap())).eq(positions));
    assert_eq!(drawn("arange:start=3,step=-2", &[2, 4], Dtype::I8), [3, 1, 255, 253].repeat(2));
    assert_eq!(values("arange:0.5,0.25", &[2, 3]), [0.5, 0.75, 1.0, 0.5, 0.75, 1.0]);
    assert_eq!(drawn("arange:start=9007199254740989", &[3], Dtype::I64)[16..], {
        9_007_199_254_740_991u64.to_le_bytes()
    });
    for (init, dims, dtype, parts) in [
        ("arange", &[300], Dtype::U8, "element 299 of u8"),
        ("arange:step=0.5", &[3], Dtype::I64, "a step of 0.5 of i64"),
        // The last would be 2^53 + 1, which is 2^53 in f64; so would the steps of the next.
        ("arange:start=9007199254740990", &[4], Dtype::I64, "whole numbers below 2^53"),
        ("arange:start=-9007199254740991,step=9007199254740991", &[3], Dtype::I64, "in all"),
        ("arange:start=60000", &[60_000], Dtype::F16, "6.5504e4"),
        ("log_arange", &[4], Dtype::I64, "one of f32, bf16"),
    ] {
        let source = source(init, dims).unwrap();
        let error = source.check_dtype(dtype).unwrap_err();
        assert!(error.to_string().contains(parts), "{error}");
    }
}

/// Lin et al. 2017, Nguyen and Salazar 2019, and GPT-NeoX's code, of a weight `[256, 512]`.
#[test]
fn scales_are_their_papers() {
    let std = |init: &str| source(init, &[256, 512]).unwrap().std();
    for (init, wanted) in [
        ("small", (2.0f64 / (5.0 * 512.0)).sqrt()),
        ("small:4096", (2.0f64 / (5.0 * 4096.0)).sqrt()),
        ("wang:24", 2.0 / 24.0 / 512f64.sqrt()),
        ("wang:24,width=4096", 2.0 / 24.0 / 64.0),
    ] {
        assert!((std(init) / wanted - 1.0).abs() < 1e-12, "{init}: {}", std(init));
    }
    let prior = source("prior_probability:0.01", &[80]).unwrap();
    assert_eq!((prior.mean(), prior.std()), (-4.59511985013459, 0.0));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (init, dims, parts) in [
        ("sinusoidal", &[8][..], &["sinusoidal", "[8]", "[positions, columns]"][..]),
        ("sinusoidal:layout=halves", &[8, 5], &["sinusoidal", "an even number"]),
        ("sinusoidal:base=0", &[8, 4], &["base", "above 0"]),
        ("sinusoidal:layout=half", &[8, 4], &["unknown layout `half`", "halves"]),
        ("alibi", &[8, 8], &["alibi", "[8, 8]", "one axis of heads"]),
        ("dt_bias:max=0.0001", &[8], &["dt_bias", "min 0.001, max 0.0001"]),
        ("dt_bias:min=0", &[8], &["min", "above 0"]),
        ("prior_probability:1", &[8], &["prior_probability", "below 1"]),
        ("wang:0", &[8, 8], &["layers", "1 or more"]),
        ("small:0.5", &[8, 8], &["width", "1 or more"]),
    ] {
        let error = source(init, dims).unwrap_err();
        assert!(error.is_usage(), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{init}: no `{part}` in {error}");
        }
    }
}

/// Bits are the same everywhere. All but the last are also the digests of what NumPy makes in f64 by the
/// formulas, or Python's code of the authors', rounded to f32.
#[test]
fn bits_are_the_recorded_ones() {
    let digest = |init: &str, dims: &[u64]| -> String {
        let digest = Sha256::digest(drawn(init, dims, Dtype::F32));
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    };
    let found = [
        digest("sinusoidal", &[3000, 258]),
        digest("sinusoidal:layout=halves,ends=closed", &[1500, 384]),
        digest("alibi", &[112]),
        digest("log_arange", &[3, 4096]),
        digest("dt_bias", &[50_000]),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 5] = [
    "46e10992804669bf",
    "f0b60fc013ae18f6",
    "a97db9cd3dc6f7bf",
    "9a61590bece6a236",
    "6e57aa1f85dec0d0",
];
