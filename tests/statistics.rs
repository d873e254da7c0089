//! Statistics at fixed seeds, never chosen anew, at alpha = 1e-6; and twins of each with a fault
//! that must be found.

use fanin::random::{Distribution, Stream};
use fanin::recipe::Recipe;
use fanin::statistics::{Test, battery, cdf, correlation, pearson};
use statrs::distribution::{ChiSquared, ContinuousCDF};

const SEEDS: [u64; 3] = [1, 7, 42];
const ALPHA: f64 = 1e-6;
const COUNT: u64 = 1 << 20;

fn distributions() -> [Distribution; 4] {
    [
        Distribution::symmetric(0.036),
        Distribution::Uniform { low: -0.5, high: 2.0 },
        Distribution::Normal { mean: 0.3, std: 0.02 },
        Distribution::truncated_normal(1.0, 2.0),
    ]
}

fn sample(distribution: &Distribution, stream: &Stream) -> Vec<f32> {
    let mut bytes = vec![0; COUNT as usize * 4];
    fanin::cpu::fill(stream, distribution, fanin::random::Dtype::F32, 0, &mut bytes).unwrap();
    bytes.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn least(tests: &[Test]) -> &Test {
    tests.iter().min_by(|a, b| a.p_value.total_cmp(&b.p_value)).unwrap()
}

#[test]
fn samples_are_drawn_from_their_distributions() {
    for seed in SEEDS {
        for distribution in distributions() {
            let tests = battery(&distribution, &sample(&distribution, &Stream::named(seed, "s")));
            assert_eq!(tests.len(), 13);
            let worst = least(&tests);
            assert!(worst.p_value > ALPHA, "{distribution:?}, seed {seed}: {worst:?}");
        }
    }
}

/// Each fault, and the test that must find it.
#[test]
fn faults_are_found() {
    let normal = Distribution::normal(1.0);
    let stream = Stream::named(SEEDS[0], "faults");
    let good = sample(&normal, &stream);
    let found = |name: &str, distribution: &Distribution, sample: Vec<f32>| {
        let tests = battery(distribution, &sample);
        let test = tests.iter().find(|test| test.name == name).unwrap();
        assert!(test.p_value < ALPHA, "{name}: {test:?}");
    };
    let each = |change: &dyn Fn(f32) -> f32| good.iter().map(|x| change(*x)).collect::<Vec<_>>();
    found("mean", &normal, each(&|x| x + 0.01));
    found("variance", &normal, each(&|x| x * 1.01));
    found("skewness", &normal, each(&|x| if x > 0.0 { x * 1.01 } else { x * 0.99 }));
    found("kurtosis", &normal, each(&|x| x.clamp(-3.0, 3.0)));
    found("Kolmogorov-Smirnov", &normal, each(&|x| if x.abs() < 0.01 { 0.02 } else { x }));
    found("Anderson-Darling", &normal, each(&|x| x * 1.02));
    // The lowest bits stuck: a lattice that the bins see.
    found("chi-square", &normal, each(&|x| (x * 100.0).round() / 100.0));
    for (lag, name) in
        [(1, "lag 1"), (2, "lag 2"), (3, "lag 3"), (4, "lag 4"), (8, "lag 8"), (256, "lag 256")]
    {
        // One value in fifty is a copy of one that came before.
        let mut copied = good.clone();
        for i in (lag..copied.len()).step_by(50) {
            copied[i] = copied[i - lag];
        }
        found(name, &normal, copied);
    }
    // A block drawn twice over: the sign of a counter that does not advance.
    let stuck: Vec<f32> = good.chunks(8).flat_map(|c| [&c[..4], &c[..4]].concat()).collect();
    found("lag 4", &normal, stuck);
    // The wrong cut, and the parent's std for the sample's.
    let cut = |c| Distribution::truncated_normal(1.0, c);
    found("Kolmogorov-Smirnov", &cut(2.0), sample(&cut(2.1), &stream));
    // Uniform on [0, 1) for (-1, 1).
    let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
    found("mean", &Distribution::symmetric(1.0), sample(&unit, &stream));
}

#[test]
fn every_bit_of_the_words_is_even_handed() {
    for seed in SEEDS {
        let stream = Stream::named(seed, "bits");
        let mut ones = [0u64; 32];
        for block in 0..COUNT / 4 {
            for word in stream.block(block) {
                for (bit, ones) in ones.iter_mut().enumerate() {
                    *ones += u64::from(word >> bit & 1);
                }
            }
        }
        for (bit, ones) in ones.iter().enumerate() {
            let (_, p) = pearson_of_coin(*ones);
            assert!(p > ALPHA, "seed {seed}, bit {bit}: p {p}");
        }
    }
    // The twin: a bit that is set a hundredth too often.
    assert!(pearson_of_coin(COUNT / 2 + COUNT / 200).1 < ALPHA);
}

fn pearson_of_coin(ones: u64) -> (f64, f64) {
    let half = COUNT as f64 / 2.0;
    let z = (ones as f64 - half) / (half / 2.0).sqrt();
    (z, statrs::function::erf::erfc(z.abs() / 2f64.sqrt()))
}

/// Words of two streams side by side: no correlation, and the joint 16 x 16 bins are level.
fn together(a: &[u32], b: &[u32]) -> f64 {
    let standard = |words: &[u32]| {
        let spread = 2f64.powi(32) / 12f64.sqrt();
        words.iter().map(|&w| (f64::from(w) - 2f64.powi(31)) / spread).collect::<Vec<f64>>()
    };
    let mut counts = vec![0; 256];
    for (a, b) in a.iter().zip(b) {
        counts[((a >> 28) * 16 + (b >> 28)) as usize] += 1;
    }
    let (_, joint) = pearson(&counts, a.len() as f64 / 256.0);
    correlation("pair", &standard(a), &standard(b)).p_value.min(joint)
}

#[test]
fn neighbouring_seeds_and_streams_have_nothing_in_common() {
    let words = |stream: Stream| -> Vec<u32> {
        (0..COUNT / 16).flat_map(|block| stream.block(block)).collect()
    };
    for seed in SEEDS {
        let this = words(Stream::new(seed, 5));
        for other in [
            Stream::new(seed + 1, 5),
            Stream::new(seed, 6),
            Stream::new(seed ^ 1 << 63, 5),
            Stream::new(seed, 5 | 1 << 32),
        ] {
            let p = together(&this, &words(other));
            assert!(p > ALPHA, "{seed} and {other:?}: p {p}");
        }
        // The twin: one word in fifty shared.
        let mut shared = words(Stream::new(seed, 6));
        for i in (0..shared.len()).step_by(50) {
            shared[i] = this[i];
        }
        assert!(together(&this, &shared) < ALPHA);
    }
}

#[test]
fn no_model_uses_a_counter_twice() {
    for (name, _) in Recipe::builtins() {
        let recipe = Recipe::builtin(name).unwrap();
        let mut ids: Vec<u64> =
            recipe.tensors.iter().map(|spec| Stream::named(7, &spec.name).id).collect();
        ids.sort();
        ids.dedup();
        // Different ids are different counters, whatever the block.
        assert_eq!(ids.len(), recipe.tensors.len(), "{name}");
        assert!(recipe.tensors.iter().all(|spec| spec.shape.elements() < 1 << 62));
    }
}

#[test]
fn p_values_agree_with_another_library() {
    let freedom = 1023.0;
    for statistic in [900.0, 1000.0, 1100.0, 1200.0, 1250.0] {
        // Counts with this statistic: one bin takes it all.
        let expected = 1024.0;
        let mut counts = vec![1024u64; 1024];
        let shift = (statistic * expected / 2.0f64).sqrt().round();
        counts[0] += shift as u64;
        counts[1] -= shift as u64;
        let (found, p) = pearson(&counts, expected);
        let theirs = 1.0 - ChiSquared::new(freedom).unwrap().cdf(found);
        assert!((p / theirs - 1.0).abs() < 0.02, "{found}: {p} and {theirs}");
    }
    // Marsaglia and Marsaglia's table of ADinf, and Kolmogorov's: through samples of that statistic
    // would be roundabout, so the distribution functions stand in for them here.
    let normal = statrs::distribution::Normal::new(0.3, 0.02).unwrap();
    for x in [0.2, 0.28, 0.3, 0.33, 0.4] {
        let ours = cdf(&Distribution::Normal { mean: 0.3, std: 0.02 }, x);
        assert!((ours - normal.cdf(x)).abs() < 1e-9);
    }
    let cut = Distribution::truncated_normal(1.0, 2.0);
    assert_eq!((cdf(&cut, -2.0), cdf(&cut, 0.0), cdf(&cut, 2.0)), (0.0, 0.5, 1.0));
}
