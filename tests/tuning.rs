//! What was measured on an adapter: found, kept, and without a say in any drawn bit.

use std::sync::Mutex;

use fanin::gpu::{Context, FillShape, Route, Tensor, Tuning, Way};
use fanin::random::{Distribution, Dtype, Stream, quantile};
use fanin::{Shape, cpu, verify};

use crate::devices::{SEED, contexts};

fn tuning(device: &str) -> Tuning {
    let way = |route, splits| Way { splits, ..Way::whole(route) };
    Tuning {
        device: device.into(),
        fill: FillShape { staged: true, ahead: 2, taken: 4 },
        products: vec![
            ([4096, 4096, 4096], way(Route::Tiled128, 1)),
            ([1, 4096, 4096], way(Route::Thin, 16)),
        ],
    }
}

#[test]
fn what_was_kept_is_read_back_for_its_own_device_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").join("b").join("tuning.json");
    let own = tuning("GPU 1");
    assert_eq!(Tuning::load(&path, "GPU 1"), None);
    own.save(&path).unwrap();
    assert_eq!(Tuning::load(&path, "GPU 1"), Some(own.clone()));
    assert_eq!(Tuning::load(&path, "GPU 1, a newer driver"), None);
    // Kept anew, and nothing beside it.
    own.save(&path).unwrap();
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_meant_is_as_good_as_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let mut bad = tuning("GPU");
    bad.fill.taken = 0;
    bad.save(&path).unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
    bad = tuning("GPU");
    bad.fill.ahead = 3;
    bad.save(&path).unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
    // As it was kept before fills had it.
    tuning("GPU").save(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"ahead\": 2,", "")).unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
    bad = tuning("GPU");
    bad.products[0].1.splits = 0;
    bad.save(&path).unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
    bad = tuning("GPU");
    bad.products[0].1.slices = 5;
    bad.save(&path).unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
    std::fs::write(&path, "{\"device\": \"GPU\"").unwrap();
    assert_eq!(Tuning::load(&path, "GPU"), None);
}

/// Calls a check on every adapter in the shapes that software adapters take, GPUs take, and neither.
fn in_every_shape(check: impl Fn(&Context, FillShape)) {
    // A context's fills all have one shape at a time.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let shape = |staged, ahead, taken| FillShape { staged, ahead, taken };
    for context in contexts() {
        let usual = context.tuning();
        for fill in [
            shape(false, 1, 8),
            shape(true, 2, 16),
            shape(true, 4, 3),
            shape(true, 1, 1),
            shape(false, 2, 5),
            shape(false, 4, 64),
        ] {
            context.set_tuning(Tuning { fill, ..usual.clone() }).unwrap();
            check(context, fill);
        }
        context.set_tuning(usual).unwrap();
    }
}

fn drawn(
    context: &Context,
    distribution: &Distribution,
    dtype: Dtype,
    stream: &Stream,
    [first, elements]: [u64; 2],
) -> Vec<u8> {
    let out = Tensor::new(context, Shape::new([elements]).unwrap(), dtype).unwrap();
    context.run(|pass| pass.fill_from(&out, stream, distribution, first)).unwrap();
    context.read(&out).unwrap()
}

#[test]
fn every_shape_of_a_fill_draws_the_definition() {
    let stream = Stream::named(SEED, "shape");
    // Whole blocks, no multiple of what a workgroup takes, over the carry of the block's low word; then
    // a run within blocks.
    let carry = (1 << 34) - (1 << 19);
    let runs = [[carry, (1 << 20) + 5], [carry + 3, 30_001]];
    let mut cases = Vec::new();
    for (name, distribution, dtype) in verify::cases() {
        for run @ [first, elements] in runs {
            let mut want = vec![0; elements as usize * dtype.size()];
            cpu::fill(&stream, &distribution, dtype, first, &mut want).unwrap();
            cases.push((name, distribution, dtype, run, want));
        }
    }
    in_every_shape(|context, fill| {
        // A slow adapter draws the long run in a GPU's shape, and a part of it in the others.
        let slow = context.name().contains("SwiftShader") && fill.taken != 16;
        for (name, distribution, dtype, [first, elements], want) in &cases {
            let elements = if slow { 20_003.min(*elements) } else { *elements };
            let got = drawn(context, distribution, *dtype, &stream, [*first, elements]);
            let place = format!("{name} in {dtype}, {fill:?} on {}", context.name());
            assert!(got == want[..got.len()], "{elements} from {first}, {place}");
        }
    });
}

/// Where a word's quantile is 0, the definition's integer has no sign, and a float has: a driver that
/// drops the sum that takes it away leaves -0.0.
#[test]
fn a_quantile_of_0_has_no_sign() {
    let stream = Stream::named(SEED, "shape");
    // Words below 2^31, one in some millions.
    let is_zero = |word: &u32| *word < 1 << 31 && quantile::fixed(*word) == 0;
    let blocks = (0..1 << 23).filter(|block| stream.block(*block).iter().any(is_zero));
    let found: Vec<u64> = blocks.collect();
    assert!(!found.is_empty());
    println!("blocks with such a word: {found:?}");
    let mut cases = Vec::new();
    for mean in [0.0, -0.0, 0.1, -3.0] {
        let normal = Distribution::Normal { mean, std: 0.02 };
        cases.extend(found.iter().map(|block| (normal, [4 * block - 4000, 8001])));
        cases.extend(found.iter().map(|block| (normal, [4 * block - 3, 8])));
        // Cut to one word in 250, where a value in some ten thousand is 0.
        let truncated = Distribution::TruncatedNormal { mean, std: 1.0, cut: 0.01 };
        cases.push((truncated, [0, 100_001]));
    }
    let mut wanted = Vec::new();
    for (distribution, run @ [first, elements]) in cases {
        let value = |index| distribution.value(&stream, index).unwrap();
        let centre = distribution.mean() as f32;
        let mut values = (first..first + elements).map(value);
        assert!(values.any(|value| value.to_bits() == (centre + 0.0).to_bits()));
        for dtype in Dtype::SAMPLED {
            let mut want = vec![0; elements as usize * dtype.size()];
            distribution.draw(&stream, dtype, first, &mut want).unwrap();
            wanted.push((distribution, dtype, run, want));
        }
    }
    in_every_shape(|context, fill| {
        for (distribution, dtype, run, want) in &wanted {
            let got = drawn(context, distribution, *dtype, &stream, *run);
            let place = format!("{distribution:?} in {dtype}, {fill:?} on {}", context.name());
            assert!(got == *want, "{run:?}, {place}");
        }
    });
}
