//! What unfolding, convolution and pooling share.

use super::operand::operand;
use super::shared::shared;
use super::{Context, Tensor};
use crate::op::Axis;
use crate::random::Dtype;
use crate::{Error, Result};

shared! {
    /// What a dispatch over windows is told.
    pub(super) struct Params in UNFOLD | CONV | POOL as "Params" {
        pub size: [u32; 2],
        pub places: [u32; 2],
        pub kernel: [u32; 2],
        pub stride: [u32; 2],
        pub padding: [u32; 2],
        pub dilation: [u32; 2],
        pub period: [u32; 2],
        pub drop: [u32; 2],
        pub batch: u32,
        pub channels: u32,
        pub outputs: u32,
        pub group_channels: u32,
        pub group_outputs: u32,
        pub slices: u32,
        pub places_of_slice: u32,
        pub share: f32,
        pub zero: u32,
        pub unused: [u32; 3],
    }
}

impl Params {
    pub(super) fn new(axes: [Axis; 2], batch: u64, channels: usize, outputs: usize) -> Params {
        let of = |number: fn(&Axis) -> usize| axes.map(|axis| number(&axis) as u32);
        Params {
            size: of(|axis| axis.size),
            places: of(Axis::places),
            kernel: of(|axis| axis.kernel),
            stride: of(|axis| axis.stride),
            padding: of(|axis| axis.padding),
            dilation: of(|axis| axis.dilation),
            period: of(|axis| axis.stride / divisor(axis.stride, axis.dilation)),
            drop: of(|axis| axis.dilation / divisor(axis.stride, axis.dilation)),
            batch: batch as u32,
            channels: channels as u32,
            outputs: outputs as u32,
            group_channels: channels as u32,
            group_outputs: outputs as u32,
            slices: 1,
            places_of_slice: 0,
            share: 1.0,
            zero: 0,
            unused: [0; 3],
        }
    }
}

/// The greatest that divides both.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// How many signals a tensor holds: `[batch, ...]`, each of `sides`.
///
/// # Errors
/// [`Error::Invalid`] where that is not its shape.
pub(super) fn batch(what: &str, tensor: &Tensor, sides: [usize; 3]) -> Result<u64> {
    let each = sides.iter().product::<usize>() as u64;
    match tensor.shape().dims() {
        [batch, rest @ ..] if !rest.is_empty() && rest.iter().product::<u64>() == each => {
            Ok(*batch)
        }
        _ => {
            let [height, width, channels] = sides;
            let needed = format!("[batch, {height} x {width} x {channels}]");
            Err(Error::invalid(what, format!("shape {}", tensor.shape()), needed))
        }
    }
}

/// The binding of an operand of which each signal of a batch has so many elements.
///
/// # Errors
/// [`Error::Invalid`] as [`operand`], and where the device does not bind that of so many signals: it
/// says of how many it does.
pub(super) fn each<'a>(
    context: &Context,
    what: &str,
    tensor: &'a Tensor,
    batch: u64,
    elements: usize,
) -> Result<wgpu::BufferBinding<'a>> {
    let (elements, binding) = (elements as u64, context.limits().binding);
    let most = binding / (4 * elements);
    if batch > most {
        let needed = format!(
            "at most {most}, of {} bytes each: {} binds {binding}",
            4 * elements,
            context.name()
        );
        return Err(Error::invalid(what, format!("a batch of {batch}"), needed));
    }
    operand(context, what, tensor, Dtype::F32, batch * elements)
}
