use std::sync::Arc;

use super::Context;
use super::owner::Owner;
use super::planner::Window;
use super::turn::Buffer;
use crate::random::Dtype;
use crate::{Error, Result, Shape};

/// A stretch of a GPU buffer with a shape and a dtype.
///
/// Clones share the buffer. It belongs to the device of the context that it was made with: other
/// contexts refuse it, but for those of the same device.
#[derive(Clone, Debug)]
pub struct Tensor {
    owner: Arc<Owner>,
    buffer: Buffer,
    offset: u64,
    shape: Shape,
    dtype: Dtype,
}

impl Tensor {
    /// A tensor in a buffer of its own, its contents 0.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the device allows no such buffer, [`Error::Device`] where it is out
    /// of memory.
    pub fn new(context: &Context, shape: Shape, dtype: Dtype) -> Result<Self> {
        let bytes = bytes(&shape, dtype)?;
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let buffer = context.buffer("tensor", bytes.next_multiple_of(4), usage)?;
        Ok(Tensor { owner: context.owner().clone(), buffer, offset: 0, shape, dtype })
    }

    /// A tensor `offset` bytes into a buffer of the caller's, which the context's own device made, with
    /// `STORAGE` usage and a size that is a multiple of 4. Any offset that is a multiple of the element's
    /// size will do.
    ///
    /// A buffer of another device of the same `wgpu::Instance` is refused. One of another instance's
    /// device cannot be told from the context's own: wgpu says of no buffer whose it is, and would take
    /// it for whichever of the context's has the same number.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the usage, the offset or the size does not fit, or the buffer is not the
    /// device's; [`Error::Device`] where the device is lost.
    pub fn from_buffer(
        context: &Context,
        buffer: &wgpu::Buffer,
        offset: u64,
        shape: Shape,
        dtype: Dtype,
    ) -> Result<Self> {
        let tensor = Tensor::of(context, &context.held(buffer.clone()), offset, shape, dtype)?;
        context.check_buffer(buffer)?;
        Ok(tensor)
    }

    /// A tensor in the same buffer, `offset` bytes from the buffer's start.
    ///
    /// # Errors
    /// As [`Tensor::from_buffer`].
    pub fn within(&self, offset: u64, shape: Shape, dtype: Dtype) -> Result<Self> {
        Tensor::part(&self.owner, &self.buffer, offset, shape, dtype)
    }

    /// As [`Tensor::from_buffer`], of a buffer of this crate's.
    pub(crate) fn of(
        context: &Context,
        buffer: &Buffer,
        offset: u64,
        shape: Shape,
        dtype: Dtype,
    ) -> Result<Self> {
        Tensor::part(context.owner(), buffer, offset, shape, dtype)
    }

    fn part(
        owner: &Arc<Owner>,
        buffer: &Buffer,
        offset: u64,
        shape: Shape,
        dtype: Dtype,
    ) -> Result<Self> {
        let bytes = bytes(&shape, dtype)?;
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE) {
            let given = format!("usage {:?}", buffer.usage());
            return Err(Error::invalid("tensor's buffer", given, "STORAGE usage"));
        }
        if !offset.is_multiple_of(dtype.size() as u64) {
            let needed = format!("a multiple of {dtype}'s {} bytes", dtype.size());
            return Err(Error::invalid("tensor's offset", offset, needed));
        }
        let size = buffer.size();
        if offset.checked_add(bytes).is_none_or(|last| last > size) || !size.is_multiple_of(4) {
            let given = format!("a buffer of {size} bytes");
            let needed = format!("a multiple of 4, with {bytes} bytes after offset {offset}");
            return Err(Error::invalid("tensor's buffer", given, needed));
        }
        Ok(Tensor { owner: owner.clone(), buffer: buffer.clone(), offset, shape, dtype })
    }

    /// The buffer.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Where the tensor starts in its buffer, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// # Errors
    /// [`Error::Invalid`] where it is of another device than the context's.
    pub(crate) fn check_owner(&self, context: &Context) -> Result<()> {
        if self.owner.is(context.owner()) {
            return Ok(());
        }
        let needed = format!("a tensor of the context that it is given to, {}", context.name());
        Err(Error::invalid("tensor", "one of another context", needed))
    }

    /// The whole of it, as a kernel of the context sees it.
    ///
    /// # Errors
    /// As [`Tensor::check_owner`]; so of every tensor that is bound.
    pub(crate) fn binding(&self, context: &Context) -> Result<wgpu::BufferBinding<'_>> {
        self.bound(context, self.offset, self.bytes().next_multiple_of(4))
    }

    /// A window of it.
    ///
    /// # Errors
    /// As [`Tensor::binding`].
    pub(crate) fn window(
        &self,
        context: &Context,
        window: &Window,
    ) -> Result<wgpu::BufferBinding<'_>> {
        self.bound(context, window.offset, window.size)
    }

    fn bound(&self, context: &Context, offset: u64, size: u64) -> Result<wgpu::BufferBinding<'_>> {
        self.check_owner(context)?;
        let size = wgpu::BufferSize::new(size);
        Ok(wgpu::BufferBinding { buffer: &self.buffer, offset, size })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The dtype.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.shape.elements() * self.dtype.size() as u64
    }
}

fn bytes(shape: &Shape, dtype: Dtype) -> Result<u64> {
    let bytes = shape.elements().checked_mul(dtype.size() as u64);
    // So far below 2^64 that no multiple of a few bytes above it wraps.
    bytes.filter(|bytes| *bytes <= i64::MAX as u64).ok_or_else(|| {
        Error::invalid("tensor", format!("{dtype} of shape {shape}"), "fewer than 2^63 bytes")
    })
}
