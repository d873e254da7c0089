use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use fanin::init::Init;
use fanin::model::data::{
    self, Collapsed, Dataset, LoadOptions, Loaded, Standardizer, Targets, Task,
};
use fanin::model::{
    Epoch, Loss, LsuvStep, Mlp, Optimizer, Options, Schedule, Score, Target, Trainer, Verdict,
};
use fanin::recipe::{self, WriteOptions};
use fanin::{Activation, Error, Result, file};
use indicatif::{MultiProgress, ProgressBar};
use serde_json::{Value, json};

use super::catalogue::{formulas, learning_rates, one_of};
use super::inits::parse_inits;
use super::plot::{self, Curves, Series};
use super::table::{short, table};
use super::{DeviceArgs, note, print, print_json, progress, stop};

/// In 80 columns: what is wrapped by hand is not to be wrapped again.
const HELP: &str = "\
Examples:
  fanin train --init he_normal,xavier_normal,zeros
  fanin train --data digits --hidden 256,256 --activation gelu --epochs 20
  fanin train --data houses.csv --target price --out houses.safetensors
  fanin train --data mnist/ --batch 256 --device gpu
  fanin train --resume houses.safetensors --data houses.csv --target price \\
      --epochs 60 --out houses.safetensors --force

Verdicts compare the training loss (the last epoch's, or that of the final
network on all training rows, whichever is less) with that of the best constant
answer:
  learned     more than 10 % below it
  overfitted  the same, but on 20 test rows or more accuracy or R2 is lower by
              0.1 or more, and what it is a mean of differs by more than three
              standard errors
  learning    1 to 10 % below it; or it still falls, the last epoch's being
              more than 1 % below every earlier one's; or the run has fewer than
              two epochs; or accuracy is 0.1 or more above that answer's
  stuck       none of these, or the weights cannot learn; why is said
  diverged    something became infinite or not a number; what, where and when

Accuracy is the share of rows whose class has the largest output, with bce too.
Of several targets from 0 to 1 a row with bce (labels that may come together) it
is the share of single ones whose output is on the target's side of 1/2. R2 is
1 - (mean squared error) / variance over the rows; of several targets the mean
over them, as scikit-learn's r2_score has it.";

/// The formulas, and the rest.
fn long_help() -> String {
    [
        formulas(
            "Nonlinearities; numbers may be left out and are then as said",
            Activation::help(),
        ),
        formulas("Losses, z being an output and t its target", Loss::help()),
        formulas("Optimizers, g being a gradient and w its parameter", Optimizer::help()),
        HELP.to_owned(),
    ]
    .join("\n")
}

#[derive(Args)]
#[command(after_help = HELP, after_long_help = long_help())]
pub struct TrainArgs {
    /// A generated set (spirals, moons, rings, teacher, digits), or a file: CSV with a header, a
    /// folder of MNIST's IDX files (gzipped or not), .npy, .npz or .safetensors
    #[arg(long, default_value = "spirals", value_name = "SET")]
    data: String,

    /// The column, array or file that holds the targets
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,

    /// classify or regress; guessed from the target, and said, where it is not given
    #[arg(long)]
    task: Option<Task>,

    /// Widths of the hidden layers
    #[arg(long, value_delimiter = ',', default_value = "64,64,64,64", value_name = "WIDTHS")]
    hidden: Vec<u64>,

    #[arg(
        long,
        default_value = "relu",
        help = one_of("The nonlinearity of the hidden layers", Activation::help())
    )]
    activation: Activation,

    /// Initializers of the weights; each trains a network of its own
    #[arg(long, default_value = "he_normal", value_name = "INIT,...")]
    init: String,

    /// The initializer of the biases
    #[arg(long, default_value = "zeros")]
    bias: Init,

    #[arg(
        long,
        help = one_of("The loss", Loss::help())
            + "; by the task where none is given. Targets that are numbers stay as they are with bce, \
               which needs 0 to 1"
    )]
    loss: Option<Loss>,

    #[arg(long, default_value = "adam", help = one_of("The optimizer", Optimizer::help()))]
    optimizer: Optimizer,

    #[arg(long, allow_negative_numbers = true, help = learning_rates())]
    lr: Option<f64>,

    /// constant, step:EPOCHS,FACTOR, cosine or cosine:FLOOR
    #[arg(long, default_value = "constant")]
    schedule: Schedule,

    /// Steps over which the learning rate rises to its height
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    warmup: u64,

    /// Passes over the training rows
    #[arg(long, default_value_t = 40)]
    epochs: u64,

    /// Rows a step, or `full`
    #[arg(long, default_value = "64", value_parser = parse_batch)]
    batch: Batch,

    /// The share of rows kept for testing; a set that comes with test rows keeps its own
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", allow_negative_numbers = true)]
    test_split: f64,

    /// Leave features (and values to predict) as they are; else each column gets mean 0 and
    /// variance 1 over the training rows
    #[arg(long)]
    no_standardize: bool,

    /// Take the rows in their own order in each epoch
    #[arg(long)]
    no_shuffle: bool,

    /// The probability with which a hidden unit falls in training
    #[arg(long, default_value_t = 0.0, value_name = "P", allow_negative_numbers = true)]
    dropout: f64,

    /// Weight decay: in the gradient, but apart from it for adamw (where 0.01 is the default)
    #[arg(long, allow_negative_numbers = true)]
    weight_decay: Option<f64>,

    /// Bring the norm of all gradients together down to this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip: Option<f64>,

    /// Add each hidden layer's input to its output where their widths are equal
    #[arg(long)]
    residual: bool,

    /// Normalize what goes into each nonlinearity
    #[arg(long)]
    layer_norm: bool,

    /// The initializer of layer norm's scale in layers with a residual connection: with zeros they
    /// start as the identity (needs --layer-norm, --residual, and a nonlinearity with a slope at 0)
    #[arg(long, value_name = "INIT")]
    norm_init: Option<Init>,

    /// The maximal update parametrization: initial weights and learning rates for these hidden widths,
    /// one for all or one each, carried over to those of --hidden, so that a --lr found at the base
    /// width fits
    #[arg(long, value_delimiter = ',', value_name = "BASE_WIDTH")]
    mup: Option<Vec<u64>>,

    /// The seed of the weights, the split, the order of rows and dropout
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Write the trained parameters and the optimizer's state to a .safetensors file, at the end or
    /// when interrupted; with several initializers, one file each (run.he_normal.safetensors)
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write the initial weights to a .safetensors file (with several initializers, one each): what
    /// `fanin init` writes from the recipe of --print-recipe
    #[arg(long, value_name = "FILE")]
    save_initial: Option<PathBuf>,

    /// Go on from a file that --out wrote
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,

    /// Write the loss curves as an SVG picture; fanin-train.svg where neither this nor --no-plot nor
    /// --json is given
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Write no picture
    #[arg(long, conflicts_with = "plot")]
    no_plot: bool,

    /// Write one JSON line for each epoch of each run
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,

    /// Replace files that exist
    #[arg(long, short)]
    force: bool,

    /// One JSON document on stdout in place of the tables
    #[arg(long)]
    json: bool,

    /// Print the recipe of the network's initial weights (of the first initializer), for
    /// `fanin init`, and stop
    #[arg(long)]
    print_recipe: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy)]
enum Batch {
    Full,
    Rows(usize),
}

fn parse_batch(text: &str) -> std::result::Result<Batch, String> {
    match text {
        "full" => Ok(Batch::Full),
        _ => text.parse().map(Batch::Rows).map_err(|_| "needed a number of rows, or `full`".into()),
    }
}

/// One network on its way.
struct Run {
    init: String,
    trainer: Trainer,
    bar: ProgressBar,
    started: Instant,
    seconds: f64,
}

pub fn run(args: TrainArgs) -> Result<ExitCode> {
    let inits = parse_inits(&args.init)?;
    let load_options = LoadOptions { target: args.target.clone(), task: args.task };
    let Loaded { train, test, task, reason } = data::load(&args.data, &load_options, args.seed)?;
    let prepared = prepare(&args, train, test)?;
    let outputs = outputs(&prepared.0, args.loss);
    let fits: Vec<Init> = inits.iter().map(|(_, init)| *init).collect();
    let networks: Vec<(String, Mlp)> = inits
        .into_iter()
        .map(|(text, init)| Ok((text, network(&args, prepared.0.columns(), outputs, init)?)))
        .collect::<Result<_>>()?;
    let lsuv = |init: &Init| matches!(init, Init::Lsuv { .. });
    if (args.print_recipe || args.save_initial.is_some()) && fits.iter().any(lsuv) {
        return Err(Error::Invalid {
            what: "--print-recipe, --save-initial".into(),
            given: "lsuv".into(),
            needed: "an initializer that no data go into (--out keeps what training makes of them)"
                .into(),
        });
    }
    if args.print_recipe {
        print(&networks[0].1.recipe()?.to_toml())?;
        return Ok(ExitCode::SUCCESS);
    }
    let outputs = Outputs::new(&args, &networks)?;

    let device = args.device.open("trains")?;
    let (train, test) = (&prepared.0, prepared.1.as_ref());
    note(&format!(
        "{}: {} training rows, {} test rows, {} features, {}; {task}: {reason}",
        train.name,
        train.rows(),
        test.map_or(0, Dataset::rows),
        train.columns(),
        targets(train),
    ));
    let stop = stop::listen();

    let options = options(&args);
    let bars = MultiProgress::new();
    let mut runs = Vec::new();
    for (init, mlp) in networks {
        let mut trainer = Trainer::new(&device, &mlp, &options, train, test)?;
        if let Some(path) = &args.resume {
            trainer.resume(path)?;
        }
        if runs.is_empty() {
            // Before any bar is drawn.
            note(&announcement(&trainer, &options)?);
            if args.mup.is_some() {
                note(&multipliers(&trainer));
            }
        }
        let template = "{prefix:20!} {bar:30} {pos}/{len} {eta:>4} {msg}";
        let bar = bars.add(progress(template, trainer.steps()).with_prefix(init.clone()));
        bar.set_position(trainer.step());
        runs.push(Run { init, trainer, bar, started: Instant::now(), seconds: 0.0 });
    }
    outputs.save_initial(&args, &runs, stop)?;

    // What --out is to keep is kept, if it takes one more step first; nothing else is waited for.
    let keeping = args.out.is_some().then(stop::keep);
    let interrupted = train_all(&mut runs, stop)?;
    runs.iter().for_each(|run| run.bar.finish_and_clear());
    let judge = |runs: &mut [Run]| -> Result<Vec<Verdict>> {
        runs.iter_mut().map(|run| run.trainer.verdict()).collect()
    };
    // Whoever interrupts wants what there is, and a verdict takes a pass over all rows.
    let mut verdicts = if interrupted { Vec::new() } else { judge(&mut runs)? };
    outputs.save_trained(&args, &mut runs, &verdicts)?;
    if interrupted {
        note(match &args.out {
            Some(_) => "interrupted; --resume goes on from what --out wrote",
            None => "interrupted; nothing was saved (--out would have)",
        });
    }
    drop(keeping);
    if interrupted {
        verdicts = judge(&mut runs)?;
    }
    outputs.save_figures(&args, &runs)?;
    report(&args, &runs, &verdicts)?;
    Ok(ExitCode::from(u8::from(interrupted)))
}

fn announcement(trainer: &Trainer, options: &Options) -> Result<String> {
    let rows = match options.batch {
        None => "all rows".to_owned(),
        Some(batch) => format!("{batch} rows"),
    };
    let (mlp, steps) = (trainer.mlp(), trainer.steps());
    let (parameters, device) = (mlp.recipe()?.elements(), trainer.device());
    Ok(format!("{mlp:?}, {parameters} parameters, {steps} steps of {rows}; {device}"))
}

/// The learning rates of muP: each factor, with the parameters that have it.
fn multipliers(trainer: &Trainer) -> String {
    let mut groups: Vec<(f64, Vec<&str>)> = Vec::new();
    for parameter in trainer.parameters() {
        let (factor, name) = (parameter.lr_multiplier, parameter.name.as_str());
        match groups.iter_mut().find(|(own, _)| *own == factor) {
            Some((_, names)) => names.push(name),
            None => groups.push((factor, vec![name])),
        }
    }
    let group = |(factor, names): &(f64, Vec<&str>)| match names[..] {
        [first, _, _, _, ..] => {
            format!("x{} in {first} and {} more", short(*factor), names.len() - 1)
        }
        _ => format!("x{} in {}", short(*factor), names.join(", ")),
    };
    let groups: Vec<String> = groups.iter().map(group).collect();
    format!("muP: the learning rate {}", groups.join("; "))
}

/// Takes turns, so that all runs are seen to move; true where the user asked to stop.
fn train_all(runs: &mut [Run], stop: &AtomicBool) -> Result<bool> {
    while runs.iter().any(|run| !run.trainer.finished()) {
        for run in runs.iter_mut().filter(|run| !run.trainer.finished()) {
            if stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            run.started = Instant::now();
            run.trainer.advance()?;
            run.seconds += run.started.elapsed().as_secs_f64();
            run.bar.set_position(run.trainer.step());
            if let Some(epoch) = run.trainer.history().last() {
                run.bar.set_message(summary(epoch));
            }
        }
    }
    Ok(false)
}

/// Splits what is not split yet, and standardizes by the training rows.
fn prepare(
    args: &TrainArgs,
    train: Dataset,
    test: Option<Dataset>,
) -> Result<(Dataset, Option<Dataset>)> {
    let (mut train, mut test) = match test {
        Some(test) => (train, Some(test)),
        None if args.test_split == 0.0 => (train, None),
        None => {
            let (train, test) = train.split(args.seed, args.test_split)?;
            check_classes(&train)?;
            (train, Some(test))
        }
    };
    let by = match (args.no_standardize, args.loss) {
        (true, _) => Standardizer::default(),
        (false, Some(loss)) if loss.target() == Target::Share => {
            Standardizer::fit(&train).without_targets()
        }
        (false, _) => Standardizer::fit(&train),
    };
    for Collapsed { column, distinct, left } in by.collapsed(&train)? {
        note(&format!(
            "`{column}`: of {distinct} distinct numbers {left} are left in float32, which the network \
             computes in{}",
            if args.no_standardize { "; without --no-standardize they may stay apart" } else { "" }
        ));
    }
    by.apply(&mut train)?;
    if let Some(test) = &mut test {
        by.apply(test)?;
    }
    Ok((train, test))
}

/// A small set may lose all but one class to the test rows.
fn check_classes(train: &Dataset) -> Result<()> {
    match &train.targets {
        Targets::Classes { labels, names } if labels.iter().all(|label| *label == labels[0]) => {
            let class = names.get(labels[0] as usize).map_or("", String::as_str);
            Err(Error::Invalid {
                what: format!("training rows of {}, after the split", train.name),
                given: format!("{} of one class, `{class}`", labels.len()),
                needed: "two classes at least: more rows, another --seed or --test-split".into(),
            })
        }
        _ => Ok(()),
    }
}

/// How many outputs the network needs.
fn outputs(train: &Dataset, loss: Option<Loss>) -> u64 {
    match &train.targets {
        Targets::Classes { names, .. } => match loss {
            Some(loss) if loss.target() == Target::Share && names.len() == 2 => 1,
            _ => names.len() as u64,
        },
        Targets::Values { names, .. } => names.len() as u64,
    }
}

fn network(args: &TrainArgs, inputs: usize, outputs: u64, init: Init) -> Result<Mlp> {
    // `--hidden 0` and the like are told apart from no hidden layer at all.
    let widths = [&[inputs as u64][..], &args.hidden, &[outputs]].concat();
    let mut mlp = Mlp::new(widths)?
        .activation(args.activation)
        .init(init)
        .bias(args.bias)
        .dropout(args.dropout)
        .residual(args.residual)
        .layer_norm(args.layer_norm);
    if let Some(init) = args.norm_init {
        mlp = mlp.norms(init);
    }
    if let Some(base) = &args.mup {
        mlp = mlp.mup(base.clone());
    }
    Ok(mlp)
}

fn options(args: &TrainArgs) -> Options {
    let optimizer = match args.weight_decay {
        Some(decay) => args.optimizer.with_weight_decay(decay),
        None => args.optimizer,
    };
    Options {
        loss: args.loss,
        optimizer,
        lr: args.lr.unwrap_or(optimizer.default_lr()),
        schedule: Schedule { warmup: args.warmup, ..args.schedule },
        batch: match args.batch {
            Batch::Full => None,
            Batch::Rows(rows) => Some(rows),
        },
        epochs: args.epochs,
        seed: args.seed,
        shuffle: !args.no_shuffle,
        clip: args.clip,
    }
}

fn targets(set: &Dataset) -> String {
    match &set.targets {
        Targets::Classes { names, .. } => format!("{} classes", names.len()),
        Targets::Values { names, .. } if names.len() == 1 => "1 value".into(),
        Targets::Values { names, .. } => format!("{} values", names.len()),
    }
}

fn summary(epoch: &Epoch) -> String {
    let mut text = format!("loss {}", short(epoch.train.loss));
    if let Some(test) = &epoch.test {
        let _ = write!(text, ", test {}", quality(test));
    }
    text
}

/// `98.3 %` of classes, `R2 0.97` of values.
fn quality(score: &Score) -> String {
    match (score.accuracy, score.r2) {
        (Some(accuracy), _) => format!("{:.1} %", 100.0 * accuracy),
        // Without the sign of what rounds to 0.
        (_, Some(r2)) if r2 < -1e3 => short(r2),
        (_, Some(r2)) => format!("{:.3}", (1e3 * r2).round() / 1e3 + 0.0),
        // Of a single row there is neither.
        _ => "-".into(),
    }
}

/// The files of a command, checked before anything is trained.
struct Outputs {
    initial: Vec<PathBuf>,
    trained: Vec<PathBuf>,
}

impl Outputs {
    fn new(args: &TrainArgs, networks: &[(String, Mlp)]) -> Result<Outputs> {
        let invalid = |what: &str, given: &str, needed: &str| {
            Err(Error::Invalid { what: what.into(), given: given.into(), needed: needed.into() })
        };
        if args.resume.is_some() && networks.len() > 1 {
            return invalid("--resume", "several initializers", "one run");
        }
        let several = |path: &Option<PathBuf>| -> Result<Vec<PathBuf>> {
            let Some(path) = path else { return Ok(Vec::new()) };
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".safetensors").filter(|stem| !stem.is_empty())
            else {
                let given = path.display().to_string();
                invalid("output", &given, "a file name that ends in .safetensors")?;
                return Ok(Vec::new());
            };
            Ok(match networks {
                [_] => vec![path.clone()],
                _ => networks
                    .iter()
                    .map(|(init, _)| {
                        let init: String = init
                            .chars()
                            .map(|c| {
                                if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' }
                            })
                            .collect();
                        path.with_file_name(format!("{stem}.{init}.safetensors"))
                    })
                    .collect(),
            })
        };
        let outputs =
            Outputs { initial: several(&args.save_initial)?, trained: several(&args.out)? };
        let weights = || outputs.initial.iter().chain(&outputs.trained);
        let others = || args.plot.iter().chain(&args.metrics);
        // Which `fanin init` would write beside.
        let manifests: Vec<PathBuf> =
            outputs.initial.iter().map(|path| path.with_extension("manifest.json")).collect();
        let mut seen = HashSet::new();
        for path in weights().chain(others()).chain(&manifests) {
            if !seen.insert(path.as_path()) {
                let given = path.display().to_string();
                return invalid("output", &format!("{given} twice"), "a name for each file");
            }
        }
        weights().try_for_each(|path| file::check_model(path, args.force))?;
        others().try_for_each(|path| file::check(path, args.force))?;
        Ok(outputs)
    }

    fn save_initial(&self, args: &TrainArgs, runs: &[Run], stop: &AtomicBool) -> Result<()> {
        for (path, run) in self.initial.iter().zip(runs) {
            let options = WriteOptions {
                seed: args.seed,
                out: path,
                max_shard_bytes: None,
                force: args.force,
                file_digests: false,
                stop,
            };
            let recipe = run.trainer.mlp().recipe()?;
            recipe::write(&recipe, run.trainer.device(), &options, &mut |_| ())?;
        }
        Ok(())
    }

    /// Writes what was trained; `verdicts` are those that are known.
    fn save_trained(&self, args: &TrainArgs, runs: &mut [Run], verdicts: &[Verdict]) -> Result<()> {
        for (at, (path, run)) in self.trained.iter().zip(runs.iter_mut()).enumerate() {
            let verdict = verdicts.get(at);
            // What is infinite or no number is of no use to anyone.
            let lost = run.trainer.diverged() || matches!(verdict, Some(Verdict::Diverged(_)));
            if !lost {
                run.trainer.save(path, args.force)?;
            }
        }
        Ok(())
    }

    fn save_figures(&self, args: &TrainArgs, runs: &[Run]) -> Result<()> {
        if let Some(path) = &args.plot {
            file::save(path, plot::svg(&curves(args, runs)).as_bytes(), args.force)?;
            note(&format!("loss curves in {}", path.display()));
        } else if !args.no_plot && !args.json {
            // A picture that nobody asked for is no reason to fail.
            let path = Path::new("fanin-train.svg");
            match file::save(path, plot::svg(&curves(args, runs)).as_bytes(), true) {
                Ok(()) => note("loss curves in fanin-train.svg (--plot FILE, --no-plot)"),
                Err(error) => note(&format!("no picture: {error}")),
            }
        }
        if let Some(path) = &args.metrics {
            let mut text = String::new();
            for run in runs.iter() {
                for epoch in run.trainer.history() {
                    let mut line = epoch_json(epoch);
                    line.shift_insert(0, "init".to_owned(), json!(run.init));
                    let _ = writeln!(text, "{}", Value::Object(line));
                }
            }
            file::save(path, text.as_bytes(), args.force)?;
        }
        Ok(())
    }
}

/// The training loss of each run over the epochs.
fn curves(args: &TrainArgs, runs: &[Run]) -> Curves {
    let series = runs.iter().map(|run| Series {
        name: run.init.clone(),
        points: run
            .trainer
            .history()
            .iter()
            .map(|epoch| (epoch.epoch as f64, epoch.train.loss))
            .collect(),
    });
    let losses = runs.iter().flat_map(|run| run.trainer.history()).map(|epoch| epoch.train.loss);
    let (low, high) = losses
        .filter(|loss| *loss > 0.0 && loss.is_finite())
        .fold((f64::MAX, 0.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    Curves {
        title: format!("Training loss on {}, {}", args.data, args.activation),
        x_label: "epoch".into(),
        y_label: runs.first().map_or(String::new(), |run| run.trainer.loss().to_string()),
        // Where losses are far apart, a linear axis shows the largest alone.
        log_y: high > 10.0 * low,
        series: series.collect(),
    }
}

fn score_json(prefix: &str, score: Option<&Score>) -> [(String, Value); 3] {
    [
        (format!("{prefix}_loss"), json!(score.map(|score| score.loss))),
        (format!("{prefix}_accuracy"), json!(score.and_then(|score| score.accuracy))),
        (format!("{prefix}_r2"), json!(score.and_then(|score| score.r2))),
    ]
}

fn epoch_json(epoch: &Epoch) -> serde_json::Map<String, Value> {
    let mut line = serde_json::Map::from_iter([("epoch".to_owned(), json!(epoch.epoch))]);
    line.extend(score_json("train", Some(&epoch.train)));
    line.extend(score_json("test", epoch.test.as_ref()));
    line
}

fn lsuv_json(step: &LsuvStep) -> Value {
    let LsuvStep { layer, iteration, variance, reached } = *step;
    json!({ "layer": layer, "iteration": iteration, "variance": variance, "reached": reached })
}

/// A line for each layer that LSUV scaled, and which of them are not where they should be.
fn lsuv_table(init: &str, log: &[LsuvStep]) -> String {
    let layers: Vec<&[LsuvStep]> = log.chunk_by(|a, b| a.layer == b.layer).collect();
    let rows = layers
        .iter()
        .map(|steps| {
            let (first, last) = (steps[0], steps[steps.len() - 1]);
            vec![
                format!("layers.{}", first.layer),
                short(first.variance),
                short(last.variance),
                last.iteration.to_string(),
            ]
        })
        .collect();
    let header = ["layer", "variance", "scaled", "corrections"];
    let mut text = format!(
        "{init}: the variance of each layer's signals before the nonlinearity, on the first batch, \
         as drawn and scaled\n\n{}",
        table(&header, &header[1..], rows)
    );
    let missed: Vec<String> = layers
        .iter()
        .filter_map(|steps| steps.last().filter(|step| !step.reached))
        .map(|step| format!("layers.{}", step.layer))
        .collect();
    if !missed.is_empty() {
        let _ = write!(
            text,
            "\nnot within the tolerance after all iterations: {}. More iterations, a larger tolerance \
             (lsuv:TOLERANCE,ITERATIONS), or smaller biases would do.\n",
            missed.join(", ")
        );
    }
    text
}

fn report(args: &TrainArgs, runs: &[Run], verdicts: &[Verdict]) -> Result<()> {
    if args.json {
        let documents: Vec<_> = runs
            .iter()
            .zip(verdicts)
            .map(|(run, verdict)| {
                let mut document = json!({
                    "init": run.init,
                    "verdict": verdict.name(),
                    "reason": verdict.reason(),
                    "baseline_loss": run.trainer.baseline(),
                    "steps": run.trainer.step(),
                    "seconds": run.seconds,
                    "epochs": run.trainer.history().iter().map(epoch_json).collect::<Vec<_>>(),
                });
                let log: Vec<Value> = run.trainer.lsuv_log().iter().map(lsuv_json).collect();
                if !log.is_empty() {
                    document["lsuv"] = log.into();
                }
                document
            })
            .collect();
        return print_json(&json!({
            "engine": runs[0].trainer.device().engine(),
            "device": runs[0].trainer.device().to_string(),
            "seed": args.seed,
            "runs": documents,
        }));
    }
    let regress = runs[0].trainer.loss().target() == Target::Value;
    let what = if regress { "R2" } else { "accuracy" };
    let test = format!("test {what}");
    let header = [
        "init",
        "epochs",
        "first loss",
        "last loss",
        what,
        "test loss",
        &test,
        "seconds",
        "verdict",
    ];
    let right = ["epochs", "first loss", "last loss", what, "test loss", &test, "seconds"];
    let rows = runs
        .iter()
        .zip(verdicts)
        .map(|(run, verdict)| {
            let history = run.trainer.history();
            let (first, last) = (history.first(), history.last());
            let blank = || "-".to_owned();
            let tested = last.and_then(|epoch| epoch.test.as_ref());
            vec![
                run.init.clone(),
                history.len().to_string(),
                first.map_or_else(blank, |epoch| short(epoch.train.loss)),
                last.map_or_else(blank, |epoch| short(epoch.train.loss)),
                last.map_or_else(blank, |epoch| quality(&epoch.train)),
                tested.map_or_else(blank, |score| short(score.loss)),
                tested.map_or_else(blank, quality),
                format!("{:.2}", run.seconds),
                verdict.name().to_owned(),
            ]
        })
        .collect();
    let mut text = table(&header, &right, rows);
    for (run, verdict) in runs.iter().zip(verdicts) {
        if let Some(reason) = verdict.reason() {
            let _ = write!(
                text,
                "\n{} {}: {reason}.\n",
                run.init,
                match verdict {
                    Verdict::Stuck(_) => "did not learn",
                    Verdict::Learning(_) => "has not learned yet",
                    other => other.name(),
                }
            );
        }
    }
    for run in runs.iter().filter(|run| !run.trainer.lsuv_log().is_empty()) {
        let _ = write!(text, "\n{}", lsuv_table(&run.init, run.trainer.lsuv_log()));
    }
    if runs.iter().any(|run| run.trainer.history().len() > 1) {
        let _ = write!(text, "\n{}", plot::terminal(&curves(args, runs), 72));
    }
    print(&text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initializers_keep_their_commas() {
        let names = |text: &str| -> Vec<String> {
            parse_inits(text).unwrap().into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names("he_normal,xavier_normal,zeros"), ["he_normal", "xavier_normal", "zeros"]);
        assert_eq!(
            names("uniform:-0.1,0.1,normal:std=0.1,mean=0.5,zeros"),
            ["uniform:-0.1,0.1", "normal:std=0.1,mean=0.5", "zeros"]
        );
        assert!(parse_inits("zeros,zeros").is_err());
        assert!(parse_inits("").is_err());
    }
}
