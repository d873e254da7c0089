use crate::Result;
use crate::device::Execution;
use crate::op::View;
use crate::random::{Dtype, Source, Stream};
use crate::recipe::TensorSpec;

/// Draws a tensor into its place, times a factor.
pub(crate) fn place(
    execution: &mut dyn Execution,
    view: View,
    stream: &Stream,
    spec: &TensorSpec,
    factor: f64,
) -> Result<()> {
    let mut values = match spec.source {
        Source::Elements(distribution) => {
            execution.fill(view, stream, &distribution)?;
            if factor == 1.0 {
                return Ok(());
            }
            execution.read(view)?
        }
        source => {
            let bytes = source.draw(stream, Dtype::F32, spec.shape.elements())?;
            bytes.chunks_exact(4).map(|value| Dtype::F32.load(value) as f32).collect()
        }
    };
    if factor != 1.0 {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
    execution.write(view.slot, view.first, &values)
}
