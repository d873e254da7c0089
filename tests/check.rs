//! Folder of others' models, made anew, in part or wholly; and whether files are what is said of them.

use std::fs;
use std::path::{Path, PathBuf};

use fanin::recipe::{
    CheckOptions, Finding, Recipe, Rules, TensorCheck, WriteOptions, check, write,
};
use fanin::{Device, Error};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value;

use crate::cli::{Folder, fails, fanin, succeeds, text};

impl Folder {
    /// Writes tensors, each of a name, a dtype, a shape and its bytes.
    fn tensors(&self, name: &str, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> String {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
        });
        self.write(name, serialize(views, None).unwrap())
    }

    /// What `fanin init` tells of a model from another, by `rules`.
    fn init(&self, model: &str, out: &str, more: &[&str]) -> Value {
        let out = self.name(out);
        let arguments = ["init", model, "--device", "cpu", "--json", "--force", "--out", &out];
        serde_json::from_str(&succeeds(&[&arguments, more].concat())).unwrap()
    }
}

fn floats(values: &[f32]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

fn of(path: &Path, name: &str) -> (Dtype, Vec<usize>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    (tensor.dtype(), tensor.shape().to_vec(), tensor.data().to_vec())
}

fn tensor<'a>(document: &'a Value, name: &str) -> &'a Value {
    let tensors = document["tensors"].as_array().unwrap();
    tensors.iter().find(|tensor| tensor["name"] == name).unwrap()
}

/// A perceptron, a norm, a counter and an empty tensor, trained a little.
fn model(files: &Folder) -> String {
    let count = 7i64.to_le_bytes().to_vec();
    files.tensors(
        "old.safetensors",
        &[
            ("fc.weight", Dtype::F32, &[8, 16], floats(&[0.5; 128])),
            ("fc.bias", Dtype::F32, &[8], floats(&[0.25; 8])),
            (
                "ln.weight",
                Dtype::F32,
                &[8],
                floats(&[1.1, -0.3, 1e-3, 2.0, 3.0, 4.0, 5.0, 65504.0]),
            ),
            ("ln.bias", Dtype::F32, &[8], floats(&[0.1; 8])),
            ("ln.count", Dtype::I64, &[], count),
            ("none", Dtype::F32, &[0], Vec::new()),
        ],
    )
}

#[test]
fn the_rules_of_readme_are_for_whole_models() {
    let files = Folder::new();
    let model = model(&files);
    let rules = ["--rule", "ln.count=zeros", "--rule", "*.bias=zeros", "--rule", "*=he_normal"];
    let made = files.init(&model, "new.safetensors", &rules);
    for (name, init) in [
        ("fc.weight", "he_normal"),
        ("fc.bias", "zeros"),
        ("ln.weight", "ones"),
        ("ln.bias", "zeros"),
    ] {
        assert_eq!(tensor(&made, name)["init"], init, "{name}");
    }
    let new = files.path("new.safetensors");
    assert_eq!(of(&new, "ln.weight").2, floats(&[1.0; 8]));
    // Seed and initializers are in the file; and so are tensors without elements.
    assert_eq!(of(&new, "none"), (Dtype::F32, vec![0], Vec::new()));
    let bytes = fs::read(&new).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().as_ref().unwrap();
    assert_eq!(metadata["format"], "pt");
    let said: Value = serde_json::from_str(&metadata["fanin.init"]).unwrap();
    assert_eq!((&said["seed"], &said["contract"]), (&0.into(), &1.into()));
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(said["tensors"]["fc.weight"]["init"], "he_normal");
}

#[test]
fn inputs_may_come_first() {
    let files = Folder::new();
    let model = files.tensors(
        "conv1d.safetensors",
        &[("c_fc.weight", Dtype::F32, &[64, 256], vec![0; 4 * 64 * 256])],
    );
    let made = files.init(&model, "new.safetensors", &["--rule", "*=he_normal layout=in_out"]);
    let made = tensor(&made, "c_fc.weight");
    assert_eq!(made["layout"], "in_out");
    assert_eq!((&made["fan_in"], &made["fan_out"]), (&64.into(), &256.into()));
    assert!((made["expected_std"].as_f64().unwrap() - (2.0 / 64f64).sqrt()).abs() < 1e-12);
    // The table says so too, and the seed.
    let out = files.name("again.safetensors");
    let rule = "*=he_normal layout=in_out";
    let output = fanin(&["init", &model, "--rule", rule, "--seed", "12", "--out", &out]);
    let (table, said) = (text(&output.stdout), text(&output.stderr));
    assert!(table.contains("64, 256") && table.contains("in_out"), "{table}");
    assert!(said.contains("seed 12"), "{said}");
}

/// Rows of a tensor are made anew, or of a larger one are those that the file has.
#[test]
fn a_part_of_a_tensor_is_made_anew() {
    let files = Folder::new();
    let numbers: Vec<f32> = (0..12).map(|value| value as f32).collect();
    let tensors: [(&str, Dtype, &[usize], Vec<u8>); 2] = [
        ("wte", Dtype::F32, &[4, 3], floats(&numbers)),
        ("ln.weight", Dtype::F32, &[3], floats(&[0.5; 3])),
    ];
    let model = files.tensors("old.safetensors", &tensors);
    let values = |name: &str| -> Vec<f32> {
        let (dtype, _, bytes) = of(&files.path("new.safetensors"), name);
        match dtype {
            Dtype::F32 => bytemuck::pod_collect_to_vec(&bytes),
            _ => bytemuck::pod_collect_to_vec::<u8, u16>(&bytes)
                .into_iter()
                .map(|bits| bf16::from_bits(bits).to_f32())
                .collect(),
        }
    };
    let rules = ["--rule", "wte=constant:9 rows=1", "--rule", "*=keep"];
    let made = files.init(&model, "new.safetensors", &rules);
    assert_eq!(tensor(&made, "wte")["init"], "keep; constant:9 at 1");
    assert_eq!(tensor(&made, "wte")["expected_mean"], Value::Null);
    let wanted = [0.0, 1.0, 2.0, 9.0, 9.0, 9.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];
    assert_eq!(values("wte"), wanted);
    assert_eq!(values("ln.weight"), [0.5; 3]);
    let report = check(&files.path("new.safetensors"), &CheckOptions::default()).unwrap();
    let found: Vec<_> = report.tensors.into_iter().map(|own| own.drawn).collect();
    let untold = |why: &str| Some(Finding::Untold(why.into()));
    assert!(found.contains(&untold("a copy in part")) && found.contains(&untold("a copy")));
    // By columns.
    let rules = ["--rule", "wte=constant:9 rows=1.. axis=1", "--rule", "*=keep"];
    files.init(&model, "new.safetensors", &rules);
    assert_eq!(values("wte")[..6], [0.0, 9.0, 9.0, 3.0, 9.0, 9.0]);

    // More rows, and more columns, rounded too: what was there stays where it was.
    for (more, shape, keep) in [
        ("[6,3]", [6, 3], "wte=keep rows=..4"),
        ("[4,5]", [4, 5], "wte=keep rows=..3 axis=1"),
        ("[2,3]", [2, 3], "wte=keep rows=.."),
    ] {
        let full = format!("wte=constant:-1 shape={more}");
        let rules = ["--rule", keep, "--rule", &full, "--rule", "*=keep", "--dtype", "bf16"];
        files.init(&model, "new.safetensors", &rules);
        let at = |index: usize| match (index / shape[1], index % shape[1]) {
            (row, column) if row < 4 && column < 3 => numbers[row * 3 + column],
            _ => -1.0,
        };
        let wanted: Vec<f32> = (0..shape[0] * shape[1]).map(at).collect();
        assert_eq!(values("wte"), wanted, "{more}");
    }
    let out = files.name("none.safetensors");
    let refused = |rules: &[&str], parts: &[&str]| {
        fails(2, &[&["init", &model, "--out", &out], rules].concat(), parts);
        assert!(!files.path("none.safetensors").exists());
    };
    let wide = ["--rule", "wte=zeros shape=[6,3]", "--rule", "*=keep"];
    refused(&[&["--rule", "wte=keep rows=..5"], &wide[..]].concat(), &["keep", "[4, 3]", "0..5"]);
    let both = ["--rule", "wte=zeros shape=[6,4]", "--rule", "*=keep"];
    refused(&[&["--rule", "wte=keep rows=..4"], &both[..]].concat(), &["the length of their axis"]);
    refused(&["--rule", "wte=keep rows=5", "--rule", "*=keep"], &["5", "within its 4"]);
    refused(&["--rule", "*=zeros rows=9..", "--rule", "*=keep"], &["9..", "within its 3"]);
    refused(&["--rule", "wte=zeros rows=0"], &["ln.weight", "no rule that matches it"]);
}

/// A layer made anew, or a head of other classes; the others are copied, as what they are or rounded.
#[test]
fn a_part_of_a_model_is_made_anew() {
    let files = Folder::new();
    let model = model(&files);
    let rules = ["--rule", "fc.*=normal:0.01", "--rule", "*=keep"];
    let made = files.init(&model, "new.safetensors", &rules);
    assert_eq!(tensor(&made, "ln.weight")["init"], "keep");
    assert_eq!(tensor(&made, "ln.weight")["expected_std"], Value::Null);
    let (old, new) = (files.path("old.safetensors"), files.path("new.safetensors"));
    for name in ["ln.weight", "ln.bias", "ln.count", "none"] {
        assert_eq!(of(&new, name), of(&old, name), "{name}");
    }
    assert_ne!(of(&new, "fc.weight").2, of(&old, "fc.weight").2);

    // In the place of the old, and in shards.
    let rules = ["--rule", "fc.weight=zeros shape=[3,16]", "--rule", "*=keep"];
    let ln = of(&old, "ln.weight");
    files.init(&model, "old.safetensors", &rules);
    assert_eq!(of(&old, "fc.weight").1, [3, 16]);
    assert_eq!(of(&old, "ln.weight"), ln);
    files.init(&model, "shards.safetensors", &["--rule", "*=keep", "--max-shard-size", "40"]);
    let index = files.name("shards.safetensors.index.json");
    files.init(&index, "whole.safetensors", &["--rule", "*=keep"]);
    for name in ["fc.weight", "fc.bias", "ln.weight", "ln.bias", "ln.count", "none"] {
        assert_eq!(of(&files.path("whole.safetensors"), name), of(&old, name), "{name}");
    }

    // Rounded to nearest, as another library does it; counters are not.
    let (_, _, bytes) = &ln;
    let values: &[f32] = bytemuck::cast_slice(bytes);
    let rules = ["--rule", "*=keep", "--dtype"];
    files.init(&model, "bf16.safetensors", &[&rules[..], &["bf16"]].concat());
    let expected: Vec<u8> =
        values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    assert_eq!(of(&files.path("bf16.safetensors"), "ln.weight").2, expected);
    assert_eq!(of(&files.path("bf16.safetensors"), "ln.count").0, Dtype::I64);
    files.init(&model, "f16.safetensors", &[&rules[..], &["f16"]].concat());
    let expected: Vec<u8> =
        values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
    assert_eq!(of(&files.path("f16.safetensors"), "ln.weight").2, expected);
    // What has no room is lost nowhere.
    let model = files.tensors(
        "large.safetensors",
        &[("a", Dtype::F32, &[3], floats(&[1.0, -7e4, f32::INFINITY]))],
    );
    let out = files.name("large16.safetensors");
    let arguments = ["init", &model, "--rule", "*=keep", "--dtype", "f16", "--out", &out];
    fails(
        2,
        &arguments,
        &["tensor `a`, element 1: got -70000, needed a value that f16 has room for"],
    );
    assert!(!files.path("large16.safetensors").exists());
}

#[test]
fn files_of_other_formats_are_named() {
    let files = Folder::new();
    let out = files.name("new.safetensors");
    let refused = |name: &str, bytes: &[u8], parts: &[&str]| {
        fs::write(files.path(name), bytes).unwrap();
        let parts: Vec<&str> =
            parts.iter().chain(&["which is not a format that init reads"]).copied().collect();
        fails(2, &["init", &files.name(name), "--rule", "*=zeros", "--out", &out], &parts);
    };
    refused("m.gguf", b"GGUF\x03\0\0\0", &["a GGUF model", "converted from"]);
    refused("m.GGUF", b"", &["a GGUF model"]);
    refused("unnamed", b"GGUF\x03\0\0\0", &["a GGUF model"]);
    refused("m.pt", b"PK\x03\x04", &["safetensors.torch.save_file"]);
    refused("pytorch_model.bin", b"\x80\x02", &["safetensors.torch.save_file"]);
    refused(
        "tokenizer.json",
        b"{\"version\": \"1.0\"}",
        &["without a weight_map", "--print-recipe"],
    );
    refused("bytes", b"\xff\0\xfe", &["a binary file"]);
    fails(2, &["init", files.0.path().to_str().unwrap(), "--out", &out], &["a folder"]);
    // In capitals it is what it is.
    let model = files.tensors("m.SAFETENSORS", &[("a", Dtype::F32, &[2], floats(&[1.0; 2]))]);
    files.init(&model, "new.safetensors", &["--rule", "*=ones"]);
}

const RECIPE: &str = r#"
name = "r"
[[tensor]]
name = "{a,b}.weight"
shape = [64, 48]
init = "he_normal"
depth = 6
[[tensor]]
name = "conv"
shape = [3, 3, 8, 12]
layout = "in_out"
init = "delta_orthogonal"
[[tensor]]
name = "q"
shape = [20, 30]
dtype = "bf16"
init = "orthogonal:relu"
[[tensor]]
name = "u"
shape = [100003]
dtype = "f16"
init = "truncated_normal:0.02"
[[tensor]]
name = "steps"
shape = []
dtype = "i64"
init = "constant:3"
"#;

fn written(files: &Folder, name: &str, seed: u64, shard: Option<u64>) -> PathBuf {
    let recipe = Recipe::parse(RECIPE, "r.toml").unwrap();
    let out = files.path(name);
    let options = WriteOptions {
        seed,
        max_shard_bytes: shard,
        force: true,
        file_digests: true,
        ..WriteOptions::new(&out)
    };
    write(&recipe, &Device::Cpu, options).unwrap();
    out
}

fn wrong(path: &Path) -> Vec<TensorCheck> {
    let report = check(path, &CheckOptions::default()).unwrap();
    report.tensors.into_iter().filter(TensorCheck::is_wrong).collect()
}

#[test]
fn a_model_is_what_is_said_of_it() {
    let files = Folder::new();
    let whole = written(&files, "m.safetensors", 7, None);
    written(&files, "s.safetensors", 7, Some(20_000));
    let shard = files.path("s-00002-of-00004.safetensors");
    for path in [
        whole,
        files.path("m.manifest.json"),
        files.path("s.safetensors.index.json"),
        files.path("s.manifest.json"),
        shard,
    ] {
        let report = check(&path, &CheckOptions::default()).unwrap();
        assert!(!report.is_wrong(), "{report:?}");
        let is_shard = path.to_str().unwrap().contains("-of-");
        assert_eq!(report.tensors.len() == 6, !is_shard);
        for tensor in &report.tensors {
            assert_eq!(tensor.manifest, Some(Finding::Same), "{}", tensor.name);
            assert_eq!(tensor.drawn, Some(Finding::Same), "{}", tensor.name);
            assert_eq!(tensor.seed, Some(7));
        }
    }
    // One machine's manifest beside another's files, however they are parted.
    let theirs = files.path("m.manifest.json");
    let options = CheckOptions { manifest: Some(&theirs), ..CheckOptions::default() };
    assert!(!check(&files.path("s.safetensors.index.json"), &options).unwrap().is_wrong());
    written(&files, "other.safetensors", 8, None);
    let report = check(&files.path("other.safetensors"), &options).unwrap();
    let wrong = report.tensors.iter().filter(|tensor| tensor.is_wrong()).count();
    // The counter alone is of no seed.
    assert_eq!((report.tensors.len(), wrong), (6, 5));
}

#[test]
fn what_is_not_what_is_said_of_it_is_named() {
    let files = Folder::new();
    let whole = written(&files, "m.safetensors", 7, None);
    let good = fs::read(&whole).unwrap();
    let tensors = SafeTensors::deserialize(&good).unwrap();
    let data = tensors.tensor("u").unwrap().data();
    let at = data.as_ptr() as usize - good.as_ptr() as usize;

    // One bit of one element.
    let mut bytes = good.clone();
    bytes[at + 2 * 70_001] ^= 1;
    fs::write(&whole, &bytes).unwrap();
    let found = wrong(&whole);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "u");
    assert!(matches!(&found[0].manifest, Some(Finding::Wrong(how)) if how.starts_with("digest ")));
    let drawn = Some(Finding::Wrong("1 of 100003 elements, from 70001 on".into()));
    assert_eq!(found[0].drawn, drawn);
    let output = fanin(&["check", whole.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("1 of 6 tensors and 1 file are not what"));
    // Its metadata tell as much without the manifest.
    fs::rename(files.path("m.manifest.json"), files.path("kept.json")).unwrap();
    let found = wrong(&whole);
    assert_eq!((found.len(), &found[0].manifest, &found[0].drawn), (1, &None, &drawn));

    // A header that claims another seed.
    let mut bytes = good.clone();
    let seed = br#"seed\":7"#;
    let at = bytes.windows(seed.len()).position(|window| window == seed).unwrap();
    bytes[at + seed.len() - 1] = b'8';
    fs::write(&whole, bytes).unwrap();
    assert_eq!(wrong(&whole).len(), 5);

    // Half of it; and none of it.
    fs::rename(files.path("kept.json"), files.path("m.manifest.json")).unwrap();
    fs::write(&whole, &good[..good.len() / 2]).unwrap();
    let report = check(&whole, &CheckOptions::default()).unwrap();
    assert!(report.files[0].finding.is_wrong());
    assert_eq!(report.tensors.iter().filter(|own| own.is_wrong()).count(), 6);
    fs::remove_file(&whole).unwrap();
    let gone = check(&whole, &CheckOptions::default()).unwrap_err();
    assert!(matches!(gone, Error::File { .. }), "{gone}");
    let manifest = files.name("m.manifest.json");
    assert_eq!(fanin(&["check", &manifest]).status.code(), Some(1));

    // Of what nothing is said.
    let nothing = files.tensors("n.safetensors", &[("a", Dtype::F32, &[1], vec![0; 4])]);
    fails(2, &["check", &nothing], &["no manifest beside it", "--manifest"]);
    fs::write(files.path("n.manifest.json"), "{}").unwrap();
    fails(2, &["check", &nothing], &["n.manifest.json", "needed a manifest"]);
}

/// What a manifest has and the files have not, and the other way round.
#[test]
fn a_manifest_is_held_to_its_tensors() {
    let files = Folder::new();
    let whole = written(&files, "m.safetensors", 7, None);
    let rules = Rules::pairs(["a.weight=zeros shape=[64,47]", "u=zeros", "*=keep"]).unwrap();
    let mut other = Recipe::from_safetensors(&whole, &rules).unwrap();
    other.tensors.retain(|tensor| tensor.name != "b.weight");
    let out = files.path("other.safetensors");
    write(&other, &Device::Cpu, WriteOptions::new(&out)).unwrap();
    let theirs = files.path("m.manifest.json");
    let options = CheckOptions { manifest: Some(&theirs), ..CheckOptions::default() };
    let report = check(&out, &options).unwrap();
    let found = |name: &str| {
        let tensor = report.tensors.iter().find(|tensor| tensor.name == name).unwrap();
        (tensor.manifest.clone(), tensor.drawn.clone())
    };
    assert_eq!(found("b.weight"), (Some(Finding::Wrong("not there".into())), None));
    let shape = Some(Finding::Wrong("shape [64, 48] there".into()));
    assert_eq!(found("a.weight"), (shape, Some(Finding::Same)));
    assert!(found("u").0.unwrap().is_wrong());
    assert_eq!(found("conv"), (Some(Finding::Same), Some(Finding::Untold("a copy".into()))));
    let mine = files.path("other.manifest.json");
    let options = CheckOptions { manifest: Some(&mine), ..CheckOptions::default() };
    let report = check(&whole, &options).unwrap();
    let extra = report.tensors.iter().find(|tensor| tensor.name == "b.weight").unwrap();
    assert_eq!(extra.manifest, Some(Finding::Wrong("not in it".into())));
}
