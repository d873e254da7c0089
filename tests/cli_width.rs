//! What is printed fits the terminal, and no number is broken for it.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Output};

use crate::cli::text;

/// Runs in a folder, in so many columns, or where nothing says how many.
fn run(folder: &Path, columns: Option<usize>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.args(arguments).current_dir(folder).env_remove("COLUMNS");
    if let Some(columns) = columns {
        command.env("COLUMNS", columns.to_string());
    }
    command.output().unwrap()
}

/// Letters, all of which are one cell wide here.
fn width(line: &str) -> usize {
    line.chars().count()
}

/// Words with a digit in them.
fn numbers(text: &str) -> HashSet<&str> {
    let digits = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
    let bare = |word| str::trim_matches(word, [',', ':', '(', ')']);
    text.split_whitespace().map(bare).filter(digits).collect()
}

/// What people see of each command, some of it wider than most terminals. Each draws and measures the same
/// whenever it is run, but for seconds.
const COMMANDS: [&[&str]; 26] = [
    &["init", "--list"],
    &["init", "long.toml", "--device", "cpu", "--force", "--out", "long.safetensors"],
    &["check", "long.safetensors"],
    &["init", "none-of-these", "--out", "long.safetensors"],
    &["init", "long.toml", "--dry-run", "--rank", "0", "--world", "2"],
    &["init", "long.toml", "--dry-run", "--plan", "plan.toml"],
    &[
        "init",
        "long.toml",
        "--device",
        "cpu",
        "--plan",
        "plan.toml",
        "--force",
        "--out",
        "part.safetensors",
    ],
    &["check", "--merge", "part.safetensors"],
    &["init", "config.json", "--device", "cpu", "--force", "--out", "long.safetensors"],
    &["init", "tokenizer.json", "--out", "long.safetensors"],
    &["gain"],
    &["gain", "gelu"],
    &["devices"],
    &["contract"],
    &["contract", "--training"],
    &["verify", "--device", "cpu", "--values", "1000"],
    &["verify", "--device", "cpu", "--training"],
    &["sample", "--dist", "normal", "--cut", "2", "--device", "cpu"],
    &["probe", "--device", "cpu", "--depth", "6", "--width", "16", "--batch", "16"],
    &[
        "probe", "--device", "cpu", "--depth", "4", "--width", "8", "--batch", "8", "--init",
        "zeros",
    ],
    &["train", "--device", "cpu", "--epochs", "2", "--no-plot"],
    &[
        "train",
        "--device",
        "cpu",
        "--data",
        "moons",
        "--epochs",
        "2",
        "--no-plot",
        "--force",
        "--out",
        "moons.safetensors",
    ],
    &["predict", "moons.safetensors", "--part", "test", "--device", "cpu"],
    &["train", "--device", "cpu", "--epochs", "2", "--no-plot", "--seeds", "2", "--hidden", "8,8"],
    &[
        "train",
        "--device",
        "cpu",
        "--epochs",
        "3",
        "--no-plot",
        "--hidden",
        "8,8",
        "--exact",
        "--init",
        "uniform:-0.123456789,0.123456789,lsuv:0.00001,1,variance_scaling:scale=2,mode=fan_avg",
    ],
    &["bench", "--device", "cpu", "--quick", "--seconds", "0.001", "--only", "matmul_nn,clip"],
];

fn long_names(folder: &Path) {
    let recipe: String = (0..3)
        .map(|layer| {
            let name =
                format!("model.decoder.layers.{layer}.post_attention_layernorm.projection.weight");
            format!(
                "[[tensor]]\nname = \"{name}\"\nshape = [128, 256]\n\
                 init = \"variance_scaling:scale=2,mode=fan_avg,distribution=uniform\"\n"
            )
        })
        .collect();
    std::fs::write(folder.join("long.toml"), recipe).unwrap();
    let plan = "mesh = [4]\n[[split]]\nmatch = '*'\ndim = 1\n";
    std::fs::write(folder.join("plan.toml"), plan).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"model_type": "gpt3"}"#).unwrap();
    std::fs::write(folder.join("tokenizer.json"), "{}").unwrap();
}

#[test]
fn what_is_printed_fits_the_columns() {
    let folder = tempfile::tempdir().unwrap();
    long_names(folder.path());
    for arguments in COMMANDS {
        let whole = run(folder.path(), None, arguments);
        for columns in [80, 120] {
            let output = run(folder.path(), Some(columns), arguments);
            assert_eq!(output.status.code(), whole.status.code(), "{arguments:?}");
            for printed in [&output.stdout, &output.stderr] {
                let printed = text(printed);
                for line in printed.lines() {
                    assert!(
                        width(line) <= columns,
                        "{arguments:?} in {columns}: {line}\n{printed}"
                    );
                }
            }
            // Charts, whose axes have more or fewer numbers, and times aside.
            if ["train", "probe", "bench", "devices"].contains(&arguments[0]) {
                continue;
            }
            let (all, printed) = (text(&whole.stdout), text(&output.stdout));
            let (all, printed) = (numbers(&all), numbers(&printed));
            let broken: Vec<&&str> =
                printed.difference(&all).filter(|n| !n.contains(['…', '|'])).collect();
            assert!(broken.is_empty(), "{arguments:?} in {columns}: {broken:?}");
        }
    }
}

#[test]
fn a_table_says_what_it_left_out_and_a_pipe_has_all() {
    let folder = tempfile::tempdir().unwrap();
    long_names(folder.path());
    let init = ["init", "long.toml", "--device", "cpu", "--force", "--out", "long.safetensors"];
    let table = |columns| text(&run(folder.path(), columns, &init).stdout);
    let name = "model.decoder.layers.0.post_attention_layernorm.projection.weight";
    let whole = table(None);
    assert!(whole.contains(name) && whole.contains("sha256"), "{whole}");
    let narrow = table(Some(80));
    let words = narrow.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(without ") && words.contains("see --json"), "{narrow}");
    assert!(narrow.contains("model.decoder") && narrow.contains('…'), "{narrow}");
    assert!(narrow.contains("std  measured"), "{narrow}");
    // A message is one line where nothing says how wide it may be.
    let unknown = ["init", "none-of-these", "--out", "long.safetensors"];
    let message = |columns| text(&run(folder.path(), columns, &unknown).stderr);
    assert_eq!(message(None).lines().count(), 1);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(message(Some(60)).lines().count() > 1);
    assert_eq!(words(&message(Some(60))), words(&message(None)));
}

#[test]
fn every_help_fits_80_columns() {
    let folder = tempfile::tempdir().unwrap();
    let commands = [
        "init", "check", "train", "predict", "probe", "gain", "bench", "devices", "verify",
        "contract", "sample",
    ];
    for command in commands {
        for help in ["-h", "--help"] {
            for columns in [None, Some(80)] {
                let printed = text(&run(folder.path(), columns, &[command, help]).stdout);
                assert!(printed.contains("Usage"), "{printed}");
                let wide: Vec<&str> = printed.lines().filter(|line| width(line) > 80).collect();
                assert!(wide.is_empty(), "{command} {help}: {wide:#?}");
            }
        }
    }
    // What is wrong with the arguments, too.
    let wrong =
        run(folder.path(), Some(60), &["sample", "--dist", "a-distribution-that-is-not-known"]);
    assert_eq!(wrong.status.code(), Some(2));
    let printed = text(&wrong.stderr);
    assert!(
        printed.contains("--dist") && printed.lines().all(|line| width(line) <= 60),
        "{printed}"
    );
}

/// What a terminal of so many columns shows of stdout and stderr, colours aside.
#[cfg(unix)]
fn on_a_terminal(columns: u16, arguments: &[&str]) -> String {
    use std::io::Read;
    use std::os::fd::FromRawFd;
    let size = libc::winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut main, mut second) = (0, 0);
    // SAFETY: two places for descriptors, and nothing where there may be none; they are ours.
    let (mut main, second) = unsafe {
        let name = std::ptr::null_mut();
        let made = libc::openpty(&mut main, &mut second, name, std::ptr::null(), &size);
        assert_eq!(made, 0);
        (std::fs::File::from_raw_fd(main), std::fs::File::from_raw_fd(second))
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
    command.args(arguments).env_remove("COLUMNS").env("NO_COLOR", "1").env("TERM", "xterm");
    command.stdout(second.try_clone().unwrap()).stderr(second).current_dir(std::env::temp_dir());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut printed = Vec::new();
    // It ends with an error where nobody has the other end any more.
    let _ = main.read_to_end(&mut printed);
    assert!(child.wait().unwrap().success());
    text(&printed)
}

/// The terminal's own width counts where COLUMNS does not say another; bars keep to it.
#[cfg(unix)]
#[test]
fn a_terminal_says_how_wide_it_is() {
    let train = ["train", "--device", "cpu", "--data", "moons", "--hidden", "8", "--epochs", "3"];
    let init =
        ["--init", "variance_scaling:scale=2,mode=fan_avg,distribution=uniform,zeros", "--no-plot"];
    for columns in [60, 80] {
        let printed = on_a_terminal(columns, &[&train[..], &init].concat());
        assert!(printed.contains("(without ") && printed.contains("Training loss"), "{printed}");
        // Bars begin anew in their line.
        let lines = printed.split(['\n', '\r']).map(plain_of);
        for line in lines {
            // One bar after the other fills its line.
            let bars = line.matches("/39").count().max(1);
            assert!(width(&line) <= bars * usize::from(columns), "{columns}: {line:?}\n{printed}");
        }
    }
}

/// A line without what drives the terminal.
#[cfg(unix)]
fn plain_of(line: &str) -> String {
    let mut rest = line;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out += before;
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |at| at + 1);
        rest = &after[end..];
    }
    out + rest
}
