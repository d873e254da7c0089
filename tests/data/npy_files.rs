use super::*;

fn pair(x: impl AsRef<[u8]>, y: impl AsRef<[u8]>) -> (Files, Result<Loaded>) {
    let files = Files::new();
    let (x, y) = (files.write("x.npy", x), files.write("y.npy", y));
    let loaded = load_with(&x, y.to_str(), None);
    (files, loaded)
}

fn y2() -> Vec<u8> {
    npy(&[2], C, [0.5f32, 1.5])
}

#[test]
fn are_read_row_by_row_in_either_order() {
    // x[row, i, j] = 100 row + 10 i + j.
    let element = |row: u8, i: u8, j: u8| f64::from(row) * 100.0 + f64::from(i * 10 + j);
    let mut slowest_first = Vec::new();
    let mut fastest_first = Vec::new();
    for n in 0..12 {
        slowest_first.push(element(n / 6, n / 2 % 3, n % 2));
        fastest_first.push(element(n % 2, n / 2 % 3, n / 6));
    }
    let expected = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 100.0, 101.0, 110.0, 111.0, 120.0, 121.0];
    for (order, elements) in [(C, slowest_first), (FORTRAN, fastest_first)] {
        let loaded = pair(npy(&[2, 3, 2], order, elements), y2()).1.unwrap();
        assert_eq!(*loaded.train.features.to_f32(), expected);
        let names = ["x0_0", "x0_1", "x1_0", "x1_1", "x2_0", "x2_1"];
        assert_eq!(loaded.train.feature_names, names);
        assert_eq!((values(&loaded.train), loaded.task), (vec![0.5, 1.5], Task::Regress));
    }
    // Several targets, in Fortran's order too: [[1, 3], [2, 4]].
    let loaded =
        pair(npy(&[2, 1], C, [7i8, -7]), npy(&[2, 2], FORTRAN, [1i32, 2, 3, 4])).1.unwrap();
    assert_eq!(*loaded.train.features.to_f32(), [7.0, -7.0]);
    assert_eq!(values(&loaded.train), [1.0, 3.0, 2.0, 4.0]);
    assert_eq!(loaded.reason, "the target `y.npy` has 2 columns");
    assert_eq!((loaded.train.target_columns(), loaded.train.target_columns()), (2, 2));
}

#[test]
fn integers_beyond_f64_are_classes_of_their_own() {
    let ids = [1i64 << 53, (1 << 53) + 1, 1 << 53, (1 << 53) + 1];
    let loaded = pair(npy(&[4, 1], C, [1.0f32, 2.0, 3.0, 4.0]), npy(&[4], C, ids)).1.unwrap();
    let (labels, names) = labels(&loaded.train);
    assert_eq!(
        (&labels[..], &names[..]),
        (&[0, 1, 0, 1][..], &["9007199254740992", "9007199254740993"][..])
    );
    let ids = [u64::MAX, u64::MAX - 1, u64::MAX, u64::MAX - 1];
    let loaded = pair(npy(&[4, 1], C, [1.0f32, 2.0, 3.0, 4.0]), npy(&[4], C, ids)).1.unwrap();
    assert_eq!(super::labels(&loaded.train).0, [1, 0, 1, 0]);
}

#[test]
fn come_in_every_plain_dtype() {
    let cases: [(&str, &[u8], [f32; 2]); 14] = [
        ("|u1", &[255, 51], [1.0, 0.2]),
        ("|i1", &[255, 51], [-1.0, 51.0]),
        ("|b1", &[1, 0], [1.0, 0.0]),
        ("<u2", &[1, 0, 0, 1], [1.0, 256.0]),
        (">u2", &[1, 0, 0, 1], [256.0, 1.0]),
        ("<i2", &[255, 255, 0, 1], [-1.0, 256.0]),
        ("<i4", &[255, 255, 255, 255, 1, 0, 0, 0], [-1.0, 1.0]),
        (">i4", &[255, 255, 255, 255, 0, 0, 0, 1], [-1.0, 1.0]),
        ("<u4", &[0, 0, 0, 128, 1, 0, 0, 0], [2147483648.0, 1.0]),
        ("<u8", &[0, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 0, 0, 0], [9223372036854775808.0, 1.0]),
        ("<i8", &[255; 16], [-1.0, -1.0]),
        ("<f2", &[0, 0x3E, 0, 0xC0], [1.5, -2.0]),
        (">f2", &[0x3E, 0, 0xC0, 0], [1.5, -2.0]),
        (">f4", &[0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0], [1.5, -2.0]),
    ];
    for (descr, data, expected) in cases {
        let x = raw_npy(&header(descr, false, "(2, 1)"), data);
        let loaded = pair(x, y2()).1.unwrap();
        assert_eq!(*loaded.train.features.to_f32(), expected, "{descr}");
    }
}

#[track_caller]
fn assert_mistake(x: impl AsRef<[u8]>, y: impl AsRef<[u8]>, expected: &str) {
    let (files, loaded) = pair(x, y);
    let found = message(&files.path("x.npy"), loaded);
    let found = found.replace(&format!("{}/", files.0.path().display()), "");
    match expected.strip_suffix('…') {
        Some(start) => assert!(found.starts_with(start), "{found}"),
        None => assert_eq!(found, expected),
    }
}

#[test]
fn of_other_dtypes_are_refused() {
    let plain = "needed plain numbers: bool, i1, i2, i4, i8, u1, u2, u4, u8, f2, f4 or f8";
    for descr in [
        "<c8", "<c16", "|O", "<U4", "|S3", "<M8[ns]", "|V4", "<f16", "|f4", "=f4", "f4", "<b2", "",
        "<",
    ] {
        let x = raw_npy(&header(descr, false, "(2, 1)"), &[0; 64]);
        assert_mistake(x, y2(), &format!("`x.npy`, dtype: got '{descr}', {plain}"));
    }
    let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }";
    assert_mistake(
        raw_npy(record, &[0; 8]),
        y2(),
        &format!("`x.npy`, dtype: got a structured type, {plain}"),
    );
}

#[test]
fn that_are_damaged_are_refused() {
    let good = npy(&[2, 1], C, [1.0f32, 2.0]);
    assert_mistake(b"", y2(), "`x.npy`, content: got an early end or damage (…");
    assert_mistake(
        b"PK\x03\x04....",
        y2(),
        "`x.npy`, magic string: got [50, 4b, 03, 04, 2e, 2e], needed 93 'NUMPY'",
    );
    for cut in [7, 9, 30] {
        assert_mistake(&good[..cut], y2(), "`x.npy`, content: got an early end or damage (…");
    }
    let needed = "needed 8 bytes for the shape [2, 1]";
    assert_mistake(&good[..good.len() - 1], y2(), &format!("`x.npy`, data: got 7 bytes, {needed}"));
    let long = [&good[..], &[0]].concat();
    assert_mistake(long, y2(), &format!("`x.npy`, data: got more than 8 bytes, {needed}"));
    for (header, given) in [
        ("nonsense 'shape': (1,)", "no dictionary"),
        (
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
            "a 'fortran_order' not True or False",
        ),
        ("{'descr': '<f4', 'shape': (1,)}", "not one 'fortran_order'"),
        ("{'fortran_order': False, 'shape': (1,)}", "not one 'descr'"),
        ("{'descr' '<f4', 'fortran_order': False, 'shape': (1,)}", "'descr' without a value"),
    ] {
        assert_mistake(
            raw_npy(header, &[]),
            y2(),
            &format!("`x.npy`, header: got {given}, needed one …"),
        );
    }
    let mut version = good.clone();
    version[6] = 9;
    assert_mistake(version, y2(), "`x.npy`, version: got 9, needed 1, 2 or 3");
}

#[test]
fn with_hostile_headers_are_refused_at_once() {
    let with = |shape: &str| raw_npy(&header("<f4", false, shape), &[]);
    let most = u64::MAX;
    assert_mistake(
        with(&format!("({most}, {most})")),
        y2(),
        &format!(
            "`x.npy`, header: got shape ({most}, {most}), 2^64 elements or more, needed one as NumPy \
             writes it, of an array of plain numbers"
        ),
    );
    assert_mistake(
        with(&format!("(0, {most}, {most})")),
        y2(),
        &format!("`x.npy`, header: got shape (0, {most}, {most}), 2^64 elements or more…"),
    );
    assert_mistake(
        with(&format!("({most}, 1)")),
        y2(),
        "`x.npy`, shape: got [18446744073709551615, 1], needed less than 2^64 bytes in all",
    );
    assert_mistake(
        with("(1099511627776, 2)"),
        y2(),
        "`x.npy`, data: got 0 bytes, needed 8796093022208 bytes…",
    );
    for shape in ["(-1, 2)", "(0x7f, 2)", "(1+1,)", "(99999999999999999999,)"] {
        assert_mistake(
            with(shape),
            y2(),
            &format!("`x.npy`, header: got shape {shape}, whose dimensions are no counts…"),
        );
    }
    assert_mistake(with("7"), y2(), "`x.npy`, header: got a 'shape' that is no tuple…");
    let deep = format!("{}{}", "(".repeat(4000), ")".repeat(4000));
    assert_mistake(with(&deep), y2(), "`x.npy`, header: got shape ((((…");
    assert_mistake(raw_npy("{'descr': '<f4'}", &[]), y2(), "`x.npy`, header: got not one 'shape'…");
    let twice = "{'descr': '<f4', 'shape': (1,), 'shape': (2,)}";
    assert_mistake(raw_npy(twice, &[]), y2(), "`x.npy`, header: got not one 'shape'…");
    // Version 2 tells of a header of 4 GiB.
    let mut long = b"\x93NUMPY\x02\x00".to_vec();
    long.extend([255; 4]);
    assert_mistake(long, y2(), "`x.npy`, header: got 4294967295 bytes, needed at most 10000");
}

#[test]
fn must_fit_each_other() {
    let good = npy(&[2, 1], C, [1.0f32, 2.0]);
    assert_mistake(
        &good,
        npy(&[3], C, [1.0f32, 2.0, 3.0]),
        "`y.npy`: got 3 rows, needed 2, as many as `x.npy` has",
    );
    assert_mistake(
        npy(&[], C, [1.0f32]),
        y2(),
        "`x.npy`: got shape [], needed two dimensions or more, rows first",
    );
    assert_mistake(
        npy(&[2], C, [1.0f32, 2.0]),
        y2(),
        "`x.npy`: got shape [2], needed two dimensions or more, rows first",
    );
    assert_mistake(
        &good,
        npy(&[], C, [1.0f32]),
        "`y.npy`: got shape [], a single number, needed an array with a target for each row",
    );
    assert_mistake(
        &good,
        npy(&[2, 1, 2], C, [1.0f32; 4]),
        "`y.npy`: got shape [2, 1, 2], needed [rows] or [rows, targets]",
    );
    assert_mistake(
        npy(&[0, 3], C, [0f32; 0]),
        npy(&[0], C, [0f32; 0]),
        "`x.npy`: got shape [0, 3], which is empty, needed at least one row and one column",
    );
    assert_mistake(
        npy(&[2, 1], C, [1.0f32, f32::NAN]),
        y2(),
        "data set `x`: row 1 (the first is 0), column `x0`: got NaN, needed a finite f64",
    );
    assert_mistake(
        &good,
        npy(&[2], C, [1.0, f64::INFINITY]),
        "`y.npy`, element 1 (the first is 0): got inf, needed a finite f64",
    );
    assert_mistake(
        npy(&[1, (1 << 20) + 1], C, vec![0u8; (1 << 20) + 1]),
        npy(&[1], C, [1.0f32]),
        "`x.npy`: got 1048577 numbers a row, needed at most 1048576",
    );
    let files = Files::new();
    let x = files.write("x.npy", good);
    assert_eq!(
        message(&x, load_with(&x, None, None)),
        "target: got none, needed the .npy file of the targets"
    );
    let missing = files.path("z.npy");
    let error = load_with(&x, missing.to_str(), None).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let y = files.write("y.npy", npy(&[2, 2], C, [1u16, 2, 3, 4]));
    assert_eq!(
        message(&x, load_with(&x, y.to_str(), Some(Task::Classify))),
        "`y.npy`: got 2 columns, needed one column of classes"
    );
}
