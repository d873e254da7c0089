use crate::cpu::CpuEngine;
use crate::gpu::{Choice, Context, GpuEngine, Options};
use crate::random::{Distribution, Dtype, Stream};
use crate::{Error, Moments, Result};

/// A run of one tensor's elements, to be drawn whole.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// The tensor's stream.
    pub stream: Stream,
    /// What its elements are drawn from.
    pub distribution: Distribution,
    /// Their dtype: one of [`Dtype::SAMPLED`], or `u32` for [`Distribution::Words`].
    pub dtype: Dtype,
    /// The first element's index in the stream.
    pub first: u64,
    /// How many elements.
    pub count: u64,
}

impl Piece {
    /// The size in bytes; 2^64 - 1 where there would be more.
    pub fn bytes(&self) -> u64 {
        self.count.saturating_mul(self.dtype.size() as u64)
    }
}

/// # Errors
/// [`Error::Invalid`] where a piece has more bytes than an engine takes.
pub(crate) fn check_pieces(pieces: &[Piece], most: u64) -> Result<()> {
    let Some(piece) = pieces.iter().find(|piece| piece.bytes() > most) else { return Ok(()) };
    let given = match piece.count.checked_mul(piece.dtype.size() as u64) {
        Some(bytes) => format!("{bytes} bytes"),
        None => format!("{} elements of {}", piece.count, piece.dtype),
    };
    Err(Error::invalid("piece", given, format!("at most {most} bytes")))
}

/// What an engine hands each drawn piece to: a number (of the piece, or of its tensor), its bytes,
/// what they come to.
pub type Sink<'a> = dyn FnMut(usize, &[u8], Moments) -> Result<()> + 'a;

/// Something that draws: a GPU, or the CPU. The bytes are the same.
pub trait Engine {
    /// `gpu` or `cpu`.
    fn name(&self) -> &'static str;

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

/// The engine of a choice, which draws `chunk` bytes at a time, or as many as suit it
/// ([`GpuEngine::CHUNK`], [`CpuEngine::CHUNK`]): the GPU's where an adapter fits, the CPU's for
/// [`Choice::Cpu`], and for [`Choice::Auto`] where there is no GPU.
///
/// # Errors
/// As [`Context::open`].
pub fn open_engine(
    choice: &Choice,
    options: Options,
    chunk: Option<u64>,
) -> Result<Box<dyn Engine>> {
    Ok(match Context::find(choice, options)? {
        Some(context) => Box::new(GpuEngine::new(context, chunk.unwrap_or(GpuEngine::CHUNK))),
        None => Box::new(CpuEngine::new(chunk.unwrap_or(CpuEngine::CHUNK))),
    })
}
