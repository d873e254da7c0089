//! `fanin probe`: what it prints and writes, and how it fails.

use serde_json::Value;

use crate::cli::{fails, fanin, succeeds, text};

#[test]
fn the_report_says_which_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (page, figures) = (path("probe.html"), path("figures"));
    let arguments = [
        "probe",
        "--device",
        "cpu",
        "--depth",
        "20",
        "--width",
        "32",
        "--init",
        "zeros,normal:0.01,xavier_normal,he_normal",
        "--report",
        &page,
        "--svg",
        &figures,
    ];
    let output = fanin(&arguments);
    let out = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        out.contains("Use he_normal") && out.contains("symmetric") && out.contains("vanishing")
    );
    let html = std::fs::read_to_string(&page).unwrap();
    // Nothing is asked of a network; the namespace is a name.
    let plain = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!plain.contains("http") && !plain.contains("<script") && !plain.contains("NaN"));
    for part in ["Use he_normal", "prefers-color-scheme", "@media print", "--svg", "<caption>"] {
        assert!(html.contains(part), "{part}");
    }
    for tag in
        ["section", "figure", "svg", "table", "details", "div", "g", "text", "tr", "td", "th"]
    {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let names: Vec<String> = std::fs::read_dir(&figures)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.contains(&"activations-relu-20x32.svg".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("scales-relu")), "{names:?}");
    // What is there stays, and says so before anything is measured.
    fails(2, &arguments, &["exists", "--force"]);
}

#[test]
fn json_has_what_programs_ask_for() {
    let arguments = [
        "probe",
        "--device",
        "cpu",
        "--depth",
        "3,6",
        "--width",
        "16",
        "--activation",
        "tanh,relu",
        "--init",
        "he_normal,normal:5",
        "--seeds",
        "2",
        "--json",
    ];
    let output = fanin(&arguments);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["engine"], "cpu");
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    for run in runs {
        assert_eq!(run["layers"].as_array().unwrap().len() as u64, run["depth"].as_u64().unwrap());
        assert!(run["verdict"].is_string() && run["seeds"] == serde_json::json!([0, 1]));
        for layer in run["layers"].as_array().unwrap() {
            for field in [
                "activation_mean",
                "activation_var",
                "gradient_var",
                "predicted_activation_var",
                "predicted_gradient_var",
            ] {
                assert!(layer[field].is_number(), "{field}: {layer}");
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    for (arguments, parts) in [
        (vec!["--init", "he_norml"], vec!["he_norml", "nearest: he_normal"]),
        (vec!["--init", "normal:abc"], vec!["abc", "finite number"]),
        (vec!["--init", "sparse:2"], vec!["sparsity", "0 to 1"]),
        (vec!["--bias", "orthogonal"], vec!["orthogonal", "two dimensions"]),
        (vec!["--bias", "0.01"], vec!["constant:0.01"]),
        (vec!["--depth", "0"], vec!["--depth", "1 to 100000"]),
        (vec!["--seeds", "0"], vec!["seeds", "at least one"]),
        (vec!["--data", "spirals", "--width", "8"], vec!["2 features", "8 inputs"]),
    ] {
        let arguments = [vec!["probe", "--device", "cpu"], arguments].concat();
        fails(2, &arguments, &parts);
    }
}

/// The flags make what was measured: in place of those of their names, `--depth` and `--width` being
/// together what `--widths` is, and beside the others.
#[test]
fn what_is_advised_can_be_typed_in() {
    let probe = |flags: &[String]| -> Value {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let output = fanin(&[&["probe", "--device", "cpu", "--json"], &flags[..]].concat());
        assert!(output.status.success(), "{flags:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // A flag and its values.
    let parts = |line: &str| -> Vec<Vec<String>> {
        let mut parts: Vec<Vec<String>> = Vec::new();
        for word in line.split(' ') {
            match parts.last_mut() {
                Some(part) if !word.starts_with("--") => part.push(word.to_owned()),
                _ => parts.push(vec![word.to_owned()]),
            }
        }
        parts
    };
    let shape = |flag: &str| match flag {
        "--depth" | "--width" | "--widths" => "shape".to_owned(),
        other => other.to_owned(),
    };
    for line in [
        "--depth 10 --width 64 --init he_normal --bias constant:-3",
        "--depth 10 --width 64 --activation hard_sigmoid --init xavier_normal",
        "--depth 100 --seed 4 --batch 64 --width 16 --init he_normal",
        "--depth 10 --activation sin --init siren",
        "--widths 5,9,9,9,9,9,3 --init zeros",
        "--widths 2,2,2,2,2,2,2,2,2,2,2 --init he_normal",
        "--depth 10 --width 2 --init he_normal --residual",
        "--data spirals --width 2 --depth 12 --init xavier_normal",
        // Of several networks, the one that was tried.
        "--depth 3,9 --width 32,16 --activation tanh,relu --init zeros,normal:0.01",
    ] {
        let found = probe(&parts(line).concat());
        let lost = |run: &&Value| run["verdict"] != "healthy";
        let runs: Vec<&Value> = found["runs"].as_array().unwrap().iter().filter(lost).collect();
        assert!(!runs.is_empty(), "{line}");
        for run in runs {
            assert!(run["instead"].is_string() && run["tried"].is_array(), "{line}: {run}");
            let flags = parts(run["instead_flags"].as_str().unwrap());
            let named = |own: &Vec<String>| flags.iter().any(|f| shape(&f[0]) == shape(&own[0]));
            let kept = parts(line).into_iter().filter(|own| !named(own));
            let again = probe(&kept.chain(flags.clone()).collect::<Vec<_>>().concat());
            let again = again["runs"].as_array().unwrap();
            assert_eq!(again.len(), 1, "{line}: {flags:?}");
            assert_eq!(again[0]["verdict"], "healthy", "{line}: {flags:?}");
            assert_eq!(again[0]["depth"], run["depth"], "{line}: {flags:?}");
        }
    }
}

#[test]
fn the_rows_and_the_last_word_advise_the_same() {
    let base =
        ["probe", "--device", "cpu", "--depth", "20", "--width", "64", "--batch", "64", "--init"];
    for (inits, advised) in [
        ("normal:0.01,he_uniform,orthogonal,zeros", "he_uniform"),
        ("normal:0.01,kaiming_normal,he_uniform,zeros", "kaiming_normal"),
    ] {
        let out = succeeds(&[&base[..], &[inits]].concat());
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<&str> = words.split("Instead: ").skip(1).collect();
        assert!(rows.len() > 1, "{out}");
        let last = ["Use ", advised].concat();
        assert!(words.contains(&last), "{out}");
        let own = ["orthogonal:gain=relu, or ", advised].concat();
        for row in rows {
            assert!(row.starts_with(advised) || row.starts_with(&own), "{row}: {out}");
        }
    }
}

#[test]
fn the_rule_is_stated() {
    let short = ["probe", "--device", "cpu", "--depth", "3", "--width", "8"];
    for out in [succeeds(&["probe", "--help"]), succeeds(&short)] {
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("more than a tenth (a factor of 1.1) from layer to layer"), "{out}");
    }
}

#[test]
fn the_greatest_seed_works() {
    let seed = u64::MAX.to_string();
    let arguments = [
        "probe",
        "--device",
        "cpu",
        "--depth",
        "3",
        "--width",
        "8",
        "--init",
        "he_normal",
        "--seed",
        &seed,
    ];
    succeeds(&arguments);
    fails(2, &[&arguments[..], &["--seeds", "2"]].concat(), &["--seeds", "2 from", &seed]);
    fails(2, &["probe", "--seeds", "1000000000000"], &["--seeds", "at most 100000"]);
}
