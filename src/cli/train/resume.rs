//! The settings of a run, which its file keeps: going on with it need not repeat them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use fanin::{Error, Result, model};

use super::TrainArgs;
use crate::cli::columns::ColumnArgs;
use crate::cli::given;

/// What is kept, by the names of the fields, beside all of [`ColumnArgs`]. What is not is about one call: where it writes, where it
/// computes.
const KEPT: [&str; 27] = [
    "data",
    "task",
    "hidden",
    "network",
    "input_shape",
    "activation",
    "init",
    "bias",
    "loss",
    "optimizer",
    "lr",
    "schedule",
    "warmup",
    "epochs",
    "batch",
    "test_split",
    "no_standardize",
    "no_shuffle",
    "dropout",
    "weight_decay",
    "clip",
    "residual",
    "layer_norm",
    "norm_init",
    "mup",
    "seed",
    "exact",
];

fn is_kept(id: &str) -> bool {
    KEPT.contains(&id) || ColumnArgs::has(id)
}

/// Two ways to say a network, of which one call takes one.
const LAYERS: [&str; 2] = ["network", "input_shape"];
const WIDTHS: [&str; 7] =
    ["hidden", "activation", "dropout", "residual", "layer_norm", "norm_init", "mup"];

/// The settings of a call that a file is to keep.
fn kept(matches: &ArgMatches) -> BTreeMap<String, String> {
    let command = command();
    let kept = command.get_arguments().filter(|arg| is_kept(arg.get_id().as_str()));
    let written = kept.filter_map(|arg| {
        let id = arg.get_id().as_str();
        // A way to say a network that was not taken has but defaults.
        let other = LAYERS.iter().any(|own| given(matches, own)) && WIDTHS.contains(&id);
        let value = written(arg, matches).filter(|_| !other)?;
        Some((id.to_owned(), value.into_string().ok()?))
    });
    written.collect()
}

/// The arguments of a call, and what its files keep of them. Where it goes on with a file, what it does not
/// say is what that file keeps.
pub fn resumed(
    args: TrainArgs,
    matches: &ArgMatches,
) -> Result<(TrainArgs, BTreeMap<String, String>)> {
    let Some(path) = args.resume.clone() else { return Ok((args, kept(matches))) };
    let saved = model::arguments(&path)?;
    let of = |names: &[&str]| names.iter().any(|own| given(matches, own));
    let command = command();
    let mut line: Vec<OsString> = vec!["train".into()];
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        if given(matches, id) {
            line.extend(written(arg, matches).map(|value| flag(arg, &value)));
            continue;
        }
        let other = of(&LAYERS) && WIDTHS.contains(&id) || of(&WIDTHS) && LAYERS.contains(&id);
        let own = saved.get(id).filter(|_| is_kept(id) && !other);
        line.extend(own.map(|value| flag(arg, &value.into())));
    }
    parsed(line, &path).map(|(args, matches)| (args, kept(&matches)))
}

/// An error about data that a call did not name itself.
pub fn without_data(error: Error, args: &TrainArgs, matches: &ArgMatches) -> Error {
    match &args.resume {
        Some(path) if !given(matches, "data") => Error::Invalid {
            what: format!("data, to resume {}", path.display()),
            given: error.to_string(),
            needed: "the rows that the run had".into(),
        },
        _ => error,
    }
}

/// The arguments that a file keeps.
pub fn saved(path: &Path, saved: &BTreeMap<String, String>) -> Result<TrainArgs> {
    let command = command();
    let kept = command.get_arguments().filter(|arg| is_kept(arg.get_id().as_str()));
    let flags = kept
        .filter_map(|arg| saved.get(arg.get_id().as_str()).map(|value| flag(arg, &value.into())));
    parsed(std::iter::once("train".into()).chain(flags).collect(), path).map(|(args, _)| args)
}

fn parsed(line: Vec<OsString>, path: &Path) -> Result<(TrainArgs, ArgMatches)> {
    let matches = command().try_get_matches_from(line);
    let both = matches.and_then(|matches| Ok((TrainArgs::from_arg_matches(&matches)?, matches)));
    both.map_err(|error| Error::Invalid {
        what: format!("settings that {} keeps", path.display()),
        // Its first line says what is wrong, and the others how to call the command.
        given: error.to_string().lines().next().unwrap_or_default().to_owned(),
        needed: "settings of this version's, or others given beside --resume".into(),
    })
}

fn command() -> Command {
    TrainArgs::augment_args(Command::new("train"))
}

/// The value of an argument, or `true`; none where there is none.
fn written(arg: &Arg, matches: &ArgMatches) -> Option<OsString> {
    let id = arg.get_id().as_str();
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return matches.get_flag(id).then(|| "true".into());
    }
    let values: Vec<&std::ffi::OsStr> = matches.get_raw(id)?.collect();
    Some(values.join(",".as_ref()))
}

/// The argument with this value, as it is written in a call.
fn flag(arg: &Arg, value: &OsString) -> OsString {
    let mut flag = OsString::from(format!("--{}", arg.get_long().unwrap_or_default()));
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        flag.push("=");
        flag.push(value);
    }
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flag that joins the others says here whether it is about the run.
    #[test]
    fn every_flag_is_kept_or_is_not() {
        let own = [
            "out",
            "save_initial",
            "resume",
            "plot",
            "no_plot",
            "metrics",
            "force",
            "json",
            "print_recipe",
            "device",
            "no_int64",
            "seeds",
        ];
        for arg in command().get_arguments() {
            let id = arg.get_id().as_str();
            assert!(is_kept(id) != own.contains(&id), "{id}");
        }
    }

    #[test]
    fn what_is_kept_comes_back() {
        let given = [
            "train",
            "--data=a b.csv",
            "--target=x,\"y, z\"",
            "--hidden=3,4",
            "--lr=-0.5",
            "--residual",
            "--exact",
            "--clip=1",
            "--separator=;",
            "--mup=2",
            "--out=o.safetensors",
        ];
        let matches = command().try_get_matches_from(given).unwrap();
        let first = kept(&matches);
        assert_eq!(
            (&*first["hidden"], &*first["exact"], &*first["residual"]),
            ("3,4", "12", "true")
        );
        assert!(!first.contains_key("out") && !first.contains_key("layer_norm"));
        let args = saved(Path::new("m"), &first).unwrap();
        assert_eq!((&*args.data, &args.hidden[..], args.lr), ("a b.csv", &[3, 4][..], Some(-0.5)));
        assert_eq!(args.columns.separator, Some(';'));
        assert!(args.residual && !args.layer_norm && args.out.is_none());
        let network = ["train", "--network=conv:4,3 relu dense", "--input-shape=4,4,1"];
        let first = kept(&command().try_get_matches_from(network).unwrap());
        assert!(!first.contains_key("hidden"));
        assert_eq!(saved(Path::new("m"), &first).unwrap().input_shape, [4, 4, 1]);
    }
}
