//! The contract's page, followed by a program that has nothing else, against what the crate draws.

use fanin::random::{Distribution, Dtype};
use serde_json::Value;

use crate::cli::{fanin, succeeds};
use crate::plain::{self, Contract, id_of, long, numbers};

pub fn document() -> Value {
    serde_json::from_str(&succeeds(&["contract", "--json"])).unwrap()
}

fn answers<'a>(document: &'a Value, of: &str) -> impl Iterator<Item = &'a Value> {
    let answers = document[of].as_array().unwrap();
    assert!(!answers.is_empty());
    answers.iter()
}

fn halves<const N: usize>(value: &Value) -> [u32; N] {
    let numbers: Vec<u32> = numbers(value).into_iter().map(|number| number as u32).collect();
    numbers.try_into().unwrap()
}

/// How many known answers of the quantile and of the draws the contract's program does not give.
fn wrong(document: &Value) -> usize {
    let contract = Contract::read(document);
    let quantiles = document["quantile"]["answers"].as_array().unwrap().iter().filter(|answer| {
        let z = contract.quantile(answer["word"].as_u64().unwrap() as u32);
        i64::from(z) != answer["z"].as_i64().unwrap()
    });
    let draws = answers(document, "draws").filter(|draw| {
        let sampler = contract.sampler(&draw["distribution"]);
        let [seed, id, first] = ["seed", "id", "first"].map(|name| long(&draw[name]));
        let dtype = draw["dtype"].as_str().unwrap();
        (0..8).zip(numbers(&draw["words"]).into_iter().zip(numbers(&draw["bits"]))).any(
            |(at, (word, bits))| {
                let index = first + at;
                u64::from(contract.word(seed, id, index)) != word
                    || contract.element(&sampler, dtype, (seed, id, index)) != bits
            },
        )
    });
    quantiles.count() + draws.count()
}

#[test]
fn the_page_alone_gives_every_known_answer() {
    let document = document();
    let contract = Contract::read(&document);
    for answer in document["philox"]["answers"].as_array().unwrap() {
        let words = contract.philox(halves(&answer["counter"]), halves(&answer["key"]));
        assert_eq!(words, halves(&answer["words"]));
    }
    for answer in answers(&document, "names") {
        assert_eq!(id_of(answer["name"].as_str().unwrap()), long(&answer["id"]));
    }
    assert_eq!(wrong(&document), 0);
    for answer in answers(&document, "whole") {
        let (seed, id) = (long(&answer["seed"]), long(&answer["id"]));
        let of = &answer["initializer"];
        let count = |name: &str| of[name].as_u64().unwrap_or(0) as usize;
        let [rows, columns, outputs, inputs] = ["rows", "columns", "outputs", "inputs"].map(count);
        let get = |name: &str| of[name].as_f64().unwrap();
        let around = |centre: &[Vec<f32>]| {
            contract.at_centre(of["layout"] == "out_in", count("taps"), count("centre"), centre)
        };
        let drawn = match of["kind"].as_str().unwrap() {
            "orthogonal" => contract.orthogonal(seed, id, rows, columns, get("gain")),
            "sparse" => contract.sparse((seed, id), [rows, columns], get("sparsity"), get("std")),
            "identity" => (0..rows * columns)
                .map(|i| if i / columns == i % columns { get("gain") as f32 } else { 0.0 })
                .collect(),
            "dirac" => {
                let of_group = outputs / count("groups");
                let value = |output, input| match output % of_group == input {
                    true => get("gain") as f32,
                    false => 0.0,
                };
                let row = |output| (0..inputs).map(|input| value(output, input)).collect();
                around(&(0..outputs).map(row).collect::<Vec<Vec<f32>>>())
            }
            _ => {
                let centre = contract.orthogonal(seed, id, outputs, inputs, get("gain"));
                around(&centre.chunks(inputs).map(<[f32]>::to_vec).collect::<Vec<_>>())
            }
        };
        let drawn: Vec<u64> = drawn.iter().map(|value| value.to_bits().into()).collect();
        assert_eq!(drawn, numbers(&answer["bits"]), "{of}");
    }
    for answer in answers(&document, "orders") {
        let id = id_of(answer["name"].as_str().unwrap());
        let order = numbers(&answer["order"]);
        let (seed, first) = (long(&answer["seed"]), long(&answer["first"]));
        assert_eq!(contract.order(seed, id, first, order.len()), order);
    }
    for answer in answers(&document, "dropout") {
        let at = (long(&answer["seed"]), id_of(answer["name"].as_str().unwrap()));
        let probability = answer["probability"].as_f64().unwrap();
        let step = answer["step"].as_u64().unwrap() as u32;
        for (row, kept) in (0..).zip(answer["kept"].as_array().unwrap()) {
            let kept = kept.as_array().unwrap();
            for (column, kept) in (0..).zip(kept.iter()) {
                let columns = answer["kept"][0].as_array().unwrap().len() as u32;
                let ours = contract.kept(at, probability, step, columns, [row, column]);
                assert_eq!(ours, kept.as_bool().unwrap(), "{row}, {column}");
            }
        }
        let scale = (1.0 / (1.0 - probability)) as f32;
        assert_eq!(u64::from(scale.to_bits()), answer["scale"].as_u64().unwrap());
    }
}

#[test]
fn a_document_that_is_wrong_is_found_out() {
    let good = document();
    for place in ["/philox/weyl/1", "/philox/multipliers/0", "/quantile/segments/832/0"] {
        let mut bad = good.clone();
        let number = bad.pointer_mut(place).unwrap();
        *number = (number.as_u64().unwrap() ^ 2).into();
        assert!(wrong(&bad) > 0, "{place}");
    }
}

#[test]
fn known_answers_are_of_every_distribution_and_dtype() {
    let document = document();
    let has = |name: &str, dtype: Dtype| {
        answers(&document, "draws")
            .any(|draw| draw["name"] == name && draw["dtype"] == dtype.name())
    };
    for (name, _, dtype) in fanin::verify::cases() {
        assert!(has(name, dtype), "{name} in {dtype}");
    }
    // Beyond two seeds: the last element of a stream.
    let last = |draw: &Value| long(&draw["first"]) == u64::MAX - 7;
    assert!(answers(&document, "draws").any(last));
}

/// The rounding that the page states against the crate's, over both signs and subnormals.
#[test]
fn rounding_as_stated_is_the_crates() {
    use fanin::random::{bf16_from_f32, f8_e4m3_from_f32, f8_e5m2_from_f32, f16_from_f32};
    let hold = |bits: u32| {
        for bits in [bits, bits | 1 << 31] {
            let stated = |dtype, largest: f32| match f32::from_bits(bits).abs() <= largest {
                true => Some(plain::rounded(dtype, bits)),
                false => None,
            };
            for (dtype, stated, ours) in [
                ("bf16", stated("bf16", f32::MAX), u64::from(bf16_from_f32(bits))),
                ("f16", stated("f16", 65_504.0), u64::from(f16_from_f32(bits))),
                ("f8_e4m3", stated("f8_e4m3", 464.0), u64::from(f8_e4m3_from_f32(bits))),
                ("f8_e5m2", stated("f8_e5m2", 61_439.0), u64::from(f8_e5m2_from_f32(bits))),
                ("f64", stated("f64", f32::MAX), fanin::random::f64_from_f32(bits)),
            ] {
                assert!(stated.is_none_or(|stated| stated == ours), "{bits:#x} in {dtype}");
            }
        }
    };
    (0..0x7F80_0000).step_by(9973).for_each(hold);
    // Every exponent, with the fractions on either side of what rounds to another.
    for exponent in 0..255 {
        for top in 0..32 {
            let bits: u32 = exponent << 23 | top << 18;
            [bits.saturating_sub(1), bits, bits + 1].into_iter().for_each(hold);
        }
    }
    [0x3380_0000, 0x3300_0000, 0x3300_0001].into_iter().for_each(hold);
}

/// What the page and `sample --help` say of the values next to the end of [0, 1).
#[test]
fn the_upper_end_of_a_uniform_rounds_as_often_as_stated() {
    let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
    let largest = (0xFFFF_FFFFu32 >> 8) as f32 * 2f32.powi(-24);
    assert!(largest < 1.0 && unit.check().is_ok());
    for (dtype, one, share) in
        [("bf16", 0x3F80, 512), ("f16", 0x3C00, 4096), ("f8_e4m3", 0x38, 32), ("f8_e5m2", 0x3C, 16)]
    {
        let ones = (0..1u32 << 24).rev();
        let ones = ones
            .take_while(|k| plain::rounded(dtype, (*k as f32 * 2f32.powi(-24)).to_bits()) == one);
        assert_eq!(ones.count(), (1 << 24) / share, "{dtype}");
    }
    let help = String::from_utf8(fanin(&["sample", "--help"]).stdout).unwrap();
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    for said in
        ["one in 4096 is 1 in f16", "one in 512 is 1 in bf16", "32 in f8_e4m3", "16 in f8_e5m2"]
    {
        assert!(help.contains(said), "{help}");
    }
}

/// The one number on the page that is no constant.
#[test]
fn the_first_word_inside_a_cut_of_2_is_the_pages() {
    let contract = Contract::read(&document());
    let cut =
        serde_json::json!({ "kind": "truncated_normal", "mean": 0.0, "std": 1.0, "cut": 2.0 });
    let page = include_str!("../src/random/contract.md");
    assert!(page.contains(&format!("(of a cut of 2, {})", contract.sampler(&cut).low_word)));
}

#[test]
fn the_page_is_what_the_command_prints() {
    assert_eq!(succeeds(&["contract"]), include_str!("../src/random/contract.md"));
}
