//! The floors of the house: an import goes down, or sideways within its own room, never up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. What stands on one line knows nothing of its neighbours there.
const FLOORS: [&[&str]; 14] = [
    &["guide"],
    &["bench", "verify", "probe"],
    &["model"],
    &["recipe"],
    &["device"],
    &["gpu"],
    &["cpu"],
    &["op"],
    &["init"],
    &["theory", "shaders", "statistics"],
    &["random"],
    &["file", "memory"],
    &["activation", "shape"],
    &["catalogue", "error", "host"],
];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().rev().position(|floor| floor.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The first names behind every `crate::` of a source, its comments and tests left out.
fn imports(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let Some(list) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        // The names of a list, not those of the lists within it.
        let mut depth = 0;
        let mut start = 0;
        for (place, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    names.push(word(&list[start..place]));
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    names.push(word(&list[start..place]));
                    start = place + 1;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn imports_go_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut rooms = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files {
        let own = path.strip_prefix(&root).unwrap();
        let room = own.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        // The command line stands above the library, and is another crate.
        if ["cli", "main", "lib"].contains(&room.as_str()) {
            continue;
        }
        let Some(here) = floor(&room) else {
            panic!("src/{room} stands on no floor: give it one in {}", file!());
        };
        rooms.insert(room.clone(), here);
        for name in imports(&fs::read_to_string(&path).unwrap()) {
            // Types of the root are those of the rooms at the bottom, or of `device`.
            let other = match name.as_str() {
                "Device" => "device",
                name => name,
            };
            let Some(there) = floor(other) else { continue };
            if other != room && there >= here {
                wrong.push(format!("src/{}: `{name}` is not below `{room}`", own.display()));
            }
        }
    }
    assert_eq!(rooms.len(), FLOORS.iter().map(|floor| floor.len()).sum::<usize>());
    assert!(
        wrong.is_empty(),
        "an import goes down the list of floors at the top of {}, never up:\n{}",
        file!(),
        wrong.join("\n")
    );
}

#[test]
fn an_import_is_found_wherever_it_stands() {
    let text = "use crate::op::{Form, Op};\nuse crate::{Result, cpu::{fill, a}, memory};\n\
                fn f() { crate::gpu::run() } // crate::model::Mlp\n";
    assert_eq!(imports(text), ["op", "Result", "cpu", "memory", "gpu"]);
}

/// What kernels have in common, of `src/gpu` and `src/cpu`: no kernels themselves.
const COMMON: [(&str, &[&str]); 2] = [
    (
        "src/gpu",
        &[
            "adapter", "context", "mod", "operand", "owner", "pass", "planner", "route", "shared",
            "tensor", "tune", "tuning", "turn", "window",
        ],
    ),
    (
        "src/cpu",
        &["kernels", "lanes", "math", "mod", "operand", "rounding", "threads", "widest", "window"],
    ),
];

/// What a kernel is without, and why.
const WITHOUT: [(&str, &str, &str); 5] = [
    ("cooperative", "src/cpu", "matrix units are a GPU's; a product of the CPU is `matmul`"),
    ("cooperative", "tests", "it makes the sums of `matmul`, whose tests ask for it"),
    ("moments", "shaders", "a GPU's are a part of what `reduce` makes"),
    ("moments", "src/gpu", "a GPU's are a part of what `reduce` makes"),
    ("peak", "tests", "what it measures is in `bench`"),
];

/// The stems of the files and folders of a folder.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|entry| stem(entry.unwrap().path())).filter(|stem| stem != "lib").collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn a_kernel_is_one_stem() {
    let mut kernels = stems("shaders");
    for (folder, common) in COMMON {
        let mut own = stems(folder);
        for helper in common {
            assert!(own.remove(*helper), "{folder} has no {helper}: take it from the list");
        }
        kernels.extend(own);
    }
    for kernel in &kernels {
        for folder in ["shaders", "src/gpu", "src/cpu", "tests"] {
            let without = WITHOUT.iter().find(|(stem, of, _)| stem == kernel && *of == folder);
            match (stems(folder).contains(kernel), without) {
                (true, None) | (false, Some(_)) => {}
                (false, None) => panic!(
                    "`{kernel}` is a kernel, and not in {folder}: add it there, or say why not in {}",
                    file!()
                ),
                (true, Some(_)) => panic!("{folder} has `{kernel}`: take it from the list"),
            }
        }
    }
}

/// What a shader and its Rust both name is compared: `shared!` does it for what dispatches are told, and
/// `assert_constants` for constants.
#[test]
fn what_stands_on_both_sides_is_compared() {
    for kernel in stems("shaders") {
        let (wgsl, rust) =
            (read(&format!("shaders/{kernel}.wgsl")), read(&format!("src/gpu/{kernel}.rs")));
        let declared = format!("struct Params in {}", kernel.to_uppercase());
        assert!(
            !wgsl.contains("struct Params") || rust.contains(&declared),
            "src/gpu/{kernel}.rs: `shared! {{ {declared} .. }}` compares it with the shader's"
        );
        let named = wgsl.lines().filter_map(|line| line.strip_prefix("const ")?.split(' ').next());
        for name in named {
            let both = rust.lines().any(|line| line.contains(&format!("const {name}: ")));
            assert!(
                !both || rust.contains(&format!("(\"{name}\", ")),
                "src/gpu/{kernel}.rs: {name} is to be compared with the shader's: `assert_constants`"
            );
        }
    }
}
