//! A tensor, drawn and digested.

use std::fmt::Write;

use fanin::Shape;
use fanin::device::{Draw, Piece};
use fanin::init::{Geometry, Init};
use fanin::random::{
    Distribution, Dtype, Source, Stream, f32_from_f8_e4m3, f32_from_f8_e5m2, f32_from_f16,
};
use fanin::recipe::TensorSpec;
use js_sys::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::device::{Devices, On};
use crate::settings::quoted;
use crate::wire::{Failure, Number, Progress};

#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    device: On,
    /// An initializer, or `words`: what all are made of.
    #[serde(default = "normal")]
    init: String,
    #[serde(default = "square")]
    shape: Vec<u64>,
    #[serde(default = "name")]
    name: String,
    #[serde(default)]
    seed: u64,
    dtype: Option<String>,
    /// The first element that is drawn.
    #[serde(default)]
    first: u64,
}

fn normal() -> String {
    "he_normal".into()
}

fn square() -> Vec<u64> {
    vec![4096, 4096]
}

fn name() -> String {
    "layers.0.weight".into()
}

#[derive(Serialize)]
pub struct Drawn {
    /// Where it was drawn: what is drawn as a whole the CPU draws, whatever the device.
    engine: &'static str,
    sha256: String,
    seconds: f64,
    elements: u64,
    bytes: u64,
    first: Vec<Number>,
    command: String,
}

#[derive(Serialize)]
struct Far {
    done: u64,
    total: u64,
}

/// Elements at most: a minute of a software adapter's.
const MOST: u64 = 1 << 28;

/// Elements at most of what is drawn as a whole, by many sums an element.
const WHOLE: u64 = 1 << 20;

/// Elements that are shown.
const SHOWN: usize = 8;

const WORDS: &str = "words";

/// Draws chunk by chunk, and says after each how far it is.
pub fn draw(devices: &mut Devices, asked: &Asked, progress: &Progress) -> Result<Drawn, Failure> {
    let Asked { device, init, shape, name, seed, dtype, first } = asked;
    let shape = Shape::new(&shape[..])?;
    let total = shape.elements();
    if total == 0 || total > MOST {
        return Err(Failure::new(format!("shape: got {total} elements, needed 1 to {MOST}")));
    }
    let words = init == WORDS;
    let dtype: Dtype = match dtype {
        Some(dtype) => dtype.parse()?,
        None if words => Dtype::U32,
        None => Dtype::F32,
    };
    let (spec, source) = match words {
        true => (None, Source::Elements(Distribution::Words)),
        false => {
            let init: Init = init.parse()?;
            let mut spec =
                TensorSpec::with_geometry(name, shape.clone(), init, Geometry::default())?;
            spec.dtype = dtype;
            let source = spec.source;
            (Some(spec), source)
        }
    };
    source.check_dtype(dtype)?;
    let mut digest = Digested { dtype, hash: Sha256::new(), bytes: 0, first: Vec::new() };
    let start = Date::now();
    let tell = |done| progress.tell(&Far { done, total });
    let engine = match (&source, device) {
        (Source::Elements(_), On::Gpu) => "gpu",
        _ => "cpu",
    };
    match (&source, &spec) {
        (Source::Elements(distribution), _) => {
            let device = devices.get(*device)?.in_chunks(None);
            let longest = device.piece_bytes() / dtype.size() as u64;
            let stream = Stream::named(*seed, name);
            let pieces: Vec<Piece> = (0..total)
                .step_by(longest as usize)
                .map(|done| Piece {
                    stream,
                    distribution: *distribution,
                    dtype,
                    slice: None,
                    first: first + done,
                    count: longest.min(total - done),
                })
                .collect();
            // A few at a time, so that a device can work ahead.
            for some in pieces.chunks(4) {
                device.draw(some, &mut |index, bytes, _| {
                    digest.add(bytes);
                    tell(some[index].first - first + some[index].count);
                    Ok(())
                })?;
            }
        }
        (_, Some(spec)) => {
            if total > WHOLE || *first > 0 {
                return Err(Failure::new(format!(
                    "{init}, which is drawn as a whole: got {total} elements from {first}, needed at most \
                     {WHOLE} from 0"
                )));
            }
            let mut bytes = vec![0; total as usize * dtype.size()];
            spec.drawer(*seed)?.draw(0, &mut bytes)?;
            digest.add(&bytes);
            tell(total);
        }
        (_, None) => {}
    }
    let seconds = (Date::now() - start) / 1e3;
    Ok(Drawn {
        engine,
        seconds,
        elements: total,
        bytes: digest.bytes,
        command: command(asked, &source, dtype, total),
        first: digest.first,
        sha256: digest.hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    })
}

struct Digested {
    dtype: Dtype,
    hash: Sha256,
    bytes: u64,
    first: Vec<Number>,
}

impl Digested {
    fn add(&mut self, bytes: &[u8]) {
        let room = SHOWN - self.first.len();
        let shown = bytes.chunks_exact(self.dtype.size()).take(room);
        self.first.extend(shown.map(|element| Number(value(self.dtype, element))));
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

fn value(dtype: Dtype, element: &[u8]) -> f64 {
    match (dtype, element) {
        (Dtype::Bf16, &[low, high]) => f32::from_le_bytes([0, 0, low, high]).into(),
        (Dtype::F16, &[low, high]) => f32_from_f16(u16::from_le_bytes([low, high])).into(),
        (Dtype::F8E4M3, &[byte]) => f32_from_f8_e4m3(byte).into(),
        (Dtype::F8E5M2, &[byte]) => f32_from_f8_e5m2(byte).into(),
        (Dtype::U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).into(),
        (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).into(),
        (_, element) => element.try_into().map_or(f64::NAN, f64::from_le_bytes),
    }
}

/// What has the same digest elsewhere: of samples `fanin sample`, of others `fanin init`.
fn command(asked: &Asked, source: &Source, dtype: Dtype, total: u64) -> String {
    let Asked { init, shape, name, seed, first, .. } = asked;
    let dist = match source {
        Source::Elements(Distribution::Words) => "words".into(),
        Source::Elements(Distribution::Uniform { low, high }) if *low == -high => {
            format!("uniform --bound {high}")
        }
        Source::Elements(Distribution::Uniform { low, high }) => {
            format!("uniform --low {low} --high {high}")
        }
        Source::Elements(Distribution::Normal { mean, std }) => {
            format!("normal --mean {mean} --std {std}")
        }
        Source::Elements(Distribution::TruncatedNormal { mean, std, cut }) => {
            format!("truncated_normal --mean {mean} --std {std} --cut {cut}")
        }
        _ => {
            let lines = [
                "[[tensor]]".into(),
                format!("name = {}", toml(name)),
                format!("shape = {shape:?}"),
                format!("init = {}", toml(init)),
            ];
            return format!(
                "printf '%s\\n' {} > one.toml && fanin init one.toml --seed {seed} --dtype {dtype} --out \
                 one.safetensors --json",
                lines.map(|line| quoted(&line)).join(" ")
            );
        }
    };
    let dist = dist.replace(" --mean 0 ", " ");
    let offset = if *first > 0 { format!(" --offset {first}") } else { String::new() };
    format!(
        "fanin sample --dist {dist} --name={} --seed {seed} --count {total}{offset} --dtype {dtype} \
         --format raw | sha256sum",
        quoted(name)
    )
}

/// A text as TOML has it.
fn toml(text: &str) -> String {
    let mut written = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(written, "\\{c}"),
            c if c.is_control() => write!(written, "\\u{:04x}", c as u32),
            c => write!(written, "{c}"),
        };
    }
    written + "\""
}
