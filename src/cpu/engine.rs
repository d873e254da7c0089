use crate::engine::{Engine, Piece, Sink};
use crate::random::Distribution;
use crate::{Moments, Result};

use super::{fill, moments};

/// Draws pieces on all cores.
pub struct CpuEngine {
    chunk: u64,
}

impl CpuEngine {
    /// A chunk that still lies in the cache when it is digested and written.
    pub const CHUNK: u64 = 2 << 20;

    /// An engine that draws `chunk` bytes at a time, at least 4 KiB.
    pub fn new(chunk: u64) -> Self {
        CpuEngine { chunk: chunk.clamp(1 << 12, 1 << 30) / 256 * 256 }
    }
}

impl Engine for CpuEngine {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn device(&self) -> String {
        super::device()
    }

    fn piece_bytes(&self) -> u64 {
        self.chunk
    }

    fn draw(&self, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()> {
        let mut data = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            data.resize(piece.bytes() as usize, 0);
            fill(&piece.stream, &piece.distribution, piece.dtype, piece.first, &mut data)?;
            let drawn = match piece.distribution {
                Distribution::Words => Moments::default(),
                Distribution::Constant { value } => Moments::of_constant(piece.count, value),
                _ => moments(piece.dtype, &data)?,
            };
            sink(index, &data, drawn)?;
        }
        Ok(())
    }
}
