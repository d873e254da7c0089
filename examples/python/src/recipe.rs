//! Recipes: all tensors of a model, by their names.

use std::collections::HashMap;
use std::path::Path;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

use fanin::recipe::{Recipe as Tensors, Rules, TensorSpec};
use fanin::{Result, Shape};

use super::arguments::{Described, Layer, Numbers, layers, numbers, word};
use super::draw::draw_into;
use super::failure;

/// A model's tensors, each with what it is drawn from.
#[pyclass(frozen, module = "fanin._fanin")]
pub struct Recipe {
    tensors: Tensors,
    places: HashMap<String, usize>,
}

impl Recipe {
    fn new(tensors: Tensors) -> Recipe {
        let names = tensors.tensors.iter().map(|tensor| tensor.name.clone());
        let places = names.zip(0..).collect();
        Recipe { tensors, places }
    }

    fn place(&self, name: &str) -> PyResult<usize> {
        self.places.get(name).copied().ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn spec(&self, name: &str) -> PyResult<&TensorSpec> {
        self.place(name).map(|place| &self.tensors.tensors[place])
    }
}

fn read(model: &str) -> Result<Tensors> {
    if Tensors::builtins().any(|(name, _)| name == model) {
        return Tensors::builtin(model);
    }
    let path = Path::new(model);
    if path.is_dir() {
        return Tensors::from_config(&path.join("config.json"));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Tensors::from_config(path),
        Some("toml") => Tensors::read(path),
        _ if path.is_file() => Tensors::read(path),
        _ => Tensors::builtin(model),
    }
}

#[pymethods]
impl Recipe {
    /// A built-in recipe by its name, that of a TOML file, or that of a config.json of Hugging Face's.
    #[staticmethod]
    fn read(py: Python<'_>, model: &str) -> PyResult<Recipe> {
        py.detach(|| read(model)).map(Recipe::new).map_err(failure::of)
    }

    /// One of these tensors.
    #[staticmethod]
    fn of(py: Python<'_>, tensors: Vec<Described>) -> PyResult<Recipe> {
        let make = || {
            let specs = tensors.into_iter().map(Described::spec).collect::<Result<_>>()?;
            Tensors::new("module", specs)
        };
        py.detach(make).map(Recipe::new).map_err(failure::of)
    }

    /// The same with rules over it, as the command line has them: `*.bias=zeros`.
    fn with_rules(&self, py: Python<'_>, rules: Vec<String>) -> PyResult<Recipe> {
        let mut tensors = self.tensors.clone();
        let apply = || Rules::pairs(rules).and_then(|rules| tensors.override_with(&rules));
        py.detach(apply).map_err(failure::of)?;
        Ok(Recipe::new(tensors))
    }

    /// The same, where tensors that are undecided start so; what rules gave ranges of theirs lies over it.
    fn or_else(&self, py: Python<'_>, starts: Vec<Described>) -> PyResult<Recipe> {
        let mut tensors = self.tensors.tensors.clone();
        let places = starts.iter().map(|start| self.place(&start.name));
        let places: Vec<usize> = places.collect::<PyResult<_>>()?;
        let make = || {
            for (place, start) in places.into_iter().zip(starts) {
                let mut spec = start.spec()?;
                spec.ranges.splice(0..0, tensors[place].ranges.drain(..));
                tensors[place] = spec;
            }
            Tensors::new("module", tensors)
        };
        py.detach(make).map(Recipe::new).map_err(failure::of)
    }

    /// The same, where tensors are of these dtypes: checked, all of them, before any is drawn.
    fn with_dtypes(&self, py: Python<'_>, dtypes: HashMap<String, String>) -> PyResult<Recipe> {
        let mut tensors = self.tensors.tensors.clone();
        for (name, dtype) in dtypes {
            tensors[self.place(&name)?].dtype = dtype.parse().map_err(failure::of)?;
        }
        let make = || Tensors::new("module", tensors);
        py.detach(make).map(Recipe::new).map_err(failure::of)
    }

    /// The names, in order.
    fn names(&self) -> Vec<&str> {
        self.tensors.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
    }

    /// A tensor's shape.
    fn shape(&self, name: &str) -> PyResult<Vec<u64>> {
        self.spec(name).map(|spec| Shape::dims(&spec.shape).to_vec())
    }

    /// A tensor's dtype: `f32`.
    fn dtype(&self, name: &str) -> PyResult<&'static str> {
        self.spec(name).map(|spec| spec.dtype.name())
    }

    /// The names of tensors that nothing says how to draw.
    fn undecided(&self) -> Vec<&str> {
        let tensors = self.tensors.tensors.iter();
        tensors.filter(|tensor| tensor.init.is_empty()).map(|tensor| tensor.name.as_str()).collect()
    }

    /// A tensor's initializer as written, with its depth and ranges.
    fn written(&self, name: &str) -> PyResult<String> {
        self.spec(name).map(TensorSpec::written)
    }

    /// What engines draw a tensor from: its sampler, and those of the ranges that lie over it, `(axis, start,
    /// stop, sampler)`, each over those after it.
    fn samplers(&self, name: &str) -> PyResult<(Option<Numbers>, Vec<Layer>)> {
        let spec = self.spec(name)?;
        let both = numbers(&spec.source).and_then(|own| Ok((own, layers(spec)?)));
        both.map_err(failure::of)
    }

    /// Draws a box of a tensor into memory, in a dtype, as `draw` does.
    #[pyo3(signature = (name, seed, dtype, out_address, out_len_bytes, starts=None, sizes=None))]
    #[expect(clippy::too_many_arguments, reason = "Python's arguments have names")]
    fn draw(
        &self,
        py: Python<'_>,
        name: &str,
        #[pyo3(from_py_with = word)] seed: u64,
        dtype: &str,
        out_address: usize,
        out_len_bytes: usize,
        starts: Option<Vec<u64>>,
        sizes: Option<Vec<u64>>,
    ) -> PyResult<()> {
        let mut spec = self.spec(name)?.clone();
        spec.dtype = dtype.parse().map_err(failure::of)?;
        let bounds = starts.zip(sizes);
        draw_into(py, &spec, seed, bounds, out_address, out_len_bytes)
    }
}
