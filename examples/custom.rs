//! A nonlinearity and an initializer of one's own, without touching this crate.
//!
//! ```text
//! cargo run --release --example custom
//! ```

use fanin::model::data::Generated;
use fanin::model::{Mlp, TrainOptions, Trainer};
use fanin::random::Distribution;
use fanin::{Activation, Custom, Device, gpu::Context};

/// `f(x) = max(x, 0)^2` (So et al. 2021): in f64 for the CPU, in WGSL for GPUs.
const SQUARED_RELU: Activation = Activation::Custom(Custom {
    name: "squared_relu",
    value: |x| x.max(0.0) * x.max(0.0),
    derivative: |x| 2.0 * x.max(0.0),
    // 1 / sqrt(E[f(z)^2]) with E[z^4; z > 0] = 3/2.
    gain: 0.816_496_580_927_726,
    wgsl: "fn custom_value(x: f32) -> f32 { let right = max(x, 0.0); return right * right; }
           fn custom_derivative(x: f32) -> f32 { return 2.0 * max(x, 0.0); }",
});

fn main() -> Result<(), fanin::Error> {
    let (train, test) = Generated::Moons.generate(7, None)?.split(7, 0.2)?;
    // Weights at the scale that keeps this nonlinearity's second moment; everything else as usual.
    let mlp = Mlp::new([2, 32, 32, 2])?.activation(SQUARED_RELU).custom_init(|name, shape| {
        let fan_in = *shape.dims().last()? as f64;
        let std = SQUARED_RELU.gain() / fan_in.sqrt();
        name.ends_with("weight").then(|| Distribution::normal(std))
    });
    for device in std::iter::once(Device::Cpu).chain(Context::new().map(Device::Gpu)) {
        let mut trainer =
            Trainer::new(&device, &mlp, &TrainOptions::default(), &train, Some(&test))?;
        while trainer.epoch()?.is_some() {}
        let last = trainer.history().last().and_then(|epoch| epoch.test);
        let accuracy = last.and_then(|score| score.accuracy).unwrap_or(0.0);
        println!("{}: test accuracy {:.1} %", trainer.device(), 100.0 * accuracy);
    }
    Ok(())
}
