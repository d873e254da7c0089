use super::*;

fn npz(files: &Files, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let file = fs::File::create(files.path("a.npz")).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    for (index, (name, bytes)) in arrays.iter().enumerate() {
        // `numpy.savez` stores, `numpy.savez_compressed` deflates.
        let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated];
        let options =
            zip::write::SimpleFileOptions::default().compression_method(method[index % 2]);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    files.path("a.npz")
}

fn x(rows: u64) -> Vec<u8> {
    npy(&[rows, 2], C, (0..rows * 2).map(|n| n as u8))
}

fn y(labels: &[i64]) -> Vec<u8> {
    npy(&[labels.len() as u64], C, labels.iter().copied())
}

#[test]
fn hold_features_and_targets_under_their_usual_names() {
    let files = Files::new();
    for (features, targets) in [("x", "y"), ("X", "y"), ("features", "labels"), ("data", "target")]
    {
        let path = npz(&files, &[(features, x(4)), (targets, y(&[7, -7, 7, -7]))]);
        let loaded = load_with(&path, None, None).unwrap();
        assert_eq!(loaded.train.features.to_f32()[3], 3.0 / 255.0);
        assert_eq!(labels(&loaded.train), (vec![1, 0, 1, 0], vec!["-7", "7"]));
        assert_eq!((loaded.test, &*loaded.train.name), (None, "a"));
    }
    // As Keras' mnist.npz.
    let path = npz(
        &files,
        &[
            ("x_test", x(2)),
            ("y_test", y(&[2, 2])),
            ("x_train", x(4)),
            ("y_train", y(&[1, 2, 1, 2])),
        ],
    );
    let loaded = load_with(&path, None, None).unwrap();
    let test = loaded.test.unwrap();
    assert_eq!((loaded.train.rows(), test.rows()), (4, 2));
    assert_eq!(labels(&test), (vec![1, 1], vec!["1", "2"]));
    // A target of another name.
    let path = npz(&files, &[("x", x(4)), ("y", y(&[1, 1, 1, 1])), ("z", y(&[1, 2, 1, 2]))]);
    let loaded = load_with(&path, Some("z"), None).unwrap();
    assert_eq!(labels(&loaded.train).0, [0, 1, 0, 1]);
    assert_eq!(
        message(&path, load_with(&path, Some("w"), None)),
        "unknown target array `w`; known: x, y, z"
    );
}

#[test]
fn mistakes_are_told_with_the_array() {
    let files = Files::new();
    let check = |arrays: &[(&str, Vec<u8>)], expected: &str| {
        let path = npz(&files, arrays);
        assert_eq!(message(&path, load_with(&path, None, None)), expected);
    };
    let needed = "needed features x (or features, data, images) and targets y (or labels, \
                  target), or x_train, y_train, x_test and y_test";
    check(&[("arr_0", x(2))], &format!("contents: got arrays arr_0, {needed}"));
    check(&[], &format!("contents: got no arrays, {needed}"));
    check(
        &[("x_train", x(2)), ("y_train", y(&[1, 2])), ("x_test", x(2))],
        "test set: got arrays x_train, y_train, x_test, needed both x_test and y_test, or \
         neither",
    );
    check(&[("x", x(2)), ("y", y(&[1]))], "`y`: got 1 row, needed 2, as many as `x` has");
    check(
        &[("x", x(2)[..100].to_vec()), ("y", y(&[1, 2]))],
        "`x`, content: got an early end or damage (failed to fill whole buffer), needed a \
         whole NPY array",
    );
    let path = npz(&files, &[("x", x(2)), ("y", y(&[1, 2]))]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let found = message(&path, load_with(&path, None, None));
    assert!(found.starts_with("archive: got "), "{found}");
    assert!(found.ends_with("needed a whole zip archive, stored or deflated"), "{found}");
}
