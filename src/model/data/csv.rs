//! Tables of text with a header: CSV, with the separators and decimal marks that people use.

use std::collections::HashMap;
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use crate::{Error, Result, counted};

use super::column::{Column, Meaning};
use super::load::{name_of, read, wrong};
use super::numbers::Exact;
use super::{
    Dataset, Encoding, Feature, LoadOptions, Loaded, Missing, Numbers, Predicted, Preparation,
    Rows, RowsOptions, Standardizer, Targets, Task,
};

/// What parts cells, likelier ones first, and what it is called.
const SEPARATORS: [(u8, &str); 4] = [(b',', "`,`"), (b';', "`;`"), (b'\t', "tabs"), (b'|', "`|`")];

/// Records that the separator is looked for in.
const SNIFFED: usize = 50;

/// What people and programs write for a value that is missing.
pub(super) const GAPS: [&str; 10] =
    ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "?"];

/// A column of more categories is a name or an identifier, from which nothing is learnt.
const MOST_CATEGORIES: usize = 1000;

/// Names that a message lists.
const LISTED: usize = 8;

pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    // All of it at once: what is wrong is told with its line, and lines are counted in the bytes.
    let bytes = read(path)?;
    let table = Table::new(path, &bytes, options.separator, options.decimal)?;
    let targets = table.targets(&options.targets)?;
    let roles = table.roles(&targets, options)?;
    let of_features = match options.missing {
        Missing::Refuse => Gap::Refused,
        Missing::Drop => Gap::Dropped,
        _ => Gap::Kept,
    };
    let of_targets = if options.missing == Missing::Drop { Gap::Dropped } else { Gap::Refused };
    let body = table.body(&roles, &[], None, [of_features, of_targets])?;
    let mut notes = table.notes();
    if body.dropped > 0 {
        let all = body.dropped + body.lines.len();
        if body.lines.is_empty() {
            let needed = "a row without: a column dropped, or missing values filled";
            return Err(wrong(path, "rows", format!("a missing value in all {all}"), needed));
        }
        notes.push(format!("{} of {all} rows have missing values and are left out", body.dropped));
    }

    let names: Vec<String> = targets.iter().map(|&column| table.name(column)).collect();
    let place = |error: Error| error.at(path.display());
    let (targets, meaning) = table.settle(body.targets, &body.lines, &names, options.task)?;
    let columns = roles.iter().enumerate().filter_map(|(column, role)| match role {
        Role::Number => Some((column, None)),
        Role::Category(place) => Some((column, Some(*place))),
        Role::Left | Role::Target(_) => None,
    });
    let mut categories = body.categories;
    let features: Vec<Feature> = columns
        .map(|(column, place)| {
            let encoding = match place {
                None => Encoding::Number { fill: None },
                Some(place) => {
                    OneHotOrder::sort(&mut categories[place]);
                    Encoding::OneHot { categories: categories[place].sorted.clone() }
                }
            };
            Feature { name: table.name(column), encoding }
        })
        .collect();
    let orders: Vec<Option<&OneHotOrder>> = roles
        .iter()
        .filter_map(|role| match role {
            Role::Number => Some(None),
            Role::Category(place) => Some(Some(&categories[*place])),
            Role::Left | Role::Target(_) => None,
        })
        .collect();
    let preparation = Preparation {
        features,
        missing: options.missing,
        predicted: Predicted::of(&targets, &names[0]),
        standardizer: Standardizer::default(),
    };
    let train = Dataset {
        name: name_of(path),
        features: expanded(body.features, &orders),
        feature_names: preparation.names(),
        targets,
    };
    let train = train.checked(options.missing).and_then(Dataset::varied).map_err(place)?;
    let Meaning { task, reason } = meaning;
    Ok(Loaded { train, test: None, task, reason, preparation, notes })
}

/// The rows of a table, by the columns of a preparation.
pub(super) fn rows(path: &Path, by: &Preparation, options: &RowsOptions) -> Result<Rows> {
    let bytes = read(path)?;
    let table = Table::new(path, &bytes, options.separator, options.decimal)?;
    table.check_header()?;
    let names: Vec<String> = (0..table.header.len()).map(|column| table.name(column)).collect();
    let mut roles = vec![Role::Left; names.len()];
    let mut order = Vec::new();
    let mut known: Vec<&[String]> = Vec::new();
    let mut lacking = Vec::new();
    for feature in &by.features {
        let free = |column: &usize| matches!(roles[*column], Role::Left);
        let found = (0..names.len()).filter(free).find(|column| names[*column] == feature.name);
        let Some(column) = found else {
            lacking.push(feature.name.clone());
            continue;
        };
        roles[column] = match &feature.encoding {
            Encoding::Number { .. } => Role::Number,
            Encoding::OneHot { categories } => {
                known.push(categories);
                Role::Category(known.len() - 1)
            }
        };
        order.push(column);
    }
    if let Some(first) = lacking.first() {
        let what = format!("column {}", listed(&lacking));
        let needed = match lacking.len() {
            1 => format!("`{first}`, which the model was trained with"),
            _ => "each of these, which the model was trained with".into(),
        };
        return Err(wrong(path, what, format!("none; there are {}", listed(&names)), needed));
    }
    let wanted = by.predicted.columns();
    let targets: Option<Vec<usize>> =
        wanted.iter().map(|name| names.iter().position(|own| own == name)).collect();
    // A column that is a feature is none to predict.
    let targets = targets.filter(|targets| {
        !options.without_targets && targets.iter().all(|at| matches!(roles[*at], Role::Left))
    });
    for (place, &column) in targets.iter().flatten().enumerate() {
        roles[column] = Role::Target(place);
    }
    let keep = table.several(&options.keep);
    let keep = keep.iter().map(|name| table.find("column to keep", name));
    let keep = keep.collect::<Result<Vec<Vec<usize>>>>()?.concat();
    let gaps = if by.missing.fills() { Gap::Kept } else { Gap::Refused };
    let body = table.body(&roles, &keep, Some(&known), [gaps, Gap::Kept])?;
    if body.lines.is_empty() {
        return Err(wrong(path, "rows", 0, "at least one, below the header"));
    }
    let orders: Vec<OneHotOrder> = known.iter().map(|own| OneHotOrder::fixed(own)).collect();
    // As the file has the columns, and then as the model has them.
    let mut used: Vec<usize> = order.clone();
    used.sort_unstable();
    let own = used.iter().map(|&column| match roles[column] {
        Role::Category(place) => Some(&orders[place]),
        _ => None,
    });
    let own: Vec<Option<&OneHotOrder>> = own.collect();
    let places = order.iter().map(|column| used.iter().position(|own| own == column));
    let places: Vec<usize> = places.flatten().collect();
    let mut notes = table.notes();
    let targets = match targets {
        Some(_) if body.gaps_in_targets > 0 => {
            let gaps = body.gaps_in_targets;
            notes.push(format!(
                "{} is missing in {}: no score",
                listed(wanted),
                counted(gaps, "row")
            ));
            None
        }
        Some(_) => Some(table.settle_as(body.targets, &body.lines, &by.predicted)?),
        None => None,
    };
    let reordered = rearranged(&body.features, &places);
    let orders: Vec<Option<&OneHotOrder>> = places.iter().map(|&place| own[place]).collect();
    Ok(Rows {
        name: name_of(path),
        features: expanded(reordered, &orders),
        targets,
        kept: keep.iter().map(|&column| table.name(column)).zip(body.kept).collect(),
        notes,
    })
}

/// What a column is to a reader.
#[derive(Clone, Copy)]
enum Role {
    Left,
    Number,
    /// Which of the columns of categories.
    Category(usize),
    /// Which of the targets.
    Target(usize),
}

/// What becomes of a missing value.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    Refused,
    Dropped,
    Kept,
}

/// The categories of a column, as they came and as they are counted.
#[derive(Default)]
struct OneHotOrder {
    index: HashMap<String, usize>,
    sorted: Vec<String>,
    /// For each as it came, its place among the sorted ones.
    places: Vec<usize>,
}

impl OneHotOrder {
    /// Those of a model, which have come in their order.
    fn fixed(categories: &[String]) -> OneHotOrder {
        OneHotOrder {
            index: categories.iter().cloned().zip(0..).collect(),
            sorted: categories.to_vec(),
            places: (0..categories.len()).collect(),
        }
    }

    fn sort(&mut self) {
        self.sorted = self.index.keys().cloned().collect();
        self.sorted.sort_unstable();
        self.places = vec![0; self.sorted.len()];
        for (place, name) in self.sorted.iter().enumerate() {
            self.places[self.index[name]] = place;
        }
    }
}

/// What a pass over the rows comes to.
struct Body {
    /// Row by row; of a category its index, as they came; NaN where one is missing.
    features: Numbers,
    categories: Vec<OneHotOrder>,
    targets: Vec<Vec<String>>,
    kept: Vec<Vec<String>>,
    /// Where the rows are.
    lines: Vec<u64>,
    dropped: usize,
    gaps_in_targets: usize,
}

/// Numbers with ones and zeros in place of the indices of categories.
fn expanded(rows: Numbers, orders: &[Option<&OneHotOrder>]) -> Numbers {
    if orders.iter().all(Option::is_none) {
        return rows;
    }
    let cells = rows.iter().zip(orders.iter().cycle());
    let mut all = Numbers::from_iter([]);
    for (number, order) in cells {
        let Some(order) = order else {
            all.push(number);
            continue;
        };
        let own = number.nearest();
        let place = if own.is_nan() { None } else { order.places.get(own as usize).copied() };
        for at in 0..order.sorted.len() {
            let number = match place {
                Some(place) => f64::from(u8::from(at == place)),
                None => f64::NAN,
            };
            all.push(number.into());
        }
    }
    all
}

/// Rows whose columns are these of the given ones.
fn rearranged(rows: &Numbers, places: &[usize]) -> Numbers {
    let columns = places.len();
    let count = rows.len().checked_div(columns).unwrap_or(0);
    let cells = (0..count).flat_map(|row| places.iter().map(move |place| row * columns + place));
    cells.filter_map(|at| rows.get(at)).collect()
}

/// A file's name for people, and its bytes to count lines in.
struct Table<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    header: StringRecord,
    separator: u8,
    /// Whether numbers have a decimal comma.
    comma: bool,
    /// Whether that was seen, and not said.
    seen: bool,
}

impl<'a> Table<'a> {
    fn new(
        path: &'a Path,
        bytes: &'a [u8],
        separator: Option<char>,
        decimal: Option<char>,
    ) -> Result<Self> {
        let given = separator.map(|own| match u8::try_from(own) {
            Ok(byte) if byte.is_ascii() && !b"\"\r\n".contains(&byte) => Ok(byte),
            _ => Err(Error::invalid("separator", format!("{own:?}"), "one ASCII character")),
        });
        let given = given.transpose()?;
        let separator = given.unwrap_or_else(|| sniffed(bytes));
        match decimal {
            None | Some('.') => {}
            Some(',') if separator != b',' => {}
            Some(',') => {
                let needed = "another one than that of decimals";
                return Err(wrong(path, "separator", "`,`", needed));
            }
            Some(other) => {
                return Err(Error::invalid("decimal mark", format!("{other:?}"), "`.` or `,`"));
            }
        }
        let header = StringRecord::new();
        let mut table = Table { path, bytes, header, separator, comma: false, seen: false };
        let mut reader = table.reader();
        table.header = reader.headers().map_err(|error| table.unreadable(&error))?.clone();
        table.comma = match decimal {
            Some(mark) => mark == ',',
            None => separator != b',' && table.has_decimal_commas(reader),
        };
        table.seen = (given.is_none() && separator != b',') || (decimal.is_none() && table.comma);
        Ok(table)
    }

    fn reader(&self) -> Reader<&'a [u8]> {
        // Rows are compared with the header here, so that the error can say more.
        let mut builder = ReaderBuilder::new();
        builder.flexible(true).trim(Trim::All).delimiter(self.separator).from_reader(self.bytes)
    }

    /// Whether numbers have a decimal comma: one has that cannot be thousands, and none has a point.
    fn has_decimal_commas(&self, mut reader: Reader<&[u8]>) -> bool {
        let mut found = false;
        let mut record = StringRecord::new();
        while let Ok(true) = reader.read_record(&mut record) {
            for cell in &record {
                if cell.contains('.') && cell.parse::<f64>().is_ok() {
                    return false;
                }
                found |= !is_thousands(cell) && with_comma(cell).is_some();
            }
        }
        found
    }

    /// What was seen of how the file is written, and is not what goes without saying.
    fn notes(&self) -> Vec<String> {
        let called = SEPARATORS.iter().find(|(own, _)| *own == self.separator);
        let parted = called.map_or("another separator", |(_, called)| *called);
        let commas = if self.comma { "decimal commas" } else { "decimal points" };
        match self.seen {
            true => vec![format!("cells are parted by {parted}, numbers have {commas}")],
            false => Vec::new(),
        }
    }

    fn name(&self, column: usize) -> String {
        match self.header.get(column) {
            Some(name) if !name.is_empty() => name.into(),
            _ => format!("column {}", column + 1),
        }
    }

    fn names(&self) -> Vec<String> {
        (0..self.header.len()).map(|column| self.name(column)).collect()
    }

    fn check_header(&self) -> Result<()> {
        let header = &self.header;
        let needed = "a first line of column names";
        if header.iter().all(|name| name.is_empty()) {
            return Err(wrong(self.path, "header", "nothing", needed));
        }
        if header.iter().all(|name| self.number(name).is_some()) {
            let given = format!("only numbers, {}", self.names().join(", "));
            return Err(wrong(self.path, "header", given, needed));
        }
        // Where the separator was not given, a likelier one would have been taken.
        let other = SEPARATORS.iter().find(|(own, _)| self.names()[0].contains(char::from(*own)));
        if let (1, Some((_, called))) = (header.len(), other) {
            let given = format!("one column, `{}`", self.name(0));
            let needed = format!("columns parted by the separator, which {called} may be");
            return Err(wrong(self.path, "header", given, needed));
        }
        Ok(())
    }

    /// The columns of a name.
    fn find(&self, kind: &'static str, name: &str) -> Result<Vec<usize>> {
        let found: Vec<usize> =
            (0..self.header.len()).filter(|&column| self.name(column) == name).collect();
        match found.is_empty() {
            true => Err(Error::unknown(kind, name, self.names())),
            false => Ok(found),
        }
    }

    /// Names, each of a column, or several with commas between them, quoted as in CSV.
    fn several(&self, given: &[String]) -> Vec<String> {
        let columns = self.names();
        let of = |name: &String| -> Vec<String> {
            let mut builder = ReaderBuilder::new();
            let builder = builder.has_headers(false).trim(Trim::All);
            let record = builder.from_reader(name.as_bytes()).into_records().next();
            match record {
                Some(Ok(parts)) if !columns.contains(name) => {
                    parts.iter().map(str::to_owned).collect()
                }
                _ => vec![name.clone()],
            }
        };
        given.iter().flat_map(of).collect()
    }

    /// The indices of the targets among the columns.
    fn targets(&self, names: &[String]) -> Result<Vec<usize>> {
        self.check_header()?;
        let names = &self.several(names);
        if names.is_empty() {
            let needed = format!("one of the columns: {}", self.names().join(", "));
            return Err(wrong(self.path, "target", "none", needed));
        }
        let mut targets = Vec::new();
        for name in names {
            let [column] = self.find("target column", name)?[..] else {
                let needed = "the name of one column, which two have";
                return Err(wrong(self.path, "target", format!("`{name}`"), needed));
            };
            if targets.contains(&column) {
                return Err(wrong(self.path, "target", format!("`{name}` twice"), "each once"));
            }
            targets.push(column);
        }
        Ok(targets)
    }

    fn roles(&self, targets: &[usize], options: &LoadOptions) -> Result<Vec<Role>> {
        let mut roles = vec![Role::Number; self.header.len()];
        let of_target = |what: &str, name: &str| {
            let given = format!("`{name}`, which is a target");
            Err(wrong(self.path, what, given, "a column of features"))
        };
        if !options.columns.is_empty() {
            roles.fill(Role::Left);
            for name in &self.several(&options.columns) {
                for column in self.find("feature column", name)? {
                    if targets.contains(&column) {
                        return of_target("feature column", name);
                    }
                    roles[column] = Role::Number;
                }
            }
        }
        for name in &self.several(&options.drop) {
            for column in self.find("column to drop", name)? {
                if targets.contains(&column) {
                    return of_target("column to drop", name);
                }
                roles[column] = Role::Left;
            }
        }
        let mut categories = 0;
        for name in &self.several(&options.one_hot) {
            for column in self.find("one-hot column", name)? {
                if targets.contains(&column) {
                    return of_target("one-hot column", name);
                }
                if let Role::Left = roles[column] {
                    let given = format!("`{name}`, which is left out");
                    return Err(wrong(self.path, "one-hot column", given, "a column of features"));
                }
                if let Role::Number = roles[column] {
                    roles[column] = Role::Category(categories);
                    categories += 1;
                }
            }
        }
        for (place, &column) in targets.iter().enumerate() {
            roles[column] = Role::Target(place);
        }
        if roles.iter().all(|role| matches!(role, Role::Left | Role::Target(_))) {
            let needed = "a column of features besides the target";
            return Err(wrong(self.path, "columns", "no features", needed));
        }
        Ok(roles)
    }

    /// A number, with the decimal mark of the file.
    fn number(&self, cell: &str) -> Option<Exact> {
        if self.comma { with_comma(cell) } else { Exact::parse(cell) }
    }

    /// All rows. `known` are the categories of each column of them, where they are settled; `gaps` say
    /// what becomes of missing values, of features and of targets.
    fn body(
        &self,
        roles: &[Role],
        keep: &[usize],
        known: Option<&[&[String]]>,
        gaps: [Gap; 2],
    ) -> Result<Body> {
        let count = |of: fn(&Role) -> bool| roles.iter().filter(|role| of(role)).count();
        let kinds = count(|role| matches!(role, Role::Category(_)));
        let mut body = Body {
            features: Numbers::from_iter([]),
            categories: match known {
                Some(known) => known.iter().map(|own| OneHotOrder::fixed(own)).collect(),
                None => (0..kinds).map(|_| OneHotOrder::default()).collect(),
            },
            targets: vec![Vec::new(); count(|role| matches!(role, Role::Target(_)))],
            kept: vec![Vec::new(); keep.len()],
            lines: Vec::new(),
            dropped: 0,
            gaps_in_targets: 0,
        };
        let mut wrongs = Wrongs::default();
        let mut reader = self.reader();
        let mut record = StringRecord::new();
        let mut features = Vec::new();
        while reader.read_record(&mut record).map_err(|error| self.unreadable(&error))? {
            let at = record.position().map_or(0, csv::Position::byte);
            if record.len() != self.header.len() {
                let needed = format!("{}, as in the header", self.header.len());
                return Err(self.wrong(at, "cells", record.len(), needed));
            }
            features.clear();
            let (mut drop, mut refused, mut gap_in_target) = (false, false, false);
            for (column, (cell, role)) in record.iter().zip(roles).enumerate() {
                let of_target = matches!(role, Role::Target(_));
                if !matches!(role, Role::Left) && GAPS.contains(&cell) {
                    match gaps[usize::from(of_target)] {
                        Gap::Dropped => drop = true,
                        Gap::Kept => {}
                        Gap::Refused => {
                            wrongs.gap(at, column, cell, !refused);
                            refused = true;
                        }
                    }
                    gap_in_target |= of_target;
                    if !of_target {
                        features.push(f64::NAN.into());
                    }
                    continue;
                }
                match role {
                    Role::Left | Role::Target(_) => {}
                    Role::Number => match self.number(cell) {
                        Some(number) if number.nearest().is_finite() => features.push(number),
                        Some(_) => {
                            let what = format!("column `{}`", self.name(column));
                            return Err(self.wrong(at, &what, format!("`{cell}`"), "a finite f64"));
                        }
                        None => {
                            wrongs.text(at, column, cell);
                            features.push(0.0.into());
                        }
                    },
                    Role::Category(place) => {
                        let index = &mut body.categories[*place].index;
                        let next = index.len();
                        let own = match index.get(cell) {
                            Some(own) => *own,
                            None if known.is_some() || next >= MOST_CATEGORIES => {
                                return Err(self.no_category(at, column, cell, known, *place));
                            }
                            None => {
                                index.insert(cell.into(), next);
                                next
                            }
                        };
                        features.push((own as f64).into());
                    }
                }
            }
            if drop {
                body.dropped += 1;
                continue;
            }
            body.gaps_in_targets += usize::from(gap_in_target);
            features.iter().for_each(|number| body.features.push(*number));
            for (cell, role) in record.iter().zip(roles) {
                if let Role::Target(place) = role {
                    body.targets[*place].push(cell.into());
                }
            }
            for (kept, &column) in body.kept.iter_mut().zip(keep) {
                kept.push(record.get(column).unwrap_or_default().into());
            }
            body.lines.push(at);
        }
        match self.told(&wrongs, roles, known.is_some()) {
            Some(error) => Err(error),
            None => Ok(body),
        }
    }

    fn no_category(
        &self,
        at: u64,
        column: usize,
        cell: &str,
        known: Option<&[&[String]]>,
        place: usize,
    ) -> Error {
        let what = format!("column `{}`", self.name(column));
        match known {
            Some(known) => {
                let needed = format!("a category that the model knows: {}", listed(known[place]));
                self.wrong(at, &what, format!("`{cell}`"), needed)
            }
            None => {
                let given = format!("more than {MOST_CATEGORIES} categories");
                let needed = "a column of fewer; one of names or identifiers may be dropped";
                self.wrong(at, &what, given, needed)
            }
        }
    }

    /// The error of text where numbers should be, else of missing values; none where there are neither.
    fn told(&self, wrongs: &Wrongs, roles: &[Role], trained: bool) -> Option<Error> {
        let names = |columns: &[usize]| -> String {
            listed(&columns.iter().map(|&column| self.name(column)).collect::<Vec<_>>())
        };
        if let Some((at, column, cell)) = &wrongs.text {
            let commas = !self.comma && (is_thousands(cell) || with_comma(cell).is_some());
            let needed = match (trained, commas) {
                (_, true) if self.separator == b',' && is_thousands(cell) => THOUSANDS.into(),
                (_, true) => "a number, which it is with a decimal comma".into(),
                (true, _) => "a number, as the model was trained with".into(),
                (false, _) => format!(
                    "a number; columns of text ({}) may be dropped or one-hot",
                    names(&wrongs.texts)
                ),
            };
            let what = format!("column `{}`", self.name(*column));
            return Some(self.wrong(*at, &what, format!("`{cell}`"), needed));
        }
        let (at, column, cell) = wrongs.gap.as_ref()?;
        let own = match &**cell {
            "" => "an empty cell".into(),
            cell => format!("`{cell}`"),
        };
        let given = match wrongs.rows {
            1 => own,
            rows => format!(
                "{own}, the first of {rows} rows with missing values ({})",
                names(&wrongs.columns)
            ),
        };
        let target = |column: &usize| matches!(roles[*column], Role::Target(_));
        let needed = match trained {
            true => "a value: the model was trained without missing ones, and has nothing for them",
            false if wrongs.columns.iter().any(target) => {
                "a class or a number; rows whose target is missing may be dropped"
            }
            false => "a value; missing ones may be dropped or filled",
        };
        let what = format!("column `{}`", self.name(*column));
        Some(self.wrong(*at, &what, given, needed))
    }

    /// The targets of a training set, and what they mean.
    fn settle(
        &self,
        mut cells: Vec<Vec<String>>,
        lines: &[u64],
        names: &[String],
        task: Option<Task>,
    ) -> Result<(Targets, Meaning)> {
        let place = |error: Error| error.at(self.path.display());
        if let [name] = names {
            let column = self.column(cells.swap_remove(0), lines, name)?;
            let meaning = column.meaning(name, task);
            let targets = column.targets(name, meaning.task).map_err(place)?;
            return Ok((targets, meaning));
        }
        if task == Some(Task::Classify) {
            let given = format!("{} columns", names.len());
            return Err(wrong(self.path, "targets", given, "one column of classes"));
        }
        let reason = format!("there are {} targets", names.len());
        let values = self.values(&cells, lines, names)?;
        let targets = Targets::Values { values, names: names.to_vec() };
        Ok((targets, Meaning { task: Task::Regress, reason }))
    }

    /// The targets in the classes or columns of a model.
    fn settle_as(
        &self,
        mut cells: Vec<Vec<String>>,
        lines: &[u64],
        predicted: &Predicted,
    ) -> Result<Targets> {
        match predicted {
            Predicted::Class { name, classes } => {
                let column = self.column(cells.swap_remove(0), lines, name)?;
                let targets = column.targets_as(classes.clone(), name, Task::Classify);
                targets.map_err(|error| error.at(self.path.display()))
            }
            Predicted::Values(names) => {
                let values = self.values(&cells, lines, names)?;
                Ok(Targets::Values { values, names: names.clone() })
            }
        }
    }

    /// Several columns of numbers, row by row.
    fn values(&self, cells: &[Vec<String>], lines: &[u64], names: &[String]) -> Result<Numbers> {
        let mut values = Numbers::from_iter([]);
        for (row, &at) in lines.iter().enumerate() {
            for (column, name) in cells.iter().zip(names) {
                match self.number(&column[row]) {
                    Some(number) if number.nearest().is_finite() => values.push(number),
                    _ => {
                        let (what, given) = (format!("column `{name}`"), &column[row]);
                        let needed = "a finite number to regress";
                        return Err(self.wrong(at, &what, format!("`{given}`"), needed));
                    }
                }
            }
        }
        Ok(values)
    }

    /// Numbers where every cell is one, text otherwise.
    fn column(&self, cells: Vec<String>, lines: &[u64], name: &str) -> Result<Column> {
        let numbers: Option<Numbers> = cells.iter().map(|cell| self.number(cell)).collect();
        let Some(numbers) = numbers else {
            // Numbers with another decimal mark are no classes.
            if cells.iter().all(|cell| with_comma(cell).is_some()) {
                let (at, cell) = (lines.first().copied().unwrap_or(0), &cells[0]);
                let thousands = self.separator == b',' && cells.iter().all(|own| is_thousands(own));
                let needed = match thousands {
                    true => THOUSANDS,
                    false => "a class, or a number, which it is with a decimal comma",
                };
                return Err(self.wrong(
                    at,
                    &format!("column `{name}`"),
                    format!("`{cell}`"),
                    needed,
                ));
            }
            return Ok(Column::Text(cells));
        };
        let line = numbers.iter().zip(lines).find(|(number, _)| !number.nearest().is_finite());
        match line {
            None => Ok(Column::Numbers(numbers)),
            Some((number, &at)) => {
                Err(self.wrong(at, &format!("column `{name}`"), number, "a finite f64"))
            }
        }
    }

    /// An error about the record that starts at byte `at`.
    fn wrong(
        &self,
        at: u64,
        what: &str,
        given: impl std::fmt::Display,
        needed: impl Into<String>,
    ) -> Error {
        let what = format!("line {}, {what}", self.line(at));
        wrong(self.path, what, given, needed)
    }

    fn unreadable(&self, error: &csv::Error) -> Error {
        let line = error.position().map_or(1, |position| self.line(position.byte()));
        let given = match error.kind() {
            csv::ErrorKind::Utf8 { .. } => "bytes that are not UTF-8".into(),
            _ => error.to_string(),
        };
        wrong(self.path, format!("line {line}"), given, "CSV in UTF-8")
    }

    /// The line of the record at byte `at`. The reader's own count is of where it stopped before,
    /// which blank lines and the second half of a CRLF still follow.
    fn line(&self, at: u64) -> usize {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let (before, rest) = self.bytes.split_at(at);
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let newlines = before.iter().chain(blank).filter(|&&byte| byte == b'\n').count();
        newlines + 1
    }
}

/// What is wrong with cells, gathered so that one message names all columns that it is about.
#[derive(Default)]
struct Wrongs {
    /// The first text where a number should be, and every column that has some.
    text: Option<(u64, usize, String)>,
    texts: Vec<usize>,
    /// The first missing value, the rows that have one, and the columns.
    gap: Option<(u64, usize, String)>,
    rows: usize,
    columns: Vec<usize>,
}

impl Wrongs {
    fn text(&mut self, at: u64, column: usize, cell: &str) {
        self.text.get_or_insert_with(|| (at, column, cell.into()));
        if !self.texts.contains(&column) {
            self.texts.push(column);
        }
    }

    fn gap(&mut self, at: u64, column: usize, cell: &str, is_first_of_row: bool) {
        self.gap.get_or_insert_with(|| (at, column, cell.into()));
        self.rows += usize::from(is_first_of_row);
        if !self.columns.contains(&column) {
            self.columns.push(column);
        }
    }
}

/// The separator that makes more than one column of the header, then as many in every row, then most.
fn sniffed(bytes: &[u8]) -> u8 {
    let judged = |separator: &u8| {
        let mut builder = ReaderBuilder::new();
        builder.flexible(true).has_headers(false).delimiter(*separator);
        let mut reader = builder.from_reader(bytes);
        let records = reader.byte_records().map_while(|record| record.ok()).take(SNIFFED);
        let lengths: Vec<usize> = records.map(|record| record.len()).collect();
        let first = lengths.first().copied().unwrap_or(0);
        (first > 1, lengths.iter().all(|own| *own == first), first)
    };
    // Of equals the last is taken.
    let likeliest = SEPARATORS.iter().rev().map(|(own, _)| *own).max_by_key(judged);
    likeliest.unwrap_or(b',')
}

/// A number with a decimal comma, or an integer; none with a point.
fn with_comma(cell: &str) -> Option<Exact> {
    match cell.contains('.') {
        true => None,
        false => Exact::parse(&cell.replacen(',', ".", 1)),
    }
}

/// What is to be done where commas part cells, and a cell in quotes has some.
const THOUSANDS: &str = "a number, without commas between its thousands";

/// Whether a comma may part thousands: `1,234`.
fn is_thousands(cell: &str) -> bool {
    let mut groups = cell.trim_start_matches(['+', '-']).split(',');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().unwrap_or_default();
    let mut rest = groups.peekable();
    rest.peek().is_some()
        && (1..=3).contains(&first.len())
        && digits(first)
        && !first.starts_with('0')
        && rest.all(|group| group.len() == 3 && digits(group))
}

/// Names for a message: `a`, `b` and 3 more.
fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> =
        names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    if names.len() > LISTED {
        shown.push(format!("{} more", names.len() - LISTED));
    }
    shown.join(", ")
}
