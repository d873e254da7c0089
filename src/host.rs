//! What a system gives, and a browser gives otherwise or not at all: a clock, a wait for what comes later, threads.

#[cfg(target_arch = "wasm32")]
pub(crate) use own::signal;
pub(crate) use own::{Instant, can_wait, parallel, receive, sleep, threads, wait};

/// How long a device may take before it counts as hung.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

#[cfg(not(target_arch = "wasm32"))]
mod own {
    use std::sync::mpsc::{Receiver, RecvTimeoutError};
    pub(crate) use std::thread::sleep;
    use std::time::Duration;
    pub(crate) use std::time::Instant;

    pub(crate) use rayon::current_num_threads as threads;
    pub(crate) use rayon::prelude as parallel;

    /// Why this thread cannot wait, if so.
    pub(crate) fn can_wait() -> Result<(), &'static str> {
        Ok(())
    }

    /// What a future comes to.
    pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T, String> {
        Ok(pollster::block_on(future))
    }

    /// What comes within a time.
    pub(crate) fn receive<T>(from: &Receiver<T>, time: Duration) -> Result<T, RecvTimeoutError> {
        from.recv_timeout(time)
    }
}

/// A browser's threads may not be blocked. By JavaScript Promise Integration a call out of JavaScript is put
/// aside until a promise has come, and others go on: so what waits here is code like everywhere.
#[cfg(target_arch = "wasm32")]
// What it is called says that wasm-bindgen may change it.
#[allow(deprecated)]
mod own {
    use std::cell::Cell;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::{Poll, Waker};
    use std::time::Duration;

    use js_sys::futures::{jspi_block_on_promise, spawn_local};
    use js_sys::{Function, Promise};
    use wasm_bindgen::prelude::*;
    pub(crate) use web_time::Instant;

    use super::PATIENCE;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_name = setTimeout)]
        fn set_timeout(call: &Function, milliseconds: f64) -> JsValue;
        #[wasm_bindgen(js_name = clearTimeout)]
        fn clear_timeout(timer: &JsValue);
    }

    /// Why this browser lets nothing wait, if so. Where `WebAssembly.Suspending` is only a stand-in, as a page may
    /// have one to load this at all, a promise comes back as it is.
    pub(crate) fn can_wait() -> Result<(), &'static str> {
        let needed = "this browser has no JavaScript Promise Integration, by which the wait for a GPU is done";
        let came = jspi_block_on_promise(&Promise::resolve(&JsValue::TRUE));
        came.ok().filter(|came| came.as_bool() == Some(true)).map(drop).ok_or(needed)
    }

    /// What a future comes to, which the browser's own work brings on.
    ///
    /// # Errors
    /// Where it does not come within [`PATIENCE`], or nothing can wait.
    pub(crate) fn wait<T: 'static>(future: impl Future<Output = T> + 'static) -> Result<T, String> {
        can_wait()?;
        within(PATIENCE, future).ok_or_else(|| format!("no answer within {} s", PATIENCE.as_secs()))
    }

    /// Lets the browser go on for so long.
    pub(crate) fn sleep(time: Duration) {
        let _ = within(time, std::future::pending::<()>());
    }

    /// What comes within a time.
    pub(crate) fn receive<T>(from: &Receiver<T>, time: Duration) -> Result<T, RecvTimeoutError> {
        let received = from.try_recv().or_else(|_| {
            sleep(time);
            from.try_recv()
        });
        received.map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    /// There are no threads but the one.
    pub(crate) fn threads() -> usize {
        1
    }

    /// rayon's names for what one thread does: with rayon itself each loop would be there several times, to be
    /// shared out among threads that there are not.
    pub(crate) mod parallel {
        use std::slice::{Chunks, ChunksExactMut, ChunksMut};

        pub(crate) trait OfSlice<T> {
            fn par_iter(&self) -> std::slice::Iter<'_, T>;
            fn par_chunks(&self, size: usize) -> Chunks<'_, T>;
            fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T>;
            fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T>;
        }

        impl<T> OfSlice<T> for [T] {
            fn par_iter(&self) -> std::slice::Iter<'_, T> {
                self.iter()
            }
            fn par_chunks(&self, size: usize) -> Chunks<'_, T> {
                self.chunks(size)
            }
            fn par_chunks_mut(&mut self, size: usize) -> ChunksMut<'_, T> {
                self.chunks_mut(size)
            }
            fn par_chunks_exact_mut(&mut self, size: usize) -> ChunksExactMut<'_, T> {
                self.chunks_exact_mut(size)
            }
        }

        pub(crate) trait OfIterator: Iterator + Sized {
            fn into_par_iter(self) -> Self {
                self
            }
            fn with_min_len(self, _: usize) -> Self {
                self
            }
            fn with_max_len(self, _: usize) -> Self {
                self
            }
            fn reduce_with(
                self,
                join: impl FnMut(Self::Item, Self::Item) -> Self::Item,
            ) -> Option<Self::Item> {
                self.reduce(join)
            }
        }

        impl<I: Iterator> OfIterator for I {}
    }

    /// What is called once something is done, and the wait for that.
    pub(crate) fn signal() -> (impl FnOnce() + Send + 'static, impl Future<Output = ()>) {
        let state = Arc::new(Mutex::new((false, None::<Waker>)));
        let heard = state.clone();
        let call = move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        };
        let wait = std::future::poll_fn(move |context| {
            let mut state = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match state.0 {
                true => Poll::Ready(()),
                false => {
                    state.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        (call, wait)
    }

    fn within<T: 'static>(time: Duration, future: impl Future<Output = T> + 'static) -> Option<T> {
        let slot = Rc::new(Cell::new(None));
        let to = slot.clone();
        wait_for(time, Box::pin(async move { to.set(Some(future.await)) }));
        slot.take()
    }

    fn wait_for(time: Duration, work: Pin<Box<dyn Future<Output = ()>>>) {
        let mut work = Some(work);
        let done = Promise::new(&mut |resolve, _| {
            let Some(work) = work.take() else { return };
            let timer = set_timeout(&resolve, time.as_secs_f64() * 1e3);
            spawn_local(async move {
                work.await;
                clear_timeout(&timer);
                let _ = resolve.call0(&JsValue::UNDEFINED);
            });
        });
        let _ = jspi_block_on_promise(&done);
    }
}
