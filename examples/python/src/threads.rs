//! The threads that draw, in a process that may have been forked.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use fanin::{Error, Result};

/// Of the process with this id.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Does some work on all threads: as many as there are cores, or as `RAYON_NUM_THREADS` says where that is
/// fewer.
///
/// # Errors
/// [`Error::Exhausted`] where the system starts none.
pub fn on_all<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    Ok(pool()?.install(work))
}

fn pool() -> Result<Arc<ThreadPool>> {
    let mut held = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = held.as_ref()
        && *owner == process
    {
        return Ok(pool.clone());
    }
    let name = |thread| format!("fanin-{thread}");
    // More threads than cores draw nothing sooner, and thousands take minutes to come and go.
    let named = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = named.filter(|named| *named > 0).map_or(cores, |named: usize| named.min(cores));
    let full = ThreadPoolBuilder::new().num_threads(wanted).thread_name(name).build();
    let pool = full.or_else(|_| ThreadPoolBuilder::new().num_threads(1).thread_name(name).build());
    let pool = Arc::new(pool.map_err(|error| Error::Exhausted {
        resource: "threads",
        wanted: format!("one to draw on ({error})"),
    })?);
    // A child has its parent's pool, but none of its threads: whoever waited for them would for good.
    if let Some(parents) = held.replace((process, pool.clone())) {
        std::mem::forget(parents);
    }
    Ok(pool)
}
