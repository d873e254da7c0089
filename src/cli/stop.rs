//! Ctrl-C, TERM and HUP (and what Windows has for them).

use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::note;

/// Whether the user asked to stop.
static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the work comes to its end by itself, and needs no more than to be let.
static ENDING: AtomicBool = AtomicBool::new(false);

/// How long the work may take to hear: reads, locks and drivers do not look at a flag.
const PATIENCE: Duration = Duration::from_millis(600);

/// From here on a signal makes the result true in place of ending the process; a second one, or one
/// that nothing hears (see [`ending`]), ends it from outside, and leaves nothing behind. Signals that
/// whoever started the process had it ignore (`nohup`) stay ignored.
pub fn listen() -> &'static AtomicBool {
    let before = dispositions();
    let set = ctrlc::set_handler(|| {
        if !ASKED.swap(true, Ordering::Relaxed) {
            sleep(PATIENCE);
            if ENDING.load(Ordering::Relaxed) {
                return;
            }
        }
        fanin::file::abandon();
        note("interrupted");
        exit(1);
    });
    restore(&before, set.is_err());
    &ASKED
}

/// Says that the work is about to end and what it has made is being kept, which a first signal is not
/// to cut short.
pub fn ending() {
    ENDING.store(true, Ordering::Relaxed);
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
