//! Ctrl-C, TERM and HUP (and what Windows has for them).

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, sleep};
use std::time::Duration;

use super::note;

/// Whether the user asked to stop.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether there is work that a first signal is not to cut short.
static KEEPING: AtomicBool = AtomicBool::new(false);

/// How long the work may take to hear: reads, locks and drivers do not look at a flag.
const PATIENCE: Duration = Duration::from_millis(600);

/// More than a thread's stack and what is allocated as it starts, while this one goes on and allocates too.
const ROOM: usize = 4 << 20;

/// From here on a signal makes the result true in place of ending the process; a second one ends it
/// from outside, and leaves nothing behind, and so does a first one that nothing hears, once nothing is
/// [kept](keep). Signals that whoever started the process had it ignore (`nohup`) stay ignored.
pub fn listen() -> &'static AtomicBool {
    // A thread that finds a stack, and then no room for what Rust puts beside it, ends without a word: where
    // memory is that scarce, let it be found out here, where the allocator says so.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(ROOM)));
    let before = dispositions();
    let set = ctrlc::set_handler(|| {
        let first = !ASKED.swap(true, Ordering::Relaxed);
        // A thread of its own, so that a second signal finds this one free.
        if !first || Builder::new().spawn(watch).is_err() {
            end();
        }
    });
    restore(&before, set.is_err());
    &ASKED
}

fn watch() {
    loop {
        sleep(PATIENCE);
        if !KEEPING.load(Ordering::Relaxed) {
            end();
        }
    }
}

fn end() -> ! {
    fanin::file::abandon();
    note("interrupted");
    exit(1)
}

/// As long as this is there, work that hears the first signal may take its time to keep what it has.
pub struct Keep;

/// Says that a first signal is heard, and what has been made is kept before the end.
pub fn keep() -> Keep {
    KEEPING.store(true, Ordering::Relaxed);
    Keep
}

impl Drop for Keep {
    fn drop(&mut self) {
        KEEPING.store(false, Ordering::Relaxed);
    }
}

/// The signals that are listened to, each with what happens at it.
#[cfg(unix)]
#[allow(unsafe_code)]
fn dispositions() -> Vec<(i32, libc::sighandler_t)> {
    let of = |signal| {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action this only writes the old one, for which zeros stand else.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
            (signal, action.assume_init().sa_sigaction)
        }
    };
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP].map(of).to_vec()
}

/// Gives back what signals did: all of them, or those that were ignored.
#[cfg(unix)]
#[allow(unsafe_code)]
fn restore(before: &[(i32, libc::sighandler_t)], all: bool) {
    for (signal, handler) in before.iter().filter(|(_, handler)| all || *handler == libc::SIG_IGN) {
        // SAFETY: a disposition that the system gave.
        unsafe { libc::signal(*signal, *handler) };
    }
}

#[cfg(not(unix))]
fn dispositions() {}

#[cfg(not(unix))]
fn restore(_: &(), _: bool) {}
