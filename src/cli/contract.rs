use std::process::ExitCode;

use clap::Args;
use fanin::op::Dropout;
use fanin::random::{
    CONTRACT, ConvKernel, Distribution, Dtype, Source, Stream, Whole, philox, quantile,
};
use fanin::{Layout, Result, model::data, verify};
use serde_json::{Value, json};

use super::table::{Column, fitted};
use super::text::{paragraph, table_room};
use super::{print, print_json};

#[derive(Args)]
pub struct ContractArgs {
    /// One JSON document on stdout in place of the page: the constants, the quantile's table, and known
    /// answers of every distribution and dtype
    #[arg(long)]
    json: bool,

    /// The other page: the exact arithmetic of trained weights
    #[arg(long, conflicts_with = "json")]
    training: bool,
}

pub fn run(args: ContractArgs) -> Result<ExitCode> {
    if args.json {
        print_json(&document()?)?;
    } else if args.training {
        print(&laid_out(include_str!("../op/arithmetic.md"), table_room()))?;
    } else {
        print(&laid_out(include_str!("../random/contract.md"), table_room()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A page of Markdown in lines that a terminal has room for; as it is, where nothing says how much that is.
fn laid_out(page: &str, room: Option<usize>) -> String {
    let Some(room) = room else { return page.to_owned() };
    let mut out = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            out += &format!("{line}\n");
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            code.for_each(|line| out += &format!("{line}\n"));
            out += "```\n";
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(line) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(line));
            }
            let head = rows.remove(0);
            // What parts the head from the rest.
            rows.retain(|row| !row.iter().all(|cell| cell.trim_matches(['-', ':']).is_empty()));
            let columns = head.iter().map(|name| Column::prose(name)).collect();
            out += &fitted(columns, rows, Some(room));
        } else if line.is_empty() || line.starts_with('#') {
            out += &format!("{line}\n");
        } else {
            let mut words = line.to_owned();
            let begins = ["#", "|", "```", "- "];
            let goes_on =
                |line: &&str| !line.is_empty() && !begins.iter().any(|own| line.starts_with(own));
            while let Some(line) = lines.next_if(goes_on) {
                words += " ";
                words += line.trim();
            }
            let margin = if words.starts_with("- ") { "  " } else { "" };
            out += &paragraph(&words, "", margin, room);
        }
    }
    out
}

/// The cells of a table's row, whose bars within a cell are escaped.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_matches('|').replace("\\|", "\u{1}");
    row.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn document() -> Result<Value> {
    let segments = quantile::TABLE.map(|[base_round, slope_curve]| {
        [base_round >> 8, base_round & 0xFF, slope_curve & 0xFFFF, slope_curve >> 16]
    });
    let blocks = verify::KNOWN
        .map(|(counter, key, words)| json!({ "counter": counter, "key": key, "words": words }));
    let names = ["", "abc", "layers.0.weight", "Größe"]
        .map(|name| json!({ "name": name, "id": long(Stream::named(0, name).id) }));
    Ok(json!({
        "contract": CONTRACT,
        "philox": {
            "rounds": philox::ROUNDS,
            "multipliers": philox::MULTIPLIERS,
            "weyl": philox::WEYL,
            "answers": blocks,
        },
        "names": names,
        "quantile": {
            "fractional_bits": quantile::FRACTIONAL_BITS,
            "columns": ["base", "round", "slope", "curve"],
            "segments": segments.as_slice(),
            "answers": words().map(|word| json!({ "word": word, "z": quantile::fixed(word) })).collect::<Vec<_>>(),
        },
        "draws": draws()?,
        "whole": whole()?,
        "orders": orders(),
        "dropout": dropout(),
    }))
}

/// 64 bits, in hexadecimal: not every reader of JSON has integers of 64 bits.
fn long(value: u64) -> String {
    format!("{value:#x}")
}

/// The words around every octave's ends, of both signs.
fn words() -> impl Iterator<Item = u32> {
    let sizes = (5..32).flat_map(|bit| {
        let start = (1u64 << bit).saturating_sub(32) as u32;
        [start.saturating_sub(1), start, start + 1]
    });
    sizes.flat_map(|m| [m, !m])
}

/// Eight elements of every distribution and dtype: of the first stream; where the block's number carries
/// into its second word; and the last that there are.
fn draws() -> Result<Vec<Value>> {
    let beyond = [
        ("uniform [0, 1)", Distribution::Uniform { low: 0.0, high: 1.0 }),
        ("uniform wider than f32", Distribution::Uniform { low: -3.1e38, high: 3e38 }),
        ("normal cut beyond its reach", Distribution::truncated_normal(0.02, 7.0)),
        ("normal cut closely", Distribution::truncated_normal(0.02, 0.01)),
    ];
    let beyond = beyond.into_iter().flat_map(|(name, distribution)| {
        let dtypes = Dtype::SAMPLED.into_iter();
        let dtypes = dtypes.filter(move |dtype| distribution.check_dtype(*dtype).is_ok());
        dtypes.map(move |dtype| (name, distribution, dtype))
    });
    let streams = [
        (Stream::new(0, 0), 0),
        (Stream::named(7, "golden"), (1 << 34) - 5),
        (Stream::new(u64::MAX, u64::MAX), u64::MAX - 7),
    ];
    let mut draws = Vec::new();
    for (name, distribution, dtype) in verify::cases().into_iter().chain(beyond) {
        for (stream, first) in streams {
            let mut bytes = vec![0; 8 * dtype.size()];
            distribution.draw(&stream, dtype, first, &mut bytes)?;
            draws.push(json!({
                "name": name,
                "distribution": parameters(&distribution),
                "dtype": dtype.name(),
                "seed": long(stream.seed),
                "id": long(stream.id),
                "first": long(first),
                "words": (0..8).map(|index| stream.word(first + index)).collect::<Vec<_>>(),
                "bits": bits(&bytes, dtype),
            }));
        }
    }
    Ok(draws)
}

fn parameters(distribution: &Distribution) -> Value {
    match *distribution {
        Distribution::Constant { value } => json!({ "kind": "constant", "value": value }),
        Distribution::Uniform { low, high } => {
            json!({ "kind": "uniform", "low": low, "high": high })
        }
        Distribution::Normal { mean, std } => json!({ "kind": "normal", "mean": mean, "std": std }),
        Distribution::TruncatedNormal { mean, std, cut } => {
            json!({ "kind": "truncated_normal", "mean": mean, "std": std, "cut": cut })
        }
        _ => json!({ "kind": "words" }),
    }
}

/// The elements' bits.
fn bits(bytes: &[u8], dtype: Dtype) -> Vec<Value> {
    let element = |bytes: &[u8]| {
        let bits = bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        if dtype.size() < 8 { json!(bits) } else { json!(long(bits)) }
    };
    bytes.chunks_exact(dtype.size()).map(element).collect()
}

fn whole() -> Result<Vec<Value>> {
    let stream = Stream::named(7, "whole");
    let draw = |whole: Whole, parameters: Value| {
        let bytes = Source::Whole(whole).draw(&stream, Dtype::F32, whole.elements())?;
        Ok(json!({
            "initializer": parameters,
            "seed": long(stream.seed),
            "id": long(stream.id),
            "bits": bits(&bytes, Dtype::F32),
        }))
    };
    let mut answers = Vec::new();
    // Either side the longer, and more than one block of reflections.
    for (rows, columns) in [(1, 1), (3, 5), (40, 35)] {
        let gain = 1.25;
        let parameters =
            json!({ "kind": "orthogonal", "rows": rows, "columns": columns, "gain": gain });
        answers.push(draw(Whole::Orthogonal { rows, columns, gain }, parameters)?);
    }
    let (rows, columns, sparsity, std) = (10, 4, 0.25, 0.01);
    let parameters = json!({
        "kind": "sparse", "rows": rows, "columns": columns, "sparsity": sparsity, "std": std,
    });
    answers.push(draw(Whole::Sparse { rows, columns, sparsity, std }, parameters)?);
    let parameters = json!({ "kind": "identity", "rows": 2, "columns": 3, "gain": 0.3 });
    answers.push(draw(Whole::Identity { rows: 2, columns: 3, gain: 0.3 }, parameters)?);
    for layout in [Layout::OutIn, Layout::InOut] {
        let (outputs, inputs, taps, centre, groups, gain) = (6, 2, 6, 4, 2, 0.3);
        let kernel = ConvKernel { outputs, inputs, taps, centre, layout };
        let parameters = |kind: &str| {
            json!({
                "kind": kind, "outputs": outputs, "inputs": inputs, "taps": taps, "centre": centre,
                "layout": layout.name(), "groups": groups, "gain": gain,
            })
        };
        answers.push(draw(Whole::Dirac { kernel, groups, gain }, parameters("dirac"))?);
        let whole = Whole::DeltaOrthogonal { kernel, gain };
        answers.push(draw(whole, parameters("delta_orthogonal"))?);
    }
    Ok(answers)
}

fn orders() -> Vec<Value> {
    let (seed, count) = (7, 10);
    let order = |name: &str, epoch: u64| {
        let (stream, first) = (Stream::named(seed, name), epoch * u64::from(count));
        json!({
            "name": name,
            "seed": long(seed),
            "first": long(first),
            "count": count,
            "order": data::permutation(&stream, first, count),
        })
    };
    vec![order("train.split", 0), order("train.shuffle", 0), order("train.shuffle", 3)]
}

fn dropout() -> Vec<Value> {
    let (seed, name, probability) = (7, "layers.0.dropout", 0.3);
    let dropout = Dropout { probability, stream: Stream::named(seed, name) };
    let keeps = |row, column: u32, columns, step| {
        let words = dropout.words(columns, row, column / 4, step);
        words[(column % 4) as usize] >= dropout.threshold()
    };
    let steps = [0, 5].map(|step| {
        let (rows, columns) = (3, 6);
        let kept: Vec<Vec<bool>> = (0..rows)
            .map(|row| (0..columns).map(|column| keeps(row, column, columns, step)).collect())
            .collect();
        json!({
            "name": name,
            "seed": long(seed),
            "probability": probability,
            "scale": dropout.scale().to_bits(),
            "step": step,
            "kept": kept,
        })
    });
    steps.to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::text::letters;
    use super::*;

    #[test]
    fn the_pages_say_the_same_at_every_width() {
        for page in [include_str!("../op/arithmetic.md"), include_str!("../random/contract.md")] {
            assert_eq!(laid_out(page, None), page);
            let words = |text: &str| -> Vec<String> {
                text.lines()
                    .filter(|line| !line.starts_with('|'))
                    .flat_map(str::split_whitespace)
                    .map(str::to_owned)
                    .collect()
            };
            let laid = laid_out(page, Some(100));
            let mut rest = words(&laid).into_iter();
            assert!(words(page).iter().all(|word| rest.any(|other| other == *word)));
            let mut code = false;
            for line in laid.lines() {
                code ^= line.starts_with("```");
                assert!(code || letters(line) <= 100, "{line}");
            }
        }
    }
}
