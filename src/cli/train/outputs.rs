//! The files that are written.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fanin::model::{Network, Outcome};
use fanin::recipe::{self, WriteOptions};
use fanin::{Error, Result, file};
use serde_json::{Value, json};

use super::report::{epoch_json, picture};
use super::{Common, Ended, Run, TrainArgs};
use crate::cli::note;

/// The files of a command, checked before anything is trained.
pub(super) struct Outputs {
    initial: Vec<PathBuf>,
    trained: Vec<PathBuf>,
}

impl Outputs {
    pub(super) fn new(args: &TrainArgs, networks: &[(String, Network)]) -> Result<Outputs> {
        let invalid = |what: &str, given: &str, needed: &str| {
            Err(Error::Invalid { what: what.into(), given: given.into(), needed: needed.into() })
        };
        if args.resume.is_some() && networks.len() > 1 {
            return invalid("--resume", "several initializers", "one run");
        }
        let kept = args.resume.iter().chain(&args.out).chain(&args.save_initial);
        if args.seeds > 1 && kept.count() > 0 {
            let needed = "one seed for --out, --save-initial and --resume";
            return invalid("--seeds", &args.seeds.to_string(), needed);
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

    pub(super) fn save_initial(
        &self,
        args: &TrainArgs,
        runs: &[Run],
        stop: &AtomicBool,
    ) -> Result<()> {
        for (path, run) in self.initial.iter().zip(runs) {
            let options = WriteOptions {
                seed: args.seed,
                force: args.force,
                stop: Some(stop),
                ..WriteOptions::new(path)
            };
            let recipe = run.trainer.network().recipe()?;
            recipe::write(&recipe, run.trainer.device(), options)?;
        }
        Ok(())
    }

    /// Writes what was trained; `verdicts` are those that are known.
    pub(super) fn save_trained(
        &self,
        args: &TrainArgs,
        runs: &mut [Run],
        verdicts: &[Outcome],
    ) -> Result<()> {
        for (at, (path, run)) in self.trained.iter().zip(runs.iter_mut()).enumerate() {
            let verdict = verdicts.get(at);
            // What is infinite or no number is of no use to anyone.
            let lost = run.trainer.diverged() || matches!(verdict, Some(Outcome::Diverged(_)));
            if !lost {
                run.trainer.save(path, args.force)?;
            }
        }
        Ok(())
    }

    pub(super) fn save_figures(
        &self,
        args: &TrainArgs,
        common: &Common,
        ended: &[Ended],
    ) -> Result<()> {
        let document = || picture(args, common, ended).figure().document();
        if let Some(path) = &args.plot {
            file::save(path, document().as_bytes(), args.force)?;
            note(&format!("loss curves in {}", path.display()));
        } else if !args.no_plot && !args.json {
            // A picture that nobody asked for is no reason to fail.
            let path = Path::new("fanin-train.svg");
            match file::save(path, document().as_bytes(), true) {
                Ok(()) => note("loss curves in fanin-train.svg (--plot FILE, --no-plot)"),
                Err(error) => note(&format!("no picture: {error}")),
            }
        }
        if let Some(path) = &args.metrics {
            let mut text = String::new();
            for run in ended {
                for epoch in &run.history {
                    let mut line = epoch_json(epoch);
                    line.shift_insert(0, "init".to_owned(), json!(run.init));
                    line.shift_insert(1, "seed".to_owned(), json!(run.seed));
                    let _ = writeln!(text, "{}", Value::Object(line));
                }
            }
            file::save(path, text.as_bytes(), args.force)?;
        }
        Ok(())
    }
}
