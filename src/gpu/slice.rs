use super::{Pass, Tensor};
use crate::random::{Distribution, Slice, Stream};
use crate::{Result, Shape};

impl Pass<'_, '_> {
    /// Element `i` of `tensor` becomes element `i` of a slice of the tensor whose stream this is: element
    /// [`slice.index(i)`](Slice::index) of `stream`, drawn from `distribution`.
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
        let elements = tensor.shape().elements();
        slice.check_range(first, elements)?;
        let mut offset = tensor.offset();
        for run in slice.runs(first..first + elements) {
            let part = tensor.within(offset, Shape::new([run.count])?, tensor.dtype())?;
            self.fill_from(&part, stream, distribution, run.first)?;
            offset += part.bytes();
        }
        Ok(())
    }
}
