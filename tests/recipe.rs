//! Recipes: the built-in ones, the TOML form with the place of every mistake, safetensors headers.

use std::fs;
use std::path::{Path, PathBuf};

use fanin::init::Geometry;
use fanin::random::{Distribution, Dtype, Source};
use fanin::recipe::{Recipe, Rules, TensorSpec};
use fanin::{Error, Layout};
use proptest::prelude::*;
use tempfile::TempDir;

fn tensor<'a>(recipe: &'a Recipe, name: &str) -> &'a TensorSpec {
    recipe.tensors.iter().find(|tensor| tensor.name == name).expect(name)
}

fn names(recipe: &Recipe) -> Vec<&str> {
    recipe.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

fn parse(text: &str) -> Recipe {
    Recipe::parse(text, "r.toml").unwrap()
}

/// The error as a message, with its place in front.
fn mistake(text: &str) -> String {
    let error = Recipe::parse(text, "r.toml").unwrap_err();
    assert!(matches!(error, Error::Recipe { .. }) && error.is_usage(), "{error:?}");
    error.to_string()
}

/// `expected` ends in `…` where the rest is a list of names or another crate's words.
#[track_caller]
fn assert_mistake(text: &str, expected: &str) {
    let found = mistake(text);
    match expected.strip_suffix('…') {
        Some(start) => assert!(found.starts_with(start), "{found}\nin\n{text}"),
        None => assert_eq!(found, expected, "in\n{text}"),
    }
}

/// A recipe of one tensor of shape [4, 2], with `line` as the rest of its table, line 4.
fn one(line: &str) -> String {
    format!("[[tensor]]\nname = \"w\"\nshape = [4, 2]\n{line}\n")
}

mod builtins {
    use super::*;

    fn count(name: &str) -> (usize, u64) {
        let recipe = Recipe::builtin(name).unwrap();
        assert_eq!(recipe.name, name);
        (recipe.tensors.len(), recipe.elements())
    }

    #[test]
    fn have_the_sizes_of_the_models() {
        assert_eq!(count("mlp"), (6, 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10));
        assert_eq!(count("gpt2"), (148, 124_439_808));
        // 25,557,032 parameters; then means, variances and a counter for 26,560 channels in 53 layers.
        assert_eq!(count("resnet50"), (320, 25_557_032 + 2 * 26_560 + 53));
        assert_eq!(count("llama-3.2-1b"), (146, 1_235_814_400));
    }

    #[test]
    fn are_all_listed_and_described() {
        let listed: Vec<&str> = Recipe::builtins().map(|(name, _)| name).collect();
        assert_eq!(listed, ["mlp", "gpt2", "resnet50", "llama-3.2-1b"]);
        for (name, text) in Recipe::builtins() {
            assert_eq!(Recipe::parse(text, "x").unwrap(), Recipe::builtin(name).unwrap());
            assert!(Recipe::builtin(name).unwrap().description.is_some());
        }
        assert_eq!(
            Recipe::builtin("gpt3").unwrap_err().to_string(),
            "unknown recipe `gpt3` (nearest: gpt2); known: mlp, gpt2, resnet50, llama-3.2-1b"
        );
    }

    #[test]
    fn gpt2_scales_what_writes_into_the_residual_stream() {
        let gpt2 = Recipe::builtin("gpt2").unwrap();
        let projection = tensor(&gpt2, "h.11.mlp.c_proj.weight");
        assert_eq!(projection.shape.dims(), [3072, 768]);
        assert_eq!(projection.init, "normal:0.02 / sqrt(24)");
        assert_eq!(projection.source, Distribution::normal(0.02 / 24f64.sqrt()));
        assert_eq!(projection.geometry.layout, Layout::InOut);
        assert_eq!(projection.bytes(), 3072 * 768 * 4);
        let scaled = gpt2.tensors.iter().filter(|tensor| tensor.init.contains("sqrt")).count();
        assert_eq!(scaled, 24);
        let attention = tensor(&gpt2, "h.0.attn.c_attn.weight");
        assert_eq!(attention.shape.dims(), [768, 2304]);
        assert_eq!(attention.source, Distribution::normal(0.02));
        assert_eq!(tensor(&gpt2, "h.3.ln_2.weight").init, "ones");
        assert_eq!(tensor(&gpt2, "ln_f.weight").init, "ones");
        assert_eq!(tensor(&gpt2, "ln_f.bias").init, "zeros");
    }

    #[test]
    fn resnet50_is_in_the_order_of_its_state_dict() {
        let resnet = Recipe::builtin("resnet50").unwrap();
        assert_eq!(
            names(&resnet)[..7],
            [
                "conv1.weight",
                "bn1.weight",
                "bn1.bias",
                "bn1.running_mean",
                "bn1.running_var",
                "bn1.num_batches_tracked",
                "layer1.0.conv1.weight",
            ]
        );
        let stem = tensor(&resnet, "conv1.weight");
        // fan_out = 64 * 7 * 7.
        assert_eq!(stem.source, Distribution::normal((2.0 / 3136.0f64).sqrt()));
        let counter = tensor(&resnet, "layer4.0.downsample.1.num_batches_tracked");
        assert_eq!((counter.dtype, counter.bytes()), (Dtype::I64, 8));
        assert!(counter.shape.dims().is_empty());
        assert_eq!(tensor(&resnet, "layer4.2.bn3.running_var").init, "ones");
        assert_eq!(tensor(&resnet, "layer4.2.bn3.running_mean").init, "zeros");
        let (weight, bias) = (tensor(&resnet, "fc.weight"), tensor(&resnet, "fc.bias"));
        assert_eq!(weight.source, bias.source);
        let Source::Elements(Distribution::Uniform { high, .. }) = bias.source else { panic!() };
        assert!((high - 1.0 / 2048f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn llama_is_bf16_and_tied() {
        let llama = Recipe::builtin("llama-3.2-1b").unwrap();
        assert!(llama.tensors.iter().all(|tensor| tensor.dtype == Dtype::Bf16));
        assert!(!names(&llama).contains(&"lm_head.weight"));
        assert_eq!(
            tensor(&llama, "model.layers.15.self_attn.v_proj.weight").shape.dims(),
            [512, 2048]
        );
        assert_eq!(tensor(&llama, "model.layers.0.input_layernorm.weight").init, "ones");
        assert_eq!(tensor(&llama, "model.norm.weight").init, "ones");
        assert_eq!(llama.bytes(), 2 * 1_235_814_400);
    }
}

mod form {
    use super::*;

    #[test]
    fn names_expand_with_the_leftmost_braces_slowest() {
        let recipe = parse(
            "[[tensor]]\nname = 'h.{8..11}.{q,k}{,.x}'\nshape = [2]\ninit = 'ones'\n\
             [[tensor]]\nname = 'a'\nshape = []\ninit = 'zeros'\n",
        );
        assert_eq!(
            names(&recipe),
            [
                "h.8.q", "h.8.q.x", "h.8.k", "h.8.k.x", "h.9.q", "h.9.q.x", "h.9.k", "h.9.k.x",
                "h.10.q", "h.10.q.x", "h.10.k", "h.10.k.x", "a"
            ]
        );
        assert_eq!(tensor(&recipe, "a").bytes(), 4);
        assert_eq!(recipe.name, "r");
    }

    #[test]
    fn the_first_rule_wins_and_a_tensors_own_init_beats_it() {
        let recipe = parse(
            "[[tensor]]\nname = 'own'\nshape = [4, 2]\ninit = 'ones'\n\
             [[tensor]]\nname = 'a.{bias,weight}'\nshape = [4, 2]\n\
             [[rule]]\nmatch = '*.bi?s'\ninit = 'zeros'\n\
             [[rule]]\nmatch = '*'\ninit = 'he_normal'\n",
        );
        let inits: Vec<&str> = recipe.tensors.iter().map(|tensor| tensor.init.as_str()).collect();
        assert_eq!(inits, ["ones", "zeros", "he_normal"]);
    }

    #[test]
    fn geometry_comes_from_the_tensor_then_the_rule_then_the_default() {
        let recipe = parse(
            "layout = 'in_out'\n\
             [[tensor]]\nname = 'default'\nshape = [4, 2]\ninit = 'lecun_normal'\n\
             [[tensor]]\nname = 'x.rule'\nshape = [4, 2]\n\
             [[tensor]]\nname = 'x.own'\nshape = [4, 2]\nfan_in = 25\ninit = 'lecun_normal'\n\
             [[tensor]]\nname = 'x.mixed'\nshape = [4, 2]\nfan_out = 9\ngroups = 1\n\
             init = 'lecun_normal'\n\
             [[rule]]\nmatch = 'x.*'\ninit = 'xavier_normal'\nlayout = 'out_in'\nfan_in = 16\n\
             groups = 2\n",
        );
        let default = tensor(&recipe, "default");
        assert_eq!(default.source, Distribution::normal(0.5)); // fan_in = 4
        assert_eq!(tensor(&recipe, "x.rule").source, Distribution::normal((1.0 / 9.0f64).sqrt()));
        assert_eq!(tensor(&recipe, "x.own").source, Distribution::normal((1.0 / 25.0f64).sqrt()));
        assert_eq!(tensor(&recipe, "x.mixed").source, Distribution::normal(0.25));
        assert_eq!(
            tensor(&recipe, "x.mixed").geometry,
            Geometry {
                layout: Layout::OutIn,
                groups: 1,
                transposed: false,
                batch_dims: 0,
                fan_in: Some(16),
                fan_out: Some(9),
            }
        );
    }

    #[test]
    fn depth_divides_the_scale_of_each_family() {
        let of = |init: &str| {
            let recipe = parse(&one(&format!("init = '{init}'\ndepth = 4")));
            assert_eq!(recipe.tensors[0].init, format!("{init} / sqrt(4)"));
            recipe.tensors[0].source
        };
        assert_eq!(of("normal:0.5,3"), Distribution::Normal { mean: 3.0, std: 0.25 });
        assert_eq!(
            of("truncated_normal:0.5,3,1"),
            Distribution::TruncatedNormal { mean: 3.0, std: 0.25, cut: 1.0 }
        );
        assert_eq!(of("uniform:0.3"), Distribution::symmetric(0.15));
        assert_eq!(of("uniform:1,5"), Distribution::Uniform { low: 2.0, high: 4.0 });
    }

    #[test]
    fn depth_goes_with_the_initializer_that_is_used() {
        let recipe = parse(
            "[[tensor]]\nname = 'own'\nshape = []\ninit = 'zeros'\n\
             [[tensor]]\nname = 'rule'\nshape = []\n\
             [[tensor]]\nname = 'deeper'\nshape = []\ndepth = 9\n\
             [[rule]]\nmatch = '*'\ninit = 'normal:1'\ndepth = 4\n",
        );
        let inits: Vec<&str> = recipe.tensors.iter().map(|tensor| tensor.init.as_str()).collect();
        assert_eq!(inits, ["zeros", "normal:1 / sqrt(4)", "normal:1 / sqrt(9)"]);
    }

    #[test]
    fn dtypes_change_where_samples_can_live_only() {
        let mut recipe = Recipe::builtin("resnet50").unwrap();
        recipe.set_dtype(Dtype::F16).unwrap();
        assert_eq!(tensor(&recipe, "fc.bias").dtype, Dtype::F16);
        assert_eq!(tensor(&recipe, "bn1.num_batches_tracked").dtype, Dtype::I64);
        let before = recipe.clone();
        assert_eq!(
            recipe.set_dtype(Dtype::I32).unwrap_err().to_string(),
            "dtype: got i32, needed one of f32, bf16, f16, f8_e4m3, f8_e5m2, f64"
        );
        assert_eq!(recipe, before);

        let mut recipe = parse(
            "[[tensor]]\nname = '{a,b}'\nshape = [1]\n\
             [[rule]]\nmatch = 'a'\ninit = 'ones'\n[[rule]]\nmatch = 'b'\ninit = 'constant:1e6'\n",
        );
        let before = recipe.clone();
        assert_eq!(
            recipe.set_dtype(Dtype::F16).unwrap_err().to_string(),
            "tensor `b`: constant: got 1000000, needed a finite value that f16 can hold"
        );
        assert_eq!(recipe, before);
        recipe.set_dtype(Dtype::Bf16).unwrap();
        assert_eq!(recipe.bytes(), 4);
    }
}

mod overrides {
    use super::*;

    fn pairs(pairs: &[&str]) -> Result<Rules, Error> {
        Rules::pairs(pairs)
    }

    #[test]
    fn beat_what_the_recipe_says_and_keep_the_geometry() {
        let mut recipe = Recipe::builtin("gpt2").unwrap();
        let rules =
            pairs(&["h.{0..2}.attn.c_proj.weight=lecun_normal", "*.c_proj.weight=normal:0.5"]);
        recipe.override_with(&rules.unwrap()).unwrap();
        let first = tensor(&recipe, "h.1.attn.c_proj.weight");
        assert_eq!(first.init, "lecun_normal");
        let later = tensor(&recipe, "h.2.attn.c_proj.weight");
        assert_eq!(
            (later.init.as_str(), later.source),
            ("normal:0.5", Distribution::normal(0.5).into())
        );
        assert_eq!(tensor(&recipe, "h.2.attn.c_attn.weight").init, "normal:0.02");

        // [3072, 768] is in_out: fan_in is 3072, without anything said of it again.
        let mut recipe = Recipe::builtin("gpt2").unwrap();
        recipe.override_with(&pairs(&["*.mlp.c_proj.weight=lecun_normal"]).unwrap()).unwrap();
        let projection = tensor(&recipe, "h.0.mlp.c_proj.weight");
        assert_eq!(projection.source, Distribution::normal((1.0 / 3072f64).sqrt()));
    }

    #[test]
    fn leave_the_recipe_alone_where_they_fail() {
        let mut recipe = Recipe::builtin("mlp").unwrap();
        let before = recipe.clone();
        let error = recipe.override_with(&pairs(&["*.weight=ones", "*.gamma=ones"]).unwrap());
        assert_eq!(
            error.unwrap_err().to_string(),
            "rule `*.gamma=ones`:1:1: `*.gamma` matches no tensor"
        );
        let error = recipe.override_with(&pairs(&["*.weight=ones", "*.bias=he_normal"]).unwrap());
        assert_eq!(
            error.unwrap_err().to_string(),
            "rule `*.bias=he_normal`:1:8: tensor `layers.0.bias` of shape [512]: fans: got shape [512], \
             from which none can be told, needed two dimensions or more, or fan_in and fan_out \
             given (a bias has those of its layer's weight)"
        );
        assert_eq!(recipe, before);
    }

    /// What stands for the whole of a model leaves its vectors and counters as they are.
    #[test]
    fn pass_over_what_they_cannot_initialize() {
        let mut recipe = Recipe::builtin("resnet50").unwrap();
        recipe.override_with(&pairs(&["*=xavier_uniform"]).unwrap()).unwrap();
        let init = |name: &str| tensor(&recipe, name).init.as_str();
        assert_eq!(init("conv1.weight"), "xavier_uniform");
        assert_eq!(init("bn1.weight"), "ones");
        assert_eq!(init("bn1.num_batches_tracked"), "zeros");
        // A vector of its own fans is one that it can.
        let mut recipe = Recipe::builtin("mlp").unwrap();
        recipe.override_with(&pairs(&["*=torch_default fan_in=16"]).unwrap()).unwrap();
        let uniform = Distribution::symmetric(0.25);
        assert_eq!(tensor(&recipe, "layers.0.bias").source, uniform);
        // A normal one needs no fans: it is drawn where a sample can be.
        let mut recipe = Recipe::builtin("resnet50").unwrap();
        recipe.override_with(&pairs(&["*=normal:0.5"]).unwrap()).unwrap();
        assert_eq!(tensor(&recipe, "bn1.weight").init, "normal:0.5");
        assert_eq!(tensor(&recipe, "bn1.num_batches_tracked").init, "zeros");
    }

    #[test]
    fn may_be_for_so_many_dimensions_and_say_how_to_count() {
        let init = |rules: &[&str], name: &str| {
            let mut recipe = Recipe::builtin("resnet50").unwrap();
            recipe.override_with(&pairs(rules).unwrap()).unwrap();
            (tensor(&recipe, name).init.clone(), tensor(&recipe, name).source)
        };
        for (dims, taken) in [
            ("4", true),
            ("2", false),
            ("3..", true),
            ("..4", false),
            ("2..4", false),
            ("2..=4", true),
            ("..=4", true),
        ] {
            let rules = [format!("*.weight=normal:0.5 dims={dims}"), "*=normal:0.25".into()];
            let (init, _) = init(&[&rules[0], &rules[1]], "conv1.weight");
            assert_eq!(init == "normal:0.5", taken, "{dims}");
        }
        // [1000, 2048]: the other way round it has 1000 inputs.
        let (_, source) = init(&["fc.weight=he_normal layout=in_out"], "fc.weight");
        assert_eq!(source, Distribution::normal((2.0 / 1000f64).sqrt()));
        let (_, source) = init(&["fc.weight=he_normal fan_in=8 depth=4"], "fc.weight");
        assert_eq!(source, Distribution::normal(0.5 / 2.0));
        // Blanks of an initializer's own are none of a key's.
        let (_, source) = init(&["fc.weight=normal: std=0.5, mean=1  layout=in_out"], "fc.weight");
        assert_eq!(source, Distribution::Normal { mean: 1.0, std: 0.5 });
        // In a file of rules too.
        let rules = "[[rule]]\nmatch = '*'\ninit = 'normal:2'\ndims = '2..4'\nlayout = 'in_out'\n\
                     [[rule]]\nmatch = '*.weight'\ninit = 'normal:3'\ndims = 4\n";
        let mut recipe = Recipe::builtin("resnet50").unwrap();
        recipe.override_with(&Rules::parse(rules, "x").unwrap()).unwrap();
        assert_eq!(tensor(&recipe, "fc.weight").init, "normal:2");
        assert_eq!(tensor(&recipe, "conv1.weight").init, "normal:3");

        let message = |pair: &str| pairs(&[pair]).unwrap_err().to_string();
        for (pair, expected) in [
            ("*=ones layuot=in_out", ":1:8: unknown key of a rule `layuot` (nearest: layout)"),
            ("*=ones dims=3..3", ":1:8: dims: got `3..3`, needed a number of dimensions, or"),
            ("*=ones dims=..0", ":1:8: dims: got `..0`, needed a number"),
            ("*=ones dims=2 dims=3", ":1:15: `dims` twice; needed it once"),
            ("*=ones in_out", ":1:8: `in_out`; needed KEY=VALUE"),
            ("*=ones fan_in=0", ":1:8: fan_in: got `0`, needed a whole number above 0"),
            ("*=ones transposed=yes", ":1:8: transposed: got `yes`, needed true or false"),
            ("*=ones shape=[3,x]", ":1:8: shape: got `[3,x]`, needed dimensions"),
            ("*=ones shape=[3,0]", ":1:8: shape: got [3, 0], needed dimensions of at least 1"),
            ("*=keep depth=2", ":1:3: depth: got 2 with `keep`, needed an initializer"),
        ] {
            let found = message(pair);
            assert!(found.starts_with(&format!("rule `{pair}`{expected}")), "{found}");
        }
        let mut recipe = Recipe::builtin("mlp").unwrap();
        let error = recipe.override_with(&pairs(&["*.weight=ones dims=3.."]).unwrap());
        assert_eq!(
            error.unwrap_err().to_string(),
            "rule `*.weight=ones dims=3..`:1:1: `*.weight` matches no tensor of the dimensions that it is for"
        );
        let error = recipe.override_with(&pairs(&["*=keep"]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("needed a .safetensors model"), "{error}");
    }

    #[test]
    fn are_checked_as_they_are_read() {
        let message = |pair: &str| pairs(&[pair]).unwrap_err().to_string();
        assert_eq!(
            message("*.bias"),
            "rule `*.bias`:1:1: no `=`; needed PATTERN=INITIALIZER, as `*.bias=zeros`"
        );
        for (given, hint) in [
            ("xavier", "(which one: xavier_uniform, xavier_normal, "),
            ("he", "(which one: he_uniform, he_normal, "),
            ("kaiming", "(which one: kaiming_uniform, kaiming_normal)"),
            ("kaiming_normal_", "(nearest: kaiming_normal)"),
            ("Kaiming_Normal", "(nearest: kaiming_normal)"),
            ("glorot_unifrom", "(nearest: glorot_uniform)"),
        ] {
            let found = message(&format!("*={given}"));
            assert!(found.contains(hint), "{found}");
        }
        assert!(message("é.bias=zeross").starts_with(
            "rule `é.bias=zeross`:1:8: unknown initializer `zeross` (nearest: zeros); known: "
        ));
        assert!(message("{a=zeros").starts_with("rule `{a=zeros`:1:1: `{a`: unbalanced braces"));
        // The initializer's own `=` is no separator.
        pairs(&["*=he_normal:mode=fan_out"]).unwrap();
    }

    #[test]
    fn rule_files_hold_rules_only() {
        let rules = Rules::parse("[[rule]]\nmatch = 'layers.0.*'\ninit = 'ones'\n", "x").unwrap();
        let mut recipe = Recipe::builtin("mlp").unwrap();
        // What stands first wins.
        let first = pairs(&["*.bias=constant:0.1"]).unwrap();
        recipe.override_with(&first.then(rules)).unwrap();
        assert_eq!(tensor(&recipe, "layers.0.bias").init, "constant:0.1");
        assert_eq!(tensor(&recipe, "layers.0.weight").init, "ones");
        let message = |text: &str| Rules::parse(text, "x").unwrap_err().to_string();
        assert_eq!(message(""), "x:1:1: no rules; needed at least one [[rule]]");
        assert_eq!(message("name = 'x'\n"), "x:1:1: unknown field `name`, expected `rule`");
    }
}

mod mistakes {
    use super::*;

    fn named(name: &str) -> String {
        format!("[[tensor]]\nname = \"{name}\"\nshape = []\ninit = \"ones\"\n")
    }

    fn sized(shape: &str) -> String {
        format!("[[tensor]]\nname = \"w\"\nshape = {shape}\ninit = \"zeros\"\n")
    }

    #[test]
    fn of_syntax() {
        assert_mistake("a = 1\nname = = 3\n", "r.toml:2:8: …");
        assert_mistake("name = \"é\" x", "r.toml:1:12: …");
        assert_mistake("[[tensor]]\nname = \"abc", "r.toml:2:12: …");
        assert_mistake(
            "[[tensor]]\nname = 3\nshape = [1]",
            "r.toml:2:8: invalid type: integer `3`, expected a string",
        );
        assert_mistake("[[tensor]]\nname = 'a'\n", "r.toml:1:1: missing field `shape`");
        assert_mistake("[[tensor]]\nname = 'a'\n  name = 'b'\n", "r.toml:3:3: …");
    }

    #[test]
    fn of_keys() {
        assert_mistake(
            "name = 'x'\ntensors = 1\n",
            "r.toml:2:1: unknown field `tensors`, expected one of `name`, `description`, `dtype`, `layout`, `tensor`, `rule`",
        );
        assert_mistake(
            &one("  fanin = 3"),
            "r.toml:4:3: unknown field `fanin`, expected one of `name`, `shape`, `dtype`, `init`, `depth`, `layout`, `groups`, `transposed`, `batch_dims`, `fan_in`, `fan_out`, `parts`, `parts_axis`, `range`",
        );
        assert_mistake(
            &one("shap = 3"),
            "r.toml:4:1: unknown field `shap`, expected one of `name`, `shape`, `dtype`, `init`, `depth`, `layout`, `groups`, `transposed`, `batch_dims`, `fan_in`, `fan_out`, `parts`, `parts_axis`, `range`",
        );
        assert_mistake(
            "[[rule]]\nmatch = '*'\ninit = 'ones'\ndtype = 'f32'\n",
            "r.toml:4:1: unknown field `dtype`, expected one of `match`, `init`, `dims`, `rows`, `axis`, `shape`, `depth`, `layout`, `groups`, `transposed`, `batch_dims`, `fan_in`, `fan_out`, `parts`, `parts_axis`",
        );
        assert_mistake(
            &(one("init = 'ones'") + "[[rule]]\nmatch = '*'\ninit = 'ones'\nshape = [1]\n"),
            "r.toml:6:9: `shape` in a recipe's own rule; …",
        );
    }

    #[test]
    fn of_named_values() {
        assert_mistake(
            &one("init = 'he_norml'"),
            "r.toml:4:8: unknown initializer `he_norml` (nearest: he_normal); …",
        );
        assert_mistake(
            &one("init = 'ones'\ndtype = 'bf61'"),
            "r.toml:5:9: unknown dtype `bf61` (nearest: bf16); …",
        );
        assert_mistake(
            &one("init = 'ones'\nlayout =  'inout'"),
            "r.toml:5:11: unknown layout `inout` (nearest: in_out); known: out_in, in_out",
        );
        assert_mistake(
            "dtype = 'f9'\n",
            "r.toml:1:9: unknown dtype `f9`; known: f32, bf16, f16, …",
        );
        assert_mistake(
            "dtype = 'fp8'\n",
            "r.toml:1:9: dtype: got fp8, needed one of the two: f8_e4m3, the finer, or f8_e5m2…",
        );
        assert_mistake("layout = 'x'\n", "r.toml:1:10: unknown layout `x`; known: out_in, in_out");
        assert_mistake(
            &(one("") + "[[rule]]\nmatch = 'w'\n init = 'normals:1'\n"),
            "r.toml:7:9: unknown initializer `normals` (nearest: normal); …",
        );
        assert_mistake(
            &(one("") + "[[rule]]\nmatch = 'w'\ninit = 'ones'\nlayout = 'x'"),
            "r.toml:8:10: unknown layout `x`; known: out_in, in_out",
        );
        assert_mistake(
            &one("init = 'normal:0.02,1,2'"),
            "r.toml:4:8: initializer `normal:0.02,1,2`: got `2`, needed only the parameters std, mean=0",
        );
    }

    #[test]
    fn of_coverage() {
        assert_mistake(
            &(one("init = 'ones'") + "[[rule]]\nmatch = '*.bias'\ninit = 'ones'\n"),
            "r.toml:6:9: `*.bias` matches no tensor",
        );
        assert_mistake(&one(""), "r.toml:2:8: tensor `w` has no init, and no rule matches it");
        assert_mistake(
            &(one("") + "[[rule]]\nmatch = 'W'\ninit = 'ones'\n"),
            "r.toml:2:8: tensor `w` has no init, and no rule matches it",
        );
        assert_mistake("", "r.toml:1:1: no tensors; needed at least one [[tensor]]");
        assert_mistake(
            "# nothing\n[[rule]]\nmatch = '*'\ninit = 'ones'\n",
            "r.toml:1:1: no tensors; needed at least one [[tensor]]",
        );
    }

    #[test]
    fn of_names() {
        assert_mistake(
            &(one("init = 'ones'") + &one("init = 'ones'")),
            "r.toml:6:8: a second tensor `w`; the first is on line 2",
        );
        assert_mistake(
            "[[tensor]]\n  name = '{a,a}'\nshape = []\ninit = 'ones'\n",
            "r.toml:2:10: a second tensor `a`; the first is on line 2",
        );
        assert_mistake(
            "[[tensor]]\nname = ''\nshape = []\ninit = 'ones'\n",
            "r.toml:2:8: an empty name; needed at least one character",
        );
        assert_mistake(
            "[[tensor]]\nname = '__metadata__'\nshape = []\ninit = 'ones'\n",
            "r.toml:2:8: the name `__metadata__` is taken by the file format; needed another",
        );
    }

    #[test]
    fn of_braces() {
        assert_mistake(
            &named("w.{3..3}"),
            "r.toml:2:8: `w.{3..3}`: the range {3..3} is empty; needed a start below the end, which is not counted: {0..3} is 0, 1, 2",
        );
        assert_mistake(
            &named("w.{5..2}"),
            "r.toml:2:8: `w.{5..2}`: the range {5..2} is empty; needed a start below the end, which is not counted: {0..3} is 0, 1, 2",
        );
        assert_mistake(
            &named("w.{a..b}"),
            "r.toml:2:8: `w.{a..b}`: {a..b} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("w.{0..3"),
            "r.toml:2:8: `w.{0..3`: unbalanced braces; needed `{` and `}` in pairs",
        );
        assert_mistake(
            &named("w.0..3}"),
            "r.toml:2:8: `w.0..3}`: unbalanced braces; needed `{` and `}` in pairs",
        );
        assert_mistake(
            &named("{a,{b,c}}"),
            "r.toml:2:8: `{a,{b,c}}`: braces in braces; needed them side by side",
        );
        assert_mistake(
            &named("{a}"),
            "r.toml:2:8: `{a}`: {a} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{}"),
            "r.toml:2:8: `{}`: {} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{00..3}"),
            "r.toml:2:8: `{00..3}`: {00..3} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{0..=3}"),
            "r.toml:2:8: `{0..=3}`: {0..=3} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{-1..3}"),
            "r.toml:2:8: `{-1..3}`: {-1..3} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{0..2,5}"),
            "r.toml:2:8: `{0..2,5}`: {0..2,5} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
        assert_mistake(
            &named("{0..1000001}"),
            "r.toml:2:8: `{0..1000001}` stands for 1000001 names; needed at most 1000000, as no recipe has more than 1000000",
        );
        assert_mistake(
            &named("{0..1000}{0..1001}"),
            "r.toml:2:8: `{0..1000}{0..1001}` stands for 1001000 names; needed at most 1000000, as no recipe has more than 1000000",
        );
        assert_mistake(
            &(named("a") + &named("{0..1000000}")),
            "r.toml:6:8: `{0..1000000}` stands for 1000000 names; needed at most 999999, as no recipe has more than 1000000",
        );
        assert_mistake(
            &named("{0..18446744073709551615}{a,b}"),
            "r.toml:2:8: `{0..18446744073709551615}{a,b}` stands for more than 2^64 names; needed at most 1000000, as no recipe has more than 1000000",
        );
        assert_mistake(
            &named("{0..18446744073709551616}"),
            "r.toml:2:8: `{0..18446744073709551616}`: {0..18446744073709551616} is neither a range of numbers, as {0..12}, nor alternatives, as {q,k,v}",
        );
    }

    #[test]
    fn of_shapes() {
        assert_mistake(
            &sized("[4, 0]"),
            "r.toml:3:9: shape: got [4, 0], needed dimensions of at least 1",
        );
        assert_mistake(&sized("[4, -1]"), "r.toml:3:13: invalid value: integer `-1`, expected u64");
        assert_mistake(
            &sized("[4294967296, 2147483648]"),
            "r.toml:3:9: shape: got [4294967296, 2147483648], needed at most 2^63 - 1 elements",
        );
        assert_mistake(
            &sized("[2305843009213693952]"),
            "r.toml:3:9: tensor `w`: got 0 bytes before it, then [2305843009213693952] of f32, needed at most 2^63 - 1 bytes in all",
        );
        assert_mistake(
            &sized("[1, 2.5]"),
            "r.toml:3:13: invalid type: floating point `2.5`, expected u64",
        );
        assert_mistake(
            &sized("[18446744073709551616]"),
            "r.toml:3:10: invalid type: integer `18446744073709551616` as i128, expected u64",
        );
        assert_mistake(
            "[[tensor]]\nname = '{a,b}'\nshape = [1152921504606846976]\ninit = 'zeros'\n",
            "r.toml:3:9: tensor `b`: got 4611686018427387904 bytes before it, then [1152921504606846976] of f32, needed at most 2^63 - 1 bytes in all",
        );
    }

    #[test]
    fn of_initializers() {
        assert_mistake(
            &one("init = 'normal:0'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: std: got 0, needed a number from 2.465e-32 to 5.369e37",
        );
        assert_mistake(
            &one("init = 'normal:-1'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: std: got -1, needed a number from 2.465e-32 to 5.369e37",
        );
        assert_mistake(
            &one("init = 'uniform:2,1'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: uniform: got low 2, high 1, needed finite low < high",
        );
        assert_mistake(
            &one("init = 'truncated_normal:1,0,0'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: cut: got 0, needed a finite number from 0.01",
        );
        assert_mistake(
            &one("init = 'normal:1e-40'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: std: got 0.0000000000000000000000000000000000000001, needed a number from 2.465e-32 to 5.369e37",
        );
        assert_mistake(
            &one("init = 'normal:inf'"),
            "r.toml:4:8: initializer `normal:inf`: std: got inf, needed a finite number",
        );
        assert_mistake(
            &one("init = 'constant:1e40'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: constant: got 10000000000000000000000000000000000000000, needed a finite f32",
        );
        assert_mistake(
            &one("init = 'xavier_normal:0'"),
            "r.toml:4:8: initializer `xavier_normal:0`: gain: got 0, needed a number above 0",
        );
        assert_mistake(
            &one("init = 'he_normal'\ngroups = 3"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: groups: got 3, needed a divisor of the 4 channels of shape [4, 2]",
        );
        assert_mistake(
            &one("init = 'he_normal'\ngroups = 0"),
            "r.toml:5:10: invalid value: integer `0`, expected a nonzero u64",
        );
        assert_mistake(
            &one("init = 'normal:1'\ndepth = 0"),
            "r.toml:5:9: invalid value: integer `0`, expected a nonzero u64",
        );
        assert_mistake(
            &one("init = 'normal:1'\ndepth = -1"),
            "r.toml:5:9: invalid value: integer `-1`, expected a nonzero u64",
        );
        assert_mistake(
            &one("init = 'he_normal'\nfan_in = 0"),
            "r.toml:5:10: invalid value: integer `0`, expected a nonzero u64",
        );
        assert_mistake(
            &one("init = 'ones'\n  depth = 4"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: depth: got 4 with the constant `ones`, needed an initializer whose scale it divides",
        );
        assert_mistake(
            &one("init = 'normal:1e-31'\ndepth = 1000000"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: std: got 0.00000000000000000000000000000000010000000000000001, needed a number from 2.465e-32 to 5.369e37",
        );
        assert_mistake(
            &one("init = 'normal:1'\ndtype = 'i64'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: dtype: got i64, needed one of f32, bf16, f16, f8_e4m3, f8_e5m2, f64 (others hold constants only)",
        );
        assert_mistake(
            &one("init = 'constant:0.5'\ndtype = 'i64'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: constant: got 0.5, needed a finite value that i64 can hold",
        );
        assert_mistake(
            &one("init = 'constant:1e5'\ndtype = 'f16'"),
            "r.toml:4:8: tensor `w` of shape [4, 2]: constant: got 100000, needed a finite value that f16 can hold",
        );
        assert_mistake(
            &one("init = 'normal:1'\ntransposed = 1"),
            "r.toml:5:14: invalid type: integer `1`, expected a boolean",
        );
        assert_mistake(
            "[[tensor]]\nname = 'b'\nshape = [4]\n[[rule]]\nmatch = '*'\ninit =  'torch_default'\n",
            "r.toml:6:9: tensor `b` of shape [4]: fans: got shape [4], from which none can be told, needed two dimensions or more, or fan_in and fan_out given (a bias has those of its layer's weight)",
        );
    }
}

mod safetensors {
    use super::*;

    /// A file of this header, whatever it says, and so many bytes of data.
    fn raw(directory: &TempDir, name: &str, header: &[u8], data: usize) -> PathBuf {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header);
        bytes.resize(bytes.len() + data, 0);
        write(directory, name, &bytes)
    }

    fn write(directory: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(path: &Path) -> Result<Recipe, Error> {
        Recipe::from_safetensors(path, &Rules::pairs(["*=ones"]).unwrap())
    }

    fn directory() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// What is said of a file, without its path.
    fn message(path: &Path) -> String {
        match read(path) {
            Err(Error::Safetensors { path: named, message }) => {
                assert_eq!(named, path);
                message
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn assert_refused(header: &str, data: usize, expected: &str) {
        let directory = directory();
        let found = message(&raw(&directory, "m.safetensors", header.as_bytes(), data));
        match expected.strip_suffix('…') {
            Some(start) => assert!(found.starts_with(start), "{found}"),
            None => assert_eq!(found, expected),
        }
    }

    #[test]
    fn gives_names_shapes_and_dtypes_in_the_order_of_the_data() {
        let directory = directory();
        let header = r#"{"__metadata__": {"format": "pt"},
            "a.bias": {"dtype": "BF16", "shape": [3], "data_offsets": [24, 30]},
            "z.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
            "count": {"dtype": "I64", "shape": [], "data_offsets": [30, 38]}}   "#;
        let path = raw(&directory, "tiny.model.safetensors", header.as_bytes(), 38);
        let rules = Rules::pairs(["count=zeros", "*.weight=lecun_normal", "*=ones"]).unwrap();
        let recipe = Recipe::from_safetensors(&path, &rules).unwrap();
        assert_eq!(recipe.name, "tiny.model");
        assert_eq!(names(&recipe), ["z.weight", "a.bias", "count"]);
        let weight = tensor(&recipe, "z.weight");
        assert_eq!((weight.shape.dims(), weight.dtype), (&[3, 2][..], Dtype::F32));
        assert_eq!(weight.source, Distribution::normal(0.5f64.sqrt()));
        assert_eq!(tensor(&recipe, "a.bias").dtype, Dtype::Bf16);
        assert_eq!(tensor(&recipe, "count").bytes(), 8);
    }

    #[test]
    fn reads_what_the_safetensors_crate_writes() {
        use ::safetensors::tensor::TensorView;
        let directory = directory();
        let path = directory.path().join("m.safetensors");
        let zeros = [0u8; 48];
        let views = [("b", 2, ::safetensors::Dtype::F16), ("a", 3, ::safetensors::Dtype::F64)].map(
            |(name, rows, dtype)| {
                let data = &zeros[..rows * 2 * dtype.bitsize() / 8];
                (name, TensorView::new(dtype, vec![rows, 2], data).unwrap())
            },
        );
        ::safetensors::serialize_to_file(views, None, &path).unwrap();
        let recipe = read(&path).unwrap();
        assert_eq!(names(&recipe), ["a", "b"]);
        assert_eq!(tensor(&recipe, "b").shape.dims(), [2, 2]);
        assert_eq!(tensor(&recipe, "a").dtype, Dtype::F64);
    }

    #[test]
    fn wants_a_rule_for_every_tensor_and_a_tensor_for_every_rule() {
        let directory = directory();
        let header = r#"{"a": {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}}"#;
        let path = raw(&directory, "m.safetensors", header.as_bytes(), 8);
        let message = |pairs: &[&str]| {
            let rules = Rules::pairs(pairs).unwrap();
            Recipe::from_safetensors(&path, &rules).unwrap_err().to_string()
        };
        let unusual = message(&["*=normal:1"]);
        assert!(unusual.ends_with("(others hold constants only)"), "{unusual}");
        let nothing = message(&[]);
        assert!(
            nothing.starts_with("tensor `a` of ") && nothing.contains("got no rule"),
            "{nothing}"
        );
        assert_eq!(message(&["b=ones", "a=ones"]), "rule `b=ones`:1:1: `b` matches no tensor");
        assert_eq!(
            message(&["a=normal:1"]),
            "rule `a=normal:1`:1:3: tensor `a` of shape [2]: dtype: got i32, needed one of f32, \
             bf16, f16, f8_e4m3, f8_e5m2, f64 (others hold constants only)"
        );
        let empty = read(&raw(&directory, "e.safetensors", b"{}", 0)).unwrap_err().to_string();
        assert!(empty.ends_with("got no tensors, needed at least one"), "{empty}");
    }

    /// The rules that README gives for the whole of a model.
    #[test]
    fn norms_and_counters_have_their_usual_start() {
        let directory = directory();
        let header = r#"{"a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "a.bias": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]},
            "n.weight": {"dtype": "F32", "shape": [2], "data_offsets": [32, 40]},
            "n.running_mean": {"dtype": "F32", "shape": [2], "data_offsets": [40, 48]},
            "n.running_var": {"dtype": "F32", "shape": [2], "data_offsets": [48, 56]},
            "n.num_batches_tracked": {"dtype": "I64", "shape": [], "data_offsets": [56, 64]},
            "none": {"dtype": "F16", "shape": [0, 4], "data_offsets": [64, 64]}}"#;
        let path = raw(&directory, "m.safetensors", header.as_bytes(), 64);
        let rules = Rules::pairs(["*.bias=constant:0.5", "*=he_normal"]).unwrap();
        let recipe = Recipe::from_safetensors(&path, &rules).unwrap();
        let inits: Vec<&str> = recipe.tensors.iter().map(|tensor| tensor.init.as_str()).collect();
        assert_eq!(inits, ["he_normal", "constant:0.5", "ones", "zeros", "ones", "zeros", "keep"]);
        assert_eq!(tensor(&recipe, "none").shape.dims(), [0, 4]);

        // What has no usual start is asked for by name; a mask is no bias.
        let header = r#"{"a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "a.bias": {"dtype": "BOOL", "shape": [2, 2], "data_offsets": [24, 28]}}"#;
        let path = raw(&directory, "mask.safetensors", header.as_bytes(), 28);
        let read = |pairs: &[&str]| Recipe::from_safetensors(&path, &Rules::pairs(pairs).unwrap());
        let error = read(&["*=he_normal"]).unwrap_err().to_string();
        assert!(error.starts_with("tensor `a.bias` of "), "{error}");
        assert!(
            error.ends_with(
                "got [2, 2] of bool, which `*` cannot initialize, and no other rule, needed a rule \
                 of its own, as `a.bias=keep` or `a.bias=zeros`"
            ),
            "{error}"
        );
        let recipe = read(&["a.bias=keep", "*=he_normal"]).unwrap();
        assert_eq!(
            tensor(&recipe, "a.bias").kept.as_ref().unwrap().offset,
            8 + header.len() as u64 + 24
        );
        // A head of other classes.
        let recipe = read(&["a.weight=ones shape=[5,3]", "*=keep"]).unwrap();
        assert_eq!(tensor(&recipe, "a.weight").shape.dims(), [5, 3]);
        // Of tensors of as many dimensions: a mask and a weight have two.
        let recipe = read(&["*=ones shape=[5]", "a.weight=ones", "*=keep"]).err().unwrap();
        assert!(recipe.to_string().contains("no tensor of the dimensions"), "{recipe}");
        let recipe = read(&["a.*=zeros shape=[5,3]", "*=keep"]).unwrap();
        assert_eq!(tensor(&recipe, "a.bias").shape.dims(), [5, 3]);
        let error = read(&["a.weight=keep shape=[5,3]", "*=keep"]).unwrap_err().to_string();
        assert!(error.contains("keep: got no file that holds this tensor so"), "{error}");
    }

    #[test]
    fn refuses_lengths_that_cannot_be() {
        let directory = directory();
        let at = |name: &str, bytes: &[u8]| message(&write(&directory, name, bytes));
        let too_short = "bytes long, where the header's length alone takes 8";
        assert_eq!(at("empty", b""), format!("0 {too_short}"));
        assert_eq!(at("seven", &[1; 7]), format!("7 {too_short}"));
        assert_eq!(
            at("huge", &[0xFF; 64]),
            format!("a header of {} bytes; at most 100000000 are allowed", u64::MAX)
        );
        let mut long = 100_000_001u64.to_le_bytes().to_vec();
        long.extend([b' '; 8]);
        assert!(at("long", &long).starts_with("a header of 100000001 bytes; at most"));
        let mut past = 9u64.to_le_bytes().to_vec();
        past.extend(b"{}      ");
        assert_eq!(at("past", &past), "a header of 9 bytes, where 8 are left in the file");
    }

    #[test]
    fn refuses_headers_that_are_not_json() {
        assert_refused("", 0, "header: EOF while parsing…");
        assert_refused("[]", 0, "header: invalid type: sequence, expected an object…");
        assert_refused("{} {}", 0, "header: trailing characters…");
        assert_refused(r#"{"a": 1}"#, 0, "header: invalid type: integer…");
        assert_refused(r#"{"__metadata__": {"a": 1}}"#, 0, "header: invalid type: integer…");
        assert_refused(&"{\"a\":".repeat(10_000), 0, "header: …");
        let negative = r#"{"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 1]}}"#;
        assert_refused(negative, 1, "header: invalid value: integer `-1`, expected u64…");
        let directory = directory();
        let found = message(&raw(&directory, "m", b"{\"\xFF\": 1}", 0));
        assert!(found.starts_with("header: invalid unicode"), "{found}");
    }

    #[test]
    fn refuses_offsets_that_do_not_fit() {
        let two = |first: &str, second: &str| {
            format!(
                r#"{{"a": {{"dtype": "U8", "shape": [4], "data_offsets": {first}}},
                "b": {{"dtype": "U8", "shape": [4], "data_offsets": {second}}}}}"#
            )
        };
        let refused =
            |first, second, expected: &str| assert_refused(&two(first, second), 8, expected);
        refused("[0, 4]", "[2, 6]", "tensor `b`: data_offsets [2, 6], needed 4 bytes from 4 on");
        refused("[0, 4]", "[0, 4]", "tensor `b`: data_offsets [0, 4], needed 4 bytes from 4 on");
        refused("[0, 4]", "[5, 8]", "tensor `b`: data_offsets [5, 8], needed 4 bytes from 4 on");
        refused("[0, 4]", "[5, 9]", "tensor `b`: data_offsets [5, 9], needed 4 bytes from 4 on");
        refused("[1, 5]", "[5, 9]", "tensor `a`: data_offsets [1, 5], needed 4 bytes from 0 on");
        refused("[0, 3]", "[3, 7]", "tensor `a`: data_offsets [0, 3], needed 4 bytes from 0 on");
        refused("[4, 0]", "[0, 4]", "tensor `a`: data_offsets [4, 0], needed 4 bytes from 4 on");
        let good = two("[4, 8]", "[0, 4]");
        assert_refused(&good, 7, "7 bytes of data, where the header tells of 8");
        assert_refused(&good, 9, "9 bytes of data, where the header tells of 8");
        let directory = directory();
        assert_eq!(names(&read(&raw(&directory, "m", good.as_bytes(), 8)).unwrap()), ["b", "a"]);
    }

    #[test]
    fn refuses_tensors_that_cannot_be_drawn() {
        let a = |dtype: &str, shape: &str, end: &str| {
            format!(
                r#"{{"a": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": [0, {end}]}}}}"#
            )
        };
        // Also where a 0 makes nothing of them.
        let none = "tensor `a`: shape: got [0, 4294967296, 4294967296], needed at most 2^63 - 1…";
        assert_refused(&a("F32", "[0, 4294967296, 4294967296]", "0"), 0, none);
        let overflow = "tensor `a`: shape: got [4294967296, 4294967296], needed at most 2^63 - 1…";
        assert_refused(&a("U8", "[4294967296, 4294967296]", "0"), 0, overflow);
        assert_refused(
            &a("F64", "[4611686018427387904]", "0"),
            0,
            "tensor `a`: shape [4611686018427387904] of f64 is more than 2^64 bytes",
        );
        for dtype in [
            "F8_E8M0",
            "F4",
            "F6_E2M3",
            "F6_E3M2",
            "F8_E4M3FNUZ",
            "F8_E5M2FNUZ",
            "C64",
            "F99",
            "f32",
        ] {
            assert_refused(
                &a(dtype, "[2]", "2"),
                2,
                &format!(
                    "tensor `a`: dtype {dtype}, which cannot be drawn; known: F32, BF16, F16, F8_E4M3, \
                     F8_E5M2, F64, I64…"
                ),
            );
        }
        let twice = r#"{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
            "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}"#;
        assert_refused(twice, 1, "header: `a` is there twice…");
    }

    #[test]
    fn wants_a_file() {
        let directory = directory();
        let missing = read(&directory.path().join("none.safetensors")).unwrap_err();
        assert!(matches!(missing, Error::File { action: "open", .. }), "{missing}");
        assert_eq!(message(directory.path()), "not a regular file");
    }

    fn shard(directory: &TempDir, name: &str, tensors: &[&str]) {
        let entries = tensors.iter().enumerate().map(|(at, tensor)| {
            format!(
                r#""{tensor}": {{"dtype": "U8", "shape": [1], "data_offsets": [{at}, {}]}}"#,
                at + 1
            )
        });
        let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
        raw(directory, name, header.as_bytes(), tensors.len());
    }

    fn index(directory: &TempDir, map: &str) -> PathBuf {
        let text = format!(r#"{{"metadata": {{"total_size": 4}}, "weight_map": {map}}}"#);
        write(directory, "model.safetensors.index.json", text.as_bytes())
    }

    #[test]
    fn follows_an_index_shard_by_shard() {
        let directory = directory();
        shard(&directory, "m-2.safetensors", &["b", "a"]);
        shard(&directory, "m-1.safetensors", &["d", "not the model's", "c"]);
        let map = r#"{"a": "m-2.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors",
            "d": "m-1.safetensors"}"#;
        let recipe = read(&index(&directory, map)).unwrap();
        assert_eq!(names(&recipe), ["d", "c", "b", "a"]);
        assert_eq!(recipe.name, "model");
    }

    #[test]
    fn refuses_an_index_that_is_wrong() {
        let directory = directory();
        shard(&directory, "m-1.safetensors", &["a"]);
        let outside = directory.path().join("m-1.safetensors");
        let outside = outside.to_str().unwrap().replace('\\', "/");
        let parent = "../m-1.safetensors";
        for file in [
            parent,
            "./m-1.safetensors",
            "x/../m-1.safetensors",
            "..",
            ".",
            "",
            &outside,
            "..\\\\m",
            "C:m",
            "m-1.safetensors/",
            "m\\u0000",
        ] {
            let path = index(&directory, &format!(r#"{{"a": "{file}"}}"#));
            let found = message(&path);
            assert!(found.ends_with("needed the name of a file beside the index"), "{found}");
            assert!(found.starts_with("tensor `a`: file `"), "{found}");
        }
        let refused = |map: &str| message(&index(&directory, map));
        assert!(refused("3").starts_with("index: invalid type"));
        assert!(refused(r#"{"a": "m", "a": "m"}"#).starts_with("index: `a` is there twice"));
        let bare = message(&write(&directory, "bare.json", b"{}"));
        assert!(bare.starts_with("index: missing field `weight_map`"), "{bare}");

        let map = r#"{"a": "m-1.safetensors", "b": "m-1.safetensors"}"#;
        let missing = read(&index(&directory, map)).unwrap_err().to_string();
        assert!(missing.contains("m-1.safetensors: not a usable safetensors file"), "{missing}");
        assert!(missing.ends_with("tensor `b`, which the index says is here, is not"), "{missing}");

        let absent = read(&index(&directory, r#"{"a": "m-9.safetensors"}"#)).unwrap_err();
        assert!(matches!(absent, Error::File { .. }), "{absent}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parse_never_panics(text in any::<String>()) {
        let _ = Recipe::parse(&text, "p");
        let _ = Rules::parse(&text, "p");
        let _ = Rules::pairs([&text]);
    }

    /// Text that is a recipe but for its values.
    #[test]
    fn values_never_panic(
        name in "[a{},.*0-3]{0,10}",
        dims in prop::collection::vec(any::<u64>(), 0..4),
        init in "(zeros|he_normal|uniform|normal|truncated_normal)(:[-0-9e.,=a-z]{0,8})?",
        groups in any::<i64>(),
        depth in any::<u64>(),
        key in "(fan_in|fan_out|dtype|layout|é)",
    ) {
        let text = format!(
            "[[tensor]]\nname = '{name}'\nshape = {dims:?}\ninit = '{init}'\ngroups = {groups}\n\
             depth = {depth}\n{key} = 3\n[[rule]]\nmatch = '{name}'\ninit = '{init}'\n"
        );
        let _ = Recipe::parse(&text, "p");
        // With small numbers, past the checks of TOML itself.
        let text = format!(
            "[[tensor]]\nname = '{name}'\nshape = {:?}\ndepth = {}\n\
             [[rule]]\nmatch = '{name}'\ninit = '{init}'\ngroups = {}\n",
            dims.iter().map(|dim| dim % 9).collect::<Vec<_>>(), depth % 5, groups % 4,
        );
        if let Ok(recipe) = Recipe::parse(&text, "p") {
            prop_assert!(!recipe.tensors.is_empty() && recipe.bytes() > 0);
        }
    }

    #[test]
    fn headers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), length in 0u64..64) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let rules = Rules::pairs(["*=ones"]).unwrap();
        std::io::Write::write_all(&mut file, &length.to_le_bytes()).unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        prop_assert!(Recipe::from_safetensors(file.path(), &rules).is_err());
    }
}
