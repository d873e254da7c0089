//! A model's tensors as its family lists them: layers that are alike once, with the range of their numbers.

use std::ops::Range;

use super::super::pattern::MAX_NAMES;
use super::super::{Fused, TensorSpec};
use crate::init::{Geometry, Init};
use crate::random::Dtype;
use crate::{Error, Layout, Result, Shape};

/// What stands in a model, in its order. Names are what comes after those of the parts around them.
enum Part {
    Tensor(Box<TensorSpec>),
    /// With a prefix before all names.
    Within(String, Tensors),
    /// `name.0.`, `name.1.`, ...: each holds the same.
    Layers(String, Range<u64>, Tensors),
}

/// Tensors that are being listed.
pub(super) struct Tensors {
    parts: Vec<Part>,
    pub(super) dtype: Dtype,
    /// The standard deviation of what is given no other.
    pub(super) std: f64,
}

/// As transformers draws, for whom a std of 0 makes zeros.
pub(super) fn normal(std: f64) -> Init {
    if std == 0.0 { Init::zeros() } else { Init::normal(0.0, std) }
}

/// As transformers draws by `trunc_normal_`, which cuts at 2, not at twice the std: beyond reach unless
/// that is large.
pub(super) fn cut_at_two(std: f64) -> Init {
    if std == 0.0 { Init::zeros() } else { Init::truncated_normal(0.0, std, 2.0 / std) }
}

impl Tensors {
    pub(super) fn new(dtype: Dtype, std: f64) -> Tensors {
        Tensors { parts: Vec::new(), dtype, std }
    }

    fn inside(&self, fill: impl FnOnce(&mut Tensors) -> Result<()>) -> Result<Tensors> {
        let mut inside = Tensors::new(self.dtype, self.std);
        fill(&mut inside).map(|()| inside)
    }

    /// What `fill` lists, with a prefix before all names.
    pub(super) fn within(
        &mut self,
        prefix: &str,
        fill: impl FnOnce(&mut Tensors) -> Result<()>,
    ) -> Result<()> {
        let inside = self.inside(fill)?;
        self.parts.push(Part::Within(prefix.into(), inside));
        Ok(())
    }

    /// What `fill` lists, for each number of a range: `name.3.` before all names.
    pub(super) fn layers(
        &mut self,
        name: &str,
        range: Range<u64>,
        fill: impl FnOnce(&mut Tensors) -> Result<()>,
    ) -> Result<()> {
        if !range.is_empty() {
            let inside = self.inside(fill)?;
            self.parts.push(Part::Layers(name.into(), range, inside));
        }
        Ok(())
    }

    /// [`Tensors::layers`] of two kinds: what `fill` lists for those that `is` and for those that are not.
    pub(super) fn layers_of_two(
        &mut self,
        name: &str,
        count: u64,
        is: impl Fn(u64) -> bool,
        mut fill: impl FnMut(&mut Tensors, bool) -> Result<()>,
    ) -> Result<()> {
        // They are walked through: before that, not after, there are to be as many as a model can have.
        check_count(name, count)?;
        let mut start = 0;
        while start < count {
            let kind = is(start);
            let end = (start + 1..count).find(|layer| is(*layer) != kind).unwrap_or(count);
            self.layers(name, start..end, |layer| fill(layer, kind))?;
            start = end;
        }
        Ok(())
    }

    /// A tensor of these dimensions.
    pub(super) fn add(&mut self, name: &str, dims: &[u64], init: Init) -> Result<()> {
        self.add_as(name, dims, init, None, Geometry::default())
    }

    /// A tensor whose fans are counted by a geometry, and whose scale is divided by the root of `depth`.
    pub(super) fn add_as(
        &mut self,
        name: &str,
        dims: &[u64],
        init: Init,
        depth: Option<u64>,
        geometry: Geometry,
    ) -> Result<()> {
        let mut spec = self.spec(name, dims, init, geometry)?;
        if let Some(depth) = depth.filter(|_| spec.source.has_scale()) {
            spec.source = spec.source.scaled_down((depth as f64).sqrt());
            spec.source.check().map_err(|error| error.at(format!("tensor `{name}`")))?;
            spec.init = format!("{} / sqrt({depth})", spec.init);
        }
        self.push(spec);
        Ok(())
    }

    fn spec(&self, name: &str, dims: &[u64], init: Init, geometry: Geometry) -> Result<TensorSpec> {
        let shape = Shape::new(dims).map_err(|error| error.at(format!("tensor `{name}`")))?;
        let spec = TensorSpec::with_geometry(name, shape, init, geometry)?;
        Ok(TensorSpec { dtype: self.dtype, ..spec })
    }

    fn push(&mut self, spec: TensorSpec) {
        self.parts.push(Part::Tensor(Box::new(spec)));
    }

    /// `nn.Linear`: `[outputs, inputs]`, and zeros where it has a bias.
    pub(super) fn linear(
        &mut self,
        name: &str,
        outputs: u64,
        inputs: u64,
        bias: bool,
    ) -> Result<()> {
        self.linear_of(name, outputs, inputs, bias, normal(self.std))
    }

    pub(super) fn linear_of(
        &mut self,
        name: &str,
        outputs: u64,
        inputs: u64,
        bias: bool,
        init: Init,
    ) -> Result<()> {
        self.add(&format!("{name}.weight"), &[outputs, inputs], init)?;
        if bias { self.zeros(&format!("{name}.bias"), outputs) } else { Ok(()) }
    }

    /// GPT-2's `Conv1D`: `nn.Linear` with its weight the other way around.
    pub(super) fn transposed(
        &mut self,
        name: &str,
        inputs: u64,
        outputs: u64,
        depth: Option<u64>,
    ) -> Result<()> {
        let (init, geometry) = (normal(self.std), Geometry::from(Layout::InOut));
        self.add_as(&format!("{name}.weight"), &[inputs, outputs], init, depth, geometry)?;
        self.zeros(&format!("{name}.bias"), outputs)
    }

    /// `nn.Embedding`.
    pub(super) fn embedding(&mut self, name: &str, rows: u64, columns: u64) -> Result<()> {
        self.add(&format!("{name}.weight"), &[rows, columns], normal(self.std))
    }

    /// `nn.Embedding` with a `padding_idx`, whose row is zeros.
    pub(super) fn padded_embedding(
        &mut self,
        name: &str,
        rows: u64,
        columns: u64,
        padding: Option<u64>,
    ) -> Result<()> {
        let Some(row) = padding else { return self.embedding(name, rows, columns) };
        let name = format!("{name}.weight");
        let spec = self.spec(&name, &[rows, columns], normal(self.std), Geometry::default())?;
        self.push(spec.with_range(0, row..row + 1, Init::zeros())?);
        Ok(())
    }

    /// Says of the weight listed last that it is several.
    pub(super) fn fused(&mut self, fused: Fused) {
        let weight = self.parts.iter_mut().rev().find_map(|part| match part {
            Part::Tensor(spec) if spec.name.ends_with(".weight") => Some(spec),
            _ => None,
        });
        if let Some(spec) = weight {
            spec.fused = Some(fused);
        }
    }

    pub(super) fn zeros(&mut self, name: &str, length: u64) -> Result<()> {
        self.add(name, &[length], Init::zeros())
    }

    /// `nn.LayerNorm`.
    pub(super) fn layer_norm(&mut self, name: &str, length: u64) -> Result<()> {
        self.rms_norm(name, length, 1.0)?;
        self.zeros(&format!("{name}.bias"), length)
    }

    /// A norm that has no bias.
    pub(super) fn rms_norm(&mut self, name: &str, length: u64, value: f64) -> Result<()> {
        self.add(&format!("{name}.weight"), &[length], Init::constant(value))
    }

    /// How many tensors these are, or as many as a number can say.
    fn count(&self) -> u64 {
        self.parts.iter().fold(0, |sum: u64, part| {
            sum.saturating_add(match part {
                Part::Tensor(_) => 1,
                Part::Within(_, inside) => inside.count(),
                Part::Layers(_, range, inside) => {
                    (range.end - range.start).saturating_mul(inside.count())
                }
            })
        })
    }

    /// Every tensor, by its name.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more than a recipe may have; nothing is made of them then.
    pub(super) fn expanded(&self) -> Result<Vec<TensorSpec>> {
        let count = self.count();
        check_count("the model", count)?;
        let mut made = Vec::with_capacity(count as usize);
        let each = |range: &Range<u64>| range.clone().map(|number| number.to_string()).collect();
        self.walk("", &each, &mut made);
        Ok(made)
    }

    /// Every tensor once, whose name is the pattern of all that are alike.
    pub(super) fn patterns(&self) -> Vec<TensorSpec> {
        let mut made = Vec::new();
        let once = |range: &Range<u64>| {
            vec![match range.end - range.start {
                1 => range.start.to_string(),
                _ => format!("{{{}..{}}}", range.start, range.end),
            }]
        };
        self.walk("", &once, &mut made);
        made
    }

    fn walk(
        &self,
        prefix: &str,
        numbers: &impl Fn(&Range<u64>) -> Vec<String>,
        made: &mut Vec<TensorSpec>,
    ) {
        for part in &self.parts {
            match part {
                Part::Tensor(spec) => {
                    made.push(TensorSpec {
                        name: format!("{prefix}{}", spec.name),
                        ..(**spec).clone()
                    });
                }
                Part::Within(name, inside) => {
                    inside.walk(&format!("{prefix}{name}"), numbers, made)
                }
                Part::Layers(name, range, inside) => {
                    for number in numbers(range) {
                        inside.walk(&format!("{prefix}{name}.{number}."), numbers, made);
                    }
                }
            }
        }
    }
}

fn check_count(what: &str, count: u64) -> Result<()> {
    if count <= MAX_NAMES {
        return Ok(());
    }
    let given = format!("{count} tensors or layers");
    Err(Error::invalid(what, given, format!("at most {MAX_NAMES}")))
}
