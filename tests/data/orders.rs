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
    assert_eq!(refused(0.01), "test fraction: got 0.01, 0 of 10 rows, needed rows on either side");
    assert_eq!(refused(0.99), "test fraction: got 0.99, 10 of 10 rows, needed rows on either side");
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
