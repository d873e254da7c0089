use super::fill::{Drawn, fill, ready};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::random::{Distribution, Slice, Stream};
use crate::{Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in SLICE as "Params" {
        key: [u32; 2],
        id: [u32; 2],
        base: [u32; 2],
        lead: u32,
        begin: u32,
        end: u32,
        first_group: u32,
        groups: u32,
        taken: u32,
        scale: f32,
        shift: f32,
        low_word: u32,
        zero: u32,
        axes: [Axis; planner::AXES],
        axis_count: u32,
        unused: u32,
    }
}

shared! {
    /// An axis of the box that positions are counted in.
    struct Axis in SLICE as "Axis" {
        stride: [u32; 2],
        jump: [u32; 2],
        size: u32,
        inverse: u32,
        unused: [u32; 2],
    }
}

/// Groups of 16 bytes an invocation of a GPU at most: of more the stores would lie further apart, of fewer
/// more blocks would be drawn twice.
const TAKEN: u32 = 4;

impl Pass<'_, '_> {
    /// Element `i` of `tensor` becomes element `i` of a slice of the tensor whose stream this is: element
    /// [`slice.index(i)`](Slice::index) of `stream`, drawn from `distribution`.
    ///
    /// However far apart the slice's rows are, one dispatch draws them, besides one for either end that is
    /// no multiple of 16 bytes; dimensions beyond five that lie apart take one a step.
    ///
    /// # Errors
    /// As [`Pass::fill`], and [`Error::Invalid`](crate::Error::Invalid) where the slice ends before the
    /// tensor does.
    pub fn fill_slice(
        &mut self,
        tensor: &Tensor,
        stream: &Stream,
        distribution: &Distribution,
        slice: &Slice,
    ) -> Result<()> {
        self.fill_slice_from(tensor, stream, distribution, slice, 0)
    }

    /// Element `i` of `tensor` becomes element `first + i` of a slice.
    ///
    /// # Errors
    /// As [`Pass::fill_slice`].
    pub fn fill_slice_from(
        &mut self,
        tensor: &Tensor,
        stream: &Stream,
        distribution: &Distribution,
        slice: &Slice,
        first: u64,
    ) -> Result<()> {
        self.once(fill_slice(self.context, tensor, stream, distribution, slice, first))
    }
}

/// The dispatches of [`Pass::fill_slice_from`].
fn fill_slice(
    context: &Context,
    tensor: &Tensor,
    stream: &Stream,
    distribution: &Distribution,
    slice: &Slice,
    first: u64,
) -> Result<Vec<Dispatch>> {
    let (dtype, elements) = (tensor.dtype(), tensor.shape().elements());
    slice.check_range(first, elements)?;
    if let Some(first) = slice.one_run(first..first + elements) {
        return fill(context, tensor, stream, distribution, first);
    }
    if matches!(distribution, Distribution::Constant { .. }) {
        return fill(context, tensor, stream, distribution, 0);
    }
    let drawn = Drawn::new(distribution, dtype)?;
    let size = dtype.size() as u64;
    let shape = context.fill_shape();
    let (groups, edges) = match size {
        1 | 8 => ("slice_rarer", "slice_rarer_edges"),
        _ => ("slice_groups", "slice_edges"),
    };
    let kernel = |entry, staged| context.kernel(&shaders::SLICE, entry, &drawn.constants(staged));
    let (groups, edges) = (kernel(groups, shape.staged)?, kernel(edges, false)?);
    let halves = |long: u64| [long as u32, (long >> 32) as u32];

    let mut params = Vec::new();
    let mut dispatches = Vec::new();
    for window in planner::windows(context.limits(), tensor.offset(), elements, size) {
        let first = first + window.before;
        let (axes, sections) = planner::sections(slice, first, &window, REACH);
        let mut told: [Axis; planner::AXES] = bytemuck::Zeroable::zeroed();
        for (told, axis) in told.iter_mut().zip(&axes) {
            let [stride, jump] = [axis.stride, axis.jump].map(halves);
            let inverse = axis.inverse();
            *told = Axis { stride, jump, size: axis.size, inverse, unused: [0; 2] };
        }
        for section in sections {
            let window = section.window;
            // Groups begin anywhere in the stream.
            for part in planner::parts(&window, 0, 16 / size as u32) {
                let taken = match part.edges {
                    true => 1,
                    false if context.is_software() => shape.taken,
                    false => planner::taken(part.groups, TAKEN, shaders::SLICE.width),
                };
                params.push(Params {
                    key: stream.key(),
                    id: stream.id_words(),
                    base: halves(section.base),
                    lead: section.lead,
                    begin: window.begin,
                    end: window.end,
                    first_group: part.first,
                    groups: part.groups,
                    taken,
                    scale: drawn.sampler.scale,
                    shift: drawn.sampler.shift,
                    low_word: drawn.sampler.low_word,
                    zero: 0,
                    axes: told,
                    axis_count: axes.len() as u32,
                    unused: 0,
                });
                dispatches.push((window, part, taken));
            }
        }
    }
    ready(context, tensor, &shaders::SLICE, [&groups, &edges], &params, &dispatches)
}

/// Elements that the axes of a box but its outermost may come to: with those of a window, positions fit 32
/// bits.
const REACH: u64 = 1 << 30;

#[cfg(test)]
#[test]
fn a_box_has_as_many_axes_as_the_shader_takes() {
    super::shared::assert_constants(&shaders::SLICE, &[("AXES", planner::AXES as u64)]);
}
