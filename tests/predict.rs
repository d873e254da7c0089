//! Trained networks that are used: checkpoints as models, predictions, `fanin predict`, and runs that go on
//! from what their files say.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fanin::model::data::{
    Dataset, Encoding, Feature, Generated, Missing, Numbers, Predicted, Preparation, Standardizer,
    Targets,
};
use fanin::model::layers::{ActivationLayer, Dense};
use fanin::model::{Loss, Mlp, Model, Network, Predictor, Score, TrainOptions, Trainer, arguments};
use fanin::op::{Arithmetic, Operands};
use fanin::{Activation, Device, Shape};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::cli::{Folder, fails, fanin, succeeds, text};
use crate::devices::everywhere;

fn shape(dims: &[u64]) -> Shape {
    Shape::new(dims).unwrap()
}

/// Two values and two shares of the first two columns of `teacher`.
fn values(shares: bool) -> Dataset {
    let set = Generated::Teacher.generate(3, Some(150)).unwrap();
    let features = set.features.to_f32();
    let number = |x: f32| if shares { 1.0 / (1.0 + (-x).exp()) } else { 1000.0 + 20.0 * x };
    let values: Vec<f32> =
        features.chunks(8).flat_map(|row| [number(row[0] + row[1]), number(row[2])]).collect();
    let names = vec!["u".to_owned(), "v".to_owned()];
    let targets = Targets::Values { values: values.into(), names };
    Dataset::new("values", features.to_vec(), set.feature_names, targets).unwrap()
}

/// A set as it is, one to train on, and what was done to it.
fn prepared(set: &Dataset, targets: bool) -> (Dataset, Preparation) {
    let mut train = set.clone();
    let mut preparation = Preparation::of(set);
    let fitted = Standardizer::fit(set);
    preparation.standardizer = if targets { fitted } else { fitted.without_targets() };
    preparation.standardizer.apply(&mut train).unwrap();
    (train, preparation)
}

#[track_caller]
fn assert_close(found: f64, wanted: f64, tolerance: f64, what: &str) {
    let error = (found - wanted).abs();
    assert!(error <= tolerance * (1.0 + wanted.abs()), "{what}: {found}, not {wanted}");
}

#[track_caller]
fn assert_alike(found: &Score, wanted: &Score, what: &str) {
    assert_close(found.loss, wanted.loss, 1e-5, what);
    assert_eq!(found.accuracy, wanted.accuracy, "{what}");
    assert_eq!(found.r2.is_some(), wanted.r2.is_some(), "{what}");
    if let (Some(found), Some(wanted)) = (found.r2, wanted.r2) {
        assert_close(found, wanted, 1e-5, what);
    }
}

/// Every kind of network, loss and target: a file predicts what the trainer that wrote it does, and has the
/// score that the run has on its training rows.
#[test]
fn files_predict_what_their_trainers_do() {
    let folder = Folder::new();
    let path = folder.path("m.safetensors");
    let classes = |set: Generated| set.generate(2, Some(150)).unwrap();
    let mlp = |widths: &[u64]| Mlp::new(widths).unwrap().activation(Activation::Gelu);
    let deep = mlp(&[2, 12, 12, 3]).residual(true).layer_norm(true).dropout(0.3);
    let parse = |input: &[u64], outputs, text| Network::parse(shape(input), outputs, text).unwrap();
    let conv = "conv:4,3,padding=1 relu max_pool:2 residual(norm leaky_relu:0.2) flatten dense";
    let named = Network::new(shape(&[2]))
        .layer("first", Dense::new(7))
        .layer("bend", ActivationLayer(Activation::Tanh))
        .layer("last", Dense::new(2));
    let cases: [(&str, Network, Dataset, Option<Loss>); 9] = [
        ("deep", deep.network().unwrap(), classes(Generated::Spirals), None),
        ("muP", mlp(&[2, 16, 3]).mup([4]).network().unwrap(), classes(Generated::Rings), None),
        ("named", named, classes(Generated::Moons), None),
        (
            "one output",
            mlp(&[2, 9, 1]).network().unwrap(),
            classes(Generated::Moons),
            Some(Loss::BinaryCrossEntropy),
        ),
        (
            "each class",
            mlp(&[2, 9, 3]).network().unwrap(),
            classes(Generated::Rings),
            Some(Loss::BinaryCrossEntropy),
        ),
        ("pictures", parse(&[8, 8, 1], 10, conv), classes(Generated::Digits), None),
        ("values", mlp(&[8, 9, 2]).network().unwrap(), values(false), None),
        (
            "huber",
            mlp(&[8, 9, 2]).network().unwrap(),
            values(false),
            Some(Loss::Huber { delta: 0.5 }),
        ),
        (
            "shares",
            mlp(&[8, 9, 2]).network().unwrap(),
            values(true),
            Some(Loss::BinaryCrossEntropy),
        ),
    ];
    let exact = [Arithmetic::Native, Arithmetic::Exact(Operands::Short)];
    for (what, network, set, loss) in cases {
        let standardized = loss != Some(Loss::BinaryCrossEntropy);
        let (train, preparation) = prepared(&set, standardized);
        for arithmetic in exact {
            let mut bits: Option<Vec<u32>> = None;
            // Devices carry out the same operations, whatever the loss.
            let everywhere = everywhere().iter().filter(|device| {
                matches!(device, Device::Cpu) || ["deep", "pictures"].contains(&what)
            });
            for device in everywhere {
                let what = format!("{what}, {arithmetic}, {device}");
                let options =
                    TrainOptions { loss, arithmetic, epochs: 3, ..TrainOptions::default() };
                let mut trainer = Trainer::new(device, &network, &options, &train, None).unwrap();
                trainer.set_preparation(preparation.clone()).unwrap();
                while trainer.epoch().unwrap().is_some() {}
                trainer.save(&path, true).unwrap();

                let model = Model::load(&path).unwrap();
                assert_eq!(model.preparation(), &preparation, "{what}");
                assert_eq!((model.arithmetic(), model.loss()), (arithmetic, trainer.loss()));
                let mut predictor = Predictor::new(device, &model).unwrap();
                let outputs = predictor.outputs(&set.features).unwrap();
                let wanted = trainer.predict(&train.features.to_f32()).unwrap();
                assert_eq!(outputs.len(), wanted.len());
                for (found, wanted) in outputs.iter().zip(&wanted) {
                    assert_close((*found).into(), (*wanted).into(), 1e-5, &what);
                }
                let score = predictor.score(&outputs, &set.targets).unwrap();
                assert_alike(&score, &trainer.evaluate().unwrap(), &what);
                if arithmetic.is_exact() {
                    // The same bits in batches of another size, and on every device.
                    let own: Vec<u32> = outputs.iter().map(|own| own.to_bits()).collect();
                    let of_trainer: Vec<u32> = wanted.iter().map(|own| own.to_bits()).collect();
                    assert_eq!(own, of_trainer, "{what}");
                    assert_eq!(*bits.get_or_insert_with(|| own.clone()), own, "{what}");
                }
            }
        }
    }
}

/// A network `y = W x + b` of these numbers, which predicts what `predicted` says with a loss.
fn linear(
    folder: &Folder,
    [weights, bias]: [&[f32]; 2],
    loss: Loss,
    preparation: &Preparation,
) -> Predictor {
    let (outputs, inputs) = (bias.len(), preparation.width());
    let rows = 4;
    let names = preparation.names();
    let features: Vec<f32> = (0..rows * inputs).map(|at| at as f32).collect();
    let targets = match &preparation.predicted {
        Predicted::Class { classes, .. } => Targets::Classes {
            labels: (0..rows as u32).map(|row| row % classes.len() as u32).collect(),
            names: classes.clone(),
        },
        Predicted::Values(names) => Targets::Values {
            values: (0..rows * names.len()).map(|at| at as f32 / 16.0).collect::<Vec<_>>().into(),
            names: names.clone(),
        },
    };
    let set = Dataset::new("linear", features, names, targets).unwrap();
    let network =
        Network::new(shape(&[inputs as u64])).layer("layers.0", Dense::new(outputs as u64));
    let options = TrainOptions { loss: Some(loss), batch: None, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Device::Cpu, &network, &options, &set, None).unwrap();
    trainer.set_parameter("layers.0.weight", weights).unwrap();
    trainer.set_parameter("layers.0.bias", bias).unwrap();
    trainer.set_preparation(preparation.clone()).unwrap();
    let path = folder.path("linear.safetensors");
    trainer.save(&path, true).unwrap();
    Predictor::new(&Device::Cpu, &Model::load(&path).unwrap()).unwrap()
}

#[test]
fn predictions_are_in_the_units_of_the_data() {
    let folder = Folder::new();
    let class = |names: &[&str]| Predicted::Class {
        name: "kind".into(),
        classes: names.iter().map(|name| name.to_string()).collect(),
    };
    let of = |predicted| Preparation {
        features: vec![
            Feature { name: "a".into(), encoding: Encoding::Number { fill: Some(6.0) } },
            Feature {
                name: "town".into(),
                encoding: Encoding::OneHot { categories: vec!["p".into(), "q".into()] },
            },
        ],
        missing: Missing::Mean,
        predicted,
        standardizer: Standardizer::default(),
    };
    // The mean of `a` is 5 and its std 2, those of `v` 30 and 10.
    let set = |values: &[f64]| {
        let features: Vec<f64> = vec![3.0, 0.0, 1.0, 7.0, 1.0, 0.0];
        let targets = Targets::Values { values: values.to_vec().into(), names: vec!["v".into()] };
        Dataset::new("s", features, of(class(&[])).names(), targets).unwrap()
    };
    let by = Standardizer::fit(&set(&[20.0, 40.0]));
    let weights: [f32; 3] = [2.0, 0.5, -0.25];
    let values =
        Preparation { standardizer: by.clone(), ..of(Predicted::Values(vec!["v".into()])) };
    let mut predictor = linear(&folder, [&weights, &[0.125]], Loss::MeanSquaredError, &values);
    let rows: Numbers = vec![9.0f64, 1.0, 0.0, f64::NAN, f64::NAN, f64::NAN].into();
    let found = predictor.predict(&rows).unwrap();
    // a: (9 - 5) / 2 = 2, p: (1 - .5) / .5 = 1, q: -1; then (6 - 5) / 2, and both categories 0: -1.
    let wanted = [2.0 * 2.0 + 0.5 + 0.25 + 0.125, 0.5 * 2.0 - 0.5 + 0.25 + 0.125];
    assert_eq!(found.values, wanted.map(|y| 30.0 + 10.0 * y));
    assert_eq!((found.names, found.classes), (vec!["v".to_owned()], None));

    let no_targets = by.without_targets();
    let shares =
        Preparation { standardizer: no_targets.clone(), ..of(Predicted::Values(vec!["v".into()])) };
    let mut predictor = linear(&folder, [&weights, &[0.125]], Loss::BinaryCrossEntropy, &shares);
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    let found = predictor.predict(&rows).unwrap();
    for (found, wanted) in found.values.iter().zip(wanted) {
        assert_close(*found, sigmoid(wanted), 1e-12, "share");
    }
    let two = Preparation { standardizer: no_targets.clone(), ..of(class(&["no", "yes"])) };
    let mut predictor = linear(&folder, [&weights, &[-1.0]], Loss::BinaryCrossEntropy, &two);
    let found = predictor.predict(&rows).unwrap();
    assert_eq!(
        (&found.names[..], found.classes),
        (&["no".into(), "yes".into()][..], Some(vec![1, 0]))
    );
    for (row, z) in [3.75, -0.25].into_iter().enumerate() {
        assert_close(found.values[2 * row], 1.0 - sigmoid(z), 1e-12, "no");
        assert_close(found.values[2 * row + 1], sigmoid(z), 1e-12, "yes");
    }
    let three = Preparation { standardizer: no_targets, ..of(class(&["x", "y", "z"])) };
    let weights = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -3.0];
    let mut predictor = linear(&folder, [&weights, &[0.0; 3]], Loss::CROSS_ENTROPY, &three);
    let found = predictor.predict(&rows).unwrap();
    assert_eq!(found.classes, Some(vec![2, 2]));
    let powers = [2.0, 1.0, 3.0f64].map(f64::exp);
    for (found, power) in found.values.iter().zip(powers) {
        assert_close(*found, power / powers.iter().sum::<f64>(), 1e-12, "softmax");
    }
    // A score is of standardized targets, as a run's loss is.
    let predictor = linear(&folder, [&[0.0; 3], &[0.0]], Loss::MeanSquaredError, &values);
    let score = predictor.score(&[0.5, -1.0], &set(&[20.0, 40.0]).targets).unwrap();
    assert_close(score.loss, 0.5 * (1.5 * 1.5 + 2.0 * 2.0), 1e-6, "loss");
    assert_close(score.r2.unwrap(), 1.0 - score.loss, 1e-6, "R2");
}

/// A survey with text, gaps and two things to predict: `rows` rows.
fn survey(rows: usize) -> String {
    let row = |row: usize| {
        let (age, town) = (20 + (row * 7) % 45, ["Oslo", "Bergen", "Voss"][row % 3]);
        let income = 300.0 + 4.0 * age as f64 + 50.0 * (row % 3) as f64;
        let kind = if row.is_multiple_of(3) { "urban" } else { "rural" };
        let age = if row % 11 == 5 { String::new() } else { age.to_string() };
        format!("n{row};{age};{town};{income:.1};{kind}\n").replace('.', ",")
    };
    format!("id;age;town;income;kind\n{}", (0..rows).map(row).collect::<String>())
}

fn cells(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The last epoch's test score of a run's document.
fn last(json: &str) -> Value {
    let document: Value = serde_json::from_str(json).unwrap();
    document["runs"][0]["epochs"].as_array().unwrap().last().unwrap().clone()
}

#[test]
fn rows_of_a_table_are_predicted_in_their_order() {
    let folder = Folder::new();
    let (csv, model) = (folder.write("survey.csv", survey(120)), folder.name("m.safetensors"));
    let base =
        ["train", "--device", "cpu", "--data", &csv, "--hidden", "16", "--epochs", "60", "--json"];
    let columns =
        ["--drop", "id,kind", "--one-hot", "town", "--missing", "mean", "--target", "income"];
    let train = [&base[..], &columns, &["--lr", "0.02", "--out", &model]].concat();
    let run = last(&succeeds(&train));

    // The columns in another order, others beside them, one number and the target missing.
    let new = "town,x,age,id\nVoss,?,30,a\nOslo,?,,\"b, c\"\n";
    let new = folder.write("new.csv", new);
    let predict = ["predict", &model, "--device", "cpu"];
    let found = succeeds(&[&predict[..], &["--data", &new, "--keep", "id,x"]].concat());
    let found: Vec<&str> = found.lines().collect();
    assert_eq!((found.len(), found[0]), (3, "id,x,income"));
    let income: f64 = found[1].strip_prefix("a,?,").unwrap().parse().unwrap();
    assert!((income - 520.0).abs() < 40.0, "{income}");
    assert!(found[2].starts_with("\"b, c\",?,"), "{}", found[2]);

    // The parts that training had: the test's score is the run's.
    let json = |rest: &[&str]| -> Value {
        let text = succeeds(&[&predict[..], &["--data", &csv, "--json"], rest].concat());
        serde_json::from_str(&text).unwrap()
    };
    let test = json(&["--part", "test"]);
    assert_eq!(test["rows"].as_array().unwrap().len(), 24);
    for key in ["loss", "r2"] {
        let wanted = run[&format!("test_{key}")].as_f64().unwrap();
        assert_close(test["score"][key].as_f64().unwrap(), wanted, 1e-5, key);
    }
    assert_eq!(json(&["--part", "train"])["rows"].as_array().unwrap().len(), 96);
    let all = json(&["--keep", "id"]);
    assert_eq!(all["columns"], json!(["id", "income"]));
    assert_eq!((&all["rows"][119][0], &all["task"]), (&json!("n119"), &json!("regress")));
    assert_eq!(json(&["--no-score"])["score"], Value::Null);

    // The same numbers in every form.
    let (npy, own) = (folder.name("p.npy"), folder.name("p.json"));
    succeeds(&[&predict[..], &["--data", &csv, "--out", &npy]].concat());
    succeeds(&[&predict[..], &["--data", &csv, "--out", &own]].concat());
    let bytes = fs::read(&npy).unwrap();
    let array = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(array.shape(), [120, 1]);
    let array: Vec<f64> = array.into_vec().unwrap();
    let rows = all["rows"].as_array().unwrap();
    let wanted: Vec<f64> = rows.iter().map(|row| row[1].as_f64().unwrap()).collect();
    assert_eq!(array, wanted);
    let document: Value = serde_json::from_slice(&fs::read(&own).unwrap()).unwrap();
    assert_eq!(document["rows"][7][0], json!(wanted[7]));
    let text = succeeds(&[&predict[..], &["--data", &csv]].concat());
    assert_eq!(cells(&text)[8][0].parse::<f64>().unwrap(), wanted[7]);
    fails(2, &[&predict[..], &["--data", &csv, "--out", &npy]].concat(), &["exists", "--force"]);
    fails(
        2,
        &[&predict[..], &["--data", &csv, "--out", "p.txt"]].concat(),
        &[".csv, .npy or .json"],
    );
}

#[test]
fn classes_are_predicted_by_their_names() {
    let folder = Folder::new();
    let (csv, model) = (folder.write("survey.csv", survey(120)), folder.name("m.safetensors"));
    let base =
        ["train", "--device", "cpu", "--data", &csv, "--hidden", "16", "--epochs", "60", "--json"];
    for loss in ["cross_entropy", "bce"] {
        let columns = ["--columns", "town,age", "--one-hot", "town", "--missing", "median"];
        let rest = ["--target", "kind", "--loss", loss, "--lr", "0.02", "--out", &model, "--force"];
        let run = last(&succeeds(&[&base[..], &columns, &rest].concat()));
        let output =
            fanin(&["predict", &model, "--device", "cpu", "--data", &csv, "--keep", "kind"]);
        let (found, notes) = (cells(&text(&output.stdout)), text(&output.stderr));
        assert!(notes.contains("survey: 120 rows; accuracy 100.0 %, loss "), "{notes}");
        assert_eq!(found[0], ["kind", "kind", "p(rural)", "p(urban)"]);
        for row in &found[1..] {
            assert_eq!(row[0], row[1]);
            let [rural, urban] = [2, 3].map(|at| row[at].parse::<f64>().unwrap());
            assert_close(rural + urban, 1.0, 1e-6, "probabilities");
            assert_eq!(urban > rural, row[1] == "urban");
        }
        let test =
            ["predict", &model, "--device", "cpu", "--data", &csv, "--part", "test", "--json"];
        let test: Value = serde_json::from_str(&succeeds(&test)).unwrap();
        assert_eq!(test["score"]["accuracy"], run["test_accuracy"]);
        assert_close(
            test["score"]["loss"].as_f64().unwrap(),
            run["test_loss"].as_f64().unwrap(),
            1e-5,
            loss,
        );
    }
    let new = folder.write("new.csv", "town,age,kind\nOslo,30,urban\nVoss,40,coastal\n");
    let predict = ["predict", &model, "--device", "cpu", "--data", &new];
    fails(
        2,
        &predict,
        &["row 1", "got `coastal`, needed a class of the training set: rural, urban"],
    );
    succeeds(&[&predict[..], &["--no-score"]].concat());
}

/// Arrays, pictures and generated sets: with and without what is to be predicted.
#[test]
fn every_kind_of_data_is_predicted() {
    let folder = Folder::new();
    let model = folder.name("m.safetensors");
    let train = |rest: &[&str]| {
        let base = ["train", "--device", "cpu", "--no-plot", "--epochs", "3", "--hidden", "8"];
        succeeds(&[&base[..], &["--out", &model, "--force"], rest].concat());
    };
    let predict = |rest: &[&str]| {
        let output = fanin(&[&["predict", &model, "--device", "cpu"], rest].concat());
        let notes = text(&output.stderr);
        assert!(output.status.success(), "{notes}");
        (text(&output.stdout).lines().count() - 1, notes)
    };
    // Generated with the seed of the training.
    train(&["--data", "digits", "--seed", "5"]);
    let (rows, notes) = predict(&["--data", "digits", "--part", "test"]);
    assert!(rows == 400 && notes.contains("digits: 400 rows; accuracy"), "{notes}");
    let wanted = predict(&["--data", "digits"]);
    assert_eq!((wanted.0, &wanted), (2000, &predict(&["--data", "digits", "--seed", "5"])));
    assert_ne!(wanted.1, predict(&["--data", "digits", "--seed", "6"]).1);

    // 12 pictures of 4 pixels.
    let idx = |magic: u32, dims: &[u32], bytes: &[u8]| {
        let header = [&[magic], dims].concat();
        let mut file: Vec<u8> = header.iter().flat_map(|own| own.to_be_bytes()).collect();
        file.extend_from_slice(bytes);
        file
    };
    let pixels: Vec<u8> = (0..48).map(|at| (at * 37 % 256) as u8).collect();
    let labels: Vec<u8> = (0..12).map(|row| row % 3).collect();
    folder.write("train-images-idx3-ubyte", idx(0x803, &[12, 2, 2], &pixels));
    folder.write("train-labels-idx1-ubyte", idx(0x801, &[12], &labels));
    folder.write("t10k-images-idx3-ubyte", idx(0x803, &[4, 2, 2], &pixels[..16]));
    folder.write("t10k-labels-idx1-ubyte", idx(0x801, &[4], &labels[..4]));
    let all = folder.0.path().to_str().unwrap().to_owned();
    train(&["--data", &all, "--batch", "4"]);
    assert!(predict(&["--data", &all]).1.contains("12 rows; accuracy"));
    assert!(predict(&["--data", &all, "--part", "test"]).1.contains("4 rows; accuracy"));
    let test = folder.name("t10k-images-idx3-ubyte");
    assert!(predict(&["--data", &test]).1.contains("4 rows; accuracy"));
    fs::remove_file(folder.path("t10k-labels-idx1-ubyte")).unwrap();
    assert!(predict(&["--data", &test]).1.contains("4 rows; no targets, no score"));

    let npy = |name: &str, shape: &[u64], numbers: Vec<f64>| {
        use npyz::WriterBuilder;
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(numbers).unwrap();
        writer.finish().unwrap();
        folder.write(name, bytes)
    };
    let numbers = |count: usize| (0..count).map(|at| (at * 29 % 17) as f64 / 4.0).collect();
    let (x, y) = (npy("x.npy", &[20, 3], numbers(60)), npy("y.npy", &[20, 2], numbers(40)));
    train(&["--data", &x, "--target", &y]);
    assert!(predict(&["--data", &x]).1.contains("20 rows; no targets, no score"));
    assert!(predict(&["--data", &x, "--target", &y]).1.contains("20 rows; R2"));
    let narrow = npy("narrow.npy", &[20, 2], numbers(40));
    let base = ["predict", &model, "--device", "cpu", "--data"];
    fails(2, &[&base[..], &[&narrow]].concat(), &["features: got 2 a row, needed 3"]);

    let tensor = |rows: usize, columns: usize, bytes| {
        TensorView::new(Dtype::F32, vec![rows, columns], bytes).unwrap()
    };
    let floats: Vec<u8> = (0..60).flat_map(|at| (at as f32 / 7.0).to_le_bytes()).collect();
    let with = [("x", tensor(20, 3, &floats)), ("y", tensor(20, 2, &floats[..160]))];
    let with = folder.write("with.safetensors", safetensors::serialize(with, None).unwrap());
    let alone = [("features", tensor(20, 3, &floats))];
    let alone = folder.write("alone.safetensors", safetensors::serialize(alone, None).unwrap());
    assert!(predict(&["--data", &with]).1.contains("20 rows; R2"));
    assert!(predict(&["--data", &alone]).1.contains("20 rows; no targets, no score"));
}

#[test]
fn a_run_goes_on_without_being_told_again() {
    let folder = Folder::new();
    let csv = folder.write("survey.csv", survey(60));
    let (part, whole) = (folder.name("part.safetensors"), folder.name("whole.safetensors"));
    let settings = [
        &["--data", &csv, "--target", "income", "--drop", "id", "--one-hot", "town,kind"][..],
        &["--missing", "zero", "--hidden", "9,9", "--activation", "gelu", "--dropout", "0.1"],
        &["--residual", "--layer-norm", "--optimizer", "adamw", "--lr", "0.01", "--clip", "1"],
        &["--batch", "16", "--seed", "3", "--test-split", "0.1", "--init", "lsuv:0.2,3"],
    ];
    let settings = settings.concat();
    let train = ["train", "--device", "cpu", "--no-plot"];
    succeeds(&[&train[..], &settings, &["--epochs", "6", "--out", &whole]].concat());
    succeeds(&[&train[..], &settings, &["--epochs", "2", "--out", &part]].concat());
    let on = [&train[..], &["--resume", &part]].concat();
    let more = ["--epochs", "6", "--out", &part, "--force"];
    fails(
        2,
        &[&on[..], &["--lr", "0.02"]].concat(),
        &["learning rate, to resume", "got 0.02, needed 0.01"],
    );
    fails(2, &[&on[..], &["--hidden", "9"]].concat(), &["architecture, to resume"]);
    fails(2, &[&on[..], &["--network", "dense"]].concat(), &["architecture, to resume"]);
    fails(2, &[&on[..], &["--data", "moons"]].concat(), &["needed none: moons is no CSV file"]);
    let other = folder.write("other.csv", survey(61));
    fails(2, &[&on[..], &["--data", &other]].concat(), &["data, to resume", "(--data)"]);
    succeeds(&[&on[..], &more].concat());
    assert_eq!(fs::read(&whole).unwrap(), fs::read(&part).unwrap());

    // It keeps its settings when it was resumed, and its data may lie elsewhere.
    let moved = folder.name("moved.csv");
    fs::rename(&csv, &moved).unwrap();
    fails(2, &on, &["data, to resume", "cannot open", "survey.csv", "(--data)"]);
    succeeds(&[&on[..], &["--data", &moved, "--epochs", "7"]].concat());
    assert_eq!(arguments(Path::new(&part)).unwrap()["init"], "lsuv:0.2,3");
    assert!(!arguments(Path::new(&part)).unwrap().contains_key("out"));

    // Of several runs each file has its own initializer.
    let several = folder.name("run.safetensors");
    let two = ["--data", "moons", "--init", "he_normal,zeros", "--epochs", "1", "--out", &several];
    succeeds(&[&train[..], &two].concat());
    let zeros = folder.name("run.zeros.safetensors");
    let out = succeeds(&[&train[..], &["--resume", &zeros, "--epochs", "2", "--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["runs"][0]["init"], "zeros");
}

/// A checkpoint whose document is `change`d.
fn changed(path: &Path, key: &str, change: impl FnOnce(&mut Value)) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let text = &header.metadata().as_ref().unwrap()["fanin.model"];
    let mut document: Value = serde_json::from_str(text).unwrap();
    change(&mut document);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let metadata = HashMap::from([(key.to_owned(), document.to_string())]);
    fs::write(path, safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()).unwrap();
}

#[test]
fn what_is_no_model_is_told_apart() {
    let folder = Folder::new();
    let model = folder.name("m.safetensors");
    let train = ["train", "--device", "cpu", "--no-plot", "--data", "moons", "--hidden", "4"];
    let save = || succeeds(&[&train[..], &["--epochs", "2", "--out", &model, "--force"]].concat());
    save();
    let path = Path::new(&model);
    let predict = ["predict", &model, "--data", "moons"];
    let refused = |parts: &[&str]| {
        fails(2, &predict, parts);
        save();
    };
    fs::write(path, "").unwrap();
    refused(&["not a usable safetensors file"]);
    succeeds(&["init", "mlp", "--device", "cpu", "--out", &model, "--force"]);
    refused(&["it holds weights, and not what training writes beside them"]);
    changed(path, "fanin.model", |own| own["version"] = json!(2));
    refused(&["version 2, not 1"]);
    changed(path, "fanin.model", |own| own["network"] = Value::Null);
    refused(&["one that no text describes"]);
    changed(path, "fanin.model", |own| own["network"]["layers"] = json!("dense:5 relu dense:2"));
    refused(&["tensor `layers.0.weight`: got F32 [4, 2], needed F32 [5, 2]"]);
    changed(path, "fanin.model", |own| own["network"]["layers"] = json!("dense:2"));
    refused(&["parameters: got 4 names, needed 2"]);
    changed(path, "fanin.model", |own| own["features"] = json!([{"name": "x"}]));
    refused(&["standardized features: got 2 scales, needed 1"]);
    changed(path, "fanin.model", |own| own["loss"] = json!("mse"));
    refused(&["outputs: got 2 with the mean squared error"]);

    // Of before networks went with their weights: it goes on where all is said, and predicts after that.
    let old = |own: &mut Value| *own = own["training"].clone();
    changed(path, "fanin.training", old);
    fails(2, &predict, &["written before networks went with their weights"]);
    fails(2, &["train", "--device", "cpu", "--resume", &model], &["to resume"]);
    succeeds(
        &[&train[..], &["--epochs", "3", "--resume", &model, "--out", &model, "--force"]].concat(),
    );
    succeeds(&predict);

    // What no text describes is saved, and says so when it is to predict.
    let set = Generated::Moons.generate(0, Some(40)).unwrap();
    let no_bias =
        Network::new(shape(&[2])).layer("layers.0", Dense { bias: None, ..Dense::new(2) });
    let options = TrainOptions { batch: None, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Device::Cpu, &no_bias, &options, &set, None).unwrap();
    trainer.save(path, true).unwrap();
    assert!(Model::load(path).unwrap_err().to_string().contains("no text describes"));
    let three = Preparation::of(&Generated::Digits.generate(0, Some(20)).unwrap());
    let error = trainer.set_preparation(three).unwrap_err().to_string();
    assert_eq!(error, "features: got 64 a row, needed 2, as the network takes");
    fails(1, &["predict", "/no/such/file", "--data", "moons"], &["cannot read /no/such/file"]);
    save();
    fails(2, &["predict", &model, "--data", "digits"], &["features: got 64 a row, needed 2"]);
    fails(2, &["predict", &model, "--data", "moon"], &["nearest: moons"]);
    let empty = folder.write("empty.csv", "");
    fails(2, &["predict", &model, "--data", &empty], &["header: got nothing"]);
    let other = folder.write("other.csv", "x,z\n1,2\n");
    fails(2, &["predict", &model, "--data", &other], &["column `y`: got none; there are `x`, `z`"]);
}

/// `predict/pytorch.py` loads the same file by the lines of the documentation, and has the same predictions.
#[test]
fn pytorch_predicts_the_same() {
    let table: Value = serde_json::from_str(include_str!("predict/pytorch.json")).unwrap();
    let folder = Folder::new();
    let (csv, model) = (folder.write("houses.csv", houses()), folder.name("houses.safetensors"));
    let document = succeeds(&pytorch_run(&csv, &model));
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["runs"][0]["digest"], table["digest"], "the weights that PyTorch had");
    let found = succeeds(&["predict", &model, "--device", "cpu", "--data", &csv]);
    let found: Vec<f64> = found.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    let wanted: Vec<f64> =
        table["predictions"].as_array().unwrap().iter().map(|own| own.as_f64().unwrap()).collect();
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        // Prices of some hundred thousand, in f32 up to the last sum.
        assert!((found - wanted).abs() < 0.5, "{found}, not {wanted}");
    }
}

/// Prices by area, rooms and year, of 200 houses: by a formula of the row, which `pytorch.py` has too.
fn houses() -> String {
    let row = |row: u64| {
        let (area, rooms, year) = (40 + row * 37 % 160, 1 + row * 11 % 7, 1900 + row * 53 % 120);
        let price = 1500 * area + 20_000 * rooms + area * rooms * 40 + 300 * (year - 1900);
        format!("{area},{rooms},{year},{price}\n")
    };
    format!("area,rooms,year,price\n{}", (0..200).map(row).collect::<String>())
}

/// The same weights on every machine.
fn pytorch_run<'a>(csv: &'a str, model: &'a str) -> Vec<&'a str> {
    let data = ["train", "--device", "cpu", "--json", "--data", csv, "--target", "price"];
    let run = ["--hidden", "16", "--epochs", "40", "--lr", "0.01", "--exact=24", "--out", model];
    [&data[..], &run].concat()
}
