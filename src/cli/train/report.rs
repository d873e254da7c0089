//! What came of it: tables, curves, JSON.

use std::fmt::Write as _;

use fanin::model::{Epoch, LsuvStep, Outcome, Score, Target};
use fanin::{Result, counted};
use serde_json::{Value, json};

use super::{Run, TrainArgs};
use crate::cli::chart::{Chart, Line, UNBOUNDED};
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
    let (low, high) = losses
        .filter(|loss| *loss > 0.0 && loss.is_finite())
        .fold((f64::MAX, 0.0f64), |(low, high), loss| (low.min(loss), high.max(loss)));
    Chart {
        title: format!("Training loss on {}, {}", args.data, args.activation),
        caption: "The mean loss over the rows of each epoch, as they were seen in it.".into(),
        x_label: "epoch".into(),
        y_label: runs.first().map_or(String::new(), |run| run.trainer.loss().to_string()),
        // Where losses are far apart, a linear axis shows the largest alone.
        log: high > 10.0 * low,
        bounds: UNBOUNDED,
        lines: lines.collect(),
    }
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
