//! Plans: every element in exactly one window, one part, one invocation, within the limits.

use fanin::gpu::planner::{Limits, dispatch, grid, parts, taken, windows};
use fanin::gpu::{Route, Way};
use proptest::prelude::*;

fn check_windows(limits: &Limits, offset: u64, elements: u64, size: u64) {
    let mut covered = 0;
    for window in windows(limits, offset, elements, size) {
        assert_eq!(window.offset % limits.alignment, 0);
        assert!(window.size <= limits.binding && window.size % 4 == 0 && window.size > 0);
        assert_eq!(window.before, covered);
        assert!(window.begin < window.end);
        // Element `begin` of the window is element `before` of the run.
        let at = window.offset + u64::from(window.begin) * size;
        assert_eq!(at, offset + covered * size);
        assert!(u64::from(window.end) * size <= window.size);
        // A binding ends no more than the padding to 4 bytes after the run.
        assert!(window.offset + window.size <= (offset + elements * size).next_multiple_of(4));
        covered += u64::from(window.end - window.begin);

        for rotation in 0..4 {
            let per = (16 / size) as u32;
            let mut filled: Vec<(u32, u32)> = Vec::new();
            for part in parts(&window, rotation, per) {
                assert!(part.groups > 0);
                let (first, last) = (part.first * per, (part.first + part.groups) * per);
                if !part.edges {
                    assert_eq!(rotation, 0);
                    assert!(first >= window.begin && last <= window.end, "whole groups only");
                }
                filled.push((first.max(window.begin), last.min(window.end)));
                let [x, y, z] = grid(limits, part.groups, 256);
                assert!(x <= limits.workgroups && y <= limits.workgroups && z == 1);
                assert!(u64::from(x) * u64::from(y) * 256 >= u64::from(part.groups));
            }
            filled.sort();
            assert_eq!(filled[0].0, window.begin);
            assert_eq!(filled[filled.len() - 1].1, window.end);
            assert!(filled.windows(2).all(|pair| pair[0].1 == pair[1].0), "{filled:?}");
        }
    }
    assert_eq!(covered, elements);
}

const USUAL: Limits =
    Limits { binding: 128 << 20, alignment: 256, workgroups: 65_535, dispatch: dispatch(true) };

/// As on a large GPU.
const LARGE: Limits = Limits { binding: (1 << 31) - 4, dispatch: dispatch(false), ..USUAL };

#[test]
fn plans_hold_at_the_edges() {
    for elements in
        [0, 1, 3, 4, 5, 255, 256, 257, (1 << 25) - 1, 1 << 25, (1 << 32) - 3, (1 << 32) + 5]
    {
        for size in [2, 4] {
            for offset in [0, 1, 2, 63, 64, 65] {
                check_windows(&USUAL, offset * size, elements, size);
                check_windows(&LARGE, offset * size, elements, size);
                let small = Limits { binding: 512, workgroups: 3, ..USUAL };
                if elements < 1000 {
                    check_windows(&small, offset * size, elements, size);
                }
            }
        }
    }
}

#[test]
fn a_grid_of_nothing_is_empty() {
    assert_eq!(grid(&USUAL, 0, 256), [0, 0, 1]);
}

#[test]
fn a_large_gpu_has_work_on_all_its_units() {
    // 2^20 f32s are 2^18 groups: four workgroups of 256 on each of 128 units.
    assert_eq!(taken(1 << 18, 16, 256), 2);
    assert_eq!(taken(1 << 26, 16, 256), 16);
    assert_eq!(taken(1, 16, 256), 1);
    for groups in (0..60).map(|step| 3u32.pow(step / 3) + step) {
        let taken = taken(groups, 16, 256);
        let workgroups = groups.div_ceil(taken).div_ceil(256);
        assert!(taken == 1 || workgroups >= 256, "{groups} groups in {workgroups} workgroups");
    }
}

proptest! {
    #[test]
    fn plans_hold_anywhere(
        offset in 0u64..1 << 40,
        elements in 0u64..100_000,
        size in prop::sample::select(vec![2u64, 4]),
        alignment in prop::sample::select(vec![16u64, 32, 64, 256]),
        rows in 2u64..64,
        workgroups in 200u32..65_536,
    ) {
        let limits =
            Limits { binding: alignment.max(256) * rows, alignment, workgroups, dispatch: 1 << 20 };
        check_windows(&limits, offset * size, elements, size);
    }
}

proptest! {
    #[test]
    fn a_depth_is_shared_out_where_it_is_long_and_there_is_room(
        m in 1u64..5000, n in 1u64..5000, k in 1u64..100_000, splits in 1u64..2000,
    ) {
        for way in [
            Way::usual(false, [m, n, k]),
            Way { route: Route::Tiled64, splits }.within([m, n, k]),
        ] {
            prop_assert!(way.splits == 1 || 4 * way.splits * m * n <= 1 << 26);
            prop_assert!(way.splits == 1 || way.splits * 256 <= k);
        }
        prop_assert_eq!(Way::usual(true, [m, n, k]), Way { route: Route::Direct, splits: 1 });
        prop_assert_eq!(Way { route: Route::Direct, splits }.within([m, n, k]).splits, 1);
    }
}

#[test]
fn tiles_are_as_large_as_fill_a_device() {
    let route = |sizes| Way::usual(false, sizes).route;
    assert_eq!(route([4096, 4096, 4096]), Route::Tiled128);
    assert_eq!(route([1024, 1024, 1024]), Route::Tiled64);
    assert_eq!(route([256, 512, 784]), Route::Tiled32);
    assert_eq!(route([1, 4096, 4096]), Route::Thin);
    // A short depth stays whole, a long one is shared out.
    assert_eq!(Way::usual(false, [64, 64, 256]).splits, 1);
    assert_eq!(Way::usual(false, [64, 64, 65_536]).splits, 32);
}
