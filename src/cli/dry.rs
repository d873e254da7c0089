//! `init --dry-run`: what would be written, and by whom.

use std::process::ExitCode;

use fanin::recipe::{DryRun, PlannedFile, Recipe, TensorSpec, WriteOptions};
use fanin::{Result, counted};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::table::{self, Column, MOST_ROWS, beyond, table};
use super::{note, print, print_json};

/// What a rank has to do.
#[derive(Clone, Copy, Default)]
struct Load {
    files: u64,
    tensors: u64,
    bytes: u64,
}

/// Bytes that are to be written, by one rank or all.
pub fn bytes(recipe: &Recipe, options: &WriteOptions<'_>) -> Result<u64> {
    if options.rank.is_none() && options.plan.is_none() {
        return Ok(recipe.bytes());
    }
    let dry = DryRun::new(recipe, options)?;
    let own = dry.files.iter().filter(|file| is_own(file.rank, options));
    Ok(own.fold(0, |sum, file| sum.saturating_add(file.bytes)))
}

/// Whether that is to be written by the rank that is asked for, or all are.
fn is_own(rank: u32, options: &WriteOptions<'_>) -> bool {
    options.rank.is_none_or(|asked| asked.rank() == rank)
}

pub fn run(recipe: &Recipe, options: &WriteOptions<'_>, json: bool) -> Result<ExitCode> {
    let dry = DryRun::new(recipe, options)?;
    let mut loads = vec![Load::default(); dry.world as usize];
    for file in &dry.files {
        let load = &mut loads[file.rank as usize];
        load.files += 1;
        load.tensors += file.tensors;
        load.bytes += file.bytes;
    }
    let files = dry.files.iter().filter(|file| is_own(file.rank, options));
    let files: Vec<&PlannedFile> = files.collect();
    let loads = (0..).zip(&loads).filter(|(rank, _)| is_own(*rank, options));
    let loads: Vec<(u32, &Load)> = loads.collect();
    if json {
        print_json(&Document {
            seed: options.seed,
            parameters: recipe.elements(),
            bytes: recipe.bytes(),
            tensors: Tensors(recipe),
            files: files.iter().map(|file| entry(file)).collect(),
            ranks: loads
                .iter()
                .map(|(rank, load)| {
                    let Load { files, tensors, bytes } = load;
                    json!({ "rank": rank, "files": files, "tensors": tensors, "bytes": bytes })
                })
                .collect(),
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        Column::name("tensor").at_least(40),
        Column::text("shape"),
        Column::text("dtype").leaves(2),
        Column::name("init").at_least(12),
        Column::text("fans").leaves(1),
        Column::number("std"),
        Column::number("bytes"),
    ];
    let row = |spec: &TensorSpec| {
        let fans = spec.fans();
        vec![
            spec.name.clone(),
            spec.shape.to_string(),
            spec.dtype.to_string(),
            spec.written(),
            fans.map_or("-".into(), |fans| format!("{}, {}", fans.fan_in, fans.fan_out)),
            spec.expected().map_or("-".into(), |[_, std]| table::short(std)),
            table::bytes(spec.bytes()),
        ]
    };
    let mut text = table(columns, recipe.tensors.iter().take(MOST_ROWS).map(row).collect());
    text += &beyond(recipe.tensors.len(), "--json");
    text.push('\n');
    let columns = [
        Column::name("file"),
        Column::number("rank").leaves(1),
        Column::number("tensors").leaves(2),
        Column::number("bytes"),
    ];
    let rows = files.iter().take(MOST_ROWS).map(|file| {
        vec![
            file.path.display().to_string(),
            file.rank.to_string(),
            file.tensors.to_string(),
            table::bytes(file.bytes),
        ]
    });
    text += &table(columns, rows.collect());
    text += &beyond(files.len(), "--json");
    if dry.world > 1 {
        text.push('\n');
        let columns = [
            Column::number("rank"),
            Column::number("files"),
            Column::number("tensors"),
            Column::number("bytes"),
        ];
        let rows = loads.iter().take(MOST_ROWS).map(|(rank, load)| {
            let Load { files, tensors, bytes } = load;
            vec![rank.to_string(), files.to_string(), tensors.to_string(), table::bytes(*bytes)]
        });
        text += &table(columns, rows.collect());
        text += &beyond(loads.len(), "--json");
    }
    print(&text)?;
    let ranks = match dry.world {
        1 => String::new(),
        world => {
            let most = loads.iter().map(|(_, load)| load.bytes).max().unwrap_or(0);
            format!(", by {}, at most {} each", counted(world, "rank"), table::bytes(most))
        }
    };
    note(&format!(
        "nothing was written: {}, {} in {} and {}{ranks}",
        counted(recipe.elements(), "parameter"),
        table::bytes(recipe.bytes()),
        counted(recipe.tensors.len(), "tensor"),
        counted(dry.files.len(), "file"),
    ));
    Ok(ExitCode::SUCCESS)
}

fn entry(file: &PlannedFile) -> Value {
    json!({
        "path": file.path.to_string_lossy(),
        "rank": file.rank,
        "tensors": file.tensors,
        "bytes": file.bytes,
    })
}

#[derive(Serialize)]
struct Document<'a> {
    seed: u64,
    parameters: u64,
    bytes: u64,
    tensors: Tensors<'a>,
    files: Vec<Value>,
    ranks: Vec<Value>,
}

/// Each made when its turn comes: there may be a million.
struct Tensors<'a>(&'a Recipe);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.tensors.iter().map(|spec| {
            let expected = spec.expected();
            json!({
                "name": spec.name,
                "shape": spec.shape.dims(),
                "dtype": spec.dtype.name(),
                "init": spec.written(),
                "bytes": spec.bytes(),
                "expected_mean": expected.map(|[mean, _]| mean),
                "expected_std": expected.map(|[_, std]| std),
            })
        }))
    }
}
