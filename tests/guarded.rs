//! Tensors with guards: what a kernel writes beside its result is seen.

use fanin::Shape;
use fanin::gpu::{Context, Tensor};
use fanin::random::Dtype;

/// A tensor in the middle of a buffer that is NaN elsewhere.
pub struct Guarded {
    pub tensor: Tensor,
    whole: Tensor,
    first: usize,
}

impl Guarded {
    pub fn new(context: &Context, values: &[f32]) -> Self {
        Guarded::shaped(context, &[values.len() as u64], values)
    }

    pub fn shaped(context: &Context, dims: &[u64], values: &[f32]) -> Self {
        let words: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        Guarded::of(context, dims, &words, Dtype::F32)
    }

    /// Of words of any dtype of 4 bytes.
    pub fn of(context: &Context, dims: &[u64], words: &[u32], dtype: Dtype) -> Self {
        let first = context.limits().alignment as usize / 4;
        let elements = first + words.len() + 67;
        let shape = |elements: usize| Shape::new([elements as u64]).unwrap();
        let whole = Tensor::new(context, shape(elements), Dtype::F32).unwrap();
        let mut poisoned = vec![f32::NAN.to_bits(); elements];
        poisoned[first..first + words.len()].copy_from_slice(words);
        context.write(&whole, 0, bytemuck::cast_slice(&poisoned)).unwrap();
        let shape = Shape::new(dims).unwrap();
        let tensor = whole.within(4 * first as u64, shape, dtype).unwrap();
        Guarded { tensor, whole, first }
    }

    /// Poisoned with NaN, for a result.
    pub fn poisoned(context: &Context, dims: &[u64]) -> Self {
        let elements = dims.iter().product::<u64>() as usize;
        Guarded::shaped(context, dims, &vec![f32::NAN; elements])
    }

    /// The values, the rest still NaN.
    pub fn read(&self, context: &Context) -> Vec<f32> {
        let bytes = context.read(&self.whole).unwrap();
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let last = self.first + self.tensor.shape().elements() as usize;
        assert!(all[..self.first].iter().chain(&all[last..]).all(|x| x.is_nan()), "a guard");
        all[self.first..last].to_vec()
    }
}

/// Normal values of a stream of the tests.
pub fn normals(name: &str, count: usize) -> Vec<f32> {
    let stream = fanin::random::Stream::named(crate::devices::SEED, name);
    let normal = fanin::random::Distribution::normal(1.0);
    (0..count as u64).map(|index| normal.value(&stream, index).unwrap()).collect()
}

/// A tensor of f32s in a buffer of its own.
pub fn tensor(context: &Context, elements: usize) -> Tensor {
    Tensor::new(context, Shape::new([elements as u64]).unwrap(), Dtype::F32).unwrap()
}

pub fn write(context: &Context, tensor: &Tensor, values: &[f32]) {
    context.write(tensor, 0, bytemuck::cast_slice(values)).unwrap();
}

pub fn read(context: &Context, tensor: &Tensor) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(&context.read(tensor).unwrap())
}
