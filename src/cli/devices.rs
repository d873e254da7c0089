use std::process::ExitCode;

use clap::Args;
use fanin::cpu::instruction_set;
use fanin::gpu::{AdapterSummary, adapters, withheld};
use fanin::{Result, counted};
use serde_json::json;

use super::table::{Column, memory, table};
use super::text::{page, paragraph};
use super::{print, print_json};

#[derive(Args)]
pub struct DevicesArgs {
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: DevicesArgs) -> Result<ExitCode> {
    let adapters = adapters();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if args.json {
        let rows: Vec<_> = adapters
            .iter()
            .map(|adapter| {
                json!({
                    "name": adapter.name,
                    "backend": adapter.backend,
                    "kind": adapter.kind,
                    "driver": adapter.driver,
                    "chosen_by_auto": adapter.chosen_by_auto,
                    "unusable": adapter.unusable,
                    "int64": adapter.int64,
                    "max_storage_binding": adapter.limits.max_storage_buffer_binding_size,
                    "max_buffer": adapter.limits.max_buffer_size,
                    "max_workgroups": adapter.limits.max_compute_workgroups_per_dimension,
                })
            })
            .collect();
        let cpu = json!({ "threads": threads, "instruction_set": instruction_set() });
        print_json(&json!({ "adapters": rows, "cpu": cpu }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let auto_takes_gpu = adapters.iter().any(|adapter| adapter.chosen_by_auto);
    let mark = |chosen: bool| if chosen { "auto" } else { "" }.to_owned();
    let first = |adapter: &AdapterSummary| match adapter.unusable {
        Some(_) => "unusable".to_owned(),
        None => mark(adapter.chosen_by_auto),
    };
    let mut rows: Vec<Vec<String>> = adapters
        .iter()
        .map(|adapter| {
            vec![
                first(adapter),
                adapter.name.clone(),
                adapter.backend.into(),
                adapter.kind.into(),
                adapter.driver.clone(),
                if adapter.int64 { "yes" } else { "no" }.into(),
                memory(adapter.limits.max_storage_buffer_binding_size),
                memory(adapter.limits.max_buffer_size),
                adapter.limits.max_compute_workgroups_per_dimension.to_string(),
            ]
        })
        .collect();
    let mut cpu = vec![
        mark(!auto_takes_gpu),
        format!("{}, {}", counted(threads, "thread"), instruction_set()),
    ];
    cpu.extend(["cpu", "this crate's CPU engine", "", "", "", "", ""].map(str::to_owned));
    rows.push(cpu);
    let columns = [
        Column::text(""),
        Column::name("name").at_least(32),
        Column::text("backend"),
        Column::text("kind"),
        Column::name("driver").at_least(20).leaves(4),
        Column::text("int64").leaves(2),
        Column::number("binding").leaves(3),
        Column::number("buffer").leaves(3),
        Column::number("workgroups").leaves(1),
    ];
    print(&table(columns, rows))?;
    for adapter in &adapters {
        if let Some(reason) = &adapter.unusable {
            let words = format!("{}:{} cannot be used: {reason}.", adapter.backend, adapter.name);
            print(&format!("\n{}", paragraph(&words, "", "", page())))?;
        }
    }
    if adapters.is_empty() {
        let reason = withheld().unwrap_or_else(|| {
            "a GPU needs its Vulkan driver; Mesa's software one is \
             `apt-get install mesa-vulkan-drivers libvulkan1` on Debian and Ubuntu"
                .to_owned()
        });
        print(&format!("\n{}", paragraph(&format!("No adapter: {reason}."), "", "", page())))?;
    }
    Ok(ExitCode::SUCCESS)
}
