//! Whatever a file or an argument holds, reading it ends, in little time and memory, in a value or in an
//! error that says so in one plain line.
//!
//! Inputs are good ones that were damaged, each by words of its own stream: its number is enough to make
//! it again. `FANIN_FUZZ` is how many there are of each kind (300 where it is not set).

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fanin::Device;
use fanin::gpu::{Choice, FillShape, Route, Tuning, Way};
use fanin::init::{FanMode, Geometry, Init, catalogue};
use fanin::model::data::{Generated, LoadOptions, Loaded, Standardizer, Task, load};
use fanin::model::{Loss, Mlp, Model, Optimizer, Predictor, Schedule, TrainOptions, Trainer};
use fanin::random::{Dtype, PhiloxRng, Source, Stream};
use fanin::recipe::{
    Content, DryRun, ModelConfig, Plan, Rank, Recipe, Rules, Stretch, TensorSpec, WriteOptions,
    merge, write,
};
use fanin::{Activation, Layout, Result, Shape, plain};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::RngExt;
use serde_json::Value;

use crate::cli::Folder;
use crate::memory::peak;

/// The most that reading one input may take. A recipe of a few bytes may have a million tensors.
const SECONDS: u64 = 30;
const BYTES: usize = 1 << 30;

/// Damages good inputs and reads them.
fn fuzz(kind: &str, good: &[Vec<u8>], mut read: impl FnMut(&[u8]) -> Result<()>) {
    for input in good {
        read(input).unwrap_or_else(|error| panic!("{kind}, undamaged: {error}"));
    }
    let count = std::env::var("FANIN_FUZZ").map_or(300, |count| count.parse().unwrap());
    for number in 0..count {
        let input = damaged(&mut PhiloxRng::new(Stream::named(number, kind)), good);
        let start = Instant::now();
        let (done, bytes) = peak(|| catch_unwind(AssertUnwindSafe(|| read(&input))));
        let place =
            || format!("{kind} {number}: {}", input[..input.len().min(3000)].escape_ascii());
        let Ok(done) = done else { panic!("{}", place()) };
        assert!(
            start.elapsed() < Duration::from_secs(SECONDS),
            "{:?}, {}",
            start.elapsed(),
            place()
        );
        assert!(bytes < BYTES, "{bytes} bytes, {}", place());
        if let Err(error) = done {
            let text = error.to_string();
            assert_eq!(text, plain(&text).to_string(), "{}", place());
            assert!(!text.is_empty() && text.len() < 30_000, "{}", place());
        }
    }
}

const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "2",
    "-1",
    "127",
    "255",
    "256",
    "65535",
    "100000",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-320",
    "nan",
    "inf",
];

const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    ",",
    ":",
    "=",
    ".",
    "..",
    "*",
    "?",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\x1b[2J",
    "\u{9b}",
    "\u{202e}",
    "\u{feff}",
    "\u{2028}",
    "é",
    "{0..3}",
    "{a,b}",
    "__metadata__",
    "null",
    "true",
    "{}",
    "[[",
    "]]",
    "\\u001b",
    "\\",
    "-",
    "+",
    "1e",
    "../",
    "/",
];

const INTEGERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

fn damaged(rng: &mut PhiloxRng, good: &[Vec<u8>]) -> Vec<u8> {
    let mut input = good[rng.random_range(0..good.len())].clone();
    // Mostly little, so that much of the reader is reached.
    for _ in 0..1 << rng.random_range(0..4) {
        let at = rng.random_range(0..=input.len());
        let end = (at + (1 << rng.random_range(0..8))).min(input.len());
        match rng.random_range(0..12) {
            0 | 1 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            2 if at < input.len() => input[at] = rng.random(),
            3 => insert(&mut input, at, &rng.random::<[u8; 3]>()),
            4 => drop(input.drain(at..end)),
            5 => {
                let stretch = input[at..end].repeat(1 << rng.random_range(0..6));
                let to = rng.random_range(0..=input.len());
                insert(&mut input, to, &stretch);
            }
            6 if rng.random_range(0..4) == 0 => input.truncate(at),
            7 => {
                let other = &good[rng.random_range(0..good.len())];
                let from = rng.random_range(0..=other.len());
                input.truncate(at);
                input.extend(&other[from..]);
            }
            8 => insert(&mut input, at, WORDS[rng.random_range(0..WORDS.len())].as_bytes()),
            9 => {
                let integer = INTEGERS[rng.random_range(0..INTEGERS.len())];
                let width = 1 << rng.random_range(0..4);
                let mut bytes = integer.to_le_bytes()[..width].to_vec();
                if rng.random() {
                    bytes.reverse();
                }
                for (old, new) in input[at..].iter_mut().zip(bytes) {
                    *old = new;
                }
            }
            _ => {
                // The number after a place becomes another.
                let digits =
                    input[at..].iter().position(u8::is_ascii_digit).map(|first| at + first);
                let Some(first) = digits else { continue };
                let length = input[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
                input.splice(first..first + length, number.bytes());
            }
        }
    }
    input
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The input as text. What is not UTF-8 is refused before it is parsed.
fn utf8(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

const RECIPE: &str = r#"
name = "tiny"  # a comment
description = """Two layers
of "attention" \u001b \u007f \u202e"""
dtype = "f16"
layout = "in_out"
[[tensor]]
name = "h.{0..2}.attn.{q,k,v}.weight"
shape = [64, 32]
init = "xavier_uniform"
depth = 4
dtype = "bf16"
[[tensor]]
name = "conv"
shape = [8, 4, 3, 3]
init = "orthogonal:1.5"
groups = 2
layout = "out_in"
[[tensor]]
name = "h.{0..2}.bias"
shape = []
[[tensor]]
name = "experts"
shape = [4, 6, 8]
batch_dims = 1
init = "orthogonal"
parts = [2, 4]
parts_axis = 1
[[tensor.range]]
rows = "1..3"
init = "sparse:0.5"
groups = 2
[[tensor.range]]
rows = 5
axis = 2
init = "he_normal"
fan_in = 7
[[tensor]]
name = "positions"
shape = [5, 8]
init = "sinusoidal:layout=halves,ends=closed"
parts = 1
[[tensor]]
name = 'mask'
dtype = "bool"
shape = [3,
  2]
init = "ones"
[[rule]]
match = "*.bias"
init = "uniform:-0.5,0.25"
fan_in = 3
transposed = true
[[rule]]
match = "{conv,*pert*}"
init = "dt_bias"
rows = ".."
axis = 1
batch_dims = 1
"#;

/// Draws the first and the last elements of a tensor, where that is a matter of little.
fn draw_some(spec: &TensorSpec) {
    let few = |stretch: Stretch<'_>| match stretch.content {
        Content::Drawn(Source::Whole(whole)) => whole.elements() <= 1 << 14,
        _ => true,
    };
    let all = spec.shape.elements();
    for first in [0, all.saturating_sub(40)] {
        let end = (first + 40).min(all);
        if !spec.stretches(first..end).all(few) {
            continue;
        }
        let mut out = vec![0; (end - first) as usize * spec.dtype.size()];
        spec.drawer(7).and_then(|mut drawer| drawer.draw(first, &mut out)).unwrap();
    }
    let _ = spec.expected();
}

#[test]
fn recipes() {
    let good = [RECIPE].into_iter().chain(Recipe::builtins().map(|(_, text)| text));
    fuzz("recipe", &bytes(&good.collect::<Vec<_>>()), |input| {
        let recipe = Recipe::parse(&utf8(input), "r.toml")?;
        if recipe.tensors.len() > 2000 {
            return Ok(());
        }
        let text = recipe.to_toml();
        let back = Recipe::parse(&text, "back.toml").unwrap();
        assert_eq!((&back.name, &back.description), (&recipe.name, &recipe.description));
        for (own, back) in recipe.tensors.iter().zip(&back.tensors) {
            assert_eq!((&own.name, &own.shape, own.dtype), (&back.name, &back.shape, back.dtype));
            assert_eq!(own.source, back.source, "{}", own.init);
            let layers = |spec: &TensorSpec| -> Vec<(usize, Range<u64>, Source)> {
                let layers = spec.ranges.iter().chain(&spec.parts);
                layers.map(|range| (range.axis, range.rows.clone(), range.source)).collect()
            };
            assert_eq!(layers(own), layers(back), "{}", own.written());
            draw_some(own);
        }
        assert_eq!(back.to_toml(), text);
        Ok(())
    });
}

#[test]
fn configs() {
    let families = ["qwen3_moe", "gemma3", "gpt_neo", "vit", "t5", "mamba"];
    let configs = families.iter().flat_map(|model_type| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families");
        let text = fs::read(folder.join(format!("{model_type}.json"))).unwrap();
        let table: Value = serde_json::from_slice(&text).unwrap();
        let cases = table["cases"].as_array().unwrap().clone();
        cases.into_iter().map(|case| case["config"].to_string().into_bytes())
    });
    fuzz("config", &configs.collect::<Vec<_>>(), |input| {
        let config = ModelConfig::parse(&utf8(input), "config.json")?;
        let recipe = config.recipe()?;
        if recipe.tensors.len() < 2000 {
            assert_eq!(
                Recipe::parse(&config.to_toml(), "back.toml")?.elements(),
                recipe.elements()
            );
        }
        Ok(())
    });
}

#[test]
fn plans() {
    let recipe = Recipe::parse(crate::ranks::MODEL, "model.toml").unwrap();
    let more = "mesh = [2]\n[[split]]\nmatch = '*.qkv'\ndim = 0\nover = 'tensor'\nparts = 2\n";
    fuzz("plan", &bytes(&[crate::ranks::PLAN, more]), |input| {
        let plan = Plan::parse(&utf8(input), "plan.toml")?;
        let options =
            WriteOptions { plan: Some(&plan), ..WriteOptions::new(Path::new("m.safetensors")) };
        DryRun::new(&recipe, &options).map(drop)
    });
}

#[test]
fn manifests_of_ranks() {
    let folder = Folder::new();
    let recipe = Recipe::parse(crate::ranks::MODEL, "model.toml").unwrap();
    let plan = Plan::parse(crate::ranks::PLAN, "plan.toml").unwrap();
    let out = folder.path("m.safetensors");
    for rank in 0..4 {
        let rank = Some(Rank::new(rank, 4).unwrap());
        let options = WriteOptions { plan: Some(&plan), rank, ..WriteOptions::new(&out) };
        write(&recipe, &Device::Cpu, options).unwrap();
    }
    let path = folder.path("m-rank-00002-of-00004.manifest.json");
    let good = fs::read(&path).unwrap();
    let other = String::from_utf8(good.clone())
        .unwrap()
        .replace("\"at\": 3", "\"at\": 18446744073709551615");
    fuzz("manifest", &[good, other.into_bytes()], |input| {
        fs::write(&path, input).unwrap();
        merge(std::slice::from_ref(&out)).map(drop)
    });
}

#[test]
fn rules() {
    let rules = "[[rule]]\nmatch = \"*\"\ninit = \"ones\"\nrows = \"1..3\"\naxis = 0\nbatch_dims = 0\n\
                 [[rule]]\nmatch = \"layers.{0..3}.{weight,we*}\"\ninit = \"he_normal:mode=fan_out\"\n\
                 groups = 1\n[[rule]]\nmatch = \"*?s\"\ninit = \"zeros\"\n";
    let mlp = Recipe::builtin("mlp").unwrap();
    fuzz("rules", &bytes(&[rules]), |input| {
        let rules = Rules::parse(&utf8(input), "rules.toml")?;
        mlp.clone().override_with(&rules)
    });
    fuzz(
        "rule",
        &bytes(&[
            "*.bias=zeros",
            "layers.{0..2}.{we?ght,b*}=normal:std=0.1,mean=0.5",
            "*.weight=orthogonal parts=2 parts_axis=1 batch_dims=0 depth=4",
            "*.weight=he_normal rows=1..3 axis=1 fan_in=4",
        ]),
        |input| mlp.clone().override_with(&Rules::pairs([utf8(input)])?),
    );
}

/// Reads text, and what it says of itself again.
fn word<T: std::str::FromStr<Err = fanin::Error> + PartialEq + std::fmt::Debug>(
    text: &str,
    said: impl Fn(&T) -> String,
) -> Result<T> {
    let value = text.parse::<T>()?;
    assert_eq!(said(&value).parse::<T>().unwrap(), value, "{}", said(&value));
    Ok(value)
}

#[test]
fn arguments() {
    // Those that need no parameters, and some with.
    let inits =
        catalogue().iter().map(|entry| entry.name).filter(|name| name.parse::<Init>().is_ok());
    let more = [
        "normal:0.02,0.5",
        "normal:std=0.02,mean=0.5",
        "uniform:-0.1,0.1",
        "constant:1e-9",
        "lsuv:0.1,10",
        "truncated_normal:0.02,2",
        "he_normal:mode=fan_out,nonlinearity=leaky_relu:0.2",
        "orthogonal:2",
        "variance_scaling:2,fan_avg,uniform",
        "sparse:0.9,0.01",
        "critical:tanh",
        "xavier_uniform:gain=tanh",
        "wang:12,768",
        "prior_probability:0.01",
        "arange:start=-3,step=0.5",
        "sinusoidal:100,halves,closed",
        "dt_bias:min=0.001,max=0.1,floor=0.0001",
    ];
    let good = bytes(&inits.chain(more).collect::<Vec<_>>());
    let shapes =
        [vec![], vec![5], vec![4, 6], vec![8, 4, 3, 3]].map(|dims| Shape::new(dims).unwrap());
    fuzz("initializer", &good, |input| {
        let init = word::<Init>(&utf8(input), Init::to_string)?;
        for shape in &shapes {
            // Not every one fits every shape.
            let Ok(source) = init.source(shape, &Geometry::default()) else { continue };
            assert!(!source.mean().is_nan() && !source.std().is_nan(), "{init}");
            let _ = Dtype::ALL.map(|dtype| source.check_dtype(dtype).map_err(|e| e.to_string()));
        }
        Ok(())
    });
    let activations: Vec<&str> =
        Activation::ALL.iter().map(|activation| activation.name()).collect();
    fuzz(
        "activation",
        &bytes(&[&activations[..], &["leaky_relu:0.2", "elu:1.5"]].concat()),
        |input| word::<Activation>(&utf8(input), Activation::to_string).map(drop),
    );
    fuzz("schedule", &bytes(&["constant", "cosine:0.1", "step:30,0.1"]), |input| {
        word::<Schedule>(&utf8(input), Schedule::to_string).map(drop)
    });
    fuzz(
        "optimizer",
        &bytes(&["sgd:0.9", "nesterov:0.9", "adam:0.9,0.99,1e-8", "adamw", "rmsprop:0.9"]),
        |input| word::<Optimizer>(&utf8(input), Optimizer::to_string).map(drop),
    );
    fuzz("loss", &bytes(&["cross_entropy:0.1", "mse", "bce", "huber:1.5"]), |input| {
        word::<Loss>(&utf8(input), Loss::to_string).map(drop)
    });
    fuzz("device", &bytes(&["auto", "cpu", "gpu", "vulkan", "gl:llvmpipe", "RTX"]), |input| {
        word::<Choice>(&utf8(input), Choice::to_string).map(drop)
    });
    fuzz("name", &bytes(&["f32", "bf16", "bool", "float8_e5m2"]), |input| {
        let text = utf8(input);
        let _ = (text.parse::<Task>(), text.parse::<Layout>());
        let _ = (text.parse::<Generated>(), text.parse::<FanMode>());
        word::<Dtype>(&text, Dtype::to_string).map(drop)
    });
}

fn safetensors(tensors: &[(&str, safetensors::Dtype, &[usize])]) -> Vec<u8> {
    let zeros = vec![0; 4096];
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (
            *name,
            safetensors::tensor::TensorView::new(*dtype, shape.to_vec(), &zeros[..length]).unwrap(),
        )
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

#[test]
fn headers_and_indices() {
    use safetensors::Dtype as D;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rules = Rules::pairs(["*.bias=zeros", "*=normal:0.1"]).unwrap();
    let read = |path: &Path| Recipe::from_safetensors(path, &rules);
    let file = safetensors(&[
        ("a.weight", D::F32, &[4, 8]),
        ("a.bias", D::F16, &[4]),
        ("steps", D::BF16, &[]),
        ("eight", D::F8_E4M3, &[3]),
    ]);
    fuzz("safetensors", std::slice::from_ref(&file), |input| {
        fs::write(at("m.safetensors"), input).unwrap();
        let recipe = read(&at("m.safetensors"))?;
        let file: u64 = recipe.tensors.iter().map(|tensor| tensor.bytes()).sum();
        assert!(file <= input.len() as u64);
        Ok(())
    });
    let index = r#"{"metadata": {"total_size": 138}, "weight_map": {"a.weight": "one.safetensors",
        "a.bias": "one.safetensors", "b": "two.safetensors"}}"#;
    fs::write(at("one.safetensors"), &file).unwrap();
    fs::write(at("two.safetensors"), safetensors(&[("b", D::F32, &[2])])).unwrap();
    fuzz("index", &bytes(&[index]), |input| {
        fs::write(at("m.safetensors.index.json"), input).unwrap();
        read(&at("m.safetensors.index.json")).map(drop)
    });
}

/// Reads data, which are whole where they are read at all.
fn data(path: &Path, target: Option<PathBuf>, task: Option<Task>) -> Result<()> {
    let targets = target.iter().map(|target| target.to_str().unwrap().to_owned()).collect();
    let options = LoadOptions { targets, task, ..LoadOptions::default() };
    let Loaded { train, test, .. } = load(path.to_str().unwrap(), &options, 0)?;
    for set in std::iter::once(&train).chain(&test) {
        assert!(set.rows() > 0 && set.features.len() == set.rows() * set.columns());
    }
    let standardizer = Standardizer::fit(&train);
    for (mut set, own) in std::iter::once((train, true)).chain(test.map(|test| (test, false))) {
        match standardizer.apply(&mut set) {
            Ok(()) => assert!(set.features.to_f32().iter().all(|feature| feature.is_finite())),
            Err(error) => assert!(!own, "the training rows themselves: {error}"),
        }
    }
    Ok(())
}

#[test]
fn csv() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    let good =
        ["a,b,y\n1,2.5,0\n-3,1e-3,1\n4,5,0\n", "a,\"b, c\",y\r\n1,2,\"x\"\r\n3,4,\"z\"\"w\"\r\n"];
    for (kind, task) in [("csv", None), ("csv to regress", Some(Task::Regress))] {
        fuzz(kind, &bytes(&good[..2 - usize::from(task.is_some())]), |input| {
            fs::write(&path, input).unwrap();
            data(&path, Some("y".into()), task)
        });
    }
}

fn npy(descr: &str, shape: &str, fortran: bool, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn npy_and_npz() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let y = npy("<i8", "(4,)", false, &[0u64, 1, 1, 0].map(u64::to_le_bytes).concat());
    fs::write(at("y.npy"), &y).unwrap();
    let good = [
        npy("<f4", "(4, 2)", false, &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])),
        npy("|u1", "(4, 2, 3)", true, &[7; 24]),
        npy(">f2", "(4, 1)", false, &[0x3c, 0, 0x40, 0, 0x44, 0, 0x48, 0]),
    ];
    fuzz("npy", &good, |input| {
        fs::write(at("x.npy"), input).unwrap();
        data(&at("x.npy"), Some(at("y.npy")), None)
    });
    fs::write(at("x.npy"), &good[0]).unwrap();
    let doubles: Vec<u8> = (0..8).flat_map(|number| f64::from(number).to_le_bytes()).collect();
    fuzz("npy of targets", &[y.clone(), npy("<f8", "(4, 2)", false, &doubles)], |input| {
        fs::write(at("t.npy"), input).unwrap();
        data(&at("x.npy"), Some(at("t.npy")), None)
    });
    let archive = |method| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, bytes) in
            [("x_train", &good[0]), ("y_train", &y), ("x_test", &good[0]), ("y_test", &y)]
        {
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let methods = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated];
    fuzz("npz", &methods.map(archive), |input| {
        fs::write(at("d.npz"), input).unwrap();
        data(&at("d.npz"), None, None)
    });
}

#[test]
fn idx() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let images = [&[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 3][..], &[9; 24]].concat();
    let labels = [0, 0, 8, 1, 0, 0, 0, 4, 5, 3, 9, 5].to_vec();
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    let good = [&images, &labels];
    for (kind, file) in [("images", 0), ("labels", 1)] {
        fs::write(at(names[1 - file]), good[1 - file]).unwrap();
        fuzz(kind, &[good[file].clone(), gzip(good[file])], |input| {
            fs::write(at(names[file]), input).unwrap();
            data(folder.path(), None, None)
        });
    }
}

#[test]
fn data_in_safetensors() {
    use safetensors::Dtype as D;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    let mut good = safetensors(&[("x", D::F32, &[4, 3]), ("y", D::U8, &[4])]);
    // Not all of one class.
    *good.last_mut().unwrap() = 1;
    fuzz("data in safetensors", &[good], |input| {
        fs::write(&path, input).unwrap();
        data(&path, None, None)
    });
}

#[test]
fn checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let (train, test) = Generated::Moons.generate(1, Some(40)).unwrap().split(1, 0.25).unwrap();
    let options = TrainOptions { epochs: 3, batch: Some(8), ..TrainOptions::default() };
    let mlp = Mlp::new([2, 4, 2]).unwrap();
    let make = || Trainer::new(&Device::Cpu, &mlp, &options, &train, Some(&test)).unwrap();
    let mut first = make();
    let mut good = Vec::new();
    for _ in 0..2 {
        first.epoch().unwrap();
        first.save(&path, true).unwrap();
        good.push(fs::read(&path).unwrap());
    }
    let mut trainer = make();
    fuzz("checkpoint", &good, |input| {
        fs::write(&path, input).unwrap();
        if let Ok(model) = Model::load(&path) {
            let features = vec![0.5f32; model.network().input().elements() as usize].into();
            let found = Predictor::new(&Device::Cpu, &model)?.predict(&features)?;
            assert!(!found.values.is_empty());
        }
        trainer.resume(&path)?;
        assert!(trainer.step() <= trainer.steps());
        if !trainer.finished() {
            trainer.advance()?;
        }
        trainer.verdict().map(drop)
    });
}

#[test]
fn tunings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let tuning = Tuning {
        device: "GPU".into(),
        fill: FillShape { staged: true, ahead: 2, taken: 4 },
        products: vec![([4096, 64, 1], Way { splits: 2, ..Way::whole(Route::Tiled128) })],
    };
    tuning.save(&path).unwrap();
    fuzz("tuning", &[fs::read(&path).unwrap()], |input| {
        fs::write(&path, input).unwrap();
        if let Some(tuning) = Tuning::load(&path, "GPU") {
            tuning.save(&path)?;
            assert_eq!(Tuning::load(&path, "GPU"), Some(tuning));
        }
        Ok(())
    });
}
