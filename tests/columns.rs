//! Column sums and dropout, on every adapter.

use fanin::op::{Dropout, Extreme};
use fanin::random::Stream;

use crate::devices::{SEED, forms};
use crate::guarded::{Guarded, normals};

/// By fours and one by one, wide and narrow; the last of each go through slices.
const SHAPES: [(usize, usize); 16] = [
    (1, 1),
    (3, 5),
    (63, 64),
    (65, 127),
    (1000, 3),
    (3, 10_004),
    (257, 33),
    (256, 512),
    (16_385, 2),
    (20_000, 31),
    (70_001, 1),
    (1, 4),
    (600, 8),
    (4100, 12),
    (9001, 64),
    (2500, 1028),
];

#[test]
fn column_sums_are_f64s() {
    for context in forms() {
        for (rows, columns) in SHAPES {
            let dims = [rows as u64, columns as u64];
            let (values, weights) =
                (normals("values", rows * columns), normals("weights", rows * columns));
            let a = Guarded::shaped(context, &dims, &values);
            let b = Guarded::shaped(context, &dims, &weights);
            let (plain, weighted) =
                (Guarded::poisoned(context, &dims[1..]), Guarded::poisoned(context, &dims[1..]));
            context
                .run(|pass| {
                    pass.column_sums(&a.tensor, None, &plain.tensor)?;
                    pass.column_sums(&a.tensor, Some(&b.tensor), &weighted.tensor)
                })
                .unwrap();
            for (found, weights) in
                [(plain.read(context), vec![1.0; values.len()]), (weighted.read(context), weights)]
            {
                for (column, found) in found.iter().enumerate() {
                    let terms = (0..rows).map(|row| {
                        let at = row * columns + column;
                        f64::from(values[at]) * f64::from(weights[at])
                    });
                    let (sum, size) =
                        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    let u = 2f64.powi(-24);
                    let bound = (rows.min(16_384) as f64 + 8.0) * u * size;
                    let error = (f64::from(*found) - sum).abs();
                    assert!(
                        error <= bound,
                        "{}: {rows} x {columns}: off by {error}",
                        context.name()
                    );
                }
            }
        }
    }
}

/// Whole numbers add up exactly: a row left out or taken twice shows, which the bound on rounding
/// would let pass in a long sum.
#[test]
fn every_row_is_summed_once() {
    for context in forms() {
        for (rows, columns) in SHAPES.into_iter().chain([(16_384, 2), (50_000, 3)]) {
            let dims = [rows as u64, columns as u64];
            let whole = |place: usize, modulus: usize| (place % modulus) as f32 - 2.0;
            let values: Vec<f32> = (0..rows * columns).map(|place| whole(place, 7)).collect();
            let a = Guarded::shaped(context, &dims, &values);
            let sums = Guarded::poisoned(context, &dims[1..]);
            context.run(|pass| pass.column_sums(&a.tensor, None, &sums.tensor)).unwrap();
            let wanted: Vec<f32> = (0..columns)
                .map(|column| values.iter().skip(column).step_by(columns).sum())
                .collect();
            assert_eq!(sums.read(context), wanted, "{}: {rows} x {columns}", context.name());
        }
    }
}

#[test]
fn column_extremes_are_exact() {
    for context in forms() {
        for (rows, columns) in SHAPES {
            let mut values = normals("values", rows * columns);
            // A column of nothing else has no other extreme.
            (0..rows).for_each(|row| values[row * columns + columns / 2] = f32::NEG_INFINITY);
            let a = Guarded::shaped(context, &[rows as u64, columns as u64], &values);
            let poisoned = || Guarded::poisoned(context, &[columns as u64]);
            let (least, greatest) = (poisoned(), poisoned());
            context
                .run(|pass| {
                    pass.column_extremes(&a.tensor, Extreme::Least, &least.tensor)?;
                    pass.column_extremes(&a.tensor, Extreme::Greatest, &greatest.tensor)
                })
                .unwrap();
            let column = |column| values.iter().skip(column).step_by(columns).copied();
            let folded = |fold: fn(f32, f32) -> f32| -> Vec<f32> {
                (0..columns).map(|at| column(at).reduce(fold).unwrap()).collect()
            };
            let what = format!("{}: {rows} x {columns}", context.name());
            assert_eq!(least.read(context), folded(f32::min), "{what}");
            assert_eq!(greatest.read(context), folded(f32::max), "{what}");
        }
        // An extreme in any one row is found, on both sides of a slice's edge.
        for row in [0, 1, 16_383, 16_384, 16_999] {
            let mut values = vec![-1.0; 17_000];
            values[row] = 2.0;
            let a = Guarded::shaped(context, &[17_000, 1], &values);
            let out = Guarded::poisoned(context, &[1]);
            context
                .run(|pass| pass.column_extremes(&a.tensor, Extreme::Greatest, &out.tensor))
                .unwrap();
            assert_eq!(out.read(context), [2.0], "{}: row {row}", context.name());
        }
    }
}

#[test]
fn dropout_is_drawn_again_bit_for_bit() {
    let dropout = Dropout { probability: 0.3, stream: Stream::named(SEED, "layers.0.dropout") };
    for context in forms() {
        for (rows, columns) in [(1u64, 1u64), (3, 5), (64, 64), (65, 127), (7, 258)] {
            let values = normals("values", (rows * columns) as usize);
            let from = Guarded::shaped(context, &[rows, columns], &values);
            let out = Guarded::poisoned(context, &[rows, columns]);
            for step in [0, 3, u32::MAX] {
                context
                    .run(|pass| pass.dropout(&dropout, step, &from.tensor, &out.tensor))
                    .unwrap();
                let wanted: Vec<f32> = (0..rows * columns)
                    .map(|at| {
                        let (row, column) = (at / columns, at % columns);
                        // Straight from the stream, as the definition has it.
                        let block = row * columns.div_ceil(4) + column / 4;
                        let words = dropout.stream.block(u64::from(step) << 32 | block);
                        let threshold = (0.3 * 2f64.powi(32)) as u32 + 1;
                        let kept = words[(column % 4) as usize] >= threshold;
                        if kept { values[at as usize] * (1.0f64 / 0.7) as f32 } else { 0.0 }
                    })
                    .collect();
                assert_eq!(out.read(context), wanted, "{}: {rows} x {columns}", context.name());
            }
        }
    }
    let lots = (0..100_000u32).map(|group| dropout.words(400_000, 0, group, 0));
    let fell = lots.flatten().filter(|word| *word < dropout.threshold()).count() as f64;
    // Five standard deviations of a binomial.
    assert!((fell / 400_000.0 - 0.3).abs() < 5.0 * (0.3f64 * 0.7 / 400_000.0).sqrt());
    let context = &forms()[0];
    let own = Guarded::poisoned(context, &[2, 2]);
    for probability in [1.0, -0.1, f64::NAN] {
        let bad = Dropout { probability, ..dropout };
        let error = context.run(|pass| pass.dropout(&bad, 0, &own.tensor, &own.tensor));
        assert!(error.unwrap_err().to_string().starts_with("dropout: got"));
    }
}
