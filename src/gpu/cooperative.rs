//! Products of f16 by matrix units, which wgpu calls cooperative matrices.

use super::pass::Dispatch;
use super::route::{Route, Way};
use super::shared::shared;
use super::{Context, Tensor, planner};
use crate::op::Form;
use crate::random::Dtype;
use crate::{Result, shaders};

shared! {
    /// What a dispatch is told.
    struct Params in COOPERATIVE as "Params" {
        rows: u32,
        columns: u32,
        depth: u32,
        split_depth: u32,
        splits: u32,
        a_stride: u32,
        b_stride: u32,
        first_row: u32,
        all_rows: u32,
        unused: u32,
    }
}

/// Units in a row, and in a column, of a subgroup's block.
const BLOCK: u64 = 4;

/// Units in a row, and in a column, of a workgroup's tile.
const TILE: u64 = 2 * BLOCK;

/// Bytes of workgroup memory that a tile's stages take, in units of so many rows: 4096 elements of each
/// factor, and two fours after each line.
const fn stages(unit: u64) -> u64 {
    2 * 2 * (4096 + 8 * TILE * unit)
}

/// Products that one dispatch adds up: matrix units do them in well under 100 ms.
const WORK: u64 = 1 << 38;

/// Rows of the matrices of an adapter's units, where they are what the kernel asks for: square, f16
/// factors, f32 sums, room for a tile's stages; else 0.
pub(super) fn offered(adapter: &wgpu::Adapter) -> u32 {
    let features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(features) {
        return 0;
    }
    let offered = adapter.cooperative_matrix_properties();
    let memory = u64::from(adapter.limits().max_compute_workgroup_storage_size);
    let has = |rows: &u32| {
        stages(u64::from(*rows)) <= memory
            && offered.iter().any(|unit| {
                [unit.m_size, unit.n_size, unit.k_size] == [*rows; 3]
                    && unit.ab_type == wgpu::CooperativeScalarType::F16
                    && unit.cr_type == wgpu::CooperativeScalarType::F32
                    && !unit.saturating_accumulation
            })
    };
    [16, 8].into_iter().find(has).unwrap_or(0)
}

/// The route whose tiles are those of units of so many rows.
pub(super) fn route(unit: u64) -> Route {
    if unit == 8 { Route::Tiled64 } else { Route::Tiled128 }
}

/// Whether a product goes through the units as it is: whole blocks somewhere, whole units of depth,
/// and lines in memory that start at multiples of 16 bytes.
pub(super) fn fits(unit: u64, dtype: Dtype, [m, n, k]: [u64; 3], lines: [u64; 2]) -> bool {
    unit > 0
        && dtype == Dtype::F16
        && m.min(n) >= BLOCK * unit
        && k.is_multiple_of(unit)
        && lines.iter().chain(&[n]).all(|line| line.is_multiple_of(8))
}

/// The sums of each of the way's splits, `[splits, m, n]` in f32.
pub(super) fn sums(
    context: &Context,
    form: Form,
    [a, b]: [&Tensor; 2],
    sums: &wgpu::BufferBinding<'_>,
    sizes: [u64; 3],
    way: Way,
) -> Result<Vec<Dispatch>> {
    let [m, n, k] = sizes;
    let sides = [form == Form::Tn, form != Form::Nt].map(u32::from);
    let constants = [("a_rows", sides[0]), ("b_columns", sides[1])];
    let kernel = context.kernel(&shaders::COOPERATIVE, "cooperative_sums", &constants)?;
    let [a_stride, b_stride] = form.shapes(sizes).map(|[_, line]| line as u32);
    let tile = TILE * context.units();
    let band = (WORK / (n * k) / tile * tile).clamp(tile, 1 << 20);
    let dispatches = (0..m).step_by(band as usize).map(|first_row| {
        let rows = m.min(first_row + band);
        let params = Params {
            rows: rows as u32,
            columns: n as u32,
            depth: k as u32,
            split_depth: way.split_depth(k) as u32,
            splits: way.splits as u32,
            a_stride,
            b_stride,
            first_row: first_row as u32,
            all_rows: m as u32,
            unused: 0,
        };
        let workgroups = (rows - first_row).div_ceil(tile) * n.div_ceil(tile) * way.splits;
        let grid = planner::grid(context.limits(), workgroups as u32, 1);
        let uniforms = context.uniforms(&[params]);
        let buffers = [a.binding(context)?, b.binding(context)?, sums.clone(), uniforms.block(0)];
        Ok(context.prepare(&kernel, &buffers, grid))
    });
    dispatches.collect()
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, TILE, fits, route, stages};
    use crate::gpu::shared::assert_constants;
    use crate::random::Dtype::{Bf16, F16};
    use crate::shaders::{COOPERATIVE, Features};

    #[test]
    fn the_stages_are_the_kernels() {
        for units in [8, 16] {
            let source = COOPERATIVE.source(Features { units, ..Features::default() });
            let module = naga::front::wgsl::parse_str(&source).unwrap();
            let variables = module.global_variables.iter().map(|(_, variable)| variable);
            let staged = variables.filter(|one| one.space == naga::AddressSpace::WorkGroup);
            let bytes = staged.map(|one| module.types[one.ty].inner.size(module.to_ctx()));
            assert_eq!(u64::from(bytes.sum::<u32>()), stages(units.into()));
        }
        // Of units of 16.
        assert_constants(&COOPERATIVE, &[("BLOCK", 16 * BLOCK), ("SIDE", 16 * TILE)]);
    }

    #[test]
    fn blocks_units_and_lines_are_whole() {
        assert!(fits(16, F16, [64, 64, 16], [16, 16]));
        assert!(fits(16, F16, [100, 72, 48], [48, 72]));
        assert!(fits(8, F16, [32, 64, 24], [24, 24]));
        assert!(!fits(0, F16, [64, 64, 16], [16, 16]));
        assert!(!fits(8, F16, [31, 64, 24], [24, 24]));
        for (dtype, sizes, lines) in [
            (Bf16, [64, 64, 16], [16, 16]),
            (F16, [63, 64, 16], [16, 16]),
            (F16, [64, 63, 16], [16, 16]),
            (F16, [64, 64, 24], [24, 24]),
            // A's columns, the result's rows.
            (F16, [68, 64, 16], [68, 64]),
            (F16, [64, 68, 16], [16, 16]),
        ] {
            assert!(!fits(16, dtype, sizes, lines), "{dtype} {sizes:?} {lines:?}");
        }
    }

    #[test]
    fn the_routes_tiles_are_the_kernels() {
        for unit in [8, 16] {
            let tile = route(unit).tile(false);
            assert_eq!([tile.rows, tile.columns], [TILE * unit; 2]);
        }
    }
}
