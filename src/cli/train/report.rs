//! What came of it: tables, curves, JSON.

use std::fmt::Write as _;
use std::path::Path;

use fanin::model::{Epoch, LsuvStep, Outcome, Schedule, Score, Target};
use fanin::{Result, counted};
use serde_json::{Value, json};

use super::args::options;
use super::{Run, TrainArgs};
use crate::cli::chart::{Chart, Line};
use crate::cli::flags::advised;
use crate::cli::table::{Column, short, table};
use crate::cli::{print, print_json};

pub(super) fn summary(epoch: &Epoch) -> String {
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

/// The training loss of each run over the epochs.
pub(super) fn curves(args: &TrainArgs, runs: &[Run]) -> Chart {
    let lines = runs.iter().map(|run| {
        let history = run.trainer.history().iter();
        let curve = history.map(|epoch| (epoch.epoch as f64, epoch.train.loss, 1.0));
        Line { name: run.init.clone(), curve: curve.collect(), ..Line::default() }
    });
    let losses = runs.iter().flat_map(|run| run.trainer.history()).map(|epoch| epoch.train.loss);
    Chart {
        title: format!("Training loss on {}, {}", args.data, args.activation),
        x_label: "epoch".into(),
        y_label: runs.first().map_or(String::new(), |run| run.trainer.loss().to_string()),
        log: far_apart(losses),
        lines: lines.collect(),
        ..Chart::default()
    }
}

/// Whether a linear axis would show the largest of some numbers alone.
fn far_apart(values: impl Iterator<Item = f64>) -> bool {
    let (low, high) = values
        .filter(|value| *value > 0.0 && value.is_finite())
        .fold((f64::MAX, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    high > 10.0 * low
}

/// The losses of training and of testing, and where runs ended before their time.
pub(super) fn picture(args: &TrainArgs, runs: &[Run], verdicts: &[Outcome]) -> Chart {
    let mut chart = curves(args, runs);
    for ((line, run), verdict) in chart.lines.iter_mut().zip(runs).zip(verdicts) {
        let Run { trainer, .. } = run;
        let tested = trainer.history().iter();
        let tested = tested.filter_map(|own| Some((own.epoch as f64, own.test.as_ref()?.loss)));
        line.second = tested.collect();
        if let Outcome::Diverged(_) = verdict {
            let (step, each) = (trainer.step(), trainer.epoch_steps());
            line.end = Some(match trainer.diverged() {
                true => (
                    (step + 1) as f64 / each as f64,
                    format!("diverged at step {}, in epoch {}", step + 1, step / each + 1),
                ),
                false => (step as f64 / each as f64, format!("diverged after step {step}")),
            });
        }
    }
    let tests = chart.lines.iter().any(|line| !line.second.is_empty());
    chart.styles = tests.then(|| ["training".into(), "test".into()]);
    let name = Path::new(&args.data).file_name().unwrap_or(args.data.as_ref());
    chart.title = format!("Loss on {}", name.to_string_lossy());
    chart.subtitle = settings(args, runs);
    chart.caption =
        "Training: the mean over the rows of each epoch, as they were seen in it.".into();
    if tests {
        chart.caption += " Test (dashed): after each epoch, over the rows kept for it.";
    }
    if chart.lines.iter().any(|line| line.end.is_some()) {
        chart.caption += " A cross marks where a run diverged; a dotted line leads to it.";
    }
    chart.y_label = format!("loss, {}", chart.y_label);
    let losses = chart.lines.iter().flat_map(|line| {
        line.curve.iter().map(|own| own.1).chain(line.second.iter().map(|own| own.1))
    });
    chart.log = far_apart(losses);
    chart
}

/// What the runs have in common: network, optimizer, rate, batch, seed.
fn settings(args: &TrainArgs, runs: &[Run]) -> String {
    let options = options(args);
    let mut parts: Vec<String> =
        runs.first().iter().map(|run| format!("{:?}", run.trainer.network())).collect();
    let rate = match options.lr {
        rate if rate == 0.0 || (1e-4..1e6).contains(&rate) => rate.to_string(),
        rate => format!("{rate:e}"),
    };
    parts.push(format!("{}, learning rate {rate}", options.optimizer));
    if options.schedule != Schedule::default() {
        let Schedule { warmup, .. } = options.schedule;
        parts.push(format!("schedule {}, {warmup} steps of warm-up", options.schedule));
    }
    parts.push(match options.batch {
        Some(rows) => format!("batch {rows}"),
        None => "all rows a step".into(),
    });
    parts.extend(options.clip.map(|norm| format!("clipped to {norm}")));
    if options.arithmetic.is_exact() {
        parts.push(options.arithmetic.to_string());
    }
    parts.push(format!("seed {}", options.seed));
    parts.join("; ")
}

fn score_json(prefix: &str, score: Option<&Score>) -> [(String, Value); 3] {
    [
        (format!("{prefix}_loss"), json!(score.map(|score| score.loss))),
        (format!("{prefix}_accuracy"), json!(score.and_then(|score| score.accuracy))),
        (format!("{prefix}_r2"), json!(score.and_then(|score| score.r2))),
    ]
}

pub(super) fn epoch_json(epoch: &Epoch) -> serde_json::Map<String, Value> {
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
    let columns = [
        Column::text("layer"),
        Column::number("variance"),
        Column::number("scaled"),
        Column::number("corrections"),
    ];
    let mut text = format!(
        "{init}: the variance of each layer's signals before the nonlinearity, on the first batch, \
         as drawn and scaled\n\n{}",
        table(columns, rows)
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

/// What the runs came to; `digests` are those of exact runs that did not diverge.
pub(super) fn report(
    args: &TrainArgs,
    runs: &[Run],
    verdicts: &[Outcome],
    digests: &[Option<String>],
) -> Result<()> {
    if args.json {
        let documents: Vec<_> = runs
            .iter()
            .zip(verdicts)
            .zip(digests)
            .map(|((run, verdict), digest)| {
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
                if let Some(digest) = digest {
                    document["digest"] = json!(digest);
                }
                document
            })
            .collect();
        let mut document = json!({
            "engine": runs[0].trainer.device().engine(),
            "device": runs[0].trainer.device().to_string(),
            "seed": args.seed,
            "runs": documents,
        });
        let arithmetic = runs[0].trainer.arithmetic();
        if arithmetic.is_exact() {
            document["arithmetic"] = json!(arithmetic.to_string());
        }
        return print_json(&document);
    }
    let regress = runs[0].trainer.loss().target() == Target::Value;
    let what = if regress { "R2" } else { "accuracy" };
    let test = format!("test {what}");
    let columns = [
        Column::name("init"),
        Column::number("epochs").leaves(2),
        Column::number("first loss").leaves(3),
        Column::number("last loss"),
        Column::number(what),
        Column::number("test loss").leaves(4),
        Column::number(&test),
        Column::number("seconds").leaves(1),
        Column::text("verdict"),
    ];
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
    let mut text = table(columns, rows);
    for (run, verdict) in runs.iter().zip(verdicts) {
        if let Some(reason) = verdict.reason() {
            let _ = write!(
                text,
                "\n{} {}: {}.\n",
                run.init,
                match verdict {
                    Outcome::Stuck(_) => "did not learn",
                    Outcome::Learning(_) => "has not learned yet",
                    other => other.name(),
                },
                advised(reason)
            );
        }
    }
    for run in runs.iter().filter(|run| !run.trainer.lsuv_log().is_empty()) {
        let _ = write!(text, "\n{}", lsuv_table(&run.init, run.trainer.lsuv_log()));
    }
    if runs.iter().any(|run| run.trainer.history().len() > 1) {
        let _ = write!(text, "\n{}", curves(args, runs).terminal(72));
    }
    let exact = runs.iter().zip(digests).filter_map(|(run, digest)| Some((run, digest.as_ref()?)));
    for (run, digest) in exact {
        let Run { init, trainer, .. } = run;
        let _ = write!(
            text,
            "\n{init} after {}, {}:\nSHA-256 of the weights and the optimizer's state\n{digest}\n",
            counted(trainer.step(), "step"),
            trainer.arithmetic(),
        );
    }
    print(&text)?;
    Ok(())
}
