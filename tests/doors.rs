//! The three doors: nothing of one's own, one's own device and encoder, the WGSL as data.

use fanin::cpu;
use fanin::gpu::{Context, Epilogue, NormTensors, Pass, Tensor};
use fanin::init::Init;
use fanin::random::{Distribution, Dtype, Slice, Stream, quantile};
use fanin::shaders::FILL;
use fanin::{Activation, Layout, Result, Shape, wgpu};

use crate::devices::{SEED, contexts};
use crate::guarded::normals;

fn expected(stream: &Stream, distribution: &Distribution, elements: usize) -> Vec<u8> {
    let mut bytes = vec![0; elements * 4];
    cpu::fill(stream, distribution, Dtype::F32, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn nothing_of_ones_own() {
    for context in contexts() {
        let shape = Shape::new([64, 48]).unwrap();
        let he: Init = "he_normal".parse().unwrap();
        let distribution = he.distribution(&shape, &Layout::OutIn.into()).unwrap();
        let tensor = Tensor::new(context, shape, Dtype::F32).unwrap();
        let stream = Stream::named(SEED, "layers.0.weight");
        context.run(|pass| pass.fill(&tensor, &stream, &distribution)).unwrap();
        assert_eq!(context.read(&tensor).unwrap(), expected(&stream, &distribution, 64 * 48));
    }
}

#[test]
fn ones_own_device_and_encoder() {
    // Any device will do; this one is taken apart, as if it were the caller's.
    for theirs in contexts() {
        theirs.guarded(|device| own_device(device, theirs.queue())).unwrap();
    }
}

fn own_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<()> {
    let context = Context::from_device(device.clone(), queue.clone()).unwrap();
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4096,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let shape = Shape::new([100]).unwrap();
    let tensor = Tensor::from_buffer(&context, &buffer, 12, shape, Dtype::F32).unwrap();
    let distribution = Distribution::normal(0.02);
    let stream = Stream::named(SEED, "mine");
    // Columns of a matrix behind it.
    let slice = Slice::new(Shape::new([9, 50]).unwrap(), [0, 7], [9, 21]).unwrap();
    let columns = tensor.within(2060, slice.local_shape().clone(), Dtype::F32).unwrap();
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut compute = encoder.begin_compute_pass(&Default::default());
        let mut pass = Pass::new(&context, &mut compute);
        pass.fill(&tensor, &stream, &distribution).unwrap();
        pass.fill_slice(&columns, &stream, &distribution, &slice).unwrap();
    }
    queue.submit([encoder.finish()]);
    assert_eq!(context.read(&tensor).unwrap(), expected(&stream, &distribution, 100));
    let whole = expected(&stream, &distribution, 9 * 50);
    let rows = whole.chunks_exact(4 * 50).flat_map(|row| &row[4 * 7..4 * 28]).copied();
    assert_eq!(context.read(&columns).unwrap(), rows.collect::<Vec<u8>>());
    Ok(())
}

/// Rows of a table of the caller's, normalized, with what comes around them: in the caller's buffers and
/// encoder, as the CPU has them.
#[test]
fn ones_own_encoder_takes_kernels_one_after_another() {
    for theirs in contexts() {
        theirs.guarded(|device| own_encoder(device, theirs.queue())).unwrap();
    }
}

fn own_encoder(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<()> {
    let context = Context::from_device(device.clone(), queue.clone())?;
    let own = |dims: &[u64], dtype, bytes: &[u8]| {
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4 * dims.iter().product::<u64>(),
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&buffer, 0, bytes);
        Tensor::from_buffer(&context, &buffer, 0, Shape::new(dims)?, dtype)
    };
    let (table, order) = (normals("table", 9 * 6), [8u32, 0, 3, 3]);
    let (scale, shift) = (normals("scale", 6), normals("shift", 6));
    let floats = |dims: &[u64], values: &[f32]| own(dims, Dtype::F32, bytemuck::cast_slice(values));
    let [picked, normalized, out, mapped] = [(); 4].map(|()| floats(&[4, 6], &[f32::NAN; 24]));
    let (picked, out, mapped) = (picked?, out?, mapped?);
    let norm = NormTensors {
        scale: floats(&[6], &scale)?,
        shift: floats(&[6], &shift)?,
        normalized: normalized?,
        inverse: floats(&[4], &[f32::NAN; 4])?,
        activation: Activation::Relu,
        dropout: None,
    };
    let (rows, indices) =
        (floats(&[9, 6], &table)?, own(&[4], Dtype::U32, bytemuck::cast_slice(&order))?);
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut compute = encoder.begin_compute_pass(&Default::default());
        let mut pass = Pass::new(&context, &mut compute);
        pass.gather(&rows, &indices, &picked)?;
        pass.norm(&norm, 0, &picked, None, &out)?;
        let around = Epilogue { after: Some(&picked), ..Epilogue::default() };
        pass.map(&out, &mapped, &around, 0)?;
    }
    queue.submit([encoder.finish()]);

    let [mut picked, mut normalized, mut out, mut wanted] = [[0.0; 24]; 4];
    cpu::gather(&table, 6, &order, &mut picked)?;
    let own =
        cpu::Norm { scale: &scale, shift: &shift, activation: Activation::Relu, dropout: None };
    cpu::norm(&own, 0, &picked, None, &mut normalized, &mut [0.0; 4], &mut out)?;
    let around = cpu::Epilogue { after: Some(&picked), ..cpu::Epilogue::default() };
    cpu::map(&out, &mut wanted, 6, around, 0)?;
    let found: Vec<f32> = bytemuck::pod_collect_to_vec(&context.read(&mapped)?);
    for (found, wanted) in found.iter().zip(wanted) {
        // Either has the norm to some 30 units of numbers of at most 10.
        let bound = 1e-4;
        assert!((found - wanted).abs() < bound, "{}: {found}, not {wanted}", context.name());
    }
    Ok(())
}

#[test]
fn buffers_that_do_not_fit_are_refused() {
    let context = &contexts()[0];
    let buffer = |usage| {
        context.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 64,
            usage,
            mapped_at_creation: false,
        })
    };
    let storage = buffer(wgpu::BufferUsages::STORAGE);
    let error = |buffer: &wgpu::Buffer, offset, elements| {
        let shape = Shape::new([elements]).unwrap();
        Tensor::from_buffer(context, buffer, offset, shape, Dtype::F32).unwrap_err().to_string()
    };
    assert!(error(&storage, 2, 1).contains("a multiple of f32's 4 bytes"));
    assert!(error(&storage, 8, 15).contains("60 bytes after offset 8"));
    assert!(error(&buffer(wgpu::BufferUsages::UNIFORM), 0, 1).contains("needed STORAGE usage"));
}

/// A pipeline made from the table alone, with none of this crate's own machinery.
#[test]
fn the_wgsl_as_data() {
    for theirs in contexts() {
        theirs.guarded(|device| wgsl_as_data(theirs, device)).unwrap();
    }
}

fn wgsl_as_data(theirs: &Context, device: &wgpu::Device) -> Result<()> {
    let stream = Stream::new(SEED, 99);
    let elements: u32 = 256;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(FILL.name),
        source: wgpu::ShaderSource::Wgsl(FILL.source(Default::default()).into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some(FILL.entries[0]),
        compilation_options: wgpu::PipelineCompilationOptions {
            // Normal, f32.
            constants: &[("kind", 4.0), ("dtype", 0.0)],
            ..Default::default()
        },
        cache: None,
    });
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: usage | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    };
    let destination = buffer(1024, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
    let params = buffer(64, wgpu::BufferUsages::UNIFORM);
    let table = buffer(417 * 16, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE);
    let scale = 1.0f32 / (1 << quantile::FRACTIONAL_BITS) as f32;
    let words = [
        [SEED as u32, 0, 99, 0],
        [0, 0, 0, 0],
        // A group an invocation.
        [elements, 0, elements / 4, 1],
        [scale.to_bits(), 0, 0, 0],
    ];
    let bytes = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    theirs.queue().write_buffer(&params, 0, &bytes(words.as_flattened()));
    let mut rows = quantile::TABLE.as_flattened().to_vec();
    rows.resize(417 * 4, 0);
    theirs.queue().write_buffer(&table, 0, &bytes(&rows));
    let entry = |binding, buffer: &'_ wgpu::Buffer| (binding, buffer.clone());
    let buffers = [entry(0, &destination), entry(1, &params), entry(2, &table), entry(3, &table)];
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &buffers
            .iter()
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding: *binding,
                resource: buffer.as_entire_binding(),
            })
            .collect::<Vec<_>>(),
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut compute = encoder.begin_compute_pass(&Default::default());
        compute.set_pipeline(&pipeline);
        compute.set_bind_group(0, &group, &[]);
        compute.dispatch_workgroups(1, 1, 1);
    }
    theirs.queue().submit([encoder.finish()]);
    let shape = Shape::new([u64::from(elements)]).unwrap();
    let tensor = Tensor::from_buffer(theirs, &destination, 0, shape, Dtype::F32).unwrap();
    let want = expected(&stream, &Distribution::normal(1.0), elements as usize);
    assert_eq!(theirs.read(&tensor).unwrap(), want, "{}", theirs.name());
    Ok(())
}
