//! Dropout: the CPU and every adapter, bit for bit.

use fanin::op::Dropout;
use fanin::random::Stream;
use fanin::{Device, Result, cpu};

use crate::devices::{SEED, every_form, forms};
use crate::guarded::{Guarded, normals};

/// Of `values`, `columns` a row.
fn dropped(
    device: &Device,
    dropout: &Dropout,
    step: u32,
    values: &[f32],
    columns: usize,
) -> Result<Vec<f32>> {
    match device {
        Device::Cpu => {
            let mut result = vec![f32::NAN; values.len()];
            cpu::dropout(dropout, step, values, columns, &mut result)?;
            Ok(result)
        }
        Device::Gpu(context) => {
            let dims = [(values.len() / columns) as u64, columns as u64];
            let from = Guarded::shaped(context, &dims, values);
            let result = Guarded::poisoned(context, &dims);
            context.run(|pass| pass.dropout(dropout, step, &from.tensor, &result.tensor))?;
            Ok(result.read(context))
        }
    }
}

#[test]
fn dropout_is_drawn_again_bit_for_bit() {
    let dropout = Dropout { probability: 0.3, stream: Stream::named(SEED, "layers.0.dropout") };
    for device in every_form() {
        for (rows, columns) in [(1, 1), (3, 5), (64, 64), (65, 127), (7, 258), (9001, 2)] {
            let values = normals("values", rows * columns);
            for step in [0, 3, u32::MAX] {
                let wanted: Vec<f32> = (0..rows * columns)
                    .map(|at| {
                        let (row, column) = (at / columns, at % columns);
                        // Straight from the stream, as the definition has it.
                        let block = (row * columns.div_ceil(4) + column / 4) as u64;
                        let words = dropout.stream.block(u64::from(step) << 32 | block);
                        let threshold = (0.3 * 2f64.powi(32)) as u32 + 1;
                        let kept = words[column % 4] >= threshold;
                        if kept { values[at] * (1.0f64 / 0.7) as f32 } else { 0.0 }
                    })
                    .collect();
                let found = dropped(device, &dropout, step, &values, columns).unwrap();
                assert_eq!(found, wanted, "{device}: {rows} x {columns}");
            }
        }
        for probability in [1.0, -0.1, f64::NAN] {
            let bad = Dropout { probability, ..dropout };
            let error = dropped(device, &bad, 0, &[0.0; 4], 2).unwrap_err().to_string();
            assert!(error.starts_with("dropout: got"), "{device}: {error}");
        }
    }
    let lots = (0..100_000u32).map(|group| dropout.words(400_000, 0, group, 0));
    let fell = lots.flatten().filter(|word| *word < dropout.threshold()).count() as f64;
    // Five standard deviations of a binomial.
    assert!((fell / 400_000.0 - 0.3).abs() < 5.0 * (0.3f64 * 0.7 / 400_000.0).sqrt());
}

#[test]
fn what_does_not_fit_is_refused() {
    let dropout = Dropout { probability: 0.3, stream: Stream::new(0, 0) };
    let context = &forms()[0];
    let [a, b] = [&[2, 2][..], &[3]].map(|dims| Guarded::poisoned(context, dims).tensor);
    let refused = |values, result| {
        let run = context.run(|pass| pass.dropout(&dropout, 0, values, result));
        run.unwrap_err().to_string()
    };
    assert!(refused(&a, &b).starts_with("result: got shape [3], needed 4 elements"));
    assert!(refused(&a, &a).contains("a buffer of its own"));
    let twin = |values: &[f32], columns, result: &mut [f32]| {
        cpu::dropout(&dropout, 0, values, columns, result).unwrap_err().to_string()
    };
    assert!(twin(&[0.0; 4], 3, &mut [0.0; 4]).starts_with("values: got 4 elements, needed whole"));
    assert!(twin(&[0.0; 4], 0, &mut [0.0; 4]).starts_with("values: got 4 elements, needed whole"));
    assert!(twin(&[0.0; 4], 2, &mut [0.0; 3]).starts_with("result: got 3 elements, needed 4"));
    cpu::dropout(&dropout, 0, &[], 0, &mut []).unwrap();
}
