//! Examples: generated sets, splits, standardizing, and every file format with its mistakes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use fanin::Device;
use fanin::model::data::{
    Collapsed, Dataset, Generated, LoadOptions, Loaded, Numbers, Standardizer, Targets, Task, load,
    permutation,
};
use fanin::model::{Mlp, Options, Trainer};
use fanin::random::Stream;
use fanin::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use npyz::WriterBuilder;
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A directory with files in it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

fn load_with(path: &Path, target: Option<&str>, task: Option<Task>) -> Result<Loaded> {
    let options = LoadOptions { target: target.map(str::to_string), task };
    load(path.to_str().unwrap(), &options, 0)
}

/// The message, which must be that of a mistake in the input and say `path` once.
#[track_caller]
fn message(path: &Path, loaded: Result<Loaded>) -> String {
    let error = loaded.unwrap_err();
    assert!(error.is_usage(), "{error:?}");
    let (text, path) = (error.to_string(), format!("{}: ", path.display()));
    text.strip_prefix(&path).unwrap_or(&text).to_string()
}

fn labels(dataset: &Dataset) -> (Vec<u32>, Vec<&str>) {
    match &dataset.targets {
        Targets::Classes { labels, names } => {
            (labels.clone(), names.iter().map(String::as_str).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn values(dataset: &Dataset) -> Vec<f32> {
    match &dataset.targets {
        Targets::Values { values, .. } => values.to_f32().into_owned(),
        other => panic!("{other:?}"),
    }
}

fn means(fitted: &Standardizer) -> Vec<f64> {
    fitted.features.iter().map(|scale| scale.mean).collect()
}

fn stds(fitted: &Standardizer) -> Vec<f64> {
    fitted.features.iter().map(|scale| scale.std).collect()
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|column| format!("c{column}")).collect()
}

fn two_classes(labels: &[u32]) -> Targets {
    Targets::Classes { labels: labels.to_vec(), names: vec!["a".into(), "b".into()] }
}

/// Rows that say where they were: features `[row, -row]`, label `row % 2`.
fn numbered(rows: u32) -> Dataset {
    let features: Vec<f32> = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
    let labels: Vec<u32> = (0..rows).map(|row| row % 2).collect();
    Dataset::new("numbered", features, names(2), two_classes(&labels)).unwrap()
}

fn first_column(dataset: &Dataset) -> Vec<u32> {
    dataset.features.to_f32().chunks(dataset.columns()).map(|row| row[0] as u32).collect()
}

mod datasets {
    use super::*;

    #[track_caller]
    fn assert_refused(features: &[f32], columns: usize, targets: Targets, expected: &str) {
        let error = Dataset::new("d", features.to_vec(), names(columns), targets).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        assert_eq!(error.to_string(), format!("data set `d`: {expected}"));
    }

    fn column(values: &[f32]) -> Targets {
        Targets::Values { values: values.to_vec().into(), names: vec!["y".into()] }
    }

    #[test]
    fn count_their_rows_and_columns() {
        let set = numbered(5);
        assert_eq!((set.rows(), set.columns(), set.target_columns()), (5, 2, 2));
        let targets = Targets::Values { values: vec![1.0, 2.0, 3.0, 4.0].into(), names: names(2) };
        let set = Dataset::new("d", vec![0.0; 6], names(3), targets).unwrap();
        assert_eq!((set.rows(), set.columns(), set.target_columns()), (2, 3, 2));
    }

    #[test]
    fn refuse_what_cannot_be_learnt() {
        let both = two_classes(&[0, 1]);
        assert_refused(&[], 0, both.clone(), "columns: got 0, needed at least one feature");
        assert_refused(&[], 2, two_classes(&[]), "rows: got 0, needed at least one");
        assert_refused(
            &[1.0; 5],
            2,
            both.clone(),
            "features: got 5 numbers, needed whole rows of 2",
        );
        assert_refused(
            &[1.0; 6],
            2,
            both.clone(),
            "targets: got 2, needed one label for each of the 3 rows",
        );
        assert_refused(
            &[1.0; 6],
            2,
            column(&[1.0, 2.0]),
            "targets: got 2, needed 1 for each of the 3 rows of features",
        );
        assert_refused(
            &[0.0, 1.0, 2.0, f32::NAN],
            2,
            both,
            "row 1 (the first is 0), column `c1`: got NaN, needed a finite f64",
        );
        assert_refused(
            &[0.0; 2],
            1,
            column(&[1.0, f32::INFINITY]),
            "row 1 (the first is 0), target `y`: got inf, needed a finite f64",
        );
        assert_refused(
            &[0.0; 2],
            1,
            two_classes(&[1, 2]),
            "label of row 1: got 2, needed an index below 2, the number of classes",
        );
        assert_refused(
            &[0.0; 3],
            1,
            two_classes(&[1, 1, 1]),
            "classes: got `b` in all rows, needed at least two classes",
        );
        assert_refused(
            &[0.0; 2],
            1,
            column(&[2.5, 2.5]),
            "target `y`: got 2.5 in all rows, needed a value that varies",
        );
        let targets = Targets::Values { values: vec![1.0, 7.0, 2.0, 7.0].into(), names: names(2) };
        assert_refused(
            &[0.0; 2],
            1,
            targets,
            "target `c1`: got 7 in all rows, needed a value that varies",
        );
        let none = Targets::Values { values: Vec::<f32>::new().into(), names: vec![] };
        assert_refused(&[0.0; 2], 1, none, "targets: got 0, needed at least one class or value");
    }

    #[test]
    fn select_rows_in_the_order_that_was_asked_for() {
        let picked = numbered(6).select(&[5, 0, 5, 6, u32::MAX, 2]);
        assert_eq!(*picked.features.to_f32(), [5.0, -5.0, 0.0, -0.0, 5.0, -5.0, 2.0, -2.0]);
        assert_eq!(labels(&picked).0, [1, 0, 1, 0]);
        let targets = Targets::Values { values: vec![1.0, 2.0, 3.0, 4.0].into(), names: names(2) };
        let set = Dataset::new("d", vec![8.0, 9.0], names(1), targets).unwrap().select(&[1]);
        assert_eq!((values(&set), &*set.features.to_f32()), (vec![3.0, 4.0], &[9.0][..]));
    }
}

mod orders {
    use super::*;

    /// From an independent implementation of Philox and the shuffle, in Python.
    #[test]
    fn a_permutation_is_the_documented_one() {
        let stream = Stream::new(7, 3);
        assert_eq!(permutation(&stream, 5, 12), [4, 8, 10, 9, 1, 6, 2, 7, 3, 11, 0, 5]);
        assert_eq!(permutation(&stream, 0, 12), [6, 8, 11, 9, 2, 0, 3, 4, 5, 10, 1, 7]);
        assert!(permutation(&stream, 0, 0).is_empty());
        assert_eq!(permutation(&stream, u64::MAX, 1), [0]);
    }

    #[test]
    fn every_order_is_as_likely() {
        let stream = Stream::new(1, 2);
        let mut counts = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for run in 0..12_000 {
            *counts.entry(permutation(&stream, run * 3, 4)).or_default() += 1;
        }
        assert_eq!(counts.len(), 24);
        // Chi-squared of 23 degrees of freedom: above 56 once in 7,000 seeds, and the seed is fixed.
        let chi: f64 = counts.values().map(|&n| (f64::from(n) - 500.0).powi(2) / 500.0).sum();
        assert!(chi < 56.0, "{chi}");
    }

    #[test]
    fn a_split_takes_the_head_of_its_permutation() {
        // Of seed 11 the permutation of 10 starts with 6, 9, 1 (from Python, as above).
        let (train, test) = numbered(10).split(11, 0.3).unwrap();
        assert_eq!(first_column(&test), [1, 6, 9]);
        assert_eq!(first_column(&train), [0, 2, 3, 4, 5, 7, 8]);
        assert_eq!(labels(&test).0, [1, 0, 1]);
        // 0.25 * 10 rounds to 3.
        assert_eq!(numbered(10).split(11, 0.25).unwrap().1.rows(), 3);
        assert_ne!(first_column(&numbered(10).split(12, 0.3).unwrap().1), [1, 6, 9]);
    }

    #[test]
    fn a_split_needs_rows_on_either_side() {
        let (train, test) = numbered(10).split(0, 0.0).unwrap();
        assert_eq!((train, test.rows()), (numbered(10), 0));
        let refused = |fraction| numbered(10).split(0, fraction).unwrap_err().to_string();
        assert_eq!(
            refused(0.01),
            "test fraction: got 0.01, 0 of 10 rows, needed rows on either side"
        );
        assert_eq!(
            refused(0.99),
            "test fraction: got 0.99, 10 of 10 rows, needed rows on either side"
        );
        for fraction in [1.0, -0.1, f64::NAN] {
            let needed = format!("test fraction: got {fraction}, needed at least 0 and below 1");
            assert_eq!(refused(fraction), needed);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn orders_are_whole_and_splits_lose_nothing(
            seed: u64, first: u64, count in 2u32..300, fraction in 0.0f64..1.0,
        ) {
            let mut order = permutation(&Stream::new(seed, 1), first, count);
            prop_assert_eq!(&order, &permutation(&Stream::new(seed, 1), first, count));
            order.sort_unstable();
            prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
            if let Ok((train, test)) = numbered(count).split(seed, fraction) {
                let mut rows = [first_column(&train), first_column(&test)];
                prop_assert!(rows.iter().all(|part| part.is_sorted()));
                prop_assert_eq!(rows[1].len(), (fraction * f64::from(count)).round() as usize);
                let [train, test] = &mut rows;
                train.append(test);
                train.sort_unstable();
                prop_assert_eq!(&*train, &(0..count).collect::<Vec<_>>());
            }
        }
    }
}

mod standardizers {
    use super::*;

    fn columns<T: Copy>(columns: &[&[T]]) -> Dataset
    where
        Vec<T>: Into<Numbers>,
    {
        let rows = columns[0].len();
        let features: Vec<T> =
            (0..rows).flat_map(|row| columns.iter().map(move |c| c[row])).collect();
        let labels: Vec<u32> = (0..rows as u32).map(|row| row % 2).collect();
        Dataset::new("d", features, names(columns.len()), two_classes(&labels)).unwrap()
    }

    #[test]
    fn use_the_mean_and_deviation_of_the_training_rows() {
        let mut train = columns(&[&[1.0f32, 2.0, 3.0, 6.0], &[-10.0, 0.0, 0.0, 10.0]]);
        let fitted = Standardizer::fit(&train);
        // Mean 3, squares 4 + 1 + 0 + 9 over 4 rows; mean 0, 200 over 4.
        assert_eq!(means(&fitted), [3.0, 0.0]);
        assert_eq!(stds(&fitted), [3.5f64.sqrt(), 50f64.sqrt()]);
        let mut test = columns(&[&[3.0f32, 10.0], &[5.0, 0.0]]);
        fitted.apply(&mut test).unwrap();
        let scaled = |x: f64, mean: f64, std: f64| ((x - mean) / std) as f32;
        let [a, b] = stds(&fitted)[..] else { panic!() };
        assert_eq!(*test.features.to_f32(), [0.0, scaled(5.0, 0.0, b), scaled(10.0, 3.0, a), 0.0]);
        fitted.apply(&mut train).unwrap();
        let again = Standardizer::fit(&train);
        assert!(means(&again).iter().all(|mean| mean.abs() < 1e-7));
        assert!(stds(&again).iter().all(|std| (std - 1.0).abs() < 1e-6));
    }

    #[test]
    fn survive_constant_and_extreme_columns() {
        let mut set = columns(&[&[0.1, 0.1, 0.1], &[f32::MAX, -f32::MAX, 0.0], &[1e-45, 0.0, 0.0]]);
        let fitted = Standardizer::fit(&set);
        assert_eq!((stds(&fitted)[0], means(&fitted)[0]), (1.0, f64::from(0.1f32)));
        fitted.apply(&mut set).unwrap();
        assert!(set.features.to_f32().iter().all(|x| x.is_finite()), "{:?}", set.features);
        assert_eq!(
            [set.features.to_f32()[0], set.features.to_f32()[3], set.features.to_f32()[6]],
            [0.0; 3]
        );
    }

    /// The mean of a large column with a small spread, where f32 sums would lose it.
    #[test]
    fn sum_in_f64() {
        let column: Vec<f32> = (0..100_000).map(|row| 1000.0 + (row % 2) as f32 * 0.5).collect();
        let fitted = Standardizer::fit(&columns(&[&column]));
        assert_eq!((means(&fitted)[0], stds(&fitted)[0]), (1000.25, 0.25));
    }

    /// What a plain standardization in f64 gives, of numbers less an offset that leaves them small.
    fn reference(small: &[f64]) -> Vec<f32> {
        let rows = small.len() as f64;
        let mean = small.iter().sum::<f64>() / rows;
        let std = (small.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows).sqrt();
        small.iter().map(|x| ((x - mean) / std) as f32).collect()
    }

    /// Within two units in the last place of the largest.
    #[track_caller]
    fn assert_close(found: &[f32], wanted: &[f32]) {
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found - wanted).abs() <= 4.0 * f32::EPSILON, "{found}, not {wanted}");
        }
    }

    #[test]
    fn an_offset_costs_nothing() {
        let small: Vec<f64> = (0..400).map(|row| 1000.0 * f64::from(row)).collect();
        let wanted = reference(&small);
        for offset in [0.0, 1.7e12, -1.7e12, 9e15] {
            let times: Vec<f64> = small.iter().map(|time| time + offset).collect();
            let labels: Vec<u32> = (0..400).map(|row| row % 2).collect();
            let mut set = Dataset::new("d", times.clone(), names(1), two_classes(&labels)).unwrap();
            Standardizer::fit(&set).apply(&mut set).unwrap();
            assert_close(&set.features.to_f32(), &wanted);
            let targets = Targets::Values { values: times.into(), names: names(1) };
            let mut set = Dataset::new("d", vec![0.0; 400], names(1), targets).unwrap();
            let fitted = Standardizer::fit(&set);
            fitted.apply(&mut set).unwrap();
            let standardized = values(&set);
            assert_close(&standardized, &wanted);
            // And back: within what f32 rounds off some 1.7 standard deviations of 115,000.
            let restored = fitted.restore(&standardized).unwrap();
            for (time, small) in restored.iter().zip(&small) {
                let bound = 115_500.0 * 2f64.powi(-24) + offset.abs() * f64::EPSILON;
                assert!((time - offset - small).abs() <= bound, "{time}");
            }
            assert!(fitted.restore(&[]).unwrap().is_empty());
        }
    }

    /// Nanoseconds since 1970, one apart, which f64 has in steps of 256.
    #[test]
    fn integers_beyond_f64_stay_apart() {
        let wanted = reference(&(0..300).map(f64::from).collect::<Vec<_>>());
        let large = |row: i64| 1_700_000_000_000_000_001 + row;
        let numbers: Numbers = (0..300).map(large).collect::<Vec<i64>>().into();
        let csv: String =
            (0..300).map(|row| format!("{},{},{}\n", large(row), row, row % 2)).collect();
        let files = Files::new();
        let csv = files.write("d.csv", format!("t,x,y\n{csv}"));
        let npy = files.write("x.npy", npy(&[300, 1], C, (0..300).map(large)));
        let labels: Vec<u32> = (0..300).map(|row| row % 2).collect();
        let own = Dataset::new("d", numbers.clone(), names(1), two_classes(&labels)).unwrap();
        let targets = Targets::Values { values: numbers, names: names(1) };
        let regress = Dataset::new("d", vec![0.0; 300], names(1), targets).unwrap();
        let read = load_with(&csv, Some("y"), None).unwrap().train;
        let array = load_with(&npy, npy.to_str(), None).unwrap().train;
        for (mut set, targets) in [(own, false), (read, false), (regress, true), (array, true)] {
            let fitted = Standardizer::fit(&set);
            assert_eq!(fitted.collapsed(&set).unwrap(), []);
            fitted.apply(&mut set).unwrap();
            let features = set.features.to_f32().into_owned();
            let found = match targets {
                true => values(&set),
                false => features.chunks(set.columns()).map(|row| row[0]).collect(),
            };
            assert_close(&found, &wanted);
        }
    }

    #[test]
    fn constants_and_near_ones() {
        let big = 1e15;
        let near: Vec<f64> = (0..8).map(|row| big + 0.125 * f64::from(row % 2)).collect();
        let tiny: Vec<f64> = (0..8).map(|row| 1e-200 * f64::from(row % 2)).collect();
        let mut set = columns(&[&[big; 8], &near, &tiny]);
        let fitted = Standardizer::fit(&set);
        assert_eq!((fitted.features[0].mean, fitted.features[0].std), (big, 1.0));
        fitted.apply(&mut set).unwrap();
        for (row, features) in set.features.to_f32().chunks(3).enumerate() {
            let side = [-1.0, 1.0][row % 2];
            assert_eq!(features, [0.0, side, side], "row {row}");
        }
        // A test set is taken by the training rows' statistics, a constant column's too.
        let mut test = columns(&[&[big + 2.0, big], &[big, big + 1.0], &[0.0, 2e-200]]);
        fitted.apply(&mut test).unwrap();
        assert_eq!(*test.features.to_f32(), [2.0, -1.0, -1.0, 0.0, 15.0, 3.0]);
    }

    #[test]
    fn what_falls_together_in_f32_is_told() {
        let times: Vec<f64> = (0..400).map(|row| 1.7e12 + 1000.0 * f64::from(row)).collect();
        let halves: Vec<f64> = (0..400).map(|row| 0.1 * f64::from(row)).collect();
        let set = columns(&[&times, &halves]);
        assert_eq!(Standardizer::fit(&set).collapsed(&set).unwrap(), []);
        // f32 has steps of 131,072 there.
        let left = times.iter().map(|&time| (time as f32).to_bits());
        let left = left.collect::<std::collections::BTreeSet<u32>>().len();
        let told = Collapsed { column: "c0".into(), distinct: 400, left };
        assert!(left <= 5);
        assert_eq!(Standardizer::default().collapsed(&set).unwrap(), [told]);
        // Without standardizing the nearest f32s go in, the targets' too where they are left out.
        let mut same = set.clone();
        Standardizer::default().apply(&mut same).unwrap();
        assert_eq!(same.features.to_f32(), set.features.to_f32());
        let targets = Targets::Values { values: vec![0.25, 0.1].into(), names: names(1) };
        let mut shares = Dataset::new("d", vec![1.0, 2.0], names(1), targets).unwrap();
        Standardizer::fit(&shares).without_targets().apply(&mut shares).unwrap();
        assert_eq!(
            (values(&shares), &*shares.features.to_f32()),
            (vec![0.25, 0.1], &[-1.0, 1.0][..])
        );
    }

    /// Features and numbers to predict, of two columns of either.
    fn both(numbers: &[f64]) -> Dataset {
        let targets = Targets::Values { values: numbers.to_vec().into(), names: names(2) };
        Dataset::new("d", numbers.to_vec(), names(2), targets).unwrap()
    }

    /// A power of two that is common to all leaves what they become to the last bit.
    #[test]
    fn a_scale_beyond_f32_costs_nothing() {
        let small: Vec<f64> =
            (0..400).map(|row| f64::from(row).sin() + f64::from(row % 7)).collect();
        let mut wanted = both(&small);
        Standardizer::fit(&wanted).apply(&mut wanted).unwrap();
        for exponent in [-900, -150, 130, 900, 957, 958, 970, 1020] {
            let scale = 2f64.powi(exponent);
            let mut set = both(&small.iter().map(|x| x * scale).collect::<Vec<_>>());
            let fitted = Standardizer::fit(&set);
            assert_eq!(fitted.collapsed(&set).unwrap(), []);
            fitted.apply(&mut set).unwrap();
            assert_eq!(set, wanted, "2^{exponent}");
        }
    }

    #[test]
    fn the_ends_of_f64_are_within() {
        let [max, min] = [f64::MAX, f64::MIN];
        let mut set = both(&[max, max, min, max, max, 1.0, min, max.next_down()]);
        let fitted = Standardizer::fit(&set);
        assert_eq!((fitted.features[0].mean, fitted.features[0].std), (0.0, max));
        assert!(fitted.features[1].mean.is_finite() && fitted.features[1].std.is_finite());
        fitted.apply(&mut set).unwrap();
        let columns = set.features.to_f32();
        let column = |at: usize| columns.iter().skip(at).step_by(2).copied().collect::<Vec<f32>>();
        assert_eq!(column(0), [1.0, -1.0, 1.0, -1.0]);
        // Three equal ones and 0: the mean is 3/4, the deviation sqrt(3)/4 of them.
        let (above, below) = ((1.0 / 3f32.sqrt()), -(3f32.sqrt()));
        assert_close(&column(1), &[above, above, below, above]);
        assert_eq!(values(&set), &*columns);
        // And back, though `out * std` alone is beyond.
        let fitted = Standardizer::fit(&both(&[min, min, max, 0.0]));
        let restored = fitted.restore(&[-1.0, 2.5, 3.0, 0.0]).unwrap();
        assert_eq!(restored, [min, 0.75 * max, f64::INFINITY, 0.5 * min]);
    }

    #[test]
    fn what_f32_cannot_hold_is_refused() {
        let refused = |by: &Standardizer, set: &Dataset, expected: &str| {
            let mut same = set.clone();
            let expected = format!("data set `d`: {expected}");
            assert_eq!(by.apply(&mut same).unwrap_err().to_string(), expected);
            assert_eq!(by.collapsed(set).unwrap_err().to_string(), expected);
            assert_eq!(&same, set);
        };
        let set = both(&[0.5, 1.0, 2.0, 1e300]);
        let none = Standardizer::default();
        let needed = "got 1e300, needed a finite f32 (3.4e38 at most), or to standardize";
        let feature = format!("row 1 (the first is 0), column `c1`: {needed}");
        refused(&none, &set, &feature);
        let target = format!("row 1 (the first is 0), target `c1`: {needed}");
        refused(&Standardizer::fit(&set).without_targets(), &set, &target);
        // A network takes them as they are.
        let mlp = Mlp::new([2, 2]).unwrap();
        for (set, expected) in [
            (&set, feature),
            (&Dataset { features: vec![0.0f32; 4].into(), ..set.clone() }, target),
        ] {
            let given = Options { batch: None, ..Options::default() };
            let error =
                Trainer::new(&Device::Cpu, &mlp, &given, set, None).err().unwrap().to_string();
            assert_eq!(error, format!("training set: data set `d`: {expected}"));
            let train = both(&[0.5, 1.0, 2.0, 4.0]);
            let error = Trainer::new(&Device::Cpu, &mlp, &given, &train, Some(set)).err().unwrap();
            assert_eq!(error.to_string(), format!("test set: data set `d`: {expected}"));
        }
        // A test row that is far beyond the training rows.
        let narrow = Standardizer::fit(&both(&[0.5, 1.0, 2.0, 4.0]));
        let what = "row 1 (the first is 0), column `c1`, standardized by the training rows";
        let needed = "a number that is then a finite f32 (3.4e38 at most)";
        refused(&narrow, &set, &format!("{what}: got 1e300, needed {needed}"));
    }

    #[test]
    fn numbers_take_the_narrowest_form() {
        let numbers = |all: Vec<f64>| Numbers::from(all);
        assert!(numbers(vec![0.5, -0.0]).is_f32() && !numbers(vec![0.5, 1e30]).is_f32());
        assert!(numbers(vec![0.5, 2.0]).is_f32() && !numbers(vec![0.5, 0.1]).is_f32());
        assert!(Numbers::from(vec![1i64 << 24, -7]).is_f32());
        assert!(!Numbers::from(vec![(1i64 << 24) + 1]).is_f32());
        // Equal by value, whatever the form.
        let wide = Numbers::from(vec![i64::MAX, 1, 2]);
        assert_eq!((wide.len(), wide.is_empty(), wide.is_f32()), (3, false, false));
        assert_ne!(wide, Numbers::from(vec![i64::MAX - 1, 1, 2]));
        assert_eq!(Numbers::from(vec![1.0f32, 2.0]), Numbers::from(vec![1.0f64, 2.0]));
        assert_ne!(Numbers::from(vec![1.0f32]), Numbers::from(vec![1.0f64, 2.0]));
    }

    #[test]
    fn refuse_other_columns() {
        let fitted = Standardizer::fit(&columns(&[&[1.0f32, 2.0]]));
        let error = fitted.apply(&mut columns(&[&[1.0f32, 2.0], &[1.0, 2.0]])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "columns to standardize: got 2, needed 1, as in the training rows"
        );
    }
}

mod generated {
    use super::*;

    fn digest(set: &Dataset) -> String {
        let mut hash = Sha256::new();
        set.features.to_f32().iter().for_each(|x| hash.update(x.to_le_bytes()));
        match &set.targets {
            Targets::Classes { labels, .. } => {
                labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
            }
            Targets::Values { values, .. } => {
                values.to_f32().iter().for_each(|value| hash.update(value.to_le_bytes()));
            }
        }
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bits of each set at seed 1: a change here changes everybody's results.
    #[test]
    fn sets_have_their_bits() {
        let digests = Generated::NAMES
            .map(|(name, set)| format!("{name} {}", digest(&set.generate(1, None).unwrap())));
        assert_eq!(
            digests,
            [
                "spirals fe60d30f0a16b36f",
                "moons 54cab630008946f6",
                "rings f920e910e03feaff",
                "teacher e715c3603894e66e",
                "digits 4ea18a052499dc3e"
            ]
        );
    }

    #[test]
    fn sets_depend_on_the_seed_and_grow_at_the_end() {
        for (name, set) in Generated::NAMES {
            assert_eq!((set.to_string(), name.parse().ok()), (name.to_string(), Some(set)));
            let whole = set.generate(3, None).unwrap();
            assert_eq!((whole.rows(), &*whole.name), (set.default_rows(), name));
            let short = set.generate(3, Some(50)).unwrap();
            assert_eq!(whole.select(&(0..50).collect::<Vec<_>>()), short);
            assert_ne!(set.generate(4, Some(50)).unwrap().features, short.features);
        }
        let refused = |rows| Generated::Moons.generate(0, Some(rows)).unwrap_err().to_string();
        assert_eq!(refused(1), "rows of `moons`: got 1, needed 2 to 1000000");
        assert!(refused(usize::MAX).ends_with("needed 2 to 1000000"));
    }

    #[test]
    fn rings_and_moons_lie_where_they_should() {
        let set = Generated::Rings.generate(5, Some(3000)).unwrap();
        for (point, label) in set.features.to_f32().chunks(2).zip(labels(&set).0) {
            let radius = point[0].hypot(point[1]);
            assert!((radius - (label + 1) as f32 / 3.0).abs() < 0.06 * 6.4, "{radius}");
        }
        let set = Generated::Moons.generate(5, Some(3000)).unwrap();
        for (point, label) in set.features.to_f32().chunks(2).zip(labels(&set).0) {
            let centre = if label == 0 { [0.0, 0.0] } else { [1.0, 0.5] };
            let (x, y) = (point[0] - centre[0], point[1] - centre[1]);
            assert!((x.hypot(y) - 1.0).abs() < 0.12 * 6.4 * 1.5);
        }
    }

    /// The words are those of the documented stream: each row's last is its noise.
    #[test]
    fn a_teachers_inputs_are_its_streams_normals() {
        use fanin::random::Distribution;
        let set = Generated::Teacher.generate(9, None).unwrap();
        let stream = Stream::named(9, "data.teacher");
        for (row, features) in set.features.to_f32().chunks(8).enumerate() {
            for (input, feature) in features.iter().enumerate() {
                let index = (row * 9 + input) as u64;
                assert_eq!(Distribution::normal(1.0).value(&stream, index).unwrap(), *feature);
            }
        }
        let targets = values(&set);
        let mean = targets.iter().sum::<f32>() / 2000.0;
        let variance = targets.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / 2000.0;
        assert!((0.2..4.0).contains(&variance), "{variance}");
    }

    /// The share of the test rows whose nearest training row has their label.
    fn nearest_neighbour(train: &Dataset, test: &Dataset) -> f64 {
        let columns = train.columns();
        let distance =
            |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
        let (known, wanted) = (labels(train).0, labels(test).0);
        let (rows, asked) = (train.features.to_f32(), test.features.to_f32());
        let right = asked.chunks(columns).zip(wanted).filter(|(row, label)| {
            let nearest = rows
                .chunks(columns)
                .zip(&known)
                .min_by(|a, b| distance(a.0, row).total_cmp(&distance(b.0, row)));
            nearest.unwrap().1 == label
        });
        right.count() as f64 / test.rows() as f64
    }

    /// The same of the nearest mean of a class: a linear classifier.
    fn nearest_mean(train: &Dataset, test: &Dataset) -> f64 {
        let classes = train.target_columns() as u32;
        let columns = train.columns();
        let mut means = Vec::new();
        let known = labels(train).0;
        for class in 0..classes {
            let rows: Vec<u32> =
                (0..train.rows() as u32).filter(|&row| known[row as usize] == class).collect();
            means.extend(super::means(&Standardizer::fit(&train.select(&rows))));
        }
        let all = (0..classes).collect::<Vec<_>>();
        let targets = Targets::Classes { labels: all, names: names(classes as usize) };
        let means = Dataset::new("means", means, names(columns), targets).unwrap();
        nearest_neighbour(&means, test)
    }

    #[test]
    fn classes_can_be_learnt_but_not_by_their_means() {
        let expected = [
            (Generated::Spirals, 0.97, 0.6),
            (Generated::Moons, 0.97, 0.95),
            (Generated::Rings, 0.97, 0.6),
            (Generated::Digits, 0.85, 0.9),
        ];
        for (set, least, most) in expected {
            let (train, test) = set.generate(1, None).unwrap().split(1, 0.2).unwrap();
            let (near, mean) = (nearest_neighbour(&train, &test), nearest_mean(&train, &test));
            assert!(near >= least && mean <= most, "{set}: {near}, {mean}");
        }
    }

    #[test]
    fn digits_look_like_digits() {
        let set = Generated::Digits.generate(1, None).unwrap();
        assert_eq!((set.columns(), set.target_columns()), (64, 10));
        assert!(set.features.to_f32().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        // In the mean picture of the zeros the middle is paper, its left and right are ink.
        let zeros: Vec<u32> = (0..200).map(|i| i * 10).collect();
        let mean = means(&Standardizer::fit(&set.select(&zeros)));
        let ink = |row: usize, column: usize| mean[row * 8 + column];
        assert!(ink(4, 2) > 2.0 * ink(4, 4) || ink(3, 2) > 2.0 * ink(3, 4), "{mean:?}");
        assert!(ink(0, 0) < 0.15 && ink(7, 7) < 0.15);
        // And of the ones the middle is ink.
        let ones: Vec<u32> = (0..200).map(|i| i * 10 + 1).collect();
        let mean = means(&Standardizer::fit(&set.select(&ones)));
        assert!(mean[3 * 8 + 3] + mean[3 * 8 + 4] > 0.6, "{mean:?}");
    }

    #[test]
    fn are_loaded_by_name() {
        let loaded = load("rings", &LoadOptions::default(), 8).unwrap();
        assert_eq!(loaded.train, Generated::Rings.generate(8, None).unwrap());
        assert_eq!((loaded.test, loaded.task), (None, Task::Classify));
        assert_eq!(loaded.reason, "the generated set `rings` has 3 classes");
        let loaded = load("teacher", &LoadOptions::default(), 8).unwrap();
        assert_eq!(loaded.task, Task::Regress);

        let refused = |task, target: Option<&str>| {
            let options = LoadOptions { task, target: target.map(str::to_string) };
            load("moons", &options, 0).unwrap_err().to_string()
        };
        assert_eq!(
            refused(Some(Task::Regress), None),
            "task: got regress, needed classify: the generated set `moons` has 2 classes"
        );
        assert_eq!(
            refused(None, Some("y")),
            "target: got y, needed none: the generated set `moons` has its own targets"
        );
    }

    #[test]
    fn unknown_names_list_what_there_is() {
        let error = load("spiral", &LoadOptions::default(), 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown data set `spiral` (nearest: spirals); known: spirals, moons, rings, teacher, \
             digits, FILE.csv, FILE.npy, FILE.npz, FILE.safetensors, a directory of IDX files"
        );
        let error = "classification".parse::<Task>().unwrap_err();
        assert!(error.to_string().starts_with("unknown task `classification`"), "{error}");
        for file in ["no.csv", "no.npz", "no.safetensors", "no/train-images-idx3-ubyte"] {
            let error = load(file, &LoadOptions::default(), 0).unwrap_err();
            assert!(matches!(error, Error::File { action: "open", .. }), "{error}");
        }
    }
}

mod csv {
    use super::*;

    fn parse(text: impl AsRef<[u8]>, target: &str, task: Option<Task>) -> Result<Loaded> {
        let files = Files::new();
        load_with(&files.write("t.csv", text), Some(target), task)
    }

    #[track_caller]
    fn assert_mistake(text: impl AsRef<[u8]>, expected: &str) {
        let files = Files::new();
        let path = files.write("t.csv", text);
        assert_eq!(message(&path, load_with(&path, Some("y"), None)), expected);
    }

    #[test]
    fn is_read_with_all_that_spreadsheets_do_to_it() {
        let text = "\u{feff}\"a, or so\",y, b \r\n1,\"dog\", -2.5e1\r\n\r\n3,\"cat\",4\r\n\"5\",dog,6\r\n\r\n";
        let loaded = parse(text, "y", None).unwrap();
        assert_eq!(*loaded.train.features.to_f32(), [1.0, -25.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(loaded.train.feature_names, ["a, or so", "b"]);
        assert_eq!(labels(&loaded.train), (vec![1, 0, 1], vec!["cat", "dog"]));
        assert_eq!((&*loaded.train.name, loaded.task), ("t", Task::Classify));
        assert_eq!((loaded.test, &*loaded.reason), (None, "the target `y` is text"));
        // The byte order mark is no part of a name.
        let loaded = parse("\u{feff}y,a\n1.5,2\n2.5,3", "y", None).unwrap();
        assert_eq!(values(&loaded.train), [1.5, 2.5]);
    }

    #[test]
    fn tasks_are_guessed_and_the_guess_is_told() {
        let guess = |cells: &[String]| {
            let text: String = cells.iter().map(|cell| format!("0,{cell}\n")).collect();
            let loaded = parse(format!("a,y\n{text}"), "y", None).unwrap();
            (loaded.task, loaded.reason)
        };
        let cycle = |rows: usize, of: usize| -> Vec<String> {
            (0..rows).map(|row| (row % of).to_string()).collect()
        };
        assert_eq!(
            guess(&cycle(4, 2)),
            (Task::Classify, "the target `y` has whole numbers, 2 distinct ones".into())
        );
        assert_eq!(guess(&cycle(40, 20)).0, Task::Classify);
        assert_eq!(
            guess(&cycle(42, 21)),
            (Task::Regress, "the target `y` has 21 distinct whole numbers, more than 20".into())
        );
        let few = "the target `y` has 20 distinct whole numbers in 39 rows, too few of each to be \
                   classes";
        assert_eq!(guess(&cycle(39, 20)), (Task::Regress, few.into()));
        let mut cells = cycle(40, 2);
        cells[7] = "0.5".into();
        assert_eq!(
            guess(&cells),
            (Task::Regress, "the target `y` has numbers that are not whole".into())
        );
        cells[7] = "none".into();
        assert_eq!(guess(&cells).0, Task::Classify);
    }

    #[test]
    fn numeric_classes_are_in_the_order_of_their_values() {
        let text = "y,a\n10,0\n-1,0\n2.0,0\n10,0\n2,0\n-0,0\n0,0\n-1,0\n";
        let loaded = parse(text, "y", None).unwrap();
        assert_eq!(
            labels(&loaded.train),
            (vec![3, 0, 2, 3, 2, 1, 1, 0], vec!["-1", "0", "2", "10"])
        );
        let loaded = parse(text, "y", Some(Task::Regress)).unwrap();
        assert_eq!(values(&loaded.train), [10.0, -1.0, 2.0, 10.0, 2.0, 0.0, 0.0, -1.0]);
        assert_eq!((loaded.task, &*loaded.reason), (Task::Regress, "regress was asked for"));
        let loaded = parse("y,a\n1.5,0\n0.5,1\n", "y", Some(Task::Classify)).unwrap();
        assert_eq!(labels(&loaded.train), (vec![1, 0], vec!["0.5", "1.5"]));
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_column() {
        assert_mistake("a,y\n1,2\n3\n", "line 3, cells: got 1, needed 2, as in the header");
        assert_mistake("a,y\n1,2\n3,4,5\n", "line 3, cells: got 3, needed 2, as in the header");
        let needed = "needed a number: every column but the target is a numeric feature";
        assert_mistake("a,y\n1,2\nred,4\n", &format!("line 3, column `a`: got `red`, {needed}"));
        // CRLF, blank lines, and a cell of two lines in between.
        assert_mistake(
            "a,y\r\n1,2\r\n\r\n\r\n3,\"p\r\nq\"\r\n\r\nred,4\r\n",
            &format!("line 8, column `a`: got `red`, {needed}"),
        );
        assert_mistake(
            "a,,y\n1,2,2\n3,,4\n",
            "line 3, column `column 2`: got an empty cell, needed a finite f64",
        );
        assert_mistake("a,y\n1,2\nNaN,4\n", "line 3, column `a`: got `NaN`, needed a finite f64");
        assert_mistake(
            "a,y\n1,2\n1e309,4\n",
            "line 3, column `a`: got `1e309`, needed a finite f64",
        );
        assert_mistake(
            "a,y\n1,\n",
            "line 2, column `y`: got an empty cell, needed a class or a number",
        );
        assert_mistake("a,y\n1,2\n1,inf\n", "line 3, column `y`: got inf, needed a finite f64");
        assert_mistake(
            b"a,y\n1,2\n\xff,4\n",
            "line 3: got bytes that are not UTF-8, needed CSV in UTF-8",
        );
    }

    #[test]
    fn a_target_must_be_one_of_the_columns() {
        let files = Files::new();
        let path = files.write("t.csv", "width,height,kind\n1,2,a\n");
        assert_eq!(
            message(&path, load_with(&path, None, None)),
            "target: got none, needed --target with one of the columns: width, height, kind"
        );
        assert_eq!(
            message(&path, load_with(&path, Some("knd"), None)),
            "unknown target column `knd` (nearest: kind); known: width, height, kind"
        );
        assert_mistake(
            "y,y,a\n1,2,3\n",
            "target: got `y`, needed the name of one column, which two have",
        );
        assert_mistake(
            "y\n1\n2\n",
            "columns: got 1, needed a column of features besides the target (cells are parted by ,)",
        );
        let header = "needed a first line of column names";
        assert_mistake("", &format!("header: got nothing, {header}"));
        assert_mistake("1,2\n3,4\n", &format!("header: got only numbers, 1, 2, {header}"));
    }

    #[test]
    fn there_must_be_something_to_learn() {
        let set = "data set `t`";
        assert_mistake("a,y\n", &format!("{set}: rows: got 0, needed at least one"));
        assert_mistake(
            "a,y\n1,dog\n2,dog\n",
            &format!("{set}: classes: got `dog` in all rows, needed at least two classes"),
        );
        assert_mistake(
            "a,y\n1,0.5\n2,0.5\n",
            &format!("{set}: target `y`: got 0.5 in all rows, needed a value that varies"),
        );
        let files = Files::new();
        let path = files.write("t.csv", "a,y\n1,3\n2,red\n");
        assert_eq!(
            message(&path, load_with(&path, Some("y"), Some(Task::Regress))),
            "target `y`, row 1 (the first is 0): got `red`, needed a number to regress"
        );
    }
}

mod idx {
    use super::*;

    fn file(magic: u32, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
        let header = [&[magic], dims].concat();
        let mut file: Vec<u8> = header.iter().flat_map(|number| number.to_be_bytes()).collect();
        file.extend_from_slice(bytes);
        file
    }

    fn images(rows: u32) -> Vec<u8> {
        let pixels: Vec<u8> = (0..rows * 6).map(|pixel| (pixel * 5) as u8).collect();
        file(0x803, &[rows, 2, 3], &pixels)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn directory(images: impl AsRef<[u8]>, labels: impl AsRef<[u8]>) -> Files {
        let files = Files::new();
        files.write("train-images-idx3-ubyte", images);
        files.write("train-labels-idx1-ubyte", labels);
        files
    }

    fn check(loaded: &Loaded) {
        let pixels: Vec<f32> = (0..24).map(|pixel| (pixel * 5) as f32 / 255.0).collect();
        assert_eq!(*loaded.train.features.to_f32(), pixels);
        assert_eq!(loaded.train.feature_names, ["x0_0", "x0_1", "x0_2", "x1_0", "x1_1", "x1_2"]);
        assert_eq!(labels(&loaded.train), (vec![1, 0, 2, 1], vec!["3", "5", "9"]));
        assert_eq!(loaded.task, Task::Classify);
        assert_eq!(loaded.reason, "a file of labels comes with the images");
    }

    const LABELS: [u8; 4] = [5, 3, 9, 5];

    #[test]
    fn is_read_plain_and_gzipped_with_its_test_set() {
        let train = file(0x801, &[4], &LABELS);
        let files = directory(images(4), &train);
        let loaded = load_with(files.0.path(), None, None).unwrap();
        check(&loaded);
        assert_eq!(loaded.test, None);
        // The file of images stands for them all.
        let path = files.path("train-images-idx3-ubyte");
        assert_eq!(load_with(&path, None, None).unwrap().train.features, loaded.train.features);

        let files = Files::new();
        files.write("train-images.idx3-ubyte.gz", gzip(&images(4)));
        files.write("train-labels-idx1-ubyte.gz", gzip(&train));
        // A .gz that somebody unpacked and did not rename.
        files.write("t10k-images-idx3-ubyte.gz", images(2));
        files.write("t10k-labels.idx1-ubyte", gzip(&file(0x801, &[2], &[9, 9])));
        let loaded = load_with(files.0.path(), None, None).unwrap();
        check(&loaded);
        let test = loaded.test.unwrap();
        assert_eq!(*test.features.to_f32(), loaded.train.features.to_f32()[..12]);
        assert_eq!(labels(&test), (vec![2, 2], vec!["3", "5", "9"]));
        let loaded = load_with(files.0.path(), None, Some(Task::Regress)).unwrap();
        assert_eq!(values(&loaded.train), [5.0, 3.0, 9.0, 5.0]);
    }

    #[track_caller]
    fn assert_mistake(files: &Files, name: &str, expected: &str) {
        let (found, path) = (load_with(files.0.path(), None, None), files.path(name));
        let found = message(&path, found);
        match expected.strip_suffix('…') {
            Some(start) => assert!(found.starts_with(start), "{found}"),
            None => assert_eq!(found, expected),
        }
    }

    #[test]
    fn mistakes_say_what_was_found_and_expected() {
        let (name, good) = ("train-images-idx3-ubyte", file(0x801, &[4], &LABELS));
        assert_mistake(
            &directory(file(0x801, &[4], &[0; 4]), &good),
            name,
            "magic number: got 0x00000801, needed 0x00000803, bytes in 3 dimensions",
        );
        let short = "data: got 23 bytes, needed 24 bytes for the dimensions [4, 2, 3]";
        assert_mistake(&directory(&images(4)[..16 + 23], &good), name, short);
        let mut long = images(4);
        long.push(0);
        let more = "data: got more than 24 bytes, needed 24 bytes for the dimensions [4, 2, 3]";
        assert_mistake(&directory(&long, &good), name, more);
        assert_mistake(
            &directory(&images(4)[..7], &good),
            name,
            "content: got an early end or damage (…",
        );
        let zipped = gzip(&images(4));
        let cut = &zipped[..zipped.len() - 9];
        assert_mistake(&directory(cut, &good), name, "content: got an early end or damage (…");
        let mut broken = zipped.clone();
        // In the checksum.
        let last = broken.len() - 6;
        broken[last] ^= 0x5A;
        assert_mistake(&directory(broken, &good), name, "content: got an early end or damage (…");
        // 2^96 bytes, and 2^62 that are not there.
        let huge = file(0x803, &[u32::MAX, u32::MAX, u32::MAX], &[]);
        let needed = "dimensions: got [4294967295, 4294967295, 4294967295], needed less than 2^64 \
                      bytes in all";
        assert_mistake(&directory(huge, &good), name, needed);
        let huge = file(0x803, &[1 << 31, 1 << 31, 1], &[1, 2]);
        assert_mistake(
            &directory(huge, &good),
            name,
            "data: got 2 bytes, needed 4611686018427387904 bytes…",
        );
    }

    #[test]
    fn sets_must_be_whole() {
        let root = |files: &Files, expected: &str| {
            let found = message(files.0.path(), load_with(files.0.path(), None, None));
            assert_eq!(found, expected);
        };
        let train = file(0x801, &[4], &LABELS);
        root(
            &directory(images(3), &train),
            "`train-labels-idx1-ubyte`: got 4 rows, needed 3, as many as \
             `train-images-idx3-ubyte` has",
        );
        root(
            &directory(file(0x803, &[0, 2, 3], &[]), file(0x801, &[0], &[])),
            "`train-images-idx3-ubyte`: got shape [0, 2, 3], which is empty, needed at least one \
             row and one column",
        );
        let files = Files::new();
        root(
            &files,
            "file of images: got none, needed train-images-idx3-ubyte, or the same with .gz",
        );
        files.write("train-images-idx3-ubyte", images(4));
        root(
            &files,
            "file of labels: got none, needed train-labels-idx1-ubyte, or the same with .gz",
        );
        files.write("train-labels-idx1-ubyte", &train);
        files.write("t10k-images-idx3-ubyte", images(1));
        root(
            &files,
            "file of labels: got none, needed t10k-labels-idx1-ubyte, or the same with .gz",
        );
        files.write("t10k-labels-idx1-ubyte", file(0x801, &[1], &[4]));
        root(
            &files,
            "target `t10k-labels-idx1-ubyte`, row 0 (the first is 0): got `4`, needed a class of \
             the training set: 3, 5, 9",
        );
        files.write("t10k-labels-idx1-ubyte", file(0x801, &[1], &[9]));
        files.write("t10k-images-idx3-ubyte", file(0x803, &[1, 3, 2], &[0; 6]));
        root(
            &files,
            "`t10k-images-idx3-ubyte`: got [3, 2] a row, needed [2, 3] a row, as in the training \
             set",
        );
        let given = load_with(files.0.path(), Some("y"), None).unwrap_err().to_string();
        assert_eq!(
            given,
            "target: got y, needed none: a directory of IDX files has its own targets"
        );
    }
}

/// An array in the bytes of an `.npy` file, by npyz's writer.
fn npy<T: npyz::Serialize + npyz::AutoSerialize>(
    shape: &[u64],
    order: npyz::Order,
    elements: impl IntoIterator<Item = T>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(elements).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A file of version 1 with this header, and these bytes after it.
fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, fortran: bool, shape: &str) -> String {
    let order = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
}

const C: npyz::Order = npyz::Order::C;
const FORTRAN: npyz::Order = npyz::Order::Fortran;

mod npy_files {
    use super::*;

    fn pair(x: impl AsRef<[u8]>, y: impl AsRef<[u8]>) -> (Files, Result<Loaded>) {
        let files = Files::new();
        let (x, y) = (files.write("x.npy", x), files.write("y.npy", y));
        let loaded = load_with(&x, y.to_str(), None);
        (files, loaded)
    }

    fn y2() -> Vec<u8> {
        npy(&[2], C, [0.5f32, 1.5])
    }

    #[test]
    fn are_read_row_by_row_in_either_order() {
        // x[row, i, j] = 100 row + 10 i + j.
        let element = |row: u8, i: u8, j: u8| f64::from(row) * 100.0 + f64::from(i * 10 + j);
        let mut slowest_first = Vec::new();
        let mut fastest_first = Vec::new();
        for n in 0..12 {
            slowest_first.push(element(n / 6, n / 2 % 3, n % 2));
            fastest_first.push(element(n % 2, n / 2 % 3, n / 6));
        }
        let expected = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 100.0, 101.0, 110.0, 111.0, 120.0, 121.0];
        for (order, elements) in [(C, slowest_first), (FORTRAN, fastest_first)] {
            let loaded = pair(npy(&[2, 3, 2], order, elements), y2()).1.unwrap();
            assert_eq!(*loaded.train.features.to_f32(), expected);
            let names = ["x0_0", "x0_1", "x1_0", "x1_1", "x2_0", "x2_1"];
            assert_eq!(loaded.train.feature_names, names);
            assert_eq!((values(&loaded.train), loaded.task), (vec![0.5, 1.5], Task::Regress));
        }
        // Several targets, in Fortran's order too: [[1, 3], [2, 4]].
        let loaded =
            pair(npy(&[2, 1], C, [7i8, -7]), npy(&[2, 2], FORTRAN, [1i32, 2, 3, 4])).1.unwrap();
        assert_eq!(*loaded.train.features.to_f32(), [7.0, -7.0]);
        assert_eq!(values(&loaded.train), [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(loaded.reason, "the target `y.npy` has 2 columns");
        assert_eq!((loaded.train.target_columns(), loaded.train.target_columns()), (2, 2));
    }

    #[test]
    fn integers_beyond_f64_are_classes_of_their_own() {
        let ids = [1i64 << 53, (1 << 53) + 1, 1 << 53, (1 << 53) + 1];
        let loaded = pair(npy(&[4, 1], C, [1.0f32, 2.0, 3.0, 4.0]), npy(&[4], C, ids)).1.unwrap();
        let (labels, names) = labels(&loaded.train);
        assert_eq!(
            (&labels[..], &names[..]),
            (&[0, 1, 0, 1][..], &["9007199254740992", "9007199254740993"][..])
        );
        let ids = [u64::MAX, u64::MAX - 1, u64::MAX, u64::MAX - 1];
        let loaded = pair(npy(&[4, 1], C, [1.0f32, 2.0, 3.0, 4.0]), npy(&[4], C, ids)).1.unwrap();
        assert_eq!(super::labels(&loaded.train).0, [1, 0, 1, 0]);
    }

    #[test]
    fn come_in_every_plain_dtype() {
        let cases: [(&str, &[u8], [f32; 2]); 14] = [
            ("|u1", &[255, 51], [1.0, 0.2]),
            ("|i1", &[255, 51], [-1.0, 51.0]),
            ("|b1", &[1, 0], [1.0, 0.0]),
            ("<u2", &[1, 0, 0, 1], [1.0, 256.0]),
            (">u2", &[1, 0, 0, 1], [256.0, 1.0]),
            ("<i2", &[255, 255, 0, 1], [-1.0, 256.0]),
            ("<i4", &[255, 255, 255, 255, 1, 0, 0, 0], [-1.0, 1.0]),
            (">i4", &[255, 255, 255, 255, 0, 0, 0, 1], [-1.0, 1.0]),
            ("<u4", &[0, 0, 0, 128, 1, 0, 0, 0], [2147483648.0, 1.0]),
            (
                "<u8",
                &[0, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 0, 0, 0],
                [9223372036854775808.0, 1.0],
            ),
            ("<i8", &[255; 16], [-1.0, -1.0]),
            ("<f2", &[0, 0x3E, 0, 0xC0], [1.5, -2.0]),
            (">f2", &[0x3E, 0, 0xC0, 0], [1.5, -2.0]),
            (">f4", &[0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0], [1.5, -2.0]),
        ];
        for (descr, data, expected) in cases {
            let x = raw_npy(&header(descr, false, "(2, 1)"), data);
            let loaded = pair(x, y2()).1.unwrap();
            assert_eq!(*loaded.train.features.to_f32(), expected, "{descr}");
        }
    }

    #[track_caller]
    fn assert_mistake(x: impl AsRef<[u8]>, y: impl AsRef<[u8]>, expected: &str) {
        let (files, loaded) = pair(x, y);
        let found = message(&files.path("x.npy"), loaded);
        let found = found.replace(&format!("{}/", files.0.path().display()), "");
        match expected.strip_suffix('…') {
            Some(start) => assert!(found.starts_with(start), "{found}"),
            None => assert_eq!(found, expected),
        }
    }

    #[test]
    fn of_other_dtypes_are_refused() {
        let plain = "needed plain numbers: bool, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8";
        for descr in ["<c8", "<c16", "|O", "<U4", "|S3", "<M8[ns]", "|V4", "<f16"] {
            let x = raw_npy(&header(descr, false, "(2, 1)"), &[0; 64]);
            assert_mistake(x, y2(), &format!("`x.npy`, dtype: got '{descr}', {plain}"));
        }
        let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }";
        assert_mistake(
            raw_npy(record, &[0; 8]),
            y2(),
            &format!("`x.npy`, dtype: got [('a', '<f4'), ], {plain}"),
        );
    }

    #[test]
    fn that_are_damaged_are_refused() {
        let good = npy(&[2, 1], C, [1.0f32, 2.0]);
        assert_mistake(b"", y2(), "`x.npy`, content: got an early end or damage (…");
        assert_mistake(
            b"PK\x03\x04....",
            y2(),
            "`x.npy`, magic string: got [50, 4b, 03, 04, 2e, 2e], needed 93 'NUMPY'",
        );
        for cut in [7, 9, 30] {
            assert_mistake(&good[..cut], y2(), "`x.npy`, content: got an early end or damage (…");
        }
        let needed = "needed 8 bytes for the shape [2, 1]";
        assert_mistake(
            &good[..good.len() - 1],
            y2(),
            &format!("`x.npy`, data: got 7 bytes, {needed}"),
        );
        let long = [&good[..], &[0]].concat();
        assert_mistake(long, y2(), &format!("`x.npy`, data: got more than 8 bytes, {needed}"));
        assert_mistake(
            raw_npy("nonsense 'shape': (1,)", &[]),
            y2(),
            "`x.npy`, header: got could not parse…",
        );
        let mut version = good.clone();
        version[6] = 9;
        assert_mistake(version, y2(), "`x.npy`, header: got …");
    }

    #[test]
    fn with_hostile_headers_are_refused_at_once() {
        let with = |shape: &str| raw_npy(&header("<f4", false, shape), &[]);
        let most = u64::MAX;
        assert_mistake(
            with(&format!("({most}, {most})")),
            y2(),
            &format!(
                "`x.npy`, header: got shape ({most}, {most}), 2^64 elements or more, needed an array of plain numbers"
            ),
        );
        assert_mistake(
            with(&format!("(0, {most}, {most})")),
            y2(),
            &format!("`x.npy`, header: got shape (0, {most}, {most}), 2^64 elements or more…"),
        );
        assert_mistake(
            with(&format!("({most}, 1)")),
            y2(),
            "`x.npy`, shape: got [18446744073709551615, 1], needed less than 2^64 bytes in all",
        );
        assert_mistake(
            with("(1099511627776, 2)"),
            y2(),
            "`x.npy`, data: got 0 bytes, needed 8796093022208 bytes…",
        );
        for shape in ["(-1, 2)", "(0x7f, 2)", "(1+1,)", "(99999999999999999999,)"] {
            assert_mistake(
                with(shape),
                y2(),
                &format!("`x.npy`, header: got shape {shape}, whose dimensions are no counts…"),
            );
        }
        assert_mistake(with("7"), y2(), "`x.npy`, header: got a 'shape' that is no tuple…");
        let deep = format!("{}{}", "(".repeat(4000), ")".repeat(4000));
        assert_mistake(with(&deep), y2(), "`x.npy`, header: got a structured type…");
        assert_mistake(
            raw_npy("{'descr': '<f4'}", &[]),
            y2(),
            "`x.npy`, header: got not one 'shape'…",
        );
        let twice = "{'shape': (1,), 'shape': (2,)}";
        assert_mistake(raw_npy(twice, &[]), y2(), "`x.npy`, header: got not one 'shape'…");
        // Version 2 tells of a header of 4 GiB.
        let mut long = b"\x93NUMPY\x02\x00".to_vec();
        long.extend([255; 4]);
        assert_mistake(long, y2(), "`x.npy`, header: got 4294967295 bytes, needed at most 10000");
    }

    #[test]
    fn must_fit_each_other() {
        let good = npy(&[2, 1], C, [1.0f32, 2.0]);
        assert_mistake(
            &good,
            npy(&[3], C, [1.0f32, 2.0, 3.0]),
            "`y.npy`: got 3 rows, needed 2, as many as `x.npy` has",
        );
        assert_mistake(
            npy(&[], C, [1.0f32]),
            y2(),
            "`x.npy`: got shape [], needed two dimensions or more, rows first",
        );
        assert_mistake(
            npy(&[2], C, [1.0f32, 2.0]),
            y2(),
            "`x.npy`: got shape [2], needed two dimensions or more, rows first",
        );
        assert_mistake(
            &good,
            npy(&[], C, [1.0f32]),
            "`y.npy`: got shape [], a single number, needed an array with a target for each row",
        );
        assert_mistake(
            &good,
            npy(&[2, 1, 2], C, [1.0f32; 4]),
            "`y.npy`: got shape [2, 1, 2], needed [rows] or [rows, targets]",
        );
        assert_mistake(
            npy(&[0, 3], C, [0f32; 0]),
            npy(&[0], C, [0f32; 0]),
            "`x.npy`: got shape [0, 3], which is empty, needed at least one row and one column",
        );
        assert_mistake(
            npy(&[2, 1], C, [1.0f32, f32::NAN]),
            y2(),
            "data set `x`: row 1 (the first is 0), column `x0`: got NaN, needed a finite f64",
        );
        assert_mistake(
            &good,
            npy(&[2], C, [1.0, f64::INFINITY]),
            "`y.npy`, element 1 (the first is 0): got inf, needed a finite f64",
        );
        assert_mistake(
            npy(&[1, (1 << 20) + 1], C, vec![0u8; (1 << 20) + 1]),
            npy(&[1], C, [1.0f32]),
            "`x.npy`: got 1048577 numbers a row, needed at most 1048576",
        );
        let files = Files::new();
        let x = files.write("x.npy", good);
        assert_eq!(
            message(&x, load_with(&x, None, None)),
            "target: got none, needed --target with the .npy file of the targets"
        );
        let missing = files.path("z.npy");
        let error = load_with(&x, missing.to_str(), None).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        let y = files.write("y.npy", npy(&[2, 2], C, [1u16, 2, 3, 4]));
        assert_eq!(
            message(&x, load_with(&x, y.to_str(), Some(Task::Classify))),
            "`y.npy`: got 2 columns, needed one column of classes"
        );
    }
}

mod archives {
    use super::*;

    fn npz(files: &Files, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
        let file = fs::File::create(files.path("a.npz")).unwrap();
        let mut zip = zip::ZipWriter::new(file);
        for (index, (name, bytes)) in arrays.iter().enumerate() {
            // `numpy.savez` stores, `numpy.savez_compressed` deflates.
            let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated];
            let options =
                zip::write::SimpleFileOptions::default().compression_method(method[index % 2]);
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        files.path("a.npz")
    }

    fn x(rows: u64) -> Vec<u8> {
        npy(&[rows, 2], C, (0..rows * 2).map(|n| n as u8))
    }

    fn y(labels: &[i64]) -> Vec<u8> {
        npy(&[labels.len() as u64], C, labels.iter().copied())
    }

    #[test]
    fn hold_features_and_targets_under_their_usual_names() {
        let files = Files::new();
        for (features, targets) in
            [("x", "y"), ("X", "y"), ("features", "labels"), ("data", "target")]
        {
            let path = npz(&files, &[(features, x(4)), (targets, y(&[7, -7, 7, -7]))]);
            let loaded = load_with(&path, None, None).unwrap();
            assert_eq!(loaded.train.features.to_f32()[3], 3.0 / 255.0);
            assert_eq!(labels(&loaded.train), (vec![1, 0, 1, 0], vec!["-7", "7"]));
            assert_eq!((loaded.test, &*loaded.train.name), (None, "a"));
        }
        // As Keras' mnist.npz.
        let path = npz(
            &files,
            &[
                ("x_test", x(2)),
                ("y_test", y(&[2, 2])),
                ("x_train", x(4)),
                ("y_train", y(&[1, 2, 1, 2])),
            ],
        );
        let loaded = load_with(&path, None, None).unwrap();
        let test = loaded.test.unwrap();
        assert_eq!((loaded.train.rows(), test.rows()), (4, 2));
        assert_eq!(labels(&test), (vec![1, 1], vec!["1", "2"]));
        // A target of another name.
        let path = npz(&files, &[("x", x(4)), ("y", y(&[1, 1, 1, 1])), ("z", y(&[1, 2, 1, 2]))]);
        let loaded = load_with(&path, Some("z"), None).unwrap();
        assert_eq!(labels(&loaded.train).0, [0, 1, 0, 1]);
        assert_eq!(
            message(&path, load_with(&path, Some("w"), None)),
            "unknown target array `w`; known: x, y, z"
        );
    }

    #[test]
    fn mistakes_are_told_with_the_array() {
        let files = Files::new();
        let check = |arrays: &[(&str, Vec<u8>)], expected: &str| {
            let path = npz(&files, arrays);
            assert_eq!(message(&path, load_with(&path, None, None)), expected);
        };
        let needed = "needed features x (or features, data, images) and targets y (or labels, \
                      target), or x_train, y_train, x_test and y_test";
        check(&[("arr_0", x(2))], &format!("contents: got arrays arr_0, {needed}"));
        check(&[], &format!("contents: got no arrays, {needed}"));
        check(
            &[("x_train", x(2)), ("y_train", y(&[1, 2])), ("x_test", x(2))],
            "test set: got arrays x_train, y_train, x_test, needed both x_test and y_test, or \
             neither",
        );
        check(&[("x", x(2)), ("y", y(&[1]))], "`y`: got 1 rows, needed 2, as many as `x` has");
        check(
            &[("x", x(2)[..100].to_vec()), ("y", y(&[1, 2]))],
            "`x`, content: got an early end or damage (failed to fill whole buffer), needed a \
             whole NPY array",
        );
        let path = npz(&files, &[("x", x(2)), ("y", y(&[1, 2]))]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let found = message(&path, load_with(&path, None, None));
        assert!(found.starts_with("archive: got "), "{found}");
        assert!(found.ends_with("needed a whole zip archive, stored or deflated"), "{found}");
    }
}

mod tensors {
    use super::*;

    fn file(files: &Files, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> PathBuf {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (name.to_string(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        files.write("s.safetensors", bytes)
    }

    fn labels_of(rows: usize) -> (&'static str, Dtype, Vec<usize>, Vec<u8>) {
        ("y", Dtype::U8, vec![rows], (0..rows).map(|row| row as u8 % 2).collect())
    }

    #[test]
    fn are_read_in_every_dtype() {
        let files = Files::new();
        let cases: [(Dtype, &[u8], [f32; 2]); 13] = [
            (Dtype::F32, &[0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0], [1.5, -2.0]),
            (Dtype::F64, &[0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0], [1.5, -2.0]),
            (Dtype::F16, &[0, 0x3E, 0, 0xC0], [1.5, -2.0]),
            (Dtype::BF16, &[0xC0, 0x3F, 0, 0xC0], [1.5, -2.0]),
            (Dtype::U8, &[255, 51], [1.0, 0.2]),
            (Dtype::I8, &[255, 51], [-1.0, 51.0]),
            (Dtype::BOOL, &[1, 0], [1.0, 0.0]),
            (Dtype::U16, &[1, 0, 0, 1], [1.0, 256.0]),
            (Dtype::I16, &[255, 255, 0, 1], [-1.0, 256.0]),
            (Dtype::U32, &[0, 0, 0, 128, 1, 0, 0, 0], [2147483648.0, 1.0]),
            (Dtype::I32, &[255, 255, 255, 255, 1, 0, 0, 0], [-1.0, 1.0]),
            (Dtype::I64, &[255; 16], [-1.0, -1.0]),
            (Dtype::U64, &[255, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [255.0, 1.0]),
        ];
        for (dtype, data, expected) in cases {
            let twice = [data, data].concat();
            let path = file(&files, &[("x", dtype, vec![4, 1], twice), labels_of(4)]);
            let loaded = load_with(&path, None, None).unwrap();
            assert_eq!(loaded.train.features.to_f32()[2..], expected, "{dtype:?}");
            assert_eq!(labels(&loaded.train).0, [0, 1, 0, 1]);
        }
    }

    #[test]
    fn mistakes_are_told_with_the_tensor() {
        let files = Files::new();
        let path = file(&files, &[("x", Dtype::F32, vec![2, 1], vec![0; 8]), labels_of(4)]);
        assert_eq!(
            message(&path, load_with(&path, None, None)),
            "`y`: got 4 rows, needed 2, as many as `x` has"
        );
        let path = file(&files, &[("x", Dtype::F8_E4M3, vec![2, 1], vec![0; 2]), labels_of(2)]);
        let found = message(&path, load_with(&path, None, None));
        assert!(found.starts_with("`x`, dtype: got F8_E4M3, needed F64, F32"), "{found}");
        let path = file(&files, &[("w", Dtype::U8, vec![2, 1], vec![0; 2])]);
        let found = message(&path, load_with(&path, None, None));
        assert!(found.starts_with("contents: got arrays w, needed features x"), "{found}");

        let header =
            br#"{"x":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,8]}}"#;
        let mut hostile = (header.len() as u64).to_le_bytes().to_vec();
        hostile.extend(header);
        hostile.extend([0; 8]);
        for bytes in [&b""[..], &[255; 9], &hostile] {
            let path = files.write("s.safetensors", bytes);
            let error = load_with(&path, None, None).unwrap_err();
            assert!(matches!(error, Error::Safetensors { .. }), "{error}");
        }
    }

    #[test]
    fn a_test_set_must_be_like_the_training_set() {
        let files = Files::new();
        let float = |n: usize| vec![0u8; n * 4];
        let values =
            |n: usize| (0..n).flat_map(|i| (i as f32 + 0.5).to_le_bytes()).collect::<Vec<_>>();
        let path = file(
            &files,
            &[
                ("x_train", Dtype::F32, vec![2, 1], float(2)),
                ("y_train", Dtype::F32, vec![2, 2], values(4)),
                ("x_test", Dtype::F32, vec![2, 1], float(2)),
                ("y_test", Dtype::F32, vec![2, 1], values(2)),
            ],
        );
        assert_eq!(
            message(&path, load_with(&path, None, None)),
            "`y_test`: got 1 columns, needed 2 columns, as in the training set"
        );
    }
}

/// Whatever the bytes, no reader panics.
mod hostile {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn bytes_are_refused_or_read(
            cut in 0usize..400, at in 0usize..400, byte: u8, which in 0usize..4,
        ) {
            let files = Files::new();
            let good = match which {
                0 => b"a,b,y\n1,2,red\n3,4,green\n\"5\",6,red\n".to_vec(),
                1 => npy(&[3, 2], FORTRAN, [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
                2 => {
                    let data = [0u8; 6];
                    let tensor = |rows| TensorView::new(Dtype::U8, vec![rows, 6 / rows], &data).unwrap();
                    safetensors::serialize([("x", tensor(3)), ("y", tensor(6))], None).unwrap()
                }
                _ => {
                    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
                    for name in ["x.npy", "y.npy"] {
                        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
                        zip.write_all(&npy(&[2, 1], C, [1u8, 2])).unwrap();
                    }
                    zip.finish().unwrap().into_inner()
                }
            };
            let mut bytes = good.clone();
            let length = bytes.len();
            bytes[at % length] = byte;
            if cut < 100 {
                bytes.truncate(cut * length / 100);
            }
            let name = ["t.csv", "t.npy", "t.safetensors", "t.npz"][which];
            let path = files.write(name, &bytes);
            let target = ["y", path.to_str().unwrap(), "y", "y"][which];
            let _ = load_with(&path, Some(target), None);
            let _ = load_with(&path, None, None);
        }
    }
}
