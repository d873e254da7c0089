use std::sync::mpsc;
use std::thread;

use rayon::ThreadPoolBuilder;

use crate::memory;

/// Threads that are left for others: four that write and digest a file, one that waits for signals, a
/// bar's.
const SPARE: usize = 6;

/// Starts the threads that this module works on, and returns how many: as many as there are cores, or
/// as `RAYON_NUM_THREADS` says; fewer where the system starts no more; and where it starts none, the
/// calling thread works alone, which is then to be the one that goes on to use this crate.
///
/// Without it rayon starts them at their first use, and panics where it cannot. Once they are there, by
/// whomever, it changes nothing.
pub fn start_threads() -> usize {
    let named = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let wanted = named.filter(|threads| *threads > 0).unwrap_or_else(cores);
    // Threads first, the pool after: rayon would not try a second time.
    let mut started = Vec::new();
    while started.len() < wanted + SPARE {
        let (give, take) = mpsc::channel::<rayon::ThreadBuilder>();
        let run = move || {
            if let Ok(work) = take.recv() {
                work.run();
            }
        };
        let (run, begun) = memory::announced(run);
        match memory::thread().and_then(|thread| thread.spawn(run)) {
            Ok(thread) => {
                let _ = begun.recv();
                started.push((give, thread));
            }
            Err(_) => break,
        }
    }
    let kept = started.len().saturating_sub(SPARE);
    for (give, thread) in started.drain(kept..) {
        drop(give);
        // It had nothing to do, and so nothing to fail at.
        let _ = thread.join();
    }
    let pool = ThreadPoolBuilder::new().num_threads(kept.max(1));
    // An error says that there is a pool already; then the threads end with what would have fed them.
    let _ = match kept {
        0 => pool.use_current_thread().build_global(),
        _ => pool
            .spawn_handler(|work| {
                let (give, _) = started.pop().ok_or(std::io::ErrorKind::WouldBlock)?;
                give.send(work).map_err(|_| std::io::ErrorKind::WouldBlock.into())
            })
            .build_global(),
    };
    rayon::current_num_threads()
}
