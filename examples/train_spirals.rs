//! One network from several initializations: which learns?
//!
//! ```text
//! cargo run --release --example train_spirals
//! ```

use fanin::Device;
use fanin::model::data::Generated;
use fanin::model::{Mlp, TrainOptions, Trainer};

fn main() -> Result<(), fanin::Error> {
    let (train, test) = Generated::Spirals.generate(7, None)?.split(7, 0.2)?;
    for init in ["he_normal", "normal:0.01", "zeros"] {
        let mlp = Mlp::new([2, 64, 64, 64, 64, 64, 64, 3])?.init(init.parse()?);
        // `Device::Gpu(Context::new()?)` trains on a GPU.
        let mut trainer =
            Trainer::new(&Device::Cpu, &mlp, &TrainOptions::default(), &train, Some(&test))?;
        while trainer.epoch()?.is_some() {}
        let verdict = trainer.verdict()?;
        let last = trainer.history().last().and_then(|epoch| epoch.test);
        let accuracy = last.and_then(|score| score.accuracy).unwrap_or(0.0);
        println!("{init:12} {:9} test accuracy {:.1} %", verdict.name(), 100.0 * accuracy);
        if let Some(reason) = verdict.reason() {
            println!("{:12} {reason}", "");
        }
    }
    Ok(())
}
