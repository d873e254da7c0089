use super::operand::{apart, named, operand};
use super::pass::Dispatch;
use super::shared::shared;
use super::{Context, Pass, Tensor, planner};
use crate::op::Optimizer;
use crate::random::Dtype;
use crate::{Error, Result, counted, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in UPDATE as "Params" {
        begin: u32,
        end: u32,
        weight_decay: f32,
        beta1: f32,
        beta2: f32,
        rest1: f32,
        rest2: f32,
        epsilon: f32,
        rate: f32,
        zero: u32,
    }
}

/// What an optimizer reads and writes: f32 tensors of one size.
#[derive(Clone, Copy, Debug)]
pub struct UpdateTensors<'a> {
    /// The gradients.
    pub gradients: &'a Tensor,
    /// The parameters.
    pub parameters: &'a Tensor,
    /// The velocity of SGD with momentum, Adam's mean of gradients, RMSProp's of their squares; 0 at
    /// first.
    pub first: Option<&'a Tensor>,
    /// Adam's mean of squared gradients; 0 at first.
    pub second: Option<&'a Tensor>,
    /// Where [`Pass::clip`] left its factor, to clip by it.
    pub scale: Option<&'a Tensor>,
}

impl Pass<'_, '_> {
    /// Step `t`, counted from 1, of an optimizer with learning rate `lr`. See [`Optimizer`] for the
    /// formulas.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a tensor does not fit, the optimizer's state is missing, or a number
    /// is outside its range.
    pub fn update(
        &mut self,
        optimizer: &Optimizer,
        lr: f64,
        t: u64,
        tensors: &UpdateTensors<'_>,
    ) -> Result<()> {
        let steps = self.context.uniforms(&[optimizer.checked_step(lr, t)?]);
        self.once(update(self.context, optimizer, tensors, steps.block(0), 1.0))
    }
}

/// The step's learning rate is multiplied by `rate`.
pub(crate) fn update(
    context: &Context,
    optimizer: &Optimizer,
    tensors: &UpdateTensors<'_>,
    step: wgpu::BufferBinding<'_>,
    rate: f64,
) -> Result<Vec<Dispatch>> {
    optimizer.check()?;
    let UpdateTensors { gradients, parameters, first, second, scale } = *tensors;
    let count = parameters.shape().elements();
    let [nothing, nothing_more] = context.unused();
    let state = |what: &str, tensor: Option<&_>, place: usize| match tensor {
        None if optimizer.moments() > place => {
            let needed =
                format!("a tensor of {} for {}", counted(count, "element"), optimizer.name());
            Err(Error::invalid(what, "none", needed))
        }
        _ => Ok(()),
    };
    state("first moments", first, 0)?;
    state("second moments", second, 1)?;
    let own = |what, tensor| operand(context, what, tensor, Dtype::F32, count);
    let buffers = [
        step,
        own("gradients", gradients)?,
        match scale {
            Some(scale) => operand(context, "scale", scale, Dtype::F32, scale.shape().elements())?,
            None => gradients.binding(context)?,
        },
        own("parameters", parameters)?,
        match first {
            Some(first) => own("first moments", first)?,
            None => nothing,
        },
        match second {
            Some(second) => own("second moments", second)?,
            None => nothing_more,
        },
    ];
    let reads = [vec![("gradients", gradients)], named("scale", scale)].concat();
    let state = [named("first moments", first), named("second moments", second)].concat();
    apart(&reads, &[vec![("parameters", parameters)], state].concat())?;
    let constants = [
        ("kind", optimizer.code()),
        ("moments", optimizer.moments() as u32),
        ("clipped", u32::from(scale.is_some())),
    ];
    let (beta1, beta2) = optimizer.betas();
    let whole = Params {
        begin: 0,
        end: 0,
        weight_decay: optimizer.weight_decay() as f32,
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        rest1: (1.0 - beta1) as f32,
        rest2: (1.0 - beta2) as f32,
        epsilon: optimizer.epsilon() as f32,
        rate: rate as f32,
        zero: 0,
    };
    let (groups, count) = (count as u32 / 4, count as u32);
    let mut dispatches = Vec::new();
    for (entry, begin, end) in [("update_groups", 0, groups), ("update_rest", 4 * groups, count)] {
        if begin < end {
            let kernel = context.kernel(&shaders::UPDATE, entry, &constants)?;
            let grid = planner::grid(context.limits(), end - begin, shaders::UPDATE.width);
            let params = Params { begin, end, ..whole };
            dispatches.push(context.dispatch(&kernel, &params, &buffers, grid));
        }
    }
    Ok(dispatches)
}
