//! `fanin predict`: what a trained network says of rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use fanin::model::data::{Dataset, Predicted, Preparation, Rows, RowsOptions, rows};
use fanin::model::{Model, Predictions, Predictor, Score};
use fanin::{Error, Result, counted, file};
use serde_json::{Value, json};

use super::columns::parse_separator;
use super::table::short;
use super::train::{load_part, quality};
use super::{DeviceArgs, note, print, print_json, put};

/// In 80 columns.
const HELP: &str = "\
Examples:
  fanin train --data houses.csv --target price --out houses.safetensors
  fanin predict houses.safetensors --data new.csv --keep id > prices.csv
  fanin predict houses.safetensors --data houses.csv --part test --format json
  fanin predict mnist.safetensors --data t10k-images-idx3-ubyte --out digits.npy

The rows come in their order. Columns of a CSV file are found by their names;
others beside them are left out, and what was to be predicted, where it is
there, makes a score on stderr. Of classes each row has the one whose output is
the largest and the probability of each, of values what the network gives in the
units of the data. NPY has the probabilities or values alone, as float64.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct PredictArgs {
    /// A file that `fanin train --out` wrote
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// The rows: a file, a folder or a generated set, as `fanin train` takes them, with or without what
    /// is to be predicted
    #[arg(long, value_name = "SET")]
    data: String,

    /// Which rows: all there are (of a set that comes with test rows, the training rows); train or test,
    /// the parts that training has of the set
    #[arg(long, default_value = "all", value_name = "PART")]
    part: Part,

    /// The targets beside an .npy file, or another array of an archive, for a score
    #[arg(long, value_name = "FILE")]
    target: Option<String>,

    /// Make no score where the data have what is to be predicted
    #[arg(long)]
    no_score: bool,

    /// What parts the cells of a CSV file: one character, or `tab` [default: seen from the file]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_separator)]
    separator: Option<char>,

    /// What stands before the decimals in a CSV file, `.` or `,` [default: seen from the file]
    #[arg(long, value_name = "CHARACTER")]
    decimal: Option<char>,

    /// Columns of a CSV file to put before the predictions, as they are, such as one that names rows
    #[arg(long, value_name = "NAME,...")]
    keep: Option<String>,

    /// The seed of a generated set [default: that of the training]
    #[arg(long)]
    seed: Option<u64>,

    /// Write to a file, by its ending as CSV, NPY or JSON [default: CSV to stdout]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// csv, npy or json, whatever the file's ending
    #[arg(long)]
    format: Option<Format>,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Replace a file that exists
    #[arg(long, short)]
    force: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    All,
    Train,
    Test,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Npy,
    Json,
}

pub fn run(args: PredictArgs) -> Result<ExitCode> {
    let format = format(&args)?;
    if let Some(path) = &args.out {
        file::check(path, args.force)?;
    }
    let model = Model::load(&args.model)?;
    let rows = match args.part {
        Part::All => all_rows(&args, &model)?,
        part => some_rows(&args, &model, part == Part::Test)?,
    };
    rows.notes.iter().for_each(|line| note(&format!("{}: {line}", rows.name)));
    let device = args.device.open("predicts")?;
    let mut predictor = Predictor::new(&device, &model)?;
    let outputs = predictor.outputs(&rows.features).map_err(|error| at(error, &rows.name))?;
    let predictions = predictor.predictions(&outputs)?;
    let targets = rows.targets.as_ref().filter(|_| !args.no_score);
    let score = targets.map(|targets| predictor.score(&outputs, targets)).transpose()?;
    let count = predictions.values.len() / predictions.names.len();
    let scored = score.map_or("no targets, no score".into(), |score| said(&score));
    note(&format!("{}: {}; {scored}", rows.name, counted(count, "row")));

    let table = Table::new(&rows.kept, &predictions, &model.preparation().predicted);
    let bytes = match format {
        Format::Csv => table.csv()?,
        Format::Npy => npy(&predictions.values, predictions.names.len()),
        Format::Json => {
            let document = table.json(&args, &model, score.as_ref());
            if args.out.is_none() {
                print_json(&document)?;
                return Ok(ExitCode::SUCCESS);
            }
            format!("{document:#}\n").into_bytes()
        }
    };
    match (&args.out, io::stdout().is_terminal(), format) {
        (Some(path), ..) => file::save(path, &bytes, args.force)?,
        // Names are from files.
        (None, true, Format::Csv) => print(&String::from_utf8_lossy(&bytes))?,
        (None, true, _) => {
            return Err(Error::Invalid {
                what: "output".into(),
                given: "a terminal".into(),
                needed: "--out FILE, or a pipe".into(),
            });
        }
        (None, false, _) => put(&bytes)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn format(args: &PredictArgs) -> Result<Format> {
    if args.json {
        return Ok(Format::Json);
    }
    let Some(path) = args.out.as_deref().filter(|_| args.format.is_none()) else {
        return Ok(args.format.unwrap_or(Format::Csv));
    };
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    Format::from_str(&ending, true).map_err(|_| Error::Invalid {
        what: "output".into(),
        given: path.display().to_string(),
        needed: "a name that ends in .csv, .npy or .json, or --format".into(),
    })
}

/// All rows of a source.
fn all_rows(args: &PredictArgs, model: &Model) -> Result<Rows> {
    let options = RowsOptions {
        target: args.target.clone(),
        without_targets: args.no_score,
        separator: args.separator,
        decimal: args.decimal,
        keep: args.keep.iter().cloned().collect(),
    };
    let trained = || model.arguments().get("seed").and_then(|seed| seed.parse().ok());
    let seed = args.seed.or_else(trained).unwrap_or(0);
    rows(&args.data, model.preparation(), &options, seed)
}

/// The rows that training had, or tested on.
fn some_rows(args: &PredictArgs, model: &Model, test: bool) -> Result<Rows> {
    let invalid = |what: &str, given: String, needed: &str| Error::Invalid {
        what: what.into(),
        given,
        needed: needed.into(),
    };
    if args.keep.is_some() {
        let given = "train or test".to_owned();
        return Err(invalid("--part, with --keep", given, "all"));
    }
    let mut kept: BTreeMap<String, String> = model.arguments().clone();
    if kept.is_empty() {
        let given = format!("{}, which keeps no settings of a training", args.model.display());
        return Err(invalid("--part", given, "a file of `fanin train`, or --part all"));
    }
    let given = [
        ("data", Some(args.data.clone())),
        ("target", args.target.clone()),
        ("separator", args.separator.map(String::from)),
        ("decimal", args.decimal.map(String::from)),
        ("seed", args.seed.map(|seed| seed.to_string())),
    ];
    kept.extend(given.into_iter().filter_map(|(name, own)| Some((name.to_owned(), own?))));
    let (set, own, notes) = load_part(&args.model, &kept, test)?;
    let Some(set) = set else {
        let given = "test, of which training had none".to_owned();
        return Err(invalid("--part", given, "all or train"));
    };
    if !alike(&own, model.preparation()) {
        let needed = "the columns, categories and classes that the model was trained with";
        return Err(invalid(&args.data, "others".into(), needed));
    }
    let Dataset { name, features, targets, .. } = set;
    Ok(Rows { name, features, targets: Some(targets), kept: Vec::new(), notes })
}

/// Whether rows of both are of the same kind.
fn alike(one: &Preparation, other: &Preparation) -> bool {
    one.names() == other.names() && one.predicted == other.predicted
}

fn at(error: Error, name: &str) -> Error {
    match error {
        Error::Invalid { what, given, needed } => {
            Error::Invalid { what: format!("{name}: {what}"), given, needed }
        }
        other => other,
    }
}

/// `accuracy 97.5 %, loss 0.0812`.
fn said(score: &Score) -> String {
    let what = if score.accuracy.is_some() { "accuracy" } else { "R2" };
    format!("{what} {}, loss {}", quality(score), short(score.loss))
}

/// Predictions as cells.
struct Table<'a> {
    header: Vec<String>,
    kept: &'a [(String, Vec<String>)],
    predictions: &'a Predictions,
}

impl<'a> Table<'a> {
    fn new(
        kept: &'a [(String, Vec<String>)],
        predictions: &'a Predictions,
        predicted: &Predicted,
    ) -> Table<'a> {
        let mut header: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
        match predicted {
            Predicted::Class { name, classes } => {
                header.push(name.clone());
                header.extend(classes.iter().map(|class| format!("p({class})")));
            }
            Predicted::Values(names) => header.extend(names.iter().cloned()),
        }
        Table { header, kept, predictions }
    }

    /// The cells of each row, those of text apart.
    fn rows(&self) -> impl Iterator<Item = (Vec<&str>, &[f64])> {
        let Predictions { names, values, classes } = self.predictions;
        values.chunks_exact(names.len()).enumerate().map(move |(row, values)| {
            let kept = self.kept.iter().map(|(_, cells)| cells[row].as_str());
            let class = classes.as_ref().map(|classes| names[classes[row]].as_str());
            (kept.chain(class).collect(), values)
        })
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut written = writer.write_record(&self.header);
        let mut number = String::new();
        for (cells, values) in self.rows() {
            let mut fields: Vec<String> = cells.into_iter().map(str::to_owned).collect();
            for value in values {
                number.clear();
                let _ = match self.predictions.classes {
                    // A probability has no more digits than the outputs that it is made of.
                    Some(_) => write!(number, "{}", *value as f32),
                    None => write!(number, "{value}"),
                };
                fields.push(number.clone());
            }
            written = written.and_then(|()| writer.write_record(&fields));
        }
        let bytes = written
            .map_err(|error| error.to_string())
            .and_then(|()| writer.into_inner().map_err(|error| error.to_string()));
        bytes.map_err(|error| Error::Invalid {
            what: "predictions".into(),
            given: error,
            needed: "rows of CSV".into(),
        })
    }

    fn json(&self, args: &PredictArgs, model: &Model, score: Option<&Score>) -> Value {
        let row = |(cells, values): (Vec<&str>, &[f64])| -> Value {
            cells.into_iter().map(Value::from).chain(values.iter().map(|&own| json!(own))).collect()
        };
        let task = match model.preparation().predicted {
            Predicted::Class { .. } => "classify",
            Predicted::Values(_) => "regress",
        };
        let score =
            score.map(|own| json!({ "loss": own.loss, "accuracy": own.accuracy, "r2": own.r2 }));
        json!({
            "model": args.model.display().to_string(),
            "data": args.data,
            "task": task,
            "score": score,
            "columns": self.header,
            "rows": self.rows().map(row).collect::<Vec<Value>>(),
        })
    }
}

/// An array of f64 in NumPy's format: the magic number, version 1, the header, padded so that the numbers
/// begin at a multiple of 64, and the numbers row by row.
fn npy(values: &[f64], columns: usize) -> Vec<u8> {
    let rows = values.len() / columns;
    let text =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let start = b"\x93NUMPY\x01\x00";
    let length = (start.len() + 2 + text.len() + 1).next_multiple_of(64) - start.len() - 2;
    let mut bytes = start.to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}
