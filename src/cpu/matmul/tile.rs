//! Sums of products of one tile, and what its operands are packed with, as each instruction set has
//! them.

#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

use crate::op::STRETCH;

/// Floats from a packed row to the next: a line of the cache more than a stretch, so that rows do not
/// fall upon the same lines.
pub(super) const ROW: usize = STRETCH + 16;

/// Elements of the largest tile of any kernel.
pub(super) const LARGEST: usize = 12 * 32;

/// `to[r, c] = sum over depth of a[r, depth] b[depth, c]`, or that added to what stands there, with `a` in
/// rows of [`ROW`], `b` in rows of the tile's width, the depth that of `b`, and `to` in rows of so many
/// elements from one to the next.
///
/// The tile is to lie within what may be written.
type Tile = unsafe fn(a: &[f32], b: &[f32], to: *mut f32, step: usize, add: bool);

/// Operands into rows: `to[r, c]` of `from[r, c]` or of `from[c, r]`, both with so many elements from one
/// row to the next. Returns the largest power of two in them, as bits.
type Pack = unsafe fn(from: (&[f32], usize), to: (&mut [f32], usize), sizes: [usize; 2]) -> u32;

/// The code of one instruction set.
pub(super) struct Kernel {
    #[cfg(test)]
    pub name: &'static str,
    /// Columns of a tile; there are tiles of half as many.
    pub columns: usize,
    /// By rows, from 1 on, of half the columns and of all: products rounded before they are added.
    plain: [&'static [Tile]; 2],
    /// The same where products are exact.
    exact: [&'static [Tile]; 2],
    /// Without and with rounding to short operands.
    copied: [Pack; 2],
    transposed: [Pack; 2],
}

impl Kernel {
    /// Rows of the largest tile.
    pub fn rows(&self) -> usize {
        self.plain[0].len()
    }

    /// The columns of the tile that has these.
    pub fn width(&self, columns: usize) -> usize {
        if columns <= self.columns / 2 { self.columns / 2 } else { self.columns }
    }

    /// A tile of so many rows, and of a [`Kernel::width`]: its sums, stored or added to what is there.
    /// Products that are `exact`, and do not overflow, need not be rounded before they are added.
    ///
    /// # Safety
    /// So many rows of `width` elements, every `step` elements from `to` on, can be written.
    #[allow(unsafe_code)]
    pub unsafe fn tile(
        &self,
        [rows, width]: [usize; 2],
        exact: bool,
        [a, b]: [&[f32]; 2],
        (to, step): (*mut f32, usize),
        add: bool,
    ) {
        let tiles = if exact { self.exact } else { self.plain };
        // SAFETY: there is no kernel but of instructions that were detected.
        unsafe { tiles[usize::from(width == self.columns)][rows - 1](a, b, to, step, add) }
    }

    /// Packs `sizes` elements, rows and columns of `to`, out of rows that lie alike or, `transposed`,
    /// out of columns; both have so many elements from one row to the next. Returns whether all are so
    /// small that no product of two overflows.
    #[allow(unsafe_code)]
    pub fn pack(
        &self,
        short: bool,
        transposed: bool,
        (from, from_row): (&[f32], usize),
        (to, to_row): (&mut [f32], usize),
        sizes: [usize; 2],
    ) -> bool {
        let packs = if transposed { &self.transposed } else { &self.copied };
        // SAFETY: there is no kernel but of instructions that were detected.
        let largest = unsafe { packs[usize::from(short)]((from, from_row), (to, to_row), sizes) };
        if short && largest >= LARGE {
            carefully(transposed, (from, from_row), (to, to_row), sizes);
        }
        largest < LARGE
    }
}

/// Packs short operands of any magnitude: what is quicker does not round those right that are
/// [`LARGE`].
#[cold]
#[inline(never)]
fn carefully(transposed: bool, from: (&[f32], usize), to: (&mut [f32], usize), sizes: [usize; 2]) {
    match transposed {
        true => transpose::<Portable, 4, true>(from, to, sizes),
        false => copy::<Portable, 4, true>(from, to, sizes),
    };
}

/// The kernel of an instruction set: lanes a vector, vectors a row, whether there is an instruction
/// that multiplies and adds, and the numbers of rows.
macro_rules! kernel {
    (
        $name:literal, $vector:ty, $lanes:literal x $vectors:literal, $fused:literal,
        [$($rows:literal)*] $(, $features:literal)?
    ) => {{
        $(#[target_feature(enable = $features)])?
        #[allow(unsafe_code)]
        unsafe fn tile<const R: usize, const N: usize, const FUSED: bool>(
            a: &[f32],
            b: &[f32],
            to: *mut f32,
            step: usize,
            add: bool,
        ) {
            // SAFETY: the caller's.
            unsafe { add_up::<$vector, R, N, FUSED>(a, b, to, step, add) }
        }
        $(#[target_feature(enable = $features)])?
        fn copied<const SHORT: bool>(
            from: (&[f32], usize),
            to: (&mut [f32], usize),
            sizes: [usize; 2],
        ) -> u32 {
            copy::<$vector, $lanes, SHORT>(from, to, sizes)
        }
        $(#[target_feature(enable = $features)])?
        fn transposed<const SHORT: bool>(
            from: (&[f32], usize),
            to: (&mut [f32], usize),
            sizes: [usize; 2],
        ) -> u32 {
            transpose::<$vector, $lanes, SHORT>(from, to, sizes)
        }
        static KERNEL: Kernel = Kernel {
            #[cfg(test)]
            name: $name,
            columns: $lanes * $vectors,
            plain: [
                &[$(tile::<$rows, { $vectors / 2 }, false>),*],
                &[$(tile::<$rows, $vectors, false>),*],
            ],
            exact: [
                &[$(tile::<$rows, { $vectors / 2 }, $fused>),*],
                &[$(tile::<$rows, $vectors, $fused>),*],
            ],
            copied: [copied::<false>, copied::<true>],
            transposed: [transposed::<false>, transposed::<true>],
        };
        &KERNEL
    }};
}

/// The fastest kernel that this machine can run.
pub(super) fn fastest() -> &'static Kernel {
    wide().into_iter().flatten().next().unwrap_or_else(portable)
}

/// All of them.
#[cfg(test)]
pub(super) fn kernels() -> impl Iterator<Item = &'static Kernel> {
    wide().into_iter().flatten().chain([portable()])
}

/// The fastest first.
#[cfg(target_arch = "x86_64")]
fn wide() -> [Option<&'static Kernel>; 3] {
    let avx2 = is_x86_feature_detected!("avx2");
    let fma = avx2 && is_x86_feature_detected!("fma");
    [
        crate::cpu::fill::avx512().then_some(kernel!(
            "AVX-512", Avx512, 16 x 2, true, [1 2 3 4 5 6 7 8 9 10 11 12],
            "avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
        )),
        fma.then_some(kernel!("AVX2 and FMA", Avx2, 8 x 2, true, [1 2 3 4 5 6], "avx2,fma")),
        avx2.then_some(kernel!("AVX2", Avx2, 8 x 2, false, [1 2 3 4 5 6], "avx2")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn wide() -> [Option<&'static Kernel>; 1] {
    [Some(kernel!("NEON", neon::Neon, 4 x 4, true, [1 2 3 4 5 6]))]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn wide() -> [Option<&'static Kernel>; 0] {
    []
}

fn portable() -> &'static Kernel {
    kernel!("portable", Portable, 4 x 2, false, [1 2 3 4])
}

/// A vector of f32s.
///
/// # Safety
/// The functions run instructions without asking: those that call them have asked.
#[allow(unsafe_code)]
unsafe trait Vector: Copy {
    const LANES: usize;

    fn splat(value: f32) -> Self;
    /// # Safety
    /// [`Vector::LANES`] values can be read there.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// [`Vector::LANES`] values can be written there.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self * other + sum`, rounded once where the machine has an instruction for it.
    fn mul_add(self, other: Self, sum: Self) -> Self;
    /// Elements of both in turn.
    fn zip(self, other: Self) -> [Self; 2];
    /// Says that what stands there will be asked for.
    #[inline(always)]
    fn prefetch(_from: *const f32) {}
    /// What a product makes of operands: of all where they are not to be short, else of those below
    /// [`LARGE`]. The largest power of two in each lane is kept, as bits.
    fn operand<const SHORT: bool>(self, largest: &mut Self) -> Self;
}

/// See [`Tile`].
///
/// # Safety
/// The tile lies within what may be written.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn add_up<V: Vector, const R: usize, const N: usize, const FUSED: bool>(
    a: &[f32],
    b: &[f32],
    to: *mut f32,
    step: usize,
    add: bool,
) {
    const { assert!(R * N * V::LANES <= LARGEST) };
    let columns = N * V::LANES;
    let depth = b.len() / columns;
    assert!((R - 1) * ROW + depth <= a.len());
    // So that they are there when the sums are.
    for row in 0..R {
        for at in (0..columns).step_by(16) {
            V::prefetch(to.wrapping_add(row * step + at));
        }
    }
    let mut sums = [[V::splat(0.0); N]; R];
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    for _ in 0..depth {
        // SAFETY: a row of `b`, of which there are `depth`; and an element of each row of `a`, the last
        // of which has `depth` of them, as was asserted.
        unsafe {
            let mut row = [V::splat(0.0); N];
            for (at, row) in row.iter_mut().enumerate() {
                *row = V::load(b.add(at * V::LANES));
            }
            for (at, sums) in sums.iter_mut().enumerate() {
                let value = V::splat(*a.add(at * ROW));
                for (sum, row) in sums.iter_mut().zip(row) {
                    *sum = match FUSED {
                        true => value.mul_add(row, *sum),
                        false => value.mul(row).add(*sum),
                    };
                }
            }
            (a, b) = (a.add(1), b.add(columns));
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        for (at, sum) in sums.into_iter().enumerate() {
            // SAFETY: within the tile, which the caller may write.
            unsafe {
                let to = to.add(row * step + at * V::LANES);
                if add { V::load(to).add(sum) } else { sum }.store(to);
            }
        }
    }
}

/// Below this magnitude, as bits, an operand is 0: so no product, and no difference of products, is
/// subnormal. 2^-51.
const LEAST: u32 = 0x2600_0000;

/// Below this magnitude, as bits, no product of two operands overflows. 2^63.
const LARGE: u32 = 0x5F00_0000;

/// The bits of the exponent: of a number, the power of two that is not above it.
const EXPONENT: u32 = 0x7F80_0000;

/// Bits that a short operand has not: so many.
const CUT: u32 = 12;
const LOW: u32 = (1 << CUT) - 1;

/// A number is rounded to short where so many times its power of two is added to it, and subtracted
/// again: in between, the last bit that is left of it is the last of 24. The half keeps the sum of a
/// negative number from the next lower power of two, where that bit would be another.
const UP: f32 = 1.5 * (1 << CUT) as f32;

/// Values that may be fewer than a vector has, the others 0.
#[inline(always)]
#[allow(unsafe_code)]
fn first<V: Vector, const L: usize>(from: &[f32]) -> V {
    let mut values = [0.0; L];
    values[..from.len()].copy_from_slice(from);
    // SAFETY: as many values as a vector has.
    unsafe { V::load(values.as_ptr()) }
}

/// The first of a vector's values.
#[inline(always)]
#[allow(unsafe_code)]
fn store<V: Vector, const L: usize>(vector: V, to: &mut [f32]) {
    let mut values = [0.0; L];
    // SAFETY: as many values as a vector has.
    unsafe { vector.store(values.as_mut_ptr()) };
    to.copy_from_slice(&values[..to.len()]);
}

/// The largest lane, as bits.
#[inline(always)]
fn largest<V: Vector, const L: usize>(lanes: V) -> u32 {
    let mut values = [0.0; L];
    store::<V, L>(lanes, &mut values);
    values.into_iter().map(f32::to_bits).fold(0, u32::max)
}

#[inline(always)]
fn copy<V: Vector, const L: usize, const SHORT: bool>(
    from: (&[f32], usize),
    to: (&mut [f32], usize),
    [rows, columns]: [usize; 2],
) -> u32 {
    // The most common of short rows is a loop of its own: it has none within.
    if columns == 2 * L {
        copy_rows::<V, L, SHORT>(from, to, [rows, 2 * L])
    } else {
        copy_rows::<V, L, SHORT>(from, to, [rows, columns])
    }
}

#[inline(always)]
#[allow(unsafe_code)]
fn copy_rows<V: Vector, const L: usize, const SHORT: bool>(
    (from, from_row): (&[f32], usize),
    (to, to_row): (&mut [f32], usize),
    [rows, columns]: [usize; 2],
) -> u32 {
    const { assert!(L == V::LANES) };
    let last = rows.saturating_sub(1);
    assert!(last * from_row + columns <= from.len() && last * to_row + columns <= to.len());
    let mut lanes = V::splat(0.0);
    for row in 0..rows {
        // SAFETY: the last row ends within both, as was asserted.
        let (from, to) = unsafe {
            (
                std::slice::from_raw_parts(from.as_ptr().add(row * from_row), columns),
                std::slice::from_raw_parts_mut(to.as_mut_ptr().add(row * to_row), columns),
            )
        };
        let (from, from_rest) = from.as_chunks::<L>();
        let (to, to_rest) = to.as_chunks_mut::<L>();
        for (from, to) in from.iter().zip(to) {
            // SAFETY: as many values as a vector has.
            unsafe {
                V::load(from.as_ptr()).operand::<SHORT>(&mut lanes).store(to.as_mut_ptr());
            }
        }
        if !from_rest.is_empty() {
            store::<V, L>(first::<V, L>(from_rest).operand::<SHORT>(&mut lanes), to_rest);
        }
    }
    largest::<V, L>(lanes)
}

/// By squares of a vector's width, those at the edges filled up with zeros.
#[inline(always)]
#[allow(unsafe_code)]
fn transpose<V: Vector, const L: usize, const SHORT: bool>(
    (from, from_row): (&[f32], usize),
    (to, to_row): (&mut [f32], usize),
    [rows, columns]: [usize; 2],
) -> u32 {
    const { assert!(L == V::LANES) };
    let mut lanes = V::splat(0.0);
    for column in (0..columns).step_by(L) {
        let wide = L.min(columns - column);
        for row in (0..rows).step_by(L) {
            let high = L.min(rows - row);
            let mut square = [V::splat(0.0); L];
            if [wide, high] == [L, L] {
                for (at, line) in square.iter_mut().enumerate() {
                    let from = &from[(column + at) * from_row + row..][..L];
                    // SAFETY: as many values as a vector has.
                    *line = unsafe { V::load(from.as_ptr()) }.operand::<SHORT>(&mut lanes);
                }
            } else {
                for (at, line) in square.iter_mut().enumerate().take(wide) {
                    let from = &from[(column + at) * from_row + row..][..high];
                    *line = first::<V, L>(from).operand::<SHORT>(&mut lanes);
                }
            }
            // Each round doubles the runs that lie as they are to lie.
            for _ in 0..L.ilog2() {
                let lines = square;
                for at in 0..L / 2 {
                    let [low, high] = lines[at].zip(lines[at + L / 2]);
                    (square[2 * at], square[2 * at + 1]) = (low, high);
                }
            }
            if [wide, high] == [L, L] {
                for (at, line) in square.into_iter().enumerate() {
                    let to = &mut to[(row + at) * to_row + column..][..L];
                    // SAFETY: as many values as a vector has.
                    unsafe { line.store(to.as_mut_ptr()) };
                }
            } else {
                for (at, line) in square.into_iter().enumerate().take(high) {
                    store::<V, L>(line, &mut to[(row + at) * to_row + column..][..wide]);
                }
            }
        }
    }
    largest::<V, L>(lanes)
}

/// What every machine has; the compiler makes vectors of it where there are some.
#[derive(Clone, Copy)]
struct Portable([f32; 4]);

// SAFETY: there are no instructions to ask for.
#[allow(unsafe_code)]
unsafe impl Vector for Portable {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Portable([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Portable(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Portable([a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Portable([a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]])
    }

    #[inline(always)]
    fn mul_add(self, other: Self, sum: Self) -> Self {
        self.mul(other).add(sum)
    }

    #[inline(always)]
    fn zip(self, other: Self) -> [Self; 2] {
        let (a, b) = (self.0, other.0);
        [Portable([a[0], b[0], a[1], b[1]]), Portable([a[2], b[2], a[3], b[3]])]
    }

    #[inline(always)]
    fn operand<const SHORT: bool>(self, largest: &mut Self) -> Self {
        let mut values = self.0;
        for (value, largest) in values.iter_mut().zip(&mut largest.0) {
            let bits = value.to_bits();
            let exponent = bits & EXPONENT;
            *largest = f32::from_bits(largest.to_bits().max(exponent));
            let rounded = bits.wrapping_add(LOW / 2 + (bits >> CUT & 1)) & !LOW;
            let kept = if SHORT && exponent < EXPONENT { rounded } else { bits };
            *value = f32::from_bits(if exponent < LEAST { 0 } else { kept });
        }
        Portable(values)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{EXPONENT, LEAST, UP, Vector};

    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    // SAFETY: the callers have asked for the instructions, and for places to load from and store to.
    #[allow(unsafe_code)]
    unsafe impl Vector for Avx512 {
        const LANES: usize = 16;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Avx512(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Avx512(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn prefetch(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Avx512(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, other: Self, sum: Self) -> Self {
            Avx512(unsafe { _mm512_fmadd_ps(self.0, other.0, sum.0) })
        }

        #[inline(always)]
        fn zip(self, other: Self) -> [Self; 2] {
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
                [
                    Avx512(_mm512_permutex2var_ps(self.0, low, other.0)),
                    Avx512(_mm512_permutex2var_ps(self.0, high, other.0)),
                ]
            }
        }

        #[inline(always)]
        fn operand<const SHORT: bool>(self, largest: &mut Self) -> Self {
            unsafe {
                let exponent = _mm512_set1_epi32(EXPONENT as i32);
                let power = _mm512_and_si512(_mm512_castps_si512(self.0), exponent);
                let greater = _mm512_max_epu32(_mm512_castps_si512(largest.0), power);
                *largest = Avx512(_mm512_castsi512_ps(greater));
                let least = _mm512_set1_epi32(LEAST as i32);
                let large = _mm512_cmpge_epu32_mask(power, least);
                let (power, up) = (_mm512_castsi512_ps(power), _mm512_set1_ps(UP));
                Avx512(match SHORT {
                    true => {
                        let sum = _mm512_fmadd_ps(power, up, self.0);
                        _mm512_maskz_fnmadd_ps(large, power, up, sum)
                    }
                    false => _mm512_maskz_mov_ps(large, self.0),
                })
            }
        }
    }

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    // SAFETY: the callers have asked for the instructions, for those that multiply and add where they
    // call for them, and for places to load from and store to.
    #[allow(unsafe_code)]
    unsafe impl Vector for Avx2 {
        const LANES: usize = 8;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Avx2(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn prefetch(from: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Avx2(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Avx2(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, other: Self, sum: Self) -> Self {
            Avx2(unsafe { _mm256_fmadd_ps(self.0, other.0, sum.0) })
        }

        #[inline(always)]
        fn zip(self, other: Self) -> [Self; 2] {
            unsafe {
                let low = _mm256_unpacklo_ps(self.0, other.0);
                let high = _mm256_unpackhi_ps(self.0, other.0);
                [
                    Avx2(_mm256_permute2f128_ps::<0x20>(low, high)),
                    Avx2(_mm256_permute2f128_ps::<0x31>(low, high)),
                ]
            }
        }

        #[inline(always)]
        fn operand<const SHORT: bool>(self, largest: &mut Self) -> Self {
            unsafe {
                let exponent = _mm256_set1_epi32(EXPONENT as i32);
                let power = _mm256_and_si256(_mm256_castps_si256(self.0), exponent);
                let greater = _mm256_max_epu32(_mm256_castps_si256(largest.0), power);
                *largest = Avx2(_mm256_castsi256_ps(greater));
                // Neither has a sign.
                let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(LEAST as i32), power);
                let kept = if SHORT {
                    let up = _mm256_mul_ps(_mm256_castsi256_ps(power), _mm256_set1_ps(UP));
                    _mm256_sub_ps(_mm256_add_ps(self.0, up), up)
                } else {
                    self.0
                };
                Avx2(_mm256_andnot_ps(_mm256_castsi256_ps(small), kept))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::{EXPONENT, LEAST, UP, Vector};

    #[derive(Clone, Copy)]
    pub struct Neon(float32x4_t);

    // SAFETY: every aarch64 has the instructions; the callers have asked for places to load from and
    // store to.
    #[allow(unsafe_code)]
    unsafe impl Vector for Neon {
        const LANES: usize = 4;

        #[inline(always)]
        fn splat(value: f32) -> Self {
            Neon(unsafe { vdupq_n_f32(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Neon(unsafe { vld1q_f32(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { vst1q_f32(to, self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Neon(unsafe { vaddq_f32(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Neon(unsafe { vmulq_f32(self.0, other.0) })
        }

        #[inline(always)]
        fn mul_add(self, other: Self, sum: Self) -> Self {
            Neon(unsafe { vfmaq_f32(sum.0, self.0, other.0) })
        }

        #[inline(always)]
        fn zip(self, other: Self) -> [Self; 2] {
            unsafe { [Neon(vzip1q_f32(self.0, other.0)), Neon(vzip2q_f32(self.0, other.0))] }
        }

        #[inline(always)]
        fn operand<const SHORT: bool>(self, largest: &mut Self) -> Self {
            unsafe {
                let power = vandq_u32(vreinterpretq_u32_f32(self.0), vdupq_n_u32(EXPONENT));
                let greater = vmaxq_u32(vreinterpretq_u32_f32(largest.0), power);
                *largest = Neon(vreinterpretq_f32_u32(greater));
                let large = vcgeq_u32(power, vdupq_n_u32(LEAST));
                let kept = if SHORT {
                    let up = vmulq_f32(vreinterpretq_f32_u32(power), vdupq_n_f32(UP));
                    vsubq_f32(vaddq_f32(self.0, up), up)
                } else {
                    self.0
                };
                Neon(vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(kept), large)))
            }
        }
    }
}
