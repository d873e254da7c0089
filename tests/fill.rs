//! Fills: the CPU's vector code and every adapter, bit for bit against the definition.

use fanin::Device;
use fanin::Shape;
use fanin::cpu;
use fanin::device::{Chunks, Draw, Piece};
use fanin::gpu::Tensor;
use fanin::random::{Distribution, Dtype, Stream};
use fanin::verify::{self, Check};

use crate::devices::{SEED, forms};

fn holds(engine: &dyn Draw, values: u64) {
    let mut failed = Vec::new();
    verify::device(engine, values, &mut |check: Check| {
        if !check.holds {
            failed.push(format!("{}: {}", check.name, check.found));
        }
        Ok(())
    })
    .unwrap();
    assert!(failed.is_empty(), "{}: {failed:#?}", engine.device());
}

#[test]
fn the_cpu_engine_draws_the_definition() {
    holds(&Device::Cpu.in_chunks(1 << 20), (1 << 20) + 3);
}

#[test]
fn every_adapter_draws_the_definition() {
    for context in forms() {
        // A chunk that is no power of two, so that pieces begin anywhere.
        holds(&Device::Gpu(context.clone()).in_chunks(3_000_000), (1 << 20) + 3);
    }
}

#[test]
fn tensors_anywhere_in_a_buffer_leave_their_neighbours_alone() {
    for context in forms() {
        let check = verify::offsets(context).unwrap();
        assert!(check.holds, "{}: {}", context.name(), check.found);
    }
}

#[test]
fn a_check_that_should_fail_does() {
    // An engine that gets one element in a piece wrong.
    struct Wrong(Chunks);
    impl Draw for Wrong {
        fn engine(&self) -> &'static str {
            "wrong"
        }
        fn device(&self) -> String {
            "wrong".into()
        }
        fn piece_bytes(&self) -> u64 {
            self.0.piece_bytes()
        }
        fn draw(&self, pieces: &[Piece], sink: &mut fanin::device::Sink<'_>) -> fanin::Result<()> {
            self.0.draw(pieces, &mut |index, bytes, moments| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                sink(index, &bytes, moments)
            })
        }
    }
    let mut failed = Vec::new();
    verify::device(&Wrong(Device::Cpu.in_chunks(1 << 20)), 1000, &mut |check: Check| {
        if !check.holds {
            failed.push(check.name);
        }
        Ok(())
    })
    .unwrap();
    // Known answers, every case, corners and slices; one bit of 2^20 is no matter for statistics.
    assert_eq!(failed.len(), 3 + verify::cases().len(), "{failed:?}");
}

/// The largest and the smallest values that there are: the bits, and the moments measured on the way,
/// whose squares f32 does not hold.
#[test]
fn extremes_are_drawn_and_measured() {
    for distribution in [
        Distribution::Uniform { low: -3.1e38, high: 3e38 },
        Distribution::symmetric(3e38),
        Distribution::normal(3e37),
        Distribution::normal(1e-30),
    ] {
        let stream = Stream::named(SEED, "extremes");
        let (first, count, dtype) = (u64::MAX - 99_999, 100_000, Dtype::F32);
        let mut want = vec![0; 400_000];
        distribution.draw(&stream, dtype, first, &mut want).unwrap();
        let truth = cpu::moments(dtype, &want);
        let mut engines: Vec<Box<dyn Draw>> = vec![Box::new(Device::Cpu.in_chunks(1 << 20))];
        for context in forms() {
            engines.push(Box::new(Device::Gpu(context.clone()).in_chunks(1 << 20)));
        }
        for engine in engines {
            let piece = Piece { stream, distribution, dtype, slice: None, first, count };
            engine
                .draw(&[piece], &mut |_, bytes, moments| {
                    assert!(bytes == want, "{distribution:?} on {}", engine.device());
                    // As in `verify`: some tens of roundings.
                    let off = (moments.std() / truth.std() - 1.0).abs();
                    assert!(off < 1e-5, "{distribution:?} on {}: {off:e}", engine.device());
                    Ok(())
                })
                .unwrap();
        }
    }
}

#[test]
fn a_shard_is_a_stretch_of_the_whole() {
    let distribution = Distribution::truncated_normal(0.02, 2.0);
    let stream = Stream::named(SEED, "wte.weight");
    let whole = 100_003;
    for dtype in Dtype::SAMPLED {
        let size = dtype.size();
        let mut want = vec![0; whole * size];
        cpu::fill(&stream, &distribution, dtype, 0, &mut want).unwrap();
        for context in forms() {
            let mut got = Vec::new();
            let mut first = 0;
            for count in [1, 2, 4095, 33_333, 50_000, whole - 87_431] {
                let shape = Shape::new([count as u64]).unwrap();
                let tensor = Tensor::new(context, shape, dtype).unwrap();
                context.run(|pass| pass.fill_from(&tensor, &stream, &distribution, first)).unwrap();
                got.extend(context.read(&tensor).unwrap());
                first += count as u64;
            }
            assert!(got == want, "{dtype} on {}", context.name());
        }
    }
}

#[test]
fn a_tensor_beyond_one_window_is_filled_in_several() {
    // 160 MiB: more than the 128 MiB that one dispatch covers.
    let elements = 40 << 20;
    let stream = Stream::named(SEED, "large");
    let distribution = Distribution::symmetric(0.1);
    for context in forms() {
        if context.name().contains("SwiftShader") {
            continue; // Half a minute; the same code in the same windows as elsewhere.
        }
        let shape = Shape::new([elements]).unwrap();
        let tensor = Tensor::new(context, shape, Dtype::F32).unwrap();
        context.run(|pass| pass.fill_from(&tensor, &stream, &distribution, 2)).unwrap();
        let got = context.read(&tensor).unwrap();
        let mut want = vec![0; got.len()];
        cpu::fill(&stream, &distribution, Dtype::F32, 2, &mut want).unwrap();
        assert!(got == want, "{}", context.name());
        let moments = context.moments(&tensor).unwrap();
        assert_eq!(moments.count, elements);
        assert!((moments.std() - distribution.std()).abs() < 1e-4 * distribution.std());
    }
}

#[test]
fn bad_fills_say_what_is_wrong() {
    let context = &forms()[0];
    let tensor = |dtype| Tensor::new(context, Shape::new([8]).unwrap(), dtype).unwrap();
    let stream = Stream::new(0, 0);
    let fill = |dtype, distribution: Distribution, first| {
        context
            .run(|pass| pass.fill_from(&tensor(dtype), &stream, &distribution, first))
            .unwrap_err()
            .to_string()
    };
    let normal = Distribution::normal(1.0);
    assert!(fill(Dtype::F32, Distribution::normal(-1.0), 0).contains("std: got -1"));
    assert!(fill(Dtype::I64, normal, 0).contains("dtype: got i64"));
    assert!(fill(Dtype::F32, Distribution::Words, 0).contains("needed u32"));
    assert!(fill(Dtype::F16, Distribution::normal(20_000.0), 0).contains("at most 6.5504e4"));
    assert!(fill(Dtype::F8E4M3, Distribution::normal(100.0), 0).contains("at most 4.48e2"));
    assert!(fill(Dtype::F8E5M2, Distribution::normal(1e4), 0).contains("at most 5.7344e4"));
    assert!(fill(Dtype::U8, Distribution::normal(1.0), 0).contains("f8_e5m2, f64"));
    // Of 8 elements the last would be element 2^64.
    assert!(fill(Dtype::F32, normal, u64::MAX - 6).contains("an end within 2^64"));
    let shape = Shape::new([1 << 50]).unwrap();
    let error = Tensor::new(context, shape, Dtype::F32).unwrap_err().to_string();
    assert!(error.contains("allows in a buffer"), "{error}");
}
