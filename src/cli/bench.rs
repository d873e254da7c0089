use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use fanin::bench::{self, Case, Ceilings, Gauge, Limit, Share, Timed, Unit};
use fanin::gpu::{Choice, ContextOptions, Trial, Tuning};
use fanin::random::Dtype;
use fanin::{Device, Error, Result, file};
use serde_json::{Value, json};

use super::report::roofline;
use super::table::{Column, table};
use super::text::{page, paragraph, wrap};
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

    /// Seconds a case and a device [default: 1, or 0.15 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<f64>,

    /// What to time, side by side: as --device of the other commands; gpu is the best adapter there
    /// is, a software driver if there is no other
    #[arg(long, value_delimiter = ',', default_value = "cpu,gpu", value_name = "Device,...")]
    device: Vec<Choice>,

    /// Only cases whose name holds one of these
    #[arg(long, value_delimiter = ',', value_name = "TEXT,...")]
    only: Vec<String>,

    /// Find the fastest shapes of the kernels on each adapter instead, and keep them in the cache
    /// folder: every command takes them from then on. Drawn numbers stay the same
    #[arg(long, conflicts_with_all = ["quick", "seconds", "only", "svg"])]
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

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0 to 3600 is needed".into()),
    }
}

/// What is timed, and how fast it was seen to be.
pub struct Subject {
    pub device: Device,
    /// Of each measurement, one after the other.
    measured: Vec<Ceilings>,
}

impl Subject {
    fn open(choice: &Choice, cooperative: bool) -> Result<Subject> {
        let options = ContextOptions { timestamps: true, cooperative, ..ContextOptions::default() };
        let device = Device::open(choice, options)?;
        if let Some(context) = device.context().filter(|own| cooperative && !own.uses_cooperative())
        {
            return Err(Error::Invalid {
                what: "--cooperative".into(),
                given: context.name(),
                needed: "an adapter with matrix units for f16 that add up in f32".into(),
            });
        }
        Ok(Subject { device, measured: Vec::new() })
    }

    /// The most that was seen in the whole run.
    pub fn ceilings(&self) -> Ceilings {
        self.around(0..self.measured.len())
    }

    fn around(&self, measurements: std::ops::Range<usize>) -> Ceilings {
        let own = self.measured.get(measurements).unwrap_or_default();
        own.iter().fold(Ceilings::default(), |best, other| best.best(other))
    }

    /// What part of a case's time the ceilings account for that were measured before and after it.
    fn share(&self, case: &Case, before: usize, seconds: f64) -> Option<Share> {
        if self.device.context().is_some_and(|context| case.takes_units(context)) {
            return Some(Share { limit: Limit::MatrixUnits, fraction: None });
        }
        let after = (before + 2).min(self.measured.len());
        case.work.share(&self.around(before..after), seconds)
    }
}

/// One case on one device.
pub struct Row {
    case: Case,
    /// Of the devices.
    pub device: usize,
    /// Of the measurements of the ceilings the last one before it.
    before: usize,
    seen: Seen,
    /// How many times as fast as the first device.
    ratio: Option<f64>,
    pub share: Option<Share>,
}

impl Row {
    /// `normal bf16`; f32 goes without saying.
    pub fn op(&self) -> String {
        match self.case.dtype {
            Dtype::F32 => self.case.op.clone(),
            dtype => format!("{} {dtype}", self.case.op),
        }
    }

    /// `2^24`, `512x512x512`: a size in few letters.
    pub fn size(&self) -> String {
        match self.case.size.parse::<u64>() {
            Ok(elements) if elements.is_power_of_two() => format!("2^{}", elements.ilog2()),
            _ => {
                let first = self.case.size.split(',').next().unwrap_or_default();
                first.replace(" x ", "x")
            }
        }
    }

    pub fn throughput(&self) -> f64 {
        self.case.work.amount / self.seen.median
    }

    /// The share at the quartiles of the time, the lower first.
    pub fn shares(&self) -> Option<(f64, f64)> {
        let share = self.share?.fraction?;
        let Seen { median, low, high, .. } = self.seen;
        Some((share * median / high, share * median / low))
    }

    /// Operations a byte; of products.
    pub fn intensity(&self) -> Option<f64> {
        Some(self.case.work.intensity()).filter(|own| own.is_finite() && *own > 0.0)
    }
}

/// A case that did not run.
struct Skipped {
    case: Case,
    device: usize,
    reason: String,
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

fn open(args: &BenchArgs) -> Result<Vec<Subject>> {
    let mut devices = Vec::new();
    let mut missing = None;
    for choice in &args.device {
        match Subject::open(choice, args.cooperative) {
            // By default there may be no adapter at all.
            Err(error @ Error::NoAdapter { .. }) if *choice == Choice::Gpu => missing = Some(error),
            opened => devices.push(opened?),
        }
    }
    match missing {
        Some(error) if devices.is_empty() => return Err(error),
        Some(_) => note("no adapter here: the CPU engine alone is timed"),
        None => {}
    }
    Ok(devices)
}

/// Tries the shapes of every adapter's kernels, and keeps the fastest.
fn tune(devices: &[Subject], as_json: bool) -> Result<ExitCode> {
    let mut documents = Vec::new();
    for context in devices.iter().filter_map(|device| device.device.context()) {
        let bar = progress("{spinner} {pos} {wide_msg}", 0);
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
        let name = paragraph(&tuning.device, "", "", page());
        print(&format!("{name}\n{}\n", trial_table(&trials)))?;
        note(&format!("kept in {}", path.display()));
    }
    if devices.iter().all(|device| device.device.context().is_none()) {
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
            duration(trial.seconds),
            ratio.unwrap_or_default(),
            mark.into(),
        ]
    });
    let columns = [
        Column::name("what"),
        Column::text("shape"),
        Column::number("median"),
        Column::number("times usual"),
        Column::text(""),
    ];
    table(columns, cells.collect())
}

fn measure(args: &BenchArgs, mut devices: Vec<Subject>) -> Result<ExitCode> {
    let cases = chosen(args)?;
    // Models that are timed are written to files.
    stop::listen();
    let bar = progress("{bar:20} {pos}/{len} {eta:>4} {wide_msg}", cases.len() as u64);
    let budget = args.seconds.unwrap_or(if args.quick { 0.15 } else { 1.0 });
    let budget = Duration::from_secs_f64(budget);
    // Ceilings stand still no more than the machine does.
    let stale = Duration::from_secs(if args.quick { 2 } else { 5 });
    bar.set_message("ceilings");
    // Where there is no memory for it nothing is known of the ceilings, and the cases are timed all the same.
    let gauge = |device: &Subject| {
        let gauge = Gauge::new(&device.device, args.quick);
        gauge.map_err(|error| note(&format!("{}: no ceilings: {error}", device.device))).ok()
    };
    let mut gauges: Vec<_> = devices.iter().map(gauge).collect();
    let mut look = |devices: &mut Vec<Subject>| -> Result<Instant> {
        for (device, gauge) in devices.iter_mut().zip(&mut gauges) {
            let measured = gauge.as_mut().map(Gauge::measure).transpose()?;
            device.measured.push(measured.unwrap_or_default());
        }
        Ok(Instant::now())
    };
    let mut last = look(&mut devices)?;
    let (mut rows, mut skipped): (Vec<Row>, Vec<Skipped>) = Default::default();
    for case in &cases {
        bar.set_message(format!("{} {}", case.op, case.size));
        let before = devices[0].measured.len() - 1;
        let mut first = None;
        let mut doubtful = false;
        for (device, time) in times(case, &devices, budget)?.into_iter().enumerate() {
            let seen = match time {
                Ok(seen) => seen,
                Err(error) => {
                    skipped.push(Skipped { case: case.clone(), device, reason: error.to_string() });
                    continue;
                }
            };
            let ratio = first.map(|first: f64| first / seen.median);
            first = first.or(Some(seen.median).filter(|_| device == 0));
            let share = devices[device].share(case, before, seen.median);
            doubtful |= share.is_some_and(|own| {
                own.limit == Limit::Unsteady || own.fraction.is_some_and(|part| part >= 1.0)
            });
            rows.push(Row { case: case.clone(), device, before, seen, ratio, share });
        }
        // What is beyond its ceilings may have come at a better moment than they did.
        if doubtful || last.elapsed() > stale {
            last = look(&mut devices)?;
        }
        bar.inc(1);
    }
    look(&mut devices)?;
    for row in &mut rows {
        row.share = devices[row.device].share(&row.case, row.before, row.seen.median);
    }
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        file::save(path, roofline::figure(&devices, &rows).document().as_bytes(), args.force)?;
        note(&format!("wrote {}", path.display()));
    }
    match args.json {
        true => print_json(&document(&devices, &rows, &skipped))?,
        false => print(&tables(&devices, &rows, &skipped))?,
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
    /// The quartiles: half of the samples lie between them.
    low: f64,
    high: f64,
    samples: usize,
}

/// Times a case on all devices, in turn, so that what slows the machine down slows down each. An error
/// where a device cannot do it.
fn times(case: &Case, devices: &[Subject], budget: Duration) -> Result<Vec<Result<Seen>>> {
    let mut ready: Vec<Result<Timed>> = Vec::new();
    for device in devices {
        ready.push(case.prepare(&device.device).and_then(|mut timed| {
            // The first time touches new memory and makes pipelines.
            timed.once()?;
            Ok(timed)
        }));
    }
    // What a device cannot do is told; what it does wrong ends all.
    for timed in ready.iter_mut().flatten() {
        timed.check()?;
    }
    let mut samples: Vec<Vec<f64>> = devices.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    let all = budget * devices.len() as u32;
    for round in 0..200 {
        if round >= 3 && start.elapsed() > all {
            break;
        }
        for (samples, timed) in samples.iter_mut().zip(&mut ready) {
            if let Ok(timed) = timed {
                samples.push(timed.once()?);
            }
        }
    }
    let seen = ready.into_iter().zip(samples).map(|(ready, mut samples)| {
        ready?;
        samples.sort_by(f64::total_cmp);
        let at = |part: usize| samples[(samples.len() - 1) * part / 4];
        Ok(Seen { median: at(2), low: at(1), high: at(3), samples: samples.len() })
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

/// `11.6 us`: a time in three digits.
fn duration(seconds: f64) -> String {
    let (scaled, unit) = match seconds {
        1.0.. => (seconds, "s"),
        1e-3.. => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "us"),
    };
    let digits = if scaled < 9.995 { 2 } else { usize::from(scaled < 99.95) };
    format!("{scaled:.digits$} {unit}")
}

fn tables(devices: &[Subject], rows: &[Row], skipped: &[Skipped]) -> String {
    let mut text = String::new();
    for (index, device) in devices.iter().enumerate() {
        let Ceilings { write, read, copy, multiply_add } = device.ceilings();
        let name = format!("{}: {}", device.device.engine(), device.device);
        text += &paragraph(&name, &format!("{}  ", letter(index)), "   ", page());
        let rates = [
            format!("writes {}B/s", rate(write)),
            format!("reads {}B/s", rate(read)),
            format!("copies {}B/s", rate(copy)),
            format!("multiplies and adds {}FLOP/s", rate(multiply_add)),
        ];
        let rates = wrap(rates, ", ", page() - 4).join(",\n   ");
        text += &format!("   {rates}\n");
    }
    let several = devices.len() > 1;
    let mut columns = vec![
        Column::text(""),
        Column::name("op"),
        Column::text("size"),
        Column::number("median"),
        Column::number("spread").leaves(1),
        Column::number("rate"),
        Column::number("share"),
    ];
    if several {
        columns.push(Column::number(&format!("times {}", letter(0))));
    }
    let cells = rows.iter().map(|row| {
        let Seen { median, low, high, .. } = row.seen;
        let unit = match row.case.work.unit {
            Unit::Flops => "FLOP/s",
            Unit::Elements | Unit::Steps => "/s",
        };
        let mut cells = vec![
            letter(row.device).to_string(),
            row.op(),
            row.size(),
            duration(median),
            format!("{:.0} %", 100.0 * (high - low) / median),
            format!("{}{unit}", rate(row.throughput())),
            row.share.map_or(String::new(), percent),
        ];
        if several {
            cells.push(row.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")));
        }
        cells
    });
    text += "\n";
    text += &table(columns, cells.collect());
    text += &left_out(skipped);
    let mut told = vec![
        "Medians, the devices in turn; a spread is between the two quartiles. A share is the part of the \
         time that the ceilings account for, as they were measured before and after: multiply-adds or \
         bytes, whichever takes longer (bytes that are both read and written as copies). f32, unless \
         another dtype is named.",
    ];
    for (limit, meaning) in [
        (Limit::Cache, "cache: so few bytes that a cache has them, faster than memory would."),
        (Limit::MatrixUnits, "units: by matrix units, of which there is no ceiling here."),
        (Limit::Unsteady, "busy: the machine did less while its ceilings were measured."),
    ] {
        if rows.iter().any(|row| row.share.is_some_and(|share| share.limit == limit)) {
            told.push(meaning);
        }
    }
    let clocks = devices.iter().filter_map(|device| device.device.context());
    if clocks.clone().any(|context| matches!(context.pass_seconds(), Ok(None))) {
        told.push("An adapter here has no clock of its own: its times hold the submission.");
    } else if clocks.count() > 0 {
        told.push("Adapters are timed by their own clocks.");
    }
    text += "\n";
    told.iter().for_each(|words| text += &paragraph(words, "", "", page()));
    text
}

/// `98 %`, or a word for why there is no part.
pub fn percent(share: Share) -> String {
    match (share.fraction, share.limit) {
        (Some(fraction), _) => format!("{:.0} %", 100.0 * fraction),
        (None, Limit::MatrixUnits) => "units".into(),
        (None, Limit::Unsteady) => "busy".into(),
        (None, limit) => limit.name().into(),
    }
}

/// What did not run, by reason.
fn left_out(skipped: &[Skipped]) -> String {
    let mut reasons: Vec<(usize, &str, Vec<String>)> = Vec::new();
    for Skipped { case, device, reason } in skipped {
        let name = format!("{} {} {}", case.op, case.dtype, case.size);
        match reasons.iter_mut().find(|(at, known, _)| at == device && known == reason) {
            Some((.., names)) => names.push(name),
            None => reasons.push((*device, reason, vec![name])),
        }
    }
    let mut text = String::new();
    for (device, reason, names) in reasons {
        let lines = wrap(names, ", ", page() - 4).join(",\n   ");
        let head = format!("{}  ", letter(device));
        text += "\n";
        text += &paragraph(&format!("did not run: {reason}:"), &head, "   ", page());
        text += &format!("   {lines}\n");
    }
    text
}

/// What a device is called in a table.
pub fn letter(index: usize) -> char {
    (b'A' + index as u8 % 26) as char
}

fn document(devices: &[Subject], rows: &[Row], skipped: &[Skipped]) -> Value {
    let ceilings = devices.iter().map(|device| {
        let Ceilings { write, read, copy, multiply_add } = device.ceilings();
        json!({
            "engine": device.device.engine(),
            "device": device.device.to_string(),
            "write_bytes_per_s": write,
            "read_bytes_per_s": read,
            "copy_bytes_per_s": copy,
            "multiply_add_flops_per_s": multiply_add,
            "measurements": device.measured.len(),
        })
    });
    let entry = |case: &Case, device: usize| {
        json!({
            "op": case.op,
            "dtype": case.dtype.name(),
            "size": case.size,
            "engine": devices[device].device.engine(),
            "device": devices[device].device.to_string(),
        })
    };
    let rows = rows.iter().map(|row| {
        let mut own = entry(&row.case, row.device);
        own["median_s"] = row.seen.median.into();
        own["low_s"] = row.seen.low.into();
        own["high_s"] = row.seen.high.into();
        own["samples"] = row.seen.samples.into();
        own["throughput"] = row.throughput().into();
        own["unit"] = row.case.work.unit.name().into();
        own["bytes_moved"] = (row.case.work.read + row.case.work.written).into();
        own["ceiling_fraction"] = row.share.and_then(|share| share.fraction).into();
        own["limit"] = row.share.map(|share| share.limit.name()).into();
        own["ratio_to_first"] = row.ratio.into();
        own
    });
    let skipped = skipped.iter().map(|own| {
        let mut entry = entry(&own.case, own.device);
        entry["reason"] = own.reason.clone().into();
        entry
    });
    json!({
        "ceilings": ceilings.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
        "skipped": skipped.collect::<Vec<_>>(),
    })
}
