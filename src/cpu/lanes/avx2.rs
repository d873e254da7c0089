use std::arch::x86_64::*;

use super::Lanes;
use crate::random::quantile::SEGMENTS;

/// AVX2.
pub(in crate::cpu) struct Avx2;

// SAFETY: the callers have asked for the instructions; nothing else here is unsafe but the rows,
// which say why they are not.
#[allow(unsafe_code)]
unsafe impl Lanes for Avx2 {
    type Words = __m256i;
    const COUNT: usize = 8;

    #[inline(always)]
    fn store(words: Self::Words, to: &mut [u32; 16]) {
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) }
    }

    #[inline(always)]
    fn splat(word: u32) -> Self::Words {
        unsafe { _mm256_set1_epi32(word as i32) }
    }

    #[inline(always)]
    fn count(first: u64) -> Self::Words {
        unsafe {
            let steps = _mm256_setr_epi64x(0, 1, 2, 3);
            _mm256_add_epi64(_mm256_set1_epi64x(first as i64), steps)
        }
    }

    #[inline(always)]
    fn list(numbers: &[u64; 8]) -> Self::Words {
        unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
    }

    #[inline(always)]
    fn xor(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_xor_si256(a, b) }
    }

    #[inline(always)]
    fn and(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_and_si256(a, b) }
    }

    #[inline(always)]
    fn add(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn sub(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn min(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_min_epu32(a, b) }
    }

    #[inline(always)]
    fn mul(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_mullo_epi32(a, b) }
    }

    #[inline(always)]
    fn shl<const BY: u32>(a: Self::Words) -> Self::Words {
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(BY as i32)) }
    }

    #[inline(always)]
    fn shr<const BY: u32>(a: Self::Words) -> Self::Words {
        unsafe { _mm256_srl_epi32(a, _mm_cvtsi32_si128(BY as i32)) }
    }

    #[inline(always)]
    fn shl_each(a: Self::Words, by: Self::Words) -> Self::Words {
        unsafe { _mm256_sllv_epi32(a, by) }
    }

    #[inline(always)]
    fn leading_zeros(a: Self::Words) -> Self::Words {
        unsafe {
            // The exponent of the float; without the bit below the leading one it does not round up.
            let leading = _mm256_andnot_si256(_mm256_srli_epi32::<1>(a), a);
            let float = _mm256_castps_si256(_mm256_cvtepi32_ps(leading));
            // From 2^31 on they are negative floats, whose sign goes.
            let exponent =
                _mm256_and_si256(_mm256_srli_epi32::<23>(float), _mm256_set1_epi32(0xFF));
            _mm256_sub_epi32(_mm256_set1_epi32(127 + 31), exponent)
        }
    }

    #[inline(always)]
    fn negate_unless(sign: Self::Words, a: Self::Words) -> Self::Words {
        unsafe {
            // All ones where it is to be negated.
            let mask = _mm256_cmpgt_epi32(sign, _mm256_set1_epi32(-1));
            _mm256_sub_epi32(_mm256_xor_si256(a, mask), mask)
        }
    }

    #[inline(always)]
    fn wide(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_mul_epu32(a, b) }
    }

    #[inline(always)]
    fn odd(a: Self::Words) -> Self::Words {
        unsafe { _mm256_srli_epi64::<32>(a) }
    }

    #[inline(always)]
    fn even(a: Self::Words) -> Self::Words {
        unsafe { _mm256_slli_epi64::<32>(a) }
    }

    #[inline(always)]
    fn blend(a: Self::Words, b: Self::Words) -> Self::Words {
        unsafe { _mm256_blend_epi32::<0xAA>(a, b) }
    }

    #[inline(always)]
    fn zip(a: Self::Words, b: Self::Words) -> [Self::Words; 2] {
        unsafe {
            let (low, high) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
            [
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            ]
        }
    }

    #[inline(always)]
    fn rows(table: &[[u32; 2]; SEGMENTS], at: Self::Words) -> [Self::Words; 2] {
        let mut places = [0; 16];
        Self::store(Self::min(at, Self::splat(SEGMENTS as u32 - 1)), &mut places);
        unsafe {
            let mut rows = [[0u32; 2]; 8];
            for (row, place) in rows.iter_mut().zip(places) {
                // SAFETY: the places were cut to the table's last.
                *row = *table.get_unchecked(place as usize);
            }
            let low = _mm256_castsi256_ps(_mm256_loadu_si256(rows.as_ptr().cast()));
            let high = _mm256_castsi256_ps(_mm256_loadu_si256(rows.as_ptr().add(4).cast()));
            // Both leave the 64-bit numbers in the order 0, 2, 1, 3.
            let first = _mm256_castps_si256(_mm256_shuffle_ps::<0x88>(low, high));
            let second = _mm256_castps_si256(_mm256_shuffle_ps::<0xDD>(low, high));
            [_mm256_permute4x64_epi64::<0xD8>(first), _mm256_permute4x64_epi64::<0xD8>(second)]
        }
    }

    #[inline(always)]
    fn scale(a: Self::Words, scale: f32, shift: f32) -> Self::Words {
        unsafe {
            let product = _mm256_mul_ps(_mm256_cvtepi32_ps(a), _mm256_set1_ps(scale));
            _mm256_castps_si256(_mm256_add_ps(product, _mm256_set1_ps(shift)))
        }
    }
}
