use bytemuck::Zeroable;

use super::context::Kernel;
use super::operand::matrix;
use super::pass::Dispatch;
use super::route::{self, LONGEST, Route, Way};
use super::shared::shared;
use super::{Context, Pass, Tensor, activation, cooperative, planner};
use crate::op::{self, Form, Nonlinearity, STRETCH, Step};
use crate::random::Dtype;
use crate::shaders::{self, Loads};
use crate::{Activation, Error, Result};

shared! {
    /// What a dispatch is told.
    struct Params in MATMUL as "Params" {
        rows: u32,
        columns: u32,
        first_depth: u32,
        end_depth: u32,
        split_depth: u32,
        splits: u32,
        a_stride: u32,
        b_stride: u32,
        first_row: u32,
        flags: u32,
        parameter: f32,
        threshold: u32,
        key: [u32; 2],
        id: [u32; 2],
        scale: f32,
        zero: u32,
    }
}

/// The parts of an epilogue, as the shader has them.
const ADD: u32 = 1;
const BIAS: u32 = 2;
const BEFORE: u32 = 4;
const RAW: u32 = 8;
const VALUE: u32 = 16;
const DERIVATIVE: u32 = 32;
const DROPOUT: u32 = 64;
const AFTER: u32 = 128;

/// Products that one dispatch adds up: a slow GPU does them in about 100 ms.
const WORK: u64 = 1 << 34;

/// The operands that are written.
const WRITTEN: [&str; 3] = ["out", "raw", "row_sums"];

/// Dispatches begin at a multiple of every tile's rows.
const ROWS: u64 = 128;

/// What happens to each element of a product; tensors are f32.
pub type Epilogue<'a> = op::Epilogue<&'a Tensor>;

impl Pass<'_, '_> {
    /// `out = epilogue(A B)`, with the factors as `form` reads them. `step` is dropout's counter.
    ///
    /// A and B are both f32, both bf16 or both f16, added up in f32 in an order that depends on the
    /// shapes and the device alone; `out` is f32 of shape `[m, n]`. Each tensor starts at a multiple
    /// of the device's alignment, and what is written shares no buffer with what is read.
    ///
    /// # Errors
    /// [`Error::Invalid`] where shapes or dtypes do not fit, a tensor is not aligned, too large for
    /// a binding, or in a buffer that is also written, or a dropout's probability is off.
    pub fn matmul(
        &mut self,
        form: Form,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
        epilogue: &Epilogue<'_>,
        step: u32,
    ) -> Result<()> {
        self.matmul_by(None, form, a, b, out, epilogue, step)
    }

    /// As [`Pass::matmul`], in a way of the caller's choice: for tests of each, and for tuning.
    #[doc(hidden)]
    #[allow(clippy::too_many_arguments)]
    pub fn matmul_by(
        &mut self,
        way: Option<Way>,
        form: Form,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
        epilogue: &Epilogue<'_>,
        step: u32,
    ) -> Result<()> {
        let steps = self.context.uniforms(&[Step { step, ..Step::default() }]);
        self.once(prepare(self.context, way, form, a, b, out, epilogue, steps.block(0)))
    }

    /// `out = epilogue(values)`, element by element: `out = after + dropout(f(values + bias + before))`,
    /// with what is left out of the epilogue left out, and `raw` as it says. `step` is dropout's counter.
    ///
    /// All are f32; `values` and `out` are matrices of one shape `[m, n]`. Each tensor starts at a
    /// multiple of the device's alignment, and what is written shares no buffer with what is read.
    ///
    /// # Errors
    /// As [`Pass::matmul`]; and where `row_sums` are asked for, which only a product has.
    pub fn map(
        &mut self,
        values: &Tensor,
        out: &Tensor,
        epilogue: &Epilogue<'_>,
        step: u32,
    ) -> Result<()> {
        let steps = self.context.uniforms(&[Step { step, ..Step::default() }]);
        self.once(map(self.context, values, out, epilogue, steps.block(0)))
    }
}

impl Context {
    /// Whether a product of these sizes goes through matrix units.
    pub(crate) fn takes_units(&self, dtype: Dtype, form: Form, sizes: [u64; 3]) -> bool {
        let lines = form.shapes(sizes).map(|[_, line]| line);
        cooperative::fits(self.units(), dtype, sizes, lines)
    }
}

/// The dispatches of [`Pass::matmul`], for a recorder that replays them: `steps` is the first of the
/// blocks of [`Step`]s.
pub(crate) fn matmul(
    context: &Context,
    form: Form,
    a: &Tensor,
    b: &Tensor,
    out: &Tensor,
    epilogue: &Epilogue<'_>,
    steps: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    prepare(context, None, form, a, b, out, epilogue, steps)
}

#[allow(clippy::too_many_arguments)]
fn prepare(
    context: &Context,
    way: Option<Way>,
    form: Form,
    a: &Tensor,
    b: &Tensor,
    out: &Tensor,
    epilogue: &Epilogue<'_>,
    steps: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let [m, n, k] = sizes(form, a, b)?;
    let exact = context.arithmetic().is_exact();
    let code = shaders::dtype_code(a.dtype())
        .filter(|_| matches!(a.dtype(), Dtype::F32 | Dtype::Bf16 | Dtype::F16))
        .ok_or_else(|| Error::invalid("matmul: A's dtype", a.dtype(), "f32, bf16 or f16"))?;
    if b.dtype() != a.dtype() {
        let needed = format!("{}, as A has", a.dtype());
        return Err(Error::invalid("matmul: B's dtype", b.dtype(), needed));
    }
    let ready = Ready::new(context, "matmul", &[("A", a), ("B", b)], out, [m, n], epilogue)?;
    let function = epilogue.nonlinearity.activation();
    let with_row_sums = u32::from(epilogue.row_sums.is_some());

    let [bound_a, bound_b, bound_out] =
        [a.binding(context)?, b.binding(context)?, out.binding(context)?];

    let (hardware, sizes) = (context.hardware(), [m, n, k]);
    let lines = form.shapes(sizes).map(|[_, line]| line);
    let units = !exact
        && way.is_none()
        && with_row_sums == 0
        && context.takes_units(a.dtype(), form, sizes);
    let way = match units {
        true => Way::filling(cooperative::route(context.units()), sizes),
        false if exact => Way::exact(way, &hardware, sizes),
        false => way.unwrap_or_else(|| context.way(sizes)).within(&hardware, sizes),
    };
    // Without subgroups each lane of a direct route loads every row for itself: decoding, copied that
    // often, takes SwiftShader's compiler minutes.
    let way = match way.route == Route::Direct && code != 0 && !context.uses_subgroups() {
        true => Way::whole(Route::Tiled64),
        false => way,
    };
    let direct = way.route == Route::Direct;
    // Factors that every lane would round again for itself are rounded first.
    let (mut dispatches, mut rounded) = (Vec::new(), Vec::new());
    if exact && direct && !context.uses_subgroups() {
        for tensor in [a, b] {
            let count = tensor.shape().elements();
            let factors = context.buffer("factors", 4 * count, wgpu::BufferUsages::STORAGE)?;
            let factors = Tensor::of(context, &factors, 0, tensor.shape().clone(), Dtype::F32)?;
            dispatches.extend(activation::factors(context, tensor, &factors)?);
            rounded.push(factors);
        }
    }
    let [bound_a, bound_b] = match &rounded[..] {
        [a, b] => [a.binding(context)?, b.binding(context)?],
        _ => [bound_a, bound_b],
    };
    let [a_rows, b_columns] = [form == Form::Tn, form != Form::Nt];
    let loads = route::loads(a.dtype().size(), lines);
    let tile = way.route.tile(b_columns);

    let whole = Params {
        splits: way.splits as u32,
        a_stride: lines[0] as u32,
        b_stride: lines[1] as u32,
        ..ready.params
    };
    let flags = whole.flags;
    let stage = way.stage(&hardware);
    if stage.is_none() && tile.entry == "matmul_tiled" && !units {
        let needed = format!("a way for workgroups of {} bytes", hardware.memory);
        return Err(Error::invalid("matmul: way", way, needed));
    }
    let constants = |activation: u32| {
        let mut constants = vec![
            ("dtype", code),
            ("activation", activation),
            ("row_sums", with_row_sums),
            ("ragged", u32::from(!k.is_multiple_of(4))),
            ("a_rows", u32::from(a_rows)),
            ("b_columns", u32::from(b_columns)),
            ("long", u32::from(exact && direct && k > STRETCH as u64)),
        ];
        if !rounded.is_empty() {
            constants.push(("significant", 0));
        }
        if let Some(stage) = stage {
            let [row_quads, column_quads] = tile.quads;
            let tiled = [
                ("tile_rows", tile.rows),
                ("tile_columns", tile.columns),
                ("row_quads", row_quads),
                ("column_quads", column_quads),
                ("slices", way.slices),
                ("slice_depth", stage.depth),
                ("padding", stage.padding),
                ("width", way.slices * tile.width),
            ];
            constants.extend(tiled.map(|(name, value)| (name, value as u32)));
        }
        constants
    };
    // Workgroups of all rows from one to another.
    let workgroups = |rows: u64| {
        let across = n.div_ceil(tile.columns);
        let tiles = rows.div_ceil(tile.rows) * across.next_multiple_of(across.min(tile.tiles));
        tiles.div_ceil(tile.tiles) * way.splits
    };

    if units && way.splits == 1 && flags == 0 {
        return cooperative::sums(context, form, [a, b], &bound_out, sizes, way);
    }
    if units || way.splits > 1 {
        // Each part's sums to a place of their own, then all of them together.
        let floats = way.splits * (m * n + u64::from(with_row_sums) * m);
        let sums = context.buffer("sums", 4 * floats, wgpu::BufferUsages::STORAGE)?;
        let split_depth = if exact { STRETCH as u64 } else { way.split_depth(k) } as u32;
        let depth = k as u32;
        let part = Params { rows: m as u32, end_depth: depth, split_depth, flags: 0, ..whole };
        let sums = sums.as_entire_buffer_binding();
        dispatches.extend(if units {
            cooperative::sums(context, form, [a, b], &sums, sizes, way)?
        } else {
            let (entry, constants) = (tile.entry, constants(0));
            let kernel = context.kernel_of(&shaders::MATMUL, entry, &constants, loads, None)?;
            let operands = [bound_a, bound_b.clone(), sums.clone()];
            vec![ready.dispatch(context, &kernel, &part, operands, &steps, workgroups(m))]
        });
        // The sums are f32 words, whatever the factors are.
        let join = join(context, function, with_row_sums, Loads::Words)?;
        let (joined, operands) = (Params { flags, ..part }, [sums, bound_b, bound_out]);
        let workgroups = (m * n.div_ceil(4)).div_ceil(64);
        dispatches.push(ready.dispatch(context, &join, &joined, operands, &steps, workgroups));
        return Ok(dispatches);
    }
    let (constants, custom) = (constants(function.code()), function.custom());
    let kernel = context.kernel_of(&shaders::MATMUL, tile.entry, &constants, loads, custom)?;
    // What one dispatch adds up. An exact sum goes on from stretch to stretch, in a dispatch or from one to
    // the next.
    let longest = if exact && (!direct || k > LONGEST) { STRETCH as u64 } else { LONGEST };
    let split_depth = if exact { STRETCH as u64 } else { LONGEST };
    let band = (WORK / (n * k.min(longest)) / ROWS * ROWS).clamp(ROWS, 1 << 20);
    for first_row in (0..m).step_by(band as usize) {
        for first_depth in (0..k).step_by(longest as usize) {
            let end_depth = k.min(first_depth + longest);
            // The parts of the epilogue come in with the last of the sum.
            let parts = if end_depth == k { flags } else { 0 };
            let rows = m.min(first_row + band);
            let params = Params {
                rows: rows as u32,
                first_depth: first_depth as u32,
                end_depth: end_depth as u32,
                split_depth: split_depth as u32,
                first_row: first_row as u32,
                flags: parts | if first_depth > 0 { ADD } else { 0 },
                ..whole
            };
            let operands = [bound_a.clone(), bound_b.clone(), bound_out.clone()];
            let workgroups = workgroups(rows - first_row);
            dispatches
                .push(ready.dispatch(context, &kernel, &params, operands, &steps, workgroups));
        }
    }
    Ok(dispatches)
}

/// The dispatches of [`Pass::map`]: `steps` as [`matmul`]'s. They are a product's last, of one split: the
/// values stand where its sums do.
pub(crate) fn map(
    context: &Context,
    values: &Tensor,
    out: &Tensor,
    epilogue: &Epilogue<'_>,
    steps: wgpu::BufferBinding<'_>,
) -> Result<Vec<Dispatch>> {
    let [m, n] = matrix("map: values", values)?;
    if values.dtype() != Dtype::F32 {
        return Err(Error::invalid("map: values' dtype", values.dtype(), "f32"));
    }
    if epilogue.row_sums.is_some() {
        return Err(Error::invalid("map: row_sums", "a tensor", "none: they are of a product"));
    }
    let ready = Ready::new(context, "map", &[("values", values)], out, [m, n], epilogue)?;
    let kernel = join(context, epilogue.nonlinearity.activation(), 0, route::loads(4, [n; 2]))?;
    let params = Params { rows: m as u32, splits: 1, ..ready.params };
    let operands = [values, values, out].map(|tensor| tensor.binding(context));
    let [values, unread, out] = operands;
    let workgroups = (m * n.div_ceil(4)).div_ceil(64);
    let operands = [values?, unread?, out?];
    Ok(vec![ready.dispatch(context, &kernel, &params, operands, &steps, workgroups)])
}

/// The kernel that adds sums of splits up, read so, before the epilogue.
fn join(context: &Context, activation: Activation, row_sums: u32, loads: Loads) -> Result<Kernel> {
    let constants = [("activation", activation.code()), ("row_sums", row_sums)];
    let (module, entry) = (&shaders::MATMUL, "matmul_join");
    context.kernel_of(module, entry, &constants, loads, activation.custom())
}

/// What every dispatch with one epilogue has in common.
struct Ready<'a> {
    params: Params,
    /// What it keeps, and its operands: bindings 3 to 7.
    bindings: [wgpu::BufferBinding<'a>; 5],
}

impl<'a> Ready<'a> {
    /// # Errors
    /// [`Error::Invalid`] where something does not fit the result's shape, or the context.
    fn new(
        context: &'a Context,
        operation: &str,
        reads: &[(&str, &'a Tensor)],
        out: &'a Tensor,
        [m, n]: [u64; 2],
        epilogue: &Epilogue<'a>,
    ) -> Result<Ready<'a>> {
        let Epilogue { bias, before, raw, nonlinearity, dropout, after, row_sums } = *epilogue;
        let (value, z) = match nonlinearity {
            Nonlinearity::None => (0, None),
            Nonlinearity::Value(_) => (VALUE, None),
            Nonlinearity::Derivative(_, z) => (0, Some(z)),
        };
        if let Some(dropout) = &dropout {
            dropout.check().map_err(|error| error.at(operation))?;
        }
        if raw.is_some() && row_sums.is_some() {
            let what = format!("{operation}: row_sums");
            return Err(Error::invalid(what, "raw as well", "one of the two"));
        }
        let matrix: &[u64] = &[m, n];
        let parts = [
            ("out", Some(out), matrix, 0),
            ("raw", raw, matrix, RAW),
            ("bias", bias, &[n], BIAS),
            ("before", before, matrix, BEFORE),
            ("z", z, matrix, DERIVATIVE),
            ("after", after, matrix, AFTER),
            ("row_sums", row_sums, &[m], 0),
        ];
        let mut flags = value | if dropout.is_some() { DROPOUT } else { 0 };
        let mut operands = reads.to_vec();
        for (name, part, dims, flag) in parts {
            let Some(part) = part else { continue };
            flags |= flag;
            operands.push((name, part));
            if part.shape().dims() != dims {
                let what = format!("{operation}: {name}'s shape");
                return Err(Error::invalid(what, part.shape(), format!("{dims:?}")));
            }
            if part.dtype() != Dtype::F32 {
                let what = format!("{operation}: {name}'s dtype");
                return Err(Error::invalid(what, part.dtype(), "f32"));
            }
        }
        check_bindings(context, operation, &operands)?;

        let stream = dropout.map(|dropout| dropout.stream);
        let params = Params {
            columns: n as u32,
            flags,
            parameter: nonlinearity.activation().parameter(),
            threshold: dropout.map_or(0, |dropout| dropout.threshold()),
            key: stream.map_or([0; 2], |stream| stream.key()),
            id: stream.map_or([0; 2], |stream| stream.id_words()),
            scale: dropout.map_or(1.0, |dropout| dropout.scale()),
            ..Params::zeroed()
        };
        let [unused, _] = context.unused();
        let beside = raw.or(row_sums).map_or(Ok(unused), |beside| beside.binding(context))?;
        // What is not there is not read: anything readable stands in for it.
        let operand = |part: Option<&'a Tensor>| part.unwrap_or(reads[0].1).binding(context);
        let bindings = [beside, operand(bias)?, operand(before)?, operand(z)?, operand(after)?];
        Ok(Ready { params, bindings })
    }

    fn dispatch(
        &self,
        context: &Context,
        kernel: &Kernel,
        params: &Params,
        operands: [wgpu::BufferBinding<'_>; 3],
        steps: &wgpu::BufferBinding<'_>,
        workgroups: u64,
    ) -> Dispatch {
        let uniforms = context.uniforms(&[*params]);
        let mut buffers = operands.to_vec();
        buffers.extend(self.bindings.iter().cloned());
        buffers.extend([uniforms.block(0), steps.clone()]);
        let grid = planner::grid(context.limits(), workgroups as u32, 1);
        context.prepare(kernel, &buffers, grid)
    }
}

fn sizes(form: Form, a: &Tensor, b: &Tensor) -> Result<[u64; 3]> {
    let dims = |name: &str, tensor: &Tensor| match *tensor.shape().dims() {
        [rows, columns] => Ok([rows, columns]),
        _ => Err(Error::invalid(format!("matmul: {name}'s shape"), tensor.shape(), "two axes")),
    };
    let sizes = form.sizes(dims("A", a)?, dims("B", b)?).ok_or_else(|| {
        let given = format!("A {} and B {}", a.shape(), b.shape());
        let needed = match form {
            Form::Nt => "A [m, k] and B [n, k]",
            Form::Nn => "A [m, k] and B [k, n]",
            Form::Tn => "A [k, m] and B [k, n]",
        };
        Error::invalid("matmul: shapes", given, needed)
    })?;
    Ok(sizes)
}

/// That each operand is the context's and can be bound, and what is written is nowhere else.
fn check_bindings(context: &Context, operation: &str, operands: &[(&str, &Tensor)]) -> Result<()> {
    // First: buffers of two instances may be equal.
    for (name, tensor) in operands {
        tensor.check_owner(context).map_err(|error| error.at(format!("{operation}: {name}")))?;
    }
    let limits = context.limits();
    for (index, (name, tensor)) in operands.iter().enumerate() {
        let what = |of: &str| format!("{operation}: {name}'s {of}");
        if !tensor.offset().is_multiple_of(limits.alignment) {
            let needed = format!("a multiple of the device's alignment, {}", limits.alignment);
            return Err(Error::invalid(what("offset"), tensor.offset(), needed));
        }
        if tensor.bytes() > limits.binding {
            let needed = format!("at most the {} that the device binds", limits.binding);
            return Err(Error::invalid(what("bytes"), tensor.bytes(), needed));
        }
        if !WRITTEN.contains(name) {
            continue;
        }
        for (place, (other, shared)) in operands.iter().enumerate() {
            // WebGPU's rule is a buffer's, not a stretch's, where one side only reads.
            let (start, end) = (tensor.offset(), tensor.offset() + tensor.bytes());
            let apart = WRITTEN.contains(other)
                && (shared.offset() >= end || shared.offset() + shared.bytes() <= start);
            if place != index && tensor.buffer() == shared.buffer() && !apart {
                let given = format!("that of {other}");
                return Err(Error::invalid(
                    what("buffer"),
                    given,
                    "one that is not used otherwise",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ADD, AFTER, BEFORE, BIAS, DERIVATIVE, DROPOUT, RAW, VALUE};
    use crate::gpu::route::Route;
    use crate::gpu::shared::assert_constants;
    use crate::op::STRETCH;
    use crate::shaders::MATMUL;

    #[test]
    fn flags_and_blocks_are_the_shaders() {
        let flags = [
            ("ADD", ADD),
            ("BIAS", BIAS),
            ("BEFORE", BEFORE),
            ("RAW", RAW),
            ("VALUE", VALUE),
            ("DERIVATIVE", DERIVATIVE),
            ("DROPOUT", DROPOUT),
            ("AFTER", AFTER),
        ];
        assert_constants(&MATMUL, &flags.map(|(name, flag)| (name, flag.into())));
        let direct = Route::Direct.tile(false);
        assert_constants(&MATMUL, &[("BLOCK", direct.rows), ("BLOCK", direct.columns)]);
        assert_constants(&MATMUL, &[("LANES", direct.tiles), ("STRETCH", STRETCH as u64)]);
    }
}
