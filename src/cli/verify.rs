use std::process::ExitCode;

use clap::Args;
use fanin::gpu::{Choice, Context, ContextOptions, adapters};
use fanin::verify::{self, Check};
use fanin::{Device, Result, counted};
use serde_json::json;

use super::table::{Column, table};
use super::text::{page, paragraph};
use super::{print, print_json, progress};

#[derive(Args)]
pub struct VerifyArgs {
    /// A device as elsewhere; without it, the CPU engine and every adapter, with 64-bit integers and
    /// without
    #[arg(long, value_name = "DEVICE")]
    device: Option<Choice>,

    /// Check trained weights in place of drawn ones: a short run of exact training for each optimizer, loss and
    /// layer, held to the digest that it has on every device
    #[arg(long, conflicts_with = "values")]
    training: bool,

    /// Values of each distribution and dtype
    #[arg(long, default_value_t = 1 << 24)]
    values: u64,

    /// One JSON document on stdout in place of the table
    #[arg(long)]
    json: bool,
}

const CHUNK: u64 = 16 << 20;

/// A device's checks as a table.
fn listed(checks: &[Check]) -> String {
    let columns = [
        Column::text(""),
        Column::name("check"),
        Column::number("values").leaves(1),
        Column::prose("found"),
    ];
    let rows = checks.iter().map(|check| {
        let mark = if check.holds { "ok" } else { "FAIL" };
        vec![mark.into(), check.name.clone(), check.values.to_string(), check.found.clone()]
    });
    table(columns, rows.collect())
}

pub fn run(args: VerifyArgs) -> Result<ExitCode> {
    let choices = match &args.device {
        Some(choice) => vec![choice.clone()],
        None => {
            let named = adapters()
                .into_iter()
                .filter(|adapter| adapter.unusable.is_none())
                .map(|adapter| format!("{}:{}", adapter.backend, adapter.name).parse::<Choice>());
            std::iter::once(Ok(Choice::Cpu)).chain(named).collect::<Result<_>>()?
        }
    };
    let mut devices = Vec::new();
    let (mut held, mut failed) = (0, 0);
    for choice in choices {
        let mut forms = vec![Device::open(&choice, ContextOptions::default())?];
        // What is trained is made without them.
        if !args.training && forms[0].context().is_some_and(Context::uses_int64) {
            forms.push(Device::open(
                &choice,
                ContextOptions { int64: false, ..ContextOptions::default() },
            )?);
        }
        for device in forms {
            let mut checks = Vec::new();
            let variant = match device.context() {
                _ if args.training => "",
                Some(context) if context.uses_int64() => ", 64-bit products",
                Some(_) => ", 16-bit products",
                None => "",
            };
            let name = format!("{device}{variant}");
            let bar = progress("{spinner} {wide_msg}", 0);
            bar.set_message(name.clone());
            let mut report = |check: Check| -> Result<()> {
                if check.holds {
                    held += 1
                } else {
                    failed += 1
                }
                bar.set_message(format!("{name}: {}", check.name));
                checks.push(check);
                Ok(())
            };
            if args.training {
                verify::training::device(&device, &mut report)?;
            } else {
                verify::device(&device.in_chunks(CHUNK), args.values, &mut report)?;
                if let Some(context) = device.context() {
                    report(verify::offsets(context)?)?;
                }
            }
            bar.finish_and_clear();
            if !args.json {
                let title = format!("{} engine: {name}", device.engine());
                print(&(paragraph(&title, "", "", page()) + &listed(&checks) + "\n"))?;
            }
            let checks: Vec<_> = checks
                .iter()
                .map(|check| {
                    json!({
                        "name": check.name,
                        "values": check.values,
                        "holds": check.holds,
                        "found": check.found,
                    })
                })
                .collect();
            devices.push(json!({ "engine": device.engine(), "device": name, "checks": checks }));
        }
    }
    if args.json {
        print_json(&json!({ "holds": failed == 0, "devices": devices }))?;
    } else {
        let holds = if held == 1 { "holds" } else { "hold" };
        let fails = if failed == 1 { "fails" } else { "fail" };
        print(&format!("{} {holds}, {failed} {fails}\n", counted(held, "check")))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
