//! The WGSL against the table of modules, with naga and no device.

use std::collections::BTreeSet;

use fanin::Activation;
use fanin::model::{Loss, Optimizer};
use fanin::shaders::{Access, Features, Loads, MODULES, Module, Part, Variant};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, StorageAccess};

fn parse(module: &Module, variant: Variant) -> naga::Module {
    let source = module.source_of(&variant);
    naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", module.name, error.emit_to_string(&source)))
}

/// Every variant of a module's source.
pub fn variants(module: &Module) -> Vec<Variant> {
    let mut variants = Vec::new();
    for choice in 0..8 {
        let [int64, longs, subgroups] = [1, 2, 4].map(|bit| choice & bit != 0);
        // Longs are 64-bit integers.
        if longs && !int64 {
            continue;
        }
        for units in [0, 8, 16] {
            let features = Features { int64, longs, subgroups, units };
            for loads in Loads::ALL {
                let other = match loads {
                    Loads::Words => false,
                    Loads::Quads => {
                        !module.parts.iter().any(|part| matches!(part, Part::Factors | Part::Items))
                    }
                    Loads::Halves => !module.parts.contains(&Part::Factors),
                };
                if !(other || !module.parts.contains(&Part::Units) && units > 0) {
                    variants.push(Variant { features, loads, custom: None });
                }
            }
        }
    }
    variants
}

fn validator(module: &Module, features: Features) -> Validator {
    let mut capabilities = Capabilities::empty();
    if module.parts.contains(&Part::Units) {
        capabilities = Capabilities::SHADER_FLOAT16
            | Capabilities::SUBGROUP
            | Capabilities::COOPERATIVE_MATRIX;
    }
    capabilities.set(Capabilities::SHADER_INT64, features.int64);
    if features.subgroups {
        capabilities |= Capabilities::SUBGROUP;
    }
    Validator::new(ValidationFlags::all(), capabilities)
}

#[test]
fn every_variant_of_every_source_validates_and_is_written() {
    for module in MODULES {
        for variant in variants(module) {
            let parsed = parse(module, variant);
            let info = validator(module, variant.features).validate(&parsed);
            let info =
                info.unwrap_or_else(|error| panic!("{} {variant:?}: {error:?}", module.name));
            // Not all that validates can be written.
            let constants = Default::default();
            let (resolved, info) =
                naga::back::pipeline_constants::process_overrides(&parsed, &info, None, &constants)
                    .unwrap();
            naga::back::spv::write_vec(&resolved, &info, &Default::default(), None)
                .unwrap_or_else(|error| panic!("{} {variant:?}: {error:?}", module.name));
        }
    }
}

/// What a constant may be. Those of sizes are as the routes have them.
pub fn values(name: &str) -> Vec<u32> {
    match name {
        "tile_rows" | "tile_columns" => vec![32, 64, 128],
        "row_quads" | "column_quads" => vec![1, 2],
        "slices" => vec![1, 2, 4],
        "slice_depth" => vec![8, 16],
        "width" => vec![64, 256],
        "lanes" => vec![1, 8, 32, 64],
        "significant" => vec![0, 12, 24],
        "activation" => {
            Activation::ALL.iter().map(|activation| activation.code()).chain([255]).collect()
        }
        "dtype" => vec![0, 1, 2, 3, 4, 5],
        "moments" => vec![0, 1, 2],
        "fold" => vec![0, 1, 2, 3],
        // The most that any module has.
        "kind" => vec![0, 1, 2, 3, 4, 5],
        _ => vec![0, 1],
    }
}

#[test]
fn every_choice_of_constants_validates() {
    for module in MODULES {
        let parsed = parse(module, Variant::default());
        let mut validator = validator(module, Features::default());
        let info = validator.validate(&parsed).unwrap();
        let names = module.overrides;
        // Every value of each constant with every value of each other one.
        let least: Vec<u32> = names.iter().map(|name| values(name)[0]).collect();
        let mut choices = BTreeSet::from([least.clone()]);
        for first in 0..names.len() {
            for second in 0..=first {
                for one in values(names[first]) {
                    for other in values(names[second]) {
                        let mut choice = least.clone();
                        (choice[first], choice[second]) = (one, other);
                        choices.insert(choice);
                    }
                }
            }
        }
        for choice in choices {
            let constants = names
                .iter()
                .zip(choice)
                .map(|(name, value)| (name.to_string(), f64::from(value)))
                .collect();
            let (resolved, _) =
                naga::back::pipeline_constants::process_overrides(&parsed, &info, None, &constants)
                    .unwrap();
            validator.reset();
            validator.validate(&resolved).unwrap();
        }
    }
}

#[test]
fn the_table_says_what_the_modules_say() {
    for module in MODULES {
        let parsed = parse(module, Variant::default());
        let entries: BTreeSet<&str> =
            parsed.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(entries, module.entries.iter().copied().collect(), "{}", module.name);
        for entry in &parsed.entry_points {
            // One of a size that is chosen has it as a constant.
            let chosen = entry.workgroup_size_overrides.is_some();
            let fixed = entry.workgroup_size == [module.width, 1, 1];
            assert!(fixed != chosen, "{}: {:?}", entry.name, entry.workgroup_size);
        }
        let overrides: Vec<_> = parsed
            .overrides
            .iter()
            // Lengths of arrays that follow from them have no name.
            .filter_map(|(_, constant)| constant.name.clone())
            .collect();
        assert_eq!(overrides, module.overrides, "{}", module.name);

        let mut bindings: Vec<_> = parsed
            .global_variables
            .iter()
            .filter_map(|(_, variable)| {
                let binding = variable.binding?;
                assert_eq!(binding.group, 0);
                let access = match variable.space {
                    AddressSpace::Uniform => Access::Uniform,
                    AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                        Access::ReadWrite
                    }
                    AddressSpace::Storage { .. } => Access::Read,
                    other => panic!("{}: a binding in {other:?}", module.name),
                };
                Some((binding.binding, variable.name.clone().unwrap_or_default(), access))
            })
            .collect();
        let mut table: Vec<_> = module
            .bindings
            .iter()
            .map(|binding| {
                let access = match binding.access {
                    Access::Step => Access::Uniform,
                    other => other,
                };
                (binding.index, binding.name.to_owned(), access)
            })
            .collect();
        bindings.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        table.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        assert_eq!(bindings, table, "{}", module.name);
    }
}

#[test]
fn libraries_declare_no_bindings_and_no_entries() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/lib")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["@group", "@binding", "@compute", "override "] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// Without it the barrier is a constant, which compilers see through: sums and differences of one number then
/// cancel before they are rounded.
#[test]
fn every_entry_of_an_exact_module_sets_its_barrier() {
    for module in MODULES.iter().filter(|module| module.overrides.contains(&"exact")) {
        for entry in module.entries {
            let at = module.entry_source.find(&format!("fn {entry}(")).unwrap();
            let body = module.entry_source[at..].split_once(") {\n").unwrap().1;
            assert!(body.starts_with("    zero = params.zero;"), "{}: {entry}", module.name);
        }
    }
}

#[test]
fn every_shader_file_is_in_the_table() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|file| {
            let path = file.unwrap().path();
            let stem = path.file_stem()?.to_str()?.to_owned();
            path.is_file().then_some(stem)
        })
        .collect();
    let mut table: Vec<String> = MODULES.iter().map(|module| module.name.to_owned()).collect();
    files.sort();
    table.sort();
    assert_eq!(files, table);
}

#[test]
fn the_uniform_table_holds_every_segment() {
    let parsed = parse(&fanin::shaders::FILL, Variant::default());
    let (_, table) = parsed
        .global_variables
        .iter()
        .find(|(_, variable)| variable.name.as_deref() == Some("table"))
        .unwrap();
    let naga::TypeInner::Array { size: ArraySize::Constant(rows), .. } =
        parsed.types[table.ty].inner
    else {
        panic!("the table is an array");
    };
    assert_eq!(rows.get() as usize, fanin::random::quantile::SEGMENTS.div_ceil(2));
}

/// The code of each of a catalogue is a constant: a prefix and its name, in capitals.
#[test]
fn the_catalogues_have_rusts_codes() {
    let activations: Vec<_> = Activation::ALL.iter().map(|own| (own.name(), own.code())).collect();
    let losses: Vec<_> = Loss::NAMES.into_iter().zip(Loss::ALL.map(|own| own.code())).collect();
    let optimizers: Vec<_> = Optimizer::ALL.iter().map(|own| (own.name(), own.code())).collect();
    for (module, prefix, expected) in [
        (&fanin::shaders::ACTIVATION, "ACTIVATION_", [activations, vec![("custom", 255)]].concat()),
        (&fanin::shaders::LOSS, "LOSS_", losses),
        (&fanin::shaders::UPDATE, "OPTIMIZER_", optimizers),
    ] {
        let parsed = parse(module, Variant::default());
        let found: BTreeSet<(String, u32)> = parsed
            .constants
            .iter()
            .filter_map(|(_, constant)| {
                let name = constant.name.as_deref()?.strip_prefix(prefix)?;
                match parsed.global_expressions[constant.init] {
                    naga::Expression::Literal(naga::Literal::U32(code)) => {
                        Some((name.to_lowercase(), code))
                    }
                    _ => None,
                }
            })
            .collect();
        let expected = expected.into_iter().map(|(name, code)| (name.to_owned(), code)).collect();
        assert_eq!(found, expected, "{}", module.name);
    }
}
