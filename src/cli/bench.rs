use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use fanin::bench::{self, Case, Ceilings, Timed, Unit};
use fanin::gpu::{Choice, Context, Options, Trial, Tuning};
use fanin::{Error, Result, cpu, file};
use serde_json::{Value, json};

use super::report::roofline;
use super::table::table;
use super::{note, print, print_json, progress, stop};

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    fanin bench --quick\n  \
    fanin bench --device cpu,vulkan:llvmpipe --only matmul --svg roofline.svg\n  \
    fanin bench --device gpu --tune\n  \
    fanin bench --json > bench.json")]
pub struct BenchArgs {
    /// Smaller sizes, fewer cases, shorter times: under a minute
    #[arg(long)]
    quick: bool,

    /// What to time, side by side: as --device of the other commands; gpu is the best adapter there
    /// is, a software driver if there is no other
    #[arg(long, value_delimiter = ',', default_value = "cpu,gpu", value_name = "DEVICE,...")]
    device: Vec<Choice>,

    /// Only cases whose name holds one of these
    #[arg(long, value_delimiter = ',', value_name = "TEXT,...")]
    only: Vec<String>,

    /// Find the fastest shapes of the kernels on each adapter instead, and keep them in the cache
    /// folder: every command takes them from then on. Drawn numbers stay the same
    #[arg(long, conflicts_with_all = ["quick", "only", "svg"])]
    tune: bool,

    /// Let products of f16 go through an adapter's matrix units; wgpu's support of them is experimental
    #[arg(long)]
    cooperative: bool,

    /// Draw the rooflines and the shares of the ceilings
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Replace a file that exists
    #[arg(long, short)]
    force: bool,

    /// One JSON document on stdout in place of the tables
    #[arg(long)]
    json: bool,
}

/// What is timed, and how fast it was seen to be.
pub struct Device {
    context: Option<Context>,
    /// The adapter's name, or the CPU's threads and instructions.
    pub name: String,
    pub ceilings: Ceilings,
}

impl Device {
    fn open(choice: &Choice, cooperative: bool) -> Result<Device> {
        let options = Options { timestamps: true, cooperative, ..Options::default() };
        let context = Context::find(choice, options)?;
        if let Some(context) = context.as_ref().filter(|own| cooperative && !own.uses_cooperative())
        {
            return Err(Error::Invalid {
                what: "--cooperative".into(),
                given: context.name(),
                needed: "an adapter with matrix units for f16 that add up in f32".into(),
            });
        }
        let name = context.as_ref().map_or_else(cpu::device, Context::name);
        Ok(Device { context, name, ceilings: Ceilings::default() })
    }

    fn engine(&self) -> &'static str {
        if self.context.is_some() { "gpu" } else { "cpu" }
    }
}

/// One case on one device.
pub struct Row {
    pub op: String,
    dtype: &'static str,
    size: String,
    /// Of the devices.
    pub device: usize,
    median: f64,
    samples: usize,
    pub throughput: f64,
    unit: Unit,
    bytes: u64,
    /// Operations a byte.
    pub intensity: f64,
    /// What of the time the ceilings account for.
    pub fraction: Option<f64>,
    /// How many times as fast as the first device.
    ratio: Option<f64>,
}

impl Row {
    /// `normal f32 16777216`.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.op, self.dtype, self.size)
    }
}

pub fn run(args: BenchArgs) -> Result<ExitCode> {
    if let Some(path) = &args.svg {
        file::check(path, args.force)?;
    }
    let devices = open(&args)?;
    if args.tune {
        return tune(&devices, args.json);
    }
    measure(&args, devices)
}

fn open(args: &BenchArgs) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for choice in &args.device {
        match Device::open(choice, args.cooperative) {
            // By default there may be no adapter at all.
            Err(Error::NoAdapter { .. }) if *choice == Choice::Gpu && args.device.len() > 1 => {
                note("no adapter here: the CPU engine alone is timed");
            }
            opened => devices.push(opened?),
        }
    }
    Ok(devices)
}

/// Tries the shapes of every adapter's kernels, and keeps the fastest.
fn tune(devices: &[Device], as_json: bool) -> Result<ExitCode> {
    let mut documents = Vec::new();
    for context in devices.iter().filter_map(|device| device.context.as_ref()) {
        let bar = progress("{spinner} {pos} {msg}", 0);
        let mut trials: Vec<Trial> = Vec::new();
        let tuning = context.tune(&mut |trial| {
            bar.set_message(format!("{}: {}", trial.what, trial.shape));
            bar.inc(1);
            trials.push(trial.clone());
        });
        bar.finish_and_clear();
        let tuning = tuning?;
        let path = Tuning::path(&tuning.device).ok_or_else(|| {
            let needed = "a home, or XDG_CACHE_HOME".into();
            Error::Invalid { what: "cache folder".into(), given: "none".into(), needed }
        })?;
        tuning.save(&path)?;
        if as_json {
            let trials = trials.iter().map(|trial| {
                json!({
                    "what": trial.what,
                    "shape": trial.shape,
                    "median_s": trial.seconds,
                    "usual": trial.usual,
                })
            });
            documents.push(json!({
                "device": tuning.device,
                "path": path,
                "fill": tuning.fill,
                "products": tuning.products,
                "trials": trials.collect::<Vec<_>>(),
            }));
            continue;
        }
        print(&format!("{}\n\n{}\n", tuning.device, trial_table(&trials)))?;
        note(&format!("kept in {}", path.display()));
    }
    if devices.iter().all(|device| device.context.is_none()) {
        note("no adapter among the devices: the CPU engine has nothing to tune");
    }
    if as_json {
        print_json(&json!({ "tunings": documents }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each trial beside the usual one of its kind.
fn trial_table(trials: &[Trial]) -> String {
    let cells = trials.iter().map(|trial| {
        let usual = trials.iter().find(|other| other.usual && other.what == trial.what);
        let ratio = usual.map(|usual| format!("{:.2}", usual.seconds / trial.seconds));
        let mark = if trial.usual { "usual" } else { "" };
        vec![
            trial.what.clone(),
            trial.shape.clone(),
            milliseconds(trial.seconds),
            ratio.unwrap_or_default(),
            mark.into(),
        ]
    });
    let header = ["what", "shape", "median", "times usual", ""];
    table(&header, &["median", "times usual"], cells.collect())
}

fn measure(args: &BenchArgs, mut devices: Vec<Device>) -> Result<ExitCode> {
    let cases = chosen(args)?;
    // Models that are timed are written to files.
    stop::listen();
    let limits = bench::ceilings(args.quick);
    let length = (cases.len() + limits.len()) as u64;
    let bar = progress("{bar:30} {pos}/{len} {eta:>4} {msg}", length);
    let budget = Duration::from_millis(if args.quick { 150 } else { 1000 });
    for case in &limits {
        bar.set_message(case.op.clone());
        let times = times(case, &devices, budget)?;
        for (device, time) in devices.iter_mut().zip(times) {
            let Some(Seen { best, flops, .. }) = time? else { continue };
            // A ceiling is the most that was seen, not the usual.
            let amount = flops.map_or(case.work.amount, |flops| flops as f64);
            device.ceilings.set(&case.op, amount / best);
        }
        bar.inc(1);
    }
    let mut rows: Vec<Row> = Vec::new();
    for case in &cases {
        bar.set_message(format!("{} {}", case.op, case.size));
        let times = times(case, &devices, budget)?;
        let mut first = None;
        for (index, time) in times.into_iter().enumerate() {
            let seen = match time {
                Ok(Some(seen)) => seen,
                Ok(None) => continue,
                Err(error) => {
                    bar.suspend(|| note(&format!("{} {} left out: {error}", case.op, case.size)));
                    continue;
                }
            };
            let ratio = first.map(|first: f64| first / seen.median);
            first = first.or(Some(seen.median).filter(|_| index == 0));
            let ideal = case.work.ideal(&devices[index].ceilings);
            rows.push(Row {
                op: case.op.clone(),
                dtype: case.dtype.name(),
                size: case.size.clone(),
                device: index,
                median: seen.median,
                samples: seen.samples,
                throughput: case.work.amount / seen.median,
                unit: case.work.unit,
                bytes: case.work.read + case.work.written,
                intensity: case.work.intensity(),
                fraction: ideal.map(|ideal| ideal / seen.median),
                ratio,
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        file::save(path, roofline::figure(&devices, &rows).document().as_bytes(), args.force)?;
        note(&format!("wrote {}", path.display()));
    }
    match args.json {
        true => print_json(&document(&devices, &rows))?,
        false => print(&tables(&devices, &rows))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(args: &BenchArgs) -> Result<Vec<Case>> {
    let all = bench::cases(args.quick);
    let wanted = |case: &Case| {
        args.only.is_empty() || args.only.iter().any(|text| case.op.contains(text.as_str()))
    };
    let chosen: Vec<Case> = all.iter().filter(|case| wanted(case)).cloned().collect();
    if chosen.is_empty() {
        let mut names: Vec<&str> = all.iter().map(|case| case.op.as_str()).collect();
        names.dedup();
        let needed = format!("part of one of {}", names.join(", "));
        let (what, given) = ("--only".into(), args.only.join(","));
        return Err(Error::Invalid { what, given, needed });
    }
    Ok(chosen)
}

/// What the samples of a case came to.
struct Seen {
    median: f64,
    best: f64,
    samples: usize,
    flops: Option<u64>,
}

/// Times a case on all devices, in turn, so that what slows the machine down slows down each. None for
/// a device that has no such case.
fn times(case: &Case, devices: &[Device], budget: Duration) -> Result<Vec<Result<Option<Seen>>>> {
    let mut ready: Vec<Result<Option<Timed>>> = Vec::new();
    for device in devices {
        ready.push(match case.prepare(device.context.as_ref()) {
            // The first time touches new memory and makes pipelines; what it made is looked at.
            Ok(mut timed) => timed.once().and_then(|_| timed.check()).map(|()| Some(timed)),
            Err(error) if error.is_usage() => Ok(None),
            Err(error) => Err(error),
        });
    }
    let mut samples: Vec<Vec<f64>> = devices.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    let all = budget * devices.len() as u32;
    for round in 0..200 {
        if round >= 3 && start.elapsed() > all {
            break;
        }
        for (samples, timed) in samples.iter_mut().zip(&mut ready) {
            if let Ok(Some(timed)) = timed {
                samples.push(timed.once()?);
            }
        }
    }
    let seen = ready.into_iter().zip(samples).map(|(ready, mut samples)| {
        let Some(timed) = ready? else { return Ok(None) };
        samples.sort_by(f64::total_cmp);
        let (median, best) = (samples[samples.len() / 2], samples[0]);
        Ok(Some(Seen { median, best, samples: samples.len(), flops: timed.flops }))
    });
    Ok(seen.collect())
}

/// `1.38 G`: a rate for people.
pub fn rate(value: f64) -> String {
    let (scaled, unit) = match value {
        1e12.. => (value / 1e12, " T"),
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e3.. => (value / 1e3, " k"),
        _ => (value, " "),
    };
    let digits = if scaled < 10.0 { 2 } else { usize::from(scaled < 100.0) };
    format!("{scaled:.digits$}{unit}")
}

fn milliseconds(seconds: f64) -> String {
    match seconds * 1e3 {
        ms if ms < 0.1 => format!("{ms:.4} ms"),
        ms if ms < 10.0 => format!("{ms:.3} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

fn tables(devices: &[Device], rows: &[Row]) -> String {
    let mut text = String::new();
    for (index, device) in devices.iter().enumerate() {
        let Ceilings { write, copy, multiply_add } = device.ceilings;
        let mark = letter(index);
        text += &format!(
            "{mark}  {}: {}\n   writes {}B/s, copies {}B/s (read and written), multiplies and adds {}FLOP/s\n",
            device.engine(),
            device.name,
            rate(write),
            rate(copy),
            rate(multiply_add),
        );
    }
    let several = devices.len() > 1;
    let ratio = format!("times {}", letter(0));
    let mut header = vec!["", "op", "dtype", "size", "median", "rate", "moved", "of ceiling"];
    if several {
        header.push(&ratio);
    }
    let cells = rows.iter().map(|row| {
        let moved = row.bytes as f64 / row.median;
        let mut cells = vec![
            letter(row.device).to_string(),
            row.op.clone(),
            row.dtype.into(),
            row.size.clone(),
            milliseconds(row.median),
            format!("{}{}", rate(row.throughput), row.unit.name()),
            if row.bytes > 0 { format!("{}B/s", rate(moved)) } else { String::new() },
            row.fraction.map_or(String::new(), |part| format!("{:.0} %", 100.0 * part)),
        ];
        if several {
            cells.push(row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")));
        }
        cells
    });
    let right = ["median", "rate", "moved", "of ceiling", &ratio];
    text += "\n";
    text += &table(&header, &right, cells.collect());
    text += "\nMedians, the devices in turn. The ceilings were measured in this run: what writes only is \
             held against writes,\nwhat reads against copies, a product against multiply-adds or copies, \
             whichever is its limit. More than 100 % is a\ncache's. ";
    let clocks = devices.iter().filter_map(|device| device.context.as_ref());
    let wall = clocks.filter(|context| matches!(context.pass_seconds(), Ok(None))).count();
    text += if wall > 0 {
        "An adapter here has no clock of its own: its times hold the submission.\n"
    } else {
        "Adapters are timed by their own clocks.\n"
    };
    text
}

/// What a device is called in a table.
pub fn letter(index: usize) -> char {
    (b'A' + index as u8 % 26) as char
}

fn document(devices: &[Device], rows: &[Row]) -> Value {
    let ceilings = devices.iter().map(|device| {
        json!({
            "engine": device.engine(),
            "device": device.name,
            "write_bytes_per_s": device.ceilings.write,
            "copy_bytes_per_s": device.ceilings.copy,
            "multiply_add_flops_per_s": device.ceilings.multiply_add,
        })
    });
    let rows = rows.iter().map(|row| {
        json!({
            "op": row.op,
            "dtype": row.dtype,
            "size": row.size,
            "engine": devices[row.device].engine(),
            "device": devices[row.device].name,
            "median_s": row.median,
            "samples": row.samples,
            "throughput": row.throughput,
            "unit": row.unit.name(),
            "bytes_moved": row.bytes,
            "ceiling_fraction": row.fraction,
            "ratio_to_first": row.ratio,
        })
    });
    json!({ "ceilings": ceilings.collect::<Vec<_>>(), "rows": rows.collect::<Vec<_>>() })
}
