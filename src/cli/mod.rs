mod bench;
mod catalogue;
mod chart;
mod check;
mod columns;
mod contract;
mod devices;
mod dry;
mod flags;
mod form;
mod gain;
mod init;
mod inits;
mod predict;
mod probe;
mod report;
mod sample;
mod start;
mod stop;
mod table;
mod text;
mod train;
mod verify;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use fanin::gpu::{Choice, ContextOptions};
use fanin::{Device, Error, Result, plain};
use indicatif::{ProgressBar, ProgressStyle};

/// One seed, the same weights on every GPU.
///
/// Draws the initial weights of a neural network from a seed: with integer arithmetic alone, so that
/// every GPU, driver and CPU gives the same bits. Trains networks from them, to see which
/// initialization learns.
#[derive(Parser)]
#[command(name = "fanin", version)]
#[command(after_help = "Exit codes: 0 done; 1 a check did not hold, a device or a file failed;\n\
                        2 wrong usage or bad input.\n\n\
                        Tables and charts fit the terminal, or COLUMNS. Where neither says how wide\n\
                        it is, tables have all columns and each message on stderr is one line.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Initialize a model into safetensors files
    Init(init::InitArgs),
    /// Tell whether files of weights are what their manifest and their own metadata say
    Check(check::CheckArgs),
    /// Train networks from several initializations and see which learn
    Train(Box<train::TrainArgs>),
    /// Predict with a network that `train --out` wrote
    Predict(Box<predict::PredictArgs>),
    /// Follow signals and gradients through a deep network at initialization, and say which
    /// initializers keep them
    Probe(Box<probe::ProbeArgs>),
    /// The gains of nonlinearities, and what becomes of variances through depth
    Gain(gain::GainArgs),
    /// Time every kernel on the CPU and on adapters, beside the most that each can do
    Bench(bench::BenchArgs),
    /// List the adapters of this machine, and which one `auto` takes
    Devices(devices::DevicesArgs),
    /// Check that devices draw the contract's bits
    Verify(verify::VerifyArgs),
    /// Print the contract of the drawn numbers, from which they can be drawn anew in any language
    Contract(contract::ContractArgs),
    /// Write drawn words or values to stdout
    Sample(sample::SampleArgs),
}

/// What every command that draws takes.
#[derive(Args)]
struct DeviceArgs {
    /// auto, cpu, gpu, part of an adapter's name, a backend (vulkan, metal, dx12, gl), or
    /// backend:name, such as vulkan:llvmpipe
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Choice,

    /// Multiply words through 16-bit halves even where the adapter has 64-bit integers (the bits
    /// are the same)
    #[arg(long)]
    no_int64: bool,
}

impl DeviceArgs {
    fn options(&self) -> ContextOptions {
        ContextOptions { int64: !self.no_int64, ..ContextOptions::default() }
    }

    /// The device of the choice; where `auto` comes to the CPU, a line on stderr says so: that it is the
    /// CPU that `does` it.
    fn open(&self, does: &str) -> Result<Device> {
        let device = Device::open(&self.device, self.options())?;
        if self.device == Choice::Auto && device.context().is_none() {
            note(&format!(
                "no GPU here, so the CPU {does} ({device}; --device gpu takes a software driver)"
            ));
        }
        Ok(device)
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let matches = matches(std::env::args_os()).unwrap_or_else(|error| usage(error));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| usage(error));
    start::prepare();
    let of = |command: &str| matches.subcommand_matches(command).cloned().unwrap_or_default();
    let done = match cli.command {
        Command::Init(args) => init::run(args),
        Command::Check(args) => check::run(args),
        Command::Train(args) => train::run(*args, &of("train")),
        Command::Predict(args) => predict::run(*args),
        Command::Probe(args) => probe::run(*args),
        Command::Gain(args) => gain::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Contract(args) => contract::run(args),
        Command::Sample(args) => sample::run(args),
    };
    match done {
        Ok(code) => code,
        // Whoever read our output has enough of it.
        Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            note(&format!("error: {}", flags::told(&error)));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

/// What the arguments come to, help being as wide as the page.
fn matches(
    arguments: impl Iterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> clap::error::Result<ArgMatches> {
    Cli::command().term_width(text::page()).try_get_matches_from(arguments)
}

/// Whether an argument of a command was given, rather than left to its default.
fn given(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// The most seeds of one command.
const MOST_SEEDS: u64 = 100_000;

/// So many seeds from the first.
fn seeds(count: u64, first: u64) -> Result<Vec<u64>> {
    let invalid = |needed: String| {
        let given = format!("{count} from {first}");
        Err(Error::Invalid { what: "--seeds".into(), given, needed })
    };
    let Some(more) = count.checked_sub(1) else { return invalid("at least one".into()) };
    match first.checked_add(more) {
        Some(last) if count <= MOST_SEEDS => Ok((first..=last).collect()),
        _ => invalid(format!("at most {MOST_SEEDS}, the last of them at most {}", u64::MAX)),
    }
}

/// A bar on stderr, hidden where that is no terminal.
fn progress(template: &str, length: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length).with_style(style);
    // The bar's own thread, which it takes for granted.
    if std::thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok()) {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}

/// Prints help, or what is wrong with the arguments, and ends. These may be names of files, which a shell
/// put there: they are made plain.
fn usage(error: clap::Error) -> ! {
    let arguments = std::env::args_os().map(|text| plain(text.to_string_lossy()).to_string());
    let error = matches(arguments).err().unwrap_or(error);
    let Some(room) = text::note_room().filter(|_| error.use_stderr()) else { error.exit() };
    let text = match console::colors_enabled_stderr() {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    for line in text.lines() {
        let words = line.trim_start();
        let margin = &line[..line.len() - words.len()];
        let _ = write!(io::stderr(), "{}", text::paragraph(words, margin, margin, room));
    }
    std::process::exit(error.exit_code())
}

/// A message on stderr, which may be closed: one line, or a paragraph where the terminal is narrower.
fn note(message: &str) {
    let line = plain(message).to_string();
    let _ = match text::note_room() {
        Some(room) => write!(io::stderr(), "{}", text::paragraph(&line, "", "", room)),
        None => writeln!(io::stderr(), "{line}"),
    };
}

/// Text on stdout, made plain.
fn print(text: &str) -> Result<()> {
    put(shown(text).as_bytes())
}

/// Bytes on stdout as they are.
fn put(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|source| Error::File { action: "write to", path: "stdout".into(), source })
}

fn print_json(document: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|error| Error::Invalid {
        what: "document".into(),
        given: error.to_string(),
        needed: "one of JSON".into(),
    })?;
    put((plain_json(&text) + "\n").as_bytes())
}

/// Text for a terminal: its lines and the colours of plots are ours, all else is [`plain`].
///
/// Names have been made plain where they came in, newlines too; this is for what was forgotten.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        out += if index > 0 { "\n" } else { "" };
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("\x1b[") {
            let color = after.split_once('m').filter(|(code, _)| chart::is_color(code));
            let Some((code, after)) = color else { break };
            let _ = write!(out, "{}\x1b[{code}m", plain(before));
            rest = after;
        }
        let _ = write!(out, "{}", plain(rest));
    }
    out
}

/// JSON whose strings are plain. What is not plain stands in strings alone, lines aside, and is
/// within 16 bits.
fn plain_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Most are of these.
        if c == '\n' || (' '..='~').contains(&c) || plain(c).to_string().chars().eq([c]) {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    out
}

/// `4096`, `64KiB`, `16MB`, `2GB`: bytes, by 1024 with an i (or without a B) and by 1000 else.
fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err(format!("unknown unit `{unit}`, needed B, kB, MB, GB, KiB, MiB or GiB")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("`{text}` is no size, needed one such as 2GB"))?;
    let bytes = number * f64::from(scale);
    if bytes >= 1.0 && bytes < 2f64.powi(63) {
        Ok(bytes as u64)
    } else {
        Err(format!("`{text}` is no size, needed at least 1 byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_lines_and_colours_drives_the_terminal() {
        let ours = "a\nb \x1b[36m⠿\x1b[0m\n";
        assert_eq!(shown(ours), ours);
        let theirs = "a\x1b[2J\x1b[36mb\r\u{9b}31m\n";
        assert_eq!(shown(theirs), "a\\u{1b}[2J\\u{1b}[36mb\\r\\u{9b}31m\n");
        assert_eq!(shown("\x1b[36ma\x1b]0;b\x07"), "\x1b[36ma\\u{1b}]0;b\\u{7}");
    }

    #[test]
    fn json_says_the_same_in_plain_letters() {
        let text = "a\n\x1b \u{7f}\u{9b}\u{202e}\u{feff}é😀\\";
        let document = serde_json::json!({ text: [text] });
        let json = plain_json(&format!("{document:#}"));
        assert_eq!(shown(&json), json);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), document);
    }
}
