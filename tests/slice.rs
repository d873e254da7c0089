//! Slices: which elements of the whole they are, and that they are drawn as the whole is.

use fanin::Shape;
use fanin::random::{Run, Slice};
use proptest::prelude::*;

/// Slices of tensors of up to six dimensions, a few places long each: some whole, some at an end.
fn slices() -> impl Strategy<Value = Slice> {
    let dimension = (1u64..6).prop_flat_map(|dim| {
        let size = prop_oneof![Just(dim), 1..=dim];
        size.prop_flat_map(move |size| (Just(dim), 0..=dim - size, Just(size)))
    });
    prop::collection::vec(dimension, 0..=6).prop_map(|dimensions| {
        let each = |of: fn(&(u64, u64, u64)) -> u64| dimensions.iter().map(of).collect::<Vec<_>>();
        let [dims, starts, sizes] =
            [each(|(dim, ..)| *dim), each(|(_, start, _)| *start), each(|(.., size)| *size)];
        Slice::new(Shape::new(dims).unwrap(), starts, sizes).unwrap()
    })
}

/// The indices in the whole of a slice's elements in order, by walking through all of the whole.
fn walked(slice: &Slice) -> Vec<u64> {
    let dims = slice.shape().dims();
    let inside = |index: &u64| {
        let mut rest = *index;
        (0..dims.len()).rev().all(|at| {
            let place = rest % dims[at];
            rest /= dims[at];
            let start = slice.starts()[at];
            (start..start + slice.sizes()[at]).contains(&place)
        })
    };
    (0..slice.shape().elements()).filter(inside).collect()
}

/// Indices as runs that are as long as can be.
fn joined(indices: &[u64]) -> Vec<Run> {
    let follow = indices.chunk_by(|one, next| one + 1 == *next);
    follow.map(|run| Run { first: run[0], count: run.len() as u64 }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn elements_are_those_of_a_walk(slice in slices(), cuts in [0.0..1.2f64, 0.0..1.2]) {
        let indices = walked(&slice);
        prop_assert_eq!(slice.elements(), indices.len() as u64);
        prop_assert_eq!(slice.local_shape().dims(), slice.sizes());
        for (local, index) in (0..).zip(&indices) {
            prop_assert_eq!(slice.index(local), *index);
        }
        prop_assert_eq!(slice.runs(0..u64::MAX).collect::<Vec<_>>(), joined(&indices));
        // A range that may go beyond the end, and be none.
        let [begin, end] = cuts.map(|cut| (cut * indices.len() as f64) as usize);
        let part = indices.get(begin..end.min(indices.len())).unwrap_or_default();
        prop_assert_eq!(slice.runs(begin as u64..end as u64).collect::<Vec<_>>(), joined(part));
    }
}

#[test]
fn the_largest_tensors_have_slices() {
    let run = |first, count| Run { first, count };
    // The last rows of some.
    let (rows, columns) = (1 << 40, (1 << 23) - 1);
    let shape = Shape::new([rows, columns]).unwrap();
    let last = shape.elements() - 1;
    let whole = Slice::whole(shape.clone());
    assert_eq!(whole.runs(last - 4..u64::MAX).collect::<Vec<_>>(), [run(last - 4, 5)]);
    assert_eq!(whole.runs(0..u64::MAX).collect::<Vec<_>>(), [run(0, last + 1)]);
    let column = Slice::new(shape, [0, columns - 1], [rows, 1]).unwrap();
    assert_eq!(column.index(rows - 1), last);
    let runs: Vec<Run> = column.runs(rows - 2..u64::MAX).collect();
    assert_eq!(runs, [run(last - columns, 1), run(last, 1)]);
    // Found, not walked to.
    let middle: Vec<Run> = column.runs(1 << 39..(1 << 39) + 1).collect();
    assert_eq!(middle, [run((1 << 39) * columns + columns - 1, 1)]);
    assert_eq!(Slice::whole(Shape::new([i64::MAX as u64]).unwrap()).index(1 << 62), 1 << 62);
}

/// The slice and its rows are one run each, whatever the dimensions around them.
#[test]
fn rows_are_one_run() {
    let shape = Shape::new([1, 8, 3, 1, 5]).unwrap();
    let slice = Slice::new(shape, [0, 2, 0, 0, 0], [1, 4, 3, 1, 5]).unwrap();
    assert_eq!(slice.runs(0..60).collect::<Vec<_>>(), [Run { first: 30, count: 60 }]);
    assert_eq!(slice.to_string(), "[0..1, 2..6, 0..3, 0..1, 0..5] of [1, 8, 3, 1, 5]");
    let scalar = Slice::whole(Shape::new([]).unwrap());
    assert_eq!(scalar.runs(0..9).collect::<Vec<_>>(), [Run { first: 0, count: 1 }]);
}

#[test]
fn bad_slices_say_what_is_wrong() {
    let error = |dims: &[u64], starts: &[u64], sizes: &[u64]| {
        Slice::new(Shape::new(dims).unwrap(), starts, sizes).unwrap_err().to_string()
    };
    assert_eq!(
        error(&[4, 6], &[0], &[4, 6]),
        "a slice's starts: got [0], needed 2, one a dimension of [4, 6]"
    );
    assert_eq!(
        error(&[4, 6], &[0, 0], &[4, 6, 1]),
        "a slice's sizes: got [4, 6, 1], needed 2, one a dimension of [4, 6]"
    );
    assert_eq!(error(&[], &[], &[1]), "a slice's sizes: got [1], needed none for the shape []");
    assert_eq!(
        error(&[4, 6], &[0, 6], &[4, 0]),
        "a slice of [4, 6]: dimension 1: got a size of 0, needed at least 1"
    );
    assert_eq!(
        error(&[4, 6], &[0, 5], &[4, 2]),
        "a slice of [4, 6]: dimension 1: got 2 elements from 5, needed an end within its 6"
    );
    assert!(error(&[4], &[u64::MAX], &[2]).contains("2 elements from 18446744073709551615"));
}
