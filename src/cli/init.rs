use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use fanin::device::{Chunks, Draw};
use fanin::gpu::Choice;
use fanin::random::Dtype;
use fanin::recipe::{
    FileReport, Launcher, ModelConfig, Plan, Rank, Recipe, Rules, WriteOptions, WriteReport,
    families, write,
};
use fanin::{Device, Error, Result, counted, init};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::dry;
use super::form::Form;
use super::table::{self, Column, MOST_ROWS, short, table};
use super::text::{page, paragraph};
use super::{DeviceArgs, note, parse_bytes, print, print_json, progress, stop};

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    fanin init gpt2 --seed 7 --out gpt2.safetensors\n  \
    fanin init gpt2 --print-recipe > mine.toml\n  \
    fanin init mine.toml --out mine.safetensors\n  \
    fanin init qwen/config.json --out qwen/model.safetensors\n  \
    fanin init old.safetensors --out new.safetensors \\\n      \
    --rule '*.bias=zeros' --rule '*=he_normal'\n  \
    fanin init old.safetensors --out new.safetensors \\\n      \
    --rule 'head.*=normal:0.02 shape=[10,768]' --rule '*=keep'\n  \
    fanin init llama-3.2-1b --dry-run --rank 0 --world 8\n  \
    mpirun -n 8 fanin init llama-3.2-1b --rank auto --out m.safetensors\n  \
    fanin init llama-3.2-1b --plan tp.toml --rank auto --out m.safetensors\n\n\
    A rule is PATTERN=INIT, and may go on, after a blank, with dims=2 or dims=2.. (the number of \
    dimensions that it is for), layout=in_out, fan_in=N, fan_out=N, groups=N, transposed=true, depth=N, \
    shape=[N,M] (of tensors of as many dimensions), batch_dims=1 (the first axis is of stacked matrices), parts=3 \
    or parts=[N,M] (fused weights along the outputs, or parts_axis=N), rows=0 or rows=64..128 (of a range of the \
    first axis alone, or of axis=N, over whatever the rest has). The first rule that matches a tensor wins; one with \
    a *, ? or braces passes over vectors and counters that its initializer cannot serve: of a .safetensors MODEL these become zeros (bias, \
    beta, running_mean, num_batches_tracked) or ones (weight, gamma, scale, running_var). INIT may be \
    `keep`: the tensor as the file has it.\n\n\
    A config.json of Hugging Face's, or a folder that holds one, stands for the tensors that transformers \
    makes of it, initialized as it does; --list has the families, --print-recipe prints its TOML. Written as \
    model.safetensors into the folder of the config.json, from_pretrained loads them from there.\n\n\
    --device auto is the CPU here where that has the file ready first, which a line\n\
    says: the bits are the same, and digests and writes are the CPU's either way.")]
pub struct InitArgs {
    /// A built-in recipe, a recipe file (.toml), a config.json of Hugging Face's, or a .safetensors file
    /// or its .index.json, whose tensors are made anew by --rules and --rule
    #[arg(required_unless_present = "list", value_name = "MODEL")]
    model: Option<String>,

    /// The file to write, ending in .safetensors; a manifest of SHA-256 digests goes beside it
    #[arg(long, short, required_unless_present_any = ["list", "print_recipe", "dry_run"], value_name = "FILE")]
    out: Option<PathBuf>,

    /// The seed
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Give every floating-point tensor this dtype: f32, bf16, f16, f8_e4m3, f8_e5m2 or f64
    #[arg(long)]
    dtype: Option<Dtype>,

    /// A TOML file of [[rule]] tables that come before the recipe's own
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,

    /// A rule that comes before all others, such as '*.bias=constant:0.01' or '*=he_normal dims=4'
    /// (see below); may be repeated
    #[arg(long, value_name = "PATTERN=INIT")]
    rule: Vec<String>,

    /// Split into files of at most this many bytes of tensors, with an index, as Hugging Face does
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    max_shard_size: Option<u64>,

    /// Write the files of one of --world processes that share the model: its number, from 0; `auto`, what
    /// the launcher says (torchrun, Open MPI, PMI, Slurm), or that launcher's name
    #[arg(long, value_name = "RANK", help_heading = RANKS)]
    rank: Option<String>,

    /// How many processes share the model
    #[arg(long, value_name = "RANKS", requires = "rank", help_heading = RANKS)]
    world: Option<u32>,

    /// A TOML file that says which part of each tensor which rank holds, as tensor and pipeline
    /// parallelism have it: each rank has one file. Without --rank those of all ranks are written
    #[arg(long, value_name = "FILE", conflicts_with = "max_shard_size", help_heading = RANKS)]
    plan: Option<PathBuf>,

    /// List tensors, files and what each rank has to write, and write nothing
    #[arg(long, help_heading = RANKS)]
    dry_run: bool,

    /// The SHA-256 of each file of weights too, as sha256sum gives it; it may take longer than to write
    /// the file. --json has it always
    #[arg(long)]
    file_digests: bool,

    /// Bytes drawn at a time [default: 16MiB on an adapter, 2MiB on the CPU]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    chunk_size: Option<u64>,

    /// Replace files that exist; what other files of the model are left, of other sizes or ranks, goes
    #[arg(long, short)]
    force: bool,

    /// One JSON document on stdout in place of the table
    #[arg(long)]
    json: bool,

    /// List the built-in recipes, the families of config.json and every initializer
    #[arg(long)]
    list: bool,

    /// Print the TOML of a built-in recipe or of a config.json, to start one's own from
    #[arg(long, conflicts_with_all = [
        "out", "rule", "rules", "dtype", "rank", "plan", "dry_run", "max_shard_size",
    ])]
    print_recipe: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

/// Under what the help of these stands.
const RANKS: &str = "On several machines";

pub fn run(args: InitArgs) -> Result<ExitCode> {
    if args.list {
        return list(args.json);
    }
    let model = args.model.as_deref().unwrap_or_default();
    if args.print_recipe {
        if let Ok(Form::Config(path)) = Form::of(model) {
            print(&config(&path)?.to_toml())?;
            return Ok(ExitCode::SUCCESS);
        }
        Recipe::builtin(model)?;
        let text = Recipe::builtins().find(|(name, _)| *name == model).map_or("", |(_, text)| text);
        print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let recipe = recipe(model, &args)?;
    let out = args.out.as_deref().unwrap_or(Path::new("model.safetensors"));
    let plan = args.plan.as_deref().map(Plan::read).transpose()?;
    let options = WriteOptions {
        seed: args.seed,
        max_shard_bytes: args.max_shard_size,
        rank: args.rank()?,
        plan: plan.as_ref(),
        force: args.force,
        file_digests: args.file_digests || args.json,
        ..WriteOptions::new(out)
    };
    if args.dry_run {
        return dry::run(&recipe, &options, args.json);
    }
    let device = device(&args, recipe.elements())?;
    let stop = stop::listen();
    // Without a rank a plan's are written one after the other.
    let ranks = match (&plan, options.rank) {
        (Some(plan), None) => (0..plan.world())
            .map(|rank| Rank::new(rank, plan.world()).map(Some))
            .collect::<Result<Vec<_>>>()?,
        (_, rank) => vec![rank],
    };

    let started = Instant::now();
    let template = "{bar:20} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    let bar = progress(template, dry::bytes(&recipe, &options)?);
    let mut report = WriteReport::default();
    for rank in ranks {
        let mut progress = |bytes| bar.inc(bytes);
        let options =
            WriteOptions { rank, stop: Some(stop), progress: Some(&mut progress), ..options };
        match write(&recipe, &device, options) {
            Ok(written) => report.append(written),
            Err(error) => {
                bar.finish_and_clear();
                return Err(error);
            }
        }
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();

    if args.json {
        print_json(&document(&recipe, &report, options.rank, args.seed, &device))?;
    } else {
        print(&tables(&recipe, &report))?;
        let parts = report.tensors.iter();
        let (elements, bytes) = parts.fold((0, 0), |(elements, bytes), own| {
            let (count, size) = (own.shape.elements(), recipe.tensors[own.tensor].dtype.size());
            (elements + count, bytes + count * size as u64)
        });
        let rank = options.rank.map_or(String::new(), |rank| format!(", {rank}"));
        note(&format!(
            "seed {}{rank}: {}, {} in {seconds:.2} s ({}/s) on {}",
            args.seed,
            counted(elements, "parameter"),
            table::bytes(bytes),
            table::bytes((bytes as f64 / seconds) as u64),
            device.device(),
        ));
        let there = report.files.iter().filter(|file| file.was_there).count();
        if there > 0 {
            let verb = if there == 1 { "was" } else { "were" };
            note(&format!("{} {verb} there, and right", counted(there, "file")));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl InitArgs {
    /// Which rank this is, if that is spoken of.
    fn rank(&self) -> Result<Option<Rank>> {
        let Some(text) = &self.rank else { return Ok(None) };
        let rank = match text.parse::<u32>() {
            Ok(rank) => match self.world {
                Some(world) => return Rank::new(rank, world).map(Some),
                None => {
                    let needed = "--world too, the number of ranks";
                    return Err(invalid("--rank", text, needed));
                }
            },
            Err(_) if text == "auto" => Rank::from_env(None, self.world)?,
            Err(_) => match text.parse::<Launcher>() {
                Ok(launcher) => Rank::from_env(Some(launcher), self.world)?,
                Err(_) => {
                    let launchers = Launcher::ALL.map(Launcher::name).join(", ");
                    let needed = format!("a number, auto, or a launcher: {launchers}");
                    return Err(invalid("--rank", text, &needed));
                }
            },
        };
        Ok(Some(rank))
    }
}

fn invalid(what: &str, given: &str, needed: &str) -> Error {
    Error::Invalid { what: what.into(), given: given.into(), needed: needed.into() }
}

/// Elements that a thread draws while a GPU's driver starts: 0.4 G/s with AVX2, 0.3 s on an NVIDIA H200.
const DRAWN_MEANWHILE: u64 = 120_000_000;

/// Threads that draw faster than a file is written, whatever its size.
const ENOUGH_THREADS: usize = 8;

/// Why the CPU engine has a file of so many elements ready first, if so. Digests and writes are the CPU's
/// either way, so that a GPU can save no more than the time to draw.
fn cpu_is_first(threads: usize, elements: u64) -> Option<&'static str> {
    if elements / threads as u64 <= DRAWN_MEANWHILE {
        return Some("a file this size is ready before a GPU has started");
    }
    (threads >= ENOUGH_THREADS).then_some("so many threads draw faster than a file is written")
}

/// The device of the choice; `auto` takes what has a file ready first, and says so.
fn device(args: &InitArgs, elements: u64) -> Result<Chunks> {
    // Who names an adapter or a backend for `auto` wants that one.
    let named = ["WGPU_ADAPTER_NAME", "WGPU_BACKEND"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let reason = cpu_is_first(rayon::current_num_threads(), elements)
        .filter(|_| args.device.device == Choice::Auto && !named);
    let device = match reason {
        None => args.device.open("draws")?,
        Some(reason) => {
            note(&format!("drawn on {}: {reason} (--device gpu takes one)", Device::Cpu));
            Device::Cpu
        }
    };
    Ok(device.in_chunks(args.chunk_size))
}

/// What MODEL names, with the rules and the dtype of the command line.
fn recipe(model: &str, args: &InitArgs) -> Result<Recipe> {
    let mut rules = Rules::pairs(&args.rule)?;
    if let Some(path) = &args.rules {
        rules = rules.then(Rules::read(path)?);
    }
    let path = Path::new(model);
    let mut recipe = match Form::of(model)? {
        Form::Tensors => Recipe::from_safetensors(path, &rules)?,
        own => {
            let mut recipe = match own {
                Form::Builtin => Recipe::builtin(model)?,
                Form::Config(path) => config(&path)?.recipe()?,
                _ => Recipe::read(path)?,
            };
            if !rules.is_empty() {
                recipe.override_with(&rules)?;
            }
            recipe
        }
    };
    if let Some(dtype) = args.dtype {
        recipe.set_dtype(dtype)?;
    }
    Ok(recipe)
}

/// A config.json, and what is to be said of it.
fn config(path: &Path) -> Result<ModelConfig> {
    let config = ModelConfig::read(path)?;
    config.notes.iter().for_each(|line| note(line));
    Ok(config)
}

fn tables(recipe: &Recipe, report: &WriteReport) -> String {
    let columns = [
        Column::name("tensor").at_least(40),
        Column::text("shape"),
        Column::text("dtype").leaves(4),
        Column::name("init").at_least(12),
        Column::text("fans").leaves(3),
        Column::text("layout").leaves(3),
        Column::number("mean").leaves(2),
        Column::number("measured").leaves(2),
        Column::number("std"),
        Column::number("measured"),
        Column::text("sha256").leaves(1),
    ];
    let rows = report
        .tensors
        .iter()
        .take(MOST_ROWS)
        .map(|done| {
            let spec = &recipe.tensors[done.tensor];
            let none = || "-".to_owned();
            let expected = spec.expected().map(|both| both.map(short));
            let [mean, std] = expected.unwrap_or_else(|| [none(), none()]);
            let measured = |value| if done.moments.count == 0 { none() } else { short(value) };
            let fans = spec.fans();
            vec![
                spec.name.clone(),
                done.shape.to_string(),
                spec.dtype.to_string(),
                spec.written(),
                fans.map_or("-".into(), |fans| format!("{}, {}", fans.fan_in, fans.fan_out)),
                fans.map_or("-", |_| spec.geometry.layout.name()).to_owned(),
                mean,
                measured(done.moments.mean),
                std,
                measured(done.moments.std()),
                done.sha256[..12].to_owned(),
            ]
        })
        .collect();
    let mut text = table(columns, rows);
    text += &table::beyond(report.tensors.len(), "--json or the manifest");
    text.push('\n');
    let rows = report
        .files
        .iter()
        .map(|file| {
            let sha256 = file.sha256.clone().unwrap_or_else(|| "(with --file-digests)".into());
            vec![file.path.display().to_string(), table::bytes(file.bytes), sha256]
        })
        .collect();
    let columns = [Column::name("file"), Column::number("size"), Column::text("sha256").leaves(1)];
    text + &table(columns, rows)
}

/// What `--json` prints, each tensor's part made when its turn comes: there may be a million.
#[derive(Serialize)]
struct Document<'a> {
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    world: Option<u32>,
    engine: &'a str,
    device: String,
    tensors: Tensors<'a>,
    files: Vec<Value>,
}

struct Tensors<'a>(&'a Recipe, &'a WriteReport);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.tensors.iter().map(|done| {
            let spec = &self.0.tensors[done.tensor];
            let fans = spec.fans();
            let expected = spec.expected();
            let mut entry = json!({
                "name": spec.name,
                "shape": done.shape.dims(),
                "dtype": spec.dtype.name(),
                "init": spec.written(),
                "layout": fans.map(|_| spec.geometry.layout.name()),
                "fan_in": fans.map(|fans| fans.fan_in),
                "fan_out": fans.map(|fans| fans.fan_out),
                "expected_mean": expected.map(|[mean, _]| mean),
                "expected_std": expected.map(|[_, std]| std),
                "mean": done.moments.mean,
                "std": done.moments.std(),
                "sha256": done.sha256,
                "file": done.file,
            });
            if let Some(part) = &done.part {
                entry["of"] = json!(part.of());
                entry["part"] = json!(part.texts());
            }
            entry
        }))
    }
}

fn document<'a>(
    recipe: &'a Recipe,
    report: &'a WriteReport,
    rank: Option<Rank>,
    seed: u64,
    device: &'a Chunks,
) -> Document<'a> {
    let file = |file: &FileReport| {
        let path = file.path.to_string_lossy();
        let mut entry = json!({ "path": path, "bytes": file.bytes, "sha256": file.sha256 });
        if file.was_there {
            entry["was_there"] = true.into();
        }
        entry
    };
    Document {
        seed,
        rank: rank.map(Rank::rank),
        world: rank.map(Rank::world),
        engine: device.engine(),
        device: device.device(),
        tensors: Tensors(recipe, report),
        files: report.files.iter().map(file).collect(),
    }
}

fn list(json: bool) -> Result<ExitCode> {
    let mut recipes = Vec::new();
    for (name, text) in Recipe::builtins() {
        recipes.push((name, Recipe::parse(text, name)?));
    }
    if json {
        let recipes: Vec<_> = recipes
            .iter()
            .map(|(name, recipe)| {
                json!({
                    "name": name,
                    "description": recipe.description,
                    "tensors": recipe.tensors.len(),
                    "parameters": recipe.elements(),
                    "bytes": recipe.bytes(),
                })
            })
            .collect();
        let initializers: Vec<_> = init::catalogue()
            .iter()
            .map(|entry| {
                json!({
                    "name": entry.name,
                    "aliases": entry.aliases,
                    "parameters": entry.parameters,
                    "formula": entry.formula,
                })
            })
            .collect();
        let families: Vec<_> = families()
            .map(|family| {
                json!({
                    "model_type": family.model_type,
                    "description": family.description,
                    "architectures": family.architectures,
                })
            })
            .collect();
        print_json(&json!({
            "recipes": recipes, "families": families, "initializers": initializers,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = recipes
        .iter()
        .map(|(name, recipe)| {
            vec![
                (*name).to_owned(),
                recipe.tensors.len().to_string(),
                recipe.elements().to_string(),
                table::bytes(recipe.bytes()),
                recipe.description.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let columns = [
        Column::text("recipe"),
        Column::number("tensors").leaves(1),
        Column::number("elements"),
        Column::number("size"),
        Column::prose("what it is"),
    ];
    let mut text = table(columns, rows);
    text.push('\n');
    let rows = families()
        .map(|family| {
            let classes = family.architectures.join(", ");
            vec![family.model_type.to_owned(), family.description.to_owned(), classes]
        })
        .collect();
    let columns = [
        Column::text("config.json of"),
        Column::prose("what it is"),
        Column::prose("classes, the usual one first").leaves(1),
    ];
    text += &table(columns, rows);
    text.push('\n');
    let rows = init::catalogue()
        .iter()
        .map(|entry| {
            let mut formula = entry.formula.to_owned();
            if !entry.aliases.is_empty() {
                formula += &format!(" (also {})", entry.aliases.join(", "));
            }
            vec![entry.name.to_owned(), entry.parameters.to_owned(), formula]
        })
        .collect();
    let columns =
        [Column::text("initializer"), Column::prose("parameters"), Column::prose("formula")];
    text += &table(columns, rows);
    text += "\n";
    let gains = "A gain may be a nonlinearity's, by its name: orthogonal:gain=relu.";
    text += &paragraph(gains, "", "", page());
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::cpu_is_first;

    #[test]
    fn auto_takes_what_has_a_file_ready_first() {
        for (threads, elements, first) in [
            (1, 120_000_000, true),
            (1, 120_000_001, false),
            (2, 124_439_808, true),
            (4, 1_235_814_400, false),
            (8, 1_235_814_400, true),
        ] {
            assert_eq!(cpu_is_first(threads, elements).is_some(), first, "{threads} {elements}");
        }
    }
}
