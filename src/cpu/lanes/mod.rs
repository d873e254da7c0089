//! Vectors of words, as each instruction set has them: what samples are made with.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;

/// Vectors of [`Lanes::COUNT`] words. A 64-bit number takes two lanes, its lower half the even one.
///
/// # Safety
/// Only a type that knows its instructions to be there implements this: its functions run them
/// without asking. [`Avx512`] and [`Avx2`] are for callers that asked.
#[allow(unsafe_code)]
pub(super) unsafe trait Lanes {
    type Words: Copy;
    /// Words a vector, at most 16.
    const COUNT: usize;

    /// Into the first [`Lanes::COUNT`] words.
    fn store(words: Self::Words, to: &mut [u32; 16]);
    fn splat(word: u32) -> Self::Words;
    /// `first`, `first + 1`, ... in 64 bits.
    fn count(first: u64) -> Self::Words;
    /// The first of these that fit, in 64 bits.
    fn list(numbers: &[u64; 8]) -> Self::Words;

    fn xor(a: Self::Words, b: Self::Words) -> Self::Words;
    fn and(a: Self::Words, b: Self::Words) -> Self::Words;
    fn add(a: Self::Words, b: Self::Words) -> Self::Words;
    fn sub(a: Self::Words, b: Self::Words) -> Self::Words;
    fn min(a: Self::Words, b: Self::Words) -> Self::Words;
    /// The lower half of each product.
    fn mul(a: Self::Words, b: Self::Words) -> Self::Words;
    fn shl<const BY: u32>(a: Self::Words) -> Self::Words;
    fn shr<const BY: u32>(a: Self::Words) -> Self::Words;
    /// Each word by its own number of bits.
    fn shl_each(a: Self::Words, by: Self::Words) -> Self::Words;
    /// Of words from 1 to `2^31 + 31`.
    fn leading_zeros(a: Self::Words) -> Self::Words;
    /// `a` where the sign bit of `sign` is set, else `-a`.
    fn negate_unless(sign: Self::Words, a: Self::Words) -> Self::Words;

    /// The 64-bit products of the even lanes.
    fn wide(a: Self::Words, b: Self::Words) -> Self::Words;
    /// Odd lanes moved to the even ones, which leaves 0.
    fn odd(a: Self::Words) -> Self::Words;
    /// Even lanes moved to the odd ones, which leaves 0.
    fn even(a: Self::Words) -> Self::Words;
    /// The even lanes of `a`, the odd ones of `b`.
    fn blend(a: Self::Words, b: Self::Words) -> Self::Words;
    /// 64-bit numbers of `a` and `b` in turn.
    fn zip(a: Self::Words, b: Self::Words) -> [Self::Words; 2];

    /// Row `at` of a table, each lane its own: first and second words. `at` is below 1024, and rows
    /// beyond the table's last are the last.
    fn rows(
        table: &[[u32; 2]; crate::random::quantile::SEGMENTS],
        at: Self::Words,
    ) -> [Self::Words; 2];
    /// `f32(a) * scale + shift`, each rounded, as bits; `a` is signed.
    fn scale(a: Self::Words, scale: f32, shift: f32) -> Self::Words;
}
