//! Pooling on the CPU and every adapter: the greatest to the bit, the mean against f64.

use fanin::gpu::Context;
use fanin::op::{Pool2d, Pooling};
use fanin::{Error, cpu};

use crate::conv::{Sum, close, everywhere, places};
use crate::devices::forms;
use crate::guarded::{Guarded, normals};

const PLAIN: Pool2d = Pool2d {
    pooling: Pooling::Max,
    input: [1, 1, 1],
    kernel: [1, 1],
    stride: [1, 1],
    padding: [0, 0],
};

/// Batches and windows: side by side, overlapping, apart, padded, as large as the signal.
const CASES: [(usize, Pool2d); 9] = [
    (2, PLAIN),
    (3, Pool2d { input: [6, 8, 3], kernel: [2, 2], stride: [2, 2], ..PLAIN }),
    (2, Pool2d { input: [7, 9, 5], kernel: [2, 3], stride: [2, 2], ..PLAIN }),
    (2, Pool2d { input: [7, 6, 4], kernel: [3, 3], stride: [1, 2], padding: [1, 1], ..PLAIN }),
    (2, Pool2d { input: [9, 11, 2], kernel: [5, 4], stride: [3, 1], padding: [2, 2], ..PLAIN }),
    (2, Pool2d { input: [10, 9, 3], kernel: [2, 1], stride: [4, 3], ..PLAIN }),
    (1, Pool2d { input: [2, 1, 2], kernel: [3, 2], stride: [1, 1], padding: [1, 1], ..PLAIN }),
    (70, Pool2d { input: [7, 7, 6], kernel: [7, 7], stride: [7, 7], ..PLAIN }),
    (1, Pool2d { input: [130, 5, 1], kernel: [130, 5], stride: [1, 1], ..PLAIN }),
];

/// The elements of each window on the signal, in order.
fn windows(pool: &Pool2d, batch: usize) -> Vec<Vec<usize>> {
    let [height, width, channels] = pool.input;
    let [down, across, _] = pool.output().unwrap();
    let mut windows = Vec::new();
    for image in 0..batch {
        for (y, x) in places(down, across) {
            for c in 0..channels {
                let taps = places(pool.kernel[0], pool.kernel[1]);
                let read = taps.filter_map(|(i, j)| {
                    let row = (y * pool.stride[0] + i).checked_sub(pool.padding[0])?;
                    let column = (x * pool.stride[1] + j).checked_sub(pool.padding[1])?;
                    let on = row < height && column < width;
                    on.then_some(((image * height + row) * width + column) * channels + c)
                });
                windows.push(read.collect());
            }
        }
    }
    windows
}

/// What PyTorch's loop leaves: the first of the greatest, but that NaN takes the place of any.
fn winner(values: &[f32], window: &[usize]) -> usize {
    let mut best = window[0];
    for at in window {
        if values[*at] > values[best] || values[*at].is_nan() {
            best = *at;
        }
    }
    best
}

/// The result, and the gradient of the input.
fn run(
    context: Option<&Context>,
    pool: &Pool2d,
    batch: usize,
    values: &[f32],
    gradient: &[f32],
) -> [Vec<f32>; 2] {
    let Some(context) = context else {
        let mut out = vec![f32::NAN; gradient.len()];
        let mut back = vec![f32::NAN; values.len()];
        cpu::pool(pool, values, &mut out).unwrap();
        cpu::pool_backward(pool, values, &out, gradient, &mut back).unwrap();
        return [out, back];
    };
    let shaped = |values: &[f32]| {
        let dims = [batch as u64, (values.len() / batch) as u64];
        (Guarded::shaped(context, &dims, values), Guarded::poisoned(context, &dims))
    };
    let (values, back) = shaped(values);
    let (gradient, out) = shaped(gradient);
    context.run(|pass| pass.pool(pool, &values.tensor, &out.tensor)).unwrap();
    context
        .run(|pass| {
            let read = [&values.tensor, &out.tensor, &gradient.tensor];
            pass.pool_backward(pool, read[0], read[1], read[2], &back.tensor)
        })
        .unwrap();
    [out, back].map(|result| result.read(context))
}

/// Bits, of which those of any NaN are alike.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect()
}

#[test]
fn the_greatest_is_to_the_bit_and_its_gradient_goes_to_one() {
    for (batch, pool) in CASES {
        let windows = windows(&pool, batch);
        let count = batch * pool.input.iter().product::<usize>();
        let drawn = normals("values", count);
        // Ties everywhere; what is infinite; what is no number, once and several times.
        let few: Vec<f32> = drawn.iter().map(|x| (2.0 * x).round().max(0.0)).collect();
        let mut odd = drawn.clone();
        for (at, value) in odd.iter_mut().enumerate() {
            match at % 11 {
                2 | 9 => *value = f32::NAN,
                3 => *value = f32::INFINITY,
                1 | 5 | 6 => *value = f32::NEG_INFINITY,
                _ => {}
            }
        }
        for values in [drawn, few, odd, vec![f32::NEG_INFINITY; count], vec![f32::NAN; count]] {
            // Whole numbers: their sums are exact.
            let gradient: Vec<f32> = (0..windows.len()).map(|at| (at % 13) as f32 + 1.0).collect();
            let mut slopes = vec![0.0; count];
            let mut greatest = Vec::new();
            for (window, gradient) in windows.iter().zip(&gradient) {
                let winner = winner(&values, window);
                greatest.push(values[winner]);
                slopes[winner] += gradient;
            }
            for (context, name) in everywhere() {
                let [out, back] = run(context, &pool, batch, &values, &gradient);
                assert_eq!(bits(&out), bits(&greatest), "{batch} of {pool:?} on {name}");
                assert_eq!(back, slopes, "{batch} of {pool:?} on {name}");
            }
        }
    }
}

#[test]
fn means_are_f64s() {
    for (batch, pool) in CASES {
        let pool = Pool2d { pooling: Pooling::Average, ..pool };
        let windows = windows(&pool, batch);
        let values = normals("values", batch * pool.input.iter().product::<usize>());
        let gradient = normals("gradient", windows.len());
        let share = 1.0 / (pool.kernel[0] * pool.kernel[1]) as f64;
        // Two more roundings: of the share, and of the product with it.
        let add = |sum: &mut Sum, term: f64| {
            *sum = (sum.0 + term, sum.1 + term.abs(), sum.2 + 1);
        };
        let mut means = vec![(0.0, 0.0, 2); windows.len()];
        let mut slopes = vec![(0.0, 0.0, 2); values.len()];
        for (at, window) in windows.iter().enumerate() {
            for place in window {
                add(&mut means[at], f64::from(values[*place]) * share);
                add(&mut slopes[*place], f64::from(gradient[at]) * share);
            }
        }
        for (context, name) in everywhere() {
            let [out, back] = run(context, &pool, batch, &values, &gradient);
            let place = format!("{batch} of {pool:?} on {name}");
            close(&out, &means, &place);
            close(&back, &slopes, &place);
        }
    }
}

#[test]
fn all_of_a_signal_is_one_window() {
    for pooling in Pooling::ALL {
        let pool = Pool2d::global(pooling, [3, 4, 2]);
        assert_eq!(pool.output().unwrap(), [1, 1, 2]);
        for (context, name) in everywhere() {
            let values: Vec<f32> = (0..24).map(|at| at as f32).collect();
            let [out, back] = run(context, &pool, 1, &values, &[12.0, 24.0]);
            match pooling {
                Pooling::Max => {
                    assert_eq!(out, [22.0, 23.0], "{name}");
                    assert_eq!(back[22..], [12.0, 24.0], "{name}");
                }
                Pooling::Average => {
                    let near = |found: f32, wanted: f32| (found - wanted).abs() < 1e-5;
                    assert!(near(out[0], 11.0) && near(out[1], 12.0), "{name}: {out:?}");
                    assert!(near(back[7], 2.0) && near(back[8], 1.0), "{name}: {back:?}");
                }
            }
        }
    }
}

#[test]
fn poolings_that_are_none_are_refused() {
    let refused = |pool: Pool2d| {
        let error = pool.output().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }));
        error.to_string()
    };
    let small = Pool2d::new(Pooling::Max, [5, 6, 4], [3, 3]);
    let average = |pool| Pool2d { pooling: Pooling::Average, ..pool };
    let many = Pool2d { stride: [1, 1], ..Pool2d::new(Pooling::Max, [90, 90, 1], [20, 20]) };
    assert!(average(many).check().is_ok());
    for (pool, message) in [
        (Pool2d { kernel: [0, 1], ..small }, "pooling: kernel: got 0, needed numbers from 1"),
        (Pool2d { stride: [1, 0], ..small }, "pooling: stride: got 0"),
        (Pool2d { padding: [2, 0], ..small }, "pooling: padding: got 2, needed at most 1, half"),
        (Pool2d { kernel: [3, 7], ..small }, "pooling: kernel: got 7, needed what fits into 6"),
        (
            Pool2d::global(Pooling::Average, [300, 300, 1]),
            "pooling: kernel: got 300 x 301, needed a product of at most 60000",
        ),
        (many, "pooling: windows that overlap, by their elements: got 20 x 20 x 20 x 21"),
    ] {
        let found = refused(pool);
        assert!(found.starts_with(message), "{found}");
    }
    let context = &forms()[0];
    let tensor = |dims: &[u64]| Guarded::poisoned(context, dims).tensor;
    let (values, out) = (tensor(&[2, 120]), tensor(&[2, 9]));
    let error = context.run(|pass| pass.pool(&small, &values, &out)).unwrap_err().to_string();
    assert!(error.starts_with("out: got shape [2, 9]"), "{error}");
    let error = cpu::pool(&small, &[0.0; 119], &mut [0.0; 8]).unwrap_err().to_string();
    assert!(error.starts_with("values: got 119 elements, needed a multiple of 5 x 6 x 4"));
}
