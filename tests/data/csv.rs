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
    let needed = "needed a number: every column but the target is a numeric feature";
    assert_mistake("a,y\n1,2\nred,4\n", &format!("line 3, column `a`: got `red`, {needed}"));
    // CRLF, blank lines, and a cell of two lines in between.
    assert_mistake(
        "a,y\r\n1,2\r\n\r\n\r\n3,\"p\r\nq\"\r\n\r\nred,4\r\n",
        &format!("line 8, column `a`: got `red`, {needed}"),
    );
    assert_mistake(
        "a,,y\n1,2,2\n3,,4\n",
        "line 3, column `column 2`: got an empty cell, needed a finite f64",
    );
    assert_mistake("a,y\n1,2\nNaN,4\n", "line 3, column `a`: got `NaN`, needed a finite f64");
    assert_mistake("a,y\n1,2\n1e309,4\n", "line 3, column `a`: got `1e309`, needed a finite f64");
    assert_mistake(
        "a,y\n1,\n",
        "line 2, column `y`: got an empty cell, needed a class or a number",
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
        "columns: got 1, needed a column of features besides the target (cells are parted by ,)",
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
