//! Features and targets as tensors of a safetensors file.

use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::random::{f32_from_f8_e4m3, f32_from_f8_e5m2, f32_from_f16};
use crate::{Error, Result};

use super::array::{self, Array, Values, choose, choose_rows, examples};
use super::load::{one_target, read, wrong};
use super::{LoadOptions, Loaded, Preparation, Rows, RowsOptions};

pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Loaded> {
    let bytes = read(path)?;
    let (tensors, names) = tensors(path, &bytes)?;
    let choice = choose(path, &names, one_target(path, options)?)?;
    let pair = |(x, y): (String, String)| {
        Ok::<_, Error>((tensor(path, &tensors, x)?, tensor(path, &tensors, y)?))
    };
    examples(path, pair(choice.train)?, choice.test.map(pair).transpose()?, options)
}

pub(super) fn rows(path: &Path, by: &Preparation, options: &RowsOptions) -> Result<Rows> {
    let bytes = read(path)?;
    let (tensors, names) = tensors(path, &bytes)?;
    let (x, y) = choose_rows(path, &names, options.target.as_deref())?;
    let y = y.filter(|_| !options.without_targets);
    let y = y.map(|y| tensor(path, &tensors, y)).transpose()?;
    array::rows(path, &tensor(path, &tensors, x)?, y, by)
}

fn tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, Vec<String>)> {
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|error| Error::safetensors(path, error))?;
    let mut names: Vec<String> = tensors.names().into_iter().map(str::to_string).collect();
    // The library keeps them in a map.
    names.sort_unstable();
    Ok((tensors, names))
}

fn tensor(path: &Path, tensors: &SafeTensors<'_>, name: String) -> Result<Array> {
    let view = tensors.tensor(&name).map_err(|error| Error::safetensors(path, error))?;
    read_array(path, name, &view)
}

fn read_array(path: &Path, name: String, view: &TensorView<'_>) -> Result<Array> {
    let data = view.data();
    let half = |bytes: [u8; 2]| f64::from(f32_from_f16(u16::from_le_bytes(bytes)));
    let brain =
        |bytes: [u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16));
    let values = match view.dtype() {
        Dtype::U8 => Values::Bytes(data.to_vec()),
        Dtype::BOOL => Values::Integers(data.iter().map(|&byte| i64::from(byte != 0)).collect()),
        Dtype::F64 => Values::Floats(numbers(data, f64::from_le_bytes)),
        Dtype::F32 => Values::Floats(numbers(data, |bytes| f32::from_le_bytes(bytes).into())),
        Dtype::F16 => Values::Floats(numbers(data, half)),
        Dtype::BF16 => Values::Floats(numbers(data, brain)),
        Dtype::F8_E4M3 => Values::Floats(numbers(data, |[byte]| f32_from_f8_e4m3(byte).into())),
        Dtype::F8_E5M2 => Values::Floats(numbers(data, |[byte]| f32_from_f8_e5m2(byte).into())),
        Dtype::I64 => Values::Integers(numbers(data, i64::from_le_bytes)),
        Dtype::I32 => Values::Integers(numbers(data, |bytes| i32::from_le_bytes(bytes).into())),
        Dtype::I16 => Values::Integers(numbers(data, |bytes| i16::from_le_bytes(bytes).into())),
        Dtype::I8 => Values::Integers(numbers(data, |bytes| i8::from_le_bytes(bytes).into())),
        Dtype::U32 => Values::Integers(numbers(data, |bytes| u32::from_le_bytes(bytes).into())),
        Dtype::U16 => Values::Integers(numbers(data, |bytes| u16::from_le_bytes(bytes).into())),
        Dtype::U64 => Values::unsigned(numbers(data, u64::from_le_bytes)),
        other => {
            let needed =
                "F64, F32, F16, BF16, F8_E4M3, F8_E5M2, BOOL, or an integer of 8 to 64 bits";
            return Err(wrong(path, format!("`{name}`, dtype"), other, needed));
        }
    };
    Ok(Array { name, shape: view.shape().to_vec(), values })
}

fn numbers<const N: usize, T>(data: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|bytes| convert(*bytes)).collect()
}
