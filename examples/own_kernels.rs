//! The kernels of training with one's own device, buffers and command encoder: a layer forward, its
//! loss, and its gradients, recorded into a pass of the caller's.
//!
//! ```text
//! cargo run --release --example own_kernels
//! ```

use fanin::gpu::{Context, Epilogue, LossTensors, Pass, Tensor, UpdateTensors};
use fanin::op::{Form, Nonlinearity};
use fanin::op::{Loss, Optimizer};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Activation, Shape, wgpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let request = adapter.request_device(&wgpu::DeviceDescriptor::default());
    let (device, queue) = pollster::block_on(request)?;
    let context = Context::from_device(device.clone(), queue.clone())?;

    let (rows, inputs, outputs) = (32, 16, 4);
    let tensor = |dims: &[u64]| Tensor::new(&context, Shape::new(dims)?, Dtype::F32);
    let (x, wanted) = (tensor(&[rows, inputs])?, tensor(&[rows, outputs])?);
    let (weight, bias) = (tensor(&[outputs, inputs])?, tensor(&[outputs])?);
    let (z, y, dy, dz) = (
        tensor(&[rows, outputs])?,
        tensor(&[rows, outputs])?,
        tensor(&[rows, outputs])?,
        tensor(&[rows, outputs])?,
    );
    let (weight_gradient, bias_gradient) = (tensor(&[outputs, inputs])?, tensor(&[outputs])?);
    let results = tensor(&[rows, 2])?;

    // Everything is recorded here and submitted by the caller, beside whatever else is in the encoder.
    let record = |pass: &mut Pass<'_, '_>| -> fanin::Result<()> {
        // y = tanh(x W^T + b), z kept for the way back.
        let epilogue = Epilogue {
            bias: Some(&bias),
            raw: Some(&z),
            nonlinearity: Nonlinearity::Value(Activation::Tanh),
            ..Default::default()
        };
        pass.matmul(Form::Nt, &x, &weight, &y, &epilogue, 0)?;
        let tensors =
            LossTensors { outputs: &y, targets: &wanted, gradient: Some(&dy), results: &results };
        pass.loss(Loss::MeanSquaredError, &tensors)?;
        pass.activate_backward(Activation::Tanh, &z, &dy, &dz)?;
        pass.matmul(Form::Tn, &dz, &x, &weight_gradient, &Default::default(), 0)?;
        pass.column_sums(&dz, None, &bias_gradient)?;
        for (parameters, gradients) in [(&weight, &weight_gradient), (&bias, &bias_gradient)] {
            let tensors =
                UpdateTensors { gradients, parameters, first: None, second: None, scale: None };
            pass.update(&Optimizer::sgd(), 1.0, 1, &tensors)?;
        }
        Ok(())
    };

    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut compute = encoder.begin_compute_pass(&Default::default());
        let mut pass = Pass::new(&context, &mut compute);
        pass.fill(&x, &Stream::named(7, "x"), &Distribution::normal(1.0))?;
        pass.fill(&wanted, &Stream::named(7, "wanted"), &Distribution::symmetric(0.5))?;
        pass.fill(&weight, &Stream::named(7, "weight"), &Distribution::normal(0.25))?;
        record(&mut pass)?;
    }
    queue.submit([encoder.finish()]);
    let loss = || -> fanin::Result<f32> {
        let bytes = context.read(&results)?;
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        Ok(values.chunks(2).map(|row| row[0]).sum::<f32>() / rows as f32)
    };
    println!("{}: loss before {:.4}", context.name(), loss()?);
    for _ in 0..50 {
        let mut encoder = device.create_command_encoder(&Default::default());
        record(&mut Pass::new(&context, &mut encoder.begin_compute_pass(&Default::default())))?;
        queue.submit([encoder.finish()]);
    }
    println!("loss after 50 steps {:.4}", loss()?);
    Ok(())
}
