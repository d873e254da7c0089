//! A weight drawn on the GPU, and the same weight drawn on the CPU:
//!
//! ```text
//! cargo run --release --example first
//! ```

use fanin::gpu::{Context, Tensor};
use fanin::init::Init;
use fanin::random::{Dtype, Stream};
use fanin::{Layout, Result, Shape, cpu};

fn main() -> Result<()> {
    // The best adapter there is, a GPU before a software driver.
    let context = Context::new()?;
    println!("{}", context.name());

    // A linear layer of 784 inputs and 512 outputs, He-initialized for ReLU.
    let shape = Shape::new([512, 784])?;
    let he: Init = "he_normal".parse()?;
    let distribution = he.distribution(&shape, &Layout::OutIn.into())?;

    // Seed and name are all that its numbers depend on.
    let stream = Stream::named(7, "layers.0.weight");
    let weight = Tensor::new(&context, shape, Dtype::F32)?;
    context.run(|pass| pass.fill(&weight, &stream, &distribution))?;

    let moments = context.moments(&weight)?;
    println!("std {:.5}, expected {:.5}", moments.std(), distribution.std());

    let on_gpu = context.read(&weight)?;
    let mut on_cpu = vec![0; on_gpu.len()];
    cpu::fill(&stream, &distribution, Dtype::F32, 0, &mut on_cpu)?;
    assert_eq!(on_gpu, on_cpu);
    println!("the CPU's bits are the same");
    Ok(())
}
