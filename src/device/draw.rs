use super::{Device, draw_cpu, draw_gpu};
use crate::op::Moments;
use crate::random::{Distribution, Dtype, Slice, Stream};
use crate::{Error, Result, counted};

/// A run of one tensor's elements, or of a slice's, to be drawn whole.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The tensor's stream.
    pub stream: Stream,
    /// What its elements are drawn from.
    pub distribution: Distribution,
    /// Their dtype: one of [`Dtype::SAMPLED`], or `u32` for [`Distribution::Words`].
    pub dtype: Dtype,
    /// The slice of the tensor; none for the tensor itself.
    pub slice: Option<&'a Slice>,
    /// The first element's index: in the stream, or in the slice where there is one.
    pub first: u64,
    /// How many elements.
    pub count: u64,
}

impl Piece<'_> {
    /// The size in bytes; 2^64 - 1 where there would be more.
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.dtype.size() as u64)
    }
}

/// # Errors
/// [`Error::Invalid`] where a piece has more bytes than a device takes.
pub(super) fn check_pieces(pieces: &[Piece], most: u64) -> Result<()> {
    let Some(piece) = pieces.iter().find(|piece| piece.bytes() > most) else { return Ok(()) };
    let given = match piece.count.checked_mul(piece.dtype.size() as u64) {
        Some(bytes) => format!("{bytes} bytes"),
        None => format!("{} of {}", counted(piece.count, "element"), piece.dtype),
    };
    Err(Error::invalid("piece", given, format!("at most {most} bytes")))
}

/// What a device hands each drawn piece to: a number (of the piece, or of its tensor), its bytes,
/// what they come to.
pub type Sink<'a> = dyn FnMut(usize, &[u8], Moments) -> Result<()> + 'a;

/// What draws: a [`Device`]. The bytes are the same, whichever it is.
pub trait Draw {
    /// `gpu` or `cpu`.
    fn engine(&self) -> &'static str;

    /// The device, in words.
    fn device(&self) -> String;

    /// The most bytes that a piece may have.
    fn piece_bytes(&self) -> u64;

    /// Draws pieces and hands them over in order. Drawing goes on while the sink works.
    ///
    /// # Errors
    /// The sink's first error, which ends the drawing; [`Error`] where a piece is too
    /// large, its parameters are off, or the device fails.
    fn draw(&self, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()>;
}

/// A device with the size of the pieces that it draws at a time; see [`Device::in_chunks`].
#[derive(Clone, Debug)]
pub struct Chunks {
    device: Device,
    bytes: u64,
}

impl Chunks {
    pub(super) fn new(device: Device, bytes: Option<u64>) -> Chunks {
        // On a CPU what still lies in the cache when it is digested and written; on a GPU what makes the
        // submission cost little beside the drawing.
        let (usual, most) = match &device {
            Device::Cpu => (2 << 20, 1 << 30),
            Device::Gpu(context) => (16 << 20, context.limits().binding.min(1 << 27)),
        };
        Chunks { device, bytes: bytes.unwrap_or(usual).clamp(1 << 12, most) / 256 * 256 }
    }
}

impl Draw for Chunks {
    fn engine(&self) -> &'static str {
        self.device.engine()
    }

    fn device(&self) -> String {
        self.device.to_string()
    }

    fn piece_bytes(&self) -> u64 {
        self.bytes
    }

    fn draw(&self, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()> {
        check_pieces(pieces, self.bytes)?;
        match &self.device {
            Device::Cpu => draw_cpu::draw(pieces, sink),
            Device::Gpu(context) => {
                draw_gpu::Drawing { context, chunk: self.bytes }.draw(pieces, sink)
            }
        }
    }
}

impl Draw for Device {
    fn engine(&self) -> &'static str {
        Device::engine(self)
    }

    fn device(&self) -> String {
        self.to_string()
    }

    fn piece_bytes(&self) -> u64 {
        self.in_chunks(None).piece_bytes()
    }

    fn draw(&self, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()> {
        self.in_chunks(None).draw(pieces, sink)
    }
}
