use super::widest::{LANES, sum, widest};
use crate::host::parallel::*;
use crate::op::{Moments, Part, Summary};

/// Elements a task: fixed, so that the order of the sums does not depend on the threads.
const TASK: usize = 1 << 14;

/// Count, sum, mean, variance, extremes and norm, in f64, in an order that the number of elements
/// alone decides.
pub fn summary(x: &[f32]) -> Summary {
    let parts: Vec<Part> = x.par_chunks(TASK).map(part).collect();
    parts.into_iter().fold(Part::EMPTY, Part::merge).finish()
}

widest! {
    fn part(x: &[f32]) -> Part {
        let count: u32 = x.iter().map(|x| u32::from(x.is_finite())).sum();
        let nan: u32 = x.iter().map(|x| u32::from(x.is_nan())).sum();
        let mut part = Part {
            min: f64::from(extreme(x, f32::INFINITY, |x, low| x < low)),
            max: f64::from(extreme(x, f32::NEG_INFINITY, |x, high| x > high)),
            nan: u64::from(nan),
            infinite: x.len() as u64 - u64::from(count + nan),
            ..Part::EMPTY
        };
        if count > 0 {
            let finite = |x: f32, term: f64| if x.is_finite() { term } else { 0.0 };
            let mean = sum([x], |[x]| finite(x, f64::from(x))) / f64::from(count);
            let square = sum([x], |[x]| {
                let deviation = f64::from(x) - mean;
                finite(x, deviation * deviation)
            });
            part.moments = Moments { count: count.into(), mean, square };
        }
        part
    }
}

/// The finite element that goes beyond all others, `start` where there is none.
#[inline(always)]
fn extreme(x: &[f32], start: f32, beyond: impl Fn(f32, f32) -> bool) -> f32 {
    let further = |far: f32, x: f32| if x.is_finite() && beyond(x, far) { x } else { far };
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(far, x)| *far = further(*far, *x));
    }
    lanes.iter().chain(rest).fold(start, |far, x| further(far, *x))
}
