//! A device, the CPU or a GPU: what draws weights, and what carries the programs of networks out.
//!
//! ```
//! use fanin::Device;
//! // `Device::open` finds a GPU where there is one.
//! let device = Device::Cpu;
//! assert_eq!(device.engine(), "cpu");
//! println!("{device}");
//! ```

mod draw;
mod draw_cpu;
mod draw_gpu;
#[cfg(feature = "train")]
mod execute;
#[cfg(feature = "train")]
mod execute_cpu;
#[cfg(feature = "train")]
mod execute_gpu;

use std::fmt;

pub use draw::{Chunks, Draw, Piece, Sink};
#[cfg(feature = "train")]
pub(crate) use execute::{Execution, Room};

use crate::gpu::{Choice, Context, ContextOptions};
#[cfg(feature = "train")]
use crate::op::{Program, Resident};
use crate::{Result, cpu};

/// Where weights are drawn and networks run. A clone is the same device.
#[derive(Clone, Debug, Default)]
pub enum Device {
    /// All cores, in vector code.
    #[default]
    Cpu,
    /// A GPU, or a software driver that passes for one.
    Gpu(Context),
}

impl Device {
    /// The device of a choice: a GPU's where an adapter fits, the CPU for [`Choice::Cpu`], and for
    /// [`Choice::Auto`] where there is no GPU.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open(choice: &Choice, options: ContextOptions) -> Result<Device> {
        Ok(Context::find(choice, options)?.map_or(Device::Cpu, Device::Gpu))
    }

    /// `cpu` or `gpu`. (The device in words is what it displays as.)
    pub fn engine(&self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Gpu(_) => "gpu",
        }
    }

    /// The GPU's context; none for the CPU.
    pub fn context(&self) -> Option<&Context> {
        match self {
            Device::Cpu => None,
            Device::Gpu(context) => Some(context),
        }
    }

    /// The device, drawing pieces of so many bytes at most; for none, of the size that suits it. 4 KiB at
    /// least, 1 GiB at most (128 MiB, and what it binds, on a GPU), in whole multiples of 256. On a GPU
    /// memory is six times that, half of it the host's.
    pub fn in_chunks(&self, bytes: impl Into<Option<u64>>) -> Chunks {
        Chunks::new(self.clone(), bytes.into())
    }

    /// The device with a program's buffers on it, for submissions that are no larger than `room`.
    #[cfg(feature = "train")]
    pub(crate) fn execution(
        &self,
        program: &Program,
        resident: &Resident<'_>,
        room: Room,
    ) -> Result<Box<dyn Execution>> {
        Ok(match self {
            Device::Cpu => Box::new(execute_cpu::OnCpu::new(program, resident)?),
            Device::Gpu(context) => {
                Box::new(execute_gpu::OnGpu::new(context, program, resident, room)?)
            }
        })
    }
}

impl From<Context> for Device {
    fn from(context: Context) -> Self {
        Device::Gpu(context)
    }
}

/// In words: `2 threads, AVX-512`; the adapter's name.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str(&cpu::device()),
            Device::Gpu(context) => f.write_str(&context.name()),
        }
    }
}
