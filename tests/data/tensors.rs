use super::*;

fn file(files: &Files, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> PathBuf {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    files.write("s.safetensors", bytes)
}

fn labels_of(rows: usize) -> (&'static str, Dtype, Vec<usize>, Vec<u8>) {
    ("y", Dtype::U8, vec![rows], (0..rows).map(|row| row as u8 % 2).collect())
}

#[test]
fn are_read_in_every_dtype() {
    let files = Files::new();
    let cases: [(Dtype, &[u8], [f32; 2]); 15] = [
        (Dtype::F32, &[0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0], [1.5, -2.0]),
        (Dtype::F64, &[0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0], [1.5, -2.0]),
        (Dtype::F16, &[0, 0x3E, 0, 0xC0], [1.5, -2.0]),
        (Dtype::BF16, &[0xC0, 0x3F, 0, 0xC0], [1.5, -2.0]),
        (Dtype::F8_E4M3, &[0x3C, 0xC0], [1.5, -2.0]),
        (Dtype::F8_E5M2, &[0x3E, 0xC0], [1.5, -2.0]),
        (Dtype::U8, &[255, 51], [1.0, 0.2]),
        (Dtype::I8, &[255, 51], [-1.0, 51.0]),
        (Dtype::BOOL, &[1, 0], [1.0, 0.0]),
        (Dtype::U16, &[1, 0, 0, 1], [1.0, 256.0]),
        (Dtype::I16, &[255, 255, 0, 1], [-1.0, 256.0]),
        (Dtype::U32, &[0, 0, 0, 128, 1, 0, 0, 0], [2147483648.0, 1.0]),
        (Dtype::I32, &[255, 255, 255, 255, 1, 0, 0, 0], [-1.0, 1.0]),
        (Dtype::I64, &[255; 16], [-1.0, -1.0]),
        (Dtype::U64, &[255, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [255.0, 1.0]),
    ];
    for (dtype, data, expected) in cases {
        let twice = [data, data].concat();
        let path = file(&files, &[("x", dtype, vec![4, 1], twice), labels_of(4)]);
        let loaded = load_with(&path, None, None).unwrap();
        assert_eq!(loaded.train.features.to_f32()[2..], expected, "{dtype:?}");
        assert_eq!(labels(&loaded.train).0, [0, 1, 0, 1]);
    }
}

#[test]
fn mistakes_are_told_with_the_tensor() {
    let files = Files::new();
    let path = file(&files, &[("x", Dtype::F32, vec![2, 1], vec![0; 8]), labels_of(4)]);
    assert_eq!(
        message(&path, load_with(&path, None, None)),
        "`y`: got 4 rows, needed 2, as many as `x` has"
    );
    let path = file(&files, &[("x", Dtype::F8_E8M0, vec![2, 1], vec![0; 2]), labels_of(2)]);
    let found = message(&path, load_with(&path, None, None));
    assert!(found.starts_with("`x`, dtype: got F8_E8M0, needed F64, F32"), "{found}");
    let path = file(&files, &[("w", Dtype::U8, vec![2, 1], vec![0; 2])]);
    let found = message(&path, load_with(&path, None, None));
    assert!(found.starts_with("contents: got arrays w, needed features x"), "{found}");

    let header = br#"{"x":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,8]}}"#;
    let mut hostile = (header.len() as u64).to_le_bytes().to_vec();
    hostile.extend(header);
    hostile.extend([0; 8]);
    for bytes in [&b""[..], &[255; 9], &hostile] {
        let path = files.write("s.safetensors", bytes);
        let error = load_with(&path, None, None).unwrap_err();
        assert!(matches!(error, Error::Safetensors { .. }), "{error}");
    }
}

#[test]
fn a_test_set_must_be_like_the_training_set() {
    let files = Files::new();
    let float = |n: usize| vec![0u8; n * 4];
    let values = |n: usize| (0..n).flat_map(|i| (i as f32 + 0.5).to_le_bytes()).collect::<Vec<_>>();
    let path = file(
        &files,
        &[
            ("x_train", Dtype::F32, vec![2, 1], float(2)),
            ("y_train", Dtype::F32, vec![2, 2], values(4)),
            ("x_test", Dtype::F32, vec![2, 1], float(2)),
            ("y_test", Dtype::F32, vec![2, 1], values(2)),
        ],
    );
    assert_eq!(
        message(&path, load_with(&path, None, None)),
        "`y_test`: got 1 column, needed 2 columns, as in the training set"
    );
}
