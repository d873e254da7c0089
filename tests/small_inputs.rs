//! Small inputs never take the machine: time is linear, memory goes with what is named, and what is asked
//! beyond that is refused.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use fanin::init::Init;
use fanin::model::data::{LoadOptions, Loaded, load};
use fanin::recipe::{Recipe, Rules};
use fanin::{Error, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::memory::peak;

const MIB: usize = 1 << 20;

/// What `work` gives, within a time that is quadratic work's a hundredth, and with so much memory.
#[track_caller]
fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let (done, peak) = peak(work);
    assert!(peak < bytes, "{peak} bytes");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    done
}

fn recipe(text: &str) -> Result<Recipe> {
    Recipe::parse(text, "r.toml")
}

#[track_caller]
fn refused<T: std::fmt::Debug>(done: Result<T>, part: &str) {
    let error = done.unwrap_err();
    assert!(error.is_usage());
    let message = error.to_string();
    assert!(message.contains(part) && message.len() < 10_000, "{message}");
}

#[test]
fn reading_is_linear_in_tensors_and_rules() {
    let count = 30_000;
    let tensors: String =
        (0..count).map(|n| format!("[[tensor]]\nname = \"t{n}.w\"\nshape = [1]\n")).collect();
    let rules = |pattern: &str| -> String {
        let rule = |n| format!("[[rule]]\nmatch = \"t{n}{pattern}\"\ninit = \"constant:{n}\"\n");
        (0..count).map(rule).collect()
    };
    // On one line, whose columns are letters.
    let one_line: Vec<String> = (0..count)
        .map(|n| format!("{{name = \"t{n}.w\", shape = [1], init = \"zeros\"}}"))
        .collect();
    for text in [
        tensors.replace("[1]\n", "[1]\ninit = \"zeros\"\n"),
        format!("tensor = [{}]", one_line.join(", ")),
        tensors.clone() + &rules(".w"),
    ] {
        let read = within(250 * MIB, || recipe(&text)).unwrap();
        assert_eq!(read.tensors.len(), count);
    }
    // The first that matches wins, be it a name or not.
    let text = tensors + "[[rule]]\nmatch = \"t1?.w\"\ninit = \"ones\"\n" + &rules(".w");
    let read = within(250 * MIB, || recipe(&text)).unwrap();
    assert_eq!((&*read.tensors[9].init, &*read.tensors[10].init), ("constant:9", "ones"));
}

#[test]
fn braces_in_rules_stand_for_any_number_of_names() {
    let globs = "[[tensor]]\nname = \"t.{0..100000}.w\"\nshape = [1]\n\
                 [[rule]]\nmatch = \"t.{0..100000}.w\"\ninit = \"zeros\"\n";
    assert_eq!(within(100 * MIB, || recipe(globs)).unwrap().tensors.len(), 100_000);
    let rule = |n| format!("[[rule]]\nmatch = \"{{0..1000000}}{n}\"\ninit = \"zeros\"\n");
    let rules: String = (0..20).map(rule).collect();
    let tensor = "[[tensor]]\nname = \"a\"\nshape = [1]\ninit = \"zeros\"\n";
    refused(within(MIB, || recipe(&(tensor.to_owned() + &rules))), "matches no tensor");
}

#[test]
fn patterns_that_take_too_long_are_refused() {
    let rule = |n| format!("[[rule]]\nmatch = \"*{}b*\"\ninit = \"zeros\"\n", "*a?".repeat(n));
    let rules: String = (1..40).map(rule).collect();
    let name = "a".repeat(60);
    let tensor =
        format!("[[tensor]]\nname = \"{name}.{{0..1000000}}\"\nshape = [1]\ninit = \"zeros\"\n");
    refused(within(100 * MIB, || recipe(&(tensor + &rules))), "steps");
}

#[test]
fn a_million_tensors_take_seconds_and_the_room_of_their_names() {
    let read = |name: &str, more: &str| recipe(&format!("[[tensor]]\nname = \"{name}\"\n{more}"));
    let zeros = "shape = [1]\ninit = \"zeros\"\n";
    let million = within(1000 * MIB, || read("layers.{0..1000000}.w", zeros)).unwrap();
    assert_eq!(million.tensors.len(), 1_000_000);
    refused(read("layers.{0..1000001}.w", zeros), "1000001 names; needed at most 1000000");

    // One limit on all that each tensor keeps.
    let long = "a".repeat(20_000);
    let words = "100000000 in all";
    refused(within(300 * MIB, || read(&format!("{long}{{0..1000000}}"), zeros)), words);
    let init = format!("shape = [1]\ninit = \"constant:0.{}\"\n", "0".repeat(20_000));
    refused(within(300 * MIB, || read("t{0..1000000}", &init)), words);
    let dims = format!("shape = [{}]\ninit = \"zeros\"\n", "1,".repeat(20_000));
    refused(within(300 * MIB, || read("t{0..1000000}", &dims)), words);
    let rule = format!("shape = [1]\n[[rule]]\nmatch = \"*\"\n{}", &init["shape = [1]\n".len()..]);
    refused(within(300 * MIB, || read("t{0..1000000}", &rule)), words);
    // Across tables, too.
    let name = "a".repeat(200);
    let halves = format!("{zeros}[[tensor]]\nname = \"{name}b{{0..400000}}\"\n{zeros}");
    refused(within(600 * MIB, || read(&format!("{name}{{0..400000}}"), &halves)), words);
}

#[test]
fn headers_have_the_limits_of_recipes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let write = |name: &str, count: usize| {
        let mut header = String::from("{");
        for n in 0..count {
            let comma = if n > 0 { "," } else { "" };
            let (start, end) = (n, n + 1);
            header += &format!(
                "{comma}\"{name}{n}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{start},{end}]}}"
            );
        }
        header += "}";
        let length = (header.len() as u64).to_le_bytes();
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&[&length[..], header.as_bytes()].concat()).unwrap();
        file.set_len((8 + header.len() + count) as u64).unwrap();
    };
    let rules = Rules::pairs(["*=zeros"]).unwrap();
    write("", 1_000_001);
    refused(
        within(1000 * MIB, || Recipe::from_safetensors(&path, &rules)),
        "at most 1000000 in all",
    );
    write("layers.", 200_000);
    let read = within(300 * MIB, || Recipe::from_safetensors(&path, &rules)).unwrap();
    assert_eq!(read.tensors.len(), 200_000);
}

#[test]
fn deep_nesting_and_long_texts_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let deep = 200_000;
    for text in [
        "a = ".to_owned() + &"[".repeat(deep),
        "a = ".to_owned() + &"{a = ".repeat(deep),
        "a".to_owned() + &".a".repeat(deep) + " = 1",
        "[a".to_owned() + &".a".repeat(deep) + "]",
    ] {
        assert!(within(500 * MIB, || recipe(&text)).unwrap_err().is_usage());
    }
    let path = folder.path().join("m.safetensors");
    let rules = Rules::pairs(["*=zeros"]).unwrap();
    for unit in ["{\"a\":", "{\"__metadata__\":", "["] {
        let json = unit.repeat(deep);
        let length = (json.len() as u64).to_le_bytes();
        fs::write(&path, [&length[..], json.as_bytes()].concat()).unwrap();
        refused(within(50 * MIB, || Recipe::from_safetensors(&path, &rules)), "header");
    }
    let path = folder.path().join("r.toml");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    refused(within(300 * MIB, || Recipe::read(&path)), "more than 100000000 bytes");
    refused(within(300 * MIB, || Rules::read(&path)), "more than 100000000 bytes");
}

#[test]
fn long_words_are_not_compared_with_every_name() {
    let long = "z".repeat(300_000);
    let error = Error::Unknown { kind: "column", given: long.clone(), known: vec![long + "a"] };
    let message = within(10 * MIB, || error.to_string());
    assert!(message.starts_with("unknown column `zzz") && message.len() < 10_000);
    let named: String = (0..100_000).map(|n| format!("a{n}=1,")).collect();
    refused(
        within(10 * MIB, || format!("normal:{named}").parse::<Init>()),
        "more than 16 parameters",
    );
}

/// An NPY file of bytes.
fn npy(shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

fn npz(path: &Path, arrays: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn data(path: &Path) -> Result<Loaded> {
    load(path.to_str().unwrap(), &LoadOptions::default(), 0)
}

/// More zeros than a file of some hundred kilobytes may hold, and the message that says so.
const ZEROS: usize = 150 * MIB;
const BOMB: &str = "data: got more than 67108864 bytes in a file of ";

#[test]
fn an_archive_unpacks_to_what_it_may_reasonably_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.npz");
    let zeros = vec![0; ZEROS];
    // It keeps its promise.
    npz(
        &path,
        &[("x", &npy(&format!("(2, {})", ZEROS / 2), &zeros)), ("y", &npy("(2,)", &[0, 1]))],
    );
    assert!(fs::metadata(&path).unwrap().len() < MIB as u64);
    refused(within(200 * MIB, || data(&path)), BOMB);
    // It promises less, or more.
    npz(&path, &[("x", &npy("(2, 3)", &zeros)), ("y", &npy("(2,)", &[0, 1]))]);
    refused(
        within(MIB, || data(&path)),
        "data: got more than 6 bytes, needed 6 bytes for the shape [2, 3]",
    );
    npz(&path, &[("x", &npy("(2, 10000000000)", &[0; 100])), ("y", &npy("(2,)", &[0, 1]))]);
    refused(within(MIB, || data(&path)), "data: got 100 bytes, needed 20000000000 bytes");
    // Small enough, but for what becomes of it.
    npz(&path, &[("x", &npy("(2, 5000000)", &zeros[..10_000_000])), ("y", &npy("(2,)", &[0, 1]))]);
    refused(within(50 * MIB, || data(&path)), "got 5000000 numbers a row, needed at most 1048576");
    let shape = format!("(2, {}1000000)", "1, ".repeat(3000));
    npz(&path, &[("x", &npy(&shape, &zeros[..2_000_000])), ("y", &npy("(2,)", &[0, 1]))]);
    refused(within(MIB, || data(&path)), "3002 dimensions, more than 64");
    let shape = format!("(2, {}1000000)", "1, ".repeat(62));
    npz(&path, &[("x", &npy(&shape, &zeros[..2_000_000])), ("y", &npy("(2,)", &[0, 1]))]);
    let read = within(400 * MIB, || data(&path)).unwrap();
    assert_eq!(read.train.columns(), 1_000_000);
}

#[test]
fn a_gzipped_file_unpacks_to_what_it_may_reasonably_hold() {
    let folder = tempfile::tempdir().unwrap();
    let gzip = |name: &str, parts: &[&[u8]]| {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::default());
        parts.iter().for_each(|part| encoder.write_all(part).unwrap());
        encoder.finish().unwrap();
    };
    let images = |count: u32, data: &[u8]| {
        let [a, b, c, d] = count.to_be_bytes();
        let header = [0, 0, 8, 3, a, b, c, d, 0, 0, 1, 0, 0, 0, 1, 0];
        gzip("train-images-idx3-ubyte.gz", &[&header, data]);
    };
    gzip("train-labels-idx1-ubyte.gz", &[&[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]]);
    let zeros = vec![0; ZEROS];
    images((ZEROS >> 16) as u32, &zeros);
    refused(within(200 * MIB, || data(folder.path())), BOMB);
    images(2, &zeros);
    refused(within(MIB, || data(folder.path())), "data: got more than 131072 bytes");
    images(u32::MAX, &zeros[..100]);
    refused(within(MIB, || data(folder.path())), "data: got 100 bytes");
    images(2, &zeros[..2 << 16]);
    assert_eq!(data(folder.path()).unwrap().train.rows(), 2);
}
