//! `fanin train`: networks side by side, one for each initializer.

mod args;
mod outputs;
mod prepare;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use args::TrainArgs;
use fanin::init::Init;
use fanin::model::data::{self, Dataset, LoadOptions, Loaded};
use fanin::model::{Network, Outcome, TrainOptions, Trainer};
use fanin::{Error, Result, counted};
use indicatif::{MultiProgress, ProgressBar};
use outputs::Outputs;

use super::inits::parse_inits;
use super::table::short;
use super::{note, print, progress, stop};

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
    let prepared = prepare::prepare(&args, train, test)?;
    let outputs = prepare::outputs(&prepared.0, args.loss);
    let fits: Vec<Init> = inits.iter().map(|(_, init)| *init).collect();
    let networks: Vec<(String, Network)> = inits
        .into_iter()
        .map(|(text, init)| Ok((text, args::network(&args, prepared.0.columns(), outputs, init)?)))
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
        "{}: {}, {}, {}, {}; {task}: {reason}",
        train.name,
        counted(train.rows(), "training row"),
        counted(test.map_or(0, Dataset::rows), "test row"),
        counted(train.columns(), "feature"),
        prepare::targets(train),
    ));
    let stop = stop::listen();

    let options = args::options(&args);
    let bars = MultiProgress::new();
    let mut runs = Vec::new();
    for (init, network) in networks {
        let mut trainer = Trainer::new(&device, &network, &options, train, test)?;
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
    outputs.save_figures(&args, &runs, &verdicts)?;
    let digest =
        |run: &mut Run| match run.trainer.arithmetic().is_exact() && !run.trainer.diverged() {
            true => run.trainer.digest().map(Some),
            false => Ok(None),
        };
    let digests = runs.iter_mut().map(digest).collect::<Result<Vec<_>>>()?;
    report::report(&args, &runs, &verdicts, &digests)?;
    Ok(ExitCode::from(u8::from(interrupted)))
}

fn announcement(trainer: &Trainer, options: &TrainOptions) -> Result<String> {
    let rows = match options.batch {
        None => "all rows".to_owned(),
        Some(batch) => counted(batch, "row"),
    };
    let (network, steps) = (trainer.network(), trainer.steps());
    let (parameters, device) = (network.recipe()?.elements(), trainer.device());
    let (parameters, steps) = (counted(parameters, "parameter"), counted(steps, "step"));
    Ok(format!("{network:?}, {parameters}, {steps} of {rows}; {device}"))
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
                run.bar.set_message(report::summary(epoch));
            }
        }
    }
    Ok(false)
}
