use super::*;

fn parse(text: impl AsRef<[u8]>, target: &str, task: Option<Task>) -> Result<Loaded> {
    let files = Files::new();
    load_with(&files.write("t.csv", text), Some(target), task)
}

#[track_caller]
fn assert_mistake(text: impl AsRef<[u8]>, expected: &str) {
    let files = Files::new();
    let path = files.write("t.csv", text);
    assert_eq!(message(&path, load_with(&path, Some("y"), None)), expected);
}

#[test]
fn is_read_with_all_that_spreadsheets_do_to_it() {
    let text =
        "\u{feff}\"a, or so\",y, b \r\n1,\"dog\", -2.5e1\r\n\r\n3,\"cat\",4\r\n\"5\",dog,6\r\n\r\n";
    let loaded = parse(text, "y", None).unwrap();
    assert_eq!(*loaded.train.features.to_f32(), [1.0, -25.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(loaded.train.feature_names, ["a, or so", "b"]);
    assert_eq!(labels(&loaded.train), (vec![1, 0, 1], vec!["cat", "dog"]));
    assert_eq!((&*loaded.train.name, loaded.task), ("t", Task::Classify));
    assert_eq!((loaded.test, &*loaded.reason), (None, "the target `y` is text"));
    // The byte order mark is no part of a name.
    let loaded = parse("\u{feff}y,a\n1.5,2\n2.5,3", "y", None).unwrap();
    assert_eq!(values(&loaded.train), [1.5, 2.5]);
}

#[test]
fn tasks_are_guessed_and_the_guess_is_told() {
    let guess = |cells: &[String]| {
        let text: String = cells.iter().map(|cell| format!("0,{cell}\n")).collect();
        let loaded = parse(format!("a,y\n{text}"), "y", None).unwrap();
        (loaded.task, loaded.reason)
    };
    let cycle = |rows: usize, of: usize| -> Vec<String> {
        (0..rows).map(|row| (row % of).to_string()).collect()
    };
    assert_eq!(
        guess(&cycle(4, 2)),
        (Task::Classify, "the target `y` has whole numbers, 2 distinct ones".into())
    );
    assert_eq!(guess(&cycle(40, 20)).0, Task::Classify);
    assert_eq!(
        guess(&cycle(42, 21)),
        (Task::Regress, "the target `y` has 21 distinct whole numbers, more than 20".into())
    );
    let few = "the target `y` has 20 distinct whole numbers in 39 rows, too few of each to be \
               classes";
    assert_eq!(guess(&cycle(39, 20)), (Task::Regress, few.into()));
    let mut cells = cycle(40, 2);
    cells[7] = "0.5".into();
    assert_eq!(
        guess(&cells),
        (Task::Regress, "the target `y` has numbers that are not whole".into())
    );
    cells[7] = "none".into();
    assert_eq!(guess(&cells).0, Task::Classify);
}

#[test]
fn numeric_classes_are_in_the_order_of_their_values() {
    let text = "y,a\n10,0\n-1,0\n2.0,0\n10,0\n2,0\n-0,0\n0,0\n-1,0\n";
    let loaded = parse(text, "y", None).unwrap();
    assert_eq!(labels(&loaded.train), (vec![3, 0, 2, 3, 2, 1, 1, 0], vec!["-1", "0", "2", "10"]));
    let loaded = parse(text, "y", Some(Task::Regress)).unwrap();
    assert_eq!(values(&loaded.train), [10.0, -1.0, 2.0, 10.0, 2.0, 0.0, 0.0, -1.0]);
    assert_eq!((loaded.task, &*loaded.reason), (Task::Regress, "regress was asked for"));
    let loaded = parse("y,a\n1.5,0\n0.5,1\n", "y", Some(Task::Classify)).unwrap();
    assert_eq!(labels(&loaded.train), (vec![1, 0], vec!["0.5", "1.5"]));
}

#[test]
fn mistakes_are_told_with_their_line_and_column() {
    assert_mistake("a,y\n1,2\n3\n", "line 3, cells: got 1, needed 2, as in the header");
    assert_mistake("a,y\n1,2\n3,4,5\n", "line 3, cells: got 3, needed 2, as in the header");
    let needed = "needed a number; columns of text (`a`) may be dropped or one-hot";
    assert_mistake("a,y\n1,2\nred,4\n", &format!("line 3, column `a`: got `red`, {needed}"));
    // CRLF, blank lines, and a cell of two lines in between.
    assert_mistake(
        "a,y\r\n1,2\r\n\r\n\r\n3,\"p\r\nq\"\r\n\r\nred,4\r\n",
        &format!("line 8, column `a`: got `red`, {needed}"),
    );
    assert_mistake(
        "a,,y\n1,2,2\n3,,4\n",
        "line 3, column `column 2`: got an empty cell, needed a value; missing ones may be dropped or \
         filled",
    );
    assert_mistake("a,y\n1,2\n1e309,4\n", "line 3, column `a`: got `1e309`, needed a finite f64");
    assert_mistake(
        "a,y\n1,\n",
        "line 2, column `y`: got an empty cell, needed a class or a number; rows whose target is missing \
         may be dropped",
    );
    assert_mistake("a,y\n1,2\n1,inf\n", "line 3, column `y`: got inf, needed a finite f64");
    assert_mistake(
        b"a,y\n1,2\n\xff,4\n",
        "line 3: got bytes that are not UTF-8, needed CSV in UTF-8",
    );
}

#[test]
fn a_target_must_be_one_of_the_columns() {
    let files = Files::new();
    let path = files.write("t.csv", "width,height,kind\n1,2,a\n");
    assert_eq!(
        message(&path, load_with(&path, None, None)),
        "target: got none, needed one of the columns: width, height, kind"
    );
    assert_eq!(
        message(&path, load_with(&path, Some("knd"), None)),
        "unknown target column `knd` (nearest: kind); known: width, height, kind"
    );
    assert_mistake(
        "y,y,a\n1,2,3\n",
        "target: got `y`, needed the name of one column, which two have",
    );
    assert_mistake(
        "y\n1\n2\n",
        "columns: got no features, needed a column of features besides the target",
    );
    let header = "needed a first line of column names";
    assert_mistake("", &format!("header: got nothing, {header}"));
    assert_mistake("1,2\n3,4\n", &format!("header: got only numbers, 1, 2, {header}"));
}

#[test]
fn there_must_be_something_to_learn() {
    let set = "data set `t`";
    assert_mistake("a,y\n", &format!("{set}: rows: got 0, needed at least one"));
    assert_mistake(
        "a,y\n1,dog\n2,dog\n",
        &format!("{set}: classes: got `dog` in all rows, needed at least two classes"),
    );
    assert_mistake(
        "a,y\n1,0.5\n2,0.5\n",
        &format!("{set}: target `y`: got 0.5 in all rows, needed a value that varies"),
    );
    let files = Files::new();
    let path = files.write("t.csv", "a,y\n1,3\n2,red\n");
    assert_eq!(
        message(&path, load_with(&path, Some("y"), Some(Task::Regress))),
        "target `y`, row 1 (the first is 0): got `red`, needed a number to regress"
    );
}

/// What is read of a text, or the message without the path.
fn told(text: &str, options: &LoadOptions) -> Result<Loaded, String> {
    let files = Files::new();
    let path = files.write("t.csv", text);
    load(path.to_str().unwrap(), options, 0).map_err(|error| message(&path, Err(error)))
}

fn all(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn of(targets: &[&str]) -> LoadOptions {
    LoadOptions { targets: all(targets), ..LoadOptions::default() }
}

#[test]
fn separators_and_decimal_commas_are_seen_or_said() {
    let seen = |text: &str| {
        let loaded = told(text, &of(&["y"])).unwrap();
        (loaded.train.features.to_f32().into_owned(), loaded.notes)
    };
    let values = vec![1.5, 2.0, -0.25, 4e3];
    let note = |parted: &str, marks: &str| {
        vec![format!("cells are parted by {parted}, numbers have {marks}")]
    };
    for (separator, parted) in [(";", "`;`"), ("\t", "tabs"), ("|", "`|`")] {
        let text = "a;b;y\n1,5;2;p\n-0,25;4e3;q\n".replace(';', separator);
        assert_eq!(seen(&text), (values.clone(), note(parted, "decimal commas")), "{text}");
        let text = text.replace(',', ".");
        assert_eq!(seen(&text), (values.clone(), note(parted, "decimal points")), "{text}");
    }
    assert_eq!(seen("a,b,y\n1.5,2,p\n-0.25,4e3,q\n"), (values.clone(), vec![]));
    // A comma in names and in quotes parts nothing.
    let text = "\"a, or so\";b, too;y\n1,5;2;\"p;q\"\n-0,25;4e3;q\n";
    assert_eq!(seen(text).0, values);
    // What may be thousands is not taken for decimals.
    let needed =
        "line 2, column `a`: got `1,500`, needed a number, which it is with a decimal comma";
    assert_eq!(told("a;y\n1,500;p\n2,250;q\n", &of(&["y"])).unwrap_err(), needed);
    let said = LoadOptions { decimal: Some(','), ..of(&["y"]) };
    let loaded = told("a;y\n1,500;p\n2,250;q\n", &said).unwrap();
    assert_eq!(*loaded.train.features.to_f32(), [1.5, 2.25]);
    let text = told("a,y\n1,\"1,5\"\n2,\"2,25\"\n", &of(&["y"])).unwrap_err();
    assert!(
        text.starts_with("line 2, column `y`: got `1,5`, needed a class, or a number, which"),
        "{text}"
    );
    // One point among commas: somebody has to say.
    let mixed = "a;b;y\n1,5;2.5;p\n2,25;1;q\n";
    assert!(told(mixed, &of(&["y"])).unwrap_err().contains("got `1,5`"));
    assert!(told(mixed, &said).unwrap_err().contains("got `2.5`"));
    let said = LoadOptions { separator: Some('#'), ..of(&["y"]) };
    assert_eq!(*told("a#y\n1.5#p\n2.25#q\n", &said).unwrap().train.features.to_f32(), [1.5, 2.25]);

    let said = LoadOptions { separator: Some(','), ..of(&["y"]) };
    assert_eq!(
        told("a;y\n1;p\n2;q\n", &said).unwrap_err(),
        "header: got one column, `a;y`, needed columns parted by the separator, which `;` may be"
    );
    let said = LoadOptions { decimal: Some(','), ..of(&["y"]) };
    assert!(told("a,y\n1,2\n", &said).unwrap_err().starts_with("separator: got `,`"));
    let said = LoadOptions { decimal: Some(';'), ..of(&["y"]) };
    assert!(told("a,y\n1,2\n", &said).unwrap_err().starts_with("decimal mark: got ';'"));
    let said = LoadOptions { separator: Some('é'), ..of(&["y"]) };
    assert!(told("a,y\n1,2\n", &said).unwrap_err().starts_with("separator: got 'é'"));
}

const SURVEY: &str = "id,town,age,kind,y\nn1,Oslo,31,a,1.5\nn2,Bergen,40,b,2.5\nn3,Oslo,20,a,0.5\n";

#[test]
fn columns_are_chosen_dropped_and_made_one_hot() {
    let text = "line 2, column `id`: got `n1`, needed a number; columns of text (`id`, `town`, `kind`) may \
                be dropped or one-hot";
    assert_eq!(told(SURVEY, &of(&["y"])).unwrap_err(), text);
    let options = LoadOptions { drop: all(&["id"]), one_hot: all(&["kind", "town"]), ..of(&["y"]) };
    let loaded = told(SURVEY, &options).unwrap();
    let names = ["town=Bergen", "town=Oslo", "age", "kind=a", "kind=b"];
    assert_eq!(loaded.train.feature_names, names);
    assert_eq!(loaded.preparation.names(), names);
    let rows = [0., 1., 31., 1., 0., 1., 0., 40., 0., 1., 0., 1., 20., 1., 0.];
    assert_eq!(*loaded.train.features.to_f32(), rows);
    let columns =
        LoadOptions { columns: all(&["kind", "age"]), one_hot: all(&["kind"]), ..of(&["y"]) };
    let loaded = told(SURVEY, &columns).unwrap();
    assert_eq!(loaded.train.feature_names, ["age", "kind=a", "kind=b"]);
    // Numbers may be categories, by their text.
    let text = "zip,y\n01,1.5\n2,2.5\n01,0.5\n";
    let loaded = told(text, &LoadOptions { one_hot: all(&["zip"]), ..of(&["y"]) }).unwrap();
    assert_eq!(loaded.train.feature_names, ["zip=01", "zip=2"]);

    let fails = |options: LoadOptions, expected: &str| {
        let found = told(SURVEY, &options).unwrap_err();
        assert!(found.starts_with(expected), "{found}");
    };
    let one = |name: &str| all(&[name]);
    fails(
        LoadOptions { drop: one("twn"), ..of(&["y"]) },
        "unknown column to drop `twn` (nearest: town)",
    );
    fails(
        LoadOptions { columns: one("Age"), ..of(&["y"]) },
        "unknown feature column `Age` (nearest: age)",
    );
    fails(LoadOptions { one_hot: one("x"), ..of(&["y"]) }, "unknown one-hot column `x`");
    fails(
        LoadOptions { drop: one("y"), ..of(&["y"]) },
        "column to drop: got `y`, which is a target",
    );
    fails(
        LoadOptions { columns: one("y"), ..of(&["y"]) },
        "feature column: got `y`, which is a target",
    );
    let both = LoadOptions { drop: one("town"), one_hot: one("town"), ..of(&["y"]) };
    fails(both, "one-hot column: got `town`, which is left out");
    let none = LoadOptions { drop: all(&["id", "town", "age", "kind"]), ..of(&["y"]) };
    fails(none, "columns: got no features");

    let rows: String = (0..1001).map(|row| format!("c{row},{}\n", row % 2)).collect();
    let options = LoadOptions { one_hot: one("a"), ..of(&["y"]) };
    let found = told(&format!("a,y\n{rows}"), &options).unwrap_err();
    assert_eq!(
        found,
        "line 1002, column `a`: got more than 1000 categories, needed a column of fewer; one of names or \
         identifiers may be dropped"
    );
    let files = Files::new();
    let path = files.write("t.npy", npy(&[2, 1], C, [1.0f32, 2.0]));
    let options = LoadOptions { drop: one("a"), ..of(&[path.to_str().unwrap()]) };
    let found = load(path.to_str().unwrap(), &options, 0).unwrap_err().to_string();
    assert!(found.starts_with("columns to drop: got `a`, needed none: "), "{found}");
}

#[test]
fn several_targets_are_regressed() {
    let text = "a,lat,lon\n1,2,3\n2,4,1\n3,5,7\n";
    let loaded = told(text, &of(&["lon", "lat"])).unwrap();
    assert_eq!(values(&loaded.train), [3.0, 2.0, 1.0, 4.0, 7.0, 5.0]);
    assert_eq!(loaded.preparation.predicted.columns(), ["lon", "lat"]);
    assert_eq!((loaded.task, &*loaded.reason), (Task::Regress, "there are 2 targets"));
    assert_eq!(
        told(text, &of(&["lon", "lon"])).unwrap_err(),
        "target: got `lon` twice, needed each once"
    );
    // A name of its own comes before several with commas between them.
    assert_eq!(told(text, &of(&["lon, lat"])).unwrap().train, loaded.train);
    let quoted = "a,\"b,c\",b,c\n1,2,3,4\n2,7,6,5\n";
    let names = |target: &str| {
        let loaded =
            told(quoted, &LoadOptions { task: Some(Task::Regress), ..of(&[target]) }).unwrap();
        loaded.preparation.predicted.columns().to_vec()
    };
    assert_eq!((names("b,c"), names("b, c")), (all(&["b,c"]), all(&["b", "c"])));
    assert_eq!(names("\"b,c\",c"), ["b,c", "c"]);
    let found = told("a,b,c\n1,2,x\n2,4,1\n", &of(&["b", "c"])).unwrap_err();
    assert_eq!(found, "line 2, column `c`: got `x`, needed a finite number to regress");
    let classify = LoadOptions { task: Some(Task::Classify), ..of(&["lon", "lat"]) };
    assert!(told(text, &classify).unwrap_err().starts_with("targets: got 2 columns"));
}

const GAPS: &str = "a,town,y\n1,p,1\nNA,q,2\n,p,3\n4,?,4\n6,q,null\n10,q,6\n";

#[test]
fn missing_values_are_refused_dropped_or_filled() {
    let with = |missing| LoadOptions { missing, one_hot: all(&["town"]), ..of(&["y"]) };
    assert_eq!(
        told(GAPS, &with(Missing::Refuse)).unwrap_err(),
        "line 3, column `a`: got `NA`, the first of 4 rows with missing values (`a`, `town`, `y`), needed \
         a class or a number; rows whose target is missing may be dropped"
    );
    let without_target = GAPS.replace("null", "5");
    assert_eq!(
        told(&without_target, &with(Missing::Refuse)).unwrap_err(),
        "line 3, column `a`: got `NA`, the first of 3 rows with missing values (`a`, `town`), needed a \
         value; missing ones may be dropped or filled"
    );
    let loaded = told(GAPS, &with(Missing::Drop)).unwrap();
    assert_eq!(*loaded.train.features.to_f32(), [1.0, 1.0, 0.0, 10.0, 0.0, 1.0]);
    assert_eq!(loaded.notes, ["4 of 6 rows have missing values and are left out"]);
    // A target is not made up.
    let found = told(GAPS, &with(Missing::Mean)).unwrap_err();
    assert!(found.starts_with("line 6, column `y`: got `null`"), "{found}");

    // By rows 0, 1 and 2 alone, whose `a` is 1, none and none; then by all.
    let filled = |missing, rows: &[u32]| {
        let loaded = told(&without_target, &with(missing)).unwrap();
        let (mut train, mut preparation) = (loaded.train, loaded.preparation);
        assert!(train.features.to_f32()[3].is_nan());
        preparation.fill_by(&train.select(rows)).unwrap();
        preparation.fill(&mut train).unwrap();
        let Encoding::Number { fill } = preparation.features[0].encoding else { panic!() };
        let rows = train.features.to_f32();
        assert_eq!(rows[3..6], [fill.unwrap() as f32, 0.0, 1.0]);
        // A missing category is none of them.
        assert_eq!(rows[9..12], [4.0, 0.0, 0.0]);
        fill.unwrap()
    };
    let all_rows = [0, 1, 2, 3, 4, 5];
    assert_eq!([filled(Missing::Mean, &[0, 1, 2]), filled(Missing::Mean, &all_rows)], [1.0, 5.25]);
    assert_eq!(
        [filled(Missing::Median, &[0, 3, 4]), filled(Missing::Median, &all_rows)],
        [4.0, 5.0]
    );
    assert_eq!(filled(Missing::Zero, &[0, 1, 2]), 0.0);
    let loaded = told(&without_target, &with(Missing::Mean)).unwrap();
    let found = loaded.preparation.clone().fill_by(&loaded.train.select(&[1, 2])).unwrap_err();
    assert!(found.to_string().contains("column `a`: got none, needed a value"), "{found}");
    // What is not filled does not train.
    let mlp = Mlp::new([3, 4, 1]).unwrap();
    let options = TrainOptions { batch: None, ..TrainOptions::default() };
    let error = Trainer::new(&Device::Cpu, &mlp, &options, &loaded.train, None).err().unwrap();
    assert!(error.to_string().contains("column `a`: got NaN"), "{error}");

    let found = told("a,y\n,1\nNA,2\n", &LoadOptions { missing: Missing::Drop, ..of(&["y"]) });
    assert!(found.unwrap_err().starts_with("rows: got a missing value in all 2"));
}

#[test]
fn missing_values_of_arrays_are_too() {
    let files = Files::new();
    let x = files.write("x.npy", npy(&[4, 2], C, [1.0f64, 2.0, f64::NAN, 3.0, 5.0, 6.0, 7.0, 8.0]));
    let y = files.write("y.npy", npy(&[4], C, [0.5f32, 1.0, 1.5, 2.0]));
    let with = |missing| {
        let options = LoadOptions { missing, ..of(&[y.to_str().unwrap()]) };
        load(x.to_str().unwrap(), &options, 0)
    };
    let found = with(Missing::Refuse).unwrap_err().to_string();
    assert!(found.contains("row 1 (the first is 0), column `x0`: got NaN"), "{found}");
    let loaded = with(Missing::Drop).unwrap();
    assert_eq!((loaded.train.rows(), values(&loaded.train)), (3, vec![0.5, 1.5, 2.0]));
    assert_eq!(loaded.notes, ["1 of 4 rows of x have missing values and are left out"]);
    let Loaded { mut train, mut preparation, .. } = with(Missing::Median).unwrap();
    preparation.fill_by(&train).unwrap();
    preparation.fill(&mut train).unwrap();
    assert_eq!(train.features.to_f32()[2], 5.0);
}

/// The rows of another file, for what was learnt of the first.
#[test]
fn rows_are_found_by_the_names_of_columns() {
    let options = LoadOptions { drop: all(&["id"]), one_hot: all(&["kind", "town"]), ..of(&["y"]) };
    let preparation = told(SURVEY, &options).unwrap().preparation;
    let files = Files::new();
    let options = RowsOptions { keep: all(&["id"]), ..RowsOptions::default() };
    let read = |text: &str, options: &RowsOptions| {
        let path = files.write("new.csv", text);
        rows(path.to_str().unwrap(), &preparation, options, 0)
            .map_err(|error| message_of(&path, error))
    };
    let text = "kind;more;age;id;town\nb;?;30,5;x;Oslo\na;?;20;y;Bergen\n";
    let found = read(text, &options).unwrap();
    assert_eq!(*found.features.to_f32(), [0., 1., 30.5, 0., 1., 1., 0., 20., 1., 0.]);
    assert_eq!((found.targets, found.kept), (None, vec![("id".into(), all(&["x", "y"]))]));
    let text = "y,kind,age,town\n2.5,b,30,Oslo\n1.5,a,20,Bergen\n";
    let found = read(text, &RowsOptions::default()).unwrap();
    let Some(Targets::Values { values, .. }) = found.targets else { panic!() };
    assert_eq!(*values.to_f32(), [2.5, 1.5]);
    let none = RowsOptions { without_targets: true, ..RowsOptions::default() };
    assert_eq!(read(text, &none).unwrap().targets, None);
    let found = read("y,kind,age,town\n,b,30,Oslo\n1.5,a,20,Bergen\n", &none).unwrap();
    assert_eq!(found.features.len(), 10);
    let found = read("y,kind,age,town\n,b,30,Oslo\n1.5,a,20,Bergen\n", &RowsOptions::default());
    assert_eq!(found.unwrap().notes, ["`y` is missing in 1 row: no score"]);

    let fails =
        |text: &str, expected: &str| assert_eq!(read(text, &options).unwrap_err(), expected);
    fails(
        "kind,age,id\nb,30,x\n",
        "column `town`: got none; there are `kind`, `age`, `id`, needed `town`, which the model was \
         trained with",
    );
    fails(
        "kind,age,id,town\nb,30,x,Oslo\nb,30,x,Paris\n",
        "line 3, column `town`: got `Paris`, needed a category that the model knows: `Bergen`, `Oslo`",
    );
    fails(
        "kind,age,id,town\nb,old,x,Oslo\n",
        "line 2, column `age`: got `old`, needed a number, as the model was trained with",
    );
    fails(
        "kind,age,id,town\nb,NA,x,Oslo\n",
        "line 2, column `age`: got `NA`, needed a value: the model was trained without missing ones, and \
         has nothing for them",
    );
    fails("kind,age,id,town\n", "rows: got 0, needed at least one, below the header");
    fails(
        "kind,age,town\nb,30,Oslo\n",
        "unknown column to keep `id` (nearest: kind); known: kind, age, town",
    );
}
