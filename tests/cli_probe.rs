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

/// The text is what a user can type in, and the flags make what was measured.
#[test]
fn what_is_advised_can_be_typed_in() {
    let probe = |more: &[&str]| -> Value {
        let arguments = [&["probe", "--device", "cpu", "--json"], more].concat();
        let output = fanin(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for (network, own) in [
        (
            vec!["--depth", "10", "--width", "64"],
            vec!["--init", "he_normal", "--bias", "constant:-3"],
        ),
        (
            vec!["--depth", "10", "--width", "64", "--activation", "hard_sigmoid"],
            vec!["--init", "xavier_normal"],
        ),
        (
            vec!["--depth", "100", "--seed", "4", "--batch", "64"],
            vec!["--width", "16", "--init", "he_normal"],
        ),
        (vec!["--depth", "10"], vec!["--activation", "sin", "--init", "siren"]),
        (vec!["--widths", "5,9,9,9,9,9,3"], vec!["--init", "zeros"]),
    ] {
        let found = probe(&[network.clone(), own.clone()].concat());
        let run = &found["runs"][0];
        assert_ne!(run["verdict"], "healthy");
        let flags = run["instead_flags"].as_str().unwrap();
        assert!(run["instead"].is_string() && run["tried"].is_array());
        // In place of what they name.
        let flags: Vec<&str> = flags.split(' ').collect();
        let named = |flag: &str| flags.contains(&flag);
        let kept = own.chunks(2).filter(|pair| !named(pair[0]));
        let kept: Vec<&str> = kept.flatten().copied().collect();
        let again = probe(&[network, kept, flags.clone()].concat());
        assert_eq!(again["runs"][0]["verdict"], "healthy", "{flags:?}");
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
