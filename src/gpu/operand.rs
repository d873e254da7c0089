use super::context::Kernel;
use super::pass::Dispatch;
use super::{Context, Tensor, planner};
use crate::random::Dtype;
use crate::{Error, Result, counted};

/// The binding of a tensor that a kernel works on whole.
///
/// # Errors
/// [`Error::Invalid`] where the dtype or the size is another, the offset is no multiple of what the
/// device binds at, or the tensor is longer than what it binds.
pub(super) fn operand<'a>(
    context: &Context,
    what: &str,
    tensor: &'a Tensor,
    dtype: Dtype,
    elements: u64,
) -> Result<wgpu::BufferBinding<'a>> {
    let binding = long_operand(context, what, tensor, dtype, elements)?;
    let (size, most) = (tensor.bytes(), context.limits().binding);
    if size > most {
        let needed = format!("at most the {most} that {} binds", context.name());
        return Err(Error::invalid(what, format!("{size} bytes"), needed));
    }
    Ok(binding)
}

/// As [`operand`], of any length: [`windows`] parts it.
pub(super) fn long_operand<'a>(
    context: &Context,
    what: &str,
    tensor: &'a Tensor,
    dtype: Dtype,
    elements: u64,
) -> Result<wgpu::BufferBinding<'a>> {
    let invalid = |given: String, needed: String| Err(Error::invalid(what, given, needed));
    let limits = context.limits();
    if tensor.dtype() != dtype {
        return invalid(tensor.dtype().to_string(), dtype.to_string());
    }
    if tensor.shape().elements() != elements {
        return invalid(format!("shape {}", tensor.shape()), counted(elements, "element"));
    }
    if !tensor.offset().is_multiple_of(limits.alignment) {
        let given = format!("an offset of {} bytes", tensor.offset());
        return invalid(given, format!("a multiple of the device's {}", limits.alignment));
    }
    tensor.binding(context).map_err(|error| error.at(what))
}

/// The stretches of an operand of 4 bytes an element that the device binds at once; those of operands
/// of one length match.
pub(super) fn windows<'a>(
    context: &Context,
    whole: &'a Tensor,
) -> Result<Vec<wgpu::BufferBinding<'a>>> {
    let elements = whole.shape().elements();
    let windows = planner::windows(context.limits(), whole.offset(), elements, 4);
    windows.iter().map(|window| whole.window(context, window)).collect()
}

/// The dimensions of a matrix.
///
/// # Errors
/// [`Error::Invalid`] where the tensor is none.
pub(super) fn matrix(what: &str, tensor: &Tensor) -> Result<[u64; 2]> {
    match *tensor.shape().dims() {
        [rows, columns] => Ok([rows, columns]),
        _ => Err(Error::invalid(what, format!("shape {}", tensor.shape()), "a matrix")),
    }
}

/// A tensor and what messages call it.
pub(super) type Named<'a> = (&'static str, &'a Tensor);

/// # Errors
/// [`Error::Invalid`] where a dispatch would write a buffer that it also reads, or write one twice,
/// whatever the offsets: no device allows that.
pub(super) fn apart(reads: &[Named<'_>], writes: &[Named<'_>]) -> Result<()> {
    for (index, (what, written)) in writes.iter().enumerate() {
        let mut others = reads.iter().chain(&writes[..index]);
        if let Some((other, _)) = others.find(|(_, own)| own.buffer() == written.buffer()) {
            let given = format!("the buffer of `{other}`");
            let needed = "a buffer of its own: none is read and written";
            return Err(Error::invalid(*what, given, needed));
        }
    }
    Ok(())
}

/// A tensor that may be missing, as [`apart`] takes it.
pub(super) fn named<'a>(what: &'static str, tensor: Option<&'a Tensor>) -> Vec<Named<'a>> {
    tensor.map(|tensor| (what, tensor)).into_iter().collect()
}

impl Context {
    /// A dispatch whose binding 0 is its parameters.
    pub(super) fn dispatch<P: bytemuck::Pod>(
        &self,
        kernel: &Kernel,
        params: &P,
        rest: &[wgpu::BufferBinding<'_>],
        grid: [u32; 3],
    ) -> Dispatch {
        let uniforms = self.uniforms(&[*params]);
        let mut buffers = vec![uniforms.block(0)];
        buffers.extend_from_slice(rest);
        self.prepare(kernel, &buffers, grid)
    }
}
