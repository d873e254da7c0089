use super::*;

fn columns<T: Copy>(columns: &[&[T]]) -> Dataset
where
    Vec<T>: Into<Numbers>,
{
    let rows = columns[0].len();
    let features: Vec<T> = (0..rows).flat_map(|row| columns.iter().map(move |c| c[row])).collect();
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
    let csv: String = (0..300).map(|row| format!("{},{},{}\n", large(row), row, row % 2)).collect();
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
    assert_eq!((values(&shares), &*shares.features.to_f32()), (vec![0.25, 0.1], &[-1.0, 1.0][..]));
}

/// Features and numbers to predict, of two columns of either.
fn both(numbers: &[f64]) -> Dataset {
    let targets = Targets::Values { values: numbers.to_vec().into(), names: names(2) };
    Dataset::new("d", numbers.to_vec(), names(2), targets).unwrap()
}

/// A power of two that is common to all leaves what they become to the last bit.
#[test]
fn a_scale_beyond_f32_costs_nothing() {
    let small: Vec<f64> = (0..400).map(|row| f64::from(row).sin() + f64::from(row % 7)).collect();
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
    for (set, expected) in
        [(&set, feature), (&Dataset { features: vec![0.0f32; 4].into(), ..set.clone() }, target)]
    {
        let given = TrainOptions { batch: None, ..TrainOptions::default() };
        let error = Trainer::new(&Device::Cpu, &mlp, &given, set, None).err().unwrap().to_string();
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
