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
                    || u64::from(contract.element(&sampler, dtype, (seed, id, index))) != bits
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
    for bits in (0..0x477F_E000).step_by(9973).chain([0x3380_0000, 0x3300_0000, 0x3300_0001]) {
        for bits in [bits, bits | 1 << 31] {
            let (bf16, f16) = (plain::rounded("bf16", bits), plain::rounded("f16", bits));
            assert_eq!(bf16, u32::from(fanin::random::bf16_from_f32(bits)), "{bits:#x}");
            assert_eq!(f16, u32::from(fanin::random::f16_from_f32(bits)), "{bits:#x}");
        }
    }
}

/// What the page and `sample --help` say of the values next to the end of [0, 1).
#[test]
fn the_upper_end_of_a_uniform_rounds_as_often_as_stated() {
    let unit = Distribution::Uniform { low: 0.0, high: 1.0 };
    let largest = (0xFFFF_FFFFu32 >> 8) as f32 * 2f32.powi(-24);
    assert!(largest < 1.0 && unit.check().is_ok());
    for (dtype, one, share) in [("bf16", 0x3F80, 512), ("f16", 0x3C00, 4096)] {
        let ones = (0..1u32 << 24).rev();
        let ones = ones
            .take_while(|k| plain::rounded(dtype, (*k as f32 * 2f32.powi(-24)).to_bits()) == one);
        assert_eq!(ones.count(), (1 << 24) / share, "{dtype}");
    }
    let help = String::from_utf8(fanin(&["sample", "--help"]).stdout).unwrap();
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    assert!(help.contains("one in 512 is 1 in bf16"), "{help}");
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
