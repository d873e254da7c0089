use std::arch::x86_64::*;

use super::Lanes;
use crate::random::quantile::SEGMENTS;

/// AVX-512 with F, BW, CD, DQ and VL.
pub(in crate::cpu) struct Avx512;

const ODD: __mmask16 = 0xAAAA;

// SAFETY: the callers have asked for the instructions; nothing else here is unsafe but the rows,
// which say why they are not.
#[allow(unsafe_code)]
unsafe impl Lanes for Avx512 {
    type Words = __m512i;
    const COUNT: usize = 16;

    #[inline(always)]
    fn store(words: Self::Words, to: &mut [u32; 16]) {
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) }
    }

    #[inline(always)]
    fn splat(word: u32) -> Self::Words {
        unsafe { _mm512_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn count(first: u64) -> Self::Words {
        unsafe {
            let steps = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
            _mm512_add_epi64(_mm512_set1_epi64(first as i64), steps)
        }
    }

    #[inline(always)]
    fn list(numbers: &[u64; 8]) -> Self::Words {
        unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
    }

    #[inline(always)]
    fn xor(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_xor_si512(a, b) }
    }

    #[inline(always)]
    fn and(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_and_si512(a, b) }
    }

    #[inline(always)]
    fn add(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn min(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_min_epu32(a, b) }
    }

    #[inline(always)]
    fn mul(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_mullo_epi32(a, b) }
    }

    #[inline(always)]
    fn shl<const BY: u32>(a: Self::Words) -> Self::Words {
        unsafe { _mm512_slli_epi32::<BY>(a) }
    }

    #[inline(always)]
    fn shr<const BY: u32>(a: Self::Words) -> Self::Words {
        unsafe { _mm512_srli_epi32::<BY>(a) }
    }

    #[inline(always)]
    fn shl_each(a: Self::Words, by: Self::Words) -> Self::Words {
        unsafe { _mm512_sllv_epi32(a, by) }
    }

    #[inline(always)]
    fn leading_zeros(a: Self::Words) -> Self::Words {
        unsafe { _mm512_lzcnt_epi32(a) }
    }

    #[inline(always)]
    fn negate_unless(sign: Self::Words, a: Self::Words) -> Self::Words {
        unsafe { _mm512_mask_sub_epi32(a, !_mm512_movepi32_mask(sign), _mm512_setzero_si512(), a) }
    }

    #[inline(always)]
    fn wide(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_mul_epu32(a, b) }
    }

    #[inline(always)]
    fn odd(a: Self::Words) -> Self::Words {
        unsafe { _mm512_srli_epi64::<32>(a) }
    }

    #[inline(always)]
    fn even(a: Self::Words) -> Self::Words {
        unsafe { _mm512_slli_epi64::<32>(a) }
    }

    #[inline(always)]
    fn blend(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm512_mask_blend_epi32(ODD, a, b) }
    }

    #[inline(always)]
    fn zip(a: Self::Words, b: Self::Words) -> [Self::Words; 2] {
        unsafe {
            let first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
            [_mm512_permutex2var_epi64(a, first, b), _mm512_permutex2var_epi64(a, second, b)]
        }
    }

    #[inline(always)]
    fn rows(table: &[[u32; 2]; SEGMENTS], at: Self::Words) -> [Self::Words; 2] {
        // One load of 8 bytes a lane: as fast as a gather of 8 bytes, and faster than two of 4.
        let mut places = [0; 16];
        Self::store(Self::min(at, Self::splat(SEGMENTS as u32 - 1)), &mut places);
        unsafe {
            let mut rows = [[0u32; 2]; 16];
            for (row, place) in rows.iter_mut().zip(places) {
                // SAFETY: the places were cut to the table's last.
                *row = *table.get_unchecked(place as usize);
            }
            let low = _mm512_loadu_si512(rows.as_ptr().cast());
            let high = _mm512_loadu_si512(rows.as_ptr().add(8).cast());
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            [_mm512_permutex2var_epi32(low, even, high), _mm512_permutex2var_epi32(low, odd, high)]
        }
    }

    #[inline(always)]
    fn scale(a: Self::Words, scale: f32, shift: f32) -> Self::Words {
        unsafe {
            let product = _mm512_mul_ps(_mm512_cvtepi32_ps(a), _mm512_set1_ps(scale));
            _mm512_castps_si512(_mm512_add_ps(product, _mm512_set1_ps(shift)))
        }
    }
}
