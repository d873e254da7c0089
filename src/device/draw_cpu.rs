use std::sync::mpsc;
use std::thread;

use super::{Piece, Sink};
use crate::cpu::{fill_here, fill_slice_here, task_moments};
use crate::op::Moments;
use crate::random::Distribution;
use crate::{Result, memory};

/// Threads that draw at most: more would wait for the sink.
const THREADS: usize = 8;

/// Pieces a thread that are drawn or wait for the sink.
const BUFFERS: usize = 2;

/// Takes what pieces come to.
type HandOver<'a> = dyn FnMut(&[Piece], &[u8], Vec<Moments>) -> Result<()> + 'a;

/// Draws pieces on all cores, each piece on one.
pub(super) fn draw(pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()> {
    let runs: Vec<&[Piece<'_>]> = runs(pieces).collect();
    let runs = &runs[..];
    let threads = crate::host::threads().min(THREADS).min(runs.len());
    let mut index = 0;
    let mut hand_over = |run: &[Piece], mut data: &[u8], moments: Vec<Moments>| {
        for (piece, moments) in run.iter().zip(moments) {
            let bytes;
            (bytes, data) = data.split_at(piece.bytes() as usize);
            sink(index, bytes, moments)?;
            index += 1;
        }
        Ok(())
    };
    let alone = |hand_over: &mut HandOver<'_>| {
        let mut data = Vec::new();
        runs.iter().try_for_each(|run| {
            let moments = draw_run(run, &mut data)?;
            hand_over(run, &data, moments)
        })
    };
    if cfg!(target_arch = "wasm32") {
        return alone(&mut hand_over);
    }
    // Moved in, so that an error of the sink's ends the drawing too.
    thread::scope(move |scope| {
        let draw_every = |thread| -> Result<_> {
            let (to_sink, drawn) = mpsc::channel();
            let (give_back, spare) = mpsc::channel();
            let (share, shares) = mpsc::channel();
            (0..BUFFERS).for_each(|_| drop(give_back.send(Vec::new())));
            memory::start("drawing", scope, move || {
                let Ok(threads) = shares.recv() else { return };
                let own = runs.iter().skip(thread).step_by(threads);
                for (run, mut data) in own.zip(spare) {
                    let moments = draw_run(run, &mut data);
                    if to_sink.send((data, moments)).is_err() {
                        break;
                    }
                }
            })?;
            Ok((share, drawn, give_back))
        };
        // As many as the system starts.
        let drawing: Vec<_> = (0..threads).map_while(|thread| draw_every(thread).ok()).collect();
        for (share, ..) in &drawing {
            let _ = share.send(drawing.len());
        }
        if drawing.is_empty() {
            return alone(&mut hand_over);
        }
        for (run, (_, drawn, give_back)) in runs.iter().zip(drawing.iter().cycle()) {
            // None comes of a thread that panicked; the scope hands that on.
            let Ok((data, moments)) = drawn.recv() else { break };
            hand_over(run, &data, moments?)?;
            let _ = give_back.send(data);
        }
        Ok(())
    })
}
/// Bytes below which pieces are drawn together: a thread's turn costs as much as drawing some of these.
const TOGETHER: u64 = 64 << 10;

/// Pieces one after the other, those that are small together.
fn runs<'a>(pieces: &'a [Piece<'a>]) -> impl Iterator<Item = &'a [Piece<'a>]> {
    let mut sum = 0;
    pieces.chunk_by(move |piece, next| {
        sum += piece.bytes();
        let joins = sum + next.bytes() <= TOGETHER;
        sum = if joins { sum } else { 0 };
        joins
    })
}

/// Draws pieces, one after the other, to the start of `data`, which grows with them.
fn draw_run(run: &[Piece], data: &mut Vec<u8>) -> Result<Vec<Moments>> {
    let bytes = run.iter().map(|piece| piece.bytes() as usize).sum();
    if data.len() < bytes {
        *data = memory::filled("a piece of a tensor", bytes, 0)?;
    }
    let mut data = &mut data[..];
    let mut all = memory::reserved("what pieces come to", run.len())?;
    for piece in run {
        let Piece { stream, distribution, dtype, slice, first, .. } = piece;
        let own;
        (own, data) = data.split_at_mut(piece.bytes() as usize);
        let mut moments = Moments::default();
        let measure = |task: &[u8]| {
            if *distribution != Distribution::Words {
                moments = moments.merge(task_moments(*dtype, task));
            }
        };
        match slice {
            None => fill_here(stream, distribution, *dtype, *first, own, measure)?,
            Some(slice) => {
                fill_slice_here(stream, distribution, *dtype, slice, *first, own, measure)?;
            }
        }
        all.push(moments);
    }
    Ok(all)
}
