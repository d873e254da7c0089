//! What was measured on an adapter: found, kept, and without a say in any drawn bit.

use fanin::gpu::{FillShape, Route, Tensor, Tuning, Way};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Shape, cpu};

use crate::devices::{SEED, contexts};

fn tuning(device: &str) -> Tuning {
    let way = |route, splits| Way { splits, ..Way::whole(route) };
    Tuning {
        device: device.into(),
        fill: FillShape { staged: true, taken: 4 },
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

#[test]
fn every_shape_of_a_fill_draws_the_definition() {
    let stream = Stream::named(SEED, "shape");
    // No multiple of what a workgroup takes.
    let elements = 3 * 32 * 1024 + 5;
    for context in contexts() {
        let usual = context.tuning();
        for (staged, taken) in [(false, 1), (true, 1), (true, 4), (false, 32), (true, 32)] {
            context
                .set_tuning(Tuning { fill: FillShape { staged, taken }, ..usual.clone() })
                .unwrap();
            for distribution in
                [Distribution::normal(0.02), Distribution::truncated_normal(0.3, 2.0)]
            {
                for dtype in [Dtype::F32, Dtype::F16] {
                    let out = Tensor::new(context, Shape::new([elements]).unwrap(), dtype).unwrap();
                    context.run(|pass| pass.fill(&out, &stream, &distribution)).unwrap();
                    let mut want = vec![0; out.bytes() as usize];
                    cpu::fill(&stream, &distribution, dtype, 0, &mut want).unwrap();
                    let place = format!("{staged}, {taken} on {}", context.name());
                    assert!(
                        context.read(&out).unwrap() == want,
                        "{distribution:?} {dtype} {place}"
                    );
                }
            }
        }
        context.set_tuning(usual).unwrap();
    }
}
