//! Recipes into files: the same bytes from every engine and in every chunking, whole or not at all.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fanin::device::{Chunks, Draw};
use fanin::random::{Dtype, Source, Stream};
use fanin::recipe::{Recipe, TensorSpec, WriteOptions, WriteReport, write};
use fanin::{Device, Error, Shape};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use crate::devices::{SEED, contexts};
use crate::plain::rounded;

/// Every dtype and kind of initializer, odd sizes, a scalar, a counter.
pub const MIXED: &str = r#"
name = "mixed"

[[tensor]]
name = "conv.weight"
shape = [5, 3, 3, 3]
init = "he_normal:mode=fan_out"

[[tensor]]
name = "steps"
shape = []
dtype = "i64"
init = "constant:-3"

[[tensor]]
name = "half.{a,b}"
shape = [31, 7]
dtype = "f16"
init = "truncated_normal:0.02"

[[tensor]]
name = "brain"
shape = [1001]
dtype = "bf16"
init = "uniform:-0.1,0.3"

[[tensor]]
name = "mask"
shape = [3]
dtype = "bool"
init = "ones"

[[tensor]]
name = "wide.weight"
shape = [517, 129]
init = "xavier_uniform"
layout = "in_out"

[[tensor]]
name = "mix.weight"
shape = [70, 50]
dtype = "bf16"
init = "orthogonal:gain=0.5"
layout = "in_out"
depth = 2

[[tensor]]
name = "skip.weight"
shape = [6, 2, 3, 3]
init = "dirac"
groups = 2

[[tensor]]
name = "eight.{a,b}"
shape = [37, 11]
dtype = "f8_e4m3"
init = "normal:0.5"

[[tensor]]
name = "five"
shape = [1003]
dtype = "float8_e5m2"
init = "uniform:-0.1,0.3"

[[tensor]]
name = "turn.weight"
shape = [21, 30]
dtype = "f8_e5m2"
init = "orthogonal"

[[tensor]]
name = "double.weight"
shape = [67, 33]
dtype = "f64"
init = "he_normal"

[[tensor]]
name = "double.bias"
shape = [5]
dtype = "f64"
init = "constant:0.1"

[[tensor]]
name = "few.weight"
shape = [40, 90]
dtype = "f16"
init = "sparse:0.9"
"#;

pub fn written(
    recipe: &Recipe,
    engine: &dyn Draw,
    out: &Path,
    max_shard_bytes: Option<u64>,
) -> fanin::Result<WriteReport> {
    let options =
        WriteOptions { seed: SEED, max_shard_bytes, file_digests: true, ..WriteOptions::new(out) };
    write(recipe, engine, options)
}

pub fn engines() -> Vec<Box<dyn Draw>> {
    let mut engines: Vec<Box<dyn Draw>> =
        vec![Box::new(Device::Cpu.in_chunks(16 << 20)), Box::new(Device::Cpu.in_chunks(5_000))];
    for context in contexts() {
        engines.push(Box::new(Device::Gpu(context.clone()).in_chunks(16 << 20)));
        engines.push(Box::new(Device::Gpu(context.clone()).in_chunks(70_001)));
    }
    engines
}

#[test]
fn every_engine_and_chunk_writes_the_same_bytes() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let mut first: Option<(Vec<u8>, Vec<u8>)> = None;
    for engine in engines() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("mixed.safetensors");
        written(&recipe, engine.as_ref(), &out, None).unwrap();
        let file = std::fs::read(&out).unwrap();
        let manifest = std::fs::read(folder.path().join("mixed.manifest.json")).unwrap();
        let (want_file, want_manifest) =
            first.get_or_insert_with(|| (file.clone(), manifest.clone()));
        assert!(file == *want_file, "{}", engine.device());
        assert!(manifest == *want_manifest, "{}", engine.device());
    }
}

#[test]
fn a_recipe_as_text_is_the_same_recipe() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let again = Recipe::parse(&recipe.to_toml(), "mixed").unwrap();
    for (tensor, again) in recipe.tensors.iter().zip(&again.tensors) {
        assert_eq!(tensor.name, again.name);
        let given = (&tensor.shape, tensor.dtype, tensor.source);
        assert_eq!(given, (&again.shape, again.dtype, again.source), "{}", tensor.name);
    }
    assert_eq!(recipe.tensors.len(), again.tensors.len());
}

#[test]
fn each_tensor_is_the_same_tensor_made_alone() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mixed.safetensors");
    let report = written(&recipe, &Device::Cpu.in_chunks(1 << 20), &out, None).unwrap();
    let bytes = std::fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), recipe.tensors.len());
    for (spec, done) in recipe.tensors.iter().zip(&report.tensors) {
        let stored = file.tensor(&spec.name).unwrap();
        let shape: Vec<u64> = stored.shape().iter().map(|&dim| dim as u64).collect();
        assert_eq!(shape, spec.shape.dims());
        let mut alone = vec![0; spec.bytes() as usize];
        let stream = Stream::named(SEED, &spec.name);
        match spec.source {
            Source::Elements(distribution) => {
                distribution.draw(&stream, spec.dtype, 0, &mut alone).unwrap();
            }
            Source::Whole(whole) => {
                let values = whole.draw(&stream).unwrap();
                let elements = values.iter().zip(alone.chunks_exact_mut(spec.dtype.size()));
                for (value, bytes) in elements {
                    let bits = rounded(spec.dtype.name(), value.to_bits()).to_le_bytes();
                    bytes.copy_from_slice(&bits[..bytes.len()]);
                }
            }
            Source::Table(_) => panic!("{} is a table", spec.name),
        }
        assert!(stored.data() == alone, "{}", spec.name);
        let digest: String =
            Sha256::digest(&alone).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(done.sha256, digest, "{}", spec.name);
        // A few standard errors: sizes here are small.
        let count = spec.shape.elements() as f64;
        let error = spec.source.std() / count.sqrt();
        assert!((done.moments.mean - spec.source.mean()).abs() <= 5.0 * error + 1e-12);
        assert_eq!(done.moments.count, spec.shape.elements());
    }
    assert_eq!(file.tensor("steps").unwrap().data(), (-3i64).to_le_bytes());
    assert_eq!(file.tensor("mask").unwrap().data(), [1, 1, 1]);
    assert_eq!(file.tensor("double.bias").unwrap().data()[..8], 0.1f64.to_le_bytes());
}

#[test]
fn the_order_of_tensors_does_not_matter() {
    let mut recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let digest = |recipe: &Recipe, name: &str| {
        let out = folder.path().join(name);
        let report = written(recipe, &Device::Cpu.in_chunks(1 << 20), &out, None).unwrap();
        report.files[0].sha256.clone().unwrap()
    };
    let forwards = digest(&recipe, "a.safetensors");
    recipe.tensors.reverse();
    assert_eq!(digest(&recipe, "b.safetensors"), forwards);
}

#[test]
fn shards_hold_what_the_whole_holds() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.safetensors");
    written(&recipe, &Device::Cpu.in_chunks(1 << 20), &whole, None).unwrap();
    let whole = std::fs::read(whole).unwrap();
    let whole = SafeTensors::deserialize(&whole).unwrap();

    let out = folder.path().join("model.safetensors");
    let report = written(&recipe, &Device::Cpu.in_chunks(1 << 20), &out, Some(2_000)).unwrap();
    assert!(!out.exists());
    let index = std::fs::read(folder.path().join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["metadata"]["total_size"], recipe.bytes());
    let map = index["weight_map"].as_object().unwrap();
    assert_eq!(map.len(), recipe.tensors.len());
    for spec in &recipe.tensors {
        let shard = map[&spec.name].as_str().unwrap();
        assert!(shard.starts_with("model-000") && shard.ends_with("-of-00010.safetensors"));
        let bytes = std::fs::read(folder.path().join(shard)).unwrap();
        let shard = SafeTensors::deserialize(&bytes).unwrap();
        let (ours, theirs) = (shard.tensor(&spec.name), whole.tensor(&spec.name));
        assert_eq!(ours.unwrap().data(), theirs.unwrap().data());
        // Within the limit, or a tensor alone.
        let data: usize = shard.iter().map(|(_, tensor)| tensor.data().len()).sum();
        assert!(data <= 2_000 || shard.len() == 1);
    }
    // Ten shards, the index, the manifest.
    assert_eq!(report.files.len(), 12);
}

#[test]
fn an_index_is_initialized_anew_by_rules() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model.safetensors");
    written(&recipe, &Device::Cpu.in_chunks(1 << 20), &out, Some(2_000)).unwrap();
    let rules = fanin::recipe::Rules::pairs(["{steps,mask}=zeros", "*=normal:0.5"]).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let anew = Recipe::from_safetensors(&index, &rules).unwrap();
    assert_eq!(anew.tensors.len(), recipe.tensors.len());
    for spec in &recipe.tensors {
        let found = anew.tensors.iter().find(|tensor| tensor.name == spec.name).unwrap();
        assert_eq!((&found.shape, found.dtype), (&spec.shape, spec.dtype));
    }
}

/// Chunks end within tensors, at their ends, and hold many: each digest is of its own bytes all the same,
/// and the file's, where it is asked for, of the whole.
#[test]
fn digests_are_of_what_was_written() {
    let tensor = |name: &str, bytes: u64| {
        format!("[[tensor]]\nname = \"{name}\"\nshape = [{}]\ninit = \"normal:1\"\n", bytes / 4)
    };
    let (chunk, small) = (2 << 20, 300 << 10);
    let sizes = [4, 8, chunk, chunk - 4, chunk + 4, 4, small, 12, 5 * chunk, 20, small, small, 16];
    let text: String =
        sizes.iter().enumerate().map(|(at, size)| tensor(&format!("t{at:02}"), *size)).collect();
    let text = text + "[[tensor]]\nname = \"u{0..500}\"\nshape = [300]\ninit = \"uniform:1\"\n";
    let recipe = Recipe::parse(&text, "sizes").unwrap();
    let hex = |bytes: &[u8]| -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    for (engine, file_digests) in [(1 << 16, true), (2 << 20, false), (16 << 20, true)] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("model.safetensors");
        let options = WriteOptions {
            seed: SEED,
            max_shard_bytes: Some(8 << 20),
            file_digests,
            ..WriteOptions::new(&out)
        };
        let report = write(&recipe, &Device::Cpu.in_chunks(engine), options).unwrap();
        let manifest = std::fs::read(folder.path().join("model.manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let (mut seen, mut shards) = (0, 0);
        for (at, file) in report.files.iter().enumerate() {
            let bytes = std::fs::read(&file.path).unwrap();
            assert_eq!(file.bytes, bytes.len() as u64);
            let weights = file.path.extension().unwrap() == "safetensors";
            let digest = (file_digests || !weights).then(|| hex(&bytes));
            assert_eq!(file.sha256, digest);
            if let Some(entry) = manifest["files"].get(at) {
                assert_eq!(entry["sha256"].as_str(), digest.as_deref());
            }
            if !weights {
                continue;
            }
            shards += 1;
            let stored = SafeTensors::deserialize(&bytes).unwrap();
            for (spec, done) in recipe.tensors.iter().zip(&report.tensors) {
                if Some(done.file.as_str()) == file.path.file_name().unwrap().to_str() {
                    assert_eq!(done.sha256, hex(stored.tensor(&spec.name).unwrap().data()));
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, recipe.tensors.len());
        assert!(shards > 1);
    }
}

fn left_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let recipe = Recipe::builtin("mlp").unwrap();
    for engine in engines() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("mlp.safetensors");
        let stop = AtomicBool::new(false);
        let mut seen = 0;
        let mut progress = |bytes| {
            seen += bytes;
            stop.store(true, Ordering::Relaxed);
        };
        let options = WriteOptions {
            file_digests: true,
            stop: Some(&stop),
            progress: Some(&mut progress),
            ..WriteOptions::new(&out)
        };
        let error = write(&recipe, engine.as_ref(), options);
        assert!(matches!(error, Err(Error::Interrupted)), "{}", engine.device());
        assert!(seen > 0);
        assert_eq!(left_in(folder.path()), Vec::<String>::new());
    }
}

#[test]
fn a_device_that_fails_midway_leaves_nothing() {
    // Draws twice, then is lost.
    struct Lost(Chunks);
    impl Draw for Lost {
        fn engine(&self) -> &'static str {
            "lost"
        }
        fn device(&self) -> String {
            "lost".into()
        }
        fn piece_bytes(&self) -> u64 {
            4096
        }
        fn draw(
            &self,
            pieces: &[fanin::device::Piece],
            sink: &mut fanin::device::Sink<'_>,
        ) -> fanin::Result<()> {
            self.0.draw(&pieces[..2], sink)?;
            Err(Error::Device { device: "lost".into(), message: "the device was lost".into() })
        }
    }
    let recipe = Recipe::builtin("mlp").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mlp.safetensors");
    let error = written(&recipe, &Lost(Device::Cpu.in_chunks(4096)), &out, None).unwrap_err();
    assert!(error.to_string().contains("lost") && !error.is_usage());
    assert_eq!(left_in(folder.path()), Vec::<String>::new());
}

#[test]
fn outputs_that_exist_are_kept() {
    let recipe = Recipe::parse(MIXED, "mixed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for taken in ["model.safetensors", "model.manifest.json"] {
        let path = folder.path().join(taken);
        std::fs::write(&path, "mine").unwrap();
        let out = folder.path().join("model.safetensors");
        let error = written(&recipe, &Device::Cpu.in_chunks(4096), &out, None).unwrap_err();
        assert!(matches!(&error, Error::Exists { path: found } if *found == path), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn gpt2_is_the_same_model_as_ever() {
    // Of every tensor's digest, in order; a change is a change of the contract.
    let mut recipe = Recipe::builtin("gpt2").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("gpt2.safetensors");
    recipe.tensors.retain(|spec| spec.name.starts_with("h.11.") || spec.name == "wpe.weight");
    let report = written(&recipe, &Device::Cpu.in_chunks(16 << 20), &out, None).unwrap();
    let digests: String = report.tensors.iter().map(|done| done.sha256.as_str()).collect();
    let digest: String = Sha256::digest(digests).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "b714cdbaba879d3a0062ad31c2053609965c3177c9153d033e02f3eb3230fdf8");
    let dtypes: Vec<Dtype> = recipe.tensors.iter().map(|spec| spec.dtype).collect();
    assert!(dtypes.iter().all(|dtype| *dtype == Dtype::F32));
}

/// One put together by hand holds to what one that is read holds to, and comes to the same bytes.
#[test]
fn a_recipe_by_hand_is_held_to_the_same() {
    let spec = |name: &str, init: &str| {
        TensorSpec::new(name, Shape::new([6, 4]).unwrap(), init.parse().unwrap())
    };
    let by_hand = Recipe::new("r", vec![spec("a", "he_normal").unwrap()]).unwrap();
    let text = "name = \"r\"\n[[tensor]]\nname = \"a\"\nshape = [6, 4]\ninit = \"he_normal\"\n";
    let mut read = Recipe::parse(text, "r").unwrap();
    // As the initializer writes itself, where there is no text to keep.
    read.tensors[0].init = by_hand.tensors[0].init.clone();
    assert_eq!(by_hand, read);

    let message = |result: fanin::Result<Recipe>| result.unwrap_err().to_string();
    let two = || vec![spec("a", "he_normal").unwrap(), spec("a", "zeros").unwrap()];
    let twice = "tensor `a`: got two of this name, needed a name for each tensor";
    assert_eq!(message(Recipe::new("r", two())), twice);
    assert_eq!(
        message(Recipe::new("r", Vec::new())),
        "recipe: got no tensors, needed at least one"
    );
    let lsuv = spec("a", "lsuv").unwrap_err().to_string();
    assert!(lsuv.starts_with("tensor `a`: initializer: got lsuv:"), "{lsuv}");

    // Fields are public, so it is looked at again before anything is written.
    let folder = tempfile::tempdir().unwrap();
    let doubled = Recipe { tensors: two(), ..by_hand };
    let error = written(&doubled, &Device::Cpu, &folder.path().join("m.safetensors"), None);
    assert_eq!(error.unwrap_err().to_string(), twice);
    assert_eq!(left_in(folder.path()), Vec::<String>::new());
}
