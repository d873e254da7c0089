use std::array::from_fn;

use super::Lanes;
use crate::random::quantile::SEGMENTS;

/// Arrays, which the compiler makes vectors of where it can.
pub(in crate::cpu) struct Portable;

const COUNT: usize = 8;

// SAFETY: no instructions that some machine lacks.
#[allow(unsafe_code)]
unsafe impl Lanes for Portable {
    type Words = [u32; COUNT];
    const COUNT: usize = COUNT;

    #[inline(always)]
    fn store(words: Self::Words, to: &mut [u32; 16]) {
        to[..COUNT].copy_from_slice(&words);
    }

    #[inline(always)]
    fn splat(word: u32) -> Self::Words {
        [word; COUNT]
    }

    #[inline(always)]
    fn count(first: u64) -> Self::Words {
        from_fn(|lane| (first.wrapping_add(lane as u64 / 2) >> (32 * (lane % 2))) as u32)
    }

    #[inline(always)]
    fn xor(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane] ^ b[lane])
    }

    #[inline(always)]
    fn and(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane] & b[lane])
    }

    #[inline(always)]
    fn add(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn sub(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    #[inline(always)]
    fn min(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane].min(b[lane]))
    }

    #[inline(always)]
    fn mul(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane].wrapping_mul(b[lane]))
    }

    #[inline(always)]
    fn shl<const BY: u32>(a: Self::Words) -> Self::Words {
        a.map(|word| word << BY)
    }

    #[inline(always)]
    fn shr<const BY: u32>(a: Self::Words) -> Self::Words {
        a.map(|word| word >> BY)
    }

    #[inline(always)]
    fn shl_each(a: Self::Words, by: Self::Words) -> Self::Words {
        from_fn(|lane| a[lane].wrapping_shl(by[lane]))
    }

    #[inline(always)]
    fn leading_zeros(a: Self::Words) -> Self::Words {
        a.map(u32::leading_zeros)
    }

    #[inline(always)]
    fn negate_unless(sign: Self::Words, a: Self::Words) -> Self::Words {
        // All ones where it is to be negated.
        from_fn(|lane| {
            let mask = (sign[lane] >> 31).wrapping_sub(1);
            (a[lane] ^ mask).wrapping_sub(mask)
        })
    }

    #[inline(always)]
    fn wide(a: Self::Words, b: Self::Words) -> Self::Words {
        let mut products = [0; COUNT];
        for lane in (0..COUNT).step_by(2) {
            let product = u64::from(a[lane]) * u64::from(b[lane]);
            products[lane] = product as u32;
            products[lane + 1] = (product >> 32) as u32;
        }
        products
    }

    #[inline(always)]
    fn odd(a: Self::Words) -> Self::Words {
        from_fn(|lane| if lane % 2 == 0 { a[lane + 1] } else { 0 })
    }

    #[inline(always)]
    fn even(a: Self::Words) -> Self::Words {
        from_fn(|lane| if lane % 2 == 0 { 0 } else { a[lane - 1] })
    }

    #[inline(always)]
    fn blend(a: Self::Words, b: Self::Words) -> Self::Words {
        from_fn(|lane| if lane % 2 == 0 { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn zip(a: Self::Words, b: Self::Words) -> [Self::Words; 2] {
        let of = |lane: usize| {
            let from = if (lane / 2).is_multiple_of(2) { &a } else { &b };
            from[lane / 4 * 2 + lane % 2]
        };
        [from_fn(of), from_fn(|lane| of(COUNT + lane))]
    }

    #[inline(always)]
    fn rows(table: &[[u32; 2]; SEGMENTS], at: Self::Words) -> [Self::Words; 2] {
        let rows = at.map(|at| table[(at as usize).min(SEGMENTS - 1)]);
        [rows.map(|row| row[0]), rows.map(|row| row[1])]
    }

    #[inline(always)]
    fn scale(a: Self::Words, scale: f32, shift: f32) -> Self::Words {
        // Two roundings: Rust does not fuse.
        a.map(|word| (word as i32 as f32 * scale + shift).to_bits())
    }
}
