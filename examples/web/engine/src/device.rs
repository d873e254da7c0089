//! The devices that a call may name.

use fanin::Device;
use fanin::gpu::{self, Choice, Context, ContextOptions};
use serde::{Deserialize, Serialize};

use crate::wire::Failure;

/// Which device a call is for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    #[default]
    Cpu,
    Gpu,
}

/// The GPU's context, once somebody has asked for it.
#[derive(Default)]
pub struct Devices {
    context: Option<Context>,
}

/// What `gpu` answers.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Gpu {
    There { name: String, software: bool },
    None { none: String, code: Option<&'static str> },
}

impl Devices {
    /// The device by its name.
    pub fn get(&mut self, on: On) -> Result<Device, Failure> {
        Ok(match on {
            On::Cpu => Device::Cpu,
            On::Gpu => Device::Gpu(self.context()?),
        })
    }

    fn context(&mut self) -> Result<Context, Failure> {
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        if let Some(reason) = gpu::withheld() {
            return Err(Failure::coded("no-jspi", reason));
        }
        let opened = Context::open(&Choice::Gpu, ContextOptions::default());
        let context = opened.map_err(|error| Failure::coded("no-gpu", error.to_string()))?;
        Ok(self.context.insert(context).clone())
    }

    /// Whether the GPU is lost, and how; the next call asks for another.
    pub fn lost(&mut self) -> Option<Failure> {
        let lost = self.context.as_ref()?.wait().err()?;
        self.context = None;
        Some(Failure::coded("device-lost", lost.to_string()))
    }

    pub fn gpu(&mut self) -> Gpu {
        match self.context() {
            Ok(context) => {
                let info = context.adapter_info();
                let name = match info.name.as_str() {
                    "" => "a GPU that the browser does not name".into(),
                    name => name.into(),
                };
                Gpu::There { name, software: info.device_type == fanin::wgpu::DeviceType::Cpu }
            }
            Err(failure) => Gpu::None { none: failure.message, code: failure.code },
        }
    }
}
