//! Text from a file, or a file's name, never drives a terminal.

use std::fs;
use std::path::Path;

use fanin::Device;
use fanin::model::data::{Dataset, Generated};
use fanin::model::{Mlp, TrainOptions, Trainer};
use fanin::{Error, plain};
use serde_json::{Value, json};

use crate::cli::text;

/// A line that is not ours, escape sequences, and letters that turn or hide others.
const HOSTILE: &str = "a\nFORGED\r\t\x1b[31mred\x1b]0;t\x07\u{9b}2J\u{7f}\u{85}\u{2028}\u{202e}\u{2066}\
                       \u{61c}\u{200e}\u{200b}\u{feff}<b>&\"'";

/// The same, as the name of a file.
fn hostile(end: &str) -> String {
    format!("{HOSTILE}{end}")
}

/// Runs, and checks that what is printed is plain, and says the escaped form of `HOSTILE`. Gives the exit
/// code and stdout.
#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let command = [arguments, &["--device", "cpu"]].concat();
    let output = fanin(folder, &command);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    for printed in [&stdout, &stderr] {
        let spared = |c: char| c == '\n' || plain(c).to_string() == c.to_string();
        assert!(printed.chars().all(spared), "{arguments:?}: {printed:?}");
        assert!(!printed.lines().any(|line| line.starts_with("FORGED")), "{printed}");
    }
    let said = [r"FORGED\r\t\u{1b}[31mred", r"FORGED\r\t\u001b[31mred"];
    let printed = format!("{stdout}{stderr}");
    assert!(said.iter().any(|said| printed.contains(said)), "{arguments:?}: {printed}");
    assert!(!printed.contains("panicked"), "{printed}");
    (output.status.code().unwrap(), stdout)
}

fn fanin(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// A safetensors file of f32 tensors of two elements each.
fn file(names: &[&str], metadata: Option<Value>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if let Some(metadata) = metadata {
        header.insert("__metadata__".into(), metadata);
    }
    for (index, name) in names.iter().enumerate() {
        let offsets = [8 * index, 8 * index + 8];
        let info = json!({"dtype": "F32", "shape": [2], "data_offsets": offsets});
        header.insert((*name).into(), info);
    }
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; 8 * names.len()]].concat()
}

#[test]
fn names_of_tensors_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // No argument has a NUL.
    let name = hostile("\0");
    let quoted = Value::from(&*name).to_string().replace('\x7f', "\\u007f");
    let tensor = format!("[[tensor]]\nname = {quoted}\nshape = [2]\n");
    let recipe = format!("name = {quoted}\ndescription = {quoted}\n{tensor}");
    fs::write(at.join("r.toml"), format!("{recipe}init = \"zeros\"\n")).unwrap();
    let init = |model: &str, more: &[&str]| {
        let out = ["--out", "o.safetensors", "--force"];
        run(at, &[&["init", model], &out[..], more].concat())
    };
    assert_eq!(init("r.toml", &[]).0, 0);
    let (code, stdout) = init("r.toml", &["--json"]);
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["tensors"][0]["name"], *name);

    // A tensor of no rule, two of one name, a key and a value that are not known, no TOML.
    let table = format!("{quoted} = 1\n");
    let broken = [
        recipe.clone(),
        format!("{recipe}init = \"zeros\"\n{tensor}init = \"zeros\"\n"),
        format!("{tensor}init = {quoted}\n"),
        format!("{tensor}dtype = {quoted}\n"),
        table,
        format!(
            "{tensor}[[rule]]\nmatch = {quoted}\ninit = \"zeros\"\n[[rule]]\nmatch = \"b\"\ninit = {quoted}\n"
        ),
    ];
    for recipe in broken {
        fs::write(at.join("b.toml"), recipe).unwrap();
        assert_eq!(init("b.toml", &[]).0, 2);
    }

    fs::write(at.join("m.safetensors"), file(&[HOSTILE, "b"], None)).unwrap();
    assert_eq!(init("m.safetensors", &["--rule", "*=zeros"]).0, 0);
    assert_eq!(init("m.safetensors", &["--rule", "b=zeros"]).0, 2);
    let index = json!({ "weight_map": { "a": HOSTILE } }).to_string();
    fs::write(at.join("m.safetensors.index.json"), index).unwrap();
    assert_eq!(init("m.safetensors.index.json", &["--rule", "*=zeros"]).0, 1, "no such file");
    let index = json!({ "weight_map": { HOSTILE: "m.safetensors", "c": 1 } }).to_string();
    fs::write(
        at.join("m.safetensors.index.json"),
        index.replace("\"c\":1", "\"c\":\"m.safetensors\""),
    )
    .unwrap();
    fs::write(at.join("m.safetensors"), file(&["b"], None)).unwrap();
    assert_eq!(init("m.safetensors.index.json", &["--rule", "*=zeros"]).0, 2);
}

#[cfg(unix)]
#[test]
fn paths_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (model, out) = (hostile(".toml"), hostile(".safetensors"));
    fs::write(at.join(&model), "[[tensor]]\nname = \"a\"\nshape = [2]\ninit = \"zeros\"\n")
        .unwrap();
    assert_eq!(run(at, &["init", &model, "--out", &out]).0, 0);
    assert_eq!(run(at, &["init", &model, "--out", &out]).0, 2, "it is there");
    let (code, stdout) = run(at, &["init", &model, "--out", &out, "--force", "--json"]);
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["files"][0]["path"], *out);
    for missing in ["none.toml", "none.safetensors", "none"] {
        let code = run(at, &["init", &hostile(missing), "--out", "o.safetensors"]).0;
        assert!([1, 2].contains(&code));
    }
    fs::write(at.join(&model), "[[tensor]]\nname = 1").unwrap();
    assert_eq!(run(at, &["init", &model, "--out", "o.safetensors"]).0, 2);
    // Names that a shell puts in the place of `*`.
    assert_eq!(run(at, &["init", "a", &hostile("b"), "--out", "o.safetensors"]).0, 2);
    assert_eq!(run(at, &["init", "a", "--seed", HOSTILE]).0, 2);
}

#[cfg(unix)]
#[test]
fn columns_cells_and_the_picture_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let name = hostile(".csv");
    let quoted = format!("\"{}\"", HOSTILE.replace('"', "\"\""));
    let rows = |cell: &str| -> String {
        (0..20).map(|row| format!("{row},{}\n", if row % 2 == 0 { cell } else { "b" })).collect()
    };
    let write = |header: &str, cell: &str| {
        fs::write(at.join(&name), format!("{header}\n{}", rows(cell))).unwrap();
    };
    let train = |more: &[&str]| {
        let settings = ["--epochs", "2", "--hidden", "4", "--batch", "4", "--force"];
        run(at, &[&["train", "--data", &name], &settings[..], more].concat()).0
    };
    // Trimmed, as any cell is.
    write(&format!("x,{quoted}"), &quoted);
    assert_eq!(train(&["--target", HOSTILE, "--plot", "p.svg"]), 0);
    let picture = fs::read_to_string(at.join("p.svg")).unwrap();
    assert!(picture.chars().all(|c| c == '\n' || plain(c).to_string() == c.to_string()));
    assert!(picture.contains("&lt;b&gt;&amp;") && !picture.contains("<b>"), "{picture}");
    assert_eq!(train(&["--target", "none", "--no-plot"]), 2);
    assert_eq!(train(&["--no-plot"]), 2);
    // Not to be regressed; not a feature; not as many cells.
    assert_eq!(train(&["--target", HOSTILE, "--task", "regress", "--no-plot"]), 2);
    write(&format!("y,{quoted}"), &quoted);
    assert_eq!(train(&["--target", "y", "--no-plot"]), 2);
    write(&quoted, &quoted);
    assert_eq!(train(&["--target", HOSTILE, "--no-plot"]), 2);
    // One class alone.
    write("x,y", "b");
    assert_eq!(train(&["--target", "y", "--no-plot"]), 2);
}

#[test]
fn names_in_files_of_arrays_and_runs_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("d.safetensors"), file(&[HOSTILE, "y"], None)).unwrap();
    let train = |data: &str, more: &[&str]| {
        run(
            at,
            &[&["train", "--data", data, "--no-plot", "--epochs", "1", "--batch", "8"], more]
                .concat(),
        )
        .0
    };
    assert_eq!(train("d.safetensors", &[]), 2);
    assert_eq!(train("d.safetensors", &["--target", "none"]), 2);
    assert_eq!(train("d.safetensors", &["--target", HOSTILE]), 2);
    let mut zip = zip::ZipWriter::new(fs::File::create(at.join("d.npz")).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(format!("{HOSTILE}.npy"), options).unwrap();
    zip.finish().unwrap();
    assert_eq!(train("d.npz", &[]), 2);
    let header = format!("{{'descr': '{HOSTILE}', 'fortran_order': False, 'shape': (2,), }}");
    let header = header.replace("\"'", "").replace(['\n'], "\\n");
    let npy = |header: &str| {
        let length = (header.len() as u16).to_le_bytes();
        [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat()
    };
    fs::write(at.join("x.npy"), npy(&header)).unwrap();
    let output = fanin(at, &["train", "--data", "x.npy", "--target", "x.npy", "--no-plot"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.trim_end(), plain(stderr.trim_end()).to_string());

    // A setting of a run's file is told where it differs.
    let state =
        json!({"settings": [["seed", HOSTILE]], "step": 0, "epochs": [], "tally": [0.0, 0.0, 0]});
    let metadata = json!({ "fanin.training": state.to_string() });
    fs::write(at.join("run.safetensors"), file(&["b"], Some(metadata))).unwrap();
    assert_eq!(train("moons", &["--resume", "run.safetensors"]), 2);
    let train: Dataset = Generated::Moons.generate(0, Some(40)).unwrap();
    let mlp = Mlp::new([2, 4, 2]).unwrap();
    let options = TrainOptions { batch: None, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&Device::Cpu, &mlp, &options, &train, None).unwrap();
    let error = trainer.resume(&at.join("run.safetensors")).unwrap_err().to_string();
    assert!(error.contains(r"\u{202e}"), "{error}");
}

#[test]
fn every_error_is_one_plain_line_of_some_length() {
    let long = || hostile(&"b".repeat(100_000));
    let errors = [
        Error::Invalid { what: long(), given: long(), needed: long() },
        Error::Unknown { kind: "recipe", given: long(), known: vec![long(), hostile("c")] },
        Error::Unknown { kind: "recipe", given: hostile(""), known: vec![hostile("c")] },
        Error::Recipe { path: long(), line: 1, column: 2, message: long() },
        Error::Safetensors { path: long().into(), message: long() },
        Error::Exists { path: long().into() },
        Error::File { action: "read", path: long().into(), source: std::io::Error::other(long()) },
        Error::NoAdapter { given: long(), present: long() },
        Error::Device { device: long(), message: long() },
    ];
    for error in errors {
        let message = error.to_string();
        assert_eq!(message, plain(&message).to_string());
        assert!(message.len() < 10_000, "{}", message.len());
        assert!(
            message.contains(r"FORGED\r\t\u{1b}[31mred")
                || message.contains(r"FORGED\t\u{1b}[31mred")
        );
    }
    let device =
        Error::Device { device: "gpu".into(), message: "a\n\n  caused by:\r\n b\n".into() };
    assert_eq!(device.to_string(), "gpu: a; caused by:; b");
}

#[cfg(unix)]
#[test]
fn a_report_has_no_markup_but_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (data, page) = (hostile(".csv"), hostile(".html"));
    let rows: String = (0..20).map(|row| format!("{row},{}\n", row % 2)).collect();
    fs::write(at.join(&data), format!("x,y\n{rows}")).unwrap();
    let network = ["probe", "--widths", "1,8,8,1", "--init", "he_normal", "--batch", "8"];
    let outputs = ["--data", &data, "--target", "y", "--no-heatmap", "--report", &page];
    assert_eq!(run(at, &[&network[..], &outputs].concat()).0, 0);
    let page = fs::read_to_string(at.join(&page)).unwrap();
    assert!(page.contains("&lt;b&gt;&amp;") && !page.contains("<b>"));
    let spared = |c: char| "\n\t".contains(c) || plain(c).to_string() == c.to_string();
    assert!(page.chars().all(spared));
}
