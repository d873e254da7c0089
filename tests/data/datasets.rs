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
    assert_refused(&[1.0; 5], 2, both.clone(), "features: got 5 numbers, needed whole rows of 2");
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
