//! Recording and submitting, with whatever the device has against it caught.

use super::Context;
use crate::gpu::Pass;
use crate::{Error, Result, host};

impl Context {
    /// Records what `record` asks for into one compute pass, and submits it. Does not wait.
    ///
    /// # Errors
    /// What `record` returns, or [`Error::Device`] where the device refuses; then nothing ran.
    pub fn run<T>(&self, record: impl FnOnce(&mut Pass<'_, '_>) -> Result<T>) -> Result<T> {
        let (result, _) =
            self.submit(|encoder| record(&mut Pass::new(self, &mut self.begin(encoder))))?;
        Ok(result)
    }

    /// A compute pass, by the device's clock where it has one.
    pub(crate) fn begin<'encoder>(
        &self,
        encoder: &'encoder mut wgpu::CommandEncoder,
    ) -> wgpu::ComputePass<'encoder> {
        let clock = self.inner.clock.as_ref();
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: clock.map(|clock| wgpu::ComputePassTimestampWrites {
                query_set: &clock.queries,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            }),
        })
    }

    /// Submits what `record` asks of an encoder.
    pub(crate) fn submit<T>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<T>,
    ) -> Result<(T, wgpu::SubmissionIndex)> {
        self.guarded(|device| {
            let mut encoder = device.create_command_encoder(&Default::default());
            let result = record(&mut encoder)?;
            Ok((result, self.inner.queue.submit([encoder.finish()])))
        })
    }

    /// Runs `work`, whatever it asks of the device or the queue, with every error of the device caught
    /// and returned; on OpenGL in the thread's turn, so `work` is not to wait for other threads.
    ///
    /// # Errors
    /// What `work` returns, or [`Error::Device`] where the device fails or failed before.
    pub fn guarded<T>(&self, work: impl FnOnce(&wgpu::Device) -> Result<T>) -> Result<T> {
        let _turn = self.inner.turns.take();
        self.alive()?;
        let (result, error) = caught(&self.inner.device, work);
        match error {
            Some(error) => Err(self.failed(error)),
            None => self.answers().and(result),
        }
    }

    pub(super) fn alive(&self) -> Result<()> {
        match self.inner.lost.get() {
            Some(message) => Err(self.failed(message)),
            None => Ok(()),
        }
    }

    /// As [`Context::alive`], with the device asked: of one of the caller's nothing else tells.
    pub(super) fn answers(&self) -> Result<()> {
        if !self.inner.owner.answers() {
            let _ = self.inner.lost.set("the device was lost or destroyed".into());
        }
        self.alive()
    }

    pub(crate) fn failed(&self, message: impl std::fmt::Display) -> Error {
        Error::Device { device: self.name(), message: message.to_string() }
    }
}

/// Does some work, and says what the device had against it.
pub(super) fn caught<T>(
    device: &wgpu::Device,
    work: impl FnOnce(&wgpu::Device) -> T,
) -> (T, Option<String>) {
    let scopes = [
        wgpu::ErrorFilter::Internal,
        wgpu::ErrorFilter::OutOfMemory,
        wgpu::ErrorFilter::Validation,
    ]
    .map(|filter| device.push_error_scope(filter));
    let result = work(device);
    // Scopes pop in the reverse of their order; a browser is asked for all before one answers.
    let [internal, memory, validation] = scopes;
    let popped = [validation, memory, internal].map(|scope| scope.pop());
    let error = host::wait(async move {
        let mut error = None;
        for popped in popped {
            error = popped.await.or(error);
        }
        error.map(|error| error.to_string())
    });
    (result, error.unwrap_or_else(Some))
}
