use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use fanin::device::{Draw, Piece};
use fanin::random::{Distribution, Dtype, Stream};
use fanin::{Error, Result};

use super::DeviceArgs;

#[derive(Args)]
pub struct SampleArgs {
    /// What to draw
    #[arg(long, value_enum, default_value_t = Dist::Words)]
    dist: Dist,

    /// Standard deviation of a normal, or of a truncated normal's parent [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    std: Option<f64>,

    /// Mean of a normal or truncated normal [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    mean: Option<f64>,

    /// Where a truncated normal is cut on either side, in standard deviations [default: 2]
    #[arg(long, allow_negative_numbers = true)]
    cut: Option<f64>,

    /// A uniform on (-bound, bound), neither end nor 0 among its values; without it [0, 1), or
    /// [low, high). With a low end other than 0, or in dtypes shorter than f32, the values nearest to
    /// an end round to it: of [0, 1), one in 4096 is 1 in f16, one in 512 is 1 in bf16, one in 32 in
    /// f8_e4m3, one in 16 in f8_e5m2; and those nearest to 0 may round to 0
    #[arg(long, allow_negative_numbers = true, conflicts_with_all = ["low", "high"])]
    bound: Option<f64>,

    /// The lower end of a uniform
    #[arg(long, allow_negative_numbers = true, requires = "high")]
    low: Option<f64>,

    /// The upper end of a uniform
    #[arg(long, allow_negative_numbers = true, requires = "low")]
    high: Option<f64>,

    /// How many
    #[arg(long, default_value_t = 16)]
    count: u64,

    /// The first element's index in the stream
    #[arg(long, default_value_t = 0)]
    offset: u64,

    /// The seed
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// The stream's id [default: 0]
    #[arg(long, value_name = "ID")]
    stream: Option<u64>,

    /// The stream of a tensor of this name
    #[arg(long, value_name = "TENSOR", conflicts_with = "stream")]
    name: Option<String>,

    /// f32, or rounded from it bf16, f16, f8_e4m3 or f8_e5m2, or the same numbers as f64; words are
    /// u32
    #[arg(long)]
    dtype: Option<Dtype>,

    /// raw: little-endian bytes; text: a line each
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    device: DeviceArgs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Dist {
    /// Raw Philox words, u32
    Words,
    Uniform,
    Normal,
    TruncatedNormal,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Raw,
    Text,
}

pub fn run(args: SampleArgs) -> Result<ExitCode> {
    let distribution = distribution(&args)?;
    distribution.check()?;
    let natural = if args.dist == Dist::Words { Dtype::U32 } else { Dtype::F32 };
    let dtype = args.dtype.unwrap_or(natural);
    distribution.check_dtype(dtype)?;
    if args.offset.checked_add(args.count.saturating_sub(1)).is_none() {
        return Err(Error::Invalid {
            what: "--offset and --count".into(),
            given: format!("{} and {}", args.offset, args.count),
            needed: "a sum of at most 2^64, where a stream ends".into(),
        });
    }
    let stream = match &args.name {
        Some(name) => Stream::named(args.seed, name),
        None => Stream::new(args.seed, args.stream.unwrap_or(0)),
    };
    let device = args.device.open("draws")?.in_chunks(1 << 22);
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let failed = |source| Error::File { action: "write to", path: "stdout".into(), source };
    let longest = device.piece_bytes() / dtype.size() as u64;
    let (mut first, mut left) = (args.offset, args.count);
    while left > 0 {
        // A few pieces at a time, so that a device can work ahead of a slow reader, but not far.
        let mut pieces = Vec::new();
        while left > 0 && pieces.len() < 8 {
            let count = longest.min(left);
            pieces.push(Piece { stream, distribution, dtype, slice: None, first, count });
            // After the last element of all, 0, and nothing is left.
            first = first.wrapping_add(count);
            left -= count;
        }
        device.draw(&pieces, &mut |_, bytes, _| {
            match args.format {
                Format::Raw => out.write_all(bytes),
                Format::Text => bytes
                    .chunks_exact(dtype.size())
                    .try_for_each(|element| writeln!(out, "{}", text(dtype, element))),
            }
            .map_err(failed)
        })?;
    }
    out.flush().map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn distribution(args: &SampleArgs) -> Result<Distribution> {
    let options = [
        ("--std", args.std.is_some(), [Dist::Normal, Dist::TruncatedNormal].as_slice()),
        ("--mean", args.mean.is_some(), &[Dist::Normal, Dist::TruncatedNormal]),
        ("--cut", args.cut.is_some(), &[Dist::TruncatedNormal]),
        ("--bound", args.bound.is_some(), &[Dist::Uniform]),
        ("--low", args.low.is_some(), &[Dist::Uniform]),
    ];
    let name = |dist: Dist| dist.to_possible_value().map_or(String::new(), |v| v.get_name().into());
    for (option, given, with) in options {
        if given && !with.contains(&args.dist) {
            let with: Vec<String> = with.iter().map(|dist| name(*dist)).collect();
            return Err(Error::Invalid {
                what: option.into(),
                given: format!("--dist {}", name(args.dist)),
                needed: format!("--dist {}", with.join(" or ")),
            });
        }
    }
    let (mean, std) = (args.mean.unwrap_or(0.0), args.std.unwrap_or(1.0));
    Ok(match args.dist {
        Dist::Words => Distribution::Words,
        Dist::Uniform => match (args.bound, args.low, args.high) {
            (Some(bound), ..) => Distribution::symmetric(bound),
            (None, Some(low), Some(high)) => Distribution::Uniform { low, high },
            _ => Distribution::Uniform { low: 0.0, high: 1.0 },
        },
        Dist::Normal => Distribution::Normal { mean, std },
        Dist::TruncatedNormal => {
            Distribution::TruncatedNormal { mean, std, cut: args.cut.unwrap_or(2.0) }
        }
    })
}

/// The shortest decimal that reads back as the element.
fn text(dtype: Dtype, element: &[u8]) -> String {
    match (dtype, element) {
        (Dtype::Bf16, &[low, high]) => f32::from_le_bytes([0, 0, low, high]).to_string(),
        (Dtype::F16, &[low, high]) => {
            fanin::random::f32_from_f16(u16::from_le_bytes([low, high])).to_string()
        }
        (Dtype::F8E4M3, &[byte]) => fanin::random::f32_from_f8_e4m3(byte).to_string(),
        (Dtype::F8E5M2, &[byte]) => fanin::random::f32_from_f8_e5m2(byte).to_string(),
        (Dtype::F64, element) => element
            .try_into()
            .map(f64::from_le_bytes)
            .map_or_else(|_| String::new(), |x| x.to_string()),
        (Dtype::U32, &[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]).to_string(),
        (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).to_string(),
        _ => String::new(),
    }
}
