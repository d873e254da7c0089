use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fanin::recipe::{
    CheckOptions, CheckReport, FileCheck, Finding, MergeReport, TensorCheck, check, merge,
};
use fanin::{Result, counted};
use serde_json::{Value, json};

use super::table::{Column, MOST_ROWS, beyond, table};
use super::text::{page, paragraph};
use super::{note, print, print_json, stop};

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    fanin check gpt2.safetensors\n  \
    fanin check model.safetensors.index.json --manifest theirs.manifest.json\n  \
    fanin check --merge parts/*.manifest.json\n\n\
    A manifest holds the digest of every tensor. What `fanin init` writes also names, in its metadata, \
    the seed and each tensor's initializer: all are drawn anew and compared. Exit code 1: something is \
    not what is said of it.")]
pub struct CheckArgs {
    /// A .safetensors file, one of a model's shards, the .index.json of all of them, or a
    /// .manifest.json
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Compare with this manifest, another machine's, say, in place of the one beside the files
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,

    /// Join the manifests of the ranks that wrote a model together (given, or those beside the one FILE):
    /// whether all are of one model, and together have every element of every tensor
    #[arg(long, conflicts_with = "manifest")]
    merge: bool,

    /// With --merge, where nothing is missing and all files are whole: write the model's one manifest, and
    /// its index, as one process would have
    #[arg(long, requires = "merge")]
    write: bool,

    /// Replace a manifest and index that are there
    #[arg(long, short, requires = "write")]
    force: bool,

    /// One JSON document on stdout in place of the table
    #[arg(long)]
    json: bool,
}

pub fn run(args: CheckArgs) -> Result<ExitCode> {
    if args.merge {
        return joined(&args);
    }
    let options = CheckOptions { manifest: args.manifest.as_deref(), stop: Some(stop::listen()) };
    let mut reports = Vec::new();
    for file in &args.files {
        reports.push(check(file, &options)?);
    }
    let is_wrong = reports.iter().any(CheckReport::is_wrong);
    if args.json {
        let documents: Vec<Value> = reports.iter().map(document).collect();
        print_json(&json!({ "right": !is_wrong, "checks": documents }))?;
    } else {
        for report in &reports {
            print(&text(report))?;
            note(&summary(report));
        }
    }
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `--merge`.
fn joined(args: &CheckArgs) -> Result<ExitCode> {
    let report = merge(&args.files)?;
    let is_wrong = report.is_wrong();
    if args.json {
        print_json(&merged_document(&report))?;
    } else {
        print(&merged_text(&report))?;
        note(&merged_summary(&report));
    }
    if args.write && !is_wrong {
        for path in report.write(args.force)? {
            note(&format!("wrote {}", path.display()));
        }
    }
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn merged_text(report: &MergeReport) -> String {
    let columns = [
        Column::name("tensor").at_least(36),
        Column::text("shape").leaves(2),
        Column::text("dtype").leaves(2),
        Column::number("parts"),
        Column::text("ranks").leaves(1),
        Column::prose("together"),
    ];
    let rows = listed(&report.tensors, |tensor| tensor.finding.is_wrong()).map(|tensor| {
        vec![
            tensor.name.clone(),
            tensor.shape.to_string(),
            tensor.dtype.clone(),
            tensor.parts.to_string(),
            ranges(&tensor.ranks),
            match &tensor.finding {
                Finding::Same => "whole".into(),
                finding => said(Some(finding)),
            },
        ]
    });
    told(columns, rows.collect(), report.tensors.len(), &report.files)
}

/// What a table has rows for: where not for all, for what is wrong before what is right.
fn listed<T>(all: &[T], is_wrong: impl Fn(&T) -> bool) -> impl Iterator<Item = &T> {
    let (wrong, right): (Vec<&T>, Vec<&T>) = match all.len() {
        0..=MOST_ROWS => (Vec::new(), all.iter().collect()),
        _ => all.iter().partition(|own| is_wrong(own)),
    };
    wrong.into_iter().chain(right).take(MOST_ROWS)
}

/// The table of so many tensors, and the files that are wrong.
fn told<const N: usize>(
    columns: [Column; N],
    rows: Vec<Vec<String>>,
    tensors: usize,
    files: &[FileCheck],
) -> String {
    let mut text = match rows.is_empty() {
        true => String::new(),
        false => table(columns, rows),
    };
    text += &beyond(tensors, "--json");
    for file in files.iter().filter(|file| file.finding.is_wrong()) {
        let said = format!("{}: {}", file.path.display(), said(Some(&file.finding)));
        text += "\n";
        text += &paragraph(&said, "", "", page());
    }
    text
}

/// `0-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let text = |run: &[u32]| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    runs.map(text).collect::<Vec<_>>().join(", ")
}

/// What it comes to, in a line.
fn merged_summary(report: &MergeReport) -> String {
    let mut missing = Vec::new();
    if !report.missing_ranks.is_empty() {
        let noun = if report.missing_ranks.len() == 1 { "rank" } else { "ranks" };
        let ranks = ranges(&report.missing_ranks);
        missing.push(format!("no manifest of {noun} {ranks} (of {})", report.world));
    }
    if report.missing_tensors > 0 {
        let tensors = counted(report.missing_tensors, "tensor");
        missing.push(format!("{tensors} of the model in no manifest"));
    }
    let wrong = report.tensors.iter().filter(|tensor| tensor.finding.is_wrong()).count();
    if wrong > 0 {
        missing.push(format!("{} not whole or not the same", counted(wrong, "tensor")));
    }
    let files = report.files.iter().filter(|file| file.finding.is_wrong()).count();
    if files > 0 {
        missing.push(format!("{} missing or of another length", counted(files, "file")));
    }
    let MergeReport { recipe, seed, world, .. } = report;
    let of = format!("{recipe}, seed {seed}, by {}", counted(world, "rank"));
    match missing.is_empty() {
        true => {
            format!("{of}: all {} are there, each whole", counted(report.tensors.len(), "tensor"))
        }
        false => format!("{of}: {}", missing.join("; ")),
    }
}

fn merged_document(report: &MergeReport) -> Value {
    let tensors = report.tensors.iter().map(|tensor| {
        json!({
            "name": tensor.name,
            "shape": tensor.shape.dims(),
            "dtype": tensor.dtype,
            "parts": tensor.parts,
            "ranks": tensor.ranks,
            "together": found(Some(&tensor.finding)),
        })
    });
    json!({
        "right": !report.is_wrong(),
        "recipe": report.recipe,
        "seed": report.seed,
        "world": report.world,
        "missing_ranks": report.missing_ranks,
        "missing_tensors": report.missing_tensors,
        "tensors": tensors.collect::<Vec<_>>(),
        "files": files(&report.files),
    })
}

fn said(finding: Option<&Finding>) -> String {
    match finding {
        None => "-".into(),
        Some(Finding::Same) => "same".into(),
        Some(Finding::Untold(why)) => why.clone(),
        Some(Finding::Wrong(how)) => format!("DIFFERS: {how}"),
    }
}

fn text(report: &CheckReport) -> String {
    let columns = [
        Column::name("tensor").at_least(36),
        Column::text("shape").leaves(2),
        Column::text("dtype").leaves(2),
        Column::name("init").at_least(12).leaves(3),
        Column::text("sha256").leaves(1),
        Column::prose("manifest"),
        Column::prose("drawn anew"),
    ];
    let rows = listed(&report.tensors, TensorCheck::is_wrong).map(|tensor| {
        vec![
            tensor.name.clone(),
            tensor.shape.as_ref().map_or("-".into(), ToString::to_string),
            tensor.dtype.map_or("-".into(), |dtype| dtype.to_string()),
            tensor.init.clone().unwrap_or("-".into()),
            tensor.sha256.as_ref().map_or("-".into(), |digest| digest[..12].to_owned()),
            said(tensor.manifest.as_ref()),
            said(tensor.drawn.as_ref()),
        ]
    });
    told(columns, rows.collect(), report.tensors.len(), &report.files)
}

/// What it comes to, in a line.
fn summary(report: &CheckReport) -> String {
    let all = report.tensors.len();
    let wrong = report.tensors.iter().filter(|tensor| tensor.is_wrong()).count();
    let files = report.files.iter().filter(|file| file.finding.is_wrong()).count();
    if wrong + files > 0 {
        let mut subjects = Vec::new();
        if wrong > 0 {
            subjects.push(format!("{wrong} of {}", counted(all, "tensor")));
        }
        if files > 0 {
            subjects.push(counted(files, "file"));
        }
        let verb = if wrong + files == 1 { "is" } else { "are" };
        return format!("{} {verb} not what is said of them", subjects.join(" and "));
    }
    let seeds: BTreeSet<u64> = report.tensors.iter().filter_map(|tensor| tensor.seed).collect();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let anew = report.tensors.iter().filter(|own| own.drawn == Some(Finding::Same)).count();
    let drawn = match (seeds.is_empty(), anew) {
        (true, _) | (_, 0) => None,
        (false, anew) if anew == all => Some(format!("what seed {} draws", seeds.join(", "))),
        (false, anew) => Some(format!("{anew} of them what seed {} draws", seeds.join(", "))),
    };
    let manifest = report.manifest.as_ref().map(|path| format!("what {} says", path.display()));
    let said: Vec<String> = manifest.into_iter().chain(drawn).collect();
    let verb = if all == 1 { "is" } else { "are" };
    format!("{} {verb} {}", counted(all, "tensor"), said.join(" and "))
}

fn found(finding: Option<&Finding>) -> Value {
    match finding {
        None => Value::Null,
        Some(Finding::Same) => json!("same"),
        Some(Finding::Untold(why)) => json!({ "untold": why }),
        Some(Finding::Wrong(how)) => json!({ "wrong": how }),
    }
}

fn files(files: &[FileCheck]) -> Vec<Value> {
    let file = |file: &FileCheck| json!({ "path": file.path.to_string_lossy(), "finding": found(Some(&file.finding)) });
    files.iter().map(file).collect()
}

fn document(report: &CheckReport) -> Value {
    let tensors = report.tensors.iter().map(|tensor| {
        json!({
            "name": tensor.name,
            "file": tensor.file,
            "shape": tensor.shape.as_ref().map(|shape| shape.dims().to_vec()),
            "dtype": tensor.dtype.map(|dtype| dtype.name()),
            "seed": tensor.seed,
            "init": tensor.init,
            "sha256": tensor.sha256,
            "manifest": found(tensor.manifest.as_ref()),
            "drawn": found(tensor.drawn.as_ref()),
        })
    });
    json!({
        "right": !report.is_wrong(),
        "manifest": report.manifest.as_ref().map(|path| path.to_string_lossy()),
        "tensors": tensors.collect::<Vec<_>>(),
        "files": files(&report.files),
    })
}
