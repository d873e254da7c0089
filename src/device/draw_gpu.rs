use std::collections::VecDeque;

use super::{Piece, Sink};
use crate::gpu::reduce::{self, ROW};
use crate::gpu::{Buffer, Context, Mapping, Pass, Tensor};
use crate::op::Moments;
use crate::random::{Distribution, Dtype};
use crate::{Result, Shape, cpu};

/// Draws pieces on a GPU and brings them to the host.
///
/// Several submissions are under way at once: while the host hashes and writes one, the device
/// draws the next.
pub(super) struct Drawing<'a> {
    pub context: &'a Context,
    /// Bytes a submission.
    pub chunk: u64,
}

/// Submissions under way.
const SLOTS: usize = 3;

/// Pieces of one submission: small tensors go together.
const BATCH: u64 = 64;

/// The buffers of one submission.
struct Slot {
    data: Buffer,
    rows: Buffer,
    download: Buffer,
}

/// What of a slot's download is whose.
struct Drawn {
    index: usize,
    offset: u64,
    bytes: u64,
    moments: PieceMoments,
}

enum PieceMoments {
    /// These rows, where the first counts from the start of the rows.
    Rows(u32, u32),
    /// Those of words, which are no values.
    None,
    /// Constants go by the bytes, down to what a device may take for 0.
    Constant(Dtype),
}

struct Flight {
    slot: Slot,
    mapping: Mapping,
    rows_at: u64,
    drawn: Vec<Drawn>,
}

impl Drawing<'_> {
    fn slot(&self) -> Result<Slot> {
        let rows = reduce::room(self.context, self.chunk, BATCH)?;
        let size = self.chunk + rows.size();
        Ok(Slot {
            data: self.context.buffer(
                "data",
                self.chunk,
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            )?,
            rows,
            download: self.context.buffer(
                "download",
                size,
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            )?,
        })
    }

    /// Draws as many pieces as fit a slot, from `pieces[first]` on.
    fn launch(&self, slot: Slot, pieces: &[Piece], first: usize) -> Result<Flight> {
        let mut drawn = Vec::new();
        let (mut offset, mut row) = (0, 0);
        let submission = self.context.submit(|encoder| {
            let mut compute = encoder.begin_compute_pass(&Default::default());
            let mut pass = Pass::new(self.context, &mut compute);
            for (index, piece) in pieces.iter().enumerate().skip(first) {
                let bytes = piece.bytes();
                if drawn.len() as u64 == BATCH || offset + bytes > self.chunk {
                    break;
                }
                let shape = Shape::new([piece.count])?;
                let tensor = Tensor::of(self.context, &slot.data, offset, shape, piece.dtype)?;
                let Piece { stream, distribution, first, .. } = piece;
                match piece.slice {
                    None => pass.fill_from(&tensor, stream, distribution, *first)?,
                    Some(slice) => {
                        pass.fill_slice_from(&tensor, stream, distribution, slice, *first)?;
                    }
                }
                let moments = match piece.distribution {
                    Distribution::Words => PieceMoments::None,
                    Distribution::Constant { .. } => PieceMoments::Constant(piece.dtype),
                    _ => {
                        let before = row;
                        row = pass.reduce(&tensor, &slot.rows, before)?;
                        PieceMoments::Rows(before, row)
                    }
                };
                drawn.push(Drawn { index, offset, bytes, moments });
                offset = (offset + bytes).next_multiple_of(self.context.limits().alignment);
            }
            drop(compute);
            let length = offset.min(self.chunk);
            encoder.copy_buffer_to_buffer(&slot.data, 0, &slot.download, 0, length);
            if row > 0 {
                let rows = u64::from(row) * ROW;
                encoder.copy_buffer_to_buffer(&slot.rows, 0, &slot.download, length, rows);
            }
            Ok(length)
        });
        let (rows_at, submission) = submission?;
        let mapping = self.context.map(&slot.download, submission);
        Ok(Flight { slot, mapping, rows_at, drawn })
    }

    fn land(&self, flight: Flight, sink: &mut Sink<'_>) -> Result<Slot> {
        let Flight { slot, mapping, rows_at, drawn } = flight;
        mapping.wait()?;
        {
            let view = slot.download.slice(..).get_mapped_range();
            let view = view.map_err(|error| self.context.failed(error))?;
            for Drawn { index, offset, bytes, moments } in drawn {
                let data = &view[offset as usize..(offset + bytes) as usize];
                let moments = match moments {
                    PieceMoments::None => Moments::default(),
                    PieceMoments::Constant(dtype) => cpu::moments(dtype, data),
                    PieceMoments::Rows(first, last) => {
                        let row = |row| (rows_at + u64::from(row) * ROW) as usize;
                        reduce::total(&view[row(first)..row(last)]).moments_of_all()
                    }
                };
                sink(index, data, moments)?;
            }
        }
        self.context.unmap(&slot.download);
        Ok(slot)
    }

    pub fn draw(&self, pieces: &[Piece], sink: &mut Sink<'_>) -> Result<()> {
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut next = 0;
        let mut slots = 0;
        while next < pieces.len() {
            let slot = if slots < SLOTS {
                slots += 1;
                self.slot()?
            } else if let Some(flight) = flights.pop_front() {
                self.land(flight, sink)?
            } else {
                break;
            };
            let flight = self.launch(slot, pieces, next)?;
            next += flight.drawn.len();
            flights.push_back(flight);
        }
        while let Some(flight) = flights.pop_front() {
            self.land(flight, sink)?;
        }
        Ok(())
    }
}
