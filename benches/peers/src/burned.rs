use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};

use crate::{COUNT, SIZE, Work};

/// Steps of training that are timed as one.
pub const STEPS: u32 = 16;

const BATCH: usize = 256;

/// Burn's CPU backend.
pub fn on_cpu(op: &str) -> Option<Work<'static>> {
    Some(("burn, flex".into(), work(op, Device::flex())?))
}

/// Burn's wgpu backend, on the adapter of `context`.
pub fn on_adapter(op: &str, context: &fanin::gpu::Context) -> Vec<Work<'static>> {
    let software = context.adapter_info().device_type == fanin::wgpu::DeviceType::Cpu;
    let kind = if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice };
    let work = work(op, Device::wgpu(kind));
    work.map(|work| ("burn, wgpu".into(), work)).into_iter().collect()
}

fn work(op: &str, device: Device) -> Option<Box<dyn FnMut() -> Option<f64>>> {
    let fill = |distribution: Distribution| -> Box<dyn FnMut() -> Option<f64>> {
        let device = device.clone();
        Box::new(move || {
            let start = Instant::now();
            let tensor = Tensor::<1>::random([COUNT], distribution, &device);
            device.sync().ok()?;
            let passed = start.elapsed().as_secs_f64();
            drop(tensor);
            Some(passed)
        })
    };
    match op {
        "normal" => Some(fill(Distribution::Normal(0.0, 0.02))),
        "uniform" => Some(fill(Distribution::Uniform(-0.05, 0.05))),
        "matmul" => {
            let random =
                || Tensor::<2>::random([SIZE, SIZE], Distribution::Normal(0.0, 1.0), &device);
            let (a, b) = (random(), random());
            Some(Box::new(move || {
                device.sync().ok()?;
                let start = Instant::now();
                let product = a.clone().matmul(b.clone());
                device.sync().ok()?;
                let passed = start.elapsed().as_secs_f64();
                drop(product);
                Some(passed)
            }))
        }
        "training_step" => Some(training(device)),
        _ => None,
    }
}

#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
    relu: Relu,
}

impl Mlp {
    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if index < last {
                x = self.relu.forward(x);
            }
        }
        x
    }
}

fn training(device: Device) -> Box<dyn FnMut() -> Option<f64>> {
    let device = device.autodiff();
    let layer = |widths: &[usize]| LinearConfig::new(widths[0], widths[1]).init(&device);
    let layers = [784, 512, 512, 10].windows(2).map(layer).collect();
    let mut net = Some(Mlp { layers, relu: Relu::new() });
    let mut adam = AdamConfig::new().init();
    let loss: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
    let inputs = Tensor::<2>::random([BATCH, 784], Distribution::Normal(0.0, 1.0), &device);
    let labels: Vec<i32> = (0..BATCH as i32).map(|row| row % 10).collect();
    let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), &device);
    Box::new(move || {
        device.sync().ok()?;
        let start = Instant::now();
        for _ in 0..STEPS {
            let own = net.take()?;
            let error = loss.forward(own.forward(inputs.clone()), labels.clone());
            let gradients = GradientsParams::from_grads(error.backward(), &own);
            net = Some(adam.step(1e-3, own, gradients));
        }
        device.sync().ok()?;
        Some(start.elapsed().as_secs_f64())
    })
}
