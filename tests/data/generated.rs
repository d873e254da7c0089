use super::*;

fn digest(set: &Dataset) -> String {
    let mut hash = Sha256::new();
    set.features.to_f32().iter().for_each(|x| hash.update(x.to_le_bytes()));
    match &set.targets {
        Targets::Classes { labels, .. } => {
            labels.iter().for_each(|label| hash.update(label.to_le_bytes()));
        }
        Targets::Values { values, .. } => {
            values.to_f32().iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
    }
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bits of each set at seed 1: a change here changes everybody's results.
#[test]
fn sets_have_their_bits() {
    let digests = Generated::NAMES
        .map(|(name, set)| format!("{name} {}", digest(&set.generate(1, None).unwrap())));
    assert_eq!(
        digests,
        [
            "spirals fe60d30f0a16b36f",
            "moons 54cab630008946f6",
            "rings f920e910e03feaff",
            "teacher e715c3603894e66e",
            "digits 4ea18a052499dc3e"
        ]
    );
}

#[test]
fn sets_depend_on_the_seed_and_grow_at_the_end() {
    for (name, set) in Generated::NAMES {
        assert_eq!((set.to_string(), name.parse().ok()), (name.to_string(), Some(set)));
        let whole = set.generate(3, None).unwrap();
        assert_eq!((whole.rows(), &*whole.name), (set.default_rows(), name));
        let short = set.generate(3, Some(50)).unwrap();
        assert_eq!(whole.select(&(0..50).collect::<Vec<_>>()), short);
        assert_ne!(set.generate(4, Some(50)).unwrap().features, short.features);
    }
    let refused = |rows| Generated::Moons.generate(0, Some(rows)).unwrap_err().to_string();
    assert_eq!(refused(1), "rows of `moons`: got 1, needed 2 to 1000000");
    assert!(refused(usize::MAX).ends_with("needed 2 to 1000000"));
}

#[test]
fn rings_and_moons_lie_where_they_should() {
    let set = Generated::Rings.generate(5, Some(3000)).unwrap();
    for (point, label) in set.features.to_f32().chunks(2).zip(labels(&set).0) {
        let radius = point[0].hypot(point[1]);
        assert!((radius - (label + 1) as f32 / 3.0).abs() < 0.06 * 6.4, "{radius}");
    }
    let set = Generated::Moons.generate(5, Some(3000)).unwrap();
    for (point, label) in set.features.to_f32().chunks(2).zip(labels(&set).0) {
        let centre = if label == 0 { [0.0, 0.0] } else { [1.0, 0.5] };
        let (x, y) = (point[0] - centre[0], point[1] - centre[1]);
        assert!((x.hypot(y) - 1.0).abs() < 0.12 * 6.4 * 1.5);
    }
}

/// The words are those of the documented stream: each row's last is its noise.
#[test]
fn a_teachers_inputs_are_its_streams_normals() {
    use fanin::random::Distribution;
    let set = Generated::Teacher.generate(9, None).unwrap();
    let stream = Stream::named(9, "data.teacher");
    for (row, features) in set.features.to_f32().chunks(8).enumerate() {
        for (input, feature) in features.iter().enumerate() {
            let index = (row * 9 + input) as u64;
            assert_eq!(Distribution::normal(1.0).value(&stream, index).unwrap(), *feature);
        }
    }
    let targets = values(&set);
    let mean = targets.iter().sum::<f32>() / 2000.0;
    let variance = targets.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / 2000.0;
    assert!((0.2..4.0).contains(&variance), "{variance}");
}

/// The share of the test rows whose nearest training row has their label.
fn nearest_neighbour(train: &Dataset, test: &Dataset) -> f64 {
    let columns = train.columns();
    let distance =
        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum() };
    let (known, wanted) = (labels(train).0, labels(test).0);
    let (rows, asked) = (train.features.to_f32(), test.features.to_f32());
    let right = asked.chunks(columns).zip(wanted).filter(|(row, label)| {
        let nearest = rows
            .chunks(columns)
            .zip(&known)
            .min_by(|a, b| distance(a.0, row).total_cmp(&distance(b.0, row)));
        nearest.unwrap().1 == label
    });
    right.count() as f64 / test.rows() as f64
}

/// The same of the nearest mean of a class: a linear classifier.
fn nearest_mean(train: &Dataset, test: &Dataset) -> f64 {
    let classes = train.target_columns() as u32;
    let columns = train.columns();
    let mut means = Vec::new();
    let known = labels(train).0;
    for class in 0..classes {
        let rows: Vec<u32> =
            (0..train.rows() as u32).filter(|&row| known[row as usize] == class).collect();
        means.extend(super::means(&Standardizer::fit(&train.select(&rows))));
    }
    let all = (0..classes).collect::<Vec<_>>();
    let targets = Targets::Classes { labels: all, names: names(classes as usize) };
    let means = Dataset::new("means", means, names(columns), targets).unwrap();
    nearest_neighbour(&means, test)
}

#[test]
fn classes_can_be_learnt_but_not_by_their_means() {
    let expected = [
        (Generated::Spirals, 0.97, 0.6),
        (Generated::Moons, 0.97, 0.95),
        (Generated::Rings, 0.97, 0.6),
        (Generated::Digits, 0.85, 0.9),
    ];
    for (set, least, most) in expected {
        let (train, test) = set.generate(1, None).unwrap().split(1, 0.2).unwrap();
        let (near, mean) = (nearest_neighbour(&train, &test), nearest_mean(&train, &test));
        assert!(near >= least && mean <= most, "{set}: {near}, {mean}");
    }
}

#[test]
fn digits_look_like_digits() {
    let set = Generated::Digits.generate(1, None).unwrap();
    assert_eq!((set.columns(), set.target_columns()), (64, 10));
    assert!(set.features.to_f32().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    // In the mean picture of the zeros the middle is paper, its left and right are ink.
    let zeros: Vec<u32> = (0..200).map(|i| i * 10).collect();
    let mean = means(&Standardizer::fit(&set.select(&zeros)));
    let ink = |row: usize, column: usize| mean[row * 8 + column];
    assert!(ink(4, 2) > 2.0 * ink(4, 4) || ink(3, 2) > 2.0 * ink(3, 4), "{mean:?}");
    assert!(ink(0, 0) < 0.15 && ink(7, 7) < 0.15);
    // And of the ones the middle is ink.
    let ones: Vec<u32> = (0..200).map(|i| i * 10 + 1).collect();
    let mean = means(&Standardizer::fit(&set.select(&ones)));
    assert!(mean[3 * 8 + 3] + mean[3 * 8 + 4] > 0.6, "{mean:?}");
}

#[test]
fn are_loaded_by_name() {
    let loaded = load("rings", &LoadOptions::default(), 8).unwrap();
    assert_eq!(loaded.train, Generated::Rings.generate(8, None).unwrap());
    assert_eq!((loaded.test, loaded.task), (None, Task::Classify));
    assert_eq!(loaded.reason, "the generated set `rings` has 3 classes");
    let loaded = load("teacher", &LoadOptions::default(), 8).unwrap();
    assert_eq!(loaded.task, Task::Regress);

    let refused = |task, target: Option<&str>| {
        let targets = target.map(str::to_string).into_iter().collect();
        let options = LoadOptions { task, targets, ..LoadOptions::default() };
        load("moons", &options, 0).unwrap_err().to_string()
    };
    assert_eq!(
        refused(Some(Task::Regress), None),
        "task: got regress, needed classify: the generated set `moons` has 2 classes"
    );
    assert_eq!(
        refused(None, Some("y")),
        "target: got y, needed none: the generated set `moons` has its own targets"
    );
}

#[test]
fn unknown_names_list_what_there_is() {
    let error = load("spiral", &LoadOptions::default(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown data set `spiral` (nearest: spirals); known: spirals, moons, rings, teacher, \
         digits, FILE.csv, FILE.npy, FILE.npz, FILE.safetensors, a directory of IDX files"
    );
    let error = "classification".parse::<Task>().unwrap_err();
    assert!(error.to_string().starts_with("unknown task `classification`"), "{error}");
    for file in ["no.csv", "no.npz", "no.safetensors", "no/train-images-idx3-ubyte"] {
        let error = load(file, &LoadOptions::default(), 0).unwrap_err();
        assert!(matches!(error, Error::File { action: "open", .. }), "{error}");
    }
}

#[test]
fn formats_that_are_not_read_are_said_to_be_none() {
    let message = |name: &str| load(name, &LoadOptions::default(), 0).unwrap_err().to_string();
    for (name, how) in [
        ("d.parquet", "read_parquet"),
        ("d.XLSX", "spreadsheet"),
        ("d.json", "read_json"),
        ("d.pt", "numpy.savez"),
        ("d.csv.gz", "packed"),
    ] {
        let found = message(name);
        assert!(found.contains("not a format of data that is read, needed one of .csv"), "{found}");
        assert!(found.contains(how), "{found}");
    }
    let files = Files::new();
    for name in ["d.gguf", "d"] {
        let found = message(files.write(name, "GGUF").to_str().unwrap());
        assert!(found.contains("not a format of data that is read"), "{found}");
    }
    // Tables have more than one ending.
    for name in ["d.tsv", "d.TXT"] {
        let path = files.write(name, "a\ty\n1\tp\n2\tq\n");
        assert_eq!(load_with(&path, Some("y"), None).unwrap().train.rows(), 2);
    }
}
