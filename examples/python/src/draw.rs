//! Numbers into memory that Python owns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use pyo3::prelude::*;

use fanin::random::{Distribution, Dtype, Slice, Source, Stream};
use fanin::recipe::TensorSpec;
use fanin::{Error, Result, cpu};

use super::arguments::{Described, Numbers, numbers, slice, word};
use super::{failure, threads};

/// Elements from which on Python is asked now and then whether to go on: some milliseconds' work.
const LONG: u64 = 1 << 22;

/// Elements between two looks at whether to stop.
const STRETCH: usize = 1 << 24;

/// How often Python is asked.
const PATIENCE: Duration = Duration::from_millis(50);

/// The words of a stream from element `first` on.
pub fn words(stream: &Stream, first: u64, out: &mut [u8]) -> Result<()> {
    threads::on_all(|| cpu::fill(stream, &Distribution::Words, Dtype::U32, first, out))?
}

/// Draws a box of a tensor into the memory at an address, in row-major order.
///
/// The memory has to be writable and the caller's for as long as this takes: Python's side sees to it.
#[pyfunction]
#[pyo3(signature = (
    init, shape, seed, name, dtype, out_address, out_len_bytes, starts=None, sizes=None,
    layout=None, fan_in=None, fan_out=None, groups=None, transposed=false, batch_dims=0, depth=None,
    parts=None
))]
#[expect(clippy::too_many_arguments, reason = "Python's arguments have names")]
pub fn draw(
    py: Python<'_>,
    init: String,
    shape: Vec<u64>,
    #[pyo3(from_py_with = word)] seed: u64,
    name: String,
    dtype: String,
    out_address: usize,
    out_len_bytes: usize,
    starts: Option<Vec<u64>>,
    sizes: Option<Vec<u64>>,
    layout: Option<String>,
    fan_in: Option<u64>,
    fan_out: Option<u64>,
    groups: Option<u64>,
    transposed: bool,
    batch_dims: usize,
    depth: Option<u64>,
    parts: Option<Vec<u64>>,
) -> PyResult<()> {
    let (init, ranges) = (Some(init), Vec::new());
    let described = Described {
        name,
        shape,
        dtype,
        init,
        layout,
        fan_in,
        fan_out,
        groups,
        transposed,
        batch_dims,
        depth,
        parts,
        ranges,
    };
    let spec = described.spec().map_err(failure::of)?;
    let bounds = match (starts, sizes) {
        (None, None) => None,
        (Some(starts), Some(sizes)) => Some((starts, sizes)),
        _ => return Err(failure::value("starts, sizes: got one of them, needed both or none")),
    };
    draw_into(py, &spec, seed, bounds, out_address, out_len_bytes)
}

/// `(kind, scale, shift, low_word)`: element `i` is `f32(integer(word i)) * f32(scale) + f32(shift)`, as the
/// contract has it; `None` where the elements are not drawn one by one.
#[pyfunction]
#[pyo3(signature = (
    init, shape, layout=None, fan_in=None, fan_out=None, groups=None, transposed=false, batch_dims=0,
    depth=None
))]
#[expect(clippy::too_many_arguments, reason = "Python's arguments have names")]
pub fn sampler(
    init: String,
    shape: Vec<u64>,
    layout: Option<String>,
    fan_in: Option<u64>,
    fan_out: Option<u64>,
    groups: Option<u64>,
    transposed: bool,
    batch_dims: usize,
    depth: Option<u64>,
) -> PyResult<Option<Numbers>> {
    let (name, dtype) = (String::from("tensor"), String::from("f32"));
    let (init, parts, ranges) = (Some(init), None, Vec::new());
    let described = Described {
        name,
        shape,
        dtype,
        init,
        layout,
        fan_in,
        fan_out,
        groups,
        transposed,
        batch_dims,
        depth,
        parts,
        ranges,
    };
    described.spec().and_then(|spec| numbers(&spec.source)).map_err(failure::of)
}

/// Draws a box of a tensor of a recipe into the memory at an address.
pub fn draw_into(
    py: Python<'_>,
    spec: &TensorSpec,
    seed: u64,
    bounds: Option<(Vec<u64>, Vec<u64>)>,
    address: usize,
    length: usize,
) -> PyResult<()> {
    let slice = slice(&spec.shape, bounds).map_err(failure::of)?;
    let needed = slice.elements().checked_mul(spec.dtype.size() as u64);
    if needed != Some(length as u64) || address == 0 || isize::try_from(length).is_err() {
        let needed = needed.map_or("more than there can be".into(), |bytes| bytes.to_string());
        let given = format!("{length} bytes at {address:#x}");
        return Err(failure::value(format!("out: got {given}, needed {needed} bytes")));
    }
    let memory = Memory { address, length };
    if slice.elements() < LONG && matches!(spec.source, Source::Elements(_)) {
        let stop = AtomicBool::new(false);
        return py.detach(|| fill(spec, seed, &slice, memory, &stop)).map_err(failure::of);
    }
    py.detach(|| interruptible(|stop| fill(spec, seed, &slice, memory, stop)))
}

/// Does some work on another thread, while this one asks Python whether to go on.
fn interruptible(work: impl FnOnce(&AtomicBool) -> Result<()> + Send) -> PyResult<()> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (give, take) = mpsc::channel();
        let stop = &stop;
        let worker = move || {
            // Who waits for it is there until it comes.
            let _ = give.send(work(stop));
        };
        let thread = std::thread::Builder::new().name("fanin".into());
        if let Err(error) = thread.spawn_scoped(scope, worker) {
            let wanted = format!("one to draw on ({error})");
            return Err(failure::of(Error::Exhausted { resource: "threads", wanted }));
        }
        let mut asked = Ok(());
        loop {
            match take.recv_timeout(PATIENCE) {
                Ok(done) => return asked.and(done.map_err(failure::of)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failure::of(Error::Interrupted));
                }
                Err(RecvTimeoutError::Timeout) if asked.is_ok() => {
                    asked = Python::attach(|py| py.check_signals());
                    stop.store(asked.is_err(), Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    })
}

/// Memory that Python owns.
#[derive(Clone, Copy)]
struct Memory {
    address: usize,
    length: usize,
}

impl Memory {
    fn bytes(&mut self) -> &mut [u8] {
        let start = std::ptr::with_exposed_provenance_mut::<u8>(self.address);
        // SAFETY: the caller's word, that so many bytes from there on are its, to be written by nobody
        // else until this returns; they are not null, and no more than there can be.
        unsafe { std::slice::from_raw_parts_mut(start, self.length) }
    }
}

/// Draws a box on all threads.
fn fill(
    spec: &TensorSpec,
    seed: u64,
    slice: &Slice,
    mut memory: Memory,
    stop: &AtomicBool,
) -> Result<()> {
    let out = memory.bytes();
    let size = spec.dtype.size();
    let work = || match spec.source {
        Source::Elements(distribution) if spec.ranges.is_empty() && spec.parts.is_empty() => {
            let stream = Stream::named(seed, &spec.name);
            let mut first = 0;
            for out in out.chunks_mut(STRETCH * size) {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                cpu::fill_slice(&stream, &distribution, spec.dtype, slice, first, out)?;
                first += (out.len() / size) as u64;
            }
            Ok(())
        }
        _ => {
            let mut drawer = spec.drawer(seed)?.until(stop);
            let mut rest = &mut *out;
            for run in slice.runs(0..slice.elements()) {
                let own;
                (own, rest) = rest.split_at_mut(run.count as usize * size);
                drawer.draw(run.first, own)?;
            }
            Ok(())
        }
    };
    threads::on_all(work)?
}
