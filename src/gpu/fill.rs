use super::context::{Constant, Kernel};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::random::{Distribution, Dtype, Kind, Sampler, Stream, check_end};
use crate::{Error, Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in FILL as "Params" {
        key: [u32; 2],
        id: [u32; 2],
        base: [u32; 2],
        rotation: u32,
        begin: u32,
        end: u32,
        first_group: u32,
        groups: u32,
        taken: u32,
        scale: f32,
        shift: f32,
        low_word: u32,
        zero: u32,
    }
}

impl Pass<'_, '_> {
    /// Element `i` of `tensor` becomes element `i` of `stream`, drawn from `distribution`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the distribution's parameters are off, or it does not come in the
    /// tensor's dtype.
    pub fn fill(
        &mut self,
        tensor: &Tensor,
        stream: &Stream,
        distribution: &Distribution,
    ) -> Result<()> {
        self.fill_from(tensor, stream, distribution, 0)
    }

    /// Element `i` of `tensor` becomes element `first + i` of `stream`: a shard of a larger tensor.
    ///
    /// # Errors
    /// As [`Pass::fill`], and where the stream's 2^64 elements end before the tensor's.
    pub fn fill_from(
        &mut self,
        tensor: &Tensor,
        stream: &Stream,
        distribution: &Distribution,
        first: u64,
    ) -> Result<()> {
        self.once(fill(self.context, tensor, stream, distribution, first))
    }
}

/// What a kernel that draws is told of a distribution.
pub(super) struct Drawn {
    pub(super) sampler: Sampler,
    dtype: u32,
    shifted: bool,
}

impl Drawn {
    /// # Errors
    /// [`Error::Invalid`] where the distribution's parameters are off, or it does not come in the dtype.
    pub(super) fn new(distribution: &Distribution, dtype: Dtype) -> Result<Self> {
        distribution.check_dtype(dtype)?;
        let mut sampler = Sampler::new(distribution)?;
        let code = shaders::dtype_code(dtype)
            .filter(|_| (sampler.kind == Kind::Words) == (dtype == Dtype::U32))
            .ok_or_else(|| {
                let needed = format!("one of {}; u32 for words", Dtype::sampled());
                Error::invalid("dtype", dtype, needed)
            })?;
        let shifted = sampler.shift != 0.0 && sampler.kind != Kind::Constant;
        if !shifted {
            // Where it is -0.0: the kernel adds it to a -0.0 of its own.
            sampler.shift = 0.0;
        }
        Ok(Drawn { sampler, dtype: code, shifted })
    }

    /// Whether it reads the quantile's table.
    pub(super) fn quantile(&self) -> bool {
        matches!(self.sampler.kind, Kind::Normal | Kind::Truncated)
    }

    /// The constants that choose the kernel; `staged` where it may take the table first.
    pub(super) fn constants(&self, staged: bool) -> [Constant; 4] {
        [
            ("kind", self.sampler.kind as u32),
            ("dtype", self.dtype),
            ("shifted", u32::from(self.shifted)),
            ("staged", u32::from(staged && self.quantile())),
        ]
    }
}

/// The dispatches of [`Pass::fill_from`].
pub(super) fn fill(
    context: &Context,
    tensor: &Tensor,
    stream: &Stream,
    distribution: &Distribution,
    first: u64,
) -> Result<Vec<Dispatch>> {
    let dtype = tensor.dtype();
    let drawn = Drawn::new(distribution, dtype)?;
    let elements = tensor.shape().elements();
    check_end(first, elements)?;
    let key = match distribution {
        Distribution::Constant { value } => {
            let element = dtype.constant(*value)?;
            let bytes: Vec<u8> = element.iter().copied().cycle().take(8).collect();
            bytemuck::pod_read_unaligned(&bytes)
        }
        _ => stream.key(),
    };
    let size = dtype.size() as u64;
    let shape = context.fill_shape();
    let blocks = if drawn.quantile() || shape.ahead == 1 { shape.ahead } else { 4 };
    // A group of a 16-bit dtype is two blocks.
    let (entry, edges) = match (size, blocks * size as u32 / 4) {
        (1 | 8, _) => ("fill_rarer", "fill_rarer_edges"),
        (_, 4) => ("fill_fours", "fill_edges"),
        (_, 2) => ("fill_twos", "fill_edges"),
        _ => ("fill_groups", "fill_edges"),
    };
    let kernel = |entry, staged| context.kernel(&shaders::FILL, entry, &drawn.constants(staged));
    let groups = kernel(entry, shape.staged)?;
    let edges = kernel(edges, false)?;

    let mut params = Vec::new();
    let mut dispatches = Vec::new();
    for window in planner::windows(context.limits(), tensor.offset(), elements, size) {
        // The stream's element at the window's element 0, which may lie before the stream.
        let origin = i128::from(first + window.before) - i128::from(window.begin);
        let block = origin.div_euclid(4) as u64;
        let rotation = origin.rem_euclid(4) as u32;
        for part in planner::parts(&window, rotation, 16 / size as u32) {
            let [block_low, block_high, id_low, id_high] = stream.counter(block);
            let taken = match part.edges {
                true => 1,
                // A CPU has few units, and each workgroup costs it something.
                false if context.is_software() => shape.taken,
                false => planner::taken(part.groups, shape.taken, shaders::FILL.width),
            };
            params.push(Params {
                key,
                id: [id_low, id_high],
                base: [block_low, block_high],
                rotation,
                begin: window.begin,
                end: window.end,
                first_group: part.first,
                groups: part.groups,
                taken,
                scale: drawn.sampler.scale,
                shift: drawn.sampler.shift,
                low_word: drawn.sampler.low_word,
                zero: 0,
            });
            dispatches.push((window, part, taken));
        }
    }
    ready(context, tensor, &shaders::FILL, [&groups, &edges], &params, &dispatches)
}

/// Groups of a window, and how many of them an invocation takes.
pub(super) type Planned = (planner::Window, planner::GroupRange, u32);

/// Dispatches of the kernels of whole groups and of edges, each with parameters of its own.
pub(super) fn ready<P: bytemuck::Pod>(
    context: &Context,
    tensor: &Tensor,
    module: &shaders::Module,
    [groups, edges]: [&Kernel; 2],
    params: &[P],
    planned: &[Planned],
) -> Result<Vec<Dispatch>> {
    let uniforms = context.uniforms(params);
    let ready = planned.iter().enumerate().map(|(index, (window, part, taken))| {
        let destination = tensor.window(context, window)?;
        let table = context.table().as_entire_buffer_binding();
        let invocations = part.groups.div_ceil(*taken);
        let grid = planner::grid(context.limits(), invocations, module.width);
        let kernel = if part.edges { edges } else { groups };
        let buffers = [destination, uniforms.block(index), table.clone(), table];
        Ok(context.prepare(kernel, &buffers, grid))
    });
    ready.collect()
}
