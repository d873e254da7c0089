//! The command line: what it prints, what it writes, and how it fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fanin::cpu;
use fanin::random::{Distribution, Dtype, Stream};
use serde_json::Value;

pub fn fanin(arguments: &[&str]) -> Output {
    // Where a picture written by default is in nobody's way.
    let folder = std::env::temp_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn succeeds(arguments: &[&str]) -> String {
    let output = fanin(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs, and checks the exit code and that stderr says each of `parts`.
pub fn fails(code: i32, arguments: &[&str], parts: &[&str]) {
    let output = fanin(arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: no `{part}` in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// Sends a signal, such as `INT`, to a process, or to a group of them where `id` is negative. By the
/// shell's own `kill`: the program of that name is not on every machine.
pub fn signal(id: i64, name: &str) {
    let script = format!("kill -s {name} -- {id}");
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// A folder of a test's own, and files in it.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as an argument.
    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and gives its [`name`](Folder::name).
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.name(name)
    }
}

pub fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn init_writes_a_model_and_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mlp.safetensors");
    let out = out.to_str().unwrap();
    let json = succeeds(&["init", "mlp", "--seed", "7", "--device", "cpu", "--out", out, "--json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["seed"], 7);
    assert_eq!(document["engine"], "cpu");
    let tensors = document["tensors"].as_array().unwrap();
    assert_eq!(tensors[0]["name"], "layers.0.weight");
    assert_eq!(tensors[0]["shape"], serde_json::json!([512, 784]));
    let std = tensors[0]["std"].as_f64().unwrap();
    assert!((std / (2f64 / 784.0).sqrt() - 1.0).abs() < 0.01);
    let bytes = std::fs::read(out).unwrap();
    assert_eq!(document["files"][0]["bytes"], bytes.len());
    let manifest = std::fs::read(folder.path().join("mlp.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["tensors"][0]["sha256"], tensors[0]["sha256"]);
    assert_eq!(manifest["contract"], 1);
    let digest = document["files"][0]["sha256"].as_str().unwrap();

    // Again: refused, then replaced by the same bytes.
    fails(2, &["init", "mlp", "--device", "cpu", "--out", out], &["exists", "--force"]);
    let table =
        succeeds(&["init", "mlp", "--seed", "7", "--device", "cpu", "--out", out, "--force"]);
    assert!(table.contains("layers.0.weight") && table.contains("he_normal"), "{table}");
    assert!(!table.contains(digest) && table.contains("--file-digests"), "{table}");
    assert_eq!(std::fs::read(out).unwrap(), bytes);
    let again = ["init", "mlp", "--seed", "7", "--force", "--file-digests", "--out", out];
    assert!(succeeds(&again).contains(digest));
    assert_eq!(std::fs::read(out).unwrap(), bytes);
}

/// A file of this size is ready before a driver has started: none is asked, and a line says so.
#[test]
fn init_takes_the_engine_that_has_a_file_ready_first() {
    let folder = tempfile::tempdir().unwrap();
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.args(["init", "mlp", "--force", "--out"]).arg(folder.path().join("m.safetensors"));
        command.env_remove("WGPU_ADAPTER_NAME").envs(variables.iter().copied()).output().unwrap()
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("drawn on ") && stderr.contains("--device gpu"), "{stderr}");
    // Whoever names an adapter gets that one, or hears that it is not there.
    let stderr = text(&run(&[("WGPU_ADAPTER_NAME", "none such")]).stderr);
    assert!(stderr.contains("none such"), "{stderr}");
}

#[test]
fn init_lists_and_prints_recipes_that_work() {
    let list = succeeds(&["init", "--list"]);
    for name in ["mlp", "gpt2", "resnet50", "llama-3.2-1b", "he_normal", "kaiming_uniform"] {
        assert!(list.contains(name), "{name} in {list}");
    }
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("mine.toml");
    std::fs::write(&recipe, succeeds(&["init", "mlp", "--print-recipe"])).unwrap();
    let digest = |model: &str, name: &str| {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let json = succeeds(&["init", model, "--device", "cpu", "--out", out, "--json"]);
        let document: Value = serde_json::from_str(&json).unwrap();
        document["files"][0]["sha256"].clone()
    };
    let built_in = digest("mlp", "a.safetensors");
    assert_eq!(digest(recipe.to_str().unwrap(), "b.safetensors"), built_in);
}

#[test]
fn init_takes_a_file_of_weights_and_rules() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (path("old.safetensors"), path("new.safetensors"));
    succeeds(&["init", "mlp", "--device", "cpu", "--out", &old]);
    let rules = path("rules.toml");
    std::fs::write(&rules, "[[rule]]\nmatch = \"*.weight\"\ninit = \"he_normal\"\n").unwrap();
    let mut arguments = vec!["init", &old, "--device", "cpu", "--out", &new];
    arguments.extend(["--rules", &rules, "--rule", "*.bias=constant:0.01", "--dtype", "bf16"]);
    succeeds(&arguments);
    let bytes = std::fs::read(&new).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bias = file.tensor("layers.0.bias").unwrap();
    assert_eq!(bias.dtype(), safetensors::Dtype::BF16);
    assert_eq!(bias.data()[..2], half::bf16::from_f32(0.01).to_le_bytes());
    fails(2, &["init", &old, "--out", &path("x.safetensors")], &["layers", "no rule"]);
}

/// A checkpoint of mixed floats: as it is, and given another dtype.
#[test]
fn init_draws_floats_of_8_and_of_64_bits() {
    use safetensors::Dtype as D;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (path("old.safetensors"), path("new.safetensors"));
    let tensors: [(&str, D, &[usize]); 5] = [
        ("a.weight", D::F8_E4M3, &[17, 5]),
        ("b.weight", D::F8_E5M2, &[3]),
        ("c.weight", D::F64, &[5, 3]),
        ("d.weight", D::F32, &[7]),
        ("steps", D::I64, &[]),
    ];
    let zeros = [0; 256];
    let views = tensors.map(|(name, dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let view = safetensors::tensor::TensorView::new(dtype, shape.to_vec(), &zeros[..bytes]);
        (name, view.unwrap())
    });
    safetensors::serialize_to_file(views, None, Path::new(&old)).unwrap();
    let rules = ["--rule", "steps=zeros", "--rule", "*=normal:0.02"];
    for (given, theirs, ours) in [
        (None, None, None),
        (Some("bf16"), Some(D::BF16), Some(Dtype::Bf16)),
        (Some("f32"), Some(D::F32), Some(Dtype::F32)),
        (Some("float8_e4m3fn"), Some(D::F8_E4M3), Some(Dtype::F8E4M3)),
        (Some("f64"), Some(D::F64), Some(Dtype::F64)),
    ] {
        let mut arguments = vec!["init", &old, "--device", "cpu", "--force", "--out", &new];
        arguments.extend(rules);
        given.iter().for_each(|given| arguments.extend(["--dtype", given]));
        succeeds(&arguments);
        let bytes = std::fs::read(&new).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let own = [Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F64, Dtype::F32];
        for ((name, dtype, shape), own) in tensors.into_iter().zip(own) {
            let found = file.tensor(name).unwrap();
            assert_eq!((found.dtype(), found.shape()), (theirs.unwrap_or(dtype), shape), "{name}");
            let mut wanted = vec![0; found.data().len()];
            let (stream, normal) = (Stream::named(0, name), Distribution::normal(0.02));
            normal.draw(&stream, ours.unwrap_or(own), 0, &mut wanted).unwrap();
            assert_eq!(found.data(), wanted, "{name} as {given:?}");
        }
        assert_eq!(file.tensor("steps").unwrap().dtype(), D::I64);
    }
    let beyond = ["init", &old, "--rule", "steps=zeros", "--rule", "*=normal:100", "--out", &new];
    fails(2, &[&beyond[..], &["--force"]].concat(), &["a.weight", "f8_e4m3", "4.48e2"]);
}

/// Mesa can be told to give no more than OpenGL 3.3, as other drivers do when asked for that.
#[test]
fn adapters_without_compute_shaders_are_listed_with_the_reason() {
    let old = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.args(arguments).env("WGPU_BACKEND", "gl");
        command.env("MESA_GL_VERSION_OVERRIDE", "3.3").env("MESA_GLSL_VERSION_OVERRIDE", "330");
        command.output().unwrap()
    };
    let document: Value =
        serde_json::from_slice(&old(&["devices", "--json"]).stdout).expect("a document");
    let Some(adapter) = document["adapters"].as_array().unwrap().first() else { return };
    if !adapter["driver"].as_str().unwrap().contains("Mesa") {
        return;
    }
    let reason = "OpenGL 3.3, and compute shaders need 4.3";
    assert!(adapter["unusable"].as_str().unwrap().contains(reason), "{adapter}");
    assert_eq!(adapter["chosen_by_auto"], false);
    assert!(text(&old(&["devices"]).stdout).contains("cannot be used: it has OpenGL 3.3"));
    let output = old(&["sample", "--device", "gl", "--count", "4"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains(adapter["name"].as_str().unwrap()) && stderr.contains(reason),
        "{stderr}"
    );
}

#[test]
fn devices_lists_adapters_and_the_cpu() {
    let json = succeeds(&["devices", "--json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    let adapters = document["adapters"].as_array().unwrap();
    assert!(!adapters.is_empty(), "no adapter: run `bash tests/run.sh`");
    for adapter in adapters {
        for key in ["name", "backend", "kind", "driver", "chosen_by_auto"] {
            assert!(!adapter[key].is_null(), "{key} in {adapter}");
        }
    }
    assert!(succeeds(&["devices"]).contains("threads"));
}

#[test]
fn verify_holds_and_says_so() {
    let table = succeeds(&["verify", "--device", "cpu", "--values", "5000"]);
    assert!(table.contains("Philox known answers") && table.ends_with(" 0 fail\n"), "{table}");
    let json = succeeds(&["verify", "--device", "gpu", "--values", "5000", "--json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["holds"], true);
    assert_eq!(document["devices"][0]["engine"], "gpu");
}

#[test]
fn sample_writes_the_streams_words() {
    let stream = Stream::named(7, "wte.weight");
    let common = ["sample", "--device", "cpu", "--seed", "7", "--name", "wte.weight"];
    let with = |more: &[&'static str]| {
        let output = fanin(&[&common[..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        output.stdout
    };
    let words = text(&with(&["--count", "5", "--offset", "3"]));
    let expected: Vec<String> = (3..8).map(|i| stream.word(i).to_string()).collect();
    assert_eq!(words.lines().collect::<Vec<_>>(), expected);

    let raw = with(&["--dist", "normal", "--std", "0.02", "--format", "raw", "--count", "1000"]);
    let mut bytes = vec![0; 4000];
    cpu::fill(&stream, &Distribution::normal(0.02), Dtype::F32, 0, &mut bytes).unwrap();
    assert_eq!(raw, bytes);

    let values = text(&with(&["--dist", "uniform", "--bound", "0.5", "--dtype", "bf16"]));
    assert_eq!(values.lines().count(), 16);
    assert!(values.lines().all(|line| line.parse::<f32>().unwrap().abs() < 0.5));
    // The shortest decimals are the elements.
    for dtype in Dtype::SAMPLED {
        let common = ["--dist", "normal", "--std", "0.02", "--dtype", dtype.name()];
        let lines = text(&with(&common));
        let raw = with(&[&common[..], &["--format", "raw"]].concat());
        let mut bytes = vec![0; 16 * dtype.size()];
        Distribution::normal(0.02).draw(&stream, dtype, 0, &mut bytes).unwrap();
        assert_eq!(raw, bytes, "{dtype}");
        let read: Vec<u8> = lines
            .lines()
            .flat_map(|line| match dtype {
                Dtype::F64 => line.parse::<f64>().unwrap().to_le_bytes().to_vec(),
                _ => dtype.constant(line.parse::<f32>().unwrap().into()).unwrap(),
            })
            .collect();
        assert_eq!(read, bytes, "{dtype}");
    }
    // The last element there is.
    let last = text(&with(&["--offset", "18446744073709551614", "--count", "1"]));
    assert_eq!(last.trim(), stream.word(u64::MAX - 1).to_string());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args(["sample", "--device", "cpu", "--count", "100000000", "--format", "raw"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn names_that_do_not_exist_are_told_apart() {
    let out = ["--out", "/nowhere/x.safetensors"];
    let init = |arguments: &[&'static str]| [&["init"], arguments, &out].concat();
    fails(2, &init(&["gtp2"]), &["unknown recipe `gtp2`", "nearest: gpt2", "llama-3.2-1b"]);
    fails(2, &init(&["mlp", "--device", "nope"]), &["no adapter for device `nope`", "present:"]);
    fails(2, &init(&["mlp", "--device", "vulkn:x"]), &["unknown backend `vulkn`", "vulkan"]);
    fails(2, &init(&["mlp", "--dtype", "f31"]), &["unknown dtype `f31`", "f32"]);
    fails(2, &init(&["mlp", "--rule", "*.wieght=zeros"]), &["`*.wieght` matches no tensor"]);
    fails(2, &init(&["mlp", "--rule", "*=he_norml"]), &["he_norml", "nearest: he_normal"]);
    fails(2, &["init", "mlp"], &["--out"]);
    fails(2, &["init", "mlp", "--out", "x.bin"], &["x.bin", ".safetensors"]);
    fails(2, &["inti"], &["inti"]);
}

#[test]
fn bad_numbers_are_told_apart() {
    let out = ["--device", "cpu", "--out", "/nowhere/x.safetensors"];
    let rule = |rule: &'static str| [&["init", "mlp", "--rule", rule][..], &out].concat();
    fails(2, &rule("*=normal:0"), &["std: got 0"]);
    fails(2, &rule("*=normal:-1"), &["std: got -1"]);
    fails(2, &rule("*=normal:NaN"), &["NaN", "a finite number"]);
    fails(2, &rule("*=normal:inf"), &["inf", "a finite number"]);
    fails(2, &rule("*=uniform:1,-1"), &["low 1, high -1", "low < high"]);
    fails(2, &rule("*.bias=he_normal"), &["layers.0.bias", "fan_in and fan_out given"]);
    let sample = |more: &[&'static str]| [&["sample", "--device", "cpu"][..], more].concat();
    fails(2, &sample(&["--dist", "normal", "--std", "0"]), &["std: got 0"]);
    fails(2, &sample(&["--dist", "uniform", "--std", "1"]), &["--std", "normal"]);
    fails(2, &sample(&["--dtype", "f16"]), &["dtype: got f16", "u32"]);
    fails(2, &sample(&["--offset", "18446744073709551615"]), &["at most 2^64"]);
    let shard = ["init", "mlp", "--max-shard-size", "2XB", "--out", "x.safetensors"];
    fails(2, &shard, &["unknown unit `XB`"]);
}

#[test]
fn bad_recipes_are_told_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let out = folder.path().join("x.safetensors");
    let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    for (recipe, parts) in [
        ("[[tensor]]\nname = \n", &["bad.toml:2:"] as &[&str]),
        (
            "[[tensor]]\nname = \"a\"\nshape = [2, 0]\ninit = \"zeros\"\n",
            &["bad.toml:3:", "[2, 0]"],
        ),
        ("[[tensor]]\nname = \"a\"\nshape = [4]\nnit = \"zeros\"\n", &["bad.toml:4:1", "nit"]),
        (
            "[[tensor]]\nname = \"a\"\nshape = [4294967296, 4294967296]\ninit = \"zeros\"\n",
            &["bad.toml:3:", "2^63"],
        ),
        ("[[tensor]]\nname = \"a\"\nshape = [4]\n", &["bad.toml:", "`a`"]),
        (
            "[[tensor]]\nname = \"a\"\nshape = [4]\ninit = \"ones\"\n\n[[rule]]\nmatch = \"b\"\ninit = \"zeros\"\n",
            &["bad.toml:7:", "`b` matches no tensor"],
        ),
    ] {
        std::fs::write(path, recipe).unwrap();
        fails(2, &["init", path, "--device", "cpu", "--out", out], parts);
    }
    assert_eq!(left_in(folder.path()), 1);
}

#[test]
fn bad_weight_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.safetensors");
    let out = folder.path().join("x.safetensors");
    let (path, out) = (path.to_str().unwrap(), out.to_str().unwrap());
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    for bytes in [
        vec![],
        u64::MAX.to_le_bytes().to_vec(),
        header("{\"a\":"),
        header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#),
    ] {
        std::fs::write(path, bytes).unwrap();
        let arguments = ["init", path, "--rule", "*=zeros", "--device", "cpu", "--out", out];
        fails(2, &arguments, &["bad.safetensors", "not a usable safetensors file"]);
    }
    assert_eq!(left_in(folder.path()), 1);
}

#[test]
fn a_model_too_large_for_the_disk_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mlp.safetensors");
    // A file may grow to 200 blocks; past them a write fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" init mlp --device cpu --out \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_fanin"), out.to_str().unwrap()])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write") && stderr.contains("mlp.safetensors"), "{stderr}");
    assert_eq!(left_in(folder.path()), 0);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let out = "/nowhere/at/all/x.safetensors";
    fails(1, &["init", "mlp", "--device", "cpu", "--out", out], &["cannot create", out]);
}

#[test]
fn help_names_every_command() {
    let help = succeeds(&["--help"]);
    for command in ["init", "train", "gain", "devices", "verify", "sample"] {
        assert!(help.contains(command), "{help}");
        assert!(succeeds(&[command, "--help"]).contains("Usage"));
    }
}

#[test]
fn sample_reaches_a_streams_last_element() {
    let last = u64::MAX.to_string();
    let want = Stream::new(0, 0).word(u64::MAX).to_string();
    let drawn = succeeds(&["sample", "--offset", &last, "--count", "1", "--device", "cpu"]);
    assert_eq!(drawn.trim(), want);
    fails(2, &["sample", "--offset", &last, "--count", "2"], &["at most 2^64"]);
    let wide = ["sample", "--dist", "uniform", "--low=-3.1e38", "--high=3e38", "--device", "cpu"];
    assert_eq!(succeeds(&wide).lines().count(), 16);
}
