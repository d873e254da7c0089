//! What stands in Rust and in WGSL: tests hold the two together.

/// A struct that a shader, or several (`A | B`), read from a buffer, under the same names: that its members lie where the shader
/// looks for them is the test of its name. Those that begin with `unused` fill it up.
///
/// ```ignore
/// shared! {
///     struct Params in LOSS as "Params" { rows: u32, columns: u32 }
/// }
/// ```
macro_rules! shared {
    ($(#[$meta:meta])* $vis:vis struct $name:ident in $($module:ident)|+ as $wgsl:literal {
        $($seen:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        $vis struct $name {
            $($seen $field: $type,)*
        }

        // It is bound by its own size, in blocks of a stride.
        const _: () = assert!(size_of::<$name>() <= super::UNIFORM_STRIDE);

        #[cfg(test)]
        #[test]
        #[allow(non_snake_case)]
        fn $name() {
            let members = [$((stringify!($field), std::mem::offset_of!($name, $field))),*];
            for module in [$(&crate::shaders::$module),+] {
                crate::gpu::shared::assert_laid_out(module, $wgsl, &members, size_of::<$name>());
            }
        }
    };
}

pub(super) use shared;

#[cfg(test)]
mod held {
    use crate::shaders::Module;

    fn parse(module: &Module) -> naga::Module {
        naga::front::wgsl::parse_str(&module.source(Default::default())).unwrap()
    }

    /// That a shader's struct has these members at these offsets, and this size.
    pub(crate) fn assert_laid_out(
        module: &Module,
        name: &str,
        members: &[(&str, usize)],
        size: usize,
    ) {
        let parsed = parse(module);
        let (_, ty) = parsed
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some(name))
            .unwrap_or_else(|| panic!("{} has no struct {name}", module.name));
        let mut found = Vec::new();
        flatten(&parsed, ty, 0, &mut found);
        let used = |name: &str| !name.starts_with("unused");
        found.retain(|(name, _)| used(name));
        let members: Vec<(String, usize)> = members
            .iter()
            .filter(|(name, _)| used(name))
            .map(|(name, offset)| ((*name).to_owned(), *offset))
            .collect();
        assert_eq!(found, members, "{}'s {name}, and Rust's", module.name);
        let span = ty.inner.size(parsed.to_ctx()) as usize;
        assert_eq!(span, size, "the size of {}'s {name}, and of Rust's", module.name);
    }

    /// The members of a struct, those of structs in it in their place.
    fn flatten(
        module: &naga::Module,
        ty: &naga::Type,
        base: usize,
        found: &mut Vec<(String, usize)>,
    ) {
        let naga::TypeInner::Struct { members, .. } = &ty.inner else { panic!("a struct") };
        for member in members {
            let (ty, offset) = (&module.types[member.ty], base + member.offset as usize);
            match ty.inner {
                naga::TypeInner::Struct { .. } => flatten(module, ty, offset, found),
                _ => found.push((member.name.clone().unwrap_or_default(), offset)),
            }
        }
    }

    /// That a shader's constants have these values.
    pub(crate) fn assert_constants(module: &Module, constants: &[(&str, u64)]) {
        let parsed = parse(module);
        for (name, value) in constants {
            let (_, constant) = parsed
                .constants
                .iter()
                .find(|(_, constant)| constant.name.as_deref() == Some(name))
                .unwrap_or_else(|| panic!("{} has no constant {name}", module.name));
            let found = match parsed.global_expressions[constant.init] {
                naga::Expression::Literal(naga::Literal::U32(found)) => u64::from(found),
                ref other => panic!("{}'s {name} is {other:?}", module.name),
            };
            assert_eq!(found, *value, "{}'s {name}, and Rust's", module.name);
        }
    }
}

#[cfg(test)]
pub(crate) use held::{assert_constants, assert_laid_out};

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::{assert_constants, assert_laid_out};
    use crate::op::Step;
    use crate::random::{Dtype, Kind};
    use crate::shaders::{self, Access, MODULES, dtype_code};

    #[test]
    fn a_step_is_laid_out_as_the_shaders_have_it() {
        let members = [
            ("step", offset_of!(Step, step)),
            ("rows", offset_of!(Step, rows)),
            ("first", offset_of!(Step, first)),
            ("slot", offset_of!(Step, slot)),
            ("lr", offset_of!(Step, lr)),
            ("correction1", offset_of!(Step, correction1)),
            ("correction2", offset_of!(Step, correction2)),
            ("inverse", offset_of!(Step, inverse)),
        ];
        for module in MODULES {
            if module.bindings.iter().any(|binding| binding.access == Access::Step) {
                assert_laid_out(module, "Step", &members, size_of::<Step>());
            }
        }
        assert!(size_of::<Step>() <= crate::gpu::UNIFORM_STRIDE);
    }

    #[test]
    fn dtypes_and_kinds_have_rusts_codes() {
        let dtypes = Dtype::SAMPLED.map(|dtype| {
            let name = format!("DTYPE_{}", dtype.name().to_uppercase());
            (name, u64::from(dtype_code(dtype).unwrap()))
        });
        let dtypes = dtypes.each_ref().map(|(name, code)| (name.as_str(), *code));
        for module in [&shaders::FILL, &shaders::MATMUL, &shaders::REDUCE, &shaders::HISTOGRAM] {
            assert_constants(module, &dtypes);
        }
        let kinds = [
            ("KIND_WORDS", Kind::Words),
            ("KIND_CONSTANT", Kind::Constant),
            ("KIND_UNIT", Kind::Unit),
            ("KIND_SYMMETRIC", Kind::Symmetric),
            ("KIND_NORMAL", Kind::Normal),
            ("KIND_TRUNCATED", Kind::Truncated),
        ];
        assert_constants(&shaders::FILL, &kinds.map(|(name, kind)| (name, kind as u64)));
    }
}
