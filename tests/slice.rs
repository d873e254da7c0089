//! Slices: which elements of the whole they are, and that they are drawn as the whole is.

use fanin::device::{Draw, Piece};
use fanin::gpu::Tensor;
use fanin::random::{Distribution, Dtype, Run, Slice, Stream};
use fanin::{Shape, cpu, verify};
use proptest::prelude::*;
use rayon::prelude::*;

use crate::devices::{SEED, every_form, everywhere, forms};

/// Slices of tensors of up to six dimensions, a few places long each: some whole, some at an end.
pub fn slices() -> impl Strategy<Value = Slice> {
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

/// Slices of every kind: columns that are narrower than a block of four, and wider than what is drawn
/// at once; boxes; rows; more dimensions than one dispatch takes; beyond where counters carry.
fn odd_slices() -> Vec<Slice> {
    let slice = |dims: &[u64], starts: &[u64], sizes: &[u64]| {
        Slice::new(Shape::new(dims).unwrap(), starts, sizes).unwrap()
    };
    let large = 1 << 20;
    vec![
        slice(&[211, 37], &[0, 36], &[211, 1]),
        slice(&[211, 8], &[3, 3], &[200, 2]),
        slice(&[211, 8], &[3, 0], &[200, 3]),
        slice(&[97, 53], &[1, 5], &[95, 11]),
        slice(&[64, 400], &[0, 123], &[64, 164]),
        slice(&[5, 3001], &[0, 1], &[5, 2999]),
        slice(&[31, 29, 3], &[7, 0, 0], &[11, 29, 3]),
        slice(&[4, 5, 6, 7], &[1, 0, 2, 3], &[2, 5, 3, 4]),
        slice(&[3, 4, 5, 3, 4, 5, 9], &[1, 1, 1, 1, 1, 1, 1], &[2, 3, 2, 2, 3, 4, 7]),
        // 2^40 elements, across the one at 2^34, whose block needs the counter's second word.
        slice(&[large, large], &[(1 << 14) - 3, large - 101], &[7, 101]),
        slice(&[1 << 33, 1 << 29], &[(1 << 33) - 3, 0], &[3, 1]),
        slice(&[3, 1 << 61], &[0, (1 << 61) - 2000], &[3, 1999]),
    ]
}

/// Elements of a slice by the definition, one by one.
fn defined(slice: &Slice, case: (Distribution, Dtype), first: u64, count: u64) -> Vec<u8> {
    let (distribution, dtype) = case;
    let mut bytes = vec![0; count as usize * dtype.size()];
    for (local, element) in (first..).zip(bytes.chunks_exact_mut(dtype.size())) {
        distribution.draw(&stream(), dtype, slice.index(local), element).unwrap();
    }
    bytes
}

fn stream() -> Stream {
    Stream::named(SEED, "slice")
}

#[test]
fn every_device_draws_slices_as_the_whole() {
    let slices = odd_slices();
    for (name, distribution, dtype) in verify::cases() {
        let mut pieces = Vec::new();
        for slice in &slices {
            // From anywhere on, and not to the end.
            let mut first = slice.elements() / 7;
            for part in [1, 2, 331, 6_000] {
                let slice = Some(slice);
                let count = part.min(slice.map_or(0, Slice::elements) - first);
                pieces.push(Piece { stream: stream(), distribution, dtype, slice, first, count });
                first += count;
            }
        }
        pieces.retain(|piece| piece.count > 0);
        let want: Vec<Vec<u8>> = pieces
            .par_iter()
            .map(|piece| {
                let slice = piece.slice.unwrap();
                defined(slice, (distribution, dtype), piece.first, piece.count)
            })
            .collect();
        for device in everywhere() {
            let mut drawn = 0;
            device
                .draw(&pieces, &mut |index, bytes, moments| {
                    let piece = &pieces[index];
                    let what = || {
                        let [first, count] = [piece.first, piece.count];
                        let slice = piece.slice.unwrap();
                        format!("{name}, {dtype}, {count} from {first} of {slice} on {device}")
                    };
                    assert!(bytes == want[index], "{}", what());
                    if dtype != Dtype::U32 && distribution.std() > 0.0 {
                        let truth = cpu::moments(dtype, bytes);
                        let off = (moments.mean - truth.mean).abs() / distribution.std();
                        // As in `verify`: some tens of roundings.
                        assert!(off < 1e-5 && moments.count == piece.count, "{}", what());
                    }
                    drawn += 1;
                    Ok(())
                })
                .unwrap();
            assert_eq!(drawn, pieces.len());
        }
    }
}

/// A slice on all threads, in one call and in two.
#[test]
fn the_cpu_draws_long_slices() {
    let shape = Shape::new([1000, 700]).unwrap();
    let slice = Slice::new(shape, [1, 333], [999, 201]).unwrap();
    for dtype in Dtype::SAMPLED {
        let distribution = Distribution::truncated_normal(0.02, 2.0);
        let want = defined(&slice, (distribution, dtype), 0, slice.elements());
        for cut in [0, 100_001 * dtype.size()] {
            let mut bytes = vec![0; want.len()];
            let (one, other) = bytes.split_at_mut(cut);
            let other_first = (cut / dtype.size()) as u64;
            cpu::fill_slice(&stream(), &distribution, dtype, &slice, 0, one).unwrap();
            cpu::fill_slice(&stream(), &distribution, dtype, &slice, other_first, other).unwrap();
            assert!(bytes == want, "{dtype}");
        }
    }
}

/// The columns that each of 100 ranks holds, 163 or 164, of all of a matrix's 2^28 elements.
#[test]
fn a_hundred_ranks_columns_are_the_whole() {
    const SIDE: u64 = 16_384;
    const RANKS: u64 = 100;
    // As many rows as do not need much memory.
    const BAND: u64 = 1024;
    let distribution = Distribution::normal(0.02);
    let ends = |rank: u64| rank * SIDE / RANKS;
    let (mut whole, mut own) = (vec![0; (BAND * SIDE * 4) as usize], Vec::new());
    for band in 0..SIDE / BAND {
        cpu::fill(&stream(), &distribution, Dtype::F32, band * BAND * SIDE, &mut whole).unwrap();
        for rank in 0..RANKS {
            let (start, width) = (ends(rank), ends(rank + 1) - ends(rank));
            let shape = Shape::new([SIDE, SIDE]).unwrap();
            let slice = Slice::new(shape, [0, start], [SIDE, width]).unwrap();
            own.resize((BAND * width * 4) as usize, 0);
            let first = band * BAND * width;
            cpu::fill_slice(&stream(), &distribution, Dtype::F32, &slice, first, &mut own).unwrap();
            let columns = (4 * start) as usize..(4 * (start + width)) as usize;
            let rows = whole.chunks_exact(4 * SIDE as usize);
            let equal = own
                .chunks_exact(columns.len())
                .zip(rows)
                .all(|(own, row)| own == &row[columns.clone()]);
            assert!(equal, "rank {rank}, rows from {}", band * BAND);
        }
    }
}

/// The same of a few ranks on every adapter, in one go each.
#[test]
fn ranks_columns_are_the_wholes_on_every_adapter() {
    const SIDE: u64 = 4096;
    let distribution = Distribution::symmetric(0.1);
    for context in forms() {
        for (start, width, dtype) in [(40, 41, Dtype::F32), (4055, 41, Dtype::Bf16)] {
            let shape = Shape::new([SIDE, SIDE]).unwrap();
            let slice = Slice::new(shape, [0, start], [SIDE, width]).unwrap();
            let tensor = Tensor::new(context, slice.local_shape().clone(), dtype).unwrap();
            context.run(|pass| pass.fill_slice(&tensor, &stream(), &distribution, &slice)).unwrap();
            let want = defined(&slice, (distribution, dtype), 0, slice.elements());
            assert!(context.read(&tensor).unwrap() == want, "{dtype} on {}", context.name());
        }
    }
}

/// Slices in tensors at any offset of a buffer leave what is around them as it was.
#[test]
fn neighbours_in_a_buffer_are_left_alone() {
    const BYTES: usize = 8192;
    let slice = Slice::new(Shape::new([50, 40]).unwrap(), [2, 7], [47, 13]).unwrap();
    for context in forms() {
        for (_, distribution, dtype) in verify::cases() {
            // Every dtype, and every kernel of a GPU; other distributions are above.
            if ![Distribution::Words, Distribution::normal(0.02)].contains(&distribution) {
                continue;
            }
            let size = dtype.size();
            for (offset, count) in [(0, 1), (1, 3), (3, 8), (5, 64), (7, 257), (13, 500)] {
                let first = slice.elements() - count - offset;
                let buffer =
                    Tensor::new(context, Shape::new([BYTES as u64]).unwrap(), Dtype::U8).unwrap();
                context.write(&buffer, 0, &[0xA5; BYTES]).unwrap();
                let shape = Shape::new([count]).unwrap();
                let tensor = buffer.within(offset * size as u64, shape, dtype).unwrap();
                context
                    .run(|pass| {
                        pass.fill_slice_from(&tensor, &stream(), &distribution, &slice, first)
                    })
                    .unwrap();
                let mut want = vec![0xA5; BYTES];
                let own = defined(&slice, (distribution, dtype), first, count);
                want[offset as usize * size..][..own.len()].copy_from_slice(&own);
                let got = context.read(&buffer).unwrap();
                assert!(
                    got == want,
                    "{distribution:?} in {dtype} at {offset} on {}",
                    context.name()
                );
            }
        }
    }
}

#[test]
fn fills_beyond_a_slice_say_what_is_wrong() {
    let slice = Slice::new(Shape::new([8, 8]).unwrap(), [0, 2], [8, 3]).unwrap();
    let normal = Distribution::normal(1.0);
    let mut out = [0; 16];
    let error = cpu::fill_slice(&stream(), &normal, Dtype::F32, &slice, 21, &mut out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "run: got 4 elements from 21, needed an end within the 24 of slice [0..8, 2..5] of [8, 8]"
    );
    let error = cpu::fill_slice(&stream(), &normal, Dtype::F32, &slice, 0, &mut out[..3]);
    assert!(error.unwrap_err().to_string().contains("got 3 bytes of f32"));
    let error = cpu::fill_slice(&stream(), &normal, Dtype::I64, &slice, 0, &mut out);
    assert!(error.unwrap_err().to_string().contains("dtype: got i64"));
    cpu::fill_slice(&stream(), &normal, Dtype::F32, &slice, 24, &mut []).unwrap();
    for device in every_form() {
        let piece = |first, count| Piece {
            stream: stream(),
            distribution: normal,
            dtype: Dtype::F32,
            slice: Some(&slice),
            first,
            count,
        };
        for (first, count) in [(21, 4), (u64::MAX, 2), (1 << 40, 1)] {
            let drawn = device.draw(&[piece(first, count)], &mut |_, _, _| Ok(()));
            let error = drawn.unwrap_err().to_string();
            assert!(error.contains("needed an end within the 24"), "{error}");
        }
    }
}

/// Elements a second of slices and of as many that follow each other, one after the other on one thread:
/// `cargo test --release --test all slices_beside -- --ignored --nocapture`.
#[test]
#[ignore = "prints times"]
fn slices_beside_the_whole() {
    let (side, distribution) = (16_384, Distribution::normal(0.02));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for dtype in [Dtype::F32, Dtype::Bf16] {
        for width in [1, 2, 3, 4, 7, 16, 41, 164, 163, 1000, 4001, 16_383] {
            let rows = (1 << 21) / width;
            let shape = Shape::new([rows.max(side), side]).unwrap();
            let slice =
                Slice::new(shape, [0, side - width - 1 + width % 2], [rows, width]).unwrap();
            let mut out = vec![0; slice.elements() as usize * dtype.size()];
            let mut timed = |sliced| {
                let start = std::time::Instant::now();
                let drawn = pool.install(|| match sliced {
                    true => cpu::fill_slice(&stream(), &distribution, dtype, &slice, 0, &mut out),
                    false => cpu::fill(&stream(), &distribution, dtype, 0, &mut out),
                });
                drawn.unwrap();
                start.elapsed().as_secs_f64()
            };
            let mut least = [f64::INFINITY; 2];
            for _ in 0..40 {
                least = [least[0].min(timed(true)), least[1].min(timed(false))];
            }
            let [own, fill] = least.map(|seconds| seconds * 1e9 / slice.elements() as f64);
            println!("{dtype}, {width} columns: {own:.2} ns, a fill {fill:.2}: {:.2}", own / fill);
        }
    }
}
