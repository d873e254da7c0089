//! Plans: every element in exactly one window, one part, one invocation, within the limits.

use fanin::gpu::planner::{Limits, grid, parts, windows};
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

const USUAL: Limits = Limits { binding: 128 << 20, alignment: 256, workgroups: 65_535 };

#[test]
fn plans_hold_at_the_edges() {
    for elements in
        [0, 1, 3, 4, 5, 255, 256, 257, (1 << 25) - 1, 1 << 25, (1 << 32) - 3, (1 << 32) + 5]
    {
        for size in [2, 4] {
            for offset in [0, 1, 2, 63, 64, 65] {
                check_windows(&USUAL, offset * size, elements, size);
                let small = Limits { binding: 512, alignment: 256, workgroups: 3 };
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
        let limits = Limits { binding: alignment.max(256) * rows, alignment, workgroups };
        check_windows(&limits, offset * size, elements, size);
    }
}
