//! Devices: chosen by name, refused by name, lost without a panic.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fanin::Device;
use fanin::device::{Draw, Piece};
use fanin::gpu::{Choice, Context, ContextOptions, Tensor, adapters};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Error, Shape, wgpu};

use crate::devices::contexts;

#[test]
fn choices_read_back_as_they_were_written() {
    for text in ["auto", "cpu", "gpu", "vulkan:llvmpipe", "gl", "llvmpipe", "metal:"] {
        let choice: Choice = text.parse().unwrap();
        assert_eq!(choice.to_string(), text.trim_end_matches(':'));
    }
    let vulkan = Choice::Named { backend: Some(wgpu::Backend::Vulkan), name: "x y".into() };
    assert_eq!("Vulkan:x y".parse::<Choice>().unwrap(), vulkan);
    for (text, part) in [("", "got nothing"), ("opengl:x", "unknown backend `opengl`")] {
        let error = text.parse::<Choice>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn auto_takes_no_software_driver() {
    for adapter in adapters() {
        assert!(!(adapter.chosen_by_auto && adapter.kind.starts_with("software")), "{adapter:?}");
    }
    let found = Device::open(&Choice::Auto, ContextOptions::default()).unwrap();
    assert_eq!(found.context().is_some(), adapters().iter().any(|adapter| adapter.chosen_by_auto));
    assert!(Device::open(&Choice::Cpu, ContextOptions::default()).unwrap().context().is_none());
}

#[test]
fn an_adapter_that_is_not_there_is_named() {
    let choice: Choice = "vulkan:no such card".parse().unwrap();
    let Err(error) = Context::open(&choice, ContextOptions::default()) else {
        panic!("it is not there")
    };
    assert!(matches!(error, Error::NoAdapter { .. }) && error.is_usage());
    assert!(error.to_string().contains("`vulkan:no such card`; present: "), "{error}");
}

#[test]
fn a_lost_device_is_an_error_and_no_panic() {
    for context in contexts() {
        let info = context.adapter_info();
        let backend = adapters()
            .into_iter()
            .find(|adapter| adapter.name == info.name && adapter.driver.contains(&info.driver))
            .unwrap()
            .backend;
        let choice: Choice = format!("{backend}:{}", info.name).parse().unwrap();
        let doomed = Context::open(&choice, ContextOptions::default()).unwrap();
        let shape = Shape::new([1000]).unwrap();
        let tensor = Tensor::new(&doomed, shape.clone(), Dtype::F32).unwrap();
        doomed.device().destroy();
        let stream = Stream::new(0, 0);
        let distribution = Distribution::normal(1.0);
        let failed = |error: Error| assert!(matches!(&error, Error::Device { .. }), "{error:?}");
        failed(doomed.run(|pass| pass.fill(&tensor, &stream, &distribution)).unwrap_err());
        failed(doomed.read(&tensor).unwrap_err());
        failed(Tensor::new(&doomed, shape, Dtype::F32).unwrap_err());
        let piece =
            Piece { stream, distribution, dtype: Dtype::F32, slice: None, first: 0, count: 1000 };
        let engine = Device::Gpu(doomed).in_chunks(1 << 20);
        failed(engine.draw(&[piece], &mut |_, _, _| Ok(())).unwrap_err());
    }
}

/// wgpu panics in a thread that waits for OpenGL for 6 seconds; ours wait for each other.
#[test]
fn threads_take_turns() {
    let patience = Duration::from_secs(8);
    for context in contexts() {
        if context.adapter_info().backend != wgpu::Backend::Gl {
            continue;
        }
        let shape = Shape::new([1 << 24]).unwrap();
        let fill = |times: u32| {
            let tensor = Tensor::new(context, shape.clone(), Dtype::F32).unwrap();
            let normal = Distribution::normal(1.0);
            let filled = context.run(|pass| {
                (0..times).try_for_each(|_| pass.fill(&tensor, &Stream::new(0, 0), &normal))
            });
            filled.and_then(|()| context.wait()).unwrap();
        };
        // Without the room's being made, and without the other tests.
        let timed = context.guarded(|_| {
            Ok([1, 33].map(|times| {
                let start = Instant::now();
                fill(times);
                start.elapsed()
            }))
        });
        let [once, more] = timed.unwrap();
        let each = (more.saturating_sub(once) / 32).max(Duration::from_millis(4));
        let times = patience.div_duration_f64(each).ceil() as u32;
        let (started, starts) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                started.send(()).unwrap();
                fill(times);
            });
            starts.recv().unwrap();
            // Whatever it is that the long submission finds: a creation, a read, a drop.
            let all = Instant::now();
            while all.elapsed() < patience {
                let tensor = Tensor::new(context, Shape::new([64]).unwrap(), Dtype::F32).unwrap();
                context.read(&tensor).unwrap();
            }
        });
    }
}

#[test]
fn a_piece_larger_than_a_chunk_is_refused() {
    let engine = Device::Gpu(contexts()[0].clone()).in_chunks(4096);
    let piece = Piece {
        stream: Stream::new(0, 0),
        distribution: Distribution::normal(1.0),
        dtype: Dtype::F32,
        slice: None,
        first: 0,
        count: 1025,
    };
    let error = engine.draw(&[piece], &mut |_, _, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("piece: got 4100 bytes, needed at most 4096 bytes"), "{error}");
}

#[test]
fn an_engine_stops_at_the_sinks_first_error() {
    for context in contexts() {
        let engine = Device::Gpu(context.clone()).in_chunks(4096);
        let piece = Piece {
            stream: Stream::new(0, 0),
            distribution: Distribution::normal(1.0),
            dtype: Dtype::F32,
            slice: None,
            first: 0,
            count: 1024,
        };
        let mut seen = 0;
        let error = engine.draw(&[piece; 10], &mut |_, _, _| {
            seen += 1;
            if seen == 2 { Err(Error::Interrupted) } else { Ok(()) }
        });
        assert!(matches!(error, Err(Error::Interrupted)));
        assert_eq!(seen, 2);
        // And works again.
        let mut drawn = 0;
        engine
            .draw(&[piece; 5], &mut |_, bytes, _| {
                drawn += bytes.len();
                Ok(())
            })
            .unwrap();
        assert_eq!(drawn, 5 * 4096);
    }
}
