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

/// The dispatches of [`Pass::fill_from`].
fn fill(
    context: &Context,
    tensor: &Tensor,
    stream: &Stream,
    distribution: &Distribution,
    first: u64,
) -> Result<Vec<Dispatch>> {
    let dtype = tensor.dtype();
    distribution.check_dtype(dtype)?;
    let sampler = Sampler::new(distribution)?;
    let code = shaders::dtype_code(dtype)
        .filter(|_| (sampler.kind == Kind::Words) == (dtype == Dtype::U32))
        .ok_or_else(|| {
            let needed = format!("one of {}; u32 for words", Dtype::sampled());
            Error::invalid("dtype", dtype, needed)
        })?;
    let elements = tensor.shape().elements();
    check_end(first, elements)?;
    let shifted = sampler.shift != 0.0 && sampler.kind != Kind::Constant;
    // 0.0 where it is -0.0: the kernel adds it to a -0.0 of its own.
    let shift = if shifted { sampler.shift } else { 0.0 };
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
    // Only quantiles read the table.
    let quantile = matches!(sampler.kind, Kind::Normal | Kind::Truncated);
    let blocks = if quantile || shape.ahead == 1 { shape.ahead } else { 4 };
    // A group of a 16-bit dtype is two blocks.
    let (entry, edges) = match (size, blocks * size as u32 / 4) {
        (1 | 8, _) => ("fill_rarer", "fill_rarer_edges"),
        (_, 4) => ("fill_fours", "fill_edges"),
        (_, 2) => ("fill_twos", "fill_edges"),
        _ => ("fill_groups", "fill_edges"),
    };
    let kernel = |entry, staged| {
        let constants = [
            ("kind", sampler.kind as u32),
            ("dtype", code),
            ("shifted", u32::from(shifted)),
            ("staged", u32::from(staged)),
        ];
        context.kernel(&shaders::FILL, entry, &constants)
    };
    let groups = kernel(entry, shape.staged && quantile)?;
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
                scale: sampler.scale,
                shift,
                low_word: sampler.low_word,
                zero: 0,
            });
            dispatches.push((window, part, taken));
        }
    }
    let uniforms = context.uniforms(&params);
    let ready = dispatches.iter().enumerate().map(|(index, (window, part, taken))| {
        let destination = tensor.window(context, window)?;
        let table = context.table().as_entire_buffer_binding();
        let invocations = part.groups.div_ceil(*taken);
        let grid = planner::grid(context.limits(), invocations, shaders::FILL.width);
        let kernel = if part.edges { &edges } else { &groups };
        Ok(context.prepare(
            kernel,
            &[destination, uniforms.block(index), table.clone(), table],
            grid,
        ))
    });
    ready.collect()
}
