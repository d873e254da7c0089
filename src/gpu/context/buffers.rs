//! Buffers: made, written, read, and checked where they are the caller's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::kernels::layout_entry;
use super::{Context, UNIFORM_STRIDE};
use crate::gpu::Tensor;
use crate::gpu::turn::{Buffer, Held};
use crate::shaders::Access;
use crate::{Error, Result, memory};

impl Context {
    pub(crate) fn buffer(
        &self,
        label: &'static str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer> {
        let most = self.inner.device.limits().max_buffer_size;
        if size > most {
            let given = format!("{size} bytes");
            let needed = format!("at most the {most} that {} allows in a buffer", self.name());
            return Err(Error::invalid(label, given, needed));
        }
        self.guarded(|device| {
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            });
            Ok(self.held(buffer))
        })
    }

    /// What of the device's is to be dropped in turn.
    pub(crate) fn held<T>(&self, value: T) -> Held<T> {
        Held::new(value, self.inner.turns)
    }

    /// The bytes of a tensor, waited for.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensor is another device's, [`Error::Device`] where the device fails
    /// or does not answer.
    pub fn read(&self, tensor: &Tensor) -> Result<Vec<u8>> {
        tensor.check_owner(self)?;
        // Copies start and end at multiples of 4.
        let first = tensor.offset() / 4 * 4;
        let last = (tensor.offset() + tensor.bytes()).next_multiple_of(4);
        let download = self.buffer(
            "download",
            last - first,
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        )?;
        let ((), submission) = self.submit(|encoder| {
            encoder.copy_buffer_to_buffer(tensor.buffer(), first, &download, 0, last - first);
            Ok(())
        })?;
        self.map(&download, submission).wait()?;
        self.trace_read(tensor.buffer(), tensor.offset(), tensor.bytes());
        let skip = (tensor.offset() - first) as usize;
        let view = download.slice(..).get_mapped_range().map_err(|error| self.failed(error))?;
        memory::copied("a tensor's bytes", &view[skip..skip + tensor.bytes() as usize])
    }

    /// Writes bytes into a tensor, `offset` bytes from its start, before whatever is submitted next. In
    /// the buffer they start and end at multiples of 4: after a tensor whose size is none there are
    /// bytes to fill it up.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tensor is another device's, or the bytes do not fit into it or start
    /// or end elsewhere; [`Error::Device`] where the device refuses.
    pub fn write(&self, tensor: &Tensor, offset: u64, bytes: &[u8]) -> Result<()> {
        tensor.check_owner(self)?;
        let length = bytes.len() as u64;
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > tensor.bytes().next_multiple_of(4)) {
            let given = format!("{length} bytes from {offset}");
            let needed = format!("at most the tensor's {}", tensor.bytes());
            return Err(Error::invalid("write", given, needed));
        }
        let first = tensor.offset() + offset;
        if !first.is_multiple_of(4) || !length.is_multiple_of(4) {
            let given = format!("{length} bytes from {first} of the buffer");
            return Err(Error::invalid("write", given, "multiples of 4"));
        }
        self.upload(tensor.buffer(), first, bytes)
    }

    /// Writes bytes into a buffer of the device's own.
    pub(crate) fn upload(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.guarded(|_| {
            self.put(buffer, offset, bytes);
            Ok(())
        })
    }

    /// As [`Context::upload`], for what is guarded already.
    pub(crate) fn put(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.trace_write(buffer, offset, bytes);
        self.inner.queue.write_buffer(buffer, offset, bytes);
    }

    /// Gives a buffer back to the device once what it brought is read.
    pub(crate) fn unmap(&self, buffer: &wgpu::Buffer) {
        let _turn = self.inner.turns.take();
        buffer.unmap();
    }

    /// Binds a buffer of the caller's once, to hear what wgpu has against it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where wgpu knows that it is another device's.
    pub(crate) fn check_buffer(&self, buffer: &wgpu::Buffer) -> Result<()> {
        let refused = |message: &str| {
            let given = format!("one that cannot be bound ({message})");
            Error::invalid("tensor's buffer", given, format!("one of {}", self.name()))
        };
        let bind = || {
            self.guarded(|device| {
                let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: None,
                    entries: &[layout_entry(0, Access::Read)],
                });
                let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(4),
                });
                drop(self.held(device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &layout,
                    entries: &[wgpu::BindGroupEntry { binding: 0, resource }],
                })));
                Ok(())
            })
        };
        match catch_unwind(AssertUnwindSafe(bind)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Error::Device { message, .. })) if self.alive().is_ok() => {
                Err(refused(&message))
            }
            Ok(Err(error)) => Err(error),
            // wgpu panics where it knows no buffer of that number.
            Err(_) => Err(refused("the device has none such")),
        }
    }

    pub(crate) fn table(&self) -> &wgpu::Buffer {
        &self.inner.table
    }

    /// What stands where a kernel may write but this time does not: two stretches, since no two
    /// bindings that are written may overlap.
    pub(crate) fn unused(&self) -> [wgpu::BufferBinding<'_>; 2] {
        [0, UNIFORM_STRIDE as u64].map(|offset| wgpu::BufferBinding {
            buffer: &self.inner.unused,
            offset,
            size: wgpu::BufferSize::new(16),
        })
    }

    /// One uniform block a dispatch, together in a buffer: what was written to one block twice
    /// before a submit would be seen by both dispatches as the last.
    pub(in crate::gpu) fn uniforms<T: bytemuck::Pod>(&self, blocks: &[T]) -> Uniforms {
        let mut bytes = vec![0; blocks.len() * UNIFORM_STRIDE];
        for (slot, block) in bytes.chunks_exact_mut(UNIFORM_STRIDE).zip(blocks) {
            slot[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(block));
        }
        let size = size_of::<T>() as u64;
        let _turn = self.inner.turns.take();
        let usage = wgpu::BufferUsages::UNIFORM;
        let buffer = create_filled(&self.inner.device, "parameters", &bytes, usage);
        self.trace_write(&buffer, 0, &bytes);
        Uniforms { buffer: self.held(buffer), size }
    }
}

/// Parameter blocks of consecutive dispatches.
pub(in crate::gpu) struct Uniforms {
    buffer: Buffer,
    size: u64,
}

impl Uniforms {
    pub(crate) fn block(&self, index: usize) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: (index * UNIFORM_STRIDE) as u64,
            size: wgpu::BufferSize::new(self.size),
        }
    }
}

pub(super) fn create_filled(
    device: &wgpu::Device,
    label: &str,
    bytes: &[u8],
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes.len() as u64,
        usage,
        mapped_at_creation: true,
    });
    if let Ok(mut view) = buffer.slice(..).get_mapped_range_mut() {
        view.copy_from_slice(bytes);
    }
    buffer.unmap();
    buffer
}
