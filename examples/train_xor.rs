//! The smallest problem that a single layer cannot learn: exclusive or, by a 2-8-1 network.
//!
//! ```text
//! cargo run --release --example train_xor
//! ```

use fanin::model::data::{Dataset, Targets};
use fanin::model::{Loss, Mlp, Optimizer, TrainOptions, Trainer};
use fanin::{Activation, Device, gpu::Context};

fn main() -> Result<(), fanin::Error> {
    let features = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let values = vec![0.0, 1.0, 1.0, 0.0].into();
    let targets = Targets::Values { values, names: vec!["xor".into()] };
    let set = Dataset::new("xor", features, vec!["a".into(), "b".into()], targets)?;

    let mlp = Mlp::new([2, 8, 1])?.activation(Activation::Tanh).init("xavier_normal".parse()?);
    let options = TrainOptions {
        loss: Some(Loss::BinaryCrossEntropy),
        optimizer: Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 },
        lr: 0.5,
        batch: None,
        epochs: 200,
        seed: 7,
        ..TrainOptions::default()
    };
    // On the first GPU, or else on the CPU.
    let device = Context::new().map_or(Device::Cpu, Device::Gpu);
    let mut trainer = Trainer::new(&device, &mlp, &options, &set, None)?;
    println!("on {}", trainer.device());
    while let Some(epoch) = trainer.epoch()? {
        if epoch.epoch % 50 == 0 {
            println!("epoch {:3}: loss {:.4}", epoch.epoch, epoch.train.loss);
        }
    }
    let features = set.features.to_f32();
    for (inputs, output) in features.chunks(2).zip(trainer.predict(&features)?) {
        let probability = 1.0 / (1.0 + (-output).exp());
        println!("{} xor {} = {probability:.3}", inputs[0], inputs[1]);
    }
    Ok(())
}
