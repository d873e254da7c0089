//! Tensors of several parts: stacked matrices, fused ones, ranges with an initializer of their own.

use fanin::init::{Geometry, Init};
use fanin::random::{Distribution, Source, Stream};
use fanin::recipe::{CheckOptions, Content, Finding, Fused, Recipe, Rules, TensorSpec, check};
use fanin::{Error, Layout, Shape};
use safetensors::SafeTensors;

use crate::cli::{Folder, fails, succeeds};
use crate::devices::SEED;
use crate::write::{engines, written};

fn shape(dims: &[u64]) -> Shape {
    Shape::new(dims).unwrap()
}

fn init(text: &str) -> Init {
    text.parse().unwrap()
}

fn stacked(batch_dims: usize) -> Geometry {
    Geometry { batch_dims, ..Geometry::default() }
}

fn spec(text: &str, dims: &[u64], geometry: Geometry) -> TensorSpec {
    TensorSpec::with_geometry("w", shape(dims), init(text), geometry).unwrap()
}

/// All elements, drawn at once.
fn bytes(spec: &TensorSpec) -> Vec<u8> {
    let mut bytes = vec![0; spec.bytes() as usize];
    spec.drawer(SEED).unwrap().draw(0, &mut bytes).unwrap();
    bytes
}

fn values(spec: &TensorSpec) -> Vec<f32> {
    bytes(spec).chunks(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

fn one(text: &str) -> TensorSpec {
    Recipe::parse(text, "r.toml").unwrap().tensors.remove(0)
}

/// `he_normal` is `sqrt(2 / fan_in)`.
#[test]
fn fans_are_those_of_a_matrix() {
    for (dims, geometry, fans) in [
        // Eight experts of 128 inputs and 64 outputs.
        (&[8, 64, 128][..], stacked(1), (128, 64)),
        (&[8, 128, 64], Geometry { layout: Layout::InOut, ..stacked(1) }, (128, 64)),
        (&[2, 4, 64, 128], stacked(2), (128, 64)),
        (&[3, 16, 8, 5, 5], stacked(1), (8 * 25, 16 * 25)),
        (&[3, 16, 8, 5, 5], Geometry { transposed: true, ..stacked(1) }, (16 * 25, 8 * 25)),
        (&[3, 16, 8, 5, 5], Geometry { groups: 4, ..stacked(1) }, (8 * 25, 4 * 25)),
        // Without the axis named they are a convolution's.
        (&[8, 64, 128], stacked(0), (64 * 128, 8 * 128)),
    ] {
        let own = spec("he_normal", dims, geometry);
        let found = own.fans().unwrap();
        assert_eq!((found.fan_in, found.fan_out), fans, "{dims:?}");
        assert_eq!(own.source, Distribution::normal((2.0 / fans.0 as f64).sqrt()), "{dims:?}");
    }
    assert_eq!(spec("he_normal", &[8, 64, 128], stacked(1)).source.std(), 0.125);
}

/// `Q^T Q = I` over the shorter side, of a matrix that is given element by element.
fn assert_orthonormal([rows, columns]: [usize; 2], at: impl Fn(usize, usize) -> f32) {
    let (short, long) = (rows.min(columns), rows.max(columns));
    let at = |s, l| f64::from(if rows >= columns { at(l, s) } else { at(s, l) });
    for a in 0..short {
        for b in 0..=a {
            let product: f64 = (0..long).map(|l| at(a, l) * at(b, l)).sum();
            let error = (product - f64::from(u8::from(a == b))).abs();
            assert!(error <= 2.0 * 2f64.powi(-24), "{a}, {b}: {error:e}");
        }
    }
}

/// The first column of a tall orthogonal matrix is a column of Gaussians, made one long: those of its own
/// first elements.
fn assert_of_words(matrix: &[f32], words: impl Fn(u64) -> u64, [rows, columns]: [usize; 2]) {
    let stream = Stream::named(SEED, "w");
    let normal = |at| f64::from(Distribution::normal(1.0).value(&stream, words(at)).unwrap());
    let column: Vec<f64> = (0..rows as u64).map(normal).collect();
    let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (row, x) in column.iter().enumerate() {
        let found = f64::from(matrix[row * columns]);
        assert!((found - x / norm).abs() <= 2f64.powi(-23), "row {row}: {found}, {}", x / norm);
    }
}

#[test]
fn each_of_stacked_matrices_is_one_by_itself() {
    let (rows, columns) = (30, 20);
    let size = rows * columns;
    let all = values(&spec("orthogonal", &[5, 30, 20], stacked(1)));
    for (number, matrix) in all.chunks(size).enumerate() {
        assert_orthonormal([rows, columns], |row, column| matrix[row * columns + column]);
        assert_of_words(matrix, |at| (number * size) as u64 + at, [rows, columns]);
    }
    // The first has the words of a plain tensor of its name.
    assert_eq!(all[..size], values(&spec("orthogonal", &[30, 20], stacked(0))));
    // In two axes, and with the layout that has the outputs last: [3, 2] of [20, 30] outputs.
    let in_out = Geometry { layout: Layout::InOut, ..stacked(2) };
    let all = values(&spec("orthogonal:2", &[3, 2, 30, 20], in_out));
    for matrix in all.chunks(size) {
        assert_orthonormal([rows, columns], |row, column| 0.5 * matrix[row * columns + column]);
    }

    let sparse = values(&spec("sparse:0.3,0.5", &[4, 10, 7], stacked(1)));
    let (stream, ranks) = (Stream::named(SEED, "w"), {
        let own = Stream::named(SEED, "w");
        Stream::new(own.seed, !own.id)
    });
    for (index, value) in sparse.iter().enumerate() {
        let index = index as u64;
        let (matrix, column) = (index / 70, index % 7);
        let others = (0..10).map(|row| ranks.word(matrix * 70 + row * 7 + column));
        let below = others.filter(|word| *word < ranks.word(index)).count();
        // Three of ten in each column of each.
        let wanted = match below {
            0..3 => 0.0,
            _ => Distribution::normal(0.5).value(&stream, index).unwrap(),
        };
        assert_eq!(*value, wanted, "{index}");
    }

    let identity = values(&spec("identity:3", &[3, 2, 2], stacked(1)));
    assert_eq!(identity, [3.0, 0.0, 0.0, 3.0].repeat(3));
    let dirac = values(&spec("dirac", &[2, 2, 2, 3], stacked(1)));
    let ones: Vec<usize> = (0..24).filter(|at| dirac[*at] == 1.0).collect();
    assert!(ones == [1, 10, 13, 22] && dirac.iter().sum::<f32>() == 4.0);
    let delta = values(&spec("delta_orthogonal", &[2, 4, 4, 3], stacked(1)));
    for kernel in delta.chunks(48) {
        assert_orthonormal([4, 4], |row, column| kernel[(row * 4 + column) * 3 + 1]);
        assert_eq!(kernel.iter().filter(|value| **value != 0.0).count(), 16);
    }
    let positions = values(&spec("sinusoidal", &[3, 5, 4], stacked(1)));
    assert_eq!(positions, values(&spec("sinusoidal", &[5, 4], stacked(0))).repeat(3));
}

#[test]
fn each_of_fused_weights_is_one_by_itself() {
    let std = |outputs: f64, inputs: f64| (2.0 / (outputs + inputs)).sqrt();
    let fused = |lengths: &[u64], geometry, dims: &[u64], text: &str| {
        let fused = Fused::lengths(lengths);
        TensorSpec::of_parts("w", shape(dims), init(text), geometry, fused).unwrap()
    };
    // Queries of 4 heads, keys and values of one: [out, in] and [in, out].
    for (dims, layout, axis) in [(&[96, 40], Layout::OutIn, 0), (&[40, 96], Layout::InOut, 1)] {
        let qkv = fused(&[64, 16, 16], layout.into(), dims, "xavier_normal");
        let found: Vec<_> = qkv.parts.iter().map(|part| (part.axis, part.source)).collect();
        let normal = |outputs| Source::Elements(Distribution::normal(std(outputs, 40.0)));
        assert_eq!(found, [(axis, normal(64.0)), (axis, normal(16.0)), (axis, normal(16.0))]);
        assert_eq!(qkv.fans().map(|fans| (fans.fan_in, fans.fan_out)), Some((40, 64)));
        assert_eq!(qkv.init, "variance_scaling:scale=1,mode=fan_avg,distribution=normal (3 parts)");
        // Each element has its own word, whatever part it is of.
        let stream = Stream::named(SEED, "w");
        for (index, value) in values(&qkv).into_iter().enumerate() {
            let output = if axis == 0 { index / 40 } else { index % 96 };
            let outputs = if output < 64 { 64.0 } else { 16.0 };
            let normal = Distribution::normal(std(outputs, 40.0));
            assert_eq!(value, normal.value(&stream, index as u64).unwrap(), "{index}");
        }
    }
    // A transposed convolution's outputs are not at an end.
    for (dims, layout) in [(&[40, 96, 3], Layout::OutIn), (&[3, 96, 40], Layout::InOut)] {
        let geometry = Geometry { layout, transposed: true, ..stacked(0) };
        let own = fused(&[64, 32], geometry, dims, "xavier_normal");
        let found: Vec<_> = own.parts.iter().map(|part| (part.axis, part.source.std())).collect();
        assert_eq!(found, [(1, std(192.0, 120.0)), (1, std(96.0, 120.0))], "{dims:?}");
    }
    // Equal parts of what is drawn element by element are all alike: nothing lies over them.
    let gate_up = TensorSpec::of_parts("w", shape(&[64, 40]), init("xavier_normal"), stacked(0), {
        Fused::equal(2)
    })
    .unwrap();
    assert!(gate_up.parts.is_empty() && gate_up.init.ends_with("(2 parts)"));
    assert_eq!(gate_up.source, Distribution::normal(std(32.0, 40.0)));

    // Orthogonal each: rows of a matrix, and columns, whose words are apart.
    let rows = fused(&[30, 20], stacked(0), &[50, 20], "orthogonal");
    let all = values(&rows);
    assert_orthonormal([30, 20], |row, column| all[row * 20 + column]);
    assert_orthonormal([20, 20], |row, column| all[(30 + row) * 20 + column]);
    assert_eq!(all[..600], values(&spec("orthogonal", &[30, 20], stacked(0))));
    assert_of_words(&all[600..], |at| 600 + at, [20, 20]);
    let columns = fused(&[7, 13], Layout::InOut.into(), &[30, 20], "orthogonal");
    let all = values(&columns);
    assert_orthonormal([30, 7], |row, column| all[row * 20 + column]);
    assert_orthonormal([30, 13], |row, column| all[row * 20 + 7 + column]);
    let second: Vec<f32> = (0..30).flat_map(|row| all[row * 20 + 7..][..13].to_vec()).collect();
    assert_of_words(&second, |at| at / 13 * 20 + 7 + at % 13, [30, 13]);

    // Experts whose gate and up are one tensor: [experts, gate and up, in] and [experts, in, gate and up].
    for (dims, layout) in [(&[3, 24, 10], Layout::OutIn), (&[3, 10, 24], Layout::InOut)] {
        let geometry = Geometry { layout, ..stacked(1) };
        let fused = Fused::equal(2);
        let own = TensorSpec::of_parts("w", shape(dims), init("orthogonal"), geometry, fused);
        let own = own.unwrap();
        assert_eq!(own.init, "orthogonal:1 (3 matrices of 2 parts)");
        let all = values(&own);
        for expert in 0..3 {
            for part in 0..2 {
                let at = |output: usize, input: usize| {
                    let output = part * 12 + output;
                    let place = match layout {
                        Layout::OutIn => output * 10 + input,
                        Layout::InOut => input * 24 + output,
                    };
                    all[expert * 240 + place]
                };
                assert_orthonormal([12, 10], at);
            }
        }
    }
}

/// Everything at once: names, dtypes, layouts, whole matrices over and under ranges.
const ALL: &str = r#"
[[tensor]]
name = "experts"
shape = [6, 24, 16]
init = "orthogonal"
batch_dims = 1
[[tensor]]
name = "gate_up"
shape = [3, 40, 64]
init = "xavier_uniform"
layout = "in_out"
batch_dims = 1
parts = [48, 16]
[[tensor]]
name = "qkv"
shape = [96, 32]
dtype = "bf16"
init = "orthogonal:0.5"
parts = [64, 16, 16]
[[tensor]]
name = "wte"
shape = [3001, 96]
init = "normal:0.02"
[[tensor.range]]
rows = 0
init = "zeros"
[[tensor.range]]
rows = "2900.."
init = "uniform:0.5"
[[tensor]]
name = "lstm.bias_hh_l0"
shape = [64]
init = "torch_default"
fan_in = 16
[[tensor]]
name = "positions"
shape = [70, 12]
dtype = "f16"
init = "sinusoidal:layout=halves"
[[tensor]]
name = "ids"
shape = [1, 77]
dtype = "i64"
init = "arange"
[[tensor.range]]
axis = 1
rows = "70.."
init = "constant:-100"
[[tensor]]
name = "corner"
shape = [20, 30]
init = "identity"
[[tensor.range]]
axis = 1
rows = "3..6"
init = "constant:5"
[[tensor.range]]
rows = "..10"
init = "orthogonal"
[[rule]]
match = "*bias_hh*"
rows = "16..32"
init = "ones"
[[rule]]
match = "corner"
rows = "5..20"
init = "dt_bias"
"#;

#[test]
fn any_stretch_is_that_of_the_whole() {
    for spec in Recipe::parse(ALL, "all").unwrap().tensors {
        let (all, size) = (bytes(&spec), spec.dtype.size());
        let elements = spec.shape.elements() as usize;
        // Its stretches are all of it, one after the other.
        let mut end = 0;
        for stretch in spec.stretches(0..elements as u64) {
            assert!(stretch.elements.start == end && stretch.elements.end > end, "{}", spec.name);
            assert!(matches!(stretch.content, Content::Drawn(_)));
            end = stretch.elements.end;
        }
        assert_eq!(end, elements as u64);
        let mut drawer = spec.drawer(SEED).unwrap();
        for step in [1, 7, 61, 1000, elements] {
            // From the back, so that matrices come again.
            for first in (0..elements).step_by(step).rev().take(700) {
                let mut out = vec![0; step.min(elements - first) * size];
                drawer.draw(first as u64, &mut out).unwrap();
                assert!(out == all[first * size..][..out.len()], "{} {first} {step}", spec.name);
            }
        }
        let mut beyond = vec![0; 2 * size];
        let error = drawer.draw(elements as u64 - 1, &mut beyond).unwrap_err().to_string();
        assert!(error.contains("whole elements") && error.contains(&spec.name), "{error}");
        assert!(drawer.draw(0, &mut beyond[..2 * size - 1]).is_err() || size == 1);
    }
}

#[test]
fn a_drawer_stops_where_it_is_told() {
    let stop = std::sync::atomic::AtomicBool::new(true);
    for text in ["orthogonal", "normal:1", "sinusoidal"] {
        let own = spec(text, &[40, 30], stacked(0));
        let mut drawer = own.drawer(SEED).unwrap().until(&stop);
        assert!(matches!(drawer.draw(0, &mut [0; 40]), Err(Error::Interrupted)), "{text}");
    }
}

#[test]
fn every_engine_and_chunk_writes_the_same_bytes_and_check_draws_them() {
    let recipe = Recipe::parse(ALL, "all").unwrap();
    for engine in engines() {
        let folder = Folder::new();
        let out = folder.path("all.safetensors");
        let report = written(&recipe, engine.as_ref(), &out, None).unwrap();
        let file = std::fs::read(&out).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        for (spec, done) in recipe.tensors.iter().zip(&report.tensors) {
            let stored = file.tensor(&spec.name).unwrap();
            assert!(stored.data() == bytes(spec), "{}: {}", engine.device(), spec.name);
            let [mean, std] = spec.expected().unwrap();
            let count = spec.shape.elements() as f64;
            // Five standard errors of a normal's; the ranges over parts of matrices are small.
            let near = (done.moments.mean - mean).abs() <= 5.0 * std / count.sqrt() + 1e-6;
            assert!(near, "{}: {} for {mean}", spec.name, done.moments.mean);
            let ratio = done.moments.std() / std;
            assert!((0.9..1.1).contains(&ratio), "{}: {} for {std}", spec.name, done.moments.std());
        }
        let report = check(&out, &CheckOptions::default()).unwrap();
        assert!(report.tensors.iter().all(|own| own.drawn == Some(Finding::Same)));
        assert_eq!(report.tensors.len(), recipe.tensors.len());
    }
}

/// What lies over what, in numbers that say which it was.
#[test]
fn an_earlier_range_lies_over_a_later() {
    let recipe = Recipe::parse(ALL, "all").unwrap();
    let corner = recipe.tensors.iter().find(|own| own.name == "corner").unwrap();
    let all = values(corner);
    let at = |row: usize, column: usize| all[row * 30 + column];
    assert!((0..20).all(|row| (3..6).all(|column| at(row, column) == 5.0)));
    // Rows 0 to 9 are orthogonal but for these, below the rule's, and nothing is left of the identity.
    assert!(at(0, 0) != 1.0 && at(7, 7) > -1.0 && at(7, 7) != 1.0);
    assert!((10..20).all(|row| (0..3).all(|column| (-7.0..-2.2).contains(&at(row, column)))));
    let whole = values(&spec("orthogonal", &[10, 30], stacked(0)));
    let mut own = corner.clone();
    own.name = "w".into();
    let all = values(&own);
    assert!((0..300).all(|index| (3..6).contains(&(index % 30)) || all[index] == whole[index]));

    let ids = bytes(recipe.tensors.iter().find(|own| own.name == "ids").unwrap());
    let ids: Vec<i64> =
        ids.chunks(8).map(|id| i64::from_le_bytes(id.try_into().unwrap())).collect();
    let wanted: Vec<i64> = (0..70).chain([-100; 7]).collect();
    assert_eq!(ids, wanted);
}

#[test]
fn recipes_and_metadata_read_back_to_the_same_tensors() {
    let recipe = Recipe::parse(ALL, "all").unwrap();
    let text = recipe.to_toml();
    let again = Recipe::parse(&text, "again").unwrap();
    for (own, again) in recipe.tensors.iter().zip(&again.tensors) {
        assert_eq!((&own.name, &own.shape, own.dtype), (&again.name, &again.shape, again.dtype));
        assert!(bytes(own) == bytes(again), "{}:\n{text}", own.name);
    }
    assert_eq!(again.to_toml(), text);
    let inits: Vec<String> = recipe.tensors.iter().map(TensorSpec::written).collect();
    assert_eq!(
        inits,
        [
            "orthogonal (6 matrices)",
            "xavier_uniform (3 matrices of 2 parts)",
            "orthogonal:0.5 (3 parts)",
            "normal:0.02; zeros at 0; uniform:0.5 at 2900..3001",
            "torch_default; ones at 16..32",
            "sinusoidal:layout=halves",
            "arange; constant:-100 at 70..77 of axis 1",
            "identity; constant:5 at 3..6 of axis 1; orthogonal at 0..10; dt_bias at 5..20",
        ]
    );
}

fn rules(pairs: &[&str]) -> fanin::Result<Rules> {
    Rules::pairs(pairs)
}

#[test]
fn ranged_rules_lie_over_what_a_tensor_has() {
    let base = "[[tensor]]\nname = 'own'\nshape = [8, 4]\ninit = 'ones'\n\
                [[tensor]]\nname = 'ruled'\nshape = [8, 4]\n\
                [[tensor]]\nname = 'short'\nshape = [3]\ninit = 'ones'\n";
    let parse = |rules: &str| Recipe::parse(&format!("{base}{rules}"), "r.toml").unwrap();
    let rule = |name: &str, init: &str, rows: &str| {
        let rows = if rows.is_empty() { String::new() } else { format!("rows = '{rows}'\n") };
        format!("[[rule]]\nmatch = '{name}'\ninit = '{init}'\n{rows}")
    };
    let said = |recipe: &Recipe| -> Vec<String> {
        recipe.tensors.iter().map(TensorSpec::written).collect()
    };
    // Before the rule for all, it counts; the pattern passes over the tensor that has no such rows.
    let recipe = parse(&(rule("*", "zeros", "5..") + &rule("ruled", "normal:1", "")));
    assert_eq!(said(&recipe), ["ones; zeros at 5..8", "normal:1; zeros at 5..8", "ones"]);
    // After it, only for what has an initializer of its own.
    let recipe = parse(&(rule("ruled", "normal:1", "") + &rule("*", "zeros", "5..")));
    assert_eq!(said(&recipe), ["ones; zeros at 5..8", "normal:1", "ones"]);
    let recipe = parse(&(rule("*", "normal:1", "") + &rule("{own,ruled}", "zeros", "5..")));
    assert_eq!(said(&recipe), ["ones; zeros at 5..8", "normal:1", "ones"]);
    // Two of them: the earlier has what both speak of.
    let two = rule("own", "constant:2", "2..4") + &rule("*", "constant:3", "3..6");
    let mut recipe = parse(&(two + &rule("*", "normal:1", "")));
    let column = |recipe: &Recipe| -> Vec<f32> {
        values(&recipe.tensors[0]).chunks(4).map(|row| row[0]).collect()
    };
    assert_eq!(column(&recipe), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0]);
    // The command line's come before, and a new initializer leaves the ranges.
    let more = rules(&["own=constant:4 rows=3..5", "own=zeros"]).unwrap();
    recipe.override_with(&more).unwrap();
    assert_eq!(column(&recipe), [0.0, 0.0, 2.0, 4.0, 4.0, 3.0, 0.0, 0.0]);
    recipe.override_with(&rules(&["own=constant:9 rows=1 axis=1"]).unwrap()).unwrap();
    assert_eq!(values(&recipe.tensors[0])[..4], [0.0, 9.0, 0.0, 0.0]);
    assert_eq!(said(&recipe)[0], "zeros; 4 ranges");
    // Batches and parts are kept, as the rest of the geometry is.
    let mut recipe = Recipe::parse(ALL, "all").unwrap();
    recipe.override_with(&rules(&["{experts,gate_up}=xavier_normal"]).unwrap()).unwrap();
    let std = |outputs: f64, inputs: f64| (2.0 / (outputs + inputs)).sqrt();
    assert_eq!(recipe.tensors[0].source, Distribution::normal(std(24.0, 16.0)));
    assert_eq!(recipe.tensors[1].parts[1].source, Distribution::normal(std(16.0, 40.0)));

    // Fans are those of the whole tensor, unless given; an LSTM's forget gate.
    let of = |rule: &str| {
        let text = "[[tensor]]\nname = 'w'\nshape = [32, 16]\ninit = 'zeros'\n";
        let mut recipe = Recipe::parse(text, "r").unwrap();
        recipe.override_with(&rules(&[rule]).unwrap()).unwrap();
        recipe.tensors[0].ranges[0].source
    };
    assert_eq!(of("w=xavier_normal rows=..8"), Distribution::normal(std(32.0, 16.0)));
    let given = of("w=xavier_normal rows=..8 fan_in=8 fan_out=24");
    assert_eq!(given, Distribution::normal(0.25));
    assert_eq!(of("w=normal:1 depth=4 rows=7"), Distribution::normal(0.5));
}

#[test]
fn a_range_of_the_library_is_that_of_a_recipe() {
    let own = TensorSpec::new("wte", shape(&[3001, 96]), init("normal:0.02")).unwrap();
    let own = own.with_range(0, 0..1, Init::zeros()).unwrap();
    let own = own.with_range(0, 2900..3001, init("uniform:0.5")).unwrap();
    let recipe = Recipe::parse(ALL, "all").unwrap();
    let other = recipe.tensors.iter().find(|own| own.name == "wte").unwrap();
    assert_eq!(bytes(&own), bytes(other));
    let error = own.with_range(0, 3000..3002, Init::zeros()).unwrap_err().to_string();
    assert!(error.contains("tensor `wte`") && error.contains("3000..3002"), "{error}");
}

/// What was given, what was needed, and where.
#[test]
fn mistakes_say_what_and_where() {
    let tensor = |keys: &str| {
        format!("[[tensor]]\nname = 'w'\nshape = [100, 64]\ninit = 'he_normal'\n{keys}\n")
    };
    let range = |keys: &str| tensor(&format!("[[tensor.range]]\ninit = 'zeros'\n{keys}"));
    for (text, parts) in [
        (tensor("batch_dims = 1"), &["tensor `w`", "batch_dims 1 leaves [64]"][..]),
        (tensor("batch_dims = 3"), &["batch_dims: got 3", "at most 2"]),
        (tensor("parts = 3"), &["r.toml:2:8", "parts: got 3", "axis 0", "a divisor of 100"]),
        (tensor("parts = 0"), &["parts"]),
        (tensor("parts = 'x'"), &["r.toml:5:9", "a number of parts"]),
        (tensor("parts = [64, 32]"), &["[64, 32]", "whose sum is 100"]),
        (tensor("parts = [100, 0]"), &["lengths above 0"]),
        (tensor("parts = 3\nparts_axis = 2"), &["axis 2", "[100, 64]"]),
        (
            tensor("parts = 2\nbatch_dims = 2\nlayout = 'in_out'"),
            &["parts", "an axis of a matrix's"],
        ),
        (tensor("parts = 2\nbatch_dims = 9223372036854775807"), &["batch_dims", "at most 2"]),
        (tensor("parts_axis = 1"), &["parts_axis: got 1", "parts=3"]),
        (range("rows = '50..101'"), &["50..101", "within its 100"]),
        (range("rows = '100..'"), &["100..", "within its 100"]),
        (range("rows = '5..5'"), &["r.toml:7:8", "a range that is not empty"]),
        (range("rows = -1"), &["r.toml:7:8", "an index, or a range"]),
        (range("rows = 0\naxis = 2"), &["axis: got 2", "at most 1"]),
        (range("rows = 0\nrow = 1"), &["unknown field `row`"]),
        (range("rows = 0\nrows = 1"), &["duplicate key"]),
        (range("axis = 0"), &["missing field `rows`"]),
    ] {
        let error = Recipe::parse(&text, "r.toml").unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "no `{part}` in `{error}` of\n{text}");
        }
    }
    let gpt2 = Recipe::builtin("gpt2").unwrap();
    for (rule, parts) in [
        ("wte.weight=zeros rows=50258", &["tensor `wte.weight`", "50258", "within its 50257"][..]),
        ("*=zeros rows=60000..70000", &["60000..70000", "within its"]),
        ("wte.weight=zeros rows=2..1", &["rows: got `2..1`", "not empty"]),
        ("wte.weight=zeros rows=1 rows=2", &["`rows` twice"]),
        ("wte.weight=zeros axis=1", &["axis: got 1", "rows"]),
        ("wte.weight=zeros rows=1 axis=x", &["axis: got `x`"]),
        ("wte.weight=zeros rows=1 axis=5", &["axis: got 5", "at most 1"]),
        ("wte.weight=zeros rows=1 parts=2", &["parts", "with rows"]),
        ("wte.weight=zeros rows=1 shape=[2,2]", &["shape", "with rows"]),
        ("wte.weight=keep rows=1", &["keep", "no file that holds"]),
        ("wte.weight=he_normal parts=[1,2]", &["[1, 2]", "axis 1", "whose sum is 768"]),
        ("wte.weight=he_normal parts=1,x", &["parts: got `1,x`", "lengths without blanks"]),
        ("wte.weight=he_normal batch_dims=-1", &["batch_dims: got `-1`"]),
        ("wte.weight=arange depth=4", &["depth", "whose scale"]),
        ("h.0.*=zeros dims=3 rows=0", &["no tensor of the dimensions"]),
        ("*=he_normal rows=0 dims=..2", &["fans", "two dimensions"]),
    ] {
        let error = rules(&[rule]).and_then(|rules| gpt2.clone().override_with(&rules));
        let error = error.unwrap_err();
        assert!(error.is_usage(), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{rule}: no `{part}` in `{error}`");
        }
    }
    let many: Vec<String> = (0..257).map(|row| format!("*=zeros rows={row}")).collect();
    let error = gpt2.clone().override_with(&Rules::pairs(&many).unwrap()).unwrap_err();
    assert!(error.to_string().contains("257 ranges and parts"), "{error}");
    let mut by_hand = spec("orthogonal", &[4, 4], stacked(0));
    by_hand.shape = shape(&[4, 5]);
    let error = Recipe::new("r", vec![by_hand]).unwrap_err().to_string();
    assert!(error.contains("a matrix of 16 elements") && error.contains("[4, 5]"), "{error}");
    // A tensor by hand is held to the same.
    let mut by_hand = spec("normal:1", &[4, 4], stacked(0));
    by_hand = by_hand.with_range(1, 0..4, Init::zeros()).unwrap();
    by_hand.ranges[0].rows = 0..5;
    let error = Recipe::new("r", vec![by_hand]).unwrap_err().to_string();
    assert!(error.contains("0..5") && error.contains("within its 4"), "{error}");
}

/// As people write them at the command line.
#[test]
fn the_command_line_has_them() {
    let folder = Folder::new();
    let recipe = folder.write(
        "r.toml",
        "[[tensor]]\nname = 'experts'\nshape = [8, 64, 128]\ninit = 'he_normal'\n\
         [[tensor]]\nname = 'rnn.bias_hh'\nshape = [256]\ninit = 'zeros'\n",
    );
    let out = folder.name("o.safetensors");
    let arguments = [
        "init",
        &recipe,
        "--out",
        &out,
        "--json",
        "--rule",
        "experts=he_normal batch_dims=1",
        "--rule",
        "*bias_hh*=ones rows=64..128",
    ];
    let document: serde_json::Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    let experts = &document["tensors"][0];
    assert_eq!(experts["init"], "he_normal (8 matrices)");
    assert_eq!((&experts["fan_in"], &experts["fan_out"]), (&128.into(), &64.into()));
    assert_eq!(experts["expected_std"], 0.125);
    let bias = &document["tensors"][1];
    assert_eq!(bias["init"], "zeros; ones at 64..128");
    assert_eq!((&bias["expected_mean"], &bias["mean"]), (&0.25.into(), &0.25.into()));
    let told = succeeds(&["check", &out, "--json"]);
    assert!(told.contains("he_normal (8 matrices)"), "{told}");
    let arguments = ["init", &recipe, "--out", &out, "--rule", "*=zeros rows=300"];
    fails(2, &arguments, &["rows", "300", "within its"]);
}

/// A recipe of a trillion parameters is read and told of in little time.
#[test]
fn many_experts_cost_no_more_than_one() {
    let text = "[[tensor]]\nname = 'l.{0..61}.gate_up'\nshape = [384, 4096, 7168]\ndtype = 'bf16'\n\
                init = 'orthogonal'\nbatch_dims = 1\nparts = 2\n";
    let recipe = Recipe::parse(text, "r").unwrap();
    assert!(recipe.elements() > 687_000_000_000);
    assert_eq!(recipe.tensors[60].init, "orthogonal (384 matrices of 2 parts)");
    let [mean, std] = recipe.tensors[60].expected().unwrap();
    assert!(mean == 0.0 && (std - 1.0 / 7168f64.sqrt()).abs() < 1e-12);
    // Of its last stretch only the last matrix is drawn.
    let small = one("[[tensor]]\nname = 'w'\nshape = [1000000, 8, 4]\ninit = 'orthogonal'\n\
                     batch_dims = 1\n");
    let mut last = vec![0; 32 * 4];
    small.drawer(SEED).unwrap().draw(999_999 * 32, &mut last).unwrap();
    let last: Vec<f32> =
        last.chunks(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect();
    assert_orthonormal([8, 4], |row, column| last[row * 4 + column]);
}

/// What comes too late for its rows would be lost without a word: trained rows, say.
#[test]
fn a_rule_for_rows_after_one_for_all_is_told() {
    let mut recipe =
        Recipe::parse("[[tensor]]\nname = 'wte'\nshape = [8, 3]\ninit = 'normal:1'\n", "test")
            .unwrap();
    let late = Rules::pairs(["*=normal:0.02", "wte=zeros rows=..2"]).unwrap();
    let error = recipe.override_with(&late).unwrap_err().to_string();
    assert!(
        error.contains("`wte` is for some rows alone") && error.contains("needed this one first"),
        "{error}"
    );
    let rules = Rules::pairs(["wte=zeros rows=..2", "*=normal:0.02"]).unwrap();
    recipe.override_with(&rules).unwrap();
    assert_eq!(recipe.tensors[0].written(), "normal:0.02; zeros at 0..2");
}
