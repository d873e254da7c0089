//! The device's own clock.

use super::Context;
use crate::Result;
use crate::host::Instant;

/// What a pass leaves of its start and its end.
pub(super) struct Clock {
    pub(super) queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Nanoseconds a tick.
    period: f32,
}

impl Clock {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Clock {
        Clock {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("times"),
                size: 16,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
            period: queue.get_timestamp_period(),
        }
    }
}

impl Context {
    /// The seconds that the last pass took on the device, waited for; none where the context was not
    /// opened with [`timestamps`](super::ContextOptions::timestamps), or the device has no clock.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device fails or does not answer.
    pub fn pass_seconds(&self) -> Result<Option<f64>> {
        let Some(clock) = &self.inner.clock else { return Ok(None) };
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let download = self.buffer("times", 16, usage)?;
        let ((), submission) = self.submit(|encoder| {
            encoder.resolve_query_set(&clock.queries, 0..2, &clock.resolved, 0);
            encoder.copy_buffer_to_buffer(&clock.resolved, 0, &download, 0, 16);
            Ok(())
        })?;
        self.map(&download, submission).wait()?;
        let view = download.slice(..).get_mapped_range().map_err(|error| self.failed(error))?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        // A clock that stood still, or ran backwards, tells nothing.
        let passed = ticks[1].checked_sub(ticks[0]).filter(|ticks| *ticks > 0);
        Ok(passed.map(|ticks| ticks as f64 * f64::from(clock.period) * 1e-9))
    }

    /// The seconds of some work whose last pass it is: by the device's clock where it has one, else by
    /// the wall's.
    pub(crate) fn seconds(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let start = Instant::now();
        work()?;
        let passed = start.elapsed().as_secs_f64();
        Ok(self.pass_seconds()?.unwrap_or(passed))
    }
}
