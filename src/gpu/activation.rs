use super::operand::{apart, long_operand, windows};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::random::Dtype;
use crate::{Activation, Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in ACTIVATION as "Params" {
        begin: u32,
        end: u32,
        parameter: f32,
        zero: u32,
    }
}

/// vec4s that an invocation takes.
const TAKEN: u32 = 4;

impl Pass<'_, '_> {
    /// `out = f(x)`, element by element, `f` being the nonlinearity.
    ///
    /// Off [`Activation::value`] by at most `1e-6 max(1, |f|)`; NaN of NaN; the limits at the
    /// infinities; subnormals may be taken for 0. The sine rounds `omega x`, which is off by
    /// `2^-23 |omega x|` more where omega is not 1 (its derivative by omega times all that); it keeps to
    /// this up to `|omega x| = 32768` and is some number in -1..1 beyond.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where a tensor is not f32, has another number of
    /// elements or an offset that is no multiple of the device's alignment, or where both are in one
    /// buffer; [`Error::Device`](crate::Error::Device) for a custom nonlinearity whose WGSL does not
    /// compile.
    pub fn activate(&mut self, activation: Activation, x: &Tensor, out: &Tensor) -> Result<()> {
        self.once(activate(self.context, activation, x, out))
    }

    /// `dx = dy * f'(x)`, element by element: the gradient by what [`Pass::activate`] was given,
    /// from the gradient by what it made. `f'` is as far off as `f`, the product rounded once more.
    ///
    /// # Errors
    /// As [`Pass::activate`]; `x` and `dy` may share a buffer.
    pub fn activate_backward(
        &mut self,
        activation: Activation,
        x: &Tensor,
        dy: &Tensor,
        dx: &Tensor,
    ) -> Result<()> {
        self.once(activate_backward(self.context, activation, x, dy, dx))
    }
}

/// The dispatches of [`Pass::activate`].
pub(super) fn activate(
    context: &Context,
    activation: Activation,
    x: &Tensor,
    out: &Tensor,
) -> Result<Vec<Dispatch>> {
    let elements = x.shape().elements();
    let own = |name, tensor| long_operand(context, name, tensor, Dtype::F32, elements);
    own("x", x)?;
    own("out", out)?;
    apart(&[("x", x)], &[("out", out)])?;
    // The forward entries read no `dy`, but the layout has one.
    elementwise(context, activation, ["activate_groups", "activate_rest"], x, out, x)
}

/// The dispatches of [`Pass::activate_backward`].
pub(super) fn activate_backward(
    context: &Context,
    activation: Activation,
    x: &Tensor,
    dy: &Tensor,
    dx: &Tensor,
) -> Result<Vec<Dispatch>> {
    let elements = x.shape().elements();
    let own = |name, tensor| long_operand(context, name, tensor, Dtype::F32, elements);
    own("x", x)?;
    own("dy", dy)?;
    own("dx", dx)?;
    apart(&[("x", x), ("dy", dy)], &[("dx", dx)])?;
    let entries = ["activate_backward_groups", "activate_backward_rest"];
    elementwise(context, activation, entries, x, dx, dy)
}

/// A tensor's elements as an exact product takes them.
pub(super) fn factors(context: &Context, x: &Tensor, out: &Tensor) -> Result<Vec<Dispatch>> {
    elementwise(context, Activation::Identity, ["factors_groups", "factors_rest"], x, out, x)
}

fn elementwise(
    context: &Context,
    activation: Activation,
    [groups, rest]: [&'static str; 2],
    x: &Tensor,
    out: &Tensor,
    dy: &Tensor,
) -> Result<Vec<Dispatch>> {
    let module = &shaders::ACTIVATION;
    let constants = [("activation", activation.code())];
    let kernel = |entry| context.kernel_with(module, entry, &constants, activation.custom());
    let mut planned = Vec::new();
    for ((x, out), dy) in
        windows(context, x)?.into_iter().zip(windows(context, out)?).zip(windows(context, dy)?)
    {
        let elements = (x.size.map_or(0, |size| size.get()) / 4) as u32;
        let vectors = elements / 4;
        for (entry, begin, end, taken) in
            [(groups, 0, vectors, TAKEN), (rest, 4 * vectors, elements, 1)]
        {
            if begin < end {
                let grid =
                    planner::grid(context.limits(), (end - begin).div_ceil(taken), module.width);
                let params = Params { begin, end, parameter: activation.parameter(), zero: 0 };
                planned.push((kernel(entry)?, [x.clone(), out.clone(), dy.clone()], grid, params));
            }
        }
    }
    let params: Vec<Params> = planned.iter().map(|(.., params)| *params).collect();
    let uniforms = context.uniforms(&params);
    let ready = planned.into_iter().enumerate().map(|(index, (kernel, [x, out, dy], grid, _))| {
        context.prepare(&kernel, &[x, uniforms.block(index), out, dy], grid)
    });
    Ok(ready.collect())
}

#[cfg(test)]
mod tests {
    use super::TAKEN;
    use crate::gpu::shared::assert_constants;
    use crate::shaders::ACTIVATION;

    #[test]
    fn an_invocation_takes_as_many() {
        assert_constants(&ACTIVATION, &[("TAKEN", TAKEN.into())]);
    }
}
