//! The pipelines, made when first used and kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::{Context, lock};
use crate::gpu::turn::Held;
use crate::op::{Arithmetic, Operands};
use crate::shaders::{self, Access, Loads, Module, Variant};
use crate::{Activation, Custom, Error, Result};

/// What was made so far.
#[derive(Default)]
pub(super) struct Kernels {
    built: Mutex<HashMap<Arc<KernelKey>, Kernel>>,
    modules: Mutex<HashMap<ModuleKey, wgpu::ShaderModule>>,
}

/// An `override` constant of a module, by its name.
pub(in crate::gpu) type Constant = (&'static str, u32);

#[derive(PartialEq, Eq, Hash)]
pub(super) struct KernelKey {
    pub(super) entry: &'static str,
    pub(super) constants: Vec<Constant>,
    pub(super) variant: Variant,
}

/// A module's name and what was chosen of its source.
type ModuleKey = (&'static str, Variant);

/// A pipeline and the layout of its one bind group.
#[derive(Clone)]
pub(in crate::gpu) struct Kernel {
    pub(in crate::gpu) pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    /// Whether a binding's offset is given with each dispatch.
    pub(in crate::gpu) stepped: bool,
    pub(super) module: &'static Module,
    pub(super) key: Arc<KernelKey>,
}

impl Context {
    /// The kernel of an entry point, with its `override` constants; those that are left out have
    /// the values that the shader says.
    pub(in crate::gpu) fn kernel(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
    ) -> Result<Kernel> {
        self.kernel_with(module, entry, constants, None)
    }

    /// As [`Context::kernel`], with a nonlinearity of the caller's. What is wrong with its WGSL comes
    /// out as [`Error::Device`].
    pub(in crate::gpu) fn kernel_with(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        custom: Option<Custom>,
    ) -> Result<Kernel> {
        self.kernel_of(module, entry, constants, Loads::default(), custom)
    }

    /// As [`Context::kernel_with`], for a module that multiplies: how it reads its factors.
    pub(in crate::gpu) fn kernel_of(
        &self,
        module: &'static Module,
        entry: &'static str,
        constants: &[Constant],
        loads: Loads,
        custom: Option<Custom>,
    ) -> Result<Kernel> {
        let (features, wgsl) = (self.inner.features, custom.map(|custom| custom.wgsl));
        let variant = Variant { features, loads, custom: wgsl };
        let constants = self.with_exact(module, constants, custom)?;
        let key = Arc::new(KernelKey { entry, constants, variant });
        if let Some(kernel) = lock(&self.inner.kernels.built).get(&key) {
            return Ok(kernel.clone());
        }
        self.check_module(module)?;
        let built = self.guarded(|_| Ok(self.build(module, &key)));
        match built {
            Ok(kernel) => {
                lock(&self.inner.kernels.built).insert(key, kernel.clone());
                Ok(kernel)
            }
            Err(error) => {
                // The next attempt is to meet the same message, not a broken module.
                lock(&self.inner.kernels.modules).remove(&(module.name, variant));
                Err(match custom {
                    Some(custom) => self.failed(format!("`{}`: {error}", custom.name)),
                    None => error,
                })
            }
        }
    }

    /// A kernel's constants with those of the exact arithmetic, where it is asked for and the module computes
    /// anything that drivers may round otherwise.
    fn with_exact(
        &self,
        module: &Module,
        constants: &[Constant],
        custom: Option<Custom>,
    ) -> Result<Vec<Constant>> {
        let mut constants = constants.to_vec();
        let Arithmetic::Exact(operands) = self.arithmetic else { return Ok(constants) };
        custom.map_or(Ok(()), |custom| self.arithmetic.check(Activation::Custom(custom)))?;
        for (name, value) in [
            ("exact", 1),
            ("significant", operands.bits()),
            ("unfused", u32::from(operands == Operands::Full)),
            ("guarded", u32::from(self.guarded)),
        ] {
            // What the kernel has said itself stays.
            if module.overrides.contains(&name) && constants.iter().all(|(own, _)| *own != name) {
                constants.push((name, value));
            }
        }
        Ok(constants)
    }

    // The shaders' indices stay inside their bindings by the planner's arithmetic, which the tests
    // hold to the edges; naga's guards would cost a third of the speed.
    #[allow(unsafe_code)]
    fn build(&self, module: &'static Module, key: &Arc<KernelKey>) -> Kernel {
        let KernelKey { entry, ref constants, variant } = **key;
        let device = &self.inner.device;
        let shader = lock(&self.inner.kernels.modules)
            .entry((module.name, variant))
            .or_insert_with(|| {
                let source = module.source_of(&variant);
                let descriptor = wgpu::ShaderModuleDescriptor {
                    label: Some(module.name),
                    source: wgpu::ShaderSource::Wgsl(source.into()),
                };
                if variant.custom.is_some() {
                    // Not ours to vouch for.
                    return device.create_shader_module(descriptor);
                }
                // SAFETY: see above.
                unsafe {
                    device.create_shader_module_trusted(
                        descriptor,
                        wgpu::ShaderRuntimeChecks::unchecked(),
                    )
                }
            })
            .clone();
        let mut entries: Vec<wgpu::BindGroupLayoutEntry> = Vec::new();
        for binding in module.bindings {
            if entries.iter().any(|entry| entry.binding == binding.index) {
                continue;
            }
            entries.push(layout_entry(binding.index, binding.access));
        }
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(module.name),
            entries: &entries,
        });
        let constants: Vec<(&str, f64)> = constants
            .iter()
            .map(|(name, value)| {
                // wgpu passes over names that it does not find.
                assert!(module.overrides.contains(name), "`{}` has no `{name}`", module.name);
                (*name, f64::from(*value))
            })
            .collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: Some(&device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(module.name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            })),
            module: &shader,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        let stepped = module.bindings.iter().any(|binding| binding.access == Access::Step);
        Kernel { pipeline, layout, stepped, module, key: key.clone() }
    }

    pub(in crate::gpu) fn bind(
        &self,
        kernel: &Kernel,
        buffers: &[wgpu::BufferBinding<'_>],
    ) -> Held<wgpu::BindGroup> {
        let _turn = self.inner.turns.take();
        let entries: Vec<_> = (0..)
            .zip(buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        self.held(self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &kernel.layout,
            entries: &entries,
        }))
    }

    /// # Errors
    /// [`Error::Invalid`] where the device's limits are too low for a module.
    pub(super) fn check_module(&self, module: &Module) -> Result<()> {
        let limits = self.inner.device.limits();
        let storage = |binding: &&shaders::Binding| {
            matches!(binding.access, Access::Read | Access::ReadWrite)
        };
        let indices: BTreeSet<u32> =
            module.bindings.iter().filter(storage).map(|binding| binding.index).collect();
        for (what, given, needed) in [
            (
                "max_storage_buffers_per_shader_stage",
                limits.max_storage_buffers_per_shader_stage,
                indices.len() as u32,
            ),
            ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x, module.width),
            (
                "max_compute_invocations_per_workgroup",
                limits.max_compute_invocations_per_workgroup,
                module.width,
            ),
        ] {
            if given < needed {
                let needed = format!("{needed} for `{}`", module.name);
                return Err(Error::invalid(format!("the device's {what}"), given, needed));
            }
        }
        Ok(())
    }
}

pub(super) fn layout_entry(binding: u32, access: Access) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: match access {
                Access::Uniform | Access::Step => wgpu::BufferBindingType::Uniform,
                Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                Access::ReadWrite => wgpu::BufferBindingType::Storage { read_only: false },
            },
            has_dynamic_offset: access == Access::Step,
            min_binding_size: None,
        },
        count: None,
    }
}
