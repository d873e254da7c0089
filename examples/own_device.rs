//! Into a buffer of one's own, with one's own device and command encoder: this crate records, its
//! user submits.
//!
//! ```text
//! cargo run --release --example own_device
//! ```

use fanin::gpu::{Context, Pass, Tensor};
use fanin::random::{Distribution, Dtype, Slice, Stream};
use fanin::{Shape, wgpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let request = adapter.request_device(&wgpu::DeviceDescriptor {
        // Optional: 64-bit products are faster where there are any. The bits are the same.
        required_features: adapter.features() & wgpu::Features::SHADER_INT64,
        ..Default::default()
    });
    let (device, queue) = pollster::block_on(request)?;
    let arena = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("weights"),
        size: 1 << 20,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });

    // Three tensors side by side in one buffer, in one pass of an encoder that may hold anything else.
    let context = Context::from_device(device.clone(), queue.clone())?;
    let weight = Tensor::from_buffer(&context, &arena, 0, Shape::new([256, 128])?, Dtype::Bf16)?;
    let bias =
        Tensor::from_buffer(&context, &arena, weight.bytes(), Shape::new([256])?, Dtype::F32)?;
    // The columns that the second of four ranks holds of a matrix, as the whole matrix has them.
    let columns = Slice::new(Shape::new([256, 512])?, [0, 128], [256, 128])?;
    let part = weight.within(arena.size() / 2, columns.local_shape().clone(), Dtype::Bf16)?;
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut compute = encoder.begin_compute_pass(&Default::default());
        let mut pass = Pass::new(&context, &mut compute);
        pass.fill(&weight, &Stream::named(7, "weight"), &Distribution::normal(0.02))?;
        pass.fill(&bias, &Stream::named(7, "bias"), &Distribution::Constant { value: 0.01 })?;
        pass.fill_slice(&part, &Stream::named(7, "up"), &Distribution::normal(0.02), &columns)?;
    }
    queue.submit([encoder.finish()]);

    println!("{}: {} bytes drawn", context.name(), weight.bytes() + bias.bytes() + part.bytes());
    println!("weight std {:.4}", context.moments(&weight)?.std());
    println!("columns' std {:.4}", context.moments(&part)?.std());
    println!("bias mean {:.4}", context.moments(&bias)?.mean);
    Ok(())
}
