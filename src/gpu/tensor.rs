use super::Context;
use super::planner::Window;
use super::turn::{Buffer, Held, Turns};
use crate::random::Dtype;
use crate::{Error, Result, Shape};

/// A stretch of a GPU buffer with a shape and a dtype.
///
/// Clones share the buffer.
#[derive(Clone, Debug)]
pub struct Tensor {
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
        Ok(Tensor { buffer, offset: 0, shape, dtype })
    }

    /// A tensor `offset` bytes into a buffer of the caller's, which has `STORAGE` usage and a size
    /// that is a multiple of 4. Any offset that is a multiple of the element's size will do.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the usage, the offset or the size does not fit.
    pub fn from_buffer(
        buffer: &wgpu::Buffer,
        offset: u64,
        shape: Shape,
        dtype: Dtype,
    ) -> Result<Self> {
        // Nobody says whose buffer it is, and a turn too many costs little.
        let buffer = Held::new(buffer.clone(), Turns::of(wgpu::Backend::Gl));
        Tensor::of(&buffer, offset, shape, dtype)
    }

    /// A tensor in the same buffer, `offset` bytes from the buffer's start.
    ///
    /// # Errors
    /// As [`Tensor::from_buffer`].
    pub fn within(&self, offset: u64, shape: Shape, dtype: Dtype) -> Result<Self> {
        Tensor::of(&self.buffer, offset, shape, dtype)
    }

    /// As [`Tensor::from_buffer`], of a buffer of this crate's.
    pub(super) fn of(buffer: &Buffer, offset: u64, shape: Shape, dtype: Dtype) -> Result<Self> {
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
        Ok(Tensor { buffer: buffer.clone(), offset, shape, dtype })
    }

    /// The buffer.
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Where the tensor starts in its buffer, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The whole of it, as a kernel sees it.
    pub(super) fn binding(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes().next_multiple_of(4)),
        }
    }

    /// A window of it.
    pub(super) fn window(&self, window: &Window) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: window.offset,
            size: wgpu::BufferSize::new(window.size),
        }
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
    shape.elements().checked_mul(dtype.size() as u64).ok_or_else(|| {
        Error::invalid("tensor", format!("{dtype} of shape {shape}"), "fewer than 2^64 bytes")
    })
}
