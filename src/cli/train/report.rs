//! What came of it: tables, curves, JSON.

use std::fmt::Write as _;
use std::path::Path;

use fanin::model::{Epoch, LsuvStep, Outcome, Schedule, Score, Target};
use fanin::{Result, counted};
use serde_json::{Value, json};

use super::spread::{Runs, Spread, grouped};
use super::{Common, Ended, TrainArgs};
use crate::cli::chart::{Chart, Line};
use crate::cli::flags::advised;
use crate::cli::table::{Column, short, table};
use crate::cli::text::{page, paragraph};
use crate::cli::{print, print_json};

pub(super) fn summary(epoch: &Epoch) -> String {
    let mut text = format!("loss {}", short(epoch.train.loss));
    if let Some(test) = &epoch.test {
        let _ = write!(text, ", test {}", quality(test));
    }
    text
}

/// `98.3 %` of classes, `R2 0.97` of values.
pub fn quality(score: &Score) -> String {
    match (score.accuracy, score.r2) {
        (Some(accuracy), _) => format!("{:.1} %", 100.0 * accuracy),
        // Without the sign of what rounds to 0.
        (_, Some(r2)) if r2 < -1e3 => short(r2),
        (_, Some(r2)) => format!("{:.3}", (1e3 * r2).round() / 1e3 + 0.0),
        // Of a single row there is neither.
        _ => "-".into(),
    }
}

/// How many epochs of several seeds are drawn with what they reach from and to: more would hide the line.
const WHISKERS: usize = 20;

/// The training loss of each initializer over the epochs; of several seeds the median.
pub(super) fn curves(args: &TrainArgs, common: &Common, ended: &[Ended]) -> Chart {
    let groups = grouped(ended);
    let lines = groups.iter().map(|runs| {
        let losses = runs.losses(|epoch| Some(&epoch.train));
        let every = losses.len().div_ceil(WHISKERS).max(1);
        let curve = match &runs.ended[..] {
            [alone] => alone.history.iter().map(|e| (e.epoch as f64, e.train.loss, 1.0)).collect(),
            _ => losses.iter().map(|(epoch, loss)| (*epoch, loss.median, 1.0)).collect(),
        };
        let reach =
            |(epoch, loss): &(f64, Spread)| (*epoch, loss.median, loss.least, loss.greatest);
        let points = match runs.ended.len() {
            1 => Vec::new(),
            _ => losses.iter().step_by(every).map(reach).collect(),
        };
        Line { name: runs.init.to_owned(), curve, points, ..Line::default() }
    });
    let losses = ended.iter().flat_map(|run| &run.history).map(|epoch| epoch.train.loss);
    let median = medians(args);
    Chart {
        title: format!("Training loss on {}, {}{median}", args.data, args.activation),
        x_label: "epoch".into(),
        y_label: common.loss.to_string(),
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

/// `, medians of 20 seeds`, where there are several.
fn medians(args: &TrainArgs) -> String {
    match args.seeds {
        1 => String::new(),
        several => format!(", medians of {}", counted(several, "seed")),
    }
}

/// The losses of training and of testing, and where runs ended before their time.
pub(super) fn picture(args: &TrainArgs, common: &Common, ended: &[Ended]) -> Chart {
    let mut chart = curves(args, common, ended);
    for (line, runs) in chart.lines.iter_mut().zip(grouped(ended)) {
        let tested = runs.losses(|epoch| epoch.test.as_ref());
        line.second = tested.into_iter().map(|(epoch, loss)| (epoch, loss.median)).collect();
        line.end = end(common, &runs);
    }
    let tests = chart.lines.iter().any(|line| !line.second.is_empty());
    chart.styles = tests.then(|| ["training".into(), "test".into()]);
    let name = Path::new(&args.data).file_name().unwrap_or(args.data.as_ref());
    chart.title = format!("Loss on {}{}", name.to_string_lossy(), medians(args));
    chart.subtitle = settings(args, common);
    chart.caption =
        "Training: the mean over the rows of each epoch, as they were seen in it.".into();
    if tests {
        chart.caption += " Test (dashed): after each epoch, over the rows kept for it.";
    }
    if args.seeds > 1 {
        chart.caption += " Lines are medians, whiskers reach from the least seed to the greatest.";
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

/// Where the first of an initializer's runs diverged, in epochs, and how the legend says so.
fn end(common: &Common, runs: &Runs<'_>) -> Option<(f64, String)> {
    let diverged = runs.ended.iter().filter(|own| matches!(own.outcome, Outcome::Diverged(_)));
    let first = diverged.clone().min_by_key(|own| own.steps)?;
    let (step, each) = (first.steps, common.epoch_steps);
    let at = match first.overflowed {
        true => (step + 1) as f64 / each as f64,
        false => step as f64 / each as f64,
    };
    let words = match (runs.ended.len(), first.overflowed) {
        (1, true) => format!("diverged at step {}, in epoch {}", step + 1, step / each + 1),
        (1, false) => format!("diverged after step {step}"),
        _ => format!("{} diverged, the first after step {step}", runs.part(diverged.count())),
    };
    Some((at, words))
}

/// What the runs have in common: network, optimizer, rate, batch, seed.
fn settings(args: &TrainArgs, common: &Common) -> String {
    let options = &common.options;
    let mut parts = vec![common.network.clone()];
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
    parts.push(match args.seeds {
        1 => format!("seed {}", options.seed),
        several => format!("seeds {} to {}", options.seed, options.seed + several - 1),
    });
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
    let what = format!(
        "{init}: the variance of each layer's signals before the nonlinearity, on the first batch, as \
         drawn and scaled"
    );
    let mut text = paragraph(&what, "", "", page()) + "\n" + &table(columns, rows);
    let missed: Vec<String> = layers
        .iter()
        .filter_map(|steps| steps.last().filter(|step| !step.reached))
        .map(|step| format!("layers.{}", step.layer))
        .collect();
    if !missed.is_empty() {
        let missed = format!(
            "not within the tolerance after all iterations: {}. More iterations, a larger tolerance \
             (lsuv:TOLERANCE,ITERATIONS), or smaller biases would do.",
            missed.join(", ")
        );
        text += "\n";
        text += &paragraph(&missed, "", "", page());
    }
    text
}

/// What the runs came to; `why` is more to be said of how they compare.
pub(super) fn report(
    args: &TrainArgs,
    common: &Common,
    ended: &[Ended],
    why: Option<&str>,
) -> Result<()> {
    if args.json {
        return print_json(&document(args, common, ended));
    }
    let groups = grouped(ended);
    let mut text = match args.seeds {
        1 => one_seed(common, ended),
        _ => several_seeds(common, &groups),
    };
    for runs in &groups {
        for (name, count) in runs.verdicts() {
            let of = runs.ended.iter().find(|own| own.outcome.name() == name);
            let Some((own, reason)) = of.and_then(|own| Some((own, own.outcome.reason()?))) else {
                continue;
            };
            let verdict = match own.outcome {
                Outcome::Stuck(_) => "did not learn",
                Outcome::Learning(_) => "has not learned yet",
                _ => name,
            };
            let seeds = match runs.ended.len() {
                1 => String::new(),
                _ => format!(" ({}; here seed {})", runs.part(count), own.seed),
            };
            let words = format!("{} {verdict}{seeds}: {}.", runs.init, advised(reason));
            text += "\n";
            text += &paragraph(&words, "", "", page());
        }
    }
    if let Some(why) = why {
        text += "\n";
        text += &paragraph(why, "", "", page());
    }
    for run in ended.iter().filter(|run| !run.lsuv.is_empty()) {
        let _ = write!(text, "\n{}", lsuv_table(&named(args, run), &run.lsuv));
    }
    if ended.iter().any(|run| run.history.len() > 1) {
        let _ = write!(text, "\n{}", curves(args, common, ended).terminal(page()));
    }
    let exact = ended.iter().filter_map(|run| Some((run, run.digest.as_ref()?)));
    for (run, digest) in exact {
        let words = format!(
            "{} after {}, {}:",
            named(args, run),
            counted(run.steps, "step"),
            common.options.arithmetic
        );
        text += "\n";
        text += &paragraph(&words, "", "", page());
        let _ = write!(text, "SHA-256 of the weights and the optimizer's state\n{digest}\n");
    }
    print(&text)?;
    Ok(())
}

/// A run's initializer, with its seed where there are several.
fn named(args: &TrainArgs, run: &Ended) -> String {
    match args.seeds {
        1 => run.init.clone(),
        _ => format!("{}, seed {}", run.init, run.seed),
    }
}

/// `accuracy` of classes, `R2` of values.
fn scored(common: &Common) -> &'static str {
    if common.loss.target() == Target::Value { "R2" } else { "accuracy" }
}

fn one_seed(common: &Common, ended: &[Ended]) -> String {
    let what = scored(common);
    let columns = [
        Column::name("init"),
        Column::number("epochs").leaves(2),
        Column::number("first loss").leaves(3),
        Column::number("last loss"),
        Column::number(what).leaves(5),
        Column::number("test loss").leaves(4),
        Column::number(&format!("test {what}")),
        Column::number("seconds").leaves(1),
        Column::text("verdict"),
    ];
    let rows = ended.iter().map(|run| {
        let (first, last) = (run.history.first(), run.history.last());
        let blank = || "-".to_owned();
        let tested = last.and_then(|epoch| epoch.test.as_ref());
        vec![
            run.init.clone(),
            run.history.len().to_string(),
            first.map_or_else(blank, |epoch| short(epoch.train.loss)),
            last.map_or_else(blank, |epoch| short(epoch.train.loss)),
            last.map_or_else(blank, |epoch| quality(&epoch.train)),
            tested.map_or_else(blank, |score| short(score.loss)),
            tested.map_or_else(blank, quality),
            format!("{:.2}", run.seconds),
            run.outcome.name().to_owned(),
        ]
    });
    table(columns, rows.collect())
}

/// A row for each initializer: `0.0021 (5.9e-4 to 0.052)`.
fn several_seeds(common: &Common, groups: &[Runs]) -> String {
    let what = scored(common);
    let columns = [
        Column::name("init").at_least(13),
        Column::text("last loss"),
        Column::text(what).leaves(1),
        Column::text(&format!("test {what}")),
        Column::prose("verdicts"),
    ];
    let share = |value: f64| match what {
        "R2" => format!("{value:.2}"),
        _ => format!("{:.1}", 100.0 * value),
    };
    let percent = if what == "R2" { "" } else { " %" };
    let cell = |spread: Option<Spread>, digits: &dyn Fn(f64) -> String, unit: &str| match spread {
        None => "-".to_owned(),
        Some(Spread { median, least, greatest }) => {
            format!("{}{unit} ({} to {})", digits(median), digits(least), digits(greatest))
        }
    };
    let rows = groups.iter().map(|runs| {
        let verdicts = runs.verdicts().into_iter().map(|(name, count)| format!("{count} {name}"));
        vec![
            runs.init.to_owned(),
            cell(runs.last_loss(), &two_digits, ""),
            cell(runs.score(|epoch| Some(&epoch.train)), &share, percent),
            cell(runs.score(|epoch| epoch.test.as_ref()), &share, percent),
            verdicts.collect::<Vec<_>>().join(", "),
        ]
    });
    let text = table(columns, rows.collect());
    text + "(medians, and in brackets the least and the greatest)\n"
}

/// Two digits: 0.0021, 1.1, 5.9e-4.
fn two_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.001..100.0).contains(&size) => {
            let digits = (1 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.1e}"),
    }
}

/// What `--json` prints.
fn document(args: &TrainArgs, common: &Common, ended: &[Ended]) -> Value {
    let of = |run: &Ended| {
        let mut document = json!({
            "init": run.init,
            "seed": run.seed,
            "verdict": run.outcome.name(),
            "reason": run.outcome.reason(),
            "baseline_loss": run.baseline,
            "steps": run.steps,
            "seconds": run.seconds,
            "epochs": run.history.iter().map(epoch_json).collect::<Vec<_>>(),
        });
        let log: Vec<Value> = run.lsuv.iter().map(lsuv_json).collect();
        if !log.is_empty() {
            document["lsuv"] = log.into();
        }
        if let Some(digest) = &run.digest {
            document["digest"] = json!(digest);
        }
        document
    };
    let mut document = json!({
        "engine": common.device.engine(),
        "device": common.device.to_string(),
        "seed": args.seed,
        "seeds": args.seeds,
        "runs": ended.iter().map(of).collect::<Vec<_>>(),
    });
    if args.seeds > 1 {
        document["spread"] = grouped(ended).iter().map(Runs::json).collect();
    }
    if common.options.arithmetic.is_exact() {
        document["arithmetic"] = json!(common.options.arithmetic.to_string());
    }
    document
}
