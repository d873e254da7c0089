//! Does this device keep the contract of the drawn numbers: what `fanin verify` checks.

use fanin::verify::{self, Check};
use serde::{Deserialize, Serialize};

use crate::device::{Devices, On};
use crate::wire::{Failure, Progress};

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    device: On,
    /// Values of each distribution and dtype.
    #[serde(default = "usual")]
    values: u64,
}

fn usual() -> u64 {
    1 << 16
}

/// Values at most; the command line takes more.
const MOST: u64 = 1 << 24;

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    values: u64,
    ok: bool,
    detail: &'a str,
}

#[derive(Serialize)]
pub struct Verified {
    rows: u64,
    passed: u64,
    failed: u64,
}

pub fn verify(
    devices: &mut Devices,
    asked: &Asked,
    progress: &Progress,
) -> Result<Verified, Failure> {
    if !(1..=MOST).contains(&asked.values) {
        return Err(Failure::new(format!("values: got {}, needed 1 to {MOST}", asked.values)));
    }
    let device = devices.get(asked.device)?;
    let mut verified = Verified { rows: 0, passed: 0, failed: 0 };
    let mut report = |check: Check| {
        verified.rows += 1;
        *(if check.holds { &mut verified.passed } else { &mut verified.failed }) += 1;
        let Check { name, values, holds, found } = &check;
        progress.tell(&Row { name, values: *values, ok: *holds, detail: found });
        Ok(())
    };
    verify::device(&device.in_chunks(4 << 20), asked.values, &mut report)?;
    if let Some(context) = device.context() {
        report(verify::offsets(context)?)?;
    }
    Ok(verified)
}
