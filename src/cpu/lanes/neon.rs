use std::arch::aarch64::*;
use std::array::from_fn;

use super::Lanes;
use crate::random::quantile::SEGMENTS;

/// NEON.
///
/// Even lanes have registers of their own and so have odd ones, as `uzp` makes them: moving from one
/// to the other is free, and lanes that nothing reads are not computed.
pub(in crate::cpu) struct Neon;

/// Two pairs of even and odd lanes: rounds wait for their products, and so two wait at once.
type Words = [uint32x4x2_t; 2];

// SAFETY: every aarch64 has the instructions; nothing else here is unsafe but the rows, which say
// why they are not.
#[allow(unsafe_code)]
unsafe impl Lanes for Neon {
    type Words = Words;
    const COUNT: usize = 16;

    #[inline(always)]
    fn store(words: Self::Words, to: &mut [u32; 16]) {
        for (words, to) in words.into_iter().zip(to.as_chunks_mut::<8>().0) {
            unsafe {
                let uint32x4x2_t(low, high) = vzipq_u32(words.0, words.1);
                vst1q_u32(to.as_mut_ptr(), low);
                vst1q_u32(to.as_mut_ptr().add(4), high);
            }
        }
    }

    #[inline(always)]
    fn splat(word: u32) -> Self::Words {
        let word = unsafe { vdupq_n_u32(word) };
        [uint32x4x2_t(word, word); 2]
    }

    #[inline(always)]
    fn count(first: u64) -> Self::Words {
        let two = |first: u64| unsafe {
            vaddq_u64(vdupq_n_u64(first), vcombine_u64(vcreate_u64(0), vcreate_u64(1)))
        };
        [0, 4].map(|by| {
            let first = first.wrapping_add(by);
            apart(two(first), two(first.wrapping_add(2)))
        })
    }

    #[inline(always)]
    fn list(numbers: &[u64; 8]) -> Self::Words {
        let two = |at: usize| unsafe {
            vcombine_u64(vcreate_u64(numbers[at]), vcreate_u64(numbers[at + 1]))
        };
        [0, 4].map(|by| apart(two(by), two(by + 2)))
    }

    #[inline(always)]
    fn xor(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { veorq_u32(a, b) })
    }

    #[inline(always)]
    fn and(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { vandq_u32(a, b) })
    }

    #[inline(always)]
    fn add(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { vaddq_u32(a, b) })
    }

    #[inline(always)]
    fn sub(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { vsubq_u32(a, b) })
    }

    #[inline(always)]
    fn min(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { vminq_u32(a, b) })
    }

    #[inline(always)]
    fn mul(a: Self::Words, b: Self::Words) -> Self::Words {
        zip_with(a, b, |a, b| unsafe { vmulq_u32(a, b) })
    }

    #[inline(always)]
    fn shl<const BY: u32>(a: Self::Words) -> Self::Words {
        map(a, |a| unsafe { vshlq_u32(a, vdupq_n_s32(BY as i32)) })
    }

    #[inline(always)]
    fn shr<const BY: u32>(a: Self::Words) -> Self::Words {
        // To the left by less than nothing.
        map(a, |a| unsafe { vshlq_u32(a, vdupq_n_s32(-(BY as i32))) })
    }

    #[inline(always)]
    fn shl_each(a: Self::Words, by: Self::Words) -> Self::Words {
        zip_with(a, by, |a, by| unsafe { vshlq_u32(a, vreinterpretq_s32_u32(by)) })
    }

    #[inline(always)]
    fn leading_zeros(a: Self::Words) -> Self::Words {
        map(a, |a| unsafe { vclzq_u32(a) })
    }

    #[inline(always)]
    fn negate_unless(sign: Self::Words, a: Self::Words) -> Self::Words {
        zip_with(sign, a, |sign, a| unsafe {
            // All ones where it is to be negated.
            let mask = vcgezq_s32(vreinterpretq_s32_u32(sign));
            vsubq_u32(veorq_u32(a, mask), mask)
        })
    }

    #[inline(always)]
    fn wide(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|pair| unsafe {
            let (a, b) = (a[pair].0, b[pair].0);
            apart(vmull_u32(vget_low_u32(a), vget_low_u32(b)), vmull_high_u32(a, b))
        })
    }

    #[inline(always)]
    fn odd(a: Self::Words) -> Self::Words {
        a.map(|a| unsafe { uint32x4x2_t(a.1, vdupq_n_u32(0)) })
    }

    #[inline(always)]
    fn even(a: Self::Words) -> Self::Words {
        a.map(|a| unsafe { uint32x4x2_t(vdupq_n_u32(0), a.0) })
    }

    #[inline(always)]
    fn blend(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|pair| uint32x4x2_t(a[pair].0, b[pair].1))
    }

    #[inline(always)]
    fn zip(a: Self::Words, b: Self::Words) -> [Self::Words; 2] {
        from_fn(|pair| unsafe {
            let evens = vzipq_u32(a[pair].0, b[pair].0);
            let odds = vzipq_u32(a[pair].1, b[pair].1);
            [uint32x4x2_t(evens.0, odds.0), uint32x4x2_t(evens.1, odds.1)]
        })
    }

    #[inline(always)]
    fn rows(table: &[[u32; 2]; SEGMENTS], at: Self::Words) -> [Self::Words; 2] {
        let at = Self::min(at, Self::splat(SEGMENTS as u32 - 1));
        let mut rows = [Self::splat(0); 2];
        for (pair, at) in at.into_iter().enumerate() {
            // SAFETY: the places were cut to the table's last.
            let (even, odd) = unsafe { (rows_of(table, at.0), rows_of(table, at.1)) };
            rows[0][pair] = uint32x4x2_t(even.0, odd.0);
            rows[1][pair] = uint32x4x2_t(even.1, odd.1);
        }
        rows
    }

    #[inline(always)]
    fn scale(a: Self::Words, scale: f32, shift: f32) -> Self::Words {
        map(a, |a| unsafe {
            // Two roundings: no `vfmaq_f32`.
            let product = vmulq_f32(vcvtq_f32_s32(vreinterpretq_s32_u32(a)), vdupq_n_f32(scale));
            vreinterpretq_u32_f32(vaddq_f32(product, vdupq_n_f32(shift)))
        })
    }
}

#[inline(always)]
fn map(a: Words, f: impl Fn(uint32x4_t) -> uint32x4_t) -> Words {
    a.map(|a| uint32x4x2_t(f(a.0), f(a.1)))
}

#[inline(always)]
fn zip_with(a: Words, b: Words, f: impl Fn(uint32x4_t, uint32x4_t) -> uint32x4_t) -> Words {
    from_fn(|pair| uint32x4x2_t(f(a[pair].0, b[pair].0), f(a[pair].1, b[pair].1)))
}

/// Four 64-bit numbers, their lower halves apart from the upper ones.
#[allow(unsafe_code)]
#[inline(always)]
fn apart(low: uint64x2_t, high: uint64x2_t) -> uint32x4x2_t {
    // SAFETY: every aarch64 has the instructions.
    unsafe { vuzpq_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high)) }
}

/// Rows of a table: first words apart from second ones.
///
/// # Safety
/// `at` is below [`SEGMENTS`].
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn rows_of(table: &[[u32; 2]; SEGMENTS], at: uint32x4_t) -> uint32x4x2_t {
    unsafe {
        // Two places a move: there are fewer ways out of the vector unit than through it.
        let at = vreinterpretq_u64_u32(at);
        let two_rows = |at: u64| {
            let row = |at: u64| vld1_u32(table.get_unchecked(at as usize).as_ptr());
            vcombine_u32(row(at & 0xFFFF_FFFF), row(at >> 32))
        };
        vuzpq_u32(two_rows(vgetq_lane_u64::<0>(at)), two_rows(vgetq_lane_u64::<1>(at)))
    }
}
