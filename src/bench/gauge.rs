use std::hint::black_box;

use super::Ceilings;
use super::prepare::{room, seconds};
use crate::device::Device;
use crate::gpu::{Context, FLOPS_OF_INVOCATION, STREAM_STEP, Streams, Tensor, WRITTEN};
use crate::host::parallel::*;
use crate::random::{Distribution, Dtype, Stream};
use crate::{Result, Shape, cpu};

/// What measures the [`Ceilings`] of a device: two stretches of its memory, beyond every cache but the
/// largest, and kernels that do nothing but write, read, copy, or multiply and add.
///
/// A machine is not the same from one second to the next, so it is asked again and again between the
/// cases.
pub struct Gauge {
    memory: Memory,
    bytes: u64,
}

enum Memory {
    Cpu { source: Vec<u64>, target: Vec<u64> },
    Gpu { context: Context, streams: Box<Streams>, invocations: u64 },
}

/// Bytes that one thread takes at a time, on the CPU.
const PART: usize = 1 << 17;

/// Each ceiling is the best of so many.
const RUNS: usize = 2;

impl Gauge {
    /// Takes the memory that it needs: two stretches of 256 MiB, of 128 MiB where it is to be `quick`, or
    /// what the device binds at most.
    ///
    /// # Errors
    /// [`Error::Exhausted`](crate::Error::Exhausted) or [`Error::Device`](crate::Error::Device) where there is
    /// no such memory.
    pub fn new(device: &Device, quick: bool) -> Result<Gauge> {
        let bytes = if quick { 1u64 << 27 } else { 1 << 28 };
        let Device::Gpu(context) = device else {
            let words = bytes / 8;
            let memory = Memory::Cpu { source: room(words)?, target: room(words)? };
            return Gauge { memory, bytes }.warm();
        };
        let bytes =
            bytes.min(context.limits().binding).max(STREAM_STEP) / STREAM_STEP * STREAM_STEP;
        // Enough to fill a large GPU; a software adapter takes long over so many.
        let invocations = if context.is_software() { 1 << 13 } else { 1 << 17 };
        let tensor = |floats: u64| Tensor::new(context, Shape::new([floats])?, Dtype::F32);
        let (out, source, target) = (tensor(invocations)?, tensor(bytes / 4)?, tensor(bytes / 4)?);
        let streams = Box::new(Streams { out, source, target });
        let memory = Memory::Gpu { context: context.clone(), streams, invocations };
        Gauge { memory, bytes }.warm()
    }

    /// The first time touches new memory and makes pipelines.
    fn warm(mut self) -> Result<Gauge> {
        self.once()?;
        if let Memory::Gpu { context, streams, .. } = &self.memory {
            check(context, streams)?;
        }
        Ok(self)
    }

    /// The ceilings as they are now, within some tenths of a second.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub fn measure(&mut self) -> Result<Ceilings> {
        let mut best = self.once()?;
        for _ in 1..RUNS {
            best = best.best(&self.once()?);
        }
        Ok(best)
    }

    fn once(&mut self) -> Result<Ceilings> {
        let bytes = self.bytes as f64;
        match &mut self.memory {
            Memory::Cpu { source, target } => {
                let wall = |work: &mut dyn FnMut()| {
                    seconds(&Device::Cpu, || {
                        work();
                        Ok(())
                    })
                };
                let (from, to): (&[u8], &mut [u8]) =
                    (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(target));
                let write = wall(&mut || {
                    to.par_chunks_mut(PART).for_each(|part| part.fill(7));
                })?;
                let copy = wall(&mut || {
                    let parts = to.par_chunks_mut(PART).zip(from.par_chunks(PART));
                    parts.for_each(|(to, from)| to.copy_from_slice(from));
                })?;
                let read = wall(&mut || {
                    let part = |part: &[u64]| part.iter().fold(0, |all, word| all ^ word);
                    let all = source.par_chunks(PART / 8).map(part).reduce_with(|a, b| a ^ b);
                    black_box(all);
                })?;
                let adds = wall(&mut || {
                    rayon::broadcast(|_| cpu::multiply_add());
                })?;
                black_box(target);
                let flops = rayon::current_num_threads() as u64 * cpu::MULTIPLY_ADDS * 2;
                Ok(Ceilings {
                    write: bytes / write,
                    read: bytes / read,
                    copy: 2.0 * bytes / copy,
                    multiply_add: flops as f64 / adds,
                })
            }
            Memory::Gpu { context, streams, invocations } => {
                let kernel = |entry| {
                    seconds(&context.clone().into(), || {
                        context.run(|pass| pass.peak(entry, streams))?;
                        context.wait()
                    })
                };
                let flops = *invocations * FLOPS_OF_INVOCATION;
                Ok(Ceilings {
                    write: bytes / kernel("write_stream")?,
                    read: bytes / kernel("read_stream")?,
                    copy: 2.0 * bytes / kernel("copy_stream")?,
                    multiply_add: flops as f64 / kernel("multiply_add")?,
                })
            }
        }
    }
}

/// That streams write and copy all that they are to, as far as both ends show.
fn check(context: &Context, streams: &Streams) -> Result<()> {
    let Streams { source, target, .. } = streams;
    context.run(|pass| pass.fill(source, &Stream::new(7, 1), &Distribution::normal(1.0)))?;
    let ends = |tensor: &Tensor| -> Result<Vec<u8>> {
        let part = Shape::new([1024])?;
        let last = tensor.offset() + tensor.bytes() - 4096;
        let read = |offset| context.read(&tensor.within(offset, part.clone(), Dtype::F32)?);
        Ok([read(tensor.offset())?, read(last)?].concat())
    };
    let run = |entry| context.run(|pass| pass.peak(entry, streams));
    run("write_stream")?;
    let written = ends(target)?;
    let right = written.chunks_exact(4).all(|word| *word == WRITTEN.to_le_bytes());
    run("copy_stream")?;
    match right && ends(target)? == ends(source)? {
        true => Ok(()),
        false => Err(context.failed("a stream of a ceiling left other bytes than it is to")),
    }
}
