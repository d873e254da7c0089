//! The commands that the page shows: they run, and come to what the page says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::browser::{Browser, Page, SOFTWARE};

/// The repository's own `fanin`.
fn fanin() -> &'static Path {
    static FANIN: OnceLock<PathBuf> = OnceLock::new();
    FANIN.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--release", "--locked", "--bin", "fanin", "--manifest-path"])
            .arg(root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(root.join("target"))
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        root.join("target/release")
    })
}

/// What a shell makes of a command, with `fanin` on its path.
fn run(command: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", fanin().display()))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{complaints}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(command: &str) -> Value {
    serde_json::from_str(&run(command)).unwrap()
}

fn page() -> Page {
    fanin();
    Browser::start(SOFTWARE).open("")
}

fn settings(activation: &str, init: &str, bias: &str, residual: bool, norm: bool) -> Value {
    json!({
        "depth": 6, "width": 24, "activation": activation, "init": init, "bias": bias,
        "residual": residual, "norm": norm,
    })
}

#[test]
fn the_command_of_a_probe_has_its_verdict() {
    let mut page = page();
    for settings in [
        settings("relu", "he_normal", "zeros", false, false),
        settings("leaky_relu:0.2", "uniform:-0.1,0.1", "constant:0.01", true, false),
        settings("tanh", "variance_scaling:scale=9,mode=fan_in", "normal:0.05", false, true),
        settings("sigmoid", "zeros", "zeros", false, false),
    ] {
        let probed = page.answer("probe", &json!({ "settings": settings, "seed": 5 }));
        let command = probed["command"].as_str().unwrap();
        let native = json_of(&format!("{command} --device cpu --json"));
        let run = &native["runs"][0];
        assert_eq!(run["verdict"], probed["verdict"]["kind"], "{command}");
        assert_eq!(run["depth"], 6, "{command}");
        let advice = &probed["advice"]["text"];
        if run["instead"].is_string() {
            assert_eq!(&run["instead"], advice, "{command}");
        }
    }
    page.close();
}

#[test]
fn the_commands_of_training_come_to_the_same() {
    let mut page = page();
    let own = settings("relu", "he_normal", "zeros", false, false);
    let lesson = json!({
        "data": "spirals", "seed": 2, "settings": own, "epochs": 3, "lr": 0.005, "optimizer": "sgd:0.9",
    });
    let exact = page.answer("exact.train", &lesson);
    let command = exact["command"].as_str().unwrap();
    let native = json_of(&format!("{command} --device cpu --json"));
    assert_eq!(native["runs"][0]["digest"], exact["digest"], "{command}");

    let other = settings("relu", "normal:0.0001", "zeros", false, false);
    let start = json!({ "data": "rings", "seed": 2, "runs": [own, other], "epochs": 4 });
    let command = page.answer("train.start", &start)["command"].clone();
    while page.answer("train.advance", &json!({ "milliseconds": 50 }))["finished"] != true {}
    let command = command.as_str().unwrap();
    let native = json_of(&format!("{command} --device cpu --json"));
    for run in 0..2 {
        let verdict = page.answer("train.verdict", &json!({ "run": run }));
        assert_eq!(native["runs"][run]["verdict"], verdict["kind"], "{command}");
    }
    page.close();
}

#[test]
fn the_commands_of_tensors_have_their_digests() {
    let mut page = page();
    for (init, dtype) in [
        ("he_normal", "f32"),
        ("xavier_uniform", "bf16"),
        ("uniform:-0.3,1.1", "f16"),
        ("normal:std=0.7,mean=0.1", "f8_e4m3"),
        ("truncated_normal:std=0.3,mean=-0.5,cut=1.25", "f64"),
        ("words", "u32"),
        ("orthogonal", "f32"),
        ("constant:0.01", "bf16"),
    ] {
        let args =
            json!({ "init": init, "shape": [63, 65], "name": "w", "seed": 11, "dtype": dtype });
        let drawn = page.answer("draw", &args);
        let command = drawn["command"].as_str().unwrap();
        let printed = run(command);
        let digest = drawn["sha256"].as_str().unwrap();
        assert!(printed.contains(digest), "{command}\n{printed}");
    }
    page.close();
}
