//! `fanin bench`: what it prints and writes, and how it fails.

use std::process::Command;

use fanin::gpu::Tuning;
use serde_json::Value;

use crate::cli::{fails, fanin, text};
use crate::devices::contexts;
use crate::picture::Picture;

#[test]
fn rates_are_held_against_ceilings() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("roofline.svg");
    let picture = picture.to_str().unwrap();
    let arguments =
        ["bench", "--quick", "--device", "cpu", "--only", "normal,matmul_nn", "--svg", picture];
    let output = fanin(&[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let ceilings = &document["ceilings"][0];
    for name in
        ["write_bytes_per_s", "read_bytes_per_s", "copy_bytes_per_s", "multiply_add_flops_per_s"]
    {
        assert!(number(&ceilings[name]) > 0.0, "{name}");
    }
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["op"] == "matmul_nn"));
    for row in rows {
        assert_eq!(row["engine"], "cpu");
        assert!(["normal", "truncated_normal", "matmul_nn"].contains(&row["op"].as_str().unwrap()));
        assert!(number(&row["median_s"]) > 0.0 && number(&row["throughput"]) > 0.0);
        assert!(number(&row["low_s"]) <= number(&row["median_s"]));
        assert!(number(&row["median_s"]) <= number(&row["high_s"]));
        // A part, or a word for why there is none.
        match row["limit"].as_str().unwrap() {
            "memory" | "multiply_add" => {
                let share = number(&row["ceiling_fraction"]);
                assert!(share > 0.0 && share <= 1.0, "{row}");
            }
            "cache" | "unsteady" => assert!(row["ceiling_fraction"].is_null(), "{row}"),
            other => panic!("{other}"),
        }
    }
    assert_eq!(document["skipped"].as_array().unwrap().len(), 0);
    let svg = std::fs::read_to_string(picture).unwrap();
    let picture = Picture::read(&svg);
    picture.hold();
    let said = picture.said();
    for part in ["FLOP/s (log)", "FLOP/B (log)", "normal 2^24", "of memory", "100 %"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // A share is written with its quartiles.
    for row in rows.iter().filter(|row| row["ceiling_fraction"].is_number()) {
        let percent = |of: &str| {
            let part =
                number(&row["ceiling_fraction"]) * number(&row["median_s"]) / number(&row[of]);
            format!("{:.0}", 100.0 * part)
        };
        let [share, low, high] = ["median_s", "high_s", "low_s"].map(percent);
        assert!(said.contains(&format!("{share} % ({low}–{high})")), "{row}: {said}");
    }
    // What exists is kept.
    let again = fanin(&arguments);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("exists"));
}

#[test]
fn what_cannot_run_is_said() {
    let arguments = ["bench", "--quick", "--device", "cpu", "--only", "matmul_nt"];
    let output = fanin(&[&arguments[..], &["--json"]].concat());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let skipped = document["skipped"].as_array().unwrap();
    assert!(!skipped.is_empty());
    for own in skipped {
        assert_eq!((&own["op"], &own["dtype"]), (&"matmul_nt".into(), &"f16".into()));
        assert!(own["reason"].as_str().unwrap().contains("f32"), "{own}");
    }
    let table = crate::cli::succeeds(&arguments);
    assert!(table.contains("did not run") && table.contains("matmul_nt f16 512 x 512 x 512"));
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn unknown_cases_are_named() {
    fails(2, &["bench", "--quick", "--only", "matmull"], &["--only", "matmull", "matmul_nt"]);
}

#[test]
#[cfg(target_os = "linux")] // Where the cache folder is a variable's.
fn what_is_tuned_is_kept_in_the_cache_folder() {
    let cache = tempfile::tempdir().unwrap();
    let name = &contexts()[0].adapter_info().name;
    // A comma would begin another device.
    let device = name.split(',').next().unwrap().to_owned();
    let output = Command::new(env!("CARGO_BIN_EXE_fanin"))
        .args(["bench", "--tune", "--json", "--device", &format!("cpu,{device}")])
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The CPU engine has nothing to tune.
    let [tuning] = &document["tunings"].as_array().unwrap()[..] else { panic!("{document}") };
    let path = std::path::Path::new(tuning["path"].as_str().unwrap());
    assert!(path.starts_with(cache.path()));
    let name = tuning["device"].as_str().unwrap();
    assert!(name.contains(&device));
    let kept = Tuning::load(path, name).unwrap();
    assert!(!kept.products.is_empty());
    // What would have been taken anyway is among what was tried, once a kind.
    let trials = tuning["trials"].as_array().unwrap();
    let mut kinds: Vec<&Value> = trials.iter().map(|trial| &trial["what"]).collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 1 + kept.products.len());
    for kind in kinds {
        let own = trials.iter().filter(|trial| trial["what"] == *kind);
        assert_eq!(own.filter(|trial| trial["usual"] == true).count(), 1, "{kind}");
    }
}

#[test]
fn a_tuner_without_an_adapter_says_so() {
    let output = fanin(&["bench", "--tune", "--device", "cpu"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("nothing to tune"));
    fails(2, &["bench", "--tune", "--quick"], &["--tune", "--quick"]);
}
