//! The floors of the house: an import goes down, or sideways within its own room, never up.

use std::collections::BTreeMap;
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
    &["catalogue", "error"],
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
