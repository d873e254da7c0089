use std::sync::mpsc;
use std::thread;

use crate::engine::{Engine, Piece, Sink, check_pieces};
use crate::random::Distribution;
use crate::{Moments, Result, memory};

use super::fill::fill_here;
use super::moments::task_moments;

/// Draws pieces on all cores, each piece on one.
pub struct CpuEngine {
    chunk: u64,
}

/// Threads that draw at most: more would wait for the sink.
const THREADS: usize = 8;

/// Pieces a thread that are drawn or wait for the sink.
const BUFFERS: usize = 2;

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
        check_pieces(pieces, self.chunk)?;
        let threads = rayon::current_num_threads().min(THREADS).min(pieces.len());
        // Moved in, so that an error of the sink's ends the drawing too.
        thread::scope(move |scope| {
            let draw_every = |thread| -> Result<_> {
                let (to_sink, drawn) = mpsc::channel();
                let (give_back, spare) = mpsc::channel();
                let (share, shares) = mpsc::channel();
                (0..BUFFERS).for_each(|_| drop(give_back.send(Vec::new())));
                memory::start("drawing", scope, move || {
                    let Ok(threads) = shares.recv() else { return };
                    let own = pieces.iter().skip(thread).step_by(threads);
                    for (piece, mut data) in own.zip(spare) {
                        let moments = draw(piece, &mut data);
                        if to_sink.send((data, moments)).is_err() {
                            break;
                        }
                    }
                })?;
                Ok((share, drawn, give_back))
            };
            // As many as the system starts.
            let drawing: Vec<_> =
                (0..threads).map_while(|thread| draw_every(thread).ok()).collect();
            if drawing.is_empty() {
                let mut data = Vec::new();
                return pieces.iter().enumerate().try_for_each(|(index, piece)| {
                    let moments = draw(piece, &mut data)?;
                    sink(index, &data[..piece.bytes() as usize], moments)
                });
            }
            for (share, ..) in &drawing {
                let _ = share.send(drawing.len());
            }
            let of = pieces.iter().zip(drawing.iter().cycle());
            for (index, (piece, (_, drawn, give_back))) in of.enumerate() {
                // None comes of a thread that panicked; the scope hands that on.
                let Ok((data, moments)) = drawn.recv() else { break };
                sink(index, &data[..piece.bytes() as usize], moments?)?;
                let _ = give_back.send(data);
            }
            Ok(())
        })
    }
}

/// Draws a piece to the start of `data`, which grows with it.
fn draw(piece: &Piece, data: &mut Vec<u8>) -> Result<Moments> {
    let bytes = piece.bytes() as usize;
    if data.len() < bytes {
        *data = memory::filled("a piece of a tensor", bytes, 0)?;
    }
    let data = &mut data[..bytes];
    let Piece { stream, distribution, dtype, first, .. } = piece;
    let mut moments = Moments::default();
    fill_here(stream, distribution, *dtype, *first, data, |task| {
        if *distribution != Distribution::Words {
            moments = moments.merge(task_moments(*dtype, task));
        }
    })?;
    Ok(moments)
}
