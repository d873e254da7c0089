//! `fanin train`: what it prints and writes, and how it fails.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Folder, fails, fanin, left_in, signal, succeeds, text};
use crate::picture::Picture;

impl Folder {
    fn csv(&self, text: &str) -> String {
        self.write("data.csv", text)
    }
}

#[test]
fn he_learns_zeros_do_not_and_the_output_says_why() {
    let folder = Folder::new();
    let (plot, metrics) = (folder.name("loss.svg"), folder.name("metrics.jsonl"));
    let output = fanin(&[
        "train",
        "--device",
        "cpu",
        "--data",
        "spirals",
        "--init",
        "he_normal,xavier_normal,zeros",
        "--plot",
        &plot,
        "--metrics",
        &metrics,
    ]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    let verdict = |init: &str| -> String {
        let line = out.lines().find(|line| line.starts_with(init)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(
        ["he_normal", "xavier_normal", "zeros"].map(verdict),
        ["learned", "learned", "stuck"]
    );
    let said = words(&out);
    assert!(said.contains("zeros did not learn: every weight is still 0 and so is its gradient"));
    // Why so shallow a network may begin as Xavier's does.
    let lower =
        "xavier_normal ended lower than he_normal: a last loss of 5.925e-4 against 0.002231.";
    let measured = "falls to 0.38 of itself over 3 layers (he_normal: to 1.08)";
    assert!(said.contains(lower) && said.contains(measured), "{said}");
    assert!(notes.contains("spirals: 1200 training rows, 300 test rows, 2 features, 3 classes"));
    let picture = Picture::read(&std::fs::read_to_string(&plot).unwrap());
    picture.hold_chart();
    let said = picture.said();
    for part in ["Loss on spirals", "xavier_normal", "training\n", "test\n", "2-64-64-64-64-3 relu"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("adam, learning rate 0.001; batch 64; seed 0"), "{said}");
    let lines = std::fs::read_to_string(&metrics).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3 * 40);
    assert_eq!((&lines[40]["init"], &lines[40]["epoch"]), (&"xavier_normal".into(), &1.into()));
    // Nothing is replaced unasked.
    fails(2, &["train", "--plot", &plot], &["exists", "--force"]);
}

/// Runs that were hard to draw.
#[test]
fn whatever_the_run_its_picture_is_sound() {
    let folder = Folder::new();
    let plot = folder.name("loss.svg");
    let many = "he_normal,xavier_normal,zeros,normal:0.02,orthogonal,lecun_normal,he_uniform,\
                truncated_normal:0.02,uniform:-0.1,0.1,constant:0.01,lsuv,sparse:0.5";
    let long = |scale: &str| {
        format!("variance_scaling:scale={scale},mode=fan_avg,distribution=truncated_normal")
    };
    for (line, parts) in [
        (
            "--init he_normal,normal:3 --lr 1e30",
            &["he_normal (diverged at step 2, in epoch 1)"][..],
        ),
        ("--init he_normal,normal:3 --lr 1e4 --epochs 3", &["(log)", "learning rate 10000"]),
        ("--init he_normal --epochs 1", &["he_normal", "epoch"]),
        ("--init he_normal,xavier_normal --epochs 1 --test-split 0", &["xavier_normal"]),
        ("--data teacher --init he_normal --hidden 8 --epochs 300", &["mse", "300"]),
        (
            "--data teacher --optimizer sgd --lr 0.3 --epochs 9 --init he_normal,normal:0.5",
            &["sgd"],
        ),
        (
            "--epochs 2 --schedule cosine --warmup 5 --clip 1 --exact",
            &["cosine", "clipped", "12 bits"],
        ),
        (&format!("--epochs 3 --hidden 8 --init {many}"), &["sparse", "lsuv", "test"]),
        (
            &format!("--epochs 2 --hidden 8 --init {},{}", long("1.2345678901"), long("0.5")),
            &["fan_avg"],
        ),
    ] {
        let data: &[&str] = if line.contains("--data") { &[] } else { &["--data", "spirals"] };
        let line = line.split(' ').chain(["--device", "cpu", "--force", "--plot", &plot]);
        let arguments: Vec<&str> =
            ["train"].into_iter().chain(data.iter().copied()).chain(line).collect();
        succeeds(&arguments);
        let picture = Picture::read(&std::fs::read_to_string(&plot).unwrap());
        picture.hold_chart();
        let said = picture.said();
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {part} in {said}");
        }
    }
}

/// What is printed, as words: where lines end depends on the terminal.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Thirty layers and plain SGD: He's scale learns, whatever the seed, and no other does.
#[test]
fn the_demonstration_shows_what_an_initializer_is_worth() {
    let base = ["train", "--device", "cpu", "--json"];
    let document = |more: &[&str]| -> Value {
        let output = fanin(&[&base[..], more].concat());
        let notes = text(&output.stderr);
        assert!(output.status.success() && notes.contains("30 layers of 64, plain SGD"), "{notes}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = document(&["--init", "he_normal,xavier_normal", "--seeds", "4"]);
    for run in found["runs"].as_array().unwrap() {
        let learns = run["init"] == "he_normal";
        assert_eq!(run["verdict"], if learns { "learned" } else { "stuck" }, "{}", run["seed"]);
        let accuracy = run["epochs"][14]["test_accuracy"].as_f64().unwrap();
        assert!(if learns { accuracy > 0.95 } else { accuracy < 0.4 }, "{accuracy}: {run}");
    }
    let short = document(&["--epochs", "2"]);
    let inits = short["runs"].as_array().unwrap().iter().map(|run| run["init"].as_str().unwrap());
    assert_eq!(inits.collect::<Vec<_>>(), ["he_normal", "xavier_normal", "normal:0.01"]);
    // Whoever brings data, or keeps what is trained, has a network that suits them.
    for own in [&["--data", "moons"][..], &["--hidden", "8"], &["--optimizer", "adam"]] {
        let output = fanin(&[&base[..], own, &["--epochs", "1"]].concat());
        assert!(!text(&output.stderr).contains("demonstration"), "{own:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["runs"].as_array().unwrap().len(), 1, "{own:?}");
    }
}

#[test]
fn runs_of_several_seeds_are_those_that_each_seed_has_alone() {
    let base = [
        "train",
        "--device",
        "cpu",
        "--data",
        "moons",
        "--hidden",
        "8",
        "--epochs",
        "4",
        "--init",
        "he_normal,zeros",
    ];
    let document = |more: &[&str]| -> Value {
        serde_json::from_str(&succeeds(&[&base[..], more, &["--json"]].concat())).unwrap()
    };
    let several = document(&["--seed", "5", "--seeds", "3"]);
    let runs = several["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &several["seeds"]), (6, &3.into()));
    let mut losses = Vec::new();
    for seed in 5..8 {
        let alone = document(&["--seed", &seed.to_string()]);
        for run in alone["runs"].as_array().unwrap() {
            let same = |other: &&Value| other["init"] == run["init"] && other["seed"] == seed;
            let other = runs.iter().find(same).unwrap();
            assert_eq!(other["epochs"], run["epochs"], "{seed}");
            assert_eq!(other["verdict"], run["verdict"], "{seed}");
        }
        losses.push(last(&alone, 0)["train_loss"].as_f64().unwrap());
    }
    losses.sort_by(f64::total_cmp);
    let spread = &several["spread"][0];
    assert_eq!(spread["init"], "he_normal");
    let ends =
        ["least", "median", "greatest"].map(|end| spread["last_loss"][end].as_f64().unwrap());
    assert_eq!(ends.to_vec(), losses);
    assert_eq!(several["spread"][1]["verdicts"]["stuck"], 3);

    let folder = Folder::new();
    let (plot, metrics) = (folder.name("loss.svg"), folder.name("metrics.jsonl"));
    let files = ["--seeds", "3", "--plot", &plot, "--metrics", &metrics];
    let out = words(&succeeds(&[&base[..], &files].concat()));
    assert!(
        out.contains("3 stuck") && out.contains("zeros did not learn (all 3 seeds; here seed 0)")
    );
    assert!(out.contains("medians of 3 seeds"), "{out}");
    assert!(std::fs::read_to_string(&plot).unwrap().contains("medians of 3 seeds"));
    let lines = std::fs::read_to_string(&metrics).unwrap();
    assert_eq!(lines.lines().count(), 2 * 3 * 4);
    let seeds = ["\"seed\":0", "\"seed\":1", "\"seed\":2"];
    assert!(seeds.iter().all(|seed| lines.contains(seed)), "{lines}");
    let kept = folder.name("run.safetensors");
    fails(
        2,
        &[&base[..], &["--seeds", "2", "--out", &kept]].concat(),
        &["--seeds: got 2", "--out"],
    );
    fails(2, &[&base[..], &["--seeds", "0"]].concat(), &["--seeds: got 0", "at least one"]);
}

#[test]
fn the_json_document_has_the_fields_of_the_design() {
    let arguments = [
        "train",
        "--device",
        "cpu",
        "--data",
        "teacher",
        "--init",
        "he_normal,uniform:-1e9,1e9",
        "--epochs",
        "3",
        "--json",
    ];
    let document: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    assert_eq!(document["engine"], "cpu");
    assert!(document["device"].as_str().unwrap().contains("threads"));
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs[0]["init"], "he_normal");
    let epochs = runs[0]["epochs"].as_array().unwrap();
    assert_eq!(epochs.len(), 3);
    for key in ["epoch", "train_loss", "test_loss", "train_r2"] {
        assert!(epochs[2][key].is_number(), "{key}: {epochs:?}");
    }
    assert!(epochs[2]["train_accuracy"].is_null());
    assert_eq!(runs[1]["verdict"], "diverged");
    let reason = runs[1]["reason"].as_str().unwrap();
    assert!(reason.contains("layers.") && reason.contains("at step 1 (epoch 1)"), "{reason}");
    assert!(!document.to_string().contains("NaN"));
}

#[test]
fn initial_weights_are_those_of_init() {
    let folder = Folder::new();
    let (initial, recipe) = (folder.name("initial.safetensors"), folder.name("recipe.toml"));
    let (drawn, net) = (
        folder.name("drawn.safetensors"),
        ["--hidden", "16,8,8", "--layer-norm", "--residual", "--norm-init", "constant:0.5"],
    );
    let base = ["train", "--device", "cpu", "--seed", "7", "--init", "xavier_uniform"];
    let toml = succeeds(&[&base[..], &net, &["--print-recipe"]].concat());
    std::fs::write(&recipe, toml).unwrap();
    let training = ["--save-initial", &initial, "--epochs", "1"];
    succeeds(&[&base[..], &net, &training].concat());
    succeeds(&["init", &recipe, "--seed", "7", "--device", "cpu", "--out", &drawn]);
    // How its initializers are written is their own; what they draw is the same.
    let (file, drawn) = (std::fs::read(&initial).unwrap(), std::fs::read(&drawn).unwrap());
    let [tensors, drawn] =
        [&file, &drawn].map(|file| safetensors::SafeTensors::deserialize(file).unwrap());
    let of = |tensors: &safetensors::SafeTensors<'_>| -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let names = tensors.names().into_iter().map(str::to_owned);
        let mut all: Vec<_> = names
            .map(|name| {
                let tensor = tensors.tensor(&name).unwrap();
                let (shape, data) = (tensor.shape().to_vec(), tensor.data().to_vec());
                (name, shape, data)
            })
            .collect();
        all.sort();
        all
    };
    assert_eq!(of(&tensors), of(&drawn));
    assert_eq!(tensors.tensor("layers.0.weight").unwrap().shape(), [16, 2]);
    assert_eq!(tensors.tensor("layers.1.norm.bias").unwrap().shape(), [8]);
}

#[test]
fn lsuv_says_what_it_found_and_what_it_missed() {
    let base = [
        "train",
        "--device",
        "cpu",
        "--data",
        "spirals",
        "--epochs",
        "1",
        "--no-plot",
        "--bias",
        "normal:0.5",
    ];
    let inits = ["--init", "lsuv:0.05,20,lsuv:0.00001,1,he_normal"];
    let out = words(&succeeds(&[&base[..], &inits].concat()));
    assert!(out.contains("lsuv:0.05,20: the variance of each layer's signals"), "{out}");
    let missed = out.find("not within the tolerance after all iterations: layers.0").unwrap();
    assert!(out.find("lsuv:0.00001,1: the variance").unwrap() < missed);
    let found = succeeds(&[&base[..], &inits, &["--json"]].concat());
    let document: Value = serde_json::from_str(&found).unwrap();
    let last = document["runs"][0]["lsuv"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["layer"], &last["reached"]), (&4.into(), &true.into()));
    assert!((last["variance"].as_f64().unwrap() - 1.0).abs() < 0.05);
    assert!(document["runs"][2].get("lsuv").is_none());
    for what in [&["--print-recipe"][..], &["--save-initial", "x.safetensors"]] {
        fails(2, &[&base[..], &inits, what].concat(), &["got lsuv", "no data go into"]);
    }
    fails(2, &["train", "--init", "lsuv:2"], &["LSUV's tolerance: got 2"]);
    let rule = ["init", "mlp", "--rule", "*=lsuv", "--out", "x.safetensors"];
    fails(2, &rule, &["got lsuv, needed another initializer", "fanin train"]);
}

#[test]
fn mup_says_its_learning_rates() {
    let base = ["train", "--device", "cpu", "--epochs", "1", "--no-plot", "--hidden", "64,64"];
    let output = fanin(&[&base[..], &["--mup", "16"]].concat());
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("2-64-64-3 relu, muP from 16"), "{notes}");
    let rates = "muP: the learning rate x1 in layers.0.weight and 3 more; x0.25 in \
                 layers.1.weight, layers.2.weight";
    assert!(notes.contains(rates), "{notes}");
    fails(2, &[&base[..], &["--mup", "0"]].concat(), &["muP's base widths: got [0]"]);
}

#[test]
fn a_run_resumes_to_the_same_bits() {
    let folder = Folder::new();
    let (whole, part) = (folder.name("whole.safetensors"), folder.name("part.safetensors"));
    let base = ["train", "--device", "cpu", "--data", "moons", "--hidden", "8,8", "--seed", "3"];
    succeeds(&[&base[..], &["--epochs", "6", "--out", &whole]].concat());
    succeeds(&[&base[..], &["--epochs", "2", "--out", &part]].concat());
    let resume = ["--epochs", "6", "--resume", &part, "--out", &part, "--force"];
    succeeds(&[&base[..], &resume].concat());
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&part).unwrap());
    let other = ["train", "--device", "cpu", "--data", "moons", "--hidden", "9", "--resume", &part];
    fails(2, &other, &["architecture, to resume", "got 2-9-2 relu, needed 2-8-8-2 relu"]);
    fails(2, &["train", "--resume", &part, "--init", "zeros,ones"], &["needed one run"]);
    // It says that there is nothing left to do.
    let again = ["train", "--device", "cpu", "--resume", &part, "--no-plot"];
    let notes = text(&fanin(&again).stderr);
    assert!(notes.contains("has all its 6 epochs already: more with --epochs"), "{notes}");
    // What it is called must be what it was.
    let other = [&base[..], &["--init", "xavier_normal", "--resume", &part]].concat();
    fails(2, &other, &["initializer, to resume"]);
}

/// Trains until it is interrupted, `after` it has announced its network: then steps are taken, and the
/// handler stands.
#[cfg(unix)]
fn interrupted(arguments: &[&str], after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("parameters") {
        line.clear();
        assert!(notes.read_line(&mut line).unwrap() > 0, "it ended before it began");
    }
    std::thread::sleep(after);
    signal(child.id().into(), "INT");
    let mut rest = String::new();
    notes.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("interrupted; --resume goes on"), "{rest}");
}

#[cfg(unix)]
#[test]
fn a_slow_step_is_waited_for_where_it_is_to_be_kept() {
    let folder = Folder::new();
    let out = folder.name("slow.safetensors");
    // A step of some 40 billion operations.
    let slow = ["--data", "digits", "--hidden", "2048,2048", "--batch", "full", "--epochs", "9999"];
    let base = ["train", "--device", "cpu", "--no-plot", "--out", &out];
    interrupted(&[&base[..], &slow].concat(), Duration::from_millis(500));
    assert!(std::path::Path::new(&out).is_file());
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_what_resumes() {
    let folder = Folder::new();
    let (out, whole) = (folder.name("run.safetensors"), folder.name("whole.safetensors"));
    let base =
        ["train", "--device", "cpu", "--data", "digits", "--hidden", "64", "--epochs", "300"];
    interrupted(&[&base[..], &["--no-plot", "--out", &out]].concat(), Duration::ZERO);
    succeeds(&[&base[..], &["--resume", &out, "--out", &out, "--force"]].concat());
    succeeds(&[&base[..], &["--out", &whole]].concat());
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&out).unwrap());
}

#[test]
fn data_that_are_not_there_or_not_numbers_say_so() {
    let folder = Folder::new();
    let nowhere = folder.name("mnist/");
    fails(1, &["train", "--data", &nowhere], &["cannot open", "mnist"]);
    let rows: String = (0..20).map(|row| format!("{row},\"{},179\"\n", 100 + row)).collect();
    let csv = folder.csv(&format!("x,price\n{rows}"));
    let parts = ["`100,179`", "without commas between its thousands"];
    fails(2, &["train", "--data", &csv, "--target", "price"], &parts);
    fails(2, &["train", "--data", &csv, "--target", "x"], &parts);
}

#[test]
fn data_of_ones_own_is_read_and_the_task_is_said() {
    let folder = Folder::new();
    let rows: String = (0..40)
        .map(|row| format!("{},{}\n", row % 7, if row % 7 > 3 { "high" } else { "low" }))
        .collect();
    let csv = folder.csv(&format!("x,kind\n{rows}"));
    let output = fanin(&[
        "train",
        "--device",
        "cpu",
        "--data",
        &csv,
        "--target",
        "kind",
        "--hidden",
        "8",
        "--batch",
        "full",
        "--optimizer",
        "adamw",
        "--lr",
        "0.02",
        "--epochs",
        "200",
        "--schedule",
        "cosine",
    ]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("classify") && notes.contains("data: 32 training rows"), "{notes}");
    assert!(out.contains("learned"), "{out}");
}

#[test]
fn tables_are_read_as_they_are_and_what_is_wrong_names_the_flag() {
    let folder = Folder::new();
    let rows: String = (0..60)
        .map(|row| format!("{row};{};t{};{},5;{}\n", row % 7, row % 3, row, row * 2))
        .collect();
    let csv = folder.csv(&format!("id;x;town;y;z\n{rows}"));
    let base = ["train", "--device", "cpu", "--no-plot", "--epochs", "2", "--data", &csv];
    let train = |rest: &[&str]| fanin(&[&base[..], rest].concat());
    let output = train(&["--target", "y,z", "--drop", "id", "--one-hot", "town"]);
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("cells are parted by `;`, numbers have decimal commas"), "{notes}");
    assert!(notes.contains("48 training rows, 12 test rows, 4 features, 2 values"), "{notes}");
    assert!(notes.contains("steps of 48 rows: there are no more (--batch: 64)"), "{notes}");
    let fails = |rest: &[&str], parts: &[&str]| fails(2, &[&base[..], rest].concat(), parts);
    fails(&["--target", "y"], &["column `town`", "(--drop, --one-hot)"]);
    fails(&["--target", "w"], &["unknown target column `w`", "known: id, x, town, y, z"]);
    fails(&["--target", "y", "--separator", ","], &["header: got one column", "(--separator)"]);
    fails(&["--target", "y", "--drop", "town", "--decimal", "."], &["got `0,5`", "(--decimal ,)"]);
    fails(&["--target", "y", "--drop", "town", "--batch", "64"], &["batch: got 64 rows"]);
    let gaps = folder.csv("a,b,y\n1,,0.5\n2,1,1\n3,2,0.25\n4,4,8\n5,3,2\n");
    let base =
        ["train", "--device", "cpu", "--no-plot", "--epochs", "2", "--data", &gaps, "--target"];
    let refused = [&base[..], &["y"]].concat();
    crate::cli::fails(2, &refused, &["line 2", "(--missing drop, mean, median or zero)"]);
    for way in ["drop", "mean", "median", "zero"] {
        succeeds(&[&base[..], &["y", "--missing", way]].concat());
    }
}

#[test]
fn whatever_a_catalogue_lists_trains_and_is_explained() {
    use fanin::model::{Loss, Optimizer};
    let long = succeeds(&["train", "--help"]);
    for lines in [fanin::Activation::help(), Loss::help(), Optimizer::help()] {
        for (usage, formula) in lines {
            let words = formula.split(' ').all(|word| long.contains(word));
            assert!(long.contains(&usage) && words, "{usage}: {formula}");
        }
    }
    assert!(long.lines().all(|line| line.chars().count() <= 80), "{long}");
    for optimizer in Optimizer::NAMES {
        for loss in Loss::NAMES {
            let data = if loss == "cross_entropy" { "moons" } else { "teacher" };
            let data = if loss == "bce" { "moons" } else { data };
            let run =
                ["train", "--device", "cpu", "--no-plot", "--json", "--epochs", "2", "--data"];
            let own = [data, "--hidden", "8", "--loss", loss, "--optimizer", optimizer];
            let document: serde_json::Value =
                serde_json::from_str(&succeeds(&[&run[..], &own].concat())).unwrap();
            let epochs = document["runs"][0]["epochs"].as_array().unwrap();
            let losses: Vec<f64> =
                epochs.iter().map(|epoch| epoch["train_loss"].as_f64().unwrap()).collect();
            assert!(losses.len() == 2 && losses[1] < losses[0], "{optimizer} {loss}: {losses:?}");
        }
    }
}

#[test]
fn bad_input_is_told_apart_and_leaves_nothing() {
    let folder = Folder::new();
    let out = folder.name("run.safetensors");
    let csv = folder.csv("a,b\n1,2\n3\n");
    let train = |rest: &[&str], parts: &[&str]| {
        fails(2, &[&["train", "--device", "cpu", "--out", &out], rest].concat(), parts);
        assert_eq!(left_in(folder.0.path()), 1, "{rest:?}");
    };
    train(&["--data", &csv, "--target", "b"], &["line 3"]);
    train(&["--data", &csv], &["--target", "a, b"]);
    std::fs::write(&csv, "a,b\n1,x\n2,y\n").unwrap();
    let half = ["--data", &csv, "--target", "b", "--test-split", "0.5", "--batch", "1"];
    train(&half, &["training rows of data, after the split: got 1 of one class"]);
    train(&["--data", "spirls"], &["nearest: spirals"]);
    train(&["--data", "spirals", "--task", "regress"], &["regress"]);
    train(&["--hidden", "64,0"], &["widths: got [2, 64, 0, 3]"]);
    train(&["--hidden", "x"], &["invalid value 'x'"]);
    train(
        &["--batch", "1201"],
        &["batch: got 1201 rows, needed at most the training set's 1200 rows"],
    );
    train(&["--batch", "0"], &["batch: got 0"]);
    train(&["--lr", "NaN"], &["learning rate: got NaN"]);
    train(&["--lr", "-0.1"], &["learning rate: got -0.1"]);
    train(&["--epochs", "0"], &["epochs: got 0"]);
    train(&["--dropout", "1"], &["dropout: got 1"]);
    train(&["--norm-init", "zeros"], &["initializer of norms", "needed layer norm"]);
    train(&["--clip", "-1"], &["clip: got -1", "(--clip)"]);
    train(&["--weight-decay", "-1"], &["weight decay: got -1", "(--weight-decay)"]);
    train(&["--test-split", "1"], &["test"]);
    train(&["--init", "he_norml"], &["nearest: he_normal"]);
    train(&["--init", "zeros,zeros"], &["zeros twice"]);
    train(&["--activation", "rleu"], &["nearest: relu"]);
    train(&["--optimizer", "sdg"], &["nearest: sgd"]);
    train(&["--schedule", "cosin"], &["nearest: cosine"]);
    train(&["--loss", "mse"], &["targets: got classes", "values for the mean squared error"]);
    train(&["--loss", "huber"], &["targets: got classes", "values for the Huber loss"]);
    train(&["--loss", "huber:-1"], &["delta: got -1, needed a finite number above 0"]);
    train(&["--optimizer", "rmsprop:2"], &["alpha: got 2"]);
    train(&["--data", "teacher", "--loss", "cross_entropy"], &["targets: got values"]);
    fails(2, &["train", "--out", &folder.name("run.bin")], &["ends in .safetensors"]);
    train(&["--resume", &folder.name("data.csv")], &["not a usable safetensors file"]);
    fails(
        1,
        &["train", "--plot", "/no/such/folder/x.svg"],
        &["cannot create /no/such/folder/x.svg"],
    );
    fails(1, &["train", "--resume", "/no/such/file"], &["cannot read /no/such/file"]);
}

/// A straight line over times that are `offset` and some seconds, in milliseconds: 400 rows.
fn times(offset: u64) -> String {
    let row = |row: u64| format!("{},{:.4}\n", offset + 1000 * row, 0.01 * row as f64 - 2.0);
    "ts,y\n".to_owned() + &(0..400).map(row).collect::<String>()
}

fn regression(data: &str, target: &str, rest: &[&str]) -> (Value, String) {
    let base = ["train", "--device", "cpu", "--data", data, "--target", target, "--json"];
    let settings = ["--hidden", "16", "--epochs", "60", "--lr", "0.01", "--no-plot"];
    let output = fanin(&[&base[..], &settings, rest].concat());
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    (serde_json::from_str(&text(&output.stdout)).unwrap(), notes)
}

fn last(document: &Value, run: usize) -> &Value {
    document["runs"][run]["epochs"].as_array().unwrap().last().unwrap()
}

#[test]
fn an_offset_that_f32_cannot_hold_costs_nothing() {
    let folder = Folder::new();
    let rel = folder.csv(&times(0));
    let offset = folder.name("offset.csv");
    std::fs::write(&offset, times(1_700_000_000_000)).unwrap();
    for target in ["y", "ts"] {
        let ((wanted, _), (found, notes)) =
            (regression(&rel, target, &[]), regression(&offset, target, &[]));
        assert_eq!(found["runs"][0]["epochs"], wanted["runs"][0]["epochs"], "{target}");
        let loss = last(&found, 0)["train_loss"].as_f64().unwrap();
        assert!(loss < 1e-5, "{target}: {loss}");
        assert!(!notes.contains("distinct numbers"), "{notes}");
        let (_, notes) = regression(&offset, target, &["--no-standardize"]);
        assert!(notes.contains("`ts`: of 320 distinct numbers 4 are left in float32"), "{notes}");
    }
}

#[test]
fn a_scale_that_f32_cannot_hold_costs_nothing() {
    let folder = Folder::new();
    let rows = |scale: f64| {
        let row = |row: u32| (scale * f64::from(row).sin(), scale * f64::from(row % 17));
        let rows = (0..300).map(row).map(|(x, y)| format!("{x:e},{y:e}\n"));
        "x,y\n".to_owned() + &rows.collect::<String>()
    };
    let (small, large) = (folder.csv(&rows(1.0)), folder.name("large.csv"));
    std::fs::write(&large, rows(2f64.powi(900))).unwrap();
    for target in ["x", "y"] {
        let task = ["--task", "regress"];
        let ((wanted, _), (found, notes)) =
            (regression(&small, target, &task), regression(&large, target, &task));
        assert_eq!(found["runs"][0]["epochs"], wanted["runs"][0]["epochs"], "{target}");
        assert!(!notes.contains("distinct numbers"), "{notes}");
    }
    let base = ["train", "--device", "cpu", "--data", &large, "--target", "y", "--task", "regress"];
    let place = "data set `large`: row 1 (the first is 0), ";
    let needed = "needed a finite f32 (3.4e38 at most), or to standardize";
    for (rest, column) in [
        (&["--no-standardize", "--test-split", "0"][..], "column `x`: got 7."),
        (&["--loss", "bce", "--test-split", "0"], "target `y`: got 8."),
    ] {
        fails(2, &[&base[..], rest].concat(), &[place, column, needed]);
    }
    let probe = ["probe", "--device", "cpu", "--target", "y", "--widths", "1,8,8", "--batch", "64"];
    let result = |data: &str| succeeds(&[&probe[..], &["--json", "--data", data]].concat());
    let profile = |data: &str| -> Value {
        let document: Value = serde_json::from_str(&result(data)).unwrap();
        document["runs"].clone()
    };
    assert!(!profile(&small).is_null());
    assert_eq!(profile(&small), profile(&large));
}

#[test]
fn bce_counts_the_class_of_the_largest_output() {
    let arguments = [
        "train", "--device", "cpu", "--data", "digits", "--loss", "bce", "--init", "zeros",
        "--epochs", "3", "--hidden", "32", "--json",
    ];
    let document: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    for key in ["train_accuracy", "test_accuracy"] {
        let accuracy = last(&document, 0)[key].as_f64().unwrap();
        assert!((accuracy - 0.1).abs() < 0.04, "{key}: {accuracy}");
    }
    assert_eq!(document["runs"][0]["verdict"], "stuck");
}

/// Shares of 0 to 1 are what the loss takes: standardized ones it would refuse.
#[test]
fn soft_targets_of_bce_stay_as_they_are() {
    let folder = Folder::new();
    let share = |row: u32| f64::from(row) / 200.0;
    let rows: String = (0..200).map(|row| format!("{row},{}\n", share(row))).collect();
    let csv = folder.csv(&format!("x,share\n{rows}"));
    let settings = ["--loss", "bce", "--test-split", "0"];
    let (document, _) = regression(&csv, "share", &settings);
    // The best constant answer is the mean, and the entropy of it the loss.
    let mean = (0..200).map(share).sum::<f64>() / 200.0;
    let wanted = -mean * mean.ln() - (1.0 - mean) * (1.0 - mean).ln();
    let baseline = document["runs"][0]["baseline_loss"].as_f64().unwrap();
    assert!((baseline - wanted).abs() < 1e-6, "{baseline}, not {wanted}");
    // With each share met exactly the loss is the mean of their entropies.
    let entropy = |p: f64| if p > 0.0 { -p * p.ln() - (1.0 - p) * (1.0 - p).ln() } else { 0.0 };
    let least = (0..200).map(|row| entropy(share(row))).sum::<f64>() / 200.0;
    let loss = last(&document, 0)["train_loss"].as_f64().unwrap();
    assert!(loss > least && loss < least + 0.02, "{loss}, {least} at best");
}

#[test]
fn verdicts_are_said_in_words() {
    let folder = Folder::new();
    // Classes that no column says anything of.
    let hash = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let row = |row: u64| {
        let columns: String =
            (0..6).map(|column| format!("{},", hash(row * 7 + column) % 1000)).collect();
        format!("{columns}{}\n", hash(row * 7 + 6) % 2)
    };
    let csv = folder.csv(&("a,b,c,d,e,f,y\n".to_owned() + &(0..200).map(row).collect::<String>()));
    let base = ["train", "--device", "cpu", "--no-plot"];
    let noise = ["--data", &csv, "--target", "y", "--epochs", "150", "--batch", "32"];
    let out = words(&succeeds(&[&base[..], &noise].concat()));
    assert!(out.contains("he_normal overfitted: accuracy is "), "{out}");
    let spirals = ["--data", "spirals"];
    let out = words(&succeeds(&[&base[..], &spirals, &["--epochs", "1"]].concat()));
    assert!(out.contains("he_normal has not learned yet: the training loss, "), "{out}");
    // Most rows are right, and few cost all the loss.
    let out = words(&succeeds(&[&base[..], &spirals, &["--init", "normal:1"]].concat()));
    assert!(out.contains("of the training rows are right, where the best constant"), "{out}");
    // As words, wherever its lines end.
    let help = succeeds(&["train", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["overfitted", "largest output", "mean over them", "three standard errors"] {
        assert!(help.contains(part), "{part}");
    }
}
