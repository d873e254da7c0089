use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// `PYTHON`, else `python3`.
pub fn interpreter() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

/// `peers.py`, which answers each line.
pub struct Python(RefCell<(ChildStdin, BufReader<ChildStdout>, Child)>);

impl Python {
    pub fn start() -> Option<Python> {
        let mut command = Command::new(interpreter());
        command.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let (input, output) = (child.stdin.take()?, child.stdout.take()?);
        Some(Python(RefCell::new((input, BufReader::new(output), child))))
    }

    /// The seconds of one run.
    pub fn once(&self, library: &str, op: &str) -> Option<f64> {
        let (input, output, _) = &mut *self.0.borrow_mut();
        writeln!(input, "{library} {op}").ok()?;
        let mut line = String::new();
        output.read_line(&mut line).ok()?;
        line.trim().parse().ok()
    }
}
