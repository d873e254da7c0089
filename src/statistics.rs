//! Is a sample drawn from a distribution? Tests in f64, each with its p-value.
//!
//! A sample of `n` values `x` is first brought to where the answer is known: standardized by the
//! distribution's mean and std for the moments and lags, and through its cumulative distribution
//! function to uniforms on \[0, 1\] for the rest. Values on a lattice (2^-24 for uniforms, 2^-21 for
//! normals) are near enough to continuous at the sizes that are tested here: 2^20 values move the
//! Kolmogorov-Smirnov distance by 2^-21 at most, against the 9e-4 at which it counts as large.

use crate::random::Distribution;

/// One test of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Test {
    /// What was tested.
    pub name: &'static str,
    /// The statistic, as its own literature defines it.
    pub statistic: f64,
    /// How often a true sample has a statistic as extreme as this.
    pub p_value: f64,
}

/// Lags of the serial correlations: within a Philox block, its neighbours, a workgroup's width.
const LAGS: [(usize, &str); 6] =
    [(1, "lag 1"), (2, "lag 2"), (3, "lag 3"), (4, "lag 4"), (8, "lag 8"), (256, "lag 256")];

/// Bins of the chi-square test, each as likely as the others.
const BINS: usize = 1024;

/// Every test, for a sample of some thousands of values at least.
///
/// Empty for words and constants, which have no distribution function to test against, and for
/// samples shorter than 1024.
pub fn battery(distribution: &Distribution, sample: &[f32]) -> Vec<Test> {
    let (mean, std) = (distribution.mean(), distribution.std());
    if matches!(distribution, Distribution::Words | Distribution::Constant { .. })
        || sample.len() < BINS
    {
        return Vec::new();
    }
    let standard: Vec<f64> = sample.iter().map(|&x| (f64::from(x) - mean) / std).collect();
    let mut uniform: Vec<f64> = sample.iter().map(|&x| cdf(distribution, f64::from(x))).collect();
    uniform.sort_by(f64::total_cmp);
    let mut tests = moments(distribution, &standard).to_vec();
    tests.extend([kolmogorov_smirnov(&uniform), anderson_darling(&uniform), chi_square(&uniform)]);
    tests.extend(LAGS.map(|(lag, name)| correlation(name, &standard[lag..], &standard)));
    tests
}

/// `P(X <= x)` of the ideal distribution; of words and constants a step.
pub fn cdf(distribution: &Distribution, x: f64) -> f64 {
    match *distribution {
        Distribution::Words => (x / 2f64.powi(32)).clamp(0.0, 1.0),
        Distribution::Constant { value } => f64::from(u8::from(x >= value)),
        Distribution::Uniform { low, high } => ((x - low) / (high - low)).clamp(0.0, 1.0),
        Distribution::Normal { mean, std } => normal_cdf((x - mean) / std),
        Distribution::TruncatedNormal { mean, std, cut } => {
            let below = normal_cdf(-cut);
            let inside = 1.0 - 2.0 * below;
            ((normal_cdf((x - mean) / std) - below) / inside).clamp(0.0, 1.0)
        }
    }
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// The p-value of a standard normal, both tails.
fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() * std::f64::consts::FRAC_1_SQRT_2)
}

/// `E[z^k]` of the standardized distribution, for even `k` up to 8; odd ones are 0.
fn standard_moment(distribution: &Distribution, k: i32) -> f64 {
    match *distribution {
        // Uniform on +-sqrt 3: 3^(k/2) / (k + 1).
        Distribution::Uniform { .. } => 3f64.powi(k / 2) / f64::from(k + 1),
        Distribution::TruncatedNormal { cut, .. } => {
            // By parts: m_k = (k - 1) m_(k-2) - 2 c^(k-1) phi(c) / inside, then scaled.
            let density = libm::exp(-0.5 * cut * cut) / (2.0 * std::f64::consts::PI).sqrt();
            let edge = 2.0 * density / (1.0 - 2.0 * normal_cdf(-cut));
            let step = |moment, k: i32| f64::from(k - 1) * moment - edge * cut.powi(k - 1);
            let raw = (1..=k / 2).fold(1.0, |moment, half| step(moment, 2 * half));
            raw / step(1.0, 2).powi(k / 2)
        }
        // (k - 1)!!
        _ => (1..=k / 2).map(|half| f64::from(2 * half - 1)).product(),
    }
}

/// The first four moments about the known mean: `(mean(z^k) - E[z^k]) / sqrt(Var(z^k) / n)`, a
/// standard normal under the central limit theorem.
fn moments(distribution: &Distribution, standard: &[f64]) -> [Test; 4] {
    let names = ["mean", "variance", "skewness", "kurtosis"];
    let count = standard.len() as f64;
    std::array::from_fn(|index| {
        let k = index as i32 + 1;
        let expected = if k % 2 == 0 { standard_moment(distribution, k) } else { 0.0 };
        let variance = standard_moment(distribution, 2 * k) - expected * expected;
        let mean = standard.iter().map(|z| z.powi(k)).sum::<f64>() / count;
        let z = (mean - expected) / (variance / count).sqrt();
        Test { name: names[index], statistic: z, p_value: two_sided(z) }
    })
}

/// `D = sup |F_n - F|` over sorted uniforms; p by Kolmogorov's series at
/// `(sqrt n + 0.12 + 0.11 / sqrt n) D` (Stephens 1970).
fn kolmogorov_smirnov(uniform: &[f64]) -> Test {
    let count = uniform.len() as f64;
    let distance = uniform.iter().enumerate().fold(0.0, |worst: f64, (i, &u)| {
        worst.max((i as f64 + 1.0) / count - u).max(u - i as f64 / count)
    });
    let root = count.sqrt();
    let scaled = (root + 0.12 + 0.11 / root) * distance;
    // The series alternates; where its terms do not fall, the distance is tiny and p is 1.
    let p_value = if scaled < 0.2 {
        1.0
    } else {
        let term = |k: i32| {
            let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
            sign * libm::exp(-2.0 * f64::from(k * k) * scaled * scaled)
        };
        (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
    };
    Test { name: "Kolmogorov-Smirnov", statistic: distance, p_value }
}

/// `A^2 = -n - mean((2i - 1)(ln u_i + ln(1 - u_(n+1-i))))`; p by Marsaglia and Marsaglia's `ADinf`
/// (Journal of Statistical Software 9(2), 2004), good to 2e-6, and beyond its range by the leading
/// term of the tail.
fn anderson_darling(uniform: &[f64]) -> Test {
    let count = uniform.len() as f64;
    // The lattice reaches 0 and 1, where the logarithm does not exist: half a step inside.
    let inside = |u: f64| u.clamp(2f64.powi(-33), 1.0 - 2f64.powi(-33));
    let sum: f64 = uniform
        .iter()
        .zip(uniform.iter().rev())
        .enumerate()
        .map(|(i, (&low, &high))| {
            (2.0 * i as f64 + 1.0) * (libm::log(inside(low)) + libm::log(1.0 - inside(high)))
        })
        .sum();
    let square = -count - sum / count;
    let z = square.max(1e-3);
    let below = if z < 2.0 {
        let polynomial = [2.00012, 0.247105, -0.0649821, 0.0347962, -0.011672, 0.00168691];
        libm::exp(-1.2337141 / z) / z.sqrt() * horner(&polynomial, z)
    } else {
        let polynomial = [1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.0003146];
        libm::exp(-libm::exp(horner(&polynomial, z)))
    };
    // ADinf ends at 32; where its digits cancel, p falls about as exp(-z).
    let p_value = if z < 10.0 { 1.0 - below } else { libm::exp(-z) * 1.73 };
    Test { name: "Anderson-Darling", statistic: square, p_value: p_value.clamp(0.0, 1.0) }
}

fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// Pearson's statistic over [`BINS`] equally likely bins, which has `BINS - 1` degrees of freedom.
fn chi_square(uniform: &[f64]) -> Test {
    let mut counts = [0u64; BINS];
    for u in uniform {
        counts[((u * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let (statistic, p_value) = pearson(&counts, uniform.len() as f64 / BINS as f64);
    Test { name: "chi-square", statistic, p_value }
}

/// `sum (count - expected)^2 / expected` and its p-value, by Wilson and Hilferty's cube root: off by
/// less than a hundredth of itself down to 1e-6 at the hundreds of degrees of freedom used here.
pub fn pearson(counts: &[u64], expected: f64) -> (f64, f64) {
    let statistic: f64 =
        counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    let z = ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    (statistic, 0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2))
}

/// `sum a_i b_i / sqrt n` of two standardized samples, over the length of the shorter: a standard
/// normal where they are independent.
pub fn correlation(name: &'static str, a: &[f64], b: &[f64]) -> Test {
    let count = a.len().min(b.len()) as f64;
    let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let statistic = sum / count.sqrt();
    Test { name, statistic, p_value: two_sided(statistic) }
}
