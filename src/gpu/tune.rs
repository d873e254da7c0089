//! Finds the fastest shapes of kernels by trying them.

use super::route::{Hardware, Route, Way};
use super::tuning::{FillShape, Tuning};
use super::{Context, Epilogue, Pass, Tensor};
use crate::op::Form;
use crate::random::{Distribution, Dtype, Stream};
use crate::{Result, Shape};

/// A shape that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// `fill`, or the sizes of a product.
    pub what: String,
    /// The shape, in words.
    pub shape: String,
    /// The median over some runs.
    pub seconds: f64,
    /// Whether it is what would be taken if nothing were measured.
    pub usual: bool,
}

/// Runs of a trial; the first is not counted.
const RUNS: usize = 6;

/// How much faster than the usual shape another has to be, so that noise alone changes nothing.
const GAIN: f64 = 1.05;

/// Products that networks have: large, in the middle, a batch through a layer and its gradients, few
/// rows, few columns, a long depth.
const PRODUCTS: [[u64; 3]; 8] = [
    [4096, 4096, 4096],
    [1024, 1024, 1024],
    [256, 512, 784],
    [512, 784, 256],
    [256, 10, 512],
    [1, 4096, 4096],
    [64, 4096, 4096],
    [64, 64, 65_536],
];

/// A software adapter takes minutes over more multiply-adds than this.
const SOFTWARE: u64 = 1 << 30;

/// Ways that are tried of a product: the fastest by the model.
const WAYS: usize = 12;

impl Context {
    /// Tries every shape of the kernels that have several, by the device's clock where it has one
    /// ([`ContextOptions::timestamps`](super::ContextOptions::timestamps)), and says what was fastest; `report` hears
    /// of each trial. Takes seconds on a GPU. Nothing is changed or kept: see [`Context::set_tuning`]
    /// and [`Tuning::save`].
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the device fails.
    pub fn tune(&self, report: &mut dyn FnMut(&Trial)) -> Result<Tuning> {
        let software = self.is_software();
        let mut found = Tuning::usual(self.driver(), software);
        let before = self.tuning();
        let filled = self.tune_fill(found.fill, report);
        // Trials of fills are made by setting them.
        self.set_tuning(before)?;
        found.fill = filled?;
        for sizes in PRODUCTS {
            if !software || sizes.iter().product::<u64>() <= SOFTWARE {
                found.products.push((sizes, self.tune_product(sizes, report)?));
            }
        }
        Ok(found)
    }

    fn tune_fill(&self, usual: FillShape, report: &mut dyn FnMut(&Trial)) -> Result<FillShape> {
        let out = Tensor::new(self, Shape::new([1 << 24])?, Dtype::F32)?;
        let (stream, normal) = (Stream::new(7, 1), Distribution::normal(1.0));
        let mut trials = Vec::new();
        for (staged, ahead) in [(false, 1), (true, 1), (true, 2), (true, 4)] {
            for taken in [8, 16, 32] {
                let fill = FillShape { staged, ahead, taken };
                self.set_tuning(Tuning { fill, ..self.tuning() })?;
                let seconds = self.trial(|pass| pass.fill(&out, &stream, &normal))?;
                let place = if staged { "staged table" } else { "table where it lies" };
                report(&Trial {
                    what: "fill".into(),
                    shape: format!("{place}, {taken} groups an invocation, {ahead} side by side"),
                    seconds,
                    usual: fill == usual,
                });
                trials.push((fill, seconds));
            }
        }
        Ok(fastest(usual, &trials))
    }

    fn tune_product(&self, sizes: [u64; 3], report: &mut dyn FnMut(&Trial)) -> Result<Way> {
        let [m, n, k] = sizes;
        let hardware = self.hardware();
        let usual = Way::usual(&hardware, sizes);
        let tensor = |dims: [u64; 2]| -> Result<Tensor> {
            let tensor = Tensor::new(self, Shape::new(dims)?, Dtype::F32)?;
            let (stream, normal) = (Stream::new(7, 1), Distribution::normal(1.0));
            self.run(|pass| pass.fill(&tensor, &stream, &normal))?;
            Ok(tensor)
        };
        let (a, b, out) = (tensor([m, k])?, tensor([n, k])?, tensor([m, n])?);
        let mut trials: Vec<(Way, f64)> = Vec::new();
        for way in tried(&hardware, sizes) {
            let none = Epilogue::default();
            let seconds =
                self.trial(|pass| pass.matmul_by(Some(way), Form::Nt, &a, &b, &out, &none, 0))?;
            report(&Trial {
                what: format!("{m} x {n} x {k}"),
                shape: way.to_string(),
                seconds,
                usual: way == usual,
            });
            trials.push((way, seconds));
        }
        Ok(fastest(usual, &trials))
    }

    /// The median seconds of what is recorded.
    fn trial(&self, record: impl Fn(&mut Pass<'_, '_>) -> Result<()>) -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            times.push(self.seconds(|| {
                self.run(&record)?;
                self.wait()
            })?);
        }
        times.remove(0);
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

/// The ways that are tried of a product, the usual one among them: on a CPU blocks in registers and, of
/// few rows, those four at a time.
fn tried(hardware: &Hardware, sizes: [u64; 3]) -> Vec<Way> {
    let ranked = Way::ranked(hardware, sizes).into_iter().take(WAYS);
    let mut ways: Vec<Way> = ranked.map(|(way, _)| way).collect();
    if hardware.software && sizes[0] <= 16 {
        for splits in [1, 4, 16, 64] {
            let way = Way { splits, ..Way::whole(Route::Thin) }.within(hardware, sizes);
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    ways
}

/// The fastest of some trials; the usual one unless another is faster by more than noise.
fn fastest<T: Copy + PartialEq>(usual: T, trials: &[(T, f64)]) -> T {
    let own = trials.iter().find(|(tried, _)| *tried == usual).map(|(_, seconds)| *seconds);
    let best = trials.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    match (best, own) {
        (Some((_, best)), Some(own)) if own < best * GAIN => usual,
        (Some((best, _)), _) => *best,
        (None, _) => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hardware, PRODUCTS, Way, fastest, tried};

    #[test]
    fn what_is_usual_is_tried() {
        for software in [false, true] {
            let units = Hardware::LARGE;
            let hardware = Hardware { software, units, memory: 1 << 15, invocations: 256 };
            for sizes in PRODUCTS {
                let ways = tried(&hardware, sizes);
                let usual = Way::usual(&hardware, sizes);
                assert_eq!(ways.iter().filter(|way| **way == usual).count(), 1, "{sizes:?}");
            }
        }
    }

    #[test]
    fn noise_alone_changes_nothing() {
        assert_eq!(fastest(1, &[(1, 1.0), (2, 0.97)]), 1);
        assert_eq!(fastest(1, &[(1, 1.0), (2, 0.9), (3, 0.8)]), 3);
        assert_eq!(fastest(9, &[(1, 1.0), (2, 0.9)]), 2);
        assert_eq!(fastest(9, &[]), 9);
    }
}
