//! Sums of rows of any length: the CPU and every adapter, against f64.

use fanin::{Device, cpu};

use crate::devices::{every_form, forms};
use crate::guarded::{Guarded, normals};

/// Unit roundoff of f32.
pub const U: f64 = 1.0 / 16_777_216.0;

/// Rows by columns: short and long of a lane's items, of a team, of a workgroup, and of what a team
/// holds; whole fours and not; words of a vocabulary.
pub const SIZES: [(usize, usize); 22] = [
    (3, 1),
    (129, 2),
    (65, 3),
    (257, 4),
    (5, 5),
    (256, 10),
    (3, 16),
    (7, 17),
    (3, 63),
    (66, 64),
    (3, 65),
    (5, 255),
    (5, 256),
    (3, 257),
    (2, 1000),
    (2, 1024),
    (2, 1025),
    (2, 4096),
    (2, 4100),
    (2, 20_001),
    (1, 50_257),
    (1, 151_936),
];

/// Terms that are added one after the other at most: an invocation that has a row of elements to itself
/// adds all of them, but no row so long; another has a quarter at most, in sums of four, in a side of its
/// items, or in a lane. Then come the sides, and the team's tree.
pub fn chain(columns: usize) -> f64 {
    let alone = columns <= 1 << 14 && !columns.is_multiple_of(4);
    (if alone { columns } else { columns / 4 }) as f64 + 16.0
}

fn row_sums(device: &Device, rows: usize, values: &[f32], weights: Option<&[f32]>) -> Vec<f32> {
    match device {
        Device::Cpu => {
            let mut sums = vec![f32::NAN; rows];
            cpu::row_sums(values, weights, &mut sums).unwrap();
            sums
        }
        Device::Gpu(context) => {
            let dims = [rows as u64, (values.len() / rows) as u64];
            let values = Guarded::shaped(context, &dims, values);
            let weights = weights.map(|weights| Guarded::shaped(context, &dims, weights));
            let weights = weights.as_ref().map(|weights| &weights.tensor);
            let sums = Guarded::poisoned(context, &dims[..1]);
            context.run(|pass| pass.row_sums(&values.tensor, weights, &sums.tensor)).unwrap();
            sums.read(context)
        }
    }
}

#[test]
fn row_sums_are_f64s() {
    for device in every_form() {
        for (rows, columns) in SIZES {
            let values = normals("values", rows * columns);
            let own = normals("weights", rows * columns);
            for weights in [None, Some(&own[..])] {
                let found = row_sums(device, rows, &values, weights);
                for (row, found) in found.iter().enumerate() {
                    let own = row * columns..(row + 1) * columns;
                    let weight = |at: usize| weights.map_or(1.0, |weights| f64::from(weights[at]));
                    let terms = own.map(|at| f64::from(values[at]) * weight(at));
                    let (sum, size) =
                        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    let error = (f64::from(*found) - sum).abs();
                    let bound = chain(columns) * U * size;
                    assert!(error <= bound, "{device}: {rows} x {columns}: off by {error}");
                }
            }
        }
    }
}

/// Whole numbers add up exactly: an element left out or taken twice shows.
#[test]
fn every_element_of_a_row_is_summed_once() {
    for device in every_form() {
        for (rows, columns) in SIZES {
            let values: Vec<f32> = (0..rows * columns).map(|at| (at % 7) as f32 - 2.0).collect();
            let wanted: Vec<f32> = values.chunks(columns).map(|row| row.iter().sum()).collect();
            let found = row_sums(device, rows, &values, None);
            assert_eq!(found, wanted, "{device}: {rows} x {columns}");
        }
    }
}

#[test]
fn row_sums_that_do_not_fit_are_refused() {
    let context = &forms()[0];
    let values = Guarded::poisoned(context, &[4, 3]);
    let sums = Guarded::poisoned(context, &[3]);
    let refused = |values: &Guarded, sums: &Guarded| {
        let error = context.run(|pass| pass.row_sums(&values.tensor, None, &sums.tensor));
        error.unwrap_err().to_string()
    };
    assert!(refused(&values, &sums).starts_with("sums: got shape"));
    assert!(refused(&sums, &sums).contains("a matrix"));
    let twin = |values: &[f32], weights: Option<&[f32]>| {
        fanin::cpu::row_sums(values, weights, &mut [0.0; 2]).unwrap_err().to_string()
    };
    assert!(
        twin(&[0.0; 3], None).starts_with("values: got 3 elements, needed as many for each of 2")
    );
    assert!(twin(&[0.0; 4], Some(&[0.0; 3])).starts_with("weights: got 3 elements"));
    let wide = Guarded::poisoned(context, &[1, (1 << 23) + 1]);
    let sum = Guarded::poisoned(context, &[1]);
    assert!(
        refused(&wide, &sum).starts_with("values: got 8388609 columns, needed at most 8388608")
    );
}
