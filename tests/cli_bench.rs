//! `fanin bench`: what it prints and writes, and how it fails.

use serde_json::Value;

use crate::cli::{fails, fanin, text};

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
    for name in ["write_bytes_per_s", "copy_bytes_per_s", "multiply_add_flops_per_s"] {
        assert!(number(&ceilings[name]) > 0.0, "{name}");
    }
    let rows = document["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["op"] == "matmul_nn"));
    for row in rows {
        assert_eq!(row["engine"], "cpu");
        assert!(["normal", "truncated_normal", "matmul_nn"].contains(&row["op"].as_str().unwrap()));
        assert!(number(&row["median_s"]) > 0.0 && number(&row["throughput"]) > 0.0);
        assert!(number(&row["ceiling_fraction"]) > 0.0);
    }
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("normal") && !svg.contains("NaN"));
    // What exists is kept.
    let again = fanin(&arguments);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("exists"));
}

#[test]
fn unknown_cases_are_named() {
    fails(2, &["bench", "--quick", "--only", "matmull"], &["--only", "matmull", "matmul_nt"]);
}
