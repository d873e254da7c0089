//! `fanin init config.json` beside what transformers itself makes of each config, which
//! `benches/peers/families.py` wrote down: names, shapes and dtypes of models of published sizes; and of
//! small ones what every tensor is drawn from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fanin::Device;
use fanin::random::Source;
use fanin::recipe::{
    CheckOptions, Family, Finding, ModelConfig, Recipe, TensorSpec, WriteOptions, check, families,
    write,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::cli::{Folder, fails, succeeds};

/// A config and the rows of its table: names, shape, dtype and, of small models, how they are drawn.
struct Case {
    config: Value,
    rows: Vec<Value>,
}

impl Case {
    fn recipe(&self) -> Recipe {
        parse(&self.config).unwrap_or_else(|error| panic!("{}: {error}", self.config))
    }

    /// What is expected of each tensor: what a row's names stand for, with the row.
    fn expected(&self) -> BTreeMap<String, (TensorSpec, &Value)> {
        let mut expected = BTreeMap::new();
        for row in &self.rows {
            let mut text = String::new();
            for name in row[0].as_array().unwrap() {
                text += &format!(
                    "[[tensor]]\nname = {name}\nshape = {}\ndtype = {}\ninit = \"zeros\"\n",
                    row[1], row[2]
                );
            }
            for tensor in Recipe::parse(&text, "table").unwrap().tensors {
                assert!(expected.insert(tensor.name.clone(), (tensor, row)).is_none());
            }
        }
        expected
    }

    fn is_drawn(&self) -> bool {
        self.rows.iter().all(|row| row.get(3).is_some())
    }
}

/// What every family's table has of something.
fn tables(key: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families");
    let table = |family: &Family| -> Vec<Value> {
        let path = folder.join(format!("{}.json", family.model_type));
        let text = fs::read(&path).unwrap_or_else(|error| {
            panic!("{}: {error}; benches/peers/families.py writes it", path.display())
        });
        let table: Value = serde_json::from_slice(&text).unwrap();
        table[key].as_array().unwrap().clone()
    };
    families().flat_map(table).collect()
}

fn case(table: &Value) -> Case {
    let rows = table["tensors"].as_array().unwrap().clone();
    Case { config: table["config"].clone(), rows }
}

fn cases() -> Vec<Case> {
    tables("cases").iter().map(case).collect()
}

fn parse(config: &Value) -> fanin::Result<Recipe> {
    ModelConfig::parse(&config.to_string(), "config.json")?.recipe()
}

/// By their names, since the order of what transformers writes is that of its own converters.
fn by_name(recipe: Recipe) -> BTreeMap<String, TensorSpec> {
    recipe.tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect()
}

#[test]
fn names_shapes_and_dtypes_are_transformers() {
    for case in cases() {
        let ours = by_name(case.recipe());
        let theirs = case.expected();
        for (name, (expected, _)) in &theirs {
            let own = ours.get(name).unwrap_or_else(|| panic!("{}: no {name}", case.config));
            let place = format!("{name} of {}", case.config);
            assert_eq!((&own.shape, own.dtype), (&expected.shape, expected.dtype), "{place}");
        }
        for name in ours.keys() {
            assert!(theirs.contains_key(name), "{}: {name} is too many", case.config);
        }
    }
}

/// Every class is the bare model and what it has upon it, and there is none that no table tells of.
#[test]
fn classes_are_the_model_and_a_head() {
    let mut told: Vec<Value> =
        cases().iter().map(|case| case.config["architectures"][0].clone()).collect();
    for table in tables("classes") {
        let case = case(&table);
        let place = &case.config["architectures"][0];
        told.push(place.clone());
        let mut bare = case.config.clone();
        bare["architectures"] = json!([table["model"]]);
        let mut ours = by_name(case.recipe());
        let prefix = table["prefix"].as_str().unwrap();
        for mut tensor in parse(&bare).unwrap().tensors {
            if table["without"].as_array().unwrap().iter().any(|name| *name == tensor.name) {
                continue;
            }
            tensor.name.insert_str(0, prefix);
            assert_eq!(ours.remove(&tensor.name), Some(tensor), "{place}");
        }
        for (name, (tensor, row)) in case.expected() {
            let own = ours.remove(&name).unwrap_or_else(|| panic!("{place}: no {name}"));
            assert_eq!((&own.shape, own.dtype), (&tensor.shape, tensor.dtype), "{place}: {name}");
            let (mean, std) = (own.source.mean(), own.source.std());
            let (value, drawn) = match row[3]["value"].as_f64() {
                Some(value) => (value, 0.0),
                None => (0.0, row[3]["drawn"][1].as_f64().unwrap()),
            };
            let room = 5.0 * drawn / (2.0 * own.shape.elements() as f64).sqrt();
            assert!(
                mean == value && (std - drawn).abs() <= room,
                "{place}: {name} {mean} {std} {drawn}"
            );
        }
        assert!(ours.is_empty(), "{place}: {:?} are too many", ours.keys());
    }
    for class in families().flat_map(|family| family.architectures) {
        assert!(told.iter().any(|told| told == class), "{class} is in no table");
    }
}

/// Mean, standard deviation and kurtosis.
fn moments(values: &[f64]) -> [f64; 3] {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let of = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / count;
    [mean, of(2).sqrt(), of(4) / of(2).powi(2)]
}

fn values(bytes: &[u8], dtype: safetensors::Dtype) -> Vec<f64> {
    match dtype {
        safetensors::Dtype::F32 => {
            let values = bytes.as_chunks::<4>().0;
            values.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
        }
        safetensors::Dtype::BF16 => {
            let values = bytes.as_chunks::<2>().0;
            let widened = |bytes: &[u8; 2]| f32::from_le_bytes([0, 0, bytes[0], bytes[1]]).into();
            values.iter().map(widened).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Holds tensors of one row, their elements joined, against what transformers drew.
fn assert_drawn(place: &str, rows: u64, drawn: &[Vec<f64>], expected: &Value) {
    if let Some(value) = expected["value"].as_f64() {
        assert!(drawn.iter().flatten().all(|drawn| *drawn == value), "{place}: {value}");
        return;
    }
    if let Some(at) = expected["at"].as_array() {
        for pair in at {
            let (index, value) = (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap());
            for drawn in drawn {
                // Both are f32s of what libraries compute in f32 or f64.
                let near = (drawn[index] - value).abs() <= 2e-6 * value.abs().max(1.0);
                assert!(near, "{place} at {index}: {} {value}", drawn[index]);
            }
        }
        return;
    }
    let zeros: Vec<u64> = match expected["zero_rows"].as_array() {
        Some(rows) => rows.iter().map(|row| row.as_u64().unwrap()).collect(),
        None => Vec::new(),
    };
    let mut others = Vec::new();
    for drawn in drawn {
        for (row, elements) in drawn.chunks(drawn.len() / rows as usize).enumerate() {
            let is_zero = elements.iter().all(|element| *element == 0.0);
            assert_eq!(is_zero, zeros.contains(&(row as u64)), "{place}: row {row}");
            others.extend(elements.iter().filter(|_| !is_zero));
        }
    }
    let [mean, std, kurtosis] = [0, 1, 2].map(|at| expected["drawn"][at].as_f64().unwrap());
    let [own_mean, own_std, own_kurtosis] = moments(&others);
    // Both are samples: five standard errors of a difference, and the table's rounding. The error of a
    // sample's std is std sqrt((kurtosis - 1) / 4 n), of a normal's kurtosis sqrt(24 / n).
    let count = others.len() as f64;
    let errors = 5.0 * 2f64.sqrt() / count.sqrt();
    let near = |name: &str, own: f64, theirs: f64, error: f64| {
        let room = errors * error + 1e-3 * theirs.abs();
        assert!((own - theirs).abs() < room, "{place}: {name} {own}, {theirs} (room {room})");
    };
    near("mean", own_mean, mean, std);
    near("std", own_std, std, std * ((kurtosis.max(3.0) - 1.0) / 4.0).sqrt());
    near("kurtosis", own_kurtosis, kurtosis, 24f64.sqrt());
}

#[test]
fn tensors_are_drawn_as_transformers_draws_them() {
    let cases: Vec<Case> = cases().into_iter().filter(Case::is_drawn).collect();
    let classes = |case: &Case| case.config["architectures"][0].clone();
    assert!(cases.len() > 40 && cases.iter().any(|case| classes(case) == "MambaModel"));
    let folder = Folder::new();
    for (index, case) in cases.iter().enumerate() {
        let out = folder.path(&format!("{index}.safetensors"));
        let device = Device::Cpu.in_chunks(None);
        write(&case.recipe(), &device, WriteOptions::new(&out)).unwrap();
        let bytes = fs::read(&out).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let expected = case.expected();
        for row in &case.rows {
            let of_row = expected.iter().filter(|(_, (_, own))| std::ptr::eq(*own, row));
            let drawn = of_row.map(|(name, _)| {
                let tensor = file.tensor(name).unwrap();
                values(tensor.data(), tensor.dtype())
            });
            let place = format!("{} of {}", row[0], case.config);
            let drawn: Vec<_> = drawn.collect();
            assert_drawn(&place, row[1][0].as_u64().unwrap_or(1), &drawn, &row[3]);
        }
        let checked = check(&out, &CheckOptions::default()).unwrap();
        for tensor in &checked.tensors {
            assert_eq!(tensor.manifest, Some(Finding::Same), "{}", tensor.name);
            assert_eq!(tensor.drawn, Some(Finding::Same), "{}", tensor.name);
        }
    }
}

/// A small config of a family, with fields set, or taken out where they are null.
fn small(model_type: &str, changes: Value) -> Value {
    let mut found = cases().into_iter().filter(Case::is_drawn);
    let mut config = found.find(|case| case.config["model_type"] == model_type).unwrap().config;
    let fields = config.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    config
}

#[track_caller]
fn assert_mistake(model_type: &str, changes: Value, expected: &str) {
    let error = parse(&small(model_type, changes)).unwrap_err();
    assert!(error.is_usage(), "{error:?}");
    let found = error.to_string();
    match expected.strip_suffix('…') {
        Some(start) => assert!(found.starts_with(start), "{found}"),
        None => assert_eq!(found, expected),
    }
}

#[test]
fn what_is_not_known_is_said_with_what_is() {
    assert_mistake(
        "llama",
        json!({ "model_type": "lama" }),
        "config.json: model_type: got `lama`, needed one that is known, the nearest first: llama, …",
    );
    let error = parse(&json!({ "model_type": "rwkv" })).unwrap_err().to_string();
    let way = "for any other model, a recipe of its tensors in TOML, as `fanin init gpt2 \
               --print-recipe` shows one";
    assert!(error.ends_with(way), "{error}");
    for family in families() {
        assert!(error.contains(family.model_type), "{} in {error}", family.model_type);
    }
    assert_mistake(
        "llama",
        json!({ "architectures": ["LlamaForCausalML"] }),
        "config.json: architectures: got `LlamaForCausalML`, needed one that is known, the nearest \
         first: LlamaForCausalLM, …",
    );
    assert_mistake(
        "gpt2",
        json!({ "architectures": ["LlamaForCausalLM"] }),
        "config.json: architectures: got `LlamaForCausalLM`, needed one that is known, the nearest first: GPT2…",
    );
    assert_mistake(
        "llama",
        json!({ "architectures": "LlamaModel" }),
        "config.json: architectures: got \"LlamaModel\", needed a list of classes, as \
         [\"LlamaForCausalLM\"]",
    );
    let parse = |text: &str| ModelConfig::parse(text, "c.json").err().unwrap().to_string();
    assert_eq!(
        parse("{}"),
        "c.json: got no model_type and no architectures, needed one that says what model it is of"
    );
    assert!(parse("{").starts_with("c.json: got text that is not JSON ("));
    assert_eq!(parse("[]"), "c.json: got JSON that is no object, needed a config.json");
}

#[test]
fn a_class_or_a_model_type_alone_will_do() {
    let text = |changes| small("bert", changes).to_string();
    let read = |changes| ModelConfig::parse(&text(changes), "c.json").unwrap();
    let config = read(json!({ "architectures": null }));
    assert_eq!(config.architecture, "BertForMaskedLM");
    assert_eq!(config.notes, ["c.json names no architectures: BertForMaskedLM is taken"]);
    let config = read(json!({ "model_type": null }));
    assert_eq!((config.family.model_type, config.architecture), ("bert", "BertForMaskedLM"));
    assert!(config.notes.is_empty());
    let config = read(json!({ "quantization_config": { "quant_method": "fp8" } }));
    assert!(config.notes[0].starts_with("c.json: quantization_config is passed over"));
}

#[test]
fn fields_that_size_the_model_have_to_be_there_and_right() {
    for (model_type, field) in [
        ("gpt2", "n_embd"),
        ("llama", "vocab_size"),
        ("qwen3_moe", "moe_intermediate_size"),
        ("deepseek_v3", "kv_lora_rank"),
        ("deepseek_v3", "q_lora_rank"),
        ("bert", "max_position_embeddings"),
        ("vit", "image_size"),
        ("whisper", "num_mel_bins"),
        ("t5", "d_kv"),
        ("mamba", "state_size"),
    ] {
        let missing =
            format!("config.json: {field}: got no such field, needed a whole number above 0");
        assert_mistake(model_type, json!({ field: null }), &missing);
        for wrong in [json!("84"), json!(0), json!(-3), json!(true), json!(84.5), json!(1u64 << 31)]
        {
            let message = format!("config.json: {field}: got {wrong}, needed …");
            assert_mistake(model_type, json!({ field: wrong }), &message);
        }
    }
    assert_mistake(
        "llama",
        json!({ "hidden_size": null, "hiden_size": 84 }),
        "config.json: hidden_size: got no such field (nearest: `hiden_size`), needed a whole number \
         above 0",
    );
    assert_mistake(
        "llama",
        json!({ "num_key_value_heads": null, "num_key_value_head": 2 }),
        "config.json: num_key_value_head: got a field of this name, needed `num_key_value_heads`, or \
         a name that is not so near it",
    );
    // What no class of a family reads is none of our business.
    parse(&small("llama", json!({ "rope_scalling": {}, "hidden_act": 7 }))).unwrap();
    assert_mistake(
        "mistral",
        json!({ "head_dim": null, "hidden_size": 85 }),
        "config.json: hidden_size: got 85, needed a multiple of num_attention_heads, where no head_dim is \
         given, which is 6",
    );
    assert_mistake(
        "llama",
        json!({ "num_key_value_heads": 4 }),
        "config.json: num_attention_heads: got 6, needed a multiple of num_key_value_heads, which is 4",
    );
    assert_mistake(
        "bert",
        json!({ "num_attention_heads": 5 }),
        "config.json: hidden_size: got 84, needed a multiple of num_attention_heads, which is 5",
    );
    assert_mistake(
        "gpt2",
        json!({ "hidden_size": 96 }),
        "config.json: n_embd: got 84, needed the same as hidden_size, its other name, which is 96",
    );
    assert_mistake(
        "llama",
        json!({ "initializer_range": -0.02 }),
        "config.json: initializer_range: got -0.02, needed a number, and no negative one",
    );
    assert_mistake(
        "llama",
        json!({ "tie_word_embeddings": "yes" }),
        "config.json: tie_word_embeddings: got \"yes\", needed true or false",
    );
    assert_mistake(
        "llama",
        json!({ "torch_dtype": "int8" }),
        "config.json: torch_dtype: got \"int8\", needed one of float32, bfloat16, float16, float64",
    );
    assert_mistake(
        "llama",
        json!({ "pad_token_id": 211 }),
        "config.json: pad_token_id: got 211, needed null, or a row of the 211 of the embedding",
    );
    assert_mistake(
        "vit",
        json!({ "image_size": [40, 40, 40] }),
        "config.json: image_size: got [40,40,40], needed one whole number, or 2 of them",
    );
    assert_mistake(
        "t5",
        json!({ "feed_forward_proj": "gated-gelu-new" }),
        "config.json: feed_forward_proj: got \"gated-gelu-new\", needed a nonlinearity, or `gated-` \
         and one",
    );
    assert_mistake(
        "gpt_neo",
        json!({ "num_layers": 4 }),
        "config.json: attention_types: got [[[\"global\",\"local\",\"global\"],1]], needed lists of \
         kinds and how often, 4 in all, as num_layers says",
    );
}

#[test]
fn sizes_that_nobody_has_are_refused_at_once() {
    let huge = i32::MAX as u64;
    let started = std::time::Instant::now();
    for (model_type, layers) in [
        ("gpt2", "n_layer"),
        ("llama", "num_hidden_layers"),
        ("qwen3_moe", "num_hidden_layers"),
        ("deepseek_v3", "n_routed_experts"),
        ("t5", "num_layers"),
        ("mamba", "num_hidden_layers"),
    ] {
        let error = parse(&small(model_type, json!({ layers: huge - 7 }))).unwrap_err();
        assert!(error.to_string().contains("at most 1000000"), "{model_type}: {error}");
    }
    for (model_type, changes) in [
        ("mistral", json!({ "vocab_size": huge, "hidden_size": huge, "head_dim": huge })),
        (
            "mistral",
            json!({ "num_attention_heads": huge, "num_key_value_heads": huge, "head_dim": huge }),
        ),
        (
            "phi3",
            json!({ "hidden_size": huge, "num_attention_heads": huge, "num_key_value_heads": huge, "head_dim": huge }),
        ),
        ("mamba", json!({ "hidden_size": huge, "expand": huge })),
        ("vit", json!({ "image_size": huge, "patch_size": 1, "hidden_size": 6 * (huge / 6) })),
    ] {
        let error = parse(&small(model_type, changes)).unwrap_err().to_string();
        assert!(error.contains("2^63 - 1"), "{model_type}: {error}");
    }
    assert!(started.elapsed().as_secs() < 5);
}

/// The TOML of a config is what the config is, be it that layers of one kind stand together.
#[test]
fn toml_reads_back_to_the_same_tensors() {
    for case in cases() {
        let config = ModelConfig::parse(&case.config.to_string(), "config.json").unwrap();
        let toml = config.to_toml();
        assert!(toml.lines().count() < 400, "{toml}");
        let read = by_name(Recipe::parse(&toml, "printed").unwrap());
        let own = by_name(config.recipe().unwrap());
        assert_eq!(read.len(), own.len());
        for (name, tensor) in &own {
            let read = &read[name];
            assert_eq!((&read.shape, read.dtype), (&tensor.shape, tensor.dtype), "{name}");
            assert_eq!(read.source, tensor.source, "{name}");
            let rows = |tensor: &TensorSpec| -> Vec<_> {
                tensor.ranges.iter().map(|range| (range.rows.clone(), range.source)).collect()
            };
            assert_eq!(rows(read), rows(tensor), "{name}");
            if tensor.shape.dims().len() > 1 && matches!(tensor.source, Source::Elements(_)) {
                // For whoever changes it.
                let read = (&read.geometry, &read.fused);
                assert_eq!(read, (&tensor.geometry, &tensor.fused), "{name}");
            }
        }
    }
}

/// The built-in recipes of models that are also families.
#[test]
fn builtin_recipes_are_their_configs() {
    let gpt2 = json!({
        "model_type": "gpt2", "architectures": ["GPT2Model"], "vocab_size": 50257,
        "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    });
    let mut llama = cases()
        .into_iter()
        .map(|case| case.config)
        .find(|config| config["model_type"] == "llama" && config["tie_word_embeddings"] == true);
    for (name, config) in [("gpt2", gpt2), ("llama-3.2-1b", llama.take().unwrap())] {
        let builtin = by_name(Recipe::builtin(name).unwrap());
        let own = by_name(parse(&config).unwrap());
        assert!(builtin.keys().eq(own.keys()));
        for (name, tensor) in &builtin {
            let own = &own[name];
            assert_eq!((&own.shape, own.dtype), (&tensor.shape, tensor.dtype), "{name}");
            assert_eq!(own.source, tensor.source, "{name}");
        }
    }
}

#[test]
fn layers_stand_in_their_order() {
    let recipe = parse(&small("qwen3_moe", json!({}))).unwrap();
    let layers =
        recipe.tensors.iter().filter_map(|tensor| tensor.name.strip_prefix("model.layers."));
    let numbers: Vec<u32> =
        layers.map(|name| name.split('.').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&2));
}

mod command {
    use super::*;

    #[test]
    fn takes_a_config_or_the_folder_that_holds_it() {
        let folder = Folder::new();
        let config = folder.write("config.json", small("qwen2", json!({})).to_string());
        let out = folder.name("model.safetensors");
        succeeds(&["init", &config, "--seed", "3", "--out", &out]);
        let whole = fs::read(&out).unwrap();
        let held = folder.name(".");
        let again = ["init", &held, "--seed", "3", "--out", &out, "--force"];
        succeeds(&again);
        assert_eq!(fs::read(&out).unwrap(), whole);

        // Rules and dtypes as over a recipe.
        let options = ["--dtype", "bf16", "--rule", "*.q_proj.weight=ones", "--json"];
        let json = succeeds(&[&again[..], &options].concat());
        let document: Value = serde_json::from_str(&json).unwrap();
        for tensor in document["tensors"].as_array().unwrap() {
            assert_eq!(tensor["dtype"], "bf16");
            let is_query = tensor["name"].as_str().unwrap().ends_with("q_proj.weight");
            assert_eq!(tensor["init"] == "ones", is_query, "{tensor}");
        }

        let toml = folder.write("printed.toml", succeeds(&["init", &config, "--print-recipe"]));
        let printed = folder.name("printed.safetensors");
        succeeds(&["init", &toml, "--seed", "3", "--out", &printed]);
        succeeds(&["init", &config, "--seed", "3", "--out", &out, "--force"]);
        let digests = |name: &str| -> BTreeMap<String, Value> {
            let manifest: Value =
                serde_json::from_slice(&fs::read(folder.path(name)).unwrap()).unwrap();
            let tensors = manifest["tensors"].as_array().unwrap();
            let pair = |tensor: &Value| (tensor["name"].to_string(), tensor["sha256"].clone());
            tensors.iter().map(pair).collect()
        };
        assert_eq!(digests("printed.manifest.json"), digests("model.manifest.json"));
    }

    #[test]
    fn says_what_is_wrong_with_other_json_and_folders() {
        let folder = Folder::new();
        let other = folder.write("tokenizer.json", "{}");
        let out = folder.name("o.safetensors");
        fails(2, &["init", &other, "--out", &out], &["without a model_type", "config.json"]);
        let held = folder.name(".");
        fails(2, &["init", &held, "--out", &out], &["a folder without a config.json"]);
        let config = folder.write("config.json", r#"{"model_type": "gpt3"}"#);
        fails(2, &["init", &config, "--out", &out], &["gpt3", "gpt2", "--print-recipe"]);
        fails(2, &["init", &config, "--print-recipe"], &["gpt3", "gpt2"]);
        let config =
            folder.write("config.json", small("vit", json!({ "architectures": null })).to_string());
        let output = crate::cli::fanin(&["init", &config, "--out", &out]);
        let stderr = crate::cli::text(&output.stderr);
        assert!(output.status.success() && stderr.contains("names no architectures"), "{stderr}");
    }

    #[test]
    fn lists_the_families() {
        let list = succeeds(&["init", "--list"]);
        let json: Value = serde_json::from_str(&succeeds(&["init", "--list", "--json"])).unwrap();
        for (family, listed) in families().zip(json["families"].as_array().unwrap()) {
            assert!(list.contains(family.model_type) && list.contains(family.architectures[0]));
            assert_eq!(listed["model_type"], family.model_type);
        }
    }
}
