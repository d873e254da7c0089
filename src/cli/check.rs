use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use fanin::recipe::{CheckOptions, CheckReport, Finding, TensorCheck, check};
use fanin::{Result, counted};
use serde_json::{Value, json};

use super::table::{Column, MOST_ROWS, beyond, table};
use super::text::{page, paragraph};
use super::{note, print, print_json, stop};

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    fanin check gpt2.safetensors\n  \
    fanin check model.safetensors.index.json --manifest theirs.manifest.json\n\n\
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

    /// One JSON document on stdout in place of the table
    #[arg(long)]
    json: bool,
}

pub fn run(args: CheckArgs) -> Result<ExitCode> {
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
    let (wrong, right): (Vec<_>, Vec<_>) =
        report.tensors.iter().partition(|tensor| tensor.is_wrong());
    // Where not all are listed, what is wrong is.
    let listed: Vec<&TensorCheck> = match report.tensors.len() {
        0..=MOST_ROWS => report.tensors.iter().collect(),
        _ => wrong.into_iter().chain(right).take(MOST_ROWS).collect(),
    };
    let rows = listed.into_iter().map(|tensor| {
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
    let mut text = match report.tensors.is_empty() {
        true => String::new(),
        false => table(columns, rows.collect()),
    };
    text += &beyond(report.tensors.len(), "--json");
    for file in report.files.iter().filter(|file| file.finding.is_wrong()) {
        let said = format!("{}: {}", file.path.display(), said(Some(&file.finding)));
        text += "\n";
        text += &paragraph(&said, "", "", page());
    }
    text
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

fn document(report: &CheckReport) -> Value {
    let finding = |finding: Option<&Finding>| match finding {
        None => Value::Null,
        Some(Finding::Same) => json!("same"),
        Some(Finding::Untold(why)) => json!({ "untold": why }),
        Some(Finding::Wrong(how)) => json!({ "wrong": how }),
    };
    let tensors = report.tensors.iter().map(|tensor| {
        json!({
            "name": tensor.name,
            "file": tensor.file,
            "shape": tensor.shape.as_ref().map(|shape| shape.dims().to_vec()),
            "dtype": tensor.dtype.map(|dtype| dtype.name()),
            "seed": tensor.seed,
            "init": tensor.init,
            "sha256": tensor.sha256,
            "manifest": finding(tensor.manifest.as_ref()),
            "drawn": finding(tensor.drawn.as_ref()),
        })
    });
    let files = report.files.iter().map(|file| {
        json!({
            "path": file.path.to_string_lossy(),
            "finding": finding(Some(&file.finding)),
        })
    });
    json!({
        "right": !report.is_wrong(),
        "manifest": report.manifest.as_ref().map(|path| path.to_string_lossy()),
        "tensors": tensors.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
    })
}
