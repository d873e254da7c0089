//! Plans: every element in exactly one window, one part, one invocation, within the limits.

use fanin::gpu::planner::{
    BoxAxis, Limits, Window, dispatch, grid, parts, sections, taken, windows,
};
use fanin::gpu::{Hardware, Route, Way};
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
        for size in [1, 2, 4, 8] {
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
        size in prop::sample::select(vec![1u64, 2, 4, 8]),
        alignment in prop::sample::select(vec![16u64, 32, 64, 256]),
        rows in 2u64..64,
        workgroups in 200u32..65_536,
    ) {
        let limits =
            Limits { binding: alignment.max(256) * rows, alignment, workgroups, dispatch: 1 << 20 };
        check_windows(&limits, offset * size, elements, size);
    }
}

fn hardware(units: u64, memory: u64) -> Hardware {
    Hardware { software: false, units, memory, invocations: 256 }
}

proptest! {
    #[test]
    fn a_depth_is_shared_out_where_it_is_long_and_there_is_room(
        m in 1u64..5000, n in 1u64..5000, k in 1u64..100_000, splits in 1u64..2000,
        slices in 1u64..9, memory in 16_384u64..70_000,
    ) {
        let sizes = [m, n, k];
        let hardware = hardware(Hardware::LARGE, memory);
        for way in [
            Way::usual(&hardware, sizes),
            Way { route: Route::Tiled64, splits, slices }.within(&hardware, sizes),
        ] {
            prop_assert!(way.splits == 1 || 4 * way.splits * m * n <= 1 << 26);
            prop_assert!(way.splits == 1 || way.splits * 64 <= k);
            prop_assert!([1, 2, 4].contains(&way.slices));
            prop_assert_eq!(way.within(&hardware, sizes), way);
        }
        let software = Hardware { software: true, ..hardware };
        prop_assert_eq!(Way::usual(&software, sizes), Way::whole(Route::Direct));
        let direct = Way { route: Route::Direct, splits, slices }.within(&hardware, sizes);
        prop_assert_eq!(direct, Way::whole(Route::Direct));
    }

    #[test]
    fn more_work_takes_longer_and_more_units_less(
        m in 1u64..5000, n in 1u64..5000, k in 1u64..20_000, axis in 0usize..3, more in 0u64..3000,
        units in 1u64..200,
    ) {
        let sizes = [m, n, k];
        let mut larger = sizes;
        larger[axis] += more;
        let few = hardware(units, 49_152);
        let many = Hardware { units: units + 1, ..few };
        for route in Route::ALL.into_iter().filter(|route| *route != Route::Direct) {
            for (splits, slices) in [(1, 1), (3, 1), (1, 4), (3, 4)] {
                let way = Way { route, splits, slices }.within(&few, sizes);
                let time = way.microseconds(&few, sizes);
                prop_assert!(time.is_finite() && time >= 3.0);
                prop_assert!(way.microseconds(&few, larger) >= time, "{way}: {larger:?}");
                prop_assert!(way.microseconds(&many, sizes) <= time, "{way}: {units} units");
            }
        }
    }
}

/// What kernels of these shapes took on an H200, in microseconds. Where the depth is in parts, these were
/// not joined.
#[test]
fn the_model_says_what_was_measured() {
    let h200 = hardware(Hardware::LARGE, 49_152);
    let measured: [([u64; 3], Route, u64, f64); 5] = [
        ([4096, 4096, 4096], Route::Tiled128, 1, 3167.0),
        ([1024, 1024, 1024], Route::Tiled64, 1, 60.3),
        ([1024, 1024, 1024], Route::Tiled128, 4, 56.2),
        ([256, 512, 784], Route::Tiled64, 7, 9.5),
        ([512, 512, 256], Route::Tiled64, 4, 7.1),
    ];
    for (sizes, route, splits, seen) in measured {
        let way = Way { splits, ..Way::whole(route) };
        let mut model = way.microseconds(&h200, sizes);
        if splits > 1 {
            let [m, n, _] = sizes;
            model -= 3.0 + (4 * (splits + 1) * m * n) as f64 / (33_000.0 * 132.0);
        }
        let off = model / seen;
        println!("{sizes:?} {way}: {model:.1} us, measured {seen} us");
        assert!((0.9..1.1).contains(&off), "{sizes:?} {way}: {model} us for {seen}");
    }
    // One row by four rows at a time, the depth whole: 49 us.
    let thin = Way::whole(Route::Thin).microseconds(&h200, [1, 4096, 4096]);
    assert!((44.0..54.0).contains(&thin), "{thin}");
}

/// What is chosen of the work that was measured, and what it is to take.
#[test]
fn what_is_chosen_fills_a_large_card() {
    let h200 = hardware(Hardware::LARGE, 49_152);
    let way = |route, slices, splits| Way { route, splits, slices };
    for (sizes, most) in [
        ([4096, 4096, 4096], 3200.0),
        ([2048, 2048, 2048], 420.0),
        ([1024, 1024, 1024], 58.0),
        ([512, 512, 512], 14.0),
        ([256, 512, 784], 13.5),
        ([256, 512, 512], 11.0),
        ([512, 512, 256], 10.0),
        ([512, 784, 256], 11.0),
        ([256, 10, 512], 9.0),
        ([10, 512, 256], 9.0),
        ([64, 4096, 4096], 75.0),
        ([1, 4096, 4096], 33.0),
        ([64, 64, 65_536], 33.0),
    ] {
        let (way, time) = Way::ranked(&h200, sizes)[0];
        println!("{sizes:?}: {way}, {time:.1} us");
        assert!(time <= most, "{sizes:?}: {way}, {time} us");
    }
    let usual = |sizes| Way::usual(&h200, sizes);
    assert_eq!(usual([4096, 4096, 4096]), way(Route::Tiled128, 1, 1));
    assert_eq!(usual([1024, 1024, 1024]), way(Route::Tiled64, 4, 1));
    assert_eq!(usual([1, 4096, 4096]).route, Route::Thin);
    assert!(usual([64, 4096, 4096]).slices > 1);
    // A short depth stays whole, a long one is shared out.
    assert_eq!(usual([64, 64, 64]).splits, 1);
    assert!(usual([64, 64, 65_536]).splits > 16);
}

/// Whatever a device has beyond WebGPU's least, what is chosen fits into it.
#[test]
fn what_is_chosen_has_room() {
    for memory in [16_384, 32_768, 49_152, 65_536] {
        for units in [1, Hardware::INTEGRATED, Hardware::LARGE] {
            let hardware = hardware(units, memory);
            for sizes in [[1, 1, 1], [64, 4096, 4096], [1024; 3], [256, 512, 784], [u64::MAX; 3]] {
                let way = Way::usual(&hardware, sizes);
                assert_eq!(way.within(&hardware, sizes), way, "{sizes:?}");
            }
        }
    }
}

/// The element of the stream at a position of a box, as the kernel finds it.
fn element(axes: &[BoxAxis], base: u64, position: u32) -> u64 {
    let mut rest = position;
    axes.iter().fold(base, |element, axis| {
        let mut outer = ((u64::from(rest) * u64::from(axis.inverse())) >> 32) as u32;
        outer += u32::from(rest - outer * axis.size >= axis.size);
        assert_eq!(outer, rest / axis.size);
        let along = rest - outer * axis.size;
        rest = outer;
        element.wrapping_add(u64::from(along).wrapping_mul(axis.stride))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn sections_are_the_slices_elements(
        slice in crate::slice::slices(),
        reach in prop_oneof![0u64..40, Just(1 << 30)],
        ends in [0.0..1.0f64, 0.0..1.0],
        begin in 0u32..300,
    ) {
        let [one, other] = ends.map(|end| (end * slice.elements() as f64) as u64);
        let (first, end) = (one.min(other), one.max(other) + 1);
        let window =
            Window { offset: 0, size: 0, begin, end: begin + (end - first) as u32, before: 9 };
        let (axes, sections) = sections(&slice, first, &window, reach);
        let mut local = first;
        for section in &sections {
            let own = section.window;
            prop_assert_eq!(own.before, 9 + local - first);
            prop_assert_eq!(own.begin, begin + (local - first) as u32);
            for place in own.begin..own.end {
                let position = section.lead + place;
                let found = element(&axes, section.base, position);
                prop_assert_eq!(found, slice.index(local));
                local += 1;
                // Behind a run the axes turn over, up to the first that does not.
                let mut runs = position + 1;
                let turned = axes.iter().position(|axis| {
                    let turns = runs.is_multiple_of(axis.size);
                    runs /= axis.size;
                    !turns
                });
                if let Some(axis @ 1..) = turned && place + 1 < own.end {
                    prop_assert_eq!((found + 1).wrapping_add(axes[axis].jump), slice.index(local));
                }
            }
        }
        prop_assert_eq!(local, end);
        // A box that takes everything is one.
        prop_assert!(sections.len() == 1 || reach < 40 || slice.sizes().len() > 5);
    }
}

#[test]
fn quotients_are_right_to_the_last() {
    for size in [1, 2, 3, 5, 164, 1 << 16, (1 << 30) - 1, 1 << 30, u32::MAX] {
        for place in [0, 1, size - 1, size, size.wrapping_add(1), 3 << 30, u32::MAX - 1, u32::MAX] {
            let axes = [
                BoxAxis { stride: 1, jump: 0, size },
                BoxAxis { stride: 1 << 32, jump: 0, size: u32::MAX },
            ];
            let [along, outer] = [place % size, place / size];
            if outer < u32::MAX {
                let wanted = u64::from(along) + (u64::from(outer) << 32);
                assert_eq!(element(&axes, 0, place), wanted, "{place} of {size}");
            }
        }
    }
}
