//! What Python gives, as the crate has it.

use std::ops::Range;
use std::str::FromStr;

use pyo3::prelude::*;

use fanin::init::{Geometry, Init};
use fanin::random::{Distribution, Dtype, Kind, Sampler, Slice, Source};
use fanin::recipe::{Fused, TensorSpec};
use fanin::{Error, Layout, Result, Shape};

use super::failure;

/// The most bytes of one piece of memory.
pub const MOST: u64 = isize::MAX as u64;

/// A number from 0 to 2^64 - 1; what else it is, a `ValueError` says.
pub fn word(given: &Bound<'_, PyAny>) -> PyResult<u64> {
    let index = given.call_method0("__index__")?;
    index.extract().map_err(|_| {
        failure::value(format!("got {index}, needed a whole number from 0 to 2^64 - 1"))
    })
}

/// A tensor as Python describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Described {
    pub name: String,
    pub shape: Vec<u64>,
    pub dtype: String,
    /// None where a rule has to say.
    pub init: Option<String>,
    #[pyo3(default)]
    pub layout: Option<String>,
    #[pyo3(default)]
    pub fan_in: Option<u64>,
    #[pyo3(default)]
    pub fan_out: Option<u64>,
    #[pyo3(default)]
    pub groups: Option<u64>,
    #[pyo3(default)]
    pub transposed: bool,
    #[pyo3(default)]
    pub batch_dims: usize,
    #[pyo3(default)]
    pub depth: Option<u64>,
    #[pyo3(default)]
    pub parts: Option<Vec<u64>>,
    /// `(axis, start, stop, initializer)`, the earlier over the later.
    #[pyo3(default)]
    pub ranges: Vec<(usize, u64, u64, String)>,
}

impl Described {
    /// # Errors
    /// [`Error::Invalid`], [`Error::Unknown`] naming what does not fit.
    pub fn spec(self) -> Result<TensorSpec> {
        let shape = Shape::new(self.shape)?;
        let geometry = Geometry {
            layout: self.layout.as_deref().map_or(Ok(Layout::default()), Layout::from_str)?,
            groups: self.groups.unwrap_or(1),
            transposed: self.transposed,
            batch_dims: self.batch_dims,
            fan_in: self.fan_in,
            fan_out: self.fan_out,
        };
        let dtype = Dtype::from_str(&self.dtype)?;
        let init = self.init.as_deref().map_or(Ok(Init::zeros()), Init::from_str)?;
        let mut spec = match self.parts {
            None => TensorSpec::with_geometry(self.name, shape, init, geometry)?,
            Some(parts) => {
                TensorSpec::of_parts(self.name, shape, init, geometry, Fused::lengths(parts))?
            }
        };
        // No initializer is written so: who has it still after all rules has none.
        spec.init = self.init.unwrap_or_default();
        if let Some(depth) = self.depth {
            divide(&mut spec, depth)?;
        }
        for (axis, start, stop, init) in self.ranges {
            spec = spec.with_range(axis, start..stop, Init::from_str(&init)?)?;
        }
        spec.dtype = dtype;
        Ok(spec)
    }
}

/// Divides the scale of a tensor's own initializer by the root of `depth`.
fn divide(spec: &mut TensorSpec, depth: u64) -> Result<()> {
    let invalid = |given: String, needed: &str| Error::Invalid {
        what: format!("tensor `{}`: depth", spec.name),
        given,
        needed: needed.into(),
    };
    if depth == 0 {
        return Err(invalid("0".into(), "at least 1"));
    }
    let root = (depth as f64).sqrt();
    let has_scale = match spec.parts.first() {
        Some(part) => part.source.has_scale(),
        None => spec.source.has_scale(),
    };
    if !has_scale {
        let given = format!("{depth} with `{}`", spec.init);
        return Err(invalid(given, "an initializer whose scale it divides"));
    }
    for source in spec.parts.iter_mut().map(|part| &mut part.source).chain([&mut spec.source]) {
        *source = source.scaled_down(root);
        source.check()?;
    }
    spec.init += &format!(" / sqrt({depth})");
    Ok(())
}

/// The box of a tensor, or all of it.
pub fn slice(shape: &Shape, bounds: Option<(Vec<u64>, Vec<u64>)>) -> Result<Slice> {
    match bounds {
        None => Ok(Slice::whole(shape.clone())),
        Some((starts, sizes)) => Slice::new(shape.clone(), starts, sizes),
    }
}

/// `(kind, scale, shift, low_word)`.
pub type Numbers = (&'static str, f64, f64, u32);

/// An initializer in the numbers that engines work with; none where elements are not drawn one by one.
pub fn numbers(source: &Source) -> Result<Option<Numbers>> {
    let Source::Elements(distribution) = source else { return Ok(None) };
    let Sampler { kind, scale, shift, low_word } = Sampler::new(distribution)?;
    let kind = match kind {
        Kind::Words => return Ok(None),
        Kind::Constant => "constant",
        Kind::Unit => "unit",
        Kind::Symmetric => "symmetric",
        Kind::Normal => "normal",
        Kind::Truncated => "truncated",
    };
    // In f64 a constant is itself.
    let shift = match distribution {
        Distribution::Constant { value } => *value,
        _ => shift.into(),
    };
    Ok(Some((kind, scale.into(), shift, low_word)))
}

/// A range that lies over a tensor's own initializer, as Python has it.
pub type Layer = (usize, u64, u64, Option<Numbers>);

/// What lies over a tensor's own initializer, what has an element first before the others.
pub fn layers(spec: &TensorSpec) -> Result<Vec<Layer>> {
    let layers = spec.ranges.iter().chain(&spec.parts);
    let layer = |range: &fanin::recipe::Ranged| {
        let Range { start, end } = range.rows;
        Ok((range.axis, start, end, numbers(&range.source)?))
    };
    layers.map(layer).collect()
}
