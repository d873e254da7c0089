//! The WGSL, as data: each module's source, entry points, bindings and constants.
//!
//! This table is the one place that says how shaders and Rust meet; the kernels of this crate are
//! built from it, and a program that runs its own pipelines can build from it too:
//!
//! ```
//! let fill = &fanin::shaders::FILL;
//! let wgsl = fill.source(Default::default());
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
    /// The libraries that it needs, besides [`Module::parts`].
    pub libraries: &'static [&'static str],
    /// The libraries that it needs and that come in several forms.
    pub parts: &'static [Part],
    /// Its entry points.
    pub entries: &'static [&'static str],
    /// Its bindings, all in group 0; those of one index are alternatives, one an entry point.
    pub bindings: &'static [Binding],
    /// The `override` constants that choose a variant.
    pub overrides: &'static [&'static str],
    /// Invocations a workgroup, in x.
    pub width: u32,
}

/// A library that comes in several forms; which, a [`Variant`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `philox4x32_10` and `multiply_wide`, in forms with the same bits.
    Philox,
    /// `four_of` and `of_four`, in two forms with the same bits.
    Fours,
    /// `share`, in two forms with the same bits, and `left_four` and `right_four`, in a form for each
    /// of [`Loads`].
    Factors,
    /// The matrices of the device's matrix units, in two sizes.
    Units,
    /// `Item`, what rows are taken in: an element, or four with the [`Loads`] that are quads.
    Items,
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

/// What a device has beyond WGSL's core, and the sources make use of. The bits are the same without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// 64-bit integers (`SHADER_INT64`): 32-bit words are multiplied through them, without through
    /// 16-bit halves.
    pub int64: bool,
    /// Whether four floats are better moved as two 64-bit words: where the device is a CPU that has
    /// 64-bit integers.
    pub longs: bool,
    /// Subgroups (`SUBGROUP`) of 8 consecutive invocations, never more nor fewer: what one has
    /// loaded the others get from it, without they load it again.
    pub subgroups: bool,
    /// Rows of the matrices of f16 that the device's matrix units multiply, as many as columns, and add
    /// up in f32: 8 or 16; 0 where there are none, or nobody has asked for them.
    pub units: u32,
}

/// How a kernel reads matrices: a product its factors, [`NORM`], [`LOSS`] and [`ROWS`] theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loads {
    /// A word at a time: any shape. The bindings of factors are arrays of `u32`, of any dtype; of others
    /// of `f32`.
    #[default]
    Words,
    /// Four elements at a time: matrices of f32 whose rows, in memory, are whole quads. `vec4<f32>`, or
    /// `vec2<u64>` with [`Features::longs`].
    Quads,
    /// Four elements of bf16 or f16 at a time, `vec2<u32>`: factors alone.
    Halves,
}

impl Loads {
    /// Every way.
    pub const ALL: [Loads; 3] = [Loads::Words, Loads::Quads, Loads::Halves];
}

/// What of a module's source is chosen when it is joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// What the device has.
    pub features: Features,
    /// How matrices are read, where the module has [`Part::Factors`] or [`Part::Items`].
    pub loads: Loads,
    /// The WGSL of a nonlinearity of the caller's ([`Custom::wgsl`](crate::Custom)), where the module
    /// holds the nonlinearities.
    pub custom: Option<&'static str>,
}

impl Module {
    /// The joined WGSL for a device that has these features.
    pub fn source(&self, features: Features) -> String {
        self.source_of(&Variant { features, ..Variant::default() })
    }

    /// The joined WGSL of a variant; what it says of things that the module has not is without effect.
    pub fn source_of(&self, variant: &Variant) -> String {
        let Variant { features, loads, custom } = *variant;
        let multiply = match features.int64 {
            true => include_str!("../shaders/lib/multiply_u64.wgsl"),
            false => include_str!("../shaders/lib/multiply_u32.wgsl"),
        };
        let round = match features.longs {
            true => include_str!("../shaders/lib/round_u64.wgsl"),
            false => include_str!("../shaders/lib/round_u32.wgsl"),
        };
        let share = match features.subgroups {
            true => include_str!("../shaders/lib/share_subgroup.wgsl"),
            false => include_str!("../shaders/lib/share_load.wgsl"),
        };
        let libraries = self.libraries.iter().map(|library| match custom {
            Some(custom) if *library == CUSTOM => custom,
            _ => *library,
        });
        let fours = match features.longs {
            true => include_str!("../shaders/lib/four_longs.wgsl"),
            false => include_str!("../shaders/lib/four_quads.wgsl"),
        };
        let mut sources = vec![self.entry_source];
        sources.extend(libraries);
        for part in self.parts {
            match part {
                Part::Philox => sources.extend([PHILOX, round, multiply]),
                Part::Fours => sources.push(fours),
                Part::Factors => {
                    sources.push(share);
                    match loads {
                        Loads::Words => sources.push(LOAD_WORDS),
                        Loads::Quads => sources.extend([LOAD_FOURS, fours]),
                        Loads::Halves => sources.extend([LOAD_FOURS, FOUR_HALVES]),
                    }
                }
                Part::Items => match loads {
                    Loads::Quads => sources.extend([ITEM_FOUR, fours]),
                    Loads::Words | Loads::Halves => sources.push(ITEM_WORD),
                },
                Part::Units => sources.push(if features.units == 8 { UNITS_8 } else { UNITS_16 }),
            }
        }
        sources.join("\n")
    }
}

const LOAD_WORDS: &str = include_str!("../shaders/lib/load_words.wgsl");
const LOAD_FOURS: &str = include_str!("../shaders/lib/load_fours.wgsl");
const FOUR_HALVES: &str = include_str!("../shaders/lib/four_halves.wgsl");
const ITEM_WORD: &str = include_str!("../shaders/lib/item_word.wgsl");
const ITEM_FOUR: &str = include_str!("../shaders/lib/item_four.wgsl");
const TEAM: &str = include_str!("../shaders/lib/team.wgsl");
const UNITS_8: &str = include_str!("../shaders/lib/units_8.wgsl");
const UNITS_16: &str = include_str!("../shaders/lib/units_16.wgsl");
const TILE: &str = include_str!("../shaders/lib/tile.wgsl");
const PHILOX: &str = include_str!("../shaders/lib/philox.wgsl");
const QUANTILE: &str = include_str!("../shaders/lib/quantile.wgsl");
const SAMPLE: &str = include_str!("../shaders/lib/sample.wgsl");
const DRAW: &str = include_str!("../shaders/lib/draw.wgsl");
const NUMERIC: &str = include_str!("../shaders/lib/numeric.wgsl");
const STEP: &str = include_str!("../shaders/lib/step.wgsl");
const ACTIVATIONS: &str = include_str!("../shaders/lib/activation.wgsl");
const MATH: &str = include_str!("../shaders/lib/math.wgsl");
const CUSTOM: &str = include_str!("../shaders/lib/custom.wgsl");
const DROPOUT_WORDS: &str = include_str!("../shaders/lib/dropout.wgsl");
const RUN: &str = include_str!("../shaders/lib/run.wgsl");
const WINDOW: &str = include_str!("../shaders/lib/window.wgsl");
const NAN: &str = include_str!("../shaders/lib/nan.wgsl");
const EXACT: &str = include_str!("../shaders/lib/exact.wgsl");
const OPERAND: &str = include_str!("../shaders/lib/operand.wgsl");
const GRID: &str = include_str!("../shaders/lib/grid.wgsl");

/// What is bound where samples are drawn, of a run or of a slice.
const DRAWN: [Binding; 5] = [
    Binding { index: 0, name: "groups", access: Access::ReadWrite },
    Binding { index: 0, name: "words", access: Access::ReadWrite },
    Binding { index: 1, name: "params", access: Access::Uniform },
    Binding { index: 2, name: "table", access: Access::Uniform },
    Binding { index: 3, name: "rows", access: Access::Read },
];

/// What chooses their kernels.
const DRAWN_AS: [&str; 4] = ["kind", "dtype", "shifted", "staged"];

/// Samples into a buffer.
pub static FILL: Module = Module {
    name: "fill",
    entry_source: include_str!("../shaders/fill.wgsl"),
    libraries: &[DRAW, QUANTILE, SAMPLE, NUMERIC, GRID],
    parts: &[Part::Philox],
    entries: &[
        "fill_groups",
        "fill_twos",
        "fill_fours",
        "fill_edges",
        "fill_rarer",
        "fill_rarer_edges",
    ],
    bindings: &DRAWN,
    overrides: &DRAWN_AS,
    width: 256,
};

/// Samples of a slice into a buffer.
pub static SLICE: Module = Module {
    name: "slice",
    entry_source: include_str!("../shaders/slice.wgsl"),
    libraries: &[DRAW, QUANTILE, SAMPLE, NUMERIC, GRID],
    parts: &[Part::Philox],
    entries: &["slice_groups", "slice_edges", "slice_rarer", "slice_rarer_edges"],
    bindings: &DRAWN,
    overrides: &DRAWN_AS,
    width: 256,
};

/// Matrix products with what follows them in a layer.
pub static MATMUL: Module = Module {
    name: "matmul",
    entry_source: include_str!("../shaders/matmul.wgsl"),
    libraries: &[
        EXACT,
        OPERAND,
        ACTIVATIONS,
        CUSTOM,
        NAN,
        MATH,
        STEP,
        DROPOUT_WORDS,
        NUMERIC,
        GRID,
        TILE,
    ],
    parts: &[Part::Philox, Part::Factors],
    entries: &["matmul_tiled", "matmul_thin", "matmul_join", "matmul_direct"],
    bindings: &[
        Binding { index: 0, name: "a", access: Access::Read },
        Binding { index: 1, name: "b", access: Access::Read },
        Binding { index: 2, name: "out", access: Access::ReadWrite },
        Binding { index: 3, name: "beside", access: Access::ReadWrite },
        Binding { index: 4, name: "bias", access: Access::Read },
        Binding { index: 5, name: "before", access: Access::Read },
        Binding { index: 6, name: "z", access: Access::Read },
        Binding { index: 7, name: "after", access: Access::Read },
        Binding { index: 8, name: "params", access: Access::Uniform },
        Binding { index: 9, name: "steps", access: Access::Step },
    ],
    overrides: &[
        "exact",
        "significant",
        "unfused",
        "guarded",
        "long",
        "dtype",
        "activation",
        "row_sums",
        "ragged",
        "a_rows",
        "b_columns",
        "tile_rows",
        "tile_columns",
        "row_quads",
        "column_quads",
        "slices",
        "slice_depth",
        "padding",
        "width",
    ],
    width: 64,
};

/// Sums of products of f16 by matrix units.
pub static COOPERATIVE: Module = Module {
    name: "cooperative",
    entry_source: include_str!("../shaders/cooperative.wgsl"),
    libraries: &[GRID, TILE],
    parts: &[Part::Units],
    entries: &["cooperative_sums"],
    bindings: &[
        Binding { index: 0, name: "a", access: Access::Read },
        Binding { index: 1, name: "b", access: Access::Read },
        Binding { index: 2, name: "sums", access: Access::ReadWrite },
        Binding { index: 3, name: "params", access: Access::Uniform },
    ],
    overrides: &["a_rows", "b_columns"],
    width: 128,
};

/// The rows of a batch.
pub static GATHER: Module = Module {
    name: "gather",
    entry_source: include_str!("../shaders/gather.wgsl"),
    libraries: &[STEP, GRID],
    parts: &[],
    entries: &["gather_rows"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "step", access: Access::Step },
        Binding { index: 2, name: "features", access: Access::Read },
        Binding { index: 3, name: "targets", access: Access::Read },
        Binding { index: 4, name: "order", access: Access::Read },
        Binding { index: 5, name: "batch_features", access: Access::ReadWrite },
        Binding { index: 6, name: "batch_targets", access: Access::ReadWrite },
    ],
    overrides: &[],
    width: 256,
};

/// Sums over the rows of a matrix.
pub static COLUMNS: Module = Module {
    name: "columns",
    entry_source: include_str!("../shaders/columns.wgsl"),
    libraries: &[EXACT, GRID],
    parts: &[],
    entries: &["columns_workgroups", "columns_invocations"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "weights", access: Access::Read },
        Binding { index: 3, name: "value_fours", access: Access::Read },
        Binding { index: 4, name: "weight_fours", access: Access::Read },
        Binding { index: 5, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact", "fold", "fours", "width"],
    width: 256,
};

/// Sums of the rows of a matrix.
pub static ROWS: Module = Module {
    name: "rows",
    entry_source: include_str!("../shaders/rows.wgsl"),
    libraries: &[EXACT, NAN, MATH, GRID, TEAM],
    parts: &[Part::Items],
    entries: &["rows_sum", "rows_norm"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "weights", access: Access::Read },
        Binding { index: 3, name: "sums", access: Access::ReadWrite },
    ],
    overrides: &["exact", "weighted", "lanes", "width"],
    width: 64,
};

/// Losses of rows, and their gradients.
pub static LOSS: Module = Module {
    name: "loss",
    entry_source: include_str!("../shaders/loss.wgsl"),
    libraries: &[EXACT, STEP, NAN, MATH, GRID, TEAM],
    parts: &[Part::Items],
    entries: &["loss_classes", "loss_values", "loss_columns"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "step", access: Access::Step },
        Binding { index: 2, name: "outputs", access: Access::Read },
        Binding { index: 3, name: "classes", access: Access::Read },
        Binding { index: 3, name: "targets", access: Access::Read },
        Binding { index: 4, name: "gradient", access: Access::ReadWrite },
        Binding { index: 5, name: "results", access: Access::ReadWrite },
        Binding { index: 5, name: "sums", access: Access::ReadWrite },
    ],
    overrides: &["exact", "kind", "gradients", "lanes", "width"],
    width: 64,
};

/// A nonlinearity over a buffer, forward and backward.
pub static ACTIVATION: Module = Module {
    name: "activation",
    entry_source: include_str!("../shaders/activation.wgsl"),
    libraries: &[EXACT, OPERAND, ACTIVATIONS, CUSTOM, NAN, MATH, GRID],
    parts: &[Part::Fours],
    entries: &[
        "activate_groups",
        "activate_rest",
        "factors_groups",
        "factors_rest",
        "activate_backward_groups",
        "activate_backward_rest",
    ],
    bindings: &[
        Binding { index: 0, name: "x_groups", access: Access::Read },
        Binding { index: 0, name: "x_words", access: Access::Read },
        Binding { index: 1, name: "params", access: Access::Uniform },
        Binding { index: 2, name: "out_groups", access: Access::ReadWrite },
        Binding { index: 2, name: "out_words", access: Access::ReadWrite },
        Binding { index: 3, name: "dy_groups", access: Access::Read },
        Binding { index: 3, name: "dy_words", access: Access::Read },
    ],
    overrides: &["exact", "significant", "activation"],
    width: 256,
};

/// Counts, extremes, mean and squared deviations of a buffer's elements; the norm of all gradients, and
/// the factor that bounds it.
pub static REDUCE: Module = Module {
    name: "reduce",
    entry_source: include_str!("../shaders/reduce.wgsl"),
    libraries: &[RUN, NUMERIC],
    parts: &[Part::Fours],
    entries: &["reduce_workgroups", "reduce_invocations", "reduce_norm"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "groups", access: Access::Read },
        Binding { index: 1, name: "parts", access: Access::Read },
        Binding { index: 2, name: "words", access: Access::Read },
        Binding { index: 3, name: "rows", access: Access::ReadWrite },
        Binding { index: 3, name: "scale", access: Access::ReadWrite },
    ],
    overrides: &["dtype", "width", "norm_alone", "branches"],
    width: 256,
};

/// A buffer's elements counted into bins.
pub static HISTOGRAM: Module = Module {
    name: "histogram",
    entry_source: include_str!("../shaders/histogram.wgsl"),
    libraries: &[RUN, NUMERIC, NAN, GRID],
    parts: &[Part::Fours],
    entries: &["histogram_workgroups", "histogram_invocations"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "groups", access: Access::Read },
        Binding { index: 2, name: "words", access: Access::Read },
        Binding { index: 3, name: "counts", access: Access::ReadWrite },
        Binding { index: 4, name: "edges", access: Access::Read },
    ],
    overrides: &["dtype", "width"],
    width: 256,
};

/// Layer norm with the nonlinearity, dropout and residual connection after it.
pub static NORM: Module = Module {
    name: "norm",
    entry_source: include_str!("../shaders/norm.wgsl"),
    libraries: &[EXACT, STEP, ACTIVATIONS, CUSTOM, NAN, MATH, DROPOUT_WORDS, GRID, TEAM],
    parts: &[Part::Philox, Part::Items],
    entries: &["norm_forward", "norm_backward"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "step", access: Access::Step },
        Binding { index: 2, name: "scale", access: Access::Read },
        Binding { index: 3, name: "shift", access: Access::Read },
        Binding { index: 4, name: "values", access: Access::Read },
        Binding { index: 5, name: "beside", access: Access::Read },
        Binding { index: 5, name: "inverses", access: Access::Read },
        Binding { index: 6, name: "normalized", access: Access::ReadWrite },
        Binding { index: 7, name: "inverses_out", access: Access::ReadWrite },
        Binding { index: 7, name: "inner", access: Access::ReadWrite },
        Binding { index: 8, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact", "activation", "dropout", "residual", "lanes", "width"],
    width: 64,
};

/// Dropout on its own.
pub static DROPOUT: Module = Module {
    name: "dropout",
    entry_source: include_str!("../shaders/dropout.wgsl"),
    libraries: &[EXACT, DROPOUT_WORDS, GRID],
    parts: &[Part::Philox],
    entries: &["dropout_groups"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact"],
    width: 256,
};

/// The windows of signals as the rows of a matrix, and back.
pub static UNFOLD: Module = Module {
    name: "unfold",
    entry_source: include_str!("../shaders/unfold.wgsl"),
    libraries: &[EXACT, WINDOW, GRID],
    parts: &[],
    entries: &["unfold_lines", "unfold_sums"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact"],
    width: 256,
};

/// Convolution, an element at a time.
pub static CONV: Module = Module {
    name: "conv",
    entry_source: include_str!("../shaders/conv.wgsl"),
    libraries: &[EXACT, OPERAND, WINDOW, GRID],
    parts: &[],
    entries: &["conv_forward", "conv_input", "conv_weight"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "weight", access: Access::Read },
        Binding { index: 3, name: "bias", access: Access::Read },
        Binding { index: 3, name: "gradient", access: Access::Read },
        Binding { index: 4, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact", "significant", "biased"],
    width: 256,
};

/// Pooling, forward and backward.
pub static POOL: Module = Module {
    name: "pool",
    entry_source: include_str!("../shaders/pool.wgsl"),
    libraries: &[EXACT, WINDOW, NAN, GRID],
    parts: &[],
    entries: &["pool_forward", "pool_backward"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "values", access: Access::Read },
        Binding { index: 2, name: "pooled", access: Access::Read },
        Binding { index: 3, name: "gradient", access: Access::Read },
        Binding { index: 4, name: "result", access: Access::ReadWrite },
    ],
    overrides: &["exact", "average"],
    width: 256,
};

/// A step of an optimizer.
pub static UPDATE: Module = Module {
    name: "update",
    entry_source: include_str!("../shaders/update.wgsl"),
    libraries: &[EXACT, STEP, GRID],
    parts: &[Part::Fours],
    entries: &["update_groups", "update_rest"],
    bindings: &[
        Binding { index: 0, name: "params", access: Access::Uniform },
        Binding { index: 1, name: "step", access: Access::Step },
        Binding { index: 2, name: "gradient_groups", access: Access::Read },
        Binding { index: 2, name: "gradients", access: Access::Read },
        Binding { index: 3, name: "scale", access: Access::Read },
        Binding { index: 4, name: "parameter_groups", access: Access::ReadWrite },
        Binding { index: 4, name: "parameters", access: Access::ReadWrite },
        Binding { index: 5, name: "first_groups", access: Access::ReadWrite },
        Binding { index: 5, name: "first", access: Access::ReadWrite },
        Binding { index: 6, name: "second_groups", access: Access::ReadWrite },
        Binding { index: 6, name: "second", access: Access::ReadWrite },
    ],
    overrides: &["exact", "kind", "moments", "clipped"],
    width: 256,
};

/// The ceilings that the others are held against.
pub static PEAK: Module = Module {
    name: "peak",
    entry_source: include_str!("../shaders/peak.wgsl"),
    libraries: &[GRID],
    parts: &[Part::Fours],
    entries: &["multiply_add", "write_stream", "read_stream", "copy_stream"],
    bindings: &[
        Binding { index: 0, name: "out", access: Access::ReadWrite },
        Binding { index: 1, name: "params", access: Access::Uniform },
        Binding { index: 2, name: "source", access: Access::Read },
        Binding { index: 3, name: "target_groups", access: Access::ReadWrite },
    ],
    overrides: &[],
    width: 64,
};

/// Every module. [`COOPERATIVE`] needs more of a device than the others: `SHADER_F16`, `SUBGROUP` and
/// `EXPERIMENTAL_COOPERATIVE_MATRIX`.
pub static MODULES: [&Module; 18] = [
    &FILL,
    &SLICE,
    &REDUCE,
    &HISTOGRAM,
    &MATMUL,
    &COOPERATIVE,
    &ACTIVATION,
    &DROPOUT,
    &UNFOLD,
    &CONV,
    &POOL,
    &COLUMNS,
    &ROWS,
    &NORM,
    &LOSS,
    &UPDATE,
    &GATHER,
    &PEAK,
];

/// The code of a dtype in the shaders' `dtype` constant; none where no kernel handles it. Words are
/// written as f32s are: 4 bytes each.
pub fn dtype_code(dtype: Dtype) -> Option<u32> {
    match dtype {
        Dtype::F32 | Dtype::U32 => Some(0),
        Dtype::Bf16 => Some(1),
        Dtype::F16 => Some(2),
        Dtype::F8E4M3 => Some(3),
        Dtype::F8E5M2 => Some(4),
        Dtype::F64 => Some(5),
        _ => None,
    }
}
