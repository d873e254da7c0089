//! The WGSL against the table of modules, with naga and no device.

use std::collections::BTreeSet;

use fanin::shaders::{Access, MODULES, Module};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ArraySize, StorageAccess};

fn parse(module: &Module, int64: bool) -> naga::Module {
    let source = module.source(int64);
    naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", module.name, error.emit_to_string(&source)))
}

#[test]
fn every_module_validates_with_each_product() {
    for module in MODULES {
        for int64 in [false, true] {
            let parsed = parse(module, int64);
            let capabilities =
                if int64 { Capabilities::SHADER_INT64 } else { Capabilities::empty() };
            let info = Validator::new(ValidationFlags::all(), capabilities).validate(&parsed);
            info.unwrap_or_else(|error| panic!("{}: {error:?}", module.name));
        }
    }
}

#[test]
fn every_variant_validates() {
    for module in MODULES {
        let parsed = parse(module, false);
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let info = validator.validate(&parsed).unwrap();
        let names = module.overrides;
        for variant in 0..8u32.pow(names.len() as u32) {
            let constants = names
                .iter()
                .enumerate()
                .map(|(place, name)| {
                    (name.to_string(), f64::from(variant / 8u32.pow(place as u32) % 8))
                })
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
        let parsed = parse(module, false);
        let entries: BTreeSet<&str> =
            parsed.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(entries, module.entries.iter().copied().collect(), "{}", module.name);
        for entry in &parsed.entry_points {
            assert_eq!(entry.workgroup_size, [module.width, 1, 1], "{}", entry.name);
        }
        let overrides: Vec<_> = parsed
            .overrides
            .iter()
            .map(|(_, constant)| constant.name.clone().unwrap_or_default())
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
    let parsed = parse(&fanin::shaders::FILL, false);
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

/// The members of a struct and their offsets, as Rust's `Params` has them.
#[test]
fn params_are_laid_out_as_rust_lays_them_out() {
    type Members = &'static [(&'static str, u32)];
    let expected: [(&str, Members, u32); 2] = [
        (
            "fill",
            &[
                ("key", 0),
                ("id", 8),
                ("base", 16),
                ("rotation", 24),
                ("begin", 28),
                ("end", 32),
                ("first_group", 36),
                ("groups", 40),
                ("unused", 44),
                ("sampler", 48),
            ],
            64,
        ),
        ("moments", &[("begin", 0), ("end", 4), ("rows", 8), ("first_row", 12)], 16),
    ];
    for (name, offsets, size) in expected {
        let module = MODULES.iter().find(|module| module.name == name).unwrap();
        let parsed = parse(module, false);
        let (_, ty) =
            parsed.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap();
        let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("a struct") };
        let found: Vec<_> = members
            .iter()
            .map(|member| (member.name.as_deref().unwrap_or_default(), member.offset))
            .collect();
        assert_eq!(found, offsets, "{name}");
        assert_eq!(*span, size, "{name}");
    }
}
