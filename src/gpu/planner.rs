//! From a run of elements and a device's limits to bindings and grids. Knows no device.

use crate::random::Slice;

/// The limits that a plan keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest storage binding, in bytes; at least 512.
    pub binding: u64,
    /// What the offset of a binding is a multiple of, in bytes.
    pub alignment: u64,
    /// The most workgroups a dimension.
    pub workgroups: u32,
    /// What one dispatch may cover, in bytes, whatever the device would bind: a slow adapter does it in
    /// about 100 ms, which no watchdog minds. At least 512.
    pub dispatch: u64,
}

/// [`Limits::dispatch`] of a software adapter, or of a GPU, whose units idle while a dispatch ends and
/// the next begins.
pub const fn dispatch(software: bool) -> u64 {
    if software { 1 << 27 } else { 1 << 30 }
}

/// A stretch of a buffer, bound as one: whole windows between the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where the binding starts in the buffer, in bytes; a multiple of the alignment.
    pub offset: u64,
    /// The binding's length in bytes; a multiple of 4.
    pub size: u64,
    /// The first element of the run in the binding.
    pub begin: u32,
    /// One past the last element of the run in the binding.
    pub end: u32,
    /// Elements of the run before this window.
    pub before: u64,
}

/// The longest window, in bytes; a multiple of the alignment.
pub fn window_bytes(limits: &Limits) -> u64 {
    limits.binding.min(limits.dispatch) / limits.alignment * limits.alignment
}

/// The windows of a run of `elements` of `size` bytes that starts `offset` bytes into its buffer.
/// `offset` is a multiple of `size`.
pub fn windows(limits: &Limits, offset: u64, elements: u64, size: u64) -> Vec<Window> {
    let length = window_bytes(limits);
    let (mut at, last) = (offset, offset + elements * size);
    let mut windows = Vec::new();
    while at < last {
        let start = at / limits.alignment * limits.alignment;
        let stop = last.min(start + length);
        windows.push(Window {
            offset: start,
            size: (stop - start).next_multiple_of(4),
            begin: ((at - start) / size) as u32,
            end: ((stop - start) / size) as u32,
            before: (at - offset) / size,
        });
        at = stop;
    }
    windows
}

/// The grid of at least `invocations` in rows of `width`: `[x, y, 1]`, as `grid_index` reads it.
pub fn grid(limits: &Limits, invocations: u32, width: u32) -> [u32; 3] {
    let workgroups = invocations.div_ceil(width);
    let x = workgroups.min(limits.workgroups);
    [x, workgroups.div_ceil(x.max(1)), 1]
}

/// Workgroups that keep a large GPU busy: four on each of some 130 units.
const BUSY: u32 = 512;

/// Groups an invocation takes of so many in all, `most` unless that would leave parts of a large GPU idle.
pub fn taken(groups: u32, most: u32, width: u32) -> u32 {
    groups.div_ceil(width * BUSY).clamp(1, most)
}

/// A run of 16-byte groups that one dispatch fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRange {
    /// Whether it needs the kernel for edges and rotations.
    pub edges: bool,
    /// The first group.
    pub first: u32,
    /// How many.
    pub groups: u32,
}

/// The parts of a window: whole groups in one, what is left at either end apart; everything as
/// edges where the stream does not begin a block with the window's element 0.
pub fn parts(window: &Window, rotation: u32, elements_per_group: u32) -> Vec<GroupRange> {
    let (begin, end, per) = (window.begin, window.end, elements_per_group);
    let (outer_first, outer_last) = (begin / per, end.div_ceil(per));
    let (inner_first, inner_last) = (begin.div_ceil(per), end / per);
    let part = |edges, first: u32, last: u32| GroupRange { edges, first, groups: last - first };
    if rotation != 0 || inner_first >= inner_last {
        return vec![part(true, outer_first, outer_last)];
    }
    let mut parts = vec![part(false, inner_first, inner_last)];
    if outer_first < inner_first {
        parts.push(part(true, outer_first, inner_first));
    }
    if inner_last < outer_last {
        parts.push(part(true, inner_last, outer_last));
    }
    parts
}

/// Axes of a box at most, the run included.
pub const AXES: usize = 5;

/// An axis of a box, as the kernel of slices reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxAxis {
    /// Elements of the stream from one place along it to the next.
    pub stride: u64,
    /// From behind a run to the next, where that is a place further along this axis and at the start of
    /// those within, modulo 2^64.
    pub jump: u64,
    /// Places; of the outermost 2^32 - 1, since a section of a box ends before it does.
    pub size: u32,
}

impl BoxAxis {
    /// What a place is multiplied by for its quotient by the size, less than one too low: 2^32 / size,
    /// rounded down, or 2^32 - 1.
    pub fn inverse(&self) -> u32 {
        u32::try_from((1u64 << 32) / u64::from(self.size)).unwrap_or(u32::MAX)
    }
}

/// The axes of a slice that positions in a box are counted along, from the innermost out: [`AXES`] at
/// most, and no more than it takes for `reach` elements. What is around them is stepped through.
fn box_axes(slice: &Slice, reach: u64) -> (Vec<BoxAxis>, u64) {
    let (mut axes, mut inner, mut behind) = (Vec::new(), 1u64, 0u64);
    for axis in slice.axes() {
        let jump = axis.stride.wrapping_sub(behind);
        axes.push(BoxAxis { stride: axis.stride, jump, size: u32::MAX });
        // A run is left behind its last element, the others at their last place.
        let last = if axes.len() == 1 { axis.size } else { axis.size - 1 };
        behind = behind.wrapping_add(last.wrapping_mul(axis.stride));
        // Products of a slice's sizes are no more than its elements.
        let outer = inner * axis.size;
        if axes.len() == AXES || axes.len() == slice.axes().len() || outer > reach {
            break;
        }
        if let Some(last) = axes.last_mut() {
            last.size = axis.size as u32;
        }
        inner = outer;
    }
    (axes, inner)
}

/// Elements of a slice in a window that lie in one box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The window, from the section's first element to its last.
    pub window: Window,
    /// The position in the box of what would stand at element 0 of the binding.
    pub lead: u32,
    /// The element of the stream at position 0, modulo 2^64.
    pub base: u64,
}

/// The sections of a window of a slice's elements, whose first is element `first` of the slice, and the
/// axes of their boxes. A window has 2^30 elements at most, and `reach` is no more.
pub fn sections(
    slice: &Slice,
    first: u64,
    window: &Window,
    reach: u64,
) -> (Vec<BoxAxis>, Vec<Section>) {
    let (axes, inner) = box_axes(slice, reach);
    let outermost = slice.axes()[axes.len() - 1];
    let (mut at, mut begin, mut sections) = (first, window.begin, Vec::new());
    while begin < window.end {
        let position = at % inner;
        let place = at / inner % outermost.size;
        let rest = (outermost.size - place) * inner - position;
        let count = u64::from(window.end - begin).min(rest);
        // From so many steps along the outermost axis earlier, that no position of the binding is negative.
        let steps = u64::from(begin).div_ceil(inner);
        let base = slice.index(at - position).wrapping_sub(steps.wrapping_mul(outermost.stride));
        let end = begin + count as u32;
        sections.push(Section {
            window: Window { begin, end, before: window.before + (at - first), ..*window },
            lead: (position + steps * inner - u64::from(begin)) as u32,
            base,
        });
        (at, begin) = (at + count, end);
    }
    (axes, sections)
}
