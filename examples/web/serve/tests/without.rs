//! Browsers that lack something: what works without it goes on, and the rest says why it does not.

use serde_json::json;

use crate::browser::{Browser, Page, SOFTWARE};

fn draws_on_the_cpu_alone(page: &mut Page, code: &str) {
    let draw = |device: &str| json!({ "device": device, "shape": [7, 143], "seed": 3 });
    let gpu = page.answer("gpu", &json!({}));
    assert!(gpu["none"].as_str().is_some_and(|why| why.len() > 20), "{gpu}");
    assert_eq!(gpu["code"], code);
    let failure = page.failure("draw", &draw("gpu"));
    assert_eq!(failure["code"], code, "{failure}");
    assert!(page.answer("draw", &draw("cpu"))["sha256"].is_string());
    let settings = json!({
        "depth": 4, "width": 16, "activation": "relu", "init": "he_normal", "bias": "zeros",
        "residual": false, "norm": false,
    });
    let probe = json!({ "settings": settings, "seed": 1 });
    assert_eq!(page.answer("probe", &probe)["layers"].as_array().unwrap().len(), 4);
    let train = json!({ "data": "moons", "seed": 1, "runs": [settings], "epochs": 1 });
    page.answer("train.start", &train);
    assert_eq!(page.answer("exact", &json!({ "run": 0 }))["ok"], true);
}

#[test]
fn without_promise_integration_the_cpu_works() {
    let mut page = Browser::start(SOFTWARE).blank();
    // No flag of Chromium's does it any more.
    page.before_all(
        "delete WebAssembly.Suspending; delete WebAssembly.promising; delete WebAssembly.JSTag",
    );
    page.go("");
    let support = page.evaluate("(async () => (await import('./engine.js')).support)()");
    assert_eq!((&support["jspi"], &support["webgpu"]), (&json!(false), &json!(true)));
    draws_on_the_cpu_alone(&mut page, "no-jspi");
    page.close();
}

#[test]
fn without_webgpu_the_cpu_works() {
    let mut page = Browser::start(&["--disable-features=WebGPU", "--disable-gpu"]).open("");
    draws_on_the_cpu_alone(&mut page, "no-gpu");
    page.close();
}
