//! Products of the exact arithmetic.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use super::is_empty;
use super::tile::{Kernel, LARGEST, ROW, fastest};
use crate::host::parallel::*;
use crate::op::{Form, Operands, STRETCH};
use crate::{Result, memory};

/// `out = A B`, with the factors as `form` reads them and sizes `[m, n, k]`, on all threads of the
/// current rayon pool: the same bits in every instruction set, and on any number of threads.
///
/// An operand below 2^-51 in magnitude is taken as +0, and what is finite is rounded as `operands` says.
/// The depth is cut into stretches of 256. Each has a sum, which starts from +0 and to which its
/// products are added one by one, in ascending order; the sums are then added up in ascending order
/// too. Each product and each sum is rounded to the nearest f32, ties to even. Without any depth the
/// result is +0. Of what is not a number the bits are not promised.
///
/// Threads keep the memory that they pack factors into, at most 1.6 MB each.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) where a slice has not the length that the sizes ask for,
/// [`Error::Exhausted`](crate::Error::Exhausted) where there is no memory to pack the factors into.
pub(super) fn matmul(
    operands: Operands,
    form: Form,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    sizes: [usize; 3],
) -> Result<()> {
    matmul_by(fastest(), operands, form, a, b, out, sizes)
}

/// [`matmul`] in one instruction set.
fn matmul_by(
    kernel: &Kernel,
    operands: Operands,
    form: Form,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    [m, n, k]: [usize; 3],
) -> Result<()> {
    if is_empty(a, b, out, [m, n, k])? {
        return Ok(());
    }
    let strides = form.strides([m, n, k]);
    let left = Factor { values: a, lines: m, line: strides.a_row, depth: strides.a_depth };
    let right = Factor { values: b, lines: n, line: strides.b_column, depth: strides.b_depth };
    // A product of a pair does not mind which of them comes first, and so the result is as well made
    // column by column: where less of the tiles then lies beyond its edges.
    let tiles = |rows: usize, columns: usize| rows * columns.next_multiple_of(kernel.columns / 2);
    let turned = tiles(n, m) < tiles(m, n);
    let [rows, columns] = if turned { [right, left] } else { [left, right] };
    let products = m as u64 * n as u64 * k as u64;
    let packed = (m as u64 + n as u64) * k as u64;
    let threads = match products + PACKING * packed < SMALL {
        true => 1,
        false => crate::host::threads(),
    };
    let wanted = match threads {
        1 => 1,
        threads => threads * (products / (TASK * threads as u64)).clamp(1, SHARE) as usize,
    };
    let tasks = Tasks::new([rows.lines, columns.lines], kernel.columns, wanted);
    let work = Work {
        kernel,
        short: operands == Operands::Short,
        rows,
        columns,
        depth: k,
        turned,
        out: Shared { first: out.as_mut_ptr(), length: out.len(), borrowed: PhantomData },
    };
    let one = |task| {
        let (rows, columns) = tasks.block(task);
        work.block(rows, columns)
    };
    match tasks.count() {
        1 => one(0),
        count => (0..count).into_par_iter().with_max_len(1).try_for_each(one),
    }
}

/// Multiply-adds below which threads are not worth their waking.
const SMALL: u64 = 1 << 21;

/// How many multiply-adds take as long as packing an element.
const PACKING: u64 = 16;

/// Rows and columns that a thread packs at once: the second cache is to hold them.
const ROWS: usize = 512;
const COLUMNS: usize = 1024;

/// Depths of which all columns are packed before the next: they are read in long runs.
const RUN: usize = 32;

/// Multiply-adds of a task, where there are so many: with one task a thread the factors are packed the
/// fewest times, with more none waits long for the last.
const TASK: u64 = 1 << 28;

/// Tasks a thread at most.
const SHARE: u64 = 4;

/// A factor of a product: lines along the depth.
#[derive(Clone, Copy)]
struct Factor<'a> {
    values: &'a [f32],
    lines: usize,
    /// Elements from one line, and from one depth, to the next.
    line: usize,
    depth: usize,
}

impl<'a> Factor<'a> {
    /// What begins with an element.
    fn from(&self, line: usize, depth: usize) -> &'a [f32] {
        &self.values[line * self.line + depth * self.depth..]
    }

    /// Whether the elements of a line are next to each other.
    fn along(&self) -> bool {
        self.depth == 1
    }

    /// Elements from one run of neighbours to the next.
    fn step(&self) -> usize {
        self.line.max(self.depth)
    }
}

/// The result, cut into blocks. The depth is never cut: the order of its sums is promised.
struct Tasks {
    lines: [usize; 2],
    /// Of the result, in each direction.
    parts: [usize; 2],
    /// Columns come in this many.
    unit: usize,
}

impl Tasks {
    fn new(lines: [usize; 2], unit: usize, wanted: usize) -> Tasks {
        let mut parts = [1, 1];
        while parts[0] * parts[1] < wanted {
            let [high, wide] = [lines[0] / parts[0], lines[1] / parts[1]];
            if wide >= high && wide >= 2 * unit {
                parts[1] += 1;
            } else if high >= 16 {
                parts[0] += 1;
            } else {
                break;
            }
        }
        Tasks { lines, parts, unit }
    }

    fn count(&self) -> usize {
        self.parts[0] * self.parts[1]
    }

    fn block(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let [row, column] = [task / self.parts[1], task % self.parts[1]];
        let rows = cut(self.lines[0], self.parts[0], row);
        let units = cut(self.lines[1].div_ceil(self.unit), self.parts[1], column);
        let last = (units.end * self.unit).min(self.lines[1]);
        (rows, units.start * self.unit..last)
    }
}

/// One of some parts, which are as long as each other or longer by one.
fn cut(length: usize, parts: usize, part: usize) -> Range<usize> {
    let [least, longer] = [length / parts, length % parts];
    let first = |part: usize| part * least + part.min(longer);
    first(part)..first(part + 1)
}

/// Pieces of so many, the last of which may be shorter.
fn pieces(whole: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = whole.end;
    whole.step_by(length).map(move |first| first..end.min(first + length))
}

struct Work<'a> {
    kernel: &'a Kernel,
    short: bool,
    rows: Factor<'a>,
    columns: Factor<'a>,
    depth: usize,
    /// Whether the rows are the result's columns.
    turned: bool,
    out: Shared<'a>,
}

/// A result that tasks write, each elsewhere.
struct Shared<'a> {
    first: *mut f32,
    length: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a slice that is borrowed mutably, of which no element is two tasks'.
#[allow(unsafe_code)]
unsafe impl Sync for Shared<'_> {}

impl Shared<'_> {
    /// Some rows of so many elements, every `step` elements from the first on.
    fn rows(&self, first: usize, step: usize, [rows, length]: [usize; 2]) -> *mut f32 {
        assert!(first + (rows - 1) * step + length <= self.length);
        // SAFETY: within the slice, as was asserted.
        #[allow(unsafe_code)]
        unsafe {
            self.first.add(first)
        }
    }
}

/// A line of the cache.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// Where a thread packs: kept, for the next product wants it again.
    static ROOM: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

impl Work<'_> {
    /// A block of the result.
    fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Result<()> {
        ROOM.with_borrow_mut(|room| {
            let high = ROWS.min(rows.len()) * ROW;
            let columns_at_once = COLUMNS.min(columns.len().next_multiple_of(self.kernel.columns));
            let lines = (high + STRETCH.min(self.depth) * columns_at_once).div_ceil(16);
            if room.len() < lines {
                memory::more("a product's packed factors", room, lines - room.len())?;
                room.resize(lines, Line([0.0; 16]));
            }
            let (a, b) = bytemuck::cast_slice_mut(room).split_at_mut(high);
            for columns in pieces(columns, COLUMNS) {
                for depth in pieces(0..self.depth, STRETCH) {
                    let small = self.pack(columns.clone(), depth.clone(), b);
                    for rows in pieces(rows.clone(), ROWS) {
                        self.stretch(rows, columns.clone(), depth.clone(), a, b, small);
                    }
                }
            }
            Ok(())
        })
    }

    /// Adds the sums of a stretch to a block of the result. Its columns are packed, in `b`; they may be
    /// so small that no product overflows.
    fn stretch(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        depth: Range<usize>,
        a: &mut [f32],
        mut b: &[f32],
        columns_small: bool,
    ) {
        let from = (self.rows.from(rows.start, depth.start), self.rows.step());
        let sizes = [rows.len(), depth.len()];
        let rows_small = self.kernel.pack(self.short, !self.rows.along(), from, (a, ROW), sizes);
        let exact = self.short && rows_small && columns_small;
        let tiles = rows.len().div_ceil(self.kernel.rows());
        for columns in pieces(columns, self.kernel.columns) {
            let (panel, rest) = b.split_at(depth.len() * self.kernel.width(columns.len()));
            b = rest;
            for tile in 0..tiles {
                let tile = cut(rows.len(), tiles, tile);
                let packed = [&a[tile.start * ROW..], panel];
                let first = [rows.start + tile.start, columns.start];
                self.tile(exact, packed, first, [tile.len(), columns.len()], depth.start > 0);
            }
        }
    }

    /// Packs columns into panels of tiles' widths, one after the other. Returns whether all are
    /// so small that no product of two overflows.
    fn pack(&self, columns: Range<usize>, depth: Range<usize>, b: &mut [f32]) -> bool {
        let run = if self.columns.along() { depth.len() } else { RUN };
        let mut small = true;
        for run in pieces(depth.clone(), run) {
            let mut rest = &mut *b;
            for columns in pieces(columns.clone(), self.kernel.columns) {
                let width = self.kernel.width(columns.len());
                let panel = rest.split_off_mut(..depth.len() * width).unwrap_or_default();
                let panel = &mut panel[(run.start - depth.start) * width..][..run.len() * width];
                if columns.len() < width {
                    panel.fill(0.0);
                }
                let from = (self.columns.from(columns.start, run.start), self.columns.step());
                let transposed = self.columns.along();
                let sizes = [run.len(), columns.len()];
                small &= self.kernel.pack(self.short, transposed, from, (panel, width), sizes);
            }
        }
        small
    }

    /// A tile of the result: its sums, stored or added to what is there.
    #[allow(unsafe_code)]
    fn tile(
        &self,
        exact: bool,
        packed: [&[f32]; 2],
        [row, column]: [usize; 2],
        [rows, columns]: [usize; 2],
        add: bool,
    ) {
        let width = self.kernel.width(columns);
        let sizes = [rows, width];
        let (first, step, lines) = match self.turned {
            false => (row * self.columns.lines + column, self.columns.lines, [rows, columns]),
            true => (column * self.rows.lines + row, self.rows.lines, [columns, rows]),
        };
        let to = self.out.rows(first, step, lines);
        if !self.turned && columns == width {
            // SAFETY: the rows are within the result; no two tiles share an element, and no two tasks
            // a tile.
            return unsafe { self.kernel.tile(sizes, exact, packed, (to, step), add) };
        }
        let mut sums = [0.0; LARGEST];
        assert!(rows * width <= LARGEST);
        // SAFETY: there is room for the tile, as was asserted.
        unsafe { self.kernel.tile(sizes, exact, packed, (sums.as_mut_ptr(), width), false) };
        for line in 0..lines[0] {
            // SAFETY: a row of those that are within the result, and this task's.
            let to = unsafe { std::slice::from_raw_parts_mut(to.add(line * step), lines[1]) };
            let put = |(to, sum): (&mut f32, &f32)| *to = if add { *to + sum } else { *sum };
            match self.turned {
                false => to.iter_mut().zip(&sums[line * width..]).for_each(put),
                true => to.iter_mut().zip(sums[line..].iter().step_by(width)).for_each(put),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rayon::ThreadPoolBuilder;

    use super::super::tile::kernels;
    use super::*;
    use crate::Error;

    /// Words of a linear congruential generator.
    struct Words(u64);

    impl Words {
        fn next(&mut self) -> u32 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 32) as u32
        }

        /// About 1, with 24 bits; and now and then something particular.
        fn ordinary(&mut self) -> f32 {
            let sign = self.next() & 0x8000_0000;
            let word = self.next();
            let bits = match self.next() % 16 {
                0 => 0,
                // About 2^-51, on either side.
                1 => 0x25FF_FFF0 + word % 32,
                2 => 0x2580_0000 + (word & 0x00FF_FFFF),
                // Subnormal.
                3 => word & 0x007F_FFFF,
                // Halfway between two of 12 bits.
                4 | 5 => 0x3F80_0000 + (word & 0x007F_F000) + 0x800,
                // Beside it.
                6 => 0x3F80_0000 + (word & 0x007F_F000) + 0x7FF + (word & 2),
                // Rounded up to the next power of two.
                7 => 0x3FFF_FFFF - word % 0x900,
                // Where a product alone is left of a sum.
                8 => 0x4B00_0000 + (word & 0x00FF_FFFF),
                _ => 0x3E80_0000 + (word & 0x017F_FFFF),
            };
            f32::from_bits(bits | sign)
        }

        /// Of products that overflow, though the sum of them may not.
        fn large(&mut self) -> f32 {
            let scale = if self.next().is_multiple_of(4) { 64 } else { 60 };
            self.ordinary() * 2f32.powi(scale)
        }

        fn values(&mut self, length: usize, one: fn(&mut Words) -> f32) -> Vec<f32> {
            (0..length).map(|_| one(self)).collect()
        }
    }

    /// The contract, word for word; rounding by f64, which holds 12 bits and a half of any f32.
    fn taken(value: f32, operands: Operands) -> f32 {
        if value.abs() < 2f32.powi(-51) {
            return 0.0;
        }
        if operands == Operands::Full || !value.is_finite() {
            return value;
        }
        let exponent = (value.to_bits() >> 23 & 0xFF) as i32 - 127;
        let unit = 2f64.powi(exponent - 11);
        ((f64::from(value) / unit).round_ties_even() * unit) as f32
    }

    fn contract(
        operands: Operands,
        form: Form,
        a: &[f32],
        b: &[f32],
        [m, n, k]: [usize; 3],
    ) -> Vec<f32> {
        let a: Vec<f32> = a.iter().map(|value| taken(*value, operands)).collect();
        let b: Vec<f32> = b.iter().map(|value| taken(*value, operands)).collect();
        let mut out = Vec::new();
        for row in 0..m {
            for column in 0..n {
                let mut total = None;
                for stretch in (0..k).step_by(256) {
                    let mut sum = 0.0;
                    for depth in stretch..k.min(stretch + 256) {
                        let a =
                            if form == Form::Tn { a[depth * m + row] } else { a[row * k + depth] };
                        let b = if form == Form::Nt {
                            b[column * k + depth]
                        } else {
                            b[depth * n + column]
                        };
                        let product: f32 = a * b;
                        sum += product;
                    }
                    total = Some(total.map_or(sum, |total: f32| total + sum));
                }
                out.push(total.unwrap_or(0.0));
            }
        }
        out
    }

    /// Holds every kernel, form and kind of operands to the contract, on 1 to 3 threads.
    fn held(sizes: [usize; 3], one: fn(&mut Words) -> f32) {
        let [m, n, k] = sizes;
        let mut words = Words(m as u64 * 31 + n as u64 * 17 + k as u64);
        let (a, b) = (words.values(m * k, one), words.values(n * k, one));
        for operands in [Operands::Short, Operands::Full] {
            for form in Form::ALL {
                let expected = contract(operands, form, &a, &b, sizes);
                for kernel in kernels() {
                    for threads in 1..=3 {
                        let mut out = vec![f32::NAN; m * n];
                        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        pool.install(|| {
                            matmul_by(kernel, operands, form, &a, &b, &mut out, sizes).unwrap();
                        });
                        let name = kernel.name;
                        for (at, (out, expected)) in out.iter().zip(&expected).enumerate() {
                            let same = match expected.is_nan() {
                                true => out.is_nan(),
                                false => out.to_bits() == expected.to_bits(),
                            };
                            assert!(
                                same,
                                "{name}, {operands:?}, {form:?}, {sizes:?}, {threads} threads, \
                                 element {at}: {out:e}, expected {expected:e}",
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_bits_of_the_contract() {
        let small = [[1, 1, 1], [7, 13, 5], [1, 5, 256], [5, 1, 512], [12, 32, 16], [13, 33, 31]];
        let thin = [[1, 300, 257], [2, 65, 40], [3, 1030, 300], [8, 512, 70], [256, 10, 512]];
        let high = [[300, 1, 257], [1030, 3, 300], [530, 16, 300], [1, 513, 1030]];
        let full = [
            [33, 17, 300],
            [64, 10, 784],
            [515, 1050, 2],
            [64, 64, 64],
            [100, 90, 600],
            [256, 256, 257],
        ];
        for sizes in small.into_iter().chain(thin).chain(high).chain(full) {
            held(sizes, Words::ordinary);
        }
    }

    #[test]
    fn a_product_that_overflows_is_infinite_before_it_is_added() {
        for sizes in [[1, 1, 3], [13, 70, 300], [70, 13, 20], [64, 96, 30]] {
            held(sizes, Words::large);
        }
        // 2^128 - 2^127 would be finite, were the product not rounded first.
        let large = 2f32.powi(64);
        for kernel in kernels() {
            let mut out = [0.0];
            let (a, b) = ([-large, large], [large / 2.0, large]);
            matmul_by(kernel, Operands::Short, Form::Nt, &a, &b, &mut out, [1, 1, 2]).unwrap();
            assert_eq!(out, [f32::INFINITY], "{}", kernel.name);
        }
    }

    #[test]
    fn infinities_and_nan_come_through() {
        let one = |words: &mut Words| match words.next() % 400 {
            0 => f32::INFINITY,
            1 => f32::NEG_INFINITY,
            2 => f32::NAN,
            3 => f32::from_bits(0x7F80_0001),
            4 => f32::from_bits(0xFFFF_FFFF),
            5 => f32::MAX,
            6 => f32::MIN,
            _ => words.ordinary(),
        };
        for sizes in [[1, 1, 1], [13, 70, 40], [70, 13, 300], [64, 96, 20]] {
            held(sizes, one);
        }
    }

    #[test]
    fn tasks_share_the_result_among_them() {
        for lines in [[1, 1], [1, 100], [100, 1], [17, 33], [64, 64], [1000, 40], [300, 2000]] {
            for wanted in [1, 2, 3, 8, 100] {
                let tasks = Tasks::new(lines, 32, wanted);
                let mut seen = vec![0; lines[0] * lines[1]];
                for task in 0..tasks.count() {
                    let (rows, columns) = tasks.block(task);
                    assert!(!rows.is_empty() && !columns.is_empty());
                    assert!(columns.start.is_multiple_of(32));
                    for row in rows {
                        columns.clone().for_each(|column| seen[row * lines[1] + column] += 1);
                    }
                }
                assert!(seen.iter().all(|times| *times == 1), "{lines:?}, {wanted}");
            }
        }
    }

    #[test]
    fn no_depth_is_plus_zero() {
        let mut out = [f32::NAN; 6];
        matmul(Operands::Short, Form::Nn, &[], &[], &mut out, [2, 3, 0]).unwrap();
        assert!(out.iter().all(|value| value.to_bits() == 0));
    }

    #[test]
    fn lengths_that_do_not_fit_are_errors() {
        let mut out = [0.0; 6];
        for [a, b] in [[7, 12], [8, 11]] {
            let (a, b) = (vec![0.0; a], vec![0.0; b]);
            let error = matmul(Operands::Full, Form::Nt, &a, &b, &mut out, [2, 3, 4]);
            assert!(matches!(error, Err(Error::Invalid { .. })));
        }
        let error =
            matmul(Operands::Full, Form::Nt, &[0.0; 8], &[0.0; 12], &mut out[1..], [2, 3, 4]);
        assert!(matches!(error, Err(Error::Invalid { .. })));
    }
}
