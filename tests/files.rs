//! Weights on the disk: never lost, never mixed, never half there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fanin::Device;
use fanin::random::Stream;
use fanin::recipe::{Recipe, WriteOptions, write};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::cli::{fails, left_in, signal, succeeds, text};

/// Twelve tensors, which in shards of 40 kB are files of their own.
const RECIPE: &str =
    "[[tensor]]\nname = \"w{0..12}\"\nshape = [100, 100]\ninit = \"normal:0.02\"\n";

/// A folder with a recipe, and commands over it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder::with(RECIPE)
    }

    fn with(recipe: &str) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(folder.path().join("r.toml"), recipe).unwrap();
        Folder(folder)
    }

    /// Where models go.
    fn models(&self) -> PathBuf {
        self.0.path().join("d")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.models().join(name)
    }

    fn init(&self, more: &[&str]) -> Command {
        self.init_to(&self.path("m.safetensors"), more)
    }

    fn init_to(&self, out: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.arg("init").arg(self.0.path().join("r.toml")).args(["--device", "cpu", "--out"]);
        command.arg(out).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn done(&self, more: &[&str]) {
        let output = self.init(more).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.models()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// That an index or a manifest which is there describes all that is there.
    fn check(&self) {
        let names = self.names();
        let weights = || names.iter().filter(|name| name.ends_with(".safetensors"));
        if let Ok(text) = fs::read(self.path("m.safetensors.index.json")) {
            let index: Value = serde_json::from_slice(&text).unwrap();
            let map = index["weight_map"].as_object().unwrap();
            assert_eq!(map.len(), 12);
            let all = weights().all(|name| map.values().any(|file| file == name));
            assert!(all && !names.contains(&"m.safetensors".into()), "{names:?}");
            let seeds: Vec<u64> =
                map.iter().map(|(name, file)| self.seed(name, file.as_str().unwrap())).collect();
            assert!(seeds.iter().all(|seed| *seed == seeds[0]), "mixed: {seeds:?}");
        }
        if let Ok(text) = fs::read(self.path("m.manifest.json")) {
            let manifest: Value = serde_json::from_slice(&text).unwrap();
            let files = manifest["files"].as_array().unwrap();
            for file in files {
                let bytes = fs::read(self.path(file["file"].as_str().unwrap())).unwrap();
                assert_eq!(file["bytes"], bytes.len(), "{names:?}");
                if file["sha256"].is_string() {
                    assert_eq!(file["sha256"], hex(&bytes), "{names:?}");
                }
            }
            for tensor in manifest["tensors"].as_array().unwrap() {
                let bytes = fs::read(self.path(tensor["file"].as_str().unwrap())).unwrap();
                let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
                let stored = file.tensor(tensor["name"].as_str().unwrap()).unwrap();
                assert_eq!(tensor["sha256"], hex(stored.data()), "{names:?}");
            }
            assert!(weights().all(|name| files.iter().any(|file| file["file"] == **name)));
        }
    }

    /// The seed of a tensor in a file, of the few that these tests use.
    fn seed(&self, tensor: &str, file: &str) -> u64 {
        let bytes = fs::read(self.path(file)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.tensor(tensor).unwrap();
        let mut own = vec![0; 40_000];
        let of = |seed: &u64| {
            let normal = fanin::random::Distribution::normal(0.02);
            normal
                .draw(&Stream::named(*seed, tensor), fanin::random::Dtype::F32, 0, &mut own)
                .unwrap();
            own == data.data()
        };
        (0..4).find(of).expect("a seed's whole tensor")
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ended(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

/// How much of a test is run: a few dozen times, or as often as `FANIN_KILLS` says.
fn rounds() -> u64 {
    std::env::var("FANIN_KILLS").map_or(24, |text| text.parse().expect("a number"))
}

const SHARDS: [&str; 2] = ["--max-shard-size", "40kB"];

#[test]
fn a_layout_that_is_superseded_goes() {
    let folder = Folder::new();
    folder.done(&["--seed", "1"]);
    let whole = ["m.manifest.json", "m.safetensors"];
    assert_eq!(folder.names(), whole);
    folder.done(&[&["--seed", "2", "--force"], &SHARDS[..]].concat());
    let names = folder.names();
    assert_eq!(names.len(), 14, "{names:?}");
    assert!(!names.contains(&"m.safetensors".to_owned()));
    folder.check();
    folder.done(&["--seed", "3", "--force", "--max-shard-size", "120kB"]);
    assert_eq!(folder.names().len(), 6);
    folder.check();
    // Names that are only like ours stay.
    let others =
        ["m-00001-of-0002.safetensors", "m-1.safetensors", "mm.safetensors", "n.manifest.json"];
    others.iter().for_each(|name| fs::write(folder.path(name), "mine").unwrap());
    folder.done(&["--seed", "1", "--force"]);
    assert_eq!(folder.names(), {
        let mut names = [&others[..], &whole].concat();
        names.sort();
        names
    });
    assert!(others.iter().all(|name| fs::read(folder.path(name)).unwrap() == b"mine"));
}

#[test]
fn another_layout_of_the_name_is_a_model_that_exists() {
    let folder = Folder::new();
    folder.done(&SHARDS);
    // As it comes from elsewhere: without a manifest of ours.
    fs::remove_file(folder.path("m.manifest.json")).unwrap();
    let before = folder.names();
    let output = ended(folder.init(&[]).spawn().unwrap());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("m-00001-of-00012.safetensors exists"));
    fs::remove_file(folder.path("m.safetensors.index.json")).unwrap();
    let output = ended(folder.init(&["--max-shard-size", "120kB"]).spawn().unwrap());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(folder.names().len(), before.len() - 1);
}

#[test]
fn a_trained_model_replaces_all_that_init_wrote() {
    let train = |out: PathBuf, more: &[&str]| {
        let base =
            ["train", "--data", "moons", "--device", "cpu", "--hidden", "4", "--epochs", "1"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.args(base).args(["--no-plot", "--out"]).arg(out).args(more).output().unwrap()
    };
    for shards in [&SHARDS[..], &[]] {
        let folder = Folder::new();
        folder.done(shards);
        let before = folder.names();
        let out = || folder.path("m.safetensors");
        let output = train(out(), &[]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert_eq!(folder.names(), before);
        let output = train(out(), &["--force"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(folder.names(), ["m.safetensors"]);
    }
    // Two outputs that would be one.
    let folder = Folder::new();
    let initial = folder.path("b.safetensors");
    let metrics = folder.path("b.manifest.json");
    let both =
        ["--save-initial", initial.to_str().unwrap(), "--metrics", metrics.to_str().unwrap()];
    let output = train(folder.path("m.safetensors"), &both);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("b.manifest.json twice"), "{}", text(&output.stderr));
    // A shard is a part of another model.
    let output = train(folder.path("m-00001-of-00002.safetensors"), &[]);
    assert!(text(&output.stderr).contains("one of a model's shards"), "{}", text(&output.stderr));
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn a_kill_leaves_the_old_model_or_the_new() {
    let mut killed = 0;
    for round in 0..rounds() {
        let folder = Folder::new();
        let (force, sharded) = (round % 2 == 0, round % 4 < 2);
        let shards = if sharded { &SHARDS[..] } else { &[] };
        if force {
            folder.done(&[&["--seed", "1"], shards].concat());
        }
        // How long it takes is measured, so that kills are spread over all of it.
        let start = Instant::now();
        folder.done(&[&["--seed", "2", "--force"], shards].concat());
        let whole = start.elapsed();
        if !force {
            fs::remove_dir_all(folder.models()).unwrap();
            fs::create_dir(folder.models()).unwrap();
        }
        let replace: &[&str] = if force { &["--force"] } else { &[] };
        let mut child = folder.init(&[&["--seed", "3"], replace, shards].concat()).spawn().unwrap();
        let share = f64::from(Stream::named(7, "kills").word(round)) / 2f64.powi(32);
        std::thread::sleep(whole.mul_f64(share));
        let _ = child.kill();
        killed += u64::from(!ended(child).status.success());

        folder.check();
        if force && !sharded {
            assert!([2, 3].contains(&folder.seed("w0", "m.safetensors")));
        }
        // The next one has its way, and nothing is left of it, not even the name for a moment of what
        // was about to replace something.
        folder.done(&[&["--seed", "1", "--force"], shards].concat());
        assert!(folder.names().iter().all(|name| name.starts_with("m")), "{:?}", folder.names());
        folder.check();
    }
    assert!(killed > rounds() / 4, "{killed} of {} were killed", rounds());
}

#[test]
fn of_two_writers_the_first_wins() {
    for round in 0..rounds().min(60) {
        let folder = Folder::new();
        let shards = [&SHARDS[..], &[], &["--max-shard-size", "120kB"]];
        let (one, two) = match round % 3 {
            0 => (shards[0], shards[0]),
            1 => (shards[1], shards[1]),
            _ => (shards[0], shards[2]),
        };
        let children = [(1, one), (2, two)].map(|(seed, shards)| {
            let seed = seed.to_string();
            folder.init(&[&["--seed", seed.as_str()], shards].concat()).spawn().unwrap()
        });
        let ends = children.map(ended);
        let codes = [0, 1].map(|at| ends[at].status.code());
        assert!(codes.contains(&Some(0)) && codes.contains(&Some(2)), "{codes:?}");
        let loser = usize::from(codes[0] == Some(0));
        assert!(text(&ends[loser].stderr).contains("exists"), "{}", text(&ends[loser].stderr));
        folder.check();
        assert!(folder.path("m.manifest.json").exists());
        // With leave to replace, both have their turn, one after the other.
        let children = ["1", "2"].map(|seed| {
            folder.init(&[&["--force", "--seed", seed], one].concat()).spawn().unwrap()
        });
        assert!(children.map(ended).iter().all(|output| output.status.success()));
        folder.check();
    }
}

#[test]
fn a_file_that_comes_in_between_is_kept() {
    let recipe = Recipe::parse(RECIPE, "r").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("m.safetensors");
    let late = folder.path().join("m-00007-of-00012.safetensors");
    let mut progress = |_| fs::write(&late, "mine").unwrap();
    let options = WriteOptions {
        max_shard_bytes: Some(40_000),
        progress: Some(&mut progress),
        ..WriteOptions::new(&out)
    };
    let error = write(&recipe, &Device::Cpu.in_chunks(1 << 20), options);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("m-00007-of-00012.safetensors exists"), "{error}");
    assert_eq!(fs::read(&late).unwrap(), b"mine");
    assert_eq!(left_in(folder.path()), 1);
}

#[test]
fn what_cannot_be_written_is_found_before_drawing() {
    let folder = Folder::new();
    let refused = |recipe: &Path, out: &Path, code: i32, parts: &[&str]| {
        let start = Instant::now();
        let (recipe, out) = (recipe.to_str().unwrap(), out.to_str().unwrap());
        fails(code, &["init", recipe, "--device", "cpu", "--force", "--out", out], parts);
        // Not for minutes: nothing is drawn.
        assert!(start.elapsed() < Duration::from_secs(60));
    };
    let recipe = folder.0.path().join("r.toml");
    // 16 TB.
    let large = folder.0.path().join("large.toml");
    let tensor = "[[tensor]]\nname = \"w\"\nshape = [4000000, 1000000]\ninit = \"normal:0.02\"\n";
    fs::write(&large, tensor).unwrap();
    refused(&large, &folder.path("m.safetensors"), 1, &["16000000000", "bytes are needed", "free"]);
    // A header of 120 MB and more: 100 names of 200,000 letters, each of which JSON writes with six, and
    // as many again in the metadata.
    let long = folder.0.path().join("long.toml");
    let letters = "\\u0001".repeat(200_000);
    let tensor =
        format!("[[tensor]]\nname = \"{letters}{{0..100}}\"\nshape = [1]\ninit = \"normal:1\"\n");
    fs::write(&long, tensor).unwrap();
    refused(&long, &folder.path("m.safetensors"), 2, &["a header of 2", "at most 100000000"]);

    fs::create_dir(folder.path("f.safetensors")).unwrap();
    refused(&recipe, &folder.path("f.safetensors"), 2, &["this is a folder"]);
    fs::create_dir(folder.path("g.manifest.json")).unwrap();
    refused(&recipe, &folder.path("g.safetensors"), 2, &["g.manifest.json", "this is a folder"]);
    // 255 letters are a name; two more for the manifest's are not.
    let name = "n".repeat(255 - ".safetensors".len()) + ".safetensors";
    refused(&recipe, &folder.path(&name), 1, &["cannot write", ".manifest.json"]);
    refused(&recipe, Path::new("/dev/null/m.safetensors"), 1, &["cannot", "/dev/null/m"]);
    refused(&recipe, &folder.path("m.safetensors/"), 2, &["without a slash at its end"]);
    let shard = folder.path("m-00001-of-00002.safetensors");
    refused(&recipe, &shard, 2, &["one of a model's shards"]);
    // Where nobody makes files, training does not begin either.
    #[cfg(target_os = "linux")]
    for output in ["--out", "--save-initial", "--plot", "--metrics"] {
        let out = "/proc/m.safetensors";
        let forever = ["train", "--epochs", "1000000", "--device", "cpu", output, out];
        fails(1, &forever, &["cannot create /proc/m.safetensors"]);
    }
    assert_eq!(folder.names(), ["f.safetensors", "g.manifest.json"]);
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_not_utf8_are_refused_and_folders_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let model = folder.0.path().join("r.toml");
    let run = |out: PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.arg("init").arg(&model).args(["--device", "cpu", "--json", "--out"]).arg(out);
        command.output().unwrap()
    };
    let output = run(folder.models().join(OsStr::from_bytes(b"\xff.safetensors")));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a file name in UTF-8"));
    let inner = folder.models().join(OsStr::from_bytes(b"\xfe"));
    fs::create_dir(&inner).unwrap();
    let output = run(inner.join("m.safetensors"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["files"][0]["path"].as_str().unwrap().ends_with("/m.safetensors"));
}

#[test]
#[cfg(unix)]
fn permissions_and_symbolic_links_are_respected() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let folder = Folder::new();
    let real = folder.0.path().join("elsewhere.safetensors");
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("../elsewhere.safetensors", folder.path("m.safetensors")).unwrap();
    // One that leads to nothing yet.
    symlink(folder.0.path().join("list.json"), folder.path("m.manifest.json")).unwrap();
    folder.done(&["--force"]);
    assert!(fs::symlink_metadata(folder.path("m.safetensors")).unwrap().is_symlink());
    assert!(fs::symlink_metadata(folder.path("m.manifest.json")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    assert_eq!(folder.seed("w3", "m.safetensors"), 0);
    folder.check();
    assert!(folder.0.path().join("list.json").is_file());
    // What described the file that the link leads to does so no more.
    let elsewhere = folder.0.path().join("e");
    fs::create_dir(&elsewhere).unwrap();
    let there = elsewhere.join("r.safetensors");
    assert!(folder.init_to(&there, &[]).status().unwrap().success());
    assert!(elsewhere.join("r.manifest.json").exists());
    let link = folder.path("n.safetensors");
    symlink(&there, &link).unwrap();
    assert!(folder.init_to(&link, &["--seed", "2", "--force"]).status().unwrap().success());
    assert_eq!(left_in(&elsewhere), 1);
    assert!(folder.path("n.manifest.json").exists());
    // A new file is as the umask has it.
    fs::write(folder.path("plain"), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&folder.0.path().join("list.json")), mode(&folder.path("plain")));
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_are_written_to_as_they_are() {
    use std::os::unix::fs::FileTypeExt;
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    fanin::file::save(&pipe, b"through", false).unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    fanin::file::save(Path::new("/dev/null"), b"gone", true).unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // Weights are no stream: their folder's other files must fit them.
    let stream = folder.path("s.safetensors");
    assert!(Command::new("mkfifo").arg(&stream).status().unwrap().success());
    let output = folder.init_to(&stream, &["--force"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("neither a file nor new"), "{}", text(&output.stderr));
}

#[test]
#[cfg(unix)]
fn many_shards_are_not_many_open_files() {
    let recipe = "[[tensor]]\nname = \"w{0..300}\"\nshape = [10]\ninit = \"normal:1\"\n";
    let folder = Folder::with(recipe);
    let run = |force: &str| {
        let script = format!(
            "ulimit -n 128; exec \"$0\" init \"$1\" --device cpu --max-shard-size 40 {force} --out \"$2\""
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_fanin")]);
        command.arg(folder.0.path().join("r.toml")).arg(folder.path("m.safetensors"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(folder.names().len(), 302);
    };
    run("");
    run("--force");
}

#[test]
fn what_a_killed_process_left_goes_with_the_next() {
    let folder = Folder::new();
    let left = folder.path(".fanin-gone.partial");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("shard"), "half").unwrap();
    fs::write(folder.path(".fanin-alone.partial"), "half").unwrap();
    // Another process is at work here.
    let alive = folder.path(".fanin-alive.partial");
    fs::create_dir(&alive).unwrap();
    let lock = fs::File::open(&alive).unwrap();
    lock.lock().unwrap();
    folder.done(&[]);
    assert_eq!(folder.names(), [".fanin-alive.partial", "m.manifest.json", "m.safetensors"]);
}

#[test]
fn what_is_measured_is_what_the_file_holds() {
    let recipe = r#"
[[tensor]]
name = "half"
shape = [8]
dtype = "f16"
init = "constant:1e-9"

[[tensor]]
name = "brain"
shape = [8]
dtype = "bf16"
init = "constant:1.003"

[[tensor]]
name = "single"
shape = [8]
init = "constant:1e-60"

[[tensor]]
name = "small"
shape = [5]
init = "constant:1e-40"

[[tensor]]
name = "counter"
shape = [3]
dtype = "i64"
init = "constant:-7"

[[tensor]]
name = "mask"
shape = [3]
dtype = "bool"
init = "ones"
"#;
    let folder = Folder::with(recipe);
    let model = folder.0.path().join("r.toml");
    for device in ["cpu", "gpu"] {
        let out = folder.path(&format!("{device}.safetensors"));
        let json = succeeds(&[
            "init",
            model.to_str().unwrap(),
            "--device",
            device,
            "--json",
            "--out",
            out.to_str().unwrap(),
        ]);
        let document: Value = serde_json::from_str(&json).unwrap();
        let means = document["tensors"].as_array().unwrap().iter().map(|tensor| {
            assert_eq!(tensor["std"], 0.0);
            tensor["mean"].as_f64().unwrap()
        });
        let small = f64::from(1e-40f32);
        assert_eq!(means.collect::<Vec<_>>(), [0.0, 1.0, 0.0, small, -7.0, 1.0], "{device}");
    }
}

/// Waits until a process has opened a file in a folder.
#[cfg(target_os = "linux")]
fn until_at_work(child: &mut Child, folder: &Path) {
    let files = format!("/proc/{}/fd", child.id());
    loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        let open = fs::read_dir(&files).into_iter().flatten().flatten();
        if open.filter_map(|file| fs::read_link(file.path()).ok()).any(|at| at.starts_with(folder))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_is_obeyed_within_a_second_and_leaves_nothing() {
    let tensor = |shape: &str, init: &str| {
        format!("[[tensor]]\nname = \"w\"\nshape = {shape}\ninit = \"{init}\"\n")
    };
    for (name, recipe) in [
        ("INT", tensor("[8192, 8192]", "orthogonal")),
        ("TERM", tensor("[16384, 16384]", "sparse:0.5")),
        ("HUP", tensor("[100000, 40000]", "normal:1")),
    ] {
        let folder = Folder::with(&recipe);
        let mut child = folder.init(&[]).spawn().unwrap();
        until_at_work(&mut child, &folder.models());
        std::thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        signal(child.id().into(), name);
        let output = ended(child);
        let took = start.elapsed();
        // A second, and what a busy machine takes to end a process of hundreds of megabytes.
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("interrupted"));
        assert_eq!(folder.names(), Vec::<String>::new());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_is_obeyed_while_a_pipe_is_read() {
    let folder = Folder::new();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let train = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.args(["train", "--device", "cpu", "--data", "moons"]).args(more);
        command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let pipe = pipe.to_str().unwrap();
    for more in [["--resume", pipe], ["--plot", pipe]] {
        let mut child = train(&[&more[..], &["--epochs", "1"]].concat());
        std::thread::sleep(Duration::from_millis(400));
        let start = Instant::now();
        signal(child.id().into(), "TERM");
        let end = child.wait().unwrap();
        assert!(!end.success() && start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn signals_that_were_ignored_stay_ignored() {
    let folder =
        Folder::with("[[tensor]]\nname = \"w\"\nshape = [30000, 10000]\ninit = \"normal:1\"\n");
    let out = folder.path("m.safetensors");
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_fanin"), "init"])
        .arg(folder.0.path().join("r.toml"))
        .args(["--device", "cpu", "--out"])
        .arg(&out)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until_at_work(&mut child, &folder.models());
    signal(child.id().into(), "HUP");
    signal(child.id().into(), "INT");
    let output = ended(child);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(out.is_file());
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_is_obeyed_while_a_folder_is_locked() {
    let folder = Folder::new();
    let lock = fs::File::open(folder.models()).unwrap();
    lock.lock().unwrap();
    let child = folder.init(&[]).spawn().unwrap();
    // By then it waits, or is about to.
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    signal(child.id().into(), "INT");
    let output = ended(child);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(folder.names(), Vec::<String>::new());
    drop(lock);
    folder.done(&[]);
}

/// An ext4 file system in a file, copied while it is mounted, as a power cut would leave it.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "takes root, mkfs.ext4 and loop devices: cargo test --release -- --ignored power_cut"]
fn a_power_cut_leaves_the_old_model_or_the_new() {
    let folder = Folder::new();
    let script = r#"
        set -eu
        cd "$1"
        mkdir disk crash
        trap 'umount disk crash 2>/dev/null || true' EXIT
        truncate -s 64M image
        mkfs.ext4 -q image
        mount -o loop image disk
        init() { "$0" init r.toml --device cpu --out disk/m.safetensors "$@" >/dev/null 2>&1; }
        init --seed 1
        sync
        sleep 1
        if [ "$2" = link ]; then
            ln -s disk/m.safetensors m.safetensors
            "$0" init r.toml --seed 2 --force --device cpu --out m.safetensors >/dev/null 2>&1
        else
            init --seed 2 --force $2
        fi
        cp image cut
        mount -o loop cut crash
        cp crash/m* d/
    "#;
    for shards in ["", "--max-shard-size 40kB", "link"] {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_fanin")]).arg(folder.0.path()).arg(shards);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        folder.check();
        let (files, file) = match shards {
            "" => (2, "m.safetensors"),
            // The manifest is beside the link.
            "link" => (1, "m.safetensors"),
            _ => (14, "m-00001-of-00012.safetensors"),
        };
        assert_eq!(folder.names().len(), files);
        assert_eq!(folder.seed("w0", file), 2);
        fs::remove_dir_all(folder.models()).unwrap();
        for name in ["disk", "crash"] {
            fs::remove_dir(folder.0.path().join(name)).unwrap();
        }
        fs::create_dir(folder.models()).unwrap();
    }
}
