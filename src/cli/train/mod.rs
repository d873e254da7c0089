//! `fanin train`: networks side by side, one for each initializer and seed.

mod args;
mod compare;
mod outputs;
mod prepare;
mod report;
mod resume;
mod spread;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use args::TrainArgs;
use clap::ArgMatches;
use fanin::init::Init;
use fanin::model::data::{Dataset, Generated, Loaded, Preparation};
use fanin::model::{Epoch, Loss, LsuvStep, Outcome, TrainOptions, Trainer};
use fanin::{Device, Error, Result, counted};
use indicatif::{MultiProgress, ProgressBar};
use outputs::Outputs;
use prepare::Prepared;
pub use report::quality;

use super::inits::parse_inits;
use super::table::short;
use super::{note, print, progress, seeds, stop};

/// One network on its way.
struct Run {
    init: String,
    trainer: Trainer,
    bar: ProgressBar,
    started: Instant,
    seconds: f64,
}

/// One network at its end.
struct Ended {
    init: String,
    seed: u64,
    history: Vec<Epoch>,
    steps: u64,
    /// Something was no finite number any more.
    overflowed: bool,
    baseline: f64,
    seconds: f64,
    lsuv: Vec<LsuvStep>,
    outcome: Outcome,
    /// Of exact runs that did not diverge.
    digest: Option<String>,
}

impl Run {
    fn end(mut self, seed: u64, outcome: Outcome) -> Result<Ended> {
        let trainer = &mut self.trainer;
        let exact = trainer.arithmetic().is_exact() && !trainer.diverged();
        Ok(Ended {
            seed,
            history: trainer.history().to_vec(),
            steps: trainer.step(),
            overflowed: trainer.diverged(),
            baseline: trainer.baseline(),
            lsuv: trainer.lsuv_log().to_vec(),
            outcome,
            digest: if exact { Some(trainer.digest()?) } else { None },
            init: self.init,
            seconds: self.seconds,
        })
    }
}

/// What all runs have in common.
struct Common {
    device: Device,
    loss: Loss,
    /// But for their seeds.
    options: TrainOptions,
    epoch_steps: u64,
    network: String,
}

pub fn run(args: TrainArgs, matches: &ArgMatches) -> Result<ExitCode> {
    let (args, kept) = resume::resumed(args.settled(matches), matches)?;
    let inits = parse_inits(&args.init)?;
    let seeds = seeds(args.seeds, args.seed)?;
    let loaded = prepare::load(&args, args.seed);
    let loaded = loaded.map_err(|error| resume::without_data(error, &args, matches))?;
    // A file is read once, whatever the seeds.
    let of_file = seeds.len() > 1 && args.data.parse::<Generated>().is_err();
    let read = of_file.then(|| loaded.clone());
    let first = Prepared::new(&args, &inits, args.seed, loaded)?;
    let lsuv = |(_, init): &(String, Init)| matches!(init, Init::Lsuv { .. });
    if (args.print_recipe || args.save_initial.is_some()) && inits.iter().any(lsuv) {
        return Err(Error::Invalid {
            what: "--print-recipe, --save-initial".into(),
            given: "lsuv".into(),
            needed: "an initializer that no data go into (--out keeps what training makes of them)"
                .into(),
        });
    }
    if args.print_recipe {
        print(&first.networks[0].1.recipe()?.to_toml())?;
        return Ok(ExitCode::SUCCESS);
    }
    let outputs = Outputs::new(&args, &first.networks)?;

    let device = args.device.open("trains")?;
    if args.demonstration {
        note(args::DEMONSTRATION);
    }
    note(&first.to_string());
    let stop = stop::listen();

    let multi = MultiProgress::new();
    let mut bars: Vec<ProgressBar> = Vec::new();
    let (mut ended, mut common, mut interrupted) = (Vec::new(), None, false);
    for (turn, &seed) in seeds.iter().enumerate() {
        let other;
        let set = match turn {
            0 => &first,
            _ => {
                let loaded = match &read {
                    Some(read) => read.clone(),
                    None => prepare::load(&args, seed)?,
                };
                other = Prepared::new(&args, &inits, seed, loaded)?;
                &other
            }
        };
        let rows = set.train.rows();
        let options = TrainOptions { seed, ..args::options(&args, rows) };
        if turn == 0
            && let Some(line) = args::fewer_rows(&args, rows)
        {
            note(&line);
        }
        let mut runs = Vec::new();
        for (at, (init, network)) in set.networks.iter().enumerate() {
            let test = set.test.as_ref();
            let mut trainer = Trainer::new(&device, network, &options, &set.train, test)?;
            trainer.set_preparation(set.preparation.clone())?;
            let mut kept = kept.clone();
            kept.insert("init".into(), init.clone());
            trainer.set_arguments(kept);
            if let Some(path) = &args.resume {
                trainer.resume(path)?;
                if trainer.finished() {
                    note(&format!(
                        "{} has all its {} already: more with --epochs",
                        path.display(),
                        counted(trainer.history().len(), "epoch")
                    ));
                }
            }
            if common.is_none() {
                // Before any bar is drawn.
                note(&announcement(&trainer, &options, seeds.len())?);
                if args.mup.is_some() {
                    note(&multipliers(&trainer));
                }
                common = Some(Common {
                    device: device.clone(),
                    loss: trainer.loss(),
                    options: options.clone(),
                    epoch_steps: trainer.epoch_steps(),
                    network: in_short(&format!("{:?}", trainer.network())),
                });
            }
            if turn == 0 {
                let length = trainer.steps() * seeds.len() as u64;
                let template = "{prefix:20!} {bar:20} {pos}/{len} {eta:>4} {wide_msg}";
                bars.push(multi.add(progress(template, length).with_prefix(init.clone())));
            }
            let bar = bars[at].clone();
            bar.set_position(turn as u64 * trainer.steps() + trainer.step());
            let (init, started) = (init.clone(), Instant::now());
            runs.push(Run { init, trainer, bar, started, seconds: 0.0 });
        }
        outputs.save_initial(&args, &runs, stop)?;

        // What --out is to keep is kept, if it takes one more step first; nothing else is waited for.
        let keeping = args.out.is_some().then(stop::keep);
        interrupted = train_all(&mut runs, turn as u64, stop)?;
        if interrupted || turn + 1 == seeds.len() {
            bars.iter().for_each(ProgressBar::finish_and_clear);
        }
        let judge = |runs: &mut [Run]| -> Result<Vec<Outcome>> {
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
        for (run, outcome) in runs.into_iter().zip(verdicts) {
            ended.push(run.end(seed, outcome)?);
        }
        if interrupted {
            break;
        }
    }
    let Some(common) = common else { return Ok(ExitCode::SUCCESS) };
    outputs.save_figures(&args, &common, &ended)?;
    let why = match args.json {
        true => None,
        false => compare::xavier_below_he(&ended, &first, &device)?,
    };
    report::report(&args, &common, &ended, why.as_deref())?;
    Ok(ExitCode::from(u8::from(interrupted)))
}

/// The training or the test rows of a run whose file keeps these settings, as they are in the source, what
/// is done to them, and what was seen.
pub fn load_part(
    path: &Path,
    settings: &BTreeMap<String, String>,
    test: bool,
) -> Result<(Option<Dataset>, Preparation, Vec<String>)> {
    let args = resume::saved(path, settings)?;
    let Loaded { train, test: own, preparation, notes, .. } = prepare::load(&args, args.seed)?;
    let (train, own) = prepare::split(&args, args.seed, train, own)?;
    Ok((if test { own } else { Some(train) }, preparation, notes))
}

fn announcement(trainer: &Trainer, options: &TrainOptions, seeds: usize) -> Result<String> {
    let rows = match options.batch {
        None => "all rows".to_owned(),
        Some(batch) => counted(batch, "row"),
    };
    let (network, steps) = (trainer.network(), trainer.steps());
    let (parameters, device) = (network.recipe()?.elements(), trainer.device());
    let (parameters, steps) = (counted(parameters, "parameter"), counted(steps, "step"));
    let seeds = if seeds > 1 { format!(", {}", counted(seeds, "seed")) } else { String::new() };
    let network = in_short(&format!("{network:?}"));
    Ok(format!("{network}, {parameters}, {steps} of {rows}{seeds}; {device}"))
}

/// `2-29x64-3` for a name in which many layers have one width.
fn in_short(network: &str) -> String {
    let parts: Vec<&str> = network.split('-').collect();
    let alike = parts.chunk_by(|a, b| a == b).flat_map(|alike| match alike {
        [width, _, _, _, _, ..] => vec![format!("{}x{width}", alike.len())],
        few => few.iter().map(|part| (*part).to_owned()).collect(),
    });
    alike.collect::<Vec<_>>().join("-")
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

/// Takes turns, so that all runs are seen to move, after so many seeds; true where the user asked to stop.
fn train_all(runs: &mut [Run], seeds: u64, stop: &AtomicBool) -> Result<bool> {
    while runs.iter().any(|run| !run.trainer.finished()) {
        for run in runs.iter_mut().filter(|run| !run.trainer.finished()) {
            if stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            run.started = Instant::now();
            run.trainer.advance()?;
            run.seconds += run.started.elapsed().as_secs_f64();
            run.bar.set_position(seeds * run.trainer.steps() + run.trainer.step());
            if let Some(epoch) = run.trainer.history().last() {
                run.bar.set_message(report::summary(epoch));
            }
        }
    }
    Ok(false)
}
