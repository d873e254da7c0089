//! `fanin probe`: what it prints and writes, and how it fails.

use serde_json::Value;

#[cfg(unix)]
use crate::chromium::browser;
use crate::cli::{fails, fanin, succeeds, text};
use crate::picture::Picture;

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

/// Networks that were hard to draw: of one layer and of many, with signals that vanish, explode, are 0 or no
/// number, with one initializer and with more than there are colours.
#[test]
fn whatever_the_network_its_pictures_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let figures = folder.path().join("figures");
    let many = "he_normal,xavier_normal,lecun_normal,he_uniform,xavier_uniform,lecun_uniform,orthogonal,zeros,\
                identity,sparse:0.5,uniform:-0.1,0.1,normal:0.02,truncated_normal:0.02,constant:0.01,normal:3,\
                normal:1e-5,normal:1e5,lsuv";
    let long = |scale: &str| {
        format!("variance_scaling:scale={scale},mode=fan_avg,distribution=truncated_normal")
    };
    let (default, zeros) = ("--width 64", "--depth 12 --width 16 --init zeros,constant:0.5");
    for line in [
        default,
        "--depth 1,2 --width 3",
        "--depth 10 --width 64 --init he_normal --seeds 5",
        "--depth 200 --width 32",
        "--depth 20 --width 32 --activation sigmoid,tanh,selu",
        "--depth 20 --width 32 --activation sin:30 --init siren,he_normal,normal:0.1,lsuv,normal:5",
        "--depth 40 --width 32 --residual --init he_normal,normal:10,constant:0.1,uniform:-3.5,3.5",
        "--depth 12 --width 16 --layer-norm --init zeros,normal:0.01,he_normal --seeds 2",
        zeros,
        "--depth 9 --width 16 --activation relu,hard_sigmoid --init normal:1e30,normal:1e-30",
        &format!(
            "--widths 32,24,16,9,5 --activation tanh --bias normal:0.3 --seeds 2 --init {many}"
        ),
        &format!("--depth 5 --width 8 --init {},{},he_normal", long("1.2345678901"), long("0.5")),
    ] {
        let folder = ["--device", "cpu", "--force", "--svg", figures.to_str().unwrap()];
        let line: Vec<&str> = line.split(' ').chain(folder).collect();
        succeeds(&[&["probe"], &line[..]].concat());
        let files = std::fs::read_dir(&figures).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = files.collect();
        for path in &files {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let picture = Picture::read(&std::fs::read_to_string(path).unwrap());
            match name.starts_with("histograms") || name.starts_with("scales") {
                true => picture.hold(),
                false => picture.hold_chart(),
            }
            // The map is that of the network.
            let said = picture.said().replace('\n', " ");
            assert!(!said.contains("The map is that of"), "{line:?}: {name}: {said}");
        }
        assert!(files.len() >= 5, "{line:?}: {files:?}");
        std::fs::remove_dir_all(&figures).unwrap();
    }
}

/// What a browser makes of the page: it fits windows and paper of any width, no words lie on others, and all
/// are large enough to read.
#[test]
#[cfg(unix)]
fn the_page_fits_narrow_windows() {
    let Some(browser) = browser() else {
        println!("FANIN_TEST_CHROMIUM=none: no browser");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let long = "variance_scaling:scale=1.2345678901,mode=fan_avg,distribution=truncated_normal";
    let inits = format!("{long},zeros,normal:0.01,normal:0.1,xavier_normal,he_normal");
    let (report, page) = (path("report.html"), path("page.html"));
    let network = ["--depth", "30", "--width", "32", "--seeds", "2", "--init", &inits];
    succeeds(&[&["probe", "--device", "cpu", "--report", &report][..], &network].concat());
    let html = std::fs::read_to_string(&report).unwrap();
    let script = "<script>{
        const found = [];
        document.querySelectorAll('details').forEach(own => own.open = true);
        const root = document.documentElement;
        if (root.scrollWidth > root.clientWidth) found.push('the page scrolls sideways');
        for (const own of document.querySelectorAll('body *')) {
            if (own.scrollWidth > own.clientWidth + 1 && getComputedStyle(own).overflowX != 'visible')
                found.push(own.tagName + ' scrolls sideways');
        }
        let words = 0, least = 1e9;
        for (const svg of document.querySelectorAll('svg')) {
            const canvas = svg.getBoundingClientRect();
            const scale = canvas.width / svg.viewBox.baseVal.width;
            const all = [...svg.querySelectorAll('text')].map(own => [own.textContent, own.getBoundingClientRect(),
                scale * parseFloat(getComputedStyle(own).fontSize)]);
            all.forEach(([text, a, size], place) => {
                words += 1;
                least = Math.min(least, size);
                if (a.left < canvas.left || a.right > canvas.right || a.top < canvas.top - 1 || a.bottom > canvas.bottom + 1)
                    found.push('off the canvas: ' + text);
                const inset = 0.1 * size;
                for (const [other, b] of all.slice(0, place))
                    if (a.left < b.right && b.left < a.right && a.top + inset < b.bottom - inset
                        && b.top + inset < a.bottom - inset)
                        found.push(text + ' on ' + other);
            });
        }
        document.title = JSON.stringify({ width: innerWidth, words, least, found });
    }</script></body>";
    std::fs::write(&page, html.replace("</body>", script)).unwrap();
    for width in [500, 700, 900, 1280] {
        let output = std::process::Command::new(&browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args([
                "--disable-background-networking",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .arg("--timeout=60000")
            .arg(format!("--user-data-dir={}", path("profile")))
            .arg(format!("--window-size={width},900"))
            .args(["--dump-dom", &format!("file://{page}")])
            .output()
            .unwrap();
        let dom = text(&output.stdout);
        let title = dom.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
        let found: Value = serde_json::from_str(title).unwrap_or_else(|_| panic!("{title}"));
        assert_eq!(found["width"], width);
        assert!(found["words"].as_u64().unwrap() > 100, "{found}");
        assert!(found["least"].as_f64().unwrap() > 10.5, "{found}");
        assert_eq!(found["found"], serde_json::json!([]), "at {width}");
    }
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
