//! Training: the same from run to run, resumed or not, on the CPU and every adapter.

use fanin::Device;
use fanin::gpu::Context;
use fanin::model::data::{Dataset, Generated, Standardizer, Targets};
use fanin::model::{
    Adam, Loss, Mlp, Optimizer, Outcome, Schedule, Score, Target, TrainOptions, Trainer,
};
use fanin::random::{Distribution, Source, Stream};
use fanin::{Activation, Error, wgpu};

use crate::devices::{SEED, contexts, everywhere, own_adapters, own_device};
use crate::gradients::examples;

fn mlp(widths: impl Into<Vec<u64>>, init: &str) -> Mlp {
    Mlp::new(widths).unwrap().init(init.parse().unwrap())
}

fn spirals() -> (Dataset, Dataset) {
    Generated::Spirals.generate(SEED, Some(600)).unwrap().split(SEED, 0.25).unwrap()
}

fn all(trainer: &mut Trainer) -> Vec<Vec<u32>> {
    let names: Vec<String> = trainer.parameters().iter().map(|own| own.name.clone()).collect();
    let bits =
        |name: &String| trainer.parameter(name).unwrap().into_iter().map(f32::to_bits).collect();
    names.iter().map(bits).collect()
}

fn options(epochs: u64) -> TrainOptions {
    TrainOptions { epochs, batch: Some(64), seed: SEED, lr: 0.01, ..TrainOptions::default() }
}

fn trained(device: &Device, mlp: &Mlp, options: &TrainOptions) -> Trainer {
    let (train, test) = spirals();
    let mut trainer = Trainer::new(device, mlp, options, &train, Some(&test)).unwrap();
    while trainer.epoch().unwrap().is_some() {}
    assert!(trainer.finished());
    trainer
}

#[test]
fn every_engine_learns_the_same() {
    let mlp = mlp([2, 32, 32, 3], "he_normal").dropout(0.05);
    let mut scores: Vec<(String, Score)> = Vec::new();
    for device in everywhere() {
        let mut trainer = trained(device, &mlp, &options(30));
        assert_eq!(trainer.verdict().unwrap(), Outcome::Learned);
        let history = trainer.history();
        assert_eq!(history.len(), 30);
        scores.push((trainer.device().to_string(), history[29].test.unwrap()));
    }
    let first = scores[0].1.accuracy.unwrap();
    assert!(first > 0.9, "{scores:?}");
    for (device, score) in &scores {
        // 150 test rows: rounding that differs may cost three of them, the loss a tenth.
        assert!((score.accuracy.unwrap() - first).abs() <= 0.02, "{device}: {scores:?}");
        assert!((score.loss / scores[0].1.loss - 1.0).abs() <= 0.1, "{device}: {scores:?}");
    }
}

#[test]
fn parameters_start_as_their_streams_draw_them() {
    let mlp = mlp([5, 7, 3], "xavier_uniform").bias("normal:0.1".parse().unwrap()).layer_norm(true);
    let set = examples(10, 5, 3, Loss::CROSS_ENTROPY);
    for device in everywhere() {
        let options = TrainOptions { batch: None, ..options(1) };
        let mut trainer = Trainer::new(device, &mlp, &options, &set, None).unwrap();
        for spec in mlp.recipe().unwrap().tensors {
            let stream = Stream::named(SEED, &spec.name);
            let Source::Elements(distribution) = spec.source else { panic!("{}", spec.name) };
            let wanted: Vec<f32> = (0..spec.shape.elements())
                .map(|index| distribution.value(&stream, index).unwrap())
                .collect();
            assert_eq!(trainer.parameter(&spec.name).unwrap(), wanted, "{}", spec.name);
        }
    }
}

#[test]
fn two_runs_and_a_resumed_one_have_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (train, test) = spirals();
    let mlp = mlp([2, 16, 16, 3], "he_normal").dropout(0.2).residual(true).layer_norm(true);
    for device in everywhere() {
        let options = TrainOptions { clip: Some(1.0), ..options(6) };
        let mut whole = trained(device, &mlp, &options);
        assert_eq!(all(&mut whole), all(&mut trained(device, &mlp, &options)), "two runs");

        // Stopped after each submission in turn: within epochs, between them, in the middle of a test.
        for stop in 1..=whole.submissions() {
            let path = folder.path().join("run.safetensors");
            let make = || Trainer::new(device, &mlp, &options, &train, Some(&test)).unwrap();
            let mut first = make();
            for _ in 0..stop {
                first.advance().unwrap();
            }
            first.save(&path, true).unwrap();
            let mut second = make();
            second.resume(&path).unwrap();
            assert_eq!(second.step(), first.step());
            while second.epoch().unwrap().is_some() {}
            assert_eq!(all(&mut second), all(&mut whole), "resumed after {stop}");
            assert_eq!(second.history(), whole.history(), "resumed after {stop}");
        }
    }
}

/// What a checkpoint counts in the middle of an epoch stands in it in decimals.
#[test]
fn sums_come_back_to_the_bit() {
    let mut sum = 0.0f64;
    for value in crate::guarded::normals("sums", 10_000) {
        sum += f64::from(value.abs());
        let read: f64 = serde_json::from_str(&serde_json::to_string(&sum).unwrap()).unwrap();
        assert_eq!(read, sum);
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, test) = spirals();
    let base = mlp([2, 16, 3], "he_normal");
    let make = |mlp: &Mlp, options: &TrainOptions| {
        Trainer::new(&Device::Cpu, mlp, options, &train, Some(&test)).unwrap()
    };
    let mut first = make(&base, &options(2));
    first.advance().unwrap();
    first.save(&path, false).unwrap();
    assert!(matches!(first.save(&path, false), Err(Error::Exists { .. })));
    let refused = |mlp: &Mlp, options: &TrainOptions| -> String {
        let mut other = make(mlp, options);
        let before = all(&mut other);
        let error = other.resume(&path).unwrap_err();
        assert_eq!(all(&mut other), before, "nothing has changed");
        assert!(error.is_usage());
        error.to_string()
    };
    let wider = refused(&mlp([2, 17, 3], "he_normal"), &options(2));
    assert!(
        wider.starts_with("architecture, to resume") && wider.contains("2-17-3 relu"),
        "{wider}"
    );
    let other = TrainOptions { optimizer: Optimizer::sgd(), ..options(2) };
    assert!(refused(&base, &other).starts_with("optimizer, to resume"));
    assert!(refused(&base, &TrainOptions { seed: 8, ..options(2) }).starts_with("seed, to resume"));
    assert!(refused(&base, &TrainOptions { lr: 0.02, ..options(2) }).starts_with("learning rate"));
    std::fs::write(&path, b"{}").unwrap();
    assert!(refused(&base, &options(2)).contains("not a usable safetensors file"));
    let missing = make(&base, &options(2)).resume(&folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::File { .. }));
}

#[test]
fn zeros_do_not_learn_and_the_reason_is_given() {
    for device in everywhere() {
        let mut zeros = trained(device, &mlp([2, 16, 16, 3], "zeros"), &options(3));
        let Outcome::Stuck(why) = zeros.verdict().unwrap() else { panic!("zeros learned") };
        assert!(why.starts_with("every weight is still 0 and so is its gradient"), "{why}");
        let mut same = trained(device, &mlp([2, 16, 16, 3], "constant:0.1"), &options(3));
        let Outcome::Stuck(why) = same.verdict().unwrap() else { panic!("constants learned") };
        assert!(why.contains("all units of layers.0 to layers.1 are still equal"), "{why}");
        // Equal for good: each row of a hidden weight is the first, bit for bit.
        let weight = same.parameter("layers.1.weight").unwrap();
        assert!(weight.chunks_exact(16).all(|row| row == &weight[..16]));
        let mut he = trained(device, &mlp([2, 16, 16, 3], "he_normal"), &options(30));
        assert_eq!(he.verdict().unwrap(), Outcome::Learned);
    }
}

#[test]
fn divergence_is_named() {
    for device in everywhere() {
        let wild = TrainOptions { lr: 1e30, optimizer: Optimizer::sgd(), ..options(5) };
        let mut trainer = trained(device, &mlp([2, 16, 16, 3], "he_normal"), &wild);
        let Outcome::Diverged(what) = trainer.verdict().unwrap() else { panic!("it did not") };
        assert!(what.contains("layers.") && what.contains("(epoch 1)"), "{what}");
        assert!(what.contains("at step 1 ") || what.contains("at step 2 "), "{what}");
        // From the start: the second layer's outputs pass what f32 holds.
        let huge = mlp([2, 16, 16, 3], "constant:1e20");
        let mut trainer = trained(device, &huge, &options(5));
        let Outcome::Diverged(what) = trainer.verdict().unwrap() else { panic!("it did not") };
        assert!(what.starts_with("the outputs of layers.1 before its nonlinearity are"), "{what}");
        assert!(what.contains("at step 1 (epoch 1)"), "{what}");
    }
}

#[test]
fn a_step_is_few_dispatches_and_a_submission_many_steps() {
    for context in contexts() {
        for layers in [1u64, 2, 5] {
            let widths = [vec![2], vec![8; layers as usize - 1], vec![3]].concat();
            let trainer = trained(&context.clone().into(), &mlp(widths, "he_normal"), &options(8));
            assert!(trainer.dispatches_per_step() as u64 <= 3 * layers + 2);
            // Steps, and the stretches of the test rows after each epoch.
            let work = trainer.step() + 8 * 150u64.div_ceil(64);
            assert!(trainer.submissions() <= work.div_ceil(8), "{}", trainer.submissions());
        }
    }
}

#[test]
fn the_rows_of_an_epoch_are_all_rows_once() {
    // One step over all rows in order, and batches of an epoch without shuffling: as SGD with a
    // rate of 0 they see the same loss; and the last batch is shorter.
    let set = examples(23, 3, 2, Loss::MeanSquaredError);
    for device in everywhere() {
        let mut losses = Vec::new();
        for (batch, shuffle) in [(None, false), (Some(5), false), (Some(5), true), (Some(1), true)]
        {
            let options = TrainOptions {
                optimizer: Optimizer::sgd(),
                lr: 1e-30,
                batch,
                shuffle,
                epochs: 2,
                seed: SEED,
                ..TrainOptions::default()
            };
            let net = mlp([3, 4, 2], "he_normal");
            let mut trainer = Trainer::new(device, &net, &options, &set, None).unwrap();
            let whole = trainer.evaluate().unwrap();
            let epoch = trainer.epoch().unwrap().unwrap();
            assert!((epoch.train.loss - whole.loss).abs() < 1e-6 * whole.loss, "{batch:?}");
            losses.push(epoch.train.loss);
        }
        assert!(
            losses.iter().all(|loss| (loss - losses[0]).abs() < 1e-6 * losses[0]),
            "{losses:?}"
        );
    }
}

#[test]
fn predictions_are_those_of_the_formula() {
    let set = examples(70, 3, 2, Loss::MeanSquaredError);
    let net = mlp([3, 6, 2], "he_normal").activation(Activation::Tanh).dropout(0.5);
    for device in everywhere() {
        let options = TrainOptions { batch: Some(32), ..options(1) };
        let mut trainer = Trainer::new(device, &net, &options, &set, None).unwrap();
        let found = trainer.predict(&set.features.to_f32()).unwrap();
        let oracle = crate::gradients::Oracle::of(&mut trainer);
        for (row, found) in set.features.to_f32().chunks_exact(3).zip(found.chunks_exact(2)) {
            let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
            for (found, wanted) in found.iter().zip(oracle.forward(&row)) {
                assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found}, not {wanted}");
            }
        }
        assert!(trainer.predict(&[1.0; 4]).is_err());
    }
}

#[test]
fn an_initializer_of_ones_own() {
    let net = mlp([3, 4, 2], "he_normal").custom_init(|name, shape| {
        (name == "layers.0.weight").then(|| Distribution::normal(1.0 / shape.elements() as f64))
    });
    let recipe = net.recipe().unwrap();
    assert_eq!(recipe.tensors[0].source, Distribution::normal(1.0 / 12.0));
    assert_eq!(recipe.tensors[2].source, Distribution::normal((2.0f64 / 4.0).sqrt()));
    let again = fanin::recipe::Recipe::parse(&recipe.to_toml(), "mlp").unwrap();
    for (own, read) in recipe.tensors.iter().zip(&again.tensors) {
        assert_eq!((&own.name, &own.shape, own.source), (&read.name, &read.shape, read.source));
    }
}

#[test]
fn zero_gamma_starts_residual_layers_as_the_identity() {
    let (train, test) = spirals();
    let deep = |gamma: Option<&str>| {
        let widths = [vec![2], vec![32; 13], vec![3]].concat();
        let net = mlp(widths, "he_normal").activation(Activation::Silu);
        let net = net.layer_norm(true).residual(true);
        gamma.map_or(net.clone(), |gamma| net.norms(gamma.parse().unwrap()))
    };
    let shallow = mlp([2, 32, 3], "zeros").activation(Activation::Silu).layer_norm(true);
    for device in everywhere() {
        let make = |net: &Mlp| Trainer::new(device, net, &options(20), &train, Some(&test));
        let mut zero = make(&deep(Some("zeros"))).unwrap();
        // Twelve layers fewer: those of the deep network without a connection around them.
        let mut without = make(&shallow).unwrap();
        for (own, of) in [(0, 0), (1, 13)] {
            let weight = zero.parameter(&format!("layers.{of}.weight")).unwrap();
            without.set_parameter(&format!("layers.{own}.weight"), &weight).unwrap();
        }
        let wanted = without.predict(&test.features.to_f32()).unwrap();
        assert_eq!(zero.predict(&test.features.to_f32()).unwrap(), wanted);
        // The scales are 1 in the first layer, which has no connection, and where nothing is asked.
        assert_eq!(zero.parameter("layers.0.norm.weight").unwrap(), [1.0; 32]);
        let mut plain = make(&deep(None)).unwrap();
        assert_eq!(plain.parameter("layers.5.norm.weight").unwrap(), [1.0; 32]);
        assert_ne!(plain.predict(&test.features.to_f32()).unwrap(), wanted);
        // The layers join in.
        while zero.epoch().unwrap().is_some() {}
        assert_eq!(zero.verdict().unwrap(), Outcome::Learned);
        assert!(zero.parameter("layers.5.norm.weight").unwrap().iter().all(|g| *g != 0.0));
    }
    // What could not work is refused.
    let refused = |net: Mlp| net.recipe().unwrap_err().to_string();
    let message = refused(deep(Some("zeros")).activation(Activation::Relu));
    assert!(message.contains("got constant:0 with relu, whose slope at 0 is 0"), "{message}");
    assert!(deep(Some("constant:0.1")).activation(Activation::Relu).recipe().is_ok());
    for without in [deep(Some("zeros")).residual(false), deep(Some("zeros")).layer_norm(false)] {
        assert!(refused(without).contains("needed layer norm and a residual connection"));
    }
}

#[test]
fn bad_settings_are_refused() {
    let set = examples(20, 3, 2, Loss::CROSS_ENTROPY);
    let net = mlp([3, 4, 2], "he_normal");
    let refused = |net: &Mlp, options: TrainOptions| -> String {
        let error = Trainer::new(&Device::Cpu, net, &options, &set, None).err().expect("refused");
        assert!(error.is_usage());
        error.to_string()
    };
    let base = || TrainOptions { batch: None, ..TrainOptions::default() };
    for lr in [f64::NAN, -0.1, 0.0, f64::INFINITY] {
        assert!(refused(&net, TrainOptions { lr, ..base() }).starts_with("learning rate: got"));
    }
    let message = refused(&net, TrainOptions { batch: Some(21), ..base() });
    assert_eq!(message, "batch: got 21 rows, needed at most the training set's 20 rows");
    assert!(refused(&net, TrainOptions { batch: Some(0), ..base() }).starts_with("batch: got 0"));
    assert!(refused(&net, TrainOptions { epochs: 0, ..base() }).starts_with("epochs: got 0"));
    assert!(refused(&net, TrainOptions { clip: Some(0.0), ..base() }).starts_with("clip: got 0"));
    let adam = Optimizer::Adam(Adam { beta2: 1.0, ..Adam::default() });
    assert!(refused(&net, TrainOptions { optimizer: adam, ..base() }).starts_with("Adam's beta2"));
    let mse = TrainOptions { loss: Some(Loss::MeanSquaredError), ..base() };
    assert!(refused(&net, mse).contains("targets: got classes"));
    assert!(
        refused(&mlp([4, 2], "zeros"), base()).contains("training set: got 3 features, needed 4")
    );
    assert!(refused(&mlp([3, 1], "zeros"), base()).contains("got 2 classes, needed at most"));
    assert!(refused(&net.clone().dropout(1.0), base()).starts_with("dropout: got 1"));
    assert!(Mlp::new([3, 0, 2]).unwrap_err().to_string().starts_with("widths: got [3, 0, 2]"));
    assert!(Mlp::new([3]).is_err());
    let schedule = Schedule { decay: fanin::model::Decay::Cosine { floor: 2.0 }, warmup: 0 };
    assert!(refused(&net, TrainOptions { schedule, ..base() }).contains("floor"));
    let mut trainer = Trainer::new(&Device::Cpu, &net, &base(), &set, None).unwrap();
    let unknown = trainer.parameter("layers.0.wieght").unwrap_err().to_string();
    assert!(unknown.contains("nearest: layers.0.weight"), "{unknown}");
    assert!(trainer.set_parameter("layers.0.bias", &[0.0; 3]).is_err());
}

#[test]
fn a_set_larger_than_a_binding_is_gathered_in_runs() {
    // A device of one's own that binds 64 KiB at most; the set is 200 kB.
    let adapter = &own_adapters()[0];
    let open = |binding| {
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: binding,
            ..wgpu::Limits::downlevel_defaults()
        };
        let limits = wgpu::Limits { max_storage_buffers_per_shader_stage: 8, ..limits };
        let (device, queue) = own_device(adapter, limits);
        Context::from_device(device, queue).unwrap()
    };
    let (small, large) = (open(1 << 16), open(1 << 27));
    let set = examples(5000, 10, 3, Loss::CROSS_ENTROPY);
    let net = mlp([10, 16, 3], "he_normal");
    let trained = |context: &Context| {
        let options = TrainOptions { batch: Some(32), ..options(1) };
        let mut trainer =
            Trainer::new(&context.clone().into(), &net, &options, &set, None).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        (trainer.dispatches_per_step(), all(&mut trainer))
    };
    let ((many, runs), (few, whole)) = (trained(&small), trained(&large));
    assert_eq!(many, few + 3);
    assert!(runs == whole, "the same bits, in four runs or one");
}

/// The adapters' kernels are held to the formulas; the CPU's loops are held to them here.
#[test]
fn every_optimizer_does_the_same_on_every_engine() {
    let adam = |weight_decay| Adam { weight_decay, ..Adam::default() };
    let sgd =
        |momentum, nesterov, weight_decay| Optimizer::Sgd { momentum, nesterov, weight_decay };
    let optimizers = [
        sgd(0.0, false, 0.01),
        sgd(0.9, false, 0.01),
        sgd(0.9, true, 0.0),
        Optimizer::Adam(adam(0.1)),
        Optimizer::AdamW(adam(0.1)),
        "rmsprop".parse::<Optimizer>().unwrap().with_weight_decay(0.1),
    ];
    let set = examples(64, 5, 3, Loss::MeanSquaredError);
    let net = mlp([5, 16, 3], "xavier_normal").activation(Activation::Tanh);
    for optimizer in optimizers {
        for clip in [None, Some(0.05)] {
            let trained = |device: &Device| -> Vec<Vec<f32>> {
                let options =
                    TrainOptions { optimizer, clip, batch: Some(16), lr: 0.02, ..options(4) };
                let mut trainer = Trainer::new(device, &net, &options, &set, None).unwrap();
                while trainer.epoch().unwrap().is_some() {}
                let bits = all(&mut trainer).into_iter();
                bits.map(|bits| bits.into_iter().map(f32::from_bits).collect()).collect()
            };
            let wanted = trained(&contexts()[0].clone().into());
            for device in everywhere() {
                let found = trained(device);
                for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
                    // 16 steps of numbers of about 1, each rounded some 100 times.
                    let error = (found - wanted).abs();
                    assert!(error <= 1e-4, "{optimizer}, clip {clip:?}: {found}, not {wanted}");
                }
            }
        }
    }
}

/// Values as targets, whether or not there is anything to learn in them.
fn with_values(features: Vec<f32>, columns: usize, values: Vec<f32>, targets: usize) -> Dataset {
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect();
    let targets = Targets::Values { values: values.into(), names: names(targets) };
    Dataset { name: "d".into(), features: features.into(), feature_names: names(columns), targets }
}

/// Of rows that are unit vectors a layer's weights are the predictions. The figures are those of
/// scikit-learn's `r2_score`: the first from its documentation's example, the others of constant targets.
#[test]
fn r2_of_several_targets_is_the_mean_over_them() {
    let unit = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let cases: [([f32; 6], [f32; 6], f64); 4] = [
        ([0.5, 1.0, -1.0, 1.0, 7.0, -6.0], [0.0, 2.0, -1.0, 2.0, 8.0, -5.0], 0.9368005266622779),
        ([1.0, 5.0, 2.0, 5.0, 4.0, 5.0], [1.0, 5.0, 2.0, 5.0, 3.0, 5.0], 0.8928571428571429),
        ([1.0, 5.0, 2.0, 5.0, 4.0, 5.0], [1.0, 5.0, 2.0, 5.0, 3.0, 6.0], 0.3928571428571429),
        ([3.0, 5.0, 3.0, 5.0, 3.0, 5.0], [3.0, 5.0, 3.0, 5.0, 3.0, 5.0], 1.0),
    ];
    let net = mlp([3, 2], "zeros");
    for (values, predictions, wanted) in cases {
        let set = with_values(unit.clone(), 3, values.to_vec(), 2);
        for device in everywhere() {
            // Of whatever loss that is of values.
            let losses = Loss::ALL.into_iter().filter(|loss| loss.target() == Target::Value);
            for (loss, batch) in losses.flat_map(|loss| [(loss, None), (loss, Some(2))]) {
                let options = TrainOptions {
                    loss: Some(loss),
                    batch,
                    optimizer: Optimizer::sgd(),
                    lr: 1e-30,
                    shuffle: false,
                    ..options(1)
                };
                let mut trainer = Trainer::new(device, &net, &options, &set, Some(&set)).unwrap();
                let weights: Vec<f32> = (0..6).map(|at| predictions[at % 3 * 2 + at / 3]).collect();
                trainer.set_parameter("layers.0.weight", &weights).unwrap();
                let epoch = trainer.epoch().unwrap().unwrap();
                let scores = [epoch.train, epoch.test.unwrap(), trainer.evaluate().unwrap()];
                for r2 in scores.map(|score| score.r2.unwrap()) {
                    assert!((r2 - wanted).abs() < 1e-6, "{}: {r2}, not {wanted}", trainer.device());
                }
            }
        }
    }
    // Of one row there is none.
    let one = with_values(vec![1.0, 0.0, 0.0], 3, vec![1.0, 2.0], 2);
    let options = TrainOptions { batch: None, ..options(1) };
    let mut trainer = Trainer::new(&Device::Cpu, &net, &options, &one, None).unwrap();
    assert_eq!(trainer.evaluate().unwrap().r2, None);
}

#[test]
fn r2_is_that_of_the_predictions_on_every_engine_and_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    // More rows than one sum takes, and columns of variances that are far apart.
    let set = examples(700, 4, 3, Loss::MeanSquaredError);
    let Targets::Values { values, .. } = &set.targets else { panic!() };
    let values = values.to_f32();
    let scaled = values.iter().enumerate().map(|(at, y)| y * [1.0, 30.0, 0.01][at % 3]);
    let set = with_values(set.features.to_f32().into_owned(), 4, scaled.collect(), 3);
    let (train, test) = set.split(SEED, 0.4).unwrap();
    let net = mlp([4, 16, 3], "he_normal");
    for (device, batch) in everywhere().iter().flat_map(|device| [(device, 300), (device, 4)]) {
        let options = TrainOptions { batch: Some(batch), ..options(3) };
        let make = || Trainer::new(device, &net, &options, &train, Some(&test)).unwrap();
        let mut trainer = make();
        while trainer.epoch().unwrap().is_some() {}
        let history = trainer.history().to_vec();
        let r2s = [trainer.evaluate().unwrap().r2, history[2].test.unwrap().r2];
        for (set, r2) in [&train, &test].into_iter().zip(r2s) {
            let found = trainer.predict(&set.features.to_f32()).unwrap();
            let Targets::Values { values, .. } = &set.targets else { panic!() };
            let wanted = values.to_f32();
            let rows = set.rows() as f64;
            let of = |column: usize| -> f64 {
                let pairs = || (column..wanted.len()).step_by(3).map(|at| [wanted[at], found[at]]);
                let mean = pairs().map(|[y, _]| f64::from(y)).sum::<f64>() / rows;
                let square = |x: f64| x * x;
                let error: f64 = pairs().map(|[y, z]| square(f64::from(y) - f64::from(z))).sum();
                1.0 - error / pairs().map(|[y, _]| square(f64::from(y) - mean)).sum::<f64>()
            };
            let wanted = (0..3).map(of).sum::<f64>() / 3.0;
            // Sums of some 700 terms in f32, of which all have one sign, relative to the largest ratio
            // of error and variance.
            let bound = 700.0 * 2f64.powi(-24) * (2.0 - wanted);
            assert!((r2.unwrap() - wanted).abs() < bound, "{r2:?}, not {wanted}");
        }
        // Stopped after the first submission: of the shorter batches within an epoch.
        let short = TrainOptions { epochs: 2, ..options.clone() };
        let mut first = Trainer::new(device, &net, &short, &train, Some(&test)).unwrap();
        first.advance().unwrap();
        assert_eq!(first.step().is_multiple_of(first.epoch_steps()), batch != 4);
        first.save(&path, true).unwrap();
        let mut second = make();
        second.resume(&path).unwrap();
        while second.epoch().unwrap().is_some() {}
        assert_eq!(second.history(), history);
    }
}

#[test]
fn a_class_is_right_where_its_output_is_the_largest() {
    let set = Generated::Digits.generate(SEED, Some(300)).unwrap();
    let bce = |epochs| TrainOptions { loss: Some(Loss::BinaryCrossEntropy), ..options(epochs) };
    for device in everywhere() {
        let zeros = mlp([64, 16, 10], "zeros");
        let mut trainer = Trainer::new(device, &zeros, &bce(1), &set, None).unwrap();
        // All outputs are 0, and the first of them is the first class's.
        assert_eq!(trainer.evaluate().unwrap().accuracy, Some(0.1));
        let net = mlp([64, 32, 10], "he_normal");
        let mut trainer = Trainer::new(device, &net, &bce(40), &set, None).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        let outputs = trainer.predict(&set.features.to_f32()).unwrap();
        let right = outputs
            .chunks(10)
            .enumerate()
            .filter(|(row, outputs)| outputs.iter().all(|output| *output <= outputs[row % 10]));
        let wanted = right.count() as f64 / 300.0;
        let found = trainer.evaluate().unwrap().accuracy.unwrap();
        assert!((found - wanted).abs() < 1e-9 && found > 0.9, "{found}, not {wanted}");
    }
    // Labels that may come together are right or wrong one by one.
    let labels = with_values(vec![1.0, 2.0], 1, vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.0], 3);
    for device in everywhere() {
        let options = TrainOptions { batch: None, ..bce(1) };
        let net = mlp([1, 3], "zeros");
        let mut trainer = Trainer::new(device, &net, &options, &labels, None).unwrap();
        // A third and two thirds, in f32.
        let accuracy = trainer.evaluate().unwrap().accuracy.unwrap();
        assert!((accuracy - 0.5).abs() < 1e-7, "{accuracy}");
    }
}

#[test]
fn a_verdict_is_no_worse_than_its_numbers() {
    let (train, test) = spirals();
    for init in ["he_normal", "xavier_normal", "normal:0.01", "zeros", "constant:0.1"] {
        for (epochs, lr) in [(1, 1e-9), (1, 0.01), (2, 1e-4), (4, 1e-9), (4, 0.003), (12, 0.5)] {
            let options = TrainOptions { lr, ..options(epochs) };
            let net = mlp([2, 16, 16, 3], init);
            let mut trainer =
                Trainer::new(&Device::Cpu, &net, &options, &train, Some(&test)).unwrap();
            while trainer.epoch().unwrap().is_some() {}
            let verdict = trainer.verdict().unwrap();
            let last = trainer.history().last().unwrap().train.loss;
            let least = trainer.evaluate().unwrap().loss.min(last);
            let (baseline, reason) = (trainer.baseline(), verdict.reason().unwrap_or_default());
            let place = format!("{init}, {epochs} epochs at {lr}: {last}, {baseline}: {verdict:?}");
            assert!(!reason.contains("no better than") || least >= baseline, "{place}");
            assert!(!reason.contains(" below ") || least < baseline, "{place}");
            assert_eq!(verdict == Outcome::Learned, least < 0.9 * baseline, "{place}");
            let still = ["zeros", "constant:0.1"].contains(&init);
            if epochs == 1 && !still {
                assert_eq!(verdict.name(), "learning", "{place}");
            }
            if still && least >= 0.9 * baseline {
                assert_eq!(verdict.name(), "stuck", "{place}");
            }
        }
    }
    // A loss far above the best constant answer's that falls is on its way.
    let set = Generated::Digits.generate(SEED, Some(1000)).unwrap();
    let bce = TrainOptions { loss: Some(Loss::BinaryCrossEntropy), lr: 1e-3, ..options(3) };
    let net = mlp([64, 32, 10], "he_normal");
    let mut trainer = Trainer::new(&Device::Cpu, &net, &bce, &set, None).unwrap();
    while trainer.epoch().unwrap().is_some() {}
    let Outcome::Learning(why) = trainer.verdict().unwrap() else { panic!("learning") };
    assert!(why.contains("no better than") && why.contains("still falls"), "{why}");
}

#[test]
fn a_siren_that_learns_is_not_called_stuck() {
    let mut set = Generated::Teacher.generate(SEED, Some(600)).unwrap();
    Standardizer::fit(&set).apply(&mut set).unwrap();
    let net = mlp([8, 64, 64, 64, 1], "siren").activation(Activation::Sin { omega: 1.0 });
    for (epochs, wanted) in [(1, "learning"), (30, "learned")] {
        let options = TrainOptions { lr: 1e-3, ..options(epochs) };
        let mut trainer = Trainer::new(&Device::Cpu, &net, &options, &set, None).unwrap();
        while trainer.epoch().unwrap().is_some() {}
        let verdict = trainer.verdict().unwrap();
        let early = epochs == 1 && verdict == Outcome::Learned;
        assert!(early || verdict.name() == wanted, "{verdict:?}");
    }
}

#[test]
fn overfitting_is_named_where_the_test_says_so() {
    // Labels, and values, that no feature says anything of.
    let noise = |loss: Loss, rows: usize| examples(rows, 8, 2, loss);
    for loss in [Loss::CROSS_ENTROPY, Loss::MeanSquaredError] {
        for device in everywhere() {
            let (train, test) = (noise(loss, 300).split(SEED, 0.4)).unwrap();
            let options = TrainOptions { batch: Some(32), ..options(80) };
            let net = mlp([8, 64, 64, 2], "he_normal");
            let of = |test: &Dataset| {
                let mut trainer = Trainer::new(device, &net, &options, &train, Some(test)).unwrap();
                while trainer.epoch().unwrap().is_some() {}
                trainer.verdict().unwrap()
            };
            let Outcome::Overfitted(why) = of(&test) else { panic!("{loss}") };
            let what = if loss == Loss::MeanSquaredError { "R2 is " } else { "accuracy is " };
            assert!(why.starts_with(what), "{why}");
            assert!(why.contains("on the 180 training rows and") && why.contains("120 test rows"));
            // A few rows prove nothing, and rows that are known are met.
            assert_eq!(of(&test.select(&(0..19).collect::<Vec<_>>())), Outcome::Learned);
            assert_eq!(of(&train), Outcome::Learned);
        }
    }
}

#[test]
fn a_last_step_that_overflows_is_no_standstill() {
    for device in everywhere() {
        let wild =
            TrainOptions { lr: 1e30, optimizer: Optimizer::sgd(), batch: None, ..options(1) };
        let mut trainer = trained(device, &mlp([2, 16, 16, 3], "he_normal"), &wild);
        let Outcome::Diverged(what) = trainer.verdict().unwrap() else { panic!("it did not") };
        assert!(what.contains("after step 1"), "{what}");
    }
}

#[test]
fn a_finished_run_that_is_resumed_has_its_gradients() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, test) = spirals();
    let slow = TrainOptions { lr: 1e-9, ..options(2) };
    let make = || {
        Trainer::new(&Device::Cpu, &mlp([2, 16, 16, 3], "he_normal"), &slow, &train, Some(&test))
            .unwrap()
    };
    let mut first = make();
    while first.epoch().unwrap().is_some() {}
    first.save(&path, false).unwrap();
    let mut second = make();
    second.resume(&path).unwrap();
    let (own, other) = (first.verdict().unwrap(), second.verdict().unwrap());
    assert_eq!(own, other);
    assert!(!own.reason().unwrap().contains("exactly 0"), "{own:?}");
}

#[test]
fn data_that_differ_beyond_f32_are_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let set = |jump: f64| {
        let mut times: Vec<f64> = (0..64).map(|row| 1.7e12 + 1000.0 * f64::from(row)).collect();
        times[63] += jump;
        let values: Vec<f64> = (0..64).map(|row| f64::from(row % 5)).collect();
        let targets = Targets::Values { values: values.into(), names: vec!["y".into()] };
        let mut set = Dataset::new("d", times, vec!["t".into()], targets).unwrap();
        Standardizer::fit(&set).apply(&mut set).unwrap();
        set
    };
    let make = |set: &Dataset| {
        Trainer::new(&Device::Cpu, &mlp([1, 4, 1], "he_normal"), &options(1), set, None).unwrap()
    };
    make(&set(0.0)).save(&path, false).unwrap();
    make(&set(0.0)).resume(&path).unwrap();
    let message = make(&set(100.0)).resume(&path).unwrap_err().to_string();
    assert!(message.starts_with("data, to resume"), "{message}");
}
