//! What there is: the version, nonlinearities, initializers, data.

use fanin::model::data::Generated;
use fanin::{Activation, Device, init};
use serde::Serialize;

use crate::settings::{DEEPEST, WEIGHTS, WIDEST};

#[derive(Serialize)]
pub struct About {
    version: &'static str,
    cpu: String,
    simd: bool,
}

pub fn about() -> About {
    About {
        version: env!("CARGO_PKG_VERSION"),
        cpu: Device::Cpu.to_string(),
        simd: cfg!(target_feature = "simd128"),
    }
}

#[derive(Serialize)]
pub struct Catalogue {
    activations: Vec<Nonlinearity>,
    inits: Vec<Initializer>,
    data: Vec<Data>,
    limits: Limits,
}

#[derive(Serialize)]
struct Nonlinearity {
    name: &'static str,
    form: String,
    formula: String,
}

#[derive(Serialize)]
struct Initializer {
    name: &'static str,
    form: String,
    about: &'static str,
}

#[derive(Serialize)]
struct Data {
    name: &'static str,
    about: &'static str,
    columns: usize,
    classes: usize,
}

#[derive(Serialize)]
struct Limits {
    depth: u64,
    width: u64,
    cells: u64,
}

/// The sets that have classes.
pub const SETS: [(Generated, &str, usize, usize); 4] = [
    (Generated::Spirals, "three arms of a spiral", 2, 3),
    (Generated::Moons, "two half circles, each around the other's end", 2, 2),
    (Generated::Rings, "three circles around one centre", 2, 3),
    (Generated::Digits, "digits in 8 x 8 pixels, shifted, turned, with noise", 64, 10),
];

pub fn catalogue() -> Catalogue {
    let activations = Activation::ALL.iter().zip(Activation::help());
    let activations =
        activations.map(|(own, (form, formula))| Nonlinearity { name: own.name(), form, formula });
    let inits = init::catalogue().iter().map(|entry| Initializer {
        name: entry.name,
        form: match entry.parameters {
            "" => entry.name.to_owned(),
            parameters => format!("{}:{parameters}", entry.name),
        },
        about: entry.formula,
    });
    let data = SETS.map(|(set, about, columns, classes)| Data {
        name: set.name(),
        about,
        columns,
        classes,
    });
    Catalogue {
        activations: activations.collect(),
        inits: inits.collect(),
        data: data.into(),
        limits: Limits { depth: DEEPEST, width: WIDEST, cells: WEIGHTS },
    }
}
