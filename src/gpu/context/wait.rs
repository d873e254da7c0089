//! Waiting for what was submitted, and mapping what it brought.

#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use super::Context;
use crate::Result;
use crate::host::{self, Instant, PATIENCE};

impl Context {
    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device is lost or hangs.
    pub fn wait(&self) -> Result<()> {
        self.poll(None)?;
        self.answers()
    }

    /// Waits for a submission, or for all. A browser, which polls by itself, says when all is done.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn poll(&self, _: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let (done, all_done) = host::signal();
        self.inner.queue.on_submitted_work_done(done);
        let waited = host::wait(all_done);
        self.alive()?;
        waited.map_err(|error| self.failed(error))
    }

    /// Waits for a submission, or for all.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn poll(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index, timeout: Some(PATIENCE) };
        let _turn = self.inner.turns.take();
        // wgpu panics where a device is lost in the middle of a wait.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(poll)));
        self.alive()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => {
                Err(self.failed(format!("no answer within {} s", PATIENCE.as_secs())))
            }
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.failed("the device was lost during a wait")),
        }
    }

    /// Starts to map a buffer for reading, once a submission is done.
    pub(crate) fn map(&self, buffer: &wgpu::Buffer, submission: wgpu::SubmissionIndex) -> Mapping {
        let (sender, receiver) = mpsc::channel();
        buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens any more where the reader gave up.
            let _ = sender.send(result);
        });
        Mapping { context: self.clone(), submission, receiver }
    }
}

/// A mapping under way.
pub(crate) struct Mapping {
    context: Context,
    submission: wgpu::SubmissionIndex,
    receiver: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Mapping {
    /// Waits until the buffer is mapped.
    pub(crate) fn wait(self) -> Result<()> {
        // The thread whose poll sees the submission done makes the callbacks: where several threads
        // share a device, that may be another one, a moment later.
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.context.poll(Some(self.submission.clone()))?;
            match host::receive(&self.receiver, Duration::from_millis(20)) {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => return Err(self.context.failed(error)),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(self.context.failed(error)),
            }
        }
        Err(self.context.failed(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}
