//! Whose a tensor is, and what a device must have: told at the first call that can know.

use fanin::Device;
use fanin::device::{Draw, Piece};
use fanin::gpu::{
    Context, Epilogue, FillShape, Hardware, LossTensors, NormTensors, Pass, Route, Tensor, Tuning,
    UpdateTensors, Way,
};
use fanin::model::data::Generated;
use fanin::model::{Adam, Loss, Mlp, Optimizer, Trainer};
use fanin::op::{Dropout, Extreme, Form, Nonlinearity};
use fanin::random::{Distribution, Dtype, Source, Stream};
use fanin::{Activation, Error, Result, Shape, wgpu};

use crate::devices::{contexts, own_adapters, own_device};

fn tensor(context: &Context, dims: &[u64]) -> Tensor {
    Tensor::new(context, Shape::new(dims).unwrap(), Dtype::F32).unwrap()
}

const NORMAL: Distribution = Distribution::Normal { mean: 0.0, std: 1.0 };

/// Wherever a tensor goes, another context's is refused, and nothing of the context's own is touched.
#[test]
fn a_tensor_of_another_context_is_refused_everywhere() {
    for (own, other) in contexts().iter().flat_map(|a| contexts().iter().map(move |b| (a, b))) {
        if std::ptr::eq(own, other) {
            continue;
        }
        // As many of either, so that whatever numbers the buffers have, they have them in both.
        let of = |context| [0; 12].map(|_| tensor(context, &[8, 8]));
        let (mine, theirs) = (of(own), of(other));
        let stream = Stream::new(1, 1);
        let fill = |context: &Context, tensors: &[Tensor]| {
            let fill = |pass: &mut Pass<'_, '_>| {
                tensors.iter().try_for_each(|tensor| pass.fill(tensor, &stream, &NORMAL))
            };
            context.run(fill).unwrap();
        };
        fill(own, &mine);
        fill(other, &theirs);
        let before = own.read(&mine[0]).unwrap();

        let refused = |what: &str, result: Result<()>| {
            let error = result.expect_err(what);
            assert!(matches!(&error, Error::Invalid { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains("got one of another context, needed"), "{error}");
        };
        // Each operand in its turn is the other context's.
        let each = |what: &str,
                    count: usize,
                    run: &dyn Fn(&mut Pass<'_, '_>, &[&Tensor]) -> Result<()>| {
            for wrong in 0..count {
                let operand = |at: usize| if at == wrong { &theirs[at] } else { &mine[at] };
                let operands: Vec<&Tensor> = (0..count).map(operand).collect();
                refused(&format!("{what}, {wrong}"), own.run(|pass| run(pass, &operands)));
            }
        };
        each("fill", 1, &|pass, t| pass.fill(t[0], &stream, &NORMAL));
        each("activate", 2, &|pass, t| pass.activate(Activation::Tanh, t[0], t[1]));
        each("activate_backward", 3, &|pass, t| {
            pass.activate_backward(Activation::Tanh, t[0], t[1], t[2])
        });
        each("dropout", 2, &|pass, t| {
            pass.dropout(&Dropout { probability: 0.5, stream }, 0, t[0], t[1])
        });
        let row = |tensor: &Tensor| tensor.within(0, Shape::new([8]).unwrap(), Dtype::F32).unwrap();
        each("column_sums", 3, &|pass, t| pass.column_sums(t[0], Some(t[1]), &row(t[2])));
        each("column_extremes", 2, &|pass, t| {
            pass.column_extremes(t[0], Extreme::Least, &row(t[1]))
        });
        each("clip", 2, &|pass, t| pass.clip(t[0], 1.0, &row(t[1])));
        each("matmul", 8, &|pass, t| {
            let epilogue = Epilogue {
                bias: Some(&row(t[3])),
                before: Some(t[4]),
                raw: Some(t[5]),
                nonlinearity: Nonlinearity::Derivative(Activation::Tanh, t[6]),
                after: Some(t[7]),
                ..Epilogue::default()
            };
            pass.matmul(Form::Nn, t[0], t[1], t[2], &epilogue, 0)
        });
        each("sums of a matmul's rows", 4, &|pass, t| {
            let epilogue = Epilogue { row_sums: Some(&row(t[3])), ..Epilogue::default() };
            pass.matmul(Form::Nn, t[0], t[1], t[2], &epilogue, 0)
        });
        each("matmul in parts", 3, &|pass, t| {
            let way = Way { splits: 2, ..Way::whole(Route::Tiled32) };
            pass.matmul_by(Some(way), Form::Nn, t[0], t[1], t[2], &Epilogue::default(), 0)
        });
        each("loss", 4, &|pass, t| {
            let results = t[3].within(0, Shape::new([8, 2]).unwrap(), Dtype::F32)?;
            let tensors = LossTensors {
                outputs: t[0],
                targets: t[1],
                gradient: Some(t[2]),
                results: &results,
            };
            pass.loss(Loss::MeanSquaredError, &tensors)
        });
        each("squares", 3, &|pass, t| pass.squares(t[0], t[1], &row(t[2])));
        each("row_sums", 3, &|pass, t| pass.row_sums(t[0], Some(t[1]), &row(t[2])));
        each("map", 4, &|pass, t| {
            let epilogue =
                Epilogue { bias: Some(&row(t[2])), before: Some(t[3]), ..Epilogue::default() };
            pass.map(t[0], t[1], &epilogue, 0)
        });
        each("gather", 3, &|pass, t| {
            let order = t[1].within(0, Shape::new([8]).unwrap(), Dtype::U32)?;
            pass.gather(t[0], &order, t[2])
        });
        let norm = |t: &[&Tensor]| NormTensors {
            scale: row(t[0]),
            shift: row(t[1]),
            normalized: t[2].clone(),
            inverse: row(t[3]),
            activation: Activation::Tanh,
            dropout: None,
        };
        each("norm", 7, &|pass, t| pass.norm(&norm(t), 0, t[4], Some(t[5]), t[6]));
        each("norm_backward", 7, &|pass, t| pass.norm_backward(&norm(t), 0, t[4], t[5], t[6]));
        each("update", 5, &|pass, t| {
            let tensors = UpdateTensors {
                gradients: t[0],
                parameters: t[1],
                first: Some(t[2]),
                second: Some(t[3]),
                scale: Some(t[4]),
            };
            pass.update(&Optimizer::Adam(Adam::default()), 0.1, 1, &tensors)
        });
        let theirs = &theirs[0];
        refused("read", own.read(theirs).map(drop));
        refused("write", own.write(theirs, 0, &[0; 256]));
        refused("moments", own.moments(theirs).map(drop));
        refused("summary", own.summary(theirs).map(drop));
        refused("histogram", own.histogram(theirs, -1.0, 1.0, 4).map(drop));
        let part = theirs.within(64, Shape::new([4]).unwrap(), Dtype::F32).unwrap();
        refused("a part", own.read(&part).map(drop));

        for tensor in &mine {
            assert!(own.read(tensor).unwrap() == before, "{} by {}", own.name(), other.name());
        }
    }
}

#[test]
fn contexts_of_one_device_share_tensors() {
    for theirs in contexts() {
        let own = theirs
            .guarded(|device| Context::from_device(device.clone(), theirs.queue().clone()))
            .unwrap();
        let tensor = tensor(theirs, &[100]);
        own.run(|pass| pass.fill(&tensor, &Stream::new(1, 1), &NORMAL)).unwrap();
        assert_eq!(own.read(&tensor).unwrap(), theirs.read(&tensor).unwrap());
        assert_ne!(own.read(&tensor).unwrap(), vec![0; 400]);
    }
}

#[test]
fn a_buffer_of_another_device_is_refused() {
    for adapter in own_adapters() {
        let limits = wgpu::Limits::downlevel_defaults();
        let ((device_a, queue_a), (device_b, queue_b)) =
            (own_device(&adapter, limits.clone()), own_device(&adapter, limits));
        let a = Context::from_device(device_a.clone(), queue_a.clone()).unwrap();
        let b = Context::from_device(device_b.clone(), queue_b.clone()).unwrap();
        let buffer = device_a.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 256,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let shape = Shape::new([64]).unwrap();
        Tensor::from_buffer(&a, &buffer, 0, shape.clone(), Dtype::F32).unwrap();
        let error = Tensor::from_buffer(&b, &buffer, 0, shape, Dtype::F32).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        // And a queue of another.
        assert!(Context::from_device(device_a, queue_b).is_err());
        assert!(Context::from_device(device_b, queue_a).is_err());
    }
}

/// What a device made with few limits can do it does; what it cannot is named with what it needs.
#[test]
fn limits_that_are_too_low_are_named() {
    for adapter in own_adapters() {
        let (own, queue) = own_device(&adapter, wgpu::Limits::downlevel_defaults());
        let context = Context::from_device(own, queue).unwrap();
        let [a, b, out] = [0; 3].map(|_| tensor(&context, &[8, 8]));
        context.run(|pass| pass.fill(&a, &Stream::new(1, 1), &NORMAL)).unwrap();
        let product =
            context.run(|pass| pass.matmul(Form::Nn, &a, &b, &out, &Epilogue::default(), 0));
        let error = product.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        let text = error.to_string();
        let expected = "max_storage_buffers_per_shader_stage: got 4, needed 8 for `matmul`";
        assert!(text.contains(expected), "{text}");
        let (set, _) = Generated::Spirals.generate(1, None).unwrap().split(1, 0.2).unwrap();
        let mlp = Mlp::new([2, 4, 3]).unwrap();
        let trainer = Trainer::new(&context.clone().into(), &mlp, &Default::default(), &set, None);
        let text = trainer.err().unwrap().to_string();
        assert!(text.contains("max_storage_buffers_per_shader_stage: got 4"), "{text}");

        let (own, queue) = own_device(&adapter, wgpu::Limits::downlevel_webgl2_defaults());
        let error = Context::from_device(own, queue).err().unwrap();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert!(error.to_string().starts_with("the device's max_"), "{error}");
    }
}

#[test]
fn a_device_that_is_gone_is_an_error_at_the_next_call() {
    for adapter in own_adapters() {
        let open = || own_device(&adapter, wgpu::Limits::downlevel_defaults());
        let gone = |what: &str, result: Result<()>| {
            let error = result.expect_err(what);
            assert!(matches!(&error, Error::Device { .. }), "{what}: {error:?}");
        };
        let (own, queue) = open();
        own.destroy();
        gone("from_device", Context::from_device(own, queue).map(drop));

        // Each call is the first after the end of a device of its own.
        type Call = (&'static str, fn(&Context, &Tensor) -> Result<()>);
        let calls: [Call; 8] = [
            ("wait", |context, _| context.wait()),
            ("run", |context, tensor| {
                context.run(|pass| pass.fill(tensor, &Stream::new(0, 0), &NORMAL))
            }),
            ("run of nothing", |context, _| context.run(|_| Ok(()))),
            ("read", |context, tensor| context.read(tensor).map(drop)),
            ("write", |context, tensor| context.write(tensor, 0, &[0; 256])),
            ("moments", |context, tensor| context.moments(tensor).map(drop)),
            ("new", |context, tensor| {
                Tensor::new(context, tensor.shape().clone(), Dtype::F32).map(drop)
            }),
            ("from_buffer", |context, tensor| {
                let shape = tensor.shape().clone();
                Tensor::from_buffer(context, tensor.buffer(), 0, shape, Dtype::F32).map(drop)
            }),
        ];
        for (name, call) in calls {
            let (own, queue) = open();
            let context = Context::from_device(own.clone(), queue).unwrap();
            let tensor = tensor(&context, &[64]);
            // Its pipelines are there already.
            context.run(|pass| pass.fill(&tensor, &Stream::new(0, 0), &NORMAL)).unwrap();
            context.wait().unwrap();
            own.destroy();
            gone(name, call(&context, &tensor));
        }

        let (own, queue) = open();
        let context = Context::from_device(own.clone(), queue).unwrap();
        let tensor = tensor(&context, &[64]);
        let recorded = context.run(|pass| {
            pass.fill(&tensor, &Stream::new(0, 0), &NORMAL)?;
            own.destroy();
            pass.fill(&tensor, &Stream::new(0, 1), &NORMAL)
        });
        gone("destroyed while recording", recorded);
    }
}

#[test]
fn a_tuning_that_cannot_be_meant_is_refused() {
    let context = &contexts()[0];
    let usual = context.tuning();
    let fill = |taken| Tuning { fill: FillShape { taken, ..usual.fill }, ..usual.clone() };
    let ahead = |ahead| Tuning { fill: FillShape { ahead, ..usual.fill }, ..usual.clone() };
    let product = |sizes, splits| Tuning {
        products: vec![(sizes, Way { splits, ..Way::whole(Route::Tiled32) })],
        ..usual.clone()
    };
    for bad in [
        fill(0),
        fill(65),
        ahead(3),
        product([0, 1, 1], 1),
        product([8; 3], 0),
        product([8; 3], 1025),
    ] {
        let error = context.set_tuning(bad).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        assert_eq!(context.tuning(), usual);
    }
    // A way of the caller's goes through no tuning.
    let [a, b, out] = [0; 3].map(|_| tensor(context, &[8, 8]));
    for splits in [0, u64::MAX] {
        let way = Way { splits, slices: splits, ..Way::whole(Route::Tiled32) };
        let none = Epilogue::default();
        context.run(|pass| pass.matmul_by(Some(way), Form::Nn, &a, &b, &out, &none, 0)).unwrap();
    }
}

#[test]
fn no_number_of_the_callers_wraps() {
    let piece = |count, first| Piece {
        stream: Stream::new(0, 0),
        distribution: NORMAL,
        dtype: Dtype::F32,
        slice: None,
        first,
        count,
    };
    let gpu = Device::Gpu(contexts()[0].clone());
    let cpu = Device::Cpu;
    // 2^62 elements of 4 bytes are 0 bytes, if one does not look.
    for count in [1 << 62, (1 << 62) + 1, u64::MAX] {
        for engine in [&gpu as &dyn Draw, &cpu] {
            let error = engine.draw(&[piece(count, 0)], &mut |_, _, _| Ok(())).unwrap_err();
            assert!(error.to_string().starts_with("piece: got "), "{error}");
        }
        assert_eq!(piece(count, 0).bytes(), u64::MAX);
    }
    for engine in [&gpu as &dyn Draw, &cpu] {
        let error = engine.draw(&[piece(8, u64::MAX - 3)], &mut |_, _, _| Ok(())).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    }
    // 2^64 - 2 bytes, filled up to a multiple of 4, are none.
    for (elements, dtype) in [(i64::MAX as u64, Dtype::Bf16), (1 << 62, Dtype::F32)] {
        let shape = Shape::new([elements]).unwrap();
        let error = Tensor::new(&contexts()[0], shape, dtype).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    }
    let small = tensor(&contexts()[0], &[8]);
    for (offset, bytes) in [(u64::MAX, 4), (32, 4), (2, 4), (0, 3), (28, 8)] {
        let error = contexts()[0].write(&small, offset, &vec![0; bytes]).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
    }
    for elements in [1 << 58, 1 << 62, u64::MAX] {
        let drawn = Source::Elements(NORMAL).draw(&Stream::new(0, 0), Dtype::F32, elements);
        assert!(matches!(drawn, Err(Error::Exhausted { resource: "memory", .. })));
    }
    for sizes in [[0, 0, 0], [u64::MAX; 3], [1, u64::MAX, u64::MAX]] {
        for software in [false, true] {
            let hardware = Hardware { software, ..contexts()[0].hardware() };
            assert!(Way::usual(&hardware, sizes).splits >= 1);
            let way = Way { splits: u64::MAX, slices: u64::MAX, ..Way::whole(Route::Tiled64) };
            assert!(!way.microseconds(&hardware, sizes).is_nan());
        }
    }
}
