use super::*;

fn file(magic: u32, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = [&[magic], dims].concat();
    let mut file: Vec<u8> = header.iter().flat_map(|number| number.to_be_bytes()).collect();
    file.extend_from_slice(bytes);
    file
}

fn images(rows: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..rows * 6).map(|pixel| (pixel * 5) as u8).collect();
    file(0x803, &[rows, 2, 3], &pixels)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn directory(images: impl AsRef<[u8]>, labels: impl AsRef<[u8]>) -> Files {
    let files = Files::new();
    files.write("train-images-idx3-ubyte", images);
    files.write("train-labels-idx1-ubyte", labels);
    files
}

fn check(loaded: &Loaded) {
    let pixels: Vec<f32> = (0..24).map(|pixel| (pixel * 5) as f32 / 255.0).collect();
    assert_eq!(*loaded.train.features.to_f32(), pixels);
    assert_eq!(loaded.train.feature_names, ["x0_0", "x0_1", "x0_2", "x1_0", "x1_1", "x1_2"]);
    assert_eq!(labels(&loaded.train), (vec![1, 0, 2, 1], vec!["3", "5", "9"]));
    assert_eq!(loaded.task, Task::Classify);
    assert_eq!(loaded.reason, "a file of labels comes with the images");
}

const LABELS: [u8; 4] = [5, 3, 9, 5];

#[test]
fn is_read_plain_and_gzipped_with_its_test_set() {
    let train = file(0x801, &[4], &LABELS);
    let files = directory(images(4), &train);
    let loaded = load_with(files.0.path(), None, None).unwrap();
    check(&loaded);
    assert_eq!(loaded.test, None);
    // The file of images stands for them all.
    let path = files.path("train-images-idx3-ubyte");
    assert_eq!(load_with(&path, None, None).unwrap().train.features, loaded.train.features);

    let files = Files::new();
    files.write("train-images.idx3-ubyte.gz", gzip(&images(4)));
    files.write("train-labels-idx1-ubyte.gz", gzip(&train));
    // A .gz that somebody unpacked and did not rename.
    files.write("t10k-images-idx3-ubyte.gz", images(2));
    files.write("t10k-labels.idx1-ubyte", gzip(&file(0x801, &[2], &[9, 9])));
    let loaded = load_with(files.0.path(), None, None).unwrap();
    check(&loaded);
    let test = loaded.test.unwrap();
    assert_eq!(*test.features.to_f32(), loaded.train.features.to_f32()[..12]);
    assert_eq!(labels(&test), (vec![2, 2], vec!["3", "5", "9"]));
    let loaded = load_with(files.0.path(), None, Some(Task::Regress)).unwrap();
    assert_eq!(values(&loaded.train), [5.0, 3.0, 9.0, 5.0]);
}

#[track_caller]
fn assert_mistake(files: &Files, name: &str, expected: &str) {
    let (found, path) = (load_with(files.0.path(), None, None), files.path(name));
    let found = message(&path, found);
    match expected.strip_suffix('…') {
        Some(start) => assert!(found.starts_with(start), "{found}"),
        None => assert_eq!(found, expected),
    }
}

#[test]
fn mistakes_say_what_was_found_and_expected() {
    let (name, good) = ("train-images-idx3-ubyte", file(0x801, &[4], &LABELS));
    assert_mistake(
        &directory(file(0x801, &[4], &[0; 4]), &good),
        name,
        "magic number: got 0x00000801, needed 0x00000803, bytes in 3 dimensions",
    );
    let short = "data: got 23 bytes, needed 24 bytes for the dimensions [4, 2, 3]";
    assert_mistake(&directory(&images(4)[..16 + 23], &good), name, short);
    let mut long = images(4);
    long.push(0);
    let more = "data: got more than 24 bytes, needed 24 bytes for the dimensions [4, 2, 3]";
    assert_mistake(&directory(&long, &good), name, more);
    assert_mistake(
        &directory(&images(4)[..7], &good),
        name,
        "content: got an early end or damage (…",
    );
    let zipped = gzip(&images(4));
    let cut = &zipped[..zipped.len() - 9];
    assert_mistake(&directory(cut, &good), name, "content: got an early end or damage (…");
    let mut broken = zipped.clone();
    // In the checksum.
    let last = broken.len() - 6;
    broken[last] ^= 0x5A;
    assert_mistake(&directory(broken, &good), name, "content: got an early end or damage (…");
    // 2^96 bytes, and 2^62 that are not there.
    let huge = file(0x803, &[u32::MAX, u32::MAX, u32::MAX], &[]);
    let needed = "dimensions: got [4294967295, 4294967295, 4294967295], needed less than 2^64 \
                  bytes in all";
    assert_mistake(&directory(huge, &good), name, needed);
    let huge = file(0x803, &[1 << 31, 1 << 31, 1], &[1, 2]);
    assert_mistake(
        &directory(huge, &good),
        name,
        "data: got 2 bytes, needed 4611686018427387904 bytes…",
    );
}

#[test]
fn sets_must_be_whole() {
    let root = |files: &Files, expected: &str| {
        let found = message(files.0.path(), load_with(files.0.path(), None, None));
        assert_eq!(found, expected);
    };
    let train = file(0x801, &[4], &LABELS);
    root(
        &directory(images(3), &train),
        "`train-labels-idx1-ubyte`: got 4 rows, needed 3, as many as \
         `train-images-idx3-ubyte` has",
    );
    root(
        &directory(file(0x803, &[0, 2, 3], &[]), file(0x801, &[0], &[])),
        "`train-images-idx3-ubyte`: got shape [0, 2, 3], which is empty, needed at least one \
         row and one column",
    );
    let files = Files::new();
    root(&files, "file of images: got none, needed train-images-idx3-ubyte, or the same with .gz");
    files.write("train-images-idx3-ubyte", images(4));
    root(&files, "file of labels: got none, needed train-labels-idx1-ubyte, or the same with .gz");
    files.write("train-labels-idx1-ubyte", &train);
    files.write("t10k-images-idx3-ubyte", images(1));
    root(&files, "file of labels: got none, needed t10k-labels-idx1-ubyte, or the same with .gz");
    files.write("t10k-labels-idx1-ubyte", file(0x801, &[1], &[4]));
    root(
        &files,
        "target `t10k-labels-idx1-ubyte`, row 0 (the first is 0): got `4`, needed a class of \
         the training set: 3, 5, 9",
    );
    files.write("t10k-labels-idx1-ubyte", file(0x801, &[1], &[9]));
    files.write("t10k-images-idx3-ubyte", file(0x803, &[1, 3, 2], &[0; 6]));
    root(
        &files,
        "`t10k-images-idx3-ubyte`: got [3, 2] a row, needed [2, 3] a row, as in the training \
         set",
    );
    let given = load_with(files.0.path(), Some("y"), None).unwrap_err().to_string();
    assert_eq!(given, "target: got y, needed none: a directory of IDX files has its own targets");
}

#[test]
fn sets_are_found_under_the_names_that_people_have() {
    let train = file(0x801, &[4], &LABELS);
    let sets: [(&str, [&str; 4]); 3] = [
        (
            "MNIST/raw/",
            [
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            ],
        ),
        (
            "",
            [
                "train-images-idx3-ubyte/train-images-idx3-ubyte",
                "train-labels-idx1-ubyte/train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte/t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte/t10k-labels-idx1-ubyte",
            ],
        ),
        (
            "gzip/",
            [
                "emnist-letters-train-images-idx3-ubyte.gz",
                "emnist-letters-train-labels-idx1-ubyte.gz",
                "emnist-letters-test-images-idx3-ubyte.gz",
                "emnist-letters-test-labels-idx1-ubyte.gz",
            ],
        ),
    ];
    let write = |files: &Files, path: String, bytes: &[u8]| {
        let path = files.path(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let make = |folder: &str, names: &[&str; 4]| {
        let files = Files::new();
        let contents = [images(4), train.clone(), images(2), file(0x801, &[2], &[9, 9])];
        for (name, bytes) in names.iter().zip(contents) {
            write(&files, format!("{folder}{name}"), &bytes);
        }
        files
    };
    for (folder, names) in &sets {
        let files = make(folder, names);
        // At every level, by the file of images, and by its own folder.
        let mut level = files.path(&format!("{folder}{}", names[0]));
        while level.starts_with(files.0.path()) {
            let loaded = load_with(&level, None, None).unwrap();
            check(&loaded);
            assert_eq!(loaded.test.unwrap().rows(), 2, "{}", level.display());
            level.pop();
        }
        // A file of test images stands for itself.
        let test =
            load_with(&files.path(&format!("{folder}{}", names[2])), None, Some(Task::Regress));
        let constant = test.unwrap_err().to_string();
        assert!(constant.contains("got 9 in all rows"), "{constant}");
    }
    // Two sets in a folder, and below one.
    let files = make(sets[2].0, &sets[2].1);
    for name in ["digits-train-images-idx3-ubyte", "digits-train-labels-idx1-ubyte"] {
        write(&files, format!("gzip/emnist-{name}"), &images(4));
    }
    let found = message(files.0.path(), load_with(files.0.path(), None, None));
    let both =
        ["emnist-digits-train-images-idx3-ubyte", "emnist-letters-train-images-idx3-ubyte.gz"];
    let both = both.map(|name| files.path(&format!("gzip/{name}")).display().to_string());
    let needed = format!("needed one, by its file of images: {}", both.join(", "));
    assert_eq!(found, format!("sets of IDX files: got 2, {needed}"));
    // What lies in the folder itself comes before what is below.
    write(&files, "train-images-idx3-ubyte".into(), &images(4));
    write(&files, "train-labels-idx1-ubyte".into(), &train);
    check(&load_with(files.0.path(), None, None).unwrap());
}
