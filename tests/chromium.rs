//! Every shader in a browser: Chromium's compiler (Tint) takes what naga does not see amiss, and what is
//! drawn there is what the CPU draws.

mod browser;
mod replay;

use std::collections::BTreeMap;
use std::time::Instant;

pub use browser::browser;
use browser::result_of;
use fanin::model::{Loss, Target};
use fanin::random::{Distribution, Stream, quantile};
use fanin::shaders::{FILL, Loads, MATMUL, MODULES, Module, NORM, SLICE, Variant};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contract::document;
use crate::plain::Contract;
use crate::shaders::{values, variants};

/// What the browser is given, and what its results are held to.
struct Work {
    sources: Vec<Source>,
    pipelines: Vec<Pipeline>,
    draws: Vec<Draw>,
}

struct Source {
    module: &'static Module,
    what: String,
    code: String,
    /// Whether it needs what WGSL has not: a browser must refuse it.
    beyond: bool,
}

#[derive(PartialEq)]
struct Pipeline {
    source: usize,
    entry: &'static str,
    constants: BTreeMap<&'static str, u32>,
}

struct Draw {
    what: String,
    pipeline: usize,
    bindings: usize,
    params: Vec<u32>,
    workgroups: u32,
    bytes: usize,
    /// The first bytes, that are drawn.
    drawn: usize,
    digest: String,
}

/// Each value of each constant that an entry reads, the others at their first, and the exact kernels. Of
/// products, those that `gpu::matmul` makes: a browser's software driver takes a second for each.
fn choices(module: &Module, entry: &str, variant: &Variant) -> Vec<BTreeMap<&'static str, u32>> {
    let product = module.name == MATMUL.name;
    let Variant { features, loads, .. } = *variant;
    // Subgroups make a difference to `matmul_direct` alone, which without them takes no 16 bits; sums are
    // joined as words. A browser's context makes no use of subgroups: once is enough.
    let made = match entry {
        "matmul_direct" => features.subgroups || loads != Loads::Halves,
        "matmul_join" => !features.subgroups && loads == Loads::Words,
        _ => !(product && features.subgroups),
    };
    let fours = loads == Loads::Quads;
    let sizes = [
        "tile_rows",
        "tile_columns",
        "row_quads",
        "column_quads",
        "slices",
        "slice_depth",
        "padding",
        "width",
    ];
    let values = |name: &str| match name {
        "dtype" if product => match (entry, loads) {
            ("matmul_join", _) | (_, Loads::Quads) => vec![0],
            ("matmul_direct", Loads::Words) if !features.subgroups => vec![0],
            (_, Loads::Words) => vec![0, 1, 2],
            (_, Loads::Halves) => vec![1, 2],
        },
        // Every product ends alike.
        "activation" if product && entry != "matmul_join" => vec![0],
        // Fours go through the functions that elements go through, and halves as fours do.
        "activation" | "dropout" | "residual" if module.name == NORM.name && fours => vec![0],
        "row_sums" | "ragged" | "a_rows" | "b_columns" if loads == Loads::Halves => vec![0],
        // Each takes a browser's software driver a second or two: all of them are below.
        "activation" => values(name)[..2].to_vec(),
        "kind" if entry == "loss_classes" => losses(Target::Value),
        "kind" if entry == "loss_values" => losses(Target::Class),
        "kind" | "lanes" | "gradients" if entry == "loss_columns" => values(name)[..1].to_vec(),
        "ragged" | "a_rows" | "b_columns" if entry == "matmul_join" => vec![0],
        "staged" if entry.ends_with("edges") => values(name)[..1].to_vec(),
        // Of the entry's own.
        "dtype" if entry.contains("_rarer") => vec![3, 4, 5],
        "dtype" if [FILL.name, SLICE.name].contains(&module.name) => vec![0, 1, 2],
        // What the exact arithmetic has of its own is below.
        "lanes" => vec![1, 64],
        "exact" | "significant" | "unfused" | "guarded" | "long" => vec![0],
        name if sizes.contains(&name) => values(name)[..1].to_vec(),
        name => values(name),
    };
    let least: BTreeMap<&str, u32> =
        module.overrides.iter().map(|name| (*name, values(name)[0])).collect();
    let exact = exact_choices(module, entry, variant);
    let mut changes = vec![vec![]];
    for name in module.overrides {
        changes.extend(values(name)[1..].iter().map(|value| vec![(*name, *value)]));
    }
    if entry == "matmul_tiled" && loads == Loads::Words {
        // How they are staged is apart from how they are read. As there is room for in WebGPU's least.
        let tiles = [
            [64, 64, 2, 2, 1, 8, 0, 64],
            [128, 128, 2, 2, 1, 8, 0, 256],
            [64, 32, 2, 1, 2, 8, 2, 128],
            [32, 32, 1, 1, 2, 16, 1, 128],
        ];
        changes.extend(tiles.map(|tile| sizes.into_iter().zip(tile).collect()));
    }
    match entry {
        _ if features.subgroups => changes.truncate(1),
        // It is of exact products alone.
        "factors_groups" | "factors_rest" => changes.clear(),
        _ => {}
    }
    // What chooses among orders and functions is told apart in the exact arithmetic too.
    let team = if fours { 8 } else { 32 };
    let own = ["lanes", "kind", "dtype", "activation"].into_iter().flat_map(|name| {
        let values = match name {
            _ if !module.overrides.contains(&name) => vec![],
            "lanes" if entry != "loss_columns" => vec![team],
            "kind" => values(name),
            // Elsewhere, and on the way forward, they are the same functions.
            "activation" if entry == "activate_backward_groups" => crate::shaders::values(name),
            _ => vec![],
        };
        values.into_iter().map(move |value| vec![(name, value)])
    });
    for change in std::iter::once(vec![]).chain(own) {
        changes.extend(exact.iter().map(|exact| [&change, exact.as_slice()].concat()));
    }
    let change = |changes: Vec<_>| least.clone().into_iter().chain(changes).collect();
    changes.into_iter().filter(|_| made).map(change).collect()
}

/// The constants of exact kernels as a browser's context makes them, which guards sums.
fn exact_choices(module: &Module, entry: &str, variant: &Variant) -> Vec<Vec<(&'static str, u32)>> {
    let has = |name: &str| module.overrides.contains(&name);
    let of = |significant, unfused| {
        let all = [
            ("exact", 1),
            ("significant", significant),
            ("unfused", unfused),
            ("guarded", 1),
            ("long", u32::from(entry == "matmul_direct")),
        ];
        all.into_iter().filter(|(name, _)| has(name)).collect()
    };
    let [short, full] = match entry {
        // Its factors are rounded before.
        "matmul_direct" => [of(0, 0), of(0, 1)],
        _ => [of(12, 0), of(24, 1)],
    };
    let (words, subgroups) = (variant.loads == Loads::Words, variant.features.subgroups);
    match entry {
        _ if !has("exact") || subgroups => vec![],
        "matmul_join" => vec![short],
        // How factors are read and how products are added are apart.
        _ if has("significant") && words && !entry.starts_with("activate") => vec![short, full],
        _ => vec![short],
    }
}

/// What naga has and WGSL has not: 64-bit integers, cooperative matrices.
fn beyond_wgsl(code: &str) -> bool {
    code.contains("u64") || code.contains("wgpu_cooperative_matrix")
}

impl Work {
    fn all() -> Work {
        let mut work = Work { sources: Vec::new(), pipelines: Vec::new(), draws: Vec::new() };
        for module in MODULES {
            for variant in variants(module) {
                let mut code = module.source_of(&variant);
                // naga has the built-ins without this, and rejects it. Lanes that share stand together.
                if code.contains("subgroup") {
                    code =
                        format!("enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n{code}");
                }
                if work.sources.iter().any(|source| source.code == code) {
                    continue;
                }
                let beyond = beyond_wgsl(&code);
                let what = format!("{} {:?} {:?}", module.name, variant.features, variant.loads);
                for entry in module.entries {
                    for constants in choices(module, entry, &variant) {
                        if !beyond {
                            work.pipeline(work.sources.len(), entry, constants);
                        }
                    }
                }
                work.sources.push(Source { module, what, code, beyond });
            }
        }
        work.draw_everything();
        work
    }

    /// A pipeline's place, which no other like it has.
    fn pipeline(
        &mut self,
        source: usize,
        entry: &'static str,
        constants: BTreeMap<&'static str, u32>,
    ) -> usize {
        let made = Pipeline { source, entry, constants };
        self.pipelines.iter().position(|pipeline| *pipeline == made).unwrap_or_else(|| {
            self.pipelines.push(made);
            self.pipelines.len() - 1
        })
    }

    fn draw_everything(&mut self) {
        let document = document();
        let contract = Contract::read(&document);
        let stream = Stream::named(7, "golden");
        let elements = 1 << 16;
        let source =
            self.sources.iter().position(|source| source.module.name == FILL.name).unwrap();
        for (name, distribution, dtype) in fanin::verify::cases() {
            let known = document["draws"].as_array().unwrap();
            let known = known.iter().find(|draw| draw["name"] == name).unwrap();
            let sampler = contract.sampler(&known["distribution"]);
            let code = fanin::shaders::dtype_code(dtype).unwrap();
            // Whole groups, over the carry of the block's low word, as software adapters draw them and
            // as GPUs do; then a run that begins within a block and ends within a group.
            let first = (1 << 34) - (1 << 15);
            let quantile = matches!(
                distribution,
                Distribution::Normal { .. } | Distribution::TruncatedNormal { .. }
            );
            let (staged, gpus) = if quantile { (1, "fill_twos") } else { (0, "fill_fours") };
            let constant = matches!(distribution, Distribution::Constant { .. });
            let (software, gpus, edges) = match dtype.size() {
                1 | 8 => ("fill_rarer", "fill_rarer", "fill_rarer_edges"),
                _ => ("fill_groups", gpus, "fill_edges"),
            };
            for (entry, staged, first, count) in [
                (software, 0, first, elements),
                (gpus, staged, first, elements),
                (edges, 0, first + 1, elements - 3),
            ] {
                let constants = BTreeMap::from([
                    ("kind", sampler.kind),
                    ("dtype", code),
                    ("shifted", u32::from(sampler.shift != 0.0 && !constant)),
                    ("staged", staged),
                ]);
                let pipeline = self.pipeline(source, entry, constants);
                let mut drawn = vec![0; count as usize * dtype.size()];
                distribution.draw(&stream, dtype, first, &mut drawn).unwrap();
                let groups = elements as usize * dtype.size() / 16;
                let each = if entry == edges { 1 } else { 8 };
                let halves = |long: u64| [long as u32, (long >> 32) as u32];
                let [mut key, id, base] = [stream.seed, stream.id, first / 4].map(halves);
                if constant {
                    // 8 bytes of it.
                    let element = drawn[..dtype.size()].iter().copied().cycle();
                    let bytes: Vec<u8> = element.take(8).collect();
                    key = halves(u64::from_le_bytes(bytes.try_into().unwrap()));
                }
                let rest = [(first % 4) as u32, 0, count, 0, groups as u32, each as u32];
                let sampler =
                    [sampler.scale.to_bits(), sampler.shift.to_bits(), sampler.low_word, 0];
                self.draws.push(Draw {
                    what: format!("{name} in {dtype}, {entry}, staged {staged}"),
                    // Edges are drawn by the table where it lies.
                    bindings: if entry == edges { 3 } else { 4 },
                    pipeline,
                    params: [key.as_slice(), &id, &base, &rest, &sampler].concat(),
                    workgroups: groups.div_ceil(256 * each) as u32,
                    bytes: groups * 16,
                    drawn: drawn.len(),
                    digest: digest(&drawn),
                });
            }
        }
    }

    fn json(&self) -> Value {
        let pipelines = self.pipelines.iter().map(|Pipeline { source, entry, constants }| {
            json!({ "source": source, "entry": entry, "constants": constants })
        });
        let draws = self.draws.iter().map(|draw| {
            json!({
                "pipeline": draw.pipeline,
                "bindings": draw.bindings,
                "params": draw.params,
                "workgroups": draw.workgroups,
                "bytes": draw.bytes,
                "digested": draw.drawn,
            })
        });
        let mut table = quantile::TABLE.as_flattened().to_vec();
        table.resize(table.len().next_multiple_of(4), 0);
        json!({
            "features": ["subgroups"],
            "sources": self.sources.iter().map(|source| &source.code).collect::<Vec<_>>(),
            "pipelines": pipelines.collect::<Vec<_>>(),
            "draws": draws.collect::<Vec<_>>(),
            "table": table,
        })
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn chromium_makes_every_pipeline_and_draws_the_cpus_bits() {
    let Some(name) = browser() else {
        println!("FANIN_TEST_CHROMIUM=none: no browser");
        return;
    };
    let work = Work::all();
    let start = Instant::now();
    let result = result_of(&name, &work.json());
    let took = start.elapsed().as_secs_f64();
    println!(
        "{name}: {} sources, {} pipelines, {} draws on {} in {took:.1} s",
        work.sources.len(),
        work.pipelines.len(),
        work.draws.len(),
        result["adapter"]
    );
    let features = result["features"].as_array().unwrap();
    // Without the feature its sources are refused, and those alone.
    let subgroups = features.iter().any(|feature| feature == "subgroups");
    let refused = |source: &Source| source.beyond || !subgroups && source.code.contains("subgroup");
    for (index, source) in work.sources.iter().enumerate() {
        let error = &result["sources"][index];
        assert_eq!(error.is_string(), refused(source), "{}: {error}", source.what);
    }
    let mut failed = Vec::new();
    for (index, pipeline) in work.pipelines.iter().enumerate() {
        let (error, source) = (&result["pipelines"][index], &work.sources[pipeline.source]);
        if error.is_string() && !refused(source) {
            failed.push(format!(
                "{} {} {:?}: {error}",
                source.what, pipeline.entry, pipeline.constants
            ));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let wrong: Vec<&str> = (work.draws.iter().enumerate())
        .filter(|(index, draw)| result["draws"][*index] != draw.digest.as_str())
        .map(|(_, draw)| draw.what.as_str())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a browser is not asked to take: 64-bit integers, where a module has them, and matrix units.
#[test]
fn only_what_wgsl_has_not_is_kept_from_browsers() {
    let work = Work::all();
    let mut beyond: Vec<&str> = work
        .sources
        .iter()
        .filter(|source| source.beyond)
        .map(|source| source.module.name)
        .collect();
    beyond.dedup();
    assert_eq!(
        beyond,
        [
            "fill",
            "slice",
            "reduce",
            "histogram",
            "matmul",
            "cooperative",
            "activation",
            "dropout",
            "rows",
            "norm",
            "loss",
            "update",
            "peak"
        ]
    );
    for module in MODULES {
        let base = module.source(Default::default());
        assert_eq!(beyond_wgsl(&base), module.name == "cooperative", "{}", module.name);
    }
}

/// The codes of the losses that are not held against these alone.
fn losses(but: Target) -> Vec<u32> {
    Loss::ALL.into_iter().filter(|loss| loss.target() != but).map(|loss| loss.code()).collect()
}
