//! Sums and extremes of columns: the CPU and every adapter, against f64.

use fanin::op::Extreme;
use fanin::{Device, cpu};

use crate::devices::{every_form, forms};
use crate::guarded::{Guarded, normals};

/// Of `values`, `columns` a row.
fn column_sums(
    device: &Device,
    columns: usize,
    values: &[f32],
    weights: Option<&[f32]>,
) -> Vec<f32> {
    match device {
        Device::Cpu => {
            let mut sums = vec![f32::NAN; columns];
            cpu::column_sums(values, weights, &mut sums).unwrap();
            sums
        }
        Device::Gpu(context) => {
            let dims = [(values.len() / columns) as u64, columns as u64];
            let values = Guarded::shaped(context, &dims, values);
            let weights = weights.map(|weights| Guarded::shaped(context, &dims, weights));
            let weights = weights.as_ref().map(|weights| &weights.tensor);
            let sums = Guarded::poisoned(context, &dims[1..]);
            context.run(|pass| pass.column_sums(&values.tensor, weights, &sums.tensor)).unwrap();
            sums.read(context)
        }
    }
}

fn column_extremes(device: &Device, columns: usize, values: &[f32], extreme: Extreme) -> Vec<f32> {
    match device {
        Device::Cpu => {
            let mut result = vec![f32::NAN; columns];
            cpu::column_extremes(values, extreme, &mut result).unwrap();
            result
        }
        Device::Gpu(context) => {
            let dims = [(values.len() / columns) as u64, columns as u64];
            let values = Guarded::shaped(context, &dims, values);
            let result = Guarded::poisoned(context, &dims[1..]);
            context
                .run(|pass| pass.column_extremes(&values.tensor, extreme, &result.tensor))
                .unwrap();
            result.read(context)
        }
    }
}

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
    for device in every_form() {
        for (rows, columns) in SHAPES {
            let values = normals("values", rows * columns);
            let own = normals("weights", rows * columns);
            for weights in [None, Some(&own[..])] {
                let found = column_sums(device, columns, &values, weights);
                for (column, found) in found.iter().enumerate() {
                    let terms = (0..rows).map(|row| {
                        let at = row * columns + column;
                        let weight = weights.map_or(1.0, |weights| f64::from(weights[at]));
                        f64::from(values[at]) * weight
                    });
                    let (sum, size) =
                        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    let u = 2f64.powi(-24);
                    // The CPU adds up as many rows as have 2^18 elements, and then those sums.
                    let chain = match device {
                        Device::Cpu => rows,
                        Device::Gpu(_) => rows.min(16_384),
                    };
                    let bound = (chain as f64 + 8.0) * u * size;
                    let error = (f64::from(*found) - sum).abs();
                    assert!(error <= bound, "{device}: {rows} x {columns}: off by {error}");
                }
            }
        }
    }
}

/// Whole numbers add up exactly: a row left out or taken twice shows, which the bound on rounding
/// would let pass in a long sum.
#[test]
fn every_row_is_summed_once() {
    for device in every_form() {
        for (rows, columns) in SHAPES.into_iter().chain([(16_384, 2), (50_000, 3)]) {
            let whole = |place: usize, modulus: usize| (place % modulus) as f32 - 2.0;
            let values: Vec<f32> = (0..rows * columns).map(|place| whole(place, 7)).collect();
            let wanted: Vec<f32> = (0..columns)
                .map(|column| values.iter().skip(column).step_by(columns).sum())
                .collect();
            let found = column_sums(device, columns, &values, None);
            assert_eq!(found, wanted, "{device}: {rows} x {columns}");
        }
    }
}

#[test]
fn column_extremes_are_exact() {
    for device in every_form() {
        for (rows, columns) in SHAPES {
            let mut values = normals("values", rows * columns);
            // A column of nothing else has no other extreme.
            (0..rows).for_each(|row| values[row * columns + columns / 2] = f32::NEG_INFINITY);
            let column = |column| values.iter().skip(column).step_by(columns).copied();
            for (extreme, fold) in [
                (Extreme::Least, f32::min as fn(f32, f32) -> f32),
                (Extreme::Greatest, f32::max as fn(f32, f32) -> f32),
            ] {
                let wanted: Vec<f32> =
                    (0..columns).map(|at| column(at).reduce(fold).unwrap()).collect();
                let found = column_extremes(device, columns, &values, extreme);
                assert_eq!(found, wanted, "{device}: {rows} x {columns}, {extreme:?}");
            }
        }
        // An extreme in any one row is found, on both sides of a slice's edge.
        for row in [0, 1, 16_383, 16_384, 16_999] {
            let mut values = vec![-1.0; 17_000];
            values[row] = 2.0;
            let found = column_extremes(device, 1, &values, Extreme::Greatest);
            assert_eq!(found, [2.0], "{device}: row {row}");
        }
    }
}

#[test]
fn columns_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let poisoned = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let sums = |dims: &[u64], weights: Option<&[u64]>, sums: &[u64]| {
        let weights = weights.map(&poisoned);
        let (values, sums) = (poisoned(dims), poisoned(sums));
        let run = context.run(|pass| pass.column_sums(&values, weights.as_ref(), &sums));
        run.unwrap_err().to_string()
    };
    assert!(sums(&[12], None, &[3]).contains("needed a matrix"));
    assert!(sums(&[4, 3], None, &[4]).starts_with("sums: got shape [4], needed 3 elements"));
    assert!(sums(&[4, 3], Some(&[4]), &[3]).starts_with("weights: got shape [4]"));

    let twin = |values: usize, weights: Option<usize>, sums: usize| {
        let weights = weights.map(|weights| vec![0.0; weights]);
        let run = cpu::column_sums(&vec![0.0; values], weights.as_deref(), &mut vec![0.0; sums]);
        run.map_err(|error| error.to_string())
    };
    for sums in [0, 5] {
        let error = twin(12, None, sums).unwrap_err();
        assert!(error.starts_with("values: got 12 elements, needed whole rows of"), "{error}");
    }
    let error = twin(12, Some(4), 3).unwrap_err();
    assert!(error.starts_with("weights: got 4 elements, needed 12, as values"), "{error}");
    twin(0, None, 0).unwrap();
    let mut none = [f32::NAN; 2];
    cpu::column_sums(&[], None, &mut none).unwrap();
    assert_eq!(none, [0.0; 2]);
    cpu::column_extremes(&[], Extreme::Least, &mut none).unwrap();
    assert_eq!(none, [f32::INFINITY; 2]);
    cpu::column_extremes(&[], Extreme::Least, &mut []).unwrap();
    assert!(cpu::column_extremes(&[0.0], Extreme::Least, &mut []).is_err());
}
