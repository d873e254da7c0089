//! The WGSL, as data: each module's source, entry points, bindings and constants.
//!
//! This table is the one place that says how shaders and Rust meet; the kernels of this crate are
//! built from it, and a program that runs its own pipelines can build from it too:
//!
//! ```
//! let fill = &fanin::shaders::FILL;
//! let wgsl = fill.source(false);
//! assert!(wgsl.contains("fn fill_groups"));
//! for binding in fill.bindings {
//!     println!("@group(0) @binding({}) {}: {:?}", binding.index, binding.name, binding.access);
//! }
//! ```

use crate::random::Dtype;

/// One shader module: an entry file and the libraries joined to it.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The stem of its file in `shaders/`.
    pub name: &'static str,
    /// Its own source. It comes first in the joined one, so that line numbers in errors stay true.
    pub entry_source: &'static str,
    /// The libraries that it needs, besides the product of 32-bit words.
    pub libraries: &'static [&'static str],
    /// Whether it needs `multiply_wide`, which comes in two forms with the same bits.
    pub multiplies: bool,
    /// Its entry points.
    pub entries: &'static [&'static str],
    /// Its bindings, all in group 0; those of one index are alternatives, one an entry point.
    pub bindings: &'static [Binding],
    /// The `override` constants that choose a variant.
    pub overrides: &'static [&'static str],
    /// Invocations a workgroup, in x.
    pub width: u32,
}

/// One binding of a module.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// `@binding(index)`.
    pub index: u32,
    /// The variable's name.
    pub name: &'static str,
    /// What the shader does with it.
    pub access: Access,
}

/// How a shader uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<uniform>`.
    Uniform,
    /// `var<uniform>`, bound at an offset that comes with each dispatch: the parameters of one step
    /// among several.
    Step,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

impl Module {
    /// The joined WGSL. With `int64`, for devices that have `SHADER_INT64`, 32-bit words are
    /// multiplied through 64-bit integers; without, through 16-bit halves. The bits are the same.
    pub fn source(&self, int64: bool) -> String {
        let multiply = match (self.multiplies, int64) {
            (false, _) => None,
            (true, true) => Some(include_str!("../shaders/lib/mulhi_u64.wgsl")),
            (true, false) => Some(include_str!("../shaders/lib/mulhi_u32.wgsl")),
        };
        let parts = [self.entry_source].into_iter().chain(self.libraries.iter().copied());
        parts.chain(multiply).collect::<Vec<_>>().join("\n")
    }
}

const PHILOX: &str = include_str!("../shaders/lib/philox.wgsl");
const QUANTILE: &str = include_str!("../shaders/lib/quantile.wgsl");
const SAMPLE: &str = include_str!("../shaders/lib/sample.wgsl");
const NUMERIC: &str = include_str!("../shaders/lib/numeric.wgsl");
const GRID: &str = include_str!("../shaders/lib/grid.wgsl");

/// Samples into a buffer.
pub static FILL: Module = Module {
    name: "fill",
    entry_source: include_str!("../shaders/fill.wgsl"),
    libraries: &[PHILOX, QUANTILE, SAMPLE, NUMERIC, GRID],
    multiplies: true,
    entries: &["fill_groups", "fill_edges"],
    bindings: &[
        Binding { index: 0, name: "groups", access: Access::ReadWrite },
        Binding { index: 0, name: "words", access: Access::ReadWrite },
        Binding { index: 1, name: "params", access: Access::Uniform },
        Binding { index: 2, name: "table", access: Access::Uniform },
    ],
    overrides: &["kind", "dtype"],
    width: 256,
};

/// Count, mean and squared deviations of a buffer's elements.
pub static MOMENTS: Module = Module {
    name: "moments",
    entry_source: include_str!("../shaders/moments.wgsl"),
    libraries: &[NUMERIC, GRID],
    multiplies: false,
    entries: &["moments_leaves", "moments_merge"],
    bindings: &[
        Binding { index: 0, name: "words", access: Access::Read },
        Binding { index: 0, name: "rows_in", access: Access::Read },
        Binding { index: 1, name: "params", access: Access::Uniform },
        Binding { index: 2, name: "rows_out", access: Access::ReadWrite },
    ],
    overrides: &["dtype"],
    width: 64,
};

/// Every module.
pub static MODULES: [&Module; 2] = [&FILL, &MOMENTS];

/// The code of a dtype in the shaders' `dtype` constant; none where no kernel handles it. Words are
/// written as f32s are: 4 bytes each.
pub fn dtype_code(dtype: Dtype) -> Option<u32> {
    match dtype {
        Dtype::F32 | Dtype::U32 => Some(0),
        Dtype::Bf16 => Some(1),
        Dtype::F16 => Some(2),
        _ => None,
    }
}
